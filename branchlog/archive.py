"""The archive: conversations of a store as JSON Lines, with everything that their log says of them.

The first line is a header, each further one a commit, in the order in which they were written::

    {"branchlog-archive":1,"namespace":""}
    {"conversation":"trip","first":1,"count":2,"id":"0199...","at":1763682452000000,"schema":"1.0.0",
     "previous":"5f1c...","checksum":"77ab...","events":[{"type":"conversation-started",...},...]}

``first`` is the version of the commit's first event; ``at`` is in microseconds since 1970 UTC; ``id``, ``previous``,
``checksum`` and ``erased`` are hexadecimal and say what ``branchlog.commit.Commit`` says. ``events`` is the payload, to
the letter. One that is not JSON on one line is in ``data`` instead, as Base64.

Read into a store of the same namespace, the commits are the same to the last bit, checksums included, so that writing
the archive again gives the same bytes. In another namespace the checksums are made anew. Deleted conversations leave no
trace in an archive; snapshots are caches and stay behind.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

import attrs
import msgspec

from branchlog import _steps
from branchlog.commit import Commit, Head, genesis, is_whole
from branchlog.errors import BackendError, BranchlogError, CorruptLog, InvalidInput, LogClosed, SchemaVersionError
from branchlog.formats.carry import Skipped
from branchlog.formats.document import Bytes
from branchlog.logs.base import Entry, check_name, is_json_value
from branchlog.migration import Copying, every, folded
from branchlog.store import Store

FORMAT = "archive"
VERSION = 1

PAGE_COMMITS = 500
"""Commits that are read, or written in one transaction."""

CHUNK_BYTES = 1 << 20
LINE_BYTES_MAX = 512 << 20
"""The longest line that is read: a commit of all that one import brought in at once is the largest known, 36 MB."""

HEADER = re.compile(rb'\s*\{\s*"branchlog-archive"\s*:')

Progress: TypeAlias = Callable[[int, int], None]


class Output(Protocol):
    """What is needed of a file that is written: bytes, from the front to the back."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""


