"""Charts of what grows: each figure against its size, both axes logarithmic, from the JSON of ``python -m benchmarks``.

``python -m benchmarks.charts FINDINGS.json [FOLDER]`` prints how each figure grows, beside what it answers, and with a
folder writes ``growth.md`` and one picture of all figures, ``growth.png``, there. ``--all`` tells of every subject and
not of branchlog's alone; ``--check`` ends with 1 if a figure of branchlog is worse than linear in its own output.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.growth import Key, Lines, charted, growth_table, growth_text, growths, is_own, output_of

COLUMNS = 4
"""Figures in one row of the picture."""

NOT_DRAWN = ("in all", "memory a message")
"""Ends of the names of figures that the table alone shows: their pictures say what others say."""

COLOURS_OF_THE_PICTURE = 96
"""Enough for the lines, and it halves the file."""

LINE_STYLES = {"durable": "-", "relaxed": "--", "in memory": ":", "not counted": "-."}
REDDISH = (2, 3, 6, 7)
"""Places in matplotlib's twenty colours that are kept for branchlog's own."""

OWN_COLOURS = ("#c1121f", "#e36414", "#7a0b14", "#9a4a10", "#e05780")


def draw(charts: dict[Key, Lines], durabilities: dict[str, str], path: Path) -> None:
    """One picture with a panel for each figure; needs matplotlib, of the extra ``benchmarks``."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    subjects = list(dict.fromkeys(subject for lines in charts.values() for subject in lines))
    others = [subject for subject in subjects if not is_own(subject)]
    colours: dict[str, Any] = dict(zip(filter(is_own, subjects), OWN_COLOURS, strict=False))
    palette = [colour for number, colour in enumerate(colormaps["tab20"].colors) if number not in REDDISH]
    colours.update({subject: palette[number % len(palette)] for number, subject in enumerate(others)})
    rows = -(-len(charts) // COLUMNS)
    picture = Figure(figsize=(4 * COLUMNS, 3 * rows + 1.5), layout="constrained")
    FigureCanvasAgg(picture)
    panels = picture.subplots(rows, COLUMNS, squeeze=False).flat
    for panel, ((workload, what, unit), lines) in zip(panels, charts.items(), strict=False):
        panel.set_title(what if what.startswith(workload) else f"{workload}: {what}", fontsize="medium")
        panel.set(xscale="log", yscale="log", ylabel=unit)
        for subject, points in lines.items():
            sizes, values = zip(*points, strict=True)
            style = LINE_STYLES[durabilities.get(subject, "not counted")]
            width = 2 if is_own(subject) else 1
            panel.plot(sizes, values, style, color=colours[subject], marker=".", linewidth=width, label=subject)
    for panel in list(picture.axes)[len(charts) :]:
        panel.set_axis_off()
    handles = {
        label: handle
        for panel in picture.axes
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    picture.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=COLUMNS, fontsize="medium")
    _save(picture, path)


def _save(picture: Any, path: Path) -> None:
    from PIL import Image

    drawn = io.BytesIO()
    picture.savefig(drawn, dpi=60)
    Image.open(drawn).convert("RGB").quantize(COLOURS_OF_THE_PICTURE).save(path, optimize=True)


def main(given: list[str] | None = None) -> None:
    arguments = _arguments(given)
    report = json.loads(arguments.findings.read_text())
    findings = report["findings"]
    text = growth_table(growths(findings)) if arguments.all else growth_text(findings)
    print(text)
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        around = "\n".join(f"- {name}: {value}" for name, value in report["surroundings"].items())
        (arguments.folder / "growth.md").write_text(f"{around}\n\n{text}\n")
        charts = {key: lines for key, lines in charted(findings).items() if _is_drawn(*key)}
        durabilities = {subject["name"]: subject["durability"] for subject in report["subjects"]}
        draw(charts, durabilities, arguments.folder / "growth.png")
    if arguments.check and any(each.worse_than_linear for each in growths(findings) if is_own(each.subject)):
        sys.exit(1)


def _is_drawn(workload: str, what: str, _unit: str) -> bool:
    return output_of(workload, what) is not None and not what.endswith(NOT_DRAWN)


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.charts", description=__doc__)
    parser.add_argument("findings", type=Path, help="the JSON that python -m benchmarks has written")
    parser.add_argument("folder", type=Path, nargs="?", help="where to put the table and the picture")
    parser.add_argument("--all", action="store_true", help="every subject, not branchlog alone")
    parser.add_argument("--check", action="store_true", help="end with 1 if a figure is worse than linear")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
