"""ACM certificates that are real: issued by the sandbox's CA when their domains are validated.

Private keys lie under `pki/` and are never given out by the API
(https://docs.aws.amazon.com/acm/latest/APIReference/API_GetCertificate.html).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ministack.services import acm
from ministack.services.cloudformation import provisioners

from sandbox.emulator.certificate_validation import ISSUED, PENDING, TYPE, Validation
from sandbox.emulator.context import Context, replace, seam
from sandbox.pki import Authority, IssuedCertificate
from sandbox.settings import SandboxSettings

_ALGORITHMS = ("RSA_2048", "EC_prime256v1")


@functools.cache
def authority(folder: Path) -> Authority:
    """The one authority of a sandbox, opened once."""
    return Authority(folder)


def files_of(settings: SandboxSettings, arn: str) -> IssuedCertificate | None:
    """The files of a certificate by its ARN, or None when ACM has none of that ARN."""
    name = _file_name(arn)
    issued = IssuedCertificate(
        settings.pki / "issued" / f"{name}.pem", settings.pki / "issued" / f"{name}.key"
    )
    return issued if issued.certificate.exists() and issued.key.exists() else None


def install(context: Context) -> None:
    """Issue what the API and CloudFormation ask for, keep what is imported, remove what is deleted."""
    seam(acm, "_certificates")
    settings = context.settings
    request = seam(acm, "_request_certificate")
    delete = seam(acm, "_delete_certificate")
    bring_in = seam(acm, "_import_certificate")
    shape = seam(acm, "_cert_shape")
    give = seam(acm, "_get_certificate")
    error = seam(acm, "error_response_json")
    validation = Validation(context, functools.partial(_issue, settings))

    def request_certificate(data: dict[str, Any]) -> Any:
        algorithm = data.get("KeyAlgorithm", "RSA_2048")
        if algorithm not in _ALGORITHMS:
            return error("ValidationException", f"key algorithm {algorithm!r} is not offered here", 400)
        response = request(data)
        arn = _arn_in(response)
        if arn:
            acm._certificates[arn]["KeyAlgorithm"] = algorithm
            validation.begin(arn)
        return response

    def get_certificate(data: dict[str, Any]) -> Any:
        arn = data.get("CertificateArn", "")
        if arn in acm._certificates and validation.settle(arn) == PENDING:
            told = f"Certificate request is in progress. Please wait for the certificate {arn} to be issued."
            return error("RequestInProgressException", told, 400)
        return give(data)

    def delete_certificate(data: dict[str, Any]) -> Any:
        response = delete(data)
        if response[0] == 200:
            authority(settings.pki).withdraw(_file_name(data["CertificateArn"]))
        return response

    def import_certificate(data: dict[str, Any]) -> Any:
        response = bring_in(data)
        arn = _arn_in(response)
        if arn:
            record = acm._certificates[arn]
            chain = record["_pem_body"].rstrip() + "\n" + record["_pem_chain"]
            authority(settings.pki).keep(_file_name(arn), chain.encode(), record["_private_key"].encode())
        return response

    def certificate_shape(record: dict[str, Any]) -> dict[str, Any]:
        status = validation.settle(record["CertificateArn"])
        described: dict[str, Any] = shape(record)
        if status != ISSUED:  # these it has from the day on which it is issued
            for key in ("IssuedAt", "NotBefore", "NotAfter"):
                described.pop(key, None)
        algorithm = record.get("KeyAlgorithm", "RSA_2048")
        signature = "SHA256WITHECDSA"  # the CA's key is an elliptic-curve key
        return described | {"KeyAlgorithm": algorithm, "SignatureAlgorithm": signature}

    replace(acm, "_request_certificate", request_certificate)
    replace(acm, "_delete_certificate", delete_certificate)
    replace(acm, "_import_certificate", import_certificate)
    replace(acm, "_cert_shape", certificate_shape)
    replace(acm, "_get_certificate", get_certificate)
    _install_resource(settings, validation)
    # The creation waits for the validation: never on the event loop.
    context.added_types.add(TYPE)


def _install_resource(settings: SandboxSettings, validation: Validation) -> None:
    create = seam(provisioners, "_acm_certificate_create")
    delete = seam(provisioners, "_acm_certificate_delete")

    def create_resource(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        algorithm = properties.get("KeyAlgorithm") or "RSA_2048"
        if algorithm not in _ALGORITHMS:
            raise ValueError(
                f"KeyAlgorithm {algorithm!r} is not offered here; use {' or '.join(_ALGORITHMS)}"
            )
        arn, attributes = create(logical_id, properties, stack_name)
        try:
            validation.begin(arn)
            validation.wait(arn, logical_id, properties, stack_name)
        except Exception:
            delete(arn, properties)
            raise
        return arn, attributes

    def delete_resource(physical_id: str, properties: dict[str, Any]) -> None:
        delete(physical_id, properties)
        authority(settings.pki).withdraw(_file_name(physical_id))

    # The update handler calls the create handler by its name when the certificate has to be replaced.
    replace(provisioners, "_acm_certificate_create", create_resource)
    replace(provisioners, "_acm_certificate_delete", delete_resource)
    handlers: dict[str, Callable[..., Any]] = seam(provisioners, "_RESOURCE_HANDLERS")[TYPE]
    handlers["create"], handlers["delete"] = create_resource, delete_resource


def _issue(settings: SandboxSettings, arn: str) -> None:
    """Replaces the placeholder in ACM's record by a certificate of the sandbox's CA."""
    record = acm._certificates[arn]
    hosts = list(dict.fromkeys([record["DomainName"], *record["SubjectAlternativeNames"]]))
    own = authority(settings.pki)
    issued = own.issue(_file_name(arn), hosts, algorithm=record.get("KeyAlgorithm") or "RSA_2048")
    chain = own.certificate_path.read_text(encoding="ascii")
    record["_pem_chain"] = chain
    record["_pem_body"] = issued.certificate.read_text(encoding="ascii").removesuffix(chain)
    record["NotBefore"], record["NotAfter"] = own.validity(issued)


def _file_name(arn: str) -> str:
    return "acm-" + arn.rsplit("/", 1)[-1]


def _arn_in(response: Any) -> str | None:
    status, _headers, body = response
    if status != 200:
        return None
    arn = json.loads(body).get("CertificateArn")
    return str(arn) if arn else None
