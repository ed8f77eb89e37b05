"""A conversation as people use it; the machine beside this file says that it is always so."""

import gc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog import (
    AlreadyExists,
    BackendError,
    Conversation,
    CorruptLog,
    InvalidInput,
    Message,
    NothingToUndo,
    SchemaVersionError,
    Store,
    VersionConflict,
)
from branchlog._core.events import CursorMoved
from branchlog.commit import seal
from branchlog.logs.memory import MemoryLog
from branchlog.testing.model import Scene, Trail
from branchlog.testing.playing import NOON, ROLES, TEXTS, TickingClock, commands, cursors, played, portrait, started
from branchlog.testing.strategies import any_text

# The first look.


def test_the_example_of_the_design(tmp_path):
    with branchlog.open(tmp_path / "chats.db") as store:
        chat = store.create(title="Kyoto", system="You plan trips.")
        ask = chat.say("user", "Three days in Kyoto?")
        chat.say("assistant", "Day 1 ...")
        chat.move(ask)
        chat.say("assistant", "Start in Arashiyama ...")
        store.save(chat)

        assert [message.content for message in chat.messages()] == [
            "You plan trips.",
            "Three days in Kyoto?",
            "Start in Arashiyama ...",
        ]
        assert [node.id for node in chat.tree] == ["", "0", "0.0", "0.1"]
    with branchlog.open(tmp_path / "chats.db") as store:
        again = store.load(chat.id)
        assert portrait(again.tree) == portrait(chat.tree)
        assert store.messages(chat.id) == chat.messages()


def test_a_whole_message_or_its_parts():
    chat = started()
    message = Message("user", "a", name="Ada", metadata={"k": 1})

    assert chat.say(message).message == message
    assert chat.add("user", "b", under="@", metadata={"k": 2}).message == Message("user", "b", metadata={"k": 2})


def test_4_mb_and_characters_at_the_edges_come_back_from_a_file(tmp_path):
    texts = ["Kyōto " * 700_000, "\0", "\U0010ffff\u2028\ufeff", "", " \r\n\t"]
    with branchlog.open(tmp_path / "chats.db") as store:
        chat = store.create("trip", title="\0 \U0010ffff", metadata={"n": -0.0, "m": 0.1 + 0.2, "l": 2**64 - 1})
        for text in texts:
            chat.say("user", text, metadata={text[:9]: text[:9]})
        store.save(chat)
    with branchlog.open(tmp_path / "chats.db") as store:
        assert [message.content for message in store.messages("trip")] == texts
        assert repr(store.load("trip").metadata) == "{'n': -0.0, 'm': 0.30000000000000004, 'l': 18446744073709551615}"
        assert portrait(store.load("trip").tree) == portrait(chat.tree)


def test_equal_messages_are_two_nodes():
    chat = started()
    one, other = chat.add("user", "a", under=""), chat.add("user", "a", under="")

    assert one.message == other.message
    assert one != other
    assert (one.id, other.id) == ("0", "1")


def test_an_edit_is_an_alternative_and_the_old_one_stays():
    chat = started()
    old = chat.say(Message("user", "a", name="Ada", metadata={"k": 1}))
    answer = chat.say("assistant", "b")
    new = chat.edit(old, "A", metadata={"l": 2})

    assert new.message == Message("user", "A", name="Ada", metadata={"l": 2})
    assert (new.id, chat.cursor, old.children) == ("1", new, (answer,))
    assert chat.edit(new, "AA").message.metadata == {}


def test_messages_at_a_node_a_version_and_a_time():
    chat = started(system="s")
    chat.say("user", "a")
    chat.say("assistant", "b")
    contents = lambda at: [message.content for message in chat.messages(at)]  # noqa: E731 - said five times below

    assert contents(None) == ["s", "a", "b"]
    assert contents("0") == contents("@~1") == contents(chat.tree["0"]) == ["s", "a"]
    assert contents(1) == ["s"]
    assert contents(3) == ["s", "a"]
    assert contents(NOON + timedelta(days=1)) == ["s", "a", "b"]
    assert contents("@{3}") == ["s", "a"]


@given(st.none() | any_text(max_size=10), st.none() | any_text(max_size=10))
def test_what_a_conversation_begins_with(title, system):
    chat = Conversation.start(title=title, system=system)

    assert (chat.title, chat.version, chat.cursor.id) == (title, 1, "")
    assert chat.messages() == ([] if system is None else [Message("system", system)])
    assert chat.cursors == {"main": chat.tree.root}


