"""The shape that all outside conversations meet in, how it is mended, and how it becomes a conversation.

A reader gives an ``Outline`` of whatever stood in the file: turns in any order, parents that are not there, cycles.
``mended`` makes a tree of it and says what it did; ``start`` and ``add_missing`` make nodes of its turns. Every node
keeps the original id in ``metadata[format]["id"]``, by which it is found again when a later export comes. A root
without message has no metadata of its own; its fields are kept in the conversation's, under ``"root"``.

Nodes are added in order of their original times as far as the tree allows (a parent before its children, siblings in
their order), so that the log tells the conversation as it went. A turn without a time has its parent's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from heapq import heappop, heappush
from typing import Any, Literal, TypeAlias
from uuid import NAMESPACE_URL, uuid5

import attrs
import msgspec

from branchlog._core.decide import TITLE_LENGTH_MAX
from branchlog._core.events import MAIN
from branchlog._core.expression import NAME_LENGTH_MAX, is_name
from branchlog._core.message import Json, Message
from branchlog._core.tree import Node
from branchlog.conversation import REDACTED, Clock, Conversation
from branchlog.errors import AlreadyExists
from branchlog.formats.carry import Repair, Repairs, Skipped, carried, carried_text, free, kind_of

__all__ = [
    "Join",
    "Outline",
    "Repair",
    "Repairs",
    "Skipped",
    "Turn",
    "add_missing",
    "fingerprint",
    "known_ids",
    "label_of",
    "mended",
    "moment",
    "seconds",
    "named_by_beginning",
    "named_by_place",
    "redacted_ids",
    "source",
    "start",
    "title_of",
    "under_a_root",
]

Join: TypeAlias = Literal["array", "lines", "alone"]
"""How several conversations of a format go into one file: as elements of an array, as lines of JSON, or not at all."""

Turns: TypeAlias = dict[str, "Turn"]

LISTS = "lists"
"""The key in a node's metadata for what stood beside lists of messages that end there."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999, where ``datetime`` ends."""

MILLISECONDS_MAX = 10**18
"""Beyond all times, and still a number that can be divided."""


@attrs.frozen(kw_only=True)
class Turn:
    """One node of an outside conversation.

    ``metadata`` is what neither the message nor the tree carries; it goes under the format's name. ``aside`` says that
    the original content is in there too, since the message has only a readable form of it. ``label`` is one that a node
    can have, as ``label_of`` gives it; of several turns with one label the first one keeps it. ``lists`` is what stood
    beside lists of messages that end here, of which there may be more in later files.
    """

    id: str
    parent: str | None = None
    message: Message | None = None
    time: datetime | None = None
    rating: float | None = None
    hidden: bool = False
    label: str | None = None
    bookmark: bool = False
    aside: bool = False
    lists: list[dict[str, Json]] = attrs.field(factory=list)
    metadata: dict[str, Json] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Outline:
    """One outside conversation. Siblings are in the order in which they stand in ``turns``."""

    format: str
    id: str | None = None
    title: str | None = None
    metadata: dict[str, Json] = attrs.field(factory=dict)
    turns: tuple[Turn, ...] = ()
    current: str | None = None
    created: datetime | None = None


def source(outline: Outline) -> dict[str, Json]:
    """Where a conversation comes from, as its metadata says it."""
    return {"format": outline.format, "id": outline.id}


def fingerprint(outline: Outline) -> str:
    """A short name derived from the content, for a conversation that has none."""
    said = [(turn.id, turn.parent, turn.message and turn.message.to_chat()) for turn in outline.turns]
    return sha256(msgspec.json.encode([outline.title, said], order="deterministic")).hexdigest()[:24]


# What a reader needs.


def named_by_beginning(outline: Outline) -> Outline:
    """The outline with an id made of how it begins, if it has none.

    What the first message says, its id and its time stay when the conversation grows, and so it is found again.
    """
    if outline.id:
        return outline
    silent = {turn.id for turn in outline.turns if turn.message is None}
    for turn in outline.turns:
        if turn.message is not None and (turn.parent is None or turn.parent in silent):
            said = [outline.created, turn.id, turn.time, turn.message.to_chat()]
            name = sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:24]
            return attrs.evolve(outline, id=f"{outline.format}-{name}")
    return attrs.evolve(outline, id=None)


def moment(value: float | str | None, what: str, where: str, repairs: Repairs) -> datetime | None:
    """A time given in seconds since 1970 or as ISO 8601 text, if it is one; otherwise that is reported."""
    if value is None:
        return None
    stood = value
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            value = ((read if read.tzinfo is not None else read.replace(tzinfo=UTC)) - EPOCH) / SECOND
        if 0 <= value <= SECONDS_MAX:
            return EPOCH + timedelta(seconds=value)
    except (ValueError, OverflowError):
        pass
    repairs.append(Repair(where, f"{what} is no time that can be: {str(stood)[:40]!r}; kept as metadata"))
    return None


