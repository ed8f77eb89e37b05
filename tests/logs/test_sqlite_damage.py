"""Damaged store files: what is read is what was written, or an error that says so; never anything else.

A small store is cut off at many lengths and has bits flipped at many places, in the file itself and in its WAL, and is
then read in every way there is.
"""

import builtins
import random
from collections import Counter
from functools import partial
from pathlib import Path

import attrs
import pytest

import branchlog
from branchlog import commit as commits
from branchlog.commit import Commit
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationNotFound,
    CorruptLog,
    NotAStore,
    SchemaVersionError,
)
from branchlog.logs import sqlite
from branchlog.logs._sqlite.rows import Stream
from branchlog.logs.memory import MemoryLog
from branchlog.store import Change, Store
from branchlog.testing.contract import put

pytestmark = pytest.mark.filterwarnings("ignore::branchlog.SnapshotIgnored")
"""Where the table of snapshots is damaged, they are not used, and this is told."""

ALLOWED = (CorruptLog, NotAStore, BackendError)
NAMES = ("kyoto", "osaka", "nara")
PAGE_BYTES = 4_096


def seen(path):
    """What each way of reading gives: the answer, or the error it ends in."""
    try:
        with branchlog.open(path, create=False, durability="relaxed") as store:
            return asked(store)
    except BranchlogError as error:
        return {"open": error}


def asked(store):
    calls = {
        "list": lambda: tuple(store.list(order="id")),
        "count": lambda: store.count(metadata={"lang": "en"}),
        "changes": store.changes,
    }
    for name in NAMES:
        calls[f"messages {name}"] = partial(store.messages, name)
        calls[f"head {name}"] = partial(store.log.head, name)
        calls[f"read {name}"] = partial(store.log.read, name)
        calls[f"load {name}"] = lambda name=name: picture(store.load(name))
        calls[f"entry {name}"] = partial(store.log.entry, name)
    return {name: answer_to(call) for name, call in calls.items()}


def answer_to(call):
    try:
        return call()
    except BranchlogError as error:
        return error


def picture(chat):
    tree = chat.tree
    return (
        [(node.id, node.version, node.message, node.label, node.rating) for node in tree.nodes],
        {name: node.id for name, node in chat.cursors.items()},
        chat.title,
        chat.metadata,
    )


class Whole:
    """A store of three conversations, as bytes and as what is read of them.

    ``settled`` is the file after closing, ``answers`` what it says. ``file`` and ``wal`` are those of a log that was
    never closed, with some commits only in the WAL; ``later`` is what they say together.
    """

    def __init__(self, folder):
        path = folder / "chats.db"
        choose = random.Random(1)
        with branchlog.open(path) as store:
            write(store, choose, 12)
        self.settled = path.read_bytes()
        self.answers = seen(path)
        store = branchlog.open(path)
        write(store, choose, 4)
        self.file, self.wal = path.read_bytes(), Path(f"{path}-wal").read_bytes()
        self.later = seen(path)
        self._commits = store.log.read_all()
        store.close()

    def after(self, count):
        """What is read of the first commits alone, from a log that cannot be damaged."""
        log = MemoryLog()
        for commit in self._commits[:count]:
            log.append(commit, expected=commit.first - 1)
        answers = asked(Store(log))
        return {name: answer for name, answer in answers.items() if not name.startswith(("entry", "list", "count"))}


def write(store, choose, rounds):
    for name in NAMES:
        try:
            chat = store.load(name)
        except ConversationNotFound:
            chat = store.create(name, title=name.title(), system="Be brief.", metadata={"lang": "en", "n": len(name)})
        for number in range(rounds):
            chat.say("user", f"{name} {number} " + "x" * choose.randrange(900))
            chat.say("assistant", f"answer {number}")
            if number % 3 == 0:
                chat.move("@~1")
                chat.annotate("@", label=f"l{chat.version}", rating=4)
            store.save(chat)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Whole(tmp_path_factory.mktemp("whole"))


def damaged(folder, file, wal):
    for each in folder.iterdir():
        each.unlink()
    path = folder / "chats.db"
    path.write_bytes(file)
    if wal is not None:
        Path(f"{path}-wal").write_bytes(wal)
    return path


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def written_to(path):
    """Append to each conversation, however damaged; what comes of it."""
    try:
        with branchlog.open(path, create=False, durability="relaxed") as store:
            return [answer_to(partial(put, store.log, name)) for name in NAMES]
    except BranchlogError as error:
        return [error]


def faults(answers, whole):
    """What an honest log would not say: another answer than the whole one, or an error of an unexpected kind.

    SQLite's index of names has no checksum: where it is damaged a conversation is not found. Nor have positions and
    the facets behind ``count``; of a list some may be missing. What is shown is as it was written.
    """
    return {name: answer for name, answer in answers.items() if not is_honest(name, answer, whole)}


def is_honest(name, answer, whole):
    if isinstance(answer, ALLOWED) or answer in (None, []) or name == "count":
        return True
    if isinstance(answer, BranchlogError):
        return isinstance(answer, SchemaVersionError if name == "open" else ConversationNotFound)
    if name in ("changes", "list"):
        return is_part(map(placeless, answer), map(placeless, whole[name]))
    return answer == whole[name]


