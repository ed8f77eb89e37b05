"""A reply that arrives: what has come is put aside at a bounded lag, and one event is left in the log."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import BackendError, DraftNotKept, InvalidInput, ResponderError
from branchlog.explore import Finish, Scripted, Usage, drop, go_on, keep, reply_to, stream, unfinished
from branchlog.logs.base import Abilities
from branchlog.logs.bridges import AsyncBridge
from branchlog.logs.memory import MemoryLog

TEXT = "Day 1: Fushimi Inari, early. Day 2: Arashiyama. Day 3: the market, and rest."


class Told:
    """A responder that gives a piece when it is told to, and can say what it was asked."""

    name = "told"

    def __init__(self):
        self.pieces = asyncio.Queue()
        self.asked = None

    async def respond(self, messages):
        self.asked = [(message.role, message.text) for message in messages]
        while (piece := await self.pieces.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def tell(self, *pieces):
        for piece in pieces:
            self.pieces.put_nowait(piece)


async def opened(path="memory:"):
    """A store with a conversation that waits for an answer."""
    store = await branchlog.open_async(path)
    chat = await store.create("trip", system="You plan trips.")
    chat.say("user", "Three days in Kyoto?")
    await store.save(chat)
    return store, chat


async def happens(condition):
    """Wait until something is so; fails where it is not within ten seconds."""
    for _ in range(2_000):
        if await condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


def pieces_of(store):
    async def found():
        drafts = await store.log.drafts("trip")
        return drafts[0].pieces if drafts else ()

    return found


async def test_a_reply_is_one_node_and_one_commit():
    store, chat = await opened()
    before = len(await store.changes())
    async with stream(store, chat, Scripted([TEXT], name="guide")) as reply:
        came = [text async for text in reply]

    assert len(came) > 5
    assert "".join(came) == reply.text == TEXT
    assert reply.node.message.content == TEXT
    assert reply.node == chat.cursor == chat.tree["0.0"]
    assert len(await store.changes()) == before + 1
    said = reply.node.metadata["reply"]
    assert (said["responder"], said["model"], said["reason"]) == ("guide", "guide", "stop")
    assert said["usage"] == {"input_tokens": 7, "output_tokens": 14}
    assert await store.log.drafts("trip") == []
    assert (await store.load("trip")).messages()[-1].text == TEXT
    await store.close()


async def test_it_goes_where_it_began_wherever_the_cursor_has_gone():
    store, chat = await opened()
    responder = Told()
    async with stream(store, chat, responder) as reply:
        chat.move("")
        other = chat.say("user", "And Osaka?")
        responder.tell("late", None)
        async for _ in reply:
            pass

    assert reply.node.id == "0.0"
    assert chat.cursor == other
    assert (await store.load("trip")).cursor.id == other.id
    await store.close()


async def test_the_cursor_may_stay():
    store, chat = await opened()
    node = await reply_to(store, chat, Scripted(["a"]), cursor=None)

    assert (node.id, chat.cursor.id) == ("0.0", "0")
    await store.close()


@pytest.mark.parametrize("lag_bytes", [1, 10, 1_000])
async def test_what_has_arrived_is_put_aside_by_bytes(lag_bytes):
    """Without any time passing, less than the lag is missing from the draft."""
    store, chat = await opened()
    responder = Told()
    async with stream(store, chat, responder, lag_seconds=1_000, lag_bytes=lag_bytes) as reply:
        came = aiter(reply)
        for word in TEXT.split(" "):
            responder.tell(word)
            await anext(came)

            async def is_there():
                left = await unfinished(store, chat)
                return bool(left) and len(reply.text) - len(left[0].text) < lag_bytes

            await happens(is_there)
    await store.close()


async def test_what_has_arrived_is_put_aside_in_time():
    """However little it is and however long nothing follows, it is put aside soon."""
    store, chat = await opened()
    responder = Told()
    async with stream(store, chat, responder, lag_seconds=0.05, lag_bytes=1_000_000) as reply:
        responder.tell("Day 1")
        await anext(aiter(reply))

        async def is_there():
            return [each.text for each in await unfinished(store, chat)] == ["Day 1"]

        await happens(is_there)
    await store.close()


async def test_leaving_early_keeps_what_has_arrived():
    store, chat = await opened()
    responder = Told()
    responder.tell("Day 1", " and more")
    async with stream(store, chat, responder) as reply:
        async for _ in reply:
            break

    assert reply.node.message.content == "Day 1"
    assert reply.node.metadata["reply"]["reason"] == "cancelled"
    assert await unfinished(store, chat) == ()
    await store.close()


async def test_to_cancel_keeps_what_has_arrived():
    store, chat = await opened()
    responder = Told()
    responder.tell("Day 1")
    task = asyncio.create_task(reply_to(store, chat, responder, lag_bytes=1))
    await happens(lambda: _has(pieces_of(store), 2))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert chat.tree["0.0"].message.content == "Day 1"
    assert (await store.load("trip")).tree["0.0"].metadata["reply"]["reason"] == "cancelled"
    assert await store.log.drafts("trip") == []
    await store.close()


async def _has(pieces, count):
    return len(await pieces()) >= count


async def test_to_cancel_before_anything_has_arrived_leaves_nothing():
    store, chat = await opened()
    async with stream(store, chat, Told()) as reply:
        pass

    assert reply.node is None
    assert len(chat.tree) == 2
    assert await store.log.drafts("trip") == []
    await store.close()


async def test_a_reply_that_breaks_off_is_kept_with_the_reason():
    store, chat = await opened()
    responder = Told()
    responder.tell("Day 1", ResponderError("told", "it broke off"))
    with pytest.raises(ResponderError, match="broke off"):
        await reply_to(store, chat, responder)

    node = chat.tree["0.0"]
    assert node.message.content == "Day 1"
    assert node.metadata["reply"]["reason"] == "failed"
    assert node.metadata["reply"]["error"] == {"kind": "ResponderError", "problem": "it broke off"}
    await store.close()


async def test_tool_calls_and_usage_come_with_the_end():
    store, chat = await opened()
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    responder = Told()
    usage = Usage(input_tokens=3, output_tokens=4, details={"cached": 1})
    responder.tell(
        Finish(reason="tool_calls", model="m", usage=usage, tool_calls=[call], more={"response": "r1"}), None
    )
    node = await reply_to(store, chat, responder)

    assert (node.message.content, node.message.tool_calls) == (None, [call])
    assert node.metadata["reply"]["usage"] == {"cached": 1, "input_tokens": 3, "output_tokens": 4}
    assert node.metadata["response"] == "r1"
    await store.close()


@given(st.text(st.characters() | st.sampled_from("\ud83e\udd89\ud800"), max_size=12), st.data())
def test_characters_that_come_in_halves(text, data):
    """However a text is cut, also within a character, it comes out whole; what is no character is replaced."""

    async def run():
        store, chat = await opened()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
        halves = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
        units = text
        responder = Told()
        responder.tell(*(units[a:b] for a, b in zip([0, *cuts], [*cuts, len(units)], strict=True)), None)
        node = await reply_to(store, chat, responder, lag_bytes=1)
        await store.close()
        return node.message.content, halves

    content, halves = asyncio.run(run())
    assert content.replace("\ufffd", "") == halves.replace("\ufffd", "")


async def test_many_replies_at_once_are_all_there():
    store, chat = await opened()
    nodes = await asyncio.gather(
        *(
            reply_to(store, chat, Scripted([f"reply {n}"], pause_seconds=0.001), under="0", cursor=None)
            for n in range(64)
        )
    )
    loaded = await store.load("trip")

    assert len({node.id for node in nodes}) == 64
    assert {child.message.content for child in loaded.tree["0"].children} == {f"reply {n}" for n in range(64)}
    assert loaded.cursor.id == "0"
    assert await store.log.drafts("trip") == []
    await store.close()


# Drafts that were left.


async def left_behind(store, chat, *texts):
    """The drafts that a process leaves which dies when these texts have arrived."""
    responder = Told()
    reply = stream(store, chat, responder, lag_bytes=1)
    await reply.__aenter__()
    came = aiter(reply)
    for number, text in enumerate(texts, 1):
        responder.tell(text)
        await anext(came)
        await happens(lambda number=number: _has(pieces_of(store), 1 + number))
    reply._draft._task.cancel()
    return await unfinished(store, chat)


async def test_what_is_left_can_be_kept():
    store, chat = await opened()
    (left,) = await left_behind(store, chat, "Day 1", ": Fushimi")

    assert (left.text, left.under.id, left.responder, left.arriving) == ("Day 1: Fushimi", "0", "told", True)
    node = await keep(store, chat, left)
    assert node.message.content == "Day 1: Fushimi"
    assert node.metadata["reply"]["reason"] == "interrupted"
    assert chat.cursor == node
    assert await unfinished(store, chat) == ()
    assert await store.log.drafts("trip") == []
    await store.close()


async def test_what_is_left_can_be_dropped():
    store, chat = await opened()
    (left,) = await left_behind(store, chat, "Day 1")
    await drop(store, chat, left)

    assert await unfinished(store, chat) == ()
    assert len((await store.load("trip")).tree) == 2
    await store.close()


async def test_what_is_left_can_be_continued():
    store, chat = await opened()
    (left,) = await left_behind(store, chat, "Day 1", ": ")
    responder = Told()
    responder.tell("Fushimi Inari", None)
    async with go_on(store, chat, left, responder) as reply:
        async for _ in reply:
            pass

    assert reply.node.message.content == "Day 1: Fushimi Inari"
    assert responder.asked[-3:-1] == [("user", "Three days in Kyoto?"), ("assistant", "Day 1: ")]
    assert await unfinished(store, chat) == ()
    await store.close()


async def test_what_is_continued_can_be_left_again():
    store, chat = await opened()
    (left,) = await left_behind(store, chat, "Day 1")
    responder = Told()
    reply = go_on(store, chat, left, responder, lag_bytes=1)
    await reply.__aenter__()
    responder.tell(": Fushimi")
    await anext(aiter(reply))
    await happens(lambda: _has(pieces_of(store), 3))
    reply._draft._task.cancel()
    (again,) = await unfinished(store, chat)

    assert (again.id, again.text, again.began) == (left.id, "Day 1: Fushimi", left.began)
    await store.close()


async def test_a_reply_without_a_sign_of_life_is_not_arriving(monkeypatch):
    store, chat = await opened()
    await left_behind(store, chat, "Day 1")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 16 * 10**9)
    (left,) = await unfinished(store, chat)

    assert left.arriving is False
    await store.close()


async def test_a_draft_that_was_saved_after_all_is_not_shown(monkeypatch):
    """The process died between the save and the dropping: the reply is there once."""
    store, chat = await opened()

    async def not_dropped(*_):
        raise BackendError("gone")

    dropping = store.log.drop_draft
    monkeypatch.setattr(store.log, "drop_draft", not_dropped)
    await reply_to(store, chat, Scripted([TEXT]), lag_bytes=1)
    monkeypatch.setattr(store.log, "drop_draft", dropping)
    assert len(await store.log.drafts("trip")) == 1

    assert await unfinished(store, await store.load("trip")) == ()
    assert await store.log.drafts("trip") == []
    await store.close()


async def test_a_damaged_piece_ends_a_draft():
    store, chat = await opened()
    (left,) = await left_behind(store, chat, "Day 1", ": Fushimi", " Inari")
    (draft,) = await store.log.drafts("trip")
    await store.log.extend_draft("trip", left.id, 2, draft.pieces[2][:-3] + b"xxx")
    (found,) = await unfinished(store, chat)
    assert found.text == "Day 1"

    await store.log.extend_draft("trip", left.id, 0, b"damaged")
    assert await unfinished(store, chat) == ()
    await store.close()


class NoDrafts(MemoryLog):
    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True)


async def test_a_store_without_drafts_says_so():
    store = branchlog.AsyncStore(AsyncBridge(NoDrafts()))
    chat = await store.create("trip", system="You plan trips.")
    with pytest.raises(InvalidInput, match="lag_seconds=None"):
        stream(store, chat, Scripted([TEXT]))
    node = await reply_to(store, chat, Scripted([TEXT]), lag_seconds=None)

    assert node.message.content == TEXT
    await store.close()


async def test_a_draft_that_cannot_be_kept_is_told_and_the_reply_goes_on(monkeypatch):
    store, chat = await opened()

    async def full(*_):
        raise BackendError("the disk is full")

    monkeypatch.setattr(store.log, "extend_draft", full)
    with pytest.warns(DraftNotKept, match="disk is full"):
        node = await reply_to(store, chat, Scripted([TEXT], pause_seconds=0.001), lag_bytes=1)

    assert node.message.content == TEXT
    await store.close()


@pytest.mark.parametrize(
    "lag", [{"lag_seconds": 0}, {"lag_seconds": -1}, {"lag_bytes": 0}, {"lag_seconds": float("nan")}]
)
async def test_an_impossible_lag_is_refused(lag):
    store, chat = await opened()
    with pytest.raises(InvalidInput, match="above 0"):
        stream(store, chat, Scripted([TEXT]), **lag)
    await store.close()


# Killed.

PROGRAM = """
import asyncio, sys, branchlog
from branchlog.explore import Scripted, stream

