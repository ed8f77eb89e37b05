"""Drawing a tree: nodes in, lines out. Pure.

The line that is on show goes straight down the left edge, however long it is; what branches off is drawn beneath the
fork, one step to the right, before the line goes on::

    ●  root  system: You plan walks.
    ●  0  user: Where shall we walk?
    ├─○  0.0 (1 of 2)  assistant: Along the river.
    │ ○  0.0.0  user: And if it rains?
    ●  0.1 (main, 2 of 2)  assistant: To the castle.

Off the line that is on show, the child with the most nodes beneath it goes straight on, and the others step to the
right. A line that steps to the right so has at most half the nodes of the one it leaves: a tree of n nodes never needs
more than log2(n) steps, and 10,000 nodes fit beside each other on any screen.

What is folded: long runs without a fork, wide forks, and in large trees the inside of what is not on show. A node with
a cursor, a label or a bookmark is kept in sight. A drawing is tried with much detail, then with less, until it has no
more than ``LINES_MAX`` lines. Nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, TypeAlias

import attrs
from rich.cells import cell_len
from rich.text import Text

from branchlog import Message, Node, Tree
from branchlog.cli.output import one_line, shortened

LINES_MAX = 150
"""Lines of a folded drawing: a few screens."""

ENDS = 3
"""Nodes that stay in sight at both ends of a run that is folded."""

FOLD_MIN = 4
"""Nodes that it takes to fold: a line that says "3 messages" saves little and hides much."""

PLAIN_DEPTH_MAX = 12
"""Steps from the root down to which a node is named by its id; beneath, its version is shorter."""

ERASED = "(erased)"
"""In the place of what a node said before it was redacted."""

REPLY, FAILED = "reply", "failed_replies"
"""The keys in metadata that ``branchlog.explore`` uses, whose import would take longer than a drawing."""

BROKEN_OFF = ("cancelled", "failed", "interrupted")
"""How a reply ended, where it did not end by itself."""

TEXT_WIDTH_MIN = 20
"""Columns that a text has in any case."""


@attrs.frozen(kw_only=True)
class Line:
    """One line of a drawing: a node, or with ``node`` None the place of what is folded.

    ``rails`` are the lines to its left, ``name`` is an expression for the node, ``notes`` what is to be said of it.
    """

    rails: str = ""
    node: Node | None = None
    name: str = ""
    notes: tuple[str, ...] = ()
    text: str = ""
    role: str = ""
    on_show: bool = False
    at_cursor: bool = False

    @property
    def mark(self) -> str:
        """The sign before the line: a full circle on show, an empty one off it, dots for what is folded."""
        if self.node is None:
            return "⋮"
        if self.at_cursor:
            return "◉"
        return "●" if self.on_show else "○"


@attrs.frozen
class Detail:
    """How much of a large tree is drawn: nodes of a line, alternatives of a fork, steps to the right."""

    nodes: int
    alternatives: int
    steps: int


DETAILS = (Detail(60, 6, 4), Detail(40, 5, 2), Detail(24, 4, 1), Detail(12, 3, 1), Detail(8, 2, 0))
"""From much to little."""


@attrs.frozen(kw_only=True)
class Drawing:
    """What to draw of a tree: beneath which node, how deep, folded or not, with which cursor, with ids in full.

    ``now`` is the tree as it is, where ``tree`` is one of the past: what was erased since is not there either.
    """

    tree: Tree
    now: Tree | None = None
    start: Node
    cursor: str = "main"
    depth: int | None = None
    fold: bool = True
    ids: bool = False

    def lines(self) -> Iterator[Line]:
        """The lines, from the top."""
        shape = Shape(self)
        if not self.fold:
            yield from shape.draw(None)
            return
        for detail in DETAILS:
            lines = list(islice(shape.draw(detail), LINES_MAX + 1))
            if len(lines) <= LINES_MAX:
                break
        yield from lines if len(lines) <= LINES_MAX else shape.draw(DETAILS[-1])


@attrs.frozen
class Straight:
    """A line of nodes still to be drawn: where it begins, and the rails beside its first and its other nodes."""

    start: int
    first: str
    rails: str
    steps: int


Work: TypeAlias = Line | Straight


class Shape:
    """The numbers behind a drawing, worked out once for all details: in one pass over the nodes, by index."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.nodes = drawing.tree.nodes
        count = len(self.nodes)
        self.children: list[list[int]] = [[] for _ in range(count)]
        self.parents = [-1] * count
        self.depths = [0] * count
        for index in range(1, count):
            parent = self.nodes[index].parent
            self.parents[index] = above = 0 if parent is None else parent.index
            self.children[above].append(index)
            self.depths[index] = self.depths[above] + 1
        self.sizes = [1] * count
        for index in range(count - 1, 0, -1):
            self.sizes[self.parents[index]] += self.sizes[index]
        self._look_at_cursors()

    def _look_at_cursors(self) -> None:
        """Which nodes are on show, which way each fork goes on, which nodes are marked and which lead to them."""
        tree = self.drawing.tree
        cursors = tree.cursors
        self.standing: dict[int, list[str]] = {}
        for name, node in cursors.items():
            self.standing.setdefault(node.index, []).append(name)
        here = cursors.get(self.drawing.cursor, tree.root)
        self.cursor = here.index
        self.on_show = {node.index for node in here.path}
        self.ways = self._ways([node.index for node in tree.remembered(here, self.drawing.cursor).path])
        labelled = {node.index for node in tree.labels.values()}
        self.marked = {*self.standing, *labelled, *(node.index for node in self.nodes if node.bookmark)}
        self._look_for_marked()

    def _ways(self, on_show: Sequence[int]) -> list[int]:
        """The child by which the line goes straight on: the one on show, else that with most beneath it; -1 at leaves.

        The first of several that are equal, so that a drawing does not change where nothing changed.
        """
        ways = [-1] * len(self.nodes)
        for index in range(1, len(ways)):
            parent = self.parents[index]
            if ways[parent] < 0 or self.sizes[index] > self.sizes[ways[parent]]:
                ways[parent] = index
        for above, index in pairwise(on_show):
            ways[above] = index
        return ways

    def _look_for_marked(self) -> None:
        self.important: set[int] = set()
        self.in_sight = set(self.marked)
        for marked in self.marked:
            index = marked
            while index >= 0 and index not in self.important:
                self.important.add(index)
                above = self.parents[index]
                if above >= 0 and self.ways[above] != index:
                    self.in_sight.add(above)
                index = above

    def straight(self, start: int) -> list[int]:
        """The nodes of the line that begins here, down to its leaf or as deep as is to be drawn."""
        line = [start]
        last = self.depth_max
        while self.depths[line[-1]] < last and (child := self.ways[line[-1]]) >= 0:
            line.append(child)
        return line

    @property
    def depth_max(self) -> int:
        """The depth of the last nodes that are drawn."""
        depth = self.drawing.depth
        return len(self.nodes) if depth is None else self.depths[self.drawing.start.index] + depth

    # Drawing.

    def draw(self, detail: Detail | None) -> Iterator[Line]:
        """The lines; without a detail all of them."""
        todo: list[Work] = [Straight(self.drawing.start.index, "", "", 0)]
        while todo:
            work = todo.pop()
            if isinstance(work, Line):
                yield work
            else:
                todo.extend(reversed(self.parts(work, detail)))

    def parts(self, work: Straight, detail: Detail | None) -> list[Work]:
        """A line as its nodes, what branches off them, and what is folded between them."""
        line = self.straight(work.start)
        kept = range(len(line)) if detail is None else self.kept(line, work, detail)
        parts: list[Work] = []
        before = -1
        for place in kept:
            if place > before + 1:
                parts.append(self.folded(work.rails, line[before + 1 : place], line[place]))
            parts.append(self.line(line[place], work.rails if parts else work.first))
            parts += self.beside(line, place, work, detail)
            before = place
        beneath = self.sizes[line[before]] - 1 - self.size_beside(line, before)
        if before < len(line) - 1 or (beneath and self.depths[line[before]] >= self.depth_max):
            parts.append(Line(rails=work.rails, text=f"{messages(beneath)} beneath"))
        return parts

    def size_beside(self, line: Sequence[int], place: int) -> int:
        """How many nodes are drawn beside the line at this place: all beneath that the line does not go on to."""
        index = line[place]
        if self.depths[index] >= self.depth_max or self.ways[index] < 0:
            return 0
        return self.sizes[index] - 1 - self.sizes[self.ways[index]]

    def kept(self, line: Sequence[int], work: Straight, detail: Detail) -> list[int]:
        """The places of a line that stay in sight."""
        last = len(line) - 1
        budget = max(detail.nodes >> work.steps, 2 * ENDS)
        if work.steps > detail.steps and self.sizes[line[0]] > FOLD_MIN:
            kept = [place for place, index in enumerate(line) if place and index in self.in_sight]
            return unfolded_gaps([0, *kept[:budget]])
        near = {place + by for place, index in enumerate(line) if index == self.cursor for by in (-1, 0, 1)}
        kept = [
            place
            for place in range(len(line))
            if place < ENDS or place > last - ENDS or place in near or self.is_interesting(line, place)
        ]
        if len(kept) > budget:
            half = budget // 2
            middle = [place for place in kept[half:-half] if place in near or line[place] in self.in_sight]
            kept = [*kept[:half], *middle[:budget], *kept[-half:]]
        return unfolded_gaps(kept)

    def is_interesting(self, line: Sequence[int], place: int) -> bool:
        """Whether a node stays in sight inside a run: marked, a fork, or the way on from a fork."""
        index = line[place]
        return (
            index in self.marked
            or len(self.children[index]) > 1
            or (place > 0 and len(self.children[line[place - 1]]) > 1)
        )

    def beside(self, line: Sequence[int], place: int, work: Straight, detail: Detail | None) -> list[Work]:
        """The alternatives that branch off at a node, the first few of them where they are many."""
        index = line[place]
        if len(self.children[index]) < 2 or self.depths[index] >= self.depth_max:
            return []
        others = [child for child in self.children[index] if child != self.ways[index]]
        shown = others if detail is None else self.shown(others, detail.alternatives, work.steps > detail.steps)
        parts: list[Work] = [Straight(child, work.rails + "├─", work.rails + "│ ", work.steps + 1) for child in shown]
        if len(shown) < len(others):
            hidden = self.size_of(others) - self.size_of(shown)
            more = "more " if shown else ""
            parts.append(Line(rails=work.rails + "├─", text=alternatives(len(others) - len(shown), hidden, more)))
        return parts

    def shown(self, others: Sequence[int], few: int, far: bool) -> Sequence[int]:
        """Which alternatives are drawn: the first few, and such as are marked or lead to marked ones."""
        if far:
            few = 0
        elif len(others) <= few + 1:
            return others
        beyond = (child for child in others[few:] if child in self.important)
        return [*others[:few], *islice(beyond, max(few, ENDS))]

    def size_of(self, indexes: Sequence[int]) -> int:
        """How many nodes these and all beneath them are."""
        return sum(map(self.sizes.__getitem__, indexes))

    def folded(self, rails: str, gap: Sequence[int], after: int) -> Line:
        """The line in the place of a run."""
        beside = self.sizes[gap[0]] - self.sizes[after] - len(gap)
        text = messages(len(gap)) + (f", {beside:,} more beside" if beside else "")
        return Line(rails=rails, text=text, on_show=after in self.on_show)

    def line(self, index: int, rails: str) -> Line:
        """The line of a node."""
        node = self.nodes[index]
        role, text = role_and_gist(node, self.drawing.now)
        return Line(
            rails=rails,
            node=node,
            name=(node.id or "root") if self.drawing.ids else short_name(node),
            notes=self.notes(node, index),
            role=role,
            text=text,
            on_show=index in self.on_show,
            at_cursor=index == self.cursor,
        )

    def notes(self, node: Node, index: int) -> tuple[str, ...]:
        """What is to be said of a node."""
        parent = self.parents[index]
        of = len(self.children[parent]) if parent >= 0 else 1
        return node_notes(node, self.standing.get(index, []), of)


