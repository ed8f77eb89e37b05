"""What one run has found, as JSON and as markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.goals import goals
from benchmarks.growth import growth_text
from benchmarks.measure import Figure
from benchmarks.peers.comparison import Comparison
from benchmarks.peers.standing import behind_text
from benchmarks.peers.tables import figure, subjects_table, table, tables


@dataclass
class Report:
    """Written after each workload, so that a long run that is ended leaves what it has found."""

    surroundings: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    comparison: Comparison | None = None

    def write(self, as_json: Path | None, as_markdown: Path | None) -> None:
        if as_json:
            as_json.write_text(self.json() + "\n")
        if as_markdown:
            as_markdown.write_text(self.markdown() + "\n")

    def json(self) -> str:
        known = self.comparison.known if self.comparison else []
        found = {
            "surroundings": self.surroundings,
            "figures": [asdict(each) for each in self.figures],
            "goals": [asdict(each) for each in self._goals()],
            "subjects": [{**asdict(each), "durability": each.durability} for each in known],
            "findings": [asdict(each) for each in (self.comparison.findings if self.comparison else ())],
        }
        return json.dumps(found, indent=1, ensure_ascii=False)

    def _goals(self) -> list[Figure]:
        """Those of the workloads of branchlog alone, and those that the comparison shall come to."""
        own = [each for each in self.figures if each.verdict]
        return own + (goals(self.comparison.findings, self.comparison.known) if self.comparison else [])

    def markdown(self) -> str:
        parts = ["\n".join(f"- {name}: {value}" for name, value in self.surroundings.items())]
        if self._goals():
            parts += ["## Goals", figures_table(self._goals())]
        if self.figures:
            parts += ["## branchlog alone", figures_table(self.figures)]
        if self.comparison:
            parts += [comparison_text(self.comparison)]
        return "\n\n".join(parts)


def figures_table(found: Iterable[Figure]) -> str:
    rows = [(each.workload, each.what, f"{figure(each.value)} {each.unit}".strip(), each.verdict) for each in found]
    return table(("workload", "figure", "found", "goal"), rows)


def comparison_text(comparison: Comparison) -> str:
    """Who was there, all tables, where another library is ahead, and what grows."""
    return "\n\n".join(
        (
            "## Beside others",
            subjects_table(comparison.known),
            tables(comparison.findings, comparison.known).rstrip(),
            "## Where another library is ahead, like for like",
            behind_text(comparison.findings, comparison.known),
            "## Growth",
            growth_text(map(asdict, comparison.findings)),
        )
    )


def lines(found: Sequence[Figure]) -> str:
    """For the terminal: a line for each figure."""
    width = max((len(each.what) for each in found), default=0)
    return "\n".join(
        f"  {each.what:{width}}  {each.value:12,.2f} {each.unit:5}   {each.verdict}".rstrip() for each in found
    )
