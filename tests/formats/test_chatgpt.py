"""The ChatGPT export: what is in the file is in the conversation, and what is wrong with it is said."""

from datetime import UTC, datetime, timedelta

import pytest
from formats.exports import chatgpt_exports, damaged_chatgpt_exports
from hypothesis import given

from branchlog.errors import InvalidInput
from branchlog.formats import chatgpt
from branchlog.formats.outline import add_missing, known_ids, mended, start

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def brought_in(value):
    outline, repairs = chatgpt.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id="chat"), outline, repairs + more


def node(id, message="said", **fields):
    if message == "said":
        message = {"id": id, "author": {"role": "user"}, "content": {"content_type": "text", "parts": [id]}}
    return {"id": id, "message": message, "parent": None, **fields}


def conversation(*nodes, **fields):
    return {"id": "c", "mapping": {each["id"]: each for each in nodes}, "current_node": nodes[-1]["id"], **fields}


def texts(repairs):
    return [f"{repair.where}: {repair.what}" for repair in repairs]


@given(chatgpt_exports())
def test_everything_that_a_well_formed_export_says_arrives(export):
    chat, _, repairs = brought_in(export.value)
    nodes = known_ids(chat, "chatgpt")

    assert repairs == []
    assert set(nodes) == set(export.said)
    assert len(chat.tree) == len(export.said)
    assert chat.title == export.value["title"]
    assert nodes[export.current] == chat.cursor
    for id, said in export.said.items():
        message = nodes[id].message
        assert (message and message.role, message and message.content) == (said.role, said.text)
        assert [nodes[child] for child in export.children[id]] == list(nodes[id].children)
        assert nodes[id].parent == (None if said.parent is None else nodes[said.parent])
        if message is not None:
            kept = export.value["mapping"][id]["message"]
            assert message.name == kept["author"]["name"]
            assert message.metadata["chatgpt"] == {
                key: kept[key] for key in ("id", "create_time", "weight", "metadata", "recipient")
            }
            assert nodes[id].hidden == (kept["weight"] == 0)


@given(chatgpt_exports())
def test_the_time_of_a_node_is_its_own_or_that_of_the_nearest_one_above_that_has_one(export):
    chat, _, _ = brought_in(export.value)
    nodes = known_ids(chat, "chatgpt")

    for id in export.said:
        above = id
        while above is not None and export.said[above].time is None:
            above = export.said[above].parent
        time = export.value["create_time"] if above is None else export.said[above].time
        assert nodes[id].added == EPOCH + timedelta(seconds=time)


@given(chatgpt_exports())
def test_nodes_are_added_in_order_of_their_times_as_far_as_the_tree_allows(export):
    chat, _, _ = brought_in(export.value)

    for one, next_one in zip(chat.tree.nodes, chat.tree.nodes[1:], strict=False):
        bound = next_one.parent == one or (next_one.parent == one.parent and next_one.ordinal == one.ordinal + 1)
        assert bound or one.added <= next_one.added


@given(damaged_chatgpt_exports())
def test_a_damaged_export_comes_in_whole_or_is_refused_with_a_reason(value):
    try:
        chat, outline, _ = brought_in(value)
    except InvalidInput as error:
        assert str(error)  # noqa: PT017
        return

    assert len(known_ids(chat, "chatgpt").keys() & {turn.id for turn in outline.turns}) >= len(value["mapping"])
    assert add_missing(chat, outline) == 0


