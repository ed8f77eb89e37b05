"""The log in object storage: in memory, in a folder, and on S3 (moto's server)."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from hypothesis import settings
from obstore.store import MemoryStore
from servers.objects import KEYS, s3_server
from servers.proxy import CuttingProxy

import branchlog
from branchlog.commit import Head, genesis, seal, snapshot
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationDeleted,
    CorruptLog,
    InvalidInput,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
    VersionConflict,
)
from branchlog.logs._objects import bucket as objects_bucket
from branchlog.logs._objects import slots as objects_slots
from branchlog.logs._objects.bucket import Bucket, bucket_at, decoded, encoded, sealed
from branchlog.logs.base import Abilities, Append, Appended, AsyncLog, Erasure, Expected, Query
from branchlog.logs.objects import ObjectsLog
from branchlog.store import Store
from branchlog.testing import LogContract, LogMachine, StoreContract, bridged
from branchlog.testing.contract import AT, NAMES, an_entry


@pytest.fixture(scope="session")
def s3():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        with s3_server() as server:
            yield server


class InMemory:
    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self):
        objects = MemoryStore()
        return lambda namespace="": bridged(lambda: ObjectsLog.connect("memory", namespace=namespace, objects=objects))


class InFolder:
    abilities = Abilities(durable=False, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": bridged(lambda: ObjectsLog.connect(f"file://{tmp_path}/o", namespace=namespace))


class OnS3:
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def bucket(self, s3):
        return s3.bucket()

    @pytest.fixture
    def open_log(self, s3, bucket):
        return lambda namespace="": bridged(lambda: ObjectsLog.connect(s3.url(bucket), namespace=namespace))


class TestInMemory(InMemory, LogContract):
    """Objects in memory."""


class TestConversationsInMemory(InMemory, StoreContract):
    """Conversations in objects in memory."""


class TestInFolder(InFolder, LogContract):
    """A folder of objects."""


class TestConversationsInFolder(InFolder, StoreContract):
    """Conversations in a folder of objects."""


class TestOnS3(OnS3, LogContract):
    """Objects on S3."""

    @pytest.mark.parametrize(
        "size", [1, 2, *(pytest.param(size, marks=pytest.mark.long) for size in (999, 1_000, 1_001, 5_000))]
    )
    def test_sizes(self, log, size):
        """As in the contract; the large ones take moto half a minute, and memory and folder have them each time."""
        super().test_sizes(log, size)


@pytest.mark.long  # the same code as in a folder, a request at a time
class TestConversationsOnS3(OnS3, StoreContract):
    """Conversations on S3."""

    @pytest.fixture
    def tmp_path(self, s3, bucket, tmp_path):
        """Where the contract looks for the log's files: what is in the bucket."""
        return InBucket(s3.objects(bucket), tmp_path)


class InBucket(type(Path())):
    """A folder beneath which the contract finds the objects of a bucket, as a path finds its files."""

    def __new__(cls, objects, folder):
        made = super().__new__(cls, folder)
        made.objects = objects
        return made

    def __init__(self, *_):
        pass

    def rglob(self, _pattern):
        return [ObjectPath(self.objects, each["path"]) for each in obstore.list(self.objects).collect()]


class ObjectPath:
    """An object, as far as it is like a file."""

    def __init__(self, objects, key):
        self.objects, self.key = objects, key

    def is_file(self):
        return True

    def read_bytes(self):
        return bytes(obstore.get(self.objects, self.key).bytes())

    def write_bytes(self, raw):
        obstore.put(self.objects, self.key, raw)


class InMemoryMachine(LogMachine):
    def open_log(self, folder):
        objects = MemoryStore()
        return bridged(lambda: ObjectsLog.connect("memory", objects=objects))


class InFolderMachine(LogMachine):
    def open_log(self, folder):
        return bridged(lambda: ObjectsLog.connect(f"file://{folder}/objects"))


def running(machine, share):
    case = machine.TestCase
    case.settings = settings(case.settings, max_examples=max(8, int(settings().max_examples * share)))
    return case


TestInMemoryMachine = running(InMemoryMachine, 0.12)
TestInFolderMachine = running(InFolderMachine, 0.08)


# What the tests below share.


def commit_for(head, stream="trip", *, text="x", id=None, namespace=""):
    head = head or genesis(namespace, stream)
    commit_for.made += 1
    return seal(
        stream,
        head,
        count=1,
        id=id or commit_for.made.to_bytes(16, "big"),
        at=AT,
        schema="1.0.0",
        data=json.dumps([{"text": text}]).encode(),
    )


