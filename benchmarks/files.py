"""The log in files against bare JSON Lines: append, load and list, at the same durability.

The bare side is what one writes by hand: a file a conversation that stays open, a line encoded by msgspec, a fdatasync
for each append; a load that decodes the lines; and for a list a folder of files, all of which are read. It has no
checksums, no lock, no catalog and no order over conversations.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import Figure, every_turn, in_turns, microseconds, milliseconds, text_of
from branchlog.commit import Commit, genesis, seal
from branchlog.logs.base import Append, Query, bare_entry
from branchlog.logs.bridges import AsyncBridge
from branchlog.logs.files import FilesLog

WRITERS = 64
LISTED = 50
GOAL = 1.3
"""What is set for servers; a log on a local disk has fewer microseconds to hide in."""


class BareLine(msgspec.Struct):
    """A line of the bare side."""

    id: str
    at: int
    data: msgspec.Raw


def run(folder: Path, quick: bool) -> list[Figure]:
    figures = _appending(folder, "full", 200 if quick else 1_500)
    figures += _appending(folder, "relaxed", 200 if quick else 1_500)
    figures += _together(folder, 5 if quick else 40)
    for count in (1_000,) if quick else (1_000, 10_000):
        figures += _loading(folder, count)
    return figures + _listing(folder, 1_000 if quick else 10_000)


def commits_of(stream: str, count: int) -> list[Commit]:
    """Commits of one event of some 300 bytes, one behind the other."""
    head, made = genesis("", stream), []
    for number in range(count):
        event = {"type": "node-added", "at": number, "message": {"role": "user", "content": text_of(300)}}
        made.append(
            seal(
                stream,
                head,
                count=1,
                id=number.to_bytes(16, "big"),
                at=number,
                schema="1.0.0",
                data=msgspec.json.encode([event]),
            )
        )
        head = made[-1].head
    return made


def _line(commit: Commit) -> bytes:
    return msgspec.json.encode(BareLine(commit.id.hex(), commit.at, msgspec.Raw(commit.data))) + b"\n"


def _bare_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _appending(folder: Path, durability: str, rounds: int) -> list[Figure]:
    log = FilesLog(folder / f"append-{durability}", durability="full" if durability == "full" else "relaxed")
    file = _bare_file(folder / f"append-{durability}.jsonl")
    ours, bare = iter(commits_of("measured", rounds)), iter(commits_of("measured", rounds))

    def append() -> None:
        commit = next(ours)
        log.append(commit, expected=commit.first - 1)

    def write() -> None:
        os.write(file, _line(next(bare)))
        if durability == "full":
            os.fdatasync(file)

    taken = every_turn(rounds, branchlog=append, bare=write)
    log.close()
    os.close(file)
    return _compared(f"append, {durability}", taken, GOAL if durability == "full" else None)


def _compared(name: str, taken: dict[str, list[float]], goal: float | None) -> list[Figure]:
    middle = {side: statistics.median(times) for side, times in taken.items()}
    figures = []
    for side, times in taken.items():
        late = statistics.quantiles(times, n=100)[-1]
        figures += [
            Figure("files", f"{name}: {side}, p50", microseconds(middle[side]), "µs"),
            Figure("files", f"{name}: {side}, p99", microseconds(late), "µs"),
            Figure("files", f"{name}: {side}", 1 / statistics.mean(times), "commits a second"),
        ]
    return [*figures, Figure("files", f"{name}: ratio", middle["branchlog"] / middle["bare"], "times", goal)]


def _together(folder: Path, each: int) -> list[Figure]:
    """64 writers, each on a conversation of its own, and all on one."""
    figures = []
    for streams in (WRITERS, 1):
        work = [commits_of(f"chat {number}", each) for number in range(streams)]
        if streams == 1:
            work = [commits_of("chat", each * WRITERS)]
        ours = asyncio.run(_written(folder / f"together-{streams}", work))
        bare = _bare_together(folder / f"bare-{streams}", work)
        total = sum(map(len, work))
        name = "64 writers on 64 conversations" if streams > 1 else "64 writers on one conversation"
        figures += [
            Figure("files", f"{name}: branchlog", total / ours, "commits a second"),
            Figure("files", f"{name}: bare, one after the other", total / bare, "commits a second"),
        ]
    return figures


async def _written(path: Path, work: Sequence[Sequence[Commit]]) -> float:
    """Seconds until all is acknowledged; on one conversation each writer sends what follows, before the answer."""
    log = AsyncBridge(FilesLog(path))

    async def write(commits: Sequence[Commit]) -> None:
        if len(work) > 1:
            for commit in commits:
                await log.append(commit, expected=commit.first - 1)
            return
        for start in range(0, len(commits), WRITERS):
            several = commits[start : start + WRITERS]
            await asyncio.gather(*(log.append(each, expected=each.first - 1) for each in several))

    start = time.perf_counter()
    await asyncio.gather(*(write(commits) for commits in work))
    taken = time.perf_counter() - start
    await log.close()
    return taken


def _bare_together(folder: Path, work: Sequence[Sequence[Commit]]) -> float:
    folder.mkdir()
    files = [_bare_file(folder / f"{number}.jsonl") for number in range(len(work))]
    start = time.perf_counter()
    for commits, file in zip(work, files, strict=True):
        for commit in commits:
            os.write(file, _line(commit))
            os.fdatasync(file)
    taken = time.perf_counter() - start
    for file in files:
        os.close(file)
    return taken


def _loading(folder: Path, count: int) -> list[Figure]:
    commits = commits_of("measured", count)
    path, bare = folder / f"load-{count}", folder / f"load-{count}.jsonl"
    bare.write_bytes(b"".join(map(_line, commits)))
    log = FilesLog(path)
    for start in range(0, count, 500):
        log.append_group([Append(commit=each, expected=each.first - 1) for each in commits[start : start + 500]])
    log.close()
    decode = msgspec.json.Decoder(BareLine).decode

    def opened_and_read() -> None:
        with_log(path, lambda log: log.read("measured"))

    def bare_read() -> list[BareLine]:
        return [decode(line) for line in bare.read_bytes().split(b"\n")[:-1]]

    log = FilesLog(path)
    log.read("measured")
    taken = in_turns(7, opened=opened_and_read, again=lambda: log.read("measured"), bare=bare_read)
    log.close()
    return [
        Figure("files", f"{count:,} commits: open and read", milliseconds(taken["opened"]), "ms"),
        Figure("files", f"{count:,} commits: read again", milliseconds(taken["again"]), "ms"),
        Figure("files", f"{count:,} commits: bare read", milliseconds(taken["bare"]), "ms"),
        Figure("files", f"{count:,} commits: on disk a commit", _size(path) / count, "bytes"),
    ]


def with_log(path: Path, work: Callable[[FilesLog], Any]) -> None:
    log = FilesLog(path)
    work(log)
    log.close()


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _listing(folder: Path, count: int) -> list[Figure]:
    path, bare = folder / "list", folder / "list-bare"
    bare.mkdir()
    log = FilesLog(path, durability="relaxed")
    for start in range(0, count, 500):
        appends = []
        for number in range(start, start + 500):
            (commit,) = commits_of(f"chat {number}", 1)
            entry = msgspec.structs.replace(bare_entry(commit), title=f"Chat {number}", updated=number)
            appends.append(Append(commit=commit, expected=0, entry=entry))
            (bare / f"{number}.jsonl").write_bytes(_line(commit))
        log.append_group(appends)
    query = Query(limit=LISTED)

    def bare_list() -> list[BareLine]:
        lines = [msgspec.json.decode(each.read_bytes(), type=BareLine) for each in bare.iterdir()]
        return sorted(lines, key=lambda line: line.at)[-LISTED:]

    taken = in_turns(
        5,
        open=lambda: with_log(path, lambda log: log.entries(query)),
        listed=lambda: log.entries(query),
        bare=bare_list,
    )
    log.close()
    return [
        Figure("files", f"newest {LISTED} of {count:,}: open and list", milliseconds(taken["open"]), "ms"),
        Figure("files", f"newest {LISTED} of {count:,}: list", milliseconds(taken["listed"]), "ms"),
        Figure("files", f"newest {LISTED} of {count:,}: bare, every file read", milliseconds(taken["bare"]), "ms"),
    ]
