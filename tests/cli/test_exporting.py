"""Exporting from the command line: what goes where, and what is refused."""

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

import branchlog
from branchlog.cli.app import branchlog as commands
from branchlog.exchange import export
from branchlog.exporting import FORMATS
from branchlog.formats.detect import writer_of

COMMAND = [sys.executable, "-m", "branchlog"]


def loaded(shell, id="walk"):
    with branchlog.open(shell.store) as store:
        return store.load(id)


@pytest.fixture
def two(walk):
    walk.run("new", "Another", "--id", "other")
    walk.run("say", "other", "Hello.")
    return walk


def used_wrongly(shell, *args):
    return shell.run("export", *args, code=2).stderr.splitlines()[-1]


@pytest.mark.parametrize("format", [format for format in FORMATS if format not in ("archive", "preferences")])
def test_one_conversation_is_written_to_standard_output(walk, format):
    value = export(loaded(walk), format)
    written = walk.out("export", "walk", "--to", format)

    if isinstance(value, str):
        assert written == value
    else:
        lines = written.splitlines()
        assert list(map(json.loads, lines)) == (value if writer_of(format).JOIN == "lines" else [value])


def test_the_archive_is_written(two):
    lines = list(map(json.loads, two.out("export", "--all", "--to", "archive").splitlines()))

    assert lines[0] == {"branchlog-archive": 1, "namespace": ""}
    assert {line["conversation"] for line in lines[1:]} == {"walk", "other"}
    assert "an archive is one file" in two.refused("export", "--all", "--to", "archive", "-o", f"{two.store.parent}/")


def test_the_one_updated_last_is_meant_where_none_is_named(two):
    assert two.out("export", "--to", "markdown").startswith("# Another\n")
    assert two.out("export", "--last", "--to", "markdown").startswith("# Another\n")
    assert two.out("export", "wa", "--to", "markdown").startswith("# A walk\n")
    assert "'nope' not found" in two.refused("export", "nope", "--to", "markdown")


def test_several_conversations_are_joined(two):
    named = json.loads(two.out("export", "walk", "other", "--to", "chatgpt"))
    every = json.loads(two.out("export", "--all", "--to", "chatgpt"))

    assert [chat["title"] for chat in named] == ["A walk", "Another"]
    assert [chat["title"] for chat in every] == ["Another", "A walk"]
    assert "name a folder" in two.refused("export", "--all", "--to", "html")
    assert "name a folder" in two.refused("export", "walk", "other", "--to", "mermaid")
    assert two.refused("export", "--all", "--to", "html", "-o", "pages").endswith("such as -o pages/")


def test_a_folder_gets_a_file_for_each(two, tmp_path):
    result = two.run("export", "--all", "--to", "html", "-o", f"{tmp_path}/pages/")

    assert result.stdout == ""
    assert result.stderr == f"2 conversations written to {tmp_path}/pages/\n"
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["other.html", "walk.html"]
    refused = two.refused("export", "--all", "--to", "html", "-o", str(tmp_path / "pages"))
    assert "--force replaces it" in refused
    assert two.run("export", "--all", "--to", "html", "-o", str(tmp_path / "pages"), "--force").exit_code == 0


def test_a_file_tells_the_format_and_is_not_overwritten(walk, tmp_path):
    path = tmp_path / "trip.md"
    walk.run("export", "walk", "-o", str(path))

    assert path.read_text() == export(loaded(walk), "markdown")
    assert "there is a file" in walk.refused("export", "walk", "-o", str(path))
    walk.run("export", "walk", "-o", str(path), "--to", "mermaid", "--force")
    assert path.read_text() == export(loaded(walk), "mermaid")
    assert "cannot be written" in walk.refused("export", "walk", "-o", str(tmp_path / "no" / "trip.md"))


