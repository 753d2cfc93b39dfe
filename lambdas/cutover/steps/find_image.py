"""From the tag that a build pushed to the digest that a release is from then on."""

from __future__ import annotations

from cutover.domain.errors import ImageNotFoundError
from cutover.ports import Registry


def find_image(tag: str, *, registry: Registry) -> dict[str, str]:
    digest = registry.digest(tag=tag)
    if digest is None:
        raise ImageNotFoundError(
            f"the build ended well, but the repository {registry.name} holds no image with the tag {tag}"
        )
    return {"digest": digest, "image": f"{registry.uri}@{digest}"}
