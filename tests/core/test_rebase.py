"""Merging: pending events on top of those of others, any number of writers, any order of saving."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlog import Conversation, CorruptLog, Message, Node, SchemaVersionError
from branchlog._core import codec
from branchlog._core.events import SCHEMA, CursorMoved, NodeAdded, NodeAnnotated
from branchlog._core.rebase import shifted
from branchlog.commit import seal
from branchlog.testing.playing import TickingClock, commands, perform, played, portrait


def commit_of(chat):
    return chat._next_commit()


def opened(commits):
    chat = Conversation("trip", clock=TickingClock())
    chat._fold(commits)
    return chat


def save(chat, log):
    """What a store does: merge what was missed, then append."""
    missed = [commit for commit in log if commit.first > chat.saved_version]
    if not chat.pending:
        return
    if missed:
        chat._merge(missed)
    commit = commit_of(chat)
    log.append(commit)
    chat._saved(commit)


def begun(script):
    chat = played(script)
    log = []
    save(chat, log)
    return log


@attrs.frozen
class Said:
    """What was known of a node when it was new: its writer gave it a name, by which it is found again."""

    name: str
    node: Node
    parent: Node
    hashed: int
    message: Message

    def check_handle(self):
        node = self.node
        assert (hash(node), node.message, node.parent) == (self.hashed, self.message, self.parent)
        assert name_of(node) == self.name


def name_of(node):
    return node.metadata.get("name")


def speak(chat, script, who):
    """Play the commands, give each new node a name, and tell what was said."""
    said, known = [], set(chat.tree)
    for step, command in enumerate(script):
        perform(chat, command)
        for node in chat.tree:
            if node not in known:
                known.add(node)
                name = f"{who}.{step}.{node.index}"
                chat.annotate(node, metadata={"name": name})
                said.append(Said(name, node, node.parent, hash(node), node.message))
    return said


@settings(max_examples=60)
@given(commands(8), st.lists(commands(8), min_size=2, max_size=4), st.lists(commands(5), max_size=3))
def test_every_message_is_there_once_under_the_same_parent(base, scripts, later):
    """Writers begin at one base, say what they like and save one after the other; some go on, and save again."""
    log = begun(base)
    chats = [opened(log) for _ in scripts]
    said = [one for who, chat in enumerate(chats) for one in speak(chat, scripts[who], who)]
    for chat in chats:
        save(chat, log)
    for who, (chat, script) in enumerate(zip(chats, later, strict=False)):
        said += speak(chat, script, f"later {who}")
        save(chat, log)
        for one in said:
            one.check_handle()

    final = opened(log)
    found = {name_of(node): node for node in final.tree}
    assert sorted(one.name for one in said) == sorted(filter(None, map(name_of, final.tree)))
    for one in said:
        assert (found[one.name].message, name_of(found[one.name].parent)) == (one.message, name_of(one.parent))
    for chat in chats:
        if chat.saved_version == final.version:
            assert portrait(chat.tree) == portrait(final.tree)


@given(commands(8), commands(8), commands(8), st.booleans())
def test_merging_is_doing_the_same_events_after_the_others(base, first, second, looked):
    """Whatever was looked at before, the merged tree is the one that a fresh fold of the log makes."""
    log = begun(base)
    one, other = opened(log), opened(log)
    played(first, one)
    for command in second:
        perform(other, command)
        if looked:
            portrait(other.tree)
    save(one, log)
    save(other, log)

    last = other if second and other.saved_version == log[-1].last else one
    assert portrait(last.tree) == portrait(opened(log).tree)


def test_the_handles_of_pending_nodes_follow():
    log = begun([])
    one, other = opened(log), opened(log)
    mine = [other.say("user", "a"), other.say("assistant", "b")]
    fork = other.edit(mine[1], "c")
    table = {node: node.message.content for node in (*mine, fork)}
    one.say("user", "x")
    one.say("assistant", "y")
    before = [node.id for node in mine]
    save(one, log)
    save(other, log)

    assert (before, [node.id for node in mine], fork.id) == (["0", "0.0"], ["1", "1.0"], "1.1")
    assert {node.message.content: table[node] for node in (*mine, fork)} == {"a": "a", "b": "b", "c": "c"}
    assert [other.tree[node.id] for node in mine] == mine
    assert fork in other.tree.nodes
    assert len({*mine, fork, *other.tree}) == len(other.tree) == 6


def test_a_wide_fork_that_is_pending_is_merged():
    """The children of a saved node are kept in an array once they are many; it is as if they had come later."""
    log = begun([])
    one, other = opened(log), opened(log)
    mine = [other.add("user", str(number), under="") for number in range(40)]
    assert other.tree["30"] == mine[30]
    theirs = [one.add("user", f"their {number}", under="") for number in range(20)]
    save(one, log)
    save(other, log)

    assert [node.id for node in mine] == [str(20 + number) for number in range(40)]
    assert [child.message.content for child in other.tree.root.children[:20]] == [
        node.message.content for node in theirs
    ]
    assert other.tree["50"] == mine[30]


def test_an_undo_that_others_came_before_is_a_move():
    """One undoes a move; the other moved on before that was saved. Where it went to stays, and no undo does nothing."""
    log = begun([])
    base = opened(log)
    base.say("user", "a")
    save(base, log)
    one, other = opened(log), opened(log)
    one.say("assistant", "b")
    other.undo()
    save(one, log)
    save(other, log)

    assert other.cursor.id == ""
    assert [other.undo().id, other.undo().id, other.undo().id] == ["0.0", "0", ""]


def test_a_label_that_both_gave_is_the_later_ones():
    log = begun([])
    base = opened(log)
    base.say("user", "a")
    base.say("assistant", "b")
    save(base, log)
    one, other = opened(log), opened(log)
    one.annotate("0", label="best")
    other.annotate("0.0", label="best")
    save(one, log)
    save(other, log)

    assert {label: node.id for label, node in other.tree.labels.items()} == {"best": "0.0"}
    assert [node.label for node in other.tree] == [None, None, "best"]
    assert [node.label for node in other.at(other.version - 1)] == [None, "best", None]
    other.annotate("0", label=None)
    assert other.node("best").id == "0.0"
    other.annotate("0.0", label=None)
    assert (other.tree.labels, [node.label for node in other.tree]) == ({}, [None, None, None])


def test_an_earlier_try_of_its_own_among_what_was_missed_is_not_pending_any_more():
    """The try was written though no answer came, another writer followed, and more has been said meanwhile."""
    log = begun([])
    chat = opened(log)
    mine = chat.say("user", "a")
    log.append(commit_of(chat))
    other = opened(log)
    other.say("assistant", "x")
    save(other, log)
    more = chat.say("assistant", "b")
    save(chat, log)

    assert portrait(chat.tree) == portrait(opened(log).tree)
    assert [(node.id, node.message.content) for node in (mine, more)] == [("0", "a"), ("0.1", "b")]
    assert (len(chat.tree), chat.pending) == (4, ())


def test_what_cannot_be_folded_is_refused_and_what_is_pending_stays():
    log = begun([])
    chat, writer = opened(log), opened(log)
    nodes = [chat.say("user", "a"), chat.say("assistant", "b")]
    chat.annotate(nodes[0], label="best")
    before = portrait(chat.tree), chat.pending, chat.saved_version
    writer.say("user", "x")
    good = commit_of(writer)
    dangling = codec.encode_events([NodeAdded(at=1, parent=99, message=chat.pending[0].message)])
    for schema, data, error in (
        (SCHEMA, b"[", CorruptLog),
        (SCHEMA, dangling, CorruptLog),
        ("2.0.0", b"[]", SchemaVersionError),
    ):
        bad = seal("trip", good.head, count=1, id=bytes(16), at=1, schema=schema, data=data)
        with pytest.raises(error):
            chat._merge([good, bad])
        assert (portrait(chat.tree), chat.pending, chat.saved_version) == before
        assert [node.id for node in nodes] == ["0", "0.0"]
    with pytest.raises(CorruptLog, match="follows another one"):
        chat._merge([seal("trip", bad.head, count=1, id=bytes(16), at=1, schema=SCHEMA, data=good.data)])
    assert (portrait(chat.tree), chat.pending, chat.saved_version) == before

    chat._merge([good])
    assert [node.id for node in nodes] == ["1", "1.0"]


def test_what_a_shift_changes():
    assert shifted(NodeAdded(at=1, parent=5, message=b""), 4, 10).parent == 15
    assert shifted(NodeAdded(at=1, parent=4, message=b""), 4, 10).parent == 4
    assert shifted(CursorMoved(at=1, to=5, cursor="x", by="undo"), 4, 10) == CursorMoved(
        at=1, to=15, cursor="x", by="undo"
    )
    assert shifted(CursorMoved(at=1, to=None), 4, 10) == CursorMoved(at=1, to=None)
    assert shifted(NodeAnnotated(at=1, node=4, rating=2), 4, 10) == NodeAnnotated(at=1, node=4, rating=2)
    assert shifted(NodeAnnotated(at=1, node=6, rating=2), 4, 10) == NodeAnnotated(at=1, node=16, rating=2)
