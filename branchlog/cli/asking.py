"""The commands that ask for replies: ``ask``, ``rerun``, and ``unfinished`` for what was left of some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.text import Text

import branchlog
from branchlog.cli.drawing import node_notes, role_and_gist, short_name
from branchlog.cli.finding import Refused, conversation_id, existing
from branchlog.cli.options import Place, cursor_option, json_option
from branchlog.cli.output import (
    harmless,
    is_terminal,
    moment,
    note,
    one_line,
    several,
    shortened,
    width,
    write_json,
    write_lines,
)
from branchlog.cli.reading import node_json
from branchlog.cli.responders import close_all, responder_options, responders_of
from branchlog.cli.writing import on_conversation, optional_node, tell
from branchlog.errors import ResponderError

if TYPE_CHECKING:
    from branchlog.explore import Attempt, Responder, Unfinished

T = TypeVar("T")

ASKING, ANSWERING = "user", "assistant"
"""The roles of those who ask, and of those who are asked."""


def awaited(store: branchlog.Store) -> branchlog.AsyncStore:
    """The same store, to be awaited."""
    from branchlog.logs.bridges import AsyncBridge

    return branchlog.AsyncStore(AsyncBridge(store.log))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for its end; ``Any`` is that of coroutines. Imported here, since it takes longer than most commands."""
    import asyncio

    return asyncio.run(work)


async def closing(work: Coroutine[Any, Any, T], responders: Sequence[Responder]) -> T:
    """Wait for its end, and close the connections of those who were asked; ``Any`` is that of coroutines."""
    try:
        return await work
    finally:
        await close_all(responders)


@on_conversation("ask", example="ask 0193 -n 3 --model llama3.2 --base-url http://localhost:11434/v1")
@optional_node
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, help="Ask each one for so many replies.")
@responder_options
@cursor_option
@json_option
@click.pass_context
def ask_command(
    context: click.Context,
    place: Place,
    conversation: str,
    node: str,
    count: int,
    models: tuple[str, ...],
    base_url: str | None,
    temperatures: tuple[float, ...],
    script: Path | None,
    cursor: str,
    as_json: bool,
) -> None:
    """Have the last question answered, once or several times.

    Asked is the last message on the way to NODE, or to the cursor, that is not the assistant's. Several replies are
    alternatives to each other: each is told as it finishes, and the cursor stays. One reply alone is shown on a
    terminal as it comes, and the cursor goes to it if it stands on the question.

    With --json: an object with "under" and "attempts", each with "responder", "node" and "error".
    """
    responders = responders_of(models, base_url, temperatures, script) * count
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        question = question_at(chat.node(node, cursor=cursor))
        echoed = len(responders) == 1 and is_terminal() and not as_json
        if len(responders) == 1:
            asked = one(awaited(store), chat, responders[0], question, cursor, echoed=echoed)
        else:
            asked = all_of(awaited(store), chat, responders, question)
        attempts = run(closing(telling(asked, chat, quiet=as_json, shown=echoed), responders))
    if as_json:
        write_json({"under": question.id, "attempts": [attempt_json(attempt) for attempt in attempts]})
    if all(attempt.error is not None for attempt in attempts):
        context.exit(1)


def question_at(node: branchlog.Node) -> branchlog.Node:
    """The last node on the way to this one at which a user waits for the assistant."""
    roles = [(each, message.role) for each in node.path if (message := each.message) is not None]
    if any(role == ASKING for _, role in roles):
        return next(each for each, role in reversed(roles) if role != ANSWERING)
    raise Refused(f"nothing is asked on the way to {short_name(node)}; 'branchlog say' asks something")


