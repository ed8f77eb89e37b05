"""A log in a folder of JSON Lines: one file a conversation, one line a commit, for git, jq, grep and less.

Layout of the folder (``layout`` 1):

``branchlog.json``
    what the folder is, and the version of its layout
``conversations/*.jsonl``
    a file for each conversation, lines only ever added at its end (see ``_files.lines``); named by what can be read of
    the namespace and the id, and by a hash of both
``conversations/*.broken``
    what stood behind the last sound line of such a file, and was cut off
``snapshots/*/*``
    a folder for each conversation that has some, a file for each (see ``_files.snapshots``); may be deleted any time
``drafts/*/*/*``
    a folder for each conversation with drafts, one for each draft, a file for each piece (see ``_files.drafts``)
``catalog.jsonl``
    what is known of all conversations, and the order of commits (see ``_files.catalog``); may be deleted
``lock``
    locked by whoever writes; its one byte is 1 from before a write until the catalog has it
``.gitignore``, ``.gitattributes``
    keep what is no conversation out of git, and git from changing line ends
``*.new``
    a file that is being written, and takes another's place when it is whole

The conversations' files are the truth. An append writes its lines behind them, waits for the disk, and then adds a
line to the catalog, by which readers see it: durable first, visible then. Whoever takes the lock and finds the byte at
1, and everybody who opens the folder, compares the sizes of all files with the catalog's and reads those that differ;
so what a crash left behind is taken in, a torn last line is cut off, and a catalog that was deleted is made again.

What the catalog has once was acknowledged. Where a file has less, or something else, it was damaged, and the
conversation is refused: damage never passes for a shorter conversation. To take the files as they are (after a
``git checkout`` of an earlier state, say) delete the catalog. With ``durability="relaxed"`` nobody waits for the disk,
and a power loss may take the last commits of each conversation by itself; what is left is then taken for all there is.

One process writes at a time, by ``flock``; readers take no lock. Any number of processes may have the folder open, on a
local file system.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from branchlog.commit import Commit, Head, Snapshot, erase
from branchlog.errors import ConversationNotFound
from branchlog.logs._files import drafts, snapshots
from branchlog.logs._files.batch import Batch
from branchlog.logs._files.folder import Durability, Folder
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
    check_commit,
    check_draft,
    check_name,
    erasable,
    outcome,
    placed,
    repeated,
)


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
        _folder: Folder | None = None,
    ) -> None:
        """Open a store's folder, or make a new one (not if ``create`` is false).

        ``read_only`` leaves every byte as it is, and of a damaged conversation gives what stands before the damage,
        with the warning ``LogRepaired``; otherwise such a conversation raises ``CorruptLog``.

        Raises ``StoreNotFound`` where there is no folder or none to make it in, ``NotAStore`` for one that holds
        something else (which is left as it is), ``SchemaVersionError`` for one of a later layout, ``CorruptLog`` for a
        damaged marker and ``BackendError`` where the file system refuses.
        """
        self.namespace = check_name(namespace, "a namespace", empty=True)
        self._folder = _folder or Folder(Path(path), durability, create=create, read_only=read_only)

    @property
    def abilities(self) -> Abilities:
        return Abilities(
            durable=self._folder.durability == "full",
            persistent=True,
            shared=True,
            snapshots=True,
            erases=True,
            drafts=True,
        )

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self._folder.path

    def within(self, namespace: str) -> FilesLog:
        return FilesLog(self.path, namespace=namespace, _folder=self._folder)

    def reopened(self) -> FilesLog:
        folder = Folder(self.path, self._folder.durability, create=False, read_only=True, salvage=False)
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

    def _append(self, batch: Batch, commit: Commit, expected: ExpectedVersion, entry: Entry | None) -> Appended:
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
            snapshots.put(self._folder.snapshots_of(known), snapshot)
        return True

    def drop_snapshots(self, stream: str) -> int:
        with self._folder.writing(), self._folder.state:
            known = self._folder.known(self.namespace, stream)
            return snapshots.drop(self._folder.snapshots_of(known)) if known else 0

    def extend_draft(self, stream: str, draft: bytes, number: int, piece: bytes) -> None:
        check_draft(draft, number)
        with self._folder.writing(), self._folder.state:
            known = self._folder.known(self.namespace, stream)
            if known is None:
                raise ConversationNotFound(stream)
            drafts.extend(self._folder.drafts_of(known), draft, number, piece, durable=self.abilities.durable)

    def drop_draft(self, stream: str, draft: bytes) -> bool:
        with self._folder.writing(), self._folder.state:
            known = self._folder.known(self.namespace, stream)
            return drafts.drop(self._folder.drafts_of(known), draft) if known else False

    # Reading.

    def drafts(self, stream: str) -> list[Draft]:
        def work() -> list[Draft]:
            known = self._folder.known(self.namespace, stream)
            return drafts.kept(self._folder.drafts_of(known)) if known else []

        return self._folder.read(work)

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
            return _own(known.entry) if known and known.entry else None

        return self._folder.read(work)

    def entries(self, query: Query) -> list[Entry]:
        return self._folder.read(lambda: [_own(entry) for entry in self._folder.catalog.entries(self.namespace, query)])

    def count(self, metadata: dict[str, Any]) -> int:
        return self._folder.read(lambda: len(self._folder.catalog.having(self.namespace, metadata)))

    def namespaces(self) -> list[str]:
        return self._folder.read(self._folder.namespaces)

    def snapshots(self, stream: str) -> list[Snapshot]:
        def work() -> list[Snapshot]:
            known = self._folder.known(self.namespace, stream)
            return snapshots.kept(self._folder.snapshots_of(known)) if known else []

        return self._folder.read(work)

    def examine(self) -> Examination:
        return self._folder.read(self._folder.examine)


def _own(entry: Entry) -> Entry:
    """An entry for the caller to keep: what he does to its metadata is not done to the catalog's."""
    return msgspec.structs.replace(entry, metadata=copy.deepcopy(entry.metadata), cursors=dict(entry.cursors))
