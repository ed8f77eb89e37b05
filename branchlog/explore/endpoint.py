"""Any endpoint that speaks chat-completions, through the official client: the extra ``openai``.

OpenAI's own, and those of Ollama, vLLM, llama.cpp, LM Studio and other servers and gateways, by their ``base_url``.
A request that is refused for a while (429, 5xx, no connection) is made again by the client before anything has arrived,
``retries`` times, after as long as the endpoint says; a reply that broke off is not.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from branchlog._core.message import Json, Message, is_carried
from branchlog.errors import (
    EndpointFailed,
    EndpointRefused,
    EndpointUnreachable,
    InvalidInput,
    NonsenseReply,
    RateLimited,
    ResponderError,
    StreamCut,
)
from branchlog.explore.reply import Finish, Piece, Usage

TIMEOUT_SECONDS = 120.0
"""How long nothing may come: longer than large models take to read a long conversation, and an end to a hang."""

RETRIES = 2

NO_KEY = "none"
"""What is sent to a server of one's own, which asks for no key; the client insists on one."""


class ChatCompletions:
    """A model behind an endpoint of chat-completions.

    ``base_url`` is that of the API, and mostly ends in ``/v1``; if it is not given it is ``OPENAI_BASE_URL``, or else
    OpenAI's own. The key is ``api_key`` or ``OPENAI_API_KEY``; with a ``base_url`` of one's own none is needed.
    ``options`` go with each request, as the API names them: ``temperature``, ``max_tokens``, ``seed``, ``tools``.
    ``usage=False`` does not ask for the usage, for servers that refuse the question.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        name: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        usage: bool = True,
        **options: Json,
    ) -> None:
        """Ask this model. Raises ``InvalidInput`` where the extra or a key is missing."""
        self.model = model
        self.name = name or _name(model, options)
        self.options = options
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self._api_key = api_key or os.environ.get("OPENAI_API_KEY") or (NO_KEY if self._base_url else None)
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._usage = usage
        self._clients: dict[asyncio.AbstractEventLoop, Any] = {}
        self._openai = _imported()
        if self._api_key is None:
            raise InvalidInput(
                "no key: set OPENAI_API_KEY or give api_key, or give the base_url of a server that asks for none"
            )

    def __repr__(self) -> str:
        return f"<ChatCompletions {self.name!r} at {self._place()}>"

    def _place(self) -> str:
        return self._base_url or "https://api.openai.com/v1"

    async def respond(self, messages: Sequence[Message]) -> AsyncIterator[Piece]:
        """As ``Responder.respond``; the errors are those beneath ``ResponderError``."""
        arrival = _Arrival()
        try:
            chunks = await self._client().chat.completions.create(**self._request(messages))
            async with chunks:
                async for chunk in chunks:
                    for text in arrival.texts(chunk):
                        yield text
        except Exception as error:
            raise self._translated(error, arrival) from error
        self._check_whole(arrival)
        yield arrival.finish(self.model)

    async def close(self) -> None:
        """Close its connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _client(self) -> Any:
        """The client of this event loop, to which its connections belong."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients = {each: client for each, client in self._clients.items() if not each.is_closed()}
            self._clients[loop] = self._openai.AsyncOpenAI(
                api_key=self._api_key,
                base_url=self._base_url,
                timeout=self._timeout_seconds,
                max_retries=self._retries,
            )
        return self._clients[loop]

    def _request(self, messages: Sequence[Message]) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": [message.to_chat() for message in messages],
            "stream": True,
            **self.options,
        }
        return {**asked, "stream_options": {"include_usage": True}} if self._usage else asked

    def _check_whole(self, arrival: _Arrival) -> None:
        if not arrival.chunks:
            raise NonsenseReply(
                self.name,
                f"{self._place()} answered, but not with a stream of a chat: is that the address of the API? "
                "It mostly ends in /v1",
            )
        if arrival.reason is None:
            raise StreamCut(self.name, "the stream ended before the reply did: keep what has arrived, or continue it")

    def _translated(self, error: Exception, arrival: _Arrival) -> ResponderError:  # noqa: PLR0911 - a row of cases
        """What the client raised, as ours."""
        name, openai, place = self.name, self._openai, self._place()
        if isinstance(error, openai.APIStatusError):
            return self._refusal(error)
        if isinstance(error, openai.APITimeoutError):
            what = "nothing came" if not arrival.chunks else "nothing more came"
            return StreamCut(name, f"{what} from {place} for {self._timeout_seconds:g} seconds")
        if isinstance(error, openai.APIConnectionError):
            if arrival.chunks:
                return StreamCut(name, "the connection ended in the midst of the reply: keep what came, or continue it")
            return EndpointUnreachable(name, f"no answer from {place} ({_cause(error)}): does the server run there?")
        if isinstance(error, openai.APIError) and not isinstance(error, openai.APIResponseValidationError):
            return EndpointFailed(name, f"the endpoint failed in the midst of the reply: {_said(error)}")
        if isinstance(error, json.JSONDecodeError | ValueError | TypeError | AttributeError | openai.OpenAIError):
            return NonsenseReply(name, f"{place} sent what is no reply of a chat: {error}")
        if arrival.chunks:
            return StreamCut(name, f"the connection ended in the midst of the reply: {_cause(error)}")
        return EndpointUnreachable(name, f"no answer from {place}: {_cause(error)}")

    def _refusal(self, error: Any) -> ResponderError:
        """The endpoint's refusal by its status; ``Any``, since the client is imported when it is used."""
        status, said = error.status_code, _said(error)
        if status == 429:
            wait = _seconds(error.response.headers)
            told = "wait" if wait is None else f"wait {wait:g} seconds"
            return RateLimited(self.name, f"too many requests: {told}, or ask for fewer at once: {said}", wait)
        if status >= 500:
            return EndpointFailed(self.name, f"the endpoint failed (status {status}): try again: {said}", status)
        advice = {
            401: "the key is wrong: mend OPENAI_API_KEY or api_key",
            403: "the key may not use this model",
            404: f"there is no model {self.model!r}, or {self._place()} is not the address of the API",
        }.get(status, "the request is refused")
        return EndpointRefused(self.name, f"{advice} (status {status}): {said}", status)


