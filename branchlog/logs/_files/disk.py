"""What a log in files asks of the system: files put whole, synced and locked; and the folder, made and looked at."""

from __future__ import annotations

import errno
import fcntl
import os
import warnings
from pathlib import Path
from types import TracebackType

import msgspec

from branchlog.errors import BackendError, CorruptLog, LogRepaired, NotAStore, SchemaVersionError, StoreNotFound

FOLDER_FORMAT = "branchlog files"

FOLDER_LAYOUT = 1

OURS = {"lock", "conversations", "snapshots", "drafts", "branchlog.json.new"}
"""What a process that died while it made a store may leave behind."""

_GITIGNORE = "/catalog.jsonl\n/lock\n/snapshots/\n/drafts/\n*.new\n"

_GITATTRIBUTES = "*.jsonl -text\n"

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""After these, with what was written taken back, the files are as they were."""

WAY_OUT = (
    "restore it from a copy, read what is sound with read_only=True,"
    " or delete catalog.jsonl to take the files as they are"
)


sync_content = getattr(os, "fdatasync", os.fsync)


class _Marker(msgspec.Struct):
    format: str
    layout: int


def check_or_make(path: Path, *, create: bool) -> None:
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
    elif strange := sorted(
        each.name for each in path.iterdir() if each.name not in OURS and not each.name.startswith(".")
    ):
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
    lock = open_lock(path / "lock", read_only=False)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (path / "branchlog.json").exists():
            return
        for name, text in ((".gitignore", _GITIGNORE), (".gitattributes", _GITATTRIBUTES)):
            if not (path / name).exists():
                (path / name).write_text(text)
        os.pwrite(lock, b"0", 0)
        marker = msgspec.json.encode(_Marker(FOLDER_FORMAT, FOLDER_LAYOUT)) + b"\n"
        put_file(path / "branchlog.json", marker)
        for folder in (path, path.parent):
            sync_folder(folder)
    finally:
        os.close(lock)


def open_lock(path: Path, *, read_only: bool) -> int:
    flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def beside(path: Path) -> Path:
    """Where a file is written that is to take this one's place."""
    return path.with_name(f"{path.name}.new")


def put_file(path: Path, data: bytes) -> None:
    """Put a file in a place, whole or not at all."""
    file = os.open(beside(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    beside(path).rename(path)


def sync_folder(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_file(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_all(file: int, data: bytes) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, data[written:])


def read_file(path: Path, start: int, size: int) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CorruptLog(str(path), f"the file is missing; {WAY_OUT}") from None
    try:
        return pread(file, size, start)
    finally:
        os.close(file)


def pread(file: int, size: int, start: int) -> bytes:
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


def sizes(folder: Path) -> dict[str, int]:
    """The sizes of the conversations' files, by name without ending."""
    if not folder.exists():
        return {}
    with os.scandir(folder) as found:
        return {each.name[:-6]: each.stat().st_size for each in found if each.name.endswith(".jsonl")}


def warn(where: str, what: str) -> None:
    warnings.warn(LogRepaired(where, what), stacklevel=2)


class Border:
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
