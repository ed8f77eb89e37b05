"""Any moment of a conversation can be looked at, gone back to and gone on from elsewhere."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import branchlog
from branchlog import Conversation, InvalidInput, Message, NotFound
from branchlog._core.projection import Projection
from branchlog.testing import TickingClock, commands, played, portrait, started
from branchlog.testing.playing import NOON, picks

SECOND = timedelta(seconds=1)
moments = st.integers(0, 6).map(lambda seconds: NOON + seconds * SECOND)
"""Few, so that times are equal, and run backwards, all the time."""


class RecordingClock:
    """Says whatever time it is set to."""

    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


@st.composite
def histories(draw):
    """A conversation by a clock that jumps about, with imported times; and its portrait after every event."""
    clock = RecordingClock()
    chat, portraits = Conversation.start("trip", clock=clock), []
    for command, now, original in draw(st.lists(st.tuples(commands(2), moments, st.none() | moments), max_size=12)):
        clock.now = now
        if original is not None:
            chat.say("user", "imported", under=chat.tree.root, time=original)
        played(command, chat)
    events, state = chat.pending, Projection()
    for event in events:
        branchlog._core.projection.evolve(state, event)
        portraits.append(portrait(branchlog.Tree(state)))
    return chat, portraits


# As it was.


@given(histories())
def test_the_tree_at_a_version_is_what_it_was_then(history):
    chat, portraits = history
    for version, expected in enumerate(portraits, 1):
        assert portrait(chat.at(version)) == expected
        assert portrait(chat.at(chat.version).at(version)) == expected


@given(histories(), st.integers(-2, 9))
def test_the_tree_at_a_time_has_what_had_happened_by_then(history, seconds):
    """Every event up to the last one whose clock, and whose predecessors' clocks, said no more than this."""
    chat, portraits = history
    moment = NOON + seconds * SECOND
    latest, happened = datetime.min.replace(tzinfo=UTC), 0
    for event in chat.pending:
        latest = max(latest, NOON + (event.at - chat.pending[0].at) * timedelta(microseconds=1))
        happened += latest <= moment
    began = chat.tree.root.added
    assert latest >= began == NOON

    if not happened:
        with pytest.raises(NotFound, match="the conversation began at version 1"):
            chat.at(moment)
    else:
        assert portrait(chat.at(moment)) == portraits[happened - 1]
        assert chat.at(moment.astimezone(timezone(timedelta(hours=-11)))).version == happened


@settings(max_examples=40)
@given(histories())
def test_a_store_sends_what_the_conversation_does(history):
    """``store.messages`` at each version and time, without the tree, in both colours, whatever the commits."""
    chat, _ = history
    address = "memory:"
    with branchlog.open(address) as store:
        store.save(chat)
        for version in range(1, chat.version + 1):
            assert store.messages("trip", at=version) == chat.messages(version)
        for seconds in range(7):
            assert store.messages("trip", at=NOON + seconds * SECOND) == chat.messages(NOON + seconds * SECOND)


@given(commands(), st.lists(st.integers(1, 4), max_size=20))
@settings(max_examples=60)
def test_looking_back_over_many_commits(script, sizes):
    """The place of the cursor is found by reading backwards over commits of any size."""
    with branchlog.open("memory:", clock=TickingClock()) as store:
        chat = store.create("trip")
        for number, command in enumerate(script):
            played([command], chat)
            if number % (sizes[number % len(sizes)] if sizes else 1) == 0:
                store.save(chat)
        store.save(chat)

        for version in range(1, chat.version + 1):
            assert store.messages("trip", at=version) == chat.messages(version)


