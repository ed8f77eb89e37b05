"""LibreChat: ``{conversationId, title, messages}``, nested by ``children`` or flat by ``parentMessageId``.

Several messages without parent are legal: a root without message is above them, and above a single one, too. The
export does not say where the conversation stands: the cursor is on the newest leaf. ``exportAt`` is a time without a
date, and kept as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import attrs

from branchlog._core.message import Json
from branchlog.errors import InvalidInput
from branchlog.formats.blocks import CallShape, Said, name_of, said
from branchlog.formats.carry import JsonObject, Repair, Repairs, carried_text, free, kind_of, message, shaped
from branchlog.formats.outline import Outline, Turn, described, moment, title_of, under_a_root

FORMAT = "librechat"

NO_PARENT = "00000000-0000-0000-0000-000000000000"
"""What stands for the parent of a message that has none."""

CALL = CallShape("tool_call", "id", "name", "args")

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class _Conversation:
    """The fields of a conversation that mean something here."""

    conversationId: str | None = None  # noqa: N815, the name that stands in the file
    title: str | None = None


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    messageId: str | None = None  # noqa: N815, the name that stands in the file
    parentMessageId: str | None = None  # noqa: N815, likewise
    text: str | None = None
    content: list[Any] | None = None
    sender: str | None = None
    isCreatedByUser: bool | None = None  # noqa: N815, likewise
    createdAt: str | None = None  # noqa: N815, likewise
    children: list[Any] | None = None


@attrs.define(eq=False)
class _Entry:
    """One message, with its place in the tree."""

    id: str
    parent: str | None
    raw: JsonObject
    fields: _Message
    wrong: set[str]


def recognises(value: JsonObject) -> bool:
    """Whether this is a conversation, be it a damaged one."""
    return "conversationId" in value and "messages" in value and "mapping" not in value


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no messages."""
    messages = value.get("messages")
    if not isinstance(messages, list):
        raise InvalidInput(f"a conversation of LibreChat without a list of messages: {described(value)}")
    repairs: Repairs = []
    fields, _ = shaped(_Conversation, _present(value), where, repairs)
    entries = _entries(messages, where, repairs)
    turns = under_a_root([_turn(entry, where, repairs) for entry in entries])
    return Outline(
        format=FORMAT,
        id=fields.conversationId and carried_text(fields.conversationId, where, repairs),
        title=title_of(fields.title, where, repairs),
        metadata={key: field for key, field in value.items() if key != "messages"},
        turns=turns,
        current=_newest_leaf(turns),
    ), repairs


def _present(raw: JsonObject) -> JsonObject:
    return {key: field for key, field in raw.items() if field is not None}


# The tree.


def _entries(messages: list[Json], where: str, repairs: Repairs) -> list[_Entry]:
    """Every message: those that are in another one after it, siblings in their order."""
    entries: list[_Entry] = []
    taken: set[str] = set()
    todo: list[tuple[Json, _Entry | None]] = [(raw, None) for raw in messages]
    for raw, above in todo:
        if not isinstance(raw, dict):
            place = where if above is None else f"{where}, message {above.id!r}"
            repairs.append(Repair(place, f"a message is {kind_of(raw)}; left out"))
            continue
        entry = _entry(raw, above, taken, where, repairs)
        entries.append(entry)
        todo.extend((child, entry) for child in entry.fields.children or ())
    return entries


def _entry(raw: JsonObject, above: _Entry | None, taken: set[str], where: str, repairs: Repairs) -> _Entry:
    found: Repairs = []
    fields, wrong = shaped(_Message, _present(raw), where, found)
    said_parent = fields.parentMessageId if fields.parentMessageId not in ("", NO_PARENT) else None
    parent = above.id if above is not None else said_parent and carried_text(said_parent, where, [])
    wanted = fields.messageId and carried_text(fields.messageId, where, found)
    id = free(wanted or name_of([parent, raw.get("text"), raw.get("isCreatedByUser")]), taken)
    taken.add(id)
    place = f"{where}, message {id!r}"
    if wanted and wanted != id:
        repairs.append(Repair(place, f"a second message of the id {wanted!r}"))
    if above is not None and fields.parentMessageId and fields.parentMessageId != above.raw.get("messageId"):
        said_here = fields.parentMessageId[:40]
        repairs.append(Repair(place, f"its parentMessageId is {said_here!r}; it hangs under the message it is in"))
    repairs += [Repair(place, repair.what) for repair in found]
    return _Entry(id, parent, raw, fields, wrong)


def _newest_leaf(turns: Iterable[Turn]) -> str | None:
    parents = {turn.parent for turn in turns}
    leaves = [(turn.time or LONG_AGO, index, turn.id) for index, turn in enumerate(turns) if turn.id not in parents]
    return max(leaves)[2] if leaves else None


# What is said.


def _turn(entry: _Entry, where: str, repairs: Repairs) -> Turn:
    place, fields = f"{where}, message {entry.id!r}", entry.fields
    content = _said(fields, place, repairs)
    carried = {"children", "content" if fields.content else "text"} - entry.wrong
    kept = {key: field for key, field in entry.raw.items() if key not in carried}
    if not content.exact:
        kept["content"] = entry.raw["content"]
    if kept.get("messageId") == entry.id:
        del kept["messageId"]
    if "id" in kept:
        kept[free("original_id", kept)] = kept.pop("id")
    return Turn(
        id=entry.id,
        parent=entry.parent,
        message=message(_role(fields), content.content, place, repairs, tool_calls=content.calls),
        time=moment(fields.createdAt, "createdAt", place, repairs),
        aside=not content.exact,
        metadata=kept,
    )


def _role(fields: _Message) -> str | None:
    """Whose it is: older messages say it by their sender only."""
    if fields.isCreatedByUser is not None:
        return "user" if fields.isCreatedByUser else "assistant"
    if fields.sender is None:
        return None
    return "user" if fields.sender.lower() == "user" else "assistant"


def _said(fields: _Message, where: str, repairs: Repairs) -> Said:
    """The text, or else the blocks of the content."""
    if not fields.content:
        if fields.text is None:
            repairs.append(Repair(where, "no text; the message is empty"))
        return Said(fields.text or "")
    blocks = [_flat(block) for block in fields.content]
    found = said(blocks, CALL, where, repairs)
    same = all(block is stood for block, stood in zip(blocks, fields.content, strict=True))
    return attrs.evolve(found, exact=found.exact and same)


def _flat(block: Json) -> Json:
    """A block as others have it: a call by itself, and a text that is one."""
    if not isinstance(block, dict):
        return block
    inner = block.get(block["type"]) if isinstance(block.get("type"), str) else None
    if block.get("type") == "tool_call" and isinstance(inner, dict):
        call = {key: field for key, field in inner.items() if key in ("id", "name", "args")}
        return {**call, "type": "tool_call"}
    if block.get("type") == "text" and isinstance(inner, dict) and isinstance(inner.get("value"), str):
        return {"type": "text", "text": inner["value"]}
    return block
