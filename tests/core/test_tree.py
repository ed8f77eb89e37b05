"""The views: the tree and its nodes, now and then, deep and wide."""

import sys
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from branchlog import Conversation, InvalidInput, InvalidNodeId, NodeNotFound, NotFound, Position
from branchlog._core.events import ConversationStarted, NodeAdded
from branchlog._core.projection import Projection, evolve_all
from branchlog._core.tree import Tree
from branchlog.testing.playing import NOON, TickingClock, commands, picked, picks, played, portrait, started

# Against what can be found by looking at each node's parent alone.


def beneath(tree, node):
    return [other for other in tree if other.parent == node]


@given(commands(40), st.none() | st.integers(1, 60))
def test_every_view_of_a_tree_follows_from_the_parents(script, version):
    tree = played(script).tree
    if version is not None and version <= tree.version:
        tree = tree.at(version)
    for node in tree:
        children = beneath(tree, node)
        siblings = [node] if node.parent is None else beneath(tree, node.parent)
        assert list(node.children) == children
        assert node.child_count == len(children)
        assert [node.child(ordinal) for ordinal in range(len(children))] == children
        assert list(node.alternatives) == siblings
        assert node.ordinal == siblings.index(node)
        assert node.position == (siblings.index(node) + 1, len(siblings))
        assert node.depth == len(node.path) - 1
        assert [above.parent for above in node.path] == [None, *node.path[:-1]]
    assert set(tree.leaves) == {node for node in tree if not beneath(tree, node)}
    assert set(tree.forks) == {node for node in tree if len(beneath(tree, node)) > 1}
    assert [branch.path[-1] for branch in tree.branches] == list(tree.leaves)
    assert (tree.root.id, tree.root.parent) == ("", None)


@given(commands(40), picks, picks)
def test_ancestors_in_common_and_the_ways_from_there(script, one, other):
    chat = played(script)
    left, right = picked(chat.tree, one), picked(chat.tree, other)
    shared = [node for node in left.path if node in right.path]
    found = chat.compare(left, right)

    assert found.ancestor == left.common_ancestor(right) == shared[-1]
    assert (*shared, *found.left) == left.path
    assert (*shared, *found.right) == right.path
    assert left.is_under(right) == (right in left.path)
    assert (found.diff() == "") == ([n.message for n in found.left] == [n.message for n in found.right])


@given(commands(30), st.integers(0, 40), st.integers(0, 40))
def test_nodes_are_a_sequence_in_the_order_of_their_adding(script, first, last):
    tree = played(script).tree
    nodes = tree.nodes

    assert list(nodes) == list(tree) == sorted(tree, key=lambda node: node.version)
    assert len(nodes) == len(tree)
    assert nodes[first:last] == tuple(tree)[first:last]
    assert nodes[-1] == list(tree)[-1]
    assert nodes[0] in nodes
    with pytest.raises(IndexError):
        nodes[len(nodes)]


@given(commands(30))
def test_a_tree_of_the_past_stays_as_the_conversation_goes_on(script):
    chat = started("Kyoto", "s")
    then, before = chat.at(1), portrait(chat.tree)
    now = chat.tree
    played(script, chat)

    assert portrait(then) == before
    assert then.version == 1
    assert now.version == chat.version
    assert portrait(now) == portrait(chat.tree)


@given(commands(30), st.integers(1, 60), st.integers(1, 60))
def test_the_past_of_the_past_is_the_past(script, version, earlier):
    tree = played(script).tree
    version = min(version, tree.version)
    then = tree.at(version)
    if earlier <= version:
        assert portrait(then.at(earlier)) == portrait(tree.at(earlier))
    else:
        with pytest.raises(NotFound, match=f"no version {earlier} yet"):
            then.at(earlier)


@pytest.fixture
def chat():
    chat = started("Kyoto", "s")
    chat.say("user", "a")
    chat.say("assistant", "b\nc")
    chat.say("assistant", "b\nd", under="0")
    return chat


def test_a_node_of_the_past_sees_the_past(chat):
    node = chat.at(3)["0"]

    assert (node.children, node.child_count) == ((), 0)
    assert len(chat.tree["0"].children) == 2
    assert node == chat.tree["0"]
    with pytest.raises(NodeNotFound):
        node.child(0)
    with pytest.raises(NodeNotFound):
        chat.at(3)["0.0"]
    assert chat.tree["0.0"] not in chat.at(3)
    assert "0.0" not in chat.at(3)
    assert str(chat.at(5)["0.0"].position) == "1 of 1"
    assert str(chat.tree["0.0"].position) == "1 of 2"


def test_what_is_in_a_tree(chat):
    tree = chat.tree

    assert "0.1" in tree
    assert "0.2" not in tree
    assert "01" not in tree
    assert 0 not in tree
    assert None not in tree
    assert started().tree.root not in tree
    with pytest.raises(InvalidNodeId):
        tree["0.-1"]
    with pytest.raises(NodeNotFound, match=r"'0\.2'"):
        tree["0.2"]
    with pytest.raises(NodeNotFound):
        tree["9999999999"]


def test_handles_of_one_node_are_equal_and_those_of_others_are_not(chat):
    node = chat.tree["0"]

    assert {node, chat.tree["0"], chat.at(4)["0"]} == {chat.node("@~1")}
    assert node != chat.tree["0.0"]
    assert node != started().tree.root
    assert node != "0"


def test_how_they_show(chat):
    assert repr(chat.tree["0"]) == "<Node '0' user: 'a'>"
    assert repr(started().tree.root) == "<Node '' no message>"
    assert repr(chat.tree) == "<Tree of 4 nodes at version 7>"
    assert repr(chat) == "<Conversation 'trip' of 4 nodes at version 7, 7 events pending>"
    assert len(repr(chat.say("user", "x" * 1_000_000))) < 100
    assert str(Position(2, 3)) == "2 of 3"


