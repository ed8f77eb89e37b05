"""Claude Code: a file of JSON Lines in which each line is a record, or the web form, ``{"loglines": [...]}``.

Records of the types ``user`` and ``assistant`` are messages, each a node by its ``uuid``. A record hangs under its
``parentUuid``; where that is a record of another type (progress, attachment, system), under the nearest message above
that one, so that such records make no forks. At a compaction, whose record has no parent, ``logicalParentUuid`` counts.
Records that are no messages are kept in the metadata of the message that follows them, as ``records``; those after the
last message in the conversation's.

A turn that was written in several lines, with one ``message.id``, is a chain of nodes, and each keeps its uuid. The
results of tools that ran side by side hang under different lines of such a turn; they are put in a line behind it.

The messages of a sub-agent are a conversation of their own, so that the path of the main one is what was said there.
A file is held as a whole: a record may refer to any one before it, and conversations may alternate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from branchlog._core.message import Json
from branchlog.formats.blocks import CallShape, Said, name_of, said, sound
from branchlog.formats.carry import JsonObject, Repair, Repairs, Skipped, carried_text, free, kind_of, message, shaped
from branchlog.formats.outline import Outline, Turn, described, moment, title_of, under_a_root

FORMAT = "claude-code"

MESSAGES = ("user", "assistant")
"""The types of records that are messages."""

CALL = CallShape("tool_use", "id", "name", "input")

OTHERS = frozenset(
    {
        "agent-name",
        "ai-title",
        "attachment",
        "bridge-session",
        "custom-title",
        "file-history-delta",
        "file-history-snapshot",
        "last-prompt",
        "permission-mode",
        "pr-link",
        "progress",
        "queue-operation",
        "system",
    }
)
"""The types of records that are no messages, as far as they are known; unknown ones are kept like these."""

REFERENCES = ("uuid", "sessionId", "parentUuid", "messageId")
"""Fields of which each record of a known type has one."""

Record: TypeAlias = tuple[str, Json]
Key: TypeAlias = tuple[str | None, str | None]
"""A conversation within a file: its ``sessionId``, and what names the sub-agent if it is one's."""


@attrs.frozen
class _Fields:
    """The fields of a record that mean something here."""

    uuid: str | None = None
    parentUuid: str | None = None  # noqa: N815, the name that stands in the file
    logicalParentUuid: str | None = None  # noqa: N815, likewise
    sessionId: str | None = None  # noqa: N815, likewise
    agentId: str | None = None  # noqa: N815, likewise
    isSidechain: bool | None = None  # noqa: N815, likewise
    isMeta: bool | None = None  # noqa: N815, likewise
    timestamp: str | None = None
    message: dict[str, Any] | None = None


@attrs.define(eq=False)
class _Entry:
    """One record, with its place in the file. ``id`` is that of the node, if it becomes one."""

    place: str
    raw: JsonObject
    fields: _Fields
    id: str = ""
    parent: str | None = None
    before: list[JsonObject] = attrs.field(factory=list)

    @property
    def is_message(self) -> bool:
        return self.raw.get("type") in MESSAGES and self.fields.message is not None


@attrs.define
class _Conversation:
    """The records of one conversation, as they come."""

    entries: list[_Entry] = attrs.field(factory=list)
    waiting: list[JsonObject] = attrs.field(factory=list)
    records: list[_Entry] = attrs.field(factory=list)


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether there is a record among these, or a web form."""
    return any(isinstance(value, dict) and (_is_web_form(value) or _is_record(value)) for value in values)


def _is_web_form(value: JsonObject) -> bool:
    return isinstance(value.get("loglines"), list)


def _is_record(value: JsonObject) -> bool:
    kind = value.get("type")
    if kind == "summary":
        return "leafUuid" in value
    refers = any(name in value for name in REFERENCES)
    return refers and (isinstance(value.get("message"), dict) if kind in MESSAGES else kind in OTHERS)


def read_records(records: Iterable[Record], name: str) -> Iterator[tuple[str, Outline, Repairs] | Skipped]:
    """The conversations of a file: each main one, and each sub-agent's."""
    plain: list[tuple[str, JsonObject]] = []
    for where, value in records:
        if not isinstance(value, dict):
            yield Skipped(where, f"not a record of Claude Code: {described(value)}")
        elif _is_web_form(value):
            yield from _web_form(value, where)
        else:
            plain.append((where, value))
    if plain:
        yield from _conversations(plain, {}, f"file {name!r}")


