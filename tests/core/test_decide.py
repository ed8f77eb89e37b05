"""What may happen: each refusal is of one type, says why, and leaves everything as it was."""

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import (
    AlreadyExists,
    Conversation,
    CursorNotFound,
    InvalidExpression,
    InvalidInput,
    InvalidMessage,
    InvalidNodeId,
    Message,
    NodeNotFound,
    NotFound,
    NothingToUndo,
)
from branchlog.testing.playing import CURSORS, NAMES, TEXTS, commands, picked, picks, played, portrait, started


class Text(str):
    __slots__ = ()


def changed():
    message = Message("user", [{"type": "text", "text": "a"}])
    message.content.append({"type": "x", "n": math.nan})
    return message


def small():
    chat = started("Kyoto", "s")
    chat.say("user", "a")
    chat.say("assistant", "b")
    chat.new_cursor("reader", "0")
    chat.annotate("0", label="best")
    return chat


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - that it has no zone is the point
FOREIGN = small().tree["0"]

REFUSALS = [
    # Speaking.
    (InvalidMessage, "role", lambda chat: chat.say(5, "x")),
    (InvalidMessage, "role", lambda chat: chat.say("", "x")),
    (InvalidMessage, "role", lambda chat: chat.say(None, "x")),
    (InvalidMessage, "content", lambda chat: chat.say("user")),
    (InvalidMessage, "content", lambda chat: chat.say("user", 5)),
    (InvalidMessage, "content", lambda chat: chat.say("user", "\ud800")),
    (InvalidMessage, "metadata", lambda chat: chat.say("user", "x", metadata=[])),
    (InvalidMessage, "nan", lambda chat: chat.say("user", "x", metadata={"k": math.nan})),
    (InvalidMessage, r"content\[1\]\['n'\]", lambda chat: chat.say(changed())),
    (InvalidMessage, r"content\[1\]\['n'\]", lambda chat: chat.graft([Message("user", "new"), changed()])),
    (InvalidInput, "not both", lambda chat: chat.say(Message("user", "x"), "y")),
    (InvalidInput, "not both", lambda chat: chat.add(Message("user", "x"), under="", metadata={})),
    (InvalidInput, "expected a Message", lambda chat: chat.graft(["x"])),
    (InvalidInput, "expected a Message", lambda chat: chat.graft([Message("user", "new"), None])),
    (InvalidInput, "time zone", lambda chat: chat.say("user", "x", time=NAIVE)),
    (InvalidInput, "time zone", lambda chat: chat.graft([Message("user", "new")], time=NAIVE)),
    (InvalidInput, "not a time", lambda chat: chat.add("user", "x", under="", time="2026-01-01")),
    (InvalidInput, "root has no alternatives", lambda chat: chat.edit("root", "x")),
    (InvalidMessage, "content", lambda chat: chat.edit("0", None)),
    (InvalidMessage, "metadata", lambda chat: chat.edit("0", "x", metadata=[])),
    (CursorNotFound, "'nobody'.*'main', 'reader'", lambda chat: chat.say("user", "x", cursor="nobody")),
    (CursorNotFound, "'nobody'", lambda chat: chat.say("user", "x", under="0", cursor="nobody")),
    (CursorNotFound, "'nobody'", lambda chat: chat.edit("0", "x", cursor="nobody")),
    (CursorNotFound, "None", lambda chat: chat.say("user", "x", cursor=None)),
    (CursorNotFound, r"\['main'\]", lambda chat: chat.say("user", "x", cursor=["main"])),
    # Nodes.
    (NodeNotFound, "0.5", lambda chat: chat.say("user", "x", under="0.5")),
    (NodeNotFound, "another conversation", lambda chat: chat.move(FOREIGN)),
    (NodeNotFound, "another conversation", lambda chat: chat.annotate(FOREIGN, label="x")),
    (NodeNotFound, "there are: best, main, reader", lambda chat: chat.move("nobody")),
    (InvalidExpression, "character 1", lambda chat: chat.move("01")),
    (InvalidExpression, "character 1", lambda chat: chat.move("-1")),
    (InvalidInput, "expected a node", lambda chat: chat.move(None)),
    (InvalidInput, "expected a node", lambda chat: chat.move(0)),
    (InvalidInput, "expected a node", lambda chat: chat.add("user", "x", under=b"0")),
    (InvalidNodeId, "dot", lambda chat: chat.tree["01"]),
    (InvalidNodeId, "dot", lambda chat: chat.tree[0]),
    (NodeNotFound, "'0.5'", lambda chat: chat.tree["0.5"]),
    (NodeNotFound, "1 children", lambda chat: chat.tree["0"].child(1)),
    (NodeNotFound, "1 children", lambda chat: chat.tree["0"].child(-1)),
    (NodeNotFound, "1 deep", lambda chat: chat.tree["0"].up(2)),
    (InvalidInput, "different conversations", lambda chat: chat.tree["0"].is_under(FOREIGN)),
    (InvalidInput, "different conversations", lambda chat: chat.tree["0"].common_ancestor(FOREIGN)),
    # Moments.
    (NotFound, "version 1", lambda chat: chat.at(0)),
    (NotFound, "version 1", lambda chat: chat.at(-1)),
    (NotFound, "no version 99", lambda chat: chat.at(99)),
    (InvalidInput, "moment", lambda chat: chat.at(True)),
    (InvalidInput, "moment", lambda chat: chat.at("1")),
    (InvalidInput, "moment", lambda chat: chat.messages(1.5)),
    (InvalidInput, "time zone", lambda chat: chat.at(NAIVE)),
    # Cursors.
    (NothingToUndo, "nothing to redo", lambda chat: chat.redo()),
    (NothingToUndo, "'reader'", lambda chat: chat.undo(cursor="reader")),
    (CursorNotFound, "'nobody'", lambda chat: chat.undo(cursor="nobody")),
    (CursorNotFound, "'nobody'", lambda chat: chat.redo(cursor="nobody")),
    (CursorNotFound, "'nobody'", lambda chat: chat.move("0", cursor="nobody")),
    (CursorNotFound, "'nobody'", lambda chat: chat.drop_cursor("nobody")),
    (InvalidInput, "cannot be dropped", lambda chat: chat.drop_cursor("main")),
    (AlreadyExists, "cursor named 'main'", lambda chat: chat.new_cursor("main")),
    (AlreadyExists, "cursor named 'reader'", lambda chat: chat.new_cursor("reader")),
    (AlreadyExists, "node '0' has the label 'best'", lambda chat: chat.new_cursor("best")),
    (InvalidInput, "name of a cursor", lambda chat: chat.new_cursor("0")),
    (InvalidInput, "name of a cursor", lambda chat: chat.new_cursor("root")),
    (InvalidInput, "name of a cursor", lambda chat: chat.new_cursor("a b")),
    (InvalidInput, "name of a cursor", lambda chat: chat.new_cursor(5)),
    (InvalidInput, "name of a cursor", lambda chat: chat.new_cursor(Text("x"))),
    (NodeNotFound, "1 of 1", lambda chat: chat.next_alternative()),
    (NodeNotFound, "1 of 1", lambda chat: chat.previous_alternative("0")),
    (NodeNotFound, "1 of 1", lambda chat: chat.next_alternative("root")),
    # Saying something about it.
    (AlreadyExists, "'reader' is the name of a cursor", lambda chat: chat.annotate("0", label="reader")),
    (AlreadyExists, "node '0' has the label", lambda chat: chat.annotate("0.0", label="best")),
    (InvalidInput, "a label", lambda chat: chat.annotate("0", label="")),
    (InvalidInput, "a label", lambda chat: chat.annotate("0", label="0.1")),
    (InvalidInput, "a label", lambda chat: chat.annotate("0", label=Text("x"))),
    (InvalidInput, "from 1 to 5", lambda chat: chat.annotate("0", rating=0)),
    (InvalidInput, "from 1 to 5", lambda chat: chat.annotate("0", rating=5.1)),
    (InvalidInput, "from 1 to 5", lambda chat: chat.annotate("0", rating=math.nan)),
    (InvalidInput, "from 1 to 5", lambda chat: chat.annotate("0", rating=True)),
    (InvalidInput, "from 1 to 5", lambda chat: chat.annotate("0", rating="5")),
    (InvalidInput, "bookmark", lambda chat: chat.annotate("0", bookmark=None)),
    (InvalidInput, "hidden", lambda chat: chat.annotate("0", hidden=1)),
    (InvalidMessage, "metadata", lambda chat: chat.annotate("0", metadata=None)),
    (InvalidMessage, r"metadata\['k'\]", lambda chat: chat.annotate("0", label="new", metadata={"k": {1}})),
    (InvalidInput, "title", lambda chat: chat.annotate_conversation(title=5)),
    (InvalidInput, "1000", lambda chat: chat.annotate_conversation(title="x" * 1_001)),
    (InvalidMessage, "title", lambda chat: chat.annotate_conversation(title="\ud800")),
    (InvalidInput, "title", lambda chat: chat.annotate_conversation(title=Text("x"))),
    (InvalidMessage, "metadata", lambda chat: chat.annotate_conversation(title="new", metadata=[])),
]


