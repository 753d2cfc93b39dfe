"""On which resource the emulator judges the actions on DocumentDB, which are those of RDS."""

from __future__ import annotations

import pytest

from sandbox.emulator.iam_request import Request
from sandbox.emulator.iam_resources import resources

REGION, ACCOUNT = "ap-northeast-2", "123456789012"


@pytest.mark.parametrize("action", ["DescribeDBClusterParameters", "ModifyDBClusterParameterGroup"])
def test_a_clusters_parameters_are_judged_by_their_group(action: str) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html"""
    request = Request({"DBClusterParameterGroupName": "cutover-x"}, "/", REGION, ACCOUNT)
    assert resources(f"rds:{action}", request, "*") == [
        f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-pg:cutover-x"
    ]


def test_a_cluster_that_names_its_parameter_group_is_judged_as_a_cluster() -> None:
    given = {"DBClusterIdentifier": "cutover-x", "DBClusterParameterGroupName": "cutover-x"}
    assert resources("rds:CreateDBCluster", Request(given, "/", REGION, ACCOUNT), "known") == ["known"]
