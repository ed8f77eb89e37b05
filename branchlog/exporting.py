"""Conversations of a store out into files: one value, several joined in one file, or a file each.

``exchange.export`` makes the value of one conversation that is loaded. What is here loads them, one at a time, and puts
them where they belong. A file is written beside its place under another name and moved there when it is whole, so that
a name never holds half a file; what is there already stays, unless it is to be replaced. A conversation that the format
has no place for, or that cannot be read, does not cost the others: it is skipped, and said.

The archive is no format of single conversations: it is a format of the log.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import attrs
import msgspec

from branchlog import archive
from branchlog.errors import AlreadyExists, BackendError, BranchlogError, InvalidInput, LogClosed
from branchlog.formats import detect
from branchlog.formats.carry import Skipped
from branchlog.migration import every
from branchlog.store import Store

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many conversations (of an archive: events) are done, and how many there are."""

Options: TypeAlias = Callable[[Any], dict[str, Any]]
"""What options a format's ``write`` takes for a conversation that was loaded."""

ARCHIVE_SUFFIX = ".jsonl"

FORMATS = (*(writer.FORMAT for writer in detect.WRITERS), archive.FORMAT)
"""The names of all formats that can be written."""

NAME_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
"""What stays as it is when an id becomes the name of a file."""

NAME_LENGTH_MAX = 120
"""Characters of a file's name before its suffix; systems of files take 255 bytes, some less."""


