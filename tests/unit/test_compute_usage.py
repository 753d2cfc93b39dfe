"""What instances use, in percent of their type; the addresses they get."""

import pytest

from sandbox.compute.addresses import free_address
from sandbox.compute.instance_types import TYPES
from sandbox.compute.usage import Usage, cpu_percent, data_of


@pytest.mark.parametrize(
    ("used", "seconds", "percent"), [(1, 1, 50), (2, 1, 100), (5, 1, 100), (0, 1, 0), (3, 60, 2.5)]
)
def test_cpu_is_told_in_percent_of_the_types_vcpus(used: float, seconds: float, percent: float) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html"""
    assert cpu_percent(Usage(10, 0, 0), Usage(10 + used, 0, 0), seconds, TYPES["t3.large"]) == percent


def test_cpu_time_that_goes_back_counts_as_none() -> None:
    assert cpu_percent(Usage(10, 0, 0), Usage(1, 0, 0), 1, TYPES["t3.large"]) == 0


def test_a_metric_is_published_for_the_instance_and_for_its_group() -> None:
    names = [each["Dimensions"] for each in data_of("CPUUtilization", 1.0, "i-1", "g")]
    assert names == [
        [{"Name": "InstanceId", "Value": "i-1"}],
        [{"Name": "AutoScalingGroupName", "Value": "g"}],
    ]
    assert len(data_of("CPUUtilization", 1.0, "i-1", None)) == 1


def test_instances_get_different_addresses_of_their_subnet() -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html"""
    taken: set[str] = set()
    for _ in range(251):
        taken.add(free_address("127.1.1.0/24", taken))
    reserved = {f"127.1.1.{n}" for n in (0, 1, 2, 3, 255)}
    assert len(taken) == 251
    assert not taken & reserved
    with pytest.raises(ValueError, match="no free address"):
        free_address("127.1.1.0/24", taken)
