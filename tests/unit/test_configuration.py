"""The configuration files, and what a person reads who made a mistake in one."""

import json
import tomllib
from pathlib import Path

import pytest

from config.model import DIRECTORY, Configuration, ConfigurationError, environments, load
from stacks.constructs.parameter import MOST, compact


@pytest.fixture
def edited(tmp_path):
    """Writes staging.toml with one text replaced by another, and loads it."""

    def edit(old: str, new: str) -> Configuration:
        text = (DIRECTORY / "staging.toml").read_text()
        assert old in text
        (tmp_path / "staging.toml").write_text(text.replace(old, new, 1))
        return load("staging", tmp_path)

    return edit


def message(edited, old: str, new: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        edited(old, new)
    text = str(raised.value)
    assert "\n" not in text, "one message is one line"
    return text


@pytest.mark.parametrize("name", ["staging", "production", "sandbox"])
def test_every_environment_that_is_shipped_loads(name):
    assert load(name).environment == name


def test_the_environments_are_those_that_have_a_file():
    assert environments() == ["production", "sandbox", "staging"]


def test_staging_is_what_the_requirements_say():
    staging = load("staging")
    assert staging.region == "ap-northeast-2"
    assert staging.network.cidr == "10.1.0.0/16"
    assert staging.network.public_subnets == ("10.1.1.0/24", "10.1.2.0/24")
    assert staging.network.private_subnets == ("10.1.10.0/24", "10.1.11.0/24")
    assert staging.network.nat_gateways
    assert (staging.backend.instance_type, staging.backend.instances_per_colour) == ("t3.large", 3)
    assert list(staging.backend.ports) == [8000, 8001, 8002]
    assert (staging.frontend.instances_per_colour, list(staging.frontend.ports)) == (2, [80])
    assert {s.health_check.interval_seconds for s in (staging.backend, staging.frontend)} == {30}
    assert (staging.database.instance_class, staging.database.instances) == ("db.t3.medium", 3)
    assert staging.database.name == "online_evaluation_staging"
    assert (staging.cache.node_type, staging.cache.nodes) == ("cache.t3.micro", 2)
    assert (staging.window.start, staging.window.end, staging.window.zone) == ("02:00", "04:00", "Asia/Seoul")
    backup = staging.window.backup
    assert (backup.day, backup.start, backup.end) == ("Sunday", "01:00", "03:00")


def test_the_alarms_and_thresholds_default_to_the_requirements():
    staging = load("staging")
    alarms = staging.alarms
    assert (alarms.error_rate_percent, alarms.error_minutes) == (5, 5)
    assert (alarms.p95_seconds, alarms.p95_minutes) == (2, 3)
    assert (alarms.cpu_percent, alarms.cpu_minutes) == (90, 5)
    assert (alarms.memory_percent, alarms.memory_minutes) == (95, 3)
    assert alarms.health_failures == 3
    assert staging.thresholds.p95_ms == 500
    assert staging.thresholds.error_rate == 0.001
    assert (staging.load.requests_per_second, staging.load.users) == (1200, 200)


def test_a_configuration_cannot_be_changed():
    staging = load("staging")
    with pytest.raises(Exception, match="frozen"):
        staging.poll_seconds = 1


def test_the_same_file_loads_the_same_twice():
    assert load("production") == load("production")


def test_an_unknown_environment_lists_the_known_ones():
    with pytest.raises(ConfigurationError) as raised:
        load("stagin")
    assert "unknown environment 'stagin'" in str(raised.value)
    assert "did you mean staging?" in str(raised.value)
    assert "production, sandbox, staging" in str(raised.value)


@pytest.mark.parametrize("name", ["../staging", "", "staging.toml"])
def test_an_environment_is_never_taken_for_a_path(name):
    with pytest.raises(ConfigurationError, match="unknown environment"):
        load(name)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "instances_per_colour = 3",
            "instance_per_colour = 3",
            "config/staging.toml: backend.instance_per_colour is not a known key; did you mean instances_per_colour?",
            id="a misspelt key",
        ),
        pytest.param(
            "[network]",
            "[netwrok]",
            "config/staging.toml: netwrok is not a known key; did you mean network?",
            id="a misspelt table",
        ),
        pytest.param(
            "interval_seconds = 30",
            "intervall = 30",
            "backend.health_check.intervall is not a known key; did you mean interval_seconds?",
            id="a misspelt key deep inside",
        ),
        pytest.param(
            'domain = "api-staging.ai-model-mgmt.com"\n',
            "",
            "backend.domain is missing; add it to [backend]",
            id="a missing key",
        ),
        pytest.param(
            'cidr = "10.1.0.0/16"',
            'cidr = "10.1.0.0/33"',
            "network.cidr is '10.1.0.0/33': it is not an IPv4 network",
            id="a bad CIDR",
        ),
        pytest.param(
            'cidr = "10.1.0.0/16"',
            'cidr = "10.1.0.1/16"',
            "network.cidr is '10.1.0.1/16': it is not an IPv4 network",
            id="a CIDR with host bits",
        ),
        pytest.param(
            'cidr = "10.1.0.0/16"',
            'cidr = "10.1.0.0/8"',
            "network.cidr is '10.1.0.0/8': it is not an IPv4 network",
            id="a network with host bits for its size",
        ),
        pytest.param(
            'cidr = "10.1.0.0/16"',
            'cidr = "10.0.0.0/8"',
            "network.cidr is '10.0.0.0/8': it is no /16 to /28, and a VPC can be nothing else; choose one",
            id="a network too large for a VPC",
        ),
        pytest.param(
            '"10.1.2.0/24"',
            '"10.9.2.0/24"',
            "network.public_subnets is '10.9.2.0/24': it lies outside cidr 10.1.0.0/16; choose a subnet inside it",
            id="a subnet outside its network",
        ),
        pytest.param(
            '"10.1.10.0/24"',
            '"10.1.2.128/25"',
            "network.private_subnets is '10.1.2.128/25': it overlaps 10.1.2.0/24",
            id="subnets that overlap",
        ),
        pytest.param(
            '["10.1.1.0/24", "10.1.2.0/24"]',
            '["10.1.1.0/24"]',
            "network.public_subnets",
            id="a subnet short",
        ),
        pytest.param(
            "timeout_seconds = 10",
            "timeout_seconds = 30",
            "backend.health_check.timeout_seconds is 30: it must be shorter than interval_seconds (30)",
            id="a health check that outlasts its interval",
        ),
        pytest.param(
            '"ap-northeast-2c"',
            '"us-east-1a"',
            "availability_zones is 'us-east-1a': it is no zone of region ap-northeast-2",
            id="a zone of another region",
        ),
        pytest.param(
            '"ap-northeast-2c"',
            '"ap-northeast-2a"',
            "availability_zones is ['ap-northeast-2a', 'ap-northeast-2a']: it names one zone twice",
            id="one zone twice",
        ),
        pytest.param(
            "instances_per_colour = 3",
            'instances_per_colour = "3"',
            "backend.instances_per_colour is '3': it must be a valid integer",
            id="text instead of a number",
        ),
        pytest.param(
            'zone = "Asia/Seoul"',
            'zone = "Asia/Soul"',
            "window.zone is 'Asia/Soul': it is not a time zone",
            id="an unknown time zone",
        ),
        pytest.param(
            'start = "02:00"', 'start = "2am"', "window.start is '2am': it must match", id="a bad time"
        ),
        pytest.param(
            "first_port = 8000",
            "first_port = 8000\ntest_listener_port = 443",
            "backend.test_listener_port is 443: it is the port of the live listener too",
            id="one port for both listeners",
        ),
        pytest.param(
            'domain = "staging.ai-model-mgmt.com"',
            'domain = "api-staging.ai-model-mgmt.com"',
            "frontend.domain is 'api-staging.ai-model-mgmt.com': it is the backend's too",
            id="one name for both services",
        ),
        pytest.param(
            'instance_type = "t3.small"\ninstances_per_colour = 2',
            'instance_type = "t3.small"\ninstances_per_color = 2',
            "frontend.instances_per_color is not a known key; did you mean instances_per_colour?",
            id="a misspelt key of the frontend",
        ),
        pytest.param(
            "disk_gb = 100",
            "disk_gb = 5",
            "monitoring.disk_gb is 5: it must be greater than or equal to 20",
            id="a disk too small for the image",
        ),
        pytest.param(
            'account = "111122223333"',
            'account = "1111"',
            "account is '1111': it must match",
            id="a bad account",
        ),
        pytest.param(
            'NODE_ENV = "staging"',
            'NODE_ENV = "it\'s"',
            'release.settings.NODE_ENV is "it\'s": it holds a quote',
            id="a setting that would leave its quotes",
        ),
        pytest.param(
            'environment = "staging"',
            'environment = "production"',
            "environment is 'production': the file's name says 'staging'",
            id="a copied file that was not renamed",
        ),
        pytest.param(
            "[load]",
            "[security.web_scan]\nreuse_hours = 200\n\n[load]",
            "security.web_scan.reuse_hours is 200: it must be less than or equal to 168",
            id="a web scan that is reused for too long",
        ),
        pytest.param("[database]", "[database", "config/staging.toml is not valid TOML", id="not TOML"),
    ],
)
def test_a_mistake_names_the_field_the_value_and_the_way_out(edited, tmp_path, old, new, expected):
    text = message(edited, old, new).replace(f"{tmp_path.name}/", "config/")
    assert expected in text


