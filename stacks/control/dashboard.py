"""The control plane's own dashboard, beside the environment's: is what deploys well itself?"""

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.naming import CONTROL_FUNCTIONS, ENVIRONMENT_FUNCTIONS, PEOPLE_FUNCTIONS, Names

PERIOD_SECONDS = 300
#: The queues for what could not be delivered (stacks/control/events.py).
DEAD_LETTERS = tuple(f"{rule}-dead-letters" for rule in ("alarm", "ended", "launch", "evidence", "reports"))
#: A deployment's phases may take 375 minutes in all (requirement C): a lock that is older is stuck.
LONGEST_SECONDS = 375 * 60
Metric = list[Any]


def control_dashboard(scope: Construct, names: Names, channels: Sequence[str]) -> cloudwatch.CfnDashboard:
    """Make cutover-ENV-control. `channels` are those by which people are told."""
    body = {"widgets": widgets(names, channels)}
    return cloudwatch.CfnDashboard(
        scope,
        "Dashboard",
        dashboard_name=names.control_stack,
        dashboard_body=cdk.Stack.of(scope).to_json_string(body),
    )


def widgets(names: Names, channels: Sequence[str]) -> list[dict[str, Any]]:
    """Executions, rollbacks, functions, what was not delivered or waits for that, and the lock."""
    functions = [*CONTROL_FUNCTIONS, *PEOPLE_FUNCTIONS, *ENVIRONMENT_FUNCTIONS]

    def machine(metric: str, stat: str) -> Metric:
        return ["AWS/States", metric, "StateMachineArn", names.state_machine_arn, {"stat": stat}]

    def own(metric: str, stat: str) -> Metric:
        return ["Cutover", metric, "Environment", names.environment, {"stat": stat}]

    def of_functions(metric: str, stat: str) -> list[Metric]:
        return [
            ["AWS/Lambda", metric, "FunctionName", names.named(name), {"stat": stat, "label": name}]
            for name in functions
        ]

    def waiting(queues: Sequence[str]) -> list[Metric]:
        metric = "ApproximateNumberOfMessagesVisible"
        return [["AWS/SQS", metric, "QueueName", queue, {"stat": "Maximum"}] for queue in queues]

    undelivered = [names.named(queue) for queue in DEAD_LETTERS]
    if channels:
        undelivered.append(names.named("notices-dead-letters"))
        undelivered += [names.notices_queue(f"dead-{channel}") for channel in channels]
    to_tell = waiting([names.notices_queue(channel) for channel in channels])

    graphs: list[tuple[str, list[Metric], float | None]] = [
        (
            "Deployments",
            [
                machine(f"Executions{how}", "Sum")
                for how in ("Started", "Succeeded", "Failed", "Aborted", "TimedOut")
            ],
            None,
        ),
        (
            "A deployment's duration, ms",
            [machine("ExecutionTime", "Average"), machine("ExecutionTime", "Maximum")],
            None,
        ),
        (
            "Rollbacks, ms",
            [
                own("RollbackMilliseconds", "Maximum"),
                own("DetectionMilliseconds", "Maximum"),
                own("FirstBadToModifiedMilliseconds", "Maximum"),
                own("AskedToLastBadMilliseconds", "Maximum"),
            ],
            30_000,  # A5
        ),
        ("Rollbacks", [own("Rollbacks", "Sum")], None),
        (
            "DORA, the last 30 days: deployments a day, share that failed",
            [own("DeploymentsPerDay", "Average"), own("ChangeFailureRate", "Average")],
            None,
        ),
        (
            "DORA, the last 30 days: medians, s",
            [own("LeadTimeSeconds", "Average"), own("TimeToRestoreSeconds", "Average")],
            None,
        ),
        ("Errors of functions", of_functions("Errors", "Sum"), None),
        ("Throttles of functions", of_functions("Throttles", "Sum"), None),
        ("Durations of functions, ms", of_functions("Duration", "Maximum"), None),
        ("Not delivered", waiting(undelivered), None),
        *([("People have not been told yet", to_tell, None)] if channels else []),
        ("The lock has been held for, s", [own("LockHeldSeconds", "Maximum")], LONGEST_SECONDS),
    ]
    return [
        {
            "type": "metric",
            "width": 12,
            "height": 6,
            "x": 12 * (index % 2),
            "y": 6 * (index // 2),
            "properties": {
                "title": title,
                "region": names.region,
                "view": "timeSeries",
                "period": PERIOD_SECONDS,
                "metrics": metrics,
                **({"annotations": {"horizontal": [{"label": "limit", "value": limit}]}} if limit else {}),
            },
        }
        for index, (title, metrics, limit) in enumerate(graphs)
    ]