async def main(path):
    async with branchlog.open_async(path) as store:
        chat = await store.load("trip")
        text = "".join(f"word{n} " for n in range(100_000))
        responder = Scripted([text], pause_seconds=0.0005)
        async with stream(store, chat, responder, lag_seconds=0.05, lag_bytes=200) as reply:
            count = 0
            async for piece in reply:
                count += len(piece)
                sys.stdout.write(f"{count}\\n"); sys.stdout.flush()

asyncio.run(main(sys.argv[1]))
"""


def killed_in_the_midst(path, moment):
    """How much had arrived when a process was killed at a random moment of a reply."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(moment)]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    return int([line for line in lines if line.endswith("\n")][-1]) if any(lines) else 0


def check_killed(path, seed):
    async def before():
        store, _ = await opened(path)
        await store.close()

    async def after(arrived):
        async with branchlog.open_async(path) as store:
            chat = await store.load("trip")
            left = await unfinished(store, chat)
            assert [message.text for message in chat.messages()] == ["You plan trips.", "Three days in Kyoto?"]
            assert (await store.verify("trip")).differences == ()
            whole = "".join(f"word{n} " for n in range(100_000))
            text = left[0].text if left else ""
            assert whole.startswith(text)
            await asyncio.gather(*(keep(store, chat, each) for each in left))
            return arrived - len(text), len(text)

    asyncio.run(before())
    return asyncio.run(after(killed_in_the_midst(path, random.Random(seed).randint(1, 600))))


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_is_killed_leaves_what_had_arrived(tmp_path, seed):
    missing, kept = check_killed(tmp_path / "chats.db", seed)

    assert missing < 2_000
    assert kept > 0 or missing < 400


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3, 53))
def test_fifty_processes_are_killed(tmp_path, seed):
    missing, _ = check_killed(tmp_path / "chats.db", seed)

    assert missing < 2_000
