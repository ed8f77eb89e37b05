"""Events to bytes and back.

The events of a commit are one JSON array. Commits of the current schema are decoded straight into typed structs;
messages stay as bytes until someone reads them. A commit of a later minor or patch version is read event by event:
what this version does not know stays in the log and changes nothing. A later major version is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from branchlog._core.events import SCHEMA, AnyEvent, Event, Microseconds, UnknownEvent
from branchlog._core.message import UNREADABLE
from branchlog.commit import Commit
from branchlog.errors import CorruptLog, SchemaVersionError

encode_events = msgspec.json.Encoder().encode
"""The events of a commit as a JSON array."""

_decode_current = msgspec.json.Decoder(list[Event]).decode
_decode_one = msgspec.json.Decoder(Event).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Tagged(msgspec.Struct):
    """What every event has, in any version."""

    type: str
    at: Microseconds


_decode_tagged = msgspec.json.Decoder(_Tagged).decode

KNOWN_TYPES = frozenset(
    {"conversation-started", "node-added", "cursor-moved", "node-annotated", "conversation-annotated"}
)


def decode_events(commit: Commit) -> Sequence[AnyEvent]:
    """The events of a commit, ``commit.count`` of them.

    Raises ``SchemaVersionError`` for a later major version of the vocabulary and ``CorruptLog`` for bytes that are not
    the events that they should be.
    """
    try:
        events = _decode_current(commit.data) if commit.schema == SCHEMA else _decode_later(commit)
    except UNREADABLE as error:
        raise CorruptLog(_where(commit), f"not events of schema {commit.schema}: {error}") from error
    if len(events) != commit.count:
        raise CorruptLog(_where(commit), f"{commit.count} events expected, {len(events)} found")
    return events


def _decode_later(commit: Commit) -> list[AnyEvent]:
    found, supported = parse_version(commit.schema), parse_version(SCHEMA)
    if found is None or supported is None or found < (1, 0, 0):
        raise CorruptLog(_where(commit), f"no schema {commit.schema!r} was ever released")
    if found[0] > supported[0]:
        raise SchemaVersionError(_where(commit), commit.schema, SCHEMA)
    return [_decode_known(raw) for raw in _decode_raw(commit.data)]


def _decode_known(raw: msgspec.Raw) -> AnyEvent:
    tagged = _decode_tagged(raw)
    if tagged.type in KNOWN_TYPES:
        event: Event = _decode_one(raw)
        return event
    return UnknownEvent(at=tagged.at, raw=bytes(raw))


_PART = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def parse_version(text: str) -> tuple[int, int, int] | None:
    """MAJOR.MINOR.PATCH as numbers, or None if it is not that."""
    parts = text.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):
        return None
    major, minor, patch = map(int, parts)
    return major, minor, patch


def _where(commit: Commit) -> str:
    return f"commit at version {commit.first} of {commit.stream!r}"
