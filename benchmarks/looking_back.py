"""The state at a random version of a conversation of 10,000 events, against folding its events up to there.

The state is what can be seen at a glance: how many nodes there are, where the cursor stands, the message there, its
label, and the title. The way to get it without a view is to fold the events up to that version: once from the log, and
once from commits that are in memory already, read and verified.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import branchlog
from benchmarks.loading import build
from benchmarks.measure import Figure, in_turns, microseconds, milliseconds

EVENTS = 10_000

VIEWS = 100
"""Looked at in one go: one alone takes less than the clock and the caches do."""


def run(folder: Path, quick: bool) -> list[Figure]:
    path = folder / "looking-back.db"
    build(path, EVENTS // 2)
    with branchlog.open(path) as store:
        chat = store.load("measured")
        commits = store.log.read("measured")
        chance = random.Random(3)

        def version() -> int:
            return chance.randint(1, chat.version)

        def folded() -> object:
            last = version()
            return _folded([commit for commit in commits if commit.first <= last])

        def views() -> None:
            for _ in range(VIEWS):
                glance(chat.at(version()))

        _check(chat, commits)
        works: dict[str, Callable[[], object]] = {
            "views": views,
            "path": lambda: chat.messages(version()),
            "folded": folded,
            "read and folded": lambda: _folded(store.log.read("measured", until=version())),
        }
        chat.messages()  # what a snapshot left out is fetched when it is first looked at
        taken = in_turns(40 if quick else 200, **works)
    view = taken["views"] / VIEWS
    return [
        Figure("looking back", "state at a random version", milliseconds(view), "ms", 1.0),
        Figure("looking back", "the same, folded from commits in memory", microseconds(taken["folded"]), "µs"),
        Figure("looking back", "the same, read and folded", microseconds(taken["read and folded"]), "µs"),
        Figure("looking back", "faster than folding what is in memory", taken["folded"] / view, "times"),
        Figure(
            "looking back", "faster than folding from the log", taken["read and folded"] / view, "times", least=1_000
        ),
        Figure("looking back", "all messages on the path of then", microseconds(taken["path"]), "µs"),
    ]


def glance(tree: branchlog.Tree) -> tuple[object, ...]:
    """What can be seen of a tree at a glance."""
    cursor = tree.cursor
    return len(tree), cursor.version, cursor.message, cursor.label, tree.title


def _folded(commits: list[branchlog.Commit]) -> branchlog.Conversation:
    chat = branchlog.Conversation("measured")
    chat._fold(commits)
    return chat


def _check(chat: branchlog.Conversation, commits: list[branchlog.Commit]) -> None:
    """Both ways see the same."""
    for count in (1, len(commits) // 2, len(commits)):
        then = _folded(commits[:count])
        if glance(then.tree) != glance(chat.at(then.version)):
            raise RuntimeError(f"the view at version {then.version} is not what folding comes to")
