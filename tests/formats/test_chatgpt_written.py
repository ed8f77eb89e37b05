"""The ChatGPT export as it is written: it comes in again as it was, and what came from one goes out as it came."""

import json

import attrs
import pytest
from formats import native
from formats.exports import chatgpt_exports, damaged_chatgpt_exports, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog._core.message import Message
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.exchange import export, import_file
from branchlog.formats import chatgpt, detect
from branchlog.formats.outline import mended, start


def brought_in(value):
    outline, repairs = chatgpt.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id=outline.id or "chat"), [f"{each.where}: {each.what}" for each in repairs + more]


def again(chat):
    """The conversation as it comes in from what it is written as, through the text of a file."""
    return brought_in(json.loads(json.dumps(chatgpt.write(chat))))[0]


contents = st.one_of(
    st.fixed_dictionaries({"content_type": st.just("text"), "parts": st.lists(texts, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"content_type": st.just("code"), "language": texts, "text": texts}),
    st.fixed_dictionaries(
        {"content_type": st.just("thoughts"), "thoughts": st.just([{"summary": "S", "content": "C"}])}
    ),
    st.fixed_dictionaries(
        {
            "content_type": st.just("multimodal_text"),
            "parts": st.lists(
                texts
                | st.just({"content_type": "image_asset_pointer", "asset_pointer": "file-service://1", "width": 2}),
                max_size=3,
            ),
        }
    ),
    st.fixed_dictionaries({"content_type": texts}, optional={"text": texts, "future": st.lists(texts)}),
)
authors = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool"]),
        "name": st.none() | st.sampled_from(["python", "web.run"]),
        "metadata": st.just({}) | st.just({"real_author": "tool:web"}),
    }
)
odd_fields = st.dictionaries(st.sampled_from(["node", "parent", "message_id", "node#", "channel"]), texts, max_size=2)


@st.composite
def exports(draw):
    """Well-formed ones with everything that an export has: all fields, content of many types, null messages."""
    value = draw(chatgpt_exports()).value
    keys = list(value["mapping"])
    for key, node in value["mapping"].items():
        node["children"] = node.get("children", [k for k in keys if value["mapping"][k]["parent"] == key])
        if draw(st.booleans()) and node["parent"] is not None:
            node["message"] = None
        if node["message"] is not None:
            node["message"] |= {"author": draw(authors), "content": draw(contents)}
            odd = st.dictionaries(
                st.sampled_from(["node", "parent", "message_id", "node#", "channel"]), texts, max_size=2
            )
            node["message"] |= draw(odd) | draw(st.sampled_from([{}, {"id": "another"}]))
        node.update(draw(st.sampled_from([{}, {"later": 1}])))
    return value


@given(exports())
def test_a_well_formed_export_goes_out_as_it_came_in(value):
    assert chatgpt.write(brought_in(value)[0]) == value


@given(native.conversations())
def test_a_conversation_made_here_comes_in_again_as_it_was(chat):
    found = again(chat)

    assert native.shape(found) == native.shape(chat)
    own = native.own_metadata(chat, "chatgpt")
    assert native.own_metadata(found, "chatgpt") == own
    assert again(found).tree.cursor.id == chat.cursor.id


@given(exports(), st.data())
def test_an_imported_conversation_that_was_gone_on_with_comes_in_again_as_it_is(value, data):
    chat, _ = brought_in(value)
    for _ in range(data.draw(st.integers(0, 3))):
        under = data.draw(st.sampled_from(list(chat.tree.nodes)))
        said = data.draw(native.messages())
        if data.draw(st.booleans()) and under.message is not None:  # as one does who edits what was imported
            said = attrs.evolve(said, metadata=under.message.metadata)
        chat.add(said, under=under)
    native.change(data.draw, chat)
    found = again(chat)

    assert native.shape(found) == native.shape(chat)
    assert native.shape(again(found)) == native.shape(chat)


@given(damaged_chatgpt_exports())
def test_what_was_mended_goes_out_sound(value):
    try:
        chat, _ = brought_in(value)
    except InvalidInput:
        return
    found = again(chat)

    assert native.shape(found) == native.shape(chat)
    assert chatgpt.write(found)["mapping"] == chatgpt.write(chat)["mapping"]


