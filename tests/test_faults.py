"""Crashes and failing disks: what was acknowledged stays, the rest is there whole or not at all, the store opens.

Failing calls are injected by strace where it is installed. A process that is killed shows nothing about fsync, since
the kernel still has what was written: that fsync is called at all is counted here, with a control that shows the
counting to work.
"""

import re
import resource
import shutil
import subprocess
import sys

import ledger
import pytest

import branchlog
from branchlog import BackendError
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing.contract import put

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

SPEAKER = """
import sys

import branchlog

path, first, durability = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with branchlog.open(path, durability=durability) as store:
    try:
        chat = store.load("trip")
    except branchlog.ConversationNotFound:
        chat = store.create("trip")
        store.save(chat)
    for number in range(first, first + 100_000):
        chat.add("user", f"{number} a " + "x" * (number % 7 * 300), under="")
        chat.add("user", f"{number} b", under="")
        store.save(chat)
        print(number, flush=True)
"""
"""Saves two messages at a time, for as long as it lives, and tells the number of each save once it is acknowledged."""


def check_ledger(path, told):
    """Check that each acknowledged save is there exactly once, others whole or not at all, and the order is kept."""
    with branchlog.open(path) as store:
        try:
            chat = store.load("trip")
        except branchlog.ConversationNotFound:
            assert not told
            return []
        assert store.changes() == store.commits("trip")
        assert store.describe("trip").version == chat.version
    return ledger.numbers_in(chat, told)


def kill_again_and_again(path, kills, durability="full"):
    return ledger.kill_again_and_again(SPEAKER, path, kills, check_ledger, durability)


def test_killed_30_times(tmp_path):
    """Killed at any moment, the store opens with all that was acknowledged."""
    assert len(kill_again_and_again(tmp_path / "chats.db", 30)) >= 30


@pytest.mark.long
@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_killed_200_times(tmp_path, durability):
    """The same, for longer."""
    assert len(kill_again_and_again(tmp_path / "chats.db", 200, durability)) >= 200


# Injected faults.

TALKER = """
import sys

import branchlog
from branchlog import BackendError, CorruptLog

path, rounds, durability = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    with branchlog.open(path, durability=durability) as store:
        chat = store.create() if rounds < 0 else store.load("trip")
        for number in range(rounds):
            chat.add("user", f"{number} a " + "x" * 2_000, under="")
            chat.add("user", f"{number} b", under="")
            try:
                store.save(chat)
            except (BackendError, CorruptLog) as error:
                print("failed", number, str(error)[:80].replace(chr(10), " "), flush=True)
                try:
                    store.save(chat)
                except (BackendError, CorruptLog):
                    print("failed again", flush=True)
                    chat._pending.clear()
                    break
                print("later", chat.saved_version, flush=True)
            print("saved", number, flush=True)
except (BackendError, CorruptLog) as error:
    print("closed", flush=True)
"""
"""As the speaker, for a few rounds, telling what failed and making it again once."""


PLACES = [
    *(("fdatasync", nth) for nth in range(1, 11)),
    *(("pwrite64", nth) for nth in (1, 8, 9, 10, 11, 12, 13, 15, 18, 22, 27, 33, 40)),
    ("ftruncate", 1),
]
"""Which call fails, and which one of its kind: the first eight writes make the index of the WAL, the syncs are of the
WAL, its folder, and in the end of the file."""


def prepared(path):
    with branchlog.open(path) as store:
        store.save(store.create("trip"))


def strace(path, *options, rounds=6, durability="full", log=None):
    return ledger.strace(TALKER, path, rounds, durability, options=options, log=log)


def calls_by_round(path, log, rounds=6, durability="full"):
    """The system calls of an undisturbed run, each with how many saves had been acknowledged before it."""
    lines, done = strace(
        path,
        "-y",
        "-e",
        "trace=pwrite64,fdatasync,fsync,write",
        rounds=rounds,
        durability=durability,
        log=log,
    )

    assert lines == [f"saved {number}" for number in range(rounds)], done.stderr
    calls, saved = [], 0
    for line in log.read_text().splitlines():
        if '"saved' in line:
            saved += 1
        elif found := re.search(r"(pwrite64|fdatasync|fsync)\(\d+<[^>]*chats\.db(-wal)?>", line):
            calls.append((found[1], saved))
    return calls


@needs_strace
def test_durable_saves_wait_for_the_disk(tmp_path):
    """With full durability there is an fdatasync between one acknowledgement and the next."""
    prepared(tmp_path / "chats.db")
    calls = calls_by_round(tmp_path / "chats.db", tmp_path / "log")

    for number in range(6):
        assert ("fdatasync", number) in calls or ("fsync", number) in calls


