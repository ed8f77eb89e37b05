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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from branchlog.commit import Commit, Head, Snapshot, erase, genesis
from branchlog.errors import BranchlogError, ConversationDeleted, ConversationNotFound, CorruptLog
from branchlog.logs._sqlite.connections import Durability, beside
from branchlog.logs._sqlite.file import Ask, File
from branchlog.logs._sqlite.layout import DRAFTS, has_drafts
from branchlog.logs._sqlite.listing import Listing, counting, rarest_first
from branchlog.logs._sqlite.rows import (
    COMMIT,
    INTEGER_MAX,
    STREAM,
    Row,
    Stream,
    change_facets,
    check_order,
    check_reaches,
    checked,
    decode_entry,
    encode,
    entry_listed,
    entry_of,
    facets_of,
    insert_commit,
    insert_stream,
    update_stream,
    verified_rows,
    whole_number,
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
    bare_entry,
    check_commit,
    check_draft,
    check_name,
    drafts_of,
    erasable,
    placed,
    repeated,
    stored_entry,
)

_READ_ALL = """
SELECT streams.id,
    (SELECT before.checksum FROM commits AS before
     WHERE before.stream = commits.stream AND before.first < commits.first ORDER BY before.first DESC LIMIT 1),
    position, first, count, commits.id, at, schema, CAST(data AS BLOB), commits.checksum, coalesce(erased, x'')
FROM commits LEFT JOIN streams ON streams.key = commits.stream
WHERE position > ? AND (namespace = ? OR namespace IS NULL) ORDER BY position LIMIT ?
"""


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
        _file: File | None = None,
    ) -> None:
        """Open a store file, or make a new one (not if ``create`` is false); ``read_only`` leaves every byte as it is.

        Raises ``StoreNotFound`` where there is no file or no folder to make it in, ``NotAStore`` for a file that is
        something else (which is left as it is), ``SchemaVersionError`` for one of a later layout, ``CorruptLog`` for a
        damaged one and ``BackendError`` where the file system refuses.
        """
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._file = _file or File(Path(path), durability, create=create and not read_only, read_only=read_only)

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
        return self._file.writers.ask(lambda writer: self._append(writer, commit, expected, entry))

    def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        return self._file.append_group([self._asking(each) for each in appends])

    def _asking(self, append: Append) -> Ask:
        return lambda writer: self._append(writer, append.commit, append.expected, append.entry)

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
        self._put_stream(writer, stream, commit.head, entry or entry_of(stream))
        return appended

    def _insert(self, writer: sqlite3.Connection, key: int, commit: Commit) -> Appended:
        file = self._file
        appended = insert_commit(writer, key, commit, None if file.above else file.position_beneath())
        file.above = True
        return appended

    def _put_stream(self, writer: sqlite3.Connection, before: Stream | None, head: Head, entry: Entry) -> Stream:
        """Write the row of a stream. ``before`` is what it was, None for a new stream."""
        encoded = encode(stored_entry(entry))
        stream = Stream(
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
            stream = msgspec.structs.replace(stream, key=insert_stream(writer, stream))
            metadata_before = {}
        else:
            update_stream(writer, stream, before)
            metadata_before = decode_entry(before.entry).metadata
        if encode(metadata_before) != encode(entry.metadata):  # as JSON: to Python, 1 and True are the same
            change_facets(writer, self.namespace, stream.key, facets_of(metadata_before), facets_of(entry.metadata))
        self._file.keep_row(stream)
        return stream

    def _by_id(self, connection: sqlite3.Connection, stream: Stream, id: bytes) -> Commit | None:
        found = connection.execute("SELECT first FROM commits WHERE stream = ? AND id = ?", (stream.key, id)).fetchone()
        if found is None:
            return None
        for stored in self._forward(connection, stream, whole_number(found[0]) - 1, None, 1):
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
            if has_drafts(writer):
                writer.execute("DELETE FROM drafts WHERE stream = ?", (found.key,))
            change_facets(writer, self.namespace, found.key, facets_of(entry_of(found).metadata), set())
            gone = msgspec.structs.replace(found, deleted=1, title="", created=0, updated=0, entry=b"{}")
            update_stream(writer, gone, found)
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

    def _erase(self, writer: sqlite3.Connection, stream: Stream, commit: Commit, erasure: Erasure) -> None:
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
        wal = beside(self.path, "-wal")
        facts: dict[str, int | str] = {
            "bytes": self.path.stat().st_size,
            "bytes of the write-ahead log": wal.stat().st_size if wal.exists() else 0,
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
            if not has_drafts(writer):
                writer.execute(DRAFTS)
            writer.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?, ?)", (found.key, draft, number, piece))

    def drop_draft(self, stream: str, draft: bytes) -> bool:
        with self._file.writing() as writer:
            found = self._stream(writer, stream)
            if found is None or not has_drafts(writer):
                return False
            gone = writer.execute("DELETE FROM drafts WHERE stream = ? AND id = ?", (found.key, draft))
            return gone.rowcount > 0

    # Reading.

    def drafts(self, stream: str) -> list[Draft]:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            if found is None or not has_drafts(reader):
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
        self, reader: sqlite3.Connection, stream: Stream, after: int, until: int | None, limit: int | None
    ) -> list[Commit]:
        start = self._before(reader, stream, after)
        rows = reader.execute(
            f"SELECT {COMMIT} FROM commits WHERE stream = ? AND first > ? AND first <= ? ORDER BY first LIMIT ?",
            (stream.key, start.version, INTEGER_MAX if until is None else until, -1 if limit is None else limit),
        )
        commits = verified_rows(stream.id, rows, start)
        if limit is None or len(commits) < limit:
            check_reaches(stream, until, commits[-1].head if commits else start)
        return commits

    def _backward(
        self, reader: sqlite3.Connection, stream: Stream, after: int, until: int | None, limit: int | None
    ) -> list[Commit]:
        rows = reader.execute(
            f"SELECT {COMMIT} FROM commits WHERE stream = ? AND first <= ? AND first + count > ?"
            " ORDER BY first DESC LIMIT ?",
            (stream.key, INTEGER_MAX if until is None else until, after + 1, -1 if limit is None else limit),
        ).fetchall()
        if not rows:
            check_reaches(stream, until, Head(0, b""))
            return []
        start = self._before(reader, stream, whole_number(rows[-1][1]) - 1)
        commits = verified_rows(stream.id, reversed(rows), start)
        check_reaches(stream, until, commits[-1].head)
        return commits[::-1]

    def payloads(self, stream: str, *, after: int, until: int) -> bytes:
        with self._file.reading() as reader:
            found = self._stream(reader, stream)
            rows = reader.execute(
                "SELECT CAST(data AS BLOB) FROM commits WHERE stream = ? AND first > ? AND first <= ? ORDER BY first",
                (-1 if found is None else found.key, after, until),
            )
            return b"\n".join(data for (data,) in rows)

    def _before(self, reader: sqlite3.Connection, stream: Stream, version: int) -> Head:
        """The end of the last commit that ends at or before this version."""
        rows = reader.execute(
            "SELECT first, count, checksum FROM commits WHERE stream = ? AND first <= ? ORDER BY first DESC LIMIT 2",
            (stream.key, version),
        )
        for first, count, checksum in rows:
            last = whole_number(first) + whole_number(count) - 1
            if last <= version:
                return Head(last, checksum)
        return genesis(self.namespace, stream.id)

    def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        with self._file.reading() as reader:
            rows = reader.execute(_READ_ALL, (after, self.namespace, -1 if limit is None else limit))
            commits = [self._alone(*row) for row in rows]
        check_order(commits, after)
        return commits

    def _alone(self, id: str | None, previous: bytes | None, *row: Any) -> Commit:
        """A commit that stands among those of other streams, verified by itself."""
        if id is None:
            raise CorruptLog(f"commit at position {row[0]}", "there is no conversation that it belongs to")
        first = row[1] if isinstance(row[1], int) else 0
        before = Head(first - 1, previous or genesis(self.namespace, id).checksum)
        return verified_rows(id, [row], before)[0]

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
            return entry_of(found) if found else None

    def entries(self, query: Query) -> list[Entry]:
        listing = Listing(self.namespace, query)
        if not query.metadata:
            return self._file.asked(lambda reader: self._listed(reader.execute(*listing.whole())))
        with self._file.reading() as reader:
            return self._listed(listing.having(reader))

    def _listed(self, rows: Iterable[Row]) -> list[Entry]:
        return [entry_listed(self.namespace, row) for row in rows]

    def count(self, metadata: dict[str, Any]) -> int:
        facets = [(self.namespace, *facet) for facet in facets_of(metadata)]
        if len(facets) > 1:
            with self._file.reading() as reader:
                facets, _ = rarest_first(reader, facets)
        count: int = self._file.asked(lambda reader: reader.execute(*counting(self.namespace, facets)).fetchone()[0])
        return count

    def _stream_to_write(self, writer: sqlite3.Connection, id: str) -> Stream | None:
        """The row of a stream, as ``_stream`` gives it, or as the writing connection itself wrote it last."""
        return self._file.rows.get((self.namespace, id)) or self._stream(writer, id)

    def _stream(self, connection: sqlite3.Connection, id: str) -> Stream | None:
        row = connection.execute(
            f"SELECT {STREAM} FROM streams WHERE namespace = ? AND id = ?", (self.namespace, id)
        ).fetchone()
        if row is None:
            return None
        stream = checked(row)
        if stream.deleted:
            raise ConversationDeleted(id)
        return stream
