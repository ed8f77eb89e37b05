"""A reply that arrives: shown as it comes, put aside as it comes, one event in the log when it ends.

While it arrives, the log keeps a draft of it beside the conversation (``Log.extend_draft``): a piece of text at least
every ``lag_seconds`` or ``lag_bytes``, whichever comes first. When it ends, by itself or otherwise, it becomes one node
under the node that it began on, wherever the cursor has gone, and the draft is dropped. If the process dies before, the
draft is what is left: ``unfinished`` finds it, to be kept as it is, continued or dropped.

The node of a reply says in ``metadata["reply"]`` where it comes from: ``id`` (that of its draft), ``responder``,
``model``, ``reason`` (how it ended: that of the chat API, or ``cancelled``, ``failed`` or ``interrupted``), ``usage``,
``seconds``, and ``error`` where it broke off. A draft whose id a node has is settled, whatever became of its dropping.

A piece of a draft is JSON behind eight bytes of its SHA-256. The first one says where the reply belongs, and is written
again every few seconds, so that a reply that is still arriving elsewhere is told from one whose process is gone.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, TypeAlias
from weakref import WeakKeyDictionary

import attrs
import msgspec

from branchlog._core.message import Json, Message
from branchlog._core.tree import Node
from branchlog._ids import uuid7
from branchlog.conversation import Conversation, NodeLike
from branchlog.errors import BranchlogError, DraftNotKept, InvalidInput, NodeNotFound, ResponderError
from branchlog.explore.reply import REPLY, Finish, Piece, Respondent, Responder, Usage, as_responder
from branchlog.logs.base import Draft
from branchlog.store import AsyncStore

LAG_SECONDS = 0.5
LAG_BYTES = 1_024
"""How much of a reply a crash may cost: half a second of it, or 1 KiB, whichever is less."""

ALIVE_SECONDS = 5.0
"""How often a reply that arrives says that it does."""

GONE_SECONDS = 15.0
"""A reply that has not said so for this long, three times as long, has lost its process."""

SEAL_BYTES = 8

REPLACEMENT = "\ufffd"
"""Stands for the half of a character whose other half did not come."""

GO_ON = "Go on exactly where you stopped. Do not repeat anything that you said."
"""What a responder is told behind the text that it is to continue; it is not kept."""

Times: TypeAlias = "WeakKeyDictionary[Conversation, asyncio.Lock]"
_locks: Times = WeakKeyDictionary()


class _Opening(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first piece of a draft: where the reply belongs, and when it last said that it arrives (microseconds)."""

    under: int
    responder: str
    began: int
    alive: int


_decode_opening = msgspec.json.Decoder(_Opening).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode


def _sealed(value: _Opening | str) -> bytes:
    data = _encode(value)
    return sha256(data).digest()[:SEAL_BYTES] + data


def _unsealed(piece: bytes) -> bytes | None:
    """The JSON of a piece; None if it is damaged."""
    seal, data = piece[:SEAL_BYTES], piece[SEAL_BYTES:]
    return data if sha256(data).digest()[:SEAL_BYTES] == seal else None


def lock_of(chat: Conversation) -> asyncio.Lock:
    """What replies that arrive in one conversation at once take turns by when they are saved."""
    return _locks.setdefault(chat, asyncio.Lock())


# What arrives.