commit_for.made = 0


async def put(log, stream="trip", *, text="x", entry=None):
    commit = commit_for(await log.head(stream), stream, text=text, namespace=log.namespace)
    return (await log.append(commit, expected=commit.first - 1, entry=entry)).commit


async def in_memory(objects=None, **options):
    return await ObjectsLog.connect("memory", objects=objects or MemoryStore(), **options)


def keys(objects):
    return sorted(each["path"] for each in obstore.list(objects).collect())


def raw(objects, key):
    return bytes(obstore.get(objects, key).bytes())


@contextmanager
def slowly(monkeypatch, seed=1, longest=0.01):
    """Let every request take a random time, so that requests overtake each other."""
    choose, put_new = random.Random(seed), Bucket.put_new

    async def late(self, key, raw):
        await asyncio.sleep(choose.random() * longest)
        stored = await put_new(self, key, raw)
        await asyncio.sleep(choose.random() * longest)
        return stored

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put_new", late)
        yield


# The layout.


def test_it_is_an_async_log():
    async def work():
        log = await in_memory()
        assert isinstance(log, AsyncLog)
        assert log.blocking is None
        await log.close()

    asyncio.run(work())


def test_the_objects():
    """One object for each commit, by its number; the claims; the catalog; no payload anywhere else."""
    objects = MemoryStore()

    async def work():
        log = await in_memory(objects)
        for text in ("one", "two", "three"):
            stored = await put(log, "Trip 1", text=text, entry=an_entry("Trip 1", title="Kyoto"))
        await log.put_snapshot("Trip 1", snapshot(0, stored.head, "f", b"bytes"))
        await put(log.within("a/b"), "x")
        await log.close()

    asyncio.run(work())
    trip = "n-/=54rip=201"
    assert keys(objects) == sorted(
        [
            "branchlog.json",
            "catalog/n-a=2fb/x/0000000001",
            f"catalog/{trip}/0000000002",
            f"catalog/{trip}/0000000003",
            "commits/n-a=2fb/x/0000000001",
            *(f"commits/{trip}/000000000{number}" for number in (1, 2, 3)),
            *(f"log/000000000000000{number}" for number in (1, 2, 3, 4)),
            f"snapshots/{trip}/0000000000000003",
        ]
    )
    assert raw(objects, "branchlog.json") == b'{"application":"branchlog","layout":1}\n'
    header, data = raw(objects, f"commits/{trip}/0000000002").split(b"\n")
    assert data == b'[{"text": "two"}]'
    assert json.loads(header[33:])["entry"]["title"] == "Kyoto"
    assert [key for key in keys(objects) if b"two" in raw(objects, key)] == [f"commits/{trip}/0000000002"]


