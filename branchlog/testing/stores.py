"""The contract of conversations in a store, as a pytest class: what holds whatever log lies beneath.

Where ``LogContract`` looks at commits, this looks at what people see: trees, cursors, labels, the past, merging,
snapshots, erasing and earlier vocabularies. It is used in the same way, with the same fixture::

    class TestConversationsInMyLog(StoreContract):
        abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True)

        @pytest.fixture
        def open_log(self, tmp_path):
            return lambda namespace="": MyLog(tmp_path / "log", namespace=namespace)

Nothing here is random but for a seed that is fixed. The numbers in the docstrings are those of the list of cases that a
log is held to.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import msgspec
import pytest

from branchlog import commit as commit_module
from branchlog._core.codec import Application
from branchlog._core.message import Message
from branchlog._core.tree import Node, Tree
from branchlog._core.upcast import Registry, Shape, Upcaster
from branchlog.commit import Commit, Head, Snapshot, genesis, seal, snapshot
from branchlog.conversation import Conversation
from branchlog.errors import (
    AlreadyExists,
    BackendError,
    CorruptLog,
    InvalidMessage,
    NothingToUndo,
    SchemaVersionError,
    SnapshotIgnored,
    VersionConflict,
)
from branchlog.logs.base import Abilities, Appended, Log
from branchlog.store import Store
from branchlog.testing.playing import CURSORS, NAMES, NOON, TEXTS, VERBS, Command, TickingClock, perform, portrait

ID = "trip"

DEPTH = 3_000
"""Messages in a line: three times the depth at which a recursion ends in an error."""

AWKWARD = (
    Message("user", ""),
    Message("user", "a\0b \U0010ffff \u202eאב\u202c e\u0301 \u2028 'quoted' \\ %s"),
    Message("user", [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]),
    Message("assistant", None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]),
    Message("tool", "{}", tool_call_id="1", name="f"),
    Message(
        "user",
        "numbers",
        metadata={"n": [2**63, -(2**63), 0.1 + 0.2, 1e300, True, None], "-0": -0.0, "1": 1, "1.0": 1.0, "": {"": []}},
    ),
)
"""Messages of every shape, with text and numbers that one or another system changes."""

IMPOSSIBLE = (float("nan"), float("inf"), -float("inf"), 2**64, "\ud800", {1: 2}, {"\udfff": 1}, (1,), b"x")
"""What JSON does not carry, or not back again."""


class FailingLog:
    """A log that passes every call on; one call of a name that is set in ``fails`` ends in an error.

    With ``late`` the call is made all the same: the answer is lost, as when a connection dies.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.fails: str | None = None
        self.late = False

    def __getattr__(self, name: str) -> Any:
        given = getattr(self._log, name)
        if name != self.fails:
            return given

        def failing(*args: Any, **options: Any) -> Appended:
            self.fails = None
            if self.late:
                given(*args, **options)
            raise BackendError("the connection died")

        return failing


def scripted(count: int, seed: int) -> list[Command]:
    """Commands of every kind, the same for the same seed."""
    choose = random.Random(seed)  # noqa: S311 - repeatable is what is wanted
    return [
        Command(
            choose.choice(VERBS),
            choose.randrange(40),
            choose.choice(TEXTS),
            choose.choice(NAMES),
            choose.choice(("main", "main", "main", *CURSORS)),
        )
        for _ in range(count)
    ]


def folded(tree: Tree) -> dict[str, Any]:
    """All that can be seen of a tree, times and parts of messages included."""
    said = [(node.added, node.message, node.redacted, tree.remembered(node).id) for node in tree]
    return {**portrait(tree), "said": said}


def ids(nodes: Sequence[Node]) -> list[str]:
    """The ids of nodes, in their order."""
    return [node.id for node in nodes]


class SnapshotsOf:
    """A log that passes every call on, and has the snapshots given: a log itself keeps none that do not fit."""

    def __init__(self, log: Log, snapshots: list[Snapshot]) -> None:
        self._log = log
        self._snapshots = snapshots

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def snapshots(self, _stream: str) -> list[Snapshot]:
        """The given ones."""
        return self._snapshots


