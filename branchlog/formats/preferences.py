"""Pairs of a better and a worse reply, from verdicts and ratings, as libraries for preference tuning read them.

A pair is an object with ``prompt``, the messages above, and ``chosen`` and ``rejected``, a list of one message each:
the conversational form of a preference data set with an explicit prompt. ``score_chosen`` and ``score_rejected`` are
the ratings, where these say the same as the pair does.

Two alternatives give a pair if both are the assistant's, neither is hidden or erased, what they say differs, there is a
message above them of which none is erased, and it is said which is better: by the verdicts on the two
(``branchlog.verdicts``), of which the majority counts, or where there are none or as many for one as for the other, by
two ratings that differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from branchlog._core.message import Message
from branchlog._core.tree import Node
from branchlog.conversation import Conversation
from branchlog.formats import chat_completions
from branchlog.formats.carry import JsonObject
from branchlog.formats.lists import as_chat
from branchlog.formats.outline import Join
from branchlog.verdicts import favour, verdicts_of

FORMAT = "preferences"
JOIN: Join = "lines"
SUFFIX = ".jsonl"
PATHS = False

ROLE = "assistant"
"""Whose messages are compared: those that a model is to learn to say."""


def write(chat: Conversation) -> list[JsonObject]:
    """Every pair of the conversation: fork by fork, the best rated chosen first."""
    lines: list[JsonObject] = []
    for fork in chat.forks:
        pairs = list(_pairs(fork, chat.id))
        if pairs and not any(node.redacted for node in fork.path):
            prompt = [as_chat(message, chat_completions.FORMAT) for message in chat.messages(fork)]
            lines += [{"prompt": prompt, **pair} for pair in pairs if prompt]
    return lines


def _pairs(fork: Node, conversation: str) -> Iterator[JsonObject]:
    replies = [(node, said) for node in fork.children if (said := _reply(node))]
    replies.sort(key=lambda each: -(each[0].rating or 0))
    verdicts = verdicts_of(fork, conversation)
    for (one, text), (other, other_text) in combinations(replies, 2):
        better = favour(one, other, verdicts) or _stars(one, other)
        if better and text.to_chat() != other_text.to_chat():
            yield _pair(one, text, other, other_text) if better > 0 else _pair(other, other_text, one, text)


def _stars(one: Node, other: Node) -> float:
    """By how much one is rated higher; 0 if either is not rated."""
    high, low = one.rating, other.rating
    return 0 if high is None or low is None else high - low


def _pair(better: Node, chosen: Message, worse: Node, rejected: Message) -> JsonObject:
    scores = {"score_chosen": better.rating, "score_rejected": worse.rating} if _stars(better, worse) > 0 else {}
    return {
        "chosen": [as_chat(chosen, chat_completions.FORMAT)],
        "rejected": [as_chat(rejected, chat_completions.FORMAT)],
        **scores,
    }


def _reply(node: Node) -> Message | None:
    """What the assistant says here, if it may be shown."""
    message = node.message
    return None if message is None or message.role != ROLE or node.hidden or node.redacted else message
