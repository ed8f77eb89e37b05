"""Node ids: one text for each, and an order."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from branchlog import InvalidNodeId
from branchlog._core import node_id
from branchlog.testing.playing import commands, played
from branchlog.testing.strategies import any_text

ordinals = st.lists(st.integers(0, 12) | st.integers(0, 10**node_id.ORDINAL_DIGITS_MAX - 1), max_size=6).map(tuple)
hostile = st.text("0129.-+ \n²\u0661_e", max_size=8)

HOSTILE = (
    "-1", " 1", "1 ", "+1", "01", "00", "1.", ".1", ".", "1..2", "²", "\u0661", str(10**20), "0\n", "\n", "0.-1",
    "0. 1","1_0", "1e2", "0x1", "0.01", "a", "0,1", "\ud800", "\0",
)  # fmt: skip


@given(ordinals)
def test_parse_and_format_are_a_round_trip(path):
    assert node_id.parse(node_id.format(path)) == path


@given(hostile | any_text(max_size=8))
@example("")
@example("0.0")
def test_every_text_that_is_accepted_is_the_one_that_format_gives(text):
    if node_id.is_node_id(text):
        assert node_id.format(node_id.parse(text)) == text
    else:
        with pytest.raises(InvalidNodeId, match="not a node id"):
            node_id.parse(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_nearly_an_id_is_none(text):
    assert not node_id.is_node_id(text)

    with pytest.raises(InvalidNodeId) as refusal:
        node_id.parse(text)

    assert refusal.value.text == text
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("thing", [None, 0, 1.5, b"0", ("0",), ["0"]])
def test_what_is_not_text_is_no_id(thing):
    with pytest.raises(InvalidNodeId):
        node_id.parse(thing)


@given(ordinals, ordinals)
def test_a_parent_comes_before_its_children_and_numbers_count_as_numbers(path, further):
    child = (*path, 2)

    assert node_id.parse(node_id.format(path)) < node_id.parse(node_id.format(child))
    assert node_id.parse(node_id.format((*path, 2, *further))) < node_id.parse(node_id.format((*path, 10)))


@given(commands(40))
def test_walking_a_tree_goes_in_the_order_of_ids(script):
    ids = [node.id for node in played(script).tree.walk()]

    assert sorted(ids, key=node_id.parse) == ids
    assert len(set(ids)) == len(ids)


def test_very_long_texts_are_answered_at_once():
    """Bounded by the number of digits, so that Python is never asked to read a number of a million digits."""
    assert not node_id.is_node_id("9" * 1_000_000)
    assert len(node_id.parse(".".join(["1"] * 100_000))) == 100_000
