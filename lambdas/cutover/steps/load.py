"""An open-model load on the test listener by several workers, and whether the answers were quick and right
(requirements C6a, C7b, E1, E2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.aim import Aim
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.load_plan import needs_token, read_scenarios, share_of, stages
from cutover.domain.load_result import LoadResult, merged, packed
from cutover.domain.measures import Limits
from cutover.ports import Load
from cutover.steps.load_session import Session

SUBJECT = Subject("C6a", Persona.PERFORMANCE)
# Of the rate that was asked for: below it the run was not the load that it claims to be.
ENOUGH_OF_THE_RATE = 0.95
# A client that is itself this late, or has this little of its core left, measures itself.
MOST_LAG_MS, MOST_OF_A_CORE = 100.0, 0.9
# Workers that begin this far apart were never one load: seconds, or of the load's time.
MOST_APART = 2.0, 0.1
# With more of the answers refused by the service's rate limits, what is left says too little.
MOST_REFUSED = 0.05
# Each hit or miss weighs too much with fewer lists than this.
FEWEST_LISTS = 20


def work(
    worker: int,
    wanted: Mapping[str, Any],
    *,
    aim: Aim,
    port: int,
    deployment: str,
    begin_at: float,
    load: Load,
    session: Session,
) -> dict[str, Any]:
    """{worker, result}: one worker's part of the load, from `begin_at` (epoch seconds) on."""
    workers, users = int(wanted["workers"]), int(wanted["users"])
    tables = share_of(wanted["scenarios"], worker)
    token = session.token(port) if any(needs_token(table) for table in tables) else None
    results = load.run(
        port=port,
        scenarios=read_scenarios(tables, aim.name, {**session.user, "deployment": deployment}, token),
        stages=stages(
            float(wanted["requests_per_second"]) / workers,
            float(wanted["seconds"]),
            ramp_steps=int(wanted["ramp_steps"]),
            ramp_seconds=float(wanted["ramp_seconds"]),
        ),
        users=users // workers + (worker < users % workers),
        begin_at=begin_at,
    )
    return {"worker": worker, "result": packed(results)}


def judge_load(
    workers: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any], limits: Limits
) -> dict[str, Any]:
    """{summary, gates} of what all workers saw. The whole rate is judged, the ramp only told."""
    *ramp, whole = merged(str(each["result"]) for each in workers) or [LoadResult()]
    trouble = _trouble(whole, len(workers), int(wanted["workers"]))
    gates = [
        *(_latency(whole, measure, trouble, limits) for measure in ("p50", "p95", "p99")),
        *_failures(whole, trouble, limits),
        *_throughput(whole, float(wanted["requests_per_second"]), int(wanted["users"]), trouble, limits),
        _cache(whole, limits),
        _exercised(whole, [str(each["name"]) for each in wanted["scenarios"]]),
        _client(whole, trouble),
    ]
    return {"summary": _summary(whole, ramp), "gates": [gate.as_json() for gate in gates]}


def _trouble(whole: LoadResult, came: int, wanted: int) -> str | None:
    """What the client's own fault was, if it had one.

    It only matters where a gate would fail: a client that is late makes latency worse and requests come in
    heaps, so that what passes all the same would pass with a better one.
    """
    late = whole.lag.percentiles_ms(99)[0] if whole.lag.samples else 0.0
    if came < wanted:
        return f"only {came} of {wanted} workers came back"
    if late > MOST_LAG_MS:
        return f"the client itself was {late:.0f} ms late (p99)"
    if whole.busiest > MOST_OF_A_CORE:
        return f"the client itself needed {whole.busiest:.0%} of a core"
    if whole.apart > max(MOST_APART[0], MOST_APART[1] * whole.seconds):
        return f"the workers began {whole.apart:.1f} s apart"
    return None


def _latency(whole: LoadResult, measure: str, trouble: str | None, limits: Limits) -> Gate:
    if not whole.latency.samples:
        return limits.inconclusive(measure, "no data")
    (value,) = whole.latency.percentiles_ms(float(measure.removeprefix("p")))
    if trouble and not limits.threshold(measure).holds(value):
        return limits.inconclusive(measure, f"{value:.0f} ms, but {trouble}")
    return limits.judge(measure, value, samples=whole.latency.samples)


