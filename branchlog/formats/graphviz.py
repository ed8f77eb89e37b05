"""The tree as a graph in the language of Graphviz, for ``dot`` to draw. It can be written only."""

from __future__ import annotations

from collections.abc import Iterator

from branchlog.conversation import Conversation
from branchlog.formats.outline import Join
from branchlog.formats.transcript import box_of, path_on_show, title_of

FORMAT = "graphviz"
JOIN: Join = "alone"
SUFFIX = ".dot"
PATHS = False


def write(chat: Conversation) -> str:
    """The whole tree as a directed graph, with the path to the cursor ``main`` marked."""
    return "\n".join(_lines(chat)) + "\n"


def _lines(chat: Conversation) -> Iterator[str]:
    on_show = {node.index for node in path_on_show(chat)}
    yield "digraph conversation {"
    title = f"label={quoted(title_of(chat))}, labelloc=t, " if chat.tree.title else ""
    yield f"    graph [{title}ordering=out];"
    yield '    node [shape=box, fontname="sans-serif"];'
    for node in chat.tree:
        mark = ", penwidth=3" if node.index in on_show else ""
        yield f"    n{node.version} [label={quoted(box_of(node))}{mark}];"
    for node in chat.tree:
        if node.parent is not None:
            mark = " [penwidth=3]" if node.index in on_show else ""
            yield f"    n{node.parent.version} -> n{node.version}{mark};"
    yield "}"


def quoted(text: str) -> str:
    """A text on one line between quotation marks: dot reads backslashes and, in labels, HTML's entities."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") + '"'
