"""The reports of web scanners, read into one shape: OWASP ZAP's and schemathesis's.

ZAP's "Traditional JSON Report": https://www.zaproxy.org/docs/desktop/addons/report-generation/report-traditional-json/
schemathesis's `--report json`: https://schemathesis.readthedocs.io/en/stable/reference/reports/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# ZAP's risks, by their code. It knows none that is critical.
ZAP_RISKS = {"3": "high", "2": "medium", "1": "low", "0": "informational"}
FALSE_POSITIVE = "0"
CLOSING = ("critical", "high")
# A severity that the scanner does not name counts as the worst.
UNKNOWN = "critical"


@dataclass(frozen=True)
class WebReport:
    """`looked_at` places were asked and answered; `counts` of findings by severity; `closing` are the
    critical and high ones in words; `trouble` says what was left out, if anything was."""

    scanner: str
    looked_at: int
    counts: Mapping[str, int] = field(default_factory=dict)
    closing: Sequence[str] = ()
    trouble: str = ""


def read_report(document: object) -> WebReport:
    """The report of whichever scanner ran. Raises ValueError for what is neither's."""
    report = _table(document, "the report")
    if "schemathesis_version" in report:
        return read_schemathesis(report)
    if "site" in report:
        return read_zap(report)
    raise ValueError("it is neither OWASP ZAP's nor schemathesis's")


def read_zap(report: Mapping[str, Any]) -> WebReport:
    """Raises ValueError for what is no report of ZAP's."""
    sites = [_table(site, "a site") for site in _rows(report, "site")]
    counts: Counter[str] = Counter()
    closing: list[str] = []
    for alert in (_table(each, "an alert") for site in sites for each in _rows(site, "alerts")):
        if str(alert.get("confidence")) == FALSE_POSITIVE:
            continue
        risk = ZAP_RISKS.get(str(alert.get("riskcode")), UNKNOWN)
        counts[risk] += 1
        if risk in CLOSING:
            closing.append(f"{risk} {alert.get('name')} at {_first(alert)}")
    return WebReport(f"OWASP ZAP {report.get('@version', '')}".strip(), len(sites), counts, closing)


def _first(alert: Mapping[str, Any]) -> str:
    instances = alert.get("instances") or [{}]
    first = _table(instances[0], "an instance")
    more = f" and {len(instances) - 1} more" if len(instances) > 1 else ""
    return f"{first.get('method', '')} {first.get('uri', 'an unknown place')}{more}".strip()


def read_schemathesis(report: Mapping[str, Any]) -> WebReport:
    """Raises ValueError for what is no report of schemathesis's. What was refused for want of a token, or by
    a rate limit, was not looked at."""
    operations = _table(report.get("operations"), "`operations`")
    counts: Counter[str] = Counter()
    closing: list[str] = []
    for failure in (_table(each, "a failure") for each in _rows(report, "failures")):
        severity = str(failure.get("severity") or UNKNOWN).lower()
        counts[severity] += 1
        if severity in CLOSING:
            where = ", ".join(str(each) for each in failure.get("operations") or ["an unknown place"])
            closing.append(f"{severity} {failure.get('title')} at {where}")
    selected, tested = int(operations.get("selected") or 0), int(operations.get("tested") or 0)
    warnings = report.get("warnings") or {}
    refused = {name for kind in ("missing_auth", "rate_limited") for name in warnings.get(kind) or []}
    trouble = ""
    if errors := _rows(report, "errors"):
        trouble = f"{len(errors)} operations could not be tested"
    elif tested < selected or report.get("complete") is not True:
        trouble = f"{tested} of {selected} operations were tested"
    scanner = f"schemathesis {report['schemathesis_version']}"
    return WebReport(scanner, max(0, tested - len(refused)), counts, closing, trouble)


def _rows(table: Mapping[str, Any], name: str) -> Sequence[Any]:
    rows = table.get(name)
    if not isinstance(rows, list):
        raise ValueError(f"it has no list `{name}`")
    return rows


def _table(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is no JSON object")
    return value
