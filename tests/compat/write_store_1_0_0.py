"""Writes a store of schema 1.0.0 with something of everything, and the observation of it.

``store-1.0.0.db`` and ``store-1.0.0.json`` beside this file's ``data`` were written by it when 1.0.0 was made. They are
kept for ever, as is this script: whatever branchlog becomes, it reads that store as the observation says. Do not write
them again, and do not change what this script does; for another schema write another script and another store.

Run as a script it writes both into a folder: ``python tests/compat/write_store_1_0_0.py FOLDER``. Clock and randomness
are fixed, so that the same branchlog writes the same commits each time.
"""

from __future__ import annotations

import itertools
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import branchlog
from branchlog import Message, Node, Store, Tree

NAME = "store-1.0.0"
BEGAN = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Clock:
    """Half a second passes between any two looks."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=500)
        return self.now


def write(path: Path) -> None:
    """Write the store."""
    numbers = itertools.count(1)
    with (
        mock.patch("branchlog._ids.os.urandom", lambda size: next(numbers).to_bytes(size, "big")),
        branchlog.open(path, clock=Clock()) as store,
    ):
        _write_trip(store)
        _write_bare(store)
        _write_imported(store.within("équipe 🦉"))
        store.save(store.create("gone", title="Deleted"))
        store.delete("gone")


def _write_trip(store: Store) -> None:
    """Every event of the vocabulary."""
    chat = store.create("trip", title="Kyoto", system="You plan trips.", metadata={"tags": ["a", "b"], "n": 1})
    ask = chat.say("user", "Three days in Kyoto?")
    chat.say("assistant", "Day 1: Gion.", metadata={"model": "m-1", "tokens": 12})
    store.save(chat)
    chat.edit(chat.cursor, "Start in Arashiyama, 嵐山. \0 \u2028 \U0010ffff e\u0301")
    chat.say(Message("assistant", None, tool_calls=[{"id": "c1", "type": "function", "function": {"name": "maps"}}]))
    chat.say(Message("tool", '{"km": 3.5}', name="maps", tool_call_id="c1"))
    store.save(chat)
    chat.say(
        "user", [{"type": "text", "text": "And this?"}, {"type": "image_url", "image_url": {"url": "https://x/y"}}]
    )
    chat.undo()
    chat.undo()
    chat.redo()
    store.save(chat)
    chat.new_cursor("reader", ask)
    chat.move("0.0", cursor="reader")
    chat.new_cursor("short-lived")
    chat.drop_cursor("short-lived")
    chat.annotate("0.0", label="first", rating=3)
    chat.annotate("0.1", label="best", rating=4.5, bookmark=True, metadata={"why": {"a": 1, "b": None}})
    chat.annotate("0.0", label=None, rating=None, hidden=True)
    chat.annotate("0.1", metadata={"why": {"a": None, "c": [1, 2.5, "x", None, True]}})
    store.save(chat)
    store.snapshot("trip")
    chat.add("user", "The secret.", under="0.0", metadata={"secret": True})
    chat.annotate("0.0.0", metadata={"secret": "too"}, rating=2)
    store.save(chat)
    chat.redact("0.0.0")
    store.save(chat)
    chat.annotate_conversation(title="Kyoto and Nara", metadata={"n": None, "m": {"deep": [{"er": 0.1}]}})
    chat.restore(8)
    store.save(chat)
    store.snapshot("trip")
    chat.say("user", "The tail.")
    chat.graft(
        [Message("system", "You plan trips."), Message("user", "Three days in Kyoto?"), Message("user", "Four?")]
    )
    store.save(chat)


def _write_bare(store: Store) -> None:
    """Nothing but a root, and a fork of another conversation."""
    bare = store.create("bare")
    store.save(bare)
    fork = store.load("trip").fork_from("0.1", id="fork")
    fork.say("user", "Elsewhere.")
    store.save(fork)


def _write_imported(store: Store) -> None:
    """Original times, out of order, before 1970 and with microseconds."""
    chat = store.create("trip", metadata={"from": "elsewhere"})
    for number, time in enumerate(
        (BEGAN - timedelta(days=900, microseconds=1), datetime(1969, 7, 20, tzinfo=UTC), BEGAN)
    ):
        chat.say("user", f"Imported {number}", time=time)
    for number in range(30):
        chat.add("assistant", f"Alternative {number}", under="0")
    store.save(chat)


def observation(path: Path) -> dict[str, Any]:
    """All that can be seen of the store, as JSON."""
    with branchlog.open(path, read_only=True) as store:
        return {
            namespace: {
                summary.id: _seen(store.within(namespace), summary.id)
                for summary in store.within(namespace).list(order="id")
            }
            for namespace in store.log.namespaces()
        }


def _seen(store: Store, id: str) -> dict[str, Any]:
    chat, summary = store.load(id), store.describe(id)
    return {
        "summary": {
            "title": summary.title,
            "metadata": summary.metadata,
            "created": summary.created.isoformat(),
            "updated": summary.updated.isoformat(),
            "counts": [summary.version, summary.nodes, summary.branches],
        },
        "now": _tree(chat.tree),
        "then": {str(version): _tree(chat.at(version)) for version in range(1, chat.version + 1, 5)},
        "at times": {
            moment.isoformat(): chat.at(moment).version
            for moment in (summary.updated - timedelta(milliseconds=1), BEGAN + timedelta(seconds=9), summary.updated)
            if moment >= summary.created
        },
        "messages": [message.to_chat() for message in store.messages(id)],
        "replay": [_step(step) for step in chat.replay()],
        "commits": [
            [change.first, change.last, change.id, change.at.isoformat(), change.schema] for change in store.commits(id)
        ],
    }


def _tree(tree: Tree) -> dict[str, Any]:
    return {
        "title": tree.title,
        "metadata": tree.metadata,
        "cursors": {name: node.id for name, node in sorted(tree.cursors.items())},
        "labels": {label: node.id for label, node in sorted(tree.labels.items())},
        "nodes": {node.id: _node(node) for node in tree.walk()},
    }


def _node(node: Node) -> list[Any]:
    message = node.message
    said = None if message is None else {**message.to_chat(), "metadata": message.metadata}
    return [node.version, node.added.isoformat(), said, node.annotations, node.redacted]


def _step(step: branchlog.Step) -> list[Any]:
    node = None if step.node is None else step.node.id
    return [step.version, step.at.isoformat(), step.kind, node, step.cursor, step.by, step.changes]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(folder / f"{NAME}.db")
    seen = json.dumps(observation(folder / f"{NAME}.db"), indent=1, sort_keys=True)
    (folder / f"{NAME}.json").write_text(seen + "\n", encoding="utf-8")
