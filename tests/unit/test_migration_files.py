"""Migration files that are well formed, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.migration_files import load_release
from cutover.domain.errors import MisconfiguredError
from cutover.domain.hazards import look, writes
from cutover.domain.schema import Phase
from tests.contract.migration_kit import script, write

GOOD = script("expand", "pass", summary="Do nothing at all.")


def test_a_release_is_read_whole(tmp_path: Path) -> None:
    files = {
        "indexes.json": {"users": [{"name": "email", "keys": [["email", 1]]}]},
        "queries.json": [{"name": "q", "collection": "users", "filter": {"email": 1}, "sort": [["at", -1]]}],
        "0001_first.py": GOOD,
        "0002_second.py": script("contract", "pass", down="pass"),
        "_notes.py": "not a migration",
    }
    release = load_release(write(tmp_path, files))
    assert [(m.number, m.name, m.kind, m.reversible) for m in release.migrations] == [
        (1, "0001_first", "expand", False),
        (2, "0002_second", "contract", True),
    ]
    assert release.migrations[0].summary == "Do nothing at all."
    assert release.queries[0].fields == ("email", "at")
    for path in tmp_path.iterdir():
        path.unlink()
    assert callable(release.scripts[0].load()[0])


def test_a_directory_without_declarations_wants_nothing(tmp_path: Path) -> None:
    release = load_release(tmp_path)
    assert (release.scripts, release.schema.collections, release.queries) == ((), (), ())


def test_the_checksum_is_of_the_text_and_not_of_its_line_ends(tmp_path: Path) -> None:
    unix = load_release(write(tmp_path / "a", {"0001_a.py": GOOD})).migrations[0].checksum
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0001_a.py").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load_release(tmp_path / "b").migrations[0].checksum == unix
    edited = write(tmp_path / "c", {"0001_a.py": GOOD + "# more\n"})
    assert load_release(edited).migrations[0].checksum != unix


def test_any_edit_changes_the_releases_digest(tmp_path: Path) -> None:
    one = load_release(write(tmp_path / "a", {"0001_a.py": GOOD, "indexes.json": {}})).digest
    two = load_release(write(tmp_path / "b", {"0001_a.py": GOOD, "indexes.json": {"c": []}})).digest
    assert one != two


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"0001_a.py": "kind = 'expand'\ndef up(database, progress:\n"}, ("0001_a.py:2: not Python",)),
        ({"0001_a.py": "kind = 'expand'\n"}, ("0001_a.py:1: there is no up(database, progress)",)),
        (
            {"0001_a.py": "def up(database, progress): pass\n"},
            ("0001_a.py:1: there is no kind", '"contract"'),
        ),
        ({"0001_a.py": GOOD.replace('"expand"', '"expnd"')}, ("0001_a.py:3: kind is 'expnd'", '"expand"')),
        ({"0001_a.py": GOOD.replace('"expand"', "str()")}, ("0001_a.py:3: kind is not a constant",)),
        ({"0001_a.py": GOOD.replace("(database, progress)", "(db)")}, ("0001_a.py:6: up(db) must take",)),
        ({"0001_a.py": GOOD + "\ndef down(): pass\n"}, ("down() must take (database, progress)",)),
        ({"1_a.py": GOOD}, ("1_a.py: a migration is called NUMBER_WHAT_IT_DOES.py", "rename it")),
        ({"0001_A.py": GOOD}, ("0001_A.py", "rename it")),
        ({"0001_a.py": GOOD, "0001_b.py": GOOD}, ("0001_a.py and 0001_b.py have the same number", "0002")),
        ({"0001_a.py": GOOD, "0003_c.py": GOOD}, ("0003_c.py has number 0003, but there is no 0002",)),
        ({"0002_a.py": GOOD}, ("there is no 0001",)),
        ({"indexes.json": "{\n,"}, ("indexes.json:2: not JSON",)),
        ({"queries.json": {"a": 1}}, ("queries: {'a': 1} does not fit",)),
        ({"queries.json": [{"name": "a", "collection": "c"}] * 2}, ("'a' is there twice",)),
    ],
)
def test_a_malformed_file_is_named_with_its_line_and_the_way_out(
    tmp_path: Path, files: dict[str, Any], says: tuple[str, ...]
) -> None:
    with pytest.raises(MisconfiguredError) as refused:
        load_release(write(tmp_path, files))
    for words in says:
        assert words in str(refused.value)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "0001_a.py").write_bytes(b"kind = '\xff'")
    with pytest.raises(MisconfiguredError, match=r"0001_a\.py: not UTF-8 at byte 8"):
        load_release(tmp_path)


def test_a_file_that_breaks_when_it_is_imported_is_named_with_its_line(tmp_path: Path) -> None:
    release = load_release(write(tmp_path, {"0001_a.py": GOOD + "\nimport no_such_module\n"}))
    with pytest.raises(MisconfiguredError, match=r"0001_a\.py:9: ModuleNotFoundError"):
        release.scripts[0].load()


# -- the look at the source

USED = {"users": {"email": "the query “by e-mail”"}, "teams": {"size": "the query “big”"}}


def hazards(kind: str, *lines: str, down: str = "") -> tuple[str, ...]:
    return look(script(kind, *lines, down=down), "0001_a.py", Phase(kind), USED)


@pytest.mark.parametrize(
    "line",
    [
        'progress.update("users", {"a": {"$exists": False}}, {"$set": {"a": 1}})',
        'progress.update("users", {}, {"$inc": {"a": 1}}, once=True)',
        'database["users"].update_one({"_id": 1}, {"$set": {"a": 1}}, upsert=True)',
        'progress.transform("users", {}, ["a"], lambda it: {"$set": {"b": it["a"]}})',
        'list(database["users"].find({"email": {"$in": ["a"]}}))',
        'database["users"].find_one({"size": 1})',
        '"text".upper(); {}.update({"a": 1})',
    ],
)
def test_what_is_harmless_is_let_through(line: str) -> None:
    assert hazards("expand", line) == ()


@pytest.mark.parametrize(
    ("kind", "line", "says"),
    [
        ("expand", 'database.users.rename("people")', "renaming users"),
        ("contract", 'database.users.rename("people")', "renaming users"),
        ("expand", 'database["users"].drop()', "dropping users"),
        ("contract", 'database["users"].drop()', "the query “by e-mail” uses"),
        ("expand", 'database.command("drop", "users")', "dropping"),
        ("expand", 'database.command({"collMod": "users"})', "collMod in a migration"),
        ("expand", 'database["users"].drop_index("x")', "drop_index in a migration"),
        ("expand", 'progress.delete("users", {})', "delete in an expand migration"),
        ("contract", 'database["users"].delete_many({})', "use progress.delete"),
        ("expand", 'database["users"].insert_one({"a": 1})', "insert_one would insert again"),
        ("expand", 'progress.update("users", {}, {"$push": {"a": 1}}, once=False)', "$push gives another"),
        ("expand", 'progress.transform("users", {}, [], lambda it: {"$inc": {"a": 1}})', "$inc gives another"),
        ("contract", 'progress.update("users", {}, {"$rename": {"email": "e"}})', "“by e-mail” of this release"),
        ("expand", 'x = [("users", {"$set": 1})]; progress.update("users", {}, {"$set": {"email": {"$toInt": "$email"}}})',
         "the type of email"),
    ],
)  # fmt: skip
def test_what_would_hurt_is_told(kind: str, line: str, says: str) -> None:
    (found,) = hazards(kind, line)
    assert says in found
    assert found.startswith("0001_a.py:7: ")


def test_a_field_of_another_collection_is_not_this_ones() -> None:
    assert hazards("contract", 'progress.update("teams", {}, {"$unset": {"email": ""}})') == ()
    assert len(hazards("contract", 'progress.update("teams", {}, {"$unset": {"size": ""}})')) == 1


def test_a_function_that_is_handed_over_is_looked_at() -> None:
    text = GOOD + '\n\ndef more(document):\n    return {"$inc": {"n": 1}}\n'
    text = text.replace("    pass", '    progress.transform("users", {}, [], more)')
    assert len(look(text, "0001_a.py", Phase.EXPAND, USED)) == 1


def test_down_may_take_away_what_up_gave_but_not_twice() -> None:
    up = 'progress.update("users", {}, {"$set": {"a": 1}})'
    assert hazards("expand", up, down='progress.update("users", {}, {"$unset": {"a": ""}})') == ()
    assert len(hazards("expand", up, down='progress.update("users", {}, {"$inc": {"a": -1}})')) == 1


def test_plain_writes_are_seen_with_their_type() -> None:
    lines = (
        'progress.update("users", {}, {"$set": {"a": 1, "b": "x", "c": None, "d": unknown, "e": 1.5, "f": True}})',
        'progress.transform("users", {}, ["g"], lambda it: {"$set": {"g": str(it["g"])}})',
    )
    found = {(each.collection, each.field): each.type for each in writes(script("expand", *lines))}
    assert found == {
        ("users", "a"): "int", ("users", "b"): "string", ("users", "e"): "double", ("users", "f"): "bool",
        ("users", "g"): "string",
    }  # fmt: skip
