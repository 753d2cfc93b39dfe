"""The environment's template against the requirements of section B, and against the contract with the functions."""

import json
import re

import pytest

from stacks.environment.data import service_windows

OUTPUTS = {
    "ListenerArn",
    "TestListenerArn",
    "BlueTargetGroupArn",
    "GreenTargetGroupArn",
    "LoadBalancerDns",
    "Domain",
    "ListenerPort",
    "TestListenerPort",
    "BlueGroup",
    "GreenGroup",
    "ReleaseDocument",
    "Dashboard",
    "DatabaseEndpoint",
    "DatabasePort",
    "RedisEndpoint",
    "RedisPort",
    "FilesBucket",
    "ContainersPerInstance",
    "FirstPort",
}
PARAMETERS = {
    "CodeBucket": "String",
    "CodeKey": "String",
    "LayerArn": "String",
    "BlueWeight": "Number",
    "GreenWeight": "Number",
    "TestBlueWeight": "Number",
    "TestGreenWeight": "Number",
}
DYNAMIC = "{{resolve:secretsmanager:"


def test_the_network_is_that_of_b1(staging):
    template = staging.environment
    assert template.one("AWS::EC2::VPC")["CidrBlock"] == "10.1.0.0/16"
    subnets = {p["CidrBlock"]: p["AvailabilityZone"] for p in template.of("AWS::EC2::Subnet").values()}
    assert subnets == {
        "10.1.1.0/24": "ap-northeast-2a",
        "10.1.2.0/24": "ap-northeast-2c",
        "10.1.10.0/24": "ap-northeast-2a",
        "10.1.11.0/24": "ap-northeast-2c",
    }


def test_each_zone_has_a_nat_gateway_in_its_public_subnet_and_a_route_to_it(staging):
    template = staging.environment
    subnets = template.of("AWS::EC2::Subnet")
    gateways = template.of("AWS::EC2::NatGateway")
    zones = {subnets[g["SubnetId"]["Ref"]]["AvailabilityZone"] for g in gateways.values()}
    assert zones == {"ap-northeast-2a", "ap-northeast-2c"}
    routes = [p for p in template.of("AWS::EC2::Route").values() if "NatGatewayId" in p]
    associations = {
        p["RouteTableId"]["Ref"]: subnets[p["SubnetId"]["Ref"]]
        for p in template.of("AWS::EC2::SubnetRouteTableAssociation").values()
    }
    for route in routes:
        private = associations[route["RouteTableId"]["Ref"]]
        gateway = gateways[route["NatGatewayId"]["Ref"]]
        assert private["CidrBlock"] in staging.configuration.network.private_subnets
        assert subnets[gateway["SubnetId"]["Ref"]]["AvailabilityZone"] == private["AvailabilityZone"]
    assert len(routes) == 2


def test_no_subnet_gives_public_addresses_away(each):
    assert not any(p["MapPublicIpOnLaunch"] for p in each.environment.of("AWS::EC2::Subnet").values())


def test_the_groups_admit_what_b2_says_and_no_more(staging):
    template = staging.environment
    groups = {id: p["GroupName"] for id, p in template.of("AWS::EC2::SecurityGroup").items()}

    def name(reference):
        return groups[reference["Fn::GetAtt"][0]]

    between = {
        (name(p["SourceSecurityGroupId"]), name(p["GroupId"]), p["FromPort"], p["ToPort"])
        for p in template.of("AWS::EC2::SecurityGroupIngress").values()
    }
    assert between == {
        ("cutover-staging-balancer", "cutover-staging-backend", 8000, 8002),
        ("cutover-staging-backend", "cutover-staging-database", 27017, 27017),
        ("cutover-staging-functions", "cutover-staging-database", 27017, 27017),
        ("cutover-staging-backend", "cutover-staging-cache", 6379, 6379),
    }
    outward = {
        (name(p["GroupId"]), name(p["DestinationSecurityGroupId"]), p["FromPort"], p["ToPort"])
        for p in template.of("AWS::EC2::SecurityGroupEgress").values()
    }
    assert outward == between


