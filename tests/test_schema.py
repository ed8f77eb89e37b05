"""Stores of other schemas: earlier ones are taken up as they are read, later ones are read as far as they are known."""

import attrs
import pytest
from vocabulary import AT, CODEC, committed, ping, said, started, told

import branchlog
from branchlog import (
    Application,
    Conversation,
    CorruptLog,
    Registry,
    SchemaVersionError,
    SnapshotIgnored,
    Store,
    Upcaster,
    _steps,
)
from branchlog._core.codec import Codec
from branchlog._core.events import SCHEMA
from branchlog.logs.memory import MemoryLog
from branchlog.testing import TickingClock, portrait

OLD = [
    ("0.8.0", [started("Trip"), said(2, 1, "a"), ping(3)]),
    ("0.8.0", [said(4, 2, "b"), ping(5)]),
    ("0.9.0", [told("Journey")]),
]


def stored(batches, codec=CODEC):
    """A store with a conversation of these commits, read with this codec."""
    log = MemoryLog()
    for commit in committed("trip", batches):
        log.append(commit, expected=commit.first - 1)
    return reading(log, codec)


def reading(log, codec=CODEC):
    store = Store(log, clock=TickingClock(), application=codec.application)
    store._home = attrs.evolve(store._home, codec=codec)
    return store


def test_an_old_conversation_is_opened_and_goes_on():
    """What is written now has the present schema; what was written then keeps its own, to the byte."""
    store = stored(OLD)
    before = store.log.read("trip")
    chat = store.load("trip")
    chat.say("user", "c")
    chat.annotate("0", label="first")
    store.save(chat)

    assert store.log.read("trip")[:3] == before
    assert [commit.schema for commit in store.log.read("trip")] == ["0.8.0", "0.8.0", "0.9.0", SCHEMA]
    again = store.load("trip")
    assert portrait(again.tree) == portrait(chat.tree)
    assert [message.content for message in again.messages()] == ["a", "b", "c"]
    assert (again.version, again.title) == (9, "Journey")


def test_looking_back_at_an_old_conversation():
    """By version, without opening the tree and with it; step by step; restored and forked from."""
    store = stored(OLD)
    chat = store.load("trip")
    sent = [[message.content for message in store.messages("trip", at=version)] for version in range(1, 7)]

    assert sent == [[], ["a"], ["a"], ["a", "b"], ["a", "b"], ["a", "b"]]
    assert sent == [[message.content for message in chat.messages(version)] for version in range(1, 7)]
    assert [(step.version, step.kind) for step in chat.replay()] == [
        (1, "conversation-started"),
        (2, "node-added"),
        (2, "cursor-moved"),
        (3, "unknown"),
        (4, "node-added"),
        (4, "cursor-moved"),
        (5, "unknown"),
        (6, "conversation-annotated"),
    ]
    chat.restore(3)
    store.save(chat)
    assert [message.content for message in store.messages("trip")] == ["a"]
    assert store.load("trip").title == "Trip"
    fork = chat.fork_from(4, id="fork")
    store.save(fork)
    assert [message.content for message in store.messages("fork")] == ["a", "b"]
    assert {commit.schema for commit in store.log.read("fork")} == {SCHEMA}


def test_merging_onto_an_old_conversation():
    store = stored(OLD)
    mine, theirs = store.load("trip"), store.load("trip")
    mine.say("user", "mine")
    theirs.say("user", "theirs")
    store.save(mine)
    store.save(theirs)

    assert [node.id for node in theirs.tree["0.0"].children] == ["0.0.0", "0.0.1"]
    assert portrait(store.load("trip").tree) == portrait(theirs.tree)


def test_redacting_in_an_old_conversation():
    """What an earlier vocabulary called otherwise is erased all the same, in its own shape."""
    store = stored(OLD)
    chat = store.load("trip")
    chat.redact("0")
    store.save(chat)

    first = store.log.read("trip")[0]
    assert (first.schema, bool(first.erased)) == ("0.8.0", True)
    assert b'"content":"a"' not in first.data
    assert [message.content for message in store.load("trip").messages()] == ["", "b"]


