"""The log in NATS JetStream, on clusters of real servers."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, pairwise
from uuid import uuid4

import pytest
from hypothesis import Phase, settings
from msgspec.structs import replace
from servers.nats import Cluster
from servers.proxy import CuttingProxy

from branchlog.commit import Head, genesis, seal, snapshot
from branchlog.errors import (
    BackendError,
    BranchlogError,
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
from branchlog.logs import nats as backend
from branchlog.logs._nats import connection as nats_connection
from branchlog.logs._nats import streams as nats_streams
from branchlog.logs.base import Abilities, Append, AsyncLog, Entry, Erasure, Expected, Query
from branchlog.logs.nats import NatsLog
from branchlog.store import AsyncStore
from branchlog.testing import LogContract, LogMachine, StoreContract, bridged

STREAMS = count()
AT = 1_763_682_452_000_000
THREE = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=False, drafts=True)
ONE = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)


@pytest.fixture(scope="session")
def cluster():
    """Three servers, for all tests of this process; those that are killed have others."""
    cluster = Cluster().start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def alone():
    """One server."""
    cluster = Cluster(1).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def url(cluster):
    """The address of a stream of its own, which is taken away in the end."""
    name = f"T{next(STREAMS)}"
    yield f"{cluster.url}?stream={name}"
    asyncio.run(removed(cluster, name))


@pytest.fixture
def url_alone(alone):
    """The same on one server."""
    name = f"T{next(STREAMS)}"
    yield f"{alone.url}?stream={name}&replicas=1"
    asyncio.run(removed(alone, name))


async def removed(cluster, *names):
    """Take streams away, if they are there."""
    async with connected(cluster.url) as server:
        for name in names:
            for stream in (name, f"{name}-snapshots"):
                await server.ask(f"$JS.API.STREAM.DELETE.{stream}")


@asynccontextmanager
async def connected(url):
    """The bare connection beneath a log, to do what a log does not."""
    server = nats_connection.Connection(nats_connection.parse_address(url))
    await server.open()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def opened(url, **options):
    log = await NatsLog.connect(url, **options)
    try:
        yield log
    finally:
        await log.close()


def a_commit(stream, head, number=0, **changes):
    facts = {"count": 1, "id": uuid4().bytes, "at": AT, "schema": "1.0.0", "data": b'[{"n":%d}]' % number}
    return seal(stream, head, **facts | changes)


async def filled(log, stream, size):
    """So many commits of one event."""
    head, appends = genesis(log.namespace, stream), []
    for number in range(size):
        appends.append(Append(commit=a_commit(stream, head, number), expected=head.version))
        head = appends[-1].commit.head
    return [each.commit for each in await log.append_group(appends)]


async def put(log, stream, **changes):
    head = await log.head(stream) or genesis(log.namespace, stream)
    return (await log.append(a_commit(stream, head, **changes), expected=head.version)).commit


# What all logs are held to.


class TestNats(LogContract):
    abilities = THREE

    @pytest.fixture
    def open_log(self, url):
        return lambda namespace="": bridged(lambda: NatsLog.connect(url, namespace=namespace))


class TestNatsAlone(LogContract):
    """With one replica, which erases: the cases that three are not held to."""

    abilities = ONE

    @pytest.fixture
    def open_log(self, url_alone):
        return lambda namespace="": bridged(lambda: NatsLog.connect(url_alone, namespace=namespace))


ABOUT_ONE = ("abilities", "eras", "redact", "delet", "snapshot", "racing", "the_same", "one_id")
for name in dir(LogContract):
    if name.startswith("test_") and not any(word in name for word in ABOUT_ONE):
        setattr(TestNatsAlone, name, None)  # three replicas are held to it


class TestNatsStore(StoreContract):
    abilities = THREE
    test_text_that_was_changed = None  # the servers repair or drop what was changed in a file: see test_damage

    @pytest.fixture
    def open_log(self, url):
        return lambda namespace="": bridged(lambda: NatsLog.connect(url, namespace=namespace))


class NatsMachine(LogMachine):
    cluster = None

    def open_log(self, folder):
        url = f"{self.cluster.url}?stream=M{folder.parent.name}&replicas=1"
        return bridged(lambda: NatsLog.connect(url))


TestNatsMachine = NatsMachine.TestCase
TestNatsMachine.settings = settings(
    TestNatsMachine.settings,
    max_examples=max(8, settings().max_examples // 10),
    phases=[phase for phase in Phase if phase is not Phase.shrink],  # on servers that takes minutes
)


@pytest.fixture(autouse=True, scope="module")
def for_machines(request):
    """Machines have no fixtures."""
    NatsMachine.cluster = request.getfixturevalue("alone")


def test_it_is_an_async_log(url):
    async def work():
        async with opened(url) as log:
            assert isinstance(log, AsyncLog)
            assert log.blocking is None

    asyncio.run(work())


# Addresses, and what is found there.


@pytest.mark.parametrize(
    "url",
    [
        "nats://",
        "nats:///name",
        "http://localhost:4222",
        "nats://u:hush@localhost:4222/path",
        "nats://u:hush@localhost,,other",
        "nats://localhost?replicas=7",
        "nats://localhost?stream=a.b",
        "nats://localhost?stream=*",
        "nats://localhost?strm=a",
        "nats://localhost?stream",
        "nats://[::1",
    ],
)
def test_what_is_no_address(url):
    """One clear error, without the password."""
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(NatsLog.connect(url))
    assert "hush" not in str(caught.value)


def test_what_an_address_says():
    address = nats_connection.parse_address("nats://me:p%40ss@a:1,b:2,c:3?stream=CHATS&replicas=1&creds=/x/y.creds")

    assert address.servers == ["nats://a:1", "nats://b:2", "nats://c:3"]
    assert (address.stream, address.replicas) == ("CHATS", 1)
    assert address.options == {"user": "me", "password": "p@ss", "user_credentials": "/x/y.creds"}
    assert "p@ss" not in repr(address)
    assert "ss" not in address.place
    assert nats_connection.parse_address("nats://secret@a:1").options == {"token": "secret"}


def test_no_server_there():
    with pytest.raises(StoreNotFound, match="no server answers there"):
        asyncio.run(NatsLog.connect("nats://127.0.0.1:1,127.0.0.1:2"))


def test_one_server_of_the_address_is_enough(alone):
    url = alone.url.replace("nats://", "nats://127.0.0.1:1,") + "?stream=ENOUGH&replicas=1"

    async def work():
        async with opened(url) as log:
            assert await log.namespaces() == []

    asyncio.run(work())


def test_passwords_and_rights():
    """A wrong password and a missing right are told as such; the place has no password in it."""
    users = """authorization { users: [
        { user: all, password: hush },
        { user: few, password: hush, permissions: { publish: ["$JS.API.INFO"], subscribe: ["_INBOX.>"] } } ] }"""
    cluster = Cluster(1, accounts=users).start()

    async def work():
        address = cluster.url.removeprefix("nats://") + "?replicas=1"
        for user, problem in (("all:wrong@", "refuses this user"), ("", "refuses this user"), ("few:hush@", "rights")):
            with pytest.raises(BackendError, match=problem) as caught:
                await NatsLog.connect(f"nats://{user}{address}")
            assert "wrong@" not in str(caught.value)
        async with opened(f"nats://all:hush@{address}") as log:
            await put(log, "trip")
            assert "hush" not in (await log.examine()).place

    try:
        asyncio.run(work())
    finally:
        cluster.stop()


def test_a_server_without_jetstream():
    cluster = Cluster(1, jetstream=False).start()
    try:
        with pytest.raises(BackendError, match="JetStream is not on"):
            asyncio.run(NatsLog.connect(cluster.url))
    finally:
        cluster.stop()


def test_a_stream_of_another_program(cluster):
    """It is refused and left as it is; so is one of a later layout, or in memory, or of too few replicas."""
    cases = [
        ({}, NotAStore, "of another program"),
        ({"metadata": {"branchlog-layout": "2"}}, SchemaVersionError, "version 2"),
        ({"metadata": {"branchlog-layout": "x"}}, CorruptLog, "never was"),
        ({"metadata": {"branchlog-layout": "1"}, "storage": "memory", "num_replicas": 3}, BackendError, "in memory"),
        ({"metadata": {"branchlog-layout": "1"}}, BackendError, "1 of 3 replicas"),
    ]

    async def work():
        async with connected(cluster.url) as server:
            for config, error, problem in cases:
                await server.command("STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["other.>"]} | config)
                before = await told(server, "OTHER")
                with pytest.raises(error, match=problem):
                    await NatsLog.connect(f"{cluster.url}?stream=OTHER")
                assert await told(server, "OTHER") == before
                await server.command("STREAM.DELETE.OTHER")

    asyncio.run(work())


async def told(server, stream):
    info = json.loads(await server.command(f"STREAM.INFO.{stream}"))
    return info["config"], info["state"]


def test_replicas(alone, cluster):
    """Three are asked for, and fewer only by name."""

    async def work():
        with pytest.raises(BackendError, match=r"ask for fewer by name \(replicas=1\)"):
            await NatsLog.connect(f"{alone.url}?stream=THREE")
        for replicas in (1, 3):
            async with opened(f"{cluster.url}?stream=R{replicas}&replicas={replicas}") as log:
                assert (await log.examine()).facts["replicas"] == replicas
                assert log.abilities.erases is (replicas == 1)
        await removed(cluster, "R1", "R3")

    asyncio.run(work())


def test_nothing_is_made_unless_asked(url):
    async def work():
        for options in ({"create": False}, {"read_only": True}):
            with pytest.raises(StoreNotFound, match="no such stream"):
                await NatsLog.connect(url, **options)
        async with opened(url) as log, opened(url, read_only=True) as reader:
            stored = await put(log, "trip")
            assert await reader.read("trip") == [stored]
            calls = (
                partial(put, reader, "trip"),
                partial(reader.delete, "trip"),
                partial(reader.put_entry, await log.entry("trip")),
                partial(reader.drop_snapshots, "trip"),
                partial(reader.put_snapshot, "trip", snapshot(0, stored.head, "f", b"")),
                partial(reader.redact, a_commit("trip", stored.head), expected=1, erasures=[]),
            )
            for call in calls:
                with pytest.raises(BackendError, match="for reading only"):
                    await call()
            assert await log.read("trip") == [stored]

    asyncio.run(work())


def test_two_open_a_new_store_at_once(url):
    async def work():
        logs = await asyncio.gather(*(NatsLog.connect(url) for _ in range(4)))
        assert {(await log.examine()).facts["replicas"] for log in logs} == {3}
        for log in logs:
            await log.close()

    asyncio.run(work())


def test_an_examination_tells_of_limits(cluster, url):
    """A limit at which the servers take commits away is a problem."""

    async def work():
        async with opened(url) as log, connected(url) as server:
            assert (await log.examine()).problems == ()
            name = server.address.stream
            config, _ = await told(server, name)
            await server.command(f"STREAM.UPDATE.{name}", config | {"max_age": 3_600_000_000_000})
            (problem,) = (await log.examine()).problems
            assert "max_age" in problem

    asyncio.run(work())


# What is in the messages.


def test_a_message_is_as_described(url):
    """The payload byte for byte in the body, the facts in one header of ASCII, names in subjects that reach nothing."""

    async def work():
        async with opened(url, namespace="a.b") as log, connected(url) as server:
            commit = a_commit("京都 > *", genesis("a.b", "京都 > *"), data=b'[ {"text":"\xc3\xa9"} ]')
            stored = (await log.append(commit, expected=0)).commit
            raw = await server.last(server.address.stream, ">")
            facts = json.loads(raw.headers["Branchlog"])

            assert raw.sequence == stored.position
            assert raw.body == commit.data
            assert raw.subject == f"{server.address.stream}.commits.nYS5i.n5Lqs6YO9ID4gKg"
            assert raw.headers["Branchlog"].isascii()
            assert (facts["stream"], facts["first"], facts["checksum"]) == ("京都 > *", 1, commit.checksum.hex())
            assert facts["entry"]["created"] == AT

    asyncio.run(work())


def test_the_longest_names(url):
    async def work():
        name = "é" * 512
        async with opened(url, namespace=name) as log:
            stored = await put(log, name)
            assert await log.read_all() == await log.read(name) == [stored]
            assert await log.namespaces() == [name]
            assert [each.id for each in await log.entries(Query())] == [name]

    asyncio.run(work())


def test_a_message_that_is_too_large(url):
    """One error that names the server's setting, before anything is written."""

    async def work():
        async with opened(url) as log:
            first = await put(log, "trip")
            huge = a_commit("trip", first.head, data=b'["' + b"x" * 8_400_000 + b'"]')
            with pytest.raises(InvalidInput, match="max_payload"):
                await log.append(huge, expected=1)
            with pytest.raises(InvalidInput, match="max_payload"):
                await log.put_snapshot("trip", snapshot(0, first.head, "f", huge.data))
            assert await log.read("trip") == [first]
            assert await log.snapshots("trip") == []
            assert (await put(log, "trip")).first == 2

    asyncio.run(work())


