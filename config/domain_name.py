"""What a host name must look like for the load balancer's certificate to be issued for it.

RFC 1035 2.3.4 (lengths), RFC 1123 2.1 (letters, digits, hyphens), RFC 5891 4.2.3.1 (hyphens in the third and
fourth place are punycode's), and ACM: the first name of a certificate holds 64 characters at most.
https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
"""

import re

MOST_OF_A_LABEL = 63
MOST_OF_A_CERTIFICATE = 64
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def domain_name(value: str) -> str:
    """`value` itself; ValueError tells what is wrong with it, and the way out."""
    if not value.isascii():
        raise ValueError(f"is not in ASCII; write it in punycode{_punycode(value)}")
    if value != value.lower():
        raise ValueError(f"has capitals; write {value.lower()}")
    if "/" in value or ":" in value:
        raise ValueError("is an address, not a host's name; leave out the scheme, the port and the path")
    if value.startswith("*."):
        raise ValueError("is a wildcard, and the service has one name; write that one")
    labels = value.split(".")
    for label in labels:
        _check(label)
    if len(labels) < 2:
        raise ValueError("has no dot; write the whole name, like api.example.com")
    if labels[-1].isdigit():
        raise ValueError("ends in a number, like an address; write a name")
    if len(value) > MOST_OF_A_CERTIFICATE:
        raise ValueError(
            f"has {len(value)} characters, and ACM issues no certificate whose first name has more than "
            f"{MOST_OF_A_CERTIFICATE}; choose a shorter one"
        )
    return value


def _check(label: str) -> None:
    if not label:
        raise ValueError("has an empty label; remove the dot too many")
    if len(label) > MOST_OF_A_LABEL:
        raise ValueError(
            f"has a label of {len(label)} characters ({label[:20]}…), and DNS allows {MOST_OF_A_LABEL}; "
            "shorten it"
        )
    if not _LABEL.fullmatch(label):
        raise ValueError(
            f"has the label {label!r}; use letters, digits and hyphens, with no hyphen at either end"
        )
    if label[2:4] == "--" and not _is_punycode(label):
        raise ValueError(
            f"has the label {label!r}, and -- in that place is punycode's alone, which it is not; remove it"
        )


def _is_punycode(label: str) -> bool:
    if not label.startswith("xn--"):
        return False
    try:
        return not label.encode().decode("idna").isascii()
    except UnicodeError:
        return False


def _punycode(value: str) -> str:
    try:
        return f": {value.lower().encode('idna').decode()}"
    except UnicodeError:
        return ""
