"""From what the balancer is to do (model.State) to the xDS documents that make Envoy do it. Pure.

Documents are named by file; Envoy follows each file and applies what is renamed over it. What changes
often is kept apart from what must not be disturbed: weights are routes (RDS), targets are endpoints (EDS)
and certificates are secrets (SDS), so a change of any of them leaves listeners, connections and counters
as they are.

What follows the Application Load Balancer, and where it is written:
- No retries: a request that a target fails is failed.
- Idle timeout, keep-alive and 408/504: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#connection-idle-timeout
- 502, 503, 504: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
- Fail open when no target is healthy: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
- X-Forwarded headers: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, assert_never

from sandbox.balancer.model import (
    TLS_1_2,
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
    TargetGroup,
    Tls,
)

Document = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."
_CONNECTION_MANAGER = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TLS_NAMES = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")
# What a policy offers that allows TLS 1.0 and 1.1, as far as Envoy's BoringSSL has it. By itself Envoy offers
# none without AEAD, and the old versions know no others.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
_OLD_SUITES = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
]
# How long a load balancer tries to connect to a target before it answers 504, in seconds.
_CONNECT_TIMEOUT = 10
# ALB has no limits of its own on connections to targets; Envoy's defaults (1024) would be felt.
_LIMIT = 100_000
# Two proxies that share a port (two sandboxes of one user) would each get some of the other's connections.
_SHARE_PORTS = False
# The statistics that metrics.py reads; buckets in microseconds, up to the idle timeout.
REQUEST_COUNT = "alb.request_count"
RESPONSE_TIME = "alb.target_response_time"
_RESPONSE_TIME_BUCKETS = (
    *(250, 500, 1000, 1500, 2000, 3000, 4000, 5000, 7500, 10_000, 15_000, 20_000, 30_000, 40_000),
    *(50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 750_000, 1_000_000),
    *(1_500_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000, 20_000_000, 60_000_000),
)
HEALTH_EVENTS = "health_events.json"


def bootstrap(folder: Path) -> Document:
    """What Envoy starts with: its admin socket in its working folder, and the files it has to follow."""
    return {
        "node": {"id": "balancer", "cluster": "balancer"},
        # A relative path: a socket's whole path may be 107 characters at most, and folders can be deep.
        "admin": {"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": _follow(folder, "lds.json"),
            "cds_config": _follow(folder, "cds.json"),
        },
        # How far a histogram may lag behind the requests: a compressed minute may last a second.
        "stats_flush_interval": "0.25s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"prefix": RESPONSE_TIME}, "buckets": _RESPONSE_TIME_BUCKETS},
            ]
        },
    }


def documents(state: State, folder: Path) -> dict[str, Document]:
    """File name -> document, complete: a file that is no longer named here is no longer followed.

    The order is that in which they have to be written: what is referred to before what refers to it.
    """
    found: dict[str, list[Document]] = {}
    for group in state.groups:
        found[f"eds-{group.name}.json"] = [_endpoints(group)]
    found["cds.json"] = [_cluster(group, folder) for group in state.groups] + [
        _stream_cluster(stream) for stream in state.streams
    ]
    for listener in state.listeners:
        found[f"rds-{listener.name}.json"] = [_routes(listener)]
    served: tuple[Listener | Stream, ...] = (*state.listeners, *state.streams)
    for each in served:
        if each.tls is not None:
            found[f"sds-{each.name}.json"] = [_secret(each.name, each.tls)]
    found["lds.json"] = [_listener(listener, folder) for listener in state.listeners] + [
        _stream_listener(stream, folder) for stream in state.streams
    ]
    return {name: {"resources": resources} for name, resources in found.items()}


def _follow(folder: Path, name: str) -> Document:
    return {
        "path_config_source": {"path": str(folder / name)},
        "resource_api_version": "V3",
    }


# --- target groups -------------------------------------------------------------------------------------


def _endpoints(group: TargetGroup) -> Document:
    health_port = {"health_check_config": {"port_value": group.health.port}} if group.health.port else {}
    return {
        "@type": _TYPE + "config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": group.name,
        "endpoints": [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": _address(target.address, target.port), **health_port}}
                    for target in group.targets
                ]
            }
        ],
    }


def _cluster(group: TargetGroup, folder: Path) -> Document:
    cluster: Document = {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": group.name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _follow(folder, f"eds-{group.name}.json")},
        "connect_timeout": f"{_CONNECT_TIMEOUT}s",
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _LIMIT,
                    "max_pending_requests": _LIMIT,
                    "max_requests": _LIMIT,
                    "max_retries": 0,
                }
            ]
        },
        "common_lb_config": {
            # Below 1 % healthy, that is at none, every target gets requests: ALB fails open.
            "healthy_panic_threshold": {"value": 1.0},
            # Without this, changes of health and of targets lag by up to a second.
            "update_merge_window": "0s",
        },
        # Without this, a deregistered target goes on being served while it is healthy.
        "ignore_health_on_host_removal": True,
        # ALB's own connections to targets: HTTP/1.1, closed when idle before a target's keep-alive ends.
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "60s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    slow_start = (
        {"slow_start_config": {"slow_start_window": _seconds(group.slow_start)}} if group.slow_start else {}
    )
    if group.least_outstanding:
        cluster |= {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": slow_start}
    else:
        cluster |= {"lb_policy": "ROUND_ROBIN", "round_robin_lb_config": slow_start}
    if group.health.enabled:
        cluster["health_checks"] = [_health_check(group.health, folder)]
    if group.https:
        # A load balancer does not verify the certificates of its targets.
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": _TYPE + "extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
        }
    return cluster


def _health_check(health: HealthCheck, folder: Path) -> Document:
    accepted = [{"start": low, "end": high + 1} for low, high in health.codes]
    check: Document = {
        "interval": _seconds(health.interval),
        "no_traffic_interval": _seconds(health.interval),
        # A check that may last longer than the interval would push the next one back.
        "timeout": _seconds(health.timeout),
        "healthy_threshold": health.healthy_threshold,
        "unhealthy_threshold": health.unhealthy_threshold,
        "http_health_check": {
            "path": health.path,
            "expected_statuses": accepted,
            # Without this, one wrong answer ignores the unhealthy threshold.
            "retriable_statuses": _complement(health.codes),
            "request_headers_to_add": [
                {"header": {"key": "user-agent", "value": "ELB-HealthChecker/2.0"}, "append_action": _SET}
            ],
        },
        "event_logger": [
            {
                "name": "envoy.health_check.event_sink.file",
                "typed_config": {
                    "@type": _TYPE + "extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink",
                    "event_log_path": str(folder / HEALTH_EVENTS),
                },
            }
        ],
        "always_log_health_check_failures": True,
    }
    return check


_SET = "OVERWRITE_IF_EXISTS_OR_ADD"


def _complement(codes: tuple[tuple[int, int], ...]) -> list[Document]:
    """The status codes from 100 to 599 that are not among `codes`, as Envoy's half-open ranges."""
    ranges, start = [], 100
    for low, high in sorted(codes):
        if low > start:
            ranges.append({"start": start, "end": low})
        start = max(start, high + 1)
    if start < 600:
        ranges.append({"start": start, "end": 600})
    return ranges


