"""The file of a log: the connection that writes, under a lock, and those that read."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias, TypeVar

from branchlog.errors import BackendError, LogClosed
from branchlog.logs._sqlite import connections
from branchlog.logs._sqlite.connections import (
    IO_ERROR,
    Border,
    Durability,
    beside,
    code_of,
    connect,
    connect_read_only,
    retried,
    set_durable,
)
from branchlog.logs._sqlite.layout import check_is_ours, create_tables, inspect
from branchlog.logs._sqlite.rows import Stream, whole_number
from branchlog.logs.base import Appended, outcome
from branchlog.logs.together import Together

T = TypeVar("T")
Ask: TypeAlias = Callable[[sqlite3.Connection], Appended]
"""An append, to be made by the connection that writes."""

ROWS_MAX = 256
"""Rows of ``streams`` that the writing connection keeps: one for each conversation that is being written."""

READERS_MAX = 8
"""Idle reading connections that are kept."""

_BENEATH = "SELECT position FROM floor WHERE position > (SELECT coalesce(max(position), 0) FROM commits)"
"""The floor, where no commit is above it."""


class File:
    """The file and the connections to it: one that writes, under a lock, and a few that read."""

    def __init__(self, path: Path, durability: Durability, *, create: bool, read_only: bool) -> None:
        self.path = path = path.absolute()  # whatever the working directory will be when readers are opened
        self.durability = durability
        self.writers: Together[Ask, Appended] = Together(self._append)
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._closed = False
        self._failed: BackendError | None = None
        self._read_only = False
        self._border = Border(path)
        self.rows: dict[tuple[str, str], Stream] = {}
        self._data_version = 0
        self.above = False
        is_new = inspect(path, create)
        with self._border:
            if is_new or (
                beside(path, "-journal").exists() and not read_only
            ):  # the second: another process is making it, or died at it
                retried(lambda: create_tables(path))
            self._read_only = read_only or not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
            self._writer = retried(self._connect)
            self._let_wait(0)  # see ``retried``
            self._counted = self._writer.execute("PRAGMA user_version").fetchone() == (1,)

    def _connect(self) -> sqlite3.Connection:
        connection = connect_read_only(self.path) if self._read_only else connect(self.path, "?mode=rw")
        try:
            check_is_ours(connection, self.path)
            if not self._read_only:
                set_durable(connection, self.path, self.durability)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction. What is raised inside takes it back; a failed write closes the log to further ones."""
        with self.writers, self._transaction() as writer:
            yield writer

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The same, for one that holds the lock of the writers already."""
        self._check_open()
        if self._read_only:
            raise BackendError(f"{self.path}: the file or its folder is read-only; nothing was written")
        if self._failed:
            raise BackendError(f"{self.path}: an earlier write failed; open the store again") from self._failed
        try:
            with self._border:
                self._begin()
                self._check_rows()
                yield self._writer
                self._writer.execute("COMMIT")
        except BaseException as error:
            self.forget_rows()
            self._roll_back()
            cause = error.__cause__
            if isinstance(error, BackendError) and isinstance(cause, sqlite3.Error) and code_of(cause) == IO_ERROR:
                self._failed = error
            raise

    def _append(self, asked: Ask) -> Appended:
        """Append, with the lock held, and what other threads wait to append; together, unless one of them spoils it."""
        group = [asked]
        try:
            with self._transaction() as writer:
                group += self.writers.take()
                if len(group) == 1:
                    return asked(writer)
                outcomes = _outcomes(writer, group)
        except _SpoiltError:
            outcomes = [self._append_alone(each) for each in group]
        self.writers.tell(outcomes[1:])
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    def append_group(self, group: list[Ask]) -> list[Appended | Exception]:
        """Appends that were asked for together; one by one if one of them spoils the transaction."""
        with self.writers:
            try:
                with self._transaction() as writer:
                    return _outcomes(writer, group)
            except _SpoiltError:
                return [self._append_alone(each) for each in group]

    def _append_alone(self, asked: Ask) -> Appended | Exception:
        """One of a group that was spoilt."""
        try:
            with self._transaction() as writer:
                return asked(writer)
        except Exception as error:  # noqa: BLE001 - raised where it was asked
            return error

    def _begin(self) -> None:
        """Begin a transaction that writes: when no other process does."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY:
                raise
            retried(lambda: self._writer.execute("BEGIN IMMEDIATE"))

    def _check_rows(self) -> None:
        """Forget the rows that were kept if another connection has written since."""
        version = self._writer.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._data_version = version
            self.forget_rows()

    def keep_row(self, stream: Stream) -> None:
        """Keep a row that was just written, so that the next append to the stream need not read and check it."""
        if len(self.rows) >= ROWS_MAX:
            self.rows.clear()
        self.rows[stream.namespace, stream.id] = stream

    def forget_rows(self) -> None:
        """Forget what is known of the file: the rows that were kept, and that there is a commit above the floor."""
        self.rows.clear()
        self.above = False

    def position_beneath(self) -> int | None:
        """The position for the next commit; None where SQLite is to find it, one above the highest that there is."""
        if self._counted:
            return None
        floor = self._writer.execute(_BENEATH).fetchone()
        return None if floor is None else whole_number(floor[0]) + 1

    def keep_floor(self, stream: int) -> None:
        """Before a stream is deleted: keep the highest position of all, if it is in this stream."""
        if self._counted:
            return
        last = self._writer.execute("SELECT stream, position FROM commits ORDER BY position DESC LIMIT 1").fetchone()
        if last is None or last[0] != stream:
            return
        self._writer.execute("DELETE FROM floor WHERE position < ?", last[1:])
        self._writer.execute("INSERT INTO floor SELECT ? WHERE NOT EXISTS (SELECT 1 FROM floor)", last[1:])

    def forget(self) -> None:
        """Leave no trace of what was deleted in the file and in the write-ahead log.

        ``secure_delete`` overwrites the row itself, but not copies of it that stayed in unused parts of pages when
        SQLite moved rows between them; so the file is built anew. Raises ``BackendError`` if a reader kept the old
        frames of the write-ahead log in use for too long.
        """
        with self.writers, self._border:
            self._let_wait(connections.BUSY_SECONDS)  # SQLite keeps writers away while it waits for readers
            try:
                self._rebuild()
            finally:
                self._let_wait(0)

    def _rebuild(self) -> None:
        retried(lambda: self._writer.execute("VACUUM"))
        deadline = time.monotonic() + connections.BUSY_SECONDS
        while self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise BackendError(f"{self.path}: readers keep what was erased in the write-ahead log; try again later")
            time.sleep(0.005)

    def _let_wait(self, seconds: float) -> None:
        """How long SQLite waits by itself, before the writing connection is told that the file is locked."""
        self._writer.execute(f"PRAGMA busy_timeout = {seconds * 1_000:.0f}")

    def _roll_back(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._writer.close()  # SQLite rolls back what a closed connection left open

    def asked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What one statement answers, which sees one moment by itself; without what a transaction costs."""
        self._check_open()
        with self._border:
            reader = self._reader()
            try:
                answer = work(reader)
            except BaseException:
                reader.close()
                raise
            self._keep(reader)
        return answer

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that sees one moment."""
        self._check_open()
        with self._border:
            reader = self._reader()
            try:
                reader.execute("BEGIN")
                yield reader
                reader.execute("COMMIT")
            except BaseException:
                reader.close()
                raise
            self._keep(reader)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except Empty:
            return retried(self._connect)

    def _keep(self, reader: sqlite3.Connection) -> None:
        """Keep a connection for the next read; not to a file that others may write while it passes for immutable."""
        if self._read_only or self._readers.qsize() >= READERS_MAX:
            reader.close()
            return
        self._readers.put(reader)
        if self._closed:  # perhaps since the read began
            self._close_readers()

    def _close_readers(self) -> None:
        with suppress(Empty):
            while True:
                self._readers.get_nowait().close()

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"{self.path}")

    def close(self) -> None:
        with self.writers:
            self._closed = True
            self._close_readers()
            self._writer.close()


class _SpoiltError(Exception):
    """One append of a group failed in a way that takes the transaction back."""


def _outcome(writer: sqlite3.Connection, asked: Ask) -> Appended | Exception:
    """What one append of a group comes to. A refusal that comes when something is written already concerns them all."""
    before = writer.total_changes
    answer = outcome(lambda: asked(writer))
    if isinstance(answer, Exception) and writer.total_changes != before:
        raise answer
    return answer


def _outcomes(writer: sqlite3.Connection, group: list[Ask]) -> list[Appended | Exception]:
    try:
        return [_outcome(writer, asked) for asked in group]
    except Exception as error:
        raise _SpoiltError from error
