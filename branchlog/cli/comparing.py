"""The command that compares: ``diff``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.text import Text

import branchlog
from branchlog.cli.drawing import is_erased, messages, role_and_gist, short_name
from branchlog.cli.finding import conversation_id, existing
from branchlog.cli.options import Place, json_option
from branchlog.cli.output import harmless, one_line, shortened, width, write_json, write_lines
from branchlog.cli.reading import node_json
from branchlog.cli.writing import on_conversation

STYLES = {"---": "bold", "+++": "bold", "@@": "cyan", "-": "red", "+": "green"}
"""How a line of a unified diff is shown, by how it begins; the first that fits."""


@on_conversation("diff", example="diff 0193 0.0 0.1")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--exit-code", "by_code", is_flag=True, help="Exit with 1 where the two say different things.")
@json_option
@click.pass_context
def diff_command(
    context: click.Context, place: Place, conversation: str, one: str, other: str, by_code: bool, as_json: bool
) -> None:
    """Compare the ways to two nodes.

    A and B are expressions: two nodes, two alternatives, or where the cursor was at two moments (@{5} @{9}). Written
    are the last node that both ways share, and what comes after it on either as a unified diff of the texts.

    With --json: an object with "ancestor", the nodes behind it as "left" and "right", "diff" and "same".
    """
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        compared = chat.compare(one, other)
        same = said(compared.left) == said(compared.right)
        if as_json:
            write_json(comparison_json(compared, chat.tree, same=same))
        else:
            write_lines(telling(compared, chat.tree, same=same))
    if by_code and not same:
        context.exit(1)


def said(tail: Sequence[branchlog.Node]) -> list[dict[str, Any]]:
    """The messages of a tail, as a model is sent them."""
    return [message.to_chat() for node in tail if (message := node.message) is not None]


def diff_lines(compared: branchlog.Comparison) -> list[str]:
    """The unified diff, with short names for the two sides: an id is as long as its node is deep."""
    lines = compared.diff().splitlines()
    ends = [short_name((tail or (compared.ancestor,))[-1]) for tail in (compared.left, compared.right)]
    return [f"--- {ends[0]}", f"+++ {ends[1]}", *lines[2:]] if lines else []


def telling(compared: branchlog.Comparison, now: branchlog.Tree, *, same: bool) -> Iterator[Text]:
    """What both share, and how they go on."""
    role, text = role_and_gist(compared.ancestor, now)
    line = Text().append("both have ", "dim").append(short_name(compared.ancestor), "cyan")
    line.append(f"  {one_line(role)}: " if role else "", "magenta")
    yield line.append(shortened(text, max(width() - len(line.plain), 20)))
    yield Text(f"then {messages(len(compared.left))} against {messages(len(compared.right))}", style="dim")
    lines = diff_lines(compared)
    for each in lines:
        style = next((style for begins, style in STYLES.items() if each.startswith(begins)), "")
        yield Text(harmless(each), style=style)
    gone = [short_name(node) for node in (*compared.left, *compared.right) if is_erased(node, now)]
    if gone:
        yield Text(f"erased, and compared as empty: {', '.join(gone)}", style="yellow")
    if not lines:
        yield Text("both say the same" if same else "the texts are the same; what is not text differs", style="dim")


def comparison_json(compared: branchlog.Comparison, now: branchlog.Tree, *, same: bool) -> dict[str, Any]:
    """A comparison for JSON."""
    return {
        "ancestor": node_json(compared.ancestor, now),
        "left": [node_json(node, now) for node in compared.left],
        "right": [node_json(node, now) for node in compared.right],
        "diff": "\n".join(diff_lines(compared)),
        "same": same,
    }
