"""What the example backend is delivered with: its compose file, its image's recipe and its migrations."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.passwords import NOBODY, hash_password, verify_password
from backend.services import new_id

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "backend"


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    return services


def migration(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "migrations" / name).read_text())
    return content


def test_three_backends_listen_on_the_plans_ports() -> None:
    found = {
        name: (service["environment"]["INSTANCE_ID"], service["environment"]["PORT"])
        for name, service in compose().items()
        if name != "metrics"
    }
    assert found == {f"backend-{n}": (f"backend-{n}", str(7999 + n)) for n in (1, 2, 3)}


@pytest.mark.parametrize("name", ["backend-1", "backend-2", "backend-3"])
def test_each_backend_is_checked_and_restarted_as_the_plan_says(name: str) -> None:
    service = compose()[name]
    check = service["healthcheck"]

    assert (check["interval"], check["timeout"], check["retries"], check["start_period"]) == (
        "30s",
        "10s",
        3,
        "40s",
    )
    assert service["restart"] == "unless-stopped"
    assert service["network_mode"] == "host"
    assert service["image"] == "${IMAGE}"
    assert service["env_file"] == "${ENV_FILE}"


def test_the_production_image_does_not_run_as_root() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    production = lines[lines.index("FROM python:3.11-slim AS production") :]

    assert "USER 10001" in production
    assert "FROM python:3.11-slim AS dependencies" in lines


def test_the_six_indexes_are_those_of_the_plan() -> None:
    found = {
        (collection, tuple((field, order) for field, order in index["keys"]), index.get("unique", False))
        for collection, indexes in migration("indexes.json").items()
        for index in indexes
    }
    assert found == {
        ("users", (("email", 1),), True),
        ("models", (("provider", 1), ("status", 1)), False),
        ("evaluations", (("user_id", 1), ("created_at", -1)), False),
        ("evaluations", (("model_id", 1), ("status", 1)), False),
        ("evaluations", (("user_id", 1), ("model_id", 1), ("created_at", -1)), False),
        ("files", (("user_id", 1), ("upload_status", 1)), False),
    }


def test_seeds_have_fixed_ids_so_that_seeding_twice_changes_nothing() -> None:
    for documents in migration("seed.json").values():
        ids = [document["_id"] for document in documents]
        assert len(set(ids)) == len(ids)


def test_seeded_models_are_models_of_the_api() -> None:
    from backend.models import NewModel

    for document in migration("seed.json")["models"]:
        NewModel(**{key: value for key, value in document.items() if key != "_id"})


def test_ids_sort_by_the_time_of_their_creation_and_after_the_seeds() -> None:
    ids = []
    for _ in range(3):
        ids.append(new_id())
        time.sleep(0.002)

    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", each) for each in ids)
    assert max(document["_id"] for document in migration("seed.json")["models"]) < ids[0]
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_password_fits_its_own_hash_only() -> None:
    stored = hash_password("correct horse battery")

    assert verify_password("correct horse battery", stored)
    assert not verify_password("correct horse", stored)
    assert hash_password("correct horse battery") != stored


def test_no_password_fits_an_account_whose_secret_was_never_set() -> None:
    seeded = migration("seed.json")["users"][0]["password_hash"]

    for stored in (seeded, None, "", "plain", NOBODY):
        assert not verify_password("", stored)
        assert not verify_password("nobody", stored)


def test_the_migrating_step_can_make_the_hash_with_the_standard_library() -> None:
    import base64
    import hashlib

    salt = b"0123456789abcdef"
    derived = hashlib.scrypt(b"secret", salt=salt, n=2**14, r=8, p=5, maxmem=2**26, dklen=32)
    parts = [base64.b64encode(value).decode().rstrip("=") for value in (salt, derived)]
    assert verify_password("secret", "$scrypt$ln=14,r=8,p=5$" + "$".join(parts))
