"""The execution's input, from the command and from the console alike (requirement A1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cutover.domain.errors import InvalidInputError, WrongEnvironmentError
from cutover.domain.gates import Persona

FIELDS = (
    "environment",
    "version",
    "source",
    "image",
    "mode",
    "settings",
    "force",
    "persona",
    "user_centric",
    "allow_destructive",
    "plan",
    "frontend",
)
PERSONAS = ("all", *Persona)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SOURCE = re.compile(r"sources/[0-9a-f]{64}\.zip")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")
_PLAN = re.compile(r"[0-9a-f]{64}")
_SETTING = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class Mode(StrEnum):
    """VERIFY looks at the environment and puts its security groups right; NIGHTLY becomes one of the others
    when the lock is taken. DRILL is a drill's, which has a state machine of its own."""

    DEPLOY = "deploy"
    PLAN = "plan"
    VERIFY = "verify"
    NIGHTLY = "nightly"
    DRILL = "drill"


WITHOUT_RELEASE = frozenset({Mode.VERIFY, Mode.NIGHTLY})
#: What may be asked of the deployment's state machine.
ASKED = tuple(mode for mode in Mode if mode is not Mode.DRILL)


@dataclass(frozen=True)
class FrontendWish:
    """What the frontend's release is made of: exactly one of the two, as for the backend."""

    source: str | None
    image: str | None

    def as_json(self) -> dict[str, Any]:
        return {"source": self.source, "image": self.image}


@dataclass(frozen=True)
class Input:
    """What is asked for. Exactly one of `source` (a key in the artifacts bucket) and `image` (a digest) is
    set; none for a look or a drill, and perhaps none for the night. `frontend` is None where the one that is
    live, if there is one, is to be carried along. `reason` is why there is a drill."""

    environment: str
    version: str
    source: str | None
    image: str | None
    mode: Mode
    settings: Mapping[str, str]
    forced_because: str | None
    persona: str
    user_centric: bool
    allow_destructive: tuple[str, ...] = ()
    plan: str | None = None
    frontend: FrontendWish | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "version": self.version,
            "source": self.source,
            "image": self.image,
            "mode": self.mode.value,
            "settings": dict(self.settings),
            "force": {"reason": self.forced_because} if self.forced_because else None,
            "persona": self.persona,
            "user_centric": self.user_centric,
            "allow_destructive": list(self.allow_destructive),
            "plan": self.plan,
            "frontend": self.frontend.as_json() if self.frontend else None,
            **({"reason": self.reason} if self.reason else {}),
        }


def read_version(raw: Mapping[str, Any]) -> str:
    """A version's name. Raises InvalidInputError."""
    return _matching(raw, "version", _VERSION, "letters, digits, dots, dashes and underscores, at most 64")


