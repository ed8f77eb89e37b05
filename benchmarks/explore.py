"""What branchlog adds to a reply that streams, against the bare official client on the same server on this machine.

The server is that of the tests, in a process of its own: so what is measured beside it is the client and branchlog, and
nothing of a model. It says the words of the question as fast as it can, which no model does: the overhead that is seen
here is the largest there can be. The second workload has a server that says a word every few milliseconds, as models
do.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import branchlog
from benchmarks.measure import Figure, milliseconds, text_of
from branchlog.explore import ChatCompletions, explore, stream

SERVER = Path(__file__).parents[1] / "tests" / "explore" / "endpoint_server.py"
TEXT = text_of(1_200)
AT_ONCE = 64


def run(folder: Path, quick: bool) -> list[Figure]:
    with served() as base_url:
        paced = asyncio.run(_single(folder / "paced.db", base_url, "paced", 5 if quick else 21))
        fast = asyncio.run(_single(folder / "fast.db", base_url, "echo", 5 if quick else 41))
        many = asyncio.run(_many(folder / "many.db", base_url, 1 if quick else 5))
        size = asyncio.run(_size(folder / "size.db", base_url, 5 if quick else 20))
    return [*_figures("a word every 5 ms", paced, goal=1.05), *_figures("as fast as can be", fast), *many, size]


@contextmanager
def served() -> Iterator[str]:
    """The server in a process of its own; its address."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.stdin.close()
            process.wait()


def _figures(what: str, taken: dict[str, list[tuple[float, float]]], goal: float | None = None) -> list[Figure]:
    found = []
    for place, name in enumerate(("first token", "total")):
        bare, ours = (median(each[place] for each in taken[who]) for who in ("bare", "branchlog"))
        # Of each turn its own ratio: what disturbs one disturbs its neighbour.
        ratio = median(ours[place] / bare[place] for bare, ours in zip(taken["bare"], taken["branchlog"], strict=True))
        found += [
            Figure("explore", f"{what}: {name}, bare client", milliseconds(bare), "ms"),
            Figure("explore", f"{what}: {name}, branchlog", milliseconds(ours), "ms"),
            Figure("explore", f"{what}: {name}, branchlog to bare", ratio, "times", goal=goal),
        ]
    return found


async def _single(path: Path, base_url: str, model: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds to the first token and to the end (ours: saved, durably), in turns."""
    taken: dict[str, list[tuple[float, float]]] = {"bare": [], "branchlog": []}
    responder = ChatCompletions(model, base_url=base_url, api_key="none")
    client = _client(base_url)
    async with branchlog.open_async(path) as store:
        chat = await store.create("bench")
        question = chat.say("user", TEXT)
        await store.save(chat)
        works = {"bare": lambda: _bare(client, model), "branchlog": lambda: _ours(store, chat, responder, question)}
        order = list(works)
        for number in range(rounds + 1):
            for name in order:
                seconds = await works[name]()
                if number:  # the first round opens connections
                    taken[name].append(seconds)
            order.reverse()
    await client.close()
    await responder.close()
    return taken


def _client(base_url: str):
    import openai

    return openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)


async def _pieces(client, model: str) -> AsyncIterator[str]:
    chunks = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": TEXT}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in chunks:
        for choice in chunk.choices:
            if choice.delta.content:
                yield choice.delta.content


async def _bare(client, model: str) -> tuple[float, float]:
    start, first, parts = time.perf_counter(), 0.0, []
    async for text in _pieces(client, model):
        first = first or time.perf_counter() - start
        parts.append(text)
    taken = time.perf_counter() - start
    _check("".join(parts))
    return first, taken


async def _ours(store, chat, responder, question) -> tuple[float, float]:
    start, first = time.perf_counter(), 0.0
    async with stream(store, chat, responder, under=question, cursor=None) as reply:
        async for _ in reply:
            first = first or time.perf_counter() - start
    taken = time.perf_counter() - start
    _check(reply.node.message.text)
    return first, taken


def _check(text: str) -> None:
    if text.split() != ["You", "said:", *TEXT.split()]:
        raise RuntimeError("the reply is not what was said")


async def _many(path: Path, base_url: str, rounds: int) -> list[Figure]:
    """64 replies at once, the wall time of all, in turns."""
    bare, ours = [], []
    responder = ChatCompletions("paced", base_url=base_url, api_key="none")
    client = _client(base_url)
    async with branchlog.open_async(path) as store:
        chat = await store.create("bench")
        question = chat.say("user", TEXT)
        await store.save(chat)
        for number in range(rounds + 1):
            start = time.perf_counter()
            await asyncio.gather(*(_bare(client, "paced") for _ in range(AT_ONCE)))
            middle = time.perf_counter()
            attempts = [each async for each in explore(store, chat, responder, under=question, n=AT_ONCE)]
            end = time.perf_counter()
            if any(each.error for each in attempts):
                raise RuntimeError(f"a reply failed: {next(each.error for each in attempts if each.error)}")
            if number:
                bare.append(middle - start)
                ours.append(end - middle)
    await client.close()
    await responder.close()
    return [
        Figure("explore", f"{AT_ONCE} at once, bare client", milliseconds(median(bare)), "ms"),
        Figure("explore", f"{AT_ONCE} at once, branchlog", milliseconds(median(ours)), "ms"),
        Figure("explore", f"{AT_ONCE} at once, branchlog to bare", median(ours) / median(bare), "times"),
    ]


async def _size(path: Path, base_url: str, replies: int) -> Figure:
    """Bytes of the log's commits for each byte of the replies."""
    responder = ChatCompletions("echo", base_url=base_url, api_key="none")
    async with branchlog.open_async(path) as store:
        chat = await store.create("bench")
        question = chat.say("user", TEXT)
        before = await store.save(chat)
        said = 0
        for _ in range(replies):
            async with stream(store, chat, responder, under=question, cursor=None) as reply:
                async for _ in reply:
                    pass
            said += len(reply.node.message.text.encode())
        commits = await store.log.read("bench", after=before)
        left = await store.log.drafts("bench")
    await responder.close()
    if len(commits) != replies or left:
        raise RuntimeError(f"{replies} replies are {len(commits)} commits and {len(left)} drafts")
    logged = sum(len(commit.data) for commit in commits)
    return Figure("explore", "bytes in the log for each byte of a reply", logged / said, "times")
