"""Moving a store to a new one, at the present schema, with proof that nothing was lost on the way.

The source is read and never written. Commits are copied in the order of their positions, with their ids and times. A
commit of the present schema is copied to the letter, checksums included; one of an earlier schema is taken up, and
where that gives an event another version, later events that are about it follow. What is in the target already is not
copied again, so a migration that was stopped goes on where it was. In the end both stores are folded and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import attrs
from msgspec.structs import replace

from branchlog import _steps
from branchlog._core.codec import encode_events
from branchlog._core.events import AnyEvent, NodeAdded
from branchlog._core.projection import parts
from branchlog._core.rebase import readdressed
from branchlog._core.same import different
from branchlog.commit import Commit, Head, genesis, seal
from branchlog.conversation import Conversation
from branchlog.errors import AlreadyExists, InvalidInput
from branchlog.logs.base import Append, Erasure
from branchlog.store import Store

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many events are copied, and how many there were when the copying began."""

GROUP_COMMITS = 500
"""Commits of one transaction of the target."""


@attrs.frozen(kw_only=True)
class Migration:
    """What a migration came to: counts of all that is in the target now, and of what this run copied.

    ``differences`` says of each conversation that is not the same in both what is not; it is empty where all is well.
    """

    conversations: int
    copied_commits: int
    copied_events: int
    taken_up: int
    differences: tuple[tuple[str, str], ...]


def migrate(source: Store, target: Store, *, progress: Progress | None = None) -> Migration:
    """Copy the conversations of one store (in one namespace) to another, and compare what both fold to.

    Raises ``SchemaVersionError`` for a source of a later major version, ``CorruptLog`` for a damaged one,
    ``InvalidInput`` where both are one store, and ``AlreadyExists`` where the target has another conversation of the
    same id, or one that went on by itself.
    """
    if source.log is target.log:
        raise InvalidInput("the source and the target of a migration are the same store")
    copying = _Copying(source, target)
    for appends, events in copying.groups(progress):
        copying.write(appends)
        copying.copied(len(appends), events)
    differences = list(copying.compare())
    return Migration(
        conversations=len(copying.streams),
        copied_commits=copying.copied_commits,
        copied_events=copying.copied_events,
        taken_up=copying.taken_up,
        differences=tuple(differences),
    )


@attrs.define
class _Stream:
    """Where the copy of one stream stands, and which versions became others."""

    head: Head
    target: Head
    versions: dict[int, int] = attrs.field(factory=dict)
    erasures: list[Erasure] = attrs.field(factory=list)

    def later(self, version: int) -> int:
        return self.versions.get(version, version)