@needs_strace
def test_relaxed_saves_do_not(tmp_path):
    """The control: with relaxed durability saves are written, but none waits for the disk."""
    prepared(tmp_path / "chats.db")
    calls = calls_by_round(tmp_path / "chats.db", tmp_path / "log", durability="relaxed")

    for number in range(1, 6):  # before the first a new WAL is begun
        assert ("pwrite64", number) in calls
        assert ("fdatasync", number) not in calls
        assert ("fsync", number) not in calls


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize(("call", "nth"), PLACES)
def test_a_call_that_fails(tmp_path, call, error, nth):
    """Whichever write or sync fails, the save says so, nothing acknowledged is lost, and the store is sound."""
    path = tmp_path / "chats.db"
    prepared(path)
    lines, done = strace(path, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={nth}")

    assert done.returncode == 0, done.stderr
    told = [int(line.split()[1]) for line in lines if line.startswith("saved ")]
    failed = [line for line in lines if line.startswith("failed ")]
    if error == "EIO" and failed:
        assert lines[-1] == "failed again", "an append was acknowledged on a handle whose write or sync had failed"
    check_ledger(path, told)
    prepared_again_and_sound(path)


def prepared_again_and_sound(path):
    """Check that the store, opened anew, takes appends and reads them."""
    with branchlog.open(path) as store:
        ledger.check_takes_appends(store)


@needs_strace
@pytest.mark.parametrize("nth", range(1, 13))
def test_a_read_that_fails(tmp_path, nth):
    """Whichever read of the file fails, it ends in an error of ours, and nothing is damaged.

    SQLite itself takes a read that fails with EIO for a damaged file.
    """
    path = tmp_path / "chats.db"
    prepared(path)
    lines, done = strace(path, "-P", path, "-e", "trace=pread64", "-e", f"inject=pread64:error=EIO:when={nth}")

    assert done.returncode == 0, done.stderr
    check_ledger(path, [int(line.split()[1]) for line in lines if line.startswith("saved ")])
    prepared_again_and_sound(path)


@needs_strace
def test_failing_syncs_are_noticed(tmp_path):
    """The control: where every sync fails no save is acknowledged."""
    path = tmp_path / "chats.db"
    prepared(path)
    lines, done = strace(path, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1+")

    assert not [line for line in lines if line.startswith("saved")], done.stderr
    assert lines[0].startswith(("failed", "closed"))
    check_ledger(path, [])


@needs_strace
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "unlink", "ftruncate"])
def test_killed_while_the_store_is_made(tmp_path, call):
    """A process that dies at any point of making a store leaves a file that the next one makes a store of."""
    for nth in range(1, 14):
        path = tmp_path / f"{nth}.db"
        inject = f"inject={call}:signal=SIGKILL:when={nth}"
        _, done = strace(path, "-e", f"trace={call}", "-e", inject, rounds=-1)
        with branchlog.open(path) as store:
            store.save(store.create("trip"))
            assert store.count() == 1
        if done.returncode == 0:
            break


@needs_strace
@pytest.mark.parametrize(("call", "nth"), PLACES)
def test_killed_at_a_call(tmp_path, call, nth):
    """Killed at a write or sync, the store has all that was acknowledged, and the rest whole or not at all."""
    path = tmp_path / "chats.db"
    prepared(path)
    lines, _ = strace(path, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={nth}")
    check_ledger(path, [int(line.split()[1]) for line in lines if line.startswith("saved ")])
    prepared_again_and_sound(path)


# A full disk.


def test_a_full_database(tmp_path):
    """When SQLite may not grow the file an append is refused as a backend's error; the rest stays and room helps."""
    log = SqliteLog(tmp_path / "chats.db")
    stored = put(log, "trip")
    pages = log._file._writer.execute("PRAGMA page_count").fetchone()[0]
    log._file._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(BackendError, match="full"):
        put(log, "trip", b'{"text":"' + b"x" * 50_000 + b'"}')

    assert log.read("trip") == log.read_all() == [stored]
    log._file._writer.execute("PRAGMA max_page_count = 100000")
    assert put(log, "trip", b'{"text":"' + b"x" * 50_000 + b'"}').first == 2
    log.close()


def test_a_limit_on_the_size_of_files(tmp_path):
    """Where the system lets no file grow further saves fail cleanly; without the limit the store goes on."""
    path = tmp_path / "chats.db"
    prepared(path)
    done = subprocess.run(
        [sys.executable, "-c", TALKER, path, "400", "full"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)),
    )
    lines = done.stdout.splitlines()
    told = [int(line.split()[1]) for line in lines if line.startswith("saved ")]

    assert done.returncode == 0, done.stderr
    assert 10 < len(told) < 400
    assert [line for line in lines if line.startswith("failed")]
    check_ledger(path, told)
    prepared_again_and_sound(path)


def test_a_failed_sync_closes_the_handle_to_writing(tmp_path):
    """After one failed write no later one is acknowledged on the same handle; reading goes on; opening again helps."""
    path = tmp_path / "chats.db"
    log = SqliteLog(path)
    stored = put(log, "trip")
    log._file._failed = BackendError("the disk")
    for _ in range(2):
        with pytest.raises(BackendError, match="open the store again"):
            put(log, "trip")

    assert log.read("trip") == [stored]
    log.close()
    log = SqliteLog(path)
    assert put(log, "trip").first == 2
    log.close()
