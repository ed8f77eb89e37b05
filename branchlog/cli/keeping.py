"""The commands that look after a store: ``verify`` and ``snapshot``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import click
from rich.text import Text

import branchlog
from branchlog.cli.finding import conversation_id, existing
from branchlog.cli.importing import bar_of
from branchlog.cli.options import LAST, Place, json_option, pass_place, place_options
from branchlog.cli.output import is_terminal, note, one_line, several, write, write_json, write_lines
from branchlog.cli.writing import on_conversation

PAGE = 500
"""Conversations that are listed at a time."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What came of verifying one conversation: what was found, or the error that stopped it."""

    id: str
    found: branchlog.Verification | None = None
    error: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong; nothing where all is well."""
        if self.error is not None or self.found is None:
            return (self.error or "",)
        return self.found.differences

    def to_json(self) -> dict[str, Any]:
        """The verdict as a plain dict."""
        found = {} if self.found is None else attrs.asdict(self.found)
        return {"id": self.id, "ok": not self.problems, **found, "error": self.error}


def verdict(store: branchlog.Store, id: str) -> Verdict:
    """Verify one conversation."""
    try:
        return Verdict(id=id, found=store.verify(id))
    except (branchlog.CorruptLog, branchlog.SchemaVersionError) as error:
        return Verdict(id=id, error=str(error))


@click.command("verify", epilog="Example: branchlog verify --all")
@place_options()
@click.argument("names", metavar="[CONVERSATION...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Verify all conversations, and name those that are not well.")
@json_option
@pass_place
@click.pass_context
def verify_command(
    context: click.Context, place: Place, names: tuple[str, ...], everything: bool, as_json: bool
) -> None:
    """Replay conversations from the log and compare.

    With what is opened by way of snapshots, and with the catalog; on the way every checksum is looked at. Without
    CONVERSATION, or with -, the one updated last. Where anything differs or is damaged, the exit code is 1.

    With --json: an array with an object for each conversation.
    """
    if everything and names:
        raise click.UsageError("Give either conversations or --all.")
    with existing(place) as store:
        ids = all_ids(store) if everything else [conversation_id(store, name) for name in names or (LAST,)]
        verdicts = list(verified(store, ids))
    bad = [each for each in verdicts if each.problems]
    if as_json:
        write_json([each.to_json() for each in verdicts])
    else:
        write_lines(line for each in (bad if everything else verdicts) for line in telling(each))
        if len(verdicts) != 1:
            write(f"{len(verdicts):,} verified: {f'{len(bad):,} not well' if bad else 'all well'}")
    if bad:
        context.exit(1)


def all_ids(store: branchlog.Store) -> list[str]:
    """The ids of all conversations."""
    page = store.list(order="id", limit=PAGE)
    ids = [summary.id for summary in page]
    while page.next is not None:
        page = store.list(order="id", limit=PAGE, after=page.next)
        ids += [summary.id for summary in page]
    return ids


def verified(store: branchlog.Store, ids: Sequence[str]) -> Iterator[Verdict]:
    """Verify one after the other, with a bar on a terminal where they are several."""
    if len(ids) == 1 or not is_terminal(sys.stderr):
        yield from (verdict(store, id) for id in ids)
        return
    with bar_of("verifying") as (bar, task):
        for done, id in enumerate(ids, 1):
            yield verdict(store, id)
            bar.update(task, completed=done, total=len(ids))


def telling(each: Verdict) -> Iterator[Text]:
    """The lines about one conversation."""
    line = Text().append(one_line(each.id), "cyan")
    if each.problems or each.found is None:
        yield from (line.copy().append(f"  {one_line(problem)}", "red") for problem in each.problems)
        return
    found = each.found
    snapshots = f", snapshots up to version {found.snapshot_version}" if found.snapshot_version else ""
    counts = f"{several(found.version, 'event')}, {several(found.nodes, 'node')}"
    yield line.append(f"  well: {counts}{snapshots}", "green")


@click.group("snapshot", no_args_is_help=True, epilog="Example: branchlog snapshot list 0193")
def snapshot_commands() -> None:
    """Take, drop, list or verify snapshots.

    Snapshots make opening long conversations fast. Saving takes them by itself, and nothing is lost with them.
    """


@on_conversation("take", example="snapshot take 0193")
def take_command(place: Place, conversation: str) -> None:
    """Take a snapshot now."""
    with existing(place) as store:
        version = store.snapshot(conversation_id(store, conversation))
    write(f"snapshots reach version {version:,}")


@on_conversation("drop", example="snapshot drop 0193")
def drop_command(place: Place, conversation: str) -> None:
    """Forget the snapshots of a conversation.

    Nothing is lost: they are a cache.
    """
    with existing(place) as store:
        count = store.drop_snapshots(conversation_id(store, conversation))
    write(f"{several(count, 'snapshot')} dropped")


@on_conversation("list", example="snapshot list 0193")
@json_option
def list_command(place: Place, conversation: str, as_json: bool) -> None:
    """List the snapshots of a conversation.

    With --json: an array of objects with "after", "version", "size_bytes" and "usable".
    """
    with existing(place) as store:
        found = store.snapshots(conversation_id(store, conversation))
    if as_json:
        write_json([attrs.asdict(each) for each in found])
        return
    write_lines(listing(found))
    if not found:
        note("no snapshots; opening reads the log")


def listing(found: Sequence[branchlog.SnapshotInfo]) -> Iterator[Text]:
    """The lines of a list of snapshots."""
    if found:
        yield Text(f"{'AFTER':>8}  {'VERSION':>8}  {'BYTES':>10}  USABLE", style="dim")
    for each in found:
        usable = Text("yes", "green") if each.usable else Text("no", "red")
        yield Text(f"{each.after:>8}  {each.version:>8}  {each.size_bytes:>10}  ") + usable


@on_conversation("verify", example="snapshot verify 0193")
@click.pass_context
def verify_snapshots_command(context: click.Context, place: Place, conversation: str) -> None:
    """Compare what snapshots give with a replay of the log.

    Where it differs, the exit code is 1. A snapshot that is damaged or of another branchlog is not used, which is
    told, and does no harm.
    """
    with existing(place) as store:
        found = verdict(store, conversation_id(store, conversation))
    write_lines(telling(found))
    if found.problems:
        context.exit(1)


for command in (take_command, drop_command, list_command, verify_snapshots_command):
    snapshot_commands.add_command(command)
