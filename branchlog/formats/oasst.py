"""OASST trees: a prompt with nested replies, or a row for each message that names its parent.

``prompter`` becomes ``user``. Siblings that annotators ranked (0 is the best of n) get ratings from 5 down to 1. The
cursor goes where the best ranks lead. Deleted messages stay, hidden. All other fields are kept as they stood.

``write`` gives a tree with nested replies. What OASST has no place for stands in it under ``branchlog``, and comes back
from there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from math import inf, isfinite
from typing import Any

import attrs

from branchlog._core.decide import RATING_MAX, RATING_MIN
from branchlog._core.message import Json, Message
from branchlog.conversation import Conversation
from branchlog.errors import InvalidInput
from branchlog.formats import beside
from branchlog.formats.carry import JsonObject, Repair, Repairs, Skipped, carried_text, free, kind_of, message, shaped
from branchlog.formats.lists import first_line
from branchlog.formats.outline import Join, Outline, Turn, described, moment, title_of

FORMAT = "oasst"
JOIN: Join = "lines"
SUFFIX = ".jsonl"
PATHS = False

ROLES = {"prompter": "user"}
"""Roles that have another name in the chat APIs."""

WRITTEN_ROLES = {name: role for role, name in ROLES.items()}

TAKEN = frozenset({"id", "parent", "original_id"})
"""What is ours in the metadata of a message, beside the fields as they stood."""

TREES_OPEN_MAX = 100
"""Trees of which rows are waited for; the rows of a tree stand together in every file that is known."""

DEPTH_MAX = 400
"""Replies within replies that are written: JSON decoders give up at about 500, which is two levels of JSON for each."""


@attrs.frozen
class _Tree:
    """The fields of a tree that mean something here."""

    message_tree_id: str | None = None


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    message_id: str | None = None
    parent_id: str | None = None
    text: str | None = None
    role: str | None = None
    created_date: str | None = None
    rank: float | None = None
    deleted: bool | None = None
    replies: list[Any] | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a tree, be it a damaged one."""
    return "prompt" in value and ("message_tree_id" in value or "tree_state" in value)


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether there is a row among these."""
    return any(map(_is_row, values))


def _is_row(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and "message_id" in value
        and "prompt" not in value
        and not value.keys().isdisjoint(("parent_id", "message_tree_id"))
        and not value.keys().isdisjoint(("text", "role"))
    )


# Trees.


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The tree, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no prompt."""
    prompt = value.get("prompt")
    if not isinstance(prompt, dict):
        raise InvalidInput(f"its prompt is {kind_of(prompt)}, not a message")
    repairs: Repairs = []
    fields, _ = shaped(_Tree, value, where, repairs)
    entries = _nested(prompt, where, repairs)
    metadata = {key: field for key, field in value.items() if key != "prompt"}
    return _outline(fields.message_tree_id, metadata, entries, where, repairs), repairs


@attrs.define(eq=False)
class _Entry:
    """One message: its id, its fields, its parent's id, and the replies that are there."""

    id: str
    fields: _Message
    raw: JsonObject
    wrong: set[str]
    parent: str | None
    replies: list[_Entry] = attrs.field(factory=list)


def _nested(prompt: JsonObject, where: str, repairs: Repairs) -> list[_Entry]:
    """Every message, parents first, siblings in their order."""
    entries: list[_Entry] = []
    taken: set[str] = set()
    todo: list[tuple[Json, _Entry | None]] = [(prompt, None)]
    for raw, parent in todo:
        if not isinstance(raw, dict):
            repairs.append(Repair(_place(where, parent), f"a reply is {kind_of(raw)}, not a message; left out"))
            continue
        path = f"{parent.id}/{len(parent.replies)}" if parent is not None else "prompt"
        entry = _entry(raw, path, where, taken, repairs)
        entries.append(entry)
        if parent is not None:
            entry.parent = parent.id
            parent.replies.append(entry)
        todo.extend((reply, entry) for reply in entry.fields.replies or ())
    return entries


def _place(where: str, entry: _Entry | None) -> str:
    return where if entry is None else f"{where}, message {entry.id!r}"


