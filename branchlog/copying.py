"""Copying a store to another one, of whatever backend, to the letter and with proof.

Commits are copied in the order of their positions over all namespaces, with their ids, times, versions, checksums and
payload bytes; one whose payload was erased stays erased. Positions themselves are the target's own, in the same order.
Catalog entries are copied as they are. Snapshots are not: they are caches, and saving takes them anew.

What is in the target already is not copied again, so that a copying that was stopped goes on where it was. What was
erased in the source since is erased in the target too, with the commit that says so. In the end all that was copied is
read back from both stores, folded and compared.

A deleted conversation leaves its source nothing but the fact that its name was used, which no log tells unless it is
asked by that name. So its name is free in the target; and one that was deleted since it was copied is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import TypeAlias

import attrs
from msgspec.structs import replace

from branchlog._core.same import different
from branchlog.commit import Commit, Head
from branchlog.errors import AlreadyExists, ConversationDeleted, InvalidInput
from branchlog.logs.base import Append, Entry, Erasure, Query
from branchlog.migration import folded
from branchlog.store import Store

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many events are copied, and how many there were when the copying began."""

GROUP_COMMITS = 500
"""Commits that the target is given at once."""

DELETED = "it was deleted in the source since it was copied; delete it in the target too"


@attrs.frozen(kw_only=True)
class Copy:
    """What a copying came to: counts of all that was looked at, and of what this run copied.

    ``differences`` says of each conversation that is not the same in both what is not, as (namespace, id, what); it is
    empty where all is well.
    """

    namespaces: tuple[str, ...]
    conversations: int
    copied_commits: int
    copied_events: int
    differences: tuple[tuple[str, str, str], ...]


def copy(
    source: Store, target: Store, *, namespaces: Sequence[str] | None = None, progress: Progress | None = None
) -> Copy:
    """Copy the conversations of all namespaces of a store, or of those that are named, and compare.

    Raises ``InvalidInput`` where both are one store, ``AlreadyExists`` where the target has another conversation of the
    same id, or one that went on by itself, ``ConversationDeleted`` where it had one, ``CorruptLog`` for a damaged
    source, and ``SchemaVersionError`` where what was copied cannot be folded by this branchlog. The same call may be
    made again after any error.
    """
    if source.log is target.log:
        raise InvalidInput("the source and the target of a copying are the same store")
    names = source.log.namespaces() if namespaces is None else list(dict.fromkeys(namespaces))
    copying = _Copying([_Namespace(source.within(name), target.within(name)) for name in names])
    copying.work(progress)
    return Copy(
        namespaces=tuple(names),
        conversations=sum(len(each.streams) for each in copying.namespaces),
        copied_commits=copying.commits,
        copied_events=copying.events,
        differences=tuple(copying.compare()),
    )


@attrs.define
class _Stream:
    """Where one conversation stands in the target, and what is to be erased there."""

    head: Head
    entry: Entry | None
    erasures: list[Erasure] = attrs.field(factory=list)


