"""Password hashes as the example backend reads them: scrypt in the PHC string format.

The costs are OWASP's: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
"""

from __future__ import annotations

import base64
import hashlib
import os

_LOG_N, _R, _P, _BYTES = 14, 8, 5, 32


def hash_password(password: str, salt: bytes | None = None) -> str:
    """`$scrypt$ln=14,r=8,p=5$SALT$HASH`, salt and hash in base64 without padding."""
    salt = salt or os.urandom(16)
    n = 2**_LOG_N
    derived = hashlib.scrypt(password.encode(), salt=salt, n=n, r=_R, p=_P, maxmem=256 * n * _R, dklen=_BYTES)
    return f"$scrypt$ln={_LOG_N},r={_R},p={_P}${_encode(salt)}${_encode(derived)}"


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")
