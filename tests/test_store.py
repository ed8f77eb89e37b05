"""Stores, blocking and async: what is saved is there, once, whoever else writes and whatever answer is lost."""

import asyncio
import contextlib
import gc
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import branchlog
from branchlog import (
    AlreadyExists,
    BackendError,
    ConversationDeleted,
    ConversationNotFound,
    InvalidInput,
    InvalidMessage,
    LogClosed,
    Message,
    Store,
    VersionConflict,
)
from branchlog._core.codec import encode_events
from branchlog._core.events import SCHEMA, ConversationAnnotated, ConversationStarted, CursorMoved
from branchlog.commit import genesis, seal
from branchlog.logs.bridges import AsyncBridge
from branchlog.logs.memory import MemoryLog
from branchlog.store import AsyncStore


class Wrapped:
    """A log that passes every call on; what it does besides is in its subclasses."""

    def __init__(self, log):
        self._log = log

    def __getattr__(self, name):
        return getattr(self._log, name)


class Counting(Wrapped):
    """Counts the reads, the commits that they give, and all calls."""

    reads = commits = calls = 0

    def read(self, *args, **options):
        answer = self._log.read(*args, **options)
        self.reads += 1
        self.commits += len(answer)
        return answer

    def __getattr__(self, name):
        self.calls += 1
        return super().__getattr__(name)


class LosingAnswers(Wrapped):
    """Loses the answer to the next append: it is written (or is not), and an error comes back."""

    lost = None  # or "answer" or "request"

    def append(self, commit, **options):
        lost, self.lost = self.lost, None
        if lost != "request":
            answer = self._log.append(commit, **options)
        if lost:
            raise BackendError("the connection died")
        return answer


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    with branchlog.open("memory:" if request.param == "memory" else tmp_path / "chats.db") as opened:
        yield opened


def texts(messages):
    return [message.content for message in messages]


def grown(store, id="trip", *, count=3):
    chat = store.create(id, title="Kyoto", system="Be brief.")
    for number in range(count):
        chat.say("user", f"question {number}")
        chat.say("assistant", f"answer {number}")
    store.save(chat)
    return chat


def picture(chat):
    return (
        chat.version,
        [(node.id, node.version, node.message) for node in chat.tree.nodes],
        {name: node.id for name, node in chat.cursors.items()},
        chat.title,
        chat.metadata,
    )


# Create, load, save.


def test_what_is_saved_is_loaded(store):
    """A conversation that is loaded is the one that was saved."""
    chat = grown(store)
    chat.move("@~2")
    chat.say("user", "otherwise")
    chat.annotate("@", label="here", rating=5)

    assert store.save(chat) == chat.version == chat.saved_version
    assert picture(store.load("trip")) == picture(chat)
    assert store.load("trip").node("here").id == chat.cursor.id


def test_nothing_is_stored_before_saving(store):
    """To create a conversation stores nothing."""
    chat = store.create("trip")

    with pytest.raises(ConversationNotFound):
        store.load("trip")
    store.save(chat)
    assert store.load("trip").version == 1


def test_a_save_is_one_commit(store):
    """All that is pending goes into one commit, whatever there is of it."""
    chat = grown(store, count=50)
    store.save(chat)
    chat.say("user", "and then?")
    store.save(chat)

    assert [(each.first, each.last) for each in store.commits("trip")] == [(1, 201), (202, 203)]
    assert store.commits("trip", after=201) == store.commits("trip")[1:]


def test_saving_nothing_asks_nothing():
    """With nothing pending a save makes no call at all."""
    log = Counting(MemoryLog())
    store = Store(log)
    chat = grown(store)
    before = log.calls, log.reads

    assert store.save(chat) == chat.version
    assert (log.calls, log.reads) == before


def test_ids_are_given_where_none_is(store):
    """Without an id a new conversation has one of its own."""
    chats = [store.create() for _ in range(20)]
    for chat in chats:
        store.save(chat)

    assert len({chat.id for chat in chats}) == store.count() == 20


@pytest.mark.parametrize("id", ["x" * 1_024, "京都への旅", 'it\'s "quoted"', "a/b/../c", " ", "%_*", "A\nB"], ids=ascii)
def test_awkward_ids(store, id):
    """An id is any text of up to 1,024 bytes."""
    grown(store, id)

    assert store.load(id).id == id
    assert [each.id for each in store.list()] == [id]
    assert len(store.messages(id)) == 7
    store.delete(id)
    assert store.count() == 0


