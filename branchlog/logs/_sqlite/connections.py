"""Connections to an SQLite file, waiting for other processes, and SQLite's exceptions as ours."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from random import random
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar

from branchlog.errors import BackendError, BranchlogError, CorruptLog, LogClosed

T = TypeVar("T")
Durability: TypeAlias = Literal["full", "relaxed"]

BUSY_SECONDS = 60.0
"""How long a write waits for other processes: a thousand times the longest commit, and an end to a hang."""

IO_ERROR = sqlite3.SQLITE_IOERR
"""After a failed write or fsync nobody knows what is on the disk until the file is opened again."""


def beside(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside the store file."""
    path = path.resolve()
    return path.with_name(path.name + suffix)


def connect(path: Path, query: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}{query}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,
        cached_statements=64,
    )


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection to a file that cannot be written, in a folder that perhaps cannot either."""
    wal = beside(path, "-wal")
    alone = not wal.exists() or not wal.stat().st_size
    return connect(path, "?mode=ro&immutable=1" if alone else "?mode=ro")


def set_durable(connection: sqlite3.Connection, path: Path, durability: Durability) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise BackendError(f"{path}: SQLite cannot keep a write-ahead log here (it uses {mode!r}); use a local disk")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
    connection.execute("PRAGMA secure_delete = ON").fetchone()  # what is erased is overwritten


def retried(work: Callable[[], T]) -> T:
    """Do it again while another process holds the file.

    SQLite itself does not wait for every lock, and for those of writers it sleeps longer and longer, up to 100 ms, by
    which time others have written dozens of times. One that waits here looks again at least every millisecond; only
    where the lock has been held for long, as by a VACUUM, it looks less often.
    """
    start = time.monotonic()
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - start
            if code_of(error) != sqlite3.SQLITE_BUSY or waited > BUSY_SECONDS:
                raise
        time.sleep(random() * min(max(waited / 100, 0.001), 0.02))  # noqa: S311 - so that those who wait do not march in step


class Border:
    """The border, to be entered any number of times: SQLite's exceptions become ours.

    A class, since entering a generator takes a microsecond, and this is entered for everything.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise self._translated(error) from error
        if isinstance(error, UnicodeDecodeError):
            # SQLite's own message quotes the damaged part of the file
            raise CorruptLog(str(self._path), "SQLite finds the file damaged; restore it from a copy") from error

    def _translated(self, error: sqlite3.Error) -> BranchlogError:
        path, code = self._path, code_of(error)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error):
            return CorruptLog(str(path), f"SQLite finds the file damaged ({error}); restore it from a copy")
        if code == sqlite3.SQLITE_BUSY:
            return BackendError(f"{path}: another process kept it locked for {BUSY_SECONDS:.0f} seconds")
        if "closed database" in str(error):
            return LogClosed(f"{path}")
        return BackendError(f"{path}: {error}")


def code_of(error: sqlite3.Error) -> int:
    """The primary SQLite result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