async def one(
    store: branchlog.AsyncStore,
    chat: branchlog.Conversation,
    responder: Responder,
    question: branchlog.Node,
    cursor: str,
    *,
    echoed: bool,
) -> AsyncIterator[Attempt]:
    """Ask for one reply, and show it as it comes. Where this is interrupted, what has come is kept."""
    from branchlog.explore import Attempt, stream
    from branchlog.explore.alternatives import mark_failed

    streaming = stream(store, chat, responder, under=question, cursor=cursor, lag_seconds=lag(store))
    failed: ResponderError | None = None
    last = "\n"
    try:
        async with streaming as pieces:
            async for text in pieces:
                if echoed and text:
                    click.echo(harmless(text), nl=False)
                    last = text
    except ResponderError as error:
        failed = error
        if streaming.node is None:
            await mark_failed(store, chat, streaming, error)
    finally:
        if not last.endswith("\n"):
            click.echo()
    yield Attempt(responder=responder.name, node=streaming.node, error=failed)


async def all_of(
    store: branchlog.AsyncStore,
    chat: branchlog.Conversation,
    responders: Sequence[Responder],
    question: branchlog.Node,
) -> AsyncIterator[Attempt]:
    """Ask all of them at once."""
    from branchlog.explore import explore

    async with aclosing(explore(store, chat, responders, under=question, lag_seconds=lag(store))) as attempts:  # type: ignore[type-var]  # it is a generator
        async for attempt in attempts:
            yield attempt


def lag(store: branchlog.AsyncStore) -> float | None:
    """How often a reply is put aside while it comes, where the store can do that."""
    from branchlog.explore.streaming import LAG_SECONDS

    return LAG_SECONDS if store.abilities.drafts else None


async def telling(
    asked: AsyncIterator[Attempt], chat: branchlog.Conversation, *, quiet: bool, shown: bool = False
) -> list[Attempt]:
    """Tell each attempt as it ends, unless it is to be quiet; all. ``shown`` where the text was seen already."""
    attempts: list[Attempt] = []
    async with aclosing(asked) as ending:  # type: ignore[type-var]  # it is a generator
        async for attempt in ending:
            attempts.append(attempt)
            if not quiet:
                tell_attempt(attempt, chat, shown=shown)
    return attempts


def tell_attempt(attempt: Attempt, chat: branchlog.Conversation, *, shown: bool) -> None:
    """Write which node a reply is and how it begins; a failure is told beside the output."""
    if attempt.node is not None:
        write_lines([attempt_line(attempt.node, attempt.responder, chat, shown=shown)])
    if attempt.error is not None:
        note(one_line(f"failed: {attempt.responder}: {attempt.error.problem}"))


def attempt_line(node: branchlog.Node, responder: str, chat: branchlog.Conversation, *, shown: bool) -> Text:
    """A reply on one line: its name, what is to be said of it, who answered, and how it begins unless it was shown."""
    cursors = [name for name, at in chat.cursors.items() if at == node]
    notes = node_notes(node, cursors, node.position.of)
    line = Text().append(short_name(node), "cyan")
    line.append(f" ({', '.join(map(one_line, notes))})" if notes else "", "yellow")
    line.append(f"  {one_line(responder)}", "magenta")
    return line if shown else line.append(shortened(f": {role_and_gist(node)[1]}", max(width() - len(line.plain), 20)))


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """An attempt for JSON."""
    return {
        "responder": attempt.responder,
        "node": None if attempt.node is None else node_json(attempt.node),
        "error": None if attempt.error is None else error_json(attempt.error),
    }


def error_json(error: ResponderError) -> dict[str, Any]:
    """An error for JSON, as the metadata of replies has it."""
    return {"kind": type(error).__name__, "problem": error.problem}


@on_conversation("rerun", example="rerun 0193 --model llama3.2 --base-url http://localhost:11434/v1")
@optional_node
@responder_options
@cursor_option
@json_option
@click.pass_context
def rerun_command(
    context: click.Context,
    place: Place,
    conversation: str,
    node: str,
    models: tuple[str, ...],
    base_url: str | None,
    temperatures: tuple[float, ...],
    script: Path | None,
    cursor: str,
    as_json: bool,
) -> None:
    """Have all questions on a path answered again.

    Those on the way to NODE, or to the cursor. The answers are a new branch beside the old one, for each of those who
    are asked; the cursor stays. Where a reply fails, its branch ends there.

    With --json: an array with an object for each branch: "responder", "node" (its end) and "error".
    """
    responders = responders_of(models, base_url, temperatures, script)
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        end = chat.node(node, cursor=cursor)
        asked = again(awaited(store), chat, responders, end)
        attempts = run(closing(telling(asked, chat, quiet=as_json), responders))
    if as_json:
        write_json([attempt_json(attempt) for attempt in attempts])
    if all(attempt.error is not None for attempt in attempts):
        context.exit(1)


