"""A log on S3, against the bare client that makes the same requests to the same server.

The server is moto's, in a process of its own on this machine: what is measured is what a log costs beside the requests,
and how many these are; over a network each takes 10 to 50 ms instead. The bare side puts three objects one after the
other for each commit (the claim, the commit, the entry of the catalog), as much as is needed for positions and a
listing, and reads by listing and getting side by side.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import boto3
import obstore
from obstore.store import LocalStore, S3Store

from benchmarks.measure import Figure, milliseconds, text_of
from branchlog.commit import genesis, seal
from branchlog.logs._objects.bucket import Bucket
from branchlog.logs.base import Append, Entry, Query
from branchlog.logs.objects import ObjectsLog

WRITERS = 64
DATA = b'[{"text":"' + text_of(280).encode() + b'"}]'
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


def run(folder: Path, quick: bool) -> list[Figure]:
    os.environ.update(KEYS)
    with _server() as endpoint:
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="measured")
        client.close()
        return asyncio.run(_measured(folder, endpoint, quick))


@contextmanager
def _server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


async def _measured(folder: Path, endpoint: str, quick: bool) -> list[Figure]:
    address = f"s3://measured/{{}}?endpoint={endpoint}"

    def client() -> S3Store:
        return S3Store("measured", endpoint=endpoint, client_options={"allow_http": True})

    figures = await _appends(await ObjectsLog.connect(address.format("appends")), client(), 50 if quick else 200)
    figures += await _reads("S3", address.format("reads"), client, "reads/", 100 if quick else 1_000)
    here = f"file://{folder}/reads"
    size = 200 if quick else 10_000
    figures += await _reads("folder", here, lambda: LocalStore(folder / "reads"), "", size)
    figures += await _listing("S3", address.format("lists"), 100 if quick else 1_000)
    return figures + await _listing("folder", f"file://{folder}/lists", size)


async def _append(log: ObjectsLog, stream: str) -> None:
    head = await log.head(stream) or genesis("", stream)
    await log.append(_commit(stream, head), expected=head.version, entry=_entry(stream))


def _commit(stream: str, head) -> object:
    return seal(stream, head, count=1, id=os.urandom(16), at=1, schema="1.0.0", data=DATA)


def _entry(stream: str, updated: int = 1) -> Entry:
    return Entry(
        id=stream,
        version=0,
        title="Kyoto",
        metadata={"n": 1},
        created=1,
        updated=updated,
        nodes=1,
        branches=1,
        cursors={},
    )


async def _appends(log: ObjectsLog, bare: S3Store, rounds: int) -> list[Figure]:
    numbers = iter(range(10_000_000))
    heads: dict[str, object] = {}

    async def ours(stream: str) -> None:
        head = heads.get(stream) or genesis("", stream)
        stored = await log.append(_commit(stream, head), expected=head.version, entry=_entry(stream))
        heads[stream] = stored.commit.head

    async def theirs(stream: str) -> None:
        number = next(numbers)
        for what in ("log", f"commits/{stream}", f"catalog/{stream}"):
            await obstore.put_async(bare, f"bare/{what}/{number:016}", DATA * 2, mode="create")

    figures = []
    for writers in (1, WRITERS):
        each = rounds if writers == 1 else max(rounds // 30, 2)
        taken = {}
        for name, work in (("branchlog", ours), ("bare", theirs)):
            times, rate = await _timed(work, writers, each)
            taken[name] = median(times)
            what = f"append, {writers} writers, {name}"
            figures += [
                Figure("objects", f"{what}: p50", milliseconds(median(times)), "ms"),
                Figure("objects", f"{what}: p99", milliseconds(quantiles(times, n=100)[98]), "ms"),
                Figure("objects", f"{what}: rate", rate, "commits a second"),
            ]
        figures.append(
            Figure("objects", f"append, {writers} writers: ratio", taken["branchlog"] / taken["bare"], "times")
        )
    return [*figures, *await _requests("append", lambda: ours("w0"))]


async def _timed(work: Callable[[str], Awaitable[None]], writers: int, each: int) -> tuple[list[float], float]:
    times: list[float] = []

    async def write(number: int) -> None:
        for _ in range(each):
            start = time.perf_counter()
            await work(f"w{number}")
            times.append(time.perf_counter() - start)

    await asyncio.gather(*map(write, range(writers)))
    times.clear()
    start = time.perf_counter()
    await asyncio.gather(*map(write, range(writers)))
    return times, len(times) / (time.perf_counter() - start)


async def _requests(name: str, work: Callable[[], Awaitable[object]]) -> list[Figure]:
    """How many requests something takes, of each kind."""
    counts: Counter[str] = Counter()
    kinds = {"get": "GET", "put": "PUT", "put_new": "PUT", "_remove": "DELETE", "listed": "LIST"}
    before = {method: getattr(Bucket, method) for method in kinds}

    def counted(method: str) -> Callable[..., Awaitable[object]]:
        async def call(*args: object, **options: object) -> object:
            counts[kinds[method]] += 1
            return await before[method](*args, **options)

        return call

    for method in kinds:
        setattr(Bucket, method, counted(method))
    try:
        await work()
    finally:
        for method, original in before.items():
            setattr(Bucket, method, original)
    return [Figure("objects", f"{name}: {kind}", count, "requests") for kind, count in sorted(counts.items())]


async def _reads(where: str, url: str, client: Callable[[], object], prefix: str, size: int) -> list[Figure]:
    head, appends = genesis("", "trip"), []
    for _ in range(size):
        commit = _commit("trip", head)
        appends.append(Append(commit=commit, expected=head.version))
        head = commit.head
    log = await ObjectsLog.connect(url)
    loading = await _seconds(lambda: log.append_group(appends))
    cold = await ObjectsLog.connect(url)
    ours = await _seconds(lambda: cold.read("trip"))
    again = await _seconds(lambda: cold.read("trip", after=size - 10))
    theirs = await _seconds(lambda: _bare_read(client(), f"{prefix}commits/n-/trip"))
    return [
        Figure("objects", f"{where}: {size:,} commits in one group", loading, "s"),
        Figure("objects", f"{where}: read {size:,} commits, first time", ours, "s"),
        Figure("objects", f"{where}: read {size:,} commits, bare", theirs, "s"),
        Figure("objects", f"{where}: read {size:,} commits: ratio", ours / theirs, "times"),
        Figure("objects", f"{where}: read the last 10 of {size:,} again", milliseconds(again), "ms"),
    ]


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def _bare_read(bare: object, folder: str) -> None:
    turns = asyncio.Semaphore(64)

    async def get(path: str) -> None:
        async with turns:
            await (await obstore.get_async(bare, path)).bytes_async()

    listed = await obstore.list(bare, folder, chunk_size=1_000).collect_async()
    await asyncio.gather(*(get(each["path"]) for each in listed))


async def _listing(where: str, url: str, count: int) -> list[Figure]:
    ids = [f"c{number}" for number in range(count)]
    appends = [Append(commit=_commit(id, genesis("", id)), expected=0, entry=_entry(id)) for id in ids]
    log = await ObjectsLog.connect(url)
    await log.append_group(appends)
    other = await ObjectsLog.connect(url)
    newest = Query(order="updated", descending=True, limit=50)
    figures = [
        Figure(
            "objects", f"{where}: newest 50 of {count:,}, {name}", await _seconds(lambda: other.entries(newest)), "s"
        )
        for name in ("first time", "again")
    ]
    await _append(log, "c7")
    after = await _requests(f"{where}: newest 50 of {count:,} after one change", lambda: other.entries(newest))
    return [*figures, *after]