def test_a_comparison_shows_what_differs(chat):
    assert chat.compare("0.0", "0.1").diff().splitlines() == [
        "--- '0.0'", "+++ '0.1'", "@@ -1,3 +1,3 @@", " assistant:", " b", "-c", "+d",
    ]  # fmt: skip
    assert chat.compare("0.0", "0.0").diff() == ""
    assert chat.compare("0", "0.0").left == ()


def test_before_a_conversation_began_there_is_nothing():
    tree = Conversation("trip").tree

    assert (len(tree), list(tree), tree.leaves, tree.forks, tree.branches, tree.cursors) == (0, [], (), (), (), {})
    assert (tree.title, tree.metadata, tree.labels, list(tree.walk())) == (None, {}, {}, [])
    for ask in (lambda: tree.root, lambda: tree.cursor, lambda: tree.at(1), lambda: tree.at(NOON), lambda: tree["0"]):
        with pytest.raises(NotFound):
            ask()


# Time.


def test_when_a_node_was_added():
    clock = TickingClock()
    chat = Conversation.start(clock=clock)
    node = chat.say("user", "a")
    old = chat.say("user", "b", time=NOON - timedelta(days=400))

    assert (node.added, old.added) == (clock.now - timedelta(seconds=0), NOON - timedelta(days=400))
    assert node.added.utcoffset() == timedelta(0)


def test_a_clock_that_goes_back_does_not_take_the_past_with_it():
    """What came later in the log is later, whatever its time says: it is there from the latest time so far on."""
    hour = timedelta(hours=1)
    times = iter([NOON, NOON + hour, NOON - hour, NOON + hour, NOON + 2 * hour])
    chat = Conversation.start("trip", clock=lambda: next(times))
    nodes = [chat.add("user", text, under="") for text in "abcd"]

    assert [node.added for node in nodes] == [NOON + hour, NOON - hour, NOON + hour, NOON + 2 * hour]
    assert [len(chat.at(NOON + moment * hour)) for moment in (0, 0.9, 1, 1.9, 2, 99)] == [1, 1, 4, 4, 5, 5]
    with pytest.raises(NotFound, match="began at version 1"):
        chat.at(NOON - hour)


def test_a_time_after_the_moment_that_a_tree_is_of_is_that_moment(chat):
    assert chat.at(3).at(NOON + timedelta(days=1)).version == 3
    assert chat.at(NOON + timedelta(days=1)).version == chat.version


def test_a_moment_without_a_zone_is_refused():
    chat = started()
    for moment in (NOON.replace(tzinfo=None), True, 1.0, "1", None):
        with pytest.raises(InvalidInput):
            chat.at(moment)


# Deep and wide.

COUNT = 100_000
MESSAGE = Raw(b'{"role":"user","content":"a"}')


def grown(parent_of):
    state = Projection()
    state_events = [ConversationStarted(at=0)]
    state_events += [NodeAdded(at=number, parent=parent_of(number), message=MESSAGE) for number in range(1, COUNT + 1)]
    evolve_all(state, state_events)
    return Tree(state)


@pytest.fixture(scope="module")
def deep():
    return grown(lambda number: number)


@pytest.fixture(scope="module")
def wide():
    return grown(lambda number: 1)


def test_a_chain_of_100_000(deep):
    last = deep.nodes[-1]

    assert sys.getrecursionlimit() < COUNT
    assert last.depth == COUNT
    assert last.id == ".".join("0" * COUNT)
    assert deep[last.id] == last
    assert len(last.path) == COUNT + 1
    assert deep.leaves == (last,)
    assert deep.forks == ()
    assert deep.remembered(deep.root) == last
    assert last.up(COUNT) == deep.root
    assert last.common_ancestor(deep.nodes[COUNT // 2]) == deep.nodes[COUNT // 2]
    assert sum(1 for _ in deep.walk()) == COUNT + 1
    assert repr(last).startswith("<Node '0.0.0")
    assert len(deep.at(COUNT // 2)) == COUNT // 2
    assert hash(last) == hash(deep[last.id])


def test_100_000_alternatives(wide):
    root = wide.root

    assert root.child_count == COUNT
    assert [root.child(number).id for number in (0, 15, 16, 17, COUNT // 2, COUNT - 1)] == [
        "0", "15", "16", "17", str(COUNT // 2), str(COUNT - 1),
    ]  # fmt: skip
    assert str(wide["77777"].position) == f"77778 of {COUNT}"
    assert wide["77777"].next_door(-1).id == "77776"
    assert len(wide.leaves) == COUNT
    assert wide.forks == (root,)
    assert wide.remembered(root).id == str(COUNT - 1)
    assert wide.at(1_001).root.child_count == 1_000
    assert repr(wide["99999"]) == "<Node '99999' user: 'a'>"
    with pytest.raises(NodeNotFound, match=str(COUNT)):
        root.child(COUNT)


def test_saying_100_things_at_the_end_of_a_long_chain(deep):
    """Each costs what the first did: nothing walks the whole chain."""
    chat = Conversation("trip", clock=TickingClock())
    evolve_all(chat._state, [ConversationStarted(at=0)])
    evolve_all(chat._state, [NodeAdded(at=number, parent=number, message=MESSAGE) for number in range(1, 20_001)])
    chat.move(chat.tree.nodes[-1])
    said = [chat.say("user", "b") for _ in range(100)]

    assert [node.depth for node in said] == list(range(20_001, 20_101))
    for _ in said:
        chat.undo()
    assert chat.cursor.depth == 20_000
