"""Several replies at once, and old questions asked again: nothing is lost, and the cursor stays."""

import asyncio
from contextlib import aclosing

import pytest

import branchlog
from branchlog.errors import InvalidInput, RateLimited, ResponderError
from branchlog.explore import Scripted, explore, rerun


class Held:
    """A responder that gives its first piece at once, and the rest when it is let go."""

    def __init__(self, name, text, error=None):
        self.name = name
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self._text = text
        self._error = error

    async def respond(self, messages):
        self.began.set()
        if self._text:
            yield self._text
        await self.go.wait()
        if self._error is not None:
            raise self._error
        yield "."


@pytest.fixture
async def store():
    async with branchlog.open_async("memory:") as opened:
        yield opened


@pytest.fixture
async def chat(store):
    made = await store.create("trip", system="You plan trips.")
    made.say("user", "Three days in Kyoto?")
    await store.save(made)
    return made


def contents(node):
    return sorted(child.message.content for child in node.children)


async def test_each_becomes_a_child_and_the_cursor_stays(store, chat):
    attempts = [each async for each in explore(store, chat, [Scripted(["a", "b"], name="s"), lambda _: "c"], n=2)]
    loaded = await store.load("trip")

    assert contents(chat.tree["0"]) == contents(loaded.tree["0"]) == ["a", "b", "c", "c"]
    assert [attempt.error for attempt in attempts] == [None] * 4
    assert {attempt.node for attempt in attempts} == set(chat.tree["0"].children)
    assert chat.cursor.id == loaded.cursor.id == "0"


async def test_each_is_there_as_soon_as_it_has_finished(store, chat):
    slow, fast = Held("slow", "slow"), Held("fast", "fast")
    async with aclosing(explore(store, chat, [slow, fast])) as coming:
        fast.go.set()
        first = await anext(coming)
        assert (first.responder, contents((await store.load("trip")).tree["0"])) == ("fast", ["fast."])
        slow.go.set()
        second = await anext(coming)

    assert (second.responder, second.node.id) == ("slow", "0.1")
    assert contents(chat.tree["0"]) == ["fast.", "slow."]


async def test_one_that_fails_leaves_the_others_and_a_mark(store, chat):
    before, within = (
        Held("before", "", RateLimited("before", "too many", 3.0)),
        Held("within", "half", ResponderError("within", "cut")),
    )
    before.go.set()
    within.go.set()
    attempts = {each.responder: each async for each in explore(store, chat, [before, within, Scripted(["whole"])])}
    loaded = await store.load("trip")

    assert contents(loaded.tree["0"]) == ["half", "whole"]
    assert (attempts["before"].node, attempts["before"].error.retry_after_seconds) == (None, 3.0)
    assert attempts["within"].node.metadata["reply"]["error"]["problem"] == "cut"
    (mark,) = loaded.tree["0"].metadata["failed_replies"].values()
    assert (mark["responder"], mark["kind"], mark["problem"]) == ("before", "RateLimited", "too many")
    assert await store.log.drafts("trip") == []


async def test_to_stop_keeps_what_is_complete(store, chat):
    slow, fast = Held("slow", "slow"), Held("fast", "fast")
    fast.go.set()
    async with aclosing(explore(store, chat, [slow, fast])) as coming:
        await anext(coming)
        await slow.began.wait()

    assert contents(chat.tree["0"]) == contents((await store.load("trip")).tree["0"]) == ["fast."]
    assert await store.log.drafts("trip") == []


async def test_to_cancel_the_task_keeps_what_is_complete(store, chat):
    slow, fast = Held("slow", "slow"), Held("fast", "fast")
    fast.go.set()
    came = asyncio.Event()

    async def work():
        async with aclosing(explore(store, chat, [slow, fast])) as coming:
            async for _ in coming:
                came.set()

    task = asyncio.create_task(work())
    await came.wait()
    await slow.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert contents((await store.load("trip")).tree["0"]) == ["fast."]
    assert await store.log.drafts("trip") == []


async def test_no_more_at_once_than_said(store, chat):
    running = []
    most = []

    async def respond(_):
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.001)
        running.pop()
        return "x"

    assert len([each async for each in explore(store, chat, respond, n=20, at_once=3)]) == 20
    assert max(most) == 3


@pytest.mark.parametrize(
    ("responders", "options"), [([], {}), ("text", {}), (lambda _: "a", {"n": 0}), (lambda _: "a", {"n": True})]
)
async def test_what_cannot_be_asked_is_refused(store, chat, responders, options):
    with pytest.raises(InvalidInput):
        async for _ in explore(store, chat, responders, **options):
            pass


async def test_a_function_that_fails_is_a_failed_reply(store, chat):
    def broken(_):
        raise KeyError("model")

    (attempt,) = [each async for each in explore(store, chat, broken)]

    assert "KeyError" in attempt.error.problem
    assert attempt.responder == "broken"


# Asked again.


async def asked_again(store, turns, **options):
    chat = await store.create("old")
    for role, text in turns:
        chat.say(role, text)
    await store.save(chat)
    seen = []

    def answer(messages):
        seen.append([message.text for message in messages])
        return f"new {len(seen)}"

    node = await rerun(store, chat, answer, **options)
    return await store.load("old"), node, seen


async def test_old_questions_are_answered_again_beside_the_old_answers(store):
    turns = [("system", "s"), ("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2")]
    chat, node, seen = await asked_again(store, turns)

    assert [message.text for message in chat.messages(node.id)] == ["s", "q1", "new 1", "q2", "new 2"]
    assert [message.text for message in chat.messages()] == ["s", "q1", "a1", "q2", "a2"]
    assert seen == [["s", "q1"], ["s", "q1", "new 1", "q2"]]
    assert node.parent.metadata == {"rerun_of": "0.0.0.0"}


async def test_what_tools_did_is_answered_by_one_reply(store):
    turns = [
        ("assistant", "hello"),
        ("user", "q1"),
        ("assistant", "look"),
        ("tool", "t"),
        ("assistant", "a1"),
        ("user", "q2"),
    ]
    chat, node, seen = await asked_again(store, turns)

    assert [message.text for message in chat.messages(node.id)] == ["hello", "q1", "new 1", "q2", "new 2"]
    assert len(seen) == 2


async def test_up_to_a_node(store):
    turns = [("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2")]
    chat, node, _ = await asked_again(store, turns, to="0.0")

    assert [message.text for message in chat.messages(node.id)] == ["q1", "new 1"]
    assert chat.cursor.message.text == "a2"


async def test_where_nothing_was_asked_nothing_is_answered(store):
    with pytest.raises(InvalidInput, match="nothing is asked"):
        await asked_again(store, [("system", "s"), ("assistant", "hello")])
