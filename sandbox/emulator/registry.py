"""ECR as a registry: who may push and pull, tags that are immutable, images by digest right after the push.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html : the authorization token stands for
the principal that asked for it, for 12 hours; every request of the registry API is judged by IAM as that
principal. ministack answers the registry API to anyone.
"""

from __future__ import annotations

import base64
import binascii
import contextvars
import json
import secrets
import time
from typing import Any

from ministack.core import iam_evaluator, router
from ministack.services import ecr

from sandbox.emulator.context import Context, replace, seam

TOKEN_SECONDS = 12 * 3600
# What docker needs: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
ACTIONS: dict[tuple[str, str], str] = {
    ("blob", "HEAD"): "ecr:BatchCheckLayerAvailability",
    ("blob", "GET"): "ecr:GetDownloadUrlForLayer",
    ("blob_uploads", "POST"): "ecr:InitiateLayerUpload",
    ("blob_upload_session", "PATCH"): "ecr:UploadLayerPart",
    ("blob_upload_session", "PUT"): "ecr:CompleteLayerUpload",
    ("manifest", "PUT"): "ecr:PutImage",
    ("manifest", "GET"): "ecr:BatchGetImage",
    ("manifest", "HEAD"): "ecr:BatchGetImage",
    ("tags_list", "GET"): "ecr:ListImages",
}
Response = tuple[int, dict[str, str], bytes]
_caller: contextvars.ContextVar[str] = contextvars.ContextVar("ecr_caller", default="")


class Tokens:
    """The passwords handed out by GetAuthorizationToken, and the access key each stands for."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}

    def issue(self, access_key: str) -> tuple[str, float]:
        now = time.time()
        self._known = {token: entry for token, entry in self._known.items() if entry[1] > now}
        password = secrets.token_urlsafe(48)
        self._known[password] = (access_key, now + TOKEN_SECONDS)
        return password, now + TOKEN_SECONDS

    def access_key(self, authorization: str) -> str | None:
        """The access key behind a Basic authorization header, or None when it is not a valid token."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        found = self._known.get(password)
        if scheme.lower() != "basic" or user != "AWS" or found is None or found[1] <= time.time():
            return None
        return found[0]


def install(context: Context) -> None:
    tokens = Tokens()
    _install_tokens(context, tokens)
    _install_registry(context, tokens)
    _install_images()