def _web_form(value: JsonObject, where: str) -> Iterator[tuple[str, Outline, Repairs] | Skipped]:
    lines: list[tuple[str, JsonObject]] = []
    for number, line in enumerate(value["loglines"], 1):
        place = f"{where}, logline {number}"
        if isinstance(line, dict):
            lines.append((place, line))
        else:
            yield Skipped(place, f"not a record of Claude Code: {described(line)}")
    yield from _conversations(lines, {key: field for key, field in value.items() if key != "loglines"}, where)


def _conversations(
    lines: list[tuple[str, JsonObject]], rest: JsonObject, where: str
) -> Iterator[tuple[str, Outline, Repairs] | Skipped]:
    repairs: Repairs = []
    entries = [_entry(place, raw, repairs) for place, raw in lines]
    known = _by_uuid(entries)
    found: dict[Key, _Conversation] = {}
    for entry, key in zip(entries, _keys(entries, known), strict=True):
        conversation = found.setdefault(key, _Conversation())
        if entry.is_message:
            entry.before, conversation.waiting = conversation.waiting, []
            conversation.entries.append(entry)
        else:
            conversation.waiting.append(entry.raw)
            conversation.records.append(entry)
    if not any(conversation.entries for conversation in found.values()):
        kinds = sorted({_shown(entry.raw.get("type")) for entry in entries})
        yield Skipped(where, f"no messages, but only records of the types {', '.join(kinds[:8])}" if kinds else "empty")
        return
    yield from _outlines(found, known, rest, repairs)


def _shown(kind: Json) -> str:
    return repr(kind[:30]) if isinstance(kind, str) else kind_of(kind)


def _outlines(
    found: dict[Key, _Conversation], known: dict[str, _Entry], rest: JsonObject, repairs: Repairs
) -> Iterator[tuple[str, Outline, Repairs]]:
    """Records of a conversation without messages go to the first one that has some."""
    first = next(conversation for conversation in found.values() if conversation.entries)
    for conversation in found.values():
        if not conversation.entries:
            first.waiting += conversation.waiting
            first.records += conversation.records
    for (session, agent), conversation in found.items():
        if conversation.entries:
            yield _outline(session, agent, conversation, known, rest, repairs)
            repairs = []


def _entry(place: str, raw: JsonObject, repairs: Repairs) -> _Entry:
    fields, _ = shaped(_Fields, {key: raw[key] for key in raw if raw[key] is not None}, place, repairs)
    if raw.get("type") in MESSAGES and raw.get("message") is None:
        repairs.append(Repair(place, f"a record of the type {raw['type']!r} without message; kept as metadata"))
    return _Entry(place, raw, sound(fields, place, repairs))


def _by_uuid(entries: list[_Entry]) -> dict[str, _Entry]:
    """The first record of each uuid, messages before all others."""
    known: dict[str, _Entry] = {}
    for wanted in (True, False):
        for entry in entries:
            if entry.fields.uuid and entry.is_message is wanted:
                known.setdefault(entry.fields.uuid, entry)
    return known


# Which conversation a record is of.


def _keys(entries: list[_Entry], known: dict[str, _Entry]) -> Iterator[Key]:
    """A record that names no session is of that of the record before it, or of the first one that is named."""
    session = next((entry.fields.sessionId for entry in entries if entry.fields.sessionId), None)
    agents: dict[str, str] = {}
    for entry in entries:
        session = entry.fields.sessionId or session
        yield session, _agent(entry, known, agents) if entry.fields.isSidechain else None


def _agent(entry: _Entry, known: dict[str, _Entry], agents: dict[str, str]) -> str:
    """What names the sub-agent: its id, or else the uuid of its first message."""
    walked: list[str] = []
    while True:
        uuid, above = entry.fields.uuid, known.get(entry.fields.parentUuid or "")
        name = entry.fields.agentId or agents.get(uuid or "")
        if name is not None:
            break
        if uuid:
            walked.append(uuid)
            agents[uuid] = uuid  # where a circle closes, it is met again
        if above is None or not above.fields.isSidechain or above is entry:
            name = uuid or "sidechain"
            break
        entry = above
    agents.update(dict.fromkeys(walked, name))
    return name


# How messages hang.


