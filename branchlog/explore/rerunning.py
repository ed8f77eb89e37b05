"""An old conversation's questions asked again: a new branch beside the old one, answered by somebody else."""

from __future__ import annotations

from typing import Any

import attrs

from branchlog._core.tree import Node
from branchlog.conversation import Conversation, NodeLike
from branchlog.errors import InvalidInput
from branchlog.explore.reply import Respondent, as_responder
from branchlog.explore.streaming import lock_of, reply_to
from branchlog.store import AsyncStore

REPLIES = frozenset({"assistant", "tool", "function"})
"""The roles of what answers: all of it behind one question is answered anew by one reply."""

RERUN_OF = "rerun_of"
"""The key in the metadata of a question that was repeated for the id of the node that it repeats."""


async def rerun(
    store: AsyncStore, chat: Conversation, responder: Respondent, *, to: NodeLike = "@", **options: Any
) -> Node:
    """Answer the questions on the way to a node again, as a new branch; the last node of that, saved.

    The branch parts from the old one at the first answer. Questions behind it, and what else is no answer, are repeated
    on it with ``metadata["rerun_of"]``; what was answered by several messages, tools among them, is answered by one.
    The cursor stays. ``options`` are those of ``stream``. Raises ``InvalidInput`` where nothing is asked on that way,
    and ``ResponderError`` where a reply fails: the branch ends there.
    """
    answerer = as_responder(responder)
    path = chat.path(to)
    if not any(_role(node) == "user" for node in path):
        raise InvalidInput(f"nothing is asked on the way to node {path[-1].id!r}: there is no message of a user on it")
    end, asked = path[0], _role(path[0]) == "user"
    for node in path[1:]:
        role = _role(node)
        if role in REPLIES:
            if not asked and node.parent == end:
                end = node  # a greeting: nobody had asked
                continue
            if asked:
                end, asked = await reply_to(store, chat, answerer, under=end, cursor=None, **options), False
            continue
        end = node if node.parent == end else await _repeated(store, chat, node, end)
        asked = asked or role == "user"
    return await reply_to(store, chat, answerer, under=end, cursor=None, **options) if asked else end


def _role(node: Node) -> str | None:
    message = node.message
    return None if message is None else message.role


async def _repeated(store: AsyncStore, chat: Conversation, node: Node, under: Node) -> Node:
    message = node.message
    if message is None:  # pragma: no cover - only the root has none, and that is never repeated
        return under
    async with lock_of(chat):
        copy = chat.add(attrs.evolve(message, metadata={**message.metadata, RERUN_OF: node.id}), under=under)
        await store.save(chat)
        return copy