def test_a_conversation_of_another_origin_has_the_fields_that_importers_look_for():
    chat = Conversation.start("trip", title="Kyoto", system="Be brief.")
    chat.say("user", "Three days?")
    chat.add(Message("assistant", "Day 1", metadata={"model": "gpt-4"}), under="@")
    hidden = chat.add(Message("assistant", "Start"), under="@")
    chat.annotate(hidden, hidden=True, rating=4)
    value = chatgpt.write(chat)
    nodes = list(value["mapping"].values())

    assert (value["title"], value["id"], value["conversation_id"]) == ("Kyoto", "trip", "trip")
    assert {key: node["id"] for key, node in value["mapping"].items()} == {key: key for key in value["mapping"]}
    assert [node["message"]["author"]["role"] for node in nodes] == ["system", "user", "assistant", "assistant"]
    assert nodes[1]["children"] == [nodes[2]["id"], nodes[3]["id"]]
    assert nodes[2]["message"]["metadata"] == {"model_slug": "gpt-4"}
    assert nodes[3]["message"]["metadata"] == {"is_visually_hidden_from_conversation": True}
    assert nodes[3]["branchlog"] == {"rating": 4}
    assert chatgpt.write(chat) == value


def test_ids_stay_the_same_from_one_export_to_the_next():
    chat = Conversation.start("trip", system="Be brief.")
    chat.say("user", "one")
    before = chatgpt.write(chat)["mapping"]
    chat.say("user", "two")
    chat.add(Message("user", "three"), under="")
    after = chatgpt.write(chat)["mapping"]

    assert list(after)[: len(before)] == list(before)


def test_a_redacted_node_stays_in_its_place_and_says_so():
    chat, _ = brought_in(
        {
            "id": "c",
            "mapping": {
                "a": {
                    "id": "a",
                    "parent": None,
                    "message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": ["secret"]}},
                }
            },
        }
    )
    chat.redact("")
    value = chatgpt.write(chat)

    assert "secret" not in json.dumps(value)
    node = value["mapping"]["a"]
    assert node["branchlog"]["redacted"] is True
    assert "branchlog" not in value
    assert node["message"]["author"]["role"] == "user"


def test_what_branchlog_put_there_and_somebody_damaged_is_kept_and_reported():
    chat = Conversation.start("trip", system=Message("user", "a", name="b", tool_call_id="c"))
    value = chatgpt.write(chat)
    (node,) = value["mapping"].values()
    node["branchlog"] = {"message": {"content": 5}, "rating": 9, "hidden": "yes"}
    found, repairs = brought_in(value)

    assert found.tree.root.message.text == "a"
    assert found.tree.root.message.metadata["chatgpt"]["node"]["branchlog"] == node["branchlog"]
    assert any("branchlog" in repair for repair in repairs)


def test_a_chain_of_10_000_goes_out_and_comes_in():
    chat = Conversation.start("deep")
    for number in range(10_000):
        chat.say("user", str(number))
    found = again(chat)

    assert found.cursor.depth == 10_000
    assert found.cursor.message.text == "9999"


SAMPLES = {
    "librechat_chatgpt-tree.json": (1, 13, 2, 3),
    "mitkury_example-conversation.json": (1, 6, 1, 2),
    "openwebui-importer_gpt_example.json": (1, 13, 0, 1),
    "polylogue_sample-00.json": (1, 3, 1, 2),
    "quentinous_conversations.json": (2, 6, 0, 2),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_come_in_and_go_out(name, samples, tmp_path):
    """What differs is stated: ``children``, ``current_node``, authors, content types and titles are always written."""
    stood = json.loads((samples / "chatgpt" / name).read_bytes())
    stood = stood if isinstance(stood, list) else [stood]
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, samples / "chatgpt" / name)
        chats = [store.load(value["id"] if "id" in value else store.list()[0].id) for value in stood]
        forks = sum(len(chat.forks) for chat in chats)
        assert (report.added, report.nodes, forks, report.branches) == SAMPLES[name]
        assert import_file(store, samples / "chatgpt" / name).nodes == 0
        written = [export(chat, "chatgpt") for chat in chats]
        (tmp_path / "written.json").write_text(json.dumps(written))
        assert import_file(store, tmp_path / "written.json").nodes == 0

    assert written == [_normal(value, id) for value, id in zip(stood, [each["id"] for each in written], strict=True)]


def _normal(value, id):
    value = {"title": None, "current_node": next(key for key in reversed(value["mapping"])), **value}
    if "id" not in value and "conversation_id" not in value:
        value |= {"id": id, "conversation_id": id}
    for key, node in value["mapping"].items():
        node.setdefault("children", [k for k, each in value["mapping"].items() if each["parent"] == key])
        if node["message"] is not None:
            node["message"]["author"] = {"name": None, "metadata": {}, **node["message"]["author"]}
            node["message"]["content"].setdefault("content_type", "text")
    return value


