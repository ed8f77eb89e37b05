"""Looking after stores: verifying, snapshots, moving to a new store."""

import json
import signal
import sqlite3
import subprocess
import sys

import pytest
from msgspec.structs import replace
from shell import Shell

import branchlog


def damage_snapshots(shell: Shell) -> None:
    """Flip a bit of a snapshot, behind the back of its seal."""
    with branchlog.open(shell.store) as store:
        snapshot = store.log.snapshots("walk")[-1]
        data = bytes([snapshot.data[0] ^ 1]) + snapshot.data[1:]
        store.log.put_snapshot("walk", replace(snapshot, data=data))


def damage_log(shell: Shell) -> None:
    """Change a word of a message in the file."""
    with sqlite3.connect(shell.store) as connection:
        changed = connection.execute("UPDATE commits SET data = replace(data, 'river', 'rivet')")
        assert changed.rowcount > 0
    connection.close()


def test_verifying_what_is_well(walk):
    walk.run("new", "--id", "other")

    assert walk.out("verify", "walk") == "walk  well: 5 events, 3 nodes\n"
    assert walk.out("verify").startswith("other  well: 1 event, 1 node")
    assert walk.out("verify", "walk", "oth").splitlines()[-1] == "2 verified: all well"
    assert walk.out("verify", "--all") == "2 verified: all well\n"
    assert [each["id"] for each in walk.json("verify", "--all")] == ["other", "walk"]
    assert walk.json("verify", "walk") == [
        {
            "id": "walk",
            "ok": True,
            "version": 5,
            "nodes": 3,
            "snapshot_version": 0,
            "differences": [],
            "error": None,
        }
    ]
    walk.run("verify", "walk", "--all", code=2)
    assert "'nope' not found" in walk.refused("verify", "walk", "nope")


def test_verifying_a_damaged_log_names_it_and_goes_on(walk):
    walk.run("new", "--id", "other")
    damage_log(walk)
    result = walk.run("verify", "--all", code=1)

    assert result.stdout.splitlines()[0].startswith("walk  commit at version 4 of 'walk': the checksum does not match")
    assert result.stdout.splitlines()[1:] == ["2 verified: 1 not well"]
    told = json.loads(walk.run("verify", "walk", "--json", code=1).stdout)
    assert (told[0]["ok"], "checksum" in told[0]["error"]) == (False, True)


def test_verifying_a_wrong_catalog(walk):
    with branchlog.open(walk.store) as store:
        entry = store.log.entry("walk")
        entry.metadata["wrong"] = True
        store.log.put_entry(entry)

    assert "the catalog" in walk.run("verify", "walk", code=1).stdout


def test_snapshots_are_taken_listed_verified_and_dropped(walk):
    assert walk.json("snapshot", "list", "walk") == []
    assert "no snapshots" in walk.run("snapshot", "list", "walk").stderr
    assert walk.out("snapshot", "take", "walk") == "snapshots reach version 5\n"
    (listed,) = walk.json("snapshot", "list", "--last")
    assert (listed["after"], listed["version"], listed["usable"]) == (0, 5, True)
    header, line = walk.out("snapshot", "list", "walk").splitlines()
    assert (header.split(), line.split()[1::2]) == (["AFTER", "VERSION", "BYTES", "USABLE"], ["5", "yes"])
    assert walk.out("snapshot", "verify", "walk").rstrip().endswith("snapshots up to version 5")
    assert walk.out("snapshot", "drop", "walk") == "1 snapshot dropped\n"
    assert walk.json("snapshot", "list", "walk") == []
    for verb in ("take", "drop", "list", "verify"):
        assert "'nope' not found" in walk.refused("snapshot", verb, "nope")


def test_a_snapshot_that_is_ignored_is_one_line_on_standard_error(walk):
    walk.run("snapshot", "take", "walk")
    damage_snapshots(walk)
    result = walk.run("show", "walk")

    assert "Along the river." in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: the snapshot of 'walk' at version 5 is ignored: it is not as it was written")
    assert walk.run("snapshot", "verify", "walk").stdout == "walk  well: 5 events, 3 nodes\n"
    assert walk.out("snapshot", "list", "walk").split()[-1] == "no"


