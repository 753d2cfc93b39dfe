"""What is kept and what is sent is encrypted, by the live API's own words (requirement C5c).

Phase 1 holds the resources against their templates; here they are held against the requirement itself, so
that a template that asks for less does not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from cutover.domain.errors import CutoverError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Encryption, Flag

SUBJECT = Subject("C5c", Persona.SECURITY)
NOTHING = "there is none"


def check_encryption(name: str, buckets: Sequence[str], *, encryption: Encryption) -> dict[str, Any]:
    """{gates}. `name` is the cluster's, the cache's and the tag's of the instances. What can't be read is
    Inconclusive, and so is a kind of which there is nothing."""
    gates = _group("The database", partial(encryption.database, name))
    gates += _group("The cache", partial(encryption.cache, name))
    for bucket in buckets:
        gates += _group(f"The bucket {bucket}", partial(encryption.bucket, bucket))
    gates += _group("The instances", encryption.disks)
    return {"gates": [gate.as_json() for gate in gates]}


def _group(what: str, look: Callable[[], Sequence[Flag]]) -> list[Gate]:
    wanted = "encrypted"
    try:
        flags = look()
    except CutoverError as error:
        return [
            SUBJECT.inconclusive(f"{what}: encryption", found=f"it can't be read: {error}", wanted=wanted)
        ]
    if not flags:
        return [SUBJECT.inconclusive(f"{what}: encryption", found=NOTHING, wanted=wanted)]
    return [
        SUBJECT.judge(
            f"{what}: {flag.name}",
            flag.on,
            found=flag.found or NOTHING,
            wanted=flag.wanted,
            samples=flag.samples,
        )
        for flag in flags
    ]
