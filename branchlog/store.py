"""Stores: conversations kept in a log, blocking (``Store``) and async (``AsyncStore``).

What a store does is written once, as steps: a generator that yields calls on a log and is given their answers.
``Store`` makes the calls, ``AsyncStore`` awaits them.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, overload

import attrs
import msgspec

from branchlog._core import codec
from branchlog._core.events import MAIN, AnyEvent, ConversationStarted, NodeAdded
from branchlog._core.message import Json, Message, check_metadata, copied, decode
from branchlog._core.projection import to_datetime
from branchlog._core.tree import Moment
from branchlog.commit import Commit
from branchlog.conversation import Clock, Conversation, NodeLike
from branchlog.errors import (
    AlreadyExists,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    InvalidInput,
    LogClosed,
    VersionConflict,
)
from branchlog.logs.base import ORDERS, Abilities, AsyncLog, Entry, Log, Order, Query, check_name, order_value

T = TypeVar("T")
Steps: TypeAlias = Generator[Callable[[Any], Any], Any, T]
"""Calls on a log, to be made one after the other, each answered before the next; ``Any``, since the log is of either
colour."""

Messages: TypeAlias = list[Message]
Durability: TypeAlias = Literal["full", "relaxed"]
Listing: TypeAlias = Literal["-updated", "updated", "-created", "created", "-title", "title", "-id", "id"]
"""An order of conversations; with a minus the highest, latest or last in the alphabet first."""

PAGE_COMMITS = 4_096
"""Commits of one read when a whole stream is loaded: a few megabytes."""

PATH_COMMITS_MIN, PATH_COMMITS_MAX = 2, 1_024
"""Commits of one read when a path is followed upwards: few where it jumps about, more and more where it is a line."""

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
    conversation; ``at`` is when it was written.
    """

    position: int
    conversation: str
    first: int
    id: str
    at: datetime
    schema: str
    events: tuple[AnyEvent, ...]

    @property
    def last(self) -> int:
        """The version of its last event."""
        return self.first + len(self.events) - 1


