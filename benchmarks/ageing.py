"""The 10,000th message against the 10th: time, and bytes written.

Each length has a store of its own with one conversation of that many messages, one commit for each. The time is that of
a save without waiting for the disk, since the disk's own time would hide the rest.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import branchlog
from benchmarks.measure import Figure, in_turns, microseconds, text_of

LENGTHS = (10, 100, 1_000, 10_000)
WINDOW = 50
"""Messages that are measured from each length on; their pages stay below SQLite's checkpoint."""

MESSAGE = text_of(300)


class Grown:
    """A store with one conversation of some length, about to get one more message."""

    def __init__(self, path: Path, length: int) -> None:
        self.path = path
        self.store = branchlog.open(path, durability="relaxed")
        self.chat = self.store.create()
        self.store.save(self.chat)
        for _ in range(length):
            self.say()

    def say(self) -> None:
        self.chat.say("user", MESSAGE)
        self.store.save(self.chat)

    def checkpoint(self) -> None:
        """Move all that is in the write-ahead log to the file, and cut the log to nothing."""
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.close()

    def written(self) -> tuple[float, float]:
        """Bytes written to the log, and bytes by which the file grows, for each of the next messages."""
        self.checkpoint()
        before = self.path.stat().st_size
        for _ in range(WINDOW):
            self.say()
        logged = self.path.with_name(self.path.name + "-wal").stat().st_size
        self.checkpoint()
        return logged / WINDOW, (self.path.stat().st_size - before) / WINDOW


def run(folder: Path, quick: bool) -> list[Figure]:
    lengths = LENGTHS[:3] if quick else LENGTHS
    sets = 1 if quick else 3
    times: dict[int, list[float]] = {length: [] for length in lengths}
    for number in range(sets):
        grown = {length: Grown(folder / f"ageing-{number}-{length}.db", length) for length in lengths}
        taken = in_turns(WINDOW, **{str(length): each.say for length, each in grown.items()})
        for length in lengths:
            times[length].append(taken[str(length)])
        written = {length: each.written() for length, each in grown.items()}
        for each in grown.values():
            each.store.close()
    middle = {length: sorted(times[length])[sets // 2] for length in lengths}
    figures = []
    for length in lengths:
        logged, kept = written[length]
        figures += [
            Figure("ageing", f"message {length + 1:,}: say and save", microseconds(middle[length]), "µs"),
            Figure("ageing", f"message {length + 1:,}: written to the log", logged, "bytes"),
            Figure("ageing", f"message {length + 1:,}: the file grows by", kept, "bytes"),
        ]
    first, last = lengths[0], lengths[-1]
    return [
        *figures,
        Figure("ageing", f"message {last + 1:,} to {first + 1}: time", middle[last] / middle[first], "times", 1.25),
        Figure(
            "ageing", f"message {last + 1:,} to {first + 1}: bytes", written[last][0] / written[first][0], "times", 1.25
        ),
    ]
