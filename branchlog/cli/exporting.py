"""The command that writes conversations into files of other formats: ``export``."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

import branchlog
from branchlog import archive
from branchlog.cli.finding import Refused, conversation_id, existing
from branchlog.cli.options import LAST, LastCommand, Place, at_option, last_option, pass_place, place_options
from branchlog.cli.output import console, harmless, is_terminal, note, one_line, several
from branchlog.exporting import (
    FORMATS,
    Exported,
    Output,
    export_all,
    export_folder,
    export_one,
    formats_of,
    written,
)
from branchlog.formats import detect

OUTPUT = "-"
"""Stands for standard output."""

SKIPPED_MAX = 20
"""Conversations that could not be written which are told before the rest is counted."""


@attrs.frozen(kw_only=True)
class Wish:
    """What to write of which conversations, and where to."""

    format: str
    ids: tuple[str, ...] | None
    target: str
    options: Callable[[Any], dict[str, Any]] | None
    force: bool

    @property
    def is_one(self) -> bool:
        """Whether it is one conversation by itself."""
        return self.ids is not None and len(self.ids) == 1

    @property
    def is_folder(self) -> bool:
        """Whether the target is a folder, there already or by its name."""
        return self.target != OUTPUT and (self.target.endswith("/") or Path(self.target).is_dir())


@click.command("export", cls=LastCommand, epilog="Example: branchlog export 0193 --to markdown -o trip.md")
@place_options()
@click.argument("conversations", metavar="[CONVERSATION...]", nargs=-1)
@click.option("--to", "format", metavar="FORMAT", help=f"Write this format: {', '.join(FORMATS)}.")
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    default=OUTPUT,
    help="Write to this file, or into this folder a file for each; - is standard output.",
)
@click.option("--all", "everything", is_flag=True, help="Export all conversations of the namespace.")
@last_option
@click.option("--node", metavar="NODE", help="Export the path to NODE only.")
@click.option("--path", "path_only", is_flag=True, help="Export the path to the cursor only.")
@at_option
@click.option("--force", is_flag=True, help="Replace files that are there.")
@pass_place
def export_command(
    place: Place,
    conversations: tuple[str, ...],
    format: str | None,
    target: str,
    everything: bool,
    node: str | None,
    path_only: bool,
    moment: int | datetime | None,
    force: bool,
) -> None:
    """Write conversations in a format of other programs, or for people to read.

    Without CONVERSATION the one updated last. One conversation is written as it is; several become one file where the
    format can hold them, or a file each in a folder. --at with --path is the path to where the cursor was then.
    Without --to the end of the file's name tells the format, where only one has it.
    """
    if everything and conversations:
        raise click.UsageError("name conversations or say --all, not both.")
    if moment is not None and not path_only:
        raise click.UsageError("--at is for --path: it says when the cursor was there.")
    if node is not None and path_only:
        raise click.UsageError("--node and --path are two ways to say which path; take one.")
    chosen = format_for(format, target)
    options = path_options(chosen, node, path_only, moment)
    with existing(place) as store:
        names = conversations or (LAST,)
        ids = None if everything else tuple(dict.fromkeys(conversation_id(store, name) for name in names))
        if node is not None and (ids is None or len(ids) > 1):
            raise click.UsageError("--node is a node of one conversation; name one.")
        wish = Wish(format=chosen, ids=ids, target=target, options=options, force=force)
        with refusing(target):
            tell(carry_out(store, wish), target)


def format_for(format: str | None, target: str) -> str:
    """The format that is named, or told by the end of the file's name."""
    if format is not None:
        if format not in FORMATS:
            raise click.UsageError(f"no format {format!r} can be written; there are: {', '.join(FORMATS)}.")
        return format
    found = () if target == OUTPUT else formats_of(target)
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.UsageError(f"say which format with --to; there are: {', '.join(FORMATS)}.")
    raise click.UsageError(f"several formats have files of this name; say which with --to: {', '.join(found)}.")


