"""The way to a PostgreSQL server: its URL, connections that are kept, and the border at which its errors become ours.

**Connections** are opened when they are needed and kept until the log is closed. ``asyncpg.Pool`` is not used: it
resets a connection each time it is given back, one round trip more for an append that costs one, and it hides the
notices by which a server says that it did not wait for its standbys.

**Several hosts** are tried one after the other, each for ``connect_timeout`` seconds, so that one that does not answer
at all keeps nobody from the next. Whoever writes takes only one that accepts writes, so a new primary is found.

**A connection that is lost** is no error yet. The work is done again on a new one, for ``RETRY_SECONDS``: work is such
that doing it twice does no more than doing it once.

**A cancelled wait for synchronous standbys** answers success, with a warning. Work that writes is then not
acknowledged, and the connection is not used again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import attrs

from branchlog.errors import BackendError, BranchlogError, CorruptLog, InvalidInput, LogClosed, NotAStore, StoreNotFound

try:
    import asyncpg
    from asyncpg import exceptions as told
except ImportError as error:  # pragma: no cover - the tests have it
    raise InvalidInput("a store in PostgreSQL needs the package asyncpg: pip install 'branchlog[postgres]'") from error

T = TypeVar("T")
Connection: TypeAlias = Any  # asyncpg has no types

CONNECT_SECONDS = 10.0
"""For each host: a connection takes milliseconds; PgBouncer may hold one back for a while."""

COMMAND_SECONDS = 60.0
"""For one command: a thousand times the longest append, and an end to a hang."""

RETRY_SECONDS = 30.0
"""How long lost connections are replaced before a call gives up: a fail-over by Patroni takes about 20 seconds."""

PAUSE_SECONDS_MAX = 0.5
"""The longest pause between two tries: short beside a fail-over, long enough not to be a burden to a server."""

CONNECTIONS_MAX = 24
"""What one process opens at most. More do not write faster, and a server has 100 for all, unless it was told so."""

IDENTIFIER_BYTES_MAX = 63
"""What PostgreSQL keeps of a name; it cuts off the rest in silence."""

UNACKNOWLEDGED = {"01000", "57P01"}
"""Warnings that a wait for standbys was given up: cancelled, or ended with the connection."""

LOST = (
    OSError,
    told.InternalClientError,  # what asyncpg raises where a connection dies in the middle of a message
    told.InterfaceError,
    told.PostgresConnectionError,
    told.AdminShutdownError,
    told.CrashShutdownError,
    told.CannotConnectNowError,
    told.IdleInTransactionSessionTimeoutError,
    told.IdleSessionTimeoutError,
    told.ReadOnlySQLTransactionError,  # the primary became a standby
    told.TooManyConnectionsError,
)
"""After these another connection, or another host, may do."""

AGAIN = (
    told.DeadlockDetectedError,
    told.SerializationError,
    told.InvalidCachedStatementError,  # the store was upgraded under a prepared statement
    told.OutdatedSchemaCacheError,
)
"""The server took the work back, and it may be asked for once more."""

UniqueViolation = told.UniqueViolationError

MISSING = (
    told.UndefinedTableError,
    told.UndefinedColumnError,
    told.UndefinedFunctionError,
    told.InvalidSchemaNameError,
)


WAYS_OUT = {
    told.InvalidAuthorizationSpecificationError: "the server does not let us in; see the user and password in the URL",
    told.InsufficientPrivilegeError: "the role lacks a right; GRANT it, or use another role",
    told.DiskFullError: "the server's disk is full, and nothing was written; make room",
    told.OutOfMemoryError: "the server has no memory left for this; append fewer together, or give it more",
    told.QueryCanceledError: "someone else, or statement_timeout, cancelled it; nothing was written",
}
"""What to do about errors that are not ours to mend."""


class Lost(Exception):
    """The connection died, or none could be had: the cause is chained."""


@attrs.frozen(kw_only=True)
class Place:
    """What a URL says: where a store is, and how it is spoken to.

    ``addresses`` are URLs of one host each, with the password; ``shown`` is for people. ``prepared`` tells whether
    statements may be prepared on a connection for later; None: as the server's answer shows.
    """

    addresses: tuple[str, ...]
    shown: str
    schema: str
    prepared: bool | None
    connections: int
    connect_seconds: float
    attributes: str | None

    @classmethod
    def of(cls, url: str, *, read_only: bool) -> Place:
        """Read a URL. Raises ``InvalidInput``, which never quotes a password."""
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError as error:
            raise InvalidInput(f"not a URL of a PostgreSQL server: {error}") from None
        if parts.scheme not in ("postgresql", "postgres"):
            raise InvalidInput(f"a URL of a PostgreSQL server begins with postgresql://, not {parts.scheme[:40]!r}")
        own = {name: options.pop(name, None) for name in ("schema", "pgbouncer", "connections", "connect_timeout")}
        login, at, listed = parts.netloc.rpartition("@")
        given = options.pop("host", None)
        hosts = _hosts(listed) if given is None else _sockets(given, options.pop("port", None))
        chosen = None if "target_session_attrs" in options else ("any" if read_only else "read-write")
        addresses = []
        for host, query in hosts:
            more = urlencode({**options, **query}, quote_via=quote)
            addresses.append(f"postgresql://{login}{at}{host}{parts.path}" + (f"?{more}" if more else ""))
        where = ",".join(host or query.get("host", "the default host") for host, query in hosts)
        return cls(
            addresses=tuple(addresses),
            shown=f"{where}/{unquote(parts.path[1:])}",
            schema=_schema(own["schema"] or "branchlog"),
            prepared=None if own["pgbouncer"] is None else not _truth("pgbouncer", own["pgbouncer"]),
            connections=_count("connections", own["connections"], CONNECTIONS_MAX),
            connect_seconds=float(_count("connect_timeout", own["connect_timeout"], int(CONNECT_SECONDS))),
            attributes=chosen,
        )


def _hosts(listed: str) -> list[tuple[str, dict[str, str]]]:
    hosts = listed.split(",")
    for host in hosts:
        port = host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
        if port and not (port.isdecimal() and 0 < int(port) < 2**16):
            raise InvalidInput(f"not a port of a PostgreSQL server: {port!r}")
    return [(host, {}) for host in hosts]


def _sockets(given: str, ports: str | None) -> list[tuple[str, dict[str, str]]]:
    """Hosts, or folders of sockets, that are given as an option."""
    hosts, numbers = given.split(","), (ports or "5432").split(",")
    if len(numbers) == 1:
        numbers *= len(hosts)
    if len(numbers) != len(hosts) or not all(number.isdecimal() for number in numbers):
        raise InvalidInput(f"{len(hosts)} hosts need as many ports, or one for all, not {ports!r}")
    return [("", {"host": host, "port": number}) for host, number in zip(hosts, numbers, strict=True)]


def _schema(name: str) -> str:
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdecimal()
    if not plain or len(name) > IDENTIFIER_BYTES_MAX or name.lower().startswith("pg_"):
        raise InvalidInput(
            f"a schema has 1 to {IDENTIFIER_BYTES_MAX} letters, digits and underscores, and does not begin with a"
            f" digit or pg_: not {name[:80]!r}"
        )
    return name


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise InvalidInput(f"{name} is true or false, not {value!r}")
    return value.lower() == "true"


def _count(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not value.isdecimal() or not 0 < int(value) < 2**16:
        raise InvalidInput(f"{name} is a number from 1, not {value!r}")
    return int(value)


class Link:
    """A connection, and what the server has warned of on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.warning = ""
        connection.add_log_listener(self._hear)

    def _hear(self, _: object, message: Any) -> None:
        """Asyncpg calls this before whoever waits for the answer goes on."""
        if message.severity_en == "WARNING" and message.sqlstate in UNACKNOWLEDGED:
            self.warning = message.message

    def is_sound(self) -> bool:
        """Whether it may be used again."""
        return not self.warning and not self.connection.is_closed() and not self.connection.is_in_transaction()