@pytest.mark.parametrize("id", ["", "a\0b", "x" * 1_025, "\ud800", 7, b"x"], ids=ascii)
def test_impossible_ids(store, id):
    """An id that cannot be is refused by every method, before anything else happens."""
    for call in (store.create, store.load, store.messages, store.describe, store.commits, store.delete):
        with pytest.raises(InvalidInput):
            call(id)


@pytest.mark.parametrize("content", ["\ud800", [{"type": "text", "text": "\udfff"}], [{"n": float("nan")}], 7])
def test_what_json_cannot_carry_is_refused_before_saving(store, content):
    """Lone surrogates, NaN and wrong types never get as far as the log."""
    chat = grown(store)
    with pytest.raises(InvalidMessage):
        chat.say("user", content)

    assert not chat.pending


def test_large_and_strange_messages_come_back(store):
    """Text comes back as it was said: empty, 4 MB, NUL, and the ends of Unicode."""
    said = ["", "\0", "\U0010ffff\u202edג", "x" * 4_000_000, "🦉\u0301"]
    chat = store.create("trip")
    for text in said:
        chat.say("user", text, metadata={"n": -0.0, "sum": 0.1 + 0.2})
    store.save(chat)

    assert texts(store.messages("trip")) == said
    assert store.messages("trip")[0].metadata == {"n": -0.0, "sum": 0.30000000000000004}


def test_taken_ids(store):
    """An id that is taken is refused by create, or by save where another was first; what was said stays pending."""
    late = store.create("trip", title="late")
    grown(store)
    with pytest.raises(AlreadyExists):
        store.create("trip")
    with pytest.raises(AlreadyExists):
        store.save(late)

    assert late.pending
    assert store.load("trip").title == "Kyoto"
    late._pending.clear()


def test_unknown_conversations(store):
    """What is not there is not found, by each method that asks for it."""
    for call in (store.load, store.messages, store.describe, store.commits, store.delete):
        with pytest.raises(ConversationNotFound, match="'trip'"):
            call("trip")


# Two writers.


def test_both_writers_are_kept(store):
    """Where another was first, a save puts its events on top of theirs; both agree in the end."""
    one = grown(store)
    two = store.load("trip")
    one.say("user", "from one")
    mine = two.say("user", "from two")
    store.save(one)
    store.save(two)

    assert mine.message.content == "from two"
    assert mine.id == two.cursor.id == "0.0.0.0.0.0.1"
    assert picture(store.load("trip")) == picture(two)
    assert [child.message.content for child in two.node("0.0.0.0.0.0").children] == ["from one", "from two"]


def test_to_be_told_of_a_conflict(store):
    """With on_conflict="raise" a save behind another's is refused and changes nothing; merging still works."""
    one = grown(store)
    two = store.load("trip")
    one.say("user", "from one")
    two.say("user", "from two")
    store.save(one)
    before = picture(two), store.changes()
    with pytest.raises(VersionConflict) as caught:
        store.save(two, on_conflict="raise")

    assert (caught.value.expected, caught.value.actual) == (13, 15)
    assert (picture(two), store.changes()) == before
    assert store.save(two) == 17


def test_an_unknown_way_to_take_conflicts(store):
    with pytest.raises(InvalidInput, match="'merge' or 'raise'"):
        store.save(grown(store), on_conflict="overwrite")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["say", "move", "save", "annotate"])), max_size=40))
def test_writers_agree_in_the_end(steps):
    """Whatever three writers do, and whenever they save, nothing said is lost and all see one conversation."""
    store = Store(MemoryLog())
    first = grown(store, count=1)
    writers = [first, store.load("trip"), store.load("trip")]
    said = []
    for number, (who, what) in enumerate(steps):
        chat = writers[who]
        if what == "say":
            said.append(f"{who} {number}")
            chat.say("user", said[-1])
        elif what == "move":
            chat.move(chat.tree.nodes[number % len(chat.tree.nodes)])
        elif what == "annotate":
            chat.annotate("@", rating=1 + number % 5)
        else:
            store.save(chat)
    for chat in writers:
        store.save(chat)
    whole = store.load("trip")

    found = [node.message.content for node in whole.tree.nodes][3:]
    assert sorted(found) == sorted(said)
    for who in range(3):
        assert [text for text in found if text.startswith(f"{who} ")] == [t for t in said if t.startswith(f"{who} ")]
    assert texts(store.messages("trip")) == texts(whole.messages())
    with store.editing("trip") as again:
        assert picture(again) == picture(whole)


