"""A log in NATS JetStream: one stream with replicas, one subject per conversation, one message per commit.

Layout (the stream's metadata say ``branchlog-layout`` 1; ``NAME`` is ``BRANCHLOG`` unless the address says another):

stream ``NAME``
    ``NAME.commits.NAMESPACE.ID``  a message per commit; also one where only the catalog was put right, and at the end
    one that says that the conversation was deleted. What stands in them is described in ``_nats.messages``
    ``NAME.erased.NAMESPACE.ID``  a message per redaction, with commits as they are since
stream ``NAME-snapshots``, made with the first snapshot; it may be deleted at any time
    ``NAME-snapshots.NAMESPACE.ID.VERSION``  a snapshot as MessagePack
stream ``NAME-drafts``, see ``_nats.drafts``

NAMESPACE and ID are the names as base64url behind an "n". The position of a commit is its sequence in the stream.

**Writing.** A commit is published with the sequence that the last message of its subject is expected to have; the
server compares and writes in one step, and answers when most replicas have it. Each message carries the catalog's
entry, so the last message of a subject is all that a writer has to know; it keeps that in memory, and an append is one
round trip. Whatever is refused is looked at again with the leader's eyes before it is told to the caller.

**Exactly once.** The server knows the ids of commits for two minutes. After that a commit that comes again does not fit
any more, and then the ids of the whole stream are read, once, and from then on those that are new. One that expects any
version is always looked up so. What nobody finds after two minutes is an id that is used for a second commit, made to
follow the newest one: a bug in the caller, without the harm of a lost commit.

**Reading.** The leader tells where a stream ends; any replica gives the messages up to there.

**The catalog** is the headers of the last message of each subject. It is read once for each namespace and kept in
memory; each listing asks the leader how far it has come and reads what is new.

**Erasing.** JetStream cannot replace a message. A redaction is published as a commit that carries in its body how the
erased ones read from now on; then that is published a second time, under ``erased``, where readers of all streams find
it; then the old messages are deleted, which overwrites them. With more than one replica the servers' Raft logs keep a
copy until they compact them, so the ability ``erases`` is declared for a single replica only.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import attrs
import msgspec

from branchlog.commit import Commit, Head, Snapshot, erase, genesis, is_whole, verified
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    InvalidInput,
    LogClosed,
)
from branchlog.logs._nats.connection import (
    CONFLICT,
    HEADER_ROOM_BYTES,
    PAUSE_SECONDS,
    RETRY_SECONDS,
    Connection,
    Raw,
    Refused,
    Unanswered,
    parse_address,
)
from branchlog.logs._nats.drafts import Drafts
from branchlog.logs._nats.messages import COMMIT as COMMIT_KIND
from branchlog.logs._nats.messages import (
    DELETED,
    ENTRY,
    START,
    Facts,
    Line,
    Message,
    Rest,
    Rung,
    decode,
    decode_replacement,
    decode_rest,
    encode,
    encode_replacement,
    facts_of,
    token,
)
from branchlog.logs._nats.streams import LAYOUT, absent, limits, make, opened, side_config
from branchlog.logs.base import (
    Abilities,
    Append,
    Appended,
    Draft,
    Entry,
    Erasure,
    Examination,
    Expected,
    ExpectedVersion,
    Log,
    Query,
    StoredEntry,
    bare_entry,
    check_commit,
    check_draft,
    check_name,
    entry_from,
    erasable,
    having,
    placed,
    repeated,
    selected,
    stored_entry,
)

P = ParamSpec("P")
T = TypeVar("T")

KNOWN_MAX = 4_096
"""Conversations of which a writer keeps the last message's headers."""

IDS_MAX = 64
"""Conversations of which a writer keeps the ids of all commits."""

GROUP = 512
"""Appends of a group that are under way at once."""

STEP = 256
"""So many commits are read rather than asked for a nearer place to begin."""

HEADERS_BYTES_MAX = 65_536
"""What JetStream takes."""

NEW_MAX = 2_000
"""If more messages than this are new the catalog is read anew: only their headers are sent then."""


class _Unwritten(msgspec.Struct, frozen=True):
    """What is known of a stream that has no message: as ``Message`` where both are asked for their sequence."""

    sequence: int = 0


_UNWRITTEN = _Unwritten()
Key = tuple[str, str]


@attrs.define
class _Ids:
    """The commits of a stream by id, up to a version."""

    version: int = 0
    firsts: dict[bytes, int] = attrs.field(factory=dict)


