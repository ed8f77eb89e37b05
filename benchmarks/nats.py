"""The NATS log against the bare client, on one cluster of three servers that sync each message to the disk.

The bare side does what a careful program would write by hand with nats-py, with the same round trips: it publishes the
same payload with the expected last sequence of the subject and an id for the servers to know it by; it reads a
conversation by batched gets and takes the events out of each message; it lists by the headers of the last message of
each subject, where it has put a catalog entry. It verifies nothing, and where it has lost an answer it does not look.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from heapq import nlargest
from pathlib import Path
from statistics import median
from uuid import uuid4

import msgspec
import nats

from benchmarks.measure import Figure, milliseconds, text_of
from branchlog.commit import Commit, genesis, seal
from branchlog.logs.base import Append, Entry, Query
from branchlog.logs.nats import NatsLog
from tests.servers.nats import Cluster

GOAL = 1.3
AT = 1_763_682_452_000_000
DATA = msgspec.json.encode([{"type": "node-added", "message": {"role": "user", "content": text_of(300)}}])

Work = Callable[[], Awaitable[object]]


def run(folder: Path, quick: bool) -> list[Figure]:
    cluster = Cluster(beneath=folder).start()
    try:
        return asyncio.run(_measured(cluster, quick))
    finally:
        cluster.stop()


async def _measured(cluster: Cluster, quick: bool) -> list[Figure]:
    log = await NatsLog.connect(cluster.url)
    bare = await Bare.connect(cluster)
    try:
        figures = []
        for writers in (1, 64):
            figures += await _appends(log, bare, writers, 50 if quick else 800 if writers == 1 else 200)
        for size in (1_000,) if quick else (1_000, 10_000):
            figures += await _loads(log, bare, size, 3 if quick else 9)
        figures += await _lists(cluster, bare, 500 if quick else 10_000, 3 if quick else 9)
        return figures
    finally:
        await bare.client.close()
        await log.close()


async def _appends(log: NatsLog, bare: Bare, writers: int, each: int) -> list[Figure]:
    """In turns of a few rounds, so that what disturbs one side disturbs the other."""
    waits: dict[str, list[float]] = {"ours": [], "bare": []}
    taken = {"ours": 0.0, "bare": 0.0}
    turns = 10
    for turn in range(turns):
        sides: list[tuple[str, Callable[[str], Awaitable[list[float]]]]] = [
            ("ours", lambda stream: _append_ours(log, stream, each // turns)),
            ("bare", lambda stream: _append_bare(bare, stream, each // turns)),
        ]
        for side, work in sides[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            answers = await asyncio.gather(*(work(f"{side} {writers} {turn} {number}") for number in range(writers)))
            taken[side] += time.perf_counter() - start
            waits[side] += [wait for answer in answers for wait in answer]
    name = f"{writers} writer" + "s" * (writers > 1)
    rates = {side: len(waits[side]) / taken[side] for side in waits}
    figures = []
    for side in ("ours", "bare"):
        ordered = sorted(waits[side])
        figures += [
            Figure("nats", f"{name}, {side}: append p50", milliseconds(ordered[len(ordered) // 2]), "ms"),
            Figure("nats", f"{name}, {side}: append p99", milliseconds(ordered[len(ordered) * 99 // 100]), "ms"),
            Figure("nats", f"{name}, {side}", rates[side], "commits a second"),
        ]
    return [*figures, Figure("nats", f"{name}: ratio of the rates", rates["bare"] / rates["ours"], "times", GOAL)]


def _commits(stream: str, count: int) -> list[Commit]:
    head, commits = genesis("", stream), []
    for _ in range(count):
        commits.append(seal(stream, head, count=1, id=uuid4().bytes, at=AT, schema="1.0.0", data=DATA))
        head = commits[-1].head
    return commits


def _entry(stream: str, version: int) -> Entry:
    return Entry(
        id=stream,
        version=version,
        title="Measured",
        metadata={"user": "one"},
        created=AT,
        updated=AT + version,
        nodes=version,
        branches=1,
        cursors={"main": version},
    )


async def _append_ours(log: NatsLog, stream: str, count: int) -> list[float]:
    waits = []
    for commit in _commits(stream, count):
        start = time.perf_counter()
        await log.append(commit, expected=commit.first - 1, entry=_entry(stream, commit.last))
        waits.append(time.perf_counter() - start)
    return waits


async def _append_bare(bare: Bare, stream: str, count: int) -> list[float]:
    waits, last = [], 0
    for commit in _commits(stream, count):
        start = time.perf_counter()
        last = await bare.append(stream, commit, last)
        waits.append(time.perf_counter() - start)
    return waits


async def _loads(log: NatsLog, bare: Bare, size: int, rounds: int) -> list[Figure]:
    stream = f"long {size}"
    commits = _commits(stream, size)
    await log.append_group([Append(commit=each, expected=each.first - 1) for each in commits])
    last = 0
    for commit in commits:
        last = await bare.append(stream, commit, last)

    async def ours() -> None:
        found = await log.read(stream)
        events = [event for each in found for event in msgspec.json.decode(each.data)]
        if len(events) != size:
            raise RuntimeError(f"{len(events)} events were read, not {size}")

    async def by_hand() -> None:
        if len(await bare.read(stream)) != size:
            raise RuntimeError("not all were read")

    taken = await _in_turns(rounds, ours=ours, bare=by_hand)
    return _figures(f"load {size:,} events", taken)


async def _lists(cluster: Cluster, bare: Bare, count: int, rounds: int) -> list[Figure]:
    url = f"{cluster.url}?stream=LISTED"
    log = await NatsLog.connect(url)
    names = [f"conversation {number}" for number in range(count)]
    await log.append_group(
        [Append(commit=_commits(name, 1)[0], expected=0, entry=_entry(name, at)) for at, name in enumerate(names)]
    )
    await asyncio.gather(*(bare.append(f"listed.{name}", _commits(name, 1)[0], 0, at) for at, name in enumerate(names)))
    query = Query(limit=50)

    async def cold() -> None:
        log._shared.catalogs.clear()
        await warm()

    async def warm() -> None:
        if len(await log.entries(query)) != 50:
            raise RuntimeError("not all were listed")

    async def by_hand() -> None:
        if len(await bare.newest(count)) != 50:
            raise RuntimeError("not all were listed")

    taken = await _in_turns(rounds, ours=cold, bare=by_hand, again=warm)
    again = Figure("nats", f"newest 50 of {count:,}, ours, when read before", milliseconds(taken.pop("again")), "ms")
    await log.close()
    return [*_figures(f"newest 50 of {count:,}", taken), again]


async def _in_turns(rounds: int, **works: Work) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(rounds):
        for name in order:
            start = time.perf_counter()
            await works[name]()
            taken[name].append(time.perf_counter() - start)
        order.reverse()
    return {name: median(times) for name, times in taken.items()}


def _figures(what: str, taken: dict[str, float]) -> list[Figure]:
    return [
        *(Figure("nats", f"{what}, {side}", milliseconds(value), "ms") for side, value in taken.items()),
        Figure("nats", f"{what}: ratio", taken["ours"] / taken["bare"], "times", GOAL),
    ]


class Bare:
    """What one would write by hand."""

    def __init__(self, client: nats.NATS) -> None:
        self.client = client

    @classmethod
    async def connect(cls, cluster: Cluster) -> Bare:
        client = await nats.connect([f"nats://{node.address}" for node in cluster.nodes])
        await client.jetstream().add_stream(
            name="BARE", subjects=["bare.>"], num_replicas=3, storage="file", allow_direct=True
        )
        return cls(client)

    @staticmethod
    def subject(stream: str) -> str:
        return "bare." + stream.replace(" ", "_")

    async def append(self, stream: str, commit: Commit, last: int, at: int = 0) -> int:
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(last),
            "Nats-Msg-Id": commit.id.hex() + stream.replace(" ", "_"),
            "Entry": json.dumps({"id": stream, "updated": AT + at, "title": "Measured", "metadata": {"user": "one"}}),
        }
        answer = await self.client.request(self.subject(stream), commit.data, timeout=10, headers=headers)
        told = json.loads(answer.data)
        if "error" in told:
            raise RuntimeError(told)
        return told["seq"]

    async def read(self, stream: str) -> list[object]:
        subject, found, start, pending = self.subject(stream), [], 1, "1"
        while pending != "0":
            inbox = self.client.new_inbox()
            subscription = await self.client.subscribe(inbox)
            request = {"seq": start, "next_by_subj": subject, "batch": 2_000}
            await self.client.publish("$JS.API.DIRECT.GET.BARE", json.dumps(request).encode(), reply=inbox)
            while "Status" not in (message := await subscription.next_msg(timeout=10)).headers:
                found += msgspec.json.decode(message.data)
                start = int(message.headers["Nats-Sequence"]) + 1
            pending = message.headers.get("Nats-Num-Pending", "0")
            await subscription.unsubscribe()
        return found

    async def newest(self, count: int) -> list[object]:
        consumer = await self.client.jetstream().subscribe(
            "bare.listed.>",
            stream="BARE",
            ordered_consumer=True,
            config=nats.js.api.ConsumerConfig(deliver_policy="last_per_subject", headers_only=True),
        )
        entries = [json.loads((await consumer.next_msg(timeout=10)).headers["Entry"]) for _ in range(count)]
        await consumer.unsubscribe()
        return nlargest(50, entries, key=lambda entry: (entry["updated"], entry["id"]))
