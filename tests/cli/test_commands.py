"""The wiring of the commands: what they do to a store, what they write, how they end."""

import json
import re
from pathlib import Path

import attrs
import click
import pytest
from click.testing import CliRunner

import branchlog
from branchlog.cli.app import branchlog as commands

ROOT = Path(__file__).parents[2]


def test_saying_and_reading_it_back(walk):
    assert walk.json("path") == [
        {"role": "system", "content": "You plan walks."},
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "Along the river."},
    ]
    assert walk.out("path", "walk", "0") == "system  root\nYou plan walks.\n\nuser  0\nWhere?\n\n"


def test_writing_commands_tell_the_node_first(walk):
    assert walk.out("say", "walk", "Thanks.") == "0.0.0 (main)  user: Thanks.\n"
    assert walk.out("add", "walk", "Over the hill.", "--role", "assistant", "--under", "0").split()[0] == "0.1"
    assert walk.out("edit", "walk", "0.1", "Over the hill, slowly.").split()[0] == "0.2"
    assert walk.out("move", "walk", "@~").split()[0] == "0"
    assert walk.out("undo", "walk").split()[0] == "0.2"
    assert walk.out("redo", "walk").split()[0] == "0"
    assert walk.out("previous", "walk", "0.1").split()[0] == "0.0.0"
    assert walk.out("next", "walk", "0.0").split()[0] == "0.1"
    assert walk.out("move", "walk", "root").split()[0] == "root"


def test_add_leaves_the_cursor_where_it_is(walk):
    walk.run("add", "walk", "Or the lake.", "--under", "0")

    assert walk.json("show", "walk")["cursors"] == {"main": 4}


def test_annotations_are_given_and_taken_away(walk):
    walk.run("label", "walk", "0.0", "river")
    walk.run("rate", "walk", "river", "4")
    walk.run("bookmark", "walk", "river")
    walk.run("hide", "walk", "river")
    walk.run("title", "walk", "A long walk")

    seen = walk.json("show", "walk")
    node = seen["nodes"][-1]
    assert (node["label"], node["rating"], node["bookmark"], node["hidden"]) == ("river", 4, True, True)
    assert seen["title"] == "A long walk"

    for verb in ("rate", "bookmark", "hide", "label"):
        walk.run(verb, "walk", "river", "--remove")
    walk.run("title", "walk", "--remove")

    seen = walk.json("show", "walk")
    node = seen["nodes"][-1]
    assert (node["label"], node["rating"], node["bookmark"], node["hidden"]) == (None, None, False, False)
    assert seen["title"] is None


@pytest.mark.parametrize("args", [("label", "walk", "0"), ("rate", "walk", "0", "3", "--remove"), ("title", "walk")])
def test_a_value_or_its_removal_must_be_said(walk, args):
    walk.run(*args, code=2)


def test_other_cursors(walk):
    walk.run("cursor", "walk", "guest", "0")

    assert walk.out("say", "walk", "Mine.", "--cursor", "guest").split()[0] == "0.1"
    assert [message["content"] for message in walk.json("path", "walk", "--cursor", "guest")][-1] == "Mine."
    assert [message["content"] for message in walk.json("path", "walk")][-1] == "Along the river."
    assert "◉  0.1 (guest" in walk.out("show", "walk", "--cursor", "guest")

    walk.run("cursor", "walk", "guest", "--remove")

    assert "guest" in walk.refused("show", "walk", "--cursor", "guest")


@pytest.mark.parametrize("given", [b"a\nb\n", b"a\nb", b"a\nb\r\n"])
@pytest.mark.parametrize("args", [(), ("-",)])
def test_text_comes_from_standard_input(walk, given, args):
    walk.run("say", "walk", *args, given=given)

    assert walk.json("path", "walk")[-1]["content"] == "a\nb"


def test_standard_input_that_is_not_utf_8_is_refused(walk):
    assert "UTF-8" in walk.run("say", "walk", given=b"\xff\xfe", code=1).stderr


