"""A file's bytes as JSON values, each with its place: one object, the elements of an array, or JSON Lines.

The file is read once, front to back, and no more of it is held than the value that is being decoded
(``VALUE_BYTES_MAX`` at most), so that a file may be far larger than memory. What cannot be read is named with its byte
offset or its line; an array goes on behind a damaged element where the next conversation begins.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import msgspec

from branchlog._core.message import Json
from branchlog.errors import InvalidInput
from branchlog.formats.carry import Skipped

Record: TypeAlias = tuple[str, Json]
"""One value of a file, after its place."""

Known: TypeAlias = Callable[[Json], bool]

CHUNK_BYTES = 1 << 20
"""Bytes that are read at once: enough that reading costs nothing beside decoding."""

VALUE_BYTES_MAX = 256 << 20
"""The largest value that is decoded: seven times the largest conversation in an export that is known (36 MB)."""

FIRST_LINE_BYTES_MAX = 16 << 20
"""How far the end of the first line is looked for where it may be an array of its own."""

BLANKS = " \t\r\n\ufeff"
BLANK = re.compile(f"[{BLANKS}]*")
BLANK_OR_COMMA = re.compile(f"[,{BLANKS}]*")
OBJECT = re.compile(r"(?<=[,\[\]}\s])\{")
"""Where an element of a damaged array may begin."""

STRAY = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, in text that was decoded all the same."""

BACK_CHARACTERS = 64
"""How far before the place of an error the search for the next element begins: the error may be that it was reached."""

END_CHARACTERS = 16
"""An error this near to the end of what was read may be that there is more to come: half a word or half an escape."""

DIGITS_MAX = 400
"""Digits of an integer that is decoded as one; what is longer is kept as text, since Python refuses it."""


class Bytes(Protocol):
    """What is needed of a file: bytes, from the front to the back."""

    def read(self, size: int, /) -> bytes:
        """At most this many bytes; none at the end."""


def records(file: Bytes, known: Known, skipped: list[Skipped]) -> Iterator[Record]:
    """The values of a file, as they come; what cannot be read is added to ``skipped``.

    ``known`` tells a conversation from other JSON. Raises ``InvalidInput``, at the end at the latest, where nothing can
    be read.
    """
    text = _Text(file)
    try:
        yield from _records(text, known, skipped)
    except InvalidInput as nothing:
        if text.stray_byte is None:
            raise
        raise InvalidInput(f"not UTF-8 text: byte {text.stray_byte} is of no character") from nothing


def _records(text: _Text, known: Known, skipped: list[Skipped]) -> Iterator[Record]:
    start = text.after(BLANK, 0)
    if start == len(text.window):
        raise InvalidInput("the file is empty")
    if text.window[start] == "[" and not _has_lines_of_its_own(text, start):
        yield from _array(text, start + 1, known, skipped)
        return
    try:
        value, end = text.value_at(start)
    except (ValueError, RecursionError) as error:
        problem, place = text.problem(error), text.byte_at(start)
    else:
        end = text.after(BLANK, end)
        if end == len(text.window):
            yield "conversation 1", value
            return
        problem, place = "more follows where the JSON has ended", text.byte_at(end)
    yield from _lines(text, known, skipped, f"what begins at byte {place} cannot be read: {problem}")


