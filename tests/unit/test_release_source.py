"""Where a release's migrations come from: the source that is built, or that an image was built from."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from cutover.adapters.artifacts import BucketSources
from cutover.adapters.source_zip import files_of, verified
from cutover.domain.errors import LockLostError, MisconfiguredError, SourceChangedError, SourceNotFoundError
from cutover.domain.records import image_key
from cutover.steps.find_image import find_image
from cutover.steps.release_source import declared_migrations, source_of
from tests.contract.fakes import FakeJournal, FakeRegistry, FakeSources
from tests.contract.scenes import DEPLOYMENT, DIGEST, locked

SOURCE = f"sources/{'a' * 64}.zip"
INDEXES = b'{"users": [{"name": "email_unique", "keys": [["email", 1]], "unique": true}]}'


def packed(**files: bytes) -> tuple[str, bytes]:
    """A zip with the files in migrations/, and the key that its content gives it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("Dockerfile", "FROM scratch")
        archive.writestr("migrations/deeper/no.json", "{}")
        for name, content in files.items():
            archive.writestr(f"migrations/{name.replace('_json', '.json')}", content)
    content = target.getvalue()
    return f"sources/{hashlib.sha256(content).hexdigest()}.zip", content


def test_the_files_of_the_folder_are_read_and_no_others() -> None:
    key, content = packed(indexes_json=INDEXES)
    assert files_of(key, verified(key, content), "migrations") == {"indexes.json": INDEXES}


def test_a_source_without_the_folder_declares_nothing() -> None:
    key, content = packed()
    assert files_of(key, content, "elsewhere") == {}


def test_a_source_that_was_replaced_is_not_read() -> None:
    _, content = packed(indexes_json=INDEXES)
    with pytest.raises(SourceChangedError, match="its name says otherwise: it was replaced"):
        verified(SOURCE, content)


def test_what_is_no_zip_is_named() -> None:
    content = b"not a zip"
    key = f"sources/{hashlib.sha256(content).hexdigest()}.zip"
    with pytest.raises(SourceChangedError, match="is no zip"):
        files_of(key, verified(key, content), "migrations")


def test_data_among_the_migrations_is_refused_before_it_is_unpacked() -> None:
    key, content = packed(big=b"0" * 4096)
    with pytest.raises(SourceChangedError, match="unpacks to 4096 bytes, more than 1000"):
        files_of(key, content, "migrations", most_bytes=1000)


def bucket(answer: Any) -> tuple[BucketSources, Stubber]:
    client = boto3.client(
        "s3", region_name="ap-northeast-2", aws_access_key_id="x", aws_secret_access_key="x"
    )
    stub = Stubber(client)
    if isinstance(answer, bytes):
        stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(answer), len(answer))})
    else:
        stub.add_client_error("get_object", answer, http_status_code=404)
    stub.activate()
    return BucketSources(client, "artifacts"), stub


def test_the_bucket_gives_the_folder_of_a_source_that_is_what_its_name_says() -> None:
    key, content = packed(indexes_json=INDEXES)
    assert bucket(content)[0].folder(key, "migrations") == {"indexes.json": INDEXES}
    with pytest.raises(SourceChangedError):
        bucket(content)[0].folder(SOURCE, "migrations")


def test_a_source_that_is_gone_is_named() -> None:
    with pytest.raises(SourceNotFoundError, match=f"there is no s3://artifacts/{SOURCE}"):
        bucket("NoSuchKey")[0].folder(SOURCE, "migrations")


def test_a_build_writes_down_which_source_its_image_is_from() -> None:
    journal = locked(FakeJournal())
    built = replace(DEPLOYMENT, source=SOURCE)
    find_image(built, "d2", registry=FakeRegistry(d2=DIGEST), journal=journal)

    promoted = replace(DEPLOYMENT, id="d3", image=DIGEST)
    assert source_of(promoted, journal=journal, sources=FakeSources(SOURCE)) == {
        "key": SOURCE,
        "location": f"artifacts/{SOURCE}",
    }


def test_a_deployment_that_lost_its_lock_writes_nothing_down() -> None:
    journal = locked(FakeJournal())
    with pytest.raises(LockLostError):
        find_image(replace(DEPLOYMENT, fence=6), "d2", registry=FakeRegistry(d2=DIGEST), journal=journal)
    assert image_key(DIGEST) not in journal.items


def test_an_image_of_unknown_source_is_refused() -> None:
    with pytest.raises(SourceNotFoundError, match="deploy that source"):
        source_of(replace(DEPLOYMENT, image=DIGEST), journal=FakeJournal(), sources=FakeSources(SOURCE))


def test_an_image_whose_source_has_expired_is_refused() -> None:
    journal = FakeJournal()
    journal.items[image_key(DIGEST)] = {"source": SOURCE}
    with pytest.raises(SourceNotFoundError, match=f"there is no s3://artifacts/{SOURCE}"):
        source_of(replace(DEPLOYMENT, image=DIGEST), journal=journal, sources=FakeSources())


def test_the_plan_tells_indexes_and_the_digest_of_each_file() -> None:
    told = declared_migrations(SOURCE, sources=FakeSources(SOURCE, files={"indexes.json": INDEXES}))
    other = declared_migrations(SOURCE, sources=FakeSources(SOURCE, files={"x.json": INDEXES}))

    assert told["indexes"] == ["users{email} unique"]
    assert told["files"] == {"indexes.json": hashlib.sha256(INDEXES).hexdigest()}
    assert told["digest"] != other["digest"], "a file's name counts"


def test_indexes_that_are_no_json_are_named_in_the_plan() -> None:
    with pytest.raises(MisconfiguredError, match=r"migrations/indexes\.json: no JSON"):
        declared_migrations(SOURCE, sources=FakeSources(SOURCE, files={"indexes.json": b"{"}))
