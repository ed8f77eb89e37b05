"""Comparing alternatives and branches: turn by turn behind what they share, word by word, and what each one took.

A turn begins at each message of a user. What stands before the first of them, such as the reply at which two
alternatives part, is a turn of its own, so that replies stand beside replies and questions beside questions.

What a reply took is what its metadata says: ``reply``, as replies have it that were asked for here (``model``,
``usage``, and ``cost`` if somebody put it there), or what dataknobs-llm wrote (``model``, ``usage``, ``cost_usd``).
What is not known is counted as unknown, and never as 0.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Literal

import attrs

from branchlog._core.message import Json
from branchlog._core.tree import Node
from branchlog.conversation import Conversation, NodeLike
from branchlog.errors import InvalidInput
from branchlog.explore.reply import REPLY

WORDS_MAX = 5_000
"""Words of a text up to which it is compared by words; the time grows with the square, and beyond it lines will do."""

INPUT = ("input_tokens", "prompt_tokens")
OUTPUT = ("output_tokens", "completion_tokens")
"""What the APIs call the tokens that went in, and those that came out."""

_SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Kana and the signs of Chinese, which are written without blanks: each is a word."""

_WORD = re.compile(rf"\s+|[{_SIGNS}]|[^\W{_SIGNS}]+|[^\w\s]")


# Texts.


@attrs.frozen
class Span:
    """A stretch of text that two texts share, or that only the first has (removed), or only the second (added)."""

    operation: Literal["same", "removed", "added"]
    text: str


def text_diff(one: str, other: str) -> tuple[Span, ...]:
    """How one text becomes another, by words; by lines where one has more than 5,000 words.

    The spans that are the same or removed are the first text, those that are the same or added the second.
    """
    left, right = _WORD.findall(one), _WORD.findall(other)
    if max(len(left), len(right)) > WORDS_MAX:
        left, right = one.splitlines(keepends=True), other.splitlines(keepends=True)
    spans: list[Span] = []
    for operation, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if operation == "equal":
            spans.append(Span("same", "".join(left[a:b])))
            continue
        spans += [Span("removed", "".join(left[a:b]))] if a < b else []
        spans += [Span("added", "".join(right[c:d]))] if c < d else []
    return tuple(spans)


# What replies took.


