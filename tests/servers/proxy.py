"""A small TCP proxy that can cut a connection at the worst moment: after the server has done it, before it is told."""

from __future__ import annotations

import asyncio
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
