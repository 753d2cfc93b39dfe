"""Images of Docker Hub for which a program of this machine stands.

No registry outside is asked. Where this machine has the program (Debian's prometheus and
prometheus-alertmanager), its image is a layer with a script that calls it, configured as the real one is;
whatever version was asked for, it is this machine's that runs, and the pull says so.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sandbox.compute.layers import Entry, write_layer
from sandbox.compute.store import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, BlobStore, Reference, canonical


@dataclass(frozen=True)
class Program:
    """`command` is its name on this machine; `entrypoint` and `workdir` are the image's.

    https://github.com/prometheus/prometheus/blob/main/Dockerfile and its sister of Alertmanager.
    """

    command: str
    entrypoint: str
    workdir: str


PROGRAMS = {
    "prom/prometheus": Program("prometheus", "/bin/prometheus", "/prometheus"),
    "prom/alertmanager": Program("prometheus-alertmanager", "/bin/alertmanager", "/alertmanager"),
}


def stand_in(reference: Reference, store: BlobStore) -> tuple[str, str] | None:
    """The manifest's digest of an image that stands for `reference`, and the program's path; None if there is
    no such program here."""
    program = PROGRAMS.get(reference.repository) if not reference.registry else None
    found = shutil.which(program.command) if program and not reference.digest else None
    if program is None or found is None:
        return None
    return _image(program, found, store), found


def _image(program: Program, path: str, store: BlobStore) -> str:
    store.scratch.mkdir(parents=True, exist_ok=True)
    handle, script = tempfile.mkstemp(dir=store.scratch, prefix="program-")
    with os.fdopen(handle, "w") as file:
        file.write(f'#!/bin/sh\nexec "{path}" "$@"\n')
    entrypoint, workdir = program.entrypoint.strip("/"), program.workdir.strip("/")
    entries = [
        Entry(str(Path(entrypoint).parent), 0o755, directory=True),
        Entry(entrypoint, 0o755, source=Path(script)),
        Entry(workdir, 0o755, directory=True),
    ]
    layer, file_of_layer = write_layer(entries, store.scratch)
    Path(script).unlink()
    store.adopt(file_of_layer, layer.digest)
    config = canonical(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": [program.entrypoint], "WorkingDir": program.workdir},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": store.put(config)},
        "layers": [{"mediaType": LAYER_TYPE, "size": layer.size, "digest": layer.digest}],
    }
    return store.put(canonical(manifest))