def _outline(
    session: str | None,
    agent: str | None,
    conversation: _Conversation,
    known: dict[str, _Entry],
    rest: JsonObject,
    repairs: Repairs,
) -> tuple[str, Outline, Repairs]:
    where = f"conversation {session or 'without id'}{'' if agent is None else f', sub-agent {agent}'}"
    where = carried_text(where, "", [])
    entries = _once(conversation.entries, where, repairs)
    _hang(entries, known, where, repairs)
    turns = under_a_root([_turn(entry, where, repairs) for entry in entries])
    metadata = {**rest, **({} if session is None else {"sessionId": session})}
    if agent is not None:
        metadata["sidechain"] = agent
    if conversation.waiting:
        metadata[free("records", metadata)] = conversation.waiting
    outline = Outline(
        format=FORMAT,
        id=carried_text(_id(session, agent, entries[0].id), where, repairs),
        title=_title(conversation.records, {entry.id for entry in entries}, where, repairs),
        metadata=metadata,
        turns=turns,
        current=entries[-1].id,
    )
    return where, outline, repairs


def _id(session: str | None, agent: str | None, first: str) -> str:
    """A file without session is named by its first message, which stays the first."""
    if session is None:
        return first
    return session if agent is None else f"{session}~{agent}"


def _once(entries: list[_Entry], where: str, repairs: Repairs) -> list[_Entry]:
    """Records that stand there twice, word for word, are one."""
    first: dict[str, _Entry] = {}
    kept: list[_Entry] = []
    for entry in entries:
        uuid = entry.fields.uuid
        twin = first.setdefault(uuid, entry) if uuid else entry
        if twin is not entry and twin.raw == entry.raw:
            repairs.append(Repair(f"{where}, node {uuid!r}", "the same record a second time; left out"))
            twin.before += entry.before
        else:
            kept.append(entry)
    return kept


def _hang(entries: list[_Entry], known: dict[str, _Entry], where: str, repairs: Repairs) -> None:
    """Give each message its parent and its id."""
    members = {id(entry) for entry in entries}
    passed: dict[str, str | None] = {}
    for entry in entries:
        entry.parent = _message_above(entry, known, members, passed)
    if len(entries) > 1 and all(entry.parent is None for entry in entries):
        _in_file_order(entries, where, repairs)
    else:
        _name(entries)
        _results_in_line(entries)


def _in_file_order(entries: list[_Entry], where: str, repairs: Repairs) -> None:
    above: _Entry | None = None
    for entry in entries:
        entry.parent = None if above is None else above.id
        _name([entry])
        above = entry
    if any(entry.fields.uuid for entry in entries):
        repairs.append(Repair(where, "no message names its parent; they are in a line, in the order of the file"))


def _message_above(
    entry: _Entry, known: dict[str, _Entry], members: set[int], passed: dict[str, str | None]
) -> str | None:
    """The uuid of the nearest message above; each record in between is passed once."""
    uuid = entry.fields.parentUuid or entry.fields.logicalParentUuid
    walked: list[str] = []
    while uuid is not None:
        above = known.get(uuid)
        if above is None or id(above) in members:
            break
        if uuid in passed or above.is_message:
            uuid = passed.get(uuid)
            break
        passed[uuid] = None
        walked.append(uuid)
        uuid = above.fields.parentUuid or above.fields.logicalParentUuid
    passed.update(dict.fromkeys(walked, uuid))
    return uuid


def _name(entries: list[_Entry]) -> None:
    """A message without uuid is named by its place in the conversation: by its parent and by what it says."""
    taken: set[str] = {entry.fields.uuid for entry in entries if entry.fields.uuid}
    for entry in entries:
        entry.id = entry.fields.uuid or free(_derived(entry), taken)
        taken.add(entry.id)


def _derived(entry: _Entry) -> str:
    spoken = entry.fields.message or {}
    return name_of([entry.parent, entry.raw.get("type"), spoken.get("role"), spoken.get("content")])


def _results_in_line(entries: list[_Entry]) -> None:
    """Put the results of a turn's calls behind the turn, one after the other, unless something else branches off it."""
    children: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.parent is not None:
            children.setdefault(entry.parent, []).append(entry)
    turn_of = {entry.id: _turn_id(entry) for entry in entries}
    for entry in entries:
        turn = turn_of[entry.id]
        if turn is not None and turn_of.get(entry.parent or "") != turn:
            _line_up(entry, turn, turn_of, children)


