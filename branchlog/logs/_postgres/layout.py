"""The layout of a store in PostgreSQL, and how it is made: numbered steps, each done once, under a lock.

Everything is in a schema of its own, ``branchlog`` if the URL names no other (``?schema=``).

``meta``, one row
    ``application``  ``branchlog``
    ``layout``       how many steps were done
    ``shift``        what is added to the number of a transaction to make a position
    ``written``      the transaction that wrote this row. In a store that was restored from a dump the row's ``xmin`` is
                     another: transactions are counted anew there, and ``settle`` raises the shift
``streams``, one row a conversation
    ``key``          a small number, never used again
    ``space``        16 bytes of the namespace's SHA-256, to be short in indexes
    ``namespace``, ``id``  the names, ordered by code points
    ``version``, ``checksum``  the head: number of events, and checksum of the last commit
    ``deleted``      true if only the name is left
    ``seal``         checksum of the names and the head
    ``title``        UTF-8 bytes, which are in the order of code points, and may have NUL
    ``created``, ``updated``  microseconds since 1970 UTC; like the title, copies from the entry, to put lists in order
    ``entry``        the catalog's entry as JSON, byte for byte
    ``entry_seal``   checksum of the names, the three copies and the entry
    ``facets``       digests of the metadata, one for each top-level key and its value as canonical JSON
``commits``, one row a commit
    ``position``     ``(number of the transaction + shift) << 20``, plus its place within the transaction
    ``space``, ``stream``  the namespace, and the key of its row in ``streams``
    ``first``, ``count``, ``id``, ``at``, ``schema``, ``data``, ``previous``, ``checksum``  as in ``branchlog.commit``
    ``erased``       empty, or where the payload was erased its digest and a checksum of what stands in ``data`` instead
``snapshots``, one row a snapshot of a stream; they may be deleted at any time
    ``stream``, ``version``, ``after``, ``checksum``, ``fingerprint`` (as UTF-8), ``data``, ``seal``
``drafts``, one row a piece of a commit that is still to be made
    ``stream``, ``id``, ``number``, ``data``  (see ``branchlog.logs.base``)
``facets``, the digests once more, by which conversations are found: ``digest``, ``stream``

**Who writes** takes an advisory lock of the stream before anything else, and looks at the head only then; so a stream's
commits have positions in the order of their versions. It must be taken before the transaction has a number: one that
has its number and then waits would write behind a later one. **Who reads on** takes only commits of transactions below
the oldest that is still open, so that what it has seen is never joined by something earlier.
"""

from __future__ import annotations

from typing import Any

from branchlog.errors import BackendError, CorruptLog, NotAStore, SchemaVersionError, StoreNotFound
from branchlog.logs._postgres.server import Connection, Place

POSITION_BITS = 20
"""Bits of a position within a transaction: a million commits in one, and 2**43 transactions."""

SERVER_MIN = 130_000
"""PostgreSQL 13 counts transactions in 64 bits."""

LAYOUT_LOCK = 0x6272616E63686C6F
"""The advisory lock of those who make or upgrade a store ("branchlo")."""

LOOK = 0
"""What ``append`` answers where something rarer is to be looked at under the lock; a position is higher, a conflict
lower: -1 less the version that the stream is at."""

