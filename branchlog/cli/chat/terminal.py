"""The chat on a terminal, by prompt_toolkit: a prompt of several lines, replies as they come, the tree to pick from.

While a prompt waits, what others say is shown above it. While a reply arrives there is no prompt: what is typed then
waits for the next one, and Ctrl-C stops the reply.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from rich.text import Text

from branchlog.cli.chat.commands import is_command
from branchlog.cli.chat.completing import Known, completions
from branchlog.cli.chat.picking import Picking
from branchlog.cli.chat.talk import Outcome, Talk
from branchlog.cli.drawing import styled
from branchlog.cli.output import one_line, shortened, write_lines
from branchlog.errors import BranchlogError
from branchlog.exporting import FORMATS

LOOK_SECONDS = 0.25
"""How often it is looked what others have said."""

ESCAPE_SECONDS = 0.1
"""How long a key that may be the beginning of a longer one is waited with."""

_TURNING = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
TURNED = "\ufffd"

PROMPT = "> "
PAGE = 10

STYLE = Style.from_dict({"bottom-toolbar": "noreverse fg:ansibrightblack", "prompt": "bold"})


class TerminalScreen:
    """The terminal, while no prompt is there."""

    def lines(self, lines: Iterable[Text]) -> None:
        """As ``Screen.lines``."""
        write_lines(lines)

    def piece(self, text: str) -> None:
        """As ``Screen.piece``."""
        click.echo(text, nl=False)
        sys.stdout.flush()

    def problem(self, text: str) -> None:
        """As ``Screen.problem``."""
        write_lines([Text(f"error: {text}", style="red")])


async def run_terminal(talk: Talk) -> None:
    """Talk until somebody leaves."""
    write_lines(await talk.opening())
    try:
        with _stoppable(talk):
            await _talking(talk, _prompting(talk))
    finally:
        await talk.close()
    if talk.chat.saved_version:
        write_lines([Text(f"'branchlog chat {one_line(talk.chat.id)}' goes on.", style="dim")])


async def _talking(talk: Talk, prompting: PromptSession[str]) -> None:
    prefill = ""
    while (text := await _typed(talk, prompting, prefill)) is not None:
        with _unechoed():
            outcome = await talk.take(_whole(text))
        if outcome.pick:
            outcome = await _picked(talk)
        if outcome.leave:
            return
        prefill = outcome.prefill


def _whole(text: str) -> str:
    """The text, with what the terminal sent that is no character replaced."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# The prompt.


def _prompting(talk: Talk) -> PromptSession[str]:
    return PromptSession(
        PROMPT,
        multiline=True,
        key_bindings=_keys(),
        completer=_Completer(talk),
        complete_while_typing=False,
        bottom_toolbar=lambda: shortened(talk.status(), max(_columns() - 1, 1)),
        prompt_continuation=lambda width, _number, _wrapped: " " * width,
        style=STYLE,
        color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
        reserve_space_for_menu=4,
        input_processors=[_Visible()],
    )


class _Visible(Processor):
    """Lets nothing that is edited turn the direction of text; prompt_toolkit shows other control characters itself."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """A sign in the place of each such character."""
        fragments = [(style, _TURNING.sub(TURNED, text)) for style, text, *_ in transformation_input.fragments]
        return Transformation(list(fragments))


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 80


async def _typed(talk: Talk, prompting: PromptSession[str], prefill: str) -> str | None:
    """What is typed at the prompt; None where somebody leaves. What others say meanwhile is shown above it."""
    async with _looking(talk):
        try:
            return await prompting.prompt_async(default=prefill, handle_sigint=False)
        except EOFError:
            return None


@asynccontextmanager
async def _looking(talk: Talk) -> AsyncIterator[None]:
    """Show what others say, above the prompt, for as long as it is there."""
    over = asyncio.Event()
    watching = asyncio.ensure_future(_watch(talk, over))
    try:
        yield
    finally:
        over.set()  # and not cancelled: what it has found already is to be shown
        await watching


async def _watch(talk: Talk, over: asyncio.Event) -> None:
    told = ""
    while not over.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_SECONDS)
        try:
            lines, problem = await talk.look(), ""
        except BranchlogError as error:
            problem = one_line(str(error))
            lines = [] if problem == told else [Text(f"error: {problem}", style="red")]
        told = problem
        if lines:
            await run_in_terminal(partial(write_lines, lines))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~has_completions)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("enter", filter=has_completions)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        chosen = buffer.complete_state is not None and buffer.complete_state.current_completion is not None
        buffer.complete_state = None
        if not chosen:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    @keys.add("tab", filter=Condition(_types_no_command))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("    ")

    return keys


def _types_no_command() -> bool:
    from prompt_toolkit.application import get_app

    return not is_command(get_app().current_buffer.text)


class _Completer(Completer):
    """Words for the command that is being typed."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002 - prompt_toolkit's signature
        """What fits behind the text before the cursor."""
        known = Known(tree=self._talk.chat.tree, models=self._talk.models, formats=FORMATS)
        begun, found = completions(document.text_before_cursor, known)
        for each in found:
            yield Completion(each.word, start_position=-len(begun), display_meta=each.about)


