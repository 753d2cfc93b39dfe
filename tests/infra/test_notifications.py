"""Events → people, as it is installed: one rule, a queue for each channel, and a function that nobody waits for."""

import json
from types import SimpleNamespace

import aws_cdk as cdk
import pytest

from config.model import load
from config.notifications import Application, Email, Notifications, PagerDuty, Slack, Sms
from cutover.domain.notices import SEVERITY, Severity
from stacks.app import new_app
from stacks.constructs.function import Code
from stacks.control.edge import CACHING_DISABLED
from stacks.control.notifications import MATTERS, MOST_TRIES, notifications
from stacks.control.status import status_page
from stacks.naming import Names
from tests.infra.conftest import Template, checks
from tests.infra.test_iam import role_named, statements

PLAN = Notifications(
    slack=Slack(channel="deployments"),
    email=Email(sender="cutover@example.com", to=("operators@example.com",)),
    sms=Sms(to=("+821012345678",)),
    pagerduty=PagerDuty(),
    application=Application(url="https://api.example.com/notices"),
)


@pytest.fixture(scope="module")
def everybody(tmp_path_factory):
    """What is installed where all five channels are configured."""
    configuration = load("sandbox").model_copy(update={"notifications": PLAN})
    names = Names(configuration.environment, configuration.account, configuration.region)
    out = tmp_path_factory.mktemp("notifications")
    app = new_app(outdir=str(out))
    checks(app)
    stack = cdk.Stack(app, "notifications", synthesizer=cdk.LegacyStackSynthesizer())
    notifications(stack, names, configuration, Code("code", "key", "layer"))
    app.synth()
    control = Template(out / "notifications.template.json")
    return SimpleNamespace(names=names, configuration=configuration, control=control)


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """The status page where everybody may see it."""
    configuration = load("sandbox")
    names = Names(configuration.environment, configuration.account, configuration.region)
    out = tmp_path_factory.mktemp("status")
    app = new_app(outdir=str(out))
    checks(app)
    stack = cdk.Stack(app, "status", synthesizer=cdk.LegacyStackSynthesizer())
    status_page(stack, names, Code("code", "key", "layer"), public=True)
    app.synth()
    control = Template(out / "status.template.json")
    return SimpleNamespace(names=names, control=control, environment=Template())


def queue_of(control, arn):
    return control.resources[arn["Fn::GetAtt"][0]]["Properties"]


def test_the_rule_hands_everything_of_ours_to_every_channels_queue(everybody):
    rule = everybody.control.named("AWS::Events::Rule", "Name", everybody.names.named("notices"))
    assert rule["EventPattern"] == {"source": ["cutover"]}
    assert rule["EventBusName"] == everybody.names.bus
    assert [target["Id"] for target in rule["Targets"]] == everybody.configuration.notifications.channels
    for target in rule["Targets"]:
        queue = queue_of(everybody.control, target["Arn"])
        assert queue["QueueName"] == everybody.names.notices_queue(target["Id"])
        assert target["SqsParameters"] == {"MessageGroupId": "sandbox"}
        undelivered = queue_of(everybody.control, target["DeadLetterConfig"]["Arn"])
        assert undelivered["QueueName"] == everybody.names.named("notices-dead-letters")


def test_a_channels_queue_keeps_the_order_and_gives_up_late(everybody):
    plan = everybody.configuration.notifications
    for channel in plan.channels:
        queue = everybody.control.named(
            "AWS::SQS::Queue", "QueueName", everybody.names.notices_queue(channel)
        )
        assert queue["FifoQueue"]
        assert queue["VisibilityTimeout"] >= plan.function_seconds
        assert queue["RedrivePolicy"]["maxReceiveCount"] == MOST_TRIES
        dead = queue_of(everybody.control, queue["RedrivePolicy"]["deadLetterTargetArn"])
        assert dead["FifoQueue"], "SQS wants the dead letters of a FIFO queue in one"
    for mapping in everybody.control.of("AWS::Lambda::EventSourceMapping").values():
        assert mapping["BatchSize"] == 1


