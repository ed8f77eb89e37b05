"""A log in a PostgreSQL database: for several processes and machines.

The layout is written field by field at the top of ``branchlog.logs._postgres.layout``; how connections are kept, lost
and found again at the top of ``branchlog.logs._postgres.server``.

An append that names the version it expects is one statement, so one round trip: a function on the server takes the
stream's lock, compares, and writes. Whatever it does not expect (a commit that is there already, a deleted stream,
several appends together) is looked at from here instead, in a transaction under the same lock. An acknowledgement
means what the server's ``synchronous_commit`` means; where the wait for standbys was cancelled there is none.

A commit that turns out to be there already may be there without having reached the standbys: before it is answered
for, a row of its stream is written once more, and that write is waited for.

Reading verifies the checksums of commits and the seals of streams and entries. ``redact`` and ``delete`` take rows
away; their old copies stay in the files until vacuum, and in the write-ahead log and backups for as long as those are
kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import attrs
import msgspec

from branchlog.commit import Commit, Head, Snapshot, erase, genesis, is_whole, verified
from branchlog.errors import (
    BackendError,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    InvalidInput,
    VersionConflict,
)
from branchlog.logs._postgres.examination import examined
from branchlog.logs._postgres.layout import LOOK, POSITION_BITS, look_at_server, named, prepare
from branchlog.logs._postgres.rows import COMMIT, ENTRY, STREAM, Rows, check_whole, commit_of, is_possible, key_of
from branchlog.logs._postgres.server import Connection, Lost, Place, Server, UniqueViolation
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
    outcome,
    placed,
    repeated,
)

INTEGER_MAX = 2**63 - 1
PAYLOAD_BYTES_MAX = 2**28
"""256 MiB: a value in PostgreSQL may have 1 GiB, a message to the server too, and it copies them now and then."""

_WHERE = "FROM {schema}.streams s WHERE s.space = $1 AND s.id = $2"
_APPEND = f"SELECT {{schema}}.append({', '.join(f'${number}' for number in range(1, 21))})"
_READ = f"""
SELECT {STREAM}, {COMMIT} FROM {{schema}}.streams s LEFT JOIN LATERAL (
    SELECT * FROM {{schema}}.commits c WHERE c.stream = s.key
    AND c.first >= (SELECT max(b.first) FROM {{schema}}.commits b WHERE b.stream = s.key AND b.first <= $3::bigint + 1)
    AND c.first <= least($4::bigint, s.version) AND $3 < least($4, s.version)
    ORDER BY c.first WAY LIMIT $5
) c ON true WHERE s.space = $1 AND s.id = $2
"""
_READ_ALL = f"""
SELECT s.id, {COMMIT} FROM (
    SELECT * FROM {{schema}}.commits WHERE space = $1 AND position > $2 AND position < (
        SELECT CASE WHEN m.xmin = m.written::xid
            THEN (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + m.shift) << {POSITION_BITS}
            ELSE {INTEGER_MAX} END FROM {{schema}}.meta m
    ) ORDER BY position LIMIT $3
) c LEFT JOIN {{schema}}.streams s ON s.key = c.stream ORDER BY c.position
"""
_NAMESPACES = """
WITH RECURSIVE seen AS (
    (SELECT space, namespace FROM {schema}.streams WHERE NOT deleted ORDER BY space LIMIT 1)
    UNION ALL
    SELECT next.space, next.namespace FROM seen, LATERAL (
        SELECT s.space, s.namespace FROM {schema}.streams s
        WHERE NOT s.deleted AND s.space > seen.space ORDER BY s.space LIMIT 1
    ) next
) SELECT namespace FROM seen ORDER BY namespace
"""
_BY_ID = f"""
SELECT s.id AS stream, {COMMIT} FROM unnest($2::text[], $3::bytea[]) AS w (stream, id)
JOIN {{schema}}.streams s ON s.space = $1 AND s.id = w.stream
JOIN {{schema}}.commits c ON c.stream = s.key AND c.id = w.id
"""
_NEW_STREAM = """
INSERT INTO {schema}.streams
    (space, namespace, id, version, checksum, seal, title, created, updated, entry, entry_seal, facets)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_NEW_COMMIT = """
INSERT INTO {schema}.commits
    (position, space, stream, first, count, id, at, schema, data, previous, checksum, erased)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_SET_HEAD = "UPDATE {schema}.streams SET version = $2, checksum = $3, seal = $4 WHERE key = $1"
_SET_ENTRY = """
UPDATE {schema}.streams
SET title = $2, created = $3, updated = $4, entry = $5, entry_seal = $6, facets = $7 WHERE key = $1
"""
_PUT_SNAPSHOT = """
INSERT INTO {schema}.snapshots (stream, after, version, checksum, fingerprint, data, seal)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (stream, version) DO UPDATE SET after = excluded.after, checksum = excluded.checksum,
    fingerprint = excluded.fingerprint, data = excluded.data, seal = excluded.seal
