"""Drawing is a pure function, tested as such."""

import random
import re
import time

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from branchlog import Conversation, Message
from branchlog.cli.drawing import LINES_MAX, Drawing, Line, gist, styled, unfolded_gaps


def grown(parents: list[int]) -> Conversation:
    """A conversation whose node n + 1 hangs under node ``parents[n]``."""
    chat = Conversation.start("c", system="root")
    for number, parent in enumerate(parents):
        chat.add("user", f"message {number}", under=chat.tree.nodes[parent % len(chat.tree)])
    return chat


def drawn(chat: Conversation, **options: object) -> list[Line]:
    drawing = Drawing(tree=chat.tree, start=chat.tree.root)
    return list(attrs.evolve(drawing, **options).lines())


def plain(lines: list[Line], width: int | None = None) -> list[str]:
    return [styled(line, width).plain for line in lines]


def walk() -> Conversation:
    chat = Conversation.start("c", system="You plan walks.")
    chat.say("user", "Where?")
    chat.say("assistant", "Along the river.")
    chat.say("user", "And if it rains?")
    chat.say("assistant", "To the castle.", under="0")
    return chat


def test_what_is_on_show_goes_straight_down_and_the_rest_steps_to_the_right():
    assert plain(drawn(walk())) == [
        "●  root  system: You plan walks.",
        "●  0  user: Where?",
        "├─○  0.0 (1 of 2)  assistant: Along the river.",
        "│ ○  0.0.0  user: And if it rains?",
        "◉  0.1 (main, 2 of 2)  assistant: To the castle.",
    ]


def test_all_that_is_said_of_a_node_is_in_its_brackets():
    chat = walk()
    chat.annotate("0.0", label="river", rating=4.5, bookmark=True, hidden=True)
    chat.new_cursor("guest", "0.0")

    assert plain(drawn(chat))[2] == (
        "├─○  0.0 (guest, #river, ★4.5, bookmark, hidden, 1 of 2)  assistant: Along the river."
    )


def test_a_place_beneath_the_cursor_is_not_on_show():
    chat = walk()
    chat.move("0.0")

    assert plain(drawn(chat))[-3:] == [
        "├─○  0.1 (2 of 2)  assistant: To the castle.",
        "◉  0.0 (main, 1 of 2)  assistant: Along the river.",
        "○  0.0.0  user: And if it rains?",
    ]


def test_another_cursor_shows_its_own_line():
    chat = walk()
    chat.new_cursor("guest", "0.0.0")

    lines = drawn(chat, cursor="guest")

    assert [line.name for line in lines if line.on_show] == ["root", "0", "0.0", "0.0.0"]
    assert [line.name for line in lines if line.at_cursor] == ["0.0.0"]


def test_the_past_is_drawn_without_what_came_later():
    chat = walk()

    assert plain(drawn(chat, tree=chat.at(5), start=chat.at(5).root)) == [
        "●  root  system: You plan walks.",
        "●  0  user: Where?",
        "◉  0.0 (main)  assistant: Along the river.",
    ]


def test_depth_says_how_much_is_left_out():
    assert plain(drawn(walk(), depth=1)) == [
        "●  root  system: You plan walks.",
        "●  0  user: Where?",
        "⋮  3 messages beneath",
    ]


def test_a_drawing_may_begin_at_any_node():
    chat = walk()

    assert [line.name for line in drawn(chat, start=chat.tree["0.0"])] == ["0.0", "0.0.0"]


def test_a_long_run_is_folded_but_for_its_ends_and_what_is_marked():
    chat = grown(list(range(40)))
    chat.move(chat.tree.nodes[40])
    chat.annotate(chat.tree.nodes[20], label="half")
    texts = plain(drawn(chat))

    assert texts[3] == "⋮  17 messages"
    assert texts[4].endswith("(#half)  user: message 19")
    assert texts[5] == "⋮  17 messages"
    assert len(texts) == 9


def test_a_wide_fork_is_folded_but_for_the_first_the_one_on_show_and_the_marked():
    chat = grown([0] * 100)
    chat.move("50")
    chat.annotate("77", bookmark=True)
    lines = drawn(chat)

    assert [line.name for line in lines if line.node] == ["root", "0", "1", "2", "3", "4", "5", "77", "50"]
    assert plain(lines)[-2] == "├─⋮  92 more alternatives"


