"""Objects by name: where a log in object storage keeps them, and the border behind which the client's errors are ours.

An address is ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix`` or ``file:///folder``. Options
for the client stand in the query, by the names that obstore has for them: ``s3://chats/prod?region=eu-west-1`` or
``s3://chats?endpoint=http://127.0.0.1:9000``. Credentials come from the environment variables of each provider.

Every object carries a seal over all its bytes: 32 hexadecimal digits, a blank, a header of one line of JSON, and behind
the line break whatever data the header is about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from branchlog.errors import BackendError, BranchlogError, CorruptLog, InvalidInput, StoreNotFound

try:
    import obstore
    from obstore.exceptions import (
        AlreadyExistsError,
        BaseError,
        PermissionDeniedError,
        UnauthenticatedError,
        UnknownConfigurationKeyError,
    )
    from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, S3Store
except ImportError as error:  # pragma: no cover - the development extra has it
    raise InvalidInput("a store in object storage needs obstore: pip install 'branchlog[objects]'") from error

T = TypeVar("T")

ATTEMPTS_AT_ONCE = 64
"""Requests under way at once: enough to hide the time that each takes, and fewer than providers begin to slow down."""

REQUEST_SECONDS, CONNECT_SECONDS, RETRY_SECONDS, RETRIES_MAX = 20, 5, 20, 4
"""One request, one connection, all tries of a request: an error arrives within a minute, whatever is wrong."""

KEY_BYTES_MAX = 1_024
"""Of an object's whole name: S3's limit, and the others'."""

KEY_BYTES_OF_OURS = 320
"""What the layout adds to a prefix at most: two encoded names, a number and what stands between them."""

NAME_LENGTH_MAX = 120
"""Characters of an encoded name; a longer one is hashed. With 255 bytes a file of any file system has room for it."""

SEAL_DIGITS = 32

PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
"""Bytes that stand for themselves in a name. Capitals do not: some file systems take them for small letters."""

SCHEMES = {"s3": "S3 bucket", "gs": "Google Cloud Storage bucket", "az": "Azure container", "file": "folder of objects"}


def encoded(name: str) -> str:
    """A name as one segment of an object's key: no two names have one, and none can reach into another's.

    A byte beyond small letters, digits, ``-`` and ``_`` becomes ``=`` and two hexadecimal digits; what would be long
    becomes ``==`` and its hash. The true name stands in the object.

    >>> encoded("trip to Kyoto")
    'trip=20to=20=4byoto'
    """
    raw = name.encode()
    text = "".join(chr(byte) if byte in PLAIN else f"={byte:02x}" for byte in raw)
    return text if len(text) <= NAME_LENGTH_MAX else f"=={sha256(raw).hexdigest()}"


def decoded(text: str) -> str | None:
    """The name that was encoded; None where it was hashed, so that only the object knows."""
    if text.startswith("=="):
        return None
    first, *rest = text.split("=")
    raw = first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
    return raw.decode()


def sealed(header: Any, data: bytes = b"") -> bytes:
    """An object's bytes."""
    said = msgspec.json.encode(header) + b"\n" + data
    return sha256(said).hexdigest()[:SEAL_DIGITS].encode() + b" " + said


def unsealed(key: str, raw: bytes, shape: type[T]) -> tuple[T, bytes]:
    """An object's header and data. Raises ``CorruptLog`` where they are not as they were written."""
    seal, said = raw[:SEAL_DIGITS], raw[SEAL_DIGITS + 1 :]
    if raw[SEAL_DIGITS : SEAL_DIGITS + 1] != b" " or sha256(said).hexdigest()[:SEAL_DIGITS].encode() != seal:
        raise CorruptLog(f"object {key!r}", "it is not as it was written; restore it from a copy")
    header, _, data = said.partition(b"\n")
    try:
        return msgspec.json.decode(header, type=shape), data
    except msgspec.MsgspecError as error:
        raise CorruptLog(f"object {key!r}", f"its header is not one of this place: {error}") from error


