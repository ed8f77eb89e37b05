"""A log in a folder of JSON Lines: one file a conversation, one line a commit, for git, jq, grep and less.

Layout of the folder (``layout`` 1):

``branchlog.json``      what the folder is, and the version of its layout
``conversations/*.jsonl``  a file for each conversation, lines only ever added at its end (see ``_lines``); named by what
                        can be read of the namespace and the id, and by a hash of both
``conversations/*.broken``  what stood behind the last sound line of such a file, and was cut off
``snapshots/*/*``       a folder for each conversation that has some, a file for each; may be deleted at any time
``catalog.jsonl``       what is known of all conversations, and the order of commits (see ``_catalog``); may be deleted
``lock``                locked by whoever writes; its one byte is 1 from before a write until the catalog has it
``.gitignore``, ``.gitattributes``  keep the last three out of git, and git from changing line ends
``*.new``               a file that is being written, and takes another's place when it is whole

The conversations' files are the truth. An append writes its lines behind them, waits for the disk, and then adds a line
to the catalog, by which readers see it: durable first, visible then. Whoever takes the lock and finds the byte at 1, and
everybody who opens the folder, compares the sizes of all files with the catalog's and reads those that differ; so what
a crash left behind is taken in, a torn last line is cut off, and a catalog that was deleted is made again.

What the catalog has once was acknowledged. Where a file has less, or something else, it was damaged, and the
conversation is refused: damage never passes for a shorter conversation. To take the files as they are (after a
``git checkout`` of an earlier state, say) delete the catalog.

One process writes at a time, by ``flock``; readers take no lock. Any number of processes may have the folder open, on a
local file system.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
import warnings
from base64 import b32encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

import attrs
import msgspec
from msgspec import UNSET

from branchlog.commit import Commit, Head, Snapshot, erase, verified
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationDeleted,
    CorruptLog,
    LogClosed,
    LogRepaired,
    NotAStore,
    SchemaVersionError,
    StoreNotFound,
)
from branchlog.logs._catalog import Catalog, Change, Known
from branchlog.logs._lines import (
    FORMAT,
    LAYOUT,
    BadLine,
    Changes,
    Header,
    Index,
    Line,
    Place,
    changes,
    commit_in,
    line_of,
    sealed,
)
from branchlog.logs.base import (
    Abilities,
    Append,
    Appended,
    Entry,
    Erasure,
    Examination,
    ExpectedVersion,
    Query,
    bare_entry,
    check_commit,
    check_name,
    erasable,
    outcome,
    placed,
    repeated,
)

T = TypeVar("T")
Durability: TypeAlias = Literal["full", "relaxed"]

FOLDER_FORMAT = "branchlog files"
FOLDER_LAYOUT = 1

LOCK_SECONDS = 60.0
"""How long a write waits for other processes: a thousand times the longest commit, and an end to a hang."""

PLACES_MAX = 200_000
"""Commits of which the place in their file is kept in memory: some 60 MB."""

SYNC_THREADS = 8
"""Files that are synced at once: the file system writes its journal once for several that wait together."""

READABLE_MAX = 40
"""Letters of a name that are put in the name of its file."""

SNAPSHOT_DIGITS = 20

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""After these, with what was written taken back, the files are as they were."""

OURS = {"lock", "conversations", "snapshots", "branchlog.json.new"}
"""What a process that died while it made a store may leave behind."""

_GITIGNORE = "/catalog.jsonl\n/lock\n/snapshots/\n*.new\n"
_GITATTRIBUTES = "*.jsonl -text\n"

_sync_content = getattr(os, "fdatasync", os.fsync)


class _Marker(msgspec.Struct):
    format: str
    layout: int


class _StoredSnapshot(msgspec.Struct):
    """The first line of a snapshot's file; its data follow."""

    after: int
    version: int
    checksum: str
    fingerprint: str
    seal: str


def file_name(namespace: str, stream: str) -> str:
    """The name of a conversation's file, without its ending: lower-case ASCII of at most 107 letters.

    >>> file_name("", "Trip to 京都")
    'trip-to.2bb5pzuoxp5o4p4c4uqmzc2j'
    """
    digest = b32encode(sha256(f"{namespace}\0{stream}".encode()).digest()[:15]).decode().lower()
    return ".".join(part for part in (_readable(namespace), _readable(stream), digest) if part)


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:READABLE_MAX].strip("-")


