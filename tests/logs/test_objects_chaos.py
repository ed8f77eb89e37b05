"""Handles that write, group, redact and delete at once, over requests that are late, fail, or lose their answer."""

import asyncio
import os
import random

import attrs
import pytest
from obstore.store import MemoryStore

from branchlog.commit import genesis, seal
from branchlog.errors import BackendError, ConversationDeleted, VersionConflict
from branchlog.logs._objects import slots as objects_slots
from branchlog.logs._objects.bucket import Bucket
from branchlog.logs.base import Append, Appended, Erasure, Expected, Query
from branchlog.logs.objects import ObjectsLog

STREAMS = "abcd"
REQUESTS = ("put_new", "put", "get", "listed", "_remove")


@attrs.define
class Ledger:
    """What was acknowledged."""

    commits: dict[bytes, tuple[str, int]] = attrs.field(factory=dict)
    redacted: list[tuple[str, int]] = attrs.field(factory=list)
    deleted: set[str] = attrs.field(factory=set)

    def note(self, answer):
        if isinstance(answer, Appended):
            self.commits[answer.commit.id] = (answer.commit.stream, answer.commit.position)


def troubled(patch, choose):
    """Let requests take their time, fail before they are made, and lose their answer;
    gives what ends the failing."""
    failing = [True]

    def late(method):
        made = getattr(Bucket, method)

        async def call(self, *args, **options):
            await asyncio.sleep(choose.random() * (0.04 if choose.random() < 0.05 else 0.005))
            if failing[0] and choose.random() < 0.01:
                raise BackendError("the request was not made")
            answer = await made(self, *args, **options)
            if failing[0] and choose.random() < 0.01:
                raise BackendError("the answer was lost")
            return answer

        return call

    for method in REQUESTS:
        patch.setattr(Bucket, method, late(method))

    def calm():
        failing[0] = False

    return calm


def next_behind(head, stream, text):
    return seal(stream, head, count=1, id=os.urandom(16), at=1, schema="1.0.0", data=b'["%s"]' % text)


async def one_action(log, stream, choose, ledger):
    """Delete, redact, append a group or one commit; the same call again after a failure."""
    what, head = choose.random(), await again(lambda: log.head(stream)) or genesis("", stream)
    if what < 0.01:
        await again(lambda: log.delete(stream))
    elif what < 0.12 and head.version > 1:
        target = choose.choice(await again(lambda: log.read(stream, until=head.version)))
        commit, erasures = next_behind(head, stream, b"redacts"), [Erasure(first=target.first, data=b"[null]")]
        ledger.note(await again(lambda: log.redact(commit, expected=head.version, erasures=erasures)))
        ledger.redacted.append((stream, target.first))
    elif what < 0.3:
        commits = [next_behind(head, stream, b"grouped")]
        commits += [next_behind(commits[0].head, stream, b"grouped")]
        group = [Append(commit=each, expected=each.first - 1) for each in commits]
        for answer in await again(lambda: log.append_group(group)):
            ledger.note(answer)
    else:
        commit, expected = next_behind(head, stream, b"said"), choose.choice([head.version, Expected.ANY])
        ledger.note(await again(lambda: log.append(commit, expected=expected)))


async def again(call):
    """Make a call until it is answered."""
    while True:
        try:
            return await call()
        except BackendError:
            continue


async def worked(log, choose, ledger):
    for _ in range(15):
        stream = choose.choice(STREAMS)
        try:
            await one_action(log, stream, choose, ledger)
        except VersionConflict:
            continue
        except ConversationDeleted:
            ledger.deleted.add(stream)


async def tailed(log, done, choose):
    seen, over = [], False
    while not over:
        over = done.is_set()
        page = [None]
        while page:
            after, limit = seen[-1].position if seen else 0, choose.choice([1, 50])
            page = await again(lambda after=after, limit=limit: log.read_all(after=after, limit=limit))
            seen += page
    return seen


async def check(log, ledger, seen):
    """What was acknowledged is there once, in one order, as the tail saw it; the catalog is in step."""
    by_id, stored = {each.id: each for each in seen}, await log.read_all()
    positions = [each.position for each in seen]
    assert positions == sorted(set(positions))
    assert len(by_id) == len(seen)
    live = set()
    for stream in STREAMS:
        try:
            commits = await log.read(stream)
        except ConversationDeleted:
            ledger.deleted.add(stream)
            continue
        live |= {stream} if commits else set()
        assert commits == [each for each in stored if each.stream == stream]
        assert [each.id for each in commits] == [each.id for each in seen if each.stream == stream]
        erased = {each.first for each in commits if each.erased}
        assert {first for where, first in ledger.redacted if where == stream} <= erased
    for id, (stream, position) in ledger.commits.items():
        assert stream in ledger.deleted or by_id[id].position == position
    listed = {each.id: each.version for each in await log.entries(Query())}
    assert listed == {stream: (await log.head(stream)).version for stream in live}
    assert (await log.examine()).problems == ()


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 60))])
def test_whatever_happens_nothing_is_lost(monkeypatch, seed):
    choose, objects, ledger = random.Random(seed), MemoryStore(), Ledger()
    monkeypatch.setattr(objects_slots, "GRACE_SECONDS", 0.01)

    async def work():
        logs = [await ObjectsLog.connect("memory", objects=objects) for _ in range(5)]
        done = asyncio.Event()
        with monkeypatch.context() as patch:
            calm = troubled(patch, choose)
            tail = asyncio.create_task(tailed(logs[4], done, choose))
            await asyncio.gather(*(worked(logs[number % 4], choose, ledger) for number in range(12)))
            calm()
            done.set()
            seen = await tail
        await check(await ObjectsLog.connect("memory", objects=objects), ledger, seen)

    asyncio.run(work())
    assert len(ledger.commits) > 20
