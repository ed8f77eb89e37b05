"""The stored documents of dataknobs-llm: nodes with dot-path ids, edges, and the id of the current node.

The versions of the document go through a registry, as those of the event vocabulary do: a document of an earlier one is
taken up step by step, one of a later minor version is read as far as it is known, one of a later major is refused.

What the tree and the message do not carry is kept as it stood, in ``metadata["dataknobs"]``: ``node`` has the fields of
the node, ``message`` those of its message; the conversation's has those of the document. ``write`` puts them back, so
that a sound document comes out as it went in. What dataknobs-llm has no place for goes into a document's metadata under
``"branchlog"``, and comes back from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs

from branchlog._core.decide import RATING_MAX, RATING_MIN
from branchlog._core.message import Json, Message
from branchlog._core.tree import Node
from branchlog._core.upcast import Registry, Shape, Upcaster
from branchlog.conversation import Conversation
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
from branchlog.formats.dotted import Edge, joined, placed, shown
from branchlog.formats.outline import Join, Outline, Turn, described, moment, title_of

FORMAT = "dataknobs"
JOIN: Join = "array"
SUFFIX = ".json"
PATHS = False

OURS = "branchlog"
"""The key in a document's metadata for what dataknobs-llm has no place for."""

UNVERSIONED = "0.0.0"
"""What a document is that says no version."""


# The versions.


def _with_version(document: Shape) -> list[Shape]:
    """0.0.0 to 1.0.0: the document says its version."""
    return [{**document, "schema_version": "1.0.0"}]


def _with_calls(document: Shape) -> list[Shape]:
    """1.0.0 to 1.1.0: the message has its calls, of which the metadata of the node had a copy."""
    nodes = document.get("nodes")
    lifted = [_called(node) for node in nodes] if isinstance(nodes, list) else nodes
    return [{**document, "schema_version": "1.1.0", "nodes": lifted}]


def _called(node: Json) -> Json:
    if not isinstance(node, dict) or not isinstance(node.get("message"), dict):
        return node
    calls = {key: value for key, value in _metadata_of(node).items() if key in ("tool_calls", "function_call")}
    return {**node, "message": {**calls, **node["message"]}}


def _metadata_of(node: JsonObject) -> JsonObject:
    metadata = node.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


_CALL: JsonObject = {"name": "search", "parameters": {"text": "Kyoto"}, "id": "call_1"}

_SAMPLE: JsonObject = {
    "schema_version": "1.0.0",
    "conversation_id": "trip",
    "current_node_id": "0",
    "metadata": {},
    "created_at": "2025-11-21T00:00:00",
    "updated_at": "2025-11-21T00:00:01",
    "nodes": [
        {
            "node_id": "",
            "message": {"role": "user", "content": "Three days?", "name": None, "metadata": {}},
            "timestamp": "2025-11-21T00:00:00",
            "prompt_name": None,
            "branch_name": None,
            "metadata": {},
        },
        {
            "node_id": "0",
            "message": {"role": "assistant", "content": "", "name": None, "metadata": {}},
            "timestamp": "2025-11-21T00:00:01",
            "prompt_name": None,
            "branch_name": None,
            "metadata": {"tool_calls": [_CALL], "function_call": {"name": "search"}},
        },
    ],
    "edges": [["", "0"]],
}

_UNVERSIONED_SAMPLE: JsonObject = {key: value for key, value in _SAMPLE.items() if key != "schema_version"}

_GOLDEN: JsonObject = {
    **_SAMPLE,
    "schema_version": "1.1.0",
    "nodes": [
        _SAMPLE["nodes"][0],
        {
            **_SAMPLE["nodes"][1],
            "message": {
                "role": "assistant",
                "content": "",
                "name": None,
                "metadata": {},
                "tool_calls": [_CALL],
                "function_call": {"name": "search"},
            },
        },
    ],
}

DOCUMENTS = Registry(
    "a dataknobs document",
    current="1.1.0",
    released=(UNVERSIONED, "1.0.0"),
    steps=(
        Upcaster(UNVERSIONED, "1.0.0", _with_version, _UNVERSIONED_SAMPLE, [_SAMPLE]),
        Upcaster("1.0.0", "1.1.0", _with_calls, _SAMPLE, [_GOLDEN]),
    ),
)
"""The released versions of the document, and the steps between them."""

MESSAGE_FIELDS_OF_1_1 = ("tool_calls", "tool_call_id", "function_call")
"""The fields of a message that came with 1.1.0."""

