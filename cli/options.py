"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.errors import UserError
from cli.execution import Request
from cli.session import Environment
from cli.source import upload
from config.model import environments

_F = TypeVar("_F", bound=Callable[..., Any])


def _complete_environment(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in environments() if name.startswith(incomplete)]


def environment_options(command: _F) -> _F:
    """ENVIRONMENT, and where its file is."""
    directory = click.option(
        "--config-dir", type=click.Path(path_type=Path), help="Folder of ENV.toml files."
    )
    name = click.argument("environment_name", metavar="ENVIRONMENT", shell_complete=_complete_environment)
    return name(directory(command))


def release_options(command: _F) -> _F:
    """What is to be released, and under which conditions."""
    for option in (
        click.option(
            "--user-centric", "--uc", is_flag=True, help="Keep to users' quiet hours and tell them."
        ),
        click.option(
            "--persona",
            type=click.Choice(["all", "reliability", "performance", "security"]),
            default="all",
            help="Whose verdicts to show first.",
        ),
        click.option(
            "--allow-destructive",
            multiple=True,
            metavar="LOGICAL_ID",
            help="Let this stateful resource be replaced or deleted (repeatable).",
        ),
        click.option("--force", "force_reason", metavar="REASON", help="Deploy outside the window; say why."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="A setting of this release (repeatable).",
        ),
        click.option("--image", metavar="sha256:…", help="Promote this image digest, with no rebuild."),
        click.option(
            "--source",
            type=click.Path(path_type=Path),
            help="Folder with the Dockerfile to build. Default: the configuration's [backend].source.",
        ),
        click.option(
            "--frontend-image",
            metavar="sha256:…",
            help="Promote this image of the frontend, with no rebuild.",
        ),
        click.option(
            "--frontend-source",
            type=click.Path(path_type=Path),
            help="Folder with the frontend's Dockerfile to build. Default: the one that is live.",
        ),
        click.option(
            "--version",
            metavar="NAME",
            help="What people call this release, e.g. v2. Needed unless a plan says it.",
        ),
    ):
        command = option(command)
    return command


def parse_settings(settings: tuple[str, ...]) -> dict[str, str]:
    """`("A=1", …)` as a dictionary.

    Raises:
        UserError: one has no `=` or no name.
    """
    parsed: dict[str, str] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise UserError(f"--set {setting!r}: write it as NAME=VALUE, e.g. --set LOG_LEVEL=DEBUG.")
        parsed[name] = value
    return parsed


def build_request(
    environment: Environment,
    mode: str,
    *,
    version: str | None,
    source: Path | None,
    image: str | None,
    settings: tuple[str, ...],
    force_reason: str | None,
    persona: str,
    user_centric: bool,
    allow_destructive: tuple[str, ...] = (),
    frontend_source: Path | None = None,
    frontend_image: str | None = None,
    plan: dict[str, Any] | None = None,
) -> Request:
    """The execution's input from the command's options; uploads the source if one is to be built.

    Raises:
        UserError: both a source and an image were given, or one of them is unusable, or there is no version.

    What is not given is taken from `plan`, a plan's document; what is given goes over it, and the state
    machine refuses it by name when it is not what was planned.
    """
    version = version or (plan or {}).get("version")
    if not version:
        raise UserError("--version is missing: say what people shall call this release, e.g. --version v2.")
    if image and source:
        raise UserError(
            "--image and --source exclude each other: an image is promoted as it is, never rebuilt."
        )
    parsed = parse_settings(settings) or dict((plan or {}).get("settings") or {})
    key = None
    if plan and not image and not source:
        # A plan of an image names the source that it was built from, too; the image is what is promoted.
        image = plan["image"]["digest"]
        key = None if image else plan["source"]["key"]
    elif not image:
        key = upload(environment, source or Path(environment.configuration.backend.source))
    return Request(
        environment=environment.name,
        version=version,
        mode=mode,
        source=key,
        image=image,
        settings=parsed,
        force_reason=force_reason,
        persona=persona,
        user_centric=user_centric,
        allow_destructive=allow_destructive or tuple((plan or {}).get("allow_destructive") or ()),
        plan=plan["sha256"] if plan else None,
        frontend=_frontend(environment, frontend_source, frontend_image, plan),
    )


def _frontend(
    environment: Environment, source: Path | None, image: str | None, plan: dict[str, Any] | None
) -> dict[str, str] | None:
    """What is given over what the plan has; None where the frontend that is live comes along."""
    if image and source:
        raise UserError("--frontend-image and --frontend-source exclude each other.")
    if image:
        return {"image": image}
    if source:
        return {"source": upload(environment, source)}
    planned = (plan or {}).get("frontend")
    if not planned or planned["carried"]:
        return None
    if planned["digest"]:
        return {"image": planned["digest"]}
    return {"source": planned["source"]["key"]}