def test_looking_back_reads_the_path_only():
    """Far back in a long conversation, however much came later."""
    with branchlog.open("memory:", clock=TickingClock()) as store:
        chat = store.create("trip")
        for number in range(300):
            chat.say("user", str(number), under="")
            store.save(chat)
        read = []
        log_read = store.log.read

        def counting(*arguments, **options):
            commits = log_read(*arguments, **options)
            read.append(len(commits))
            return commits

        store.log.read = counting
        assert [message.content for message in store.messages("trip", at=301)] == ["149"]
        assert sum(read) < 12


def test_async_looking_back():
    async def looked():
        async with branchlog.open_async("memory:", clock=TickingClock()) as store:
            chat = await store.create("trip")
            chat.say("user", "a")
            chat.say("user", "b")
            await store.save(chat)
            return [await store.messages("trip", at=at) for at in (1, 3, 5, NOON + 60 * SECOND)], [
                chat.messages(at) for at in (1, 3, 5, NOON + 60 * SECOND)
            ]

    found, expected = asyncio.run(looked())
    assert found == expected


# Moments that never were.

LATER = [0, -1, 10**30, -(10**30), 6]
NO_MOMENTS = [True, False, 1.5, 3.0, None, b"1", NOON.date(), timedelta(1), NOON.replace(tzinfo=None), (1,)]


@pytest.fixture
def trip():
    """Of five events, a second apart, the first at noon and a second."""
    chat = started("Trip")
    chat.say("user", "a")
    chat.say("user", "b")
    return chat


@pytest.mark.parametrize("moment", LATER)
def test_versions_that_never_were(trip, moment):
    with branchlog.open("memory:") as store:
        store.save(trip)
        for look in (trip.at, trip.tree.at, trip.messages, trip.restore, trip.fork_from,
                     lambda at: store.messages("trip", at=at)):  # fmt: skip
            with pytest.raises(NotFound, match=r"the conversation (began|has)"):
                look(moment)
    assert trip.version == 5


@pytest.mark.parametrize("moment", NO_MOMENTS, ids=repr)
def test_what_is_no_moment(trip, moment):
    with branchlog.open("memory:") as store:
        store.save(trip)
        looks = [trip.at, trip.tree.at, trip.restore]
        if moment is not None:  # which means now
            looks += [trip.messages, trip.fork_from, lambda at: store.messages("trip", at=at)]
        for look in looks:
            with pytest.raises(InvalidInput):
                look(moment)
    assert trip.version == 5


@pytest.mark.parametrize(
    ("moment", "version"),
    [
        (NOON + SECOND, 1),
        (NOON + 1.999999 * SECOND, 1),
        (NOON + 2 * SECOND, 3),
        (datetime.max.replace(tzinfo=UTC), 5),
        (datetime(2100, 1, 1, tzinfo=timezone(timedelta(hours=14))), 5),
    ],
)
def test_times(trip, moment, version):
    """A save is of one moment; a time after the last event is the present."""
    assert trip.at(moment).version == version


@pytest.mark.parametrize("moment", [NOON, NOON + 0.999999 * SECOND, datetime.min.replace(tzinfo=UTC)])
def test_times_before_the_beginning(trip, moment):
    with pytest.raises(NotFound, match="there is nothing at"):
        trip.at(moment)


def test_a_conversation_that_has_only_begun():
    chat = started("Trip")
    for moment in (1, NOON + SECOND, NOON + 9 * SECOND):
        assert [node.id for node in chat.at(moment)] == [""]
        assert chat.messages(moment) == []
    for moment in (0, 2, NOON):
        with pytest.raises(NotFound):
            chat.at(moment)


def test_a_conversation_that_has_not_begun():
    chat = Conversation("trip")
    for moment in (0, 1, NOON):
        with pytest.raises(NotFound):
            chat.at(moment)


def test_the_past_does_not_grow(trip):
    """A view of then is of then, whatever is said afterwards, and its nodes see nothing later."""
    then = trip.at(3)
    seen = portrait(then)
    trip.say("user", "c", under="")
    trip.annotate("0", label="best", rating=5)
    trip.annotate_conversation(title="Other")

    assert portrait(then) == seen
    assert then["0"].alternatives == (then["0"],)
    with pytest.raises(NotFound):
        then["1"]
    with pytest.raises(NotFound, match="there is no version 4 yet"):
        then.at(4)