def _entry(raw: JsonObject, path: str, where: str, taken: set[str], repairs: Repairs) -> _Entry:
    """A message by itself; ``path`` is its name where it has none."""
    found: Repairs = []
    fields, wrong = shaped(_Message, raw, where, found)
    wanted = fields.message_id and carried_text(fields.message_id, where, found)
    id = free(wanted or path, taken)
    place = f"{where}, message {id!r}"
    if not wanted:
        repairs.append(Repair(place, "no message_id; it is named by its place"))
    elif wanted != id:
        repairs.append(Repair(place, f"a second message of the id {wanted!r}"))
    taken.add(id)
    repairs += [Repair(place, repair.what) for repair in found]
    return _Entry(id, fields, raw, wrong, None)


# Rows.


def read_records(records: Iterable[tuple[str, Json]], name: str) -> Iterator[tuple[str, Outline, Repairs] | Skipped]:  # noqa: ARG001  # a tree is named by its id
    """The trees of a file of rows, as they come: the rows of a tree may be in any order, but stand near each other."""
    trees: OrderedDict[str, list[tuple[str, JsonObject]]] = OrderedDict()
    for where, value in records:
        if not _is_row(value):
            yield _tree_among_rows(value, where)
            continue
        id = _tree_of(value, trees)
        trees.setdefault(id, []).append((where, value))
        trees.move_to_end(id)
        if len(trees) > TREES_OPEN_MAX:
            yield _of_rows(*trees.popitem(last=False))
    for id, rows in trees.items():
        yield _of_rows(id, rows)


def _tree_among_rows(value: Json, where: str) -> tuple[str, Outline, Repairs] | Skipped:
    if not isinstance(value, dict) or not recognises(value):
        return Skipped(where, f"not a row of an OASST file: {described(value)}")
    try:
        return (where, *read(value, where))
    except InvalidInput as error:
        return Skipped(where, str(error))


def _tree_of(row: JsonObject, trees: OrderedDict[str, list[tuple[str, JsonObject]]]) -> str:
    """The id of the tree that a row is of; where it does not say, the tree that has its parent, or else its own id."""
    id, parent = row.get("message_tree_id"), row.get("parent_id")
    if isinstance(id, str) and id:
        return id
    if parent is not None:
        for open_id in reversed(trees):
            if any(other["message_id"] == parent for _, other in trees[open_id]):
                return open_id
    own = row["message_id"]
    return own if isinstance(own, str) else ""


def _of_rows(id: str, rows: list[tuple[str, JsonObject]]) -> tuple[str, Outline, Repairs]:
    where, repairs = rows[0][0], Repairs()
    taken: set[str] = set()
    by_id: dict[str, _Entry] = {}
    entries: list[_Entry] = []
    for place, row in rows:
        entry = _entry(row, "row", place, taken, repairs)
        entry.parent = entry.fields.parent_id and carried_text(entry.fields.parent_id, place, repairs)
        entries.append(entry)
        by_id[entry.id] = entry
    for entry in entries:
        if entry.parent in by_id:
            by_id[entry.parent].replies.append(entry)
    return where, _outline(id or None, {}, entries, where, repairs), repairs


# What trees and rows have in common.


def _outline(id: str | None, metadata: JsonObject, entries: list[_Entry], where: str, repairs: Repairs) -> Outline:
    ours = dict(beside.object_of(metadata.get(beside.OURS)))
    root = next((entry for entry in entries if entry.parent is None), entries[0])
    above = _above(ours.pop("root", None))
    turns = tuple(_turns(entries, above, where, repairs))
    id, title, current = id or root.id, first_line(root.fields.text, where), _best_leaf(root)
    if isinstance(ours.get("id"), str):
        id = ours.pop("id")
    if "title" in ours and isinstance(ours["title"], str | None):
        title = title_of(ours.pop("title"), where, repairs)
    if isinstance(ours.get("current"), str):
        current = ours.pop("current")
    return Outline(
        format=FORMAT,
        id=id and carried_text(id, where, repairs),
        title=title,
        metadata=beside.with_ours(metadata, ours) if beside.OURS in metadata else metadata,
        turns=turns,
        current=current,
        created=next((turn.time for turn in turns if turn.id == root.id), None),
    )


def _above(ours: Json) -> Turn | None:
    """The root without message that ``write`` has put aside."""
    if not isinstance(ours, dict) or not isinstance(ours.get("id"), str):
        return None
    taken = beside.taken_back(ours, Message("system", ""), "", [], hidden=False)
    rest = {key: field for key, field in taken.rest.items() if key != "id"}
    metadata = {beside.OURS: rest} if rest else {}
    return taken.onto(Turn(id=ours["id"], metadata=metadata))


