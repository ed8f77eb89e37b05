"""How each figure grows with its size, and whether any grows faster than what it answers.

The exponent of a figure is the slope of its line where both axes are logarithmic: 1 is a cost in proportion to the
size, 2 one that grows with its square, 0 one that does not grow. An output grows too: a path of all messages with the
exponent 1, a page of a list with 0. What counts is the one less the other; more than 0.1 is worse than linear in the
output. Costs that are always there, such as opening the file, hide growth at small sizes, so the two greatest sizes are
looked at by themselves as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[int, float]
Key = tuple[str, str, str]
Lines = dict[str, list[Point]]

ALLOWANCE = 0.1
"""As much more may be noise: a tenth of the exponent is a quarter of the cost over a decade of sizes."""

ONE_MESSAGE = (0, "one message")
PATH = (1, "the messages of the path")
PATH_OF_100 = (0, "a path of 100 messages")
PAGE = (0, "one page of the list")

OUTPUTS: dict[tuple[str, str], tuple[int, str]] = {
    ("append", "time at length"): ONE_MESSAGE,
    ("append", "processor at length"): ONE_MESSAGE,
    ("append", "written at length"): ONE_MESSAGE,
    ("append", "time in all"): (1, "the messages appended"),
    ("append", "written in all"): (1, "the messages appended"),
    ("open", "linear"): PATH,
    ("open", "linear, path only"): PATH,
    ("open", "bushy"): PATH_OF_100,
    ("open", "bushy, path only"): PATH_OF_100,
    ("open", "imported"): PATH_OF_100,
    ("open", "imported, path only"): PATH_OF_100,
    ("path at a past moment", "path at a past moment"): PATH,
    ("switch and read the path", "switch and read the path"): PATH,
    ("switch and read the path", "switch alone"): (0, "one move"),
    ("alternative", "alternative"): ONE_MESSAGE,
    ("alternative", "alternative: written"): ONE_MESSAGE,
    ("alternative", "message at the end"): ONE_MESSAGE,
    ("alternative", "message at the end: written"): ONE_MESSAGE,
    ("list", "newest"): PAGE,
    ("list", "by metadata"): PAGE,
    ("list", "count by metadata"): (1, "the conversations counted"),
    ("memory", "peak memory"): PATH,
    ("memory", "path only: peak memory"): PATH,
    ("memory", "on disk"): (1, "the messages stored"),
}
"""For each figure the exponent of what it answers, and what that is. A figure a message has the output of one."""


KEPT = {"open": "the nodes of the tree", "list": "the conversations kept"}
"""What n counts, where that is not the messages of one line."""


def output_of(workload: str, what: str) -> tuple[int, str] | None:
    """The exponent of a figure's output, and its name; None for what is not measured against a size."""
    if what.endswith("memory a message"):
        return ONE_MESSAGE
    words = " ".join(word for word in what.split() if not word.isdecimal())
    return OUTPUTS.get((workload, words))


def charted(findings: Iterable[dict[str, Any]]) -> dict[Key, Lines]:
    """For each workload, figure and unit the points of each subject that has at least two sizes."""
    lines: dict[Key, Lines] = {}
    for finding in findings:
        if finding["value"] is not None and finding["value"] > 0 and finding["size"] > 0:
            key = (finding["workload"], finding["what"], finding["unit"])
            lines.setdefault(key, {}).setdefault(finding["subject"], []).append((finding["size"], finding["value"]))
    several = {
        key: {subject: sorted(points) for subject, points in of_subject.items() if len({n for n, _ in points}) > 1}
        for key, of_subject in lines.items()
    }
    return {key: of_subject for key, of_subject in several.items() if of_subject}


def slope(points: Sequence[Point]) -> float:
    """The exponent that fits best, in the sense of least squares of the logarithms."""
    xs = [math.log(size) for size, _ in points]
    ys = [math.log(value) for _, value in points]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread


@dataclass(frozen=True)
class Growth:
    """How one figure of one subject grows."""

    workload: str
    what: str
    subject: str
    points: tuple[Point, ...]
    output: int
    """The exponent of what it answers."""

    answered: str

    @property
    def exponent(self) -> float:
        return slope(self.points)

    @property
    def last_exponent(self) -> float:
        """Between the two greatest sizes."""
        return slope(self.points[-2:])

    @property
    def excess(self) -> float:
        """How much faster it grows than its output, by whichever exponent is the greater."""
        return max(self.exponent, self.last_exponent) - self.output

    @property
    def worse_than_linear(self) -> bool:
        return self.excess > ALLOWANCE

    @property
    def verdict(self) -> str:
        """What it is linear in, or by how much it is not."""
        if not self.worse_than_linear:
            return f"linear in {self.answered}" if self.output else f"does not grow: {self.answered}"
        found = self.excess + self.output
        kept = KEPT.get(self.workload, "the messages kept")
        linear = f"no worse than linear in {kept}" if found <= 1 + ALLOWANCE else f"worse than linear in {kept}"
        return f"grows with n^{found:.2f}, and {self.answered} with n^{self.output}: {linear}"


def growths(findings: Iterable[dict[str, Any]]) -> Iterator[Growth]:
    """Of each figure that has an output and sizes, for each subject."""
    for (workload, what, _), lines in charted(findings).items():
        output = output_of(workload, what)
        if output is not None:
            for subject, points in lines.items():
                yield Growth(workload, what, subject, tuple(points), *output)


def growth_table(found: Iterable[Growth]) -> str:
    """One row for each figure of each subject."""
    rows = [
        "| workload | figure | subject | sizes | exponent | between the last two | the output is | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in found:
        sizes = f"{each.points[0][0]:,} to {each.points[-1][0]:,}"
        rows.append(
            f"| {each.workload} | {each.what} | {each.subject} | {sizes} | {each.exponent:.2f} | "
            f"{each.last_exponent:.2f} | {each.answered} (n^{each.output}) | {each.verdict} |"
        )
    return "\n".join(rows)


def growth_text(findings: Iterable[dict[str, Any]]) -> str:
    """branchlog's table, with what is worse than linear in its own output told first."""
    own = [each for each in growths(findings) if is_own(each.subject)]
    if not own:
        return "Nothing was measured at two sizes."
    worse = [each for each in own if each.worse_than_linear]
    told = "\n".join(f"- {each.workload}, {each.what}, {each.subject}: {each.verdict}." for each in worse)
    heading = "Worse than linear in its own output:" if worse else "Nothing is worse than linear in its own output."
    return "\n\n".join(part for part in (heading, told, growth_table(own)) if part)


def is_own(subject: str) -> bool:
    """Whether this is one of branchlog's own ways."""
    return subject.partition(",")[0] == "branchlog"
