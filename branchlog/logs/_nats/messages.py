"""What the NATS log puts into a message, and gets out of one.

Layout of a message (layout 1 of the stream, which ``branchlog.logs.nats`` describes):

``Branchlog`` (header)
    a JSON object, in ASCII: ``Facts``, field by field below
``Branchlog-Seal`` (header)
    16 bytes of SHA-256 over that object, as hexadecimal digits
body
    ``size`` bytes of payload (the events, a JSON array, byte for byte), and behind them ``Rest`` as MessagePack, or
    nothing

The payload is verified by the commit's own checksum, all else by the seal, of which the digest of the rest is a part.

**Rungs.** A reader that wants the end of a long conversation should not read its beginning. So each message knows where
some earlier commits are: one at distance 1, one at a distance of 2 to 3, of 4 to 7 and so on, which a writer makes from
those of the message before. Of the commits at a distance of ``2**k`` and more those stay whose number is a multiple of
``2**k``; a message of 10,000 knows 14 of them.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256

import msgspec

from branchlog.commit import CHECKSUM_BYTES, Commit, Head
from branchlog.errors import CorruptLog
from branchlog.logs.base import StoredEntry

HEADER, SEAL = "Branchlog", "Branchlog-Seal"

FACTS_BYTES_MAX = 16_384
"""Of longer facts the entry goes into the body: JetStream takes headers of 64 KiB, and escaped a
character takes up to three times as many bytes."""

COMMIT, ENTRY, DELETED = "commit", "entry", "deleted"

Rung = tuple[int, int, int]
"""The number of a commit, counted from 1, its last version and the sequence of its message."""

START: Rung = (0, 0, 0)
"""Before the first commit."""


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message says beside its payload.

    ``kind``  ``commit``, or ``entry`` where only the catalog was put right, or ``deleted`` where nothing is left
    ``namespace``, ``stream``  whose commit it is
    ``first``, ``count``, ``id``, ``at``, ``schema``, ``previous``, ``checksum``  the commit, bytes as hexadecimal
    digits; of an ``entry`` the last commit
    ``number``  the commits of its stream up to it
    ``size``  the bytes of its payload, at the beginning of the body
    ``rest``  the digest of what follows in the body, empty where nothing does
    ``place``  of an ``entry`` the sequence of the last commit's message
    ``rungs``  where some earlier commits are
    ``erased``  the same of the commit, where it was erased before it came here
    ``erases``  1 if its rest has commits as they are once erased
    ``redacted``  the sequence of the last message before it that has; 0 for none
    ``entry``  what the catalog says of the conversation from here on; none where it is in the rest
    """

    kind: str
    namespace: str
    stream: str
    first: int = 0
    count: int = 0
    id: str = ""
    at: int = 0
    schema: str = ""
    previous: str = ""
    checksum: str = ""
    number: int = 0
    size: int = 0
    rest: str = ""
    place: int = 0
    rungs: tuple[Rung, ...] = ()
    erased: str = ""
    erases: int = 0
    redacted: int = 0
    entry: StoredEntry | None = None

    @property
    def last(self) -> int:
        """The version at which the stream ends with this."""
        return self.first + self.count - 1

    @property
    def head(self) -> Head:
        """Where the stream ends with this."""
        return Head(self.last, bytes.fromhex(self.checksum))


class Rest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands in a body behind the payload: an entry too long for a header, and commits as they are once erased."""

    entry: StoredEntry | None = None
    erased: tuple[Commit, ...] = ()


class Replacement(msgspec.Struct, frozen=True):
    """The body of a message about erasures: commits as they are now, and the sequence of the message that says so."""

    by: int
    commits: tuple[Commit, ...]


class Message(msgspec.Struct, frozen=True):
    """A message that was read: its place in the JetStream stream, what it says and its payload."""

    sequence: int
    facts: Facts
    payload: bytes
    rest: bytes

    @property
    def entry(self) -> StoredEntry | None:
        """The catalog's entry, wherever it stands."""
        return self.facts.entry if self.facts.entry or not self.rest else decode_rest(self.rest).entry

    @property
    def place(self) -> int:
        """The sequence of the last commit's message: this one, or the one that it follows."""
        return self.facts.place or self.sequence

    @property
    def redacted(self) -> int:
        """The sequence of the last message up to this one that erased payloads of the stream; 0 for none."""
        return self.sequence if self.facts.erases else self.facts.redacted

    @property
    def rung(self) -> Rung:
        """This commit's own."""
        return self.facts.number, self.facts.last, self.place

    def commit(self) -> Commit:
        """The commit that it carries."""
        it = self.facts
        return Commit(
            it.stream,
            it.first,
            it.count,
            bytes.fromhex(it.id),
            it.at,
            it.schema,
            self.payload,
            bytes.fromhex(it.previous),
            bytes.fromhex(it.checksum),
            self.sequence,
            bytes.fromhex(it.erased),
        )


