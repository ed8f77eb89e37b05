"""Loom trees: of pyloom (``{"root": {"text", "children"}}``, nested) and of Loomsidian (``{"current", "nodes"}``).

A node has a piece of text, and what it means is the text from the root to it, joined with nothing between. Who wrote
a piece is known in pyloom only, where its ``source`` says so; otherwise the role is ``unknown``. A root without text
is a root without message.

The trees of exoloom, miniloom and bonsai are known by name, and refused: what their nodes say is not known for
certain, is a patch of what another one says, or hangs under several at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from branchlog._core.message import Json, Message
from branchlog.errors import BranchlogError, InvalidInput
from branchlog.formats.blocks import name_of
from branchlog.formats.carry import (
    UNKNOWN_ROLE,
    JsonObject,
    Repair,
    Repairs,
    Skipped,
    carried_text,
    free,
    kind_of,
    message,
    shaped,
)
from branchlog.formats.outline import Outline, Turn, described, label_of, moment, title_of, under_a_root

FORMAT = "loom"

BOOKMARK, ARCHIVED = "bookmark", "archived"
"""The tags of pyloom that mean something here."""

STAMP = re.compile(r"(\d{4}-\d\d-\d\d)-(\d\d)\.(\d\d)\.(\d\d)", re.ASCII)
"""How pyloom writes a time, which has no zone."""

REFUSED = {
    "exoloom": "what its nodes say is not known for certain",
    "miniloom": "its nodes are patches of one another",
    "bonsai": "its nodes may hang under several at once, and a conversation is a tree",
}

Found: TypeAlias = tuple[str, Outline, Repairs]


@attrs.frozen
class _Fields:
    """The fields of a node of pyloom that mean something here."""

    text: str | None = None
    children: list[Any] | None = None
    meta: dict[str, Any] | None = None
    tags: list[Any] | None = None
    bookmark: bool | None = None
    archived: bool | None = None


@attrs.frozen
class _Note:
    """The fields of a node of Loomsidian that mean something here."""

    text: str | None = None
    parentId: str | None = None  # noqa: N815, the name that stands in the file
    bookmarked: bool | None = None


# Which kind it is.


def recognises(value: JsonObject) -> bool:
    """Whether this is a tree of one of the looms, be it one that is refused."""
    return _is_pyloom(value) or _is_note(value) or _refused(value) is not None


def _is_pyloom(value: JsonObject) -> bool:
    root = value.get("root")
    return isinstance(root, dict) and "text" in root and "children" in root


def _is_note(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and {"current", "hoisted", "nodes"} <= value.keys()
        and isinstance(value["nodes"], dict)
        and "mapping" not in value
    )


def _refused(value: JsonObject) -> str | None:
    if value.get("loomType") == "Exoloom":
        return "exoloom"
    tree = value.get("loomTree")
    if isinstance(tree, dict) and "nodeStore" in tree:
        return "miniloom"
    nodes = value.get("nodes")
    first = nodes[0] if isinstance(nodes, list) and nodes else None
    return "bonsai" if isinstance(first, dict) and {"id", "text", "parentIds"} <= first.keys() else None


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether there is a map of notes among these, each of which is a tree; Loomsidian's settings may be beside it."""
    return any(_notes(value) for value in values)


def _notes(value: Json) -> dict[str, JsonObject]:
    if not isinstance(value, dict):
        return {}
    notes = value["state"] if isinstance(value.get("state"), dict) else value
    return notes if notes and all(map(_is_note, notes.values())) else {}


def read_records(records: Iterable[tuple[str, Json]], name: str) -> Iterator[Found | Skipped]:  # noqa: ARG001  # a note has a name of its own
    """The trees of a file: one for each note."""
    for where, value in records:
        notes = _notes(value)
        for path, note in notes.items():
            place = carried_text(f"{where}, note {path!r}", "", [])
            yield _read_or_skipped(note, place, path)
        if not notes and isinstance(value, dict) and recognises(value):
            yield _read_or_skipped(value, where, None)
        elif not notes:
            yield Skipped(where, f"not a loom tree: {described(value)}")


def _read_or_skipped(value: JsonObject, where: str, title: str | None) -> Found | Skipped:
    try:
        outline, repairs = read(value, where)
    except BranchlogError as error:
        return Skipped(where, str(error))
    return where, attrs.evolve(outline, title=title_of(title, where, repairs)), repairs


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The tree, not mended yet, and what was repaired. Raises ``InvalidInput`` for a kind that is refused, by name."""
    refused = _refused(value)
    if refused is not None:
        raise InvalidInput(f"a tree of {refused}, which cannot be imported: {REFUSED[refused]}")
    if _is_note(value):
        return _read_note(value, where)
    root = value.get("root")
    if not isinstance(root, dict):
        raise InvalidInput(f"a loom tree without root: {described(value)}")
    return _read_pyloom(value, root, where)


# pyloom.


@attrs.define(eq=False)
class _Entry:
    """A node of pyloom, with its place in the tree."""

    id: str
    parent: str | None
    raw: JsonObject
    fields: _Fields


def _read_pyloom(value: JsonObject, root: JsonObject, where: str) -> tuple[Outline, Repairs]:
    repairs: Repairs = []
    entries = _entries(root, where, repairs)
    chapters = _chapters(value.get("chapters"), where, repairs)
    turns = tuple(_turn(entry, chapters.get(entry.id), where, repairs) for entry in entries)
    selected = _id_of(value.get("selected_node_id"))
    return Outline(
        format=FORMAT,
        id=f"{FORMAT}-{_named_by(entries)}",
        metadata={key: field for key, field in value.items() if key != "root"},
        turns=turns,
        current=None if selected is None else carried_text(selected, where, repairs),
    ), repairs


def _id_of(value: Json) -> str | None:
    """An id is text; some are numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return ascii(value) if abs(value) < 2**64 else None
    return value if isinstance(value, str) and value else None


