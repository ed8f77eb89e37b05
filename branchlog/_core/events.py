"""The event vocabulary, version 1.0.0: what can have happened in a conversation.

Stored as tagged JSON objects, for instance::

    {"type":"node-added","at":1763682452000000,"parent":1,"message":{"role":"user","content":"Hi"}}

``at`` is when it happened, in microseconds since 1970 UTC: the moment of saying, or the original one for a message that
was imported; when the commit was written is in the commit. A node is named by the version of the event that added it.
Do not subclass these.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

SCHEMA = "1.0.0"
"""The version of this vocabulary, stored with each commit, outside the payload."""

MAIN = "main"
"""The default cursor."""


Microseconds = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
"""Since 1970 UTC, in the years 1 to 9999: what a datetime can say."""


class ConversationStarted(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="conversation-started"
):
    """The first event of every stream, and the root of its tree, which has a message or has none.

    Every conversation begins with the cursor ``main`` at the root.
    """

    at: Microseconds
    title: str | None = None
    metadata: dict[str, Any] = {}
    message: msgspec.Raw | UnsetType = UNSET


class NodeAdded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="node-added"):
    """A message was added under the node of version ``parent``. No cursor moved."""

    at: Microseconds
    parent: int
    message: msgspec.Raw


class CursorMoved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="cursor-moved"):
    """A cursor was put on the node of version ``to``; a new name makes a cursor, None takes it away.

    ``by`` tells an undo and a redo, which walk the cursor's history, from a move, which adds to it.
    """

    at: Microseconds
    to: int | None
    cursor: str = MAIN
    by: str = "move"


class NodeAnnotated(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="node-annotated"
):
    """Something was said about the node of version ``node``. What is left out stays as it was; None takes it away.

    ``metadata`` is a JSON merge patch.
    """

    at: Microseconds
    node: int
    label: str | UnsetType | None = UNSET
    rating: int | float | UnsetType | None = UNSET
    bookmark: bool | UnsetType = UNSET
    hidden: bool | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class ConversationAnnotated(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="conversation-annotated"
):
    """The conversation's title or metadata changed. What is left out stays; ``metadata`` is a JSON merge patch."""

    at: Microseconds
    title: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class NodeRedacted(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="node-redacted"
):
    """The content of the node of version ``node`` was erased from the log, where an empty message stands instead."""

    at: Microseconds
    node: int


class UnknownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a later minor version of the vocabulary: it keeps its version and changes nothing here.

    Never written; ``raw`` is the event as it stands in the log.
    """

    at: Microseconds
    raw: bytes


class SeveralEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What one event of an earlier vocabulary means now, where that is several events or none; they share its version.

    Never written. At most one of them adds a node.
    """

    at: int
    events: tuple[Any, ...]


EVENTS = (ConversationStarted, NodeAdded, CursorMoved, NodeAnnotated, ConversationAnnotated, NodeRedacted)

Event = ConversationStarted | NodeAdded | CursorMoved | NodeAnnotated | ConversationAnnotated | NodeRedacted
"""An event as it is written."""

AnyEvent = Event | UnknownEvent | SeveralEvents
"""An event as it is read."""
