"""The log in a PostgreSQL database."""

import asyncio
import hashlib
import json
import random
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from itertools import count, pairwise
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from msgspec.structs import replace
from servers.pooler import Pooler
from servers.postgres import TRUSTED, Server, a_folder, a_server, programs
from servers.proxy import Proxy

import branchlog
from branchlog import _steps
from branchlog._core.same import different
from branchlog.commit import Head, genesis, seal
from branchlog.errors import (
    BackendError,
    CommitIdReused,
    ConversationDeleted,
    CorruptLog,
    InvalidInput,
    LogClosed,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
    VersionConflict,
)
from branchlog.logs import postgres
from branchlog.logs._postgres import examination as postgres_examination
from branchlog.logs._postgres import layout as postgres_layout
from branchlog.logs._postgres import server as postgres_server
from branchlog.logs.base import Abilities, Append, AsyncLog, Erasure, Expected, Query
from branchlog.logs.postgres import PostgresLog
from branchlog.store import AsyncStore, Store
from branchlog.testing import LogContract, LogMachine, StoreContract, bridged
from branchlog.testing.contract import an_entry, put

ABILITIES = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=False, drafts=True)

NUMBERS = count(1)


@pytest.fixture(scope="session")
def server():
    """One server for all tests of this worker."""
    with a_server() as running:
        running.ask(f"CREATE ROLE {TRUSTED} LOGIN")
        running.ask(f"GRANT CREATE ON DATABASE postgres TO {TRUSTED}")
        yield running


@pytest.fixture
def place():
    """A schema of its own on the server."""
    return f"test_{next(NUMBERS)}"


@pytest.fixture
def schema(place):
    """The same, by a name that some cases of the contract have for something else."""
    return place


@pytest.fixture
def url(server, place):
    return f"{server.url()}?schema={place}"


@pytest.fixture
def open_log(url):
    return lambda namespace="": bridged(lambda: PostgresLog.connect(url, namespace=namespace))


class Contract(LogContract):
    abilities = ABILITIES

    def need(self, ability):
        """What was redacted is not read any more, though it stays in the server's files for a while."""
        if ability != "erases":
            super().need(ability)


class TestPostgresLog(Contract):
    @pytest.fixture
    def open_log(self, open_log):
        return open_log


class TestConversationsInPostgres(StoreContract):
    abilities = ABILITIES

    @pytest.fixture
    def open_log(self, open_log):
        return open_log

    def test_text_that_was_changed(self, store, open_log, server, schema):
        """A payload that was changed in the table is an error, and never another message."""
        chat = store.create("trip")
        chat.say("user", "from Kyoto to Osaka")
        store.save(chat)
        store.close()
        server.ask(
            f"UPDATE {schema}.commits SET data = convert_to(replace(convert_from(data, 'UTF8'),"
            " 'from Kyoto to Osaka', 'from Osaka to Kyoto'), 'UTF8')"
        )
        with Store(open_log()) as again:
            for call in (lambda: again.load("trip"), lambda: again.messages("trip"), again.changes):
                with pytest.raises(CorruptLog):
                    call()


class PostgresLogMachine(LogMachine):
    server = None

    def open_log(self, folder):
        schema = f"m_{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"
        return bridged(lambda: PostgresLog.connect(f"{self.server.url()}?schema={schema}"))


