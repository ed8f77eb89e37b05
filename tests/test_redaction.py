"""What is erased is gone: from the tree at every moment, and from the raw bytes of the store's files."""

import asyncio
import contextlib
import random
import sqlite3

import pytest

import branchlog
from branchlog import BackendError, ConversationDeleted, Message, Store, _steps
from branchlog.logs._sqlite import connections
from branchlog.testing import TickingClock, portrait

SECRET = "the secret 7f3a9c51e2 of this test"
PIECE = "7f3a9c51e2"
"""What is searched for: short, so that it is found though a page may end within the text."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chats.db"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Snapshots are taken after a few messages."""
    monkeypatch.setattr(_steps, "SNAPSHOT_TAIL_BYTES", 300)


def opened(path):
    return branchlog.open(path, clock=TickingClock())


def raw(path):
    """The bytes of all that lies in the store's folder."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.iterdir()))


def check_gone(path, *pieces):
    found = raw(path)
    for piece in pieces or (PIECE,):
        assert piece.encode() not in found, f"{piece!r} at {found.index(piece.encode())}"


def check_there(path):
    assert PIECE.encode() in raw(path)


MESSAGES = {
    "short": Message("user", SECRET),
    "parts": Message("user", [{"type": "text", "text": SECRET}]),
    "a page": Message("user", SECRET + "x" * 10_000 + SECRET),
    "many pages": Message("user", f"{SECRET} " * 30_000),
    "tool calls": Message("assistant", None, tool_calls=[{"id": SECRET, "type": "function"}]),
    "tool": Message("tool", "x", name=PIECE, tool_call_id=SECRET),
    "metadata": Message("user", "x", metadata={SECRET: [SECRET]}),
}


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("place", ["root", "node", "among others"])
def test_the_text_is_in_no_file(path, kind, place):
    """While the store is open, with its write-ahead log, and after it was closed."""
    with opened(path) as store:
        chat = store.create("trip", system=MESSAGES[kind] if place == "root" else None)
        if place == "among others":
            chat.say("user", "kept before")
        if place != "root":
            chat.say(MESSAGES[kind])
        if place == "among others":
            chat.say("user", "kept after")
        store.save(chat)
        chat.say("user", "later")
        store.save(chat)
        check_there(path)
        before = [(node.id, node.version, node.added) for node in chat.tree]
        then = chat.version
        id = {"root": "", "node": "0", "among others": "0.0"}[place]

        chat.redact(id)
        store.save(chat)
        check_gone(path)

        for tree in (
            chat.tree,
            store.load("trip").tree,
            store.load("trip").at(then),
            _steps.run(store.log, _steps.load_whole(store._home, "trip")).tree,
        ):
            assert tree[id].message == Message(MESSAGES[kind].role, "")
        again = store.load("trip")
        assert [(node.id, node.version, node.added) for node in again.tree] == before
        assert [message.content for message in again.messages()][-1] == "later"
        assert (again.tree[id].redacted, again.at(then)[id].redacted) == (True, False)
        assert again.tree[id].metadata == {}
        assert store.verify("trip").differences == ()
        assert portrait(again.tree) == portrait(chat.tree)
    check_gone(path)
    with opened(path) as store:
        assert store.messages("trip") == chat.messages()


def test_the_others_of_a_commit_keep_their_bytes(path):
    with opened(path) as store:
        chat = store.create("trip")
        for text in ("one", SECRET, "three"):
            chat.say("user", text)
        store.save(chat)
        (before,) = store.log.read("trip")
        chat.redact("0.0")
        store.save(chat)
        after = store.log.read("trip")[0]

        assert after.data == before.data.replace(SECRET.encode(), b"")
        assert (after.checksum, after.digest, after.position) == (before.checksum, before.digest, before.position)
        assert after.erased


def test_annotated_metadata_goes_and_the_rest_stays(path):
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", "x")
        store.save(chat)
        for number in range(5):
            chat.annotate("0", metadata={f"k{number}": SECRET}, rating=3, bookmark=True)
            store.save(chat)
        chat.annotate("0", label="best", hidden=True)
        store.save(chat)
        assert store.snapshots("trip")
        check_there(path)

        chat.redact("0")
        store.save(chat)
        check_gone(path)
        node = store.load("trip").tree["0"]
        assert (node.label, node.rating, node.bookmark, node.hidden, node.metadata) == ("best", 3, True, True, {})
        assert store.load("trip").at(6)["0"].metadata == {}
        assert store.verify("trip").differences == ()
        store.snapshot("trip")
        check_gone(path)


def test_snapshots_go(path):
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET)
        chat.annotate("0", metadata={"k": SECRET})
        store.save(chat)
        store.snapshot("trip")
        assert any(PIECE.encode() in each.data for each in store.log.snapshots("trip"))
        chat.redact("0")
        store.save(chat)

        assert not any(PIECE.encode() in each.data for each in store.log.snapshots("trip"))
        check_gone(path)


def test_a_pending_message_is_never_written(path):
    with opened(path) as store:
        chat = store.create("trip", system=SECRET)
        chat.say("user", SECRET, metadata={"k": SECRET})
        chat.annotate("0", metadata={"k": SECRET}, rating=2)
        chat.redact("")
        chat.redact("0")
        store.save(chat)
        check_gone(path)

        assert portrait(store.load("trip").tree) == portrait(chat.tree)
        assert store.load("trip").tree["0"].rating == 2
        assert store.verify("trip").differences == ()


def test_partly_saved_and_partly_pending(path):
    """The message is in the log, an annotation is not yet."""
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET)
        store.save(chat)
        chat.annotate("0", metadata={"k": SECRET}, label="best")
        chat.redact("0")
        store.save(chat)
        check_gone(path)

        assert portrait(store.load("trip").tree) == portrait(chat.tree)


def test_redacting_twice_writes_nothing_more(path):
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET)
        store.save(chat)
        chat.redact("0")
        version = store.save(chat)
        chat.redact("0")

        assert store.save(chat) == version
        again = store.load("trip")
        again.redact("0")
        assert again.pending == ()


def test_merging_with_another_writer(path):
    """Whoever is first: the redaction goes on top, and other copies that merge it blank theirs."""
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET, metadata={"k": SECRET})
        store.save(chat)
        mine, theirs = store.load("trip"), store.load("trip")
        assert PIECE in theirs.tree["0"].message.content
        theirs.annotate("0", metadata={"k": SECRET}, rating=4)
        store.save(theirs)
        mine.say("user", "mine")
        mine.redact("0")
        store.save(mine)
        check_gone(path)

        assert mine.tree["0"].rating == 4
        theirs.say("user", "theirs")
        store.save(theirs)
        for seen in (mine, theirs, store.load("trip")):
            assert (seen.tree["0"].message, seen.tree["0"].metadata) == (Message("user", ""), {})
        check_gone(path)
        assert store.verify("trip").differences == ()


def test_two_that_redact_the_same(path):
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET)
        store.save(chat)
        both = store.load("trip"), store.load("trip")
        for each in both:
            each.redact("0")
            store.save(each)
        check_gone(path)

        assert [step.kind for step in store.load("trip").replay(4)] == ["node-redacted"] * 2
        assert store.verify("trip").differences == ()


class Losing:
    """A log that loses the answer to the next redaction, or to the next append."""

    def __init__(self, log):
        self._log, self.lost = log, ""

    def __getattr__(self, name):
        return getattr(self._log, name)

    def _answer(self, call, *arguments, **options):
        answer = getattr(self._log, call)(*arguments, **options)
        if self.lost == call:
            self.lost = ""
            raise BackendError("the connection died")
        return answer

    def append(self, *arguments, **options):
        return self._answer("append", *arguments, **options)

    def redact(self, *arguments, **options):
        return self._answer("redact", *arguments, **options)


def test_a_retry_after_a_lost_answer(path):
    with opened(path) as store:
        losing = Losing(store.log)
        flaky = Store(losing, clock=TickingClock())
        chat = flaky.create("trip")
        chat.say("user", SECRET)
        losing.lost = "append"
        with pytest.raises(BackendError):
            flaky.save(chat)
        chat.redact("0")  # it is in the log already, though nobody said so
        losing.lost = "redact"
        with pytest.raises(BackendError):
            flaky.save(chat)
        version = flaky.save(chat)
        check_gone(path)

        assert version == chat.version == store.load("trip").version == 4
        assert [step.kind for step in chat.replay(4)] == ["node-redacted"]
        assert portrait(store.load("trip").tree) == portrait(chat.tree)


def test_many_at_once(path):
    """In one save, in several commits, with other things between."""
    with opened(path) as store:
        chat = store.create("trip")
        for number in range(20):
            chat.say("user", f"{SECRET} {number}" if number % 2 else f"kept {number}")
            if number % 3 == 0:
                store.save(chat)
        store.save(chat)
        nodes = list(chat.path())[2::2]
        for node in nodes:
            chat.redact(node)
        chat.say("user", "and then?")
        store.save(chat)
        check_gone(path)

        assert [message.content for message in store.messages("trip")] == [
            *(("" if number % 2 else f"kept {number}") for number in range(20)), "and then?",
        ]  # fmt: skip
        assert store.verify("trip").differences == ()


def test_other_conversations_and_namespaces_keep_theirs(path):
    with opened(path) as store:
        for place in (store, store.within("other")):
            chat = place.create("trip")
            chat.say("user", SECRET)
            place.save(chat)
        chat = store.load("trip")
        chat.redact("0")
        store.save(chat)

        assert store.within("other").messages("trip")[0].content == SECRET
        assert store.messages("trip")[0].content == ""


@pytest.mark.parametrize("seed", range(10))
def test_after_rows_have_moved(path, seed):
    """Where rows are deleted SQLite moves others to other pages, and leaves copies of them in unused places."""
    rng = random.Random(seed)
    marks = {f"c{number}": f"{rng.getrandbits(64):016x}" for number in range(60)}
    gone = []
    with branchlog.open(path, durability="relaxed", clock=TickingClock()) as store:
        for id, mark in marks.items():
            chat = store.create(id, title=f"t{mark}", metadata={"k": mark})
            store.save(chat)
            chat.say("user", mark * rng.choice((1, 10, 40)))
            store.save(chat)
        for id in rng.sample(list(marks), 40):
            chat = store.load(id)
            if rng.random() < 0.3:
                chat.redact("0")
                chat.annotate_conversation(title="x" * rng.choice((1, 200)))
                store.save(chat)
                check_gone(path, marks[id] * 2)  # once it is the title
                continue
            store.delete(id)
            gone.append(marks.pop(id))
            check_gone(path, *gone)
        for id in marks:
            assert store.verify(id).differences == ()


def test_in_memory():
    with branchlog.open("memory:", clock=TickingClock()) as store:
        chat = store.create("trip", system=SECRET)
        chat.say("user", SECRET)
        chat.annotate("0", metadata={"k": SECRET})
        store.save(chat)
        chat.redact("")
        chat.redact("0")
        store.save(chat)

        assert PIECE not in repr(vars(store.log._shared) if hasattr(store.log._shared, "__dict__") else "") + repr(
            [store.log.read("trip"), store.log.read_all(), store.log.snapshots("trip")]
        )
        assert portrait(store.load("trip").tree) == portrait(chat.tree)


def test_through_an_async_store(path):
    async def erased():
        async with branchlog.open_async(path, clock=TickingClock()) as store:
            chat = await store.create("trip")
            chat.say("user", SECRET)
            await store.save(chat)
            chat.redact("0")
            await store.save(chat)
            check_gone(path)
            assert (await store.verify("trip")).differences == ()
            return await store.messages("trip")

    assert asyncio.run(erased()) == [Message("user", "")]


@contextlib.contextmanager
def reader_of(path):
    """Someone who reads the file in a transaction that stays open."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM commits").fetchone()
        yield connection
        connection.execute("COMMIT")


