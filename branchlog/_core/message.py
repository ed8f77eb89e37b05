"""What is said at a node: a message in the shape of the chat APIs, and the check that JSON can carry it.

A message must come back from the log as it went in, so the check comes before anything is recorded: JSON has no NaN,
UTF-8 has no lone surrogates, a JSON object has only text as keys, and integers beyond 64 bits are changed or refused by
many a reader of JSON. Each refusal names the place: ``metadata['scores'][2]``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs
import msgspec

from branchlog.errors import CorruptLog, InvalidMessage

Json: TypeAlias = Any
"""A value that JSON can carry: None, bool, int, float, str, and lists and string-keyed dicts of these."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
"""What fits in 64 bits, signed or not: the range that SQLite, PostgreSQL or JavaScript tools can be made to keep."""

DEPTH_MAX = 100
"""Containers within containers. Real messages have fewer than ten; decoders give up between 200 and 1,000."""

ROLE_LENGTH_MAX = 100
"""Characters of a role: room for any made-up one, and no room for a message in the wrong argument."""


@attrs.frozen(kw_only=False)
class Message:
    """One message: who says it and what is said.

    ``content`` is text, a list of parts (each a dict with a ``type``), or None where there are tool calls instead.
    ``name``, ``tool_calls`` and ``tool_call_id`` are those of the chat-completions API. ``metadata`` is the caller's
    own. Raises ``InvalidMessage`` for what JSON would not give back unchanged.
    """

    role: str
    content: str | list[dict[str, Json]] | None = None
    name: str | None = attrs.field(default=None, kw_only=True)
    tool_calls: list[dict[str, Json]] | None = attrs.field(default=None, kw_only=True)
    tool_call_id: str | None = attrs.field(default=None, kw_only=True)
    metadata: dict[str, Json] = attrs.field(factory=dict, kw_only=True)

    def __attrs_post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        check_role(self.role)
        if type(self.content) is str:
            check_text(self.content, "content")
        else:
            _check_parts(self.content, self.tool_calls)
        _check_optional_text(self.name, "name")
        _check_optional_text(self.tool_call_id, "tool_call_id")
        if self.tool_calls is not None:
            _check_list_of_dicts(self.tool_calls, "tool_calls")
        check_metadata(self.metadata)

    @property
    def text(self) -> str:
        """The text of the content: the text parts of a list joined by line ends, "" where there is none."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        texts = (part.get("text") for part in self.content if part.get("type") in TEXT_PART_TYPES)
        return "\n".join(text for text in texts if isinstance(text, str))

    def to_chat(self) -> dict[str, Json]:
        """The message as a chat-completions API takes it: without the metadata."""
        chat: dict[str, Json] = {"role": self.role, "content": self.content}
        for key in ("name", "tool_calls", "tool_call_id"):
            value = getattr(self, key)
            if value is not None:
                chat[key] = value
        return chat


TEXT_PART_TYPES = frozenset({"text", "input_text", "output_text"})
"""The ``type`` of a part that holds text, in the chat-completions and the responses API."""


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message as it stands in an event."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Any] = {}


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what they should be."""

_decode_stored = msgspec.json.Decoder(StoredMessage).decode
_encode_stored = msgspec.json.Encoder().encode


def encode(message: Message) -> bytes:
    """The message as JSON. Raises ``InvalidMessage`` if it would not come back the same.

    It was checked when it was made, but lists and dicts that it holds may have been changed since.
    """
    if _is_fixed(message):
        return _encode_stored(StoredMessage(role=message.role, content=message.content, name=message.name))
    message._check()
    stored = StoredMessage(
        role=message.role,
        content=message.content,
        name=message.name,
        tool_calls=message.tool_calls,
        tool_call_id=message.tool_call_id,
        metadata=message.metadata,
    )
    try:
        data = _encode_stored(stored)
        unchanged = _decode_stored(data) == stored
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidMessage(
            "message", f"it was changed since it was made and has no JSON form now: {error}"
        ) from error
    if not unchanged:
        raise InvalidMessage("message", "it was changed since it was made and would not come back the same from JSON")
    return data


