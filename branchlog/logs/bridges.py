"""A log of one colour, used from the other: so that a backend is written once.

``AsyncBridge`` lets a blocking log be awaited. Appends meet in one writer thread: those that arrive while it is writing
are written together next, and share one fsync. Reads run in a few threads of their own.

``BlockingBridge`` lets an async log be called: its event loop runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeAlias, TypeVar

from branchlog.commit import Commit, Head, Snapshot
from branchlog.errors import LogClosed
from branchlog.logs.base import (
    Abilities,
    Append,
    Appended,
    AsyncLog,
    Draft,
    Entry,
    Erasure,
    Examination,
    ExpectedVersion,
    GivesPayloads,
    Log,
    Query,
)

T = TypeVar("T")

GROUP_MAX = 512
"""Appends in one transaction: enough to hide an fsync, few enough that the first does not wait long for the last."""

READING_THREADS = 4
"""Reads at once: they wait for the disk, and hold the interpreter when they do not."""

Answer: TypeAlias = "asyncio.Future[Appended]"
Request: TypeAlias = tuple[Log, Append, Answer]


class _Writer:
    """The thread in which appends meet, those of all namespaces of a log; started by the first."""

    def __init__(self) -> None:
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._closed = False

    def ask(self, log: Log, append: Append, answer: Answer) -> None:
        """Queue an append."""
        with self._lock:
            if self._closed:
                raise LogClosed
            if self._thread is None:
                self._thread = Thread(target=self._work, name="branchlog-writer", daemon=True)
                self._thread.start()
            self._requests.put((log, append, answer))

    def close(self) -> None:
        """Finish what is queued, then end."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._requests.put(None)
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        request = self._requests.get()
        while request is not None:
            group = [request]
            try:
                while len(group) < GROUP_MAX:
                    request = self._requests.get_nowait()
                    if request is None:
                        break
                    group.append(request)
            except Empty:
                pass
            asked = [each for each in group if not each[2].cancelled()]
            for log in {id(log): log for log, _, _ in asked}.values():
                _write(log, [(append, answer) for owner, append, answer in asked if owner is log])
            del group, asked  # what was answered is not kept until the next request
            if request is not None:
                request = self._requests.get()


def _write(log: Log, group: list[tuple[Append, Answer]]) -> None:
    """Write a group, and wake each event loop that waits for some of it once."""
    outcomes: Sequence[Appended | BaseException]
    try:
        outcomes = log.append_group([append for append, _ in group])
    except BaseException as error:  # noqa: BLE001 - concerns them all; handed to each
        outcomes = [error] * len(group)
    answered = [(answer, outcome) for (_, answer), outcome in zip(group, outcomes, strict=True)]
    for loop in {answer.get_loop() for answer, _ in answered}:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, [each for each in answered if each[0].get_loop() is loop])


def _tell(answered: list[tuple[Answer, Appended | BaseException]]) -> None:
    """Give the answers, in the loop of those who wait; but for those that were cancelled meanwhile."""
    for answer, outcome in answered:
        if answer.done():
            continue
        if isinstance(outcome, BaseException):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


