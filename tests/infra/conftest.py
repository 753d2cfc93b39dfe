"""Templates synthesised in this process, once for each environment; libraries are not bundled."""

import json
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from config.model import Configuration, load
from stacks.app import environment_template, new_app
from stacks.control.stack import ControlStack
from stacks.naming import Names

ENVIRONMENTS = ("staging", "production", "sandbox")


class Template:
    """A template, asked by resource type."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.body = json.loads(path.read_text())
        self.resources = self.body["Resources"]
        self.outputs = self.body["Outputs"]

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


@dataclass(frozen=True)
class Synthesised:
    """Both templates of an environment."""

    name: str
    names: Names
    configuration: Configuration
    control: Template
    environment: Template
    directory: Path


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory):
    """Synthesises an environment by name, checked by cdk-nag, which makes synthesis fail by what it finds."""

    def make(name: str) -> Synthesised:
        configuration = load(name)
        names = Names(configuration.environment, configuration.account, configuration.region)
        directory = tmp_path_factory.mktemp(name)
        inner = environment_template(names, configuration, directory / "environment", checks=checks)
        app = new_app(outdir=str(directory / "control"), context={"aws:cdk:bundling-stacks": []})
        checks(app)
        ControlStack(app, names, configuration, inner)
        app.synth()
        control = directory / "control" / f"{names.control_stack}.template.json"
        return Synthesised(name, names, configuration, Template(control), Template(inner), directory)

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
