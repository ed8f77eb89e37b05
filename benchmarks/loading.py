"""Loading a conversation, against the bare SELECT of the same rows with a typed decode of all that they say.

The bare side is what a careful person would write by hand: the rows in order, decoded into structs of full types, the
message included. It does not verify, and it builds no tree. The files are in the cache of the system.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

import branchlog
from benchmarks.measure import Figure, in_turns, milliseconds, text_of


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


def run(folder: Path, quick: bool) -> list[Figure]:
    figures = _loaded(folder, 10_000, rounds=9 if quick else 31, goal=2.0)
    if not quick:
        figures += _loaded(folder, 100_000, rounds=7, goal=None)
    return figures


def _loaded(folder: Path, events: int, rounds: int, goal: float | None) -> list[Figure]:
    path = folder / f"loading-{events}.db"
    _build(path, events // 2)
    connection = sqlite3.connect(path)
    with branchlog.open(path) as store:

        def load() -> branchlog.Conversation:
            return store.load("measured")

        def bare() -> list[Started | Added | Moved]:
            rows = connection.execute("SELECT CAST(data AS BLOB) FROM commits WHERE stream = 1 ORDER BY first")
            return [event for (data,) in rows for event in decode(data)]

        if load().version != len(bare()):
            raise RuntimeError("the two sides do not read the same events")
        taken = in_turns(rounds, branchlog=load, bare=bare)
    connection.close()
    return [
        Figure("loading", f"{events:,} events: load", milliseconds(taken["branchlog"]), "ms"),
        Figure("loading", f"{events:,} events: bare select and decode", milliseconds(taken["bare"]), "ms"),
        Figure("loading", f"{events:,} events: ratio", taken["branchlog"] / taken["bare"], "times", goal),
    ]


def _build(path: Path, messages: int) -> None:
    text = text_of(300)
    with branchlog.open(path, durability="relaxed") as store:
        chat = store.create("measured", title="Measured", system="You are measured.")
        store.save(chat)
        for number in range(messages):
            chat.say("user" if number % 2 == 0 else "assistant", text)
            store.save(chat)
