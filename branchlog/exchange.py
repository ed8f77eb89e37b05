"""Files in: reads exported conversations from disk and puts them into a store. And out: ``export``.

The only module that joins the formats, which know shapes, to a store and to the disk. Each conversation is one commit,
so that it arrives whole or not at all; damage in one never costs another. A conversation is found again by its source,
that is, the format and the original id in its metadata, and a node by its original id: a file that is read a second
time adds nothing, and a later export adds what is new.

A file is read as a stream, so that it may be far larger than memory; one conversation is in memory at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import attrs

from branchlog import archive, intake
from branchlog._core.message import Json
from branchlog.conversation import Conversation
from branchlog.errors import (
    AlreadyExists,
    BackendError,
    BranchlogError,
    ConversationDeleted,
    ConversationNotFound,
    InvalidInput,
    LogClosed,
    SchemaVersionError,
    UnreadableFile,
    VersionConflict,
)
from branchlog.formats import detect, document
from branchlog.formats.outline import (
    Outline,
    Repair,
    Skipped,
    add_missing,
    fingerprint,
    known_ids,
    mended,
    source,
    start,
)
from branchlog.logs.base import check_name
from branchlog.store import Store

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of a file are done, and how many there are."""

Outcome: TypeAlias = Literal["added", "grown", "unchanged"]

BEGIN_BYTES = 4_096
"""The beginning of a file, by which an archive is told."""

ATTEMPTS_MAX = 10
"""How often one conversation is placed anew when another writer comes first; more is not bad luck any more."""


