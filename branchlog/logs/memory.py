"""A log in memory: the specification of the port, and the oracle that other backends are tested against."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Any

import attrs
import msgspec

from branchlog.commit import Commit, Head, Snapshot, erase
from branchlog.errors import ConversationDeleted, ConversationNotFound, LogClosed
from branchlog.logs.base import (
    Abilities,
    Append,
    Appended,
    Draft,
    Entry,
    Erasure,
    Examination,
    ExpectedVersion,
    Query,
    bare_entry,
    check_commit,
    check_draft,
    check_name,
    drafts_of,
    erasable,
    having,
    outcome,
    placed,
    repeated,
    selected,
)


@attrs.define
class _Stream:
    entry: Entry
    commits: list[Commit] = attrs.field(factory=list)
    places: dict[bytes, int] = attrs.field(factory=dict)
    """Where in ``commits`` those of each id are."""
    snapshots: dict[int, Snapshot] = attrs.field(factory=dict)
    drafts: dict[tuple[bytes, int], bytes] = attrs.field(factory=dict)


@attrs.define
class _Shared:
    """What all namespaces of one log share. ``streams`` has None where one was deleted."""

    lock: RLock = attrs.field(factory=RLock)
    streams: dict[tuple[str, str], _Stream | None] = attrs.field(factory=dict)
    commits: list[tuple[str, Commit]] = attrs.field(factory=list)
    position: int = 0
    closed: bool = False


class MemoryLog:
    """Commits in a list and a dict, gone when the process ends."""

    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True, drafts=True)

    def __init__(self, namespace: str = "", *, _shared: _Shared | None = None) -> None:
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._shared = _shared or _Shared()

    def within(self, namespace: str) -> MemoryLog:
        return MemoryLog(namespace, _shared=self._shared)

    def reopened(self) -> MemoryLog:
        return MemoryLog(self.namespace, _shared=attrs.evolve(self._shared, closed=False))

    def _stream(self, name: str) -> _Stream | None:
        if self._shared.closed:
            raise LogClosed
        place = self.namespace, name
        stream = self._shared.streams.get(place)
        if stream is None and place in self._shared.streams:
            raise ConversationDeleted(name)
        return stream

    def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        check_commit(commit)
        shared = self._shared
        with shared.lock:
            stream = self._stream(commit.stream)
            if stream is not None and commit.id in stream.places:
                return repeated(commit, stream.commits[stream.places[commit.id]])
            head = stream.commits[-1].head if stream else None
            commit = placed(commit, head, expected, self.namespace)
            shared.position += 1
            commit = msgspec.structs.replace(commit, position=shared.position)
            if stream is None:
                stream = shared.streams[self.namespace, commit.stream] = _Stream(bare_entry(commit))
            stream.places[commit.id] = len(stream.commits)
            stream.commits.append(commit)
            stream.entry = msgspec.structs.replace(entry or stream.entry, version=commit.last)
            shared.commits.append((self.namespace, commit))
        return Appended(commit)

    def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        with self._shared.lock:
            return [
                outcome(lambda each=each: self.append(each.commit, expected=each.expected, entry=each.entry))  # type: ignore[misc]
                for each in appends
            ]

    def head(self, stream: str) -> Head | None:
        with self._shared.lock:
            found = self._stream(stream)
            return found.commits[-1].head if found else None

    def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        with self._shared.lock:
            found = self._stream(stream)
            wanted = [
                commit
                for commit in (found.commits if found else ())
                if max(commit.first, after + 1) <= (commit.last if until is None else min(commit.last, until))
            ]
        return wanted[:: -1 if backward else 1][:limit]

    def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        with self._shared.lock:
            if self._shared.closed:
                raise LogClosed
            commits = self._shared.commits
            wanted = [commit for name, commit in commits if name == self.namespace and commit.position > after]
        return wanted[:limit]

    def entry(self, stream: str) -> Entry | None:
        with self._shared.lock:
            found = self._stream(stream)
            return found.entry if found else None

    def entries(self, query: Query) -> list[Entry]:
        return selected(self._having(query.metadata), query)

    def count(self, metadata: dict[str, Any]) -> int:
        return len(self._having(metadata))

    def _having(self, metadata: dict[str, Any]) -> list[Entry]:
        with self._shared.lock:
            if self._shared.closed:
                raise LogClosed
            streams = self._shared.streams.items()
            entries = [
                each.entry for (namespace, _), each in streams if each is not None and namespace == self.namespace
            ]
            return having(entries, metadata)

    def put_entry(self, entry: Entry) -> bool:
        with self._shared.lock:
            found = self._stream(entry.id)
            if found is None or found.entry.version != entry.version:
                return False
            found.entry = entry
            return True

    def namespaces(self) -> list[str]:
        with self._shared.lock:
            if self._shared.closed:
                raise LogClosed
            return sorted({namespace for (namespace, _), stream in self._shared.streams.items() if stream is not None})

    def snapshots(self, stream: str) -> list[Snapshot]:
        with self._shared.lock:
            found = self._stream(stream)
            return [found.snapshots[version] for version in sorted(found.snapshots)] if found else []

    def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        with self._shared.lock:
            found = self._stream(stream)
            if found is None or found.commits[-1].head != Head(snapshot.version, snapshot.checksum):
                return False
            found.snapshots[snapshot.version] = snapshot
            return True

    def drop_snapshots(self, stream: str) -> int:
        with self._shared.lock:
            found = self._stream(stream)
            count = len(found.snapshots) if found else 0
            if found:
                found.snapshots.clear()
            return count

    def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        check_draft(draft, number)
        with self._shared.lock:
            found = self._stream(stream)
            if found is None:
                raise ConversationNotFound(stream)
            found.drafts[draft, number] = piece

    def drafts(self, stream: str) -> list[Draft]:
        with self._shared.lock:
            found = self._stream(stream)
            return drafts_of((*place, piece) for place, piece in found.drafts.items()) if found else []

    def drop_draft(self, stream: str, draft: bytes) -> bool:
        with self._shared.lock:
            found = self._stream(stream)
            if found is None:
                return False
            before = len(found.drafts)
            found.drafts = {place: piece for place, piece in found.drafts.items() if place[0] != draft}
            return len(found.drafts) < before

    def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        with self._shared.lock:
            stream = self._stream(commit.stream)
            places = {stored.first: stored for stored in stream.commits} if stream else {}
            erased = {each.first: erase(erasable(commit, places, each), each.data) for each in erasures}
            appended = self.append(commit, expected=expected, entry=entry)
            if stream and not appended.deduplicated:
                stream.snapshots.clear()
                stream.commits[:] = [erased.get(stored.first, stored) for stored in stream.commits]
                self._shared.commits[:] = [
                    (namespace, erased.get(stored.first, stored))
                    if (namespace, stored.stream) == (self.namespace, commit.stream)
                    else (namespace, stored)
                    for namespace, stored in self._shared.commits
                ]
            return appended

    def delete(self, stream: str) -> bool:
        shared = self._shared
        with shared.lock:
            if self._stream(stream) is None:
                return False
            shared.streams[self.namespace, stream] = None
            shared.commits = [each for each in shared.commits if (each[0], each[1].stream) != (self.namespace, stream)]
            return True

    def examine(self) -> Examination:
        with self._shared.lock:
            if self._shared.closed:
                raise LogClosed
            size = sum(
                len(commit.data) for stream in self._shared.streams.values() if stream for commit in stream.commits
            )
            return Examination(kind="memory", place="this process", facts={"bytes": size})

    def close(self) -> None:
        self._shared.closed = True
