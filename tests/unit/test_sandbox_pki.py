"""The sandbox's certificate authority."""

from __future__ import annotations

import ipaddress
import stat
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.pki import Authority, PkiError


def names(path: Path) -> x509.SubjectAlternativeName:
    leaf = x509.load_pem_x509_certificate(path.read_bytes())
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_an_authority_is_founded_once_and_opened_ever_after(tmp_path: Path) -> None:
    first = Authority(tmp_path).certificate_path.read_bytes()
    assert Authority(tmp_path).certificate_path.read_bytes() == first


def test_the_bundle_holds_the_public_roots_and_the_sandboxs_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    bundle = authority.bundle_path.read_bytes()
    assert bundle.endswith(authority.certificate_path.read_bytes())
    assert Path(certifi.where()).read_bytes().strip() in bundle
    assert bundle.count(b"BEGIN CERTIFICATE") == bundle.count(b"-----BEGIN CERTIFICATE-----\n")


def test_a_bundle_that_is_named_as_the_machines_own_store_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of a sandbox has it in SSL_CERT_FILE, the emulator that opens the authority too."""
    company = tmp_path / "company.pem"
    company.write_bytes(Authority(tmp_path / "company").certificate_path.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(company))
    bundle = Authority(tmp_path).bundle_path
    before = bundle.read_bytes()
    assert company.read_bytes().strip() in before
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    Authority(tmp_path)
    assert bundle.read_bytes() == before


def test_a_certificate_names_its_hosts_and_is_signed_by_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("web", ["*.example.com", "127.1.1.10"])
    assert names(issued.certificate).get_values_for_type(x509.DNSName) == ["*.example.com"]
    assert names(issued.certificate).get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.1.1.10")
    ]
    leaf, ca = x509.load_pem_x509_certificates(issued.certificate.read_bytes())
    leaf.verify_directly_issued_by(ca)
    key = load_pem_private_key(issued.key.read_bytes(), None)
    assert key.public_key() == leaf.public_key()


def test_a_key_is_of_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue("web", ["a.example.com"], algorithm="RSA_2048")
    key = load_pem_private_key(issued.key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("web", ["a.example.com"])
    for path in (authority.key_path, issued.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../ca", "a/b", "", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        Authority(tmp_path).issue(name, ["a.example.com"])


def test_a_key_that_is_not_the_certificates_is_found_out(tmp_path: Path) -> None:
    Authority(tmp_path / "one")
    Authority(tmp_path / "two")
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "two" / "ca.key").read_bytes())
    with pytest.raises(PkiError, match=r"do not belong together.*cutover sandbox reset"):
        Authority(tmp_path / "one")


@pytest.mark.parametrize("lost", ["ca.pem", "ca.key"])
def test_half_an_authority_is_an_error_and_not_a_new_one(tmp_path: Path, lost: str) -> None:
    Authority(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(PkiError, match="cutover sandbox reset"):
        Authority(tmp_path)
