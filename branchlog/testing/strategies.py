"""Strategies for Hypothesis: what may be said, what may have happened, and what may have been damaged."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from branchlog import Message
from branchlog.testing.damage import Damage, FileDamage


def any_text(**options: Any) -> st.SearchStrategy[str]:
    """Text that UTF-8 can carry: everything but lone surrogates, NUL and the last code point included."""
    return st.text(st.characters(exclude_categories=["Cs"]), **options)


def json_values(max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Values that come back from JSON as they went in."""
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
    """Messages of every shape that is accepted."""
    plain = st.builds(
        Message,
        st.sampled_from(("system", "user", "assistant", "tool", "développeur")),
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
    return plain | calling


def damages() -> st.SearchStrategy[Damage]:
    """Injuries to the bytes of a file, of any kind and at any place."""
    kinds: tuple[FileDamage, ...] = ("cut", "flip", "zeros", "stale", "repeat", "hole")
    return st.builds(Damage, st.sampled_from(kinds), place=st.integers(0, 2**16), size_bytes=st.integers(1, 64))
