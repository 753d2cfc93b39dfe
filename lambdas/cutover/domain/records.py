"""What the journal remembers: its keys, and the records that steps decide by.

Items travel as plain JSON (texts, numbers, lists, maps); a record's dataclass names the fields that matter,
and `read`/`item` are the only places where the two meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self

from cutover.domain.colours import Colour
from cutover.domain.environment import Services, Targets
from cutover.domain.lock import Lock, LockRecord
from cutover.domain.services import Service

Item = Mapping[str, Any]


class Key(NamedTuple):
    """An item's partition and sort key."""

    pk: str
    sk: str


LOCK = Key("LOCK", "LOCK")
LIVE = Key("LIVE", "backend")
FREEZE = Key("FREEZE", "FREEZE")
# The release that users have been told of before it comes.
ANNOUNCED = Key("ANNOUNCED", "ANNOUNCED")
# What the monitoring tier was last brought, and how that went.
MONITORING = Key("MONITORING", "MONITORING")
DRILL = Key("DRILL", "LAST")
HISTORY = "DEPLOYMENTS"


def deployment_key(deployment: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment}", "RECORD")


def approval_key(deployment: str) -> Key:
    return Key(f"DEPLOYMENT#{deployment}", "APPROVAL")


def evidence_key(deployment: str) -> Key:
    """The digests of the deployment's evidence, entry by entry."""
    return Key(f"DEPLOYMENT#{deployment}", "EVIDENCE")


def checklist_key(deployment: str) -> Key:
    """What people have answered to the checklists' lines."""
    return Key(f"DEPLOYMENT#{deployment}", "CHECKLIST")


def history_key(started: str, deployment: str) -> Key:
    return Key(HISTORY, f"{started}#{deployment}")


def image_key(digest: str) -> Key:
    """Where an image came from: its source is the home of its migrations."""
    return Key("IMAGE", digest)


def image_of(record: Mapping[str, Any], service: Service) -> str | None:
    """The digest that a deployment's record has of the service; None where it released none."""
    part = record if service is Service.BACKEND else record.get(service) or {}
    image = part.get("image")
    return str(image) if image else None


def services_of(record: Mapping[str, Any]) -> Services:
    """What moves the traffic of the services that a deployment's record names."""
    pages = (record.get(Service.FRONTEND) or {}).get("targets")
    frontend = {Service.FRONTEND: Targets.read(pages)} if pages else {}
    return {Service.BACKEND: Targets.read(record["targets"]), **frontend}


def colour_key(colour: Colour, service: Service = Service.BACKEND) -> Key:
    return Key("COLOUR", f"{service}#{colour}")


class Status(StrEnum):
    """How a deployment stands; all but RUNNING are final."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ROLLED_BACK = "ROLLED_BACK"
    PLANNED = "PLANNED"
    VERIFIED = "VERIFIED"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True)
class Deployment:
    """The deployment that a step works for, as every payload of the state machine carries it."""

    id: str
    version: str
    environment: str
    fence: int
    started: str
    source: str | None = None
    image: str | None = None
    mode: str = "deploy"
    settings: Mapping[str, str] | None = None
    forced_because: str | None = None
    allow_destructive: tuple[str, ...] = ()
    plan: str | None = None
    frontend_source: str | None = None
    frontend_image: str | None = None

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        force, frontend = payload.get("force") or {}, payload.get("frontend") or {}
        return cls(
            id=str(payload["id"]),
            version=str(payload["version"]),
            environment=str(payload["environment"]),
            fence=int(payload["fence"]),
            started=str(payload["started"]),
            source=payload.get("source"),
            image=payload.get("image"),
            mode=str(payload.get("mode") or "deploy"),
            settings=payload.get("settings") or {},
            forced_because=force.get("reason"),
            allow_destructive=tuple(payload.get("allow_destructive") or ()),
            plan=payload.get("plan"),
            frontend_source=frontend.get("source"),
            frontend_image=frontend.get("image"),
        )

    @property
    def lock(self) -> Lock:
        return Lock(self.id, self.fence)

    @property
    def key(self) -> Key:
        return deployment_key(self.id)


@dataclass(frozen=True)
class Candidate:
    """The release that is being shifted to: it has `share` per cent of the traffic, or is about to. All of it
    (100) while a swap moves it. `drill`: it is the previous release, which is only being practised with, and
    `deployment` is the drill's id."""

    deployment: str
    version: str
    colour: Colour
    share: int
    drill: bool = False

    @classmethod
    def read(cls, item: Item) -> Self:
        return cls(
            deployment=str(item["deployment"]),
            version=str(item["version"]),
            colour=Colour(item["colour"]),
            share=int(item["share"]),
            drill=bool(item.get("drill", False)),
        )


