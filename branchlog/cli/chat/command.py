"""The command that chats: ``chat``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import branchlog
from branchlog.cli.asking import run
from branchlog.cli.finding import Refused, conversation_id, existing
from branchlog.cli.options import LastCommand, Place, cursor_option, last_option, pass_place, place_options
from branchlog.cli.output import is_terminal
from branchlog.cli.responders import endpoints, responder_options, responders_of

if TYPE_CHECKING:
    from branchlog.explore import Responder

PAUSE_SECONDS = 0.03
"""Before each word of a script on a terminal, so that it comes as replies do."""


@click.command(
    "chat", cls=LastCommand, epilog="Example: branchlog chat --model llama3.2 --base-url http://localhost:11434/v1"
)
@place_options()
@click.argument("conversation", metavar="[CONVERSATION]", required=False)
@last_option
@responder_options
@click.option("--system", metavar="TEXT", help="Begin a new conversation with this system message.")
@click.option("--title", metavar="TEXT", help="Give a new conversation this title.")
@cursor_option
@pass_place
@click.pass_context
def chat_command(
    context: click.Context,
    place: Place,
    conversation: str | None,
    models: tuple[str, ...],
    base_url: str | None,
    temperatures: tuple[float, ...],
    script: Path | None,
    system: str | None,
    title: str | None,
    cursor: str,
) -> None:
    """Talk in the terminal, and go back, aside and on in the conversation.

    Without CONVERSATION a new one begins, with the first thing said; - is the one updated last. /help lists what else
    there is: alternatives, edits, the tree. Everything is saved at once. A cursor that is not there yet is made: with
    one of their own, several people go about one conversation without moving each other.

    In a pipe each line is a message or a command, and replies are written plainly; the exit code is 1 if any failed.
    """
    if conversation is not None and (system is not None or title is not None):
        raise click.UsageError("--system and --title are for a new conversation.")
    terminal = is_terminal(sys.stdin) and is_terminal()
    if terminal:
        check_extra()
    responders = responders_of(models, base_url, temperatures, script, pause_seconds=PAUSE_SECONDS if terminal else 0)

    def make(name: str) -> list[Responder]:
        return list(endpoints([name], base_url, temperatures))

    with opened(place, conversation, system, title) as (store, chat):
        if cursor not in chat.cursors:
            chat.new_cursor(cursor, "@")
            if chat.saved_version:
                store.save(chat)
        code = chatting(store, chat, responders, cursor, make, terminal=terminal)
    context.exit(code)


def check_extra() -> None:
    """Refuse where the extra is missing."""
    try:
        import prompt_toolkit  # noqa: F401 - whether it is there
    except ImportError as error:
        raise Refused("the chat needs prompt_toolkit on a terminal: pip install 'branchlog[chat]'") from error


@contextmanager
def opened(
    place: Place, conversation: str | None, system: str | None, title: str | None
) -> Iterator[tuple[branchlog.Store, branchlog.Conversation]]:
    """The store and the conversation: the one that is named, or a new one that is saved with what is said first."""
    if conversation is not None:
        with existing(place) as store:
            yield store, store.load(conversation_id(store, conversation))
    else:
        with place.open(create=True) as store:
            yield store, store.create(title=title, system=system)


def chatting(
    store: branchlog.Store,
    chat: branchlog.Conversation,
    responders: list[Responder],
    cursor: str,
    make: Callable[[str], list[Responder]],
    *,
    terminal: bool,
) -> int:
    """Chat, on a terminal or in a pipe; the exit code."""
    from branchlog.cli.chat.plain import PlainScreen, run_plain
    from branchlog.cli.chat.talk import Talk

    if not terminal:
        return run_plain(Talk(store, chat, PlainScreen(), responders, cursor=cursor, make=make))
    from branchlog.cli.chat.terminal import TerminalScreen, run_terminal

    run(run_terminal(Talk(store, chat, TerminalScreen(), responders, cursor=cursor, make=make)))
    return 0
