"""What happened, moment by moment, told from the projection: it keeps all of it, in order of versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

import attrs
import msgspec

from branchlog._core.arrays import NONE
from branchlog._core.message import Json
from branchlog._core.projection import BY, Projection, to_datetime
from branchlog._core.tree import Node, Tree

What: TypeAlias = dict[str, Any]

_BY = {code: by for by, code in BY.items()}


@attrs.frozen(kw_only=True)
class Step:
    """One thing that happened, and the tree as it then was.

    ``kind`` is the type of the event: ``conversation-started``, ``node-added``, ``cursor-moved``, ``node-annotated``,
    ``conversation-annotated``, ``node-redacted``, or ``unknown`` for one of a later vocabulary. ``node`` is what was
    added, annotated or redacted, or where ``cursor`` moved (None: it was taken away); ``by`` is ``move``, ``undo`` or
    ``redo``. ``changes`` is what was annotated: ``title``, ``label``, ``rating``, ``bookmark``, ``hidden``,
    ``metadata``.
    """

    version: int
    at: datetime
    kind: str
    tree: Tree
    node: Node | None = None
    cursor: str | None = None
    by: str | None = None
    changes: dict[str, Json] = attrs.field(factory=dict)


def replay(state: Projection, start: int, stop: int) -> Iterator[Step]:
    """Each thing that happened from version ``start`` to ``stop``, both included, in order."""
    version = start
    for when, what in merge(*_histories(state, start, stop), key=itemgetter(0)):
        while version < when:
            yield _step(state, version, {"kind": "unknown"})
            version += 1
        yield _step(state, when, what)
        version = when + 1
    for unknown in range(version, stop + 1):
        yield _step(state, unknown, {"kind": "unknown"})


def _step(state: Projection, version: int, what: What) -> Step:
    node = what.pop("node", NONE)
    return Step(
        version=version,
        at=to_datetime(state.times[version - 1]),
        tree=Tree(state, version),
        node=None if node == NONE else Node(state, node, version),
        **what,
    )


def _histories(state: Projection, start: int, stop: int) -> Iterator[Iterator[tuple[int, What]]]:
    arrays = state.arrays
    added = range(max(arrays.count_at(start - 1), 1), arrays.count_at(stop))
    yield ((arrays.versions[index], {"kind": "node-added", "node": index}) for index in added)
    for name, history in state.cursors.items():
        yield _moves(name, history, start, stop)
    said = chain.from_iterable(
        ((version, {"kind": "node-annotated", "node": node, "changes": _changes(note)}) for version, note in notes)
        for node, notes in state.notes.items()
    )
    erased = ((version, {"kind": "node-redacted", "node": node}) for version, node in state.redactions)
    yield iter(sorted((each for each in chain(said, erased) if start <= each[0] <= stop), key=itemgetter(0)))
    yield _about(state, start, stop)


def _moves(name: str, history: Any, start: int, stop: int) -> Iterator[tuple[int, What]]:
    for entry in range(history.count_at(start - 1), history.count_at(stop)):
        if history.versions[entry] > 1:  # the first event puts the default cursor at the root by itself
            what = {"kind": "cursor-moved", "cursor": name, "node": history.nodes[entry], "by": _BY[history.by[entry]]}
            yield history.versions[entry], what


def _about(state: Projection, start: int, stop: int) -> Iterator[tuple[int, What]]:
    for version, event in state.about:
        if start <= version <= stop:
            kind = "conversation-started" if version == 1 else "conversation-annotated"
            what: What = {"kind": kind, "changes": _changes(event)}
            yield version, {**what, "node": 0} if version == 1 else what


ANNOTATED = ("title", "label", "rating", "bookmark", "hidden", "metadata")


def _changes(event: Any) -> dict[str, Json]:
    """What an event set, among what can be annotated."""
    set_here = ((name, getattr(event, name, msgspec.UNSET)) for name in ANNOTATED)
    return {name: value for name, value in set_here if value is not msgspec.UNSET}