class StoreContract:
    """What conversations in a store keep to. Inherit from it, declare ``abilities`` and give ``open_log``."""

    abilities: Abilities
    """What the log declares."""

    @pytest.fixture
    def open_log(self) -> Callable[..., Log]:
        """Opens a log: ``open_log(namespace="")``, the same place each time within one test."""
        raise NotImplementedError("give a fixture open_log that opens the log under test")

    @pytest.fixture
    def store(self, open_log: Callable[..., Log]) -> Iterator[Store]:
        """An empty store, open."""
        store = Store(open_log(), clock=TickingClock())
        yield store
        store.close()

    def reopened(self, store: Store, open_log: Callable[..., Log]) -> Store:
        """The store after closing and opening it; where that would lose it, another store of the same log."""
        if not self.abilities.persistent:
            return Store(store.log, clock=TickingClock())
        store.close()
        return Store(open_log(), clock=TickingClock())

    def need(self, ability: str) -> None:
        """Skip the case if the log does not declare this ability."""
        if not getattr(self.abilities, ability):
            pytest.skip(f"the log does not declare the ability {ability!r}")

    def grown(self, store: Store, *, count: int = 80, seed: int = 1, every: int = 7) -> Conversation:
        """A conversation to which everything has been done, saved every few commands."""
        chat = store.create(ID, title="Kyoto", system="Be brief.", metadata={"n": 1})
        for number, command in enumerate(scripted(count, seed), 1):
            perform(chat, command)
            if number % every == 0:
                store.save(chat)
        store.save(chat)
        return chat

    # What is said is kept.

    def test_what_is_saved_is_loaded(self, store: Store, open_log: Callable[..., Log]) -> None:
        """A conversation is opened as it was saved, to the last cursor and rating, also after reopening (45)."""
        chat = self.grown(store)
        chat.annotate("0", label="kept", rating=2.5, bookmark=True, hidden=True, metadata={"k": {"m": 1}})
        store.save(chat)
        again = self.reopened(store, open_log)
        loaded = again.load(ID)

        assert folded(loaded.tree) == folded(chat.tree)
        assert (loaded.title, loaded.metadata, loaded.version) == (chat.title, chat.metadata, chat.version)
        again.close()

    def test_messages_of_every_shape(self, store: Store, open_log: Callable[..., Log]) -> None:
        """A message comes back as it went in, with its type of every number (40, 41, 43, 44)."""
        chat = store.create(ID)
        for message in AWKWARD:
            chat.say(message)
        store.save(chat)
        again = self.reopened(store, open_log)

        assert again.messages(ID) == list(AWKWARD)
        assert list(map(repr, again.load(ID).messages())) == list(map(repr, AWKWARD))
        again.close()

    @pytest.mark.parametrize("value", IMPOSSIBLE, ids=ascii)
    def test_what_json_cannot_carry(self, store: Store, value: Any) -> None:
        """What would not come back is refused before it is recorded, wherever it stands (41, 42)."""
        chat = store.create(ID)
        store.save(chat)
        before = folded(chat.tree)
        calls: list[Callable[[], object]] = [
            lambda: chat.say("user", "x", metadata={"it": value}),
            lambda: chat.add("user", [{"type": "text", "it": [value]}], under=""),
            lambda: chat.annotate("", metadata={"it": value}),
            lambda: chat.annotate_conversation(metadata={"it": value}),
            lambda: store.create(metadata={"it": value}),
        ]
        if isinstance(value, str):
            calls += [lambda: chat.say("user", value), lambda: chat.annotate_conversation(title=value)]
        for call in calls:
            with pytest.raises(InvalidMessage):
                call()

        assert chat.pending == ()
        assert folded(chat.tree) == folded(store.load(ID).tree) == before

    def test_a_message_that_was_changed_since(self, store: Store) -> None:
        """A message that was made and then changed into what JSON does not carry is refused when it is said (42)."""
        chat = store.create(ID)
        message = Message("user", "x", metadata={"scores": [1.0]})
        message.metadata["scores"].append(float("nan"))
        with pytest.raises(InvalidMessage):
            chat.say(message)

        store.save(chat)
        assert len(store.load(ID).tree) == 1

    # The tree.

    def test_twelve_alternatives(self, store: Store) -> None:
        """Alternatives are in order of their numbers, not of their ids as text: "0.2" is before "0.10"."""
        chat = store.create(ID)
        chat.say("user", "ask")
        for number in range(12):
            chat.add("assistant", f"{number}", under="0")
            chat.add("user", "and then", under=f"0.{number}")
        store.save(chat)
        tree = store.load(ID).tree
        children = [f"0.{number}" for number in range(12)]

        assert ids(tree["0"].children) == children
        assert ids(list(tree.walk())) == ["", "0", *(id for child in children for id in (child, f"{child}.0"))]
        assert ids(tree.leaves) == [f"{child}.0" for child in children]
        assert [tree[child].ordinal for child in children] == list(range(12))
        assert str(tree["0.10"].position) == "11 of 12"

    def test_an_id_is_given_once(self, store: Store) -> None:
        """An id names one message for ever, whatever is added, moved or saved afterwards."""
        chat = store.create(ID)
        named: dict[str, Message | None] = {}
        for number, command in enumerate(scripted(120, 2)):
            perform(chat, command)
            if number % 10 == 0:
                store.save(chat)
            now = {node.id: node.message for node in chat.tree}

            assert len(now) == len(chat.tree)
            assert all(now[id] == said for id, said in named.items())
            named = now
        store.save(chat)
        assert {node.id: node.message for node in store.load(ID).tree} == named

    def test_a_long_line(self, store: Store) -> None:
        """Nothing about a conversation depends on its depth."""
        chat = store.create(ID)
        for number in range(DEPTH):
            chat.say("user", str(number))
        store.save(chat)
        loaded = store.load(ID)
        last = loaded.cursor

        assert last.depth == len(last.path) - 1 == last.id.count(".") + 1 == DEPTH
        assert loaded.tree[last.id] == last
        assert [message.content for message in store.messages(ID)] == list(map(str, range(DEPTH)))
        assert sum(1 for _ in loaded.tree.walk()) == DEPTH + 1
        assert loaded.node("@~2999").id == "0"
        assert loaded.tree.remembered(loaded.tree.root) == last
        assert loaded.tree.at(2).cursor.id == ""
        assert store.verify(ID).differences == ()

    # Going about.

    def test_undo_and_redo(self, store: Store) -> None:
        """Undo goes back move by move, redo forward again; a move in between leaves nothing to redo."""
        chat = store.create(ID)
        for text in "abc":
            chat.say("user", text)
        went = [chat.undo().id for _ in range(3)]
        back = [chat.redo().id for _ in range(2)]
        store.save(chat)
        chat = store.load(ID)

        assert (went, back) == (["0.0", "0", ""], ["0", "0.0"])
        assert chat.undo().id == "0"
        chat.move("0.0.0")
        with pytest.raises(NothingToUndo):
            chat.redo()
        assert [chat.undo().id for _ in range(2)] == ["0", ""]
        with pytest.raises(NothingToUndo):
            chat.undo()
        store.save(chat)

    def test_cursors_are_their_own(self, store: Store, open_log: Callable[..., Log]) -> None:
        """Each cursor has its place and its own undo; saying at one leaves the others where they are."""
        chat = store.create(ID)
        ask = chat.say("user", "ask")
        chat.new_cursor("agent", ask)
        chat.say("assistant", "one")
        chat.say("assistant", "two", cursor="agent")
        chat.say("assistant", "three", cursor="agent")
        chat.add("assistant", "four", under=ask)
        store.save(chat)
        again = self.reopened(store, open_log)
        chat = again.load(ID)

        assert {name: node.id for name, node in chat.cursors.items()} == {"main": "0.0", "agent": "0.1.0"}
        assert [message.content for message in again.messages(ID, at=chat.version)] == ["ask", "one"]
        assert chat.undo(cursor="agent").id == "0.1"
        assert chat.cursor.id == "0.0"
        assert [chat.undo().id, chat.redo(cursor="agent").id] == ["0", "0.1.0"]
        chat.drop_cursor("agent")
        again.save(chat)
        assert list(again.load(ID).cursors) == ["main"]
        again.close()

    def test_a_fork_remembers(self, store: Store) -> None:
        """Who comes back to an alternative finds the way that was taken last beneath it, not the newest."""
        chat = store.create(ID)
        chat.say("user", "ask")
        for answer in ("one", "two"):
            chat.say("assistant", answer, under="0")
            for reply in ("a", "b"):
                chat.add("user", reply, under=chat.cursor)
        chat.move("0.0.0")
        chat.move("0.1.1")
        store.save(chat)
        tree = store.load(ID).tree

        assert tree.remembered(tree["0.0"]).id == "0.0.0"
        assert tree.remembered(tree["0"]).id == "0.1.1"
        assert chat.previous_alternative("0.1").id == "0.0.0"
        assert tree.at(tree.version - 1).remembered(tree["0"]).id == "0.0.0"
        store.save(chat)

    def test_a_label_is_one_nodes(self, store: Store) -> None:
        """A label names one node, and nothing that is a cursor's name; taken off, it may be another's."""
        chat = store.create(ID)
        chat.say("user", "a")
        chat.say("user", "b")
        chat.annotate("0", label="best")
        for call in (
            lambda: chat.annotate("0.0", label="best"),
            lambda: chat.new_cursor("best", "0"),
            lambda: chat.annotate("0.0", label="main"),
        ):
            with pytest.raises(AlreadyExists):
                call()
        version = chat.version
        chat.annotate("0", label=None)
        chat.annotate("0.0", label="best")
        store.save(chat)
        chat = store.load(ID)

        assert {label: node.id for label, node in chat.tree.labels.items()} == {"best": "0.0"}
        assert [chat.tree[id].label for id in ("", "0", "0.0")] == [None, None, "best"]
        assert {label: node.id for label, node in chat.at(version).labels.items()} == {"best": "0"}

    # The past.

    def test_every_moment_can_be_seen_again(self, store: Store) -> None:
        """The tree at a version, or a moment, is what it was then: nodes, cursors, labels, ratings and title (48)."""
        chat = store.create(ID, title="Kyoto", metadata={"n": 1})
        seen = {1: folded(chat.tree)}
        for command in scripted(60, 3):
            if perform(chat, command):
                seen[chat.version] = folded(chat.tree)
        store.save(chat)
        loaded = store.load(ID)

        assert {version: folded(loaded.at(version)) for version in seen} == seen
        for node in loaded.tree.nodes[1:]:
            assert node.id in loaded.at(node.added)
            assert node.id not in loaded.at(node.added - timedelta(microseconds=1))

    def test_a_clock_that_goes_back(self, store: Store) -> None:
        """Where a clock went back, no moment sees what came later in the log and not what came before it."""
        chat = store.create(ID)
        for minutes in (300, 100, 200, 400):
            chat.say("user", f"{minutes}", time=NOON + timedelta(minutes=minutes))
        store.save(chat)
        chat = store.load(ID)
        counts = [len(chat.at(NOON + timedelta(minutes=minutes))) for minutes in range(50, 500, 50)]

        assert counts == [1, 1, 1, 1, 1, 4, 4, 5, 5]

    def test_messages_of_any_version(self, store: Store) -> None:
        """What a model was sent at a version is read without opening the conversation, and is the same."""
        chat = self.grown(store, seed=4)
        for version in range(1, chat.version + 1):
            assert store.messages(ID, at=version) == chat.messages(version)
        assert store.messages(ID) == chat.messages()

    def test_the_catalog_says_what_the_log_does(self, store: Store) -> None:
        """After every save the catalog has the title, the counts and the times of the conversation."""
        chat = store.create(ID)
        for command in scripted(60, 5):
            perform(chat, command)
            store.save(chat)
            summary = store.describe(ID)

            assert (summary.title, summary.metadata, summary.version) == (chat.title, chat.metadata, chat.version)
            assert (summary.nodes, summary.branches) == (len(chat.tree), len(chat.tree.leaves))
        assert store.verify(ID).differences == ()

    # Several writers.

    def test_who_saves_second_is_merged(self, store: Store) -> None:
        """Two who write at once lose nothing: each message is there once, under the node it answered (6)."""
        first = store.create(ID)
        first.say("user", "ask")
        store.save(first)
        second = store.load(ID)
        first.say("assistant", "first")
        first.say("user", "thanks, first")
        pending = second.say("assistant", "second")
        second.annotate(second.say("user", "thanks, second"), label="mine", rating=4)
        second.say("assistant", "welcome")
        store.save(first)
        store.save(second)
        tree = store.load(ID).tree
        said = {node.id: node.message.content for node in tree if node.message is not None}

        assert said == {
            "0": "ask",
            "0.0": "first",
            "0.0.0": "thanks, first",
            "0.1": "second",
            "0.1.0": "thanks, second",
            "0.1.0.0": "welcome",
        }
        assert (tree.cursor.id, pending.id) == ("0.1.0.0", "0.1")
        assert (tree.labels["mine"].id, tree["0.1.0"].rating) == ("0.1.0", 4)
        assert folded(second.tree) == folded(tree)

    def test_an_undo_that_was_merged(self, store: Store) -> None:
        """An undo that comes behind another's move leads where it led, and is a step that can be undone."""
        first = store.create(ID)
        first.say("user", "a")
        first.say("user", "b")
        store.save(first)
        second = store.load(ID)
        first.say("user", "elsewhere", under="")
        second.undo()
        store.save(first)
        store.save(second)
        chat = store.load(ID)

        assert second.cursor.id == chat.cursor.id == "0"
        assert [chat.undo().id for _ in range(3)] == ["1", "0.0", "0"]
        assert second.undo().id == "1"
        store.save(chat)
        store.save(second)

    def test_twenty_writers(self, store: Store) -> None:
        """Of twenty who loaded the same and save one after the other every message stays (5)."""
        store.save(store.create(ID))
        chats = [store.load(ID) for _ in range(20)]
        for number, chat in enumerate(chats):
            chat.say("user", str(number))
            chat.say("assistant", f"answer {number}")
        for chat in chats:
            store.save(chat)
        tree = store.load(ID).tree

        assert [child.message.content for child in tree.root.children if child.message] == list(map(str, range(20)))
        assert all(ids(child.children) == [f"{child.id}.0"] for child in tree.root.children)

    def test_who_wants_to_be_told(self, store: Store) -> None:
        """With on_conflict="raise" a save behind another's is refused, and what is pending stays (4, 7)."""
        first = store.create(ID)
        store.save(first)
        second = store.load(ID)
        first.say("user", "first")
        second.say("user", "second")
        store.save(first)
        with pytest.raises(VersionConflict) as caught:
            store.save(second, on_conflict="raise")

        assert (caught.value.expected, caught.value.actual) == (1, 3)
        assert len(second.pending) == 2
        assert [message.content for message in store.messages(ID)] == ["first"]
        store.save(second)

    @pytest.mark.parametrize("after", ["nothing", "more was said", "another saved", "both"])
    def test_an_answer_that_was_lost(
        self, open_log: Callable[..., Log], after: Literal["nothing", "more was said", "another saved", "both"]
    ) -> None:
        """A save that failed though it was written is made again, and what was said is there once (22)."""
        log = open_log()
        failing = FailingLog(log)
        store, other = Store(failing), Store(log)
        chat = store.create(ID)
        store.save(chat)
        chat.say("user", "once")
        failing.fails, failing.late = "append", True
        with pytest.raises(BackendError):
            store.save(chat)
        if after in ("another saved", "both"):
            with other.editing(ID) as theirs:
                theirs.add("user", "theirs", under="")
        if after in ("more was said", "both"):
            chat.say("user", "more")
        store.save(chat)
        said = sorted(str(node.message.content) for node in store.load(ID).tree if node.message)

        assert said == sorted(
            ["once"]
            + ["theirs"] * (after in ("another saved", "both"))
            + ["more"] * (after in ("more was said", "both"))
        )
        assert chat.pending == ()
        assert folded(chat.tree) == folded(store.load(ID).at(chat.version))
        store.close()

    # Snapshots.

    def test_snapshots_change_nothing(self, store: Store, open_log: Callable[..., Log]) -> None:
        """A conversation opened by way of snapshots is the one opened without, wherever they were taken (45, 46)."""
        self.need("snapshots")
        chat = store.create(ID, title="Kyoto", metadata={"n": 1})
        for command in scripted(90, 6):
            perform(chat, command)
            store.save(chat)
            if chat.version % 4 == 0:
                store.snapshot(ID)

            assert store.verify(ID).differences == ()
        again = self.reopened(store, open_log)
        loaded = again.load(ID)

        assert loaded._snapshot_version > chat.version // 2
        assert folded(loaded.tree) == folded(chat.tree)
        for version in range(1, chat.version + 1):
            assert portrait(loaded.at(version)) == portrait(chat.at(version))
        assert again.drop_snapshots(ID) > 1
        assert folded(again.load(ID).tree) == folded(chat.tree)
        again.close()

    @pytest.mark.parametrize(
        "fault", ["another stream", "another history", "beyond the head", "another vocabulary", "damaged", "cut off"]
    )
    def test_a_snapshot_that_does_not_fit(self, store: Store, fault: str) -> None:
        """A snapshot that is not of these commits, or not as it was made, is passed over with a warning (47)."""
        self.need("snapshots")
        chat = self.grown(store)
        other = Store(store.log, clock=TickingClock()).create("other", title="Osaka", system="Be long.")
        for number in range(chat.version):
            other.add("user", f"other {number}", under="")
        store.save(other)
        mine, theirs = chat._take_snapshot(after=0), other._take_snapshot(after=0)
        whole = msgspec.structs.replace
        put = {
            "another stream": theirs,
            "another history": snapshot(0, Head(chat.saved_version, b"x" * 16), mine.fingerprint, theirs.data),
            "beyond the head": snapshot(
                0, Head(chat.saved_version + 5, theirs.checksum), mine.fingerprint, theirs.data
            ),
            "another vocabulary": snapshot(0, chat._head, "0.another", theirs.data),
            "damaged": whole(mine, data=theirs.data),
            "cut off": snapshot(0, chat._head, mine.fingerprint, mine.data[:-7]),
        }[fault]
        with pytest.warns(SnapshotIgnored):
            loaded = Store(SnapshotsOf(store.log, [put])).load(ID)

        assert folded(loaded.tree) == folded(chat.tree)
        assert loaded.version == chat.version

    def test_a_snapshot_that_cannot_be_taken(self, open_log: Callable[..., Log]) -> None:
        """A save whose snapshot fails is a save: what was said is stored, and a warning tells of it (50)."""
        self.need("snapshots")
        failing = FailingLog(open_log())
        store = Store(failing)
        chat = store.create(ID)
        chat.say("user", "x" * (1 << 21))
        failing.fails = "put_snapshot"
        with pytest.warns(SnapshotIgnored, match="could not be taken"):
            store.save(chat)

        assert failing.fails is None, "no snapshot was tried"
        assert chat.pending == ()
        assert len(store.load(ID).tree) == 2
        chat.say("user", "y" * (1 << 21))
        store.save(chat)
        assert store.load(ID)._snapshot_version == chat.version
        store.close()

    # Erasing.

    def test_what_is_redacted(self, store: Store, open_log: Callable[..., Log]) -> None:
        """Of a redacted message only the role and the place are left, now and at every earlier moment (59)."""
        chat = store.create(ID)
        chat.say("user", "ask")
        chat.say("assistant", "secret", metadata={"secret": 1})
        chat.annotate("0.0", rating=2, label="kept", metadata={"note": "secret"})
        chat.add("assistant", "other", under="0")
        chat.say("user", "on")
        store.save(chat)
        before = portrait(chat.tree)
        other = store.load(ID)
        chat.redact("0.0")

        assert (chat.tree["0.0"].message, chat.tree["0.0"].metadata) == (Message("assistant", ""), {})
        store.save(chat)
        other.annotate("0", rating=3)
        store.save(other)
        assert (other.tree["0.0"].message, other.tree["0.0"].metadata) == (Message("assistant", ""), {})
        again = self.reopened(store, open_log)
        tree = again.load(ID).tree
        assert tree["0.0"].message == Message("assistant", "")
        assert tree["0.0"].redacted
        assert tree["0.0"].metadata == {}
        assert (tree["0.0"].rating, tree["0.0"].label) == (2, "kept")
        assert tree.at(4)["0.0"].message == Message("assistant", "")
        assert ids(list(tree)) == list(before["nodes"])
        assert [message.content for message in again.messages(ID)] == ["ask", "", "on"]
        assert [tree[id].version for id in before["nodes"]] == [node["version"] for node in before["nodes"].values()]
        again.close()

    def test_what_is_erased_is_in_no_file(self, store: Store, tmp_path: Path) -> None:
        """When a redaction or a deletion is acknowledged, what was said is in none of the log's files (59)."""
        self.need("erases")
        self.need("persistent")
        chat = store.create(ID)
        chat.say("user", "the first secret")
        chat.say("user", "in the open")
        chat.annotate("0", rating=1, metadata={"why": "the first secret"})
        store.save(chat)
        store.snapshot(ID)
        gone = store.create("gone", title="the second secret")
        gone.say("user", "the third secret", metadata={"the fourth": "secret"})
        store.save(gone)

        assert holding(tmp_path, b"the first secret") > 0, "the files are not beneath tmp_path, or not in plain text"
        chat.redact("0")
        store.save(chat)
        assert holding(tmp_path, b"the first secret") == 0
        store.delete("gone")
        assert [holding(tmp_path, text) for text in (b"the second", b"the third", b"the fourth")] == [0, 0, 0]
        assert holding(tmp_path, b"in the open") > 0

    def test_snapshots_of_what_is_erased(self, store: Store) -> None:
        """A redaction takes the snapshots with it; the next one is of what is there now (59)."""
        self.need("snapshots")
        chat = self.grown(store)
        store.snapshot(ID)
        node = chat.tree.nodes[-1].id
        chat = store.load(ID)
        chat.redact(node)
        store.save(chat)

        assert store.snapshots(ID) == ()
        assert store.snapshot(ID) == chat.version
        assert folded(store.load(ID).tree) == folded(chat.tree)
        assert store.verify(ID).differences == ()

    # Other vocabularies.

    @pytest.mark.parametrize("schema", ["2.0.0", "1.1.0+notes.2.0.0"])
    def test_a_later_major_version(self, store: Store, schema: str) -> None:
        """A commit of a later major version, of the vocabulary or the application, is refused (54)."""
        registry = Registry("notes", current="1.0.0")
        store = Store(store.log, application=Application("notes", registry))
        put_events(store.log, "1.0.0", {"type": "conversation-started", "at": 1})
        put_events(store.log, schema, {"type": "cursor-moved", "at": 2, "to": 1, "metadata": {}})
        for call in (lambda: store.load(ID), lambda: store.messages(ID, at=2), lambda: store.commits(ID)):
            with pytest.raises(SchemaVersionError):
                call()

    def test_a_later_minor_version(self, store: Store) -> None:
        """An event that is not known yet keeps its version, and is neither dropped nor an obstacle (38)."""
        put_events(store.log, "1.0.0", {"type": "conversation-started", "at": 1})
        put_events(
            store.log,
            "1.9.0",
            {"type": "node-added", "at": 2, "parent": 1, "message": {"role": "user", "content": "a", "mood": 1}},
            {"type": "reaction-added", "at": 3, "node": 2, "emoji": "owl"},
            {"type": "node-added", "at": 4, "parent": 2, "message": {"role": "user", "content": "b"}, "mood": 2},
            {"type": "cursor-moved", "at": 5, "to": 4},
        )
        chat = store.load(ID)

        assert chat.version == 5
        assert [(node.id, node.version) for node in chat.tree] == [("", 1), ("0", 2), ("0.0", 4)]
        assert [message.content for message in store.messages(ID)] == ["a", "b"]
        chat.say("user", "c")
        store.save(chat)
        assert [message.content for message in store.load(ID).messages()] == ["a", "b", "c"]

    def test_metadata_of_an_earlier_version(self, store: Store) -> None:
        """What an application stored earlier is taken up on reading; the log stays as it was written (53, 55)."""
        early = Store(store.log, application=Application("notes", Registry("notes", current="1.0.0")))
        chat = early.create(ID, metadata={"mood": 1})
        chat.say("user", "a", metadata={"mood": 2})
        early.save(chat)
        stored = early.log.read(ID)
        late = Store(store.log, application=Application("notes", renamed()))
        loaded = late.load(ID)

        assert (loaded.metadata, loaded.tree["0"].metadata) == ({"feeling": 1}, {"feeling": 2})
        assert folded(late.load(ID).tree) == folded(loaded.tree)
        loaded.say("user", "b", metadata={"feeling": 3})
        late.save(loaded)
        assert [message.metadata for message in late.messages(ID)] == [{"feeling": 2}, {"feeling": 3}]
        assert late.log.read(ID)[: len(stored)] == stored

    def test_a_step_up_leaves_what_it_was_given(self) -> None:
        """A shape that was taken up is as it was, whatever the steps do to what they are given (53)."""
        registry = renamed()
        shape = {"mood": 1, "inner": {"list": [1]}}
        before = copy.deepcopy(shape)
        once, twice = registry.upcast("1.0.0", shape), registry.upcast("1.0.0", shape)

        assert once == twice == [{"feeling": 1, "inner": {"list": [1, 2]}}]
        assert shape == before
        assert registry.upcast("2.0.0", once[0]) == once

    # Damage.

    def test_histories_that_were_damaged(self, store: Store) -> None:
        """Commits that are missing, swapped, repeated, changed or another stream's are found, wherever (65 to 67)."""
        chat = self.grown(store, every=3)
        whole, start = store.log.read(ID), genesis(store.namespace, ID)
        store.save(store.create("other", system="x"))
        (foreign,) = store.log.read("other")

        assert list(commit_module.verified(whole, start)) == whole
        for place, (one, two) in enumerate(pairwise(whole)):
            before, rest = whole[:place], whole[place + 2 :]
            for commits in (
                [*before, two, one, *rest],
                [*before, two, *rest],
                [*before, one, one, two, *rest],
                [*before, renumbered(two, one.first, one.previous), *rest],
                [*before, renumbered(foreign, one.first, one.previous), two, *rest],
                [*before, msgspec.structs.replace(one, data=one.data[:-1] + b" ]"), two, *rest],
                [*before, msgspec.structs.replace(one, at=one.at ^ 1), two, *rest],
                [*before, msgspec.structs.replace(one, schema="1.0.1"), two, *rest],
            ):
                with pytest.raises(CorruptLog):
                    list(commit_module.verified(commits, start))
        assert chat.version == whole[-1].last

    def test_text_that_was_changed(self, store: Store, open_log: Callable[..., Log], tmp_path: Path) -> None:
        """A payload that was changed in the files is an error, and never another message (65)."""
        self.need("persistent")
        chat = store.create(ID)
        chat.say("user", "from Kyoto to Osaka")
        store.save(chat)
        store.close()

        assert replaced(tmp_path, b"from Kyoto to Osaka", b"from Osaka to Kyoto") > 0, "the files are not in plain text"
        with warnings.catch_warnings(), Store(open_log()) as again:
            warnings.simplefilter("ignore", SnapshotIgnored)
            for call in (lambda: again.load(ID), lambda: again.messages(ID), again.changes):
                with pytest.raises(CorruptLog):
                    call()


