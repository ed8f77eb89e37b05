"""The bridges: a log of one colour used from the other keeps the contract too."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from branchlog.commit import genesis, seal
from branchlog.errors import BackendError, VersionConflict
from branchlog.logs import bridges
from branchlog.logs.base import Abilities, AsyncLog, Log
from branchlog.logs.bridges import AsyncBridge, BlockingBridge, _LoopThread
from branchlog.logs.memory import MemoryLog
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing import LogContract
from branchlog.testing import bridged as called


def bridged(log):
    """A blocking log, made async, made blocking again."""

    async def connect():
        return AsyncBridge(log)

    return called(connect)


class TestBridgedSqlite(LogContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": bridged(SqliteLog(tmp_path / "chats.db", namespace=namespace))


class TestBridgedMemory(LogContract):
    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self):
        log = MemoryLog()
        return lambda namespace="": bridged(log.within(namespace))


def test_a_bridged_log_is_an_async_log():
    """The async bridge has the methods of the port's async twin, the blocking one those of the other."""
    inner = AsyncBridge(MemoryLog())
    outer = bridged(MemoryLog())

    assert isinstance(inner, AsyncLog)
    assert isinstance(outer, Log)
    outer.close()


def test_a_failing_connection_leaves_no_thread():
    """Where connecting fails the error arrives and the loop's thread ends."""

    async def connect():
        raise BackendError("no such host")

    with pytest.raises(BackendError, match="no such host"):
        BlockingBridge.connect(connect)

    assert not [each for each in threading.enumerate() if each.name == "branchlog-loop"]


def test_an_answer_that_is_on_its_way_arrives():
    """What ends in the very turn in which the loop stops is answered, too."""
    loop = _LoopThread()

    async def ends_with_the_loop():
        asyncio.get_running_loop().stop()
        return "answer"

    caller = ThreadPoolExecutor(1)
    try:
        assert caller.submit(loop.run, ends_with_the_loop()).result(timeout=10) == "answer"
    finally:
        caller.shutdown(wait=False)


class Slow(MemoryLog):
    """A log whose appends wait until they are let go; it keeps the groups."""

    def __init__(self):
        super().__init__()
        self.groups = []
        self.began = threading.Event()
        self.go_on = threading.Event()

    def append_group(self, appends):
        self.began.set()
        assert self.go_on.wait(10)
        self.groups.append([each.commit.stream for each in appends])
        return super().append_group(appends)


def a_first(stream):
    return seal(stream, genesis("", stream), count=1, id=b"i" * 16, at=1, schema="1.0.0", data=b"[1]")


def in_a_group(log, *names):
    """Append these through a bridge, all but the first while that is being written; each as a task."""
    bridge = AsyncBridge(log)
    tasks = [asyncio.create_task(bridge.append(a_first(name), expected=0)) for name in names]
    return bridge, tasks


async def turn_until(condition):
    deadline = asyncio.get_running_loop().time() + 10
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


def test_a_group_wakes_the_loop_once(monkeypatch):
    """However many are answered together, the loop that waits for them is called once."""
    told = []
    tell = bridges._tell
    monkeypatch.setattr(bridges, "_tell", lambda answered: (told.append(len(answered)), tell(answered)))

    async def main():
        log = Slow()
        bridge, tasks = in_a_group(log, "a", "b", "c", "d")
        await turn_until(log.began.is_set)
        log.go_on.set()
        answers = await asyncio.gather(*tasks)
        await bridge.close()
        return answers, log.groups

    answers, groups = asyncio.run(main())

    assert [each.commit.stream for each in answers] == ["a", "b", "c", "d"]
    assert told == [len(group) for group in groups]
    assert len(groups) <= 2


def test_what_is_cancelled_before_it_is_written_is_not_written():
    """A task that is cancelled while another group is written leaves nothing; one that is being written is written."""

    async def main():
        log = Slow()
        bridge, (first,) = in_a_group(log, "first")
        await turn_until(log.began.is_set)
        waits = [asyncio.create_task(bridge.append(a_first(name), expected=0)) for name in ("gone", "kept")]
        await asyncio.sleep(0)
        first.cancel()
        waits[0].cancel()
        await asyncio.gather(first, waits[0], return_exceptions=True)
        log.go_on.set()
        await waits[1]
        await bridge.close()
        return first.cancelled(), waits[0].cancelled(), log.groups

    assert asyncio.run(main()) == (True, True, [["first"], ["kept"]])


def test_two_loops_use_one_writer():
    """Appends of several loops meet in one writer; each is answered in its own, and refused in its own."""
    bridge = AsyncBridge(MemoryLog())

    async def write(who):
        for number in range(30):
            await bridge.append(a_first(f"{who} {number}"), expected=0)
        try:
            await bridge.append(a_first("shared"), expected=5)
        except VersionConflict as conflict:
            return conflict.expected

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda who: asyncio.run(write(who)), range(4))) == [5] * 4

    assert len(bridge.blocking.read_all()) == 120
    asyncio.run(bridge.close())


def test_a_loop_that_was_closed_harms_no_other():
    """What a closed loop had asked for is written, and the writer goes on for others."""
    log = Slow()
    bridge = AsyncBridge(log)

    async def ask_and_go():
        task = asyncio.create_task(bridge.append(a_first("asked"), expected=0))
        await turn_until(log.began.is_set)
        task.cancel()

    asyncio.run(ask_and_go())
    log.go_on.set()

    async def write():
        return await asyncio.wait_for(bridge.append(a_first("other"), expected=0), 10)

    assert asyncio.run(write()).commit.stream == "other"
    assert [each.stream for each in log.read_all()] == ["asked", "other"]
    asyncio.run(bridge.close())
