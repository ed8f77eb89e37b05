"""Judging alternatives: which of two is better, which is best of all, and what that says about those who answered.

A rating is ``chat.annotate(node, rating=...)``. A verdict is kept as ``branchlog.verdicts`` says. The ranking is that
of Bradley and Terry: each competitor has a strength, and one beats another with the probability
``1 / (1 + exp(other - one))``. The strengths are the most likely ones, where each is taken to be drawn from a standard
normal distribution: so they are finite also for those who never lost, and defined for those who never met. One win
alone makes a probability of 0.66 to win again, about that of Laplace's rule of succession (2 of 3), and many
comparisons outweigh it. The extra ``rank`` brings the library that fits them, choix.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, Literal, TypeAlias

import attrs

from branchlog._core.projection import to_datetime
from branchlog._core.tree import Node
from branchlog.conversation import Conversation, NodeLike
from branchlog.errors import InvalidInput
from branchlog.explore.comparing import model_of, responder_of
from branchlog.verdicts import NOBODY, PREFERRED_TO, favour, verdicts_of

Of: TypeAlias = Literal["model", "responder", "node"]
"""Whose strength is asked for: models, responders, or the replies themselves."""

PRIOR = 0.5
"""What choix takes for a standard normal prior: the factor of the squared strengths in the penalty."""

TOLERANCE = 1e-9
"""Where the fit stops: far beneath what is shown, so that the order of the input makes no difference."""


@attrs.frozen(kw_only=True)
class Judgement:
    """One comparison: names of the better and the worse, who said so, and where.

    ``implied`` where it is said by two ratings and not by a verdict.
    """

    winner: str
    loser: str
    by: str | None = None
    conversation: str | None = None
    implied: bool = False


@attrs.frozen(kw_only=True)
class Strength:
    """How strong one competitor is: 0 is average. ``chance`` is the probability to beat an average one."""

    name: str
    strength: float
    wins: int
    losses: int

    @property
    def chance(self) -> float:
        """The probability to beat one of strength 0."""
        return 1 / (1 + math.exp(-self.strength))


def prefer(chat: Conversation, winner: NodeLike, loser: NodeLike, *, by: str | None = None) -> None:
    """Say that one alternative is better than another; ``by`` is whose verdict it is.

    A judge has one verdict on two alternatives: a later one takes the place of an earlier one, also of its opposite.
    Raises ``InvalidInput`` where the two are not alternatives to each other, or are not saved yet in a conversation of
    a store: until then their ids may change.
    """
    better, worse = chat.node(winner), chat.node(loser)
    if better == worse or better.parent is None or better.parent != worse.parent:
        raise InvalidInput(f"{better.id!r} and {worse.id!r} are not two alternatives of one fork")
    if by is not None and (type(by) is not str or not by):
        raise InvalidInput(f"a judge has a name, or is left out; found {by!r}")
    if chat._belongs_to_store and max(better.version, worse.version) > chat.saved_version:
        raise InvalidInput("save the conversation first: ids of messages that are not saved may change yet")
    judge, at = by or NOBODY, to_datetime(chat._now(None)).isoformat(timespec="microseconds")
    opposite = worse.metadata.get(PREFERRED_TO)
    against = opposite.get(better.id) if isinstance(opposite, dict) else None
    if isinstance(against, dict) and judge in against:
        chat.annotate(worse, metadata={PREFERRED_TO: {better.id: {judge: None}}})
    said = {judge: {"at": at, "conversation": chat.id}}
    chat.annotate(better, metadata={PREFERRED_TO: {worse.id: said}})


def pick(chat: Conversation, node: NodeLike, *, by: str | None = None, cursor: str = "main") -> Node:
    """Say that a node is the best of its alternatives, better than each other one, and put a cursor on it.

    The node. Raises as ``prefer`` does.
    """
    best = chat.node(node, cursor=cursor)
    for other in best.alternatives:
        if other != best:
            prefer(chat, best, other, by=by)
    return chat.move(best, cursor=cursor)


def judgements(
    chats: Conversation | Iterable[Conversation], *, of: Of = "model", ratings: bool = False
) -> list[Judgement]:
    """Every comparison of two replies in these conversations: one for each verdict of each judge.

    With ``ratings`` also one for each two alternatives whose ratings differ and on which there is no verdict. Compared
    is what the assistant says; erased messages are not, nor two replies of one model, or of one that is not known.
    A node is named by its conversation and its id: ``trip 0.1``.
    """
    if of not in ("model", "responder", "node"):
        raise InvalidInput(f"strengths are those of 'model', 'responder' or 'node', not of {of!r}")
    several = [chats] if isinstance(chats, Conversation) else chats
    return [judgement for chat in several for fork in chat.forks for judgement in _of_fork(chat, fork, of, ratings)]


def _of_fork(chat: Conversation, fork: Node, of: Of, ratings: bool) -> Iterator[Judgement]:
    names = {node: _name(chat, node, of) for node in fork.children if _is_compared(node)}
    verdicts = verdicts_of(fork, chat.id)
    found = [(each.winner, each.loser, each.by, False) for each in verdicts]
    if ratings:
        met = {frozenset((each.winner, each.loser)) for each in verdicts}
        found += [(high, low, None, True) for high, low in _rated(names) if frozenset((high, low)) not in met]
    for winner, loser, by, implied in found:
        better, worse = names.get(winner), names.get(loser)
        if better is not None and worse is not None and better != worse:
            yield Judgement(winner=better, loser=worse, by=by, conversation=chat.id, implied=implied)


def _rated(nodes: Iterable[Node]) -> Iterator[tuple[Node, Node]]:
    """Each two nodes whose ratings differ, the better first."""
    rated = [(node, rating) for node in nodes if (rating := node.rating) is not None]
    for (one, high), (other, low) in combinations(rated, 2):
        if high != low:
            yield (one, other) if high > low else (other, one)


def _is_compared(node: Node) -> bool:
    message = node.message
    return message is not None and message.role == "assistant" and not node.redacted


def _name(chat: Conversation, node: Node, of: Of) -> str | None:
    if of == "node":
        return f"{chat.id} {node.id}"
    return model_of(node) if of == "model" else responder_of(node)


def rank(found: Iterable[Judgement]) -> list[Strength]:
    """The strengths that these comparisons speak for, the strongest first; equal ones by name.

    They sum up to 0, and only their differences say something. Raises ``InvalidInput`` without the extra ``rank``.
    """
    won = Counter((judgement.winner, judgement.loser) for judgement in found)
    names = sorted({name for pair in won for name in pair})
    if not names:
        return []
    places = {name: place for place, name in enumerate(names)}
    pairs = [(places[one], places[other]) for one, other in sorted(won) for _ in range(won[one, other])]
    fitted = _choix().opt_pairwise(len(names), pairs, alpha=PRIOR, tol=TOLERANCE)
    strengths = [
        Strength(
            name=name,
            strength=float(strength),
            wins=sum(count for (winner, _), count in won.items() if winner == name),
            losses=sum(count for (_, loser), count in won.items() if loser == name),
        )
        for name, strength in zip(names, fitted, strict=True)
    ]
    return sorted(strengths, key=lambda each: (-each.strength, each.name))


def favoured(chat: Conversation, one: NodeLike, other: NodeLike) -> int:
    """By how many judges more one alternative is preferred to another; below 0 where it is the other way round."""
    node = chat.node(one)
    fork = node.parent
    return 0 if fork is None else favour(node, chat.node(other), verdicts_of(fork, chat.id))


def _choix() -> Any:
    """The library that fits; ``Any``, since it is imported when it is used."""
    try:
        import choix
    except ImportError as error:
        raise InvalidInput("a ranking needs the library choix: pip install 'branchlog[rank]'") from error
    return choix
