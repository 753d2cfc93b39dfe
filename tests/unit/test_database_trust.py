"""Whom a client of DocumentDB trusts: the system's roots and Amazon's own, and both packages hold the same."""

import datetime
import ssl
from pathlib import Path

from cryptography import x509

import backend.trust
from cutover.adapters import trust


def certificates(path: str | Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(Path(path).read_bytes())


def test_amazons_roots_are_of_the_region_and_none_has_expired():
    roots = certificates(trust.AMAZON)
    names = {str(root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) for root in roots}
    assert names == {
        f"Amazon RDS ap-northeast-2 Root CA {kind} G1" for kind in ("RSA2048", "RSA4096", "ECC384")
    }
    now = datetime.datetime.now(datetime.UTC)
    assert all(root.not_valid_after_utc > now and root.issuer == root.subject for root in roots)


def test_the_trust_store_holds_the_systems_roots_and_amazons():
    wanted = set(certificates(trust.AMAZON))
    system = ssl.create_default_context().get_ca_certs(binary_form=True)
    wanted.update(x509.load_der_x509_certificate(certificate) for certificate in system)
    assert set(certificates(trust.database_trust())) == wanted


def test_the_file_is_made_once_in_a_process():
    assert trust.database_trust() == trust.database_trust()


def test_the_backend_and_the_control_plane_trust_the_same_roots():
    assert backend.trust.AMAZON.read_bytes() == trust.AMAZON.read_bytes()
