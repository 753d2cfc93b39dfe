"""Programs of this machine that stand for images of Docker Hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compute.docker_cli import is_near
from sandbox.compute.machine_images import stand_in
from sandbox.compute.store import BlobStore, Reference


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "images")


@pytest.fixture
def prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a program of that name, which tells how it was called."""
    program = tmp_path / "bin" / "prometheus"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "called with $*"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def test_the_image_is_configured_as_the_real_one_and_calls_the_program(
    store: BlobStore, prometheus: Path
) -> None:
    found = stand_in(Reference.parse("prom/prometheus:v2.53.2"), store)
    assert found is not None
    digest, path = found
    assert path == str(prometheus)
    assert store.config(digest)["config"] == {"Entrypoint": ["/bin/prometheus"], "WorkingDir": "/prometheus"}
    script = store.rootfs(digest) / "bin" / "prometheus"
    assert f'exec "{prometheus}" "$@"' in script.read_text()
    assert script.stat().st_mode & 0o111
    assert (store.rootfs(digest) / "prometheus").is_dir()


def test_the_same_program_gives_the_same_image(store: BlobStore, prometheus: Path) -> None:
    reference = Reference.parse("prom/prometheus:v2.53.2")
    assert stand_in(reference, store) == stand_in(reference, store)


@pytest.mark.parametrize(
    "text",
    [
        "grafana/grafana:11.2.2",
        "prom/alertmanager:v0.27.0",  # this machine has none
        "docker.elastic.co/prom/prometheus:v2.53.2",
        f"prom/prometheus@sha256:{'0' * 64}",  # another program can't be what a digest stands for
    ],
)
def test_nothing_stands_for_any_other_image(text: str, store: BlobStore, prometheus: Path) -> None:
    assert stand_in(Reference.parse(text), store) is None


def test_no_registry_outside_this_machine_is_asked() -> None:
    near = ("123456789012.dkr.ecr.ap-northeast-2.amazonaws.com", "localhost:5000", "127.0.0.1:5000")
    assert all(is_near(registry) for registry in near)
    assert not any(is_near(registry) for registry in ("", "docker.elastic.co", "ghcr.io", "127.example.com"))
