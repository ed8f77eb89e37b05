"""Many writers, each with a conversation, and two writers of one."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.peers.running import Lab, Running
from benchmarks.peers.subjects import Contender
from benchmarks.peers.turns import MILLI, Finding, Workload, opened

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
        opened(workload, running, stack)
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
