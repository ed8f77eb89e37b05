"""The connection of the NATS log: addresses, requests that are made again, and reads of many messages.

Here NATS' exceptions and error codes become ours. What can be asked again without harm is, for ``RETRY_SECONDS``: no
server answers (503) while a leader is elected, a connection breaks, a server is too busy.

**Who is asked.** The leader of the stream answers ``last`` and ``get``, and what is decided is decided by these. Any
replica answers ``scan``, and may be behind: so a scan is told by its caller, who asked the leader, how far it has to
come, and goes on until it has come there.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import msgspec

from branchlog.errors import BackendError, BranchlogError, InvalidInput, LogClosed, StoreNotFound

try:
    import nats
    import nats.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
except ImportError as missing:  # pragma: no cover - the tests have it
    raise InvalidInput("a NATS log needs the package nats-py: pip install 'branchlog[nats]'") from missing

CONNECT_SECONDS = 10.0
"""How long the first connection may take, over all servers of the address."""

CONNECT_TRIES = 2
"""How often each server is tried before the first connection is given up."""

REQUEST_SECONDS = 3.0
"""How long one request may take: many times the slowest that is answered at all."""

SCAN_SECONDS = 0.4
"""How long any replica may take to begin an answer before another is asked; twice as long each time.

One that is frozen or cut off is still sent its share of the requests, until its neighbours notice.
"""

PING_SECONDS = 1
"""How long a server may take to say that it is there, once it has left a request unanswered."""

RETRY_SECONDS = 30.0
"""How long a request is made again: three times the longest fail-over that was measured (9.3 s)."""

PAUSE_SECONDS = 0.05
"""Between two tries, and twice as long each time up to ``PAUSE_SECONDS_MAX``."""

PAUSE_SECONDS_MAX = 0.5

CLOSE_SECONDS = 5.0
"""How long closing waits for calls that are being answered."""

BATCH = 2_000
"""Messages that are asked for at once."""

BATCH_BYTES = 16_777_216
"""Bytes that are asked for at once: well below what the client keeps before it drops messages."""

HEADER_ROOM_BYTES = 4_096
"""What the server adds to a message when it hands it out."""

NO_MESSAGE, NO_STREAM, NAME_IN_USE, NO_CONSUMER = 10037, 10059, 10058, 10014
CONFLICT = 10071
"""The last message of the subject is another one than was expected."""

RETRYABLE = {10008, 10009, 10158, 10164}
"""No leader, not the leader, the same message or another one of the subject is being written."""

NO_JETSTREAM = {10039, 10076}
NO_PLACE = {10005, 10074}
"""Fewer servers than replicas."""

FULL = {10023, 10028, 10047}
"""No room on the disk, or none left of what the server may use."""

STREAM_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Unanswered(BackendError):
    """A request may be made again: nobody knows what became of it."""


class Refused(BackendError):
    """The server answered that it will not; ``code`` is its own."""

    def __init__(self, place: str, code: int, description: str) -> None:
        self.code = code
        super().__init__(f"{place}: the server refuses: {description} ({code})")


@attrs.frozen(kw_only=True)
class Address:
    """What a URL says: ``nats://user:password@host:4222,host:4222?stream=NAME&replicas=3&creds=FILE``."""

    servers: list[str]
    stream: str
    replicas: int | None
    options: dict[str, Any] = attrs.field(repr=False)
    place: str


class Raw(msgspec.Struct, frozen=True):
    """A message as it came."""

    sequence: int
    headers: dict[str, str]
    body: bytes
    subject: str = ""


