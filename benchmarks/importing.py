"""``import branchlog``, against an interpreter that does nothing, and what it loads.

The compiled files are kept in a folder of their own and are there before the first round.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.measure import Figure, in_turns, milliseconds

UNWANTED = ("asyncio", "sqlite3", "click", "rich", "pytest", "hypothesis")
"""What only some of the users need."""


def run(folder: Path, quick: bool) -> list[Figure]:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return answer.stderr

    python("-c", "import branchlog")
    taken = in_turns(
        5 if quick else 25,
        branchlog=lambda: python("-c", "import branchlog"),
        nothing=lambda: python("-c", "pass"),
    )
    python(
        "-c", f"import branchlog, sys; loaded = [n for n in {UNWANTED} if n in sys.modules]; assert not loaded, loaded"
    )
    shares = _shares(python("-X", "importtime", "-c", "import branchlog"))
    return [
        Figure("importing", "a process that imports branchlog", milliseconds(taken["branchlog"]), "ms"),
        Figure("importing", "a process that does nothing", milliseconds(taken["nothing"]), "ms"),
        Figure("importing", "the difference", milliseconds(taken["branchlog"] - taken["nothing"]), "ms", 60.0),
        *(Figure("importing", f"of it in {name}", share, "ms") for name, share in shares.most_common(6)),
    ]


def _shares(report: str) -> Counter[str]:
    """The milliseconds that each top-level package took, its own modules only, from the report of ``-X importtime``."""
    shares: Counter[str] = Counter()
    started = False
    for line in report.splitlines():
        taken, _, name = line.removeprefix("import time:").split("|")
        if started and taken.strip().isdecimal():
            shares[name.strip().split(".")[0]] += int(taken) / 1_000
        started = started or name.strip() == "site"
    return shares
