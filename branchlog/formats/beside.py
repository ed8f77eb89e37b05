"""What an outside shape has no place for, put beside it under the key ``branchlog``, and taken back from there.

A writer gives each node the id it came with, or one made of its parent's id and its place, which are the same in every
later export. It reads back what it has written: only what that does not say goes beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import attrs

from branchlog._core.decide import RATING_MAX, RATING_MIN
from branchlog._core.events import MAIN
from branchlog._core.expression import is_name
from branchlog._core.message import Json, Message, same_json
from branchlog._core.tree import Node
from branchlog.conversation import REDACTED, Conversation
from branchlog.errors import InvalidMessage
from branchlog.formats.carry import JsonObject, Repair, Repairs, free, json_text
from branchlog.formats.outline import Turn, named_by_place, redacted_ids, title_of

OURS = "branchlog"
"""The key under which it stands."""

FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id")
"""The fields of a message beside its metadata."""

TAKEN_BACK = ("message", "rating", "hidden", "label", "bookmark")
"""What reading takes back: afterwards it is here and nowhere else."""


def object_of(value: Json) -> JsonObject:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def made_id(parent: str, said: Json) -> str:
    """An id for what came without one, the same in every later export: of the parent's, and of what is said."""
    return sha256(parent.encode("utf-8", "surrogatepass") + json_text(said).encode()).hexdigest()[:24]


# Names that are taken.


def escaped(name: str, taken: frozenset[str]) -> str:
    """The name of an outside field, where it would be mistaken for one of ours: with a ``#`` more."""
    return f"{name}#" if name.rstrip("#") in taken else name


def unescaped(name: str, taken: frozenset[str]) -> str | None:
    """The outside field that has been kept under this name; None if it is one of ours."""
    if name.rstrip("#") not in taken:
        return name
    return name[:-1] if name.endswith("#") else None


# Reading.


@attrs.frozen
class Taken:
    """What was taken back for a node; ``rest`` is what has no place here either."""

    message: Message
    rating: float | None
    hidden: bool
    rest: JsonObject
    label: str | None
    bookmark: bool

    def onto(self, turn: Turn) -> Turn:
        """The turn with what was said about it; mostly nothing was."""
        if self.rating is None and self.label is None and not self.hidden and not self.bookmark:
            return turn
        return attrs.evolve(turn, rating=self.rating, hidden=self.hidden, label=self.label, bookmark=self.bookmark)


def taken_back(
    ours: JsonObject, message: Message, where: str, repairs: Repairs, *, rating: float | None = None, hidden: bool
) -> Taken:
    """The message, rating and hiding that a shape says, as what stands beside it corrects and completes them."""
    rest = dict(ours)
    if "message" in rest:
        changes = object_of(rest["message"])
        try:
            fields = {name: changes[name] for name in (*FIELDS, "metadata") if name in changes}
            message = attrs.evolve(message, **fields)
            del rest["message"]
        except InvalidMessage as error:
            repairs.append(Repair(where, f"what branchlog put beside the message is none; kept as metadata: {error}"))
    if "rating" in rest and (rest["rating"] is None or is_rating(rest["rating"])):
        rating = rest.pop("rating")
    if isinstance(rest.get("hidden"), bool):
        hidden = rest.pop("hidden")
    bookmark = rest.get("bookmark") is True and rest.pop("bookmark")
    label = rest.pop("label") if _is_label(rest.get("label")) else None
    return Taken(message, rating, hidden, rest, label, bookmark)


def _is_label(value: Json) -> bool:
    return isinstance(value, str) and value != MAIN and is_name(value)


def is_rating(value: Json) -> bool:
    """Whether this can be a rating."""
    return type(value) in (int, float) and RATING_MIN <= value <= RATING_MAX


# Writing.


@attrs.frozen
class Origin:
    """Where a conversation comes from, if it came by the format that is written; ``own`` is its other metadata."""

    came_so: bool
    id: str | None
    kept: JsonObject
    root: JsonObject
    own: JsonObject