def read_input(raw: object, environment: str) -> Input:
    """Raises InvalidInputError with one message for the first thing that is wrong: field, value, way out.

    `environment` is the one that this control plane serves; another name raises WrongEnvironmentError.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError(
            f"input: {raw!r} is not a JSON object; wanted an object with environment and version"
        )
    unknown = sorted(str(key) for key in raw if key not in FIELDS)
    if unknown:
        raise InvalidInputError(
            f"{unknown[0]}: not a field of the input; known fields are {', '.join(FIELDS)}"
        )
    named = _text(raw, "environment")
    if named != environment:
        raise WrongEnvironmentError(
            f"environment: {named!r} is not served by this state machine; "
            f"write {environment!r}, or start the machine cutover-{named}-deploy"
        )
    version = read_version(raw)
    source, image = raw.get("source"), raw.get("image")
    mode = Mode(_choice(raw, "mode", ASKED))
    if mode is Mode.VERIFY and (source is not None or image is not None or raw.get("frontend") is not None):
        raise InvalidInputError(
            "source, image, frontend: a look deploys none; leave them out, or leave out the mode"
        )
    if (source is None) == (image is None) and (source is not None or mode not in WITHOUT_RELEASE):
        given = "neither is" if source is None else "both are"
        raise InvalidInputError(
            f"source, image: {given} given; give a source to build (sources/SHA256.zip) "
            "or the digest of an image that was built before (sha256:…)"
        )
    return Input(
        environment=named,
        version=version,
        source=_source(raw) if source is not None else None,
        image=_image(raw) if image is not None else None,
        mode=mode,
        settings=_settings(raw.get("settings")),
        forced_because=_reason(raw.get("force")),
        persona=_choice(raw, "persona", PERSONAS),
        user_centric=_flag(raw, "user_centric"),
        allow_destructive=_logical_ids(raw.get("allow_destructive")),
        plan=_plan(raw),
        frontend=_frontend(raw.get("frontend")),
    )


def _source(raw: Mapping[str, Any], of: str = "") -> str:
    return _matching(
        raw, "source", _SOURCE, "sources/<64 hex digits>.zip, as `cutover deploy` uploads it", of
    )


def _image(raw: Mapping[str, Any], of: str = "") -> str:
    return _matching(raw, "image", _DIGEST, "sha256:<64 hex digits>; a tag is not enough, it can move", of)


def _frontend(value: object) -> FrontendWish | None:
    if value is None:
        return None
    wanted = 'wanted {"source": "sources/SHA256.zip"} or {"image": "sha256:…"}'
    if not isinstance(value, Mapping) or set(value) - {"source", "image"}:
        raise InvalidInputError(f"frontend: {value!r} does not fit; {wanted}, or leave it out")
    source, image = value.get("source"), value.get("image")
    if (source is None) == (image is None):
        given = "neither is" if source is None else "both are"
        raise InvalidInputError(f"frontend.source, frontend.image: {given} given; {wanted}")
    if source is not None:
        return FrontendWish(_source(value, "frontend."), None)
    return FrontendWish(None, _image(value, "frontend."))


def read_id(name: object) -> str:
    """The execution's name is the deployment's id; it also names a change set and an image tag, hence the
    letters."""
    if isinstance(name, str) and _ID.fullmatch(name):
        return name
    raise InvalidInputError(
        f"execution name: {name!r} can't be a deployment's id; "
        "use letters, digits and dashes, at most 80, or leave it to Step Functions"
    )


def _plan(raw: Mapping[str, Any]) -> str | None:
    if raw.get("plan") is None:
        return None
    return _matching(raw, "plan", _PLAN, "the 64 hex digits that `cutover plan` shows")


def _text(raw: Mapping[str, Any], field: str, of: str = "") -> str:
    """`of` is what the field is told to be in: "" or `frontend.`"""
    value = raw.get(field)
    if not isinstance(value, str) or not value:
        shown = "is missing" if value is None else f"{value!r} is not a text"
        raise InvalidInputError(f"{of}{field}: {shown}; add {field!r} to the input")
    return value


def _matching(raw: Mapping[str, Any], field: str, pattern: re.Pattern[str], wanted: str, of: str = "") -> str:
    value = _text(raw, field, of)
    if not pattern.fullmatch(value):
        raise InvalidInputError(f"{of}{field}: {value!r} does not fit; wanted {wanted}")
    return value


def _choice(raw: Mapping[str, Any], field: str, known: tuple[str, ...]) -> str:
    """The first known word is the default."""
    value = raw.get(field)
    if value is None:
        return str(known[0])
    if value not in known:
        raise InvalidInputError(f"{field}: {value!r} is not known; choose one of {', '.join(known)}")
    return str(value)


def _flag(raw: Mapping[str, Any], field: str) -> bool:
    value = raw.get(field)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidInputError(f"{field}: {value!r} is not true or false; write it without quotes")
    return value


def _settings(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInputError(f'settings: {value!r} is not an object; wanted {{"NAME": "value"}}')
    for name, setting in value.items():
        if not isinstance(name, str) or not _SETTING.fullmatch(name):
            raise InvalidInputError(
                f"settings.{name}: not a variable's name; wanted capitals, digits, underscores"
            )
        # A line break would smuggle a second variable into the environment file; a single quote ends a
        # quoted one.
        if not isinstance(setting, str) or any(sign in setting for sign in "\n\r'"):
            raise InvalidInputError(
                f"settings.{name}: {setting!r} does not fit; wanted a text of one line, without single quotes"
            )
    return dict(value)


def _logical_ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidInputError(
            f'allow_destructive: {value!r} is not a list; wanted the logical ids, ["Database"]'
        )
    for name in value:
        if not isinstance(name, str) or not _LOGICAL_ID.fullmatch(name):
            raise InvalidInputError(
                f"allow_destructive: {name!r} is no logical id of a template; "
                "wanted letters and digits, as the refusal and the plan show it"
            )
    return tuple(value)


def _reason(value: object) -> str | None:
    if value is None:
        return None
    reason = value.get("reason") if isinstance(value, Mapping) else None
    if not isinstance(reason, str) or not reason.strip() or set(value) != {"reason"}:  # type: ignore[call-overload]
        raise InvalidInputError(
            f'force: {value!r} gives no reason; wanted {{"reason": "why it can\'t wait"}} or null'
        )
    return reason.strip()