async def again(
    store: branchlog.AsyncStore, chat: branchlog.Conversation, responders: Sequence[Responder], end: branchlog.Node
) -> AsyncIterator[Attempt]:
    """Have the questions answered by one after the other."""
    from branchlog.explore import Attempt, rerun

    for responder in responders:
        try:
            node = await rerun(store, chat, responder, to=end, lag_seconds=lag(store))
        except ResponderError as error:
            yield Attempt(responder=responder.name, error=error)
        else:
            yield Attempt(responder=responder.name, node=node)


@on_conversation("unfinished", example="unfinished 0193 --keep")
@click.option("--keep", "wanted", flag_value="keep", help="Make each of them a message as it is.")
@click.option("--drop", "wanted", flag_value="drop", help="Forget them.")
@cursor_option
@json_option
def unfinished_command(place: Place, conversation: str, wanted: str | None, cursor: str, as_json: bool) -> None:
    """Tell of replies that began and did not end.

    What is left of a reply when its process dies. Those that may be arriving in another process still are neither
    kept nor dropped. The cursor goes to a reply that is kept if it stands on its question.

    With --json: an array with an object for each: "id", "under", "responder", "began", "arriving", "text".
    """
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        left = run(left_in(awaited(store), chat))
        if as_json:
            write_json([unfinished_json(each) for each in left])
        elif wanted is None or not left:
            write_lines(unfinished_line(each) for each in left)
            note(several(len(left), "unfinished reply", "unfinished replies"))
        gone = [each for each in left if not each.arriving]
        if wanted == "keep":
            kept = run(keeping(awaited(store), chat, gone, cursor))
            for node in () if as_json else kept:
                tell(node, cursor if chat.cursors.get(cursor) == node else None)
        elif wanted == "drop":
            run(dropping(awaited(store), chat, gone))
    if wanted is not None and left:
        done = several(len(gone), "reply", "replies")
        still = f"; {len(left) - len(gone):,} may be arriving still" if len(gone) < len(left) else ""
        note(f"{done} {'kept' if wanted == 'keep' else 'dropped'}{still}")


async def left_in(store: branchlog.AsyncStore, chat: branchlog.Conversation) -> tuple[Unfinished, ...]:
    """The unfinished replies, where the store keeps such."""
    from branchlog.explore import unfinished

    return await unfinished(store, chat) if store.abilities.drafts else ()


async def keeping(
    store: branchlog.AsyncStore, chat: branchlog.Conversation, left: Sequence[Unfinished], cursor: str
) -> list[branchlog.Node]:
    """Make each a node."""
    from branchlog.explore import keep

    return [await keep(store, chat, each, cursor=cursor) for each in left]


async def dropping(store: branchlog.AsyncStore, chat: branchlog.Conversation, left: Sequence[Unfinished]) -> None:
    """Forget each."""
    from branchlog.explore import drop

    for each in left:
        await drop(store, chat, each)


def unfinished_line(left: Unfinished) -> Text:
    """An unfinished reply on one line."""
    arriving = ", may be arriving still" if left.arriving else ""
    line = Text().append(f"under {short_name(left.under)}", "cyan")
    line.append(f" ({moment(left.began)}{arriving})", "yellow").append(f"  {one_line(left.responder)}: ", "magenta")
    return line.append(shortened(one_line(left.text), max(width() - len(line.plain), 20)), "default")


def unfinished_json(left: Unfinished) -> dict[str, Any]:
    """An unfinished reply for JSON."""
    return {
        "id": left.id.hex(),
        "under": left.under.version,
        "responder": left.responder,
        "began": left.began.isoformat(),
        "arriving": left.arriving,
        "text": left.text,
    }
