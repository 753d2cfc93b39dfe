"""What AWS would refuse is told before anything is changed: the field, its value, the way out."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.errors import UnfitConfigurationError
from cutover.domain.preflight import BucketState, Certificate, HostedZone
from cutover.steps.preflight import preflight
from tests.contract.fakes import FakeOffers
from tests.contract.formation import FakeFormation

BUCKET = "cutover-staging-files-1"
GOOD: dict[str, Any] = {
    "environment": "staging",
    "availability_zones": ["ap-northeast-2a", "ap-northeast-2c"],
    "backend": {"domain": "api.example.com", "instance_type": "t3.large"},
    "database": {"instance_class": "db.t3.medium"},
}


def with_backend(**more: Any) -> dict[str, Any]:
    return {**GOOD, "backend": {**GOOD["backend"], **more}}


def look(configuration: dict[str, Any], offers: FakeOffers, *, there: bool = True) -> dict[str, Any]:
    return preflight(configuration, [BUCKET], offers=offers, layers=FakeFormation(there=there).layers)


def told(configuration: dict[str, Any], offers: FakeOffers, *, there: bool = True) -> str:
    with pytest.raises(UnfitConfigurationError) as raised:
        look(configuration, offers, there=there)
    assert "\n" not in str(raised.value)
    assert "Nothing was changed. Correct config/staging.toml" in str(raised.value)
    return str(raised.value)


def test_what_aws_has_is_possible() -> None:
    configuration = with_backend(certificate_arn="arn:c", hosted_zone_id="Z1")
    assert look(configuration, FakeOffers()) == {"status": "possible"}


@pytest.mark.parametrize("tier", ["backend", "frontend", "monitoring"])
def test_an_instance_type_that_does_not_exist_is_told_with_those_near_it(tier: str) -> None:
    configuration = {**GOOD, tier: {**GOOD["backend"], "instance_type": "t3.larg"}}
    words = f"{tier}.instance_type = 't3.larg': ap-northeast-2 offers no such type; near it: t3.large"
    assert told(configuration, FakeOffers()).startswith(words)


def test_a_type_that_resembles_none_is_told_with_where_to_look() -> None:
    assert "describe-instance-type-offerings" in told(with_backend(instance_type="qqqqqqqq"), FakeOffers())


def test_a_type_that_one_zone_lacks_is_told_with_the_zones_that_have_it() -> None:
    offers = FakeOffers()
    offers.by_type["t3.large"] = {"ap-northeast-2c", "ap-northeast-2d"}
    words = "it is not offered in ap-northeast-2a, only in ap-northeast-2c, ap-northeast-2d"
    assert words in told(GOOD, offers)


def test_a_database_class_needs_one_of_the_zones() -> None:
    offers = FakeOffers()
    offers.by_class["db.t3.medium"] = {"ap-northeast-2c"}
    assert look(GOOD, offers)["status"] == "possible"
    offers.by_class["db.t3.medium"] = {"ap-northeast-2d"}
    assert "no such instance class in ap-northeast-2a, ap-northeast-2c, only ap-northeast-2d" in told(
        GOOD, offers
    )
    del offers.by_class["db.t3.medium"]
    assert told(GOOD, offers).startswith("database.instance_class = 'db.t3.medium': DocumentDB has no such")


def test_a_bucket_of_another_account_is_told() -> None:
    offers = FakeOffers()
    offers.buckets[BUCKET] = BucketState.TAKEN
    assert told(GOOD, offers).startswith(f"environment = '{BUCKET}': another account has the bucket")


@pytest.mark.parametrize("there", [True, False])
def test_a_bucket_of_ours_that_no_stack_holds_is_told(there: bool) -> None:
    offers = FakeOffers()
    offers.buckets[BUCKET] = BucketState.OURS
    assert "copy what you need and delete it" in told(GOOD, offers, there=there)


def test_the_environments_own_bucket_is_no_obstacle() -> None:
    offers = FakeOffers()
    offers.buckets["bucket"] = BucketState.OURS  # the physical id of the declared one
    layers = FakeFormation().layers
    assert preflight(GOOD, ["bucket"], offers=offers, layers=layers)["status"] == "possible"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "ACM has no such certificate"),
        (Certificate("PENDING_VALIDATION", ["api.example.com"]), "add the DNS record that ACM shows for it"),
        (
            Certificate("EXPIRED", ["api.example.com"]),
            "it is EXPIRED and can't be presented; request a new one",
        ),
        (Certificate("ISSUED", ["example.com"]), "it is for example.com and not for api.example.com"),
        (Certificate("ISSUED", ["*.com"]), "and not for api.example.com"),
    ],
)
def test_a_certificate_that_could_not_be_presented_is_told(found: Certificate | None, words: str) -> None:
    offers = FakeOffers()
    offers.certificates = {"arn:c": found} if found else {}
    text = told(with_backend(certificate_arn="arn:c"), offers)
    assert text.startswith("backend.certificate_arn = 'arn:c': ")
    assert words in text


def test_a_wildcard_covers_one_label_for_both_services() -> None:
    offers = FakeOffers()
    offers.certificates["arn:c"] = Certificate("ISSUED", ["*.example.com"])
    configuration = with_backend(certificate_arn="arn:c")
    assert look({**configuration, "frontend": {"domain": "www.example.com"}}, offers)["status"] == "possible"
    assert "not for a.b.example.com" in told(
        {**configuration, "frontend": {"domain": "a.b.example.com"}}, offers
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "Route 53 has no such hosted zone"),
        (HostedZone("example.com", private=True), "example.com is a private zone"),
        (
            HostedZone("ample.com", private=False),
            "it is the zone of ample.com, which api.example.com is not in",
        ),
    ],
)
def test_a_zone_in_which_no_record_would_be_found_is_told(found: HostedZone | None, words: str) -> None:
    offers = FakeOffers()
    offers.zones = {"Z1": found} if found else {}
    assert f"backend.hosted_zone_id = 'Z1': {words}" in told(with_backend(hosted_zone_id="Z1"), offers)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    offers = FakeOffers()
    offers.buckets[BUCKET] = BucketState.TAKEN
    text = told(with_backend(instance_type="t3.gigantic", hosted_zone_id="Z9"), offers)
    assert all(field in text for field in ("backend.instance_type", "environment", "backend.hosted_zone_id"))
