"""Building images from Dockerfiles without root: layers, cache, stages, and what is refused."""

import tarfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from sandbox.compute.builder import Builder
from sandbox.compute.errors import DockerError
from sandbox.compute.run_step import Machine, fix_scripts
from sandbox.compute.store import BlobStore

HEAD = "FROM python:3.11-slim\nWORKDIR /app\n"


class Bench:
    """A build directory and an image store of its own."""

    def __init__(self, folder: Path) -> None:
        self.context = folder / "context"
        self.context.mkdir(parents=True)
        self.store = BlobStore(folder / "images")
        self.log: list[str] = []

    def build(self, text: str, *, target: str | None = None, **arguments: str) -> str:
        (self.context / "Dockerfile").write_text(text)
        builder = Builder(self.store, Machine(self.store.root, find_uv_bin()), self.log.append)
        return builder.build(self.context / "Dockerfile", self.context, target, arguments)

    def names(self, digest: str) -> set[str]:
        found: set[str] = set()
        for layer in self.store.manifest(digest)["layers"]:
            with tarfile.open(self.store.path(layer["digest"])) as tar:
                found |= set(tar.getnames())
        return found

    def layers(self, digest: str) -> list[str]:
        return [layer["digest"] for layer in self.store.manifest(digest)["layers"]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "one")


def test_the_same_input_gives_the_same_digest_on_another_machine(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "two")
    for each in (bench, other):
        (each.context / "main.py").write_text("print(1)\n")
        (each.context / "run.sh").write_text("#!/bin/sh\n")
        (each.context / "run.sh").chmod(0o700 if each is bench else 0o755)
    text = HEAD + "COPY . .\nRUN mkdir -p uploads && python -m compileall -q .\n"
    assert bench.build(text) == other.build(text)


def test_a_change_of_the_code_keeps_the_layers_before_it(bench: Bench) -> None:
    (bench.context / "requirements.txt").write_text("")
    (bench.context / "main.py").write_text("print(1)\n")
    text = HEAD + "COPY requirements.txt .\nCOPY main.py .\n"
    first = bench.layers(bench.build(text))
    (bench.context / "main.py").write_text("print(2)\n")
    second = bench.layers(bench.build(text))
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]
    assert bench.log.count("CACHED") == 2


def test_docker_ignore_keeps_files_out_and_exceptions_in(bench: Bench) -> None:
    """https://docs.docker.com/build/concepts/context/#dockerignore-files"""
    (bench.context / ".dockerignore").write_text("*\n!src\n**/*.pyc\n")
    (bench.context / "src" / "deep").mkdir(parents=True)
    for name in ("secret.env", "src/a.py", "src/deep/b.py", "src/deep/b.pyc"):
        (bench.context / name).write_text(name)
    found = bench.names(bench.build(HEAD + "COPY . .\n"))
    assert {"app/src/a.py", "app/src/deep/b.py"} <= found
    assert not found & {"app/secret.env", "app/src/deep/b.pyc", "app/Dockerfile"}


def test_only_the_stages_that_the_target_needs_are_built(bench: Bench) -> None:
    text = (
        "FROM python:3.11-slim AS builder\nRUN mkdir -p /install/bin\n"
        "FROM python:3.11-slim AS production\nCOPY --from=builder /install /usr/local\n"
        "FROM production AS development\nRUN apt-get install -y vim\n"
    )
    digest = bench.build(text, target="production")
    assert "usr/local/bin" in bench.names(digest)
    with pytest.raises(DockerError, match=r"line 6: RUN apt-get install -y vim: 'apt-get' is not among"):
        bench.build(text)


def test_the_configuration_carries_what_the_instructions_say(bench: Bench) -> None:
    text = HEAD + (
        "ARG BUILD=dev\nENV MODE=${BUILD} PORT=8000\nLABEL org=x\nEXPOSE 8000\nUSER 10001\nSTOPSIGNAL SIGINT\n"
        'HEALTHCHECK --interval=30s --timeout=10s --start-period=40s --retries=3 CMD ["python", "-m", "h"]\n'
        'ENTRYPOINT ["python"]\nCMD ["-m", "app"]\n'
    )
    config = bench.store.config(bench.build(text, BUILD="prod"))["config"]
    assert {"MODE=prod", "PORT=8000"} <= set(config["Env"])
    assert config["WorkingDir"] == "/app"
    assert (config["User"], config["StopSignal"]) == ("10001", "SIGINT")
    assert (config["Entrypoint"], config["Cmd"]) == (["python"], ["-m", "app"])
    assert config["Healthcheck"] == {
        "Test": ["CMD", "python", "-m", "h"],
        "Interval": 30_000_000_000,
        "Timeout": 10_000_000_000,
        "StartPeriod": 40_000_000_000,
        "Retries": 3,
    }


