"""assistant-ui: the ``ExportedMessageRepository``, ``{headId, messages: [{message, parentId, runConfig?}]}``.

The first message may have alternatives there, so the tree has a root without message, under which all messages without
parent hang. There is neither an id nor a title of the conversation: it is named by its first message.

A node keeps in its metadata, as ``message``, what its message does not carry, and as ``item`` what stood beside that.
What assistant-ui has no place for stands under ``branchlog``, in the item or in the whole, and is read back from there.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from branchlog._core.message import Json, Message, same_json
from branchlog._core.tree import Node
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.formats import beside
from branchlog.formats.blocks import CallShape, name_of, said
from branchlog.formats.carry import JsonObject, Repair, Repairs, carried_text, free, kind_of, message, shaped
from branchlog.formats.outline import Join, Outline, Turn, described, moment, seconds, title_of

FORMAT = "assistant-ui"
JOIN: Join = "array"
SUFFIX = ".json"
PATHS = False

CALL = CallShape("tool-call", "toolCallId", "toolName", "args", text="argsText")

FEEDBACK = {"positive": 5.0, "negative": 1.0}
"""The ratings that a thumb up or down stands for."""

ROLES = {"system": "system", "developer": "system", "user": "user"}
"""The roles that are written under these names; all others are the assistant's, and say beside it what they are."""

ITEMS_LOOKED_AT = 10
"""Items at the beginning by which the shape is known; some may be damaged."""

MILLISECONDS_MIN = 100_000_000_000
"""A time of more than this is in milliseconds: it would be beyond the year 5000 in seconds."""

EMPTY = Message("system", "")


@attrs.frozen
class _Item:
    """The fields of an item that mean something here."""

    message: dict[str, Any] | None = None
    parentId: str | None = None  # noqa: N815, the name that stands in the file


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    id: str | None = None
    role: str | None = None
    metadata: dict[str, Any] | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a repository, be it a damaged one."""
    items = value.get("messages")
    return isinstance(items, list) and ("headId" in value or any(map(_is_item, items[:ITEMS_LOOKED_AT])))


def _is_item(item: Json) -> bool:
    return isinstance(item, dict) and isinstance(item.get("message"), dict) and "parentId" in item


# Reading.


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no messages."""
    items = value.get("messages")
    if not isinstance(items, list):
        raise InvalidInput(f"a repository without a list of messages: {described(value)}")
    repairs: Repairs = []
    ours = dict(beside.object_of(value.get(beside.OURS)))
    turns = _turns(items, where, repairs)
    id, title, current = (_text(ours.pop(key, None)) for key in ("id", "title", "cursor"))
    top = _top(turns, ours.pop("root", None), where, repairs)
    rest = {key: field for key, field in value.items() if key != "messages"}
    return Outline(
        format=FORMAT,
        id=carried_text(id, where, repairs) if id else _id(turns, items),
        title=title_of(title, where, repairs),
        metadata=beside.with_ours(rest, ours),
        turns=tuple(top + turns),
        current=_current(value, current, turns, where, repairs),
    ), repairs


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _turns(items: list[Json], where: str, repairs: Repairs) -> list[Turn]:
    turns: list[Turn] = []
    taken: set[str] = set()
    for number, item in enumerate(items, 1):
        if isinstance(item, dict):
            turns.append(_turn(item, f"{where}, message {number}", taken, repairs))
        else:
            repairs.append(Repair(f"{where}, message {number}", f"it is {kind_of(item)}; left out"))
    return turns


