"""What makes an SQLite file a store: its header, its tables, and the version of their layout."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from branchlog.errors import BackendError, CorruptLog, NotAStore, SchemaVersionError, StoreNotFound
from branchlog.logs._sqlite.connections import connect

APPLICATION_ID = 0x62726C67

LAYOUT = 2
"""Of the files that are made. Those of layout 1 differ only in how positions are kept from being used again."""

MAGIC = b"SQLite format 3\0"

HEADER_BYTES = 100
"""The database header: ``user_version`` at byte 60 and ``application_id`` at 68, big-endian
(sqlite.org/fileformat2)."""

TABLES = f"""
CREATE TABLE streams (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    title TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    entry TEXT NOT NULL,
    seal BLOB NOT NULL,
    UNIQUE (namespace, id)
) STRICT;
CREATE INDEX streams_by_updated ON streams (namespace, updated, id) WHERE deleted = 0;
CREATE INDEX streams_by_created ON streams (namespace, created, id) WHERE deleted = 0;
CREATE INDEX streams_by_title ON streams (namespace, title, id) WHERE deleted = 0;
CREATE TABLE commits (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    id BLOB NOT NULL,
    at INTEGER NOT NULL,
    schema TEXT NOT NULL,
    data TEXT NOT NULL,
    checksum BLOB NOT NULL,
    erased BLOB,
    UNIQUE (stream, first),
    UNIQUE (stream, id)
) STRICT;
CREATE TABLE floor (
    position INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshots (
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    after INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    data BLOB NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (stream, version)
) STRICT;
CREATE TABLE facets (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    stream INTEGER NOT NULL,
    PRIMARY KEY (namespace, key, value, stream)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
"""

DRAFTS = """
CREATE TABLE IF NOT EXISTS drafts (
    stream INTEGER NOT NULL,
    id BLOB NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (stream, id, number)
) STRICT
"""
"""Apart from the others: files of the time before there were drafts have no such table, and need none."""


def inspect(path: Path, create: bool) -> bool:  # noqa: C901 - a row of cases, each with its own message
    """Whether a store has to be made at this path. Reads the header only; touches nothing."""
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for ever
            kind = "a folder" if path.is_dir() else "no regular file"
            raise NotAStore(f"{path} is {kind}, not a branchlog store")
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StoreNotFound(str(path), f"there is no folder {str(path.parent)!r}; make it first") from None
        if not create:
            raise StoreNotFound(str(path), "there is no such file") from None
        return True
    except OSError as error:
        raise BackendError(f"{path}: cannot be read: {error.strerror}") from error
    if not header:
        if not create:
            raise StoreNotFound(str(path), "the file is empty")
        return True
    if not header.startswith(MAGIC[: len(header)]):
        raise NotAStore(f"{path} is not a branchlog store (and not an SQLite file); it was left as it is")
    if len(header) < HEADER_BYTES:
        raise CorruptLog(str(path), f"cut off after {len(header)} bytes; restore it from a copy")
    layout, application = int.from_bytes(header[60:64]), int.from_bytes(header[68:72])
    if application != APPLICATION_ID:
        raise NotAStore(f"{path} is an SQLite file of another program, not a branchlog store; it was left as it is")
    check_layout(path, layout)
    return False


def create_tables(path: Path) -> None:
    """Make the tables, unless another process has; all at once, so that no half-made store is ever seen."""
    connection = connect(path, "?mode=rwc")
    try:
        connection.execute("BEGIN EXCLUSIVE")
        if not connection.execute("PRAGMA application_id").fetchone()[0]:
            for statement in TABLES.split(";"):
                connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        connection.close()


def check_is_ours(connection: sqlite3.Connection, path: Path) -> None:
    """What the header said when it was looked at, asked again of SQLite, which also knows what is in the WAL."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    layout = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise CorruptLog(str(path), "the header was replaced; restore it from a copy")
    check_layout(path, layout)


def check_layout(path: Path, layout: int) -> None:
    if layout > LAYOUT:
        raise SchemaVersionError(f"the store file {path}", str(layout), str(LAYOUT))
    if layout < 1:
        raise CorruptLog(str(path), f"there never was a layout {layout}; restore it from a copy")


def has_drafts(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'drafts'").fetchone() is not None
