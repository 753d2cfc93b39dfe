"""How an environment gets into the app: its own template first, then the control plane that carries it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import aws_cdk as cdk

from config.model import Configuration, environments, load
from stacks.control.stack import ControlStack
from stacks.environment.stack import EnvironmentStack
from stacks.naming import Names


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
    template = environment_template(names, configuration, directory)
    return ControlStack(app, names, configuration, template)


def environment_template(
    names: Names,
    configuration: Configuration,
    directory: Path,
    *,
    checks: Callable[[cdk.App], None] | None = None,
) -> Path:
    """Synthesise the environment's template by an app of its own, and return the file.

    `checks` may add validations to that app; what they find makes the synthesis fail.
    """
    inner = new_app(outdir=str(directory))
    if checks:
        checks(inner)
    EnvironmentStack(inner, names, configuration)
    assembly = inner.synth()
    return Path(assembly.directory) / f"{names.environment_stack}.template.json"
