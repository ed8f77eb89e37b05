"""The commands that read: ``list``, ``show``, ``path``, ``log``."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Container, Iterable, Iterator
from datetime import datetime
from typing import Any

import click
from rich.text import Text

import branchlog
from branchlog.cli.drawing import ERASED, Drawing, is_erased, node_notes, short_name, styled
from branchlog.cli.finding import View, conversation_id, existing, view
from branchlog.cli.options import (
    MomentType,
    Place,
    at_option,
    cursor_option,
    json_option,
    optional_conversation,
    pass_place,
    place_options,
)
from branchlog.cli.output import (
    harmless,
    is_terminal,
    json_text,
    moment,
    note,
    one_line,
    several,
    shortened,
    width,
    write_json,
    write_lines,
)
from branchlog.cli.wording import Naming, fields_of, happened, in_words, record

ORDERS = ("-updated", "updated", "-created", "created", "-title", "title", "-id", "id")

ID_DEPTH_MAX = 1_000
"""Steps from the root down to which JSON gives ids: they are as long as the way, and a deep tree would be all ids."""

SHORT_LENGTHS = (8, 13, 18, 23)
"""To where ids are shortened for people: a UUID up to one of its hyphens."""

CHANGES_AT_ONCE = 1_000
"""Commits that are read at a time where the whole store is listed."""


def key_value(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value read as JSON if it is JSON and taken as text if not."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"expected KEY=VALUE, found {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def metadata_of(pairs: Iterable[str]) -> dict[str, Any]:
    """Several KEY=VALUE as one dict."""
    return dict(map(key_value, pairs))


def summary_json(summary: branchlog.Summary) -> dict[str, Any]:
    """What a listing says of a conversation, for JSON."""
    return {
        "id": summary.id,
        "title": summary.title,
        "created": summary.created.isoformat(),
        "updated": summary.updated.isoformat(),
        "version": summary.version,
        "nodes": summary.nodes,
        "branches": summary.branches,
        "metadata": summary.metadata,
    }


@click.command("list", epilog="Example: branchlog list --metadata language=en --order title")
@place_options()
@click.option(
    "--metadata",
    "pairs",
    metavar="KEY=VALUE",
    multiple=True,
    help="Keep those with this value in their metadata; VALUE is read as JSON if it is JSON.",
)
@click.option("--order", type=click.Choice(ORDERS), default="-updated", help="Put in this order; default -updated.")
@click.option("--limit", type=click.IntRange(min=1), default=50, help="List at most so many; default 50.")
@click.option("--after", metavar="NEXT", help="Go on behind a page, by its 'next'.")
@click.option("--all", "everything", is_flag=True, help="List all pages.")
@json_option
@pass_place
def list_command(
    place: Place, pairs: tuple[str, ...], order: Any, limit: int, after: str | None, everything: bool, as_json: bool
) -> None:
    """List conversations, the one updated last first.

    With --json: an object with "conversations" and "next", which --after takes (null at the end).
    """
    with existing(place) as store:
        metadata = metadata_of(pairs)
        page = store.list(metadata=metadata, order=order, limit=limit, after=after)
        found, more = list(page), page.next
        while everything and more is not None:
            page = store.list(metadata=metadata, order=order, limit=max(limit, CHANGES_AT_ONCE), after=more)
            found, more = found + list(page), page.next
        total = store.count(metadata=metadata)
        shorten = is_terminal() and not as_json and len(found) <= CHANGES_AT_ONCE
        ids = [short_id(store, summary.id) if shorten else summary.id for summary in found]
    if as_json:
        write_json({"conversations": [summary_json(summary) for summary in found], "next": more})
        return
    write_lines(listing(found, ids, width() if is_terminal() else None))
    if more is not None:
        note(f"{len(found):,} of {total:,}; --all lists all, --after {more} goes on")
    elif not found:
        note("no conversations" if not metadata else "no conversation has this metadata")


def short_id(store: branchlog.Store, id: str) -> str:
    """The shortest of a few beginnings of an id that names this conversation alone."""
    for length in SHORT_LENGTHS:
        if length < len(id) and len(store.find(id[:length], limit=2)) == 1:
            return id[:length]
    return id


def listing(found: list[branchlog.Summary], names: list[str], columns: int | None) -> Iterator[Text]:
    """The lines of a list: id, when updated, nodes, branches, title."""
    if not found:
        return
    ids = list(map(one_line, names))
    wide = min(max(map(len, ids)), 40)
    yield Text(f"{'ID':<{wide}}  {'UPDATED':<16}  {'NODES':>6}  {'BRANCHES':>8}  TITLE", style="dim")
    for id, summary in zip(ids, found, strict=True):
        text = Text().append(f"{id:<{wide}}", "cyan")
        text.append(f"  {moment(summary.updated)[:16]}  {summary.nodes:>6}  {summary.branches:>8}  ", "default")
        title = one_line(summary.title or "")
        room = len(title) if columns is None else max(columns - len(text.plain), 10)
        text.append(shortened(title, room), "bold")
        yield text


@click.command("show", epilog="Example: branchlog show 0193 0.1 --depth 3")
@place_options()
@optional_conversation
@click.argument("node", metavar="[NODE]", required=False)
@cursor_option
@at_option
@click.option("--all", "everything", is_flag=True, help="Fold nothing.")
@click.option("--depth", type=click.IntRange(min=0), help="Draw at most so many steps down.")
@click.option("--ids", is_flag=True, help="Give all ids in full.")
@json_option
@pass_place
def show_command(
    place: Place,
    conversation: str,
    node: str | None,
    cursor: str,
    moment: int | datetime | None,
    everything: bool,
    depth: int | None,
    ids: bool,
    as_json: bool,
) -> None:
    """Draw the tree of a conversation.

    With NODE only what is beneath it. Without CONVERSATION, or with -, the one updated last. What is on show goes
    straight down, marked with full circles and ending at the cursor; alternatives step to the right. In brackets:
    cursors, label, rating and the place among the alternatives. Long runs, wide forks and the inside of what is not
    on show are folded.

    With --json: an object with the conversation and all its nodes in the order of their adding, each with its
    parent's version; ids beyond a depth of 1000 are null.
    """
    with existing(place) as store:
        seen = view(store, conversation, cursor, moment)
        here = seen.on_show
        start = seen.tree.root if node is None else seen.node(node)
        if as_json:
            write_json({**tree_json(seen, start, depth), "unfinished": unfinished_count(store, seen.chat)})
            return
        drawing = Drawing(
            tree=seen.tree,
            now=seen.chat.tree,
            start=start,
            cursor=cursor,
            depth=depth,
            fold=not everything,
            ids=ids,
        )
        columns = width()
        write_lines(heading(seen, here))
        write_lines(styled(line, columns) for line in drawing.lines())
        if left := unfinished_count(store, seen.chat):
            replies = several(left, "reply", "replies")
            note(f"{replies} unfinished; 'branchlog unfinished {one_line(seen.chat.id)}' tells more")


def unfinished_count(store: branchlog.Store, chat: branchlog.Conversation) -> int:
    """How many replies began and did not end; nothing is written."""
    drafts = store.log.drafts(chat.id) if store.abilities.drafts else []
    if not drafts:
        return 0
    from branchlog.explore.streaming import unfinished_among  # takes longer to import than a drawing takes

    return len(unfinished_among(chat, drafts))


def heading(seen: View, here: branchlog.Node) -> Iterator[Text]:
    """What is said above a tree."""
    tree = seen.tree
    yield Text(one_line(tree.title or "(no title)"), style="bold underline")
    branches = len(tree.leaves)
    counts = f"version {tree.version:,} · {len(tree):,} node{'' if len(tree) == 1 else 's'}"
    lines = f"{branches:,} branch{'' if branches == 1 else 'es'}"
    yield Text(f"{one_line(seen.chat.id)} · {counts} · {lines} · {seen.cursor} at {short_name(here)}", style="dim")
    yield Text()


def tree_json(seen: View, start: branchlog.Node, depth: int | None) -> dict[str, Any]:
    """A tree for JSON: flat, so that depth is no matter."""
    tree = seen.tree
    last = None if depth is None else start.depth + depth
    whole = start.parent is None
    nodes = [
        node_json(node, seen.chat.tree)
        for node in tree.nodes
        if (last is None or node.depth <= last) and (whole or node.is_under(start))
    ]
    return {
        "id": seen.chat.id,
        "title": tree.title,
        "metadata": tree.metadata,
        "version": tree.version,
        "cursors": {name: node.version for name, node in tree.cursors.items()},
        "nodes": nodes,
    }


def node_json(node: branchlog.Node, now: branchlog.Tree | None = None) -> dict[str, Any]:
    """A node for JSON; ``now`` is the tree as it is, where the node is looked at from a moment of the past."""
    message = node.message
    parent = node.parent
    return {
        "version": node.version,
        "parent": None if parent is None else parent.version,
        "ordinal": node.ordinal,
        "id": node.id if node.depth <= ID_DEPTH_MAX else None,
        "added": node.added.isoformat(),
        "label": node.label,
        "rating": node.rating,
        "bookmark": node.bookmark,
        "hidden": node.hidden,
        "redacted": is_erased(node, now),
        "message": None if message is None else message.to_chat(),
        "metadata": node.metadata,
    }


@click.command("path", epilog="Example: branchlog path 0193 0.1 --json | jq -r '.[-1].content'")
@place_options()
@optional_conversation
@click.argument("node", metavar="[NODE]", required=False)
@cursor_option
@at_option
@json_option
@pass_place
def path_command(
    place: Place, conversation: str, node: str | None, cursor: str, moment: int | datetime | None, as_json: bool
) -> None:
    """Write the messages that a model is sent.

    They are those from the root to the cursor, or to NODE. Without CONVERSATION, or with -, the one updated last.
    With --json: an array of messages in the shape of the chat-completions API.
    """
    with existing(place) as store:
        if as_json and node is None and cursor == "main" and moment is None:
            messages = store.messages(conversation_id(store, conversation))
            write_json([message.to_chat() for message in messages])
            return
        seen = view(store, conversation, cursor, moment)
        path = seen.node(node).path
        if as_json:
            write_json([message.to_chat() for each in path if (message := each.message) is not None])
            return
        write_lines(reading(path, seen.tree.cursors, seen.chat.tree))


def reading(path: Iterable[branchlog.Node], cursors: dict[str, branchlog.Node], now: branchlog.Tree) -> Iterator[Text]:
    """The messages of a path in full, each beneath a line that says whose it is; ``now`` is the tree as it is."""
    names: dict[int, list[str]] = {}
    for name, node in cursors.items():
        names.setdefault(node.index, []).append(name)
    for node in path:
        message = node.message
        if message is None:
            continue
        notes = node_notes(node, names.get(node.index, []), node.position.of)
        head = Text().append(one_line(message.role), "bold magenta")
        head.append(f"  {short_name(node)}", "cyan")
        head.append(f" ({', '.join(map(one_line, notes))})" if notes else "", "yellow")
        yield head
        yield Text(ERASED, style="dim") if is_erased(node, now) else Text(harmless(message.text))
        for part in (*(message.content if isinstance(message.content, list) else ()), *(message.tool_calls or ())):
            if "text" not in part:
                yield Text(shortened(one_line(json_text(part)), width()), style="dim")
        yield Text()


@click.command("log", epilog="Example: branchlog log 0193 --json | jq .event.type")
@place_options()
@click.argument("conversation", metavar="[CONVERSATION]", required=False)
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="N", help="Begin after this version (position)."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Write the last N events only.")
@click.option(
    "--at", "moment", type=MomentType(), metavar="MOMENT", help="End with this version (position), or at this time."
)
@json_option
@pass_place
def log_command(
    place: Place,
    conversation: str | None,
    after: int,
    limit: int | None,
    moment: int | datetime | None,
    as_json: bool,
) -> None:
    """Write what happened, the newest last.

    One event a line. Of CONVERSATION (- is the one updated last), with the version of each event; without one of the
    whole store, with the position of each commit, where a node is named by its version (:5).

    With --json: JSON Lines, one object for each event.
    """
    with existing(place) as store:
        if conversation is None:
            lines = store_log(store, after, moment, as_json)
        else:
            lines = conversation_log(store, conversation_id(store, conversation), after, moment, as_json)
        if limit is not None:
            lines = iter(deque(lines, limit))
        write_lines(lines)


def conversation_log(
    store: branchlog.Store, id: str, after: int, moment: int | datetime | None, as_json: bool
) -> Iterator[Text]:
    """The events of a conversation, as lines."""
    chat = store.load(id)
    last = chat.version if moment is None else chat.at(moment).version
    name = str if as_json else names_of(chat.tree)
    erased = {node.version for node in chat.tree if node.redacted}
    columns = width()
    for change in store.commits(id, after=after):
        for version, event in enumerate(change.events, change.first):
            if after < version <= last:
                yield event_line(change, version, event, as_json, name, f"{version:>5}", columns, erased)


def names_of(tree: branchlog.Tree) -> Naming:
    """The names of the nodes of a tree, by version."""
    nodes = {node.version: node for node in tree.nodes}
    return lambda version: short_name(nodes[version])


def store_log(store: branchlog.Store, after: int, moment: int | datetime | None, as_json: bool) -> Iterator[Text]:
    """The events of all conversations, as lines, in the order in which they were written."""
    columns = width()
    while changes := store.changes(after=after, limit=CHANGES_AT_ONCE):
        for change in changes:
            if is_after(change, moment):
                continue
            place = f"{change.position:>5}  {shortened(one_line(change.conversation), 36)}"
            for version, event in enumerate(change.events, change.first):
                erased = (version,) if change.erased and is_blank(event) else ()
                yield event_line(
                    change, version, event, as_json, ":{}".format, f"{place}  {version:>5}", columns, erased
                )
        after = changes[-1].position


def is_blank(event: object) -> bool:
    """Whether an event has a message that says nothing, as an erased one does."""
    message = fields_of(event).get("message")
    return message is not None and not message.get("content")


def is_after(change: branchlog.Change, moment: int | datetime | None) -> bool:
    """Whether a commit was written after a moment of the whole store: a position or a time."""
    if isinstance(moment, int):
        return change.position > moment
    return moment is not None and change.at > moment


def event_line(
    change: branchlog.Change,
    version: int,
    event: object,
    as_json: bool,
    name: Naming,
    place: str,
    columns: int,
    erased: Container[int] = (),
) -> Text:
    """One event as a line."""
    fields = fields_of(event)
    if as_json:
        return Text(json_text(record(change, version, fields)))
    line = Text().append(place, "cyan")
    line.append(f"  {moment(happened(fields))}  ", "dim")
    room = max(columns - len(line.plain), 30)
    line.append(shortened(in_words(fields, version, name, erased), room), "default")
    return line