def test_ids_sort_by_the_time_of_their_making():
    clock = TickingClock()
    ids = [Conversation.start(clock=clock).id for _ in range(20)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 20
    assert all(id[14] == "7" for id in ids)


def test_without_a_clock_it_is_now():
    before = datetime.now(UTC)
    node = Conversation.start().say("user", "a")

    assert before - timedelta(milliseconds=1) <= node.added <= datetime.now(UTC)


# Undo and redo.


@given(
    st.lists(
        st.tuples(st.sampled_from(("say", "move", "undo", "redo", "drop", "make")), st.integers(0, 5), cursors),
        max_size=40,
    )
)
def test_undo_and_redo_are_two_stacks_for_each_cursor(steps):
    """The textbook: a move pushes where it was and clears the redo stack. Each step is in the events."""
    chat = started()
    trails = {"main": Trail(0)}
    for verb, number, cursor in steps:
        node = chat.tree.nodes[number % len(chat.tree)]
        trail = trails.get(cursor)
        if verb == "make" and trail is None:
            chat.new_cursor(cursor, node)
            trails[cursor] = Trail(node.index)
        elif trail is None:
            continue
        elif verb == "say":
            trail.moved(chat.say("user", "a", cursor=cursor).index, "move")
        elif verb == "move":
            trail.moved(chat.move(node, cursor=cursor).index, "move")
        elif verb == "drop" and cursor != "main":
            chat.drop_cursor(cursor)
            del trails[cursor]
        elif verb in {"undo", "redo"}:
            step_along(chat, trail, verb, cursor)
        check_trails(chat, trails)


def step_along(chat, trail, verb, cursor):
    stack = trail.back if verb == "undo" else trail.forth
    go = chat.undo if verb == "undo" else chat.redo
    version = chat.version
    if not stack:
        with pytest.raises(NothingToUndo) as refusal:
            go(cursor=cursor)
        assert (refusal.value.verb, refusal.value.cursor, chat.version) == (verb, cursor, version)
        return
    goal = stack[-1]
    assert go(cursor=cursor).index == goal
    assert chat.pending[-1] == CursorMoved(
        at=chat.pending[-1].at, to=chat.tree.nodes[goal].version, cursor=cursor, by=verb
    )
    trail.moved(goal, verb)


def check_trails(chat, trails):
    assert {name: node.index for name, node in chat.cursors.items()} == {
        name: trail.here for name, trail in trails.items()
    }
    for name, trail in trails.items():
        assert chat._state.cursors[name].stacks() == (trail.back, trail.forth)


@given(commands(30))
def test_undo_and_redo_go_on_after_reopening(script):
    with branchlog.open("memory:", clock=TickingClock()) as store:
        chat = played(script, store.create("trip"))
        store.save(chat)
        again = store.load("trip")
        for cursor in chat.cursors:
            assert walked(chat, cursor) == walked(again, cursor)
        store.save(chat)
        store.save(again)


def walked(chat, cursor):
    """Where undo leads, to the end, and redo from there, as ids."""
    way = []
    for go in (chat.undo, chat.redo):
        while True:
            try:
                way.append(go(cursor=cursor).id)
            except NothingToUndo:
                break
    return way


def test_a_move_to_where_it_is_cannot_be_undone():
    chat = started()
    chat.say("user", "a")
    chat.undo()
    chat.move("@")

    assert chat.redo().id == "0"


# The way back at a fork.


@given(commands(40))
def test_a_fork_remembers_the_child_that_was_last_on_show(script):
    """Against a replay of the cursor's moves, as they are in the events."""
    chat = played(script)
    keys = {node.version: node.index for node in chat.tree}
    scene = Scene([])
    scene.parents = {node.index: None if node.parent is None else node.parent.index for node in chat.tree}
    scene.children = {node.index: [child.index for child in node.children] for node in chat.tree}
    scene.shown = {"main": [0]}
    for event in chat.pending:
        if isinstance(event, CursorMoved) and event.to is not None:
            scene.shown.setdefault(event.cursor, []).append(keys[event.to])
    for cursor in ("main", "reader", "nobody"):
        for node in chat.tree:
            assert chat.tree.remembered(node, cursor).index == scene.remembered(node.index, cursor)


def test_going_back_to_a_fork_finds_the_way_taken_last():
    chat = started()
    chat.say("user", "a")
    chat.say("assistant", "b")
    chat.say("user", "c")
    other = chat.edit("0.0", "B")

    assert chat.previous_alternative().id == "0.0.0"
    assert chat.next_alternative("0.0") == other
    assert chat.tree.remembered(chat.tree.root) == other
    assert chat.at(7).remembered(chat.at(7).root).id == "0.0.0"


def test_a_newer_alternative_does_not_take_the_place_of_the_one_on_show():
    """However short ago the node came on whose children it is."""
    chat = started()
    chat.say("user", "a")
    chat.add("user", "b", under="")
    assert chat.tree.remembered(chat.tree.root).id == "0"
    chat.add("user", "c", under="0")
    chat.move("0.0")
    chat.add("user", "d", under="0")
    chat.move("")

    assert chat.tree.remembered(chat.tree.root).id == chat.tree.remembered(chat.tree["0"]).id == "0.0"
    assert chat.tree.remembered(chat.tree["1"]).id == "1"


def test_each_cursor_remembers_its_own_way():
    chat = started()
    for text in "abc":
        chat.add("user", text, under="")
    chat.new_cursor("reader", "1")
    chat.move("0")

    assert (chat.tree.remembered(chat.tree.root).id, chat.tree.remembered(chat.tree.root, "reader").id) == ("0", "1")
    assert chat.tree.remembered(chat.tree.root, "nobody").id == "2"


# Grafting.

transcripts = st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(TEXTS)), max_size=6)


