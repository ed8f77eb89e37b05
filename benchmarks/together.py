"""Asynchronous saves that are made at once share a wait for the disk: 64 writers against one.

Each writer has a conversation of its own, and says and saves one message after the other, durably.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import branchlog
from benchmarks.measure import Figure, text_of

WRITERS = 64
TEXT = text_of(300)


def run(folder: Path, quick: bool) -> list[Figure]:
    each = 10 if quick else 60
    one = [_rate(folder / f"one-{number}.db", 1, each * 10) for number in range(3)]
    many = [_rate(folder / f"many-{number}.db", WRITERS, each) for number in range(3)]
    alone, together = sorted(one)[1], sorted(many)[1]
    return [
        Figure("together", "1 writer", alone, "messages a second"),
        Figure("together", f"{WRITERS} writers", together, "messages a second"),
        Figure("together", f"{WRITERS} writers to 1", together / alone, "times"),
    ]


def _rate(path: Path, writers: int, each: int) -> float:
    """Messages a second."""
    taken = asyncio.run(_written(path, writers, each))
    with branchlog.open(path) as store:
        found = sum(summary.nodes - 1 for summary in store.list(limit=writers))
    if found != writers * each:
        raise RuntimeError(f"{writers * each} messages were said, {found} are there")
    return found / taken


async def _written(path: Path, writers: int, each: int) -> float:
    async with branchlog.open_async(path) as store:
        chats = [await store.create() for _ in range(writers)]
        for chat in chats:
            await store.save(chat)

        async def write(chat: branchlog.Conversation) -> None:
            for _ in range(each):
                chat.say("user", TEXT)
                await store.save(chat)

        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.gather(*map(write, chats))
        return loop.time() - start
