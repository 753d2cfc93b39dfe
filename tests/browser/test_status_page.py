"""The status page as people see it: followed live, on a phone and a wide screen, in both languages, by keyboard."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.times import text
from tests.browser.page import complaints, look, open_page, seen, wait_for
from tests.browser.stage import Stage

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
#: Seconds for what the page shows with its next question, on a machine that is busy.
PATIENCE = 10
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def populated(stage: Stage) -> None:
    """A deployment under way after one that was rolled back, with gates of every kind."""
    stage.go_live("v1")
    stage.start("v2", "d2")
    stage.finish_phase(1)
    stage.roll_back("p95 above 2 s for 3 minutes")
    stage.start("v3", "d3")
    for number in (1, 2, 3):
        stage.finish_phase(number)
    stage.finish_phase(4, verdict="Inconclusive", found="no data")


def test_a_deployment_is_followed_from_its_start_to_its_end_without_reloading(
    browser: Any, stage: Stage, address: str
) -> None:
    stage.go_live("v1")
    open_page(browser, address)
    browser.execute_script("window.neverReloaded = true")
    assert "v1 in use" in seen(browser, "state")

    stage.start("v2")
    wait_for(lambda: "v2: under way" in seen(browser, "state"), PATIENCE, "the start")
    for number in range(1, 8):
        stage.finish_phase(number)
        if number in (1, 4, 7):
            wait_for(
                lambda n=number: seen(browser, "phases").count("✓ done") == n, PATIENCE, f"phase {number}"
            )
    stage.record["swap"] = {"colour": "green"}
    stage.succeed()
    stage.go_live("v2", Colour.GREEN, before="v1")
    wait_for(lambda: "v2: succeeded · v2 in use" in seen(browser, "state"), PATIENCE, "the end")
    wait_for(lambda: "green · v2: 100%" in seen(browser, "traffic"), PATIENCE, "the traffic")
    assert seen(browser, "verdict").startswith("GO")
    assert browser.execute_script("return window.neverReloaded")
    assert complaints(browser) == []


def test_the_last_hour_and_doras_figures_are_shown(browser: Any, stage: Stage, address: str) -> None:
    stage.go_live("v2")
    stage.start("v2")
    stage.record["swap"] = {"modified_at": text(datetime.now(UTC))}
    open_page(browser, address)
    wait_for(lambda: "0.03 a day\n1 / 30.0 days" in seen(browser, "dora"), PATIENCE, "DORA's figures")
    assert "Time to restore: No data" in seen(browser, "dora")
    assert browser.execute_script("return document.querySelectorAll('#trends svg').length") == 3
    assert complaints(browser) == []


def test_a_rollback_is_shown_within_two_seconds(browser: Any, stage: Stage, address: str) -> None:
    stage.go_live("v1")
    open_page(browser, address)
    took = []
    # A browser that got no processor for a second shows nothing; one rollback of three has to find it awake.
    for attempt in ("v2", "v3", "v4"):
        stage.start(attempt, attempt)
        wait_for(lambda v=attempt: f"{v}: under way" in seen(browser, "state"), PATIENCE, "the deployment")
        stage.roll_back(f"5xx above 5 % of {attempt}")
        took.append(
            wait_for(
                lambda v=attempt: f"{v}: rolled back" in seen(browser, "state"), PATIENCE, "the rollback"
            )
        )
        assert f"5xx above 5 % of {attempt}" in seen(browser, "incidents")
        if took[-1] < 2:
            break
    assert min(took) < 2, took


def test_the_page_fits_every_screen_and_has_no_serious_accessibility_problem(
    browser: Any, stage: Stage, address: str
) -> None:
    populated(stage)
    open_page(browser, address)
    # The page's policy lets no script in; the browser's own tools may.
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    for width, dark in itertools.product((320, 1920), (False, True)):
        look(browser, width, dark=dark)
        assert (
            browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [width] * 2
        )
        found = browser.execute_async_script(
            "const done = arguments[0]; axe.run({resultTypes: ['violations', 'passes']}).then(done)"
        )
        assert len(found["passes"]) > 10, "axe has looked"
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        problems = [(v["id"], [node["html"] for node in v["nodes"]]) for v in serious]
        assert problems == [], (width, dark)


def test_hostile_texts_in_names_causes_and_feedback_stay_texts(
    browser: Any, stage: Stage, address: str
) -> None:
    stage.go_live(HOSTILE)
    stage.start(HOSTILE)
    stage.finish_phase(1, found=HOSTILE)
    stage.roll_back(HOSTILE)
    open_page(browser, address)
    wait_for(lambda: "onerror" in seen(browser, "incidents"), PATIENCE, "the text")
    for id in ("state", "about", "gates", "history"):
        assert "onerror" in seen(browser, id)
    browser.find_element("id", "text").send_keys(HOSTILE)
    browser.find_element("css selector", "#feedback button").click()
    wait_for(lambda: "received" in seen(browser, "thanks"), PATIENCE, "the thanks")
    assert "onerror" in stage.kept()
    assert browser.execute_script("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.title != "owned"
    assert complaints(browser) == []


def test_both_languages_are_a_key_press_away(browser: Any, stage: Stage, address: str) -> None:
    populated(stage)
    open_page(browser, address)
    assert browser.execute_script("return document.documentElement.lang") == "en"
    button = browser.find_element("id", "language")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys("\ue007")  # Enter
    wait_for(lambda: "진행 중" in seen(browser, "state"), PATIENCE, "Korean")
    assert browser.execute_script("return document.documentElement.lang") == "ko"
    assert browser.execute_script("return document.querySelectorAll('[data-word]').length") > 10
    empty = "return [...document.querySelectorAll('[data-word]')].filter((e) => !e.textContent).length"
    assert browser.execute_script(empty) == 0


def test_everything_that_can_be_used_is_reached_by_the_keyboard(
    browser: Any, stage: Stage, address: str
) -> None:
    stage.go_live("v1")
    open_page(browser, address)
    reached = set()
    for _ in range(8):
        browser.switch_to.active_element.send_keys("\ue004")  # Tab
        reached.add(
            browser.execute_script("const e = document.activeElement; return e.id || e.className || e.type")
        )
    assert {"skip", "language", "text", "radio", "submit"} <= reached
