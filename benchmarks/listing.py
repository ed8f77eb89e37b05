"""Lists of a million conversations: pages, filters and counts, against bare SQL on a table with an index for each.

A conversation has a message of a person, and metadata: a value that a tenth have, one that the oldest tenth have, which
is the hardest to find for a list of the newest, and one that twenty have. They are made as conversations are made, and
appended in groups. Times are shuffled within each thousand, so that neighbours in a list are no neighbours on disk.

The bare side keeps what is listed in columns of its own, each with an index in the order of the list, which every
append has to keep up. It decodes and verifies nothing. Neither side waits for the disk.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import branchlog
from benchmarks.measure import Figure, in_turns, milliseconds, text_of
from branchlog._steps import entry_of
from branchlog.conversation import Conversation
from branchlog.logs.base import Append

PAGE = 50
GROUP = 10_000
"""Conversations that are appended in one transaction."""

BLOCK = 1_000
"""Conversations among which times are shuffled."""

RARE = 20
START = datetime(2020, 1, 1, tzinfo=UTC)
TEXT = text_of(200)
GOAL_MILLISECONDS = 5.0
GOAL = 1.5

Facts = tuple[str, datetime, dict[str, Any]]
"""Of one conversation: its id, its time and its metadata."""

TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE chats (id TEXT PRIMARY KEY, updated INTEGER NOT NULL, team TEXT, old INTEGER, rare INTEGER, cursor INTEGER)
    WITHOUT ROWID;
CREATE INDEX chats_updated ON chats (updated);
CREATE INDEX chats_team ON chats (team, updated);
CREATE INDEX chats_old ON chats (old, updated) WHERE old IS NOT NULL;
CREATE INDEX chats_rare ON chats (rare, updated) WHERE rare IS NOT NULL;
CREATE TABLE messages (id INTEGER PRIMARY KEY, chat TEXT NOT NULL, parent INTEGER, data TEXT NOT NULL);
CREATE INDEX messages_chat ON messages (chat);
"""
COLUMNS = "id, updated, team, old, rare"


def run(folder: Path, quick: bool) -> list[Figure]:
    count, rounds = (20_000, 9) if quick else (1_000_000, 31)
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.executescript(TABLES)
    with branchlog.open(folder / "listing.db", durability="relaxed") as store:
        _fill(store, bare, count)
        figures = [figure for pair in _asked(store, bare, count) for figure in _compared(count, rounds, *pair)]
    bare.close()
    return figures


