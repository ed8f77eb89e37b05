"""The commands between and about stores: ``copy`` and ``doctor``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import attrs
import click
from rich.text import Text

import branchlog
from branchlog.cli.finding import Refused
from branchlog.cli.importing import bar_of
from branchlog.cli.keeping import Verdict, all_ids, verified
from branchlog.cli.moving import DIFFERENCES_MAX, same_file
from branchlog.cli.options import Place, default_path, json_option
from branchlog.cli.output import is_terminal, note, one_line, several, write_json, write_lines
from branchlog.copying import Copy, copy
from branchlog.logs.base import Examination, Query


@click.command("copy", epilog="Example: branchlog copy chats.db copy.db")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--namespace", "namespaces", metavar="NAME", multiple=True, help="Copy this namespace only; repeatable.")
@json_option
@click.pass_context
def copy_command(context: click.Context, source: str, target: str, namespaces: tuple[str, ...], as_json: bool) -> None:
    """Copy a store to another one, of any backend, to the letter.

    SRC is opened for reading only. DST is made if it is not there. Ids, times, versions and the order of commits stay
    as they are. In the end both are folded and compared; where anything differs, the exit code is 1. A copying that
    was stopped goes on where it was when it is run again, and adds nothing twice. Snapshots are not copied.

    With --json: an object with "source", "target", what was copied and what differs.
    """
    named = namespaces or tuple(filter(None, [context.ensure_object(Place).namespace]))
    if same_file(source, target):
        raise Refused(f"{source!r} and {target!r} are the same store; DST is to be another one")
    with branchlog.open(source, create=False, read_only=True) as old:
        check_there(old, named)
        with branchlog.open(target) as new:
            copied = copying(old, new, named)
    if as_json:
        write_json(report_json(source, target, copied))
    else:
        write_lines(telling(copied))
    if copied.differences:
        context.exit(1)


def check_there(old: branchlog.Store, named: tuple[str, ...]) -> None:
    """Refuse a namespace without a conversation: it is most likely misspelt."""
    there = old.log.namespaces()
    for name in named:
        if name not in there:
            known = ", ".join(map(repr, there)) or "none"
            raise Refused(f"there is no conversation in namespace {name!r}; there are: {known}")


def copying(old: branchlog.Store, new: branchlog.Store, named: tuple[str, ...]) -> Copy:
    """Copy, with a bar on a terminal while it takes."""
    try:
        if not is_terminal(sys.stderr):
            return copy(old, new, namespaces=named or None)
        with bar_of("copying") as (bar, task):

            def told(done: int, total: int) -> None:
                over = done >= total
                words = "comparing" if over else "copying"
                bar.update(task, completed=done, total=None if over else total, description=words)

            return copy(old, new, namespaces=named or None, progress=told)
    except (branchlog.AlreadyExists, branchlog.VersionConflict, branchlog.CommitIdReused) as error:
        raise Refused(f"{error}; give a DST of its own, such as one that is not there yet") from error


def telling(copied: Copy) -> Iterator[Text]:
    """The lines of the report."""
    if not copied.namespaces:
        note("nothing to copy: there is no conversation")
        return
    new = f"{several(copied.copied_events, 'event')} in {several(copied.copied_commits, 'commit')} copied"
    same = several(len(copied.differences), "difference") if copied.differences else "both fold to the same trees"
    where = f" in {several(len(copied.namespaces), 'namespace')}" if copied.namespaces != ("",) else ""
    conversations = f"{several(copied.conversations, 'conversation')}{where}"
    yield Text(f"{conversations}: {new if copied.copied_commits else 'nothing new to copy'}; {same}")
    for namespace, conversation, difference in copied.differences[:DIFFERENCES_MAX]:
        which = f"{namespace}: {conversation}" if namespace else conversation
        yield Text(f"  differs: {one_line(which)}: {one_line(difference)}", style="red")
    if len(copied.differences) > DIFFERENCES_MAX:
        yield Text(f"  {len(copied.differences) - DIFFERENCES_MAX:,} more differences; --json has all", style="red")


def report_json(source: str, target: str, copied: Copy) -> dict[str, Any]:
    """The report for JSON."""
    differences = [
        {"namespace": namespace, "conversation": id, "difference": difference}
        for namespace, id, difference in copied.differences
    ]
    return {"source": source, "target": target, **attrs.asdict(copied), "differences": differences}


@attrs.frozen(kw_only=True)
class Findings:
    """What the doctor finds of a store. ``bad`` are conversations that are not well, where they were replayed."""

    examined: Examination
    abilities: dict[str, bool]
    conversations: dict[str, int]
    events: int
    verified: int = 0
    bad: tuple[tuple[str, Verdict], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.examined.problems and not self.bad


@click.command("doctor", epilog="Example: branchlog doctor chats.db --deep")
@click.argument("address", metavar="[ADDRESS]", required=False)
@click.option("--deep", is_flag=True, help="Replay and compare every conversation, too.")
@json_option
@click.pass_context
def doctor_command(context: click.Context, address: str | None, deep: bool, as_json: bool) -> None:
    """Say what a store is, what it can do, and what is wrong.

    The store at ADDRESS, or the one of --store, is opened for reading only. Where anything is wrong, the exit code
    is 1.

    With --json: an object with "kind", "place", "facts", "abilities", "namespaces", "events", "problems" and "bad".
    """
    where = address or context.ensure_object(Place).address or str(default_path())
    with branchlog.open(where, create=False, read_only=True) as store:
        found = examined(store, deep=deep)
    if as_json:
        write_json(findings_json(found, deep=deep))
    else:
        write_lines(findings_told(found, deep=deep))
    if not found.ok:
        context.exit(1)


def examined(store: branchlog.Store, *, deep: bool) -> Findings:
    """Examine a store, and where it is to be deep replay all of its conversations."""
    places = [store.within(name) for name in store.log.namespaces()]
    entries = {each.namespace: each.log.entries(Query()) for each in places}
    verdicts = [(each.namespace, verdict) for each in places if deep for verdict in verified(each, all_ids(each))]
    return Findings(
        examined=store.log.examine(),
        abilities=attrs.asdict(store.abilities),
        conversations={name: len(found) for name, found in entries.items()},
        events=sum(entry.version for found in entries.values() for entry in found),
        verified=len(verdicts),
        bad=tuple((namespace, verdict) for namespace, verdict in verdicts if verdict.problems),
    )


def findings_told(found: Findings, *, deep: bool) -> Iterator[Text]:
    """The lines of what was found."""
    yield Text(found.examined.kind, "cyan").append(f" at {one_line(found.examined.place)}")
    can = [name for name, can in found.abilities.items() if can]
    lacks = [f"not {name}" for name, can in found.abilities.items() if not can]
    yield Text(f"  abilities: {', '.join([*can, *lacks])}")
    for name, value in found.examined.facts.items():
        yield Text(f"  {one_line(name)}: {fact_told(value)}")
    count = several(sum(found.conversations.values()), "conversation")
    yield Text(f"  {count} in {several(len(found.conversations), 'namespace')}, {several(found.events, 'event')}")
    for problem in found.examined.problems:
        yield Text(f"  wrong: {one_line(problem)}", style="red")
    for namespace, verdict in found.bad:
        which = f"{namespace}: {verdict.id}" if namespace else verdict.id
        for problem in verdict.problems:
            yield Text(f"  not well: {one_line(which)}: {one_line(problem)}", style="red")
    if found.ok:
        looked = f"{several(found.verified, 'conversation')} replayed, all well" if deep else "nothing wrong was found"
        yield Text(f"  {looked}", style="green")


def findings_json(found: Findings, *, deep: bool) -> dict[str, Any]:
    """What was found, for JSON."""
    return {
        "kind": found.examined.kind,
        "place": found.examined.place,
        "ok": found.ok,
        "abilities": found.abilities,
        "facts": dict(found.examined.facts),
        "namespaces": [{"namespace": name, "conversations": count} for name, count in found.conversations.items()],
        "events": found.events,
        "problems": list(found.examined.problems),
        "verified": found.verified if deep else None,
        "bad": [{"namespace": namespace, **verdict.to_json()} for namespace, verdict in found.bad],
    }


def fact_told(value: float | str | bool) -> str:
    """A figure or a setting, as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else one_line(str(value)) or "none"
