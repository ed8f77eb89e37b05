"""A log in one SQLite file: the default, and durable when an append returns.

Layout of the file (``application_id`` 0x62726C67, "brlg"; ``user_version`` 2):

``commits``, one row a commit
    ``position``  its place in the whole log; one more than the highest that there is, or than ``floor``
    ``stream``    the key of its row in ``streams``
    ``first``, ``count``  the versions of its events: ``first`` to ``first + count - 1``
    ``id``        16 bytes, unique in the stream
    ``at``        microseconds since 1970 UTC
    ``schema``    the version of the event vocabulary
    ``data``      the events, a JSON array, byte for byte as it was encoded
    ``checksum``  over all of these but position, and the checksum before (see ``branchlog.commit``)
    ``erased``    NULL, or where the payload was erased its digest and a checksum of what stands in ``data`` instead
``streams``, one row a conversation
    ``key``, ``namespace``, ``id``  a small number, never used again, and the name it stands for
    ``version``, ``checksum``  the head: number of events, and checksum of the last commit
    ``deleted``   1 if only the name is left
    ``title``, ``created``, ``updated``  copies from the entry, to put lists in order
    ``entry``     the catalog's entry as JSON
    ``seal``      checksum of this row
``snapshots``, one row a snapshot of a stream; they may be deleted at any time
    ``stream``, ``after``, ``version``, ``checksum``, ``fingerprint``, ``data``, ``seal``  (see ``branchlog.commit``)
``drafts``, one row a piece of a commit that is still to be made; the table is made with the first of them
    ``stream``, ``id``, ``number``, ``data``  (see ``branchlog.logs.base``)
``floor``, no row, or one where the commit of the highest position was deleted, so that no number is used again
    ``position``  that position
``facets``, one row for each top-level key of a conversation's metadata
    ``namespace``, ``key``, ``value``, ``stream``; the value as canonical JSON, or its hash if long

Files of layout 1 have no ``floor``, and AUTOINCREMENT at ``position`` instead, by which SQLite counts in a table of its
own: one page more in every append. They are read and written as they are, and stay what they are.

WAL with ``synchronous=FULL``: an append costs one fdatasync. With ``durability="relaxed"`` (NORMAL) it costs none, the
file can still not be damaged by a crash, and a power loss may take the last commits. Every write is one ``BEGIN
IMMEDIATE`` transaction that looks, refuses or writes; readers have connections of their own and never wait for it.

Reading verifies the checksums of commits and the seals of streams, so that damage is an error and never another
conversation. The indexes by which SQLite finds them have none: where a name in an index is damaged its conversation is
not found by name (``read_all`` still has it), and ``count`` and filters by metadata may be off.

Threads that append while another writes are written together next, in one transaction, and share its fdatasync.

Any number of processes may have the file open, on a local disk: SQLite's WAL does not work over a network file system.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import chain
from math import isqrt
from pathlib import Path
from queue import Empty, SimpleQueue
from random import random
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from branchlog.commit import CHECKSUM_BYTES, Commit, Head, Snapshot, erase, genesis, verified
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    LogClosed,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
)
from branchlog.logs.base import (
    Abilities,
    Append,
    Appended,
    Draft,
    Entry,
    Erasure,
    Examination,
    ExpectedVersion,
    Query,
    StoredEntry,
    bare_entry,
    canonical,
    check_commit,
    check_draft,
    check_name,
    drafts_of,
    entry_from,
    erasable,
    outcome,
    placed,
    repeated,
    stored_entry,
)
from branchlog.logs.together import Together

T = TypeVar("T")
Durability: TypeAlias = Literal["full", "relaxed"]
Row: TypeAlias = tuple[Any, ...]
_Asked: TypeAlias = "tuple[SqliteLog, Commit, ExpectedVersion, Entry | None]"

APPLICATION_ID = 0x62726C67
LAYOUT = 2
"""Of the files that are made. Those of layout 1 differ only in how positions are kept from being used again."""

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
"""The database header: ``user_version`` at byte 60 and ``application_id`` at 68, big-endian
(sqlite.org/fileformat2)."""

BUSY_SECONDS = 60.0
"""How long a write waits for other processes: a thousand times the longest commit, and an end to a hang."""

FACET_LENGTH_MAX = 200
"""A metadata value of more characters is looked up by its hash."""

ROWS_MAX = 256
"""Rows of ``streams`` that the writing connection keeps: one for each conversation that is being written."""

PATIENCE = 2
"""A walk through a list, for those that share a value, is given up after so many times the steps that should do."""

READERS_MAX = 8
"""Idle reading connections that are kept."""

INTEGER_MAX = 2**63 - 1
IO_ERROR = sqlite3.SQLITE_IOERR
"""After a failed write or fsync nobody knows what is on the disk until the file is opened again."""

_TABLES = f"""
CREATE TABLE streams (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    title TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry TEXT NOT NULL,
    seal BLOB NOT NULL,
    UNIQUE (namespace, id)
) STRICT;
CREATE INDEX streams_by_updated ON streams (namespace, updated, id) WHERE deleted = 0;
CREATE INDEX streams_by_created ON streams (namespace, created, id) WHERE deleted = 0;
CREATE INDEX streams_by_title ON streams (namespace, title, id) WHERE deleted = 0;
CREATE TABLE commits (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    schema TEXT NOT NULL,
    data TEXT NOT NULL,
    checksum BLOB NOT NULL,
    erased BLOB,
    UNIQUE (stream, first),
    UNIQUE (stream, id)
) STRICT;
CREATE TABLE floor (
    position INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshots (
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    after INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    data BLOB NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (stream, version)
) STRICT;
CREATE TABLE facets (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, value, stream)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
"""

_DRAFTS = """
CREATE TABLE IF NOT EXISTS drafts (
    stream INTEGER NOT NULL,
    id BLOB NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (stream, id, number)
) STRICT
"""
"""Apart from the others: files of the time before there were drafts have no such table, and need none."""

_BENEATH = "SELECT position FROM floor WHERE position > (SELECT coalesce(max(position), 0) FROM commits)"
"""The floor, where no commit is above it."""

_COMMIT = "position, first, count, id, at, schema, CAST(data AS BLOB), checksum, coalesce(erased, x'')"
_READ_ALL = """
SELECT streams.id,
    (SELECT before.checksum FROM commits AS before
     WHERE before.stream = commits.stream AND before.first < commits.first ORDER BY before.first DESC LIMIT 1),
    position, first, count, commits.id, at, schema, CAST(data AS BLOB), commits.checksum, coalesce(erased, x'')
FROM commits LEFT JOIN streams ON streams.key = commits.stream
WHERE position > ? AND (namespace = ? OR namespace IS NULL) ORDER BY position LIMIT ?
"""
_STREAM = "key, namespace, id, version, checksum, deleted, title, created, updated, CAST(entry AS BLOB), seal"

_LISTED = "id, version, checksum, title, created, updated, CAST(entry AS BLOB), seal"
"""What a list reads of a row: all that is sealed, but for what it asked for."""

_RAREST = "rarest.namespace = ? AND rarest.key = ? AND rarest.value = ?"


class _Stream(msgspec.Struct, frozen=True):
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
        return _seal(msgspec.structs.astuple(self)[1:])


def _seal(columns: Row) -> bytes:
    """The checksum of a row of ``streams``, from its columns but for the key."""
    return sha256(_encode(columns)).digest()[:CHECKSUM_BYTES]


_encode = msgspec.json.encode
_decode_entry = msgspec.json.Decoder(StoredEntry).decode


class SqliteLog:
    """A log in one SQLite file. ``namespace`` tells whose conversations are seen."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        namespace: str = "",
        durability: Durability = "full",
        create: bool = True,
        read_only: bool = False,
        _file: _File | None = None,
    ) -> None:
        """Open a store file, or make a new one (not if ``create`` is false); ``read_only`` leaves every byte as it is.

        Raises ``StoreNotFound`` where there is no file or no folder to make it in, ``NotAStore`` for a file that is
        something else (which is left as it is), ``SchemaVersionError`` for one of a later layout, ``CorruptLog`` for a
        damaged one and ``BackendError`` where the file system refuses.
        """
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._file = _file or _File(Path(path), durability, create=create and not read_only, read_only=read_only)

    @property
    def abilities(self) -> Abilities:
        return Abilities(
            durable=self._file.durability == "full",
            persistent=True,
            shared=True,
            snapshots=True,
            erases=True,
            drafts=True,
        )

    @property
    def path(self) -> Path:
        """The store file."""
        return self._file.path

    def within(self, namespace: str) -> SqliteLog:
        return SqliteLog(self._file.path, namespace=namespace, _file=self._file)

    def reopened(self) -> SqliteLog:
        return SqliteLog(self.path, namespace=self.namespace, durability=self._file.durability, read_only=True)

    def close(self) -> None:
        self._file.close()

    # Writing.

    def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        return self._file.writers.ask((self, commit, expected, entry))

    def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        with self._file.writing() as writer:
            return [_outcome(writer, (self, each.commit, each.expected, each.entry)) for each in appends]

    def _append(
        self, writer: sqlite3.Connection, commit: Commit, expected: ExpectedVersion, entry: Entry | None
    ) -> Appended:
        check_commit(commit)
        stream = self._stream_to_write(writer, commit.stream)
        if stream is None:
            commit = placed(commit, None, expected, self.namespace)
            stream = self._put_stream(writer, None, commit.head, entry or bare_entry(commit))
            return self._insert(writer, stream.key, commit)
        try:
            commit = placed(commit, stream.head, expected, self.namespace)
            appended = self._insert(writer, stream.key, commit)
        except (BranchlogError, sqlite3.IntegrityError):  # a commit that does not fit may be one that is there already
            stored = self._by_id(writer, stream, commit.id)
            if stored is None:
                raise
            return repeated(commit, stored)
        self._put_stream(writer, stream, commit.head, entry or _entry(stream))
        return appended

    def _insert(self, writer: sqlite3.Connection, key: int, commit: Commit) -> Appended:
        file = self._file
        appended = _inserted(writer, key, commit, None if file.above else file.position_beneath())
        file.above = True
        return appended

    def _put_stream(self, writer: sqlite3.Connection, before: _Stream | None, head: Head, entry: Entry) -> _Stream:
        """Write the row of a stream. ``before`` is what it was, None for a new stream."""
        encoded = _encode(stored_entry(entry))
        stream = _Stream(
            before.key if before else 0,
            self.namespace,
            entry.id,
            head.version,
            head.checksum,
            0,
            entry.title or "",
            entry.created,
            entry.updated,
            encoded,
        )
        if before is None:
            stream = msgspec.structs.replace(stream, key=_insert_stream(writer, stream))
            metadata_before = {}
        else:
            _update_stream(writer, stream, before)
            metadata_before = _decode_entry(before.entry).metadata
        if _encode(metadata_before) != _encode(entry.metadata):  # as JSON: to Python, 1 and True are the same
            _change_facets(writer, self.namespace, stream.key, _facets(metadata_before), _facets(entry.metadata))
        self._file.keep_row(stream)
        return stream

    def _by_id(self, connection: sqlite3.Connection, stream: _Stream, id: bytes) -> Commit | None:
        found = connection.execute("SELECT first FROM commits WHERE stream = ? AND id = ?", (stream.key, id)).fetchone()
        if found is None:
            return None
        for stored in self._forward(connection, stream, _number(found[0]) - 1, None, 1):
            return stored
        raise CorruptLog(f"{stream.id!r}", f"the commit of id {id.hex()} is not where the index has it")

    def delete(self, stream: str) -> bool:
        try:
            deleted = self._delete(stream)
        except ConversationDeleted:
            self._file.forget()  # which an earlier try may not have come to
            raise
        if deleted:
            self._file.forget()
        return deleted

    def _delete(self, stream: str) -> bool:
        with self._file.writing() as writer:
            found = self._stream(writer, stream)
            if found is None:
                return False
            self._file.keep_floor(found.key)
            writer.execute("DELETE FROM commits WHERE stream = ?", (found.key,))
            writer.execute("DELETE FROM snapshots WHERE stream = ?", (found.key,))
            if _has_drafts(writer):
                writer.execute("DELETE FROM drafts WHERE stream = ?", (found.key,))
            _change_facets(writer, self.namespace, found.key, _facets(_entry(found).metadata), set())
            gone = msgspec.structs.replace(found, deleted=1, title="", created=0, updated=0, entry=b"{}")
            _update_stream(writer, gone, found)
            self._file.forget_rows()
        return True

    def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        with self._file.writing() as writer:
            appended = self._append(writer, commit, expected, entry)
            stream = self._stream(writer, commit.stream)
            if stream is not None and not appended.deduplicated:
                writer.execute("DELETE FROM snapshots WHERE stream = ?", (stream.key,))
                for erasure in erasures:
                    self._erase(writer, stream, commit, erasure)
        self._file.forget()
        return appended

    def _erase(self, writer: sqlite3.Connection, stream: _Stream, commit: Commit, erasure: Erasure) -> None:
        found = self._forward(writer, stream, erasure.first - 1, None, 1)
        erased = erase(erasable(commit, {each.first: each for each in found}, erasure), erasure.data)
        writer.execute(
            "UPDATE commits SET data = CAST(? AS TEXT), erased = ? WHERE stream = ? AND first = ?",
            (erased.data, erased.erased, stream.key, erased.first),
        )

    def put_entry(self, entry: Entry) -> bool:
        with self._file.writing() as writer:
            stream = self._stream(writer, entry.id)
            if stream is None or stream.version != entry.version:
                return False
            self._put_stream(writer, stream, stream.head, entry)
            return True

    def namespaces(self) -> list[str]:
        with self._file.reading() as reader:
            rows = reader.execute("SELECT DISTINCT namespace FROM streams WHERE deleted = 0 ORDER BY namespace")
            return [namespace for (namespace,) in rows]

    def examine(self) -> Examination:
        with self._file.reading() as reader:
            (layout,) = reader.execute("PRAGMA user_version").fetchone()
            found = [str(problem) for (problem,) in reader.execute("PRAGMA integrity_check(10)") if problem != "ok"]
        beside = _beside(self.path, "-wal")
        facts: dict[str, int | str] = {
            "bytes": self.path.stat().st_size,
            "bytes of the write-ahead log": beside.stat().st_size if beside.exists() else 0,
            "layout": layout,
            "durability": self._file.durability,
            "SQLite": sqlite3.sqlite_version,
        }
        damage = tuple(f"SQLite finds damage: {problem}; restore the file from a copy" for problem in found)
        return Examination(kind="SQLite file", place=str(self.path), facts=facts, problems=damage)

    def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        with self._file.writing() as writer:
            found = self._stream(writer, stream)
            if found is None or found.head != Head(snapshot.version, snapshot.checksum):
                return False
            writer.execute(
                "INSERT OR REPLACE INTO snapshots (stream, after, version, checksum, fingerprint, data, seal)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (found.key, *msgspec.structs.astuple(snapshot)),
            )
            return True

    def drop_snapshots(self, stream: str) -> int:
        with self._file.writing() as writer:
            found = self._stream(writer, stream)
            key = -1 if found is None else found.key
            return writer.execute("DELETE FROM snapshots WHERE stream = ?", (key,)).rowcount

    def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        check_draft(draft, number)
        with self._file.writing() as writer:
            found = self._stream(writer, stream)
            if found is None:
                raise ConversationNotFound(stream)
            if not _has_drafts(writer):
                writer.execute(_DRAFTS)
            writer.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, ?)", (found.key, draft, number, piece))

    def drop_draft(self, stream: str, draft: bytes) -> bool:
        with self._file.writing() as writer:
            found = self._stream(writer, stream)
            if found is None or not _has_drafts(writer):
                return False
            gone = writer.execute("DELETE FROM drafts WHERE stream = ? AND id = ?", (found.key, draft))
            return gone.rowcount > 0

    # Reading.

    def drafts(self, stream: str) -> list[Draft]:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            if found is None or not _has_drafts(reader):
                return []
            return drafts_of(reader.execute("SELECT id, number, data FROM drafts WHERE stream = ?", (found.key,)))

    def head(self, stream: str) -> Head | None:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            return found.head if found else None

    def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            if found is None or (limit is not None and limit <= 0):
                return []
            if after >= (found.version if until is None else min(until, found.version)):
                return []  # no version is above the one and up to the other
            read = self._backward if backward else self._forward
            return read(reader, found, max(after, 0), until, limit)

    def _forward(
        self, reader: sqlite3.Connection, stream: _Stream, after: int, until: int | None, limit: int | None
    ) -> list[Commit]:
        start = self._before(reader, stream, after)
        rows = reader.execute(
            f"SELECT {_COMMIT} FROM commits WHERE stream = ? AND first > ? AND first <= ? ORDER BY first LIMIT ?",
            (stream.key, start.version, INTEGER_MAX if until is None else until, -1 if limit is None else limit),
        )
        commits = _verified(stream.id, rows, start)
        if limit is None or len(commits) < limit:
            _check_reaches(stream, until, commits[-1].head if commits else start)
        return commits

    def _backward(
        self, reader: sqlite3.Connection, stream: _Stream, after: int, until: int | None, limit: int | None
    ) -> list[Commit]:
        rows = reader.execute(
            f"SELECT {_COMMIT} FROM commits WHERE stream = ? AND first <= ? AND first + count > ?"
            " ORDER BY first DESC LIMIT ?",
            (stream.key, INTEGER_MAX if until is None else until, after + 1, -1 if limit is None else limit),
        ).fetchall()
        if not rows:
            _check_reaches(stream, until, Head(0, b""))
            return []
        start = self._before(reader, stream, _number(rows[-1][1]) - 1)
        commits = _verified(stream.id, reversed(rows), start)
        _check_reaches(stream, until, commits[-1].head)
        return commits[::-1]

    def payloads(self, stream: str, *, after: int, until: int) -> bytes:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            rows = reader.execute(
                "SELECT CAST(data AS BLOB) FROM commits WHERE stream = ? AND first > ? AND first <= ? ORDER BY first",
                (-1 if found is None else found.key, after, until),
            )
            return b"\n".join(data for (data,) in rows)

    def _before(self, reader: sqlite3.Connection, stream: _Stream, version: int) -> Head:
        """The end of the last commit that ends at or before this version."""
        rows = reader.execute(
            "SELECT first, count, checksum FROM commits WHERE stream = ? AND first <= ? ORDER BY first DESC LIMIT 2",
            (stream.key, version),
        )
        for first, count, checksum in rows:
            last = _number(first) + _number(count) - 1
            if last <= version:
                return Head(last, checksum)
        return genesis(self.namespace, stream.id)

    def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        with self._file.reading() as reader:
            rows = reader.execute(_READ_ALL, (after, self.namespace, -1 if limit is None else limit))
            commits = [self._alone(*row) for row in rows]
        _check_order(commits, after)
        return commits

    def _alone(self, id: str | None, previous: bytes | None, *row: Any) -> Commit:
        """A commit that stands among those of other streams, verified by itself."""
        if id is None:
            raise CorruptLog(f"commit at position {row[0]}", "there is no conversation that it belongs to")
        first = row[1] if isinstance(row[1], int) else 0
        before = Head(first - 1, previous or genesis(self.namespace, id).checksum)
        return _verified(id, [row], before)[0]

    def snapshots(self, stream: str) -> list[Snapshot]:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            rows = reader.execute(
                "SELECT after, version, checksum, CAST(fingerprint AS BLOB), data, seal FROM snapshots"
                " WHERE stream = ? ORDER BY version",
                (-1 if found is None else found.key,),
            )
            return [
                Snapshot(after, version, checksum, fingerprint.decode(errors="replace"), data, seal)
                for after, version, checksum, fingerprint, data, seal in rows
            ]

    def entry(self, stream: str) -> Entry | None:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            return _entry(found) if found else None

    def entries(self, query: Query) -> list[Entry]:
        listing = _Listing(self.namespace, query)
        if not query.metadata:
            return self._file.asked(lambda reader: self._listed(reader.execute(*listing.whole())))
        with self._file.reading() as reader:
            return self._listed(listing.having(reader))

    def _listed(self, rows: Iterable[Row]) -> list[Entry]:
        return [_listed(self.namespace, row) for row in rows]

    def count(self, metadata: dict[str, Any]) -> int:
        facets = [(self.namespace, *facet) for facet in _facets(metadata)]
        if len(facets) > 1:
            with self._file.reading() as reader:
                facets, _ = _rarest_first(reader, facets)
        count: int = self._file.asked(lambda reader: reader.execute(*_counting(self.namespace, facets)).fetchone()[0])
        return count

    def _stream_to_write(self, writer: sqlite3.Connection, id: str) -> _Stream | None:
        """The row of a stream, as ``_stream`` gives it, or as the writing connection itself wrote it last."""
        return self._file.rows.get((self.namespace, id)) or self._stream(writer, id)

    def _stream(self, connection: sqlite3.Connection, id: str) -> _Stream | None:
        row = connection.execute(
            f"SELECT {_STREAM} FROM streams WHERE namespace = ? AND id = ?", (self.namespace, id)
        ).fetchone()
        if row is None:
            return None
        stream = _checked(row)
        if stream.deleted:
            raise ConversationDeleted(id)
        return stream


