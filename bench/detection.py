"""From the first bad request to the rule modified, uncompressed in time: `make bench-detection`.

What stands between the two is the product's own: the containers' metrics pages, `backend.colour_metrics`,
the template's fast alarms, the event rule's pattern, the rollback function. The emulator gives CloudWatch,
EventBridge, Lambda and the balancer, with minutes of sixty seconds. The containers are small servers that
can be told to be bad; clients see when the first bad answer came. A round begins at a random moment of the
ten seconds.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.results_file import is_quick, keep, table
from config.model import Alarms
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.load_balancer import ElasticLoadBalancer
from cutover.domain.colours import Colour, Weights
from cutover.domain.environment import Targets
from cutover.domain.records import LIVE, Live, deployment_key
from cutover.ports import Change
from stacks.environment.fast_alarms import fast_rules
from stacks.naming import Names
from tests.sandbox.conftest import Emulator, running_emulator

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT, ACCOUNT, REGION = "bench", "123456789012", "ap-northeast-2"
LIMIT_SECONDS = 60.0
CONTAINERS, RATE, PORT = 3, 30.0, 18080
KINDS = ("errors", "latency", "silence")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client or the balancer that hangs up is nothing to tell."""


class Container:
    """A small server with the backend's own metrics page. `fault` is what it does wrong."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "examples" / "backend"))
        Metrics = importlib.import_module("backend.metrics").Metrics  # only now on the path

        self.fault, metrics, outer = "", Metrics(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if outer.fault == "silence" and self.path != "/health":
                    time.sleep(30)
                began, status, body = time.perf_counter(), 200, b"ok"
                if self.path == "/metrics":
                    body = metrics.render()
                elif self.path != "/health":
                    if outer.fault == "latency":
                        time.sleep(2.5)
                    status = 500 if outer.fault == "errors" else 200
                    metrics.requests.labels("GET", "/api", status).inc()
                    metrics.duration.labels("GET", "/api").observe(time.perf_counter() - began)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


class Clients:
    """Requests at a rate through the balancer; remembers when the first one that got a bad answer began."""

    def __init__(self, host: str) -> None:
        self.host, self.first_bad, self._ended = host, float("nan"), threading.Event()
        for number in range(int(RATE)):
            threading.Thread(target=self._ask, args=(number / RATE,), daemon=True).start()

    def watch(self) -> None:
        self.first_bad = float("inf")

    def _ask(self, delay: float) -> None:
        time.sleep(delay)
        while not self._ended.is_set():
            began = time.time()
            try:
                connection = HTTPConnection(self.host, PORT, timeout=5)
                connection.request("GET", "/api")
                bad = connection.getresponse().status >= 500 or time.time() - began > 2
                connection.close()
            except OSError:
                bad = True
            if bad:
                self.first_bad = min(self.first_bad, began)
            self._ended.wait(max(0.0, 1.0 - (time.time() - began)))


class Site:
    """A load balancer with both colours' containers, their metrics, alarms, rule and rollback function."""

    def __init__(self, aws: Emulator, stack: ExitStack) -> None:
        self.aws = aws
        self.names = Names(ENVIRONMENT, ACCOUNT, REGION)
        self.containers = {colour: [Container() for _ in range(CONTAINERS)] for colour in Colour}
        self.host, self.targets = self._balancer()
        self.balancer = ElasticLoadBalancer(aws.client("elbv2"))
        for colour in Colour:
            stack.enter_context(self._metrics(colour))
        self._alarms()
        self.journal = self._journal()
        self._rollback()

    def _balancer(self) -> tuple[str, Targets]:
        elb, ec2 = self.aws.client("elbv2"), self.aws.client("ec2")
        network = f"127.{random.randint(20, 250)}"
        vpc = ec2.create_vpc(CidrBlock=f"{network}.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"{network}.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in ((1, "a"), (2, "c"))
        ]
        made = elb.create_load_balancer(Name=self.names.prefix, Subnets=subnets)["LoadBalancers"][0]
        groups = {}
        for colour, containers in self.containers.items():
            groups[colour] = elb.create_target_group(
                Name=self.names.target_group(colour.value),
                Protocol="HTTP",
                Port=8000,
                VpcId=vpc,
                TargetType="ip",
                HealthCheckPath="/health",
                HealthCheckIntervalSeconds=5,
                HealthCheckTimeoutSeconds=2,
                HealthyThresholdCount=2,
            )["TargetGroups"][0]["TargetGroupArn"]
            here = [{"Id": "127.0.0.1", "Port": container.port} for container in containers]
            elb.register_targets(TargetGroupArn=groups[colour], Targets=here)
        forward = {
            "TargetGroups": [
                {"TargetGroupArn": groups[Colour.BLUE], "Weight": 100},
                {"TargetGroupArn": groups[Colour.GREEN], "Weight": 0},
            ]
        }
        listeners = [
            elb.create_listener(
                LoadBalancerArn=made["LoadBalancerArn"],
                Port=port,
                Protocol="HTTP",
                DefaultActions=[{"Type": "forward", "ForwardConfig": forward}],
            )["Listeners"][0]["ListenerArn"]
            for port in (PORT, PORT + 1)
        ]
        live, test = listeners
        return made["DNSName"], Targets(live, test, groups[Colour.BLUE], groups[Colour.GREEN])

    @contextmanager
    def _metrics(self, colour: Colour) -> Iterator[None]:
        """The product's own publisher, as a process, with no more rights than an instance has."""
        condition = {"StringEquals": {"cloudwatch:namespace": ["CWAgent", "Cutover"]}}
        who = self.aws.user(self.aws.allow("cloudwatch:PutMetricData", Condition=condition))
        credentials = who.get_credentials()
        assert credentials is not None
        urls = ",".join(f"http://127.0.0.1:{container.port}" for container in self.containers[colour])
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "examples" / "backend"),
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_ENDPOINT_URL": self.aws.settings.endpoint_url,
            "AWS_REGION": REGION,
            "CONTAINERS": urls,
            "METRICS_DIMENSIONS": f"Environment={ENVIRONMENT},Service=backend,Colour={colour}",
            "SLOW_SECONDS": "2",
        }
        process = subprocess.Popen([sys.executable, "-m", "backend.colour_metrics"], env=environment)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)

    def _alarms(self) -> None:
        """Those of the template, word for word."""
        cloudwatch = self.aws.client("cloudwatch")
        for colour in Colour:
            for kind, (meaning, rule) in fast_rules(Alarms(), self.names, colour.value).items():
                note = {
                    "meaning": meaning,
                    "environment": ENVIRONMENT,
                    "colour": colour.value,
                    "listener": self.targets.listener_arn,
                    "test_listener": self.targets.test_listener_arn,
                    "blue": self.targets.blue,
                    "green": self.targets.green,
                }
                cloudwatch.put_metric_alarm(
                    AlarmName=self.names.alarm(colour.value, kind),
                    AlarmDescription=json.dumps(note),
                    Metrics=[_query(query) for query in rule["metrics"]],
                    ComparisonOperator=rule["comparison_operator"],
                    Threshold=rule["threshold"],
                    EvaluationPeriods=rule["evaluation_periods"],
                    DatapointsToAlarm=rule["datapoints_to_alarm"],
                    TreatMissingData=rule["treat_missing_data"],
                )

    def _journal(self) -> DynamoJournal:
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        client = self.aws.client("dynamodb")
        client.create_table(
            TableName=self.names.journal,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        )
        return DynamoJournal(client, self.names.journal)

    def _rollback(self) -> None:
        aws, name = self.aws, self.names.named("rollback")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted((ROOT / "lambdas" / "cutover").rglob("*.py")):
                file.write(path, path.relative_to(ROOT / "lambdas"))
        role = aws.role("lambda.amazonaws.com", aws.allow("*"))
        events, functions = aws.client("events"), aws.client("lambda")
        events.create_event_bus(Name=self.names.bus)
        arn = functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Handler="cutover.handlers.rollback.handler",
            Role=role,
            Code={"ZipFile": archive.getvalue()},
            Timeout=90,
            MemorySize=1769,
            Environment={
                "Variables": {
                    "CUTOVER_ENVIRONMENT": ENVIRONMENT,
                    "JOURNAL_TABLE": self.names.journal,
                    "EVENT_BUS": self.names.bus,
                    "RELEASE_DOCUMENT": self.names.release_document,
                    "STATE_MACHINE_ARN": self.names.state_machine_arn,
                    "CONTRACTION_GROUP": self.names.contractions,
                    "PROBE_FUNCTION": self.names.named("probe"),
                    "REPOSITORY": self.names.repository,
                    "REPOSITORY_URI": self.names.repository_uri,
                }
            },
        )["FunctionArn"]
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {
                "alarmName": [{"prefix": self.names.named("backend-")}],
                "state": {"value": ["ALARM"]},
            },
        }
        rule = events.put_rule(Name=self.names.named("alarm"), EventPattern=json.dumps(pattern))["RuleArn"]
        functions.add_permission(
            FunctionName=name,
            StatementId="rule",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule,
        )
        events.put_targets(Rule=self.names.named("alarm"), Targets=[{"Id": "rollback", "Arn": arn}])

    def release(self, round_number: int) -> str:
        """A release is live on green, and one stands on blue to go back to; answers its deployment's id."""
        now, name = datetime.now(UTC), f"d{round_number}"
        live = Live(
            deployment=name,
            version=f"v{round_number}",
            image="sha256:new",
            colour=Colour.GREEN,
            previous_deployment="d0",
            previous_colour=Colour.BLUE,
            previous_version="v0",
            previous_image="sha256:old",
            swapped_at=now.isoformat(),
            watch_until=(now + timedelta(hours=24)).isoformat(),
            healthy_share=0.5,
            targets=self.targets,
        )
        version, started = f"v{round_number}", now.isoformat()
        record = {"id": name, "version": version, "status": "SUCCEEDED", "started": started}
        self.journal.write([Change("put", LIVE, live.item()), Change("put", deployment_key(name), record)])
        self.balancer.set_weights(self.targets.listener_arn, self.targets, Weights.all_on(Colour.GREEN))
        return name

    def states(self, colour: Colour) -> set[str]:
        names = [f"{self.names.named('backend')}-{colour}-fast-{kind}" for kind in KINDS]
        found = self.aws.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        return {alarm["StateValue"] for alarm in found}

    def go_bad(self, kind: str) -> None:
        for container in self.containers[Colour.GREEN]:
            container.fault = kind

    def weights(self) -> Weights:
        return self.balancer.weights(self.targets.listener_arn, self.targets)

    def rollback_of(self, name: str) -> dict[str, Any]:
        return dict((self.journal.read(deployment_key(name)) or {}).get("rollback") or {})