_FIRST_STEP = f"""
CREATE TABLE {{schema}}.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    application text NOT NULL,
    layout integer NOT NULL,
    shift bigint NOT NULL,
    written xid8 NOT NULL
);
INSERT INTO {{schema}}.meta (application, layout, shift, written) VALUES ('branchlog', 0, 0, pg_current_xact_id());

CREATE TABLE {{schema}}.streams (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space bytea NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    checksum bytea NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    seal bytea NOT NULL,
    title bytea NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    entry bytea NOT NULL,
    entry_seal bytea NOT NULL,
    facets bytea[] NOT NULL,
    UNIQUE (space, id)
);
CREATE INDEX streams_by_updated ON {{schema}}.streams (space, updated, id) WHERE NOT deleted;
CREATE INDEX streams_by_created ON {{schema}}.streams (space, created, id) WHERE NOT deleted;
CREATE INDEX streams_by_title ON {{schema}}.streams (space, substring(title FROM 1 FOR 200)) WHERE NOT deleted;

CREATE TABLE {{schema}}.commits (
    position bigint NOT NULL,
    space bytea NOT NULL,
    stream bigint NOT NULL,
    first bigint NOT NULL,
    count bigint NOT NULL,
    id bytea NOT NULL,
    at bigint NOT NULL,
    schema text NOT NULL,
    data bytea NOT NULL,
    previous bytea NOT NULL,
    checksum bytea NOT NULL,
    erased bytea NOT NULL,
    PRIMARY KEY (space, position),
    UNIQUE (stream, first),
    UNIQUE (stream, id)
);

CREATE TABLE {{schema}}.snapshots (
    stream bigint NOT NULL,
    version bigint NOT NULL,
    after bigint NOT NULL,
    checksum bytea NOT NULL,
    fingerprint bytea NOT NULL,
    data bytea NOT NULL,
    seal bytea NOT NULL,
    PRIMARY KEY (stream, version)
);

CREATE TABLE {{schema}}.drafts (
    stream bigint NOT NULL,
    id bytea NOT NULL,
    number bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (stream, id, number)
);

CREATE TABLE {{schema}}.facets (
    digest bytea NOT NULL,
    stream bigint NOT NULL,
    PRIMARY KEY (digest, stream)
);

-- The shift made right, where transactions are counted anew.
CREATE FUNCTION {{schema}}.settle() RETURNS void LANGUAGE plpgsql AS $branchlog$
DECLARE
    highest bigint;
    floor bigint;
BEGIN
    PERFORM pg_advisory_xact_lock({LAYOUT_LOCK});
    IF EXISTS (SELECT FROM {{schema}}.meta m WHERE m.xmin = m.written::xid) THEN
        RETURN;
    END IF;
    SELECT coalesce(max(position) >> {POSITION_BITS}, 0) INTO highest FROM {{schema}}.commits;
    floor := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    UPDATE {{schema}}.meta SET shift = greatest(shift, highest + 1 - floor), written = pg_current_xact_id();
END
$branchlog$;

-- The position of this transaction's first commit.
CREATE FUNCTION {{schema}}.place() RETURNS bigint LANGUAGE plpgsql AS $branchlog$
DECLARE
    found bigint;
BEGIN
    SELECT m.shift INTO found FROM {{schema}}.meta m WHERE m.xmin = m.written::xid;
    IF found IS NULL THEN
        PERFORM {{schema}}.settle();
        SELECT m.shift INTO STRICT found FROM {{schema}}.meta m;
    END IF;
    RETURN (pg_current_xact_id()::text::bigint + found) << {POSITION_BITS};
END
$branchlog$;

-- The locks of streams, in their order, before anything else is done; then their rows.
CREATE FUNCTION {{schema}}.locked(locks bigint[], a_space bytea, ids text[]) RETURNS SETOF {{schema}}.streams
LANGUAGE plpgsql AS $branchlog$
DECLARE
    each bigint;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'the lock of a stream comes first, in a transaction that is READ COMMITTED';
    END IF;
    FOREACH each IN ARRAY locks LOOP
        PERFORM pg_advisory_xact_lock(each);
    END LOOP;
    RETURN QUERY SELECT s.* FROM {{schema}}.streams s WHERE s.space = a_space AND s.id = ANY (ids);
END
$branchlog$;

-- Compare and append one commit in one round trip; whatever is out of the ordinary is left to the caller.
CREATE FUNCTION {{schema}}.append(
    lock bigint, a_space bytea, a_namespace text, a_stream text,
    a_first bigint, a_count bigint, an_id bytea, an_at bigint, a_schema text, a_data bytea,
    a_previous bytea, a_checksum bytea, an_erased bytea, a_seal bytea,
    a_title bytea, a_created bigint, an_updated bigint, an_entry bytea, an_entry_seal bytea, some_facets bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $branchlog$
DECLARE
    a_key bigint;
    head bigint;
    place bigint;
    held text;
    head_checksum bytea;
    is_deleted boolean;
    is_known boolean;
    facets_before bytea[] := '{{}}';
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'the lock of a stream comes first, in a transaction that is READ COMMITTED';
    END IF;
    held := pg_advisory_xact_lock(lock);  -- an assignment: half the time of PERFORM
    head := a_first + a_count - 1;
    -- What nearly always is so: the stream is where it was expected, and is found by the same metadata as before.
    UPDATE {{schema}}.streams s SET version = head, checksum = a_checksum, seal = a_seal,
        title = a_title, created = a_created, updated = an_updated, entry = an_entry, entry_seal = an_entry_seal
        WHERE s.space = a_space AND s.id = a_stream AND s.version = a_first - 1 AND s.checksum = a_previous
            AND NOT s.deleted AND s.facets = some_facets
        RETURNING s.key INTO a_key;
    IF a_key IS NULL THEN
        SELECT s.key, s.version, s.checksum, s.deleted, s.facets,
            EXISTS (SELECT FROM {{schema}}.commits c WHERE c.stream = s.key AND c.id = an_id)
            INTO a_key, head, head_checksum, is_deleted, facets_before, is_known
            FROM {{schema}}.streams s WHERE s.space = a_space AND s.id = a_stream;
        IF is_deleted OR is_known OR (head = a_first - 1 AND head_checksum <> a_previous) THEN
            RETURN {LOOK};
        END IF;
        IF coalesce(head, 0) <> a_first - 1 THEN
            RETURN -1 - coalesce(head, 0);
        END IF;
        head := a_first + a_count - 1;
        IF a_key IS NULL THEN
            INSERT INTO {{schema}}.streams
                (space, namespace, id, version, checksum, seal, title, created, updated, entry, entry_seal, facets)
                VALUES (a_space, a_namespace, a_stream, head, a_checksum, a_seal,
                    a_title, a_created, an_updated, an_entry, an_entry_seal, some_facets)
                RETURNING key INTO a_key;
        ELSIF an_entry IS NULL THEN
            UPDATE {{schema}}.streams SET version = head, checksum = a_checksum, seal = a_seal WHERE key = a_key;
        ELSE
            UPDATE {{schema}}.streams SET version = head, checksum = a_checksum, seal = a_seal,
                title = a_title, created = a_created, updated = an_updated, entry = an_entry,
                entry_seal = an_entry_seal, facets = some_facets
                WHERE key = a_key;
        END IF;
        IF some_facets IS NOT NULL THEN
            DELETE FROM {{schema}}.facets f WHERE f.digest = ANY (facets_before) AND f.stream = a_key;
            INSERT INTO {{schema}}.facets (digest, stream) SELECT DISTINCT unnest(some_facets), a_key;
        END IF;
    END IF;
    LOOP
        INSERT INTO {{schema}}.commits
            (position, space, stream, first, count, id, at, schema, data, previous, checksum, erased)
            SELECT (pg_current_xact_id()::text::bigint + m.shift) << {POSITION_BITS}, a_space, a_key, a_first, a_count,
                an_id, an_at, a_schema, a_data, a_previous, a_checksum, an_erased
            FROM {{schema}}.meta m WHERE m.xmin = m.written::xid
            RETURNING position INTO place;
        EXIT WHEN place IS NOT NULL;
        PERFORM {{schema}}.settle();
    END LOOP;
    RETURN place;
END
$branchlog$;
"""

