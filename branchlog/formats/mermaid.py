"""The tree as a Mermaid flowchart, for pages that draw such text. It can be written only.

Every character of others that Mermaid could read as anything but text is written by its number, as ``#58;``: there is
no other way to escape in its grammar, and its own passes over the whole text look for colons, hashes and brackets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from branchlog.conversation import Conversation
from branchlog.formats.outline import Join
from branchlog.formats.transcript import box_of, path_on_show, title_of

FORMAT = "mermaid"
JOIN: Join = "alone"
SUFFIX = ".mmd"
PATHS = False

_PLAIN = frozenset(" .,-?!()/+")
"""What is written as it is, beside letters and digits."""


def write(chat: Conversation) -> str:
    """The whole tree as a flowchart from the top down, with the path to the cursor ``main`` marked."""
    return "\n".join(_lines(chat)) + "\n"


def _lines(chat: Conversation) -> Iterator[str]:
    if chat.tree.title:
        yield from ("---", f"title: {json.dumps(title_of(chat))}", "---")
    yield "flowchart TD"
    for node in chat.tree:
        yield f'    n{node.version}["{escaped(box_of(node))}"]'
    for node in chat.tree:
        if node.parent is not None:
            yield f"    n{node.parent.version} --> n{node.version}"
    yield "    classDef shown stroke-width:3px,font-weight:bold"
    for node in path_on_show(chat):
        yield f"    class n{node.version} shown"


def escaped(text: str) -> str:
    """The text as Mermaid has it within quotation marks."""
    return "".join(each if each.isalnum() or each in _PLAIN else f"#{ord(each)};" for each in text)