class FilesLog:
    """A log in a folder of JSON Lines. ``namespace`` tells whose conversations are seen."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        namespace: str = "",
        durability: Durability = "full",
        create: bool = True,
        read_only: bool = False,
        _folder: _Folder | None = None,
    ) -> None:
        """Open a store's folder, or make a new one (not if ``create`` is false).

        ``read_only`` leaves every byte as it is, and of a damaged conversation gives what stands before the damage,
        with the warning ``LogRepaired``; otherwise such a conversation raises ``CorruptLog``.

        Raises ``StoreNotFound`` where there is no folder or none to make it in, ``NotAStore`` for one that holds
        something else (which is left as it is), ``SchemaVersionError`` for one of a later layout, ``CorruptLog`` for a
        damaged marker and ``BackendError`` where the file system refuses.
        """
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._folder = _folder or _Folder(Path(path), durability, create=create, read_only=read_only)

    @property
    def abilities(self) -> Abilities:
        return Abilities(
            durable=self._folder.durability == "full", persistent=True, shared=True, snapshots=True, erases=True
        )

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self._folder.path

    def within(self, namespace: str) -> FilesLog:
        return FilesLog(self.path, namespace=namespace, _folder=self._folder)

    def reopened(self) -> FilesLog:
        folder = _Folder(self.path, self._folder.durability, create=False, read_only=True, salvage=False)
        return FilesLog(self.path, namespace=self.namespace, _folder=folder)

    def close(self) -> None:
        self._folder.close()

    # Writing.

    def append(self, commit: Commit, *, expected: ExpectedVersion, entry: Entry | None = None) -> Appended:
        with self._folder.writing() as batch:
            with self._folder.state:
                appended = self._append(batch, commit, expected, entry)
            self._folder.write(batch)
        return appended

    def append_group(self, appends: Sequence[Append]) -> list[Appended | Exception]:
        with self._folder.writing() as batch:
            with self._folder.state:
                outcomes = [outcome(lambda a=a: self._append(batch, a.commit, a.expected, a.entry)) for a in appends]  # type: ignore[misc]
            self._folder.write(batch)
        return outcomes

    def _append(self, batch: _Batch, commit: Commit, expected: ExpectedVersion, entry: Entry | None) -> Appended:
        check_commit(commit)
        draft = batch.draft(self.namespace, commit.stream)
        stored = draft.stored(commit.id)
        if stored is not None:
            return repeated(commit, stored)
        commit = placed(commit, draft.head, expected, self.namespace)
        return Appended(batch.add(draft, commit, entry))

    def redact(
        self, commit: Commit, *, expected: int, erasures: Sequence[Erasure], entry: Entry | None = None
    ) -> Appended:
        with self._folder.writing() as batch, self._folder.state:
            check_commit(commit)
            draft = batch.draft(self.namespace, commit.stream)
            stored = {each.first: each for each in draft.commits_at([each.first for each in erasures])}
            erased = {each.first: erase(erasable(commit, stored, each), each.data) for each in erasures}
            appended = self._append(batch, commit, expected, entry)
            if not appended.deduplicated:
                self._folder.rewrite(draft, erased)
        return appended

    def delete(self, stream: str) -> bool:
        with self._folder.writing(), self._folder.state:
            known = self._folder.known(self.namespace, stream)
            if known is None:
                return False
            self._folder.entomb(known)
        return True

    def put_entry(self, entry: Entry) -> bool:
        with self._folder.writing() as batch:
            with self._folder.state:
                if self._folder.known(self.namespace, entry.id) is None:
                    return False
                draft = batch.draft(self.namespace, entry.id)
                if draft.head is None or draft.head.version != entry.version:
                    return False
                draft.add_entry(entry)
            self._folder.write(batch)
        return True

    def put_snapshot(self, stream: str, snapshot: Snapshot) -> bool:
        with self._folder.writing(), self._folder.state:
            known = self._folder.known(self.namespace, stream)
            if known is None or known.head != Head(snapshot.version, snapshot.checksum):
                return False
            self._folder.put_snapshot(known, snapshot)
        return True

    def drop_snapshots(self, stream: str) -> int:
        with self._folder.writing(), self._folder.state:
            known = self._folder.known(self.namespace, stream)
            return self._folder.drop_snapshots(known) if known else 0

    # Reading.

    def head(self, stream: str) -> Head | None:
        return self._folder.read(lambda: self._head(stream))

    def _head(self, stream: str) -> Head | None:
        known = self._folder.known(self.namespace, stream)
        return known.head if known else None

    def read(
        self, stream: str, *, after: int = 0, until: int | None = None, limit: int | None = None, backward: bool = False
    ) -> list[Commit]:
        def work() -> list[Commit]:
            known = self._folder.known(self.namespace, stream)
            if known is None or (until is not None and until <= after) or (limit is not None and limit <= 0):
                return []
            places = self._folder.index(known).holding(max(after, 0), until)
            if limit is not None:
                places = places[-limit:] if backward else places[:limit]
            commits = self._folder.commits(known, places)
            return commits[::-1] if backward else commits

        return self._folder.read(work)

    def read_all(self, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        return self._folder.read(lambda: self._folder.all_behind(self.namespace, after, limit))

    def entry(self, stream: str) -> Entry | None:
        def work() -> Entry | None:
            known = self._folder.known(self.namespace, stream)
            return known.entry if known else None

        return self._folder.read(work)

    def entries(self, query: Query) -> list[Entry]:
        return self._folder.read(lambda: self._folder.catalog.entries(self.namespace, query))

    def count(self, metadata: dict[str, Any]) -> int:
        return self._folder.read(lambda: len(self._folder.catalog.having(self.namespace, metadata)))

    def namespaces(self) -> list[str]:
        return self._folder.read(lambda: self._folder.catalog.namespaces())

    def snapshots(self, stream: str) -> list[Snapshot]:
        def work() -> list[Snapshot]:
            known = self._folder.known(self.namespace, stream)
            return self._folder.snapshots(known) if known else []

        return self._folder.read(work)

    def examine(self) -> Examination:
        return self._folder.read(self._folder.examine)


@attrs.define(eq=False)
class _Draft:
    """What is to be written behind a conversation's file."""

    folder: _Folder
    known: Known
    index: Index
    head: Head | None
    entry: Entry | None
    seal: bytes
    text: list[bytes] = attrs.field(factory=list)
    staged: list[Commit] = attrs.field(factory=list)

    @property
    def is_new(self) -> bool:
        return not self.known.size

    def stored(self, id: bytes) -> Commit | None:
        """The commit of this id, in the file or about to be written."""
        place = self.index.by_id(id)
        if place is not None:
            return self.folder.commits(self.known, [place])[0]
        return next((commit for commit in self.staged if commit.id == id), None)

    def commits_at(self, firsts: Iterable[int]) -> list[Commit]:
        """The commits in the file whose first events have these versions."""
        places = [self.index.starting(first) for first in firsts]
        return [self.folder.commits(self.known, [place])[0] for place in places if place is not None]

    def add(self, commit: Commit, entry: Entry | None) -> None:
        before = self.entry or bare_entry(commit)
        after = msgspec.structs.replace(entry or before, version=commit.last)
        self._write(line_of(commit, changes(before, after)), after)
        self.head = commit.head
        self.staged.append(commit)

    def add_entry(self, entry: Entry) -> None:
        change = changes(self.entry, entry)
        if change is not None:
            self._write(Line(entry=change), entry)

    def _write(self, line: Line, entry: Entry) -> None:
        seal, text = self.seal, []
        if self.is_new and not self.text:
            header, seal = sealed(_header(self.known), b"")
            text.append(header)
        added, seal = sealed(line, seal)
        self.text += [*text, added]
        self.seal, self.entry = seal, entry

    def change(self, *, relaxed: bool) -> Change:
        """What the catalog is told of it."""
        head = self.head or Head(0, b"")
        change = Change(
            file=self.known.file,
            size=self.known.size + sum(map(len, self.text)),
            seal=self.seal.hex(),
            version=head.version,
            checksum=head.checksum.hex(),
            commits=[(commit.position, commit.first) for commit in self.staged],
            relaxed=relaxed,
        )
        if self.is_new:
            change.namespace, change.stream = self.known.namespace, self.known.stream
        if self.entry is not None:
            change.entry = changes(self.known.entry, self.entry) or UNSET
        return change


