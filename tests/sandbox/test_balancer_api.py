"""The ELBv2 API of the sandbox: what is kept, answered, refused, served and measured."""

from __future__ import annotations

import datetime
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.loopback import free_port
from tests.sandbox.sandbox_kit import Sandbox, running_sandbox, wait_for

POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


class Service:
    """A load balancer with a TLS listener, two target groups and a server behind each, made by CloudFormation."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.elb, self.ec2, self.acm = (sandbox.client(name) for name in ("elbv2", "ec2", "acm"))
        network = sandbox.network
        self.vpc = self.ec2.create_vpc(CidrBlock=f"{network}.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"{network}.{n}.0/24", AvailabilityZone=f"ap-northeast-2{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in ((1, "a"), (2, "c"))
        ]
        self.certificate = self.acm.request_certificate(
            DomainName="app.example.test", ValidationMethod="DNS"
        )["CertificateArn"]
        self.address = f"{network}.1.110"
        self.servers = {name: _serve(name, self.address) for name in ("blue", "green")}
        self.port = free_port()
        self.weights = {"Blue": 100, "Green": 0}
        self.outputs = self.deploy()

    def deploy(self, *, weights: dict[str, int] | None = None) -> dict[str, str]:
        self.weights = weights or self.weights
        kind = "AWS::ElasticLoadBalancingV2::"
        forward = {
            "TargetGroups": [
                {"TargetGroupArn": {"Ref": name}, "Weight": weight} for name, weight in self.weights.items()
            ]
        }
        resources = {
            "Balancer": {
                "Type": kind + "LoadBalancer",
                "Properties": {"Name": "app", "Subnets": self.subnets, "Type": "application"},
            },
            "Listener": {
                "Type": kind + "Listener",
                "Properties": {
                    "LoadBalancerArn": {"Ref": "Balancer"},
                    "Port": self.port,
                    "Protocol": "HTTPS",
                    "SslPolicy": POLICY,
                    "Certificates": [{"CertificateArn": self.certificate}],
                    "DefaultActions": [{"Type": "forward", "ForwardConfig": forward}],
                },
            },
        }
        for name, server in (("Blue", self.servers["blue"]), ("Green", self.servers["green"])):
            port = server.server_address[1]
            resources[name] = {
                "Type": kind + "TargetGroup",
                "Properties": {
                    "Protocol": "HTTP",
                    "Port": port,
                    "VpcId": self.vpc,
                    "TargetType": "ip",
                    "HealthCheckPath": "/health",
                    "HealthCheckIntervalSeconds": 10,
                    "HealthCheckTimeoutSeconds": 2,
                    "HealthyThresholdCount": 2,
                    "Targets": [{"Id": self.address, "Port": port}],
                    "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}],
                },
            }
        outputs = {
            "dns": {"Fn::GetAtt": ["Balancer", "DNSName"]},
            "balancer": {"Ref": "Balancer"},
            "balancer_name": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]},
            "listener": {"Ref": "Listener"},
            "Blue": {"Ref": "Blue"},
            "Green": {"Ref": "Green"},
            "blue_name": {"Fn::GetAtt": ["Blue", "TargetGroupFullName"]},
        }
        return self.sandbox.deploy("service", resources, outputs)

    def get(self, path: str = "/") -> tuple[int, str]:
        context = ssl.create_default_context(cafile=str(self.sandbox.settings.ca_bundle))
        context.check_hostname = False  # the name is in the certificate; the address is not
        url = f"https://{self.outputs['dns']}:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, context=context, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def name(self) -> str:
        try:
            return self.get()[1]
        except OSError as error:
            return str(error)

    def modify(self, **weights: int) -> Any:
        groups = [
            {"TargetGroupArn": self.outputs[name], "Weight": weight} for name, weight in weights.items()
        ]
        actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
        return self.elb.modify_listener(ListenerArn=self.outputs["listener"], DefaultActions=actions)

    def live_weights(self) -> dict[str, int]:
        listener = self.elb.describe_listeners(ListenerArns=[self.outputs["listener"]])["Listeners"][0]
        groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        by_arn = {group["TargetGroupArn"]: group["Weight"] for group in groups}
        return {name: by_arn[self.outputs[name]] for name in ("Blue", "Green")}

    def health(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.elb.describe_target_health(TargetGroupArn=self.outputs[name])[
            "TargetHealthDescriptions"
        ]
        return found

    def states(self, name: str) -> list[str]:
        return [each["TargetHealth"]["State"] for each in self.health(name)]


def _serve(name: str, address: str) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        health = 200

        def do_GET(self) -> None:
            self.send_response(type(self).health if self.path == "/health" else 200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_sandbox() as sandbox:
        made = Service(sandbox)
        try:
            yield made
        finally:
            for server in made.servers.values():
                server.shutdown()
                server.server_close()


@pytest.fixture(autouse=True)
def _blue_is_live(service: Service) -> None:
    service.modify(Blue=100, Green=0)
    wait_for(lambda: service.name() == "blue", what="blue")


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_load_balancers_name_is_an_address_that_answers(service: Service) -> None:
    described = service.elb.describe_load_balancers(Names=["app"])["LoadBalancers"][0]
    assert described["DNSName"] == service.outputs["dns"]
    assert service.outputs["dns"].startswith(f"{service.sandbox.network}.1.")
    assert {zone["ZoneName"] for zone in described["AvailabilityZones"]} == {
        "ap-northeast-2a",
        "ap-northeast-2c",
    }
    assert described["VpcId"] == service.vpc
    assert service.get()[0] == 200


def test_full_names_are_what_metrics_are_kept_under(service: Service) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-elasticloadbalancingv2-targetgroup.html#aws-resource-elasticloadbalancingv2-targetgroup-return-values"""
    assert service.outputs["balancer"].endswith(f"loadbalancer/{service.outputs['balancer_name']}")
    assert service.outputs["balancer_name"].startswith("app/app/")
    assert service.outputs["Blue"].endswith(f":{service.outputs['blue_name']}")
    assert service.outputs["blue_name"].startswith("targetgroup/")


