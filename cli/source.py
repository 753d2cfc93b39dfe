"""The application's source as one zip: the same files always make the same bytes, so the same key."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import ClientError

from cli.errors import UserError
from cli.session import Environment

_LEFT_OUT = {"__pycache__", ".git", ".venv", "node_modules", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's earliest date; a file's own time would change the digest


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _LEFT_OUT.intersection(path.relative_to(folder).parts):
            yield path


def package(folder: Path) -> bytes:
    """The folder as a zip.

    Raises:
        UserError: no such folder, or it holds no Dockerfile.
    """
    if not folder.is_dir():
        raise UserError(f"--source {folder}: no such folder. Name the folder that holds the Dockerfile.")
    if not (folder / "Dockerfile").is_file():
        raise UserError(f"--source {folder}: holds no Dockerfile, so no image can be built from it.")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr = (path.stat().st_mode & 0o777) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return target.getvalue()


def upload(environment: Environment, folder: Path) -> str:
    """Put the folder's zip into the environment's artifacts bucket, unless it is there already.

    Returns:
        The key, `sources/<sha256>.zip`, for the execution's `source`.
    """
    archive = package(folder)
    key = f"sources/{hashlib.sha256(archive).hexdigest()}.zip"
    try:
        environment.storage.head_object(Bucket=environment.artifacts_bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey", "403"}:
            raise
        environment.storage.put_object(Bucket=environment.artifacts_bucket, Key=key, Body=archive)
    return key
