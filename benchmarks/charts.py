"""Charts of what grows: each figure against its size, both axes logarithmic, from the JSON of ``benchmarks.peers``.

``python -m benchmarks.charts FINDINGS.json [FOLDER]`` prints the slope of each line, and with a folder draws a picture
of each figure. On such axes a straight line of slope 1 is a cost in proportion to the size, of slope 2 one that grows
with its square, and of slope 0 one that does not grow.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Point = tuple[int, float]
Lines = dict[str, list[Point]]


def charted(findings: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], Lines]:
    """For each workload, figure and unit the points of each subject that has at least two sizes."""
    lines: dict[tuple[str, str, str], Lines] = {}
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


def slopes_table(charts: dict[tuple[str, str, str], Lines]) -> str:
    """The slope of each line, as a markdown table."""
    rows = ["| workload | figure | subject | sizes | slope |", "|---|---|---|---|---|"]
    for (workload, what, _), lines in charts.items():
        for subject, points in lines.items():
            sizes = f"{points[0][0]:,} to {points[-1][0]:,}"
            rows.append(f"| {workload} | {what} | {subject} | {sizes} | {slope(points):.2f} |")
    return "\n".join(rows)


def draw(charts: dict[tuple[str, str, str], Lines], folder: Path) -> list[Path]:
    """One picture for each figure; needs matplotlib, of the extra ``benchmarks``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for (workload, what, unit), lines in charts.items():
        picture = Figure(figsize=(10, 6), layout="constrained")
        FigureCanvasAgg(picture)
        axes = picture.add_subplot(title=f"{workload}: {what}", xlabel="messages", ylabel=unit)
        for number, (subject, points) in enumerate(lines.items()):
            sizes, values = zip(*points, strict=True)
            dashes = ("-", "--", ":")[number // 10]
            axes.plot(sizes, values, dashes, marker=".", label=f"{subject}, slope {slope(points):.2f}")
        axes.set(xscale="log", yscale="log")
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
        paths.append(folder / f"{workload}-{what}.png".replace(" ", "-").replace(":", ""))
        picture.savefig(paths[-1])
    return paths


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.charts", description=__doc__)
    parser.add_argument("findings", type=Path, help="the JSON that python -m benchmarks.peers has written")
    parser.add_argument("folder", type=Path, nargs="?", help="where to put pictures")
    arguments = parser.parse_args(given)
    charts = charted(json.loads(arguments.findings.read_text())["findings"])
    print(slopes_table(charts))
    if arguments.folder is not None:
        for path in draw(charts, arguments.folder):
            print(path)


if __name__ == "__main__":
    main()
