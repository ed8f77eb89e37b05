"""The writing of a log in object storage: appends that arrive together share one claim.

The layout, and why this is safe, is described in ``objects``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import attrs
from msgspec.structs import replace

from branchlog.commit import Commit
from branchlog.errors import BackendError, BranchlogError, ConversationDeleted
from branchlog.logs._objects.bucket import encoded, numbers, sealed, together
from branchlog.logs._objects.slots import (
    Claim,
    Listing,
    Place,
    Shared,
    Slot,
    Stream,
    commit_of,
    current_entry,
    encoded_namespace,
    seen,
    slot_at,
)
from branchlog.logs.base import Appended, Entry, Erasure, ExpectedVersion, bare_entry, placed, repeated

CHECKPOINT_CLAIMS = 256
"""Claims between two checkpoints: a process that lists for the first time reads no more than about these."""

GROUP_MAX = 512
"""Commits of one claim: enough to hide the time that it takes, few enough that the first does not wait for long."""

TRIES_MAX = 200
"""How often an append is tried again since others were first; each time one of them has succeeded."""


@attrs.define(eq=False)
class Ask:
    """An append that waits for its turn."""

    place: Place
    commit: Commit
    expected: ExpectedVersion
    entry: Entry | None
    erasures: tuple[Erasure, ...]
    fresh: bool
    answer: asyncio.Future[Appended]

    def settle(self, answer: Appended | BaseException) -> None:
        """Answer, if anybody still waits."""
        if self.answer.done():
            return
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


@attrs.define(eq=False)
class Planned:
    """A commit on its way to a slot."""

    ask: Ask
    stream: Stream
    commit: Commit
    number: int
    entry: Entry
    place: int = 0

    def slot(self, claim: int) -> Slot:
        it = self.commit
        return Slot(
            kind="commit",
            namespace=self.stream.namespace,
            stream=it.stream,
            number=self.number,
            claim=claim,
            place=self.place,
            first=it.first,
            count=it.count,
            id=it.id,
            at=it.at,
            schema=it.schema,
            previous=it.previous,
            checksum=it.checksum,
            erased=it.erased,
            entry=self.entry,
            erasures=tuple((each.first, each.data.decode()) for each in self.ask.erasures),
        )


class Writer:
    """What writes the appends that are queued, a group at a time."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._bucket = shared.bucket
        self._queue: list[Ask] = []
        self._working: asyncio.Task[None] | None = None
        self.tidy: Callable[[], Awaitable[None]] | None = None

    def ask(self, ask: Ask) -> None:
        """Queue an append, and see that what is queued is written."""
        self._queue.append(ask)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def finish(self) -> None:
        """Wait until what is queued is written."""
        if self._working is not None:
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        while self._queue:
            group, self._queue[:GROUP_MAX] = self._queue[:GROUP_MAX], []
            try:
                await self._write(group)
            except BaseException as error:
                for ask in group:
                    ask.settle(error)
                if not isinstance(error, Exception):
                    raise
            if self.tidy and len(self._shared.complete) >= CHECKPOINT_CLAIMS:
                with suppress(BranchlogError):  # what was to be tidied is, the next time
                    await self.tidy()

    async def _write(self, asks: list[Ask]) -> None:
        for _ in range(TRIES_MAX):
            plans = await self._plan(asks)
            if plans:
                claim = await self._claim(asks, plans)
                await self._put(claim, plans)
            asks = [ask for ask in asks if not ask.answer.done()]
            if not asks:
                return
        raise BackendError(f"{self._bucket.place}: others were first {TRIES_MAX} times; try again")

    async def _plan(self, asks: list[Ask]) -> list[list[Planned]]:
        """What can be written now, by stream; whatever is refused, or was stored before, is answered."""
        streams: dict[Place, list[Ask]] = {}
        for ask in asks:
            streams.setdefault(ask.place, []).append(ask)
        plans = await together(self._guarded(place, own) for place, own in streams.items())
        return [plan for plan in plans if plan]

    async def _guarded(self, place: Place, asks: list[Ask]) -> list[Planned]:
        """The plan of one stream; what is wrong with this stream is told to those who write to it."""
        try:
            return await self._plan_stream(place, asks)
        except BranchlogError as error:
            for ask in asks:
                ask.settle(error)
            return []

    async def _plan_stream(self, place: Place, asks: list[Ask]) -> list[Planned]:
        stream = self._shared.streams.get(place)
        fresh = stream is None or any(ask.fresh for ask in asks)
        if stream is None or fresh:
            stream, _ = await seen(self._shared, place)
        if stream.deleted:  # by this process, a moment ago
            raise ConversationDeleted(stream.id)
        plan, refused, repeats = self._lay_out(stream, asks)
        if refused and not fresh:  # by what was known; see what is there
            stream, _ = await seen(self._shared, place)
            plan, refused, repeats = self._lay_out(stream, asks)
        for ask, refusal in refused:
            ask.settle(refusal)
        await together(self._repeat(stream, ask) for ask in repeats)
        await self._enter(stream, plan)
        return plan

    def _lay_out(
        self, stream: Stream, asks: list[Ask]
    ) -> tuple[list[Planned], list[tuple[Ask, BranchlogError]], list[Ask]]:
        """Put the appends of one stream in a row: those that fit, those refused, and those that are stored already."""
        plan: list[Planned] = []
        refused: list[tuple[Ask, BranchlogError]] = []
        repeats: list[Ask] = []
        head, number = stream.head, stream.number
        taken: set[bytes] = set()
        for ask in asks:
            if ask.commit.id in stream.ids:
                repeats.append(ask)
            elif ask.commit.id not in taken:  # else: once the first of them is answered
                try:
                    commit = placed(ask.commit, head, ask.expected, stream.namespace)
                except BranchlogError as refusal:
                    refused.append((ask, refusal))
                    continue
                head, number = commit.head, number + 1
                taken.add(commit.id)
                plan.append(Planned(ask, stream, commit, number, ask.entry or bare_entry(commit)))
        return plan, refused, repeats

    async def _repeat(self, stream: Stream, ask: Ask) -> None:
        known = stream.ids[ask.commit.id]
        slot, data = await slot_at(self._bucket, stream.key(known.number))
        try:
            if slot.kind != "commit":
                raise ConversationDeleted(stream.id)
            ask.settle(repeated(ask.commit, commit_of(slot, data)))
        except BranchlogError as refusal:
            ask.settle(refusal)

    async def _enter(self, stream: Stream, plan: list[Planned]) -> None:
        """Give each commit the catalog's entry as it will be with it."""
        if not plan:
            return
        entry = None if plan[0].ask.entry else await current_entry(self._bucket, stream)
        for each in plan:
            entry = replace(
                each.ask.entry or entry or bare_entry(each.commit), id=each.commit.stream, version=each.commit.last
            )
            each.entry = entry

    async def _claim(self, asks: list[Ask], plans: list[list[Planned]]) -> int:
        """Put the next claim, which names the slots that are about to be written, in the order of the appends."""
        turns = {id(ask): turn for turn, ask in enumerate(asks)}
        planned = sorted((each for plan in plans for each in plan), key=lambda each: turns[id(each.ask)])
        for place, each in enumerate(planned):
            each.place = place
        raw = sealed(self._named(planned))
        number = self._shared.claimed + 1
        while await self._bucket.claim(f"log/{number:016}", raw) is not None:
            last = numbers(await self._bucket.listed("log", after=f"log/{number:016}"))
            number = (last[-1] if last else number) + 1
        self._shared.claimed = number
        return number

    @staticmethod
    def _named(planned: Iterable[Planned], dropped: frozenset[int] = frozenset()) -> Claim:
        """A claim of these slots; those at the places ``dropped`` will not be written."""
        slots = [
            (
                encoded_namespace(each.stream.namespace),
                encoded(each.commit.stream),
                0 if each.place in dropped else each.number,
            )
            for each in sorted(planned, key=lambda each: each.place)
        ]
        return Claim(os.urandom(16), tuple(slots))

    async def _put(self, claim: int, plans: list[list[Planned]]) -> None:
        """Put the slots of a claim, streams side by side, and answer."""
        rests = await together(self._put_run(claim, plan) for plan in plans)
        left = [each for rest in rests if rest for each in rest]
        if left:  # others were first: tell readers not to wait for these
            dropped = frozenset(each.place for each in left)
            named = self._named([each for plan in plans for each in plan], dropped)
            await self._bucket.put(f"log/{claim:016}", sealed(named))
        if None not in rests:
            self._shared.complete.add(claim)

    async def _put_run(self, claim: int, plan: list[Planned]) -> list[Planned] | None:
        """Put the slots of one stream, one after the other; those that were not, since another writer was first.

        None where a request failed: what was written then is to be seen.
        """
        stored: list[tuple[Planned, Slot]] = []
        try:
            for each in plan:
                slot = each.slot(claim)
                there = await self._bucket.claim(each.stream.key(each.number), sealed(slot, each.commit.data))
                if there is not None:
                    break
                each.stream.add(slot)
                stored.append((each, slot))
            if stored:
                await self._list(stored[-1][0])
        except BranchlogError as error:
            self._shared.streams.pop(plan[0].ask.place, None)
            for each in plan:
                each.ask.settle(error)
            return None
        for each, slot in stored:
            each.ask.settle(Appended(replace(each.commit, position=slot.position)))
        if len(stored) < len(plan):
            await self._look_again(plan)
        return plan[len(stored) :]

    async def _look_again(self, plan: list[Planned]) -> None:
        try:
            await seen(self._shared, plan[0].ask.place)
        except BranchlogError as error:
            for each in plan:
                each.ask.settle(error)

    async def _list(self, last: Planned) -> None:
        """Put the entry into the catalog, and take away those that were overtaken before the last one was."""
        stream = last.stream
        folder = f"catalog/{stream.folder}"
        raw = sealed(Listing(stream.namespace, stream.id, last.entry))
        overtaken, stream.listed = stream.listed[:-1], [*stream.listed[-1:], last.number]
        await together(
            [
                self._bucket.put_new(f"{folder}/{last.number:010}", raw),
                *(self._bucket.remove([f"{folder}/{number:010}"]) for number in overtaken),
            ]
        )