@attrs.define
class _Namespace:
    """One namespace of both stores."""

    source: Store
    target: Store
    streams: dict[str, _Stream] = attrs.field(factory=dict)

    def commits(self) -> Iterator[tuple[int, _Namespace, Commit]]:
        """All commits of the source, with their positions."""
        position = 0
        while page := self.source.log.read_all(after=position, limit=GROUP_COMMITS):
            position = page[-1].position
            yield from ((commit.position, self, commit) for commit in page)

    def write(self, commits: list[Commit]) -> list[Commit]:
        """Give the target those of these commits that it lacks; which they were."""
        lacking = [commit for commit in commits if self._lacks(commit)]
        for erases, some in groupby(lacking, key=lambda commit: bool(self.streams[commit.stream].erasures)):
            if erases:
                self._redact(list(some))
            else:
                self._append(list(some))
        return lacking

    def _lacks(self, commit: Commit) -> bool:
        """Whether the target lacks a commit; where it has it, what was erased since is noted."""
        stream = self.streams.get(commit.stream)
        if stream is None:
            stream = self.streams[commit.stream] = self._begun(commit.stream)
        if commit.last > stream.head.version:
            return True
        if commit.erased:
            (there,) = self.target.log.read(commit.stream, after=commit.first - 1, limit=1)
            if there.erased != commit.erased:
                stream.erasures.append(Erasure(first=commit.first, data=commit.data))
        return False

    def _begun(self, id: str) -> _Stream:
        """Where the target stands. Raises ``AlreadyExists`` where that is not a beginning of what the source has."""
        there, here = self.target.log.head(id), self.source.log.head(id)
        if there is not None:
            found = self.source.log.read(id, after=there.version - 1, limit=1)
            if not found or found[0].head != there:
                raise AlreadyExists(f"the target has another conversation {id!r} already, or one that went on")
        entry = self.source.log.entry(id)
        in_step = entry is not None and here is not None and entry.version == here.version
        return _Stream(there or Head(0, b""), entry if in_step else None)

    def _append(self, commits: list[Commit]) -> None:
        appends = []
        for commit in commits:
            entry = self.streams[commit.stream].entry
            last = entry if entry is not None and entry.version == commit.last else None
            appends.append(Append(commit=replace(commit, position=0), expected=commit.first - 1, entry=last))
        for outcome in self.target.log.append_group(appends):
            if isinstance(outcome, Exception):
                raise outcome

    def _redact(self, commits: list[Commit]) -> None:
        """Append, and erase in the same step what the source had erased by then."""
        for commit in commits:
            stream = self.streams[commit.stream]
            self.target.log.redact(replace(commit, position=0), expected=commit.first - 1, erasures=stream.erasures)
            stream.erasures = []

    def compare(self) -> Iterator[tuple[str, str]]:
        """Fold each conversation in both stores and say what differs; put the target's catalog right."""
        for id, stream in self.streams.items():
            yield from ((id, difference) for difference in self._compared(id, stream))
        yield from ((id, DELETED) for id in self._deleted())

    def _compared(self, id: str, stream: _Stream) -> Iterator[str]:
        if stream.erasures:
            yield "the target still holds what was erased in the source, and has the commit that says so"
        try:
            one = folded(self.source, id)
        except ConversationDeleted:
            yield DELETED
            return
        other = folded(self.target, id)
        if one.version != other.version:
            yield f"the source has {one.version} events, the target {other.version}: copy again"
            return
        yield from different(one._state, other._state)
        entry = self.source.log.entry(id)
        if entry is not None and entry != self.target.log.entry(id) and not self.target.log.put_entry(entry):
            yield "the catalog does not say the same: someone wrote to the target; copy again"

    def _deleted(self) -> Iterator[str]:
        """What the target has and the source had."""
        for entry in self.target.log.entries(Query(order="id", descending=False)):
            if entry.id not in self.streams:
                try:
                    self.source.log.head(entry.id)
                except ConversationDeleted:
                    yield entry.id


@attrs.define
class _Copying:
    """One run."""

    namespaces: list[_Namespace]
    commits: int = 0
    events: int = 0

    def work(self, progress: Progress | None) -> None:
        """Copy what is lacking, in the order of positions."""
        total = sum(entry.version for each in self.namespaces for entry in each.source.log.entries(Query()))
        ordered, done = merge(*(each.commits() for each in self.namespaces), key=lambda item: item[0]), 0
        while group := list(islice(ordered, GROUP_COMMITS)):
            for namespace, some in groupby(group, key=lambda item: item[1]):
                written = namespace.write([commit for _, _, commit in some])
                self.commits += len(written)
                self.events += sum(commit.count for commit in written)
            done += sum(commit.count for _, _, commit in group)
            if progress:
                progress(done, max(done, total))

    def compare(self) -> Iterator[tuple[str, str, str]]:
        """What differs, in all namespaces."""
        for each in self.namespaces:
            for id, difference in each.compare():
                yield each.source.namespace, id, difference