KNOWN_FIELDS = {
    "document": {
        "schema_version",
        "conversation_id",
        "current_node_id",
        "metadata",
        "created_at",
        "updated_at",
        "nodes",
        "edges",
    },
    "node": {"node_id", "message", "timestamp", "prompt_name", "branch_name", "metadata"},
    "message": {"role", "content", "name", "metadata", *MESSAGE_FIELDS_OF_1_1},
}
"""The fields of version 1.1.0."""


# Reading.


@attrs.frozen
class _Document:
    """The fields of a document that mean something here."""

    conversation_id: str | None = None
    current_node_id: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: str | None = None


@attrs.frozen
class _Node:
    """The fields of a node that mean something here."""

    message: dict[str, Any] | None = None
    timestamp: str | None = None
    metadata: dict[str, Any] | None = None


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    role: str | None = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[Any] | None = None
    metadata: dict[str, Any] | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a document, be it a damaged one; nodes and edges alone are any graph's."""
    if "nodes" not in value or "mapping" in value:
        return False
    return "current_node_id" in value or ("edges" in value and "conversation_id" in value)


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired.

    Raises ``InvalidInput`` if it has no list of nodes or an unheard-of version, ``SchemaVersionError`` if a later
    branchlog is needed.
    """
    nodes = value.get("nodes")
    if not isinstance(nodes, list):
        raise InvalidInput(f"a dataknobs document without a list of nodes: {described(value)}")
    version = _version(value)
    is_later = DOCUMENTS.is_later(version)
    repairs: Repairs = []
    rest = carried({key: field for key, field in value.items() if key not in ("nodes", "edges")}, where, repairs)
    clean = {**rest, "nodes": _clean_nodes(nodes, where, repairs), "edges": _edges(value.get("edges"), where, repairs)}
    if is_later:
        repairs.append(Repair(where, _later(version, clean)))
    document = clean if is_later else DOCUMENTS.upcast(version, clean)[0]
    fields, _ = shaped(_Document, document, where, repairs)
    turns = tuple(_turns(document["nodes"], document["edges"], where, repairs))
    return Outline(
        format=FORMAT,
        id=fields.conversation_id or None,
        title=_title(fields.metadata, where, repairs),
        metadata=rest,
        turns=turns,
        current=_current(fields.current_node_id, turns),
        created=moment(fields.created_at, "created_at", where, repairs),
    ), repairs


def _version(value: JsonObject) -> str:
    version = value.get("schema_version")
    if version is None:
        return UNVERSIONED
    if not isinstance(version, str):
        raise InvalidInput(f"its schema_version is {kind_of(version)}, not text")
    return version


def _clean_nodes(nodes: list[Json], where: str, repairs: Repairs) -> list[Json]:
    """The nodes as metadata can hold them; what is no object stands in a list of one."""
    clean: list[Json] = []
    for number, node in enumerate(nodes, 1):
        place = f"{where}, node number {number}"
        clean.append(carried(node if isinstance(node, dict) else {"": node}, place, repairs))
    return clean


def _edges(edges: Json, where: str, repairs: Repairs) -> list[Edge] | None:
    if not isinstance(edges, list):
        return None
    sound = [edge for edge in edges if _is_edge(edge)]
    if len(sound) < len(edges):
        said = f"{len(edges) - len(sound)} of the edges are no pairs of ids; left out"
        repairs.append(Repair(where, said))
    return [(carried_text(parent, where, []), carried_text(child, where, [])) for parent, child in sound]


def _is_edge(edge: Json) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and all(isinstance(end, str) for end in edge)


def _later(version: str, document: JsonObject) -> str:
    unknown = sorted(set(_unknown(document)))
    kept = f"; kept as metadata: {', '.join(unknown)}" if unknown else ""
    return f"schema {version} is later than {DOCUMENTS.current}; read as far as it is known{kept}"


def _unknown(document: JsonObject) -> Iterator[str]:
    """The fields that version 1.1.0 does not have."""
    nodes = document["nodes"]
    messages = [said for node in nodes if isinstance(said := node.get("message"), dict)]
    for what, shapes in (("document", [document]), ("node", nodes), ("message", messages)):
        for shape in shapes:
            yield from (f"{what} field {key[:40]!r}" for key in shape.keys() - KNOWN_FIELDS[what])


def _title(metadata: JsonObject | None, where: str, repairs: Repairs) -> str | None:
    title = (metadata or {}).get("title")
    return title_of(title, where, repairs) if isinstance(title, str) else None


def _current(current: str | None, turns: Sequence[Turn]) -> str | None:
    """The turn that the document stands at; the root by the id that it should have, too."""
    if current == "" and turns:
        return turns[0].id
    return current


# Nodes.


def _turns(nodes: list[JsonObject], edges: list[Edge] | None, where: str, repairs: Repairs) -> Iterator[Turn]:
    entries: dict[str, JsonObject] = {}
    ids: dict[str, str | None] = {}
    for number, node in enumerate(nodes, 1):
        said = node.get("node_id")
        key = _key(said, number, entries, where, repairs)
        entries[key], ids[key] = node, said if isinstance(said, str) else None
    for key, parent in placed(ids, edges, where, repairs):
        yield _turn(key, parent, entries.get(key), where, repairs)


def _key(said: Json, number: int, entries: dict[str, JsonObject], where: str, repairs: Repairs) -> str:
    """A name of its own for a node."""
    if not isinstance(said, str):
        key = free(f"node {number}", entries)
        repairs.append(Repair(f"{where}, node number {number}", f"it has no node_id; it is called {key!r}"))
        return key
    key = free(said, entries)
    if key != said:
        place = f"{where}, node {shown(said)}"
        repairs.append(Repair(place, f"a second node of this id; it is called {shown(key)}"))
    return key


def _turn(key: str, parent: str | None, raw: JsonObject | None, where: str, repairs: Repairs) -> Turn:
    if raw is None:
        return Turn(id=key, parent=parent)
    place = f"{where}, node {shown(key)}"
    fields, wrong = shaped(_Node, raw, place, repairs)
    ours = _ours(fields.metadata)
    carried_fields = {"message"} - wrong - ({"message"} if raw.get("message") is None else set())
    kept = {"node": {name: field for name, field in raw.items() if name not in carried_fields}}
    if kept["node"].get("node_id") == key:
        del kept["node"]["node_id"]
    time = moment(fields.timestamp, "timestamp", place, repairs)
    rating, hidden = _rating(ours), ours.get("hidden") is True
    if fields.message is None or _is_empty_root(parent, ours, fields.message):
        return Turn(id=key, parent=parent, time=time, rating=rating, hidden=hidden, metadata=kept)
    made = _message(fields.message, ours, place, repairs)
    rest = _beside(fields.message, _fields_of(made))
    return Turn(
        id=key,
        parent=parent,
        message=made,
        time=time,
        rating=rating,
        hidden=hidden,
        aside="content" in rest,
        metadata={**kept, "message": rest},
    )


def _ours(metadata: JsonObject | None) -> JsonObject:
    """What ``write`` put aside here."""
    ours = (metadata or {}).get(OURS)
    return ours if isinstance(ours, dict) else {}


def _rating(ours: JsonObject) -> float | None:
    rating = ours.get("rating")
    if isinstance(rating, bool) or not isinstance(rating, int | float):
        return None
    return rating if RATING_MIN <= rating <= RATING_MAX else None


EMPTY_ROOT: JsonObject = {"role": "system", "content": ""}
"""The message of a root without one: dataknobs-llm knows no such root."""


def _is_empty_root(parent: str | None, ours: JsonObject, said: JsonObject) -> bool:
    return parent is None and "message" in ours and ours["message"] is None and said == EMPTY_ROOT


def _beside(raw: JsonObject, carries: JsonObject) -> JsonObject:
    """What of the fields is not carried as it stands."""
    return {name: field for name, field in raw.items() if name not in carries or carries[name] != field}


# Messages.


def _message(raw: JsonObject, ours: JsonObject, where: str, repairs: Repairs) -> Message:
    fields, _ = shaped(_Message, raw, where, repairs)
    calls = _calls(fields.tool_calls or [], ours, where, repairs) or None
    content = _content(raw, where, repairs, has_calls=calls is not None)
    made = message(fields.role, content or "", where, repairs, name=fields.name)
    return attrs.evolve(
        made,
        content=content,
        tool_calls=calls,
        tool_call_id=fields.tool_call_id,
    )


def _content(raw: JsonObject, where: str, repairs: Repairs, *, has_calls: bool) -> str | list[JsonObject] | None:
    content = raw.get("content")
    if isinstance(content, str) or (content is None and has_calls):
        return content
    if content is None:
        repairs.append(Repair(where, "no content; the message is empty"))
        return ""
    if isinstance(content, list) and all(isinstance(part, dict) and type(part.get("type")) is str for part in content):
        return content
    repairs.append(Repair(where, f"the content is {kind_of(content)}; its JSON is the text"))
    return json_text(content)


def _calls(calls: list[Any], ours: JsonObject, where: str, repairs: Repairs) -> list[JsonObject]:
    """Tool calls in the shape of the chat APIs; what is no such call stays as it stood."""
    exact = ours.get("tool_calls")
    if isinstance(exact, list) and all(isinstance(call, dict) for call in exact) and _written_calls(exact) == calls:
        return exact
    objects = [call for call in calls if isinstance(call, dict)]
    if len(objects) < len(calls):
        repairs.append(Repair(where, f"{len(calls) - len(objects)} of its tool calls are no objects; kept as metadata"))
    return [_chat_call(call) for call in objects]


def _chat_call(call: JsonObject) -> JsonObject:
    if not _is_call(call):
        return call
    function = {"name": call["name"], "arguments": json.dumps(call["parameters"], ensure_ascii=False)}
    return {**({"id": call["id"]} if "id" in call else {}), "type": "function", "function": function}


def _is_call(call: JsonObject) -> bool:
    """Whether this is a call as dataknobs-llm writes it."""
    return (
        call.keys() <= {"name", "parameters", "id"}
        and isinstance(call.get("name"), str)
        and isinstance(call.get("parameters"), dict)
        and isinstance(call.get("id", ""), str)
    )


# Writing.


def write(chat: Conversation, *, schema: str = DOCUMENTS.current) -> JsonObject:
    """The document of a conversation, its nodes in breadth-first order.

    Raises ``InvalidInput`` for a schema that was never released, and where an earlier one has no place for something.
    """
    if schema not in DOCUMENTS.released:
        raise InvalidInput(f"no dataknobs document has the version {schema!r}; there are: {_released()}")
    metadata = chat.metadata
    source = metadata.get("source")
    is_ours = isinstance(source, dict) and source.get("format") == FORMAT
    kept = _object(metadata.pop(FORMAT, None)) if is_ours else {}
    root = _object(metadata.pop("root", None)) if is_ours and chat.tree.root.message is None else {}
    if is_ours:
        del metadata["source"]
    placed_nodes = list(_breadth_first(chat.tree.root))
    nodes = [_written_node(node, id, root if id == "" else {}) for node, id, _ in placed_nodes]
    document = {
        **kept,
        "schema_version": DOCUMENTS.current,
        "conversation_id": _text(kept.get("conversation_id"), chat.id),
        "nodes": nodes,
        "edges": [[parent, id] for _, id, parent in placed_nodes if parent is not None],
        "current_node_id": chat.cursor.id,
        "metadata": _conversation_metadata(chat, kept, metadata),
        "created_at": _text(kept.get("created_at"), _time(chat.tree.root.added)),
        "updated_at": _updated(chat, kept),
    }
    return document if schema == DOCUMENTS.current else _lowered(document, schema, kept)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: Json, default: str) -> str:
    return value if isinstance(value, str) else default


def _time(moment: datetime) -> str:
    """ISO 8601 in UTC without a zone, as the documents have it."""
    return moment.replace(tzinfo=None).isoformat()


def _released() -> str:
    return ", ".join(sorted(DOCUMENTS.released))


def _breadth_first(root: Node) -> Iterator[tuple[Node, str, str | None]]:
    """Each node, its id and its parent's."""
    level: list[tuple[Node, str, str | None]] = [(root, "", None)]
    for node, id, parent in level:
        yield node, id, parent
        level.extend((child, joined(id, ordinal), id) for ordinal, child in enumerate(node.children))


