import io
import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import AlreadyExists, ConversationNotFound, InvalidInput
from branchlog.exchange import export, import_file
from branchlog.exporting import (
    FORMATS,
    Exported,
    export_all,
    export_folder,
    export_one,
    file_names,
    formats_of,
    written,
)
from branchlog.formats.carry import Skipped

IDS = ("a", "b", "c")


@pytest.fixture
def store():
    with branchlog.open("memory:") as store:
        for id in IDS:
            chat = store.create(id, title=f"Talk {id}")
            chat.say("user", f"Hello {id}")
            chat.say("assistant", f"Hello from {id}")
            store.save(chat)
        yield store


def written_all(store, format, **options):
    file = io.BytesIO()
    came = export_all(store, format, file, **options)
    return came, file.getvalue()


def test_several_become_an_array(store):
    came, data = written_all(store, "chatgpt")

    assert came == Exported(3)
    assert json.loads(data) == [export(store.load(id), "chatgpt") for id in IDS]
    assert data.endswith(b"\n]\n")


def test_several_become_lines(store):
    came, data = written_all(store, "fine-tuning", ids=["c", "a", "c"])
    lines = [line for id in ("c", "a") for line in export(store.load(id), "fine-tuning")]

    assert came == Exported(2)
    assert [json.loads(line) for line in data.splitlines()] == lines


def test_none_are_an_empty_array(store):
    assert written_all(store, "chatgpt", ids=[]) == (Exported(0), b"[]\n")
    assert written_all(store, "fine-tuning", ids=[]) == (Exported(0), b"")


def test_an_array_is_read_again(store, tmp_path):
    _, data = written_all(store, "chatgpt")
    (tmp_path / "chats.json").write_bytes(data)
    with branchlog.open("memory:") as other:
        report = import_file(other, tmp_path / "chats.json")

    assert (report.added, report.nodes) == (3, 9)


def test_one_is_its_value(store):
    file = io.BytesIO()
    export_one(store, "markdown", file, "a")

    assert file.getvalue().decode() == export(store.load("a"), "markdown")
    file = io.BytesIO()
    export_one(store, "chat-completions", file, "a", options=lambda chat: {"node": chat.node("0")})
    assert json.loads(file.getvalue()) == [{"role": "user", "content": "Hello a"}]


def test_the_archive_is_a_format_like_the_others(store):
    came, data = written_all(store, "archive", ids=["a", "b"])
    file = io.BytesIO()
    export_one(store, "archive", file, "a")

    assert came == Exported(2)
    assert data.startswith(b'{"branchlog-archive":1')
    assert file.getvalue().splitlines() == data.splitlines()[:2]
    assert FORMATS[-1] == "archive"


def test_what_is_for_people_is_a_file_each(store, tmp_path):
    with pytest.raises(InvalidInput, match="one conversation a file"):
        written_all(store, "markdown")
    told = []
    came = export_folder(store, "markdown", tmp_path / "new" / "chats", progress=lambda *each: told.append(each))

    assert came == Exported(3)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert sorted(path.name for path in (tmp_path / "new" / "chats").iterdir()) == ["a.md", "b.md", "c.md"]
    assert (tmp_path / "new" / "chats" / "a.md").read_text() == export(store.load("a"), "markdown")


def test_a_folder_takes_every_format_but_the_archive(store, tmp_path):
    export_folder(store, "fine-tuning", tmp_path)
    with pytest.raises(InvalidInput, match="one file, not a folder"):
        export_folder(store, "archive", tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "c.jsonl"]


def test_a_folder_with_one_of_the_files_is_left_as_it_is(store, tmp_path):
    (tmp_path / "c.md").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"c\.md"):
        export_folder(store, "markdown", tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["c.md"]
    export_folder(store, "markdown", tmp_path, replace=True)
    assert (tmp_path / "c.md").read_text().startswith("# Talk c")


def test_what_cannot_be_written_is_skipped_and_said(store):
    """What the format refuses, and what is not there any more."""

    def options(chat):
        if chat.id == "b":
            raise InvalidInput("no place for it")
        return {}

    store.delete("c")
    came, data = written_all(store, "chatgpt", ids=IDS, options=options)

    assert came.conversations == 1
    assert came.skipped[0] == Skipped("b", "no place for it")
    assert came.skipped[1].where == "c"
    assert len(json.loads(data)) == 1
    with pytest.raises(ConversationNotFound):
        export_one(store, "chatgpt", io.BytesIO(), "nope")


def test_what_the_log_cannot_give_is_raised(store):
    store.close()
    with pytest.raises(branchlog.LogClosed):
        written_all(store, "chatgpt")
    with pytest.raises(branchlog.LogClosed):
        written_all(store, "chatgpt", ids=["a"])


def test_one_conversation_is_in_memory_at_a_time(store, monkeypatch):
    loaded, most = [], []
    load = type(store).load

    class Counted(io.BytesIO):
        def write(self, data, /):
            loaded.clear()
            return super().write(data)

    def counting(self, id):
        loaded.append(id)
        most.append(len(loaded))
        return load(self, id)

    monkeypatch.setattr(type(store), "load", counting)
    export_all(store, "chatgpt", Counted())

    assert most == [1, 1, 1]


@given(ids=st.lists(st.text("aAéÉ./\\%~ \n:", min_size=1, max_size=4), unique=True))
def test_names_of_files_are_safe_and_their_own(ids):
    names = file_names(ids, ".md")

    assert len({name.lower() for name in names}) == len(ids)
    for name in names:
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("/\\: ")
        assert not name.startswith(".")


def test_long_ids_become_names_that_files_can_have(tmp_path):
    ids = ["é" * 500, "é" * 499 + "e", "a" * 1024, "a" * 1023]
    names = file_names(ids, ".html")

    assert len(set(names)) == 4
    for name in names:
        (tmp_path / name).touch()
    assert file_names(["..", "/etc/passwd", "a b", "A", "a"], "")[:4] == ["%2E.", "%2Fetc%2Fpasswd", "a%20b", "A"]


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "x.md"

    def half():
        with written(path) as file:
            file.write(b"half")
            assert not path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert list(tmp_path.iterdir()) == []
    with written(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_file_is_replaced_only_where_that_is_said(tmp_path):
    path = tmp_path / "x.md"
    path.write_text("mine")
    with pytest.raises(AlreadyExists, match=r"x\.md"), written(path):
        pass
    assert path.read_text() == "mine"
    with written(path, replace=True) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_came_in_the_meantime_stays(tmp_path):
    path = tmp_path / "x.md"

    def late():
        with written(path) as file:
            file.write(b"ours")
            path.write_text("theirs")

    with pytest.raises(AlreadyExists):
        late()
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_a_pipe_written_to(tmp_path):
    target, link, pipe = tmp_path / "target.md", tmp_path / "link.md", tmp_path / "pipe"
    link.symlink_to(target)
    with written(link) as file:
        file.write(b"x")
    assert link.is_symlink()
    assert target.read_bytes() == b"x"

    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with written(pipe) as file:
        file.write(b"through")
    reader.join()
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_name_tells_the_format_where_only_one_has_it():
    assert formats_of("trip.MD") == ("markdown",)
    assert formats_of(Path("trip.html")) == ("html",)
    assert formats_of("trip.mmd") == ("mermaid",)
    assert formats_of("trip.dot") == ("graphviz",)
    assert {"chatgpt", "dataknobs"} <= set(formats_of("trip.json"))
    assert {"fine-tuning", "archive"} <= set(formats_of("trip.jsonl"))
    assert formats_of("trip") == formats_of(".md") == ()
