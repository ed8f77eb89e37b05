"""Two projections are the same, or it is said what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog import Message
from branchlog._core.codec import Codec, encode_events
from branchlog._core.events import NodeAdded, UnknownEvent
from branchlog._core.projection import Projection, evolve_all
from branchlog._core.same import different
from branchlog.commit import genesis, seal
from branchlog.testing import commands, played, started
from branchlog.testing.playing import picks


def folded(events):
    state = Projection()
    evolve_all(state, events)
    return state


def there_and_back(events):
    """The events after they were stored and read."""
    data = encode_events(events)
    commit = seal("trip", genesis("", "trip"), count=len(events), id=b"i" * 16, at=0, schema="1.0.0", data=data)
    return Codec().decode(commit)


def base():
    chat = started("Trip", "Be brief.")
    chat.say("user", "a")
    chat.say("assistant", "b", metadata={"n": 1})
    chat.annotate("0", label="best", rating=3, metadata={"m": 1})
    chat.new_cursor("reader", "0")
    return chat


@given(commands(), st.lists(picks, max_size=1))
def test_what_was_stored_and_read_is_the_same(script, redacted):
    chat = played(script)
    for pick in redacted:
        chat.redact(chat.tree.nodes[pick % len(chat.tree)])

    assert list(different(chat._state, folded(there_and_back(chat.pending)))) == []


@given(commands())
def test_other_versions_make_no_difference(script):
    """Events that change nothing give later ones other versions; the conversation is the same."""
    chat = played(script)
    unknown = UnknownEvent(at=chat.pending[-1].at, raw=b"{}")

    assert list(different(chat._state, folded([*chat.pending, unknown]))) == []


CHANGES = {
    "one more node": (lambda chat: chat.add("user", "c", under="0"), ["parents of nodes", "times of nodes"]),
    "a move": (lambda chat: chat.move("0"), ["moves of cursors"]),
    "a move there and back": (lambda chat: (chat.move("0"), chat.undo()), ["moves of cursors"]),
    "a cursor": (lambda chat: chat.new_cursor("other"), ["moves of cursors"]),
    "a cursor taken away": (lambda chat: chat.drop_cursor("reader"), ["moves of cursors"]),
    "a rating": (lambda chat: chat.annotate("0", rating=4), ["annotations of nodes"]),
    "a bookmark": (lambda chat: chat.annotate("0.0", bookmark=True), ["annotations of nodes"]),
    "a label": (lambda chat: chat.annotate("0.0", label="other"), ["annotations of nodes", "labels"]),
    "a title": (lambda chat: chat.annotate_conversation(title="Other"), ["titles and metadata"]),
    "metadata": (lambda chat: chat.annotate_conversation(metadata={"k": 1}), ["titles and metadata"]),
    "a redaction": (
        lambda chat: chat.redact("0"),
        ["annotations of nodes", "redactions", "messages of node '0'"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_difference_is_found_and_named(change):
    one, other = base(), base()
    do, differing = CHANGES[change]
    do(other)

    expected = [f"the {what} differ" for what in differing]
    assert list(different(one._state, other._state)) == expected
    assert list(different(other._state, one._state)) == expected


def with_message(**facts):
    chat = base()
    message = Message(**{"role": "user", "content": "c", **facts})
    chat.say(message)
    return chat._state


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"role": "user"}, {"role": "assistant"}),
        ({"content": "c"}, {"content": "C"}),
        ({"name": None}, {"name": "n"}),
        ({"metadata": {"n": 1}}, {"metadata": {"n": True}}),
        ({"metadata": {"n": 1}}, {"metadata": {"n": 1.0}}),
        ({"metadata": {"n": None}}, {"metadata": {}}),
        ({"content": [{"type": "text", "n": 1}]}, {"content": [{"type": "text", "n": True}]}),
    ],
    ids=["role", "content", "name", "number or boolean", "whole or not", "null or nothing", "in a part"],
)
def test_messages_are_compared_as_json(one, other):
    assert list(different(with_message(**one), with_message(**other))) == ["the messages of node '0.0.0' differ"]


def test_the_order_of_keys_makes_no_difference():
    assert list(different(with_message(metadata={"a": 1, "b": 2}), with_message(metadata={"b": 2, "a": 1}))) == []


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0, False)])
def test_what_was_annotated_is_compared_as_json(one, other):
    left, right, title = base(), base(), base()
    left.annotate("0.0", metadata={"k": one})
    right.annotate("0.0", metadata={"k": other})
    assert list(different(left._state, right._state)) == ["the annotations of nodes differ"]

    left, right = base(), title
    left.annotate_conversation(metadata={"k": one})
    right.annotate_conversation(metadata={"k": other})
    assert list(different(left._state, right._state)) == ["the titles and metadata differ"]


def test_when_a_node_was_added_counts():
    """The same messages at other times are not the same conversation."""
    events = base().pending
    later = [*events]
    added = next(place for place, event in enumerate(events) if isinstance(event, NodeAdded))
    later[added] = NodeAdded(at=events[added].at + 1, parent=events[added].parent, message=events[added].message)

    assert list(different(folded(events), folded(later))) == ["the times of nodes differ"]


def test_which_parent_counts():
    """The same messages in another shape of tree."""
    one, other = base(), base()
    one.add("user", "x", under="0")
    other.add("user", "x", under="0.0")

    assert list(different(one._state, other._state)) == ["the parents of nodes differ"]


def test_where_a_cursor_went_is_told_apart():
    one, other = base(), base()
    one.move("0")
    other.move("root")

    assert list(different(folded(one.pending), folded(other.pending))) == ["the moves of cursors differ"]
