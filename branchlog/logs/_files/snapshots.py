"""The snapshots of a conversation: a folder, and a file for each of them, which may be deleted at any time.

The first line of a file is a JSON object with ``after``, ``version``, ``checksum``, ``fingerprint`` and ``seal`` (see
``branchlog.commit``; bytes in hexadecimal digits); all behind it is the snapshot's data.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from branchlog.commit import Snapshot
from branchlog.logs._files.disk import beside

DIGITS = 20
"""Of a version in the name of a file: names stand in the order of versions."""


class _Stored(msgspec.Struct):
    """The first line of a snapshot's file; its data follow."""

    after: int
    version: int
    checksum: str
    fingerprint: str
    seal: str


def put(folder: Path, snapshot: Snapshot) -> None:
    """Keep a snapshot. Nobody waits for the disk: whoever uses one verifies it."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = _Stored(
        snapshot.after, snapshot.version, snapshot.checksum.hex(), snapshot.fingerprint, snapshot.seal.hex()
    )
    path = folder / f"{snapshot.version:0{DIGITS}}"
    beside(path).write_bytes(msgspec.json.encode(stored) + b"\n" + snapshot.data)
    beside(path).rename(path)


def kept(folder: Path) -> list[Snapshot]:
    """The snapshots of a conversation, in order of versions."""
    return [_snapshot_in(int(path.name), path.read_bytes()) for path in _files(folder)]


def drop(folder: Path) -> int:
    """Delete the snapshots of a conversation; how many there were."""
    count = len(_files(folder))
    if folder.is_dir():
        shutil.rmtree(folder)
    return count


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.isdecimal()) if folder.is_dir() else []


def _snapshot_in(version: int, text: bytes) -> Snapshot:
    """The snapshot in a file; one that is not whole, where the file is damaged."""
    head, _, data = text.partition(b"\n")
    try:
        stored = msgspec.json.decode(head, type=_Stored)
        checksum, seal = bytes.fromhex(stored.checksum), bytes.fromhex(stored.seal)
    except ValueError:
        return Snapshot(0, version, b"", "", text, b"")
    return Snapshot(stored.after, stored.version, checksum, stored.fingerprint, data, seal)