def seconds(milliseconds: float) -> float:
    """A time in milliseconds as ``moment`` takes it, however large."""
    return max(-MILLISECONDS_MAX, min(milliseconds, MILLISECONDS_MAX)) / 1_000


def title_of(title: str | None, where: str, repairs: Repairs) -> str | None:
    """A title as a conversation can have it."""
    if title is None:
        return None
    title = carried_text(title, where, repairs)
    if len(title) > TITLE_LENGTH_MAX:
        repairs.append(
            Repair(where, f"a title of {len(title)} characters; cut to {TITLE_LENGTH_MAX}, and kept whole as metadata")
        )
        title = title[:TITLE_LENGTH_MAX]
    return title


UNFIT_FOR_A_LABEL = re.compile(r"[^\w./-]+")


def under_a_root(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns with a root without message above them, for formats in which the first message has alternatives.

    It is there from the beginning: a later export may have a second first message, and a root cannot be put above
    nodes that are there.
    """
    hanging = list(turns)
    top = free("", {turn.id for turn in hanging})
    under = (turn if turn.parent is not None else attrs.evolve(turn, parent=top) for turn in hanging)
    return (Turn(id=top), *under)


def label_of(text: str, where: str, repairs: Repairs) -> str | None:
    """A label as a node can have it: an underscore stands for what it cannot hold, and the metadata has the original.

    None where nothing usable is left, which is reported.
    """
    label = UNFIT_FOR_A_LABEL.sub("_", text).strip("_")
    if label and not label[0].isalpha():
        label = f"n{label}"
    label = label[:NAME_LENGTH_MAX]
    if is_name(label) and label != MAIN:
        return label
    repairs.append(Repair(where, f"the label {shortened(text)!r} cannot be one; left out, and kept as metadata"))
    return None


def shortened(text: str) -> str:
    """A text as a message shows it."""
    return carried_text(text[:40], "", [])


# Mending.


def mended(outline: Outline, where: str = "conversation") -> tuple[Outline, Repairs]:
    """The same conversation as a tree with one root, which is the first turn, and parents before their children."""
    repairs: Repairs = []
    turns = _told_apart(outline.turns, where, repairs)
    turns = _rooted(_without_cycles(_without_orphans(turns, where, repairs), where, repairs), where, repairs)
    ordered = _labelled_once(_in_order(turns, outline.created), where, repairs)
    filled = tuple(_filled(turn, outline.format, where, repairs, root=turn.parent is None) for turn in ordered)
    return attrs.evolve(
        outline,
        turns=filled,
        current=_current(outline.current, filled, where, repairs),
        metadata=carried(outline.metadata, where, repairs),
    ), repairs


def _told_apart(turns: Iterable[Turn], where: str, repairs: Repairs) -> Turns:
    apart: Turns = {}
    for turn in turns:
        if turn.id in apart:
            id = free(turn.id, apart)
            repairs.append(Repair(f"{where}, node {turn.id!r}", f"a second node of this id; it is called {id!r}"))
            turn = attrs.evolve(turn, id=id, metadata={**turn.metadata, "original_id": turn.id})  # noqa: PLW2901
        apart[turn.id] = turn
    return apart


def _without_orphans(turns: Turns, where: str, repairs: Repairs) -> Turns:
    for id, turn in turns.items():
        if turn.parent is not None and turn.parent not in turns:
            repairs.append(Repair(f"{where}, node {id!r}", f"its parent {turn.parent!r} is not there; put at the root"))
            turns[id] = _uprooted(turn)
    return turns


def _uprooted(turn: Turn) -> Turn:
    return attrs.evolve(turn, parent=None, metadata={**turn.metadata, "parent": turn.parent})


def _without_cycles(turns: Turns, where: str, repairs: Repairs) -> Turns:
    """Each turn is walked over once: a walk ends at the first one that an earlier walk has seen."""
    walk_of: dict[str, int] = {}
    for number, start in enumerate(turns):
        id: str | None = start
        while id is not None and id not in walk_of:
            walk_of[id] = number
            id = turns[id].parent
        if id is not None and walk_of[id] == number:
            first = _first_of_cycle(turns, id)
            repairs.append(Repair(f"{where}, node {first!r}", "it is its own ancestor; the cycle is cut above it"))
            turns[first] = _uprooted(turns[first])
    return turns


def _first_of_cycle(turns: Turns, inside: str) -> str:
    """The earliest of a cycle by time; without times the one where the walk came in."""
    members = [inside]
    while (parent := turns[members[-1]].parent) is not None and parent != inside:
        members.append(parent)
    timed = [(time, id) for id in members if (time := turns[id].time) is not None]
    return min(timed)[1] if timed else inside


def _rooted(turns: Turns, where: str, repairs: Repairs) -> Turns:
    """One root: the only one there is, or else one without message above the others."""
    roots = [id for id, turn in turns.items() if turn.parent is None]
    if len(roots) == 1:
        return turns
    top = next((id for id in roots if turns[id].message is None), None)
    if top is None:
        top = free("", turns)
        turns = {top: Turn(id=top), **turns}
    others = [id for id in roots if id != top]
    for id in others:
        turns[id] = attrs.evolve(turns[id], parent=top)
    said = f"{len(roots)} roots; a root without message is above them" if others else "no messages; an empty root"
    repairs.append(Repair(where, said))
    return turns


def _in_order(turns: Turns, created: datetime | None) -> list[Turn]:
    """Parents before children, siblings in their order, and beyond that in order of time."""
    children: dict[str | None, list[Turn]] = {}
    for turn in turns.values():
        children.setdefault(turn.parent, []).append(turn)
    root = children[None][0]
    known = [turn.time for turn in turns.values() if turn.time is not None]
    began = root.time or created or min(known, default=None)
    ready: list[tuple[datetime, int, Turn, datetime | None]] = []
    ordered: list[Turn] = []
    steps = 0

    def offer(turn: Turn, inherited: datetime | None) -> None:
        nonlocal steps
        steps += 1
        heappush(ready, (turn.time or inherited or EPOCH, steps, turn, inherited))

    offer(root, began)
    following = {parent: iter(siblings[1:]) for parent, siblings in children.items()}
    while ready:
        _, _, turn, inherited = heappop(ready)
        time = turn.time or inherited
        ordered.append(turn if turn.time is not None or time is None else attrs.evolve(turn, time=time))
        if turn.id in children:
            offer(children[turn.id][0], time)
        sibling = next(following[turn.parent], None)
        if sibling is not None:
            offer(sibling, inherited)
    return ordered


def _labelled_once(turns: list[Turn], where: str, repairs: Repairs) -> list[Turn]:
    """A label is one node's: the others lose it."""
    seen: set[str] = set()
    once: list[Turn] = []
    for turn in turns:
        if turn.label in seen:
            said = f"another node has the label {turn.label!r} already; left out"
            repairs.append(Repair(f"{where}, node {turn.id!r}", said))
            once.append(attrs.evolve(turn, label=None))
        else:
            seen |= {turn.label} if turn.label is not None else set()
            once.append(turn)
    return once


def _filled(turn: Turn, format: str, where: str, repairs: Repairs, *, root: bool) -> Turn:
    """The turn with its message as the node will have it."""
    place = f"{where}, node {turn.id!r}"
    metadata = carried({"id": turn.id, **turn.metadata, **({LISTS: turn.lists} if turn.lists else {})}, place, repairs)
    message = turn.message
    if message is None and root:
        return attrs.evolve(turn, metadata=metadata)
    hidden = turn.hidden
    if message is None:
        repairs.append(Repair(place, "no message; an empty hidden system message keeps the chain whole"))
        message, hidden = Message("system", ""), True
    message = attrs.evolve(message, metadata={**message.metadata, format: metadata})
    return attrs.evolve(turn, message=message, hidden=hidden, metadata=metadata)


def _current(current: str | None, turns: tuple[Turn, ...], where: str, repairs: Repairs) -> str:
    """Where the conversation stands: where it says, or else at the newest leaf."""
    if current is not None and any(turn.id == current for turn in turns):
        return current
    parents = {turn.parent for turn in turns}
    leaves = [(turn.time or EPOCH, index) for index, turn in enumerate(turns) if turn.id not in parents]
    newest = turns[max(leaves)[1]].id
    said = "no current node" if current is None else f"its current node {current!r} is not there"
    repairs.append(Repair(where, f"{said}; the cursor is on the newest leaf, {newest!r}"))
    return newest


# Becoming a conversation.


def start(outline: Outline, *, id: str, namespace: str = "", clock: Clock | None = None) -> Conversation:
    """A conversation of this mended outline, with its cursor where the outline says; nothing is saved."""
    root = outline.turns[0]
    metadata: dict[str, Json] = {"source": source(outline), outline.format: outline.metadata}
    if root.message is None and root.metadata != {"id": ""}:
        metadata["root"] = root.metadata
    chat = Conversation.start(
        id,
        title=outline.title,
        system=root.message,
        metadata=metadata,
        namespace=namespace,
        clock=clock,
        time=root.time,
    )
    nodes = {root.id: chat.tree.root}
    _annotate(chat, root, chat.tree.root)
    _add(chat, outline.turns[1:], nodes)
    if outline.current is not None:
        chat.move(nodes[outline.current])
    return chat


def add_missing(chat: Conversation, outline: Outline) -> int:
    """Add the turns of a mended outline that this conversation has no node of; returns how many.

    Nodes are matched by their original ids. What is there stays as it is, but that ``lists`` grow; the cursor stays
    too, unless the node where the outline stands is a new one.
    """
    nodes = known_ids(chat, outline.format)
    root, others = outline.turns[0], outline.turns[1:]
    if root.id not in nodes and root.message is None:
        nodes[root.id] = chat.tree.root
    before = len(chat.tree)
    known = set(nodes)
    _add(chat, (turn for turn in (root, *others) if turn.id not in known), nodes)
    added = len(chat.tree) - before
    for turn in outline.turns:
        if turn.lists and turn.id in known:
            _gather(chat, nodes[turn.id], turn.metadata[LISTS], outline.format)
    if outline.current is not None and outline.current not in known:
        chat.move(nodes[outline.current])
    return added


def _gather(chat: Conversation, node: Node, lists: Json, format: str) -> None:
    """Add what stood beside further lists that end at a node."""
    there = lists_at(node, format)
    more = [fields for fields in lists if fields not in there]
    if more and not node.redacted:
        chat.annotate(node, metadata={format: {LISTS: [*there, *more]}})


def lists_at(node: Node, format: str) -> list[dict[str, Json]]:
    """What stood beside the lists of messages that end at a node."""
    kept = node.metadata.get(format)
    lists: Json = kept.get(LISTS) if isinstance(kept, dict) else None
    return [fields for fields in lists if isinstance(fields, dict)] if isinstance(lists, list) else []


def known_ids(chat: Conversation, format: str) -> dict[str, Node]:
    """The nodes by their ids outside: those they came with, or else those they are written with."""
    nodes: dict[str, Node] = {}
    ids: list[str] = []
    redacted = redacted_ids(chat)
    root = chat.metadata.get("root")
    if isinstance(root, dict) and isinstance(root.get("id"), str):
        nodes[root["id"]] = chat.tree.root
    for node in chat.tree.nodes:
        message, parent = node.message, node.parent
        kept: Any = None if message is None else message.metadata.get(format)
        id = kept.get("id") if isinstance(kept, dict) else redacted.get(node.id) if node.redacted else None
        if not isinstance(id, str) or id in nodes:
            id = named_by_place(chat, node, None if parent is None else ids[parent.index])
        if message is not None:
            nodes[id] = node
        ids.append(id)
    return nodes


def redacted_ids(chat: Conversation) -> dict[str, str]:
    """The original ids of redacted nodes, by the ids that they have here."""
    kept = chat.metadata.get(REDACTED)
    return {place: id for id, place in kept.items() if isinstance(place, str)} if isinstance(kept, dict) else {}


def named_by_place(chat: Conversation, node: Node, parent: str | None) -> str:
    """An id for a node without one, made of its parent's and its place, and so the same in every later export."""
    if parent is None:
        return str(uuid5(NAMESPACE_URL, chat.id))
    return str(uuid5(NAMESPACE_URL, f"{parent if node.depth > 1 else chat.id}/{node.ordinal}"))


def _add(chat: Conversation, turns: Iterable[Turn], nodes: dict[str, Node]) -> None:
    added: list[tuple[Turn, Node]] = []
    for turn in turns:
        parent = chat.tree.root if turn.parent is None else nodes[turn.parent]
        message = Message("system", "") if turn.message is None else turn.message
        nodes[turn.id] = node = chat.add(message, under=parent, time=turn.time)
        added.append((turn, node))
    for turn, node in added:
        _annotate(chat, turn, node)


def _annotate(chat: Conversation, turn: Turn, node: Node) -> None:
    notes: dict[str, Any] = {}
    if turn.rating is not None:
        notes["rating"] = turn.rating
    if turn.hidden:
        notes["hidden"] = True
    if turn.bookmark:
        notes["bookmark"] = True
    if notes:
        chat.annotate(node, **notes)
    if turn.label is not None:
        # A cursor or a node that was given the name here keeps it; the metadata says what the original was called.
        with suppress(AlreadyExists):
            chat.annotate(node, label=turn.label)


def described(value: object) -> str:
    """What a JSON value looks like, for an error that says what was found."""
    if isinstance(value, dict):
        keys = ", ".join(carried_text(str(key)[:30], "", []) for key in list(value)[:8])
        return f"a JSON object with keys {keys}{', ...' if len(value) > 8 else ''}" if value else "an empty JSON object"
    if isinstance(value, list):
        return f"a JSON array of {len(value)}, beginning with {described(value[0])}" if value else "an empty JSON array"
    return f"JSON that is {kind_of(value)}"
