"""Events, and the steps of a replay, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from branchlog import Change, Message, Step, Tree
from branchlog.cli.drawing import ERASED, gist, is_erased, short_name
from branchlog.cli.output import one_line

Fields: TypeAlias = dict[str, Any]
"""An event as the JSON object that it is in the log; ``Any``, since it is JSON."""

Naming: TypeAlias = Callable[[int], str]
"""Gives the name of the node that the event of a version added."""


def fields_of(event: object) -> Fields:
    """The event as the JSON object that it is in the log."""
    raw = getattr(event, "raw", None)
    fields: Fields = msgspec.json.decode(raw if isinstance(raw, bytes) else msgspec.json.encode(event))
    return fields


def happened(fields: Fields) -> datetime:
    """When an event happened."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=fields["at"])


def record(change: Change, version: int, fields: Fields) -> Fields:
    """An event with its place, for JSON."""
    return {
        "position": change.position,
        "conversation": change.conversation,
        "version": version,
        "commit": change.id,
        "written": change.at.isoformat(),
        "happened": happened(fields).isoformat(),
        "schema": change.schema,
        "event": fields,
    }


def in_words(fields: Fields, version: int, name: Naming, erased: Container[int] = ()) -> str:
    """What happened, on one line; ``erased`` has the versions of the events whose messages were erased since."""
    tell = _TELLING.get(fields["type"])
    if tell is None:
        return f"{one_line(str(fields['type']))}: an event of a later branchlog, which changes nothing here"
    return tell({**fields, "version": version, "erased": version in erased}, name)


def step_in_words(step: Step, now: Tree) -> str:
    """What happened at a step of a replay, on one line; ``now`` is the tree as it is."""
    node = step.node
    fields: Fields = {"type": step.kind, "cursor": step.cursor, "by": step.by, **step.changes}
    if node is None:
        return in_words({**fields, "to": None}, step.version, str)
    fields |= {"node": node.version, "to": node.version}
    message = node.message
    if message is not None:
        fields["message"] = message.to_chat()
    erased = {step.version} if is_erased(node, now) else ()
    return in_words(fields, step.version, lambda _: short_name(node), erased)


def _started(fields: Fields, _name: Naming) -> str:
    title = f" {one_line(fields['title'])!r}" if fields.get("title") else ""
    said = f", with {_said(fields)}" if "message" in fields else ""
    return f"conversation{title} started{said}"


def _added(fields: Fields, name: Naming) -> str:
    return f"{name(fields['version'])} added: {_said(fields)}"


def _said(fields: Fields) -> str:
    message = fields["message"]
    said = Message(message["role"], message.get("content"), tool_calls=message.get("tool_calls"))
    return f"{one_line(said.role)}: {ERASED if fields['erased'] else gist(said)}"


def _moved(fields: Fields, name: Naming) -> str:
    cursor, to, by = fields.get("cursor", "main"), fields["to"], fields.get("by", "move")
    if to is None:
        return f"cursor {one_line(cursor)} taken away"
    back = {"undo": "undo: ", "redo": "redo: "}.get(by, "")
    return f"{back}{one_line(cursor)} moved to {name(to)}"


def _annotated(fields: Fields, name: Naming) -> str:
    told = [words(fields[key]) for key, words in _NOTES.items() if key in fields]
    return f"{name(fields['node'])} {', '.join(told) or 'annotated with what was erased since'}"


def _redacted(fields: Fields, name: Naming) -> str:
    return f"what {name(fields['node'])} said was erased"


def _about(fields: Fields, _name: Naming) -> str:
    told = []
    if "title" in fields:
        told.append("title taken away" if fields["title"] is None else f"title set to {one_line(fields['title'])!r}")
    if "metadata" in fields:
        told.append(_metadata(fields["metadata"]))
    return f"conversation: {', '.join(told)}"


def _metadata(patch: Mapping[str, Any]) -> str:
    return f"metadata changed: {one_line(', '.join(patch)) or 'nothing'}"


_NOTES: dict[str, Callable[[Any], str]] = {
    "label": lambda label: "label taken away" if label is None else f"labelled #{one_line(label)}",
    "rating": lambda rating: "rating taken away" if rating is None else f"rated ★{rating:.3g}",
    "bookmark": lambda on: "bookmarked" if on else "bookmark taken away",
    "hidden": lambda on: "hidden" if on else "shown again",
    "metadata": _metadata,
}

_TELLING: dict[str, Callable[[Fields, Naming], str]] = {
    "conversation-started": _started,
    "node-added": _added,
    "cursor-moved": _moved,
    "node-annotated": _annotated,
    "conversation-annotated": _about,
    "node-redacted": _redacted,
}
