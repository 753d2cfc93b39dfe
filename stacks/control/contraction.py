"""The contraction of a release's schema after its watch: state machine, schedules' group, schedules' role.

A deployment makes a one-time schedule in the group when it goes live; a rollback deletes it.
"""

from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.constructs.code import ROOT
from stacks.constructs.function import Function
from stacks.constructs.policy import Statement, role
from stacks.constructs.state_machine import state_machine
from stacks.naming import Names

DEFINITION = ROOT / "statemachines" / "contract.asl.json"


@dataclass(frozen=True)
class Contraction:
    """What the deployment's state machine has to know to schedule one."""

    machine: sfn.CfnStateMachine
    group: scheduler.CfnScheduleGroup
    role: iam.CfnRole

    @property
    def substitutions(self) -> dict[str, str]:
        return {
            "ContractionMachine": self.machine.ref,
            "ContractionGroup": self.group.ref,
            "ContractionRole": self.role.attr_arn,
        }

    def statements(self, names: Names) -> list[Statement]:
        """Make schedules in this group that use this role; nothing else."""
        return [
            Statement(["scheduler:CreateSchedule"], [names.contractions_arn]),
            Statement(
                ["iam:PassRole"],
                [self.role.attr_arn],
                {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
            ),
        ]


def contraction(scope: Construct, names: Names, functions: dict[str, Function]) -> Contraction:
    """Make all three."""
    here = Construct(scope, "Contraction")
    machine = state_machine(
        here,
        names,
        "contract",
        definition=DEFINITION,
        substitutions={
            "JournalFunction": functions["journal"].arn,
            "DatabaseFunction": names.function_arn("database"),
        },
        statements=[
            Statement(["lambda:InvokeFunction"], [functions["journal"].arn, names.function_arn("database")])
        ],
        purpose="Contracts the schema after a release's watch",
    )
    its_role = role(
        here,
        names,
        "contractions",
        service="scheduler.amazonaws.com",
        purpose="Starts the contraction of a release's schema",
        statements=[Statement(["states:StartExecution"], [machine.ref])],
    )
    group = scheduler.CfnScheduleGroup(here, "Group", name=names.contractions)
    return Contraction(machine, group, its_role)