class Store:
    """Conversations kept in a log.

    Any method raises ``LogClosed`` once the store is closed, and ``BackendError`` or ``CorruptLog`` where what lies
    beneath fails or is damaged. May be used from several threads; a conversation may not.
    """

    def __init__(self, log: Log, *, clock: Clock | None = None) -> None:
        """Keep conversations in this log; ``branchlog.open`` makes one from an address."""
        self.log = log
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store in {type(self.log).__name__}, namespace {self.namespace!r}>"

    @property
    def namespace(self) -> str:
        """Whose conversations these are."""
        return self.log.namespace

    @property
    def abilities(self) -> Abilities:
        """What the log beneath can do."""
        return self.log.abilities

    def within(self, namespace: str) -> Store:
        """The same store, seen from another namespace. Closing either closes both."""
        return Store(self.log.within(namespace), clock=self._clock)

    def create(
        self,
        id: str | None = None,
        *,
        title: str | None = None,
        system: str | Message | None = None,
        metadata: dict[str, Json] | None = None,
    ) -> Conversation:
        """Begin a conversation, with a new id if none is given. Nothing is stored before it is saved.

        Raises ``AlreadyExists`` or ``ConversationDeleted`` where the id is taken or was, now or when it is saved.
        """
        if id is not None:
            _run(self.log, _check_free(id))
        return _started(self.namespace, self._clock, id, title, system, metadata)

    def load(self, id: str) -> Conversation:
        """Open a conversation. Raises ``ConversationNotFound``."""
        return _run(self.log, _load(id, self.namespace, self._clock))

    def save(self, chat: Conversation, *, on_conflict: Literal["merge", "raise"] = "merge") -> int:
        """Write what is pending as one commit; durable when this returns. Returns the version that is saved.

        Where another writer came first, what is pending goes on top of theirs, or with ``on_conflict="raise"`` stays
        pending while ``VersionConflict`` is raised. With nothing pending, nothing happens. After a ``BackendError`` the
        same call may be made again: what was written after all is not written twice.
        """
        return _run(self.log, _save(chat, self.namespace, on_conflict))

    @contextmanager
    def editing(self, id: str) -> Iterator[Conversation]:
        """Load a conversation and save it on leaving, also by an exception: what was said was said."""
        chat = self.load(id)
        try:
            yield chat
        finally:
            self.save(chat)

    def messages(self, id: str, *, at: NodeLike | Moment | None = None) -> Messages:
        """The messages that a model is sent: those on the path to the default cursor.

        Reads that path only, however large the tree is. With ``at`` (a node, an expression, a version or a time) the
        conversation is loaded. Raises ``ConversationNotFound``.
        """
        return _run(self.log, _messages(id, at, self.namespace))

    def describe(self, id: str) -> Summary:
        """What a listing says of this conversation. Raises ``ConversationNotFound``."""
        return _run(self.log, _describe(id))

    def commits(self, id: str, *, after: int = 0) -> tuple[Change, ...]:
        """The commits of a conversation that hold a version above ``after``. Raises ``ConversationNotFound``."""
        return _run(self.log, _commits(id, after))

    def changes(self, *, after: int = 0, limit: int | None = None) -> tuple[Change, ...]:
        """The commits of all conversations with a position above ``after``, in the order in which they were written."""
        return _run(self.log, _changes(after, limit))

    def subscribe(self, *, after: int = 0, idle_seconds: float | None = None) -> Iterator[Change]:
        """Every commit with a position above ``after``, those of the past and then each new one as it arrives.

        Go on where you stopped by giving the last position seen. Ends when the store is closed, or when nothing has
        arrived for ``idle_seconds``.
        """
        quiet_since = time.monotonic()
        while True:
            try:
                changes = self.changes(after=after, limit=PAGE_COMMITS)
            except LogClosed:
                return
            for change in changes:
                yield change
                after = change.position
            if changes:
                quiet_since = time.monotonic()
            elif idle_seconds is not None and time.monotonic() - quiet_since >= idle_seconds:
                return
            else:
                time.sleep(POLL_SECONDS)

    def list(
        self,
        *,
        metadata: dict[str, Json] | None = None,
        order: Listing = "-updated",
        limit: int = LIST_LIMIT,
        after: str | None = None,
    ) -> Page:
        """A page of conversations, the last updated first, without opening any.

        ``metadata`` keeps those that have these values under these keys. ``after`` is the ``next`` of the page before.
        """
        return _run(self.log, _list(metadata, order, limit, after))

    def find(self, prefix: str, *, limit: int = LIST_LIMIT) -> tuple[Summary, ...]:
        """The conversations whose id begins with a prefix, in order of id, at most ``limit`` of them."""
        return _run(self.log, _find(prefix, limit))

    def count(self, *, metadata: dict[str, Json] | None = None) -> int:
        """How many conversations there are, or have these values in their metadata."""
        return _run(self.log, _count(metadata))

    def delete(self, id: str) -> None:
        """Take a conversation away for good. Its id is not used again. Raises ``ConversationNotFound``."""
        _run(self.log, _delete(id))

    def close(self) -> None:
        """Let go of the file or connection. Closing twice is allowed."""
        self.log.close()


