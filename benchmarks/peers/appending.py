"""Append one by one: time, bytes written, and what it weighs on disk."""

from __future__ import annotations

import statistics
from collections import deque
from contextlib import ExitStack

from benchmarks.peers.running import Lab, Running
from benchmarks.peers.subjects import Contender
from benchmarks.peers.turns import MICRO, Finding, Workload, opened

CHUNK = 10
"""Messages of one turn: few, since a disk that is throttled changes its mind within a second."""

WINDOW = 100
"""Messages that the time at a length is the median of."""


def appending(lab: Lab) -> list[Finding]:
    """Append one by one up to each length: time and bytes written there, and in all."""
    lengths = (100, 1_000) if lab.quick else (100, 1_000, 10_000)
    workload = Workload("append", lab)
    running: dict[str, Running] = {}
    with ExitStack() as stack:
        opened(workload, running, stack)
        sums = {subject.name: _Grown() for subject in workload.subjects}
        for subject in workload.turns():
            workload.ask(subject, "create", 0, running[subject.name], "create")
        for length in lengths:
            for _ in range((length - _before(lengths, length)) // CHUNK):
                for subject in workload.turns():
                    _grow(workload, subject, running[subject.name], sums[subject.name], length)
            for subject in workload.turns():
                _tell_grown(workload, subject, sums[subject.name], length)
        for subject in workload.turns():
            closed = workload.ask(subject, "on disk a message", lengths[-1], running[subject.name], "close")
            if closed is not None:
                size = closed["on_disk"] / lengths[-1]
                workload.found(subject, "on disk a message", lengths[-1], size, "bytes")
    return workload.findings


def _before(lengths: tuple[int, ...], length: int) -> int:
    place = lengths.index(length)
    return lengths[place - 1] if place else 0


class _Grown:
    """What a growing conversation has taken so far."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.written = 0
        self.said = 0
        self.last: deque[float] = deque(maxlen=WINDOW)
        self.processor: deque[float] = deque(maxlen=WINDOW // CHUNK)
        self.mark = (0, 0)


def _grow(workload: Workload, subject: Contender, running: Running, grown: _Grown, length: int) -> None:
    left = workload.lab.budget_seconds - grown.seconds
    answer = workload.attempt(
        subject, "time at length", length, lambda: running.step("say", count=CHUNK, budget=max(left, 0))
    )
    if answer is None:
        return
    grown.seconds += sum(answer["times"])
    grown.written += answer["written"]
    grown.said = answer["said"]
    grown.last.extend(answer["times"])
    grown.processor.append(answer["processor"])
    if len(answer["times"]) < CHUNK:
        workload.stop(subject, "time at length", length, f"stopped at {grown.said:,} after {grown.seconds:.0f} s")


def _tell_grown(workload: Workload, subject: Contender, grown: _Grown, length: int) -> None:
    said, written = grown.mark
    workload.found(subject, "time at length", length, MICRO * statistics.median(grown.last), "µs")
    workload.found(subject, "processor at length", length, MICRO * statistics.median(grown.processor), "µs")
    workload.found(subject, "written at length", length, (grown.written - written) / (length - said), "bytes")
    workload.found(subject, "time in all", length, grown.seconds, "s")
    workload.found(subject, "written in all", length, float(grown.written), "bytes")
    grown.mark = (length, grown.written)
