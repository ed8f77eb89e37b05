"""One run beside other libraries: who is there, and what is found of them, workload by workload."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.running import Lab, Stopped, waits_a_message
from benchmarks.peers.subjects import SUBJECTS, Contender, NotInstalled, make_venv
from benchmarks.peers.tables import Known
from benchmarks.peers.turns import Finding
from benchmarks.peers.workloads import WORKLOADS


@dataclass
class Comparison:
    """Its subjects are those that could be installed and could append a message; the others are told as missing."""

    lab: Lab
    known: list[Known]
    findings: list[Finding] = field(default_factory=list)

    def run(self, name: str) -> None:
        """One workload, for all subjects in turns."""
        lines = (WORKLOADS[name].__doc__ or "").splitlines()
        print(f"peers:{name}: {lines[0]}", file=sys.stderr)
        self.findings += WORKLOADS[name](self.lab)


def chosen(wanted: Sequence[str] | None) -> tuple[Contender, ...]:
    """Those whose names begin with one of these; all if nothing is wanted in particular."""
    return tuple(each for each in SUBJECTS if wanted is None or each.name.startswith(tuple(wanted)))


def prepared(
    folder: Path, venvs: Path, subjects: Sequence[Contender], *, quick: bool, budget_seconds: float
) -> Comparison:
    """Environments are made where there are none, and each subject appends a few messages: its waits are counted."""
    venvs.mkdir(parents=True, exist_ok=True)
    missing = _installed(venvs, subjects)
    lab = Lab(folder, venvs, tuple(each for each in subjects if each.name not in missing), quick, budget_seconds)
    known = [
        Known(each.name, "", None, each.stored, not each.requirements, missing[each.name])
        if each.name in missing
        else _known(lab, each)
        for each in subjects
    ]
    lab.subjects = tuple(each for each, its in zip(subjects, known, strict=True) if not its.missing)
    for each in known:
        if each.missing:
            print(f"{each.name} is left out: {each.missing}", file=sys.stderr)
    return Comparison(lab, known)


def _installed(venvs: Path, subjects: Sequence[Contender]) -> dict[str, str]:
    """Why those are missing whose environment could not be made; one that several share is tried once."""
    failed: dict[Path, str] = {}
    for subject in subjects:
        if subject.requirements and subject.venv(venvs) not in failed:
            try:
                make_venv(subject, venvs)
            except NotInstalled as error:
                failed[subject.venv(venvs)] = f"not installed: {error}"
    return {each.name: failed[each.venv(venvs)] for each in subjects if each.venv(venvs) in failed}


def _known(lab: Lab, subject: Contender) -> Known:
    """Its version and its waits, or why it does not run here."""
    version, waits, missing = "", None, ""
    try:
        with lab.start(subject, lab.fresh()) as running:
            version = running.step("hello")["version"]
        waits = waits_a_message(lab, subject)
    except Stopped as reason:
        missing = f"cannot append: {reason}"
    return Known(subject.name, version, waits, subject.stored, not subject.requirements, missing)