def _turns(entries: list[_Entry], above: Turn | None, where: str, repairs: Repairs) -> Iterator[Turn]:
    siblings: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.parent is not None:
            siblings.setdefault(entry.parent, []).append(entry)
    ratings: dict[str, float | None] = {}
    for parent, replies in siblings.items():
        ratings.update(_ratings(parent, replies, where, repairs))
    if above is not None:
        yield above
    for entry in entries:
        turn = _turn(entry, ratings.get(entry.id), where, repairs)
        yield turn if above is None or entry.parent is not None else attrs.evolve(turn, parent=above.id)


def _turn(entry: _Entry, rating: float | None, where: str, repairs: Repairs) -> Turn:
    place = _place(where, entry)
    if entry.fields.text is None:
        repairs.append(Repair(place, "no text; the message is empty"))
    ours = beside.object_of(entry.raw.get(beside.OURS))
    made = _message(entry.fields, place, repairs)
    taken = beside.taken_back(ours, made, place, repairs, rating=rating, hidden=entry.fields.deleted is True)
    is_empty_root = entry.parent is None and "message" in ours and ours["message"] is None
    turn = Turn(
        id=entry.id,
        parent=entry.parent,
        message=None if is_empty_root else taken.message,
        time=moment(entry.fields.created_date, "created_date", place, repairs),
        metadata=_metadata(entry, taken),
    )
    return taken.onto(turn)


def _message(fields: _Message, where: str, repairs: Repairs) -> Message:
    return message(ROLES.get(fields.role or "", fields.role), fields.text or "", where, repairs)


def _metadata(entry: _Entry, taken: beside.Taken) -> JsonObject:
    """Every field as it stood, but the text and the replies."""
    carried = {"text", "replies"} - entry.wrong
    metadata = {beside.escaped(key, TAKEN): field for key, field in entry.raw.items() if key not in carried}
    if metadata.get("message_id") == entry.id:
        del metadata["message_id"]
    if isinstance(metadata.get(beside.OURS), dict):
        metadata = beside.with_ours(metadata, taken.rest)
    return metadata


# Ranks.


def _ratings(parent: str, siblings: list[_Entry], where: str, repairs: Repairs) -> Iterator[tuple[str, float | None]]:
    ranks = [entry.fields.rank for entry in siblings]
    ratings, are_beyond = _rated(ranks)
    if are_beyond:
        number = sum(rating is not None for rating in ratings)
        said = f"ranks beyond the {number} ranked replies; rated by their order"
        repairs.append(Repair(f"{where}, message {parent!r}", said))
    yield from ((entry.id, rating) for entry, rating in zip(siblings, ratings, strict=True))


def _rated(ranks: list[float | None]) -> tuple[list[float | None], bool]:
    """Ratings from 5 for the best of those that are ranked to 1 for the last, and whether the ranks go beyond them."""
    ranked = sorted(rank for rank in ranks if rank is not None and isfinite(rank))
    last = len(ranked) - 1
    are_beyond = bool(ranked) and not (ranked[0] >= 0 and ranked[-1] <= last)
    ratings: list[float | None] = []
    for rank in ranks:
        if rank is None or not isfinite(rank):
            ratings.append(None)
        else:
            place = bisect_left(ranked, rank) if are_beyond else rank
            ratings.append(RATING_MAX - (RATING_MAX - RATING_MIN) * place / max(last, 1))
    return ratings, are_beyond


def _best_leaf(entry: _Entry) -> str:
    """Where the best-ranked replies lead, or the first ones where there are no ranks."""
    seen = {entry.id}
    while entry.replies:
        entry = min(entry.replies, key=lambda reply: _order(reply.fields.rank))
        if entry.id in seen:
            break
        seen.add(entry.id)
    return entry.id


def _order(rank: float | None) -> float:
    """The rank, or what comes after all ranks."""
    return rank if rank is not None and isfinite(rank) else inf


# Writing.


