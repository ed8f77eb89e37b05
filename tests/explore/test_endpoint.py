"""An endpoint through the official client, against a server that sends what endpoints do, broken kinds too."""

import asyncio
import json
import socket

import pytest
from explore.endpoint_server import TEXT, EndpointServer

import branchlog
from branchlog.errors import (
    EndpointFailed,
    EndpointRefused,
    EndpointUnreachable,
    InvalidInput,
    NonsenseReply,
    RateLimited,
    ResponderError,
    StreamCut,
)
from branchlog.explore import ChatCompletions, Finish, explore, reply_to

ASKED = [branchlog.Message("user", "Where shall we walk?")]


@pytest.fixture
async def server():
    async with EndpointServer() as running:
        yield running


@pytest.fixture
async def ask(server, monkeypatch):
    """A model of the server, asked; the pieces that come."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    made = []

    def model(name, **options):
        made.append(ChatCompletions(name, base_url=server.base_url, **options))
        return made[-1]

    async def pieces(name, **options):
        return [piece async for piece in model(name, **options).respond(ASKED)]

    pieces.model = model
    yield pieces
    for each in made:
        await each.close()


@pytest.fixture
async def store():
    async with branchlog.open_async("memory:") as opened:
        yield opened


@pytest.fixture
async def chat(store):
    made = await store.create("trip", system="You plan walks.")
    made.say("user", "Where shall we walk?")
    await store.save(made)
    return made


def text_of(pieces):
    return "".join(piece for piece in pieces if isinstance(piece, str))


# What goes well.


async def test_a_reply_comes_in_pieces_with_its_usage_and_reason(ask, server):
    *texts, finish = await ask("plain", temperature=0.5)

    assert "".join(texts) == TEXT
    assert len(texts) > 5
    assert (finish.reason, finish.model, finish.tool_calls) == ("stop", "plain", None)
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (9, 12)
    assert finish.usage.details["prompt_tokens_details"] == {"cached_tokens": 4}
    sent = server.requests[0].body
    assert sent["messages"] == [{"role": "user", "content": "Where shall we walk?"}]
    assert (sent["temperature"], sent["stream"], sent["stream_options"]) == (0.5, True, {"include_usage": True})


async def test_usage_is_not_asked_for_where_that_is_refused(ask, server):
    *_, finish = await ask("plain", usage=False)

    assert finish.usage is None
    assert "stream_options" not in server.requests[0].body


async def test_tool_calls_are_put_together(ask):
    (finish,) = await ask("tools")

    assert finish.reason == "tool_calls"
    assert [(call["id"], call["function"]) for call in finish.tool_calls] == [
        ("call_a", {"name": "weather", "arguments": '{"city": "Kyoto"}'}),
        ("call_b", {"name": "time", "arguments": "{}"}),
    ]


async def test_tool_calls_without_an_index_stay_apart(ask):
    (finish,) = await ask("tools-at-once")

    assert [(call["id"], call["function"]["name"]) for call in finish.tool_calls] == [
        ("call_a", "weather"),
        ("call_b", "time"),
    ]


async def test_what_a_model_thinks_is_kept_beside_its_reply(ask):
    *texts, finish = await ask("thinking")

    assert "".join(texts) == "To the river."
    assert finish.more["reasoning"] == "Rivers are near."


async def test_a_reply_that_reached_its_length_says_so(ask):
    *texts, finish = await ask("cut-short")

    assert ("".join(texts), finish.reason) == ("To the", "length")


async def test_of_several_choices_the_first_is_taken(ask):
    pieces = await ask("several")

    assert text_of(pieces) == "To the river."
    assert pieces[-1].reason == "stop"


@pytest.mark.parametrize("kind", ["nulls", "stops-without-done"])
async def test_what_servers_leave_out_does_no_harm(ask, kind):
    assert text_of(await ask(kind)) == "To the river."


async def test_a_reply_may_be_empty(ask):
    pieces = await ask("nothing")

    assert text_of(pieces) == ""
    assert pieces[-1].reason == "stop"


async def test_halves_of_characters_are_put_together_and_lone_ones_replaced(ask, store, chat):
    node = await reply_to(store, chat, ask.model("half-characters"))

    assert node.message.content == "Zürich 🏰 🏰 and \ufffd"
    assert node.message.tool_calls[0]["function"]["arguments"] == '"🏰"'
    assert node.metadata["reasoning"] == "\ufffd"
    assert (await store.load("trip")).tree[node.id].message.content == node.message.content


# What is refused, and what is tried again.


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("status-400", "maximum context length"),
        ("status-401", "mend OPENAI_API_KEY"),
        ("status-403", "may not use this model"),
        ("status-404", "there is no model"),
        ("no-such-kind", "there is no model"),
    ],
)
async def test_a_refusal_says_what_to_do_and_is_not_tried_again(ask, server, kind, advice):
    with pytest.raises(EndpointRefused, match=advice) as found:
        await ask(kind)

    assert found.value.status == (404 if kind == "no-such-kind" else int(kind[-3:]))
    assert "\n" not in str(found.value)
    assert len(server.requests) == 1


async def test_an_address_that_is_not_that_of_the_api_is_named(server, ask):
    elsewhere = ChatCompletions("plain", base_url=server.base_url.removesuffix("/v1"))

    with pytest.raises(EndpointRefused, match="is not the address of the API"):
        [piece async for piece in elsewhere.respond(ASKED)]
    await elsewhere.close()


async def test_a_server_that_wants_fewer_requests_is_waited_for(ask, server):
    assert text_of(await ask("too-many-once")) == TEXT
    assert len(server.requests) == 2  # sooner than it said would have been refused again


@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_too_many_requests_are_tried_as_often_as_said(ask, server, retries):
    with pytest.raises(RateLimited, match=r"wait 0\.01 seconds") as found:
        await ask("too-many", retries=retries)

    assert found.value.retry_after_seconds == 0.01
    assert len(server.requests) == 1 + retries


async def test_a_date_to_wait_for_is_told_in_seconds(ask):
    with pytest.raises(RateLimited) as found:
        await ask("too-many-until", retries=0)

    assert found.value.retry_after_seconds > 1e9


async def test_a_failure_is_tried_again(ask, server):
    assert text_of(await ask("fails-once")) == TEXT
    assert len(server.requests) == 2


@pytest.mark.parametrize(("kind", "status"), [("fails", 500), ("fails-in-html", 503)])
async def test_failures_are_tried_as_often_as_said(ask, server, kind, status):
    with pytest.raises(EndpointFailed, match="try again") as found:
        await ask(kind, retries=2)

    assert found.value.status == status
    assert len(server.requests) == 3


async def test_a_refused_connection_asks_whether_the_server_runs():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        nobody = ChatCompletions("plain", base_url=address, retries=0)
        with pytest.raises(EndpointUnreachable, match="does the server run there") as found:
            [piece async for piece in nobody.respond(ASKED)]
        await nobody.close()

    assert address in str(found.value)


async def test_a_connection_that_is_reset_before_anything_came_is_tried_again(ask, server):
    with pytest.raises(EndpointUnreachable):
        await ask("reset-at-once", retries=1)

    assert len(server.requests) == 2


# What breaks off.

BROKEN = [
    ("reset", StreamCut, "keep what came", "To the river"),
    ("stops", StreamCut, "keep what has arrived", "To the river"),
    ("error-within", EndpointFailed, "ran out of memory", "To the river"),
    ("falls-silent", StreamCut, "nothing more came", "To the river"),
    ("no-json", NonsenseReply, "no reply of a chat", "To the river"),
]

SPOILT = [
    ("error-at-once", EndpointFailed, "is loading"),
    ("silent", StreamCut, "nothing came"),
    ("html", NonsenseReply, "is that the address of the API"),
    ("not-streamed", NonsenseReply, "not with a stream"),
]


@pytest.mark.parametrize(("kind", "error", "advice", "text"), BROKEN)
async def test_a_reply_that_broke_off_is_kept_with_its_error(ask, server, store, chat, kind, error, advice, text):
    with pytest.raises(error, match=advice) as found:
        await reply_to(store, chat, ask.model(kind, timeout_seconds=0.5))

    loaded = await store.load("trip")
    (node,) = loaded.tree["0"].children
    assert node.message.content == text
    assert node.metadata["reply"]["reason"] == "failed"
    assert node.metadata["reply"]["error"]["kind"] == error.__name__
    assert "\n" not in str(found.value)
    assert len(server.requests) == 1  # it had begun: nobody wants to pay for it twice
    assert await store.log.drafts("trip") == []


@pytest.mark.parametrize(("kind", "error", "advice"), SPOILT)
async def test_what_is_no_reply_leaves_no_node(ask, store, chat, kind, error, advice):
    with pytest.raises(error, match=advice):
        await reply_to(store, chat, ask.model(kind, timeout_seconds=0.5, retries=0))

    loaded = await store.load("trip")
    assert loaded.tree["0"].children == ()
    assert loaded.cursor.id == "0"


WRONG = [
    "5",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"choices": "none"}',
    '{"choices": [5]}',
    '{"choices": [null]}',
    '{"choices": [{"index": "first", "delta": {"content": "x"}}]}',
    '{"choices": [{"index": 0, "delta": "text"}]}',
    '{"choices": [{"index": 0, "delta": {"content": 5}}]}',
    '{"choices": [{"index": 0, "delta": {"content": ["x"]}}]}',
    '{"choices": [{"index": 0, "delta": {"tool_calls": "none"}}]}',
    '{"choices": [{"index": 0, "delta": {"tool_calls": [5]}}]}',
    '{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": [], "id": 5, "function": "f"}]}}]}',
    '{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": 5, "function": {"name": "f"}}]}}]}',
    '{"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}}]}',
    '{"choices": [{"index": 0, "delta": {}, "finish_reason": {"a": 1}}]}',
    '{"choices": [], "usage": "much"}',
    '{"choices": [], "usage": [1, 2]}',
    '{"choices": [], "usage": {"prompt_tokens": "many", "completion_tokens": 1e999}}',
    '{"choices": [], "usage": {"prompt_tokens": 1.5}}',
    '{"choices": [], "model": ["m"], "id": {"a": 1}}',
    '{"choices": [], "model": "\\ud83d", "id": "\\ud83d"}',
    '{"choices": [{"index": 0, "delta": {"reasoning_content": {"a": 1}}}]}',
    '{"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}',
    '{"choices": [{"index": 0, "delta": {"content": "' + "\\u0000" + '"}}]}',
]


@pytest.mark.parametrize("chunk", WRONG)
async def test_chunks_of_wrong_types_are_told_or_borne_and_nothing_is_lost(ask, store, chat, chunk):
    try:
        await reply_to(store, chat, ask.model("wrong", extra_headers={"x-chunk": chunk}))
    except NonsenseReply as error:
        assert "no reply of a chat" in str(error)  # noqa: PT017 - either of two ends is well

    loaded = await store.load("trip")
    (node,) = loaded.tree["0"].children
    assert node.message.content.startswith("To the river")
    said = node.metadata["reply"]
    assert isinstance(said.get("model", ""), str)
    assert isinstance(said.get("reason", ""), str)
    json.dumps(node.metadata, allow_nan=False)


async def test_leaving_early_closes_the_connection(ask, server):
    replying = ask.model("held").respond(ASKED)
    first = await anext(replying)
    await replying.aclose()
    await asyncio.wait_for(server.left.wait(), 5)

    assert first == "What comes "


async def test_of_many_at_once_each_has_its_own_end(ask, server, store, chat):
    kinds = ["plain", "stops", "status-401", "too-many", "html", "reset"]
    asked = [ask.model(kind, retries=1) for kind in kinds]
    attempts = {each.responder: each async for each in explore(store, chat, asked)}

    assert {kind: type(attempts[kind].error).__name__ for kind in kinds} == {
        "plain": "NoneType",
        "stops": "StreamCut",
        "status-401": "EndpointRefused",
        "too-many": "RateLimited",
        "html": "NonsenseReply",
        "reset": "StreamCut",
    }
    kept = {kind for kind in kinds if attempts[kind].node is not None}
    assert kept == {"plain", "stops", "reset"}
    loaded = await store.load("trip")
    assert len(loaded.tree["0"].children) == 3
    assert len(loaded.tree["0"].metadata["failed_replies"]) == 3


# Who is asked.


def test_a_key_is_needed_where_no_server_of_ones_own_is_named(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    with pytest.raises(InvalidInput, match="set OPENAI_API_KEY"):
        ChatCompletions("plain")


async def test_address_and_key_come_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    model = ChatCompletions("plain", temperature=0.2)
    pieces = [piece async for piece in model.respond(ASKED)]
    await model.close()

    assert isinstance(pieces[-1], Finish)
    assert model.name == "plain at 0.2"
    assert server.requests[0].headers["authorization"] == "Bearer sk-of-the-environment"


async def test_every_error_is_that_of_a_responder_and_names_it(ask):
    for kind in ("status-401", "html", "stops"):
        with pytest.raises(ResponderError, match=f"^{kind}: "):
            await ask(kind, retries=0)
