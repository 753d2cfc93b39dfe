"""Make the plan: everything that this deployment would do, in one document. Nothing is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cutover.database_ports import MigrationPlans
from cutover.domain.changes import change_sets_of, security_group_changes
from cutover.domain.colours import Colour, ColourPlan, Weights, plan_colours
from cutover.domain.cost import compare, per_deployment
from cutover.domain.errors import (
    GateFailedError,
    ImageNotFoundError,
    MigrationRefusedError,
    MisconfiguredError,
    OutsideWindowError,
    PlanChangedError,
    PlanNotFoundError,
)
from cutover.domain.gates import Verdict
from cutover.domain.input import Mode
from cutover.domain.plan import differences, fingerprint, phases, rollback_of, sealed
from cutover.domain.prices import PriceTable
from cutover.domain.records import HISTORY, Deployment, Live, Status, deployment_key
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.domain.window import WindowDecision, decide_window, read_hours
from cutover.ports import Clock, Journal, Layer, LoadBalancer, Plans, Registry, Sources, Templates
from cutover.steps.layers import service_outputs
from cutover.steps.live_weights import live_weights
from cutover.steps.plan_frontend import planned_frontend
from cutover.steps.records import read_live
from cutover.steps.release_source import planned_migrations, source_of
from cutover.steps.scan import outlook

# How far back expectations are looked for, and how many deployments they rest on.
MOST_HISTORY, MOST_MEASURED = 25, 5
RELEASE_PHASE = 3


@dataclass(frozen=True)
class Declared:
    """What is packed with the function: the functions' own code, and the price table of the region."""

    code: str
    libraries: str
    prices: PriceTable


def make_plan(
    deployment: Deployment,
    configuration: Mapping[str, Any],
    change_sets: Sequence[Mapping[str, Any]],
    declared: Declared,
    *,
    journal: Journal,
    balancer: LoadBalancer,
    layers: Sequence[Layer],
    templates: Templates,
    registries: Mapping[Service, Registry],
    sources: Sources,
    plans: Plans,
    migrations: MigrationPlans,
    clock: Clock,
) -> dict[str, Any]:
    """The plan, kept under its digest. `change_sets` as `prepare_change_sets` answers them.

    Raises OutsideWindowError, ImageNotFoundError, SourceNotFoundError, MisconfiguredError for a listener
    whose traffic is split, so that nobody could say which colour is idle; for a deployment that is bound
    to a plan PlanNotFoundError, or PlanChangedError naming every input that is not what was planned; and for
    one that a later phase is certain to refuse, so that nothing is provisioned for it, what that phase would:
    MigrationRefusedError, GateFailedError. (A mere plan tells it instead.)
    """
    window = _window(deployment, configuration, clock)
    image = _image(deployment, registries[Service.BACKEND])
    source = source_of(deployment, journal=journal, sources=sources)
    live = read_live(journal)
    weights = live_weights(service_outputs(layers), balancer)
    colours = _colours(weights["backend"], live)
    frontend = planned_frontend(
        deployment,
        live,
        weights["frontend"],
        colours.idle,
        registry=registries[Service.FRONTEND],
        sources=sources,
    )
    wanted, running = templates.wanted(), templates.live()
    bodies = {name: body for name, (body, _) in wanted.items()}
    changes = change_sets_of(change_sets, bodies, running)
    expected = phases(_past(journal))
    release = {"version": live.version, "image": live.image, "colour": live.colour.value} if live else None
    now = colours.live.value if colours.live else colours.idle.other.value
    plan = sealed(
        {
            "deployment": deployment.id,
            "environment": deployment.environment,
            "version": deployment.version,
            "made_at": text(clock.now()),
            "window": {"allowed": window.allowed, "forced": window.forced, "reason": window.reason},
            "live": release,
            "live_colour": colours.live.value if colours.live else None,
            "live_version": live.version if live else None,
            "idle_colour": colours.idle.value,
            "colours": colours.reason,
            "weights": _moves(weights, colours.idle, released=frontend is not None),
            "image": image,
            "frontend": frontend,
            "source": source,
            "settings": dict(deployment.settings or {}),
            "allow_destructive": sorted(deployment.allow_destructive),
            "configuration": dict(configuration),
            "templates": {name: digest for name, (_, digest) in wanted.items()},
            "code": {"functions": declared.code, "libraries": declared.libraries},
            "change_sets": changes,
            "security_groups": security_group_changes(changes),
            "migrations": planned_migrations(source["key"], sources=sources, plans=migrations),
            "cost": {
                **compare(bodies, running, declared.prices),
                "per_deployment": per_deployment(
                    deployment.source is not None, _build_seconds(expected), declared.prices
                ),
            },
            "phases": expected,
            "rollback": rollback_of(release, (now, colours.idle.value)),
        }
    )
    plan |= {"location": plans.location(plan["sha256"]), "console": plans.console(plan["sha256"])}
    if deployment.plan:
        _require(deployment, plan, plans)
    plans.keep(plan["sha256"], plan)
    if deployment.mode != Mode.PLAN:
        _refuse_blocked(plan)
    return plan