class _Text:
    """The text of a file, of which a window is held; positions are places in the window."""

    def __init__(self, file: Bytes) -> None:
        self.window = ""
        self.stray_byte: int | None = None
        """Where the first byte is that is not UTF-8; it is a lone surrogate in the window."""
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._dropped_bytes = 0
        self._ended = False

    def grow(self, size_bytes: int = 0) -> bool:
        """Read on, one piece or this many bytes; False if the file has ended."""
        if self._ended:
            return False
        read = self._file.read(max(size_bytes, CHUNK_BYTES))
        self._ended = not read
        piece = self._decoder.decode(read, final=self._ended)
        if self.stray_byte is None and (stray := _stray(piece)) is not None:
            self.stray_byte = self.byte_at(len(self.window)) + len(piece[:stray].encode())
        self.window += piece
        return bool(piece) or not self._ended

    def drop(self, position: int) -> None:
        """Let go of what is before this position, which then is 0."""
        self._dropped_bytes = self.byte_at(position)
        self.window = self.window[position:]

    def byte_at(self, position: int) -> int:
        """The byte of the file at which the character of this position begins."""
        return self._dropped_bytes + len(self.window[:position].encode(errors="surrogateescape"))

    def after(self, pattern: re.Pattern[str], position: int) -> int:
        """The position behind what matches here, which may go on in what is still to be read."""
        while True:
            found = pattern.match(self.window, position)
            position = position if found is None else found.end()
            if position < len(self.window) or not self.grow():
                return position

    def value_at(self, position: int) -> tuple[Json, int]:
        """The value that begins here, and where it ends. Raises ``ValueError`` or ``RecursionError``."""
        while True:
            try:
                value, end = _decode(self.window, position)
            except json.JSONDecodeError as error:
                held = len(self.window) - position
                if held > VALUE_BYTES_MAX and self._may_be_cut(error):
                    raise ValueError(f"one value of more than {VALUE_BYTES_MAX >> 20} MiB") from error
                if not self._may_be_cut(error) or not self.grow(held):
                    raise
            else:
                is_closed = isinstance(value, dict | list | str)
                if is_closed or end < len(self.window) - len("e+") or not self.grow():  # a number may go on
                    self._check_no_stray(position, end)
                    return value, end

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the end of the window may be what stands in the way."""
        return error.msg.startswith("Unterminated string") or error.pos >= len(self.window) - END_CHARACTERS

    def _check_no_stray(self, position: int, end: int) -> None:
        if self.stray_byte is not None and (stray := STRAY.search(self.window, position, end)) is not None:
            raise ValueError(f"not UTF-8 text: it has the byte {ord(stray[0]) - 0xDC00:#04x}")

    def problem(self, error: Exception) -> str:
        """What stands in the way of decoding, with its place in the file."""
        if isinstance(error, json.JSONDecodeError):
            return f"{error.msg[:1].lower()}{error.msg[1:]} (byte {self.byte_at(error.pos)})"
        return _problem(error)

    def lines(self) -> Iterator[str | None]:
        """The lines, from the beginning of the window on; None for one that is too long to be held."""
        position = 0
        while True:
            end = self.window.find("\n", position)
            if end < 0:
                goes_on, position = self._line_goes_on(position), 0
                if goes_on:
                    continue
            last = end < 0
            too_long = (len(self.window) if last else end) - position > VALUE_BYTES_MAX
            yield None if too_long else self.window[position : None if last else end]
            if last:
                return
            position = end + 1

    def _line_goes_on(self, position: int) -> bool:
        """Read on behind a line that is not whole yet, which then begins at 0."""
        held = len(self.window) - position
        self.drop(position)
        if held > VALUE_BYTES_MAX:  # it is only looked for its end
            self.drop(held - VALUE_BYTES_MAX - 1)
        return self.grow(min(held, VALUE_BYTES_MAX))


def _stray(text: str) -> int | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _integer(digits: str) -> Json:
    return int(digits) if len(digits) <= DIGITS_MAX else digits


_decode = json.JSONDecoder(parse_int=_integer).raw_decode
"""More lenient than msgspec: takes NaN, lone surrogates and integers of any length, which are repaired later."""


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})"
    return "nested too deeply to be read" if isinstance(error, RecursionError) else str(error)


# JSON Lines.


def _has_lines_of_its_own(text: _Text, start: int) -> bool:
    """Whether this is JSON Lines of which the first one is an array: it and the next one are JSON by themselves."""
    while (end := text.window.find("\n", start)) < 0 and len(text.window) < FIRST_LINE_BYTES_MAX and text.grow():
        pass
    if end < 0:
        return False
    following = text.after(BLANK, end)
    try:
        _line(text.window[start:end].strip(BLANKS))
        return following < len(text.window) and text.value_at(following)[1] > following
    except (ValueError, RecursionError):
        return False


def _lines(text: _Text, known: Known, skipped: list[Skipped], problem: str) -> Iterator[Record]:
    bad, usable = False, False
    for number, line in enumerate(text.lines(), 1):
        try:
            if line is None:
                raise ValueError(f"more than {VALUE_BYTES_MAX >> 20} MiB in one line")
            stripped = line.strip(BLANKS)
            if stripped:
                value = _line(stripped)
                usable = usable or bool(isinstance(value, dict) and value) or known(value)
                yield f"line {number}", value
        except (ValueError, RecursionError) as error:
            bad = True
            skipped.append(Skipped(f"line {number}", f"not JSON: {_problem(error)}"))
    if bad and not usable:
        raise InvalidInput(f"not JSON, nor JSON Lines; {problem}")


def _line(line: str) -> Json:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, ValueError):
        value, end = _decode(line)
        stray = STRAY.search(line)
        if stray is not None:
            raise ValueError(f"not UTF-8 text: it has the byte {ord(stray[0]) - 0xDC00:#04x}") from None
        if end != len(line):
            raise ValueError("more follows where the JSON has ended") from None
        return value


# An array.


def _array(text: _Text, position: int, known: Known, skipped: list[Skipped]) -> Iterator[Record]:
    """The elements one by one; the array has begun before this position."""
    number = read = 0
    while (position := text.after(BLANK_OR_COMMA, position)) < len(text.window) and text.window[position] != "]":
        number += 1
        try:
            value, position = text.value_at(position)
        except (ValueError, RecursionError) as error:
            where, problem = f"conversation {number}, at byte {text.byte_at(position)}", text.problem(error)
            found = _next_known(text, position + 1, error, known)
            extent = "the file ends in it, or it is damaged" if found is None else "damaged"
            skipped.append(Skipped(where, f"{extent}: {problem}"))
            if found is None:
                break
            position = found
        else:
            read += 1
            yield f"conversation {number}", value
        if position > CHUNK_BYTES:
            text.drop(position)
            position = 0
    else:
        _check_end(text, position, skipped)
    if not read:
        reasons = "; ".join(f"{each.where}: {each.reason}" for each in skipped)
        empty = "the file holds an empty JSON array, and no conversation"
        raise InvalidInput(f"no conversation in the JSON array can be read: {reasons}" if reasons else empty)


def _check_end(text: _Text, position: int, skipped: list[Skipped]) -> None:
    if position == len(text.window):
        skipped.append(Skipped(f"byte {text.byte_at(position)}", "the file ends before the array does"))
        return
    behind = text.after(BLANK, position + 1)
    if behind < len(text.window):
        skipped.append(Skipped(f"byte {text.byte_at(behind)}", "more follows where the array has ended"))


def _next_known(text: _Text, begin: int, error: Exception, known: Known) -> int | None:
    """Where the next conversation begins behind a damaged one; what is before may be let go of."""
    if isinstance(error, json.JSONDecodeError):
        begin = max(begin, error.pos - BACK_CHARACTERS)
    while True:
        found = OBJECT.search(text.window, begin)
        if found is None:
            text.drop(max(len(text.window) - 1, 0))
            begin = 0
            if not text.grow():
                return None
            continue
        begin = found.end()
        try:
            value, end = text.value_at(found.start())
        except (ValueError, RecursionError):
            continue
        if known(value):
            return found.start()
        begin = end
