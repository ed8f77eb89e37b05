"""Lists of messages, as the chat APIs take them, in and out: what the formats share that hold conversations as lists.

A list has no ids. A turn's id is a hash of its parent's id and of what stood there, so that lists that begin alike
share the turns of their beginning: one tree comes of them, whether they are in one file or in several, and a list that
comes again adds nothing. A conversation is named by its first message that is not the system's or the developer's.

What stood beside a list, in the object that held it, is kept with the turn at which the list ends, under ``lists``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import TypeAlias

import attrs

from branchlog._core.message import Json, Message, canonical, check_role
from branchlog.errors import InvalidInput, InvalidMessage
from branchlog.formats.carry import (
    UNKNOWN_ROLE,
    JsonObject,
    Repair,
    Repairs,
    Skipped,
    carried,
    json_text,
    kind_of,
)
from branchlog.formats.outline import Outline, Turn, title_of

TITLE_LENGTH = 80
"""Characters of a message's first line that make a title: one line of a listing."""

ID_LENGTH = 24
"""Hexadecimal digits of an id: 96 bits, with which two of a billion turns meet once in a hundred billion stores."""

INSTRUCTIONS = ("system", "developer")
"""The roles of messages that many conversations have in common."""

SPEAKS_OTHERWISE = ("function_call", "refusal", "audio", "reasoning_content", "reasoning")
"""Fields of the chat APIs that stand for the content where there is none."""

Made: TypeAlias = tuple[Message, JsonObject]
"""A message, and the metadata beside it."""

Found: TypeAlias = tuple[str, Outline, Repairs]
"""One conversation of a file, not mended yet: its place, what it says, and what was repaired."""


@attrs.frozen
class Piece:
    """One message of a list: what stood there, which tells it from others, and how it becomes a message."""

    stood: JsonObject
    make: Callable[[str, Repairs], Made]


@attrs.frozen
class Listed:
    """One list: its messages, the fields beside it, its id if it has one, and what was repaired."""

    pieces: list[Piece]
    fields: JsonObject
    id: str | None = None
    repairs: Repairs = attrs.field(factory=list)


