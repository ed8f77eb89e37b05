"""Stores: conversations kept in a log, blocking (``Store``) and async (``AsyncStore``).

The face only: what a store does is written once, in ``_steps``.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from branchlog import _steps
from branchlog._core.codec import Application, Codec
from branchlog._core.message import Json, Message
from branchlog._core.tree import Moment
from branchlog._steps import (
    LIST_LIMIT,
    PAGE_COMMITS,
    POLL_SECONDS,
    Change,
    Home,
    Listing,
    Messages,
    Page,
    SnapshotInfo,
    Steps,
    Summary,
    Verification,
    run,
    run_async,
)
from branchlog.conversation import Clock, Conversation, NodeLike
from branchlog.errors import LogClosed
from branchlog.logs.addresses import Durability, Place
from branchlog.logs.base import Abilities, AsyncLog, GivesPayloads, Log, ReadsInThreads

T = TypeVar("T")


class Store:
    """Conversations kept in a log.

    Any method raises ``LogClosed`` once the store is closed, and ``BackendError`` or ``CorruptLog`` where what lies
    beneath fails or is damaged. May be used from several threads; a conversation may not.
    """

    def __init__(self, log: Log, *, clock: Clock | None = None, application: Application | None = None) -> None:
        """Keep conversations in this log; ``branchlog.open`` makes one from an address."""
        self.log = log
        self._home = Home(
            namespace=log.namespace,
            clock=clock,
            codec=Codec(application),
            local=log,
            together=isinstance(log, GivesPayloads),
        )

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
        return Store(self.log.within(namespace), clock=self._home.clock, application=self._home.codec.application)

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
            run(self.log, _steps.check_free(id))
        return _steps.started(self._home, id, title, system, metadata)

    def load(self, id: str) -> Conversation:
        """Open a conversation. Raises ``ConversationNotFound``."""
        return run(self.log, _steps.load(self._home, id))

    def save(self, chat: Conversation, *, on_conflict: Literal["merge", "raise"] = "merge") -> int:
        """Write what is pending as one commit; durable when this returns. Returns the version that is saved.

        Where another writer came first, what is pending goes on top of theirs, or with ``on_conflict="raise"`` stays
        pending while ``VersionConflict`` is raised. With nothing pending, nothing happens. After a ``BackendError`` the
        same call may be made again: what was written after all is not written twice.
        """
        return run(self.log, _steps.save(self._home, chat, on_conflict))

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

        Reads that path only, however large the tree is; with a version as ``at``, the path to where the cursor was
        then. With a node, an expression or a time the conversation is opened first. Raises ``NotFound``.
        """
        return run(self.log, _steps.messages(self._home, id, at))

    def describe(self, id: str) -> Summary:
        """What a listing says of this conversation. Raises ``ConversationNotFound``."""
        return run(self.log, _steps.describe(id))

    def commits(self, id: str, *, after: int = 0) -> tuple[Change, ...]:
        """The commits of a conversation that hold a version above ``after``. Raises ``ConversationNotFound``."""
        return run(self.log, _steps.commits_of(self._home, id, after))

    def changes(self, *, after: int = 0, limit: int | None = None) -> tuple[Change, ...]:
        """The commits of all conversations with a position above ``after``, in the order in which they were written."""
        return run(self.log, _steps.changes(self._home, after, limit))

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
        return run(self.log, _steps.page(metadata, order, limit, after))

    def find(self, prefix: str, *, limit: int = LIST_LIMIT) -> tuple[Summary, ...]:
        """The conversations whose id begins with a prefix, in order of id, at most ``limit`` of them."""
        return run(self.log, _steps.find(prefix, limit))

    def count(self, *, metadata: dict[str, Json] | None = None) -> int:
        """How many conversations there are, or have these values in their metadata."""
        return run(self.log, _steps.count(metadata))

    def snapshot(self, id: str) -> int:
        """Take a snapshot of a conversation now; the version that its snapshots reach. Saving takes them by itself."""
        return run(self.log, _steps.take_snapshot(self._home, id))

    def snapshots(self, id: str) -> tuple[SnapshotInfo, ...]:
        """The snapshots of a conversation, in order of versions."""
        return run(self.log, _steps.list_snapshots(self._home, id))

    def drop_snapshots(self, id: str) -> int:
        """Forget the snapshots of a conversation; how many there were. Nothing is lost: they are a cache."""
        return run(self.log, _steps.drop_snapshots(id))

    def verify(self, id: str) -> Verification:
        """Replay a conversation from its log, and compare with its snapshots and the catalog.

        Raises ``CorruptLog`` where the log itself is damaged.
        """
        return run(self.log, _steps.verify(self._home, id))

    def delete(self, id: str) -> None:
        """Take a conversation away for good. Its id is not used again. Raises ``ConversationNotFound``."""
        run(self.log, _steps.delete(id))

    def close(self) -> None:
        """Let go of the file or connection. Closing twice is allowed."""
        self.log.close()


