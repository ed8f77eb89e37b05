"""The workloads by their names. Each takes its subjects in turns and answers findings."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.appending import appending
from benchmarks.peers.branching import branching
from benchmarks.peers.listing import listing
from benchmarks.peers.opening import opening, weighing
from benchmarks.peers.running import Lab
from benchmarks.peers.turns import Finding
from benchmarks.peers.writers import racing, together

WORKLOADS: dict[str, Callable[[Lab], list[Finding]]] = {
    "append": appending,
    "open": opening,
    "branch": branching,
    "list": listing,
    "memory": weighing,
    "together": together,
    "race": racing,
}
