"""Password hashes with the standard library's scrypt, in the PHC string format.

A database step that has nothing but Python can thus write the hash of a service account's secret.
The costs are OWASP's (16 MiB, about 0.1 s):
https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
"""

import base64
import hashlib
import hmac
import os
import re

_LOG_N, _R, _P = 14, 8, 5
_HASH_BYTES = 32
# Checked when an account does not exist, so that the time of the answer does not tell. Nothing hashes to it.
NOBODY = f"$scrypt$ln={_LOG_N},r={_R},p={_P}${'A' * 22}${'A' * 43}"
_FORMAT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")


def hash_password(password: str, salt: bytes | None = None) -> str:
    """`$scrypt$ln=14,r=8,p=5$SALT$HASH`, salt and hash in base64 without padding."""
    salt = salt or os.urandom(16)
    derived = _derive(password, salt, _LOG_N, _R, _P)
    return f"$scrypt$ln={_LOG_N},r={_R},p={_P}${_encode(salt)}${_encode(derived)}"


def verify_password(password: str, stored: object) -> bool:
    """False also for anything that is no hash, such as a seeded account whose secret was never set."""
    found = _FORMAT.fullmatch(stored) if isinstance(stored, str) else None
    if found is None:
        return False
    log_n, r, p = (int(found[number]) for number in (1, 2, 3))
    return hmac.compare_digest(_decode(found[5]), _derive(password, _decode(found[4]), log_n, r, p))


def _derive(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    n = 2**log_n
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=_HASH_BYTES)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
