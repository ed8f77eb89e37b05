"""Damage: what disks, crashes and careless copies do to bytes and to lists of commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

import attrs

T = TypeVar("T")

FileDamage: TypeAlias = Literal["cut", "flip", "zeros", "stale", "repeat", "hole"]
HistoryDamage: TypeAlias = Literal["cut", "swap", "repeat", "hole"]


@attrs.frozen
class Damage:
    """One injury, to be done to the bytes of any file.

    ``cut``: all from a place on is missing. ``flip``: one bit is another. ``zeros``: zeros stand there instead, to the
    end, as after a power loss. ``stale``: bytes from further up the file stand there instead, to the end. ``repeat``:
    a stretch stands there twice. ``hole``: a stretch is missing. ``place`` is taken modulo the size; ``size_bytes`` is
    the length of a stretch.

    >>> Damage("cut", place=3).of(b"abcdef")
    b'abc'
    >>> Damage("hole", place=1, size_bytes=2).of(b"abcdef")
    b'adef'
    >>> Damage("stale", place=4).of(b"abcdef")
    b'abcdab'
    """

    kind: FileDamage
    place: int
    size_bytes: int = 1

    def of(self, data: bytes) -> bytes:
        """The damaged bytes; of no bytes nothing can be damaged."""
        if not data:
            return data
        place = self.place % len(data)
        before, rest = data[:place], data[place:]
        stretch, behind = rest[: self.size_bytes], rest[self.size_bytes :]
        flipped = bytes([rest[0] ^ 1 << self.size_bytes % 8])
        becomes: dict[FileDamage, bytes] = {
            "cut": b"",
            "flip": flipped + rest[1:],
            "zeros": bytes(len(rest)),
            "stale": (data * 2)[: len(rest)],
            "repeat": stretch + stretch + behind,
            "hole": behind,
        }
        return before + becomes[self.kind]


def damaged(items: Sequence[T], kind: HistoryDamage, place: int) -> list[T]:
    """A list with one injury: ``cut`` off at a place, two neighbours ``swap``-ped, one ``repeat``-ed, or a ``hole``.

    >>> damaged("abc", "swap", 0)
    ['b', 'a', 'c']
    """
    found = list(items)
    if kind == "cut":
        return found[:place]
    if kind == "swap":
        found[place : place + 2] = found[place : place + 2][::-1]
    elif kind == "repeat":
        found[place:place] = found[place : place + 1]
    else:
        del found[place : place + 1]
    return found