@attrs.define
class _Catalog:
    """The entries of a namespace, up to a sequence."""

    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    sequence: int = 0
    entries: dict[str, Entry] = attrs.field(factory=dict)


@attrs.define
class _Shared:
    """What all namespaces of one log share."""

    server: Connection
    replicas: int
    read_only: bool
    known: OrderedDict[Key, Message | _Unwritten] = attrs.field(factory=OrderedDict)
    ids: OrderedDict[Key, _Ids] = attrs.field(factory=OrderedDict)
    locks: WeakValueDictionary[Key, asyncio.Lock] = attrs.field(factory=WeakValueDictionary)
    catalogs: dict[str, _Catalog] = attrs.field(factory=dict)
    has_snapshots: bool = False


def _call(
    method: Callable[Concatenate[NatsLog, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[NatsLog, P], Coroutine[Any, Any, T]]:
    """A call that closing waits for, and that a closed log refuses."""

    async def call(log: NatsLog, /, *args: P.args, **options: P.kwargs) -> T:
        log._server.enter()
        try:
            return await method(log, *args, **options)
        finally:
            log._server.leave()

    return call


class NatsLog:
    """A log in NATS JetStream. ``namespace`` tells whose conversations are seen."""

    blocking: Log | None = None

    def __init__(self, shared: _Shared, namespace: str) -> None:
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._shared = shared
        self._server = shared.server
        self._name = shared.server.address.stream
        self._prefix = f"{self._name}.commits.{token(namespace)}"
        self._erased = f"{self._name}.erased.{token(namespace)}"
        self._snapshots = f"{self._name}-snapshots"
        self._drafts = Drafts(shared.server, namespace, shared.replicas)

    @classmethod
    async def connect(cls, url: str, *, namespace: str = "", create: bool = True, read_only: bool = False) -> NatsLog:
        """Connect to ``nats://host:4222`` and open its stream, or make it (not if ``create`` is false).

        Several hosts stand with commas between; ``user:password@`` or ``token@`` before the first are for all. Options
        behind a question mark: ``stream=NAME``, ``replicas=1`` for fewer than three, ``creds=FILE``.

        Raises ``StoreNotFound`` where no server or no stream is, ``NotAStore`` for a stream that is something else,
        ``SchemaVersionError`` for one of a later layout, ``InvalidInput`` for what is no address, and ``BackendError``
        where the servers refuse or cannot keep as many replicas.
        """
        check_name(namespace, "a namespace", empty=True)
        server = Connection(parse_address(url))
        await server.open()
        try:
            replicas = await opened(server, create=create and not read_only)
        except BaseException:
            await server.close()
            raise
        return cls(_Shared(server, replicas, read_only), namespace)

    @property
    def abilities(self) -> Abilities:
        erases = self._shared.replicas == 1
        return Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=erases, drafts=True)

    def within(self, namespace: str) -> NatsLog:
        return NatsLog(self._shared, namespace)

    async def close(self) -> None:
        await self._server.close()

    # Writing.

    @_call
    async def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        return await self._append(commit, expected, entry)

    @_call
    async def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        outcomes: list[Appended | Exception] = []
        for begin in range(0, len(appends), GROUP):
            outcomes += await self._append_some(appends[begin : begin + GROUP])
        return outcomes

    async def _append_some(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        """Set off one after the other, so that they arrive in order; those of one stream wait for each other.

        What has to be looked up first, since it does not plainly follow what is known, waits for all before it.
        """
        names = {each.commit.stream for each in appends if each.expected != 0 and _is_name(each.commit.stream)}
        await asyncio.gather(*(self._last_known(each) for each in names))
        tasks: list[asyncio.Task[Appended | Exception]] = []
        behind: dict[str, asyncio.Task[Appended | Exception]] = {}
        for each in appends:
            if each.commit.stream in behind:
                await asyncio.wait([behind[each.commit.stream]])
            is_plain = self._is_plain(each)
            if tasks and not is_plain:
                await asyncio.wait(tasks)
            task = asyncio.ensure_future(_outcome(self._append(each.commit, each.expected, each.entry)))
            behind[each.commit.stream] = task
            tasks.append(task)
            await (asyncio.sleep(0) if is_plain else asyncio.wait([task]))
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not _is_refusal(answer):
                raise answer
        return [answer for answer in answers if isinstance(answer, Appended | Exception)]

    def _is_plain(self, append: Append) -> bool:
        """Whether an append follows what is known, so that it is sent at once."""
        key = self.namespace, append.commit.stream
        last = self._shared.known.get(key, _UNWRITTEN if append.expected == 0 else None)
        is_exact = not isinstance(append.expected, Expected) and key not in self._shared.ids
        return is_exact and last is not None and self._fitting(append.commit, last, append.expected) is not None

    async def _append(
        self,
        commit: Commit,
        expected: ExpectedVersion,
        entry: Entry | None,
        rest: Callable[[Commit], Awaitable[Rest]] | None = None,
    ) -> Appended:
        check_commit(commit)
        self._check_writable()
        key = self.namespace, commit.stream
        lock = self._shared.locks.get(key)
        if lock is None:
            lock = self._shared.locks[key] = asyncio.Lock()
        async with lock:
            if expected == 0 and rest is None:
                self._shared.known.setdefault(key, _UNWRITTEN)  # the server knows better, and tells
            return await self._until_done(commit.stream, lambda: self._try_append(commit, expected, entry, rest))

    async def _until_done(self, stream: str, work: Callable[[], Awaitable[T | None]]) -> T:
        """Try it until it comes to something; where nobody answers, for a bounded time."""
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                done = await work()
            except Unanswered:
                if time.monotonic() > deadline:
                    raise
                done = None
                await asyncio.sleep(PAUSE_SECONDS)
            if done is not None:
                return done
            self._shared.known.pop((self.namespace, stream), None)
            await asyncio.sleep(PAUSE_SECONDS / 10 * random.random())  # noqa: S311 - so that writers do not keep meeting

    async def _try_append(
        self,
        commit: Commit,
        expected: ExpectedVersion,
        entry: Entry | None,
        rest: Callable[[Commit], Awaitable[Rest]] | None,
    ) -> Appended | None:
        """One try; None if another writer has been there meanwhile. Raises as ``append`` does, and ``Unanswered``."""
        key = self.namespace, commit.stream
        last = self._shared.known.get(key)
        fitting = None if last is None else self._fitting(commit, last, expected)
        if last is None or fitting is None:
            last = await self._last(commit.stream)  # nothing is refused for what was known some time ago
        before = self._alive(last, commit.stream)
        try:
            head = before.facts.head if before else None
            fitting = fitting or placed(commit, head, expected, self.namespace)
        except BranchlogError:
            stored = await self._by_id(commit, before)
            if stored is None:
                raise
            return repeated(commit, stored)
        if isinstance(expected, Expected) or key in self._shared.ids:
            stored = await self._by_id(commit, before)
            if stored is not None:
                return repeated(commit, stored)
        facts = facts_of(fitting, before, _entry_after(fitting, before, entry), self.namespace)
        message = encode(facts, fitting.data, await rest(fitting) if rest else None)
        return await self._publish_commit(fitting, last, message)

    def _fitting(self, commit: Commit, last: Message | _Unwritten, expected: ExpectedVersion) -> Commit | None:
        """The commit as it goes behind what is known; None where it does not."""
        try:
            before = self._alive(last, commit.stream)
            return placed(commit, before.facts.head if before else None, expected, self.namespace)
        except BranchlogError:
            return None

    async def _publish_commit(
        self, commit: Commit, last: Message | _Unwritten, message: tuple[dict[str, str], bytes, Message]
    ) -> Appended | None:
        headers, body, written = message
        headers["Nats-Msg-Id"] = Line(f"{commit.id.hex()}.{token(self.namespace)}.{token(commit.stream)}")
        sequence, is_duplicate = await self._publish(commit.stream, headers, body, last.sequence)
        if not sequence:
            return None
        if is_duplicate:
            stored = await self._by_id(commit, self._alive(await self._last(commit.stream), commit.stream))
            return repeated(commit, stored) if stored else None
        written = msgspec.structs.replace(written, sequence=sequence, payload=b"")
        self._keep((self.namespace, commit.stream), written)
        return Appended(msgspec.structs.replace(commit, position=sequence))

    async def _publish(self, stream: str, headers: dict[str, str], body: bytes, expected: int) -> tuple[int, bool]:
        """Publish behind the message at a sequence: the sequence it has got, 0 in a conflict; and if it was there."""
        self._check_size(headers, body, stream)
        headers["Nats-Expected-Last-Subject-Sequence"] = Line(expected)
        answer = await self._server.ask(f"{self._prefix}.{token(stream)}", body, headers)
        try:
            self._server.check(answer)
        except Refused as refusal:
            if refusal.code != CONFLICT:
                raise
            return 0, False
        told = _decode_acknowledgement(answer)
        return told.seq, told.duplicate

    def _check_size(self, headers: dict[str, str], body: bytes, stream: str) -> None:
        most = self._server.payload_max
        if len(body) + HEADERS_BYTES_MAX + HEADER_ROOM_BYTES <= most:
            return
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in headers.items())
        if size + HEADER_ROOM_BYTES > most:
            raise InvalidInput(
                f"a commit to {stream!r} makes a message of {size} bytes, and the server takes {most} (less"
                f" {HEADER_ROOM_BYTES} for what it adds); raise its max_payload, or say less at once"
            )

    def _check_writable(self) -> None:
        if self._shared.read_only:
            raise BackendError(f"{self._server.address.place}: opened for reading only; nothing was written")

    async def _by_id(self, commit: Commit, last: Message | None) -> Commit | None:
        """The commit of this id, if the stream has one: found by the ids that are kept, and those that are new."""
        if last is None:
            return None
        return await self._whole(commit.stream, last, lambda last: self._found(commit, last))

    async def _found(self, commit: Commit, last: Message) -> Commit | None:
        key = self.namespace, commit.stream
        ids = self._shared.ids.pop(key, None) or _Ids()
        if ids.version < last.facts.last:
            for each in await self._range(commit.stream, last, ids.version, None, None):
                ids.firsts[each.id] = each.first
            ids.version = last.facts.last
        self._shared.ids[key] = ids
        while len(self._shared.ids) > IDS_MAX:
            self._shared.ids.popitem(last=False)
        first = ids.firsts.get(commit.id)
        if first is None:
            return None
        return (await self._range(commit.stream, last, first - 1, first, None))[0]

    async def _whole(self, stream: str, last: Message, read: Callable[[Message], Awaitable[T]]) -> T:
        """Read what was known to be there; again, if it is not whole, with the leader's eyes.

        A redaction may have come since, which takes messages away that the last one before it does not speak of.
        """
        try:
            return await read(last)
        except CorruptLog:
            now = await self._end(stream)
            if now is None:
                raise
            return await read(now)

    # What is known of a stream's end.

    async def _last_known(self, stream: str) -> Message | _Unwritten:
        """The last message of a stream, as it was when this log last saw it."""
        found = self._shared.known.get((self.namespace, stream))
        return await self._last(stream) if found is None else found

    async def _last(self, stream: str) -> Message | _Unwritten:
        """The last message of a stream, of the leader."""
        check_name(stream, "the id of a conversation")
        raw = await self._server.last(self._name, f"{self._prefix}.{token(stream)}")
        found = _UNWRITTEN if raw is None else self._decoded(raw, stream)
        self._keep((self.namespace, stream), found)
        return found

    def _keep(self, key: Key, last: Message | _Unwritten) -> None:
        known = self._shared.known
        if key in known and known[key].sequence > last.sequence:
            return  # what was asked for earlier came later
        known[key] = last
        known.move_to_end(key)
        while len(known) > KNOWN_MAX:
            known.popitem(last=False)

    def _decoded(self, raw: Raw, stream: str | None = None) -> Message:
        message = decode(raw.sequence, raw.headers, raw.body)
        if message.facts.namespace != self.namespace or stream not in (None, message.facts.stream):
            raise CorruptLog(f"the message at sequence {raw.sequence}", "it belongs to another conversation")
        return message

    @staticmethod
    def _alive(last: Message | _Unwritten, stream: str) -> Message | None:
        if isinstance(last, _Unwritten):
            return None
        if last.facts.kind == DELETED:
            raise ConversationDeleted(stream)
        return last

    async def _end(self, stream: str) -> Message | None:
        return self._alive(await self._last(stream), stream)

    # Erasing and deleting.

    @_call
    async def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        check_commit(commit)

        async def rest(fitting: Commit) -> Rest:
            last = self._alive(await self._last_known(commit.stream), commit.stream)
            if last is not None and last.redacted:
                await self._finish(commit.stream, last.redacted)
            return Rest(erased=tuple([await self._erasure(fitting, each, last) for each in erasures]))

        appended = await self._append(commit, expected, entry, rest)
        found = await self._server.get(self._name, appended.commit.position)
        if found is not None:
            await self._finish(commit.stream, appended.commit.position)
            await self._drop(commit.stream)
        return appended

    async def _erasure(self, commit: Commit, erasure: Erasure, last: Message | None) -> Commit:
        stored: list[Commit] = []
        if last is not None and 0 < erasure.first < commit.first:
            first = erasure.first
            stored = await self._whole(
                commit.stream, last, lambda last: self._range(commit.stream, last, first - 1, first, None)
            )
        return erase(erasable(commit, {each.first: each for each in stored}, erasure), erasure.data)

    async def _finish(self, stream: str, sequence: int) -> None:
        """Do what is left of a redaction, given by its message: tell all readers, then delete the old messages."""
        subject = f"{self._erased}.{token(stream)}"
        raw = await self._server.get(self._name, sequence)
        if raw is None:
            return
        message = self._decoded(raw, stream)
        erased = decode_rest(message.rest).erased if message.rest else ()
        if not erased:
            return
        headers, body = encode_replacement(sequence, erased)
        headers["Nats-Msg-Id"] = f"{sequence}.{subject}"

        async def tell() -> None:
            told = await self._server.last(self._name, subject)
            if told is None or decode_replacement(told.sequence, told.headers, told.body).by < sequence:
                headers["Nats-Expected-Last-Subject-Sequence"] = str(told.sequence if told else 0)
                self._check_told(await self._server.ask(subject, body, headers))

        await self._server.persist(tell)
        await self._server.erase(self._name, [each.position for each in erased])

    def _check_told(self, answer: bytes) -> None:
        try:
            self._server.check(answer)
        except Refused as refusal:
            if refusal.code == CONFLICT:  # another writer finishes it, too
                raise Unanswered(str(refusal)) from refusal
            raise

    @_call
    async def delete(self, stream: str) -> bool:
        self._check_writable()
        check_name(stream, "the id of a conversation")
        tried = False

        async def bury() -> bool | None:
            nonlocal tried
            last = await self._last(stream)
            if isinstance(last, _Unwritten):
                return False
            if last.facts.kind == DELETED:
                await self._sweep(stream, last.sequence)  # which an earlier try may not have come to
                if tried:
                    return True
                raise ConversationDeleted(stream)
            headers, body, _ = encode(Facts(DELETED, self.namespace, stream), b"")
            try:
                sequence, _ = await self._publish(stream, headers, body, last.sequence)
            except Unanswered:
                tried = True
                raise
            if sequence:
                await self._sweep(stream, sequence)
            return True if sequence else None

        return await self._until_done(stream, bury)

    async def _sweep(self, stream: str, tombstone: int) -> None:
        """Erase all messages of a stream but the one that says that it was deleted."""
        self._shared.known.pop((self.namespace, stream), None)
        self._shared.ids.pop((self.namespace, stream), None)
        await self._drop(stream)
        await self._drafts.drop(stream)
        for subject in (f"{self._prefix}.{token(stream)}", f"{self._erased}.{token(stream)}"):
            last = await self._server.last(self._name, subject)
            if last is not None:
                found = await self._server.scan(self._name, subject, 1, last.sequence)
                old = [each.sequence for each in found if each.sequence != tombstone]
                await self._server.erase(self._name, old)

    # Reading.

    @_call
    async def head(self, stream: str) -> Head | None:
        last = await self._end(stream)
        return last.facts.head if last else None

    @_call
    async def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        last = await self._end(stream)
        if last is None or (limit is not None and limit <= 0):
            return []
        if after >= (last.facts.last if until is None else min(until, last.facts.last)):
            return []  # no version is above the one and up to the other
        read = self._backward if backward else self._range
        return await self._whole(stream, last, lambda last: read(stream, last, max(after, 0), until, limit))

    async def _range(
        self, stream: str, last: Message, after: int, until: int | None, limit: int | None
    ) -> list[Commit]:
        """The commits that hold a version above one bound and up to another, in order."""
        begin = await self._foothold(last, 1, after)
        end = last.facts.last if until is None else min(until, last.facts.last)
        enough = None if limit is None else (after, limit)
        commits = await self._commits(stream, last, begin, end, enough)
        return [each for each in commits if each.last > after and each.first <= end][:limit]

    async def _backward(
        self, stream: str, last: Message, after: int, until: int | None, limit: int | None
    ) -> list[Commit]:
        """As ``_range``, from the end."""
        end = last.facts.last if until is None else min(until, last.facts.last)
        begin = await self._foothold(last, 1, after)
        if limit is not None:
            behind = await self._foothold(last, 1, end - 1)
            nearer = await self._foothold(last, 0, behind[0] + 1 - limit)
            begin = max(begin, nearer)
        commits = await self._commits(stream, last, begin, end, None)
        return [each for each in reversed(commits) if each.last > after and each.first <= end][:limit]

    async def _foothold(self, last: Message, by: int, bound: int) -> Rung:
        """A commit not far before the one wanted, by number (0) or last version (1): the greatest up to a bound."""
        rungs: dict[Rung, None] = dict.fromkeys((START, *last.facts.rungs, last.rung))
        asked = last.rung
        while True:
            lower = max(rung for rung in rungs if rung[by] <= bound or rung is START)
            upper = min((rung for rung in rungs if rung > lower), default=lower)
            if upper[0] - lower[0] <= STEP or upper == asked:
                return lower
            raw, asked = await self._server.get(self._name, upper[2]), upper
            if raw is None:  # erased: what is known must do
                return lower
            rungs |= dict.fromkeys(self._decoded(raw, last.facts.stream).facts.rungs)

    async def _commits(
        self, stream: str, last: Message, begin: Rung, end: int, enough: tuple[int, int] | None
    ) -> list[Commit]:
        """The commits from a rung to a version, verified; or until there are so many above a version (``enough``)."""
        subject = f"{self._prefix}.{token(stream)}"
        size = min(last.facts.number - begin[0], enough[1] if enough else end - begin[1]) + 2
        erased = await self._replacements(subject, last)
        found: dict[int, Commit] = {}

        def take(raws: list[Raw]) -> bool:
            for raw in raws[len(taken) :]:
                taken.append(raw.sequence)
                if raw.sequence <= last.place:
                    message = self._decoded(raw, stream)
                    if message.facts.kind == COMMIT_KIND:
                        if message.facts.first in found:
                            raise CorruptLog(f"the message at sequence {raw.sequence}", "its commit was there before")
                        found[message.facts.first] = message.commit()
            highest = max(found.values(), key=lambda each: each.first, default=None)
            count = sum(each.last > enough[0] for each in found.values()) if enough else 0
            return highest is not None and (highest.last >= end or (enough is not None and count >= enough[1]))

        taken: list[int] = []
        take(await self._server.scan(self._name, subject, max(begin[2], 1), last.place, size=max(size, 4), enough=take))
        highest = max((each.last for each in found.values()), default=begin[1])
        if not enough or highest >= end or len(found) < enough[1]:
            highest = max(highest, end)
        found |= {first: each for first, each in erased.items() if begin[1] <= each.last and first <= highest}
        return self._verified(stream, last, begin, end, [found[first] for first in sorted(found)], enough)

    def _verified(
        self, stream: str, last: Message, begin: Rung, end: int, commits: list[Commit], enough: tuple[int, int] | None
    ) -> list[Commit]:
        """Check that commits follow one another, from a rung to the version that was asked for."""
        start = genesis(self.namespace, stream)
        if begin[0]:
            if not commits or commits[0].last != begin[1]:
                raise CorruptLog(f"{stream!r}", f"the commit that ends at version {begin[1]} is missing")
            start = Head(commits[0].first - 1, commits[0].previous)
        checked = list(verified(commits, start))
        if any(one.position >= other.position for one, other in pairwise(checked)):
            raise CorruptLog(f"{stream!r}", "its commits are out of order")
        reached = checked[-1].head if checked else start
        if reached.version == last.facts.last and reached != last.facts.head:
            raise CorruptLog(f"{stream!r}", f"the commit at version {reached.version} is not the one at its end")
        if reached.version < end and (enough is None or len(checked) < enough[1]):
            raise CorruptLog(f"{stream!r}", f"the commits end at version {reached.version}, not at {end}")
        return checked

    async def _replacements(self, subject: str, last: Message) -> dict[int, Commit]:
        """The commits of a stream that were erased, as they are since, by first version."""
        redacted = last.redacted
        if not redacted:
            return {}
        erased = f"{self._erased}.{subject.rpartition('.')[2]}"
        replaced: dict[int, Commit] = {}
        by = 0
        for each in await self._told(erased):
            by = max(by, each.by)
            replaced |= {commit.first: commit for commit in each.commits}
        if by < redacted and (raw := await self._server.get(self._name, redacted)) is not None:
            message = self._decoded(raw, last.facts.stream)  # it has not come to telling all readers yet
            replaced |= {commit.first: commit for commit in decode_rest(message.rest).erased}
        return replaced

    async def _told(self, subject: str) -> list[Any]:
        """What was told of erased commits, in order."""
        last = await self._server.last(self._name, subject)
        raws = await self._server.scan(self._name, subject, 1, last.sequence) if last else []
        return [decode_replacement(raw.sequence, raw.headers, raw.body) for raw in raws]

    @_call
    async def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        subject = f"{self._prefix}.>"
        last = await self._server.last(self._name, subject)
        if last is None or (limit is not None and limit <= 0):
            return []
        commits: dict[int, Commit] = {}

        def take(raws: list[Raw]) -> bool:
            for raw in raws[len(taken) :]:
                taken.append(raw.sequence)
                if raw.sequence <= last.sequence:
                    message = self._decoded(raw)
                    if message.facts.kind == COMMIT_KIND:
                        commits[raw.sequence] = message.commit()
            return limit is not None and len(commits) >= limit

        taken: list[int] = []
        size = 2_000 if limit is None else limit + 1
        take(await self._server.scan(self._name, subject, max(after, 0) + 1, last.sequence, size=size, enough=take))
        reached = taken[-1] if taken else last.sequence
        for told in await self._told(f"{self._erased}.>"):  # after the scan, which may have missed what it tells
            commits |= {each.position: each for each in told.commits if after < each.position <= reached}
        wanted = [commits[position] for position in sorted(commits)][:limit]
        for commit in wanted:
            if not is_whole(commit):
                raise CorruptLog(f"commit at position {commit.position}", "it is not as it was written")
        return wanted

    # The catalog.

    @_call
    async def entry(self, stream: str) -> Entry | None:
        last = await self._end(stream)
        return _entry(last) if last else None

    @_call
    async def entries(self, query: Query) -> list[Entry]:
        return selected(await self._having(query.metadata), query)

    @_call
    async def count(self, metadata: dict[str, Any]) -> int:
        return len(await self._having(metadata))

    async def _having(self, metadata: dict[str, Any]) -> list[Entry]:
        catalog = self._shared.catalogs.setdefault(self.namespace, _Catalog())
        async with catalog.lock:
            await self._catch_up(catalog)
            return having(catalog.entries.values(), metadata)

    async def _catch_up(self, catalog: _Catalog) -> None:
        subject = f"{self._prefix}.>"
        last = await self._server.last(self._name, subject)
        target = last.sequence if last else 0
        if target <= catalog.sequence:
            return
        if catalog.sequence and target - catalog.sequence <= NEW_MAX:
            raws = await self._server.scan(self._name, subject, catalog.sequence + 1, target)
            messages = [self._decoded(raw) for raw in raws]
        else:
            catalog.entries.clear()
            messages = await self._ends(subject, target)
        for message in messages:
            if message.facts.kind == DELETED:
                catalog.entries.pop(message.facts.stream, None)
            else:
                catalog.entries[message.facts.stream] = _entry(message)
            catalog.sequence = max(catalog.sequence, message.sequence)

    async def _ends(self, subject: str, target: int) -> list[Message]:
        """The last message of each subject, without its payload."""
        ends = []
        for raw in await self._server.last_of_each(self._name, subject, target):
            message = decode(raw.sequence, raw.headers, b"", bodiless=True)
            if message.facts.kind != DELETED and message.facts.entry is None:  # too long for a header
                whole = await self._server.last(self._name, raw.subject)
                message = decode(whole.sequence, whole.headers, whole.body) if whole else message
            ends.append(message)
        return ends

    @_call
    async def put_entry(self, entry: Entry) -> bool:
        self._check_writable()

        async def put() -> bool | None:
            last = await self._end(entry.id)
            if last is None or last.facts.last != entry.version:
                return False
            facts = msgspec.structs.replace(
                last.facts,
                kind=ENTRY,
                size=0,
                rest="",
                erases=0,
                place=last.place,
                redacted=last.redacted,
                entry=stored_entry(entry),
            )
            headers, body, _ = encode(facts, b"")
            sequence, _ = await self._publish(entry.id, headers, body, last.sequence)
            return True if sequence else None

        done = await self._until_done(entry.id, put)
        self._shared.known.pop((self.namespace, entry.id), None)
        return done

    @_call
    async def namespaces(self) -> list[str]:
        subject = f"{self._name}.commits.>"
        last = await self._server.last(self._name, subject)
        ends = await self._server.last_of_each(self._name, subject, last.sequence) if last else []
        facts = [decode(raw.sequence, raw.headers, b"", bodiless=True).facts for raw in ends]
        return sorted({each.namespace for each in facts if each.kind != DELETED})

    # Snapshots.

    @_call
    async def snapshots(self, stream: str) -> list[Snapshot]:
        if await self._end(stream) is None:
            return []
        found = [_decode_snapshot(raw.body) for raw in await self._snapshots_of(stream)]
        return sorted(found, key=lambda each: each.version)

    async def _snapshots_of(self, stream: str) -> list[Raw]:
        return await self._server.found(self._snapshots, f"{self._snapshots}.{token(self.namespace)}.{token(stream)}.*")

    @_call
    async def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        self._check_writable()
        if not await self._ends_at(stream, snapshot):
            return False
        if not self._shared.has_snapshots:
            description = "snapshots of branchlog, which may be deleted"
            await make(self._server, side_config(self._snapshots, description, self._shared.replicas))
            self._shared.has_snapshots = True
        body = _encode_snapshot(snapshot)
        self._check_size({}, body, stream)
        subject = f"{self._snapshots}.{token(self.namespace)}.{token(stream)}.{snapshot.version}"
        old = await self._server.last(self._snapshots, subject)

        async def put() -> int:
            answer = await self._server.ask(subject, body)
            self._server.check(answer)
            sequence: int = msgspec.json.decode(answer)["seq"]
            return sequence

        if old is not None:
            await self._server.erase(self._snapshots, [old.sequence])
        sequence = await self._server.persist(put)
        if await self._ends_at(stream, snapshot):
            return True
        await self._server.erase(self._snapshots, [sequence])  # it may hold what was erased meanwhile
        return False

    async def _ends_at(self, stream: str, snapshot: Snapshot) -> bool:
        last = await self._end(stream)
        return last is not None and last.facts.head == Head(snapshot.version, snapshot.checksum)

    @_call
    async def drop_snapshots(self, stream: str) -> int:
        self._check_writable()
        return 0 if await self._end(stream) is None else await self._drop(stream)

    async def _drop(self, stream: str) -> int:
        found = await self._snapshots_of(stream)
        await self._server.erase(self._snapshots, [each.sequence for each in found])
        return len(found)

    # Drafts.

    @_call
    async def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        self._check_writable()
        check_draft(draft, number)
        if await self._end(stream) is None:
            raise ConversationNotFound(stream)
        await self._drafts.extend(stream, draft, number, piece)

    @_call
    async def drafts(self, stream: str) -> list[Draft]:
        return [] if await self._end(stream) is None else await self._drafts.kept(stream)

    @_call
    async def drop_draft(self, stream: str, draft: bytes) -> bool:
        self._check_writable()
        return await self._end(stream) is not None and await self._drafts.drop(stream, draft)

    # What it is.

    @_call
    async def examine(self) -> Examination:
        told = msgspec.json.decode(await self._server.command(f"STREAM.INFO.{self._name}"))
        config, state, cluster = told["config"], told["state"], told.get("cluster") or {}
        followers = cluster.get("replicas") or []
        facts: dict[str, int | float | str | bool] = {
            "bytes": state["bytes"],
            "messages": state["messages"],
            "subjects": state.get("num_subjects", 0),
            "last position": state["last_seq"],
            "replicas": config["num_replicas"],
            "leader": cluster.get("leader", ""),
            "messages that the slowest replica lacks": max((each.get("lag", 0) for each in followers), default=0),
            "bytes in a message at most": self._server.payload_max,
            "NATS server": self._server.server_version,
            "layout": LAYOUT,
            "sync_interval": "not told to clients; durable only where every server has 'always'",
        }
        return Examination(
            kind="NATS JetStream",
            place=self._server.address.place,
            facts=facts,
            problems=(*limits(config), *absent(followers)),
        )


def _entry_after(commit: Commit, before: Message | None, entry: Entry | None) -> StoredEntry | None:
    """What the catalog says once a commit is there: what its writer says, or what was said before."""
    if entry is None and before is not None:
        return before.entry
    return stored_entry(entry or bare_entry(commit))


def _entry(message: Message) -> Entry:
    entry = message.entry
    if entry is None:
        raise CorruptLog(f"the message at sequence {message.sequence}", "it has no entry for the catalog")
    return entry_from(message.facts.stream, message.facts.last, entry)


def _is_name(name: str) -> bool:
    try:
        return bool(check_name(name, "the id of a conversation"))
    except InvalidInput:
        return False


def _is_refusal(answer: BaseException) -> bool:
    return isinstance(answer, BranchlogError) and not isinstance(answer, BackendError | LogClosed)


async def _outcome(work: Awaitable[Appended]) -> Appended | Exception:
    """What one append of a group comes to: its answer, or the refusal that concerns it alone."""
    try:
        return await work
    except BranchlogError as error:
        if not _is_refusal(error):
            raise
        return error


class _Acknowledgement(msgspec.Struct, frozen=True):
    """The answer to a message that was published."""

    seq: int
    duplicate: bool = False


_decode_acknowledgement = msgspec.json.Decoder(_Acknowledgement).decode
_encode_snapshot = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode
