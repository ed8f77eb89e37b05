"""The ChatGPT export: ``conversations.json``, an array of conversations, or one of them.

A conversation has a ``mapping`` of nodes by id, each with ``parent``, ``children`` and ``message``, which may be null.
The parent says where a node hangs; newer exports leave ``children`` out. Where they are, they give the order of
siblings, and the parent of a node that has none of its own. A node keeps every field of its message but role, name and
text; ``id`` is its key in the mapping, and ``message_id`` that of its message where that is another. ``write`` puts
them back, and what the export has no place for under ``branchlog``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from branchlog._core.message import Json, Message
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.formats import beside
from branchlog.formats.carry import JsonObject, Repair, Repairs, carried_text, free, kind_of, message, shaped
from branchlog.formats.chatgpt_content import said, written
from branchlog.formats.links import Links, placed
from branchlog.formats.outline import Join, Outline, Turn, described, moment, named_by_beginning, title_of

FORMAT = "chatgpt"
JOIN: Join = "array"
SUFFIX = ".json"
PATHS = False

TAKEN = frozenset({"message_id", "node", "parent", "original_id"})
"""What stands in the metadata of a node beside the fields of its message."""


@attrs.frozen
class _Conversation:
    """The fields of a conversation that mean something here."""

    id: str | None = None
    conversation_id: str | None = None
    title: str | None = None
    create_time: float | None = None
    current_node: str | None = None


@attrs.frozen
class _Node:
    """The fields of an entry of the mapping."""

    message: dict[str, Any] | None = None
    parent: str | None = None
    children: list[Any] | None = None


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    author: dict[str, Any] | None = None
    content: dict[str, Any] | None = None
    create_time: float | None = None
    weight: float | None = None
    metadata: dict[str, Any] | None = None


@attrs.frozen
class _Author:
    """Whose message it is."""

    role: str | None = None
    name: str | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a conversation of the export, be it a damaged one."""
    return "mapping" in value


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no mapping."""
    if "mapping" not in value:
        raise InvalidInput(f"a ChatGPT conversation without a mapping: {described(value)}")
    mapping = value["mapping"]
    if not isinstance(mapping, dict):
        raise InvalidInput(f"its mapping is {kind_of(mapping)}, not an object with the nodes")
    repairs: Repairs = []
    fields, _ = shaped(_Conversation, value, where, repairs)
    nodes = _nodes(mapping, where, repairs)
    outline = Outline(
        format=FORMAT,
        id=_id(fields, where, repairs),
        title=title_of(fields.title, where, repairs),
        metadata=_rest(value, fields.title),
        turns=tuple(_turns(nodes, where, repairs)),
        current=fields.current_node and carried_text(fields.current_node, where, []),
        created=moment(fields.create_time, "create_time", where, repairs),
    )
    return named_by_beginning(outline), repairs


def _id(fields: _Conversation, where: str, repairs: Repairs) -> str | None:
    id = fields.id or fields.conversation_id
    return None if not id else carried_text(id, where, repairs)


def _rest(value: JsonObject, title: str | None) -> JsonObject:
    """What the conversation itself does not carry: all but the mapping, and the title where it is carried whole."""
    whole = title is None or title_of(title, "", []) == title
    dropped = {"mapping", "title"} if whole and isinstance(value.get("title"), str) else {"mapping"}
    return {key: field for key, field in value.items() if key not in dropped}


# The nodes.


@attrs.frozen
class _Entry:
    """One entry of the mapping: its id made fit to be kept, its fields, and what was not taken from it."""

    id: str
    fields: _Node
    rest: JsonObject


def _nodes(mapping: JsonObject, where: str, repairs: Repairs) -> dict[str, _Entry]:
    """The entries by key, in the order of the mapping."""
    entries: dict[str, _Entry] = {}
    taken: set[str] = set()
    for key, node in mapping.items():
        id = free(carried_text(key, where, repairs), taken)
        taken.add(id)
        entries[key] = _entry(id, node, f"{where}, node {id!r}", repairs)
    return entries


def _entry(id: str, node: Json, where: str, repairs: Repairs) -> _Entry:
    if not isinstance(node, dict):
        repairs.append(Repair(where, f"the node is {kind_of(node)}, not an object; kept as metadata"))
        return _Entry(id, _Node(), {"node": node})
    fields, wrong = shaped(_Node, node, where, repairs)
    known = {"id", "message", "parent", "children"} - wrong
    if node.get("id", id) != id:
        known -= {"id"}
    return _Entry(id, fields, {key: field for key, field in node.items() if key not in known})


def _turns(entries: dict[str, _Entry], where: str, repairs: Repairs) -> Iterator[Turn]:
    """The turns, siblings in their order."""
    links = {key: Links(entry.id, entry.fields.parent, entry.fields.children) for key, entry in entries.items()}
    for key, parent in placed(links, where, repairs):
        above = None if parent is None else entries[parent].id if parent in entries else carried_text(parent, where, [])
        yield _turn(entries[key], above, where, repairs)


def _turn(entry: _Entry, parent: str | None, where: str, repairs: Repairs) -> Turn:
    place = f"{where}, node {entry.id!r}"
    raw, ours = entry.fields.message, beside.object_of(entry.rest.get(beside.OURS))
    if raw is None:
        taken = beside.taken_back(ours, EMPTY, place, repairs, hidden=False)
        rest = _with_node({}, entry.rest, taken)
        return taken.onto(Turn(id=entry.id, parent=parent, metadata=rest))
    read = _read(raw, place, repairs)
    taken = beside.taken_back(ours, read.message, place, repairs, hidden=_is_hidden(read.fields))
    turn = Turn(
        id=entry.id,
        parent=parent,
        message=taken.message,
        time=moment(read.fields.create_time, "create_time", place, repairs),
        aside=read.aside,
        metadata=_with_node(_metadata(entry.id, raw, read), entry.rest, taken),
    )
    return taken.onto(turn)


def _with_node(metadata: JsonObject, rest: JsonObject, taken: beside.Taken) -> JsonObject:
    """The metadata, with what is left of the node's own fields."""
    if isinstance(rest.get(beside.OURS), dict):
        rest = beside.with_ours(rest, taken.rest)
    return {**metadata, "node": rest} if rest else metadata


