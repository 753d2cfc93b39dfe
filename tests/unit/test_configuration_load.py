"""[load]: what can't be sent, and what goes beyond its caps, is refused by field."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from config.model import DIRECTORY, Configuration, ConfigurationError, load


def edited(old: str, new: str) -> Configuration:
    """staging.toml with one text replaced by another."""
    text = (DIRECTORY / "staging.toml").read_text()
    assert old in text
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "staging.toml").write_text(text.replace(old, new, 1))
        return load("staging", Path(folder))


def message(old: str, new: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        edited(old, new)
    return str(raised.value)


SCENARIO = """
[[load.scenarios]]
name = "list"
weight = 1
steps = [{{ {step} }}]

[release.settings]"""


def scenario(step: str, more: str = "") -> str:
    return SCENARIO.format(step=step).replace("weight = 1", f"weight = 1\n{more}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            scenario('path = "https://elsewhere.example.com/"'),
            "load.scenarios.0.steps.0.path is 'https://else",
        ),
        (
            scenario('path = "//elsewhere.example.com/"'),
            "it is no path of the service; write one that begins",
        ),
        (scenario('path = "/a b"'), "it holds a blank, a # or what is not ASCII"),
        (scenario('path = "/a", method = "HEAD"'), "load.scenarios.0.steps.0.method is 'HEAD'"),
        (scenario('path = "/a", body = {a = 1}'), "steps.0.method is 'GET': it carries no body"),
        (
            scenario('path = "/a", method = "POST", body = {a = "{secret}"}'),
            "steps.0.body is '{secret}': it names {secret}, which nobody fills in; use {deployment}, {email}",
        ),
        (
            scenario('path = "/a"', "most_per_minute = 5"),
            "load.scenarios is 'list': it needs one without most_per_minute",
        ),
        (scenario('pth = "/a"'), "load.scenarios.0.steps.0.pth is not a known key; did you mean path?"),
    ],
)
def test_a_scenario_that_cannot_be_sent_is_refused_by_field(text, words):
    assert words in message("[release.settings]", text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "requests_per_second = 4000",
            "load.requests_per_second is 4000: it is above the cap most_requests_per",
        ),
        ("requests_per_second = 2900\nworkers = 1", "load.workers is 1: it is too few for 2900"),
        ("requests_per_second = 1200\nworkers = 20\nramp_seconds = 300\ngather_seconds = 30", None),
        ("requests_per_second = 1200\njudge.seconds = 60", "load.judge.seconds is 60: it has 30 blocks"),
        (
            "requests_per_second = 1200\njudge.requests_per_second = 50",
            "load.judge.requests_per_second is 50: it gives 6500 answers in 130 s, and fewest_answers asks for 12000",
        ),
    ],
)
def test_a_load_beyond_its_caps_is_refused_by_field(line, words):
    if words is None:
        assert edited("requests_per_second = 1200", line).load.ramp_seconds == 300
    else:
        assert words in message("requests_per_second = 1200", line)
