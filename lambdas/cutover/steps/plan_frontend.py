"""What a deployment does about the frontend: release the one that is given, or carry the live one along.

Both services are released on the same colour, so that one colour is live for the whole environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import ImageNotFoundError, MisconfiguredError, SourceNotFoundError
from cutover.domain.records import Deployment, Live
from cutover.ports import Registry, Sources
from cutover.steps.scan import outlook


def planned_frontend(
    deployment: Deployment,
    live: Live | None,
    weights: Weights,
    idle: Colour,
    *,
    registry: Registry,
    sources: Sources,
) -> dict[str, Any] | None:
    """{digest, tag, repository, source, carried, scan}; `digest` is None while it has to be built. None where
    there is nothing to release: there never was a frontend, or it stands on the idle colour already, where it
    stayed when its deployment was rolled back, and the backend joins it there.

    Raises MisconfiguredError where a given one would replace what users see.
    """
    given = deployment.frontend_image or deployment.frontend_source
    standing = live.frontend if live else None
    if standing is not None and standing.image is not None and weights.of(idle) > 0:
        if given:
            raise MisconfiguredError(
                f"frontend: the one that is live has traffic on {idle} ({weights}), which is the backend's "
                "idle colour; deploy without one first, which brings both to one colour"
            )
        return None
    image = deployment.frontend_image or (None if given else standing.image if standing else None)
    if image is None and not deployment.frontend_source:
        return None
    if image is not None and registry.digest(digest=image) is None:
        raise ImageNotFoundError(
            f"frontend.image: the repository {registry.name} holds no {image}; give a digest that was built "
            "before, or a source to build: cutover deploy ENVIRONMENT --frontend-source FOLDER"
        )
    return {
        "digest": image,
        "tag": deployment.id,
        "repository": registry.uri,
        "source": _source(deployment.frontend_source, sources),
        "carried": not given,
        "scan": outlook(image, registry),
    }


def _source(key: str | None, sources: Sources) -> Mapping[str, str] | None:
    if key is None:
        return None
    location = sources.location(key)
    if not sources.holds(key):
        raise SourceNotFoundError(
            f"frontend.source: there is no s3://{location}; upload it, as `cutover deploy` does"
        )
    return {"key": key, "location": location}