def test_weights_are_kept_answered_and_followed(service: Service) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ForwardActionConfig.html"""
    answered = service.modify(Blue=0, Green=999)["Listeners"][0]["DefaultActions"][0]
    assert [group["Weight"] for group in answered["ForwardConfig"]["TargetGroups"]] == [0, 999]
    assert "TargetGroupArn" not in answered
    assert service.live_weights() == {"Blue": 0, "Green": 999}
    wait_for(lambda: service.name() == "green", seconds=5, what="green")
    assert {service.name() for _ in range(20)} == {"green"}


def test_a_stack_update_sets_the_weights_it_names(service: Service) -> None:
    service.deploy(weights={"Blue": 10, "Green": 90})
    assert service.live_weights() == {"Blue": 10, "Green": 90}
    service.deploy(weights={"Blue": 100, "Green": 0})
    assert service.live_weights() == {"Blue": 100, "Green": 0}


@pytest.mark.parametrize("weight", [-1, 1000])
def test_a_weight_outside_0_to_999_is_refused_and_changes_nothing(service: Service, weight: int) -> None:
    assert refusal(service.modify, Blue=weight, Green=1) == "ValidationError"
    assert service.live_weights() == {"Blue": 100, "Green": 0}


def test_what_aws_refuses_of_a_listener_is_refused(service: Service) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html#API_CreateListener_Errors"""
    elb, listener = service.elb, service.outputs["listener"]
    unknown = service.outputs["Blue"][:-4] + "0000"
    forward = [{"Type": "forward", "TargetGroupArn": unknown}]
    assert refusal(elb.modify_listener, ListenerArn=listener, DefaultActions=forward) == "TargetGroupNotFound"
    assert refusal(elb.modify_listener, ListenerArn=listener, SslPolicy="none") == "SSLPolicyNotFound"
    certificate = [{"CertificateArn": service.certificate[:-4] + "0000"}]
    assert (
        refusal(elb.modify_listener, ListenerArn=listener, Certificates=certificate) == "CertificateNotFound"
    )
    new = {
        "LoadBalancerArn": service.outputs["balancer"],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": service.outputs["Blue"]}],
    }
    same_port = {**new, "Port": service.port, "Protocol": "HTTP"}
    assert refusal(elb.create_listener, **same_port) == "DuplicateListener"
    no_certificate = {**new, "Port": free_port(), "Protocol": "HTTPS"}
    assert refusal(elb.create_listener, **no_certificate) == "ValidationError"
    assert refusal(elb.delete_target_group, TargetGroupArn=service.outputs["Blue"]) == "ResourceInUse"
    lame = {"Name": "lame", "Subnets": service.subnets}
    alone = {**lame, "Subnets": service.subnets[:1]}
    assert refusal(elb.create_load_balancer, **alone) == "ValidationError"
    unknown_subnet = {**lame, "Subnets": ["subnet-0"]}
    assert refusal(elb.create_load_balancer, **unknown_subnet) == "SubnetNotFound"
    assert refusal(elb.create_load_balancer, **lame, SecurityGroups=["sg-0"]) == "InvalidSecurityGroup"


