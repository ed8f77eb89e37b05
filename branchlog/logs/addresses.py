"""Which log an address leads to. A backend is imported when its address is used: some need an extra.

==========================================  ==========================================================
a path, or ``sqlite:PATH``                  one SQLite file
``memory:``                                 nothing that stays
``files:PATH``                              a folder of JSON Lines
``postgresql://USER@HOST/DATABASE``         PostgreSQL; extra ``postgres``
``nats://HOST,HOST,HOST``                   NATS JetStream; extra ``nats``
``s3://``, ``gs://``, ``az://``, ``file://``  object storage, and a folder of objects; extra ``objects``
==========================================  ==========================================================
"""

from __future__ import annotations

import os
import re
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, Literal, TypeAlias

import attrs

from branchlog.errors import InvalidInput
from branchlog.logs.base import AsyncLog, Log

Durability: TypeAlias = Literal["full", "relaxed"]

SERVED: dict[str, tuple[str, str]] = {
    "postgresql": ("branchlog.logs.postgres", "PostgresLog"),
    "postgres": ("branchlog.logs.postgres", "PostgresLog"),
    "nats": ("branchlog.logs.nats", "NatsLog"),
    "tls": ("branchlog.logs.nats", "NatsLog"),
    "s3": ("branchlog.logs.objects", "ObjectsLog"),
    "gs": ("branchlog.logs.objects", "ObjectsLog"),
    "az": ("branchlog.logs.objects", "ObjectsLog"),
    "file": ("branchlog.logs.objects", "ObjectsLog"),
}
"""The async backends by the schemes of their addresses: module and class."""

KINDS = "a path, sqlite:PATH, files:PATH, memory:, postgresql://, nats://, s3://, gs://, az://, file://"

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):(?://(?=/|$))?", re.ASCII)


@attrs.frozen(kw_only=True)
class Place:
    """An address, and how it is to be opened."""

    address: str | os.PathLike[str]
    namespace: str = ""
    durability: Durability = "full"
    create: bool = True
    read_only: bool = False

    def blocking(self) -> Log:
        """Open a log to be called. Raises ``InvalidInput`` for an address that leads nowhere; and as the backends."""
        served = self._served()
        if served is None:
            return self._local()
        from branchlog.logs.bridges import BlockingBridge

        return BlockingBridge.connect(lambda: self._connected(*served))

    async def awaited(self) -> AsyncLog:
        """Open a log to be awaited; otherwise as ``blocking``."""
        import asyncio  # a third of the time that importing branchlog would take

        from branchlog.logs.bridges import AsyncBridge

        served = self._served()
        if served is None:
            return AsyncBridge(await asyncio.to_thread(self._local))
        return await self._connected(*served)

    def _served(self) -> tuple[str, str] | None:
        """The backend of a server, if the address leads to one."""
        self._check()
        scheme = _SCHEME.match(self.address) if isinstance(self.address, str) else None
        served = SERVED.get(scheme[1]) if scheme is not None else None
        if served is not None and self.durability != "full":
            raise InvalidInput(f"durability={self.durability!r} is for files here; elsewhere the server decides")
        return served

    def _check(self) -> None:
        if self.durability not in ("full", "relaxed"):
            raise InvalidInput(f"durability is 'full' or 'relaxed', not {self.durability!r}")
        if not isinstance(self.address, str | os.PathLike):
            raise InvalidInput(f"an address is a path or a text such as 'sqlite:chats.db', not {self.address!r}")
        text = os.fspath(self.address)
        if not text or "\0" in text:
            raise InvalidInput(
                "an address is a path or a text such as 'sqlite:chats.db', not an empty one or one with NUL"
            )

    def _connected(self, module: str, name: str) -> Coroutine[Any, Any, AsyncLog]:
        connect = getattr(import_module(module), name).connect
        opening: Coroutine[Any, Any, AsyncLog] = connect(
            self.address, namespace=self.namespace, create=self.create, read_only=self.read_only
        )
        return opening

    def _local(self) -> Log:
        text = os.fspath(self.address)
        scheme = _SCHEME.match(text) if isinstance(self.address, str) else None
        path = text if scheme is None else text[scheme.end() :]
        if scheme is None or scheme[1] == "sqlite":
            from branchlog.logs.sqlite import SqliteLog

            return SqliteLog(
                path,
                namespace=self.namespace,
                durability=self.durability,
                create=self.create,
                read_only=self.read_only,
            )
        if scheme[1] == "files":
            from branchlog.logs.files import FilesLog

            return FilesLog(
                path,
                namespace=self.namespace,
                durability=self.durability,
                create=self.create,
                read_only=self.read_only,
            )
        if scheme[1] == "memory" and not path:
            from branchlog.logs.memory import MemoryLog

            return MemoryLog(self.namespace)
        raise InvalidInput(f"no backend for {text!r}; there are: {KINDS} (for a path with a colon, ./{text})")