def _turn_id(entry: _Entry) -> str | None:
    id = (entry.fields.message or {}).get("id")
    return id if entry.raw["type"] == "assistant" and isinstance(id, str) else None


def _line_up(first: _Entry, turn: str, turn_of: dict[str, str | None], children: dict[str, list[_Entry]]) -> None:
    last: _Entry | None = first
    results: list[_Entry] = []
    tail = first
    seen = {first.id}
    while last is not None:
        tail = last
        same = [child for child in children.get(last.id, ()) if turn_of[child.id] == turn]
        others = [child for child in children.get(last.id, ()) if turn_of[child.id] != turn]
        if len(same) > 1 or not all(_answers(child) for child in others):
            return
        results += others
        last = same[0] if same and same[0].id not in seen else None
        seen |= {child.id for child in same}
    answered = [id for result in results for id in _answers(result)]
    if results and len(set(answered)) == len(answered):
        _chain(tail, results, children)


def _chain(tail: _Entry, results: list[_Entry], children: dict[str, list[_Entry]]) -> None:
    above = tail.id
    for result in results:
        result.parent = above
        above = result.id
    for result in results[:-1]:
        for child in children.get(result.id, ()):
            child.parent = above


def _answers(entry: _Entry) -> list[str]:
    """The ids of the calls that this message has the results of, if it has nothing else."""
    content = (entry.fields.message or {}).get("content")
    if entry.raw["type"] != "user" or not isinstance(content, list) or not all(map(_is_result, content)):
        return []
    return [block["tool_use_id"] for block in content]


def _is_result(block: Json) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_result" and isinstance(block.get("tool_use_id"), str)


# What is said.


def _turn(entry: _Entry, where: str, repairs: Repairs) -> Turn:
    place = f"{where}, node {entry.id!r}"
    spoken = entry.fields.message or {}
    kept = {key: field for key, field in entry.raw.items() if key not in ("uuid", "message")}
    if "id" in kept:
        kept[free("original_id", kept)] = kept.pop("id")
    role = spoken.get("role")
    role = role if isinstance(role, str) else entry.raw["type"]
    result = _only_result(spoken.get("content"))
    content = said(spoken.get("content") if result is None else result.get("content", ""), CALL, place, repairs)
    inner = {key: field for key, field in spoken.items() if key != "role" or field != role}
    if content.exact:
        inner.pop("content", None)
    if result is not None:
        role = "tool"
        _keep_result(inner, result, content)
    kept["message"] = inner
    if entry.before:
        kept[free("records", kept)] = entry.before
    return Turn(
        id=entry.id,
        parent=entry.parent,
        message=message(
            role,
            content.content,
            place,
            repairs,
            tool_calls=content.calls,
            tool_call_id=None if result is None else result["tool_use_id"],
        ),
        time=moment(entry.fields.timestamp, "timestamp", place, repairs),
        hidden=entry.fields.isMeta is True,
        aside=not content.exact,
        metadata=kept,
    )


def _only_result(content: Json) -> JsonObject | None:
    """The result of a call that is all that a message has."""
    if isinstance(content, list) and len(content) == 1 and _is_result(content[0]):
        result: JsonObject = content[0]
        return result
    return None


def _keep_result(inner: JsonObject, result: JsonObject, content: Said) -> None:
    """Keep of a result what the message does not say."""
    carries = {"type", "tool_use_id", "content"} if content.exact else {"type", "tool_use_id"}
    rest = {key: field for key, field in result.items() if key not in carries}
    inner.pop("content", None)
    if rest:
        inner[free("tool_result", inner)] = rest


# The title.


def _title(records: list[_Entry], ids: set[str], where: str, repairs: Repairs) -> str | None:
    """The last one that was given, or else made up, or else the summary that ends in one of these messages."""
    wanted = (("custom-title", "customTitle"), ("ai-title", "aiTitle"), ("summary", "summary"))
    for kind, field in wanted:
        for entry in reversed(records):
            title = entry.raw.get(field)
            if entry.raw.get("type") == kind and isinstance(title, str) and _is_about(entry.raw, ids):
                return title_of(title, where, repairs)
    return None


def _is_about(raw: JsonObject, ids: set[str]) -> bool:
    """A summary may be one of another file, which says so by its ``leafUuid``."""
    leaf = raw.get("leafUuid")
    return raw["type"] != "summary" or (isinstance(leaf, str) and leaf in ids)
