"""LibreChat: nested and flat, several roots, no text, parents after their children."""

import copy

import pytest
from formats.exports import texts as any_text
from formats.records import damaged, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.exchange import import_file
from branchlog.formats import librechat
from branchlog.formats.outline import add_missing, known_ids, mended, start

SAMPLES = {
    "librechat-export.json": (6, 0, 1, 5),
    "librechat-linear.json": (2, 0, 1, 1),
    "librechat-tree.json": (9, 2, 3, 5),
}


def said(id, parent=librechat.NO_PARENT, *, user=True, second=0, **fields):
    return {
        "messageId": id,
        "parentMessageId": parent,
        "text": id,
        "isCreatedByUser": user,
        "sender": "User" if user else "GPT-4",
        "createdAt": f"2025-11-21T00:00:{second:02}.000Z",
        **fields,
    }


def conversation(*messages, **fields):
    return {"conversationId": "c", "title": "Kyoto", "exportAt": "13:18:04 GMT-0400", "messages": [*messages], **fields}


def brought_in(value):
    outline, repairs = librechat.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id=outline.id or "chat"), outline, [f"{each.where}: {each.what}" for each in repairs + more]


@st.composite
def trees(draw):
    """A tree as a flat list in any order, and the same nested."""
    count = draw(st.integers(1, 8))
    parents = [None] + [draw(st.sampled_from([None, *range(index)])) for index in range(1, count)]
    flat = [
        said(
            f"m{index}",
            librechat.NO_PARENT if parent is None else f"m{parent}",
            user=draw(st.booleans()),
            second=index,
            text=draw(any_text),
            tokenCount=index,
        )
        for index, parent in enumerate(parents)
    ]
    nested = copy.deepcopy(flat)
    for index, parent in enumerate(parents):
        if parent is not None:
            nested[parent].setdefault("children", []).append(nested[index])
    return flat, [each for each, parent in zip(nested, parents, strict=True) if parent is None]


@given(trees(), st.randoms())
def test_nested_and_flat_in_any_order_are_the_same_tree(tree, random):
    flat, nested = tree
    chat, outline, repairs = brought_in(conversation(*nested, recursive=True))
    shuffled = flat[:]
    random.shuffle(shuffled)
    other, _, more = brought_in(conversation(*shuffled))
    nodes, others = known_ids(chat, "librechat"), known_ids(other, "librechat")

    assert repairs == more == []
    assert nodes.keys() == {each["messageId"] for each in flat}
    for each in flat:
        node = nodes[each["messageId"]]
        above = None if each["parentMessageId"] == librechat.NO_PARENT else each["parentMessageId"]
        assert node.message.content == each["text"]
        assert node.message.role == ("user" if each["isCreatedByUser"] else "assistant")
        assert node.message.metadata["librechat"]["tokenCount"] == each["tokenCount"]
        for found in (nodes, others):
            parent = found[each["messageId"]].parent
            assert parent == found[above] if above else parent.message is None
    assert chat.cursor == nodes[flat[-1]["messageId"]]
    assert add_missing(chat, outline) == 0


@given(trees(), st.booleans(), st.data())
def test_damage_comes_in_or_is_refused_with_a_reason(tree, flat, data):
    value = damaged(data.draw, conversation(*copy.deepcopy(tree[0 if flat else 1])))
    try:
        chat, outline, _ = brought_in(value)
    except InvalidInput as error:
        assert "messages" in str(error)  # noqa: PT017
        return

    assert add_missing(chat, outline) == 0


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_samples_come_in_whole_and_only_once(samples, tmp_path, name):
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, samples / "librechat" / name)
        assert import_file(store, samples / "librechat" / name).unchanged == 1
        (head,) = store.list()
        chat = store.load(head.id)
    depth = max(node.depth for node in chat.tree.nodes)

    assert (report.format, report.added, report.repairs) == ("librechat", 1, ())
    assert (report.nodes - 1, len(chat.forks), report.branches, depth - 1) == SAMPLES[name]  # a root is above