def test_migrating_and_migrating_again(walk, tmp_path):
    walk.run("--namespace", "team", "new", "--id", "plan")
    before = walk.store.read_bytes()
    target = str(tmp_path / "new.db")
    moved = walk.out("migrate", str(walk.store), target).splitlines()

    assert moved == [
        "1 conversation: 5 events in 3 commits copied; both fold to the same trees",
        "namespace 'team': 1 conversation: 1 event in 1 commit copied; both fold to the same trees",
    ]
    assert "nothing new to copy" in walk.out("migrate", str(walk.store), target)
    there = Shell(tmp_path / "new.db")
    assert there.out("log", "walk") == walk.out("log", "walk")
    assert there.json("--namespace", "team", "list")["conversations"][0]["id"] == "plan"
    assert walk.store.read_bytes() == before


def test_migrating_one_namespace(walk, tmp_path):
    walk.run("--namespace", "team", "new", "--id", "plan")
    report = walk.json("migrate", str(walk.store), str(tmp_path / "new.db"), "--namespace", "team")

    assert [each["namespace"] for each in report["namespaces"]] == ["team"]
    assert report["namespaces"][0]["copied_events"] == 1
    assert Shell(tmp_path / "new.db").json("list")["conversations"] == []
    assert "there are: '', 'team'" in walk.refused("migrate", str(walk.store), "x.db", "--namespace", "no")


def test_what_cannot_be_migrated(walk, tmp_path):
    source, junk = str(walk.store), tmp_path / "junk"
    junk.write_text("my diary " * 100)

    assert "no such file" in walk.refused("migrate", str(tmp_path / "nope.db"), str(tmp_path / "new.db"))
    assert not (tmp_path / "new.db").exists()
    assert "the same store" in walk.refused("migrate", source, source)
    assert "the same store" in walk.refused("migrate", source, f"sqlite:{source}")
    assert "not a branchlog store" in walk.refused("migrate", source, str(junk))
    assert "not a branchlog store" in walk.refused("migrate", str(junk), source)
    assert "no folder" in walk.refused("migrate", source, str(tmp_path / "no" / "new.db"))
    assert junk.read_text() == "my diary " * 100


@pytest.mark.parametrize("said", [1, 2])
def test_a_target_with_another_conversation_of_the_id_is_left_alone(walk, tmp_path, said):
    other = Shell(tmp_path / "other.db")
    other.run("new", "Another", "--id", "walk")
    for number in range(said - 1):
        other.run("say", "walk", str(number))

    assert "another conversation 'walk'" in walk.refused("migrate", str(walk.store), str(other.store))
    assert other.json("show", "walk")["title"] == "Another"


def test_a_target_that_went_its_own_way_differs(walk, tmp_path):
    target = Shell(tmp_path / "new.db")
    walk.run("migrate", str(walk.store), str(target.store))
    target.run("say", "walk", "Mine.")
    result = walk.run("migrate", str(walk.store), str(target.store), code=1)

    assert "differs: walk: " in result.stdout


KILLED = """
import os, signal, sys
import branchlog.migration
from branchlog.cli import main
from branchlog.logs.sqlite import SqliteLog

branchlog.migration.GROUP_COMMITS = 7
append_group, groups = SqliteLog.append_group, []

def killed(log, appends):
    groups.append(appends)
    if len(groups) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return append_group(log, appends)

SqliteLog.append_group = killed
main()
"""


def test_a_migration_that_was_killed_goes_on_where_it_was(walk, tmp_path):
    for number in range(30):
        walk.run("say", "walk", str(number))
    target = Shell(tmp_path / "new.db")
    args = ["migrate", str(walk.store), str(target.store)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *args], timeout=60, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert target.json("list")["conversations"][0]["version"] == 5 + 2 * 11

    again = subprocess.run(
        [sys.executable, "-m", "branchlog", *args, "--json"], timeout=60, check=True, capture_output=True
    )

    (report,) = json.loads(again.stdout)["namespaces"]
    assert (report["copied_commits"], report["differences"]) == (33 - 14, [])
    assert target.out("log", "walk") == walk.out("log", "walk")