# While a reply arrives.


@contextmanager
def _stoppable(talk: Talk) -> Iterator[None]:
    """Let Ctrl-C stop the reply that is arriving, and do nothing where none is."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, talk.stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def _unechoed() -> Iterator[None]:
    """Let what is typed meanwhile wait for the next prompt, and not be written into the reply."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = termios.tcgetattr(descriptor)
    quiet[0] &= ~termios.ICRNL
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    quiet[3] |= termios.NOFLSH  # else Ctrl-C would take away what was typed before it
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


# The tree.


async def _picked(talk: Talk) -> Outcome:
    """Let a node be picked from the tree, and go there."""
    picking = Picking.of(talk.tree, talk.chat.tree, talk.cursor)
    node = await _application(_Pick(picking, may_go=talk.moment is None)).run_async(handle_sigint=False)
    if node is None:
        return Outcome()
    return await talk.take(f"/goto :{node}")


class _Pick:
    """The tree on the whole screen: the keys, and what is drawn."""

    def __init__(self, picking: Picking, *, may_go: bool) -> None:
        self.picking = picking
        self.may_go = may_go

    def text(self) -> StyleAndTextTuples:
        """All lines, the picked one reversed; the window shows the part around it."""
        columns = max(_columns() - 1, 1)
        fragments: StyleAndTextTuples = []
        for number, line in enumerate(self.picking.lines):
            plain = shortened(styled(line, columns).plain, columns)
            if number == self.picking.picked:
                fragments.append(("[SetCursorPosition]", ""))
            style = "reverse" if number == self.picking.picked else "bold" if line.on_show else ""
            fragments.append((style, plain + "\n"))
        return fragments

    def footer(self) -> str:
        """What the keys do."""
        keys = "arrows move, Enter goes there, Esc leaves" if self.may_go else "the past, to look at only: Esc leaves"
        return shortened(keys, max(_columns() - 1, 1))


def _application(pick: _Pick) -> Application[int | None]:
    keys = KeyBindings()

    def moving(*names: str, by: int) -> None:
        for name in names:

            @keys.add(name)
            def _(_event: KeyPressEvent) -> None:
                pick.picking = pick.picking.moved(by)

    moving("up", "k", by=-1)
    moving("down", "j", by=1)
    moving("pageup", by=-PAGE)
    moving("pagedown", by=PAGE)
    moving("home", by=-len(pick.picking.lines))
    moving("end", by=len(pick.picking.lines))

    @keys.add("left")
    def _(_event: KeyPressEvent) -> None:
        pick.picking = pick.picking.up()

    @keys.add("right")
    def _(_event: KeyPressEvent) -> None:
        pick.picking = pick.picking.down()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(result=pick.picking.node.version if pick.may_go else None)

    for name in ("escape", "q", "c-c", "c-d"):

        @keys.add(name)
        def _(event: KeyPressEvent) -> None:
            event.app.exit(result=None)

    return _framed(pick, keys)


def _framed(pick: _Pick, keys: KeyBindings) -> Application[int | None]:
    from prompt_toolkit.layout import HSplit

    tree = Window(FormattedTextControl(pick.text, focusable=True, show_cursor=False), wrap_lines=False)
    footer = Window(FormattedTextControl(pick.footer), height=1, style="fg:ansibrightblack")
    application: Application[int | None] = Application(
        layout=Layout(HSplit([tree, footer]), focused_element=tree),
        key_bindings=keys,
        full_screen=True,
        style=STYLE,
        color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
    )
    application.ttimeoutlen = ESCAPE_SECONDS
    return application
