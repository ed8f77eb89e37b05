"""The commands that write: what is said, where the cursor stands, what is said about it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click
from rich.text import Text

import branchlog
from branchlog.cli.drawing import node_notes, role_and_gist, short_name
from branchlog.cli.finding import Refused, conversation_id, editing, existing
from branchlog.cli.options import (
    LastCommand,
    MomentType,
    Place,
    conversation_argument,
    cursor_option,
    last_option,
    pass_place,
    place_options,
)
from branchlog.cli.output import note, one_line, several, shortened, width, write, write_lines
from branchlog.cli.reading import metadata_of

F = TypeVar("F", bound=Callable[..., Any])

STDIN = "-"
"""As a text: what comes in on standard input."""


def on_conversation(name: str, *, example: str) -> Callable[[F], click.Command]:
    """Make a command on a conversation that is named or is the last."""

    def decorate(function: F) -> click.Command:
        decorated = place_options()(last_option(conversation_argument(pass_place(function))))
        return click.command(name, cls=LastCommand, epilog=f"Example: branchlog {example}")(decorated)

    return decorate


node_argument = click.argument("node", metavar="NODE")
optional_node = click.argument("node", metavar="[NODE]", required=False, default="@")
text_argument = click.argument("text", metavar="[TEXT]", required=False)
role_option = click.option("--role", default="user", help="Say it as this role; default user.")
remove_option = click.option("--remove", is_flag=True, help="Take it away again.")


def words(text: str | None) -> str:
    """The text of a message: the argument, or what comes in on standard input without its last line end."""
    if text is not None and text != STDIN:
        return text
    if text is None and sys.stdin.isatty():
        raise click.UsageError("Give the text as an argument, or - and write it to standard input.")
    try:
        read = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise Refused(f"standard input is not UTF-8: byte {error.start + 1} is none of it") from error
    if text is None and not read.strip():
        raise Refused("there is nothing to say: standard input is empty; give the text as an argument")
    return read.removesuffix("\n").removesuffix("\r")


def tell(node: branchlog.Node, cursor: str | None = None) -> None:
    """Write which node it was: an expression for it, what is to be said of it, and the beginning of its text."""
    notes = node_notes(node, [] if cursor is None else [cursor], node.position.of)
    line = Text().append(short_name(node), "cyan")
    line.append(f" ({', '.join(map(one_line, notes))})" if notes else "", "yellow")
    role, text = role_and_gist(node)
    if role:
        line.append(f"  {one_line(role)}: ", "magenta")
        line.append(shortened(text, max(width() - len(line.plain), 20)), "default")
    write_lines([line])


@click.command("new", epilog="Example: branchlog new 'A walk' --system 'You plan walks.'")
@place_options()
@click.argument("title", metavar="[TITLE]", required=False)
@click.option("--system", metavar="TEXT", help="Begin with this system message.")
@click.option("--id", metavar="ID", help="Use this id instead of a new one.")
@click.option("--metadata", "pairs", metavar="KEY=VALUE", multiple=True, help="Say this about the conversation.")
@pass_place
def new_command(place: Place, title: str | None, system: str | None, id: str | None, pairs: tuple[str, ...]) -> None:
    """Begin a conversation and write its id."""
    with place.open(create=True) as store:
        chat = store.create(id, title=title, system=system, metadata=metadata_of(pairs))
        store.save(chat)
    write(one_line(chat.id))


@on_conversation("say", example="say 0193 'Where shall we walk?'")
@text_argument
@role_option
@click.option("--under", metavar="NODE", help="Say it beneath this node instead of the cursor.")
@cursor_option
def say_command(place: Place, conversation: str, text: str | None, role: str, under: str | None, cursor: str) -> None:
    """Add a message and put the cursor on it.

    TEXT is read from standard input where it is - or missing.
    """
    with editing(place, conversation) as chat:
        node = chat.say(role, words(text), under=under, cursor=cursor)
    tell(node, cursor)


@on_conversation("add", example="add 0193 'Over the hill.' --role assistant --under 0")
@text_argument
@role_option
@click.option("--under", metavar="NODE", default="@", help="Add it beneath this node; default where the cursor is.")
def add_command(place: Place, conversation: str, text: str | None, role: str, under: str) -> None:
    """Add a message; the cursor stays.

    TEXT is read from standard input where it is - or missing.
    """
    with editing(place, conversation) as chat:
        node = chat.add(role, words(text), under=under)
    tell(node)


@on_conversation("edit", example="edit 0193 0.1 'Over the hill, slowly.'")
@node_argument
@text_argument
@cursor_option
def edit_command(place: Place, conversation: str, node: str, text: str | None, cursor: str) -> None:
    """Say NODE otherwise, as an alternative.

    The node stays as it is; the new one is added beside it, with the cursor on it. TEXT is read from standard input
    where it is - or missing.
    """
    with editing(place, conversation) as chat:
        edited = chat.edit(node, words(text), cursor=cursor)
    tell(edited, cursor)


@on_conversation("move", example="move 0193 @~2")
@node_argument
@cursor_option
def move_command(place: Place, conversation: str, node: str, cursor: str) -> None:
    """Put the cursor on NODE."""
    with editing(place, conversation) as chat:
        here = chat.move(node, cursor=cursor)
    tell(here, cursor)


@on_conversation("undo", example="undo 0193")
@cursor_option
def undo_command(place: Place, conversation: str, cursor: str) -> None:
    """Take the cursor's last move back.

    Messages stay.
    """
    with editing(place, conversation) as chat:
        here = chat.undo(cursor=cursor)
    tell(here, cursor)


@on_conversation("redo", example="redo 0193")
@cursor_option
def redo_command(place: Place, conversation: str, cursor: str) -> None:
    """Take the last undo back."""
    with editing(place, conversation) as chat:
        here = chat.redo(cursor=cursor)
    tell(here, cursor)


@on_conversation("next", example="next 0193 0.1")
@optional_node
@cursor_option
def next_command(place: Place, conversation: str, node: str, cursor: str) -> None:
    """Go to the alternative after NODE.

    Without NODE, after the cursor. The cursor goes beneath it to where it was last on show.
    """
    with editing(place, conversation) as chat:
        here = chat.next_alternative(node, cursor=cursor)
    tell(here, cursor)


@on_conversation("previous", example="previous 0193 0.1")
@optional_node
@cursor_option
def previous_command(place: Place, conversation: str, node: str, cursor: str) -> None:
    """Go to the alternative before NODE.

    Without NODE, before the cursor. The cursor goes beneath it to where it was last on show.
    """
    with editing(place, conversation) as chat:
        here = chat.previous_alternative(node, cursor=cursor)
    tell(here, cursor)


@on_conversation("restore", example="restore 0193 12")
@click.argument("moment", metavar="MOMENT", type=MomentType())
def restore_command(place: Place, conversation: str, moment: int | datetime) -> None:
    """Make what is on show what it was at a version or a time.

    Cursors, title, metadata, labels, ratings, bookmarks and hiding become again what they were. These are new events:
    messages that came later stay, and this can be taken back by restoring the version that was before it.
    """
    with editing(place, conversation) as chat:
        before = chat.version
        chat.restore(moment)
        here, events = chat.cursor, chat.version - before
    tell(here, "main")
    back = f"; 'branchlog restore {one_line(chat.id)} {before}' takes it back"
    note(f"restored by {several(events, 'event')}{back}" if events else "it is as it was then already")


@on_conversation("fork", example="fork 0193 0.1 --title 'Over the hill'")
@click.argument("node", metavar="[NODE]", required=False)
@click.option(
    "--at", "moment", type=MomentType(), metavar="MOMENT", help="Take what was on show at a version or a time."
)
@click.option("--id", metavar="ID", help="Use this id instead of a new one.")
@click.option("--title", metavar="TEXT", help="Use this title instead of the same one.")
def fork_command(
    place: Place, conversation: str, node: str | None, moment: int | datetime | None, id: str | None, title: str | None
) -> None:
    """Begin another conversation with a path of this one, and write its id.

    With the path to NODE, to where the cursor was at a moment, or to where it is. The metadata of the new conversation
    tells where it came from, under "forked_from".
    """
    if node is not None and moment is not None:
        raise click.UsageError("Give either NODE or --at; NODE may have a moment of its own, as in @{12}.")
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        if id is not None:
            must_be_free(store, id)
        at = moment if node is None else node
        fork = chat.fork_from(at, id=id) if title is None else chat.fork_from(at, id=id, title=title)
        store.save(fork)
    write(one_line(fork.id))


def must_be_free(store: branchlog.Store, id: str) -> None:
    """Raise ``AlreadyExists`` or ``ConversationDeleted`` where an id is taken or was."""
    try:
        store.describe(id)
    except branchlog.ConversationDeleted:
        raise
    except branchlog.ConversationNotFound:
        return
    raise branchlog.AlreadyExists(f"conversation {id!r} exists already; give another --id")


@on_conversation("cursor", example="cursor 0193 guest 0.1")
@click.argument("name", metavar="NAME")
@optional_node
@remove_option
def cursor_command(place: Place, conversation: str, name: str, node: str, remove: bool) -> None:
    """Make another cursor.

    It is put on NODE, or where main is.
    """
    with editing(place, conversation) as chat:
        if remove:
            chat.drop_cursor(name)
            return
        here = chat.new_cursor(name, node)
    tell(here, name)


def given(value: Any, remove: bool, what: str) -> Any:
    """The value to set, None where it is to be taken away; one of the two must be said. ``Any``: text or a number."""
    if (value is None) is not remove:
        raise click.UsageError(f"Give either {what} or --remove.")
    return value


@on_conversation("label", example="label 0193 0.1 best")
@node_argument
@click.argument("label", metavar="[LABEL]", required=False)
@remove_option
def label_command(place: Place, conversation: str, node: str, label: str | None, remove: bool) -> None:
    """Give NODE a label.

    Expressions can name it by its label.
    """
    label = given(label, remove, "LABEL")
    with editing(place, conversation) as chat:
        labelled = chat.node(node)
        chat.annotate(labelled, label=label)
    tell(labelled)


class RatingType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A number of stars, whole where it is written so."""

    name = "rating"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; ``Any`` is click's own."""
        try:
            return int(value)
        except ValueError:
            pass
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number.", param, ctx)


@on_conversation("rate", example="rate 0193 0.1 4")
@node_argument
@click.argument("rating", metavar="[RATING]", type=RatingType(), required=False)
@remove_option
def rate_command(place: Place, conversation: str, node: str, rating: float | None, remove: bool) -> None:
    """Rate NODE from 1 to 5."""
    rating = given(rating, remove, "RATING")
    with editing(place, conversation) as chat:
        rated = chat.node(node)
        chat.annotate(rated, rating=rating)
    tell(rated)


@on_conversation("bookmark", example="bookmark 0193 0.1")
@optional_node
@remove_option
def bookmark_command(place: Place, conversation: str, node: str, remove: bool) -> None:
    """Bookmark NODE, or where the cursor is."""
    with editing(place, conversation) as chat:
        marked = chat.node(node)
        chat.annotate(marked, bookmark=not remove)
    tell(marked)


@on_conversation("hide", example="hide 0193 0.1")
@node_argument
@click.option("--remove", is_flag=True, help="Show it again.")
def hide_command(place: Place, conversation: str, node: str, remove: bool) -> None:
    """Hide NODE from people.

    A model is sent it all the same.
    """
    with editing(place, conversation) as chat:
        hidden = chat.node(node)
        chat.annotate(hidden, hidden=not remove)
    tell(hidden)


