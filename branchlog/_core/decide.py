"""The rules: what may happen to a conversation, as events; everything else is refused here, before it is recorded.

Each function looks at the state and returns the events to fold, or raises. Nodes are named by their index, times are
microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from branchlog._core import message as messages
from branchlog._core.arrays import NONE
from branchlog._core.events import (
    MAIN,
    ConversationAnnotated,
    ConversationStarted,
    CursorMoved,
    Event,
    NodeAdded,
    NodeAnnotated,
    NodeRedacted,
)
from branchlog._core.expression import check_name
from branchlog._core.message import Json, Message, patch_between
from branchlog._core.projection import Projection
from branchlog._core.tree import Node
from branchlog.errors import AlreadyExists, CursorNotFound, InvalidInput, NothingToUndo

RATING_MIN, RATING_MAX = 1, 5
"""Stars, as people give them; fractions are allowed, so that a ranking of nine fits too."""

TITLE_LENGTH_MAX = 1_000
"""Characters: one line in a list, with room to spare for titles made of a first message."""


def start(at: int, title: str | None, metadata: dict[str, Json], message: Message | None) -> list[Event]:
    """Begin a conversation."""
    check_title(title)
    messages.check_metadata(metadata)
    content = UNSET if message is None else Raw(messages.encode(message))
    return [ConversationStarted(at=at, title=title, metadata=messages.copied(metadata), message=content)]


def add(state: Projection, at: int, parent: int, message: Message) -> list[Event]:
    """Add a message under a node; no cursor moves."""
    return [NodeAdded(at=at, parent=state.arrays.versions[parent], message=Raw(messages.encode(message)))]


def say(state: Projection, at: int, parent: int, message: Message, cursor: str) -> list[Event]:
    """Add a message under a node and put a cursor on it."""
    where(state, cursor)
    added = add(state, at, parent, message)
    return [*added, CursorMoved(at=at, to=state.version + 1, cursor=cursor)]


def graft(state: Projection, at: int, parent: int, grafted: Sequence[Message]) -> list[Event]:
    """Add messages in a line, the first one under a node; no cursor moves."""
    events: list[Event] = []
    above = state.arrays.versions[parent]
    for message in grafted:
        events.append(NodeAdded(at=at, parent=above, message=Raw(messages.encode(message))))
        above = state.version + len(events)
    return events


def move(state: Projection, at: int, to: int, cursor: str) -> list[Event]:
    """Put a cursor on a node; nothing happens where it is there already."""
    if where(state, cursor) == to:
        return []
    return [CursorMoved(at=at, to=state.arrays.versions[to], cursor=cursor)]


def new_cursor(state: Projection, at: int, name: str, to: int) -> list[Event]:
    """Make a cursor. A name is a cursor's or a label, not both."""
    check_name(name, "the name of a cursor")
    if name in state.cursors_at(state.version):
        raise AlreadyExists(f"there is a cursor named {name!r} already")
    _check_no_label(state, name)
    return [CursorMoved(at=at, to=state.arrays.versions[to], cursor=name)]


def drop_cursor(state: Projection, at: int, name: str) -> list[Event]:
    """Take a cursor away; the default one stays."""
    where(state, name)
    if name == MAIN:
        raise InvalidInput(f"the cursor {MAIN!r} cannot be dropped: every conversation has it")
    return [CursorMoved(at=at, to=None, cursor=name)]


def undo(state: Projection, at: int, cursor: str) -> list[Event]:
    """Put a cursor back to where it was before its last move that is not undone."""
    where(state, cursor)
    return [_along(state, at, cursor, "undo", state.cursors[cursor].stacks()[0])]


def redo(state: Projection, at: int, cursor: str) -> list[Event]:
    """Take the last undo back; a move since then leaves nothing to redo."""
    where(state, cursor)
    return [_along(state, at, cursor, "redo", state.cursors[cursor].stacks()[1])]


def _along(state: Projection, at: int, cursor: str, verb: str, stack: list[int]) -> Event:
    if not stack:
        raise NothingToUndo(verb, cursor)
    return CursorMoved(at=at, to=state.arrays.versions[stack[-1]], cursor=cursor, by=verb)


def annotate(
    state: Projection,
    at: int,
    node: int,
    *,
    label: str | UnsetType | None,
    rating: float | UnsetType | None,
    bookmark: bool | UnsetType,
    hidden: bool | UnsetType,
    metadata: dict[str, Json] | UnsetType,
) -> list[Event]:
    """Say something about a node; nothing happens where nothing is said."""
    changes: dict[str, Any] = {
        "label": _label(state, node, label),
        "rating": _rating(rating),
        "bookmark": _flag(bookmark, "bookmark"),
        "hidden": _flag(hidden, "hidden"),
        "metadata": _metadata(metadata),
    }
    if all(change is UNSET for change in changes.values()):
        return []
    return [NodeAnnotated(at=at, node=state.arrays.versions[node], **changes)]


