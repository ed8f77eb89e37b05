"""The bridges: a log of one colour used from the other keeps the contract too."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from branchlog.errors import BackendError
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
