"""Many at once: tasks, threads and processes on one store. What was acknowledged is there exactly once."""

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

import branchlog
from branchlog import LogClosed
from branchlog.logs.bridges import AsyncBridge
from branchlog.logs.memory import MemoryLog
from branchlog.store import AsyncStore

WRITER = """
import asyncio
import json
import sys

import branchlog

path, process, tasks, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


async def write(store, task):
    told = []
    for number in range(rounds):
        for id in ("shared", f"own {process} {task % 4}"):
            chat = await store.load(id)
            text = f"{process} {task} {id} {number}"
            chat.add("user", text, under="")
            await store.save(chat)
            told.append(text)
    return told


async def work():
    async with branchlog.open_async(path) as store:
        for number in range(4):
            await store.save(await store.create(f"own {process} {number}"))
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(await asyncio.gather(*(write(store, task) for task in range(tasks)))))


asyncio.run(work())
"""


def test_processes_and_tasks_write_at_once(tmp_path):
    """4 processes of 16 tasks each save to one conversation and to many: each message is there once, in its order."""
    path = tmp_path / "chats.db"
    with branchlog.open(path) as store:
        store.save(store.create("shared"))
    began = time.monotonic()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, f"p{number}", "16", "3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=120) for writer in writers]

    assert [errors for _, errors in said] == [""] * 4
    told = [texts for answer, _ in said for texts in json.loads(answer)]
    with branchlog.open(path) as store:
        check_stored(told, [store.load(each.id) for each in store.list(limit=100)])
    assert time.monotonic() - began < 100


def check_stored(told, chats):
    """Each text that was acknowledged is in the conversations exactly once, and each writer's in its own order."""
    stored = [[node.message.content for node in chat.tree.nodes if node.message] for chat in chats]

    assert Counter(text for texts in stored for text in texts) == Counter(text for texts in told for text in texts)
    for texts in stored:
        there = set(texts)
        for own in told:
            mine = set(own)
            assert [text for text in texts if text in mine] == [text for text in own if text in there]


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_64_tasks_write_at_once(tmp_path, backend):
    """64 tasks that keep their own copies of one conversation and of eight others lose nothing and see no error."""

    async def write(store, task):
        told = []
        chats = [await store.load("shared"), await store.load(f"c{task % 8}")]
        for number in range(5):
            for chat in chats:
                text = f"{task} {chat.id} {number}"
                chat.add("user", text, under="")
                await store.save(chat)
                told.append(text)
        return told

    async def work():
        async with branchlog.open_async("memory:" if backend == "memory" else tmp_path / "chats.db") as store:
            for id in ("shared", *(f"c{number}" for number in range(8))):
                await store.save(await store.create(id))
            told = await asyncio.gather(*(write(store, task) for task in range(64)))
            check_stored(told, [await store.load(each.id) for each in await store.list()])

    asyncio.run(work())


def test_threads_write_at_once(tmp_path):
    """Threads share one blocking store, each with its own copy of the conversation."""
    with branchlog.open(tmp_path / "chats.db") as store:
        store.save(store.create("shared"))
        told = [[] for _ in range(8)]

        def write(own):
            chat = store.load("shared")
            for number in range(10):
                chat.add("user", f"{id(own)} {number}", under="")
                store.save(chat)
                own.append(f"{id(own)} {number}")

        threads = [threading.Thread(target=write, args=(own,)) for own in told]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [len(own) for own in told] == [10] * 8
        check_stored(told, [store.load("shared")])


def test_saves_made_at_once_share_transactions(tmp_path):
    """Appends that arrive while another is written go into one transaction: far fewer of them than appends."""

    async def work():
        async with branchlog.open_async(tmp_path / "chats.db") as store:
            statements = []
            store.log._log._file._writer.set_trace_callback(statements.append)
            chats = [await store.create(f"c{number}") for number in range(200)]
            await asyncio.gather(*map(store.save, chats))
            together = statements.count("COMMIT")
            statements.clear()
            for chat in chats[:10]:
                chat.say("user", "one by one")
                await store.save(chat)

            assert together < 50
            assert statements.count("COMMIT") == 10
            assert await store.count() == 200

    asyncio.run(work())


