"""What came from outside, made fit to be kept: whatever JSON cannot carry is kept as text, and said.

Wrong types never stop a reader. ``shaped`` takes the fields that have the type they should have, and leaves and names
the others; ``carried`` turns what branchlog's own check refuses (NaN, lone surrogates, huge integers, deep nesting)
into text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, get_origin

import attrs
import cattrs

from branchlog._core.message import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN, Json, Message, check_role, is_carried
from branchlog.errors import InvalidMessage

T = TypeVar("T")
JsonObject: TypeAlias = dict[str, Any]

UNKNOWN_ROLE = "unknown"
"""The role of a message that does not say whose it is."""

METADATA_DEPTH = 3
"""Containers around a field of a node in the metadata of its message: the metadata, the format's, and one to spare."""


@attrs.frozen
class Repair:
    """Something that was mended on the way in: where, and what."""

    where: str
    what: str


@attrs.frozen
class Skipped:
    """Something that did not come in: where, and the reason."""

    where: str
    reason: str


Repairs: TypeAlias = list[Repair]


# Fields of the right type.


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number")
    return float(value)


def _object(value: object, _: object) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError("an object")
    return value


def _list(value: object, _: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list")
    return value


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _is_generic(container: type) -> Callable[[Any], bool]:
    def matches(kind: Any) -> bool:
        origin: object = get_origin(kind)
        return origin is container

    return matches


_converter = cattrs.Converter(detailed_validation=False)
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(float, _number)
_converter.register_structure_hook(bool, _truth)
_converter.register_structure_hook_func(_is_generic(dict), _object)
_converter.register_structure_hook_func(_is_generic(list), _list)


Hooks: TypeAlias = tuple[tuple[str, Any, Callable[[Any, Any], Any]], ...]

_known_hooks: dict[type[Any], Hooks] = {}


def _hooks(shape: type[Any]) -> Hooks:
    """The name, type and hook of each field of a shape, found once."""
    hooks = _known_hooks.get(shape)
    if hooks is None:
        attrs.resolve_types(shape)
        fields = attrs.fields(shape)
        hooks = tuple((field.name, field.type, _converter.get_structure_hook(field.type)) for field in fields)
        _known_hooks[shape] = hooks
    return hooks


def shaped(shape: type[T], value: JsonObject, where: str, repairs: Repairs) -> tuple[T, set[str]]:
    """The fields of an attrs class as they stand in a JSON object, and the names of those of a wrong type.

    Every field of the class needs a default, which stands in for what is absent or wrong.
    """
    fields: dict[str, Any] = {}
    wrong: set[str] = set()
    for name, kind, structure in _hooks(shape):
        if name in value:
            try:
                fields[name] = structure(value[name], kind)
            except (TypeError, ValueError, OverflowError, cattrs.BaseValidationError) as error:
                wrong.add(name)
                repairs.append(Repair(where, f"{name} is {kind_of(value[name])}, not {error}; kept as metadata"))
    return shape(**fields), wrong


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else "a number"


# Values that JSON can carry.


def carried(value: JsonObject, where: str, repairs: Repairs) -> JsonObject:
    """A JSON object as metadata can hold it; what it cannot hold is kept as text and reported."""
    if is_carried(value, DEPTH_MAX - METADATA_DEPTH):
        return value
    cleaned: JsonObject = _cleaned(value, METADATA_DEPTH, where, repairs)
    return cleaned


def _cleaned(value: Json, depth: int, where: str, repairs: Repairs) -> Json:
    """Recursive, and never deeper than ``DEPTH_MAX``."""
    if isinstance(value, str):
        return carried_text(value, where, repairs)
    if isinstance(value, dict | list) and depth > DEPTH_MAX:
        repairs.append(Repair(where, f"nested more than {DEPTH_MAX} deep; kept as text from there on"))
        return carried_text(json_text(value), where, [])
    if isinstance(value, dict):
        return _cleaned_object(value, depth, where, repairs)
    if isinstance(value, list):
        return [_cleaned(inner, depth + 1, where, repairs) for inner in value]
    return _cleaned_number(value, where, repairs)


def _cleaned_number(value: Json, where: str, repairs: Repairs) -> Json:
    """Numbers that JSON has not become text; true, false and null are as they are."""
    if isinstance(value, float) and not math.isfinite(value):
        repairs.append(Repair(where, f"the number {value} is none that JSON has; kept as text"))
        return str(value)
    if isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
        repairs.append(Repair(where, "an integer of more than 64 bits; kept as text"))
        return str(value)
    return value


def _cleaned_object(value: JsonObject, depth: int, where: str, repairs: Repairs) -> JsonObject:
    cleaned: JsonObject = {}
    for key, inner in value.items():
        name = free(carried_text(key, where, repairs), cleaned)
        cleaned[name] = _cleaned(inner, depth + 1, where, repairs)
    return cleaned


def json_text(value: Json) -> str:
    """A JSON value as text, however deep it is."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "(nested too deeply to be kept)"


def carried_text(text: str, where: str, repairs: Repairs) -> str:
    """A text as UTF-8 can hold it: U+FFFD stands for each lone surrogate, which is reported."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        repairs.append(Repair(where, "lone surrogates in a text; U+FFFD stands for each"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def free(name: str, taken: Any) -> str:
    """A name like this one that is not taken yet; ``Any`` container will do."""
    count = 2
    unique = name
    while unique in taken:
        unique = f"{name}#{count}"
        count += 1
    return unique


def message(
    role: str | None,
    content: str | list[JsonObject] | None,
    where: str,
    repairs: Repairs,
    *,
    name: str | None = None,
    tool_calls: list[JsonObject] | None = None,
    tool_call_id: str | None = None,
) -> Message:
    """A message of what an outside one says; whatever a message cannot hold is repaired and reported.

    Content may be None where there are tool calls. Each part of a list needs a ``type``.
    """
    try:
        check_role(role)
    except InvalidMessage:
        repairs.append(Repair(where, f"no usable role; the role is {UNKNOWN_ROLE!r}"))
        role = UNKNOWN_ROLE
    return Message(
        role or UNKNOWN_ROLE,
        _content(content, where, repairs, has_calls=bool(tool_calls)),
        name=None if name is None else carried_text(name, where, repairs) or None,
        tool_calls=_parts(tool_calls, where, repairs) if tool_calls else None,
        tool_call_id=None if tool_call_id is None else carried_text(tool_call_id, where, repairs),
    )


def tool_call(id: str | None, name: str, arguments: Json) -> JsonObject:
    """A call of a tool in the shape of the chat APIs, whose arguments are the text of a JSON value."""
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {**({} if id is None else {"id": id}), "type": "function", "function": function}


def _content(
    content: str | list[JsonObject] | None, where: str, repairs: Repairs, *, has_calls: bool
) -> str | list[JsonObject] | None:
    if isinstance(content, list):
        return _parts(content, where, repairs)
    if content is None and has_calls:
        return None
    return carried_text(content or "", where, repairs)


def _parts(content: list[JsonObject], where: str, repairs: Repairs) -> list[JsonObject]:
    return [carried(part, where, repairs) for part in content]