@pytest.mark.parametrize("name", [*NAMES, "é" * 512, "=41", "A", "a.deleted", "0000000001"], ids=ascii)
def test_a_name_reaches_no_other(name):
    """An encoded name is one segment of small ASCII, short enough for a file's name, and like no other's."""
    text = encoded(name)

    assert text.isascii()
    assert not set(text) - set("abcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert 0 < len(text) <= 120
    assert decoded(text) in (name, None)
    assert len({encoded(each) for each in {*NAMES, name}}) == len({*NAMES, name})


def test_long_names_on_s3(s3):
    """The longest names in the longest prefix make a key that S3 takes; their true names come back."""
    bucket, prefix = s3.bucket(), "p" * 700

    async def work():
        url = s3.url(bucket).replace("some/prefix", prefix)
        log = await ObjectsLog.connect(url, namespace="é" * 512)
        await put(log, "京" * 341)
        assert await log.namespaces() == ["é" * 512]
        assert [each.id for each in await log.entries(Query())] == ["京" * 341]
        assert max(map(len, s3.keys(bucket))) < 1_024
        await log.close()
        with pytest.raises(InvalidInput, match="a prefix has at most"):
            await ObjectsLog.connect(url.replace(prefix, "p" * 800))

    asyncio.run(work())


# Many at once.


@pytest.mark.parametrize("where", ["memory", "folder", "s3"])
def test_of_sixteen_who_race_one_wins(where, s3, tmp_path):
    """Of 16 handles that append behind one version one succeeds, and nothing of the others' is stored."""
    objects = MemoryStore()
    url = s3.url(s3.bucket()) if where == "s3" else f"file://{tmp_path}/objects"

    async def work():
        given = objects if where == "memory" else None
        logs = [await ObjectsLog.connect(url, objects=given) for _ in range(16)]
        head = None
        for _ in range(3):
            commits = [commit_for(head, text=f"writer {number}") for number in range(16)]
            said = await asyncio.gather(
                *(log.append(commit, expected=commit.first - 1) for log, commit in zip(logs, commits, strict=True)),
                return_exceptions=True,
            )
            (won,) = [each for each in said if isinstance(each, Appended)]
            assert [type(each) for each in said].count(VersionConflict) == 15
            head = won.commit.head
        assert [each.first for each in await logs[3].read("trip")] == [1, 2, 3]
        assert await logs[5].read_all() == await logs[7].read("trip")
        for log in logs:
            await log.close()

    asyncio.run(work())


@pytest.mark.parametrize("where", ["folder", "s3"])
@pytest.mark.parametrize("streams", [1, 16])
def test_64_writers(where, streams, s3, tmp_path):
    """64 tasks on 4 handles, on one conversation and on many: nothing is lost, nothing is there twice."""
    url = s3.url(s3.bucket()) if where == "s3" else f"file://{tmp_path}/objects"

    async def work():
        logs = [await ObjectsLog.connect(url) for _ in range(4)]

        async def write(number):
            log, told = logs[number % 4], []
            for _ in range(2):
                commit = commit_for(None, f"c{number % streams}")
                told.append((await log.append(commit, expected=Expected.ANY)).commit)
            return told

        told = [commit for own in await asyncio.gather(*map(write, range(64))) for commit in own]
        stored = await logs[0].read_all()
        assert sorted(told, key=lambda each: each.position) == stored
        assert len(stored) == 128
        for number in range(streams):
            own = await logs[1].read(f"c{number}")
            assert own == [each for each in stored if each.stream == f"c{number}"]
        assert sum(each.version for each in await logs[2].entries(Query())) == 128
        for log in logs:
            await log.close()

    asyncio.run(work())


async def tailing(log, done):
    """All commits as one who reads on from the last position sees them."""
    seen = []
    over = False
    while not over:
        over = done.is_set()
        while page := await log.read_all(after=seen[-1].position if seen else 0, limit=7):
            seen += page
        await asyncio.sleep(0)
    return seen


async def written_and_tailed(logs):
    """Let tasks write through handles, with conflicts in between, while another tails; what was told, and seen."""
    done = asyncio.Event()

    async def write(number):
        choose, told = random.Random(number), []
        log = logs[number % (len(logs) - 1)]
        for _ in range(12):
            stream = choose.choice("abcde")
            head = await log.head(stream)
            commit = commit_for(head, stream)
            try:
                expected = Expected.ANY if choose.random() < 0.5 else commit.first - 1
                told.append((await log.append(commit, expected=expected)).commit.id)
            except VersionConflict:
                continue
        return told

    tail = asyncio.create_task(tailing(logs[-1], done))
    told = [id for own in await asyncio.gather(*map(write, range(12))) for id in own]
    done.set()
    return told, await tail


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_tailing_misses_nothing(monkeypatch, seed):
    """Requests take random times, some appends are refused: no commit is lost, seen twice or out of order."""

    async def work():
        objects = MemoryStore()
        logs = [await in_memory(objects) for _ in range(5)]
        with slowly(monkeypatch, seed):
            told, seen = await written_and_tailed(logs)
        positions = [each.position for each in seen]
        assert Counter(each.id for each in seen) == Counter(told)
        assert positions == sorted(set(positions))
        assert seen == await (await in_memory(objects)).read_all()

    asyncio.run(work())


def test_tailing_without_waiting_loses(monkeypatch):
    """The control: a reader who passes over a slot that is claimed and not written yet does lose commits."""

    async def hasty(self, place):
        claim = await self.claim()
        space, stream, number = claim.slots[place]
        key = f"commits/{space}/{stream}/{number:010}"
        found = await self._bucket.get(key)
        return self._mine(key, found, place) if found else None

    async def work():
        objects = MemoryStore()
        logs = [await in_memory(objects) for _ in range(5)]
        with slowly(monkeypatch):
            monkeypatch.setattr(objects_slots.Waiting, "slot", hasty)
            told, seen = await written_and_tailed(logs)
        assert len(seen) < len(told)

    asyncio.run(work())


WRITER = """
import asyncio, json, sys
from branchlog.commit import genesis, seal
from branchlog.logs.base import Expected
from branchlog.logs.objects import ObjectsLog

url, process, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

async def work():
    log = await ObjectsLog.connect(url)
    print("ready", flush=True)
    sys.stdin.readline()
    async def write(task):
        for number in range(rounds):
            stream = ("shared", f"own {process} {task}")[number % 2]
            id = bytes([process, task]) + number.to_bytes(14, "big")
            commit = seal(stream, genesis("", stream), count=1, id=id, at=1, schema="1.0.0", data=b"[1]")
            stored = (await log.append(commit, expected=Expected.ANY)).commit
            print(json.dumps([stream, id.hex(), stored.position]), flush=True)
    await asyncio.gather(*(write(task) for task in range(4)))
    await log.close()

asyncio.run(work())
"""


def writer(url, process, rounds):
    command = [sys.executable, "-c", WRITER, url, str(process), str(rounds)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "ready\n"
    return started


def test_two_processes(s3):
    """Two processes of 4 tasks each write to one conversation and to their own, while a third reads on."""
    url = s3.url(s3.bucket())
    writers = [writer(url, number, 10) for number in range(2)]

    async def tail():
        log, done = await ObjectsLog.connect(url), asyncio.Event()
        tail = asyncio.create_task(tailing(log, done))
        said = await asyncio.gather(*(asyncio.to_thread(each.communicate, "go\n", 120) for each in writers))
        done.set()
        seen = await tail
        assert len(await log.read("shared")) == 40
        await log.close()
        return said, seen

    said, seen = asyncio.run(tail())
    told = sorted((json.loads(line) for out, _ in said for line in out.splitlines()), key=lambda each: each[2])
    assert len(told) == 80
    assert [[each.stream, each.id.hex(), each.position] for each in seen] == told


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.long)])
def test_killed_at_random(tmp_path, rounds):
    """A process that writes into a folder is killed with -9, again and again: what it was told is there once."""
    url = f"file://{tmp_path}/objects"
    choose, told = random.Random(9), []
    for number in range(rounds):
        process = writer(url, number % 256, 1_000_000)
        process.stdin.write("go\n")
        process.stdin.flush()
        wanted = choose.randrange(5, 40)
        lines = [process.stdout.readline() for _ in range(wanted)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        whole = [line for line in [*lines, *rest.splitlines(keepends=True)] if line.endswith("]\n")]
        told += [(*json.loads(line), number) for line in whole]
        if number % 256 == 255:  # ids would come again
            break

    async def check():
        log = await ObjectsLog.connect(url)
        stored = await log.read_all()
        there = {each.position: each for each in stored}
        assert [there[position].id.hex() for _, _, position, _ in told] == [id for _, id, _, _ in told]
        for entry in await log.entries(Query()):
            own = [each for each in stored if each.stream == entry.id]
            assert own == await log.read(entry.id)
            assert entry.version == len(own)
        await log.close()

    asyncio.run(check())


# Writers who die or are slow.


def test_a_writer_who_died_before_its_slot(monkeypatch):
    """A claim without its slot holds readers back for a moment; then it is void, and all goes on."""
    monkeypatch.setattr(objects_slots, "GRACE_SECONDS", 0.05)
    objects = MemoryStore()

    async def work():
        log = await in_memory(objects)
        first = await put(log)
        claim = objects_slots.Claim(b"n" * 16, (("n-", "trip", 2), ("n-", "new", 1)))
        obstore.put(objects, "log/0000000000000002", sealed(claim))
        other = await put(log, "other")
        looking = await in_memory(objects, read_only=True)
        assert await looking.read_all() == [first]  # it may not decide, so it waits
        assert await log.read_all() == [first, other]
        assert await looking.read_all() == [first, other]
        assert b'"void"' in raw(objects, "commits/n-/trip/0000000002")
        then = await put(await in_memory(objects))
        assert then.first == 2
        assert (await put(log, "new")).first == 1
        assert [each.stream for each in await log.read_all()] == ["trip", "other", "trip", "new"]
        assert (await log.entry("trip")).version == 2
        assert (await log.examine()).problems == ()

    asyncio.run(work())


def test_a_group_whose_writer_died(monkeypatch):
    """Of one conversation the first slot is, which stops its writer; behind the end of a deleted one nothing is put."""
    monkeypatch.setattr(objects_slots, "GRACE_SECONDS", 0.02)
    objects, put_new, order = MemoryStore(), Bucket.put_new, []

    async def noted(self, key, raw):
        order.append(key)
        return await put_new(self, key, raw)

    async def work():
        log = await in_memory(objects)
        for stream in ("trip", "gone"):
            await put(log, stream)
        slots = (*(("n-", "trip", number) for number in (2, 3, 4)), ("n-", "gone", 3), ("n-", "gone", 4))
        obstore.put(objects, "log/0000000000000003", sealed(objects_slots.Claim(b"n" * 16, slots)))
        await log.delete("gone")
        other = await in_memory(objects)
        monkeypatch.setattr(Bucket, "put_new", noted)
        assert [each.stream for each in await other.read_all()] == ["trip"]
        assert [key[-1] for key in order if "trip" in key] == ["2"]
        assert not [key for key in keys(objects) if key.startswith("commits/n-/gone/0000000003")]
        with pytest.raises(ConversationDeleted):
            await put(other, "gone")
        assert (await put(log)).first == 2

    asyncio.run(work())


def test_a_writer_who_is_slower_than_readers_wait(monkeypatch):
    """It finds that it was given up for dead, and claims again: its commit is behind what was read meanwhile."""
    monkeypatch.setattr(objects_slots, "GRACE_SECONDS", 0.02)
    objects, claim, paused = MemoryStore(), Bucket.claim, asyncio.Event()

    async def slow(self, key, raw):
        if key.startswith("commits/") and self.place == "slow" and key.endswith("2"):
            paused.set()
            await asyncio.sleep(0.3)
        return await claim(self, key, raw)

    async def work():
        log = await ObjectsLog.connect("slow", objects=objects)
        reader = await in_memory(objects)
        await put(log)
        monkeypatch.setattr(Bucket, "claim", slow)
        late = asyncio.create_task(put(log, text="late"))
        await paused.wait()
        quick = await put(reader, "quick")
        before = await reader.read_all()
        assert before[-1] == quick
        stored = await late
        assert stored.first == 2
        assert await reader.read_all(after=before[-1].position) == [stored]
        assert await reader.read("trip") == await log.read("trip")
        assert "commits/n-/trip/0000000003" in keys(objects)

    asyncio.run(work())


def test_the_catalog_of_a_writer_who_died():
    """A commit whose entry did not reach the catalog any more is listed as it is by the next who looks."""
    objects = MemoryStore()

    async def work():
        log = await in_memory(objects)
        for number in range(3):
            await put(log, "trip", entry=an_entry("trip", title=f"title {number}"))
            await put(log, "new", entry=an_entry("new", title=f"title {number}"))
        for key in keys(objects):
            if key.startswith("catalog/n-/new") or key == "catalog/n-/trip/0000000003":
                obstore.delete(objects, key)
        other = await in_memory(objects)
        assert {(each.id, each.version, each.title) for each in await other.entries(Query())} == {
            ("trip", 3, "title 2"),
            ("new", 3, "title 2"),
        }
        assert await other.namespaces() == [""]

    asyncio.run(work())


def test_a_checkpoint_saves_reading_claims():
    """After many claims a listing leaves a checkpoint, and the next process reads those behind it only."""
    objects, read = MemoryStore(), []

    async def work():
        log = await in_memory(objects)
        for number in range(300):
            await put(log, f"c{number % 7}")
        assert await log.count({}) == 7
        other = await in_memory(objects)
        await put(log, "c1")
        get = other._bucket.get

        async def noted(key):
            read.append(key)
            return await get(key)

        other._bucket.get = noted
        assert {each.id: each.version for each in await other.entries(Query())}["c1"] == 44
        assert sum(key.startswith("log/") for key in read) == 45  # since the 256th
        assert len(log._shared.complete) < 256
        assert (await put(other, "c2")).position > (await log.read("c1"))[-1].position

    asyncio.run(work())


def test_a_redaction_that_was_cut_off(monkeypatch):
    """From the commit on nobody reads what was redacted; the same call again overwrites it."""
    objects = MemoryStore()

    async def work():
        log = await in_memory(objects)
        await put(log, text="secret")
        commit = commit_for(await log.head("trip"))
        erasures = [Erasure(first=1, data=b"[null]")]
        with monkeypatch.context() as patch:
            patch.setattr(Bucket, "put", refusing)
            with pytest.raises(BackendError):
                await log.redact(commit, expected=1, erasures=erasures)
        other = await in_memory(objects)
        assert (await other.read("trip"))[0].data == b"[null]"
        assert b"secret" in raw(objects, "commits/n-/trip/0000000001")
        assert (await other.redact(commit, expected=1, erasures=erasures)).deduplicated
        assert not [key for key in keys(objects) if b"secret" in raw(objects, key)]

    async def refusing(self, key, raw):
        raise BackendError("the connection died")

    asyncio.run(work())


def test_a_stale_writer_does_not_bring_a_deleted_conversation_back():
    """Neither at the next number nor at one that was overwritten; a later one takes up what an earlier try left."""
    objects = MemoryStore()

    async def work():
        stale, log = await in_memory(objects), await in_memory(objects)
        await put(stale, text="secret")
        await put(log, text="secret")
        await log.delete("trip")
        for expected in (1, 2, Expected.ANY):
            with pytest.raises(ConversationDeleted):
                await stale.append(commit_for(Head(1, b"x" * 16)), expected=expected)
        assert not [key for key in keys(objects) if b"secret" in raw(objects, key)]
        assert await stale.entries(Query()) == await log.read_all() == []
        obstore.put(objects, "snapshots/n-/trip/0000000000000001", b"left")
        with pytest.raises(ConversationDeleted):
            await log.delete("trip")
        assert not [key for key in keys(objects) if key.startswith("snapshots/")]

    asyncio.run(work())


# S3 itself.


@pytest.mark.parametrize("what", [b"/log/", b"/commits/", b"/catalog/"])
def test_an_answer_that_was_lost(s3, what):
    """The connection is cut after the object is stored and before the answer: nothing is stored twice."""
    bucket = s3.bucket()
    cutting = threading.Event()

    def cuts(request):
        if not (cutting.is_set() and request.startswith(b"PUT") and what in request.partition(b"\r\n")[0]):
            return False
        cutting.clear()
        return True

    proxy = CuttingProxy(s3.port, cuts)

    async def work():
        log = await ObjectsLog.connect(s3.url(bucket, port=proxy.port))
        told = []
        for number in range(6):
            commit = commit_for(await log.head("trip"), text=str(number))
            if number % 2:
                cutting.set()
            for _ in range(3):
                try:
                    told.append((await log.append(commit, expected=commit.first - 1)).commit)
                    break
                except BackendError:  # then it is sent again, as the port says
                    continue
        await log.close()
        other = await ObjectsLog.connect(s3.url(bucket))
        assert [each.first for each in told] == [1, 2, 3, 4, 5, 6]
        assert await other.read("trip") == await other.read_all() == told
        await other.close()

    try:
        asyncio.run(work())
    finally:
        proxy.stop()
    assert proxy.cut >= 3


def test_a_restart_in_the_middle(s3, monkeypatch):
    """While the server is away there is an error in bounded time; when it is back the same commit can be sent."""
    url = s3.url(s3.bucket())
    monkeypatch.setattr(objects_bucket, "RETRIES_MAX", 1)

    async def work():
        log = await ObjectsLog.connect(url)
        stored = await put(log)
        commit = commit_for(stored.head)
        s3.stop()
        try:
            with pytest.raises(BackendError, match="failed"):
                await log.append(commit, expected=1)
            with pytest.raises(BackendError):
                await log.read("trip")
        finally:
            s3.start()
        assert (await log.append(commit, expected=1)).commit.first == 2
        assert [each.id for each in await log.read_all()] == [stored.id, commit.id]
        await log.close()

    asyncio.run(work())


def test_a_versioned_bucket_does_not_erase(s3):
    """It keeps what was overwritten: the log says that it does not erase, once it is open."""

    async def work(bucket):
        log = await ObjectsLog.connect(s3.url(bucket))
        await put(log)
        found = await log.examine()
        await log.close()
        return log.abilities.erases, found.facts["versioned"]

    assert asyncio.run(work(s3.bucket())) == (True, False)
    assert asyncio.run(work(s3.bucket(versioned=True))) == (False, True)


def test_erased_on_s3(s3):
    """What was redacted or deleted is in no object of the bucket."""
    bucket = s3.bucket()
    with Store(bridged(lambda: ObjectsLog.connect(s3.url(bucket)))) as store:
        chat = store.create("trip")
        chat.say("user", "the first secret")
        chat.say("user", "in the open")
        store.save(chat)
        gone = store.create("gone", title="the second secret")
        store.save(gone)
        held = lambda: b"".join(raw(s3.objects(bucket), key) for key in s3.keys(bucket))  # noqa: E731
        assert held().count(b"secret") > 2
        chat.redact("0")
        store.save(chat)
        store.delete("gone")
        assert b"secret" not in held()
        assert b"in the open" in held()


# What is wrong.


def refused(url, **options):
    async def work():
        log = await ObjectsLog.connect(url, **options)
        await log.close()

    with pytest.raises(BranchlogError) as caught:
        asyncio.run(work())
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("ftp://chats", InvalidInput, "expected one of s3, gs, az, file"),
        ("s3:///prefix", InvalidInput, "needs the name of a bucket"),
        ("s3://key:secret@chats", InvalidInput, "needs the name of a bucket"),
        ("s3://chats/a//b", InvalidInput, "is not a prefix"),
        ("s3://chats/a/../b", InvalidInput, "is not a prefix"),
        ("s3://chats?colour=red", InvalidInput, "Configuration key: 'colour' is not valid"),
        ("az://chats", InvalidInput, "Account must be specified"),
        ("gs://chats?colour=red", InvalidInput, "'colour' is not valid"),
        ("file://host/folder", InvalidInput, "file:///the/whole/path"),
        ("file:///nowhere/at/all", StoreNotFound, "make it first"),
    ],
)
def test_addresses_that_are_none(url, error, said, monkeypatch):
    """Each has its own message, without asking anybody and without a password."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    kind, message = refused(url)

    assert kind is error
    assert said in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("url", "kind", "place"),
    [
        ("s3://chats/prod/?region=eu-west-1&endpoint=http://127.0.0.1:1", "S3Store", "s3://chats/prod"),
        ("gs://chats/prod", "GCSStore", "gs://chats/prod"),
        ("az://chats?account_name=me&access_key=a2V5", "AzureStore", "az://chats"),
    ],
)
def test_addresses_of_each_provider(url, kind, place):
    """Its client is made with the options given; what is shown has none of them."""
    bucket = bucket_at(url, create=True)

    assert type(bucket.client).__name__ == kind
    assert bucket.place == place


def test_what_is_not_there(s3, tmp_path):
    """No bucket, no server, no store, no folder, a file: one error each."""
    empty = s3.bucket()
    assert refused(s3.url("no-such-bucket")) == (
        StoreNotFound,
        "store 's3://no-such-bucket/some/prefix' not found: there is no such bucket; make it first",
    )
    assert refused(s3.url(empty), create=False)[0] is StoreNotFound
    assert refused(s3.url(empty), read_only=True)[0] is StoreNotFound
    assert s3.keys(empty) == []
    kind, message = refused(s3.url(empty, port=9))
    assert kind is BackendError
    assert "s3://" in message
    (tmp_path / "file").write_text("x")
    assert refused(f"file://{tmp_path}/file")[0] is InvalidInput
    assert refused(f"file://{tmp_path}/none", create=False)[0] is StoreNotFound
    assert not (tmp_path / "none").exists()


class Forbidding(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = answer  # noqa: N815 - the standard library's name
    do_PUT = answer  # noqa: N815 - likewise

    def log_message(self, *_):
        pass


def test_without_rights(s3):
    """A server that allows nothing is told as such."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbidding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        kind, message = refused(s3.url("chats-forbidden", port=server.server_address[1]))
    finally:
        server.shutdown()
        server.server_close()
    assert kind is BackendError
    assert "is not allowed with these credentials" in message


