"""One random history told three ways: in memory, in a file, and as a tree of another library.

``dataknobs_structures.Tree`` links nodes as objects and knows nothing of ours. Its dot path is the way its own users
write it: the places among the siblings, from the root down.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import branchlog
from branchlog.testing.playing import TickingClock, commands, perform, portrait

structures = pytest.importorskip(
    "dataknobs_structures", reason="dataknobs-structures is in the extra dev, and not installed here"
)

saves = st.lists(st.integers(1, 6), min_size=1, max_size=8)
"""After how many commands each to save."""


def other_tree(tree):
    """The tree as one of the other library, and its nodes in the order of their adding."""
    nodes = {}
    for node in tree.nodes:
        above = None if node.parent is None else nodes[node.parent.version]
        nodes[node.version] = structures.Tree(node.version, above)
    return list(nodes.values())


def dot_path(node):
    """A node's place, as the other library tells it."""
    return ".".join(str(step.sibnum) for step in node.get_path()[1:])


def check_like_the_other(tree):
    """Check that both libraries say the same of the shape of a tree."""
    others = other_tree(tree)
    root = others[0]
    walked = [root, *(child for _, child in root.get_edges(traversal="dfs", as_data=False))]

    assert [node.id for node in tree.nodes] == [dot_path(other) for other in others]
    assert [[above.version for above in node.path] for node in tree.nodes] == [
        [above.data for above in other.get_path()] for other in others
    ]
    assert [node.version for node in tree.walk()] == [other.data for other in walked]
    assert [node.version for node in tree.leaves] == [other.data for other in walked if not other.has_children()]
    assert [(node.depth, node.ordinal, tuple(node.position)) for node in tree.nodes] == [
        (other.depth, other.sibnum, (other.sibnum + 1, other.num_siblings)) for other in others
    ]
    check_ancestors(tree, others)


def check_ancestors(tree, others):
    for node, other in zip(tree.nodes, others, strict=True):
        for beside, other_beside in zip(tree.nodes[::3], others[::3], strict=True):
            shared = other.find_deepest_common_ancestor(other_beside)

            assert node.common_ancestor(beside).version == shared.data
            assert node.is_under(beside) == other_beside.is_ancestor(other, self_is_ancestor=True)


def played_in(store, script, saves):
    """What a store has after these commands, saved now and then; the refusals, too."""
    chat = store.create("trip", title="Kyoto", system="Be brief.")
    done, left = [], list(saves)
    for number, command in enumerate(script):
        done.append(perform(chat, command))
        if left and number % left[0] == 0:
            left.pop(0)
            store.save(chat)
            chat = store.load("trip")
    store.save(chat)
    return done


def told(store, with_positions):
    """All that a store says of the conversation."""
    chat = store.load("trip")
    versions = range(1, chat.version + 1)
    return {
        "tree": portrait(chat.tree),
        "past": [portrait(chat.at(version)) for version in versions],
        "messages": [store.messages("trip", at=version) for version in versions],
        "summary": store.describe("trip"),
        "changes": [(each.first, each.events, each.position if with_positions else None) for each in store.changes()],
    }


@settings(max_examples=60)
@given(script=commands(max_size=30), saves=saves)
def test_one_history_three_ways(script, saves):
    """Memory, file and the other library agree: the same ids, the same paths, the same messages."""
    with tempfile.TemporaryDirectory() as folder:
        stores = [
            branchlog.open("memory:", clock=TickingClock()),
            branchlog.open(Path(folder) / "chats.db", durability="relaxed", clock=TickingClock()),
        ]
        done = [played_in(store, script, saves) for store in stores]
        in_memory, in_a_file = (told(store, with_positions=True) for store in stores)
        tree = stores[1].load("trip").tree
        check_like_the_other(tree)
        for moment in range(1, tree.version + 1, 5):
            check_like_the_other(tree.at(moment))
        for store in stores:
            store.close()

    assert done[0] == done[1]
    assert in_memory == in_a_file


def test_twelve_alternatives_three_deep():
    """Places of more than one digit are the same numbers in both libraries, and in the same order."""
    chat = branchlog.Conversation.start("trip")
    for _ in range(12):
        first = chat.add("user", "a", under="")
        for _ in range(11):
            chat.add("assistant", "b", under=first)

    check_like_the_other(chat.tree)
    assert [node.id for node in chat.tree.walk()][-2:] == ["11.9", "11.10"]
