"""A store is moved to a new one: nothing is lost on the way, and that is proved; the source is not touched."""

from hashlib import sha256

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary import AT, CODEC, committed, ping, said, started, told

import branchlog
from branchlog import (
    AlreadyExists,
    Application,
    BackendError,
    InvalidInput,
    Registry,
    SchemaVersionError,
    Store,
    Upcaster,
)
from branchlog import migration as migrations
from branchlog._core.events import SCHEMA
from branchlog.commit import is_whole
from branchlog.logs.memory import MemoryLog
from branchlog.migration import migrate
from branchlog.testing import TickingClock, commands, played, portrait


def opened(path, **options):
    return branchlog.open(path, clock=TickingClock(), durability="relaxed", **options)


@pytest.fixture
def source(tmp_path):
    """A store with conversations of some commits, their positions interleaved, one redacted, one deleted."""
    path = tmp_path / "old.db"
    with opened(path) as store:
        chats = [store.create(f"trip {number}", title=f"Trip {number}", metadata={"n": number}) for number in range(4)]
        for turn in range(6):
            for chat in chats:
                chat.say("user", f"{chat.id} {turn}")
                chat.add("assistant", "é 🦉", under="@~")
                store.save(chat)
        chats[1].annotate("0", label="best", rating=3)
        chats[1].redact("0.0")
        store.save(chats[1])
        store.delete("trip 3")
        store.snapshot("trip 2")
    return path


def files(path):
    """The file and what lies beside it, by digest."""
    return {
        each.name: sha256(each.read_bytes()).hexdigest()
        for each in path.parent.iterdir()
        if each.name.startswith(path.name)
    }


def moved(source, target, **options):
    with opened(source, read_only=True) as old, opened(target) as new:
        return migrate(old, new, **options)


def commits(path, namespace=""):
    with opened(path, namespace=namespace) as store:
        return store.log.read_all()


def unplaced(found):
    """Commits without their positions, which may have gaps in one store and not in another."""
    return [[getattr(each, name) for name in each.__struct_fields__ if name != "position"] for each in found]


def test_a_copy_is_to_the_letter(source, tmp_path):
    """Each commit with its bytes, id, time and checksum, in the order of positions; erased ones stay erased."""
    found = moved(source, tmp_path / "new.db")

    before, after = commits(source), commits(tmp_path / "new.db")
    assert unplaced(after) == unplaced(before)
    assert (found.conversations, found.copied_commits, found.taken_up) == (3, len(before), 0)
    assert found.copied_events == sum(commit.count for commit in before)
    assert found.differences == ()
    assert any(commit.erased for commit in after)
    with opened(source) as old, opened(tmp_path / "new.db") as new:
        for summary in old.list():
            assert new.describe(summary.id) == summary
            assert portrait(new.load(summary.id).tree) == portrait(old.load(summary.id).tree)
            assert new.messages(summary.id) == old.messages(summary.id)
            assert new.verify(summary.id).differences == ()
        assert new.count(metadata={"n": 2}) == 1


def test_the_source_is_not_touched(source, tmp_path):
    before = files(source)
    moved(source, tmp_path / "new.db")

    assert files(source) == before
    assert list(before) == ["old.db"]


@settings(max_examples=25)
@given(st.lists(st.lists(commands(3), max_size=4), max_size=4))
def test_any_store(scripts):
    old, new = (branchlog.open("memory:", clock=TickingClock()) for _ in range(2))
    for number, script in enumerate(scripts):
        chat = old.create(f"trip {number}")
        for piece in script:
            played(piece, chat)
            old.save(chat)
        old.save(chat)
    found = migrate(old, new)

    assert (found.conversations, found.differences) == (len(scripts), ())
    assert unplaced(new.log.read_all()) == unplaced(old.log.read_all())


def test_a_second_time_copies_nothing(source, tmp_path):
    first = moved(source, tmp_path / "new.db")
    before = commits(tmp_path / "new.db")
    again = moved(source, tmp_path / "new.db")

    assert (again.copied_commits, again.copied_events, again.differences) == (0, 0, ())
    assert again.conversations == first.conversations
    assert commits(tmp_path / "new.db") == before