def test_the_past_can_be_looked_at(walk):
    assert len(walk.json("path", "walk", "--at", "3")) == 2
    assert "(main)  user: Where?" in walk.out("show", "walk", "--at", "3")
    assert len(walk.json("show", "walk", "--at", "3")["nodes"]) == 2
    assert "after that moment" in walk.refused("path", "walk", "0.0", "--at", "3")
    assert len(walk.json("path", "walk", "--at", "9999-01-01T00:00Z")) == 3
    walk.run("path", "walk", "--at", "2026-01-01", code=2)
    walk.run("path", "walk", "--at", "soon", code=2)
    assert "no version 99 yet" in walk.refused("show", "walk", "--at", "99")


def test_a_conversation_is_named_by_a_prefix_or_is_the_last(walk):
    walk.run("new", "--id", "walking")
    walk.run("new", "--id", "other")

    assert walk.json("show", "walk")["id"] == "walk"
    assert walk.json("show", "oth")["id"] == "other"
    assert walk.json("show")["id"] == walk.json("show", "-")["id"] == "other"
    assert walk.out("say", "--last", "Hello").split()[0] == "0"
    assert walk.out("say", "-", "Hello").split()[0] == "0.0"
    assert walk.json("path", "other")[-1]["content"] == "Hello"
    assert walk.out("move", "--last", "root").split()[0] == "root"


def test_an_ambiguous_prefix_lists_the_candidates(walk):
    walk.run("new", "Another", "--id", "walking")
    message = walk.refused("show", "wal")

    assert "\n  walk A walk\n" in message
    assert "\n  walking Another" in message


def test_after_two_dashes_a_text_may_look_like_an_option(walk):
    walk.run("say", "walk", "--", "--last")

    assert walk.json("path", "walk")[-1]["content"] == "--last"


def test_reading_never_makes_a_store(shell):
    for args in (
        ("list",),
        ("show",),
        ("path",),
        ("log",),
        ("say", "x", "hi"),
        ("undo", "x"),
        ("delete", "x", "--yes"),
    ):
        assert "--store names another" in shell.refused(*args)

    assert not shell.store.exists()


def test_an_empty_store_says_how_to_fill_it(shell):
    branchlog.open(shell.store).close()

    assert "branchlog import" in shell.refused("show")
    assert shell.json("list") == {"conversations": [], "next": None}


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("show", "nope"), "'nope' not found"),
        (("show", "walk", "0.9"), "'0.9' not found"),
        (("show", "walk", "0.x"), "cannot read '0.x'"),
        (("move", "walk", "best"), "no cursor and no label"),
        (("undo", "walk", "--cursor", "guest"), "no cursor named 'guest'"),
        (("redo", "walk"), "nothing to redo"),
        (("rate", "walk", "0", "6"), "from 1 to 5"),
        (("new", "--id", "walk"), "exists already"),
        (("next", "walk"), "1 of 1"),
        (("edit", "walk", "root", "x"), "no alternatives"),
        (("list", "--after", "rubbish"), "not the 'next'"),
        (("say", "walk", "x", "--role", ""), "role"),
    ],
)
def test_what_is_refused_says_why_on_one_line(walk, args, part):
    message = walk.refused(*args)

    assert part in message
    assert "\n" not in message


def test_a_file_that_is_no_store_is_left_alone(shell):
    shell.store.write_text("my diary, which is longer than the header of a database file would be, I believe" * 3)
    before = shell.store.read_bytes()

    shell.refused("list")
    shell.refused("new")

    assert shell.store.read_bytes() == before


def test_listing(walk):
    walk.run("new", "Beta", "--id", "b", "--metadata", "stars=3", "--metadata", "language=en")
    walk.run("new", "Alpha", "--id", "a", "--metadata", "stars=3")

    def ids(*args: str) -> list[str]:
        return [each["id"] for each in walk.json("list", *args)["conversations"]]

    assert ids() == ["a", "b", "walk"]
    assert ids("--order", "-title") == ["b", "a", "walk"]
    assert ids("--metadata", "stars=3") == ["a", "b"]
    assert ids("--metadata", "stars=3", "--metadata", "language=en") == ["b"]
    assert ids("--metadata", 'stars="3"') == []
    assert ids("--limit", "1", "--all") == ["a", "b", "walk"]

    first = walk.json("list", "--limit", "2", "--order", "id")
    rest = walk.json("list", "--limit", "2", "--order", "id", "--after", first["next"])
    assert [each["id"] for each in first["conversations"] + rest["conversations"]] == ["a", "b", "walk"]
    assert rest["next"] is None

    header, *lines = walk.out("list").splitlines()
    assert header.split() == ["ID", "UPDATED", "NODES", "BRANCHES", "TITLE"]
    assert [line.split()[0] for line in lines] == ["a", "b", "walk"]
    walk.run("list", "--metadata", "stars", code=2)


