"""The files of the pi coding agent: JSON Lines, a header ``{"type": "session"}`` and then entries.

From version 2 on an entry has ``id`` and ``parentId``, and the entries make a tree. In version 1, whose header names no
version, they have neither: they are a line, and an entry is named by what it says and by the one before it.

Entries that say something are nodes: messages, messages of extensions, summaries of compactions and of branches that
were left. The others (changes of the model and the thinking level, labels, the name, an extension's own entries, and
types that are not known) are kept in the metadata of the node that follows them in the file, as ``entries``; those
behind the last node in the conversation's. What hangs under such an entry hangs under the nearest node above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from branchlog._core.message import Json
from branchlog.formats.blocks import CallShape, Said, name_of, said, sound
from branchlog.formats.carry import JsonObject, Repair, Repairs, Skipped, carried_text, free, message, shaped
from branchlog.formats.outline import Outline, Turn, described, label_of, moment, seconds, title_of, under_a_root

FORMAT = "pi"

NODES = ("message", "custom_message", "compaction", "branch_summary")
"""The types of entries that say something."""

ENTRIES = frozenset(
    {*NODES, "model_change", "thinking_level_change", "custom", "label", "session_info", "context_edit", "usage"}
)

CALL = CallShape("toolCall", "id", "name", "arguments")

ROLES = {
    "toolResult": "tool",
    "bashExecution": "user",
    "custom": "user",
    "hookMessage": "user",
    "branchSummary": "user",
    "compactionSummary": "user",
}
"""Roles that have another name in the chat APIs: what pi sends a model in their place."""

Record: TypeAlias = tuple[str, Json]
Found: TypeAlias = tuple[str, Outline, Repairs]


@attrs.frozen
class _Header:
    """The fields of the header that mean something here."""

    id: str | None = None
    version: float | None = None
    timestamp: str | None = None


@attrs.frozen
class _Fields:
    """The fields of an entry that mean something here."""

    id: str | None = None
    parentId: str | None = None  # noqa: N815, the name that stands in the file
    timestamp: str | None = None
    message: dict[str, Any] | None = None
    summary: str | None = None
    targetId: str | None = None  # noqa: N815, likewise
    label: str | None = None
    name: str | None = None
    display: bool | None = None
    customType: str | None = None  # noqa: N815, likewise


@attrs.define(eq=False)
class _Entry:
    """One entry. ``id`` is that of the node, if it becomes one."""

    raw: JsonObject
    fields: _Fields
    id: str = ""
    parent: str | None = None
    before: list[JsonObject] = attrs.field(factory=list)

    @property
    def kind(self) -> str:
        kind = self.raw.get("type")
        return kind if isinstance(kind, str) else ""

    @property
    def is_node(self) -> bool:
        return self.kind in NODES and (self.kind != "message" or self.fields.message is not None)


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether there is a header among these, or an entry."""
    return any(isinstance(value, dict) and (_is_header(value) or _is_entry(value)) for value in values)


def _is_header(value: JsonObject) -> bool:
    return value.get("type") == "session" and "id" in value and ("cwd" in value or "version" in value)


def _is_entry(value: JsonObject) -> bool:
    kind = value.get("type")
    if kind == "message":
        return isinstance(value.get("message"), dict) and "timestamp" in value
    return isinstance(kind, str) and kind in ENTRIES and "timestamp" in value and "parentId" in value


def read_records(records: Iterable[Record], name: str) -> Iterator[Found | Skipped]:
    """The conversation of a file; where several files are behind one another, one for each header."""
    header: JsonObject = {}
    entries: list[tuple[str, JsonObject]] = []
    for where, value in records:
        if not isinstance(value, dict):
            yield Skipped(where, f"not an entry of pi: {described(value)}")
        elif value.get("type") == "session":
            if header or entries:
                yield _conversation(header, entries, name)
            header, entries = value, []
        else:
            entries.append((where, value))
    if header or entries:
        yield _conversation(header, entries, name)


def _conversation(header: JsonObject, lines: list[tuple[str, JsonObject]], name: str) -> Found:
    repairs: Repairs = []
    where = carried_text(f"conversation {header['id']}" if "id" in header else f"file {name!r}", "", [])
    fields, _ = shaped(_Header, _said_fields(header), where, repairs)
    if not header:
        repairs.append(Repair(where, "no header; the conversation is named by its first entry"))
    entries = [_entry(place, raw, repairs) for place, raw in lines]
    _name(entries)
    _hang(entries, linear=not any("id" in entry.raw for entry in entries))
    nodes, behind = _with_entries_before(entries)
    labels = _labels(entries, where, repairs)
    turns = under_a_root([_turn(entry, labels.get(entry.id), where, repairs) for entry in nodes])
    outline = Outline(
        format=FORMAT,
        id=carried_text(fields.id or (nodes[0].id if nodes else name), where, repairs),
        title=_title(entries, where, repairs),
        metadata={**header, "entries": behind} if behind else header,
        turns=turns,
        current=_current(entries),
        created=moment(fields.timestamp, "timestamp", where, repairs),
    )
    return where, outline, repairs


def _said_fields(raw: JsonObject) -> JsonObject:
    return {key: field for key, field in raw.items() if field is not None}


def _entry(place: str, raw: JsonObject, repairs: Repairs) -> _Entry:
    fields, _ = shaped(_Fields, _said_fields(raw), place, repairs)
    if raw.get("type") == "message" and raw.get("message") is None:
        repairs.append(Repair(place, "an entry of the type 'message' without one; kept as metadata"))
    return _Entry(raw, sound(fields, place, repairs))