def test_what_came_since_is_copied(source, tmp_path):
    moved(source, tmp_path / "new.db")
    with opened(source) as store:
        with store.editing("trip 0") as chat:
            chat.say("user", "since")
        with created(store, "another") as chat:
            chat.say("user", "new")
    again = moved(source, tmp_path / "new.db")

    assert (again.copied_commits, again.conversations, again.differences) == (2, 4, ())
    assert unplaced(commits(tmp_path / "new.db")) == unplaced(commits(source))


class created:  # noqa: N801 - used as a function
    """A new conversation that is saved on leaving."""

    def __init__(self, store, id):
        self.store, self.chat = store, store.create(id)

    def __enter__(self):
        return self.chat

    def __exit__(self, *_):
        self.store.save(self.chat)


class Stopping:
    """A log that fails after some groups of appends."""

    def __init__(self, log, groups):
        self._log, self.groups = log, groups

    def __getattr__(self, name):
        return getattr(self._log, name)

    def append_group(self, appends):
        if not self.groups:
            raise BackendError("the disk is full")
        self.groups -= 1
        return self._log.append_group(appends)


@pytest.mark.parametrize("groups", [0, 1, 3, 6])
def test_one_that_was_stopped_goes_on(source, tmp_path, monkeypatch, groups):
    monkeypatch.setattr(migrations, "GROUP_COMMITS", 3)
    with opened(source) as old, opened(tmp_path / "new.db") as new:
        with pytest.raises(BackendError):
            migrate(old, Store(Stopping(new.log, groups)))
        assert len(new.log.read_all()) == 3 * groups
        found = migrate(old, new)

        assert found.copied_commits == len(old.log.read_all()) - 3 * groups
        assert found.differences == ()
        assert [new.describe(each.id) for each in old.list()] == list(old.list())
    assert unplaced(commits(tmp_path / "new.db")) == unplaced(commits(source))


def test_progress(source, tmp_path, monkeypatch):
    """Told after each group, growing, and in the end all of it; also where there is nothing left to copy."""
    monkeypatch.setattr(migrations, "GROUP_COMMITS", 4)
    total = sum(commit.count for commit in commits(source))
    for _ in range(2):
        said = []
        moved(source, tmp_path / "new.db", progress=lambda done, of, said=said: said.append((done, of)))
        assert [done for done, _ in said] == sorted({done for done, _ in said})
        assert said[-1] == (total, total)
        assert {of for _, of in said} == {total}


def test_an_empty_store():
    with branchlog.open("memory:") as old, branchlog.open("memory:") as new:
        assert migrate(old, new) == migrations.Migration(
            conversations=0, copied_commits=0, copied_events=0, taken_up=0, differences=()
        )


def test_a_store_to_itself():
    with branchlog.open("memory:") as store, pytest.raises(InvalidInput, match="the same store"):
        migrate(store, store)


@pytest.mark.parametrize("turns", [1, 20])
def test_another_conversation_of_the_same_id(source, tmp_path, turns):
    """Whether it is shorter or longer: it is said, and nothing of it is harmed."""
    with opened(tmp_path / "new.db") as new:
        chat = new.create("trip 1")
        for turn in range(turns):
            chat.say("user", f"other {turn}")
        new.save(chat)
        before = portrait(chat.tree)
        with opened(source, read_only=True) as old, pytest.raises(AlreadyExists, match="another conversation 'trip 1'"):
            migrate(old, new)

        assert portrait(new.load("trip 1").tree) == before
        assert new.verify("trip 1").differences == ()


def test_a_copy_that_went_on_by_itself(source, tmp_path):
    """The target may have more; then the two differ, and it is said. Where both went on, it is refused."""
    moved(source, tmp_path / "new.db")
    with opened(tmp_path / "new.db") as new, new.editing("trip 0") as chat:
        chat.say("user", "only here")
    found = moved(source, tmp_path / "new.db")
    assert {id for id, _ in found.differences} == {"trip 0"}
    assert found.copied_commits == 0

    with opened(source) as old, old.editing("trip 0") as chat:
        for _ in range(3):
            chat.say("user", "only there")
            old.save(chat)
    with pytest.raises(AlreadyExists):
        moved(source, tmp_path / "new.db")
    with opened(tmp_path / "new.db") as new:
        assert new.messages("trip 0")[-1].content == "only here"


