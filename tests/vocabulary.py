"""An earlier vocabulary that never was, to test the machinery of schemas with: versions 0.8.0 and 0.9.0.

In 0.8.0 a message was ``said``: one event that added a node and put the cursor on it; its own version stood in it. Time
stood in milliseconds beside the microseconds of ``at``, and pings were kept. 0.9.0 called a title a ``name``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from branchlog import Registry, Upcaster
from branchlog._core.codec import Codec
from branchlog._core.events import SCHEMA
from branchlog.commit import Commit, Head, genesis, seal

Shape = dict[str, Any]
AT = 1_763_682_452_000_000


def without_pings(event: Shape) -> list[Shape]:
    """0.8.0 to 0.9.0: pings are dropped, and what was said is a node and a move."""
    if event["type"] == "ping":
        return []
    if event["type"] != "said":
        return [event]
    added = {"type": "node-added", "at": event["at"], "parent": event["parent"], "message": event["message"]}
    return [added, {"type": "cursor-moved", "at": event["at"], "to": event["version"]}]


def with_titles(event: Shape) -> list[Shape]:
    """0.9.0 to the present: a conversation's name is its title."""
    return [{"title" if key == "name" else key: value for key, value in event.items()}]


SAID = {"type": "said", "at": AT, "parent": 1, "version": 2, "message": {"role": "user", "content": "a"}}
STEPS = (
    Upcaster(
        "0.8.0",
        "0.9.0",
        without_pings,
        sample=SAID,
        golden=[
            {"type": "node-added", "at": AT, "parent": 1, "message": {"role": "user", "content": "a"}},
            {"type": "cursor-moved", "at": AT, "to": 2},
        ],
    ),
    Upcaster(
        "0.9.0",
        SCHEMA,
        with_titles,
        sample={"type": "conversation-annotated", "at": AT, "name": "Trip"},
        golden=[{"type": "conversation-annotated", "at": AT, "title": "Trip"}],
    ),
)
EARLIER = Registry("the event vocabulary", current=SCHEMA, released=["0.8.0", "0.9.0"], steps=STEPS)
CODEC = Codec(vocabulary=EARLIER)


def started(title: str | None = None) -> Shape:
    """A conversation began, in 0.8.0 and 0.9.0."""
    return {"type": "conversation-started", "at": AT, "name": title}


def said(version: int, parent: int, text: str, **message: Any) -> Shape:
    """Something was said, in 0.8.0."""
    return {**SAID, "at": AT + version, "parent": parent, "version": version,
            "message": {"role": "user", "content": text, **message}}  # fmt: skip


def ping(version: int) -> Shape:
    """Nothing happened, in 0.8.0."""
    return {"type": "ping", "at": AT + version}


def told(name: str) -> Shape:
    """The conversation was named, in 0.8.0 and 0.9.0."""
    return {"type": "conversation-annotated", "at": AT + 1_000, "name": name}


def committed(stream: str, batches: Sequence[tuple[str, Sequence[Shape]]], namespace: str = "") -> list[Commit]:
    """Commits of these schemas and events, one behind the other."""
    head: Head = genesis(namespace, stream)
    commits = []
    for number, (schema, events) in enumerate(batches):
        data = msgspec.json.encode(events)
        id = b"%016d" % (number + 1)
        commits.append(seal(stream, head, count=len(events), id=id, at=AT, schema=schema, data=data))
        head = commits[-1].head
    return commits
