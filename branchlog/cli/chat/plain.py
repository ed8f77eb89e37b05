"""The chat in a pipe: each line that comes in is a message or a command, and what comes of it is written plainly."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator

import click
from rich.text import Text

from branchlog.cli.chat.talk import Talk
from branchlog.cli.finding import Refused
from branchlog.cli.output import harmless, is_terminal, note, write_lines


class PlainScreen:
    """Standard output for what is said, standard error for what goes wrong."""

    def lines(self, lines: Iterable[Text]) -> None:
        """As ``Screen.lines``."""
        write_lines(lines)

    def piece(self, text: str) -> None:
        """As ``Screen.piece``."""
        click.echo(text, nl=False)

    def problem(self, text: str) -> None:
        """As ``Screen.problem``."""
        note(f"error: {text}")


def run_plain(talk: Talk) -> int:
    """Take what comes in, line by line, to its end; the exit code: 1 where anything went wrong.

    An interruption ends it, and keeps what had come of a reply.
    """
    with asyncio.Runner() as runner:
        try:
            for line in _lines():
                outcome = runner.run(talk.take(line))
                if outcome.pick:
                    write_lines(_drawn(talk))
                if outcome.leave:
                    break
                if talk.editing is not None:
                    click.echo(harmless(outcome.prefill))
        finally:
            runner.run(talk.close())
    return 1 if talk.failures else 0


def _lines() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise Refused(
                f"line {number} of standard input is not UTF-8: byte {error.start + 1} is none of it"
            ) from error


def _drawn(talk: Talk) -> Iterator[Text]:
    """The tree, where nobody can pick from it."""
    from branchlog.cli.drawing import Drawing, styled
    from branchlog.cli.output import width

    tree = talk.tree
    drawing = Drawing(tree=tree, now=talk.chat.tree, start=tree.root, cursor=talk.cursor)
    columns = width() if is_terminal() else None
    return (styled(line, columns) for line in drawing.lines())
