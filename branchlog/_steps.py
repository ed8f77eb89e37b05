"""What a store does, written once for the blocking and the async one: as steps.

Steps are a generator that yields calls on a log and is given their answers. ``run`` makes the calls, ``run_async``
awaits them.
"""

from __future__ import annotations

import base64
import binascii
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar, overload

import attrs
import msgspec

from branchlog._core.codec import Codec
from branchlog._core.events import MAIN, AnyEvent, ConversationStarted, CursorMoved, NodeAdded
from branchlog._core.message import Json, Message, check_metadata, copied, decode
from branchlog._core.projection import adding, parts, to_datetime
from branchlog._core.redact import blanked
from branchlog._core.same import different
from branchlog._core.snapshot import Stretch
from branchlog._core.tree import Moment
from branchlog._fetching import STRETCH_BYTES_MAX, Fetching, digest_of, fetched_of
from branchlog.commit import Commit, Head, Snapshot, verified
from branchlog.conversation import Clock, Conversation, NodeLike
from branchlog.errors import (
    AlreadyExists,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    InvalidInput,
    NotFound,
    SnapshotIgnored,
    VersionConflict,
)
from branchlog.logs.base import (
    ORDERS,
    AsyncLog,
    Entry,
    Erasure,
    Log,
    Order,
    Query,
    check_name,
    order_value,
)

T = TypeVar("T")
Steps: TypeAlias = Generator[Callable[[Any], Any], Any, T]
"""Calls on a log, to be made one after the other, each answered before the next; ``Any``, since the log is of either
colour."""

Messages: TypeAlias = list[Message]
Listing: TypeAlias = Literal["-updated", "updated", "-created", "created", "-title", "title", "-id", "id"]
"""An order of conversations; with a minus the highest, latest or last in the alphabet first."""

PAGE_COMMITS = 4_096
"""Commits of one read when a whole stream is loaded: a few megabytes."""

PATH_COMMITS_MIN, PATH_COMMITS_MAX = 2, 1_024
"""Commits of one read when a path is followed upwards: few where it jumps about, more and more where it is a line."""

LINE_COMMITS = 256
"""A path that is read by so many commits at a time is a line, and worth a look at the snapshots."""

SNAPSHOT_TAIL_BYTES = 1 << 20
"""A snapshot is taken when opening would have to fold more than this behind the last one: a few milliseconds' work, and
so much more than a snapshot's own bytes (about a tenth) that these never matter beside the log's."""

VERIFYING_TRIES = 10
"""How often a conversation is read again to be verified while others write to it."""

LIST_LIMIT = 50
"""Conversations of a page: more than a screen shows."""

POLL_SECONDS = 0.05
"""How often a subscription looks for news: below what a person notices, and one small indexed read each time."""


@attrs.frozen(kw_only=True)
class Summary:
    """What a listing says of one conversation; ``nodes`` and ``branches`` count nodes and leaves."""

    id: str
    title: str | None
    metadata: dict[str, Json]
    created: datetime
    updated: datetime
    version: int
    nodes: int
    branches: int


@attrs.frozen
class Page(Sequence[Summary]):
    """Some conversations of a listing, and in ``next`` what ``list(after=...)`` takes to go on; None at the end."""

    summaries: tuple[Summary, ...]
    next: str | None

    @overload
    def __getitem__(self, index: int) -> Summary: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Summary, ...]: ...
    def __getitem__(self, index: int | slice) -> Summary | tuple[Summary, ...]:
        return self.summaries[index]

    def __len__(self) -> int:
        return len(self.summaries)


@attrs.frozen(kw_only=True)
class Change:
    """One commit as its readers see it.

    ``position`` is its place in the whole store; its events have the versions ``first``, ``first + 1``, ... of the
    conversation; ``at`` is when it was written. ``erased`` tells whether something that it said was erased since.
    """

    position: int
    conversation: str
    first: int
    id: str
    at: datetime
    schema: str
    events: tuple[AnyEvent, ...]
    erased: bool = False

    @property
    def last(self) -> int:
        """The version of its last event."""
        return self.first + len(self.events) - 1


@attrs.frozen(kw_only=True)
class SnapshotInfo:
    """One snapshot: of the events after version ``after`` up to ``version``, and whether this branchlog can use it."""

    after: int
    version: int
    size_bytes: int
    usable: bool