def test_an_entry_too_long_for_a_header(url):
    """It goes into the body, and comes back in lists and reads."""

    async def work():
        async with opened(url) as log, opened(url) as other:
            entry = an_entry("trip", metadata={"text": "é" * 50_000})
            head = genesis("", "trip")
            for version in (1, 2):
                commit = a_commit("trip", head)
                await log.append(commit, expected=version - 1, entry=entry if version == 1 else None)
                head = commit.head
                wanted = replace(entry, version=version)
                assert await other.entry("trip") == wanted
                assert await other.entries(Query()) == await log.entries(Query()) == [wanted]
            async with opened(url) as third:
                assert await third.entries(Query()) == [wanted]
            assert [each.data for each in await log.read("trip")] == [b'[{"n":0}]'] * 2

    asyncio.run(work())


def an_entry(id, **changes):
    facts = {"version": 0, "title": None, "metadata": {}, "created": AT, "updated": AT, "nodes": 0, "branches": 0}
    return Entry(**{"id": id, "cursors": {}} | facts | changes)


def test_damage(cluster, url):
    """Messages with a flipped bit or a swapped, repeated or missing one are found; the kit cannot reach the files."""

    async def work():
        choose = random.Random(11)
        async with opened(url) as log, connected(url) as server:
            await filled(log, "trip", 6)
            name = server.address.stream
            raws = await server.scan(name, f"{name}.commits.>", 1, (await server.last(name, ">")).sequence)
            for number in range(60):
                changed = list(raws)
                place = choose.randrange(6)
                kind = ("bit of the body", "bit of a header", "gone", "twice", "swapped", "end gone")[number % 6]
                raw = raws[place]
                if kind == "bit of the body":
                    changed[place] = replace(raw, body=flipped(choose, raw.body))
                elif kind == "bit of a header":
                    header = choose.choice(("Branchlog", "Branchlog-Seal"))
                    text = flipped(choose, raw.headers[header].encode(), 0b101).decode(errors="replace")
                    changed[place] = replace(raw, headers=raw.headers | {header: text})
                elif kind == "gone":
                    del changed[min(place, 4)]
                elif kind == "twice":
                    changed.insert(place, raw)
                elif kind == "swapped":
                    changed[place], changed[place - 1] = changed[place - 1], changed[place]
                else:
                    changed[0] = replace(changed[0], subject=changed[0].subject + "x")
                await check_found(server, cluster, changed, kind)

    asyncio.run(work())