class AsyncStore:
    """Conversations kept in a log, with the methods of ``Store`` awaited; each is described there."""

    def __init__(self, log: AsyncLog, *, clock: Clock | None = None, application: Application | None = None) -> None:
        """Keep conversations in this log; ``branchlog.open_async`` makes one from an address."""
        self.log = log
        self._home = Home(
            namespace=log.namespace,
            clock=clock,
            codec=Codec(application),
            local=log.blocking,
            together=isinstance(log.blocking or log, GivesPayloads),
        )

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
        return AsyncStore(self.log.within(namespace), clock=self._home.clock, application=self._home.codec.application)

    async def _read(self, steps: Steps[T]) -> T:
        """Make steps that only read; with a blocking log beneath, all of them on one way to a thread and back."""
        if isinstance(self.log, ReadsInThreads):
            return await self.log.beneath(lambda log: run(log, steps))
        return await run_async(self.log, steps)

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
            await self._read(_steps.check_free(id))
        return _steps.started(self._home, id, title, system, metadata)

    async def load(self, id: str) -> Conversation:
        """As ``Store.load``."""
        return await self._read(_steps.load(self._home, id))

    async def save(self, chat: Conversation, *, on_conflict: Literal["merge", "raise"] = "merge") -> int:
        """As ``Store.save``. Saves that are made at once share one fsync."""
        return await run_async(self.log, _steps.save(self._home, chat, on_conflict))

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
        return await self._read(_steps.messages(self._home, id, at))

    async def describe(self, id: str) -> Summary:
        """As ``Store.describe``."""
        return await self._read(_steps.describe(id))

    async def commits(self, id: str, *, after: int = 0) -> tuple[Change, ...]:
        """As ``Store.commits``."""
        return await self._read(_steps.commits_of(self._home, id, after))

    async def changes(self, *, after: int = 0, limit: int | None = None) -> tuple[Change, ...]:
        """As ``Store.changes``."""
        return await self._read(_steps.changes(self._home, after, limit))

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
        return await self._read(_steps.page(metadata, order, limit, after))

    async def find(self, prefix: str, *, limit: int = LIST_LIMIT) -> tuple[Summary, ...]:
        """As ``Store.find``."""
        return await self._read(_steps.find(prefix, limit))

    async def count(self, *, metadata: dict[str, Json] | None = None) -> int:
        """As ``Store.count``."""
        return await self._read(_steps.count(metadata))

    async def snapshot(self, id: str) -> int:
        """As ``Store.snapshot``."""
        return await run_async(self.log, _steps.take_snapshot(self._home, id))

    async def snapshots(self, id: str) -> tuple[SnapshotInfo, ...]:
        """As ``Store.snapshots``."""
        return await self._read(_steps.list_snapshots(self._home, id))

    async def drop_snapshots(self, id: str) -> int:
        """As ``Store.drop_snapshots``."""
        return await run_async(self.log, _steps.drop_snapshots(id))

    async def verify(self, id: str) -> Verification:
        """As ``Store.verify``."""
        return await self._read(_steps.verify(self._home, id))

    async def delete(self, id: str) -> None:
        """As ``Store.delete``."""
        await run_async(self.log, _steps.delete(id))

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
    read_only: bool = False,
    clock: Clock | None = None,
    application: Application | None = None,
) -> Store:
    """Open the store at an address: a path for one SQLite file, ``files:PATH`` for a folder of JSON Lines.

    Or ``memory:`` for none, ``postgresql://...``, ``nats://...``, and ``s3://...`` and its kin for object storage: see
    ``branchlog.logs.addresses``; what is served by others needs an extra. A store that is not there is made, unless
    ``create`` is false; ``read_only`` leaves every byte as it is. For files, ``durability="relaxed"`` saves without
    waiting for the disk: a power loss may take the last commits, a crash of the program takes none. ``clock`` gives the
    time of events; ``application`` takes the metadata of an application up to its present version when it is read.

    Raises ``InvalidInput`` for an address that leads nowhere, ``StoreNotFound``, ``NotAStore``, ``SchemaVersionError``,
    ``CorruptLog`` and ``BackendError``.
    """
    place = Place(address=address, namespace=namespace, durability=durability, create=create, read_only=read_only)
    return Store(place.blocking(), clock=clock, application=application)


class Opening:
    """A store about to be opened: await it, or enter it with ``async with``."""

    def __init__(self, opened: Callable[[], Coroutine[Any, Any, AsyncStore]]) -> None:
        self._opened = opened
        self._store: AsyncStore | None = None

    def __await__(self) -> Generator[Any, None, AsyncStore]:
        return self._opened().__await__()

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
    read_only: bool = False,
    clock: Clock | None = None,
    application: Application | None = None,
) -> Opening:
    """Open the store at an address, for use with ``await``; otherwise as ``open``.

    ``async with branchlog.open_async("chats.db") as store: ...``
    """
    place = Place(address=address, namespace=namespace, durability=durability, create=create, read_only=read_only)

    async def opened() -> AsyncStore:
        return AsyncStore(await place.awaited(), clock=clock, application=application)

    return Opening(opened)