def test_beside_the_oracle(server):
    """The log answers as the log in memory does, whatever it is told."""
    PostgresLogMachine.server = server
    case = PostgresLogMachine.TestCase
    case.settings = settings(case.settings, max_examples=max(10, settings().max_examples // 10))
    case("runTest").runTest()


# What the tests share.


def commit_behind(log, stream, head=None, *, id=None, data=b'[{"n":1}]'):
    """A commit of one event behind a head."""
    head = head or genesis(log.namespace, stream)
    return seal(stream, head, count=1, id=id or uuid4().bytes, at=1, schema="1.0.0", data=data)


async def grown(log, stream, length):
    """Append commits of one event each; gives them as they were stored."""
    head, stored = genesis(log.namespace, stream), []
    for number in range(length):
        commit = commit_behind(log, stream, head, data=b'[{"n":%d}]' % number)
        stored.append((await log.append(commit, expected=head.version, entry=an_entry(stream))).commit)
        head = commit.head
    return stored


async def until(asked):
    """Ask again and again until the answer is yes."""
    while not await asked():  # noqa: ASYNC110 - what is awaited happens in another process
        await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(url, **options):
    log = await PostgresLog.connect(url, **options)
    try:
        yield log
    finally:
        await log.close()


def with_log(url, work, **options):
    """Open a log, await work with it, and close it."""

    async def run():
        async with opened(url, **options) as log:
            return await work(log)

    return asyncio.run(run())


def check_stored(told, commits):
    """Each commit that was acknowledged is there exactly once, each writer's in their own order."""
    ids = [commit.id for commit in commits]

    assert Counter(ids) == Counter(id for own in told for id in own)
    places = {id: number for number, id in enumerate(ids)}
    for own in told:
        assert [places[id] for id in own] == sorted(places[id] for id in own)


# The tables themselves.


def test_is_an_async_log(url):
    """It has the methods of the port, no blocking twin, and cannot be opened again by itself."""

    async def work(log):
        assert isinstance(log, AsyncLog)
        assert log.blocking is None

    with_log(url, work)
    log = bridged(lambda: PostgresLog.connect(url))
    log.close()
    with pytest.raises(LogClosed):
        log.reopened()


def test_what_is_in_the_tables(server, url, schema):
    """The rows are what was appended, byte for byte; the catalog's as JSON; one digest for each key of the metadata."""

    async def work(log):
        first = await log.append(
            commit_behind(log, "trip", data=b'[{ "n" : 1.0, "t" : "\\u0000" }]'),
            expected=0,
            entry=an_entry("trip", title="A\0B", metadata={"a": [1], "\0": "\0"}),
        )
        return [first.commit, (await log.append(commit_behind(log, "trip", first.commit.head), expected=1)).commit]

    written = with_log(url, work)
    columns = "position, first, count, id, at, schema, data, previous, checksum, erased"

    assert server.ask(f"SELECT {columns} FROM {schema}.commits ORDER BY first") == [
        (c.position, c.first, c.count, c.id, c.at, c.schema, c.data, c.previous, c.checksum, b"") for c in written
    ]
    ((namespace, id, version, title, entry, facets),) = server.ask(
        f"SELECT namespace, id, version, title, entry, facets FROM {schema}.streams"
    )
    assert (namespace, id, version, title, len(facets)) == ("", "trip", 2, b"A\0B", 2)
    assert json.loads(entry)["metadata"] == {"a": [1], "\0": "\0"}
    assert {digest for (digest,) in server.ask(f"SELECT digest FROM {schema}.facets")} == set(facets)
    assert server.ask(f"SELECT application, layout FROM {schema}.meta") == [("branchlog", 1)]


def test_metadata_that_changed_leaves_no_digest(server, url, schema):
    """However often metadata changes, the digests are those of what it is now; deletion takes them away."""
    digests = f"SELECT digest FROM {schema}.facets"

    async def work(log):
        head = genesis("", "trip")
        for metadata in ({"a": 1}, {"a": 1, "b": 2}, {}, {"c": 3}):
            commit = commit_behind(log, "trip", head)
            await log.append(commit, expected=head.version, entry=an_entry("trip", metadata=metadata))
            head = commit.head
            assert len(await server.asked(digests)) == len(metadata)
        await log.delete("trip")
        assert await server.asked(digests) == []

    with_log(url, work)


DAMAGE = {
    "payload": "UPDATE {s}.commits SET data = set_byte(data, 3, 0) WHERE first = 2",
    "time": "UPDATE {s}.commits SET at = at + 1 WHERE first = 2",
    "vocabulary": "UPDATE {s}.commits SET schema = '1.0.1' WHERE first = 2",
    "id": "UPDATE {s}.commits SET id = set_byte(id, 0, get_byte(id, 0) # 1) WHERE first = 2",
    "checksum": "UPDATE {s}.commits SET checksum = set_byte(checksum, 0, get_byte(checksum, 0) # 1) WHERE first = 2",
    "previous": "UPDATE {s}.commits SET previous = set_byte(previous, 0, get_byte(previous, 0) # 1) WHERE first = 2",
    "first missing": "DELETE FROM {s}.commits WHERE first = 1",
    "one missing": "DELETE FROM {s}.commits WHERE first = 2",
    "last missing": "DELETE FROM {s}.commits WHERE first = 3",
    "erasure": "UPDATE {s}.commits SET erased = '\\x0102' WHERE first = 2",
    "head": "UPDATE {s}.streams SET version = 2",
    "head's checksum": "UPDATE {s}.streams SET checksum = set_byte(checksum, 0, get_byte(checksum, 0) # 1)",
    "deleted": "UPDATE {s}.streams SET deleted = true",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_an_error(server, url, schema, statement):
    """A row that is not as it was written is an error, forward and backward, and never another conversation."""
    with_log(url, lambda log: grown(log, "trip", 3))
    server.ask(statement.format(s=schema))

    async def work(log):
        for backward in (False, True):
            with pytest.raises(CorruptLog):
                await log.read("trip", backward=backward)

    with_log(url, work)


@pytest.mark.parametrize("column", ["title", "entry", "entry_seal", "seal"])
def test_damage_in_the_catalog(server, url, schema, column):
    """An entry that is not as it was written is an error."""

    async def work(log):
        await log.append(commit_behind(log, "trip"), expected=0, entry=an_entry("trip", title="Kyoto"))
        await server.asked(f"UPDATE {schema}.streams SET {column} = set_byte({column}, 2, 33)")
        for call in (log.entry("trip"), log.entries(Query())):
            with pytest.raises(CorruptLog):
                await call

    with_log(url, work)


@pytest.mark.parametrize("statement", ["DELETE FROM {s}.streams", "DELETE FROM {s}.commits WHERE first = 2"])
def test_damage_in_the_whole(server, url, schema, statement):
    """Commits that belong to no conversation, or between which one is missing, are seen by who reads everything."""
    with_log(url, lambda log: grown(log, "trip", 3))
    server.ask(statement.format(s=schema))
    with pytest.raises(CorruptLog):
        with_log(url, lambda log: log.read_all())


def test_redacted_rows(server, url, schema):
    """After a redaction no row has what was said, and all verifies."""

    async def work(log):
        (stored,) = await grown(log, "trip", 1)
        await log.redact(
            commit_behind(log, "trip", stored.head), expected=1, erasures=[Erasure(first=1, data=b'[{"gone":1}]')]
        )
        assert (await log.read("trip"))[0].data == b'[{"gone":1}]'
        assert (await server.asked(f"SELECT data FROM {schema}.commits WHERE first = 1")) == [(b'[{"gone":1}]',)]
        return await log.delete("trip")

    assert with_log(url, work)
    assert server.ask(f"SELECT count(*) FROM {schema}.commits") == [(0,)]


def found_by(number):
    return {"title": f"{number:04}", "updated": number, "metadata": {"n": number}}


def test_lists_use_the_indexes(server, url, schema):
    """The newest fifty of many, and those with some metadata, are found without going through all of them."""

    async def work(log):
        appends = [
            Append(commit=commit_behind(log, f"{n}"), expected=0, entry=an_entry(f"{n}", **found_by(n)))
            for n in range(3_000)
        ]
        await log.append_group(appends)
        await server.asked(f"ANALYZE {schema}.streams, {schema}.facets, {schema}.commits")
        plans = []
        fetch = log._fetch

        async def explained(statement, *values):
            plans.append("\n".join(row[0] for row in await fetch(f"EXPLAIN {statement}", *values)))
            return await fetch(statement, *values)

        log._fetch = explained
        assert [each.id for each in await log.entries(Query(limit=2))] == ["2999", "2998"]
        assert [each.id for each in await log.entries(Query(metadata={"n": 7}))] == ["7"]
        assert len(await log.entries(Query(order="title", limit=2))) == 2
        assert len(await log.read("17")) == 1
        assert len(await log.read_all(after=(await log.read("2990"))[0].position)) == 9
        assert await log.namespaces() == [""]
        return plans

    plans = with_log(url, work)

    assert "streams_by_updated" in plans[0]
    assert "facets_pkey" in plans[1]
    assert "streams_by_title" in plans[2]
    assert "commits_stream_first_key" in plans[3]
    assert all("Seq Scan on streams" not in plan and "Seq Scan on commits" not in plan for plan in plans)


# Positions.


def test_an_open_transaction_is_waited_for(server, url):
    """Who reads on does not see past a transaction that is open, and misses nothing when it ends."""

    async def work(log):
        await grown(log, "before", 1)
        late = await asyncpg.connect(server.url())
        transaction = late.transaction()
        await transaction.start()
        await late.fetchval(log._append, *log._row(commit_behind(log, "late"), None))
        await grown(log, "after", 1)
        seen = [each.stream for each in await log.read_all()]
        naive = await server.asked(log._sql("SELECT max(position) FROM {schema}.commits"))
        await transaction.commit()
        await late.close()
        then = await log.read_all()

        assert seen == ["before"]
        assert [each.stream for each in then] == ["before", "late", "after"]
        assert naive == [(then[-1].position,)], "the later one was there to be seen by one who does not wait"

    with_log(url, work)


async def tail_naively(url, schema, seen, done):
    """Read on from the highest position, whatever may come below it."""
    connection = await asyncpg.connect(url)
    last = False
    while not last:
        last = done.is_set()
        statement = f"SELECT position, id FROM {schema}.commits WHERE position > $1 ORDER BY position"
        seen.extend(await connection.fetch(statement, seen[-1]["position"] if seen else 0))
    await connection.close()


def test_tailing_misses_nothing(server, url, schema):
    """Writers who wait and roll back at random: who reads on gets each commit once; a naive one not."""
    told, tailed, naive = [], [], []
    done = asyncio.Event()

    async def write(log, number):
        choose = random.Random(number)
        for _ in range(40):
            stream = f"s{choose.randrange(6)}"
            refused, pause = choose.random() < 0.1, choose.random() * 0.006

            async def work(connection, stream=stream, refused=refused, pause=pause):
                transaction = connection.transaction()
                await transaction.start()
                head = await connection.fetchrow(
                    f"SELECT version, checksum FROM {schema}.streams WHERE id = $1", stream
                )
                commit = commit_behind(log, stream, head and Head(*head))
                place = await connection.fetchval(log._append, *log._row(commit, None))
                await asyncio.sleep(pause)
                await (transaction.rollback() if refused else transaction.commit())
                return None if refused or place <= 0 else commit.id

            stored = await log._server.run(work)
            if stored:
                told.append(stored)

    async def tail(log):
        last = False
        while not last:
            last = done.is_set()
            while page := await log.read_all(after=tailed[-1].position if tailed else 0, limit=7):
                tailed.extend(page)

    async def work(log):
        readers = [asyncio.create_task(tail(log)), asyncio.create_task(tail_naively(server.url(), schema, naive, done))]
        await asyncio.gather(*(write(log, number) for number in range(8)))
        done.set()
        await asyncio.gather(*readers)
        return {f"s{number}": await log.read(f"s{number}") for number in range(6)}

    streams = with_log(url, work)
    ids = [commit.id for commit in tailed]

    assert Counter(ids) == Counter(told)
    assert {name: [each for each in tailed if each.stream == name] for name in streams} == streams
    assert all(one.position < two.position for one, two in pairwise(tailed))
    assert len(naive) < len(told), "the control saw everything: the delays are too short to prove anything"


def test_the_lock_comes_first(server, url):
    """In a transaction that has written already the functions refuse: its position would be too low."""

    async def work(log):
        connection = await asyncpg.connect(server.url())
        for call in (
            connection.fetchval(log._append, *log._row(commit_behind(log, "late"), None)),
            connection.fetch(log._sql("SELECT * FROM {schema}.locked($1, $2, $3)"), [1], b"", ["late"]),
        ):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("SELECT pg_current_xact_id()")
            with pytest.raises(asyncpg.RaiseError, match="the lock of a stream comes first"):
                await call
            await transaction.rollback()
        await connection.close()
        assert await log.head("late") is None

    with_log(url, work)


@pytest.mark.parametrize("by", ["opening", "append", "group"])
def test_positions_after_transactions_are_counted_anew(server, url, schema, by):
    """In a store whose transactions have lower numbers than its positions say, positions still increase."""

    async def work(log):
        stored = await grown(log, "trip", 3)
        await server.asked(f"UPDATE {schema}.commits SET position = position + (1::bigint << 50)")
        high = [each.position + 2**50 for each in stored]
        await server.asked(f"UPDATE {schema}.meta SET written = '7'")  # as in a row that a dump brought
        assert [each.position for each in await log.read_all()] == high, "all that was restored is seen at once"
        if by == "opening":
            async with opened(url):
                pass
        commit = commit_behind(log, "trip", stored[-1].head)
        if by == "group":
            await log.append_group([Append(commit=commit, expected=3)])
        else:
            await log.append(commit, expected=3)
        seen = await log.read_all(after=high[-1])
        assert [each.id for each in seen] == [commit.id]
        assert len(await log.read_all()) == 4

    with_log(url, work)
    ((settled,),) = server.ask(f"SELECT xmin = written::xid FROM {schema}.meta")
    assert settled


def test_dumped_and_restored(server, url, schema):
    """A dump that is restored on a server with fewer transactions keeps positions, and goes on above them."""
    burn = "DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    server.ask(burn)
    before = with_log(url, lambda log: grown(log, "trip", 3))
    dump = [str(programs() / "pg_dump"), "-d", server.url(), "-n", schema]
    text = subprocess.run(dump, capture_output=True, check=True).stdout
    with a_server() as other:
        restore = [str(programs() / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", other.url()]
        subprocess.run(restore, input=text, capture_output=True, check=True)
        there = f"{other.url()}?schema={schema}"

        async def work(log):
            assert await log.read("trip") == before == await log.read_all()
            last = await log.append(commit_behind(log, "trip", before[-1].head), expected=3)
            assert await log.read_all(after=before[-1].position) == [last.commit]

        assert with_log(there, lambda log: log.read_all(), read_only=True) == before
        with_log(there, work)


# Opening.

IMPOSSIBLE_URLS = (
    "mysql://u:secret@h/d",
    "postgresql://u:secret@h:70000/d",
    "postgresql://u:secret@h:x/d",
    "postgresql://u:secret@h/d?schema=a-b",
    "postgresql://u:secret@h/d?schema=pg_x",
    "postgresql://u:secret@h/d?schema=1a",
    "postgresql://u:secret@h/d?schema=" + "x" * 64,
    "postgresql://u:secret@h/d?connections=0",
    "postgresql://u:secret@h/d?connect_timeout=soon",
    "postgresql://u:secret@h/d?pgbouncer=perhaps",
    "postgresql://u:secret@h/d?sslmode=perhaps",
    "postgresql://u:secret@/d?host=a,b&port=1,2,3",
    "postgresql://u:secret@[h/d",
)


@pytest.mark.parametrize("bad", IMPOSSIBLE_URLS)
def test_a_url_that_is_none(bad):
    """It is refused before anything is connected, and the password is not in the message."""
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(PostgresLog.connect(bad))

    assert "secret" not in str(caught.value)


def test_an_option_that_the_server_does_not_know(server):
    with pytest.raises(InvalidInput, match="colour"):
        asyncio.run(PostgresLog.connect(f"{server.url()}?colour=blue"))


def test_a_server_that_is_not_there(server):
    """One clear error, without the password."""
    with pytest.raises(BackendError, match="is it running, are host and port right") as caught:
        asyncio.run(PostgresLog.connect("postgresql://u:secret@127.0.0.1:1/d"))

    assert "127.0.0.1:1/d" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_wrong_password_or_role(server):
    for url in (server.url(password="wrong"), server.url(user="nobody")):
        with pytest.raises(BackendError, match="see the user and password in the URL") as caught:
            asyncio.run(PostgresLog.connect(url))
        assert "wrong" not in str(caught.value)


def test_no_such_database(server):
    with pytest.raises(StoreNotFound, match="no such database"):
        asyncio.run(PostgresLog.connect(server.url("nowhere")))


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_no_store_and_none_wanted(server, url, schema, options):
    """Nothing is made where nothing may be."""
    with pytest.raises(StoreNotFound, match="no schema"):
        asyncio.run(PostgresLog.connect(url, **options))

    assert server.ask("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema) == [(0,)]


@pytest.mark.parametrize(
    "content",
    ["CREATE TABLE {s}.chats (n integer)", "CREATE TABLE {s}.meta (layout integer)", "CREATE SEQUENCE {s}.numbers"],
)
def test_a_schema_that_holds_something_else(server, url, schema, content):
    """It is left as it is."""
    server.ask(f"CREATE SCHEMA {schema}")
    server.ask(content.format(s=schema))
    there = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) ORDER BY 1"
    before = server.ask(there, schema)
    with pytest.raises(NotAStore, match="left as it is"):
        asyncio.run(PostgresLog.connect(url))

    assert server.ask(there, schema) == before


def test_another_application_in_our_shape(server, url, schema):
    with_log(url, lambda log: log.count({}))
    server.ask(f"UPDATE {schema}.meta SET application = 'another', written = pg_current_xact_id()")
    with pytest.raises(NotAStore):
        asyncio.run(PostgresLog.connect(url))


def test_a_schema_made_beforehand(server, url, schema):
    """An empty schema, which a role without the right to make one was given, is used."""
    server.ask(f"CREATE SCHEMA {schema}")

    assert with_log(url, lambda log: log.count({})) == 0


def test_a_later_layout(server, url, schema):
    with_log(url, lambda log: log.count({}))
    server.ask(f"UPDATE {schema}.meta SET layout = 9")
    for options in ({}, {"read_only": True}):
        with pytest.raises(SchemaVersionError, match="version 9"):
            asyncio.run(PostgresLog.connect(url, **options))
    server.ask(f"UPDATE {schema}.meta SET layout = 0")
    with pytest.raises(CorruptLog, match="never was a layout 0"):
        asyncio.run(PostgresLog.connect(url))


def test_an_earlier_layout_is_brought_up(server, url, schema, monkeypatch):
    """Several who open it at once do each further step once; who may only read is told."""
    stored = with_log(url, lambda log: grown(log, "trip", 2))
    step = "CREATE TABLE {schema}.more (n integer); INSERT INTO {schema}.more VALUES (1);"
    monkeypatch.setattr(postgres_layout, "STEPS", (*postgres_layout.STEPS, step))
    with pytest.raises(BackendError, match="earlier"):
        asyncio.run(PostgresLog.connect(url, read_only=True))

    async def all_at_once():
        logs = await asyncio.gather(*(PostgresLog.connect(url) for _ in range(6)))
        for log in logs:
            assert await log.read("trip") == await log.read_all() == stored
            await log.close()

    asyncio.run(all_at_once())

    assert server.ask(f"SELECT count(*) FROM {schema}.more") == [(1,)]
    assert server.ask(f"SELECT layout, xmin = written::xid FROM {schema}.meta") == [(2, True)]


def test_a_step_that_fails_leaves_nothing(server, url, schema, monkeypatch):
    """A store is made whole or not at all."""
    monkeypatch.setattr(postgres_layout, "STEPS", (*postgres_layout.STEPS, "SELECT 1 / 0"))
    with pytest.raises((BackendError, InvalidInput), match="zero"):
        asyncio.run(PostgresLog.connect(url))

    assert server.ask("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema) == [(0,)]


OPENER = """
import asyncio, sys
from branchlog.logs.postgres import PostgresLog

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    log = await PostgresLog.connect(sys.argv[1])
    print(await log.count({}))
    await log.close()

asyncio.run(main())
"""


def started(code, *arguments):
    """A Python process that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def test_two_processes_make_it_at_once(server, url, schema):
    """Both find it made once."""
    both = [started(OPENER, url) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in both]

    assert said == [("0\n", "")] * 2
    assert server.ask(f"SELECT count(*) FROM {schema}.meta") == [(1,)]


def test_a_role_that_lacks_rights(server, url, schema):
    """It is told so; one that may read may open it read-only."""
    role = f"role_{schema}"
    server.ask(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    own = f"{server.url(user=role, password='p')}?schema={schema}"
    with pytest.raises(BackendError, match="lacks a right"):
        asyncio.run(PostgresLog.connect(own))
    stored = with_log(url, lambda log: grown(log, "trip", 1))
    with pytest.raises(BackendError, match="lacks a right"):
        asyncio.run(PostgresLog.connect(own))
    server.ask(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    server.ask(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")

    async def work(log):
        assert await log.read("trip") == stored
        assert (await log.examine()).problems == ()

    with_log(own, work, read_only=True)

    async def write(log):
        with pytest.raises(BackendError, match="lacks a right"):
            await grown(log, "other", 1)
        await server.asked(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}")
        await grown(log, "other", 2)
        await log.delete("other")

    with_log(own, write)


def test_read_only(url):
    """Nothing is written, and all is read."""
    stored = with_log(url, lambda log: grown(log, "trip", 1))

    async def work(log):
        commit = commit_behind(log, "trip", stored[0].head)
        for call in (
            lambda: log.append(commit, expected=1),
            lambda: log.append_group([]),
            lambda: log.delete("trip"),
            lambda: log.redact(commit, expected=1, erasures=[]),
            lambda: log.put_entry(an_entry("trip")),
            lambda: log.put_snapshot("trip", None),
            lambda: log.drop_snapshots("trip"),
            lambda: log.within("other").delete("trip"),
        ):
            with pytest.raises(BackendError, match="read-only"):
                await call()
        assert await log.read_all() == stored

    with_log(url, work, read_only=True)


def test_an_encoding_without_letters(server):
    server.ask("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(BackendError, match="encoding is LATIN1"):
        asyncio.run(PostgresLog.connect(server.url("latin")))


def test_without_the_package():
    """The error names what to install."""
    code = "import sys; sys.modules['asyncpg'] = None; import branchlog.logs.postgres"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "InvalidInput" in done.stderr
    assert "pip install 'branchlog[postgres]'" in done.stderr


def test_the_first_host_that_will_do(server, schema):
    """Of several hosts one that does not answer is passed over, also where they are given as options."""
    port = server.port
    start = server.url().replace(f"@127.0.0.1:{port}", f"@127.0.0.1:1,127.0.0.1:{port}")
    other = server.url().replace(f"@127.0.0.1:{port}", "@") + f"?host=127.0.0.1,127.0.0.1&port=1,{port}"
    for url in (f"{start}?schema={schema}", f"{other}&schema={schema}"):
        assert with_log(url, lambda log: log.count({})) == 0


def test_transactions_that_are_serializable_by_default(server, url, schema):
    """Where the server's default is another isolation, ours are asked for as they must be."""
    role = f"role_{schema}"
    server.ask(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'p'")
    server.ask(f"ALTER ROLE {role} SET default_transaction_isolation = 'serializable'")

    async def work(log):
        await asyncio.gather(*(log.append(commit_behind(log, "trip"), expected=Expected.ANY) for _ in range(16)))
        await grown(log, "other", 3)
        assert len(await log.read_all()) == 19

    with_log(f"{server.url(user=role, password='p')}?schema={schema}", work)


# Many at once.


@pytest.mark.parametrize("connections", [3, 24])
def test_64_writers_on_one_and_on_many(url, connections):
    """64 tasks that keep their own copies of one conversation and of eight others lose nothing and see no error."""

    async def write(store, task):
        told = []
        chats = [await store.load("shared"), await store.load(f"c{task % 8}")]
        for number in range(3):
            for chat in chats:
                text = f"{task} {chat.id} {number}"
                chat.add("user", text, under="")
                await store.save(chat)
                told.append(text)
        return told

    async def work(log):
        store = AsyncStore(log)
        for id in ("shared", *(f"c{number}" for number in range(8))):
            await store.save(await store.create(id))
        told = await asyncio.gather(*(write(store, task) for task in range(64)))
        stored = []
        for each in await store.list():
            chat = await store.load(each.id)
            stored += [node.message.content for node in chat.tree.nodes if node.message]
        assert Counter(stored) == Counter(text for own in told for text in own)

    with_log(f"{url}&connections={connections}", work)


def test_more_writers_than_the_server_has_connections_for(server, schema):
    """Who gets no connection waits for one that another gives back; where there is none at all an error says so."""
    role = f"role_{schema}"
    server.ask(f"CREATE ROLE {role} LOGIN PASSWORD 'p' CONNECTION LIMIT 2")
    server.ask(f"GRANT CREATE ON DATABASE postgres TO {role}")
    own = f"{server.url(user=role, password='p')}?schema={schema}"

    async def work(log):
        await asyncio.gather(*(grown(log, f"s{number}", 3) for number in range(32)))
        assert len(await log.read_all()) == 96
        with pytest.raises(BackendError, match=r"too many connections.*max_connections"):
            async with opened(own), opened(own):
                await asyncio.gather(*(log.count({}) for _ in range(2)))

    with_log(own, work)


WRITER = """
import asyncio, json, sys
from uuid import uuid4
from branchlog.commit import genesis, seal
from branchlog.errors import VersionConflict
from branchlog.logs.postgres import PostgresLog

async def write(log, task):
    told = []
    for number in range(4):
        for stream in ("shared", f"own {task % 3}"):
            while True:
                head = await log.head(stream) or genesis("", stream)
                commit = seal(stream, head, count=1, id=uuid4().bytes, at=1, schema="1.0.0", data=b"[1]")
                try:
                    await log.append(commit, expected=head.version)
                except VersionConflict:
                    continue
                break
            told.append(commit.id.hex())
    return told

async def main():
    log = await PostgresLog.connect(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(await asyncio.gather(*(write(log, task) for task in range(6)))))
    await log.close()

asyncio.run(main())
"""


def test_two_processes_write_at_once(url):
    """Each commit that was acknowledged is there once, and each task's in its own order."""
    both = [started(WRITER, url) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in both]

    assert [errors for _, errors in said] == ["", ""]
    told = [[bytes.fromhex(id) for id in own] for answer, _ in said for own in json.loads(answer)]
    check_stored(told, with_log(url, lambda log: log.read_all()))


def test_cancelled_at_any_moment(url):
    """Saves are cancelled at random moments and made again: nothing is missing, nothing is there twice."""
    cancelled = []

    async def write(store, task, choose):
        chat = await store.load("shared")
        for number in range(6):
            chat.add("user", f"{task} {number}", under="")
            saving = asyncio.create_task(store.save(chat))
            await asyncio.sleep(choose.random() * 0.01)
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            cancelled.append(saving.cancelled())
        await store.save(chat)

    async def work(log):
        store = AsyncStore(log)
        await store.save(await store.create("shared"))
        await asyncio.gather(*(write(store, task, random.Random(task)) for task in range(12)))
        chat = await store.load("shared")
        stored = [node.message.content for node in chat.tree.nodes if node.message]
        assert Counter(stored) == Counter(f"{task} {number}" for task in range(12) for number in range(6))

    with_log(f"{url}&connections=4", work)
    assert any(cancelled)


def test_no_connection_is_left(server, url):
    """After closing the server has none of ours, whatever was under way."""

    async def work():
        log = await PostgresLog.connect(f"{url}&application_name=left_{url[-6:]}")
        appends = [asyncio.create_task(grown(log, f"s{number}", 3)) for number in range(40)]
        await asyncio.sleep(0.02)
        await log.close()
        outcomes = await asyncio.gather(*appends, return_exceptions=True)
        assert all(isinstance(each, list | LogClosed) for each in outcomes)
        counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        for _ in range(200):
            ((left,),) = await server.asked(counted, f"left_{url[-6:]}")
            if not left:
                return
            await asyncio.sleep(0.01)
        pytest.fail("connections are left open")

    asyncio.run(work())


# Lost connections and lost answers.


async def through(proxy, server, schema):
    """A log on one connection through a proxy, with a conversation in it."""
    url = server.url().replace(f":{server.port}/", f":{proxy.port}/")
    log = await PostgresLog.connect(f"{url}?schema={schema}&connections=1")
    return log, (await grown(log, "trip", 2))[-1]


@pytest.mark.parametrize("way", ["append", "any", "group", "redact"])
def test_a_lost_answer(server, schema, way):
    """The connection is cut after the commit and before the answer: the retry stores nothing twice, and says so."""

    async def work():
        async with Proxy(server.port) as proxy:
            log, last = await through(proxy, server, schema)
            commit = commit_behind(log, "trip", last.head)
            calls = {
                "append": lambda: log.append(commit, expected=2),
                "any": lambda: log.append(commit, expected=Expected.ANY),
                "group": lambda: log.append_group([Append(commit=commit, expected=2)]),
                "redact": lambda: log.redact(commit, expected=2, erasures=[Erasure(first=1, data=b"[0]")]),
            }
            proxy.swallow_next()
            answer = await calls[way]()
            answer = answer[0] if way == "group" else answer
            stored = await log.read("trip")
            assert proxy.swallowed == 1
            assert [each.id for each in stored[2:]] == [commit.id]
            assert answer.commit == stored[-1]
            if way == "append":
                assert answer.deduplicated
            await log.close()

    asyncio.run(work())


def test_a_lost_answer_is_the_callers_to_send_again(server, schema, monkeypatch):
    """Where no connection lasts, the caller is told; the same commit, sent again, gets the first answer."""
    monkeypatch.setattr(postgres_server, "RETRY_SECONDS", 0.0)

    async def work():
        async with Proxy(server.port) as proxy:
            log, last = await through(proxy, server, schema)
            commit = commit_behind(log, "trip", last.head)
            proxy.swallow_next(times=50)
            with pytest.raises(BackendError, match="ask again"):
                await log.append(commit, expected=2)
            proxy.swallow_next(times=0)
            again = await log.append(commit, expected=2)
            assert again.deduplicated
            assert await log.read("trip", after=2) == [again.commit]
            other = commit_behind(log, "trip", last.head, id=commit.id, data=b"[2]")
            with pytest.raises(CommitIdReused):
                await log.append(other, expected=2)
            await log.close()

    asyncio.run(work())


def test_a_lost_answer_to_a_deletion(server, schema):
    """It was deleted by this very call, which says so; the next one is told that it was."""

    async def work():
        async with Proxy(server.port) as proxy:
            log, _ = await through(proxy, server, schema)
            run = log._server.run_once
            answers = []

            async def lose_the_answer(work, **options):
                answer = await run(work, **options)
                answers.append(answer)
                if len(answers) == 1:
                    raise postgres_server.Lost from OSError("cut")
                return answer

            log._server.run_once = lose_the_answer
            assert await log.delete("trip")
            with pytest.raises(ConversationDeleted):
                await log.delete("trip")
            await log.close()

    asyncio.run(work())


def test_reads_go_on_after_a_cut(server, schema):
    async def work():
        async with Proxy(server.port) as proxy:
            log, last = await through(proxy, server, schema)
            for _ in range(3):
                proxy.swallow_next()
                assert (await log.read("trip"))[-1] == last
                proxy.cut()
                assert await log.head("trip") == last.head
            await log.close()

    asyncio.run(work())


def test_the_server_ends_connections(server, url):
    """An administrator ends all of them while 16 tasks write: nothing is lost, nothing is there twice."""
    told = [[] for _ in range(16)]

    async def write(log, own, number):
        head = genesis("", f"s{number}")
        for _ in range(12):
            commit = commit_behind(log, f"s{number}", head)
            await log.append(commit, expected=head.version)
            own.append(commit.id)
            head = commit.head

    async def end(name):
        for _ in range(5):
            await asyncio.sleep(0.01)
            await server.asked(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name
            )

    async def work(log):
        writing = [write(log, own, number) for number, own in enumerate(told)]
        await asyncio.gather(end(f"ended_{url[-6:]}"), *writing)
        check_stored(told, await log.read_all())

    with_log(f"{url}&application_name=ended_{url[-6:]}", work)


def test_what_the_server_takes_back_is_done_again(server, url, schema):
    """A deadlock is not the caller's concern; a full disk, damage and a cancelled statement are, each in its words."""
    server_error = """
        CREATE SEQUENCE {s}.tries;
        CREATE FUNCTION {s}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('{s}.tries') <= TG_ARGV[1]::integer THEN RAISE 'broken' USING ERRCODE = TG_ARGV[0]; END IF;
            RETURN NEW;
        END $$"""

    async def work(log):
        (first,) = await grown(log, "trip", 1)
        await server.asked(server_error.format(s=schema))
        commit = commit_behind(log, "trip", first.head)
        for code, times, error, said in (
            ("53100", 1, BackendError, "disk is full"),
            ("XX001", 1, CorruptLog, "finds damage"),
            ("57014", 1, BackendError, "cancelled it"),
            ("53200", 1, BackendError, "no memory"),
            ("22000", 1, InvalidInput, "does not take"),
            ("P0001", 1, BackendError, "broken"),
            ("40P01", 2, None, ""),
        ):
            await server.asked(f"SELECT setval('{schema}.tries', 1, false)")
            await server.asked(
                f"CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON {schema}.commits FOR EACH ROW EXECUTE FUNCTION"
                f" {schema}.fail('{code}', {times})"
            )
            if error is None:
                assert not (await log.append(commit, expected=1)).deduplicated
            else:
                with pytest.raises(error, match=said):
                    await log.append(commit, expected=1)
                assert await log.read("trip") == [first]

    with_log(url, work)


def test_a_schema_that_is_dropped_meanwhile(server, url, schema):
    async def work(log):
        await grown(log, "trip", 1)
        await server.asked(f"DROP SCHEMA {schema} CASCADE")
        with pytest.raises(NotAStore, match="no branchlog store any more"):
            await log.read("trip")

    with_log(url, work)


def test_no_answer_in_time(server, url, schema, monkeypatch):
    """A lock that another keeps for ever ends in an error, and the connection is not used again."""
    monkeypatch.setattr(postgres_server, "COMMAND_SECONDS", 0.2)

    async def work(log):
        (first,) = await grown(log, "trip", 1)
        other = await asyncpg.connect(server.url())
        await other.execute(f"SELECT pg_advisory_lock({log._rows.lock('trip')})")
        commit = commit_behind(log, "trip", first.head)
        with pytest.raises(BackendError, match="no answer in time"):
            await log.append(commit, expected=1)
        await other.close()
        assert (await log.append(commit, expected=1)).commit.first == 2

    with_log(url, work)


# Limits.


def test_a_payload_over_the_limit(url, monkeypatch):
    """It is refused before anything is sent, alone and in a group; a snapshot that large is not kept."""
    monkeypatch.setattr(postgres, "PAYLOAD_BYTES_MAX", 1_000)

    async def work(log):
        commit = commit_behind(log, "trip", data=b'["' + b"x" * 1_000 + b'"]')
        with pytest.raises(InvalidInput, match="at most 1000 bytes"):
            await log.append(commit, expected=0)
        (refusal,) = await log.append_group([Append(commit=commit, expected=0)])
        assert isinstance(refusal, InvalidInput)
        assert await log.read_all() == []
        await grown(log, "trip", 1)

    with_log(url, work)


def test_a_large_payload(url):
    """Sixteen megabytes come back."""

    async def work(log):
        commit = commit_behind(log, "trip", data=b'["' + random.Random(1).randbytes(8_000_000).hex().encode() + b'"]')
        await log.append(commit, expected=0)
        assert (await log.read("trip"))[0].data == commit.data

    with_log(url, work)


def test_a_group_over_the_limit(url, monkeypatch):
    monkeypatch.setattr(postgres, "POSITION_BITS", 2)

    async def work(log):
        appends = [Append(commit=commit_behind(log, f"{number}"), expected=0) for number in range(4)]
        with pytest.raises(InvalidInput, match="at most 3 appends"):
            await log.append_group(appends)
        assert len(await log.append_group(appends[:3])) == 3

    with_log(url, work)


def test_numbers_that_no_column_holds(url):
    """They are refused; a read with such bounds is one of what there is."""

    async def work(log):
        (stored,) = await grown(log, "trip", 1)
        assert await log.read_all(after=2**70) == []
        assert await log.read_all(after=-(2**70), limit=2**70) == [stored]
        assert await log.read("trip", after=-(2**70), until=2**70, limit=2**70) == [stored]
        assert await log.read("trip", after=2**70) == []
        with pytest.raises(InvalidInput, match="does not take"):
            await log.put_entry(replace(an_entry("trip", updated=2**63), version=1))
        assert await log.head("a\0b") is None
        assert await log.head("\ud800") is None

    with_log(url, work)


# Poolers, standbys, and what a log finds of itself.


def pooled_url(pooler, schema):
    return f"postgresql://{TRUSTED}@127.0.0.1:{pooler.port}/postgres?schema={schema}"


def test_behind_a_pooler(server, schema):
    """Each transaction may go to another connection: all of the log works, and no statement is left prepared."""

    async def work():
        async with Pooler(server.port, TRUSTED, "postgres") as pooler:
            url = pooled_url(pooler, schema)
            async with opened(url) as log, opened(url, namespace="n") as other:
                assert not log._server.prepared
                await asyncio.gather(*(grown(log, f"s{number}", 5) for number in range(16)))
                await log.append_group([Append(commit=commit_behind(log, f"{n}"), expected=0) for n in range(50)])
                last = (await log.read("s0"))[-1]
                again = await log.append(last, expected=4)
                assert again.deduplicated
                with pytest.raises(VersionConflict):
                    await log.append(commit_behind(log, "s0"), expected=0)
                commit = commit_behind(log, "s0", last.head)
                await log.redact(commit, expected=5, erasures=[Erasure(first=1, data=b"[0]")])
                assert await log.delete("s1")
                await grown(other, "trip", 2)
                assert len(await log.entries(Query(limit=100))) == await log.count({}) == 65
                assert len(await log.read_all()) == 16 * 5 + 50 + 1 - 5
                assert (await log.examine()).facts["pooled"] is True
            assert pooler.transactions > 100

    asyncio.run(work())


def test_prepared_statements_fail_behind_a_pooler(server, schema):
    """The control: told that there is no pooler, statements are prepared, and are not there the next time."""

    async def work():
        async with Pooler(server.port, TRUSTED, "postgres") as pooler:
            log = await PostgresLog.connect(f"{pooled_url(pooler, schema)}&pgbouncer=false&connections=4")
            with pytest.raises((BackendError, InvalidInput), match="prepared statement"):
                await asyncio.gather(*(grown(log, f"s{number}", 20) for number in range(8)))
            await log.close()

    asyncio.run(work())


@pytest.fixture(scope="session")
def waiting_server():
    """A server that can be told to wait for a standby which is not there."""
    with a_server() as running:
        yield running


def test_a_cancelled_wait_for_standbys(waiting_server, schema):
    """It is no acknowledgement, neither to the append nor to the same commit sent again; PostgreSQL says it is one."""
    server, url = waiting_server, f"{waiting_server.url()}?schema={schema}"

    async def cancel():
        statement = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        await until(lambda: server.asked(statement))

    async def waits(name):
        await server.asked(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        await server.asked("SELECT pg_reload_conf()")
        there = "SELECT 1 WHERE current_setting('synchronous_standby_names') = $1"
        await until(lambda: server.asked(there, name))

    async def work(log):
        (first,) = await grown(log, "trip", 1)
        commit = commit_behind(log, "trip", first.head)
        plain = await asyncpg.connect(server.url())
        await plain.execute(f"CREATE TABLE {schema}.plain (n integer)")
        await waits("nobody")
        try:
            _, done = await asyncio.gather(cancel(), plain.execute(f"INSERT INTO {schema}.plain VALUES (1)"))
            assert done == "INSERT 0 1", "the control: success, as if a standby had it"
            for call in (
                lambda: log.append(commit, expected=1),
                lambda: log.append(commit, expected=1),
                lambda: log.append_group([Append(commit=commit, expected=1)]),
                lambda: log.append(commit_behind(log, "other"), expected=Expected.ANY),
            ):
                with pytest.raises(BackendError, match="not acknowledged"):
                    await asyncio.gather(cancel(), call())
            assert any("no such standby" in each for each in (await log.examine()).problems)
            async with opened(f"{url}&synchronous_commit=local") as other:
                assert any("no standby is waited for" in each for each in (await other.examine()).problems)
        finally:
            await plain.close()
            await waits("")
        assert (await log.append(commit, expected=1)).deduplicated
        assert [each.id for each in await log.read("trip")] == [first.id, commit.id]

    with_log(url, work)


def test_what_it_finds_of_itself(server, url, schema, monkeypatch):
    """Figures and settings; a transaction that holds readers back is told with its process; no password."""

    async def work(log):
        await grown(log, "trip", 3)
        sound = await log.examine()
        late = await asyncpg.connect(server.url())
        async with late.transaction():
            await late.execute("SELECT pg_current_xact_id()")
            await grown(log, "after", 2)
            monkeypatch.setattr(postgres_examination, "LAG_SECONDS", 0)
            held = await log.examine()
            process = await late.fetchval("SELECT pg_backend_pid()")
        await late.close()
        return sound, held, process

    sound, held, process = with_log(url, work)

    assert (sound.kind, sound.problems) == ("PostgreSQL schema", ())
    assert sound.place == f"127.0.0.1:{server.port}/postgres, schema {schema}"
    assert sound.facts["bytes"] > 8192
    assert sound.facts["conversations"] == 1
    assert sound.facts["fsync"] == sound.facts["data_checksums"] == "on"
    unseen = "commits that readers of the whole log do not see yet"
    assert (sound.facts[unseen], held.facts[unseen]) == (0, 2)
    assert len(held.problems) == 1
    assert f"process {process} " in held.problems[0]


def test_unsafe_settings_are_told():
    """A server that does not keep what it says it keeps is declared so, and each setting with what to do."""
    with a_folder() as folder:
        server = postgres_without_safety(folder)
        try:
            url = f"{server.url()}?synchronous_commit=off"
            log = bridged(lambda: PostgresLog.connect(url))
            put(log, "trip")
            assert not log.abilities.durable
            problems = log.examine().problems
            log.close()
        finally:
            server.kill()

    assert [each.partition(" is off")[0] for each in problems[:3]] == [
        "synchronous_commit",
        "fsync",
        "full_page_writes",
    ]
    assert "no data checksums" in problems[3]


def postgres_without_safety(folder):
    """A server that is fast and loses what it likes."""
    server = Server(folder, fsync="off", full_page_writes="off")
    server.make("--no-data-checksums")
    return server.start()


def test_restarted_in_the_middle(waiting_server, schema):
    """The server is restarted while 16 tasks write: they wait, go on, and nothing is lost or there twice."""
    told = [[] for _ in range(16)]

    async def write(log, own, number):
        head = genesis("", f"s{number}")
        while len(own) < 10 or not restarted.is_set():
            commit = commit_behind(log, f"s{number}", head)
            await log.append(commit, expected=head.version)
            own.append(commit.id)
            head = commit.head

    async def begun():
        return min(map(len, told)) >= 3

    async def restart():
        await until(begun)
        await asyncio.to_thread(waiting_server.stop)
        await asyncio.to_thread(waiting_server.start)
        restarted.set()

    async def work(log):
        await asyncio.gather(restart(), *(write(log, own, number) for number, own in enumerate(told)))
        check_stored(told, await log.read_all())

    restarted = asyncio.Event()
    with_log(f"{waiting_server.url()}?schema={schema}", work)


# Snapshots: an async store opens by them, and reads the payloads that they cover together.


@pytest.fixture
def soon(monkeypatch):
    """Snapshots are taken after a few messages."""
    monkeypatch.setattr(_steps, "SNAPSHOT_TAIL_BYTES", 400)


@asynccontextmanager
async def lined(url, count=60):
    """An async store with a line of messages that were saved one by one, and what was said."""
    log = await PostgresLog.connect(url)
    async with AsyncStore(log) as store:
        chat = await store.create("line")
        said = [f"message {number}" for number in range(count)]
        for text in said:
            chat.say("user", text)
            await store.save(chat)
        yield store, said


def read_by(monkeypatch):
    """What is called to read messages, as it is called: ``read``, with how many commits it gave, and ``payloads``."""
    calls = []
    read, payloads = PostgresLog.read, PostgresLog.payloads

    async def reading(self, *args, **options):
        commits = await read(self, *args, **options)
        calls.append(("read", len(commits)))
        return commits

    async def giving(self, *args, **options):
        calls.append(("payloads", 0))
        return await payloads(self, *args, **options)

    monkeypatch.setattr(PostgresLog, "read", reading)
    monkeypatch.setattr(PostgresLog, "payloads", giving)
    return calls


@pytest.mark.usefixtures("soon")
def test_an_async_store_opens_by_snapshots(url, monkeypatch):
    async def work():
        async with lined(url) as (store, said):
            taken = await store.snapshots("line")
            calls = read_by(monkeypatch)
            chat = await store.load("line")
            assert [message.content for message in chat.messages()] == said
            assert [name for name, _ in calls].count("payloads") == len(taken) > 5
            assert sum(count for _, count in calls) < len(taken) + 10  # one to know each by, and the tail

            whole = await _steps.run_async(store.log, _steps.load_whole(store._home, "line"))
            assert list(different(whole._state, chat._state)) == []
            assert chat.version == whole.version
            chat.say("assistant", "and on")
            await store.save(chat)
            assert [message.content for message in await store.messages("line")] == [*said, "and on"]
            assert (await store.verify("line")).differences == ()

    asyncio.run(work())


@pytest.mark.usefixtures("soon")
def test_a_blocking_store_reads_by_the_stretch(url):
    async def fill():
        async with lined(url) as (_, said):
            return said

    said = asyncio.run(fill())
    with branchlog.open(url) as store:
        assert store._home.together
        assert [message.content for message in store.load("line").messages()] == said
        assert [message.content for message in store.messages("line")] == said


@pytest.mark.usefixtures("soon")
def test_a_payload_behind_a_snapshot_that_was_changed(server, url, schema):
    """It is an error that names the commit, as if there were no snapshots."""

    async def fill():
        async with lined(url):
            pass

    async def look():
        async with AsyncStore(await PostgresLog.connect(url)) as store:
            assert len(await store.snapshots("line")) > 5
            with pytest.raises(CorruptLog, match="version 16 of 'line'"):
                await store.load("line")

    asyncio.run(fill())
    server.ask(
        f"UPDATE {schema}.commits SET data = convert_to(replace(convert_from(data, 'UTF8'),"
        " 'message 7\"', 'massage 7\"'), 'UTF8')"
    )
    asyncio.run(look())


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("wrong", [b"of something else", b""])
def test_snapshots_whose_digest_is_wrong_or_missing(url, monkeypatch, wrong):
    monkeypatch.setattr(_steps, "digest_of", lambda commits: wrong)

    async def work():
        async with lined(url) as (store, said):
            assert len(await store.snapshots("line")) > 5
            chat = await store.load("line")
            assert [message.content for message in chat.messages()] == said

    asyncio.run(work())


@pytest.mark.usefixtures("soon")
def test_what_is_redacted_is_behind_no_snapshot(url):
    async def work():
        async with lined(url) as (store, _):
            chat = await store.load("line")
            node = chat.tree.nodes[4]
            chat.redact(node)
            await store.save(chat)
            assert node.message.content == ""
            assert (await store.load("line")).tree[node.id].message.content == ""

    asyncio.run(work())
