"""Markdown for people: a conversation to read, to print or to put beside other notes. It can be written only.

A message is Markdown itself, as a rule, and must not act beyond its end. What it says stands in a block quote, which
ends whatever it opened: fences, lists, headings. HTML in it and definitions of links are made text, since these would
act on the whole document. Both may stand in code, where they are harmless and a backslash would be seen; so code is
left as it is, but only where no reading of the Markdown could take it for something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from branchlog._core.tree import Node
from branchlog.conversation import Conversation, NodeLike
from branchlog.formats.outline import Join
from branchlog.formats.transcript import (
    Part,
    cursors_by_node,
    facts_of,
    lines,
    moment,
    name_of,
    one_line,
    parts_of,
    role_of,
    shortened,
    title_of,
)

FORMAT = "markdown"
JOIN: Join = "alone"
SUFFIX = ".md"
PATHS = True

GIST_CHARACTERS = 60
"""Characters of a message by which a branch is told."""

ALTERNATIVES_MAX = 10
"""Alternatives of which each one leads to all others."""

ADDRESS_CHARACTERS_MAX = 2_000
"""Characters of an image's address that are written where it is none of the web."""

_MARKUP = re.compile(r"[\\`*_\[\]<>#&~|!$]")
_FENCE = re.compile(r"(`{3,})[^`]*|(~{3,}).*")
_FENCE_ANYWHERE = re.compile(r"[\s>*+\-\d.)]*(`{3}|~{3})")
_BACKTICKS = re.compile("`+")
_UNCERTAIN = ("|", "\\`", "](")
"""What backticks on the same line may belong to instead: a cell, a backtick that is none, the address of a link."""

_WEB = re.compile(r"https?://[^\s<>\\`\"]+", re.IGNORECASE)


def write(chat: Conversation, *, node: NodeLike | None = None) -> str:
    """The whole tree as a Markdown document, or with a node the path to it."""
    cursors = cursors_by_node(chat.tree)
    told = [f"# {escaped(title_of(chat))}"]
    if node is not None:
        for each in chat.path(chat.node(node)):
            told += _message(each, cursors, "##", forks=False)
        return "\n\n".join(told) + "\n"
    forked = bool(chat.tree.forks)
    for number, line in enumerate(lines(chat.tree)):
        if forked:
            told += _branch(line[0]) if number else ["## On show"]
        for each in line:
            told += _message(each, cursors, "###" if forked else "##", forks=forked)
    return "\n\n".join(told) + "\n"


def _branch(first: Node) -> Iterator[str]:
    """What is said above a line that leaves another one."""
    yield f"## Branch {name_of(first)}: alternative {first.position}"
    parent = first.parent
    if parent is not None and parent.message is not None:
        said = escaped(f"{role_of(parent)}: {_gist(parent)}")
        yield f"After [{name_of(parent)}](#n{parent.version}), {said}"


def _gist(node: Node) -> str:
    return next((shortened(part.text, GIST_CHARACTERS) for part in parts_of(node)), "")


def _message(node: Node, cursors: dict[int, list[str]], heading: str, *, forks: bool) -> Iterator[str]:
    """The blocks of a message."""
    if node.message is not None:
        anchor = f'<a id="n{node.version}"></a>' if forks else ""
        yield f"{heading} {anchor}{escaped(role_of(node))}"
        facts = [f"{name_of(node)}", moment(node.added), *map(escaped, facts_of(node, cursors))]
        yield f"*{' · '.join(facts)}*"
        for part in parts_of(node):
            yield from _part(part)
    if forks and node.position.of > 1:
        yield _alternatives(node)


def _alternatives(node: Node) -> str:
    """Where the other answers to the same message are; of many only the one before and the one after."""
    number, of = node.position
    if of <= ALTERNATIVES_MAX:
        others = [_link(each) for each in node.alternatives if each != node]
        return f"Alternative {node.position}; the others: {', '.join(others)}"
    beside = [_link(node.next_door(steps)) for steps in (-1, 1) if 1 <= number + steps <= of]
    return f"Alternative {node.position}; beside it: {', '.join(beside)}"


