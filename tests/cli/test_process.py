"""What only a real process shows: exit codes, pipes, terminals, a missing extra."""

import json
import os
import pty
import subprocess
import sys

import pytest

import branchlog

COMMAND = [sys.executable, "-m", "branchlog"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A store with a long conversation, named by the environment of the processes."""
    path = tmp_path / "chats.db"
    with branchlog.open(path) as store:
        chat = store.create("long", title="Long")
        for number in range(3_000):
            chat.say("user", f"message {number} [red]\x1b[31m" + " and more" * 20)
        store.save(chat)
    monkeypatch.setenv("BRANCHLOG_STORE", str(path))
    for name in ("NO_COLOR", "FORCE_COLOR", "BRANCHLOG_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return path


def run(*args: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=60, check=False, **options)


def on_a_terminal(*args: str, **environment: str) -> str:
    """What a command writes to a terminal of 100 columns."""
    main, other = pty.openpty()
    given = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color", **environment}
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


def test_a_reader_that_goes_away_is_no_matter(place):
    with subprocess.Popen([*COMMAND, "log"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert said == b""
    assert process.returncode == 141


def test_in_a_pipe_there_are_no_colours_and_lines_are_not_wrapped(place):
    shown = run("path", "long", "--at", "3")

    assert "\x1b" not in shown.stdout
    assert any(len(line) > 150 for line in shown.stdout.splitlines())
    assert json.loads(run("path", "--json").stdout)[0]["content"].startswith("message 0 [red]\x1b[31m")


def test_on_a_terminal_there_are_colours_and_lines_fit(place):
    drawn = on_a_terminal("show")
    plain = on_a_terminal("show", NO_COLOR="1", TERM="dumb")

    assert "\x1b[" in drawn
    assert "\x1b" not in plain
    assert "[red]␛[31m" in plain
    assert max(map(len, plain.splitlines())) <= 100


def test_json_on_a_terminal_has_no_colours_and_no_raw_escapes(place):
    written = on_a_terminal("path", "--at", "3", "--json")

    assert "\x1b" not in written
    assert json.loads(written)[0]["role"] == "user"


def test_exit_codes(place, tmp_path):
    assert run("list").returncode == 0
    assert run("show", "nope").returncode == 1
    assert run("nope").returncode == 2
    missing = run("--store", str(tmp_path / "no" / "where.db"), "new")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: ")
    assert "Traceback" not in missing.stderr


def test_an_encoding_without_the_signs_does_not_stop_the_output(place):
    shown = run("show", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})

    assert shown.returncode == 0
    assert "message 2999" in shown.stdout


def test_the_demo_holds_what_it_says(tmp_path):
    shown = run("demo", env={**os.environ, "TMPDIR": str(tmp_path)})

    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.count("✓") >= 8
    assert "Replayed" in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_fails_where_the_store_does_not_keep_what_it_was_given(tmp_path):
    spoiled = (
        "import branchlog; from branchlog.cli import main\n"
        "load = branchlog.Store.load\n"
        "def forgetful(store, id):\n"
        "    chat = load(store, id); chat.annotate('0.1', label=None); return chat\n"
        "branchlog.Store.load = forgetful\n"
        "import sys; sys.argv = ['branchlog', 'demo']; main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", spoiled], capture_output=True, text=True, timeout=60, check=False)

    assert shown.returncode == 1
    assert "does not hold" in shown.stderr


def test_the_demo_leaves_its_store_where_it_is_told(tmp_path):
    assert run("demo", "--keep", str(tmp_path / "kept")).returncode == 0
    with branchlog.open(tmp_path / "kept" / "demo.db", create=False) as store:
        assert store.count() == 2  # the conversation and its fork
    assert run("demo", "--keep", str(tmp_path / "kept")).returncode == 1


@pytest.mark.parametrize("missing", ["click", "rich", "platformdirs"])
def test_without_the_extra_one_line_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from branchlog.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert shown.returncode == 1
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "pip install 'branchlog[cli]'" in shown.stderr


def test_on_a_terminal_the_list_shortens_ids_so_that_they_still_name_one(place):
    first, second = (run("new").stdout.strip() for _ in range(2))
    listed = on_a_terminal("list", NO_COLOR="1", TERM="dumb").splitlines()[1:]
    names = [line.split()[0] for line in listed]

    assert names[2] == "long"
    assert second.startswith(names[0])
    assert first.startswith(names[1])
    assert [json.loads(run("show", name, "--json").stdout)["id"] for name in names] == [second, first, "long"]
    assert [line.split()[0] for line in run("list").stdout.splitlines()[1:]] == [second, first, "long"]
