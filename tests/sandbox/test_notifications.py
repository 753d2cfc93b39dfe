"""Events → people over the real rule, queues and function to sinks, also while a sink is down.

The template is the control plane's own; only the wait between two tries is shortened once it is installed.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from config.model import DIRECTORY, Configuration, load
from cutover.adapters.control import EventBus
from sandbox.sinks import Mail, Webhook, read_mail, read_webhooks
from sandbox.status_page import address
from stacks.constructs.code import LAMBDAS, package_files
from stacks.constructs.function import Code
from stacks.control.events import bus
from stacks.control.journal import configuration_parameter, journal
from stacks.control.notifications import notifications
from stacks.control.status import status_page
from stacks.naming import Names
from tests.loopback import free_port

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Longer than a warm function takes, or a message would be handed out twice at once.
TRY_AGAIN_SECONDS = 4
DEPLOYMENT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("DeploymentStarted", {"mode": "deploy"}),
    ("PhaseCompleted", {"phase": {"number": 1, "name": "Provision"}, "passed": 3}),
    ("TrafficShifted", {"drill": False, "colour": "green", "share": 100}),
    (
        "RolledBack",
        {
            "from": "green",
            "to": "blue",
            "asked_at": "2026-03-04T12:00:00.000Z",
            "cause": "cutover-sandbox-backend-green-errors",
        },
    ),
    ("DeploymentFailed", {"status": "ROLLED_BACK", "cause": "an alarm"}),
    ("DeploymentSucceeded", {}),
)
#: The libraries that the function imports and Lambda's runtime lacks.
LIBRARIES = (
    "aws_lambda_powertools",
    "requests",
    "certifi",
    "charset_normalizer",
    "idna",
    "typing_extensions",
)


class House:
    """The installed notifications, and the sinks in which they end."""

    def __init__(self, emulator: Any, configuration: Configuration, names: Names) -> None:
        self.emulator, self.configuration, self.names = emulator, configuration, names
        self.bus = EventBus(emulator.client("events"), names.bus, names.environment)
        self.sink = f"http://{emulator.settings.network}.0.5:8090"

    def deploy(self, deployment: str, times: int = 1) -> float:
        """Publishes a whole deployment as its steps do, each event so many times; answers how long that held
        them up, in seconds."""
        began = time.monotonic()
        for kind, detail in DEPLOYMENT:
            for _ in range(times):
                self.bus.publish(kind, {"deployment": deployment, "version": f"of-{deployment}", **detail})
        return time.monotonic() - began

    def speak(self, locale: str) -> None:
        self.configure(locale=locale)

    def configure(self, **other: Any) -> None:
        """What another `cdk deploy` with something else in the configuration would change."""
        table = {**self.configuration.notifications.for_function(), **other}
        self.emulator.client("ssm").put_parameter(
            Name=self.names.notifications_parameter, Value=json.dumps(table), Type="String", Overwrite=True
        )

    def behave(self, **behaviour: Any) -> None:
        body = json.dumps(behaviour).encode()
        OPENER.open(urllib.request.Request(f"{self.sink}/behaviour", body, method="PUT"), timeout=5).close()

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Given an other side of every channel on whose port nobody listens, until it is left."""
        functions, name = self.emulator.client("lambda"), self.names.named("notify")
        own = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        nowhere = f"http://127.0.0.1:{free_port()}"
        services = {f"AWS_ENDPOINT_URL_{service}": nowhere for service in ("SESV2", "SNS")}
        plan = self.configuration.notifications.for_function()
        addresses = {"slack": "api_url", "pagerduty": "url", "application": "url"}
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**own, **services}}
        )
        self.configure(**{channel: {**plan[channel], key: nowhere} for channel, key in addresses.items()})
        try:
            yield
        finally:
            self.configure()
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": own})

    def refused(self, reason: str) -> set[str]:
        """The channels of which a message stands as refused for this reason."""
        found = self.emulator.client("dynamodb").scan(TableName=self.names.journal)["Items"]
        noted = [item for item in found if reason in item.get("reason", {}).get("S", "")]
        return {item["sk"]["S"].partition("#")[0] for item in noted if item["state"]["S"] == "REFUSED"}

    def at_rest(self) -> bool:
        """No queue has a message left."""
        queues = self.emulator.client("sqs")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        for channel in self.configuration.notifications.channels:
            url = queues.get_queue_url(QueueName=self.names.notices_queue(channel))["QueueUrl"]
            found = queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if any(int(found[name]) for name in names):
                return False
        return True

    def calls(self, deployment: str, path: str) -> list[Webhook]:
        """What a webhook was sent for a deployment, in order. The name is compared in the parsed body: on the
        wire Korean is escaped."""
        every = [w for w in read_webhooks(self.emulator.settings.root) if w.path.startswith(path)]
        return [w for w in every if f"of-{deployment}" in json.dumps(w.json())]

    def taken(self, deployment: str, path: str = "/slack/") -> list[dict[str, Any]]:
        return [
            w.json() | {"method": w.path.rpartition("/")[2]} for w in self.calls(deployment, path) if w.taken
        ]

    def mails(self, deployment: str, kind: str) -> list[Mail]:
        every = read_mail(self.emulator.settings.root)
        return [m for m in every if m.kind == kind and f"of-{deployment}" in m.text]

    def told(self, deployment: str) -> dict[str, int]:
        """How many messages each channel has taken."""
        return {
            "slack": len(self.taken(deployment)),
            "email": len(self.mails(deployment, "email")),
            "sms": len(self.mails(deployment, "sms")),
            "pagerduty": len(self.taken(deployment, "/pagerduty/")),
            "application": len(self.taken(deployment, "/notices")),
        }


