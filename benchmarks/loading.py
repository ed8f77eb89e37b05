"""Loading a conversation, against the bare SELECT of the same rows with a typed decode of all that they say.

The bare side is what a careful person would write by hand: the rows in order, decoded into structs of full types, the
message included. It does not verify, and it builds no tree.

Without snapshots it is the replay of the whole conversation. Its goal is 1.5 times the typed decode of the same bytes:
against the SELECT and decode, with all that reading verifies; and what the replay itself is, decoding and folding bytes
that are in memory, against the decode alone.

Loaded three times: by way of the snapshots that saving has taken by itself; with them dropped, so that every commit is
read, verified and folded; and by way of snapshots with the messages of the current path read after it. First with the
file in the cache of the system and the store open; then cold: the store is opened for it, and the pages of the file are
out of the cache.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

import branchlog
from benchmarks.measure import Figure, in_turns, milliseconds, text_of
from branchlog._core.codec import decode_events
from branchlog._core.projection import Projection, evolve_all


class Said(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Any] = {}


class Started(msgspec.Struct, tag_field="type", tag="conversation-started"):
    at: int
    title: str | None = None
    metadata: dict[str, Any] = {}
    message: Said | None = None


class Added(msgspec.Struct, tag_field="type", tag="node-added"):
    at: int
    parent: int
    message: Said


class Moved(msgspec.Struct, tag_field="type", tag="cursor-moved"):
    at: int
    to: int | None
    cursor: str = "main"
    by: str = "move"


decode = msgspec.json.Decoder(list[Started | Added | Moved]).decode

EVENTS = "SELECT CAST(data AS BLOB) FROM commits WHERE stream = 1 ORDER BY first"

REPLAY_GOAL = 1.5
GOALS = {"by snapshots": 2.0, "without snapshots": REPLAY_GOAL, "by snapshots, and its messages": None}


def run(folder: Path, quick: bool) -> list[Figure]:
    figures = _loaded(folder, 10_000, rounds=9 if quick else 31)
    if not quick:
        figures += _loaded(folder, 100_000, rounds=5)
    return figures


def _loaded(folder: Path, events: int, rounds: int) -> list[Figure]:
    path = folder / f"loading-{events}.db"
    without = folder / f"loading-{events}-without.db"
    build(path, events // 2)
    shutil.copyfile(path, without)
    with branchlog.open(without) as store:
        store.drop_snapshots("measured")
    return [*_warm(path, without, events, rounds), *_cold(path, without, events, min(rounds, 9))]


def _warm(path: Path, without: Path, events: int, rounds: int) -> list[Figure]:
    with branchlog.open(path) as store, branchlog.open(without) as bald, closing(sqlite3.connect(path)) as connection:
        stored = connection.execute(EVENTS).fetchall()
        works = {
            "by snapshots": lambda: store.load("measured"),
            "without snapshots": lambda: bald.load("measured"),
            "by snapshots, and its messages": lambda: store.load("measured").messages(),
            "bare": lambda: _bare(connection),
            "decode alone": lambda: [event for (data,) in stored for event in decode(data)],
            "decoded and folded": lambda: replayed([data for (data,) in stored]),
        }
        if not store.load("measured").version == bald.load("measured").version == len(_bare(connection)):
            raise RuntimeError("the sides do not read the same events")
        taken = in_turns(rounds, **works)
    name = f"{events:,} events"
    return [
        *_figures(name, taken, goals=GOALS),
        *(
            Figure(
                "loading",
                f"{name}: ratio {what}, to the decode alone",
                taken[what] / taken["decode alone"],
                "times",
                goal,
            )
            for what, goal in (("without snapshots", None), ("decoded and folded", REPLAY_GOAL))
        ),
    ]


def replayed(payloads: list[bytes]) -> Projection:
    """What loading does with the payloads once they are read and verified."""
    state = Projection()
    evolve_all(state, [event for data in payloads for event in decode_events(data)])
    return state


def _cold(path: Path, without: Path, events: int, rounds: int) -> list[Figure]:
    def opened(file: Path) -> branchlog.Conversation:
        with branchlog.open(file) as store:
            return store.load("measured")

    def bare() -> object:
        with closing(sqlite3.connect(path)) as connection:
            return _bare(connection)

    works: dict[str, Callable[[], object]] = {
        "by snapshots": lambda: opened(path),
        "without snapshots": lambda: opened(without),
        "bare": bare,
    }
    return _figures(
        f"{events:,} events, cold", in_turns(rounds, before=lambda: _evict(path, without), **works), goals={}
    )


def _bare(connection: sqlite3.Connection) -> list[Started | Added | Moved]:
    return [event for (data,) in connection.execute(EVENTS) for event in decode(data)]


def _evict(*paths: Path) -> None:
    """Ask the system to let go of what it has cached of these files."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _figures(name: str, taken: dict[str, float], goals: dict[str, float | None]) -> list[Figure]:
    figures = [Figure("loading", f"{name}: {what}", milliseconds(each), "ms") for what, each in taken.items()]
    for what, each in taken.items():
        if what not in ("bare", "decode alone", "decoded and folded"):
            figures.append(Figure("loading", f"{name}: ratio {what}", each / taken["bare"], "times", goals.get(what)))
    return figures


def build(path: Path, messages: int) -> None:
    """A store with one conversation of so many messages, each saved by itself."""
    text = text_of(300)
    with branchlog.open(path, durability="relaxed") as store:
        chat = store.create("measured", title="Measured", system="You are measured.")
        store.save(chat)
        for number in range(messages):
            chat.say("user" if number % 2 == 0 else "assistant", text)
            store.save(chat)
