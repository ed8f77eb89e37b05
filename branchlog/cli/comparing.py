"""The command that compares: ``diff``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click
from rich.text import Text

import branchlog
from branchlog.cli.drawing import is_erased, messages, role_and_gist, short_name
from branchlog.cli.finding import conversation_id, existing
from branchlog.cli.options import Place, json_option
from branchlog.cli.output import harmless, is_terminal, one_line, several, shortened, width, write_json, write_lines
from branchlog.cli.reading import node_json
from branchlog.cli.writing import on_conversation

if TYPE_CHECKING:
    from branchlog.explore import Alignment, Price, Span, Spent, Turn

STYLES = {"---": "bold", "+++": "bold", "@@": "cyan", "-": "red", "+": "green"}
"""How a line of a unified diff is shown, by how it begins; the first that fits."""


SPANS = {"same": "", "removed": "red strike", "added": "green"}
"""How a stretch of text is shown, by what becomes of it."""

MARKS = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
"""What stands around it where there are no colours, as git has it for words."""


class PriceType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """The price of a model: MODEL=IN,OUT for a million tokens."""

    name = "price"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Read it; ``Any`` is click's own, and a ``Price``."""
        from branchlog.explore import Price

        model, _, prices = value.rpartition("=")
        into, _, out = prices.partition(",")
        try:
            price = Price(float(into), float(out)) if model else None
        except ValueError:
            price = None
        if price is None:
            self.fail(f"{value!r} is no price; expected MODEL=IN,OUT, such as small=0.15,0.6", param, ctx)
        return model, price


@on_conversation("diff", example="diff 0193 0.0 0.1 --price small=0.15,0.6")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.argument("more", metavar="[C...]", nargs=-1)
@click.option("--turns", "by_turns", is_flag=True, help="Put them beside each other turn by turn, with changed words.")
@click.option(
    "--price",
    "prices",
    metavar="MODEL=IN,OUT",
    type=PriceType(),
    multiple=True,
    help="Tell what they cost, at this price of a million tokens in and out; may be given again.",
)
@click.option("--exit-code", "by_code", is_flag=True, help="Exit with 1 where they say different things.")
@json_option
@click.pass_context
def diff_command(
    context: click.Context,
    place: Place,
    conversation: str,
    one: str,
    other: str,
    more: tuple[str, ...],
    by_turns: bool,
    prices: tuple[tuple[str, Price], ...],
    by_code: bool,
    as_json: bool,
) -> None:
    """Compare the ways to two nodes, or to several.

    A, B and C are expressions: nodes, alternatives, or where the cursor was at two moments (@{5} @{9}). Written are the
    last node that all ways share, what the replies behind it took, and what they say: of two ways as a unified diff of
    the texts, of more, or with --turns, turn by turn, each compared with the first by words.

    With --json: an object with "ancestor", "ways", "turns", "models" and "same"; of two ways also "left", "right" and
    "diff".
    """
    from branchlog.explore import align

    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        aligned = align(chat, one, other, *more, prices=dict(prices))
        ends = [way.node for way in aligned.ways]
        compared = None if more else chat.compare(*ends)
        same = all(said(way.tail) == said(aligned.ways[0].tail) for way in aligned.ways)
        if as_json:
            pair = {} if compared is None else comparison_json(compared, chat.tree)
            write_json({**alignment_json(aligned, chat.tree), **pair, "same": same})
        elif compared is not None and not by_turns:
            write_lines(telling(compared, chat.tree, spending(aligned), same=same))
        else:
            write_lines(side_by_side(aligned, chat.tree, same=same))
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


def shared(ancestor: branchlog.Node, now: branchlog.Tree, who: str) -> Text:
    """The last node that all ways share, on one line."""
    role, text = role_and_gist(ancestor, now)
    line = Text().append(f"{who} have ", "dim").append(short_name(ancestor), "cyan")
    line.append(f"  {one_line(role)}: " if role else "", "magenta")
    return line.append(shortened(text, max(width() - len(line.plain), 20)))


def telling(
    compared: branchlog.Comparison, now: branchlog.Tree, spent: Iterable[Text], *, same: bool
) -> Iterator[Text]:
    """What both share, what the replies took, and how they go on."""
    yield shared(compared.ancestor, now, "both")
    yield Text(f"then {messages(len(compared.left))} against {messages(len(compared.right))}", style="dim")
    yield from spent
    lines = diff_lines(compared)
    for each in lines:
        style = next((style for begins, style in STYLES.items() if each.startswith(begins)), "")
        yield Text(harmless(each), style=style)
    yield from erased((*compared.left, *compared.right), now)
    if not lines:
        yield Text("both say the same" if same else "the texts are the same; what is not text differs", style="dim")