# Lost answers.


@pytest.mark.parametrize("lost", ["answer", "request"])
@pytest.mark.parametrize("more", [False, True], ids=["", "more was said"])
@pytest.mark.parametrize("other", [False, True], ids=["", "another came between"])
@pytest.mark.parametrize("new", [False, True], ids=["", "the first save"])
def test_a_lost_answer(tmp_path, lost, more, other, new):
    """After an error of the backend saving again stores what was said exactly once, whatever happened in between."""
    with branchlog.open(tmp_path / "chats.db") as beneath:
        log = LosingAnswers(beneath.log)
        store = Store(log)
        chat = store.create("trip", system="Be brief.") if new else grown(store, count=1)
        chat.say("user", "first")
        log.lost = lost
        with pytest.raises(BackendError):
            store.save(chat)
        if more:
            chat.say("user", "second")
        if other and not (new and lost == "request"):
            with beneath.editing("trip") as another:
                another.add("user", "from another", under="")
        assert store.save(chat) == chat.version
        assert store.save(chat) == chat.version
        whole = beneath.load("trip")

    said = [node.message.content for node in whole.tree.nodes]
    assert said.count("first") == 1
    assert said.count("second") == more
    if lost == "request" or more or not other:  # else the retry had nothing to put on top of the other's
        assert picture(whole) == picture(chat)
    assert whole.cursor.message.content == ("second" if more else "first")


def test_a_lost_answer_twice(store):
    """Saving fails twice, with more said each time; the third time all is stored once."""
    log = LosingAnswers(store.log)
    chat = grown(Store(log))
    for number in range(2):
        chat.say("user", f"part {number}")
        log.lost = "answer"
        with pytest.raises(BackendError):
            Store(log).save(chat)
    chat.say("user", "part 2")
    Store(log).save(chat)

    assert texts(store.messages("trip"))[-3:] == ["part 0", "part 1", "part 2"]
    assert store.load("trip").version == chat.version


# Editing, deleting, dropping.


def test_editing_saves_on_leaving(store):
    """What is said in the block is saved, also when it ends in an exception."""
    grown(store)
    with pytest.raises(ZeroDivisionError), store.editing("trip") as chat:  # noqa: PT012 - it is the block that breaks
        chat.say("user", "before it broke")
        1 / 0  # noqa: B018

    assert store.messages("trip")[-1].content == "before it broke"


def test_a_deleted_conversation_stays_deleted(store):
    """It is gone from everything, and one who still holds it cannot bring it back."""
    chat = grown(store)
    store.delete("trip")
    chat.say("user", "too late")
    with pytest.raises(ConversationDeleted):
        store.save(chat)
    for call in (store.load, store.messages, store.describe, store.commits, store.delete, store.create):
        with pytest.raises(ConversationDeleted):
            call("trip")

    assert store.count() == len(store.list()) == len(store.changes()) == 0
    chat._pending.clear()


@pytest.mark.parametrize("saved", [True, False])
def test_dropped_with_something_pending(store, saved):
    """A conversation of a store that is dropped unsaved warns; one that was saved does not."""
    chat = store.create("trip", title="Kyoto")
    if saved:
        store.save(chat)
        chat.say("user", "not saved")
    with pytest.warns(ResourceWarning, match="'trip' was dropped with"):  # noqa: PT031 - the warning comes as it goes
        del chat
        gc.collect()
    chat = grown(store, "other")
    del chat
    gc.collect()


# What a model is sent.


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_the_path_is_that_of_the_tree(seed):
    """store.messages gives what loading and asking the conversation gives, wherever the cursor is."""
    choose = random.Random(seed)
    store = Store(MemoryLog())
    chat = store.create("trip", system=choose.choice([None, "Be brief."]))
    for number in range(choose.randrange(40)):
        chat.say("user", f"m{number}", under=choose.choice(chat.tree.nodes))
        if choose.random() < 0.5:
            store.save(chat)
        if choose.random() < 0.2:
            chat.move(choose.choice(chat.tree.nodes))
        if choose.random() < 0.1 and chat.saved_version:
            with store.editing("trip") as other:
                other.add("user", f"other {number}", under=choose.choice(other.tree.nodes))
    store.save(chat)
    node = choose.choice(chat.tree.nodes)

    assert store.messages("trip") == store.load("trip").messages() == chat.messages()
    assert store.messages("trip", at=node.id) == chat.messages(node.id)
    assert store.messages("trip", at=node.version) == chat.messages(node.version)


