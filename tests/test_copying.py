"""A store is copied to another backend to the letter, in order, and that is proved; the source is not touched."""

import pytest
from msgspec.structs import replace
from obstore.store import MemoryStore

import branchlog
from branchlog import (
    AlreadyExists,
    BackendError,
    ConversationDeleted,
    InvalidInput,
    Store,
    copying,
)
from branchlog.commit import is_whole
from branchlog.copying import DELETED, copy
from branchlog.logs.base import Query
from branchlog.logs.memory import MemoryLog
from branchlog.logs.objects import ObjectsLog
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing import TickingClock, bridged

BACKENDS = {
    "memory": lambda folder: MemoryLog(),
    "sqlite": lambda folder: SqliteLog(folder / "chats.db", durability="relaxed"),
    "objects in memory": lambda folder: bridged(lambda: ObjectsLog.connect("memory", objects=MemoryStore())),
    "objects in a folder": lambda folder: bridged(lambda: ObjectsLog.connect(f"file://{folder}/objects")),
}


def opened(backend, folder):
    folder.mkdir(exist_ok=True)
    return Store(BACKENDS[backend](folder), clock=TickingClock())


@pytest.fixture(params=list(BACKENDS))
def old(request, tmp_path):
    with opened(request.param, tmp_path / "old") as store:
        yield filled(store)


@pytest.fixture
def new(tmp_path):
    with opened("sqlite", tmp_path / "new") as store:
        yield store


def filled(store):
    """Conversations of several namespaces, their positions interleaved; some redacted, one deleted."""
    places = [store, store.within("team"), store.within("é/1")]
    chats = [
        (place, place.create(f"trip {number}", title=f"Trip {number}", metadata={"n": [number]}))
        for place in places
        for number in range(3)
    ]
    for turn in range(4):
        for place, chat in chats:
            chat.say("user", f"{chat.id} {turn}")
            chat.add("assistant", "é 🦉", under="@~")
            place.save(chat)
    for place, chat in chats[::3]:
        chat.annotate("0", label="best", rating=3)
        chat.redact("0.0")
        place.save(chat)
    store.delete("trip 2")
    store.snapshot("trip 0")
    return store


def spaces(store):
    return [store.within(name) for name in store.log.namespaces()]


def picture(store):
    """All commits, in the order of positions over all namespaces, and all entries."""
    commits = sorted(
        ((each.position, place.namespace, each) for place in spaces(store) for each in place.log.read_all()),
        key=lambda item: item[0],
    )
    entries = [place.log.entries(Query(order="id", descending=False)) for place in spaces(store)]
    return [(namespace, replace(commit, position=0)) for _, namespace, commit in commits], entries


def test_it_is_copied_to_the_letter(old, new):
    before = picture(old)
    found = copy(old, new)

    assert picture(new) == picture(old) == before
    assert found.differences == ()
    assert (found.namespaces, found.conversations) == (("", "team", "é/1"), 8)
    assert found.copied_commits == len(before[0])
    assert found.copied_events == sum(commit.count for _, commit in before[0])
    assert any(commit.erased for _, commit in before[0])
    for place in spaces(new):
        for entry in place.log.entries(Query()):
            assert all(map(is_whole, place.log.read(entry.id)))
            assert place.verify(entry.id).differences == ()
    assert new.snapshots("trip 0") == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_to_each_backend(tmp_path, backend):
    """And back again: what was erased stays erased on the way."""
    with (
        opened("memory", tmp_path / "old") as old,
        opened(backend, tmp_path / "new") as new,
        opened("sqlite", tmp_path / "back") as back,
    ):
        filled(old)
        assert copy(old, new).differences == copy(new, back).differences == ()
        assert picture(old) == picture(new) == picture(back)
        chat = new.load("trip 0")
        chat.say("user", "and on it goes")
        new.save(chat)
        assert new.verify("trip 0").differences == ()


def test_again_copies_nothing(old, new):
    copy(old, new)
    before = picture(new), [each.position for each in new.log.read_all()]
    found = copy(old, new)

    assert (found.copied_commits, found.copied_events, found.conversations, found.differences) == (0, 0, 8, ())
    assert (picture(new), [each.position for each in new.log.read_all()]) == before


def test_what_was_said_since_follows(old, new):
    copy(old, new)
    chat = old.load("trip 1")
    chat.say("user", "more")
    old.save(chat)
    found = copy(old, new)

    assert (found.copied_commits, found.differences) == (1, ())
    assert new.load("trip 1").messages() == chat.messages()