def _conversation_metadata(chat: Conversation, kept: JsonObject, own: JsonObject) -> JsonObject:
    metadata = {**_object(kept.get("metadata")), **own}
    title = metadata.get("title")
    if isinstance(title, str) and title_of(title, "", []) != chat.title:
        del metadata["title"]
    if chat.title is not None:
        metadata.setdefault("title", chat.title)
    others = {name: node.id for name, node in chat.cursors.items() if name != "main"}
    return _with_ours(metadata, {"cursors": others} if others else {})


def _updated(chat: Conversation, kept: JsonObject) -> str:
    """When the last message came; as it stood where none came since."""
    nodes = chat.tree.nodes
    added = [node.added for node in nodes if not _kept_of(node.message)]
    stood = kept.get("updated_at")
    if isinstance(stood, str) and (len(added) == 0 or (len(added) == 1 and chat.tree.root.message is None)):
        return stood
    return _time(max(added or [node.added for node in nodes]))


def _kept_of(said: Message | None) -> JsonObject:
    return {} if said is None else _object(said.metadata.get(FORMAT))


def _written_node(node: Node, id: str, kept: JsonObject) -> JsonObject:
    said = node.message
    kept = _kept_of(said) or kept
    fields: JsonObject = {"timestamp": _time(node.added)}
    if not kept:
        fields |= {"prompt_name": None, "branch_name": None, "metadata": {}}
    fields |= _object(kept.get("node"))
    metadata = _with_ours(_object(fields.get("metadata")), _put_aside(node, said))
    if metadata or isinstance(fields.get("metadata"), dict):
        fields["metadata"] = metadata
    return {**fields, "node_id": id, "message": _written_message(said, _object(kept.get("message")))}


