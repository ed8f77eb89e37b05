"""Moving a store to a new one, at the present schema, with proof that nothing was lost on the way.

The source is read and never written. Commits are copied in the order of their positions, with their ids and times. A
commit of the present schema is copied to the letter, checksums included; one of an earlier schema is taken up, and
where that gives an event another version, later events that are about it follow. What is in the target already is not
copied again, so a migration that was stopped goes on where it was. In the end both stores are folded and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import attrs
from msgspec.structs import replace

from branchlog import _steps
from branchlog._core.codec import Codec, encode_events
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
    copying = Copying(target, source._home.codec)
    total = sum(summary.version for summary in every(source))
    done = 0
    for commits in _pages(source):
        copying.copy(commits)
        done += sum(commit.count for commit in commits)
        if progress:
            progress(done, max(done, total))
    differences = list(_compare(source, target, copying.streams))
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
class Copying:
    """Commits on their way into a store: those that it lacks, each behind the one that it follows.

    ``codec`` takes up those of an earlier schema; without one all are copied to the letter.
    """

    target: Store
    codec: Codec | None = None
    streams: dict[str, _Stream] = attrs.field(factory=dict)
    copied_commits: int = 0
    copied_events: int = 0
    taken_up: int = 0

    def copy(self, commits: Iterable[Commit]) -> None:
        """Bring in what the target lacks of these commits, in one transaction where nothing is to be erased.

        Raises ``AlreadyExists`` where the target has another conversation of the same id, or one that went on.
        """
        self.write([append for commit in commits if (append := self.append_of(commit))])

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
        self.copied_commits += len(appends)
        self.copied_events += sum(append.commit.count for append in appends)

    def _write_group(self, appends: list[Append]) -> None:
        for outcome in self.target.log.append_group(appends) if appends else ():
            if isinstance(outcome, Exception):
                raise outcome

    def append_of(self, commit: Commit) -> Append | None:
        """The append of a commit that follows those given before; None if the target has it, or it means nothing now.

        Raises ``AlreadyExists`` as ``copy`` does.
        """
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
        codec = self.codec
        known = codec.vocabulary.released - {codec.vocabulary.current} if codec else ()
        if codec is None or (commit.schema.partition("+")[0] not in known and not stream.versions):
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
        events = _lifted(codec, stream, commit)
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


def _lifted(codec: Codec, stream: _Stream, commit: Commit) -> list[AnyEvent]:
    """The events of a commit in the present vocabulary, about the versions that nodes have in the target."""
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


def _pages(source: Store) -> Iterator[list[Commit]]:
    """The commits of a store, in the order of their positions."""
    position = 0
    while commits := source.log.read_all(after=position, limit=GROUP_COMMITS):
        position = commits[-1].position
        yield commits


def _compare(source: Store, target: Store, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Fold each conversation in both stores, say what differs, and put the target's catalog right."""
    for id in ids:
        one = folded(source, id)
        other = folded(target, id)
        for difference in different(one._state, other._state):
            yield id, difference
        target.log.put_entry(_steps.entry_of(other, other.version))


def folded(store: Store, id: str) -> Conversation:
    """A conversation by its whole log, whatever snapshots there are; each commit is checked on the way."""
    return _steps.run(store.log, _steps.load_whole(store._home, id))


def every(store: Store) -> Iterator[_steps.Summary]:
    """What a listing says of each conversation of a store, in order of ids."""
    page = store.list(order="id", limit=500)
    yield from page
    while page.next:
        page = store.list(order="id", limit=500, after=page.next)
        yield from page
