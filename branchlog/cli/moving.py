"""The command that moves a store to a new one: ``migrate``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click
from rich.text import Text

import branchlog
from branchlog.cli.exporting import counting_bar
from branchlog.cli.finding import Refused
from branchlog.cli.options import Place, json_option
from branchlog.cli.output import is_terminal, note, one_line, several, write_json, write_lines
from branchlog.migration import Migration, migrate

DIFFERENCES_MAX = 20
"""Differences that are told before the rest is counted; --json has them all."""


@click.command("migrate", epilog="Example: branchlog migrate old.db new.db")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--namespace", metavar="NAME", help="Move the conversations of this namespace only.")
@json_option
@click.pass_context
def migrate_command(context: click.Context, source: str, target: str, namespace: str | None, as_json: bool) -> None:
    """Copy a store to a new one, at the present schema.

    SRC is opened for reading only. DST is made if it is not there. In the end both are folded and compared; where
    anything differs, the exit code is 1. A migration that was stopped goes on where it was when it is run again.

    With --json: an object with "source", "target" and "namespaces", each with what was copied and what differs.
    """
    if namespace is None:
        namespace = context.ensure_object(Place).namespace or None
    if same_file(source, target):
        raise Refused(f"{source!r} and {target!r} are the same store; DST is to be another one")
    with branchlog.open(source, create=False, read_only=True) as old:
        names = wanted(old, namespace)
        with branchlog.open(target) as new:
            moved = {name: moving(old.within(name), new.within(name)) for name in names}
    if as_json:
        write_json(report_json(source, target, moved))
    else:
        write_lines(telling(moved))
    if any(each.differences for each in moved.values()):
        context.exit(1)


def wanted(old: branchlog.Store, namespace: str | None) -> list[str]:
    """The namespaces to move: all that have a conversation, or the one that is named."""
    names = old.log.namespaces()
    if namespace is None:
        return names
    if namespace not in names:
        there = ", ".join(map(repr, names)) or "none"
        raise Refused(f"there is no conversation in namespace {namespace!r}; there are: {there}")
    return [namespace]


def same_file(source: str, target: str) -> bool:
    """Whether two addresses lead to one file."""
    one, other = (Path(re.sub("^sqlite:(//(?=/))?", "", address)) for address in (source, target))
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False  # one of them is not there, or is no path: opening it says so


def moving(old: branchlog.Store, new: branchlog.Store) -> Migration:
    """Move one namespace, with a bar on a terminal while it takes."""
    try:
        if not is_terminal(sys.stderr):
            return migrate(old, new)
        with counting_bar("copying") as (bar, task):

            def told(done: int, total: int) -> None:
                comparing = done >= total
                bar.update(
                    task,
                    completed=done,
                    total=None if comparing else total,
                    description="comparing" if comparing else "copying",
                )

            return migrate(old, new, progress=told)
    except (branchlog.AlreadyExists, branchlog.VersionConflict, branchlog.CommitIdReused) as error:
        raise Refused(f"{error}; give a DST of its own, such as one that is not there yet") from error


def telling(moved: dict[str, Migration]) -> Iterator[Text]:
    """The lines of the report."""
    if not moved:
        note("nothing to move: there is no conversation")
    for name, each in moved.items():
        head = Text().append(f"namespace {one_line(name)!r}: " if name else "", "cyan")
        yield head.append(in_words(each))
        for conversation, difference in each.differences[:DIFFERENCES_MAX]:
            yield Text(f"  differs: {one_line(conversation)}: {one_line(difference)}", style="red")
        if len(each.differences) > DIFFERENCES_MAX:
            yield Text(f"  {len(each.differences) - DIFFERENCES_MAX:,} more differences; --json has all", style="red")


def in_words(moved: Migration) -> str:
    """What a migration came to, on one line."""
    copied = f"{several(moved.copied_events, 'event')} in {several(moved.copied_commits, 'commit')} copied"
    lifted = f", {several(moved.taken_up, 'commit')} of earlier schemas" if moved.taken_up else ""
    same = several(len(moved.differences), "difference") if moved.differences else "both fold to the same trees"
    conversations = several(moved.conversations, "conversation")
    return f"{conversations}: {copied if moved.copied_commits else 'nothing new to copy'}{lifted}; {same}"


def report_json(source: str, target: str, moved: dict[str, Migration]) -> dict[str, Any]:
    """The report for JSON."""
    namespaces = []
    for name, each in moved.items():
        differences = [{"conversation": id, "difference": difference} for id, difference in each.differences]
        namespaces.append({"namespace": name, **attrs.asdict(each), "differences": differences})
    return {"source": source, "target": target, "namespaces": namespaces}
