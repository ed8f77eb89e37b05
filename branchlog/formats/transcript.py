"""What the formats for people share: what is shown of a node, and in which order a tree is told.

A tree is told line by line. A line begins at a node and goes down to a leaf; where it forks, one child goes straight on
and each other one begins a line of its own, told later. The first line is the one on show: from the root by the cursor
``main`` to where a reader comes back to beneath it. Off that line the newest child goes straight on. So each node is
told once, and what is told is never deeper than the list of lines. Nothing here recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, TypeAlias

import attrs
import msgspec

from branchlog._core.events import MAIN
from branchlog._core.message import Json, Message
from branchlog._core.tree import Node, Tree
from branchlog.conversation import Conversation

ERASED = "(erased)"
"""In the place of what a node said before it was redacted."""

UNTITLED = "(no title)"

MODEL_KEYS = ("model", "model_slug", "model_name", "modelName")
"""Under which the formats that are read keep the name of the model."""

MODEL_DEPTH = 4
"""Objects within objects in which a model's name is looked for: the metadata, the format's, and the message's in it."""

PLAIN_DEPTH_MAX = 12
"""Steps from the root down to which a node is named by its id; beneath, its version is shorter."""

BOX_CHARACTERS = 40
"""Characters of a message in a box of a drawing."""

Kind: TypeAlias = Literal["text", "image", "call", "other"]

_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and line end."""

_LINE_ENDS = re.compile("\r\n|\r")
_BLANKS = re.compile(r"\s+")


@attrs.frozen
class Part:
    """A part of what a message says: its text, the address of an image, or JSON with what it is as ``name``."""

    kind: Kind
    text: str
    name: str = ""


def visible(text: str) -> str:
    """The text with line ends as line feeds, and with a sign for each other control character but the tab."""
    return _ACTING.sub(_sign, _LINE_ENDS.sub("\n", text))


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def one_line(text: str) -> str:
    """The text on one line."""
    return visible(_BLANKS.sub(" ", text).strip())


def shortened(text: str, characters: int) -> str:
    """The beginning of a text on one line, with an ellipsis where something was cut."""
    line = one_line(text[: characters * 4])
    return line if len(line) <= characters and len(text) <= characters * 4 else line[: characters - 1].rstrip() + "…"


def parts_of(node: Node) -> Iterator[Part]:
    """What a node says, part by part; nothing of a root without message."""
    message = node.message
    if message is None:
        return
    if node.redacted:
        yield Part("text", ERASED)
        return
    if isinstance(message.content, str):
        if message.content:
            yield Part("text", visible(message.content))
    else:
        yield from map(_part, message.content or ())
    for call in message.tool_calls or ():
        yield _call(call)


def _part(part: dict[str, Json]) -> Part:
    kind, text = part.get("type"), part.get("text")
    if kind in ("text", "input_text", "output_text") and isinstance(text, str):
        return Part("text", visible(text))
    image = part.get("image_url")
    address = image.get("url") if isinstance(image, dict) else image
    if kind in ("image_url", "input_image") and isinstance(address, str):
        return Part("image", visible(address))
    return Part("other", json_text(part), one_line(str(kind)))


def _call(call: dict[str, Json]) -> Part:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return Part("call", json_text(call), "a tool")
    return Part("call", _arguments(function.get("arguments")), one_line(function["name"]))


def _arguments(arguments: Json) -> str:
    """Arguments, which the chat APIs have as the text of a JSON object; other text stays as it is."""
    if not isinstance(arguments, str):
        return json_text(arguments)
    try:
        return json_text(msgspec.json.decode(arguments))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return visible(arguments)


def json_text(value: Json) -> str:
    """A value as JSON over several lines."""
    return visible(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def gist(node: Node, characters: int) -> str:
    """What a node says, on one short line."""
    message = node.message
    if message is None:
        return ""
    if node.redacted:
        return ERASED
    text = message.text.strip()
    if text:
        return shortened(text, characters)
    return shortened(", ".join(_mention(part) for part in parts_of(node)), characters)


def _mention(part: Part) -> str:
    return {"call": f"{part.name}()", "image": "image"}.get(part.kind, part.name)


def title_of(chat: Conversation) -> str:
    """The title on one line."""
    return one_line(chat.tree.title or "") or UNTITLED


def name_of(node: Node) -> str:
    """A short expression for a node."""
    return (node.id or "root") if node.depth <= PLAIN_DEPTH_MAX else f":{node.version}"


def moment(at: datetime) -> str:
    """A time as people read it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def role_of(node: Node) -> str:
    """Who says it, with the name where there is one."""
    message = node.message
    if message is None:
        return "root"
    return f"{message.role} ({one_line(message.name)})" if message.name and not node.redacted else message.role