def erased(nodes: Iterable[branchlog.Node], now: branchlog.Tree) -> Iterator[Text]:
    """What was erased, and so is compared as if it said nothing."""
    gone = dict.fromkeys(short_name(node) for node in nodes if is_erased(node, now))
    if gone:
        yield Text(f"erased, and compared as empty: {', '.join(gone)}", style="yellow")


def side_by_side(aligned: Alignment, now: branchlog.Tree, *, same: bool) -> Iterator[Text]:
    """What all share, what the replies took, and each turn, compared by words with that of the first way."""
    names = [short_name(way.node) for way in aligned.ways]
    yield shared(aligned.ancestor, now, "all" if len(names) > 2 else "both")
    yield from spending(aligned)
    for number, turn in enumerate(aligned.turns, 1):
        yield Text()
        yield Text(f"turn {number}", style="bold")
        for place, (name, side) in enumerate(zip(names, turn.sides, strict=True)):
            yield Text().append(name, "cyan").append("" if side else "  (ended)", "dim")
            if side:
                yield in_spans(turn.diff(0, place)) if place and turn.sides[0] else Text(harmless(turn.texts()[place]))
    yield from erased((node for way in aligned.ways for node in way.tail), now)
    if same:
        yield Text("all say the same" if len(names) > 2 else "both say the same", style="dim")


def in_spans(spans: Iterable[Span]) -> Text:
    """A text as it differs from another one."""
    line = Text()
    for span in spans:
        before, behind = ("", "") if is_terminal() and not os.environ.get("NO_COLOR") else MARKS[span.operation]
        line.append(f"{before}{harmless(span.text)}{behind}", SPANS[span.operation])
    return line


def spending(aligned: Alignment) -> Iterator[Text]:
    """What the replies of each way took, and those of each model; nothing where nothing is known of any."""
    if not any(map(is_known, aligned.by_model.values())):
        return
    rows = [(short_name(way.node), way.spent) for way in aligned.ways]
    for name, each in rows:
        yield Text().append(name, "cyan").append(f"  {in_words(each)}", "dim")
    for model, each in aligned.by_model.items():
        yield Text().append(one_line(model or "(model unknown)"), "magenta").append(f"  {in_words(each)}", "dim")


def is_known(spent: Spent) -> bool:
    """Whether anything is known of what some replies took."""
    return spent.unknown_tokens < spent.replies or spent.unknown_cost < spent.replies


def in_words(spent: Spent) -> str:
    """What some replies took, on one line; sums that lack something say so."""
    if spent.input_tokens is None and spent.output_tokens is None:
        tokens = "tokens unknown"
    else:
        counts = ["?" if count is None else f"{count:,}" for count in (spent.input_tokens, spent.output_tokens)]
        tokens = f"{counts[0]} tokens in, {counts[1]} out{lacking(spent.unknown_tokens)}"
    cost = "cost unknown" if spent.cost is None else f"cost {spent.cost:.6g}{lacking(spent.unknown_cost)}"
    return f"{several(spent.replies, 'reply', 'replies')}: {tokens}, {cost}"


def lacking(unknown: int) -> str:
    """That a sum is not the whole."""
    return f" (and {unknown:,} unknown)" if unknown else ""


def alignment_json(aligned: Alignment, now: branchlog.Tree) -> dict[str, Any]:
    """Ways beside each other, for JSON."""
    return {
        "ancestor": node_json(aligned.ancestor, now),
        "ways": [
            {
                "node": way.node.version,
                "nodes": [node_json(node, now) for node in way.tail],
                "spent": attrs.asdict(way.spent),
                "models": models_json(way.by_model),
            }
            for way in aligned.ways
        ],
        "turns": [turn_json(turn) for turn in aligned.turns],
        "models": models_json(aligned.by_model),
    }


def turn_json(turn: Turn) -> list[dict[str, Any]]:
    """One turn for JSON: of each way the versions of its nodes, and how its text differs from that of the first."""
    return [
        {
            "nodes": [node.version for node in side],
            "diff": [[span.operation, span.text] for span in turn.diff(0, place)],
        }
        for place, side in enumerate(turn.sides)
    ]


def models_json(by_model: Mapping[str | None, Spent]) -> list[dict[str, Any]]:
    """What the replies of each model took, for JSON."""
    return [{"model": model, **attrs.asdict(spent)} for model, spent in by_model.items()]


def comparison_json(compared: branchlog.Comparison, now: branchlog.Tree) -> dict[str, Any]:
    """What only a comparison of two has, for JSON."""
    return {
        "left": [node_json(node, now) for node in compared.left],
        "right": [node_json(node, now) for node in compared.right],
        "diff": "\n".join(diff_lines(compared)),
    }