@on_conversation("title", example="title 0193 'A walk on Saturday'")
@click.argument("title", metavar="[TITLE]", required=False)
@remove_option
def title_command(place: Place, conversation: str, title: str | None, remove: bool) -> None:
    """Give the conversation another title."""
    title = given(title, remove, "TITLE")
    with editing(place, conversation) as chat:
        chat.annotate_conversation(title=title)


@on_conversation("redact", example="redact 0193 0.1 --yes")
@node_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def redact_command(place: Place, conversation: str, node: str, yes: bool) -> None:
    """Erase what NODE says for good.

    Content, name, tool calls and metadata go, out of the files of the store as well. Asks first. The node stays, with
    its role, place and id, and so does what others say about it: labels, ratings, the title.
    """
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        wanted = chat.tree.nodes[chat.node(node).index]
        if wanted.message is None:
            raise Refused(f"{short_name(wanted)} says nothing that could be erased")
        told = "it was erased before" if wanted.redacted else staying(chat, wanted)
        if not wanted.redacted and not yes and not agreed(erasing(wanted)):
            raise Refused("nothing was erased")
        chat.redact(wanted)
        store.save(chat)
    tell(wanted)
    note(told)


def erasing(node: branchlog.Node) -> str:
    """The question before an erasure."""
    role, text = role_and_gist(node)
    return f"Erase {short_name(node)}, {shortened(f'{one_line(role)}: {text}', 60)!r}, for good?"


def staying(chat: branchlog.Conversation, node: branchlog.Node) -> str:
    """What an erasure leaves: where it quotes the message, it is to be changed by hand."""
    stays = ["its role, place and id"]
    stays += [] if node.label is None else [f"its label {one_line(node.label)!r}"]
    stays += [] if chat.title is None else [f"the title {one_line(chat.title)!r}"]
    stays += ["the metadata of the conversation"] if chat.metadata else []
    return f"what stays: {', '.join(stays)}; forks of this conversation and copies of the store keep what they have"


@on_conversation("delete", example="delete 0193 --yes")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete_command(place: Place, conversation: str, yes: bool) -> None:
    """Take a conversation away for good.

    With everything ever said in it. Asks first. The id of a deleted conversation is not used again.
    """
    with existing(place) as store:
        summary = store.describe(conversation_id(store, conversation))
        name = f"{summary.id} {summary.title!r}" if summary.title else summary.id
        if not yes and not agreed(f"Delete {one_line(name)} with {summary.nodes} nodes for good?"):
            raise Refused("nothing was deleted")
        store.delete(summary.id)
    note(f"deleted {one_line(name)}")


def agreed(question: str) -> bool:
    """Ask; the end of the input is a no."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            note("")  # the question has no answer to end its line
            return False
        raise