def test_a_sharded_export_without_links_and_metadata_comes_in_whole(tmp_path):
    """Newer exports: many files, no ``children``, messages without ``metadata``."""

    def said(id, parent):
        message = {"id": id, "author": {"role": "user"}, "content": {"content_type": "text", "parts": [id]}}
        return {"id": id, "parent": parent, "message": message}

    with branchlog.open(tmp_path / "chats.db") as store:
        for shard in range(3):
            nodes = [said("c", "b"), said("a", "r"), said("b", "r"), {"id": "r", "parent": None, "message": None}]
            value = {"id": f"c{shard}", "mapping": {node["id"]: node for node in nodes}, "current_node": "c"}
            file = tmp_path / f"conversations-{shard:03}.json"
            file.write_text(json.dumps([value]))
            assert import_file(store, file).repairs == ()
        chat = store.load("c2")

    assert [node.message and node.message.text for node in chat.path()] == [None, "b", "c"]
    assert [child.message.text for child in chat.tree.root.children] == ["a", "b"]


def test_a_conversation_without_id_is_found_again_when_it_has_grown(tmp_path):
    file = tmp_path / "conversations.json"

    def message(id, parent):
        said = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [id]}, "create_time": 5}
        return {"id": id, "parent": parent, "message": said}

    root = {"r": {"id": "r", "parent": None, "message": None}}
    with branchlog.open(tmp_path / "chats.db") as store:
        file.write_text(json.dumps({"mapping": {**root, "a": message("a", "r")}}))
        assert import_file(store, file).added == 1
        file.write_text(json.dumps({"mapping": {**root, "a": message("a", "r"), "b": message("b", "a")}}))
        assert import_file(store, file).grown == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"content_type": "citable_code_output", "output_str": "42"}, "42"),
        ({"content_type": "sonic_webpage", "title": "T", "url": "u", "snippet": "s"}, "T\n\nu\n\ns"),
        ({"content_type": "system_error", "name": "E", "text": "failed"}, "E\n\nfailed"),
        ({"content_type": "model_editable_context", "model_set_context": "m", "repo_summary": None}, "m"),
        ({"content_type": "tether_browsing_display", "result": "r", "summary": "s"}, "s\n\nr"),
        (
            {
                "content_type": "computer_output",
                "screenshot": {"content_type": "image_asset_pointer", "asset_pointer": "p"},
                "state": {"title": "T", "url": None},
            },
            [
                {"type": "text", "text": "T"},
                {"content_type": "image_asset_pointer", "asset_pointer": "p", "type": "image_asset_pointer"},
            ],
        ),
        (
            {
                "content_type": "multimodal_text",
                "parts": [{"content_type": "real_time_user_audio_video_asset_pointer", "frames": []}],
            },
            [
                {
                    "content_type": "real_time_user_audio_video_asset_pointer",
                    "frames": [],
                    "type": "real_time_user_audio_video_asset_pointer",
                }
            ],
        ),
    ],
)
def test_every_content_type_is_readable_kept_and_written_as_it_stood(content, said):
    message = {"author": {"role": "tool", "name": None, "metadata": {}}, "content": content}
    value = {"id": "c", "mapping": {"a": {"id": "a", "parent": None, "message": message}}, "current_node": "a"}
    chat, repairs = brought_in(value)

    assert repairs == []
    assert chat.cursor.message.content == said
    assert chatgpt.write(chat)["mapping"]["a"]["message"]["content"] == content


def test_it_is_listed_as_a_format_that_can_be_written():
    assert detect.writer_of("chatgpt") is chatgpt


def test_what_was_added_here_to_an_imported_conversation_is_known_when_it_comes_back(tmp_path):
    """Edited messages that carry the metadata of the original on are new ones, and the original stays what it is."""
    value = {"id": "c", "mapping": {"r": {"id": "r", "parent": None, "message": None}}, "current_node": "b"}
    for id, parent in (("a", "r"), ("b", "a")):
        said = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [id]}}
        value["mapping"][id] = {"id": id, "parent": parent, "message": said}
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([value]))
    with branchlog.open("memory:") as store:
        import_file(store, file)
        chat = store.load("c")
        chat.say("assistant", "added")
        chat.edit("0", "edited", metadata=chat.tree["0"].message.metadata)
        chat.say("assistant", "an answer to that")
        store.save(chat)
        file.write_text(json.dumps([export(chat, "chatgpt")]))
        assert import_file(store, file).unchanged == 1
        value["mapping"]["d"] = {**value["mapping"]["b"], "id": "d"}
        file.write_text(json.dumps([value]))
        assert import_file(store, file).nodes == 1
        chat = store.load("c")

    assert [child.message.text for child in chat.tree["0"].children] == ["b", "b"]