def test_the_log_of_a_conversation(walk):
    walk.run("label", "walk", "0", "ask")
    lines = walk.out("log", "walk").splitlines()

    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert "conversation 'A walk' started" in lines[0]
    assert lines[1].endswith("0 added: user: Where?")
    assert lines[4].endswith("main moved to 0.0")
    assert lines[5].endswith("0 labelled #ask")
    assert walk.out("log", "walk", "--after", "4").splitlines() == lines[4:]
    assert walk.out("log", "walk", "--limit", "2").splitlines() == lines[4:]

    events = [json.loads(line) for line in walk.out("log", "walk", "--json").splitlines()]
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1]["event"]["label"] == "ask"


def test_the_log_of_a_store_is_in_the_order_of_writing(walk):
    walk.run("new", "--id", "other")
    walk.run("say", "walk", "Thanks.")
    events = [json.loads(line) for line in walk.out("log", "--json").splitlines()]
    positions = [event["position"] for event in events]

    assert [event["conversation"] for event in events] == ["walk"] * 5 + ["other"] + ["walk"] * 2
    assert positions == sorted(positions)
    assert len(walk.out("log").splitlines()) == 8
    assert len(walk.out("log", "--after", str(positions[5])).splitlines()) == 2


def test_the_log_up_to_a_moment(walk):
    lines = walk.out("log", "walk").splitlines()
    third = json.loads(walk.out("log", "walk", "--json").splitlines()[2])

    assert walk.out("log", "walk", "--at", "3").splitlines() == lines[:3]
    assert walk.out("log", "walk", "--at", third["happened"]).splitlines() == lines[:3]
    assert walk.out("log", "walk", "--at", "4", "--after", "2", "--limit", "1").splitlines() == lines[3:4]
    assert "no version 99 yet" in walk.refused("log", "walk", "--at", "99")
    walk.run("new", "--id", "other")
    assert len(walk.out("log", "--at", str(third["position"])).splitlines()) == 3
    assert len(walk.out("log", "--at", third["written"]).splitlines()) == 3
    assert len(walk.out("log", "--at", "9999-01-01T00:00Z").splitlines()) == 6


def test_comparing_two_nodes(walk):
    walk.run("add", "walk", "Along the canal.", "--role", "assistant", "--under", "0")
    written = walk.out("diff", "walk", "0.0", "0.1").splitlines()

    assert written == [
        "both have 0  user: Where?",
        "then 1 message against 1 message",
        "--- 0.0",
        "+++ 0.1",
        "@@ -1,2 +1,2 @@",
        " assistant:",
        "-Along the river.",
        "+Along the canal.",
    ]
    compared = walk.json("diff", "walk", "0.0", "0.1")
    assert compared["ancestor"]["id"] == "0"
    assert [node["message"]["content"] for node in compared["left"]] == ["Along the river."]
    assert [node["message"]["content"] for node in compared["right"]] == ["Along the canal."]
    assert compared["diff"].splitlines() == written[2:]
    assert not compared["same"]


def test_comparing_two_moments(walk):
    compared = walk.json("diff", "walk", "@{3}", "@{5}")

    assert (compared["ancestor"]["id"], compared["left"]) == ("0", [])
    assert [node["id"] for node in compared["right"]] == ["0.0"]


def test_differing_is_no_failure_unless_it_is_asked_for(walk):
    walk.run("add", "walk", "Along the river.", "--role", "assistant", "--under", "0")

    walk.run("diff", "walk", "0", "0.0", code=0)
    walk.run("diff", "walk", "0", "0.0", "--exit-code", code=1)
    assert walk.run("diff", "walk", "0.0", "0.1", "--exit-code").stdout.endswith("both say the same\n")
    assert "'0.7' not found" in walk.refused("diff", "walk", "0", "0.7")