def test_snapshots_of_an_old_conversation(monkeypatch):
    """Split and dropped events have their place in them; messages are fetched and taken up."""
    monkeypatch.setattr(_steps, "SNAPSHOT_TAIL_BYTES", 1)
    store = stored(OLD)
    assert store.snapshot("trip") == 6
    quick, whole = store.load("trip"), _steps.run(store.log, _steps.load_whole(store._home, "trip"))
    assert quick._snapshot_version == 6

    assert portrait(quick.tree) == portrait(whole.tree)
    assert [portrait(quick.at(version)) for version in range(1, 7)] == [
        portrait(whole.at(version)) for version in range(1, 7)
    ]


def test_a_snapshot_of_other_steps_is_ignored():
    """What made it is told by its fingerprint: with other steps the same bytes may mean something else."""
    store = stored(OLD)
    store.snapshot("trip")
    steps = [attrs.evolve(CODEC.vocabulary._steps["0.8.0"]), CODEC.vocabulary._steps["0.9.0"]]
    sample = {"type": "conversation-annotated", "at": 1, "name": None}
    steps[1] = attrs.evolve(
        steps[1], sample=sample, golden=[{"type": "conversation-annotated", "at": 1, "title": None}]
    )
    other = Codec(vocabulary=Registry("the event vocabulary", current=SCHEMA, released=["0.8.0", "0.9.0"], steps=steps))

    with pytest.warns(SnapshotIgnored, match="another version of branchlog"):
        chat = reading(store.log, other).load("trip")
    assert portrait(chat.tree) == portrait(store.load("trip").tree)


def test_a_later_minor_version_is_read_and_written_on():
    """Unknown events and fields stay in the log, keep their versions, and change nothing."""
    later = [
        ("1.3.0", [{"type": "conversation-started", "at": AT, "mood": "good"}, {"type": "praised", "at": AT + 1}]),
        ("1.3.0", [{"type": "node-added", "at": AT + 2, "parent": 1, "tone": "kind",
                    "message": {"role": "user", "content": "a", "mood": "good"}}]),
    ]  # fmt: skip
    store = stored(later, Codec())
    before = store.log.read("trip")
    chat = store.load("trip")
    chat.say("user", "b", under="0")
    store.save(chat)

    assert store.log.read("trip")[:2] == before
    assert [commit.schema for commit in store.log.read("trip")] == ["1.3.0", "1.3.0", SCHEMA]
    assert [(node.version, node.message and node.message.content) for node in store.load("trip").tree] == [
        (1, None), (3, "a"), (4, "b"),
    ]  # fmt: skip
    assert [step.kind for step in chat.replay(2, 3)] == ["unknown", "node-added"]
    assert store.changes()[0].events[1].raw == b'{"type":"praised","at":%d}' % (AT + 1)


def test_a_later_major_version_is_refused_everywhere():
    """Whatever would have to be read; what only the catalog tells can still be had."""
    store = stored([("2.0.0", [{"type": "conversation-started", "at": AT}])], Codec())
    for ask in (store.load, store.messages, store.commits, store.verify, store.snapshot):
        with pytest.raises(SchemaVersionError, match=r"2\.0\.0.*upgrade branchlog"):
            ask("trip")
    with pytest.raises(SchemaVersionError):
        store.changes()

    assert store.describe("trip").version == store.count() == 1


def test_a_version_that_never_was_is_damage():
    with pytest.raises(CorruptLog, match="was ever released"):
        stored(OLD, Codec()).load("trip")


# An application's metadata.


def renamed(before, after):
    return lambda metadata: [{after if key == before else key: value for key, value in metadata.items()}]


FIRST = Application("notes", Registry("metadata of notes", current="1.0.0"))
TO_TAGS = Upcaster("1.0.0", "2.0.0", renamed("labels", "tags"), {"labels": 1}, [{"tags": 1}])
SECOND = Application("notes", Registry("metadata of notes", current="2.0.0", released=["1.0.0"], steps=[TO_TAGS]))
TO_MARKS = Upcaster("2.0.0", "3.0.0", renamed("tags", "marks"), {"tags": 1}, [{"marks": 1}])
THIRD = Application(
    "notes", Registry("metadata of notes", current="3.0.0", released=["1.0.0", "2.0.0"], steps=[TO_TAGS, TO_MARKS])
)


