"""The chats of Open WebUI: the export of all, an array of rows with a ``chat`` in each, or one chat by itself.

The tree is in ``history``; ``messages`` is a copy of the path that is on show, and what stands in it alone is added.
The format knows no root above the first messages, of which an edit makes several; here it is always there, and says
nothing. A node keeps every field of its message but parent, children, role and text. ``write`` puts them back, and what
the format has no place for under ``branchlog``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs

from branchlog._core.decide import RATING_MAX, RATING_MIN
from branchlog._core.message import Json, Message, same_json
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.formats import beside
from branchlog.formats.carry import (
    JsonObject,
    Repair,
    Repairs,
    carried_text,
    free,
    json_text,
    kind_of,
    message,
    shaped,
    tool_call,
)
from branchlog.formats.links import Links, placed
from branchlog.formats.outline import Join, Outline, Turn, described, moment, named_by_beginning, title_of

FORMAT = "open-webui"
JOIN: Join = "array"
SUFFIX = ".json"
PATHS = False

ROOT = ""
"""The id of the root that says nothing."""

EMPTY = Message("system", "")
"""What such a root would say."""

TAKEN = frozenset({"message_id", "parent", "original_id", "copy"})
"""What stands in the metadata of a node beside the fields of its message."""

TREE = ("parentId", "childrenIds", "role", "content")
"""The fields of a message that tree and message carry."""

SECONDS_UP_TO = 1e11
"""What is more is no number of seconds but of milliseconds, or of less: as seconds it would be after the year 5000."""


@attrs.frozen
class _Row:
    """The fields of a row of the export that mean something here."""

    id: str | None = None
    title: str | None = None
    chat: dict[str, Any] | None = None
    created_at: float | None = None


@attrs.frozen
class _Chat:
    """The fields of a chat that mean something here."""

    id: str | None = None
    title: str | None = None
    history: dict[str, Any] | None = None
    messages: list[Any] | None = None
    timestamp: float | None = None


@attrs.frozen
class _History:
    """The fields of the tree."""

    messages: dict[str, Any] | None = None
    currentId: str | None = None  # noqa: N815 - the field is called so


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    parentId: str | None = None  # noqa: N815 - the field is called so
    childrenIds: list[Any] | None = None  # noqa: N815 - the field is called so
    role: str | None = None
    timestamp: float | None = None
    output: list[Any] | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a chat, or a row of the export with one in it."""
    return _is_row(value) or _is_chat(value)


def _is_row(value: JsonObject) -> bool:
    chat = value.get("chat")
    return "chat" in value and ("user_id" in value or (isinstance(chat, dict) and _is_chat(chat)))


