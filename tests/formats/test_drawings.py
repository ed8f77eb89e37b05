"""Mermaid and Graphviz text: their grammar, and that no text of others acts in it."""

import html
import json
import re
import warnings

import pytest
from formats.told import deep, nasty, walk
from hypothesis import example, given
from hypothesis import strategies as st

from branchlog.exchange import export
from branchlog.formats import graphviz, mermaid
from branchlog.formats.transcript import box_of, title_of
from branchlog.testing.strategies import conversations

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pydot's parser is made, when it is loaded, by names that pyparsing gave up
    import pydot
    import pydot.dot_parser

MERMAID = """\
---
title: "A walk"
---
flowchart TD
    n1["root system#58; You plan walks."]
    n2["0 user#58; Where shall we walk?"]
    n4["0.0 assistant (rated 4 of 5, label river)#58; Along the river."]
    n6["0.0.0 user#58; And if it rains?"]
    n8["0.1 assistant#58; weather()"]
    n9["0.2 assistant (bookmark)#58; To the castle."]
    n11["0.2.0 user#58; This one?"]
    n1 --> n2
    n2 --> n4
    n4 --> n6
    n2 --> n8
    n2 --> n9
    n9 --> n11
    classDef shown stroke-width:3px,font-weight:bold
    class n1 shown
    class n2 shown
    class n9 shown
    class n11 shown
"""

DOT = """\
digraph conversation {
    graph [label="A walk", labelloc=t, ordering=out];
    node [shape=box, fontname="sans-serif"];
    n1 [label="root system: You plan walks.", penwidth=3];
    n2 [label="0 user: Where shall we walk?", penwidth=3];
    n4 [label="0.0 assistant (rated 4 of 5, label river): Along the river."];
    n6 [label="0.0.0 user: And if it rains?"];
    n8 [label="0.1 assistant: weather()"];
    n9 [label="0.2 assistant (bookmark): To the castle.", penwidth=3];
    n11 [label="0.2.0 user: This one?", penwidth=3];
    n1 -> n2 [penwidth=3];
    n2 -> n4;
    n4 -> n6;
    n2 -> n8;
    n2 -> n9 [penwidth=3];
    n9 -> n11 [penwidth=3];
}
"""

LABEL = r'"(?:[^\W_]|[ .,\-?!()/+]|#[0-9]+;)*"'
LINES_OF_MERMAID = re.compile(
    rf"    n\d+\[{LABEL}\]|    n\d+ --> n\d+|    class n\d+ shown"
    "|    classDef shown stroke-width:3px,font-weight:bold|flowchart TD"
)
"""The part of Mermaid's grammar that is written; a label has letters, digits, a few signs and numbered characters."""

TRICKY = st.text(st.sampled_from('ab"\\&;#<>{}|[]()`%:~=-\n\r\0é😀٣') | st.characters(exclude_categories=["Cs"]))


def unnumbered(text):
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


def read_mermaid(text):
    """The nodes with their labels and the edges of a flowchart, and its title."""
    title, lines = None, text.splitlines()
    if lines[0] == "---":
        title = json.loads(lines[1].removeprefix("title: "))
        lines = lines[3:]
    assert [line for line in lines if not LINES_OF_MERMAID.fullmatch(line)] == []
    labels = {found[1]: unnumbered(found[2]) for found in re.finditer(r'^    (n\d+)\["(.*)"\]$', text, re.MULTILINE)}
    edges = re.findall(r"^    (n\d+) --> (n\d+)$", text, re.MULTILINE)
    return title, labels, edges


def read_dot(text):
    """The same of a graph, by a parser of the language."""
    (graph,) = pydot.graph_from_dot_data(text)
    nodes = {node.get_name(): node.get_label() for node in graph.get_nodes()}
    title = nodes.pop("graph", None)
    nodes.pop("node", None)
    edges = [(edge.get_source(), edge.get_destination()) for edge in graph.get_edges()]
    return None if title is None else shown(title), {name: shown(label) for name, label in nodes.items()}, edges


def shown(quoted):
    """What dot draws for a label: its escapes first, then the entities."""
    assert quoted[0] == quoted[-1] == '"'
    unescaped = re.sub(r'\\(["\\])', r"\1", quoted[1:-1])
    return html.unescape(unescaped)


def expected(chat):
    labels = {f"n{node.version}": box_of(node) for node in chat.tree}
    edges = [(f"n{node.parent.version}", f"n{node.version}") for node in chat.tree if node.parent is not None]
    return labels, edges


def test_a_flowchart():
    assert export(walk(), "mermaid") == MERMAID


def test_a_graph():
    assert export(walk(), "graphviz") == DOT


@pytest.mark.parametrize(("format", "read"), [("mermaid", read_mermaid), ("graphviz", read_dot)])
def test_awkward_text_stays_text(format, read):
    chat = nasty()
    title, labels, edges = read(export(chat, format))

    assert (labels, edges) == expected(chat)
    assert title == title_of(chat)


@given(chat=conversations())
def test_a_flowchart_of_any_conversation(chat):
    _, labels, edges = read_mermaid(export(chat, "mermaid"))

    assert (labels, edges) == expected(chat)


@given(chat=conversations())
def test_a_graph_of_any_conversation(chat):
    _, labels, edges = read_dot(export(chat, "graphviz"))

    assert (labels, edges) == expected(chat)


@example(text="style a:#b;")
@example(text="&lt;#lt;#35;")
@given(text=TRICKY)
def test_a_label_of_mermaid_says_the_text(text):
    """Also after what Mermaid does to the whole text before it reads it: styles with a colon lose their semicolons."""
    escaped = mermaid.escaped(text)

    assert re.fullmatch(LABEL, f'"{escaped}"')
    assert unnumbered(escaped) == text
    assert not re.search(r"(style|classDef).*:\S*#.*;|%%|<(\w+)([^>]*)>", escaped)


@example(text="\\")
@example(text='\\"')
@example(text="&lt;")
@given(text=TRICKY.map(lambda text: " ".join(text.replace("\0", "").split())))
def test_a_label_of_graphviz_says_the_text(text):
    _, labels, _ = read_dot(f"digraph {{ n1 [label={graphviz.quoted(text)}]; }}")

    assert labels == {"n1": text}


@pytest.mark.parametrize("format", ["mermaid", "graphviz"])
def test_depth_and_width_are_no_matter(format):
    assert export(deep(10_000, every=10), format).count("message") == 9_999