def test_a_format_that_is_not_said_or_not_known_is_refused(walk):
    every = ", ".join(FORMATS)

    assert used_wrongly(walk) == f"Error: say which format with --to; there are: {every}."
    assert used_wrongly(walk, "-o", "trip.txt") == f"Error: say which format with --to; there are: {every}."
    assert used_wrongly(walk, "--to", "nope") == f"Error: no format 'nope' can be written; there are: {every}."
    assert re.search(
        r"several formats have files of this name; say which with --to: (.*, )?chatgpt, (.*, )?dataknobs",
        used_wrongly(walk, "-o", "trip.json"),
    )


def test_a_path_alone(walk):
    walk.run("edit", "walk", "0.0", "To the castle.")
    told = walk.out("export", "walk", "--to", "chat-completions", "--path")
    node = walk.out("export", "walk", "--to", "chat-completions", "--node", "0")
    then = walk.out("export", "walk", "--to", "chat-completions", "--path", "--at", "5")

    assert [message["content"] for message in json.loads(told)][1:] == ["Where?", "To the castle."]
    assert [message["content"] for message in json.loads(node)] == ["You plan walks.", "Where?"]
    assert [message["content"] for message in json.loads(then)][1:] == ["Where?", "Along the river."]
    assert "not found" in walk.refused("export", "walk", "--to", "markdown", "--node", "0.9")


def test_options_that_do_not_go_together(two):
    assert "not both" in used_wrongly(two, "walk", "--all", "--to", "markdown")
    assert "--at is for --path" in used_wrongly(two, "walk", "--at", "3", "--to", "markdown")
    assert "take one" in used_wrongly(two, "walk", "--path", "--node", "0", "--to", "markdown")
    assert "name one" in used_wrongly(two, "--all", "--node", "0", "--to", "chat-completions")
    assert "chatgpt has no place for a path alone; these have: " in used_wrongly(two, "--path", "--to", "chatgpt")


def test_a_conversation_that_cannot_be_written_does_not_cost_the_others(two):
    """At version 1 of the one there was a cursor; the other did not have so many versions."""
    result = two.run("export", "--all", "--to", "chat-completions", "--path", "--at", "5", code=1)

    assert len(json.loads(result.stdout)) == 1
    assert result.stderr.startswith("not exported: other: there is no version 5 yet")


def test_nothing_is_made_where_there_is_no_store(tmp_path):
    result = CliRunner().invoke(commands, ["--store", str(tmp_path / "no.db"), "export", "--to", "markdown"])

    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_matter(tmp_path, unbuffered):
    path = tmp_path / "chats.db"
    with branchlog.open(path) as store:
        chat = store.create("long")
        for number in range(3_000):
            chat.say("user", f"message {number}" + " and more" * 20)
        store.save(chat)
    command = [*COMMAND, "--store", str(path), "export", "--to", "markdown"]
    given = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=given) as process:
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert said == b""
    assert process.returncode == 141


def test_on_a_terminal_nothing_acts_and_several_have_a_bar(tmp_path):
    path, pages = tmp_path / "chats.db", tmp_path / "pages"
    with branchlog.open(path) as store:
        for number in range(3):
            chat = store.create(f"c{number}")
            chat.say("user", "\x1b[31m\u202e\x9b")
            store.save(chat)
    shown = on_a_terminal("--store", str(path), "export", "--to", "chat-completions")
    bar = on_a_terminal("--store", str(path), "export", "--all", "--to", "html", "-o", f"{pages}/")

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert json.loads(shown)[0]["content"] == "\x1b[31m\u202e\x9b"
    assert "exporting" in bar
    assert len(list(pages.iterdir())) == 3


def on_a_terminal(*args):
    """What a command writes to a terminal."""
    main, other = os.openpty()
    given = {**os.environ, "COLUMNS": "200", "TERM": "xterm-256color"}
    process = subprocess.Popen([*COMMAND, *args], stdin=other, stdout=other, stderr=other, env=given)
    os.close(other)
    written = b""
    try:
        while some := os.read(main, 65536):
            written += some
    except OSError:
        pass  # on Linux the end of a terminal is an error
    process.wait(timeout=60)
    os.close(main)
    return written.decode()