def facts_of(node: Node, cursors: dict[int, list[str]]) -> Iterator[str]:
    """What is known of a node beside what it says: model, what it answers, rating, label, bookmark, hiding, cursors."""
    message = node.message
    if message is not None and not node.redacted:
        model = model_of(message)
        if model:
            yield f"model {model}"
        if message.tool_call_id:
            yield f"answers {one_line(message.tool_call_id)}"
    yield from marks_of(node)
    for cursor in cursors.get(node.index, ()):
        yield f"cursor {one_line(cursor)}"


def marks_of(node: Node) -> Iterator[str]:
    """What people said about a node."""
    if node.rating is not None:
        yield f"rated {node.rating:g} of 5"
    if node.label is not None:
        yield f"label {one_line(node.label)}"
    if node.bookmark:
        yield "bookmark"
    if node.hidden:
        yield "hidden"


def model_of(message: Message) -> str | None:
    """The model that a message says it comes from: the name nearest to the top of its metadata."""
    level: list[Any] = [message.metadata]
    for _ in range(MODEL_DEPTH):
        for each in level:
            for key in MODEL_KEYS:
                if isinstance(each.get(key), str) and each[key].strip():
                    return shortened(each[key], 100)
        level = [inner for each in level for inner in each.values() if isinstance(inner, dict)]
    return None


def cursors_by_node(tree: Tree) -> dict[int, list[str]]:
    """The names of the cursors, by the index of the node that they stand on."""
    names: dict[int, list[str]] = {}
    for name, node in sorted(tree.cursors.items()):
        names.setdefault(node.index, []).append(name)
    return names


def line_on_show(tree: Tree) -> tuple[Node, ...]:
    """The nodes from the root by the cursor ``main``, where there is one, to a leaf."""
    cursors = tree.cursors
    return tree.remembered(cursors.get(MAIN, tree.root)).path


def lines(tree: Tree) -> Iterator[tuple[Node, ...]]:
    """All lines of a tree, the one on show first; each other one after the line it leaves, nearest to the top first."""
    first = line_on_show(tree)
    yield first
    waiting = _leaving(first)
    while waiting:
        node = waiting.pop()
        line = [node]
        while count := line[-1].child_count:
            line.append(line[-1].child(count - 1))
        yield tuple(line)
        waiting += _leaving(tuple(line))


def _leaving(line: tuple[Node, ...]) -> list[Node]:
    """The nodes where other lines leave this one, the last first: so that the first is popped first."""
    on_line = {node.index for node in line}
    return [
        child
        for node in reversed(line)
        if node.child_count > 1
        for child in reversed(node.children)
        if child.index not in on_line
    ]


# Drawings.


def box_of(node: Node) -> str:
    """What a drawing says of a node, on one line."""
    said = gist(node, BOX_CHARACTERS)
    marks = ", ".join(marks_of(node))
    text = f"{name_of(node)} {role_of(node)}" if node.message is not None else name_of(node)
    return one_line(f"{text}{f' ({marks})' if marks else ''}{f': {said}' if said else ''}")


def path_on_show(chat: Conversation) -> tuple[Node, ...]:
    """The nodes to the cursor ``main``; none where there is no such cursor."""
    cursor = chat.tree.cursors.get(MAIN)
    return () if cursor is None else cursor.path
