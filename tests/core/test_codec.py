"""Events to bytes and back, in this version of the vocabulary and in later ones."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from branchlog import CorruptLog, SchemaVersionError
from branchlog._core import codec
from branchlog._core.events import (
    SCHEMA,
    ConversationAnnotated,
    ConversationStarted,
    CursorMoved,
    NodeAdded,
    NodeAnnotated,
    UnknownEvent,
)
from branchlog._core.message import encode
from branchlog._core.projection import Projection, evolve_all, to_microseconds
from branchlog._core.tree import Tree
from branchlog.commit import genesis, seal
from branchlog.testing.playing import NOON, commands, played, portrait, started
from branchlog.testing.strategies import any_text, messages, objects

times = st.integers(-(2**55), 2**55)
versions = st.integers(1, 2**53)
raws = messages().map(lambda message: Raw(encode(message)))
titles = st.none() | any_text(max_size=10)


def maybe(values):
    return st.just(UNSET) | values


events = st.one_of(
    st.builds(ConversationStarted, at=times, title=titles, metadata=objects(), message=maybe(raws)),
    st.builds(NodeAdded, at=times, parent=versions, message=raws),
    st.builds(
        CursorMoved,
        at=times,
        to=st.none() | versions,
        cursor=any_text(min_size=1, max_size=5),
        by=st.sampled_from(("move", "undo", "redo")),
    ),
    st.builds(
        NodeAnnotated,
        at=times,
        node=versions,
        label=maybe(st.none() | any_text(max_size=5)),
        rating=maybe(st.none() | st.integers(1, 5) | st.floats(1, 5)),
        bookmark=maybe(st.booleans()),
        hidden=maybe(st.booleans()),
        metadata=maybe(objects()),
    ),
    st.builds(ConversationAnnotated, at=times, title=maybe(titles), metadata=maybe(objects())),
)


def commit(data, count, schema=SCHEMA):
    return seal("trip", genesis("", "trip"), count=count, id=bytes(16), at=0, schema=schema, data=data)


def plain(event):
    """The event with its message as bytes, which can be compared."""
    message = getattr(event, "message", None)
    return msgspec.structs.replace(event, message=bytes(message)) if isinstance(message, Raw) else event


@given(st.lists(events, min_size=1, max_size=6))
def test_events_come_back_as_they_went_in(happened):
    back = codec.Codec().decode(commit(codec.encode_events(happened), len(happened)))

    assert list(map(plain, back)) == list(map(plain, happened))
    assert codec.encode_events(back) == codec.encode_events(happened)


@given(st.lists(events, min_size=1, max_size=6))
def test_a_later_minor_version_reads_what_is_known_in_the_same_way(happened):
    data = codec.encode_events(happened)

    assert codec.encode_events(codec.Codec().decode(commit(data, len(happened), "1.1.0"))) == data


def test_the_stored_form_is_the_one_that_is_documented():
    """Stores are read by other tools, and by every later branchlog: this does not change by accident."""
    at = to_microseconds(NOON)
    message = Raw(encode(started().say("user", "Hi").message))
    happened = [
        ConversationStarted(at=at, title="Kyoto"),
        NodeAdded(at=at, parent=1, message=message),
        CursorMoved(at=at, to=2),
        CursorMoved(at=at, to=None, cursor="reader", by="move"),
        NodeAnnotated(at=at, node=2, label="best", rating=None),
        ConversationAnnotated(at=at, metadata={"k": None}),
    ]

    assert codec.encode_events(happened).decode() == (
        '[{"type":"conversation-started","at":1767268800000000,"title":"Kyoto"},'
        '{"type":"node-added","at":1767268800000000,"parent":1,"message":{"role":"user","content":"Hi"}},'
        '{"type":"cursor-moved","at":1767268800000000,"to":2},'
        '{"type":"cursor-moved","at":1767268800000000,"to":null,"cursor":"reader"},'
        '{"type":"node-annotated","at":1767268800000000,"node":2,"label":"best","rating":null},'
        '{"type":"conversation-annotated","at":1767268800000000,"metadata":{"k":null}}]'
    )


LATER = (
    b'[{"type":"conversation-started","at":1,"mood":"good","message":{"role":"system","content":"x","mood":"good"}},'
    b'{"type":"node-weighed","at":2,"node":1,"grams":[1,{"type":"node-added"}]},'
    b'{"type":"node-added","at":3,"parent":1,"message":{"role":"user","content":"a"},"weight":2}]'
)


@pytest.mark.parametrize("schema", ["1.1.0", "1.0.1", "1.999.12"])
def test_a_later_minor_version_is_read_and_what_is_unknown_keeps_its_version(schema):
    happened = codec.Codec().decode(commit(LATER, 3, schema))
    state = Projection()
    evolve_all(state, happened)
    tree = Tree(state)

    assert happened[1] == UnknownEvent(
        at=2, raw=b'{"type":"node-weighed","at":2,"node":1,"grams":[1,{"type":"node-added"}]}'
    )
    assert (state.version, [node.version for node in tree]) == (3, [1, 3])
    assert [node.message.content for node in tree] == ["x", "a"]
    assert portrait(tree.at(2))["nodes"].keys() == {""}


def test_an_unknown_event_is_unknown_only_in_a_later_version():
    with pytest.raises(CorruptLog, match=r"schema 1\.0\.0"):
        codec.Codec().decode(commit(LATER, 3))


@pytest.mark.parametrize("schema", ["2.0.0", "10.0.0", "2.0.1"])
def test_a_later_major_version_is_refused(schema):
    with pytest.raises(SchemaVersionError, match="upgrade branchlog") as refusal:
        codec.Codec().decode(commit(b"[]", 0, schema))

    assert (refusal.value.found, refusal.value.supported) == (schema, SCHEMA)


@pytest.mark.parametrize(
    "schema",
    ["0.9.0", "0.0.0", "", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.-1", "1.0.x", " 1.0.0", "1.0.0\n", "\u0661.0.0",
     "01.0.0", "1.0.00", "1." + "9" * 5_000 + ".0"],
)  # fmt: skip
def test_a_version_that_never_was_is_a_corrupt_log(schema):
    with pytest.raises(CorruptLog, match="was ever released"):
        codec.Codec().decode(commit(b"[]", 0, schema))


@pytest.mark.parametrize("schema", [SCHEMA, "1.1.0"])
@pytest.mark.parametrize("count", [1, 3, 0])
def test_a_count_that_disagrees_is_a_corrupt_log(count, schema):
    data = codec.encode_events([ConversationStarted(at=1), CursorMoved(at=1, to=1)])

    with pytest.raises(CorruptLog, match=rf"{count} events expected, 2 found"):
        codec.Codec().decode(commit(data, count, schema))


@pytest.mark.parametrize("schema", [SCHEMA, "1.1.0"])
@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"{}", b"[", b"[1]", b"[{}]", b'[{"type":"node-added"}]',
     b'[{"type":"node-added","at":1,"parent":"1"}]', b'[{"type":"conversation-started","at":1,"title":"\xff"}]',
     b'[{"type":"conversation-annotated","at":1,"metadata":' + b'{"k":' * 5_000 + b"1" + b"}" * 5_002 + b"]",
     b'[{"type":"cursor-moved","at":1000000000000000000,"to":1}]',
     b'[{"type":"cursor-moved","at":-1' + b"0" * 40 + b',"to":1}]',
     b'[{"at":1}]', b'[{"type":5,"at":1}]', b'[{"type":"cursor-moved","at":1.5,"to":1}]', b"\xff\xfe", b"[\0]"],
)  # fmt: skip
def test_bytes_that_are_no_events_are_a_corrupt_log(data, schema):
    with pytest.raises(CorruptLog, match="commit at version 1 of 'trip'"):
        codec.Codec().decode(commit(data, 1, schema))


@given(st.binary(max_size=40), st.sampled_from((SCHEMA, "1.1.0", "2.0.0", "0.1.0")))
def test_any_bytes_at_all_are_read_or_refused(data, schema):
    try:
        happened = codec.Codec().decode(commit(data, 1, schema))
    except (CorruptLog, SchemaVersionError):
        return
    assert len(happened) == 1


@given(commands())
def test_the_pending_events_of_a_conversation_fold_to_its_tree_from_bytes(script):
    chat = played(script)
    state = Projection()
    evolve_all(state, codec.Codec().decode(commit(codec.encode_events(chat.pending), len(chat.pending))))

    assert portrait(Tree(state)) == portrait(chat.tree)


def test_a_rating_that_is_a_whole_float_stays_one():
    event = NodeAnnotated(at=1, node=1, rating=3.0)
    (back,) = codec.Codec().decode(commit(codec.encode_events([event]), 1))

    assert isinstance(back.rating, float)
    assert math.isclose(back.rating, 3)
