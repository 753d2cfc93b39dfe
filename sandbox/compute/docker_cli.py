"""The `docker` command of instances and builds, for the subset that deployments use.

`build push pull tag login images image` work on the machine's image store; `compose ps` talk to the engine
of the instance (DOCKER_HOST). What is not here ends with an error, never with a silence.
"""

import base64
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.compute.cli_arguments import VERSION, Arguments, render
from sandbox.compute.engine_client import ask
from sandbox.compute.errors import DockerError
from sandbox.compute.machine_images import stand_in
from sandbox.compute.store import BlobStore, Reference, References, canonical, write_atomically

#: The only registries that an image is asked for of: ECR, which the emulator serves, and this machine's own.
NEAR = re.compile(r"^(\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com|localhost(:\d+)?|127\.[\d.]+(:\d+)?)$")


def is_near(registry: str) -> bool:
    """Whether the registry can be asked without leaving this machine."""
    return bool(NEAR.match(registry))


class Docker:
    """One call of the command: the machine's image store, and whose images and logins it uses."""

    def __init__(self, root: Path, uv: str, environment: dict[str, str]) -> None:
        self.root, self.uv, self.environment = root, uv, environment
        self.store = BlobStore(root / "images")
        home = environment.get("HOME")
        if not home:
            raise DockerError("$HOME is not defined", 125)
        self.home = Path(home)
        self.folder = Path(environment.get("DOCKER_CONFIG", str(self.home / ".docker")))
        self.references = References(self.home / ".docker" / "images.json")

    @property
    def socket(self) -> Path:
        host = self.environment.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if not host.startswith("unix://"):
            raise DockerError(f"DOCKER_HOST {host!r}: only unix:// is supported")
        return Path(host.removeprefix("unix://"))

    def image_engine(self) -> None:
        """Images need an engine too: fail as docker does where DOCKER_HOST leads nowhere."""
        if "DOCKER_HOST" in self.environment and not self.socket.exists():
            raise DockerError(
                f"Cannot connect to the Docker daemon at unix://{self.socket}. Is the docker daemon running?"
            )

    # --- registries -------------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        path = self.folder / "config.json"
        document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return document

    def _registry(self, name: str, authorization: str | None = None) -> Any:
        from sandbox.compute.registry_client import RegistryClient  # noqa: PLC0415 (start light)

        known = self._config().get("auths", {}).get(name, {}).get("auth")
        return RegistryClient(name, authorization or known, self.environment)

    def login(self, words: list[str]) -> None:
        flags = Arguments(
            words,
            "login",
            {"-u": "user", "--username": "user", "-p": "password", "--password": "password"},
            {"--password-stdin"},
        )
        user = flags.one("user")
        if not user or not flags.rest:
            raise DockerError("login needs --username USER, --password-stdin and a registry", 125)
        password = sys.stdin.read().strip() if flags.on("--password-stdin") else flags.one("password")
        if not password:
            raise DockerError("Error: Password Required")
        registry = re.sub(r"^https?://", "", flags.rest[0]).rstrip("/")
        authorization = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._registry(registry, authorization).ping()
        config = self._config()
        config.setdefault("auths", {})[registry] = {"auth": authorization}
        write_atomically(self.folder / "config.json", canonical(config), 0o600)
        print("Login Succeeded")

    def pull(self, words: list[str]) -> None:
        self.image_engine()
        flags = Arguments(words, "pull", {}, {"-q", "--quiet"})
        for text in flags.rest or [""]:
            self.fetch(text, quiet=flags.on("-q") or flags.on("--quiet"))

    def fetch(self, text: str, *, quiet: bool = False) -> str:
        reference = Reference.parse(text)
        if not reference.registry and (found := stand_in(reference, self.store)):
            digest, path = found
            self.store.rootfs(digest)
            self.references.set(reference, digest)
            print(f"{reference}: stands for {path} of this machine")
            return digest
        if not is_near(reference.registry):
            raise DockerError(
                f"Error response from daemon: pull access denied for {text}: "
                f"{reference.registry or 'Docker Hub'} is not reachable here"
            )
        digest = str(self._registry(reference.registry).pull_manifest(reference, self.store))
        self.store.rootfs(digest)
        self.references.set(reference, digest)
        print(reference if quiet else f"Digest: {digest}\nStatus: Downloaded newer image for {reference}")
        return digest

    def push(self, words: list[str]) -> None:
        self.image_engine()
        flags = Arguments(words, "push", {}, {"-q", "--quiet"})
        for text in flags.rest or [""]:
            reference = Reference.parse(text)
            digest = self.references.find(text)
            if digest is None:
                raise DockerError(f"An image does not exist locally with the tag: {reference.name}")
            if not reference.registry or reference.digest:
                raise DockerError(f"cannot push {text}: a registry and a tag are needed")
            sent = self._registry(reference.registry).push(reference, digest, self.store)
            self.references.set(Reference(reference.registry, reference.repository, None, digest), digest)
            for layer in self.store.manifest(digest)["layers"]:
                state = "Pushed" if layer["digest"] in sent else "Layer already exists"
                print(f"{layer['digest'][7:19]}: {state}")
            print(f"{reference.tag}: digest: {digest} size: {len(self.store.read(digest))}")

    # --- images -----------------------------------------------------------------------------------

    def build(self, words: list[str]) -> None:
        from sandbox.compute.builder import Builder  # noqa: PLC0415 (start light)
        from sandbox.compute.run_step import Machine  # noqa: PLC0415 (start light)

        self.image_engine()
        flags = Arguments(
            words,
            "build",
            {
                "-t": "tag",
                "--tag": "tag",
                "--target": "target",
                "--build-arg": "arg",
                "-f": "file",
                "--file": "file",
                "--platform": "platform",
                "--progress": "progress",
                "--iidfile": "iidfile",
            },
            {"-q", "--quiet", "--pull"},
        )
        if flags.one("platform", "linux/amd64") != "linux/amd64":
            raise DockerError("build: --platform: only linux/amd64 is supported here")
        if len(flags.rest) != 1:
            raise DockerError("\"docker build\" requires exactly 1 argument.\nSee 'docker build --help'.")
        arguments: dict[str, str] = {}
        for each in flags.values.get("arg", []):
            name, equals, value = each.partition("=")
            arguments[name] = value if equals else self.environment.get(name, "")
        context = Path(flags.rest[0])
        file = Path(flags.one("file") or context / "Dockerfile")
        quiet = flags.on("-q") or flags.on("--quiet")
        number = iter(range(1, 1 << 30))

        def log(line: str) -> None:
            if not quiet:
                print(f"#{next(number)} {line}", file=sys.stderr, flush=True)

        tags = [Reference.parse(tag) for tag in flags.values.get("tag", [])]
        digest = Builder(self.store, Machine(self.store.root, self.uv), log).build(
            file, context, flags.one("target"), arguments
        )
        image_id = self.store.manifest(digest)["config"]["digest"]
        for tag in tags:
            self.references.set(tag, digest)
            log(f"naming to {tag}")
        log(f"writing image {image_id}")
        if flags.one("iidfile"):
            Path(str(flags.one("iidfile"))).write_text(image_id)
        if quiet:
            print(image_id)

    def tag(self, words: list[str]) -> None:
        self.image_engine()
        if len(words) != 2:
            raise DockerError('"docker tag" requires exactly 2 arguments.')
        self.references.set(Reference.parse(words[1]), self.find(words[0]))

    def find(self, text: str) -> str:
        digest = self.references.find(text)
        if digest is None:
            raise DockerError(f"Error response from daemon: No such image: {text}")
        return digest

    def image(self, words: list[str]) -> None:
        if words[:1] == ["ls"]:
            self.images(words[1:])
            return
        if words[:1] != ["inspect"]:
            raise DockerError(
                f"docker: 'image {' '.join(words[:1])}' is not supported by this stand-in.", 125
            )
        self.image_engine()
        flags = Arguments(words[1:], "image inspect", {"-f": "format", "--format": "format"}, set())
        found = [self.inspect(text) for text in flags.rest]
        template = flags.one("format")
        if template is None:
            print(json.dumps(found, indent=4))
        else:
            for document in found:
                print(render(template, document))

    def inspect(self, text: str) -> dict[str, Any]:
        digest = self.find(text)
        manifest, config = self.store.manifest(digest), self.store.config(digest)
        names = [name for name, each in self.references.all().items() if each == digest]
        return {
            "Id": manifest["config"]["digest"],
            "RepoTags": sorted(name for name in names if "@" not in name),
            "RepoDigests": sorted(name for name in names if "@" in name),
            "Created": config["created"],
            "Architecture": config["architecture"],
            "Os": config["os"],
            "Config": config["config"],
            "Size": sum(layer["size"] for layer in manifest["layers"]),
            "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
        }

    def images(self, words: list[str]) -> None:
        self.image_engine()
        flags = Arguments(words, "images", {"--format": "format"}, {"-q", "--quiet", "--digests"})
        rows = [("REPOSITORY", "TAG", "IMAGE ID")]
        for name, digest in sorted(self.references.all().items()):
            reference = Reference.parse(name)
            if not flags.rest or flags.rest[0] in (reference.name, name):
                image_id = self.store.manifest(digest)["config"]["digest"][7:19]
                rows.append((reference.name, reference.tag or "<none>", image_id))
        if flags.on("-q") or flags.on("--quiet"):
            print("\n".join(row[2] for row in rows[1:]))
        elif flags.one("format"):
            for row in rows[1:]:
                print(render(str(flags.one("format")), {"Repository": row[0], "Tag": row[1], "ID": row[2]}))
        else:
            print("\n".join(f"{a:<70} {b:<20} {c}" for a, b, c in rows))

    # --- the engine -------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], timeout_seconds: float | None = 120.0) -> dict[str, Any]:
        return ask(self.socket, request, timeout_seconds)

    def compose(self, words: list[str]) -> None:
        from sandbox.compute.compose_cli import compose  # noqa: PLC0415 (start light)

        compose(self, words)

    def ps(self, words: list[str]) -> None:
        flags = Arguments(words, "ps", {"--format": "format"}, {"-a", "--all", "-q"})
        found = self.ask({"op": "ps"})["containers"]
        shown = [each for each in found if each["State"] == "running" or flags.on("-a") or flags.on("--all")]
        for each in shown:
            if flags.one("format") == "json":
                print(json.dumps({"Names": each["Name"], "Image": each["Image"], "State": each["State"]}))
            else:
                print(f"{each['Name']:<40} {each['Image']:<60} {each['State']}")

    def version(self, words: list[str]) -> None:
        flags = Arguments(words, "version", {"-f": "format", "--format": "format"}, set())
        document = {"Client": {"Version": VERSION}, "Server": {"Version": VERSION}}
        template = flags.one("format")
        print(
            render(template, document)
            if template
            else f"Docker stand-in of the sandbox, as of Docker {VERSION}"
        )

    def info(self, _words: list[str]) -> None:
        print(f"Server Version: {VERSION}\nContainers: {self.ask({'op': 'info'})['containers']}")


def main(arguments: list[str], root: Path, uv: str) -> int:
    """Run one docker command; the exit status is docker's."""
    try:
        docker = Docker(root, uv, dict(os.environ))
        commands: dict[str, Callable[[list[str]], None]] = {
            "build": docker.build,
            "push": docker.push,
            "pull": docker.pull,
            "tag": docker.tag,
            "login": docker.login,
            "image": docker.image,
            "images": docker.images,
            "compose": docker.compose,
            "ps": docker.ps,
            "version": docker.version,
            "info": docker.info,
            "--version": docker.version,
        }
        name = arguments[0] if arguments else ""
        if name not in commands:
            raise DockerError(
                f"docker: '{name}' is not supported by this stand-in.\nSee 'docker --help'", 125
            )
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        commands[name](arguments[1:])
    except DockerError as error:
        print(f"{'' if str(error).startswith(('Error', 'docker:')) else 'Error: '}{error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    return 0