def test_only_the_front_door_is_open_to_anywhere(each):
    backend = each.configuration.backend
    for properties in each.environment.of("AWS::EC2::SecurityGroup").values():
        for rule in properties.get("SecurityGroupIngress", []):
            if rule["CidrIp"] == "0.0.0.0/0":
                assert properties["GroupName"] == each.names.named("balancer")
                assert rule["FromPort"] == rule["ToPort"] == backend.listener_port


def test_the_test_listener_is_reached_from_the_network_alone(each):
    backend = each.configuration.backend
    balancer = each.environment.named("AWS::EC2::SecurityGroup", "GroupName", each.names.named("balancer"))
    rules = [r for r in balancer["SecurityGroupIngress"] if r["FromPort"] == backend.test_listener_port]
    addresses = set(each.environment.of("AWS::EC2::EIP"))
    for rule in rules:
        if rule["CidrIp"] == each.configuration.network.cidr:
            continue
        address, mask = rule["CidrIp"]["Fn::Join"][1]
        assert address["Ref"] in addresses
        assert mask == "/32"
    assert len(rules) == 1 + len(addresses)


def test_nothing_listens_for_ssh(each):
    text = json.dumps(each.environment.of("AWS::EC2::SecurityGroup"))
    assert '"FromPort": 22,' not in text


def test_each_colour_has_its_instances_of_b3(staging):
    template = staging.environment
    for colour in ("blue", "green"):
        group = template.named(
            "AWS::AutoScaling::AutoScalingGroup", "AutoScalingGroupName", f"cutover-staging-backend-{colour}"
        )
        assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == ("3", "3", "3")
        (target,) = group["TargetGroupARNs"]
        assert template.resources[target["Ref"]]["Properties"]["Name"] == f"cutover-staging-{colour}"
        assert len(group["VPCZoneIdentifier"]) == 2
        # By the balancer's verdict an idle colour would be replaced for ever.
        assert group["HealthCheckType"] == "EC2"
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"] if tag["PropagateAtLaunch"]}
        assert tags["cutover-environment"] == "staging"
        assert tags["cutover-colour"] == colour
    launch = template.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert launch["InstanceType"] == "t3.large"
    assert "/ubuntu/server/22.04/" in launch["ImageId"]


def test_instances_answer_metadata_version_2_only_and_their_disks_are_encrypted(each):
    launch = each.environment.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert launch["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
    }
    assert all(mapping["Ebs"]["Encrypted"] for mapping in launch["BlockDeviceMappings"])


def test_an_instance_installs_docker_and_its_agents_and_no_release(each):
    text = each.environment.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    for word in ("docker.io", "docker-compose-v2", "aws-cli", "amazon-ssm-agent", "amazon-cloudwatch-agent"):
        assert word in text
    assert "@REGION@" not in text
    assert '"aggregation_dimensions": [["AutoScalingGroupName"]]' in text
    assert len(text.encode()) < 16384, "EC2 takes 16 KB of user data"


def test_the_database_is_that_of_b4(staging):
    template = staging.environment
    cluster = template.one("AWS::DocDB::DBCluster")
    assert cluster["DBClusterIdentifier"] == "cutover-staging"
    assert cluster["StorageEncrypted"] is True
    assert cluster["DeletionProtection"] is True
    assert template.one("AWS::DocDB::DBClusterParameterGroup")["Parameters"]["tls"] == "enabled"
    classes = [p["DBInstanceClass"] for p in template.of("AWS::DocDB::DBInstance").values()]
    assert classes == ["db.t3.medium"] * 3


def test_redis_is_that_of_b5(staging):
    cache = staging.environment.one("AWS::ElastiCache::ReplicationGroup")
    assert cache["EngineVersion"].startswith("7.")
    assert (cache["CacheNodeType"], cache["NumCacheClusters"]) == ("cache.t3.micro", 2)
    assert cache["TransitEncryptionEnabled"] is True
    assert cache["AtRestEncryptionEnabled"] is True
    assert DYNAMIC in json.dumps(cache["AuthToken"])


