"""Responders: whatever gives the next message of a conversation. And what comes of one: pieces, and how it ended.

A responder has a name and answers the messages of a path with pieces of text as they come, and at most one ``Finish``
behind them. Whatever it raises on purpose is a ``ResponderError``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs

from branchlog._core.message import Json, Message
from branchlog.errors import InvalidInput, ResponderError

REPLY = "reply"
"""The key in a message's metadata under which a reply says where it comes from, and how it ended."""


@attrs.frozen(kw_only=True)
class Usage:
    """What a reply took, in tokens, as far as the endpoint says; ``details`` is all that it says, as it says it."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    details: dict[str, Json] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Finish:
    """How a reply ended, and what came with it besides its text.

    ``reason`` is that of the chat APIs: ``stop``, ``length``, ``tool_calls``, ``content_filter``. ``model`` is the one
    that answered, ``tool_calls`` are in the shape of chat-completions, ``more`` is for the metadata.
    """

    reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    tool_calls: list[dict[str, Json]] | None = None
    more: dict[str, Json] = attrs.field(factory=dict)


Piece: TypeAlias = str | Finish
"""Some more of the text, or the end."""


@runtime_checkable
class Responder(Protocol):
    """Whatever gives the next message of a conversation."""

    @property
    def name(self) -> str:
        """What it is called, such as the name of a model; kept with each of its replies."""

    def respond(self, messages: Sequence[Message]) -> AsyncIterator[Piece]:
        """The reply to these messages, the path to a node, in pieces as they come.

        Raises ``ResponderError``, also in the midst of it: then what came before stands.
        """


Answer: TypeAlias = str | Iterable[Piece] | AsyncIterator[Piece] | Awaitable[str]
"""What a plain function may return: the text, its pieces as they come, or what is awaited for it."""

Respondent: TypeAlias = Responder | Callable[[Sequence[Message]], Answer]
"""What can be asked: a responder, or a plain function of the messages."""


def as_responder(respondent: Respondent) -> Responder:
    """The responder that this is, or that a function makes. Raises ``InvalidInput`` for anything else."""
    if isinstance(respondent, Responder):
        return respondent
    if callable(respondent):
        return FunctionResponder(respondent)
    raise InvalidInput(f"a responder has a name and a method respond, or is a function; found {respondent!r}")


class FunctionResponder:
    """A function of the messages as a responder.

    It may be a coroutine function, or return text, or pieces one by one, blocking or not. What blocks runs in a thread.
    Any exception of its own becomes a ``ResponderError``.
    """

    def __init__(self, function: Callable[[Sequence[Message]], Answer], *, name: str | None = None) -> None:
        """Ask this function; it is called by its own name if no other is given."""
        self.name = name or getattr(function, "__name__", None) or type(function).__name__
        self._function = function

    def __repr__(self) -> str:
        return f"<FunctionResponder {self.name!r}>"

    async def respond(self, messages: Sequence[Message]) -> AsyncIterator[Piece]:
        """As ``Responder.respond``."""
        try:
            async for piece in self._pieces(messages):
                yield self._checked(piece)
        except ResponderError:
            raise
        except Exception as error:
            raise ResponderError(self.name, f"the function failed: {type(error).__name__}: {error}") from error

    async def _pieces(self, messages: Sequence[Message]) -> AsyncIterator[Any]:
        answer: Any = await self._answer(messages)
        if hasattr(answer, "__aiter__"):
            async for piece in answer:
                yield piece
        elif isinstance(answer, str | Finish):
            yield answer
        else:
            pieces = iter(answer)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece

    async def _answer(self, messages: Sequence[Message]) -> Any:
        if inspect.iscoroutinefunction(self._function) or inspect.isasyncgenfunction(self._function):
            answer: Any = self._function(messages)
        else:
            answer = await asyncio.to_thread(self._function, messages)
        return await answer if inspect.isawaitable(answer) else answer

    def _checked(self, piece: Any) -> Piece:
        if isinstance(piece, str | Finish):
            return piece
        raise ResponderError(
            self.name, f"the function gave {type(piece).__name__}; it gives text, or a Finish at the end"
        )


class Scripted:
    """A responder that says what it was given, one reply after the other, and then begins again: for tests and demos.

    Each reply comes word by word, with ``pause_seconds`` before each.
    """

    def __init__(self, replies: Iterable[str], *, name: str = "scripted", pause_seconds: float = 0.0) -> None:
        """Say these replies. Raises ``InvalidInput`` if there are none."""
        self.name = name
        self._replies = tuple(replies)
        self._pause_seconds = pause_seconds
        self._given = 0
        if not self._replies:
            raise InvalidInput("a script has at least one reply")

    @classmethod
    def from_text(cls, text: str, *, name: str = "scripted", pause_seconds: float = 0.0) -> Scripted:
        """The replies of a script: paragraphs of a text, with a line of three dashes between one reply and the next."""
        replies = [reply.strip() for reply in ("\n" + text + "\n").split("\n---\n")]
        return cls([reply for reply in replies if reply], name=name, pause_seconds=pause_seconds)

    def __repr__(self) -> str:
        return f"<Scripted {self.name!r}, {len(self._replies)} replies>"

    async def respond(self, messages: Sequence[Message]) -> AsyncIterator[Piece]:
        """As ``Responder.respond``; what the messages are makes no difference."""
        reply = self._replies[self._given % len(self._replies)]
        self._given += 1
        words = 0
        for word in _words(reply):
            if self._pause_seconds:
                await asyncio.sleep(self._pause_seconds)
            words += 1
            yield word
        asked = sum(len(message.text.split()) for message in messages)
        yield Finish(reason="stop", model=self.name, usage=Usage(input_tokens=asked, output_tokens=words))


def _words(text: str) -> Iterator[str]:
    """The words of a text, each with the blanks behind it: joined they are the text."""
    begin = 0
    for place in range(1, len(text)):
        if text[place - 1].isspace() and not text[place].isspace():
            yield text[begin:place]
            begin = place
    yield text[begin:]
