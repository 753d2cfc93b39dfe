"""Where a release is from: the source that is built, or the one that a promoted image was built from.

The source is the home of the release's migrations, so that both ways bring the same ones.
"""

from __future__ import annotations

from typing import Any

from cutover.database_ports import MigrationPlans
from cutover.domain.errors import SourceNotFoundError
from cutover.domain.records import Deployment, image_key
from cutover.domain.release_files import FOLDER, digest, digests, wanted_indexes
from cutover.ports import Journal, Sources


def source_of(deployment: Deployment, *, journal: Journal, sources: Sources) -> dict[str, Any]:
    """{key, location}. Raises SourceNotFoundError."""
    key = deployment.source
    if not key:
        origin = journal.read(image_key(str(deployment.image)))
        key = origin.get("source") if origin else None
        if not key:
            raise SourceNotFoundError(
                f"image: nobody wrote down which source {deployment.image} was built from, and its "
                "migrations are there; deploy that source: cutover deploy ENVIRONMENT --source FOLDER"
            )
    location = sources.location(key)
    if not sources.holds(key):
        raise SourceNotFoundError(f"source: there is no s3://{location}; upload it, as `cutover deploy` does")
    return {"key": key, "location": location}


def planned_migrations(source: str, *, sources: Sources, plans: MigrationPlans) -> dict[str, Any]:
    """What the source declares, and, where there is a database already, what that means for it."""
    return {**declared_migrations(source, sources=sources), **(plans.look(source) or {})}


def declared_migrations(source: str, *, sources: Sources) -> dict[str, Any]:
    """What the source declares about the database: {indexes, files (SHA-256 by name), digest}."""
    files = sources.folder(source, FOLDER)
    return {
        "indexes": [str(index) for index in wanted_indexes(files)],
        "files": digests(files),
        "digest": digest(files),
    }
