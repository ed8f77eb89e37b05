"""The port: what a log of commits does, in two colours.

A *log* keeps streams of commits in one namespace, and beside each stream one catalog entry, so that conversations can
be listed without being opened. A backend is one class with the methods of ``Log`` (blocking) or of ``AsyncLog`` (the
same with ``await``). It sees names, numbers and bytes; no events, no trees.

Rules for all methods: a closed log raises ``LogClosed``; a backend's own exceptions become ``BackendError`` at its
border; what was damaged raises ``CorruptLog`` and is never passed on; a stream in another namespace does not exist. A
method may be called from any thread.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import nlargest, nsmallest
from operator import attrgetter
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import attrs
import msgspec

from branchlog.commit import Commit, Head, Snapshot, genesis, is_whole, reseal, same_content
from branchlog.errors import (
    BackendError,
    BranchlogError,
    CommitIdReused,
    CorruptLog,
    InvalidInput,
    LogClosed,
    VersionConflict,
)

T = TypeVar("T")

NAME_BYTES_MAX = 1_024
"""UTF-8 bytes of a stream's or namespace's name: what every planned backend can index."""


class Expected(enum.Enum):
    """What an append may expect of the stream, where it does not name an exact version."""

    ANY = "any"
    """Whatever is there, a stream or none."""
    EXISTS = "exists"
    """At least one commit."""

    def __str__(self) -> str:
        return "a stream that exists" if self is Expected.EXISTS else "any version"


ExpectedVersion: TypeAlias = int | Expected
"""An exact version (0: no stream yet), or one of ``Expected``."""


@attrs.frozen(kw_only=True)
class Abilities:
    """What a backend can do beyond the port, declared as data for callers and for the contract kit.

    ``durable``: an acknowledged append survives a power loss. ``persistent``: it survives closing. ``shared``: several
    processes may have the log open at once. ``snapshots``: it keeps snapshots. ``erases``: what ``redact`` and
    ``delete`` take away is nowhere in its files when they return. ``drafts``: it keeps drafts.
    """

    durable: bool
    persistent: bool
    shared: bool
    snapshots: bool
    erases: bool
    drafts: bool = False


@attrs.frozen(kw_only=True)
class Examination:
    """What a log finds of itself, for people.

    ``kind`` says what it is (``SQLite file``), ``place`` where, without any password. ``facts`` are figures and
    settings by name, ``bytes`` among them where the log has a size. ``problems`` is what is wrong, or less safe than
    its abilities say, each with what to do about it.
    """

    kind: str
    place: str
    facts: Mapping[str, int | float | str | bool] = attrs.field(factory=dict)
    problems: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog says of one conversation, kept in step with its stream by every append.

    ``version`` is the number of events; ``nodes`` and ``branches`` count nodes and leaves; ``cursors`` gives each
    cursor's node by version; ``created`` and ``updated`` are microseconds since 1970 UTC.
    """

    id: str
    version: int
    title: str | None
    metadata: dict[str, Any]
    created: int
    updated: int
    nodes: int
    branches: int
    cursors: dict[str, int]


class StoredEntry(msgspec.Struct, frozen=True):
    """An entry as backends store it, beside a stream whose id and version they know."""

    title: str | None
    metadata: dict[str, Any]
    created: int
    updated: int
    nodes: int
    branches: int
    cursors: dict[str, int]


def stored_entry(entry: Entry) -> StoredEntry:
    """The part of an entry that is stored."""
    return StoredEntry(
        entry.title, entry.metadata, entry.created, entry.updated, entry.nodes, entry.branches, entry.cursors
    )


def entry_from(id: str, version: int, stored: StoredEntry) -> Entry:
    """The whole entry of a stored one."""
    return Entry(
        id=id,
        version=version,
        title=stored.title,
        metadata=stored.metadata,
        created=stored.created,
        updated=stored.updated,
        nodes=stored.nodes,
        branches=stored.branches,
        cursors=stored.cursors,
    )


Order: TypeAlias = Literal["updated", "created", "title", "id"]
ORDERS: tuple[Order, ...] = ("updated", "created", "title", "id")


@attrs.frozen(kw_only=True)
class Query:
    """Which conversations to list, and in which order.

    ``metadata`` keeps those whose metadata has these values under these keys (equal as JSON: 1 is not true). Equal
    places in the order are put in order of id. ``after`` continues behind the entry with this order value and id.
    """

    metadata: dict[str, Any] = attrs.field(factory=dict)
    order: Order = "updated"
    descending: bool = True
    limit: int | None = None
    after: tuple[int | str, str] | None = None


def order_value(entry: Entry, order: Order) -> int | str:
    """What an entry is put in order by; a conversation without a title counts as one with an empty one."""
    value: int | str | None = getattr(entry, order)
    return "" if value is None else value


