"""Run the workloads and print a table."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks import (
    ageing,
    files,
    formats,
    importing,
    large,
    loading,
    looking_back,
    path,
    saving,
    snapshots,
    together,
)
from benchmarks.measure import Figure, surroundings

WORKLOADS: dict[str, Callable[[Path, bool], list[Figure]]] = {
    "saving": saving.run,
    "ageing": ageing.run,
    "loading": loading.run,
    "large": large.run,
    "looking-back": looking_back.run,
    "snapshots": snapshots.run,
    "path": path.run,
    "together": together.run,
    "importing": importing.run,
    "formats": formats.run,
    "files": files.run,
}


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="branchlog-benchmarks-", dir=arguments.folder) as folder:
        around = surroundings(Path(folder))
        for name, value in around.items():
            print(f"{name:12} {value}")
        figures = []
        for name in arguments.only or WORKLOADS:
            print(f"\n{name}: {WORKLOADS[name].__module__}")
            with tempfile.TemporaryDirectory(dir=folder) as own:
                found = WORKLOADS[name](Path(own), arguments.quick)
            _print(found)
            figures += found
    if arguments.json:
        report = {"surroundings": around, "figures": [asdict(figure) for figure in figures]}
        arguments.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes: does it run at all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="only this workload; may be given again")
    parser.add_argument("--folder", type=Path, help="where the stores are made; the disk that is measured")
    return parser.parse_args()


def _print(figures: list[Figure]) -> None:
    width = max(len(figure.what) for figure in figures)
    for figure in figures:
        print(f"  {figure.what:{width}}  {figure.value:12,.2f} {figure.unit:5}   {figure.verdict}".rstrip())


if __name__ == "__main__":
    main()