def _price(_instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InvalidInput(f"{attribute.name} is a number of 0 or more, found {value!r}")


@attrs.frozen
class Price:
    """What a million tokens cost that go in, and that come out; the currency is the caller's."""

    input_per_million: float = attrs.field(validator=_price)
    output_per_million: float = attrs.field(validator=_price)


Prices = Mapping[str, Price]
"""Prices by the name of a model, or of a responder."""


@attrs.frozen(kw_only=True)
class Spent:
    """What some replies took together.

    The sums are those of the replies that say it, None where none does; ``unknown_tokens`` and ``unknown_cost`` are how
    many replies do not say it. So a sum is the whole where its unknown is 0, and else the least that it can be.
    """

    replies: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost: float | None = 0.0
    unknown_tokens: int = 0
    unknown_cost: int = 0


def spent(nodes: Iterable[Node], prices: Prices | None = None) -> Spent:
    """What the replies among these nodes took: the messages of the assistant."""
    took = [_took(node, prices or {}) for node in nodes if is_reply(node)]
    tokens_in, tokens_out, costs = zip(*took, strict=True) if took else ((), (), ())
    return Spent(
        replies=len(took),
        input_tokens=_sum(tokens_in),
        output_tokens=_sum(tokens_out),
        cost=None if (known := _known(costs)) is None else sum(known),
        unknown_tokens=sum(one is None or other is None for one, other, _ in took),
        unknown_cost=sum(cost is None for cost in costs),
    )


def spent_by_model(nodes: Iterable[Node], prices: Prices | None = None) -> dict[str | None, Spent]:
    """What the replies of each model took, in the order of their names; None is for those whose model is not known."""
    by_model: dict[str | None, list[Node]] = {}
    for node in nodes:
        if is_reply(node):
            by_model.setdefault(model_of(node), []).append(node)
    names = sorted(by_model, key=lambda name: (name is None, name or ""))
    return {name: spent(by_model[name], prices) for name in names}


def is_reply(node: Node) -> bool:
    """Whether the assistant speaks here."""
    message = node.message
    return message is not None and message.role == "assistant"


def model_of(node: Node) -> str | None:
    """The model that answered here, if it is known."""
    return _name(_said(node).get("model")) or _name(_dataknobs(node).get("model"))


def responder_of(node: Node) -> str | None:
    """The responder that answered here, if it is known: a model at a temperature, a function."""
    return _name(_said(node).get("responder"))


def _took(node: Node, prices: Prices) -> tuple[int | None, int | None, float | None]:
    """Tokens in and out, and the cost: what the reply says of it, or else what the tokens cost."""
    said, told = _said(node), _dataknobs(node)
    usage = _object(said.get("usage")) or _object(told.get("usage"))
    tokens_in, tokens_out = (_count(usage, keys) for keys in (INPUT, OUTPUT))
    cost = _number(said.get("cost"))
    cost = _number(told.get("cost_usd")) if cost is None else cost
    price = prices.get(model_of(node) or "") or prices.get(responder_of(node) or "")
    if cost is None and price is not None and tokens_in is not None and tokens_out is not None:
        cost = (tokens_in * price.input_per_million + tokens_out * price.output_per_million) / 1e6
    return tokens_in, tokens_out, cost


def _said(node: Node) -> dict[str, Json]:
    return _object(node.metadata.get(REPLY))


def _dataknobs(node: Node) -> dict[str, Json]:
    """What dataknobs-llm wrote into the metadata of its node."""
    kept = _object(node.metadata.get("dataknobs"))
    return _object(_object(kept.get("node")).get("metadata"))


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _name(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value >= 0 else None


def _count(usage: dict[str, Json], keys: Iterable[str]) -> int | None:
    counts = (usage.get(key) for key in keys)
    return next((count for count in counts if type(count) is int and count >= 0), None)


def _known(values: Sequence[float | None]) -> list[float] | None:
    """The values that are known; None where there are values and none is."""
    known = [value for value in values if value is not None]
    return None if values and not known else known


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return None if counts and not known else sum(known)


# Branches beside each other.


@attrs.frozen
class Turn:
    """What each branch says in one turn; nothing where it has ended."""

    sides: tuple[tuple[Node, ...], ...]

    def texts(self) -> tuple[str, ...]:
        """What each branch says here, message by message."""
        return tuple("\n\n".join(_texts(side)) for side in self.sides)

    def diff(self, one: int = 0, other: int = 1) -> tuple[Span, ...]:
        """How the text of one branch becomes that of another."""
        texts = self.texts()
        return text_diff(texts[one], texts[other])

    def said(self) -> tuple[list[dict[str, Json]], ...]:
        """The messages of each branch, as a model is sent them."""
        return tuple([message.to_chat() for node in side if (message := node.message)] for side in self.sides)


def _texts(side: Iterable[Node]) -> list[str]:
    return [message.text for node in side if (message := node.message) is not None]


@attrs.frozen(kw_only=True)
class Way:
    """One branch behind what all share: its last node, its own nodes, and what the replies among these took."""

    node: Node
    tail: tuple[Node, ...]
    spent: Spent
    by_model: dict[str | None, Spent]


@attrs.frozen(kw_only=True)
class Alignment:
    """Branches beside each other: what they share up to ``ancestor``, each branch, and the turns behind it.

    ``by_model`` is what the replies of each model took, on all of them together, each reply once.
    """

    ancestor: Node
    ways: tuple[Way, ...]
    turns: tuple[Turn, ...]
    by_model: dict[str | None, Spent]

    @property
    def same(self) -> bool:
        """Whether all say the same."""
        return all(side == said[0] for turn in self.turns for said in [turn.said()] for side in said[1:])


def align(chat: Conversation, *nodes: NodeLike, prices: Prices | None = None) -> Alignment:
    """Put the ways to two or more nodes beside each other, turn by turn behind the last node that all share.

    Raises ``InvalidInput`` for fewer than two, and ``NodeNotFound``.
    """
    ends = [chat.node(node) for node in nodes]
    if len(ends) < 2:
        raise InvalidInput(f"it takes two nodes to compare; found {len(ends)}")
    ancestor = reduce(lambda one, other: one.common_ancestor(other), ends)
    tails = [end.path[ancestor.depth + 1 :] for end in ends]
    every = {node.index: node for tail in tails for node in tail}
    return Alignment(
        ancestor=ancestor,
        ways=tuple(
            Way(node=end, tail=tail, spent=spent(tail, prices), by_model=spent_by_model(tail, prices))
            for end, tail in zip(ends, tails, strict=True)
        ),
        turns=_turns([_in_turns(tail) for tail in tails]),
        by_model=spent_by_model(every.values(), prices),
    )


def _in_turns(tail: Iterable[Node]) -> list[list[Node]]:
    """A tail in turns; the first one is what stands before the first message of a user, and may be empty."""
    turns: list[list[Node]] = [[]]
    for node in tail:
        message = node.message
        if message is not None and message.role == "user":
            turns.append([])
        turns[-1].append(node)
    return turns


def _turns(tails: list[list[list[Node]]]) -> tuple[Turn, ...]:
    rows = (
        Turn(tuple(tuple(turns[number]) if number < len(turns) else () for turns in tails))
        for number in range(max(map(len, tails)))
    )
    return tuple(row for row in rows if any(row.sides))
