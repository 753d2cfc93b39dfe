"""Layers: the same entries give the same bytes, and nothing leaves the root they are applied to."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from sandbox.compute.errors import DockerError
from sandbox.compute.layers import Entry, changes, extract_layer, overlay, own, snapshot, write_layer
from sandbox.compute.store import point_scripts


def test_the_order_of_entries_and_the_time_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    entries = [Entry("b", 0o644, file), Entry("a", 0o755, directory=True), Entry("c", 0o777, link="b")]
    first, _ = write_layer(entries, tmp_path / "out")
    file.touch()
    second, _ = write_layer(reversed(entries), tmp_path / "out")
    assert first == second


def test_changes_hold_what_is_new_changed_and_gone(tmp_path: Path) -> None:
    for name in ("kept", "changed", "gone"):
        (tmp_path / name).write_text(name)
    before = snapshot(tmp_path)
    (tmp_path / "changed").write_text("something longer")
    (tmp_path / "gone").unlink()
    (tmp_path / "new").mkdir()
    assert {each.name for each in changes(tmp_path, before)} == {"changed", ".wh.gone", "new"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../escape", "a/../../b"])
def test_a_name_that_leaves_the_root_is_refused(tmp_path: Path, name: str) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    blob = tmp_path / "blob"
    blob.write_bytes(gzip.compress(data.getvalue()))
    with pytest.raises(DockerError, match="unsafe name"):
        extract_layer(blob, tmp_path / "root")


def test_scripts_are_pointed_at_this_machines_python(tmp_path: Path) -> None:
    script = tmp_path / "usr" / "local" / "bin" / "tool"
    script.parent.mkdir(parents=True)
    script.write_text("#!/usr/local/bin/python3.11\nprint(1)\n")
    script.chmod(0o755)
    point_scripts(tmp_path, "/here/python")
    assert script.read_text() == "#!/here/python\nprint(1)\n"
    assert script.stat().st_mode & 0o111


def test_a_whiteout_removes_and_a_file_replaces_what_lower_layers_have(tmp_path: Path) -> None:
    """https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts"""
    lower, upper, root = (tmp_path / name for name in ("lower", "upper", "root"))
    for folder, names in ((lower, ("a/gone", "a/kept", "folder/x")), (upper, ("a/.wh.gone", "a/new"))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    (upper / "folder").write_text("a file now")
    overlay(lower, root)
    overlay(upper, root)
    assert {str(each.relative_to(root)) for each in root.rglob("*")} == {"a", "a/kept", "a/new", "folder"}
    assert (root / "folder").read_text() == "a file now"


def test_a_file_that_two_images_share_is_changed_in_one_only(tmp_path: Path) -> None:
    layer, one, other = (tmp_path / name for name in ("layer", "one", "other"))
    layer.mkdir()
    (layer / "f").write_text("same")
    for root in (one, other):
        overlay(layer, root)
    own(one / "f").write_text("changed")
    assert [(root / "f").read_text() for root in (one, other, layer)] == ["changed", "same", "same"]
