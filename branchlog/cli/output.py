"""What reaches the terminal or the pipe: text made harmless, lines with styles, and JSON.

Messages are other people's text. On its way to a terminal nothing in it may act: control characters are shown as the
signs that Unicode has for them, and no markup is looked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TextIO

import click
import msgspec
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

PIPE_WIDTH = 120
"""Columns to which a message is shortened where no terminal says how many there are."""

_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal may act upon: control characters but for tab and line end, and what turns the direction of text."""

_ACTING_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""The same where JSON has already escaped the lower ones."""

_BLANKS = re.compile(r"\s+")

SHORTENED_FROM = 2_000
"""Characters of a message that are looked at to shorten it: more than any screen is wide."""


def harmless(text: str) -> str:
    """The text with every character that a terminal would act upon made visible; line ends and tabs stay."""
    return _ACTING.sub(_shown, text.replace("\r\n", "\n"))


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\u{code:04x}"


def one_line(text: str) -> str:
    """The beginning of a text on one line, harmless."""
    return harmless(_BLANKS.sub(" ", text[:SHORTENED_FROM]).strip())


def several(count: int, what: str, plural: str | None = None) -> str:
    """So many of something, in words."""
    return f"{count:,} {what if count == 1 else plural or f'{what}s'}"


def shortened(text: str, width: int) -> str:
    """The text cut to so many columns, with an ellipsis where something was cut."""
    if cell_len(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    return chop_cells(text, width - 1)[0].rstrip() + "…"


def moment(at: datetime) -> str:
    """A time as people read it, in their own zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether the stream (standard output if none is given) is a terminal."""
    return (sys.stdout if stream is None else stream).isatty()


def width() -> int:
    """The columns that a line may have: those of the terminal, or a fixed number in a pipe."""
    return console().width if is_terminal() else PIPE_WIDTH


def console(*, error: bool = False) -> Console:
    """Where to print; made anew, since tests and shells exchange the streams."""
    return Console(stderr=error, highlight=False, markup=False, emoji=False, soft_wrap=True)


def write(line: str = "") -> None:
    """Write a line to standard output as it is."""
    click.echo(line)


def write_lines(lines: Iterable[Text]) -> None:
    """Write lines with their styles to a terminal, without them elsewhere."""
    if not is_terminal():
        for line in lines:
            click.echo(line.plain)
        return
    screen = console()
    for line in lines:
        screen.print(line)


def note(text: str) -> None:
    """Write a line beside the output: to standard error."""
    click.echo(text, err=True)


def json_text(value: Any) -> str:
    """A value as one line of JSON; ``Any``, since JSON is what leaves here."""
    return _ACTING_IN_JSON.sub(_escaped, msgspec.json.encode(value).decode())


def write_json(value: Any) -> None:
    """Write one JSON document; ``Any``, since JSON is what leaves here."""
    text = json_text(value)
    click.echo(msgspec.json.format(text, indent=2) if is_terminal() else text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