class Listed(msgspec.Struct, frozen=True):
    """What a list says of one object; ``key`` is without the prefix of the store."""

    key: str
    size_bytes: int
    tag: str | None


class Bucket:
    """The objects under one prefix."""

    def __init__(self, client: Any, *, scheme: str, place: str, prefix: str = "") -> None:
        """``client`` is an obstore store, whose stubs tell too many kinds apart to be of use here."""
        self.client = client
        self.scheme = scheme
        self.place = place
        self._prefix = f"{prefix}/" if prefix else ""
        self._turns = asyncio.Semaphore(ATTEMPTS_AT_ONCE)
        self.versioned = False

    async def get(self, key: str) -> bytes | None:
        """An object's bytes, None where there is none."""
        async with self._turns:
            with self._border(f"reading {key!r}"):
                try:
                    found = await obstore.get_async(self.client, self._prefix + key)
                    raw = bytes(await found.bytes_async())
                except FileNotFoundError as error:
                    if "NoSuchBucket" in str(error):
                        raise StoreNotFound(self.place, "there is no such bucket; make it first") from error
                    return None
                if self.scheme != "gs" and found.meta["version"] not in (None, "null"):
                    self.versioned = True  # Google numbers its objects anyway
                return raw

    async def put(self, key: str, raw: bytes) -> None:
        """Put an object, in place of the one that is there."""
        async with self._turns:
            with self._border(f"writing {key!r}"):
                await obstore.put_async(self.client, self._prefix + key, raw, use_multipart=False)

    async def put_new(self, key: str, raw: bytes) -> bool:
        """Put an object where there is none; False if there is one, which may be one's own from a try before."""
        async with self._turns:
            with self._border(f"writing {key!r}"):
                try:
                    await obstore.put_async(self.client, self._prefix + key, raw, mode="create", use_multipart=False)
                except AlreadyExistsError:
                    return False
                return True

    async def claim(self, key: str, raw: bytes) -> bytes | None:
        """Put an object where there is none: None if it is there now, or the bytes of the one that was first.

        Where the client sent it twice since the first answer was lost, what is there is one's own. A provider may also
        refuse while another's attempt is under way that comes to nothing: then it is tried again.
        """
        for _ in range(RETRIES_MAX + 1):
            if await self.put_new(key, raw):
                return None
            there = await self.get(key)
            if there is not None:
                return None if there == raw else there
        raise BackendError(f"{self.place}: {key!r} cannot be written: it is said to exist, and cannot be read")

    async def remove(self, keys: Iterable[str]) -> None:
        """Take objects away; one that is not there is no error."""
        await together(self._remove(key) for key in keys)

    async def _remove(self, key: str) -> None:
        async with self._turns:
            with self._border(f"removing {key!r}"):
                try:
                    await obstore.delete_async(self.client, self._prefix + key)
                except FileNotFoundError:
                    return

    async def listed(self, folder: str, *, after: str | None = None) -> list[Listed]:
        """The objects in a folder and below, in order of names; those behind ``after``."""
        async with self._turns:
            with self._border(f"listing {folder or 'all'!r}"):
                offset = None if after is None else self._prefix + after
                stream = obstore.list(self.client, (self._prefix + folder) or None, offset=offset, chunk_size=1_000)
                found = await stream.collect_async()
        skip = len(self._prefix)
        objects = (Listed(each["path"][skip:], each["size"], each["e_tag"]) for each in found)
        return sorted(objects, key=lambda each: each.key)

    async def is_empty(self) -> bool:
        """Whether there is nothing at all under the prefix."""
        with self._border("listing all"):
            async for _ in obstore.list(self.client, self._prefix or None, chunk_size=1):
                return False
        return True

    @contextmanager
    def _border(self, doing: str) -> Iterator[None]:
        try:
            yield
        except BranchlogError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise translated(error, self.place, doing) from error


