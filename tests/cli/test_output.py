"""Nothing in a message acts on a terminal; JSON stays JSON."""

import json
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from branchlog import Change
from branchlog._core.events import NodeAdded, UnknownEvent
from branchlog.cli.output import harmless, json_text, one_line, shortened
from branchlog.cli.wording import fields_of, happened, in_words, record

TEXT = st.text(st.characters(codec="utf-8"))


def test_escape_sequences_are_made_visible():
    assert harmless("\x1b[31mred\x07\x9b0m\u202e") == "␛[31mred␇\\u009b0m\\u202e"
    assert harmless("a\tb\r\nc\n") == "a\tb\nc\n"
    assert one_line("  a\n\n b\x00 ") == "a b␀"


@given(TEXT)
def test_no_control_character_gets_through(text):
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F for char in one_line(text))
    assert not any(char not in "\t\n" and ord(char) < 0x20 for char in harmless(text))


@given(st.recursive(TEXT | st.integers(-(2**53), 2**53), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_json_says_the_same_without_acting(value):
    text = json_text(value)

    assert json.loads(text) == value
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F for char in text)


@given(TEXT, st.integers(2, 50))
def test_what_is_shortened_fits_and_begins_as_it_did(text, width):
    text = one_line(text)
    short = shortened(text, width)

    assert cell_len(short) <= width
    assert short == text or text.startswith(short[:-1])


def test_an_event_of_a_later_branchlog_is_told_as_such():
    event = UnknownEvent(at=5, raw=b'{"type":"node-sung","at":5}')

    assert "later branchlog" in in_words(fields_of(event), 3, ":{}".format)


def test_an_event_for_json_has_its_place():
    event = NodeAdded(at=1_000_000, parent=1, message=msgspec.Raw(b'{"role":"user","content":"Hi"}'))
    change = Change(
        position=7,
        conversation="c",
        first=2,
        id="00",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        schema="1.0.0",
        events=(event,),
    )
    fields = fields_of(event)

    assert happened(fields) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert record(change, 2, fields)["event"] == {
        "type": "node-added",
        "at": 1_000_000,
        "parent": 1,
        "message": {"role": "user", "content": "Hi"},
    }
    assert in_words(fields, 2, ":{}".format) == ":2 added: user: Hi"