def selected(entries: Iterable[Entry], query: Query) -> list[Entry]:
    """The entries that a query asks for, of those that have its metadata: for backends that keep them in memory."""
    place = _place_by_title if query.order == "title" else attrgetter(query.order, "id")
    if query.after is not None:
        behind = query.after
        entries = [each for each in entries if place(each) != behind and (place(each) < behind) is query.descending]
    if query.limit is None:
        return sorted(entries, key=place, reverse=query.descending)
    if query.descending:  # those that came last are likely the latest, and met first leave the heap as it is
        return nlargest(query.limit, list(entries)[::-1], key=place)
    return nsmallest(query.limit, entries, key=place)


def _place_by_title(entry: Entry) -> tuple[str, str]:
    return entry.title or "", entry.id


def having(entries: Iterable[Entry], metadata: dict[str, Any]) -> list[Entry]:
    """The entries that have these values in their metadata."""
    found = list(entries)
    for key, value in metadata.items():
        wanted = _canonical(value)
        found = [each for each in found if key in each.metadata and _canonical(each.metadata[key]) == wanted]
    return found


class Appended(msgspec.Struct, frozen=True):
    """The answer to an append: the commit as it is stored, and whether it had been stored before by an earlier try."""

    commit: Commit
    deduplicated: bool = False


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """One append among several that share a transaction."""

    commit: Commit
    expected: ExpectedVersion
    entry: Entry | None = None


class Draft(msgspec.Struct, frozen=True):
    """What has arrived of a commit that is still to be made: pieces, in order, as bytes.

    ``id`` is the 16 bytes that the commit will have as its own: a draft of which the commit is there is settled.
    """

    id: bytes
    pieces: tuple[bytes, ...]


@attrs.frozen(kw_only=True)
class Erasure:
    """Other data to stand in place of a payload: that of the commit whose first event has the version ``first``."""

    first: int
    data: bytes


@runtime_checkable
class ReadsInThreads(Protocol):
    """An async log that has a blocking one beneath, and reads it in threads of its own."""

    async def beneath(self, work: Callable[[Log], T]) -> T:
        """What some work on the blocking log comes to, done in one of these threads."""


@runtime_checkable
class GivesPayloads(Protocol):
    """A log, of either colour, that can give the payloads of many commits in less time than ``read`` takes."""

    def payloads(self, stream: str, *, after: int, until: int) -> Any:
        """The payloads of the commits after one version up to another, both of them ends of commits, as bytes.

        A line end stands between one and the next. Nothing is verified: whoever asks has a digest of them.
        """


