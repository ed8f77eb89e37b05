"""The log in one SQLite file."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement
from pathlib import Path

import msgspec
import pytest

from branchlog.commit import genesis, seal
from branchlog.errors import (
    BackendError,
    ConversationDeleted,
    CorruptLog,
    LogClosed,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
    VersionConflict,
)
from branchlog.logs import sqlite
from branchlog.logs._sqlite.layout import APPLICATION_ID, LAYOUT, TABLES
from branchlog.logs.base import Abilities, Append, Appended
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing import LogContract
from branchlog.testing.contract import an_entry, next_commit, numbered, put


class TestSqliteLog(LogContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": SqliteLog(tmp_path / "chats.db", namespace=namespace)


class TestRelaxedSqliteLog(LogContract):
    abilities = Abilities(durable=False, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": SqliteLog(tmp_path / "chats.db", namespace=namespace, durability="relaxed")


def make_first_layout(path):
    """A new file of layout 1, as branchlog once made them."""
    tables = TABLES.replace("position INTEGER PRIMARY KEY", "position INTEGER PRIMARY KEY AUTOINCREMENT")
    tables = tables.replace("CREATE TABLE floor (\n    position INTEGER NOT NULL\n) STRICT;", "")
    tables = tables.replace("PRAGMA user_version = 2", "PRAGMA user_version = 1")

    assert "floor" not in tables
    assert tables.count("AUTOINCREMENT") == 2
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(tables)


class TestFirstLayout(LogContract):
    """Files of layout 1 are read and written as they are."""

    abilities = Abilities(durable=False, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        def opened(namespace=""):
            path = tmp_path / "chats.db"
            if not path.exists():
                make_first_layout(path)
            return SqliteLog(path, namespace=namespace, durability="relaxed")

        yield opened
        if (tmp_path / "chats.db").exists():
            assert rows(tmp_path / "chats.db", "PRAGMA user_version") == [(1,)]


# The file itself.


def rows(path, query, *values):
    """What SQLite says of a file, without branchlog."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def beside(path):
    """What there is in the file's folder."""
    return sorted(each.name for each in path.parent.iterdir())


def test_the_file_says_what_it_is(tmp_path):
    """The header has the application's id and the layout's version."""
    path = tmp_path / "chats.db"
    SqliteLog(path).close()
    header = path.read_bytes()[:100]

    assert header[68:72] == b"brlg"
    assert int.from_bytes(header[60:64]) == LAYOUT == rows(path, "PRAGMA user_version")[0][0]
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert {name for (name,) in rows(path, "SELECT name FROM pragma_table_list WHERE strict")} == {
        "streams",
        "commits",
        "snapshots",
        "facets",
        "floor",
    }


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("relaxed", 1)])
def test_every_connection_is_as_durable_as_asked(tmp_path, durability, synchronous):
    """Writing and reading connections keep a write-ahead log and have the synchronous mode of the durability."""
    log = SqliteLog(tmp_path / "chats.db", durability=durability)
    with log._file.writing() as writer, log._file.reading() as reader:
        for connection in (writer, reader):
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    log.close()


def test_what_is_in_the_file(tmp_path):
    """The rows of the file are what was appended, byte for byte, as text that SQLite's JSON functions read."""
    path = tmp_path / "chats.db"
    log = SqliteLog(path)
    data = [b'{ "n" : 1.0, "text" : "\\u0000 \xc3\xa9" }', b'{"n":2,"n":3}']
    written = [
        put(log, "trip", data[0], entry=an_entry("trip", title="Kyoto", metadata={"a": [1]})),
        put(log, "trip", data[1]),
    ]
    log.close()
    columns = "position, first, count, id, at, schema, typeof(data), CAST(data AS BLOB), checksum"

    assert rows(path, f"SELECT {columns} FROM commits ORDER BY first") == [
        (each.position, each.first, each.count, each.id, each.at, each.schema, "text", each.data, each.checksum)
        for each in written
    ]
    assert [each.data for each in written] == [b"[" + each + b"]" for each in data]
    assert rows(path, "SELECT json_extract(data, '$[0].n') FROM commits ORDER BY first")[0] == (1.0,)
    assert rows(path, "SELECT json_extract(entry, '$.metadata.a[0]'), title, version, checksum FROM streams") == [
        (1, "Kyoto", 2, written[1].checksum)
    ]
    assert rows(path, "SELECT namespace, key, value FROM facets") == [("", "a", "[1]")]