def _facts(count: int) -> Iterator[Facts]:
    chance = random.Random(7)
    for first in range(0, count, BLOCK):
        moments = list(range(first, first + BLOCK))
        chance.shuffle(moments)
        for number, moment in zip(range(first, first + BLOCK), moments, strict=True):
            metadata: dict[str, Any] = {"team": f"team-{number % 10}"}
            if number < count // 10:
                metadata["old"] = True
            if number % (count // RARE) == 7:
                metadata["rare"] = True
            yield f"chat-{number:07}", START + timedelta(seconds=moment), metadata


def _fill(store: branchlog.Store, bare: sqlite3.Connection, count: int) -> None:
    facts = _facts(count)
    for _ in range(count // GROUP):
        group = [next(facts) for _ in range(GROUP)]
        for outcome in store.log.append_group([_append(*each) for each in group]):
            if isinstance(outcome, Exception):
                raise outcome
        bare.execute("BEGIN")
        bare.executemany("INSERT INTO chats VALUES (?, ?, ?, ?, ?, NULL)", [_row(*each) for each in group])
        bare.executemany("INSERT INTO messages VALUES (NULL, ?, NULL, ?)", [(id, TEXT) for id, _, _ in group])
        bare.execute("COMMIT")


def _append(id: str, at: datetime, metadata: dict[str, Any]) -> Append:
    """A conversation, from its start to its first message, as one append."""
    chat = Conversation.start(id, metadata=metadata, clock=lambda: at)
    chat.say("user", TEXT)
    commit = chat._next_commit()
    return Append(commit=commit, expected=0, entry=entry_of(chat, commit.last))


def _row(id: str, at: datetime, metadata: dict[str, Any]) -> tuple[Any, ...]:
    updated = (at - START) // timedelta(microseconds=1)
    return id, updated, metadata["team"], metadata.get("old"), metadata.get("rare")


Pair = tuple[str, float | None, Callable[[], object], Callable[[], object]]
"""What is asked, what it may take at most beside the bare side, and how either side is asked."""


def _asked(store: branchlog.Store, bare: sqlite3.Connection, count: int) -> Iterator[Pair]:
    yield (f"newest {PAGE}", GOAL, *_pages(store, bare))
    yield ("second page", GOAL, *_pages(store, bare, skipping=PAGE))
    yield ("page in the middle", None, *_pages(store, bare, skipping=count // 2))
    for what, goal, key, value in (
        ("a value that a tenth have", GOAL, "team", "team-3"),
        ("a value that the oldest tenth have", None, "old", True),
        (f"a value that {RARE} have", GOAL, "rare", True),
    ):
        yield (f"{PAGE} of {what}", goal, *_pages(store, bare, key, value))
        yield (f"count of {what}", GOAL, *_counts(store, bare, key, value))
    yield ("append", None, *_appends(store, bare))


def _pages(
    store: branchlog.Store, bare: sqlite3.Connection, key: str = "", value: object = None, skipping: int = 0
) -> tuple[Callable[[], object], Callable[[], object]]:
    metadata = {key: value} if key else None
    where, values = (f"{key} = ?", (value,)) if key else ("TRUE", ())
    after, token = None, None
    if skipping:
        listed = f"SELECT updated FROM chats ORDER BY updated DESC LIMIT 1 OFFSET {skipping - 1}"
        (after,) = bare.execute(listed).fetchone()
        where, values = "updated < ?", (after,)
        token = _token(store, skipping)
    query = f"SELECT {COLUMNS} FROM chats WHERE {where} ORDER BY updated DESC LIMIT {PAGE}"

    def ours() -> list[str]:
        return [each.id for each in store.list(metadata=metadata, limit=PAGE, after=token)]

    def theirs() -> list[str]:
        return [row[0] for row in bare.execute(query, values).fetchall()]

    _check(ours(), theirs())
    return ours, theirs


def _token(store: branchlog.Store, skipping: int) -> str | None:
    """The ``next`` behind so many conversations, come to in large pages."""
    token = None
    while skipping:
        size = min(skipping, GROUP)
        token, skipping = store.list(limit=size, after=token).next, skipping - size
    return token


def _counts(
    store: branchlog.Store, bare: sqlite3.Connection, key: str, value: object
) -> tuple[Callable[[], object], Callable[[], object]]:
    def ours() -> int:
        return store.count(metadata={key: value})

    def theirs() -> int:
        found: int = bare.execute(f"SELECT count(*) FROM chats WHERE {key} = ?", (value,)).fetchone()[0]
        return found

    _check(ours(), theirs())
    return ours, theirs


def _appends(store: branchlog.Store, bare: sqlite3.Connection) -> tuple[Callable[[], object], Callable[[], object]]:
    chat = store.load("chat-0000000")

    def ours() -> None:
        chat.say("user", TEXT)
        store.save(chat)

    def theirs() -> None:
        bare.execute("BEGIN IMMEDIATE")
        added = bare.execute("INSERT INTO messages VALUES (NULL, ?, ?, ?)", (chat.id, 1, TEXT)).lastrowid
        bare.execute("UPDATE chats SET updated = updated + 1, cursor = ? WHERE id = ?", (added, chat.id))
        bare.execute("COMMIT")

    return ours, theirs


def _check(ours: object, theirs: object) -> None:
    if ours != theirs:
        raise RuntimeError("the two sides do not find the same")


def _compared(
    count: int, rounds: int, what: str, goal: float | None, ours: Callable[[], object], theirs: Callable[[], object]
) -> list[Figure]:
    taken = in_turns(rounds, branchlog=ours, bare=theirs)
    what, goal_alone = f"{count:,}: {what}", GOAL_MILLISECONDS if what.startswith("newest") else None
    return [
        Figure("listing", f"{what}, branchlog", milliseconds(taken["branchlog"]), "ms", goal=goal_alone),
        Figure("listing", f"{what}, bare", milliseconds(taken["bare"]), "ms"),
        Figure("listing", f"{what}: ratio", taken["branchlog"] / taken["bare"], "times", goal=goal),
    ]
