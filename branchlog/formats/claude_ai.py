"""The Claude.ai export: ``conversations.json``, an array of conversations, or what the web application is sent of one.

Newer messages name their parent; a certain id, the same in every conversation, is that of a root that says nothing, and
so each conversation has one here. Older exports have no parents, and their messages lie in the array as they were made,
edits and regenerations among them. There one hangs under the one before, with one exception: a reply right behind a
reply hangs beside it. It was not made from that one, since a model is asked each time by a human message; so that the
two part is sure, while where the later one hangs is the likeliest place, and is reported unless it is the only one.
Two human messages in a row may be an edit as well as a second thought: nothing says which, and they stay in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from branchlog._core.message import Json
from branchlog.errors import InvalidInput
from branchlog.formats.beside import escaped, made_id
from branchlog.formats.blocks import part_of
from branchlog.formats.carry import (
    JsonObject,
    Repair,
    Repairs,
    carried_text,
    free,
    kind_of,
    message,
    shaped,
    tool_call,
)
from branchlog.formats.outline import Outline, Turn, described, moment, named_by_beginning, title_of

FORMAT = "claude-ai"

ROOT = "00000000-0000-4000-8000-000000000000"
"""The parent of the first messages."""

ROLES = {"human": "user"}
"""Senders that have another name in the chat APIs."""


@attrs.frozen
class _Conversation:
    """The fields of a conversation that mean something here."""

    uuid: str | None = None
    name: str | None = None
    created_at: str | None = None
    current_leaf_message_uuid: str | None = None


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    uuid: str | None = None
    text: str | None = None
    content: list[Any] | None = None
    sender: str | None = None
    created_at: str | None = None
    parent_message_uuid: str | None = None
    attachments: list[Any] | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a conversation of the export, be it a damaged one."""
    return "chat_messages" in value


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no messages."""
    if "chat_messages" not in value:
        raise InvalidInput(f"a Claude.ai conversation without chat_messages: {described(value)}")
    messages = value["chat_messages"]
    if not isinstance(messages, list):
        raise InvalidInput(f"its chat_messages are {kind_of(messages)}, not a list")
    repairs: Repairs = []
    fields, _ = shaped(_Conversation, value, where, repairs)
    turns = list(_turns(messages, where, repairs))
    blank = fields.name is None or not fields.name.strip()
    outline = Outline(
        format=FORMAT,
        id=carried_text(fields.uuid, where, repairs) if fields.uuid else None,
        title=None if blank else title_of(fields.name, where, repairs),
        metadata=_rest(value, fields.name),
        turns=(Turn(id=ROOT), *turns),
        current=_current(fields.current_leaf_message_uuid, turns),
        created=moment(fields.created_at, "created_at", where, repairs),
    )
    return named_by_beginning(outline), repairs


def _rest(value: JsonObject, name: str | None) -> JsonObject:
    """What the conversation itself does not carry."""
    whole = name is not None and name.strip() and title_of(name, "", []) == name
    return {key: field for key, field in value.items() if key != "chat_messages" and not (whole and key == "name")}


def _current(said: str | None, turns: list[Turn]) -> str | None:
    """Where it says that it stands; the export does not, so else at the newest leaf, of several the last one."""
    if said is not None:
        return carried_text(said, "", [])
    parents = {turn.parent for turn in turns}
    leaves = [turn for turn in turns if turn.id not in parents]
    timed = [(turn.time, number) for number, turn in enumerate(leaves) if turn.time is not None]
    if timed:
        return leaves[max(timed)[1]].id
    return leaves[-1].id if leaves else None if turns else ROOT


# Where messages hang.


@attrs.frozen
class _Entry:
    """One message of the array, with what it says."""

    raw: JsonObject
    fields: _Message
    place: str


def _turns(messages: list[Json], where: str, repairs: Repairs) -> Iterator[Turn]:
    entries = list(_entries(messages, where, repairs))
    has_parents = any(entry.fields.parent_message_uuid for entry in entries)
    taken = {ROOT}
    row = _Row()
    for entry in entries:
        parent = _named_parent(entry, row, repairs) if has_parents else row.parent_of(entry, repairs)
        turn = _turn(entry, parent, taken, repairs)
        taken.add(turn.id)
        row.went_on(entry, turn)
        yield turn


def _entries(messages: list[Json], where: str, repairs: Repairs) -> Iterator[_Entry]:
    for number, raw in enumerate(messages, 1):
        place = f"{where}, message {number}"
        if isinstance(raw, dict):
            yield _Entry(raw, shaped(_Message, raw, place, repairs)[0], place)
        else:
            repairs.append(Repair(place, f"it is {kind_of(raw)}, not a message; left out"))


def _named_parent(entry: _Entry, row: _Row, repairs: Repairs) -> str:
    """The parent that a message names; the one before it in the array where it names none and the others do."""
    named = entry.fields.parent_message_uuid
    if named:
        return carried_text(named, entry.place, repairs)
    if row.last != ROOT:
        repairs.append(Repair(entry.place, "it names no parent, as others do; put under the one before it"))
    return row.last


@attrs.define
class _Row:
    """How far the array has been read: the last message, and the last human one if replies have come since."""

    last: str = ROOT
    asked: str | None = None
    questions: int = 0
    is_reply: bool = False

    def parent_of(self, entry: _Entry, repairs: Repairs) -> str:
        """Where a message that names no parent hangs."""
        if not (self.is_reply and self.asked is not None and entry.fields.sender == "assistant"):
            return self.last
        if self.questions > 1:
            said = "a reply right behind a reply; taken as another one to the same message, which may be an earlier one"
            repairs.append(Repair(entry.place, said))
        return self.asked

    def went_on(self, entry: _Entry, turn: Turn) -> None:
        """A message has been read."""
        self.last = turn.id
        self.is_reply = entry.fields.sender == "assistant"
        if entry.fields.sender == "human":
            self.asked = turn.id
            self.questions += 1
        elif not self.is_reply:
            self.asked = None


# Messages.


CARRIED = ("uuid", "text", "content", "attachments")
"""Fields that are kept only as far as the message does not carry them."""

TAKEN = frozenset({"id", "original_id", "parent"})
"""What stands in the metadata of a node beside the fields of its message."""


def _turn(entry: _Entry, parent: str, taken: set[str], repairs: Repairs) -> Turn:
    fields, place = entry.fields, entry.place
    said = _said(entry, repairs)
    role = ROLES.get(fields.sender or "", fields.sender)
    made = message(role, said.content, place, repairs, tool_calls=said.calls)
    rest = {escaped(key, TAKEN): field for key, field in entry.raw.items() if key not in CARRIED}
    metadata = rest | said.kept
    if fields.uuid:
        id = carried_text(fields.uuid, place, repairs)
    else:
        id = free(made_id(parent, made.to_chat()), taken)
        repairs.append(Repair(place, "no uuid; it is named by what it says"))
        metadata |= {"uuid": entry.raw["uuid"]} if "uuid" in entry.raw else {}
    return Turn(
        id=id,
        parent=parent,
        message=made,
        time=moment(fields.created_at, "created_at", place, repairs),
        aside=said.kept.get("content") is fields.content is not None,
        metadata=metadata,
    )


@attrs.frozen
class _Said:
    """What a message says, and what of its text, blocks and attachments that does not carry."""

    content: str | list[JsonObject] | None
    calls: list[JsonObject]
    kept: JsonObject


def _said(entry: _Entry, repairs: Repairs) -> _Said:
    """The blocks are what is said, and what was attached; the text is it where the blocks have none."""
    fields = entry.fields
    blocks = fields.content or []
    parts = [part_of(block, entry.place, repairs) for block in blocks]
    kept = _kept_text(entry, parts)
    attached = _attached(entry, kept)
    stays = [part for part in parts if not _is_empty_text(part)]
    if fields.text and not any(map(_is_text, stays)):
        stays.append({"type": "text", "text": fields.text})
    if not stays and not attached:
        stays = parts
    calls, others = _calls(stays)
    whole = stays[: len(blocks)] == blocks and not calls
    content, rest = _content([*others, *attached], has_calls=bool(calls))
    if not whole:
        kept["content"] = fields.content
    elif rest:
        kept["content"] = [rest]
    return _Said(content, calls, kept)


def _is_text(part: JsonObject) -> bool:
    return part["type"] == "text" and isinstance(part.get("text"), str)


def _is_empty_text(part: JsonObject) -> bool:
    return _is_text(part) and not part["text"]


def _kept_text(entry: _Entry, parts: list[JsonObject]) -> JsonObject:
    """The text where it says something else than the blocks, and both where they are of a wrong type."""
    fields, raw = entry.fields, entry.raw
    kept: JsonObject = {}
    if fields.content is None and raw.get("content") is not None:
        kept["content"] = raw["content"]
    texts = [part["text"] for part in parts if _is_text(part)]
    carried = (None, "", "\n".join(texts), "\n\n".join(texts))
    if raw.get("text") is not None and (fields.text not in carried if any(texts) else fields.text is None):
        kept["text"] = raw["text"]
    return kept


def _attached(entry: _Entry, kept: JsonObject) -> list[JsonObject]:
    """The texts that were attached, as parts; what else is known of them is kept."""
    if "attachments" not in entry.raw:
        return []
    attachments = entry.fields.attachments
    if attachments is None:
        kept["attachments"] = entry.raw["attachments"]
        return []
    kept["attachments"] = [_without_text(each) for each in attachments]
    return [{"type": "text", "text": text} for each in attachments if (text := _text_of(each))]


def _text_of(attachment: Json) -> str | None:
    return _text(attachment.get("extracted_content")) if isinstance(attachment, dict) else None


def _without_text(attachment: Json) -> Json:
    if not _text_of(attachment):
        return attachment
    return {key: field for key, field in attachment.items() if key != "extracted_content"}


def _calls(parts: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """The calls of tools, and the other parts. A call that is answered in the message itself stays a part of it."""
    answered = {_text(part.get("tool_use_id")) for part in parts if part["type"] == "tool_result"}
    calls: list[JsonObject] = []
    others: list[JsonObject] = []
    for part in parts:
        id, name = _text(part.get("id")), _text(part.get("name"))
        if part["type"] == "tool_use" and name is not None and id is not None and id not in answered:
            calls.append(tool_call(id, name, part.get("input")))
        else:
            others.append(part)
    return calls, others


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _content(parts: list[JsonObject], *, has_calls: bool) -> tuple[str | list[JsonObject] | None, JsonObject]:
    """A single text is a text; what its block says beside, times and citations, is what is left."""
    if not parts:
        return (None if has_calls else ""), {}
    if len(parts) > 1 or not _is_text(parts[0]):
        return parts, {}
    return parts[0]["text"], {key: field for key, field in parts[0].items() if key not in ("type", "text")}