class _Batch:
    """What one transaction is to write."""

    def __init__(self, folder: _Folder) -> None:
        self._folder = folder
        self._position = folder.catalog.position
        self._drafts: dict[str, _Draft] = {}

    @property
    def drafts(self) -> list[_Draft]:
        """Those of which something is to be written."""
        return [draft for draft in self._drafts.values() if draft.text]

    def draft(self, namespace: str, stream: str) -> _Draft:
        """What is to be written of a conversation, and the conversation as it will be then."""
        file = file_name(namespace, stream)
        draft = self._drafts.get(file)
        if draft is None:
            known = self._folder.known(namespace, stream)
            if known is None:
                draft = _Draft(self._folder, Known(file, namespace, stream), Index(), None, None, b"")
            else:
                index = self._folder.index(known)
                draft = _Draft(self._folder, known, index, known.head, known.entry, index.seal)
            self._drafts[file] = draft
        return draft

    def add(self, draft: _Draft, commit: Commit, entry: Entry | None) -> Commit:
        """Put a commit that was found to fit at the end; the commit with its position."""
        commit = msgspec.structs.replace(commit, position=self._position + 1)
        draft.add(commit, entry)
        self._position += 1
        return commit


class _Folder:
    """The folder: its files, what is known of them, and the locks.

    ``state`` guards what is known; nobody waits for the disk or another process while holding it, but for erasing.
    """

    def __init__(
        self, path: Path, durability: Durability, *, create: bool, read_only: bool, salvage: bool | None = None
    ) -> None:
        self.path = path = path.absolute()  # whatever the working directory will be
        self.durability = durability
        self.state = RLock()
        self.catalog = Catalog()
        self._salvage = read_only if salvage is None else salvage
        self._conversations, self._snapshots = path / "conversations", path / "snapshots"
        self._catalog_path, self._lock_path = path / "catalog.jsonl", path / "lock"
        self._writing = Lock()
        self._border = _Border(path)
        self._closed = False
        self._failed: BaseException | None = None
        self._indexes: dict[str, Index] = {}
        self._unreadable: dict[str, BranchlogError] = {}
        self._strangers: dict[str, str] = {}
        self._catalog_file = self._lock_file = self._catalog_inode = -1
        with self._border:
            _check_or_make(path, create=create and not read_only)
            self.read_only = read_only or not (
                os.access(path, os.W_OK)
                and (not self._conversations.exists() or os.access(self._conversations, os.W_OK))
                and (not self._lock_path.exists() or os.access(self._lock_path, os.W_OK))
            )
            self._open()

    def _open(self) -> None:
        try:
            if not self.read_only or self._lock_path.exists():
                self._lock_file = _open_lock(self._lock_path, read_only=self.read_only)
                self._take_lock(self._lock_file, fcntl.LOCK_SH if self.read_only else fcntl.LOCK_EX)
            self._load()
            self._settle()
            self._release()
        except BaseException:
            self._let_go()
            raise

    # Locks.

    @contextmanager
    def writing(self) -> Iterator[_Batch]:
        """One transaction at a time, of all processes; what is known is what there is."""
        with self._writing, self._border:
            self._check_open()
            if self.read_only:
                raise BackendError(f"{self.path}: opened for reading only, or read-only; nothing was written")
            if self._failed:
                raise BackendError(f"{self.path}: an earlier write failed; open the store again") from self._failed
            self._take_lock(self._lock_file, fcntl.LOCK_EX)
            try:
                with self.state:
                    self._refresh()
                    if os.pread(self._lock_file, 1, 0) == b"1":
                        self._settle()
                yield _Batch(self)
            finally:
                self._release()

    def _take_lock(self, file: int, kind: int) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        pause = 0.0001
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackendError(
                        f"{self.path}: another process kept it locked for {LOCK_SECONDS:.0f} seconds"
                    ) from None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.005)

    def _release(self) -> None:
        if self._lock_file >= 0:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _mark(self, mark: bytes) -> None:
        os.pwrite(self._lock_file, mark, 0)

    def read(self, work: Callable[[], T]) -> T:
        """Do what reads, and changes nothing; again, where it met with a file that another process was rewriting."""
        with self._border:
            try:
                return self._read(work)
            except CorruptLog:
                self._wait_for_writers()
                with self.state:
                    self._check_open()
                    self._load()
                return self._read(work)

    def _read(self, work: Callable[[], T]) -> T:
        with self.state:
            self._check_open()
            self._refresh()
            return work()

    def _wait_for_writers(self) -> None:
        """Until no writer is at work: on a lock of its own, since that of a file is all its threads'."""
        if not self._lock_path.exists():
            return
        file = _open_lock(self._lock_path, read_only=True)
        try:
            self._take_lock(file, fcntl.LOCK_SH)
        finally:
            os.close(file)

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"{self.path}")

    def close(self) -> None:
        with self._writing, self.state:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        for file in (self._catalog_file, self._lock_file):
            if file >= 0:
                os.close(file)
        self._catalog_file = self._lock_file = -1

    # What is known.

    def known(self, namespace: str, stream: str) -> Known | None:
        """A conversation, None if there is none. Raises ``ConversationDeleted``, or what is wrong with its file."""
        file = file_name(namespace, stream)
        if file in self._unreadable:
            raise self._unreadable[file]
        known = self.catalog.by_file.get(file)
        if known is None:
            return None
        if (known.namespace, known.stream) != (namespace, stream):
            raise CorruptLog(str(self._file(file)), f"it is the file of {known.stream!r}, not of {stream!r}")
        if known.deleted:
            raise ConversationDeleted(stream)
        if self._salvage:
            self.index(known)
        elif known.damage is not None:
            raise known.damage
        return known

    def _refresh(self) -> None:
        """Take in what others have written to the catalog."""
        try:
            now = os.stat(self._catalog_path)
        except FileNotFoundError:
            if self._catalog_file < 0:  # a folder without one, opened for reading only
                return
            raise BackendError(f"{self.path}: the catalog was deleted meanwhile; open the store again") from None
        if now.st_ino != self._catalog_inode:
            self._load()
        elif now.st_size > self.catalog.size_bytes:
            self._fold(now.st_size)

    def _fold(self, size: int) -> None:
        start = self.catalog.size_bytes
        try:
            self.catalog.fold(_pread(self._catalog_file, size - start, start))
        except BadLine as bad:
            raise CorruptLog(
                f"{self._catalog_path} line {bad.number}", f"{bad.problem}; open the store again, and it is made anew"
            ) from bad

    def _load(self) -> None:
        """Read the catalog from its beginning; where there is none, or no sound one, begin with nothing."""
        self._indexes.clear()
        damage = {file: known.damage for file, known in self.catalog.by_file.items() if known.damage}
        if self._catalog_file >= 0:
            os.close(self._catalog_file)
        self._catalog_file = self._catalog_inode = -1
        self.catalog = Catalog()
        flags = os.O_RDONLY if self.read_only else os.O_RDWR | os.O_APPEND
        try:
            self._catalog_file = os.open(self._catalog_path, flags | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        status = os.fstat(self._catalog_file)
        self._catalog_inode = status.st_ino
        try:
            self.catalog.fold(_pread(self._catalog_file, status.st_size, 0))
        except BadLine as bad:
            _warn(f"{self._catalog_path} line {bad.number}", f"{bad.problem}; the catalog is made from the files again")
            self.catalog = Catalog()
        for file, problem in damage.items():
            if file in self.catalog.by_file:
                self.catalog.by_file[file].damage = problem

    def index(self, known: Known) -> Index:
        """Where the commits of a conversation are in its file, as far as the catalog has it. Raises ``CorruptLog``."""
        index = self._indexes.get(known.file)
        if index is None:
            if sum(len(each.places) for each in self._indexes.values()) > PLACES_MAX:
                self._indexes.clear()
            index = self._indexes[known.file] = Index()
        if index.size_bytes == known.size:
            return index
        try:
            return self._extended(index, known)
        except BaseException:
            self._indexes.pop(known.file, None)
            raise

    def _extended(self, index: Index, known: Known) -> Index:
        path = self._file(known.file)
        data = _read_file(path, index.size_bytes, known.size - index.size_bytes)
        try:
            index.extend(data)
        except BadLine as bad:
            where = f"{path} line {bad.number}"
            if self._salvage and index.head is not None:
                _warn(where, f"{bad.problem}; what stands before it is read")
                self._shorten(known, index)
                return index
            raise CorruptLog(where, f"{bad.problem}; {_WAY_OUT}") from bad
        if index.size_bytes != known.size or index.seal.hex() != known.seal or index.head != known.head:
            raise CorruptLog(
                f"{path} line {index.lines}", f"the file ends here, or is not the one that was written; {_WAY_OUT}"
            )
        return index

    def _shorten(self, known: Known, index: Index) -> None:
        """Know only the sound lines of a conversation."""
        self.catalog.forget(known)
        self.catalog.apply([_change_to(known, index)])

    def _file(self, file: str) -> Path:
        return self._conversations / f"{file}.jsonl"

    # Reading commits.

    def commits(self, known: Known, places: Sequence[Place]) -> list[Commit]:
        """Commits that follow one another in a file, verified."""
        if not places:
            return []
        path, start = self._file(known.file), places[0].start
        data = _read_file(path, start, places[-1].end - start)
        try:
            commits = [
                commit_in(data[place.start - start : place.end - start], known.stream, place.previous)
                for place in places
            ]
        except ValueError as error:
            raise CorruptLog(str(path), f"a line after version {places[0].first - 1}: {error}; {_WAY_OUT}") from error
        if [commit.position for commit in commits] != [place.position for place in places]:
            raise CorruptLog(str(path), f"positions are not those that were written; {_WAY_OUT}")
        return list(verified(commits, Head(places[0].first - 1, places[0].previous)))

    def all_behind(self, namespace: str, after: int, limit: int | None) -> list[Commit]:
        """The commits of a namespace with a higher position, at most so many, in order of positions."""
        if self._unreadable and not self._salvage:
            raise next(iter(self._unreadable.values()))
        wanted: list[tuple[Known, Place]] = []
        for position, known, first in self.catalog.behind(namespace, after):
            if len(wanted) == limit:
                break
            if known.damage is not None and not self._salvage:
                raise known.damage
            place = self.index(known).starting(first)
            if place is None and self._salvage:
                continue  # behind the damage
            if place is None or place.position != position:
                raise CorruptLog(str(self._file(known.file)), f"no commit at version {first} has position {position}")
            wanted.append((known, place))
        return self._gathered(wanted)

    def _gathered(self, wanted: list[tuple[Known, Place]]) -> list[Commit]:
        """Commits of several files, each file opened once."""
        by_file: dict[str, tuple[Known, list[Place]]] = {}
        for known, place in wanted:
            by_file.setdefault(known.file, (known, []))[1].append(place)
        found: dict[int, Commit] = {}
        for known, places in by_file.values():
            for run in _runs(places):
                found.update({commit.position: commit for commit in self.commits(known, run)})
        return [found[place.position] for _, place in wanted]

    # Writing commits.

    def write(self, batch: _Batch) -> None:
        """Write what a batch has to its files and wait for the disk; then tell the catalog, and so all readers."""
        drafts = batch.drafts
        if not drafts:
            return
        self._mark(b"1")
        try:
            self._write_lines(drafts)
            line = self._publish([draft.change(relaxed=self.durability != "full") for draft in drafts])
        except BaseException as error:
            if not (isinstance(error, OSError) and error.errno in NO_ROOM and self._took_back(drafts)):
                self._failed = error
            raise
        self._mark(b"0")
        with self.state:
            if os.fstat(self._catalog_file).st_size == self.catalog.size_bytes + len(line):
                self.catalog.fold(line)
            for draft in drafts:
                self._catch_up(draft)

    def _catch_up(self, draft: _Draft) -> None:
        """Index the lines that were just written, unless a reader has done so."""
        known, text = self.catalog.by_file.get(draft.known.file), b"".join(draft.text)
        if known is not None and draft.index.size_bytes + len(text) == known.size:
            draft.index.extend(text)
            self._indexes[known.file] = draft.index

    def _write_lines(self, drafts: list[_Draft]) -> None:
        files = []
        try:
            for draft in drafts:
                path = self._file(draft.known.file)
                if draft.is_new:
                    path, flags = _beside(path), os.O_CREAT | os.O_TRUNC
                else:
                    flags = os.O_APPEND
                files.append(os.open(path, flags | os.O_WRONLY | os.O_CLOEXEC, 0o666))
                _write_all(files[-1], b"".join(draft.text))
            self._sync(files)
        finally:
            for file in files:
                os.close(file)
        new = [draft for draft in drafts if draft.is_new]
        for draft in new:
            path = self._file(draft.known.file)
            _beside(path).rename(path)
        if new:
            self._sync_folder(self._conversations)

    def _sync(self, files: list[int]) -> None:
        if self.durability != "full":
            return
        if len(files) == 1:
            _sync_content(files[0])
            return
        with ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="branchlog-sync") as threads:
            list(threads.map(_sync_content, files))

    def _sync_folder(self, folder: Path) -> None:
        if self.durability == "full":
            _sync_folder(folder)

    def _took_back(self, drafts: list[_Draft]) -> bool:
        """Cut off what was written of a batch, on a full disk; whether that was possible."""
        try:
            for draft in drafts:
                path = self._file(draft.known.file)
                if draft.is_new:
                    _beside(path).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
                else:
                    os.truncate(path, draft.known.size)
                    _sync_file(path)
            os.truncate(self._catalog_path, self.catalog.size_bytes)
            self._mark(b"0")
        except OSError:
            return False
        return True

    def _publish(self, changes: list[Change]) -> bytes:
        line = self.catalog.line(changes)
        _write_all(self._catalog_file, line)
        return line

    # Erasing.

    def rewrite(self, draft: _Draft, erased: dict[int, Commit]) -> None:
        """Write a conversation's file anew, with what is to be appended and with other payloads for some commits."""
        known = draft.known
        lines = [*self.commits(known, draft.index.places), *draft.staged]
        lines = [erased.get(commit.first, commit) for commit in lines]
        self._replace(known, _header(known), lines, draft.entry)

    def entomb(self, known: Known) -> None:
        """Leave nothing of a conversation but its name and its last position."""
        header = _header(known)
        header.deleted, header.position = True, max((position for position, _ in known.commits), default=0)
        self._replace(known, header, [], None)

    def _replace(self, known: Known, header: Header, commits: list[Commit], entry: Entry | None) -> None:
        """Put another file in the place of a conversation's, and leave no trace of the old one."""
        index = Index()
        text = _text_of(header, commits, entry)
        index.extend(text)
        self._mark(b"1")
        try:
            self._clear_beside(known)
            _put_file(self._file(known.file), text)
            _sync_folder(self._conversations)
            self.catalog.forget(known)
            self.catalog.apply([_change_to(known, index)])
            self._write_catalog()
        except BaseException as error:
            self._failed = error
            raise
        self._mark(b"0")

    def _clear_beside(self, known: Known) -> None:
        self.drop_snapshots(known)
        self._broken(known.file).unlink(missing_ok=True)

    def _broken(self, file: str) -> Path:
        return self._conversations / f"{file}.broken"

    def _write_catalog(self) -> None:
        """Write the catalog anew."""
        _put_file(self._catalog_path, self.catalog.whole())
        _sync_folder(self.path)
        self._load()

    # Snapshots.

    def put_snapshot(self, known: Known, snapshot: Snapshot) -> None:
        """Keep a snapshot. Nobody waits for the disk: whoever uses one verifies it."""
        folder = self._snapshots / known.file
        folder.mkdir(parents=True, exist_ok=True)
        stored = _StoredSnapshot(
            snapshot.after, snapshot.version, snapshot.checksum.hex(), snapshot.fingerprint, snapshot.seal.hex()
        )
        path = folder / f"{snapshot.version:0{SNAPSHOT_DIGITS}}"
        _beside(path).write_bytes(msgspec.json.encode(stored) + b"\n" + snapshot.data)
        _beside(path).rename(path)

    def snapshots(self, known: Known) -> list[Snapshot]:
        """The snapshots of a conversation, in order of versions."""
        folder = self._snapshots / known.file
        if not folder.is_dir():
            return []
        names = sorted(name for name in os.listdir(folder) if name.isdecimal())
        return [_snapshot_in(int(name), (folder / name).read_bytes()) for name in names]

    def drop_snapshots(self, known: Known) -> int:
        """Delete the snapshots of a conversation; how many there were."""
        folder = self._snapshots / known.file
        if not folder.is_dir():
            return 0
        count = sum(name.isdecimal() for name in os.listdir(folder))
        shutil.rmtree(folder)
        return count

    # Comparing the files with the catalog.

    def _settle(self) -> None:
        """Put the catalog right by the files, and the files' ends right; then take back the sign of a write."""
        self._unreadable.clear()
        self._strangers.clear()
        if not self.read_only:
            self._conversations.mkdir(exist_ok=True)  # git keeps no empty folder
            for left in (*self._conversations.glob("*.new"), *self.path.glob("*.new")):
                left.unlink()
        sizes = _sizes(self._conversations)
        found = [self._looked_at(file) for file, size in sizes.items() if self._differs(file, size)]
        for file in self.catalog.by_file.keys() - sizes.keys():
            known = self.catalog.by_file[file]
            known.damage = CorruptLog(str(self._file(file)), f"the file is missing; {_WAY_OUT}")
        self._take_in([each for each in found if each is not None])

    def _differs(self, file: str, size: int) -> bool:
        known = self.catalog.by_file.get(file)
        return known is None or known.size != size

    def _looked_at(self, file: str) -> _Found | None:
        """Read a file that is not as the catalog has it; None if nothing can be taken in of it."""
        path, known = self._file(file), self.catalog.by_file.get(file)
        try:
            found = _Found(file, known, path.read_bytes())
        except SchemaVersionError as error:
            self._unreadable[file] = error
            return None
        if found.index.header is None or (found.index.head is None and not found.index.header_deleted):
            return self._without_commit(found)
        if file_name(*found.index.name) != file:
            right = f"{file_name(*found.index.name)}.jsonl"
            self._strangers[file] = f"{path}: its name would be {right} for what it holds; it is passed over"
            _warn(str(path), f"its name would be {right} for what it holds; it is passed over")
            return None
        if found.is_torn and not self.read_only:
            self._cut(found)
        found.damage = self._damage(found, path)
        if found.damage is not None and self._salvage:
            _warn(found.damage.where, f"{found.damage.problem}; what is sound is read")
        elif found.damage is not None and known is not None:
            known.damage = found.damage
            return None
        return found

    def _without_commit(self, found: _Found) -> None:
        where = f"{self._file(found.file)} line {found.index.lines + 1}"
        self._unreadable[found.file] = CorruptLog(where, f"{found.problem}; {_WAY_OUT}")
        _warn(where, f"{found.problem}; the conversation cannot be read")

    def _damage(self, found: _Found, path: Path) -> CorruptLog | None:
        """What is wrong with a file beyond a torn end."""
        if found.bad is not None and not found.is_torn:
            return CorruptLog(f"{path} line {found.bad.number}", f"{found.bad.problem}; {_WAY_OUT}")
        known = found.known
        if known is None or known.relaxed or known.head is None or found.index.header_deleted:
            return None
        place = next((each for each in reversed(found.index.places) if each.last <= known.head.version), None)
        if place is None or place.head != known.head:
            ends = found.index.head.version if found.index.head else 0
            return CorruptLog(
                f"{path} line {found.index.lines}",
                f"it ends at version {ends} or tells another story: version {known.head.version} was written;"
                f" {_WAY_OUT}",
            )
        return None

    def _cut(self, found: _Found) -> None:
        """Keep aside what stands behind the last sound line, and cut it off."""
        path, size = self._file(found.file), found.index.size_bytes
        with self._broken(found.file).open("ab") as aside:
            aside.write(found.data[size:])
            aside.flush()
            os.fsync(aside.fileno())
        _sync_folder(self._conversations)
        os.truncate(path, size)
        _sync_file(path)
        where = f"{path} line {found.index.lines + 1}"
        _warn(where, f"{found.problem}; {len(found.data) - size} bytes were cut off and are in {found.file}.broken")

    def _take_in(self, found: list[_Found]) -> None:
        anew = self._catalog_file < 0 or not self.catalog.size_bytes
        taken: set[int] = set()
        highest = self.catalog.position
        for each in found:
            fresh = each.fresh()
            each.is_foreign = any(place.position <= highest or place.position in taken for place in fresh)
            if not each.is_foreign:
                taken.update(place.position for place in fresh)
        changes = [self._known_by(each) for each in found if not each.is_foreign]
        self.catalog.apply(changes)
        self.catalog.position = max([self.catalog.position, *(each.index.header_position for each in found)])
        foreign = [each for each in found if each.is_foreign]
        for each in foreign:
            change = self._renumbered(each)
            if change is not None:
                self.catalog.apply([change])
                changes.append(change)
        if self.read_only:
            return
        self._keep(found, changes, anew=anew or bool(foreign) or any(each.is_rewritten for each in found))

    def _keep(self, found: list[_Found], changes: list[Change], *, anew: bool) -> None:
        """Make what was taken in durable, and write it to the catalog."""
        self._mark(b"1")
        for each in found:
            if not each.is_foreign:
                self._write_again(each)
        if found:
            self._sync_folder(self._conversations)
        if anew or changes or os.fstat(self._catalog_file).st_size != self.catalog.size_bytes:
            self._write_catalog()
            for each in found:
                if each.damage is not None and each.file in self.catalog.by_file:
                    self.catalog.by_file[each.file].damage = each.damage
        self._mark(b"0")

    def _write_again(self, found: _Found) -> None:
        """Write the end of a file once more and wait for the disk.

        A sync that failed may have left it in memory only, where the system takes it for written.
        """
        if self.durability != "full" or found.damage is not None:
            return
        start = found.known.size if found.known is not None and not found.is_rewritten else 0
        file = os.open(self._file(found.file), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(file, found.data[start : found.index.size_bytes], start)
            os.fsync(file)
        finally:
            os.close(file)

    def _known_by(self, found: _Found) -> Change:
        """What is to be known of a file that was looked at."""
        known = self.catalog.by_file.get(found.file)
        if known is None:
            header = found.index.header
            known = Known(found.file, *found.index.name) if header else Known(found.file, "", "")
        else:
            self.catalog.forget(known)
        change = _change_to(known, found.index)
        if found.damage is not None:
            self.catalog.by_file[found.file] = known
            known.damage = found.damage
        return change

    def _renumbered(self, found: _Found) -> Change | None:
        """Give the commits that came from elsewhere positions of this log, behind all that it has given."""
        path = self._file(found.file)
        if self.read_only or found.damage is not None:
            problem = "its positions are another log's; open the store for writing, and they are given anew"
            self._unreadable[found.file] = BackendError(f"{path}: {problem}")
            _warn(str(path), problem)
            return None
        known = found.known or Known(found.file, *found.index.name)
        fresh = {place.first for place in found.fresh()}
        commits = []
        for commit in found.commits():
            if commit.first in fresh:
                self.catalog.position += 1
                commit = msgspec.structs.replace(commit, position=self.catalog.position)  # noqa: PLW2901 - it is the same
            commits.append(commit)
        text = _text_of(_header(known), commits, found.index.entry)
        index = Index()
        index.extend(text)
        _put_file(path, text)
        self.catalog.forget(known)
        _warn(str(path), f"it came from another log; {len(fresh)} commits were given positions of this one")
        return _change_to(known, index)

    # Looking at it all.

    def examine(self) -> Examination:
        """Read everything."""
        problems = [*map(str, self._unreadable.values()), *self._strangers.values()]
        for known in self.catalog.by_file.values():
            try:
                if known.damage is not None:
                    raise known.damage
                if not known.deleted:
                    self.commits(known, self.index(known).places)
            except CorruptLog as error:
                problems.append(str(error))
        files = [path for path in self.path.rglob("*") if path.is_file()]
        live = [known for known in self.catalog.by_file.values() if not known.deleted]
        facts: dict[str, int | str] = {
            "bytes": sum(path.stat().st_size for path in files),
            "conversations": len(live),
            "commits": sum(len(known.commits) for known in live),
            "highest position": self.catalog.position,
            "files with bytes that were cut off": sum(path.suffix == ".broken" for path in files),
            "layout": FOLDER_LAYOUT,
            "durability": self.durability,
        }
        return Examination(kind="folder of JSON Lines", place=str(self.path), facts=facts, problems=tuple(problems))


_WAY_OUT = (
    "restore it from a copy, read what is sound with read_only=True,"
    " or delete catalog.jsonl to take the files as they are"
)


class _Found:
    """A conversation's file that is not as the catalog has it."""

    def __init__(self, file: str, known: Known | None, data: bytes) -> None:
        self.file = file
        self.known = known
        self.data = data
        self.index = Index()
        self.bad: BadLine | None = None
        self.damage: CorruptLog | None = None
        self.is_foreign = False
        try:
            self.index.extend(data)
        except BadLine as bad:
            self.bad = bad

    @property
    def problem(self) -> str:
        return self.bad.problem if self.bad else "there is no commit"

    @property
    def is_torn(self) -> bool:
        """Whether only its end is not sound, and nothing of that was ever acknowledged."""
        if self.bad is None or self.index.head is None:
            return False
        known = self.known
        acknowledged = known is not None and not known.relaxed and self.bad.offset < known.size
        return self.bad.is_last and not acknowledged

    @property
    def is_rewritten(self) -> bool:
        """Whether it is another file than that of which the catalog has the beginning."""
        if self.known is None:
            return False
        end = self.data[: self.known.size][-35:-3]
        return self.known.size > len(self.data) or end != self.known.seal.encode()

    def fresh(self) -> list[Place]:
        """The commits that the catalog does not have."""
        had = {first for _, first in self.known.commits} if self.known else set()
        return [place for place in self.index.places if place.first not in had]

    def commits(self) -> list[Commit]:
        """All sound ones."""
        stream = self.index.name[1]
        return [commit_in(self.data[place.start : place.end], stream, place.previous) for place in self.index.places]


def _change_to(known: Known, index: Index) -> Change:
    """All of a conversation as it stands in its file."""
    change = Change(
        file=known.file,
        namespace=known.namespace,
        stream=known.stream,
        size=index.size_bytes,
        seal=index.seal.hex(),
        deleted=index.header_deleted,
        commits=[(place.position, place.first) for place in index.places],
    )
    if index.head is not None and index.entry is not None:
        change.version, change.checksum = index.head.version, index.head.checksum.hex()
        change.entry = changes(None, index.entry) or UNSET
    return change


def _header(known: Known) -> Header:
    return Header(
        format=FORMAT, layout=LAYOUT, namespace=known.namespace, stream=known.stream, salt=secrets.token_hex(16)
    )


def _text_of(header: Header, commits: list[Commit], entry: Entry | None) -> bytes:
    """A conversation's file: of the entry only what it is in the end."""
    text, seal = sealed(header, b"")
    lines = [text]
    for commit in commits:
        change: Changes | None = None
        if commit is commits[-1] and entry is not None:
            change = changes(None, entry)
        text, seal = sealed(line_of(commit, change), seal)
        lines.append(text)
    return b"".join(lines)


def _runs(places: list[Place]) -> Iterator[list[Place]]:
    """Places, each run of them one behind the other in the file."""
    run: list[Place] = []
    for place in places:
        if run and run[-1].last + 1 != place.first:
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _snapshot_in(version: int, text: bytes) -> Snapshot:
    """The snapshot in a file; one that is not whole, where the file is damaged."""
    head, _, data = text.partition(b"\n")
    try:
        stored = msgspec.json.decode(head, type=_StoredSnapshot)
        checksum, seal = bytes.fromhex(stored.checksum), bytes.fromhex(stored.seal)
    except ValueError:
        return Snapshot(0, version, b"", "", text, b"")
    return Snapshot(stored.after, stored.version, checksum, stored.fingerprint, data, seal)


# The folder and the system.


def _check_or_make(path: Path, *, create: bool) -> None:
    """See that this is a store's folder, and make it one where it is new."""
    if path.exists() and not path.is_dir():
        raise NotAStore(f"{path} is no folder, and so not a branchlog store of files")
    if not path.exists():
        if not path.parent.is_dir():
            raise StoreNotFound(str(path), f"there is no folder {str(path.parent)!r}; make it first")
        if not create:
            raise StoreNotFound(str(path), "there is no such folder")
    elif (path / "branchlog.json").exists():
        _check_marker(path / "branchlog.json")
        return
    elif strange := sorted(name for name in os.listdir(path) if name not in OURS and not name.startswith(".")):
        raise NotAStore(f"{path} holds {strange[0]!r}, and is not a branchlog store; it was left as it is")
    elif not create:
        raise StoreNotFound(str(path), "the folder is empty")
    _make(path)


def _check_marker(path: Path) -> None:
    try:
        marker = msgspec.json.decode(path.read_bytes(), type=_Marker)
    except ValueError as error:
        raise CorruptLog(str(path), f"it does not say what the folder is ({error}); restore it from a copy") from error
    if marker.format != FOLDER_FORMAT:
        raise NotAStore(f"{path.parent} is a folder of {marker.format!r}, not a branchlog store of files")
    if marker.layout > FOLDER_LAYOUT:
        raise SchemaVersionError(f"the store {path.parent}", str(marker.layout), str(FOLDER_LAYOUT))


def _make(path: Path) -> None:
    """Make a store of an empty folder, the marker last; others may be at it too."""
    path.mkdir(exist_ok=True)
    (path / "conversations").mkdir(exist_ok=True)
    lock = _open_lock(path / "lock", read_only=False)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (path / "branchlog.json").exists():
            return
        for name, text in ((".gitignore", _GITIGNORE), (".gitattributes", _GITATTRIBUTES)):
            if not (path / name).exists():
                (path / name).write_text(text)
        os.pwrite(lock, b"0", 0)
        marker = msgspec.json.encode(_Marker(FOLDER_FORMAT, FOLDER_LAYOUT)) + b"\n"
        _put_file(path / "branchlog.json", marker)
        for folder in (path, path.parent):
            _sync_folder(folder)
    finally:
        os.close(lock)


def _open_lock(path: Path, *, read_only: bool) -> int:
    flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def _beside(path: Path) -> Path:
    """Where a file is written that is to take this one's place."""
    return path.with_name(f"{path.name}.new")


def _put_file(path: Path, data: bytes) -> None:
    """Put a file in a place, whole or not at all."""
    file = os.open(_beside(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        _write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    _beside(path).rename(path)


def _sync_folder(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_file(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, data[written:])


def _read_file(path: Path, start: int, size: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CorruptLog(str(path), f"the file is missing; {_WAY_OUT}") from None
    try:
        return _pread(file, size, start)
    finally:
        os.close(file)


def _pread(file: int, size: int, start: int) -> bytes:
    """So many bytes, or fewer if the file ends."""
    data = os.pread(file, size, start)
    if len(data) == size:
        return data
    parts = [data]
    while data:
        start += len(data)
        size -= len(data)
        data = os.pread(file, size, start)
        parts.append(data)
    return b"".join(parts)


def _sizes(folder: Path) -> dict[str, int]:
    """The sizes of the conversations' files, by name without ending."""
    if not folder.exists():
        return {}
    with os.scandir(folder) as found:
        return {each.name[:-6]: each.stat().st_size for each in found if each.name.endswith(".jsonl")}


def _warn(where: str, what: str) -> None:
    warnings.warn(LogRepaired(where, what), stacklevel=2)


class _Border:
    """The border, to be entered any number of times: the system's errors become ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            where = error.filename or self._path
            raise BackendError(f"{where}: {error.strerror or error}") from error