def test_a_target_group_serves_one_load_balancer_only(service: Service) -> None:
    other = service.elb.create_load_balancer(Name="other", Subnets=service.subnets)["LoadBalancers"][0]
    listener = {
        "LoadBalancerArn": other["LoadBalancerArn"],
        "Port": free_port(),
        "Protocol": "HTTP",
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": service.outputs["Blue"]}],
    }
    assert other["DNSName"] != service.outputs["dns"]
    assert refusal(service.elb.create_listener, **listener) == "TargetGroupAssociationLimit"
    service.elb.delete_load_balancer(LoadBalancerArn=other["LoadBalancerArn"])


def test_a_second_listener_follows_the_idle_group_only(service: Service) -> None:
    port = free_port()
    made = service.elb.create_listener(
        LoadBalancerArn=service.outputs["balancer"],
        Port=port,
        Protocol="HTTP",
        DefaultActions=[{"Type": "forward", "TargetGroupArn": service.outputs["Green"]}],
    )["Listeners"][0]
    assert made["DefaultActions"][0]["TargetGroupArn"] == service.outputs["Green"]

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://{service.outputs['dns']}:{port}/", timeout=5) as response:
                return str(response.read().decode())
        except OSError as error:
            return str(error)

    wait_for(lambda: answer() == "green", what="the test listener")
    assert service.name() == "blue"
    service.elb.delete_listener(ListenerArn=made["ListenerArn"])
    wait_for(lambda: "refused" in answer(), what="the listener's end")


