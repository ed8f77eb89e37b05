"""Copying a store to another one, and the doctor."""

import json
import sqlite3

import branchlog


def test_a_store_is_copied(walk, tmp_path):
    walk.run("--namespace", "team", "new", "--id", "other")
    target = str(tmp_path / "copy.db")

    assert walk.out("copy", str(walk.store), target) == (
        "2 conversations in 2 namespaces: 6 events in 4 commits copied; both fold to the same trees\n"
    )
    assert "nothing new to copy" in walk.out("copy", str(walk.store), target)
    assert walk.json("copy", str(walk.store), target) == {
        "source": str(walk.store),
        "target": target,
        "namespaces": ["", "team"],
        "conversations": 2,
        "copied_commits": 0,
        "copied_events": 0,
        "differences": [],
    }
    assert walk.out("--store", target, "show", "walk") == walk.out("show", "walk")


def test_one_namespace_is_copied(walk, tmp_path):
    walk.run("--namespace", "team", "new", "--id", "other")
    told = walk.json("copy", str(walk.store), str(tmp_path / "one.db"), "--namespace", "team")

    assert (told["namespaces"], told["conversations"]) == (["team"], 1)
    refused = walk.refused("copy", str(walk.store), str(tmp_path / "two.db"), "--namespace", "no")
    assert "there are: '', 'team'" in refused
    assert not (tmp_path / "two.db").exists()


def test_what_cannot_be_copied(walk, tmp_path):
    source = str(walk.store)

    assert "no such file" in walk.refused("copy", str(tmp_path / "nope.db"), str(tmp_path / "new.db"))
    assert "the same store" in walk.refused("copy", source, f"sqlite:{source}")
    with branchlog.open(tmp_path / "other.db") as store:
        store.save(store.create("walk"))
    assert "another conversation 'walk'" in walk.refused("copy", source, str(tmp_path / "other.db"))
    with branchlog.open(tmp_path / "empty.db"):
        pass
    assert "nothing to copy" in walk.run("copy", str(tmp_path / "empty.db"), str(tmp_path / "new.db")).stderr


def test_differences_are_told(walk, tmp_path):
    target = str(tmp_path / "copy.db")
    walk.run("new", "--id", "gone")
    walk.run("copy", str(walk.store), target)
    walk.run("delete", "gone", "--yes")
    result = walk.run("copy", str(walk.store), target, code=1)

    assert "1 difference" in result.stdout
    assert "differs: gone: it was deleted in the source" in result.stdout
    told = json.loads(walk.run("copy", str(walk.store), target, "--json", code=1).stdout)
    assert told["differences"][0]["conversation"] == "gone"


def test_the_doctor_of_a_sound_store(walk):
    told = walk.out("doctor", str(walk.store))

    assert told.startswith(f"SQLite file at {walk.store}\n")
    assert "abilities: durable, persistent, shared, snapshots, erases, drafts\n" in told
    assert "1 conversation in 1 namespace, 5 events\n" in told
    assert told.endswith("nothing wrong was found\n")
    assert walk.out("doctor") == told
    assert walk.out("doctor", "--deep").endswith("1 conversation replayed, all well\n")
    found = walk.json("doctor", "--deep")
    assert (found["ok"], found["verified"], found["bad"], found["problems"]) == (True, 1, [], [])
    assert (found["kind"], found["events"], found["abilities"]["durable"]) == ("SQLite file", 5, True)
    assert found["namespaces"] == [{"namespace": "", "conversations": 1}]


def test_the_doctor_of_one_in_memory(walk):
    told = walk.out("doctor", "memory:")

    assert "not durable" in told
    assert "0 conversations in 0 namespaces" in told


def test_the_doctor_finds_damage_when_it_looks_deep(walk):
    with sqlite3.connect(walk.store) as connection:
        connection.execute("UPDATE commits SET data = replace(data, 'river', 'rivet')")
    connection.close()

    assert walk.run("doctor").stdout.endswith("nothing wrong was found\n")
    result = walk.run("doctor", "--deep", code=1)
    assert "not well: walk: commit at version 4 of 'walk': the checksum does not match" in result.stdout
    told = json.loads(walk.run("doctor", "--deep", "--json", code=1).stdout)
    assert (told["ok"], told["bad"][0]["id"]) == (False, "walk")


def test_the_doctor_of_what_is_no_store(walk, tmp_path):
    (tmp_path / "junk").write_text("junk")

    assert "not a branchlog store" in walk.refused("doctor", str(tmp_path / "junk"))
    assert "no such file" in walk.refused("doctor", str(tmp_path / "none.db"))