def translated(error: Exception, place: str, doing: str) -> BranchlogError:
    """One of the client's errors as ours, without its dump of the whole answer."""
    said = " ".join(str(error).partition("\n\nDebug source:")[0].split())[:400]
    if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
        return StoreNotFound(place, "there is no such bucket; make it first")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
        return BackendError(f"{place}: {doing} is not allowed with these credentials: {said}")
    return BackendError(f"{place}: {doing} failed: {said}")


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """Await all of these at once; where some fail the first failure is raised once all have ended."""
    answers = await asyncio.gather(*work, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def bucket_at(url: str, *, create: bool) -> Bucket:
    """What an address leads to; nothing is asked of the server yet. Raises ``InvalidInput``."""
    parts = urlsplit(url)
    prefix = unquote(parts.path).strip("/")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme not in SCHEMES:
        raise InvalidInput(f"not an address in object storage: {url!r}; expected one of {', '.join(SCHEMES)}")
    if parts.scheme == "file":
        return _folder(parts, options, create=create)
    if not parts.hostname or parts.username:
        raise InvalidInput(f"{parts.scheme}:// needs the name of a bucket, such as {parts.scheme}://chats/prefix")
    if len(prefix.encode()) > KEY_BYTES_MAX - KEY_BYTES_OF_OURS:
        raise InvalidInput(f"a prefix has at most {KEY_BYTES_MAX - KEY_BYTES_OF_OURS} bytes")
    if any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        raise InvalidInput(f"{prefix!r} is not a prefix: a part of it is empty or a dot")
    place = f"{parts.scheme}://{parts.netloc}/{prefix}".rstrip("/")
    return Bucket(_client(parts, options, place), scheme=parts.scheme, place=place, prefix=prefix)


def _folder(parts: SplitResult, options: dict[str, str], *, create: bool) -> Bucket:
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or options:
        raise InvalidInput("a folder of objects is file:///the/whole/path, without a host and without options")
    if path.exists() and not path.is_dir():
        raise InvalidInput(f"{path} is a file; a folder of objects needs a folder")
    if not path.exists():
        if not create:
            raise StoreNotFound(str(path), "there is no such folder")
        if not path.parent.is_dir():
            raise StoreNotFound(str(path), f"there is no folder {str(path.parent)!r}; make it first")
    try:
        client = LocalStore(str(path), mkdir=True)
    except (BaseError, OSError, ValueError) as error:
        raise translated(error, str(path), "opening the folder") from error
    return Bucket(client, scheme="file", place=f"file://{path}")


def _client(parts: SplitResult, options: dict[str, str], place: str) -> Any:
    request, connect, retry = (timedelta(seconds=each) for each in (REQUEST_SECONDS, CONNECT_SECONDS, RETRY_SECONDS))
    plain_http = any(value.startswith("http://") for value in options.values())
    common: dict[str, Any] = {
        "client_options": {
            "timeout": request,
            "connect_timeout": connect,
            **({"allow_http": True} if plain_http else {}),
        },
        "retry_config": {
            "max_retries": RETRIES_MAX,
            "retry_timeout": retry,
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
        },
    }
    makers: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    try:
        return makers[parts.scheme](parts.netloc, **common, **options)
    except UnknownConfigurationKeyError as error:
        wrong = str(error).partition("\n")[0]
        raise InvalidInput(f"{place}: an option in the address is none of the client's: {wrong}") from error
    except (BaseError, OSError, ValueError, TypeError) as error:
        wrong = " ".join(str(error).partition("\n\nDebug source:")[0].split())
        raise InvalidInput(f"{place}: the address and the environment do not make a client: {wrong}") from error


def is_local(client: Any) -> bool:
    """Whether these objects are files of this machine."""
    return isinstance(client, LocalStore)


def is_memory(client: Any) -> bool:
    """Whether these objects are gone when the process ends."""
    return isinstance(client, MemoryStore)


def numbers(listed: Sequence[Listed]) -> list[int]:
    """The numbers by which objects are named, in order."""
    return [int(name) for each in listed if (name := each.key.rpartition("/")[2]).isdecimal()]