def test_namespaces_one_after_the_other(tmp_path):
    """Each is moved by itself, also into another: then commits are sealed anew, and all else stays."""
    with opened(tmp_path / "old.db") as old, opened(tmp_path / "new.db") as new:
        for namespace in ("", "b"):
            place = old.within(namespace)
            chat = place.create("trip")
            chat.say("user", f"in {namespace!r}")
            place.save(chat)
            chat.redact("0") if namespace else None
            chat.say("user", "and then?")
            place.save(chat)
        for namespace in old.log.namespaces():
            found = migrate(old.within(namespace), new.within(namespace))
            assert (found.conversations, found.differences) == (1, ())
        assert new.log.namespaces() == ["", "b"]
        assert unplaced(new.within("b").log.read_all()) == unplaced(old.within("b").log.read_all())
        assert unplaced(new.log.read_all()) == unplaced(old.log.read_all())

        found = migrate(old.within("b"), new.within("c"))
        assert (found.conversations, found.differences, found.taken_up) == (1, (), 0)
        assert [each.id for each in new.within("c").log.read_all()] == [
            each.id for each in old.within("b").log.read_all()
        ]
        assert migrate(old.within("b"), new.within("c")).copied_commits == 0
        assert new.within("c").verify("trip").differences == ()


# At an earlier schema.

OLD = [
    ("0.8.0", [started("Trip"), said(2, 1, "a"), ping(3), said(4, 2, "b")]),
    ("0.8.0", [ping(5)]),
    ("0.9.0", [told("Journey"), {"type": "node-annotated", "at": AT + 1_500, "node": 4, "label": "best"}]),
    (SCHEMA, [{"type": "node-added", "at": AT + 2_000, "parent": 2, "message": {"role": "user", "content": "c"}}]),
    (SCHEMA, [{"type": "cursor-moved", "at": AT + 3_000, "to": 8},
              {"type": "node-redacted", "at": AT + 3_000, "node": 4}]),
]  # fmt: skip


def reading(log, application=None):
    """A store that knows the earlier vocabulary of these tests."""
    store = Store(log, clock=TickingClock(), application=application)
    codec = branchlog._core.codec.Codec(application, CODEC.vocabulary)
    store._home = attrs.evolve(store._home, codec=codec)
    return store


def old_store(batches, application=None):
    log = MemoryLog()
    for commit in committed("trip", batches):
        log.append(commit, expected=commit.first - 1)
    return reading(log, application)


def without_versions(tree):
    seen = portrait(tree)
    return {**seen, "version": 0, "nodes": {id: {**node, "version": 0} for id, node in seen["nodes"].items()}}


def test_an_earlier_schema_is_taken_up():
    """Split events become several, dropped ones none; what later events are about is the same; a new store reads it."""
    old = old_store(OLD)
    new = branchlog.open("memory:", clock=TickingClock())
    before = old.log.read_all()
    found = migrate(old, new)

    assert (found.differences, found.taken_up, found.copied_commits) == ((), 5, 4)
    assert old.log.read_all() == before
    after = new.log.read_all()
    assert {commit.schema for commit in after} == {SCHEMA}
    assert [commit.id for commit in after] == [before[place].id for place in (0, 2, 3, 4)]
    assert [commit.at for commit in after] == [AT] * 4
    assert all(map(is_whole, after))
    chat = new.load("trip")
    assert without_versions(chat.tree) == without_versions(old.load("trip").tree)
    assert [(node.id, node.message and node.message.content) for node in chat.tree] == [
        ("", None), ("0", "a"), ("0.0", ""), ("0.1", "c"),
    ]  # fmt: skip
    assert (chat.cursor.id, chat.title, chat.tree["0.0"].label, chat.tree["0.0"].redacted) == (
        "0.1", "Journey", "best", True,
    )  # fmt: skip
    assert [node.added for node in chat.tree] == [node.added for node in old.load("trip").tree]
    assert new.verify("trip").differences == ()
    assert migrate(old, new).copied_commits == 0