class _Header(msgspec.Struct, frozen=True):
    version: int = msgspec.field(name="branchlog-archive")
    namespace: str = ""


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One commit, field by field as it stands in the line."""

    conversation: str
    first: int
    count: int
    id: str
    at: int
    schema: str
    previous: str
    checksum: str
    erased: str = ""
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: str = ""


_line_decoder = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


# Out.


def write_archive(
    store: Store, file: Output, *, ids: Iterable[str] | None = None, progress: Progress | None = None
) -> int:
    """Write the conversations of a store, or those of these ids, to a file that takes bytes; how many there are.

    Raises ``ConversationNotFound``, and what the store raises. ``progress`` is told how many events are written, and
    how many there are.
    """
    wanted = None if ids is None else {id: store.describe(id) for id in ids}
    file.write(_encoder.encode(_Header(VERSION, store.namespace)) + b"\n")
    written: set[str] = set()
    done = position = 0
    total = sum(each.version for each in (every(store) if wanted is None else wanted.values())) if progress else 0
    while commits := store.log.read_all(after=position, limit=PAGE_COMMITS):
        position = commits[-1].position
        for commit in commits:
            if wanted is None or commit.stream in wanted:
                file.write(line_of(commit))
                written.add(commit.stream)
                done += commit.count
        if progress:
            progress(done, max(done, total))
    return len(written)


def line_of(commit: Commit) -> bytes:
    """The line of a commit, with its end."""
    fits = is_json_value(commit.data) and b"\n" not in commit.data and b"\r" not in commit.data
    line = _Line(
        conversation=commit.stream,
        first=commit.first,
        count=commit.count,
        id=commit.id.hex(),
        at=commit.at,
        schema=commit.schema,
        previous=commit.previous.hex(),
        checksum=commit.checksum.hex(),
        erased=commit.erased.hex(),
        events=msgspec.Raw(commit.data) if fits else msgspec.UNSET,
        data="" if fits else base64.b64encode(commit.data).decode(),
    )
    return _encoder.encode(line) + b"\n"


# In.


def begins(data: bytes) -> bool:
    """Whether a file that begins with these bytes is an archive."""
    return HEADER.match(data.removeprefix(b"\xef\xbb\xbf")) is not None


@attrs.define
class Arrival:
    """What became of the conversations of an archive, as ``exchange.FileReport`` counts it."""

    added: int = 0
    grown: int = 0
    unchanged: int = 0
    nodes: int = 0
    branches: int = 0
    skipped: list[Skipped] = attrs.field(factory=list)


def read_archive(store: Store, file: Bytes, *, progress: Callable[[], None] | None = None) -> Arrival:
    """Bring the conversations of an archive into a store: what it lacks of them.

    Each commit is checked against the one before it. A conversation of which a commit is missing or damaged comes in up
    to there, and one that the store has otherwise is left alone; both are in ``skipped``. Raises ``InvalidInput`` where
    it is no archive, ``SchemaVersionError`` where it is one of a later version, and what the store raises where its log
    fails.
    """
    lines = _lines(file)
    arriving = _Arriving(store, _header(next(lines, b"")).namespace)
    group: list[Commit] = []
    for number, line in enumerate(lines, 2):
        commit = arriving.commit(line, f"line {number}")
        if commit is not None:
            group.append(commit)
        if len(group) >= PAGE_COMMITS:
            arriving.copy(group)
            group = []
        if progress is not None:
            progress()
    arriving.copy(group)
    return arriving.told()


def _header(line: bytes | None) -> _Header:
    try:
        header = msgspec.json.decode((line or b"").removeprefix(b"\xef\xbb\xbf"), type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"no archive: its first line is not the header of one: {error}") from error
    if header.version != VERSION:
        raise SchemaVersionError("an archive", str(header.version), str(VERSION))
    return header


def _lines(file: Bytes) -> Iterator[bytes | None]:
    """The lines that are not empty; None for one that is too long to be held."""
    held = bytearray()
    too_long = False
    while read := file.read(CHUNK_BYTES):
        *whole, rest = read.split(b"\n")
        for end in whole:
            line = None if too_long else bytes(held + end)
            held.clear()
            too_long = False
            if line is None or line.strip():
                yield line
        held += rest
        if len(held) > LINE_BYTES_MAX:
            held.clear()
            too_long = True
    if too_long or held.strip():
        yield None if too_long else bytes(held)


class _Arriving:
    """One archive on its way into a store."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._copying = Copying(store)
        self._checksums: dict[str, tuple[int, bytes]] = {}
        self._before: dict[str, Entry | None] = {}
        """What the store had of each conversation before the archive was read."""
        self._broken: set[str] = set()
        """Conversations of which a commit is missing or damaged."""
        self._otherwise: set[str] = set()
        """Conversations that the store has otherwise."""
        self._arrival = Arrival()

    def commit(self, line: bytes | None, where: str) -> Commit | None:
        """The commit of a line, if it follows those before it."""
        try:
            if line is None:
                raise InvalidInput(f"a line of more than {LINE_BYTES_MAX >> 20} MiB")
            commit = _commit_of(line)
        except (InvalidInput, ValueError) as error:
            self._arrival.skipped.append(Skipped(where, str(error)))
            return None
        problem = self._problem(commit)
        if problem is None:
            self._checksums[commit.stream] = commit.last, commit.checksum
            return commit
        if commit.stream not in self._broken:  # what follows does not follow either, and need not be told
            self._broken.add(commit.stream)
            self._arrival.skipped.append(Skipped(where, problem))
        return None

    def _problem(self, commit: Commit) -> str | None:
        """What is wrong with a commit, if anything is; its conversation goes on only where another one follows."""
        version, checksum = self._checksums.get(commit.stream, (0, b""))
        if not version:
            checksum = genesis(self._namespace, commit.stream).checksum
        told = f"{commit.stream!r} comes in up to version {version}"
        if commit.first != version + 1:
            return f"{told}: version {version + 1} is missing"
        if commit.previous != checksum or not is_whole(commit):
            return f"{told}: the checksum does not match: what follows is not as it was written"
        return None

    def copy(self, commits: list[Commit]) -> None:
        """Bring commits in, each conversation by itself where another one stands in the way."""
        appends = []
        for commit in commits:
            if commit.stream in self._otherwise:
                continue
            try:
                if commit.stream not in self._before:
                    self._before[commit.stream] = self._store.log.entry(commit.stream)
                append = self._copying.append_of(commit)
            except (BackendError, LogClosed):
                raise
            except BranchlogError as error:
                self._otherwise.add(commit.stream)
                self._arrival.skipped.append(Skipped(f"conversation {commit.stream!r}", str(error)))
            else:
                appends += [] if append is None else [append]
        self._copying.write(appends)

    def told(self) -> Arrival:
        """Fold what came in, put the catalog right, and tell what became of it all."""
        for id in self._copying.streams.keys() - self._otherwise:
            head = self._store.log.head(id)
            if head is None:
                continue
            before = self._before[id]
            if before is None or head.version > before.version:
                self._tell_new(id)
            elif self._is_ahead(id, head):
                self._arrival.skipped.append(
                    Skipped(f"conversation {id!r}", "the store has it, and it went on otherwise")
                )
            else:
                self._arrival.unchanged += 1
        return self._arrival

    def _is_ahead(self, id: str, head: Head) -> bool:
        """Whether what the store has is more than the archive has, but not the same up to there."""
        copied = self._copying.streams[id].head
        there = head if head.version == copied.version else self._store.log.read(id, until=copied.version)[-1].head
        return there != copied

    def _tell_new(self, id: str) -> None:
        arrival, before = self._arrival, self._before[id]
        try:
            chat = folded(self._store, id)
        except CorruptLog as error:
            arrival.skipped.append(Skipped(f"conversation {id!r}", f"it came in, but cannot be read: {error}"))
            return
        entry = _steps.entry_of(chat, chat.version)
        self._store.log.put_entry(entry)
        arrival.added += before is None
        arrival.grown += before is not None
        arrival.nodes += entry.nodes - (before.nodes if before else 0)
        arrival.branches += entry.branches - (before.branches if before else 0)


def _commit_of(line: bytes) -> Commit:
    """Raises ``InvalidInput`` and ``ValueError`` for what is no commit."""
    try:
        fields = _line_decoder.decode(line)
        raw = fields.events
        data = bytes(raw) if isinstance(raw, msgspec.Raw) else base64.b64decode(fields.data, validate=True)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
        raise InvalidInput(f"not the line of a commit: {error}") from error
    if not (0 < fields.first < 2**63 and 0 < fields.count < 2**31 and 0 <= fields.at < 2**63):
        raise InvalidInput("not the line of a commit: a number that none can have")
    return Commit(
        check_name(fields.conversation, "the id of a conversation"),
        fields.first,
        fields.count,
        bytes.fromhex(fields.id),
        fields.at,
        fields.schema,
        data,
        bytes.fromhex(fields.previous),
        bytes.fromhex(fields.checksum),
        erased=bytes.fromhex(fields.erased),
    )
