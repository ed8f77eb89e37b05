"""Crashes and failing disks beneath a log in files: what was acknowledged stays, the rest is there whole or not at all.

Failing calls are injected by strace where it is installed.
"""

import resource
import shutil
import subprocess
import sys
import warnings

import ledger
import pytest

import branchlog
from branchlog.errors import BackendError, ConversationDeleted, ConversationNotFound, LogRepaired
from branchlog.logs._files import disk, folder
from branchlog.logs._files.lines import file_name
from branchlog.logs.base import Erasure, Query
from branchlog.logs.files import FilesLog
from branchlog.store import Store
from branchlog.testing.contract import next_commit, put

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::branchlog.errors.LogRepaired")

SPEAKER = """
import sys
import warnings

import branchlog
from branchlog.errors import LogRepaired
from branchlog.logs.files import FilesLog

path, first, durability = sys.argv[1], int(sys.argv[2]), sys.argv[3]
warnings.simplefilter("ignore", LogRepaired)
with branchlog.Store(FilesLog(path, durability=durability)) as store:
    try:
        chat = store.load("trip")
    except branchlog.ConversationNotFound:
        chat = store.create("trip")
        store.save(chat)
    for number in range(first, first + 100_000):
        chat.add("user", f"{number} a " + "x" * (number % 7 * 900), under="")
        chat.add("user", f"{number} b", under="")
        store.save(chat)
        if number % 5 == 0:
            other = store.create(f"other {number}")
            store.save(other)
        print(number, flush=True)
"""
"""Saves two messages at a time, for as long as it lives, and tells the number of each save once it is acknowledged."""


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogRepaired)
        return Store(FilesLog(path))


def check_ledger(path, told):
    """Check that each acknowledged save is there exactly once, others whole or not at all, and the order is kept."""
    with opened(path) as store:
        try:
            chat = store.load("trip")
        except ConversationNotFound:
            assert not told
            return []
        changes = store.changes()
        assert tuple(change for change in changes if change.conversation == "trip") == store.commits("trip")
        assert [change.position for change in changes] == sorted({change.position for change in changes})
        assert store.describe("trip").version == chat.version
        assert {f"other {number}" for number in told if number % 5 == 0} <= {
            entry.id for entry in store.log.entries(Query())
        }
        assert store.log.examine().problems == ()
    return ledger.numbers_in(chat, told)


def kill_again_and_again(path, kills, durability="full"):
    return ledger.kill_again_and_again(SPEAKER, path, kills, check_ledger, durability)


def test_killed_5_times(tmp_path):
    """Killed at any moment, the store opens with all that was acknowledged."""
    assert len(kill_again_and_again(tmp_path / "chats", 5)) >= 5


@pytest.mark.long
@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_killed_200_times(tmp_path, durability):
    """The same, for longer."""
    told = kill_again_and_again(tmp_path / "chats", 200, durability)
    print(f"{len(told)} saves acknowledged and found after 200 kills")  # noqa: T201 - a figure for the docs

    assert len(told) >= 200


def test_the_ledger_notices_a_lost_save(tmp_path):
    """The control: where the last line is taken out, and the catalog with it, the check fails."""
    path = tmp_path / "chats"
    told = kill_again_and_again(path, 1)
    check_ledger(path, told)
    file = path / "conversations" / f"{file_name('', 'trip')}.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    kept = max(2, len(lines) - 2 - 5)
    file.write_bytes(b"".join(lines[:kept]))
    (path / "catalog.jsonl").unlink()
    with pytest.raises(AssertionError):
        check_ledger(path, told)


# Injected faults.

TALKER = """
import sys
import warnings

import branchlog
from branchlog import BackendError, CorruptLog
from branchlog.errors import LogRepaired
from branchlog.logs.files import FilesLog

warnings.simplefilter("ignore", LogRepaired)
path, rounds = sys.argv[1], int(sys.argv[2])
try:
    with branchlog.Store(FilesLog(path)) as store:
        chat = store.load("trip")
        for number in range(rounds):
            chat.add("user", f"{number} a " + "x" * 9_000, under="")
            chat.add("user", f"{number} b", under="")
            try:
                store.save(chat)
                if number % 5 == 0:
                    store.save(store.create(f"other {number}"))
            except (BackendError, CorruptLog) as error:
                print("failed", number, str(error)[-80:].replace(chr(10), " "), flush=True)
                try:
                    store.save(chat)
                except (BackendError, CorruptLog):
                    print("failed again", flush=True)
                    chat._pending.clear()
                    break
                continue
            print("saved", number, flush=True)
except (BackendError, CorruptLog) as error:
    print("closed", flush=True)
"""
"""As the speaker, for a few rounds, telling what failed and making it again once."""