class Output(Protocol):
    """What is needed of a file that is written: bytes, from the front to the back."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""


@attrs.frozen
class Exported:
    """What was written: how many conversations, and which were not, each with the reason."""

    conversations: int
    skipped: tuple[Skipped, ...] = ()


def export_one(store: Store, format: str, file: Output, id: str, *, options: Options | None = None) -> None:
    """Write one conversation by itself: its value as ``exchange.export`` gives it, as UTF-8.

    ``options`` is asked for those of the format's ``write`` when the conversation is loaded. Raises ``InvalidInput``
    where the format is not known or has no place for it, and what ``Store.load`` raises.
    """
    if format == archive.FORMAT:
        archive.write_archive(store, file, ids=[id])
        return
    writer = detect.writer_of(format)
    for text in _texts(writer, store, id, options):
        file.write(text)


def export_all(
    store: Store,
    format: str,
    file: Output,
    *,
    ids: Iterable[str] | None = None,
    progress: Progress | None = None,
    options: Options | None = None,
) -> Exported:
    """Write several conversations, or all of the namespace in order of their ids, joined into one file.

    They are elements of a JSON array or lines of JSON, as the format has it. Raises ``InvalidInput`` for a format that
    is not known or has a file for each conversation, which ``export_folder`` writes.
    """
    if format == archive.FORMAT:
        return Exported(archive.write_archive(store, file, ids=ids, progress=progress))
    writer = detect.writer_of(format)
    if writer.JOIN == "alone":
        raise InvalidInput(f"the format {format!r} has one conversation a file; export to a folder, or one alone")
    run = _Run(store, writer, options)
    if writer.JOIN == "lines":
        for _, texts in run.over(_wanted(store, ids), progress):
            file.write(b"".join(texts))
        return run.exported()
    before = b"["
    for _, texts in run.over(_wanted(store, ids), progress):
        file.write(before + b"\n" + b"".join(texts).rstrip(b"\n"))
        before = b","
    file.write(b"[]\n" if before == b"[" else b"\n]\n")
    return run.exported()


def export_folder(
    store: Store,
    format: str,
    folder: str | os.PathLike[str],
    *,
    ids: Iterable[str] | None = None,
    progress: Progress | None = None,
    options: Options | None = None,
    replace: bool = False,
) -> Exported:
    """Write a file for each conversation into a folder, which is made if it is not there.

    The files have the ids as names, with what a name may not have as %XX. Raises ``AlreadyExists`` before anything is
    written where one of them is there already and is not to be replaced.
    """
    if format == archive.FORMAT:
        raise InvalidInput("an archive is one file, not a folder of files")
    writer = detect.writer_of(format)
    wanted = _wanted(store, ids)
    names = file_names(wanted, writer.SUFFIX)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    if not replace:
        for name in names:
            _check_free(place / name)
    run = _Run(store, writer, options)
    name_of = dict(zip(wanted, names, strict=True))
    for id, texts in run.over(wanted, progress):
        with written(place / name_of[id], replace=replace) as file:
            file.write(b"".join(texts))
    return run.exported()


# Values as text.


def _texts(writer: detect.Writer, store: Store, id: str, options: Options | None) -> list[bytes]:
    """The texts of one conversation, each with its line end: one, or where the format is of lines, one for each."""
    chat = store.load(id)
    value = writer.write(chat, **({} if options is None else options(chat)))
    if isinstance(value, str):
        return [value.encode()]
    return [msgspec.json.encode(each) + b"\n" for each in (value if writer.JOIN == "lines" else [value])]


def _wanted(store: Store, ids: Iterable[str] | None) -> list[str]:
    """The ids, each once; those of the whole namespace where none are given."""
    if ids is None:
        return [summary.id for summary in every(store)]
    return list(dict.fromkeys(ids))


@attrs.define
class _Run:
    """Conversations written in one format, one after the other."""

    store: Store
    writer: detect.Writer
    options: Options | None
    done: int = 0
    skipped: list[Skipped] = attrs.field(factory=list)

    def over(self, ids: list[str], progress: Progress | None) -> Iterator[tuple[str, list[bytes]]]:
        """The texts of each that can be written, after its id."""
        for number, id in enumerate(ids, 1):
            try:
                texts = _texts(self.writer, self.store, id, self.options)
            except (BackendError, LogClosed):
                raise
            except BranchlogError as error:
                self.skipped.append(Skipped(id, str(error)))
            else:
                self.done += 1
                yield id, texts
            if progress is not None:
                progress(number, len(ids))

    def exported(self) -> Exported:
        """What came of it."""
        return Exported(self.done, tuple(self.skipped))


# Files.


def file_names(ids: Iterable[str], suffix: str) -> list[str]:
    """A name for each id: none twice, also where capitals are not told apart, none hidden, none with a folder in it."""
    taken: set[str] = set()
    names = []
    for id in ids:
        stem = file_stem(id)
        if stem.lower() in taken:
            stem = _with_hash(stem, id)
        taken.add(stem.lower())
        names.append(stem + suffix)
    return names


def file_stem(id: str) -> str:
    """An id as the name of a file, before its suffix; ids that differ have names that differ, but for capitals."""
    pieces = [each if each in NAME_PLAIN else "".join(f"%{byte:02X}" for byte in each.encode()) for each in id]
    if pieces and pieces[0] == ".":
        pieces[0] = "%2E"
    stem = "".join(pieces)
    return stem if len(stem) <= NAME_LENGTH_MAX else _with_hash(stem, id)


def _with_hash(stem: str, id: str) -> str:
    """A name with what only this id has; ``~`` is in no other name."""
    return f"{stem[: NAME_LENGTH_MAX - 17]}~{sha256(id.encode()).hexdigest()[:16]}"


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise AlreadyExists(f"there is a file {str(path)!r} already, and it is not to be replaced")


@contextmanager
def written(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[IO[bytes]]:
    """A file to write, which takes its name when the block ends well; otherwise nothing is left of it.

    A link is followed. What is there and is no plain file, such as a pipe, is written to as it is. Raises
    ``AlreadyExists`` where there is a file that is not to be replaced, and ``OSError``.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            yield file
        return
    if not replace:
        _check_free(place)
    beside = place.with_name(f".{place.name[:100]}.{secrets.token_hex(4)}.partial")
    try:
        with beside.open("xb") as file:
            yield file
        if not replace:
            _check_free(place)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


# Which format a file is to be of.


def formats_of(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The formats whose files have the suffix of this one."""
    suffix = Path(path).suffix.lower()
    suffixes = [(writer.FORMAT, writer.SUFFIX) for writer in detect.WRITERS] + [(archive.FORMAT, ARCHIVE_SUFFIX)]
    return tuple(format for format, its in suffixes if its == suffix)
