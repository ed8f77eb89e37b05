"""Which format a value is of: told by what is in it, never by the name of its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from branchlog._core.message import Json
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.formats import chatgpt, dataknobs, oasst
from branchlog.formats.outline import Outline, Repairs, described


class Reader(Protocol):
    """The names that every format's module has."""

    FORMAT: str

    def recognises(self, value: dict[str, Any]) -> bool:
        """Whether a JSON object has the shape of a conversation of this format."""

    def read(self, value: dict[str, Any], where: str) -> tuple[Outline, Repairs]:
        """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it is none."""


class Writer(Protocol):
    """What the module of a format has beside this if it can be written."""

    FORMAT: str

    def write(self, chat: Conversation, *, schema: str = ...) -> dict[str, Any]:
        """The conversation as JSON of this format, of a version of it; raises ``InvalidInput`` where that cannot be."""


READERS: tuple[Reader, ...] = (chatgpt, oasst, dataknobs)
"""Every format that can be read. No value is recognised by two."""

WRITERS: tuple[Writer, ...] = (dataknobs,)
"""Every format that can be written."""


def writer_of(format: str) -> Writer:
    """The format of this name. Raises ``InvalidInput`` if it cannot be written."""
    found = next((writer for writer in WRITERS if format == writer.FORMAT), None)
    if found is None:
        known = ", ".join(writer.FORMAT for writer in WRITERS)
        raise InvalidInput(f"no format {format!r} can be written; there are: {known}")
    return found


def reader_of(value: Json) -> Reader | None:
    """The format that knows this shape."""
    if not isinstance(value, dict):
        return None
    return next((reader for reader in READERS if reader.recognises(value)), None)


def is_known(value: Json) -> bool:
    """Whether any format knows this shape."""
    return reader_of(value) is not None


def formats_of(values: Iterable[tuple[str, Json]]) -> tuple[str, ...]:
    """The formats among these values. Raises ``InvalidInput``, with what was found instead, where there are none."""
    first: object = None
    found: dict[str, None] = {}
    for index, (_, value) in enumerate(values):
        first = value if index == 0 else first
        reader = reader_of(value)
        if reader is not None:
            found[reader.FORMAT] = None
    if not found:
        known = ", ".join(reader.FORMAT for reader in READERS)
        raise InvalidInput(f"no conversations of a known format ({known}): found {described(first)}")
    return tuple(found)


def read(value: Json, where: str, formats: Sequence[str] = ()) -> tuple[Outline, Repairs]:
    """The conversation that a value is, not mended yet. Raises ``InvalidInput`` if it is none.

    ``formats`` are those of the file: where there is one only, its reader says what is wrong with another object.
    """
    reader = reader_of(value)
    if reader is None and len(formats) == 1 and isinstance(value, dict):
        reader = next(known for known in READERS if formats[0] == known.FORMAT)
    if reader is None:
        raise InvalidInput(f"not a conversation of a known format: {described(value)}")
    return reader.read(value, where)