def test_something_else_under_the_prefix(s3):
    """It is left as it is; the same bucket may have a store under another prefix."""
    bucket = s3.bucket()
    obstore.put(s3.objects(bucket), "some/prefix/holiday.jpg", b"jpg")
    assert refused(s3.url(bucket))[0] is NotAStore
    assert s3.keys(bucket) == ["some/prefix/holiday.jpg"]
    obstore.put(s3.objects(bucket), "some/prefix/branchlog.json", b"{}")
    assert refused(s3.url(bucket))[0] is NotAStore
    asyncio.run(opened_and_closed(s3.url(bucket).replace("some/prefix", "some/prefix-2")))


async def opened_and_closed(url):
    await (await ObjectsLog.connect(url)).close()


def test_a_server_that_overwrites(monkeypatch):
    """One that does not keep to put-if-absent is refused when the store is opened."""
    put_async = obstore.put_async

    async def overwriting(client, key, raw, *, mode=None, **options):
        return await put_async(client, key, raw, **options)

    monkeypatch.setattr(obstore, "put_async", overwriting)
    kind, message = refused("memory", objects=MemoryStore())

    assert kind is BackendError
    assert "If-None-Match" in message


def test_a_later_layout():
    """It is refused, and left as it is."""
    objects = MemoryStore()
    obstore.put(objects, "branchlog.json", b'{"application":"branchlog","layout":2}\n')
    assert refused("memory", objects=objects)[0] is SchemaVersionError


