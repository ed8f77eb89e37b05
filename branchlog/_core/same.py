"""Whether two projections are the same conversation, by all that a reader could see, and where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from branchlog._core.events import ConversationStarted
from branchlog._core.message import StoredMessage, canonical
from branchlog._core.projection import Projection

_decode_message = msgspec.json.Decoder(StoredMessage).decode


def different(one: Projection, other: Projection) -> Iterator[str]:
    """What differs, in words; nothing for two that are the same.

    Nodes are compared by the order in which they were added, and everything that happened by its own order, not by
    versions: a migration may give events other versions than they had.
    """
    for what, tell in _TOLD.items():
        if tell(one) != tell(other):
            yield f"the {what} differ"
    count = min(len(one.arrays), len(other.arrays))
    unlike = next((node for node in range(count) if _said(one, node) != _said(other, node)), None)
    if unlike is not None:
        place = ".".join(map(str, one.arrays.ordinals(unlike)))
        yield f"the messages of node {place!r} differ"


def _said(state: Projection, node: int) -> bytes | None:
    content = state.content(node)
    return None if content is None else canonical(_decode_message(content))


def _times(state: Projection) -> list[int]:
    return [state.times[version - 1] for version in state.arrays.versions]


def _moves(state: Projection) -> dict[str, list[tuple[int, int]]]:
    return {name: list(zip(each.nodes, each.by, strict=True)) for name, each in state.cursors.items()}


def _notes(state: Projection) -> dict[int, list[bytes]]:
    return {node: [canonical(replace(note, node=0)) for _, note in notes] for node, notes in state.notes.items()}


def _about(state: Projection) -> list[bytes]:
    return [
        canonical(replace(event, message=UNSET) if isinstance(event, ConversationStarted) else event)
        for _, event in state.about
    ]


_TOLD: dict[str, Callable[[Projection], Any]] = {
    "parents of nodes": lambda state: state.arrays.parents,
    "times of nodes": _times,
    "moves of cursors": _moves,
    "annotations of nodes": _notes,
    "labels": lambda state: {label: [node for _, node in history] for label, history in state.labels.items()},
    "redactions": lambda state: set(state.redacted),
    "titles and metadata": _about,
}