def placeless(shown):
    return attrs.evolve(shown, position=0) if isinstance(shown, Change) else shown


def is_part(some, all):
    """Whether these are among those, in the same order."""
    rest = iter(all)
    return builtins.all(each in rest for each in some)


def sampled(count, many):
    """So many of the numbers below ``count``, the same ones each time."""
    return sorted(random.Random(count).sample(range(count), min(many, count)))


def check_flips(whole, folder, bits):
    outcomes = Counter()
    for bit in bits:
        path = damaged(folder, flipped(whole.settled, bit), None)
        answers = seen(path)

        assert faults(answers, whole.answers) == {}, f"bit {bit}"
        outcomes[any(isinstance(answer, BranchlogError) for answer in answers.values())] += 1
        for answer in written_to(path):
            assert isinstance(answer, (Commit, SchemaVersionError, *ALLOWED)), f"bit {bit}"
    return outcomes


def check_cuts(whole, folder, lengths):
    for length in lengths:
        path = damaged(folder, whole.settled[:length], None)
        answers = seen(path)

        assert faults(answers, whole.answers) == {}, f"cut to {length} bytes"


def check_wal(whole, folder, wals):
    """Check that a store with a damaged WAL says what it said after one of its commits; gives how many were left."""
    left = Counter()
    for wal in wals:
        answers = seen(damaged(folder, whole.file, wal))
        errors = [answer for answer in answers.values() if isinstance(answer, BranchlogError)]

        assert all(isinstance(error, ALLOWED) for error in errors)
        if not errors:
            count = len(answers["changes"])
            expected = whole.after(count)
            assert {name: answers[name] for name in expected} == expected
            left[count] += 1
    return left


def test_the_whole_store_reads_well(whole, tmp_path):
    """Undamaged copies say what the store said: what the other tests compare with."""
    assert seen(damaged(tmp_path, whole.settled, None)) == whole.answers
    assert seen(damaged(tmp_path, whole.file, whole.wal)) == whole.later
    assert not [answer for answer in whole.later.values() if isinstance(answer, BranchlogError)]
    assert len(whole.later["changes"]) > len(whole.answers["changes"]) > 30


def test_flipped_bits(whole, tmp_path):
    """A flipped bit in the file is without effect or is an error, never another conversation."""
    outcomes = check_flips(whole, tmp_path, sampled(len(whole.settled) * 8, 450))

    assert outcomes[True] > 100


def test_flipped_bits_at_the_start_of_pages(whole, tmp_path):
    """The same where flips do most: in the headers and cell pointers of pages."""
    pages = range(0, len(whole.settled), PAGE_BYTES)
    bits = [(page + offset) * 8 + offset % 8 for page in pages for offset in (0, 3, 4, 6, 8, 9, 13, 22, 71)]

    assert check_flips(whole, tmp_path, bits)[True] > 50


def test_cut_files(whole, tmp_path):
    """A file that was cut off says so, or what is left of it is as it was written."""
    pages = range(0, len(whole.settled), PAGE_BYTES)
    check_cuts(whole, tmp_path, [1, 15, 16, 17, 99, 100, 101, *pages[1:], *sampled(len(whole.settled), 100)])


def test_cut_wal(whole, tmp_path):
    """With a WAL that was cut off the store is as it was after one of its commits."""
    left = check_wal(whole, tmp_path, [whole.wal[:length] for length in sampled(len(whole.wal), 120)])

    assert len(left) > 5


def test_flipped_bits_in_the_wal(whole, tmp_path):
    """With a flipped bit in the WAL the store is as it was after one of its commits."""
    bits = [*range(0, 32 * 8, 5), *sampled(len(whole.wal) * 8, 150)]
    left = check_wal(whole, tmp_path, [flipped(whole.wal, bit) for bit in bits])

    assert len(left) > 5


@pytest.mark.long
def test_flipped_bit_in_every_byte(whole, tmp_path):
    """As above, one bit of every byte of the file."""
    choose = random.Random(8)
    check_flips(whole, tmp_path, [8 * byte + choose.randrange(8) for byte in range(len(whole.settled))])


@pytest.mark.long
def test_cut_at_every_length(whole, tmp_path):
    """As above, the file cut at every 16th byte and the WAL at every 64th."""
    check_cuts(whole, tmp_path, range(16, len(whole.settled), 16))
    check_wal(whole, tmp_path, (whole.wal[:length] for length in range(0, len(whole.wal), 64)))


def test_without_checksums_flips_would_be_seen(whole, tmp_path, monkeypatch):
    """The control: with the checksums not looked at, flips do change what was said, and these tests notice."""
    monkeypatch.setattr(commits, "is_whole", lambda commit: True)
    monkeypatch.setattr(sqlite, "checked", lambda row: Stream(*row[:-1]))
    start = whole.settled.index(b"kyoto 3 xxx")
    changed = 0
    for byte in range(start, start + 40):
        answers = seen(damaged(tmp_path, flipped(whole.settled, 8 * byte), None))
        changed += bool(faults(answers, whole.answers))

    assert changed == 40
