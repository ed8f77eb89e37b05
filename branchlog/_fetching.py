"""Messages that a snapshot left out, fetched from the log when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TypeVar

from branchlog._core.codec import Codec
from branchlog._core.projection import Fetched
from branchlog._core.snapshot import Stretch
from branchlog.commit import Commit
from branchlog.errors import LogClosed
from branchlog.logs.base import GivesPayloads, Log

T = TypeVar("T")

EVENTS_MIN, EVENTS_MAX = 8, 4_096
"""Events of one read: few where the reading jumps about, more and more where one block is wanted beside another."""

GROWTH = 4
"""How many times as long each of these is."""

NEAR_EVENTS = 64
"""A version is beside a block if it is no further away than this."""

STRETCH_EVENTS = 256
"""Who is about to read so many events in a row is given a whole stretch."""

STRETCH_BYTES_MAX = 1 << 23
"""Payloads of a stretch that may be read together: what is read for one message is not much more than a snapshot's
usual share of the log."""


def digest_of(commits: Iterable[Commit]) -> bytes:
    """The digest of a stretch (see ``Stretch``)."""
    return sha256(b"\n".join(commit.data for commit in commits)).digest()


def fetched_of(stretch: Stretch, payloads: bytes, codec: Codec) -> Fetched | None:
    """The events of a stretch; None if its payloads are not what they were: read one by one they tell what is wrong."""
    if sha256(payloads).digest() != stretch.digest:
        return None
    return Fetched(stretch.after + 1, codec.decode_lines(payloads), len(payloads))


class Fetching:
    """Fetches the events around a version, also after the store was closed.

    Where one block is wanted right behind another (or right before it), as when a path is read, it is longer than that;
    and soon a whole stretch of a snapshot, of which the payloads are verified together, by one digest: that is a third
    of the work.
    """

    def __init__(self, log: Log, id: str, codec: Codec, stretches: Iterable[Stretch]) -> None:
        self._log = log
        self._id = id
        self._codec = codec
        self._stretches = list(stretches)
        self._begin = self._end = -NEAR_EVENTS
        self._size = EVENTS_MIN

    def __call__(self, version: int) -> Fetched:
        """The events of some commits, that of this version among them. Raises ``CorruptLog``."""
        forward = self._end < version <= self._end + NEAR_EVENTS
        backward = self._begin - NEAR_EVENTS <= version < self._begin
        self._size = min(self._size * GROWTH, EVENTS_MAX) if forward or backward else EVENTS_MIN
        fetched = self._stretch(version) if self._size >= STRETCH_EVENTS else None
        if fetched is None:
            until = version if backward else version + self._size - 1
            fetched = self._commits(max(until - self._size, 0), until)
        self._begin, self._end = fetched.first, fetched.first + len(fetched.events) - 1
        return fetched

    def _stretch(self, version: int) -> Fetched | None:
        """The whole stretch that holds the version, if there is one and its payloads are what they were."""
        stretch = next((each for each in self._stretches if each.after < version <= each.until), None)
        if stretch is None:
            return None
        payloads = self._anyway(lambda log: _payloads(log, self._id, stretch))
        fetched = fetched_of(stretch, payloads, self._codec)
        if fetched is None:
            self._stretches.remove(stretch)
        return fetched

    def _commits(self, after: int, until: int) -> Fetched:
        commits = self._anyway(lambda log: log.read(self._id, after=after, until=until))
        events = [event for commit in commits for event in self._codec.decode(commit)]
        return Fetched(commits[0].first if commits else until, events, sum(len(commit.data) for commit in commits))

    def _anyway(self, read: Callable[[Log], T]) -> T:
        """Read from the log, whether it was closed or not."""
        try:
            return read(self._log)
        except LogClosed:
            log = self._log.reopened()
        try:
            return read(log)
        finally:
            log.close()


def _payloads(log: Log, id: str, stretch: Stretch) -> bytes:
    return log.payloads(id, after=stretch.after, until=stretch.until) if isinstance(log, GivesPayloads) else b""