@pytest.mark.parametrize(
    "field",
    ["p95_ms", "error_rate", "query_mean_ms", "index_hit", "pool_use"],
)
def test_a_negative_threshold_is_named(edited, field):
    text = message(edited, "[load]", f"[thresholds]\n{field} = -5\n\n[load]")
    assert f"thresholds.{field} is -5" in text
    assert "greater than 0" in text


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("p50_ms = 600", "thresholds.p50_ms is 600: it is more than p95_ms (500)"),
        ("p99_ms = 400", "thresholds.p95_ms is 500: it is more than p99_ms (400)"),
        ("error_rate = 0.01", "thresholds.error_rate is 0.01: it lets more requests fail than availability"),
        ("requests_per_second = 1300", "thresholds.requests_per_second is 1300: it is more than load."),
        ("concurrent_users = 201", "thresholds.concurrent_users is 201: it is more than load.users (200)"),
        (
            "p95_ms = 2500\np99_ms = 3000",
            "thresholds.p95_ms is 2500: it lets in what alarms.p95_seconds (2) takes back",
        ),
        ("cpu = 0.95", "thresholds.cpu is 0.95: it lets in what alarms.cpu_percent (90) takes back"),
    ],
)
def test_thresholds_that_contradict_are_named(edited, table, expected):
    assert expected in message(edited, "[load]", f"[thresholds]\n{table}\n\n[load]")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('p96 = "must"', "gates.p96 is not a known key; did you mean p9"),
        ('cpu = "maybe"', "gates.cpu is 'maybe': it must be 'must' or 'should'"),
    ],
)
def test_an_unknown_gate_or_weight_is_named(edited, table, expected):
    assert expected in message(edited, "[load]", f"[gates]\n{table}\n\n[load]")


