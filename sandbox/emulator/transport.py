"""Requests on the loopback count as sent over TLS.

The bucket policies of `cdk bootstrap` refuse requests whose `aws:SecureTransport` is false
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-securetransport).
The gateway speaks plain HTTP on 127.0.0.1, where nothing can listen in.
"""

from __future__ import annotations

from ministack import app

from sandbox.emulator.context import Context, replace, seam


def install(_context: Context) -> None:
    pin = seam(app, "pin_request_origin")

    def pin_as_secure(source_ip: str, _secure_transport: bool) -> None:
        pin(source_ip, True)

    replace(app, "pin_request_origin", pin_as_secure)
