"""The folder of a log in files: what is known of it, its locks, and the reading and writing of its files."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import Literal, TypeAlias, TypeVar

from branchlog.commit import Commit, Head, verified
from branchlog.errors import BackendError, BranchlogError, ConversationDeleted, CorruptLog, LogClosed
from branchlog.logs._files import drafts, snapshots
from branchlog.logs._files.batch import Batch, Draft
from branchlog.logs._files.catalog import Catalog, Known, change_to
from branchlog.logs._files.disk import (
    FOLDER_LAYOUT,
    NO_ROOM,
    WAY_OUT,
    Border,
    beside,
    check_or_make,
    open_lock,
    pread,
    put_file,
    read_file,
    sync_content,
    sync_file,
    sync_folder,
    warn,
    write_all,
)
from branchlog.logs._files.lines import BadLine, Header, Index, Place, commit_in, file_name, header_of, text_of
from branchlog.logs._files.settling import Settling
from branchlog.logs.base import Entry, Examination

T = TypeVar("T")
Durability: TypeAlias = Literal["full", "relaxed"]

LOCK_SECONDS = 60.0
"""How long a write waits for other processes: a thousand times the longest commit, and an end to a hang."""

PLACES_MAX = 200_000
"""Commits of which the place in their file is kept in memory: some 60 MB."""

PATHS_MAX = 4_096
"""Paths that are kept: to make one takes five microseconds, and an append needs three."""

SYNC_THREADS = 8
"""Files that are synced at once: the file system writes its journal once for several that wait together."""


class Folder:
    """The folder of a log in files.

    ``state`` guards what is known; nobody waits for the disk or for another process while holding it, but to erase and
    to put right what a crash left behind.
    """

    def __init__(
        self, path: Path, durability: Durability, *, create: bool, read_only: bool, salvage: bool | None = None
    ) -> None:
        self.path = path = path.absolute()  # whatever the working directory will be
        self.durability = durability
        self.state = RLock()
        self.catalog = Catalog()
        self.salvage = read_only if salvage is None else salvage
        self.conversations, self._snapshots, self._drafts = (
            path / name for name in ("conversations", "snapshots", "drafts")
        )
        self._catalog_path, self._lock_path = path / "catalog.jsonl", path / "lock"
        self._writing = Lock()
        self._border = Border(path)
        self._closed = False
        self._failed: BaseException | None = None
        self._indexes: dict[str, Index] = {}
        self._paths: dict[str, Path] = {}
        self.unreadable: dict[str, BranchlogError] = {}
        self.strangers: dict[str, str] = {}
        self.catalog_file = self._lock_file = self._catalog_inode = -1
        with self._border:
            check_or_make(path, create=create and not read_only)
            self.read_only = read_only or not (
                os.access(path, os.W_OK)
                and (not self.conversations.exists() or os.access(self.conversations, os.W_OK))
                and (not self._lock_path.exists() or os.access(self._lock_path, os.W_OK))
            )
            self._open()

    def _open(self) -> None:
        try:
            if not self.read_only or self._lock_path.exists():
                self._lock_file = open_lock(self._lock_path, read_only=self.read_only)
                self._take_lock(self._lock_file, fcntl.LOCK_SH if self.read_only else fcntl.LOCK_EX)
            self.load()
            Settling(self).settle()
            self._release()
        except BaseException:
            self._let_go()
            raise

    @contextmanager
    def writing(self) -> Iterator[Batch]:
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
                        Settling(self).settle()
                yield Batch(self)
            finally:
                self._release()

    def _take_lock(self, file: int, kind: int) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        pause = 0.0001
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackendError(
                        f"{self.path}: another process kept it locked for {LOCK_SECONDS:.0f} seconds"
                    ) from None
            else:
                return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.005)

    def _release(self) -> None:
        if self._lock_file >= 0:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def mark(self, mark: bytes) -> None:
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
                    self.load()
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
        file = open_lock(self._lock_path, read_only=True)
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
        for file in (self.catalog_file, self._lock_file):
            if file >= 0:
                os.close(file)
        self.catalog_file = self._lock_file = -1

    # What is known.

    def known(self, namespace: str, stream: str) -> Known | None:
        """A conversation, None if there is none. Raises ``ConversationDeleted``, or what is wrong with its file."""
        file = file_name(namespace, stream)
        if file in self.unreadable:
            raise self.unreadable[file]
        known = self.catalog.by_file.get(file)
        if known is None:
            return None
        if (known.namespace, known.stream) != (namespace, stream):
            raise CorruptLog(str(self.file(file)), f"it is the file of {known.stream!r}, not of {stream!r}")
        if known.deleted:
            raise ConversationDeleted(stream)
        if self.salvage:
            self.index(known)
        elif known.damage is not None:
            raise known.damage
        return known

    def _refresh(self) -> None:
        """Take in what others have written to the catalog."""
        try:
            now = self._catalog_path.stat()
        except FileNotFoundError:
            if self.catalog_file < 0:  # a folder without one, opened for reading only
                return
            raise BackendError(f"{self.path}: the catalog was deleted meanwhile; open the store again") from None
        if now.st_ino != self._catalog_inode:
            self.load()
        elif now.st_size > self.catalog.size_bytes:
            self._fold(now.st_size)

    def _fold(self, size: int) -> None:
        start = self.catalog.size_bytes
        try:
            self.catalog.fold(pread(self.catalog_file, size - start, start))
        except BadLine as bad:
            raise CorruptLog(
                f"{self._catalog_path} line {bad.number}", f"{bad.problem}; open the store again, and it is made anew"
            ) from bad

    def load(self) -> None:
        """Read the catalog from its beginning; where there is none, or no sound one, begin with nothing."""
        self._indexes.clear()
        damage = {file: known.damage for file, known in self.catalog.by_file.items() if known.damage}
        if self.catalog_file >= 0:
            os.close(self.catalog_file)
        self.catalog_file = self._catalog_inode = -1
        self.catalog = Catalog()
        flags = os.O_RDONLY if self.read_only else os.O_RDWR | os.O_APPEND
        try:
            self.catalog_file = os.open(self._catalog_path, flags | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        status = os.fstat(self.catalog_file)
        self._catalog_inode = status.st_ino
        try:
            self.catalog.fold(pread(self.catalog_file, status.st_size, 0))
        except BadLine as bad:
            warn(f"{self._catalog_path} line {bad.number}", f"{bad.problem}; the catalog is made from the files again")
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
        path = self.file(known.file)
        data = read_file(path, index.size_bytes, known.size - index.size_bytes)
        try:
            index.extend(data)
        except BadLine as bad:
            where = f"{path} line {bad.number}"
            if self.salvage and index.head is not None:
                warn(where, f"{bad.problem}; what stands before it is read")
                self._shorten(known, index)
                return index
            raise CorruptLog(where, f"{bad.problem}; {WAY_OUT}") from bad
        if index.size_bytes != known.size or index.seal.hex() != known.seal or index.head != known.head:
            raise CorruptLog(
                f"{path} line {index.lines}", f"the file ends here, or is not the one that was written; {WAY_OUT}"
            )
        return index

    def _shorten(self, known: Known, index: Index) -> None:
        """Know only the sound lines of a conversation."""
        self.catalog.forget(known)
        self.catalog.apply([change_to(known, index)])

    def file(self, file: str) -> Path:
        """A conversation's file, given its name without ending."""
        path = self._paths.get(file)
        if path is None:
            if len(self._paths) >= PATHS_MAX:
                self._paths.clear()
            path = self._paths[file] = self.conversations / f"{file}.jsonl"
        return path

    def check_unchanged(self, file: str, known: Known | None) -> None:
        """Raise ``CorruptLog`` if another program has put or changed a conversation's file: nothing goes over it."""
        path = self.file(file)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size != (known.size if known else 0):
            raise CorruptLog(
                str(path), "another program has changed the file since the store was opened; open the store again"
            )

    # Reading commits.

    def commits(self, known: Known, places: Sequence[Place]) -> list[Commit]:
        """Commits that follow one another in a file, verified."""
        if not places:
            return []
        path, start = self.file(known.file), places[0].start
        data = read_file(path, start, places[-1].end - start)
        try:
            commits = [
                commit_in(data[place.start - start : place.end - start], known.stream, place.previous)
                for place in places
            ]
        except ValueError as error:
            raise CorruptLog(str(path), f"a line after version {places[0].first - 1}: {error}; {WAY_OUT}") from error
        if [commit.position for commit in commits] != [place.position for place in places]:
            raise CorruptLog(str(path), f"positions are not those that were written; {WAY_OUT}")
        return list(verified(commits, Head(places[0].first - 1, places[0].previous)))

    def all_behind(self, namespace: str, after: int, limit: int | None) -> list[Commit]:
        """The commits of a namespace with a higher position, at most so many, in order of positions."""
        if self.unreadable and not self.salvage:
            raise next(iter(self.unreadable.values()))
        wanted: list[tuple[Known, Place]] = []
        for position, known, first in self.catalog.behind(namespace, after):
            if len(wanted) == limit:
                break
            if known.damage is not None and not self.salvage:
                raise known.damage
            place = self.index(known).starting(first)
            if place is None and self.salvage:
                continue  # behind the damage
            if place is None or place.position != position:
                raise CorruptLog(str(self.file(known.file)), f"no commit at version {first} has position {position}")
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

    def write(self, batch: Batch) -> None:
        """Write what a batch has to its files and wait for the disk; then tell the catalog, and so all readers."""
        drafts = batch.drafts
        if not drafts:
            return
        self.mark(b"1")
        try:
            self._write_lines(drafts)
            with self.state:
                self._publish(drafts)
        except BaseException as error:
            if not (isinstance(error, OSError) and error.errno in NO_ROOM and self._took_back(drafts)):
                self._failed = error
            raise
        self.mark(b"0")

    def _publish(self, drafts: list[Draft]) -> None:
        """Add a line to the catalog: from now on readers see what was written."""
        line = self.catalog.line([draft.change(relaxed=self.durability != "full") for draft in drafts])
        write_all(self.catalog_file, line)
        for draft in drafts:
            draft.index_written()  # before what is known of them changes
        self.catalog.fold(line)
        for draft in drafts:
            self._indexes[draft.known.file] = draft.index

    def _write_lines(self, drafts: list[Draft]) -> None:
        files = []
        try:
            for draft in drafts:
                path = self.file(draft.known.file)
                if draft.is_new:
                    path, flags = beside(path), os.O_CREAT | os.O_TRUNC
                else:
                    flags = os.O_APPEND
                files.append(os.open(path, flags | os.O_WRONLY | os.O_CLOEXEC, 0o666))
                write_all(files[-1], b"".join(draft.text))
            self._sync(files)
        finally:
            for file in files:
                os.close(file)
        new = [draft for draft in drafts if draft.is_new]
        for draft in new:
            path = self.file(draft.known.file)
            beside(path).rename(path)
        if new:
            self.sync_folder(self.conversations)

    def _sync(self, files: list[int]) -> None:
        if self.durability != "full":
            return
        with self._syncing():
            if len(files) == 1:
                sync_content(files[0])
                return
            with ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="branchlog-sync") as threads:
                list(threads.map(sync_content, files))

    @contextmanager
    def _syncing(self) -> Iterator[None]:
        """Whatever it is that fails: nobody knows then what is on the disk, so that nothing can be taken back."""
        try:
            yield
        except OSError as error:
            raise BackendError(f"{self.path}: the disk failed ({error.strerror}); open the store again") from error

    def sync_folder(self, folder: Path) -> None:
        """Wait until the disk has the names in a folder."""
        if self.durability == "full":
            with self._syncing():
                sync_folder(folder)

    def _took_back(self, drafts: list[Draft]) -> bool:
        """Cut off what was written of a batch, on a full disk; whether that was possible."""
        try:
            with self.state:
                os.truncate(self._catalog_path, self.catalog.size_bytes)
            for draft in drafts:
                path = self.file(draft.known.file)
                if draft.is_new:
                    beside(path).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
                else:
                    os.truncate(path, draft.known.size)
                    sync_file(path)
            self.mark(b"0")
        except OSError:
            return False
        else:
            return True

    # Erasing.

    def rewrite(self, draft: Draft, erased: dict[int, Commit]) -> None:
        """Write a conversation's file anew, with what is to be appended and with other payloads for some commits."""
        known = draft.known
        lines = [*self.commits(known, draft.index.places), *draft.staged.values()]
        lines = [erased.get(commit.first, commit) for commit in lines]
        self._replace(known, header_of(known.namespace, known.stream), lines, draft.entry)

    def entomb(self, known: Known) -> None:
        """Leave nothing of a conversation but its name and its last position."""
        header = header_of(known.namespace, known.stream)
        header.deleted, header.position = True, max((position for position, _ in known.commits), default=0)
        self._replace(known, header, [], None)

    def _replace(self, known: Known, header: Header, commits: list[Commit], entry: Entry | None) -> None:
        """Put another file in the place of a conversation's, and leave no trace of the old one."""
        index = Index()
        text = text_of(header, commits, entry)
        index.extend(text)
        self.mark(b"1")
        try:
            self._clear_beside(known)
            put_file(self.file(known.file), text)
            sync_folder(self.conversations)
            self.catalog.forget(known)
            self.catalog.apply([change_to(known, index)])
            self.write_catalog()
        except BaseException as error:
            self._failed = error
            raise
        self.mark(b"0")

    def _clear_beside(self, known: Known) -> None:
        snapshots.drop(self.snapshots_of(known))
        drafts.drop_all(self.drafts_of(known))
        self.broken(known.file).unlink(missing_ok=True)

    def snapshots_of(self, known: Known) -> Path:
        """The folder of a conversation's snapshots."""
        return self._snapshots / known.file

    def drafts_of(self, known: Known) -> Path:
        """The folder of a conversation's drafts."""
        return self._drafts / known.file

    def broken(self, file: str) -> Path:
        """Where what was cut off a conversation's file is kept."""
        return self.conversations / f"{file}.broken"

    def write_catalog(self) -> None:
        """Write the catalog anew."""
        put_file(self._catalog_path, self.catalog.whole())
        sync_folder(self.path)
        self.load()

    # Looking at it all.

    def namespaces(self) -> list[str]:
        """Every namespace in which there is a conversation, in order."""
        return self.catalog.namespaces()

    def examine(self) -> Examination:
        """Read everything."""
        problems = [*map(str, self.unreadable.values()), *self.strangers.values()]
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