def of(transcript):
    return [Message(role, text) for role, text in transcript]


@given(st.none() | st.sampled_from(TEXTS), st.lists(transcripts, max_size=6))
def test_linear_transcripts_fold_into_one_tree(system, many):
    chat = started(system=system)
    root = [] if system is None else [("system", system)]
    ends = [chat.graft(of(root * (number % 2) + transcript)) for number, transcript in enumerate(many)]

    for end, transcript in zip(ends, many, strict=True):
        assert [node.message for node in end.path if node.message] == of(root + transcript)
    prefixes = {tuple(transcript[:length]) for transcript in many for length in range(len(transcript) + 1)} | {()}
    assert len(chat.tree) == len(prefixes)
    leaves = {tuple(node.message.to_chat().items()) for node in chat.tree.leaves if node.message}
    assert leaves <= {tuple(message.to_chat().items()) for transcript in [root, *many] for message in of(transcript)}
    assert chat.cursor.id == ""
    assert chat.version == len(prefixes)
    before = portrait(chat.tree)
    for transcript in many:
        chat.graft(of(transcript))
    assert portrait(chat.tree) == before


def test_grafting_does_not_compare_metadata_but_all_that_a_model_is_sent():
    chat = started()
    chat.graft([Message("user", "a", metadata={"k": 1})])
    chat.graft([Message("user", "a", metadata={"k": 2})])
    chat.graft([Message("user", "a", name="Ada")])
    chat.graft([Message("user", [{"type": "x", "n": 1}])])
    chat.graft([Message("user", [{"type": "x", "n": True}])])
    chat.graft([Message("user", [{"n": 1, "type": "x"}])])

    assert [node.message.content for node in chat.tree.root.children] == [
        "a", "a", [{"type": "x", "n": 1}], [{"type": "x", "n": True}],
    ]  # fmt: skip
    assert chat.tree["0"].metadata == {"k": 1}


def test_a_graft_is_all_or_nothing():
    chat = started()
    late = Message("user", "b")
    late.metadata["k"] = {1}

    with pytest.raises(InvalidInput):
        chat.graft(iter([Message("user", "a"), late]))

    assert (len(chat.tree), chat.version) == (1, 1)
    moment = NOON - timedelta(days=1)
    assert chat.graft(iter(of([("user", "a"), ("user", "b")])), time=moment).added == moment


# Pending and saved.


@given(commands(30), st.booleans())
def test_reading_changes_nothing(script, past):
    chat = played(script)
    pending, before = chat.pending, portrait(chat.tree)
    tree = chat.at(1) if past else chat.tree
    portrait(tree)
    chat.messages()
    for node in tree:
        tree.remembered(node)
    repr(chat)

    assert (chat.pending, portrait(chat.tree)) == (pending, before)


def test_what_is_pending_is_a_copy():
    chat = started()
    pending = chat.pending
    chat.say("user", "a")

    assert (len(pending), len(chat.pending)) == (1, 3)


def test_a_conversation_that_is_dropped_with_pending_events_warns():
    with branchlog.open("memory:") as store:
        chat = store.create("trip")
        store.save(chat)
        del chat
        gc.collect()
        chat = store.load("trip")
        chat.say("user", "a")
        waiting = [chat]
        del chat
        with pytest.warns(ResourceWarning, match=r"'trip' was dropped with 2 events that were never saved"):
            waiting.clear()


def test_a_conversation_without_a_store_does_not_warn():
    chat = started()
    chat.say("user", "a")
    del chat
    gc.collect()


