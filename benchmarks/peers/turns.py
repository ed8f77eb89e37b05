"""What the workloads share: findings, and subjects in turns, every other round in the opposite order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.running import Lab, Running, Stopped
from benchmarks.peers.subjects import Contender

MICRO = 1e6
MILLI = 1e3
MEGABYTE = 1_000_000

TEXT_LENGTH = 300
"""Characters of a message, if nothing else is said."""


@dataclass(frozen=True)
class Finding:
    """One thing found of one subject; where there is no value the note says why."""

    workload: str
    subject: str
    what: str
    size: int
    value: float | None
    unit: str
    note: str = ""


class Workload:
    """Subjects in turns; one that stops is told once and left out from then on."""

    def __init__(self, name: str, lab: Lab, subjects: Iterable[Contender] | None = None) -> None:
        self.name = name
        self.lab = lab
        self.findings: list[Finding] = []
        self.stopped: dict[str, str] = {}
        self.subjects = list(lab.subjects if subjects is None else subjects)

    def found(self, subject: Contender, what: str, size: int, value: float | None, unit: str, note: str = "") -> None:
        self.findings.append(Finding(self.name, subject.name, what, size, value, unit, note))

    def stop(self, subject: Contender, what: str, size: int, note: str) -> None:
        self.stopped[subject.name] = note
        self.found(subject, what, size, None, "", note)

    def turns(self, rounds: int = 1) -> Iterator[Contender]:
        """Each subject that goes on, so many times, in turns."""
        order = list(self.subjects)
        for _ in range(rounds):
            for subject in order:
                if subject.name not in self.stopped:
                    yield subject
            order.reverse()

    def attempt(self, subject: Contender, what: str, size: int, work: Callable[[], Any]) -> Any:
        """What the work answers, or None and the subject is left out."""
        try:
            return work()
        except Stopped as reason:
            self.stop(subject, what, size, str(reason))
            return None

    def ask(self, subject: Contender, what: str, size: int, running: Running, do: str, /, **step: Any) -> Any:
        """What a step answers, or None and the subject is left out."""
        return self.attempt(subject, what, size, lambda: running.step(do, **step))


def opened(workload: Workload, running: dict[str, Running], stack: ExitStack) -> None:
    """A process for each subject, with an open store in an empty folder."""
    for subject in workload.turns():
        running[subject.name] = stack.enter_context(workload.lab.start(subject, workload.lab.fresh()))
        workload.ask(subject, "open", 0, running[subject.name], "open")
