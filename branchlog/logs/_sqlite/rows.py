"""Rows of the tables ``commits``, ``streams`` and ``facets``: as they are written, and verified when they are read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec

from branchlog.commit import CHECKSUM_BYTES, Commit, Head, verified
from branchlog.errors import CorruptLog
from branchlog.logs.base import Appended, Entry, StoredEntry, canonical, entry_from

Row: TypeAlias = tuple[Any, ...]

STREAM = "key, namespace, id, version, checksum, deleted, title, created, updated, CAST(entry AS BLOB), seal"

LISTED = "id, version, checksum, title, created, updated, CAST(entry AS BLOB), seal"
"""What a list reads of a row: all that is sealed, but for what it asked for."""

COMMIT = "position, first, count, id, at, schema, CAST(data AS BLOB), checksum, coalesce(erased, x'')"

FACET_LENGTH_MAX = 200
"""A metadata value of more characters is looked up by its hash."""

INTEGER_MAX = 2**63 - 1

encode = msgspec.json.encode

decode_entry = msgspec.json.Decoder(StoredEntry).decode


class Stream(msgspec.Struct, frozen=True):
    """A row of ``streams``, but for its seal."""

    key: int
    namespace: str
    id: str
    version: int
    checksum: bytes
    deleted: int
    title: str
    created: int
    updated: int
    entry: bytes

    @property
    def head(self) -> Head:
        return Head(self.version, self.checksum)

    def seal(self) -> bytes:
        """The checksum of this row."""
        return seal_of(msgspec.structs.astuple(self)[1:])


def seal_of(columns: Row) -> bytes:
    """The checksum of a row of ``streams``, from its columns but for the key."""
    return sha256(encode(columns)).digest()[:CHECKSUM_BYTES]


def checked(row: Row) -> Stream:
    """A row of ``streams`` whose seal holds."""
    _check_seal(row[2], row[1:-1], row[-1])
    return Stream(*row[:-1])


def entry_listed(namespace: str, row: Row) -> Entry:
    """The entry of a row that a list found, if it is as it was written: in this namespace, and not deleted."""
    id, version, checksum, title, created, updated, entry, seal = row
    _check_seal(id, (namespace, id, version, checksum, 0, title, created, updated, entry), seal)
    return entry_from(id, version, decode_entry(entry))


def _check_seal(id: str, columns: Row, seal: bytes) -> None:
    """Raise ``CorruptLog`` for a row of ``streams`` that is not as it was written."""
    try:
        whole = seal_of(columns) == seal
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise CorruptLog(f"the catalog row of {id!r}", "it is not as it was written")


def entry_of(stream: Stream) -> Entry:
    return entry_from(stream.id, stream.version, decode_entry(stream.entry))


def verified_rows(stream: str, rows: Any, after: Head) -> list[Commit]:
    """Rows, in order of versions, as commits that follow ``after``."""
    try:
        return list(verified(_commits(stream, rows, after.checksum), after))
    except (TypeError, ValueError, AttributeError) as error:
        raise CorruptLog(
            f"{stream!r} after version {after.version}", f"not a commit as it was written: {error}"
        ) from error


def _commits(stream: str, rows: Any, previous: bytes) -> Iterator[Commit]:
    for position, first, count, id, at, schema, data, checksum, erased in rows:
        yield Commit(stream, first, count, id, at, schema, data, previous, checksum, position, erased)
        previous = checksum


def whole_number(value: object) -> int:
    """A whole number from a column that holds no other, unless the file is damaged."""
    if not isinstance(value, int):
        raise CorruptLog("a commit", f"its version is not a number but {value!r}")
    return value


def check_order(commits: list[Commit], after: int) -> None:
    """Raise ``CorruptLog`` if positions do not increase, or if a stream's commits among these leave one out."""
    ends: dict[str, bytes] = {}
    for commit in commits:
        if commit.position <= after or commit.previous != ends.get(commit.stream, commit.previous):
            raise CorruptLog(f"commit at position {commit.position}", "commits are missing or out of order before it")
        after, ends[commit.stream] = commit.position, commit.checksum


def check_reaches(stream: Stream, until: int | None, end: Head) -> None:
    """Raise ``CorruptLog`` if a read that should have reached the head, or a version before it, did not."""
    if until is None or until >= stream.version:
        if end != stream.head:
            raise CorruptLog(f"{stream.id!r}", f"the commits end at version {end.version}, not at {stream.version}")
    elif end.version < until:
        raise CorruptLog(f"{stream.id!r}", f"the commit at version {until} is missing")


def insert_commit(writer: sqlite3.Connection, key: int, commit: Commit, position: int | None) -> Appended:
    row = writer.execute(
        "INSERT INTO commits (position, stream, first, count, id, at, schema, data, checksum, erased)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?, ?)",
        (
            position,
            key,
            commit.first,
            commit.count,
            commit.id,
            commit.at,
            commit.schema,
            commit.data,
            commit.checksum,
            commit.erased or None,
        ),
    )
    return Appended(msgspec.structs.replace(commit, position=row.lastrowid))


def insert_stream(writer: sqlite3.Connection, stream: Stream) -> int:
    row = writer.execute(
        "INSERT INTO streams (namespace, id, version, checksum, deleted, title, created, updated, entry, seal)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)",
        (*msgspec.structs.astuple(stream)[1:], stream.seal()),
    )
    return row.lastrowid or 0


def update_stream(writer: sqlite3.Connection, stream: Stream, before: Stream) -> None:
    """Write what changed: a column named in an UPDATE dirties the pages of its indexes, changed or not."""
    row: Row = (stream.version, stream.checksum, stream.updated, stream.entry, stream.seal())
    sets = "version = ?, checksum = ?, updated = ?, entry = CAST(? AS TEXT), seal = ?"
    listed = (stream.title, stream.created, stream.deleted)
    if listed != (before.title, before.created, before.deleted):
        row, sets = row + listed, sets + ", title = ?, created = ?, deleted = ?"
    if writer.execute(f"UPDATE streams SET {sets} WHERE key = ?", (*row, stream.key)).rowcount != 1:
        raise CorruptLog(f"the catalog row of {stream.id!r}", "it is not there any more")


def facets_of(metadata: dict[str, Any]) -> set[tuple[str, str]]:
    """The metadata as the pairs by which it is found."""
    return {(key, _facet(canonical(value))) for key, value in metadata.items()}


def _facet(value: str) -> str:
    if len(value) <= FACET_LENGTH_MAX:
        return value
    return f"sha256:{sha256(value.encode()).hexdigest()}"


def change_facets(
    writer: sqlite3.Connection,
    namespace: str,
    stream: int,
    before: set[tuple[str, str]],
    after: set[tuple[str, str]],
) -> None:
    writer.executemany(
        "DELETE FROM facets WHERE namespace = ? AND key = ? AND value = ? AND stream = ?",
        [(namespace, key, value, stream) for key, value in before - after],
    )
    writer.executemany(
        "INSERT INTO facets VALUES (?, ?, ?, ?)", [(namespace, key, value, stream) for key, value in after - before]
    )