def test_deleted_leaves_only_the_name(tmp_path):
    """After deleting, the rows hold nothing that was said, and VACUUM does not make a position usable again."""
    path = tmp_path / "chats.db"
    log = SqliteLog(path)
    put(log, "kept")
    last = put(log, "gone", b'{"secret":1}', entry=an_entry("gone", title="secret", metadata={"secret": 2}))
    log.delete("gone")
    log.close()

    assert rows(path, "SELECT count(*) FROM commits") == [(1,)]
    assert rows(path, "SELECT count(*) FROM facets") == [(0,)]
    assert rows(path, "SELECT title, entry FROM streams WHERE deleted") == [("", "{}")]
    rows(path, "VACUUM")
    assert b"secret" not in path.read_bytes()
    again = SqliteLog(path)
    assert put(again, "kept").position > last.position
    again.close()


def layout_made(path, layout):
    if layout == 1:
        make_first_layout(path)
    else:
        SqliteLog(path).close()
    assert rows(path, "PRAGMA user_version") == [(layout,)]


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("layout", [1, 2])
def test_no_position_is_used_again(tmp_path, layout, reopened):
    """Whatever is deleted in whatever order, each position is above all that were given before."""
    path = tmp_path / "chats.db"
    layout_made(path, layout)
    log, given = SqliteLog(path), []

    def step(put_in=(), delete=()):
        nonlocal log
        given.extend(put(log, name).position for name in put_in)
        for name in delete:
            assert log.delete(name)
        if reopened:
            log.close()
            log = SqliteLog(path)

    step(put_in=["a", "b", "c", "b", "d"])
    step(delete=["d", "b"])  # the highest, and then one that is not the highest any more
    step(put_in=["e"])
    step(delete=["c"])  # from the middle
    step(put_in=["f", "g"], delete=["g", "f", "e", "a"])  # the last commit of all
    step(put_in=["h"])
    step(delete=["h"])
    step(put_in=["i"])
    log.close()

    assert given == list(range(1, 11))
    assert rows(path, "SELECT position FROM commits") == [(10,)]
    assert layout == 1 or rows(path, "SELECT position FROM floor") == [(9,)]
    assert rows(path, "PRAGMA user_version") == [(layout,)]


@pytest.mark.parametrize("layout", [1, 2])
def test_two_connections_use_no_position_again(tmp_path, layout):
    """What one of them deletes the other takes into account, also right after a commit of its own."""
    path = tmp_path / "chats.db"
    layout_made(path, layout)
    with contextlib.closing(SqliteLog(path)) as log, contextlib.closing(SqliteLog(path)) as other:
        given = [put(log, "a").position, put(other, "b").position, put(log, "c").position]
        other.delete("c")
        given += [put(log, "d").position, put(other, "e").position]
        log.delete("e")
        other.delete("d")
        given += [put(other, "f").position, put(log, "g").position]

        assert given == list(range(1, 8))


def test_a_deletion_that_is_taken_back_leaves_no_floor(tmp_path, monkeypatch):
    """Where deleting fails the positions go on as if nothing had been."""
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log:
        put(log, "a")
        put(log, "b")
        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "update_stream", raising(OSError("on purpose")))
            with pytest.raises(OSError, match="on purpose"):
                log.delete("b")

        assert rows(path, "SELECT * FROM floor") == []
        assert put(log, "b").position == 3


def raising(error):
    def fails(*_):
        raise error

    return fails


def test_a_write_sees_what_another_connection_wrote(tmp_path):
    """What the writing connection remembers of a stream is forgotten when another one has written to it."""
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log, contextlib.closing(SqliteLog(path)) as other:
        put(log, "trip")
        follows = next_commit(log, "trip")
        put(other, "trip")
        with pytest.raises(VersionConflict) as conflict:
            log.append(follows, expected=1)
        third = put(log, "trip")
        other.delete("trip")
        with pytest.raises(ConversationDeleted):
            log.append(next_commit(log, "trip", head=third.head), expected=3)

        assert conflict.value.actual == 2


def test_a_write_that_was_taken_back_is_not_remembered(tmp_path):
    """After a group that was taken back, and written one by one, appends go by what is in the file."""
    with contextlib.closing(SqliteLog(tmp_path / "chats.db")) as log:
        first = put(log, "trip")
        second = next_commit(log, "trip")
        unwritable = seal("other", genesis("", "other"), count=1, id=b"i" * 16, at=2**70, schema="1.0.0", data=b"[{}]")
        answers = log.append_group([Append(commit=second, expected=1), Append(commit=unwritable, expected=0)])
        put(log, "another")

        assert [type(each) for each in answers] == [Appended, OverflowError]
        assert [each.id for each in log.read("trip")] == [first.id, second.id]
        assert log.append(second, expected=1).deduplicated
        assert log.head("other") is None


