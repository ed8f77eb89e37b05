"""Snapshots: the index of a stretch of events, without their messages, to open a long conversation without folding it.

A tree only grows, and so does each history, so a snapshot need not say everything again: it is the index of the events
after the one before it, column by column, and opening is laying the columns end to end. What is written for snapshots
while a conversation grows is therefore a small part of the log itself, however long it gets.

A snapshot is a cache. ``apply`` takes one only if it continues the state exactly; whatever does not is refused with a
reason, and its caller folds the log instead.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from branchlog._core.events import ConversationAnnotated, ConversationStarted, NodeAnnotated
from branchlog._core.projection import ABSENT, CursorHistory, History, Projection, annotate, redact, until
from branchlog.errors import InvalidInput

FORMAT = 1
"""Raised whenever the columns, or what the projection makes of events, change."""


class Stretch(NamedTuple):
    """The commits after version ``after`` up to ``until``, and the digest of their payloads.

    It is SHA-256 of the payloads with a line end between one and the next.
    """

    after: int
    until: int
    digest: bytes


class _Moves(msgspec.Struct, frozen=True, array_like=True):
    """The moves of one cursor."""

    cursor: str
    versions: bytes
    nodes: bytes
    by: bytes


class _Index(msgspec.Struct, frozen=True, array_like=True):
    """The columns: of events (times), of nodes (versions, parents), and what was said about nodes and conversation."""

    after: int
    times: bytes
    versions: bytes
    parents: bytes
    moves: list[_Moves]
    notes: list[tuple[int, int, NodeAnnotated]]
    redactions: list[tuple[int, int]]
    started: ConversationStarted | None
    about: list[tuple[int, ConversationAnnotated]]
    root_has_message: bool
    payloads: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Index).decode


def take(state: Projection, after: int, until_version: int, payloads: bytes = b"") -> bytes:
    """The index of the events after version ``after`` up to ``until_version``, both of them ends of commits.

    ``payloads`` is the digest of these commits' payloads (see ``Stretch``), or empty.
    """
    arrays = state.arrays
    nodes = slice(arrays.count_at(after), arrays.count_at(until_version))
    about = [each for each in until(state.about, until_version) if each[0] > after]
    started = _started(about) if after == 0 else None
    return _encode(
        _Index(
            after=after,
            times=_bytes(state.times[after:until_version]),
            versions=_bytes(arrays.versions[nodes]),
            parents=_bytes(arrays.parents[nodes]),
            moves=list(_moves(state, after, until_version)),
            notes=sorted(
                (
                    (version, node, note)
                    for node, history in state.notes.items()
                    for version, note in history
                    if after < version <= until_version
                ),
                key=itemgetter(0),
            ),
            redactions=[each for each in until(state.redactions, until_version) if each[0] > after],
            started=msgspec.structs.replace(started, message=UNSET) if started else None,
            about=[(version, event) for version, event in about if isinstance(event, ConversationAnnotated)],
            root_has_message=bool(state.contents and state.contents[0] is not None),
            payloads=payloads,
        )
    )


def _started(about: History[ConversationStarted | ConversationAnnotated]) -> ConversationStarted | None:
    return next((event for _, event in about if isinstance(event, ConversationStarted)), None)


def _moves(state: Projection, after: int, until_version: int) -> Iterator[_Moves]:
    for name, history in state.cursors.items():
        part = slice(history.count_at(after), history.count_at(until_version))
        if part.start < part.stop:
            yield _Moves(name, _bytes(history.versions[part]), _bytes(history.nodes[part]), history.by[part].tobytes())


def apply(state: Projection, data: bytes) -> bytes:
    """Take the events of a snapshot into the state; their messages stand as ``ABSENT``.

    Answers the digest by which the payloads of these events are known again when they are read together; empty where
    they can only be read one commit at a time.

    Raises ``InvalidInput``, with the state as it was, if the snapshot is not the continuation of it.
    """
    try:
        index = _decode(data)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"not a snapshot: {error}") from error
    times, versions, parents = _array("q", index.times), _array("q", index.versions), _array("i", index.parents)
    if (
        index.after != state.version
        or len(versions) != len(parents)
        or (index.after == 0) != (index.started is not None)
    ):
        raise InvalidInput(f"a snapshot of what comes after version {index.after}, not after {state.version}")
    _extend(state, index, times, versions, parents)
    return index.payloads


def _extend(
    state: Projection,
    index: _Index,
    times: array[int],
    versions: array[int],
    parents: array[int],
) -> None:
    state.times.extend(times)
    state.arrays.versions.extend(versions)
    state.arrays.parents.extend(parents)
    state.contents.extend([ABSENT] * len(versions))
    if index.started is not None:
        if not index.root_has_message:
            state.contents[0] = None
        state.about.append((1, index.started))
    for moves in index.moves:
        history = state.cursors.setdefault(moves.cursor, CursorHistory())
        history.versions.extend(_array("q", moves.versions))
        history.nodes.extend(_array("i", moves.nodes))
        history.by.frombytes(moves.by)
    state.about.extend(index.about)
    for version, node, note in index.notes:
        annotate(state, version, node, note)
    for version, node in index.redactions:
        redact(state, version, node)
    last = state.version
    state.title, state.metadata = state.title_at(last), state.metadata_at(last)


def _bytes(numbers: array[int]) -> bytes:
    """As little-endian bytes."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _array(typecode: str, data: bytes) -> array[int]:
    numbers = array(typecode)
    if len(data) % numbers.itemsize:
        raise InvalidInput("not a snapshot: a column is cut off")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