STEPS = (_FIRST_STEP,)
"""What makes a store, and what brings one of an earlier layout up to this one: never changed, only added to."""

_SERVER = """
SELECT current_setting('server_version_num')::integer AS version, current_setting('server_encoding') AS encoding,
    current_setting('default_transaction_isolation') AS isolation, current_setting('fsync') AS fsync,
    current_setting('synchronous_commit') AS waits, pg_backend_pid() AS process
"""
_RELATIONS = """
SELECT n.nspname IS NOT NULL AS there,
    EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S'))
        OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid) AS used,
    (SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = n.oid AND c.relname = 'meta'
        AND a.attname IN ('application', 'layout', 'shift', 'written')) = 4 AS ours
FROM (SELECT $1::text AS wanted) w LEFT JOIN pg_namespace n ON n.nspname = w.wanted
"""


def named(statement: str, schema: str) -> str:
    """A statement with the name of the schema in its place; the name has no character that would need care."""
    return statement.replace("{schema}", f'"{schema}"')


async def look_at_server(connection: Connection, place: Place) -> Any:
    """What a server says of itself, if it can keep a store."""
    found = await connection.fetchrow(_SERVER)
    if found is None or found["version"] < SERVER_MIN:
        raise BackendError(f"{place.shown}: branchlog needs PostgreSQL {SERVER_MIN // 10_000} or newer")
    if found["encoding"] != "UTF8":
        raise BackendError(
            f"{place.shown}: the database's encoding is {found['encoding']}, which lacks letters; make one with"
            " CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    return found


async def prepare(connection: Connection, place: Place, *, create: bool, read_only: bool) -> None:
    """Make sure that the store is there and of this layout; make or upgrade it where that is wanted."""
    layout = await _layout(connection, place)
    if layout is None and (read_only or not create):
        raise StoreNotFound(place.shown, f"there is no schema {place.schema!r} with a store in it")
    if layout is not None and (read_only or layout == len(STEPS)):
        if layout != len(STEPS):
            raise BackendError(f"{place.shown}: the layout is an earlier one, {layout}; open it for writing once")
        await _settle(connection, place, read_only=read_only)
        return
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(f"SELECT pg_advisory_xact_lock({LAYOUT_LOCK})")
        await _step(connection, place, await _layout(connection, place))  # perhaps another process was first


async def _settle(connection: Connection, place: Place, *, read_only: bool) -> None:
    settled = await connection.fetchval(named("SELECT m.xmin = m.written::xid FROM {schema}.meta m", place.schema))
    if not settled and not read_only:
        await connection.execute(named("SELECT {schema}.settle()", place.schema))


async def _layout(connection: Connection, place: Place) -> int | None:
    """The layout of the store; None if none is there, and one may be made."""
    found = await connection.fetchrow(_RELATIONS, place.schema)
    if found is None or not found["used"]:
        return None
    ours = found["ours"]
    row = (
        await connection.fetchrow(named("SELECT application, layout FROM {schema}.meta", place.schema))
        if ours
        else None
    )
    if row is None or row["application"] != "branchlog":
        raise NotAStore(
            f"{place.shown}: the schema {place.schema!r} holds something else, which was left as it is; name another:"
            " ?schema=..."
        )
    layout: int = row["layout"]
    if layout > len(STEPS):
        raise SchemaVersionError(f"the store in {place.shown}, schema {place.schema!r},", str(layout), str(len(STEPS)))
    if layout < 1:
        raise CorruptLog(place.shown, f"there never was a layout {layout}; restore it from a copy")
    return layout


async def _step(connection: Connection, place: Place, layout: int | None) -> None:
    if layout is None:
        there = await connection.fetchrow(_RELATIONS, place.schema)
        if there is None or not there["there"]:
            await connection.execute(named("CREATE SCHEMA {schema}", place.schema))
    for step in STEPS[layout or 0 :]:
        await connection.execute(named(step, place.schema))
    if layout != len(STEPS):
        statement = "UPDATE {schema}.meta SET layout = " + str(len(STEPS)) + ", written = pg_current_xact_id()"
        await connection.execute(named(statement, place.schema))