def _put_aside(node: Node, said: Message | None) -> JsonObject:
    """What a node says here that dataknobs-llm has no place for."""
    aside: JsonObject = node.annotations
    if node.redacted:
        aside["redacted"] = True
    if said is None:
        aside["message"] = None
    elif said.tool_calls and [_chat_call(call) for call in _written_calls(said.tool_calls)] != said.tool_calls:
        aside["tool_calls"] = said.tool_calls
    return aside


TAKEN_BACK = ("rating", "hidden", "message", "tool_calls")
"""What reading takes back out of a node's metadata: afterwards it is here and nowhere else."""


def _with_ours(metadata: JsonObject, aside: JsonObject) -> JsonObject:
    ours = {name: value for name, value in _ours(metadata).items() if name not in TAKEN_BACK} | aside
    if ours:
        return {**metadata, OURS: ours}
    return {name: value for name, value in metadata.items() if name != OURS or value == {}}


def _written_message(said: Message | None, kept: JsonObject) -> JsonObject:
    if said is None:
        return dict(EMPTY_ROOT)
    fields = {**_fields_of(said), **kept}
    own = {name: value for name, value in said.metadata.items() if name != FORMAT}
    return {**fields, "metadata": {**_object(fields.get("metadata")), **own}} if own else fields


def _fields_of(said: Message) -> JsonObject:
    """The fields of a message but its metadata, as dataknobs-llm writes them."""
    fields = said.to_chat()
    if said.tool_calls is not None:
        fields["tool_calls"] = _written_calls(said.tool_calls)
    return fields