def _imported() -> Any:
    try:
        import openai
    except ImportError as error:
        raise InvalidInput("endpoints need the official client: pip install 'branchlog[openai]'") from error
    return openai


def _name(model: str, options: dict[str, Json]) -> str:
    """The model's, with the temperature, by which replies of one model are told apart."""
    temperature = options.get("temperature")
    return model if temperature is None else f"{model} at {temperature}"


def _said(error: Any) -> str:
    """What the endpoint said, on one line; ``Any`` error of the client."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(message or error.message or error).split())[:500]


def _cause(error: BaseException) -> str:
    """What is at the bottom of an error."""
    while error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__):
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__


def _seconds(headers: Mapping[str, str]) -> float | None:
    """How long the endpoint says to wait: in milliseconds, in seconds, or until a date."""
    for name, parts in (("retry-after-ms", 1_000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / parts
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(until.timestamp() - time.time(), 0.0)


def _text(value: object) -> str | None:
    """A text as it may be kept: halves of characters put together, a lone one replaced; None if it is no text."""
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@attrs.define
class _Arrival:
    """What has arrived of a reply, besides its text."""

    chunks: int = 0
    reason: str | None = None
    model: str | None = None
    usage: Usage | None = None
    calls: dict[int, dict[str, Any]] = attrs.field(factory=dict)
    reasoning: list[str] = attrs.field(factory=list)
    id: str | None = None

    def texts(self, chunk: Any) -> list[str]:
        """Take a chunk in, ``Any`` since servers differ; the text that it brings."""
        self.model = _text(chunk.model) or self.model
        self.id = _text(chunk.id) or self.id
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage.model_dump(exclude_none=True, warnings=False))
        found: list[str] = []
        for choice in chunk.choices or ():
            if choice.index or choice.delta is None:
                continue
            delta = choice.delta
            self.reason = _text(choice.finish_reason) or self.reason
            found += [
                text for text in (delta.content, getattr(delta, "refusal", None)) if isinstance(text, str) and text
            ]
            self.reasoning += [text for key in REASONING if isinstance(text := getattr(delta, key, None), str)]
            for call in delta.tool_calls or ():
                self._take_call(call)
        self.chunks += 1
        return found

    def _take_call(self, piece: Any) -> None:
        """A call comes in pieces: its id and name first, its arguments bit by bit.

        Some servers send calls whole and leave out which is which: then another id is another call.
        """
        index, id = piece.index, _text(piece.id)
        if type(index) is not int:
            new = bool(id) and any(call["id"] not in ("", id) for call in self.calls.values())
            index = len(self.calls) - (0 if new or not self.calls else 1)
        blank = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self.calls.setdefault(index, blank)
        call["id"] = id or call["id"]
        if piece.function is not None:
            call["function"]["name"] += piece.function.name or ""
            call["function"]["arguments"] += piece.function.arguments or ""

    def finish(self, asked: str) -> Finish:
        """The end of the reply."""
        more: dict[str, Json] = {}
        if self.reasoning:
            more["reasoning"] = _text("".join(self.reasoning))
        if self.id:
            more["response_id"] = self.id
        calls = [self.calls[index] for index in sorted(self.calls)]
        for call in calls:
            call["function"] = {key: _text(value) for key, value in call["function"].items()}
        return Finish(
            reason=self.reason, model=self.model or asked, usage=self.usage, tool_calls=calls or None, more=more
        )


REASONING = ("reasoning_content", "reasoning")
"""The fields under which servers send what a model thinks, which is kept in the metadata of the reply."""


def _usage(said: dict[str, Any]) -> Usage:
    numbers = [said.get(key) for key in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = (number if type(number) is int else None for number in numbers)
    return Usage(input_tokens=tokens_in, output_tokens=tokens_out, details=said if is_carried(said) else {})