def _is_fixed(message: Message) -> bool:
    """Whether it holds text only, and so is as it was when it was checked."""
    return (
        type(message.content) is str
        and message.tool_calls is None
        and message.tool_call_id is None
        and not message.metadata
    )


def decode(data: bytes | msgspec.Raw) -> Message:
    """The message that ``encode`` made this JSON of. Raises ``CorruptLog`` for JSON that is not a message."""
    try:
        return from_stored(_decode_stored(data))
    except UNREADABLE as error:
        raise CorruptLog("a message", f"what is stored is not a message: {error}") from error


_ROLES = {role: role for role in ("system", "developer", "user", "assistant", "tool")}
"""So that the messages of a long conversation share the few texts that roles are: 55 bytes each otherwise."""

_new = object.__new__
_set_role, _set_content, _set_name, _set_tool_calls, _set_tool_call_id, _set_metadata = (
    Message.__dict__[field.name].__set__ for field in attrs.fields(Message)
)
"""The slots of a message, which is frozen to all others; by ``object.__setattr__`` it is half as slow again."""


def from_stored(stored: StoredMessage) -> Message:
    """The message of a stored one, which was checked when it was stored and is not checked again."""
    message = _new(Message)
    _set_role(message, _ROLES.get(stored.role, stored.role))
    _set_content(message, stored.content)
    _set_name(message, stored.name)
    _set_tool_calls(message, stored.tool_calls)
    _set_tool_call_id(message, stored.tool_call_id)
    _set_metadata(message, stored.metadata)
    return message


def check_role(role: object) -> None:
    """Raise ``InvalidMessage`` unless this can be a role: a short, non-empty text."""
    if type(role) is not str:
        raise InvalidMessage("role", f"expected text such as 'user' or 'assistant', found {_kind(role)}")
    if not role or len(role) > ROLE_LENGTH_MAX or not role.isprintable() or role.strip() != role:
        raise InvalidMessage(
            "role", f"expected 1 to {ROLE_LENGTH_MAX} printable characters with no blanks around, found {role[:40]!r}"
        )


def check_metadata(metadata: object, where: str = "metadata") -> None:
    """Raise ``InvalidMessage`` unless this is a dict that JSON carries unchanged."""
    if type(metadata) is not dict:
        raise InvalidMessage(where, f"expected a dict, found {_kind(metadata)}")
    if metadata:
        check_json(metadata, where)


def copied(metadata: dict[str, Json]) -> dict[str, Json]:
    """A copy of checked metadata that shares nothing with it."""
    copy: dict[str, Json] = msgspec.json.decode(_encode_stored(metadata)) if metadata else {}
    return copy


