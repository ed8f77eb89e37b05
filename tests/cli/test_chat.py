"""The chat: what is typed and what comes of it without a terminal, and the real program on a real one."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest
from cli.terminals import Terminal
from explore.endpoint_server import in_a_thread

import branchlog
from branchlog.cli.chat.commands import COMMANDS, Asked, Said, helping, is_command, read
from branchlog.cli.chat.completing import Known, completions
from branchlog.cli.chat.picking import Picking
from branchlog.cli.chat.talk import Passing, Talk
from branchlog.errors import EndpointUnreachable, InvalidInput
from branchlog.explore import Scripted, as_responder
from branchlog.explore.streaming import _Opening, _sealed

SCRIPT = "Along the river.\n---\nTo the castle.\n---\nHome again.\n"
NASTY = "\x1b[31mred\x1b]0;title\x07 \u202eback 你好 שלום 🏰"


# What is typed.


def test_what_is_no_command_is_said_whole():
    assert read("Where?\n  And then?\n") == Said("Where?\n  And then?")
    assert read("//etc is a folder") == Said("/etc is a folder")
    assert read(" \n ") is None


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_read_and_refused_with_too_many_words(name):
    command = COMMANDS[name]
    meant = read(f"/{name} " + "1 " * command.needed)

    assert isinstance(meant, Asked)
    assert meant.command is command
    assert hasattr(Talk, f"_{name}")
    if command.most is not None:
        with pytest.raises(InvalidInput, match=f"^it is: /{name}"):
            read(f"/{name} " + "x " * (command.most + 1))
    if command.needed:
        with pytest.raises(InvalidInput, match=f"^it is: /{name}"):
            read(f"/{name}")


def test_an_unknown_command_says_how_to_say_it():
    with pytest.raises(InvalidInput, match="//nope says it"):
        read("/nope")


@pytest.mark.parametrize("word", ["0", "-1", "x", "1000", "1.5", "²"])
def test_a_count_is_a_number(word):
    with pytest.raises(InvalidInput, match="from 1 to 999"):
        read(f"/alternatives {word}").number(3)


def test_help_has_every_command():
    assert [usage.split()[0] for usage, _ in helping()] == [f"/{name}" for name in COMMANDS]


# What fits.


@pytest.fixture
def tree():
    chat = branchlog.Conversation.start("walk")
    chat.say("user", "Where?")
    chat.annotate(chat.say("assistant", "Along the river."), label="river")
    chat.add("assistant", "To the castle.", under="0")
    return chat.tree


@pytest.mark.parametrize(
    ("typed", "begun", "words"),
    [
        ("/alt", "/alt", ["/alternatives"]),
        ("/re", "/re", ["/regenerate", "/redo"]),
        ("/goto ri", "ri", ["river"]),
        ("/goto 0.", "0.", ["0.1", "0.0"]),
        ("/goto m", "m", ["main"]),
        ("/compare 0.0 0.1", "0.1", ["0.1"]),
        ("/rate ", "", ["1", "2", "3", "4", "5"]),
        ("/rate 4 ri", "ri", ["river"]),
        ("/label name 0.1", "0.1", ["0.1"]),
        ("/model s", "s", ["small"]),
        ("/export mark", "mark", ["markdown"]),
        ("/undo ", "", []),
        ("/nope x", "", []),
        ("say /goto", "", []),
        ("//goto", "", []),
        ("/goto\n0", "", []),
    ],
)
def test_completion(tree, typed, begun, words):
    known = Known(tree=tree, models=("small", "large"), formats=("markdown", "chatgpt"))
    got, found = completions(typed, known)

    assert [each.word for each in found] == words
    assert got == begun or not words


def test_what_completes_says_what_it_is(tree):
    assert [each.about for each in completions("/goto ri", Known(tree=tree))[1]] == ["assistant: Along the river."]


def test_typing_is_told_from_saying():
    assert is_command("/he")
    assert not is_command("//he")
    assert not is_command("he /")


# The tree to pick from.


def test_picking_goes_line_by_line_and_up_and_down(tree):
    picking = Picking.of(tree, tree, "main")

    assert picking.node == tree["0.0"]
    assert picking.moved(-100).node == tree.root
    assert picking.moved(100).node == picking.moved(101).node
    assert picking.up().node == tree["0"]
    assert picking.up().up().up().node == tree.root
    assert picking.up().up().down().node == tree["0"]
    assert {picking.moved(by).node.id for by in range(-5, 5)} == {"", "0", "0.0", "0.1"}


def test_folded_lines_are_not_picked():
    chat = branchlog.Conversation.start("long")
    for number in range(1_200):
        chat.say("user", f"message {number}")
    picking = Picking.of(chat.tree, chat.tree, "main")
    every = [picking.moved(by).node for by in range(-len(picking.lines), 1)]

    assert any(line.node is None for line in picking.lines)
    assert every[0] == chat.tree.root
    assert every[-1] == chat.cursor


# The chat without a terminal.


class Shown:
    """What a chat shows, as text."""

    def __init__(self):
        self.text = ""
        self.problems = []

    def lines(self, lines):
        self.text += "".join(line.plain + "\n" for line in lines)

    def piece(self, text):
        self.text += text

    def problem(self, text):
        self.problems.append(text)


class Chatting:
    """A chat on a store in memory."""

    def __init__(self, responder=None, store=None):
        self.store = store or branchlog.open("memory:")
        chat = self.store.load("walk") if store else self.store.create("walk")
        self.screen = Shown()
        self.talk = Talk(self.store, chat, self.screen, [responder or Scripted.from_text(SCRIPT, name="script")])

    async def __call__(self, *texts):
        """Type these; what is shown of the last one."""
        for text in texts:
            self.screen.text, self.screen.problems = "", []
            self.outcome = await self.talk.take(text)
        return self.screen.text

    @property
    def saved(self):
        return self.store.load("walk")


async def test_everything_said_is_saved_at_once():
    chat = Chatting()
    shown = await chat("Where?")

    assert shown.startswith("Along the river.\n0.0 (main)")
    assert [message.content for message in chat.saved.messages()] == ["Where?", "Along the river."]
    assert chat.talk.chat.pending == ()


async def test_alternatives_are_gone_through_with_their_places():
    chat = Chatting()
    await chat("Where?", "/alternatives 2")

    assert "2/3" in await chat("/next")
    assert "3/3" in await chat("/next")
    await chat("/next")
    assert chat.screen.problems == ["this is the last of 3"]
    assert "2/3" in await chat("/prev")
    assert chat.talk.status() == "0.1 2/3 · script · walk"
    assert chat.saved.cursor.id == "0.1"
    assert "{+" in await chat("/compare")


async def test_an_edit_is_an_alternative_and_may_come_back_to_the_prompt():
    chat = Chatting()
    await chat("Where?", "/edit Where to?")
    assert chat.saved.tree["1"].message.content == "Where to?"

    await chat("/edit")
    assert chat.outcome.prefill == "Where to?"
    await chat("Where to,\nthen?")
    assert chat.saved.tree["2"].message.content == "Where to,\nthen?"
    await chat("/edit", "")
    assert chat.talk.editing is None
    assert len(chat.saved.tree["2"].alternatives) == 3


async def test_back_stands_before_the_question_and_undo_and_redo_follow():
    chat = Chatting()
    await chat("Where?", "And then?")

    assert "what you say now stands beside: And then?" in await chat("/back")
    assert chat.saved.cursor.id == "0.0"
    assert "at 0.0.0.0" in await chat("/undo")
    assert "at 0.0 " in await chat("/redo")
    await chat("/back 5")
    assert "nothing further back" in chat.screen.problems[0]


async def test_the_past_is_looked_at_only():
    chat = Chatting()
    await chat("Where?", "/alternatives 1")
    before = chat.saved.version
    shown = await chat("/at 3")

    assert "to look at only: /at comes back" in shown
    assert "Along the river" not in shown
    for refused in ("More?", "/next", "/rate 3", "/undo"):
        await chat(refused)
        assert chat.outcome.prefill == refused
        assert "/at comes back" in chat.screen.problems[0]
    assert chat.saved.version == before
    assert "as it was at version 3" in chat.talk.status()
    await chat("/at")
    assert chat.talk.moment is None
    await chat("/at 3", "/goto @{3}")
    assert chat.talk.moment is None
    assert chat.saved.cursor.id == "0"


async def test_notes_are_saved():
    chat = Chatting()
    await chat("Where?", "/rate 4", "/label best", "/title A walk", "/goto root", "/rate 2 best")
    node = chat.saved.tree["0.0"]

    assert (node.rating, node.label, chat.saved.title) == (2, "best", "A walk")
    await chat("/goto best", "/label")
    assert chat.saved.tree["0.0"].label is None
    await chat("/rate many")
    assert chat.screen.problems == ["a rating is a number from 1 to 5, found 'many'"]


async def test_a_failed_reply_is_told_in_one_line_and_the_question_is_kept():
    class Nobody:
        name = "nobody"
        fails = True

        async def respond(self, messages):
            if self.fails:
                raise EndpointUnreachable("nobody", "no answer:\ndoes the server run there?")
            yield "Here."

    responder = Nobody()
    chat = Chatting(responder)
    await chat("Where?")

    assert len(chat.screen.problems) == 1
    assert "\n" not in chat.screen.problems[0]
    assert "does the server run there" in chat.screen.problems[0]
    assert chat.saved.cursor.id == "0"
    assert len(chat.saved.cursor.metadata["failed_replies"]) == 1
    responder.fails = False
    await chat("/regenerate")
    assert [message.content for message in chat.saved.messages()] == ["Where?", "Here."]


async def test_others_are_seen_and_nothing_is_told_twice():
    one = Chatting()
    await one("Where?")
    other = Chatting(store=one.store)
    await other("And then?")
    seen = [line.plain for line in await one.talk.look()]

    assert seen[0] == "from elsewhere"
    assert {"And then?", "Along the river."} <= set(seen)
    assert await one.talk.look() == []
    assert one.talk.here.id == "0.0.0.0"


async def test_both_write_at_once_and_nothing_is_lost():
    one = Chatting()
    await one("Where?")
    other = Chatting(store=one.store)
    await asyncio.gather(one("From one"), other("From the other"))
    said = {node.message.text for node in one.saved.tree if node.message}

    assert {"From one", "From the other"} <= said
    assert len(one.saved.tree) == 7
    told = one.screen.text + "".join(line.plain for line in await one.talk.look())
    assert "From the other" in told


def leave_unfinished(store, chat, text, id=b"\x01" * 16):
    """A draft as a process leaves it that died a minute ago."""
    ago = time.time_ns() // 1_000 - 60_000_000
    store.log.extend_draft(chat, id, 0, _sealed(_Opening(store.load(chat).tree["0"].version, "model", ago, ago)))
    store.log.extend_draft(chat, id, 1, _sealed(text))


@pytest.mark.parametrize(
    ("command", "content"), [("/keep", "To the"), ("/continue", "To theAlong the river."), ("/drop", None)]
)
async def test_an_unfinished_reply_is_told_and_kept_continued_or_dropped(command, content):
    store = branchlog.open("memory:")
    made = store.create("walk")
    made.say("user", "Where?")
    store.save(made)
    leave_unfinished(store, "walk", "To the")
    chat = Chatting(store=store)
    opening = "\n".join(line.plain for line in await chat.talk.opening())
    await chat(command)

    assert "a reply to 0 was left unfinished: To the" in opening
    assert [child.message.content for child in chat.saved.tree["0"].children] == ([content] if content else [])
    assert store.log.drafts("walk") == []
    await chat(command)
    assert chat.screen.problems == ["no reply was left unfinished"]


async def test_no_control_character_reaches_the_screen():
    chat = Chatting(as_responder(lambda _: NASTY))
    typed = ("Where?", "/goto 0.0", "/compare 0 0.0", f"/title {NASTY}", f"/label {NASTY}", f"Again {NASTY}", "/tree")
    shown = "".join([await chat(each) + "".join(chat.screen.problems) for each in typed]) + chat.talk.status()
    shown += "".join(line.plain for line in await chat.talk.opening())

    assert "你好 שלום 🏰" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_line_end_may_be_split_between_pieces():
    passing = Passing()

    assert passing.take("one\r") + passing.take("\ntwo\r") + passing.take("three") + passing.end() == "one\ntwo␍three\n"
    assert Passing().end() == ""


async def test_export_writes_a_file_and_never_over_one(tmp_path):
    chat = Chatting()
    await chat("Where?", f"/export {tmp_path}/walk.md")
    assert "Along the river." in (tmp_path / "walk.md").read_text()

    await chat(f"/export markdown {tmp_path}/walk.md")
    assert "name another file" in chat.screen.problems[0]
    await chat(f"/export {tmp_path}/walk.xyz")
    assert "say which format" in chat.screen.problems[0]
    await chat(f"/export markdown {tmp_path}/no/where.md")
    assert "cannot be written" in chat.screen.problems[0]


async def test_another_model_answers():
    chat = Chatting()
    made = []
    chat.talk._make = lambda name: made.append(name) or [Scripted(["From the other."], name=name)]
    await chat("Where?", "/model other", "And?", "/model script", "/model other")

    assert chat.saved.messages()[-1].content == "From the other."
    assert made == ["other"]
    assert "other  answers" in await chat("/model")


# In a pipe.


def piped(store, given, *args, **options):
    command = [sys.executable, "-m", "branchlog", "--store", str(store), "chat", *args]
    data = given if isinstance(given, bytes) else given.encode()
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False, **options)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.txt"
    path.write_text(SCRIPT)
    return path


def test_in_a_pipe_each_line_is_a_message(tmp_path, script):
    done = piped(
        tmp_path / "chats.db", "Where?\nAnd \x1b[31mthen?\n\n/tree\n/quit\nnever said\n", "--script", str(script)
    )
    shown = done.stdout.decode()

    assert (done.returncode, done.stderr) == (0, b"")
    assert shown.startswith("Along the river.\n0.0 (main)")
    assert "user: And ␛[31mthen?" in shown
    assert "\x1b" not in shown
    with branchlog.open(tmp_path / "chats.db") as store:
        assert store.list()[0].nodes == 5


def test_in_a_pipe_what_fails_is_told_by_the_exit_code(tmp_path, script):
    assert piped(tmp_path / "chats.db", "/nope\n", "--script", str(script)).returncode == 1
    refused = piped(tmp_path / "chats.db", b"caf\xe9\n", "--script", str(script))
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"line 1 of standard input is not UTF-8" in refused.stderr


# On a terminal.


@pytest.fixture
def place(tmp_path, script, monkeypatch):
    """A store with one exchange, and the arguments of a chat on it."""
    monkeypatch.setenv("BRANCHLOG_STORE", str(tmp_path / "chats.db"))
    with branchlog.open(tmp_path / "chats.db") as store:
        made = store.create("walk", system="You plan walks.")
        made.say("user", "Where shall we walk?")
        made.say("assistant", "Out of the house.")
        store.save(made)
    return tmp_path


def loaded(place):
    with branchlog.open(place / "chats.db") as store:
        return store.load("walk")


def chat_on(place, *args, **options):
    return Terminal("chat", "walk", "--script", str(place / "script.txt"), *args, **options)


@pytest.fixture(scope="module")
def server():
    with in_a_thread() as running:
        yield running


def model(server, name):
    return ("chat", "walk", "--model", name, "--base-url", server.base_url)


def test_each_command_on_a_terminal(place):
    with chat_on(place) as terminal:
        terminal.until("Out of the house.")
        terminal.type("And then?", "Along the river.")
        terminal.type("/alternatives 2", "/compare compares them")
        terminal.type("/next", "2/3")
        terminal.type("/prev", "1/3")
        terminal.type("/regenerate", "4 of 4")
        terminal.type("/compare 0.0.0.0 0.0.0.1", "both have")
        terminal.type("/rate 5", "★5")
        terminal.type("/label best", "#best")
        terminal.type("/back", "stands beside: And then?")
        terminal.type("/undo", "at 0.0.0.3")
        terminal.type("/redo", "at 0.0 ")
        terminal.type("/goto best", "assistant  0.0.0.3")
        terminal.type("/model", "script  answers")
        terminal.type(f"/export {place}/w.md", "as markdown")
        terminal.type("/at 2", "to look at only")
        terminal.type("/at", "back in the present")
        terminal.type("/help", "Ctrl-C stops a reply and keeps it.")
        terminal.type("/nope", "error: there is no command /nope")
        terminal.prompt()
        terminal.send("/quit\r")
        assert terminal.ended() == 0
    node = loaded(place).tree["0.0.0.3"]

    assert (node.rating, node.label) == (5, "best")
    assert loaded(place).cursor.id == "0.0.0.3"
    assert (place / "w.md").exists()


def test_an_edit_comes_back_to_the_prompt_to_be_changed(place):
    with chat_on(place) as terminal:
        terminal.prompt()
        terminal.send("/edit\r")
        terminal.until(lambda text: terminal.shown[terminal.screen.cursor.y] == "> Where shall we walk?")
        terminal.send(" Today?\r")
        terminal.until("Along the river.")
        terminal.prompt()
    assert loaded(place).tree["1"].message.content == "Where shall we walk? Today?"


def test_the_tree_is_gone_about_in_by_arrow_keys(place):
    with chat_on(place) as terminal:
        terminal.type("And then?", "Along the river.")
        terminal.type("/tree", "Esc leaves")
        terminal.send("\x1b[D\x1b[D")  # left: to the reply before
        terminal.send("\r")
        terminal.until(lambda text: "Esc leaves" not in text and "\n0.0 · script" in text)
        terminal.type("/tree", "Esc leaves")
        terminal.send("\x1b[A\x1b")
        terminal.until(lambda text: "Esc leaves" not in text)
        terminal.prompt()
    assert loaded(place).cursor.id == "0.0"


def test_a_message_has_several_lines_and_what_is_pasted_stays_whole(place):
    with chat_on(place) as terminal:
        terminal.prompt()
        terminal.send("one\ntwo\x1b\rthree \x1b[200~four\r\nfive\x1b[201~")
        terminal.until("five")
        terminal.send("\r")
        terminal.until("Along the river.")
        terminal.prompt()
    assert loaded(place).tree["0.0.0"].message.content == "one\ntwo\nthree four\nfive"


def test_tab_completes(place):
    with chat_on(place) as terminal:
        terminal.prompt()
        terminal.send("/lab\t")
        terminal.until("> /label")
        terminal.send(" river\r")
        terminal.until("#river")
        terminal.prompt()
        terminal.send("/goto ri\t")
        terminal.until("> /goto river")
        terminal.send("\r")
        terminal.until("assistant  0.0 (main, #river)")


def test_ctrl_c_stops_the_reply_and_keeps_it(place, server):
    with Terminal(*model(server, "held")) as terminal:
        terminal.type("And then?", "What comes first,")
        terminal.send("typed ahead\x03")
        terminal.until("stopped: what had come is kept")
        terminal.until(lambda text: "> typed ahead" in text)
        assert "first, typed" not in terminal.text
        terminal.send("\x03")
        terminal.prompt()
        terminal.send("\x04")
        assert terminal.ended() == 0
        assert "'branchlog chat walk' goes on." in terminal.text
    node = loaded(place).cursor

    assert (node.id, node.message.content) == ("0.0.0.0", "What comes first, ")
    assert node.metadata["reply"]["reason"] == "cancelled"


def test_a_reply_is_shown_as_it_comes_also_while_the_terminal_changes_its_size(place, server):
    with Terminal(*model(server, "held"), columns=60) as terminal:
        terminal.type("And then?", "What comes first,")
        terminal.resize(24, 20)
        server.go()
        terminal.until("comes last.")
        terminal.prompt()
        terminal.resize(40, 12)
        terminal.type("And?", "comes last.")
        terminal.prompt()
    server.going.clear()
    assert loaded(place).cursor.message.content == "What comes first, and what comes last."


def test_what_an_endpoint_refuses_is_told_and_the_prompt_comes_back(place, server):
    with Terminal(*model(server, "status-401"), columns=200) as terminal:
        terminal.type("And then?", "mend OPENAI_API_KEY")
        terminal.until("the question is kept: /regenerate asks again")
        terminal.type("/model echo", "echo  answers")
        terminal.type("/regenerate", "You said: And then?")
        terminal.prompt()
        assert "Traceback" not in terminal.text
    assert loaded(place).cursor.message.content == "You said: And then? "


def test_two_terminals_see_each_other(place):
    with chat_on(place) as one, chat_on(place) as other:
        one.prompt()
        other.prompt()
        other.send("begun and not sent")
        other.until("begun and not sent")
        one.type("From the first", "Along the river.")
        other.until(lambda text: "From the first" in text and "Along the river." in text)
        other.until(lambda text: "> begun and not sent" in text)
        one.prompt()
        one.send("Both")
        one.until("> Both")
        both = [threading.Thread(target=terminal.send, args=("\r",)) for terminal in (one, other)]
        for each in both:
            each.start()
        for each in both:
            each.join()
        one.until("begun and not sent")
        other.until("Both")
        one.prompt()
        other.prompt()
    said = [node.message.text for node in loaded(place).tree if node.message]

    assert {"From the first", "Both", "begun and not sent"} <= set(said)
    assert len(said) == 3 + 2 * 3


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminals_without_colours(place, environment):
    with chat_on(place, **environment) as terminal:
        terminal.until(">")
        terminal.send("And then?\r")
        terminal.until("Along the river.")
        terminal.until("0.0.0.0")
        terminal.send("/nope\r")
        terminal.until("there is no command")
        terminal.send("\x04")
        assert terminal.ended() == 0
    colours = [part for part in terminal.raw.split(b"\x1b[")[1:] if part.split(b"m")[0] in (b"31", b"32", b"35", b"36")]

    assert colours == []
    assert loaded(place).cursor.message.content == "Along the river."


def test_wide_and_nasty_characters_on_a_narrow_terminal(place):
    (place / "script.txt").write_text(NASTY)
    with chat_on(place, columns=16, lines=10) as terminal:
        terminal.prompt()
        terminal.send("\u202eleft\x15")
        terminal.prompt()
        terminal.send("你好 שלום 🏰\r")
        terminal.until("␛[31mred")
        terminal.prompt()
        terminal.send("/tree\r")
        terminal.until("◉")
        terminal.send("q")
        terminal.prompt()
        assert b"\x1b]0;title" not in terminal.raw
        assert "\u202e".encode() not in terminal.raw
    assert loaded(place).tree["0.0.0"].message.content == "你好 שלום 🏰"


def test_ctrl_d_leaves_and_an_unfinished_reply_is_told_on_opening(place):
    with branchlog.open(place / "chats.db") as store:
        leave_unfinished(store, "walk", "Half a reply")
    with chat_on(place) as terminal:
        terminal.until("a reply to 0 was left unfinished: Half a reply")
        terminal.type("/keep", "interrupted")
        terminal.prompt()
        terminal.send("\x04")
        assert terminal.ended() == 0
    assert loaded(place).tree["0.1"].message.content == "Half a reply"


def test_a_cursor_of_ones_own_is_made_and_others_stay(place):
    with chat_on(place, "--cursor", "guest") as terminal:
        terminal.type("And then?", "Along the river.")
        terminal.prompt()
    chat = loaded(place)

    assert (chat.cursor.id, chat.cursors["guest"].id) == ("0.0", "0.0.0.0")


def test_without_the_extra_one_line_says_what_to_install(place):
    code = (
        "import sys; sys.modules['prompt_toolkit'] = None; sys.argv = ['branchlog', 'chat', 'walk'];"
        "from branchlog.cli import main; main()"
    )
    terminal = Terminal(command=["-c", code], columns=100)
    with terminal:
        assert terminal.ended() == 1
    assert "pip install 'branchlog[chat]'" in terminal.text
