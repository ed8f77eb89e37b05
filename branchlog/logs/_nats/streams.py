"""The JetStream streams of the NATS log: found, checked or made, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import msgspec

from branchlog.errors import BackendError, CorruptLog, NotAStore, SchemaVersionError, StoreNotFound
from branchlog.logs._nats.connection import NAME_IN_USE, NO_PLACE, NO_STREAM, Connection, Refused

LAYOUT = 1
LAYOUT_KEY = "branchlog-layout"

REPLICAS = 3
"""A single replica answers before anybody else has the message, and lost two thirds of it after one flipped bit."""

DUPLICATES_SECONDS = 120.0
"""How long the servers remember ids of messages: JetStream's default; each takes memory in every replica."""


def limits(config: dict[str, Any]) -> list[str]:
    """Settings by which the servers would take messages away by themselves."""
    names = ("max_msgs", "max_bytes", "max_age", "max_msgs_per_subject")
    found = [name for name in names if config.get(name, 0) > 0]
    return [f"the stream has a limit, {each}, at which commits are lost: take it away" for each in found]


def absent(followers: list[dict[str, Any]]) -> list[str]:
    return [f"the replica on {each['name']} is offline: start that server" for each in followers if each.get("offline")]


async def opened(server: Connection, *, create: bool) -> int:
    """Find the stream, or make it; gives the number of its replicas."""
    wanted = server.address.replicas or REPLICAS
    await server.check_jetstream()
    config = await _config(server)
    if config is None:
        if not create:
            raise StoreNotFound(server.address.place, "there is no such stream")
        await make(server, _log_config(server, wanted))
        config = await _config(server) or {}
    place, replicas = server.address.place, int(config.get("num_replicas", 1))
    layout = (config.get("metadata") or {}).get(LAYOUT_KEY)
    if layout is None:
        raise NotAStore(f"{place} is a stream of another program, not a branchlog store; it was left as it is")
    if not layout.isdecimal() or not int(layout):
        raise CorruptLog(place, f"there never was a layout {layout!r}")
    if int(layout) > LAYOUT:
        raise SchemaVersionError(f"the stream {place}", layout, str(LAYOUT))
    if config.get("storage") != "file":
        raise BackendError(f"{place}: the stream is kept in memory; make one that is kept in files")
    if replicas < wanted:
        raise BackendError(
            f"{place}: the stream has {replicas} of {wanted} replicas; raise them (nats stream edit --replicas),"
            f" or ask for fewer by name (replicas={replicas})"
        )
    return replicas


async def _config(server: Connection) -> dict[str, Any] | None:
    try:
        answer = await server.command(f"STREAM.INFO.{server.address.stream}")
    except Refused as refusal:
        if refusal.code == NO_STREAM:
            return None
        raise
    config: dict[str, Any] = msgspec.json.decode(answer)["config"]
    return config


def _log_config(server: Connection, replicas: int) -> dict[str, Any]:
    name = server.address.stream
    return {
        "name": name,
        "description": "conversations of branchlog",
        "subjects": [f"{name}.commits.>", f"{name}.erased.>"],
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "duplicate_window": int(DUPLICATES_SECONDS * 1e9),
        "metadata": {LAYOUT_KEY: str(LAYOUT)},
    }


def side_config(name: str, description: str, replicas: int) -> dict[str, Any]:
    """A stream beside the log's own, with one message a subject."""
    return {
        "name": name,
        "description": description,
        "subjects": [f"{name}.>"],
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "max_msgs_per_subject": 1,
        "metadata": {LAYOUT_KEY: str(LAYOUT)},
    }


async def make(server: Connection, config: dict[str, Any]) -> None:
    """Make a stream, unless another process has."""
    try:
        await server.command(f"STREAM.CREATE.{config['name']}", config)
    except Refused as refusal:
        if refusal.code in NO_PLACE:
            raise BackendError(
                f"{server.address.place}: there are fewer servers than the {config['num_replicas']} replicas of a"
                " stream; start a cluster, or ask for fewer by name (replicas=1)"
            ) from refusal
        if refusal.code != NAME_IN_USE:
            raise