class Stopping:
    """A log that fails after some groups, as a disk that is full."""

    def __init__(self, log, groups):
        self._log, self.groups = log, groups

    def __getattr__(self, name):
        return getattr(self._log, name)

    def within(self, namespace):
        inner = Stopping(self._log.within(namespace), 0)
        inner.append_group = lambda appends: self.counted(inner, appends)
        return inner

    def counted(self, inner, appends):
        if not self.groups:
            raise BackendError("the disk is full")
        self.groups -= 1
        return inner._log.append_group(appends)


@pytest.mark.parametrize("groups", [0, 1, 4, 9])
def test_one_that_was_stopped_goes_on(old, new, monkeypatch, groups):
    """Nothing is there twice, and the order is the source's."""
    monkeypatch.setattr(copying, "GROUP_COMMITS", 3)
    with pytest.raises(BackendError, match="disk is full"):
        copy(old, Store(Stopping(new.log, groups)))
    there = len(picture(new)[0])
    found = copy(old, new)

    assert found.copied_commits == len(picture(old)[0]) - there
    assert found.differences == ()
    assert picture(new) == picture(old)


def test_some_namespaces(old, new):
    found = copy(old, new, namespaces=["team", "nobody's", "team"])

    assert (found.namespaces, found.conversations, found.differences) == (("team", "nobody's"), 3, ())
    assert new.log.namespaces() == ["team"]
    assert [replace(each, position=0) for each in new.within("team").log.read_all()] == [
        replace(each, position=0) for each in old.within("team").log.read_all()
    ]


def test_what_was_erased_since_is_erased(old, new):
    """With the commit that says so, whether it was there before the rest or is the next."""
    copy(old, new)
    chat = old.load("trip 1")
    chat.redact("0")
    chat.say("user", "more")
    old.save(chat)
    assert b"trip 1 0" in b"".join(each.data for each in new.log.read("trip 1"))
    found = copy(old, new)

    assert found.differences == ()
    assert picture(new) == picture(old)
    assert b"trip 1 0" not in b"".join(each.data for each in new.log.read("trip 1"))


def test_a_catalog_entry_is_copied_as_it_is(old, new):
    """Also one that was put right without a commit, and where everything was copied before."""
    copy(old, new)
    entry = replace(old.log.entry("trip 1"), nodes=77)
    old.log.put_entry(entry)

    assert copy(old, new).differences == ()
    assert new.log.entry("trip 1") == entry


def test_progress(old, new, monkeypatch):
    monkeypatch.setattr(copying, "GROUP_COMMITS", 5)
    told = []
    copy(old, new, progress=lambda done, total: told.append((done, total)))
    total = sum(commit.count for _, commit in picture(old)[0])

    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert {each for _, each in told} == {total}


def test_what_cannot_be_copied(old, new):
    with pytest.raises(InvalidInput, match="same store"):
        copy(old, old)
    other = new.create("trip 0")
    new.save(other)
    with pytest.raises(AlreadyExists, match="another conversation 'trip 0'"):
        copy(old, new)


def test_a_target_that_went_on(old, new):
    copy(old, new)
    chat = new.load("trip 1")
    chat.say("user", "by itself")
    new.save(chat)
    with pytest.raises(AlreadyExists, match="or one that went on"):
        copy(old, new)


def test_deleted_in_the_target(old, new):
    copy(old, new)
    new.delete("trip 1")
    with pytest.raises(ConversationDeleted):
        copy(old, new)


def test_deleted_in_the_source_since(old, new):
    """It is said, since the target still has it; one of the target's own is not spoken of."""
    copy(old, new)
    old.delete("trip 1")
    new.save(new.create("the target's own"))

    assert copy(old, new).differences == (("", "trip 1", DELETED),)


def test_a_target_that_loses_something(old):
    """The comparison sees it: the control."""

    class Forgetful(MemoryLog):
        def append_group(self, appends):
            return super().append_group([each for each in appends if each.commit.last < 9])

        def within(self, namespace):
            return Forgetful(namespace, _shared=self._shared)

    differences = copy(old, Store(Forgetful())).differences
    assert {id for _, id, _ in differences} == {"trip 0", "trip 1", "trip 2"}
    assert "copy again" in differences[0][2]


def test_the_source_is_not_written(tmp_path, new):
    with opened("sqlite", tmp_path / "old") as store:
        filled(store)
    path = tmp_path / "old" / "chats.db"
    before = path.read_bytes()
    with branchlog.open(path, create=False, read_only=True) as old:
        assert copy(old, new).differences == ()

    assert path.read_bytes() == before