@attrs.frozen(kw_only=True)
class Verification:
    """What came of replaying a conversation and comparing: ``differences`` is empty where all is well."""

    id: str
    version: int
    nodes: int
    snapshot_version: int
    differences: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Home:
    """What the conversations of one store share.

    ``local`` is a blocking log whose reads are short, from which messages can be fetched when they are looked at; where
    there is none, they are fetched when a conversation is loaded. ``together`` tells whether the log gives payloads
    together (``GivesPayloads``).
    """

    namespace: str
    clock: Clock | None
    codec: Codec
    local: Log | None
    together: bool

    @property
    def uses_snapshots(self) -> bool:
        """Whether a snapshot spares any reading: not where all messages have to be read one commit at a time."""
        return self.local is not None or self.together


def run(log: Log, steps: Steps[T]) -> T:
    """Make the calls."""
    try:
        call = next(steps)
        while True:
            try:
                answer = call(log)
            except Exception as error:  # noqa: BLE001 - the steps may know what to do about it
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def run_async(log: AsyncLog, steps: Steps[T]) -> T:
    """Make the calls, awaiting each answer."""
    try:
        call = next(steps)
        while True:
            try:
                answer = await call(log)
            except Exception as error:  # noqa: BLE001 - the steps may know what to do about it
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def started(
    home: Home,
    id: str | None,
    title: str | None,
    system: str | Message | None,
    metadata: dict[str, Json] | None,
) -> Conversation:
    """Begin a conversation of this store."""
    chat = Conversation.start(
        id,
        title=title,
        system=system,
        metadata=metadata,
        namespace=home.namespace,
        clock=home.clock,
        codec=home.codec,
    )
    chat._belongs_to_store = True
    return chat


def check_free(id: str) -> Steps[None]:
    """Raise ``AlreadyExists`` or ``ConversationDeleted`` where the id is taken or was."""
    check_name(id, "the id of a conversation")
    if (yield lambda log: log.head(id)) is not None:
        raise AlreadyExists(f"conversation {id!r} exists already; load it")


# Loading.


def load(home: Home, id: str) -> Steps[Conversation]:
    """Open a conversation: the usable snapshots, and the commits behind them."""
    check_name(id, "the id of a conversation")
    chat = yield from _begun(home, id)
    return (yield from _opened(chat, lambda commits, _: commits))


def load_whole(home: Home, id: str) -> Steps[Conversation]:
    """Open a conversation by folding its whole log, whatever snapshots there are.

    Each commit is checked against the one before it here, too, whatever the log itself checks.
    """
    check_name(id, "the id of a conversation")
    chat = _empty(home, id)
    return (yield from _opened(chat, verified))


def _empty(home: Home, id: str) -> Conversation:
    """A conversation of this store of which nothing is read yet."""
    return Conversation(id, namespace=home.namespace, clock=home.clock, codec=home.codec)


def _opened(chat: Conversation, passed: Callable[[Iterable[Commit], Head], Iterable[Commit]]) -> Steps[Conversation]:
    """Fold what comes after the head, passed on by ``passed``. Raises ``ConversationNotFound`` where nothing does."""
    while True:
        commits = yield _read(chat.id, chat.saved_version, PAGE_COMMITS)
        chat._fold(passed(commits, chat._head))
        if len(commits) < PAGE_COMMITS:
            break
    if not chat.version:
        raise ConversationNotFound(chat.id)
    if not len(chat.tree):
        raise CorruptLog(f"{chat.id!r}", "its first event does not start a conversation")
    chat._belongs_to_store = True
    return chat


def _read(id: str, after: int, limit: int | None = None) -> Callable[[Any], Any]:
    return lambda log: log.read(id, after=after, limit=limit)


def _begun(home: Home, id: str) -> Steps[Conversation]:
    """A conversation that stands where the usable snapshots end; with none of them, at its beginning."""
    chat = _empty(home, id)
    if not home.uses_snapshots:
        return chat
    usable, ignored = yield from _usable(id, chat._fingerprint)
    for each in ignored:
        warnings.warn(each, stacklevel=2)
    if usable:
        try:
            stretches = chat._lay(usable)
        except InvalidInput as error:
            warnings.warn(SnapshotIgnored(id, usable[-1].version, str(error)), stacklevel=2)
            return _empty(home, id)
        if home.local is not None:
            chat._fetch_by(Fetching(home.local, id, home.codec, stretches))
        elif not (yield from _filled(home, chat, stretches)):
            return _empty(home, id)
    return chat


