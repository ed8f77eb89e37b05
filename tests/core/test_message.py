"""Messages: what is accepted comes back the same; what is refused is refused by name and place."""

import collections
import copy
import enum
import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import CorruptLog, InvalidMessage, Message
from branchlog._core.message import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN, copied, decode, encode, merge_patch
from branchlog.testing.playing import started
from branchlog.testing.strategies import any_text, json_values, messages


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Table(dict):
    pass


class Tag(enum.StrEnum):
    USER = "user"


def nested(depth):
    """A dict with lists within: so many containers deep."""
    value = []
    for _ in range(depth - 2):
        value = [value]
    return {"k": value}


# What comes back.


def exactly(value):
    """A value with the kinds of all that is in it: 1, 1.0 and True are three things, as are 0.0 and -0.0."""
    if isinstance(value, dict):
        return {key: exactly(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exactly(inner) for inner in value]
    return type(value), math.copysign(1, value) if value == 0 else None, value


def fields(message):
    return exactly(attrs.asdict(message, recurse=False))


@given(messages())
def test_a_message_comes_back_as_it_went_in(message):
    back = decode(encode(message))

    assert back == message
    assert fields(back) == fields(message)
    assert encode(back) == encode(message)


@given(json_values(20))
def test_a_json_value_comes_back_wherever_it_stands(value):
    message = Message(
        "tool",
        [{"type": "x", "value": value}],
        tool_calls=[{"arguments": value}],
        tool_call_id="1",
        metadata={"value": value},
    )

    assert fields(decode(encode(message))) == fields(message)


@given(any_text())
def test_any_text_that_utf_8_has_comes_back(text):
    message = Message("user", text, name=text, metadata={text: text})

    assert decode(encode(message)) == message
    assert started().say(message).message == message


@pytest.mark.parametrize(
    "value",
    ["\0", "\U0010ffff", "\u2028", "\ufeff", -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, 1e22, 1.0,
     INTEGER_MIN, INTEGER_MAX, True, None, [], {}, "", nested(DEPTH_MAX - 1)],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_values_at_the_edges_come_back(value):
    message = Message("user", "hello", metadata={"value": value})

    assert fields(decode(encode(message))) == fields(message)


def test_a_message_of_4_mb_comes_back():
    text = "Kyōto\0 " * 500_000

    assert started().say("user", text).message.content == text


def test_a_decoded_message_shares_nothing_with_the_tree():
    node = started().say("user", [{"type": "text", "text": "a"}], metadata={"k": [1]})
    node.message.content[0]["text"] = "b"
    node.message.metadata["k"].append(2)

    assert node.message == Message("user", [{"type": "text", "text": "a"}], metadata={"k": [1]})


@pytest.mark.parametrize("data", [b"", b"{}", b"5", b'{"role":1}', b'{"role":"user","content":5}', b'{"role":"\xff"}'])
def test_stored_bytes_that_are_no_message_are_a_corrupt_log(data):
    with pytest.raises(CorruptLog, match="not a message"):
        decode(data)


# What is refused.

UNFIT = {
    "NaN": (math.nan, "nan"),
    "infinity": (math.inf, "inf"),
    "minus infinity": (-math.inf, "-inf"),
    "65 bits": (2**64, "64 bits"),
    "65 bits below": (-(2**63) - 1, "64 bits"),
    "tuple": ((1, 2), "tuple"),
    "set": ({1}, "set"),
    "bytes": (b"x", "bytes"),
    "text subclass": (Text("x"), "Text"),
    "text enum": (Tag.USER, "Tag"),
    "int subclass": (Number(1), "Number"),
    "dict subclass": (Table(), "Table"),
    "counter": (collections.Counter(), "Counter"),
    "object": (object(), "object"),
    "lone surrogate": ("ab\ud800", "U+D800"),
}


@pytest.mark.parametrize(("value", "told"), UNFIT.values(), ids=UNFIT.keys())
@pytest.mark.parametrize(
    ("place", "where"),
    [
        (lambda value: Message("user", "x", metadata={"k": value}), "metadata['k']"),
        (lambda value: Message("user", "x", metadata={"k": [0, {"l": value}]}), "metadata['k'][1]['l']"),
        (lambda value: Message("user", [{"type": "x"}, {"type": "x", "k": value}]), "content[1]['k']"),
        (lambda value: Message("user", "x", tool_calls=[{"k": [value]}]), "tool_calls[0]['k'][0]"),
    ],
    ids=["metadata", "nested", "content", "tool_calls"],
)
def test_what_json_would_change_is_refused_by_its_place(value, told, place, where):
    with pytest.raises(InvalidMessage) as refusal:
        place(value)

    assert refusal.value.where == where
    assert told in refusal.value.problem
    assert str(refusal.value) == f"{where}: {refusal.value.problem}"


@pytest.mark.parametrize(
    "role", [None, 1, b"user", "", " user", "user ", "us\ner", "\ud800", "x" * 101, Text("user"), Tag.USER]
)
def test_a_role_is_a_short_text(role):
    with pytest.raises(InvalidMessage) as refusal:
        Message(role, "x")

    assert refusal.value.where == "role"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (5, "content"),
        (b"x", "content"),
        (True, "content"),
        ({"type": "text"}, "content"),
        (({"type": "text"},), "content"),
        (Text("x"), "content"),
        (None, "content"),
        ("a\udfff", "content"),
        (["x"], "content[0]"),
        ([{"type": "text"}, None], "content[1]"),
        ([{}], "content[0]"),
        ([{"type": 1}], "content[0]"),
        ([{"type": "text"}, {"text": "x"}], "content[1]"),
        ([Table(type="text")], "content[0]"),
    ],
    ids=repr,
)
def test_content_is_text_or_parts_with_a_type(content, where):
    with pytest.raises(InvalidMessage) as refusal:
        Message("user", content)

    assert refusal.value.where == where


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"name": 1}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"tool_call_id": 1}, "tool_call_id"),
        ({"tool_calls": {}}, "tool_calls"),
        ({"tool_calls": ["x"]}, "tool_calls[0]"),
        ({"metadata": None}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": Table()}, "metadata"),
        ({"metadata": {1: "x"}}, "metadata"),
        ({"metadata": {"k": {None: "x"}}}, "metadata['k']"),
        ({"metadata": {Text("k"): "x"}}, "metadata"),
        ({"metadata": {"\ud800": "x"}}, "a key of metadata"),
        ({"metadata": {"k": {"\ud800": "x"}}}, "a key of metadata['k']"),
    ],
    ids=repr,
)
def test_the_rest_of_a_message_is_checked_too(given, where):
    with pytest.raises(InvalidMessage) as refusal:
        Message("user", "x", **given)

    assert refusal.value.where == where