@attrs.frozen
class _Read:
    """A message as it was read: what was wrong with its author, and whether its content says more."""

    message: Message
    fields: _Message
    wrong_in_author: set[str]
    aside: bool


EMPTY = Message("system", "")
"""What stands for a message that is null, other than at the root."""


def _read(raw: JsonObject, where: str, repairs: Repairs) -> _Read:
    fields, _ = shaped(_Message, raw, where, repairs)
    author, wrong = shaped(_Author, fields.author or {}, where, repairs)
    content, aside = said(raw, where, repairs)
    return _Read(message(author.role, content, where, repairs, name=author.name), fields, wrong, aside)


def _metadata(id: str, raw: JsonObject, read: _Read) -> JsonObject:
    """Every field of the message that is not said otherwise, as it stood."""
    metadata = {
        beside.escaped(key, TAKEN): field for key, field in raw.items() if key not in ("id", "author", "content")
    }
    if read.aside and "content" in raw:
        metadata["content"] = raw["content"]
    if "id" in raw and raw["id"] != id:
        metadata["message_id"] = raw["id"]
    if "author" in raw and not isinstance(raw["author"], dict):
        metadata["author"] = raw["author"]
    _keep_author(metadata, read)
    return metadata


def _keep_author(metadata: JsonObject, read: _Read) -> None:
    """Keep of the author what role and name do not say."""
    if read.fields.author is None:
        return
    carries = {"role": read.message.role, "name": read.message.name}
    rest = {
        key: field
        for key, field in read.fields.author.items()
        if key in read.wrong_in_author or key not in carries or (field is not None and field != carries[key])
    }
    if rest and rest != {"metadata": {}}:
        metadata["author"] = rest


