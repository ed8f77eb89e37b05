"""The strategies make what they say, and shrink to what a person would write."""

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from branchlog import CorruptLog, Message
from branchlog._core import codec, expression, node_id
from branchlog._core.codec import encode_events
from branchlog._core.projection import Projection, evolve_all
from branchlog.commit import Head, genesis, is_whole, verified
from branchlog.logs.memory import MemoryLog
from branchlog.testing import (
    Damage,
    any_text,
    check_tree,
    commits,
    conversations,
    damaged,
    damaged_files,
    damaged_histories,
    damages,
    events,
    expressions,
    histories,
    messages,
    node_ids,
    trees,
)

SHAPES = ["linear", "bushy", "wide", "deep"]


def folded(history):
    state = Projection()
    evolve_all(state, (event for commit in history for event in codec.Codec().decode(commit)))
    return state


@given(events())
def test_events_come_back_from_their_bytes(event):
    assert codec.decode_events(encode_events([event])) == [event]


@given(commits("trip"))
def test_commits_are_whole_and_a_log_takes_them(commit):
    log = MemoryLog()

    assert is_whole(commit)
    assert log.append(commit, expected=0).commit.head == commit.head


@given(commits(head=Head(7, b"x" * 16)))
def test_commits_follow_the_head_they_are_given(commit):
    assert (commit.first, commit.previous) == (8, b"x" * 16)


@given(histories(min_commits=2))
def test_histories_verify_and_fold(history):
    assert list(verified(history, genesis("", "trip"))) == history
    assert folded(history).version == history[-1].last
    assert len(history) >= 2


@given(damaged_histories())
def test_damage_to_a_history_is_found_or_is_a_cut(history):
    assert history.commits != history.whole
    try:
        left = list(verified(history.commits, genesis("", "trip")))
    except CorruptLog:
        assert history.kind != "cut"
    else:
        assert left == history.whole[: len(left)]
        assert history.kind == "cut" or history.kind == "hole"


@pytest.mark.parametrize("shape", SHAPES)
def test_trees_have_their_shape_and_size(shape):
    @given(trees(shape, max_nodes=12))
    def check(tree):
        check_tree(tree)
        assert len(tree) <= 12
        if shape == "linear":
            assert tree.forks == ()

    check()
    deepest = find(trees(shape, max_nodes=12), lambda tree: max(node.depth for node in tree) >= 2)
    assert len(deepest) == 3


def test_wide_trees_are_wider_than_deep_ones():
    @given(trees("wide", max_nodes=60), trees("deep", max_nodes=60))
    def check(wide, deep):
        if len(wide) > 30:
            assert len(wide.leaves) > len(wide) / 4
        if len(deep) > 30:
            assert max(node.depth for node in deep) > 2

    check()


@given(conversations())
def test_conversations_have_sound_trees(chat):
    check_tree(chat.tree)


@given(st.data(), conversations())
def test_expressions_in_a_tree_lead_to_a_node_of_it(data, chat):
    text = data.draw(expressions(chat.tree))

    assert expression.resolve(chat.tree, text).id in {node.id for node in chat.tree}


@given(expressions())
def test_any_expression_is_of_the_grammar(text):
    parsed = expression.parse(text)

    assert expression.parse(str(parsed)) == parsed


@given(st.data(), trees())
def test_node_ids_of_a_tree_are_in_it(data, tree):
    id = data.draw(node_ids(tree))

    assert tree[id].id == id


@given(node_ids())
def test_any_node_id_is_one(id):
    assert node_id.format(node_id.parse(id)) == id


@given(st.binary(min_size=1, max_size=40).flatmap(lambda data: st.tuples(st.just(data), damaged_files(data))))
def test_damaged_files_are_other_files(files):
    whole, hurt = files

    assert whole != hurt


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cut", b"ab"),
        ("flip", b"abadef"),
        ("zeros", b"ab\0\0\0\0"),
        ("stale", b"ababcd"),
        ("repeat", b"abcdcdef"),
        ("hole", b"abef"),
    ],
)
def test_each_kind_of_damage(kind, expected):
    hurt = Damage(kind, place=2, size_bytes=1 if kind == "flip" else 2).of(b"abcdef")

    assert hurt == expected
    assert Damage(kind, place=2).of(b"") == b""


@pytest.mark.parametrize(("kind", "expected"), [("cut", "a"), ("swap", "acb"), ("repeat", "abbc"), ("hole", "ac")])
def test_each_kind_of_damage_to_a_list(kind, expected):
    assert "".join(damaged("abc", kind, 1)) == expected


# What they shrink to.


def test_a_message_shrinks_to_an_empty_one():
    assert find(messages(), lambda message: True) == Message("user", "")


def test_a_message_with_metadata_shrinks_to_one_with_little():
    found = find(messages(), lambda message: message.metadata)

    assert len(str(found.metadata)) <= len("{'': None}")


def test_text_shrinks_to_one_character():
    assert len(find(any_text(), lambda text: not text.isascii())) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tree_shrinks_to_few_nodes_that_say_the_first_thing(shape):
    found = find(trees(shape), lambda tree: len(tree) >= 3)

    assert [node.message.content for node in found if node.message] == ["a", "a"]


def test_a_conversation_shrinks_to_what_was_needed():
    found = find(conversations(), lambda chat: len(chat.tree) == 3)

    assert found.version <= 5


def test_a_history_shrinks_to_two_commits():
    found = find(histories(min_commits=2), lambda history: True)

    assert [commit.count for commit in found] == [1, 1]


def test_a_damaged_history_shrinks_to_two_commits():
    assert len(find(damaged_histories(), lambda history: history.kind == "swap").whole) == 2


def test_damage_shrinks_to_the_beginning():
    assert find(damages(), lambda damage: damage.kind == "flip") == Damage("flip", 0, 1)


def test_an_expression_shrinks_to_one_step():
    assert find(expressions(), lambda text: "^" in text) in ("@^", "@^1", "@^-1")
