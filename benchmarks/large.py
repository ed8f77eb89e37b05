"""100,000 messages deep, and 100,000 alternatives wide: what still works, how long it takes and what it weighs.

Each step that is weighed runs in a process of its own, so that nothing is counted twice.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import branchlog
from benchmarks.measure import Figure, milliseconds, seconds, text_of

TEXT_LENGTH = 300
BATCH = 100
"""Messages of one save."""


def run(folder: Path, quick: bool) -> list[Figure]:
    count = 10_000 if quick else 100_000
    return [figure for shape in ("deep", "wide") for figure in _shaped(folder, shape, count)]


def _shaped(folder: Path, shape: str, count: int) -> list[Figure]:
    path = folder / f"large-{shape}.db"
    name = f"{count:,} {shape}"
    built = _in_process("build", path, shape, count)
    read = _in_process("read", path)
    resident = _in_process("resident", path)["bytes"]
    traced = _in_process("traced", path)["bytes"]
    times = {**built, **read}
    figures = [Figure("large", f"{name}: {what}", milliseconds(taken), "ms") for what, taken in times.items()]
    return [
        *figures,
        Figure("large", f"{name}: memory a message (RSS)", resident / count, "bytes"),
        Figure("large", f"{name}: memory a message (tracemalloc)", traced / count, "bytes"),
        Figure("large", f"{name}: on disk a message", path.stat().st_size / count, "bytes"),
    ]


def _in_process(step: str, path: Path, *more: object) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.large", step, str(path), *map(str, more)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def build(path: str, shape: str, count: str) -> dict[str, float]:
    text = text_of(TEXT_LENGTH)
    with branchlog.open(path) as store:
        chat = store.create("measured", system="You are measured.")

        def say() -> None:
            for number in range(int(count)):
                chat.say("assistant", text, under="" if shape == "wide" else None)
                if number % BATCH == BATCH - 1:
                    store.save(chat)
            store.save(chat)

        return {f"build, saved by the {BATCH}": seconds(say)}


def read(path: str) -> dict[str, float]:
    found: dict[str, Any] = {}

    def asked(what: str, work: Callable[[], object]) -> None:
        taken[what] = seconds(lambda: found.update({what: work()}))

    taken: dict[str, float] = {}
    with branchlog.open(path) as store:
        asked("load", lambda: store.load("measured"))
        chat = found["load"]
        asked("first id", lambda: chat.cursor.id)
        asked("id again", lambda: chat.cursor.id)
        asked("path", lambda: chat.cursor.path)
        asked("messages", chat.messages)
        asked("alternatives of the last", lambda: chat.cursor.alternatives)
        asked("node by its id", lambda: chat.tree[found["first id"]])
        asked("leaves", lambda: chat.tree.leaves)
        asked("at the middle version", lambda: len(chat.at(chat.version // 2)))
        asked("say and save one more", lambda: (chat.say("user", "One more."), store.save(chat)))
        asked("store.messages", lambda: store.messages("measured"))
    if len(found["path"]) != chat.tree["" if not found["first id"] else found["first id"]].depth + 1:
        raise RuntimeError("the path is not as long as the node is deep")
    if found["node by its id"].message != found["messages"][-1]:
        raise RuntimeError("the id does not lead back to its node")
    return taken


def resident(path: str) -> dict[str, float]:
    with branchlog.open(path) as store:
        store.describe("measured")
        gc.collect()
        before = _resident_bytes()
        chat = store.load("measured")
        gc.collect()
        assert chat.version
        return {"bytes": _resident_bytes() - before}


def traced(path: str) -> dict[str, float]:
    with branchlog.open(path) as store:
        tracemalloc.start()
        chat = store.load("measured")
        gc.collect()
        assert chat.version
        return {"bytes": tracemalloc.get_traced_memory()[0]}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


STEPS: dict[str, Callable[..., dict[str, float]]] = {
    "build": build,
    "read": read,
    "resident": resident,
    "traced": traced,
}

if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](*sys.argv[2:])))
