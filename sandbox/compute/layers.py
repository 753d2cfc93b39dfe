"""Image layers: deterministic gzipped tars, written from entries and applied to a directory.

The same entries always give the same digest: names sorted, times 0, owners 0, one gzip level.
Whiteouts follow https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts .
"""

import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.compute.errors import DockerError

WHITEOUT = ".wh."
GZIP_LEVEL = 1  # layers travel over loopback: speed counts, size hardly


@dataclass(frozen=True)
class Entry:
    """One file, directory or symbolic link of a layer; `name` is relative to the image's root."""

    name: str
    mode: int
    source: Path | None = None  # a file's content; None for directories, links and whiteouts
    link: str | None = None
    directory: bool = False


@dataclass(frozen=True)
class Layer:
    """A layer in the blob store: the compressed digest, the digest of the tar inside, bytes."""

    digest: str
    diff_id: str
    size: int


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Hashing(io.RawIOBase):
    """Counts and hashes what passes through to the next writer."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        chunk = bytes(data)  # type: ignore[call-overload]
        self._hash.update(chunk)
        self.size += len(chunk)
        self._sink.write(chunk)
        return len(chunk)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def write_layer(entries: Iterable[Entry], directory: Path) -> tuple[Layer, Path]:
    """Write a layer to a temporary file in `directory`; the caller files it under its digest."""
    directory.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory, prefix="layer-")
    with os.fdopen(handle, "wb") as file:
        packed = _Hashing(file)
        with gzip.GzipFile(
            filename="", fileobj=packed, mode="wb", compresslevel=GZIP_LEVEL, mtime=0
        ) as zipped:
            plain = _Hashing(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.GNU_FORMAT) as tar:
                for entry in sorted(entries, key=lambda each: each.name):
                    _add(tar, entry)
    return Layer(packed.digest, plain.digest, packed.size), Path(name)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mode, info.mtime = entry.mode, 0
    if entry.directory:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif entry.source is None:
        tar.addfile(info)
    else:
        with entry.source.open("rb") as content:
            info.size = os.fstat(content.fileno()).st_size
            tar.addfile(info, content)


def extract_layer(blob: Path, folder: Path) -> None:
    """Extract a layer as it is, whiteouts included. Names that leave the folder are refused."""
    with tarfile.open(blob, mode="r|gz") as tar:
        for info in tar:
            if info.name.startswith("/") or ".." in Path(info.name).parts:
                raise DockerError(f"layer {blob.name} holds the unsafe name {info.name!r}")
            tar.extract(info, folder, set_attrs=True, filter="tar")


def overlay(folder: Path, root: Path) -> None:
    """Put an extracted layer over `root`, honouring whiteouts.

    Files are hard links, so that images share what they have in common on disk and in memory; whoever
    changes a file of a root in place makes it `own` first.
    """
    for parent, folders, files in os.walk(folder):
        place = root / Path(parent).relative_to(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name in files + [each for each in folders if Path(parent, each).is_symlink()]:
            if name.startswith(WHITEOUT):
                _remove(place / name[len(WHITEOUT) :])
                continue
            source, target = Path(parent, name), place / name
            if target.is_symlink() or target.exists():
                _remove(target)
            os.link(source, target, follow_symlinks=False)
        for name in folders:
            target = place / name
            if target.is_symlink() or target.is_file():
                target.unlink()


def own(path: Path) -> Path:
    """Give a file that may be a hard link an inode of its own, so that it can be changed in place."""
    if path.stat().st_nlink > 1:
        copy = path.with_name(f".own-{path.name}")
        shutil.copy2(path, copy)
        os.replace(copy, path)
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


Snapshot = dict[str, tuple[int, int, int]]


def snapshot(root: Path) -> Snapshot:
    """Every path under `root` with what tells a change: mode, size, modification time in ns."""
    found: Snapshot = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            status = path.lstat()
            directory = stat.S_ISDIR(status.st_mode)
            found[str(path.relative_to(root))] = (
                status.st_mode,
                0 if directory else status.st_size,
                0 if directory else status.st_mtime_ns,
            )
    return found


def changes(root: Path, before: Snapshot) -> list[Entry]:
    """The entries of a layer that turns the tree of `before` into what is under `root` now."""
    after = snapshot(root)
    entries = [entry_of(root / name, name) for name in after if after[name] != before.get(name)]
    for name in before:
        parent = str(Path(name).parent)
        if name not in after and (parent == "." or parent in after):
            gone = Path(name)
            entries.append(Entry(str(gone.with_name(WHITEOUT + gone.name)), 0o644))
    return entries


def entry_of(path: Path, name: str) -> Entry:
    """An entry for what is at `path`, with the umask of this machine normalised away."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return Entry(name, 0o777, link=os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return Entry(name, 0o755, directory=True)
    return Entry(name, 0o755 if status.st_mode & 0o111 else 0o644, source=path)