def flipped(choose, content, bits=0b11111111):
    """One bit of it changed; of those that are given."""
    place = choose.randrange(len(content))
    bit = choose.choice([bit for bit in (1, 4) if bit & bits])
    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


async def check_found(server, cluster, raws, kind):
    name = f"D{next(STREAMS)}"
    config = {
        "name": name,
        "subjects": [f"{name}.>"],
        "metadata": {"branchlog-layout": "1"},
        "storage": "file",
        "allow_direct": True,
    }
    await server.command(f"STREAM.CREATE.{name}", config)
    own = ("Branchlog", "Branchlog-Seal")
    for raw in raws:
        subject = f"{name}.{raw.subject.partition('.')[2]}"
        headers = {key: raw.headers[key] for key in own if raw.headers[key].strip()}
        await server.persist(partial(server.ask, subject, raw.body, headers))  # the stream may have no leader yet
    async with opened(f"{cluster.url}?stream={name}&replicas=1") as log:
        try:
            await log.read("trip")
        except CorruptLog:
            pass
        else:
            pytest.fail(f"not found: {kind}")
    await removed(cluster, name)


# Reading a part of much.


def test_pages_of_a_long_conversation(url_alone, monkeypatch):
    """Parts of 700 commits are what a slice of them is, and few messages are fetched for a few at the end."""

    async def work():
        async with opened(url_alone) as log:
            commits = await filled(log, "trip", 700)
            monkeypatch.setattr(backend, "STEP", 8)
            fetched = 0
            batch = log._server._batch

            async def counted(*asked):
                nonlocal fetched
                found = await batch(*asked)
                fetched += len(found)
                return found

            monkeypatch.setattr(log._server, "_batch", counted)
            for after in (0, 1, 300, 511, 512, 690, 699, 700):
                for limit in (1, 7, None):
                    assert await log.read("trip", after=after, limit=limit) == commits[after:][:limit]
            for until in (1, 2, 300, 512, 699, 700, 900):
                for limit in (1, 7, None):
                    part = commits[:until][::-1][:limit]
                    assert await log.read("trip", until=until, limit=limit, backward=True) == part
            fetched = 0
            assert await log.read("trip", after=690) == commits[690:]
            assert await log.read("trip", backward=True, limit=5) == commits[:-6:-1]
            assert fetched < 60

    asyncio.run(work())