def prepared(path):
    with opened(path) as store:
        store.save(store.create("trip"))


def strace(path, *options, rounds=4, program=TALKER):
    return ledger.strace(program, path, rounds, options=options)


def check_sound(path, lines):
    """Check the ledger, and that the store takes appends and reads them."""
    check_ledger(path, [int(line.split()[1]) for line in lines if line.startswith("saved ")])
    with opened(path) as store:
        ledger.check_takes_appends(store)


def paths_of(path):
    """The files of which calls are to fail: so that the program's own output is none of them."""
    names = [file_name("", name) for name in ("trip", "other 0")]
    files = [
        path / "catalog.jsonl",
        path / "lock",
        path / "conversations",
        *(path / "conversations" / f"{name}.jsonl{ending}" for name in names for ending in ("", ".new")),
    ]
    return [option for file in files for option in ("-P", str(file))]


PLACES = [
    *(("write", nth) for nth in range(1, 7)),
    *(("fdatasync", nth) for nth in range(1, 5)),
    *(("fsync", nth) for nth in (1, 2)),
    *(("pwrite64", nth) for nth in range(1, 8)),
    ("rename", 1),
]
"""Which call fails, and which one of its kind."""


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize(("call", "nth"), PLACES)
def test_a_call_that_fails(tmp_path, call, error, nth):
    """Whichever write or sync fails, the save says so, nothing acknowledged is lost, and the store is sound."""
    path = tmp_path / "chats"
    prepared(path)
    inject = f"inject={call}:error={error}:when={nth}"
    lines, done = strace(path, *paths_of(path), "-e", f"trace={call}", "-e", inject)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    failed = [line for line in lines if line.startswith("failed ")]
    if failed and (error == "EIO" or "sync" in call) and call != "pwrite64":  # of the sign in the lock file only
        assert lines[-1] == "failed again", "an append was acknowledged on a handle whose write or sync had failed"
    assert lines != [f"saved {number}" for number in range(4)] or call == "fsync", "no call failed"
    check_sound(path, [line for line in lines if line.startswith("saved")])


@needs_strace
@pytest.mark.parametrize(("call", "nth"), PLACES)
def test_killed_at_a_call(tmp_path, call, nth):
    """Killed at a write, a sync or a rename, the store has what was acknowledged, the rest whole or not at all."""
    path = tmp_path / "chats"
    prepared(path)
    lines, _ = strace(path, *paths_of(path), "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}")
    check_sound(path, lines)


