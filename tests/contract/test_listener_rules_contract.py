"""Rules of a listener, which send a host's requests to groups of its own."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Weights
from cutover.domain.environment import Targets
from cutover.domain.errors import CutoverError
from tests.contract.conftest import Balancer
from tests.sandbox.conftest import Emulator

HOST = "www.example.com"
KIND = "AWS::ElasticLoadBalancingV2::"


def serve(name: str) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Front:
    """A rule for one host in a stack, whose weights are the stack's parameters, with a server behind each of
    its groups."""

    def __init__(self, aws: Emulator, balancer: Balancer) -> None:
        self.aws, self.elb, self.formation = aws, balancer.client, aws.client("cloudformation")
        listener = self.elb.describe_listeners(ListenerArns=[balancer.targets.listener_arn])["Listeners"][0]
        front = self.elb.describe_load_balancers(LoadBalancerArns=[listener["LoadBalancerArn"]])
        self.address, self.port = front["LoadBalancers"][0]["DNSName"], listener["Port"]
        self.listener, self.vpc = balancer.targets.listener_arn, front["LoadBalancers"][0]["VpcId"]
        self.servers = {name: serve(name) for name in ("Blue", "Green")}
        self.name = aws.unique("rules")
        self.formation.create_stack(StackName=self.name, **self._template(100, 0))
        self._settle()
        outputs = self.formation.describe_stacks(StackName=self.name)["Stacks"][0]["Outputs"]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in outputs}

    def _template(self, blue: int, green: int) -> dict[str, Any]:
        resources: dict[str, Any] = {
            "Rule": {
                "Type": KIND + "ListenerRule",
                "Properties": {
                    "ListenerArn": self.listener,
                    "Priority": 10,
                    "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": [HOST]}}],
                    "Actions": [
                        {
                            "Type": "forward",
                            "ForwardConfig": {
                                "TargetGroups": [
                                    {"TargetGroupArn": {"Ref": name}, "Weight": {"Ref": f"{name}Weight"}}
                                    for name in self.servers
                                ]
                            },
                        }
                    ],
                },
            }
        }
        for name, server in self.servers.items():
            port = server.server_address[1]
            resources[name] = {
                "Type": KIND + "TargetGroup",
                "Properties": {
                    "Protocol": "HTTP",
                    "Port": port,
                    "VpcId": self.vpc,
                    "TargetType": "ip",
                    "Targets": [{"Id": "127.0.0.1", "Port": port}],
                },
            }
        template = {
            "Parameters": {f"{name}Weight": {"Type": "Number"} for name in self.servers},
            "Resources": resources,
            "Outputs": {name: {"Value": {"Ref": name}} for name in resources},
        }
        weights = {"BlueWeight": blue, "GreenWeight": green}
        return {
            "TemplateBody": json.dumps(template),
            "Parameters": [{"ParameterKey": k, "ParameterValue": str(v)} for k, v in weights.items()],
        }

    def update(self, blue: int, green: int) -> None:
        self.formation.update_stack(StackName=self.name, **self._template(blue, green))
        self._settle()

    def _settle(self) -> None:
        def ended() -> str | None:
            status = str(self.formation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"])
            return None if status.endswith("IN_PROGRESS") else status

        assert self.aws.wait_for(ended, what="the stack") in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    @property
    def targets(self) -> Targets:
        return Targets(
            self.outputs["Rule"], self.outputs["Rule"], self.outputs["Blue"], self.outputs["Green"]
        )

    def weights(self) -> Weights:
        return ElasticLoadBalancer(self.elb).weights(self.outputs["Rule"], self.targets)

    def ask(self, host: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers(self, who: str) -> None:
        def does() -> bool:
            with contextlib.suppress(ConnectionRefusedError):  # the balancer has yet to listen there
                return self.ask(HOST) == (200, who)
            return False

        self.aws.wait_for(does, what=who)
        assert {self.ask(HOST) for _ in range(20)} == {(200, who)}

    def end(self) -> None:
        self.formation.delete_stack(StackName=self.name)
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def front(aws: Emulator, balancer: Balancer) -> Iterator[Front]:
    front = Front(aws, balancer)
    try:
        yield front
    finally:
        front.end()


def test_a_host_is_served_by_its_rules_groups_as_their_weights_say(front: Front) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html#host-conditions
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-elasticloadbalancingv2-listenerrule.html"""
    front.answers("Blue")
    assert front.weights() == Weights(100, 0)

    front.update(0, 100)
    assert front.weights() == Weights(0, 100)
    front.answers("Green")


def test_a_rules_traffic_is_moved_and_blocked_as_a_listeners_is(front: Front) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyRule.html"""
    balancer, rule = ElasticLoadBalancer(front.elb), front.outputs["Rule"]
    front.answers("Blue")

    balancer.set_weights(rule, front.targets, Weights(0, 100))
    assert front.weights() == Weights(0, 100)
    front.answers("Green")

    balancer.block(rule)
    front.aws.wait_for(lambda: front.ask(HOST)[0] == 503, what="503")
    balancer.set_weights(rule, front.targets, Weights(100, 0))
    front.answers("Blue")


def test_another_host_gets_the_listeners_default_action(front: Front) -> None:
    front.answers("Blue")
    status, answer = front.ask("api.example.com")
    assert (status >= 500, answer in front.servers) == (True, False), "its groups have no server"


def test_a_rules_priority_is_its_own(front: Front) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html#API_CreateRule_Errors"""
    with pytest.raises(ClientError, match="PriorityInUse"):
        front.elb.create_rule(
            ListenerArn=front.listener,
            Priority=10,
            Conditions=[{"Field": "host-header", "Values": ["other.example.com"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": front.outputs["Blue"]}],
        )


def test_a_rule_that_is_not_there_is_an_error_of_ours(front: Front) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeRules.html#API_DescribeRules_Errors"""
    with pytest.raises(CutoverError, match="RuleNotFound"):
        ElasticLoadBalancer(front.elb).weights(front.outputs["Rule"][:-4] + "0000", front.targets)
