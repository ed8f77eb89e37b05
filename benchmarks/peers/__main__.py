"""``python -m benchmarks.peers`` is ``python -m benchmarks --only peers``; with ``--only append``, ``peers:append``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks import __main__ as command
from benchmarks.peers.workloads import WORKLOADS


def main(given: Sequence[str] | None = None) -> None:
    command.main(named(sys.argv[1:] if given is None else given))


def named(given: Sequence[str]) -> list[str]:
    """The arguments of the one command, where a workload is named as here: by its name alone."""
    split = [part for word in given for part in (word.split("=", 1) if word.startswith("--only=") else (word,))]
    before = ("", *split)
    whole = [
        f"peers:{word}" if previous == "--only" and word in WORKLOADS else word
        for previous, word in zip(before, split, strict=False)
    ]
    return whole if "--only" in split else [*whole, "--only", "peers"]


if __name__ == "__main__":
    main()