# Exactly once.


def test_a_commit_comes_again_after_the_servers_have_forgotten_it(url, monkeypatch):
    """The first answer comes again, whatever is expected, and nothing is stored twice."""
    monkeypatch.setattr(nats_streams, "DUPLICATES_SECONDS", 0.1)

    async def work():
        async with opened(url) as log:
            commits = await filled(log, "trip", 5)
            async with connected(url) as server:
                await server.persist(lambda: forgotten(server))
            for again in commits:
                for expected in (again.first - 1, 5, 9, Expected.ANY, Expected.EXISTS):
                    async with opened(url) as other:
                        answer = await other.append(again, expected=expected)
                    assert (answer.commit, answer.deduplicated) == (again, True)
                    changed = a_commit("trip", genesis("", "trip"), id=again.id, data=b"[0]")
                    with pytest.raises(CommitIdReused):
                        await log.append(changed, expected=Expected.ANY)
            assert await log.read("trip") == commits

    asyncio.run(work())


async def forgotten(server):
    """Wait until the servers take a message of an id that they had before; unanswered until then."""
    subject, headers = f"{server.address.stream}.erased.none", {"Nats-Msg-Id": "probe"}
    if json.loads(await server.ask(subject, b"", headers)).get("duplicate"):
        raise nats_connection.Unanswered("not forgotten yet")
    await asyncio.sleep(0.15)
    answer = json.loads(await server.ask(subject, b"", headers))
    if answer.get("duplicate"):
        raise nats_connection.Unanswered("not forgotten yet")


