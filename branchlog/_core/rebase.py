"""Putting pending events on top of another writer's: their versions shift, what they are about stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from branchlog._core.events import AnyEvent, CursorMoved, Event, NodeAdded, NodeAnnotated, NodeRedacted
from branchlog._core.projection import Projection, evolve_all
from branchlog.errors import BranchlogError

E = TypeVar("E", bound=AnyEvent)


def shifted(event: E, base: int, by: int) -> E:
    """The event after ``by`` others have come in behind version ``base``: it names later nodes by later versions."""
    return readdressed(event, lambda version: version + by if version > base else version)


def readdressed(event: E, version_of: Callable[[int], int]) -> E:
    """The event with the node that it is about named by the version that ``version_of`` gives for the one it has."""
    if isinstance(event, NodeAdded):
        return replace(event, parent=version_of(event.parent))
    if isinstance(event, CursorMoved) and event.to is not None:
        return replace(event, to=version_of(event.to))
    if isinstance(event, NodeAnnotated | NodeRedacted):
        return replace(event, node=version_of(event.node))
    return event


def rebase(state: Projection, base: int, pending: list[Event], fold_missed: Callable[[], None]) -> list[Event]:
    """Take back the pending events, fold those that came first, and the pending ones again; these are returned.

    Where those that came first cannot be folded, all is as it was before.
    Handles of nodes that were pending find themselves through the shift that is noted in the state.
    """
    nodes = state.arrays.count_at(base)
    state.rewind(base)
    try:
        fold_missed()
    except BranchlogError:
        state.rewind(base)
        evolve_all(state, pending)
        raise
    state.shifts.append((nodes, len(state.arrays) - nodes))
    again = [shifted(event, base, state.version - base) for event in pending]
    evolve_all(state, again)
    return again