class Streaming:
    """One reply as it arrives. Made by ``stream``; entered with ``async with`` and iterated once.

    ``node`` is None until it is saved.
    """

    def __init__(
        self,
        store: AsyncStore,
        chat: Conversation,
        responder: Responder,
        under: Node,
        *,
        cursor: str | None,
        lag_seconds: float | None,
        lag_bytes: int,
        begun: Unfinished | None = None,
    ) -> None:
        self.chat = chat
        self.responder = responder
        self.under = under
        self.node: Node | None = None
        self.finish = Finish()
        self.error: ResponderError | None = None
        self._store = store
        self._cursor = cursor
        self._source: AsyncIterator[Piece] | None = None
        self._half = ""
        self._parts: list[str] = [] if begun is None else [begun.text]
        self._id = uuid7(time.time_ns() // 1_000) if begun is None else begun.id
        self._began = time.monotonic()
        self._ended = False
        self._thrown_away = False
        self._messages = _asked(chat, under, begun)
        self._draft = _Draft(store, chat.id, self._id, under.version, responder.name, lag_seconds, lag_bytes, begun)

    @property
    def id(self) -> str:
        """The id of the reply, as its metadata has it."""
        return self._id.hex()

    @property
    def text(self) -> str:
        """What has arrived so far."""
        return "".join(self._parts)

    async def __aenter__(self) -> Self:
        if self.chat.pending:  # else the first token would wait for a thread that has nothing to do
            async with lock_of(self.chat):
                await self._store.save(self.chat)
        self._draft.begin()
        return self

    async def __aiter__(self) -> AsyncIterator[str]:
        """The text, piece by piece as it comes. Raises ``ResponderError``; what came before is kept."""
        self._source = self.responder.respond(self._messages)
        try:
            async for piece in self._source:
                if isinstance(piece, Finish):
                    self.finish = piece
                elif text := self._whole(piece):
                    yield self._taken(text)
            if self._half:
                yield self._taken(REPLACEMENT)
            self._ended = True
        except ResponderError as error:
            self.error = error
            raise

    def _whole(self, piece: str) -> str:
        """The text with the half of a character that was left of the piece before, less the half at its own end."""
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text[: len(text) - len(self._half)]
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _taken(self, text: str) -> str:
        self._parts.append(text)
        self._draft.add(text)
        return text

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _to_the_end(self._settle())

    def throw_away(self) -> None:
        """Have what has arrived dropped on leaving, unless the reply has ended."""
        self._thrown_away = True

    async def _settle(self) -> None:
        """Save what has arrived as one node, and drop the draft."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()
        await self._draft.end()
        if self._ended or (self._parts and not self._thrown_away):
            self.node = await _saved(self._store, self.chat, self.under, self._message(), self._cursor)
        await self._draft.drop()

    def _message(self) -> Message:
        tool_calls = self.finish.tool_calls or None
        text = self.text
        return Message(
            "assistant",
            None if tool_calls and not text else text,
            tool_calls=tool_calls,
            metadata={**self.finish.more, REPLY: self._said()},
        )

    def _said(self) -> dict[str, Json]:
        """What the reply's metadata says of it."""
        finish = self.finish
        reason = finish.reason if self._ended else "cancelled" if self.error is None else "failed"
        said: dict[str, Json] = {
            "id": self.id,
            "responder": self.responder.name,
            "model": finish.model,
            "reason": reason,
            "usage": _usage(finish.usage),
            "seconds": round(time.monotonic() - self._began, 3),
            "error": None if self.error is None else error_said(self.error),
        }
        return {key: value for key, value in said.items() if value is not None}


def stream(
    store: AsyncStore,
    chat: Conversation,
    responder: Respondent,
    *,
    under: NodeLike = "@",
    cursor: str | None = "main",
    lag_seconds: float | None = LAG_SECONDS,
    lag_bytes: int = LAG_BYTES,
) -> Streaming:
    """Ask for a reply to a node, and take it as it comes.

    ::

        async with stream(store, chat, responder) as reply:
            async for text in reply:
                print(text, end="")

    On leaving, what has arrived is one new node under ``under``, ``reply.node``, and saved; the cursor goes to it if it
    stands on ``under`` still (with ``cursor=None`` it stays). Leaving early keeps what has arrived. ``lag_seconds`` and
    ``lag_bytes`` bound what a crash may cost until then; with ``lag_seconds=None`` nothing is put aside.

    Raises ``InvalidInput`` where the store keeps no drafts and some are asked for, ``NodeNotFound``, and on leaving
    what ``AsyncStore.save`` raises.
    """
    if lag_seconds is not None and not store.abilities.drafts:
        raise InvalidInput("this store keeps no drafts: lag_seconds=None keeps nothing of a reply before its end")
    if lag_bytes < 1 or (lag_seconds is not None and not lag_seconds > 0):
        raise InvalidInput(f"a lag is above 0; found {lag_seconds!r} seconds and {lag_bytes!r} bytes")
    return Streaming(
        store,
        chat,
        as_responder(responder),
        chat.node(under),
        cursor=cursor,
        lag_seconds=lag_seconds,
        lag_bytes=lag_bytes,
    )


async def reply_to(
    store: AsyncStore, chat: Conversation, responder: Respondent, *, under: NodeLike = "@", **options: Any
) -> Node:
    """Ask for a reply and wait for its end; ``options`` are those of ``stream``. The node of the reply, saved."""
    async with stream(store, chat, responder, under=under, **options) as streaming:
        async for _ in streaming:
            pass
    if streaming.node is None:  # pragma: no cover - a reply that ended has a node
        raise ResponderError(streaming.responder.name, "no reply")
    return streaming.node


def _asked(chat: Conversation, under: Node, begun: Unfinished | None) -> tuple[Message, ...]:
    messages = tuple(chat.messages(under))
    if begun is None or not begun.text:
        return messages
    return (*messages, Message("assistant", begun.text), Message("user", GO_ON))


async def _saved(store: AsyncStore, chat: Conversation, under: Node, message: Message, cursor: str | None) -> Node:
    async with lock_of(chat):
        node = chat.add(message, under=under)
        if cursor is not None and chat.cursors.get(cursor) == under:
            chat.move(node, cursor=cursor)
        await store.save(chat)
        return node


async def _to_the_end(work: Any) -> None:
    """Await it to its end, also while the one who waits is cancelled; ``Any`` coroutine."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _usage(usage: Usage | None) -> dict[str, Json] | None:
    if usage is None:
        return None
    numbers = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return {**usage.details, **{key: value for key, value in numbers.items() if value is not None}}


def error_said(error: ResponderError) -> dict[str, Json]:
    """An error as metadata says it."""
    return {"kind": type(error).__name__, "problem": error.problem}


class _Draft:
    """The draft of a reply, written in a task beside it, so that the reply does not wait for the disk."""

    def __init__(
        self,
        store: AsyncStore,
        conversation: str,
        id: bytes,
        under: int,
        responder: str,
        lag_seconds: float | None,
        lag_bytes: int,
        begun: Unfinished | None,
    ) -> None:
        self._store = store
        self._conversation = conversation
        self._id = id
        self._began = _now() if begun is None else _microseconds(begun.began)
        self._under = under
        self._responder = responder
        self._lag_seconds = lag_seconds
        self._lag_bytes = lag_bytes
        self._number = 1 if begun is None else begun.pieces
        self._waiting: list[str] = []
        self._waiting_bytes = 0
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def begin(self) -> None:
        if self._lag_seconds is not None:
            self._task = asyncio.create_task(self._keep(self._lag_seconds))

    def add(self, text: str) -> None:
        """Have some more of the text put aside soon."""
        if self._task is not None:
            self._waiting.append(text)
            self._waiting_bytes += len(text.encode())
            self._some.set()
            if self._waiting_bytes >= self._lag_bytes:
                self._enough.set()

    async def end(self) -> None:
        """Stop writing; what waits still is on its way into the log otherwise."""
        self._ended = True
        if self._task is not None:
            self._some.set()
            self._enough.set()
            await self._task

    async def drop(self) -> None:
        """Forget the draft. If that fails it is settled all the same: a node has its id."""
        if self._task is not None:
            with suppress(BranchlogError):
                await self._store.log.drop_draft(self._conversation, self._id)

    async def _keep(self, lag_seconds: float) -> None:
        try:
            # The first token is not to wait for the disk, nor for the thread that writes there.
            await _happens(self._some, min(lag_seconds, LAG_SECONDS))
            await self._say_alive()
            while not self._ended:
                if await _happens(self._some, ALIVE_SECONDS):
                    await _happens(self._enough, lag_seconds)
                    await self._write()
                else:
                    await self._say_alive()
        except BranchlogError as error:
            self._waiting.clear()
            warnings.warn(DraftNotKept(self._conversation, str(error)), stacklevel=2)

    async def _write(self) -> None:
        if self._ended:
            return
        text = "".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._some.clear()
        self._enough.clear()
        await self._put(self._number, text)
        self._number += 1
        if time.monotonic() - self._said_alive >= ALIVE_SECONDS:
            await self._say_alive()

    async def _say_alive(self) -> None:
        self._said_alive = time.monotonic()
        await self._put(0, _Opening(self._under, self._responder, self._began, _now()))

    async def _put(self, number: int, value: _Opening | str) -> None:
        await self._store.log.extend_draft(self._conversation, self._id, number, _sealed(value))


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _now() -> int:
    return time.time_ns() // 1_000


def _microseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# What was left.


@attrs.frozen(kw_only=True)
class Unfinished:
    """A reply that began and did not end: ``text`` is what had arrived, less at most the lag.

    ``arriving`` says that it has given a sign of life within 15 seconds: it may be arriving in another process still.
    """

    id: bytes
    under: Node
    responder: str
    began: datetime
    text: str
    pieces: int
    arriving: bool


async def unfinished(store: AsyncStore, chat: Conversation) -> tuple[Unfinished, ...]:
    """The replies to this conversation that began and have no node, in the order in which they began.

    Drafts of replies that were saved after all are dropped on the way.
    """
    drafts = await store.log.drafts(chat.id)
    settled = _settled(chat) if drafts else ()
    for draft in drafts:
        if draft.id.hex() in settled:
            await store.log.drop_draft(chat.id, draft.id)
    return unfinished_among(chat, drafts)


def unfinished_among(chat: Conversation, drafts: Iterable[Draft]) -> tuple[Unfinished, ...]:
    """Those of the drafts of a conversation that have no node and can be read; nothing is dropped."""
    given = tuple(drafts)
    settled = _settled(chat) if given else ()
    found = (_read(chat, draft) for draft in given if draft.id.hex() not in settled)
    return tuple(left for left in found if left is not None)


def _settled(chat: Conversation) -> set[str]:
    """The ids of the replies that have nodes."""
    said = (node.message for node in chat.tree)
    replies = (message.metadata.get(REPLY) for message in said if message is not None)
    return {reply["id"] for reply in replies if isinstance(reply, dict) and isinstance(reply.get("id"), str)}


def _read(chat: Conversation, draft: Draft) -> Unfinished | None:
    """What a draft says, up to the first damaged piece; None if not even where it belongs."""
    data = [_unsealed(piece) for piece in draft.pieces]
    if not data or data[0] is None:
        return None
    try:
        opening = _decode_opening(data[0])
        under = chat.tree.added_by(opening.under)
        texts = []
        for piece in data[1:]:
            if piece is None:
                break
            texts.append(_decode_text(piece))
    except (msgspec.MsgspecError, NodeNotFound):
        return None
    return Unfinished(
        id=draft.id,
        under=under,
        responder=opening.responder,
        began=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=opening.began),
        text="".join(texts),
        pieces=1 + len(texts),
        arriving=_now() - opening.alive < GONE_SECONDS * 1e6,
    )


async def keep(store: AsyncStore, chat: Conversation, left: Unfinished, *, cursor: str | None = "main") -> Node:
    """Make an unfinished reply a node as it is, saved; its ``reason`` is ``interrupted``."""
    said: dict[str, Json] = {"id": left.id.hex(), "responder": left.responder, "reason": "interrupted"}
    message = Message("assistant", left.text, metadata={REPLY: said})
    node = await _saved(store, chat, left.under, message, cursor)
    await drop(store, chat, left)
    return node


def go_on(
    store: AsyncStore,
    chat: Conversation,
    left: Unfinished,
    responder: Respondent,
    *,
    cursor: str | None = "main",
    lag_seconds: float | None = LAG_SECONDS,
    lag_bytes: int = LAG_BYTES,
) -> Streaming:
    """Have an unfinished reply continued: as ``stream``, and the node has the text of both.

    The responder is sent what there is of it, and told to go on.
    """
    return Streaming(
        store,
        chat,
        as_responder(responder),
        left.under,
        cursor=cursor,
        lag_seconds=lag_seconds,
        lag_bytes=lag_bytes,
        begun=left,
    )


async def drop(store: AsyncStore, chat: Conversation, left: Unfinished) -> None:
    """Forget an unfinished reply."""
    await store.log.drop_draft(chat.id, left.id)