def _is_hidden(fields: _Message) -> bool:
    return fields.weight == 0 or (fields.metadata or {}).get("is_visually_hidden_from_conversation") is True


# Writing.


def write(chat: Conversation) -> JsonObject:
    """The conversation as an element of ``conversations.json``, with the links to children."""
    origin = beside.origin(chat, FORMAT)
    nodes = beside.placed(chat, FORMAT, origin.root)
    children = beside.children_of(nodes)
    mapping = {each.id: _written_node(each, children[each.id]) for each in nodes}
    id = origin.id or chat.id
    named = {} if origin.kept.get("id") or origin.kept.get("conversation_id") else {"id": id, "conversation_id": id}
    value = {
        "title": None,
        **({} if origin.came_so else _times(chat, nodes)),
        **origin.kept,
        "mapping": mapping,
        **named,
        "current_node": nodes[chat.cursor.index].id,
    }
    value["title"] = beside.title(chat, origin.kept.get("title"))
    if origin.came_so and beside.grown(nodes):
        value["update_time"] = max(each.node.added for each in nodes).timestamp()
    return beside.with_ours(value, beside.about(chat, origin, origin.kept.get(beside.OURS)))


def _times(chat: Conversation, nodes: list[beside.Placed]) -> JsonObject:
    """The times of a conversation that did not come from an export."""
    updated = max(each.node.added for each in nodes)
    return {"create_time": chat.tree.root.added.timestamp(), "update_time": updated.timestamp()}


def _written_node(each: beside.Placed, children: list[str]) -> JsonObject:
    stood = beside.object_of(each.kept.get("node"))
    left = stood.get(beside.OURS)
    fields = {**stood, "id": each.id, "message": None, "parent": each.parent, "children": children}
    if each.said is None:
        return beside.with_ours(fields, beside.put_aside(each, None, left=left))
    if _was_null(each):
        return beside.with_ours(fields, beside.put_aside(each, EMPTY, hidden=True, left=left))
    raw = _kept_message(each) if each.kept else _new_message(each)
    read = _read(raw, "", [])
    fields["message"] = raw
    return beside.with_ours(fields, beside.put_aside(each, read.message, hidden=_is_hidden(read.fields), left=left))


def _was_null(each: beside.Placed) -> bool:
    """Whether the node had no message when it came, and still says nothing."""
    if each.said is None or each.own or not each.node.hidden:
        return False
    return each.kept.keys() - TAKEN == {"id"} and each.said.to_chat() == EMPTY.to_chat()


def _kept_message(each: beside.Placed) -> JsonObject:
    """The message as it came, as far as it still says the same."""
    raw: JsonObject = {"id": each.kept.get("message_id", each.id), "author": _author(each), "content": _content(each)}
    for name, field in each.kept.items():
        stood = beside.unescaped(name, TAKEN)
        if stood is not None and stood not in raw:
            raw[stood] = field
    return raw


def _author(each: beside.Placed) -> Json:
    if each.said is None:
        return None
    author: JsonObject = {"role": each.said.role, "name": each.said.name, "metadata": {}}
    stood = each.kept.get("author", {})
    return {**author, **stood} if isinstance(stood, dict) else stood


def _content(each: beside.Placed) -> Json:
    """The content as it came if it reads as what is said here; else one made of that."""
    if each.said is None:
        return None
    if "content" in each.kept and said(each.kept, "", [])[0] == each.said.content:
        return each.kept["content"]
    return written(each.said.content)


def _new_message(each: beside.Placed) -> JsonObject:
    role = None if each.said is None else each.said.role
    model = each.own.get("model")
    metadata: JsonObject = {"model_slug": model} if isinstance(model, str) else {}
    if each.node.hidden:
        metadata["is_visually_hidden_from_conversation"] = True
    return {
        "id": each.id,
        "author": _author(each),
        "create_time": each.node.added.timestamp(),
        "update_time": None,
        "content": _content(each),
        "status": "finished_successfully",
        "end_turn": True if role == "assistant" else None,
        "weight": 1.0,
        "metadata": metadata,
        "recipient": "all",
        "channel": None,
    }