@attrs.define
class _Copying:
    """One run of a migration."""

    source: Store
    target: Store
    streams: dict[str, _Stream] = attrs.field(factory=dict)
    copied_commits: int = 0
    copied_events: int = 0
    taken_up: int = 0

    def copied(self, commits: int, events: int) -> None:
        self.copied_commits += commits
        self.copied_events += events

    def write(self, appends: list[Append]) -> None:
        """Append to the target, and erase there what was erased in the source since it was copied."""
        together: list[Append] = []
        for append in appends:
            stream = self.streams[append.commit.stream]
            if stream.erasures:
                self._write_group(together)
                together = []
                before = append.commit.first - 1
                self.target.log.redact(append.commit, expected=before, erasures=stream.erasures)
                stream.erasures = []
            else:
                together.append(append)
        self._write_group(together)

    def _write_group(self, appends: list[Append]) -> None:
        for outcome in self.target.log.append_group(appends):
            if isinstance(outcome, Exception):
                raise outcome

    def groups(self, progress: Progress | None) -> Iterator[tuple[list[Append], int]]:
        """The appends that the target lacks, a transaction's worth at a time, and how many events they hold."""
        total = sum(summary.version for summary in _all(self.source))
        done = position = 0
        while commits := self.source.log.read_all(after=position, limit=GROUP_COMMITS):
            position = commits[-1].position
            appends = [append for commit in commits if (append := self._append(commit))]
            if appends:
                yield appends, sum(append.commit.count for append in appends)
            done += sum(commit.count for commit in commits)
            if progress:
                progress(done, max(done, total))

    def _append(self, commit: Commit) -> Append | None:
        stream = self.streams.get(commit.stream)
        if stream is None:
            stream = self.streams[commit.stream] = self._begun(commit.stream)
        before = stream.head
        copy = self._copy(stream, commit)
        if copy is None:
            return None
        stream.head = copy.head
        self._check_same(stream, before, copy)
        if copy.last <= stream.target.version:
            if commit.erased and self._holder(copy).data != copy.data:
                stream.erasures.append(Erasure(first=copy.first, data=copy.data))
            return None
        return Append(commit=copy, expected=before.version)

    def _check_same(self, stream: _Stream, before: Head, copy: Commit) -> None:
        """Raise ``AlreadyExists`` where what the target has is not the beginning of what is being copied."""
        there = stream.target
        parts_here = before.version <= there.version < copy.last and before != there
        if parts_here or (there.version and not before.version and self._first(copy.stream) != copy.checksum):
            raise AlreadyExists(f"the target has another conversation {copy.stream!r} already, or one that went on")

    def _holder(self, copy: Commit) -> Commit:
        """What the target has in the place of a commit that is there already."""
        return self.target.log.read(copy.stream, after=copy.first - 1, limit=1)[0]

    def _first(self, id: str) -> bytes:
        return self.target.log.read(id, limit=1)[0].checksum

    def _begun(self, id: str) -> _Stream:
        begin = genesis(self.target.namespace, id)
        return _Stream(begin, self.target.log.head(id) or begin)

    def _copy(self, stream: _Stream, commit: Commit) -> Commit | None:
        """The commit as the target has it; None where nothing of it has a meaning now."""
        codec = self.source._home.codec
        known = codec.vocabulary.released - {codec.vocabulary.current}
        if commit.schema.partition("+")[0] not in known and not stream.versions:
            if commit.previous == stream.head.checksum:
                return replace(commit, position=0)
            return seal(
                commit.stream,
                stream.head,
                count=commit.count,
                id=commit.id,
                at=commit.at,
                schema=commit.schema,
                data=commit.data,
            )
        self.taken_up += 1
        events = self._lifted(stream, commit)
        if not events:
            return None
        return seal(
            commit.stream,
            stream.head,
            count=len(events),
            id=commit.id,
            at=commit.at,
            schema=codec.schema_of_decoded(commit),
            data=encode_events(events),
        )

    def _lifted(self, stream: _Stream, commit: Commit) -> list[AnyEvent]:
        """The events of a commit in the present vocabulary, about the versions that nodes have in the target."""
        codec = self.source._home.codec
        if codec.vocabulary.is_later(commit.schema.partition("+")[0]):
            raise InvalidInput(
                f"{commit.stream!r} has events of a later schema behind events that were taken up: "
                "upgrade branchlog, then migrate"
            )
        lifted: list[AnyEvent] = []
        for version, stored in enumerate(codec.decode(commit), commit.first):
            for event in parts(stored):
                lifted.append(readdressed(event, stream.later))
                if isinstance(event, NodeAdded) or version not in stream.versions:
                    stream.versions[version] = stream.head.version + len(lifted)
        return lifted

    def compare(self) -> Iterator[tuple[str, str]]:
        """Fold each conversation in both stores, say what differs, and put the target's catalog right."""
        for id in self.streams:
            one = self._loaded(self.source, id)
            other = self._loaded(self.target, id)
            for difference in different(one._state, other._state):
                yield id, difference
            self.target.log.put_entry(_steps.entry_of(other, other.version))

    def _loaded(self, store: Store, id: str) -> Conversation:
        return _steps.run(store.log, _steps.load_whole(store._home, id))


def _all(store: Store) -> Iterator[_steps.Summary]:
    page = store.list(order="id", limit=500)
    yield from page
    while page.next:
        page = store.list(order="id", limit=500, after=page.next)
        yield from page
