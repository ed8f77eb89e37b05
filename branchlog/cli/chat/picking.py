"""The tree to go about in by arrow keys: which lines there are and which one is picked; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs

import branchlog
from branchlog.cli.drawing import Drawing, Line

FOLDED_FROM = 1_000
"""Nodes from which a tree is folded: more than anyone goes through by arrow keys."""


@attrs.frozen
class Picking:
    """Lines, and the number of the one that is picked, which always is one with a node."""

    lines: tuple[Line, ...]
    picked: int

    @classmethod
    def of(cls, tree: branchlog.Tree, now: branchlog.Tree, cursor: str) -> Self:
        """All lines of a tree; picked is where the cursor stands."""
        drawing = Drawing(tree=tree, now=now, start=tree.root, cursor=cursor, fold=len(tree) > FOLDED_FROM)
        lines = tuple(drawing.lines())
        return cls(lines, next((number for number, line in enumerate(lines) if line.at_cursor), 0))

    @property
    def node(self) -> branchlog.Node:
        """The node that is picked."""
        node = self.lines[self.picked].node
        if node is None:  # pragma: no cover - only lines with a node are picked
            raise LookupError("a line without a node was picked")
        return node

    def moved(self, by: int) -> Self:
        """So many lines further down, or up; folded lines are passed over, and the ends hold."""
        able = [number for number, line in enumerate(self.lines) if line.node is not None]
        place = min(max(able.index(self.picked) + by, 0), len(able) - 1)
        return attrs.evolve(self, picked=able[place])

    def up(self) -> Self:
        """The nearest node above, on the way to the root, that is in sight."""
        above = self.node.path[:-1]
        return self._at(reversed(above))

    def down(self) -> Self:
        """The first line beneath that is a child."""
        here = self.node
        for number in range(self.picked + 1, len(self.lines)):
            node = self.lines[number].node
            if node is not None and node.is_under(here):
                return attrs.evolve(self, picked=number)
        return self

    def _at(self, nodes: Iterable[branchlog.Node]) -> Self:
        numbers = {line.node.index: number for number, line in enumerate(self.lines) if line.node is not None}
        wanted = (numbers[node.index] for node in nodes if node.index in numbers)
        return attrs.evolve(self, picked=next(wanted, self.picked))
