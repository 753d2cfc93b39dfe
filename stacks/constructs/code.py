"""What the functions run: one asset of our own code, one layer of the libraries it needs. No Docker."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as assets
from constructs import Construct
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
LAMBDAS = ROOT / "lambdas"
REQUIREMENTS = LAMBDAS / "requirements.txt"
RUNTIME = lambda_.Runtime.PYTHON_3_12
PYTHON_VERSION = "3.12"
# Lambda's runtimes are Amazon Linux 2023 (glibc 2.34), which takes manylinux2014 wheels.
PLATFORM = "x86_64-manylinux2014"


def code_asset(scope: Construct) -> assets.Asset:
    """The asset with the package `cutover`. Migrations are not in it: they travel with the release."""
    files = package_files()
    return assets.Asset(
        scope,
        "Code",
        path=str(LAMBDAS),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        asset_hash=content_hash(files),
        bundling=_locally(_PackageBundle(files)),
    )


def layer(scope: Construct, name: str) -> lambda_.LayerVersion:
    """The layer with lambdas/requirements.txt; its hash is that file's: an unchanged one is not rebuilt."""
    return lambda_.LayerVersion(
        scope,
        "Libraries",
        layer_version_name=name,
        description="What lambdas/requirements.txt pins",
        compatible_runtimes=[RUNTIME],
        code=lambda_.Code.from_asset(
            str(LAMBDAS),
            asset_hash_type=cdk.AssetHashType.CUSTOM,
            asset_hash=content_hash([REQUIREMENTS], salt=f"layer {PLATFORM} {PYTHON_VERSION}"),
            bundling=_locally(_LayerBundle(REQUIREMENTS)),
        ),
    )


def package_files() -> list[Path]:
    """The files of the package `cutover`, without what Python and editors leave behind."""
    return sorted(
        path
        for path in (LAMBDAS / "cutover").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )


def content_hash(files: Iterable[Path], *, salt: str = "") -> str:
    """A hash over names and contents: the same tree gives the same asset on every machine."""
    digest = hashlib.sha256(salt.encode())
    for path in files:
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install_command(requirements: Path, target: Path) -> list[str]:
    """uv comes with the other requirements: a venv that it made has no pip. Wheels for Lambda only."""
    return [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--target",
        str(target),
        "--only-binary",
        ":all:",
        "--python-version",
        PYTHON_VERSION,
        "--python-platform",
        PLATFORM,
        "--requirement",
        str(requirements),
    ]


def install_libraries(requirements: Path, target: Path) -> None:
    """Install the wheels; uv asks its cache first, so that a second build needs no network."""
    command = install_command(requirements, target)
    cached = subprocess.run([*command, "--offline"], check=False, capture_output=True)
    if cached.returncode:
        # What the installer has to say goes to stderr: stdout belongs to the CDK CLI.
        subprocess.run(command, check=True, stdout=sys.stderr)


def copy_package(files: Iterable[Path], target: Path) -> None:
    """Lay out the code asset: cutover/…"""
    for path in files:
        copy = target / path.relative_to(LAMBDAS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


@jsii.implements(cdk.ILocalBundling)
class _PackageBundle:
    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def try_bundle(self, output_dir: str, *_options: object, **_more: object) -> bool:
        copy_package(self._files, Path(output_dir))
        return True


@jsii.implements(cdk.ILocalBundling)
class _LayerBundle:
    def __init__(self, requirements: Path) -> None:
        self._requirements = requirements

    def try_bundle(self, output_dir: str, *_options: object, **_more: object) -> bool:
        install_libraries(self._requirements, Path(output_dir) / "python")
        return True


def _locally(bundle: _PackageBundle | _LayerBundle) -> cdk.BundlingOptions:
    # The image is required by the type and never used: local bundling always succeeds or raises.
    return cdk.BundlingOptions(image=cdk.DockerImage.from_registry("unused"), local=bundle)
