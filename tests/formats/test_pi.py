"""pi: a file of version 1 is a line, later ones are trees; labels, names and changes of the model are kept."""

import copy
import json

import pytest
from formats.exports import texts as any_text
from formats.records import check_that_damage_costs_nothing, damaged, found, only, path, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.exchange import import_file
from branchlog.formats import pi
from branchlog.formats.outline import add_missing, known_ids

HEADER = {"type": "session", "version": 3, "id": "s", "timestamp": "2025-11-21T00:00:00.000Z", "cwd": "/trip"}


def entry(id, parent=None, *, role="user", content=None, second=0, **fields):
    said = {"role": role, "content": [{"type": "text", "text": id}] if content is None else content}
    return {"type": "message", "id": id, "parentId": parent, "timestamp": stamp(second), "message": {**said, **fields}}


def other(type, id, parent, *, second=0, **fields):
    return {"type": type, "id": id, "parentId": parent, "timestamp": stamp(second), **fields}


def stamp(second):
    return f"2025-11-21T00:{second // 60:02}:{second % 60:02}.000Z"


def node(chat, id):
    return known_ids(chat, "pi")[id]


@st.composite
def files(draw):
    lines = [HEADER]
    ids = []
    for index in range(draw(st.integers(1, 8))):
        id, parent = f"e{index}", draw(st.sampled_from(ids)) if ids else None
        kind = (
            draw(st.sampled_from(["message", "model_change", "compaction", "custom_message", "future"])) if ids else ""
        )
        if kind == "compaction":
            lines.append(other(kind, id, parent, second=index, summary=draw(any_text), firstKeptEntryId="e0"))
        elif kind == "custom_message":
            lines.append(other(kind, id, parent, second=index, content=draw(any_text), customType="x", display=True))
        elif kind in ("", "message"):
            role = draw(st.sampled_from(["user", "assistant", "toolResult"]))
            lines.append(entry(id, parent, role=role, content=draw(any_text), second=index, model="m"))
        else:
            lines.append(other(kind, id, parent, second=index, modelId="m"))
        ids.append(id)
    return lines


@given(files())
def test_every_entry_is_a_node_or_kept_and_hangs_under_the_nearest_node_above(lines):
    chat, outline, repairs = only(pi, lines)
    by_id = {line["id"]: line for line in lines[1:]}
    is_node = {id: line["type"] in pi.NODES for id, line in by_id.items()}
    nodes = known_ids(chat, "pi")

    assert repairs == []
    assert [turn.id for turn in outline.turns[1:]] == [id for id in by_id if is_node[id]]
    for id, found_node in nodes.items():
        above = by_id[id]["parentId"]
        while above is not None and not is_node[above]:
            above = by_id[above]["parentId"]
        assert found_node.parent == (chat.tree.root if above is None else nodes[above])
    kept = [each["id"] for turn in outline.turns for each in turn.metadata.get("entries", [])]
    kept += [each["id"] for each in outline.metadata.get("entries", [])]
    assert kept == [id for id in by_id if not is_node[id]]
    assert chat.cursor.message.metadata["pi"]["timestamp"] <= lines[-1]["timestamp"]
    assert add_missing(chat, outline) == 0


@given(files(), st.data())
def test_damage_comes_in_or_is_skipped(lines, data):
    check_that_damage_costs_nothing(pi, damaged(data.draw, copy.deepcopy(lines)))


@given(files(), st.integers(2, 9))
def test_a_file_that_has_grown_adds_what_is_new(lines, count):
    chat, _, _ = only(pi, lines[:count])
    whole, outline, _ = only(pi, lines)
    add_missing(chat, outline)

    assert [each.id for each in chat.tree.walk()] == [each.id for each in whole.tree.walk()]
    assert known_ids(chat, "pi").keys() == known_ids(whole, "pi").keys()


@given(st.lists(any_text, min_size=1, max_size=6), st.integers(1, 6))
def test_version_1_is_a_line_whose_entries_are_named_by_what_they_say(said, count):
    header = {"type": "session", "id": "old", "timestamp": stamp(0), "cwd": "/"}
    lines = [{"type": "message", "timestamp": stamp(0), "message": {"role": "user", "content": text}} for text in said]
    chat, _, repairs = only(pi, [header, *lines[:count]])
    _, outline, _ = only(pi, [header, *lines])

    assert repairs == []
    assert add_missing(chat, outline) == max(0, len(said) - count)
    assert texts(chat) == said
    assert add_missing(chat, outline) == 0


def test_where_it_stands_is_where_the_last_entry_stands():
    lines = [
        HEADER,
        entry("a"),
        entry("b", "a", role="assistant"),
        entry("c", "a"),
        other("label", "l", "b", targetId="c"),
    ]
    chat, _, _ = only(pi, lines)

    assert chat.cursor == node(chat, "b")


def test_labels_are_those_of_the_nodes_as_they_were_set_last():
    lines = [
        HEADER,
        entry("a"),
        entry("b", "a"),
        entry("c", "b"),
        other("model_change", "m", "c", modelId="x"),
        other("label", "l1", "m", targetId="a", label="start"),
        other("label", "l2", "l1", targetId="b", label="gone"),
        other("label", "l3", "l2", targetId="b"),
        other("label", "l4", "l3", targetId="m", label="here it goes: 1"),
    ]
    chat, outline, repairs = only(pi, lines)

    assert repairs == []
    assert [node(chat, id).label for id in "abc"] == ["start", None, "here_it_goes_1"]
    assert outline.metadata["entries"] == lines[4:]


@pytest.mark.parametrize(("label", "found"), [("2nd try", "n2nd_try"), ("root", None), ("main", None), ("!!", None)])
def test_a_label_that_cannot_be_one(label, found):
    chat, _, repairs = only(pi, [HEADER, entry("a"), other("label", "l", "a", targetId="a", label=label)])

    assert chat.cursor.label == found
    assert (repairs == []) == (found is not None)


def test_two_nodes_of_one_label_are_told_apart_by_the_first():
    labels = [other("label", f"l{id}", "b", targetId=id, label="best") for id in "ab"]
    chat, _, repairs = only(pi, [HEADER, entry("a"), entry("b", "a"), *labels])

    assert [each.label for each in path(chat)] == ["best", None]
    assert any("another node has the label 'best'" in each for each in repairs)


def test_a_label_that_was_given_here_stays_where_it_is():
    chat, _, _ = only(pi, [HEADER, entry("a")])
    chat.annotate("0", label="best")
    lines = [HEADER, entry("a"), entry("b", "a"), other("label", "l", "b", targetId="b", label="best")]
    _, outline, _ = only(pi, lines)

    assert add_missing(chat, outline) == 1
    assert [each.label for each in path(chat)] == ["best", None]


def test_the_name_is_the_title_and_summaries_are_messages():
    lines = [
        HEADER,
        entry("a"),
        other("compaction", "b", "a", summary="So far", firstKeptEntryId="a", tokensBefore=9),
        other("branch_summary", "c", "b", fromId="a", summary="The other way"),
        other("custom_message", "d", "c", customType="x", content="Injected", display=False),
        other("session_info", "i", "d", name="First"),
        other("session_info", "j", "i", name="Kyoto"),
    ]
    chat, _, _ = only(pi, lines)

    assert chat.title == "Kyoto"
    assert texts(chat) == ["a", "So far", "The other way", "Injected"]
    assert {each.message.role for each in path(chat)} == {"user"}
    assert [each.hidden for each in path(chat)] == [False, False, False, True]
    assert node(chat, "b").message.metadata["pi"]["tokensBefore"] == 9


def test_calls_results_and_commands():
    call = {"type": "toolCall", "id": "1", "name": "read", "arguments": {"path": "a"}}
    thought = {"type": "thinking", "thinking": "hm"}
    lines = [
        HEADER,
        entry("a", role="assistant", content=[thought, call], model="m", usage={"input": 1}),
        entry("b", "a", role="toolResult", content=[{"type": "text", "text": "A"}], toolCallId="1", toolName="read"),
        entry("c", "b", role="bashExecution", command="ls", output="x", exitCode=0),
    ]
    del lines[3]["message"]["content"]
    chat, outline, repairs = only(pi, lines)
    asked, answered, ran = (each.message for each in path(chat))

    assert repairs == []
    assert asked.content == [thought]
    assert asked.tool_calls == [
        {"id": "1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
    ]
    assert asked.metadata["pi"]["message"] == {"role": "assistant", "model": "m", "usage": {"input": 1}}
    assert (answered.role, answered.content, answered.name, answered.tool_call_id) == ("tool", "A", "read", "1")
    assert (ran.role, ran.content) == ("user", "ls\nx")
    assert [turn.aside for turn in outline.turns[1:]] == [False, False, True]


def test_several_files_behind_one_another_are_several_conversations():
    conversations, skipped = found(pi, [HEADER, entry("a"), {**HEADER, "id": "t"}, entry("b"), 5])

    assert {outline.id: texts(chat) for chat, outline, _ in conversations} == {"s": ["a"], "t": ["b"]}
    assert skipped[0].where == "line 5"


def test_without_a_header_the_first_entry_names_it():
    _, outline, repairs = only(pi, [entry("a"), entry("b", "a")])

    assert outline.id == "a"
    assert any("no header" in each for each in repairs)


def test_the_time_of_a_message_in_milliseconds_stands_in():
    line = entry("a", timestamp=1_763_683_200_000)
    del line["timestamp"]
    chat, _, _ = only(pi, [HEADER, line])

    assert chat.cursor.added.isoformat() == "2025-11-21T00:00:00+00:00"


def test_a_file_comes_in_once(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [HEADER, entry("a"), entry("b", "a")])))
    with branchlog.open(tmp_path / "chats.db") as store:
        first, second = (import_file(store, tmp_path / "a.jsonl") for _ in range(2))

    assert (first.format, first.nodes, second.unchanged, second.nodes) == ("pi", 3, 1, 0)


def test_a_chain_of_20_000_entries():
    lines = [HEADER, entry("0")]
    for number in range(1, 20_000):
        kind = entry(str(number), str(number - 1)) if number % 2 else other("custom", str(number), str(number - 1))
        lines.append(kind)
    chat, _, _ = only(pi, lines)

    assert chat.cursor.depth == 10_001


def test_a_second_first_message_comes_later_as_an_alternative():
    chat, _, _ = only(pi, [HEADER, entry("a")])
    _, outline, repairs = only(pi, [HEADER, entry("a"), entry("b")])

    assert repairs == []
    assert add_missing(chat, outline) == 1
    assert [child.message.text for child in chat.tree.root.children] == ["a", "b"]