class LosingLog(MemoryLog):
    """Writes, but the answer gets lost on the way back, so many times."""

    losses = 0

    def append(self, commit, *, expected, entry=None):
        answer = super().append(commit, expected=expected, entry=entry)
        if self.losses:
            self.losses -= 1
            raise BackendError("the connection died before the answer")
        return answer


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("others", [False, True])
def test_a_save_whose_answer_was_lost_is_repeated_and_nothing_is_there_twice(more, others):
    log = LosingLog()
    store = Store(log, clock=TickingClock())
    chat = store.create("trip")
    store.save(chat)
    node = chat.say("user", "a")
    log.losses = 1
    with pytest.raises(BackendError):
        store.save(chat)
    if others:
        with store.editing("trip") as other:
            other.add("user", "x", under="")
    if more:
        chat.say("assistant", "b")
    if others:
        chat.add("user", "y", under="")
    store.save(chat)

    again = store.load("trip")
    expected = {"a"} | ({"b"} if more else set()) | ({"x", "y"} if others else set())
    assert sorted(n.message.content for n in again.tree if n.message) == sorted(expected)
    assert portrait(again.tree) == portrait(chat.tree)
    assert (node.id, node.message.content) == ("0", "a")


def append(log, schema, data, count):
    """What another version of branchlog would write behind the head of the stream."""
    head = log.head("trip")
    log.append(seal("trip", head, count=count, id=bytes(16), at=1, schema=schema, data=data), expected=head.version)


def test_a_conversation_with_events_of_a_later_minor_version_goes_on():
    """What is unknown keeps its place in the log; what is said here comes after it and names the right nodes."""
    log = MemoryLog()
    store = Store(log, clock=TickingClock())
    chat = store.create("trip", system="s")
    chat.say("user", "a")
    store.save(chat)
    chat.say("assistant", "b")
    later = (
        b'[{"type":"node-weighed","at":5,"node":2,"grams":3},'
        b'{"type":"node-added","at":6,"parent":2,"message":{"role":"user","content":"x"},"grams":3}]'
    )
    append(log, "1.7.2", later, 2)
    store.save(chat)
    again = store.load("trip")

    assert portrait(again.tree) == portrait(chat.tree)
    assert [(node.id, node.version, node.message.content) for node in again.tree] == [
        ("", 1, "s"), ("0", 2, "a"), ("0.0", 5, "x"), ("0.1", 6, "b"),
    ]  # fmt: skip
    assert store.messages("trip") == again.messages()
    assert again.undo().message.content == "a"
    store.save(again)


@pytest.mark.parametrize(
    ("schema", "data", "count", "error"),
    [
        ("2.0.0", b"[]", 1, SchemaVersionError),
        ("0.9.0", b"[]", 1, CorruptLog),
        ("1.0.0", b"[]", 1, CorruptLog),
        ("1.0.0", b'[{"type":"cursor-moved","at":5,"to":9}]', 1, CorruptLog),
        ("1.0.0", b'[{"type":"node-weighed","at":5}]', 1, CorruptLog),
    ],
)
def test_what_cannot_be_read_is_refused_by_load_and_by_save(schema, data, count, error):
    log = MemoryLog()
    store = Store(log, clock=TickingClock())
    chat = store.create("trip", system="s")
    store.save(chat)
    chat.say("user", "a")
    before = portrait(chat.tree), chat.pending, chat.saved_version
    append(log, schema, data, count)

    with pytest.raises(error):
        store.load("trip")
    with pytest.raises(error):
        store.save(chat)

    assert (portrait(chat.tree), chat.pending, chat.saved_version) == before
    chat._belongs_to_store = False  # what is pending is given up on purpose


def test_a_caller_may_ask_to_be_told_of_a_conflict():
    with branchlog.open("memory:") as store:
        chat = store.create("trip")
        store.save(chat)
        other = store.load("trip")
        other.say("user", "x")
        store.save(other)
        chat.say("user", "a")
        before = portrait(chat.tree), chat.pending

        with pytest.raises(VersionConflict) as conflict:
            store.save(chat, on_conflict="raise")

        assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == ("trip", 1, 3)
        assert (portrait(chat.tree), chat.pending) == before
        assert store.save(chat) == 5
        with pytest.raises(InvalidInput, match="on_conflict"):
            store.save(chat, on_conflict="ignore")


def test_two_conversations_of_one_id_are_not_mixed():
    with branchlog.open("memory:") as store:
        one, other = store.create("trip"), store.create("trip")
        store.save(one)
        with pytest.raises(AlreadyExists, match="load it"):
            store.save(other)
        assert len(other.pending) == 1
        other._belongs_to_store = False  # given up on purpose