class AsyncStore:
    """Conversations kept in a log, with the methods of ``Store`` awaited; each is described there."""

    def __init__(self, log: AsyncLog, *, clock: Clock | None = None) -> None:
        """Keep conversations in this log; ``branchlog.open_async`` makes one from an address."""
        self.log = log
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncStore in {type(self.log).__name__}, namespace {self.namespace!r}>"

    @property
    def namespace(self) -> str:
        """Whose conversations these are."""
        return self.log.namespace

    @property
    def abilities(self) -> Abilities:
        """What the log beneath can do."""
        return self.log.abilities

    def within(self, namespace: str) -> AsyncStore:
        """As ``Store.within``."""
        return AsyncStore(self.log.within(namespace), clock=self._clock)

    async def create(
        self,
        id: str | None = None,
        *,
        title: str | None = None,
        system: str | Message | None = None,
        metadata: dict[str, Json] | None = None,
    ) -> Conversation:
        """As ``Store.create``."""
        if id is not None:
            await _await(self.log, _check_free(id))
        return _started(self.namespace, self._clock, id, title, system, metadata)

    async def load(self, id: str) -> Conversation:
        """As ``Store.load``."""
        return await _await(self.log, _load(id, self.namespace, self._clock))

    async def save(self, chat: Conversation, *, on_conflict: Literal["merge", "raise"] = "merge") -> int:
        """As ``Store.save``. Saves that are made at once share one fsync."""
        return await _await(self.log, _save(chat, self.namespace, on_conflict))

    @asynccontextmanager
    async def editing(self, id: str) -> AsyncIterator[Conversation]:
        """As ``Store.editing``."""
        chat = await self.load(id)
        try:
            yield chat
        finally:
            await self.save(chat)

    async def messages(self, id: str, *, at: NodeLike | Moment | None = None) -> Messages:
        """As ``Store.messages``."""
        return await _await(self.log, _messages(id, at, self.namespace))

    async def describe(self, id: str) -> Summary:
        """As ``Store.describe``."""
        return await _await(self.log, _describe(id))

    async def commits(self, id: str, *, after: int = 0) -> tuple[Change, ...]:
        """As ``Store.commits``."""
        return await _await(self.log, _commits(id, after))

    async def changes(self, *, after: int = 0, limit: int | None = None) -> tuple[Change, ...]:
        """As ``Store.changes``."""
        return await _await(self.log, _changes(after, limit))

    async def subscribe(self, *, after: int = 0, idle_seconds: float | None = None) -> AsyncIterator[Change]:
        """As ``Store.subscribe``."""
        import asyncio  # a third of the time that importing branchlog would take

        quiet_since = time.monotonic()
        while True:
            try:
                changes = await self.changes(after=after, limit=PAGE_COMMITS)
            except LogClosed:
                return
            for change in changes:
                yield change
                after = change.position
            if changes:
                quiet_since = time.monotonic()
            elif idle_seconds is not None and time.monotonic() - quiet_since >= idle_seconds:
                return
            else:
                await asyncio.sleep(POLL_SECONDS)

    async def list(
        self,
        *,
        metadata: dict[str, Json] | None = None,
        order: Listing = "-updated",
        limit: int = LIST_LIMIT,
        after: str | None = None,
    ) -> Page:
        """As ``Store.list``."""
        return await _await(self.log, _list(metadata, order, limit, after))

    async def find(self, prefix: str, *, limit: int = LIST_LIMIT) -> tuple[Summary, ...]:
        """As ``Store.find``."""
        return await _await(self.log, _find(prefix, limit))

    async def count(self, *, metadata: dict[str, Json] | None = None) -> int:
        """As ``Store.count``."""
        return await _await(self.log, _count(metadata))

    async def delete(self, id: str) -> None:
        """As ``Store.delete``."""
        await _await(self.log, _delete(id))

    async def close(self) -> None:
        """As ``Store.close``."""
        await self.log.close()


# Opening.


def open(
    address: str | os.PathLike[str],
    *,
    namespace: str = "",
    durability: Durability = "full",
    create: bool = True,
    clock: Clock | None = None,
) -> Store:
    """Open the store at an address: a path or ``sqlite:PATH`` for one SQLite file, ``memory:`` for none.

    A file that is not there is made, unless ``create`` is false. ``durability="relaxed"`` saves without waiting for the
    disk: a power loss may take the last commits, a crash of the program takes none. ``clock`` gives the time of events.

    Raises ``InvalidInput`` for an address that leads nowhere, ``StoreNotFound``, ``NotAStore``, ``SchemaVersionError``,
    ``CorruptLog`` and ``BackendError``.
    """
    return Store(_open_log(address, namespace, durability, create), clock=clock)


class Opening:
    """A store about to be opened: await it, or enter it with ``async with``."""

    def __init__(self, opened: Callable[[], AsyncStore]) -> None:
        self._opened = opened
        self._store: AsyncStore | None = None

    def __await__(self) -> Generator[Any, None, AsyncStore]:
        import asyncio

        return asyncio.to_thread(self._opened).__await__()

    async def __aenter__(self) -> AsyncStore:
        self._store = await self
        return self._store

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._store is not None:
            await self._store.close()


