"""The content of a ChatGPT message: what it says, as text or parts, of whatever type it is.

Every type comes in. One text is that text; several are joined by empty lines; where there are pictures, sound or other
things among them, they are parts. All that is not one plain text is kept as it stood, beside what can be read of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from branchlog._core.message import Json
from branchlog.formats.carry import JsonObject, Repair, Repairs, carried, json_text, kind_of

Said: TypeAlias = str | list[JsonObject]
"""The content of a message."""


def said(raw: JsonObject, where: str, repairs: Repairs) -> tuple[Said, bool]:
    """What a message says, and whether the original content has to be kept since that says more."""
    stood = raw.get("content")
    if isinstance(stood, str):
        return stood, True
    if not isinstance(stood, dict):
        repairs.append(Repair(where, "no content; the message is empty"))
        return "", stood is not None
    return _content(stood, where, repairs)


def _content(content: JsonObject, where: str, repairs: Repairs) -> tuple[Said, bool]:
    """As ``said``, of a content that is an object."""
    kind, parts = content.get("content_type"), content.get("parts")
    if isinstance(parts, list):
        texts = [part for part in parts if isinstance(part, str)]
        plain = len(parts) == 1 and len(texts) == 1 and not content.keys() - {"content_type", "parts"}
        if len(texts) == len(parts):
            return "\n\n".join(texts), not (plain and kind in ("text", None))
        return [_part(part, where, repairs) for part in parts], True
    screenshot = content.get("screenshot")
    if kind == "computer_output" and isinstance(screenshot, dict):
        return [*_titles(content), _part(screenshot, where, repairs)], True
    lines = _thoughts(content) if kind == "thoughts" else _readable(content)
    text = "\n\n".join(line for line in lines if line)
    if not text:
        repairs.append(Repair(where, f"content of type {str(kind)[:40]!r} without any text; kept as metadata"))
    return text, True


def _part(part: Json, where: str, repairs: Repairs) -> JsonObject:
    """One of several parts in the shape of the chat APIs, under the name that the export has for its type."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        repairs.append(Repair(where, f"a part of the content is {kind_of(part)}; kept as text"))
        return {"type": "text", "text": "" if part is None else json_text(part)}
    kind = part.get("content_type", part.get("type"))
    if kind == "audio_transcription" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    return carried({**part, "type": kind if isinstance(kind, str) else "unknown"}, where, repairs)


def _titles(content: JsonObject) -> list[JsonObject]:
    """What a computer shows: the title of its window, or of the page, and the address."""
    state = content.get("state")
    texts = [state.get(key) for key in ("title", "url")] if isinstance(state, dict) else []
    return [{"type": "text", "text": text} for text in texts if isinstance(text, str) and text]


def _thoughts(content: JsonObject) -> Iterator[str]:
    thoughts = content.get("thoughts")
    for thought in thoughts if isinstance(thoughts, list) else ():
        if isinstance(thought, dict):
            yield from (text for key in ("summary", "content") if isinstance(text := thought.get(key), str))


READABLE = (
    "title",
    "name",
    "url",
    "user_profile",
    "user_instructions",
    "model_set_context",
    "summary",
    "content",
    "text",
    "snippet",
    "result",
    "output_str",
    "repo_summary",
    "structured_context",
)
"""The fields that hold text in the content types seen, in an order in which they read well."""


def _readable(content: JsonObject) -> Iterator[str]:
    """The texts of a content without parts: code, output of tools, pages, contexts, and types not known yet."""
    yield from (text for key in READABLE if isinstance(text := content.get(key), str))


# Writing.


def written(content: str | list[JsonObject] | None) -> JsonObject:
    """Content of the export that says this; parts that are no text stay as they are."""
    if not isinstance(content, list):
        return {"content_type": "text", "parts": [content or ""]}
    plain = [part["text"] if _is_plain(part) else part for part in content]
    if all(isinstance(part, str) for part in plain):
        plain = content
    return {"content_type": "multimodal_text", "parts": plain}


def _is_plain(part: JsonObject) -> bool:
    return part.keys() == {"type", "text"} and part["type"] == "text" and isinstance(part["text"], str)
