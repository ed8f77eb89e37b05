"""Erasing: what stands in an event, and in a stored payload, in place of what a node said.

The shape stays: the event is still there, with its type, its time and what it is about, so every version and every id
is what it was. The message keeps its role and loses all else; an annotation loses its metadata.
"""

from __future__ import annotations

from typing import Any

import msgspec

_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_shape = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def blank(message: msgspec.Raw | bytes) -> msgspec.Raw:
    """The message that stands in place of another."""
    return msgspec.Raw(_encode(_blank_message(_decode_shape(message))))


def blanked(data: bytes, offset: int) -> bytes:
    """The payload with one of its events, counted from 0, erased; the others keep their bytes."""
    raws = [bytes(raw) for raw in _decode_raws(data)]
    event = _decode_shape(raws[offset])
    if isinstance(event.get("message"), dict):
        event["message"] = _blank_message(event["message"])
    if "node" in event:
        event.pop("metadata", None)
    raws[offset] = _encode(event)
    return b"[" + b",".join(raws) + b"]"


def _blank_message(message: dict[str, Any]) -> dict[str, Any]:
    return {"role": message.get("role", "user"), "content": ""}
