"""Stepping through what happened: the steps in words, as lines, as JSON, and by keys on a terminal."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import Self

import pytest
from hypothesis import given

import branchlog
from branchlog import Conversation
from branchlog.cli.reading import names_of
from branchlog.cli.replaying import Scene, Show, last_of_path
from branchlog.cli.wording import fields_of, in_words, step_in_words
from branchlog.testing import commands, perform


@given(commands())
def test_a_step_is_told_as_its_event_is(played):
    chat = Conversation.start("c", title="C", system="Be brief.")
    for command in played:
        perform(chat, command)
    names = names_of(chat.tree)
    told = [in_words(fields_of(event), version, names) for version, event in enumerate(chat.pending, 1)]

    assert [step_in_words(step, chat.tree) for step in chat.replay()] == told


def walk() -> Conversation:
    chat = Conversation.start("walk", title="A walk", system="You plan walks.")
    chat.say("user", "Where?")
    chat.say("assistant", "Along the river.")
    chat.add("assistant", "Over the hill.", under="0")
    return chat


def lines(chat: Conversation, version: int, rows: int = 5) -> list[str]:
    return [text.plain for text in Show(chat, 1, chat.version).scene(version).lines(rows, 80)]


def test_a_step_shows_the_end_of_the_path_and_what_changed_beside_it():
    chat = walk()

    assert lines(chat, 1) == ["◉  root (main)  system: You plan walks."]
    assert lines(chat, 2) == ["◉  root (main)  system: You plan walks.", "├─○  0  user: Where?"]
    assert lines(chat, 5, rows=2) == [
        "⋮  1 message above",
        "●  0  user: Where?",
        "◉  0.0 (main)  assistant: Along the river.",
    ]
    assert lines(chat, 6, rows=2) == [
        "⋮  1 message above",
        "●  0  user: Where?",
        "◉  0.0 (main, 1 of 2)  assistant: Along the river.",
        "├─○  0.1 (2 of 2)  assistant: Over the hill.",
    ]


def test_what_changed_far_from_what_is_on_show_hangs_on_nothing():
    chat = walk()
    for number in range(9):
        chat.say("user", str(number))
    chat.annotate("0.1", rating=3)

    assert lines(chat, chat.version, rows=2)[-1] == "  ○  0.1 (★3, 2 of 2)  assistant: Over the hill."


def test_what_was_erased_is_shown_at_no_step():
    chat = walk()
    chat.redact("0.0")
    now = chat.tree
    told = "\n".join(step_in_words(step, now) for step in chat.replay())

    assert "0.0 added: assistant: (erased)" in told
    assert told.endswith("what 0.0 said was erased")
    assert lines(chat, 5)[-1] == "◉  0.0 (main)  assistant: (erased)"
    assert Scene(next(chat.replay(4, 4)), now).to_json()["node"]["redacted"]


def test_the_end_of_a_long_path_is_found_from_its_end():
    chat = Conversation.start("long")
    for number in range(30_000):
        chat.say("user", str(number))
    began = time.perf_counter()

    assert [node.message.content for node in last_of_path(chat.cursor, 3)] == ["29997", "29998", "29999"]
    assert time.perf_counter() - began < 0.2  # the links between nodes are made once; nothing else grows with the path


def test_in_a_pipe_all_steps_are_written(walk):
    written = walk.out("replay", "walk").splitlines()
    titles = [line for line in written if not line.startswith("       ")]

    assert titles == walk.out("log", "walk").splitlines()
    assert written[-1] == "       ◉  0.0 (main)  assistant: Along the river."


def test_from_one_moment_to_another(walk):
    steps = [json.loads(line) for line in walk.out("replay", "walk", "--json").splitlines()]
    some = [json.loads(line) for line in walk.out("replay", "walk", "2", "4", "--json").splitlines()]

    assert [step["version"] for step in steps] == [1, 2, 3, 4, 5]
    assert some == steps[1:4]
    assert [step["kind"] for step in some] == ["node-added", "cursor-moved", "node-added"]
    assert some[1]["node"]["message"] == {"role": "user", "content": "Where?"}
    assert (some[1]["cursors"], some[1]["nodes"]) == ({"main": 2}, 2)
    assert walk.out("replay", "walk", steps[1]["at"], "9999-01-01T00:00Z", "--json").splitlines()


def test_moments_that_never_were_are_refused(walk):
    assert "no version 99 yet" in walk.refused("replay", "walk", "99")
    assert "began at version 1" in walk.refused("replay", "walk", "0")
    assert "began at version 1" in walk.refused("replay", "walk", "1970-01-01T00:00Z")
    assert "after STOP" in walk.run("replay", "walk", "4", "2", code=2).stderr
    walk.run("replay", "walk", "2026-01-01", code=2)
    walk.run("replay", "walk", "--speed", "-1", code=2)


def test_with_a_speed_each_step_waits_for_its_turn(walk, monkeypatch):
    slept = []
    monkeypatch.setattr("branchlog.cli.replaying.time.sleep", slept.append)
    walk.run("replay", "walk", "--speed", "4")
    walk.run("replay", "walk", "3", "--speed", "0.5", "--json")
    walk.run("replay", "walk")

    assert slept == [0.25] * 4 + [2.0] * 2


class Terminal:
    """A command on a terminal, with somebody who looks and presses keys."""

    def __init__(self, *args: str, **environment: str) -> None:
        self.main, other = pty.openpty()
        given = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm", **environment}
        command = [sys.executable, "-m", "branchlog", *args]
        self.process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=given)
        os.close(other)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.main)

    def press(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def read(self) -> bool:
        """Look at what is written next; false at the end."""
        assert select.select([self.main], [], [], 20)[0], f"nothing came after {self.seen!r}"
        try:
            some = os.read(self.main, 65536)
        except OSError:
            return False  # on Linux the end of a terminal is an error
        self.seen += some.decode(errors="replace")
        return bool(some)

    def until(self, text: str) -> str:
        """What is written up to a text; nothing of it is looked at again."""
        while text not in self.seen:
            assert self.read(), f"{text!r} never came: {self.seen!r}"
        before, _, self.seen = self.seen.partition(text)
        return before

    def end(self) -> int:
        """The exit code."""
        while self.read():
            pass
        return self.process.wait(timeout=20)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    path = tmp_path / "chats.db"
    with branchlog.open(path) as store:
        chat = store.create("walk", title="A walk", system="You plan walks.")
        chat.say("user", "Where?")
        chat.say("assistant", "Along the river.\x1b[2J")
        store.save(chat)
    monkeypatch.setenv("BRANCHLOG_STORE", str(path))
    monkeypatch.setenv("NO_COLOR", "1")
    return path


@pytest.mark.parametrize(("on", "back", "out"), [("\r", "b", "q"), (" ", "\x7f", "\x1b"), ("\x1b[C", "\x1b[D", "\x04")])
def test_keys_lead_through_the_steps(stored, on, back, out):
    with Terminal("replay", "walk") as terminal:
        terminal.until("1 of 5 ·")
        terminal.press(on)
        assert "0 added: user: Where?" in terminal.until("2 of 5 ·")
        terminal.press(on)
        assert "main moved to 0" in terminal.until("3 of 5 ·")
        terminal.press(back)
        assert "0 added: user: Where?" in terminal.until("2 of 5 ·")
        terminal.press("x")  # means nothing
        terminal.until("2 of 5 ·")
        terminal.press(out)

        assert terminal.end() == 0


def test_going_on_behind_the_last_step_ends(stored):
    with Terminal("replay", "walk", "4") as terminal:
        terminal.until("4 of 5 ·")
        terminal.press("bb  ")

        written = terminal.until("5 of 5 ·")
        assert "river.\x1b" not in written
        assert "river.␛[2J" in written
        assert terminal.end() == 0


def test_an_interruption_ends_with_its_code(stored):
    with Terminal("replay", "walk") as terminal:
        terminal.until("1 of 5 ·")
        terminal.process.send_signal(signal.SIGINT)

        assert terminal.end() == 130
        assert "Traceback" not in terminal.seen


def test_a_terminal_that_can_only_write_on_gets_each_step_beneath_the_last(stored):
    with Terminal("replay", "walk", TERM="dumb") as terminal:
        terminal.until("1 of 5 ·")
        terminal.press(" ")
        written = terminal.until("2 of 5 ·")
        terminal.press("q")

        assert terminal.end() == 0
        assert "\x1b" not in written + terminal.seen


def test_with_a_speed_no_key_is_waited_for(stored):
    with Terminal("replay", "walk", "--speed", "100") as terminal:
        assert terminal.end() == 0
        assert "main moved to 0.0" in terminal.seen