def test_reading_only():
    """Nothing is written, neither a commit nor an entry that is behind."""
    objects = MemoryStore()

    async def work():
        stored = await put(await in_memory(objects))
        obstore.delete(objects, "catalog/n-/trip/0000000001")
        before = keys(objects)
        log = await in_memory(objects, read_only=True)
        assert await log.read("trip") == [stored]
        calls = [
            lambda: log.append(commit_for(stored.head), expected=1),
            lambda: log.append_group([Append(commit=commit_for(stored.head), expected=1)]),
            lambda: log.delete("trip"),
            lambda: log.put_entry(an_entry("trip")),
            lambda: log.put_snapshot("trip", snapshot(0, stored.head, "f", b"")),
            lambda: log.drop_snapshots("trip"),
            lambda: log.redact(commit_for(stored.head), expected=1, erasures=[]),
        ]
        for call in calls:
            with pytest.raises(BackendError, match="for reading only"):
                await call()
        await log.entries(Query())
        assert keys(objects) == before

    asyncio.run(work())


def test_damage():
    """A bit that was flipped in any object, or an object that is missing, is an error or changes nothing."""
    objects = MemoryStore()

    async def build():
        log = await in_memory(objects)
        for stream in ("trip", "other"):
            for number in range(3):
                await put(log, stream, text=f"{stream} {number}", entry=an_entry(stream, title=f"{stream} {number}"))

    async def answers():
        log = await in_memory(objects)
        return await log.read("trip"), await log.read("other"), await log.read_all(), await log.entries(Query())

    asyncio.run(build())
    whole, choose, found = asyncio.run(answers()), random.Random(3), 0
    for key in keys(objects):
        there = raw(objects, key)
        for place in {0, 32, len(there) - 1, *(choose.randrange(len(there)) for _ in range(6))}:
            changed = there[:place] + bytes([there[place] ^ 1 << choose.randrange(8)]) + there[place + 1 :]
            obstore.put(objects, key, changed)
            try:
                assert asyncio.run(answers()) == whole
            except (CorruptLog, NotAStore, SchemaVersionError):
                found += 1
        obstore.put(objects, key, there)
    assert found > 100
    for key in keys(objects):
        there = raw(objects, key)
        last_claim = key.endswith("6")  # without it there is nothing that tells of one
        if key.startswith(("commits/", "log/")) and not last_claim:
            obstore.delete(objects, key)
            with pytest.raises(CorruptLog):
                asyncio.run(answers())
            obstore.put(objects, key, there)
    assert asyncio.run(answers()) == whole


