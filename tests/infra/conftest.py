"""Templates synthesised in this process, once for each environment; libraries are not bundled."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from config.model import Configuration, load
from stacks.app import environment_templates, new_app
from stacks.control.stack import ControlStack
from stacks.naming import Names

ENVIRONMENTS = ("staging", "production", "sandbox")


class Template:
    """A template, asked by resource type."""

    def __init__(self, *paths: Path) -> None:
        """Several templates are asked as one; a parameter is then the earlier one's output of its name."""
        self.paths = paths
        bodies = [json.loads(path.read_text()) for path in paths]
        self.resources = merged(body["Resources"] for body in bodies)
        self.outputs = merged(body.get("Outputs", {}) for body in bodies)
        self.parameters = {name: p for body in bodies for name, p in body.get("Parameters", {}).items()}

        handed = {name: self.outputs[name]["Value"] for name in self.parameters if name in self.outputs}
        self.resources = linked(self.resources, handed)

    def of(self, kind: str) -> dict[str, dict]:
        """Properties by logical id of all resources of a type."""
        return {id: r["Properties"] for id, r in self.resources.items() if r["Type"] == kind}

    def one(self, kind: str) -> dict:
        (found,) = self.of(kind).values()
        return found

    def named(self, kind: str, key: str, name: str) -> dict:
        (found,) = (p for p in self.of(kind).values() if p.get(key) == name)
        return found

    def type_of(self, id: str) -> str:
        return self.resources[id]["Type"]


def linked(value: Any, handed: dict[str, Any]) -> Any:
    """`value` with each reference to something handed on as that itself."""
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in handed:
            return handed[value["Ref"]]
        return {key: linked(inner, handed) for key, inner in value.items()}
    return [linked(inner, handed) for inner in value] if isinstance(value, list) else value


def merged(parts: Iterable[dict]) -> dict:
    """One dictionary of all; a key that two have is a mistake of the templates."""
    whole: dict = {}
    for part in parts:
        assert not set(whole) & set(part)
        whole |= part
    return whole


@dataclass(frozen=True)
class Synthesised:
    """All templates of an environment. `environment` asks the four as one."""

    name: str
    names: Names
    configuration: Configuration
    control: Template
    templates: dict[str, Template]
    directory: Path

    @property
    def path(self) -> Path:
        """The control plane's template."""
        return self.control.paths[0]

    @cached_property
    def environment(self) -> Template:
        return Template(*(path for template in self.templates.values() for path in template.paths))


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory):
    """Synthesises an environment by name, checked by cdk-nag, which makes synthesis fail by what it finds."""

    def make(name: str) -> Synthesised:
        configuration = load(name)
        names = Names(configuration.environment, configuration.account, configuration.region)
        directory = tmp_path_factory.mktemp(name)
        inner = environment_templates(names, configuration, directory / "environment", checks=checks)
        app = new_app(outdir=str(directory / "control"), context={"aws:cdk:bundling-stacks": []})
        checks(app)
        ControlStack(app, names, configuration, inner)
        app.synth()
        control = directory / "control" / f"{names.control_stack}.template.json"
        templates = {template.name: Template(template.path) for template in inner}
        return Synthesised(name, names, configuration, Template(control), templates, directory)

    made: dict[str, Synthesised | Exception] = {}

    def once(name: str) -> Synthesised:
        # A failure is remembered too: it costs seconds, and it will not be another one the next time.
        if name not in made:
            try:
                made[name] = make(name)
            except Exception as error:
                made[name] = error
        found = made[name]
        if isinstance(found, Exception):
            raise found
        return found

    return once


def checks(app: cdk.App) -> None:
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))


@pytest.fixture(scope="session")
def staging(synthesised):
    return synthesised("staging")


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def each(request, synthesised):
    return synthesised(request.param)
