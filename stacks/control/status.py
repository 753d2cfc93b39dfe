"""The status page (requirement A4): one function serves page and data, by an HTTP API behind CloudFront."""

from aws_cdk import CfnOutput
from aws_cdk import aws_apigatewayv2 as api
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.function import Code, Function, FunctionSpec, log_group, make_function
from stacks.constructs.policy import Statement, acknowledge
from stacks.control.edge import edge
from stacks.naming import Names

#: Requests in a second for everybody together: each of CloudFront's edges asks once in a second.
RATE, BURST = 200, 400
#: Feedback is rare.
FEEDBACK = "POST /api/feedback"
FEEDBACK_RATE, FEEDBACK_BURST = 2, 5


def status_page(scope: Construct, names: Names, code: Code, *, public: bool) -> Function:
    """Make the function, and where `public` the API. It may write feedback, by its partitions."""
    here = Construct(scope, "Status")
    table = names.arn("dynamodb", f"table/{names.journal}")
    feedback = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["FEEDBACK", "FEEDBACK_TURN"]}}
    function = make_function(
        here,
        names,
        FunctionSpec(
            name="status",
            purpose="Shows everybody how deployments go, and keeps what users say",
            timeout_seconds=10,
            memory_mb=512,
            statements=[
                Statement(["dynamodb:GetItem", "dynamodb:Query"], [table]),
                Statement(["dynamodb:PutItem"], [table], feedback),
                Statement(["ssm:GetParameter"], [names.arn("ssm", f"parameter{names.parameter}")]),
                Statement(["cloudwatch:GetMetricData"]),
            ],
            environment={"CONFIGURATION_PARAMETER": names.parameter},
        ),
        code,
    )
    if public:
        front = _front(here, names, function)
        origin = f"{front.ref}.execute-api.{names.region}.amazonaws.com"
        CfnOutput(scope, "StatusPage", value=f"https://{edge(here, names, origin).attr_domain_name}/")
    return function


def _front(here: Construct, names: Names, function: Function) -> api.CfnApi:
    front = api.CfnApi(
        here,
        "Api",
        name=names.named("status"),
        protocol_type="HTTP",
        description="The status page of Cutover's deployments",
    )
    integration = api.CfnIntegration(
        here,
        "Integration",
        api_id=front.ref,
        integration_type="AWS_PROXY",
        integration_uri=function.arn,
        payload_format_version="2.0",
    )
    routes = [
        api.CfnRoute(here, id, api_id=front.ref, route_key=key, target=f"integrations/{integration.ref}")
        for id, key in (("Feedback", FEEDBACK), ("Default", "$default"))
    ]
    for route in routes:
        acknowledge(
            route, "AwsSolutions-APIG4", "The page is for everybody; what it shows is chosen for that"
        )
    logs = log_group(here, f"/aws/apigateway/{names.named('status')}", id="AccessLogs")
    stage = api.CfnStage(
        here,
        "Stage",
        api_id=front.ref,
        stage_name="$default",
        auto_deploy=True,
        access_log_settings=api.CfnStage.AccessLogSettingsProperty(
            destination_arn=logs.attr_arn,
            format="$context.requestId $context.httpMethod $context.path $context.status",
        ),
        default_route_settings=api.CfnStage.RouteSettingsProperty(
            throttling_rate_limit=RATE, throttling_burst_limit=BURST
        ),
        route_settings={
            FEEDBACK: {"ThrottlingRateLimit": FEEDBACK_RATE, "ThrottlingBurstLimit": FEEDBACK_BURST}
        },
    )
    for route in routes:
        stage.add_resource_dependency(route)
    lambda_.CfnPermission(
        here,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=function.function.ref,
        principal="apigateway.amazonaws.com",
        source_arn=names.arn("execute-api", f"{front.ref}/*"),
    )
    return front