def test_the_functions_read_only_the_weights_that_are_set(edited):
    assert load("staging").for_lambdas()["gates"] == {}
    weighed = edited("[load]", '[gates]\ncpu = "must"\n\n[load]').for_lambdas()
    assert weighed["gates"] == {"cpu": "must"}


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("api_staging.example.com", "has the label 'api_staging'; use letters, digits and hyphens"),
        ("-api.example.com", "has the label '-api'; use letters, digits and hyphens"),
        ("api..example.com", "has an empty label; remove the dot too many"),
        ("api.example.com.", "has an empty label"),
        ("localhost", "has no dot; write the whole name"),
        ("10.1.2.3", "ends in a number"),
        ("https://api.example.com", "is an address, not a host's name"),
        ("*.example.com", "is a wildcard"),
        ("API.example.com", "has capitals; write api.example.com"),
        ("평가.example.com", "is not in ASCII; write it in punycode: xn--o39al86e.example.com"),
        ("ab--cd.example.com", "-- in that place is punycode's alone"),
        ("xn--a.example.com", "-- in that place is punycode's alone"),
        (f"{'a' * 64}.kr", "has a label of 64 characters"),
        (f"{'a' * 30}.{'b' * 31}.kr", "has 65 characters, and ACM issues no certificate whose first name"),
    ],
)
def test_a_domain_that_no_certificate_can_be_issued_for_is_named(edited, domain, expected):
    text = message(edited, "api-staging.ai-model-mgmt.com", domain)
    assert f"backend.domain is {domain!r}: it " in text
    assert expected in text


