"""What goes into the rows of a store in PostgreSQL, and what comes out of them: seals, digests, entries, commits."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from branchlog.commit import CHECKSUM_BYTES, Commit, Head, genesis, is_whole
from branchlog.errors import ConversationDeleted, CorruptLog
from branchlog.logs.base import NAME_BYTES_MAX, Entry, StoredEntry, canonical, entry_from, stored_entry

COMMIT = "c.first, c.count, c.id, c.at, c.schema, c.data, c.previous, c.checksum, c.position, c.erased"
STREAM = "s.id, s.version, s.checksum, s.deleted, s.seal"
ENTRY = f"{STREAM}, s.title, s.created, s.updated, s.entry, s.entry_seal"


_encode = msgspec.json.encode
_decode_entry = msgspec.json.Decoder(StoredEntry).decode


class Rows:
    """The rows of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.space = sha256(namespace.encode()).digest()[:16]

    def lock(self, stream: str) -> int:
        """The number of the advisory lock of a stream. Two that meet in one wait for each other, and nothing worse."""
        return int.from_bytes(genesis(self.namespace, stream).checksum[:8], signed=True)

    def seal(self, stream: str, head: Head, *, deleted: bool = False) -> bytes:
        """The checksum of a stream's names and head."""
        return _sealed([self.namespace, stream, head.version, head.checksum, deleted])

    def entry_row(self, stream: str, entry: Entry) -> tuple[bytes, int, int, bytes, bytes, list[bytes]]:
        """The columns of an entry: title, created, updated, entry, entry_seal and facets."""
        encoded = _encode(stored_entry(entry))
        title = (entry.title or "").encode()
        seal = self._entry_seal(stream, title, entry.created, entry.updated, encoded)
        return title, entry.created, entry.updated, encoded, seal, self.facets(entry.metadata)

    def _entry_seal(self, stream: str, title: bytes, created: int, updated: int, entry: bytes) -> bytes:
        return _sealed([self.namespace, stream, title, created, updated, entry])

    def facets(self, metadata: dict[str, Any]) -> list[bytes]:
        """The metadata as the digests by which it is found."""
        return sorted(
            sha256(_encode([self.namespace, key, canonical(value)])).digest()[:16] for key, value in metadata.items()
        )

    def commit_row(self, key: int, commit: Commit, position: int) -> tuple[Any, ...]:
        """The columns of a commit of the stream with this key."""
        return (
            position,
            self.space,
            key,
            commit.first,
            commit.count,
            commit.id,
            commit.at,
            commit.schema,
            commit.data,
            commit.previous,
            commit.checksum,
            commit.erased,
        )

    def checked(self, columns: tuple[Any, ...]) -> Head:
        """The head that the columns ``STREAM`` tell, if their seal holds."""
        id, version, checksum, deleted, seal = columns
        head = Head(version, checksum)
        if seal != self.seal(id, head, deleted=deleted):
            raise CorruptLog(f"the catalog row of {id!r}", "it is not as it was written")
        return head

    def living(self, row: Any) -> Head:
        """The head that a row tells which begins with the columns ``STREAM``. Raises ``ConversationDeleted``."""
        head = self.checked(row[:5])
        if row[3]:
            raise ConversationDeleted(row[0])
        return head

    def entry(self, row: Any) -> Entry:
        """The catalog's entry that a row tells which begins with the columns ``ENTRY``."""
        head = self.living(row)
        id, encoded = row["id"], row["entry"]
        seal = self._entry_seal(id, row["title"], row["created"], row["updated"], encoded)
        if seal != row["entry_seal"]:
            raise CorruptLog(f"the catalog entry of {id!r}", "it is not as it was written")
        return entry_from(id, head.version, _decode_entry(encoded))


def _sealed(said: list[Any]) -> bytes:
    return sha256(_encode(said)).digest()[:CHECKSUM_BYTES]


def is_possible(name: str) -> bool:
    """Whether there can be a stream of this name."""
    try:
        return "\0" not in name and 0 < len(name.encode()) <= NAME_BYTES_MAX
    except UnicodeEncodeError:
        return False


def key_of(commit: Commit) -> tuple[str, bytes]:
    """What a commit is known by."""
    return commit.stream, commit.id


def commit_of(stream: str, row: Any) -> Commit:
    """The last ten columns of a row, which are in the order of the fields, as a commit."""
    return Commit(stream, *row[-10:])


def check_whole(commit: Commit) -> None:
    """Raise ``CorruptLog`` for a commit that is not as it was written."""
    if not is_whole(commit):
        raise CorruptLog(f"commit at version {commit.first} of {commit.stream!r}", "it is not as it was written")
