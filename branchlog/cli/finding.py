"""Finding what a command is about: the conversation by id or prefix, the node by expression."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any

import attrs
import click

import branchlog
from branchlog.cli.options import LAST, Place, default_path
from branchlog.cli.output import one_line

CANDIDATES_MAX = 10
"""How many conversations are named where a prefix fits several."""


class Refused(click.ClickException):
    """What a command cannot do, in one sentence; the exit code is 1."""

    def format_message(self) -> str:
        """The message, with nothing in it that a terminal acts upon; further lines are a list."""
        first, *rest = self.message.split("\n")
        return "\n".join([one_line(first), *(f"  {one_line(line)}" for line in rest)])

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to standard error."""
        click.echo(f"error: {self.format_message()}", file=file, err=file is None)


@contextmanager
def existing(place: Place) -> Iterator[branchlog.Store]:
    """Open a store that must be there; looking for one never makes it."""
    try:
        store = place.open()
    except branchlog.StoreNotFound as error:
        found = f"there is no store yet at {str(default_path())!r}" if place.address is None else str(error)
        raise Refused(f"{found}; 'branchlog new' or 'branchlog import' makes one, --store names another") from error
    with store:
        yield store


def conversation_id(store: branchlog.Store, name: str) -> str:
    """The id that a name stands for: an id, a prefix that only one id has, or ``-`` for the one updated last."""
    if name == LAST:
        page = store.list(limit=1)
        if not page:
            raise Refused("there is no conversation yet; 'branchlog new' or 'branchlog import' makes one")
        return page[0].id
    found = store.find(name, limit=CANDIDATES_MAX + 1)
    if not found:
        store.describe(name)  # raises what says best why there is none
    if found[0].id == name or len(found) == 1:
        return found[0].id
    raise Refused(_ambiguous(name, found))


def _ambiguous(name: str, found: tuple[branchlog.Summary, ...]) -> str:
    lines = [f"{name!r} begins the ids of several conversations; type more of one of these:"]
    lines += [f"{summary.id}  {summary.title or ''}" for summary in found[:CANDIDATES_MAX]]
    return "\n".join([*lines, "…"] if len(found) > CANDIDATES_MAX else lines)


@contextmanager
def editing(place: Place, name: str) -> Iterator[branchlog.Conversation]:
    """Load a conversation of an existing store, and save it on leaving."""
    with existing(place) as store, store.editing(conversation_id(store, name)) as chat:
        yield chat


@attrs.frozen
class View:
    """What a reading command looks at: a conversation, the tree at a moment, and a node in it.

    ``cursor`` is the cursor that says what is on show, ``moment`` what was asked for, None for the present.
    """

    chat: branchlog.Conversation
    tree: branchlog.Tree
    cursor: str
    moment: int | datetime | None

    @property
    def on_show(self) -> branchlog.Node:
        """Where the cursor stands. Raises ``CursorNotFound``."""
        cursors = self.tree.cursors
        if self.cursor not in cursors:
            raise branchlog.CursorNotFound(self.cursor, tuple(sorted(cursors)))
        return cursors[self.cursor]

    def node(self, expression: str | None) -> branchlog.Node:
        """The node that an expression names, seen from the moment; without one, where the cursor stands."""
        if expression is None:
            return self.on_show
        node = self.chat.node(expression, cursor=self.cursor)
        if node not in self.tree:
            raise branchlog.NodeNotFound(expression, f"it was added at version {node.version}, after that moment")
        return self.tree.nodes[node.index]


def view(store: branchlog.Store, name: str, cursor: str, moment: int | datetime | None) -> View:
    """Load a conversation to look at it."""
    chat = store.load(conversation_id(store, name))
    return View(chat, chat.tree if moment is None else chat.at(moment), cursor, moment)
