"""Open cold, and the memory that it takes."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.running import Lab, Stopped
from benchmarks.peers.subjects import Contender
from benchmarks.peers.turns import MEGABYTE, MILLI, TEXT_LENGTH, Finding, Workload


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