def _turn(item: JsonObject, place: str, taken: set[str], repairs: Repairs) -> Turn:
    fields, _ = shaped(_Item, {key: field for key, field in item.items() if field is not None}, place, repairs)
    raw = fields.message
    id = _text((raw or {}).get("id"))
    id = carried_text(id, place, repairs) if id else free(name_of([fields.parentId, raw]), taken)
    taken.add(id)
    parent = fields.parentId and carried_text(fields.parentId, place, [])
    ours = beside.object_of(item.get(beside.OURS))
    rest = {key: field for key, field in item.items() if key not in ("message", "parentId")}
    if raw is None:
        rest |= {"message": item["message"]} if item.get("message") is not None else {}
        return Turn(id=id, parent=parent or None, metadata={"item": rest} if rest else {})
    found, rating = _read(raw, place, repairs)
    taken_back = beside.taken_back(ours, found, place, repairs, rating=rating, hidden=False)
    if isinstance(item.get(beside.OURS), dict):
        rest = beside.with_ours(rest, taken_back.rest)
    kept = _beside(raw, found)
    turn = Turn(
        id=id,
        parent=parent or None,
        message=taken_back.message,
        time=moment(_seconds(raw.get("createdAt")), "createdAt", place, repairs),
        aside="content" in kept,
        metadata={"message": kept, "item": rest} if rest else {"message": kept},
    )
    return taken_back.onto(turn)


def _seconds(value: Json) -> float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return seconds(value) if not isinstance(value, str) and value > MILLISECONDS_MIN else value


def _read(raw: JsonObject, where: str, repairs: Repairs) -> tuple[Message, float | None]:
    fields, _ = shaped(_Message, {key: field for key, field in raw.items() if field is not None}, where, repairs)
    content = said(raw.get("content"), CALL, where, repairs)
    feedback = beside.object_of((fields.metadata or {}).get("submittedFeedback")).get("type")
    made = message(fields.role, content.content, where, repairs, tool_calls=content.calls)
    return made, FEEDBACK.get(feedback) if isinstance(feedback, str) else None


def _beside(raw: JsonObject, found: Message) -> JsonObject:
    """The fields of a message that would not come out of it as they stand."""
    written = {"role": found.role, "content": _written_content(found)}
    return {
        key: field
        for key, field in raw.items()
        if (key != "id" or not isinstance(field, str)) and not (key in written and same_json(written[key], field))
    }


def _top(turns: list[Turn], note: Json, where: str, repairs: Repairs) -> list[Turn]:
    """The root above all messages, unless one that we have written is itself the root."""
    ours = dict(beside.object_of(note))
    roots = [turn.id for turn in turns if turn.parent is None]
    if "id" in ours and roots == [ours["id"]]:
        return []
    taken = beside.taken_back(ours, EMPTY, where, repairs, hidden=False)
    metadata: JsonObject = {beside.OURS: taken.rest} if taken.rest else {}
    top = taken.onto(Turn(id=free("", {turn.id for turn in turns}), metadata=metadata))
    turns[:] = [attrs.evolve(turn, parent=top.id) if turn.parent is None else turn for turn in turns]
    return [top]


def _id(turns: list[Turn], items: list[Json]) -> str | None:
    """Named by the first message, which stays the first. A repository of none is named by nothing."""
    first = next((item for item in items if isinstance(item, dict)), None)
    if first is None:
        return None
    said_first = beside.object_of(first.get("message"))
    return f"{FORMAT}-{name_of([turns[0].id, said_first.get('role'), said_first.get('content')])}"


def _current(value: JsonObject, ours: str | None, turns: list[Turn], where: str, repairs: Repairs) -> str | None:
    """Where it stands: at the head, or at the last message where none is named, as assistant-ui has it."""
    if ours is not None and (ours == "" or any(turn.id == ours for turn in turns)):
        return ours
    head = value.get("headId")
    if isinstance(head, str):
        return carried_text(head, where, [])
    if head is not None:
        repairs.append(Repair(where, f"headId is {kind_of(head)}; the head is the last message"))
    return turns[-1].id if turns else ""


# Writing.


def write(chat: Conversation) -> JsonObject:
    """The repository of a conversation, parents before their children."""
    origin = beside.origin(chat, FORMAT)
    nodes = beside.placed(chat, FORMAT, origin.root)
    top = nodes[0]
    items = [_item(each, top) for each in nodes if each.said is not None]
    ours = beside.about(chat, origin, origin.kept.get(beside.OURS)) | _identity(chat, origin, items)
    note = {"id": top.id} if top.said is not None else beside.put_aside(top, EMPTY, left=top.kept.get(beside.OURS))
    if note:
        ours["root"] = note
    value = {**origin.kept, "messages": items}
    head, cursor = (_written_id(nodes[node.index]) for node in (_leaf(chat.cursor), chat.cursor))
    if origin.id is None or _standing(origin.kept, items) != cursor:
        value["headId"] = head
        if head != cursor:
            ours["cursor"] = cursor or ""
    return beside.with_ours(value, ours)