def node_notes(node: Node, cursors: Sequence[str], alternatives: int) -> tuple[str, ...]:
    """What is to be said of a node: cursors, label, rating, marks, its place among alternatives, failed replies."""
    notes = list(cursors)
    label, rating = node.label, node.rating
    notes += [f"#{label}"] if label is not None else []
    notes += [f"★{rating:.3g}"] if rating is not None else []
    notes += ["bookmark"] if node.bookmark else []
    notes += ["hidden"] if node.hidden else []
    if alternatives > 1:
        notes.append(f"{node.ordinal + 1:,} of {alternatives:,}")
    return (*notes, *reply_notes(node.metadata))


def reply_notes(metadata: dict[str, Any]) -> Iterator[str]:
    """What metadata says of replies that did not end by themselves; ``Any``, since it is JSON."""
    reply, failed = metadata.get(REPLY), metadata.get(FAILED)
    reason = reply.get("reason") if isinstance(reply, dict) else None
    if reason in BROKEN_OFF:
        yield str(reason)
    if isinstance(failed, dict) and failed:
        yield f"{len(failed):,} failed"


def short_name(node: Node) -> str:
    """The id of a node where it is short, else its version as an expression."""
    return node.id or "root" if node.depth <= PLAIN_DEPTH_MAX else f":{node.version}"


