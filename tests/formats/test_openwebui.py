"""Open WebUI: chats come in from both copies, go out as they came, and what is made here comes in again."""

import copy
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from formats import native
from formats.exports import anything
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog._core.message import Message
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.exchange import export, import_file
from branchlog.formats import detect, openwebui
from branchlog.formats.outline import add_missing, known_ids, mended, start

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def brought_in(value):
    outline, repairs = openwebui.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id=outline.id or "chat"), [f"{each.where}: {each.what}" for each in repairs + more]


def again(chat):
    """The conversation as it comes in from what it is written as, through the text of a file."""
    return brought_in(json.loads(json.dumps(openwebui.write(chat))))[0]


def message(id, parent=None, children=(), **fields):
    said = {"id": id, "parentId": parent, "childrenIds": list(children), "role": "user", "content": id, "timestamp": 5}
    return {**said, **fields}


def single(*messages, current=None, **fields):
    """One chat by itself, its copy of the path made as Open WebUI makes it."""
    tree = {each["id"]: each for each in messages}
    current = messages[-1]["id"] if current is None and messages else current
    path, above = [], current
    while above in tree and tree[above] not in path:
        path.insert(0, tree[above])
        above = tree[above].get("parentId")
    history = {"messages": tree, "currentId": current}
    return {"id": "c", "title": "Kyoto", "history": history, "messages": path, "timestamp": 5_000, **fields}


def row(chat, **fields):
    return {
        "id": "row",
        "user_id": "u",
        "title": chat["title"],
        "chat": chat,
        "created_at": 5,
        "updated_at": 6,
        **fields,
    }


def texts_of(node):
    return [child.message.text for child in node.children]


parts = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"])}, optional={"text": native.texts})
call_ids = {"call_id": st.sampled_from("ab")}
items = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("function_call"),
            "call_id": st.sampled_from("ab"),
            "name": native.texts,
            "arguments": native.texts,
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": st.sampled_from("ab"), "output": st.just([])}
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["reasoning", "message"]), "content": st.just([])}),
)
optional = {
    "models": st.lists(native.texts, max_size=2),
    "model": native.texts,
    "usage": st.just({"total_tokens": 3}),
    "annotation": st.sampled_from([{"rating": 1}, {"rating": -1, "reason": "r"}, {"rating": 0}, None]),
    "error": st.just({"content": "failed"}),
    "output": st.lists(items, max_size=3),
    "parent": native.texts,
    "copy": native.texts,
    "copy#": native.texts,
    "done": st.booleans(),
}


@st.composite
def exports(draw):
    """Well-formed ones, as rows and as single chats, with several roots and both copies the same."""
    ids = [f"m{number}" for number in range(draw(st.integers(0, 10)))]
    parents = {id: draw(st.sampled_from([None, *ids[:number]])) for number, id in enumerate(ids)}
    order = draw(st.permutations(ids))
    messages = {
        id: {
            "id": id,
            "parentId": parents[id],
            "childrenIds": [child for child in order if parents[child] == id],
            "role": draw(st.sampled_from(["user", "assistant", "system"])),
            "content": draw(native.texts | st.lists(parts, max_size=2)),
            "timestamp": draw(st.integers(0, 4_000_000_000)),
            **draw(st.fixed_dictionaries({}, optional=optional)),
        }
        for id in draw(st.permutations(ids))
    }
    title = draw(native.texts.filter(bool))
    chat = single(*messages.values(), current=draw(st.sampled_from(ids)) if ids else None)
    chat |= {"title": title, "params": {}, "tags": [], **draw(st.sampled_from([{}, {"future": 1}]))}
    return row(chat, meta={}, pinned=False) if draw(st.booleans()) else chat


def inner(value):
    return value.get("chat", value)


@given(exports())
def test_everything_that_a_well_formed_export_says_arrives(value):
    chat, repairs = brought_in(value)
    nodes = known_ids(chat, "open-webui")
    history = inner(value)["history"]

    assert repairs == []
    assert chat.title == value["title"]
    assert len(chat.tree) == len(history["messages"]) + 1
    for id, said in history["messages"].items():
        node = nodes[id]
        assert (node.message.role, node.message.content) == (said["role"], said["content"])
        assert node.parent == (chat.tree.root if said["parentId"] is None else nodes[said["parentId"]])
        assert node.children == tuple(nodes[child] for child in said["childrenIds"])
        assert node.added == EPOCH + timedelta(seconds=said["timestamp"])
        assert node.rating == {1: 5, -1: 1}.get((said.get("annotation") or {}).get("rating"))
    assert chat.cursor == (nodes[history["currentId"]] if history["messages"] else chat.tree.root)