def _written_id(each: beside.Placed) -> str | None:
    """The id of a node; the root without message has none there."""
    return None if each.said is None else each.id


def _standing(kept: JsonObject, items: list[JsonObject]) -> str | None:
    """Where a reader would stand by the head that was kept."""
    head = kept.get("headId")
    if isinstance(head, str):
        return head
    return items[-1]["message"]["id"] if items else None


def _leaf(node: Node) -> Node:
    """The last leaf beneath a node: the head of assistant-ui is one."""
    while node.children:
        node = node.children[-1]
    return node


def _identity(chat: Conversation, origin: beside.Origin, items: list[JsonObject]) -> JsonObject:
    """Id and title, where a reader would not find them."""
    identity: JsonObject = {}
    if origin.id is None:
        identity["id"] = chat.id
    elif not items or origin.id != _id([Turn(id=items[0]["message"]["id"])], [items[0]]):
        identity["id"] = origin.id
    if chat.title is not None:
        identity["title"] = chat.title
    return identity


def _item(each: beside.Placed, top: beside.Placed) -> JsonObject:
    parent = None if each.parent is None or (top.said is None and each.parent == top.id) else each.parent
    rest = beside.object_of(each.kept.get("item"))
    raw = _kept_message(each) if isinstance(each.kept.get("message"), dict) else _new_message(each)
    found, rating = _read(raw, "", [])
    aside = beside.put_aside(each, found, rating=rating, left=rest.get(beside.OURS))
    return beside.with_ours({**rest, "message": raw, "parentId": parent}, aside)


def _kept_message(each: beside.Placed) -> JsonObject:
    """The message as it came, as far as it still says the same."""
    kept: JsonObject = each.kept["message"]
    role = "" if each.said is None else each.said.role
    raw = {"role": role, "content": _content(each), **kept, "id": each.id}
    if "content" in kept and each.said is not None and _read(kept, "", [])[0].content != each.said.content:
        raw["content"] = _content(each)
    return raw


def _new_message(each: beside.Placed) -> JsonObject:
    role = _role(each)
    fields: JsonObject = {"id": each.id, "role": role, "content": _content(each)}
    fields["createdAt"] = each.node.added.isoformat()
    if role == "assistant":
        state: JsonObject = {"unstable_state": None, "unstable_annotations": [], "unstable_data": [], "steps": []}
        return {**fields, "status": {"type": "complete", "reason": "unknown"}, "metadata": {**state, "custom": {}}}
    return {**fields, **({"attachments": []} if role == "user" else {}), "metadata": {"custom": {}}}


def _role(each: beside.Placed) -> str:
    role = "" if each.said is None else each.said.role
    return ROLES.get(role, "assistant")


def _content(each: beside.Placed) -> list[JsonObject]:
    return [] if each.said is None else _written_content(each.said)


def _written_content(said_here: Message) -> list[JsonObject]:
    """The parts, with the calls of tools behind them."""
    content = said_here.content
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    return parts + [call for each in said_here.tool_calls or () if (call := _written_call(each)) is not None]


def _written_call(call: JsonObject) -> JsonObject | None:
    """A call as a part; None where it names no function."""
    function = beside.object_of(call.get("function"))
    name, text = function.get("name"), function.get("arguments")
    if not isinstance(name, str):
        return None
    identity = {"toolCallId": call["id"]} if isinstance(call.get("id"), str) else {}
    text = text if isinstance(text, str) else json.dumps(text)
    return {"type": "tool-call", **identity, "toolName": name, "args": _arguments(text), "argsText": text}


def _arguments(text: str) -> JsonObject:
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) else {}
