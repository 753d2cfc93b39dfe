"""ECR's image scanning: looks into the layers for packages, and compares them with an advisory list.

The shapes are those of basic scanning, on push or when asked:
https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-basic.html . What is looked for differs:
AWS's basic scanning knows the operating system's packages, and its enhanced scanning those of languages, too;
here it is the `*.dist-info/METADATA` of installed Python packages, and the `package.json` of npm's packages
and of what was bundled from them (its pinned dependencies), against sandbox/advisories.json. That list
belongs to the sandbox; an image that passes here has not been shown to be safe.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.parser import HeaderParser
from pathlib import PurePosixPath
from typing import Any

from ministack.services import ecr
from packaging.utils import canonicalize_name

from sandbox.advisories import Advisory, advisories
from sandbox.emulator.context import Context, replace, seam

log = logging.getLogger("sandbox.image_scans")
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
METADATA, NPM = "METADATA", "package.json"
PINNED = re.compile(r"\d+\.\d+\.\d+[\w.+-]*")
# A basic scan may be had once in 24 hours for each image, the one on push included.
AGAIN_SECONDS = 24 * 3600
PAGE = 100
SCAN = "cutoverImageScan"  # where an image's record keeps its scan
Data = dict[str, Any]


def packages(layers: Iterable[bytes]) -> dict[str, str]:
    """Name → version of the packages that are there once all layers (gzipped tars) are applied; npm's are
    called npm:NAME.

    Raises ValueError for a layer that is none.
    """
    found: dict[str, Mapping[str, str]] = {}
    for blob in layers:
        try:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as layer:
                members = layer.getmembers()
                _remove(found, [member.name for member in members])
                for member in members:
                    reader = _reader(PurePosixPath(member.name)) if member.isfile() else None
                    if reader is not None:
                        content = layer.extractfile(member)
                        found[member.name] = reader(
                            content.read().decode(errors="replace") if content else ""
                        )
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ValueError(f"a layer can't be read: {error}") from error
    return {name: version for each in found.values() for name, version in each.items()}


def _reader(path: PurePosixPath) -> Callable[[str], Mapping[str, str]] | None:
    """What reads the packages out of a file of this name."""
    if path.name == METADATA and path.parent.suffix == ".dist-info":
        return _python
    if path.name == NPM:
        return _npm
    return None


def _python(text: str) -> Mapping[str, str]:
    headers = HeaderParser().parsestr(text, headersonly=True)
    name = headers.get("Name", "")
    return {canonicalize_name(name): headers.get("Version", "")} if name else {}


def _npm(text: str) -> Mapping[str, str]:
    """The package itself, and what it pins: a bundle holds those, and nothing else of them is left.

    https://docs.npmjs.com/cli/v10/configuring-npm/package-json
    """
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    pinned = {
        name: version
        for name, version in (document.get("dependencies") or {}).items()
        if isinstance(version, str) and PINNED.fullmatch(version)
    }
    own = {str(document["name"]): str(document["version"])} if document.keys() >= {"name", "version"} else {}
    return {f"npm:{name}": version for name, version in {**pinned, **own}.items()}


def _remove(found: dict[str, Mapping[str, str]], names: Sequence[str]) -> None:
    """What a layer's whiteouts take away from the layers below it.

    https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
    """
    for name in names:
        path = PurePosixPath(name)
        if not path.name.startswith(WHITEOUT):
            continue
        gone = path.parent if path.name == OPAQUE else path.parent / path.name.removeprefix(WHITEOUT)
        for each in [known for known in found if PurePosixPath(known).is_relative_to(gone)]:
            del found[each]


def findings(installed: Mapping[str, str], known: Iterable[Advisory]) -> list[Data]:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanFinding.html

    `fixed_version` is an attribute that only the sandbox's registry tells.
    """
    return [
        {
            "name": each.id,
            "description": each.description,
            "uri": each.uri,
            "severity": each.severity,
            "attributes": [
                {"key": "package_name", "value": each.package},
                {"key": "package_version", "value": installed[each.package]},
                {"key": "fixed_version", "value": each.fixed},
            ],
        }
        for each in known
        if each.package in installed and each.affects(installed[each.package])
    ]


