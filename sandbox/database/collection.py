"""A collection: its records, its indexes, its validator; every write goes through here.

A write either happens in full, in the records and in every index, or raises and changes nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

from bson import Binary, DatetimeMS, ObjectId

from sandbox.database import index_options, matching, schema
from sandbox.database.errors import CommandError, Document, bad_value
from sandbox.database.index_builds import IndexBuild, same_pattern
from sandbox.database.indexes import Index
from sandbox.database.journal import Journal
from sandbox.database.steps import Steps, finish
from sandbox.database.values import MISSING, decode, encode, now, sort_key, type_name

ID_INDEX: Final[Document] = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
_WAIT_SECONDS: Final = 0.02


class Record(bytes):
    """A stored document as BSON: a fifth of the memory that it takes decoded, and sent as it is."""

    __slots__ = ()

    @property
    def document(self) -> Document:
        return decode(self)


class Collection:
    """All methods raise CommandError with MongoDB's codes: 11000, 121, 66, 85, 86, ..."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._journal = Journal()  # which keeps nothing
        self.uuid = Binary(os.urandom(16), 4)
        self.records: dict[int, Record] = {}
        self.size_bytes = 0
        self.indexes: dict[str, Index] = {"_id_": Index(dict(ID_INDEX))}
        self.builds: list[IndexBuild] = []
        self.validator: Document | None = None
        self.validation_level = "strict"
        self.validation_action = "error"
        self._valid: Callable[[Any], bool] = lambda _: True
        self._record_ids = itertools.count(1)

    # -- documents

    def insert(self, document: Document, *, bypass_validation: bool = False) -> Any:
        """Store the document and return its `_id`, which is made when missing and put first."""
        prepared = _with_id_first(document)
        if not bypass_validation:
            self._validate(prepared, None)
        record = Record(encode(prepared))
        record_id = next(self._record_ids)
        changes = self._checked_changes(prepared, None, record_id)
        self._journal.put(self.namespace, record_id, record)
        self.records[record_id] = record
        self.size_bytes += len(record)
        for index, _, own in changes:
            index.add(record_id, own)
        return prepared["_id"]

    def replace(self, record_id: int, document: Document, *, bypass_validation: bool = False) -> bool:
        """Store another version of the record; False if it is the very same document."""
        old = self.records[record_id]
        prepared = _with_id_first(document)
        record = Record(encode(prepared))
        if record == old:
            return False
        before = old.document
        if not bypass_validation:
            self._validate(prepared, before)
        changes = self._checked_changes(prepared, before, record_id)
        self._journal.put(self.namespace, record_id, record)
        for index, earlier, own in changes:
            index.discard(record_id, earlier)
            index.add(record_id, own)
        self.records[record_id] = record
        self.size_bytes += len(record) - len(old)
        return True

    def delete(self, record_id: int) -> None:
        self._journal.delete(self.namespace, record_id)
        old = self.records.pop(record_id)
        self.size_bytes -= len(old)
        document = old.document
        for index in [*self.indexes.values(), *self._unfinished(record_id)]:
            index.discard(record_id, index.keys_of(document))

    def _checked_changes(
        self, document: Document, before: Document | None, record_id: int
    ) -> list[tuple[Index, list[Any], list[Any]]]:
        """The indexes that the write changes, with the record's keys before and after it."""
        changes: list[tuple[Index, list[Any], list[Any]]] = []
        for index in self.indexes.values():
            own, earlier = index.keys_of(document), [] if before is None else index.keys_of(before)
            if own == earlier:
                continue
            if index.unique and any(index.is_taken(key, record_id) is not None for key in own):
                raise index.duplicate_key_error(self.namespace, document)
            changes.append((index, earlier, own))
        for index in self._unfinished(record_id):
            own, earlier = index.keys_of(document), [] if before is None else index.keys_of(before)
            changes.append((index, earlier, own))
        return changes

    def _unfinished(self, record_id: int) -> list[Index]:
        """The indexes being built that a write of this record has to keep right."""
        return [index for build in self.builds if build.covers(record_id) for index in build.indexes]

    # -- validation

    def set_validator(self, validator: Any = MISSING, level: Any = MISSING, action: Any = MISSING) -> None:
        """Change what is given; all of it is checked before any of it is taken over."""
        if level is not MISSING and level not in ("off", "moderate", "strict"):
            raise bad_value(f"Enumeration value '{level}' for field 'validationLevel' is not a valid value.")
        if action is not MISSING and action not in ("error", "warn"):
            raise bad_value(
                f"Enumeration value '{action}' for field 'validationAction' is not a valid value."
            )
        valid, validator = self._valid, self.validator if validator is MISSING else validator
        if validator is not self.validator:
            if validator is not None and not isinstance(validator, dict):
                raise CommandError(14, "The field 'validator' must be an object")
            valid = matching.parse(validator or {}).matches
        level = self.validation_level if level is MISSING else level
        action = self.validation_action if action is MISSING else action
        self._journal.describe(
            self.namespace,
            self.description()
            | {"validator": validator or None, "validation_level": level, "validation_action": action},
        )
        self._valid, self.validator = valid, validator or None
        self.validation_level, self.validation_action = level, action

    def _validate(self, document: Document, before: Document | None) -> None:
        if self.validator is None or self.validation_level == "off" or self.validation_action == "warn":
            return
        if self._valid(document):
            return
        if self.validation_level == "moderate" and before is not None and not self._valid(before):
            return
        details: Document = {"operatorName": next(iter(self.validator))}
        rules = self.validator.get("$jsonSchema")
        if isinstance(rules, dict):
            details = {
                "operatorName": "$jsonSchema",
                "schemaRulesNotSatisfied": schema.failed_keywords(rules, document),
            }
        raise CommandError(
            121,
            "Document failed validation",
            errInfo={"failingDocumentId": document["_id"], "details": details},
        )

    def options(self) -> Document:
        """As `listCollections` shows them."""
        if self.validator is None:
            return {}
        return {
            "validator": self.validator,
            "validationLevel": self.validation_level,
            "validationAction": self.validation_action,
        }

    # -- the journal

    def description(self) -> Document:
        """All of it but the documents, as the journal keeps it."""
        return {
            "uuid": self.uuid,
            "indexes": [index.specification for index in self.indexes.values()],
            "validator": self.validator,
            "validation_level": self.validation_level,
            "validation_action": self.validation_action,
        }

    def restore(self, description: Document, records: dict[int, bytes]) -> None:
        """Take over what a journal says."""
        self.uuid = description["uuid"]
        self.set_validator(
            description["validator"], description["validation_level"], description["validation_action"]
        )
        self.records = {record_id: Record(record) for record_id, record in sorted(records.items())}
        self.size_bytes = sum(map(len, self.records.values()))
        self._record_ids = itertools.count(max(self.records, default=0) + 1)
        build = IndexBuild(self, description["indexes"])
        finish(build.steps())
        self.indexes = {index.name: index for index in build.indexes}

    def keep_in(self, journal: Journal) -> None:
        """Write every change from now on there."""
        self._journal = journal

    # -- indexes

    def create_indexes(self, raw_specifications: Iterable[Any]) -> int:
        """Build all of the indexes or none; the number that were not there yet."""
        return finish(self.create_indexes_in_steps(list(raw_specifications)))

    def create_indexes_in_steps(
        self, raw_specifications: list[Any], deadline: float | None = None
    ) -> Steps[int]:
        """As create_indexes; other commands may run between the steps. `deadline`: time.monotonic()."""
        wanted = [index_options.normalise(raw) for raw in raw_specifications]
        # As in MongoDB, who asks for an index that another client is building waits for it.
        while any(build.shares(each) for build in self.builds for each in wanted):
            yield _WAIT_SECONDS
        present = [index.specification for index in self.indexes.values()]
        missing: list[Document] = []
        for specification in wanted:
            if not index_options.exists_already(specification, present + missing):
                missing.append(specification)
        if not missing:
            return 0
        build = IndexBuild(self, missing)
        self.builds.append(build)
        try:
            yield from build.steps(deadline)
        finally:
            self.builds.remove(build)
        self._set_indexes(self.indexes | {index.name: index for index in build.indexes})
        return len(missing)

    def _set_indexes(self, indexes: dict[str, Index]) -> None:
        specifications = [index.specification for index in indexes.values()]
        self._journal.describe(self.namespace, self.description() | {"indexes": specifications})
        self.indexes = indexes

    def abort_builds(self, name_or_key: Any) -> bool:
        """End the builds of this index, or all for None, with IndexBuildAborted; False if there are none."""
        chosen = [
            build
            for build in self.builds
            if name_or_key is None
            or any(index.name == name_or_key or same_pattern(index, name_or_key) for index in build.indexes)
        ]
        for build in chosen:
            build.abort("the index was dropped")
        return bool(chosen)

    def find_index(self, name_or_key: Any) -> Index:
        """By name or by key pattern; raises IndexNotFound (27)."""
        if isinstance(name_or_key, str):
            if name_or_key in self.indexes:
                return self.indexes[name_or_key]
            raise CommandError(27, f"index not found with name [{name_or_key}]")
        if not isinstance(name_or_key, dict):
            raise CommandError(14, "an index is given by its name or its key pattern")
        for index in self.indexes.values():
            if same_pattern(index, name_or_key):
                return index
        raise CommandError(27, f"can't find index with key: {name_or_key}")

    def drop_index(self, index: Index) -> None:
        if index.is_id:
            raise CommandError(72, "cannot drop _id index")
        self._set_indexes({name: each for name, each in self.indexes.items() if each is not index})

    def change_index(self, index: Index, changes: Document) -> None:
        """Set options of an index; one that is set to None goes."""
        changed = {k: v for k, v in (index.specification | changes).items() if v is not None}
        specifications = [changed if each is index else each.specification for each in self.indexes.values()]
        self._journal.describe(self.namespace, self.description() | {"indexes": specifications})
        index.specification = changed

    def expire(self) -> int:
        """Delete what the TTL indexes say is over; the number of documents deleted."""
        deleted = 0
        for index in self.indexes.values():
            seconds = index.expire_after_seconds
            if seconds is None:
                continue
            path = index.key[0][0]
            oldest_kept = sort_key(DatetimeMS(int(now()) - int(seconds * 1000)))
            dates = matching.parse({path: {"$type": "date"}})
            expired = {
                record_id
                for key, record_id in index.entries
                if key[0][0] == oldest_kept[0] and key[0] <= oldest_kept
            }
            for record_id in expired:
                if dates.matches(self.records[record_id].document):
                    self.delete(record_id)
                    deleted += 1
        return deleted


def _with_id_first(document: Document) -> Document:
    if "_id" not in document:
        return {"_id": ObjectId(), **document}
    identifier = document["_id"]
    if isinstance(identifier, list) or type_name(identifier) in ("regex", "undefined"):
        raise CommandError(53, f"The '_id' value cannot be of type {type_name(identifier)}")
    if next(iter(document)) == "_id":
        return document
    return {"_id": identifier, **{k: v for k, v in document.items() if k != "_id"}}


def check_name(database: str, name: Any) -> str:
    """A usable collection name; raises InvalidNamespace (73) or BadValue."""
    if not isinstance(name, str):
        raise bad_value(f"collection name has invalid type {type_name(name)}")
    if not name or "\0" in name or "$" in name or name.startswith("."):
        raise CommandError(73, f"Invalid namespace specified '{database}.{name}'")
    return name
