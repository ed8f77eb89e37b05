"""ShareGPT: objects with ``conversations``, a list of items that say ``from`` whom a ``value`` is.

The key is ``conversation`` in some files, and the items have ``role`` and ``content`` in others. ``system`` beside the
list is the system message where the list does not begin with one. A ``function_call`` whose value is the JSON of a call
becomes a message with ``tool_calls``, and the ``observation`` after it the answer to that call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from branchlog._core.message import Json
from branchlog.errors import InvalidInput
from branchlog.formats.carry import (
    JsonObject,
    Repair,
    Repairs,
    Skipped,
    carried,
    json_text,
    kind_of,
    message,
    tool_call,
)
from branchlog.formats.lists import Found, Listed, Made, Piece, chat_message, objects, read_list, read_lists
from branchlog.formats.outline import Outline, described

FORMAT = "sharegpt"

KEYS = ("conversations", "conversation")
"""What the list is called."""

ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "claude": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
"""What those who speak are called in the chat APIs; others keep their name."""

CALL = "function_call"
ANSWERS = ("observation", "tool", "function_response")

ITEMS_LOOKED_AT = 10
"""Items at the beginning of a list by which it is known; some may be damaged."""


def recognises(value: JsonObject) -> bool:
    """Whether this object has a list of such items."""
    items = value.get(_key(value))
    return isinstance(items, list) and "mapping" not in value and any(map(_is_item, items[:ITEMS_LOOKED_AT]))


def _is_item(item: Json) -> bool:
    return isinstance(item, dict) and ({"from", "value"} <= item.keys() or {"role", "content"} <= item.keys())


def _key(value: JsonObject) -> str:
    return next((key for key in KEYS if key in value), KEYS[0])


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no items."""
    return read_list(FORMAT, _listed(value, where), where)


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether one of these is a conversation."""
    return any(isinstance(value, dict) and recognises(value) for value in values)


def read_records(records: Iterable[tuple[str, Json]], name: str) -> Iterator[Found | Skipped]:  # noqa: ARG001  # a conversation is named by its id, or by what it says
    """The conversations of a file; those that follow each other and begin alike, without ids, are one tree."""
    return read_lists(FORMAT, records, _listed)


def _listed(value: Json, where: str) -> Listed:
    items = value.get(_key(value)) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise InvalidInput(f"not an object with a list of conversations: {described(value)}")
    repairs: Repairs = []
    fields = carried({key: field for key, field in value.items() if key != _key(value)}, where, repairs)
    said = list(objects(items, where, repairs))
    id = fields.get("id")
    return Listed(
        [*_system(fields, said), *_pieces(said)],
        fields,
        id=str(id) if type(id) in (str, int) and id != "" else None,
        repairs=repairs,
    )


def _system(fields: JsonObject, said: list[JsonObject]) -> Iterator[Piece]:
    """The system message that stands beside the list; it stays among the fields, too."""
    system = fields.get("system")
    if isinstance(system, str) and system and not (said and _speaker(said[0]) == "system"):
        stood = {"role": "system", "content": system}
        yield Piece(stood, lambda where, repairs: (message("system", system, where, repairs), {"beside": "system"}))


def _pieces(said: list[JsonObject]) -> Iterator[Piece]:
    """The items; a call is named by its place in the list, so that the answer can name it."""
    asked: str | None = None
    for number, item in enumerate(said, 1):
        speaker = _speaker(item)
        calls = _calls(item, number) if speaker == CALL else []
        yield _piece(item, calls, asked if speaker in ANSWERS else None)
        if speaker not in ANSWERS:
            asked = calls[0]["id"] if len(calls) == 1 else None


def _speaker(item: JsonObject) -> Json:
    return item.get("from", item.get("role"))


def _piece(item: JsonObject, calls: list[JsonObject], asked: str | None) -> Piece:
    if "from" in item or "value" in item:
        return Piece(item, lambda where, repairs: _message(item, calls, asked, where, repairs))
    role = ROLES.get(item["role"], item["role"]) if isinstance(item.get("role"), str) else None
    return Piece(item, lambda where, repairs: _other(item, role, where, repairs))


def _other(item: JsonObject, role: str | None, where: str, repairs: Repairs) -> Made:
    """An item in the shape of the chat APIs."""
    if role is None or role == item["role"]:
        return chat_message(item, where, repairs)
    made, metadata = chat_message({**item, "role": role}, where, repairs)
    return made, {**metadata, "message": {**metadata.get("message", {}), "role": item["role"]}}


def _message(item: JsonObject, calls: list[JsonObject], asked: str | None, where: str, repairs: Repairs) -> Made:
    speaker, value = item.get("from"), item.get("value")
    role = ROLES.get(speaker, speaker) if isinstance(speaker, str) else None
    text = value if isinstance(value, str) else _as_text(value, where, repairs)
    made = message(role, None if calls else text, where, repairs, tool_calls=calls or None, tool_call_id=asked or None)
    rest = {key: field for key, field in item.items() if key != "value" or calls or field != made.content}
    return made, {"message": rest}


def _as_text(value: Json, where: str, repairs: Repairs) -> str:
    repairs.append(Repair(where, f"the value is {kind_of(value)}, not text; kept as metadata"))
    return "" if value is None else json_text(value)


def _calls(item: JsonObject, number: int) -> list[JsonObject]:
    """The calls that the value is the JSON of; none where it is not."""
    try:
        said = msgspec.json.decode(item.get("value") or "")
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
        return []
    calls: list[Any] = said if isinstance(said, list) else [said]
    if not calls or not all(map(_is_call, calls)):
        return []
    ids = [f"call_{number}"] if len(calls) == 1 else [f"call_{number}_{each}" for each in range(1, len(calls) + 1)]
    return [tool_call(id, call["name"], call["arguments"]) for id, call in zip(ids, calls, strict=True)]


def _is_call(call: Json) -> bool:
    return isinstance(call, dict) and isinstance(call.get("name"), str) and isinstance(call.get("arguments"), dict)