def _is_chat(value: JsonObject) -> bool:
    history = value.get("history")
    return isinstance(history, dict) and ("messages" in history or "currentId" in history)


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The chat, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no messages."""
    repairs: Repairs = []
    row, _ = shaped(_Row, value, where, repairs) if "chat" in value else (_Row(), set())
    if "chat" in value and row.chat is None:
        raise InvalidInput(f"its chat is {kind_of(value['chat'])}, not an object")
    raw = value if row.chat is None else row.chat
    chat, _ = shaped(_Chat, raw, where, repairs)
    if chat.history is None and chat.messages is None:
        raise InvalidInput(f"a chat of Open WebUI without history and messages: {described(raw)}")
    history, _ = shaped(_History, chat.history or {}, where, repairs)
    title = row.title or chat.title or None
    turns = _turns(history.messages or {}, chat.messages or [], where, repairs)
    ours = beside.object_of(raw.get(beside.OURS))
    outline = Outline(
        format=FORMAT,
        id=_id(row.id or chat.id, where, repairs),
        title=title_of(title, where, repairs),
        metadata=_rest(value, title),
        turns=tuple(_rooted(turns, ours, where, repairs)),
        current=_current(history, chat, turns, ours),
        created=_created(row, chat, where, repairs),
    )
    return named_by_beginning(outline), repairs


def _id(id: str | None, where: str, repairs: Repairs) -> str | None:
    return carried_text(id, where, repairs) if id else None


def _created(row: _Row, chat: _Chat, where: str, repairs: Repairs) -> datetime | None:
    if row.created_at is not None:
        return _moment(row.created_at, "created_at", where, repairs)
    return _moment(chat.timestamp, "timestamp", where, repairs)


def _moment(value: float | None, what: str, where: str, repairs: Repairs) -> datetime | None:
    """A time in seconds, milliseconds, microseconds or nanoseconds since 1970: all four are found."""
    seconds = value
    while seconds is not None and SECONDS_UP_TO < seconds < SECONDS_UP_TO * 1e9:
        seconds /= 1000
    return moment(seconds, what, where, repairs)


def _rest(value: JsonObject, title: str | None) -> JsonObject:
    """What the conversation itself does not carry: all but the messages, where it stands, and the titles."""
    carries_title = title is not None and title_of(title, "", []) == title and value.get("title") == title
    rest = {key: field for key, field in value.items() if not (carries_title and key == "title")}
    if isinstance(rest.get("chat"), dict):
        return {**rest, "chat": _rest(rest["chat"], title)}
    if isinstance(rest.get("messages"), list):
        del rest["messages"]
    history = rest.pop("history", None)
    left = _rest_of_history(history) if isinstance(history, dict) else history
    return {**rest, "history": left} if left else rest


def _rest_of_history(history: JsonObject) -> JsonObject:
    carries = {"messages": isinstance(history.get("messages"), dict)}
    carries["currentId"] = isinstance(history.get("currentId"), str | None)
    return {key: field for key, field in history.items() if not carries.get(key)}


def _current(history: _History, chat: _Chat, turns: list[Turn], ours: JsonObject) -> str | None:
    if not turns or (ours.get("at_root") is True and history.currentId is None):
        return ROOT
    if chat.history is None:
        return turns[-1].id
    return history.currentId and carried_text(history.currentId, "", [])


def _rooted(turns: list[Turn], ours: JsonObject, where: str, repairs: Repairs) -> Iterator[Turn]:
    """The turns under a root that says nothing, unless it was said that one of them is the root."""
    if ours.get("rooted") is True:
        yield from turns
        return
    taken = beside.taken_back(beside.object_of(ours.get("root")), EMPTY, where, repairs, hidden=False)
    yield taken.onto(Turn(id=ROOT))
    yield from (attrs.evolve(turn, parent=ROOT) if turn.parent is None else turn for turn in turns)


# Messages.


@attrs.frozen
class _Entry:
    """One message: its id made fit to be kept, what it says, and what its copy on the path says otherwise."""

    id: str
    raw: Json
    fields: _Message
    copy: JsonObject


def _turns(messages: JsonObject, path: list[Json], where: str, repairs: Repairs) -> list[Turn]:
    """The turns, siblings in their order."""
    entries = _entries(messages, where, repairs)
    _add_path(entries, path, where, repairs)
    links = {
        key: Links(entry.id, entry.fields.parentId or None, entry.fields.childrenIds) for key, entry in entries.items()
    }
    turns = []
    for key, parent in placed(links, where, repairs):
        above = None if parent is None else entries[parent].id if parent in entries else carried_text(parent, where, [])
        turns.append(_turn(entries[key], above, where, repairs))
    return turns


def _entries(messages: JsonObject, where: str, repairs: Repairs) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    taken: set[str] = {ROOT}
    for key, raw in messages.items():
        id = free(carried_text(key, where, repairs), taken)
        taken.add(id)
        entries[key] = _entry(id, raw, f"{where}, node {id!r}", repairs)
    return entries


def _entry(id: str, raw: Json, where: str, repairs: Repairs) -> _Entry:
    if not isinstance(raw, dict):
        repairs.append(Repair(where, f"the message is {kind_of(raw)}, not an object; kept as metadata"))
        return _Entry(id, raw, _Message(), {})
    return _Entry(id, raw, shaped(_Message, raw, where, repairs)[0], {})


def _add_path(entries: dict[str, _Entry], path: list[Json], where: str, repairs: Repairs) -> None:
    """Compare the copy with the tree; add what stands in the copy alone, under the message before it."""
    above: str | None = None
    has_tree = bool(entries)
    nameless = {_what_is_said(entry.raw): key for key, entry in entries.items() if _is_nameless(entry.raw)}
    for number, raw in enumerate(path, 1):
        place = f"{where}, message {number} of the path"
        if not isinstance(raw, dict):
            repairs.append(Repair(place, f"it is {kind_of(raw)}, not a message; left out"))
            continue
        id = raw.get("id") if isinstance(raw.get("id"), str) else nameless.get(_what_is_said(raw))
        if id in entries:
            entries[id] = _compared(entries[id], raw, place, repairs)
            above = id
            continue
        key = _path_id(id, raw, above, entries)
        fields, _ = shaped(_Message, raw, place, repairs)
        if fields.parentId not in entries:
            fields = attrs.evolve(fields, parentId=above)
        entries[key] = _Entry(carried_text(key, place, repairs), raw, fields, {})
        if has_tree:
            repairs.append(Repair(place, "it is not in the history; added from the copy"))
        above = key


def _is_nameless(raw: Json) -> bool:
    return isinstance(raw, dict) and not isinstance(raw.get("id"), str)


def _what_is_said(raw: JsonObject) -> str:
    return json_text([raw.get("role"), raw.get("content")])


def _path_id(id: str | None, raw: JsonObject, above: str | None, entries: dict[str, _Entry]) -> str:
    """The id that a message of the copy has, or one made of its parent's and of what it says."""
    return id or free(beside.made_id(above or ROOT, [raw.get("role"), raw.get("content")]), entries)


