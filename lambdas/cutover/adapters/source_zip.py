"""What is in a source's zip. It is named after its SHA-256, so that what was reviewed is what is read."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping

from cutover.domain.errors import SourceChangedError

KEY = re.compile(r"sources/([0-9a-f]{64})\.zip")
MOST_BYTES = 16 * 1024 * 1024


def verified(key: str, archive: bytes) -> bytes:
    """The archive, if it is the one that the key names. Raises SourceChangedError."""
    named = KEY.fullmatch(key)
    found = hashlib.sha256(archive).hexdigest()
    if named is None or named[1] != found:
        raise SourceChangedError(
            f"source: {key} holds bytes of SHA-256 {found}, and its name says otherwise: it was replaced; "
            "upload the source again and deploy that"
        )
    return archive


def files_of(key: str, archive: bytes, folder: str, most_bytes: int = MOST_BYTES) -> Mapping[str, bytes]:
    """The files directly in a folder, by their names in it; empty where there is no such folder.

    Raises SourceChangedError for what is no zip, or more than `most_bytes` of it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            inside = {
                entry.filename.removeprefix(f"{folder}/"): entry
                for entry in opened.infolist()
                if entry.filename.startswith(f"{folder}/") and not entry.is_dir()
            }
            flat = {name: entry for name, entry in inside.items() if "/" not in name}
            size = sum(entry.file_size for entry in flat.values())
            if size > most_bytes:
                raise SourceChangedError(
                    f"source: {folder}/ in {key} unpacks to {size} bytes, more than {most_bytes}; "
                    "keep data out of it"
                )
            return {name: opened.read(entry) for name, entry in sorted(flat.items())}
    except zipfile.BadZipFile as error:
        raise SourceChangedError(f"source: {key} is no zip ({error}); upload it again") from error