def origin(chat: Conversation, format: str) -> Origin:
    """What the import of this format has kept of the conversation."""
    metadata = chat.metadata
    source = object_of(metadata.get("source"))
    if source.get("format") != format:
        return Origin(False, None, {}, {}, metadata)
    own = {name: value for name, value in metadata.items() if name not in ("source", "root", REDACTED, format)}
    id, kept, root = source.get("id"), object_of(metadata.get(format)), object_of(metadata.get("root"))
    return Origin(True, id if isinstance(id, str) else None, kept, root, own)


@attrs.frozen
class Placed:
    """A node as it is written: its id and its parent's, and what the import has kept of it."""

    node: Node
    said: Message | None
    id: str
    parent: str | None
    kept: JsonObject
    own: JsonObject


def placed(chat: Conversation, format: str, root: JsonObject) -> list[Placed]:
    """All nodes in the order of their adding, each with an id that no other has."""
    taken: set[str] = set()
    redacted = redacted_ids(chat)
    all_placed: list[Placed] = []
    for node in chat.tree.nodes:
        said, above = node.message, node.parent
        parent = None if above is None else all_placed[above.index].id
        kept = _kept(said, format) if said is not None else root
        id = kept.get("id")
        if not isinstance(id, str) or id in taken:
            known = redacted.get(node.id) if node.redacted else None
            free_one = named_by_place(chat, node, parent) if known is None or known in taken else known
            id, kept = free(free_one, taken), {}
        taken.add(id)
        own = {} if said is None else {key: each for key, each in said.metadata.items() if not kept or key != format}
        all_placed.append(Placed(node, said, id, parent, kept, own))
    return all_placed


def _kept(said: Message, format: str) -> JsonObject:
    return object_of(said.metadata.get(format))


def children_of(all_placed: list[Placed]) -> dict[str, list[str]]:
    """The ids of each node's children, in their order."""
    children: dict[str, list[str]] = {each.id: [] for each in all_placed}
    for each in all_placed:
        if each.parent is not None:
            children[each.parent].append(each.id)
    return children


def put_aside(
    each: Placed, read: Message | None, *, rating: float | None = None, hidden: bool = False, left: Json = None
) -> JsonObject:
    """What a node says here that the reader of the format would not find: ``read`` is what it would."""
    aside = {**object_of(left), **each.node.annotations}
    if same_json(each.node.rating, rating):
        aside.pop("rating", None)
    else:
        aside["rating"] = each.node.rating
    aside.pop("hidden", None)
    if each.node.hidden != hidden:
        aside["hidden"] = each.node.hidden
    if each.node.redacted:
        aside["redacted"] = True
    if each.said is not None and read is not None and (changes := _changes(each.said, read, each.own)):
        aside["message"] = changes
    return aside


def _changes(said: Message, read: Message, own: JsonObject) -> JsonObject:
    pairs: Iterator[tuple[str, Any, Any]] = ((name, getattr(said, name), getattr(read, name)) for name in FIELDS)
    changes = {name: here for name, here, there in pairs if not same_json(here, there)}
    return {**changes, "metadata": own} if own else changes


def about(chat: Conversation, from_here: Origin, left: Json) -> JsonObject:
    """What the conversation has that an outside one has no place for: its own metadata and further cursors."""
    aside = object_of(left)
    own = {**object_of(aside.get("metadata")), **from_here.own}
    others = {name: node.id for name, node in chat.cursors.items() if name != "main"}
    aside = {name: value for name, value in aside.items() if name not in ("metadata", "cursors")}
    return {**aside, **({"metadata": own} if own else {}), **({"cursors": others} if others else {})}


def with_ours(fields: JsonObject, aside: JsonObject) -> JsonObject:
    """The fields with this beside them, and without what stood there before."""
    rest = {name: value for name, value in fields.items() if name != OURS}
    return {**rest, OURS: aside} if aside else rest


def title(chat: Conversation, kept: Json) -> str | None:
    """The title as it stood if it is still the same here, where it may have been cut; else the one here."""
    if isinstance(kept, str) and title_of(kept, "", []) == chat.title:
        return kept
    return chat.title


def grown(all_placed: list[Placed]) -> bool:
    """Whether something was added since the import; the empty root that it may have made does not count."""
    return any(not each.kept and each.said is not None for each in all_placed)
