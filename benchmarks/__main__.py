"""Run the workloads and print a table."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType

from benchmarks.measure import Figure, surroundings

CORE = ("saving", "ageing", "loading", "large", "looking-back", "snapshots", "path", "together", "importing")
"""What is run if nothing is named: it needs nothing but branchlog, and a minute and a half."""

NAMED = ("listing", "formats", "explore", "files", "objects", "postgres", "nats")
"""What is run by its name only: it takes long, or starts servers, and needs the extra ``dev``.

Each workload is a module of this package with a function ``run``, imported when it is run.
"""


def _module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name.replace('-', '_')}")


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="branchlog-benchmarks-", dir=arguments.folder) as folder:
        around = surroundings(Path(folder))
        for name, value in around.items():
            print(f"{name:12} {value}")
        figures = []
        for name in arguments.only or CORE:
            module = _module(name)
            print(f"\n{name}: {module.__name__}")
            with tempfile.TemporaryDirectory(dir=folder) as own:
                found = module.run(Path(own), arguments.quick)
            _print(found)
            figures += found
    if arguments.json:
        report = {"surroundings": around, "figures": [asdict(figure) for figure in figures]}
        arguments.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes: does it run at all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--only", action="append", choices=(*CORE, *NAMED), help="this workload; may be given again")
    parser.add_argument("--folder", type=Path, help="where the stores are made; the disk that is measured")
    return parser.parse_args()


def _print(figures: list[Figure]) -> None:
    width = max(len(figure.what) for figure in figures)
    for figure in figures:
        print(f"  {figure.what:{width}}  {figure.value:12,.2f} {figure.unit:5}   {figure.verdict}".rstrip())


if __name__ == "__main__":
    main()