def _filled(home: Home, chat: Conversation, stretches: Sequence[Stretch]) -> Steps[bool]:
    """Fetch all messages that snapshots left out; False where some are not to be had together, or not as they were."""
    ends = [0, *(stretch.until for stretch in stretches)]
    if [stretch.after for stretch in stretches] != ends[:-1] or ends[-1] != chat.saved_version:
        return False
    for stretch in stretches:
        payloads = yield _payloads_of(chat.id, stretch)
        fetched = fetched_of(stretch, payloads, home.codec)
        if fetched is None:
            return False
        chat._state.fill(fetched)
    return True


def _payloads_of(id: str, stretch: Stretch) -> Callable[[Any], Any]:
    return lambda log: log.payloads(id, after=stretch.after, until=stretch.until)


def _usable(id: str, fingerprint: str) -> Steps[tuple[list[Snapshot], list[SnapshotIgnored]]]:
    """The snapshots that can be laid end to end from the beginning on, and why each other one is ignored."""
    try:
        snapshots: list[Snapshot] = yield lambda log: log.snapshots(id)
    except CorruptLog as error:
        return [], [SnapshotIgnored(id, 0, str(error))]
    faults = {each.version: fault for each in snapshots if (fault := _fault(each, fingerprint))}
    usable: list[Snapshot] = []
    head = (yield lambda log: log.head(id)) if snapshots else None
    for snapshot in _chain([each for each in snapshots if each.version not in faults]):
        if not (yield from _is_in(id, Head(snapshot.version, snapshot.checksum), head)):
            faults[snapshot.version] = "the log has other commits there, or none"
            break
        usable.append(snapshot)
    used = {each.version for each in usable}
    return usable, [
        SnapshotIgnored(id, each.version, faults.get(each.version, "it does not follow one that is used"))
        for each in snapshots
        if each.version not in used
    ]


def _is_in(id: str, end: Head, head: Head | None) -> Steps[bool]:
    """Whether a commit ends there; that of the head need not be read for it, which may be a whole import."""
    if head is not None and end.version == head.version:
        return end == head
    commits = yield _read(id, end.version - 1, 1)
    return bool(commits) and commits[0].head == end


def _fault(snapshot: Snapshot, fingerprint: str) -> str:
    """What is wrong with a snapshot by itself; "" if nothing is."""
    if not snapshot.is_whole() or not 0 <= snapshot.after < snapshot.version:
        return "it is not as it was written"
    if snapshot.fingerprint != fingerprint:
        return "another version of branchlog, or of the application's schema, took it"
    return ""