class _Got(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    hdrs: bytes = b""
    data: bytes = b""


_decode_got = msgspec.json.Decoder(_Got).decode
_encode = msgspec.json.Encoder().encode


def parse_address(url: str) -> Address:
    """Read a URL. Raises ``InvalidInput`` and never quotes a password."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise InvalidInput(f"not an address of NATS servers: {error}") from error
    credentials, _, hosts = parts.netloc.rpartition("@")
    names = [host.rpartition("@")[2] for host in hosts.split(",")]
    if parts.scheme not in ("nats", "tls") or not all(names) or parts.path.strip("/") or parts.fragment:
        raise InvalidInput(
            "an address of NATS servers is nats://host:4222, or several hosts with commas between,"
            f" and options behind a question mark; not {parts.scheme}://{','.join(names)}{parts.path}"
        )
    if unknown := set(query) - {"stream", "replicas", "creds"}:
        raise InvalidInput(f"a NATS address has the options stream, replicas and creds, not {', '.join(unknown)}")
    stream = query.get("stream", "BRANCHLOG")
    if not STREAM_NAME.fullmatch(stream):
        raise InvalidInput(f"a stream is named by 1 to 64 letters, digits, '-' and '_', not {stream!r}")
    return Address(
        servers=[f"{parts.scheme}://{name}" for name in names],
        stream=stream,
        replicas=_replicas(query.get("replicas")),
        options=_credentials(credentials) | ({"user_credentials": query["creds"]} if "creds" in query else {}),
        place=f"{parts.scheme}://{','.join(names)}?stream={stream}",
    )


def _replicas(text: str | None) -> int | None:
    if text is not None and text not in ("1", "2", "3", "4", "5"):
        raise InvalidInput(f"a stream has 1 to 5 replicas, not {text!r}")
    return None if text is None else int(text)


def _credentials(text: str) -> dict[str, Any]:
    user, colon, password = text.partition(":")
    if not text:
        return {}
    return {"user": unquote(user), "password": unquote(password)} if colon else {"token": unquote(user)}


class Connection:
    """One connection, shared by all namespaces of a log."""

    def __init__(self, address: Address) -> None:
        self.address: Final = address
        self._client = Client()
        self._errors: list[Exception] = []
        self._denied = ""
        self._closed = False
        self._used = 0
        self._idle = asyncio.Event()
        self._idle.set()

    # Opening and closing.

    async def open(self) -> None:
        """Connect to one of the servers. Raises ``StoreNotFound`` where none is, ``BackendError`` where all refuse."""
        gave_up = asyncio.Event()

        async def note(error: Exception) -> None:
            self._errors.append(error)
            if _is_about_user(error) or len(self._errors) >= CONNECT_TRIES * len(self.address.servers):
                gave_up.set()

        connecting = asyncio.ensure_future(self._connect(note))
        waiting = asyncio.ensure_future(gave_up.wait())
        await asyncio.wait({connecting, waiting}, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if connecting.done() and not connecting.exception():
            return
        connecting.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await connecting
        with suppress(Exception):
            await self._client.close()
        raise self._not_connected(connecting)

    async def _connect(self, note: Callable[[Exception], Any]) -> None:
        async def on_error(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                self._denied = str(error)
            elif not self._client.is_connected:
                await note(error)

        await self._client.connect(
            self.address.servers,
            error_cb=on_error,
            disconnected_cb=self._lost,
            name="branchlog",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # it is slept, and a second is long
            connect_timeout=2,
            ping_interval=10,
            max_outstanding_pings=2,
            **self.address.options,
        )
        self._errors.clear()

    def _not_connected(self, connecting: asyncio.Future[None]) -> BranchlogError:
        found = list(self._errors)
        if connecting.done() and not connecting.cancelled() and (error := connecting.exception()):
            found.append(error if isinstance(error, Exception) else RuntimeError(str(error)))
        cause: Exception | None = next((each for each in found if _is_about_user(each)), None)
        refusal: BranchlogError
        if cause is not None:
            refusal = BackendError(f"{self.address.place}: the server refuses this user, password or token")
        elif found and not all(isinstance(each, OSError | asyncio.TimeoutError) for each in found):
            cause = found[-1]
            refusal = BackendError(f"{self.address.place}: cannot connect: {cause}")
        else:
            cause = found[-1] if found else None
            reason = f"no server answers there ({cause or 'it took too long'}); start one or mend the address"
            refusal = StoreNotFound(self.address.place, reason)
        refusal.__cause__ = cause
        return refusal

    def enter(self) -> None:
        """Begin a call, which closing waits for. Raises ``LogClosed``."""
        if self._closed:
            raise LogClosed(self.address.place)
        self._used += 1
        self._idle.clear()

    def leave(self) -> None:
        """End a call."""
        self._used -= 1
        if not self._used:
            self._idle.set()

    async def close(self) -> None:
        """Let the calls that were begun come to their end, then disconnect."""
        if self._closed:
            await self._idle.wait()
            return
        self._closed = True
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), CLOSE_SECONDS)
        await self._client.close()

    async def check_jetstream(self) -> None:
        """Raise ``BackendError`` if JetStream is not on; where servers only have no leader yet they are waited for."""
        if not self._client._server_info.get("jetstream"):
            try:
                await self._client.request("$JS.API.INFO", timeout=REQUEST_SECONDS)
            except nats.errors.NoRespondersError as error:
                raise self._without_jetstream() from error
            except (TimeoutError, nats.errors.Error, OSError) as error:
                raise self._unanswered(error) from error

    def _without_jetstream(self) -> BackendError:
        return BackendError(f"{self.address.place}: JetStream is not on; start the server with -js")

    # Requests.

    @property
    def payload_max(self) -> int:
        """The bytes that the server takes in one message."""
        return self._client.max_payload

    @property
    def server_version(self) -> str:
        """The version of the server at the other end."""
        version = self._client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"

    async def ask(self, subject: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One request, one answer, one try. Raises ``Unanswered``."""
        try:
            message = await self._client.request(subject, body, timeout=REQUEST_SECONDS, headers=headers)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            await self._look_after(error)
            raise self._unanswered(error) from error
        return message.data

    async def _look_after(self, error: Exception) -> None:
        """Leave a server that does not answer at all: it may be frozen, or cut off, with its connections open."""
        if isinstance(error, TimeoutError) and self._client.is_connected:
            try:
                await self._client.flush(timeout=PING_SECONDS)
            except (nats.errors.Error, OSError):
                await self._client.force_reconnect()

    async def _lost(self) -> None:
        """The connection broke: no answer to what was asked on it will come any more."""
        for answer in list(self._client._resp_map.values()):
            if not answer.done():
                answer.set_exception(ConnectionResetError("the connection broke"))

    def _unanswered(self, error: Exception) -> BackendError | LogClosed:
        place = self.address.place
        if self._denied:
            return BackendError(f"{place}: this user has not all the rights that a log needs: {self._denied}")
        if self._client.is_closed:
            return LogClosed(place) if self._closed else BackendError(f"{place}: disconnected for good; open it again")
        return Unanswered(f"{place}: no answer ({error}); what was sent may have been written")

    async def persist(self, work: Callable[[], Any]) -> Any:
        """Do it again while it goes unanswered, for a bounded time."""
        deadline, pause = time.monotonic() + RETRY_SECONDS, PAUSE_SECONDS
        while True:
            try:
                return await work()
            except Unanswered:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def command(self, name: str, request: dict[str, Any] | None = None) -> bytes:
        """One command of the JetStream API. Raises ``Refused`` with the server's code."""

        async def once() -> bytes:
            answer = await self.ask(f"$JS.API.{name}", _encode(request) if request else b"")
            self.check(answer)
            return answer

        answer: bytes = await self.persist(once)
        return answer

    def check(self, answer: bytes) -> None:
        """Raise what an answer says is wrong."""
        if b'"error"' not in answer[:400]:
            return
        found = msgspec.json.decode(answer).get("error")
        if not found:
            return
        code, description = found.get("err_code", 0), found.get("description", "")
        if code in RETRYABLE or (found.get("code") == 503 and code not in NO_JETSTREAM | FULL):
            raise Unanswered(f"{self.address.place}: {description} ({code})")
        if code in NO_JETSTREAM:
            raise self._without_jetstream()
        raise Refused(self.address.place, code, description)

    # Reading.

    async def last(self, stream: str, subject: str) -> Raw | None:
        """The last message of a subject, or of all that a wildcard stands for; of the leader."""
        return await self._got(stream, {"last_by_subj": subject})

    async def get(self, stream: str, sequence: int) -> Raw | None:
        """The message at a sequence; of the leader."""
        return await self._got(stream, {"seq": sequence})

    async def _got(self, stream: str, request: dict[str, Any]) -> Raw | None:
        try:
            answer = await self.command(f"STREAM.MSG.GET.{stream}", request)
        except Refused as error:
            if error.code != NO_MESSAGE:
                raise
            return None
        got = _decode_got(msgspec.json.decode(answer, type=dict[str, msgspec.Raw])["message"])
        return Raw(got.seq, _headers(got.hdrs), got.data, got.subject)

    async def found(self, stream: str, subject: str) -> list[Raw]:
        """The messages of a subject in a stream that may not have been made yet."""
        try:
            last = await self.last(stream, subject)
        except Refused as refusal:
            if refusal.code == NO_STREAM:
                return []
            raise
        return await self.scan(stream, subject, 1, last.sequence) if last else []

    async def scan(
        self,
        stream: str,
        subject: str,
        start: int,
        target: int,
        *,
        size: int = BATCH,
        enough: Callable[[list[Raw]], bool] | None = None,
    ) -> list[Raw]:
        """The messages of a subject from a sequence to one that the leader has, or until it is ``enough``.

        Later ones may be among them. Asks any replica, which may be behind: what is there is asked for again.
        """
        found: list[Raw] = []
        deadline, pause, patience = time.monotonic() + RETRY_SECONDS, PAUSE_SECONDS / 10, SCAN_SECONDS
        while start <= target:
            try:
                got = await self._batch(stream, subject, start, min(size, BATCH), patience)
            except Unanswered:
                got, patience = [], min(2 * patience, REQUEST_SECONDS)
            if got:
                found += got
                start, size = got[-1].sequence + 1, size * 2
                if enough is not None and enough(found):
                    break
            elif time.monotonic() > deadline:
                raise BackendError(
                    f"{self.address.place}: no replica has the messages up to {target}, of which the leader told"
                )
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
        return found

    async def _batch(self, stream: str, subject: str, start: int, size: int, patience: float) -> list[Raw]:
        """Some messages of a subject from a sequence, without a gap."""
        request = {"seq": start, "next_by_subj": subject, "batch": size, "max_bytes": BATCH_BYTES}
        messages = await self._gather(f"$JS.API.DIRECT.GET.{stream}", request, size, patience)
        found: list[Raw] = []
        before = 0
        for message in messages:
            headers = message.headers or {}
            if int(headers["Nats-Last-Sequence"]) != before:
                break  # one was lost on its way
            before = int(headers["Nats-Sequence"])
            found.append(Raw(before, headers, message.data, headers["Nats-Subject"]))
        return found

    async def _gather(
        self, subject: str, request: dict[str, Any], size: int, patience: float, *, counted: bool = False
    ) -> list[Msg]:
        """The messages that answer one request, up to the one that says there are no more, or so many (``counted``).

        They are waited for as long as there are some within each ``patience`` seconds.
        """
        found: list[Msg] = []
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            status = (message.headers or {}).get("Status", "")
            if not status:
                found.append(message)
            if (status or (counted and len(found) >= size)) and not ended.done():
                ended.set_result(status)

        inbox = self._client.new_inbox()
        try:
            subscription = await self._client.subscribe(inbox, cb=take)
            try:
                await self._client.publish(subject, _encode(request), reply=inbox)
                status = await self._ended(ended, found, patience)
            finally:
                await subscription.unsubscribe()
        except (TimeoutError, nats.errors.Error, OSError) as error:
            if found:
                return found
            await self._look_after(error)
            raise self._unanswered(error) from error
        if status == "503":
            raise Unanswered(f"{self.address.place}: no server answers for {subject}")
        if status in ("400", "408") and not counted:
            raise BackendError(f"{self.address.place}: {subject} is not understood; the server is older than 2.11")
        return found

    @staticmethod
    async def _ended(ended: asyncio.Future[str], found: list[Msg], patience: float) -> str:
        count = 0
        while True:
            try:
                return await asyncio.wait_for(asyncio.shield(ended), patience)
            except TimeoutError:
                if len(found) == count:
                    raise
                count = len(found)

    async def last_of_each(self, stream: str, subject: str, target: int) -> list[Raw]:
        """The headers of the last message of each subject, at least up to one that the leader has."""
        found: list[Raw] = await self.persist(lambda: self._last_of_each(stream, subject, target))
        return found

    async def _last_of_each(self, stream: str, subject: str, target: int) -> list[Raw]:
        name = f"branchlog-{self._client.new_inbox().rpartition('.')[2]}"
        config = {
            "name": name,
            "filter_subject": subject,
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "headers_only": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30_000_000_000,
        }
        await self.command(f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})
        found: list[Raw] = []
        deadline = time.monotonic() + RETRY_SECONDS
        try:
            while not found or found[-1].sequence < target:
                request = {"batch": BATCH, "no_wait": True}
                asked = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
                messages = await self._gather(asked, request, BATCH, REQUEST_SECONDS, counted=True)
                if not messages:  # the replica that keeps the consumer is behind the leader
                    await asyncio.sleep(PAUSE_SECONDS)
                if time.monotonic() > deadline:
                    raise BackendError(f"{self.address.place}: the catalog could not be read to its end")
                for message in messages:
                    sequence, number = _delivered(message.reply)
                    if number != len(found) + 1:
                        raise Unanswered(f"{self.address.place}: a message was lost on its way")
                    found.append(Raw(sequence, message.headers or {}, b"", message.subject))
        finally:
            with suppress(BackendError, nats.errors.Error):
                await self._client.publish(f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
        return found

    # Erasing.

    async def erase(self, stream: str, sequences: Sequence[int]) -> None:
        """Overwrite messages; those that are gone already are no error."""
        for begin in range(0, len(sequences), ERASED_AT_ONCE):
            await asyncio.gather(*(self._erase(stream, each) for each in sequences[begin : begin + ERASED_AT_ONCE]))

    async def _erase(self, stream: str, sequence: int) -> None:
        try:
            await self.command(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})
        except Refused as error:
            if error.code not in (NO_MESSAGE, 10043, 10057):
                raise


ERASED_AT_ONCE = 64


def _is_about_user(error: Exception) -> bool:
    return isinstance(error, nats.errors.AuthorizationError) or "authorization violation" in str(error).lower()


def _headers(block: bytes) -> dict[str, str]:
    """The headers of a message as the leader gives them, in one block."""
    lines = (line.partition(b":") for line in block.split(b"\r\n")[1:] if line)
    return {name.decode(errors="replace"): value.strip().decode(errors="replace") for name, _, value in lines}


def _delivered(reply: str) -> tuple[int, int]:
    """The sequence of a message in its stream and among those of its consumer, from its reply subject."""
    tokens = reply.split(".")
    at = 5 if len(tokens) == 9 else 7
    return int(tokens[at]), int(tokens[at + 1])