def _compared(entry: _Entry, copy: JsonObject, where: str, repairs: Repairs) -> _Entry:
    """The entry with what its copy says otherwise; the links of the copy do not count."""
    if copy == entry.raw or not isinstance(entry.raw, dict):
        return entry
    differs = {
        key: field
        for key, field in copy.items()
        if key not in ("parentId", "childrenIds") and not (key in entry.raw and same_json(entry.raw[key], field))
    }
    if differs:
        named = ", ".join(carried_text(key[:30], where, []) for key in list(differs)[:5])
        repairs.append(Repair(where, f"the copy says otherwise, which is kept as metadata: {named}"))
    return attrs.evolve(entry, copy=differs)


def _turn(entry: _Entry, parent: str | None, where: str, repairs: Repairs) -> Turn:
    place = f"{where}, node {entry.id!r}"
    if not isinstance(entry.raw, dict):
        return Turn(id=entry.id, parent=parent, metadata={"message": entry.raw})
    read = _read(entry.raw, entry.fields, place, repairs)
    ours = beside.object_of(entry.raw.get(beside.OURS))
    taken = beside.taken_back(ours, read.message, place, repairs, rating=_rating(entry.raw), hidden=False)
    time, rest = _exact(_moment(entry.fields.timestamp, "timestamp", place, repairs), taken.rest)
    metadata = _metadata(entry, read)
    if isinstance(entry.raw.get(beside.OURS), dict):
        metadata = beside.with_ours(metadata, rest)
    turn = Turn(id=entry.id, parent=parent, message=taken.message, time=time, aside=read.aside, metadata=metadata)
    return taken.onto(turn)


def _exact(time: datetime | None, ours: JsonObject) -> tuple[datetime | None, JsonObject]:
    """The time with what is less than a second of it, if that stands beside it."""
    microseconds = ours.get("microseconds")
    if time is None or type(microseconds) is not int or not 0 < microseconds < 1_000_000 or time.microsecond:
        return time, ours
    rest = {name: value for name, value in ours.items() if name != "microseconds"}
    return time + timedelta(microseconds=microseconds), rest


@attrs.frozen
class _Read:
    """A message as it was read, and whether its content says more."""

    message: Message
    aside: bool


