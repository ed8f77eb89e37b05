"""The Claude.ai export: trees by parents, rows without, and no fork that is not sure."""

import copy
import json
from datetime import datetime

import pytest
from formats.exports import anything
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.exchange import import_file
from branchlog.formats import claude_ai, detect
from branchlog.formats.outline import add_missing, known_ids, mended, start

TIME = "2025-06-01T00:00:00Z"
ROOT = "00000000-0000-4000-8000-000000000000"


def brought_in(value):
    outline, repairs = claude_ai.read(value, "here")
    outline, more = mended(outline, "here")
    found = [f"{each.where}: {each.what}" for each in repairs + more]
    return start(outline, id=outline.id or "chat"), found, outline


def message(id, sender="human", parent=None, **fields):
    said = {"uuid": id, "sender": sender, "text": id, "created_at": TIME, **fields}
    return said if parent is None else {**said, "parent_message_uuid": parent}


def conversation(*messages, **fields):
    return {
        "uuid": "c",
        "name": "Kyoto",
        "created_at": "2025-06-01T00:00:00Z",
        "chat_messages": list(messages),
        **fields,
    }


def row(senders):
    """Messages without parents, named by their place: ``h1``, ``a2``, ..."""
    names = {"h": "human", "a": "assistant", "o": "other"}
    return conversation(*(message(f"{each}{number}", names[each]) for number, each in enumerate(senders, 1)))


def parents(chat):
    nodes = known_ids(chat, "claude-ai")
    ids = {node: id for id, node in nodes.items()}
    return {id: ids[node.parent] for id, node in nodes.items() if node.parent is not None}


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
blocks = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": texts}, optional={"citations": st.just([]), "flags": st.none()}
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": texts}),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": st.just("t"), "name": texts, "input": st.just({"q": "x"})}
    ),
    st.fixed_dictionaries({"type": st.just("tool_result"), "tool_use_id": st.just("t"), "content": st.just([])}),
    st.fixed_dictionaries({"type": texts}, optional={"text": texts}),
)


@st.composite
def exports(draw):
    """Well-formed ones with parents, in which siblings are in the order of the array."""
    count = draw(st.integers(0, 10))
    ids = [f"m{number}" for number in range(count)]
    messages = [
        {
            "uuid": id,
            "sender": draw(st.sampled_from(["human", "assistant"])),
            "text": draw(st.just("") | texts),
            "content": draw(st.lists(blocks, max_size=3)),
            "created_at": f"2025-06-01T00:00:{draw(st.integers(10, 59))}Z",
            "updated_at": "2025-06-02T00:00:00Z",
            "attachments": draw(st.lists(st.just({"file_name": "f", "extracted_content": "attached"}), max_size=1)),
            "files": [],
            "parent_message_uuid": draw(st.sampled_from([ROOT, *ids[:number]])),
        }
        for number, id in enumerate(ids)
    ]
    extra = draw(st.sampled_from([{}, {"current_leaf_message_uuid": ids[0]}])) if ids else {}
    return conversation(*messages, summary="s", account={"uuid": "u"}, **extra)


@given(exports())
def test_everything_that_a_well_formed_export_says_arrives(value):
    chat, repairs, _ = brought_in(value)
    nodes = known_ids(chat, "claude-ai")

    assert repairs == []
    assert parents(chat) == {said["uuid"]: said["parent_message_uuid"] for said in value["chat_messages"]}
    for said in value["chat_messages"]:
        found = nodes[said["uuid"]].message
        kept = found.metadata["claude-ai"]
        assert found.role == {"human": "user"}.get(said["sender"], said["sender"])
        assert {name: kept[name] for name in ("created_at", "updated_at", "files", "parent_message_uuid")} == {
            name: said[name] for name in ("created_at", "updated_at", "files", "parent_message_uuid")
        }
        texts_of_blocks = [block["text"] for block in said["content"] if block["type"] == "text"]
        arrived = _strings([found.to_chat(), kept]) | {"\n".join(texts_of_blocks), "\n\n".join(texts_of_blocks)}
        assert _strings(said) <= arrived
        assert nodes[said["uuid"]].added == datetime.fromisoformat(said["created_at"])