def test_a_port_that_another_program_holds_is_named(service: Service) -> None:
    with socket.socket() as other:
        other.bind((service.outputs["dns"], 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ClientError, match=f"Port {port} of .* is taken by another program"):
            service.elb.create_listener(
                LoadBalancerArn=service.outputs["balancer"],
                Port=port,
                Protocol="HTTP",
                DefaultActions=[{"Type": "forward", "TargetGroupArn": service.outputs["Green"]}],
            )


def test_a_protected_load_balancer_stays_and_a_deleted_one_takes_its_listeners_along(
    service: Service,
) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html"""
    made = service.elb.create_load_balancer(Name="brief", Subnets=service.subnets)["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "hello"}
    listener = service.elb.create_listener(
        LoadBalancerArn=arn,
        Port=service.port,  # the same port on an address of its own
        Protocol="HTTP",
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
    )["Listeners"][0]["ListenerArn"]

    def says() -> str:
        try:
            url = f"http://{made['DNSName']}:{service.port}/"
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except OSError as error:
            return str(error)

    def protect(value: str) -> None:
        attributes = [{"Key": "deletion_protection.enabled", "Value": value}]
        service.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)

    wait_for(lambda: says() == "hello", what="the fixed response")
    protect("true")
    assert refusal(service.elb.delete_load_balancer, LoadBalancerArn=arn) == "OperationNotPermitted"
    protect("false")
    service.elb.delete_load_balancer(LoadBalancerArn=arn)
    assert service.elb.describe_listeners(ListenerArns=[listener])["Listeners"] == []
    wait_for(lambda: "refused" in says(), what="the end of the listener")
    assert service.name() == "blue"


def test_health_is_what_the_balancer_sees_with_the_reason(service: Service) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/check-target-health.html"""
    wait_for(lambda: service.states("Green") == ["healthy"], what="a healthy target")
    handler: Any = service.servers["green"].RequestHandlerClass
    handler.health = 503
    wait_for(lambda: service.states("Green") == ["unhealthy"], what="an unhealthy target")

    def reason() -> Any:
        health = service.health("Green")[0]["TargetHealth"]
        return health if "503" in health.get("Description", "") else None

    assert wait_for(reason, what="the reason")["Reason"] == "Target.ResponseCodeMismatch"
    handler.health = 200
    wait_for(lambda: service.states("Green") == ["healthy"], what="the target's recovery")


def test_targets_are_registered_by_id_and_port(service: Service) -> None:
    port = service.servers["green"].server_address[1]
    group = service.outputs["Blue"]
    extra = [{"Id": service.address, "Port": port}]
    service.elb.register_targets(TargetGroupArn=group, Targets=extra)
    assert len(service.health("Blue")) == 2
    wait_for(lambda: service.states("Blue") == ["healthy", "healthy"], what="two healthy targets")
    service.elb.deregister_targets(TargetGroupArn=group, Targets=extra)
    states = {each["Target"]["Port"]: each["TargetHealth"] for each in service.health("Blue")}
    assert states[port] == {
        "State": "draining",
        "Reason": "Target.DeregistrationInProgress",
        "Description": "Target deregistration is in progress",
    }
    wait_for(lambda: len(service.health("Blue")) == 1, seconds=10, what="the end of draining")
    gone = service.elb.describe_target_health(TargetGroupArn=group, Targets=extra)
    health = gone["TargetHealthDescriptions"][0]["TargetHealth"]
    assert (health["State"], health["Reason"]) == ("unused", "Target.NotRegistered")


def test_a_group_that_no_listener_uses_is_not_checked(service: Service) -> None:
    made = service.elb.create_target_group(
        Name="idle", Protocol="HTTP", Port=80, VpcId=service.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    service.elb.register_targets(TargetGroupArn=made, Targets=[{"Id": service.address}])
    found = service.elb.describe_target_health(TargetGroupArn=made)["TargetHealthDescriptions"]
    assert found[0]["TargetHealth"]["Reason"] == "Target.NotInUse"
    service.elb.delete_target_group(TargetGroupArn=made)


def test_an_instance_is_reached_at_its_private_address_while_it_runs(service: Service) -> None:
    instance = service.ec2.run_instances(
        ImageId="ami-12345678",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=service.subnets[0],
        PrivateIpAddress=f"{service.sandbox.network}.1.111",
    )["Instances"][0]
    assert instance["PrivateIpAddress"] == f"{service.sandbox.network}.1.111"
    server = _serve("instance", instance["PrivateIpAddress"])
    made = service.elb.create_target_group(
        Name="fleet", Protocol="HTTP", Port=server.server_address[1], VpcId=service.vpc, HealthCheckPath="/"
    )
    arn = service.outputs["Fleet"] = made["TargetGroups"][0]["TargetGroupArn"]
    unknown = [{"Id": "i-0123456789abcdef0"}]
    try:
        assert refusal(service.elb.register_targets, TargetGroupArn=arn, Targets=unknown) == "InvalidTarget"
        wait_for(lambda: _register(service, arn, instance["InstanceId"]), what="the running instance")
        service.modify(Blue=0, Fleet=1)
        wait_for(lambda: service.states("Fleet") == ["healthy"], what="a healthy instance")
        wait_for(lambda: service.name() == "instance", what="the instance")
        service.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
        wait_for(lambda: service.states("Fleet") == ["unused"], what="the end of the instance")
        assert service.health("Fleet")[0]["TargetHealth"]["Reason"] == "Target.InvalidState"
        wait_for(lambda: service.get()[0] == 503, what="a group without targets")
    finally:
        service.modify(Blue=100, Green=0)
        server.shutdown()
        server.server_close()
    service.elb.delete_target_group(TargetGroupArn=arn)


def _register(service: Service, group: str, instance: str) -> bool:
    described = service.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    if described["State"]["Name"] != "running":
        return False
    service.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    return True


def test_attributes_are_kept_over_the_defaults(service: Service) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html"""

    def attributes() -> dict[str, str]:
        found = service.elb.describe_target_group_attributes(TargetGroupArn=service.outputs["Blue"])
        return {each["Key"]: each["Value"] for each in found["Attributes"]}

    assert attributes()["deregistration_delay.timeout_seconds"] == "2"
    assert attributes()["stickiness.enabled"] == "false"
    changed = [{"Key": "slow_start.duration_seconds", "Value": "30"}]
    service.elb.modify_target_group_attributes(TargetGroupArn=service.outputs["Blue"], Attributes=changed)
    assert attributes()["slow_start.duration_seconds"] == "30"
    changed = [{"Key": "slow_start.duration_seconds", "Value": "0"}]
    service.elb.modify_target_group_attributes(TargetGroupArn=service.outputs["Blue"], Attributes=changed)
    assert service.name() == "blue"


def test_each_request_is_counted_once_for_the_balancer_and_once_for_its_group(service: Service) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html"""
    metrics = service.sandbox.client("cloudwatch")
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)

    def total(name: str, statistic: str = "Sum", group: str | None = None) -> float:
        dimensions = [{"Name": "LoadBalancer", "Value": service.outputs["balancer_name"]}]
        if group:
            dimensions.append({"Name": "TargetGroup", "Value": group})
        points = metrics.get_metric_statistics(
            Namespace="AWS/ApplicationELB",
            MetricName=name,
            Dimensions=dimensions,
            StartTime=began - datetime.timedelta(hours=1),
            EndTime=began + datetime.timedelta(hours=1),
            Period=3600,
            Statistics=[statistic],
        )["Datapoints"]
        return float(sum(point[statistic] for point in points))

    group = service.outputs["blue_name"]
    before = _quiet(lambda: total("RequestCount", group=group))
    for _ in range(30):
        assert service.get()[0] == 200
    wait_for(lambda: total("RequestCount", group=group) == before + 30, what="the group's requests")
    assert total("HTTPCode_Target_2XX_Count", group=group) == total("RequestCount", group=group)
    assert total("RequestCount") >= total("RequestCount", group=group)
    assert total("HealthyHostCount", "Maximum", group) >= 1
    wait_for(
        lambda: total("TargetResponseTime", "SampleCount", group) == total("RequestCount", group=group),
        what="a time for each answer",
    )
    assert 0 < total("TargetResponseTime", "Average", group) < 5
    listed = metrics.list_metrics(Namespace="AWS/ApplicationELB")["Metrics"]
    assert "HTTPCode_Target_5XX_Count" not in {
        each["MetricName"] for each in listed
    }  # none, so none reported


def _quiet(value: Any) -> float:
    """The value once two readings more than a (compressed) minute apart agree."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        first = value()
        time.sleep(2.5)
        if value() == first:
            return float(first)
    pytest.fail("the metric does not come to rest without requests")


def test_acm_certificates_are_the_sandbox_cas(service: Service) -> None:
    described = service.acm.describe_certificate(CertificateArn=service.certificate)["Certificate"]
    assert described["Status"] == "ISSUED"
    given = service.acm.get_certificate(CertificateArn=service.certificate)
    assert given["CertificateChain"] == (service.sandbox.settings.pki / "ca.pem").read_text()
    assert ssl.PEM_cert_to_DER_cert(given["Certificate"])
    assert "PRIVATE" not in json.dumps(given, default=str)
