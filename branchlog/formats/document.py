"""A file's bytes as JSON values, each with its place: one object, an array of them, or JSON Lines.

The whole is decoded at once where it can be. Otherwise it is taken apart, and what cannot be read is named with its
byte offset or its line; an array goes on behind a damaged element where the brackets show where that ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeAlias

import attrs
import msgspec

from branchlog._core.message import Json
from branchlog.errors import InvalidInput
from branchlog.formats.carry import Skipped

Values: TypeAlias = list[tuple[str, Json]]
Known: TypeAlias = Callable[[Json], bool]

BOM = b"\xef\xbb\xbf"
BLANKS = " \t\r\n\ufeff"
BLANK = re.compile(f"[{BLANKS}]*")
BLANK_OR_COMMA = re.compile(f"[,{BLANKS}]*")
OBJECT = re.compile(r"(?<=[,\[\]}\s])\{")
"""Where an element of a damaged array may begin."""

STRAY = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, in text that was decoded all the same."""

BACK_CHARACTERS = 64
"""How far before the place of an error the search for the next element begins: the error may be that it was reached."""

DIGITS_MAX = 400
"""Digits of an integer that is decoded as one; what is longer is kept as text, since Python refuses it."""


@attrs.frozen
class Document:
    """The values of a file, each with its place; what could not be read."""

    values: Values
    skipped: list[Skipped] = attrs.field(factory=list)


def read(data: bytes, known: Known) -> Document:
    """Take a file apart. ``known`` tells a conversation from other JSON. Raises ``InvalidInput`` if nothing is left."""
    if not data.removeprefix(BOM).strip():
        raise InvalidInput("the file is empty")
    try:
        value = msgspec.json.decode(data.removeprefix(BOM))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _damaged(data, known)
    return Document(_listed(value))


def _listed(value: Json) -> Values:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InvalidInput("the file holds an empty JSON array, and no conversation")
    return [(f"conversation {index}", each) for index, each in enumerate(values, 1)]


def _damaged(data: bytes, known: Known) -> Document:
    """Take apart what cannot be decoded at once. A byte that is not UTF-8 costs the conversation that it is in."""
    try:
        return _apart(data.decode(), known)
    except UnicodeDecodeError as error:
        try:
            return _apart(data.decode(errors="surrogateescape"), known)
        except InvalidInput as nothing:
            problem = f"not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
            raise InvalidInput(problem) from nothing


def _decode_at(text: str, position: int) -> tuple[Json, int]:
    """The value that begins here, and where it ends. Raises ``ValueError`` or ``RecursionError``."""
    value, end = _decode(text, position)
    stray = STRAY.search(text, position, end)
    if stray is not None:
        raise ValueError(f"not UTF-8 text: it has the byte {ord(stray[0]) - 0xDC00:#04x}")
    return value, end


def _integer(digits: str) -> Json:
    return int(digits) if len(digits) <= DIGITS_MAX else digits


_decode = json.JSONDecoder(parse_int=_integer).raw_decode
"""More lenient than msgspec: takes NaN, lone surrogates and integers of any length, which are repaired later."""


class _Offsets:
    """Byte offsets of characters that are asked for in rising order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._character = 0
        self._bytes = 0

    def at(self, character: int) -> int:
        self._bytes += len(self._text[self._character : character].encode(errors="surrogateescape"))
        self._character = character
        return self._bytes


def _apart(text: str, known: Known) -> Document:
    start = _after(BLANK, text, 0)
    if text.startswith("[", start):
        lines = _lines_after_an_array(text, known)
        return _array(text, start + 1, known) if lines is None else lines
    try:
        value, end = _decode_at(text, start)
    except (ValueError, RecursionError) as error:
        return _lines(text, known, _problem(error), start)
    if _after(BLANK, text, end) == len(text):
        return Document(_listed(value))
    return _lines(text, known, "more follows where the JSON has ended", end)


def _lines_after_an_array(text: str, known: Known) -> Document | None:
    """JSON Lines of which the first one is an array; None where the text is something else."""
    first, _, rest = text.partition("\n")
    if not rest.strip(BLANKS):
        return None
    try:
        _line(first.strip(BLANKS))
        return _lines(text, known, "", 0) if any(known(_line_or_none(line)) for line in rest.split("\n")) else None
    except (ValueError, RecursionError):
        return None


def _line_or_none(line: str) -> Json:
    try:
        return _line(line.strip(BLANKS))
    except (ValueError, RecursionError):
        return None


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return position if found is None else found.end()


def _problem(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} (line {error.lineno}, column {error.colno})"
    return "nested too deeply to be read" if isinstance(error, RecursionError) else str(error)


def _lines(text: str, known: Known, problem: str, position: int) -> Document:
    values: Values = []
    skipped: list[Skipped] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(BLANKS)
        if stripped:
            try:
                values.append((f"line {number}", _line(stripped)))
            except (ValueError, RecursionError) as error:
                skipped.append(Skipped(f"line {number}", f"not JSON: {_problem(error)}"))
    if skipped and not any(known(value) for _, value in values):
        offset = _Offsets(text).at(position)
        raise InvalidInput(f"not JSON, nor JSON Lines; what begins at byte {offset} cannot be read: {problem}")
    return Document(values, skipped=skipped)


def _line(line: str) -> Json:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, ValueError):
        value, end = _decode_at(line, 0)
        if end != len(line):
            raise ValueError("more follows where the JSON has ended") from None
        return value


def _array(text: str, position: int, known: Known) -> Document:
    """The elements one by one; the array has begun before this position."""
    values: Values = []
    skipped: list[Skipped] = []
    offsets = _Offsets(text)
    number = 0
    while (position := _after(BLANK_OR_COMMA, text, position)) < len(text) and text[position] != "]":
        number += 1
        try:
            value, end = _decode_at(text, position)
        except (ValueError, RecursionError) as error:
            next_one = _next_known(text, position + 1, error, known)
            extent = "the file ends in it, or it is damaged" if next_one is None else "damaged"
            where = f"conversation {number}, at byte {offsets.at(position)}"
            skipped.append(Skipped(where, f"{extent}: {_problem(error)}"))
            if next_one is None:
                return _some(values, skipped)
            position = next_one
        else:
            values.append((f"conversation {number}", value))
            position = end
    behind = _after(BLANK, text, position + 1)
    if position == len(text):
        skipped.append(Skipped(f"byte {offsets.at(position)}", "the file ends before the array does"))
    elif behind < len(text):
        skipped.append(Skipped(f"byte {offsets.at(behind)}", "more follows where the array has ended"))
    return _some(values, skipped)


def _some(values: Values, skipped: list[Skipped]) -> Document:
    if not values:
        reasons = "; ".join(f"{each.where}: {each.reason}" for each in skipped)
        raise InvalidInput(f"no conversation in the JSON array can be read{reasons and ': '}{reasons}")
    return Document(values, skipped=skipped)


def _next_known(text: str, begin: int, error: Exception, known: Known) -> int | None:
    """Where the next conversation begins behind a damaged one."""
    if isinstance(error, json.JSONDecodeError):
        begin = max(begin, error.pos - BACK_CHARACTERS)
    while (found := OBJECT.search(text, begin)) is not None:
        begin = found.end()
        try:
            value, end = _decode_at(text, found.start())
        except (ValueError, RecursionError):
            continue
        if known(value):
            return found.start()
        begin = end
    return None