def test_an_answer_that_is_lost(cluster, url):
    """The connection is cut after the commit and before the answer: the log tries again, and stores nothing twice."""

    async def work(proxy, cut):
        async with opened(f"nats://127.0.0.1:{proxy.port}?{url.partition('?')[2]}") as log:
            head = genesis("", "trip")
            for number in range(3):
                cut.append(number)
                commit = a_commit("trip", head, number)
                answer = await log.append(commit, expected=Expected.ANY if number == 2 else number)
                assert answer.commit.id == commit.id
                head = answer.commit.head
                await back_to_the_proxy(log)
            stored = await log.read("trip")
            assert [each.data for each in stored] == [b'[{"n":%d}]' % number for number in range(3)]

    async def back_to_the_proxy(log):
        """The servers have told the client of each other; only the proxy cuts."""
        log._server._client._server_pool[:] = [
            each for each in log._server._client._server_pool if each.uri.port == proxy.port
        ]
        await log._server._client.force_reconnect()
        await log.head("trip")

    cut = []

    def cuts(request):
        if cut and b"HPUB" in request and b".commits." in request:
            cut.clear()
            return True
        return False

    proxy = CuttingProxy(cluster.nodes[0].port, cuts)
    try:
        asyncio.run(work(proxy, cut))
        assert proxy.cut >= 2
    finally:
        proxy.stop()


# Erasing.


def test_a_redaction_that_was_not_finished(url, monkeypatch):
    """Readers of the conversation see it at once; the same call again finishes it, and so does the next redaction."""

    async def broken(*_):
        raise BackendError("gone")

    async def work():
        async with opened(url) as log, opened(url) as other:
            commits = await filled(log, "trip", 4)
            erasing = a_commit("trip", commits[-1].head)
            for call in range(2):
                with monkeypatch.context() as patched:
                    patched.setattr(NatsLog, "_finish", broken)
                    with pytest.raises(BackendError, match="gone"):
                        await log.redact(erasing, expected=4, erasures=[Erasure(first=2, data=b"[0]")])
                assert [each.data for each in await other.read("trip")][1] == b"[0]", call
            assert len(await other.read("trip")) == 5
            again = await other.redact(erasing, expected=4, erasures=[])
            assert again.deduplicated
            await check_erased(log, url, {2})
            with monkeypatch.context() as patched:
                erasing = a_commit("trip", (await log.head("trip")))
                patched.setattr(NatsLog, "_finish", unfinished(5))
                with pytest.raises(BackendError, match="gone"):
                    await log.redact(erasing, expected=5, erasures=[Erasure(first=3, data=b"[0]")])
            erasing = a_commit("trip", (await log.head("trip")))
            await log.redact(erasing, expected=6, erasures=[Erasure(first=5, data=b"[0]")])
            await check_erased(log, url, {2, 3, 5})

    asyncio.run(work())


def test_a_writer_who_missed_a_redaction(url):
    """What it knows is of before; it looks again, and loses and refuses nothing."""

    async def work():
        async with opened(url) as late, opened(url) as log:
            commits = await filled(late, "trip", 4)
            await late.append(a_commit("trip", commits[-1].head), expected=Expected.ANY)
            for expected, first in ((Expected.ANY, 3), (Expected.EXISTS, 4)):
                erasing = a_commit("trip", await log.head("trip"))
                await log.redact(
                    erasing,
                    expected=erasing.first - 1,
                    erasures=[Erasure(first=each, data=b"[0]") for each in (2, first)],
                )
                await late.append(a_commit("trip", commits[-1].head), expected=expected)
                assert (await late.append(commits[2], expected=expected)).deduplicated
            assert [bool(each.erased) for each in await late.read("trip")] == [False, True, True, True] + [False] * 5
            assert await late.read_all() == await log.read("trip")

    asyncio.run(work())


def unfinished(before):
    """A way to finish what was begun before, and nothing after."""
    finish = NatsLog._finish

    async def of(log, stream, sequence):
        if sequence > before:
            raise BackendError("gone")
        await finish(log, stream, sequence)

    return of


