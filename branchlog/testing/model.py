"""A model of a conversation: events as plain facts, and ``Scene``, which folds them the slow and obvious way.

``Scene(facts).portrait()`` is to equal ``portrait(tree)``. The model knows the vocabulary (one event, one version) and
nothing of how branchlog keeps a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs


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

    def role(self, key: int) -> str:
        """Who says it; nobody at a root without a message."""
        said = self.said[key]
        return said[0] if said else ""

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
