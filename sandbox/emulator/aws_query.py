"""CloudWatch's three wire protocols, seen as one: dictionaries in, dictionaries out.

SDKs of today speak CBOR, some JSON, and Step Functions and older ones the Query protocol
(https://smithy.io/2.0/aws/protocols/aws-query-protocol.html): form fields such as `Dimensions.member.1.Name`
in, XML out. ministack's handlers get the fields of the first two as `data`, of the last as `params`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
import cbor2
from ministack.services import cloudwatch

from sandbox.emulator.context import seam

Response = tuple[int, dict[str, str], bytes]
_INTEGERS = {"integer", "long"}
_NUMBERS = {"float", "double"}


class Epoch(float):
    """A timestamp of a response, in epoch seconds; each protocol writes it its own way."""


@functools.cache
def _operation(name: str) -> Any:
    return botocore.session.Session().get_service_model("cloudwatch").operation_model(name)


def request(
    operation: str, params: Mapping[str, Any], data: Any, is_cbor: bool, is_json: bool
) -> dict[str, Any]:
    """The members of a request to `operation`, whatever it was sent in."""
    if is_cbor or is_json:
        return dict(data or {})
    flat = {key: value[0] if isinstance(value, list) else value for key, value in params.items()}
    return dict(_structure(_operation(operation).input_shape, flat, ""))


def _structure(shape: Any, flat: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        value = _value(member, flat, f"{prefix}{name}")
        if value is not None:
            found[name] = value
    return found


def _value(shape: Any, flat: Mapping[str, str], path: str) -> Any:
    """The value at `path`, or None when the request does not have it."""
    if shape.type_name == "structure":
        return _structure(shape, flat, f"{path}.") if _under(flat, path) else None
    if shape.type_name == "list":
        return _list(shape, flat, path)
    text = flat.get(path)
    if text is None or shape.type_name == "map":
        return None
    if shape.type_name in _INTEGERS:
        return int(text)
    if shape.type_name in _NUMBERS:
        return float(text)
    return text == "true" if shape.type_name == "boolean" else text


def _list(shape: Any, flat: Mapping[str, str], path: str) -> list[Any] | None:
    pattern = re.compile(re.escape(path) + r"\.member\.(\d+)(?:\.|$)")
    indexes = sorted({int(match[1]) for key in flat if (match := pattern.match(key))})
    if not indexes:
        return [] if path in flat else None
    return [_value(shape.member, flat, f"{path}.member.{index}") for index in indexes]


def _under(flat: Mapping[str, str], path: str) -> bool:
    return any(key.startswith(f"{path}.") for key in flat)


def response(operation: str, data: dict[str, Any], is_cbor: bool, is_json: bool) -> Response:
    """`data` as the answer of `operation`. Members that are None are left out."""
    if is_cbor:
        headers = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return 200, headers, cbor2.dumps(_plain(data, cbor=True))
    if is_json:
        return 200, {"Content-Type": "application/json"}, json.dumps(_plain(data, cbor=False)).encode()
    answer: Response = seam(cloudwatch, "_xml")(
        200, f"{operation}Response", f"<{operation}Result>{_members(data)}</{operation}Result>"
    )
    return answer


def error(code: str, message: str, is_cbor: bool, is_json: bool) -> Response:
    """A refusal (HTTP 400)."""
    answer: Response = seam(cloudwatch, "_error")(code, message, 400, use_json=is_json, use_cbor=is_cbor)
    return answer


def _plain(value: Any, *, cbor: bool) -> Any:
    if isinstance(value, Epoch):
        return cbor2.CBORTag(1, float(value)) if cbor else float(value)
    if isinstance(value, dict):
        return {key: _plain(each, cbor=cbor) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each, cbor=cbor) for each in value]
    return value


def _members(data: Mapping[str, Any]) -> str:
    return "".join(f"<{key}>{_element(key, each)}</{key}>" for key, each in data.items() if each is not None)


def _element(key: str, value: Any) -> str:
    if key == "ExtendedStatistics" and isinstance(value, dict):  # the one map of the API
        entries = (f"<entry><key>{name}</key><value>{each}</value></entry>" for name, each in value.items())
        return "".join(entries)
    if isinstance(value, Epoch):
        moment = datetime.fromtimestamp(float(value), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, list | tuple):
        return "".join(f"<member>{_element('member', each)}</member>" for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))
