"""A durable say and save, against a bare insert of the same bytes at the same durability.

The bare side is one table of blobs, one INSERT in a transaction of its own, with a statement that is prepared already.
Both files are measured twice: as new ones, whose write-ahead log still grows, so that each fsync also writes the file's
new length, and when the log is written over, which is how it stays from the first checkpoint on.

A disk that is throttled now and then answers either at once or after milliseconds, and a median of both tells nothing:
the rounds in which it answered at once are told apart. The time of the processor alone is measured relaxed, where
nothing waits for the disk; as a median it leaves out the few saves at which SQLite writes a checkpoint.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import branchlog
from benchmarks.measure import Figure, every_turn, medians, microseconds, text_of

SYNCHRONOUS = {"full": "FULL", "relaxed": "NORMAL"}
LEVELS = {1: "NORMAL", 2: "FULL"}

CHECKPOINT_FRAMES = 1_000
"""SQLite's default: so many pages in the write-ahead log, and it begins again from its start."""

AT_ONCE_SECONDS = 0.001
"""A disk that takes longer is throttled."""

AT_ONCE_ROUNDS_MIN = 100
"""Fewer of them are told as a share only."""

NEW_ROUNDS = 100
"""Few enough that neither side comes to its first checkpoint."""


def run(folder: Path, quick: bool) -> list[Figure]:
    figures = []
    for durability in ("full", "relaxed"):
        new = [medians(_measured(folder, durability, NEW_ROUNDS, 0)) for _ in range(2 if quick else 5)]
        steady = _measured(folder, durability, 300 if quick else 2_000, CHECKPOINT_FRAMES + 100)
        figures += _figures(f"{durability}, new files", sorted(new, key=_ratio)[len(new) // 2], None)
        figures += _figures(durability, medians(steady), 1.25 if durability == "full" else None)
        if durability == "full":
            figures += _at_once(steady)
        figures += _waits(folder, durability)
    processor = _measured(folder, "relaxed", 300 if quick else 2_000, CHECKPOINT_FRAMES + 100, time.thread_time)
    return [*figures, *_figures("relaxed, processor", medians(processor), None)]


def _at_once(taken: dict[str, list[float]]) -> list[Figure]:
    """The rounds in which the disk answered both sides at once."""
    pairs = list(zip(taken["branchlog"], taken["bare"], strict=True))
    quick = [pair for pair in pairs if max(pair) < AT_ONCE_SECONDS]
    share = Figure("saving", "full: disk not throttled", 100 * len(quick) / len(pairs), "% of rounds")
    if len(quick) < AT_ONCE_ROUNDS_MIN:
        return [share]
    ours, bare = map(list, zip(*quick, strict=True))
    return [share, *_figures("full, disk not throttled", medians({"branchlog": ours, "bare": bare}), 1.25)]


def _waits(folder: Path, durability: str) -> list[Figure]:
    """How often a save waits for the disk, as the system sees it; nothing where there is no ``strace``.

    Counted in a process of its own, as the difference between few saves and many: opening waits too.
    """
    strace = shutil.which("strace")
    if strace is None:
        return []
    counts = []
    for saves in (10, 110):
        report = folder / f"waits-{durability}-{saves}"
        own = [sys.executable, "-m", "benchmarks.saving", str(folder / f"waits-{durability}-{saves}.db"), durability]
        traced = [strace, "-f", "-o", str(report), "-e", "trace=fsync,fdatasync", *own, str(saves)]
        subprocess.run(traced, check=True, capture_output=True)
        counts.append(report.read_text().count("sync("))
    return [Figure("saving", f"{durability}: waits for the disk", (counts[1] - counts[0]) / 100, "a save")]


def _save_only(path: str, durability: str, saves: str) -> None:
    with branchlog.open(path, durability="relaxed" if durability == "relaxed" else "full") as store:
        chat = store.create(title="Measured", system="You are measured.")
        for _ in range(int(saves)):
            chat.say("user", "One more.")
            store.save(chat)


def _ratio(taken: dict[str, float]) -> float:
    return taken["branchlog"] / taken["bare"]


def _figures(name: str, taken: dict[str, float], goal: float | None) -> list[Figure]:
    return [
        Figure("saving", f"{name}: say and save", microseconds(taken["branchlog"]), "µs"),
        Figure("saving", f"{name}: bare insert", microseconds(taken["bare"]), "µs"),
        Figure("saving", f"{name}: ratio", _ratio(taken), "times", goal),
    ]


def _measured(
    folder: Path, durability: str, rounds: int, rounds_before: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    text = text_of(300)
    payloads = _payloads(text, rounds + rounds_before)
    number = len(list(folder.iterdir()))
    with branchlog.open(folder / f"saving-{number}.db", durability=durability) as store:
        chat = store.create(title="Measured", system="You are measured.")
        store.save(chat)
        bare = _bare(folder / f"bare-{number}.db", SYNCHRONOUS[durability])
        _check_durability(store, bare, SYNCHRONOUS[durability])

        def say_and_save() -> None:
            chat.say("user", text)
            store.save(chat)

        def insert() -> None:
            bare.execute("INSERT INTO events (data) VALUES (?)", (next(payloads),))

        if rounds_before:
            every_turn(rounds_before, branchlog=say_and_save, bare=insert)
        taken = every_turn(rounds, clock=clock, branchlog=say_and_save, bare=insert)
        bare.close()
    return taken


def _payloads(text: str, count: int) -> Iterator[bytes]:
    """The bytes that branchlog would store for each say."""
    with branchlog.open("memory:") as store:
        chat = store.create(title="Measured", system="You are measured.")
        store.save(chat)
        for _ in range(count):
            chat.say("user", text)
            store.save(chat)
        return iter([commit.data for commit in store.log.read(chat.id)][1:])


def _bare(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    return connection


def _check_durability(store: branchlog.Store, bare: sqlite3.Connection, expected: str) -> None:
    """Both sides say of themselves that they wait for the disk alike."""
    for connection in (store.log._file._writer, bare):
        found = LEVELS[connection.execute("PRAGMA synchronous").fetchone()[0]]
        if found != expected:
            raise RuntimeError(f"synchronous is {found}, not {expected}")


if __name__ == "__main__":
    _save_only(*sys.argv[1:])