class Server:
    """The connections of one log to its server."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.prepared = False
        self.durable = True
        self.settings: dict[str, str] = {}
        self._idle: list[Link] = []
        self._waiting: deque[asyncio.Future[Link | None]] = deque()
        self._links: set[Link] = set()
        self._opening = 0
        self._closed = False
        self._all_back: asyncio.Future[None] | None = None

    def check_open(self) -> None:
        """Raise ``LogClosed`` once it is closed."""
        if self._closed:
            raise LogClosed(self.place.shown)

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, writes: bool = False) -> T:
        """Do work on a connection; again on another where that is lost, until it is given up."""
        over, pause = 0.0, 0.0
        while True:
            try:
                return await self.run_once(work, writes=writes)
            except Lost as lost:
                self.check_open()
                over = over or time.monotonic() + RETRY_SECONDS
                if time.monotonic() + pause > over:
                    raise self._given_up(lost) from lost.__cause__
            await asyncio.sleep(pause)
            pause = min(2 * pause or 0.01, PAUSE_SECONDS_MAX)

    def _given_up(self, lost: Lost) -> BackendError:
        return BackendError(
            f"{self.place.shown}: no connection that lasts, for {RETRY_SECONDS:.0f} seconds ({self.said(lost)});"
            " what was asked for may have been done or not: ask again once the server is there"
        )

    async def run_once(self, work: Callable[[Connection], Awaitable[T]], *, writes: bool = False) -> T:
        """Do work on a connection. Raises ``Lost`` where it was lost; the work may have been done then."""
        link = await self._take()
        sound = False
        try:
            answer = await work(link.connection)
            sound = True
        except BranchlogError:
            sound = True
            raise
        except Exception as error:
            sound = isinstance(error, told.PostgresError) and not isinstance(error, LOST)
            raise self.translated(error) from error
        finally:
            self._give_back(link, sound=sound)
        if writes and link.warning:
            raise BackendError(
                f"{self.place.shown}: the primary has it, but gave up waiting for its synchronous standbys"
                f" ({link.warning}): not acknowledged; send it again"
            )
        return answer

    async def _take(self) -> Link:
        """A connection that is kept, or a new one, or the next that another gives back."""
        while True:
            self.check_open()
            while self._idle:
                link = self._idle.pop()
                if link.is_sound():
                    return link
                self._drop(link)
            if len(self._links) + self._opening < self.place.connections:
                opened = await self._open()
                if opened is not None:
                    return opened
                if self._idle:
                    continue
            waiter: asyncio.Future[Link | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                given = await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._pass_on(waiter.result())
                raise
            if given is not None:
                return given

    async def _open(self) -> Link | None:
        """A new connection; None where the server has none left for now and others here will give theirs back."""
        self._opening += 1
        try:
            link = Link(await self._connected())
        except BaseException as error:
            if isinstance(error, told.TooManyConnectionsError) and self._links:
                return None
            self._pass_on(None)
            if isinstance(error, LOST) and not isinstance(error, told.ClientConfigurationError):
                raise Lost from error
            if isinstance(error, Exception):
                raise self.translated(error) from error
            raise
        finally:
            self._opening -= 1
        self._links.add(link)
        if self._closed:
            self._drop(link)
            self.check_open()
        return link

    async def _connected(self) -> Connection:
        """A connection to the first host that will do."""
        last: Exception = OSError("no host was tried")
        for address in self.place.addresses:
            try:
                connection: Connection = await asyncpg.connect(
                    address,
                    timeout=self.place.connect_seconds,
                    command_timeout=COMMAND_SECONDS,
                    statement_cache_size=100 if self.prepared else 0,
                    target_session_attrs=self.place.attributes,
                    server_settings={"application_name": "branchlog"} | self.settings,
                )
            except LOST as error:
                if isinstance(error, told.ClientConfigurationError):
                    raise
                last = error
            else:
                return connection
        raise last

    def _give_back(self, link: Link, *, sound: bool) -> None:
        if sound and link.is_sound() and not self._closed:
            self._pass_on(link)
        else:
            self._drop(link)
            self._pass_on(None)

    def _pass_on(self, link: Link | None) -> None:
        """Give a connection, or the place of one, to whoever waits longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(link)
                return
        if link is not None and self._closed:
            self._drop(link)
        elif link is not None:
            self._idle.append(link)

    def _drop(self, link: Link) -> None:
        self._links.discard(link)
        link.connection.terminate()
        if self._closed and not self._links and self._all_back and not self._all_back.done():
            self._all_back.set_result(None)

    async def close(self) -> None:
        """Let those go on who are at work, and close what they give back; whoever waits is told."""
        self._closed = True
        while self._waiting:
            self._pass_on(None)
        await self.renew()
        if self._links and self._all_back is None:
            self._all_back = asyncio.get_running_loop().create_future()
        if self._all_back is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._all_back), COMMAND_SECONDS)
        for link in list(self._links):
            self._drop(link)

    async def renew(self) -> None:
        """Close the connections that nobody uses: the next ones are opened as is known by now."""
        idle, self._idle = self._idle, []
        for link in idle:
            with suppress(*LOST):
                await link.connection.close(timeout=1)
            self._drop(link)

    def said(self, error: BaseException) -> str:
        """What an error says, with what to do about it."""
        cause = error.__cause__ or error
        if isinstance(cause, told.TargetServerAttributeNotMatched):
            return "none of the hosts accepts writes (a standby may be opened read-only)"
        if isinstance(cause, TimeoutError):
            return f"no answer within {self.place.connect_seconds:.0f} seconds; are host and port right?"
        if isinstance(cause, told.TooManyConnectionsError):
            return f"{_said(cause)}; raise max_connections, or open fewer with ?connections="
        return f"{_said(cause)}; is it running, are host and port right?"

    def translated(self, error: Exception) -> Exception:
        """The border: what asyncpg and the system raise, as ours; ``Lost`` for what another connection may mend."""
        where = self.place.shown
        if isinstance(
            error, told.ClientConfigurationError | told.UndefinedObjectError | told.InvalidParameterValueError
        ):
            return InvalidInput(f"{where}: the URL has an option that does not fit: {_said(error)}")
        if isinstance(error, TimeoutError) and error.errno is None:  # ours, not the network's
            return BackendError(f"{where}: no answer in time; it may have been done or not: ask again")
        if isinstance(error, (*LOST, *AGAIN)):
            lost = Lost()
            lost.__cause__ = error
            return lost
        if isinstance(error, ValueError | told.DataError | told.ProgramLimitExceededError):
            return InvalidInput(f"{where}: a value that PostgreSQL does not take: {_said(error)}")
        return self._refused(error)

    def _refused(self, error: Exception) -> Exception:
        """What the server refuses for good."""
        where, said = self.place.shown, _said(error)
        if isinstance(error, told.InvalidCatalogNameError):
            return StoreNotFound(where, f"there is no such database ({said}); make it with createdb")
        if isinstance(error, told.DataCorruptedError | told.IndexCorruptedError):
            return CorruptLog(where, f"PostgreSQL finds damage ({said}); restore it from a copy")
        if isinstance(error, MISSING):
            return NotAStore(f"{where}: the schema {self.place.schema!r} is no branchlog store any more ({said})")
        for kind, way_out in WAYS_OUT.items():
            if isinstance(error, kind):
                return BackendError(f"{where}: {way_out} ({said})")
        return BackendError(f"{where}: {said}")


def _said(error: BaseException | None) -> str:
    """What an error says, in one line."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
