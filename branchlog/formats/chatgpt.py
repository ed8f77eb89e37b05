"""The ChatGPT export: ``conversations.json``, an array of conversations, or one of them.

A conversation has a ``mapping`` of nodes by id, each with ``parent``, ``children`` and ``message``, which may be null.
The parent says where a node hangs; newer exports leave ``children`` out. Where they are, they give the order of
siblings, and the parent of a node that has none of its own. A node keeps every field of its message but role, name and
text; ``id`` is its key in the mapping, and ``message_id`` that of its message where that is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from branchlog._core.message import Json, Message
from branchlog.errors import InvalidInput
from branchlog.formats.carry import (
    JsonObject,
    Repair,
    Repairs,
    carried,
    carried_text,
    free,
    json_text,
    kind_of,
    message,
    shaped,
)
from branchlog.formats.outline import Outline, Turn, described, moment, title_of

FORMAT = "chatgpt"


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
    return Outline(
        format=FORMAT,
        id=_id(fields, where, repairs),
        title=title_of(fields.title, where, repairs),
        metadata=_rest(value, fields.title),
        turns=tuple(_turns(nodes, where, repairs)),
        current=fields.current_node and carried_text(fields.current_node, where, []),
        created=moment(fields.create_time, "create_time", where, repairs),
    ), repairs


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
    parents = {key: entry.fields.parent for key, entry in entries.items()}
    _adopt(entries, parents, where, repairs)
    _compare_children(entries, parents, where, repairs)
    for key in _ordered(entries, parents):
        parent = parents[key]
        above = None if parent is None else entries[parent].id if parent in entries else carried_text(parent, where, [])
        yield _turn(entries[key], above, where, repairs)


def _children(entry: _Entry) -> Iterator[str]:
    """The keys that a node lists as its children."""
    yield from (child for child in entry.fields.children or () if isinstance(child, str))


def _adopt(entries: dict[str, _Entry], parents: dict[str, str | None], where: str, repairs: Repairs) -> None:
    """Give a node without parent the one that lists it as a child, unless that one is beneath it: then it is a root.

    Nodes that hang together are in one group; a node without parent is the top of its group.
    """
    groups = {key: key for key in entries}
    for key, parent in parents.items():
        if parent in groups:
            groups[_group(groups, key)] = _group(groups, parent)
    for key, entry in entries.items():
        for child in _children(entry):
            if child in entries and parents[child] is None and _group(groups, child) != _group(groups, key):
                groups[_group(groups, child)] = _group(groups, key)
                parents[child] = key
                said = f"no parent of its own; put under {entry.id!r}, which has it as a child"
                repairs.append(Repair(f"{where}, node {entries[child].id!r}", said))


def _group(groups: dict[str, str], key: str) -> str:
    while (above := groups[key]) != key:
        groups[key] = groups[above]
        key = above
    return key


def _compare_children(entries: dict[str, _Entry], parents: dict[str, str | None], where: str, repairs: Repairs) -> None:
    """Report children that are none."""
    for key, entry in entries.items():
        listed = entry.fields.children or ()
        wrong = sum(not isinstance(child, str) or parents.get(child) != key for child in listed)
        if wrong:
            place = f"{where}, node {entry.id!r}"
            repairs.append(Repair(place, f"{wrong} of its children are not there or hang elsewhere; left out"))


def _ordered(entries: dict[str, _Entry], parents: dict[str, str | None]) -> Iterator[str]:
    """The keys, each parent's children together: first as it lists them, then as the mapping has them."""
    listed: dict[str, None] = {}
    for key, entry in entries.items():
        for child in _children(entry):
            if parents.get(child) == key:
                listed[child] = None
    yield from listed
    yield from (key for key in entries if key not in listed)