def write(chat: Conversation) -> list[JsonObject]:
    """The conversation as a tree: one line of a file. Raises ``InvalidInput`` if it is too deep to be nested."""
    deepest = max(node.depth for node in chat.tree.leaves)
    if deepest > DEPTH_MAX:
        raise InvalidInput(f"{deepest} messages deep; OASST trees are nested, and JSON that deep cannot be read")
    origin = beside.origin(chat, FORMAT)
    nodes = beside.placed(chat, FORMAT, origin.root)
    children = beside.children_of(nodes)
    prompt = nodes[0] if nodes[0].said is not None or len(children[nodes[0].id]) != 1 else nodes[1]
    rows = _rows(nodes, children, prompt)
    value = {
        "message_tree_id": prompt.kept.get("message_tree_id", prompt.id),
        "tree_state": prompt.kept.get("tree_state", "ready_for_export"),
        **origin.kept,
        "prompt": rows[prompt.id],
    }
    ours = beside.about(chat, origin, origin.kept.get(beside.OURS))
    if prompt is not nodes[0]:
        ours["root"] = {"id": nodes[0].id, **beside.put_aside(nodes[0], None, left=nodes[0].kept.get(beside.OURS))}
    return [beside.with_ours(value, {**ours, **_said_otherwise(chat, value, nodes, origin.id or chat.id)})]


def _said_otherwise(chat: Conversation, value: JsonObject, nodes: list[beside.Placed], id: str) -> JsonObject:
    """The id, the title and the current node, where the tree would be read to have others."""
    outline, _ = read({key: field for key, field in value.items() if key != beside.OURS}, "")
    ours: JsonObject = {} if outline.id == id else {"id": id}
    if outline.title != chat.title:
        ours["title"] = chat.title
    current = nodes[chat.cursor.index].id
    return ours if outline.current == current else {**ours, "current": current}


def _rows(nodes: list[beside.Placed], children: dict[str, list[str]], prompt: beside.Placed) -> dict[str, JsonObject]:
    """The messages by id, each with its replies in it."""
    by_id = {each.id: each for each in nodes}
    ranks: dict[str, tuple[Json, float | None]] = {}
    for ids in children.values():
        ranks.update(_ranks([by_id[id] for id in ids if id != prompt.id]))
    rows = {each.id: _row(each, *ranks.get(each.id, (each.kept.get("rank"), None))) for each in nodes}
    for id, ids in children.items():
        if ids or "replies" not in rows[id]:
            rows[id]["replies"] = [rows[child] for child in ids]
    if prompt.parent is not None and not prompt.kept:
        del rows[prompt.id]["parent_id"]
    return rows


def _ranks(siblings: list[beside.Placed]) -> Iterator[tuple[str, tuple[Json, float | None]]]:
    """Of each its rank and the rating that follows from that: as they stood if they still say the ratings."""
    stood = [each.kept.get("rank") for each in siblings]
    ratings = [each.node.rating for each in siblings]
    ranks: list[Json] = stood
    if _rated([_number(rank) for rank in stood])[0] != ratings:
        ranks = [None if one is None else sum(other > one for other in ratings if other is not None) for one in ratings]
    read = _rated([_number(rank) for rank in ranks])[0]
    yield from ((each.id, (rank, rating)) for each, rank, rating in zip(siblings, ranks, read, strict=True))


def _number(rank: Json) -> float | None:
    return None if isinstance(rank, bool) or not isinstance(rank, int | float) else float(rank)


def _row(each: beside.Placed, rank: Json, rating: float | None) -> JsonObject:
    """The message as it came, as far as it still says the same, without its replies."""
    row: JsonObject = {"message_id": each.id}
    if not each.kept:
        row |= {"parent_id": each.parent} if each.parent is not None else {}
        row["created_date"] = each.node.added.isoformat()
    for name, field in each.kept.items():
        stood = beside.unescaped(name, TAKEN)
        if stood is not None and stood != beside.OURS:
            row[stood] = field
    if rank is not None or "rank" in row:
        row["rank"] = rank
    if each.node.hidden != (row.get("deleted") is True):
        row["deleted"] = each.node.hidden
    left = each.kept.get(beside.OURS)
    if each.said is None:
        row |= {"text": "", "role": "system"}
        aside = {**beside.put_aside(each, None, rating=rating, hidden=each.node.hidden, left=left), "message": None}
        return beside.with_ours(row, aside)
    _say(row, each.said)
    read = _message(shaped(_Message, row, "", [])[0], "", [])
    return beside.with_ours(row, beside.put_aside(each, read, rating=rating, hidden=each.node.hidden, left=left))


def _say(row: JsonObject, said: Message) -> None:
    """Put text and role into the row, unless what stands there reads as the same."""
    read = _message(shaped(_Message, row, "", [])[0], "", [])
    if "text" not in row or read.text != said.text:
        row["text"] = said.text
    if "role" not in row or read.role != said.role:
        row["role"] = WRITTEN_ROLES.get(said.role, said.role)