def test_the_function_is_called_for_what_a_channel_takes_and_not_to_tell_nobody(everybody):
    assert set(MATTERS) == {kind for kind, severity in SEVERITY.items() if severity > Severity.INFO}
    for mapping in everybody.control.of("AWS::Lambda::EventSourceMapping").values():
        channel = queue_of(everybody.control, mapping["EventSourceArn"])["QueueName"]
        if channel == everybody.names.notices_queue("slack"):
            assert "FilterCriteria" not in mapping
        else:
            (only,) = mapping["FilterCriteria"]["Filters"]
            assert json.loads(only["Pattern"]) == {"body": {"detail-type": list(MATTERS)}}


def test_where_nobody_is_told_there_is_no_rule_and_no_queue(staging):
    assert not staging.configuration.notifications.channels
    rules = staging.control.of("AWS::Events::Rule").values()
    assert staging.names.named("notices") not in {rule["Name"] for rule in rules}
    assert not staging.control.of("AWS::Lambda::EventSourceMapping")


def test_the_function_may_use_the_configured_channels_and_no_more(everybody):
    role = everybody.control.one("AWS::IAM::Role")
    own = role["Policies"][0]["PolicyDocument"]["Statement"]
    allowed = {action for statement in own for action in statement["Action"]}
    queues = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    assert queues | {"ses:SendEmail", "sns:Publish", "secretsmanager:GetSecretValue"} <= allowed
    assert not any(action.startswith(("states:", "elasticloadbalancing:")) for action in allowed)
    for statement in own:
        if statement["Action"] in (["sns:Publish"], ["ses:SendEmail", "ses:SendRawEmail"]):
            assert not any("*" in resource for resource in statement["Resource"])


def test_no_token_stands_in_template_or_parameter(everybody):
    parameter = everybody.control.named("AWS::SSM::Parameter", "Name", "/cutover/sandbox/notifications")
    assert "token" not in json.loads(parameter["Value"])
    for secret in everybody.control.of("AWS::SecretsManager::Secret").values():
        assert "SecretString" not in secret


def test_the_status_page_is_throttled_and_writes_feedback_and_nothing_else(public):
    stage = public.control.one("AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
    assert stage["RouteSettings"]["POST /api/feedback"]["ThrottlingRateLimit"] < 10
    (write,) = [s for s in statements(role_named(public, "status")) if "dynamodb:PutItem" in s["Action"]]
    assert write["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["FEEDBACK", "FEEDBACK_TURN"]}
    }


def test_everybody_comes_by_the_distribution_which_asks_the_api_once_a_second(public):
    (distribution,) = public.control.of("AWS::CloudFront::Distribution").values()
    config = distribution["DistributionConfig"]
    (origin,) = config["Origins"]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    behaviours = {each["PathPattern"]: each for each in config["CacheBehaviors"]}
    policies = {
        name: resource["Properties"]["CachePolicyConfig"]
        for name, resource in public.control.resources.items()
        if resource["Type"] == "AWS::CloudFront::CachePolicy"
    }
    assert policies[behaviours["/api/status"]["CachePolicyId"]["Ref"]]["MaxTTL"] == 1
    assert behaviours["/api/feedback"]["CachePolicyId"] == CACHING_DISABLED
    for behaviour in (config["DefaultCacheBehavior"], *behaviours.values()):
        assert behaviour["ViewerProtocolPolicy"] in {"https-only", "redirect-to-https"}
        assert ("POST" in behaviour["AllowedMethods"]) == (behaviour.get("PathPattern") == "/api/feedback")
    for policy in policies.values():
        asked = policy["ParametersInCacheKeyAndForwardedToOrigin"]
        assert asked["CookiesConfig"]["CookieBehavior"] == "none", (
            "a cookie would make an entry for each viewer"
        )


def test_a_page_that_is_not_public_has_no_api(each):
    assert not each.configuration.status_page.public
    assert not each.control.of("AWS::ApiGatewayV2::Api")


def test_the_state_machine_knows_nothing_of_it(each):
    for machine in each.control.of("AWS::StepFunctions::StateMachine").values():
        assert "notify" not in json.dumps(machine)
