"""With snapshots, without them, or with damaged ones: the conversation that is opened is the same."""

import asyncio
import contextlib
import sqlite3
import threading
import warnings
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_conversation_machine import ConversationMachine, SqliteConversationMachine

import branchlog
from branchlog import (
    BackendError,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    SnapshotIgnored,
    Store,
    _fetching,
    _steps,
)
from branchlog._core import projection
from branchlog._core.projection import ABSENT
from branchlog._core.same import different
from branchlog.commit import Head, snapshot
from branchlog.logs.memory import MemoryLog
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing import TickingClock, commands, played, portrait
from branchlog.testing.playing import picks

LITTLE = 400
"""Bytes of log behind a snapshot, instead of a megabyte: a few messages."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Snapshots are taken after a few messages, and read a stretch at a time by who reads two messages in a row."""
    monkeypatch.setattr(_steps, "SNAPSHOT_TAIL_BYTES", LITTLE)
    monkeypatch.setattr(_steps, "LINE_COMMITS", 4)
    monkeypatch.setattr(_fetching, "STRETCH_EVENTS", 2 * _fetching.EVENTS_MIN)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    address = "memory:" if request.param == "memory" else tmp_path / "chats.db"
    with branchlog.open(address, clock=TickingClock()) as opened:
        yield opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chats.db"


def opened(path):
    return branchlog.open(path, clock=TickingClock(), durability="relaxed")


def grown(store, id="trip", count=12, tag="a"):
    """A conversation of some commits, with something of everything, and with snapshots."""
    chat = store.create(id, title="Trip", system="Be brief.")
    for number in range(count):
        chat.say("user", f"{tag}{number}")
        chat.add("assistant", f"{tag}{number}, otherwise", under="@~")
        if number % 3 == 0:
            chat.annotate("@", label=f"l{number}", rating=1 + number % 5, metadata={"n": number})
        store.save(chat)
    return chat


def whole(store, id="trip"):
    """The conversation as it is without any snapshot."""
    return _steps.run(store.log, _steps.load_whole(store._home, id))


def check_same(store, chat, id="trip"):
    """The conversation that was opened is the one that the log folds to: by comparing, and by looking."""
    expected = whole(store, id)
    assert list(different(expected._state, chat._state)) == []
    assert portrait(chat.tree) == portrait(expected.tree)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert chat.messages() == expected.messages() == store.messages(id)
    assert {each.category for each in told} <= {SnapshotIgnored}
    for version in range(1, chat.version + 1):
        assert portrait(chat.at(version)) == portrait(expected.at(version))


def reaching(store, id="trip"):
    """The stretches that snapshots are of."""
    return [(each.after, each.version) for each in store.snapshots(id)]