def _strings(value):
    """All texts in a value, but what has another name here: the type of a block that became a text or a call."""
    if isinstance(value, str):
        return {value} - {"human", "text", "tool_use", ""}
    if isinstance(value, dict):
        return set().union(*(_strings(inner) for key, inner in value.items() if key not in ("uuid", "input")))
    return set().union(*map(_strings, value)) if isinstance(value, list) else set()


@given(exports(), st.data())
def test_a_damaged_export_comes_in_or_is_refused_and_twice_is_once(value, data):
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 4))):
        places = [value, *(each for each in value.get("chat_messages") or [] if isinstance(each, dict) and each)]
        place = data.draw(st.sampled_from(places))
        key = data.draw(st.sampled_from(sorted(place)))
        if data.draw(st.booleans()):
            place[key] = data.draw(anything)
        else:
            del place[key]
        if not isinstance(value.get("chat_messages"), list):
            with pytest.raises(InvalidInput):
                claude_ai.read(value, "here")
            return
    chat, _, outline = brought_in(value)

    assert len(chat.tree) >= 1 + sum(isinstance(each, dict) for each in value["chat_messages"])
    assert add_missing(chat, outline) == 0


@pytest.mark.parametrize(
    ("senders", "expected", "reported"),
    [
        ("haha", {"h1": ROOT, "a2": "h1", "h3": "a2", "a4": "h3"}, 0),
        ("haa", {"h1": ROOT, "a2": "h1", "a3": "h1"}, 0),
        ("haaa", {"h1": ROOT, "a2": "h1", "a3": "h1", "a4": "h1"}, 0),
        ("hahaaha", {"h1": ROOT, "a2": "h1", "h3": "a2", "a4": "h3", "a5": "h3", "h6": "a5", "a7": "h6"}, 1),
        ("hha", {"h1": ROOT, "h2": "h1", "a3": "h2"}, 0),
        ("aa", {"a1": ROOT, "a2": "a1"}, 0),
        ("hao", {"h1": ROOT, "a2": "h1", "o3": "a2"}, 0),
        ("haoa", {"h1": ROOT, "a2": "h1", "o3": "a2", "a4": "o3"}, 0),
    ],
)
def test_without_parents_a_reply_behind_a_reply_is_another_one_and_all_else_is_a_row(senders, expected, reported):
    chat, repairs, _ = brought_in(row(senders))

    assert parents(chat) == expected
    assert len([text for text in repairs if "reply" in text]) == reported
    assert chat.cursor == known_ids(chat, "claude-ai")[list(expected)[-1]]


