"""The environment's templates against the contract between them, with the functions, and with good sense.

What section B asks for, line by line, is in test_requirements.py.
"""

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
    "MonitoringDigest",
    "MonitoringDocument",
    "MonitoringGroup",
    *(
        f"Frontend{name}"
        for name in (
            "RuleArn",
            "TestRuleArn",
            "BlueTargetGroupArn",
            "GreenTargetGroupArn",
            "BlueGroup",
            "GreenGroup",
            "ReleaseDocument",
            "Domain",
            "FirstPort",
            "ContainersPerInstance",
        )
    ),
    # From one stack to the next.
    "VpcId",
    *(f"{kind}Subnet{n}" for kind in ("Public", "Private") for n in (1, 2)),
    *(
        f"{name}SecurityGroup"
        for name in (
            "Balancer",
            "Backend",
            "Frontend",
            "Database",
            "Cache",
            "Functions",
            "Scan",
            "Monitoring",
        )
    ),
    *(f"{name}SecretArn" for name in ("DatabaseAdmin", "DatabaseApplication", "Redis", "Jwt", "Smoke")),
    "LogsBucket",
    "LoadBalancerFullName",
    "BlueTargetGroupFullName",
    "GreenTargetGroupFullName",
    "FrontendBlueTargetGroupFullName",
    "FrontendGreenTargetGroupFullName",
}
PARAMETERS = {
    "CodeBucket": "String",
    "CodeKey": "String",
    "LayerArn": "String",
    "BlueWeight": "Number",
    "GreenWeight": "Number",
    "TestBlueWeight": "Number",
    "TestGreenWeight": "Number",
    "FrontendBlueWeight": "Number",
    "FrontendGreenWeight": "Number",
    "FrontendTestBlueWeight": "Number",
    "FrontendTestGreenWeight": "Number",
}
WEIGHTS = {name for name in PARAMETERS if name.endswith("Weight")}
DYNAMIC = "{{resolve:secretsmanager:"


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


def test_only_the_front_door_is_open_to_anywhere(each):
    backend = each.configuration.backend
    for properties in each.environment.of("AWS::EC2::SecurityGroup").values():
        for rule in properties.get("SecurityGroupIngress", []):
            if rule["CidrIp"] == "0.0.0.0/0":
                assert properties["GroupName"] == each.names.named("balancer")
                assert rule["FromPort"] == rule["ToPort"] == backend.listener_port


def test_machines_reach_the_mirrors_that_their_user_data_installs_from(each):
    """apt over HTTP, everything else over HTTPS; the stores reach nothing."""
    for properties in each.environment.of("AWS::EC2::SecurityGroup").values():
        name = properties["GroupName"].rpartition("-")[2]
        ports = {r["FromPort"] for r in properties["SecurityGroupEgress"] if r["CidrIp"] == "0.0.0.0/0"}
        if name in ("backend", "frontend", "monitoring"):
            assert ports == {80, 443}
        elif name in ("database", "cache", "balancer"):
            assert ports == set()


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


@pytest.mark.parametrize("service", ["backend", "frontend"])
def test_each_colour_has_a_group_that_the_releases_find(staging, service):
    template = staging.environment
    for colour in ("blue", "green"):
        name = f"cutover-staging-{service}-{colour}"
        group = template.named("AWS::AutoScaling::AutoScalingGroup", "AutoScalingGroupName", name)
        assert len(group["VPCZoneIdentifier"]) == 2
        # By the balancer's verdict an idle colour would be replaced for ever.
        assert group["HealthCheckType"] == "EC2"
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"] if tag["PropagateAtLaunch"]}
        assert tags == {"Name": name, "cutover-environment": "staging", "cutover-colour": colour}
        # Targets are registered by a release alone: until then an instance would count as sick.
        assert "TargetGroupARNs" not in group


