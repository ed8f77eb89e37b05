"""The command that steps through what happened: ``replay``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import attrs
import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

import branchlog
from branchlog.cli.drawing import Line, messages, node_notes, role_and_gist, short_name, styled
from branchlog.cli.finding import conversation_id, existing
from branchlog.cli.options import MomentType, Place, json_option
from branchlog.cli.output import console, is_terminal, json_text, moment, shortened, width, write_lines
from branchlog.cli.reading import node_json
from branchlog.cli.wording import step_in_words
from branchlog.cli.writing import on_conversation

ON_SHOW = 3
"""Messages of the path that are written beneath each step where all steps are written one after the other."""

ROWS_MAX = 15
"""Messages of the path on a screen: the eye finds what changed among so many."""

LINES_BESIDE = 7
"""Lines of a screen that are not these: what happened, what is above, what changed elsewhere, the keys, and blanks."""

KEYS = "Enter next · b back · q quit"

KEY_BYTES = 32
"""What is read at once: more than any key sends."""

NEXT = frozenset({"\r", "\n", " ", "n", "\x1b[C", "\x1b[B"})
"""Enter, space, n, and the arrows to the right and downwards."""

BACK = frozenset({"b", "\x7f", "\x08", "\x1b[D", "\x1b[A"})
"""b, the backspace key, and the arrows to the left and upwards."""

QUIT = frozenset({"q", "\x1b", "\x04"})
"""q, the escape key and the end of the input."""


@attrs.frozen
class Scene:
    """A step, and the tree as it is now: what was erased since is not shown at any step."""

    step: branchlog.Step
    now: branchlog.Tree

    def title(self, columns: int) -> Text:
        """What happened, on one line."""
        line = Text().append(f"{self.step.version:>5}", "cyan").append(f"  {moment(self.step.at)}  ", "dim")
        return line.append(shortened(step_in_words(self.step, self.now), max(columns - len(line.plain), 30)), "bold")

    def on_show(self, rows: int) -> Iterator[Line]:
        """The last messages of the path that was on show then, and what changed beside it."""
        tree, changed = self.step.tree, self.step.node
        here = tree.cursor
        path = last_of_path(here, rows)
        if path[0].depth:
            yield Line(text=f"{messages(path[0].depth)} above", on_show=True)
        for node in path:
            yield self.line(node, on_show=True)
        if changed is not None and not here.is_under(changed):
            above = changed.parent
            yield self.line(changed, rails="├─" if above is not None and above in path else "  ")

    def line(self, node: branchlog.Node, *, rails: str = "", on_show: bool = False) -> Line:
        """One message as a line."""
        cursors = self.step.tree.cursors
        standing = [name for name, at in cursors.items() if at == node]
        role, text = role_and_gist(node, self.now)
        return Line(
            rails=rails,
            node=node,
            name=short_name(node),
            notes=node_notes(node, standing, node.position.of),
            role=role,
            text=text,
            on_show=on_show,
            at_cursor=node == cursors["main"],
        )

    def lines(self, rows: int, columns: int, indent: str = "") -> Iterator[Text]:
        """What is on show as text, the changed node marked."""
        for line in self.on_show(rows):
            text = Text(indent) + styled(line, columns - len(indent))
            if line.node is not None and line.node == self.step.node:
                text.stylize("reverse", len(indent), len(indent) + len(line.rails) + 1)
            yield text

    def to_json(self) -> dict[str, Any]:
        """The step as a plain dict."""
        step = self.step
        return {
            "version": step.version,
            "at": step.at.isoformat(),
            "kind": step.kind,
            "node": None if step.node is None else node_json(step.node, self.now),
            "cursor": step.cursor,
            "by": step.by,
            "changes": step.changes,
            "nodes": len(step.tree),
            "cursors": {name: node.version for name, node in step.tree.cursors.items()},
        }


def last_of_path(node: branchlog.Node, count: int) -> list[branchlog.Node]:
    """The last nodes of the path to a node, in order, however long it is."""
    path = [node]
    while len(path) < count and (above := path[-1].parent) is not None:
        path.append(above)
    return path[::-1]


@on_conversation("replay", example="replay 0193 --speed 2")
@click.argument("start", metavar="[START]", type=MomentType(), default=1)
@click.argument("stop", metavar="[STOP]", type=MomentType(), required=False)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=0,
    metavar="STEPS",
    help="Go on by itself, so many steps a second; 0 waits for a key on a terminal, and not at all in a pipe.",
)
@json_option
def replay_command(
    place: Place,
    conversation: str,
    start: int | datetime,
    stop: int | datetime | None,
    speed: float,
    as_json: bool,
) -> None:
    """Step through what happened.

    From START to STOP, both versions or times; from the beginning to now without them. Each step is told in words,
    with the end of what was on show then, and what changed where that is not on show.

    On a terminal: Enter or space goes on, b goes back, q ends. With --json: JSON Lines, one object for each step.
    """
    with existing(place) as store:
        chat = store.load(conversation_id(store, conversation))
        first = chat.at(start).version
        last = chat.version if stop is None else chat.at(stop).version
        if last < first:
            raise click.UsageError(f"START is version {first}, which is after STOP, version {last}.")
        show = Show(chat, first, last)
        if as_json:
            for scene in paced(show.scenes(), speed):
                click.echo(json_text(scene.to_json()))
        elif speed or not (is_terminal() and is_terminal(sys.stdin)):
            for scene in paced(show.scenes(), speed):
                write_lines([scene.title(width()), *scene.lines(ON_SHOW, width(), "       ")])
        else:
            by_keys(show)


@attrs.frozen
class Show:
    """The steps of a conversation from one version to another."""

    chat: branchlog.Conversation
    first: int
    last: int

    def scenes(self) -> Iterator[Scene]:
        """All steps, in order."""
        now = self.chat.tree
        return (Scene(step, now) for step in self.chat.replay(self.first, self.last))

    def scene(self, version: int) -> Scene:
        """The step of one version."""
        return Scene(next(self.chat.replay(version, version)), self.chat.tree)


def paced(scenes: Iterator[Scene], speed: float) -> Iterator[Scene]:
    """The steps, so many a second; all at once for a speed of 0."""
    for number, scene in enumerate(scenes):
        if speed and number:
            time.sleep(1 / speed)
        yield scene


def by_keys(show: Show) -> None:
    """Step through on a terminal, a step for each key, each in the place of the one before."""
    screen, version = console(), show.first
    with key_by_key() as read, Live(console=screen, auto_refresh=False) as live:
        put(live, show, version, KEYS)
        for key in keys(read):
            if key in QUIT or (key in NEXT and version == show.last):
                break
            version += 1 if key in NEXT else -1 if key in BACK and version > show.first else 0
            put(live, show, version, KEYS)
        put(live, show, version)


def put(live: Live, show: Show, version: int, keys: str = "") -> None:
    """Put a step on the screen; a terminal that can only write on gets it beneath what is there, and once."""
    screen = live.console
    rows = min(max(screen.height - LINES_BESIDE, ON_SHOW), ROWS_MAX)
    scene = show.scene(version)
    lines = [scene.title(screen.width), Text(), *scene.lines(rows, screen.width)]
    lines += [Text(), Text(f"{version:,} of {show.last:,} · {keys}", style="dim")] if keys else []
    if not screen.is_dumb_terminal:
        live.update(Group(*map(cropped, lines)), refresh=True)
    elif keys:
        write_lines(lines)


def cropped(line: Text) -> Text:
    """A line that is never wrapped."""
    line.no_wrap, line.overflow = True, "crop"
    return line


def keys(read: Callable[[], str]) -> Iterator[str]:
    """The keys as they are pressed, until the input ends; one that sends several characters is one key."""
    while text := read():
        yield from [text] if text.startswith("\x1b") else text


@contextmanager
def key_by_key() -> Iterator[Callable[[], str]]:
    """Let the terminal give each key at once, without showing it, as long as this lasts: no key is lost meanwhile."""
    try:
        import termios
        import tty
    except ImportError:
        yield click.getchar  # Windows gives keys like this by itself
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    try:
        yield lambda: os.read(terminal, KEY_BYTES).decode(errors="replace")
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