def test_one_refused_among_many(tmp_path):
    """An append that is refused in a shared transaction takes none of the others with it."""

    async def work():
        async with branchlog.open_async(tmp_path / "chats.db") as store:
            await store.save(await store.create("taken"))
            chats = [await store.create(f"c{number}") for number in range(20)]
            late = branchlog.Conversation.start("taken")
            outcomes = await asyncio.gather(*map(store.save, [*chats[:10], late, *chats[10:]]), return_exceptions=True)

            assert [type(each) for each in outcomes].count(int) == 20
            assert isinstance(outcomes[10], branchlog.AlreadyExists)
            assert await store.count() == 21
            late._pending.clear()

    asyncio.run(work())


def test_one_conversation_saved_twice_at_once(tmp_path):
    """Two saves of one conversation that run at the same time store what is pending once."""

    async def work():
        async with branchlog.open_async(tmp_path / "chats.db") as store:
            chat = await store.create("trip")
            for number in range(20):
                chat.say("user", f"{number}")
                if number % 3 == 0 and chat.saved_version:
                    async with store.editing("trip") as other:
                        other.add("user", "from another", under="")
                await asyncio.gather(*(store.save(chat) for _ in range(3)))
            whole = await store.load("trip")

            assert [message.content for message in whole.messages()] == [f"{number}" for number in range(20)]
            assert len(whole.tree.nodes) == 1 + 20 + 6
            assert whole.version == chat.version

    asyncio.run(work())


class Gated(MemoryLog):
    """Waits with each group until it is let go on."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def append_group(self, appends):
        self.entered.set()
        assert self.gate.wait(10)
        return super().append_group(appends)


def test_an_append_cancelled_in_time_is_not_written():
    """A save that is cancelled before the writer takes it up is not written; one that is under way is."""

    async def work():
        log = Gated()
        async with AsyncStore(AsyncBridge(log)) as store:
            chats = [await store.create(id=None) for _ in range(3)]
            tasks = [asyncio.create_task(store.save(chat)) for chat in chats[:1]]
            await asyncio.to_thread(log.entered.wait, 10)
            tasks += [asyncio.create_task(store.save(chat)) for chat in chats[1:]]
            await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[1].cancel()
            for _ in range(3):
                await asyncio.sleep(0)  # the loop tells the writer of a cancellation in its next turn
            outcomes = asyncio.gather(*tasks, return_exceptions=True)
            log.gate.set()

            assert [type(each) for each in await outcomes] == [asyncio.CancelledError, asyncio.CancelledError, int]
            stored = {each.conversation for each in await store.changes()}
            assert stored == {chats[0].id, chats[2].id}
            for chat in chats:
                await store.save(chat)
            assert await store.count() == 3
            assert len(await store.changes()) == 3

    asyncio.run(work())


def test_cancelled_at_any_moment(tmp_path):
    """Saves are cancelled at random moments and made again: nothing acknowledged is missing, nothing is there twice."""

    async def write(store, task, choose):
        chat = await store.load("shared")
        for number in range(12):
            chat.add("user", f"{task} {number}", under="")
            saving = asyncio.create_task(store.save(chat))
            await asyncio.sleep(choose.random() * 0.01)
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            if saving.cancelled():
                cancelled.append(number)
        await store.save(chat)
        assert not chat.pending

    cancelled = []

    async def work():
        async with branchlog.open_async(tmp_path / "chats.db") as store:
            await store.save(await store.create("shared"))
            await asyncio.gather(*(write(store, task, random.Random(task)) for task in range(16)))
            told = [[f"{task} {number}" for number in range(12)] for task in range(16)]
            check_stored(told, [await store.load("shared")])

    asyncio.run(work())
    assert cancelled


def test_closing_finishes_what_was_begun(tmp_path):
    """Saves under way when the store is closed are stored or told that it is closed; what is told is true."""

    async def work():
        store = await branchlog.open_async(tmp_path / "chats.db")
        chats = [await store.create(f"c{number}") for number in range(50)]
        saves = [asyncio.create_task(store.save(chat)) for chat in chats]
        await asyncio.sleep(0)
        await store.close()
        return await asyncio.gather(*saves, return_exceptions=True), chats

    outcomes, chats = asyncio.run(work())
    with branchlog.open(tmp_path / "chats.db") as store:
        stored = {each.id for each in store.list(limit=100)}

    assert {chat.id for chat, told in zip(chats, outcomes, strict=True) if told == 1} == stored
    assert all(told == 1 or isinstance(told, LogClosed) for told in outcomes)
    for chat in chats:
        chat._pending.clear()