def test_content_may_be_left_out_only_for_tool_calls():
    assert Message("assistant", None, tool_calls=[{"id": "1"}]).text == ""

    with pytest.raises(InvalidMessage, match="tool_calls"):
        Message("assistant", None, tool_calls=[])


def test_nesting_is_bounded():
    assert Message("user", "x", metadata=nested(DEPTH_MAX)).metadata == nested(DEPTH_MAX)

    with pytest.raises(InvalidMessage, match=f"more than {DEPTH_MAX} deep"):
        Message("user", "x", metadata=nested(DEPTH_MAX + 1))


def test_a_value_that_holds_itself_is_refused():
    value = {}
    value["k"] = [value]

    with pytest.raises(InvalidMessage, match="deep"):
        Message("user", "x", metadata=value)


def test_a_text_nested_a_million_deep_is_refused_without_recursion():
    with pytest.raises(InvalidMessage, match="deep"):
        Message("user", "x", metadata=nested(100_000))


# Values that change after they were checked.


@pytest.mark.parametrize(("value", "told"), UNFIT.values(), ids=UNFIT.keys())
def test_a_change_after_the_check_is_found_when_it_is_said(value, told):
    chat = started()
    message = Message("user", [{"type": "text", "text": "x"}])
    message.content[0]["k"] = value

    with pytest.raises(InvalidMessage) as refusal:
        chat.say(message)

    assert (refusal.value.where, len(chat.tree), chat.version) == ("content[0]['k']", 1, 1)


def test_a_change_to_a_depth_that_json_readers_give_up_at_is_found_too():
    chat = started()
    message = Message("user", "x")
    message.metadata.update(nested(DEPTH_MAX + 1))

    with pytest.raises(InvalidMessage, match="deep"):
        chat.say(message)


@given(messages(), json_values())
def test_a_change_after_it_was_said_changes_nothing(message, value):
    chat = started()
    before = copy.deepcopy(message)
    node = chat.say(message)
    message.metadata["later"] = value
    if isinstance(message.content, list):
        message.content.append({"type": "later"})

    assert node.message == before


def test_metadata_that_is_given_is_copied():
    given = {"k": {"l": [1]}}
    chat = type(started()).start(metadata=given)
    node = chat.say("user", "x", metadata=given)
    chat.annotate("", metadata=given)
    chat.annotate_conversation(metadata={"more": given})
    given["k"]["l"].append(math.nan)

    assert chat.metadata == {"k": {"l": [1]}, "more": {"k": {"l": [1]}}}
    assert (node.metadata, chat.tree.root.metadata) == ({"k": {"l": [1]}}, {"k": {"l": [1]}})


def test_metadata_that_is_read_is_a_copy():
    chat = type(started()).start(metadata={"k": {"l": [1]}})
    chat.annotate("", metadata={"k": {"l": [1]}})
    for metadata in (chat.metadata, chat.tree.root.metadata, chat.at(1).metadata, chat.tree.metadata):
        metadata.get("k", {}).setdefault("l", []).append(math.nan)

    assert chat.metadata == chat.tree.root.metadata == chat.at(1).metadata == {"k": {"l": [1]}}


@given(st.dictionaries(st.sampled_from("ab"), json_values()))
def test_a_copy_of_metadata_is_equal(metadata):
    assert exactly(copied(metadata)) == exactly(metadata)


# Merge patches.


def test_the_examples_of_rfc_7396():
    cases = [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, result in cases:
        before = copy.deepcopy((target, patch))
        assert merge_patch(target, patch) == result
        assert (target, patch) == before


# The shapes of the chat APIs.


def test_what_an_api_is_sent():
    message = Message("tool", "42", tool_call_id="1", name="add", metadata={"own": True})

    assert message.to_chat() == {"role": "tool", "content": "42", "name": "add", "tool_call_id": "1"}
    assert Message("user", "x").to_chat() == {"role": "user", "content": "x"}


def test_the_text_of_parts():
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "text": "no"},
        {"type": "output_text", "text": "b"},
        {"type": "text"},
        {"type": "text", "text": 5},
    ]

    assert Message("user", parts).text == "a\nb"
    assert Message("user", "plain").text == "plain"