# Locks of others.


def test_a_write_waits_for_the_lock_of_another(tmp_path):
    """While another connection writes, a write waits; it goes on soon after the lock is free."""
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log, contextlib.closing(SqliteLog(path)) as other:
        with ThreadPoolExecutor(1) as threads, other._file.writing():
            waits = threads.submit(put, log, "trip")
            time.sleep(0.05)

            assert not waits.done()
        assert waits.result(10).first == 1


def test_a_lock_that_is_kept(tmp_path, monkeypatch):
    """Where the lock is not free in time the error says so, nothing was written, and the log goes on afterwards."""
    monkeypatch.setattr("branchlog.logs._sqlite.connections.BUSY_SECONDS", 0.05)
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log, contextlib.closing(SqliteLog(path)) as other:
        with other._file.writing(), pytest.raises(BackendError, match="another process kept it locked"):
            put(log, "trip")

        assert log.head("trip") is None
        assert put(log, "trip").first == 1


def test_no_writer_is_kept_waiting_for_long(tmp_path):
    """Four that write without a pause come about equally far: none waits while another writes hundreds of times."""
    path = tmp_path / "chats.db"
    logs = [SqliteLog(path) for _ in range(4)]
    done = [0] * len(logs)

    def write(number):
        while max(done) < 200:
            put(logs[number], f"chat {number}")
            done[number] += 1

    with ThreadPoolExecutor(len(logs)) as threads:
        list(threads.map(write, range(len(logs))))
    for log in logs:
        log.close()

    assert min(done) >= 10


def test_deleting_waits_for_readers_and_keeps_no_writer_out(tmp_path):
    """While conversations are deleted, and the file is built anew, others read and write; nothing is lost."""
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log, contextlib.closing(SqliteLog(path)) as other:
        for number in range(10):
            put(log, f"gone {number}", b'"a secret"')
        ended = threading.Event()

        def write():
            count = 0
            while not ended.is_set() or count < 10:
                put(other, "kept")
                count += 1
            return count

        def read():
            while not ended.is_set():
                other.read("kept")

        with ThreadPoolExecutor(2) as threads:
            reading, writing = threads.submit(read), threads.submit(write)
            try:
                assert all(log.delete(f"gone {number}") for number in range(10))
            finally:
                ended.set()
            reading.result(20)
            written = writing.result(20)

        assert len(log.read("kept")) == written
    assert b"a secret" not in path.read_bytes()


# Threads that append at once.


def appended_at_once(log, appends):
    """What each of these comes to, appended by threads while the lock is held: in one group, in this order."""
    writers = log._file.writers
    with ThreadPoolExecutor(len(appends)) as threads:
        with writers:
            answers = []
            for each in appends:
                answers.append(threads.submit(log.append, each.commit, expected=each.expected, entry=each.entry))
                while len(writers._waiting) < len(answers):
                    time.sleep(0.001)
        return [each.exception(20) or each.result(20) for each in answers]


def begun(log):
    """The transactions from here on, as a list that grows."""
    seen = []
    log._file._writer.set_trace_callback(lambda sql: seen.append(sql) if sql.startswith(("BEGIN", "COMMIT")) else None)
    return seen


def first_commit(stream, data=b'{"n":1}', at=1):
    return Append(
        commit=seal(stream, genesis("", stream), count=1, id=b"i" * 16, at=at, schema="1.0.0", data=b"[" + data + b"]"),
        expected=0,
    )


def test_threads_share_a_transaction(tmp_path):
    """Appends that wait for the same lock are written by one transaction, each with its own position."""
    with contextlib.closing(SqliteLog(tmp_path / "chats.db")) as log:
        seen = begun(log)
        answers = appended_at_once(log, [first_commit(f"chat {number}") for number in range(8)])

        assert seen == ["BEGIN IMMEDIATE", "COMMIT"]
        assert [each.commit for each in answers] == log.read_all()
        assert sorted(each.commit.position for each in answers) == list(range(1, 9))