@dataclass(frozen=True)
class LiveFrontend:
    """The frontend's part of a release: the image that has its traffic, and the one to go back to; None where
    there is none. `colour` is where its traffic goes: where the backend's does, unless it could not go back
    with the backend."""

    image: str | None
    previous_image: str | None
    colour: Colour | None
    targets: Targets

    @classmethod
    def read(cls, item: Item) -> Self:
        colour = item.get("colour")
        return cls(
            image=item.get("image"),
            previous_image=item.get("previous_image"),
            colour=Colour(colour) if colour else None,
            targets=Targets.read(item),
        )

    def item(self) -> dict[str, Any]:
        return {
            "image": self.image,
            "previous_image": self.previous_image,
            "colour": self.colour.value if self.colour else None,
            **self.targets.as_json(),
        }

    def back_on(self, colour: Colour) -> Self:
        """As it is when the previous image has the traffic again."""
        return replace(self, image=self.previous_image, previous_image=self.image, colour=colour)

    def left_on(self, colour: Colour, record: Item) -> Self:
        """As it is when it could not come back from the release with this record (a drill's has none of its
        own: what it practised with is the previous one)."""
        image = image_of(record, Service.FRONTEND) or self.previous_image
        return replace(self, image=image, previous_image=self.image, colour=colour)


@dataclass(frozen=True)
class Live:
    """The release that the traffic goes to, and the one to go back to. Times are ISO 8601 in UTC.

    The previous_* fields are None after a first deployment. `rolled_back`: this release is live because a
    later one was taken back; previous_* then name the one that failed. `contracted_at`: from then on the
    schema may lack what the release before needs. `candidate`: while a deployment moves the traffic, in steps
    or at once, the release on the other colour that may have a share of it.
    """

    deployment: str
    version: str
    image: str
    colour: Colour
    previous_deployment: str | None
    previous_colour: Colour | None
    previous_version: str | None
    previous_image: str | None
    swapped_at: str
    watch_until: str
    healthy_share: float
    targets: Targets
    rolled_back: bool = False
    contracted_at: str | None = None
    candidate: Candidate | None = None
    frontend: LiveFrontend | None = None

    @classmethod
    def read(cls, item: Item) -> Self:
        previous, candidate = item.get("previous_colour"), item.get("candidate")
        frontend = item.get("frontend")
        return cls(
            deployment=str(item["deployment"]),
            version=str(item["version"]),
            image=str(item["image"]),
            colour=Colour(item["colour"]),
            previous_deployment=item.get("previous_deployment"),
            previous_colour=Colour(previous) if previous else None,
            previous_version=item.get("previous_version"),
            previous_image=item.get("previous_image"),
            swapped_at=str(item["swapped_at"]),
            watch_until=str(item["watch_until"]),
            healthy_share=float(item.get("healthy_share", 0.5)),
            targets=Targets.read(item),
            rolled_back=bool(item.get("rolled_back", False)),
            contracted_at=item.get("contracted_at"),
            candidate=Candidate.read(candidate) if candidate else None,
            frontend=LiveFrontend.read(frontend) if frontend else None,
        )

    def drills_with(self, colour: Colour) -> bool:
        """Whether the colour has the traffic for practice only."""
        return self.candidate is not None and self.candidate.drill and self.candidate.colour is colour

    def item(self) -> dict[str, Any]:
        values = asdict(self)
        frontend = {"frontend": self.frontend.item() if self.frontend else None}
        return {
            **{k: v for k, v in values.items() if k != "targets"},
            **frontend,
            **self.targets.as_json(),
        }

    @property
    def services(self) -> Services:
        """What moves together. Releases from before the frontend was deployed have none."""
        frontend = {Service.FRONTEND: self.frontend.targets} if self.frontend else {}
        return {Service.BACKEND: self.targets, **frontend}

    @property
    def released(self) -> frozenset[Service]:
        """The services that have a release which is live."""
        pages = {Service.FRONTEND} if self.frontend and self.frontend.image else set()
        return frozenset({Service.BACKEND, *pages})


def read_lock(item: Item | None) -> LockRecord | None:
    if item is None:
        return None
    return LockRecord(
        item.get("holder"), int(item["fence"]), str(item.get("since")), item.get("execution_arn")
    )
