"""Snapshots of the index: laid end to end, with the tail folded behind them, they are the fold of all events."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import CorruptLog, InvalidInput
from branchlog._core import snapshot
from branchlog._core.projection import ABSENT, Fetched, Projection, evolve_all
from branchlog._core.replay import replay
from branchlog._core.same import different
from branchlog._core.tree import Tree
from branchlog.testing import commands, played, portrait, started
from branchlog.testing.playing import picks


def folded(events):
    """The state after these events."""
    state = Projection()
    evolve_all(state, events)
    return state


def laid(events, cuts):
    """The state from one snapshot for each stretch between cuts, with the rest folded; messages are fetched."""
    whole, state = folded(events), Projection()
    for after, until in zip([0, *cuts], cuts, strict=False):
        snapshot.apply(state, snapshot.take(whole, after, until))
    last = state.version

    def fetch(version):
        first = max(1, version - 2)
        return Fetched(first, events[first - 1 : min(version + 2, last)], 1_000)

    state.fetch = fetch
    evolve_all(state, events[last:])
    return state


def redacted(chat, chosen):
    """The conversation after some nodes were redacted."""
    for pick in chosen:
        chat.redact(chat.tree.nodes[pick % len(chat.tree)])
    return chat


histories = st.builds(
    played, commands(8), st.builds(redacted, st.builds(played, commands()), st.lists(picks, max_size=2))
)


@given(histories, st.data())
def test_snapshots_and_the_tail_are_the_fold_of_all(chat, data):
    """At any cuts, one or many: the same state, by comparing and by looking, now and at every version."""
    events = list(chat.pending)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events)), max_size=5)))
    whole, state = folded(events), laid(events, cuts)

    assert list(different(whole, state)) == []
    assert state.version == whole.version
    for version in range(1, len(events) + 1):
        assert portrait(Tree(state, version)) == portrait(Tree(whole, version))
    assert [(step.version, step.kind, step.changes) for step in replay(state, 1, len(events))] == [
        (step.version, step.kind, step.changes) for step in replay(whole, 1, len(events))
    ]


@given(histories, st.data())
def test_what_is_said_after_a_snapshot_is_as_after_the_fold(chat, data):
    """Undo, labels and what is remembered go on from a snapshot as they would from the fold."""
    events = list(chat.pending)
    cut = data.draw(st.integers(1, len(events)))
    whole, state = folded(events), laid(events, [cut])
    for name, history in whole.cursors.items():
        assert state.cursors[name].stacks() == history.stacks()
    for node in range(len(whole.arrays)):
        assert state.remembered(node, len(events)) == whole.remembered(node, len(events))
    assert (state.title, state.metadata, state.labels) == (whole.title, whole.metadata, whole.labels)
    assert (state.redacted, state.redactions) == (whole.redacted, whole.redactions)


@given(histories, st.data())
def test_taking_back_over_a_snapshot(chat, data):
    """What is folded behind a snapshot can be taken back as far as the snapshot, and folded again."""
    events = list(chat.pending)
    cut = data.draw(st.integers(1, len(events)))
    state = laid(events, [cut])
    state.rewind(cut)

    assert list(different(folded(events[:cut]), state)) == []
    evolve_all(state, events[cut:])
    assert list(different(folded(events), state)) == []


@given(histories)
def test_a_snapshot_of_a_snapshot(chat):
    """A state that was opened by a snapshot is taken again to the same bytes."""
    events = list(chat.pending)
    whole, last = folded(events), len(events)
    assert snapshot.take(laid(events, [last]), 0, last) == snapshot.take(whole, 0, last)


def test_no_message_is_in_a_snapshot():
    chat = started(system="SECRET of the root")
    chat.say("user", "SECRET of a node", metadata={"k": "SECRET too"})
    data = snapshot.take(folded(chat.pending), 0, chat.version)

    assert b"SECRET" not in data


def test_what_was_redacted_is_not_in_a_snapshot():
    """Metadata that was annotated is in a snapshot, until its node is redacted."""
    chat = started()
    chat.say("user", "a")
    chat.annotate("0", metadata={"k": "SECRET"}, label="best")
    events = list(chat.pending)
    assert b"SECRET" in snapshot.take(folded(events), 0, len(events))

    chat.redact("0")
    state = folded([*events, chat.pending[-1]])
    assert b"SECRET" not in snapshot.take(state, 0, state.version)
    assert b"best" in snapshot.take(state, 0, state.version)


def test_the_bytes_of_a_node():
    """Sixteen bytes a node and its time, and a few more for the cursor that follows."""
    chat = started()
    for _ in range(1_000):
        chat.add("user", "x" * 100, under="")

    assert len(snapshot.take(folded(chat.pending), 0, chat.version)) < 21 * 1_000


def test_messages_are_absent_until_fetched():
    chat = started(system="Be brief.")
    chat.say("user", "a")
    state = Projection()
    snapshot.apply(state, snapshot.take(folded(chat.pending), 0, chat.version))

    assert state.contents == [ABSENT, ABSENT]
    with pytest.raises(CorruptLog, match="no log to fetch it from"):
        state.content(1)

    state.fetch = lambda version: Fetched(version + 1, [], 0)
    with pytest.raises(CorruptLog, match="the log has no message at version 2"):
        state.content(1)

    state.fetch = lambda version: Fetched(1, chat.pending, 100)
    assert b'"a"' in bytes(state.content(1))
    assert b"Be brief." in bytes(state.contents[0])


def test_a_root_without_a_message_asks_for_none():
    state = Projection()
    snapshot.apply(state, snapshot.take(folded(started().pending), 0, 1))

    assert state.content(0) is None


def long_enough():
    chat = played([], started("Trip"))
    for text in "abc":
        chat.say("user", text)
    return folded(chat.pending)


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 3), (3, 0), (3, 5), (7, 3)],
    ids=["nothing before", "a first one again", "a gap", "an overlap"],
)
def test_what_does_not_follow_is_refused(before, after):
    """A snapshot goes on from the version that it was taken after, and from no other; the state stays as it was."""
    whole, state = long_enough(), Projection()
    if before:
        snapshot.apply(state, snapshot.take(whole, 0, before))
    seen = state.version, len(state.arrays), len(state.about)

    with pytest.raises(InvalidInput, match=f"after version {after}, not after {before}"):
        snapshot.apply(state, snapshot.take(whole, after, 7))
    assert (state.version, len(state.arrays), len(state.about)) == seen


def test_what_is_no_snapshot_is_refused():
    whole = long_enough()
    data = snapshot.take(whole, 0, 7)
    for damaged in (
        b"",
        b"\xc1",
        data[:-1],
        data + b"\0",
        msgspec.msgpack.encode({"after": 0}),
        bytes(8),
    ):
        with pytest.raises(InvalidInput, match="not a snapshot"):
            snapshot.apply(Projection(), damaged)


def test_a_column_that_is_cut_off_is_refused():
    index = msgspec.msgpack.decode(snapshot.take(long_enough(), 0, 7))
    for column in (1, 2, 3):
        cut = [*index]
        cut[column] = cut[column][:-1]
        with pytest.raises(InvalidInput, match="a column is cut off"):
            snapshot.apply(Projection(), msgspec.msgpack.encode(cut))


def test_a_label_that_went_from_a_later_node_to_an_earlier_one_is_where_it_went():
    chat = started("Trip", "Be brief.")
    chat.say("user", "a")
    chat.say("assistant", "b")
    chat.annotate("0.0", label="best")
    chat.annotate("0.0", label=None)
    chat.annotate("0", label="best")
    state = laid(list(chat.pending), [chat.version])

    assert Tree(state).labels == {"best": Tree(state)["0"]}


def test_columns_of_different_lengths_are_refused():
    whole = long_enough()
    index = snapshot._decode(snapshot.take(whole, 0, whole.version))
    short = snapshot._encode(msgspec.structs.replace(index, parents=index.parents[:-4]))
    state = Projection()
    with pytest.raises(InvalidInput, match="a snapshot"):
        snapshot.apply(state, short)

    assert state.version == 0
