"""RUN without root: the few commands of a Python or Node image's Dockerfile, carried out on the image's root.

There is no chroot and no container, so a command is not handed to a shell: it is understood or refused.
`pip install`, `python -m compileall`, `npm ci`, `npm run`, `mkdir`, `rm`, `chmod` change the image;
`useradd`, `groupadd`, `adduser`, `addgroup` and `chown` are recorded in the image's history only, since every
file here belongs to whoever runs the sandbox.
"""

import base64
import csv
import hashlib
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.compute import node
from sandbox.compute.dockerfile import Instruction, expand
from sandbox.compute.errors import DockerError, UnsupportedError
from sandbox.compute.layers import own
from sandbox.compute.store import IMAGE_PYTHON, base_python, interpreter, site_packages

RECORDED = frozenset({"useradd", "groupadd", "adduser", "addgroup", "chown"})
PYTHONS = frozenset({"python", "python3", "python3.11"})
# pip's and npm's own settings and a proxy's reach the build from the machine, as a build host's would.
MACHINE_SETTINGS = re.compile(
    r"^(UV_|PIP_|npm_config_|NODE_EXTRA_CA_CERTS$|SSL_CERT_FILE$|(https?|no|all)_proxy$)", re.IGNORECASE
)
_PIP_SWITCHES = frozenset(
    [
        "--no-cache-dir",
        "--no-deps",
        "--upgrade",
        "-U",
        "--require-hashes",
        "--no-compile",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--quiet",
        "-q",
        "--only-binary=:all:",
        "--prefer-binary",
        "--no-input",
    ]
)
_PIP_PASSED = frozenset({"--no-deps", "--upgrade", "--require-hashes"})


@dataclass(frozen=True)
class Machine:
    """What a build needs of this machine: the image folder (for the base Python) and `uv`."""

    images: Path
    uv: str


