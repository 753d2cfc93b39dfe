"""The build context: which files a COPY sees, after `.dockerignore`.

Patterns follow https://docs.docker.com/build/concepts/context/#dockerignore-files : `*`, `?`, `**`,
and `!` for exceptions; the last matching line decides.
"""

import hashlib
import os
import re
from pathlib import Path

from sandbox.compute.errors import DockerError
from sandbox.compute.layers import Entry, entry_of


def pattern(text: str) -> re.Pattern[str]:
    """A pattern of `.dockerignore` or COPY as a regular expression over relative paths."""
    out, index = "", 0
    while index < len(text):
        if text.startswith("**/", index):
            out, index = out + "(?:.*/)?", index + 3
        elif text.startswith("**", index):
            out, index = out + ".*", index + 2
        elif text[index] == "*":
            out, index = out + "[^/]*", index + 1
        elif text[index] == "?":
            out, index = out + "[^/]", index + 1
        else:
            out, index = out + re.escape(text[index]), index + 1
    return re.compile(out)


class Ignore:
    """The rules of one `.dockerignore`."""

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for raw in text.splitlines():
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            keep = line.startswith("!")
            cleaned = os.path.normpath(line.lstrip("!").strip()).strip("/")
            self._rules.append((keep, pattern(cleaned)))

    def excludes(self, name: str) -> bool:
        """Whether the path, or a folder that it is in, is left out of the context."""
        ignored = False
        parts = name.split("/")
        for keep, expression in self._rules:
            if any(expression.fullmatch("/".join(parts[:n])) for n in range(1, len(parts) + 1)):
                ignored = not keep
        return ignored


class Context:
    """The files of a build directory that a COPY may take."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise DockerError(f'unable to prepare context: path "{directory}" not found')
        self.directory = directory
        ignore_file = directory / ".dockerignore"
        ignore = Ignore(ignore_file.read_text() if ignore_file.exists() else "")
        self.names: list[str] = []
        for folder, folders, files in os.walk(directory):
            relative = os.path.relpath(folder, directory)
            prefix = "" if relative == "." else relative + "/"
            links = [name for name in folders if Path(folder, name).is_symlink()]
            folders.sort()
            self.names += [
                prefix + n
                for n in sorted(files + folders)
                if not ignore.excludes(prefix + n) and (n in files or n in links or Path(folder, n).is_dir())
            ]


def select(root: Path, names: list[str], sources: list[str], destination: str) -> list[Entry]:
    """The entries of `COPY sources… destination`; `names` are the paths there are under `root`.

    A directory's content is copied, not the directory; several sources need a destination that ends in `/`.
    """
    entries: dict[str, Entry] = {}
    target = destination.strip("/")
    is_folder = destination.endswith("/")
    if len(sources) > 1 and not is_folder:
        raise DockerError("when using COPY with more than one source file, the destination must end with /")
    for source in sources:
        cleaned = os.path.normpath(source).strip("/")
        if cleaned.startswith(".."):
            raise DockerError(f"COPY {source}: forbidden path outside the build context")
        expression = pattern(cleaned)
        matched = [""] if cleaned == "." else [n for n in names if expression.fullmatch(n)]
        if not matched:
            raise DockerError(f'failed to compute cache key: "/{cleaned}": not found')
        for match in matched:
            if (root / match).is_dir() and not (root / match).is_symlink():
                prefix = match + "/" if match else ""
                for name in names:
                    if name.startswith(prefix):
                        where = os.path.join(target, name[len(prefix) :])
                        entries[where] = entry_of(root / name, where)
                if target:
                    entries.setdefault(target, Entry(target, 0o755, directory=True))
            else:
                where = os.path.join(target, os.path.basename(match)) if is_folder or not target else target
                entries[where] = entry_of(root / match, where)
    return with_parents(entries)


def with_parents(entries: dict[str, Entry]) -> list[Entry]:
    """The entries together with the directories that they are in."""
    for name in list(entries):
        for parent in Path(name).parents:
            if str(parent) != ".":
                entries.setdefault(str(parent), Entry(str(parent), 0o755, directory=True))
    return list(entries.values())


def fingerprint(entries: list[Entry]) -> str:
    """A digest of names, modes and contents: what a COPY puts into the image."""
    total = hashlib.sha256()
    for entry in sorted(entries, key=lambda each: each.name):
        total.update(f"{entry.name}\0{entry.mode}\0{entry.link}\0{entry.directory}\0".encode())
        if entry.source is not None:
            with entry.source.open("rb") as content:
                total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()