def test_a_marked_node_deep_in_what_is_folded_stays_in_sight():
    chat = grown([random.Random(5).randrange(number + 1) for number in range(3_000)])
    chat.annotate(chat.tree.nodes[1_234], label="here")

    assert sum("#here" in line.notes for line in drawn(chat)) == 1


def test_deep_nodes_are_named_by_a_short_expression_that_finds_them():
    chat = grown(list(range(50)))
    lines = [line for line in drawn(chat, fold=False) if line.node]

    assert all(len(line.name) <= 26 for line in lines)
    assert [chat.node(line.name) for line in lines] == list(chat.tree.nodes)


def test_ids_are_given_in_full_where_asked_for():
    chat = grown(list(range(50)))

    assert drawn(chat, fold=False, ids=True)[-1].name == ".".join("0" * 50)


@given(st.lists(st.integers(0, 300), max_size=200))
def test_unfolded_every_node_is_drawn_once_and_beneath_its_parent(parents):
    chat = grown(parents)
    lines = drawn(chat, fold=False)
    nodes = [line.node for line in lines]

    assert sorted(node.index for node in nodes) == list(range(len(chat.tree)))
    seen = set()
    for node in nodes:
        assert node.parent is None or node.parent.index in seen
        seen.add(node.index)


@given(st.lists(st.integers(0, 300), max_size=300), st.integers(0, 300))
def test_what_is_drawn_and_what_is_folded_add_up_to_the_tree(parents, place):
    chat = grown(parents)
    chat.move(chat.tree.nodes[place % len(chat.tree)])
    lines = drawn(chat)
    shown = sum(line.node is not None for line in lines)

    assert shown + sum(map(folded_in, lines)) == len(chat.tree)


def folded_in(line: Line) -> int:
    """How many nodes a line stands for."""
    if line.node is not None:
        return 0
    alone = re.fullmatch(r"([\d,]+) (?:more )?alternatives?", line.text)
    in_all = re.search(r"([\d,]+) messages? in all", line.text)
    run = re.fullmatch(r"([\d,]+) messages?(?: beneath|, ([\d,]+) more beside)?", line.text)
    found = alone or in_all or run
    assert found, line.text
    return sum(int(number.replace(",", "")) for number in found.groups() if number)


SHAPES = {
    "deep": lambda n: list(range(n)),
    "wide": lambda n: [0] * n,
    "comb": lambda n: [max(0, number - 1 - number % 2) for number in range(n)],
    "random": lambda n: [random.Random(number).randrange(number + 1) for number in range(n)],
    "bushy": lambda n: [max(0, number - random.Random(number).randrange(40)) for number in range(n)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_thousand_nodes_fit_a_few_screens_and_do_not_take_long(shape):
    chat = grown(SHAPES[shape](10_000))
    chat.move(chat.tree.nodes[9_000])
    began = time.process_time()
    lines = drawn(chat)
    folded_seconds = time.process_time() - began
    everything = drawn(chat, fold=False)

    assert len(lines) <= LINES_MAX
    assert sum(line.node is not None for line in everything) == 10_001
    assert max(cell_len(line.rails) for line in everything) <= 2 * 15  # log2 of the nodes, and the line on show
    assert folded_seconds < 5  # a generous bound: quadratic work would take minutes


def test_lines_are_cut_to_the_width_in_columns():
    chat = Conversation.start("c", system="漢字" * 100)
    (line,) = plain(drawn(chat), width=60)

    assert cell_len(line) <= 60
    assert line.endswith("…")


def test_a_message_without_text_is_told_by_what_it_has():
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}

    assert gist(Message("assistant", None, tool_calls=[call])) == "[weather()]"
    assert gist(Message("user", [{"type": "image_url", "image_url": {"url": "x"}}])) == "[image_url]"
    assert gist(Message("user", " \n ")) == "(empty)"


def test_small_gaps_are_not_folded():
    assert unfolded_gaps([0, 1, 4, 10]) == [0, 1, 2, 3, 4, 10]