def test_files_are_encrypted_private_and_kept(staging):
    bucket = staging.environment.named("AWS::S3::Bucket", "BucketName", "cutover-staging-files-111122223333")
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"


def test_every_bucket_refuses_plain_http(each):
    for template in (each.environment, each.control):
        buckets = set(template.of("AWS::S3::Bucket"))
        policies = template.of("AWS::S3::BucketPolicy").values()
        assert {policy["Bucket"]["Ref"] for policy in policies} == buckets
        for policy in policies:
            denied = policy["PolicyDocument"]["Statement"][0]
            assert denied["Effect"] == "Deny"
            assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_balancer_is_that_of_b7(staging):
    template = staging.environment
    for listener in template.of("AWS::ElasticLoadBalancingV2::Listener").values():
        assert listener["Protocol"] == "HTTPS"
        assert listener["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-")
    certificate = template.one("AWS::CertificateManager::Certificate")
    assert certificate["DomainName"] == "api-staging.ai-model-mgmt.com"
    assert certificate["ValidationMethod"] == "DNS"
    for group in template.of("AWS::ElasticLoadBalancingV2::TargetGroup").values():
        assert group["HealthCheckIntervalSeconds"] == 30
        assert group["HealthCheckPath"] == "/health"
        assert group["Port"] == 8000


@pytest.mark.parametrize(
    ("output", "port", "weights"),
    [
        ("ListenerArn", 443, {"Blue": "BlueWeight", "Green": "GreenWeight"}),
        ("TestListenerArn", 8443, {"Blue": "TestBlueWeight", "Green": "TestGreenWeight"}),
    ],
)
def test_the_weights_of_a_listener_are_parameters(staging, output, port, weights):
    template = staging.environment
    listener = template.resources[template.outputs[output]["Value"]["Ref"]]["Properties"]
    assert listener["Port"] == port
    (action,) = listener["DefaultActions"]
    targets = {
        t["TargetGroupArn"]["Ref"]: t["Weight"]["Ref"] for t in action["ForwardConfig"]["TargetGroups"]
    }
    names = {
        template.resources[group]["Properties"]["Name"].rpartition("-")[2].capitalize(): weight
        for group, weight in targets.items()
    }
    assert names == weights
    assert action["ForwardConfig"]["TargetGroupStickinessConfig"] == {"Enabled": False}


def test_no_client_sticks_to_a_target_group(each):
    for group in each.environment.of("AWS::ElasticLoadBalancingV2::TargetGroup").values():
        attributes = {a["Key"]: a["Value"] for a in group["TargetGroupAttributes"]}
        assert attributes["stickiness.enabled"] == "false"


def test_the_parameters_are_those_that_the_provision_step_gives(each):
    found = {name: p["Type"] for name, p in each.environment.body["Parameters"].items()}
    assert found == PARAMETERS


def test_a_first_deployment_has_all_traffic_on_blue_and_tests_on_green(each):
    parameters = each.environment.body["Parameters"]
    defaults = [parameters[n]["Default"] for n in PARAMETERS if n.endswith("Weight")]
    assert defaults == [100, 0, 0, 100]


def test_the_outputs_are_those_that_the_functions_read(each):
    assert set(each.environment.outputs) == OUTPUTS


def test_neither_template_carries_a_secret(each):
    for template in (each.environment, each.control):
        secrets = set(template.of("AWS::SecretsManager::Secret"))
        for text in (json.dumps(template.outputs), json.dumps(template.body.get("Parameters", {}))):
            assert "resolve:" not in text
            assert not any(f'"{secret}"' in text for secret in secrets)
        for function in template.of("AWS::Lambda::Function").values():
            variables = json.dumps(function["Environment"])
            assert "resolve:" not in variables
            assert not re.search(r"password", variables, re.IGNORECASE)
        for launch in template.of("AWS::EC2::LaunchTemplate").values():
            assert "resolve:secretsmanager" not in json.dumps(launch)
        for document in template.of("AWS::SSM::Document").values():
            assert "resolve:" not in json.dumps(document)


