"""The drafts of the NATS log: a stream of their own, ``NAME-drafts``, made with the first of them.

``NAME-drafts.NAMESPACE.ID.DRAFT.NUMBER``  a piece as MessagePack; a later one of the same subject takes its place
"""

from __future__ import annotations

from typing import Any

import msgspec

from branchlog.logs._nats.connection import Connection, Raw
from branchlog.logs._nats.messages import token
from branchlog.logs._nats.streams import make, side_config
from branchlog.logs.base import Draft, drafts_of


class _Piece(msgspec.Struct, array_like=True):
    draft: bytes
    number: int
    data: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Piece).decode


class Drafts:
    """The drafts of one namespace."""

    def __init__(self, server: Connection, namespace: str, replicas: int) -> None:
        self._server = server
        self._stream = f"{server.address.stream}-drafts"
        self._prefix = f"{self._stream}.{token(namespace)}"
        self._replicas = replicas
        self._is_made = False

    async def extend(self, id: str, draft: bytes, number: int, piece: bytes) -> None:
        """Keep a piece; acknowledged when most replicas have it."""
        if not self._is_made:
            description = "replies of branchlog that are arriving"
            await make(self._server, side_config(self._stream, description, self._replicas))
            self._is_made = True
        subject = f"{self._prefix}.{token(id)}.{draft.hex()}.{number}"
        body = _encode(_Piece(draft, number, piece))

        async def put() -> Any:
            answer = await self._server.ask(subject, body)
            self._server.check(answer)

        await self._server.persist(put)

    async def kept(self, id: str) -> list[Draft]:
        """The drafts of a conversation."""
        pieces = [_decode(raw.body) for raw in await self._found(f"{self._prefix}.{token(id)}.>")]
        return drafts_of((each.draft, each.number, each.data) for each in pieces)

    async def drop(self, id: str, draft: bytes | None = None) -> bool:
        """Take one draft of a conversation away, or all; whether there was any."""
        which = ">" if draft is None else f"{draft.hex()}.>"
        found = await self._found(f"{self._prefix}.{token(id)}.{which}")
        await self._server.erase(self._stream, [each.sequence for each in found])
        return bool(found)

    async def _found(self, subject: str) -> list[Raw]:
        return sorted(await self._server.found(self._stream, subject), key=lambda each: each.sequence)
