"""What the tests of conversations share: strategies for what may be said and done, and a model of what comes of it.

Three things are here:

* strategies: ``texts``, ``names``, ``json_values``, ``messages``, ``commands``. Alphabets are small, so that equal
  texts, taken names and edits of the same place come up all the time;
* ``perform``, which plays a command on a conversation, and ``portrait``, which says all that can be seen of a tree;
* a model: events as plain tuples of facts (``Started``, ``Added``, ``Moved``, ``Noted``, ``Told``) and ``Scene``, which
  folds a list of them into dicts, the slow and obvious way. ``Scene.portrait()`` is to equal ``portrait(tree)``.

The model knows the vocabulary (one event, one version) and nothing of how branchlog keeps a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

# Strategies.

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


def any_text(**options: Any) -> st.SearchStrategy[str]:
    """Text that UTF-8 can carry: everything but lone surrogates, NUL and the last code point included."""
    return st.text(st.characters(exclude_categories=("Cs",)), **options)


def json_values(max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Values that come back from JSON as they went in."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | any_text(max_size=8)
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text(max_size=4), inner, max_size=3),
        max_leaves=max_leaves,
    )


def objects() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects: metadata, tool calls, what a part holds beside its type."""
    return st.dictionaries(any_text(max_size=6), json_values(4), max_size=3)


def parts() -> st.SearchStrategy[dict[str, Any]]:
    """Parts of a content that is a list."""
    text = st.builds(lambda text: {"type": "text", "text": text}, any_text(max_size=8))
    other = st.builds(lambda kind, rest: {**rest, "type": kind}, any_text(max_size=8), objects())
    return text | other


def messages() -> st.SearchStrategy[Message]:
    """Messages of every shape that is accepted."""
    plain = st.builds(
        Message,
        st.sampled_from(("system", "user", "assistant", "tool", "développeur")),
        any_text(max_size=20) | st.lists(parts(), max_size=3),
        name=st.none() | any_text(max_size=5),
        tool_calls=st.none() | st.lists(objects(), max_size=2),
        tool_call_id=st.none() | any_text(max_size=5),
        metadata=objects(),
    )
    calling = st.builds(
        lambda calls, metadata: Message("assistant", None, tool_calls=calls, metadata=metadata),
        st.lists(objects(), min_size=1, max_size=2),
        objects(),
    )
    return plain | calling


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


# The model.


@attrs.frozen
class Started:
    """The conversation began; its root has the key 0."""

    title: str | None = None
    said: tuple[str, str] | None = None


@attrs.frozen
class Added:
    """A node was added. Keys are the test's own names for nodes, and never change."""

    key: int
    parent: int
    said: tuple[str, str]


@attrs.frozen
class Moved:
    """A cursor was moved, made (a new name) or taken away (no key)."""

    cursor: str
    key: int | None
    by: str = "move"


@attrs.frozen
class Noted:
    """One thing was said about a node."""

    key: int
    field: str
    value: Any


@attrs.frozen
class Told:
    """The conversation's title or metadata changed."""

    field: str
    value: Any


Fact = Started | Added | Moved | Noted | Told


@attrs.define
class Trail:
    """One cursor in the manner of the textbooks: where it is, a stack to undo, a stack to redo; and where it was."""

    here: int
    back: list[int] = attrs.field(factory=list)
    forth: list[int] = attrs.field(factory=list)

    def moved(self, key: int, by: str) -> None:
        """Follow a move. An undo or redo that leads elsewhere than the stack says is a move like any other."""
        if by == "undo" and self.back[-1:] == [key]:
            self.forth.append(self.here)
            self.here = self.back.pop()
        elif by == "redo" and self.forth[-1:] == [key]:
            self.back.append(self.here)
            self.here = self.forth.pop()
        elif key != self.here:
            self.back.append(self.here)
            self.forth.clear()
            self.here = key