async def check_erased(log, url, firsts):
    stored = await log.read("trip")
    assert {each.first for each in stored if each.erased} == firsts
    assert await log.read_all() == stored
    for size in (1, 2, 3):
        paged = []
        while page := await log.read_all(after=paged[-1].position if paged else 0, limit=size):
            paged += page
        assert paged == stored
    for first in firsts:
        assert (await log.read("trip", after=first - 1, limit=1))[0].erased
        assert (await log.read("trip", until=first, limit=1, backward=True))[0].erased
    async with connected(url) as server:
        for each in stored:
            assert (await server.get(server.address.stream, each.position) is None) is bool(each.erased)


def test_what_is_erased_with_one_replica_is_in_no_file():
    """When a redaction, a deletion or a newer snapshot is acknowledged, what was there is in none of the files."""
    cluster = Cluster(1).start()

    async def work():
        async with opened(f"{cluster.url}?replicas=1") as log:
            first = await put(log, "trip", data=b'["the first secret"]')
            await log.put_snapshot("trip", snapshot(0, first.head, "f", b"the second secret"))
            assert (cluster.holding(b"the first secret"), cluster.holding(b"the second secret")) != (0, 0)
            await log.put_snapshot("trip", snapshot(0, first.head, "f", b"another"))
            assert cluster.holding(b"the second secret") == 0
            await log.put_snapshot("trip", snapshot(0, first.head, "f", b"the second secret"))
            await log.redact(a_commit("trip", first.head), expected=1, erasures=[Erasure(first=1, data=b"[0]")])
            assert (cluster.holding(b"the first secret"), cluster.holding(b"the second secret")) == (0, 0)
            gone = await put(log, "gone", data=b'["the third secret"]')
            await log.put_snapshot("gone", snapshot(0, gone.head, "f", b"the fourth secret"))
            await log.delete("gone")
            assert (cluster.holding(b"the third secret"), cluster.holding(b"the fourth secret")) == (0, 0)

    try:
        asyncio.run(work())
    finally:
        cluster.stop()


def test_a_deletion_that_was_not_finished(url, monkeypatch):
    """Its conversation is deleted; to delete it again sweeps up what stayed behind."""

    async def broken(*_):
        raise BackendError("gone")

    async def work():
        async with opened(url) as log:
            await filled(log, "trip", 3)
            with monkeypatch.context() as patched:
                patched.setattr(NatsLog, "_sweep", broken)
                with pytest.raises(BackendError, match="gone"):
                    await log.delete("trip")
            with pytest.raises(ConversationDeleted):
                await log.head("trip")
            with pytest.raises(ConversationDeleted):
                await log.delete("trip")
            assert await log.read_all() == []
            assert (await log.examine()).facts["messages"] == 1

    asyncio.run(work())


def test_a_late_writer_brings_nothing_back(url):
    """One who knew the conversation before it was deleted is refused."""

    async def work():
        async with opened(url) as late, opened(url) as log:
            first = await put(late, "trip")
            await log.delete("trip")
            for expected in (1, Expected.ANY, Expected.EXISTS):
                with pytest.raises(ConversationDeleted):
                    await late.append(a_commit("trip", first.head), expected=expected)
            assert await late.entries(Query()) == []

    asyncio.run(work())


# Many at once.


def test_64_tasks_write_at_once(url):
    """Each with its own copy of one conversation and of eight others: nothing is lost, nothing there twice."""

    async def write(store, task):
        texts = []
        chats = [await store.load("shared"), await store.load(f"c{task % 8}")]
        for number in range(2):
            for chat in chats:
                text = f"{task} {chat.id} {number}"
                chat.add("user", text, under="")
                await store.save(chat)
                texts.append(text)
        return texts

    async def work():
        async with AsyncStore(await NatsLog.connect(url)) as store:
            for id in ("shared", *(f"c{number}" for number in range(8))):
                await store.save(await store.create(id))
            written = await asyncio.gather(*(write(store, task) for task in range(64)))
            chats = [await store.load(each.id) for each in await store.list()]
        stored = [[node.message.content for node in chat.tree.nodes if node.message] for chat in chats]
        assert Counter(text for texts in stored for text in texts) == Counter(text for own in written for text in own)
        for texts in stored:
            place = {text: at for at, text in enumerate(texts)}
            for own in written:
                places = [place[text] for text in own if text in place]
                assert places == sorted(places)

    asyncio.run(work())


