"""What the workloads share: figures, turns, messages to say, and what they ran on."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TEXT = "A sentence as people write it, neither long nor short, to be said again and again. "


@dataclass(frozen=True)
class Figure:
    """One thing that was measured; ``goal`` is what it may be at most, ``least`` what it shall be at least."""

    workload: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    least: float | None = None

    @property
    def verdict(self) -> str:
        """The goal, and whether it is reached; nothing where there is none."""
        if self.goal is not None:
            return f"at most {self.goal:g}: {'reached' if self.value <= self.goal else 'missed'}"
        if self.least is not None:
            return f"at least {self.least:g}: {'reached' if self.value >= self.least else 'missed'}"
        return ""


def text_of(length: int) -> str:
    """A text of so many characters."""
    return (TEXT * (length // len(TEXT) + 1))[:length]


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes."""
    start = clock()
    work()
    return clock() - start


def in_turns(
    rounds: int, *, before: Callable[[], object] | None = None, **works: Callable[[], object]
) -> dict[str, float]:
    """The median seconds of each of these, called in turns; ``before`` is called before each and not counted."""
    return medians(every_turn(rounds, before=before, **works))


def medians(taken: dict[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: median(times) for name, times in taken.items()}


def every_turn(
    rounds: int,
    *,
    before: Callable[[], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    **works: Callable[[], object],
) -> dict[str, list[float]]:
    """The seconds of each call of these, made in turns: what disturbs one disturbs the others too.

    Every other round goes in the opposite direction, so that none always comes right after the same neighbour.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            if before is not None:
                before()
            taken[name].append(seconds(works[name], clock))
        order.reverse()
    return taken


def microseconds(value: float) -> float:
    return value * 1e6


def milliseconds(value: float) -> float:
    return value * 1e3


def fdatasync_seconds(folder: Path, rounds: int = 200) -> float:
    """The median of writing 4 KiB over the same place of a file and waiting for the disk."""
    with (folder / "fdatasync").open("wb", buffering=0) as file:

        def once() -> None:
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            os.fdatasync(file.fileno())

        return in_turns(rounds, once=once)["once"]


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, as Linux names it."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    here = folder.resolve()
    found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    _, kind = max((len(place), kind) for place, kind in found if here.is_relative_to(place))
    return kind


def processor() -> str:
    """The model of the processor, as Linux names it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def surroundings(folder: Path) -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        "processors": f"{os.cpu_count()}, {processor()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.1f} GB",
        "file system": file_system(folder),
        "fdatasync": f"{microseconds(fdatasync_seconds(folder)):.0f} µs for 4 KiB written over the same place",
    }
