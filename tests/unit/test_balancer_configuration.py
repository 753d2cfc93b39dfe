"""What Envoy is told, document by document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.balancer.configuration import documents
from sandbox.balancer.model import (
    TLS_1_2,
    TLS_1_3,
    Action,
    Condition,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    Redirect,
    Rule,
    State,
    Stream,
    Target,
    TargetGroup,
    Tls,
)

FOLDER = Path("/run/balancer")
TLS = Tls(Path("/pki/a.pem"), Path("/pki/a.key"), TLS_1_2, TLS_1_3)


def state(**changes: Any) -> State:
    action: Action = changes.get("action") or Forward((("blue", 100), ("green", 0)))
    listener = Listener("live", "127.1.1.10", 9443, (*changes.get("rules", ()), Rule(action)), TLS)
    targets = changes.get("targets", (Target("127.1.10.100", 8000),))
    health = changes.get("health", HealthCheck())
    groups = tuple(TargetGroup(name, targets, health) for name in ("blue", "green"))
    return State((listener,), groups, changes.get("streams", ()))


def resource(name: str, wanted: State) -> dict[str, Any]:
    found: dict[str, Any] = documents(wanted, FOLDER)[name]["resources"][0]
    return found


def routes(wanted: State) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resource("rds-live.json", wanted)["virtual_hosts"][0]["routes"]
    return found


def test_new_weights_change_the_routes_and_nothing_else() -> None:
    """Listeners, clusters and connections stay as they are when traffic moves."""
    before = documents(state(), FOLDER)
    after = documents(state(action=Forward((("blue", 50), ("green", 50)))), FOLDER)
    assert [name for name in before if before[name] != after[name]] == ["rds-live.json"]


def test_new_targets_change_the_endpoints_and_nothing_else() -> None:
    before, after = documents(state(), FOLDER), documents(state(targets=()), FOLDER)
    assert [name for name in before if before[name] != after[name]] == ["eds-blue.json", "eds-green.json"]


def test_what_is_referred_to_is_written_before_what_refers_to_it() -> None:
    names = list(documents(state(), FOLDER))
    assert names.index("eds-blue.json") < names.index("cds.json") < names.index("rds-live.json")
    assert names.index("rds-live.json") < names.index("sds-live.json") < names.index("lds.json")


def test_a_group_of_weight_0_gets_nothing() -> None:
    clusters = routes(state())[-1]["route"]["weighted_clusters"]["clusters"]
    assert clusters == [{"name": "blue", "weight": 100}]


def test_weights_of_nothing_but_zero_answer_503() -> None:
    assert routes(state(action=Forward((("blue", 0), ("green", 0)))))[-1]["direct_response"] == {
        "status": 503
    }


def test_nothing_is_ever_retried() -> None:
    assert "retry" not in str(routes(state()))
    thresholds = resource("cds.json", state())["circuit_breakers"]["thresholds"][0]
    assert thresholds["max_retries"] == 0


def test_every_target_gets_requests_only_when_none_is_healthy() -> None:
    config = resource("cds.json", state())["common_lb_config"]
    assert config["healthy_panic_threshold"] == {"value": 1.0}
    assert config["update_merge_window"] == "0s"


def test_a_deregistered_target_is_left_at_once_though_it_is_healthy() -> None:
    assert resource("cds.json", state())["ignore_health_on_host_removal"] is True


def test_a_health_check_counts_every_code_but_the_matchers_as_a_failure_to_be_repeated() -> None:
    health = HealthCheck(path="/up", interval=2.5, timeout=1, codes=((200, 200), (300, 302)))
    check = resource("cds.json", state(health=health))["health_checks"][0]
    assert (check["interval"], check["timeout"]) == ("2.500s", "1.000s")
    probe = check["http_health_check"]
    assert probe["path"] == "/up"
    assert probe["expected_statuses"] == [{"start": 200, "end": 201}, {"start": 300, "end": 303}]
    covered = [*probe["expected_statuses"], *probe["retriable_statuses"]]
    codes = sorted(code for each in covered for code in range(each["start"], each["end"]))
    assert codes == list(range(100, 600))


def test_a_health_check_may_have_a_port_of_its_own() -> None:
    endpoint = resource("eds-blue.json", state(health=HealthCheck(port=8081)))["endpoints"][0][
        "lb_endpoints"
    ][0]
    assert endpoint["endpoint"]["health_check_config"] == {"port_value": 8081}
    assert endpoint["endpoint"]["address"]["socket_address"]["port_value"] == 8000


def test_a_listener_allows_the_tls_versions_of_its_policy() -> None:
    context = resource("lds.json", state())["filter_chains"][0]["transport_socket"]["typed_config"]
    assert context["common_tls_context"]["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
    assert "/pki/a.pem" not in str(resource("lds.json", state()))  # it is in a document of its own
    assert "/pki/a.pem" in str(resource("sds-live.json", state()))


@pytest.mark.parametrize(
    ("condition", "match"),
    [
        (
            Condition("path-pattern", ("/api/*", "/v?")),
            {"safe_regex": {"regex": r"(/api/.*)|(/v.)"}},
        ),
        (
            Condition("host-header", ("*.example.com",)),
            {
                "prefix": "/",
                "headers": [
                    {
                        "name": ":authority",
                        "string_match": {"safe_regex": {"regex": r"(?i)((.*\.example\.com))(:\d+)?"}},
                    }
                ],
            },
        ),
        (
            Condition("http-request-method", ("PUT",)),
            {
                "prefix": "/",
                "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": "(PUT)"}}}],
            },
        ),
    ],
)
def test_a_rules_conditions_become_a_match(condition: Condition, match: dict[str, Any]) -> None:
    rule = Rule(FixedResponse(404), (condition,))
    assert [route["match"] for route in routes(state(rules=(rule,)))] == [match, {"prefix": "/"}]


def test_a_fixed_response_has_its_own_type_and_body() -> None:
    route = routes(state(action=FixedResponse(503, "application/json", "{}")))[-1]
    assert route["direct_response"] == {"status": 503, "body": {"inline_string": "{}"}}
    assert route["response_headers_to_add"][0]["header"] == {
        "key": "content-type",
        "value": "application/json",
    }


def test_a_redirect_changes_what_it_names_and_keeps_the_rest() -> None:
    route = routes(state(action=Redirect(permanent=True, https=True, port=443)))[-1]
    assert route["redirect"] == {
        "response_code": "MOVED_PERMANENTLY",
        "scheme_redirect": "https",
        "port_redirect": 443,
    }


def test_a_stream_offers_a_socket_over_tls() -> None:
    stream = Stream("cache", "127.1.10.11", 6379, TLS, "../cache/redis.sock")
    found = documents(State(streams=(stream,)), FOLDER)
    assert "pipe" in str(found["cds.json"])
    assert found["lds.json"]["resources"][0]["address"]["socket_address"]["port_value"] == 6379
    assert "sds-cache.json" in found