def put_events(log: Log, schema: str, *events: Shape) -> Commit:
    """Append events as they are, in a commit of this schema."""
    data = msgspec.json.encode(events)
    head = log.head(ID) or genesis(log.namespace, ID)
    commit = seal(ID, head, count=len(events), id=uuid4().bytes, at=1, schema=schema, data=data)
    return log.append(commit, expected=head.version).commit


def renamed() -> Registry:
    """A schema of metadata of which version 2.0.0 has another name for a key; its step changes what it is given."""

    def step(shape: Shape) -> list[Shape]:
        if "mood" in shape:
            shape["feeling"] = shape.pop("mood")
        if "inner" in shape:
            shape["inner"]["list"].append(2)
        return [shape]

    upcaster = Upcaster("1.0.0", "2.0.0", step, sample={"mood": 0}, golden=[{"feeling": 0}])
    return Registry("notes", current="2.0.0", released=["1.0.0"], steps=[upcaster])


def renumbered(commit: Commit, first: int, previous: bytes) -> Commit:
    """The commit with another place, its checksum left as it was."""
    return msgspec.structs.replace(commit, first=first, previous=previous)


def holding(folder: Path, text: bytes) -> int:
    """How many files beneath a folder hold a text."""
    return sum(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def replaced(folder: Path, text: bytes, other: bytes) -> int:
    """Put another text of the same length in place of one, in all files beneath a folder; how many files had it."""
    found = [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]
    for path in found:
        path.write_bytes(path.read_bytes().replace(text, other))
    return len(found)