#: Slack: an edit for each event, and a reply for each of the three that matter. PagerDuty's resolution has no text.
EVERYTHING = {"slack": len(DEPLOYMENT) + 3, "email": 3, "sms": 1, "pagerduty": 1, "application": 2}


@pytest.fixture(scope="module")
def house(emulator_with: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with emulator_with(tmp_path_factory.mktemp("people")) as emulator:
        text = (DIRECTORY / "sandbox.toml").read_text()
        text = text.replace("127.1.0.5", f"{emulator.settings.network}.0.5")
        folder = tmp_path_factory.mktemp("configuration")
        (folder / "sandbox.toml").write_text(text)
        configuration = load("sandbox", folder)
        names = Names(configuration.environment, emulator.settings.account, emulator.settings.region)
        install(emulator, names, configuration, tmp_path_factory.mktemp("assets"))
        yield House(emulator, configuration, names)


def install(emulator: Any, names: Names, configuration: Configuration, folder: Path) -> None:
    """The control plane's own template of journal, bus, notifications and status page, by CloudFormation."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": names.region})
    own = ((path, path.relative_to(LAMBDAS)) for path in package_files())
    s3.put_object(Bucket="code", Key="code.zip", Body=zipped(own))
    layer = emulator.client("lambda").publish_layer_version(
        LayerName="libraries", Content={"ZipFile": zipped(libraries())}
    )
    app = cdk.App(outdir=str(folder))
    stack = cdk.Stack(app, "people", synthesizer=cdk.LegacyStackSynthesizer(), analytics_reporting=False)
    code = Code("code", "code.zip", layer["LayerVersionArn"])
    journal(stack, names, keep=False)
    bus(stack, names)
    notifications(stack, names, configuration, code)
    configuration_parameter(stack, names, configuration)
    status_page(stack, names, code, public=configuration.status_page.public)
    app.synth()
    formation = emulator.client("cloudformation")
    formation.create_stack(
        StackName="people",
        TemplateBody=(folder / "people.template.json").read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )

    def ended() -> Any:
        found = formation.describe_stacks(StackName="people")["Stacks"][0]
        return None if found["StackStatus"].endswith("IN_PROGRESS") else found

    found = emulator.wait_for(ended, seconds=60, what="the end of the stack")
    assert found["StackStatus"] == "CREATE_COMPLETE", found.get("StackStatusReason")
    emulator.client("sesv2").create_email_identity(EmailIdentity="cutover@cutover.test")
    queues = emulator.client("sqs")
    for channel in configuration.notifications.channels:
        url = queues.get_queue_url(QueueName=names.notices_queue(channel))["QueueUrl"]
        queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(TRY_AGAIN_SECONDS)})


def libraries() -> Iterator[tuple[Path, Path]]:
    """This environment's own copies, which are pinned alike: the layer itself is installed in e2e."""
    for name in LIBRARIES:
        origin = Path(str(importlib.import_module(name).__file__))
        package = origin.name == "__init__.py"
        site = origin.parents[1] if package else origin.parent
        for path in origin.parent.rglob("*") if package else [origin]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, Path("python", path.relative_to(site))


def zipped(files: Iterable[tuple[Path, Path]]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path, name in files:
            file.write(path, name)
    return archive.getvalue()


def check(house: House, deployment: str, *, korean: bool) -> None:
    """Everything arrived exactly once, in order, in its language."""
    house.emulator.wait_for(lambda: house.told(deployment) == EVERYTHING, seconds=60, what="everything")
    posts = house.taken(deployment)
    live = [post for post in posts if "thread_ts" not in post]
    assert [post["method"] for post in live] == ["chat.postMessage"] + ["chat.update"] * (len(DEPLOYMENT) - 1)
    assert [len(post["text"].splitlines()) for post in live] == list(range(2, 2 + len(DEPLOYMENT)))
    final = live[-1]["text"].splitlines()[1:]
    assert [entry.split(" ")[1] for entry in final] == ["·", "✓", "→", "↩", "✗", "●"]
    assert len({post.get("ts") or post.get("thread_ts") for post in posts[1:]}) == 1
    mails = [mail.text for kind in ("email", "sms") for mail in house.mails(deployment, kind)]
    for text in [*(post["text"] for post in posts), *mails]:
        assert korean == any("가" <= letter <= "힣" for letter in text), text


def test_a_deployment_is_told_once_in_order_and_in_its_language(house: House) -> None:
    # As if each of its steps had died after it had told, and had been run again.
    house.deploy("plain", times=2)
    check(house, "plain", korean=True)
    house.emulator.wait_for(house.at_rest, what="empty queues")
    assert house.told("plain") == EVERYTHING
    ids = [call.headers["webhook-id"] for call in house.calls("plain", "/notices")]
    assert [id.partition("-")[0] for id in ids] == ["RolledBack", "DeploymentSucceeded"]
    house.speak("en")
    house.deploy("english")
    check(house, "english", korean=False)
    house.speak("ko")
    calls = [
        webhook.json()
        for webhook in read_webhooks(house.emulator.settings.root)
        if webhook.path.startswith("/pagerduty/")
    ]
    assert [call["event_action"] for call in calls] == ["trigger", "resolve"] * 2
    assert {call["dedup_key"] for call in calls} == {"cutover-sandbox"}


def test_sinks_in_trouble_hold_nobody_up_and_get_everything_once_they_are_well(house: House) -> None:
    """SES and SNS as well."""
    house.behave(status=500, delay_seconds=2, path="/slack/")
    house.behave(status=429, path="/ses/")
    house.behave(garbage=True, delay_seconds=2, path="/sns/")
    try:
        # Six events that waited for their answers would take twelve seconds.
        assert house.deploy("refused") < 8
        well = {name: EVERYTHING[name] for name in ("pagerduty", "application")}
        house.emulator.wait_for(
            lambda: well.items() <= house.told("refused").items(), what="the channels that are well"
        )
        reasons = {"slack": "answered 500", "email": "TooManyRequests", "sms": "Unable to parse"}
        house.emulator.wait_for(
            lambda: all(channel in house.refused(reason) for channel, reason in reasons.items()),
            what="a try of each",
        )
        assert house.told("refused") == {**dict.fromkeys(EVERYTHING, 0), **well}
    finally:
        house.behave()
    check(house, "refused", korean=True)


def test_other_sides_that_refuse_connections_get_everything_once_they_listen(house: House) -> None:
    with house.unplugged():
        assert house.deploy("unplugged") < 8
        # Slack's, PagerDuty's and the application's error is requests's; SES's and SNS's is boto3's.
        house.emulator.wait_for(
            lambda: house.refused("ConnectionError") | house.refused("Could not connect") == set(EVERYTHING),
            what="a try of every channel",
        )
        assert not any(house.told("unplugged").values())
    check(house, "unplugged", korean=True)


def test_an_event_that_is_delivered_five_times_is_told_once(house: House) -> None:
    queues = house.emulator.client("sqs")
    url = queues.get_queue_url(QueueName=house.names.notices_queue("email"))["QueueUrl"]
    # Its detail has no identity: the envelope's id is what is told once.
    event = {
        "id": "e5",
        "detail-type": "DeploymentSucceeded",
        "time": "2026-03-04T12:00:00Z",
        "detail": {"environment": "sandbox", "deployment": "five", "version": "of-five"},
    }
    for number in range(5):
        queues.send_message(
            QueueUrl=url,
            MessageBody=json.dumps(event),
            MessageGroupId="sandbox",
            MessageDeduplicationId=f"delivery-{number}",
        )
    house.emulator.wait_for(house.at_rest, what="empty queues")
    assert len(house.mails("five", "email")) == 1


def test_a_report_is_mailed_with_its_page_and_the_pictures_beside_it(house: House) -> None:
    bucket, key = house.names.artifacts_bucket, "reports/1/report.ko.html"
    where = {"LocationConstraint": house.emulator.settings.region}
    storage = house.emulator.client("s3")
    storage.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    page = f'<h1>of-report</h1><img src="data:image/png;base64,{base64.b64encode(b"PNG").decode()}">'
    storage.put_object(Bucket=bucket, Key=key, Body=page.encode())
    told = {
        "title": {"ko": "일간 보고서", "en": "Daily report"},
        "text": {"ko": "of-report: 본문", "en": "of-report: text"},
        "files": {"report.ko.html": key},
    }
    house.bus.publish("ReportReady", {"deployment": "report", "version": "of-report", **told})
    house.emulator.wait_for(lambda: house.mails("report", "email"), what="the mail")
    (mail,) = house.mails("report", "email")
    assert mail.subject == "[Cutover] 일간 보고서"
    assert "of-report: 본문" in mail.text
    assert 'src="cid:1@reports.cutover"' in mail.html


def test_the_status_page_is_served_by_the_installed_function(house: House) -> None:
    host, port = address(house.emulator.settings.network)
    with OPENER.open(f"http://{host}:{port}/api/status", timeout=30) as answer:
        shown = json.loads(answer.read())
    assert (shown["environment"], shown["live"], shown["deployment"]) == ("sandbox", None, None)
    feedback = json.dumps({"text": "<b>good</b>", "rating": "good"}).encode()
    OPENER.open(urllib.request.Request(f"http://{host}:{port}/api/feedback", feedback), timeout=30).close()
    found = house.emulator.client("dynamodb").query(
        TableName=house.names.journal,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "FEEDBACK"}},
    )
    assert [item["text"]["S"] for item in found["Items"]] == ["<b>good</b>"]