class _File:
    """The file and the connections to it: one that writes, under a lock, and a few that read."""

    def __init__(self, path: Path, durability: Durability, *, create: bool, read_only: bool) -> None:
        self.path = path = path.absolute()  # whatever the working directory will be when readers are opened
        self.durability = durability
        self.writers: Together[_Asked, Appended] = Together(self._append)
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._closed = False
        self._failed: BackendError | None = None
        self._read_only = False
        self._border = _Border(path)
        self.rows: dict[tuple[str, str], _Stream] = {}
        self._data_version = 0
        self.above = False
        is_new = _inspect(path, create)
        with self._border:
            if is_new or (
                _beside(path, "-journal").exists() and not read_only
            ):  # the second: another process is making it, or died at it
                _retried(lambda: _create(path))
            self._read_only = read_only or not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
            self._writer = _retried(self._connect)
            self._let_wait(0)  # see ``_retried``
            self._counted = self._writer.execute("PRAGMA user_version").fetchone() == (1,)

    def _connect(self) -> sqlite3.Connection:
        connection = _connect_read_only(self.path) if self._read_only else _connect(self.path, "?mode=rw")
        try:
            _check_is_ours(connection, self.path)
            if not self._read_only:
                _set_durable(connection, self.path, self.durability)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction. What is raised inside takes it back; a failed write closes the log to further ones."""
        with self.writers, self._transaction() as writer:
            yield writer

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The same, for one that holds the lock of the writers already."""
        self._check_open()
        if self._read_only:
            raise BackendError(f"{self.path}: the file or its folder is read-only; nothing was written")
        if self._failed:
            raise BackendError(f"{self.path}: an earlier write failed; open the store again") from self._failed
        try:
            with self._border:
                self._begin()
                self._check_rows()
                yield self._writer
                self._writer.execute("COMMIT")
        except BaseException as error:
            self.forget_rows()
            self._roll_back()
            cause = error.__cause__
            if isinstance(error, BackendError) and isinstance(cause, sqlite3.Error) and _code(cause) == IO_ERROR:
                self._failed = error
            raise

    def _append(self, asked: _Asked) -> Appended:
        """Append, with the lock held, and what other threads wait to append; together, unless one of them spoils it."""
        group = [asked]
        try:
            with self._transaction() as writer:
                group += self.writers.take()
                if len(group) == 1:
                    return _append(writer, asked)
                outcomes = _outcomes(writer, group)
        except _SpoiltError:
            outcomes = [self._append_alone(each) for each in group]
        self.writers.tell(outcomes[1:])
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    def _append_alone(self, asked: _Asked) -> Appended | Exception:
        """One of a group that was spoilt."""
        try:
            with self._transaction() as writer:
                return _append(writer, asked)
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            return error

    def _begin(self) -> None:
        """Begin a transaction that writes: when no other process does."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            _retried(lambda: self._writer.execute("BEGIN IMMEDIATE"))

    def _check_rows(self) -> None:
        """Forget the rows that were kept if another connection has written since."""
        version = self._writer.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._data_version = version
            self.forget_rows()

    def keep_row(self, stream: _Stream) -> None:
        """Keep a row that was just written, so that the next append to the stream need not read and check it."""
        if len(self.rows) >= ROWS_MAX:
            self.rows.clear()
        self.rows[stream.namespace, stream.id] = stream

    def forget_rows(self) -> None:
        """Forget what is known of the file: the rows that were kept, and that there is a commit above the floor."""
        self.rows.clear()
        self.above = False

    def position_beneath(self) -> int | None:
        """The position for the next commit; None where SQLite is to find it, one above the highest that there is."""
        if self._counted:
            return None
        floor = self._writer.execute(_BENEATH).fetchone()
        return None if floor is None else _number(floor[0]) + 1

    def keep_floor(self, stream: int) -> None:
        """Before a stream is deleted: keep the highest position of all, if it is in this stream."""
        if self._counted:
            return
        last = self._writer.execute("SELECT stream, position FROM commits ORDER BY position DESC LIMIT 1").fetchone()
        if last is None or last[0] != stream:
            return
        self._writer.execute("DELETE FROM floor WHERE position < ?", last[1:])
        self._writer.execute("INSERT INTO floor SELECT ? WHERE NOT EXISTS (SELECT 1 FROM floor)", last[1:])

    def forget(self) -> None:
        """Leave no trace of what was deleted in the file and in the write-ahead log.

        ``secure_delete`` overwrites the row itself, but not copies of it that stayed in unused parts of pages when
        SQLite moved rows between them; so the file is built anew. Raises ``BackendError`` if a reader kept the old
        frames of the write-ahead log in use for too long.
        """
        with self.writers, self._border:
            self._let_wait(BUSY_SECONDS)  # SQLite keeps writers away while it waits for readers
            try:
                self._rebuild()
            finally:
                self._let_wait(0)

    def _rebuild(self) -> None:
        _retried(lambda: self._writer.execute("VACUUM"))
        deadline = time.monotonic() + BUSY_SECONDS
        while self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise BackendError(f"{self.path}: readers keep what was erased in the write-ahead log; try again later")
            time.sleep(0.005)

    def _let_wait(self, seconds: float) -> None:
        """How long SQLite waits by itself, before the writing connection is told that the file is locked."""
        self._writer.execute(f"PRAGMA busy_timeout = {seconds * 1_000:.0f}")

    def _roll_back(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._writer.close()  # SQLite rolls back what a closed connection left open

    def asked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What one statement answers, which sees one moment by itself; without what a transaction costs."""
        self._check_open()
        with self._border:
            reader = self._reader()
            try:
                answer = work(reader)
            except BaseException:
                reader.close()
                raise
            self._keep(reader)
        return answer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that sees one moment."""
        self._check_open()
        with self._border:
            reader = self._reader()
            try:
                reader.execute("BEGIN")
                yield reader
                reader.execute("COMMIT")
            except BaseException:
                reader.close()
                raise
            self._keep(reader)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except Empty:
            return _retried(self._connect)

    def _keep(self, reader: sqlite3.Connection) -> None:
        """Keep a connection for the next read; not to a file that others may write while it passes for immutable."""
        if self._read_only or self._readers.qsize() >= READERS_MAX:
            reader.close()
            return
        self._readers.put(reader)
        if self._closed:  # perhaps since the read began
            self._close_readers()

    def _close_readers(self) -> None:
        with suppress(Empty):
            while True:
                self._readers.get_nowait().close()

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"{self.path}")

    def close(self) -> None:
        with self.writers:
            self._closed = True
            self._close_readers()
            self._writer.close()


class _SpoiltError(Exception):
    """One append of a group failed in a way that takes the transaction back."""


def _append(writer: sqlite3.Connection, asked: _Asked) -> Appended:
    log, commit, expected, entry = asked
    return log._append(writer, commit, expected, entry)


def _outcome(writer: sqlite3.Connection, asked: _Asked) -> Appended | Exception:
    """What one append of a group comes to. A refusal that comes when something is written already concerns them all."""
    before = writer.total_changes
    answer = outcome(lambda: _append(writer, asked))
    if isinstance(answer, Exception) and writer.total_changes != before:
        raise answer
    return answer


def _outcomes(writer: sqlite3.Connection, group: list[_Asked]) -> list[Appended | Exception]:
    try:
        return [_outcome(writer, asked) for asked in group]
    except Exception as error:
        raise _SpoiltError from error


def _inspect(path: Path, create: bool) -> bool:  # noqa: C901 - a row of cases, each with its own message
    """Whether a store has to be made at this path. Reads the header only; touches nothing."""
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for ever
            kind = "a folder" if path.is_dir() else "no regular file"
            raise NotAStore(f"{path} is {kind}, not a branchlog store")
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StoreNotFound(str(path), f"there is no folder {str(path.parent)!r}; make it first") from None
        if not create:
            raise StoreNotFound(str(path), "there is no such file") from None
        return True
    except OSError as error:
        raise BackendError(f"{path}: cannot be read: {error.strerror}") from error
    if not header:
        if not create:
            raise StoreNotFound(str(path), "the file is empty")
        return True
    if not header.startswith(MAGIC[: len(header)]):
        raise NotAStore(f"{path} is not a branchlog store (and not an SQLite file); it was left as it is")
    if len(header) < HEADER_BYTES:
        raise CorruptLog(str(path), f"cut off after {len(header)} bytes; restore it from a copy")
    layout, application = int.from_bytes(header[60:64]), int.from_bytes(header[68:72])
    if application != APPLICATION_ID:
        raise NotAStore(f"{path} is an SQLite file of another program, not a branchlog store; it was left as it is")
    _check_layout(path, layout)
    return False


def _beside(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside the store file."""
    path = path.resolve()
    return path.with_name(path.name + suffix)


