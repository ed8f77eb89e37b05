"""What one transaction is to write, conversation by conversation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
import msgspec
from msgspec import UNSET

from branchlog.commit import Commit, Head
from branchlog.logs._files.catalog import Change, Known
from branchlog.logs._files.lines import Index, Line, changes, file_name, header_of, line_of, sealed
from branchlog.logs.base import Entry, bare_entry

if TYPE_CHECKING:
    from branchlog.logs._files.folder import Folder


@attrs.define(eq=False)
class Draft:
    """What is to be written behind a conversation's file."""

    folder: Folder
    known: Known
    index: Index
    head: Head | None
    entry: Entry | None
    seal: bytes
    text: list[bytes] = attrs.field(factory=list)
    lines: list[tuple[Line, int, bytes]] = attrs.field(factory=list)
    staged: dict[bytes, Commit] = attrs.field(factory=dict)

    @property
    def is_new(self) -> bool:
        return not self.known.size

    def stored(self, id: bytes) -> Commit | None:
        """The commit of this id, in the file or about to be written."""
        place = self.index.by_id(id)
        if place is not None:
            return self.folder.commits(self.known, [place])[0]
        return self.staged.get(id)

    def commits_at(self, firsts: Iterable[int]) -> list[Commit]:
        """The commits in the file whose first events have these versions."""
        places = [self.index.starting(first) for first in firsts]
        return [self.folder.commits(self.known, [place])[0] for place in places if place is not None]

    def add(self, commit: Commit, entry: Entry | None) -> None:
        before = self.entry or bare_entry(commit)
        after = msgspec.structs.replace(entry or before, version=commit.last)
        self._write(line_of(commit, changes(before, after)), after)
        self.head = commit.head
        self.staged[commit.id] = commit

    def add_entry(self, entry: Entry) -> None:
        change = changes(self.entry, entry)
        if change is not None:
            self._write(Line(entry=change), entry)

    def _write(self, line: Line, entry: Entry) -> None:
        seal, text = self.seal, []
        if self.is_new and not self.text:
            header, seal = sealed(header_of(self.known.namespace, self.known.stream), b"")
            text.append(header)
        added, seal = sealed(line, seal)
        self.text += [*text, added]
        self.lines.append((line, len(added), seal))
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
            commits=[(commit.position, commit.first) for commit in self.staged.values()],
            relaxed=relaxed,
        )
        if self.is_new:
            change.namespace, change.stream = self.known.namespace, self.known.stream
        if len(self.lines) == 1 and not self.is_new:
            change.entry = self.lines[0][0].entry
        elif self.entry is not None:
            change.entry = changes(self.known.entry, self.entry) or UNSET
        return change

    def index_written(self) -> None:
        """Index the lines, which are in the file now."""
        if self.is_new:
            self.index.extend(b"".join(self.text))
            return
        for line, size, seal in self.lines:
            self.index.add(line, self.index.size_bytes + size, seal)


class Batch:
    """What one transaction is to write."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._position = folder.catalog.position
        self._drafts: dict[str, Draft] = {}

    @property
    def drafts(self) -> list[Draft]:
        """Those of which something is to be written."""
        return [draft for draft in self._drafts.values() if draft.text]

    def draft(self, namespace: str, stream: str) -> Draft:
        """What is to be written of a conversation, and the conversation as it will be then."""
        file = file_name(namespace, stream)
        draft = self._drafts.get(file)
        if draft is None:
            known = self._folder.known(namespace, stream)
            self._folder.check_unchanged(file, known)
            if known is None:
                draft = Draft(self._folder, Known(file, namespace, stream), Index(), None, None, b"")
            else:
                index = self._folder.index(known)
                draft = Draft(self._folder, known, index, known.head, known.entry, index.seal)
            self._drafts[file] = draft
        return draft

    def add(self, draft: Draft, commit: Commit, entry: Entry | None) -> Commit:
        """Put a commit that was found to fit at the end; the commit with its position."""
        commit = msgspec.structs.replace(commit, position=self._position + 1)
        draft.add(commit, entry)
        self._position += 1
        return commit
