"""The command that brings exported files in: ``import``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import click
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from branchlog import Store
from branchlog.cli.options import Place, json_option, place_options
from branchlog.cli.output import console, is_terminal, one_line, several, shortened, write_json, write_lines
from branchlog.exchange import FileReport, found_at, report_on
from branchlog.intake import Source

REASONS_MAX = 5
"""Repairs, and skipped conversations, that are told of one file before the rest is counted."""

NAME_WIDTH = 40
"""Columns of a file's name beside the bar."""


@click.command("import", epilog="Example: branchlog import conversations.json")
@place_options()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--strict", is_flag=True, help="Skip a conversation that would have to be repaired.")
@click.option("-v", "--verbose", is_flag=True, help="Tell all repairs, and all that was skipped or left out.")
@json_option
@click.pass_context
def import_command(context: click.Context, files: tuple[str, ...], strict: bool, verbose: bool, as_json: bool) -> None:
    """Bring in conversations from exported files, from folders of them, and from zip archives as they were downloaded.

    Each file's format is told by its content. What was read before is not read again: only what is new comes in.
    A file that cannot be read does not keep the others out; the exit code then is 1. With --strict it is 1 as well
    where anything was skipped.

    With --json: an array with a report on each file.
    """
    place = context.ensure_object(Place)
    reports: list[FileReport] = []
    with place.open(create=True) as store:
        for found in chain.from_iterable(map(found_at, files)):
            report = report_with_bar(store, found, strict=strict)
            reports.append(report)
            if not as_json:
                write_lines(telling(report, verbose=verbose))
    if as_json:
        write_json([report.to_json() for report in reports])
    elif len(reports) > 1:
        write_lines([Text(f"together: {counted(reports)}", style="bold")])
    if any(report.error is not None or (strict and report.skipped) for report in reports):
        context.exit(1)


def report_with_bar(store: Store, found: Source | FileReport, *, strict: bool) -> FileReport:
    """Bring one file in, with a bar on a terminal while it takes."""
    if isinstance(found, FileReport) or not is_terminal(sys.stderr):
        return report_on(store, found, strict=strict)
    with bar_of(found.name) as (bar, task):
        return report_on(
            store,
            found,
            strict=strict,
            progress=lambda done, total: bar.update(task, completed=done, total=max(total, 1)),
        )


@contextmanager
def bar_of(path: str) -> Iterator[tuple[Progress, TaskID]]:
    """A bar on standard error that goes away when it is done."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(error=True), transient=True) as bar:
        yield bar, bar.add_task(shortened(one_line(path), NAME_WIDTH), total=None)


def telling(report: FileReport, *, verbose: bool) -> Iterator[Text]:
    """The lines about one file; one that is left out is told of with ``verbose`` only."""
    if report.left_out is not None:
        if verbose:
            yield Text(f"{one_line(report.path)}: left out: {one_line(report.left_out)}", style="dim")
        return
    name = Text().append(one_line(report.path), "bold")
    if report.error is not None:
        yield name.append(f": not imported: {one_line(report.error)}", "red")
        return
    yield name.append(f": {one_line(report.format or 'nothing')}: {counted([report])}", "default")
    yield from reasons("repaired", [(repair.where, repair.what) for repair in report.repairs], verbose=verbose)
    yield from reasons("skipped", [(skipped.where, skipped.reason) for skipped in report.skipped], verbose=verbose)


def reasons(what: str, told: Sequence[tuple[str, str]], *, verbose: bool) -> Iterator[Text]:
    """The lines about what was repaired or skipped, the first few where they are many."""
    shown = told if verbose or len(told) <= REASONS_MAX + 1 else told[:REASONS_MAX]
    for where, reason in shown:
        yield Text(f"  {what} {one_line(where)}: {one_line(reason)}", style="yellow")
    if len(shown) < len(told):
        yield Text(f"  {what} {len(told) - len(shown):,} more; --verbose tells all", style="yellow")


def counted(reports: Sequence[FileReport]) -> str:
    """What became of the conversations, in numbers."""
    numbers = {
        "new": sum(report.added for report in reports),
        "grown": sum(report.grown for report in reports),
        "unchanged": sum(report.unchanged for report in reports),
        "skipped": sum(len(report.skipped) for report in reports),
    }
    told = [f"{number:,} {what}" for what, number in numbers.items() if number]
    for what, plural, number in (
        ("repair", "repairs", sum(len(report.repairs) for report in reports)),
        ("file not read", "files not read", sum(report.error is not None for report in reports)),
        ("other file left out", "other files left out", sum(report.left_out is not None for report in reports)),
    ):
        told += [several(number, what, plural)] if number else []
    total = sum(report.conversations for report in reports)
    nodes = sum(report.nodes for report in reports)
    aside = sum(report.kept_aside for report in reports)
    kept = f"; {aside:,} with their original content in metadata" if aside else ""
    became = ", ".join(told) or "nothing in it"
    return f"{several(total, 'conversation')} ({became}), {several(nodes, 'new node')}{kept}"
