"""Run the workloads of branchlog alone, and those beside other libraries: tables in markdown, and figures as JSON."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from benchmarks.measure import surroundings
from benchmarks.peers.comparison import Comparison, chosen, prepared
from benchmarks.peers.subjects import cache_folder
from benchmarks.peers.workloads import WORKLOADS
from benchmarks.report import Report, comparison_text, lines

CORE = ("saving", "ageing", "loading", "large", "looking-back", "snapshots", "path", "together", "importing")
"""Of branchlog alone: they need nothing else, and a minute and a half. ``alone`` is all of them."""

PEERS = tuple(f"peers:{name}" for name in WORKLOADS)
"""Beside other libraries, each in an environment of its own. ``peers`` is all of them."""

GROUPS = {"alone": CORE, "peers": PEERS}
"""What is run if nothing is named, in this order."""

NAMED = ("listing", "formats", "explore", "files", "objects", "postgres", "nats")
"""What is run by its name only: it takes long, or starts servers, and needs the extra ``dev``.

Each workload of branchlog alone is a module of this package with a function ``run``, imported when it is run.
"""

HOW_LONG = (
    "All workloads, of branchlog alone and beside other libraries: an hour or two, and environments are made for the "
    "others at first. Less: --quick (minutes), --only alone (a minute and a half), "
    "--only saving (one workload; see --help), --only peers, "
    "--subjects branchlog sqlite3 (these only), --budget 10 (seconds that one subject may take to reach a size)."
)


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    subjects = chosen(arguments.subjects)
    if not subjects:
        sys.exit(f"no subject has a name that begins with {' or '.join(arguments.subjects)}")
    if not arguments.only:
        print(HOW_LONG, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="branchlog-benchmarks-", dir=arguments.folder) as made:
        folder = Path(made)
        report = Report(_around(folder, given))
        for name, value in report.surroundings.items():
            print(f"{name:17} {value}")
        for name in _names(arguments.only):
            if name in PEERS:
                if report.comparison is None:
                    report.comparison = _prepared(folder, arguments)
                report.comparison.run(name.removeprefix("peers:"))
            else:
                _alone(report, name, folder, quick=arguments.quick)
            report.surroundings["load at the end"] = _load()
            report.write(arguments.json, arguments.markdown)
    if report.comparison is not None:
        print(f"\n{comparison_text(report.comparison)}")


def _names(only: Sequence[str] | None) -> list[str]:
    """What is to be run, each once, in the order in which it was named."""
    return list(dict.fromkeys(name for each in only or GROUPS for name in GROUPS.get(each, (each,))))


def _alone(report: Report, name: str, folder: Path, *, quick: bool) -> None:
    module = _module(name)
    print(f"\n{name}: {module.__name__}")
    with tempfile.TemporaryDirectory(dir=folder) as own:
        found = module.run(Path(own), quick)
    print(lines(found))
    report.figures += found


def _module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name.replace('-', '_')}")


def _prepared(folder: Path, arguments: argparse.Namespace) -> Comparison:
    return prepared(
        folder,
        arguments.venvs,
        chosen(arguments.subjects),
        quick=arguments.quick,
        budget_seconds=arguments.budget,
    )


def _around(folder: Path, given: Sequence[str] | None) -> dict[str, str]:
    command = " ".join(sys.argv[1:] if given is None else given)
    return {**surroundings(folder), "command": f"python -m benchmarks {command}".strip(), "load at the start": _load()}


def _load() -> str:
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, epilog=HOW_LONG)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes: does it run at all")
    names = ("alone", *CORE, "peers", *PEERS, *NAMED)
    listed = f"this workload; may be given again: {', '.join(names)}"
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=listed)
    parser.add_argument("--subjects", nargs="+", metavar="NAME", help="beside others, those whose names begin so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that is found there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--venvs", type=Path, default=cache_folder(), help="where the peers' environments are kept")
    parser.add_argument("--folder", type=Path, help="where the stores are made; the disk that is measured")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds that a subject may take to reach a size")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
