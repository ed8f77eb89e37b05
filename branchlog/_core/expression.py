"""Cursor expressions: how to name a node, in the manner of git revisions.

The grammar::

    expression = anchor [ as-of ] { step }
    anchor     = node-id        a dot path: 0.1.2          (nothing at all is the root)
               | "root"         the root
               | ":" version    the node that the event of this version added: :12
               | "@"            where the default cursor stands; may be left out before an as-of
               | name           a cursor, or else the node with this label
    as-of      = "@{" moment "}"  the anchor as it was then: @{5}, best@{12}, 0.1@{2026-11-20T10:00Z}
               | "{" moment "}"   the same, after "@"
    moment     = version | time  the number of events so far, or ISO 8601 with a zone
    step       = "~" [ number ]  so many nodes up; one without a number
               | "^" [ ["-"] number ]  the alternative so many places further on or back; one on without a number
    name       = letter { letter | digit | "_" | "-" | "." | "/" }

After an as-of, the steps are taken in the tree of that moment. Examples: ``@~2`` two up from the cursor, ``0.1^`` the
alternative after 0.1, ``best~`` the parent of the node labelled best, ``@{5}`` where the cursor was at version 5.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

import attrs

from branchlog._core import node_id
from branchlog._core.events import MAIN
from branchlog._core.tree import Moment, Node, Tree
from branchlog.errors import CursorNotFound, InvalidExpression, InvalidInput, NodeNotFound

ROOT_WORD = "root"
CURSOR_SIGN = "@"

NAME_LENGTH_MAX = 100
"""Characters of a label or of a cursor's name: they are typed and shown in columns."""

_NAME = re.compile(r"\w[\w./-]*")
_ANCHOR = re.compile(r"[^@~^{}]*")
_ADDED_BY = re.compile(r":([1-9][0-9]{0,14})", re.ASCII)
_AS_OF = re.compile(r"\{([^{}]*)\}")
_STEP = re.compile(r"([~^])(-?)([0-9]*)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
STEP_DIGITS_MAX = 10


@attrs.frozen
class Step:
    """One step from a node: ``~`` up, or ``^`` to the alternative next door, so many at once."""

    sign: Literal["~", "^"]
    count: int = 1

    def __str__(self) -> str:
        return f"{self.sign}{self.count}"


@attrs.frozen
class Expression:
    """A parsed expression. ``anchor`` is a node id, ``root``, ``:12``, ``@`` or a name; ``str`` gives its full text."""

    anchor: str
    moment: Moment | None = None
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        as_of = ""
        if self.moment is not None:
            moment = self.moment.isoformat() if isinstance(self.moment, datetime) else str(self.moment)
            as_of = ("" if self.anchor == CURSOR_SIGN else "@") + "{" + moment + "}"
        return self.anchor + as_of + "".join(map(str, self.steps))


def parse(text: str) -> Expression:
    """Read an expression. Raises ``InvalidExpression`` with the place where it stops making sense."""
    if not isinstance(text, str):
        raise InvalidExpression(repr(text), 0, f"expected text or a node, found {type(text).__name__}")
    anchor, offset = _anchor(text)
    moment: Moment | None = None
    as_of = _AS_OF.match(text, offset)
    if as_of and text[offset - 1] == CURSOR_SIGN:
        moment = _moment(text, as_of)
        offset = as_of.end()
    steps = []
    while offset < len(text):
        step = _STEP.match(text, offset)
        if not step or len(step[3]) > STEP_DIGITS_MAX or (step[2] and (step[1] == "~" or not step[3])):
            raise InvalidExpression(text, offset, "expected ~ or ^, each with a number if not 1, or the end")
        count = int(step[3] or 1)
        steps.append(Step("~" if step[1] == "~" else "^", -count if step[2] else count))
        offset = step.end()
    return Expression(anchor, moment, tuple(steps))


def _anchor(text: str) -> tuple[str, int]:
    """The anchor, and where it ends: before a brace if an as-of follows."""
    found = _ANCHOR.match(text)
    anchor = found[0] if found else ""
    end = len(anchor)
    if anchor == ROOT_WORD or node_id.is_node_id(anchor) or _ADDED_BY.fullmatch(anchor) or is_name(anchor):
        if text.startswith("@{", end):
            return anchor or CURSOR_SIGN, end + 1
        if anchor or end == len(text):
            return anchor, end
        if text.startswith("@"):
            return CURSOR_SIGN, 1
        raise InvalidExpression(text, 0, "expected a node id, root, :12, @, a cursor or a label before it")
    raise InvalidExpression(
        text,
        0,
        f"{anchor!r} is neither a node id such as 0.1.2, nor the version of one such as :12, "
        "nor a name (a letter, then letters, digits, _ - . or /)",
    )


def _moment(text: str, as_of: re.Match[str]) -> Moment:
    inner = as_of[1]
    if _NUMBER.fullmatch(inner):
        return int(inner)
    try:
        time = datetime.fromisoformat(inner)
    except ValueError:
        problem = f"{inner!r} is neither a version nor a time such as 2026-11-20T10:00Z"
        raise InvalidExpression(text, as_of.start(1), problem) from None
    if time.tzinfo is None:
        raise InvalidExpression(text, as_of.start(1), f"{inner!r} has no time zone; add Z or +01:00, say")
    return time


def is_name(text: str) -> bool:
    """Whether the text can name a cursor or be a label."""
    return (
        len(text) <= NAME_LENGTH_MAX and text != ROOT_WORD and text[:1].isalpha() and _NAME.fullmatch(text) is not None
    )


def check_name(name: object, what: str) -> str:
    """The name, if it can be one. Raises ``InvalidInput``."""
    if type(name) is str and is_name(name):
        return name
    raise InvalidInput(
        f"{name!r} cannot be {what}: expected a letter, then letters, digits, _ - . or /, "
        f"at most {NAME_LENGTH_MAX} characters, and not {ROOT_WORD!r}"
    )


def resolve(tree: Tree, expression: str, cursor: str = MAIN) -> Node:
    """The node that an expression names in a tree; ``cursor`` is what ``@`` stands for.

    Raises ``InvalidExpression`` for a text outside the grammar and ``NotFound`` where it leads nowhere.
    """
    parsed = parse(expression)
    if parsed.moment is not None:
        tree = tree.at(parsed.moment)
    node = _named(tree, parsed.anchor, cursor)
    for step in parsed.steps:
        node = node.up(step.count) if step.sign == "~" else node.next_door(step.count)
    return node


def _named(tree: Tree, anchor: str, cursor: str) -> Node:
    if anchor == ROOT_WORD:
        return tree.root
    if node_id.is_node_id(anchor):
        return tree[anchor]
    if added_by := _ADDED_BY.fullmatch(anchor):
        return tree.added_by(int(added_by[1]))
    cursors = tree.cursors
    if anchor == CURSOR_SIGN:
        if cursor not in cursors:
            raise CursorNotFound(cursor, tuple(sorted(cursors)))
        return cursors[cursor]
    node = cursors.get(anchor) or tree.labelled(anchor)
    if node is None:
        known = ", ".join(sorted({*cursors, *tree.labels}))
        raise NodeNotFound(anchor, f"no cursor and no label of this name; there are: {known}")
    return node
