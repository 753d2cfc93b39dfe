"""The DNS record that a certificate waits for, out of CloudFormation's words."""

from __future__ import annotations

import pytest

from cutover.domain.certificates import certificate_waits, wanted_record

EVENT = "Content of DNS Record is: {Name: _x1.api.example.com.,Type: CNAME,Value: _y2.jkddzztszm.acm-validations.aws.}"
LINE = "_x1.api.example.com. CNAME _y2.jkddzztszm.acm-validations.aws."


@pytest.mark.parametrize("event", [EVENT, EVENT.replace(",", ", "), f"{EVENT} (RequestToken: 1)"])
def test_the_record_is_read_from_the_events_reason(event: str) -> None:
    assert wanted_record(event) == LINE


@pytest.mark.parametrize("reason", ["", "Resource creation Initiated", "Content of DNS Record is: {}"])
def test_other_reasons_hold_no_record(reason: str) -> None:
    assert wanted_record(reason) is None


def test_people_read_the_records_and_the_other_ways_out() -> None:
    one, two = certificate_waits([LINE]), certificate_waits([LINE, "b CNAME c"])
    assert f"ACM waits for 1 DNS record before it issues the certificate: {LINE}. Add it where" in one
    assert f"2 DNS records before it issues the certificate: {LINE}; b CNAME c. Add them where" in two
    assert "backend.hosted_zone_id" in one
    assert "backend.certificate_arn" in one
