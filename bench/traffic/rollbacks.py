"""Bad releases of five kinds that break on live traffic, each taken back by an alarm, under load."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psutil

from bench.environment import NAME
from bench.sandbox import BenchError
from bench.traffic.environment import BAKE_SECONDS
from bench.traffic.site import Site
from cutover.domain.rollback_clock import Clock
from sandbox import processes
from sandbox.demo.users import Users

RATE = 300
FUNCTION = f"cutover-{NAME}-rollback"
#: What each release does wrong, and only to live traffic (examples/backend/backend/faults.py).
FAULTS: Mapping[str, Mapping[str, str]] = {
    "errors": {"FAULT": "errors", "FAULT_RATE": "0.5"},
    "slowness": {"FAULT": "slow", "FAULT_RATE": "0.2", "FAULT_SECONDS": "3"},
    "memory": {"FAULT": "memory", "FAULT_RATE": "1", "FAULT_MEGABYTES": "320"},
    "health": {"FAULT": "unhealthy"},
    "cpu": {"FAULT": "cpu", "FAULT_RATE": "0.5", "FAULT_SECONDS": "2"},
}
#: Their alarm is waited for after the deployment: before its end, the deployment's own watch takes them back.
AFTERWARDS = ("health",)
#: What the clock says of a moment that nobody has looked for yet.
UNSEEN = Clock.last_bad_unknown
_SETTLE_SECONDS = 0.6  # the users' report is written four times a second


def rollback(site: Site, users: Users, kind: str, number: int, *, cold: bool) -> dict[str, Any]:
    """One bad release, from its swap to its end. One that no alarm takes back is taken back by hand."""
    version, before = f"{kind}-{number:02}", users.report()
    port = str(site.environment.configuration.backend.listener_port)
    left = site.idle
    watched = kind not in AFTERWARDS
    deployment = site.release(version, {**FAULTS[kind], "FAULT_PORT": port}, watched=watched)
    # Not before: the idle colour's alarms, which speak while it is released on, start the function too.
    site.until(f"the swap of {version}", lambda: site.record(deployment).get("swap"))
    if cold:
        _retire(site)
    ready = _runners(site)
    record = _end(site, deployment)
    told, about = record.get("rollback") or {}, {"part": "rollbacks", "kind": kind, "number": number}
    if told.get("trigger") != "alarm":
        if site.live["deployment"] == deployment:
            site.cutover("rollback", NAME, "--reason", "its alarm did not speak")
        return {**about, "rolled_back": False, "cause": str(record.get("cause") or record.get("status"))}
    asked, modified = (_epoch(told["clock"][name]) for name in ("asked_at", "modified_at"))
    time.sleep(_SETTLE_SECONDS)
    after = users.report()
    seen = after["versions"].get(version)
    if seen is None or site.idle != left:
        raise BenchError(f"{version} was not seen to take the traffic and to lose it again: {after['split']}")
    if after["failures_dropped"]:
        raise BenchError(
            "the users' report could not keep every failure, so that nobody can say which are late"
        )
    late = [failure for failure in after["failures"] if failure[0] > modified and failure[1] != version]
    return {
        **about,
        "rolled_back": True,
        "alarm": str(told["by"]).removeprefix(f"cutover-{NAME}-backend-{left}-"),
        "cold": not ready & _runners(site),
        "requests": after["answers"] - before["answers"],
        "swap_ms": _ms(seen["first_at"] - _epoch(record["swap"]["modified_at"])),
        "swap_to_alarm_s": round(asked - _epoch(record["swap"]["modified_at"]), 1),
        "alarm_to_modified_ms": _ms(modified - asked),
        "alarm_to_last_bad_ms": _ms(seen["last_sent_at"] - asked),
        "failed_after": len(late),
        "late": [[_ms(at - modified), *what] for at, *what in late[:20]],
        "problems": told.get("problems", []),
    }


def _end(site: Site, deployment: str) -> dict[str, Any]:
    """Its record, once its rollback's clock is complete, or once none has come."""

    def complete() -> bool:
        clock = (site.record(deployment).get("rollback") or {}).get("clock") or {}
        why = (clock.get("unknown") or {}).get("last_bad_at")
        return bool(clock.get("last_bad_at")) or (bool(clock) and why != UNSEEN)

    with contextlib.suppress(BenchError):
        site.until(f"the rollback of {deployment}", complete, seconds=BAKE_SECONDS)
    return site.record(deployment)


def _retire(site: Site) -> None:
    """The function's next start is cold: its memory is set anew, to what it was."""
    functions = site.root("lambda")
    memory = functions.get_function_configuration(FunctionName=FUNCTION)["MemorySize"]
    functions.update_function_configuration(FunctionName=FUNCTION, MemorySize=memory)


def _runners(site: Site) -> set[int]:
    """The processes that run the function now, by their ids."""
    found = set()
    for pid in processes.marked(site.settings.root):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            if psutil.Process(pid).environ().get("AWS_LAMBDA_FUNCTION_NAME") == FUNCTION:
                found.add(pid)
    return found


def _epoch(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
