"""The workloads. Each takes its subjects in turns, every other round in the opposite order, and answers findings."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
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


def _opened(workload: Workload, running: dict[str, Running], stack: ExitStack) -> None:
    """A process for each subject, with an open store in an empty folder."""
    for subject in workload.turns():
        running[subject.name] = stack.enter_context(workload.lab.start(subject, workload.lab.fresh()))
        workload.ask(subject, "open", 0, running[subject.name], "open")


# 1 and 7: append one by one, and what it weighs on disk.

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
        _opened(workload, running, stack)
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


# 2: open cold, and the memory that it takes.


def opening(lab: Lab) -> list[Finding]:
    """Open in a fresh process and read the current path, of lines and of bushy trees with a path of 100.

    Trees come to be message by message. ``imported`` is the bushy tree again, in one piece, of those that need no other
    library: the others store it alike, or have no import.
    """
    stored = [subject for subject in lab.subjects if subject.stored]
    own = [subject for subject in stored if not subject.requirements]
    bushy = (300, 1_000) if lab.quick else (1_000, 10_000, 100_000)
    shapes = {
        "linear": ((100, 1_000) if lab.quick else (100, 1_000, 10_000, 100_000), stored),
        "bushy": (bushy, stored),
        "imported": (bushy, own),
    }
    findings = []
    for shape, (sizes, subjects) in shapes.items():
        workload = Workload("open", lab, subjects)
        for size in sizes:
            _open_at(workload, shape, size)
        findings += workload.findings
    return findings + _starting(lab)


def _starting(lab: Lab) -> list[Finding]:
    """From the start of a process until its library is imported and it answers."""
    workload = Workload("open", lab)
    taken: dict[str, list[float]] = {}
    for subject in workload.turns(3):
        folder, start = lab.fresh(), time.perf_counter()
        with lab.start(subject, folder) as running:
            running.step("hello")
            taken.setdefault(subject.name, []).append(time.perf_counter() - start)
    for subject in workload.turns():
        workload.found(subject, "start and import", 0, MILLI * statistics.median(taken[subject.name]), "ms")
    return workload.findings


def _open_at(workload: Workload, shape: str, size: int) -> None:
    lab = workload.lab
    folders: dict[str, Path] = {}
    for subject in workload.turns():
        folders[subject.name] = folder = lab.fresh()
        workload.attempt(
            subject, shape, size, lambda subject=subject, folder=folder: _built(lab, subject, folder, shape, size)
        )
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[int]] = {}
    for subject in workload.turns(3):
        step = {"shape": shape, "count": size}
        folder = folders[subject.name]
        answer = workload.attempt(
            subject, shape, size, lambda subject=subject, folder=folder, step=step: _cold(lab, subject, folder, step)
        )
        if answer is not None:
            seconds.setdefault(subject.name, []).append(answer["seconds"])
            memory.setdefault(subject.name, []).append(answer["memory"])
    for subject in workload.turns():
        workload.found(subject, shape, size, MILLI * statistics.median(seconds[subject.name]), "ms")
        peak = statistics.median(memory[subject.name])
        workload.found(subject, f"{shape}: peak memory a message", size, peak / size, "bytes")
    _paths_only(workload, folders, shape, size)
    for folder in folders.values():
        shutil.rmtree(folder)


def _cold(lab: Lab, subject: Contender, folder: Path, step: dict[str, Any]) -> dict[str, Any]:
    with lab.start(subject, folder) as running:
        return running.step("cold", **step)


def _paths_only(workload: Workload, folders: dict[str, Path], shape: str, size: int) -> None:
    """The same path without loading the conversation, of those that can."""
    able = [subject for subject in workload.turns() if subject.path_only]
    what = f"{shape}, path only"
    alone = Workload(workload.name, workload.lab, able)
    answers: dict[str, list[dict[str, Any]]] = {subject.name: [] for subject in able}
    for subject in alone.turns(3):
        folder, step = folders[subject.name], {"shape": shape, "count": size, "whole": False}
        answer = alone.attempt(
            subject,
            what,
            size,
            lambda subject=subject, folder=folder, step=step: _cold(alone.lab, subject, folder, step),
        )
        answers[subject.name] += [] if answer is None else [answer]
    for subject in alone.turns():
        seconds, peak = (
            statistics.median(answer[what] for answer in answers[subject.name]) for what in ("seconds", "memory")
        )
        alone.found(subject, what, size, MILLI * seconds, "ms")
        alone.found(subject, f"{what}: peak memory a message", size, peak / size, "bytes")
    workload.findings += alone.findings


def _built(lab: Lab, subject: Contender, folder: Path, shape: str, size: int, length: int = TEXT_LENGTH) -> None:
    with lab.start(subject, folder) as running:
        running.step("texts", length=length)
        running.step("open", to_build=True)
        answer = running.step("build", shape=shape, count=size, budget=lab.budget_seconds)
        if answer["said"] < size:
            raise Stopped(f"building stopped at {answer['said']:,} after {answer['seconds']:.0f} s")
        running.step("close")


# 7: the memory that a long conversation takes.

HEAVY = 750
"""Characters of a message here."""


def weighing(lab: Lab) -> list[Finding]:
    """Peak memory of a conversation of messages of 750 characters, beside the bytes that its files have on disk.

    In a process of its own, counted since the store is open: for the conversation loaded and all messages read, and for
    the path alone, which is the same messages.
    """
    workload = Workload("memory", lab, [subject for subject in lab.subjects if subject.stored])
    for size in (500, 2_000) if lab.quick else (10_000, 100_000):
        for subject in workload.turns():
            workload.attempt(
                subject, "peak memory", size, lambda subject=subject, size=size: _weigh(workload, subject, size)
            )
    return workload.findings


def _weigh(workload: Workload, subject: Contender, size: int) -> None:
    lab, folder = workload.lab, workload.lab.fresh()
    _built(lab, subject, folder, "linear", size, HEAVY)
    for way, whole in (("", True), ("path only: ", False))[: 2 if subject.path_only else 1]:
        with lab.start(subject, folder) as running:
            running.step("texts", length=HEAVY)
            answer = running.step("weigh", shape="linear", count=size, whole=whole)
        memory, stored = answer["memory"], answer["stored"]
        workload.found(subject, f"{way}peak memory", size, memory / MEGABYTE, "MB")
        workload.found(subject, f"{way}peak memory to bytes on disk", size, memory / stored, "times")
    workload.found(subject, "on disk", size, stored / MEGABYTE, "MB")
    shutil.rmtree(folder)


# 3, 4 and 8: alternatives, switching, and the past.


def branching(lab: Lab) -> list[Finding]:
    """Alternatives at random places of conversations of some lengths, switching to random places, and looking back."""
    asked = {what: Workload(what, lab) for what in ("path at a past moment", "switch and read the path", "alternative")}
    for length in (50, 200) if lab.quick else (100, 1_000, 10_000):
        _branches_at(lab, asked, length)
    return [finding for workload in asked.values() for finding in workload.findings]


def _branches_at(lab: Lab, asked: dict[str, Workload], length: int) -> None:
    """One conversation of this length for all that is asked of it, by those that can still be asked something."""
    past, switch, alternative = asked.values()
    building = Workload(
        "build", lab, [each for each in lab.subjects if any(each.name not in one.stopped for one in asked.values())]
    )
    running: dict[str, Running] = {}
    chance = random.Random(8)
    places = [chance.randrange(length - 1) for _ in range(20 if lab.quick else 100)]
    elsewhere = [chance.randrange(length) for _ in range(20)]
    with ExitStack() as stack:
        _opened(building, running, stack)
        for subject in building.turns():
            one = running[subject.name]
            building.attempt(subject, "build", length, lambda one=one: _long(lab, one, length))
        for workload in asked.values():
            for subject in [each for each in workload.turns() if each.name in building.stopped]:
                workload.stop(subject, workload.name, length, building.stopped[subject.name])
        _look_back(past, running, [place + 1 for place in elsewhere], length)
        _switch(switch, running, elsewhere, length)
        _say_elsewhere(alternative, running, places, length)


FEW = 5
"""Asked of one subject in one turn."""


def _look_back(workload: Workload, running: dict[str, Running], moments: list[int], length: int) -> None:
    times: dict[str, list[float]] = {}
    for start in range(0, len(moments), FEW):
        for subject in workload.turns():
            step = {"moments": moments[start : start + FEW]}
            answer = workload.ask(subject, workload.name, length, running[subject.name], "pasts", **step)
            if answer is not None:
                times.setdefault(subject.name, []).extend(answer["times"])
    for subject in workload.turns():
        workload.found(subject, workload.name, length, MICRO * statistics.median(times[subject.name]), "µs")


def _switch(workload: Workload, running: dict[str, Running], places: list[int], length: int) -> None:
    times: dict[str, list[float]] = {}
    moved: dict[str, list[float]] = {}
    for start in range(0, len(places), FEW):
        for subject in workload.turns():
            step = {"places": places[start : start + FEW]}
            answer = workload.ask(subject, workload.name, length, running[subject.name], "switches", **step)
            if answer is not None:
                times.setdefault(subject.name, []).extend(answer["times"])
                moved.setdefault(subject.name, []).extend(answer["moved"])
    for subject in workload.turns():
        workload.found(subject, workload.name, length, MICRO * statistics.median(times[subject.name]), "µs")
        workload.found(subject, "switch alone", length, MICRO * statistics.median(moved[subject.name]), "µs")


def _say_elsewhere(workload: Workload, running: dict[str, Running], places: list[int], length: int) -> None:
    """Some alternatives and as many messages where the conversation stands, in turns."""
    times: dict[tuple[str, str], list[float]] = {}
    written: dict[tuple[str, str], int] = {}
    for start in range(0, len(places), FEW):
        few = places[start : start + FEW]
        for subject in workload.turns():
            for what, do, step in (
                ("alternative", "alternatives", {"places": few}),
                ("message at the end", "say", {"count": len(few)}),
            ):
                answer = workload.ask(subject, what, length, running[subject.name], do, **step)
                if answer is None:
                    break
                key = (subject.name, what)
                times.setdefault(key, []).extend(answer["times"])
                written[key] = written.get(key, 0) + answer["written"]
    for subject in workload.turns():
        for what in ("alternative", "message at the end"):
            key = (subject.name, what)
            workload.found(subject, what, length, MICRO * statistics.median(times[key]), "µs")
            workload.found(subject, f"{what}: written", length, written[key] / len(places), "bytes")


def _long(lab: Lab, running: Running, length: int) -> None:
    running.step("create")
    said = running.step("say", count=length, budget=lab.budget_seconds)["said"]
    if said < length:
        raise Stopped(f"building stopped at {said:,} after {lab.budget_seconds:g} s")


# 5: many conversations.

TEAM = "team-3"


def listing(lab: Lab) -> list[Finding]:
    """Many conversations: the newest, those with some metadata, and how many these are."""
    counts, messages = ((100, 200), 5) if lab.quick else ((500, 2_000), 20)
    workload = Workload("list", lab)
    running: dict[str, Running] = {}
    with ExitStack() as stack:
        _opened(workload, running, stack)
        for before, count in zip((0, *counts), counts, strict=False):
            for first in range(before, count, SHELVED):
                step = {"first": first, "count": SHELVED, "messages": messages, "budget": lab.budget_seconds}
                for subject in workload.turns():
                    workload.ask(subject, "fill", count, running[subject.name], "shelf", **step)
            _ask_lists(workload, running, 10 if lab.quick else 50, count)
    return workload.findings


SHELVED = 50
"""Conversations that one subject makes in one turn."""


def _ask_lists(workload: Workload, running: dict[str, Running], limit: int, count: int) -> None:
    """What is asked of so many conversations, a tenth of which are of the team."""
    for what, do, step in (
        (f"newest {limit}", "newest", {"limit": limit, "expected": limit}),
        (f"{limit} by metadata", "filtered", {"team": TEAM, "limit": limit, "expected": limit}),
        ("count by metadata", "count", {"team": TEAM, "expected": count // 10}),
    ):
        asked = Workload("list", workload.lab, list(workload.turns()))
        _ask_list(asked, running, what, do, step, count)
        workload.findings += asked.findings


def _ask_list(
    workload: Workload, running: dict[str, Running], what: str, do: str, step: dict[str, Any], count: int
) -> None:
    times: dict[str, list[float]] = {}
    for subject in workload.turns(3 if workload.lab.quick else 9):
        answer = workload.ask(subject, what, count, running[subject.name], do, **step)
        if answer is not None:
            times.setdefault(subject.name, []).append(answer["seconds"])
    for subject in workload.turns():
        workload.found(subject, what, count, MICRO * statistics.median(times[subject.name]), "µs")


# 6: many writers.

WRITERS = 64
PROCESSES = 4


def together(lab: Lab) -> list[Finding]:
    """64 writers in one process, each with a conversation; then four processes on one store."""
    return _crowds(lab) + _processes(lab)


def _crowds(lab: Lab) -> list[Finding]:
    """One writer that waits for each of its messages, then 64 of them, in turns."""
    workload = Workload("together", lab)
    crowds = {1: 30 if lab.quick else 120, WRITERS: 5 if lab.quick else 30}
    running: dict[str, Running] = {}
    answers: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        _opened(workload, running, stack)
        for number in range(rounds := 1 if lab.quick else 3):
            for subject in workload.turns():
                for writers, each in crowds.items():
                    step = {"writers": writers, "each": each, "prefix": f"{writers}-{number}"}
                    answer = workload.ask(subject, _writers(writers), writers, running[subject.name], "crowd", **step)
                    if answer is None:
                        break
                    answers.setdefault((subject.name, writers), []).append(answer)
        for writers in crowds:
            chats = [f"{writers}-{number}-{writer}" for number in range(rounds) for writer in range(writers)]
            for subject in workload.turns():
                found = answers[subject.name, writers]
                _tell_writers(workload, subject, _writers(writers), writers, found, running[subject.name], chats)
    return workload.findings


def _writers(count: int) -> str:
    return "1 writer" if count == 1 else f"{count} writers"


def _processes(lab: Lab) -> list[Finding]:
    each = 50 if lab.quick else 250
    workload = Workload("together", lab, [subject for subject in lab.subjects if subject.stored])
    what = f"{PROCESSES} processes"
    chats = [f"process-{number}" for number in range(PROCESSES)]
    for subject in workload.turns():
        workload.attempt(subject, what, PROCESSES, lambda subject=subject: _at_once(workload, subject, chats, each))
    return workload.findings


def _at_once(workload: Workload, subject: Contender, chats: list[str], each: int) -> None:
    folder = workload.lab.fresh()
    with ExitStack() as stack:
        running = [stack.enter_context(workload.lab.start(subject, folder)) for _ in chats]
        for one, chat in zip(running, chats, strict=True):
            one.step("open")
            one.step("create", chat=chat)
        at = time.monotonic() + 0.1
        for one, chat in zip(running, chats, strict=True):
            one.send("alone", chat=chat, count=each, at=at)
        answers = [one.receive() for one in running]
    whole = {
        "seconds": max(answer["seconds"] for answer in answers),
        "times": [taken for answer in answers for taken in answer["times"]],
        "errors": [error for answer in answers for error in answer["errors"]],
    }
    with workload.lab.start(subject, folder) as reader:
        reader.step("open")
        _tell_writers(workload, subject, f"{len(chats)} processes", len(chats), [whole], reader, chats)


def _tell_writers(
    workload: Workload,
    subject: Contender,
    what: str,
    size: int,
    answers: list[dict[str, Any]],
    reader: Running,
    chats: list[str],
) -> None:
    times = [taken for answer in answers for taken in answer["times"]]
    errors = [error for answer in answers for error in answer["errors"]]
    rate = statistics.median(len(answer["times"]) / answer["seconds"] for answer in answers)
    counted = workload.ask(subject, f"{what}: lost", size, reader, "lengths", chats=chats)
    workload.found(subject, f"{what}: messages a second", size, rate, "messages/s")
    late = statistics.quantiles(times, n=100)[-1] if len(times) > 1 else None
    workload.found(subject, f"{what}: p99", size, None if late is None else MILLI * late, "ms")
    workload.found(subject, f"{what}: errors", size, len(errors), "messages", errors[0][:80] if errors else "")
    if counted is not None:
        workload.found(subject, f"{what}: lost", size, len(times) - sum(counted["lengths"]), "messages")


# 9: two writers of one conversation.


def racing(lab: Lab) -> list[Finding]:
    """Two writers read a conversation, and each saves a message: what is there afterwards."""
    workload = Workload("race", lab)
    for subject in workload.turns():
        with lab.start(subject, lab.fresh()) as running:
            answer = workload.attempt(subject, "messages kept of two", 2, lambda running=running: _raced(running))
        if answer is not None:
            kept = answer["kept"]
            refused = f"the second is refused ({answer['told'].split(':')[0]})"
            note = "" if len(kept) == 2 else refused if answer["told"] else "one is lost, and nobody is told"
            workload.found(subject, "messages kept of two", 2, len(kept), "messages", note)
            shown = len(answer["shown"])
            workload.found(subject, "of these on the current path", 2, shown, "messages")
    return workload.findings


def _raced(running: Running) -> dict[str, Any]:
    running.step("open")
    return running.step("race")


WORKLOADS: dict[str, Callable[[Lab], list[Finding]]] = {
    "append": appending,
    "open": opening,
    "branch": branching,
    "list": listing,
    "memory": weighing,
    "together": together,
    "race": racing,
}
