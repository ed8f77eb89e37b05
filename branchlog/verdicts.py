"""Verdicts: which of two alternatives somebody prefers, as the metadata of the preferred one says it.

Under ``metadata["preferred_to"]`` stand the ids of the others, under each of them who preferred it so (``""`` where
nobody is named), and there ``at``, when that was, and ``conversation``, in which. Ids of saved nodes never change, but
a fork of the conversation has other nodes under the same ids: a verdict counts only in the conversation that it names.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from branchlog._core.message import Json
from branchlog._core.tree import Node

PREFERRED_TO = "preferred_to"
"""The key in the metadata of a node for verdicts in its favour."""

NOBODY = ""
"""The judge of a verdict that names none."""


@attrs.frozen(kw_only=True)
class Verdict:
    """One judge prefers one alternative to another."""

    winner: Node
    loser: Node
    by: str | None
    at: str


def verdicts_of(fork: Node, conversation: str) -> list[Verdict]:
    """The verdicts on the children of a node, in the order of the winners: one for each judge and pair, the last."""
    last: dict[tuple[int, int, str], Verdict] = {}
    for verdict in _said(fork, conversation):
        low, high = sorted((verdict.winner.index, verdict.loser.index))
        key = (low, high, verdict.by or NOBODY)
        if key not in last or last[key].at <= verdict.at:
            last[key] = verdict
    return sorted(last.values(), key=lambda each: (each.winner.index, each.loser.index, each.by or NOBODY))


def _said(fork: Node, conversation: str) -> Iterator[Verdict]:
    """What the metadata says, two opposite verdicts of one judge among it where two writers were at work at once."""
    children = fork.children
    preferred = [(node, _object(said)) for node in children if (said := node.metadata.get(PREFERRED_TO))]
    if not preferred:
        return  # ids are as long as their nodes are deep, and most forks have no verdicts
    alternatives = {node.id: node for node in children}
    for winner, others in preferred:
        for id, judges in others.items():
            loser = alternatives.get(id)
            if loser is not None and loser != winner:
                yield from _verdicts(winner, loser, _object(judges), conversation)


def _verdicts(winner: Node, loser: Node, judges: dict[str, Json], conversation: str) -> Iterator[Verdict]:
    for judge, said in judges.items():
        at = _object(said).get("at")
        if isinstance(at, str) and _object(said).get("conversation") == conversation:
            yield Verdict(winner=winner, loser=loser, by=judge or None, at=at)


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def favour(winner: Node, loser: Node, verdicts: list[Verdict]) -> int:
    """By how many judges more one is preferred to the other; below 0 where it is the other way round."""
    return sum(
        1 if (each.winner, each.loser) == (winner, loser) else -1
        for each in verdicts
        if {each.winner, each.loser} == {winner, loser}
    )
