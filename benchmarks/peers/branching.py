"""Alternatives, switching, and the past."""

from __future__ import annotations

import random
import statistics
from contextlib import ExitStack
from typing import TypeVar

from benchmarks.peers.running import Lab, Running, Stopped
from benchmarks.peers.turns import MICRO, Finding, Workload, opened


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
        opened(building, running, stack)
        for subject in building.turns():
            one = running[subject.name]
            building.attempt(subject, "build", length, lambda one=one: _long(lab, one, length))
        for workload in asked.values():
            for subject in [each for each in workload.turns() if each.name in building.stopped]:
                workload.stop(subject, workload.name, length, building.stopped[subject.name])
        _look_back(past, running, [place + 1 for place in elsewhere], length)
        _switch(switch, running, elsewhere, length)
        _say_elsewhere(alternative, running, places, length)


T = TypeVar("T")

FEW = 5
"""Asked of one subject in one turn."""


def swapped(pair: list[T], start: int) -> list[T]:
    """The two in this order or in the other, by turns: whoever comes first in a turn has nothing in its caches."""
    return pair[::-1] if start // FEW % 2 else pair


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
    """Switches with the path read after each, and as many with nothing read, in turns."""
    times: dict[tuple[str, str], list[float]] = {}
    asked = {workload.name: "switches", "switch alone": "moves"}
    for start in range(0, len(places), FEW):
        step = {"places": places[start : start + FEW]}
        for subject in workload.turns():
            for what, do in swapped(list(asked.items()), start):
                answer = workload.ask(subject, what, length, running[subject.name], do, **step)
                if answer is None:
                    break
                times.setdefault((subject.name, what), []).extend(answer["times"])
    for subject in workload.turns():
        for what in asked:
            workload.found(subject, what, length, MICRO * statistics.median(times[subject.name, what]), "µs")


def _say_elsewhere(workload: Workload, running: dict[str, Running], places: list[int], length: int) -> None:
    """Some alternatives and as many messages where the conversation stands, in turns."""
    times: dict[tuple[str, str], list[float]] = {}
    written: dict[tuple[str, str], int] = {}
    for start in range(0, len(places), FEW):
        few = places[start : start + FEW]
        for subject in workload.turns():
            for what, do, step in swapped(
                [
                    ("alternative", "alternatives", {"places": few}),
                    ("message at the end", "say", {"count": len(few)}),
                ],
                start,
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
