"""A server on this machine that speaks the stream of chat-completions, well and in all the broken ways.

What it does is chosen by the name of the model that is asked for; ``KINDS`` has them all. It speaks HTTP/1.1 by itself,
byte by byte, since no framework would send what some of the broken kinds send. As a program it writes its address to
standard output and serves until its standard input ends.
"""

import asyncio
import json
import re
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager, suppress

import attrs

CREATED = 1_763_000_000
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
REASONS |= {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
TEXT = "To the river, and back by the castle — it takes two hours. 🏰"
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 12,
    "total_tokens": 21,
    "prompt_tokens_details": {"cached_tokens": 4},
}


class Gone(Exception):
    """The connection was given up on purpose."""


@attrs.define
class Request:
    """One request as it came in, and when, by the server's own clock."""

    body: dict
    headers: dict
    at: float


@attrs.define
class Exchange:
    """The server's end of one request: what the kinds write with."""

    server: "EndpointServer"
    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    earlier: int  # requests for the same model that came before

    @property
    def model(self):
        return self.request.body["model"]

    def head(self, status=200, kind="text/event-stream; charset=utf-8", length=None, **headers):
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Type: {kind}"]
        lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def whole(self, status, body, kind="application/json", **headers):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.head(status, kind, len(data), **headers)
        self.writer.write(data)
        await self.writer.drain()

    async def error(self, status, message, code=None, **headers):
        said = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        await self.whole(status, {"error": said}, **headers)

    async def bytes(self, data):
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def event(self, value):
        text = value if isinstance(value, str) else json.dumps(value)
        await self.bytes(f"data: {text}\n\n".encode())

    def chunk(self, delta=None, reason=None, index=0, **more):
        choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": reason}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "system_fingerprint": "fp_1",
            "choices": [choice],
            **more,
        }

    async def begin(self):
        self.head()
        await self.event(self.chunk({"role": "assistant", "content": "", "refusal": None}))

    async def say(self, *texts):
        for text in texts:
            await self.event(self.chunk({"content": text}))

    async def end(self, reason="stop"):
        """The reason, the usage if it was asked for, and the end."""
        await self.event(self.chunk({}, reason))
        if (self.request.body.get("stream_options") or {}).get("include_usage"):
            await self.event({**self.chunk(), "choices": [], "usage": USAGE})
        await self.event("[DONE]")
        await self.close()

    async def close(self):
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def reset(self):
        """End the connection as a machine does that lost its power: no goodbye."""
        here = self.writer.get_extra_info("socket")
        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Gone

    async def forever(self):
        """Say nothing until the other end goes away."""
        await self.reader.read()
        raise Gone


KINDS = {}


def kind(function):
    """Make a function what the model of its name does, with - for _."""
    KINDS[function.__name__.strip("_").replace("_", "-")] = function
    return function


@kind
async def plain(to):
    await to.begin()
    await to.say(*re.findall(r"\S+\s*", TEXT))
    await to.end()


@kind
async def echo(to):
    """Says again what was said last, word by word."""
    last = to.request.body["messages"][-1]["content"]
    await to.begin()
    await to.say("You said: ", *(word + " " for word in last.split()))
    await to.end()


@kind
async def paced(to):
    """As ``echo``, a word every 5 milliseconds, as models do: 200 a second."""
    last = to.request.body["messages"][-1]["content"]
    await to.begin()
    for word in ("You said: ", *(word + " " for word in last.split())):
        await asyncio.sleep(0.005)
        await to.say(word)
    await to.end()


@kind
async def held(to):
    """Says something, and the rest when the server is told ``go``."""
    await to.begin()
    await to.say("What comes ", "first, ")
    going = asyncio.ensure_future(to.server.going.wait())
    leaving = asyncio.ensure_future(to.reader.read(1))
    await asyncio.wait([going, leaving], return_when=asyncio.FIRST_COMPLETED)
    going.cancel()
    if leaving.done():
        to.server.left.set()
        raise Gone
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    await to.say("and what comes last.")
    await to.end()


