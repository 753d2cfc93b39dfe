"""The sandbox's scanner: which packages an image's layers leave installed, and which advisories they meet."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.version import Version

from sandbox.advisories import Advisory, advisories
from sandbox.emulator.image_scans import findings, packages

ROOT = Path(__file__).resolve().parents[2]
SITE = "usr/local/lib/python3.11/site-packages"


def layer(*packages_: str, empty: tuple[str, ...] = (), npm: Mapping[str, str] | None = None) -> bytes:
    """A gzipped tar with the metadata of NAME==VERSION each, empty files, and package.json by its path."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for each in packages_:
            name, _, version = each.partition("==")
            content = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n".encode()
            info = tarfile.TarInfo(f"{SITE}/{name.replace('-', '_')}-{version}.dist-info/METADATA")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for path, text in (npm or {}).items():
            info = tarfile.TarInfo(path)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        for path in empty:
            tar.addfile(tarfile.TarInfo(path))
    return gzip.compress(file.getvalue())


def test_packages_of_all_layers_are_found_by_their_normalised_names() -> None:
    assert packages([layer("Jinja2==2.10"), layer("python_multipart==0.0.6")]) == {
        "jinja2": "2.10",
        "python-multipart": "0.0.6",
    }


def test_what_a_later_layer_removes_is_not_installed() -> None:
    """https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts"""
    below = layer("jinja2==2.10", "idna==3.6")
    removed = layer("jinja2==3.1.6", empty=(f"{SITE}/.wh.jinja2-2.10.dist-info",))
    assert packages([below, removed]) == {"jinja2": "3.1.6", "idna": "3.6"}
    assert packages([below, layer(empty=(f"{SITE}/.wh..wh..opq",))]) == {}
    assert packages([below, layer(empty=("usr/.wh.local",))]) == {}


def test_npms_packages_are_found_where_they_are_installed_and_where_a_bundle_pins_them() -> None:
    own = '{"name": "pages", "version": "1.0.0", "dependencies": {"lodash": "4.17.20", "react": "^19.0.0"}}'
    found = packages(
        [
            layer(
                npm={
                    "app/package.json": own,
                    "app/node_modules/a/package.json": '{"name": "@b/a", "version": "2.0.0"}',
                }
            )
        ]
    )
    assert found == {"npm:pages": "1.0.0", "npm:lodash": "4.17.20", "npm:@b/a": "2.0.0"}
    assert [each["name"] for each in findings(found, advisories()[0])] == ["CVE-2021-23337"]


def test_a_package_json_that_is_none_names_no_package() -> None:
    assert packages([layer(npm={"a/package.json": "{", "b/package.json": "[]"})]) == {}


def test_a_layer_that_is_none_is_an_error_and_not_an_empty_answer() -> None:
    for broken in (b"no gzip", gzip.compress(b"no tar at all" * 100), layer("a==1")[:-40]):
        with pytest.raises(ValueError, match="can't be read"):
            packages([broken])


def test_a_version_is_affected_from_its_introduction_until_its_fix() -> None:
    advisory = Advisory("pyjwt", "CVE", "HIGH", "1.5.0", "2.4.0", "", "")
    versions = ("1.4.9", "1.5.0", "2.3.9", "2.4.0", "2.4.0rc1", "odd")
    assert [advisory.affects(each) for each in versions] == [False, True, True, False, True, True]


def test_a_finding_names_package_version_and_fix() -> None:
    (found,) = findings({"urllib3": "1.24.1", "idna": "3.20"}, advisories()[0])
    assert (found["name"], found["severity"]) == ("CVE-2019-11324", "HIGH")
    assert {each["key"]: each["value"] for each in found["attributes"]} == {
        "package_name": "urllib3",
        "package_version": "1.24.1",
        "fixed_version": "1.24.2",
    }


def test_every_advisory_is_well_formed() -> None:
    known, _ = advisories()
    assert len({each.id for each in known}) == len(known)
    for each in known:
        assert re.fullmatch(r"CVE-\d{4}-\d{4,}", each.id)
        assert each.severity in ("CRITICAL", "HIGH", "MEDIUM", "LOW")
        assert Version(each.introduced) < Version(each.fixed)
        assert each.uri.endswith(each.id)


def test_the_example_backends_pins_meet_no_advisory() -> None:
    lines = (ROOT / "examples" / "backend" / "requirements.txt").read_text().split()
    pins = dict(line.split("==") for line in lines)
    assert pins
    assert findings(pins, advisories()[0]) == []
