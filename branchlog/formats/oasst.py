"""OASST trees: a prompt with nested replies, as JSON Lines, an array, or one object.

``prompter`` becomes ``user``. Siblings that annotators ranked (0 is the best of n) get ratings from 5 down to 1. The
cursor goes where the best ranks lead. Deleted messages stay, hidden. All other fields are kept as they stood.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import inf, isfinite
from typing import Any

import attrs

from branchlog._core.decide import RATING_MAX, RATING_MIN
from branchlog._core.message import Json
from branchlog.errors import InvalidInput
from branchlog.formats.carry import JsonObject, Repair, Repairs, carried_text, free, kind_of, message, shaped
from branchlog.formats.outline import Outline, Turn, moment, title_of

FORMAT = "oasst"

TITLE_LENGTH = 80
"""Characters of the prompt's first line that make a title: one line of a listing."""

ROLES = {"prompter": "user"}
"""Roles that have another name in the chat APIs."""


@attrs.frozen
class _Tree:
    """The fields of a tree that mean something here."""

    message_tree_id: str | None = None
    prompt: dict[str, Any] | None = None


@attrs.frozen
class _Message:
    """The fields of a message that mean something here."""

    message_id: str | None = None
    text: str | None = None
    role: str | None = None
    created_date: str | None = None
    rank: float | None = None
    deleted: bool | None = None
    replies: list[Any] | None = None


def recognises(value: JsonObject) -> bool:
    """Whether this is a tree, be it a damaged one."""
    return "prompt" in value and ("message_tree_id" in value or "tree_state" in value)


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The tree, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no prompt."""
    prompt = value.get("prompt")
    if not isinstance(prompt, dict):
        raise InvalidInput(f"its prompt is {kind_of(prompt)}, not a message")
    repairs: Repairs = []
    fields, _ = shaped(_Tree, value, where, repairs)
    entries = _entries(prompt, where, repairs)
    turns = tuple(_turns(entries, where, repairs))
    id = fields.message_tree_id or entries[0].fields.message_id
    return Outline(
        format=FORMAT,
        id=id and carried_text(id, where, repairs),
        title=_title(entries[0].fields.text, where),
        metadata={key: field for key, field in value.items() if key != "prompt"},
        turns=turns,
        current=_best_leaf(entries),
        created=turns[0].time,
    ), repairs


@attrs.define(eq=False)
class _Entry:
    """One message, with its place in the list of all."""

    id: str
    fields: _Message
    raw: JsonObject
    wrong: set[str]
    parent: _Entry | None
    replies: list[_Entry] = attrs.field(factory=list)


def _entries(prompt: JsonObject, where: str, repairs: Repairs) -> list[_Entry]:
    """Every message, parents first, siblings in their order."""
    entries: list[_Entry] = []
    taken: set[str] = set()
    todo: list[tuple[Json, _Entry | None]] = [(prompt, None)]
    for raw, parent in todo:
        if not isinstance(raw, dict):
            repairs.append(Repair(_place(where, parent), f"a reply is {kind_of(raw)}, not a message; left out"))
            continue
        entry = _entry(raw, parent, where, taken, repairs)
        entries.append(entry)
        if parent is not None:
            parent.replies.append(entry)
        todo.extend((reply, entry) for reply in entry.fields.replies or ())
    return entries


def _place(where: str, entry: _Entry | None) -> str:
    return where if entry is None else f"{where}, message {entry.id!r}"


def _entry(raw: JsonObject, parent: _Entry | None, where: str, taken: set[str], repairs: Repairs) -> _Entry:
    found: Repairs = []
    fields, wrong = shaped(_Message, raw, where, found)
    wanted = fields.message_id and carried_text(fields.message_id, where, found)
    path = f"{parent.id}/{len(parent.replies)}" if parent is not None else "prompt"
    id = free(wanted or path, taken)
    place = f"{where}, message {id!r}"
    if not wanted:
        repairs.append(Repair(place, "no message_id; it is named by its place"))
    elif wanted != id:
        repairs.append(Repair(place, f"a second message of the id {wanted!r}"))
    taken.add(id)
    repairs += [Repair(place, repair.what) for repair in found]
    return _Entry(id, fields, raw, wrong, parent)


def _turns(entries: list[_Entry], where: str, repairs: Repairs) -> Iterator[Turn]:
    ratings: dict[str, float] = {}
    for entry in entries:
        ratings.update(_ratings(entry.replies, where, repairs))
    for entry in entries:
        yield _turn(entry, ratings.get(entry.id), where, repairs)


def _turn(entry: _Entry, rating: float | None, where: str, repairs: Repairs) -> Turn:
    place, fields = _place(where, entry), entry.fields
    if fields.text is None:
        repairs.append(Repair(place, "no text; the message is empty"))
    made = message(ROLES.get(fields.role or "", fields.role), fields.text or "", place, repairs)
    carried = {"text", "replies"} - entry.wrong
    metadata = {key: field for key, field in entry.raw.items() if key not in carried}
    if metadata.get("message_id") == entry.id:
        del metadata["message_id"]
    if "id" in metadata:
        metadata[free("original_id", metadata)] = metadata.pop("id")
    return Turn(
        id=entry.id,
        parent=None if entry.parent is None else entry.parent.id,
        message=made,
        time=moment(fields.created_date, "created_date", place, repairs),
        rating=rating,
        hidden=fields.deleted is True,
        metadata=metadata,
    )


def _ratings(siblings: list[_Entry], where: str, repairs: Repairs) -> Iterator[tuple[str, float]]:
    """Ratings from 5 for the best of those that are ranked to 1 for the last; the others get none."""
    ranked = [(rank, entry) for entry in siblings if isfinite(rank := _rank(entry))]
    last = len(ranked) - 1
    places: dict[float, float] = {rank: rank for rank, _ in ranked}
    if not all(0 <= rank <= last for rank in places):
        in_order = sorted(rank for rank, _ in ranked)
        places = {rank: bisect_left(in_order, rank) for rank in places}
        said = f"ranks beyond the {last + 1} ranked replies; rated by their order"
        repairs.append(Repair(_place(where, ranked[0][1].parent), said))
    for rank, entry in ranked:
        yield entry.id, RATING_MAX - (RATING_MAX - RATING_MIN) * places[rank] / max(last, 1)


def _best_leaf(entries: list[_Entry]) -> str:
    """Where the best-ranked replies lead, or the first ones where there are no ranks."""
    entry = entries[0]
    while entry.replies:
        entry = min(entry.replies, key=_rank)
    return entry.id


def _rank(entry: _Entry) -> float:
    """The rank, or what comes after all ranks."""
    rank = entry.fields.rank
    return rank if rank is not None and isfinite(rank) else inf


def _title(text: str | None, where: str) -> str | None:
    """The first line of the prompt, shortened."""
    lines = (text or "").strip().splitlines()
    if not lines:
        return None
    line = lines[0].strip()
    return title_of(line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…", where, [])
