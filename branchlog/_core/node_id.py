"""Dot-path ids: the address of a node as the ordinals of the children on the way from the root.

The root is ``""``, its first child ``"0"``, that one's second child ``"0.1"``. There is exactly one text for each id:
no leading zeros, no signs, no blanks. Ids are put in order by their numbers (``"0.2"`` before ``"0.10"``), a parent
before its children: the order of ``parse(id)``, a tuple, is that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from branchlog.errors import InvalidNodeId

ROOT = ""

ORDINAL_DIGITS_MAX = 10
"""Enough for any tree that fits in memory, and a bound on what a hostile text can make us compute."""

_GRAMMAR = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*", re.ASCII)


def parse(text: str) -> tuple[int, ...]:
    """The ordinals of a node id; the root's is ``()``.

    Raises ``InvalidNodeId`` for anything but the one text that ``format`` gives.
    """
    if not isinstance(text, str):
        raise InvalidNodeId(text)
    if text == ROOT:
        return ()
    if not _GRAMMAR.fullmatch(text):
        raise InvalidNodeId(text)
    parts = text.split(".")
    if max(map(len, parts)) > ORDINAL_DIGITS_MAX:
        raise InvalidNodeId(text)
    return tuple(map(int, parts))


def format(ordinals: Iterable[int]) -> str:
    """The node id with these ordinals."""
    return ".".join(map(str, ordinals))


def is_node_id(text: str) -> bool:
    """Whether the text is a node id."""
    try:
        parse(text)
    except InvalidNodeId:
        return False
    return True