@given(st.text("ha", max_size=12))
def test_a_row_that_has_grown_is_added_to_as_if_it_had_come_at_once(senders):
    whole = brought_in(row(senders))[0]
    half, _, _ = brought_in(row(senders[: len(senders) // 2]))
    add_missing(half, mended(claude_ai.read(row(senders), "here")[0])[0])

    assert parents(half) == parents(whole)


def test_a_later_export_with_an_edited_first_message_adds_it_beside_the_first():
    before = conversation(message("h1", parent=ROOT), message("a1", "assistant", "h1"))
    chat, _, _ = brought_in(before)
    after = conversation(*before["chat_messages"], message("h2", parent=ROOT))
    add_missing(chat, mended(claude_ai.read(after, "here")[0])[0])

    assert [child.message.text for child in chat.tree.root.children] == ["h1", "h2"]
    assert chat.cursor.message.text == "h2"


def test_an_export_without_parents_and_a_later_one_with_them_are_one_conversation():
    chat, _, _ = brought_in(row("ha"))
    later = conversation(message("h1", parent=ROOT), message("a2", "assistant", "h1"), message("h3", parent="a2"))

    assert add_missing(chat, mended(claude_ai.read(later, "here")[0])[0]) == 1
    assert parents(chat) == {"h1": ROOT, "a2": "h1", "h3": "a2"}


def test_the_array_may_be_in_another_order_than_the_tree():
    chat, repairs, _ = brought_in(
        conversation(message("a1", "assistant", "h1"), message("h1", parent=ROOT), message("a2", "assistant", "h1"))
    )

    assert repairs == []
    assert [child.message.text for child in chat.tree["0"].children] == ["a1", "a2"]


def test_the_web_application_says_where_it_stands():
    value = conversation(
        message("h1", parent=ROOT, index=0),
        message("a1", "assistant", "h1", index=1, stop_reason="stop_sequence"),
        message("a2", "assistant", "h1", index=2),
        current_leaf_message_uuid="a1",
    )
    chat, repairs, _ = brought_in(value)

    assert repairs == []
    assert chat.cursor.message.text == "a1"
    assert chat.cursor.message.metadata["claude-ai"]["stop_reason"] == "stop_sequence"
    assert chat.metadata["claude-ai"]["current_leaf_message_uuid"] == "a1"


def test_where_the_export_does_not_say_it_the_cursor_is_on_the_newest_leaf():
    value = conversation(
        message("h1", parent=ROOT),
        message("a1", "assistant", "h1", created_at="2025-06-01T00:00:09Z"),
        message("a2", "assistant", "h1", created_at="2025-06-01T00:00:05+00:00"),
    )
    chat, repairs, _ = brought_in(value)

    assert repairs == []
    assert chat.cursor.message.text == "a1"


def test_a_message_that_names_no_parent_where_others_do_is_put_under_the_one_before_it():
    chat, repairs, _ = brought_in(conversation(message("h1", parent=ROOT), message("a1", "assistant")))

    assert parents(chat) == {"h1": ROOT, "a1": "h1"}
    assert len(repairs) == 1


def test_an_orphan_and_a_cycle_come_in():
    value = conversation(
        message("h1", parent="gone"), message("h2", parent="h3"), message("h3", parent="h2"), message("h4", parent="h4")
    )
    chat, repairs, _ = brought_in(value)

    assert known_ids(chat, "claude-ai").keys() == {ROOT, "h1", "h2", "h3", "h4"}
    assert known_ids(chat, "claude-ai")["h1"].message.metadata["claude-ai"]["parent"] == "gone"
    assert any("ancestor" in text for text in repairs)


@pytest.mark.parametrize(
    ("fields", "said", "kept"),
    [
        ({"text": "a"}, "a", {}),
        ({"text": "", "content": [{"type": "text", "text": "a"}]}, "a", {}),
        ({"text": "a", "content": []}, "a", {}),
        (
            {"text": "a", "content": [{"type": "text", "text": "a", "citations": [], "start_timestamp": "t"}]},
            "a",
            {"content": [{"citations": [], "start_timestamp": "t"}]},
        ),
        ({"text": "other", "content": [{"type": "text", "text": "a"}]}, "a", {"text": "other"}),
        (
            {"text": "", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]},
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}],
            {},
        ),
        (
            {"text": "a", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": ""}]},
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}],
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": ""}]},
        ),
        (
            {
                "text": "",
                "content": [{"type": "text", "text": "", "citations": []}],
                "attachments": [{"file_name": "", "file_size": 6, "extracted_content": "pasted"}],
            },
            "pasted",
            {
                "content": [{"type": "text", "text": "", "citations": []}],
                "attachments": [{"file_name": "", "file_size": 6}],
            },
        ),
        (
            {"text": "look", "attachments": [{"extracted_content": "one"}, {"file_name": "b"}, 5], "files": [{"f": 1}]},
            [{"type": "text", "text": "look"}, {"type": "text", "text": "one"}],
            {"attachments": [{}, {"file_name": "b"}, 5], "files": [{"f": 1}]},
        ),
        ({"text": "a", "content": "odd"}, "a", {"content": "odd"}),
        ({"text": None, "content": None}, "", {}),
        ({"text": 5}, "", {"text": 5}),
        ({"text": "", "content": [{"type": 5}]}, [{"type": "unknown"}], {"content": [{"type": 5}]}),
        ({"text": "a", "id": "x", "parent": "y"}, "a", {"id#": "x", "parent#": "y"}),
    ],
)
def test_what_is_said_and_what_is_kept_beside_it(fields, said, kept):
    chat, _, _ = brought_in(
        conversation({"uuid": "m", "sender": "human", "created_at": "2025-06-01T00:00:00Z", **fields})
    )
    found = dict(chat.cursor.message.metadata["claude-ai"])

    assert chat.cursor.message.content == said
    assert {key: found.pop(key) for key in ("id", "sender", "created_at")} == {
        "id": "m",
        "sender": "human",
        "created_at": TIME,
    }
    assert found == kept