def open_async(
    address: str | os.PathLike[str],
    *,
    namespace: str = "",
    durability: Durability = "full",
    create: bool = True,
    clock: Clock | None = None,
) -> Opening:
    """Open the store at an address, for use with ``await``; otherwise as ``open``.

    ``async with branchlog.open_async("chats.db") as store: ...``
    """

    def opened() -> AsyncStore:
        from branchlog.logs.bridges import AsyncBridge

        return AsyncStore(AsyncBridge(_open_log(address, namespace, durability, create)), clock=clock)

    return Opening(opened)


_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):(?://(?=/|$))?", re.ASCII)


def _open_log(address: str | os.PathLike[str], namespace: str, durability: Durability, create: bool) -> Log:
    if durability not in ("full", "relaxed"):
        raise InvalidInput(f"durability is 'full' or 'relaxed', not {durability!r}")
    if not isinstance(address, str | os.PathLike):
        raise InvalidInput(f"an address is a path or a text such as 'sqlite:chats.db', not {address!r}")
    text = os.fspath(address)
    if not text or "\0" in text:
        raise InvalidInput("an address is a path or a text such as 'sqlite:chats.db', not an empty one or one with NUL")
    scheme = _SCHEME.match(text) if isinstance(address, str) else None
    if scheme is None or scheme[1] == "sqlite":
        from branchlog.logs.sqlite import SqliteLog

        path = text if scheme is None else text[scheme.end() :]
        return SqliteLog(path, namespace=namespace, durability=durability, create=create)
    if scheme[1] == "memory" and scheme.end() == len(text):
        from branchlog.logs.memory import MemoryLog

        return MemoryLog(namespace)
    raise InvalidInput(
        f"no backend for {text!r}; there are: a path, sqlite:PATH, memory: (for a path with a colon, ./{text})"
    )


# Making the calls.


def _run(log: Log, steps: Steps[T]) -> T:
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


async def _await(log: AsyncLog, steps: Steps[T]) -> T:
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


# What a store does, as steps.


def _started(
    namespace: str,
    clock: Clock | None,
    id: str | None,
    title: str | None,
    system: str | Message | None,
    metadata: dict[str, Json] | None,
) -> Conversation:
    chat = Conversation.start(id, title=title, system=system, metadata=metadata, namespace=namespace, clock=clock)
    chat._belongs_to_store = True
    return chat


def _check_free(id: str) -> Steps[None]:
    check_name(id, "the id of a conversation")
    if (yield lambda log: log.head(id)) is not None:
        raise AlreadyExists(f"conversation {id!r} exists already; load it")


def _load(id: str, namespace: str, clock: Clock | None) -> Steps[Conversation]:
    check_name(id, "the id of a conversation")
    chat = Conversation(id, namespace=namespace, clock=clock)
    while True:
        commits = yield lambda log: log.read(id, after=chat.saved_version, limit=PAGE_COMMITS)
        chat._fold(commits)
        if len(commits) < PAGE_COMMITS:
            break
    if not chat.version:
        raise ConversationNotFound(id)
    chat._belongs_to_store = True
    return chat


def _save(chat: Conversation, namespace: str, on_conflict: str) -> Steps[int]:
    if on_conflict not in ("merge", "raise"):
        raise InvalidInput(f"on_conflict is 'merge' or 'raise', not {on_conflict!r}")
    if chat._namespace != namespace:
        raise InvalidInput(f"conversation {chat.id!r} is of namespace {chat._namespace!r}, this store is {namespace!r}")
    chat._belongs_to_store = True
    while chat.pending:
        yield from _save_once(chat, on_conflict)
    return chat.saved_version


def _save_once(chat: Conversation, on_conflict: str) -> Steps[None]:
    commit = chat._next_commit()
    before = commit.first - 1
    entry = _entry_of(chat, commit.last)
    try:
        answer = yield lambda log: log.append(commit, expected=before, entry=entry)
    except VersionConflict:
        if before == 0:
            raise AlreadyExists(f"conversation {chat.id!r} exists already; load it and say it there") from None
        if on_conflict == "raise":
            raise
        chat._merge((yield lambda log: log.read(chat.id, after=before)))
    else:
        chat._saved(answer.commit)


def _entry_of(chat: Conversation, version: int) -> Entry:
    """What the catalog will say once the events up to this version are saved."""
    state = chat._state
    now = version == state.version
    return Entry(
        id=chat.id,
        version=version,
        title=state.title if now else state.title_at(version),
        metadata=copied(state.metadata if now else state.metadata_at(version)),
        created=state.times[0],
        updated=state.peaks[version - 1],
        nodes=state.arrays.count_at(version),
        branches=state.arrays.leaf_count() if now else len(chat.tree.at(version).leaves),
        cursors={name: state.arrays.versions[node] for name, node in state.cursors_at(version).items()},
    )


def _messages(id: str, at: NodeLike | Moment | None, namespace: str) -> Steps[Messages]:
    if at is None:
        entry = yield from _entry(id)
        if MAIN in entry.cursors:
            return (yield from _path(id, entry.cursors[MAIN]))
    chat = yield from _load(id, namespace, None)
    return chat.messages(at)


def _path(id: str, version: int) -> Steps[Messages]:
    """Follow the parents of a node up to the root, reading as few commits as may be.

    A read begins at the commit of the node that is wanted and goes back from there. Where the path used most of what
    was read it is likely a line, and the next read is twice as long; where it used little, the next is short.
    """
    upwards: Messages = []
    limit = PATH_COMMITS_MIN
    while version:
        commits = yield _read_back(id, version, limit)
        nodes = {found: event for commit in commits for found, event in _nodes_of(commit)}
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


def _nodes_of(commit: Commit) -> Iterator[tuple[int, NodeAdded | ConversationStarted]]:
    for version, event in enumerate(codec.decode_events(commit), commit.first):
        if isinstance(event, NodeAdded | ConversationStarted):
            yield version, event


def _entry(id: str) -> Steps[Entry]:
    check_name(id, "the id of a conversation")
    entry = yield lambda log: log.entry(id)
    if entry is None:
        raise ConversationNotFound(id)
    return entry  # type: ignore[no-any-return]  # what a log answers to entry


def _describe(id: str) -> Steps[Summary]:
    return _summary((yield from _entry(id)))


def _commits(id: str, after: int) -> Steps[tuple[Change, ...]]:
    yield from _entry(id)
    commits = yield lambda log: log.read(id, after=after)
    return tuple(map(_change, commits))


def _changes(after: int, limit: int | None) -> Steps[tuple[Change, ...]]:
    commits = yield lambda log: log.read_all(after=after, limit=limit)
    return tuple(map(_change, commits))


def _change(commit: Commit) -> Change:
    return Change(
        position=commit.position,
        conversation=commit.stream,
        first=commit.first,
        id=commit.id.hex(),
        at=to_datetime(commit.at),
        schema=commit.schema,
        events=tuple(codec.decode_events(commit)),
    )


def _list(metadata: dict[str, Json] | None, order: Listing, limit: int, after: str | None) -> Steps[Page]:
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


def _find(prefix: str, limit: int) -> Steps[tuple[Summary, ...]]:
    check_name(prefix, "the beginning of an id")
    try:
        exact = yield lambda log: log.entry(prefix)
    except ConversationDeleted:
        exact = None
    longer = yield lambda log: log.entries(Query(order="id", descending=False, limit=limit, after=(prefix, prefix)))
    entries = [entry for entry in longer if entry.id.startswith(prefix)]
    return tuple(map(_summary, entries if exact is None else [exact, *entries]))[:limit]


def _count(metadata: dict[str, Json] | None) -> Steps[int]:
    count = yield lambda log: log.count(_wanted(metadata))
    return count  # type: ignore[no-any-return]  # what a log answers to count


def _delete(id: str) -> Steps[None]:
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
