"""A certificate that waits for its DNS record, as CloudFormation tells of it in the stack's events.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-certificatemanager-certificate.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_RECORD = re.compile(
    r"Content of DNS Record is: *\{ *Name: *(?P<name>[^,\s]+), *Type: *(?P<type>\w+), *"
    r"Value: *(?P<value>[^,\s}]+)"
)


def wanted_record(reason: str) -> str | None:
    """The record in an event's reason, as a line of a zone file has it; None when there is none."""
    found = _RECORD.search(reason)
    return f"{found['name']} {found['type']} {found['value']}" if found else None


def certificate_waits(records: Sequence[str]) -> str:
    return (
        f"ACM waits for {len(records)} DNS record{'s' if len(records) > 1 else ''} before it issues the "
        f"certificate: {'; '.join(records)}. Add {'them' if len(records) > 1 else 'it'} where the domain is "
        "served; or set backend.hosted_zone_id, so that it is made by itself, or backend.certificate_arn, if "
        "you have a certificate"
    )
