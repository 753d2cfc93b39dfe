"""The trust store for DocumentDB: what the system trusts, and Amazon's own authority, which no system knows.

https://docs.aws.amazon.com/documentdb/latest/developerguide/ca_cert_rotation.html
"""

from __future__ import annotations

import ssl
import tempfile
from functools import cache
from pathlib import Path

AMAZON = Path(__file__).resolve().parents[1] / "amazon-rds-ap-northeast-2.pem"


@cache
def database_trust() -> str:
    """The path of one PEM file with both, made once in a process; a driver takes no more than one file."""
    system = ssl.create_default_context().get_ca_certs(binary_form=True)
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.writelines(ssl.DER_cert_to_PEM_cert(certificate) for certificate in system)
        file.write(AMAZON.read_text(encoding="ascii"))
    return file.name