@kind
async def tools(to):
    """Two calls at once, in pieces that alternate."""
    await to.begin()
    pieces = [
        {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city": "Ky'}},
        {"index": 1, "id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": 'oto"}'}},
    ]
    for piece in pieces:
        await to.event(to.chunk({"tool_calls": [piece]}))
    await to.end("tool_calls")


@kind
async def tools_at_once(to):
    """Two calls, each whole, and neither with an index, as some servers send them."""
    await to.begin()
    for id, name in (("call_a", "weather"), ("call_b", "time")):
        call = {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}
        await to.event(to.chunk({"tool_calls": [call]}))
    await to.end("tool_calls")


@kind
async def thinking(to):
    await to.begin()
    for text in ("Rivers ", "are near."):
        await to.event(to.chunk({"reasoning_content": text}))
    await to.say("To the river.")
    await to.end()


@kind
async def cut_short(to):
    await to.begin()
    await to.say("To the")
    await to.end("length")


@kind
async def status_401(to):
    await to.error(401, "Incorrect API key provided.", "invalid_api_key")


@kind
async def status_403(to):
    await to.error(403, "Your project may not use this model.")


@kind
async def status_404(to):
    await to.error(404, "The model does not exist.", "model_not_found")


@kind
async def status_400(to):
    await to.error(400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded")


@kind
async def too_many_once(to):
    """Refuses once, and then every request that comes sooner than it said: an answer means that it was waited for."""
    asked = [each.at for each in to.server.of(to.model)]
    if len(asked) == 1 or asked[-1] - asked[-2] < 1:
        await to.error(429, "Rate limit reached.", "rate_limit_exceeded", retry_after=1)
    else:
        await plain(to)


@kind
async def too_many(to):
    await to.error(429, "Rate limit reached.", "rate_limit_exceeded", retry_after="0.01")


@kind
async def too_many_until(to):
    """Says by a date when to come again."""
    await to.error(429, "Rate limit reached.", retry_after="Fri, 31 Dec 2100 23:59:59 GMT")


@kind
async def fails_once(to):
    if to.earlier:
        await plain(to)
    else:
        await to.error(500, "The server had an error.", retry_after="0.01")


@kind
async def fails(to):
    await to.error(500, "The server had an error.", retry_after="0.01")


@kind
async def fails_in_html(to):
    await to.whole(503, "<html><h1>503 Service Unavailable</h1></html>", "text/html", retry_after="0.01")


@kind
async def reset(to):
    await to.begin()
    await to.say("To the ", "river")
    await to.server.seen_by_client()
    to.reset()


@kind
async def reset_at_once(to):
    to.reset()


@kind
async def stops(to):
    """A clean end of the connection, in the midst of a reply."""
    await to.begin()
    await to.say("To the ", "river")
    await to.close()


@kind
async def stops_without_done(to):
    """The reply ends, but for the last line: some servers never send it."""
    await to.begin()
    await to.say("To the river.")
    await to.event(to.chunk({}, "stop"))
    await to.close()


@kind
async def error_within(to):
    await to.begin()
    await to.say("To the ", "river")
    await to.event({"error": {"message": "The model ran out of memory.", "type": "server_error", "code": None}})
    await to.close()


@kind
async def error_at_once(to):
    """Status 200, and then an error as the first event."""
    to.head()
    await to.event({"error": {"message": "The model is loading.", "type": "server_error"}})
    await to.close()


@kind
async def silent(to):
    await to.forever()


@kind
async def falls_silent(to):
    await to.begin()
    await to.say("To the ", "river")
    await to.forever()


@kind
async def html(to):
    await to.whole(200, "<!doctype html><title>Welcome</title><p>A page.", "text/html")


@kind
async def not_streamed(to):
    """One JSON document, as if no stream had been asked for."""
    message = {"role": "assistant", "content": "To the river."}
    await to.whole(200, {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@kind
async def no_json(to):
    await to.begin()
    await to.say("To the ", "river")
    await to.event('{"choices": [{"delta"')
    await to.close()


@kind
async def wrong(to):
    """Chunks of other types than they should be; the header x-chunk has the one to send."""
    await to.begin()
    await to.say("To the river")
    await to.event(to.request.headers["x-chunk"])
    await to.end()


@kind
async def half_characters(to):
    """UTF-8 split within characters by the transport, and a pair of surrogates split between two chunks."""
    await to.begin()
    whole = f"data: {json.dumps(to.chunk({'content': 'Zürich 🏰 '}), ensure_ascii=False)}\n\n".encode()
    for place in range(len(whole)):
        await to.bytes(whole[place : place + 1])
    await to.say("\ud83c", "\udff0", " and \ud83d")
    call = {"index": 0, "id": "call_a", "function": {"name": "look", "arguments": '"\ud83c'}}
    await to.event(to.chunk({"tool_calls": [call], "reasoning_content": "\ud83d"}))
    call = {"index": 0, "function": {"arguments": '\udff0"'}}
    await to.event(to.chunk({"tool_calls": [call]}))
    await to.end("tool_calls")


@kind
async def nulls(to):
    await to.begin()
    await to.event(to.chunk({"content": None, "tool_calls": None}))
    await to.say("To the river.")
    await to.event({**to.chunk(), "choices": None, "usage": None})
    await to.end()


@kind
async def nothing(to):
    """A reply of no text at all."""
    await to.begin()
    await to.end()


@kind
async def several(to):
    """Three choices, of which nobody asked for two."""
    await to.begin()
    for index, text in enumerate(("To the river.", "To the castle.", "Home.")):
        await to.event(to.chunk({"content": text}, index=index))
    for index in (1, 2, 0):
        await to.event(to.chunk({}, "stop", index))
    await to.end()


class EndpointServer:
    """The server. ``requests`` are those that came, in order; ``left`` says that somebody did not wait for the end."""

    def __init__(self):
        self.requests = []
        self.left = asyncio.Event()
        self.going = asyncio.Event()
        self._server = self._loop = None
        self._tasks = set()

    async def __aenter__(self):
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base_url(self):
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/v1"

    def of(self, model):
        """The requests for a model."""
        return [each for each in self.requests if each.body.get("model") == model]

    def go(self):
        """Let the replies that are held go on; from any thread."""
        self._loop.call_soon_threadsafe(self.going.set)

    async def seen_by_client(self):
        """Give what was written the time to arrive, since a reset takes back what has not: nothing tells when."""
        await asyncio.sleep(0.05)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while (request := await self._read(reader)) is not None:
                await self._answer(request, reader, writer)
        except (Gone, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except asyncio.IncompleteReadError:
            return None
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        return Request({"path": head[0].split(" ")[1], **body}, headers, time.monotonic())

    async def _answer(self, request, reader, writer):
        earlier = len(self.of(request.body["model"]))
        self.requests.append(request)
        to = Exchange(self, request, reader, writer, earlier)
        if request.body["path"] != "/v1/chat/completions":
            await to.whole(404, "<html>Not Found</html>", "text/html")
        elif (found := KINDS.get(to.model)) is None:
            await status_404(to)
        else:
            await found(to)


@contextmanager
def in_a_thread():
    """A server for what is no coroutine: ``base_url``, ``go()``, ``requests``."""
    started, ready = threading.Event(), []

    async def serve():
        async with EndpointServer() as server:
            over = asyncio.Event()
            ready.extend([server, asyncio.get_running_loop(), over])
            started.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait()
    server, loop, over = ready
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


if __name__ == "__main__":
    with in_a_thread() as running:
        sys.stdout.write(running.base_url + "\n")
        sys.stdout.flush()
        sys.stdin.read()