def test_what_differs_in_no_text_differs_all_the_same(walk):
    with branchlog.open(walk.store) as store, store.editing("walk") as chat:
        chat.add(attrs.evolve(chat.cursor.message, name="guide"), under="0")

    assert "what is not text differs" in walk.run("diff", "walk", "0.0", "0.1", "--exit-code", code=1).stdout


def test_restoring_a_moment_and_taking_it_back(walk):
    walk.run("title", "walk", "A long walk")
    result = walk.run("restore", "walk", "3")

    assert result.stdout.split()[0] == "0"
    assert "'branchlog restore walk 6' takes it back" in result.stderr
    assert walk.json("show", "walk")["title"] == "A walk"
    assert len(walk.json("show", "walk")["nodes"]) == 3
    assert "already" in walk.run("restore", "walk", "3").stderr

    walk.run("restore", "walk", "6")

    assert walk.json("show", "walk")["title"] == "A long walk"
    assert walk.json("path", "walk")[-1]["content"] == "Along the river."
    assert "no version 99 yet" in walk.refused("restore", "walk", "99")


def test_forking_into_a_conversation_of_its_own(walk):
    fork = walk.out("fork", "walk").strip()
    then = walk.out("fork", "walk", "--at", "3", "--id", "then", "--title", "Then").strip()
    there = walk.out("fork", "walk", "root").strip()

    assert walk.json("path", fork) == walk.json("path", "walk")
    assert (then, walk.json("path", "then")) == ("then", walk.json("path", "walk", "0"))
    assert walk.json("show", "then")["title"] == "Then"
    assert walk.json("show", "then")["metadata"]["forked_from"] == {"conversation": "walk", "node": "0", "version": 3}
    assert len(walk.json("path", there)) == 1
    assert walk.json("show", fork)["title"] == "A walk"


def test_a_fork_that_cannot_be_leaves_nothing(walk):
    walk.run("new", "--id", "gone")
    walk.run("delete", "gone", "--yes")

    assert "exists already" in walk.refused("fork", "walk", "--id", "walk")
    assert "was deleted" in walk.refused("fork", "walk", "--id", "gone")
    walk.run("fork", "walk", "0", "--at", "3", code=2)
    assert len(walk.json("list")["conversations"]) == 1


def test_redacting_asks_first(walk):
    for answer in ("n\n", ""):
        result = walk.run("redact", "walk", "0", given=answer, code=1)

        assert "'user: Where?'" in result.stderr
        assert "nothing was erased" in result.stderr
    assert walk.json("path", "walk")[1]["content"] == "Where?"

    walk.run("redact", "walk", "0", given="y\n")

    assert walk.json("path", "walk")[1]["content"] == ""


def test_what_is_redacted_is_shown_nowhere_and_said_to_be_so(walk):
    walk.run("label", "walk", "0.0", "river")
    result = walk.run("redact", "walk", "river", "--yes")

    assert result.stdout == "0.0 (#river)  assistant: (erased)\n"
    assert "its label 'river', the title 'A walk'" in result.stderr
    for args in (
        ("show", "walk"),
        ("path", "walk"),
        ("log", "walk"),
        ("log",),
        ("show", "walk", "--at", "5"),
        ("replay", "walk"),
    ):
        assert "(erased)" in walk.out(*args)
    for args in (
        ("path", "walk", "--at", "5"),
        ("show", "walk", "--json", "--at", "5"),
        ("log", "walk", "--json"),
        ("log",),
    ):
        assert "river." not in walk.out(*args)
    assert walk.out("log", "walk").splitlines()[-1].endswith("what 0.0 said was erased")
    assert walk.out("diff", "walk", "0", "@{5}").splitlines()[-1] == "erased, and compared as empty: 0.0"
    assert [node["redacted"] for node in walk.json("show", "walk", "--at", "5")["nodes"]] == [False, False, True]
    assert "before" in walk.run("redact", "walk", "0.0").stderr
    assert b"Along the river" not in walk.store.read_bytes()


