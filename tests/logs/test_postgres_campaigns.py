"""PostgreSQL killed under load, and failed over: every acknowledged commit is there once and in order.

The small versions run by default; those with the numbers of the documentation are marked ``long``.
"""

import asyncio
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from urllib.parse import quote
from uuid import uuid4

import pytest
from servers.postgres import PASSWORD, Server, a_folder

from branchlog.commit import genesis, seal
from branchlog.errors import BackendError
from branchlog.logs.postgres import PostgresLog

WRITERS = 16
"""Tasks that write at once: enough that a kill catches appends at every point."""


async def write(log, stream, told, over):
    """Append to a stream until it is over; notes each commit that was acknowledged."""
    head = genesis("", stream)
    while not over.is_set():
        commit = seal(stream, head, count=1, id=uuid4().bytes, at=1, schema="1.0.0", data=b"[1]" * 20)
        answer = await log.append(commit, expected=head.version)
        told.append(answer.commit.id)
        head = commit.head


async def under_load(url, names, disturb):
    """Write to streams while they are disturbed; the ids that were acknowledged, by stream."""
    told = {name: [] for name in names}
    over = asyncio.Event()
    log = await PostgresLog.connect(url)
    writing = [asyncio.create_task(write(log, name, own, over)) for name, own in told.items()]
    try:
        await disturb(lambda: sum(map(len, told.values())))
        over.set()
        await asyncio.gather(*writing)
    finally:
        for each in writing:
            each.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        await log.close()
    return told


async def more(count, number):
    """Wait until so many more commits were acknowledged."""
    wanted = count() + number
    while count() < wanted:  # noqa: ASYNC110 - whoever counts knows no event
        await asyncio.sleep(0.002)


async def stored(url):
    log = await PostgresLog.connect(url)
    try:
        return await log.read_all()
    finally:
        await log.close()


def check(told, commits):
    """Acknowledged is stored exactly once and in order; how many there are."""
    ids = Counter(commit.id for commit in commits)
    for name, own in told.items():
        there = [commit.id for commit in commits if commit.stream == name]

        assert there[: len(own)] == own
        assert len(there) <= len(own) + 1, "at most the one whose answer nobody waited for"
    assert set(ids.values()) == {1}
    return len(ids)


@contextmanager
def one_server():
    with a_folder() as folder:
        server = Server(folder)
        server.make()
        try:
            yield server.start()
        finally:
            server.kill()


def killed(kills, between):
    """Kill the server with -9 under load, and start it again, so many times, after so many commits each."""

    async def disturb(count):
        for _ in range(kills):
            await more(count, between)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await more(count, between)

    with one_server() as server:
        told = asyncio.run(under_load(server.url(), [f"s{n}" for n in range(WRITERS)], disturb))
        commits = asyncio.run(stored(server.url()))
    acknowledged = sum(map(len, told.values()))
    print(f"{kills} kills, {acknowledged} acknowledged, {check(told, commits)} stored")  # noqa: T201 - for the docs


def test_killed_twice():
    killed(2, 40)


@pytest.mark.long
def test_killed_twenty_times():
    killed(20, 300)


@contextmanager
def a_pair(*, synchronous):
    """A primary and a standby of it, in step."""
    with a_folder() as folder, ExitStack() as ends:
        primary = Server(folder / "one")
        primary.make()
        ends.callback(primary.kill)
        primary.start()
        standby = primary.copy(folder / "two", "two")
        ends.callback(standby.kill)
        standby.start()
        if synchronous:
            primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (two)'")
            primary.ask("SELECT pg_reload_conf()")
        wanted = "quorum" if synchronous else "async"
        over = threading.Event()
        while not primary.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = $1", wanted):
            over.wait(0.01)
        yield primary, standby


def both_hosts(primary, standby):
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    return f"postgresql://postgres:{quote(PASSWORD, safe='')}@{hosts}/postgres"


def failed_over():
    """Kill the primary under load and promote its synchronous standby; whoever writes finds it by the list of hosts."""

    async def disturb(count):
        await more(count, 100)
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(standby.promote)
        await more(count, 100)

    with a_pair(synchronous=True) as (primary, standby):
        url = both_hosts(primary, standby)
        told = asyncio.run(under_load(url, [f"s{n}" for n in range(WRITERS)], disturb))
        commits = asyncio.run(stored(url))
    return sum(map(len, told.values())), check(told, commits)


def test_failed_over():
    acknowledged, there = failed_over()

    assert there >= acknowledged


@pytest.mark.long
def test_failed_over_five_times():
    for _ in range(5):
        acknowledged, there = failed_over()
        print(f"failed over: {acknowledged} acknowledged, {there} stored")  # noqa: T201 - for the docs


def test_an_asynchronous_standby_loses():
    """The control: without a synchronous standby what was acknowledged last is gone after a fail-over."""

    async def work():
        told = []
        log = await PostgresLog.connect(primary.url())
        over = asyncio.Event()
        writing = asyncio.create_task(write(log, "trip", told, over))
        await more(lambda: len(told), 50)
        await asyncio.to_thread(standby.cut_off)
        await more(lambda: len(told), 50)
        over.set()
        await writing
        await log.close()
        return told

    with a_pair(synchronous=False) as (primary, standby):
        told = asyncio.run(work())
        primary.kill()
        standby.promote()
        there = {commit.id for commit in asyncio.run(stored(standby.url()))}
        print(f"asynchronous: {len(told)} acknowledged, {len(set(told) - there)} lost")  # noqa: T201 - for the docs

    assert set(told) - there, "the control loses nothing, so the other test proves nothing"


def test_a_standby_can_be_read():
    """Opened read-only it gives what the primary has, in the same order; nobody may write to it."""

    async def work():
        told = []
        over = asyncio.Event()
        log = await PostgresLog.connect(primary.url())
        writing = asyncio.create_task(write(log, "trip", told, over))
        await more(lambda: len(told), 10)
        over.set()
        await writing
        beside = await PostgresLog.connect(standby.url(), read_only=True)
        while len(await beside.read("trip")) < len(told):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.005)
        assert await beside.read_all() == await log.read_all()
        assert (await beside.examine()).facts["is a standby"] is True
        with pytest.raises(BackendError, match="none of the hosts accepts writes"):
            await PostgresLog.connect(standby.url())
        await beside.close()
        await log.close()

    with a_pair(synchronous=True) as (primary, standby):
        asyncio.run(work())