def _install_tokens(context: Context, tokens: Tokens) -> None:
    handle = seam(ecr, "handle_request")
    access_key_of = seam(router, "extract_access_key_id")

    async def handle_as_caller(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Any:
        _caller.set(access_key_of(headers, query))
        return await handle(method, path, headers, body, query)

    def authorization_token(_data: dict[str, Any]) -> Any:
        password, expires = tokens.issue(_caller.get())
        host = f"{context.settings.account}.dkr.ecr.{context.settings.region}.amazonaws.com"
        token = base64.b64encode(f"AWS:{password}".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": int(expires), "proxyEndpoint": f"https://{host}"}
        return ecr.json_response({"authorizationData": [data]})

    replace(ecr, "handle_request", handle_as_caller)
    replace(ecr, "_get_authorization_token", authorization_token)


def denied(account: str, region: str, access_key: str, action: str, resource: str) -> str | None:
    """IAM's refusal of `action` to the owner of `access_key`, in AWS's words; None if allowed."""
    principal = iam_evaluator.resolve_principal(access_key, account)
    if isinstance(principal, iam_evaluator.AuthError):
        return str(principal.message)
    if principal.policies is None:
        return None
    judged = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=resource,
        region=region,
        service_context={},
        principal_keys=principal.keys,
    )
    result = iam_evaluator.evaluate(judged, principal.policies, *principal.limits)
    found = iam_evaluator._resource_policy("ecr", resource)
    if found is not None:
        result = iam_evaluator.combine_resource_policy(
            result, judged, *found, required=False, limits=principal.limits
        )
    if result.decision == "Allow":
        return None
    return (
        f"User: {principal.arn} is not authorized to perform: {action} on resource: {resource} "
        "because no identity-based policy allows the action"
    )


def _install_registry(context: Context, tokens: Tokens) -> None:
    handle = seam(ecr, "handle_registry_request")
    parse = seam(ecr, "_parse_v2_path")
    refuse = seam(ecr, "_registry_error")
    for name in (
        "resolve_principal",
        "evaluate",
        "EvalContext",
        "_resource_policy",
        "combine_resource_policy",
    ):
        seam(iam_evaluator, name)

    async def handle_with_token(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        context.scope()
        given = {name.lower(): value for name, value in headers.items()}
        access_key = tokens.access_key(given.get("authorization", ""))
        if access_key is None:
            status, answer_headers, answer = refuse(401, "UNAUTHORIZED", "no basic auth credentials")
            realm = f'Basic realm="{context.settings.endpoint_url}/",service="ecr.amazonaws.com"'
            return status, {**answer_headers, "WWW-Authenticate": realm}, answer
        parsed = parse(path)
        if parsed and parsed[0] not in ("ping", "catalog"):
            verb, name, _ = parsed
            action = ACTIONS.get((verb, method.upper()))
            if action is None:
                unsupported: Response = refuse(405, "UNSUPPORTED", f"ECR does not support {method} here")
                return unsupported
            arn = context.arn("ecr", f"repository/{name}")
            reason = denied(context.settings.account, context.settings.region, access_key, action, arn)
            if reason:
                forbidden: Response = refuse(403, "DENIED", reason)
                return forbidden
        answered: Response = await handle(method, path, headers, body, query)
        return answered

    replace(ecr, "handle_registry_request", handle_with_token)


def _install_images() -> None:
    put_manifest = seam(ecr, "_v2_put_manifest")
    describe = seam(ecr, "_describe_images")
    images, repositories = seam(ecr, "_images"), seam(ecr, "_repositories")

    def put(name: str, reference: str, headers: dict[str, str], body: bytes) -> Response:
        """Refuse to move an immutable tag, in ECR's words; the same image again is no error of the registry.

        https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html
        """
        immutable = (repositories.get(name) or {}).get("imageTagMutability") == "IMMUTABLE"
        holder = next((each for each in images.get(name, []) if reference in each.get("imageTags", [])), None)
        if immutable and holder is not None and holder["imageDigest"] != ecr._content_digest(body):
            message = (
                f"The image tag '{reference}' already exists in the '{name}' repository and cannot be "
                "overwritten because the tag is immutable. (ImageTagAlreadyExistsException)"
            )
            refused: Response = ecr._registry_error(400, "TAG_INVALID", message)
            return refused
        missing = _missing_blobs(name, body)
        if missing:
            unknown: Response = ecr._registry_error(
                400, "BLOB_UNKNOWN", f"blob unknown to registry: {missing}"
            )
            return unknown
        answer: Response = put_manifest(name, reference, headers, body)
        return answer

    def describe_images(data: dict[str, Any]) -> Any:
        """Sizes are the layers', and an image that is not there is an error.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
        """
        name = data.get("repositoryName", "")
        if name in repositories:
            for wanted in data.get("imageIds") or []:
                if ecr._find_image(name, wanted) is None:
                    spelled = ", ".join(f"{key}:'{value}'" for key, value in wanted.items())
                    return ecr.error_response_json(
                        "ImageNotFoundException",
                        f"The image with imageId {{{spelled}}} does not exist within the repository with "
                        f"name '{name}' in the registry with id '{ecr.get_account_id()}'",
                        400,
                    )
        status, headers, body = describe(data)
        if status != 200:
            return status, headers, body
        document = json.loads(body)
        for detail in document["imageDetails"]:
            image = ecr._find_image(name, {"imageDigest": detail["imageDigest"]})
            manifest = json.loads((image or {}).get("imageManifest") or "{}")
            layers = manifest.get("layers", [])
            if layers:
                detail["imageSizeInBytes"] = sum(layer["size"] for layer in layers)
            detail["artifactMediaType"] = manifest.get("config", {}).get(
                "mediaType", detail["artifactMediaType"]
            )
        return ecr.json_response(document)

    replace(ecr, "_v2_put_manifest", put)
    replace(ecr, "_describe_images", describe_images)


def _missing_blobs(name: str, body: bytes) -> str:
    """The digests that a manifest names and the repository does not hold."""
    try:
        manifest = json.loads(body)
        named = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    except (ValueError, KeyError, TypeError):
        return ""  # not an image manifest: ministack judges it
    held = ecr._layer_blobs.get(name, {})
    return ", ".join(digest for digest in named if digest not in held)
