"""What happened, moment by moment: one step for each event, and the tree as it then was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import Conversation, InvalidInput, NotFound
from branchlog._core.events import CursorMoved, NodeAdded, NodeAnnotated, NodeRedacted, SeveralEvents, UnknownEvent
from branchlog._core.projection import Projection, evolve_all, to_microseconds
from branchlog._core.replay import replay
from branchlog._core.tree import Tree
from branchlog.testing import TickingClock, commands, played, portrait, started
from branchlog.testing.playing import NOON, picks

KINDS = {
    "ConversationStarted": "conversation-started",
    "NodeAdded": "node-added",
    "CursorMoved": "cursor-moved",
    "NodeAnnotated": "node-annotated",
    "ConversationAnnotated": "conversation-annotated",
    "NodeRedacted": "node-redacted",
}


def told(step):
    """All that a step says, in values that can be compared."""
    node = None if step.node is None else step.node.id
    return step.version, step.at, step.kind, node, step.cursor, step.by, step.changes, portrait(step.tree)


@given(commands(), st.lists(picks, max_size=2))
def test_every_event_is_one_step_with_the_tree_of_then(script, redacted):
    """Versions follow one another, kinds are the types of the events, trees and times those of the version."""
    chat = played(script)
    for pick in redacted:
        chat.redact(chat.tree.nodes[pick % len(chat.tree)])
    steps = list(chat.replay())

    assert [step.version for step in steps] == list(range(1, chat.version + 1))
    assert [step.kind for step in steps] == [KINDS[type(event).__name__] for event in chat.pending]
    assert [to_microseconds(step.at) for step in steps] == [event.at for event in chat.pending]
    for step in steps:
        assert portrait(step.tree) == portrait(chat.at(step.version))


@given(commands())
def test_a_step_says_what_its_event_was_about(script):
    """The node, the cursor and what was annotated are those of the event."""
    chat = played(script)
    for step, event in zip(chat.replay(), chat.pending, strict=True):
        if isinstance(event, NodeAdded):
            assert step.node.version == step.version
            assert step.node.parent.version == event.parent
        elif isinstance(event, CursorMoved):
            assert (step.cursor, step.by) == (event.cursor, event.by)
            assert (None if step.node is None else step.node.version) == event.to
        elif isinstance(event, NodeAnnotated):
            said = {name: getattr(event, name) for name in ("label", "rating", "bookmark", "hidden", "metadata")}
            assert step.node.version == event.node
            assert step.changes == {name: value for name, value in said.items() if name in step.changes}
            assert set(step.changes) == {name for name in said if type(said[name]).__name__ != "UnsetType"}


@given(commands(), st.integers(0, 100), st.integers(0, 100))
def test_a_part_of_the_replay_is_that_part_of_the_whole(script, one, other):
    """From one version to another, both included; by versions or by the times of these."""
    chat = played(script)
    first, last = sorted((1 + one % chat.version, 1 + other % chat.version))
    whole = [told(step) for step in chat.replay()]

    assert [told(step) for step in chat.replay(first, last)] == whole[first - 1 : last]
    assert [told(step) for step in chat.replay(first)] == whole[first - 1 :]

    start, stop = (whole[version - 1][1] for version in (first, last))
    by_times = [told(step) for step in chat.replay(start, stop)]
    assert by_times == whole[chat.at(start).version - 1 : chat.at(stop).version]


def test_a_replay_that_ends_before_it_begins_is_empty():
    chat = started("Trip")
    chat.say("user", "a")

    assert list(chat.replay(3, 2)) == []


@pytest.mark.parametrize("moment", [0, -1, 4])
def test_there_is_no_replay_of_moments_that_never_were(moment):
    chat = started("Trip")
    chat.say("user", "a")
    with pytest.raises(NotFound):
        list(chat.replay(moment))
    with pytest.raises(NotFound):
        list(chat.replay(1, moment))


@pytest.mark.parametrize("moment", [True, 1.5, "1", NOON.replace(tzinfo=None)])
def test_there_is_no_replay_of_what_is_no_moment(moment):
    chat = started("Trip")
    with pytest.raises(InvalidInput):
        list(chat.replay(moment))
    with pytest.raises(InvalidInput):
        list(chat.replay(1, moment))


def test_the_first_step_puts_the_cursor_at_the_root_by_itself():
    """A conversation that has only begun is one step, though a cursor stands already."""
    (step,) = Conversation.start("trip", title="Trip", metadata={"k": 1}, clock=TickingClock()).replay()

    assert (step.kind, step.node.id, step.cursor) == ("conversation-started", "", None)
    assert step.changes == {"title": "Trip", "metadata": {"k": 1}}
    assert step.tree.cursor.id == ""


def test_a_cursor_that_is_taken_away_goes_nowhere():
    chat = started()
    chat.new_cursor("reader")
    chat.drop_cursor("reader")
    *_, step = chat.replay()

    assert (step.kind, step.cursor, step.node) == ("cursor-moved", "reader", None)


def test_what_moved_a_cursor_is_told():
    chat = started()
    chat.say("user", "a")
    chat.undo()
    chat.redo()

    assert [step.by for step in chat.replay() if step.kind == "cursor-moved"] == ["move", "undo", "redo"]


def test_each_redaction_is_told_also_of_a_node_that_was_redacted_before():
    """Two writers may redact one node; the second event is one, too."""
    state = Projection()
    chat = started(system="secret")
    evolve_all(state, [*chat.pending, NodeRedacted(at=1, node=1), NodeRedacted(at=2, node=1)])

    assert [step.kind for step in replay(state, 1, 3)] == ["conversation-started", *["node-redacted"] * 2]
    assert [step.node.redacted for step in replay(state, 1, 3)] == [False, True, True]

    state.rewind(2)
    assert [step.kind for step in replay(state, 2, 2)] == ["node-redacted"]


def test_events_of_a_later_vocabulary_keep_their_place():
    """Unknown events, and stored ones of which nothing is left, are steps of their own in which nothing changes."""
    state = Projection()
    unknown, dropped = UnknownEvent(at=5, raw=b"{}"), SeveralEvents(at=5, events=())
    evolve_all(state, [*started().pending, unknown, CursorMoved(at=6, to=1, cursor="reader"), dropped, unknown])

    steps = list(replay(state, 1, 5))
    assert [step.kind for step in steps] == [
        "conversation-started",
        "unknown",
        "cursor-moved",
        "unknown",
        "unknown",
    ]
    assert [step.version for step in steps] == [1, 2, 3, 4, 5]
    assert [step.kind for step in replay(state, 4, 5)] == ["unknown", "unknown"]
    assert portrait(steps[4].tree) == portrait(Tree(state))


def test_an_event_that_means_several_now_is_told_as_what_it_means():
    """One stored event of an earlier vocabulary: its parts, all of its one version."""
    chat = started()
    chat.say("user", "a")
    _, added, moved = chat.pending
    state = Projection()
    evolve_all(state, [chat.pending[0], SeveralEvents(at=added.at, events=(added, moved))])

    assert [(step.version, step.kind) for step in replay(state, 1, 2)] == [
        (1, "conversation-started"),
        (2, "node-added"),
        (2, "cursor-moved"),
    ]