class AsyncBridge:
    """A blocking log as an async one."""

    def __init__(self, log: Log, *, _writer: _Writer | None = None, _readers: ThreadPoolExecutor | None = None) -> None:
        self._log = log
        self._writer = _writer or _Writer()
        self._readers = _readers or ThreadPoolExecutor(READING_THREADS, thread_name_prefix="branchlog-reader")

    @property
    def abilities(self) -> Abilities:
        return self._log.abilities

    @property
    def namespace(self) -> str:
        return self._log.namespace

    @property
    def blocking(self) -> Log:
        return self._log

    async def beneath(self, work: Callable[[Log], T]) -> T:
        return await self._run(work, self._log)

    def within(self, namespace: str) -> AsyncBridge:
        return AsyncBridge(self._log.within(namespace), _writer=self._writer, _readers=self._readers)

    async def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        answer: Answer = asyncio.get_running_loop().create_future()
        self._writer.ask(self._log, Append(commit=commit, expected=expected, entry=entry), answer)
        return await answer

    async def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        return await self._run(self._log.append_group, appends)

    async def head(self, stream: str) -> Head | None:
        return await self._run(self._log.head, stream)

    async def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        return await self._run(self._log.read, stream, after=after, until=until, limit=limit, backward=backward)

    async def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        return await self._run(self._log.read_all, after=after, limit=limit)

    async def entry(self, stream: str) -> Entry | None:
        return await self._run(self._log.entry, stream)

    async def entries(self, query: Query) -> list[Entry]:
        return await self._run(self._log.entries, query)

    async def count(self, metadata: dict[str, Any]) -> int:
        return await self._run(self._log.count, metadata)

    async def put_entry(self, entry: Entry) -> bool:
        return await self._run(self._log.put_entry, entry)

    async def namespaces(self) -> list[str]:
        return await self._run(self._log.namespaces)

    async def snapshots(self, stream: str) -> list[Snapshot]:
        return await self._run(self._log.snapshots, stream)

    async def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        return await self._run(self._log.put_snapshot, stream, snapshot)

    async def drop_snapshots(self, stream: str) -> int:
        return await self._run(self._log.drop_snapshots, stream)

    async def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        await self._run(self._log.extend_draft, stream, draft, number, piece)

    async def drafts(self, stream: str) -> list[Draft]:
        return await self._run(self._log.drafts, stream)

    async def drop_draft(self, stream: str, draft: bytes) -> bool:
        return await self._run(self._log.drop_draft, stream, draft)

    async def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        return await self._run(self._log.redact, commit, expected=expected, erasures=erasures, entry=entry)

    async def delete(self, stream: str) -> bool:
        return await self._run(self._log.delete, stream)

    async def examine(self) -> Examination:
        return await self._run(self._log.examine)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self._log.close()

    async def _run(self, call: Callable[..., T], *args: Any, **options: Any) -> T:
        try:
            work = self._readers.submit(call, *args, **options)
        except RuntimeError as error:  # the pool was shut down
            raise LogClosed from error
        return await asyncio.wrap_future(work)


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = Lock()
        self._stopped = False
        self._thread = Thread(target=self._work, name="branchlog-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await it there, wait for it here."""
        with self._lock:
            if self._stopped:
                work.close()
                raise LogClosed
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        return answer.result()

    def stop(self) -> None:
        """End the loop and the thread, once all that was begun has ended: a caller waits for each answer."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _work(self) -> None:
        self._loop.run_forever()
        begun = asyncio.all_tasks(self._loop)
        turn = self._loop.create_task(asyncio.sleep(0))  # what ended last has its answer on the way still
        self._loop.run_until_complete(asyncio.wait({turn, *begun}))
        self._loop.close()


class BlockingBridge:
    """An async log as a blocking one."""

    def __init__(self, log: AsyncLog, loop: _LoopThread) -> None:
        self._log = log
        self._loop = loop
        self._run = loop.run
        if isinstance(log, GivesPayloads):
            self.payloads = lambda stream, *, after, until: loop.run(log.payloads(stream, after=after, until=until))

    @classmethod
    def connect(cls, connect: Callable[[], Coroutine[Any, Any, AsyncLog]]) -> BlockingBridge:
        """Start a loop and await ``connect`` in it, which gives the log."""
        loop = _LoopThread()
        try:
            return cls(loop.run(connect()), loop)
        except BaseException:
            loop.stop()
            raise

    @property
    def abilities(self) -> Abilities:
        return self._log.abilities

    @property
    def namespace(self) -> str:
        return self._log.namespace

    def within(self, namespace: str) -> BlockingBridge:
        return BlockingBridge(self._log.within(namespace), self._loop)

    def reopened(self) -> Log:
        raise LogClosed  # the way to connect was used once

    def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        return self._run(self._log.append(commit, expected=expected, entry=entry))

    def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        return self._run(self._log.append_group(appends))

    def head(self, stream: str) -> Head | None:
        return self._run(self._log.head(stream))

    def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        return self._run(self._log.read(stream, after=after, until=until, limit=limit, backward=backward))

    def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        return self._run(self._log.read_all(after=after, limit=limit))

    def entry(self, stream: str) -> Entry | None:
        return self._run(self._log.entry(stream))

    def entries(self, query: Query) -> list[Entry]:
        return self._run(self._log.entries(query))

    def count(self, metadata: dict[str, Any]) -> int:
        return self._run(self._log.count(metadata))

    def put_entry(self, entry: Entry) -> bool:
        return self._run(self._log.put_entry(entry))

    def namespaces(self) -> list[str]:
        return self._run(self._log.namespaces())

    def snapshots(self, stream: str) -> list[Snapshot]:
        return self._run(self._log.snapshots(stream))

    def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        return self._run(self._log.put_snapshot(stream, snapshot))

    def drop_snapshots(self, stream: str) -> int:
        return self._run(self._log.drop_snapshots(stream))

    def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        self._run(self._log.extend_draft(stream, draft, number, piece))

    def drafts(self, stream: str) -> list[Draft]:
        return self._run(self._log.drafts(stream))

    def drop_draft(self, stream: str, draft: bytes) -> bool:
        return self._run(self._log.drop_draft(stream, draft))

    def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        return self._run(self._log.redact(commit, expected=expected, erasures=erasures, entry=entry))

    def delete(self, stream: str) -> bool:
        return self._run(self._log.delete(stream))

    def examine(self) -> Examination:
        return self._run(self._log.examine())

    def close(self) -> None:
        try:
            self._run(self._log.close())
        except LogClosed:
            return
        self._loop.stop()
