"""What lies in the objects of a log in object storage, and what is known of each conversation's.

The layout is described in ``objects``.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from typing import Literal, TypeAlias

import attrs
import msgspec
from msgspec.structs import replace

from branchlog.commit import Commit, Head, genesis, verified
from branchlog.errors import BackendError, ConversationDeleted, CorruptLog, LogClosed
from branchlog.logs._objects.bucket import Bucket, encoded, numbers, sealed, together, unsealed
from branchlog.logs.base import Entry

Place: TypeAlias = tuple[str, str]
"""A namespace and a stream."""

PLACES = 4_096
"""Positions of one claim: more than commits of one group."""

STREAMS_MAX = 1_024
"""Conversations of which is kept what was read: those that are being written, and those that were read last."""

GRACE_SECONDS = 2.0
"""How long a reader waits for a slot that was claimed: a hundred times what it takes a writer that lives."""


class Slot(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The header of a slot. ``by`` is the first version of the redaction that erased its payload last."""

    kind: Literal["commit", "void", "gone", "deleted"]
    namespace: str
    stream: str
    number: int
    claim: int = 0
    place: int = 0
    first: int = 0
    count: int = 0
    id: bytes = b""
    at: int = 0
    schema: str = ""
    previous: bytes = b""
    checksum: bytes = b""
    erased: bytes = b""
    by: int = 0
    entry: Entry | None = None
    erasures: tuple[tuple[int, str], ...] = ()

    @property
    def position(self) -> int:
        """The place of its commit in the whole log."""
        return self.claim * PLACES + self.place

    @property
    def last(self) -> int:
        """The version of the last event."""
        return self.first + self.count - 1

    @property
    def head(self) -> Head:
        """Where the stream ends when this is its last commit."""
        return Head(self.last, self.checksum)


class Claim(msgspec.Struct, frozen=True):
    """The slots that a writer is about to write, as (encoded namespace, encoded stream, number); a number 0 is none."""

    nonce: bytes
    slots: tuple[tuple[str, str, int], ...]


