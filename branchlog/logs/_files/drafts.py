"""The drafts of a conversation: a folder for each, named by its id, and a file for each piece, named by its number."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from branchlog.logs._files.disk import put_file, sync_folder
from branchlog.logs.base import Draft, drafts_of


def extend(folder: Path, draft: bytes, number: int, piece: bytes, *, durable: bool) -> None:
    """Keep a piece, on the disk where ``durable``."""
    place = folder / draft.hex()
    is_new = not place.is_dir()
    place.mkdir(parents=True, exist_ok=True)
    put_file(place / f"{number}", piece)
    if durable:
        sync_folder(place)
        for above in (folder, folder.parent, folder.parent.parent) if is_new else ():
            sync_folder(above)


def kept(folder: Path) -> list[Draft]:
    """The drafts of a conversation, in order of their ids."""
    return drafts_of(_pieces(folder))


def _pieces(folder: Path) -> Iterator[tuple[bytes, int, bytes]]:
    places = [place for place in folder.iterdir() if not place.suffix] if folder.is_dir() else []
    for place in places:
        for file in place.iterdir():
            if file.name.isdecimal():
                yield bytes.fromhex(place.name), int(file.name), file.read_bytes()


def drop(folder: Path, draft: bytes) -> bool:
    """Delete a draft; whether there was one."""
    place = folder / draft.hex()
    if not place.is_dir():
        return False
    gone = place.with_name(f"{place.name}.gone")
    place.rename(gone)  # at once: another reader must not see half of it
    shutil.rmtree(gone)
    return True


def drop_all(folder: Path) -> None:
    """Delete the drafts of a conversation."""
    if folder.is_dir():
        shutil.rmtree(folder)
