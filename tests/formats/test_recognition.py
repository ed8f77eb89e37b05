"""Each file is known as one format and no other, by what is in it."""

import json

import pytest
from formats.test_assistant_ui import item
from formats.test_claude_code import other, record
from formats.test_librechat import conversation, said
from formats.test_loom import note, piece, tree
from formats.test_pi import HEADER, entry
from formats.test_sillytavern import HEADER as CHAT_HEADER
from formats.test_sillytavern import said as spoken

from branchlog.formats import detect

FOLDERS = {"openai-chat": "chat-completions", "multi-sample": "oasst-sampling", "openwebui": "open-webui"}

VALUES = {
    "assistant-ui": [{"messages": [item("a"), 5]}, {"headId": None, "messages": []}],
    "claude-code": [record("a"), other("progress", "p", None), {"loglines": []}],
    "librechat": [conversation(said("a")), conversation()],
    "loom": [tree(piece("a")), note({"a": (None, "x")}, "a"), {"One.md": note({"a": (None, "x")}, "a")}],
    "pi": [HEADER, entry("a"), {"type": "compaction", "id": "c", "parentId": "a", "timestamp": "", "summary": "S"}],
    "sillytavern": [CHAT_HEADER, spoken("hi")],
}


def known_as(values):
    """The formats that know any of these, by themselves or together."""
    readers = {reader.FORMAT for reader in detect.READERS for each in values if _knows(reader, each)}
    return readers | {reader.FORMAT for reader in detect.RECORD_READERS if reader.recognises_records(values)}


def _knows(reader, value):
    return isinstance(value, dict) and reader.recognises(value)


@pytest.mark.parametrize(("format", "value"), [(format, each) for format, all in VALUES.items() for each in all])
def test_one_value(format, value):
    assert known_as([value]) == {format}


def test_the_samples(samples):
    seen = set()
    for file in sorted(samples.glob("*/*.json*")):
        if file.parent.name == "adk":  # no format of ours
            continue
        text = file.read_text()
        try:
            value = json.loads(text)
        except ValueError:
            value = [json.loads(line) for line in text.splitlines() if line.strip()]
        values = value if isinstance(value, list) else [value]
        seen.add(file.parent.name)
        assert known_as(values) == {FOLDERS.get(file.parent.name, file.parent.name)}, file.name

    assert len(seen) == 8
