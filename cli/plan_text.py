"""A plan's document in lines for people: what needs a second look first, then each persona's part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.markup import escape

from cli.output import seconds

Document = dict[str, Any]
Lines = Iterator[tuple[str, str]]  # (label, text); no label goes on with what is above it
_WIDTH = 16
# Up to that many new resources of a template, and other things, are told one by one.
_MOST_NEW, _MOST_NAMED = 6, 10
_SECRET = "AWS::SecretsManager::"  # noqa: S105  a resource type


def told(document: Document, persona: str = "all") -> list[str]:
    """The plan in lines with rich's markup; the persona that was asked for comes first."""
    sections = {"reliability": _reliability, "performance": _performance, "security": _security}
    environment, version = escape(document["environment"]), escape(document["version"])
    lines = [f"[bold]{environment}[/]: plan for [bold]{version}[/], made at {document['made_at']}"]
    lines += [f"[bold red]{label:<{_WIDTH + 2}}[/] {escape(text)}" for label, text in _attention(document)]
    for name in sorted(sections, key=lambda name: name != persona):
        lines += ["", f"[bold]{name}[/]"]
        lines += [f"  {label:<{_WIDTH}} {escape(text)}" for label, text in sections[name](document)]
    lines += [
        "",
        f"digest             [bold]{document['sha256']}[/]",
        f"kept at            {escape(document['location'])}",
        f"in the console     {escape(document['console'])}",
        f"execute this one   cutover deploy {environment} --plan {document['sha256']}",
    ]
    return lines


def _attention(document: Document) -> Lines:
    """What would stop this deployment, or destroy something."""
    allowed = document["allow_destructive"]
    for template, change in _changes(document):
        if change.get("destructive"):
            name = change["logical_id"]
            then = (
                "allowed by this plan" if name in allowed else f"refused without --allow-destructive {name}"
            )
            yield "DESTROYS", f"{name} ({template}): {change['destructive']}; {then}"
    if document["image"]["scan"]["blocks"]:
        yield "BLOCKED", f"the scan gate would not let this image pass: {_counts(document['image'])}"
    frontend = document.get("frontend")
    if frontend and frontend["scan"]["blocks"]:
        yield "BLOCKED", f"the scan gate would not let the frontend's image pass: {_counts(frontend)}"
    if document["window"]["forced"]:
        yield "FORCED", document["window"]["reason"]


def _reliability(document: Document) -> Lines:
    live, rollback = document["live"], document["rollback"]
    yield "live now", f"{live['version']} on {live['colour']}" if live else "nothing yet"
    label = "traffic"
    for service, weights in document["weights"].items():
        now, after = _pairs(weights["now"]), _pairs(weights["after"])
        yield label, f"{service}: {now} → {after}" if now != after else f"{service}: stays {now}"
        label = ""
    yield from _infrastructure(document)
    yield from _migrations(document["migrations"])
    yield "rollback", f"before the swap: {rollback['before_the_swap']}"
    yield "", f"after the swap: {rollback['after_the_swap']}"


def _infrastructure(document: Document) -> Lines:
    for number, each in enumerate(document["change_sets"]):
        changes = each["changes"]
        kinds = Counter(change["kind"] for change in changes)
        counted = ", ".join(f"{count} to {kind}" for kind, count in kinds.items()) or "nothing changes"
        foreseen = ", foreseen from the template" if changes and each["basis"] == "template" else ""
        yield "" if number else "infrastructure", f"{each['template']}: {counted}{foreseen}"
        new = [change for change in changes if change["kind"] == "create"]
        if len(new) > _MOST_NEW:
            types = Counter(_short(change["type"]) for change in new)
            yield (
                "",
                "  create "
                + ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in types.items()),
            )
        for change in changes:
            if change["kind"] != "create" or len(new) <= _MOST_NEW:
                yield (
                    "",
                    f"  {change['kind']} {change['logical_id']} ({_short(change['type'])}){_why(change)}",
                )


def _named(change: dict[str, Any]) -> str:
    return f"{change['kind']} {change['logical_id']} ({_short(change['type'])})"


def _why(change: dict[str, Any]) -> str:
    because = ", ".join(sorted({cause["property"] for cause in change.get("causes") or []}))
    return f" because of {because}" if because else ""


def _migrations(migrations: dict[str, Any]) -> Lines:
    indexes = migrations["indexes"]
    yield "migrations", f"{len(indexes)} indexes, in {len(migrations['files'])} files"
    for index in indexes:
        yield "", f"  index {index}"
    for step in migrations.get("steps") or []:
        risk = f", risk {step['risk']}" if step.get("risk") else ""
        yield "", f"  {step['phase']} {step['name']}: {step['what']}{risk}"
    for refused in migrations.get("refused") or []:
        yield "", f"  would be refused: {refused}"