@runtime_checkable
class Log(Protocol):
    """A log, blocking."""

    @property
    def abilities(self) -> Abilities:
        """What this backend can do."""

    @property
    def namespace(self) -> str:
        """Whose conversations these are."""

    def within(self, namespace: str) -> Log:
        """The same log, seen from another namespace; closing either closes both."""

    def reopened(self) -> Log:
        """The same log, open whether this one is or not; closing it closes only what it opened.

        Raises ``LogClosed`` where a log cannot be opened again by itself.
        """

    def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        """Compare and write in one step; durable, where the backend is, when this returns.

        The commit is taken as it is if it follows the head; with ``Expected`` it is sealed anew behind the head. The
        entry replaces the catalog's; without one the catalog stays (a new stream gets a bare one).

        Raises ``VersionConflict`` if the stream is elsewhere; ``CommitIdReused`` if the stream has a commit of this id
        with other contents (with the same contents this is a retry, whatever is expected: the first answer comes again,
        ``deduplicated``); ``ConversationDeleted`` if the stream was deleted; ``InvalidInput`` for a commit of no
        events. Whatever is raised, nothing of the commit was written, but for a ``BackendError``: then it may have
        been, and the same commit may be sent again.
        """

    def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        """Several appends, in order, made durable together; each succeeds or is refused by itself.

        Raises only what concerns them all, such as a ``BackendError`` of the disk.
        """

    def head(self, stream: str) -> Head | None:
        """Where the stream ends; None if there is no such stream. Raises ``ConversationDeleted``."""

    def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        """The commits that hold a version above ``after`` and up to ``until`` (both inside a commit: that commit).

        In order of versions, or in the opposite order; at most ``limit`` of them, counted from the end that comes
        first. Each is verified, and each against its neighbours; a read that goes to the end of the stream is verified
        against the head. No such stream: no commits. Raises ``ConversationDeleted`` and ``CorruptLog``.
        """

    def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """The commits of all streams of the namespace with a position above ``after``, in order of positions.

        Positions only ever increase and are not used again; there may be gaps. A position that was seen once is never
        joined by a lower one later: reading on from the last position seen misses nothing.
        """

    def entry(self, stream: str) -> Entry | None:
        """The catalog's entry; None if there is no such stream. Raises ``ConversationDeleted``."""

    def entries(self, query: Query) -> list[Entry]:
        """The catalog's entries that a query asks for."""

    def count(self, metadata: dict[str, Any]) -> int:
        """How many conversations have these values in their metadata."""

    def put_entry(self, entry: Entry) -> bool:
        """Put the catalog right: keep this entry for its stream, if the stream is at the entry's version."""

    def namespaces(self) -> list[str]:
        """Every namespace in which there is a conversation, in order."""

    def snapshots(self, stream: str) -> list[Snapshot]:
        """The snapshots of a stream, in order of versions, as they were put; whoever uses one verifies it.

        Raises ``ConversationDeleted``. A backend without the ability has none.
        """

    def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        """Keep a snapshot, if the stream ends at its version and checksum; whether it was kept.

        Otherwise another writer has been there since it was taken, and may have erased what it still holds.
        """

    def drop_snapshots(self, stream: str) -> int:
        """Forget the snapshots of a stream; how many there were."""

    def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        """Keep a piece of the draft of this id, beside the stream; durable, where the backend is, when this returns.

        ``number`` counts from 0; a piece that is there is replaced. No event, version or position comes of it. Raises
        ``ConversationNotFound`` where there is no such stream, ``ConversationDeleted``, and ``InvalidInput`` for an id
        that is not 16 bytes and in a backend without the ability.
        """

    def drafts(self, stream: str) -> list[Draft]:
        """The drafts of a stream, in order of their ids, each with its pieces up to the first that is missing.

        Raises ``ConversationDeleted``. A backend without the ability has none.
        """

    def drop_draft(self, stream: str, draft: bytes) -> bool:
        """Forget a draft; whether there was one."""

    def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        """Append a commit and in the same step put other data in place of payloads that were written before.

        The commits concerned stay where they are and verify as before; all snapshots of the stream go. Once this has
        returned, the payloads are in none of the backend's files. Raises as ``append`` does, ``InvalidInput`` for an
        erasure of a commit that is not there, and ``BackendError`` where something stays behind for now (then it was
        appended; the same call may be made again).
        """

    def delete(self, stream: str) -> bool:
        """Take the stream and its entry away for good, leaving only the fact that the name was used; False if none was.

        Raises ``ConversationDeleted`` the second time.
        """

    def examine(self) -> Examination:
        """Look at what lies beneath: what it is, how large, what is wrong. Changes nothing; may read a great deal."""

    def close(self) -> None:
        """Let go of all that is held. Closing twice is allowed."""


@runtime_checkable
class AsyncLog(Protocol):
    """A log whose methods are awaited; each is described at its twin in ``Log``."""

    @property
    def abilities(self) -> Abilities:
        """As ``Log.abilities``."""

    @property
    def namespace(self) -> str:
        """As ``Log.namespace``."""

    @property
    def blocking(self) -> Log | None:
        """A blocking log of the same commits whose reads are local and short, where there is one."""

    def within(self, namespace: str) -> AsyncLog:
        """As ``Log.within``."""

    async def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        """As ``Log.append``."""

    async def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        """As ``Log.append_group``."""

    async def head(self, stream: str) -> Head | None:
        """As ``Log.head``."""

    async def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        """As ``Log.read``."""

    async def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """As ``Log.read_all``."""

    async def entry(self, stream: str) -> Entry | None:
        """As ``Log.entry``."""

    async def entries(self, query: Query) -> list[Entry]:
        """As ``Log.entries``."""

    async def count(self, metadata: dict[str, Any]) -> int:
        """As ``Log.count``."""

    async def put_entry(self, entry: Entry) -> bool:
        """As ``Log.put_entry``."""

    async def namespaces(self) -> list[str]:
        """As ``Log.namespaces``."""

    async def snapshots(self, stream: str) -> list[Snapshot]:
        """As ``Log.snapshots``."""

    async def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        """As ``Log.put_snapshot``."""

    async def drop_snapshots(self, stream: str) -> int:
        """As ``Log.drop_snapshots``."""

    async def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        """As ``Log.extend_draft``."""

    async def drafts(self, stream: str) -> list[Draft]:
        """As ``Log.drafts``."""

    async def drop_draft(self, stream: str, draft: bytes) -> bool:
        """As ``Log.drop_draft``."""

    async def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        """As ``Log.redact``."""

    async def delete(self, stream: str) -> bool:
        """As ``Log.delete``."""

    async def examine(self) -> Examination:
        """As ``Log.examine``."""

    async def close(self) -> None:
        """As ``Log.close``."""


