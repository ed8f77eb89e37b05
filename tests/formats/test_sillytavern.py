"""SillyTavern: swipes are alternatives, the shown one carries what follows, and every way to write a time is one."""

import copy
import json

import pytest
from formats.exports import texts as any_text
from formats.records import check_that_damage_costs_nothing, damaged, found, only, path, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.exchange import import_file
from branchlog.formats import sillytavern
from branchlog.formats.outline import add_missing

HEADER = {
    "user_name": "Ada",
    "character_name": "Guide",
    "create_date": "2025-11-21",
    "chat_metadata": {"integrity": "x"},
}


def said(text, *, user=False, **fields):
    name = "Ada" if user else "Guide"
    return {
        "name": name,
        "is_user": user,
        "is_system": False,
        "send_date": "2025-11-21T00:00:00Z",
        "mes": text,
        **fields,
    }


def swiped(swipes, shown, **fields):
    infos = [
        {"send_date": f"2025-11-21T00:00:0{number}Z", "extra": {"number": number}} for number in range(len(swipes))
    ]
    return said(swipes[shown], swipes=swipes, swipe_id=shown, swipe_info=infos, **fields)


@st.composite
def chats(draw):
    lines = [HEADER]
    for index in range(draw(st.integers(1, 6))):
        swipes = draw(st.lists(any_text, min_size=1, max_size=3))
        shown = draw(st.integers(0, len(swipes) - 1))
        lines.append(swiped(swipes, shown) if draw(st.booleans()) else said(draw(any_text), user=index % 2 == 0))
    return lines


@given(chats())
def test_each_swipe_is_an_alternative_and_the_shown_one_carries_what_follows(lines):
    chat, outline, repairs = only(sillytavern, lines)
    assert repairs == []
    assert [node.message.content for node in path(chat)] == [line["mes"] for line in lines[1:]]
    for node, line in zip(path(chat), lines[1:], strict=True):
        told = [each.message.content for each in node.alternatives]
        assert told == line.get("swipes", [line["mes"]])
        assert node.message.name == line["name"]
    assert chat.title == "Guide" or not chat.title
    assert add_missing(chat, outline) == 0


@given(chats(), st.data())
def test_damage_comes_in_or_is_skipped(lines, data):
    check_that_damage_costs_nothing(sillytavern, damaged(data.draw, copy.deepcopy(lines)))


@given(chats(), st.integers(2, 7))
def test_a_chat_that_has_grown_adds_what_is_new(lines, count):
    chat, first, _ = only(sillytavern, lines[:count])
    whole, outline, _ = only(sillytavern, lines)
    add_missing(chat, outline)

    assert first.id == outline.id
    assert [node.message and node.message.content for node in chat.tree.walk()] == [
        node.message and node.message.content for node in whole.tree.walk()
    ]
    assert chat.cursor.id == whole.cursor.id


def test_a_new_swipe_and_a_changed_message_are_alternatives():
    lines = [HEADER, said("hello"), said("go on", user=True), said("one")]
    chat, _, _ = only(sillytavern, lines)
    _, swiped_on, _ = only(sillytavern, [*lines[:3], swiped(["one", "two"], 1)])
    _, changed, _ = only(sillytavern, [*lines[:2], said("go on, please", user=True), said("yes")])

    assert add_missing(chat, swiped_on) == 1
    assert texts(chat) == ["hello", "go on", "two"]
    assert [node.message.text for node in chat.cursor.alternatives] == ["one", "two"]
    assert add_missing(chat, changed) == 2
    assert texts(chat) == ["hello", "go on, please", "yes"]


def test_the_file_of_a_branch_comes_into_the_tree_of_the_chat():
    main = [HEADER, said("hello"), said("left", user=True)]
    branch = [{**HEADER, "chat_metadata": {"main_chat": "main"}}, said("hello"), said("right", user=True)]
    chat, outline, _ = only(sillytavern, main)
    _, other, _ = only(sillytavern, branch)

    assert other.id == outline.id
    assert add_missing(chat, other) == 1
    assert [child.message.text for child in chat.tree["0"].children] == ["left", "right"]


def test_each_swipe_has_what_is_said_of_it():
    line = swiped(["a", "b", "c"], 1, extra={"bookmark_link": "Checkpoint", "branches": ["Branch"]}, force_avatar="x")
    line["swipe_info"] = line["swipe_info"][:2]
    chat, _, _ = only(sillytavern, [HEADER, said("hi"), line])
    first, second, third = chat.cursor.alternatives

    assert first.message.metadata["sillytavern"]["extra"] == {"number": 0}
    assert second.message.metadata["sillytavern"]["extra"] == line["extra"]
    assert second.message.metadata["sillytavern"]["swipe_info"] == line["swipe_info"][1]
    assert second.message.metadata["sillytavern"]["force_avatar"] == "x"
    assert third.message.metadata["sillytavern"].keys() == {"id"}
    assert [node.bookmark for node in (first, second, third)] == [False, True, False]


