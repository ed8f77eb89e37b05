"""The log in a folder of JSON Lines."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from msgspec.structs import replace

from branchlog.commit import genesis, seal
from branchlog.errors import (
    BackendError,
    ConversationDeleted,
    CorruptLog,
    LogRepaired,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
    VersionConflict,
)
from branchlog.logs._files.folder import Folder
from branchlog.logs._files.lines import file_name
from branchlog.logs.base import Abilities, Append, Erasure, Expected, Query
from branchlog.logs.bridges import AsyncBridge
from branchlog.logs.files import FilesLog
from branchlog.testing import LogContract, LogMachine, check_durable
from branchlog.testing.contract import NAMES, an_entry, everything, next_commit, numbered, put
from branchlog.testing.durability import can_check_durable
from branchlog.testing.stores import StoreContract, holding


class TestFilesLog(LogContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": FilesLog(tmp_path / "chats", namespace=namespace)


class TestRelaxedFilesLog(LogContract):
    abilities = Abilities(durable=False, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": FilesLog(tmp_path / "chats", namespace=namespace, durability="relaxed")


class TestConversationsInFiles(StoreContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": FilesLog(tmp_path / "chats", namespace=namespace)


class FilesLogMachine(LogMachine):
    def open_log(self, folder):
        return FilesLog(folder / "chats")

    def damage(self, folder, damage):
        files = list((folder / "chats" / "conversations").glob("*.jsonl"))
        if not files:
            return False
        path = max(files, key=lambda path: path.stat().st_mtime_ns)
        path.write_bytes(damage.of(path.read_bytes()))
        return True


FilesLogMachine.TestCase.settings = settings(
    FilesLogMachine.TestCase.settings, max_examples=max(10, int(settings().max_examples * 0.25))
)
TestFilesLogMachine = pytest.mark.filterwarnings("ignore::branchlog.errors.LogRepaired")(FilesLogMachine.TestCase)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "chats"


def file_of(folder, stream, namespace=""):
    return folder / "conversations" / f"{file_name(namespace, stream)}.jsonl"


def lines_of(path):
    """The lines of a file as any program sees them."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def filled(folder, commits=4, stream="trip"):
    """A store of one conversation, closed; what was written."""
    with closing(FilesLog(folder)) as log:
        return [
            put(log, stream, *numbered(2, number), entry=an_entry(stream, nodes=number)) for number in range(commits)
        ]


def warned(folder, says, **options):
    """The log, opened with one warning that says this."""
    with pytest.warns(LogRepaired, match=says) as told:
        log = FilesLog(folder, **options)

    assert len(told) == 1
    return log


def rewritten(path, change):
    """Change the lines of a file; ``change`` gets and gives a list of bytes."""
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


# The files.


def test_what_is_in_the_folder(folder):
    """A marker, a file for each conversation, and beside them what may be deleted."""
    with closing(FilesLog(folder)) as log:
        commit = put(log, "trip")
        put(log.within("work"), "京都")
        log.put_snapshot("trip", snapshot_of(commit))
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    assert names == [
        ".gitattributes",
        ".gitignore",
        "branchlog.json",
        "catalog.jsonl",
        f"conversations/{file_name('', 'trip')}.jsonl",
        f"conversations/{file_name('work', '京都')}.jsonl",
        "lock",
        f"snapshots/{file_name('', 'trip')}/{commit.last:020}",
    ]
    assert json.loads((folder / "branchlog.json").read_text()) == {"format": "branchlog files", "layout": 1}


def snapshot_of(commit, data=b"data"):
    from branchlog.commit import snapshot

    return snapshot(0, commit.head, "f", data)


def test_what_is_in_a_file(folder):
    """The lines are what was appended, as JSON; of the entry each has what changed."""
    with closing(FilesLog(folder, namespace="work")) as log:
        first = put(log, "trip", b'{ "n" : 1.0, "text" : "\\u0000 \xc3\xa9" }', entry=an_entry("trip", title="Kyoto"))
        second = put(log, "trip", b'{"n":2}', entry=an_entry("trip", title="Kyoto", nodes=2))
        log.put_entry(replace(an_entry("trip", title="Osaka", nodes=2), version=2))
    header, one, two, three = lines_of(file_of(folder, "trip", "work"))

    assert {key: header[key] for key in ("format", "layout", "namespace", "stream")} == {
        "format": "branchlog conversation",
        "layout": 1,
        "namespace": "work",
        "stream": "trip",
    }
    for line, commit in ((one, first), (two, second)):
        assert (line["position"], line["first"], line["count"]) == (commit.position, commit.first, commit.count)
        assert (line["id"], line["checksum"]) == (commit.id.hex(), commit.checksum.hex())
        assert (line["at"], line["schema"], line["data"]) == (commit.at, commit.schema, json.loads(commit.data))
    assert one["entry"] == {"title": "Kyoto"} | {key: one["entry"][key] for key in ("nodes", "branches", "cursors")}
    assert two["entry"] == {"nodes": 2}
    assert three["entry"] == {"title": "Osaka"}