@given(chatgpt_exports())
def test_bringing_the_same_in_again_adds_nothing(export):
    chat, outline, _ = brought_in(export.value)
    version = chat.version

    assert add_missing(chat, outline) == 0
    assert chat.version == version


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"content_type": "text", "parts": ["a", "b"]}, "a\n\nb"),
        ({"content_type": "text", "parts": []}, ""),
        ({"content_type": "code", "language": "python", "text": "1 + 1"}, "1 + 1"),
        ({"content_type": "execution_output", "text": "2"}, "2"),
        ({"content_type": "thoughts", "thoughts": [{"summary": "S", "content": "C"}, 3]}, "S\n\nC"),
        ({"content_type": "reasoning_recap", "content": "Thought for 3 s"}, "Thought for 3 s"),
        ({"content_type": "user_editable_context", "user_profile": "P", "user_instructions": "I"}, "P\n\nI"),
        ({"content_type": "tether_quote", "url": "u", "title": "t", "text": "x"}, "t\n\nu\n\nx"),
        ({"content_type": "not known yet", "text": "still read"}, "still read"),
        ("bare", "bare"),
        (
            {
                "content_type": "multimodal_text",
                "parts": [
                    "look",
                    {"content_type": "image_asset_pointer", "asset_pointer": "file-service://1"},
                    {"content_type": "audio_transcription", "text": "heard"},
                    7,
                ],
            },
            [
                {"type": "text", "text": "look"},
                {
                    "content_type": "image_asset_pointer",
                    "asset_pointer": "file-service://1",
                    "type": "image_asset_pointer",
                },
                {"type": "text", "text": "heard"},
                {"type": "text", "text": "7"},
            ],
        ),
    ],
)
def test_content_becomes_readable_and_the_original_is_kept(content, said):
    message = {"author": {"role": "tool", "name": "python"}, "content": content}
    chat, _, _ = brought_in(conversation(node("a", message)))
    found = chat.tree.root.message

    assert (found.role, found.name, found.content) == ("tool", "python", said)
    assert found.metadata["chatgpt"]["content"] == content


@pytest.mark.parametrize("content", [None, {}, {"content_type": "text", "parts": None}, 5])
def test_content_that_says_nothing_is_an_empty_message_and_reported(content):
    chat, _, repairs = brought_in(conversation(node("a", {"author": {"role": "user"}, "content": content})))

    assert chat.tree.root.message.content == ""
    assert any("node 'a'" in text for text in texts(repairs))


def test_a_message_without_a_role_gets_one_and_keeps_what_stood_there():
    chat, _, repairs = brought_in(conversation(node("a", {"author": {"role": ["x"]}, "content": "hi"})))

    assert chat.tree.root.message.role == "unknown"
    assert chat.tree.root.message.metadata["chatgpt"]["author"] == {"role": ["x"]}
    assert any("role" in text for text in texts(repairs))


def test_unknown_fields_of_conversation_node_and_message_are_kept():
    message = {"id": "other", "author": {"role": "user", "shoe": 1}, "content": "hi", "future": {"a": [1]}, "node": 2}
    value = conversation(node("a", message, later=True), voice="v", default_model_slug="m")
    chat, _, _ = brought_in(value)

    kept = chat.tree.root.message.metadata["chatgpt"]
    assert kept["id"] == "a"
    assert kept["message_id"] == "other"
    assert kept["future"] == {"a": [1]}
    assert kept["author"] == {"shoe": 1}
    assert {"later": True} in kept.values()
    assert 2 in kept.values()
    assert chat.metadata["source"] == {"format": "chatgpt", "id": "c"}
    assert chat.metadata["chatgpt"] == {"id": "c", "current_node": "a", "voice": "v", "default_model_slug": "m"}


def test_a_node_without_message_in_the_middle_keeps_the_chain_whole():
    value = conversation(node("a"), node("b", None, parent="a"), node("c", parent="b"))
    chat, _, repairs = brought_in(value)

    assert [each.message.text for each in chat.path()] == ["a", "", "c"]
    assert chat.tree["0"].hidden
    assert chat.tree["0"].message.metadata["chatgpt"]["id"] == "b"
    assert any("node 'b'" in text for text in texts(repairs))


def test_several_roots_come_under_one_without_message():
    chat, _, repairs = brought_in(conversation(node("a"), node("b")))

    assert chat.tree.root.message is None
    assert [child.message.text for child in chat.tree.root.children] == ["a", "b"]
    assert any("2 roots" in text for text in texts(repairs))


def test_an_orphan_comes_under_the_root_and_keeps_the_name_of_its_parent():
    chat, _, repairs = brought_in(conversation(node("a"), node("b", parent="gone")))

    assert known_ids(chat, "chatgpt")["b"].message.metadata["chatgpt"]["parent"] == "gone"
    assert any("'gone'" in text for text in texts(repairs))


@pytest.mark.parametrize("parents", [{"b": "b"}, {"b": "c", "c": "b"}, {"a": "c", "b": "a", "c": "b"}])
def test_a_cycle_is_cut_and_every_node_arrives(parents):
    value = conversation(*(node(id, parent=parents.get(id)) for id in "abc"))
    chat, _, repairs = brought_in(value)

    assert known_ids(chat, "chatgpt").keys() >= set("abc")
    assert any("ancestor" in text for text in texts(repairs))


