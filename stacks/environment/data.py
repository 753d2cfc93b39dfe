"""What is kept: DocumentDB (B4), Redis (B5), files (B6), and the secrets that open them."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import aws_cdk as cdk
from aws_cdk import aws_docdb as docdb
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from config.model import DAYS, Configuration, Window
from stacks.constructs.bucket import Bucket, private_bucket
from stacks.constructs.policy import acknowledge
from stacks.environment.security import REDIS_PORT
from stacks.environment.stack import EnvironmentStack
from stacks.naming import Names

DOCUMENTDB_VERSION = "5.0.0"
REDIS_VERSION = "7.1"
BACKUP_DAYS = 7
# By two users that take turns: see rotation.py.
ROTATED = "database-application"
LOG_DAYS = 90
# The accounts that the load balancer's access logs come from in older regions; newer ones, and in time all,
# write as the log delivery service.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
LOG_WRITERS = {"ap-northeast-2": "600734575887"}


@dataclass(frozen=True)
class Data:
    """Addresses and names of what was made. `secrets` maps a secret's name (DatabaseAdmin) to its ARN."""

    database_endpoint: str
    database_port: str
    redis_endpoint: str
    redis_port: str
    files_bucket: str
    logs_bucket: str
    secrets: dict[str, str]


def data(stack: EnvironmentStack, names: Names, configuration: Configuration) -> Data:
    """Make the stores and their secrets."""
    here = Construct(stack, "Data")
    subnets = stack.given_subnets("Private")
    secrets = _secrets(here, names)
    cluster = _database(
        here,
        names,
        configuration,
        subnets=subnets,
        group=stack.given("DatabaseSecurityGroup"),
        admin=secrets["DatabaseAdmin"].ref,
    )
    cache = _cache(
        here,
        names,
        configuration,
        subnets=subnets,
        group=stack.given("CacheSecurityGroup"),
        token=secrets["Redis"].ref,
    )
    keep = configuration.database.deletion_protection
    logs = _logs_bucket(here, names, keep=keep)
    files = private_bucket(
        here,
        "Files",
        name=names.files_bucket,
        keep=keep,
        logs_to=(names.logs_bucket, "files/"),
        lifecycle=[
            s3.CfnBucket.RuleProperty(
                id="old-versions",
                status="Enabled",
                noncurrent_version_expiration=s3.CfnBucket.NoncurrentVersionExpirationProperty(
                    noncurrent_days=30
                ),
            )
        ],
    )
    files.bucket.add_resource_dependency(logs.policy)
    return Data(
        database_endpoint=cluster.attr_endpoint,
        database_port=cluster.attr_port,
        redis_endpoint=cache.attr_primary_end_point_address,
        redis_port=cache.attr_primary_end_point_port,
        files_bucket=files.bucket.ref,
        logs_bucket=logs.bucket.ref,
        secrets={name: secret.ref for name, secret in secrets.items()},
    )


def _secrets(scope: Construct, names: Names) -> dict[str, secretsmanager.CfnSecret]:
    users = {
        "database-admin": ("username", "cutover_admin", "Opens DocumentDB for the migrations"),
        "database-application": ("username", "app_user", "Opens the backend's own database"),
        "smoke": ("email", "smoke@cutover.test", "The user that the smoke tests log in as"),
    }
    tokens = {"redis": "Opens Redis", "jwt": "Signs the backend's sessions"}
    made = {}
    for name, (key, value, description) in users.items():
        generator = secretsmanager.CfnSecret.GenerateSecretStringProperty(
            secret_string_template=json.dumps({key: value}),
            generate_string_key="password",
            password_length=32,
            exclude_punctuation=True,
        )
        made[_camel(name)] = _secret(scope, names, name, description, generator)
    for name, description in tokens.items():
        generator = secretsmanager.CfnSecret.GenerateSecretStringProperty(
            password_length=64, exclude_punctuation=True
        )
        made[_camel(name)] = _secret(scope, names, name, description, generator)
    return made


def _secret(
    scope: Construct,
    names: Names,
    name: str,
    description: str,
    generator: secretsmanager.CfnSecret.GenerateSecretStringProperty,
) -> secretsmanager.CfnSecret:
    secret = secretsmanager.CfnSecret(
        scope,
        f"{_camel(name)}Secret",
        name=names.secret(name),
        description=description,
        generate_secret_string=generator,
    )
    if name != ROTATED:
        acknowledge(
            secret,
            "AwsSolutions-SMG4",
            "A rotation that running containers do not hear of would cut them off",
        )
    return secret


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _database(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    *,
    subnets: list[str],
    group: str,
    admin: str,
) -> docdb.CfnDBCluster:
    places = docdb.CfnDBSubnetGroup(
        scope,
        "DatabaseSubnets",
        db_subnet_group_name=names.prefix,
        db_subnet_group_description=f"DocumentDB of {names.environment}",
        subnet_ids=subnets,
    )
    parameters = docdb.CfnDBClusterParameterGroup(
        scope,
        "DatabaseParameters",
        name=names.prefix,
        description=f"DocumentDB of {names.environment}",
        family="docdb5.0",
        parameters={"tls": "enabled", "audit_logs": "enabled", "profiler": "enabled"},
    )
    backup, maintenance = service_windows(configuration.window)
    cluster = docdb.CfnDBCluster(
        scope,
        "Database",
        db_cluster_identifier=names.prefix,
        engine_version=DOCUMENTDB_VERSION,
        master_username=_field(admin, "username"),
        master_user_password=_field(admin, "password"),
        db_subnet_group_name=places.ref,
        db_cluster_parameter_group_name=parameters.ref,
        vpc_security_group_ids=[group],
        port=27017,
        storage_encrypted=True,
        backup_retention_period=BACKUP_DAYS,
        preferred_backup_window=backup,
        preferred_maintenance_window=maintenance,
        enable_cloudwatch_logs_exports=["audit", "profiler"],
        deletion_protection=configuration.database.deletion_protection,
    )
    acknowledge(
        cluster, "AwsSolutions-DOC3", "The user's name is generated into the secret and resolved from it"
    )
    acknowledge(
        cluster, "AwsSolutions-DOC2", "The group admits two others; another port would hide, not protect"
    )
    for event in ("authenticate", "createIndex", "dropCollection"):
        reason = "The parameter audit_logs is on, and the audit log that is exported holds these events"
        acknowledge(cluster, f"AwsSolutions-DOC5[LogExport::{event}]", reason)
    kept = configuration.database.deletion_protection
    cluster.apply_removal_policy(cdk.RemovalPolicy.SNAPSHOT if kept else cdk.RemovalPolicy.DESTROY)
    zones = configuration.availability_zones
    for index in range(configuration.database.instances):
        instance = docdb.CfnDBInstance(
            scope,
            f"DatabaseInstance{index + 1}",
            db_cluster_identifier=cluster.ref,
            db_instance_identifier=f"{names.prefix}-{index + 1}",
            db_instance_class=configuration.database.instance_class,
            availability_zone=zones[index % len(zones)],
            auto_minor_version_upgrade=True,
            preferred_maintenance_window=maintenance,
        )
        instance.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
    return cluster


