"""Edges that no test looked at until changes of the core went unnoticed there."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import Conversation, InvalidInput, Message, NodeNotFound
from branchlog._core.arrays import NONE, WIDE, Arrays
from branchlog._core.decide import TITLE_LENGTH_MAX
from branchlog._core.message import merge_patch, patch_between
from branchlog._core.projection import Projection, evolve_all
from branchlog._core.same import different
from branchlog.testing.playing import commands, played, started


def grown(parents):
    """Arrays of nodes with these parents."""
    arrays = Arrays()
    for version, parent in enumerate(parents, 1):
        arrays.versions.append(version)
        arrays.parents.append(parent)
    return arrays


def deep_parents(seed, count=400):
    """Parents of a deep tree with a few forks far up."""
    choose = random.Random(seed)
    return [NONE, *(number if choose.random() < 0.97 else choose.randrange(number + 1) for number in range(count))]


@pytest.mark.parametrize("seed", range(6))
def test_ancestors_in_deep_trees(seed):
    """The common ancestor, and any ancestor by depth, is the one that the two paths say."""
    parents = deep_parents(seed)
    arrays, choose = grown(parents), random.Random(seed)
    for _ in range(300):
        one, other = choose.randrange(len(parents)), choose.randrange(len(parents))
        path, beside = arrays.path(one), arrays.path(other)
        shared = [a for a, b in zip(path, beside, strict=False) if a == b]
        depth = choose.randrange(len(path))

        assert arrays.common_ancestor(one, other) == shared[-1]
        assert arrays.ancestor(one, depth) == path[depth]
        assert arrays.is_under(one, other) == (other in path)


def test_taking_back_children_of_a_wide_fork():
    """After the last children of a wide fork were taken back, others come in their places."""
    arrays = grown([NONE, *[0] * (2 * WIDE)])

    assert arrays.child(0, WIDE + 1) == WIDE + 2
    arrays.truncate(WIDE + 2)
    assert arrays.child(0, WIDE + 1) == NONE
    for version in (100, 101):
        arrays.versions.append(version)
        arrays.parents.append(0)
    arrays.versions.append(102)
    arrays.parents.append(WIDE + 2)
    assert [arrays.child(0, WIDE + place) for place in (0, 1, 2, 3)] == [WIDE + 1, WIDE + 2, WIDE + 3, NONE]
    assert list(arrays.children(0, len(arrays)))[-2:] == [WIDE + 2, WIDE + 3]
    assert arrays.ordinals(WIDE + 4) == [WIDE + 1, 0]


def test_taking_back_a_wide_fork_itself():
    """A wide fork that was taken back leaves nothing to the node that comes in its place."""
    arrays = grown([NONE, 0, *[1] * (2 * WIDE)])

    assert arrays.child(1, WIDE) == WIDE + 2
    arrays.truncate(1)
    for version, parent in enumerate([0, *[0] * (2 * WIDE), *[1] * (2 * WIDE)], 2):
        arrays.versions.append(version)
        arrays.parents.append(parent)
    children = [index for index, parent in enumerate(arrays.parents) if parent == 1]

    assert [arrays.child(1, place) for place in range(2 * WIDE)] == children


@pytest.mark.parametrize("rating", [1, 5, 1.0, 5.0])
def test_ratings_at_the_bounds(rating):
    """The lowest and the highest rating are ratings."""
    chat = started()
    chat.annotate("", rating=rating)

    assert chat.tree.root.rating == rating


@pytest.mark.parametrize("rating", [0.999, 5.001, 0, 6])
def test_ratings_beyond_the_bounds(rating):
    """What is beyond them, by however little, is none."""
    with pytest.raises(InvalidInput):
        started().annotate("", rating=rating)


def test_the_longest_title():
    """A title may have as many characters as are allowed, and not one more."""
    chat = started()
    chat.annotate_conversation(title="x" * TITLE_LENGTH_MAX)
    with pytest.raises(InvalidInput):
        chat.annotate_conversation(title="x" * (TITLE_LENGTH_MAX + 1))

    assert chat.title == "x" * TITLE_LENGTH_MAX


def test_metadata_alone_leaves_the_title():
    """A change of the metadata leaves the title as it was, and the other way round."""
    chat = Conversation.start(title="Kyoto", metadata={"a": {"b": 1, "c": 2}})
    chat.annotate_conversation(metadata={"a": {"b": None, "d": 3}})

    assert (chat.title, chat.metadata) == ("Kyoto", {"a": {"c": 2, "d": 3}})
    chat.annotate_conversation(title="Osaka")
    assert (chat.title, chat.metadata) == ("Osaka", {"a": {"c": 2, "d": 3}})


flat = st.dictionaries(st.sampled_from("ab"), st.sampled_from((1, "x")))
nested = st.dictionaries(st.sampled_from("abc"), st.sampled_from((1, 2)) | flat)


@given(before=nested, after=nested)
def test_the_patch_between_leads_from_one_to_the_other(before, after):
    """The patch that tells two objects apart makes the second of the first, and leaves both as they were."""
    patch = patch_between(before, after)

    assert merge_patch(before, patch) == after
    assert merge_patch(before, {}) == before


def test_a_node_by_its_version():
    """An expression may name a node by the version of the event that added it."""
    chat = started()
    chat.say("user", "a")
    node = chat.say("user", "b")

    assert chat.node(f":{node.version}") == node
    assert chat.node(f":{node.version}~1").id == "0"
    with pytest.raises(NodeNotFound, match=r"event 3 added no node"):
        chat.node(":3")


def test_a_diff_of_several_messages():
    """A comparison tells all messages of both tails."""
    chat = started()
    chat.graft([Message("user", "ask"), Message("assistant", "one"), Message("user", "thanks")])
    chat.graft([Message("user", "ask"), Message("assistant", "two"), Message("user", "thanks")])
    diff = chat.compare("0.0.0", "0.1.0").diff()

    assert [line for line in diff.splitlines() if line[:1] in " -+" and line[:3] not in ("---", "+++")] == [
        " assistant:",
        "-one",
        "+two",
        " user:",
        " thanks",
    ]


def test_what_was_not_found_is_named():
    """A refusal has what was asked for."""
    chat = started()
    chat.say("user", "a")
    for call, wanted in (
        (lambda: chat.tree.root.child(3), "3"),
        (lambda: chat.tree["0"].child(3), "0.3"),
        (lambda: chat.tree["0"].up(2), "0~2"),
        (lambda: chat.tree["0"].next_door(1), "0^1"),
        (lambda: chat.node("nobody"), "nobody"),
    ):
        with pytest.raises(NodeNotFound) as caught:
            call()
        assert caught.value.wanted == wanted


@given(script=commands(max_size=20))
def test_taking_back_and_folding_again(script):
    """A state that was taken back to any version and folded again is the state that it was."""
    chat = played(script)
    events = list(chat.pending)
    for version in range(len(events) + 1):
        state = Projection()
        evolve_all(state, events)
        state.rewind(version)
        assert state.cursors_at(version) == (chat.at(version)._state.cursors_at(version) if version else {})
        evolve_all(state, events[version:])

        assert state.cursors_at(len(events)) == chat._state.cursors_at(len(events))
        assert {name: history.stacks() for name, history in state.cursors.items()} == {
            name: history.stacks() for name, history in chat._state.cursors.items()
        }
        assert (state.title, state.metadata, state.labels) == (
            chat._state.title,
            chat._state.metadata,
            chat._state.labels,
        )


def test_another_message_at_the_same_place():
    """Two conversations that differ in one message are not the same, and the node is named."""
    chats = []
    for text in ("one", "two"):
        chat = started()
        for said in ("ask", text, "thanks"):
            chat.say("user", said)
        chats.append(chat)

    assert list(different(chats[0]._state, chats[0]._state)) == []
    assert list(different(chats[0]._state, chats[1]._state)) == ["the messages of node '0.0' differ"]


def test_a_version_that_had_not_come():
    """In the past, a node that was added since is not found by the version that added it."""
    chat = started()
    node = chat.add("user", "a", under="")
    later = chat.add("user", "b", under="")

    assert chat.at(node.version).added_by(node.version) == node
    with pytest.raises(NodeNotFound) as caught:
        chat.at(node.version).added_by(later.version)
    assert caught.value.wanted == f":{later.version}"


def test_redacting_twice():
    """What is erased is not erased again."""
    chat = started()
    chat.say("user", "secret")
    chat.redact("0")
    version = chat.version
    chat.redact("0")

    assert chat.version == version
