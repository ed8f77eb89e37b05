"""The chat itself, without a terminal: what was typed in, what is to be shown out, and the conversation in between.

Whatever is said or done is saved before anything else happens. What others do to the same conversation is seen by
``look``, and by every save, which puts what is ours on top of what is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import click
from rich.text import Text

import branchlog
from branchlog.cli.asking import attempt_line, awaited, lag, question_at
from branchlog.cli.chat.commands import ALTERNATIVES, COMMANDS, Asked, helping, read
from branchlog.cli.comparing import said, side_by_side
from branchlog.cli.drawing import role_and_gist, short_name
from branchlog.cli.finding import Refused
from branchlog.cli.options import MomentType
from branchlog.cli.output import harmless, moment, one_line, shortened, width
from branchlog.cli.reading import reading
from branchlog.errors import AlreadyExists, BranchlogError, ResponderError
from branchlog.exporting import FORMATS, export_one, formats_of, written

if TYPE_CHECKING:
    from branchlog.explore import Responder, Streaming, Unfinished

SHOWN_MAX = 6
"""Messages of an old conversation that are shown when it is opened, and of a moment of the past."""

GIST_WIDTH = 60
"""Columns of a message that is only mentioned."""


class Screen(Protocol):
    """Where a chat shows itself."""

    def lines(self, lines: Iterable[Text]) -> None:
        """Show these lines."""

    def piece(self, text: str) -> None:
        """Show some more of a reply as it comes; the text is harmless."""

    def problem(self, text: str) -> None:
        """Show what went wrong, in one line."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What is to follow: the end of the chat, a prompt that begins with a text, the tree to pick from."""

    leave: bool = False
    prefill: str = ""
    pick: bool = False


NOTHING = Outcome()


class Passing:
    """A reply on its way to the screen: made harmless, also where a line end is split, and ended by a line end."""

    def __init__(self) -> None:
        self._held = ""
        self._last = "\n"

    def take(self, text: str) -> str:
        """What may be shown now."""
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        shown = harmless(text.removesuffix("\r") if self._held else text)
        self._last = shown[-1:] or self._last
        return shown

    def end(self) -> str:
        """What is to be shown at the end."""
        shown = harmless(self._held)
        return shown if (shown or self._last).endswith("\n") else shown + "\n"