def test_the_frontends_and_the_monitoring_hosts_roles_reach_no_data(each):
    for name in ("frontend-instance", "monitoring"):
        role = each.environment.named("AWS::IAM::Role", "RoleName", each.names.named(name))
        assert "s3:" not in json.dumps(role["Policies"])
        secrets = [
            statement["Resource"]
            for policy in role["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if "secretsmanager:GetSecretValue" in statement["Action"]
        ]
        own = next(
            {"Ref": id}
            for id, secret in each.environment.of("AWS::SecretsManager::Secret").items()
            if secret["Name"] == each.names.secret("grafana")
        )
        assert secrets == ([[own]] if name == "monitoring" else [])


def test_instances_answer_metadata_version_2_only_and_their_disks_are_encrypted(each):
    for template in each.environment.of("AWS::EC2::LaunchTemplate").values():
        launch = template["LaunchTemplateData"]
        assert launch["MetadataOptions"] == {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 2,
        }
        assert all(mapping["Ebs"]["Encrypted"] for mapping in launch["BlockDeviceMappings"])


def test_an_instance_installs_docker_and_its_agents_and_no_release(each):
    for template in each.environment.of("AWS::EC2::LaunchTemplate").values():
        text = template["LaunchTemplateData"]["UserData"]["Fn::Base64"]
        for word in ("docker.io", "compose-v2", "aws-cli", "amazon-ssm-agent", "amazon-cloudwatch-agent"):
            assert word in text
        assert "@REGION@" not in text
        assert '"aggregation_dimensions": [["AutoScalingGroupName"]]' in text
        assert len(text.encode()) < 16384, "EC2 takes 16 KB of user data"


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


@pytest.mark.parametrize(
    ("output", "port", "weights"),
    [
        ("ListenerArn", 443, {"Blue": "BlueWeight", "Green": "GreenWeight"}),
        ("TestListenerArn", 8443, {"Blue": "TestBlueWeight", "Green": "TestGreenWeight"}),
        ("FrontendRuleArn", None, {"Blue": "FrontendBlueWeight", "Green": "FrontendGreenWeight"}),
        ("FrontendTestRuleArn", None, {"Blue": "FrontendTestBlueWeight", "Green": "FrontendTestGreenWeight"}),
    ],
)
def test_the_weights_of_a_listener_and_of_a_rule_are_parameters(staging, output, port, weights):
    template = staging.environment
    listener = template.resources[template.outputs[output]["Value"]["Ref"]]["Properties"]
    assert listener.get("Port") == port
    (action,) = listener.get("DefaultActions") or listener["Actions"]
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
    """What is no output of an earlier stack comes from the control plane, which gives these."""
    outputs: set[str] = set()
    found = {}
    for template in each.templates.values():
        found |= {name: p["Type"] for name, p in template.parameters.items() if name not in outputs}
        outputs |= set(template.outputs)
    assert found == PARAMETERS


def test_the_weights_are_parameters_of_the_service_alone(each):
    for name, template in each.templates.items():
        assert set(template.parameters) & WEIGHTS == (WEIGHTS if name == "service" else set())


def test_no_two_templates_share_a_logical_id_an_output_or_an_export(each):
    """`--allow-destructive LOGICAL_ID` names one resource, and a parameter one output."""
    for part in ("resources", "outputs"):
        every = [id for template in each.templates.values() for id in getattr(template, part)]
        assert len(every) == len(set(every))
    # An export can't be changed while another stack imports it.
    assert not any("Export" in output for output in each.environment.outputs.values())


def test_each_part_of_the_environment_stands_in_its_own_template(staging):
    kinds = {
        name: {r["Type"].split("::")[1] for r in t.resources.values()}
        for name, t in staging.templates.items()
    }
    assert kinds == {
        "network": {"EC2", "IAM", "Logs"},
        "data": {"DocDB", "ElastiCache", "IAM", "Lambda", "Logs", "S3", "SecretsManager"},
        "service": {
            "AutoScaling",
            "CertificateManager",
            "CodeBuild",
            "EC2",
            "ElasticLoadBalancingV2",
            "IAM",
            "Lambda",
            "Logs",
            "SSM",
        },
        "monitoring": {"AutoScaling", "CloudWatch", "EC2", "IAM", "SNS", "SSM", "SecretsManager"},
    }


def test_what_holds_data_keeps_its_logical_id(each):
    """Another id is another resource to CloudFormation: the old one would be deleted, with what it holds."""
    ids = {
        "AWS::DocDB::DBCluster": {"DataDatabaseB314525A"},
        "AWS::ElastiCache::ReplicationGroup": {"DataCache179E637C"},
        "AWS::S3::Bucket": {"DataLogsECBAAED9", "DataFiles0CCB7B94"},
        "AWS::SecretsManager::Secret": {
            "DataDatabaseAdminSecret33EE9A23",
            "DataDatabaseApplicationSecret5C086021",
            "DataSmokeSecret0BF231BA",
            "DataRedisSecret1CF4904E",
            "DataJwtSecret7C8F1FC3",
            "MonitoringHostGrafanaPassword444E6DF9",
        },
        "AWS::ElasticLoadBalancingV2::LoadBalancer": {"BalancerLoadBalancerBED77BAC"},
    }
    for kind, kept in ids.items():
        assert set(each.environment.of(kind)) == kept


def test_a_first_deployment_has_all_traffic_on_blue_and_tests_on_green(each):
    parameters = each.environment.parameters
    defaults = [parameters[n]["Default"] for n in PARAMETERS if n.endswith("Weight")]
    assert defaults == [100, 0, 0, 100] * 2


def test_the_outputs_are_those_that_the_functions_read(each):
    assert set(each.environment.outputs) == OUTPUTS
    for template in each.templates.values():
        assert len(template.outputs) < 200


def test_no_template_carries_a_secret(each):
    for template in (each.environment, each.control):
        for text in (json.dumps(template.outputs), json.dumps(template.parameters)):
            assert "resolve:" not in text
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
        for name in ("database-admin", "database-application", "grafana", "redis", "jwt", "smoke")
    }
    # Redis: 16 to 128 characters, few of the punctuation marks.
    # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html
    assert all(generator["ExcludePunctuation"] for generator in secrets.values())
    assert 16 <= secrets["cutover-staging/redis"]["PasswordLength"] <= 128
    application = secrets["cutover-staging/database-application"]
    assert json.loads(application["SecretStringTemplate"]) == {"username": "app_user"}
    assert application["GenerateStringKey"] == "password"
    assert json.loads(secrets["cutover-staging/smoke"]["SecretStringTemplate"]).keys() == {"email"}


