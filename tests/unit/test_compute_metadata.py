"""The instance metadata service, version 2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import json
from typing import Any

import pytest

from sandbox.compute.metadata import TOKEN_HEADER, TTL_HEADER, MetadataService

DOCUMENT: dict[str, Any] = {
    "account": "123456789012",
    "region": "ap-northeast-2",
    "availability_zone": "ap-northeast-2a",
    "instance_id": "i-1",
    "instance_type": "t3.large",
    "image_id": "ami-1",
    "private_ip": "127.1.1.100",
    "hostname": "ip-127-1-1-100",
    "user_data": "",
    "tags": {"Colour": "blue"},
    "tags_in_metadata": True,
    "role": {
        "name": "instance", "profile_arn": "arn:p", "access_key": "ASIA1", "secret_key": "s", "token": "t",
        "last_updated": "2026-01-01T00:00:00Z", "expiration": "2026-01-01T06:00:00Z",
    },
}  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def service(clock: Clock | None = None, **changes: Any) -> MetadataService:
    return MetadataService(lambda: {**DOCUMENT, **changes}, clock or Clock())


def token(of: MetadataService, seconds: int = 60) -> str:
    answer = of.answer("PUT", "/latest/api/token", {TTL_HEADER: str(seconds)})
    assert answer.status == 200
    return answer.text


def get(of: MetadataService, path: str) -> tuple[int, str]:
    answer = of.answer("GET", f"/latest/{path}", {TOKEN_HEADER: token(of)})
    return answer.status, answer.text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("instance-id", "i-1"),
        ("local-ipv4", "127.1.1.100"),
        ("placement/region", "ap-northeast-2"),
        ("placement/availability-zone", "ap-northeast-2a"),
        ("tags/instance/Colour", "blue"),
        ("iam/security-credentials/", "instance"),
        ("placement/", "availability-zone\nregion"),
    ],
)
def test_values_and_listings_are_served(path: str, text: str) -> None:
    assert get(service(), f"meta-data/{path}") == (200, text)


def test_a_request_without_a_token_is_unauthorized() -> None:
    of = service()
    assert of.answer("GET", "/latest/meta-data/instance-id", {}).status == 401
    assert of.answer("GET", "/latest/meta-data/instance-id", {TOKEN_HEADER: "guess"}).status == 401


def test_a_token_is_good_for_its_time_only() -> None:
    clock = Clock()
    of = service(clock)
    headers = {TOKEN_HEADER: token(of, 10)}
    clock.now = 9.9
    assert of.answer("GET", "/latest/meta-data/instance-id", headers).status == 200
    clock.now = 10.0
    assert of.answer("GET", "/latest/meta-data/instance-id", headers).status == 401


@pytest.mark.parametrize("seconds", ["", "0", "21601", "soon"])
def test_a_token_needs_a_time_between_one_second_and_six_hours(seconds: str) -> None:
    assert service().answer("PUT", "/latest/api/token", {TTL_HEADER: seconds}).status == 400


def test_a_token_is_not_given_through_a_proxy() -> None:
    headers = {TTL_HEADER: "60", "x-forwarded-for": "10.0.0.1"}
    assert service().answer("PUT", "/latest/api/token", headers).status == 403


def test_credentials_have_the_shape_that_sdks_read() -> None:
    status, text = get(service(), "meta-data/iam/security-credentials/instance")
    found = json.loads(text)
    assert status == 200
    assert (found["Code"], found["AccessKeyId"], found["Token"]) == ("Success", "ASIA1", "t")
    assert found["Expiration"] == "2026-01-01T06:00:00Z"


def test_tags_are_hidden_unless_the_instance_allows_them() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html"""
    assert get(service(tags_in_metadata=False), "meta-data/tags/instance/Colour")[0] == 404


def test_an_instance_without_a_profile_has_no_credentials() -> None:
    assert get(service(role=None), "meta-data/iam/security-credentials/")[0] == 404


def test_what_does_not_exist_is_not_found() -> None:
    assert get(service(), "meta-data/public-ipv4")[0] == 404
    assert get(service(), "user-data")[0] == 404
