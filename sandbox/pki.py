"""The sandbox's certificate authority: one CA per sandbox, the trust store that holds it, and what it issues.

It stands for the public roots that a machine on AWS trusts. Private keys are readable by their owner only.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import os
import re
import ssl
from collections.abc import Sequence
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_CA_NAME = "Cutover sandbox CA"
_CA_DAYS = 3650
# What ACM gives a public certificate in days, and no more than browsers accept.
# https://docs.aws.amazon.com/acm/latest/userguide/acm-certificate-characteristics.html
LEAF_DAYS = 198
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# A clock that is a little behind must not find a certificate "not yet valid".
_BACKDATE = datetime.timedelta(minutes=5)


class PkiError(Exception):
    """The authority's files can't be used; the message names the file and the way out."""


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """Where a certificate (PEM, the leaf before the CA) and its private key (PEM, PKCS 8) lie."""

    certificate: Path
    key: Path


class Authority:
    """The CA kept in `folder`: `ca.pem`, `ca.key`, `bundle.pem`, and `issued/NAME.pem|.key`."""

    def __init__(self, folder: Path) -> None:
        """Opens the authority, or founds it where there is none. Raises PkiError when its files are bad."""
        self.folder = folder
        self.certificate_path = folder / "ca.pem"
        self.key_path = folder / "ca.key"
        self.bundle_path = folder / "bundle.pem"
        self.issued = folder / "issued"
        self.issued.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if self.certificate_path.exists() or self.key_path.exists():
            self._key, self._certificate = self._read()
        else:
            self._key, self._certificate = self._found()
        roots = _machine_roots()
        # Inside the sandbox the machine's own store is this very bundle: it is whole already.
        if not (self.bundle_path.exists() and any(file.samefile(self.bundle_path) for file in roots)):
            bundle = b"".join(file.read_bytes().rstrip(b"\n") + b"\n" for file in roots)
            _write(self.bundle_path, bundle + _pem(self._certificate), mode=0o644)

    def issue(
        self, name: str, hosts: Sequence[str], *, algorithm: str = "EC_prime256v1"
    ) -> IssuedCertificate:
        """A server certificate for `hosts` (DNS names with wildcards, or IP addresses), kept under `name`.

        `algorithm` is `RSA_2048` or `EC_prime256v1`, as ACM names them. Issuing again under a name replaces.
        Raises ValueError for no host, an unknown algorithm or a name that is no file name.
        """
        if not hosts or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError(f"a certificate needs a plain name and a host; got {name!r} for {list(hosts)!r}")
        key = _generate(algorithm)
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            # A common name is at most 64 characters; clients go by the alternative names alone.
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=LEAF_DAYS))
            .add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        issued = IssuedCertificate(self.issued / f"{name}.pem", self.issued / f"{name}.key")
        _write(issued.key, _key_pem(key), mode=0o600)
        _write(issued.certificate, _pem(certificate) + _pem(self._certificate), mode=0o644)
        return issued

    def keep(self, name: str, chain: bytes, key: bytes) -> IssuedCertificate:
        """Keeps a certificate that someone else issued, as it was given: PEM, the leaf first."""
        kept = IssuedCertificate(self.issued / f"{name}.pem", self.issued / f"{name}.key")
        _write(kept.key, key, mode=0o600)
        _write(kept.certificate, chain, mode=0o644)
        return kept

    def validity(self, issued: IssuedCertificate) -> tuple[str, str]:
        """From when until when a certificate is valid, in ISO 8601 and UTC."""
        leaf = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
        return leaf.not_valid_before_utc.isoformat(), leaf.not_valid_after_utc.isoformat()

    def withdraw(self, name: str) -> None:
        """Removes what was issued under `name`; nothing there is no error."""
        for suffix in (".pem", ".key"):
            (self.issued / f"{name}{suffix}").unlink(missing_ok=True)

    def _found(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _CA_NAME)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self.key_path, _key_pem(key), mode=0o600)
        _write(self.certificate_path, _pem(certificate), mode=0o644)
        return key, certificate

    def _read(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key(self.key_path.read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate(self.certificate_path.read_bytes())
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("the key is not the elliptic-curve key that a sandbox founds")
            if certificate.public_key() != key.public_key():
                raise ValueError("the key and the certificate do not belong together")
            certificate.verify_directly_issued_by(certificate)
        except (OSError, ValueError, TypeError, InvalidSignature) as error:
            raise PkiError(
                f"the sandbox's CA in {self.folder} can't be used ({error}); "
                "run `cutover sandbox reset` to start over"
            ) from error
        return key, certificate


def _generate(algorithm: str) -> _PrivateKey:
    if algorithm == "RSA_2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EC_prime256v1":
        return ec.generate_private_key(ec.SECP256R1())
    raise ValueError(f"key algorithm {algorithm!r} is not known; use RSA_2048 or EC_prime256v1")


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _machine_roots() -> list[Path]:
    """The public roots, and what this machine trusts beside them: a company's proxy has a CA of its own."""
    named = [os.environ.get(name) for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")]
    stores = [certifi.where(), ssl.get_default_verify_paths().cafile, *named]
    files = dict.fromkeys(Path(store) for store in stores if store)
    return [file for file in files if file.is_file()]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replaces by rename, so that no reader ever sees half a file; the mode holds from the first byte."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(temporary, path)