def test_the_templates_carry_no_asset(each):
    for path in each.environment.paths:
        assets = json.loads(path.with_name(path.name.replace(".template.", ".assets.")).read_text())
        # Its own file is in the list, and is what the control stack carries as its asset.
        (own,) = assets["files"].values()
        assert own["source"] == {"path": path.name, "packaging": "file"}
        assert "cdk-hnb659fds" not in path.read_text()


def test_functions_take_their_code_and_layer_from_parameters(each):
    functions = each.environment.of("AWS::Lambda::Function")
    assert {f["FunctionName"] for f in functions.values()} == {
        each.names.named(name) for name in ("database", "rotation", "probe", "load")
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


def test_the_templates_keep_within_cloudformations_limits(each):
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    for template in (each.control, *each.templates.values()):
        (path,) = template.paths
        assert path.stat().st_size < 1024 * 1024
        assert len(template.resources) < 500
        assert len(template.outputs) < 200
        assert len(template.parameters) < 200


def test_only_secrets_manager_rotates_the_applications_account_and_no_deployment_does(each):
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html"""
    template = each.environment
    schedule = template.one("AWS::SecretsManager::RotationSchedule")
    assert schedule["RotateImmediatelyOnUpdate"] is False
    secret = template.resources[schedule["SecretId"]["Ref"]]["Properties"]
    assert secret["Name"] == each.names.secret("database-application")
    function = template.resources[schedule["RotationLambdaARN"]["Fn::GetAtt"][0]]["Properties"]
    assert function["FunctionName"] == each.names.named("rotation")
    (permission,) = [
        p
        for p in template.of("AWS::Lambda::Permission").values()
        if p["Principal"] == "secretsmanager.amazonaws.com"
    ]
    assert permission["SourceArn"] == schedule["SecretId"]
    assert permission["SourceAccount"] == each.names.account
