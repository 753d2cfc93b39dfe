"""The source's zip: same files, same bytes."""

import os

import pytest

from cli.errors import UserError
from cli.source import package


def make(folder, content="print('hello')"):
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM python:3.11-slim\n")
    (folder / "app.py").write_text(content)
    return folder


def test_the_same_files_make_the_same_zip_whatever_their_times(tmp_path):
    one, other = make(tmp_path / "one"), make(tmp_path / "other")
    os.utime(other / "app.py", (1, 1))
    assert package(one) == package(other)


def test_another_content_makes_another_zip(tmp_path):
    assert package(make(tmp_path / "one")) != package(make(tmp_path / "other", "print('bye')"))


def test_caches_are_left_out(tmp_path):
    one, other = make(tmp_path / "one"), make(tmp_path / "other")
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "app.pyc").write_bytes(b"x")
    assert package(one) == package(other)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        package(tmp_path / "nowhere")


def test_a_folder_without_a_dockerfile_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no Dockerfile"):
        package(tmp_path)
