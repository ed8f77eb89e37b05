r"""The lines of a conversation's file: what stands in them, how they are sealed, and how a file of them is read.

The first line is the header; each further one is a commit, or a change of the catalog's entry that no commit brought.
Every line is one JSON object, and its last field is its seal: 16 bytes, in hexadecimal digits, of the SHA-256 of the
seal before and of the line up to ``,"seal"``; before the header there is none. So a seal vouches for all lines before
it, and lines that were cut off, changed, lost, swapped or repeated are found.

The header
    ``format``, ``layout``  what the file is, and the version of this layout
    ``namespace``, ``stream``  whose conversation it is, and its id
    ``salt``      16 random bytes, so that no line of another file fits behind it
    ``deleted``, ``position``  only where the conversation was deleted: true, and its last position; no line follows
A commit
    ``position``  its place in the whole log
    ``first``, ``count``, ``id``, ``at``, ``schema``, ``checksum``  see ``branchlog.commit``; bytes in hexadecimal
    ``erased``    where the payload was erased: its digest, and a checksum of what stands in its place
    ``newlines``, ``returns``  where in the payload newlines and carriage returns are; in the line blanks stand for them
    ``data``      the payload, byte for byte as it was given
    ``base64``    in place of ``data`` where the payload is not JSON, or not from its first byte to its last
    ``entry``     what changed in the catalog's entry, if anything did
"""

from __future__ import annotations

import re
import secrets
from base64 import b32encode, b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from branchlog.commit import CHECKSUM_BYTES, Commit, Head, genesis
from branchlog.errors import SchemaVersionError
from branchlog.logs.base import Entry, bare_entry, canonical, is_json_value

FORMAT = "branchlog conversation"
LAYOUT = 1

READABLE_MAX = 40
"""Letters of a name that are put in the name of its file."""

_NO_DATA = Raw(b"")
_SEAL_FIELD = len(',"seal":""}') + 2 * CHECKSUM_BYTES


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first line of a file."""

    format: str
    layout: int
    namespace: str
    stream: str
    salt: str
    deleted: bool = False
    position: int = 0


class Changes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What changed in an entry."""

    title: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    created: int | UnsetType = UNSET
    updated: int | UnsetType = UNSET
    nodes: int | UnsetType = UNSET
    branches: int | UnsetType = UNSET
    cursors: dict[str, int] | UnsetType = UNSET