@pytest.mark.parametrize("erasing", ["redact", "delete"])
def test_a_reader_that_stays(path, monkeypatch, erasing):
    """What it still sees cannot be taken away: this is said, and the same call succeeds when it has gone."""
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET)
        store.save(chat)
        if erasing == "redact":
            chat.redact("0")
        with reader_of(path), pytest.raises(BackendError, match="readers keep what was erased"):
            store.save(chat) if erasing == "redact" else store.delete("trip")
        check_there(path)

        if erasing == "redact":
            assert store.save(chat) == 4
            assert store.load("trip").version == 4
        else:
            with pytest.raises(ConversationDeleted):
                store.delete("trip")
        check_gone(path)


def test_a_reader_that_goes_in_time(path):
    """Saving waits for it."""
    with opened(path) as store:
        chat = store.create("trip")
        chat.say("user", SECRET)
        store.save(chat)
        chat.redact("0")

        async def both():
            with reader_of(path):
                saving = asyncio.create_task(asyncio.to_thread(store.save, chat))
                await asyncio.sleep(0.3)
                assert not saving.done()
            return await saving

        assert asyncio.run(both()) == 4
        check_gone(path)


# Deleting.


def test_deleting_leaves_the_id_and_nothing_else(path):
    with opened(path) as store:
        chat = store.create("trip", title=SECRET, system=SECRET, metadata={"k": SECRET, "l": SECRET * 20})
        chat.say("user", SECRET * 1_000)
        chat.annotate("0", label=f"l{PIECE}", metadata={"k": SECRET})
        chat.new_cursor(f"c{PIECE}")
        store.save(chat)
        store.snapshot("trip")
        kept = store.create("kept")
        store.save(kept)
        check_there(path)

        store.delete("trip")
        check_gone(path)
        assert b"trip" in raw(path)
        assert [each.id for each in store.list()] == ["kept"]
        assert store.count(metadata={"k": SECRET}) == 0
    check_gone(path)


def test_a_late_writer_cannot_bring_it_back(path):
    """Neither one that has it open, nor one whose first save comes late, nor one that was loaded by snapshots."""
    with opened(path) as store:
        chat = store.create("trip", system=SECRET)
        store.save(chat)
        store.snapshot("trip")
        holders = [chat, store.load("trip")]
        unsaved = branchlog.Conversation.start("trip", clock=TickingClock())
        store.delete("trip")
        for each in [*holders, unsaved]:
            each.say("user", "back again")
            with pytest.raises(ConversationDeleted):
                store.save(each)
            each.redact("")
            with pytest.raises(ConversationDeleted):
                store.save(each)
            each._pending.clear()  # it stays pending for ever
        with pytest.raises(ConversationDeleted):
            store.create("trip")

        assert store.count() == 0
        check_gone(path, PIECE, "back again")