_encode_json = msgspec.json.Encoder().encode
_decode_facts = msgspec.json.Decoder(Facts).decode
_encode_pack = msgspec.msgpack.Encoder().encode
_decode_rest = msgspec.msgpack.Decoder(Rest).decode
_decode_replacement = msgspec.msgpack.Decoder(Replacement).decode


@lru_cache(4_096)
def token(name: str) -> str:
    """A name as one token of a subject, so that no character of it can reach another's subject."""
    return "n" + urlsafe_b64encode(name.encode()).decode().rstrip("=")


def facts_of(commit: Commit, before: Message | None, entry: StoredEntry | None, namespace: str) -> Facts:
    """What the message of a commit says that follows ``before``."""
    number = before.facts.number + 1 if before else 1
    return Facts(
        COMMIT,
        namespace,
        commit.stream,
        commit.first,
        commit.count,
        commit.id.hex(),
        commit.at,
        commit.schema,
        commit.previous.hex(),
        commit.checksum.hex(),
        number,
        len(commit.data),
        rungs=_rungs(before, number) if before else (),
        erased=commit.erased.hex(),
        redacted=before.redacted if before else 0,
        entry=entry,
    )


def _rungs(before: Message, number: int) -> tuple[Rung, ...]:
    return tuple(rung for rung in (*before.facts.rungs, before.rung) if _stays(rung[0], number - rung[0]))


def _stays(number: int, distance: int) -> bool:
    return number % (1 << (distance.bit_length() - 1)) == 0


def encode(facts: Facts, payload: bytes, rest: Rest | None = None) -> tuple[dict[str, str], bytes, Message]:
    """The headers and the body of a message, and the message as it will be read, but for its sequence."""
    tail = b"" if rest is None else _encode_pack(rest)
    if tail:
        facts = msgspec.structs.replace(facts, rest=_digest(tail), erases=int(bool(rest and rest.erased)))
    encoded = _encode_json(facts)
    if len(encoded) > FACTS_BYTES_MAX and facts.entry is not None:
        rest = Rest(entry=facts.entry, erased=rest.erased if rest else ())
        return encode(msgspec.structs.replace(facts, entry=None), payload, rest)
    encoded = _ascii(encoded)
    headers: dict[str, str] = {HEADER: Line(encoded.decode()), SEAL: Line(_digest(encoded))}
    return headers, payload + tail, Message(0, facts, payload, tail)


def decode(sequence: int, headers: dict[str, str], body: bytes, *, bodiless: bool = False) -> Message:
    """The message, once it is seen to be whole. ``bodiless``: only its headers were asked for."""
    text = headers.get(HEADER, "")
    if headers.get(SEAL) != _digest(text.encode(errors="surrogateescape")):
        raise CorruptLog(f"the message at sequence {sequence}", "its seal does not match: it is not as it was written")
    try:
        facts = _decode_facts(text)
    except msgspec.MsgspecError as error:
        raise CorruptLog(f"the message at sequence {sequence}", f"not written by branchlog: {error}") from error
    payload, rest = body[: facts.size], body[facts.size :]
    if not bodiless and (len(payload) != facts.size or (_digest(rest) if rest else "") != facts.rest):
        raise CorruptLog(f"the message at sequence {sequence}", "its body is not as it was written")
    return Message(sequence, facts, payload, rest)


def decode_rest(rest: bytes) -> Rest:
    """What stands behind the payload, of which the digest was compared."""
    return _decode_rest(rest)


def encode_replacement(by: int, commits: tuple[Commit, ...]) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a message that tells what stands in place of erased commits."""
    body = _encode_pack(Replacement(by, commits))
    return {SEAL: _digest(body)}, body


def decode_replacement(sequence: int, headers: dict[str, str], body: bytes) -> Replacement:
    """What stands in place of erased commits."""
    if headers.get(SEAL) != _digest(body):
        raise CorruptLog(f"the message at sequence {sequence}", "its seal does not match: it is not as it was written")
    return _decode_replacement(body)


def _digest(content: bytes) -> str:
    return sha256(content).digest()[:CHECKSUM_BYTES].hex()


class Line(str):
    """A header's value that has no line ends.

    The client looks for them character by character, which takes longer than all that is done here to make a message.
    """

    __slots__ = ()

    def strip(self, _: str | None = None, /) -> str:
        return self

    def translate(self, _: object, /) -> str:
        return self


def _ascii(encoded: bytes) -> bytes:
    """JSON with every other character escaped: clients and tools differ in what they make of one in a header."""
    return encoded if encoded.isascii() else _OTHERS.sub(_escaped, encoded.decode()).encode()


_OTHERS = re.compile(r"[^\x00-\x7f]")


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
