"""Which TLS 1.2 cipher suites are weak, by OpenSSL's names.

After RFC 9325 (BCP 195), section 4.2, and OWASP's ASVS 4.0.3, V9.1.2: no suite without encryption, without
authentication or for export, no RC4, no DES, no key exchange without forward secrecy, no MD5 or SHA-1 MAC.
https://www.rfc-editor.org/rfc/rfc9325#section-4.2
"""

from __future__ import annotations

import re

_BROKEN = re.compile(r"NULL|EXP|RC4|RC2|DES|IDEA|SEED|MD5|ADH|AECDH|anon", re.IGNORECASE)
_FORWARD_SECRET = re.compile(r"^(ECDHE|DHE)-")


def weakness(suite: str) -> str | None:
    """What is wrong with a suite of TLS 1.2; None when nothing is."""
    if _BROKEN.search(suite):
        return "broken or without encryption"
    if not _FORWARD_SECRET.search(suite):
        return "no forward secrecy"
    if suite.endswith("-SHA"):
        return "a SHA-1 MAC"
    return None