def test_one_of_an_earlier_schema_that_was_stopped_goes_on(monkeypatch):
    monkeypatch.setattr(migrations, "GROUP_COMMITS", 1)
    for groups in range(4):
        old, new = old_store(OLD), branchlog.open("memory:")
        with pytest.raises(BackendError):
            migrate(old, Store(Stopping(new.log, groups)))
        found = migrate(old, new)
        assert (found.copied_commits, found.differences) == (4 - groups, ())
        assert new.messages("trip") == old.messages("trip")


def notes(current, *released):
    steps = [
        Upcaster(each, current, lambda metadata: [{**metadata, "up": True}], {}, [{"up": True}]) for each in released
    ]
    return Application("notes", Registry("metadata of notes", current=current, released=released, steps=steps))


NOTED = [("0.9.0+notes.1.0.0", [{**started("Trip"), "metadata": {"k": 1}}])]


def test_the_application_s_version_is_kept_where_its_metadata_was_not_taken_up():
    old, new = old_store(NOTED), branchlog.open("memory:")
    assert migrate(old, new).differences == ()

    assert [commit.schema for commit in new.log.read_all()] == [f"{SCHEMA}+notes.1.0.0"]
    assert new.load("trip").metadata == {"k": 1}
    application = notes("2.0.0", "1.0.0")
    assert Store(new.log, application=application).load("trip").metadata == {"k": 1, "up": True}


def test_the_application_s_metadata_is_taken_up_with_it():
    application = notes("2.0.0", "1.0.0")
    old, new = old_store(NOTED, application), branchlog.open("memory:", application=application)
    assert migrate(old, new).differences == ()

    assert [commit.schema for commit in new.log.read_all()] == [f"{SCHEMA}+notes.2.0.0"]
    assert new.load("trip").metadata == {"k": 1, "up": True}


def test_a_later_minor_version_is_copied_to_the_letter():
    """What is not known here stays in the log."""
    later = [("1.4.0", [{"type": "conversation-started", "at": AT, "mood": "good"}, {"type": "praised", "at": AT}])]
    old, new = old_store(later), branchlog.open("memory:")

    assert migrate(old, new).differences == ()
    assert new.log.read_all() == old.log.read_all()


def test_a_later_minor_version_behind_an_earlier_one_is_refused():
    """It cannot be put behind events that have other versions now without losing what is not known of it."""
    mixed = [*OLD[:1], ("1.4.0", [{"type": "conversation-annotated", "at": AT, "title": "x", "mood": "good"}])]
    with pytest.raises(InvalidInput, match="events of a later schema behind events that were taken up"):
        migrate(old_store(mixed), branchlog.open("memory:"))


def test_a_later_major_version_is_refused():
    with pytest.raises(SchemaVersionError):
        migrate(old_store([("2.0.0", [{"type": "conversation-started", "at": AT}])]), branchlog.open("memory:"))


# Finding out.


class Forgetful(MemoryLog):
    """Loses the last event's metadata on reading: a stand-in for whatever might go wrong."""

    def read(self, stream, **options):
        return [
            branchlog.commit.erase(each, each.data.replace(b'"turn 3"', b'"turn 4"'))
            for each in super().read(stream, **options)
        ]


def test_a_difference_is_found():
    with branchlog.open("memory:", clock=TickingClock()) as old:
        for id in ("one", "two"):
            chat = old.create(id)
            for turn in range(5 if id == "two" else 2):
                chat.say("user", f"turn {turn}")
            old.save(chat)
        found = migrate(old, Store(Forgetful()))

    assert found.differences == (("two", "the messages of node '0.0.0.0' differ"),)
    assert found.conversations == 2


def test_what_was_erased_after_a_first_run_is_erased_by_the_next(tmp_path):
    source, target = branchlog.open(tmp_path / "old.db"), branchlog.open(tmp_path / "new.db")
    chat = source.create("talk")
    chat.say("user", "the secret word")
    chat.say("assistant", "noted")
    source.save(chat)
    migrate(source, target)
    chat.redact("0")
    chat.say("user", "forget it")
    source.save(chat)
    migration = migrate(source, target)

    assert migration.differences == ()
    assert target.load("talk").tree["0"].redacted
    assert [m.content for m in target.messages("talk")] == ["", "noted", "forget it"]
    target.close()
    source.close()
    assert b"the secret word" not in (tmp_path / "new.db").read_bytes()