def test_several_roots_are_legal():
    chat, _, repairs = brought_in(conversation(said("a"), said("b", None, second=1)))

    assert repairs == []
    assert chat.tree.root.message is None
    assert [child.message.text for child in chat.tree.root.children] == ["a", "b"]


def test_a_message_without_text_keeps_its_place_and_what_hangs_under_it():
    chat, _, repairs = brought_in(
        conversation(said("a"), said("b", "a", text=None, second=1), said("c", "b", second=2))
    )

    assert texts(chat) == ["a", "", "c"]
    assert any("'b': no text" in each for each in repairs)


def test_blocks_and_calls_stand_for_the_text():
    call = {
        "type": "tool_call",
        "tool_call": {"id": "1", "name": "f", "args": "{}", "output": "out", "type": "tool_call"},
    }
    blocks = [{"type": "think", "think": "hm"}, {"type": "text", "text": {"value": "so"}}, call]
    chat, outline, _ = brought_in(conversation(said("a", text="", user=False, content=blocks)))
    message = chat.cursor.message

    assert message.content == [{"type": "think", "think": "hm"}, {"type": "text", "text": "so"}]
    assert message.tool_calls[0]["function"]["name"] == "f"
    assert message.metadata["librechat"]["content"] == blocks
    assert outline.turns[1].aside


def test_one_block_of_text_is_the_text():
    chat, outline, _ = brought_in(conversation(said("a", text="old", content=[{"type": "text", "text": "new"}])))

    assert chat.cursor.message.content == "new"
    assert chat.cursor.message.metadata["librechat"]["text"] == "old"
    assert not outline.turns[1].aside


def test_a_message_that_is_in_another_one_than_it_says():
    value = conversation(said("a", children=[said("b", "elsewhere", second=1)]))
    chat, _, repairs = brought_in(value)

    assert texts(chat) == ["a", "b"]
    assert any("'elsewhere'" in each for each in repairs)


@pytest.mark.parametrize(
    ("fields", "role"), [({"sender": "user"}, "user"), ({"sender": "GPT-4"}, "assistant"), ({}, "unknown")]
)
def test_whose_it_is_where_only_the_sender_says_it(fields, role):
    message = {"messageId": "a", "text": "hi", **fields}
    chat, _, _ = brought_in(conversation(message))

    assert chat.cursor.message.role == role


def test_a_message_without_id_is_found_again():
    message = {"text": "hi", "isCreatedByUser": True}
    chat, _, _ = brought_in(conversation(message, message))
    _, outline, _ = brought_in(conversation(message, message, {"text": "more", "isCreatedByUser": False}))

    assert add_missing(chat, outline) == 1


def test_the_time_without_a_date_is_kept_as_it_stands():
    chat, _, repairs = brought_in(conversation(said("a"), options={"model": "m"}))

    assert repairs == []
    assert chat.metadata["librechat"]["exportAt"] == "13:18:04 GMT-0400"
    assert chat.metadata["librechat"]["options"] == {"model": "m"}
    assert chat.title == "Kyoto"


@pytest.mark.parametrize("messages", [None, "x", {}])
def test_no_messages_no_conversation(messages):
    with pytest.raises(InvalidInput, match="messages"):
        librechat.read({"conversationId": "c", "messages": messages}, "here")


def test_20_000_messages_in_a_chain():
    messages = [said(str(index), str(index - 1) if index else None) for index in range(20_000)]
    chat, _, repairs = brought_in(conversation(*reversed(messages)))

    assert repairs == []
    assert chat.cursor.depth == 20_000


def test_a_second_first_message_comes_later_as_an_alternative():
    chat, _, _ = brought_in(conversation(said("a")))
    _, outline, repairs = brought_in(conversation(said("a"), said("b", second=1)))

    assert repairs == []
    assert add_missing(chat, outline) == 1
    assert [child.message.text for child in chat.tree.root.children] == ["a", "b"]