def test_a_path_in_a_bushy_tree_reads_little():
    """A path of 100 in a tree of 5,000 reads a small part of the commits; a line is read in few calls."""
    log = Counting(MemoryLog())
    store = Store(log)
    chat = store.create("bushy")
    choose = random.Random(5)
    line = chat.cursor
    for number in range(5_000):
        if number % 50 == 0:
            line = chat.add("user", f"line {number}", under=line)
        else:
            chat.add("user", f"aside {number}", under=choose.choice((line, chat.tree.root)))
        store.save(chat)
    chat.move(line)
    store.save(chat)
    log.reads = log.commits = 0

    assert texts(store.messages("bushy")) == [f"line {number}" for number in range(0, 5_000, 50)]
    assert log.commits < 1_000
    assert log.reads <= 110


def test_a_long_line_is_read_in_few_calls():
    """A line of 5,000 messages, a commit each, takes a few reads."""
    log = Counting(MemoryLog())
    store = Store(log)
    chat = store.create("line")
    for number in range(5_000):
        chat.say("user", f"{number}")
        store.save(chat)
    log.reads = log.commits = 0

    assert len(store.messages("line")) == 5_000
    assert log.reads <= 20
    assert log.commits <= 5_100


# Lists.


def test_lists(store):
    """A list has the last updated first, and each order and filter that there is; describe says the same of one."""
    for number in range(5):
        chat = store.create(f"c{number}", title=f"t{4 - number}", metadata={"even": number % 2 == 0, "n": number})
        chat.say("user", "hello")
        store.save(chat)

    assert [each.id for each in store.list()] == ["c4", "c3", "c2", "c1", "c0"]
    assert [each.id for each in store.list(order="title")] == ["c4", "c3", "c2", "c1", "c0"]
    assert [each.id for each in store.list(order="-id", metadata={"even": True})] == ["c4", "c2", "c0"]
    assert store.count(metadata={"even": True}) == 3
    assert store.count(metadata={"even": 1}) == 0
    summary = store.describe("c3")
    assert summary == store.list(metadata={"n": 3})[0]
    assert (summary.title, summary.version, summary.nodes, summary.branches) == ("t1", 3, 2, 1)


@pytest.mark.parametrize("order", ["-updated", "updated", "-created", "title", "-title", "id", "-id"])
def test_pages(store, order):
    """Pages, one after the other, give every conversation once, in the order of the whole."""
    for number in range(23):
        grown(store, f"c{number}", count=number % 3)
    whole = [each.id for each in store.list(order=order, limit=100)]
    page = store.list(order=order, limit=5)
    paged = [each.id for each in page]
    while page.next:
        page = store.list(order=order, limit=5, after=page.next)
        paged += [each.id for each in page]

    assert paged == whole
    assert sorted(paged) == sorted(f"c{number}" for number in range(23))


def test_bad_lists(store):
    """A wrong order, limit, filter or page is refused with what is right."""
    grown(store, "a")
    grown(store, "b")
    token = store.list(limit=1).next
    for options in (
        {"order": "size"},
        {"limit": 0},
        {"limit": True},
        {"after": "nonsense"},
        {"after": token, "order": "id"},
        {"metadata": {"a": float("nan")}},
        {"metadata": {"a": object()}},
    ):
        with pytest.raises(InvalidInput):
            store.list(**options)


def test_counts_follow_the_tree(store):
    """The catalog's numbers are those of the tree after each save, also when others wrote in between."""
    one = grown(store)
    two = store.load("trip")
    for number in range(4):
        one.say("user", f"one {number}", under="")
        two.say("user", f"two {number}", under="0")
        store.save(one)
        store.save(two)
        summary = store.describe("trip")

        assert (summary.version, summary.nodes, summary.branches) == (
            two.version,
            len(two.tree.nodes),
            len(two.tree.leaves),
        )


# Changes.