def check_text(text: str, where: str) -> None:
    """Raise ``InvalidMessage`` where the text has a lone surrogate, which UTF-8 does not have."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidMessage(
            where,
            f"a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start + 1}, which UTF-8 lacks",
        ) from None


def is_carried(value: Json, depth_max: int = DEPTH_MAX) -> bool:
    """Whether JSON carries this value unchanged; perhaps not where it is nested as deep as ``depth_max`` or deeper.

    Without an account of places, and so several times as fast: an import checks each message three times.
    """
    level: list[Json] = [value]
    for _ in range(depth_max):
        beneath: list[Json] = []
        for inner in level:
            kind = type(inner)
            if kind is str:
                if not _is_utf8(inner):
                    return False
            elif kind is dict:
                if inner and not (set(map(type, inner)) == TEXT_ONLY and _is_utf8("".join(inner))):
                    return False
                beneath += inner.values()
            elif kind is list:
                beneath += inner
            elif not (inner is None or kind is bool or _is_number(kind, inner)):
                return False
        if not beneath:
            return True
        level = beneath
    return False


def _is_number(kind: type, value: Any) -> bool:
    """Whether a value of this type is a number that JSON has; ``Any``, since the type is not known to the checker."""
    return INTEGER_MIN <= value <= INTEGER_MAX if kind is int else kind is float and math.isfinite(value)


TEXT_ONLY = {str}
"""The types of keys that JSON has."""


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_json(value: Json, where: str) -> None:
    """Raise ``InvalidMessage`` unless JSON carries this value unchanged; names the place of the first offender."""
    if not is_carried(value):
        _check_places(value, where)


def _check_places(value: Json, where: str) -> None:
    todo: list[tuple[Json, str, int]] = [(value, where, 1)]
    while todo:
        value, where, depth = todo.pop()
        kind = type(value)
        if kind is str:
            check_text(value, where)
        elif kind is dict or kind is list:
            if depth > DEPTH_MAX:
                raise InvalidMessage(where, f"nested more than {DEPTH_MAX} deep")
            todo.extend((inner, place, depth + 1) for place, inner in _items(value, where))
        elif kind is int:
            if not INTEGER_MIN <= value <= INTEGER_MAX:
                raise InvalidMessage(
                    where, "an integer of more than 64 bits, which JSON readers change; store it as text"
                )
        elif kind is float:
            if not math.isfinite(value):
                raise InvalidMessage(where, f"{value} has no JSON form; use None or text")
        elif value is not None and kind is not bool:
            raise InvalidMessage(where, f"{_kind(value)} has no JSON form that comes back the same")


def _items(value: dict[Any, Json] | list[Json], where: str) -> list[tuple[str, Json]]:
    if isinstance(value, list):
        return [(f"{where}[{index}]", inner) for index, inner in enumerate(value)][::-1]
    for key in value:
        if type(key) is not str:
            raise InvalidMessage(where, f"the key {key!r} is {_kind(key)}; JSON has only text as keys")
        check_text(key, f"a key of {where}")
    return [(f"{where}[{key!r}]", inner) for key, inner in value.items()][::-1]


def _check_parts(content: object, tool_calls: object) -> None:
    if content is None:
        if not tool_calls:
            raise InvalidMessage("content", "None is for messages with tool_calls; an empty message has ''")
        return
    if type(content) is not list:
        raise InvalidMessage("content", f"expected text or a list of parts, found {_kind(content)}")
    _check_list_of_dicts(content, "content")
    for index, part in enumerate(content):
        if type(part.get("type")) is not str:
            raise InvalidMessage(f"content[{index}]", "a part needs a 'type', such as 'text' or 'image_url'")


def _check_list_of_dicts(value: object, where: str) -> None:
    if type(value) is not list:
        raise InvalidMessage(where, f"expected a list of dicts, found {_kind(value)}")
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise InvalidMessage(f"{where}[{index}]", f"expected a dict, found {_kind(item)}")
    check_json(value, where)


def _check_optional_text(value: object, where: str) -> None:
    if value is None:
        return
    if type(value) is not str:
        raise InvalidMessage(where, f"expected text, found {_kind(value)}")
    check_text(value, where)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


canonical = msgspec.json.Encoder(order="deterministic").encode
"""A value as the one JSON text by which it is compared: in JSON, 1, 1.0 and true are three things."""


def same_json(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON, in which 1, 1.0 and true are three things."""
    return one == other and canonical(one) == canonical(other)


def patch_between(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """The merge patch that makes ``after`` of ``before``; a None that is to be set cannot be told, and is left out."""
    patch: dict[str, Json] = {key: None for key in before if key not in after}
    for key, value in after.items():
        was = before.get(key)
        if isinstance(value, dict) and isinstance(was, dict):
            if inner := patch_between(was, value):
                patch[key] = inner
        elif value is not None and (key not in before or not same_json(value, was)):
            patch[key] = value
    return patch


def merge_patch(target: Mapping[str, Json], patch: Mapping[str, Json]) -> dict[str, Json]:
    """The target after a JSON merge patch (RFC 7396): None takes a key away, a dict is merged, all else replaces.

    Neither argument is changed. Depth is bounded by ``DEPTH_MAX``, which ``check_json`` has seen to.
    """
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = merge_patch(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged
