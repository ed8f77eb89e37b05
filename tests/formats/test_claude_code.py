"""Claude Code: records that are no messages make no forks, sub-agents stand apart, and nothing is lost."""

import copy
import json

import pytest
from formats.records import check_that_damage_costs_nothing, damaged, found, only, path, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.exchange import import_file
from branchlog.formats import claude_code
from branchlog.formats.outline import add_missing, known_ids

SAMPLES = {
    "claude-code-log_representative_messages.jsonl": 11,
    "claude-code-log_todowrite_examples.jsonl": 11,
    "es6kr_session-auth-refactor.jsonl": 7,
    "es6kr_session-with-summary.jsonl": 4,
    "es6kr_session-with-tools.jsonl": 4,
    "simonw_sample_session.jsonl": 7,
    "simonw_sample_session_web.json": 33,
}


def record(uuid, parent=None, *, type="user", content=None, id=None, **fields):
    message = {"role": type, "content": uuid if content is None else content}
    if id is not None:
        message["id"] = id
    kept = {"type": type, "uuid": uuid, "parentUuid": parent, "sessionId": "s", "message": message}
    return {**kept, **fields}


def other(type, uuid, parent, **fields):
    return {"type": type, "uuid": uuid, "parentUuid": parent, "sessionId": "s", **fields}


def use(id, name="Read"):
    return [{"type": "tool_use", "id": id, "name": name, "input": {"path": "a"}}]


def result(id, **fields):
    return [{"type": "tool_result", "tool_use_id": id, "content": f"result of {id}", **fields}]


@st.composite
def files(draw):
    """Messages of a tree, with records between them that are no messages."""
    lines = []
    ids = []
    for index in range(draw(st.integers(1, 8))):
        parent = draw(st.sampled_from([None, *ids])) if index else None
        kind = draw(st.sampled_from(["user", "assistant", "progress"])) if index else "user"
        if kind == "progress":
            lines.append(other("progress", f"r{index}", parent or ids[0], data={"hook": index}))
            ids.append(f"r{index}")
        else:
            ids.append(f"r{index}")
            lines.append(record(f"r{index}", parent or (ids[0] if index else None), type=kind))
    return lines


@given(files())
def test_every_message_is_a_node_under_the_nearest_message_above_it(lines):
    chat, outline, repairs = only(claude_code, lines)
    nodes = known_ids(chat, "claude-code")
    by_uuid = {line["uuid"]: line for line in lines}

    assert repairs == []
    assert nodes.keys() == {line["uuid"] for line in lines if line["type"] != "progress"}
    for id, node in nodes.items():
        above = by_uuid[id]["parentUuid"]
        while above is not None and by_uuid[above]["type"] == "progress":
            above = by_uuid[above]["parentUuid"]
        if above is not None:
            assert node.parent == nodes[above]
    kept = [line["uuid"] for turn in outline.turns for line in turn.metadata.get("records", [])]
    kept += [line["uuid"] for line in outline.metadata.get("records", [])]
    assert sorted(kept) == sorted(line["uuid"] for line in lines if line["type"] == "progress")
    assert add_missing(chat, outline) == 0


@given(files(), st.data())
def test_damage_comes_in_or_is_skipped(lines, data):
    check_that_damage_costs_nothing(claude_code, damaged(data.draw, copy.deepcopy(lines)))


@given(files(), st.integers(1, 8))
def test_a_file_that_has_grown_adds_what_is_new(lines, count):
    early = [line for line in lines[:count] if line["type"] != "progress"]
    chat, _, _ = only(claude_code, early)
    whole, outline, _ = only(claude_code, lines)
    add_missing(chat, outline)

    assert known_ids(chat, "claude-code").keys() == known_ids(whole, "claude-code").keys()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_samples_come_in_whole_and_only_once(samples, tmp_path, name):
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, samples / "claude-code" / name)
        again = import_file(store, samples / "claude-code" / name)
        (head,) = store.list()
        chat = store.load(head.id)

    assert (report.format, report.added, report.nodes, report.branches) == ("claude-code", 1, SAMPLES[name] + 1, 1)
    assert (again.unchanged, again.nodes, report.skipped) == (1, 0, ())
    assert chat.cursor.depth == SAMPLES[name]  # a root without message is above


def test_a_line_of_nul_and_one_that_is_cut_cost_nothing_else(tmp_path):
    lines = [json.dumps(record("a")), "\0" * 300, json.dumps(record("b", "a")), '"text"', "7", '{"type": "user", ']
    (tmp_path / "s.jsonl").write_text("\n".join(lines))
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, tmp_path / "s.jsonl")

    assert (report.added, report.nodes) == (1, 3)
    assert sorted(skipped.where for skipped in report.skipped) == ["line 2", "line 4", "line 5", "line 6"]


def test_progress_records_make_no_forks_and_are_kept():
    lines = [
        record("a"),
        other("progress", "p1", "a"),
        other("attachment", "p2", "p1"),
        record("b", "p2", type="assistant"),
        other("progress", "p3", "b"),
        record("c", "b"),
        {"type": "file-history-snapshot", "messageId": "c", "snapshot": {}},
    ]
    chat, outline, repairs = only(claude_code, lines)

    assert repairs == []
    assert texts(chat) == ["a", "b", "c"]
    assert len(chat.branches) == 1
    kept = chat.cursor.message.metadata["claude-code"]
    assert kept["records"] == [lines[4]]
    assert outline.metadata["records"] == [lines[6]]


def test_a_compaction_goes_on_beneath_what_it_sums_up():
    boundary = other("system", "x", None, subtype="compact_boundary", logicalParentUuid="b", content="compacted")
    lines = [record("a"), record("b", "a", type="assistant"), boundary, record("sum", "x", isCompactSummary=True)]
    chat, _, repairs = only(claude_code, lines)

    assert repairs == []
    assert texts(chat) == ["a", "b", "sum"]
    assert chat.cursor.message.metadata["claude-code"]["isCompactSummary"] is True


def test_a_turn_of_several_lines_is_a_chain_and_its_results_follow_in_a_line():
    lines = [
        record("a"),
        record("t1", "a", type="assistant", content=[{"type": "text", "text": "I look."}], id="m"),
        record("t2", "t1", type="assistant", content=use("1"), id="m"),
        record("t3", "t2", type="assistant", content=use("2"), id="m"),
        record("r1", "t2", content=result("1")),
        record("r2", "t3", content=result("2")),
        record("end", "r1", type="assistant", id="n"),
    ]
    chat, _, repairs = only(claude_code, lines)
    ids = [node.message.metadata["claude-code"]["id"] for node in path(chat)]

    assert repairs == []
    assert ids == ["a", "t1", "t2", "t3", "r1", "r2", "end"]
    assert chat.forks == ()
    assert path(chat)[4].message.metadata["claude-code"]["parentUuid"] == "t2"


def test_a_turn_from_which_somebody_branched_stays_as_it_stands():
    lines = [
        record("a"),
        record("t1", "a", type="assistant", content=use("1"), id="m"),
        record("t2", "t1", type="assistant", content=use("2"), id="m"),
        record("r1", "t1", content=result("1")),
        record("again", "t1"),
    ]
    chat, _, _ = only(claude_code, lines)

    assert len(known_ids(chat, "claude-code")["t1"].children) == 3


def test_calls_and_results_are_those_of_the_chat_apis():
    lines = [
        record("a", type="assistant", content=[{"type": "text", "text": "I look."}, *use("1")]),
        record("b", "a", content=result("1", is_error=True), toolUseResult={"stdout": "x"}),
    ]
    chat, outline, _ = only(claude_code, lines)
    asked, answered = (node.message for node in path(chat))

    assert asked.content == "I look."
    assert asked.tool_calls == [
        {"id": "1", "type": "function", "function": {"name": "Read", "arguments": '{"path": "a"}'}}
    ]
    assert (answered.role, answered.content, answered.tool_call_id) == ("tool", "result of 1", "1")
    assert answered.metadata["claude-code"]["message"]["tool_result"] == {"is_error": True}
    assert answered.metadata["claude-code"]["toolUseResult"] == {"stdout": "x"}
    assert not any(turn.aside for turn in outline.turns)


def test_thinking_stays_a_part_and_a_call_before_a_text_keeps_the_original_aside():
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    lines = [
        record("a", type="assistant", content=[thought, {"type": "text", "text": "so"}]),
        record("b", "a", type="assistant", content=[*use("1"), {"type": "text", "text": "late"}]),
        record("c", "b", content=[*result("1"), *result("2")]),
    ]
    chat, outline, _ = only(claude_code, lines)
    first, second, third = (node.message for node in path(chat))

    assert first.content == [thought, {"type": "text", "text": "so"}]
    assert second.content == "late"
    assert second.metadata["claude-code"]["message"]["content"] == lines[1]["message"]["content"]
    assert third.content == lines[2]["message"]["content"]
    assert [turn.aside for turn in outline.turns[1:]] == [False, True, False]


def test_a_sub_agent_s_messages_are_a_conversation_of_their_own():
    side = {"isSidechain": True}
    lines = [
        record("a"),
        record("x", None, **side),
        record("b", "a", type="assistant"),
        record("y", "x", type="assistant", **side),
        record("z", "a", agentId="bee", **side),
    ]
    conversations, skipped = found(claude_code, lines)

    assert skipped == []
    assert {outline.id: texts(chat) for chat, outline, _ in conversations} == {
        "s": ["a", "b"],
        "s~x": ["x", "y"],
        "s~bee": ["z"],
    }
    assert conversations[1][1].metadata == {"sessionId": "s", "sidechain": "x"}
    assert all(repairs == [] for _, _, repairs in conversations)


def test_several_conversations_in_one_file():
    lines = [
        record("a"),
        record("x", sessionId="other"),
        record("b", "a", type="assistant"),
        record("y", "x", sessionId="other"),
    ]
    conversations, _ = found(claude_code, lines)

    assert {outline.id: texts(chat) for chat, outline, _ in conversations} == {"s": ["a", "b"], "other": ["x", "y"]}


def test_a_second_copy_is_left_out_and_another_record_of_the_same_uuid_is_kept():
    lines = [record("a"), record("b", "a"), record("b", "a"), record("b", "a", content="other")]
    chat, _, repairs = only(claude_code, lines)

    assert len(chat.tree) == 4
    assert any("the same record a second time" in each for each in repairs)
    assert any("a second node of this id" in each for each in repairs)


def test_a_parent_that_is_not_there_costs_nothing():
    chat, _, repairs = only(claude_code, [record("a", "gone"), record("b", "a")])

    assert chat.cursor.message.text == "b"
    assert any("'gone' is not there" in each for each in repairs)


@pytest.mark.parametrize("drop", [[], ["parentUuid"]])
def test_messages_that_name_no_parents_are_in_a_line(drop):
    lines = [{key: value for key, value in record(id).items() if key not in drop} for id in "abc"]
    chat, _, repairs = only(claude_code, lines)

    assert texts(chat) == ["a", "b", "c"]
    assert any("no message names its parent" in each for each in repairs)


def test_records_without_uuid_are_named_by_what_they_say_and_found_again():
    lines = [{"type": "user", "message": {"role": "user", "content": text}} for text in ["go", "on", "on"]]
    chat, _, repairs = only(claude_code, [{"loglines": lines[:2], "extra": 1}])
    _, outline, _ = only(claude_code, [{"loglines": lines}])

    assert repairs == []
    assert chat.metadata["claude-code"] == {"extra": 1}
    assert add_missing(chat, outline) == 1
    assert texts(chat) == ["go", "on", "on"]


@pytest.mark.parametrize(
    ("records", "title"),
    [
        ([{"type": "summary", "summary": "S", "leafUuid": "a"}], "S"),
        ([{"type": "summary", "summary": "S", "leafUuid": "elsewhere"}], None),
        ([{"type": "ai-title", "aiTitle": "A"}, {"type": "summary", "summary": "S", "leafUuid": "a"}], "A"),
        ([{"type": "custom-title", "customTitle": "C"}, {"type": "ai-title", "aiTitle": "A"}], "C"),
        ([{"type": "custom-title", "customTitle": "C"}, {"type": "custom-title", "customTitle": "D"}], "D"),
    ],
)
def test_the_title(records, title):
    chat, outline, _ = only(claude_code, [*records, record("a")])

    assert chat.title == title
    assert chat.cursor.message.metadata["claude-code"]["records"] == records
    assert outline.id == "s"


def test_a_file_without_messages_is_skipped_and_says_what_it_has():
    _, skipped = found(claude_code, [{"type": "summary", "summary": "S", "leafUuid": "a"}])

    assert "'summary'" in skipped[0].reason


def test_what_the_program_says_to_itself_is_hidden():
    chat, _, _ = only(claude_code, [record("a", isMeta=True), record("b", "a")])

    assert [node.hidden for node in path(chat)] == [True, False]


def test_a_circle_of_records_and_one_of_sub_agents_end():
    side = {"isSidechain": True}
    lines = [
        record("a"),
        other("progress", "p", "q"),
        other("progress", "q", "p"),
        record("b", "q"),
        record("x", "y", **side),
        record("y", "x", **side),
    ]
    conversations = check_that_damage_costs_nothing(claude_code, lines)

    assert sum(len(outline.turns) for _, outline, _ in conversations) >= 4


def test_50_000_messages_under_a_chain_of_progress():
    lines = [record("a")]
    above = "a"
    for number in range(25_000):
        lines.append(other("progress", f"p{number}", above))
        above = f"p{number}"
        lines.append(record(f"m{number}", above))
    chat, _, _ = only(claude_code, lines)

    assert len(chat.tree) == 25_002
    assert all(node.parent == chat.tree["0"] for node in chat.tree.nodes[2:])


def test_a_second_first_message_comes_later_as_an_alternative():
    lines = [record("a"), record("b", "a", type="assistant")]
    chat, _, _ = only(claude_code, lines)
    _, outline, repairs = only(claude_code, [*lines, record("c")])

    assert repairs == []
    assert add_missing(chat, outline) == 1
    assert [child.message.text for child in chat.tree.root.children] == ["a", "c"]