def test_a_removed_file_is_gone_from_the_extracted_root(bench: Bench) -> None:
    """https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts"""
    (bench.context / "a").write_text("a")
    (bench.context / "b").write_text("b")
    digest = bench.build(HEAD + "COPY a b ./\nRUN rm -rf a\n")
    root = bench.store.rootfs(digest)
    assert not (root / "app" / "a").exists()
    assert (root / "app" / "b").read_text() == "b"
    assert not list(root.rglob(".wh.*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM node:18\n", "pull access denied for node:18.*python:3.11-slim"),
        (HEAD + "COPY missing .\n", '"/missing": not found'),
        (HEAD + "COPY ../x .\n", "forbidden path outside the build context"),
        (HEAD + "COPY --from=nobody /a /b\n", "no such build stage"),
        (HEAD + "RUN echo a | tee b\n", r"line 3: shell operator '\|' is not supported"),
        (HEAD + "RUN curl https://example.com\n", "'curl' is not among"),
        (HEAD + "RUN pip install --editable .\n", "pip option --editable is not supported"),
        (HEAD + "RUN rm -rf /\n", "image's root is refused"),
        (HEAD + "HEALTHCHECK --wrong=1 CMD true\n", "HEALTHCHECK --wrong is not supported"),
    ],
)
def test_what_cannot_be_built_says_which_instruction(bench: Bench, text: str, message: str) -> None:
    with pytest.raises(DockerError, match=message):
        bench.build(text)


def test_an_unknown_target_is_an_error(bench: Bench) -> None:
    with pytest.raises(DockerError, match='target stage "nope" could not be found'):
        bench.build(HEAD, target="nope")


def test_a_path_of_the_image_never_leaves_its_root(bench: Bench, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("here")
    bench.build(HEAD + "RUN rm -rf ../../../../../../../.." + str(victim) + "\n")
    assert victim.read_text() == "here"


def test_installed_scripts_get_the_images_interpreter_and_a_true_record(tmp_path: Path) -> None:
    script, info = tmp_path / "bin" / "tool", tmp_path / "site" / "tool-1.dist-info"
    script.parent.mkdir()
    info.mkdir(parents=True)
    script.write_text("#!/somewhere/.venv/bin/python3.11\nprint(1)\n")
    (info / "RECORD").write_text("../../../bin/tool,sha256=old,1\ntool.py,sha256=same,2\n")
    fix_scripts(script.parent, tmp_path / "site")
    assert script.read_text() == "#!/usr/local/bin/python3.11\nprint(1)\n"
    lines = (info / "RECORD").read_text().splitlines()
    assert lines[1] == "tool.py,sha256=same,2"
    assert lines[0].endswith(f",{len(script.read_bytes())}")
    assert "old" not in lines[0]


class TestNode:
    """https://hub.docker.com/_/node : the machine's own Node stands for the image's."""

    def test_an_image_of_node_says_so_in_its_environment(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path)
        digest = bench.build('FROM node:18-alpine\nWORKDIR /app\nCMD ["node", "-v"]\n')
        config = bench.store.config(digest)["config"]
        assert any(each.startswith("NODE_VERSION=") for each in config["Env"])

    def test_a_script_of_npm_changes_the_image(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path)
        bench.context.joinpath("package.json").write_text(
            '{"name": "a", "version": "1.0.0", "scripts": {"build": "mkdir dist && echo made > dist/app.js"}}'
        )
        digest = bench.build(
            "FROM node:18-alpine AS build\nWORKDIR /app\nCOPY package.json ./\nRUN npm run build\n"
            "FROM node:18-alpine\nCOPY --from=build /app/dist ./dist\n"
        )
        assert "dist/app.js" in bench.names(digest)

    def test_what_npm_says_of_a_failure_is_told(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path)
        bench.context.joinpath("package.json").write_text('{"name": "a", "version": "1.0.0"}')
        with pytest.raises(DockerError, match=r"npm run build did not complete successfully: exit code 1"):
            bench.build("FROM node:18-alpine\nCOPY package.json ./\nRUN npm run build\n")

    @pytest.mark.parametrize("command", ["install", "publish", "exec x"])
    def test_other_commands_of_npm_are_refused(self, command: str, tmp_path: Path) -> None:
        with pytest.raises(DockerError, match="only `npm ci` and `npm run NAME`"):
            Bench(tmp_path).build(f"FROM node:18-alpine\nRUN npm {command}\n")