# Going back.


def standing(tree, nodes):
    """What restoring brings back: all but the tree itself, for the nodes of then."""
    seen = portrait(tree)
    return {
        "title": seen["title"],
        "metadata": seen["metadata"],
        "cursors": seen["cursors"],
        "nodes": {
            id: {
                what: seen["nodes"][id][what] for what in ("said", "label", "rating", "bookmark", "hidden", "metadata")
            }
            for id in nodes
        },
    }


@given(commands(30), st.integers(0, 100), st.integers(0, 100))
def test_restoring(script, one, other):
    """What was on show and was said about it is so again; nothing is lost; and back again."""
    chat = played(script)
    for pick in (one, other):
        before, events = portrait(chat.tree), chat.pending
        version = 1 + pick % chat.version
        then = chat.at(version)
        nodes = [node.id for node in then]

        chat.restore(version)

        assert standing(chat.tree, nodes) == standing(then, nodes)
        assert chat.pending[: len(events)] == events
        assert {id: node["said"] for id, node in portrait(chat.tree)["nodes"].items()} == {
            id: node["said"] for id, node in before["nodes"].items()
        }
        assert portrait(chat.at(len(events))) == before
        assert not set(chat.cursors) & set(chat.tree.labels)
        chat.restore(version)
        assert standing(chat.tree, nodes) == standing(then, nodes)


@given(commands(30), st.integers(0, 100))
def test_restoring_and_restoring_back(script, pick):
    """What is said about nodes that came later stays, so the present comes back whole but for their labels."""
    chat = played(script)
    present = chat.version
    chat.restore(1 + pick % chat.version)
    chat.restore(present)

    nodes = [node.id for node in chat.tree]
    assert standing(chat.tree, nodes) == standing(chat.at(present), nodes)


@given(commands())
def test_restoring_the_present_does_nothing(script):
    chat = played(script)
    before = chat.pending
    chat.restore(chat.version)
    chat.restore(datetime.max.replace(tzinfo=UTC))

    assert chat.pending == before


def test_restoring_gives_a_label_back_that_another_writer_gave_away():
    """Merged from two writers, a label went to another node without being taken off the first."""
    with branchlog.open("memory:") as store:
        chat = store.create("trip")
        chat.add("user", "a", under="")
        chat.add("user", "b", under="")
        store.save(chat)
        other = store.load("trip")
        chat.annotate("0", label="best")
        other.annotate("1", label="best")
        store.save(chat)
        store.save(other)
        assert other.tree["1"].label == "best"
        assert other.tree["0"].label is None

        other.restore(4)
        assert (other.tree["0"].label, other.tree["1"].label) == ("best", None)
        store.save(other)


def test_a_cursor_that_comes_back_takes_its_name_from_a_label():
    """A name is a cursor's or a label, not both."""
    chat = started()
    chat.new_cursor("best")
    version = chat.version
    chat.drop_cursor("best")
    chat.say("user", "a")
    chat.annotate("0", label="best", rating=4)
    chat.restore(version)

    assert chat.cursors.keys() == {"main", "best"}
    assert (chat.tree.labels, chat.tree["0"].rating) == ({}, 4)


def test_what_was_redacted_is_not_brought_back():
    chat = started()
    chat.say("user", "secret")
    chat.annotate("0", metadata={"k": "secret"}, rating=3)
    version = chat.version
    chat.redact("0")
    chat.annotate("0", rating=None)
    chat.restore(version)

    assert (chat.tree["0"].message, chat.tree["0"].metadata) == (Message("user", ""), {})
    assert (chat.tree["0"].rating, chat.tree["0"].redacted) == (3, True)


