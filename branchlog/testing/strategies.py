"""Strategies for Hypothesis: what may be said, what may have happened, and what may have been damaged.

Each shrinks to what a person would write down. The examples are found by ``hypothesis.find``, which shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import attrs
import msgspec
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from branchlog import Conversation, Message, Node, Tree
from branchlog._core import message as encoding
from branchlog._core import node_id
from branchlog._core.codec import encode_events
from branchlog._core.events import (
    SCHEMA,
    ConversationAnnotated,
    ConversationStarted,
    CursorMoved,
    Event,
    NodeAdded,
    NodeAnnotated,
    NodeRedacted,
)
from branchlog.commit import Commit, Head, genesis, seal
from branchlog.testing.damage import Damage, FileDamage, HistoryDamage, damaged
from branchlog.testing.playing import CURSORS, NAMES, ROLES, TEXTS, commands, played, started

Shape: TypeAlias = Literal["linear", "bushy", "wide", "deep"]

NOON_MICROSECONDS = 1_767_268_800_000_000
"""2026-01-01, noon UTC: where times shrink to."""

SECOND = 1_000_000


def any_text(**options: Any) -> st.SearchStrategy[str]:
    r"""Text that UTF-8 can carry: everything but lone surrogates, NUL and the last code point included.

    >>> from hypothesis import find
    >>> find(any_text(), lambda text: len(text.encode()) > len(text))
    '\x80'
    """
    return st.text(st.characters(exclude_categories=["Cs"]), **options)


def json_values(max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Values that come back from JSON as they went in.

    >>> from hypothesis import find
    >>> find(json_values(), lambda value: isinstance(value, dict) and value)
    {'': None}
    """
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | any_text(max_size=8)
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text(max_size=4), inner, max_size=3),
        max_leaves=max_leaves,
    )


