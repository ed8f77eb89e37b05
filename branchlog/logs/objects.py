"""A log in object storage: S3, Google Cloud Storage, Azure, or a folder of files, through ``obstore``.

All that is asked of the storage is put-if-absent, and that what was put is read and listed at once.

Layout, below the prefix of the store (layout 1). Each object is sealed: see ``_objects.bucket``. ``NS`` and ``ID`` are
the encoded names of the namespace and the conversation.

``branchlog.json``
    ``{"application": "branchlog", "layout": 1}``, put first
``commits/NS/ID/NUMBER``
    a *slot*: ten digits, counted from 1 without a gap, each put if absent. It is never removed, only overwritten:
    ``commit``  a commit, its payload behind the header, and the catalog's entry as it is with this commit
    ``void``    nothing: a reader came by while a writer seemed to have died before it wrote here
    ``deleted`` the end of a conversation that was deleted; no slot follows it
    ``gone``    what was here before the conversation was deleted
``log/CLAIM``
    sixteen digits, counted from 1 without a gap, each put if absent: the slots that one writer is about to write
``catalog/NS/ID/NUMBER`` and ``NUMBER.deleted``
    the catalog's entry as it is with that slot; the highest number holds, and ``deleted`` marks a name as used
``snapshots/NS/ID/VERSION``
    a snapshot; may be removed at any time
``drafts/NS/ID/DRAFT/PIECE``
    a piece of what is still to be committed; 32 hexadecimal digits, and ten digits counted from 0
``checkpoint``
    a claim up to which the catalog was seen to be in step; may be removed at any time

**Appending** is: put a claim of the next number, which names the slots to be written, one for each commit of the group;
put the slots, which say by which claim; put the catalog's entries. A commit is stored when its slot is, and not before:
of writers who race for one slot one succeeds, and the others have written nothing but a claim without effect.

**Positions** are the number of the claim times 4,096, and the place in it. The claim is put before the slot, so a
reader that goes through the claims knows of each slot that may still be written. It waits for those that are not there
for a moment, and then puts a ``void`` in their place: the slow writer finds it, and claims again. So no commit
ever appears at a position that a reader has passed, whoever dies and when.

**The catalog** follows the slot, which holds the same entry, so it can be behind by the last commit of a writer that
died. A listing looks at the claims since the checkpoint, and puts right what it finds behind.

What a process has read of a conversation's slots it keeps (but for the payloads), and from then on asks for the next
number only. The first contact reads all slots of the conversation, in parallel: ids of commits are nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from branchlog.commit import Commit, Head, Snapshot, erase, is_whole, verified
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    LogClosed,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
)
from branchlog.logs._objects.bucket import (
    SCHEMES,
    Bucket,
    Listed,
    bucket_at,
    decoded,
    encoded,
    is_local,
    is_memory,
    numbers,
    sealed,
    together,
    unsealed,
)
from branchlog.logs._objects.claims import CHECKPOINT_CLAIMS, Ask, Writer
from branchlog.logs._objects.slots import (
    PLACES,
    Checkpoint,
    Listing,
    Place,
    Shared,
    Slot,
    StoredPiece,
    StoredSnapshot,
    Stream,
    Waiting,
    catalog_key,
    commit_of,
    current_entry,
    encoded_namespace,
    gone_at,
    seen,
    slot_at,
)
from branchlog.logs.base import (
    Abilities,
    Append,
    Appended,
    Draft,
    Entry,
    Erasure,
    Examination,
    ExpectedVersion,
    Query,
    check_commit,
    check_draft,
    check_name,
    drafts_of,
    erasable,
    having,
    selected,
)

LAYOUT = 1
MARKER, CHECKPOINT = "branchlog.json", "checkpoint"


class Marker(msgspec.Struct, frozen=True):
    """What says that this is a store, and of which layout."""

    application: str
    layout: int


class ObjectsLog:
    """A log in object storage. ``namespace`` tells whose conversations are seen."""

    blocking = None

    def __init__(self, shared: Shared, writer: Writer, namespace: str = "") -> None:
        """Use ``connect``."""
        self._shared = shared
        self._writer = writer
        self._bucket = shared.bucket
        self.namespace = check_name(namespace, "a namespace", empty=True)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        namespace: str = "",
        create: bool = True,
        read_only: bool = False,
        objects: Any = None,
    ) -> ObjectsLog:
        """Open the store at an address, or make one there (not if ``create`` is false, or with ``read_only``).

        ``objects`` is an obstore store to be used in place of the one that the address leads to.

        Raises ``InvalidInput`` for an address that is none, ``StoreNotFound`` where there is no bucket or no store,
        ``NotAStore`` where other objects lie under the prefix, ``SchemaVersionError`` for a store of a later layout,
        and ``BackendError`` where the server is not there or refuses.
        """
        check_name(namespace, "a namespace", empty=True)
        create = create and not read_only
        if objects is None:
            bucket = bucket_at(url, create=create)
        else:
            bucket = Bucket(objects, scheme="memory" if is_memory(objects) else "given", place=url)
        await _open_store(bucket, create=create, read_only=read_only)
        raw = await bucket.get(CHECKPOINT)
        known = unsealed(CHECKPOINT, raw, Checkpoint)[0].claim if raw else 0
        shared = Shared(bucket, read_only, claimed=known, checked=known, checkpoint=known)
        log = cls(shared, Writer(shared), namespace)
        log._writer.tidy = log._catch_up
        return log

    @property
    def abilities(self) -> Abilities:
        memory, local = is_memory(self._bucket.client), is_local(self._bucket.client)
        return Abilities(
            durable=not (memory or local),
            persistent=not memory,
            shared=not memory,
            snapshots=True,
            drafts=True,
            erases=(memory or local or self._bucket.scheme == "s3") and not self._bucket.versioned,
        )

    def within(self, namespace: str) -> ObjectsLog:
        return ObjectsLog(self._shared, self._writer, namespace)

    async def close(self) -> None:
        self._shared.closed = True
        await self._writer.finish()
        self._shared.streams.clear()

    # Writing.

    async def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        return await self._ask(commit, expected, entry)

    async def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        self._shared.check_writable()
        answers = await asyncio.gather(
            *(self._ask(each.commit, each.expected, each.entry, fresh=True) for each in appends),
            return_exceptions=True,
        )
        outcomes: list[Appended | Exception] = []
        for answer in answers:
            if isinstance(answer, BackendError | LogClosed) or not isinstance(answer, Appended | BranchlogError):
                raise answer
            outcomes.append(answer)
        return outcomes

    def _ask(
        self,
        commit: Commit,
        expected: ExpectedVersion,
        entry: Entry | None,
        erasures: Iterable[Erasure] = (),
        *,
        fresh: bool = False,
    ) -> asyncio.Future[Appended]:
        """Queue an append, and see that somebody writes what is queued."""
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        ask = Ask((self.namespace, commit.stream), commit, expected, entry, tuple(erasures), fresh, answer)
        try:
            self._shared.check_writable()
            check_commit(commit)
        except BranchlogError as error:
            ask.settle(error)
        else:
            self._writer.ask(ask)
        return answer

    async def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        check_commit(commit)
        self._shared.check_writable()
        stream, _ = await self._seen(commit.stream)
        if commit.id not in stream.ids:
            commits = {slot.first: commit for slot in stream.slots}
            for erasure in erasures:
                erasable(commit, commits, erasure)
        appended = await self._ask(commit, expected, entry, erasures)
        await self._erase(commit.stream)
        return appended

    async def _erase(self, id: str) -> None:
        """Bring every payload that was to be erased to what stands in its place, and take the snapshots away.

        Two who do this at once may overwrite each other's work; so each looks again until there is nothing to be done.
        """
        while True:
            stream, _ = await self._seen(id)
            slots = {slot.first: slot for slot in stream.slots}
            wanted = [(slots[first], by, data) for first, (by, data) in stream.erasures.items() if first in slots]
            changed = await together(self._erase_slot(stream, *each) for each in wanted)
            if not any(changed):
                break
        await self._bucket.remove(await self._snapshot_keys(stream))

    async def _erase_slot(self, stream: Stream, known: Slot, by: int, data: bytes) -> bool:
        key = stream.key(known.number)
        slot, payload = await slot_at(self._bucket, key)
        if slot.kind != "commit" or slot.by >= by:
            return False
        erased = erase(commit_of(slot, payload), data)
        after = replace(slot, erased=erased.erased, by=by, entry=None)
        await self._bucket.put(key, sealed(after, data))
        now = await self._bucket.listed(f"commits/{stream.folder}", after=stream.key(stream.number))
        if now and (await slot_at(self._bucket, now[-1].key))[0].kind == "deleted":
            await self._bucket.put(key, gone_at(stream, known.number))
        return True

    async def delete(self, stream: str) -> bool:
        self._shared.check_writable()
        while True:
            try:
                found, _ = await self._seen(stream)
            except ConversationDeleted:
                await self._clear(stream)  # which an earlier try may not have come to
                raise
            if not found.slots:
                return False
            end = Slot(kind="deleted", namespace=self.namespace, stream=stream, number=found.number + 1)
            if await self._bucket.put_new(found.key(end.number), sealed(end)):
                await self._clear(stream)
                return True

    async def _clear(self, id: str) -> None:
        """Overwrite the slots of a deleted conversation, and take away what else there is of it."""
        stream = Stream(self.namespace, id)
        slots = await self._bucket.listed(f"commits/{stream.folder}")
        end = numbers(slots)[-1]
        full = [
            (each.key, gone)
            for each in slots[:-1]
            if len(gone := gone_at(stream, int(each.key[-10:]))) != each.size_bytes
        ]
        await together(self._bucket.put(key, gone) for key, gone in full)
        await self._bucket.put(f"catalog/{stream.folder}/{end:010}.deleted", sealed(Listing(self.namespace, id)))
        before = await self._bucket.listed(f"catalog/{stream.folder}")
        await self._bucket.remove(each.key for each in before if not each.key.endswith(".deleted"))
        await self._bucket.remove(await self._snapshot_keys(stream))
        await self._bucket.remove(await self._draft_keys(stream))

    async def put_entry(self, entry: Entry) -> bool:
        self._shared.check_writable()
        stream, _ = await self._seen(entry.id)
        if not stream.slots or stream.slots[-1].last != entry.version:
            return False
        await self._bucket.put(catalog_key(stream), sealed(Listing(self.namespace, entry.id, entry)))
        return True

    # Reading.

    async def head(self, stream: str) -> Head | None:
        found, _ = await self._seen(stream)
        return found.head

    async def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        found, read = await self._seen(stream)
        wanted = found.holding(after, until)
        if limit is not None:
            limit = max(limit, 0)
            wanted = wanted[max(len(wanted) - limit, 0) :] if backward else wanted[:limit]
        if not wanted:
            return []
        start = found.before(wanted[0])
        payloads = await together(self._payload(found, slot, read) for slot in wanted)
        commits = list(verified(payloads, start))
        return commits[::-1] if backward else commits

    async def _payload(self, stream: Stream, known: Slot, read: dict[int, tuple[Slot, bytes]]) -> Commit:
        """The commit of a slot, with what stands in place of a payload that is being erased."""
        key = stream.key(known.number)
        slot, data = read.get(known.number) or await slot_at(self._bucket, key)
        if slot.kind == "gone":
            raise ConversationDeleted(stream.id)
        if (slot.kind, slot.first, slot.checksum) != ("commit", known.first, known.checksum):
            raise CorruptLog(f"object {key!r}", "it is not the commit that was there before")
        commit = commit_of(slot, data)
        by, instead = stream.erasures.get(slot.first, (0, b""))
        return erase(commit, instead) if slot.by < by else commit

    async def _seen(self, id: str) -> tuple[Stream, dict[int, tuple[Slot, bytes]]]:
        """What is known of a stream once all of its slots are, and those that were read for it.

        Raises ``ConversationDeleted``.
        """
        self._shared.check_open()
        return await seen(self._shared, (self.namespace, id))

    async def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        self._shared.check_open()
        wanted = encoded_namespace(self.namespace)
        commits: list[Commit] = []
        number = max(after, 0) // PLACES
        end = await self._last_claim(number - 1)
        while number <= end and (limit is None or len(commits) < limit):
            size = 256 if limit is None else min(256, max(16, limit - len(commits)))
            page = range(max(number, 1), min(number + size, end + 1))
            for slots in await together(self._settled(each, wanted) for each in page):
                if slots is None:  # someone's turn to write, and we may not decide
                    return commits[:limit]
                commits += [commit_of(*slot) for slot in slots if slot[0].position > after]
            number += size
        _check_alone(commits)
        return commits[:limit]

    async def _last_claim(self, known: int) -> int:
        """The highest claim there is, where all up to ``known`` are there."""
        start = max(known, self._shared.claimed, 0)
        last = numbers(await self._bucket.listed("log", after=f"log/{start:016}"))
        return last[-1] if last else start

    async def _settled(self, number: int, namespace: str | None) -> list[tuple[Slot, bytes]] | None:
        """The commits of a claim, once it is decided for each of its slots whether it is one.

        None where that cannot be waited for, and the log was opened for reading only.
        """
        waiting = Waiting(self._shared, number)
        claim = await waiting.claim()
        slots = await together(
            waiting.slot(place)
            for place, (space, _, slot) in enumerate(claim.slots)
            if slot and namespace in (None, space)
        )
        if any(slot is waiting for slot in slots):
            return None
        return [slot for slot in slots if isinstance(slot, tuple)]

    async def entry(self, stream: str) -> Entry | None:
        found, _ = await self._seen(stream)
        return await current_entry(self._bucket, found)

    async def entries(self, query: Query) -> list[Entry]:
        return selected(await self._having(query.metadata), query)

    async def count(self, metadata: dict[str, Any]) -> int:
        return len(await self._having(metadata))

    async def _having(self, metadata: dict[str, Any]) -> list[Entry]:
        self._shared.check_open()
        await self._catch_up()
        listings = await self._listings(encoded_namespace(self.namespace))
        return having((each.entry for each in listings if each.entry), metadata)

    async def _listings(self, namespace: str) -> list[Listing]:
        """The catalog of a namespace; what is known from before, by its tag, is not read again."""
        folder, known = f"catalog/{namespace}/", self._shared.catalog
        listed = await self._bucket.listed(folder[:-1])
        newest = {each.key.rpartition("/")[0]: each for each in listed}  # in order of names: the highest number
        live = [each for each in newest.values() if not each.key.endswith(".deleted")]
        changed = [each for each in live if known.get(each.key, (None,))[0] != (each.tag or "")]

        async def read(key: str, tag: str | None) -> None:
            raw = await self._bucket.get(key)
            if raw is not None:  # else it was overtaken since
                known[key] = tag or "", unsealed(key, raw, Listing)[0]

        await together(read(each.key, each.tag) for each in changed)
        keys = {each.key for each in live}
        for key in [each for each in known if each.startswith(folder) and each not in keys]:
            del known[key]
        return [known[key][1] for key in sorted(keys) if key in known]

    async def _catch_up(self) -> None:
        """Put the catalog right where a writer died before it could, as the claims since the last look tell."""
        shared = self._shared
        async with shared.checking:
            end = await self._last_claim(shared.checked)
            foreign = [each for each in range(shared.checked + 1, end + 1) if each not in shared.complete]
            if foreign and not shared.read_only:
                await self._put_right(foreign)
            shared.complete.difference_update(range(shared.checked, end + 1))
            shared.checked = end
            if end - shared.checkpoint >= CHECKPOINT_CLAIMS and not shared.read_only:
                await self._bucket.put(CHECKPOINT, sealed(Checkpoint(end)))
                shared.checkpoint = end

    async def _put_right(self, claims: list[int]) -> None:
        """See that the catalog has what came of these claims."""
        known: dict[str, int] = {}
        for each in await self._bucket.listed("catalog"):
            folder, _, name = each.key.rpartition("/")
            known[folder] = int(name[:10])

        async def check(number: int) -> list[Slot]:
            claim = await Waiting(self._shared, number).claim()
            if all(slot <= known.get(f"catalog/{space}/{stream}", 0) for space, stream, slot in claim.slots):
                return []
            return [slot for slot, _ in await self._settled(number, None) or ()]

        newest: dict[Place, Slot] = {}
        for slots in await together(check(number) for number in claims):
            newest |= {(slot.namespace, slot.stream): slot for slot in slots}
        await together(self._list_slot(slot) for slot in newest.values())

    async def _list_slot(self, slot: Slot) -> None:
        if slot.entry is not None:
            key = f"catalog/{encoded_namespace(slot.namespace)}/{encoded(slot.stream)}/{slot.number:010}"
            await self._bucket.put_new(key, sealed(Listing(slot.namespace, slot.stream, slot.entry)))

    async def namespaces(self) -> list[str]:
        self._shared.check_open()
        await self._catch_up()
        newest = {each.key.rpartition("/")[0]: each.key for each in await self._bucket.listed("catalog")}
        live = {folder.split("/")[1]: key for folder, key in newest.items() if not key.endswith(".deleted")}
        return sorted(await together(self._namespace_of(space, key) for space, key in live.items()))

    async def _namespace_of(self, space: str, key: str) -> str:
        name = decoded(space[2:])
        if name is not None:
            return name
        raw = await self._bucket.get(key)
        if raw is None:  # it was overtaken since
            (listing, *_) = await self._listings(space)
            return listing.namespace
        return unsealed(key, raw, Listing)[0].namespace

    # Snapshots.

    async def snapshots(self, stream: str) -> list[Snapshot]:
        found, _ = await self._seen(stream)
        keys = await self._snapshot_keys(found)
        raws = await together(self._bucket.get(key) for key in keys)
        return [_snapshot(key, raw) for key, raw in zip(keys, raws, strict=True) if raw is not None]

    async def _snapshot_keys(self, stream: Stream) -> list[str]:
        return [each.key for each in await self._bucket.listed(f"snapshots/{stream.folder}")]

    async def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        self._shared.check_writable()
        end = Head(snapshot.version, snapshot.checksum)
        found, _ = await self._seen(stream)
        if found.head != end:
            return False
        key = f"snapshots/{found.folder}/{snapshot.version:016}"
        it = snapshot
        header = StoredSnapshot(it.after, it.version, it.checksum, it.fingerprint, it.seal)
        await self._bucket.put(key, sealed(header, it.data))
        try:
            found, _ = await self._seen(stream)
        except ConversationDeleted:
            await self._bucket.remove([key])
            raise
        if found.head != end:  # a redaction may have looked for snapshots before this one was there
            await self._bucket.remove([key])
            return False
        return True

    async def drop_snapshots(self, stream: str) -> int:
        self._shared.check_writable()
        found, _ = await self._seen(stream)
        keys = await self._snapshot_keys(found)
        await self._bucket.remove(keys)
        return len(keys)

    async def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        self._shared.check_writable()
        check_draft(draft, number)
        found, _ = await self._seen(stream)
        if not found.slots:
            raise ConversationNotFound(stream)
        key = f"drafts/{found.folder}/{draft.hex()}/{number:010}"
        await self._bucket.put(key, sealed(StoredPiece(draft, number), piece))
        try:
            await self._seen(stream)
        except ConversationDeleted:  # perhaps before the piece was there to be taken away
            await self._bucket.remove([key])
            raise

    async def drafts(self, stream: str) -> list[Draft]:
        found, _ = await self._seen(stream)
        keys = await self._draft_keys(found)
        raws = await together(self._bucket.get(key) for key in keys)
        pieces = [unsealed(key, raw, StoredPiece) for key, raw in zip(keys, raws, strict=True) if raw is not None]
        return drafts_of((header.draft, header.number, piece) for header, piece in pieces)

    async def _draft_keys(self, stream: Stream, draft: bytes | None = None) -> list[str]:
        folder = f"drafts/{stream.folder}" if draft is None else f"drafts/{stream.folder}/{draft.hex()}"
        return [each.key for each in await self._bucket.listed(folder)]

    async def drop_draft(self, stream: str, draft: bytes) -> bool:
        self._shared.check_writable()
        found, _ = await self._seen(stream)
        keys = await self._draft_keys(found, draft)
        await self._bucket.remove(keys)
        return bool(keys)

    async def examine(self) -> Examination:
        self._shared.check_open()
        listed = await self._bucket.listed("")
        kinds = ("commits", "log", "catalog", "snapshots", "drafts")
        by_kind = {kind: [each for each in listed if each.key.startswith(f"{kind}/")] for kind in kinds}
        facts: dict[str, int | float | str | bool] = {
            "bytes": sum(each.size_bytes for each in listed),
            "objects": len(listed),
            "conversations": len({each.key.rpartition("/")[0] for each in by_kind["commits"]}),
            "claims": len(by_kind["log"]),
            "layout": LAYOUT,
            "versioned": self._bucket.versioned,
        }
        problems = _problems(listed, by_kind)
        kind = SCHEMES.get(self._bucket.scheme, "objects in memory")
        return Examination(kind=kind, place=self._bucket.place, facts=facts, problems=problems)


def _snapshot(key: str, raw: bytes) -> Snapshot:
    header, data = unsealed(key, raw, StoredSnapshot)
    return Snapshot(header.after, header.version, header.checksum, header.fingerprint, data, header.seal)


def _check_alone(commits: Iterable[Commit]) -> None:
    """Raise ``CorruptLog`` for a commit that is not as it was written, looked at without its neighbours."""
    for commit in commits:
        if not is_whole(commit):
            raise CorruptLog(f"commit at position {commit.position}", "the checksum does not match")


def _problems(listed: list[Listed], by_kind: dict[str, list[Listed]]) -> tuple[str, ...]:
    """What a list of all objects shows to be wrong."""
    known = sum(len(found) for found in by_kind.values())
    known += sum(each.key in (MARKER, CHECKPOINT) for each in listed)
    folders: dict[str, int] = {}
    for each in [*by_kind["log"], *by_kind["commits"]]:
        folder = each.key.rpartition("/")[0]
        folders[folder] = folders.get(folder, 0) + 1
    ends = {
        each.key.rpartition("/")[0]: int(each.key.rpartition("/")[2]) for each in listed if each.key[-10:].isdecimal()
    }
    problems = [
        f"{ends[folder] - count} objects are missing from {folder!r}; restore them from a copy"
        for folder, count in folders.items()
        if ends.get(folder) != count
    ]
    if known < len(listed):
        problems.append(f"{len(listed) - known} objects are none of this store; they are left as they are")
    return tuple(problems)


async def _open_store(bucket: Bucket, *, create: bool, read_only: bool) -> None:
    """Check that there is a store that can be read, or make one."""
    raw = await bucket.get(MARKER)
    if raw is None:
        if not await bucket.is_empty():
            raise NotAStore(f"{bucket.place} holds other objects, and no branchlog store; it was left as it is")
        if not create:
            raise StoreNotFound(bucket.place, "there is no store under this address")
        await bucket.put_new(MARKER, msgspec.json.encode(Marker("branchlog", LAYOUT)) + b"\n")
        raw = await bucket.get(MARKER)
    try:
        marker = msgspec.json.decode(raw or b"", type=Marker)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        marker = Marker("", 0)
    if marker.application != "branchlog":
        raise NotAStore(f"{bucket.place}: {MARKER!r} is not branchlog's; it was left as it is")
    if marker.layout < 1:
        raise CorruptLog(
            f"{bucket.place}/{MARKER}", f"there never was a layout {marker.layout}; restore it from a copy"
        )
    if marker.layout > LAYOUT:
        raise SchemaVersionError(f"the store {bucket.place}", str(marker.layout), str(LAYOUT))
    if not read_only and await bucket.put_new(MARKER, raw or b""):  # the same bytes: no harm where it is done
        raise BackendError(
            f"{bucket.place}: this server overwrites an object where it is told to put it only if there is none "
            "(If-None-Match); commits would be lost; use one that keeps to it"
        )
