"""The files that a path leads to: itself, what is in a folder, or what is in a zip archive.

Nothing is unpacked to disk: a member of an archive is read as a stream. An archive that would not be safe to unpack is
refused all the same, since it was made to harm: names that lead out of it, links, and far more content than its own
size can honestly hold. Raises ``UnreadableFile`` for what cannot be read.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

import attrs

from branchlog.errors import UnreadableFile

RATIO_MAX = 200
"""How many times its own size an archive may hold. Exports of conversations pack 4 to 20 to 1, bombs 1,000 and up."""

SMALL_BYTES = 64 << 20
"""Content that is no bomb however it is packed."""

MEMBERS_MAX = 100_000
"""Members of one archive: three times what the largest exports with their attachments have."""

OPENING = (b"{", b"[")
BLANKS = b" \t\r\n\xef\xbb\xbf"
LOOKED_AT_BYTES = 4_096

READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)
"""What a member raises when it is read that is damaged, is encrypted (``RuntimeError``), or is packed in a way that
``zipfile`` does not know (``NotImplementedError``, which is one)."""


@attrs.frozen
class LeftOut:
    """A file of a folder or an archive that is not read: its name, and the reason."""

    name: str
    reason: str


@attrs.frozen
class Source:
    """A file to be read: its name as people are shown it, its size, and where it lies.

    ``named`` says that it was asked for by its own name, not found in a folder or an archive.
    """

    name: str
    size_bytes: int
    path: str
    member: str | None = None
    named: bool = False

    @contextmanager
    def open(self, archive: zipfile.ZipFile | None = None) -> Iterator[Stream]:
        """Open it for one reading from front to back. Raises ``UnreadableFile``, also in the midst of it.

        Without ``archive``, the open one that it is in, the list of all members is read once more.
        """
        with ExitStack() as opened:
            with self._translated():
                if self.member is None:
                    file: IO[bytes] = opened.enter_context(Path(self.path).open("rb"))
                else:
                    archive = archive or opened.enter_context(zipfile.ZipFile(self.path))
                    file = opened.enter_context(archive.open(self.member))
            yield Stream(file, self._translated)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except READ_ERRORS as error:
            raise UnreadableFile(self.name, f"it cannot be read: {error or type(error).__name__}") from error


class Stream:
    """A file that counts what was read of it."""

    def __init__(self, file: IO[bytes], translated: Callable[[], AbstractContextManager[None]]) -> None:
        self.done_bytes = 0
        self._file = file
        self._translated = translated

    def read(self, size: int, /) -> bytes:
        """At most this many bytes; none at the end."""
        with self._translated():
            data = self._file.read(size)
        self.done_bytes += len(data)
        return data


Contents: TypeAlias = Iterator[Source | LeftOut]


def sources(path: str | os.PathLike[str]) -> Contents:
    """The files that a path leads to, in order of their names, and those that are left out.

    A file that is named is given whatever is in it; of a folder and an archive those that may hold JSON.
    """
    name = os.fsdecode(path)
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISDIR(mode):
            yield from _in_folder(name)
        elif not stat.S_ISREG(mode):
            raise UnreadableFile(name, "it is neither a file nor a folder")
        elif zipfile.is_zipfile(name):
            yield from _in_archive(name)
        else:
            yield attrs.evolve(_file(name), named=True)
    except FileNotFoundError as error:
        raise UnreadableFile(name, "there is no such file") from error
    except (
        OSError,
        ValueError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:  # of a later zip, or a name with NUL
        raise UnreadableFile(name, f"it cannot be opened: {error}") from error


def _file(name: str) -> Source:
    return Source(shown(name), Path(name).stat().st_size, name)


def shown(name: str) -> str:
    """A name as it can be printed and stored, whatever bytes it has."""
    return os.fsencode(name).decode(errors="replace")


def _in_folder(folder: str) -> Contents:
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = str(Path(place) / name)
            if name.startswith(".") or not Path(path).is_file() or Path(path).is_symlink():
                yield LeftOut(shown(path), "a hidden file, a link, or none")
            elif zipfile.is_zipfile(path):
                yield from _in_archive(path)
            else:
                yield _if_json(_file(path))


def _refuse(error: OSError) -> None:
    raise error


def _if_json(source: Source, archive: zipfile.ZipFile | None = None) -> Source | LeftOut:
    """The file, if it may hold JSON; ``archive`` is the one that it is in, if that is open."""
    try:
        with source.open(archive) as file:
            begins = file.read(LOOKED_AT_BYTES).lstrip(BLANKS)
    except UnreadableFile as error:
        return LeftOut(source.name, error.problem)
    return source if begins.startswith(OPENING) else LeftOut(source.name, "it is not JSON")


def _in_archive(path: str) -> Contents:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check(path, members)
        for member in sorted(members, key=lambda each: each.filename):
            parts = PurePosixPath(member.filename).parts
            name = f"{shown(path)}/{shown(member.filename)}"
            if member.is_dir():
                continue
            if any(part.startswith(".") or part == "__MACOSX" for part in parts):
                yield LeftOut(name, "a hidden file")
            else:
                yield _if_json(Source(name, member.file_size, path, member.filename), archive)


def _check(path: str, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that was made to harm."""
    if len(members) > MEMBERS_MAX:
        raise UnreadableFile(path, f"an archive of {len(members):,} files; more than {MEMBERS_MAX:,} are refused")
    held, size = sum(member.file_size for member in members), Path(path).stat().st_size
    if held > max(SMALL_BYTES, RATIO_MAX * size):
        raise UnreadableFile(path, f"an archive of {size:,} bytes that holds {held:,}: refused as a zip bomb")
    for member in members:
        if _leads_out(member):
            problem = f"an archive with the name {member.filename[:80]!r}, which leads out of it: refused"
            raise UnreadableFile(path, problem)


def _leads_out(member: zipfile.ZipInfo) -> bool:
    """Whether the name, as it stands in the archive, would be written elsewhere than beneath it."""
    name = member.orig_filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return is_link or ".." in parts or name.startswith(("/", "\\")) or ":" in (parts[0] if parts else "")
