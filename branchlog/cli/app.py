"""The command line put together, and what becomes of errors.

Exit codes: 0 all is well; 1 refused, or not found; 2 used in a wrong way; 130 interrupted; 141 the reader of the pipe
went away.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of
from typing import Any, TextIO

import click
from click.shell_completion import get_completion_class

from branchlog.cli.asking import ask_command, rerun_command, unfinished_command
from branchlog.cli.chat.command import chat_command
from branchlog.cli.comparing import diff_command
from branchlog.cli.copying import copy_command, doctor_command
from branchlog.cli.demo import demo_command
from branchlog.cli.exporting import export_command
from branchlog.cli.finding import Refused
from branchlog.cli.importing import import_command
from branchlog.cli.judging import pick_command, prefer_command, rank_command
from branchlog.cli.keeping import snapshot_commands, verify_command
from branchlog.cli.moving import migrate_command
from branchlog.cli.options import Place, place_options
from branchlog.cli.output import note, one_line, write
from branchlog.cli.reading import list_command, log_command, path_command, show_command
from branchlog.cli.replaying import replay_command
from branchlog.cli.writing import (
    add_command,
    bookmark_command,
    cursor_command,
    delete_command,
    edit_command,
    fork_command,
    hide_command,
    label_command,
    move_command,
    new_command,
    next_command,
    previous_command,
    rate_command,
    redact_command,
    redo_command,
    restore_command,
    say_command,
    title_command,
    undo_command,
)
from branchlog.errors import BranchlogError, CursorNotFound, SnapshotIgnored

INTERRUPTED = 130
"""128 and SIGINT, as shells have it."""

PIPE_CLOSED = 141
"""128 and SIGPIPE, as other tools end when what reads their output goes away."""


class Commands(click.Group):
    """The group of all commands, in the order in which they were added; the one place where errors end."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of their adding."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn what goes wrong into a message and an exit code. ``Any`` is click's own."""
        _be_lenient()
        try:
            with _told_warnings():
                result = super().invoke(ctx)
            sys.stdout.flush()
        except BranchlogError as error:
            raise Refused(_way_out(error)) from error
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            note("interrupted")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                _drop_output()
                raise click.exceptions.Exit(PIPE_CLOSED) from None
            if os.environ.get("BRANCHLOG_DEBUG"):
                raise
            raise Refused(
                f"{type(error).__name__}: {error} (not foreseen: please report it, with the traceback that "
                "BRANCHLOG_DEBUG=1 shows)"
            ) from error
        else:
            return result


def _way_out(error: BranchlogError) -> str:
    """The message of an error, naming the command that helps where the error names a method."""
    if isinstance(error, CursorNotFound):
        cursors = ", ".join(map(repr, error.known)) or "none"
        return f"no cursor named {error.name!r}; there are: {cursors} ('branchlog cursor' makes another)"
    return str(error)


@contextmanager
def _told_warnings() -> Iterator[None]:
    """Let warnings about snapshots reach the person as lines on standard error."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def tell(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if isinstance(message, SnapshotIgnored):
                note(f"warning: {one_line(str(message))} (no harm done; 'branchlog snapshot drop' forgets snapshots)")
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = tell
        warnings.simplefilter("always", SnapshotIgnored)
        yield


def _be_lenient() -> None:
    """Let no character of a message stop the output where the terminal's encoding lacks it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Let what is still to be flushed at the end go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, io.UnsupportedOperation):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - stays open until the end


@click.group(
    "branchlog",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Try it: branchlog demo",
)
@place_options(environment=True)
@click.version_option(version_of("branchlog"), "--version", prog_name="branchlog", message="%(prog)s %(version)s")
@click.pass_context
def branchlog(context: click.Context) -> None:
    """Keep conversations that branch; nothing said is ever overwritten.

    CONVERSATION is an id, or the beginning of one; - is the one updated last. NODE is an expression: an id such as
    0.1.2, root, @ for the cursor, @~2 two up from it, 0.1^ the alternative after 0.1, a label, @{5} the cursor at
    version 5.
    """
    context.ensure_object(Place)


@click.command("version", epilog="Example: branchlog version")
def version_command() -> None:
    """Write the version."""
    write(f"branchlog {version_of('branchlog')}")


@click.command(
    "completion", epilog="Example: branchlog completion bash > ~/.local/share/bash-completion/completions/branchlog"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Write a completion script for a shell."""
    found = get_completion_class(shell)
    if found is None:
        raise Refused(f"no completion for {shell}")
    write(found(branchlog, {}, "branchlog", "_BRANCHLOG_COMPLETE").source())


for command in (
    import_command,
    export_command,
    list_command,
    show_command,
    path_command,
    log_command,
    replay_command,
    diff_command,
    new_command,
    say_command,
    add_command,
    edit_command,
    chat_command,
    ask_command,
    rerun_command,
    unfinished_command,
    move_command,
    undo_command,
    redo_command,
    next_command,
    previous_command,
    restore_command,
    fork_command,
    cursor_command,
    label_command,
    rate_command,
    prefer_command,
    pick_command,
    rank_command,
    bookmark_command,
    hide_command,
    title_command,
    redact_command,
    delete_command,
    verify_command,
    snapshot_commands,
    migrate_command,
    copy_command,
    doctor_command,
    demo_command,
    version_command,
    completion_command,
):
    for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        first, line_end, rest = (each.help or "").partition("\n")
        each.help = first.removesuffix(".") + line_end + rest  # docstrings end with a period, help does not
    branchlog.add_command(command)
