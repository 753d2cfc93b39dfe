"""Every environment variable the service reads, parsed once into a frozen value (requirement C3b)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from backend.faults import FaultPlan
from backend.rate_limits import OFF, Rate
from backend.security import RATE_LIMITS

ENVIRONMENTS = ("development", "test", "staging", "production")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# RFC 7518, section 3.2: an HS256 key is at least as long as the hash's output.
JWT_SECRET_BYTES = 32
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class SettingsError(ValueError):
    """A variable of the environment is missing or cannot be used; the message begins with its name."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The service's configuration. Durations are in seconds, pool sizes in connections per process."""

    node_env: str
    mongo_url: str
    database_name: str
    redis_url: str
    jwt_secret: str
    upload_dir: str
    files_bucket: str
    cors_origins: tuple[str, ...]
    api_rate_limit: int
    rate_limits: Mapping[str, str]
    log_level: str
    monitoring_enabled: bool
    uvicorn_workers: int
    uvicorn_max_requests: int
    uvicorn_max_requests_jitter: int
    database_pool_size: int
    redis_pool_size: int
    cache_ttl: int
    release_version: str
    instance_id: str
    host: str
    port: int
    fault: FaultPlan

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raise SettingsError, naming the variable, for the first one that is missing or wrong."""
        read = _Reader(environment)
        return cls(
            node_env=read.choice("NODE_ENV", ENVIRONMENTS, "production"),
            mongo_url=read.url("MONGO_URL", ("mongodb://", "mongodb+srv://")),
            database_name=read.text("DATABASE_NAME", "online_evaluation_staging"),
            redis_url=read.url("REDIS_URL", ("redis://", "rediss://")),
            jwt_secret=read.secret("JWT_SECRET", JWT_SECRET_BYTES),
            upload_dir=read.text("UPLOAD_DIR", "/app/uploads"),
            files_bucket=read.matching("FILES_BUCKET", _BUCKET, "an S3 bucket name"),
            cors_origins=read.origins("CORS_ORIGINS"),
            api_rate_limit=read.integer("API_RATE_LIMIT", 1000, minimum=0),
            rate_limits=read.rates("RATE_LIMITS", RATE_LIMITS),
            log_level=read.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
            monitoring_enabled=read.boolean("MONITORING_ENABLED", True),
            uvicorn_workers=read.integer("UVICORN_WORKERS", 1, minimum=1),
            uvicorn_max_requests=read.integer("UVICORN_MAX_REQUESTS", 0, minimum=0),
            uvicorn_max_requests_jitter=read.integer("UVICORN_MAX_REQUESTS_JITTER", 0, minimum=0),
            database_pool_size=read.integer("DATABASE_POOL_SIZE", 20, minimum=1),
            redis_pool_size=read.integer("REDIS_POOL_SIZE", 10, minimum=1),
            cache_ttl=read.integer("CACHE_TTL", 300, minimum=1),
            release_version=read.text("RELEASE_VERSION", "unknown"),
            instance_id=read.text("INSTANCE_ID", "backend"),
            host=read.text("HOST", "0.0.0.0"),  # noqa: S104 - inside a container; compose narrows it
            port=read.integer("PORT", 8000, minimum=1, maximum=65535),
            fault=read.fault(),
        )


class _Reader:
    """Reads one variable at a time; an empty value counts as absent, as in an env file's `NAME=`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environment.get(name, "").strip()
        if value:
            if not value.isprintable():
                raise SettingsError(f"{name} holds a control character: remove it")
            return value
        if default is None:
            raise SettingsError(f"{name} is not set: add it to the environment file")
        return default

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}: use one of {', '.join(allowed)}")
        return value

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise SettingsError(f"{name} is {value!r}: give {wanted}")
        return value

    def url(self, name: str, schemes: tuple[str, ...]) -> str:
        value = self.text(name)
        if not value.startswith(schemes):
            # The value itself is not repeated: it carries a password.
            raise SettingsError(f"{name} must begin with {' or '.join(schemes)}")
        return value

    def secret(self, name: str, minimum_bytes: int) -> str:
        value = self.text(name)
        if len(value.encode()) < minimum_bytes:
            raise SettingsError(
                f"{name} has {len(value.encode())} bytes: use at least {minimum_bytes} (RFC 7518, 3.2)"
            )
        return value

    def integer(self, name: str, default: int, *, minimum: int, maximum: int | None = None) -> int:
        value = self.text(name, str(default))
        wanted = f"a whole number from {minimum}" + (f" to {maximum}" if maximum is not None else "")
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f"{name} is {value!r}: use {wanted}") from None
        if number < minimum or (maximum is not None and number > maximum):
            raise SettingsError(f"{name} is {number}: use {wanted}")
        return number

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not minimum <= number <= maximum:
            raise SettingsError(f"{name} is {value!r}: use a number from {minimum:g} to {maximum:g}")
        return number

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name, "true" if default else "false").lower()
        if value not in ("true", "false"):
            raise SettingsError(f"{name} is {value!r}: use true or false")
        return value == "true"

    def origins(self, name: str) -> tuple[str, ...]:
        origins = tuple(part.strip() for part in self._environment.get(name, "").split(",") if part.strip())
        for origin in origins:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise SettingsError(f"{name} holds {origin!r}: use scheme://host[:port], separated by commas")
        return origins

    def rates(self, name: str, default: Mapping[str, str]) -> Mapping[str, str]:
        """ "/api/models=100/minute,/api/auth/login=off", over the default ones."""
        given = dict(default)
        for part in filter(None, (part.strip() for part in self._environment.get(name, "").split(","))):
            path, _, rate = part.partition("=")
            try:
                if rate != OFF:
                    Rate.parse(rate)
            except ValueError as error:
                raise SettingsError(f"{name} holds {part!r}: {error}, or {OFF}") from None
            if path not in default:
                raise SettingsError(f"{name} holds {part!r}: the routes are {', '.join(default)}")
            given[path] = rate
        return given

    def fault(self) -> FaultPlan:
        return FaultPlan(
            kind=FaultPlan.kind_named(self.choice("FAULT", FaultPlan.kinds(), "none")),
            rate=self.number("FAULT_RATE", 1.0, minimum=0.0, maximum=1.0),
            seconds=self.number("FAULT_SECONDS", 3.0, minimum=0.0, maximum=600.0),
            port=self.integer("FAULT_PORT", 0, minimum=0, maximum=65535) or None,
            megabytes=self.integer("FAULT_MEGABYTES", 256, minimum=1),
            after=self.integer("FAULT_AFTER", 0, minimum=0),
        )