def path_options(
    format: str, node: str | None, path_only: bool, moment: int | datetime | None
) -> Callable[[Any], dict[str, Any]] | None:
    """What the writer is to be told of a conversation: the node to which its path goes; None for the whole tree."""
    if node is None and not path_only:
        return None
    able = [writer.FORMAT for writer in detect.WRITERS if writer.PATHS]
    if format not in able:
        raise click.UsageError(f"{format} has no place for a path alone; these have: {', '.join(able)}.")

    def options(chat: branchlog.Conversation) -> dict[str, Any]:
        if node is not None:
            return {"node": chat.node(node)}
        cursor = chat.cursor if moment is None else chat.at(moment).cursor
        return {"node": chat.tree.nodes[cursor.index]}

    return options


def carry_out(store: branchlog.Store, wish: Wish) -> Exported:
    """Write it, with a bar on a terminal where it is more than one conversation."""
    if wish.is_folder and wish.format != archive.FORMAT:
        with bar(wish) as progress:
            return export_folder(
                store,
                wish.format,
                wish.target,
                ids=wish.ids,
                progress=progress,
                options=wish.options,
                replace=wish.force,
            )
    check_joined(wish)
    if wish.target == OUTPUT:
        return write_to(store, wish, standard_output())
    with written(wish.target, replace=wish.force) as file:
        return write_to(store, wish, file)


def check_joined(wish: Wish) -> None:
    """Refuse several conversations in one file where the format does not hold several, and an archive in a folder."""
    if wish.format == archive.FORMAT:
        if wish.is_folder:
            raise Refused(f"an archive is one file; name it, such as -o {Path(wish.target) / 'archive.jsonl'}")
    elif not wish.is_one and detect.writer_of(wish.format).JOIN == "alone":
        folder = "chats" if wish.target == OUTPUT else wish.target
        raise Refused(f"a file of {wish.format} holds one conversation; name a folder, such as -o {folder}/")


def write_to(store: branchlog.Store, wish: Wish, file: Output) -> Exported:
    """Write it to a file that takes bytes."""
    if wish.ids is not None and len(wish.ids) == 1:
        export_one(store, wish.format, file, wish.ids[0], options=wish.options)
        return Exported(1)
    with bar(wish) as progress:
        return export_all(store, wish.format, file, ids=wish.ids, progress=progress, options=wish.options)


@contextmanager
def bar(wish: Wish) -> Iterator[Callable[[int, int], None] | None]:
    """What to tell the progress to: a bar on standard error if that is a terminal and standard output is none."""
    if wish.is_one or not is_terminal(sys.stderr) or (wish.target == OUTPUT and is_terminal()):
        yield None
        return
    with counting_bar("exporting") as (shown, task):

        def told(done: int, total: int) -> None:
            shown.update(task, completed=done, total=max(total, 1))

        yield told


@contextmanager
def counting_bar(what: str) -> Iterator[tuple[Progress, TaskID]]:
    """A bar on standard error that counts things and goes away when it is done."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(error=True), transient=True) as shown:
        yield shown, shown.add_task(what, total=None)


class Screen:
    """A terminal, on which nothing that others wrote may act."""

    def write(self, data: bytes, /) -> None:
        """Write whole characters."""
        click.echo(harmless(data.decode()), nl=False)


class Pipe:
    """A file or a pipe, which may be unbuffered and then takes a part at a time."""

    def write(self, data: bytes, /) -> None:
        """Write all of it. Raises ``OSError``."""
        rest = memoryview(data)
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]


def standard_output() -> Output:
    """Standard output, as it is in a pipe, made harmless on a terminal."""
    return Screen() if is_terminal() else Pipe()


@contextmanager
def refusing(target: str) -> Iterator[None]:
    """Turn what goes wrong with the file into a refusal; a closed pipe is not our matter."""
    try:
        yield
    except branchlog.AlreadyExists as error:
        raise Refused(f"{error}; --force replaces it") from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise Refused(f"{target!r} cannot be written: {error}") from error


def tell(exported: Exported, target: str) -> None:
    """Say what was written where, and fail where something was not."""
    if target != OUTPUT:
        note(f"{several(exported.conversations, 'conversation')} written to {one_line(target)}")
    for skipped in exported.skipped[:SKIPPED_MAX]:
        note(f"not exported: {one_line(skipped.where)}: {one_line(skipped.reason)}")
    if len(exported.skipped) > SKIPPED_MAX:
        note(f"not exported: {len(exported.skipped) - SKIPPED_MAX:,} more")
    if exported.skipped:
        click.get_current_context().exit(1)
