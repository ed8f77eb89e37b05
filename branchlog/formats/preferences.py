"""Pairs of a better and a worse reply, from ratings, as libraries for preference tuning read them.

A pair is an object with ``prompt``, the messages above, and ``chosen`` and ``rejected``, a list of one message each:
the conversational form of a preference data set with an explicit prompt. ``score_chosen`` and ``score_rejected`` are
the ratings.

Two alternatives give a pair if both are the assistant's and rated, neither is hidden or erased, their ratings differ
and what they say does too, and there is a message above them of which none is erased. So n such alternatives of n
ratings give n * (n - 1) / 2 pairs; equal ratings and alternatives without one give none.
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

FORMAT = "preferences"
JOIN: Join = "lines"
SUFFIX = ".jsonl"
PATHS = False

ROLE = "assistant"
"""Whose messages are compared: those that a model is to learn to say."""


def write(chat: Conversation) -> list[JsonObject]:
    """Every pair of the conversation: fork by fork, the best chosen first."""
    lines: list[JsonObject] = []
    for fork in chat.forks:
        pairs = list(_pairs(fork))
        if pairs and not any(node.redacted for node in fork.path):
            prompt = [as_chat(message, chat_completions.FORMAT) for message in chat.messages(fork)]
            lines += [{"prompt": prompt, **pair} for pair in pairs if prompt]
    return lines


def _pairs(fork: Node) -> Iterator[JsonObject]:
    rated = [(rating, said) for node in fork.children if (rating := node.rating) is not None and (said := _reply(node))]
    rated.sort(key=lambda each: -each[0])
    for (high, better), (low, worse) in combinations(rated, 2):
        if high > low and better.to_chat() != worse.to_chat():
            yield {
                "chosen": [as_chat(better, chat_completions.FORMAT)],
                "rejected": [as_chat(worse, chat_completions.FORMAT)],
                "score_chosen": high,
                "score_rejected": low,
            }


def _reply(node: Node) -> Message | None:
    """What the assistant says here, if it may be shown."""
    message = node.message
    return None if message is None or message.role != ROLE or node.hidden or node.redacted else message