@pytest.mark.parametrize("number", range(len(REFUSALS)))
def test_what_is_refused_is_refused_once_by_type_and_reason_and_changes_nothing(number):
    error, told, call = REFUSALS[number]
    chat = small()
    before = portrait(chat.tree), chat.pending, chat._state.cursors["main"].stacks()

    with pytest.raises(error, match=told) as refusal:
        call(chat)

    assert type(refusal.value) is error
    assert (portrait(chat.tree), chat.pending, chat._state.cursors["main"].stacks()) == before


@pytest.mark.parametrize(
    "given",
    [
        {"title": 5},
        {"title": "x" * 1_001},
        {"title": Text("x")},
        {"system": 5},
        {"system": ["x"]},
        {"system": "\ud800"},
        {"system": changed()},
        {"metadata": []},
        {"metadata": {"k": math.inf}},
        {"time": NAIVE},
        {"time": 0},
        {"clock": lambda: NAIVE},
        {"clock": lambda: 5},
    ],
    ids="|".join,
)
def test_a_conversation_begins_with_what_can_be_kept(given):
    with pytest.raises(InvalidInput):
        Conversation.start("trip", **given)


@given(commands(30), picks, st.sampled_from(TEXTS), st.sampled_from(NAMES), st.sampled_from(CURSORS))
def test_what_was_decided_folds_to_what_was_asked_for(script, pick, text, name, cursor):
    """Each command, on any tree: where it is accepted it does what it says and nothing else."""
    chat = played(script)
    node = picked(chat.tree, pick)
    cursors = {known: place.id for known, place in chat.cursors.items()}

    added = chat.add("user", text, under=node)
    assert (added.parent, added.message) == (node, Message("user", text))
    assert {known: place.id for known, place in chat.cursors.items()} == cursors

    if cursor in cursors:
        said = chat.say("user", text, cursor=cursor)
        assert said.parent.id == cursors[cursor]
        assert {known: place.id for known, place in chat.cursors.items()} == {**cursors, cursor: said.id}
        version = chat.version
        assert (chat.move(said, cursor=cursor), chat.version) == (said, version)

    if chat.tree.labelled(name) is None and name not in cursors:
        chat.annotate(added, label=name)
        assert chat.node(name) == chat.tree.labelled(name) == added
        chat.annotate(added, label=None)
        assert (chat.tree.labelled(name), added.label) == (None, None)