@pytest.mark.parametrize(
    ("fields", "told", "shown", "reported"),
    [
        ({"swipes": ["a", "b"], "swipe_id": 1}, ["a", "x"], 1, "another than that"),
        ({"swipes": ["a", "x"], "swipe_id": 9}, ["a", "x"], 1, "swipe_id is 9"),
        ({"swipes": ["a", "x"]}, ["a", "x"], 1, "swipe_id is null"),
        ({"swipes": ["a", "b"], "swipe_id": -1}, ["a", "b", "x"], 2, "swipe_id is -1"),
        ({"swipes": ["a", 5, "x"], "swipe_id": 2}, ["a", "5", "x"], 2, "a swipe is a number"),
        ({"swipes": "a"}, ["x"], 0, "swipes is text"),
        ({"swipes": []}, ["x"], 0, None),
        ({}, ["x"], 0, None),
    ],
)
def test_swipes_that_do_not_agree_with_the_message(fields, told, shown, reported):
    chat, _, repairs = only(sillytavern, [HEADER, said("hi"), said("x", **fields)])

    assert [node.message.text for node in chat.cursor.alternatives] == told
    assert chat.cursor.ordinal == shown
    assert any(reported in each for each in repairs) if reported else repairs == []


def test_the_text_of_a_swipe_that_the_message_has_changed_is_kept():
    chat, _, _ = only(sillytavern, [HEADER, said("x", swipes=["a"], swipe_id=0)])

    assert chat.cursor.message.metadata["sillytavern"]["swipe"] == "a"


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2023-6-2 @21h 09m 51s 363ms", "2023-06-02T21:09:51.363000+00:00"),
        ("2023-06-02@21h09m51s", "2023-06-02T21:09:51+00:00"),
        ("June 19, 2023 2:20pm", "2023-06-19T14:20:00+00:00"),
        ("June 19, 2023 12:05am", "2023-06-19T00:05:00+00:00"),
        ("2023-06-02T21:09:51.363Z", "2023-06-02T21:09:51.363000+00:00"),
        (1_685_740_191_363, "2023-06-02T21:09:51.363000+00:00"),
        ("1685740191363", "2023-06-02T21:09:51.363000+00:00"),
    ],
)
def test_the_ways_to_write_a_time(stamp, time):
    chat, _, repairs = only(sillytavern, [HEADER, said("x", send_date=stamp)])

    assert repairs == []
    assert chat.cursor.added.isoformat() == time


@pytest.mark.parametrize("stamp", ["2023-13-2 @21h 09m 51s", "Brumaire 1, 1799 2:20pm", "soon", 10**400, -5])
def test_a_time_that_is_none_is_reported(stamp):
    _, _, repairs = only(sillytavern, [HEADER, said("x", send_date=stamp)])

    assert any("send_date is no time" in each for each in repairs)


@pytest.mark.parametrize(
    ("fields", "role"),
    [
        ({"is_user": True}, "user"),
        ({"is_system": True, "extra": {"type": "narrator"}}, "system"),
        ({"is_system": True, "extra": {"api": "x"}}, "assistant"),
        ({}, "assistant"),
    ],
)
def test_whose_a_message_is(fields, role):
    chat, _, _ = only(sillytavern, [HEADER, said("x") | fields])

    assert chat.cursor.message.role == role


def test_newer_headers_name_nobody_and_the_first_line_may_be_a_message():
    header = {"user_name": "unused", "character_name": "unused", "chat_metadata": {}}
    chat, outline, _ = only(sillytavern, [header, said("hi"), said("oh", user=True)])
    bare, without, _ = only(sillytavern, [said("hi"), said("oh", user=True)])

    assert chat.title == bare.title == "Guide"
    assert outline.id == without.id
    assert [turn.id for turn in outline.turns] == [turn.id for turn in without.turns]
    assert chat.metadata["sillytavern"] == header


def test_a_damaged_line_moves_no_other(tmp_path):
    lines = [json.dumps(line) for line in (HEADER, said("a"), said("b", user=True), said("c"))]
    with branchlog.open(tmp_path / "chats.db") as store:
        (tmp_path / "chat.jsonl").write_text("\n".join(lines))
        first = import_file(store, tmp_path / "chat.jsonl")
        again = import_file(store, tmp_path / "chat.jsonl")
        (tmp_path / "chat.jsonl").write_text("\n".join([*lines, "{", json.dumps(said("d"))]))
        later = import_file(store, tmp_path / "chat.jsonl")

    assert (first.format, first.added, first.nodes) == ("sillytavern", 1, 4)
    assert (again.unchanged, later.nodes) == (1, 1)
    assert [skipped.where for skipped in later.skipped] == ["line 5"]


def test_chats_behind_one_another_and_what_is_no_message():
    conversations, skipped = found(sillytavern, [HEADER, said("a"), HEADER, said("b"), {"x": 1}, 5])

    assert [texts(chat) for chat, _, _ in conversations] == [["a"], ["b"]]
    assert [each.where for each in skipped] == ["line 5", "line 6"]


def test_20_000_messages():
    chat, _, _ = only(sillytavern, [HEADER, *(said(str(number)) for number in range(20_000))])

    assert chat.cursor.depth == 20_000


def test_another_greeting_comes_later_as_an_alternative():
    chat, _, _ = only(sillytavern, [HEADER, said("hi")])
    _, outline, repairs = only(sillytavern, [HEADER, swiped(["hi", "hello"], 1)])

    assert repairs == []
    assert add_missing(chat, outline) == 1
    assert [child.message.text for child in chat.tree.root.children] == ["hi", "hello"]