def test_each_thread_has_its_own_refusal(tmp_path):
    """What is refused in a group is refused as it would be alone, and what follows it is written."""
    with contextlib.closing(SqliteLog(tmp_path / "chats.db")) as log:
        put(log, "trip")
        put(log, "gone")
        log.delete("gone")
        second = next_commit(log, "trip")
        seen = begun(log)
        answers = appended_at_once(
            log,
            [
                Append(commit=second, expected=1),
                Append(commit=next_commit(log, "trip", head=second.head), expected=7),
                first_commit("gone"),
                Append(commit=second, expected=1),
                first_commit("another"),
            ],
        )
        kinds = [type(each).__name__ for each in answers]

        assert kinds == ["Appended", "VersionConflict", "ConversationDeleted", "Appended", "Appended"]
        assert [getattr(each, "deduplicated", None) for each in answers] == [False, None, None, True, False]
        assert len(log.read("trip")) == 2
        assert len(log.read("another")) == 1
        assert seen[:2] == ["BEGIN IMMEDIATE", "COMMIT"]


def test_what_cannot_be_written_takes_no_other_back(tmp_path):
    """Where one of a group spoils the transaction each is written by itself, and it alone fails."""
    with contextlib.closing(SqliteLog(tmp_path / "chats.db")) as log:
        spoils = first_commit("spoils", at=2**70)
        answers = appended_at_once(log, [first_commit("a"), spoils, first_commit("b")])

        assert [type(each).__name__ for each in answers] == ["Appended", "OverflowError", "Appended"]
        assert [each.stream for each in log.read_all()] == ["a", "b"]
        assert log.head("spoils") is None
        assert type(put(log, "spoils")).__name__ == "Commit"


@pytest.mark.parametrize("together", ["threads", "append_group"])
def test_a_damaged_stream_leaves_nothing_half_written(tmp_path, together):
    """A refusal that comes after a commit was written leaves no commit without its row, and the others are written."""
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log:
        put(log, "trip")
        second = Append(commit=next_commit(log, "trip"), expected=1)
        row = log._file.rows["", "trip"]
        log._file.rows["", "trip"] = msgspec.structs.replace(row, key=99)  # as if its row had vanished
        group = [first_commit("a"), second, first_commit("b")]
        answers = appended_at_once(log, group) if together == "threads" else log.append_group(group)

        assert [type(each) for each in answers] == [Appended, Appended, Appended]
        assert len(log.read("trip")) == 2
    assert rows(path, "SELECT count(*) FROM commits WHERE stream = 99") == [(0,)]


def test_a_commit_that_fails_fails_the_group(tmp_path):
    """Where SQLite cannot commit none of the group is written, each is told, and the next append is written."""
    path = tmp_path / "chats.db"
    with contextlib.closing(SqliteLog(path)) as log:
        put(log, "trip")
        writer = log._file._writer

        class Refusing:
            """The writing connection, but for its commits."""

            def __getattr__(self, name):
                return getattr(writer, name)

            def execute(self, sql, *values):
                if sql == "COMMIT":
                    raise sqlite3.OperationalError("no room")
                return writer.execute(sql, *values)

        log._file._writer = Refusing()
        answers = appended_at_once(log, [first_commit(f"chat {number}") for number in range(3)])
        log._file._writer = writer

        assert [type(each) for each in answers] == [BackendError] * 3
        assert [each.stream for each in log.read_all()] == ["trip"]
        assert put(log, "chat 0").first == 1


def test_a_closed_log_refuses_all_that_wait(tmp_path):
    """Threads that waited when the log was closed are told so, each of them."""
    log = SqliteLog(tmp_path / "chats.db")
    writers = log._file.writers
    with ThreadPoolExecutor(4) as threads:
        with writers:
            answers = [
                threads.submit(log.append, each.commit, expected=0) for each in map(first_commit, ("a", "b", "c"))
            ]
            while len(writers._waiting) < 3:
                time.sleep(0.001)
            log._file._closed = True  # as if close had been before them at the lock

        assert [type(each.exception(20)) for each in answers] == [LogClosed] * 3
    log.close()


def a_later_layout(path):
    SqliteLog(path).close()
    rows(path, f"PRAGMA user_version = {LAYOUT + 1}")


def a_later_layout_in_the_wal(path):
    """As if a later branchlog had died after its first transaction: the new version is in the WAL only."""
    SqliteLog(path).close()
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version = 9'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)


@pytest.mark.parametrize("make", [a_later_layout, a_later_layout_in_the_wal])
def test_a_later_layout_is_refused(tmp_path, make):
    """A file of a later layout is refused with both versions, and not a byte of it changes."""
    path = tmp_path / "chats.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(SchemaVersionError, match="upgrade branchlog") as caught:
        SqliteLog(path)

    assert int(caught.value.found) > int(caught.value.supported) == LAYOUT
    assert make is a_later_layout_in_the_wal or beside(path) == ["chats.db"]
    assert make is a_later_layout_in_the_wal or path.read_bytes() == before


