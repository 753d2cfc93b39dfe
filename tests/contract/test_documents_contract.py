"""Documents and evidence in a bucket: kept, read, and never written over once they are evidence."""

from __future__ import annotations

from typing import Protocol

import pytest

from cutover.adapters.documents import BucketDocuments
from cutover.ports import Documents, EvidenceStore
from tests.contract.fakes import FakeDocuments

REGION = "ap-northeast-2"


class Both(Documents, EvidenceStore, Protocol): ...


@pytest.fixture(params=["memory", "s3"])
def documents(request: pytest.FixtureRequest) -> Both:
    if request.param == "memory":
        return FakeDocuments()
    aws = request.getfixturevalue("aws")
    name = aws.unique("documents")
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return BucketDocuments(aws.client("s3"), name)


def test_what_is_kept_is_read_and_may_be_kept_anew(documents: Both) -> None:
    documents.keep("boards/d2.json", b"{}")
    documents.keep("boards/d2.json", b'{"verdict":"Go"}')
    assert documents.read("boards/d2.json") == b'{"verdict":"Go"}'


def test_evidence_is_added_once_and_stays_as_it_is(documents: Both) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    assert documents.add("evidence/d2/0001.json", b"first") is True
    assert documents.add("evidence/d2/0001.json", b"second") is False
    assert documents.read("evidence/d2/0001.json") == b"first"


def test_what_is_not_there_is_none(documents: Both) -> None:
    assert documents.read("evidence/d2/0009.json") is None


def test_a_document_has_its_two_addresses(documents: Both) -> None:
    assert documents.location("boards/d2.json").startswith("s3://")
    assert documents.location("boards/d2.json").endswith("/boards/d2.json")
    assert documents.console("boards/d2.json").startswith("https://")