@given(exports())
def test_a_well_formed_export_goes_out_as_it_came_in(value):
    assert openwebui.write(brought_in(value)[0]) == value


@given(native.conversations())
def test_a_conversation_made_here_comes_in_again_as_it_was(chat):
    found = again(chat)

    assert native.shape(found)[:2] == native.shape(chat)[:2]
    assert found.title == (chat.title or None)
    assert native.own_metadata(found, "open-webui") == native.own_metadata(chat, "open-webui")
    assert [node.added for node in found.tree.walk() if node.message] == [
        node.added for node in chat.tree.walk() if node.message
    ]


@given(exports(), st.data())
def test_an_imported_chat_that_was_gone_on_with_comes_in_again_as_it_is(value, data):
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


@given(exports(), st.data())
def test_a_damaged_export_comes_in_whole_or_is_refused_and_twice_is_once_and_goes_out_sound(value, data):
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 4))):
        place = value
        for _ in range(data.draw(st.integers(0, 4))):
            deeper = [each for each in place.values() if isinstance(each, dict) and each]
            place = data.draw(st.sampled_from(deeper)) if deeper else place
        if place:
            key = data.draw(st.sampled_from(sorted(place)))
            place[key] = data.draw(anything)
            if data.draw(st.booleans()):
                del place[key]
    try:
        outline, _ = openwebui.read(value, "here")
    except InvalidInput:
        return
    outline, _ = mended(outline, "here")
    chat = start(outline, id="chat")

    assert add_missing(chat, outline) == 0
    assert native.shape(again(chat))[:2] == native.shape(chat)[:2]


def test_an_edit_of_the_first_message_makes_two_roots_which_is_no_damage():
    chat, repairs = brought_in(single(message("a"), message("b")))

    assert repairs == []
    assert texts_of(chat.tree.root) == ["a", "b"]


def test_a_later_export_in_which_the_first_message_was_edited_adds_it_beside_the_first():
    chat, _ = brought_in(single(message("a")))
    add_missing(chat, mended(openwebui.read(single(message("a"), message("b")), "here")[0])[0])

    assert texts_of(chat.tree.root) == ["a", "b"]


def test_a_dangling_current_id_is_mended():
    chat, repairs = brought_in(single(message("a", children=["b"]), message("b", "a"), current="gone"))

    assert chat.cursor.message.text == "b"
    assert any("'gone'" in text for text in repairs)


def test_messages_without_id_role_or_parent_and_children_that_are_not_there():
    first, second = message("a", children=["b", "gone"]), message("b")
    value = single(first, second)
    for name in ("id", "role", "parentId"):
        del second[name]
    chat, repairs = brought_in(value)

    assert [node.message and node.message.text for node in chat.path()] == [None, "a", "b"]
    assert chat.cursor.message.role == "unknown"
    assert len(repairs) == 3  # the parent, the children, the role; the copy that has no id either is found


def test_a_key_that_is_not_the_id_of_the_message_is_the_id():
    value = single(message("a"))
    value["history"]["messages"]["a"] = {**message("a"), "id": "another"}
    chat, _ = brought_in({**value, "messages": []})

    assert chat.cursor.message.metadata["open-webui"] == {"id": "a", "message_id": "another", "timestamp": 5}
    assert openwebui.write(chat)["history"] == {
        **value["history"],
        "messages": {"a": value["history"]["messages"]["a"]},
    }


def test_where_the_copies_disagree_the_history_counts_and_the_rest_is_kept_and_said():
    value = single(message("a"), message("b", "a"))
    value["history"]["messages"]["a"]["childrenIds"] = ["b"]
    value["messages"] = [
        {**message("a", children=["x"]), "content": "other", "extra": 1},
        message("b", "a"),
        message("c", "b"),
    ]
    chat, repairs = brought_in(value)

    assert [node.message.text for node in chat.tree.nodes if node.message] == ["a", "b", "c"]
    assert chat.cursor.message.text == "b"
    assert chat.tree["0"].message.metadata["open-webui"]["copy"] == {"content": "other", "extra": 1}
    assert len(repairs) == 2