# --- listeners -----------------------------------------------------------------------------------------


def _listener(listener: Listener, folder: Path) -> Document:
    manager: Document = {
        "@type": _TYPE + _CONNECTION_MANAGER,
        "stat_prefix": listener.name,
        "codec_type": "AUTO",
        "rds": {
            "route_config_name": listener.name,
            "config_source": _follow(folder, f"rds-{listener.name}.json"),
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": _TYPE + "extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
        # One timer for a silent client (408) and for a target that does not answer in time (504).
        "stream_idle_timeout": _seconds(listener.idle_timeout),
        "common_http_protocol_options": {"idle_timeout": _seconds(listener.idle_timeout)},
        "drain_timeout": "1s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # The client's address is appended below: Envoy itself leaves loopback addresses out.
        "use_remote_address": True,
        "skip_xff_append": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "local_reply_config": {"mappers": _local_replies()},
        "access_log": _counters(listener.name),
    }
    chain: Document = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if listener.tls:
        chain["transport_socket"] = _terminate_tls(listener.name, listener.tls, folder, ["h2", "http/1.1"])
    return {
        "@type": _TYPE + "config.listener.v3.Listener",
        "name": listener.name,
        "address": _address(listener.address, listener.port),
        "enable_reuse_port": _SHARE_PORTS,
        "filter_chains": [chain],
    }


def _local_replies() -> list[Document]:
    """What ALB answers where Envoy would answer otherwise; its own answers name it in the server header."""
    server = [{"header": {"key": "server", "value": "awselb/2.0"}, "append_action": _SET}]
    timed_out = _expression('response.code_details.contains("connection_timeout")')
    failed = {"response_flag_filter": {"flags": ["UF", "UC", "UR", "UPE"]}}
    rest = {
        "status_code_filter": {
            "comparison": {"op": "GE", "value": {"default_value": 100, "runtime_key": "balancer.any"}}
        }
    }
    none_left = {"response_flag_filter": {"flags": ["UH", "NC"]}}

    def page(status: int, reason: str) -> Document:
        title = f"{status} {reason}"
        html = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n"
            f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        )
        body = {"text_format_source": {"inline_string": html}, "content_type": "text/html"}
        return {"status_code": status, "body_format_override": body, "headers_to_add": server}

    return [
        {"filter": timed_out, **page(504, "Gateway Time-out")},
        {"filter": failed, **page(502, "Bad Gateway")},
        {"filter": none_left, **page(503, "Service Temporarily Unavailable")},
        {"filter": rest, "headers_to_add": server},
    ]


