"""Where images are kept: blobs by digest shared by the machine, references by engine.

Blobs, the build cache and extracted roots are content-addressed and shared (`.sandbox/images`), so that
a second pull costs a manifest. Which images an engine *has* is its own affair (`$HOME/.docker`), so that
an image which was never pulled on an instance is not found there.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.compute.errors import DockerError
from sandbox.compute.layers import extract_layer, overlay, own

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
BASE_NAME = "python3.11"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(document: Any) -> bytes:
    """JSON with one spelling, so that equal documents have equal digests."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made when missing) between processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.chmod(name, mode)
    os.replace(name, path)


class BlobStore:
    """Content-addressed files under `.sandbox/images`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / "scratch"

    def path(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        if algorithm != "sha256" or len(value) != 64 or not all(c in "0123456789abcdef" for c in value):
            raise DockerError(f"invalid reference format: {digest!r} is no sha256 digest")
        return self.root / "blobs" / value

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        return self.path(digest).read_bytes()

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        if not self.has(digest):
            write_atomically(self.path(digest), data)
        return digest

    def adopt(self, file: Path, digest: str) -> None:
        """Move a finished file whose digest is known into the store."""
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)

    def manifest(self, digest: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.read(digest))
        return document

    def config(self, digest: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.read(self.manifest(digest)["config"]["digest"]))
        return document

    def lay(self, digest: str, root: Path) -> None:
        """Put a layer over `root`; each is extracted once and linked from then on."""
        folder = self.root / "layers" / digest.partition(":")[2]
        if not folder.exists():
            self.scratch.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(dir=self.scratch, prefix="layer-"))
            try:
                extract_layer(self.path(digest), work)
                work.chmod(0o755)
                folder.parent.mkdir(exist_ok=True)
                with contextlib.suppress(OSError):  # another process was first: theirs is the same
                    os.rename(work, folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        overlay(folder, root)

    def rootfs(self, digest: str) -> Path:
        """The extracted root of an image; extracted once, by the first who asks.

        Scripts whose interpreter is the base image's Python are pointed at this machine's.
        """
        root = self.root / "rootfs" / digest.partition(":")[2]
        if root.exists():
            return root
        with locked(root.with_suffix(".lock")):
            if not root.exists():
                self.scratch.mkdir(parents=True, exist_ok=True)
                work = Path(tempfile.mkdtemp(dir=self.scratch, prefix="rootfs-"))
                try:
                    for layer in self.manifest(digest)["layers"]:
                        self.lay(layer["digest"], work)
                    point_scripts(work, str(base_python(self.root) / "bin" / "python3.11"))
                    work.chmod(0o755)
                    os.rename(work, root)
                except BaseException:
                    shutil.rmtree(work, ignore_errors=True)
                    raise
        return root


@functools.cache
def interpreter() -> tuple[Path, str]:
    """The Python that stands for the base image's, and its name: 3.11 if there is one, else our own."""
    own_name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    other = None if own_name == BASE_NAME else shutil.which(BASE_NAME)
    if other is not None:
        return Path(os.path.realpath(other)), BASE_NAME
    return Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable))), own_name


def site_packages() -> str:
    """Where packages are under a prefix of the image."""
    return f"lib/{interpreter()[1]}/site-packages"


def base_python(images: Path) -> Path:
    """The Python of the base image `python:3.11-slim`: this machine's, with nothing installed.

    A virtual environment made by hand, so that no package of the host or of this project is seen.
    """
    executable, name = interpreter()
    home = images / "base" / name
    marker = home / "pyvenv.cfg"
    if not marker.exists():
        (home / "bin").mkdir(parents=True, exist_ok=True)
        (home / site_packages()).mkdir(parents=True, exist_ok=True)
        for link in {"python", "python3", BASE_NAME, name}:
            with contextlib.suppress(FileExistsError):
                (home / "bin" / link).symlink_to(executable)
        text = f"home = {executable.parent}\ninclude-system-site-packages = false\n"
        write_atomically(marker, text.encode())
    return home


IMAGE_PYTHON = b"#!/usr/local/bin/python"


def point_scripts(root: Path, interpreter: str) -> None:
    """Give every script for the image's own Python the interpreter at `interpreter`."""
    for folder in root.rglob("bin"):
        if not folder.is_dir():
            continue
        for script in folder.iterdir():
            if script.is_symlink() or not script.is_file():
                continue
            content = script.read_bytes()
            if content.startswith(IMAGE_PYTHON):
                rest = content.partition(b"\n")[2]
                own(script).write_bytes(b"#!" + interpreter.encode() + b"\n" + rest)


@dataclass(frozen=True)
class Reference:
    """REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST, as docker spells it."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        rest, _, digest = text.partition("@")
        head, slash, tail = rest.partition("/")
        registry, path = (head, tail) if slash and ("." in head or ":" in head) else ("", rest)
        name, colon, tag = path.rpartition(":")
        if not colon:
            name, tag = path, ""
        if not name or name != name.lower() or any(c.isspace() for c in text):
            raise DockerError(f"invalid reference format: {text!r}")
        if digest and not digest.startswith("sha256:"):
            raise DockerError(f"invalid reference format: {text!r}")
        return cls(registry, name, tag or (None if digest else "latest"), digest or None)

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


class References:
    """What one engine calls its images: reference → manifest digest, in one JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return found

    def set(self, reference: Reference, digest: str) -> None:
        with locked(self._path.with_suffix(".lock")):
            known = self.all()
            known[str(reference)] = digest
            write_atomically(self._path, canonical(known))

    def find(self, text: str) -> str | None:
        """The manifest digest behind a reference, a digest or an image id (config digest)."""
        known = self.all()
        if text.startswith("sha256:"):
            return text if text in known.values() else None
        return known.get(str(Reference.parse(text)))
