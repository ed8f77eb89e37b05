"""What a reader sees: the tree of messages, now or as it was at some moment, and its nodes.

Both are views. A ``Tree`` is the projection and, for the past, a version: the nodes that had been added by then. A
``Node`` is the projection, an index and the version it is looked at from; it costs nothing to make, stays valid as the
tree grows, and finds itself again when another writer's events came before its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, overload

import attrs
from msgspec import UNSET

from branchlog._core import node_id
from branchlog._core.arrays import NONE
from branchlog._core.events import MAIN
from branchlog._core.message import Json, Message, copied, decode, merge_patch
from branchlog._core.projection import Projection, last_set, to_datetime, until
from branchlog.errors import CursorNotFound, InvalidInput, NodeNotFound, NotFound

Moment: TypeAlias = int | datetime
"""A version (the number of events so far) or an aware datetime."""

EVER = 2**62
"""A version that no stream reaches: "as of now", however much is added."""


class Position(NamedTuple):
    """A node's place among its alternatives, counted from 1: ``2 of 3``."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


class Node:
    """One message in the tree. Equal to another handle of the same node; hashable.

    A node taken from ``tree.at(moment)`` sees that moment: its children, label and rating are those of then.
    """

    __slots__ = ("_epoch", "_index", "_state", "_version")

    def __init__(self, state: Projection, index: int, version: int = EVER) -> None:
        self._state = state
        self._index = index
        self._version = version
        self._epoch = len(state.shifts)

    @property
    def index(self) -> int:
        """The number of nodes that were added before this one."""
        if self._epoch != len(self._state.shifts):
            self._index = self._state.shifted(self._index, self._epoch)
            self._epoch = len(self._state.shifts)
        return self._index

    def _other(self, index: int) -> Node:
        return Node(self._state, index, self._version)

    @property
    def _limit(self) -> int:
        return self._state.arrays.count_at(self._version)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self._state is other._state and self.index == other.index

    def __hash__(self) -> int:
        # The index of a pending node may yet shift, so it is no part of the hash; when and how deep it hangs stays.
        return hash((self._state.times[self.version - 1], self.depth))

    def __repr__(self) -> str:
        message = self.message
        said = "no message" if message is None else f"{message.role}: {_shortened(message.text)!r}"
        return f"<Node {self.id!r} {said}>"

    @property
    def id(self) -> str:
        """The dot path: ``""`` is the root, ``"0.1"`` its first child's second child. Costs O(depth).

        Final once the node is saved; while it is pending, another writer's messages may yet come before it.
        """
        return node_id.format(self._state.arrays.ordinals(self.index))

    @property
    def version(self) -> int:
        """The version of the event that added this node."""
        return self._state.arrays.versions[self.index]

    @property
    def added(self) -> datetime:
        """When the node was added (for an imported one: when it was first said), aware, in UTC."""
        return to_datetime(self._state.times[self.version - 1])

    @property
    def message(self) -> Message | None:
        """What was said here; None at a root without a message.

        Decoded from the stored bytes at each call: changing the value changes nothing in the tree.
        """
        content = self._state.content(self.index)
        return None if content is None else decode(content)

    @property
    def parent(self) -> Node | None:
        """The node above; None at the root."""
        parent = self._state.arrays.parents[self.index]
        return None if parent == NONE else self._other(parent)

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes directly beneath, in order."""
        return tuple(map(self._other, self._state.arrays.children(self.index, self._limit)))

    @property
    def child_count(self) -> int:
        """How many nodes are directly beneath; costs less than ``len(node.children)``."""
        return self._state.arrays.child_count(self.index, self._limit)

    def child(self, ordinal: int) -> Node:
        """The child with this ordinal, from 0. Raises ``NodeNotFound``."""
        child = self._state.arrays.child(self.index, ordinal)
        if child == NONE or child >= self._limit:
            raise NodeNotFound(f"{self.id}.{ordinal}".lstrip("."), f"{self.id!r} has {self.child_count} children")
        return self._other(child)

    @property
    def ordinal(self) -> int:
        """The place among the alternatives, from 0: the last number of the id. The root's is 0."""
        return self._state.arrays.ordinal(self.index)

    @property
    def alternatives(self) -> tuple[Node, ...]:
        """All children of this node's parent in order, this one among them."""
        parent = self.parent
        return (self,) if parent is None else parent.children

    @property
    def position(self) -> Position:
        """Where this node stands among its alternatives: ``2 of 3``."""
        parent = self.parent
        return Position(self.ordinal + 1, 1 if parent is None else parent.child_count)

    @property
    def depth(self) -> int:
        """The number of steps from the root."""
        return self._state.arrays.depth(self.index)

    @property
    def path(self) -> tuple[Node, ...]:
        """The nodes from the root to this one, both included."""
        return tuple(map(self._other, self._state.arrays.path(self.index)))

    @property
    def label(self) -> str | None:
        """The label by which expressions can name this node."""
        return self._state.label_at(self.index, self._version)

    @property
    def rating(self) -> int | float | None:
        """The rating, from 1 to 5."""
        rating: int | float | None = last_set(self._notes, self._version, lambda note: note.rating)
        return rating

    @property
    def bookmark(self) -> bool:
        """Whether the node is bookmarked."""
        return bool(last_set(self._notes, self._version, lambda note: note.bookmark))

    @property
    def hidden(self) -> bool:
        """Whether the node is hidden from people. A model is sent it all the same."""
        return bool(last_set(self._notes, self._version, lambda note: note.hidden))

    @property
    def redacted(self) -> bool:
        """Whether the content was erased from the log, by then; what is erased is erased for every moment."""
        return self._state.redacted.get(self.index, EVER + 1) <= self._version

    @property
    def metadata(self) -> dict[str, Json]:
        """The metadata of the message with what was annotated since merged in."""
        message = self.message
        metadata = {} if message is None else message.metadata
        for _, note in until(self._notes, self._version):
            if note.metadata is not UNSET:
                metadata = merge_patch(metadata, note.metadata)
        return copied(metadata)

    @property
    def annotations(self) -> dict[str, Json]:
        """What was said about the node, by name, as ``Conversation.annotate`` takes it; metadata is the patch of it."""
        patch: dict[str, Json] = {}
        for _, note in until(self._notes, self._version):
            if note.metadata is not UNSET:
                patch = merge_patch(patch, note.metadata)
        said = {"label": self.label, "rating": self.rating, "bookmark": self.bookmark, "hidden": self.hidden}
        return {name: value for name, value in {**said, "metadata": copied(patch)}.items() if value}

    @property
    def _notes(self) -> Sequence[Any]:
        return self._state.notes.get(self.index, ())

    def is_under(self, other: Node) -> bool:
        """Whether the other node is an ancestor of this one, or this one itself."""
        return self._state.arrays.is_under(self.index, self._own(other))

    def common_ancestor(self, other: Node) -> Node:
        """The deepest node that is above both, or is one of them."""
        return self._other(self._state.arrays.common_ancestor(self.index, self._own(other)))

    def up(self, steps: int = 1) -> Node:
        """The ancestor so many steps above. Raises ``NodeNotFound`` above the root."""
        depth = self.depth - steps
        if depth < 0:
            raise NodeNotFound(f"{self.id}~{steps}", f"{self.id!r} is only {self.depth} deep")
        return self._other(self._state.arrays.ancestor(self.index, depth))

    def next_door(self, steps: int = 1) -> Node:
        """The alternative so many places further on, or back where negative.

        Raises ``NodeNotFound`` past either end.
        """
        position, parent = self.position, self.parent
        ordinal = self.ordinal + steps
        if not 0 <= ordinal < position.of:
            raise NodeNotFound(f"{self.id}^{steps}", f"{self.id!r} is alternative {position}")
        return self if parent is None else parent.child(ordinal)

    def _own(self, other: Node) -> int:
        if other._state is not self._state:
            raise InvalidInput("the two nodes are of different conversations")
        return other.index