def annotate_conversation(
    at: int, *, title: str | UnsetType | None, metadata: dict[str, Json] | UnsetType
) -> list[Event]:
    """Change the title or the metadata of the conversation; nothing happens where neither is given."""
    if title is not UNSET:
        check_title(title)
    if title is UNSET and metadata is UNSET:
        return []
    return [ConversationAnnotated(at=at, title=title, metadata=_metadata(metadata))]


def redact(state: Projection, at: int, node: int) -> list[Event]:
    """Say that the content of a node is erased; nothing happens where it was before."""
    return [] if node in state.redacted else [NodeRedacted(at=at, node=state.arrays.versions[node])]


def restore(state: Projection, at: int, version: int) -> list[Event]:
    """Make what is on show, and what is said about it, what it was at a version. Nodes that came later stay."""
    return [
        *_restore_about(state, at, version),
        *_restore_notes(state, at, version),
        *_restore_cursors(state, at, version),
    ]


def _restore_about(state: Projection, at: int, version: int) -> Iterator[Event]:
    title, metadata = state.title_at(version), patch_between(state.metadata, state.metadata_at(version))
    if title != state.title or metadata:
        yield ConversationAnnotated(at=at, title=title if title != state.title else UNSET, metadata=metadata or UNSET)


def _restore_notes(state: Projection, at: int, version: int) -> Iterator[Event]:
    cursors = state.cursors_at(version)
    for index in sorted(state.notes):
        now, then = Node(state, index), Node(state, index, version)
        if state.arrays.versions[index] > version:
            if now.label in cursors:  # a name is a cursor's or a label, not both
                yield NodeAnnotated(at=at, node=now.version, label=None)
            continue
        if state.notes[index][-1][0] <= version and now.label == then.label:
            continue
        metadata = patch_between(now.metadata, then.metadata)
        changes: dict[str, Any] = {
            name: getattr(then, name)
            for name in ("label", "rating", "bookmark", "hidden")
            if getattr(then, name) != getattr(now, name)
        }
        if metadata:
            changes["metadata"] = metadata
        if changes:
            yield NodeAnnotated(at=at, node=now.version, **changes)


def _restore_cursors(state: Projection, at: int, version: int) -> Iterator[Event]:
    now, then = state.cursors_at(state.version), state.cursors_at(version)
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            to = state.arrays.versions[then[name]] if name in then else None
            yield CursorMoved(at=at, to=to, cursor=name)


def where(state: Projection, cursor: str) -> int:
    """The node where a cursor stands. Raises ``CursorNotFound``."""
    history = state.cursors.get(cursor) if isinstance(cursor, str) else None
    if history is None or not history.nodes or history.nodes[-1] == NONE:
        raise CursorNotFound(cursor, tuple(sorted(state.cursors_at(state.version))))
    return history.nodes[-1]


def check_title(title: object) -> None:
    """Raise ``InvalidInput`` unless this is None or text that can be a title."""
    if title is None:
        return
    if type(title) is not str:
        raise InvalidInput(f"a title is text, not {title!r}")
    if len(title) > TITLE_LENGTH_MAX:
        raise InvalidInput(f"a title has at most {TITLE_LENGTH_MAX} characters, not {len(title)}")
    messages.check_text(title, "title")


def _label(state: Projection, node: int, label: str | UnsetType | None) -> str | UnsetType | None:
    if label is UNSET or label is None:
        return label
    check_name(label, "a label")
    if label in state.cursors_at(state.version):
        raise AlreadyExists(f"{label!r} is the name of a cursor; choose another label")
    if state.labelled_at(label, state.version) not in (NONE, node):
        _check_no_label(state, label)
    return label


def _check_no_label(state: Projection, name: str) -> None:
    labelled = state.labelled_at(name, state.version)
    if labelled != NONE:
        place = ".".join(map(str, state.arrays.ordinals(labelled)))
        raise AlreadyExists(f"node {place!r} has the label {name!r}; take it off there first, or choose another name")


def _rating(rating: float | UnsetType | None) -> float | UnsetType | None:
    if rating is UNSET or rating is None:
        return rating
    if type(rating) not in (int, float) or not RATING_MIN <= rating <= RATING_MAX:
        raise InvalidInput(f"a rating is a number from {RATING_MIN} to {RATING_MAX}, or None; found {rating!r}")
    return rating


def _metadata(metadata: dict[str, Json] | UnsetType) -> dict[str, Json] | UnsetType:
    if metadata is UNSET:
        return UNSET
    messages.check_metadata(metadata)
    return messages.copied(metadata)


def _flag(value: object, what: str) -> Any:
    if value is UNSET or isinstance(value, bool):
        return value
    raise InvalidInput(f"{what} is True or False, not {value!r}")