def install(context: Context) -> None:
    put = seam(ecr, "_v2_put_manifest")
    describe = seam(ecr, "_describe_images")
    handle = seam(ecr, "handle_request")
    for name in ("_repositories", "_find_image", "_layer_blobs", "_content_digest"):
        seam(ecr, name)
    actions = {"StartImageScan": _start, "DescribeImageScanFindings": _describe_findings}

    def put_and_scan(name: str, reference: str, headers: dict[str, str], body: bytes) -> Any:
        answer = put(name, reference, headers, body)
        repository = ecr._repositories.get(name) or {}
        on_push = (repository.get("imageScanningConfiguration") or {}).get("scanOnPush")
        image = ecr._find_image(name, {"imageDigest": ecr._content_digest(body)})
        if answer[0] == 201 and on_push and image is not None and SCAN not in image and _layers(image):
            _scan(context, name, image)
        return answer

    def describe_with_scans(data: Data) -> Any:
        """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html"""
        status, headers, body = describe(data)
        if status != 200:
            return status, headers, body
        document = json.loads(body)
        for detail in document["imageDetails"]:
            image = ecr._find_image(data["repositoryName"], {"imageDigest": detail["imageDigest"]}) or {}
            scan = image.get(SCAN)
            if scan is None:
                continue
            detail["imageScanStatus"] = _status(scan)
            if scan["status"] == "COMPLETE":
                detail["imageScanFindingsSummary"] = _summary(scan)
        return ecr.json_response(document)

    async def handle_scans(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Any:
        action = actions.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if action is None:
            return await handle(method, path, headers, body, query)
        return action(context, json.loads(body or b"{}"))

    replace(ecr, "_v2_put_manifest", put_and_scan)
    replace(ecr, "_describe_images", describe_with_scans)
    replace(ecr, "handle_request", handle_scans)


def _layers(image: Data) -> list[str]:
    """The digests of an image's layers; none for what is no image (a list of manifests, an artifact)."""
    try:
        return [layer["digest"] for layer in json.loads(image["imageManifest"])["layers"]]
    except (ValueError, KeyError, TypeError):
        return []


def _scan(context: Context, repository: str, image: Data) -> None:
    """In the background: the answer to a push does not wait for it."""
    image[SCAN] = {"status": "IN_PROGRESS", "description": "", "started": time.time(), "findings": []}
    blobs = ecr._layer_blobs.get(repository, {})
    layers = [blobs[digest] for digest in _layers(image) if digest in blobs]

    def look() -> None:
        context.scope()
        done = {"completed": time.time(), **_outcome(layers)}
        image[SCAN] = {**image[SCAN], **done}

    threading.Thread(target=look, name="image-scan", daemon=True).start()


def _outcome(layers: Sequence[bytes]) -> Data:
    try:
        installed = packages(layers)
    except ValueError as error:
        return {"status": "FAILED", "description": str(error)}
    except Exception as error:
        log.warning("an image could not be scanned", exc_info=True)
        return {"status": "FAILED", "description": f"the scan broke: {error}"}
    if not installed:  # nothing that this scanner knows to look into is no clean bill
        reason = (
            "UnsupportedImageError: the sandbox looks into packages of Python and npm, of which it has none"
        )
        return {"status": "FAILED", "description": reason}
    return {
        "status": "COMPLETE",
        "description": "The scan was completed successfully.",
        "findings": findings(installed, advisories()[0]),
    }


def _image(data: Data) -> tuple[Data | None, Any]:
    """The image that a request names, or the error that answers it."""
    name, account = data.get("repositoryName", ""), ecr.get_account_id()
    if name not in ecr._repositories:
        message = f"The repository with name '{name}' does not exist in the registry with id '{account}'"
        return None, ecr.error_response_json("RepositoryNotFoundException", message, 400)
    image: Data | None = ecr._find_image(name, data.get("imageId") or {})
    if image is None:
        message = (
            f"The image with imageId {_spelled(data)} does not exist within the repository with name "
            f"'{name}' in the registry with id '{account}'"
        )
        return None, ecr.error_response_json("ImageNotFoundException", message, 400)
    return image, None


def _spelled(data: Data) -> str:
    given = data.get("imageId") or {}
    return "{" + ", ".join(f"{key}:'{value}'" for key, value in given.items()) + "}"


def _start(context: Context, data: Data) -> Any:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_StartImageScan.html"""
    image, refused = _image(data)
    if image is None:
        return refused
    if not _layers(image):
        message = "The image is of a type that cannot be scanned."
        return ecr.error_response_json("UnsupportedImageTypeException", message, 400)
    earlier = image.get(SCAN)
    if earlier is not None and time.time() - earlier["started"] < AGAIN_SECONDS:
        message = "The scan quota per image has been exceeded. Wait and try again."
        return ecr.error_response_json("LimitExceededException", message, 400)
    _scan(context, data["repositoryName"], image)
    return ecr.json_response({**_about(data, image), "imageScanStatus": _status(image[SCAN])})


def _describe_findings(_context: Context, data: Data) -> Any:
    """https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html"""
    image, refused = _image(data)
    if image is None:
        return refused
    scan = image.get(SCAN)
    if scan is None:
        message = (
            f"Image scan does not exist for the image with '{_spelled(data)}' in the repository with name "
            f"'{data['repositoryName']}' in the registry with id '{ecr.get_account_id()}'"
        )
        return ecr.error_response_json("ScanNotFoundException", message, 400)
    answer = {**_about(data, image), "imageScanStatus": _status(scan)}
    if scan["status"] != "COMPLETE":
        return ecr.json_response(answer)
    start, size = int(data.get("nextToken") or 0), int(data.get("maxResults") or PAGE)
    answer["imageScanFindings"] = {**_summary(scan), "findings": scan["findings"][start : start + size]}
    if start + size < len(scan["findings"]):
        answer["nextToken"] = str(start + size)
    return ecr.json_response(answer)


def _about(data: Data, image: Data) -> Data:
    tags = image.get("imageTags") or []
    named = {"imageTag": tags[0]} if tags else {}
    return {
        "registryId": ecr.get_account_id(),
        "repositoryName": data["repositoryName"],
        "imageId": {"imageDigest": image["imageDigest"], **named},
    }


def _status(scan: Data) -> Data:
    return {key: scan[key] for key in ("status", "description") if scan[key]}


def _summary(scan: Data) -> Data:
    return {
        "imageScanCompletedAt": scan["completed"],
        "vulnerabilitySourceUpdatedAt": advisories()[1],
        "findingSeverityCounts": dict(Counter(each["severity"] for each in scan["findings"])),
    }
