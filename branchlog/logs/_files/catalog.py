"""The catalog of a log in files: what is known of every conversation without opening it, and the order of commits.

A cache, in one file of sealed lines (see ``lines``) that grows by a line with every transaction and is written anew
when something was erased. The first line is its header; each further one has ``changes``, one for each conversation:

    ``file``      the name of the conversation's file, without its ending
    ``namespace``, ``stream``  its name; where it stands in the catalog for the first time
    ``size``, ``seal``  how far the file goes, in bytes, and the seal of its last line
    ``version``, ``checksum``  the head of the stream
    ``commits``   position and first version of each commit that came
    ``entry``     what changed in the entry
    ``deleted``   true, if only the name is left
    ``relaxed``   true, if nobody waited for the disk
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import msgspec
from msgspec import UNSET, UnsetType

from branchlog.commit import Head
from branchlog.errors import BranchlogError
from branchlog.logs._files.lines import BadLine, Changes, Index, changed, changes, opened, sealed
from branchlog.logs.base import Entry, Query, having, selected

FORMAT = "branchlog catalog"
LAYOUT = 1


class CatalogHeader(msgspec.Struct, kw_only=True):
    """The first line: ``position`` is the highest that was given, also to what was deleted since."""

    format: str
    layout: int
    position: int


class Change(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a transaction changed of one conversation."""

    file: str
    namespace: str | UnsetType = UNSET
    stream: str | UnsetType = UNSET
    size: int = 0
    seal: str = ""
    version: int = 0
    checksum: str = ""
    commits: list[tuple[int, int]] = []
    entry: Changes | UnsetType = UNSET
    deleted: bool = False
    relaxed: bool = False


class Transaction(msgspec.Struct):
    """A line behind the header: one, so that its commits are seen together or not at all."""

    changes: list[Change]


_decode_header = msgspec.json.Decoder(CatalogHeader).decode
_decode_transaction = msgspec.json.Decoder(Transaction).decode


@attrs.define(eq=False)
class Known:
    """What is known of one conversation. ``damage`` is what was found wrong with its file, and is not written down."""

    file: str
    namespace: str
    stream: str
    size: int = 0
    seal: str = ""
    head: Head | None = None
    entry: Entry | None = None
    commits: list[tuple[int, int]] = attrs.field(factory=list)
    deleted: bool = False
    relaxed: bool = False
    damage: BranchlogError | None = None


class Catalog:
    """Every conversation of a folder, as far as the catalog's lines were folded."""

    def __init__(self) -> None:
        self.by_file: dict[str, Known] = {}
        self.position = 0
        self.size_bytes = 0
        self._lines = 0
        self._seal = b""
        self._orders: dict[str, list[tuple[int, str, int]]] = {}
        self._unsorted: set[str] = set()

    # Folding.

    def fold(self, data: bytes) -> None:
        """Take in the whole lines of what stands behind what is known; a last line without its end is left for later.

        Raises ``BadLine``.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            line = data[start:end]
            try:
                seal = opened(line, self._seal)
                self._take(line)
            except (ValueError, KeyError, RecursionError) as error:
                raise BadLine(self._lines + 1, self.size_bytes, str(error), is_last=False) from error
            self._seal, self._lines = seal, self._lines + 1
            self.size_bytes += end + 1 - start
            start = end + 1

    def _take(self, line: bytes) -> None:
        if self._lines:
            self.apply(_decode_transaction(line).changes)
            return
        header = _decode_header(line)
        if (header.format, header.layout) != (FORMAT, LAYOUT):
            raise ValueError(f"it is no {FORMAT} of layout {LAYOUT}")
        self.position = header.position

    def apply(self, changes: Iterable[Change]) -> None:
        """Change what is known."""
        came: list[tuple[int, str, Known, int]] = []
        for change in changes:
            known = self._changed(change)
            known.commits += change.commits
            came += [(position, known.file, known, first) for position, first in change.commits]
        for position, file, known, first in sorted(came, key=lambda each: each[0]):
            order = self._orders.setdefault(known.namespace, [])
            if order and order[-1][0] > position:  # only in a catalog that was written anew
                self._unsorted.add(known.namespace)
            order.append((position, file, first))
            self.position = max(self.position, position)

    def _changed(self, change: Change) -> Known:
        known = self.by_file.get(change.file)
        if known is None:
            if change.namespace is UNSET or change.stream is UNSET:
                raise ValueError(f"nothing was said of {change.file!r} before")
            known = self.by_file[change.file] = Known(change.file, change.namespace, change.stream)
        known.size, known.seal, known.relaxed = change.size, change.seal, change.relaxed
        known.deleted = change.deleted
        if change.deleted:
            self.forget(known)
            return known
        known.head = Head(change.version, bytes.fromhex(change.checksum))
        known.entry = changed(known.entry or blank_entry(known.stream), change.entry, change.version)
        return known

    def forget(self, known: Known) -> None:
        """Forget the commits and the entry of a conversation."""
        order = self._orders.get(known.namespace, [])
        if known.commits:
            order[:] = [place for place in order if place[1] != known.file]
        known.commits, known.entry, known.head = [], None, None

    # Writing.

    def line(self, changes: list[Change]) -> bytes:
        """The line of a transaction that follows the last one."""
        return sealed(Transaction(changes), self._seal)[0]

    def whole(self) -> bytes:
        """The catalog written anew: the header, and a line for each conversation as it is now."""
        text, seal = sealed(CatalogHeader(format=FORMAT, layout=LAYOUT, position=self.position), b"")
        lines = [text]
        for known in self.by_file.values():
            text, seal = sealed(Transaction([self.all_of(known)]), seal)
            lines.append(text)
        return b"".join(lines)

    def all_of(self, known: Known) -> Change:
        """A conversation as one change from nothing."""
        change = Change(
            file=known.file,
            namespace=known.namespace,
            stream=known.stream,
            size=known.size,
            seal=known.seal,
            deleted=known.deleted,
            relaxed=known.relaxed,
            commits=known.commits,
        )
        if known.head is not None and known.entry is not None:
            change.version, change.checksum = known.head.version, known.head.checksum.hex()
            change.entry = changes(None, known.entry) or UNSET
        return change

    # Asking.

    def behind(self, namespace: str, position: int) -> Iterator[tuple[int, Known, int]]:
        """Position, conversation and first version of the commits of a namespace with a higher position."""
        order = self._orders.get(namespace, [])
        if namespace in self._unsorted:
            order.sort()
            self._unsorted.discard(namespace)
        for place, file, first in order[bisect_right(order, position, key=lambda each: each[0]) :]:
            yield place, self.by_file[file], first

    def namespaces(self) -> list[str]:
        """Those in which there is a conversation, in order."""
        return sorted({known.namespace for known in self.by_file.values() if known.entry is not None})

    def entries(self, namespace: str, query: Query) -> list[Entry]:
        """The entries that a query asks for."""
        return selected(self.having(namespace, query.metadata), query)

    def having(self, namespace: str, metadata: dict[str, Any]) -> list[Entry]:
        """The entries of a namespace that have these values in their metadata."""
        entries = (known.entry for known in self.by_file.values() if known.namespace == namespace)
        return having((entry for entry in entries if entry is not None), metadata)


def blank_entry(stream: str) -> Entry:
    """The entry of a conversation of which nothing was said yet."""
    return Entry(id=stream, version=0, title=None, metadata={}, created=0, updated=0, nodes=0, branches=0, cursors={})


def change_to(known: Known, index: Index) -> Change:
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