@pytest.mark.parametrize("domain", ["a.kr", "xn--o39al86e.xn--3e0b707e", f"{'a' * 61}.kr", "1-2.3com.kr"])
def test_a_domain_that_dns_and_acm_take_is_taken(edited, domain):
    assert edited("api-staging.ai-model-mgmt.com", domain).backend.domain == domain


def test_a_certificate_of_another_region_is_named(edited):
    arn = "arn:aws:acm:us-east-1:111122223333:certificate/x"
    text = message(edited, "instance_type =", f'certificate_arn = "{arn}"\ninstance_type =')
    assert f"backend.certificate_arn is {arn!r}: it is of another region" in text


@pytest.mark.parametrize(
    ("old", "new"),
    [('"db.t3.medium"', '"db.t3"'), ('"cache.t3.micro"', '"cache.micro"'), ('"t3.large"', '"large"')],
)
def test_what_is_no_types_name_is_named(edited, old, new):
    assert f"is {new.strip(chr(34))!r}: it must match" in message(edited, old, new)


def test_the_nightly_run_must_know_what_it_deploys(edited):
    text = message(edited, "[load]", "[nightly]\nenabled = true\n\n[load]")
    assert "nightly.enabled is True: it needs exactly one of source and image" in text


def test_more_instances_than_addresses_are_refused(tmp_path):
    text = (DIRECTORY / "staging.toml").read_text()
    text = text.replace('["10.1.10.0/24", "10.1.11.0/24"]', '["10.1.10.0/29", "10.1.10.8/29"]')
    text = text.replace("instances_per_colour = 3", "instances_per_colour = 4")
    (tmp_path / "staging.toml").write_text(text)
    with pytest.raises(
        ConfigurationError, match=r"instances_per_colour is 4: it needs 13 addresses .* hold 6"
    ):
        load("staging", tmp_path)


def test_what_the_functions_read_is_json_that_fits_a_parameter():
    for name in environments():
        text = compact(load(name).for_lambdas())
        # With room to spare for what an environment of one's own says.
        assert len(text) <= 4000 < MOST
        assert len(compact(load(name).notifications.for_function())) <= 4000
        assert set(json.loads(text)) == {
            "environment",
            "availability_zones",
            "poll_seconds",
            "watch",
            "load",
            "thresholds",
            "gates",
            "window",
            "alarms",
            "release",
            "security",
            "approval",
            "drill",
            "shift",
            "backend",
            "frontend",
            "monitoring",
            "database",
        }


def test_the_sandbox_can_bind_the_addresses_of_its_instances():
    sandbox = load("sandbox")
    assert sandbox.network.cidr == "127.1.0.0/16"


def test_no_file_holds_a_secret():
    for path in Path(DIRECTORY).glob("*.toml"):
        text = json.dumps(tomllib.loads(path.read_text())).lower()
        for word in ("password", "token", "secret"):
            assert word not in text, f"{path.name} holds a {word}"


@pytest.mark.parametrize(
    ("table", "shares"),
    [
        ("", [100]),
        ('strategy = "canary"', [10, 100]),
        ('strategy = "canary"\npercentage = 20', [20, 100]),
        ('strategy = "linear"\npercentage = 30', [30, 60, 90, 100]),
        ('strategy = "linear"\npercentage = 50', [50, 100]),
    ],
)
def test_the_traffic_moves_in_the_configured_shares(edited, table, shares):
    assert edited("[load]", f"[shift]\n{table}\n\n[load]").shift.shares == shares


def test_a_comparison_must_be_able_to_see_enough_answers(edited):
    text = message(edited, "[load]", '[shift]\nstrategy = "canary"\nrequests_per_second = 5\n\n[load]')
    assert "shift.requests_per_second is 5: it gives the new release some 30 answers in the 60 s" in text
    assert "raise requests_per_second, percentage or bake_seconds" in text
