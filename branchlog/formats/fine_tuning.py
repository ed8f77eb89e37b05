"""Every branch of a conversation as one line of a fine-tuning file: an object with the ``messages`` from the root on.

What stood beside a list that came in as chat-completions, such as ``tools``, stands there again.
"""

from __future__ import annotations

from branchlog.conversation import Conversation
from branchlog.formats import chat_completions
from branchlog.formats.carry import JsonObject
from branchlog.formats.lists import as_chat
from branchlog.formats.outline import Join, lists_at

FORMAT = "fine-tuning"
JOIN: Join = "lines"
SUFFIX = ".jsonl"
PATHS = False


def write(chat: Conversation) -> list[JsonObject]:
    """One object for each branch, in the order of the leaves; none for a conversation without messages."""
    lines: list[JsonObject] = []
    for leaf in chat.tree.leaves:
        messages = chat.messages(leaf)
        if messages:
            written = [as_chat(message, chat_completions.FORMAT) for message in messages]
            lines += [{**fields, "messages": written} for fields in lists_at(leaf, chat_completions.FORMAT) or [{}]]
    return lines