def test_a_root_without_a_message_has_nothing_to_erase(shell):
    shell.run("new", "--id", "bare")

    assert "nothing that could be erased" in shell.refused("redact", "bare", "root", "--yes")


def test_a_missing_cursor_names_the_command_that_makes_one(walk):
    assert walk.refused("path", "walk", "--cursor", "guest").endswith("('branchlog cursor' makes another)")


def test_namespaces_do_not_see_each_other(walk):
    walk.run("--namespace", "other", "new", "--id", "walk")

    assert len(walk.json("list", "--namespace", "other")["conversations"]) == 1
    assert walk.json("--namespace", "other", "show", "walk")["nodes"][0]["message"] is None
    assert len(walk.json("path", "walk")) == 3


def test_deleting_asks_first(walk):
    for answer in ("n\n", "\n", ""):
        result = walk.run("delete", "walk", given=answer, code=1)

        assert "nothing was deleted" in result.stderr
    assert len(walk.json("path", "walk")) == 3

    walk.run("delete", "walk", given="y\n")

    assert "was deleted" in walk.refused("show", "walk")


def test_deleting_without_asking(walk):
    walk.run("delete", "walk", "--yes")

    assert walk.json("list")["conversations"] == []


def test_messages_do_not_act_on_the_terminal(walk):
    walk.run("say", "walk", "[red]danger[/red] \x1b[31m\x1b]0;title\x07 :smile:")

    for args in (("show", "walk"), ("path", "walk"), ("log", "walk"), ("log",)):
        out = walk.out(*args)
        assert "[red]danger[/red] ␛[31m␛]0;title␇ :smile:" in out
        assert "\x1b" not in out
    assert walk.json("path", "walk")[-1]["content"] == "[red]danger[/red] \x1b[31m\x1b]0;title\x07 :smile:"


def test_titles_and_ids_do_not_act_on_the_terminal(shell):
    shell.run("new", "\x1b[2Jgone", "--id", "x\x1b[2J")

    for args in (("list",), ("show",), ("log",), ("log", "-")):
        assert "\x1b" not in shell.out(*args)
    assert "\x1b" not in shell.refused("show", "\x1b[2J")


def test_what_was_not_foreseen_is_one_line_and_with_debug_a_traceback(walk, monkeypatch):
    def broken(*args, **options):
        raise ZeroDivisionError("unlikely")

    monkeypatch.setattr(branchlog.Store, "list", broken)
    monkeypatch.delenv("BRANCHLOG_DEBUG", raising=False)

    assert "ZeroDivisionError: unlikely (not foreseen: please report it" in walk.refused("list")

    monkeypatch.setenv("BRANCHLOG_DEBUG", "1")
    result = CliRunner().invoke(commands, ["--store", str(walk.store), "list"])

    assert isinstance(result.exception, ZeroDivisionError)


def test_an_interruption_has_its_own_exit_code(walk, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(branchlog.Store, "list", interrupted)

    assert "interrupted" in walk.run("list", code=130).stderr


def test_the_store_is_named_by_the_environment_or_is_in_the_data_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("BRANCHLOG_STORE", str(tmp_path / "named.db"))
    assert CliRunner().invoke(commands, ["new"]).exit_code == 0
    assert (tmp_path / "named.db").exists()

    monkeypatch.delenv("BRANCHLOG_STORE")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: tmp_path / "data" / name)
    assert "no store yet at" in CliRunner().invoke(commands, ["list"]).stderr
    assert not (tmp_path / "data").exists()
    assert CliRunner().invoke(commands, ["new"]).exit_code == 0
    assert (tmp_path / "data" / "branchlog" / "branchlog.db").exists()


def test_json_of_a_deep_tree_does_not_grow_with_its_ids(shell):
    with branchlog.open(shell.store) as store:
        chat = store.create("deep")
        for number in range(3_000):
            chat.say("user", str(number))
        store.save(chat)
    out = shell.out("show", "--json")

    assert len(out) < 2_500_000  # 3,000 dot paths alone would be 9 million characters
    assert json.loads(out)["nodes"][-1]["parent"] == 5_998