@attrs.frozen(kw_only=True)
class FileReport:
    """What became of one file.

    ``added``, ``grown`` and ``unchanged`` count conversations; ``skipped`` says which did not come in, and why.
    ``nodes`` and ``branches`` count nodes and leaves that are new. ``repairs`` says what was mended. ``kept_aside``
    counts the new nodes whose original content is kept in their metadata, since a message has no such shape.
    ``error`` is set by ``import_files`` where nothing of the file could be read, ``left_out`` where a file of a folder
    or an archive holds no conversations.
    """

    path: str
    format: str | None = None
    added: int = 0
    grown: int = 0
    unchanged: int = 0
    nodes: int = 0
    branches: int = 0
    kept_aside: int = 0
    repairs: tuple[Repair, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    error: str | None = None
    left_out: str | None = None

    @property
    def conversations(self) -> int:
        """How many conversations of the file are in the store now."""
        return self.added + self.grown + self.unchanged

    def to_json(self) -> dict[str, Json]:
        """The report as a plain dict."""
        report: dict[str, Json] = attrs.asdict(self)
        return report


def import_file(
    store: Store, path: str | os.PathLike[str], *, strict: bool = False, progress: Progress | None = None
) -> FileReport:
    """Bring the conversations of a file into a store; the format is told by the content.

    With ``strict`` a conversation that would have to be repaired is skipped instead. Raises ``UnreadableFile`` where
    nothing of it can be read, and for a folder and an archive, of which ``import_files`` takes each file; and what the
    store raises where its log fails (``BackendError``, ``LogClosed``). Everything else is in the report.
    """
    name = os.fsdecode(path)
    if Path(name).is_dir():
        raise UnreadableFile(name, "it is a folder, not a file")
    found = list(islice(intake.sources(name), 2))
    if len(found) != 1 or not isinstance(found[0], intake.Source):
        raise UnreadableFile(name, "it is an archive of several files")
    return import_source(store, found[0], strict=strict, progress=progress)


def import_source(
    store: Store, source: intake.Source, *, strict: bool = False, progress: Progress | None = None
) -> FileReport:
    """Bring one file in, which may be a member of an archive; otherwise as ``import_file``."""
    tally = _Tally(path=source.name, strict=strict)
    with source.open() as file:
        begin = file.read(BEGIN_BYTES)
    with source.open() as file:
        try:
            if archive.begins(begin):
                return _import_archive(store, source, file, progress)
            records = document.records(file, detect.is_known, tally.skipped)
            for each in detect.conversations(records, PurePosixPath(source.name).stem):
                _import_one(store, each, tally)
                if progress is not None:
                    progress(min(file.done_bytes, source.size_bytes), source.size_bytes)
        except (InvalidInput, SchemaVersionError) as error:
            raise UnreadableFile(source.name, str(error)) from error
    if progress is not None:
        progress(source.size_bytes, source.size_bytes)
    return tally.report()


def _import_archive(store: Store, source: intake.Source, file: intake.Stream, progress: Progress | None) -> FileReport:
    def told() -> None:
        if progress is not None:
            progress(min(file.done_bytes, source.size_bytes), source.size_bytes)

    arrival = archive.read_archive(store, file, progress=told)
    return FileReport(
        path=source.name,
        format=archive.FORMAT,
        added=arrival.added,
        grown=arrival.grown,
        unchanged=arrival.unchanged,
        nodes=arrival.nodes,
        branches=arrival.branches,
        skipped=tuple(arrival.skipped),
    )


def import_files(
    store: Store,
    paths: Iterable[str | os.PathLike[str]],
    *,
    strict: bool = False,
    progress: Progress | None = None,
) -> list[FileReport]:
    """Bring several files in, one after the other, and those in folders and archives: a report on each.

    One that cannot be read has its ``error`` in its report; one beside conversations that is none of them is
    ``left_out``.
    """
    return [report_on(store, source, strict=strict, progress=progress) for path in paths for source in found_at(path)]


def found_at(path: str | os.PathLike[str]) -> Iterator[intake.Source | FileReport]:
    """The files that a path leads to, and a report on each that is not even opened."""
    try:
        for found in intake.sources(path):
            if isinstance(found, intake.LeftOut):
                yield FileReport(path=found.name, left_out=found.reason)
            else:
                yield found
    except UnreadableFile as error:
        yield FileReport(path=intake.shown(error.path), error=error.problem)


def report_on(
    store: Store, found: intake.Source | FileReport, *, strict: bool = False, progress: Progress | None = None
) -> FileReport:
    """Bring in what ``found_at`` found. What is no conversation is an error only where it was named by itself."""
    if isinstance(found, FileReport):
        return found
    try:
        return import_source(store, found, strict=strict, progress=progress)
    except UnreadableFile as error:
        if found.named:
            return FileReport(path=error.path, error=error.problem)
        return FileReport(path=error.path, left_out=error.problem)


def export(chat: Conversation, format: str, **options: Any) -> Any:
    """The conversation as JSON of an outside format, or as text; ``options`` are those of the format's ``write``.

    Raises ``InvalidInput`` for a format that cannot be written, and where it has no place for something that the
    conversation has.
    """
    return detect.writer_of(format).write(chat, **options)


@attrs.define(kw_only=True)
class _Tally:
    """A report that is still growing."""

    path: str
    strict: bool
    formats: dict[str, None] = attrs.field(factory=dict)
    outcomes: Counter[Outcome] = attrs.field(factory=Counter)
    nodes: int = 0
    branches: int = 0
    kept_aside: int = 0
    repairs: list[Repair] = attrs.field(factory=list)
    skipped: list[Skipped] = attrs.field(factory=list)

    def report(self) -> FileReport:
        return FileReport(
            path=self.path,
            format="+".join(self.formats),
            added=self.outcomes["added"],
            grown=self.outcomes["grown"],
            unchanged=self.outcomes["unchanged"],
            nodes=self.nodes,
            branches=self.branches,
            kept_aside=self.kept_aside,
            repairs=tuple(self.repairs),
            skipped=tuple(self.skipped),
        )


def _import_one(store: Store, found: detect.Found | Skipped, tally: _Tally) -> None:
    """Bring one conversation in."""
    if isinstance(found, Skipped):
        tally.skipped.append(found)
        return
    where, outline, repairs = found
    tally.formats[outline.format] = None
    try:
        outline, more = mended(outline, where)
        repairs += more
        if tally.strict and repairs:
            tally.skipped.append(Skipped(where, _refusal(repairs)))
            return
        chat, outcome, nodes, branches = _place(store, outline, where, repairs)
    except (BackendError, LogClosed):
        raise
    except BranchlogError as error:
        tally.skipped.append(Skipped(where, str(error)))
        return
    tally.repairs += repairs
    tally.outcomes[outcome] += 1
    tally.nodes += nodes
    tally.branches += branches
    if nodes:
        new = {node.version for node in chat.tree.nodes[-nodes:]}
        tally.kept_aside += _kept_aside(outline, chat, new)


def _refusal(repairs: list[Repair]) -> str:
    more = f" (and {len(repairs) - 1} more)" if len(repairs) > 1 else ""
    return f"it would have to be repaired: {repairs[0].where}: {repairs[0].what}{more}"


def _kept_aside(outline: Outline, chat: Conversation, new: set[int]) -> int:
    aside = {turn.id for turn in outline.turns if turn.aside}
    if not aside:
        return 0
    return sum(node.version in new for id, node in known_ids(chat, outline.format).items() if id in aside)


def _place(store: Store, outline: Outline, where: str, repairs: list[Repair]) -> tuple[Conversation, Outcome, int, int]:
    """Add the conversation, or what is new of it; anew where another writer was first."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return _place_once(store, outline, where, repairs)
        except (AlreadyExists, VersionConflict):
            continue
    raise AlreadyExists(f"others kept writing to this conversation; after {ATTEMPTS_MAX} attempts it was left alone")


def _place_once(
    store: Store, outline: Outline, where: str, repairs: list[Repair]
) -> tuple[Conversation, Outcome, int, int]:
    base = _usable_id(outline)
    other = f"{base[:200]}~{_short_hash(outline.format, outline.id, *_first_ids(outline))}"
    there = {}
    for id in (base, other):
        here = _loaded(store, id)
        if here is None:
            break
        there[id] = here
    same = [(common, chat) for chat in there.values() if (common := _in_common(chat, outline)) is not None]
    if same:
        here = max(same, key=itemgetter(0))[1]
        leaves = len(here.tree.leaves)
        nodes = add_missing(here, outline)
        has_grown = bool(here.pending)
        if has_grown:
            _save(store, here)
        return here, "grown" if has_grown else "unchanged", nodes, len(here.tree.leaves) - leaves
    if len(there) == 2:
        raise InvalidInput(f"the ids {base!r} and {other!r} are those of other conversations")
    id = other if there else base
    chat = start(outline, id=id, namespace=store.namespace, clock=store._home.clock)
    _save(store, chat)
    if id != base:
        repairs.append(Repair(where, f"another conversation has the id {base!r}; this one is {id!r}"))
    return chat, "added", len(chat.tree), len(chat.tree.leaves)


def _save(store: Store, chat: Conversation) -> None:
    """Save it if nobody was first; else it is given up, and placed anew by the caller."""
    try:
        store.save(chat, on_conflict="raise")
    except BranchlogError:
        chat._belongs_to_store = False  # it is dropped on purpose, so there is nothing to warn of
        raise


def _loaded(store: Store, id: str) -> Conversation | None:
    try:
        return store.load(id)
    except ConversationDeleted:
        raise
    except ConversationNotFound:
        return None


def _in_common(chat: Conversation, outline: Outline) -> int | None:
    """How many messages this conversation shares with an outside one; None if it was not made of the same.

    That is, if it has another source, or both have messages and none in common.
    """
    if chat.metadata.get("source") != source(outline):
        return None
    ours = {id for id, node in known_ids(chat, outline.format).items() if node.message is not None}
    theirs = {turn.id for turn in outline.turns if turn.message is not None}
    common = len(ours & theirs)
    return common if common or not ours or not theirs else None


def _usable_id(outline: Outline) -> str:
    """The original id where it can be a name, else one derived from it, or from the content where there is none."""
    if outline.id is None:
        return f"{outline.format}-{fingerprint(outline)}"
    try:
        return check_name(outline.id, "the id of a conversation")
    except InvalidInput:
        return f"{outline.format}-{_short_hash(outline.id)}"


def _first_ids(outline: Outline) -> tuple[str, ...]:
    """What tells two outside conversations of one id apart, however much they grow."""
    return tuple(turn.id for turn in outline.turns[:2])


def _short_hash(*texts: str | None) -> str:
    joined = "\0".join("" if text is None else text for text in texts)
    return sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:12]