def _failures(whole: LoadResult, trouble: str | None, limits: Limits) -> list[Gate]:
    """Errors and availability are two sides of the same answers: what came, and came without an error."""
    requests = whole.scheduled - whole.refused
    kinds = {**whole.errors, **whole.wrong}
    told = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
    seen = f"{whole.failed} of {requests} failed" + (f": {told}" if told else "")
    if whole.scheduled and whole.refused > MOST_REFUSED * whole.scheduled:
        seen = f"{whole.refused} of {whole.scheduled} were refused by the service's rate limits (429)"
        return [limits.inconclusive(measure, seen) for measure in ("errors", "availability")]
    share = whole.failed / requests if requests else 0.0
    found = []
    for measure, value in (("errors", share), ("availability", 1 - share)):
        if not requests:
            found.append(limits.inconclusive(measure, "no data"))
        elif trouble and not limits.threshold(measure).holds(value):
            found.append(limits.inconclusive(measure, f"{seen}, but {trouble}"))
        else:
            evidence = {"requests": requests, "failed": whole.failed, "kinds": kinds}
            found.append(limits.judge(measure, value, samples=requests, found=seen, evidence=evidence))
    return found


def _throughput(
    whole: LoadResult, rate: float, users: int, trouble: str | None, limits: Limits
) -> list[Gate]:
    name, least = "Throughput under load", rate * ENOUGH_OF_THE_RATE
    mean, samples = whole.mean_rate, whole.scheduled
    found = f"{mean:.0f} right answers a second, {whole.peak_rate} in the best one"
    wanted = f"≥ {least:.0f} a second with {users} users"
    evidence = {"mean": round(mean, 1), "peak": whole.peak_rate, "seconds": round(whole.seconds, 1)}
    if trouble and mean < least:
        offered = SUBJECT.inconclusive(name, found=f"{found}, but {trouble}", wanted=wanted)
    else:
        offered = SUBJECT.judge(
            name, mean >= least, found=found, wanted=wanted, samples=samples, evidence=evidence
        )
    if not samples:
        return [
            offered,
            *(limits.inconclusive(m, "no data") for m in ("requests_per_second", "concurrent_users")),
        ]
    if trouble and not limits.threshold("requests_per_second").holds(mean):
        reached = limits.inconclusive("requests_per_second", f"{found}, but {trouble}")
    else:
        reached = limits.judge(
            "requests_per_second", mean, samples=samples, found=f"peak {whole.peak_rate}", evidence=evidence
        )
    return [offered, reached, limits.judge("concurrent_users", float(users), samples=samples)]


def _cache(whole: LoadResult, limits: Limits) -> Gate:
    """By what the answers say themselves (x-cache): exactly this load's, whichever container answered."""
    hits, lists = whole.cache["hit"], whole.cache.total()
    if lists < FEWEST_LISTS:
        few = f"{lists} answers came with x-cache, and {FEWEST_LISTS} are needed to say"
        return limits.inconclusive("cache_hit", few)
    told = f"{hits} of {lists} lists came from the cache"
    return limits.judge("cache_hit", hits / lists, samples=lists, found=told)


def _exercised(whole: LoadResult, names: Sequence[str]) -> Gate:
    never = [name for name in names if not whole.exercised[name]]
    told = ", ".join(f"{name} {whole.exercised[name]}" for name in names)
    found = f"never: {', '.join(never)}; right answers: {told}" if never else f"right answers: {told}"
    name, wanted = "Every scenario was answered", f"a right answer to each of {len(names)}"
    if never:
        return SUBJECT.inconclusive(name, found=found, wanted=wanted, must=False)
    return SUBJECT.judge(name, True, found=found, wanted=wanted, samples=whole.right, must=False)


def _client(whole: LoadResult, trouble: str | None) -> Gate:
    """Not the service's doing, and so nothing that closes a deployment by itself."""
    name, wanted = "The load's own client", f"p99 < {MOST_LAG_MS:g} ms late, < {MOST_OF_A_CORE:.0%} of a core"
    if trouble or not whole.lag.samples:
        found = trouble or "no request found a connection free: how late the client was is unknown"
        return SUBJECT.inconclusive(name, found=found, wanted=wanted, must=False)
    late = whole.lag.percentiles_ms(99)[0]
    found = f"p99 {late:.1f} ms late, {whole.busiest:.0%} of a core, workers {whole.apart:.1f} s apart"
    return SUBJECT.judge(name, True, found=found, wanted=wanted, samples=whole.lag.samples, must=False)


def _summary(whole: LoadResult, ramp: Sequence[LoadResult]) -> dict[str, Any]:
    """`began` and `ended` in epoch seconds, for whoever asks what else happened then."""
    return {
        "began": round(whole.began, 3),
        "ended": round(whole.began + whole.seconds, 3),
        **_told(whole),
        "errors": dict(whole.errors),
        "wrong": dict(whole.wrong),
        "refused": whole.refused,
        "exercised": dict(whole.exercised),
        "ramp": [_told(stage) for stage in ramp],
    }


def _told(stage: LoadResult) -> dict[str, Any]:
    p50, p95, p99 = stage.latency.percentiles_ms(50, 95, 99) if stage.latency.samples else (None,) * 3
    return {
        "requests": stage.scheduled,
        "failed": stage.failed,
        "mean_rps": round(stage.mean_rate, 1),
        "peak_rps": stage.peak_rate,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
    }
