"""Many conversations: what a list of them costs."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from typing import Any

from benchmarks.peers.running import Lab, Running
from benchmarks.peers.turns import MICRO, Finding, Workload, opened

TEAM = "team-3"


def listing(lab: Lab) -> list[Finding]:
    """Many conversations: the newest, those with some metadata, and how many these are."""
    counts, messages = ((100, 200), 5) if lab.quick else ((500, 2_000), 20)
    workload = Workload("list", lab)
    running: dict[str, Running] = {}
    with ExitStack() as stack:
        opened(workload, running, stack)
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