def test_saying_nothing_about_a_node_is_no_event():
    chat = small()
    version = chat.version
    chat.annotate("0")
    chat.annotate_conversation()
    chat.move("@")
    chat.graft([])

    assert chat.version == version


def test_what_was_said_of_a_node_can_be_taken_back():
    chat = small()
    chat.annotate("0", rating=4.5, bookmark=True, hidden=True, metadata={"k": 1, "l": 2})
    node = chat.tree["0"]

    assert (node.label, node.rating, node.bookmark, node.hidden, node.metadata) == (
        "best",
        4.5,
        True,
        True,
        {"k": 1, "l": 2},
    )
    chat.annotate(node, label=None, rating=None, bookmark=False, hidden=False, metadata={"k": None})
    assert (node.label, node.rating, node.bookmark, node.hidden, node.metadata) == (None, None, False, False, {"l": 2})
    chat.annotate_conversation(title=None)
    assert chat.title is None
    assert chat.at(1).title == "Kyoto"


def test_a_label_may_be_given_again_and_moves_only_by_taking_it_off():
    chat = small()
    chat.annotate("0", label="best")
    chat.annotate("0", label="other")
    chat.annotate("0.0", label="best")

    assert {label: node.id for label, node in chat.tree.labels.items()} == {"other": "0", "best": "0.0"}
    assert {label: node.id for label, node in chat.at(6).labels.items()} == {}
    assert {label: node.id for label, node in chat.at(7).labels.items()} == {"best": "0"}


def test_a_hidden_message_is_sent_to_a_model_all_the_same():
    chat = small()
    before = chat.messages()
    chat.annotate("0", hidden=True)

    assert chat.messages() == before