def test_restoring_can_be_undone(trip):
    trip.restore(3)
    assert trip.cursor.id == "0"
    assert trip.undo().id == "0.0"


# Beginning another one from there.


@given(commands(), picks, st.integers(0, 100))
def test_a_fork_is_the_path_as_it_was(script, pick, back):
    """From a node of now, a node of then, an expression or a moment: messages, times, and what was said by then."""
    chat = played(script, Conversation.start("trip", title="Trip", system="Be brief.", clock=TickingClock()))
    before = chat.pending
    version = 1 + back % chat.version
    then = chat.at(version)
    node = then.nodes[pick % len(then)]
    for fork, path, tree in (
        (chat.fork_from(version), then.cursor.path, then),
        (chat.fork_from(node), node.path, then),
        (chat.fork_from(chat.tree[node.id]), chat.tree[node.id].path, chat.tree),
        (chat.fork_from(node.id), chat.tree[node.id].path, chat.tree),
        (chat.fork_from(f"@{{{version}}}"), then.cursor.path, then),
        (chat.fork_from(), chat.path(), chat.tree),
    ):
        copied = fork.cursor.path
        assert [each.message for each in copied] == [each.message for each in path]
        assert [each.added for each in copied] == [each.added for each in path]
        assert [each.annotations for each in copied] == [each.annotations for each in path]
        assert [each.metadata for each in copied] == [each.metadata for each in path]
        assert len(fork.tree) == len(path)
        assert (fork.title, fork.cursors.keys()) == (tree.title, {"main"})
        source = {"conversation": "trip", "node": path[-1].id, "version": tree.version}
        assert fork.metadata == {**tree.metadata, "forked_from": source}
        assert fork.id != chat.id
    assert chat.pending == before


@settings(max_examples=30)
@given(commands(), st.integers(0, 100))
def test_a_fork_is_saved_and_loaded(script, back):
    chat = played(script)
    with branchlog.open("memory:", clock=TickingClock()) as store:
        fork = chat.fork_from(1 + back % chat.version, id="other")
        store.save(fork)
        store.save(chat)

        assert portrait(store.load("other").tree) == portrait(fork.tree)
        assert store.messages("other") == fork.messages()
        assert store.load("other").at(1).title == fork.title


def test_a_fork_may_have_an_id_and_a_title(trip):
    assert trip.fork_from("0", id="other").id == "other"
    assert trip.fork_from("0", title="Other").title == "Other"
    assert trip.fork_from("0", title=None).title is None
    assert trip.fork_from("0").title == "Trip"


def test_a_fork_of_a_fork_tells_the_last_one(trip):
    fork = trip.fork_from("0", id="one").fork_from("", id="two")

    assert fork.metadata["forked_from"] == {"conversation": "one", "node": "", "version": 3}


def test_a_fork_of_a_root_without_a_message(trip):
    fork = trip.fork_from("", id="other")

    assert (len(fork.tree), fork.tree.root.message, fork.version) == (1, None, 1)


def test_a_node_of_another_conversation_is_no_place_to_fork_from(trip):
    with pytest.raises(NotFound):
        trip.fork_from(started().cursor)


def test_a_fork_costs_its_path(monkeypatch):
    """However wide and deep the rest of the tree is, only the path is looked at; messages are copied as bytes."""
    chat = started(system="Be brief.")
    for number in range(200):
        chat.say("user", f"q{number}", under="")
        for _ in range(4):
            chat.say("assistant", "a")
    looked_at, decoded = [], []
    content = Projection.content
    monkeypatch.setattr(Projection, "content", lambda state, node: looked_at.append(node) or content(state, node))
    monkeypatch.setattr("branchlog._core.tree.decode", lambda data: decoded.append(data) or Message("system", ""))
    fork = chat.fork_from("150.0.0")

    assert fork.version == 1 + 3 + 1
    assert len(looked_at) == 4
    assert len(decoded) == 1
