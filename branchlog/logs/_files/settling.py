"""Comparing the files of a log with its catalog: what a crash left behind, what others brought, and what is damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from branchlog.commit import Commit
from branchlog.errors import BackendError, CorruptLog, SchemaVersionError
from branchlog.logs._files.catalog import Change, Known, change_to
from branchlog.logs._files.disk import WAY_OUT, put_file, sizes, sync_file, sync_folder, warn
from branchlog.logs._files.lines import BadLine, Index, Place, commit_in, file_name, header_of, text_of

if TYPE_CHECKING:
    from branchlog.logs._files.folder import Folder


class Settling:
    """Puts the catalog of a folder right by its files, and the ends of the files right."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def settle(self) -> None:
        """Put the catalog right by the files, and the files' ends right; then take back the sign of a write."""
        self._folder.unreadable.clear()
        self._folder.strangers.clear()
        if not self._folder.read_only:
            self._folder.conversations.mkdir(exist_ok=True)  # git keeps no empty folder
            for left in (*self._folder.conversations.glob("*.new"), *self._folder.path.glob("*.new")):
                left.unlink()
        there = sizes(self._folder.conversations)
        found = [self._looked_at(file) for file, size in there.items() if self._differs(file, size)]
        for file in self._folder.catalog.by_file.keys() - there.keys():
            known = self._folder.catalog.by_file[file]
            known.damage = CorruptLog(str(self._folder.file(file)), f"the file is missing; {WAY_OUT}")
        self._take_in([each for each in found if each is not None])

    def _differs(self, file: str, size: int) -> bool:
        known = self._folder.catalog.by_file.get(file)
        return known is None or known.size != size

    def _looked_at(self, file: str) -> _Found | None:
        """Read a file that is not as the catalog has it; None if nothing can be taken in of it."""
        path, known = self._folder.file(file), self._folder.catalog.by_file.get(file)
        try:
            found = _Found(file, known, path.read_bytes())
        except SchemaVersionError as error:
            self._folder.unreadable[file] = error
            return None
        if found.index.header is None or (found.index.head is None and not found.index.header_deleted):
            self._without_commit(found)
            return None
        if file_name(*found.index.name) != file:
            right = f"{file_name(*found.index.name)}.jsonl"
            self._folder.strangers[file] = f"{path}: its name would be {right} for what it holds; it is passed over"
            warn(str(path), f"its name would be {right} for what it holds; it is passed over")
            return None
        if found.is_torn and not self._folder.read_only:
            self._cut(found)
        found.damage = self._damage(found, path)
        if found.damage is not None and self._folder.salvage:
            warn(found.damage.where, f"{found.damage.problem}; what is sound is read")
        elif found.damage is not None and known is not None:
            known.damage = found.damage
            return None
        return found

    def _without_commit(self, found: _Found) -> None:
        where = f"{self._folder.file(found.file)} line {found.index.lines + 1}"
        self._folder.unreadable[found.file] = CorruptLog(where, f"{found.problem}; {WAY_OUT}")
        warn(where, f"{found.problem}; the conversation cannot be read")

    def _damage(self, found: _Found, path: Path) -> CorruptLog | None:
        """What is wrong with a file beyond a torn end."""
        if found.bad is not None and not found.is_torn:
            return CorruptLog(f"{path} line {found.bad.number}", f"{found.bad.problem}; {WAY_OUT}")
        known = found.known
        if known is None or known.relaxed or known.head is None or found.index.header_deleted:
            return None
        place = next((each for each in reversed(found.index.places) if each.last <= known.head.version), None)
        if place is None or place.head != known.head:
            ends = found.index.head.version if found.index.head else 0
            return CorruptLog(
                f"{path} line {found.index.lines}",
                f"it ends at version {ends} or tells another story: version {known.head.version} was written;"
                f" {WAY_OUT}",
            )
        return None

    def _cut(self, found: _Found) -> None:
        """Keep aside what stands behind the last sound line, and cut it off."""
        path, size = self._folder.file(found.file), found.index.size_bytes
        with self._folder.broken(found.file).open("ab") as aside:
            aside.write(found.data[size:])
            aside.flush()
            os.fsync(aside.fileno())
        sync_folder(self._folder.conversations)
        os.truncate(path, size)
        sync_file(path)
        where = f"{path} line {found.index.lines + 1}"
        warn(where, f"{found.problem}; {len(found.data) - size} bytes were cut off and are in {found.file}.broken")

    def _take_in(self, found: list[_Found]) -> None:
        anew = self._folder.catalog_file < 0 or not self._folder.catalog.size_bytes
        taken: set[int] = set()
        highest = self._folder.catalog.position
        for each in found:
            fresh = each.fresh()
            each.is_foreign = any(place.position <= highest or place.position in taken for place in fresh)
            if not each.is_foreign:
                taken.update(place.position for place in fresh)
        changes = [self._known_by(each) for each in found if not each.is_foreign]
        self._folder.catalog.apply(changes)
        self._folder.catalog.position = max(
            [self._folder.catalog.position, *(each.index.header_position for each in found)]
        )
        foreign = [each for each in found if each.is_foreign]
        for each in foreign:
            change = self._renumbered(each)
            if change is not None:
                self._folder.catalog.apply([change])
                changes.append(change)
        if self._folder.read_only:
            return
        self._keep(found, changes, anew=anew or bool(foreign) or any(each.is_rewritten for each in found))

    def _keep(self, found: list[_Found], changes: list[Change], *, anew: bool) -> None:
        """Make what was taken in durable, and write it to the catalog."""
        self._folder.mark(b"1")
        for each in found:
            if not each.is_foreign:
                self._write_again(each)
        if found:
            self._folder.sync_folder(self._folder.conversations)
        if anew or changes or os.fstat(self._folder.catalog_file).st_size != self._folder.catalog.size_bytes:
            self._folder.write_catalog()
            for each in found:
                if each.damage is not None and each.file in self._folder.catalog.by_file:
                    self._folder.catalog.by_file[each.file].damage = each.damage
        self._folder.mark(b"0")

    def _write_again(self, found: _Found) -> None:
        """Write the end of a file once more and wait for the disk.

        A sync that failed may have left it in memory only, where the system takes it for written.
        """
        if self._folder.durability != "full" or found.damage is not None:
            return
        start = found.known.size if found.known is not None and not found.is_rewritten else 0
        file = os.open(self._folder.file(found.file), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(file, found.data[start : found.index.size_bytes], start)
            os.fsync(file)
        finally:
            os.close(file)

    def _known_by(self, found: _Found) -> Change:
        """What is to be known of a file that was looked at."""
        known = self._folder.catalog.by_file.get(found.file)
        if known is None:
            header = found.index.header
            known = Known(found.file, *found.index.name) if header else Known(found.file, "", "")
        else:
            self._folder.catalog.forget(known)
        change = change_to(known, found.index)
        if found.damage is not None:
            self._folder.catalog.by_file[found.file] = known
            known.damage = found.damage
        return change

    def _renumbered(self, found: _Found) -> Change | None:
        """Give the commits that came from elsewhere positions of this log, behind all that it has given."""
        path = self._folder.file(found.file)
        if self._folder.read_only or found.damage is not None:
            problem = "its positions are another log's; open the store for writing, and they are given anew"
            self._folder.unreadable[found.file] = BackendError(f"{path}: {problem}")
            warn(str(path), problem)
            return None
        known = found.known or Known(found.file, *found.index.name)
        fresh = {place.first for place in found.fresh()}
        commits = []
        for commit in found.commits():
            if commit.first in fresh:
                self._folder.catalog.position += 1
                commit = msgspec.structs.replace(commit, position=self._folder.catalog.position)  # noqa: PLW2901 - it is the same
            commits.append(commit)
        text = text_of(header_of(known.namespace, known.stream), commits, found.index.entry)
        index = Index()
        index.extend(text)
        put_file(path, text)
        self._folder.catalog.forget(known)
        warn(str(path), f"it came from another log; {len(fresh)} commits were given positions of this one")
        return change_to(known, index)


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
