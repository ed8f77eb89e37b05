"""The archive: what is written and read again is the same store, to the letter."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.archive import read_archive, write_archive
from branchlog.commit import genesis, seal
from branchlog.errors import ConversationNotFound, InvalidInput
from branchlog.exchange import import_file, import_files
from branchlog.logs.base import Query
from branchlog.testing import TickingClock, commands, played, portrait


def opened(namespace=""):
    return branchlog.open("memory:", namespace=namespace, clock=TickingClock())


@pytest.fixture
def store():
    """Conversations of some commits, their positions interleaved, one redacted, one deleted."""
    with opened() as made:
        chats = [made.create(f"trip {n}", title=f"Trip {n}", metadata={"n": n}) for n in range(4)]
        for turn in range(4):
            for chat in chats:
                chat.say("user", f"{chat.id} {turn}")
                chat.add("assistant", "é 🦉\u2028\0", under="@~")
                made.save(chat)
        chats[1].annotate("0", label="best", rating=3)
        chats[1].redact("0.0")
        made.save(chats[1])
        made.delete("trip 3")
        yield made


def archived(store, **options):
    file = io.BytesIO()
    write_archive(store, file, **options)
    return file.getvalue()


def restored(data, namespace=""):
    other = opened(namespace)
    return other, read_archive(other, io.BytesIO(data))


def commits(store):
    """Every commit, but for its position."""
    return [
        [getattr(each, name) for name in each.__struct_fields__ if name != "position"] for each in store.log.read_all()
    ]


def entries(store):
    return store.log.entries(Query(order="id"))


def test_what_is_read_is_equal_and_written_again_the_same_bytes(store):
    data = archived(store)
    other, arrival = restored(data)

    assert commits(other) == commits(store)
    assert entries(other) == entries(store)
    assert archived(other) == data
    assert (arrival.added, arrival.nodes, arrival.skipped) == (3, sum(each.nodes for each in store.list()), [])
    assert portrait(other.load("trip 1").tree) == portrait(store.load("trip 1").tree)


@given(st.lists(st.tuples(st.sampled_from("ab"), commands(max_size=8)), max_size=5), st.integers(0, 4))
def test_any_store_comes_out_as_it_went_in_and_grows_from_any_moment(scripts, moment):
    """An archive of an earlier moment, and then one of now, come to the same as the one of now alone."""
    with opened() as store:
        earlier = archived(store)
        for number, (id, script) in enumerate(scripts):
            chat = store.load(id) if store.count(metadata={"id": id}) else store.create(id, metadata={"id": id})
            store.save(played(script, chat))
            if number == moment:
                chat.redact(chat.tree.nodes[-1])
                store.save(chat)
                earlier = archived(store)
        data = archived(store)
        other, _ = restored(earlier)
        grown = read_archive(other, io.BytesIO(data))
        again = read_archive(other, io.BytesIO(data))

        assert (commits(other) == commits(store)) or sorted(map(repr, commits(other))) == sorted(
            map(repr, commits(store))
        )
        assert sorted(entries(other), key=repr) == sorted(entries(store), key=repr)
        assert (grown.skipped, again.skipped, again.unchanged) == ([], [], store.count())
        assert archived(restored(data)[0]) == data


def test_every_line_can_be_read_by_any_tool(store):
    header, *lines = map(json.loads, archived(store).splitlines())

    assert header == {"branchlog-archive": 1, "namespace": ""}
    assert [line["conversation"] for line in lines[:4]] == ["trip 0", "trip 1", "trip 2", "trip 0"]
    assert lines[0]["events"][0]["title"] == "Trip 0"
    assert [(line["first"], line["count"]) for line in lines if line["conversation"] == "trip 2"][:2] == [
        (1, 4),
        (5, 3),
    ]


def test_chosen_conversations_only(store):
    other, arrival = restored(archived(store, ids=["trip 2"]))

    assert [each.id for each in other.list()] == ["trip 2"]
    assert arrival.added == 1
    with pytest.raises(ConversationNotFound):
        archived(store, ids=["trip 3"])


def test_in_another_namespace_the_trees_are_the_same(store):
    other, arrival = restored(archived(store), "theirs")

    assert arrival.skipped == []
    for id in ("trip 0", "trip 1", "trip 2"):
        assert portrait(other.load(id).tree) == portrait(store.load(id).tree)
        assert other.verify(id).differences == ()


@pytest.mark.parametrize(
    "payload", [b'[ {"type":"x"},\n {} ]', b"[{}] ", b"[{},\r{}]", b"no JSON", b"\xff", b"[" * 5_000 + b"]" * 5_000]
)
def test_a_payload_that_does_not_fit_into_a_line_comes_back_to_the_letter(payload):
    with opened() as store:
        commit = seal("a", genesis("", "a"), count=2, id=b"i" * 16, at=5, schema="1.0.0", data=payload)
        store.log.append(commit, expected=0)
        other, arrival = restored(archived(store))

        assert [each.data for each in other.log.read("a")] == [payload]
        assert "cannot be read" in arrival.skipped[0].reason


def test_a_damaged_line_ends_its_conversation_and_no_other(store):
    """Whatever byte of a line is changed, what comes in is a beginning of what there was, and the rest is whole."""
    lines = archived(store).splitlines(keepends=True)
    whole = {id: store.load(id).version for id in ("trip 0", "trip 1", "trip 2")}
    for place in range(0, len(lines[5]) - 1, 3):
        damaged = bytearray(lines[5])
        damaged[place] ^= 0x11
        other, arrival = restored(b"".join([*lines[:5], bytes(damaged), *lines[6:]]))
        there = {each.id: each.version for each in other.list()}
        assert {id: there[id] for id in ("trip 0", "trip 2")} == {id: whole[id] for id in ("trip 0", "trip 2")}
        assert there["trip 1"] in (4, whole["trip 1"])
        assert (there["trip 1"] == whole["trip 1"]) or arrival.skipped
        assert all(other.verify(id).differences == () for id in whole)


def test_a_line_that_is_missing_or_cut_ends_its_conversation(store):
    lines = archived(store).splitlines(keepends=True)
    other, arrival = restored(b"".join(lines[:4] + lines[5:])[:-20])

    assert any("up to version 4: version 5 is missing" in each.reason for each in arrival.skipped)
    assert arrival.skipped[0].where.startswith("line ")
    assert all(other.verify(each.id).differences == () for each in other.list())


def test_a_conversation_that_went_on_by_itself_is_left_alone(store):
    data = archived(store)
    other, _ = restored(data)
    with other.editing("trip 0") as chat:
        chat.say("user", "mine")
    with store.editing("trip 0") as chat:
        chat.say("user", "theirs")
    with store.editing("trip 2") as chat:
        chat.say("user", "more")
    arrival = read_archive(other, io.BytesIO(archived(store)))

    assert "went on" in arrival.skipped[0].reason
    assert other.messages("trip 0")[-1].text == "mine"
    assert other.messages("trip 2")[-1].text == "more"
    assert (arrival.grown, arrival.nodes) == (1, 1)


def test_what_was_erased_since_is_erased_in_a_copy_that_grows(store):
    other, _ = restored(archived(store))
    with store.editing("trip 0") as chat:
        chat.redact("0")
    arrival = read_archive(other, io.BytesIO(archived(store)))

    assert arrival.grown == 1
    assert other.load("trip 0").tree["0"].redacted
    assert b"trip 0 0" not in b"".join(each.data for each in other.log.read("trip 0"))
    assert sorted(map(repr, commits(other))) == sorted(map(repr, commits(store)))


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}\n", b'{"branchlog-archive":"x"}', b'{"branchlog-archive":1}x', b"\xff"]
)
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(InvalidInput, match="no archive"):
        restored(data)


def test_import_takes_an_archive_by_its_content_and_reports(store, tmp_path):
    path = tmp_path / "backup"
    path.write_bytes(archived(store))
    with opened() as other:
        report = import_file(other, path)
        again = import_file(other, path)

        assert (report.format, report.added, report.nodes, report.skipped) == ("archive", 3, 27, ())
        assert (again.unchanged, again.nodes) == (3, 0)
        path.write_bytes(b'{"branchlog-archive":2}\n')
        (refused,) = import_files(other, [path])
        assert "version 2" in refused.error