def check_name(name: object, what: str, *, empty: bool = False) -> str:
    """The name of a stream or a namespace, if it can be one. Raises ``InvalidInput``.

    Any text of 1 to 1,024 UTF-8 bytes without NUL and lone surrogates, told apart to the letter; a namespace may be "".
    """
    if not isinstance(name, str):
        raise InvalidInput(f"{what} is text, not {name!r}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} has a lone surrogate, which UTF-8 lacks: {name!r}") from None
    if "\0" in name or length > NAME_BYTES_MAX or (not name and not empty):
        raise InvalidInput(f"{what} has 1 to {NAME_BYTES_MAX} bytes and no NUL, not {name[:40]!r} ({length} bytes)")
    return name


def check_commit(commit: Commit) -> None:
    """Raise ``InvalidInput`` for a commit that no log may store."""
    check_name(commit.stream, "the id of a conversation")
    if commit.count < 1 or len(commit.id) != 16:
        raise InvalidInput(
            f"a commit has at least one event and an id of 16 bytes, not {commit.count} and {commit.id!r}"
        )


def check_draft(draft: bytes, number: int) -> None:
    """Raise ``InvalidInput`` for a piece of a draft that no log may keep."""
    if len(draft) != 16 or number < 0:
        raise InvalidInput(f"a draft has an id of 16 bytes and pieces from 0 on, not {draft!r} and {number}")


def drafts_of(pieces: Iterable[tuple[bytes, int, bytes]]) -> list[Draft]:
    """Drafts from their pieces, each with the id of its draft and its number, in any order."""
    found: dict[bytes, dict[int, bytes]] = {}
    for id, number, piece in pieces:
        found.setdefault(id, {})[number] = piece
    return [Draft(id, tuple(_contiguous(found[id]))) for id in sorted(found)]


def _contiguous(pieces: dict[int, bytes]) -> Iterator[bytes]:
    number = 0
    while number in pieces:
        yield pieces[number]
        number += 1


def placed(commit: Commit, head: Head | None, expected: ExpectedVersion, namespace: str) -> Commit:
    """The commit as it goes into a stream that ends at ``head`` (None: there is no such stream yet).

    The one place where what was expected meets what is there. Raises as ``Log.append`` says.
    """
    here = genesis(namespace, commit.stream) if head is None else head
    if isinstance(expected, Expected):
        if head is None and expected is Expected.EXISTS:
            raise VersionConflict(commit.stream, expected, 0)
        return reseal(commit, here)
    if here.version != expected:
        raise VersionConflict(commit.stream, expected, here.version)
    if commit.first != expected + 1 or not is_whole(commit):
        raise InvalidInput(f"a commit behind version {expected} was not made to follow it: it says {commit.first}")
    if commit.previous != here.checksum:
        raise CorruptLog(
            f"{commit.stream!r} at version {expected}",
            "the stream is not the one that this commit was made to follow: the same versions hold other events",
        )
    return commit


def repeated(commit: Commit, stored: Commit) -> Appended:
    """The answer to a commit whose id the stream has already."""
    if not same_content(commit, stored):
        raise CommitIdReused(commit.stream, commit.id.hex())
    return Appended(stored, deduplicated=True)


def erasable(commit: Commit, stored: Mapping[int, Commit], erasure: Erasure) -> Commit:
    """The commit that an erasure is about. Raises ``InvalidInput`` where there is none."""
    found = stored.get(erasure.first) if erasure.first < commit.first else None
    if found is None:
        raise InvalidInput(f"{commit.stream!r} has no commit at version {erasure.first} to erase")
    return found


def outcome(work: Callable[[], Appended]) -> Appended | Exception:
    """What one append of a group comes to: its answer, or the refusal that concerns it alone."""
    try:
        return work()
    except (BackendError, LogClosed):
        raise
    except BranchlogError as error:
        return error


def bare_entry(commit: Commit) -> Entry:
    """The entry of a stream whose writer gave none."""
    return Entry(
        id=commit.stream,
        version=commit.last,
        title=None,
        metadata={},
        created=commit.at,
        updated=commit.at,
        nodes=0,
        branches=0,
        cursors={},
    )


def canonical(value: Any) -> str:
    """A JSON value as the one text by which it is compared."""
    return _canonical(value).decode()


_canonical = msgspec.json.Encoder(order="deterministic").encode


def is_json_value(data: bytes) -> bool:
    """Whether these bytes are one JSON value from the first to the last, and so can stand in other JSON as they are."""
    if not data or data[:1] in JSON_BLANKS or data[-1:] in JSON_BLANKS:
        return False
    try:
        _decode_raw(data)
        data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


JSON_BLANKS = b" \t\r\n"

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
