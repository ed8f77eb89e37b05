"""Which format a file is of: told by what is in it, never by its name.

A file is a row of JSON values: the elements of an array, the lines of JSON Lines, or one object alone. In most formats
each value is a conversation by itself; a ``Reader`` knows those. In the others a conversation is the whole row, a value
for each message or event; a ``RecordReader`` knows those by the first few values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Protocol, TypeAlias

from branchlog._core.message import Json
from branchlog.conversation import Conversation
from branchlog.errors import BranchlogError, InvalidInput
from branchlog.formats import (
    assistant_ui,
    chat_completions,
    chatgpt,
    claude_ai,
    claude_code,
    dataknobs,
    fine_tuning,
    graphviz,
    librechat,
    loom,
    markdown,
    mermaid,
    oasst,
    oasst_sampling,
    openwebui,
    pi,
    preferences,
    sharegpt,
    sillytavern,
    webpage,
)
from branchlog.formats.carry import Skipped
from branchlog.formats.outline import Join, Outline, Repairs, described

Record: TypeAlias = tuple[str, Json]
"""One value of a file, after its place."""

Found: TypeAlias = tuple[str, Outline, Repairs]
"""One conversation of a file, not mended yet: its place, what it says, and what was repaired."""

RECORDS_LOOKED_AT = 50
"""Values at the beginning of a file by which the format is told where none of them is a conversation by itself."""


class Reader(Protocol):
    """The names that every format's module has whose conversations are one value each."""

    FORMAT: str

    def recognises(self, value: dict[str, Any]) -> bool:
        """Whether a JSON object has the shape of a conversation of this format."""

    def read(self, value: dict[str, Any], where: str) -> tuple[Outline, Repairs]:
        """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it is none."""


class RecordReader(Protocol):
    """The names that a format's module has whose conversations are several values; it may be a ``Reader`` as well."""

    FORMAT: str

    def recognises_records(self, values: Sequence[Json]) -> bool:
        """Whether these, the first few values of a file, are of this format, some damaged ones among them."""

    def read_records(self, records: Iterable[Record], name: str) -> Iterator[Found | Skipped]:
        """The conversations of a file of this name, as they come; what does not come in is skipped and said."""


class Writer(Protocol):
    """What the module of a format has beside this if it can be written.

    ``JOIN`` says how several conversations go into one file: as an ``array``, as ``lines`` of JSON, or not (``alone``).
    ``SUFFIX`` is that of a file, with its dot. ``PATHS`` says whether a path can be written instead of a tree.
    """

    FORMAT: str
    JOIN: Join
    SUFFIX: str
    PATHS: bool

    def write(self, chat: Conversation) -> Any:
        """The conversation as JSON of this format, as text if it is a text, as a list of lines if it is of lines.

        Where ``PATHS`` is true, a keyword ``node`` takes a node, to which the path is written. Raises ``InvalidInput``
        where the format has no place for the conversation.
        """


READERS: tuple[Reader, ...] = (
    chatgpt,
    claude_ai,
    openwebui,
    oasst,
    dataknobs,
    chat_completions,
    sharegpt,
    assistant_ui,
    loom,
    librechat,
)
"""Every format of which each value is a conversation. No value is recognised by two."""

RECORD_READERS: tuple[RecordReader, ...] = (
    oasst,
    chat_completions,
    sharegpt,
    claude_code,
    pi,
    loom,
    oasst_sampling,
    sillytavern,
)
"""Every format of which a conversation may be several values. One that is a reader too reads whole files as this."""

READABLE = tuple(sorted({*(reader.FORMAT for reader in READERS), *(reader.FORMAT for reader in RECORD_READERS)}))
"""The names of the formats that can be read."""

WRITERS: tuple[Writer, ...] = (
    chatgpt,
    openwebui,
    dataknobs,
    chat_completions,
    fine_tuning,
    preferences,
    oasst,
    assistant_ui,
    markdown,
    webpage,
    mermaid,
    graphviz,
)
"""Every format that can be written."""


def writer_of(format: str) -> Writer:
    """The format of this name. Raises ``InvalidInput`` if it cannot be written."""
    found = next((writer for writer in WRITERS if format == writer.FORMAT), None)
    if found is None:
        known = ", ".join(writer.FORMAT for writer in WRITERS)
        raise InvalidInput(f"no format {format!r} can be written; there are: {known}")
    return found


def reader_of(value: Json) -> Reader | None:
    """The format that knows this value as a conversation."""
    if not isinstance(value, dict):
        return None
    return next((reader for reader in READERS if reader.recognises(value)), None)


def is_known(value: Json) -> bool:
    """Whether any format knows this value as a conversation."""
    return reader_of(value) is not None


def conversations(records: Iterable[Record], name: str) -> Iterator[Found | Skipped]:
    """The conversations of a file of this name, as they come, and what is none.

    Raises ``InvalidInput``, at the end at the latest, where there is none of a known format.
    """
    following = iter(records)
    first = list(islice(following, RECORDS_LOOKED_AT))
    values = [value for _, value in first]
    formats = {reader.FORMAT for value in values if (reader := reader_of(value)) is not None}
    able = (reader for reader in RECORD_READERS if formats <= {reader.FORMAT} and reader.recognises_records(values))
    record_reader = next(able, None)
    whole = chain(first, following)
    if record_reader is None:
        yield from _one_by_one(whole)
    else:
        yield from record_reader.read_records(whole, name)


def _one_by_one(records: Iterable[Record]) -> Iterator[Found | Skipped]:
    """Each value by itself. Where all are of one format, its reader says what is wrong with another object."""
    first: object = None
    formats: dict[str, Reader] = {}
    waiting: list[Record] = []
    for index, (where, value) in enumerate(records):
        first = value if index == 0 else first
        reader = reader_of(value)
        if reader is not None:
            formats[reader.FORMAT] = reader
        waiting.append((where, value))
        if formats or len(waiting) >= RECORDS_LOOKED_AT:
            yield from (_read(each, place, formats) for place, each in waiting)
            waiting = []
    if not formats:
        known = ", ".join(READABLE)
        raise InvalidInput(f"no conversations of a known format ({known}): found {described(first)}")


def _read(value: Json, where: str, formats: dict[str, Reader]) -> Found | Skipped:
    reader = reader_of(value)
    if reader is None and len(formats) == 1 and isinstance(value, dict):
        (reader,) = formats.values()
    if reader is None:
        return Skipped(where, f"not a conversation of a known format: {described(value)}")
    try:
        outline, repairs = reader.read(value, where)
    except BranchlogError as error:
        return Skipped(where, str(error))
    return where, outline, repairs