def _query(query: Any) -> dict[str, Any]:
    """A template's metric query as PutMetricAlarm takes it."""
    found: dict[str, Any] = {"Id": query.id, "ReturnData": query.return_data}
    if query.expression:
        return {**found, "Expression": query.expression, "Label": query.label}
    metric = query.metric_stat.metric
    dimensions = [{"Name": each.name, "Value": each.value} for each in metric.dimensions]
    return {
        **found,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.metric_name,
                "Dimensions": dimensions,
            },
            "Period": int(query.metric_stat.period),
            "Stat": query.metric_stat.stat,
        },
    }


def one_round(site: Site, clients: Clients, number: int, kind: str) -> dict[str, Any]:
    name = site.release(number)
    site.aws.wait_for(lambda: site.states(Colour.GREEN) == {"OK"}, seconds=90, what="quiet alarms")
    time.sleep(random.uniform(0, 10))
    clients.watch()
    site.go_bad(kind)
    try:
        rolled = Weights.all_on(Colour.BLUE)
        site.aws.wait_for(lambda: site.weights() == rolled, seconds=120, what="the rollback")
        told = site.aws.wait_for(lambda: site.rollback_of(name), seconds=60, what="its record")
    finally:
        site.go_bad("")
    clock = told["clock"]
    modified = datetime.fromisoformat(clock["modified_at"]).timestamp()
    asked = datetime.fromisoformat(clock["asked_at"]).timestamp()
    return {
        "round": number,
        "fault": kind,
        "alarm": told["by"].removeprefix(f"{site.names.named('backend')}-green-"),
        "first bad → ALARM s": round(asked - clients.first_bad, 1),
        "ALARM → modified ms": round((modified - asked) * 1000),
        "first bad → modified s": round(modified - clients.first_bad, 1),
    }


def main() -> int:
    rounds = ("errors",) if is_quick() else ("errors", "latency", "errors", "silence", "errors", "latency")
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cutover-bench-")))
        aws = stack.enter_context(running_emulator(root, without=("autoscaling", "databases")))
        site = Site(aws, stack)
        clients = Clients(site.host)
        found = []
        for number, kind in enumerate(rounds, 1):
            found.append(one_round(site, clients, number, kind))
            print(json.dumps(found[-1]), flush=True)
    print(table(found))
    taken = [row["first bad → modified s"] for row in found]
    summary = {
        "rounds": found,
        "limit_s": LIMIT_SECONDS,
        "median_s": statistics.median(taken),
        "longest_s": max(taken),
    }
    keep("detection", summary)
    return 0 if max(taken) <= LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
