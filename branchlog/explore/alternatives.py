"""Several replies to one prompt, at once: each becomes a child as it finishes, and the cursor stays where it is.

A reply that fails leaves the others alone, and a mark: what had arrived of it is a node that says so, and where nothing
had, the prompt says so in its metadata, under ``failed_replies``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime

import attrs

from branchlog._core.message import Json
from branchlog._core.tree import Node
from branchlog.conversation import Conversation, NodeLike
from branchlog.errors import InvalidInput, ResponderError
from branchlog.explore.reply import Respondent, Responder, as_responder
from branchlog.explore.streaming import LAG_BYTES, LAG_SECONDS, Streaming, error_said, lock_of, stream
from branchlog.store import AsyncStore

FAILED = "failed_replies"
"""The key in a prompt's metadata for replies that failed before anything of them had arrived, by their ids."""

AT_ONCE_MAX = 64
"""Replies that are asked for at the same time, if nothing else is said: what one endpoint takes without complaint."""


@attrs.frozen(kw_only=True)
class Attempt:
    """What became of one reply that was asked for: its node, or the error; both where it broke off."""

    responder: str
    node: Node | None = None
    error: ResponderError | None = None


async def explore(
    store: AsyncStore,
    chat: Conversation,
    responders: Respondent | Iterable[Respondent],
    *,
    under: NodeLike = "@",
    n: int = 1,
    at_once: int = AT_ONCE_MAX,
    lag_seconds: float | None = LAG_SECONDS,
    lag_bytes: int = LAG_BYTES,
) -> AsyncIterator[Attempt]:
    """Ask each responder for ``n`` replies to one node, at once; an ``Attempt`` as each ends.

    ::

        async for attempt in explore(store, chat, [small, large], n=3):
            print(attempt.responder, attempt.node or attempt.error)

    Each reply is saved when it ends. To stop early, leave the loop and close the iterator (or cancel the task): what is
    complete stays, and what had arrived of the others is dropped. Raises ``InvalidInput`` where nobody is asked, and
    what ``stream`` raises.
    """
    asked = _asked(responders, n, at_once)
    node = chat.node(under)
    turns = asyncio.Semaphore(at_once)

    async def one(responder: Responder) -> Attempt:
        async with turns:
            streaming = stream(
                store, chat, responder, under=node, cursor=None, lag_seconds=lag_seconds, lag_bytes=lag_bytes
            )
            return await _attempt(store, chat, streaming)

    tasks = [asyncio.create_task(one(responder)) for responder in asked]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _asked(responders: Respondent | Iterable[Respondent], n: int, at_once: int) -> list[Responder]:
    if type(n) is not int or type(at_once) is not int or n < 1 or at_once < 1:
        raise InvalidInput(f"at least one reply is asked for, and one at once; found {n!r} and {at_once!r}")
    several = [responders] if isinstance(responders, Responder) or callable(responders) else list(responders)
    if not several:
        raise InvalidInput("there is nobody to ask: give at least one responder")
    return [as_responder(responder) for responder in several for _ in range(n)]


async def _attempt(store: AsyncStore, chat: Conversation, streaming: Streaming) -> Attempt:
    name = streaming.responder.name
    try:
        async with streaming:
            try:
                async with aclosing(aiter(streaming)) as pieces:  # type: ignore[type-var]  # it is a generator
                    async for _ in pieces:
                        pass
            except asyncio.CancelledError:
                streaming.throw_away()
                raise
    except ResponderError as error:
        if streaming.node is None:
            await mark_failed(store, chat, streaming, error)
        return Attempt(responder=name, node=streaming.node, error=error)
    return Attempt(responder=name, node=streaming.node)


async def mark_failed(store: AsyncStore, chat: Conversation, streaming: Streaming, error: ResponderError) -> None:
    """Leave a mark of a reply that failed before anything of it had arrived, and save it."""
    said: dict[str, Json] = {
        "responder": streaming.responder.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **error_said(error),
    }
    async with lock_of(chat):
        chat.annotate(streaming.under, metadata={FAILED: {streaming.id: said}})
        await store.save(chat)