def _refuse_blocked(plan: Mapping[str, Any]) -> None:
    """A scan that is missing or under way may be there when phase 3 judges it; one with findings stays so."""
    scan, refused = plan["image"]["scan"], plan["migrations"].get("refused")
    nothing = f"Nothing was touched; the plan is {plan['location']}"
    if refused:
        raise MigrationRefusedError(f"{'; '.join(refused)}. {nothing}")
    if scan["verdict"] == Verdict.FAIL:
        raise GateFailedError(
            f"the image {plan['image']['digest']} can't be released: {scan['found']}. {nothing}"
        )


def _require(deployment: Deployment, fresh: Mapping[str, Any], plans: Plans) -> None:
    """Exactly what was planned, or nothing. The kept document is held to its own digest, too."""
    digest = str(deployment.plan)
    again = f"make a new one: cutover plan {deployment.environment} --version {deployment.version}"
    kept = plans.read(digest)
    if kept is None:
        raise PlanNotFoundError(f"plan: there is no {plans.location(digest)}; {again}")
    if fingerprint(kept) != digest:
        raise PlanNotFoundError(
            f"plan: {plans.location(digest)} is not the document that was sealed; {again}"
        )
    changed = differences(kept, fresh)
    if changed:
        names = ", ".join(difference.name for difference in changed)
        details = "; ".join(str(difference) for difference in changed)
        raise PlanChangedError(
            f"plan {digest[:12]} does not hold any more, changed since: {names}. {details}. {again}"
        )


def _past(journal: Journal) -> Sequence[Mapping[int, float]]:
    """The phases' seconds in the last successful deployments. A redeployment of a former release has steps of
    its own instead of phases, and says nothing here."""
    found: list[Mapping[int, float]] = []
    for line in journal.newest(HISTORY, MOST_HISTORY):
        if line.get("status") == Status.SUCCEEDED and len(found) < MOST_MEASURED:
            record = journal.read(deployment_key(str(line["id"]))) or {}
            numbered = [phase for phase in record.get("phases") or [] if "number" in phase]
            if numbered:
                found.append({int(phase["number"]): _seconds(phase) for phase in numbered})
    return found


def _build_seconds(expected: Sequence[Mapping[str, Any]]) -> float | None:
    """How long a build takes is not measured by itself: the release phase, which it is most of."""
    return next(
        (p["expected_seconds"] for p in expected if p["number"] == RELEASE_PHASE and p["measured_on"]), None
    )


def _seconds(phase: Mapping[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(str(phase[key])) for key in ("started", "finished"))
    return (ended - began).total_seconds()


def _window(deployment: Deployment, configuration: Mapping[str, Any], clock: Clock) -> WindowDecision:
    table = configuration.get("window") or {}
    zone = str(table.get("zone") or "Asia/Seoul")
    if not table.get("enforced"):
        return WindowDecision(True, "this environment is deployed to at any hour")
    backup = table.get("backup")
    decision = decide_window(
        clock.now(),
        read_hours(table, zone),
        read_hours(backup, zone, "window.backup") if backup else None,
        forced_because=deployment.forced_because,
        lasts=timedelta(seconds=float((configuration.get("watch") or {}).get("bake_seconds", 0))),
    )
    if not decision.allowed:
        raise OutsideWindowError(
            f'{decision.reason}; a reason forces it: "force": {{"reason": "…"}} (never a backup)'
        )
    return decision


def _image(deployment: Deployment, registry: Registry) -> dict[str, Any]:
    """The digest of a given image, which must be there; or the tag that the build will push."""
    if deployment.image and registry.digest(digest=deployment.image) is None:
        raise ImageNotFoundError(
            f"image: the repository {registry.name} holds no {deployment.image}; "
            "give a digest that was built before, or a source to build"
        )
    return {
        "digest": deployment.image,
        "tag": deployment.id,
        "repository": registry.uri,
        "scan": outlook(deployment.image, registry),
    }


def _colours(weights: Weights, live: Live | None) -> ColourPlan:
    if live is not None and live.candidate is not None:
        # Left by a deployment that died: it is taken back before this one does anything.
        weights = Weights.all_on(live.colour)
    colours = plan_colours(weights, live.colour if live else None)
    if colours is None:
        whose = f"{live.colour}, where the journal has version {live.version} live" if live else "one colour"
        raise MisconfiguredError(
            f"the listener has {weights}, which no deployment did: somebody changed it by hand, or a "
            f"rollback was cut short. Give all weight to {whose}, or run `cutover rollback`; "
            "then deploy again"
        )
    return colours


def _moves(weights: Mapping[str, Weights], idle: Colour, *, released: bool) -> dict[str, Any]:
    """Where requests go now and after the deployment, by the service: to one colour, but for a frontend that
    was never released."""
    then = Weights.all_on(idle)
    after = {"backend": then, "frontend": then if released else weights["frontend"]}
    return {
        service: {"now": _table(weights[service]), "after": _table(moved)} for service, moved in after.items()
    }


def _table(weights: Weights) -> dict[str, int]:
    return {colour.value: weights.of(colour) for colour in Colour}
