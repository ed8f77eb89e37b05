"""The commands that judge: ``prefer``, ``pick`` and ``rank``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.text import Text

from branchlog.cli.finding import conversation_id, editing, existing
from branchlog.cli.keeping import all_ids
from branchlog.cli.options import LAST, Place, cursor_option, json_option, pass_place, place_options
from branchlog.cli.output import note, one_line, several, write_json, write_lines
from branchlog.cli.writing import node_argument, on_conversation, tell

if TYPE_CHECKING:
    from branchlog.explore import Strength

by_option = click.option(
    "--by", metavar="NAME", help="Say whose verdict it is; each judge has one on two alternatives."
)


@on_conversation("prefer", example="prefer 0193 0.1 0.0 --by me")
@click.argument("winner", metavar="WINNER")
@click.argument("loser", metavar="LOSER")
@by_option
def prefer_command(place: Place, conversation: str, winner: str, loser: str, by: str | None) -> None:
    """Say that one alternative is better than another.

    A later verdict of the same judge on the same two takes the place of the earlier one. No cursor moves.
    """
    from branchlog.explore import prefer

    with editing(place, conversation) as chat:
        better = chat.node(winner)
        prefer(chat, better, loser, by=by)
    tell(better)


@on_conversation("pick", example="pick 0193 0.1")
@node_argument
@by_option
@cursor_option
def pick_command(place: Place, conversation: str, node: str, by: str | None, cursor: str) -> None:
    """Say that NODE is the best of its alternatives, and go there.

    It is preferred to each other one, and the cursor is put on it.
    """
    from branchlog.explore import pick

    with editing(place, conversation) as chat:
        picked = pick(chat, node, by=by, cursor=cursor)
    tell(picked, cursor)


@click.command("rank", epilog="Example: branchlog rank --all --of responder --ratings")
@place_options()
@click.argument("names", metavar="[CONVERSATION...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Take all conversations.")
@click.option(
    "--of",
    type=click.Choice(["model", "responder", "node"]),
    default="model",
    help="Rank models, responders (models at a temperature) or the replies themselves; default model.",
)
@click.option("--ratings", is_flag=True, help="Let two ratings that differ count where there is no verdict.")
@json_option
@pass_place
def rank_command(
    place: Place,
    names: tuple[str, ...],
    everything: bool,
    of: Literal["model", "responder", "node"],
    ratings: bool,
    as_json: bool,
) -> None:
    """Rank those who answered by what was preferred.

    By the verdicts of 'branchlog prefer' and 'branchlog pick' in these conversations, or in the one updated last.
    Strengths are those of Bradley and Terry: 0 is average. The last column is the chance to beat an average one.

    With --json: an array, the strongest first: "name", "strength", "chance", "wins" and "losses".
    """
    from branchlog.explore import judgements, rank

    if everything and names:
        raise click.UsageError("Give either conversations or --all.")
    with existing(place) as store:
        ids = all_ids(store) if everything else [conversation_id(store, name) for name in names or (LAST,)]
        found = judgements((store.load(id) for id in dict.fromkeys(ids)), of=of, ratings=ratings)
    ranked = rank(found)
    if as_json:
        write_json([strength_json(each) for each in ranked])
        return
    write_lines(table(ranked))
    none = f"no comparison of one {of} with another; 'branchlog prefer' makes one"
    note(several(len(found), "comparison") if found else none)


def table(ranked: Sequence[Strength]) -> Iterator[Text]:
    """The lines of a ranking."""
    if not ranked:
        return
    names = [one_line(each.name) for each in ranked]
    wide = max(4, *map(len, names))
    yield Text(f"{'NAME':<{wide}}  STRENGTH    WON   LOST  CHANCE", style="dim")
    for name, each in zip(names, ranked, strict=True):
        line = Text().append(f"{name:<{wide}}", "cyan")
        yield line.append(f"  {each.strength:>+8.2f}  {each.wins:>5}  {each.losses:>5}  {each.chance:>6.1%}", "default")


def strength_json(each: Strength) -> dict[str, Any]:
    """A strength for JSON."""
    return {
        "name": each.name,
        "strength": each.strength,
        "chance": each.chance,
        "wins": each.wins,
        "losses": each.losses,
    }
