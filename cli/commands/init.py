"""`cutover init`: writes the configuration of a new environment by asking."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from cli.errors import UserError
from cli.output import out
from cli.template import Place, adapted
from config.model import DIRECTORY, ConfigurationError, load

#: Of each /16: the public subnets' third numbers, then the private ones' (requirement B1).
PUBLIC, PRIVATE = (1, 2), (10, 11)
#: The letters of the zones: t3 instances and DocumentDB stand in both in Seoul.
ZONES = ("a", "c")


@click.command()
@click.argument("name", metavar="ENVIRONMENT")
@click.option("--account", prompt="AWS account (12 digits)")
@click.option("--region", prompt=True, default="ap-northeast-2", show_default=True)
@click.option("--domain", prompt="The backend's domain, e.g. api.example.com")
@click.option("--frontend-domain", prompt="The frontend's domain, e.g. example.com")
@click.option("--hosted-zone", prompt="Route 53 hosted zone of both (empty: none)", default="")
@click.option("--cidr", prompt="The network, a /16 of its own", default="10.3.0.0/16", show_default=True)
@click.option(
    "--like",
    type=click.Choice(["staging", "production"]),
    prompt="Sized like",
    default="staging",
    show_default=True,
)
@click.option("--config-dir", type=click.Path(path_type=Path), default=DIRECTORY, help="Where it is written.")
def init(name: str, config_dir: Path, **answers: str) -> None:
    """Write config/ENVIRONMENT.toml, asking for what is not given. Nothing is written that is not valid."""
    path = config_dir / f"{name}.toml"
    if path.exists():
        raise UserError(f"{path} is there already; edit it, or choose another name.")
    text = configuration(name, **answers)
    _require_valid(name, text)
    path.write_text(text, encoding="utf-8")
    out.print(f"wrote {path}")
    out.print(f"next: cutover doctor {name}   what is missing for its first deployment")


def configuration(
    name: str,
    *,
    account: str,
    region: str,
    domain: str,
    frontend_domain: str,
    hosted_zone: str,
    cidr: str,
    like: str,
) -> str:
    """The file's text. Raises UserError for a network that no subnets can be cut from."""
    public, private = _subnets(cidr)
    changes: dict[Place, object] = {
        ("", "environment"): name,
        ("", "account"): account,
        ("", "region"): region,
        ("", "availability_zones"): [f"{region}{letter}" for letter in ZONES],
        ("network", "cidr"): cidr,
        ("network", "public_subnets"): public,
        ("network", "private_subnets"): private,
        ("backend", "domain"): domain,
        ("frontend", "domain"): frontend_domain,
        ("database", "name"): f"online_evaluation_{name}",
        ("release.settings", "CORS_ORIGINS"): f"https://{frontend_domain}",
    }
    added: dict[Place, object] = {("backend", "hosted_zone_id"): hosted_zone} if hosted_zone else {}
    heading = f"# {name.capitalize()}, sized like {like}. Every field is in docs/configuration.md."
    model = (DIRECTORY / f"{like}.toml").read_text(encoding="utf-8")
    return adapted(model, changes, added, heading=heading)


def _subnets(cidr: str) -> tuple[list[str], list[str]]:
    try:
        whole = IPv4Network(cidr)
    except ValueError as error:
        raise UserError(f"--cidr {cidr!r}: no IPv4 network ({error}); write one like 10.3.0.0/16.") from None
    if whole.prefixlen != 16:
        raise UserError(f"--cidr {cidr!r}: the subnets are cut from a /16; write one like 10.3.0.0/16.")
    every = list(whole.subnets(new_prefix=24))
    return [str(every[n]) for n in PUBLIC], [str(every[n]) for n in PRIVATE]


def _require_valid(name: str, text: str) -> None:
    """Raises UserError naming the field, its value and the way out, as `cutover plan` would."""
    with TemporaryDirectory() as directory:
        (Path(directory) / f"{name}.toml").write_text(text, encoding="utf-8")
        try:
            load(name, Path(directory))
        except ConfigurationError as error:
            told = str(error).replace(f"{Path(directory).name}/{name}.toml: ", "")
            raise UserError(f"{told}. Nothing was written.") from None
