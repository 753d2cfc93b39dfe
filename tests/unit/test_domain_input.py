"""The execution's input."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.errors import InvalidInputError, WrongEnvironmentError
from cutover.domain.input import Mode, read_id, read_input

SOURCE = f"sources/{'a' * 64}.zip"
DIGEST = f"sha256:{'b' * 64}"


def given(**more: Any) -> dict[str, Any]:
    return {"environment": "sandbox", "version": "v2", "source": SOURCE, **more}


def test_environment_version_and_a_source_are_enough() -> None:
    read = read_input(given(), "sandbox")

    assert (read.version, read.source, read.image, read.mode) == ("v2", SOURCE, None, Mode.DEPLOY)
    assert (read.settings, read.forced_because, read.persona, read.user_centric) == ({}, None, "all", False)


def test_an_image_is_promoted_by_its_digest() -> None:
    read = read_input({"environment": "sandbox", "version": "v2", "image": DIGEST, "mode": "plan"}, "sandbox")

    assert (read.image, read.source, read.mode) == (DIGEST, None, Mode.PLAN)


@pytest.mark.parametrize("mode", ["verify", "nightly"])
def test_a_look_and_a_night_need_no_release(mode: str) -> None:
    read = read_input({"environment": "sandbox", "version": "nightly", "mode": mode}, "sandbox")

    assert (read.mode, read.source, read.image) == (Mode(mode), None, None)


def test_nulls_are_as_good_as_nothing() -> None:
    nothing = dict.fromkeys(("image", "mode", "settings", "force", "persona", "user_centric"))

    assert read_input(given(**nothing), "sandbox") == read_input(given(), "sandbox")


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("v2", ["'v2'", "JSON object"]),
        (given(verison="v2"), ["verison", "known fields are environment, version"]),
        (given(version=None), ["version", "is missing"]),
        (given(version="v 2"), ["version", "'v 2'", "letters"]),
        (given(image=DIGEST), ["source, image", "both are given"]),
        (given(source=None), ["source, image", "neither is given"]),
        (given(source="https://example.com/x.zip"), ["source", "https://example.com/x.zip", "sources/"]),
        (given(source=None, image="backend:latest"), ["image", "backend:latest", "a tag is not enough"]),
        (given(mode="dry"), ["mode", "'dry'", "deploy, plan, verify, nightly"]),
        (given(mode="verify"), ["source, image", "a look deploys none"]),
        (given(mode="nightly", image=DIGEST), ["source, image", "both are given"]),
        (given(persona="sales"), ["persona", "'sales'", "all, reliability, performance, security"]),
        (given(user_centric="yes"), ["user_centric", "'yes'", "without quotes"]),
        (given(settings=["FAULT"]), ["settings", "['FAULT']"]),
        (given(settings={"fault": "errors"}), ["settings.fault", "capitals"]),
        (given(settings={"FAULT": 3}), ["settings.FAULT", "3"]),
        (given(settings={"FAULT": "x\nJWT_SECRET=mine"}), ["settings.FAULT", "one line"]),
        (given(settings={"FAULT": "it's"}), ["settings.FAULT", "single quotes"]),
        (given(force=True), ["force", "True", "reason"]),
        (given(force={"reason": "  "}), ["force", "reason"]),
        (given(force={"reason": "late", "who": "me"}), ["force"]),
    ],
)
def test_each_mistake_has_one_message_with_field_value_and_way_out(raw: object, named: list[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_input(raw, "sandbox")

    for words in named:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_environments_name_points_to_its_own_machine() -> None:
    with pytest.raises(WrongEnvironmentError, match="cutover-staging-deploy"):
        read_input(given(environment="staging"), "sandbox")


@pytest.mark.parametrize("name", ["", "-x", "a b", "v1.2", "ä", "x" * 81, None, 7])
def test_an_execution_name_that_can_not_name_a_change_set_is_refused(name: object) -> None:
    with pytest.raises(InvalidInputError, match="execution name"):
        read_id(name)


def test_the_names_that_step_functions_gives_are_ids() -> None:
    assert read_id("3f2b9c1e-0000-4a4a-8888-0123456789ab") == "3f2b9c1e-0000-4a4a-8888-0123456789ab"
