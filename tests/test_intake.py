"""Folders and archives: what is in them comes in, what is not JSON is left out, what was made to harm is refused."""

import json
import stat
import zipfile

import pytest

import branchlog
from branchlog import intake
from branchlog.exchange import import_file, import_files


def conversation(id):
    message = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [f"I am {id}"]}}
    return {"id": id, "current_node": "n", "mapping": {"n": {"id": "n", "parent": None, "message": message}}}


def archive(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data, **options)
    return path


@pytest.fixture
def store():
    with branchlog.open("memory:") as opened:
        yield opened


MEMBERS = {
    "conversations-000.json": json.dumps([conversation("a"), conversation("b")]),
    "conversations-001.json": json.dumps([conversation("c")]),
    "user.json": json.dumps({"id": "me", "email": "me@example.org"}),
    "chat.html": "<html></html>",
    "files/image.png": b"\x89PNG\r\n",
    "__MACOSX/._conversations-000.json": b"\0\5",
}


def put_in_folder(folder):
    for name, data in MEMBERS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


@pytest.mark.parametrize("kind", ["archive", "folder", "archive in a folder"])
def test_an_export_comes_in_as_it_was_downloaded(store, tmp_path, kind):
    path = put_in_folder(tmp_path / "export") if kind == "folder" else archive(tmp_path / "export.zip", MEMBERS)
    if kind == "archive in a folder":
        path = tmp_path
    reports = {report.path.split("/")[-1]: report for report in import_files(store, [path])}

    assert sorted(each.id for each in store.list()) == ["a", "b", "c"]
    assert [name for name, report in reports.items() if report.added] == [
        "conversations-000.json",
        "conversations-001.json",
    ]
    assert "keys id, email" in reports["user.json"].left_out
    assert "not JSON" in reports["image.png"].left_out
    assert len(reports) == len(MEMBERS)
    assert not any(report.error for report in reports.values())
    assert [report.nodes for report in import_files(store, [path])] == [0] * len(MEMBERS)


def test_a_file_that_is_named_is_an_error_where_it_holds_no_conversations(store, tmp_path):
    path = tmp_path / "user.json"
    path.write_text(MEMBERS["user.json"])
    (report,) = import_files(store, [path])

    assert "keys id, email" in report.error
    assert report.left_out is None


def test_one_file_of_an_archive_or_a_folder_is_not_named_by_it(store, tmp_path):
    for path in (archive(tmp_path / "export.zip", MEMBERS), put_in_folder(tmp_path / "export")):
        with pytest.raises(branchlog.UnreadableFile):
            import_file(store, path)


def test_an_archive_is_told_by_its_content(store, tmp_path):
    path = archive(tmp_path / "export.json", {"conversations": MEMBERS["conversations-001.json"]})

    assert [report.added for report in import_files(store, [path])] == [1]


@pytest.mark.parametrize(
    "name", ["../conversations.json", "/conversations.json", "a/../../c.json", "..\\c.json", "C:/c"]
)
def test_names_that_lead_out_of_an_archive_are_refused(store, tmp_path, name):
    path = archive(tmp_path / "export.zip", {"conversations.json": MEMBERS["conversations-000.json"], name: "[]"})
    (report,) = import_files(store, [path])

    assert "leads out" in report.error
    assert store.count() == 0


def test_links_in_an_archive_are_refused(store, tmp_path):
    link = zipfile.ZipInfo("conversations.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(link, "/etc/passwd")
    (report,) = import_files(store, [path])

    assert "leads out" in report.error


def test_a_bomb_is_refused_before_it_is_read(store, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "SMALL_BYTES", 1 << 20)
    path = archive(tmp_path / "bomb.zip", {"conversations.json": b"[" + b" " * (8 << 20) + b"]"})
    (report,) = import_files(store, [path])

    assert "zip bomb" in report.error
    harmless = archive(
        tmp_path / "export.zip", {"conversations.json": json.dumps([conversation("a")] * 20_000)[:900_000]}
    )
    assert [report.added for report in import_files(store, [harmless])] == [1]


def test_too_many_members_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MEMBERS_MAX", 5)
    (report,) = import_files(store, [archive(tmp_path / "export.zip", MEMBERS)])

    assert "more than 5" in report.error


def test_a_damaged_archive_costs_only_what_is_damaged(store, tmp_path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("one.json", json.dumps([conversation("a")]))
        made.writestr("two.json", json.dumps([conversation("b")]))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"I am a", b"I am x", 1))
    reports = import_files(store, [path])
    assert "CRC" in reports[0].left_out
    assert (reports[1].added, store.load("b").title) == (1, None)

    path.write_bytes(data[: len(data) // 2])
    (report,) = import_files(store, [path])
    assert report.error


def test_an_encrypted_archive_says_so(store, tmp_path):
    path = archive(tmp_path / "export.zip", {"conversations.json": MEMBERS["conversations-000.json"]})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    (report,) = import_files(store, [path])

    assert "encrypted" in report.left_out


def test_links_and_hidden_files_of_a_folder_are_left_out(store, tmp_path):
    (tmp_path / "outside.json").write_text(MEMBERS["conversations-001.json"])
    folder = put_in_folder(tmp_path / "export")
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    (folder / "loop").symlink_to(folder)
    (folder / ".hidden.json").write_text(MEMBERS["conversations-001.json"])
    (folder / "dead.json").symlink_to(folder / "gone")
    reports = import_files(store, [folder])

    assert sum(report.added for report in reports) == 3
    assert sum(report.left_out is not None and "link" in report.left_out for report in reports) >= 3


def test_an_archive_is_opened_once_to_be_looked_through(tmp_path, monkeypatch):
    """Else the list of its members would be read again for each of them."""
    path = archive(tmp_path / "export.zip", {f"files/{number}.png": b"\x89PNG" for number in range(50)})
    opened = []
    made = zipfile.ZipFile.__init__
    monkeypatch.setattr(
        zipfile.ZipFile, "__init__", lambda self, *args, **options: (opened.append(1), made(self, *args, **options))[1]
    )

    assert len(list(intake.sources(path))) == 50
    assert len(opened) == 1