def test_an_old_chat_that_has_messages_only_is_a_row():
    chat = {"title": "Kyoto", "messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]}
    found, repairs = brought_in(row(chat))

    assert repairs == []
    assert [node.message and node.message.text for node in found.path()] == [None, "one", "two"]
    later = row({**chat, "messages": [*chat["messages"], {"role": "user", "content": "three"}]})
    assert add_missing(found, mended(openwebui.read(later, "here")[0])[0]) == 1


@pytest.mark.parametrize("time", [1_744_577_557, 1_744_577_557_000, 1_744_577_557_000_000, 1_744_577_557_000_000_000])
def test_times_are_found_in_seconds_and_in_less(time):
    chat, repairs = brought_in(row(single(message("a", timestamp=time)), created_at=time))

    assert repairs == []
    assert {node.added for node in chat.tree.nodes} == {EPOCH + timedelta(seconds=1_744_577_557)}
    assert openwebui.write(chat)["chat"]["messages"][0]["timestamp"] == time


@pytest.mark.parametrize("time", ["5", True, float("nan"), -1, 1e300])
def test_a_time_that_is_none_is_kept_and_reported(time):
    chat, repairs = brought_in(single(message("a", timestamp=time)))

    assert str(chat.cursor.message.metadata["open-webui"]["timestamp"]) == str(time)
    assert any("timestamp" in text for text in repairs)


def test_calls_that_the_message_does_not_answer_are_calls_of_it():
    calls = [
        {"type": "function_call", "call_id": id, "name": "search", "arguments": '{"q": ', "status": "completed"}
        for id in "ab"
    ]
    output = [calls[0], {"type": "function_call_output", "call_id": "a", "output": []}, calls[1]]
    chat, _ = brought_in(single(message("a", role="assistant", content='<details type="tool_calls">', output=output)))

    assert chat.cursor.message.tool_calls == [
        {"id": "b", "type": "function", "function": {"name": "search", "arguments": '{"q": '}}
    ]
    assert chat.cursor.message.metadata["open-webui"]["output"] == output
    assert chat.cursor.message.text == '<details type="tool_calls">'


@pytest.mark.parametrize("content", [None, 5, {"a": 1}, [1]])
def test_content_that_is_no_text_is_kept_and_reported(content):
    chat, repairs = brought_in(single(message("a", content=content)))

    assert chat.cursor.message.text == ("" if content is None else json.dumps(content))
    assert len(repairs) == 1
    assert openwebui.write(chat)["messages"][0]["content"] == ("" if content is None else content)


def test_a_message_that_is_no_object_keeps_its_place():
    value = single(message("a", children=["b"]), message("b", "a", ["c"]), message("c", "b"))
    value["history"]["messages"]["b"] = "not an object"
    chat, repairs = brought_in({**value, "messages": []})

    assert known_ids(chat, "open-webui").keys() == {"a", "b", "c"}
    assert chat.cursor.parent.hidden
    assert any("not an object" in text for text in repairs)


def test_a_conversation_of_another_origin_has_the_fields_that_open_webui_looks_for():
    chat = Conversation.start("trip", title="Kyoto", time=EPOCH + timedelta(seconds=7, microseconds=5))
    chat.say("user", "Three days?", time=EPOCH + timedelta(seconds=8))
    answer = chat.add(
        Message("assistant", "Day 1", metadata={"model": "gpt-4"}), under="@", time=EPOCH + timedelta(seconds=9)
    )
    chat.annotate(answer, rating=4)
    value = openwebui.write(chat)
    first, second = value["chat"]["history"]["messages"].values()

    assert (value["id"], value["title"], value["created_at"], value["updated_at"]) == ("trip", "Kyoto", 7, 9)
    assert value["chat"]["models"] == ["gpt-4"]
    assert value["chat"]["history"]["currentId"] == first["id"]
    assert value["chat"]["messages"] == [first]
    assert (first["parentId"], first["childrenIds"], first["role"]) == (None, [second["id"]], "user")
    assert (second["model"], second["done"], second["annotation"]) == ("gpt-4", True, {"rating": 1})
    assert second["branchlog"] == {"rating": 4, "message": {"metadata": {"model": "gpt-4"}}}
    assert openwebui.write(chat) == value


def test_a_title_that_was_changed_here_is_changed_there_and_new_messages_are_newer():
    chat, _ = brought_in(row(single(message("a"))))
    chat.annotate_conversation(title="Osaka")
    chat.say("user", "more", time=EPOCH + timedelta(seconds=99))
    value = openwebui.write(chat)

    assert (value["title"], value["chat"]["title"], value["updated_at"]) == ("Osaka", "Osaka", 99)


def test_two_titles_that_differ_stay_so():
    value = row({**single(message("a")), "title": "another"}, title="Kyoto")

    assert openwebui.write(brought_in(value)[0]) == value


def test_a_redacted_message_stays_in_its_place_under_its_id(tmp_path):
    value = single(message("a", content="secret"))
    (tmp_path / "chats.json").write_text(json.dumps(value))
    with branchlog.open("memory:") as store:
        import_file(store, tmp_path / "chats.json")
        chat = store.load("c")
        chat.redact("0")
        store.save(chat)
        written = export(chat, "open-webui")
        (tmp_path / "chats.json").write_text(json.dumps(written))

        assert import_file(store, tmp_path / "chats.json").unchanged == 1
    assert "secret" not in json.dumps(written)
    assert [(each["id"], each["role"], each["timestamp"]) for each in written["messages"]] == [("a", "user", 5)]
    assert written["messages"][0]["branchlog"] == {"redacted": True}
    assert "branchlog" not in written


def test_a_chain_of_10_000_goes_out_and_comes_in():
    chat = Conversation.start("deep")
    for number in range(10_000):
        chat.say("user", str(number))
    found = again(chat)

    assert found.cursor.depth == 10_000
    assert found.cursor.message.text == "9999"


@pytest.mark.parametrize(
    "value", [{"chat": None, "user_id": "u"}, {"chat": {}, "user_id": "u"}, {"chat": {"history": 1}}]
)
def test_no_messages_no_chat(value):
    with pytest.raises(InvalidInput, match=r"chat"):
        openwebui.read(value, "here")


SAMPLES = {
    "openwebui-importer_claude_output.json": 10,
    "openwebui-importer_claude_thinking_output.json": 2,
    "openwebui-importer_webui-json.json": 2,
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_come_in_and_go_out_as_they_were(name, samples, tmp_path):
    stood = json.loads((samples / "openwebui" / name).read_bytes())
    with branchlog.open("memory:") as store:
        report = import_file(store, samples / "openwebui" / name)
        (listed,) = store.list()
        chat = store.load(listed.id)
        written = export(chat, "open-webui")
        (tmp_path / "written.json").write_text(json.dumps(written))
        again = import_file(store, tmp_path / "written.json")

    assert (report.format, report.added, report.nodes, report.branches) == ("open-webui", 1, SAMPLES[name] + 1, 1)
    assert (report.repairs, report.skipped) == ((), ())
    assert written == stood
    assert (again.unchanged, again.nodes) == (1, 0)


def test_chats_of_no_id_that_begin_alike_at_other_times_are_two(tmp_path):
    values = [single(message("1", timestamp=time), id="") for time in (5, 6)]
    (tmp_path / "chats.json").write_text(json.dumps(values))
    with branchlog.open("memory:") as store:
        assert import_file(store, tmp_path / "chats.json").added == 2
        assert import_file(store, tmp_path / "chats.json").unchanged == 2


@given(exports())
def test_no_other_format_takes_it(value):
    assert [reader for reader in detect.READERS if reader.recognises(value)] == [openwebui]
    assert detect.writer_of("open-webui") is openwebui


def test_what_was_added_here_to_an_imported_chat_is_known_when_it_comes_back(tmp_path):
    file = tmp_path / "chats.json"
    file.write_text(json.dumps(row(single(message("a")))))
    with branchlog.open("memory:") as store:
        import_file(store, file)
        chat = store.load("row")
        chat.say("assistant", "added")
        chat.edit("0", "another beginning")
        chat.say("assistant", "and an answer to it")
        store.save(chat)
        file.write_text(json.dumps([export(chat, "open-webui")]))

        assert import_file(store, file).unchanged == 1
