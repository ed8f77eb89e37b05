"""Run the workloads beside other libraries: a table in markdown, and the findings as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import surroundings
from benchmarks.peers.running import Lab, Stopped, waits_a_message
from benchmarks.peers.subjects import SUBJECTS, Contender, cache_folder, make_venv
from benchmarks.peers.tables import Known, subjects_table, tables
from benchmarks.peers.workloads import WORKLOADS, Finding


def main(given: list[str] | None = None) -> None:
    arguments = _arguments(given)
    subjects = tuple(each for each in SUBJECTS if _chosen(each, arguments.subjects))
    arguments.venvs.mkdir(parents=True, exist_ok=True)
    for subject in subjects:
        make_venv(subject, arguments.venvs)
    with tempfile.TemporaryDirectory(prefix="branchlog-peers-", dir=arguments.folder) as folder:
        around = _around(Path(folder))
        lab = Lab(Path(folder), arguments.venvs, subjects, arguments.quick, arguments.budget)
        known = [_known(lab, subject) for subject in subjects]
        findings: list[Finding] = []
        for name in arguments.only or WORKLOADS:
            print(f"{name}: {WORKLOADS[name].__doc__}", file=sys.stderr)
            findings += WORKLOADS[name](lab)
            around["load at the end"] = _load()
            _write(arguments, around, known, findings)
    print(_text(around, known, findings))


def _write(arguments: argparse.Namespace, around: dict[str, str], known: list[Known], findings: list[Finding]) -> None:
    """What has been found so far: a long run that is ended leaves that much."""
    if arguments.markdown:
        arguments.markdown.write_text(_text(around, known, findings))
    if arguments.json:
        report = {
            "surroundings": around,
            "subjects": [{**asdict(each), "durability": each.durability} for each in known],
            "findings": [asdict(finding) for finding in findings],
        }
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _text(around: dict[str, str], known: list[Known], findings: list[Finding]) -> str:
    lines = "\n".join(f"- {name}: {value}" for name, value in around.items())
    return "\n\n".join((lines, subjects_table(known), tables(findings, known)))


def _around(folder: Path) -> dict[str, str]:
    around = surroundings(folder)
    around["command"] = f"python -m benchmarks.peers {' '.join(sys.argv[1:])}".strip()
    return {**around, "load at the start": _load()}


def _load() -> str:
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def _chosen(subject: Contender, wanted: list[str] | None) -> bool:
    return wanted is None or any(subject.name.startswith(each) for each in wanted)


def _known(lab: Lab, subject: Contender) -> Known:
    with lab.start(subject, lab.fresh()) as running:
        version = running.step("hello")["version"]
    try:
        waits = waits_a_message(lab, subject)
    except Stopped as reason:
        raise RuntimeError(f"{subject.name} cannot append: {reason}") from reason
    return Known(subject.name, version, waits, subject.stored)


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds: does it run at all")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="only this workload; may be given again")
    parser.add_argument("--subjects", nargs="+", metavar="NAME", help="only subjects whose names begin so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    parser.add_argument("--venvs", type=Path, default=cache_folder(), help="where the peers' environments are kept")
    parser.add_argument("--folder", type=Path, help="where the stores are made; the disk that is measured")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds that a subject may take to reach a size")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