def _expression(expression: str) -> Document:
    return {
        "extension_filter": {
            "name": "cel",
            "typed_config": {
                "@type": _TYPE + "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": expression,
            },
        }
    }


def _counters(listener: str) -> list[Document]:
    """Counts requests by group, answer and reason, and times those that a target answered."""

    def tags(**values: str) -> list[Document]:
        return [{"name": name, "value_format": value} for name, value in values.items()]

    kind = _TYPE + "extensions.access_loggers.stats.v3.Config"
    prefix, request_count = REQUEST_COUNT.split(".")
    response_time = RESPONSE_TIME.split(".")[1]
    group = "%UPSTREAM_CLUSTER%"
    count = {
        "stat": {
            "name": request_count,
            "tags": tags(listener=listener, group=group, code="%RESPONSE_CODE%", flags="%RESPONSE_FLAGS%"),
        },
        "value_fixed": 1,
    }
    # From the last byte sent to the target to the first byte of its answer, as TargetResponseTime is defined.
    time = {
        "stat": {"name": response_time, "tags": tags(listener=listener, group=group)},
        "unit": "Microseconds",
        "value_format": "%COMMON_DURATION(US_TX_END:US_RX_BEG:us)%",
    }
    return [
        {
            "name": "envoy.access_loggers.stats",
            "typed_config": {"@type": kind, "stats_scope": {"prefix": prefix}, "counters": [count]},
        },
        {
            "name": "envoy.access_loggers.stats",
            "filter": _expression('response.code_details == "via_upstream"'),
            "typed_config": {"@type": kind, "stats_scope": {"prefix": prefix}, "histograms": [time]},
        },
    ]


def _terminate_tls(name: str, tls: Tls, folder: Path, protocols: list[str]) -> Document:
    context: Document = {
        "tls_params": {
            "tls_minimum_protocol_version": _TLS_NAMES[tls.minimum],
            "tls_maximum_protocol_version": _TLS_NAMES[tls.maximum],
        },
        "tls_certificate_sds_secret_configs": [
            {"name": name, "sds_config": _follow(folder, f"sds-{name}.json")}
        ],
    }
    if tls.minimum < TLS_1_2:
        context["tls_params"]["cipher_suites"] = _OLD_SUITES
    if protocols:
        context["alpn_protocols"] = protocols
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": context,
        },
    }


def _secret(name: str, tls: Tls) -> Document:
    return {
        "@type": _TYPE + "extensions.transport_sockets.tls.v3.Secret",
        "name": name,
        "tls_certificate": {
            "certificate_chain": {"filename": str(tls.certificate)},
            "private_key": {"filename": str(tls.key)},
            # A certificate that is issued again under its name is read again.
            "watched_directory": {"path": str(tls.certificate.parent)},
        },
    }


# --- routes --------------------------------------------------------------------------------------------