def _read(raw: JsonObject, fields: _Message, where: str, repairs: Repairs) -> _Read:
    content = raw.get("content")
    aside = False
    if content is None:
        repairs.append(Repair(where, "no content; the message is empty"))
        content = ""
    elif not isinstance(content, str) and not _are_parts(content):
        repairs.append(Repair(where, f"the content is {kind_of(content)}; its JSON is the text"))
        content, aside = json_text(content), True
    made = message(fields.role, content, where, repairs, tool_calls=_calls(fields.output or []))
    return _Read(made, aside)


def _are_parts(content: Json) -> bool:
    if not isinstance(content, list):
        return False
    return all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)


def _calls(output: list[Json]) -> list[JsonObject]:
    """Calls of tools in the shape of the chat APIs, where nothing in the message itself answers them."""
    items = [item for item in output if isinstance(item, dict)]
    answered = [item.get("call_id") for item in items if item.get("type") == "function_call_output"]
    return [
        tool_call_of(item)
        for item in items
        if item.get("type") == "function_call"
        and all(isinstance(item.get(name), str) for name in ("call_id", "name", "arguments"))
        and item["call_id"] not in answered
    ]


def tool_call_of(item: JsonObject) -> JsonObject:
    """A call whose arguments are text already."""
    call = tool_call(item["call_id"], item["name"], None)
    return {**call, "function": {**call["function"], "arguments": item["arguments"]}}


def _rating(raw: JsonObject) -> float | None:
    """A thumb up is the best rating, a thumb down the worst."""
    thumb = beside.object_of(raw.get("annotation")).get("rating")
    if isinstance(thumb, bool) or not isinstance(thumb, int | float) or thumb == 0:
        return None
    return RATING_MAX if thumb > 0 else RATING_MIN


def _metadata(entry: _Entry, read: _Read) -> JsonObject:
    """Every field of the message that is not said otherwise, as it stood."""
    raw: JsonObject = entry.raw
    metadata = {beside.escaped(key, TAKEN): field for key, field in raw.items() if key not in ("id", *TREE)}
    if read.aside:
        metadata["content"] = raw["content"]
    if raw.get("role") not in (None, read.message.role):
        metadata["role"] = raw["role"]
    if "id" in raw and raw["id"] != entry.id:
        metadata["message_id"] = raw["id"]
    if entry.copy:
        metadata["copy"] = entry.copy
    return metadata


# Writing.


def write(chat: Conversation) -> JsonObject:
    """The chat as a row of the export, or by itself if it came so."""
    origin = beside.origin(chat, FORMAT)
    nodes = beside.placed(chat, FORMAT, origin.root or {"id": ROOT})
    children = beside.children_of(nodes)
    messages = {each.id: _written(each, children[each.id]) for each in nodes if each.said is not None}
    for each in nodes[0].node.children if nodes[0].said is None else ():
        messages[nodes[each.index].id]["parentId"] = None
    kept = origin.kept
    title = {"title": beside.title(chat, kept.get("title")) or ""}
    if origin.came_so and not isinstance(kept.get("chat"), dict):
        return {**_chat(chat, nodes, messages, origin, kept), **title}
    inner = beside.object_of(kept.get("chat"))
    row = kept if origin.came_so else _row(chat, nodes)
    updated = {"updated_at": _seconds(_newest(nodes))} if origin.came_so and beside.grown(nodes) else {}
    return {**row, **title, "chat": {**title, **_chat(chat, nodes, messages, origin, inner)}, **updated}


def _newest(nodes: list[beside.Placed]) -> datetime:
    return max(each.node.added for each in nodes)