def _named_by(entries: list[_Entry]) -> str:
    """What names the tree: its root's id, or the first node that has one."""
    return next((entry.id for entry in entries if _id_of(entry.raw.get("id"))), entries[0].id)


def _entries(root: JsonObject, where: str, repairs: Repairs) -> list[_Entry]:
    """Every node, parents first, siblings in their order."""
    entries: list[_Entry] = []
    taken: set[str] = set()
    todo: list[tuple[Json, _Entry | None]] = [(root, None)]
    for raw, parent in todo:
        if not isinstance(raw, dict):
            place = where if parent is None else f"{where}, node {parent.id!r}"
            repairs.append(Repair(place, f"a child is {kind_of(raw)}, not a node; left out"))
            continue
        entry = _entry(raw, parent, taken, where, repairs)
        entries.append(entry)
        todo.extend((child, entry) for child in entry.fields.children or ())
    return entries


def _entry(raw: JsonObject, parent: _Entry | None, taken: set[str], where: str, repairs: Repairs) -> _Entry:
    above = None if parent is None else parent.id
    wanted = _id_of(raw.get("id")) or ("root" if parent is None else name_of([above, raw.get("text")]))
    id = free(carried_text(wanted, where, repairs), taken)
    taken.add(id)
    place = f"{where}, node {id!r}"
    if id != wanted and raw.get("id") is not None:
        repairs.append(Repair(place, f"a second node of the id {wanted!r}"))
    fields, _ = shaped(_Fields, {key: field for key, field in raw.items() if field is not None}, place, repairs)
    return _Entry(id, above, raw, fields)


def _chapters(chapters: Json, where: str, repairs: Repairs) -> dict[str, str]:
    """The label of each node at which a chapter begins: its title."""
    labels: dict[str, str] = {}
    for chapter in chapters.values() if isinstance(chapters, dict) else ():
        if isinstance(chapter, dict) and isinstance(chapter.get("title"), str):
            root = _id_of(chapter.get("root_id"))
            label = label_of(chapter["title"], f"{where}, chapter", repairs) if root else None
            if root and label:
                labels.setdefault(root, label)
    return labels


def _turn(entry: _Entry, label: str | None, where: str, repairs: Repairs) -> Turn:
    place, fields = f"{where}, node {entry.id!r}", entry.fields
    tags = fields.tags or []
    wrong = {name for name in ("text", "children") if entry.raw.get(name) is not None and getattr(fields, name) is None}
    kept = {key: field for key, field in entry.raw.items() if key not in {"text", "children", "id"} - wrong}
    if "id" in entry.raw and entry.raw["id"] != entry.id:
        kept["original_id"] = entry.raw["id"]
    if kept.get("parent_id") == entry.parent:
        kept.pop("parent_id", None)
    stamp = (fields.meta or {}).get("creation_timestamp")
    return Turn(
        id=entry.id,
        parent=entry.parent,
        message=_message(fields.text, _role(fields.meta or {}), place, repairs, root=entry.parent is None),
        time=moment(_iso(stamp), "creation_timestamp", place, repairs),
        hidden=ARCHIVED in tags or fields.archived is True,
        bookmark=BOOKMARK in tags or fields.bookmark is True,
        label=label,
        metadata=kept,
    )


def _message(text: str | None, role: str, place: str, repairs: Repairs, *, root: bool) -> Message | None:
    if root and not text:
        return None
    if text is None:
        repairs.append(Repair(place, "no text; the message is empty"))
    return message(role, text or "", place, repairs)


def _role(meta: JsonObject) -> str:
    source = meta.get("source")
    if source is None:
        return "assistant" if meta.get("origin") == "generated" else UNKNOWN_ROLE
    return "assistant" if source == "AI" else "user"


def _iso(stamp: Json) -> float | str | None:
    if isinstance(stamp, str):
        return STAMP.sub(r"\1T\2:\3:\4", stamp)
    return stamp if isinstance(stamp, int | float) and not isinstance(stamp, bool) else None


# Loomsidian.


def _read_note(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    repairs: Repairs = []
    turns = [_note_turn(id, raw, where, repairs) for id, raw in value["nodes"].items()]
    current = value.get("current")
    roots = [turn.id for turn in turns if turn.parent is None]
    return Outline(
        format=FORMAT,
        id=f"{FORMAT}-{(roots or [turn.id for turn in turns])[0]}" if turns else None,
        metadata={key: field for key, field in value.items() if key != "nodes"},
        turns=under_a_root(turns),
        current=carried_text(current, where, repairs) if isinstance(current, str) else None,
    ), repairs


def _note_turn(id: str, raw: Json, where: str, repairs: Repairs) -> Turn:
    id = carried_text(id, where, repairs)
    place = f"{where}, node {id!r}"
    if not isinstance(raw, dict):
        repairs.append(Repair(place, f"it is {kind_of(raw)}, not a node; kept as metadata"))
        return Turn(id=id, metadata={"node": raw})
    fields, wrong = shaped(_Note, {key: field for key, field in raw.items() if field is not None}, place, repairs)
    kept = {key: field for key, field in raw.items() if key not in {"text", "parentId"} - wrong}
    if "id" in kept:
        kept[free("original_id", kept)] = kept.pop("id")
    parent = fields.parentId and carried_text(fields.parentId, where, [])
    return Turn(
        id=id,
        parent=parent or None,
        message=_message(fields.text, UNKNOWN_ROLE, place, repairs, root=False),
        bookmark=fields.bookmarked is True,
        metadata=kept,
    )