def test_no_layout_is_refused(tmp_path):
    """A layout that never was is damage."""
    path = tmp_path / "chats.db"
    SqliteLog(path).close()
    rows(path, "PRAGMA user_version = 0")
    with pytest.raises(CorruptLog, match="layout 0"):
        SqliteLog(path)


def an_sqlite_file(path):
    rows(path, "CREATE TABLE notes (text TEXT)")


def an_sqlite_file_in_wal_mode(path):
    rows(path, "PRAGMA journal_mode = WAL")
    rows(path, "CREATE TABLE notes (text TEXT)")


STRANGERS = {
    "a text": lambda path: path.write_text("SQLite is mentioned here"),
    "one byte": lambda path: path.write_bytes(b"x"),
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40),
    "zeros": lambda path: path.write_bytes(bytes(8_192)),
    "another database": an_sqlite_file,
    "another database with a WAL": an_sqlite_file_in_wal_mode,
}


@pytest.mark.parametrize("make", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("create", [True, False])
def test_what_is_not_a_store_is_left_alone(tmp_path, make, create):
    """A file that is something else is refused, stays as it is, and nothing is left beside it."""
    path = tmp_path / "chats.db"
    make(path)
    before, modified = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(NotAStore, match=r"chats\.db"):
        SqliteLog(path, create=create)

    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == modified
    assert beside(path) == ["chats.db"]


@pytest.mark.parametrize(("make", "what"), [(Path.mkdir, "a folder"), (os.mkfifo, "no regular file")])
def test_what_is_not_a_file_is_refused(tmp_path, make, what):
    """A folder or a pipe is refused at once."""
    path = tmp_path / "chats.db"
    make(path)
    with pytest.raises(NotAStore, match=what):
        SqliteLog(path)

    assert beside(path) == ["chats.db"]


def test_an_empty_file_becomes_a_store(tmp_path):
    """A file of no bytes is taken for a new store."""
    path = tmp_path / "chats.db"
    path.touch()
    log = SqliteLog(path)
    put(log, "trip")
    log.close()

    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_a_missing_folder(tmp_path):
    """Where the folder is missing the error says which, and makes none."""
    with pytest.raises(StoreNotFound, match="there is no folder"):
        SqliteLog(tmp_path / "missing" / "chats.db")

    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_that_is_not_to_be_made(tmp_path):
    """With create=False a missing file is an error and is not made; one that is there is opened."""
    path = tmp_path / "chats.db"
    with pytest.raises(StoreNotFound, match="no such file"):
        SqliteLog(path, create=False)

    assert not path.exists()
    SqliteLog(path).close()
    SqliteLog(path, create=False).close()


def test_closing_leaves_one_file(tmp_path):
    """After the last handle is closed all is in the one file."""
    path = tmp_path / "chats.db"
    log, other = SqliteLog(path), SqliteLog(path)
    put(log, "trip")
    log.close()
    put(other, "trip")
    other.close()

    assert beside(path) == ["chats.db"]


@pytest.mark.parametrize(
    "name",
    ["a b.db", "what?.db", "a#b.db", "100%25.db", "%41.db", "京都.db", "a'b\".db", "a&b=c.db", "x:y.db", "-x.db"],
)
def test_awkward_paths(tmp_path, name):
    """The store is at the path that was given, whatever characters it has."""
    folder = tmp_path / name
    folder.mkdir()
    with contextlib.closing(SqliteLog(folder / name)) as log:
        put(log, "trip")

    assert beside(folder / name) == [name]
    assert beside(folder) == [name]
    with contextlib.closing(SqliteLog(folder / name, create=False)) as log:
        assert len(log.read("trip")) == 1


def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    """A change of the working directory does not lead later readers to another file."""
    monkeypatch.chdir(tmp_path)
    log = SqliteLog("chats.db")
    stored = put(log, "trip")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert log.read("trip") == [stored]
    assert put(log, "trip").first == 2
    log.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_leads_to_the_store(tmp_path):
    """A symbolic link is followed, and what SQLite keeps beside the store is found there."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real" / "chats.db")
    with contextlib.closing(SqliteLog(link)) as log, contextlib.closing(SqliteLog(tmp_path / "real/chats.db")) as other:
        put(log, "trip")
        put(other, "trip")

        assert log.read("trip") == other.read("trip")
    assert beside(link) == ["link.db", "real"]


def test_a_store_taken_away_is_not_made_anew(tmp_path):
    """When the file vanishes beneath an open log, a new reading connection fails; it makes no empty store."""
    path = tmp_path / "chats.db"
    log = SqliteLog(path)
    put(log, "trip")
    for each in tmp_path.iterdir():
        each.unlink()
    with log._file.reading(), pytest.raises(BackendError):  # the connection that is open is taken
        log.read("trip")

    assert list(tmp_path.iterdir()) == []
    log.close()


READ_ONLY = """
import os
import sys
import urllib.parse  # what the store needs of it may be out of reach further down
from branchlog.errors import BackendError
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing.contract import put

if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
log = SqliteLog(sys.argv[1])
print(len(log.read("trip")), len(log.read_all()), log.entry("trip").version)
for call in (lambda: put(log, "trip"), lambda: log.delete("trip")):
    try:
        call()
    except BackendError as error:
        print("refused:", "read-only" in str(error))
print(len(log.read("trip")))
log.close()
"""


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_read_only(what):
    """Where the file or its folder may not be written, reading works, writing is refused and nothing changes."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        path = Path(folder) / "chats.db"
        log = SqliteLog(path)
        put(log, "trip")
        log.close()
        path.chmod(0o444 if what != "folder" else 0o666)
        Path(folder).chmod(0o555 if what != "file" else 0o777)
        before = path.read_bytes()
        said = subprocess.run([sys.executable, "-c", READ_ONLY, path], capture_output=True, text=True, check=False)

        assert said.stdout.splitlines() == ["1 1 1", "refused: True", "refused: True", "1"], said.stderr
        assert path.read_bytes() == before
        assert beside(path) == ["chats.db"]
        Path(folder).chmod(0o700)


def test_a_read_only_reader_sees_what_is_written_meanwhile(tmp_path, monkeypatch):
    """One who may only read sees the file as it is at each read, though others write."""
    path = tmp_path / "chats.db"
    SqliteLog(path).close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        reader = SqliteLog(path)
    writer = SqliteLog(path)
    for number in range(1, 4):
        put(writer, "trip")

        assert len(reader.read("trip")) == number
    writer.close()
    assert len(reader.read("trip")) == 3
    reader.close()


MAKER = """
import sys
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing.contract import put

print("ready", flush=True)
sys.stdin.readline()
log = SqliteLog(sys.argv[1])
for _ in range(3):
    put(log, sys.argv[2])
log.close()
"""


def test_processes_that_make_one_store_at_once(tmp_path):
    """Several processes may all be the first to open a store."""
    for number in range(3):
        path = tmp_path / f"{number}.db"
        makers = [
            subprocess.Popen(
                [sys.executable, "-c", MAKER, path, f"chat {who}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for who in range(4)
        ]
        for maker in makers:
            assert maker.stdout.readline() == "ready\n"
        for maker in makers:
            maker.stdin.write("go\n")
            maker.stdin.flush()
        errors = [maker.communicate()[1] for maker in makers]

        assert errors == [""] * 4
        with contextlib.closing(SqliteLog(path)) as log:
            assert [len(log.read(f"chat {who}")) for who in range(4)] == [3] * 4


def test_an_empty_file_is_no_store_where_none_is_to_be_made(tmp_path):
    path = tmp_path / "chats.db"
    path.touch()

    with pytest.raises(StoreNotFound, match="the file is empty"):
        SqliteLog(path, create=False)
    assert path.read_bytes() == b""


def test_payloads_are_those_of_the_commits(tmp_path):
    """Given together they are what ``read`` gives one by one, a line end between them; of another stream, nothing."""
    with contextlib.closing(SqliteLog(tmp_path / "chats.db")) as log:
        commits = [put(log, "trip", *numbered(count, count)) for count in (1, 3, 2, 5)]
        put(log, "other", b'{"n":"\xc3\xa9"}')
        ends = [0, *(commit.last for commit in commits)]
        for after, until in combinations_with_replacement(ends, 2):
            expected = b"\n".join(commit.data for commit in commits if after < commit.first <= until)
            assert log.payloads("trip", after=after, until=until) == expected
        assert log.payloads("other", after=0, until=1) == b'[{"n":"\xc3\xa9"}]'
        assert log.payloads("nowhere", after=0, until=11) == b""
        log.delete("trip")
        with pytest.raises(ConversationDeleted):
            log.payloads("trip", after=0, until=11)
