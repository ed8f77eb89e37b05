"""What PgBouncer does in transaction mode, in small: each transaction of a client may go to another connection.

Connections to the server are made beforehand and taken in turn; a client has one from its first message until the
server says that no transaction is open. So whatever a client leaves behind on a connection (a prepared statement, a
setting) is not there the next time, and may be there for another. Clients are let in without a password.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from contextlib import suppress
from typing import Self

READY = b"Z"


class Link:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer


async def message(reader: asyncio.StreamReader) -> bytes:
    """One message of the protocol, its type first."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


class Pooler:
    """Listens on ``port``; the server has to trust connections of this user."""

    def __init__(self, server_port: int, user: str, database: str, links: int = 8) -> None:
        self._server_port = server_port
        self._who = user, database
        self._count = links
        self._free: deque[Link] = deque()
        self._back = asyncio.Condition()
        self._greeting = b""
        self._clients: set[asyncio.Task[None]] = set()
        self.transactions = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            self._free.append(await self._connected())
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        for link in self._free:
            link.writer.close()

    async def _connected(self) -> Link:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        user, database = self._who
        said = b"user\0%b\0database\0%b\0client_encoding\0UTF8\0\0" % (user.encode(), database.encode())
        writer.write(struct.pack("!II", len(said) + 8, 196_608) + said)
        greeting = b""
        while True:
            told = await message(reader)
            if told[:1] == b"E":
                raise RuntimeError(told.decode(errors="replace"))
            if told[:1] == b"S":
                greeting += told
            if told[:1] == READY:
                break
        self._greeting = greeting
        return Link(reader, writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, OSError):
                await self._serve(reader, writer)
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._greet(reader, writer)
        while True:
            first = await message(reader)
            if first[:1] == b"X":
                return
            async with self._back:
                await self._back.wait_for(lambda: self._free)
                link = self._free.popleft()
            self.transactions += 1
            try:
                await self._transaction(first, reader, writer, link)
            except BaseException:
                link.writer.close()
                link = await asyncio.shield(self._connected())
                raise
            finally:
                async with self._back:
                    self._free.append(link)
                    self._back.notify()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if code != 80_877_103:  # a wish for TLS
                break
            writer.write(b"N")
        key = b"K" + struct.pack("!III", 12, 1, 1)
        writer.write(b"R" + struct.pack("!II", 8, 0) + self._greeting + key + READY + struct.pack("!Ic", 5, b"I"))

    async def _transaction(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        """Pass messages on until the server is ready and has no transaction open."""
        link.writer.write(first)

        async def ask() -> None:
            while True:
                link.writer.write(await message(reader))

        asking = asyncio.create_task(ask())
        try:
            while True:
                answer = asyncio.create_task(message(link.reader))
                await asyncio.wait({answer, asking}, return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    answer.cancel()
                    asking.result()
                told = await answer
                writer.write(told)
                if told[:1] == READY and told[5:6] == b"I":
                    return
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