class Listing(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object of the catalog; ``entry`` is missing where the conversation was deleted."""

    namespace: str
    stream: str
    entry: Entry | None = None


class StoredPiece(msgspec.Struct, frozen=True):
    """The header of a piece of a draft."""

    draft: bytes
    number: int


class StoredSnapshot(msgspec.Struct, frozen=True):
    """The header of a snapshot."""

    after: int
    version: int
    checksum: bytes
    fingerprint: str
    seal: bytes


class Checkpoint(msgspec.Struct, frozen=True):
    """A claim up to which the catalog was seen to be in step."""

    claim: int


@attrs.define(eq=False)
class Stream:
    """What is known of a stream: its slots up to some number. ``slots`` are those of commits, without payloads."""

    namespace: str
    id: str
    number: int = 0
    slots: list[Slot] = attrs.field(factory=list)
    ids: dict[bytes, Slot] = attrs.field(factory=dict)
    erasures: dict[int, tuple[int, bytes]] = attrs.field(factory=dict)
    listed: list[int] = attrs.field(factory=list)
    known: bool = False
    deleted: bool = False

    @property
    def folder(self) -> str:
        return f"{encoded_namespace(self.namespace)}/{encoded(self.id)}"

    def key(self, number: int) -> str:
        """The key of a slot."""
        return f"commits/{self.folder}/{number:010}"

    @property
    def head(self) -> Head | None:
        return self.slots[-1].head if self.slots else None

    def add(self, slot: Slot) -> None:
        """Take note of the slot behind those that are known; of another one nothing."""
        if slot.number != self.number + 1:
            return
        if slot.kind != "void" and (slot.namespace, slot.stream) != (self.namespace, self.id):
            raise CorruptLog(f"object {self.key(slot.number)!r}", f"it belongs to {slot.stream!r}")
        if slot.kind == "commit":
            if self.slots:
                self.slots[-1] = replace(self.slots[-1], entry=None)  # that of the last is all that is needed
            self.slots.append(slot)
            self.ids[slot.id] = slot
            self.erasures |= {first: (slot.first, data.encode()) for first, data in slot.erasures}
        self.deleted = self.deleted or slot.kind == "deleted"
        self.number = slot.number

    def holding(self, after: int, until: int | None) -> list[Slot]:
        """The slots that hold a version above one bound and up to the other."""
        if until is not None and until <= after:
            return []
        start = bisect_right(self.slots, after, key=lambda slot: slot.last)
        end = len(self.slots) if until is None else bisect_right(self.slots, until, key=lambda slot: slot.first)
        return self.slots[start : max(start, end)]

    def before(self, slot: Slot) -> Head:
        """Where the stream ends before a slot."""
        index = bisect_left(self.slots, slot.first, key=lambda each: each.first)
        return self.slots[index - 1].head if index else genesis(self.namespace, self.id)


@attrs.define(eq=False)
class Shared:
    """What all namespaces of one log share."""

    bucket: Bucket
    read_only: bool
    streams: dict[Place, Stream] = attrs.field(factory=dict)
    claimed: int = 0
    checked: int = 0
    complete: set[int] = attrs.field(factory=set)
    checking: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    catalog: dict[str, tuple[str | None, Listing]] = attrs.field(factory=dict)
    checkpoint: int = 0
    closed: bool = False

    def check_open(self) -> None:
        if self.closed:
            raise LogClosed(self.bucket.place)

    def check_writable(self) -> None:
        self.check_open()
        if self.read_only:
            raise BackendError(f"{self.bucket.place}: opened for reading only; nothing was written")


def encoded_namespace(name: str) -> str:
    """A namespace as a segment of a key, which the one of no name has too."""
    return f"n-{encoded(name)}"


async def seen(shared: Shared, place: Place) -> tuple[Stream, dict[int, tuple[Slot, bytes]]]:
    """What is known of a stream once all of its slots are, and those that were read for it by number.

    Raises ``ConversationDeleted``.
    """
    stream = shared.streams.get(place)
    if stream is None:
        while len(shared.streams) >= STREAMS_MAX:
            del shared.streams[next(iter(shared.streams))]
        stream = shared.streams[place] = Stream(*place)
    read = {} if stream.deleted else await _read_on(shared.bucket, stream)
    if stream.deleted:
        raise ConversationDeleted(stream.id)
    return stream, read


async def _read_on(bucket: Bucket, stream: Stream) -> dict[int, tuple[Slot, bytes]]:
    """Read the slots behind those that are known."""
    start, head = stream.number, stream.head or genesis(stream.namespace, stream.id)
    if stream.known and await bucket.get(stream.key(start + 1)) is None:
        return {}
    listed = numbers(await bucket.listed(f"commits/{stream.folder}", after=stream.key(start) if start else None))
    new = range(start + 1, listed[-1] + 1 if listed else start + 1)
    read = dict(zip(new, await together(slot_at(bucket, stream.key(number)) for number in new), strict=True))
    if any(slot.kind == "gone" for slot, _ in read.values()):
        raise ConversationDeleted(stream.id)
    commits = [commit_of(slot, data) for slot, data in read.values() if slot.kind == "commit"]
    for _ in verified(commits, head):
        pass
    for slot, _ in read.values():
        stream.add(slot)
    stream.known = True
    return read


async def slot_at(bucket: Bucket, key: str) -> tuple[Slot, bytes]:
    """A slot that has to be there, and its payload."""
    raw = await bucket.get(key)
    if raw is None:
        raise CorruptLog(f"object {key!r}", "it is missing; restore it from a copy")
    return unsealed(key, raw, Slot)


def commit_of(slot: Slot, data: bytes) -> Commit:
    return Commit(
        slot.stream,
        slot.first,
        slot.count,
        slot.id,
        slot.at,
        slot.schema,
        data,
        slot.previous,
        slot.checksum,
        slot.position,
        slot.erased,
    )


def gone_at(stream: Stream, number: int) -> bytes:
    return sealed(Slot(kind="gone", namespace=stream.namespace, stream=stream.id, number=number))


def catalog_key(stream: Stream) -> str:
    return f"catalog/{stream.folder}/{stream.slots[-1].number:010}"


async def current_entry(bucket: Bucket, stream: Stream) -> Entry | None:
    """The catalog's entry as it was put last, or as the last commit brought it."""
    if not stream.slots:
        return None
    last, key = stream.slots[-1], catalog_key(stream)
    raw = await bucket.get(key)
    return unsealed(key, raw, Listing)[0].entry if raw else last.entry


class Waiting:
    """What a reader finds in the slots of one claim, waiting for those that are not there yet."""

    def __init__(self, shared: Shared, number: int) -> None:
        self._shared = shared
        self._bucket = shared.bucket
        self._number = number
        self._claim: Claim | None = None
        self._deciding: dict[int, asyncio.Task[tuple[Slot, bytes] | Waiting | None]] = {}

    async def slot(self, place: int) -> tuple[Slot, bytes] | Waiting | None:
        """The slot at a place of the claim: None if it came to nothing, and ``self`` if that is not decided."""
        if place not in self._deciding:
            self._deciding[place] = asyncio.create_task(self._decided(place))
        return await self._deciding[place]

    async def claim(self) -> Claim:
        key = f"log/{self._number:016}"
        raw = await self._bucket.get(key)
        if raw is None:
            raise CorruptLog(f"object {key!r}", "it is missing, though there are later ones")
        self._claim = unsealed(key, raw, Claim)[0]
        return self._claim

    async def _decided(self, place: int) -> tuple[Slot, bytes] | Waiting | None:
        pause, waited = 0.005, 0.0
        claim = self._claim or await self.claim()
        while True:
            space, stream, number = claim.slots[place]
            if not number:
                return None
            key = f"commits/{space}/{stream}/{number:010}"
            raw = await self._bucket.get(key)
            if raw is not None:
                return self._mine(key, raw, place)
            before = (
                claim.slots.index((space, stream, number - 1)) if (space, stream, number - 1) in claim.slots else -1
            )
            if before >= 0 and not isinstance(found := await self.slot(before), tuple):
                return found  # a writer goes on to the next slot once it has the one before
            if waited >= GRACE_SECONDS:
                if self._shared.read_only:
                    return self
                if not await self._void(space, stream, number):
                    return None
            await asyncio.sleep(pause)
            waited += pause
            pause = min(pause * 2, 0.25)
            claim = await self.claim()  # by now its writer may have found that others were first

    def _mine(self, key: str, raw: bytes, place: int) -> tuple[Slot, bytes] | None:
        slot, data = unsealed(key, raw, Slot)
        if slot.kind != "commit" or (slot.claim, slot.place) != (self._number, place):
            return None
        if key != Stream(slot.namespace, slot.stream).key(slot.number):
            raise CorruptLog(f"object {key!r}", f"it belongs to {slot.stream!r}")
        return slot, data

    async def _void(self, space: str, stream: str, number: int) -> bool:
        """Put nothing where a writer wanted to write, so that it finds that it was given up for dead.

        False where nothing will ever be there, since the conversation was deleted.
        """
        key = f"commits/{space}/{stream}/{number:010}"
        before = numbers(await self._bucket.listed(f"commits/{space}/{stream}"))
        last = before[-1] if before else 0
        if last and (await slot_at(self._bucket, f"{key[:-10]}{last:010}"))[0].kind == "deleted":
            return False
        if last < number - 1:
            raise CorruptLog(f"object {key!r}", "objects are missing before it; restore them from a copy")
        listed = await self._bucket.listed(f"catalog/{space}/{stream}")
        if any(int(each.key.rpartition("/")[2][:10]) >= number for each in listed):
            if await self._bucket.get(key) is None:  # the catalog follows the slot, which may be there since
                raise CorruptLog(f"object {key!r}", "it is missing, though the catalog tells of it")
            return True
        void = Slot(kind="void", namespace="", stream="", number=number, claim=self._number)  # whose, the key tells
        await self._bucket.put_new(key, sealed(void))
        return True
