"""What the environments cost, told resource by resource."""

import json

from cutover.domain.cost import compare, cost_of, items
from cutover.domain.prices import PriceTable
from stacks.environment_table import PRICES

TABLE = PriceTable.read(json.loads(PRICES.read_text(encoding="utf-8")))


def bodies(synthesised):
    return {path.name: json.loads(path.read_text()) for path in synthesised.environment.paths}


def test_every_resource_type_has_been_thought_of(each):
    for body in bodies(each).values():
        assert not [item.name for item in items(body) if item.name.startswith("AWS::")]


def test_only_databases_have_no_price(each):
    bill = compare(bodies(each), {}, TABLE)
    assert all(name.startswith("docdb:") for name in bill["unpriced"])
    assert bill["monthly"]["after"] > 100


def test_what_runs_by_the_hour_has_its_cost_in_its_row(staging):
    told = {
        body["Resources"][id]["Type"]: cost_of(id, body, TABLE)
        for body in bodies(staging).values()
        for id in body["Resources"]
    }
    assert told["AWS::EC2::NatGateway"] == "43.07"
    assert told["AWS::ElasticLoadBalancingV2::LoadBalancer"] == "23.73"
    assert told["AWS::SecretsManager::Secret"] == "0.40"
    assert told["AWS::DocDB::DBInstance"] == "unpriced"
    assert told["AWS::S3::Bucket"] == "by use"
    assert told["AWS::EC2::Subnet"] == ""
