"""The fold: the same events make the same tree, however they arrive and whatever was taken back on the way."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from branchlog import Conversation, CorruptLog, InvalidInput, NotFound
from branchlog._core import codec
from branchlog._core.events import (
    SCHEMA,
    ConversationAnnotated,
    ConversationStarted,
    CursorMoved,
    NodeAdded,
    NodeAnnotated,
    UnknownEvent,
)
from branchlog._core.projection import Projection, evolve, evolve_all, to_datetime, to_microseconds
from branchlog._core.tree import Tree
from branchlog.commit import genesis, seal
from branchlog.testing.playing import NOON, commands, perform, picks, played, portrait, started, texts


def folded(events):
    state = Projection()
    evolve_all(state, events)
    return state


@given(commands(40))
def test_same_events_same_tree(script):
    chat = played(script)

    assert portrait(Tree(folded(chat.pending))) == portrait(Tree(folded(chat.pending))) == portrait(chat.tree)


@given(commands(40), st.lists(st.integers(0, 60), max_size=6))
def test_any_split_into_commits_same_tree(script, cuts):
    chat = played(script)
    events = chat.pending
    bounds = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    copy, head = Conversation(chat.id), genesis("", chat.id)
    for first, last in pairwise(bounds):
        data = codec.encode_events(events[first:last])
        commit = seal(chat.id, head, count=last - first, id=bytes(16), at=0, schema=SCHEMA, data=data)
        copy._fold([commit])
        head = commit.head

    assert portrait(copy.tree) == portrait(chat.tree)
    assert (copy.version, copy.saved_version, copy.pending) == (chat.version, chat.version, ())


@given(commands(40))
def test_ids_never_change_and_ordinals_are_never_used_again(script):
    """Each node keeps the id that it had when it came, and comes behind all siblings there ever were."""
    chat = started()
    given_ids = {chat.tree.root: ""}
    for command in script:
        known = set(given_ids)
        perform(chat, command)
        for node in chat.tree:
            if node not in known:
                assert node.id not in given_ids.values()
                assert node.ordinal == sum(other.parent == node.parent for other in known if other.id)
                given_ids[node] = node.id
                known.add(node)
        assert {node: node.id for node in chat.tree} == given_ids


@given(commands(40))
def test_a_node_is_found_by_its_id(script):
    tree = played(script).tree
    for node in tree:
        assert tree[node.id] == node
        assert node.id in tree
        assert tree[node.id].path[-1] == node
        assert [above.id for above in node.path] == [node.up(steps).id for steps in range(node.depth, -1, -1)]


@given(commands(30))
def test_the_tree_at_a_version_is_the_tree_of_the_first_events(script):
    chat = played(script)
    for version in range(1, chat.version + 1):
        then = chat.at(version)
        alone = Tree(folded(chat.pending[:version]))

        assert portrait(then) == portrait(alone)
        for cursor in ("main", "reader"):
            for node, same in zip(then, alone, strict=True):
                assert then.remembered(node, cursor).id == alone.remembered(same, cursor).id


@given(commands(30), st.integers(0, 60), st.booleans(), commands(10))
def test_taking_back_and_folding_again_is_folding_once(script, keep, looked, more):
    chat = played(script)
    events = chat.pending
    version = max(1, keep % (len(events) + 1))
    state = folded(events)
    if looked:
        portrait(Tree(state))
    state.rewind(version)

    assert portrait(Tree(state)) == portrait(Tree(folded(events[:version])))
    assert (state.title, state.metadata) == (Tree(state).title, Tree(state).metadata)
    evolve_all(state, events[version:])
    assert portrait(Tree(state)) == portrait(chat.tree)
    assert list(state.peaks) == list(folded(events).peaks)
    further = [*events, *played(more, chat).pending[len(events) :]]
    evolve_all(state, further[len(events) :])
    assert portrait(Tree(state)) == portrait(Tree(folded(further)))


@given(commands(30))
def test_a_node_that_was_not_linked_yet_is_taken_back_too(script):
    """Half of the nodes have been looked at when all but the first event are taken back."""
    events = played(script).pending
    state = folded(events[: len(events) // 2])
    portrait(Tree(state))
    evolve_all(state, events[len(events) // 2 :])
    state.rewind(1)
    evolve_all(state, events[1:])

    assert portrait(Tree(state)) == portrait(Tree(folded(events)))


# What cannot be folded.

MESSAGE = Raw(b'{"role":"user","content":"a"}')


@pytest.mark.parametrize(
    "event",
    [
        NodeAdded(at=1, parent=3, message=MESSAGE),
        NodeAdded(at=1, parent=2, message=MESSAGE),
        NodeAdded(at=1, parent=0, message=MESSAGE),
        NodeAdded(at=1, parent=-1, message=MESSAGE),
        NodeAdded(at=1, parent=10**18, message=MESSAGE),
        CursorMoved(at=1, to=2),
        CursorMoved(at=1, to=9),
        NodeAnnotated(at=1, node=2, label="best"),
        ConversationStarted(at=1),
    ],
    ids=lambda event: f"{type(event).__name__} {getattr(event, 'parent', getattr(event, 'to', ''))}",
)
def test_an_event_about_nothing_is_a_corrupt_log_and_changes_nothing(event):
    events = [ConversationStarted(at=1), CursorMoved(at=1, to=1)]
    state = folded(events)

    with pytest.raises(CorruptLog, match="event 3"):
        evolve(state, event)

    assert portrait(Tree(state)) == portrait(Tree(folded(events)))
    assert (state.version, len(state.contents)) == (2, 1)


@pytest.mark.parametrize(
    "event", [NodeAdded(at=1, parent=1, message=MESSAGE), CursorMoved(at=1, to=1), NodeAnnotated(at=1, node=1)]
)
def test_nothing_can_be_about_a_conversation_that_has_not_begun(event):
    with pytest.raises(CorruptLog):
        evolve(Projection(), event)


def test_an_unknown_event_takes_a_version_and_changes_nothing_else():
    state = folded(
        [ConversationStarted(at=1), UnknownEvent(at=5, raw=b"{}"), NodeAdded(at=6, parent=1, message=MESSAGE)]
    )

    assert (state.version, [node.version for node in Tree(state)]) == (3, [1, 3])
    assert portrait(Tree(state).at(2))["nodes"] == portrait(Tree(state).at(1))["nodes"]


def test_a_move_by_an_unknown_way_is_a_move():
    """A later version of the vocabulary may have other ways to move."""
    chat = started()
    chat.say("user", "a")
    state = folded([*chat.pending, CursorMoved(at=9, to=1, by="teleport")])

    assert state.cursors["main"].stacks() == ([0, 1], [])


# Time.

minutes = st.integers(-5, 5)


@given(st.lists(minutes, min_size=1, max_size=20), minutes)
def test_the_version_at_a_moment_is_that_of_a_clock_that_never_runs_backwards(times, moment):
    """Clocks go back, and two events may have one time: an event counts from the latest time before or at it on."""
    at = [to_microseconds(NOON + timedelta(minutes=time)) for time in times]
    state = folded([ConversationStarted(at=at[0])] + [ConversationAnnotated(at=time) for time in at[1:]])
    peaks = [max(times[: count + 1]) for count in range(len(times))]

    assert list(state.peaks) == [to_microseconds(NOON + timedelta(minutes=peak)) for peak in peaks]
    assert state.version_at(NOON + timedelta(minutes=moment)) == bisect_right(peaks, moment)


@given(st.lists(st.tuples(st.integers(0, 3), minutes), max_size=6))
def test_the_running_maximum_follows_when_events_are_taken_back(steps):
    state = folded([ConversationStarted(at=0)])
    for take_back, time in steps:
        assert len(state.peaks) == state.version
        state.rewind(max(1, state.version - take_back))
        evolve(state, ConversationAnnotated(at=time))

        assert list(state.peaks) == [max(state.times[: count + 1]) for count in range(state.version)]


@given(st.datetimes(timezones=st.integers(-1400, 1400).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_a_time_comes_back_to_the_microsecond(moment):
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return  # before the year 1 in UTC, or after 9999
    assert to_datetime(to_microseconds(moment)) == utc


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - that it has no zone is the point


class Nowhere(tzinfo):
    def utcoffset(self, moment):
        return None


@pytest.mark.parametrize(
    "moment",
    [NAIVE, NAIVE.replace(tzinfo=Nowhere()), "2026-01-01", 5, None, NOON.date()],
    ids=["naive", "a zone that says nothing", "text", "number", "none", "date"],
)
def test_a_time_without_a_zone_is_none(moment):
    with pytest.raises(InvalidInput, match="aware datetime"):
        to_microseconds(moment)


@given(commands(20), picks, texts)
def test_the_tree_at_a_time_is_the_tree_at_its_version(script, pick, text):
    chat = played(script)
    for version in range(1, chat.version + 1):
        moment = to_datetime(chat._state.peaks[version - 1])

        then = chat.at(moment)

        assert then.version == chat._state.version_at(moment) >= version
        assert portrait(then) == portrait(chat.at(then.version))
    with pytest.raises(NotFound, match="began at version 1"):
        chat.at(to_datetime(chat._state.times[0] - 1))