def load_quietly(store, id="trip"):
    """Load, and say what was reported."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        chat = store.load(id)
    return chat, [each.message for each in told if isinstance(each.message, SnapshotIgnored)]


# The law.


@settings(max_examples=60)
@given(st.lists(st.tuples(commands(4), st.booleans(), st.none() | picks), max_size=12))
def test_opened_by_snapshots_is_opened_by_the_log(pieces):
    """Whatever is saved, in whatever pieces, and whether or not the writer was opened anew in between."""
    with (
        mock.patch.object(_steps, "SNAPSHOT_TAIL_BYTES", LITTLE),
        branchlog.open("memory:", clock=TickingClock()) as store,
    ):
        chat = store.create("trip")
        for script, again, redacted in pieces:
            played(script, chat)
            if redacted is not None:
                chat.redact(chat.tree.nodes[redacted % len(chat.tree)])
            store.save(chat)
            chat = store.load("trip") if again else chat
        store.save(chat)

        check_same(store, store.load("trip"))
        assert store.verify("trip").differences == ()
        store.drop_snapshots("trip")
        store.snapshot("trip")
        check_same(store, store.load("trip"))


class SnappingConversationMachine(ConversationMachine):
    """Two writers, with a snapshot after every save: nothing is seen of it, and nothing is reported."""

    def __init__(self):
        self.little = mock.patch.object(_steps, "SNAPSHOT_TAIL_BYTES", 0)
        self.little.start()
        super().__init__()

    def teardown(self):
        super().teardown()
        self.little.stop()


class SnappingSqliteConversationMachine(SqliteConversationMachine, SnappingConversationMachine):
    """The same in a file."""


TestInMemory = SnappingConversationMachine.TestCase
TestInMemory.settings = settings(max_examples=max(40, settings().max_examples // 2), stateful_step_count=30)
TestInSqlite = SnappingSqliteConversationMachine.TestCase
TestInSqlite.settings = settings(max_examples=max(25, settings().max_examples // 4), stateful_step_count=25)


# When they are taken.


def test_snapshots_follow_one_another(store):
    """Each is of what came since the one before, so each event is in one snapshot."""
    chat = grown(store)
    stretches = reaching(store)

    assert len(stretches) > 3
    assert [after for after, _ in stretches] == [0, *(version for _, version in stretches[:-1])]
    assert chat.saved_version - stretches[-1][1] < 8
    assert all(each.usable for each in store.snapshots("trip"))


def test_one_is_taken_when_the_tail_has_grown(store):
    """By bytes of log, not by events or by saves."""
    chat = store.create("trip")
    chat.say("user", "x" * (LITTLE - 250))
    store.save(chat)
    assert reaching(store) == []
    chat.say("user", "x" * 200)
    store.save(chat)
    assert reaching(store) == [(0, 5)]
    chat.say("user", "x")
    store.save(chat)
    assert reaching(store) == [(0, 5)]


def test_a_writer_that_was_opened_anew_goes_on_from_the_last(store):
    grown(store)
    before = reaching(store)
    chat = store.load("trip")
    chat.say("user", "x" * LITTLE)
    store.save(chat)

    assert reaching(store) == [*before, (before[-1][1], chat.version)]


def test_asking_for_one(store):
    """It reaches the present; asking again adds none; dropping says how many there were."""
    chat = grown(store, count=2)
    store.drop_snapshots("trip")

    assert store.snapshot("trip") == chat.version == store.snapshot("trip")
    assert reaching(store) == [(0, chat.version)]
    assert [store.drop_snapshots("trip") for _ in range(2)] == [1, 0]
    assert store.snapshots("trip") == ()


def test_two_that_take_the_same_one(store):
    """Who comes second leaves what the first has taken."""
    chat = store.create("trip")
    chat.say("user", "one")
    store.save(chat)
    other = store.load("trip")
    assert store.snapshot("trip") == chat.version
    taken = store.log.snapshots("trip")
    for each in (chat, other):
        _steps.run(store.log, _steps._put_snapshot(store._home, each))
        assert each._snapshot_version == chat.version
    assert store.log.snapshots("trip") == taken
    check_same(store, store.load("trip"))


def test_asking_for_those_of_no_conversation(store):
    for ask in (store.snapshot, store.snapshots, store.drop_snapshots, store.verify):
        with pytest.raises(ConversationNotFound):
            ask("nothing")
    grown(store)
    store.delete("trip")
    for ask in (store.snapshot, store.snapshots, store.drop_snapshots, store.verify):
        with pytest.raises(ConversationDeleted):
            ask("trip")


def test_verifying_says_what_was_found(store):
    chat = grown(store)
    found = store.verify("trip")

    assert (found.id, found.version, found.nodes) == ("trip", chat.version, len(chat.tree))
    assert (found.snapshot_version, found.differences) == (reaching(store)[-1][1], ())


def test_verifying_finds_a_catalog_that_lies(store):
    grown(store)
    entry = store.log.entry("trip")
    facts = {name: getattr(entry, name) for name in entry.__struct_fields__}
    store.log.put_entry(type(entry)(**{**facts, "title": "Another"}))

    assert store.verify("trip").differences == ("the catalog does not say what the log does",)


def test_with_snapshots_little_is_read(store, monkeypatch):
    """Opening reads one commit for each snapshot, to see that it is of this log, and the tail."""
    monkeypatch.setattr(_steps, "SNAPSHOT_TAIL_BYTES", 5 * LITTLE)
    grown(store, count=60)
    events = []
    log_read = store.log.read

    def counting(*arguments, **options):
        commits = log_read(*arguments, **options)
        events.extend(commit.count for commit in commits)
        return commits

    monkeypatch.setattr(store.log, "read", counting)
    chat = store.load("trip")

    assert len(events) < 60 / 3
    assert sum(events) < chat.version / 2


# Messages that were left out.


def test_messages_are_fetched_when_looked_at(store):
    grown(store, count=40)
    chat, expected = store.load("trip"), whole(store)
    absent = [node for node in chat._state.contents if not isinstance(node, bytes | type(None))]
    assert len(absent) > 40

    for node in (*chat.tree.nodes[::7], *chat.tree.nodes[::-11]):
        assert bytes(chat._state.content(node.index)) == bytes(expected._state.content(node.index))
        assert node.message == expected.tree[node.id].message


def test_messages_are_fetched_after_closing(tmp_path):
    """Also from a store that is closed, and, in a file, from a process that has nothing open any more."""
    for address in ("memory:", tmp_path / "chats.db"):
        store = branchlog.open(address, clock=TickingClock())
        grown(store)
        chat, expected = store.load("trip"), whole(store)
        store.close()

        assert [node.message for node in chat.tree] == [node.message for node in expected.tree]
        assert portrait(chat.tree) == portrait(expected.tree)


def test_a_message_of_a_deleted_conversation_is_not_to_be_had(store):
    grown(store)
    chat = store.load("trip")
    store.delete("trip")
    with pytest.raises(ConversationDeleted):
        chat.tree["0"].message  # noqa: B018 - looking is what is tested


def test_messages_are_fetched_through_an_async_store(path):
    """Also after it was closed."""

    async def looked():
        async with branchlog.open_async(path, clock=TickingClock()) as store:
            chat = await store.load("trip")
            assert chat._snapshot_version > 0
            before = [node.message for node in chat.tree.nodes[:10]]
            chat.say("user", "and then?")
            await store.save(chat)
        return chat, before

    with opened(path) as store:
        grown(store)
    chat, before = asyncio.run(looked())
    with opened(path) as store:
        expected = whole(store)

    assert before == [node.message for node in expected.tree.nodes[:10]]
    assert [node.message for node in chat.tree] == [node.message for node in expected.tree]


def test_an_async_store_takes_them_too(path):
    async def grow():
        async with branchlog.open_async(path, clock=TickingClock()) as store:
            chat = await store.create("trip")
            for number in range(20):
                chat.say("user", f"number {number}")
                await store.save(chat)
            assert (await store.verify("trip")).differences == ()
            taken = await store.snapshots("trip")
            assert await store.snapshot("trip") == chat.version
            return taken, await store.drop_snapshots("trip")

    taken, dropped = asyncio.run(grow())
    assert len(taken) > 2
    assert len(taken) <= dropped <= len(taken) + 1


def test_a_message_that_was_looked_at_stays(store):
    """It is fetched once, and kept."""
    grown(store)
    chat = store.load("trip")
    chat.messages()
    store.log.close()

    with mock.patch.object(type(store.log), "reopened", side_effect=AssertionError):
        assert len(chat.messages()) == 13


# Going on from a conversation that was opened by its index only.


def test_all_that_can_be_done(store):
    """Merging, undo, replay, restore, redaction, forks: each as on the whole conversation."""
    grown(store)
    mine, theirs = store.load("trip"), store.load("trip")
    theirs.say("user", "theirs")
    store.save(theirs)
    mine.undo()
    mine.say("user", "mine", under="0")
    mine.redact("0.0")
    store.save(mine)
    mine.undo()
    mine.restore(9)
    mine.annotate("0", label="again")
    store.save(mine)

    check_same(store, mine)
    check_same(store, store.load("trip"))
    expected = whole(store)
    told = [[(step.version, step.kind, step.changes) for step in each.replay()] for each in (mine, expected)]
    assert told[0] == told[1]
    quick = store.load("trip")
    assert quick.fork_from(9).messages() == expected.fork_from(9).messages()
    assert quick.node("again").message == expected.node("again").message
    assert quick.undo().id == expected.undo().id
    store.save(quick)
    store.save(expected)


def test_a_snapshot_is_not_kept_over_another_writer(store):
    """Between saving and the snapshot another writer may erase what it would hold."""
    chat = grown(store)
    chat.annotate("0", metadata={"k": "SECRET"})
    put = store.log.put_snapshot

    def erased_first(stream, taken):
        if threading.current_thread().name != "eraser":
            eraser = threading.Thread(target=erase, name="eraser")
            eraser.start()
            eraser.join()
        return put(stream, taken)

    def erase():
        other = store.load("trip")
        other.redact("0")
        store.save(other)

    chat.say("user", "x" * LITTLE)
    with mock.patch.object(type(store.log), "put_snapshot", lambda log, *taken: erased_first(*taken)):
        store.save(chat)

    assert not [each for each in store.log.snapshots("trip") if b"SECRET" in each.data]
    assert store.load("trip").tree["0"].metadata == {}
    chat.say("user", "x" * LITTLE)
    store.save(chat)
    assert reaching(store)[-1][1] == chat.version
    check_same(store, store.load("trip"))


# Failing to take one.


class FailingSnapshots:
    """A log that cannot keep snapshots, for whatever reason."""

    def __init__(self, log, error):
        self._log, self.error = log, error

    def __getattr__(self, name):
        return getattr(self._log, name)

    def put_snapshot(self, stream, taken):
        raise self.error


@pytest.mark.parametrize(
    "error", [BackendError("the disk is full"), OSError("the disk is full"), RuntimeError("the disk is full")], ids=repr
)
def test_failing_to_take_one_fails_no_save(error):
    log = MemoryLog()
    store = Store(FailingSnapshots(log, error), clock=TickingClock())
    chat = store.create("trip")
    chat.say("user", "x" * LITTLE)
    with pytest.warns(SnapshotIgnored, match="could not be taken: the disk is full"):
        assert store.save(chat) == 3

    assert (chat.pending, chat.saved_version) == ((), 3)
    assert portrait(Store(log).load("trip").tree) == portrait(chat.tree)
    chat.say("user", "more")
    assert Store(log).save(chat) == 5
    assert reaching(Store(log)) == []  # not worth another try yet
    chat.say("user", "x" * LITTLE)
    assert Store(log).save(chat) == 7
    assert reaching(Store(log)) == [(0, 7)]


# Stretches: the payloads that a snapshot covers, read together.


def lined(path, count=60, id="line"):
    """A line of messages, with snapshots, in a file."""
    with opened(path) as store:
        chat = store.create(id)
        for number in range(count):
            chat.say("user", f"message {number}")
            store.save(chat)
    return [f"message {number}" for number in range(count)]


def read_by(monkeypatch):
    """The names of what is called on a log in SQLite to read messages, as it is called."""
    calls = []
    for name in ("read", "payloads"):
        real = getattr(SqliteLog, name)

        def counting(self, *args, _real=real, _name=name, **options):
            calls.append(_name)
            return _real(self, *args, **options)

        monkeypatch.setattr(SqliteLog, name, counting)
    return calls


@pytest.mark.parametrize("how", ["loaded", "path only", "loaded, backward", "async, path only"])
def test_a_line_is_read_by_the_stretch(path, monkeypatch, how):
    said = lined(path, 400)
    calls = read_by(monkeypatch)

    async def path_only():
        async with branchlog.open_async(path) as store:
            return await store.messages("line")

    with opened(path) as store:
        if how == "path only":
            texts = [message.content for message in store.messages("line")]
        elif how == "async, path only":
            texts = [message.content for message in asyncio.run(path_only())]
        else:
            chat = store.load("line")
            nodes = chat.tree.nodes[1:] if how == "loaded" else chat.tree.nodes[:0:-1]
            texts = [node.message.content for node in nodes][:: -1 if how == "loaded, backward" else 1]
        stretches = len(reaching(store, "line"))

    assert texts == said
    assert 0 < calls.count("payloads") <= stretches
    assert calls.count("payloads") > stretches / 2


@pytest.mark.parametrize("place", [0, 1])
def test_a_flipped_bit_in_a_stretch_is_found(path, place):
    """In the commit that it is in, as if all had been read one by one."""
    lined(path)
    with opened(path) as store:
        stretch = reaching(store, "line")[-2]
    rows = execute(path, "SELECT position, first, data FROM commits WHERE first > ? AND first <= ?", *stretch)
    assert len(rows) > 2  # the last is read when the conversation is opened
    position, first, data = rows[place]
    execute(path, "UPDATE commits SET data = ? WHERE position = ?", data.replace("message", "massage"), position)

    with opened(path) as store:
        chat = store.load("line")
        for read in (chat.messages, lambda: store.messages("line")):
            with pytest.raises(CorruptLog, match=f"version {first} of 'line'"):
                read()


def test_a_digest_that_is_wrong_is_not_believed(path, monkeypatch):
    """What is wrong then is the snapshot and not the log, so the messages are read one by one."""
    monkeypatch.setattr(_steps, "digest_of", lambda commits: b"of something else")
    said = lined(path)
    calls = read_by(monkeypatch)

    with opened(path) as store:
        assert [message.content for message in store.messages("line")] == said
        assert [message.content for message in store.load("line").messages()] == said
        assert calls.count("payloads") >= 2


def test_stretches_of_another_schema_are_not_read_together(path, monkeypatch):
    application = branchlog.Application("notes", branchlog.Registry("notes", current="1.0.0"))
    said = lined(path)
    with branchlog.open(path, application=application, clock=TickingClock()) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", SnapshotIgnored)
        store.drop_snapshots("line")
        store.snapshot("line")
        calls = read_by(monkeypatch)
        assert [message.content for message in store.messages("line")] == said
    assert "payloads" not in calls


def test_what_is_too_much_is_not_read_together(path, monkeypatch):
    monkeypatch.setattr(_steps, "STRETCH_BYTES_MAX", 10)
    said = lined(path)
    calls = read_by(monkeypatch)
    with opened(path) as store:
        assert [message.content for message in store.load("line").messages()] == said
    assert "payloads" not in calls


def test_messages_that_were_fetched_do_not_pile_up(path, monkeypatch):
    """Of a long conversation that is read from end to end only the last part stays in memory."""
    monkeypatch.setattr(projection, "FETCHED_BYTES_MAX", 5 * LITTLE)
    said = lined(path, 400)
    with opened(path) as store:
        chat = store.load("line")
        assert [message.content for message in chat.messages()] == said
        kept = [each for each in chat._state.contents[1:] if each is not ABSENT]
        assert 0 < len(kept) < 60
        assert [message.content for message in chat.messages()] == said
        assert chat.tree.nodes[1].message.content == said[0]


def test_what_is_redacted_and_not_saved_yet_is_not_fetched_again(path):
    """It was left out by a snapshot, is redacted, and only then looked at."""
    lined(path)
    with opened(path) as store:
        chat = store.load("line")
        node = chat.tree.nodes[3]
        chat.redact(node)
        assert node.message.content == ""
        store.save(chat)
        assert node.message.content == ""
        assert store.load("line").tree[node.id].message.content == ""


def test_what_others_said_since_is_not_taken_for_ones_own(path):
    """Fetching reads on behind the snapshot, where another writer's messages stand, and one's own are pending."""
    with opened(path) as store:
        chat = store.create("line")
        chat.say("user", "one")
        store.save(chat)
        store.snapshot("line")
        mine, theirs = store.load("line"), store.load("line")
        theirs.say("user", "two, of others")
        theirs.say("user", "three, of others")
        store.save(theirs)
        own = mine.say("user", "two, my own")

        assert [message.content for message in mine.messages()] == ["one", "two, my own"]
        store.save(mine)
        assert own.message.content == "two, my own"
        assert {each.message.content for each in mine.tree.nodes[1:]} == {
            "one", "two, of others", "three, of others", "two, my own",
        }  # fmt: skip


# Damage.


def execute(path, statement, *values):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def check_damage(path, *reasons):
    """Opening gives the tree of the log and reports; then a writer heals it."""
    with opened(path) as store:
        chat, told = load_quietly(store)
        check_same(store, chat)
        for reason in reasons:
            assert any(reason in each.reason for each in told), [each.reason for each in told]
        assert bool(told) == bool(reasons)
        assert {each.conversation for each in told} <= {"trip"}
    return told


@pytest.fixture
def damaged(path):
    """A file with four snapshots, by their versions."""
    with opened(path) as store:
        chat = grown(store, count=11)
        stretches = reaching(store)
        chat.say("user", "the tail")
        store.save(chat)
    assert len(stretches) >= 4
    return [version for _, version in stretches]


def test_all_deleted(path, damaged):
    execute(path, "DELETE FROM snapshots")
    check_damage(path)


@pytest.mark.parametrize("place", range(3))
def test_one_deleted(path, damaged, place):
    """Those that follow it have nothing to build on."""
    execute(path, "DELETE FROM snapshots WHERE version = ?", damaged[place])
    told = check_damage(path, "it does not follow one that is used")
    assert {each.version for each in told} == set(damaged[place + 1 :])


def test_the_last_one_deleted(path, damaged):
    execute(path, "DELETE FROM snapshots WHERE version = ?", damaged[-1])
    check_damage(path)


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_truncated(path, damaged, place, kept):
    version = damaged[place]
    (data,) = execute(path, "SELECT data FROM snapshots WHERE version = ?", version)[0]
    execute(path, "UPDATE snapshots SET data = ? WHERE version = ?", data[:kept], version)
    check_damage(path, "it is not as it was written")


@pytest.mark.parametrize("column", ["data", "checksum", "fingerprint", "seal"])
@pytest.mark.parametrize("place", [0, 2, -1])
def test_flipped_bits(path, damaged, column, place):
    """In any byte of the row, also where what is left is no UTF-8."""
    version = damaged[place]
    kind = "TEXT" if column == "fingerprint" else "BLOB"
    (value,) = execute(path, f"SELECT CAST({column} AS BLOB) FROM snapshots WHERE version = ?", version)[0]
    for byte in range(0, len(value), max(1, len(value) // 12)):
        flipped = bytearray(value)
        flipped[byte] ^= 1 << (byte + place) % 8 if column != "fingerprint" or byte % 2 else 0x80
        execute(path, f"UPDATE snapshots SET {column} = CAST(? AS {kind}) WHERE version = ?", bytes(flipped), version)
        check_damage(path, "it is not as it was written")


@pytest.mark.parametrize("column", ["after", "version"])
@pytest.mark.parametrize("number", [-1, 1, 2**20, -(2**62)])
def test_flipped_numbers(path, damaged, column, number):
    version = damaged[1]
    execute(path, f'UPDATE snapshots SET "{column}" = "{column}" + ? WHERE version = ?', number, version)
    check_damage(path, "it is not as it was written", "it does not follow one that is used")


def test_a_table_that_cannot_be_read(path, damaged):
    """The page of the snapshots is overwritten: all are ignored, and the log is read."""
    (page,) = execute(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots'")[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    check_damage(path, "SQLite finds the file damaged")


def planted(path, take):
    """Snapshots as a program would put them that has the right to, whatever they are of."""
    with opened(path) as store:
        chat = whole(store)
        for each in take(chat, store.log):
            execute(
                path,
                "INSERT OR REPLACE INTO snapshots (stream, after, version, checksum, fingerprint, data, seal)"
                " SELECT key, ?, ?, ?, ?, ?, ? FROM streams WHERE id = 'trip'",
                each.after, each.version, each.checksum, each.fingerprint, each.data, each.seal,
            )  # fmt: skip


def taken(chat, after, until, **changes):
    """The snapshot of a stretch, with some of its facts other than they were."""
    data = branchlog._core.snapshot.take(chat._state, after, until)
    head = changes.get("head", Head(until, chat._head.checksum))
    return snapshot(after, head, changes.get("fingerprint", chat._fingerprint), changes.get("data", data))


def checksum_at(log, version):
    return next(commit.checksum for commit in log.read("trip") if commit.last == version)


@pytest.mark.parametrize("place", [0, 1, -1])
def test_of_another_branchlog(path, damaged, place):
    def take(chat, log):
        after = ([0, *damaged])[damaged.index(damaged[place])]
        yield taken(chat, after, damaged[place], fingerprint="0.other")

    planted(path, take)
    check_damage(path, "another version of branchlog, or of the application's schema, took it")


def test_newer_than_the_log(path, damaged):
    """A store file that was put back from an earlier copy, with snapshots of what came later."""

    def take(chat, log):
        last = damaged[-1]
        yield taken(chat, last, chat.version, head=Head(chat.version + 5, b"x" * 16))

    planted(path, take)
    check_damage(path, "the log has other commits there, or none")


@pytest.mark.parametrize("place", [0, 1, -1])
def test_of_another_conversation(path, damaged, place):
    """Whole, of the right version, and of other commits: also where those behind it are the log's own."""
    with branchlog.open("memory:", clock=TickingClock()) as elsewhere:
        other = grown(elsewhere, count=30, tag="b")

    def take(chat, log):
        after, version = ([0, *damaged])[damaged.index(damaged[place])], damaged[place]
        yield taken(other, after, version, head=Head(version, b"y" * 16))

    planted(path, take)
    told = check_damage(path, "the log has other commits there, or none")
    assert {each.version for each in told} == set(damaged[damaged.index(damaged[place]) :])


