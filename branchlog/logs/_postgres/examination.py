"""What a store in PostgreSQL finds of itself and of its server: figures, settings, lag, and what is less than safe."""

from __future__ import annotations

from typing import Any

from branchlog.logs._postgres.layout import POSITION_BITS, STEPS, named
from branchlog.logs._postgres.server import Connection, Server
from branchlog.logs.base import Examination

LAG_SECONDS = 60
"""A transaction that writes for longer keeps readers of the whole log waiting longer than people like to."""

_SIZES = """
SELECT sum(pg_total_relation_size(c.oid))::bigint AS bytes, pg_database_size(current_database()) AS database,
    (SELECT count(*) FROM {schema}.streams WHERE NOT deleted) AS streams,
    (SELECT count(*) FROM {schema}.commits c, {schema}.meta m WHERE m.xmin = m.written::xid
        AND c.position >= (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + m.shift) << BITS) AS unseen
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'
"""
_SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'synchronous_commit', 'fsync',
    'full_page_writes', 'data_checksums', 'synchronous_standby_names', 'zero_damaged_pages')
"""
_OLDEST = """
SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age FROM pg_stat_activity
WHERE backend_xid IS NOT NULL AND xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1
"""
_STANDBYS = """
SELECT coalesce(application_name, '') AS name, coalesce(state, 'unknown') AS state,
    coalesce(sync_state, 'unknown') AS sync, coalesce(extract(epoch FROM replay_lag)::float8, 0) AS lag
FROM pg_stat_replication ORDER BY 1
"""


async def examined(connection: Connection, server: Server) -> Examination:
    """Look at the store and its server; changes nothing."""
    place = server.place
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        sizes = await connection.fetchrow(named(_SIZES.replace("BITS", str(POSITION_BITS)), place.schema), place.schema)
        settings = {row["name"]: row["setting"] for row in await connection.fetch(_SETTINGS)}
        oldest = await connection.fetchrow(_OLDEST)
        standbys = await connection.fetch(_STANDBYS)
        recovering = await connection.fetchval("SELECT pg_is_in_recovery()")
    facts: dict[str, int | float | str | bool] = {
        "bytes": sizes["bytes"] if sizes else 0,
        "bytes of the database": sizes["database"] if sizes else 0,
        "conversations": sizes["streams"] if sizes else 0,
        "commits that readers of the whole log do not see yet": sizes["unseen"] if sizes else 0,
        "oldest writing transaction, seconds": round(oldest["age"], 3) if oldest else 0.0,
        "PostgreSQL": settings["server_version"],
        "layout": len(STEPS),
        "is a standby": recovering,
        "standbys": ", ".join(f"{row['name']} {row['state']} {row['sync']} {row['lag']:.3f} s" for row in standbys),
        "pooled": not server.prepared,
    }
    facts |= {name: settings[name] for name in ("synchronous_commit", "fsync", "data_checksums")}
    found = [*_unsafe(settings), *_waiting(oldest), *_alone(settings, [row["sync"] for row in standbys])]
    return Examination(
        kind="PostgreSQL schema", place=f"{place.shown}, schema {place.schema}", facts=facts, problems=tuple(found)
    )


def _unsafe(settings: dict[str, str]) -> list[str]:
    """Settings with which less is kept than was said."""
    problems = {
        ("synchronous_commit", "off"): "synchronous_commit is off: a crash of the server takes the last commits that"
        " were acknowledged; set it to on",
        ("fsync", "off"): "fsync is off: a power loss may destroy the database; set it to on",
        ("full_page_writes", "off"): "full_page_writes is off: a power loss may tear pages; set it to on",
        ("data_checksums", "off"): "the server keeps no data checksums: damage to its files is seen only where"
        " branchlog's own checksums are; run pg_checksums --enable while it is stopped",
        ("zero_damaged_pages", "on"): "zero_damaged_pages is on: damage is made to look like nothing; set it to off",
    }
    return [problem for (name, value), problem in problems.items() if settings.get(name) == value]


def _waiting(oldest: Any) -> list[str]:
    """A transaction that holds back those who read the whole log."""
    if oldest is None or oldest["age"] < LAG_SECONDS:
        return []
    problem = (
        f"process {oldest['pid']} has had a writing transaction open for {oldest['age']:.0f} seconds, and readers of"
        " the whole log see nothing newer; end it, and set idle_in_transaction_session_timeout"
    )
    return [problem]


def _alone(settings: dict[str, str], syncs: list[str]) -> list[str]:
    """A server that is told to wait for standbys, and has none or does not."""
    if not settings.get("synchronous_standby_names"):
        return []
    if settings["synchronous_commit"] == "local":
        return ["synchronous_commit is local, so no standby is waited for: a fail-over may lose commits; set it to on"]
    if {"sync", "quorum", "unknown"} & set(syncs):
        return []
    return ["synchronous_standby_names is set and no such standby is there: appends wait for one; start it"]
