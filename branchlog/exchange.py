"""Files in: reads exported conversations from disk and puts them into a store. And out: ``export``.

The only module that joins the formats, which know shapes, to a store and to the disk. Each conversation is one commit,
so that it arrives whole or not at all; damage in one never costs another. A conversation is found again by its source,
that is, the format and the original id in its metadata, and a node by its original id: a file that is read a second
time adds nothing, and a later export adds what is new.

A file is decoded at once. Only where that fails is it taken apart: an array element by element, JSON Lines line by
line, each with the place of what could not be read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

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

ATTEMPTS_MAX = 10
"""How often one conversation is placed anew when another writer comes first; more is not bad luck any more."""


@attrs.frozen(kw_only=True)
class FileReport:
    """What became of one file.

    ``added``, ``grown`` and ``unchanged`` count conversations; ``skipped`` says which did not come in, and why.
    ``nodes`` and ``branches`` count nodes and leaves that are new. ``repairs`` says what was mended. ``kept_aside``
    counts the new nodes whose original content is kept in their metadata, since a message has no such shape.
    ``error`` is set by ``import_files`` where nothing of the file could be read.
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

    @property
    def conversations(self) -> int:
        """How many conversations of the file are in the store now."""
        return self.added + self.grown + self.unchanged

    def to_json(self) -> dict[str, Json]:
        """The report as a plain dict."""
        report: dict[str, Json] = attrs.asdict(self)
        return report


def import_file(store: Store, path: str | os.PathLike[str], *, progress: Progress | None = None) -> FileReport:
    """Bring the conversations of a file into a store; the format is told by the content.

    Raises ``UnreadableFile`` where nothing of it can be read, and what the store raises where its log fails
    (``BackendError``, ``LogClosed``). Everything else is in the report.
    """
    name = os.fsdecode(path)
    data = _bytes_of(name)
    try:
        found = document.read(data, detect.is_known)
        shown = os.fsencode(name).decode(errors="replace")
        tally = _Tally(path=shown, repairs=[], skipped=list(found.skipped))
        for each in detect.conversations(found.values, Path(shown).stem):
            _import_one(store, each, tally)
    except InvalidInput as error:
        raise UnreadableFile(name, str(error)) from error
    if progress is not None:
        progress(len(data), len(data))
    return tally.report()


def import_files(
    store: Store, paths: Iterable[str | os.PathLike[str]], *, progress: Progress | None = None
) -> list[FileReport]:
    """Bring several files in, one after the other; one that cannot be read has its ``error`` in its report."""
    reports = []
    for path in paths:
        try:
            reports.append(import_file(store, path, progress=progress))
        except UnreadableFile as error:
            reports.append(FileReport(path=error.path, error=error.problem))
    return reports


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
    formats: dict[str, None] = attrs.field(factory=dict)
    outcomes: Counter[Outcome] = attrs.field(factory=Counter)
    nodes: int = 0
    branches: int = 0
    kept_aside: int = 0
    repairs: list[Repair]
    skipped: list[Skipped]

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


def _bytes_of(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError as error:
        raise UnreadableFile(name, "there is no such file") from error
    except IsADirectoryError as error:
        raise UnreadableFile(name, "it is a folder; name the files in it") from error
    except (OSError, ValueError) as error:
        raise UnreadableFile(name, f"it cannot be opened: {error}") from error


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
    for id in (base, other):
        here = _loaded(store, id)
        if here is None:
            chat = start(outline, id=id, namespace=store.namespace, clock=store._home.clock)
            _save(store, chat)
            if id != base:
                repairs.append(Repair(where, f"another conversation has the id {base!r}; this one is {id!r}"))
            return chat, "added", len(chat.tree), len(chat.tree.leaves)
        if _is_same(here, outline):
            leaves = len(here.tree.leaves)
            nodes = add_missing(here, outline)
            if nodes:
                _save(store, here)
            return here, "grown" if nodes else "unchanged", nodes, len(here.tree.leaves) - leaves
    raise InvalidInput(f"the ids {base!r} and {other!r} are those of other conversations")


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


def _is_same(chat: Conversation, outline: Outline) -> bool:
    """Whether this conversation was made of the same outside one: the same source, and a message in common."""
    if chat.metadata.get("source") != source(outline):
        return False
    ours = {id for id, node in known_ids(chat, outline.format).items() if node.message is not None}
    theirs = {turn.id for turn in outline.turns if turn.message is not None}
    return not ours or not theirs or not theirs.isdisjoint(ours)


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
