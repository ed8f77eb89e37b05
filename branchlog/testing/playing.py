"""Conversations that are played: commands from small alphabets, and a portrait of what comes of them.

Alphabets are small, so that equal texts, taken names and edits of the same place come up all the time.
"""

# ruff: noqa: ARG005 - the plays of all verbs take the same

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from hypothesis import strategies as st

from branchlog import AlreadyExists, Conversation, InvalidInput, Message, Node, NotFound, Tree

TEXTS = ("a", "b", "c")
ROLES = ("user", "assistant")
NAMES = ("best", "reader", "draft")
"""For labels and for cursors alike, so that a label is asked for that is a cursor's name."""
CURSORS = ("main", "best", "reader")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

texts = st.sampled_from(TEXTS)
roles = st.sampled_from(ROLES)
names = st.sampled_from(NAMES)
cursors = st.sampled_from(CURSORS)
picks = st.integers(0, 11)
"""Which node: taken modulo the number of nodes there are, so that every number means one."""
ratings = st.sampled_from((None, 1, 2.5, 5))
patches = st.dictionaries(
    st.sampled_from(("k", "l")), st.sampled_from((None, 1, "x", {"m": 1}, {"m": None})), max_size=2
)
"""Merge patches, with deletions and with objects to be merged."""


@attrs.frozen
class Command:
    """Something to do to a conversation; what a verb does not need of the rest is ignored."""

    verb: str
    pick: int
    text: str
    name: str
    cursor: str


VERBS = (
    "say", "say", "say", "add", "add", "edit", "move", "undo", "redo", "next", "previous", "new cursor", "drop cursor",
    "label", "unlabel", "rate", "bookmark", "hide", "patch", "title", "graft",
)  # fmt: skip


def commands(max_size: int = 25) -> st.SearchStrategy[list[Command]]:
    """Lists of commands. Any may be played anywhere: one that is not possible there is refused, and changes nothing."""
    mostly_main = st.sampled_from(("main", "main", "main", *CURSORS))
    return st.lists(st.builds(Command, st.sampled_from(VERBS), picks, texts, names, mostly_main), max_size=max_size)


# Playing.


def picked(tree: Tree, pick: int) -> Node:
    """The node that a pick means."""
    return tree.nodes[pick % len(tree)]


def perform(chat: Conversation, command: Command) -> bool:
    """Play a command; False where it was refused."""
    try:
        _PLAYS[command.verb](chat, picked(chat.tree, command.pick), command)
    except (InvalidInput, NotFound, AlreadyExists):
        return False
    return True


_PLAYS: dict[str, Callable[[Conversation, Node, Command], object]] = {
    "say": lambda chat, node, it: chat.say("user", it.text, cursor=it.cursor),
    "add": lambda chat, node, it: chat.add("assistant", it.text, under=node),
    "edit": lambda chat, node, it: chat.edit(node, it.text, cursor=it.cursor),
    "move": lambda chat, node, it: chat.move(node, cursor=it.cursor),
    "undo": lambda chat, node, it: chat.undo(cursor=it.cursor),
    "redo": lambda chat, node, it: chat.redo(cursor=it.cursor),
    "next": lambda chat, node, it: chat.next_alternative(node, cursor=it.cursor),
    "previous": lambda chat, node, it: chat.previous_alternative(node, cursor=it.cursor),
    "new cursor": lambda chat, node, it: chat.new_cursor(it.name, node),
    "drop cursor": lambda chat, node, it: chat.drop_cursor(it.cursor),
    "label": lambda chat, node, it: chat.annotate(node, label=it.name),
    "unlabel": lambda chat, node, it: chat.annotate(node, label=None),
    "rate": lambda chat, node, it: chat.annotate(node, rating=1 + it.pick % 5),
    "bookmark": lambda chat, node, it: chat.annotate(node, bookmark=it.text == "a"),
    "hide": lambda chat, node, it: chat.annotate(node, hidden=it.text == "a"),
    "patch": lambda chat, node, it: chat.annotate(node, metadata={it.text: None if it.name == "best" else it.name}),
    "title": lambda chat, node, it: chat.annotate_conversation(title=it.text, metadata={it.text: it.pick}),
    "graft": lambda chat, node, it: chat.graft([Message("user", it.text), Message("assistant", it.name)]),
}


class TickingClock:
    """A clock for tests: each look at it is a second later than the one before."""

    def __init__(self, start: datetime = NOON) -> None:
        self.now = start

    def __call__(self) -> datetime:
        """A second later than the last time."""
        self.now += timedelta(seconds=1)
        return self.now


def started(title: str | None = None, system: str | None = None) -> Conversation:
    """A new conversation with a ticking clock."""
    return Conversation.start("trip", title=title, system=system, clock=TickingClock())


def played(script: Iterable[Command], chat: Conversation | None = None) -> Conversation:
    """A conversation after these commands."""
    chat = started() if chat is None else chat
    for command in script:
        perform(chat, command)
    return chat


def portrait(tree: Tree) -> dict[str, Any]:
    """All that can be seen of a tree, as plain values that can be compared; times are left out."""
    return {
        "version": tree.version,
        "title": tree.title,
        "metadata": tree.metadata,
        "nodes": {node.id: _node_portrait(node) for node in tree},
        "order": [node.id for node in tree.walk()],
        "cursors": {name: node.id for name, node in tree.cursors.items()},
        "labels": {label: node.id for label, node in tree.labels.items()},
        "leaves": [node.id for node in tree.leaves],
        "forks": [node.id for node in tree.forks],
    }


def _node_portrait(node: Node) -> dict[str, Any]:
    message = node.message
    return {
        "version": node.version,
        "said": None if message is None else (message.role, message.content),
        "parent": None if node.parent is None else node.parent.id,
        "children": [child.id for child in node.children],
        "path": [above.id for above in node.path],
        "position": tuple(node.position),
        "label": node.label,
        "rating": node.rating,
        "bookmark": node.bookmark,
        "hidden": node.hidden,
        "metadata": node.metadata,
    }
