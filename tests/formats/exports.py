"""Strategies for exports of other programs: well-formed ones with what they say, and damaged ones."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
roles = st.sampled_from(["system", "user", "assistant", "tool"])
seconds = st.one_of(st.integers(0, 4_000_000_000), st.floats(0, 4e9, allow_nan=False))
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["n0", "n1", "n2", "\ud800", "", "x" * 2_000, -1, 1e300, 10**30]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "parts", "text", "role", "content_type", "node", "\udfff"]), inner),
    ),
    max_leaves=6,
)


@attrs.frozen
class Said:
    """What an export says of one of its nodes."""

    id: str
    parent: str | None
    role: str | None
    text: str | None
    time: float | None


@attrs.frozen
class Export:
    """A conversation as it stands in the file, and what it says; ``children`` are in their order."""

    value: dict
    said: dict[str, Said]
    children: dict[str | None, list[str]]
    current: str


@st.composite
def chatgpt_exports(draw, nodes_max=12):
    count = draw(st.integers(1, nodes_max))
    ids = [f"n{index}" for index in range(count)]
    parents = [None] + [ids[draw(st.integers(0, index - 1))] for index in range(1, count)]
    null_root = draw(st.booleans())
    said = {
        id: Said(
            id,
            parent,
            None if null_root and parent is None else draw(roles),
            None if null_root and parent is None else draw(texts),
            None if null_root and parent is None else draw(st.none() | seconds),
        )
        for id, parent in zip(ids, parents, strict=True)
    }
    order = draw(st.permutations(ids))
    with_children = draw(st.booleans())
    siblings = draw(st.permutations(ids)) if with_children else order
    children = {parent: [id for id in siblings if said[id].parent == parent] for parent in [None, *ids]}
    mapping = {id: _chatgpt_node(draw, said[id], children[id] if with_children else None) for id in order}
    current = draw(st.sampled_from(ids))
    value = {
        "id": draw(st.sampled_from(["c1", "c2"])),
        "title": draw(st.none() | texts),
        "create_time": draw(seconds),
        "mapping": mapping,
        "current_node": current,
        "gizmo_id": None,
    }
    return Export(value, said, children, current)


def _chatgpt_node(draw, said, children):
    message = None
    if said.role is not None:
        message = {
            "id": said.id,
            "author": {"role": said.role, "name": draw(st.sampled_from([None, "python"])), "metadata": {}},
            "create_time": said.time,
            "content": {"content_type": "text", "parts": [said.text]},
            "weight": draw(st.sampled_from([0, 1, 1.0])),
            "metadata": {"model_slug": "gpt-4"},
            "recipient": "all",
        }
    node = {"id": said.id, "parent": said.parent, "message": message}
    return node if children is None else {**node, "children": children}


@st.composite
def damaged_chatgpt_exports(draw):
    """A well-formed one in which some fields, at any depth, are replaced, taken away or doubled."""
    value = draw(chatgpt_exports(nodes_max=6)).value
    for _ in range(draw(st.integers(1, 5))):
        _damage(draw, value)
    return value


def _damage(draw, value):
    place = value
    for _ in range(draw(st.integers(0, 4))):
        inner = [each for each in place.values() if isinstance(each, dict) and each]
        if inner:
            place = draw(st.sampled_from(inner))
    key = draw(st.sampled_from(sorted(place)))
    if place is value and key == "mapping":
        return
    if draw(st.booleans()):
        place[key] = draw(anything)
    else:
        del place[key]
    if not place:
        place["left"] = 1


@st.composite
def oasst_exports(draw, nodes_max=12):
    count = draw(st.integers(1, nodes_max))
    ids = [f"m{index}" for index in range(count)]
    parents = [None] + [ids[draw(st.integers(0, index - 1))] for index in range(1, count)]
    rows = {
        id: {
            "message_id": id,
            "parent_id": parent,
            "text": draw(texts),
            "role": draw(st.sampled_from(["prompter", "assistant"])),
            "deleted": draw(st.booleans()),
            "labels": {"quality": {"value": 0.5, "count": 2}},
            "replies": [],
        }
        for id, parent in zip(ids, parents, strict=True)
    }
    children = {parent: [id for id in ids if rows[id]["parent_id"] == parent] for parent in [None, *ids]}
    for parent in ids:
        rows[parent]["replies"] = [rows[id] for id in children[parent]]
        ranked = draw(st.permutations(children[parent]))[: draw(st.integers(0, len(children[parent])))]
        for rank, id in enumerate(ranked):
            rows[id]["rank"] = rank
    said = {
        id: Said(id, row["parent_id"], "user" if row["role"] == "prompter" else "assistant", row["text"], None)
        for id, row in rows.items()
    }
    value = {"message_tree_id": ids[0], "tree_state": "ready_for_export", "prompt": rows[ids[0]]}
    return Export(value, said, children, ids[0])