def test_the_seals_can_be_checked_by_anybody(folder):
    """Each line's seal is of the line and of the seal before, as the reference says; written here once more."""
    filled(folder, 5)
    for path in (file_of(folder, "trip"), folder / "catalog.jsonl"):
        before = b""
        for line in path.read_bytes().split(b"\n")[:-1]:
            body, _, rest = line.rpartition(b',"seal":"')
            before = hashlib.sha256(before + body).digest()[:16]

            assert rest == before.hex().encode() + b'"}'


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'[\n  {\n    "n": 1\n  }\n]', "data"),
        (b'[\r\n\t{"text":"\\n"}\r\n]', "data"),
        (b' [{"n":1}]', "base64"),
        (b'[{"n":1}]\n', "base64"),
        (b"", "checksum"),
        (b"no JSON at all\n", "base64"),
        (b'["\xff"]', "base64"),
        (b'["a\nb"]', "base64"),
        (b"[" * 100_000 + b"]" * 100_000, "base64"),
        (b'[{"a":","}],"data":[1]', "base64"),
        (b'[1]},"seal":"00"}', "base64"),
    ],
)
def test_payloads_come_back_to_the_byte(folder, data, field):
    """A line is one line of JSON whatever the payload is, and gives it back byte for byte, also after redacting."""
    with closing(FilesLog(folder)) as log:
        start = genesis("", "trip")
        commit = seal("trip", start, count=1, id=b"i" * 16, at=1, schema="1.0.0", data=data)
        stored = log.append(commit, expected=0).commit
        log.redact(next_commit(log, "trip"), expected=1, erasures=[])
    lines = lines_of(file_of(folder, "trip"))

    assert field in lines[1]
    assert len(lines) == 3
    with closing(FilesLog(folder)) as log:
        assert log.read("trip")[0] == stored == log.read_all()[0]
        assert stored.data == data


def test_names_of_files(folder):
    """Different names have different files, also where large letters are the same as small ones; none is too long."""
    pairs = [(namespace, name) for namespace in ("", *NAMES) for name in NAMES]
    names = {file_name(*pair) for pair in pairs}

    assert len(names) == len(pairs)
    assert all(name == name.lower() and name.isascii() and len(name) <= 107 for name in names)
    assert all("/" not in name and not name.startswith((".", "-")) for name in names)


def test_what_is_erased_is_in_no_file(folder):
    """Titles and metadata that a line or the catalog had, snapshots and what was cut off go as well."""
    with closing(FilesLog(folder)) as log:
        for stream in ("trip", "gone"):
            commit = put(log, stream, b'{"n":"secret"}', entry=an_entry(stream, title="secret", metadata={"secret": 1}))
            log.put_snapshot(stream, snapshot_of(commit, b"secret"))
            (folder / "conversations" / f"{file_name('', stream)}.broken").write_bytes(b"secret")

        assert holding(folder, b"secret") == 7
        erasures = [Erasure(first=1, data=b"[null]")]
        log.redact(next_commit(log, "trip"), expected=1, erasures=erasures, entry=an_entry("trip", title="e"))
        assert holding(folder, b"secret") == 4
        log.delete("gone")
        assert holding(folder, b"secret") == 0
    (header,) = lines_of(file_of(folder, "gone"))
    assert (header["stream"], header["deleted"], header["position"]) == ("gone", True, 2)


# The catalog is made of the files.


def lived_in(folder):
    """A store with some of everything, closed; what it holds."""
    with closing(FilesLog(folder)) as log:
        for number in range(12):
            stream = "abcd"[number % 4]
            put(log, stream, *numbered(2, number), entry=an_entry(stream, title=stream * 2, metadata={"n": number}))
        put(log.within("other"), "a")
        log.redact(next_commit(log, "a"), expected=6, erasures=[Erasure(first=3, data=b"[0]")])
        log.put_entry(replace(an_entry("b", title="B", nodes=9), version=6))
        put(log, "gone")
        log.delete("gone")
        return contents(log)


def contents(log):
    return [everything(log.within(name)) for name in ("", "other")], log.namespaces()