class Line(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line behind the header; one without a ``count`` is no commit."""

    position: int = 0
    first: int = 0
    count: int = 0
    id: str = ""
    at: int = 0
    schema: str = ""
    checksum: str = ""
    erased: str = ""
    newlines: list[int] = []
    returns: list[int] = []
    data: Raw = _NO_DATA
    base64: str = ""
    entry: Changes | UnsetType = UNSET


encode = msgspec.json.encode
_decode_header = msgspec.json.Decoder(Header).decode
_decode_line = msgspec.json.Decoder(Line).decode


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where in the file a commit is, and what has to be known of it without reading it."""

    start: int
    end: int
    first: int
    last: int
    position: int
    id: bytes
    previous: bytes
    checksum: bytes

    @property
    def head(self) -> Head:
        return Head(self.last, self.checksum)


class BadLine(Exception):
    """A line that is not as it was written, and where it begins; ``is_last`` if no sound line stands behind it."""

    def __init__(self, number: int, offset: int, problem: str, *, is_last: bool) -> None:
        self.number = number
        self.offset = offset
        self.problem = problem
        self.is_last = is_last
        super().__init__(problem)


def seal_of(body: bytes, before: bytes) -> bytes:
    """The seal of a line, given all of it up to the field of the seal, and the seal before."""
    digest = sha256(before)
    digest.update(body)
    return digest.digest()[:CHECKSUM_BYTES]


def sealed(shape: msgspec.Struct, before: bytes) -> tuple[bytes, bytes]:
    """A shape as a line, with its newline, and the line's seal."""
    body = encode(shape)[:-1]
    seal = seal_of(body, before)
    return b'%b,"seal":"%b"}\n' % (body, seal.hex().encode()), seal


def seal_in(line: bytes) -> bytes:
    """The seal that stands in a line. Raises ``ValueError`` where none does."""
    tail = line[-_SEAL_FIELD:]
    if len(tail) < _SEAL_FIELD or not tail.startswith(b',"seal":"') or not tail.endswith(b'"}'):
        raise ValueError("it does not end with a seal")
    return bytes.fromhex(tail[9:-2].decode("ascii"))


def opened(line: bytes, before: bytes) -> bytes:
    """The seal of a line (without its newline) that stands behind another. Raises ``ValueError`` if it is not whole."""
    seal = seal_of(line[:-_SEAL_FIELD], before)
    if seal_in(line) != seal or line[-_SEAL_FIELD + 9 : -2] != seal.hex().encode():
        raise ValueError("its seal does not match: it is not as it was written, or not where it was")
    return seal


def header_in(line: bytes) -> Header:
    """The header in a line. Raises ``ValueError`` (of which msgspec's errors are) and ``SchemaVersionError``."""
    header = _decode_header(line)
    if header.format != FORMAT:
        raise ValueError(f"it is no {FORMAT}")
    if header.layout > LAYOUT:
        raise SchemaVersionError("a conversation's file", str(header.layout), str(LAYOUT))
    return header


def line_of(commit: Commit, entry: Changes | None) -> Line:
    """A commit as a line."""
    line = Line(
        position=commit.position,
        first=commit.first,
        count=commit.count,
        id=commit.id.hex(),
        at=commit.at,
        schema=commit.schema,
        checksum=commit.checksum.hex(),
        erased=commit.erased.hex(),
        entry=UNSET if entry is None else entry,
    )
    _put_payload(line, commit.data)
    return line


def _put_payload(line: Line, data: bytes) -> None:
    if not is_json_value(data):
        line.base64 = b64encode(data).decode()
        return
    if b"\n" in data or b"\r" in data:  # JSON has them between tokens only, where a blank says the same
        line.newlines = [at for at, byte in enumerate(data) if byte == 0x0A]
        line.returns = [at for at, byte in enumerate(data) if byte == 0x0D]
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    line.data = Raw(data)


def payload_of(line: Line) -> bytes:
    """The payload, byte for byte as it was given. Raises ``ValueError``."""
    if line.data is _NO_DATA:
        return b64decode(line.base64, validate=True)
    if not line.newlines and not line.returns:
        return bytes(line.data)
    data = bytearray(line.data)
    for at in line.newlines:
        data[at] = 0x0A
    for at in line.returns:
        data[at] = 0x0D
    return bytes(data)


def commit_of(line: Line, stream: str, previous: bytes) -> Commit:
    """The commit in a line, of which nothing is checked. Raises ``ValueError``."""
    return Commit(
        stream,
        line.first,
        line.count,
        bytes.fromhex(line.id),
        line.at,
        line.schema,
        payload_of(line),
        previous,
        bytes.fromhex(line.checksum),
        line.position,
        bytes.fromhex(line.erased),
    )


def commit_in(text: bytes, stream: str, previous: bytes) -> Commit:
    """The commit in a line of text, of which nothing is checked. Raises ``ValueError``."""
    try:
        return commit_of(_decode_line(text), stream, previous)
    except (IndexError, RecursionError) as error:
        raise ValueError(str(error)) from error


def changes(before: Entry | None, after: Entry) -> Changes | None:
    """What is to be written of an entry that takes the place of another; None if nothing is."""
    if before is None:
        return Changes(**_facts(after))
    changed = {name: value for name, value in _facts(after).items() if not _same(value, getattr(before, name))}
    return Changes(**changed) if changed else None


def _facts(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Changes.__struct_fields__}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same as JSON: to Python, 1 and True are equal."""
    return one == other and (not isinstance(one, dict) or canonical(one) == canonical(other))


def changed(entry: Entry, change: Changes | UnsetType | None, version: int) -> Entry:
    """An entry after a change, at a version."""
    facts = {} if change is None or change is UNSET else _facts_of(change)
    return msgspec.structs.replace(entry, version=version, **facts)


def _facts_of(change: Changes | UnsetType) -> dict[str, Any]:
    named = ((name, getattr(change, name)) for name in Changes.__struct_fields__)
    return {name: value for name, value in named if value is not UNSET}


class Index:
    """What is known of a conversation's file as far as it was read: where its commits are, and its entry.

    It grows with the file. ``size_bytes`` is how far it reaches, ``seal`` that of the last line.
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.size_bytes = 0
        self.lines = 0
        self.seal = b""
        self.places: list[Place] = []
        self.entry: Entry | None = None
        self._by_id: dict[bytes, Place] = {}
        self._firsts: list[int] = []

    @property
    def head(self) -> Head | None:
        """Where the stream ends; None if it has no commit."""
        return self.places[-1].head if self.places else None

    def by_id(self, id: bytes) -> Place | None:
        """The commit of this id."""
        return self._by_id.get(id)

    def holding(self, after: int, until: int | None) -> Sequence[Place]:
        """The commits that hold a version above ``after`` and up to ``until``."""
        start = max(bisect_left(self._firsts, after + 1) - 1, 0)
        if start < len(self.places) and self.places[start].last <= after:
            start += 1
        end = len(self.places) if until is None else bisect_left(self._firsts, until + 1)
        return self.places[start:end]

    def starting(self, first: int) -> Place | None:
        """The commit whose first event has this version."""
        at = bisect_left(self._firsts, first)
        return self.places[at] if at < len(self.places) and self._firsts[at] == first else None

    def extend(self, data: bytes) -> None:
        """Take in what stands in the file behind what is known of it.

        Raises ``BadLine`` at the first line that is not whole (then all before it was taken in), and
        ``SchemaVersionError``.
        """
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            line = data[start : end if end >= 0 else None]
            try:
                if end < 0:
                    raise ValueError("it is cut off")
                self._take(line, opened(line, self.seal))
            except (ValueError, RecursionError) as error:
                behind = _is_sound_behind(data[start:], self.seal)
                raise BadLine(self.lines + 1, self.size_bytes, str(error), is_last=not behind) from error
            start = end + 1

    def _take(self, text: bytes, seal: bytes) -> None:
        end = self.size_bytes + len(text) + 1
        if self.header is not None:
            self.add(_decode_line(text), end, seal)
            return
        self.header = header_in(text)
        self.size_bytes, self.seal, self.lines = end, seal, self.lines + 1

    def add(self, line: Line, end: int, seal: bytes) -> None:
        """Take in a line that ends at this byte of the file. Raises ``ValueError`` if it does not follow."""
        if line.count:
            self._place(line, end)
        self._change(line)
        self.size_bytes, self.seal, self.lines = end, seal, self.lines + 1

    def _place(self, line: Line, end: int) -> None:
        head = self.head or genesis(self.name[0], self.name[1])
        last = line.first + line.count - 1
        if line.first != head.version + 1:
            raise ValueError(f"expected version {head.version + 1} here, and it says {line.first}")
        place = Place(
            self.size_bytes,
            end,
            line.first,
            last,
            line.position,
            bytes.fromhex(line.id),
            head.checksum,
            bytes.fromhex(line.checksum),
        )
        if self.entry is None:
            self.entry = bare_entry(commit_of(line, self.name[1], head.checksum))
        self.places.append(place)
        self._firsts.append(place.first)
        self._by_id[place.id] = place

    def _change(self, line: Line) -> None:
        if self.entry is None:
            raise ValueError("an entry stands before any commit")
        self.entry = changed(self.entry, line.entry, self.places[-1].last)

    @property
    def header_deleted(self) -> bool:
        """Whether the header says that the conversation was deleted."""
        return self.header is not None and self.header.deleted

    @property
    def header_position(self) -> int:
        """The last position of a conversation that was deleted."""
        return self.header.position if self.header is not None else 0

    @property
    def name(self) -> tuple[str, str]:
        """The namespace and the id, from the header."""
        if self.header is None:
            raise ValueError("there is no header")
        return self.header.namespace, self.header.stream


def _is_sound_behind(data: bytes, before: bytes) -> bool:
    """Whether, behind a line that is not sound, there is one that is, so that it was damaged and not torn.

    A line is held against the seal that stands in the one before; the second also against the seal that the first
    should have, and where a newline was damaged the first may be a sound line with something behind it.
    """
    lines = data.split(b"\n")[:-1]
    if any(_follows(line, seal_in, bad) for bad, line in pairwise(lines)):
        return True
    first = data.partition(b"\n")[0]
    if len(lines) > 1 and _follows(lines[1], lambda bad: seal_of(bad[:-_SEAL_FIELD], before), first):
        return True
    end = first.find(b',"seal":"') + _SEAL_FIELD
    return _SEAL_FIELD <= end < len(first) and _follows(first[:end], lambda _: before, b"")


def _follows(line: bytes, seal: Callable[[bytes], bytes], before: bytes) -> bool:
    try:
        opened(line, seal(before))
    except ValueError:
        return False
    return True


def header_of(namespace: str, stream: str) -> Header:
    """The header of a new file."""
    return Header(format=FORMAT, layout=LAYOUT, namespace=namespace, stream=stream, salt=secrets.token_hex(16))


def text_of(header: Header, commits: Sequence[Commit], entry: Entry | None) -> bytes:
    """A conversation's file: of the entry only what it is in the end."""
    text, seal = sealed(header, b"")
    lines = [text]
    for commit in commits:
        change: Changes | None = None
        if commit is commits[-1] and entry is not None:
            change = changes(None, entry)
        text, seal = sealed(line_of(commit, change), seal)
        lines.append(text)
    return b"".join(lines)


@lru_cache(maxsize=4_096)
def file_name(namespace: str, stream: str) -> str:
    """The name of a conversation's file, without its ending: lower-case ASCII of at most 107 letters.

    >>> file_name("", "Trip to 京都")
    'trip-to.3zk5ocnlaaxx75avet77tdad'
    """
    digest = b32encode(sha256(f"{namespace}\0{stream}".encode()).digest()[:15]).decode().lower()
    return ".".join(part for part in (_readable(namespace), _readable(stream), digest) if part)


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:READABLE_MAX].strip("-")
