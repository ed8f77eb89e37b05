"""ShareGPT: every speaker and value arrives, in all the shapes that are about."""

import json

import pytest
from formats.exports import anything, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.exchange import export, import_file
from branchlog.formats import chat_completions, oasst, sharegpt
from branchlog.formats.outline import add_missing, mended, start

speakers = st.sampled_from(["human", "gpt", "system", "tool", "observation", "user", "bing", "narrator"])
items = st.builds(lambda speaker, text: {"from": speaker, "value": text}, speakers, texts)
ROLES = {"human": "user", "gpt": "assistant", "bing": "assistant", "observation": "tool"}


def human(text):
    return {"from": "human", "value": text}


def gpt(text, **fields):
    return {"from": "gpt", "value": text, **fields}


def brought_in(value):
    outline, repairs = sharegpt.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id="chat"), outline, repairs + more


@given(st.lists(items, min_size=1, max_size=6), st.sampled_from(sharegpt.KEYS), st.sampled_from(["a", 7, None]))
def test_everything_that_is_said_arrives(conversation, key, id):
    value = {key: conversation, **({} if id is None else {"id": id})}
    chat, outline, repairs = brought_in(value)

    assert sharegpt.recognises(value)
    assert repairs == []
    assert [(node.message.role, node.message.content) for node in chat.path()] == [
        (ROLES.get(item["from"], item["from"]), item["value"]) for item in conversation
    ]
    assert [node.message.metadata["sharegpt"]["message"]["from"] for node in chat.path()] == [
        item["from"] for item in conversation
    ]
    assert outline.id == str(id) or id is None
    assert add_missing(chat, outline) == 0


@given(st.lists(st.one_of(anything, items), max_size=3), st.dictionaries(st.sampled_from(["id", "system"]), anything))
def test_a_damaged_conversation_comes_in(odd, fields):
    value = {**fields, "conversations": [human("first"), *odd, gpt("last")]}
    chat, outline, _ = brought_in(value)

    assert "first" in [message.content for message in chat.messages()][:2]
    assert chat.cursor.message.content == "last"
    assert len(chat.messages()) >= 2 + sum(isinstance(each, dict) for each in odd)
    assert add_missing(chat, outline) == 0


def test_items_in_the_shape_of_the_chat_apis_come_in():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat, _, repairs = brought_in(
        {
            "conversations": [
                {"role": "human", "content": "a"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "content": "b", "tool_call_id": "c"},
            ]
        }
    )

    assert repairs == []
    assert [message.to_chat() for message in chat.messages()] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "b", "tool_call_id": "c"},
    ]
    assert chat.tree.root.message.metadata["sharegpt"]["message"] == {"role": "human"}


def test_the_system_message_may_stand_beside_the_list():
    chat, _, _ = brought_in({"system": "Be brief.", "tools": "[]", "conversations": [human("a")]})
    other, _, _ = brought_in({"system": "Be brief.", "conversations": [{"from": "system", "value": "Be long."}]})

    assert [(message.role, message.content) for message in chat.messages()] == [("system", "Be brief."), ("user", "a")]
    assert [message.content for message in other.messages()] == ["Be long."]
    assert other.cursor.message.metadata["sharegpt"]["lists"] == [{"system": "Be brief."}]


def test_a_function_call_and_its_observation_become_those_of_the_chat_apis():
    said = '{"name": "weather", "arguments": {"place": "京都"}}'
    chat, outline, repairs = brought_in(
        {"conversations": [human("a"), {"from": "function_call", "value": said}, {"from": "observation", "value": "!"}]}
    )
    _, call, answer = chat.messages()

    assert repairs == []
    assert call.content is None
    assert [each["function"] for each in call.tool_calls] == [{"name": "weather", "arguments": '{"place": "京都"}'}]
    assert call.tool_calls[0]["id"] == answer.tool_call_id
    assert call.metadata["sharegpt"]["message"] == {"from": "function_call", "value": said}
    assert [turn.aside for turn in outline.turns] == [False, True, False]
    assert [message["role"] for message in export(chat, "chat-completions")] == ["user", "assistant", "tool"]


def test_several_calls_at_once_are_told_apart():
    said = json.dumps([{"name": name, "arguments": {}} for name in "fg"])
    chat, _, _ = brought_in({"conversations": [human("a"), {"from": "function_call", "value": said}]})

    assert len({call["id"] for call in chat.cursor.message.tool_calls}) == 2


@pytest.mark.parametrize("said", ["", "{", "[]", "5", '{"name": "f"}', '{"name": 5, "arguments": {}}', '["f"]'])
def test_a_function_call_that_is_none_stays_text(said):
    chat, _, repairs = brought_in({"conversations": [human("a"), {"from": "function_call", "value": said}]})

    assert repairs == []
    assert (chat.cursor.message.role, chat.cursor.message.content) == ("assistant", said)


@pytest.fixture
def bring(tmp_path):
    def brought(values):
        (tmp_path / "export").write_text(json.dumps(values))
        return import_file(store, tmp_path / "export")

    with branchlog.open("memory:") as store:
        brought.store = store
        yield brought


def test_a_file_comes_in_and_a_later_one_adds_what_is_new(bring):
    first = [{"id": "a", "conversations": [human("q"), gpt("1")]}, {"id": "b", "conversations": [human("q")]}]
    assert bring(first).added == 2
    again = bring(first)
    assert (again.unchanged, again.nodes) == (2, 0)
    first[0]["conversations"].append(human("more"))
    later = bring(first)

    assert (later.grown, later.unchanged, later.nodes) == (1, 1, 1)
    assert bring.store.load("a").cursor.message.content == "more"


def test_conversations_without_ids_that_begin_alike_are_one_tree(bring):
    report = bring([{"conversations": [human("q"), gpt("1")], "score": 1}, {"conversations": [human("q"), gpt("2")]}])
    (entry,) = bring.store.list()
    chat = bring.store.load(entry.id)

    assert (report.added, report.nodes, report.branches) == (1, 3, 2)
    assert chat.tree["0"].message.metadata["sharegpt"]["lists"] == [{"score": 1}]


def test_different_conversations_of_one_id_stay_apart(bring):
    values = [{"id": "0", "conversations": [human(text), gpt(text)]} for text in "abc"]
    first, again = bring(values), bring(values)

    assert (first.added, first.nodes, first.skipped) == (3, 6, ())
    assert (again.unchanged, again.nodes) == (3, 0)


def test_what_stands_beside_a_list_with_an_id_is_that_of_the_conversation(bring):
    bring([{"id": "a", "source": "x", "conversations": [human("q")]}])
    chat = bring.store.load("a")

    assert chat.metadata["sharegpt"] == {"id": "a", "source": "x"}
    assert chat.metadata["source"] == {"format": "sharegpt", "id": "a"}
    assert chat.title == "q"


@pytest.mark.parametrize("value", [{}, {"conversations": None}, {"conversations": []}, {"conversations": ["a"]}])
def test_no_items_no_conversation(value):
    with pytest.raises(InvalidInput):
        sharegpt.read(value, "here")


def test_it_is_not_taken_for_another_format_nor_the_other_way_round(samples):
    value = {"id": "a", "conversations": [human("q")]}
    assert not chat_completions.recognises(value)
    assert not oasst.recognises(value)
    found = [path for path in samples.rglob("*.json") if sharegpt.recognises_records([json.loads(path.read_text())])]

    assert found == []
