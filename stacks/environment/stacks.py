"""The environment's four stacks: what stands in each, what it is given and what it hands on."""

from config.model import Configuration
from stacks.environment.balancer import balancer
from stacks.environment.data import data
from stacks.environment.error_log import error_log_document
from stacks.environment.functions import database_function, service_functions
from stacks.environment.instances import instances
from stacks.environment.monitoring import monitoring
from stacks.environment.monitoring_host import monitoring_host
from stacks.environment.network import network
from stacks.environment.release import release_documents
from stacks.environment.rotation import rotation
from stacks.environment.scan import scan_project
from stacks.environment.security import security_groups
from stacks.environment.stack import EnvironmentStack
from stacks.naming import Names


class NetworkStack(EnvironmentStack):
    """Who can reach whom: the network and all security groups (B1, B2)."""

    template = "network"

    def build(self, names: Names, configuration: Configuration) -> None:
        net = network(self, names, configuration)
        groups = security_groups(self, names, configuration, net)
        self.hand_on(
            {
                "VpcId": net.vpc,
                **{f"PublicSubnet{n}": subnet for n, subnet in enumerate(net.public_subnets, start=1)},
                **{f"PrivateSubnet{n}": subnet for n, subnet in enumerate(net.private_subnets, start=1)},
                **{f"{name}SecurityGroup": group for name, group in groups.items()},
            }
        )


class DataStack(EnvironmentStack):
    """What is kept, and the function that migrates it (B4, B5, B6)."""

    template = "data"

    def build(self, names: Names, configuration: Configuration) -> None:
        stores = data(self, names, configuration)
        database_function(self, names, configuration, stores)
        rotation(self, names, configuration, stores)
        self.hand_on(
            {
                "DatabaseEndpoint": stores.database_endpoint,
                "DatabasePort": stores.database_port,
                "RedisEndpoint": stores.redis_endpoint,
                "RedisPort": stores.redis_port,
                "FilesBucket": stores.files_bucket,
                "LogsBucket": stores.logs_bucket,
                # Names for policies, not what is inside.
                **{f"{name}SecretArn": arn for name, arn in stores.secrets.items()},
            }
        )


class ServiceStack(EnvironmentStack):
    """The front door, what stands behind it, and the functions that try it (B3, B7)."""

    template = "service"

    def build(self, names: Names, configuration: Configuration) -> None:
        front = balancer(self, names, configuration)
        instances(self, names, configuration, front)
        release_documents(self, names, configuration, front)
        error_log_document(self, names, configuration)
        service_functions(self, names, configuration, front)
        scan_project(self, names, configuration, front)
        backend, frontend = configuration.backend, configuration.frontend
        targets, pages = front.target_groups["backend"], front.target_groups["frontend"]
        self.hand_on(
            {
                "ListenerArn": front.listener.ref,
                "TestListenerArn": front.test_listener.ref,
                "BlueTargetGroupArn": targets["blue"].ref,
                "GreenTargetGroupArn": targets["green"].ref,
                "BlueTargetGroupFullName": targets["blue"].attr_target_group_full_name,
                "GreenTargetGroupFullName": targets["green"].attr_target_group_full_name,
                "LoadBalancerDns": front.balancer.attr_dns_name,
                "LoadBalancerFullName": front.balancer.attr_load_balancer_full_name,
                "Domain": backend.domain,
                "ListenerPort": str(backend.listener_port),
                "TestListenerPort": str(backend.test_listener_port),
                "BlueGroup": names.group("blue"),
                "GreenGroup": names.group("green"),
                "ReleaseDocument": names.release_document,
                "ContainersPerInstance": str(backend.containers_per_instance),
                "FirstPort": str(backend.first_port),
                "FrontendRuleArn": front.frontend_rule.ref,
                "FrontendTestRuleArn": front.frontend_test_rule.ref,
                "FrontendBlueTargetGroupArn": pages["blue"].ref,
                "FrontendGreenTargetGroupArn": pages["green"].ref,
                "FrontendBlueTargetGroupFullName": pages["blue"].attr_target_group_full_name,
                "FrontendGreenTargetGroupFullName": pages["green"].attr_target_group_full_name,
                "FrontendDomain": frontend.domain,
                "FrontendBlueGroup": names.group("blue", "frontend"),
                "FrontendGreenGroup": names.group("green", "frontend"),
                "FrontendReleaseDocument": names.document("frontend"),
                "FrontendContainersPerInstance": str(frontend.containers_per_instance),
                "FrontendFirstPort": str(frontend.first_port),
            }
        )


class MonitoringStack(EnvironmentStack):
    """What watches (D1), and the machine of the monitoring tier (B8)."""

    template = "monitoring"

    def build(self, names: Names, configuration: Configuration) -> None:
        monitoring(self, names, configuration)
        digest = monitoring_host(self, names, configuration)
        self.hand_on(
            {
                "Dashboard": names.prefix,
                "MonitoringGroup": names.monitoring_group,
                "MonitoringDocument": names.monitoring_document,
                "MonitoringDigest": digest,
            }
        )


#: In the order of TEMPLATES.
STACKS = (NetworkStack, DataStack, ServiceStack, MonitoringStack)
