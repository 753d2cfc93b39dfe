"""The host of the monitoring tier (requirement B8): one machine that comes back by itself.

What runs on it (Prometheus, Grafana, Alertmanager, ELK) is brought by a release, like all that runs.
"""

from constructs import Construct

from config.model import Configuration
from stacks.environment.machines import Machine, auto_scaling_group, launch_template
from stacks.environment.stack import EnvironmentStack
from stacks.naming import Names


def monitoring_host(stack: EnvironmentStack, names: Names, configuration: Configuration) -> None:
    """Make cutover-ENV-monitoring: an Auto Scaling group of one."""
    here = Construct(stack, "MonitoringHost")
    shape = configuration.monitoring
    machine = Machine(
        name="monitoring",
        role="monitoring",
        purpose="Runs the monitoring tier",
        instance_type=shape.instance_type,
        ami=shape.ami,
        disk_gb=shape.disk_gb,
        security_group=stack.given("MonitoringSecurityGroup"),
    )
    auto_scaling_group(
        here,
        "Group",
        names.monitoring_group,
        launch_template(here, names, machine),
        count=1,
        subnets=stack.given_subnets("Private"),
        tags={"cutover-environment": names.environment},
    )