def _cache(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    *,
    subnets: list[str],
    group: str,
    token: str,
) -> elasticache.CfnReplicationGroup:
    places = elasticache.CfnSubnetGroup(
        scope,
        "CacheSubnets",
        cache_subnet_group_name=names.prefix,
        description=f"Redis of {names.environment}",
        subnet_ids=subnets,
    )
    cache = elasticache.CfnReplicationGroup(
        scope,
        "Cache",
        replication_group_id=names.prefix,
        replication_group_description=f"Redis of {names.environment}",
        engine="redis",
        engine_version=REDIS_VERSION,
        cache_node_type=configuration.cache.node_type,
        num_cache_clusters=configuration.cache.nodes,
        automatic_failover_enabled=True,
        multi_az_enabled=True,
        port=REDIS_PORT,
        auth_token=_field(token),
        transit_encryption_enabled=True,
        at_rest_encryption_enabled=True,
        cache_subnet_group_name=places.ref,
        security_group_ids=[group],
        snapshot_retention_limit=1,
        auto_minor_version_upgrade=True,
    )
    acknowledge(
        cache, "AwsSolutions-AEC5", "The groups admit the backend alone; another port would hide, not protect"
    )
    return cache


def _logs_bucket(scope: Construct, names: Names, *, keep: bool) -> Bucket:
    """Access logs of the load balancer and of the files bucket."""
    arn = f"arn:aws:s3:::{names.logs_bucket}"
    writers: list[dict[str, object]] = [{"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}]
    if account := LOG_WRITERS.get(names.region):
        writers.append({"AWS": f"arn:aws:iam::{account}:root"})
    bucket = private_bucket(
        scope,
        "Logs",
        name=names.logs_bucket,
        keep=keep,
        lifecycle=[
            s3.CfnBucket.RuleProperty(id="expire", status="Enabled", expiration_in_days=LOG_DAYS),
        ],
        statements=[
            *(
                {
                    "Sid": f"BalancerLogs{index}",
                    "Effect": "Allow",
                    "Principal": writer,
                    "Action": "s3:PutObject",
                    "Resource": f"{arn}/balancer/AWSLogs/{names.account}/*",
                }
                for index, writer in enumerate(writers)
            ),
            {
                "Sid": "FilesLogs",
                "Effect": "Allow",
                "Principal": {"Service": "logging.s3.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": f"{arn}/files/*",
                "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},
            },
        ],
    )
    acknowledge(bucket.bucket, "AwsSolutions-S1", "This is the bucket that access logs go to")
    return bucket


def _field(secret: str, key: str = "") -> str:
    """A dynamic reference: CloudFormation reads the value, and no template or output holds it."""
    return cdk.Fn.join("", ["{{resolve:secretsmanager:", secret, f":SecretString:{key}::}}}}"])


def service_windows(window: Window) -> tuple[str, str]:
    """DocumentDB's daily backup and weekly maintenance windows, in UTC as the API takes them.

    The daily backup runs in the hour when the weekly one begins, and is over before deployments begin;
    maintenance waits for both windows of that day to end. (hh24:mi-hh24:mi, ddd:hh24:mi-ddd:hh24:mi)
    """
    backup = window.backup
    begin = _utc(backup.day, backup.start, window.timezone)
    after = max(_utc(backup.day, backup.end, window.timezone), _utc(backup.day, window.end, window.timezone))
    hour = timedelta(hours=1)
    daily = f"{begin:%H:%M}-{begin + hour:%H:%M}"
    weekly = f"{after:%a:%H:%M}-{after + hour:%a:%H:%M}".lower()
    return daily, weekly


def _utc(day: str, clock: str, zone: ZoneInfo) -> datetime:
    # 2024-01-01 was a Monday; zones with summer time move by an hour in summer, and the windows with them.
    hour, minute = (int(part) for part in clock.split(":"))
    local = datetime(2024, 1, 1 + DAYS.index(day), hour, minute, tzinfo=zone)
    return local.astimezone(ZoneInfo("UTC"))