def test_changes_from_any_position(store):
    """Reading on from any position gives the rest."""
    for id in "abc":
        grown(store, id)
    changes = store.changes()
    for number, change in enumerate(changes, 1):
        assert store.changes(after=change.position) == changes[number:]
        assert list(store.subscribe(after=change.position, idle_seconds=0)) == list(changes[number:])
    assert store.changes(limit=2) == changes[:2]


def test_a_subscription_catches_up_and_goes_on(store):
    """A subscriber gets what was and what comes, each once and in order, and ends when the store is closed."""
    grown(store, "before")
    got, started = [], threading.Event()

    def listen():
        for change in store.subscribe():
            got.append(change)
            started.set()

    listener = threading.Thread(target=listen)
    listener.start()
    started.wait(5)
    for number in range(20):
        grown(store, f"c{number}")
    deadline = time.monotonic() + 10
    while len(got) < 21 and time.monotonic() < deadline:
        time.sleep(0.01)
    changes = store.changes()
    store.close()
    listener.join(5)

    assert not listener.is_alive()
    assert got == list(changes)
    assert len(got) == 21


def test_a_subscription_that_is_left_idle_ends(store):
    """With idle_seconds it ends when nothing has come for so long."""
    grown(store)
    began = time.monotonic()

    assert len(list(store.subscribe(idle_seconds=0.15))) == 1
    assert 0.15 <= time.monotonic() - began < 5


# Namespaces and closing.


def test_namespaces(store):
    """Conversations of one namespace do not exist in another, and cannot be saved there."""
    other = store.within("other")
    chat = grown(store)

    assert other.count() == len(other.list()) == len(other.changes()) == 0
    for call in (other.load, other.messages, other.describe, other.delete):
        with pytest.raises(ConversationNotFound):
            call("trip")
    chat.say("user", "to whom?")
    with pytest.raises(InvalidInput, match="namespace"):
        other.save(chat)
    store.save(chat)
    grown(other, "trip", count=1)
    assert (store.load("trip").version, other.load("trip").version) == (15, 5)


def test_closed(store):
    """A closed store says so; closing twice is allowed."""
    chat = grown(store)
    chat.say("user", "later")
    store.close()
    store.close()
    for call in (
        lambda: store.load("trip"),
        lambda: store.save(chat),
        lambda: store.create("other"),
        store.list,
        store.count,
        store.changes,
    ):
        with pytest.raises(LogClosed):
            call()

    assert list(store.subscribe()) == []
    chat._pending.clear()


def test_times_are_those_of_the_clock():
    """Events, commits and the catalog have the times of the clock that the store was given."""
    now = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    with branchlog.open("memory:", clock=lambda: now) as store:
        grown(store)

        assert store.describe("trip").created == store.describe("trip").updated == now
        assert store.changes()[0].at == now


# The same, awaited.