def test_parents_that_are_missing_are_rebuilt_from_children():
    first, second = node("a", children=["b", "gone"]), node("b")
    del second["parent"]
    chat, _, repairs = brought_in(conversation(first, second))

    assert [each.message.text for each in chat.path()] == ["a", "b"]
    assert len(repairs) == 2


def test_a_root_that_is_listed_as_a_child_beneath_itself_stays_the_root():
    chat, _, repairs = brought_in(conversation(node("a", children=["b"]), node("b", parent="a", children=["a"])))

    assert [each.message.text for each in chat.path()] == ["a", "b"]
    assert len(repairs) == 1


@pytest.mark.parametrize("current", [None, "gone", 5])
def test_without_a_current_node_the_cursor_is_on_the_newest_leaf(current):
    value = conversation(node("a"), node("b", parent="a"), node("c", parent="a"), current_node=current)
    value["mapping"]["b"]["message"]["create_time"] = 2_000
    value["mapping"]["c"]["message"]["create_time"] = 1_000
    chat, _, repairs = brought_in(value)

    assert chat.cursor.message.text == "b"
    assert any("newest leaf" in text for text in texts(repairs))


@pytest.mark.parametrize("time", ["yesterday", True, float("nan"), float("inf"), -5, 1e300, [1]])
def test_a_time_that_is_none_is_reported_kept_and_the_parent_s_is_used(time):
    value = conversation(node("a"), node("b", parent="a"), create_time=1_000)
    value["mapping"]["b"]["message"]["create_time"] = time
    chat, _, repairs = brought_in(value)

    assert chat.cursor.added == EPOCH + timedelta(seconds=1_000)
    assert str(chat.cursor.message.metadata["chatgpt"]["create_time"]) == str(time)
    assert any("create_time" in text and "node 'b'" in text for text in texts(repairs))


@pytest.mark.parametrize(
    ("title", "found"), [(None, None), (7, None), ("x" * 2_000, "x" * 1_000), ("a\ud800b", "a\ufffdb")]
)
def test_a_title_that_cannot_be_one_is_mended(title, found):
    chat, _, repairs = brought_in(conversation(node("a"), title=title))

    assert chat.title == found
    assert (title is None) == (repairs == [])


def test_what_json_cannot_carry_is_kept_as_text():
    deep = []
    for _ in range(150):
        deep = [deep]
    value = conversation(node("a"))
    value["mapping"]["a"]["message"] |= {"huge": 10**30, "deep": deep, "odd": "\ud800", "nan": float("nan")}
    chat, _, repairs = brought_in(value)

    kept = chat.tree.root.message.metadata["chatgpt"]
    assert (kept["huge"], kept["odd"], kept["nan"]) == (str(10**30), "\ufffd", "nan")
    assert len(repairs) == 4


def test_an_empty_mapping_is_a_conversation_with_nothing_said():
    chat, outline, repairs = brought_in({"id": "c", "mapping": {}})

    assert len(chat.tree) == 1
    assert chat.tree.root.message is None
    assert any("no messages" in text for text in texts(repairs))
    assert add_missing(chat, outline) == 0


def test_a_value_of_the_mapping_that_is_no_object_keeps_its_place():
    value = conversation(node("a", children=["b"]), node("c", parent="b"))
    value["mapping"]["b"] = "not an object"
    chat, _, repairs = brought_in(value)

    assert [each.message.text for each in chat.path()] == ["a", "", "c"]
    assert chat.tree["0"].message.metadata["chatgpt"]["node"] == {"node": "not an object"}
    assert any("not an object" in text for text in texts(repairs))


@pytest.mark.parametrize("mapping", [None, [], "x"])
def test_no_mapping_no_conversation(mapping):
    with pytest.raises(InvalidInput, match="mapping"):
        chatgpt.read({"id": "c", "mapping": mapping}, "here")


def test_a_chain_of_50_000_nodes():
    nodes = [node(str(index), parent=str(index - 1) if index else None) for index in range(50_000)]
    chat, outline, repairs = brought_in(conversation(*reversed(nodes), current_node="49999"))

    assert repairs == []
    assert chat.cursor.depth == 49_999
    assert add_missing(chat, outline) == 0


def test_a_cycle_and_a_fan_of_20_000_nodes():
    nodes = [node(str(index), parent=str((index + 1) % 20_000)) for index in range(20_000)]
    nodes += [node(f"f{index}", parent="0") for index in range(20_000)]
    chat, _, repairs = brought_in(conversation(*nodes))

    assert len(chat.tree) == 40_000
    assert len(repairs) == 1
