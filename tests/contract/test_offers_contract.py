"""What the look ahead asks, of the API itself and as a role that may do no more than that."""

from __future__ import annotations

import pytest

from cutover.adapters.offers import AwsOffers
from cutover.domain.errors import AccessDeniedError
from cutover.domain.preflight import BucketState, Certificate, HostedZone
from tests.sandbox.conftest import Emulator

OTHER_ACCOUNT = "999988887777"


@pytest.fixture
def offers(aws: Emulator) -> AwsOffers:
    return AwsOffers(aws.client)


def test_types_and_classes_are_found_by_zone(aws: Emulator, offers: AwsOffers) -> None:
    zone = f"{aws.settings.region}a"
    assert zone in offers.zones_of_type("t3.large")
    assert zone in offers.zones_of_class("db.t3.medium")
    assert not offers.zones_of_type("t3.gigantic")
    assert not offers.zones_of_class("db.t3.gigantic")
    assert "t3.large" in offers.types()


def test_a_buckets_name_is_free_ours_or_taken(aws: Emulator, offers: AwsOffers) -> None:
    place = {"LocationConstraint": aws.settings.region}
    ours, theirs = aws.unique("ours"), aws.unique("theirs")
    assert offers.bucket(ours) is BucketState.FREE
    aws.client("s3").create_bucket(Bucket=ours, CreateBucketConfiguration=place)
    stranger = aws.client("s3", aws.session(OTHER_ACCOUNT, "test"))
    stranger.create_bucket(Bucket=theirs, CreateBucketConfiguration=place)
    assert (offers.bucket(ours), offers.bucket(theirs)) == (BucketState.OURS, BucketState.TAKEN)


def test_certificates_are_found_with_their_status(aws: Emulator, offers: AwsOffers) -> None:
    acm = aws.client("acm")
    issued, pending = (
        acm.request_certificate(DomainName=name, ValidationMethod="DNS")["CertificateArn"]
        for name in ("api.example.test", f"{aws.unique('api')}.example.com")
    )
    assert offers.certificate(issued) == Certificate("ISSUED", ["api.example.test"])
    found = offers.certificate(pending)
    assert found is not None
    assert found.status == "PENDING_VALIDATION"
    assert offers.certificate(issued[:-4] + "0000") is None


def test_hosted_zones_are_found_by_their_id(aws: Emulator, offers: AwsOffers) -> None:
    name = f"{aws.unique('zone')}.example.com"
    made = aws.client("route53").create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    assert offers.hosted_zone(made.rpartition("/")[2]) == HostedZone(name, private=False)
    assert offers.hosted_zone("Z00000000000") is None


def test_without_the_right_the_answer_is_that_it_is_missing(aws: Emulator) -> None:
    """Else every type would seem not to exist."""
    nobody = aws.user()
    with pytest.raises(AccessDeniedError):
        AwsOffers(lambda service: aws.client(service, nobody)).zones_of_type("t3.large")
