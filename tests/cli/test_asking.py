"""Asking on the command line: who answered, where the replies are, what failed, and what was left of some."""

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys

import pytest
from explore.endpoint_server import TEXT, in_a_thread

import branchlog
from branchlog.cli import asking, drawing
from branchlog.explore import Scripted, stream
from branchlog.explore.alternatives import FAILED
from branchlog.explore.reply import REPLY

REPLIES = ["Along the river.", "Over the hill.", "Around the lake."]


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in ("BRANCHLOG_MODEL", "OPENAI_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "guide.txt"
    path.write_text("\n---\n".join(REPLIES))
    return str(path)


@pytest.fixture
def question(shell):
    shell.run("new", "A walk", "--id", "walk")
    shell.run("say", "walk", "Where?")
    return shell


@pytest.fixture
def nowhere():
    """The address of a server that is not there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def contents(shell, *args):
    return [message["content"] for message in shell.json("path", "walk", *args)]


def test_one_reply_and_the_cursor_goes_to_it(question, script):
    assert question.out("ask", "walk", "--script", script) == "0.0 (main)  guide: Along the river.\n"
    assert contents(question) == ["Where?", "Along the river."]


def test_the_cursor_stays_where_it_does_not_stand_on_the_question(question, script):
    question.run("ask", "walk", "--script", script)

    assert question.out("ask", "walk", "--script", script) == "0.1 (2 of 2)  guide: Along the river.\n"
    assert question.json("show", "walk")["cursors"] == {"main": 4}


def test_several_replies_are_alternatives_and_the_cursor_stays(question, script):
    lines = question.out("ask", "walk", "-n", "3", "--script", script).splitlines()

    assert sorted(line.partition("guide: ")[2] for line in lines) == sorted(REPLIES)
    assert {line.split()[0] for line in lines} == {"0.0", "0.1", "0.2"}
    assert question.json("show", "walk")["cursors"] == {"main": 2}


def test_asked_is_the_last_message_that_is_not_the_assistants(question, script):
    question.run("say", "walk", "Here.", "--role", "assistant")
    question.run("say", "walk", "Really.", "--role", "assistant")
    asked = question.json("ask", "walk", "--script", script)
    there = question.json("ask", "walk", "0.0", "--script", script)

    assert (asked["under"], there["under"]) == ("0", "0")
    (attempt,) = asked["attempts"]
    assert (attempt["responder"], attempt["error"], attempt["node"]["id"]) == ("guide", None, "0.1")
    assert attempt["node"]["metadata"]["reply"]["responder"] == "guide"


def test_where_nothing_is_asked_nobody_answers(shell, script):
    shell.run("new", "--id", "walk")
    assert "nothing is asked" in shell.refused("ask", "walk", "--script", script)
    shell.run("say", "walk", "Hello.", "--role", "assistant")

    assert "nothing is asked" in shell.refused("ask", "walk", "--script", script)
    assert "nothing is asked" in shell.refused("rerun", "walk", "--script", script)
    shell.run("new", "--id", "plan", "--system", "You plan walks.")
    assert "nothing is asked" in shell.refused("ask", "plan", "--script", script)
    shell.run("ask", "walk", code=2)
    shell.run("ask", "walk", "--script", script, "-n", "0", code=2)


def test_one_that_fails_leaves_the_others_and_a_mark(question, script, nowhere):
    result = question.run("ask", "walk", "--script", script, "--model", "m", "--base-url", nowhere)

    assert result.stdout == "0.0  guide: Along the river.\n"
    assert result.stderr.startswith("failed: m: no answer from")
    assert "0 (main, 1 failed)  user: Where?" in question.out("show", "walk")


def test_where_all_fail_the_exit_code_is_1(question, nowhere):
    for more in ((), ("-n", "2"), ("--json",)):
        result = question.run("ask", "walk", "--model", "m", "--base-url", nowhere, *more, code=1)
    assert [attempt["error"]["kind"] for attempt in json.loads(result.stdout)["attempts"]] == ["EndpointUnreachable"]
    assert "4 failed" in question.out("show", "walk")
    question.run("rerun", "walk", "--model", "m", "--base-url", nowhere, code=1)
    assert len(question.json("show", "walk")["nodes"]) == 2


def test_asking_again_is_a_branch_beside_the_old_one(question, script):
    question.run("say", "walk", "Here.", "--role", "assistant")
    question.run("say", "walk", "Why?")
    question.run("say", "walk", "So.", "--role", "assistant")
    (attempt,) = question.json("rerun", "walk", "--script", script)

    assert contents(question, attempt["node"]["id"]) == ["Where?", REPLIES[0], "Why?", REPLIES[1]]
    assert contents(question) == ["Where?", "Here.", "Why?", "So."]
    assert question.out("rerun", "walk", "0.0", "--script", script).split()[0] == "0.2"


def test_on_a_terminal_one_reply_is_shown_as_it_comes(question, tmp_path):
    script = tmp_path / "guide.txt"
    script.write_text("Along\x1b[2J the river.")
    main, other = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "branchlog",
        "--store",
        str(question.store),
        "ask",
        "walk",
        "--script",
        str(script),
    ]
    process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env={**os.environ, "NO_COLOR": "1"})
    os.close(other)
    written = b""
    try:
        while some := os.read(main, 65536):
            written += some
    except OSError:
        pass  # on Linux the end of a terminal is an error
    os.close(main)

    assert process.wait(timeout=60) == 0
    assert written.decode().splitlines() == ["Along\u241b[2J the river.", "0.0 (main)  guide"]


async def test_an_interrupted_reply_is_kept_as_far_as_it_came():
    began = asyncio.Event()

    class Slow:
        name = "slow"

        async def respond(self, _messages):
            yield "Along"
            began.set()
            await asyncio.sleep(60)

    async with branchlog.open_async("memory:") as store:
        chat = await store.create("walk")
        ask = chat.say("user", "Where?")
        await store.save(chat)
        asked = asking.one(store, chat, Slow(), ask, "main", echoed=False)
        task = asyncio.create_task(asking.telling(asked, chat, quiet=True))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert [message.text for message in (await store.load("walk")).messages()] == ["Where?", "Along"]


@pytest.fixture
def endpoint():
    with in_a_thread() as server:
        yield server


def test_models_at_temperatures_are_asked_over_the_wire(question, endpoint):
    question.run("edit", "walk", "0", "Where to?")
    args = ("--base-url", endpoint.base_url, "--model", "plain", "--model", "echo")
    found = question.json("ask", "walk", *args, "--temperature", "0", "--temperature", "1.5")
    texts = {each["responder"]: each["node"]["message"]["content"] for each in found["attempts"]}

    assert texts["plain at 0.0"] == texts["plain at 1.5"] == TEXT
    assert texts["echo at 0.0"].split() == ["You", "said:", "Where", "to?"]
    assert sorted(request.body["temperature"] for request in endpoint.of("plain")) == [0.0, 1.5]
    assert "9 tokens in, 12 out" in question.out("diff", "walk", "1.0", "1.1", "1.2", "1.3")


@pytest.mark.parametrize("several", [False, True])
def test_an_interruption_keeps_what_has_come_of_one_and_what_is_complete_of_several(question, endpoint, several):
    command = [sys.executable, "-m", "branchlog", "--store", str(question.store), "ask", "walk"]
    command += ["--base-url", endpoint.base_url, "--model", "held", *(["--model", "plain"] if several else [])]
    main, other = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=other, stderr=subprocess.PIPE) as process:
        written = b""
        while (b"castle" if several else b"first, ") not in written:
            written += os.read(main, 65536)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
    os.close(main)
    os.close(other)
    (node,) = question.json("show", "walk", "0")["nodes"][1:]

    assert (process.returncode, said) == (130, "interrupted\n")
    assert node["message"]["content"] == (TEXT if several else "What comes first, ")
    assert node["metadata"]["reply"]["reason"] == ("stop" if several else "cancelled")
    assert question.json("unfinished", "walk") == []


# What was left.


@pytest.fixture
def left(question, monkeypatch):
    """A reply whose process is gone, with what had arrived."""
    from branchlog.explore import streaming

    async def begin():
        async with branchlog.open_async(question.store, create=False) as store:
            chat = await store.load("walk")
            reply = stream(store, chat, Scripted(["Along the river."], name="gone"), under="@")
            await reply._draft._put(0, streaming._Opening(reply.under.version, "gone", 1_700_000_000_000_000, 0))
            await reply._draft._put(1, "Along the ")

    asyncio.run(begin())
    return question


def test_show_says_how_many_are_unfinished(left):
    result = left.run("show", "walk")

    assert result.stderr == "1 reply unfinished; 'branchlog unfinished walk' tells more\n"
    assert left.json("show", "walk")["unfinished"] == 1


def test_unfinished_replies_are_told_and_stay(left):
    for _ in range(2):
        result = left.run("unfinished", "walk")
        assert result.stdout.startswith("under 0 (2023-11-14 ")
        assert result.stdout.endswith("  gone: Along the\n")
    (told,) = left.json("unfinished", "walk")

    assert {**told, "id": ""} == {
        "id": "",
        "under": 2,
        "responder": "gone",
        "began": "2023-11-14T22:13:20+00:00",
        "arriving": False,
        "text": "Along the ",
    }


def test_unfinished_replies_are_kept(left):
    result = left.run("unfinished", "walk", "--keep")

    assert result.stdout == "0.0 (main, interrupted)  assistant: Along the\n"
    assert result.stderr == "1 reply kept\n"
    assert "(main, interrupted)" in left.out("show", "walk")
    assert left.json("unfinished", "walk") == []
    assert left.run("unfinished", "walk", "--keep").stderr == "0 unfinished replies\n"


def test_unfinished_replies_are_dropped(left):
    assert left.run("unfinished", "walk", "--drop").stderr == "1 reply dropped\n"
    assert left.json("unfinished", "walk") == []
    assert left.run("show", "walk").stderr == ""
    assert len(left.json("show", "walk")["nodes"]) == 2


def test_what_may_be_arriving_still_is_left_alone(question):
    async def begin():
        async with branchlog.open_async(question.store, create=False) as store:
            chat = await store.load("walk")
            reply = stream(store, chat, Scripted(["Along the river."], name="alive"), under="@")
            await reply._draft._say_alive()

    asyncio.run(begin())

    assert "may be arriving still" in question.out("unfinished", "walk")
    for option in ("--keep", "--drop"):
        result = question.run("unfinished", "walk", option)
        assert (result.stdout, result.stderr[:7]) == ("", "0 repli")
    assert question.json("unfinished", "walk")[0]["arriving"] is True


def test_the_keys_in_metadata_are_those_of_the_replies():
    assert (drawing.REPLY, drawing.FAILED) == (REPLY, FAILED)


@pytest.mark.parametrize("reason", ["cancelled", "failed", "interrupted"])
def test_a_reply_that_broke_off_says_so(reason):
    chat = branchlog.Conversation.start()
    node = chat.say("assistant", "x", metadata={"reply": {"reason": reason}})

    assert drawing.node_notes(node, [], 1) == (reason,)


@pytest.mark.parametrize("metadata", [{"reply": 1}, {"reply": {"reason": ["x"]}}, {"failed_replies": []}, {}])
def test_metadata_of_other_shapes_says_nothing(metadata):
    chat = branchlog.Conversation.start()

    assert drawing.node_notes(chat.say("assistant", "x", metadata=metadata), [], 1) == ()