CHATGPT = [
    {
        "title": "Tea",
        "id": "tea",
        "conversation_id": "tea",
        "create_time": 1700000000.0,
        "update_time": 1700000001.0,
        "current_node": "b",
        "mapping": {
            "a": {"id": "a", "message": None, "parent": None, "children": ["b"]},
            "b": {
                "id": "b",
                "parent": "a",
                "children": [],
                "message": {
                    "id": "b",
                    "author": {"role": "user"},
                    "create_time": 1700000000.5,
                    "content": {"content_type": "text", "parts": ["Tea?"]},
                },
            },
        },
    }
]


def test_import_reads_what_it_can_and_says_what_it_could_not(shell, tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(CHATGPT))
    bad.write_text("not JSON at all")
    result = shell.run("import", str(bad), str(good), str(tmp_path / "missing.json"), code=1)
    lines = result.stdout.splitlines()

    assert "bad.json: not imported: " in lines[0]
    assert "good.json: chatgpt: 1 conversation (1 new)" in lines[1]
    assert "missing.json: not imported: there is no such file" in lines[2]
    assert lines[-1].startswith("together: 1 conversation (1 new")
    assert shell.json("path")[-1]["content"] == "Tea?"

    assert "(1 unchanged" in shell.out("import", str(good))
    reports = json.loads(shell.run("import", str(good), str(bad), "--json", code=1).stdout)
    assert [report["error"] is None for report in reports] == [True, False]


def test_the_real_samples_come_in_and_can_be_read(shell, samples):
    files = [*sorted((samples / "chatgpt").glob("*.json")), *sorted((samples / "oasst").glob("*.jsonl"))]
    assert files
    shell.run("import", *map(str, files))
    listed = shell.json("list", "--all")["conversations"]

    assert len(listed) > 100
    for summary in listed[:: max(len(listed) // 20, 1)]:
        seen = shell.json("show", summary["id"])
        assert len(seen["nodes"]) == summary["nodes"]
        assert "◉" in shell.out("show", summary["id"])
        assert shell.out("path", summary["id"])
        assert len(shell.out("log", summary["id"]).splitlines()) == summary["version"]


def test_without_a_command_help_is_written():
    result = CliRunner().invoke(commands, [])

    assert "Usage: branchlog" in result.output


def test_the_version_is_told_by_option_and_by_command():
    for args in (["--version"], ["version"]):
        assert re.fullmatch(r"branchlog \d+\.\d+\.\d+\S*\n", CliRunner().invoke(commands, args).stdout)


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts(shell_name):
    result = CliRunner().invoke(commands, ["completion", shell_name])

    assert "_BRANCHLOG_COMPLETE" in result.stdout


@pytest.mark.parametrize("name", commands.commands)
def test_every_command_says_what_it_does_and_is_in_the_reference(name):
    command = commands.commands[name]
    reference = (ROOT / "docs/reference/cli.md").read_text()
    section = reference.partition(f"\n## {name}\n")[2].partition("\n## ")[0]

    assert section.strip(), f"docs/reference/cli.md has no section for {name}"
    assert undocumented(command, name, section) == []
    for verb, inner in getattr(command, "commands", {}).items():
        assert f"`branchlog {name} {verb} CONVERSATION`" in section
        assert undocumented(inner, f"{name} {verb}", section) == []


def undocumented(command: click.Command, name: str, section: str) -> list[str]:
    """The options of a command that a section lacks."""
    assert command.help[0].isupper()
    assert not command.get_short_help_str(200).endswith(".")
    assert command.epilog.startswith(f"Example: branchlog {name}")
    options = [opt for each in command.params if isinstance(each, click.Option) for opt in each.opts if opt[:2] == "--"]
    shared = {"--store", "--namespace", "--json", "--cursor", "--last", "--at"}
    return [option for option in options if option not in shared and f"`{option}" not in section]


def test_an_empty_standard_input_says_nothing_unless_it_is_asked_for(shell):
    chat = shell.out("new", "Talk").strip()

    assert "standard input is empty" in shell.refused("say", chat)
    assert "(empty)" in shell.out("say", chat, "-", given="")
