"""``store.messages`` on a bushy tree, against a recursive query over a bare table of nodes.

20,000 nodes, of which the cursor's path has 100: once spread over the whole life of the tree, which is the worst for a
log, and once all said last.
"""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec

import branchlog
from benchmarks.loading import Said
from benchmarks.measure import Figure, in_turns, milliseconds, text_of

PATH = 100
UP = """
WITH RECURSIVE up (version, parent, message) AS (
    SELECT version, parent, message FROM nodes WHERE version = ?
    UNION ALL
    SELECT nodes.version, nodes.parent, nodes.message FROM nodes JOIN up ON nodes.version = up.parent
)
SELECT message FROM up
"""

encode = msgspec.json.encode
decode = msgspec.json.Decoder(Said).decode


def run(folder: Path, quick: bool) -> list[Figure]:
    nodes = 2_000 if quick else 20_000
    return [
        figure
        for name, every in (("spread", nodes // PATH), ("said last", 1))
        for figure in _walked(folder, name, nodes, every, rounds=9 if quick else 31)
    ]


def _walked(folder: Path, name: str, nodes: int, every: int, rounds: int) -> list[Figure]:
    path = folder / f"path-{every}.db"
    with branchlog.open(path, durability="relaxed") as store:
        chat = _grown(store, nodes, every)
        table = _table(folder / f"path-bare-{every}.db", chat)
        cursor = chat.cursor.version

        def bare() -> list[Said]:
            return [decode(message) for (message,) in table.execute(UP, (cursor,))][::-1]

        def messages() -> list[branchlog.Message]:
            return store.messages("measured")

        if [message.content for message in messages()] != [message.content for message in bare()]:
            raise RuntimeError("the two sides do not read the same path")
        taken = in_turns(rounds, branchlog=messages, load=lambda: store.load("measured").messages(), bare=bare)
    table.close()
    tree = f"{nodes:,} nodes, path of {PATH} {name}"
    return [
        Figure("path", f"{tree}: store.messages", milliseconds(taken["branchlog"]), "ms"),
        Figure("path", f"{tree}: load and messages", milliseconds(taken["load"]), "ms"),
        Figure("path", f"{tree}: bare recursive query", milliseconds(taken["bare"]), "ms"),
        Figure("path", f"{tree}: ratio", taken["branchlog"] / taken["bare"], "times"),
    ]


def _grown(store: branchlog.Store, nodes: int, every: int) -> branchlog.Conversation:
    """A tree that grows at random, but for the cursor's path: every so many nodes, and at the latest at the end."""
    text = text_of(280)
    chance = random.Random(7)
    chat = store.create("measured", system="You are measured.")
    known = [chat.tree.root]
    store.save(chat)
    first_of_path = nodes - every * (PATH - 1)
    for number in range(1, nodes + 1):
        if number >= first_of_path and (number - first_of_path) % every == 0:
            known.append(chat.say("user", f"{number} {text}"))
        else:
            known.append(chat.add("assistant", f"{number} {text}", under=chance.choice(known)))
        store.save(chat)
    return chat


def _table(path: Path, chat: branchlog.Conversation) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE nodes (version INTEGER PRIMARY KEY, parent INTEGER, message BLOB NOT NULL)")
    rows = [
        (node.version, node.parent and node.parent.version, encode(node.message.to_chat())) for node in chat.tree.nodes
    ]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO nodes VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    return connection
