"""Small TCP proxies that can cut a connection at the worst moment: after the server has done it, before it is told."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Self

CHUNK = 65_536


class Proxy:
    """Passes bytes on between clients and one server. ``swallow_next`` cuts the next answer off."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._to = host, port
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._swallow = 0
        self.swallowed = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def swallow_next(self, times: int = 1) -> None:
        """The next answer is not passed on: its connection is cut instead; so are as many after it."""
        self._swallow = times

    def cut(self) -> None:
        """Cut all connections now."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.close()
            return
        ends = {writer, server_writer}
        self._writers |= ends
        pipes = {
            asyncio.create_task(self._pass(reader, server_writer, answers=False)),
            asyncio.create_task(self._pass(server_reader, writer, answers=True)),
        }
        self._pipes |= pipes
        await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.close()
        await asyncio.wait(pipes)
        self._pipes -= pipes
        self._writers -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if answers and self._swallow:
                    self._swallow -= 1
                    self.swallowed += 1
                    return
                writer.write(chunk)
                await writer.drain()


class CuttingProxy:
    """Passes bytes between clients and a server on this machine, in a thread of its own.

    ``cuts(request)`` is asked for each piece that a client sends; where it says yes, the server is given that piece,
    its answer is awaited and thrown away, and the client's connection is cut. ``cut`` counts how often that was.
    """

    def __init__(self, port, cuts):
        self._server_port, self._cuts = port, cuts
        self.cut = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cutting-proxy", daemon=True)
        self._thread.start()
        assert self._started.wait(20), "the proxy did not start"

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _work(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        upstream = None
        try:
            there, upstream = await asyncio.open_connection("127.0.0.1", self._server_port)
            cutting = asyncio.Event()
            passing = asyncio.create_task(self._answers(there, writer, cutting))
            while piece := await reader.read(1 << 20):
                if self._cuts(piece):
                    self.cut += 1
                    cutting.set()
                upstream.write(piece)
                await upstream.drain()
                if cutting.is_set():
                    break
            if not cutting.is_set():
                upstream.write_eof()
            await passing
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, upstream):
                if each is not None:
                    each.transport.abort()
            self._tasks.discard(asyncio.current_task())

    async def _answers(self, there, writer, cutting):
        while piece := await there.read(1 << 20):
            if cutting.is_set():  # the server has answered, so it has done what it was asked
                return
            writer.write(piece)
            await writer.drain()
