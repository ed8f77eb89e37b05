"""Bare ``sqlite3``: a table of messages with a parent column, and a recursive query for the path.

What a careful person writes by hand: one connection in WAL mode, prepared statements, JSON by way of msgspec, one
transaction a message, indexed columns for the list. It keeps no record of where the cursor stood, and checks nothing.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import Any

import msgspec
from driving import Cannot, Subject, drive, role_of, text_of


class Said(msgspec.Struct):
    """What is kept of a message besides its place."""

    role: str
    content: str


encode = msgspec.json.encode
decode = msgspec.json.Decoder(Said).decode

TABLES = """
CREATE TABLE IF NOT EXISTS chats (
    id TEXT PRIMARY KEY, updated INTEGER NOT NULL, team TEXT, cursor INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chats_updated ON chats (updated);
CREATE INDEX IF NOT EXISTS chats_team ON chats (team, updated);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, chat TEXT NOT NULL, parent INTEGER, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS messages_chat ON messages (chat);
"""
UP = """
WITH RECURSIVE up (id, parent, data) AS (
    SELECT id, parent, data FROM messages WHERE id = ?
    UNION ALL
    SELECT messages.id, messages.parent, messages.data FROM messages JOIN up ON messages.id = up.parent
)
SELECT data FROM up
"""


class Bare(Subject):
    version = sqlite3.sqlite_version
    together = "threads"

    def open(self) -> None:
        self.path_of_file = self.folder / "chats.db"
        self.connection = self._connected()
        self.connection.executescript(TABLES)
        self.cursors: dict[str, int | None] = {}
        self.places: dict[str, list[int]] = {}
        self.lock = threading.Lock()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path_of_file, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if self.option == 'normal' else 'FULL'}")
        return connection

    def close(self) -> None:
        self.connection.close()

    def create(self, chat: str, team: str | None = None) -> None:
        self.connection.execute("INSERT INTO chats VALUES (?, ?, ?, NULL)", (chat, time.time_ns(), team))
        self.cursors[chat], self.places[chat] = None, []

    def load(self, chat: str) -> None:
        (self.cursors[chat],) = self.connection.execute("SELECT cursor FROM chats WHERE id = ?", (chat,)).fetchone()

    def _append(self, connection: sqlite3.Connection, chat: str, parent: int | None, role: str, text: str) -> int:
        data = encode(Said(role, text))
        connection.execute("BEGIN IMMEDIATE")
        added = connection.execute("INSERT INTO messages VALUES (NULL, ?, ?, ?)", (chat, parent, data)).lastrowid
        connection.execute("UPDATE chats SET updated = ?, cursor = ? WHERE id = ?", (time.time_ns(), added, chat))
        connection.execute("COMMIT")
        assert added is not None
        return added

    def say(self, chat: str, role: str, text: str) -> None:
        with self.lock:
            self.cursors[chat] = self._append(self.connection, chat, self.cursors[chat], role, text)
        self.places[chat].append(self.cursors[chat] or 0)

    def _texts(self, place: int | None) -> list[str]:
        return [decode(data).content for (data,) in self.connection.execute(UP, (place,))][::-1]

    def path(self, chat: str) -> list[str]:
        return self._texts(self.cursors[chat])

    def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        parent = self.places[chat][place] if place >= 0 else None
        self.cursors[chat] = self._append(self.connection, chat, parent, role, text)
        self.places[chat].append(self.cursors[chat] or 0)

    def switch(self, chat: str, place: int) -> None:
        self.cursors[chat] = self.places[chat][place]
        self.connection.execute("UPDATE chats SET cursor = ? WHERE id = ?", (self.cursors[chat], chat))

    def past(self, chat: str, moment: int) -> Any:
        raise Cannot("moves of the cursor are not kept")

    def newest(self, limit: int) -> list[Any]:
        return self.connection.execute(
            "SELECT id, updated, team FROM chats ORDER BY updated DESC LIMIT ?", (limit,)
        ).fetchall()

    def filtered(self, team: str, limit: int) -> list[Any]:
        query = "SELECT id, updated, team FROM chats WHERE team = ? ORDER BY updated DESC LIMIT ?"
        return self.connection.execute(query, (team, limit)).fetchall()

    def count(self, team: str) -> int:
        (found,) = self.connection.execute("SELECT count(*) FROM chats WHERE team = ?", (team,)).fetchone()
        return int(found)

    def build(self, chat: str, parents: list[int]) -> int:
        first = self.connection.execute("SELECT coalesce(max(id), 0) + 1 FROM messages").fetchone()[0]
        rows = (
            (
                first + place,
                chat,
                first + parent if parent >= 0 else None,
                encode(Said(role_of(place), text_of(place))),
            )
            for place, parent in enumerate(parents)
        )
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows)
        self.places[chat] = list(range(first, first + len(parents)))
        self.cursors[chat] = self.places[chat][-1]
        self.connection.execute("UPDATE chats SET cursor = ? WHERE id = ?", (self.cursors[chat], chat))
        self.connection.execute("COMMIT")
        return len(parents)

    def race(self, chat: str) -> tuple[list[str], str]:
        one, other = self._connected(), self._connected()
        (parent,) = one.execute("SELECT cursor FROM chats WHERE id = ?", (chat,)).fetchone()
        self._append(one, chat, parent, "user", "first")
        self._append(other, chat, parent, "user", "second")
        rows = one.execute("SELECT data FROM messages WHERE chat = ?", (chat,)).fetchall()
        return [decode(data).content for (data,) in rows], ""


drive(Bare)
