"""The environment: one template without assets, which the provision step makes a change set of."""

import aws_cdk as cdk
from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import Code
from stacks.environment.balancer import Weights, balancer
from stacks.environment.data import data
from stacks.environment.functions import environment_functions
from stacks.environment.instances import instances
from stacks.environment.monitoring import monitoring
from stacks.environment.network import network
from stacks.environment.release import release_document
from stacks.environment.security import security_groups
from stacks.naming import Names


class EnvironmentStack(cdk.Stack):
    """Network, data, service, monitoring, and the functions inside the network."""

    def __init__(self, scope: Construct, names: Names, configuration: Configuration) -> None:
        super().__init__(
            scope,
            names.environment_stack,
            stack_name=names.environment_stack,
            description=f"The environment {names.environment} that Cutover deploys to",
            env=cdk.Environment(account=names.account, region=names.region),
            synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            analytics_reporting=False,
            tags={"cutover-environment": names.environment},
        )
        code = Code(
            self._text("CodeBucket", "Where the functions' code lies"),
            self._text("CodeKey", "The code's object key"),
            self._text("LayerArn", "The layer with the functions' libraries"),
        )
        live = Weights(self._weight("BlueWeight", 100), self._weight("GreenWeight", 0))
        test = Weights(self._weight("TestBlueWeight", 0), self._weight("TestGreenWeight", 100))

        net = network(self, names, configuration)
        groups = security_groups(self, names, configuration, net)
        stores = data(self, names, configuration, network=net, groups=groups)
        front = balancer(
            self, names, configuration, network=net, groups=groups, data=stores, live=live, test=test
        )
        instances(self, names, configuration, network=net, groups=groups, data=stores, front=front)
        release_document(self, names, configuration, stores, front)
        monitoring(self, names, configuration, front)
        environment_functions(
            self, names, configuration, code, network=net, groups=groups, data=stores, front=front
        )

        backend = configuration.backend
        outputs = {
            "ListenerArn": front.listener.ref,
            "TestListenerArn": front.test_listener.ref,
            "BlueTargetGroupArn": front.target_groups["blue"].ref,
            "GreenTargetGroupArn": front.target_groups["green"].ref,
            "LoadBalancerDns": front.balancer.attr_dns_name,
            "Domain": backend.domain,
            "ListenerPort": str(backend.listener_port),
            "TestListenerPort": str(backend.test_listener_port),
            "BlueGroup": names.group("blue"),
            "GreenGroup": names.group("green"),
            "ReleaseDocument": names.release_document,
            "Dashboard": names.prefix,
            "DatabaseEndpoint": stores.database_endpoint,
            "DatabasePort": stores.database_port,
            "RedisEndpoint": stores.redis_endpoint,
            "RedisPort": stores.redis_port,
            "FilesBucket": stores.files_bucket,
            "ContainersPerInstance": str(backend.containers_per_instance),
            "FirstPort": str(backend.first_port),
        }
        for name, value in outputs.items():
            # The outputs' scope is their own, so that a name may also be a construct's.
            output = cdk.CfnOutput(self, f"Output{name}", value=value)
            output.override_logical_id(name)

    def _text(self, name: str, description: str) -> str:
        return cdk.CfnParameter(self, name, type="String", description=description).value_as_string

    def _weight(self, name: str, default: int) -> str:
        """A weight's parameter; the name, because a listener takes it as a number by reference."""
        cdk.CfnParameter(
            self,
            name,
            type="Number",
            default=default,
            min_value=0,
            max_value=999,
            description="Set by the deployments, which read it from the listener",
        )
        return name
