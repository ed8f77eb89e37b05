"""Snapshots: bytes a node, and bytes written for them while a conversation grows to 100,000 messages.

Counted as they go to the log, whether a later one replaces them or not, beside the bytes of the events themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import branchlog
from benchmarks.loading import build
from benchmarks.measure import Figure
from branchlog.logs.sqlite import SqliteLog


def run(folder: Path, quick: bool) -> list[Figure]:
    messages = 10_000 if quick else 100_000
    path = folder / "snapshots.db"
    written = _counted(path, messages)
    with branchlog.open(path) as store:
        kept = store.snapshots("measured")
        events = sum(len(commit.data) for commit in store.log.read("measured"))
        nodes = len(store.load("measured").at(kept[-1].version)) if kept else 0
    size = sum(each.size_bytes for each in kept)
    return [
        Figure("snapshots", f"{messages:,} messages: snapshots taken", len(written), "times"),
        Figure("snapshots", f"{messages:,} messages: bytes a node", size / nodes, "bytes"),
        Figure("snapshots", f"{messages:,} messages: bytes of the events", events, "bytes"),
        Figure("snapshots", f"{messages:,} messages: bytes written for snapshots", sum(written), "bytes"),
        Figure("snapshots", f"{messages:,} messages: part of the events", sum(written) / events, "times", 0.25),
    ]


def _counted(path: Path, messages: int) -> list[int]:
    """Build the conversation; the size of each snapshot as it was put."""
    written: list[int] = []
    put = SqliteLog.put_snapshot

    def counting(log: SqliteLog, stream: str, snapshot: Any) -> bool:
        written.append(len(snapshot.data))
        return put(log, stream, snapshot)

    SqliteLog.put_snapshot = counting  # type: ignore[method-assign]
    try:
        build(path, messages)
    finally:
        SqliteLog.put_snapshot = put  # type: ignore[method-assign]
    return written
