"""What a planted bug is: a log with one mistake, or one function of branchlog put in place of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from branchlog.commit import Commit, Head, genesis, seal
from branchlog.logs._sqlite.file import File
from branchlog.logs.base import Abilities, Entry, bare_entry
from branchlog.logs.memory import MemoryLog, _Stream
from branchlog.logs.sqlite import SqliteLog

IN_MEMORY = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True, drafts=True)
IN_A_FILE = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)


class Memory(MemoryLog):
    """The log in memory, to be inherited from: its namespaces have the same mistake."""

    def within(self, namespace):
        return type(self)(namespace, _shared=self._shared)

    def reopened(self):
        return type(self)(self.namespace, _shared=attrs.evolve(self._shared, closed=False))

    def stored(self, commit: Commit) -> Commit | None:
        """The commit of this id, if there is one."""
        return next((each for each in self.read(commit.stream) if each.id == commit.id), None)

    def end(self, stream: str) -> Head:
        """Where a stream ends, or would begin."""
        return self.head(stream) or genesis(self.namespace, stream)

    def keep(self, commit: Commit, entry: Entry | None = None) -> Commit:
        """Write a commit down as it is, unchecked."""
        shared = self._shared
        with shared.lock:
            shared.position += 1
            commit = changed(commit, position=shared.position)
            stream = shared.streams.get((self.namespace, commit.stream))
            if stream is None:
                stream = shared.streams[self.namespace, commit.stream] = _Stream(bare_entry(commit))
            stream.commits.append(commit)
            stream.entry = attrs.evolve(entry or stream.entry, version=commit.last)
            shared.commits.append((self.namespace, commit))
        return commit


def changed(commit: Commit, **changes: Any) -> Commit:
    """The commit with some of its facts changed and its checksum left as it was."""
    return Commit(**{name: getattr(commit, name) for name in commit.__struct_fields__} | changes)


def saying(commit: Commit, data: bytes, count: int | None = None) -> Commit:
    """The commit with other events, and a checksum that fits them."""
    return seal(
        commit.stream,
        Head(commit.first - 1, commit.previous),
        count=commit.count if count is None else count,
        id=commit.id,
        at=commit.at,
        schema=commit.schema,
        data=data,
    )


class Sqlite(SqliteLog):
    """The log in a file, to be inherited from; ``file`` is the class of what keeps the connections."""

    file: type[File] = File

    def __init__(self, path, *, namespace="", _file=None, **options):
        opened = _file or self.file(Path(path), "full", create=True, read_only=options.get("read_only", False))
        super().__init__(path, namespace=namespace, _file=opened)

    def within(self, namespace):
        return type(self)(self.path, namespace=namespace, _file=self._file)

    def reopened(self):
        return type(self)(self.path, namespace=self.namespace, read_only=True)


def in_memory(kind: type[MemoryLog] = Memory) -> Callable[[Path], Callable[..., MemoryLog]]:
    """Opens logs in memory: those of one folder are one."""

    def of(_folder):
        log = kind()
        return lambda namespace="": log.within(namespace)

    return of


def in_a_file(kind: type[SqliteLog] = Sqlite) -> Callable[[Path], Callable[..., SqliteLog]]:
    """Opens logs in a file of this folder."""
    return lambda folder: lambda namespace="": kind(folder / "chats.db", namespace=namespace)


@attrs.frozen(kw_only=True)
class Bug:
    """One mistake.

    ``of`` is what it is a mistake of: the log, or the core. ``lines`` are those of the list of cases that it comes
    from, if it does. ``opener`` gives for a folder what opens the log there, ``plant`` changes what has to be changed.
    """

    name: str
    what: str
    of: str
    lines: tuple[int, ...] = ()
    abilities: Abilities = IN_MEMORY
    opener: Callable[[Path], Callable[..., Any]] = attrs.field(factory=in_memory)
    plant: Callable[[pytest.MonkeyPatch], None] = lambda patch: None


BUGS: list[Bug] = []


def planted(name: str, what: str, *lines: int):
    """Note a log with a mistake."""

    def noted(kind):
        in_file = issubclass(kind, SqliteLog)
        opener = in_a_file(kind) if in_file else in_memory(kind)
        declared = kind.__dict__.get("declares", IN_A_FILE if in_file else IN_MEMORY)
        BUGS.append(Bug(name=name, what=what, of="log", lines=lines, abilities=declared, opener=opener))
        return kind

    return noted


def patched(name: str, what: str, *lines: int, of: str = "core", in_file: bool = False):
    """Note a function that puts a mistake in place of something."""

    def noted(plant):
        chosen = {"abilities": IN_A_FILE, "opener": in_a_file()} if in_file else {}
        BUGS.append(Bug(name=name, what=what, of=of, lines=lines, plant=plant, **chosen))
        return plant

    return noted