def commands(instruction: Instruction, variables: Mapping[str, str]) -> list[list[str]]:
    """The commands of a RUN, in order; `&&` is the one operator understood."""
    for flag, value in instruction.flags.items():
        if flag != "mount" or not value.startswith("type=cache"):
            raise UnsupportedError(
                f"dockerfile line {instruction.line}: --{flag} is not supported: {instruction}"
            )
    if instruction.form is not None:
        return [instruction.form]
    lexer = shlex.shlex(instruction.arguments, posix=True, punctuation_chars="&|;<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[list[str]] = [[]]
    for word in lexer:
        if word == "&&":
            found.append([])
        elif word and set(word) <= set("&|;<>()"):
            raise UnsupportedError(
                f"dockerfile line {instruction.line}: shell operator {word!r} is not supported: {instruction}"
            )
        else:
            found[-1].append(expand(word, variables))
    return [words for words in found if words]


class RunStep:
    """Carries out the commands of RUN instructions on one image root."""

    def __init__(self, machine: Machine, root: Path, workdir: str, log: Callable[[str], None]) -> None:
        self._machine, self._root, self._workdir, self._log = machine, root, workdir, log

    def path(self, text: str) -> Path:
        """A path of the image as a path of this machine; never outside of the image's root."""
        absolute = os.path.normpath(os.path.join("/", self._workdir, text))
        return self._root / absolute.lstrip("/")

    def run(self, instruction: Instruction, variables: Mapping[str, str]) -> None:
        for words in commands(instruction, variables):
            try:
                self._one(words)
            except (UnsupportedError, OSError) as error:
                raise type(error)(
                    f"dockerfile line {instruction.line}: RUN {shlex.join(words)}: {error}"
                ) from error

    def _one(self, words: list[str]) -> None:
        name, rest = os.path.basename(words[0]), words[1:]
        if name in PYTHONS and rest[:2] == ["-m", "pip"]:
            name, rest = "pip", rest[2:]
        if name in ("pip", "pip3"):
            self._pip(rest)
        elif name in PYTHONS and rest[:2] == ["-m", "compileall"]:
            targets = [word for word in rest[2:] if not word.startswith("-")]
            self._compile([self.path(target) for target in targets])
        elif name == "npm":
            node.npm(rest, self.path("."), _machine_settings(), self._log)
        elif name == "mkdir":
            self._mkdir(rest)
        elif name == "rm":
            self._rm(rest)
        elif name == "chmod":
            self._chmod(rest)
        elif name in RECORDED:
            self._log(f"recorded only: {shlex.join(words)}")
        elif name == "set" and all(word.startswith("-") for word in rest):
            return
        else:
            raise UnsupportedError(f"{name!r} is not among the commands that run without root here")

    def _mkdir(self, rest: list[str]) -> None:
        parents = "-p" in rest
        for word in rest:
            if not word.startswith("-"):
                self.path(word).mkdir(parents=parents, exist_ok=parents)
            elif word not in ("-p", "-v"):
                raise UnsupportedError(f"mkdir option {word} is not supported")

    def _rm(self, rest: list[str]) -> None:
        flags = "".join(word[1:] for word in rest if word.startswith("-"))
        for word in rest:
            if word.startswith("-"):
                continue
            if word.endswith("/*"):
                folder = self.path(word[:-2])
                targets = list(folder.iterdir()) if folder.is_dir() else []
            else:
                targets = [self.path(word)]
            for target in targets:
                if target == self._root:
                    raise UnsupportedError("removing the image's root is refused")
                if target.is_dir() and not target.is_symlink() and "r" in flags:
                    shutil.rmtree(target)
                else:
                    target.unlink(missing_ok="f" in flags)

    def _chmod(self, rest: list[str]) -> None:
        changes = {"+x": 0o111, "a+x": 0o111}
        if len(rest) < 2 or (rest[0] not in changes and not rest[0].isdigit()):
            raise UnsupportedError("chmod is understood as `chmod +x FILE…` or `chmod 755 FILE…`")
        for word in rest[1:]:
            path = own(self.path(word)) if self.path(word).is_file() else self.path(word)
            path.chmod(path.stat().st_mode | changes[rest[0]] if rest[0] in changes else int(rest[0], 8))

    def _pip(self, rest: list[str]) -> None:
        """`pip install`, by uv, into the prefix or target inside the image."""
        if not rest or rest[0] != "install":
            raise UnsupportedError("of pip, only `pip install` is supported")
        arguments, prefix, target = [], Path("/usr/local"), None
        words = iter(rest[1:])
        for word in words:
            name, _, value = word.partition("=") if word.startswith("--") else (word, "", "")
            if name in ("--prefix", "--target", "-t", "-r", "--requirement"):
                value = value or next(words, "")
                if name == "--prefix":
                    prefix = Path(value)
                elif name in ("--target", "-t"):
                    target = Path(value)
                else:
                    arguments += ["-r", str(self.path(value))]
            elif word in _PIP_SWITCHES:
                arguments += [word] if word in _PIP_PASSED else []
            elif word.startswith("-"):
                raise UnsupportedError(f"pip option {word} is not supported")
            elif word in ("pip", "setuptools", "wheel"):
                self._log(f"left out: {word} (the base image brings its own)")
            else:
                arguments.append(str(self.path(word)) if word.startswith(".") else word)
        if not [word for word in arguments if not word.startswith("-")]:
            return
        where = self.path(str(target or prefix))
        where.mkdir(parents=True, exist_ok=True)
        self._install(arguments, where, flat=target is not None)
        site = where if target else where / site_packages()
        fix_scripts(where / "bin", site)
        self._compile([site])

    def _install(self, arguments: list[str], where: Path, *, flat: bool) -> None:
        python = str(base_python(self._machine.images) / "bin" / "python3.11")
        destination = ["--target" if flat else "--prefix", str(where)]
        home = pwd.getpwuid(os.getuid()).pw_dir  # uv's own configuration and cache live there
        environment = {
            **_machine_settings(),
            "HOME": home,
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        }
        install = [
            self._machine.uv,
            "pip",
            "install",
            "--python",
            python,
            "--no-progress",
            "--link-mode",
            "copy",
        ]
        done = subprocess.run(
            [*install, *destination, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for line in (done.stdout + done.stderr).splitlines():
            self._log(line)
        if done.returncode:
            tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise DockerError(
                f"pip install did not complete successfully: exit code {done.returncode}: {' '.join(tail)}"
            )

    def _compile(self, folders: list[Path]) -> None:
        """Byte-compile. Hash-based files that are never checked: valid whatever the files' times are."""
        existing = [str(folder) for folder in folders if folder.exists()]
        python = base_python(self._machine.images) / "bin" / "python3.11"
        command = [str(python), "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
        # The path inside the image, not of this build, goes into the code objects.
        subprocess.run(
            [*command, "-s", str(self._root), "-p", "/", *existing], check=False, capture_output=True
        )


def _machine_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if MACHINE_SETTINGS.match(name)}


def fix_scripts(folder: Path, site: Path) -> None:
    """Give installed scripts the image's interpreter, and their RECORD lines the new hash.

    Installers write the path of the interpreter that they ran with, which differs between machines.
    """
    if not folder.is_dir():
        return
    changed: dict[str, tuple[str, str]] = {}
    for script in sorted(folder.iterdir()):
        content = script.read_bytes()
        first, _, rest = content.partition(b"\n")
        text = rest
        if first.startswith(b"#!/bin/sh") and b"'''exec'" in rest[:400]:  # the long-path form of a shebang
            text = rest.split(b"\n' '''\n", 1)[-1] if b"\n' '''\n" in rest else rest
        elif not (first.startswith(b"#!") and b"python" in first):
            continue
        own(script).write_bytes(IMAGE_PYTHON + b"3.11\n" + text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(script.read_bytes()).digest()).rstrip(b"=").decode()
        changed[script.name] = (f"sha256={digest}", str(script.stat().st_size))
    for record in site.glob("*.dist-info/RECORD"):
        rows = list(csv.reader(record.read_text().splitlines()))
        fixed = [
            [row[0], *changed[os.path.basename(row[0])]]
            if os.path.basename(row[0]) in changed and "/bin/" in f"/{row[0]}"
            else row
            for row in rows
        ]
        if fixed != rows:
            with own(record).open("w", newline="") as out:
                csv.writer(out, lineterminator="\n").writerows(fixed)


def python_version() -> str:
    """Part of the cache key: an image built for one Python does not serve another."""
    path, name = interpreter()
    return f"{name} {path}"
