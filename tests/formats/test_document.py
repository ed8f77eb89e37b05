"""A file taken apart as a stream: the same values and places, however little of it is held at a time."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlog.errors import InvalidInput
from branchlog.formats import document

values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 10**25) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
conversations = st.builds(lambda c, rest: {**rest, "c": c}, st.integers(0, 9), st.dictionaries(st.text(), values))


def known(value):
    return isinstance(value, dict) and "c" in value


def taken_apart(data, chunk_bytes=1 << 20):
    """What becomes of a file that is read in pieces of this size: its values, what was skipped, the error."""
    skipped, error, found = [], None, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "CHUNK_BYTES", chunk_bytes)
        try:
            found.extend(document.records(io.BytesIO(data), known, skipped))
        except InvalidInput as refusal:
            error = str(refusal)
    return found, [(each.where, each.reason) for each in skipped], error


@given(st.lists(conversations | values, min_size=1, max_size=5), st.integers(1, 40), st.sampled_from([None, 1]))
def test_an_array_is_read_the_same_in_pieces_of_any_size(elements, chunk_bytes, indent):
    data = json.dumps(elements, indent=indent, ensure_ascii=False).encode(errors="replace")
    found, skipped, error = taken_apart(data, chunk_bytes)

    assert [value for _, value in found] == json.loads(data)
    assert [where for where, _ in found] == [f"conversation {number}" for number in range(1, len(elements) + 1)]
    assert (skipped, error) == ([], None)


@given(st.lists(conversations, min_size=2, max_size=5), st.integers(1, 40), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_lines_are_read_the_same_in_pieces_of_any_size(elements, chunk_bytes, end):
    data = end.join(json.dumps(each) for each in elements).encode()

    assert taken_apart(data, chunk_bytes) == taken_apart(data)
    assert [value for _, value in taken_apart(data, chunk_bytes)[0]] == elements


@given(st.data())
def test_what_is_damaged_is_found_the_same_in_pieces_of_any_size(data):
    """The values and places are those of a file that is read at once; the wording of a problem may differ."""
    elements = data.draw(st.lists(conversations, min_size=1, max_size=4))
    whole = bytearray(
        json.dumps(elements).encode()
        if data.draw(st.booleans())
        else b"\n".join(json.dumps(e).encode() for e in elements)
    )
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        whole = whole or bytearray(b" ")
    found, skipped, error = taken_apart(bytes(whole))
    pieces = taken_apart(bytes(whole), data.draw(st.integers(1, 40)))

    assert repr(pieces[0]) == repr(found)  # by their text, since NaN is not equal to itself
    assert [where for where, _ in pieces[1]] == [where for where, _ in skipped]
    assert (pieces[2] is None) == (error is None)


def test_no_more_is_held_than_a_value_and_a_piece(monkeypatch):
    """Of a long array no more is in the window than one piece and what is left of the one before."""
    held = []
    monkeypatch.setattr(document, "FIRST_LINE_BYTES_MAX", 1_000)
    drop = document._Text.drop
    monkeypatch.setattr(document, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(document._Text, "drop", lambda text, place: (held.append(len(text.window)), drop(text, place)))
    data = json.dumps([{"c": number, "text": "x" * 100} for number in range(2_000)]).encode()
    found = list(document.records(io.BytesIO(data), known, []))

    assert len(found) == 2_000
    assert len(held) > 100
    assert max(held) < 3_000


def test_a_value_that_is_too_large_is_skipped_and_the_next_one_read(monkeypatch):
    monkeypatch.setattr(document, "FIRST_LINE_BYTES_MAX", 100)
    monkeypatch.setattr(document, "VALUE_BYTES_MAX", 1 << 20)
    large = {"c": 1, "text": "x" * (5 << 20)}
    found, skipped, error = taken_apart(json.dumps([large, {"c": 2}]).encode(), 100)
    assert [value for _, value in found] == [{"c": 2}]
    assert [(where, "1 MiB" in reason) for where, reason in skipped] == [("conversation 1, at byte 1", True)]
    assert error is None

    found, skipped, error = taken_apart(
        b"\n".join(json.dumps(each).encode() for each in [{"c": 0}, large, {"c": 2}]), 100
    )
    assert found == [("line 1", {"c": 0}), ("line 3", {"c": 2})]
    assert [(where, "1 MiB" in reason) for where, reason in skipped] == [("line 2", True)]
    assert error is None


def test_lines_that_are_arrays_are_lines():
    data = b'[{"a": 1}]\n[{"a": 2}]\n'

    assert taken_apart(data)[0] == [("line 1", [{"a": 1}]), ("line 2", [{"a": 2}])]
    assert taken_apart(b'[{"a": 1},\n{"a": 2}]\n')[0] == [("conversation 1", {"a": 1}), ("conversation 2", {"a": 2})]