class Talk:
    """A chat on one conversation. ``take`` is given what is typed, ``stop`` ends the reply that is arriving."""

    def __init__(
        self,
        store: branchlog.Store,
        chat: branchlog.Conversation,
        screen: Screen,
        responders: Sequence[Responder],
        *,
        cursor: str = "main",
        make: Callable[[str], Sequence[Responder]] | None = None,
    ) -> None:
        """Talk in this conversation. ``make`` gives the responders of the model that ``/model`` names."""
        self.store = awaited(store)
        self.chat = chat
        self.screen = screen
        self.responders = list(responders)
        self.cursor = cursor
        self.moment: int | datetime | None = None
        self.editing: str | None = None
        self.failures = 0
        self._sync = store
        self._make = make
        self._models = {each.name: [each] for each in responders}
        self._turn = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None
        self._stopped = False
        self._told = len(chat.tree)
        self._own: set[int] = set()
        self._place = self.here.version

    # What there is to see.

    @property
    def here(self) -> branchlog.Node:
        """Where the cursor stands, at the moment that is looked at."""
        if self.moment is None:
            return self.chat.node("@", cursor=self.cursor)
        tree = self.tree
        return tree.cursors.get(self.cursor, tree.root)

    @property
    def tree(self) -> branchlog.Tree:
        """The tree, at the moment that is looked at."""
        return self.chat.tree if self.moment is None else self.chat.at(self.moment)

    @property
    def models(self) -> tuple[str, ...]:
        """The names that ``/model`` knows without being told more."""
        return tuple(self._models)

    def status(self) -> str:
        """Where one is, on one line."""
        here = self.here
        parts = [short_name(here) + (f" {numbered(here)}" if here.position.of > 1 else "")]
        parts += [f"editing {self.editing}"] if self.editing is not None else []
        parts += [f"as it was at {_when(self.moment)}: /at comes back"] if self.moment is not None else []
        parts.append(", ".join(each.name for each in self.responders))
        parts.append(self.chat.title or self.chat.id)
        return one_line(" · ".join(parts))

    async def opening(self) -> list[Text]:
        """What is shown at the beginning: the end of the conversation, and what was left unfinished."""
        lines = list(self._ending())
        if not lines:
            lines = [Text("A new conversation. /help lists the commands, Ctrl-D leaves.", style="dim")]
        if self.chat.saved_version:
            lines += [_left_line(each) for each in await self._unfinished()]
        return lines

    def _ending(self) -> Iterator[Text]:
        """The last messages on the way to the cursor."""
        tree = self.tree
        path = [node for node in self.here.path if node.message is not None]
        if len(path) > SHOWN_MAX:
            yield Text(f"… {len(path) - SHOWN_MAX:,} messages before; /tree has them", style="dim")
        yield from reading(path[-SHOWN_MAX:], tree.cursors, self.chat.tree)

    def _whereabouts(self, node: branchlog.Node) -> Text:
        role, text = role_and_gist(node, self.chat.tree)
        line = Text("at ", style="dim").append(short_name(node), "cyan")
        line.append(f" {numbered(node)}" if node.position.of > 1 else "", "yellow")
        if role:
            line.append(f"  {one_line(role)}: ", "magenta")
            line.append(shortened(text, max(width() - len(line.plain), 20)), "default")
        return line

    # What is typed.

    async def take(self, text: str) -> Outcome:
        """Carry out what was typed; whatever goes wrong is shown in one line."""
        async with self._turn:
            try:
                return await self._carried_out(text)
            except click.ClickException as error:
                self._problem(error.message)
            except BranchlogError as error:
                unsaved = "; it is not saved yet, and is with what comes next" if self.chat.pending else ""
                self._problem(f"{error}{unsaved}")
            finally:
                self.screen.lines(self._arrived())
            return NOTHING

    async def _carried_out(self, text: str) -> Outcome:
        meant = read(text)
        editing, self.editing = self.editing, None
        if meant is None:
            if editing is not None:
                self.screen.lines([Text(f"{editing} stays as it is", style="dim")])
            return NOTHING
        if self.moment is not None and not (isinstance(meant, Asked) and _looks(meant)):
            self._problem("this is the past, to look at only: /at comes back, /goto goes on from a node")
            return Outcome(prefill=text)
        if isinstance(meant, Asked):
            doing: Callable[[Asked], Coroutine[Any, Any, Outcome | None]] = getattr(self, f"_{meant.command.name}")
            return await doing(meant) or NOTHING
        await self._say(meant.text, editing)
        return NOTHING

    async def _say(self, text: str, editing: str | None) -> None:
        chat, cursor = self.chat, self.cursor
        said = chat.say("user", text, cursor=cursor) if editing is None else chat.edit(editing, text, cursor=cursor)
        await self._save(said)
        await self._reply(said)

    def stop(self) -> bool:
        """End the reply that is arriving, and keep what has come; whether there was one."""
        if self._work is None:
            return False
        self._stopped = True
        self._work.cancel()
        return True

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Wait for some work; whether it came to its end without being stopped."""
        self._stopped = False
        self._work = asyncio.ensure_future(work)
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            self._work = None
        return not self._stopped

    def _problem(self, text: str) -> None:
        self.failures += 1
        self.screen.problem(one_line(text))

    async def _save(self, *own: branchlog.Node) -> None:
        await self.store.save(self.chat)
        self._own.update(node.version for node in own)
        self._place = self.here.version

    # Replies.

    async def _reply(self, under: branchlog.Node, *, go: bool = False) -> None:
        """Have a node answered, and show it as it comes. ``go``: the cursor goes to the reply from anywhere."""
        from branchlog.explore import stream

        cursor = None if go else self.cursor
        streaming = stream(
            self.store, self.chat, self.responders[0], under=under, cursor=cursor, lag_seconds=lag(self.store)
        )
        await self._shown(streaming)
        if go and streaming.node is not None:
            self.chat.move(streaming.node, cursor=self.cursor)
            await self._save()
        if streaming.node is not None:
            self.screen.lines([attempt_line(streaming.node, streaming.responder.name, self.chat, shown=True)])

    async def _shown(self, streaming: Streaming) -> None:
        """Show a reply as it comes, to its end or as far as it gets."""
        passing = Passing()

        async def work() -> None:
            async with streaming as pieces:
                async for text in pieces:
                    self.screen.piece(passing.take(text))

        ended, failed = True, None
        try:
            ended = await self._until_stopped(work())
        except ResponderError as error:
            failed = error
        finally:
            self.screen.piece(passing.end())
        await self._tell_end(streaming, failed, stopped=not ended)

    async def _tell_end(self, streaming: Streaming, failed: ResponderError | None, *, stopped: bool) -> None:
        if streaming.node is not None:
            self._own.add(streaming.node.version)
            self._place = self.here.version
        if failed is not None:
            if streaming.node is None:
                from branchlog.explore.alternatives import mark_failed

                await mark_failed(self.store, self.chat, streaming, failed)
            self._problem(f"{failed}; the question is kept: /regenerate asks again")
        elif stopped:
            kept = "what had come is kept" if streaming.node is not None else "nothing had come"
            self.screen.lines([Text(f"stopped: {kept}; /regenerate asks again", style="yellow")])

    async def _regenerate(self, _asked: Asked) -> None:
        await self._reply(question_at(self.here), go=True)

    async def _alternatives(self, asked: Asked) -> None:
        """Ask for several replies at once; from the question itself one goes to the first of them."""
        from branchlog.explore import explore

        count, question = asked.number(ALTERNATIVES), question_at(self.here)
        found: list[branchlog.Node] = []

        async def work() -> None:
            exploring = explore(
                self.store, self.chat, self.responders, under=question, n=count, lag_seconds=lag(self.store)
            )
            async with aclosing(exploring) as attempts:  # type: ignore[type-var]  # it is a generator
                async for attempt in attempts:
                    if attempt.node is not None:
                        self._own.add(attempt.node.version)
                        found.append(attempt.node)
                        self.screen.lines([attempt_line(attempt.node, attempt.responder, self.chat, shown=False)])
                    if attempt.error is not None:
                        self._problem(str(attempt.error))

        if not await self._until_stopped(work()):
            self.screen.lines([Text("stopped: what was complete is kept", style="yellow")])
        if found and self.here == question:
            self.chat.move(found[0], cursor=self.cursor)
            await self._save()
        if found:
            self.screen.lines([Text("/next and /prev go through them, /compare compares them", style="dim")])

    async def _unfinished(self) -> list[Unfinished]:
        """The replies that began and did not end."""
        from branchlog.explore import unfinished

        return list(await unfinished(self.store, self.chat)) if self.store.abilities.drafts else []

    async def _left(self) -> Unfinished:
        """The first of them whose process is gone."""
        gone = [each for each in await self._unfinished() if not each.arriving]
        if not gone:
            raise Refused("no reply was left unfinished")
        return gone[0]

    async def _keep(self, _asked: Asked) -> None:
        from branchlog.explore import keep

        node = await keep(self.store, self.chat, await self._left(), cursor=self.cursor)
        self._own.add(node.version)
        self._place = self.here.version
        self.screen.lines(reading([node], self.chat.cursors, self.chat.tree))

    async def _continue(self, _asked: Asked) -> None:
        from branchlog.explore import go_on

        left = await self._left()
        self.screen.piece(harmless(left.text))
        streaming = go_on(
            self.store, self.chat, left, self.responders[0], cursor=self.cursor, lag_seconds=lag(self.store)
        )
        await self._shown(streaming)
        if streaming.node is not None:
            self.screen.lines([attempt_line(streaming.node, streaming.responder.name, self.chat, shown=True)])

    async def _drop(self, _asked: Asked) -> None:
        from branchlog.explore import drop

        left = await self._left()
        await drop(self.store, self.chat, left)
        self.screen.lines([Text(f"forgotten: {shortened(one_line(left.text), GIST_WIDTH)}", style="dim")])

    # Going about.

    async def _next(self, _asked: Asked) -> None:
        await self._next_door(1)

    async def _prev(self, _asked: Asked) -> None:
        await self._next_door(-1)

    async def _next_door(self, steps: int) -> None:
        here = self.here
        if here.position.of < 2:
            raise Refused("this is the only one; /alternatives asks for more, /back goes to before it")
        if not 0 <= here.ordinal + steps < here.position.of:
            raise Refused(f"this is the {'last' if steps > 0 else 'first'} of {here.position.of}")
        door = here.next_door(steps)
        step = self.chat.next_alternative if steps > 0 else self.chat.previous_alternative
        beneath = step(here, cursor=self.cursor)
        await self._save()
        self.screen.lines([Text(numbered(door), style="bold")])
        self.screen.lines(reading(beneath.path[door.depth :], self.chat.cursors, self.chat.tree))

    async def _back(self, asked: Asked) -> None:
        asking = [node for node in self.here.path if (message := node.message) is not None and message.role == "user"]
        count = asked.number(1)
        if count > len(asking):
            raise Refused(f"there is nothing further back: {len(asking)} asked so far")
        question, before = asking[-count], asking[-count].parent
        if before is None:
            raise Refused("there is nothing further back: the conversation begins here")
        self.chat.move(before, cursor=self.cursor)
        await self._save()
        gist = shortened(role_and_gist(question)[1], GIST_WIDTH)
        beside = Text(f"what you say now stands beside: {gist}", style="dim")
        self.screen.lines([self._whereabouts(before), beside])

    async def _undo(self, _asked: Asked) -> None:
        self.chat.undo(cursor=self.cursor)
        await self._went()

    async def _redo(self, _asked: Asked) -> None:
        self.chat.redo(cursor=self.cursor)
        await self._went()

    async def _went(self) -> None:
        await self._save()
        self.screen.lines([self._whereabouts(self.here)])

    async def _tree(self, _asked: Asked) -> Outcome:
        return Outcome(pick=True)

    async def _goto(self, asked: Asked) -> None:
        await self.go(asked.rest)

    async def go(self, expression: str) -> None:
        """Put the cursor on a node, and come back from the past."""
        node = self.chat.move(expression, cursor=self.cursor)
        self.moment = None
        await self._save()
        self.screen.lines([*reading([node], self.chat.cursors, self.chat.tree)] or [self._whereabouts(node)])

    async def _at(self, asked: Asked) -> None:
        if not asked.words:
            self.moment = None
            self.screen.lines([Text("back in the present", style="dim"), self._whereabouts(self.here)])
            return
        moment: int | datetime = MomentType().convert(asked.rest, None, None)
        self.chat.at(moment)  # raises where it never was
        self.moment = moment
        self.screen.lines([*self._ending(), Text(self._about_the_past(moment), style="yellow")])

    def _about_the_past(self, moment: int | datetime) -> str:
        exact = moment if isinstance(moment, int) else moment.isoformat()
        sign = "@" if self.cursor == "main" else f"{self.cursor}@"
        return (
            f"This is how it was at {_when(moment)}, to look at only: /at comes back, "
            f"/goto {sign}{{{exact}}} goes on from here."
        )

    async def _edit(self, asked: Asked) -> Outcome | None:
        question = question_at(self.here)
        message = question.message
        if question.parent is None or message is None:
            raise Refused("the first message cannot be edited; begin another conversation")
        if asked.rest:
            await self._say(asked.rest, f":{question.version}")
            return None
        self.editing = f":{question.version}"
        return Outcome(prefill=message.text)

    # Saying something about it.

    async def _rate(self, asked: Asked) -> None:
        node = self._named(asked, 1)
        try:
            rating = float(asked.words[0])
        except ValueError:
            raise Refused(f"a rating is a number from 1 to 5, found {asked.words[0]!r}") from None
        self.chat.annotate(node, rating=rating)
        await self._noted(node)

    async def _label(self, asked: Asked) -> None:
        node = self._named(asked, 1)
        self.chat.annotate(node, label=asked.words[0] if asked.words else None)
        await self._noted(node)

    def _named(self, asked: Asked, place: int) -> branchlog.Node:
        return self.chat.node(asked.words[place] if len(asked.words) > place else "@", cursor=self.cursor)

    async def _noted(self, node: branchlog.Node) -> None:
        await self._save()
        notes = [f"#{node.label}"] if node.label is not None else []
        notes += [f"★{node.rating:.3g}"] if node.rating is not None else []
        said = ", ".join(map(one_line, notes)) or "nothing said about it"
        self.screen.lines([Text(short_name(node), style="cyan").append(f"  {said}", "yellow")])

    async def _title(self, asked: Asked) -> None:
        self.chat.annotate_conversation(title=asked.rest)
        await self._save()
        self.screen.lines([Text(one_line(asked.rest), style="bold")])

    async def _compare(self, asked: Asked) -> None:
        from branchlog.explore import align

        here = self.here
        if not asked.words and here.position.of < 2:
            raise Refused("this is the only one; /alternatives asks for more, /compare A B compares two nodes")
        nodes = (
            list(here.alternatives)
            if not asked.words
            else [self._named(asked, each) for each in range(len(asked.words))]
        )
        if len(nodes) == 1:
            nodes.insert(0, here)
        aligned = align(self.chat, *(self.chat.tree.nodes[node.index] for node in nodes))
        same = all(said(way.tail) == said(aligned.ways[0].tail) for way in aligned.ways)
        self.screen.lines(side_by_side(aligned, self.chat.tree, same=same))

    # Whom, where to, and what else.

    async def _model(self, asked: Asked) -> None:
        if asked.words:
            name = asked.words[0]
            if name not in self._models:
                if self._make is None:
                    raise Refused(f"there is no {name!r} here; there are: {', '.join(self._models)}")
                self._models[name] = list(self._make(name))
            self.responders = self._models[name]
        names = one_line(", ".join(each.name for each in self.responders))
        self.screen.lines([Text(names, style="magenta").append("  answers", "dim")])

    async def _export(self, asked: Asked) -> None:
        *formats, target = asked.words
        format = formats[0] if formats else _format_of(target)
        if not self.chat.saved_version:
            raise Refused("nothing is said yet")
        try:
            await asyncio.to_thread(self._write, format, target)
        except AlreadyExists as error:
            raise Refused(f"{error}; name another file") from error
        except OSError as error:
            raise Refused(f"{target} cannot be written: {error.strerror}") from error
        self.screen.lines([Text(f"written to {one_line(target)}, as {format}", style="dim")])

    def _write(self, format: str, target: str) -> None:
        with written(Path(target).expanduser()) as file:
            export_one(self._sync, format, file, self.chat.id)

    async def _help(self, _asked: Asked) -> None:
        rows = helping()
        wide = max(len(usage) for usage, _ in rows)
        lines = [Text(f"{usage:<{wide}}  ", style="cyan").append(about, "default") for usage, about in rows]
        keys = (
            "Enter sends, Alt-Enter or Ctrl-J begins a new line, Tab completes.",
            "Ctrl-C stops a reply and keeps it. //text says what begins with a stroke.",
        )
        self.screen.lines([*lines, *(Text(line, style="dim") for line in keys)])

    async def _quit(self, _asked: Asked) -> Outcome:
        return Outcome(leave=True)

    async def close(self) -> None:
        """Close the connections of those who answered."""
        for responder in {id(each): each for responders in self._models.values() for each in responders}.values():
            if (close := getattr(responder, "close", None)) is not None:
                await close()

    # What others do.

    async def look(self) -> list[Text]:
        """What others have said and done since the last time, as lines; nothing while something is carried out."""
        if self._turn.locked():
            return []
        async with self._turn:
            chat = self.chat
            if not chat.saved_version or chat.pending or self.moment is not None:
                return []
            if not await self.store.commits(chat.id, after=chat.saved_version):
                return []
            self.chat = await self.store.load(chat.id)
            return self._arrived()

    def _arrived(self) -> list[Text]:
        """The nodes that others have added and that were not told yet, and where they have gone."""
        tree, own = self.chat.tree, self._own
        new = [node for node in tree.nodes[self._told :] if node.version not in own]
        self._told = len(tree)
        self._own = set()
        lines = [Text("from elsewhere", style="dim italic"), *reading(new, tree.cursors, tree)] if new else []
        if self.moment is not None:
            return lines
        here = self.here
        if here.version != self._place:
            lines.append(Text("moved elsewhere: ", style="dim").append_text(self._whereabouts(here)))
        self._place = here.version
        return lines


def numbered(node: branchlog.Node) -> str:
    """The place of a node among its alternatives: 2/3."""
    return f"{node.position.number:,}/{node.position.of:,}"


def _looks(asked: Asked) -> bool:
    """Whether a command may be given while the past is looked at."""
    return asked.command.looks or asked.command is COMMANDS["goto"]


def _when(at: int | datetime | None) -> str:
    return moment(at) if isinstance(at, datetime) else f"version {at}"


def _left_line(left: Unfinished) -> Text:
    """What is told of an unfinished reply."""
    text = shortened(one_line(left.text), GIST_WIDTH) or "(nothing yet)"
    line = Text(f"a reply to {short_name(left.under)} ", style="yellow").append(
        "is arriving elsewhere: " if left.arriving else "was left unfinished: "
    )
    line.append(text, "default")
    return line if left.arriving else line.append("\n/keep keeps it, /continue has it continued, /drop forgets it")


def _format_of(target: str) -> str:
    found = formats_of(target)
    if len(found) != 1:
        raise Refused(f"say which format: /export FORMAT {one_line(target)}; there are: {', '.join(found or FORMATS)}")
    return found[0]