def is_erased(node: Node, now: Tree | None = None) -> bool:
    """Whether the content of a node was erased: by now, where ``now`` is given, and not only by the node's moment."""
    return (node if now is None else now.nodes[node.index]).redacted


def role_and_gist(node: Node, now: Tree | None = None) -> tuple[str, str]:
    """Who says something at a node, and what, on one line; both empty where there is no message."""
    message = node.message
    if message is None:
        return "", ""
    return message.role, ERASED if is_erased(node, now) else gist(message)


def gist(message: Message) -> str:
    """A message on one line: its text, or what it has instead."""
    text = one_line(message.text)
    if text:
        return text
    calls = [f"{call.get('function', {}).get('name', 'a tool')}()" for call in message.tool_calls or ()]
    parts = [str(part["type"]) for part in message.content or () if isinstance(part, dict)]
    return one_line("".join(f"[{what}]" for what in [*parts, *calls])) or "(empty)"


def unfolded_gaps(places: Sequence[int]) -> list[int]:
    """The places with those between them added where they are too few to fold."""
    whole: list[int] = []
    for place in places:
        gap = range(whole[-1] + 1, place) if whole else range(0)
        if len(gap) < FOLD_MIN:
            whole.extend(gap)
        whole.append(place)
    return whole


def messages(count: int) -> str:
    """So many messages, in words."""
    return f"{count:,} message{'' if count == 1 else 's'}"


def alternatives(count: int, size: int, more: str = "") -> str:
    """So many alternatives with so many nodes, in words."""
    beneath = f", {messages(size)} in all" if size > count else ""
    return f"{count:,} {more}alternative{'' if count == 1 else 's'}{beneath}"


# From lines to text.


def styled(line: Line, width: int | None) -> Text:
    """A line as text with styles, cut to a width."""
    if line.node is None:
        return Text(f"{line.rails}{line.mark}  {line.text}", style="dim")
    strong = "bold" if line.on_show else ""
    text = Text()
    text.append(line.rails, "dim")
    text.append(f"{line.mark}  ", "bold green" if line.on_show else "dim")
    text.append(line.name, "cyan")
    if line.notes:
        text.append(f" ({', '.join(map(one_line, line.notes))})", "yellow")
    if line.role:
        text.append(f"  {one_line(line.role)}: ", f"{strong} magenta".strip())
        room = len(line.text) if width is None else max(width - cell_len(text.plain), TEXT_WIDTH_MIN)
        text.append(shortened(line.text, room), strong)
    return text