def _link(node: Node) -> str:
    return f"[{node.ordinal + 1}: {name_of(node)}](#n{node.version})"


def _part(part: Part) -> Iterator[str]:
    if part.kind == "text":
        yield quoted(part.text)
    elif part.kind == "image":
        yield _image(part.text)
    else:
        what = "Calls" if part.kind == "call" else "Holds"
        yield f"{what} {escaped(part.name)}:"
        yield fenced(part.text, "json")


def _image(address: str) -> str:
    """A link to an image; an address that is none of the web is told as text, one that is the image itself counted."""
    if _WEB.fullmatch(address):
        return f"[Image](<{address}>)"
    if len(address) > ADDRESS_CHARACTERS_MAX or address.lower().startswith("data:"):
        return f"Image of {len(address):,} characters, beginning with {code(address.partition(',')[0][:60])}"
    return f"Image {code(address)}"


# Text of others within Markdown.


def escaped(text: str) -> str:
    """A text on one line in which nothing is Markdown."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def code(text: str) -> str:
    """A text on one line as code."""
    line = one_line(text)
    ticks = "`" * (_longest_run(line) + 1)
    return f"{ticks} {line} {ticks}"


def fenced(text: str, language: str = "") -> str:
    """A text as a block of code, between fences that it does not have."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def quoted(text: str) -> str:
    """Markdown of others as a block quote, with nothing in it that acts beyond its end."""
    return "\n".join(f"> {line}".rstrip(" ") if not line.strip(" ") else f"> {line}" for line in _inert(text))


def _inert(text: str) -> Iterator[str]:
    """The lines of a message: HTML and definitions of links are text where they do not stand in code for certain.

    A block of code is certain where its fences are not indented and no other fence came before that might have been
    opened or closed within a list or a quote.
    """
    fence, certain = "", True
    paragraph: list[str] = []
    for line in text.split("\n"):
        opened = _FENCE.fullmatch(line) if certain else None
        if fence:
            yield line
            if re.fullmatch(f" {{0,3}}{re.escape(fence)}{re.escape(fence[0])}*[ \t]*", line):
                fence = ""
        elif opened is not None:
            yield from _without_markup(paragraph)
            paragraph = []
            fence = opened[1] or opened[2]
            yield line
        else:
            certain = certain and not _FENCE_ANYWHERE.match(line)
            paragraph.append(line)
            if not line.strip():
                yield from _without_markup(paragraph)
                paragraph = []
    yield from _without_markup(paragraph)


def _without_markup(paragraph: list[str]) -> Iterator[str]:
    """The lines of a paragraph without HTML and definitions, but for code that begins and ends on one line.

    Where a run of backticks is left over, it may pair with one of a later line, and where something else may have taken
    a backtick, any may be left over: from there on nothing is certain.
    """
    certain = True
    for line in paragraph:
        outside, spans = _spans(line)
        certain = certain and not outside and not any(sign in line for sign in _UNCERTAIN)
        if certain:
            yield "".join(piece if is_code else _as_text(piece) for piece, is_code in spans)
        else:
            yield _as_text(line)


def _as_text(text: str) -> str:
    return text.replace("<", "&lt;").replace("]:", "]\\:")


def _spans(line: str) -> tuple[bool, list[tuple[str, bool]]]:
    """Whether a run of backticks has no partner, and the pieces of a line, each with whether it is code."""
    runs = [(found.start(), found.end()) for found in _BACKTICKS.finditer(line)]
    pieces: list[tuple[str, bool]] = []
    at = number = 0
    while number < len(runs):
        start, end = runs[number]
        same = (later for later in range(number + 1, len(runs)) if runs[later][1] - runs[later][0] == end - start)
        partner = next(same, None)
        if partner is None:
            return True, []
        pieces += [(line[at:start], False), (line[start : runs[partner][1]], True)]
        at, number = runs[partner][1], partner + 1
    return False, [*pieces, (line[at:], False)]
