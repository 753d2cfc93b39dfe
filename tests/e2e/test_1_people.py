"""What people were told of the main job's deployments, and what the status page showed of them.

The deployments are those of test_1_main_job: a good v2 and a bad v3 with everything well, then v4 with every
sink in trouble, and its rollback by hand.
"""

from __future__ import annotations

import pytest

from sandbox.demo.measurements import epoch

#: The signs of a good deployment's lines: begun, seven phases, the decision, the traffic, the end.
GOOD = ["·", *"✓✓✓✓✓✓✓", "·", "→", "●"]
BAD = [*GOOD[:-1], "↩"]
#: It is there within two on a quiet machine (docs/status-page.md); a browser without a processor shows nothing.
SHOWN_WITHIN_SECONDS = 15


@pytest.fixture(scope="module")
def runs(product):
    """Given the main job's deployments, by version."""
    found = {each["version"]: each for each in product.told("history") if each["mode"] == "deploy"}
    if not {"v2", "v3", "v4"} <= set(found):
        pytest.skip("these scenarios look back on test_1_main_job: run both files together")
    return {version: product.record(product.execution_arn_of(each["id"])) for version, each in found.items()}


def korean(text):
    return any("가" <= letter <= "힣" for letter in text)


def told_once_and_in_order(product, version, signs, *, in_korean):
    """The live message grew line by line, each edit once, in the order of the events."""
    sinks = product.sinks
    product.wait(f"everything about {version}", lambda: len(sinks.thread(version)) >= len(signs))
    thread = sinks.thread(version)[: len(signs)]
    assert ["ts" in body for body in thread] == [False, *[True] * (len(signs) - 1)], "posted, then edited"
    assert [len(body["text"].splitlines()) for body in thread] == list(range(2, 2 + len(signs)))
    lines = thread[-1]["text"].splitlines()[1:]
    assert [line.split(" ")[1] for line in lines] == signs
    assert [line.split(" ")[2][0] for line in lines if "✓" in line] == (
        list("1234567") if in_korean else ["P"] * 7
    )
    assert korean(thread[-1]["text"]) == in_korean


@pytest.mark.parametrize(("version", "signs"), [("v2", GOOD), ("v3", BAD)])
def test_a_deployment_and_a_rollback_were_told_once_in_order_and_in_korean(product, runs, version, signs):
    told_once_and_in_order(product, version, signs, in_korean=True)
    (reply,), (mail,) = product.sinks.replies(version), product.sinks.mails("email", version)
    assert korean(reply)
    assert mail.text.startswith(reply[:60])
    assert "http://127.1.0.6:8091/" in mail.text
    assert len(product.sinks.mails("sms", version)) == (version == "v3")


def test_sinks_in_trouble_held_nothing_up_and_got_everything_once_they_were_well(product, runs):
    told_once_and_in_order(product, "v4", GOOD, in_korean=False)
    tried = product.sinks.calls("/slack/api/chat.update")
    assert any(not call.taken for call in tried), "the sink was in trouble"
    product.wait("the mails about v4", lambda: len(product.sinks.mails("email", "v4")) >= 2)
    updated, taken_back = (mail.text for mail in product.sinks.mails("email", "v4")[:2])
    assert "taken back" in taken_back
    assert "taken back" not in updated


def test_a_rollback_by_hand_was_told_once_in_english(product, runs):
    told_once_and_in_order(product, "v4", [*GOOD, "↩"], in_korean=False)
    (sms,) = [mail.text for mail in product.sinks.mails("sms", "v4") if "taken back" in mail.text]
    assert not korean(sms)


def test_an_incident_is_opened_by_each_rollback_and_closed_by_the_next_success(product, runs):
    calls = product.sinks.taken("/pagerduty/")
    wanted = ["resolve", "resolve", "trigger", "trigger", "resolve", "trigger"]
    assert [call["event_action"] for call in calls[: len(wanted)]] == wanted


def test_the_applications_users_were_told_in_both_languages_and_without_causes(product, runs):
    notices = product.sinks.taken("/notices")
    good, bad = "DeploymentSucceeded", "RolledBack"
    assert [each["type"] for each in notices[:6]] == [good, good, bad, bad, good, bad]
    for each in notices:
        texts = each["data"]["texts"]
        assert (korean(texts["ko"]), korean(texts["en"])) == (True, False)
        assert "alarm" not in texts["en"]


def test_the_page_followed_from_start_to_end_without_reloading(product, runs):
    """Through v3, v3-pages and v4: every phase of each, and how each ended."""
    onlooker = product.onlooker
    if onlooker.missing:
        pytest.skip(onlooker.missing)
    assert onlooker.complaints == []
    states = [each["state"] for each in onlooker.seen]
    wanted = iter(states)
    for state in ("v3: under way", "v3: rolled back", "v4: under way", "v4: succeeded · v4 in use"):
        assert any(state in shown for shown in wanted), (state, states)
    for version in ("v3", "v4"):
        done = [each["done"] for each in onlooker.seen if each["state"].startswith(f"{version}: under way")]
        assert done == sorted(done)
        assert len(set(done)) > 5, done


def test_a_rollback_was_on_the_page_by_itself_soon_after_the_listeners_change(product, runs):
    if product.onlooker.missing:
        pytest.skip(product.onlooker.missing)
    took = {}
    for version in ("v3", "v3-pages"):
        shown = next(
            s["at"] for s in product.onlooker.seen if s["state"].startswith(f"{version}: rolled back")
        )
        took[version] = shown / 1000 - epoch(runs[version]["rollback"]["clock"]["modified_at"])
    print(f"shown after {took}")
    assert max(took.values()) < SHOWN_WITHIN_SECONDS, took