@pytest.fixture
def path(tmp_path):
    """A store that an application has written at 1.0.0, with metadata wherever there can be some."""
    path = tmp_path / "notes.db"
    with branchlog.open(path, application=FIRST, clock=TickingClock()) as store:
        chat = store.create("list", metadata={"labels": ["home"]})
        chat.say("user", "Milk", metadata={"labels": ["food"]})
        chat.annotate("0", metadata={"labels": ["food", "white"]})
        store.save(chat)
    return path


def labelled(chat):
    return chat.metadata, chat.tree["0"].message.metadata, chat.tree["0"].metadata


@pytest.mark.parametrize(
    ("application", "key"), [(None, "labels"), (FIRST, "labels"), (SECOND, "tags"), (THIRD, "marks")]
)
def test_metadata_is_taken_up_when_it_is_read(path, application, key):
    """By as many steps as it takes; without the application it is as it was written."""
    with branchlog.open(path, application=application) as store:
        assert labelled(store.load("list")) == ({key: ["home"]}, {key: ["food"]}, {key: ["food", "white"]})
        assert store.messages("list")[0].metadata == {key: ["food"]}
        assert store.load("list").at(1).metadata == {key: ["home"]}
        assert {change.schema for change in store.changes()} == {f"{SCHEMA}+notes.1.0.0"}


def test_each_commit_keeps_its_version(path):
    """Written in turn by three versions of the application and by a program without it."""
    for application, key in ((SECOND, "tags"), (THIRD, "marks"), (None, "plain")):
        with (
            branchlog.open(path, application=application, clock=TickingClock()) as store,
            store.editing("list") as chat,
        ):
            chat.say("user", key, metadata={key: [key]})
    with branchlog.open(path, application=THIRD) as store:
        assert [change.schema for change in store.changes()] == [
            f"{SCHEMA}+notes.1.0.0", f"{SCHEMA}+notes.2.0.0", f"{SCHEMA}+notes.3.0.0", SCHEMA,
        ]  # fmt: skip
        assert [message.metadata for message in store.messages("list")] == [
            {"marks": ["food"]}, {"marks": ["tags"]}, {"marks": ["marks"]}, {"plain": ["plain"]},
        ]  # fmt: skip


def test_an_earlier_application_is_told_to_upgrade(path):
    with branchlog.open(path, application=THIRD, clock=TickingClock()) as store, store.editing("list") as chat:
        chat.say("user", "Tea")
    refused = pytest.raises(SchemaVersionError, match=r"metadata of notes has version 3\.0\.0")
    with branchlog.open(path, application=SECOND) as store, refused:
        store.load("list")


def test_what_was_there_before_the_application_had_a_schema_stays(tmp_path):
    """Also where it is under a key that a step would rename: nobody knows what it meant."""
    path = tmp_path / "notes.db"
    with branchlog.open(path, clock=TickingClock()) as store:
        store.save(store.create("list", metadata={"labels": ["home"]}))
    with branchlog.open(path, application=SECOND) as store:
        assert store.load("list").metadata == {"labels": ["home"]}


def test_a_merge_patch_is_taken_up_like_the_rest(path):
    """A key that is taken away is the key of then."""
    with branchlog.open(path, application=FIRST, clock=TickingClock()) as store, store.editing("list") as chat:
        chat.annotate("0", metadata={"labels": None})
    with branchlog.open(path, application=SECOND) as store:
        assert store.load("list").tree["0"].metadata == {}
        assert store.load("list").at(4)["0"].metadata == {"tags": ["food", "white"]}


def test_snapshots_are_of_one_version_of_the_application(path):
    """Annotated metadata is in them as it was taken up; another version of the application does not use them."""
    with branchlog.open(path, application=FIRST) as store:
        store.snapshot("list")
    for application in (SECOND, None):
        with branchlog.open(path, application=application) as store:
            key = "tags" if application else "labels"
            with pytest.warns(SnapshotIgnored, match="another version of branchlog, or of the application's schema"):
                assert store.load("list").tree["0"].metadata == {key: ["food", "white"]}


def test_a_conversation_of_its_own_knows_no_application():
    """Without a store there is nothing to take up."""
    chat = Conversation.start("list", metadata={"labels": 1}, clock=TickingClock())
    with branchlog.open("memory:", application=SECOND) as store:
        store.save(chat)
        assert store.changes()[0].schema == SCHEMA
        assert store.load("list").metadata == {"labels": 1}