def _turn(entry: _Entry, parent: str | None, where: str, repairs: Repairs) -> Turn:
    place = f"{where}, node {entry.id!r}"
    raw = entry.fields.message
    rest: JsonObject = {} if not entry.rest else {"node": entry.rest}
    if raw is None:
        return Turn(id=entry.id, parent=parent, metadata=rest)
    fields, _ = shaped(_Message, raw, place, repairs)
    author, wrong_in_author = shaped(_Author, fields.author or {}, place, repairs)
    said, aside = _said(raw, fields.content, place, repairs)
    made = message(author.role, said, place, repairs, name=author.name)
    metadata = _metadata(entry.id, raw, carries_content=not aside)
    _keep_author(metadata, fields.author, made, wrong_in_author)
    if "node" in metadata and rest:
        renamed = free("node", metadata)
        metadata[renamed] = metadata.pop("node")
    return Turn(
        id=entry.id,
        parent=parent,
        message=made,
        time=moment(fields.create_time, "create_time", place, repairs),
        hidden=_is_hidden(fields),
        aside=aside,
        metadata={**metadata, **rest},
    )


def _metadata(id: str, raw: JsonObject, *, carries_content: bool) -> JsonObject:
    """Every field of the message that is not said otherwise, as it stood."""
    metadata = {key: field for key, field in raw.items() if key not in ("id", "author", "content")}
    if not carries_content and "content" in raw:
        metadata["content"] = raw["content"]
    if "id" in raw and raw["id"] != id:
        metadata[free("message_id", metadata)] = raw["id"]
    if "author" in raw and not isinstance(raw["author"], dict):
        metadata["author"] = raw["author"]
    return metadata


def _keep_author(metadata: JsonObject, author: JsonObject | None, made: Message, wrong: set[str]) -> None:
    """Keep of the author what role and name do not say."""
    if author is None:
        return
    carries = {"role": made.role, "name": made.name}
    rest = {
        key: field
        for key, field in author.items()
        if key in wrong or key not in carries or (field is not None and field != carries[key])
    }
    if rest and rest != {"metadata": {}}:
        metadata["author"] = rest


def _is_hidden(fields: _Message) -> bool:
    return fields.weight == 0 or (fields.metadata or {}).get("is_visually_hidden_from_conversation") is True


# What is said.


def _said(
    raw: JsonObject, content: JsonObject | None, where: str, repairs: Repairs
) -> tuple[str | list[JsonObject], bool]:
    """What a message says, and whether the original content has to be kept since that says more."""
    stood = raw.get("content")
    if isinstance(stood, str):
        return stood, True
    if content is None:
        repairs.append(Repair(where, "no content; the message is empty"))
        return "", stood is not None
    return _content(content, where, repairs)


def _content(content: JsonObject, where: str, repairs: Repairs) -> tuple[str | list[JsonObject], bool]:
    """As ``_said``, of a content that is an object."""
    kind, parts = content.get("content_type"), content.get("parts")
    if isinstance(parts, list):
        texts = [part for part in parts if isinstance(part, str)]
        plain = len(parts) == 1 and len(texts) == 1 and not content.keys() - {"content_type", "parts"}
        if len(texts) == len(parts):
            return "\n\n".join(texts), not (plain and kind in ("text", None))
        return [_part(part, where, repairs) for part in parts], True
    lines = _thoughts(content) if kind == "thoughts" else _readable(content)
    text = "\n\n".join(line for line in lines if line)
    if not text:
        repairs.append(Repair(where, f"content of type {str(kind)[:40]!r} without any text; kept as metadata"))
    return text, True


def _part(part: Json, where: str, repairs: Repairs) -> JsonObject:
    """One of several parts in the shape of the chat APIs, under the name that the export has for its type."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        repairs.append(Repair(where, f"a part of the content is {kind_of(part)}; kept as text"))
        return {"type": "text", "text": "" if part is None else json_text(part)}
    kind = part.get("content_type")
    if kind == "audio_transcription" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    return carried({**part, "type": kind if isinstance(kind, str) else "unknown"}, where, repairs)


def _thoughts(content: JsonObject) -> Iterator[str]:
    thoughts = content.get("thoughts")
    for thought in thoughts if isinstance(thoughts, list) else ():
        if isinstance(thought, dict):
            yield from (text for key in ("summary", "content") if isinstance(text := thought.get(key), str))


READABLE = (
    "title",
    "name",
    "url",
    "user_profile",
    "user_instructions",
    "model_set_context",
    "summary",
    "content",
    "text",
    "result",
)
"""The fields that hold text in the content types seen, in an order in which they read well."""


def _readable(content: JsonObject) -> Iterator[str]:
    """The texts of a content without parts: code, output of tools, pages, contexts, and types not known yet."""
    yield from (text for key in READABLE if isinstance(text := content.get(key), str))