def objects() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects: metadata, tool calls, what a part holds beside its type."""
    return st.dictionaries(any_text(max_size=6), json_values(4), max_size=3)


def parts() -> st.SearchStrategy[dict[str, Any]]:
    """Parts of a content that is a list."""
    text = st.builds(lambda text: {"type": "text", "text": text}, any_text(max_size=8))
    other = st.builds(lambda kind, rest: {**rest, "type": kind}, any_text(max_size=8), objects())
    return text | other


def messages() -> st.SearchStrategy[Message]:
    """Messages of every shape that is accepted: text, lists of parts, tool calls and their answers, any metadata.

    >>> from hypothesis import find
    >>> find(messages(), lambda message: True).to_chat()
    {'role': 'user', 'content': ''}
    >>> find(messages(), lambda message: message.tool_calls and message.content is None).to_chat()
    {'role': 'assistant', 'content': None, 'tool_calls': [{}]}
    """
    plain = st.builds(
        Message,
        st.sampled_from(("user", "assistant", "system", "tool", "développeur")),
        any_text(max_size=20) | st.lists(parts(), max_size=3),
        name=st.none() | any_text(max_size=5),
        tool_calls=st.none() | st.lists(objects(), max_size=2),
        tool_call_id=st.none() | any_text(max_size=5),
        metadata=objects(),
    )
    calling = st.builds(
        lambda calls, metadata: Message("assistant", None, tool_calls=calls, metadata=metadata),
        st.lists(objects(), min_size=1, max_size=2),
        objects(),
    )
    said = st.builds(Message, st.sampled_from(("user", "assistant")), any_text(max_size=20))
    return said | plain | calling


# What may have happened.


def times() -> st.SearchStrategy[int]:
    """Times of events, in microseconds since 1970 UTC: mostly a few seconds apart, also the first and last of all."""
    extremes = st.sampled_from((0, -1, -62_135_596_800_000_000, 253_402_300_799_999_999))
    return st.integers(0, 60).map(lambda seconds: NOON_MICROSECONDS + seconds * SECOND) | extremes


def events() -> st.SearchStrategy[Event]:
    """Single events of every kind in the vocabulary, as they may be stored; what they are about need not be there.

    >>> from hypothesis import find
    >>> find(events(), lambda event: isinstance(event, NodeAnnotated) and event.label).label
    'best'
    """
    at, node = times(), st.integers(1, 5)
    raws = messages().map(lambda message: Raw(encoding.encode(message)))
    unset = st.just(UNSET)
    return st.one_of(
        st.builds(
            ConversationStarted, at=at, title=st.none() | any_text(max_size=5), metadata=objects(), message=unset
        ),
        st.builds(ConversationStarted, at=at, title=st.none(), metadata=objects(), message=raws),
        st.builds(NodeAdded, at=at, parent=node, message=raws),
        st.builds(
            CursorMoved,
            at=at,
            to=st.none() | node,
            cursor=st.sampled_from(CURSORS),
            by=st.sampled_from(("move", "undo", "redo")),
        ),
        st.builds(
            NodeAnnotated,
            at=at,
            node=node,
            label=unset | st.none() | st.sampled_from(NAMES),
            rating=unset | st.none() | st.sampled_from((1, 2.5, 5)),
            bookmark=unset | st.booleans(),
            hidden=unset | st.booleans(),
            metadata=unset | objects(),
        ),
        st.builds(
            ConversationAnnotated, at=at, title=unset | st.none() | any_text(max_size=5), metadata=unset | objects()
        ),
        st.builds(NodeRedacted, at=at, node=node),
    )


def commits(stream: str = "trip", *, namespace: str = "", head: Head | None = None) -> st.SearchStrategy[Commit]:
    """Whole commits of a few events, which follow a head (or begin the stream). A log takes them; a fold may not.

    >>> from hypothesis import find
    >>> found = find(commits("trip"), lambda commit: commit.count == 2)
    >>> found.stream, found.first, found.last, found.id.hex()[-2:]
    ('trip', 1, 2, '00')
    """
    return st.builds(
        lambda some, named: sealed(stream, head or genesis(namespace, stream), some, named),
        st.lists(events(), min_size=1, max_size=3),
        st.binary(min_size=16, max_size=16),
    )


def sealed(stream: str, head: Head, events: Sequence[Event], id: bytes) -> Commit:
    """The commit of these events that follows a head."""
    data = encode_events(list(events))
    return seal(stream, head, count=len(events), id=id, at=events[-1].at, schema=SCHEMA, data=data)


def conversations(max_size: int = 25) -> st.SearchStrategy[Conversation]:
    """Conversations in memory, in which up to so many things were done; texts and names are few, so that they collide.

    >>> from hypothesis import find
    >>> find(conversations(), lambda chat: chat.tree.labels).tree.labels["best"].id
    ''
    """
    return commands(max_size).map(played)


def histories(max_size: int = 25, *, min_commits: int = 1) -> st.SearchStrategy[list[Commit]]:
    """Legal histories: the commits of one conversation, from its first event on, that a log holds and a fold takes.

    >>> from hypothesis import find
    >>> [commit.count for commit in find(histories(min_commits=2), lambda history: True)]
    [1, 1]
    """

    @st.composite
    def cut(draw: st.DrawFn) -> list[Commit]:
        happened = draw(conversations(max_size).filter(lambda chat: chat.version >= min_commits)).pending
        places = draw(st.sets(st.integers(1, len(happened) - 1), min_size=min_commits - 1)) if len(happened) > 1 else ()
        return list(_sealed_parts(happened, sorted(places)))

    return cut()


def _sealed_parts(happened: Sequence[Event], places: Sequence[int]) -> Iterator[Commit]:
    head = genesis("", "trip")
    for number, (start, stop) in enumerate(pairwise((0, *places, len(happened)))):
        commit = sealed("trip", head, happened[start:stop], number.to_bytes(16, "big"))
        head = commit.head
        yield commit


def trees(shape: Shape | None = None, *, max_nodes: int = 20) -> st.SearchStrategy[Tree]:
    """Trees of one shape, or of any: a line, a bush, many alternatives at few places, or long lines with few of them.

    >>> from hypothesis import find
    >>> [node.id for node in find(trees("linear"), lambda tree: len(tree) == 4)]
    ['', '0', '0.0', '0.0.0']
    >>> [node.id for node in find(trees("wide"), lambda tree: len(tree) == 4)]
    ['', '0', '1', '2']
    """
    shapes: tuple[Shape, ...] = ("linear", "bushy", "wide", "deep")
    wanted = st.sampled_from(shapes) if shape is None else st.just(shape)
    picks = st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from(TEXTS)), max_size=max_nodes - 1)
    return st.builds(_grown, wanted, picks)


def _grown(shape: Shape, picks: Sequence[tuple[int, str]]) -> Tree:
    chat = started()
    for count, (pick, text) in enumerate(picks, 1):
        parent = _PARENTS[shape](pick, count)
        chat.add(ROLES[chat.tree.nodes[parent].depth % 2], text, under=chat.tree.nodes[parent])
    return chat.tree


_PARENTS: dict[Shape, Callable[[int, int], int]] = {
    "linear": lambda _, count: count - 1,
    "bushy": lambda pick, count: pick % count,
    "wide": lambda pick, count: pick % min(count, 3) if pick % 5 == 4 else 0,
    "deep": lambda pick, count: pick % count if pick % 5 == 4 else count - 1,
}
"""The parent of the next node, of a pick and of how many nodes there are."""


# Names of nodes.


def node_ids(tree: Tree | None = None) -> st.SearchStrategy[str]:
    """Node ids: those of a tree, or any.

    >>> from hypothesis import find
    >>> find(node_ids(), lambda id: id.count(".") == 2)
    '0.0.0'
    """
    if tree is not None:
        return st.sampled_from([node.id for node in tree])
    return st.lists(st.integers(0, 12) | st.integers(0, 9_999_999_999), max_size=6).map(node_id.format)


def expressions(tree: Tree | None = None) -> st.SearchStrategy[str]:
    """Cursor expressions: those that lead somewhere in a tree, or any text of the grammar.

    >>> from hypothesis import find
    >>> find(expressions(), lambda text: "~" in text)
    '@~'
    >>> tree = find(trees("linear"), lambda tree: len(tree) == 3)
    >>> find(expressions(tree), lambda text: "~" in text)
    '@~0'
    """
    return _any_expressions() if tree is None else _expressions_in(tree)


def _any_expressions() -> st.SearchStrategy[str]:
    number = st.integers(1, 12).map(str)
    names = st.sampled_from((*CURSORS, *NAMES, "é/v1.2-x"))
    moments = number | st.sampled_from(("2026-01-01T12:00Z", "2026-01-01T12:00:03+01:00"))
    as_of = st.just("") | moments.map(lambda moment: "@{" + moment + "}")
    anchors = st.just("@") | st.builds(
        str.__add__, node_ids() | st.just("root") | names | number.map(":{}".format), as_of
    )
    steps = st.builds(str.__add__, st.sampled_from("~^"), st.just("") | number) | number.map("^-{}".format)
    some = st.lists(steps, max_size=3).map("".join)
    return st.builds(_joined, anchors, some)


def _joined(anchor: str, steps: str) -> str:
    """The root's empty id cannot be stepped from; its word can."""
    return anchor + steps if anchor or not steps else "root" + steps


