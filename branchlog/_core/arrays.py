"""The shape of a tree as flat arrays: 32 bytes a node, no objects, no recursion.

A node is a small integer, its *index*: the order in which nodes were added. Two arrays are the truth: each node's
parent and the version of the event that added it. The rest (ordinals, links to children and siblings, depths, jumps)
follows from them and is worked out when it is first asked for, so that folding a log costs two appends a node, and
reading one path costs nothing more.

Children of a node are a linked list in order of their ordinals, which is order of index; each node knows its first and
last child and its next sibling. For a wide fork the list is also kept as an array, made when a child of it is first
asked for by number.

``jump`` is a link to some ancestor, chosen so that any ancestor is O(log depth) steps away: a node jumps as far as its
parent's jump does twice over where both jumps are equally long, and to its parent otherwise (E. W. Myers, "An
applicative random-access stack", Information Processing Letters 17, 1983).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

NONE = -1
"""No such node."""

WIDE = 16
"""From this many children on, a child asked for by number is looked up in an array and not walked to."""


class Arrays:
    """The nodes of a tree, which only grows (``truncate`` is for events that turned out not to have happened)."""

    __slots__ = (
        "_depths",
        "_firsts",
        "_jumps",
        "_lasts",
        "_leaf_count",
        "_nexts",
        "_ordinals",
        "_wide",
        "parents",
        "versions",
    )

    def __init__(self) -> None:
        self.versions = array("q")
        self.parents = array("i")
        self._ordinals = array("i")
        self._firsts = array("i")
        self._lasts = array("i")
        self._nexts = array("i")
        self._depths = array("i")
        self._jumps = array("i")
        self._wide: dict[int, array[int]] = {}
        self._leaf_count = 0

    def __len__(self) -> int:
        return len(self.versions)

    def index_of(self, version: int) -> int:
        """The node that the event of this version added, or NONE."""
        index = self.count_at(version) - 1
        return index if index >= 0 and self.versions[index] == version else NONE

    def count_at(self, version: int) -> int:
        """How many nodes there were at this version."""
        versions = self.versions
        if not versions or versions[-1] <= version:
            return len(versions)
        return bisect_right(versions, version)

    def truncate(self, count: int) -> None:
        """Forget all nodes but the first ``count``."""
        linked = max(len(self._ordinals), count)
        del self.versions[linked:], self.parents[linked:]  # nothing leads to them yet, and nothing shall from here on
        for index in range(len(self._ordinals) - 1, count - 1, -1):
            self._unlink(index)
        for each in (self._ordinals, self._firsts, self._lasts, self._nexts, self._depths, self._jumps):
            del each[count:]
        del self.versions[count:], self.parents[count:]

    def _unlink(self, index: int) -> None:
        parent, ordinal = self.parents[index], self._ordinals[index]
        if self._firsts[index] == NONE:
            self._leaf_count -= 1
        self._wide.pop(index, None)
        if parent == NONE:
            return
        if ordinal == 0:
            self._firsts[parent] = self._lasts[parent] = NONE
            self._leaf_count += 1
            self._wide.pop(parent, None)
            return
        before = self.child(parent, ordinal - 1)
        self._nexts[before] = NONE
        self._lasts[parent] = before
        wide = self._wide.get(parent)
        if wide is not None:
            del wide[ordinal:]

    def _link(self) -> None:
        """Bring the derived arrays up to the last node."""
        parents, ordinals, firsts, lasts = self.parents, self._ordinals, self._firsts, self._lasts
        nexts, depths, jumps = self._nexts, self._depths, self._jumps
        leaves = self._leaf_count
        for index in range(len(ordinals), len(parents)):
            parent = parents[index]
            firsts.append(NONE)
            lasts.append(NONE)
            nexts.append(NONE)
            leaves += 1
            if parent == NONE:
                ordinals.append(0)
                depths.append(0)
                jumps.append(index)
                continue
            before = lasts[parent]
            lasts[parent] = index
            if before == NONE:
                firsts[parent] = index
                ordinals.append(0)
                leaves -= 1
            else:
                nexts[before] = index
                ordinals.append(ordinals[before] + 1)
            depth = depths[parent]
            jump = jumps[parent]
            far = jumps[jump]
            depths.append(depth + 1)
            jumps.append(far if depth - depths[jump] == depths[jump] - depths[far] else parent)
        self._leaf_count = leaves

    def _linked(self) -> None:
        if len(self._ordinals) != len(self.parents):
            self._link()

    def ordinal(self, index: int) -> int:
        """The node's place among its siblings, from 0."""
        self._linked()
        return self._ordinals[index]

    def depth(self, index: int) -> int:
        """The number of steps from the root."""
        self._linked()
        return self._depths[index]

    def leaf_count(self) -> int:
        """How many nodes have no child."""
        self._linked()
        return self._leaf_count

    def children(self, index: int, limit: int) -> Iterator[int]:
        """The children among the first ``limit`` nodes, in order."""
        self._linked()
        child = self._firsts[index]
        while child != NONE and child < limit:
            yield child
            child = self._nexts[child]

    def walk(self, limit: int) -> Iterator[int]:
        """The first ``limit`` nodes, each before its children and these in order."""
        self._linked()
        firsts, nexts, parents = self._firsts, self._nexts, self.parents
        index = 0 if limit else NONE
        while index != NONE:
            yield index
            below = firsts[index]
            while below == NONE or below >= limit:
                if index == NONE:
                    return
                below, index = nexts[index], parents[index]
            index = below

    def child_count(self, index: int, limit: int) -> int:
        """How many children there are among the first ``limit`` nodes."""
        self._linked()
        last = self._lasts[index]
        if last == NONE:
            return 0
        if last < limit:
            return self._ordinals[last] + 1
        if self._ordinals[last] >= WIDE:
            return bisect_right(self._wide_children(index), limit - 1)
        return sum(1 for _ in self.children(index, limit))

    def child(self, index: int, ordinal: int) -> int:
        """The child with this ordinal, or NONE."""
        self._linked()
        last = self._lasts[index]
        if last == NONE or ordinal < 0 or ordinal > self._ordinals[last]:
            return NONE
        if ordinal == self._ordinals[last]:
            return last
        if ordinal >= WIDE:
            return self._wide_children(index)[ordinal]
        child = self._firsts[index]
        for _ in range(ordinal):
            child = self._nexts[child]
        return child

    def _wide_children(self, index: int) -> array[int]:
        wide = self._wide.get(index)
        if wide is None:
            wide = self._wide[index] = array("i", [self._firsts[index]])
        child = self._nexts[wide[-1]]
        while child != NONE:
            wide.append(child)
            child = self._nexts[child]
        return wide

    def ordinals(self, index: int) -> list[int]:
        """The ordinals on the way from the root: the node's id."""
        self._linked()
        parents, ordinals = self.parents, self._ordinals
        way = []
        while parents[index] != NONE:
            way.append(ordinals[index])
            index = parents[index]
        way.reverse()
        return way

    def path(self, index: int) -> list[int]:
        """The nodes from the root to this one, both included."""
        parents = self.parents
        way = []
        while index != NONE:
            way.append(index)
            index = parents[index]
        way.reverse()
        return way

    def ancestor(self, index: int, depth: int) -> int:
        """The ancestor (or the node itself) at this depth, which is at most the node's own."""
        self._linked()
        depths, jumps, parents = self._depths, self._jumps, self.parents
        while depths[index] > depth:
            jump = jumps[index]
            index = jump if depths[jump] >= depth else parents[index]
        return index

    def is_under(self, index: int, above: int) -> bool:
        """Whether ``above`` is an ancestor of the node, or the node itself."""
        if index < above:
            return False
        return self.depth(index) >= self.depth(above) and self.ancestor(index, self.depth(above)) == above

    def common_ancestor(self, one: int, other: int) -> int:
        """The deepest node that is above both, or is one of them."""
        depth = min(self.depth(one), self.depth(other))
        one, other = self.ancestor(one, depth), self.ancestor(other, depth)
        jumps, parents = self._jumps, self.parents
        while one != other:
            if jumps[one] != jumps[other]:
                one, other = jumps[one], jumps[other]
            else:
                one, other = parents[one], parents[other]
        return one