WRITER = """
import asyncio
import sys

sys.path.insert(0, sys.argv[3])
from uuid import uuid4

from branchlog.commit import Head, genesis, seal
from branchlog.errors import VersionConflict
from branchlog.logs.nats import NatsLog


async def work():
    log = await NatsLog.connect(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(40):
        while True:
            head = await log.head("trip") or genesis("", "trip")
            id = uuid4().bytes
            commit = seal("trip", head, count=1, id=id, at=1, schema="1.0.0", data=b"[]")
            try:
                await log.append(commit, expected=head.version)
            except VersionConflict:
                continue
            print(id.hex(), flush=True)
            break
    await log.close()


asyncio.run(work())
"""


def test_two_processes_write_at_once(url):
    root = backend.__file__.rpartition("/branchlog/")[0]
    command = [sys.executable, "-c", WRITER, url, "", root]
    writers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 2
    answers = [writer.stdin.write("go\n") and writer.stdin.flush() for writer in writers]
    answers = [writer.communicate(timeout=120) for writer in writers]

    async def stored():
        async with opened(url) as log:
            return [each.id.hex() for each in await log.read("trip")]

    assert [errors for _, errors in answers] == ["", ""]
    own = [texts.split() for texts, _ in answers]
    found = asyncio.run(stored())
    assert [len(each) for each in own] == [40, 40]
    assert Counter(found) == Counter(own[0] + own[1])
    assert all([id for id in found if id in set(each)] == each for each in own)


# Campaigns: servers that are killed, cut off and brought back, under load.


class Load:
    """Writers and a tailing reader on a cluster, and a ledger of what was acknowledged."""

    def __init__(self, cluster, writers):
        self.cluster, self.over, self.quiet = cluster, False, False
        self.told, self.tailed = [], []
        self.conflicts = self.errors = 0
        self.writers = writers
        self.waits = []

    async def run(self, disturb):
        logs = [await NatsLog.connect(self.cluster.url) for _ in range(3)]
        writing = [asyncio.ensure_future(self.write(logs[n % 2], n)) for n in range(self.writers)]
        tailing = asyncio.ensure_future(self.tail(logs[2]))
        try:
            await disturb(self)
        finally:
            self.over = True
            await asyncio.gather(*writing)
            self.quiet = True
            await tailing
        self.stored = await logs[2].read_all()
        self.streams = {name: await logs[0].read(name) for name in {each.stream for each in self.stored}}
        for log in logs:
            await log.close()

    async def write(self, log, number):
        choose = random.Random(number)
        while not self.over:
            stream = choose.choice(("shared", f"own {number}"))
            commit = None
            while commit is not None or not self.over:
                began = time.monotonic()
                try:
                    if commit is None:
                        head = await log.head(stream) or genesis("", stream)
                        commit = a_commit(stream, head, number)
                    answer = await log.append(commit, expected=commit.first - 1)
                except VersionConflict:
                    self.conflicts += 1
                    commit = None
                    continue
                except LogClosed:
                    raise
                except BackendError:
                    self.errors += 1
                    continue
                self.waits.append(time.monotonic() - began)
                self.told.append(answer.commit)
                break
            await asyncio.sleep(choose.random() / 200)

    async def tail(self, log):
        last_round = False
        while not last_round:
            last_round = self.quiet
            try:
                while page := await log.read_all(after=self.tailed[-1].position if self.tailed else 0, limit=100):
                    self.tailed += page
            except BackendError:
                self.errors += 1
                last_round = False
            await asyncio.sleep(0.02)

    async def until_told(self, more):
        """Wait until so many more are acknowledged."""
        wanted = len(self.told) + more
        while len(self.told) < wanted:  # noqa: ASYNC110 - many writers tell
            await asyncio.sleep(0.005)

    def check(self):
        """What was acknowledged is there exactly once, at its place, and in order; the reader saw it all."""
        stored = [(each.position, each.id) for each in self.stored]
        counts = Counter(id for _, id in stored)
        assert [each for each in self.told if counts[each.id] != 1] == []
        assert set(stored) >= {(each.position, each.id) for each in self.told}
        assert max(counts.values()) == 1
        assert [(each.position, each.id) for each in self.tailed] == stored
        for commits in self.streams.values():
            assert all(one.head == Head(other.first - 1, other.previous) for one, other in pairwise(commits))

    def report(self):
        waits = max(self.waits)
        return f"{len(self.told)} acknowledged, {self.conflicts} conflicts, {self.errors} errors, longest {waits:.1f} s"


async def kill_leader(load, rounds):
    for _ in range(rounds):
        await load.until_told(100)
        leader = await leader_of(load)
        leader.kill()
        await load.until_told(100)
        leader.start()
        await asyncio.to_thread(load.cluster.wait)


async def leader_of(load):
    while (leader := await asyncio.to_thread(load.cluster.leader_of, "BRANCHLOG")) is None:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)
    return leader


async def freeze_leader(load, rounds):
    for _ in range(rounds):
        await load.until_told(100)
        leader = await leader_of(load)
        leader.freeze()
        await load.until_told(100)
        leader.thaw()
        await asyncio.to_thread(load.cluster.wait)