def test_dynamic_references_stand_where_a_password_is_set_and_nowhere_else(staging):
    places = {
        (r["Type"], key)
        for r in staging.environment.resources.values()
        for key, value in r["Properties"].items()
        if DYNAMIC in json.dumps(value)
    }
    assert places == {
        ("AWS::DocDB::DBCluster", "MasterUsername"),
        ("AWS::DocDB::DBCluster", "MasterUserPassword"),
        ("AWS::ElastiCache::ReplicationGroup", "AuthToken"),
    }


def test_the_generated_secrets_fit_what_takes_them(staging):
    secrets = {
        p["Name"]: p["GenerateSecretString"]
        for p in staging.environment.of("AWS::SecretsManager::Secret").values()
    }
    assert set(secrets) == {
        f"cutover-staging/{name}"
        for name in ("database-admin", "database-application", "redis", "jwt", "smoke")
    }
    # Redis: 16 to 128 characters, few of the punctuation marks.
    # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html
    assert all(generator["ExcludePunctuation"] for generator in secrets.values())
    assert 16 <= secrets["cutover-staging/redis"]["PasswordLength"] <= 128
    application = secrets["cutover-staging/database-application"]
    assert json.loads(application["SecretStringTemplate"]) == {"username": "app_user"}
    assert application["GenerateStringKey"] == "password"
    assert json.loads(secrets["cutover-staging/smoke"]["SecretStringTemplate"]).keys() == {"email"}


def test_the_template_carries_no_asset(each):
    assets = json.loads(
        (each.environment.path.parent / f"{each.names.environment_stack}.assets.json").read_text()
    )
    # Its own file is in the list, and is what the control stack carries as its asset.
    assert set(assets["files"].values().__iter__().__next__()["source"]) == {"path", "packaging"}
    assert len(assets["files"]) == 1
    assert "cdk-hnb659fds" not in each.environment.path.read_text()


def test_functions_take_their_code_and_layer_from_parameters(each):
    functions = each.environment.of("AWS::Lambda::Function")
    assert {f["FunctionName"] for f in functions.values()} == {
        each.names.named(name) for name in ("database", "probe", "load")
    }
    for function in functions.values():
        assert function["Code"] == {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}
        assert function["Layers"] == [{"Ref": "LayerArn"}]
        assert len(function["VpcConfig"]["SubnetIds"]) == 2


def test_the_backup_is_over_when_deployments_begin_and_maintenance_waits_for_both(staging):
    # Sunday 01:00 in Seoul is Saturday 16:00 in UTC; the deployment window is 17:00 to 19:00 UTC.
    assert service_windows(staging.configuration.window) == ("16:00-17:00", "sat:19:00-sat:20:00")


def test_names_keep_within_the_limits_of_their_services(each):
    template = each.environment
    for kind, key, limit in (
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", "Name", 32),
        ("AWS::ElasticLoadBalancingV2::TargetGroup", "Name", 32),
        ("AWS::ElastiCache::ReplicationGroup", "ReplicationGroupId", 40),
        ("AWS::DocDB::DBCluster", "DBClusterIdentifier", 63),
        ("AWS::S3::Bucket", "BucketName", 63),
        ("AWS::IAM::Role", "RoleName", 64),
        ("AWS::Lambda::Function", "FunctionName", 64),
    ):
        for properties in template.of(kind).values():
            assert len(properties[key]) <= limit


def test_both_templates_keep_within_cloudformations_limits(each):
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    for template in (each.environment, each.control):
        assert template.path.stat().st_size < 1024 * 1024
        assert len(template.resources) < 500
        assert len(template.outputs) < 200