# How entries hang.


def _name(entries: list[_Entry]) -> None:
    """An entry without id is named by what it says and by the one before it."""
    taken = {entry.fields.id for entry in entries if entry.fields.id}
    above = ""
    for entry in entries:
        entry.id = entry.fields.id or free(name_of([above, entry.raw]), taken)
        taken.add(entry.id)
        above = entry.id


def _hang(entries: list[_Entry], *, linear: bool) -> None:
    """Give each entry the nearest node above it; each entry in between is passed once."""
    known: dict[str, _Entry] = {}
    for entry in entries:
        known.setdefault(entry.id, entry)
    passed: dict[str, str | None] = {}
    above: str | None = None
    for entry in entries:
        if linear:
            entry.parent = above
            above = entry.id if entry.is_node else above
        else:
            entry.parent = _node_above(entry.fields.parentId, known, passed)


def _node_above(id: str | None, known: dict[str, _Entry], passed: dict[str, str | None]) -> str | None:
    walked: list[str] = []
    while id is not None and id in known and not known[id].is_node:
        if id in passed:
            id = passed[id]
            break
        passed[id] = None  # where a circle closes, it is met again
        walked.append(id)
        id = known[id].fields.parentId
    passed.update(dict.fromkeys(walked, id))
    return id


def _with_entries_before(entries: list[_Entry]) -> tuple[list[_Entry], list[JsonObject]]:
    """The nodes, each with the entries before it that are none, and the entries behind the last."""
    nodes: list[_Entry] = []
    waiting: list[JsonObject] = []
    for entry in entries:
        if entry.is_node:
            entry.before, waiting = waiting, []
            nodes.append(entry)
        else:
            waiting.append(entry.raw)
    return nodes, waiting


def _current(entries: list[_Entry]) -> str | None:
    """Where the last entry stands: pi goes on there."""
    if not entries:
        return None
    last = entries[-1]
    return last.id if last.is_node else last.parent


def _labels(entries: list[_Entry], where: str, repairs: Repairs) -> dict[str, str]:
    """The label of each node, as it was set last; one on an entry that is no node goes to the node above that."""
    last: dict[str, str | None] = {}
    hangs = {entry.id: entry.parent for entry in entries if not entry.is_node}
    for entry in entries:
        if entry.kind == "label" and entry.fields.targetId:
            target = entry.fields.targetId
            last[hangs.get(target) or target] = entry.fields.label
    found: dict[str, str] = {}
    for id, text in last.items():
        label = label_of(text, f"{where}, node {id!r}", repairs) if text else None
        if label is not None:
            found[id] = label
    return found


def _title(entries: list[_Entry], where: str, repairs: Repairs) -> str | None:
    names = [entry.fields.name for entry in entries if entry.kind == "session_info" and entry.fields.name]
    return title_of(names[-1], where, repairs) if names else None


# What is said.


def _turn(entry: _Entry, label: str | None, where: str, repairs: Repairs) -> Turn:
    place = f"{where}, node {entry.id!r}"
    spoken = _spoken(entry)
    role = spoken.get("role")
    name = spoken.get("toolName") if role == "toolResult" else None
    answered = spoken.get("toolCallId") if role == "toolResult" else None
    content = _said(spoken, place, repairs)
    kept = {
        key: field for key, field in entry.raw.items() if key != "message" and not (key == "id" and entry.fields.id)
    }
    if "id" in kept:
        kept[free("original_id", kept)] = kept.pop("id")
    if entry.kind == "message":
        carries = {"content"} if content.exact else set()
        kept["message"] = {key: field for key, field in spoken.items() if key not in carries}
    elif content.exact:
        kept.pop("content" if entry.kind == "custom_message" else "summary", None)
    if entry.before:
        kept[free("entries", kept)] = entry.before
    return Turn(
        id=entry.id,
        parent=entry.parent,
        message=message(
            ROLES.get(role, role) if isinstance(role, str) else None,
            content.content,
            place,
            repairs,
            name=name if isinstance(name, str) else None,
            tool_calls=content.calls,
            tool_call_id=answered if isinstance(answered, str) else None,
        ),
        time=_time(entry, spoken, place, repairs),
        hidden=entry.fields.display is False,
        label=label,
        aside=not content.exact,
        metadata=kept,
    )


def _spoken(entry: _Entry) -> JsonObject:
    """The message of an entry, or what stands for one."""
    if entry.kind == "message":
        return entry.fields.message or {}
    if entry.kind == "custom_message":
        return {"role": "custom", "content": entry.raw.get("content")}
    return {"role": "compactionSummary", "summary": entry.raw.get("summary")}


def _said(spoken: JsonObject, where: str, repairs: Repairs) -> Said:
    """What a message says: its content, a summary, or a command with what it printed."""
    role = spoken.get("role")
    if role == "bashExecution":
        texts = [text for key in ("command", "output") if isinstance(text := spoken.get(key), str)]
        return Said("\n".join(texts), exact=False)
    if role in ("branchSummary", "compactionSummary") and "content" not in spoken:
        return said(spoken.get("summary"), CALL, where, repairs)
    return said(spoken.get("content"), CALL, where, repairs)


def _time(entry: _Entry, spoken: JsonObject, where: str, repairs: Repairs) -> datetime | None:
    """The time of the entry, or else that of its message, which is in milliseconds."""
    time = moment(entry.fields.timestamp, "timestamp", where, repairs)
    stamp = spoken.get("timestamp")
    if time is None and isinstance(stamp, int | float) and not isinstance(stamp, bool):
        return moment(seconds(stamp), "timestamp", where, repairs)
    return time