class Scene:
    """What a list of facts comes to, in dicts."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self.facts = list(facts)
        self.parents: dict[int, int | None] = {}
        self.said: dict[int, tuple[str, str] | None] = {}
        self.children: dict[int, list[int]] = {}
        self.versions: dict[int, int] = {}
        self.trails: dict[str, Trail] = {}
        self.shown: dict[str, list[int]] = {}
        self.labels: dict[str, int] = {}
        self.notes: dict[int, dict[str, Any]] = {}
        self.told: dict[str, Any] = {"title": None, "metadata": {}}
        for version, fact in enumerate(self.facts, 1):
            self._take(version, fact)

    def _take(self, version: int, fact: Fact) -> None:
        if isinstance(fact, Started):
            self._grow(version, 0, None, fact.said)
            self.told["title"] = fact.title
            self._moved("main", 0, "move")
        elif isinstance(fact, Added):
            self._grow(version, fact.key, fact.parent, fact.said)
        elif isinstance(fact, Moved):
            self._moved(fact.cursor, fact.key, fact.by)
        elif isinstance(fact, Told):
            self.told[fact.field] = _merged(self.told[fact.field], fact.value)
        elif fact.field == "label":
            self.labels = {label: key for label, key in self.labels.items() if key != fact.key}
            if fact.value is not None:
                self.labels[fact.value] = fact.key
        else:
            notes = self.notes[fact.key]
            notes[fact.field] = _merged(notes.get(fact.field), fact.value)

    def _grow(self, version: int, key: int, parent: int | None, said: tuple[str, str] | None) -> None:
        self.parents[key], self.said[key], self.versions[key] = parent, said, version
        self.children[key], self.notes[key] = [], {}
        if parent is not None:
            self.children[parent].append(key)

    def _moved(self, cursor: str, key: int | None, by: str) -> None:
        if key is None:
            self.trails.pop(cursor, None)
            return
        self.shown.setdefault(cursor, []).append(key)
        if cursor in self.trails:
            self.trails[cursor].moved(key, by)
        else:
            self.trails[cursor] = Trail(key)

    @property
    def keys(self) -> list[int]:
        """The nodes, in the order of their adding."""
        return list(self.parents)

    def key(self, pick: int) -> int:
        """The node that a pick means."""
        return self.keys[pick % len(self.keys)]

    def path(self, key: int) -> list[int]:
        """The nodes from the root to this one."""
        way = [key]
        while (above := self.parents[way[-1]]) is not None:
            way.append(above)
        return way[::-1]

    def siblings(self, key: int) -> list[int]:
        """The alternatives, this node among them."""
        parent = self.parents[key]
        return [key] if parent is None else self.children[parent]

    def id(self, key: int) -> str:
        """The dot path."""
        return ".".join(str(self.siblings(step).index(step)) for step in self.path(key)[1:])

    def remembered(self, key: int, cursor: str) -> int:
        """Down from a node: at each step to the child that the cursor was last at or under, or else to the newest."""
        while self.children[key]:
            seen = [self.path(place) for place in self.shown.get(cursor, ())]
            ways = [path for path in seen if key in path[:-1]]
            key = ways[-1][ways[-1].index(key) + 1] if ways else self.children[key][-1]
        return key

    def portrait(self) -> dict[str, Any]:
        """What ``portrait`` says of the tree."""
        ids = {key: self.id(key) for key in self.keys}
        named = {key: label for label, key in self.labels.items()}
        order = sorted(ids, key=lambda key: [int(step) for step in ids[key].split(".") if step])
        return {
            "version": len(self.facts),
            "title": self.told["title"],
            "metadata": self.told["metadata"],
            "nodes": {ids[key]: self._node_portrait(key, ids, named.get(key)) for key in self.keys},
            "order": [ids[key] for key in order],
            "cursors": {name: ids[trail.here] for name, trail in self.trails.items()},
            "labels": {label: ids[key] for label, key in self.labels.items()},
            "leaves": [ids[key] for key in order if not self.children[key]],
            "forks": [ids[key] for key in order if len(self.children[key]) > 1],
        }

    def _node_portrait(self, key: int, ids: dict[int, str], label: str | None) -> dict[str, Any]:
        parent, notes, siblings = self.parents[key], self.notes[key], self.siblings(key)
        return {
            "version": self.versions[key],
            "said": self.said[key],
            "parent": None if parent is None else ids[parent],
            "children": [ids[child] for child in self.children[key]],
            "path": [ids[above] for above in self.path(key)],
            "position": (siblings.index(key) + 1, len(siblings)),
            "label": label,
            "rating": notes.get("rating"),
            "bookmark": notes.get("bookmark", False),
            "hidden": notes.get("hidden", False),
            "metadata": notes.get("metadata", {}),
        }


def _merged(before: Any, change: Any) -> Any:
    """RFC 7396 where the change is an object; otherwise the change itself."""
    if not isinstance(change, dict):
        return change
    result = dict(before) if isinstance(before, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