def test_examined(s3):
    """Its size, its kind and place; objects that are missing or are somebody else's."""
    bucket = s3.bucket()

    async def examined():
        log = await ObjectsLog.connect(s3.url(bucket))
        if not await log.read_all():
            for _ in range(3):
                await put(log)
        found = await log.examine()
        await log.close()
        return found

    sound = asyncio.run(examined())
    assert (sound.kind, sound.place, sound.problems) == ("S3 bucket", f"s3://{bucket}/some/prefix", ())
    assert (sound.facts["conversations"], sound.facts["claims"]) == (1, 3)
    obstore.put(s3.objects(bucket), "some/prefix/holiday.jpg", b"jpg")
    obstore.delete(s3.objects(bucket), "some/prefix/log/0000000000000001")
    asyncio.run(examined_with_damage(s3.url(bucket)))


async def examined_with_damage(url):
    log = await ObjectsLog.connect(url)
    found = await log.examine()
    await log.close()
    assert len(found.problems) == 2
    assert "1 objects are missing from 'log'" in found.problems[0]
    assert "1 objects are none of this store" in found.problems[1]


WITHOUT = """
import sys
sys.modules["obstore"] = None
try:
    import branchlog.logs.objects
except ValueError as error:
    print(type(error).__name__, error)
"""


def test_without_the_client():
    """Where obstore is not installed the error names the extra."""
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True).stdout
    assert said.startswith("InvalidInput")
    assert "pip install 'branchlog[objects]'" in said


def test_conversations_through_the_async_store(s3):
    """An ``AsyncStore`` of it: what one saves another loads."""
    url = s3.url(s3.bucket())

    async def work():
        async with branchlog.AsyncStore(await ObjectsLog.connect(url)) as store:
            chat = await store.create("trip", title="Kyoto")
            chat.say("user", "Three days?")
            await store.save(chat)
        async with branchlog.AsyncStore(await ObjectsLog.connect(url)) as store:
            again = await store.load("trip")
            assert [node.message.content for node in again.tree.nodes if node.message] == ["Three days?"]
            assert (await store.verify("trip")).differences == ()

    asyncio.run(work())