def _routes(listener: Listener) -> Document:
    def header(name: str, value: str, action: str) -> Document:
        return {"header": {"key": name, "value": value}, "append_action": action}

    return {
        "@type": _TYPE + "config.route.v3.RouteConfiguration",
        "name": listener.name,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [_route(rule) for rule in listener.rules],
                "request_headers_to_remove": ["x-envoy-external-address"],
                "request_headers_to_add": [
                    header(
                        "x-forwarded-for",
                        "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
                        "APPEND_IF_EXISTS_OR_ADD",
                    ),
                    header("x-forwarded-port", "%DOWNSTREAM_LOCAL_PORT%", _SET),
                    header("x-forwarded-proto", "https" if listener.tls else "http", _SET),
                    header("x-amzn-trace-id", "Root=1-%START_TIME(%s)%-%UNIQUE_ID%", "ADD_IF_ABSENT"),
                ],
            }
        ],
    }


def _route(rule: Rule) -> Document:
    match: Document = {"prefix": "/"}
    headers = []
    for condition in rule.conditions:
        if condition.field == "path-pattern":
            match = {"safe_regex": {"regex": _pattern(condition.values)}}
        else:
            headers.append(_header_match(condition))
    if headers:
        match["headers"] = headers
    return {"match": match, **_action(rule.action)}


def _header_match(condition: Condition) -> Document:
    name = {"host-header": ":authority", "http-request-method": ":method"}.get(
        condition.field, condition.header.lower()
    )
    regex = _pattern(condition.values)
    if condition.field == "host-header":
        regex = rf"(?i)({regex})(:\d+)?"
    elif condition.field == "http-header":
        regex = f"(?i){regex}"
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}


def _pattern(values: tuple[str, ...]) -> str:
    """ALB's wildcards as one regular expression: `*` is any run of characters, `?` exactly one."""
    escaped = (re.escape(value).replace(r"\*", ".*").replace(r"\?", ".") for value in values)
    return "|".join(f"({each})" for each in escaped)


def _action(action: Action) -> Document:
    match action:
        case Forward():
            served = [(name, weight) for name, weight in action.weights if weight > 0]
            if not served:
                return {"direct_response": {"status": 503}}
            return {
                "route": {
                    "weighted_clusters": {
                        "clusters": [{"name": name, "weight": weight} for name, weight in served]
                    },
                    # The idle timeout alone ends a request, however long its answer takes as a whole.
                    "timeout": "0s",
                }
            }
        case FixedResponse():
            return {
                "direct_response": {"status": action.status, "body": {"inline_string": action.body}},
                "response_headers_to_add": [
                    {"header": {"key": "content-type", "value": action.content_type}, "append_action": _SET}
                ],
            }
        case Redirect():
            return {"redirect": _redirect(action)}
        case _:
            assert_never(action)


def _redirect(action: Redirect) -> Document:
    redirect: Document = {"response_code": "MOVED_PERMANENTLY" if action.permanent else "FOUND"}
    if action.https is not None:
        redirect["scheme_redirect"] = "https" if action.https else "http"
    if action.host is not None:
        redirect["host_redirect"] = action.host
    if action.port is not None:
        redirect["port_redirect"] = action.port
    if action.path is not None:
        redirect["path_redirect"] = action.path + (f"?{action.query}" if action.query else "")
        redirect["strip_query"] = action.query is not None
    return redirect


# --- streams -------------------------------------------------------------------------------------------


def _stream_cluster(stream: Stream) -> Document:
    return {
        "@type": _TYPE + "config.cluster.v3.Cluster",
        "name": stream.name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": stream.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": stream.socket}}}}]}],
        },
    }


def _stream_listener(stream: Stream, folder: Path) -> Document:
    proxy = {
        "@type": _TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": stream.name,
        "cluster": stream.name,
        # An idle client of a database stays connected.
        "idle_timeout": "0s",
    }
    return {
        "@type": _TYPE + "config.listener.v3.Listener",
        "name": stream.name,
        "address": _address(stream.address, stream.port),
        "enable_reuse_port": _SHARE_PORTS,
        "filter_chains": [
            {
                "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
                "transport_socket": _terminate_tls(stream.name, stream.tls, folder, []),
            }
        ],
    }


def _address(address: str, port: int) -> Document:
    return {"socket_address": {"address": address, "port_value": port}}


def _seconds(value: float) -> str:
    return f"{value:.3f}s"
