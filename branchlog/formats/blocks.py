"""What is said in a list of blocks: text, thinking, images and calls of tools, as agents' programs write it.

The calls become the message's tool calls, in the shape of the chat APIs; all other blocks are its parts, as they stood.
A single plain text is a text.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TypeVar

import attrs
import msgspec

from branchlog._core.message import Json
from branchlog.formats.carry import (
    JsonObject,
    Repair,
    Repairs,
    carried_text,
    json_text,
    kind_of,
    tool_call,
)

Fields = TypeVar("Fields", bound=attrs.AttrsInstance)


@attrs.frozen
class CallShape:
    """How a block says a call: its ``type``, and the names of the fields for id, name and arguments.

    ``text`` is that of a field which has the arguments as text, if there is one.
    """

    type: str
    id: str
    name: str
    arguments: str
    text: str | None = None


@attrs.frozen
class Said:
    """What a message holds. ``exact`` says that the blocks can be told from it, but for a text that stood alone."""

    content: str | list[JsonObject] | None
    calls: list[JsonObject] = attrs.field(factory=list)
    exact: bool = True


def said(content: Json, shape: CallShape, where: str, repairs: Repairs) -> Said:
    """What a content says that is a text or a list of blocks; anything else is kept as text and reported."""
    if isinstance(content, str):
        return Said(content)
    if content is None:
        repairs.append(Repair(where, "no content; the message is empty"))
        return Said("")
    if not isinstance(content, list):
        repairs.append(Repair(where, f"the content is {kind_of(content)}; its JSON is the text"))
        return Said(json_text(content), exact=False)
    return _of_blocks(content, shape, where, repairs)


def _of_blocks(blocks: list[Json], shape: CallShape, where: str, repairs: Repairs) -> Said:
    parts: list[JsonObject] = []
    calls: list[JsonObject] = []
    exact = True
    for block in blocks:
        call = _call(block, shape)
        if call is not None:
            calls.append(call)
            exact = exact and block.keys() == {"type", shape.id, shape.name, shape.arguments}
        else:
            part = part_of(block, where, repairs)
            parts.append(part)
            exact = exact and part is block and not calls
    return Said(_content(parts, calls), calls, exact)


def _call(block: Json, shape: CallShape) -> JsonObject | None:
    if not isinstance(block, dict) or block.get("type") != shape.type or not isinstance(block.get(shape.name), str):
        return None
    id, text = block.get(shape.id), block.get(shape.text) if shape.text else None
    call = tool_call(id if isinstance(id, str) else None, block[shape.name], block.get(shape.arguments))
    if isinstance(text, str):
        call["function"]["arguments"] = text
    return call


def part_of(block: Json, where: str, repairs: Repairs) -> JsonObject:
    """A block as a part of a message: as it stands, if it has a type."""
    if isinstance(block, dict):
        return block if isinstance(block.get("type"), str) else {**block, "type": "unknown"}
    if isinstance(block, str):
        return {"type": "text", "text": block}
    repairs.append(Repair(where, f"a block of the content is {kind_of(block)}; kept as text"))
    return {"type": "text", "text": json_text(block)}


def _content(parts: list[JsonObject], calls: list[JsonObject]) -> str | list[JsonObject] | None:
    if not parts:
        return None if calls else ""
    if len(parts) == 1 and is_plain(parts[0]):
        text: str = parts[0]["text"]
        return text
    return parts


def is_plain(part: JsonObject) -> bool:
    """Whether this part is a text and nothing else."""
    return part.keys() == {"type", "text"} and part["type"] == "text" and isinstance(part["text"], str)


def name_of(told: Json) -> str:
    """A name made of what is said, the same each time, for what has none."""
    try:
        data = msgspec.json.encode(told, order="deterministic")
    except (ValueError, TypeError, RecursionError, OverflowError):
        data = ascii(told).encode()
    return sha256(data).hexdigest()[:24]


def sound(fields: Fields, where: str, repairs: Repairs) -> Fields:
    """The fields of a shape, with the texts among them as UTF-8 can hold them: ids stay equal where they were."""
    changes = {
        field.name: carried_text(text, where, repairs)
        for field in attrs.fields(type(fields))
        if isinstance(text := getattr(fields, field.name), str) and not text.isascii()
    }
    return attrs.evolve(fields, **changes) if changes else fields  # type: ignore[misc]  # the bound says that it is one