@needs_strace
def test_failing_syncs_are_noticed(tmp_path):
    """The control: where every sync fails no save is acknowledged."""
    path = tmp_path / "chats"
    prepared(path)
    lines, done = strace(path, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1+")

    assert not [line for line in lines if line.startswith("saved")], done.stderr
    assert lines[0].startswith("failed")
    check_ledger(path, [])


ERASER = """
import sys
from branchlog.logs.base import Erasure
from branchlog.logs.files import FilesLog
from branchlog.testing.contract import next_commit

log = FilesLog(sys.argv[1])
log.redact(next_commit(log, "trip"), expected=2, erasures=[Erasure(first=1, data=b"[null]")])
print("redacted", flush=True)
log.delete("gone")
print("deleted", flush=True)
"""


@needs_strace
@pytest.mark.parametrize("call", ["write", "fsync", "pwrite64", "rename", "unlink"])
def test_killed_while_erasing(tmp_path, call):
    """A redaction or deletion was done or was not, whole; and what it says it erased is in no file."""
    for nth in range(1, 12):
        path = tmp_path / str(nth)
        with FilesLog_of(path) as log:
            put(log, "trip", b'{"n":"secret"}')
            put(log, "trip", b'{"n":"open"}')
            put(log, "gone", b'{"n":"hidden"}')
        catalog = [option for file in made_anew(path) for option in ("-P", str(file))]
        inject = f"inject={call}:signal=SIGKILL:when={nth}"
        lines, done = strace(path, *catalog, "-e", f"trace={call}", "-e", inject, program=ERASER)
        with FilesLog_of(path) as log:
            commits = log.read("trip")
            assert log.examine().problems == ()
            assert [each.data for each in commits] in (
                [b'[{"n":"secret"}]', b'[{"n":"open"}]'],
                [b"[null]", b'[{"n":"open"}]', b'[{"n":1}]'],
            )
            assert len(commits) == 3 or "redacted" not in lines
            assert "deleted" not in lines or is_deleted(log, "gone")
            assert log.read_all() == [
                *commits[:2],
                *([] if is_deleted(log, "gone") else log.read("gone")),
                *commits[2:],
            ]
            assert (len(commits) == 3) is not in_files(path, b"secret")
            assert is_deleted(log, "gone") is not in_files(path, b"hidden")
        if done.returncode == 0:
            return
    pytest.fail("there were more calls than were tried")


def made_anew(path):
    names = [file_name("", name) for name in ("trip", "gone")]
    files = [path / "conversations" / f"{name}.jsonl" for name in names] + [path / "catalog.jsonl"]
    return [path, path / "conversations", path / "lock", *files, *(disk.beside(file) for file in files)]


class FilesLog_of:  # noqa: N801 - it reads as a call
    """A log that is closed in the end, and warns of nothing."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        self._store = opened(self._path)
        return self._store.log

    def __exit__(self, *_):
        self._store.close()


def is_deleted(log, stream):
    try:
        return log.head(stream) is None
    except ConversationDeleted:
        return True


def in_files(path, text):
    return any(text in file.read_bytes() for file in path.rglob("*") if file.is_file())


@needs_strace
@pytest.mark.parametrize("call", ["mkdir", "openat", "write", "pwrite64", "fsync", "rename"])
def test_killed_while_the_store_is_made(tmp_path, call):
    """A process that dies at any point of making a store leaves a folder that the next one makes a store of."""
    program = "import sys; from branchlog.logs.files import FilesLog; FilesLog(sys.argv[1]).close()"
    for nth in range(1, 9):
        path = tmp_path / str(nth)
        files = [path, *(path / name for name in ("conversations", "lock", "catalog.jsonl.new", "branchlog.json.new"))]
        only = [option for file in files for option in ("-P", str(file))]
        _, done = strace(
            path, *only, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}", program=program
        )
        with opened(path) as store:
            store.save(store.create("trip"))
            assert store.count() == 1
        if done.returncode == 0:
            break


# A full disk.


def test_a_limit_on_the_size_of_files(tmp_path):
    """Where the system lets no file grow further saves fail cleanly; without the limit the store goes on."""
    path = tmp_path / "chats"
    prepared(path)
    done = subprocess.run(
        [sys.executable, "-c", TALKER, path, "40"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    lines = done.stdout.splitlines()
    told = [int(line.split()[1]) for line in lines if line.startswith("saved ")]

    assert done.returncode == 0, done.stderr
    assert 10 < len(told) < 40
    assert [line for line in lines if line.startswith("failed") and "too large" in line]
    check_sound(path, [line for line in lines if line.startswith("saved")])


def test_room_helps(tmp_path, monkeypatch):
    """An append that found the disk full is taken back; the same handle goes on once there is room."""
    log = FilesLog(tmp_path / "chats")
    stored = put(log, "trip")
    before = (tmp_path / "chats" / "conversations" / f"{file_name('', 'trip')}.jsonl").read_bytes()

    def full(file, data):
        disk.os.write(file, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_all", full)
        for stream in ("trip", "new"):
            with pytest.raises(BackendError, match="No space left"):
                put(log, stream)
    assert log.read("trip") == log.read_all() == [stored]
    assert (tmp_path / "chats" / "conversations" / f"{file_name('', 'trip')}.jsonl").read_bytes() == before
    assert put(log, "trip").first == 2
    assert put(log, "new").first == 1
    log.close()


def test_a_failed_sync_closes_the_handle_to_writing(tmp_path, monkeypatch):
    """After one failed sync no later one is acknowledged on the same handle; reading goes on; opening again helps."""
    log = FilesLog(tmp_path / "chats")
    stored = put(log, "trip")

    def failing(file):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "sync_content", failing)
        lost = next_commit(log, "trip")
        with pytest.raises(BackendError, match="the disk failed"):
            log.append(lost, expected=1)
    calls = (
        lambda: put(log, "trip"),
        lambda: log.append(lost, expected=1),
        lambda: log.delete("trip"),
        lambda: log.redact(next_commit(log, "trip"), expected=1, erasures=[Erasure(first=1, data=b"[]")]),
    )
    for call in calls:
        with pytest.raises(BackendError, match="open the store again"):
            call()
    assert log.read("trip") == [stored]
    log.close()
    with FilesLog_of(tmp_path / "chats") as again:
        assert again.append(lost, expected=1).deduplicated
        assert put(again, "trip").first == 3
    assert branchlog.LogRepaired is LogRepaired
