"""The example backend's environment: parsed once, and refused by the variable's name."""

import pytest

from backend.faults import FaultKind
from backend.settings import Settings, SettingsError

NEEDED = {
    "MONGO_URL": "mongodb://app:secret@db:27017/?tls=true",
    "REDIS_URL": "rediss://:secret@cache:6379/0",
    "JWT_SECRET": "k" * 32,
    "FILES_BUCKET": "staging-files",
}
# As the deployment plan's staging.env has them.
STAGING = {
    **NEEDED,
    "NODE_ENV": "staging",
    "UPLOAD_DIR": "/app/uploads",
    "CORS_ORIGINS": "https://staging.ai-model-mgmt.com",
    "API_RATE_LIMIT": "1000",
    "LOG_LEVEL": "INFO",
    "MONITORING_ENABLED": "true",
    "UVICORN_WORKERS": "4",
    "UVICORN_MAX_REQUESTS": "1000",
    "UVICORN_MAX_REQUESTS_JITTER": "100",
    "DATABASE_POOL_SIZE": "20",
    "REDIS_POOL_SIZE": "10",
    "CACHE_TTL": "300",
}


def test_the_plans_staging_environment_is_understood() -> None:
    settings = Settings.from_environment(STAGING)

    assert settings.node_env == "staging"
    assert settings.cors_origins == ("https://staging.ai-model-mgmt.com",)
    assert (settings.uvicorn_workers, settings.uvicorn_max_requests) == (4, 1000)
    assert (settings.database_pool_size, settings.redis_pool_size, settings.cache_ttl) == (20, 10, 300)
    assert settings.database_name == "online_evaluation_staging"
    assert settings.monitoring_enabled is True
    assert settings.fault.kind is FaultKind.NONE


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        Settings.from_environment({key: value for key, value in NEEDED.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NODE_ENV", "stage"),
        ("MONGO_URL", "postgres://db"),
        ("REDIS_URL", "cache:6379"),
        ("JWT_SECRET", "short"),
        ("FILES_BUCKET", "Not A Bucket"),
        ("CORS_ORIGINS", "https://a.example.com, *"),
        ("API_RATE_LIMIT", "-1"),
        ("RATE_LIMITS", "/api/models=fast"),
        ("RATE_LIMITS", "/api/nothing=5/minute"),
        ("LOG_LEVEL", "chatty"),
        ("MONITORING_ENABLED", "yes"),
        ("UVICORN_WORKERS", "0"),
        ("UVICORN_MAX_REQUESTS", "many"),
        ("UVICORN_MAX_REQUESTS_JITTER", "1.5"),
        ("DATABASE_POOL_SIZE", "0"),
        ("REDIS_POOL_SIZE", "none"),
        ("CACHE_TTL", "0"),
        ("PORT", "70000"),
        ("RELEASE_VERSION", "v1\r\nX-Evil: 1"),
        ("FAULT", "gremlins"),
        ("FAULT_RATE", "1.5"),
        ("FAULT_SECONDS", "nan"),
        ("FAULT_PORT", "https"),
        ("FAULT_MEGABYTES", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} "):
        Settings.from_environment({**NEEDED, name: value})


def test_secrets_are_not_repeated_in_messages() -> None:
    for name, value in (("MONGO_URL", "mongo://app:hunter2@db"), ("JWT_SECRET", "hunter2")):
        with pytest.raises(SettingsError) as caught:
            Settings.from_environment({**NEEDED, name: value})
        assert "hunter2" not in str(caught.value)


def test_an_empty_value_counts_as_absent() -> None:
    assert Settings.from_environment({**NEEDED, "CACHE_TTL": "", "CORS_ORIGINS": ""}).cache_ttl == 300