def _chain(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Those, in order of versions, that lead furthest from the beginning, each from where the one before ends."""
    ending: dict[int, Snapshot] = {}
    for snapshot in snapshots:
        if snapshot.after == 0 or snapshot.after in ending:
            ending[snapshot.version] = snapshot
    chain: list[Snapshot] = []
    version = max(ending, default=0)
    while version:
        chain.append(ending[version])
        version = ending[version].after
    return chain[::-1]


# Saving.


def save(home: Home, chat: Conversation, on_conflict: str) -> Steps[int]:
    """Write what is pending, on top of what others wrote first; then perhaps take a snapshot."""
    if on_conflict not in ("merge", "raise"):
        raise InvalidInput(f"on_conflict is 'merge' or 'raise', not {on_conflict!r}")
    if chat._namespace != home.namespace:
        raise InvalidInput(
            f"conversation {chat.id!r} is of namespace {chat._namespace!r}, this store is {home.namespace!r}"
        )
    chat._belongs_to_store = True
    while chat._pending:
        yield from _save_once(chat, on_conflict)
        if chat._tail_bytes > SNAPSHOT_TAIL_BYTES and not chat._pending and home.uses_snapshots:
            yield from _try_snapshot(home, chat)
    return chat.saved_version


def _save_once(chat: Conversation, on_conflict: str) -> Steps[None]:
    commit = chat._next_commit()
    before = commit.first - 1
    entry = entry_of(chat, commit.last)
    redacted = chat._redactions(commit)
    erasures = (yield from _erasures(chat.id, commit, redacted)) if redacted else []
    try:
        answer = yield _writing(commit, before, entry, erasures)
    except VersionConflict as conflict:
        if before == 0:
            raise AlreadyExists(f"conversation {chat.id!r} exists already; load it and say it there") from None
        if on_conflict == "raise" or conflict.actual < before:  # the second: it was loaded from another store
            raise
        chat._merge((yield _read(chat.id, before)))
    else:
        chat._saved(answer.commit)


def _writing(commit: Commit, before: int, entry: Entry, erasures: Sequence[Erasure]) -> Callable[[Any], Any]:
    if erasures:
        return lambda log: log.redact(commit, expected=before, erasures=erasures, entry=entry)
    return lambda log: log.append(commit, expected=before, entry=entry)


def _erasures(id: str, commit: Commit, redacted: set[int]) -> Steps[list[Erasure]]:
    """What has to stand in place of the payloads, written before, that hold what a commit says is redacted."""
    versions = sorted(version for version in redacted if version < commit.first)
    erasures: dict[int, Erasure] = {}
    for version in versions:
        holder = (yield _read(id, version - 1, 1))[0]
        data = erasures[holder.first].data if holder.first in erasures else holder.data
        erasures[holder.first] = Erasure(first=holder.first, data=blanked(data, version - holder.first))
    return list(erasures.values())


def entry_of(chat: Conversation, version: int) -> Entry:
    """What the catalog will say once the events up to this version are saved."""
    state = chat._state
    arrays = state.arrays
    now = version == state.version
    return Entry(
        id=chat.id,
        version=version,
        title=state.title if now else state.title_at(version),
        metadata=copied(state.metadata if now else state.metadata_at(version)),
        created=state.times[0],
        updated=state.peaks[version - 1],
        nodes=arrays.count_at(version),
        branches=arrays.leaf_count() if now else len(chat.tree.at(version).leaves),
        cursors={name: arrays.versions[node] for name, node in state.cursors_at(version).items()},
    )


# Snapshots.


def _try_snapshot(home: Home, chat: Conversation) -> Steps[None]:
    """Take a snapshot; a failure is told, and is not the save's."""
    try:
        yield from _put_snapshot(home, chat)
    except Exception as error:  # noqa: BLE001 - the save is made, whatever becomes of a cache
        chat._tail_bytes = 0  # the next try comes when as much again has been said, not with every save
        warnings.warn(SnapshotIgnored(chat.id, chat.saved_version, f"it could not be taken: {error}"), stacklevel=2)


def _put_snapshot(home: Home, chat: Conversation) -> Steps[None]:
    """Take one of what came after the last that can be used; if there are others, begin anew without them."""
    usable, ignored = yield from _usable(chat.id, chat._fingerprint)
    if ignored:
        yield lambda log: log.drop_snapshots(chat.id)
        usable = []
    after = usable[-1].version if usable else 0
    if after >= chat.saved_version:
        chat._has_snapshot(usable[-1])  # another has taken it meanwhile
        return
    taken = chat._take_snapshot(after, (yield from _payloads(home, chat, after)))
    if (yield lambda log: log.put_snapshot(chat.id, taken)):
        chat._has_snapshot(taken)


def _payloads(home: Home, chat: Conversation, after: int) -> Steps[bytes]:
    """The digest of what is saved since a version; empty where it cannot be read together, or is too much for that."""
    if not home.together:
        return b""
    commits: list[Commit] = []
    size, last = 0, after
    while last < chat.saved_version and size <= STRETCH_BYTES_MAX:
        commits += yield _read(chat.id, last, PAGE_COMMITS)
        size, last = sum(len(commit.data) for commit in commits), commits[-1].last
    while commits[-1].last > chat.saved_version:  # what others have written since
        commits.pop()
    alike = all(commit.schema == home.codec.schema and not commit.erased for commit in commits)
    return digest_of(commits) if alike and size <= STRETCH_BYTES_MAX else b""


def take_snapshot(home: Home, id: str) -> Steps[int]:
    """Take a snapshot of what has come since the last one; the version that snapshots reach then."""
    chat = yield from load(home, id)
    if chat._snapshot_version < chat.saved_version:
        yield from _put_snapshot(home, chat)
    return chat._snapshot_version


def drop_snapshots(id: str) -> Steps[int]:
    """Forget the snapshots of a conversation; how many there were."""
    yield from _entry(id)
    count: int = yield lambda log: log.drop_snapshots(id)
    return count


def list_snapshots(home: Home, id: str) -> Steps[tuple[SnapshotInfo, ...]]:
    """The snapshots of a conversation."""
    yield from _entry(id)
    usable, _ = yield from _usable(id, Conversation(id, codec=home.codec)._fingerprint)
    snapshots = yield lambda log: log.snapshots(id)
    return tuple(
        SnapshotInfo(
            after=each.after,
            version=each.version,
            size_bytes=len(each.data),
            usable=each in usable,
        )
        for each in snapshots
    )


def verify(home: Home, id: str) -> Steps[Verification]:
    """Replay the whole log, and compare with where it says it ends, with what snapshots give, and with the catalog."""
    for _ in range(VERIFYING_TRIES):
        whole = yield from load_whole(home, id)
        quick = yield from load(home, id)
        head = yield lambda log: log.head(id)
        entry = yield from _entry(id)
        if whole.version == quick.version == entry.version and head == whole._head:
            break  # nobody wrote in between
    if head != whole._head:
        raise CorruptLog(f"{id!r}", f"the stream does not end at version {whole.version}, where its commits do")
    differences = list(different(whole._state, quick._state))
    if entry != entry_of(whole, whole.version):
        differences.append("the catalog does not say what the log does")
    return Verification(
        id=id,
        version=whole.version,
        nodes=len(whole.tree),
        snapshot_version=quick._snapshot_version,
        differences=tuple(differences),
    )


# Reading.


def messages(home: Home, id: str, at: NodeLike | Moment | None) -> Steps[Messages]:
    """The messages on a path, reading that path only where the place of the cursor can be had without the tree."""
    if at is None or (type(at) is int and at > 0):
        entry = yield from _entry(id)
        if type(at) is int and at > entry.version:
            raise NotFound(f"there is no version {at} yet: the conversation has {entry.version} events")
        where = entry.cursors.get(MAIN) if at is None else (yield from _cursor_at(home, id, at))
        if where is not None:
            return (yield from _path(home, id, where))
    chat = yield from load(home, id)
    return chat.messages(at)


def _cursor_at(home: Home, id: str, version: int) -> Steps[int | None]:
    """Where the default cursor stood at a version: its last move before, found by reading backwards."""
    limit = PATH_COMMITS_MIN
    until = version
    while until > 0:
        commits = yield _read_back(id, until, limit)
        for commit in commits:
            events = list(enumerate(home.codec.decode(commit), commit.first))
            for when, event in reversed(events):
                if when <= version and (where := _main_moved(event)) is not None:
                    return where
        until, limit = commits[-1].first - 1, min(limit * 2, PATH_COMMITS_MAX)
    return None


def _main_moved(event: AnyEvent) -> int | None:
    """Where an event put the default cursor, if it did: the version of a node."""
    for part in reversed(parts(event)):
        if isinstance(part, CursorMoved) and part.cursor == MAIN:
            return part.to
        if isinstance(part, ConversationStarted):
            return 1
    return None


def _path(home: Home, id: str, version: int) -> Steps[Messages]:
    """Follow the parents of a node up to the root, reading as few commits as may be.

    A read begins at the commit of the node that is wanted and goes back from there. Where the path used most of what
    was read it is likely a line, and the next read is twice as long; where it used little, the next is short. A long
    line is read by way of the snapshots that cover it.
    """
    upwards: Messages = []
    limit = PATH_COMMITS_MIN
    begun: Conversation | None = None
    while version:
        if limit >= LINE_COMMITS and home.local is not None:
            begun = begun or (yield from _begun(home, id))
            if version <= begun.version:
                return begun._messages_to(begun._state.arrays.index_of(version)) + upwards[::-1]
        commits = yield _read_back(id, version, limit)
        nodes = _nodes_of(home, commits)
        used = 0
        while version and version >= commits[-1].first:
            event = nodes.get(version)
            if event is None:
                raise CorruptLog(f"{id!r}", f"no event added a node at version {version}, where the path leads")
            if event.message is not msgspec.UNSET:
                upwards.append(decode(event.message))
            version = event.parent if isinstance(event, NodeAdded) else 0
            used += 1
        grown = limit * 2 if used * 2 > len(commits) else limit // 2
        limit = min(max(grown, PATH_COMMITS_MIN), PATH_COMMITS_MAX)
    return upwards[::-1]


def _read_back(id: str, version: int, limit: int) -> Callable[[Any], Any]:
    return lambda log: log.read(id, until=version, limit=limit, backward=True)


def _nodes_of(home: Home, commits: Iterable[Commit]) -> dict[int, NodeAdded | ConversationStarted]:
    """What added nodes, by version."""
    nodes = {}
    for commit in commits:
        for version, event in enumerate(home.codec.decode(commit), commit.first):
            if (part := adding(event)) is not None:
                nodes[version] = part
    return nodes


def _entry(id: str) -> Steps[Entry]:
    check_name(id, "the id of a conversation")
    entry = yield lambda log: log.entry(id)
    if entry is None:
        raise ConversationNotFound(id)
    return entry  # type: ignore[no-any-return]  # what a log answers to entry


def describe(id: str) -> Steps[Summary]:
    """What the catalog says of a conversation."""
    return _summary((yield from _entry(id)))


def commits_of(home: Home, id: str, after: int) -> Steps[tuple[Change, ...]]:
    """The commits of a conversation."""
    yield from _entry(id)
    commits = yield _read(id, after)
    return tuple(_change(home, commit) for commit in commits)


def changes(home: Home, after: int, limit: int | None) -> Steps[tuple[Change, ...]]:
    """The commits of all conversations."""
    commits = yield lambda log: log.read_all(after=after, limit=limit)
    return tuple(_change(home, commit) for commit in commits)


def _change(home: Home, commit: Commit) -> Change:
    return Change(
        position=commit.position,
        conversation=commit.stream,
        first=commit.first,
        id=commit.id.hex(),
        at=to_datetime(commit.at),
        schema=commit.schema,
        events=tuple(home.codec.decode(commit)),
        erased=bool(commit.erased),
    )


def page(metadata: dict[str, Json] | None, order: Listing, limit: int, after: str | None) -> Steps[Page]:
    """A page of the catalog."""
    column, descending = _order(order)
    if type(limit) is not int or limit < 1:
        raise InvalidInput(f"a page has at least one conversation; found limit {limit!r}")
    query = Query(
        metadata=_wanted(metadata),
        order=column,
        descending=descending,
        limit=limit + 1,
        after=None if after is None else _read_token(after, order),
    )
    entries = yield lambda log: log.entries(query)
    shown = entries[:limit]
    more = _token(order, order_value(shown[-1], column), shown[-1].id) if len(entries) > limit else None
    return Page(tuple(map(_summary, shown)), more)


def find(prefix: str, limit: int) -> Steps[tuple[Summary, ...]]:
    """The conversations whose id begins with a prefix."""
    check_name(prefix, "the beginning of an id")
    try:
        exact = yield lambda log: log.entry(prefix)
    except ConversationDeleted:
        exact = None
    longer = yield lambda log: log.entries(Query(order="id", descending=False, limit=limit, after=(prefix, prefix)))
    entries = [entry for entry in longer if entry.id.startswith(prefix)]
    return tuple(map(_summary, entries if exact is None else [exact, *entries]))[:limit]


def count(metadata: dict[str, Json] | None) -> Steps[int]:
    """How many conversations there are."""
    found = yield lambda log: log.count(_wanted(metadata))
    return found  # type: ignore[no-any-return]  # what a log answers to count


def delete(id: str) -> Steps[None]:
    """Take a conversation away for good."""
    check_name(id, "the id of a conversation")
    if not (yield lambda log: log.delete(id)):
        raise ConversationNotFound(id)


def _wanted(metadata: dict[str, Json] | None) -> dict[str, Json]:
    check_metadata(metadata if metadata is not None else {}, "the metadata to look for")
    return metadata or {}


def _summary(entry: Entry) -> Summary:
    return Summary(
        id=entry.id,
        title=entry.title,
        metadata=entry.metadata,
        created=to_datetime(entry.created),
        updated=to_datetime(entry.updated),
        version=entry.version,
        nodes=entry.nodes,
        branches=entry.branches,
    )


def _order(order: str) -> tuple[Order, bool]:
    for column in ORDERS:
        if order in (column, f"-{column}"):
            return column, order.startswith("-")
    raise InvalidInput(f"no order {order!r}; there are: {', '.join(ORDERS)}, each with a minus for the other way round")


def _token(order: str, value: int | str, id: str) -> str:
    """Where a page ends, as text to hand out and take back."""
    return base64.urlsafe_b64encode(msgspec.json.encode([order, value, id])).decode().rstrip("=")


def _read_token(token: str, order: str) -> tuple[int | str, str]:
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        of, value, id = msgspec.json.decode(data, type=tuple[str, int | str, str])
    except (ValueError, TypeError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidInput(f"not the 'next' of a page: {token!r}") from error
    if of != order:
        raise InvalidInput(f"this 'next' is of a page in order {of!r}; the listing asked for is in order {order!r}")
    return value, id
