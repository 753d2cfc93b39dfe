"""What `bench/traffic` leaves out of the state machine, and what its figures promise."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.traffic import machine
from bench.traffic.figures import figures, missed, percentile, promises

DEPLOYED = json.loads(Path("statemachines/deploy.asl.json").read_text(encoding="utf-8"))
KEPT = {"plan": {}, "image": "", "environment": {}}
OWN = {machine.AFTER_LOCK, machine.TAKE_UP, machine.GO_ON}


def without(state: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    "cut", [machine.shifting(DEPLOYED, KEPT), machine.releasing(DEPLOYED, KEPT, watched=True)]
)
def test_every_state_that_runs_is_the_products_own(cut):
    for name, state in cut["States"].items():
        if name not in OWN:
            led = ("Next",) if name in (machine.RELEASE, machine.AFTER_GUARDS, machine.WATCH) else ()
            assert without(state, *led) == without(DEPLOYED["States"][name], *led)


def test_a_swap_goes_through_lock_swap_proof_and_record():
    states = machine.shifting(DEPLOYED, KEPT)["States"]
    assert {
        "Take the lock",
        "Shift a share",
        "Judge the share",
        "Swap",
        "Prove the data plane",
        "Finish",
    } <= set(states)
    assert "Roll back" in states


def test_a_bad_release_goes_through_release_guards_and_watch():
    states = machine.releasing(DEPLOYED, KEPT, watched=True)["States"]
    assert {"Release on the idle colour", "Check alarms and dashboard", "Swap", "Watch"} <= set(states)


def test_what_the_phases_assign_is_told_but_not_what_the_lock_gives():
    kept = machine.telling(DEPLOYED)["States"][machine.END]["Output"]["kept"]
    assert {"plan", "image", "environment"} <= set(kept)
    assert not {"deployment", "configuration"} & set(kept)


def test_what_a_choice_assigns_is_told_too():
    choice = {"Condition": "{% true %}", "Assign": {"frontend_image": ""}, "Next": machine.END}
    states = {**DEPLOYED["States"], machine.FINISH: {"Type": "Choice", "Choices": [choice]}}
    kept = machine.telling({**DEPLOYED, "States": states})["States"][machine.END]["Output"]["kept"]
    assert "frontend_image" in kept


def test_a_machine_without_a_state_that_is_led_around_is_refused_by_name():
    states = without(DEPLOYED["States"], machine.SHIFT)
    with pytest.raises(machine.UnknownMachineError, match="'Begin the shift'"):
        machine.shifting({**DEPLOYED, "States": states}, KEPT)


def test_percentiles_are_by_nearest_rank():
    values = [float(n) for n in range(1, 51)]
    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 1)) == (25, 50, 7)


def test_nothing_measured_keeps_no_promise():
    assert len(missed(figures([]))) == len(promises({})) > 0


def rolled(number: int, modified: float) -> dict[str, Any]:
    kinds = ("errors", "slowness", "cpu", "memory", "health")
    return {
        "part": "rollbacks",
        "number": number,
        "rolled_back": True,
        "kind": kinds[number % 5],
        "cold": number < 10,
        "alarm": "errors",
        "requests": 1000,
        "failed_after": 0,
        "swap_ms": 8.0,
        "swap_to_alarm_s": 5.0,
        "alarm_to_modified_ms": modified,
        "alarm_to_last_bad_ms": modified + 5,
        "problems": [],
    }


def test_a_bad_release_that_no_alarm_took_back_is_told_and_breaks_the_promise():
    lines = [rolled(number, 30.0) for number in range(50)]
    lines[7] = {
        "part": "rollbacks",
        "kind": "memory",
        "number": 1,
        "rolled_back": False,
        "cause": "SUCCEEDED",
    }
    found = figures(lines)
    assert (found["rollbacks"]["rolled_back"], found["rollbacks"]["missing"]) == (49, ["memory-1: SUCCEEDED"])
    assert {"50 bad releases rolled back by an alarm", "0 bad releases that no alarm took back"} <= set(
        missed(found)
    )


def test_one_slow_rollback_in_fifty_breaks_the_p99():
    good = figures([rolled(number, 30.0) for number in range(50)])
    slow = figures([rolled(number, 700.0 if number == 0 else 30.0) for number in range(50)])
    broken = set(missed(slow)) - set(missed(good))
    assert broken == {"ALARM → rule modified, p99 ≤ 600 ms"}
    assert (good["rollbacks"]["cold_starts"], good["rollbacks"]["warm"]["alarm_to_modified_ms"]["n"]) == (
        10,
        40,
    )
