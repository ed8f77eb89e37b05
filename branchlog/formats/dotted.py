"""Where nodes stand that have dot paths as ids and, beside them, edges from parent to child.

The two may disagree. An edge says the parent; where there is none, the id does; where that says nothing either, the
node hangs under the root. Siblings are in the order of their ids where these are theirs to have, and behind them those
whose ids say something else, in the order of their edges. So the ids of a sound document are those of its tree, and no
node is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import attrs

from branchlog._core import node_id
from branchlog.formats.carry import Repair, Repairs

Edge: TypeAlias = tuple[str, str]

Ids: TypeAlias = dict[str, str | None]
"""The ids as they stand, by the names that tell the nodes apart: a second node of one id has another name."""

SHOWN_MAX = 60
"""Characters of an id in a report: those of deep nodes run to thousands."""


def shown(id: str) -> str:
    """An id for a report."""
    return repr(id if len(id) <= SHOWN_MAX else f"{id[:SHOWN_MAX]}...")


def placed(ids: Ids, edges: Sequence[Edge] | None, where: str, repairs: Repairs) -> list[tuple[str, str | None]]:
    """Each node and its parent: parents before children, siblings in their order, the root first.

    The root is ``""`` where the document has no root of its own. ``edges`` is None where the document has none at all.
    """
    return _Places(ids, edges, where, repairs).in_order()


def joined(parent: str, ordinal: int) -> str:
    """The id of a child."""
    return f"{parent}.{ordinal}" if parent else str(ordinal)


def _above(id: str) -> str:
    return id.rpartition(".")[0]


@attrs.define(eq=False, init=False)
class _Places:
    """The nodes while their places are looked for."""

    ids: Ids
    root: str
    parents: dict[str, str]
    edged: frozenset[str]
    where: str
    repairs: Repairs

    def __init__(self, ids: Ids, edges: Sequence[Edge] | None, where: str, repairs: Repairs) -> None:
        self.ids, self.where, self.repairs = ids, where, repairs
        self.root = self._root(edges or ())
        self.parents = {}
        self._follow(edges or ())
        self.edged = frozenset(self.parents)
        self._hang_the_rest(told=edges is not None)
        self._cut_cycles()

    def _report(self, key: str, what: str) -> None:
        self.repairs.append(Repair(f"{self.where}, node {shown(key)}", what))

    # The root.

    def _root(self, edges: Sequence[Edge]) -> str:
        if self.ids.get("") == "":
            return ""
        root = self._other_root(edges)
        said = "its id is not the root's, ''; it is the root all the same"
        if root is None:
            root, said = "", "the document has no such root; one without message stands above the others"
        self._report(root, said)
        return root

    def _other_root(self, edges: Sequence[Edge]) -> str | None:
        """A root by another id: the one that no edge leads to and whose id names no other place."""
        beneath = {child for _, child in edges}
        tops = [key for key, said in self.ids.items() if key not in beneath and said in (key, None)]
        first = next(iter(self.ids), None)
        odd = [key for key in tops if self.ids[key] is not None and not node_id.is_node_id(key)]
        if odd:
            return odd[0]
        says_root = any(parent == "" for parent, _ in edges)
        return first if first in tops and (self.ids[first] is None or (says_root and tops == [first])) else None

    # Parents.

    def _follow(self, edges: Sequence[Edge]) -> None:
        for named, child in edges:
            parent = self.root if named == "" else named
            problem = self._problem(parent, child)
            if problem is None:
                self.parents[child] = parent
            else:
                self.repairs.append(
                    Repair(self.where, f"the edge from {shown(named)} to {shown(child)} is left out: {problem}")
                )

    def _problem(self, parent: str, child: str) -> str | None:
        if child not in self.ids and child != self.root:
            return "it leads to no node"
        if child == self.root:
            return "it leads to the root"
        if parent not in self.ids and parent != self.root:
            return "it comes from no node"
        if parent == child:
            return "it leads to where it comes from"
        return "another leads there" if child in self.parents else None

    def _hang_the_rest(self, *, told: bool) -> None:
        if not told:
            self.repairs.append(Repair(self.where, "no edges; the ids say where the nodes hang"))
        for key, said in self.ids.items():
            if key not in self.parents and key != self.root:
                parent, reason = self._parent_by_id(key, said)
                self.parents[key] = parent
                if told or reason is not None:
                    self._report(key, f"no edge leads to it; {reason or 'put where its id says'}")

    def _parent_by_id(self, key: str, said: str | None) -> tuple[str, str | None]:
        """The parent that the id names; a reason where it names none and the root has to do."""
        if said is not None and key != said:
            return self.parents.get(said, self.root), "put beside the first of its id"
        if said is not None and node_id.is_node_id(said):
            above = _above(said)
            if above == "" or above in self.ids:
                return above or self.root, None
        return self.root, "put under the root, since its id names no node that is there"

    def _cut_cycles(self) -> None:
        """Each node is walked over once: a walk ends at the first one that an earlier walk has seen."""
        walk_of = {self.root: -1}
        for number, start in enumerate(self.ids):
            key = start
            while key not in walk_of:
                walk_of[key] = number
                key = self.parents[key]
            if walk_of[key] == number:
                cut = self._first_of_cycle(key)
                self._report(cut, "it is its own ancestor; the cycle is cut above it, and it hangs under the root")
                self.parents[cut] = self.root

    def _first_of_cycle(self, inside: str) -> str:
        """The one of a cycle that comes first in the document."""
        members = {inside}
        key = self.parents[inside]
        while key != inside:
            members.add(key)
            key = self.parents[key]
        return next(key for key in self.ids if key in members)

    # Siblings.

    def in_order(self) -> list[tuple[str, str | None]]:
        children: dict[str, list[str]] = {}
        for child, parent in self.parents.items():
            children.setdefault(parent, []).append(child)
        ordered: list[tuple[str, str | None]] = [(self.root, None)]
        places = {self.root: ""}
        for parent, _ in ordered:
            for ordinal, child in enumerate(self._siblings(parent, children.get(parent, []))):
                ordered.append((child, parent))
                places[child] = joined(places[parent], ordinal)
                self._compare(parent, child, ordinal, places[child])
        return ordered

    def _siblings(self, parent: str, children: list[str]) -> Iterator[str]:
        own = [child for child in children if self._is_child_by_id(parent, child)]
        by_id = sorted(own, key=_ordinal)
        if [child for child in own if child in self.edged] != [child for child in by_id if child in self.edged]:
            self._report(parent, "its children's edges are in another order than their ids, which give the order")
        yield from by_id
        known = set(own)
        yield from (child for child in children if child not in known)

    def _prefix(self, parent: str) -> str:
        """What the ids of children begin with."""
        return "" if parent == self.root else self.ids[parent] or parent

    def _is_child_by_id(self, parent: str, child: str) -> bool:
        if self.ids[child] != child or child == "" or not node_id.is_node_id(child):
            return False
        return _above(child) == self._prefix(parent)

    def _compare(self, parent: str, child: str, ordinal: int, place: str) -> None:
        """Report an id that is not the one of its place, once for all that hangs below."""
        said = self.ids[child]
        if said is None or said != child or said == joined(self._prefix(parent), ordinal):
            return
        if not node_id.is_node_id(said):
            reason = "its id is no dot path"
        elif _above(said) != self._prefix(parent):
            reason = "its id names another parent than its edge"
        else:
            reason = "the ids of its siblings leave a gap before it"
        self._report(child, f"{reason}; here it is {shown(place)}, and its id is kept as metadata")


def _ordinal(id: str) -> int:
    return int(id.rpartition(".")[2])
