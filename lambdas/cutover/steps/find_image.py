"""From the tag that a build pushed to the digest that a release is from then on."""

from __future__ import annotations

from cutover.domain.errors import ImageNotFoundError
from cutover.domain.records import Deployment, image_key
from cutover.domain.services import Service
from cutover.ports import Change, Journal, Registry


def find_image(
    deployment: Deployment,
    tag: str,
    *,
    registry: Registry,
    journal: Journal,
    service: Service = Service.BACKEND,
) -> dict[str, str]:
    """Writes down which source the image is from, so that a later promotion finds its migrations."""
    digest = registry.digest(tag=tag)
    if digest is None:
        raise ImageNotFoundError(
            f"the build ended well, but the repository {registry.name} holds no image with the tag {tag}"
        )
    source = deployment.source if service is Service.BACKEND else deployment.frontend_source
    origin = {"source": source, "deployment": deployment.id, "version": deployment.version}
    journal.write([Change("put", image_key(digest), origin)], lock=deployment.lock)
    return {"digest": digest, "image": f"{registry.uri}@{digest}"}