async def restart_all(load, rounds):
    for _ in range(rounds):
        await load.until_told(100)
        for node in load.cluster.nodes:
            node.kill()
        for node in load.cluster.nodes:
            node.start()
        await load.until_told(100)
        await asyncio.to_thread(load.cluster.wait)


def campaign(disturb, rounds, writers=16):
    cluster = Cluster().start()
    load = Load(cluster, writers)
    try:
        asyncio.run(load.run(partial(disturb, rounds=rounds)))
    finally:
        cluster.stop()
    print(load.report())  # noqa: T201 - the figures of a campaign, shown by pytest -rP
    load.check()
    return load


LEAVES_SOCKETS = pytest.mark.filterwarnings(
    # nats-py forgets the socket of an attempt to reconnect that a frozen server has not answered
    "ignore:Exception ignored in. <function StreamWriter:pytest.PytestUnraisableExceptionWarning"
)


@LEAVES_SOCKETS
@pytest.mark.parametrize("disturb", [kill_leader, freeze_leader, restart_all])
def test_servers_fail_under_load(disturb):
    """Every acknowledged commit is there exactly once; a reader who tails has seen each, in order."""
    load = campaign(disturb, 1)

    lost = load.stored.pop(len(load.stored) // 2)
    assert lost.id in {each.id for each in load.told}
    with pytest.raises(AssertionError):  # the check itself would have seen one that is gone
        load.check()


@LEAVES_SOCKETS
@pytest.mark.long
def test_the_leader_is_killed_20_times():
    campaign(kill_leader, 20, 64)


@LEAVES_SOCKETS
@pytest.mark.long
def test_a_leader_is_cut_off_10_times():
    campaign(freeze_leader, 10, 64)


@LEAVES_SOCKETS
@pytest.mark.long
def test_all_servers_are_killed_10_times():
    campaign(restart_all, 10, 64)


def test_nobody_answers(monkeypatch):
    """After a bounded time it is an error of the backend, and the same commit may be sent again."""
    monkeypatch.setattr(backend, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(nats_connection, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(nats_connection, "REQUEST_SECONDS", 0.2)
    cluster = Cluster(1).start()

    async def work():
        async with opened(f"{cluster.url}?replicas=1") as log:
            first = await put(log, "trip")
            commit = a_commit("trip", first.head)
            cluster.nodes[0].kill()
            for call in (log.append(commit, expected=1), log.head("trip"), log.read_all(), log.entries(Query())):
                with pytest.raises(BackendError, match="no answer"):
                    await call
            cluster.nodes[0].start()
            await asyncio.to_thread(cluster.wait)
            answer = None
            while answer is None:
                try:
                    answer = await log.append(commit, expected=1)
                except BackendError:
                    await asyncio.sleep(0.05)
            assert [each.id for each in await log.read("trip")] == [first.id, commit.id]

    try:
        asyncio.run(work())
    finally:
        cluster.stop()


def test_a_full_disk():
    """The server's own limit: one error of the backend, and what was acknowledged is there."""
    cluster = Cluster(1, disk="2MB").start()

    async def work():
        async with opened(f"{cluster.url}?replicas=1") as log:
            head, stored = genesis("", "trip"), []

            async def fill():
                for number in range(40):
                    behind = stored[-1].head if stored else head
                    commit = a_commit("trip", behind, data=b'["' + b"x" * 200_000 + b'"]')
                    stored.append((await log.append(commit, expected=number)).commit)

            with pytest.raises(BackendError, match=r"resource|storage"):
                await fill()
            assert stored
            assert await log.read("trip") == stored

    try:
        asyncio.run(work())
    finally:
        cluster.stop()


def test_a_group_of_which_one_has_no_answer(url, monkeypatch):
    """What concerns them all is raised; what is refused is told of each."""

    async def work():
        async with opened(url) as log:
            good = a_commit("a", genesis("", "a"))
            late = a_commit("b", genesis("", "b"), number=1)
            await put(log, "b")
            outcomes = await log.append_group([Append(commit=good, expected=0), Append(commit=late, expected=0)])
            assert [type(each).__name__ for each in outcomes] == ["Appended", "VersionConflict"]

            async def nobody(*_):
                raise BackendError("gone")

            monkeypatch.setattr(log, "_publish", nobody)
            with pytest.raises(BackendError, match="gone"):
                await log.append_group([Append(commit=a_commit("c", genesis("", "c")), expected=0)])

    asyncio.run(work())


def test_every_error_is_ours(url):
    assert issubclass(nats_connection.Unanswered, BranchlogError)
    assert issubclass(nats_connection.Refused, BackendError)