@pytest.mark.parametrize("lost", [["catalog.jsonl"], ["catalog.jsonl", "lock", "snapshots"]], ids=["catalog", "as git"])
@pytest.mark.parametrize("read_only", [False, True])
def test_without_the_catalog_nothing_is_lost(folder, lost, read_only):
    """The catalog is made again: entries, positions, deletions and the highest position, as they were."""
    before = lived_in(folder)
    for name in lost:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    with closing(FilesLog(folder, read_only=read_only)) as log:
        assert contents(log) == before
        with pytest.raises(ConversationDeleted):
            log.head("gone")
        if not read_only:
            assert put(log, "new").position == 16
    assert (folder / "catalog.jsonl").exists() is not read_only


@pytest.mark.parametrize("damage", ["a flip", "a cut", "zeros", "empty", "a line lost"])
def test_a_damaged_catalog_is_made_again(folder, damage):
    """What is wrong with the catalog is no loss; where it is not merely cut off, this is told."""
    before = lived_in(folder)
    path = folder / "catalog.jsonl"
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    path.write_bytes(
        {
            "a flip": data[:400] + bytes([data[400] ^ 1]) + data[401:],
            "a cut": data[:-20],
            "zeros": data[:-60] + bytes(60),
            "empty": b"",
            "a line lost": b"".join(lines[:2] + lines[3:]),
        }[damage]
    )
    if damage in ("a flip", "a line lost"):
        with pytest.warns(LogRepaired, match=r"catalog\.jsonl line"):
            log = FilesLog(folder)
    else:
        log = FilesLog(folder)
    with closing(log):
        assert contents(log) == before
        assert log.examine().problems == ()


def test_a_file_brought_from_another_store(folder, tmp_path):
    """It is taken in when the store is next opened for writing; its commits get positions of their own, at the end."""
    before = filled(folder)
    filled(tmp_path / "other", 3, "far")
    brought = file_of(folder, "far")
    shutil.copy(file_of(tmp_path / "other", "far"), brought)
    as_brought = brought.read_bytes()
    with closing(warned(folder, "open the store for writing", read_only=True)) as log:
        assert log.read_all() == before
    assert brought.read_bytes() == as_brought
    with closing(warned(folder, "3 commits were given positions")) as log:
        assert log.read_all()[:4] == before
        assert [(each.stream, each.position) for each in log.read_all(after=4)] == [("far", 5), ("far", 6), ("far", 7)]
        assert log.read("far") == log.read_all(after=4)
        assert put(log, "far").position == 8
    with closing(FilesLog(folder)) as log:
        assert len(log.read("far")) == 4


def test_a_file_that_others_added_to(folder, tmp_path):
    """Lines that fit behind those that are known (as by ``git pull``) are taken in, with positions at the end."""
    filled(folder, 2)
    shutil.copytree(folder, tmp_path / "clone")
    with closing(FilesLog(folder)) as log:
        mine = put(log, "mine")
    with closing(FilesLog(tmp_path / "clone")) as log:
        theirs = put(log, "trip")
    shutil.copy(file_of(tmp_path / "clone", "trip"), file_of(folder, "trip"))
    with closing(warned(folder, "1 commits were given positions")) as log:
        assert log.read_all(after=mine.position) == [replace(theirs, position=mine.position + 1)]
        assert log.examine().problems == ()


def test_files_that_were_brought_while_the_store_is_open(folder, tmp_path):
    """Nothing is written over them, nor behind them: who appends is told to open the store again."""
    filled(folder, 2)
    shutil.copytree(folder, tmp_path / "clone")
    with closing(FilesLog(tmp_path / "clone")) as log:
        put(log, "trip")
        put(log, "far")
    with closing(FilesLog(folder)) as log:
        brought = [file_of(folder, stream) for stream in ("trip", "far")]
        for path in brought:
            shutil.copy(file_of(tmp_path / "clone", path.stem.partition(".")[0]), path)
        before = [path.read_bytes() for path in brought]
        for stream in ("trip", "far"):
            commit = next_commit(log, stream)
            with pytest.raises(CorruptLog, match="open the store again"):
                log.append(commit, expected=commit.first - 1)
            (refusal,) = log.append_group([Append(commit=commit, expected=commit.first - 1)])
            assert isinstance(refusal, CorruptLog)
        assert put(log, "other").position == 3
        assert len(log.read("trip")) == 2
    assert [path.read_bytes() for path in brought] == before
    with closing(opened_with_warnings(folder)) as log:
        assert [len(log.read(stream)) for stream in ("trip", "far", "other")] == [3, 1, 1]
        assert [each.position for each in log.read_all()] == sorted({each.position for each in log.read_all()})
        assert log.examine().problems == ()