"""
_PUT_PIECE = """
INSERT INTO {schema}.drafts (stream, id, number, data) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream, id, number) DO UPDATE SET data = excluded.data
"""
_DELETED = """
UPDATE {schema}.streams SET deleted = true, seal = $2, title = '', created = 0, updated = 0, entry = '{}',
    entry_seal = '', facets = '{}' WHERE key = $1
"""


@attrs.define
class _Stream:
    """A stream under its lock: as it is in the database, and what is to be written of it."""

    key: int | None
    head: Head | None
    facets: list[bytes]
    deleted: bool = False
    entry: Entry | None = None
    commits: list[Commit] = attrs.field(factory=list)


_FIRST = attrgetter("first")


class PostgresLog:
    """A log in a schema of a PostgreSQL database. ``namespace`` tells whose conversations are seen."""

    def __init__(self, server: Server, namespace: str, *, read_only: bool = False) -> None:
        """Made by ``connect``."""
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._server = server
        self._read_only = read_only
        self._rows = Rows(namespace)
        self._statements: dict[str, str] = {}
        self._append = self._sql(_APPEND)

    @classmethod
    async def connect(
        cls, url: str, *, namespace: str = "", create: bool = True, read_only: bool = False
    ) -> PostgresLog:
        """Open the store in a database, or make it in one that has none (not if ``create`` is false).

        ``postgresql://user:password@host:port,host:port/database``, with the options of libpq that asyncpg knows and
        these: ``schema`` (``branchlog``), ``connections`` (the most to open), ``connect_timeout`` (seconds for each
        host) and ``pgbouncer`` (``true``: prepare no statements; left out: as the server's answer shows).

        Raises ``InvalidInput`` for a URL that is none, ``StoreNotFound`` where there is no database or no store in it,
        ``NotAStore`` for a schema that holds something else (which is left as it is), ``SchemaVersionError`` for a
        later layout and ``BackendError`` where the server is not there or refuses.
        """
        check_name(namespace, "a namespace", empty=True)
        server = Server(Place.of(url, read_only=read_only))
        try:
            await server.run_once(lambda connection: _opened(connection, server, create=create, read_only=read_only))
        except Lost as lost:
            await server.close()
            raise BackendError(f"{server.place.shown}: no server to work with: {server.said(lost)}") from lost.__cause__
        except BaseException:
            await server.close()
            raise
        if server.prepared or server.settings:
            await server.renew()  # the first connection was opened before this was known
        return cls(server, namespace, read_only=read_only)

    @property
    def abilities(self) -> Abilities:
        return Abilities(
            durable=self._server.durable, persistent=True, shared=True, snapshots=True, erases=False, drafts=True
        )

    @property
    def blocking(self) -> None:
        """There is none: its reads are not local."""
        return

    def within(self, namespace: str) -> PostgresLog:
        return PostgresLog(self._server, namespace, read_only=self._read_only)

    async def close(self) -> None:
        await self._server.close()

    # Writing.

    async def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        self._check_writable()
        _check_payload(commit)
        if self._follows(commit, expected):
            told = await self._server.run(self._quickly(commit, entry), writes=True)
            if told > LOOK:
                return Appended(msgspec.structs.replace(commit, position=told))
            if told < LOOK:
                raise VersionConflict(commit.stream, expected, -1 - told)
        (answer,) = await self.append_group([Append(commit=commit, expected=expected, entry=entry)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _quickly(self, commit: Commit, entry: Entry | None) -> Callable[[Connection], Awaitable[int]]:
        """The append in one round trip; answers as the function on the server does."""
        values = self._row(commit, entry)

        async def work(connection: Connection) -> int:
            try:
                told: int = await connection.fetchval(self._append, *values)
            except UniqueViolation:  # the id was used before, perhaps for the same commit
                return LOOK
            return told

        return work

    def _follows(self, commit: Commit, expected: ExpectedVersion) -> bool:
        """Whether the commit can only be stored behind the version that is expected, and is whole."""
        return (
            isinstance(expected, int)
            and commit.first == expected + 1
            and is_whole(commit)
            and (expected > 0 or commit.previous == genesis(self.namespace, commit.stream).checksum)
        )

    def _row(self, commit: Commit, entry: Entry | None) -> tuple[Any, ...]:
        """The arguments of ``append`` on the server."""
        if entry is None and commit.first == 1:
            entry = bare_entry(commit)
        return (
            self._rows.lock(commit.stream),
            self._rows.space,
            self.namespace,
            commit.stream,
            commit.first,
            commit.count,
            commit.id,
            commit.at,
            commit.schema,
            commit.data,
            commit.previous,
            commit.checksum,
            commit.erased,
            self._rows.seal(commit.stream, commit.head),
            *((None,) * 6 if entry is None else self._rows.entry_row(commit.stream, entry)),
        )

    async def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        self._check_writable()
        if len(appends) >= 2**POSITION_BITS:
            raise InvalidInput(f"a group has at most {2**POSITION_BITS - 1} appends, not {len(appends)}")
        if not appends:
            return []
        return await self._server.run(lambda connection: self._append_together(connection, appends), writes=True)

    async def _append_together(self, connection: Connection, appends: Sequence[Append]) -> list[Appended | Exception]:
        async with connection.transaction(isolation="read_committed"):
            streams = await self._locked(connection, [append.commit.stream for append in appends])
            return await self._append_locked(connection, streams, appends)

    async def _locked(self, connection: Connection, ids: Iterable[str]) -> dict[str, _Stream]:
        """The rows of streams, once their locks are held; those that have none as new ones."""
        names = sorted({id for id in ids if is_possible(id)})
        locks = sorted({self._rows.lock(name) for name in names})
        rows = await connection.fetch(
            self._sql("SELECT * FROM {schema}.locked($1, $2, $3)"), locks, self._rows.space, names
        )
        streams = {name: _Stream(None, None, []) for name in names}
        for row in rows:
            head = self._rows.checked((row["id"], row["version"], row["checksum"], row["deleted"], row["seal"]))
            streams[row["id"]] = _Stream(row["key"], head, list(row["facets"]), deleted=row["deleted"])
        return streams

    async def _append_locked(
        self, connection: Connection, streams: dict[str, _Stream], appends: Sequence[Append]
    ) -> list[Appended | Exception]:
        """Place the commits one by one, then write what was taken; each answer, or refusal."""
        stored = await self._stored(connection, appends)
        known = dict(stored)
        answers = [outcome(lambda append=append: self._take(streams, known, append)) for append in appends]  # type: ignore[misc]
        taken = [commit for stream in streams.values() for commit in stream.commits]
        if taken:
            order = {(commit.stream, commit.id): commit for commit in taken}
            start: int = await connection.fetchval(self._sql("SELECT {schema}.place()"))
            sequence = [key for key in known if key in order]
            positions = {key: start + number for number, key in enumerate(sequence)}
            await self._write(connection, streams, positions)
            answers = [_positioned(answer, positions) for answer in answers]
        await self._answer_for(connection, streams, set(stored) & {key_of(each.commit) for each in appends})
        return answers

    def _take(self, streams: dict[str, _Stream], known: dict[tuple[str, bytes], Commit], append: Append) -> Appended:
        """Put a commit behind its stream's head, or refuse it."""
        _check_payload(append.commit)
        stream = streams[append.commit.stream]
        if stream.deleted:
            raise ConversationDeleted(append.commit.stream)
        stored = known.get(key_of(append.commit))
        if stored is not None:
            return repeated(append.commit, stored)
        commit = placed(append.commit, stream.head, append.expected, self.namespace)
        entry = append.entry
        if entry is None and stream.head is None:
            entry = bare_entry(commit)
        stream.head, stream.entry = commit.head, entry or stream.entry
        stream.commits.append(commit)
        known[key_of(commit)] = commit
        return Appended(commit)

    async def _stored(self, connection: Connection, appends: Sequence[Append]) -> dict[tuple[str, bytes], Commit]:
        """Those of the commits that are there already, by stream and id."""
        wanted = [each.commit for each in appends if is_possible(each.commit.stream)]
        streams, ids = [each.stream for each in wanted], [each.id for each in wanted]
        rows = await connection.fetch(self._sql(_BY_ID), self._rows.space, streams, ids)
        found = [commit_of(row["stream"], row) for row in rows]
        for commit in found:
            check_whole(commit)
        return {key_of(commit): commit for commit in found}

    async def _write(
        self, connection: Connection, streams: dict[str, _Stream], positions: dict[tuple[str, bytes], int]
    ) -> None:
        """Write what was taken: new rows of streams, new heads, entries, commits."""
        changed = {name: stream for name, stream in streams.items() if stream.commits}
        new = [self._stream_row(name, stream) for name, stream in changed.items() if stream.key is None]
        await connection.executemany(self._sql(_NEW_STREAM), new)
        heads, entries = [], []
        keys = await self._keys(connection, list(changed))
        for name, stream in changed.items():
            if stream.key is not None and stream.head is not None:
                heads.append(
                    (stream.key, stream.head.version, stream.head.checksum, self._rows.seal(name, stream.head))
                )
                if stream.entry is not None:
                    entries.append((stream.key, *self._rows.entry_row(name, stream.entry)))
        await connection.executemany(self._sql(_SET_HEAD), heads)
        await connection.executemany(self._sql(_SET_ENTRY), entries)
        facets = [
            (keys[name], stream.facets, self._rows.facets(stream.entry.metadata))
            for name, stream in changed.items()
            if stream.entry is not None
        ]
        await self._put_facets(connection, facets)
        rows = [
            self._rows.commit_row(keys[name], commit, positions[key_of(commit)])
            for name, stream in changed.items()
            for commit in stream.commits
        ]
        await connection.executemany(self._sql(_NEW_COMMIT), rows)

    def _stream_row(self, name: str, stream: _Stream) -> tuple[Any, ...]:
        assert stream.head is not None
        assert stream.entry is not None
        head = stream.head
        columns = self._rows.entry_row(name, stream.entry)
        return (
            self._rows.space,
            self.namespace,
            name,
            head.version,
            head.checksum,
            self._rows.seal(name, head),
            *columns,
        )

    async def _keys(self, connection: Connection, names: list[str]) -> dict[str, int]:
        statement = "SELECT id, key FROM {schema}.streams WHERE space = $1 AND id = ANY ($2)"
        return {row["id"]: row["key"] for row in await connection.fetch(self._sql(statement), self._rows.space, names)}

    async def _put_facets(
        self, connection: Connection, changes: Iterable[tuple[int, list[bytes], list[bytes]]]
    ) -> None:
        """Put other digests in place of those that streams were found by: key, before and after."""
        gone, new = [], []
        for key, before, after in changes:
            if before != after:
                gone += [(digest, key) for digest in before]
                new += [(digest, key) for digest in after]
        await connection.executemany(self._sql("DELETE FROM {schema}.facets WHERE digest = $1 AND stream = $2"), gone)
        await connection.executemany(self._sql("INSERT INTO {schema}.facets (digest, stream) VALUES ($1, $2)"), new)

    async def _answer_for(
        self, connection: Connection, streams: dict[str, _Stream], stored: set[tuple[str, bytes]]
    ) -> None:
        """Write the rows of streams once more, so that waiting for this transaction waits for what was there too."""
        keys = [streams[name].key for name, _ in stored]
        if keys:
            await connection.execute(
                self._sql("UPDATE {schema}.streams SET version = version WHERE key = ANY ($1)"), keys
            )

    async def delete(self, stream: str) -> bool:
        self._check_writable()
        tries = 0

        async def work(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            async with connection.transaction(isolation="read_committed"):
                found = await self._one_locked(connection, stream, deleted=tries > 1)
                if found is None or found.key is None or found.head is None:
                    return False
                await self._delete(connection, found.key, stream, found)
                return True

        return await self._server.run(work, writes=True)

    async def _delete(self, connection: Connection, key: int, name: str, found: _Stream) -> None:
        assert found.head is not None
        await connection.execute(self._sql("DELETE FROM {schema}.commits WHERE stream = $1"), key)
        await connection.execute(self._sql("DELETE FROM {schema}.snapshots WHERE stream = $1"), key)
        await connection.execute(self._sql("DELETE FROM {schema}.drafts WHERE stream = $1"), key)
        await self._put_facets(connection, [(key, found.facets, [])])
        await connection.execute(self._sql(_DELETED), key, self._rows.seal(name, found.head, deleted=True))

    async def _one_locked(self, connection: Connection, name: str, *, deleted: bool = False) -> _Stream | None:
        """A stream under its lock; None if there is none. Raises ``ConversationDeleted``, unless told not to."""
        found = (await self._locked(connection, [name])).get(name)
        if found is not None and found.deleted and not deleted:
            raise ConversationDeleted(name)
        return found if found is not None and found.key is not None else None

    async def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        self._check_writable()
        append = Append(commit=commit, expected=expected, entry=entry)

        async def work(connection: Connection) -> Appended:
            async with connection.transaction(isolation="read_committed"):
                streams = await self._locked(connection, [commit.stream])
                (answer,) = await self._append_locked(connection, streams, [append])
                if isinstance(answer, Exception):
                    raise answer
                if not answer.deduplicated:
                    await self._erase(connection, commit, erasures)
                return answer

        return await self._server.run(work, writes=True)

    async def _erase(self, connection: Connection, commit: Commit, erasures: Sequence[Erasure]) -> None:
        key = (await self._keys(connection, [commit.stream]))[commit.stream]
        await connection.execute(self._sql("DELETE FROM {schema}.snapshots WHERE stream = $1"), key)
        for erasure in erasures:
            statement = f"SELECT {COMMIT} FROM {{schema}}.commits c WHERE c.stream = $1 AND c.first = $2"
            rows = await connection.fetch(self._sql(statement), key, min(erasure.first, INTEGER_MAX))
            found = {row["first"]: commit_of(commit.stream, row) for row in rows}
            wanted = erasable(commit, found, erasure)
            check_whole(wanted)
            erased = erase(wanted, erasure.data)
            await connection.execute(
                self._sql("UPDATE {schema}.commits SET data = $3, erased = $4 WHERE stream = $1 AND first = $2"),
                key,
                erased.first,
                erased.data,
                erased.erased,
            )

    async def put_entry(self, entry: Entry) -> bool:
        self._check_writable()

        async def work(connection: Connection) -> bool:
            async with connection.transaction(isolation="read_committed"):
                found = await self._one_locked(connection, entry.id)
                if found is None or found.key is None or found.head is None or found.head.version != entry.version:
                    return False
                row = self._rows.entry_row(entry.id, entry)
                await connection.execute(self._sql(_SET_ENTRY), found.key, *row)
                await self._put_facets(connection, [(found.key, found.facets, row[-1])])
                return True

        return await self._server.run(work, writes=True)

    async def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        self._check_writable()
        if len(snapshot.data) > PAYLOAD_BYTES_MAX:
            return False  # it is a cache: a stream too large for one is read instead

        async def work(connection: Connection) -> bool:
            async with connection.transaction(isolation="read_committed"):
                found = await self._one_locked(connection, stream)
                if found is None or found.head != Head(snapshot.version, snapshot.checksum):
                    return False
                after, version, checksum, fingerprint, data, seal = msgspec.structs.astuple(snapshot)
                row = (found.key, after, version, checksum, fingerprint.encode(), data, seal)
                await connection.execute(self._sql(_PUT_SNAPSHOT), *row)
                return True

        return await self._server.run(work, writes=True)

    async def drop_snapshots(self, stream: str) -> int:
        self._check_writable()

        async def work(connection: Connection) -> int:
            async with connection.transaction(isolation="read_committed"):
                found = await self._one_locked(connection, stream)
                if found is None:
                    return 0
                statement = "DELETE FROM {schema}.snapshots WHERE stream = $1 RETURNING version"
                return len(await connection.fetch(self._sql(statement), found.key))

        return await self._server.run(work, writes=True)

    async def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        self._check_writable()
        check_draft(draft, number)

        async def work(connection: Connection) -> None:
            async with connection.transaction(isolation="read_committed"):
                found = await self._one_locked(connection, stream)
                if found is None:
                    raise ConversationNotFound(stream)
                await connection.execute(self._sql(_PUT_PIECE), found.key, draft, number, piece)

        await self._server.run(work, writes=True)

    async def drop_draft(self, stream: str, draft: bytes) -> bool:
        self._check_writable()

        async def work(connection: Connection) -> bool:
            async with connection.transaction(isolation="read_committed"):
                found = await self._one_locked(connection, stream)
                if found is None:
                    return False
                statement = "DELETE FROM {schema}.drafts WHERE stream = $1 AND id = $2 RETURNING number"
                return bool(await connection.fetch(self._sql(statement), found.key, draft))

        return await self._server.run(work, writes=True)

    # Reading.

    async def drafts(self, stream: str) -> list[Draft]:
        if not is_possible(stream):
            return []
        rows = await self._fetch(
            self._sql(
                f"SELECT {STREAM}, d.id AS draft, d.number, d.data FROM"
                " {schema}.streams s LEFT JOIN {schema}.drafts d ON d.stream = s.key WHERE s.space = $1 AND s.id = $2"
            ),
            self._rows.space,
            stream,
        )
        if rows:
            self._rows.living(rows[0])
        return drafts_of((row["draft"], row["number"], row["data"]) for row in rows if row["draft"] is not None)

    async def head(self, stream: str) -> Head | None:
        row = await self._row_of(stream, STREAM)
        return None if row is None else self._rows.living(row)

    async def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        self._server.check_open()
        if not is_possible(stream):
            return []
        after, end = max(after, 0), INTEGER_MAX if until is None else until
        values = (min(after, INTEGER_MAX - 1), max(min(end, INTEGER_MAX), 0), _limit(limit))
        statement = self._sql(_READ.replace("WAY", "DESC" if backward else "ASC"))
        rows = await self._fetch(statement, self._rows.space, stream, *values)
        if not rows:
            return []
        head = self._rows.living(rows[0])
        last = min(end, head.version)
        if after >= last or values[-1] == 0:
            return []
        commits = [commit_of(stream, row) for row in rows if row["position"] is not None]
        commits.sort(key=_FIRST, reverse=backward)  # as they are already, though a join does not promise it
        forward = commits[::-1] if backward else commits
        full = limit is not None and len(commits) >= limit
        self._check_reaches(
            stream, forward, None if full and backward else after, None if full and not backward else last
        )
        self._check_chain(stream, forward)
        if forward[-1].last >= head.version and forward[-1].head != head:
            raise CorruptLog(f"{stream!r}", f"the commits end otherwise than the stream does at {head.version}")
        return commits

    async def payloads(self, stream: str, *, after: int, until: int) -> bytes:
        if not is_possible(stream):
            return b""
        statement = (
            "SELECT c.data FROM {schema}.streams s JOIN {schema}.commits c ON c.stream = s.key"
            " WHERE s.space = $1 AND s.id = $2 AND c.first > $3 AND c.first <= $4 ORDER BY c.first"
        )
        rows = await self._fetch(self._sql(statement), self._rows.space, stream, after, until)
        return b"\n".join(data for (data,) in rows)

    def _check_reaches(self, stream: str, commits: list[Commit], after: int | None, last: int | None) -> None:
        """Raise ``CorruptLog`` if commits do not reach from the one version to the other, where these are given."""
        if not commits or (after is not None and not commits[0].first <= after + 1 <= commits[0].last):
            raise CorruptLog(f"{stream!r}", f"the commit at version {(after or 0) + 1} is missing")
        if last is not None and not commits[-1].first <= last <= commits[-1].last:
            raise CorruptLog(f"{stream!r}", f"the commit at version {last} is missing")

    def _check_chain(self, stream: str, commits: list[Commit]) -> None:
        """Raise ``CorruptLog`` if a commit is not as it was written, or not behind the one before."""
        start = commits[0]
        before = Head(start.first - 1, start.previous)
        for _ in verified(commits, genesis(self.namespace, stream) if start.first <= 1 else before):
            pass

    async def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        self._server.check_open()
        statement = self._sql(_READ_ALL)
        rows = await self._fetch(statement, self._rows.space, max(min(after, INTEGER_MAX), -INTEGER_MAX), _limit(limit))
        ends: dict[str, bytes] = {}
        commits = []
        for row in rows:
            if row["id"] is None:
                raise CorruptLog(f"commit at position {row['position']}", "there is no conversation that it belongs to")
            commit = commit_of(row[0], row)
            self._check_chain(commit.stream, [commit])
            if commit.previous != ends.get(commit.stream, commit.previous):
                raise CorruptLog(f"commit at position {commit.position}", "commits are missing before it")
            ends[commit.stream] = commit.checksum
            commits.append(commit)
        return commits

    async def entry(self, stream: str) -> Entry | None:
        row = await self._row_of(stream, ENTRY)
        return None if row is None else self._rows.entry(row)

    async def entries(self, query: Query) -> list[Entry]:
        self._server.check_open()
        where, values = self._having(query.metadata)
        way, sign = ("DESC", "<") if query.descending else ("ASC", ">")
        columns = {"id": ["id"], "title": ["substring(title FROM 1 FOR 200)", "title", "id"]}
        ordered = columns.get(query.order, [query.order, "id"])
        if query.after is not None:
            marks = ", ".join(f"${len(values) + number}" for number in range(1, len(ordered) + 1))
            where += f" AND ({', '.join(ordered)}) {sign} ({marks})"
            values += _behind(query)
        values.append(_limit(query.limit))
        order = ", ".join(f"{column} {way}" for column in ordered)
        statement = f"SELECT {ENTRY} FROM {{schema}}.streams s WHERE {where} ORDER BY {order} LIMIT ${len(values)}"
        return [self._rows.entry(row) for row in await self._fetch(self._sql(statement), *values)]

    async def count(self, metadata: dict[str, Any]) -> int:
        self._server.check_open()
        where, values = self._having(metadata)
        rows = await self._fetch(self._sql(f"SELECT count(*) FROM {{schema}}.streams s WHERE {where}"), *values)
        count: int = rows[0][0]
        return count

    def _having(self, metadata: dict[str, Any]) -> tuple[str, list[Any]]:
        where, values = "space = $1 AND NOT deleted", [self._rows.space]
        for digest in self._rows.facets(metadata):
            values.append(digest)
            where += f" AND key IN (SELECT f.stream FROM {{schema}}.facets f WHERE f.digest = ${len(values)})"
        return where, values

    async def namespaces(self) -> list[str]:
        return [row["namespace"] for row in await self._fetch(self._sql(_NAMESPACES))]

    async def snapshots(self, stream: str) -> list[Snapshot]:
        if not is_possible(stream):
            return []
        rows = await self._fetch(
            self._sql(
                f"SELECT {STREAM}, n.after, n.version, n.checksum, n.fingerprint, n.data, n.seal FROM"
                " {schema}.streams s LEFT JOIN {schema}.snapshots n ON n.stream = s.key"
                " WHERE s.space = $1 AND s.id = $2 ORDER BY n.version"
            ),
            self._rows.space,
            stream,
        )
        if rows:
            self._rows.living(rows[0])
        found = [tuple(row)[5:] for row in rows if row["after"] is not None]
        return [
            Snapshot(after, version, checksum, fingerprint.decode(errors="replace"), data, seal)
            for after, version, checksum, fingerprint, data, seal in found
        ]

    async def examine(self) -> Examination:
        return await self._server.run(lambda connection: examined(connection, self._server))

    # What these share.

    def _sql(self, statement: str) -> str:
        """A statement with the schema's name in it."""
        found = self._statements.get(statement)
        if found is None:
            found = self._statements[statement] = named(statement, self._server.place.schema)
        return found

    async def _fetch(self, statement: str, *values: Any) -> list[Any]:
        return await self._server.run(lambda connection: connection.fetch(statement, *values))

    async def _row_of(self, stream: str, columns: str) -> Any:
        self._server.check_open()
        if not is_possible(stream):
            return None
        rows = await self._fetch(self._sql(f"SELECT {columns} {_WHERE}"), self._rows.space, stream)
        return rows[0] if rows else None

    def _check_writable(self) -> None:
        self._server.check_open()
        if self._read_only:
            raise BackendError(f"{self._server.place.shown}: it was opened read-only; nothing was written")


async def _opened(connection: Connection, server: Server, *, create: bool, read_only: bool) -> None:
    """Look at the server that the first connection leads to, and make sure that the store is there."""
    found = await look_at_server(connection, server.place)
    await prepare(connection, server.place, create=create, read_only=read_only)
    server.durable = found["fsync"] == "on" and found["waits"] != "off"
    direct = found["process"] == connection.get_server_pid()  # a pooler gives another number than the server's
    server.prepared = direct if server.place.prepared is None else server.place.prepared
    if found["isolation"] != "read committed":
        if not direct:
            raise BackendError(
                f"{server.place.shown}: transactions are {found['isolation']} here, and a pooler keeps us from asking"
                " for others: ALTER ROLE ... SET default_transaction_isolation = 'read committed'"
            )
        server.settings["default_transaction_isolation"] = "read committed"


def _check_payload(commit: Commit) -> None:
    """Raise ``InvalidInput`` for a commit that cannot be stored here."""
    check_commit(commit)
    if len(commit.data) > PAYLOAD_BYTES_MAX:
        raise InvalidInput(
            f"a commit in PostgreSQL has at most {PAYLOAD_BYTES_MAX} bytes, not {len(commit.data)}; save more often"
        )


def _positioned(answer: Appended | Exception, positions: dict[tuple[str, bytes], int]) -> Appended | Exception:
    """The answer with the position that its commit got."""
    if not isinstance(answer, Appended) or answer.commit.position:
        return answer
    commit = msgspec.structs.replace(answer.commit, position=positions[key_of(answer.commit)])
    return Appended(commit, answer.deduplicated)


def _limit(limit: int | None) -> int:
    return INTEGER_MAX if limit is None else max(min(limit, INTEGER_MAX), 0)


def _behind(query: Query) -> list[Any]:
    """The values of ``after``, as the columns are compared."""
    assert query.after is not None
    value, id = query.after
    if query.order == "id":
        return [id]
    if query.order == "title":
        title = str(value).encode()
        return [title[:200], title, id]
    return [value, id]