def _seconds(time: datetime) -> int:
    """Whole seconds since 1970, which is all that Open WebUI takes."""
    return int(time.timestamp() // 1)


def _row(chat: Conversation, nodes: list[beside.Placed]) -> JsonObject:
    """What stands around a chat that did not come from Open WebUI."""
    return {
        "id": chat.id,
        "user_id": "",
        "title": "",
        "chat": {},
        "created_at": _seconds(chat.tree.root.added),
        "updated_at": _seconds(_newest(nodes)),
        "share_id": None,
        "archived": False,
        "pinned": False,
        "meta": {},
        "folder_id": None,
    }


def _chat(
    chat: Conversation, nodes: list[beside.Placed], messages: JsonObject, origin: beside.Origin, kept: JsonObject
) -> JsonObject:
    here = chat.cursor
    current = None if here.message is None else nodes[here.index].id
    path = [nodes[node.index].id for node in here.path]
    models = dict.fromkeys(model for each in messages.values() if isinstance(model := each.get("model"), str))
    started = int(chat.tree.root.added.timestamp() * 1000)
    new = {"id": "", "models": list(models), "params": {}, "tags": [], "timestamp": started, "files": []}
    value = {
        **({} if origin.came_so else new),
        **kept,
        "history": {**beside.object_of(kept.get("history")), "messages": messages, "currentId": current},
        "messages": [messages[id] for id in path if id in messages],
    }
    left = beside.object_of(kept.get(beside.OURS))
    others = {name: field for name, field in left.items() if name not in SHAPE}
    shape = _shape(nodes[0], left, at_root=current is None and bool(messages))
    return beside.with_ours(value, beside.about(chat, origin, {**others, **shape}))


SHAPE = ("rooted", "root", "at_root")
"""What is said of the root, for which the format has no place; it is made anew each time."""


def _shape(root: beside.Placed, left: JsonObject, *, at_root: bool) -> JsonObject:
    if root.said is not None:
        return {"rooted": True}
    rest = {name: value for name, value in beside.object_of(left.get("root")).items() if name not in beside.TAKEN_BACK}
    aside = beside.put_aside(root, None, left=rest)
    return {**({"root": aside} if aside else {}), **({"at_root": True} if at_root else {})}


def _written(each: beside.Placed, children: list[str]) -> JsonObject:
    """The message of a node, with what has no place in it beside."""
    if each.said is None:
        return {}
    raw = {
        "id": each.kept.get("message_id", each.id),
        "parentId": each.parent,
        "childrenIds": children,
        "role": each.kept.get("role", each.said.role),
        "content": _content(each, each.said),
    }
    raw |= _kept_fields(each) if each.kept else _new_fields(each, each.said)
    read = _read(raw, shaped(_Message, raw, "", [])[0], "", [])
    aside = beside.put_aside(each, read.message, rating=_rating(raw), left=each.kept.get(beside.OURS))
    return beside.with_ours(raw, {**aside, **_fraction(each, raw)})


def _fraction(each: beside.Placed, raw: JsonObject) -> JsonObject:
    """What is less than a second of the time, where the message has the rest of it."""
    added = each.node.added
    return {"microseconds": added.microsecond} if added.microsecond and raw.get("timestamp") == _seconds(added) else {}


def _content(each: beside.Placed, said: Message) -> Json:
    """The content as it came if it reads as what is said here; else that."""
    if "content" in each.kept:
        stood = {"content": each.kept["content"]}
        if _read(stood, _Message(), "", []).message.content == said.content:
            return stood["content"]
    return "" if said.content is None else said.content


def _kept_fields(each: beside.Placed) -> JsonObject:
    fields = {beside.unescaped(name, TAKEN): field for name, field in each.kept.items()}
    return {name: field for name, field in fields.items() if name is not None and name not in ("id", "role", "content")}


def _new_fields(each: beside.Placed, said: Message) -> JsonObject:
    """What Open WebUI looks for in a message that it has not made itself."""
    fields: JsonObject = {"timestamp": _seconds(each.node.added)}
    model = each.own.get("model")
    if said.role == "assistant":
        fields |= {"model": model if isinstance(model, str) else "", "done": True}
    thumb = _thumb(each.node.rating)
    return {**fields, "annotation": {"rating": thumb}} if thumb else fields


def _thumb(rating: float | None) -> int:
    middle = (RATING_MIN + RATING_MAX) / 2
    return 0 if rating is None or rating == middle else 1 if rating > middle else -1