def _written_calls(calls: list[JsonObject]) -> list[JsonObject]:
    return [_written_call(call) for call in calls]


def _written_call(call: JsonObject) -> JsonObject:
    """A call of the chat APIs as dataknobs-llm has it: a name, parameters, and an id if it has one."""
    if _is_call(call):
        return call
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        written = {"name": function["name"], "parameters": _parameters(function.get("arguments"))}
    else:
        rest = {name: value for name, value in call.items() if name not in ("id", "name")}
        written = {"name": _text(call.get("name"), _text(call.get("type"), "")), "parameters": rest}
    return {**written, "id": call["id"]} if isinstance(call.get("id"), str) else written


def _parameters(arguments: Json) -> JsonObject:
    """Arguments, which the chat APIs have as the text of a JSON object; what is none stands under ``arguments``."""
    try:
        parameters = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        parameters = None
    if isinstance(parameters, dict):
        return parameters
    return {} if arguments is None else {"arguments": arguments}


# Writing an earlier version.


def _lowered(document: JsonObject, schema: str, kept: JsonObject) -> JsonObject:
    """The document as an earlier version has it. Raises ``InvalidInput`` naming what that has no place for."""
    lost: list[str] = []
    nodes = [_lowered_node(node, lost) for node in document["nodes"]]
    if lost:
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        named = ", ".join(lost[:5])
        raise InvalidInput(
            f"a dataknobs document of version {schema} has no place for {named}{more}: write it as 1.1.0"
        )
    lowered = {**document, "schema_version": schema, "nodes": nodes}
    if schema == UNVERSIONED and kept.get("schema_version") != UNVERSIONED:
        del lowered["schema_version"]
    return lowered


def _lowered_node(node: JsonObject, lost: list[str]) -> JsonObject:
    metadata, said = _metadata_of(node), node["message"]
    for name in MESSAGE_FIELDS_OF_1_1:
        comes_back = metadata.get(name) if name != "tool_call_id" else None
        if said.get(name) != comes_back:
            lost.append(f"{name} of node {shown(node['node_id'])}")
    rest = {name: field for name, field in said.items() if name not in MESSAGE_FIELDS_OF_1_1}
    return {**node, "message": {"name": None, "metadata": {}, **rest}}