def test_the_async_store_has_the_same_methods():
    """Every public name of Store is one of AsyncStore too."""

    def names(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert names(Store) == names(AsyncStore)


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_a_conversation_awaited(tmp_path, backend):
    """The async store does what the blocking one does."""

    async def work():
        async with branchlog.open_async("memory:" if backend == "memory" else tmp_path / "chats.db") as store:
            chat = await store.create("trip", title="Kyoto", metadata={"a": 1})
            chat.say(Message("user", "hello"))
            assert await store.save(chat) == 3
            async with store.editing("trip") as other:
                other.say("assistant", "hi")
            chat.say("user", "from the first")
            with pytest.raises(VersionConflict):
                await store.save(chat, on_conflict="raise")
            await store.save(chat)
            assert picture(await store.load("trip")) == picture(chat)
            assert texts(await store.messages("trip")) == ["hello", "from the first"]
            assert texts(await store.messages("trip", at="0.0")) == ["hello", "hi"]
            assert [each.id for each in await store.list(metadata={"a": 1})] == ["trip"]
            assert await store.count() == 1
            assert (await store.describe("trip")).title == "Kyoto"
            assert await store.commits("trip") == await store.changes()
            assert [each async for each in store.subscribe(idle_seconds=0)] == list(await store.changes())
            with pytest.raises(AlreadyExists):
                await store.create("trip")
            assert await store.within("other").count() == 0
            await store.delete("trip")
            with pytest.raises(ConversationDeleted):
                await store.load("trip")
            listener = asyncio.create_task(anext(store.subscribe()))
        with contextlib.suppress(StopAsyncIteration):
            await asyncio.wait_for(listener, 5)
        with pytest.raises(LogClosed):
            await store.load("trip")

    asyncio.run(work())


def test_a_lost_answer_awaited():
    """As for the blocking store: saved again, it is stored once."""

    async def work():
        log = LosingAnswers(MemoryLog())
        log.append_group = lambda appends: [
            log.append(each.commit, expected=each.expected, entry=each.entry) for each in appends
        ]
        async with AsyncStore(AsyncBridge(log)) as store:
            chat = await store.create("trip")
            chat.say("user", "once")
            log.lost = "answer"
            with pytest.raises(BackendError):
                await store.save(chat)
            chat.say("user", "more")
            await store.save(chat)

            assert texts(await store.messages("trip")) == ["once", "more"]
            assert len(await store.commits("trip")) == 2

    asyncio.run(work())


def _written(store, *events):
    """A stream of events that no conversation would write."""
    commit = seal(
        "odd", genesis("", "odd"), count=len(events), id=b"\0" * 16, at=0, schema=SCHEMA, data=encode_events(events)
    )
    store.log.append(commit, expected=0)


def test_a_stream_that_does_not_start_a_conversation_is_corrupt():
    store = branchlog.open("memory:")
    _written(store, ConversationAnnotated(at=0, title="no beginning"))

    with pytest.raises(branchlog.CorruptLog, match="does not start a conversation"):
        store.load("odd")


def test_a_log_that_takes_the_default_cursor_away_can_be_looked_at():
    store = branchlog.open("memory:")
    _written(store, ConversationStarted(at=0), CursorMoved(at=0, to=None))
    chat = store.load("odd")

    assert chat.cursors == {}
    with pytest.raises(branchlog.CursorNotFound):
        chat.at(2).cursor  # noqa: B018 - the property raises
    with pytest.raises(branchlog.CursorNotFound):
        chat.messages()


class CountingLog(Wrapped):
    """A log that counts the reads of commits."""

    reads = 0

    def read(self, *args, **options):
        self.reads += 1
        return self._log.read(*args, **options)


@pytest.mark.parametrize("batch", [1, 70])
def test_a_path_behind_a_snapshot_is_read_in_few_reads(batch):
    """The messages of a long line that a snapshot left out come in blocks that grow, each message once."""
    memory = MemoryLog()
    said = [f"message {number}" for number in range(2_000)]
    with Store(memory) as store:
        chat = store.create("long")
        for number, text in enumerate(said, 1):
            chat.say("user", text)
            if number % batch == 0:
                store.save(chat)
        store.save(chat)
        store.snapshot("long")
        log = CountingLog(memory)
        chat = Store(log).load("long")
        opened = log.reads

        assert [message.content for message in chat.messages()] == said
        assert log.reads - opened <= 8


# Addresses.


def test_a_folder_of_files_is_a_store(tmp_path):
    with branchlog.open(f"files:{tmp_path}/chats") as store:
        store.save(store.create("trip", title="Kyoto"))
    with branchlog.open(f"files:{tmp_path}/chats", create=False, read_only=True) as store:
        assert store.load("trip").title == "Kyoto"


async def test_a_folder_of_objects_is_a_store_in_both_colours(tmp_path):
    async with branchlog.open_async(f"file://{tmp_path}/objects") as store:
        await store.save(await store.create("trip", title="Kyoto"))
    with await asyncio.to_thread(branchlog.open, f"file://{tmp_path}/objects") as store:
        assert store.load("trip").title == "Kyoto"


@pytest.mark.parametrize(
    "address", ["postgresql://localhost/x", "nats://localhost", "s3://bucket/x", "file:///nowhere/at/all"]
)
def test_durability_is_for_files(address):
    with pytest.raises(branchlog.InvalidInput, match="the server decides"):
        branchlog.open(address, durability="relaxed")


@pytest.mark.parametrize(
    ("address", "extra", "missing"),
    [
        ("postgresql://localhost/x", "postgres", "asyncpg"),
        ("nats://localhost", "nats", "nats"),
        ("s3://bucket/x", "objects", "obstore"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, address, extra, missing):
    """As where the client library is not installed: its import fails."""
    code = f"""
import sys
sys.modules[{missing!r}] = None
import branchlog
try:
    branchlog.open({address!r})
except branchlog.InvalidInput as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert f"pip install 'branchlog[{extra}]'" in said
