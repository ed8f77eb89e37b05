"""Two writers, one conversation: everything that can be done to it, against a model of plain dicts.

Both writers hold the conversation in memory and save when they like; who saves second is merged. The model keeps the
facts that are stored, and for each writer how many of them it has seen and what it has pending.
"""

# ruff: noqa: D102 - a rule says by its name what it does

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import branchlog
from branchlog import (
    AlreadyExists,
    Conversation,
    CursorNotFound,
    InvalidInput,
    InvalidMessage,
    InvalidNodeId,
    Message,
    Node,
    NodeNotFound,
    NothingToUndo,
    Store,
    VersionConflict,
)
from branchlog.testing.model import Added, Fact, Moved, Noted, Scene, Started, Told
from branchlog.testing.playing import TickingClock, cursors, names, patches, picks, portrait, ratings, roles, texts

ID = "trip"


@attrs.define
class Writer:
    """Someone who has the conversation open."""

    chat: Conversation
    seen: int
    pending: list[Fact] = attrs.field(factory=list)
    handles: dict[int, tuple[Node, int]] = attrs.field(factory=dict)


writers = st.sampled_from((0, 1))


class ConversationMachine(RuleBasedStateMachine):
    """In memory; ``open_store`` is the only thing that the other machine does otherwise."""

    survives_closing = False

    def open_store(self) -> Store:
        return branchlog.open("memory:", clock=self.clock)

    @initialize(title=st.none() | texts, system=st.none() | texts)
    def start(self, title: str | None, system: str | None) -> None:
        self.clock = TickingClock()
        self.store = self.open_store()
        chat = self.store.create(ID, title=title, system=system)
        self.stored: list[Fact] = [Started(title, None if system is None else ("system", system))]
        self.recorded: dict[int, dict[str, Any]] = {}
        self.keys = 0
        self.store.save(chat)
        self.writers = [Writer(self.store.load(ID), 1), Writer(chat, 1)]
        self.latest = 0

    def teardown(self) -> None:
        for writer in getattr(self, "writers", ()):
            self.store.save(writer.chat)
        if hasattr(self, "store"):
            self.store.close()

    # What rules are made of.

    def facts(self, writer: Writer) -> list[Fact]:
        return self.stored[: writer.seen] + writer.pending

    def scene(self, who: int) -> tuple[Writer, Scene]:
        self.latest = who
        writer = self.writers[who]
        return writer, Scene(self.facts(writer))

    def new_key(self, writer: Writer, node: Node) -> int:
        self.keys += 1
        writer.handles[self.keys] = node, hash(node)
        return self.keys

    def named(self, writer: Writer, scene: Scene, key: int, by_handle: bool) -> Node | str:
        return writer.handles[key][0] if by_handle and key in writer.handles else scene.id(key)

    def refused(self, writer: Writer, error: type[Exception], call: Callable[[], object]) -> None:
        before = portrait(writer.chat.tree), writer.chat.pending, writer.chat.version

        with pytest.raises(error):
            call()

        assert (portrait(writer.chat.tree), writer.chat.pending, writer.chat.version) == before

    # Speaking.

    @rule(who=writers, role=roles, text=texts, cursor=cursors)
    def say(self, who: int, role: str, text: str, cursor: str) -> None:
        writer, scene = self.scene(who)
        if cursor not in scene.trails:
            self.refused(writer, CursorNotFound, lambda: writer.chat.say(role, text, cursor=cursor))
            return
        node = writer.chat.say(role, text, cursor=cursor)
        key = self.new_key(writer, node)
        writer.pending += [Added(key, scene.trails[cursor].here, (role, text)), Moved(cursor, key)]

    @rule(who=writers, role=roles, text=texts, pick=picks, by_handle=st.booleans(), moving=st.booleans())
    def add(self, who: int, role: str, text: str, pick: int, by_handle: bool, moving: bool) -> None:
        writer, scene = self.scene(who)
        parent = scene.key(pick)
        under = self.named(writer, scene, parent, by_handle)
        node = (writer.chat.say if moving else writer.chat.add)(role, text, under=under)
        key = self.new_key(writer, node)
        writer.pending.append(Added(key, parent, (role, text)))
        if moving:
            writer.pending.append(Moved("main", key))

    @rule(who=writers, text=texts, pick=picks, by_handle=st.booleans(), cursor=cursors)
    def edit(self, who: int, text: str, pick: int, by_handle: bool, cursor: str) -> None:
        writer, scene = self.scene(who)
        old = scene.key(pick)
        name = self.named(writer, scene, old, by_handle)
        parent = scene.parents[old]
        if parent is None:
            self.refused(writer, InvalidInput, lambda: writer.chat.edit(name, text, cursor=cursor))
        elif cursor not in scene.trails:
            self.refused(writer, CursorNotFound, lambda: writer.chat.edit(name, text, cursor=cursor))
        else:
            key = self.new_key(writer, writer.chat.edit(name, text, cursor=cursor))
            writer.pending += [Added(key, parent, (scene.role(old), text)), Moved(cursor, key)]

    @rule(who=writers, said=st.lists(st.tuples(roles, texts), max_size=4))
    def graft(self, who: int, said: list[tuple[str, str]]) -> None:
        writer, scene = self.scene(who)
        place, rest = 0, list(said)
        while rest and (same := [child for child in scene.children[place] if scene.said[child] == rest[0]]):
            place, rest = same[0], rest[1:]
        before = len(writer.chat.tree)

        node = writer.chat.graft([Message(role, text) for role, text in said])

        for added, fact in zip(writer.chat.tree.nodes[before:], rest, strict=True):
            key = self.new_key(writer, added)
            writer.pending.append(Added(key, place, fact))
            place = key
        assert node.id == Scene(self.facts(writer)).id(place)

    # Going about.

    @rule(who=writers, pick=picks, by_handle=st.booleans(), cursor=cursors)
    def move(self, who: int, pick: int, by_handle: bool, cursor: str) -> None:
        writer, scene = self.scene(who)
        key = scene.key(pick)
        name = self.named(writer, scene, key, by_handle)
        if cursor not in scene.trails:
            self.refused(writer, CursorNotFound, lambda: writer.chat.move(name, cursor=cursor))
            return
        assert writer.chat.move(name, cursor=cursor).id == scene.id(key)
        if scene.trails[cursor].here != key:
            writer.pending.append(Moved(cursor, key))

    @rule(who=writers, pick=picks, cursor=cursors, steps=st.sampled_from((1, -1)))
    def go_next_door(self, who: int, pick: int, cursor: str, steps: int) -> None:
        writer, scene = self.scene(who)
        key = scene.key(pick)
        go = writer.chat.next_alternative if steps == 1 else writer.chat.previous_alternative
        siblings = scene.siblings(key)
        ordinal = siblings.index(key) + steps
        if not 0 <= ordinal < len(siblings):
            self.refused(writer, NodeNotFound, lambda: go(scene.id(key), cursor=cursor))
        elif cursor not in scene.trails:
            self.refused(writer, CursorNotFound, lambda: go(scene.id(key), cursor=cursor))
        else:
            goal = scene.remembered(siblings[ordinal], cursor)
            assert go(scene.id(key), cursor=cursor).id == scene.id(goal)
            if scene.trails[cursor].here != goal:
                writer.pending.append(Moved(cursor, goal))

    @rule(who=writers, cursor=cursors, verb=st.sampled_from(("undo", "redo")), whole=st.booleans())
    def undo_or_redo(self, who: int, cursor: str, verb: str, whole: bool) -> None:
        """One step, or all the way, which shows that the whole stack is as the textbook has it."""
        writer, scene = self.scene(who)
        go = {"undo": writer.chat.undo, "redo": writer.chat.redo}[verb]
        if cursor not in scene.trails:
            self.refused(writer, CursorNotFound, lambda: go(cursor=cursor))
            return
        trail = scene.trails[cursor]
        stack = trail.back if verb == "undo" else trail.forth
        for key in stack[::-1] if whole else stack[-1:]:
            assert go(cursor=cursor).id == scene.id(key)
            writer.pending.append(Moved(cursor, key, verb))
        if whole or not stack:
            self.refused(writer, NothingToUndo, lambda: go(cursor=cursor))

    @rule(
        who=writers,
        which=picks,
        pick=picks,
        steps=st.lists(st.sampled_from(("undo", "undo", "redo", "move")), min_size=2, max_size=5),
    )
    def wander(self, who: int, which: int, pick: int, steps: list[str]) -> None:
        """Several steps of one cursor that is there: back, forth, somewhere else, and forth again, which is no more."""
        _, scene = self.scene(who)
        cursor = sorted(scene.trails)[which % len(scene.trails)]
        for number, step in enumerate(steps):
            if step == "move":
                self.move(who, pick + number, by_handle=False, cursor=cursor)
            else:
                self.undo_or_redo(who, cursor, step, whole=False)

    @rule(who=writers, name=names | st.just("main"), pick=picks)
    def new_cursor(self, who: int, name: str, pick: int) -> None:
        writer, scene = self.scene(who)
        key = scene.key(pick)
        if name in scene.trails or name in scene.labels:
            self.refused(writer, AlreadyExists, lambda: writer.chat.new_cursor(name, scene.id(key)))
            return
        assert writer.chat.new_cursor(name, scene.id(key)).id == scene.id(key)
        writer.pending.append(Moved(name, key))

    @rule(who=writers, name=cursors)
    def drop_cursor(self, who: int, name: str) -> None:
        writer, scene = self.scene(who)
        if name not in scene.trails:
            self.refused(writer, CursorNotFound, lambda: writer.chat.drop_cursor(name))
        elif name == "main":
            self.refused(writer, InvalidInput, lambda: writer.chat.drop_cursor(name))
        else:
            writer.chat.drop_cursor(name)
            writer.pending.append(Moved(name, None))

    # Saying something about it.

    @rule(who=writers, pick=picks, label=st.none() | names | st.just("main"))
    def label(self, who: int, pick: int, label: str | None) -> None:
        writer, scene = self.scene(who)
        key = scene.key(pick)
        if label is not None and (label in scene.trails or scene.labels.get(label, key) != key):
            self.refused(writer, AlreadyExists, lambda: writer.chat.annotate(scene.id(key), label=label))
            return
        writer.chat.annotate(scene.id(key), label=label)
        writer.pending.append(Noted(key, "label", label))

    @rule(
        who=writers,
        pick=picks,
        note=st.tuples(st.just("rating"), ratings)
        | st.tuples(st.sampled_from(("bookmark", "hidden")), st.booleans())
        | st.tuples(st.just("metadata"), patches),
    )
    def annotate(self, who: int, pick: int, note: tuple[str, Any]) -> None:
        writer, scene = self.scene(who)
        key = scene.key(pick)
        writer.chat.annotate(scene.id(key), **dict([note]))
        writer.pending.append(Noted(key, *note))

    @rule(
        who=writers,
        fact=st.builds(Told, st.just("title"), st.none() | texts) | st.builds(Told, st.just("metadata"), patches),
    )
    def annotate_conversation(self, who: int, fact: Told) -> None:
        writer, _ = self.scene(who)
        writer.chat.annotate_conversation(**{fact.field: fact.value})
        writer.pending.append(fact)

    # What is refused.

    @rule(who=writers, pick=picks, case=st.integers(0, 8))
    def ask_for_what_cannot_be(self, who: int, pick: int, case: int) -> None:
        writer, scene = self.scene(who)
        chat, id = writer.chat, scene.id(scene.key(pick))
        beyond = f"{id}.99".lstrip(".")
        error, call = (
            (NodeNotFound, lambda: chat.say("user", "x", under=beyond)),
            (NodeNotFound, lambda: chat.move(beyond)),
            (InvalidNodeId, lambda: chat.tree["01"]),
            (InvalidMessage, lambda: chat.say("user", float("nan"))),  # type: ignore[arg-type]
            (InvalidMessage, lambda: chat.add("user", [{"type": "text", "n": float("nan")}], under=id)),
            (InvalidMessage, lambda: chat.edit(id, "\ud800") if id else chat.say("user", "\ud800")),
            (InvalidInput, lambda: chat.annotate(id, rating=6)),
            (InvalidInput, lambda: chat.annotate(id, label="0.1")),
            (InvalidInput, lambda: chat.graft([Message("user", "new"), "not a message"])),  # type: ignore[list-item]
        )[case]
        self.refused(writer, error, call)

    # Saving.

    @rule(who=writers)
    def save(self, who: int) -> None:
        writer, _ = self.scene(who)

        saved = self.store.save(writer.chat)

        if writer.pending:
            self.stored += writer.pending
            writer.pending, writer.seen = [], len(self.stored)
        assert saved == writer.chat.saved_version == writer.seen
        if writer.seen == len(self.stored):
            self.check_store(writer)

    @rule(who=writers, pick=picks, verb=st.sampled_from(("add", "say", "undo", "label")), text=texts)
    def race(self, who: int, pick: int, verb: str, text: str) -> None:
        """The other writer is first with something, and this one's save is merged."""
        first = 1 - who
        self.say(who, "user", text, "main")
        self.add(first, "assistant", text, pick, by_handle=False, moving=verb == "say")
        if verb == "label":
            self.label(first, pick, "best")
        if verb == "undo":
            self.undo_or_redo(first, "main", "undo", whole=False)
            self.undo_or_redo(who, "main", "undo", whole=False)
        self.save(first)
        self.save(who)

    @rule(who=writers)
    def save_or_be_told(self, who: int) -> None:
        writer, _ = self.scene(who)
        if writer.pending and writer.seen < len(self.stored):
            self.refused(writer, VersionConflict, lambda: self.store.save(writer.chat, on_conflict="raise"))
        else:
            self.save(who)

    @rule(who=writers)
    def load(self, who: int) -> None:
        """Open it anew beside the one that is open already."""
        self.save(who)
        writer = self.writers[who]
        writer.chat, writer.seen, writer.handles = self.store.load(ID), len(self.stored), {}

    @rule()
    def reopen(self) -> None:
        """Close the store and open it again, where there is something that survives."""
        for who in (0, 1):
            self.save(who)
        if self.survives_closing:
            self.store.close()
            self.store = self.open_store()
        for who in (0, 1):
            self.load(who)

    # What always holds.

    @rule(who=writers, pick=st.integers(0, 100))
    def look_back(self, who: int, pick: int) -> None:
        """Any version, saved or pending, is the model's after as many facts."""
        writer, scene = self.scene(who)
        version = 1 + pick % len(scene.facts)

        assert portrait(writer.chat.at(version)) == Scene(scene.facts[:version]).portrait()

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        if not hasattr(self, "writers"):
            return
        writer, scene = self.scene(self.latest)
        self.check_tree(writer, scene)
        self.check_handles(writer, scene)
        self.check_remembered(writer, scene)
        self.check_messages(writer, scene)
        self.check_past(writer)

    def check_tree(self, writer: Writer, scene: Scene) -> None:
        assert portrait(writer.chat.tree) == scene.portrait()
        assert (writer.chat.title, writer.chat.metadata) == (scene.told["title"], scene.told["metadata"])
        assert len(writer.chat.pending) == len(writer.pending)
        assert writer.chat.version == writer.seen + len(writer.pending)

    def check_handles(self, writer: Writer, scene: Scene) -> None:
        """A handle points to the same message whatever came before it, and stays equal to itself."""
        for key, (node, hashed) in writer.handles.items():
            assert (node.id, hash(node)) == (scene.id(key), hashed)
            assert node.message is not None
            assert (node.message.role, node.message.content) == scene.said[key]
            assert node == writer.chat.tree[node.id]

    def check_remembered(self, writer: Writer, scene: Scene) -> None:
        tree = writer.chat.tree
        for cursor in ("main", "reader"):
            for key in scene.keys[-4:]:
                assert tree.remembered(tree[scene.id(key)], cursor).id == scene.id(scene.remembered(key, cursor))

    def check_messages(self, writer: Writer, scene: Scene) -> None:
        sent = [scene.said[key] for key in scene.path(scene.trails["main"].here)]
        assert [(message.role, message.content) for message in writer.chat.messages()] == [one for one in sent if one]

    def check_past(self, writer: Writer) -> None:
        """What was seen at a saved version is what is seen of it for ever."""
        for version in sorted(self.recorded)[-3:] + sorted(self.recorded)[:2]:
            if version <= writer.seen:
                assert portrait(writer.chat.at(version)) == self.recorded[version]

    def check_store(self, writer: Writer) -> None:
        """The store says the same as a conversation that has seen everything."""
        chat = writer.chat
        self.recorded.setdefault(writer.seen, portrait(chat.at(writer.seen)))
        if not writer.pending:
            summary = self.store.describe(ID)
            assert self.store.messages(ID) == chat.messages()
            assert (summary.title, summary.metadata) == (chat.title, chat.metadata)
            assert (summary.version, summary.nodes) == (chat.version, len(chat.tree))
            assert summary.branches == len(chat.tree.leaves)