@attrs.frozen
class Branch:
    """A line of the conversation: a leaf and the path to it."""

    leaf: Node

    @property
    def path(self) -> tuple[Node, ...]:
        """The nodes from the root to the leaf."""
        return self.leaf.path


@attrs.frozen
class Comparison:
    """Two nodes and how the ways to them part: what they share, then each one's own tail (without the ancestor)."""

    ancestor: Node
    left: tuple[Node, ...]
    right: tuple[Node, ...]

    def diff(self) -> str:
        """The two tails as texts, compared line by line, as a unified diff; "" where they say the same."""
        import difflib

        left, right = _tail_text(self.left), _tail_text(self.right)
        name, other = _tail_name(self.left, self.ancestor), _tail_name(self.right, self.ancestor)
        return "\n".join(difflib.unified_diff(left, right, name, other, lineterm=""))


def compare(one: Node, other: Node) -> Comparison:
    """Compare the ways to two nodes of one tree."""
    ancestor = one.common_ancestor(other)
    beneath = ancestor.depth + 1
    return Comparison(ancestor, one.path[beneath:], other.path[beneath:])


class Tree:
    """The tree of messages of one conversation: as it is, or with a version as it was then.

    ``tree["0.1"]`` is a node, ``len(tree)`` the number of nodes, and iterating gives them in the order of their adding.
    """

    __slots__ = ("_state", "_version")

    def __init__(self, state: Projection, version: int = EVER) -> None:
        self._state = state
        self._version = version

    def __repr__(self) -> str:
        return f"<Tree of {len(self)} nodes at version {self.version}>"

    @property
    def version(self) -> int:
        """The number of events that made this tree."""
        return min(self._version, self._state.version)

    @property
    def _limit(self) -> int:
        return self._state.arrays.count_at(self._version)

    def _node(self, index: int) -> Node:
        return Node(self._state, index, self._version)

    def __len__(self) -> int:
        return self._limit

    def __iter__(self) -> Iterator[Node]:
        return map(self._node, range(self._limit))

    def __contains__(self, node: object) -> bool:
        if isinstance(node, Node):
            return node._state is self._state and node.index < self._limit
        return isinstance(node, str) and node_id.is_node_id(node) and self._find(node) != NONE

    def __getitem__(self, id: str) -> Node:
        """The node with this id. Raises ``InvalidNodeId`` or ``NodeNotFound``."""
        index = self._find(id)
        if index == NONE:
            raise NodeNotFound(id)
        return self._node(index)

    def _find(self, id: str) -> int:
        arrays, limit = self._state.arrays, self._limit
        ordinals = node_id.parse(id)
        if not limit:
            return NONE
        index = 0
        for ordinal in ordinals:
            index = arrays.child(index, ordinal)
            if index == NONE or index >= limit:
                return NONE
        return index

    def added_by(self, version: int) -> Node:
        """The node that the event of this version added. Raises ``NodeNotFound`` where that event added none."""
        index = self._state.arrays.index_of(version)
        if index == NONE or index >= self._limit:
            raise NodeNotFound(f":{version}", f"event {version} added no node")
        return self._node(index)

    @property
    def root(self) -> Node:
        """The node that all others are under. Raises ``NodeNotFound`` before the conversation began."""
        return self[node_id.ROOT]

    @property
    def nodes(self) -> Nodes:
        """All nodes, in the order of their adding, as a sequence."""
        return Nodes(self)

    @property
    def leaves(self) -> tuple[Node, ...]:
        """The nodes without children, in order of their ids: the end of each branch."""
        arrays, limit = self._state.arrays, self._limit
        return tuple(self._node(index) for index in arrays.walk(limit) if not arrays.child_count(index, limit))

    @property
    def forks(self) -> tuple[Node, ...]:
        """The nodes with more than one child, in order of their ids."""
        arrays, limit = self._state.arrays, self._limit
        return tuple(self._node(index) for index in arrays.walk(limit) if arrays.child_count(index, limit) > 1)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """One for each leaf."""
        return tuple(map(Branch, self.leaves))

    def walk(self) -> Iterator[Node]:
        """All nodes, each before its children and these in order: the order of their ids."""
        return map(self._node, self._state.arrays.walk(self._limit))

    @property
    def cursors(self) -> dict[str, Node]:
        """Where each cursor stands."""
        return {name: self._node(index) for name, index in self._state.cursors_at(self._version).items()}

    @property
    def cursor(self) -> Node:
        """Where the default cursor stands. Raises ``NodeNotFound`` before the conversation began."""
        if not self._limit:
            return self.root
        cursors = self.cursors
        if MAIN not in cursors:
            raise CursorNotFound(MAIN, tuple(sorted(cursors)))
        return cursors[MAIN]

    def labelled(self, label: str) -> Node | None:
        """The node with this label, or None."""
        index = self._state.labelled_at(label, self._version)
        return None if index == NONE else self._node(index)

    @property
    def labels(self) -> dict[str, Node]:
        """The nodes with a label."""
        found = ((label, self.labelled(label)) for label in self._state.labels)
        return {label: node for label, node in found if node is not None}

    @property
    def title(self) -> str | None:
        """The conversation's title."""
        return self._state.title_at(self._version)

    @property
    def metadata(self) -> dict[str, Json]:
        """The conversation's metadata."""
        return copied(self._state.metadata_at(self._version))

    def remembered(self, node: Node, cursor: str = MAIN) -> Node:
        """The leaf (or the last place on show) beneath a node that a reader comes back to.

        The way goes where the cursor last went beneath the node; from where it never went further, to the newest child.
        """
        way = self._state.remembered(node.index, self._version, cursor)
        index = way[-1] if way else node.index
        limit = self._limit
        while count := self._state.arrays.child_count(index, limit):
            index = self._state.arrays.child(index, count - 1)
        return self._node(index)

    def at(self, moment: Moment) -> Tree:
        """The tree as it was at a version or at an aware datetime. Copies nothing.

        The present is a legal moment, and so is any time after it. Raises ``NotFound`` before the conversation began
        and for a version that has not come yet, ``InvalidInput`` for a datetime without a zone.
        """
        if isinstance(moment, bool) or not isinstance(moment, int | datetime):
            raise InvalidInput(f"not a moment: {moment!r}; expected a version or an aware datetime")
        last = self.version
        version = min(self._state.version_at(moment), last) if isinstance(moment, datetime) else moment
        if version < 1:
            began = to_datetime(self._state.times[0]).isoformat() if last else "not yet"
            raise NotFound(f"there is nothing at {moment}: the conversation began at version 1 ({began})")
        if version > last:
            raise NotFound(f"there is no version {moment} yet: the conversation has {last} events")
        return Tree(self._state, version)


class Nodes(Sequence[Node]):
    """The nodes of a tree in the order of their adding; made when looked at."""

    __slots__ = ("_tree",)

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def __len__(self) -> int:
        return len(self._tree)

    @overload
    def __getitem__(self, index: int) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Node, ...]: ...
    def __getitem__(self, index: int | slice) -> Node | tuple[Node, ...]:
        picked = range(len(self._tree))[index]
        if isinstance(picked, range):
            return tuple(map(self._tree._node, picked))
        return self._tree._node(picked)


def _shortened(text: str, width: int = 40) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _tail_text(tail: Sequence[Node]) -> list[str]:
    lines: list[str] = []
    for node in tail:
        message = node.message
        if message is not None:
            lines += [f"{message.role}:", *message.text.splitlines()]
    return lines


def _tail_name(tail: Sequence[Node], ancestor: Node) -> str:
    return repr((tail[-1] if tail else ancestor).id)
