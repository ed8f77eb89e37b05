"""assistant-ui: a repository comes in whole, and goes out as it came; conversations made here go there and back."""

import json

import pytest
from formats import native
from formats.exports import anything, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog._core.message import Message
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.exchange import export, import_file
from branchlog.formats import assistant_ui, detect
from branchlog.formats.outline import add_missing, mended, start

BLOCKS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("image"), "image": st.just("data:,")}),
    st.fixed_dictionaries(
        {
            "type": st.just("tool-call"),
            "toolCallId": texts,
            "toolName": texts,
            "args": st.just({"city": "Kyoto"}),
            "argsText": st.sampled_from(['{"city": "Kyoto"}', '{"city":"Kyoto"}', "{"]),
        },
        optional={"result": texts, "isError": st.booleans()},
    ),
)


def item(id, parent=None, *, role="user", content=None, second=0, **fields):
    message = {
        "id": id,
        "role": role,
        "content": [{"type": "text", "text": id}] if content is None else content,
        "createdAt": f"2025-11-21T00:{second // 60:02}:{second % 60:02}.000Z",
        "metadata": {"custom": {}},
    }
    return {"message": message | fields, "parentId": parent}


@st.composite
def repositories(draw, nodes_max=8):
    count = draw(st.integers(0, nodes_max))
    items = []
    for index in range(count):
        parent = draw(st.sampled_from([None, *(f"m{each}" for each in range(index))]))
        role = draw(st.sampled_from(["system", "user", "assistant"]))
        extra = {"status": {"type": "complete", "reason": "stop"}} if role == "assistant" else {"attachments": []}
        feedback = draw(st.sampled_from([{}, {"metadata": {"submittedFeedback": {"type": "negative"}}}]))
        content = draw(st.lists(BLOCKS, max_size=3) | texts)
        each = item(f"m{index}", parent, role=role, content=content, second=index, **extra, **feedback)
        items.append(each | draw(st.sampled_from([{}, {"runConfig": {"custom": {"model": "m"}}}])))
    leaves = [f"m{index}" for index in range(count) if all(each["parentId"] != f"m{index}" for each in items)]
    head = {"headId": draw(st.sampled_from(leaves))} if leaves else {"headId": None}
    if leaves and draw(st.booleans()):
        head = draw(st.sampled_from([{}, {"headId": None}]))
    return {**head, "messages": items}


def brought_in(value):
    outline, repairs = assistant_ui.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id=outline.id or "chat"), outline, [f"{each.where}: {each.what}" for each in repairs + more]


def again(chat):
    return brought_in(json.loads(json.dumps(assistant_ui.write(chat))))[0]


@given(repositories())
def test_a_well_formed_repository_goes_out_as_it_came_in(value):
    chat, outline, repairs = brought_in(value)

    assert repairs == []
    assert assistant_ui.recognises(value)
    assert [turn.id for turn in outline.turns[1:]] == [each["message"]["id"] for each in value["messages"]]
    if value["messages"]:
        assert assistant_ui.write(chat) == value
    assert add_missing(chat, outline) == 0


@given(native.conversations())
def test_a_conversation_made_here_comes_in_again_as_it_was(chat):
    found = again(chat)

    assert native.shape(found) == native.shape(chat)
    assert native.own_metadata(found, "assistant-ui") == native.own_metadata(chat, "assistant-ui")
    assert native.shape(again(found)) == native.shape(chat)


@given(repositories(), st.data())
def test_an_imported_conversation_that_was_gone_on_with_comes_in_again_as_it_is(value, data):
    chat, _, _ = brought_in(value)
    for _ in range(data.draw(st.integers(0, 3))):
        chat.add(data.draw(native.messages()), under=data.draw(st.sampled_from(list(chat.tree.nodes))))
    native.change(data.draw, chat)
    found = again(chat)

    assert native.shape(found) == native.shape(chat)
    assert native.shape(again(found)) == native.shape(chat)


@given(repositories(nodes_max=4), st.data())
def test_a_damaged_repository_comes_in_or_is_refused_with_a_reason(value, data):
    place = value
    while True:
        inner = [
            each for each in (place.values() if isinstance(place, dict) else place) if isinstance(each, dict | list)
        ]
        inner = [each for each in inner if each]
        if not inner or data.draw(st.booleans()):
            break
        place = data.draw(st.sampled_from(inner))
    keys = sorted(place) if isinstance(place, dict) else range(len(place))
    place[data.draw(st.sampled_from(keys))] = data.draw(anything)
    try:
        chat, outline, _ = brought_in(value)
    except InvalidInput as error:
        assert "messages" in str(error)  # noqa: PT017
        return

    assert add_missing(chat, outline) == 0
    assert native.shape(again(chat)) == native.shape(chat)


def test_an_edited_first_message_is_an_alternative_and_comes_later_as_one():
    first = {"headId": "b", "messages": [item("a"), item("b", "a", role="assistant", second=1)]}
    chat, _, _ = brought_in(first)
    later = {"headId": "c", "messages": [*first["messages"], item("c", second=2)]}
    _, outline, repairs = brought_in(later)
    added = add_missing(chat, outline)

    assert repairs == []
    assert added == 1
    assert [child.message.text for child in chat.tree.root.children] == ["a", "c"]
    assert chat.cursor.message.text == "c"