def test_a_file_under_another_name(folder):
    """It is passed over, and told of; it does not stand for a conversation of that name."""
    filled(folder)
    shutil.copy(file_of(folder, "trip"), file_of(folder, "copy"))
    with closing(warned(folder, "its name would be")) as log:
        assert [entry.id for entry in log.entries(Query())] == ["trip"]
        assert "passed over" in log.examine().problems[0]


# Torn ends.

TAILS = {
    "half a line": lambda line: line[: len(line) // 2],
    "all but its end": lambda line: line[:-1],
    "zeros": lambda line: bytes(4_096),
    "zeros within": lambda line: line[:20] + bytes(len(line) - 21) + b"\n",
    "a line of another file": lambda line: line.replace(b"1", b"2"),
}


def with_a_tail(folder, make):
    """As a crash leaves it: something stands behind what the catalog has."""
    written = filled(folder)
    path = file_of(folder, "trip")
    line = path.read_bytes().splitlines(keepends=True)[-1]
    tail = make(line)
    with path.open("ab") as file:
        file.write(tail)
    return written, path, tail


@pytest.mark.parametrize("make", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("catalog", ["there", "lost"])
def test_a_torn_last_line(folder, make, catalog):
    """It is cut off, kept aside and told of; then all is well."""
    written, path, tail = with_a_tail(folder, make)
    if catalog == "lost":
        (folder / "catalog.jsonl").unlink()
    with closing(warned(folder, r"jsonl line 6: .*cut off")) as log:
        assert log.read("trip") == log.read_all() == written
        written.append(put(log, "trip"))
    assert path.with_suffix(".broken").read_bytes() == tail
    with closing(FilesLog(folder)) as log:
        assert log.read("trip") == log.read_all() == written
        assert log.examine().problems == ()
        assert log.examine().facts["files with bytes that were cut off"] == 1


@pytest.mark.parametrize("make", TAILS.values(), ids=TAILS)
def test_a_torn_last_line_read_only(folder, make):
    """It is passed over, and not a byte changes."""
    written, _, _ = with_a_tail(folder, make)
    before = bytes_in(folder)
    with closing(FilesLog(folder, read_only=True)) as log:
        assert log.read("trip") == log.read_all() == written
    assert bytes_in(folder) == before


def bytes_in(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_writer_that_died_before_it_told_the_catalog(folder, monkeypatch):
    """Its commit is taken in by whoever writes next, in a process that was open all the time, and is there once."""
    with closing(FilesLog(folder)) as other:
        put(other, "other")
        log = FilesLog(folder)
        commit = next_commit(log, "trip", *numbered(2))
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "_publish", lambda self, drafts: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                log.append(commit, expected=0)
            with pytest.raises(BackendError, match="open the store again"):
                put(log, "trip")
        log.close()
        assert other.head("trip") is None
        put(other, "other")

        assert other.read("trip") == [replace(commit, position=2)]
        assert [each.stream for each in other.read_all()] == ["other", "trip", "other"]
        assert other.append(commit, expected=0).deduplicated


# Damage.


def swapped(lines):
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


DAMAGES = {
    "a bit of the payload": (3, lambda lines: [*lines[:2], lines[2].replace(b'"n":1', b'"n":3'), *lines[3:]]),
    "another position": (3, lambda lines: [*lines[:2], lines[2].replace(b'"position":2', b'"position":7'), *lines[3:]]),
    "another entry": (4, lambda lines: [*lines[:3], lines[3].replace(b'"nodes":2', b'"nodes":3'), *lines[4:]]),
    "swapped": (3, swapped),
    "repeated": (4, lambda lines: [*lines[:3], lines[2], *lines[3:]]),
    "lost": (3, lambda lines: [*lines[:2], *lines[3:]]),
    "no newline": (3, lambda lines: [*lines[:2], lines[2][:-1], *lines[3:]]),
    "the header": (1, lambda lines: [lines[0].replace(b'"layout"', b'"layoux"'), *lines[1:]]),
    "cut at the end of a line": (4, lambda lines: lines[:-1]),
    "cut within the last line": (5, lambda lines: [*lines[:-1], lines[-1][:-9]]),
    "the last line": (5, lambda lines: [*lines[:-1], lines[-1].replace(b'"n":3', b'"n":9')]),
}


@pytest.mark.parametrize(("line", "change"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_refused(folder, line, change):
    """What was acknowledged and is damaged is an error with file and line, for reads and writes; the rest goes on."""
    filled(folder)
    filled(folder, 1, "other")
    path = file_of(folder, "trip")
    rewritten(path, change)
    before = path.read_bytes()
    with closing(opened_with_warnings(folder)) as log:
        for call in (lambda: log.read("trip"), log.read_all, lambda: put(log, "trip")):
            with pytest.raises(CorruptLog, match=r"trip\.\w+\.jsonl line") as caught:
                call()
        assert f"line {line}" in caught.value.where
        assert "read_only=True" in caught.value.problem
        assert len(log.read("other")) == 1
        assert put(log, "other").first == 3
        assert len(log.examine().problems) == 1
    assert path.read_bytes() == before


def opened_with_warnings(folder, **options):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogRepaired)
        return FilesLog(folder, **options)


@pytest.mark.filterwarnings("ignore::branchlog.errors.LogRepaired")
@pytest.mark.parametrize(("line", "change"), DAMAGES.values(), ids=DAMAGES)
def test_what_stands_before_the_damage_can_be_read(folder, line, change):
    """Read only, the sound lines are there, in every way of reading, and not a byte changes."""
    written = filled(folder)
    path = file_of(folder, "trip")
    rewritten(path, change)
    before = bytes_in(folder)
    sound = written[: min(line, len(path.read_bytes().splitlines()) + 1) - 2 + ("end of a line" in str(change))]
    with closing(FilesLog(folder, read_only=True)) as log:
        if line == 1:
            with pytest.raises(CorruptLog, match="line 1"):
                log.read("trip")
        else:
            found = log.read("trip")

            assert found == written[: len(found)]
            assert len(found) >= len(sound) > 0
            assert log.head("trip") == found[-1].head
            assert log.read_all() == found
            assert (log.entry("trip") or an_entry("")).version == found[-1].last
        with pytest.raises(BackendError, match="reading only"):
            put(log, "other")
    assert bytes_in(folder) == before


def test_a_missing_file(folder):
    """A conversation whose file is gone is refused; without the catalog it never was."""
    filled(folder)
    filled(folder, 1, "other")
    file_of(folder, "trip").unlink()
    with closing(FilesLog(folder)) as log:
        with pytest.raises(CorruptLog, match="the file is missing"):
            log.read("trip")
        assert len(log.read("other")) == 1
    (folder / "catalog.jsonl").unlink()
    with closing(FilesLog(folder)) as log:
        assert log.read("trip") == []


def seen(folder):
    """What is read of a damaged store in each way: an answer, or the error that it ends in."""
    answers = {}
    try:
        log = opened_with_warnings(folder)
    except (CorruptLog, NotAStore) as error:
        return {"open": error}
    with closing(log):
        for name, call in (
            ("read", lambda: log.read("trip")),
            ("all", log.read_all),
            ("head", lambda: log.head("trip")),
        ):
            try:
                answers[name] = call()
            except (CorruptLog, SchemaVersionError) as error:
                answers[name] = error
    return answers


def check_damaged(folder, copy, data, *, catalog):
    """Check that a damaged file says what was written, or how much of it is sound, or that it is damaged."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    if not catalog:
        (copy / "catalog.jsonl").unlink()
    file_of(copy, "trip").write_bytes(data)
    answers = seen(copy)
    with closing(FilesLog(folder)) as log:
        whole = log.read("trip")
    for name in ("read", "all"):
        answer = answers[name]
        if isinstance(answer, list):
            assert answer == whole if catalog else answer == whole[: len(answer)]
    head = answers["head"]
    assert head is None or isinstance(head, Exception) or head in [commit.head for commit in whole]
    return answers


def kinds(answers):
    return isinstance(answers["read"], Exception)


@pytest.mark.parametrize("catalog", [True, False], ids=["with the catalog", "without"])
def test_cuts(folder, tmp_path, catalog):
    """Cut off anywhere, a file is refused; without the catalog it is what it was after one of its commits."""
    filled(folder)
    data = file_of(folder, "trip").read_bytes()
    refused = [
        kinds(check_damaged(folder, tmp_path / "copy", data[:length], catalog=catalog))
        for length in range(0, len(data), 9)
    ]

    assert all(refused) if catalog else not all(refused[-30:])


@pytest.mark.long
@pytest.mark.parametrize("catalog", [True, False], ids=["with the catalog", "without"])
def test_every_cut_and_a_flip_in_every_byte(folder, tmp_path, catalog):
    """As the tests above and below, at every place."""
    filled(folder)
    data = file_of(folder, "trip").read_bytes()
    for place in range(len(data)):
        check_damaged(folder, tmp_path / "copy", data[:place], catalog=catalog)
        check_damaged(folder, tmp_path / "copy", flipped(data, place, place % 8), catalog=catalog)


def flipped(data, place, bit):
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


@pytest.mark.parametrize("catalog", [True, False], ids=["with the catalog", "without"])
def test_flips(folder, tmp_path, catalog):
    """A flipped bit anywhere in a file is found; where the line may be torn, without the catalog, it is cut off."""
    filled(folder)
    data = file_of(folder, "trip").read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n")
    for number, place in enumerate(range(0, len(data), 11)):
        answers = check_damaged(folder, tmp_path / "copy", flipped(data, place, number % 8), catalog=catalog)

        assert kinds(answers) or (not catalog and place >= last), place


def test_without_seals_flips_would_be_seen(folder, tmp_path, monkeypatch):
    """The control: with the seals and checksums not looked at, a flip changes what is read, and the tests notice."""
    from branchlog import commit as commits
    from branchlog.logs._files import lines

    filled(folder)
    data = file_of(folder, "trip").read_bytes()
    monkeypatch.setattr(lines, "opened", lambda line, before: lines.seal_in(line))
    monkeypatch.setattr(commits, "is_whole", lambda commit: True)
    place = data.index(b'{"n":2}') + 5
    with pytest.raises(AssertionError):
        check_damaged(folder, tmp_path / "copy", flipped(data, place, 0), catalog=True)


# Several at once.


def test_an_entry_is_the_callers(folder):
    """What a caller does to the metadata of an entry is not done to the catalog's."""
    with closing(FilesLog(folder)) as log:
        given = an_entry("trip", metadata={"a": [1]})
        put(log, "trip", entry=given)
        given.metadata["a"].append(2)
        log.entry("trip").metadata["a"].append(3)
        log.entries(Query())[0].metadata.clear()

        assert log.entry("trip").metadata == {"a": [1]}
        put(log, "trip", entry=an_entry("trip", metadata={"a": [1, 3]}))
        assert log.entry("trip").metadata == {"a": [1, 3]}


def test_a_handle_sees_what_another_wrote(folder):
    """Heads, entries, positions, deletions and redactions of one are at once those of the other."""
    with closing(FilesLog(folder)) as log, closing(FilesLog(folder)) as other:
        put(log, "trip", *numbered(3), entry=an_entry("trip", title="one"))
        follows = next_commit(other, "trip")
        assert len(other.read("trip")) == 1
        put(log, "trip")
        with pytest.raises(VersionConflict):
            other.append(follows, expected=3)
        log.redact(next_commit(log, "trip"), expected=4, erasures=[Erasure(first=1, data=b"[null]")])

        assert other.read("trip") == other.read_all() == log.read("trip")
        assert other.read("trip")[0].data == b"[null]"
        assert put(other, "trip").position == 4
        log.delete("trip")
        with pytest.raises(ConversationDeleted):
            put(other, "trip")
        assert other.entries(Query()) == []
        assert put(other, "next").position == 5


def test_reading_while_another_process_redacts(folder):
    """A reader who meets with a file that is being written anew reads again; it is told of no damage."""
    with closing(FilesLog(folder)) as log, closing(FilesLog(folder)) as other:
        for number in range(30):
            put(log, "trip", b'{"n":"%s"}' % (b"x" * 300), entry=an_entry("trip", nodes=number))
        over = threading.Event()
        failures = []

        def read():
            while not over.is_set():
                try:
                    assert len(other.read("trip", limit=25)) == 25
                    assert len(other.read_all(limit=20)) == 20
                except Exception as error:  # noqa: BLE001 - it is what the test looks at
                    failures.append(error)
                    return

        reader = threading.Thread(target=read)
        reader.start()
        for first in range(1, 26):
            commit = next_commit(log, "trip")
            log.redact(commit, expected=commit.first - 1, erasures=[Erasure(first=first, data=b"[null]")])
        over.set()
        reader.join()

        assert failures == []


MAKER = """
import sys
from branchlog.logs.base import Expected
from branchlog.logs.files import FilesLog
from branchlog.testing.contract import next_commit, put

path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
log = FilesLog(path)
for number in range(count):
    put(log, who)
    print(log.append(next_commit(log, "shared"), expected=Expected.ANY).commit.id.hex(), flush=True)
log.close()
"""


def started(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_make_and_fill_one_store_at_once(folder):
    """All may be the first to open it; one who reads on meanwhile gets every commit once and in order."""
    makers = [started(MAKER, folder, f"chat {who}", 40) for who in range(3)]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    tailed = []
    with closing(FilesLog(folder)) as log:
        over = False
        while not over:
            over = all(maker.poll() is not None for maker in makers)
            while page := log.read_all(after=tailed[-1].position if tailed else 0, limit=7):
                tailed += page
        told = [line for maker in makers for line in maker.communicate()[0].split()]

        assert [maker.returncode for maker in makers] == [0, 0, 0]
        assert tailed == log.read_all()
        assert [each.position for each in tailed] == list(range(1, 241))
        assert sorted(each.id.hex() for each in log.read("shared")) == sorted(told)
        assert [len(log.read(f"chat {who}")) for who in range(3)] == [40] * 3


@pytest.mark.parametrize("streams", [1, 64])
def test_64_async_writers(folder, streams):
    """Nothing is lost and nothing is there twice, on one conversation and on many."""

    async def write(log, number):
        ids = []
        for turn in range(4):
            stream = f"chat {number % streams}"
            id = bytes([number, turn]) * 8
            commit = seal(stream, genesis("", stream), count=1, id=id, at=1, schema="1.0.0", data=b"[{}]")
            await log.append(commit, expected=Expected.ANY)
            ids.append(id)
        return ids

    async def main():
        log = AsyncBridge(FilesLog(folder))
        sent = await asyncio.gather(*(write(log, number) for number in range(64)))
        stored = [commit.id for commit in await log.read_all()]
        await log.close()
        return sent, stored

    sent, stored = asyncio.run(main())

    assert sorted(stored) == sorted(id for ids in sent for id in ids)
    assert [[id for id in stored if id in ids] for ids in sent] == sent
    with closing(FilesLog(folder)) as log:
        assert [commit.id for commit in log.read_all()] == stored


# What is no store, or may not be written.


def test_what_is_not_a_store_is_left_alone(tmp_path):
    """A file, and a folder that holds something else, are refused and stay as they are."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("text")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "branchlog.json").write_text('{"format":"something","layout":1}')
    before = bytes_in(tmp_path)
    for name, says in (("file", "no folder"), ("folder", r"notes\.txt"), ("other", "something")):
        for create in (True, False):
            with pytest.raises(NotAStore, match=says):
                FilesLog(tmp_path / name, create=create)
    assert bytes_in(tmp_path) == before


def test_what_is_not_there(tmp_path):
    """No folder, no parent, or an empty folder that is not to be made a store."""
    with pytest.raises(StoreNotFound, match="there is no folder"):
        FilesLog(tmp_path / "missing" / "chats")
    with pytest.raises(StoreNotFound, match="no such folder"):
        FilesLog(tmp_path / "chats", create=False)
    with pytest.raises(StoreNotFound, match="no such folder"):
        FilesLog(tmp_path / "chats", read_only=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreNotFound, match="empty"):
        FilesLog(tmp_path / "empty", create=False)

    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_folder_of_git_becomes_a_store(folder):
    """What begins with a dot is no obstacle, and is not written over."""
    (folder / ".git").mkdir(parents=True)
    (folder / ".gitignore").write_text("mine\n")
    FilesLog(folder).close()

    assert (folder / ".gitignore").read_text() == "mine\n"


def test_later_layouts_are_refused(folder):
    """Of the folder when it is opened; of one conversation when it is asked for, and the others go on."""
    filled(folder)
    filled(folder, 1, "other")
    path = file_of(folder, "trip")
    header = json.loads(path.read_bytes().splitlines()[0])
    del header["seal"]
    body = json.dumps(header | {"layout": 9}, separators=(",", ":")).encode()[:-1]
    path.write_bytes(body + b',"seal":"' + hashlib.sha256(body).digest()[:16].hex().encode() + b'"}\n')
    with closing(opened_with_warnings(folder)) as log:
        with pytest.raises(SchemaVersionError, match="upgrade branchlog"):
            log.read("trip")
        assert len(log.read("other")) == 1
    (folder / "branchlog.json").write_text('{"format":"branchlog files","layout":2}')
    with pytest.raises(SchemaVersionError, match="upgrade branchlog"):
        FilesLog(folder)


def test_a_damaged_marker(folder):
    filled(folder)
    (folder / "branchlog.json").write_text('{"format":"branch')
    with pytest.raises(CorruptLog, match=r"branchlog\.json"):
        FilesLog(folder)


READ_ONLY = """
import os
import sys
import urllib.parse
from branchlog.errors import BackendError
from branchlog.logs.files import FilesLog
from branchlog.testing.contract import put

if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
log = FilesLog(sys.argv[1])
print(len(log.read("trip")), len(log.read_all()), log.entry("trip").version)
for call in (lambda: put(log, "trip"), lambda: log.delete("trip")):
    try:
        call()
    except BackendError as error:
        print("refused:", "read-only" in str(error))
log.close()
"""


def test_without_the_right_to_write():
    """Where the folder may not be written reading works, writing is refused and nothing changes."""
    with tempfile.TemporaryDirectory() as parent:  # pytest's own are closed to other users
        Path(parent).chmod(0o755)
        folder = Path(parent) / "chats"
        filled(folder, 1)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = bytes_in(folder)
        said = subprocess.run([sys.executable, "-c", READ_ONLY, folder], capture_output=True, text=True, check=False)

        assert said.stdout.splitlines() == ["1 1 2", "refused: True", "refused: True"], said.stderr
        assert bytes_in(folder) == before
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


def test_a_relative_path_stays_where_it_was(tmp_path, monkeypatch):
    """A change of the working directory does not lead to another folder."""
    monkeypatch.chdir(tmp_path)
    with closing(FilesLog("chats")) as log:
        stored = put(log, "trip")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        assert log.read("trip") == [stored]
        assert put(log, "trip").first == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_store_taken_away(folder):
    """When the folder vanishes beneath an open log, that is a backend's error, and nothing is made anew."""
    filled(folder)
    log = FilesLog(folder)
    shutil.rmtree(folder)
    for call in (lambda: log.read("trip"), lambda: put(log, "trip")):
        with pytest.raises(BackendError, match="open the store again"):
            call()
    log.close()

    assert not folder.exists()


def test_a_snapshot_that_is_damaged_is_given_as_one(folder):
    """Whoever uses a snapshot sees that it is not whole, whatever was done to its file."""
    with closing(FilesLog(folder)) as log:
        log.put_snapshot("trip", snapshot_of(put(log, "trip")))
        (path,) = (folder / "snapshots").rglob("0*")
        whole = path.read_bytes()
        for data in (b"", whole[:20], whole[:-1], b"\n" + whole, flipped(whole, 30, 1)):
            path.write_bytes(data)
            (found,) = log.snapshots("trip")

            assert not found.is_whole()
        assert log.drop_snapshots("trip") == 1


def test_examining_a_store(folder):
    """What it is, how much is in it, and where."""
    before = lived_in(folder)
    with closing(FilesLog(folder)) as log:
        found = log.examine()

        assert (found.kind, found.place, found.problems) == ("folder of JSON Lines", str(folder), ())
        assert found.facts["conversations"] == 5
        assert found.facts["commits"] == sum(len(commits) for commits, _ in before[0])
        assert found.facts["bytes"] == sum(map(len, bytes_in(folder).values()))


# Durability.

WRITER = """
import os
import sys
from branchlog.logs.files import FilesLog
from branchlog.testing.contract import put

log = FilesLog(sys.argv[1], durability=sys.argv[2])
for stream in ("a", "b", "a", "a", "b"):
    put(log, stream)
    os.write(1, b"acknowledged\\n")
log.close()
"""


@pytest.mark.skipif(not can_check_durable(), reason="strace is not installed")
def test_appends_wait_for_the_disk(tmp_path):
    """With full durability there is a sync between one answer and the next; the control, relaxed, is seen to fail."""
    check_durable([sys.executable, "-c", WRITER, str(tmp_path / "full"), "full"])
    with pytest.raises(AssertionError, match="no sync"):
        check_durable([sys.executable, "-c", WRITER, str(tmp_path / "relaxed"), "relaxed"])


def test_a_group_is_told_to_the_catalog_at_once(folder):
    """Commits of one group to several conversations are one line of the catalog, so that readers see no gap."""
    with closing(FilesLog(folder)) as log:
        commits = [next_commit(log, stream) for stream in "abc"]
        behind = next_commit(log, "a", head=commits[0].head)
        log.append_group([Append(commit=each, expected=each.first - 1) for each in [*commits, behind]])
    lines = lines_of(folder / "catalog.jsonl")

    assert len(lines) == 2
    assert sorted(position for change in lines[1]["changes"] for position, _ in change["commits"]) == [1, 2, 3, 4]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell which files are open")
def test_closing_lets_go_of_every_file(folder):
    """After closing, no file of the folder is open, also where opening failed."""
    lived_in(folder)
    with closing(FilesLog(folder)) as log:
        assert len(held_open(folder)) == 2
        put(log, "b")
        log.read_all()
        assert len(held_open(folder)) == 2
    (folder / "lock").unlink()
    (folder / "lock").mkdir()
    with pytest.raises(BackendError):
        FilesLog(folder)
    assert held_open(folder) == []


def held_open(folder):
    links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return [link for link in links if str(link.readlink()).startswith(str(folder))]