def _connect(path: Path, query: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}{query}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,
        cached_statements=64,
    )


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection to a file that cannot be written, in a folder that perhaps cannot either."""
    wal = _beside(path, "-wal")
    alone = not wal.exists() or not wal.stat().st_size
    return _connect(path, "?mode=ro&immutable=1" if alone else "?mode=ro")


def _create(path: Path) -> None:
    """Make the tables, unless another process has; all at once, so that no half-made store is ever seen."""
    connection = _connect(path, "?mode=rwc")
    try:
        connection.execute("BEGIN EXCLUSIVE")
        if not connection.execute("PRAGMA application_id").fetchone()[0]:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _check_is_ours(connection: sqlite3.Connection, path: Path) -> None:
    """What the header said when it was looked at, asked again of SQLite, which also knows what is in the WAL."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    layout = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise CorruptLog(str(path), "the header was replaced; restore it from a copy")
    _check_layout(path, layout)


def _check_layout(path: Path, layout: int) -> None:
    if layout > LAYOUT:
        raise SchemaVersionError(f"the store file {path}", str(layout), str(LAYOUT))
    if layout < 1:
        raise CorruptLog(str(path), f"there never was a layout {layout}; restore it from a copy")


def _set_durable(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise BackendError(f"{path}: SQLite cannot keep a write-ahead log here (it uses {mode!r}); use a local disk")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
    connection.execute("PRAGMA secure_delete = ON").fetchone()  # what is erased is overwritten


def _retried(work: Callable[[], T]) -> T:
    """Do it again while another process holds the file.

    SQLite itself does not wait for every lock, and for those of writers it sleeps longer and longer, up to 100 ms, by
    which time others have written dozens of times. One that waits here looks again at least every millisecond; only
    where the lock has been held for long, as by a VACUUM, it looks less often.
    """
    start = time.monotonic()
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - start
            if _code(error) != sqlite3.SQLITE_BUSY or waited > BUSY_SECONDS:
                raise
        time.sleep(random() * min(max(waited / 100, 0.001), 0.02))  # noqa: S311 - so that those who wait do not march in step


class _Border:
    """The border, to be entered any number of times: SQLite's exceptions become ours.

    A class, since entering a generator takes a microsecond, and this is entered for everything.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise self._translated(error) from error
        if isinstance(error, UnicodeDecodeError):
            # SQLite's own message quotes the damaged part of the file
            raise CorruptLog(str(self._path), "SQLite finds the file damaged; restore it from a copy") from error

    def _translated(self, error: sqlite3.Error) -> BranchlogError:
        path, code = self._path, _code(error)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error):
            return CorruptLog(str(path), f"SQLite finds the file damaged ({error}); restore it from a copy")
        if code == sqlite3.SQLITE_BUSY:
            return BackendError(f"{path}: another process kept it locked for {BUSY_SECONDS:.0f} seconds")
        if "closed database" in str(error):
            return LogClosed(f"{path}")
        return BackendError(f"{path}: {error}")


def _code(error: sqlite3.Error) -> int:
    """The primary SQLite result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _verified(stream: str, rows: Any, after: Head) -> list[Commit]:
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


def _number(value: object) -> int:
    """A whole number from a column that holds no other, unless the file is damaged."""
    if not isinstance(value, int):
        raise CorruptLog("a commit", f"its version is not a number but {value!r}")
    return value


def _check_order(commits: list[Commit], after: int) -> None:
    """Raise ``CorruptLog`` if positions do not increase, or if a stream's commits among these leave one out."""
    ends: dict[str, bytes] = {}
    for commit in commits:
        if commit.position <= after or commit.previous != ends.get(commit.stream, commit.previous):
            raise CorruptLog(f"commit at position {commit.position}", "commits are missing or out of order before it")
        after, ends[commit.stream] = commit.position, commit.checksum


def _check_reaches(stream: _Stream, until: int | None, end: Head) -> None:
    """Raise ``CorruptLog`` if a read that should have reached the head, or a version before it, did not."""
    if until is None or until >= stream.version:
        if end != stream.head:
            raise CorruptLog(f"{stream.id!r}", f"the commits end at version {end.version}, not at {stream.version}")
    elif end.version < until:
        raise CorruptLog(f"{stream.id!r}", f"the commit at version {until} is missing")


def _checked(row: Row) -> _Stream:
    """A row of ``streams`` whose seal holds."""
    stream = _Stream(*row[:-1])
    try:
        whole = stream.seal() == row[-1]
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise _unlike(stream.id)
    return stream


def _listed(namespace: str, row: Row) -> Entry:
    """The entry of a row that a list found, if it is as it was written: in this namespace, and not deleted."""
    id, version, checksum, title, created, updated, entry, seal = row
    try:
        whole = _seal((namespace, id, version, checksum, 0, title, created, updated, entry)) == seal
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise _unlike(id)
    return entry_from(id, version, _decode_entry(entry))


def _unlike(id: str) -> CorruptLog:
    return CorruptLog(f"the catalog row of {id!r}", "it is not as it was written")


def _entry(stream: _Stream) -> Entry:
    return entry_from(stream.id, stream.version, _decode_entry(stream.entry))


def _inserted(writer: sqlite3.Connection, key: int, commit: Commit, position: int | None) -> Appended:
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


class _Listing:
    """A query as SQL, over the rows of one namespace that were not deleted.

    Those that have some metadata are found in two ways, since there is no index of a value in the order of a list: it
    would cost every append a page. Few are looked up and sorted. Of many, some are soon met where the list is walked
    in its order: of a list of ``n`` with ``m`` that are sought, a page of ``p`` on the first ``p * n / m`` if they are
    spread evenly, which is less than to look up all ``m`` where ``m`` is above the root of ``p * n``. Where they are
    not met, for being at the other end of the list, they are sorted after all.
    """

    def __init__(self, namespace: str, query: Query) -> None:
        columns = ("id",) if query.order == "id" else (query.order, "id")
        self._where = "streams.namespace = ? AND deleted = 0"
        self._values: Row = (namespace,)
        if query.after is not None:
            sign, marks = "<" if query.descending else ">", ", ".join("?" for _ in columns)
            self._where += f" AND ({', '.join(columns)}) {sign} ({marks})"
            self._values += query.after[-len(columns) :]
        self._order = ", ".join(f"{column} {'DESC' if query.descending else 'ASC'}" for column in columns)
        self._limit = -1 if query.limit is None else query.limit
        self._facets = [(namespace, *facet) for facet in _facets(query.metadata)]

    def whole(self) -> tuple[str, Row]:
        """The statement for the rows of all, and its values."""
        statement = f"SELECT {_LISTED} FROM streams WHERE {self._where} ORDER BY {self._order} LIMIT ?"
        return statement, (*self._values, self._limit)

    def having(self, reader: sqlite3.Connection) -> Iterable[Row]:
        """The rows of those that have the metadata."""
        if self._limit < 0:
            return self._sorted(reader, self._facets)
        (last,) = reader.execute("SELECT max(key) FROM streams").fetchone()  # there are about as many
        few = isqrt(self._limit * (last or 0))
        facets, count = _rarest_first(reader, self._facets, few + 1)
        rows = self._walked(reader, facets, PATIENCE * few) if count > few else None
        return self._sorted(reader, facets) if rows is None else rows

    def _walked(self, reader: sqlite3.Connection, facets: list[Row], steps: int) -> Iterable[Row] | None:
        """The rows that are met first on a walk through all; None where so many steps do not lead to all of them."""
        keys: list[int] = []
        for step, (key, found) in enumerate(
            reader.execute(
                f"SELECT key, {' AND '.join(_has('streams.key') for _ in facets)} FROM streams"
                f" WHERE {self._where} ORDER BY {self._order}",
                (*chain(*facets), *self._values),
            )
        ):
            if len(keys) == self._limit:
                break
            if step == steps:
                return None
            if found:
                keys.append(key)
        statement = f"SELECT {_LISTED} FROM streams WHERE key = ?"
        return (row for key in keys for row in reader.execute(statement, (key,)))

    def _sorted(self, reader: sqlite3.Connection, facets: list[Row]) -> Iterable[Row]:
        """The rows that are first once all that are found were sorted.

        The youngest streams are looked up first, since they are likely the latest and what comes after them is passed
        over; the LIMIT of none keeps SQLite from leaving out that order.
        """
        found, values = _having(facets)
        return reader.execute(
            f"SELECT {_LISTED} FROM (SELECT stream {found} ORDER BY stream DESC LIMIT -1)"
            f" CROSS JOIN streams ON streams.key = stream WHERE {self._where} ORDER BY {self._order} LIMIT ?",
            (*values, *self._values, self._limit),
        )


def _has(key: str) -> str:
    """The condition that a stream has a facet."""
    return f"EXISTS (SELECT 1 FROM facets WHERE namespace = ? AND key = ? AND value = ? AND stream = {key})"


def _rarest_first(reader: sqlite3.Connection, facets: Iterable[Row], most: int = -1) -> tuple[list[Row], int]:
    """Facets in order of how many streams have them, and how many have the first; counted up to ``most``, if given."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM facets AS rarest WHERE {_RAREST} LIMIT ?)"
    counted = sorted((_number(reader.execute(statement, (*facet, most)).fetchone()[0]), facet) for facet in facets)
    return [facet for _, facet in counted], counted[0][0]


def _having(facets: list[Row]) -> tuple[str, Row]:
    """What a statement takes the streams from that have these facets, the rarest first; and its values."""
    others = "".join(f" AND {_has('rarest.stream')}" for _ in facets[1:])
    return f"FROM facets AS rarest WHERE {_RAREST}{others}", tuple(chain(*facets))


def _counting(namespace: str, facets: list[Row]) -> tuple[str, Row]:
    """The statement that counts the streams that have these facets, and its values."""
    if not facets:
        return "SELECT count(*) FROM streams WHERE namespace = ? AND deleted = 0", (namespace,)
    found, values = _having(facets)
    return f"SELECT count(*) {found}", values


def _has_drafts(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'drafts'").fetchone() is not None


def _insert_stream(writer: sqlite3.Connection, stream: _Stream) -> int:
    row = writer.execute(
        "INSERT INTO streams (namespace, id, version, checksum, deleted, title, created, updated, entry, seal)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)",
        (*msgspec.structs.astuple(stream)[1:], stream.seal()),
    )
    return row.lastrowid or 0


def _update_stream(writer: sqlite3.Connection, stream: _Stream, before: _Stream) -> None:
    """Write what changed: a column named in an UPDATE dirties the pages of its indexes, changed or not."""
    row: Row = (stream.version, stream.checksum, stream.updated, stream.entry, stream.seal())
    sets = "version = ?, checksum = ?, updated = ?, entry = CAST(? AS TEXT), seal = ?"
    listed = (stream.title, stream.created, stream.deleted)
    if listed != (before.title, before.created, before.deleted):
        row, sets = row + listed, sets + ", title = ?, created = ?, deleted = ?"
    if writer.execute(f"UPDATE streams SET {sets} WHERE key = ?", (*row, stream.key)).rowcount != 1:
        raise CorruptLog(f"the catalog row of {stream.id!r}", "it is not there any more")


def _facets(metadata: dict[str, Any]) -> set[tuple[str, str]]:
    """The metadata as the pairs by which it is found."""
    return {(key, _facet(canonical(value))) for key, value in metadata.items()}


def _facet(value: str) -> str:
    if len(value) <= FACET_LENGTH_MAX:
        return value
    return f"sha256:{sha256(value.encode()).hexdigest()}"


def _change_facets(
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
