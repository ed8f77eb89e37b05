"""Findings as markdown: a table a workload, like beside like, with ratios to the bare side of the same durability."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.peers.turns import Finding

GROUPS = ("durable", "relaxed", "in memory", "not counted")
BASELINES = {"durable": "sqlite3, FULL", "relaxed": "sqlite3, NORMAL"}
GREATEST_ONLY = ("in all", "memory a message")
ONE_WRITER = "1 writer: messages a second"
RATIOS = ("µs", "ms", "s", "messages/s")
"""Units of which a ratio to the bare side says something."""


@dataclass(frozen=True)
class Known:
    """What is known of a subject besides its figures."""

    name: str
    version: str
    waits: float | None
    stored: bool
    own: bool = False
    """Whether it needs no other library: branchlog, and what is written by hand."""

    missing: str = ""
    """Why it was not measured, such as ``not installed: ...``."""

    @property
    def durability(self) -> str:
        """``durable`` where each message waits for the disk at least once, as it was counted."""
        if self.missing:
            return "not measured"
        if not self.stored:
            return "in memory"
        if self.waits is None:
            return "not counted"
        return "durable" if self.waits >= 0.9 else "relaxed"


def subjects_table(known: Iterable[Known]) -> str:
    """Each subject with its version and how often an append was seen to wait for the disk."""
    rows = [
        (
            each.name,
            each.version or each.missing.replace("|", "\\|"),
            "not counted" if each.waits is None else f"{each.waits:.2f}",
            each.durability,
        )
        for each in known
    ]
    return table(("subject", "version", "waits for the disk, a message", "so it is"), rows)


def tables(findings: Sequence[Finding], known: Sequence[Known]) -> str:
    """All findings: for each workload and group of durability one table."""
    parts = []
    for workload in dict.fromkeys(finding.workload for finding in findings):
        of_workload = [finding for finding in findings if finding.workload == workload]
        parts.append(f"### {workload}")
        for group in GROUPS:
            names = [each.name for each in known if each.durability == group]
            rows = [finding for finding in of_workload if finding.subject in names]
            if rows:
                rows += _to_one_writer(rows, BASELINES.get(group))
                parts.append(f"{group.capitalize()}:\n\n{_grouped(rows, names, BASELINES.get(group))}")
    return "\n\n".join(parts) + "\n"


def _to_one_writer(findings: Sequence[Finding], baseline: str | None) -> list[Finding]:
    """How many times the messages of one bare writer, who waits for each of its own, many writers get through."""
    many = re.compile(r"(\d+ writers): messages a second")
    one = [each.value for each in findings if (each.subject, each.what) == (baseline, ONE_WRITER)]
    if not one or not one[0]:
        return []
    return [
        Finding(each.workload, each.subject, f"{found[1]} to one bare writer", each.size, each.value / one[0], "times")
        for each in findings
        if each.value is not None and (found := many.fullmatch(each.what))
    ]


def _grouped(findings: list[Finding], names: list[str], baseline: str | None) -> str:
    columns = _columns([finding for finding in findings if finding.value is not None] or findings)
    by_place = {(finding.subject, finding.what, finding.size): finding for finding in findings}
    rows = []
    for name in names:
        own = [finding for finding in findings if finding.subject == name]
        if own:
            cells = [_cell(by_place.get((name, *column)), _beside(by_place, baseline, column)) for column in columns]
            rows.append((name, *cells, _notes(own)))
    heads = [f"{what}, {size:,}" if size > 4 else what for what, size in columns]
    return table(("", *heads, "notes"), rows)


def _beside(
    by_place: dict[tuple[str, str, int], Finding], baseline: str | None, column: tuple[str, int]
) -> Finding | None:
    """The bare side's figure of the same."""
    what, size = column
    return by_place.get((baseline or "", alike(what), size))


def alike(what: str) -> str:
    """The name of a figure as a subject has it that knows one way of reading a path, and never loads more than that."""
    return what.replace(", path only", "").removeprefix("path only: ")


def _columns(findings: list[Finding]) -> list[tuple[str, int]]:
    """What is shown, each at its sizes; sums and memory at the greatest one only, the rest is in the JSON."""
    columns = dict.fromkeys((finding.what, finding.size) for finding in findings)
    greatest = {what: max(size for other, size in columns if other == what) for what, _ in columns}
    return [(what, size) for what, size in columns if size == greatest[what] or not what.endswith(GREATEST_ONLY)]


def _notes(findings: list[Finding]) -> str:
    return "; ".join(
        dict.fromkeys(
            f"{finding.what}: {finding.note}" if finding.value is None else finding.note
            for finding in findings
            if finding.note
        )
    ).replace("|", "\\|")


def _cell(finding: Finding | None, baseline: Finding | None) -> str:
    if finding is None:
        return ""
    if finding.value is None:
        return finding.note.partition(":")[0].partition(" at ")[0]
    shown = f"{figure(finding.value)} {finding.unit}"
    if finding.unit in RATIOS and baseline is not None and baseline.value and baseline.subject != finding.subject:
        shown += f" ({figure(finding.value / baseline.value)})"
    return shown


def figure(value: float) -> str:
    """A number with three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
