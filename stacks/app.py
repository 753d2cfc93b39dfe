"""How an environment gets into the app: its own templates first, then the control plane that carries them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import aws_cdk as cdk

from config.model import Configuration, environments, load
from stacks.control.stack import ControlStack
from stacks.control.templates import EnvironmentTemplate
from stacks.environment.stacks import STACKS
from stacks.naming import TEMPLATES, Names


def build() -> None:
    """Synthesise the environment that the context names (`-c environment=NAME`), else all.

    Raises ConfigurationError before anything is built.
    """
    app = new_app()
    chosen = app.node.try_get_context("environment")
    # All are read before one is built: a mistake costs a second, not a synthesis.
    configurations = [load(name) for name in ([str(chosen)] if chosen else environments())]
    for configuration in configurations:
        add_environment(app, configuration)
    app.synth()


def new_app(*, outdir: str | None = None, context: Mapping[str, object] | None = None) -> cdk.App:
    """An app without what a synthesis does not need.

    CDK's own validation of the templates takes several times as long as everything else together; the tests
    hold the templates against cfn-lint and cdk-nag instead.
    """
    return cdk.App(
        outdir=outdir,
        context=context,
        analytics_reporting=False,
        tree_metadata=False,
        builtin_cloud_formation_validation=False,
    )


def add_environment(app: cdk.App, configuration: Configuration) -> ControlStack:
    """Add one environment's control plane to the app."""
    names = Names(configuration.environment, configuration.account, configuration.region)
    directory = Path(app.outdir) / "environments" / names.environment
    templates = environment_templates(names, configuration, directory)
    return ControlStack(app, names, configuration, templates)


def environment_templates(
    names: Names,
    configuration: Configuration,
    directory: Path,
    *,
    checks: Callable[[cdk.App], None] | None = None,
) -> list[EnvironmentTemplate]:
    """Synthesise the environment's templates by an app of their own; they come in the order of deployment.

    `checks` may add validations to that app; what they find makes the synthesis fail.
    """
    inner = new_app(outdir=str(directory))
    if checks:
        checks(inner)
    for stack in STACKS:
        stack(inner, names, configuration)
    assembly = Path(inner.synth().directory)
    return [EnvironmentTemplate(name, assembly / f"{names.stack(name)}.template.json") for name in TEMPLATES]