@st.composite
def _expressions_in(draw: st.DrawFn, tree: Tree) -> str:
    version = draw(st.none() | st.integers(1, tree.version))
    then = tree if version is None else tree.at(version)
    names: dict[str, Node] = {"@": then.cursor, "root": then.root, **then.cursors, **then.labels}
    names |= {name: node for node in then for name in (node.id, f":{node.version}") if name}
    anchor = draw(st.sampled_from(list(names)))
    as_of = "" if version is None else f"{'' if anchor == '@' else '@'}{{{version}}}"
    node, steps = names[anchor], ""
    for sign in draw(st.lists(st.sampled_from("~^"), max_size=3)):
        if sign == "~":
            count = draw(st.integers(0, node.depth))
            node = node.up(count)
        else:
            place, many = node.position
            count = draw(st.integers(1 - place, many - place))
            node = node.next_door(count)
        steps += f"{sign}{count}"
    return anchor + as_of + steps


# What may have been damaged.


@attrs.frozen
class DamagedHistory:
    """A legal history, and the same with one injury."""

    whole: list[Commit]
    kind: HistoryDamage | Literal["flip"]
    place: int
    commits: list[Commit]


def damaged_histories(max_size: int = 25) -> st.SearchStrategy[DamagedHistory]:
    """Histories with one injury: cut off, one bit flipped, two commits swapped, one repeated, one missing.

    All but a cut are to be found by anyone who verifies; a cut by one who knows the head.

    >>> from hypothesis import find
    >>> found = find(damaged_histories(), lambda history: history.kind == "swap")
    >>> [commit.first for commit in found.commits]
    [2, 1]
    """

    @st.composite
    def injured(draw: st.DrawFn) -> DamagedHistory:
        kinds: tuple[HistoryDamage | Literal["flip"], ...] = ("cut", "flip", "swap", "repeat", "hole")
        kind = draw(st.sampled_from(kinds))
        whole = draw(histories(max_size, min_commits=2))
        place = draw(st.integers(0, len(whole) - (1 if kind in ("cut", "flip", "repeat") else 2)))
        if kind == "flip":
            bit = draw(st.integers(0, len(whole[place].data) * 8 - 1))
            hurt = msgspec.structs.replace(
                whole[place], data=Damage("flip", bit // 8, size_bytes=bit % 8).of(whole[place].data)
            )
            return DamagedHistory(whole, kind, place, [*whole[:place], hurt, *whole[place + 1 :]])
        return DamagedHistory(whole, kind, place, damaged(whole, kind, place))

    return injured()


def damages() -> st.SearchStrategy[Damage]:
    """Injuries to the bytes of a file, of any kind and at any place.

    >>> from hypothesis import find
    >>> find(damages(), lambda damage: True)
    Damage(kind='cut', place=0, size_bytes=1)
    """
    kinds: tuple[FileDamage, ...] = ("cut", "flip", "zeros", "stale", "repeat", "hole")
    return st.builds(Damage, st.sampled_from(kinds), place=st.integers(0, 2**16), size_bytes=st.integers(1, 64))


def damaged_files(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes of a file with one injury: cut, flipped, zeroed or overwritten to the end, a stretch twice or missing.

    >>> from hypothesis import find
    >>> find(damaged_files(b"abc"), lambda data: data == b"ab")
    b'ab'
    """
    return damages().map(lambda damage: damage.of(data)).filter(lambda found: found != data)
