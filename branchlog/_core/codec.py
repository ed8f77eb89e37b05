"""Events to bytes and back.

The events of a commit are one JSON array. Commits of the current schema are decoded straight into typed structs;
messages stay as bytes until someone reads them. Commits of an earlier schema are taken up to the current one step by
step, event by event. A commit of a later minor or patch version is read as far as it is known: the rest stays in the
log and changes nothing. A later major version is refused. The log is never rewritten by any of this.

An application may keep a version of its own for its metadata: it stands behind the schema's, as in
``1.0.0+notes.2.0.0``, where semantic versioning has its build metadata, and its steps are taken when the metadata is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import attrs
import msgspec

from branchlog._core.events import EVENTS, SCHEMA, AnyEvent, Event, Microseconds, SeveralEvents, UnknownEvent
from branchlog._core.message import UNREADABLE
from branchlog._core.upcast import Registry, Shape
from branchlog.commit import Commit
from branchlog.errors import CorruptLog, InvalidInput

encode_events = msgspec.json.Encoder().encode
"""The events of a commit as a JSON array."""

VOCABULARY = Registry("the event vocabulary", current=SCHEMA)
"""The released versions of the event vocabulary, and the steps between them."""

KNOWN_TYPES = frozenset(str(event.__struct_config__.tag) for event in EVENTS)

decode_events = msgspec.json.Decoder(list[Event]).decode
"""The events of a payload of the current schema."""

_decode_lines = msgspec.json.Decoder(list[Event]).decode_lines
_decode_shapes = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_decode_one = msgspec.json.Decoder(Event).decode


@attrs.frozen
class Application:
    """An application's own schema of metadata: its name, and the registry of its versions.

    The registry's steps are given a metadata dict and give exactly one back. Messages, nodes and the conversation
    itself have metadata; a merge patch goes through the steps as it is.
    """

    name: str
    registry: Registry

    def __attrs_post_init__(self) -> None:
        if not self.name.isidentifier() or not self.name.isascii():
            raise InvalidInput(f"an application's name is an identifier, such as 'notes', not {self.name!r}")

    @property
    def schema(self) -> str:
        """What stands in a commit: the vocabulary's version and the application's."""
        return f"{SCHEMA}+{self.name}.{self.registry.current}"


class Codec:
    """Decodes commits; what it decodes depends on the vocabulary and, where there is one, the application alone."""

    def __init__(self, application: Application | None = None, vocabulary: Registry = VOCABULARY) -> None:
        self.application = application
        self.vocabulary = vocabulary
        self.schema = application.schema if application else SCHEMA

    @property
    def fingerprint(self) -> str:
        """A text that changes when the same bytes may be decoded to something else."""
        own = f"+{self.application.name}.{self.application.registry.fingerprint}" if self.application else ""
        return self.vocabulary.fingerprint + own

    def decode(self, commit: Commit) -> Sequence[AnyEvent]:
        """The events of a commit, ``commit.count`` of them.

        Raises ``SchemaVersionError`` for a later major version of the vocabulary or of the application's metadata, and
        ``CorruptLog`` for bytes that are not the events that they should be.
        """
        try:
            events = decode_events(commit.data) if commit.schema == self.schema else self._decode_other(commit)
        except (*UNREADABLE, InvalidInput) as error:
            raise CorruptLog(_where(commit), f"not events of schema {commit.schema}: {error}") from error
        if len(events) != commit.count:
            raise CorruptLog(_where(commit), f"{commit.count} events expected, {len(events)} found")
        return events

    def decode_lines(self, payloads: bytes) -> list[AnyEvent]:
        """The events of several commits of the current schema, of which the payloads are lines.

        Raises ``CorruptLog`` for lines that are not events.
        """
        try:
            return list(chain.from_iterable(_decode_lines(payloads)))
        except UNREADABLE as error:
            raise CorruptLog("commits", f"not events of schema {self.schema}: {error}") from error

    def schema_of_decoded(self, commit: Commit) -> str:
        """The schema that the events of a commit have when they are decoded."""
        _, plus, own = commit.schema.partition("+")
        return self.schema if self._lift_metadata(own) else f"{self.vocabulary.current}{plus}{own}"

    def _decode_other(self, commit: Commit) -> list[AnyEvent]:
        schema, _, own = commit.schema.partition("+")
        lift = self._lift_metadata(own)
        later = self.vocabulary.is_later(schema)
        if lift is None and (later or schema == self.vocabulary.current):
            return [_decode_known(raw, later=later) for raw in _decode_raws(commit.data)]
        events = []
        for shape in _decode_shapes(commit.data):
            shapes = [shape] if later else self.vocabulary.upcast(schema, shape)
            events.append(_joined(shape, [_lifted(each, lift) for each in shapes], later=later))
        return events

    def _lift_metadata(self, own: str) -> Callable[[Shape], Shape] | None:
        """What takes metadata of this application version up; None where it stays as it is."""
        if self.application is None or not own.startswith(f"{self.application.name}."):
            return None
        version, registry = own.partition(".")[2], self.application.registry
        if registry.is_later(version) or version == registry.current:
            return None

        def lift(metadata: Shape) -> Shape:
            shapes = registry.upcast(version, metadata)
            if len(shapes) != 1:
                raise InvalidInput(f"a step for metadata gives one dict, not {len(shapes)}")
            return shapes[0]

        return lift


def _decode_known(raw: msgspec.Raw, *, later: bool) -> AnyEvent:
    if later and _type_of(raw) not in KNOWN_TYPES:
        return UnknownEvent(at=_tagged(raw).at, raw=bytes(raw))
    event: Event = _decode_one(raw)
    return event


class _Tagged(msgspec.Struct):
    """What every event has, in any version."""

    type: str
    at: Microseconds


_tagged = msgspec.json.Decoder(_Tagged).decode


def _type_of(raw: msgspec.Raw) -> str:
    return _tagged(raw).type


def _lifted(shape: Shape, lift: Callable[[Shape], Shape] | None) -> Shape:
    """The event with its metadata, and that of its message, taken up."""
    if lift is None:
        return shape
    lifted = dict(shape)
    if isinstance(lifted.get("metadata"), dict):
        lifted["metadata"] = lift(lifted["metadata"])
    message = lifted.get("message")
    if isinstance(message, dict) and isinstance(message.get("metadata"), dict):
        lifted["message"] = {**message, "metadata": lift(message["metadata"])}
    return lifted


def _joined(stored: Shape, shapes: list[Shape], *, later: bool) -> AnyEvent:
    """What became of one stored event, as one event with its version."""
    events = [_decode_known(msgspec.Raw(_encode(shape)), later=later) for shape in shapes]
    if len(events) == 1:
        return events[0]
    return SeveralEvents(at=msgspec.convert(stored, _Tagged).at, events=tuple(events))


def _where(commit: Commit) -> str:
    return f"commit at version {commit.first} of {commit.stream!r}"
