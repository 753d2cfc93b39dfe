"""ACM's validation by DNS: a certificate is PENDING_VALIDATION until its record can be found.

https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
Found is what a hosted zone of the account's Route 53 answers. Names under `.test`, which no DNS on earth
serves (RFC 6761), count as answered at once, as by a person with a DNS of their own. The 72 hours that ACM
waits last as many of the sandbox's minutes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from ministack.services import acm, route53
from ministack.services.cloudformation import _stacks
from ministack.services.cloudformation import stacks as formation

from sandbox.emulator.context import Context, Properties, replace, seam

TYPE = "AWS::CertificateManager::Certificate"
PENDING, ISSUED, TIMED_OUT = "PENDING_VALIDATION", "ISSUED", "VALIDATION_TIMED_OUT"
ANSWERED_HERE = ".test"
MINUTES = 72 * 60
POLL_SECONDS = 0.2
Record = dict[str, Any]


class Validation:
    """Certificates on their way to being issued; `issue` is called once for each that gets there."""

    def __init__(self, context: Context, issue: Callable[[str], None]) -> None:
        self._context, self._issue = context, issue
        self._seconds = MINUTES * context.settings.minute_seconds
        replace(acm, "_validation_options", _option)

    def begin(self, arn: str) -> None:
        """ministack has issued it already: take that back."""
        record = acm._certificates[arn]
        record["Status"] = PENDING
        record["_pending_until"] = time.monotonic() + self._seconds
        record.pop("IssuedAt", None)
        self.settle(arn)

    def settle(self, arn: str) -> str:
        """The certificate's status, after a look for its records."""
        record: Record = acm._certificates[arn]
        if record["Status"] != PENDING:
            return str(record["Status"])
        options = record["DomainValidationOptions"]
        for option in options:
            if _answered(option["ResourceRecord"]):
                option["ValidationStatus"] = "SUCCESS"
        if all(option["ValidationStatus"] == "SUCCESS" for option in options):
            record.update(Status=ISSUED, IssuedAt=record["CreatedAt"])
            self._issue(arn)
        elif time.monotonic() > record["_pending_until"]:
            record["Status"] = TIMED_OUT
        return str(record["Status"])

    def wait(self, arn: str, logical_id: str, properties: Properties, stack_name: str) -> None:
        """CloudFormation's part: write the records into zones it is told of, name them in the stack's events,
        and wait. Raises ValueError when the certificate is not issued in time, or the update is cancelled.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-certificatemanager-certificate.html
        """
        record = acm._certificates[arn]
        zones = {
            each["DomainName"]: each.get("HostedZoneId")
            for each in properties.get("DomainValidationOptions") or []
        }
        for option in record["DomainValidationOptions"]:
            if zone := zones.get(option["DomainName"]):
                self._write(zone, option["ResourceRecord"])
        stack = _stacks[stack_name]
        if self.settle(arn) == PENDING:
            for option in record["DomainValidationOptions"]:
                _tell(stack, logical_id, arn, option["ResourceRecord"])
        while (status := self.settle(arn)) == PENDING:
            if stack.get("_cancel_requested") or not stack["StackStatus"].endswith(
                ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            ):
                raise ValueError("Resource creation cancelled")
            time.sleep(POLL_SECONDS)
        if status != ISSUED:
            raise ValueError(f"Certificate {arn} is {status}")

    def _write(self, zone: str, wanted: dict[str, str]) -> None:
        change = {
            "Action": "UPSERT",
            "ResourceRecordSet": {
                "Name": wanted["Name"],
                "Type": wanted["Type"],
                "TTL": 300,
                "ResourceRecords": [{"Value": wanted["Value"]}],
            },
        }
        self._context.client("route53").change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": [change]}
        )


def _option(domain: str, method: str) -> Record:
    """In the place of ministack's, with names and values that look like ACM's."""
    base = domain.removeprefix("*.")
    digest = hashlib.sha256(base.encode()).hexdigest()
    return {
        "DomainName": domain,
        "ValidationDomain": domain,
        "ValidationMethod": method,
        "ValidationStatus": PENDING,
        "ResourceRecord": {
            "Name": f"_{digest[:32]}.{base}.",
            "Type": "CNAME",
            "Value": f"_{digest[32:]}.acm-validations.aws.",
        },
    }


def _answered(wanted: dict[str, str]) -> bool:
    if wanted["Name"].rstrip(".").endswith(ANSWERED_HERE):
        return True
    zones: dict[str, list[Record]] = seam(route53, "_records")
    return any(
        each["Name"].rstrip(".") == wanted["Name"].rstrip(".")
        and each["Type"] == wanted["Type"]
        and wanted["Value"].rstrip(".") in [value.rstrip(".") for value in each.get("ResourceRecords") or []]
        for records in zones.values()
        for each in records
    )


def _tell(stack: Record, logical_id: str, arn: str, wanted: dict[str, str]) -> None:
    prefix = "UPDATE" if stack["StackStatus"].startswith("UPDATE") else "CREATE"
    told = f"Name: {wanted['Name']},Type: {wanted['Type']},Value: {wanted['Value']}"
    seam(formation, "_add_event")(
        stack["StackId"],
        stack["StackName"],
        logical_id,
        TYPE,
        f"{prefix}_IN_PROGRESS",
        f"Content of DNS Record is: {{{told}}}",
        arn,
    )