def test_a_call_of_a_tool_is_one_of_the_message_and_its_result_is_kept():
    call = {"type": "tool-call", "toolCallId": "1", "toolName": "f", "args": {"a": 1}, "argsText": '{"a":1}'}
    value = {"headId": "a", "messages": [item("a", role="assistant", content=[{**call, "result": {"deep": [1]}}])]}
    chat, outline, _ = brought_in(value)
    found = chat.cursor.message

    assert found.content is None
    assert found.tool_calls == [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    assert found.metadata["assistant-ui"]["message"]["content"][0]["result"] == {"deep": [1]}
    assert outline.turns[1].aside
    assert assistant_ui.write(chat) == value


@pytest.mark.parametrize("id", [None, 5, ""])
def test_a_message_without_an_id_is_written_with_one(id):
    chat, _, _ = brought_in({"messages": [item("a"), item(id)]})
    value = assistant_ui.write(chat)

    assert value["messages"][1]["message"]["id"] == chat.cursor.message.metadata["assistant-ui"]["id"]
    assert again(chat).cursor.id == chat.cursor.id


def test_a_thumb_is_a_rating():
    value = {
        "messages": [
            item("a", role="assistant", metadata={"submittedFeedback": {"type": kind}}) for kind in ("positive",)
        ]
    }
    chat, _, _ = brought_in(value)

    assert chat.cursor.rating == 5
    assert assistant_ui.write(chat) == value


def test_a_head_is_a_leaf_and_the_cursor_stands_beside_it():
    chat = Conversation.start("trip", title="Kyoto", system="Be brief.")
    ask = chat.say("user", "Three days?")
    chat.say("assistant", "Day 1")
    chat.move(ask)
    value = assistant_ui.write(chat)

    assert value["headId"] == value["messages"][2]["message"]["id"]
    assert value["branchlog"]["cursor"] == value["messages"][1]["message"]["id"]
    assert [each["parentId"] for each in value["messages"]] == [
        None,
        *(each["message"]["id"] for each in value["messages"][:2]),
    ]
    assert [each["message"]["role"] for each in value["messages"]] == ["system", "user", "assistant"]
    assert again(chat).cursor.id == chat.cursor.id
    assert again(chat).title == "Kyoto"


def test_the_result_of_a_tool_is_the_assistant_s_and_says_what_it_is():
    chat = Conversation.start("trip")
    chat.say(Message("tool", "42", tool_call_id="1"))
    (only,) = assistant_ui.write(chat)["messages"]

    assert only["message"]["role"] == "assistant"
    assert only["branchlog"] == {"message": {"role": "tool", "tool_call_id": "1"}}


def test_a_redacted_node_stays_in_its_place():
    chat, _, _ = brought_in({"messages": [item("secret")]})
    chat.redact("0")
    value = json.dumps(assistant_ui.write(chat)["messages"][0]["message"]["content"])

    assert "secret" not in value
    assert again(chat).tree["0"].message is not None


@pytest.mark.parametrize("stamp", [1_763_683_200_000, 1_763_683_200, "2025-11-21T00:00:00Z"])
def test_a_time_in_seconds_milliseconds_or_text(stamp):
    chat, _, _ = brought_in({"messages": [item("a", createdAt=stamp)]})

    assert chat.cursor.added.isoformat() == "2025-11-21T00:00:00+00:00"


def test_what_is_no_message_is_reported():
    _, outline, repairs = brought_in({"headId": 5, "messages": [item("a"), 7, {"message": 3, "parentId": "a"}]})

    assert len(outline.turns) == 3
    assert any("a number; left out" in each for each in repairs)
    assert any("headId" in each for each in repairs)


def test_no_messages_no_repository():
    with pytest.raises(InvalidInput, match="messages"):
        assistant_ui.read({"headId": None, "messages": 5}, "here")


def test_a_chain_of_10_000_goes_out_and_comes_in():
    chat = Conversation.start("deep")
    for number in range(10_000):
        chat.say("user", str(number))

    assert again(chat).cursor.depth == 10_000


def test_a_file_of_repositories_comes_in_and_in_again(tmp_path):
    values = [{"headId": None, "messages": [item("a"), item("b", "a")]}, {"messages": [item("c")]}]
    (tmp_path / "chats.json").write_text(json.dumps(values))
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, tmp_path / "chats.json")
        assert (report.format, report.added, report.nodes) == ("assistant-ui", 2, 5)
        assert import_file(store, tmp_path / "chats.json").unchanged == 2
        found = [export(store.load(head.id), "assistant-ui") for head in store.list()]
    assert sorted(map(len, (each["messages"] for each in found))) == [1, 2]
    assert all(each in values for each in found)
    assert all(
        [reader.FORMAT for reader in detect.READERS if reader.recognises(each)] == ["assistant-ui"] for each in values
    )