def test_a_call_that_is_answered_in_the_message_stays_in_it_and_another_is_a_call_of_the_message():
    answered = {"type": "tool_use", "id": "1", "name": "search", "input": {"q": "Kyoto"}}
    result = {
        "type": "tool_result",
        "tool_use_id": "1",
        "content": [{"type": "text", "text": "temples"}],
        "is_error": False,
    }
    pending = {"type": "tool_use", "id": "2", "name": "search", "input": {"q": "é"}, "message": "Searching"}
    content = [answered, result, pending]
    chat, _, outline = brought_in(conversation(message("a", "assistant", text="", content=content)))
    found = chat.cursor.message

    assert found.content == [answered, result]
    assert found.tool_calls == [
        {"id": "2", "type": "function", "function": {"name": "search", "arguments": '{"q": "é"}'}}
    ]
    assert found.metadata["claude-ai"]["content"] == content
    assert [turn.aside for turn in outline.turns] == [False, True]


@pytest.mark.parametrize("name", [None, "", "  \n"])
def test_an_empty_conversation_with_a_blank_name(name):
    chat, repairs, outline = brought_in(conversation(name=name))

    assert (len(chat.tree), chat.title, repairs) == (1, None, [])
    assert chat.metadata["claude-ai"]["name"] == name
    assert add_missing(chat, outline) == 0


def test_a_message_without_uuid_has_the_same_id_in_a_later_export():
    def without(*senders):
        return conversation(*({"sender": sender, "text": "again"} for sender in senders))

    chat, repairs, _ = brought_in(without("human", "assistant", "assistant"))
    later = mended(claude_ai.read(without("human", "assistant", "assistant", "human"), "here")[0])[0]

    assert len(known_ids(chat, "claude-ai")) == 4
    assert len(repairs) == 3
    assert add_missing(chat, later) == 1


def test_a_conversation_without_uuid_is_found_again_when_it_has_grown():
    one, two = row("ha"), row("hah")
    del one["uuid"], two["uuid"]

    assert claude_ai.read(one, "here")[0].id == claude_ai.read(two, "here")[0].id is not None


def test_a_row_of_20_000():
    chat, repairs, outline = brought_in(row("ha" * 10_000))

    assert repairs == []
    assert chat.cursor.depth == 20_000
    assert add_missing(chat, outline) == 0


@pytest.mark.parametrize(
    ("name", "messages"), [("openwebui-importer_claude_thinking_example.json", 2), ("polylogue_sample-00.json", 3)]
)
def test_the_samples_come_in_once(name, messages, samples):
    with branchlog.open("memory:") as store:
        report = import_file(store, samples / "claude-ai" / name)
        again = import_file(store, samples / "claude-ai" / name)
        (listed,) = store.list()
        chat = store.load(listed.id)

    assert (report.format, report.added, report.nodes, report.branches) == ("claude-ai", 1, messages + 1, 1)
    assert (again.unchanged, again.nodes, report.skipped) == (1, 0, ())
    assert sum(node.message is not None for node in chat.tree.nodes) == messages
    assert all(node.message.text for node in chat.tree.nodes if node.message is not None)


def test_what_has_no_messages_is_told_from_a_conversation(tmp_path):
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([row("ha"), {"uuid": "u", "name": "no messages"}, {**row("h"), "chat_messages": None}]))
    with branchlog.open("memory:") as store:
        report = import_file(store, file)

    assert report.added == 1
    assert len(report.skipped) == 2


def test_no_other_format_takes_it():
    value = row("ha")

    assert [reader for reader in detect.READERS if reader.recognises(value)] == [claude_ai]