def test_within_a_commit(path, damaged):
    """It ends where no commit does."""

    def take(chat, log):
        yield taken(chat, damaged[-1], chat.version - 1)

    planted(path, take)
    check_damage(path, "the log has other commits there, or none")


def test_one_that_leaves_something_out(path, damaged):
    """Sealed by a program that was wrong: what does not follow is refused, and the log is folded from the start."""

    def take(chat, log):
        data = branchlog._core.snapshot.take(chat._state, damaged[1], damaged[2])
        yield taken(chat, damaged[0], damaged[1], head=Head(damaged[1], checksum_at(log, damaged[1])), data=data)

    planted(path, take)
    check_damage(path, "a snapshot of what comes after version")


def test_of_two_writers(path, damaged):
    """Stretches that overlap: those that reach furthest are used, and the others are reported."""

    def take(chat, log):
        for after, until in [(0, damaged[0]), (0, damaged[1]), (damaged[0], damaged[2])]:
            yield taken(chat, after, until, head=Head(until, checksum_at(log, until)))

    execute(path, "DELETE FROM snapshots")
    planted(path, take)
    (told,) = check_damage(path, "it does not follow one that is used")
    assert told.version == damaged[1]
    with opened(path) as store:
        assert load_quietly(store)[0]._snapshot_version == damaged[2]


def test_a_writer_heals_what_is_damaged(path, damaged):
    """Opened by the log, the next snapshot is of all, and takes the place of those that were ignored."""
    execute(path, "UPDATE snapshots SET data = x'00'")
    with opened(path) as store:
        chat, told = load_quietly(store)
        assert len(told) == len(damaged)
        chat.say("user", "x" * LITTLE)
        store.save(chat)

        assert reaching(store) == [(0, chat.version)]
        check_same(store, store.load("trip"))


def test_what_is_ignored_is_told_as_data(path, damaged):
    execute(path, "UPDATE snapshots SET data = x'00' WHERE version = ?", damaged[-1])
    with opened(path) as store:
        _, (told,) = load_quietly(store)

        assert (told.conversation, told.version) == ("trip", damaged[-1])
        assert str(told).startswith(f"the snapshot of 'trip' at version {damaged[-1]} is ignored: ")
        assert [each.usable for each in store.snapshots("trip")] == [True] * (len(damaged) - 1) + [False]
