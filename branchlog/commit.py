"""What a log keeps: commits, and snapshots.

A commit is the events of one append, as bytes, with their place in the log.

The commit is the atom of every backend: a row, a line, a message or an object, there whole or not at all.

**Checksums.** Each commit carries a checksum of all that it says and of the checksum before it, so that a flipped bit,
a lost, swapped or repeated commit is found on reading. The chain of a stream begins at ``genesis``, which depends on
the namespace and the name of the stream: a commit cannot pass for one of another stream. The payload enters by its
own digest. The checksum finds damage; it is not a signature.

This module imports nothing of branchlog's own but the errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from branchlog.errors import CorruptLog

DIGEST_BYTES = 32

CHECKSUM_BYTES = 16
"""128 of SHA-256's bits: beyond any chance of a random change passing, and half the bytes."""


class Head(msgspec.Struct, frozen=True):
    """Where a stream ends: its version (number of events) and the checksum of its last commit."""

    version: int
    checksum: bytes


class Commit(msgspec.Struct, frozen=True, gc=False):
    """The events of one append, as bytes, with their place.

    The events have the versions ``first`` to ``first + count - 1``; versions begin at 1. ``id`` is 16 bytes, unique in
    the stream. ``at`` is the time of the append in microseconds since 1970 UTC. ``schema`` is the version of the event
    vocabulary. ``data`` is the events as a JSON array. ``previous`` is the checksum of the commit before.
    ``position`` is the place in the whole log, 0 until the log has given one. ``erased`` is empty, or where the payload
    was erased and ``data`` is what stands in its place, the digest of the payload and a checksum of ``data``.
    """

    stream: str
    first: int
    count: int
    id: bytes
    at: int
    schema: str
    data: bytes
    previous: bytes
    checksum: bytes
    position: int = 0
    erased: bytes = b""

    @property
    def digest(self) -> bytes:
        """The digest of the payload, also of one that was erased."""
        return self.erased[:DIGEST_BYTES] if self.erased else sha256(self.data).digest()

    @property
    def last(self) -> int:
        """The version of the last event of this commit."""
        return self.first + self.count - 1

    @property
    def head(self) -> Head:
        """Where the stream ends when this commit is its last."""
        return Head(self.last, self.checksum)


class Snapshot(msgspec.Struct, frozen=True):
    """A cache of what the events after version ``after`` up to ``version`` come to, as bytes.

    ``checksum`` is that of the commit that ends at ``version``: the stream that the snapshot is of, to the letter.
    ``fingerprint`` tells what made the bytes. ``seal`` is a checksum of all this.
    """

    after: int
    version: int
    checksum: bytes
    fingerprint: str
    data: bytes
    seal: bytes

    def is_whole(self) -> bool:
        """Whether the seal matches what it says."""
        return self.seal == _snapshot_seal(self.after, self.version, self.checksum, self.fingerprint, self.data)


def snapshot(after: int, head: Head, fingerprint: str, data: bytes) -> Snapshot:
    """Make the snapshot of the events after ``after`` up to ``head``."""
    seal = _snapshot_seal(after, head.version, head.checksum, fingerprint, data)
    return Snapshot(after, head.version, head.checksum, fingerprint, data, seal)


def _snapshot_seal(after: int, version: int, checksum: bytes, fingerprint: str, data: bytes) -> bytes:
    said = b"%d|%d|%b|%b|" % (after, version, checksum, fingerprint.encode())
    return sha256(said + data).digest()[:CHECKSUM_BYTES]


def genesis(namespace: str, stream: str) -> Head:
    """The head of a stream that has no commit yet."""
    return Head(
        0, sha256(f"branchlog\0{namespace}\0{stream}".encode("utf-8", "surrogatepass")).digest()[:CHECKSUM_BYTES]
    )


def checksum(previous: bytes, first: int, count: int, id: bytes, at: int, schema: str, digest: bytes) -> bytes:
    """The checksum of a commit that follows the one whose checksum is ``previous``; ``digest`` is its payload's."""
    place = b"%b%b%d|%d|%d|%b|" % (previous, id, first, count, at, schema.encode())
    return sha256(place + digest).digest()[:CHECKSUM_BYTES]


def erase(commit: Commit, data: bytes) -> Commit:
    """The commit with other data in place of its payload, of which the digest is kept so that the chain holds."""
    digest = commit.digest
    return msgspec.structs.replace(commit, data=data, erased=digest + _erasure(digest, data))


def _erasure(digest: bytes, data: bytes) -> bytes:
    return sha256(digest + data).digest()[:CHECKSUM_BYTES]


def seal(stream: str, head: Head, *, count: int, id: bytes, at: int, schema: str, data: bytes) -> Commit:
    """Make the commit that follows ``head``."""
    first = head.version + 1
    sealed = checksum(head.checksum, first, count, id, at, schema, sha256(data).digest())
    return Commit(stream, first, count, id, at, schema, data, head.checksum, sealed)


def reseal(commit: Commit, head: Head) -> Commit:
    """Make the same commit follow another head."""
    return seal(
        commit.stream,
        head,
        count=commit.count,
        id=commit.id,
        at=commit.at,
        schema=commit.schema,
        data=commit.data,
    )


def same_content(one: Commit, other: Commit) -> bool:
    """Whether two commits of one id say the same, wherever they stand."""
    return (one.count, one.schema, one.digest) == (other.count, other.schema, other.digest)


def verified(commits: Iterable[Commit], after: Head) -> Iterator[Commit]:
    """Pass on the commits of one stream that follow ``after``, each one checked against the one before.

    Raises ``CorruptLog`` at the first that is missing, out of place or not as it was written.
    """
    first, previous = after.version + 1, after.checksum
    for commit in commits:
        if commit.first != first:
            raise CorruptLog(_where(commit), f"expected version {first} here: commits are missing or out of order")
        if commit.previous != previous or not is_whole(commit):
            raise CorruptLog(_where(commit), "the checksum does not match: the commit is not as it was written")
        yield commit
        first, previous = first + commit.count, commit.checksum


def is_whole(commit: Commit) -> bool:
    """Whether the commit's checksum matches what it says."""
    erased = commit.erased
    if not erased:
        digest = sha256(commit.data).digest()
    elif erased != (digest := commit.digest) + _erasure(digest, commit.data):
        return False
    return commit.checksum == checksum(
        commit.previous, commit.first, commit.count, commit.id, commit.at, commit.schema, digest
    )


def _where(commit: Commit) -> str:
    return f"commit at version {commit.first} of {commit.stream!r}"