def _performance(document: Document) -> Lines:
    yield from _cost(document["cost"])
    load = document["configuration"].get("load")
    if load:
        rate = f"{load['requests_per_second']} requests/s"
        yield "load test", f"{rate}, {load['users']} users, {load['seconds']} s"
    for number, phase in enumerate(document["phases"]):
        expected = phase["expected_seconds"]
        time = expected if isinstance(expected, str) else f"about {seconds(expected)}"
        name = f"{phase['number']} {phase['name']}"
        yield "" if number else "phases", f"{name:<12} {time}, at most {phase['budget_minutes']} min"


def _cost(cost: dict[str, Any]) -> Lines:
    monthly = cost["monthly"]
    without = "" if monthly["complete"] else ", without what is unpriced"
    change = f"{monthly['now']:.2f} → {monthly['after']:.2f}"
    prices = f"list prices of {cost['as_of']}"
    yield "cost a month", f"{monthly['delta']:+.2f} {cost['currency']} ({change}{without}; {prices})"
    for line in cost["lines"]:
        amount = line["monthly"] if isinstance(line["monthly"], str) else f"{line['monthly']:+.2f}"
        doubt = "" if line["checked"] or line["monthly"] == "unpriced" else " (unchecked)"
        yield "", f"  {line['template']}: {line['quantity']:+g} {line['item']} {amount}{doubt}"
    if cost["unpriced"]:
        yield "unpriced", ", ".join(cost["unpriced"])
    if cost["unchecked"]:
        yield "unchecked", f"{', '.join(cost['unchecked'])}: remembered prices, look them up"
    yield "billed by use", ", ".join(cost["billed_by_use"])
    (build,) = cost["per_deployment"]["lines"]
    doubt = "" if build["checked"] or not build["minutes"] else " (unchecked)"
    amount = build["cost"] if isinstance(build["cost"], str) else f"{build['cost']:.2f} {cost['currency']}"
    built = f"build {build['minutes']} min" if build["minutes"] else "no build"
    yield "this deployment", f"{built}, cost {amount}{doubt}"


def _security(document: Document) -> Lines:
    image, source = document["image"], document["source"]
    yield "image", image["digest"] or f"to be built from {(source or {}).get('location')}"
    yield "scan", image["scan"]["found"] if image["scan"]["blocks"] is None else _counts(image)
    yield from _frontend(document.get("frontend"))
    findings = image["scan"]["findings"]
    for finding in findings[:_MOST_NAMED]:
        fix = f"fixed in {finding['fixed']}" if finding["fixed"] else "no fix known"
        yield "", f"  {finding['severity']} {finding['package']} {finding['version']} {finding['id']}: {fix}"
    more = len(findings) - _MOST_NAMED + image["scan"]["left_out"]
    if more > 0:
        yield "", f"  and {more} more"
    yield from _touched("security groups", document["security_groups"])
    secrets = [change for _, change in _changes(document) if change["type"].startswith(_SECRET)]
    yield from _touched("secrets", secrets)
    yield "may destroy", ", ".join(document["allow_destructive"]) or "nothing"
    yield "window", document["window"]["reason"]
    for number, (name, digest) in enumerate(document["templates"].items()):
        yield "" if number else "templates", f"{name:<12} {digest}"


def _frontend(frontend: Document | None) -> Lines:
    """An environment may have none."""
    if frontend is None:
        return
    scan = frontend["scan"]
    why = " (the one that is live comes along)" if frontend["carried"] else ""
    built = f"to be built from {(frontend['source'] or {}).get('location')}"
    yield "frontend", f"{frontend['digest'] or built}{why}"
    yield "scan", scan["found"] if scan["blocks"] is None else _counts(frontend)


def _touched(label: str, changes: list[dict[str, Any]]) -> Lines:
    """Few are named, many are counted."""
    if len(changes) > _MOST_NAMED:
        kinds = Counter(change["kind"] for change in changes)
        yield label, ", ".join(f"{count} to {kind}" for kind, count in kinds.items())
        return
    yield label, _named(changes[0]) if changes else "nothing changes"
    for change in changes[1:]:
        yield "", _named(change)


def _counts(image: Document) -> str:
    scan = image["scan"]
    counts = ", ".join(f"{count} {severity.lower()}" for severity, count in scan["counts"].items())
    if scan["verdict"] == "Inconclusive":
        return f"Inconclusive: {scan['found']}"
    return f"{scan['verdict']}: {counts or 'no finding'}"


def _changes(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in document["change_sets"]:
        for change in each["changes"]:
            yield each["template"], change


def _short(kind: str) -> str:
    return kind.removeprefix("AWS::")


def _pairs(weights: dict[str, int]) -> str:
    return ", ".join(f"{colour} {weight}" for colour, weight in weights.items())