def first_line(text: str | None, where: str) -> str | None:
    """The first line that says something, shortened, as a title."""
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), None)
    if line is None:
        return None
    return title_of(line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…", where, [])


# From lists to trees.


def turn_id(parent: str, stood: JsonObject) -> str:
    """The id of a turn by what stood there; nulls, empty texts and empty lists are as if they were not there."""
    said = {key: value for key, value in stood.items() if value is not None and value not in ("", [])}
    return sha256(parent.encode() + canonical(said)).hexdigest()[:ID_LENGTH]


class _Growing:
    """The outline of lists that follow each other and belong to one conversation."""

    def __init__(self, format: str, where: str) -> None:
        self.format = format
        self.where = where
        self.id: str | None = None
        self.turns: dict[str, Turn] = {}
        self.repairs: Repairs = []
        self._metadata: JsonObject = {}
        self._title: str | None = None
        self._current: str | None = None

    def add(self, listed: Listed, ids: list[str], where: str) -> None:
        """Add the turns of a list that are new."""
        parent: str | None = None
        for number, (id, piece) in enumerate(zip(ids, listed.pieces, strict=True), 1):
            if id not in self.turns:
                self.turns[id] = self._turn(id, parent, piece, f"{where}, message {number}")
            parent = id
        self.repairs += listed.repairs
        self._keep(listed, ids[-1])
        self._current = ids[-1]

    def _turn(self, id: str, parent: str | None, piece: Piece, where: str) -> Turn:
        made, metadata = piece.make(where, self.repairs)
        if self._title is None and made.role not in INSTRUCTIONS:
            self._title = first_line(made.text, where)
        aside = any(name in metadata.get("message", {}) for name in ("content", "tool_calls", "value"))
        return Turn(id=id, parent=parent, message=made, metadata=metadata, aside=aside)

    def _keep(self, listed: Listed, last: str) -> None:
        """Keep what stood beside the list: with the conversation if it names it, else where the list ends."""
        if listed.id is not None and not self._metadata:
            self._metadata = listed.fields
        elif listed.fields and listed.fields != self._metadata:
            beside = self.turns[last].lists
            if listed.fields not in beside:
                beside.append(listed.fields)

    def outline(self) -> Outline:
        return Outline(
            format=self.format,
            id=self.id,
            title=self._title,
            metadata=self._metadata,
            turns=tuple(self.turns.values()),
            current=self._current,
        )


def read_list(format: str, listed: Listed, where: str) -> tuple[Outline, Repairs]:
    """The outline of one list. Raises ``InvalidInput`` where it is empty."""
    growing, ids = _Growing(format, where), _ids(listed)
    growing.id = listed.id or f"{format}-{_name(listed, ids)}"
    growing.add(listed, ids, where)
    return growing.outline(), growing.repairs


def read_lists(
    format: str, records: Iterable[tuple[str, Json]], listed: Callable[[Json, str], Listed]
) -> Iterator[Found | Skipped]:
    """The conversations of many lists; those of one conversation that follow each other come together.

    ``listed`` raises ``InvalidInput`` for what is no list of messages.
    """
    growing: _Growing | None = None
    for where, value in records:
        try:
            found = listed(value, where)
            ids = _ids(found)
        except InvalidInput as error:
            yield Skipped(where, str(error))
            continue
        id = found.id or f"{format}-{_name(found, ids)}"
        if growing is None or growing.id != id or ids[0] not in growing.turns:
            if growing is not None:
                yield growing.where, growing.outline(), growing.repairs
            growing = _Growing(format, where)
            growing.id = id
        growing.add(found, ids, where)
    if growing is not None:
        yield growing.where, growing.outline(), growing.repairs


def _ids(listed: Listed) -> list[str]:
    if not listed.pieces:
        raise InvalidInput("a list without messages")
    ids: list[str] = []
    for piece in listed.pieces:
        ids.append(turn_id(ids[-1] if ids else "", piece.stood))
    return ids


def _name(listed: Listed, ids: list[str]) -> str:
    """The id of the first turn that is not one of instructions, or else of the last."""
    spoken = (id for id, piece in zip(ids, listed.pieces, strict=True) if not _instructs(piece.stood))
    return next(spoken, ids[-1])


def _instructs(stood: JsonObject) -> bool:
    return stood.get("role", stood.get("from")) in INSTRUCTIONS


# Messages in.


def objects(items: list[Json], where: str, repairs: Repairs) -> Iterator[JsonObject]:
    """The items of a list that can be messages, as metadata can hold them."""
    for number, item in enumerate(items, 1):
        place = f"{where}, message {number}"
        if isinstance(item, dict):
            yield carried(item, place, repairs)
        else:
            repairs.append(Repair(place, f"it is {kind_of(item)}, not an object; left out: {json_text(item)[:40]}"))


def chat_piece(raw: JsonObject) -> Piece:
    """A message in the shape of the chat APIs."""
    return Piece(raw, lambda where, repairs: chat_message(raw, where, repairs))


def chat_message(raw: JsonObject, where: str, repairs: Repairs) -> Made:
    """The message that this says, and what it has no place for, as it stood, under ``message`` in the metadata.

    ``absent`` are the fields that were not there at all. The object must be fit to be kept.
    """
    calls = _calls(raw.get("tool_calls"), where, repairs)
    made = Message(
        _role(raw.get("role"), where, repairs),
        _content(raw, where, repairs, has_calls=bool(calls)),
        name=_text(raw, "name", where, repairs),
        tool_calls=calls,
        tool_call_id=_text(raw, "tool_call_id", where, repairs),
    )
    carries = made.to_chat()
    rest = {key: value for key, value in raw.items() if key not in carries or carries[key] != value}
    absent = [key for key in carries if key not in raw]
    return made, {**({"message": rest} if rest else {}), **({"absent": absent} if absent else {})}


def _role(role: Json, where: str, repairs: Repairs) -> str:
    try:
        check_role(role)
    except InvalidMessage:
        repairs.append(Repair(where, f"no usable role; the role is {UNKNOWN_ROLE!r}"))
        return UNKNOWN_ROLE
    return str(role)


def _text(raw: JsonObject, name: str, where: str, repairs: Repairs) -> str | None:
    value = raw.get(name)
    if value is None or isinstance(value, str):
        return value
    repairs.append(Repair(where, f"{name} is {kind_of(value)}, not text; kept as metadata"))
    return None


def _calls(calls: Json, where: str, repairs: Repairs) -> list[JsonObject] | None:
    """Tool calls as they stood, arguments that are no JSON among them."""
    if calls is None:
        return None
    if isinstance(calls, list) and all(isinstance(call, dict) for call in calls):
        return calls
    repairs.append(Repair(where, "tool_calls is no list of objects; kept as metadata"))
    return None


def _content(raw: JsonObject, where: str, repairs: Repairs, *, has_calls: bool) -> str | list[JsonObject] | None:
    content = raw.get("content")
    if isinstance(content, str) or (content is None and has_calls):
        return content
    if content is None:
        if not any(raw.get(name) for name in SPEAKS_OTHERWISE):
            repairs.append(Repair(where, "no content; the message is empty"))
        return ""
    if isinstance(content, list) and all(map(_is_part, content)):
        return content
    if isinstance(content, list) and all(isinstance(part, str) or _is_part(part) for part in content):
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    repairs.append(Repair(where, f"the content is {kind_of(content)} of another shape; its JSON is the text"))
    return json_text(content)


def _is_part(part: Json) -> bool:
    return isinstance(part, dict) and type(part.get("type")) is str


# Messages out.


def as_chat(message: Message, format: str) -> JsonObject:
    """The message as the chat APIs take it; one that came in by this format as it came in."""
    fields = message.to_chat()
    kept = message.metadata.get(format)
    if not isinstance(kept, dict):
        return fields
    rest, absent = kept.get("message"), kept.get("absent")
    if isinstance(rest, dict):
        fields |= rest
    for name in absent if isinstance(absent, list) else ():
        fields.pop(name, None)
    return fields
