"""The command that shows what branchlog does: ``demo``. It checks what it says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.text import Text

import branchlog
from branchlog.cli.asking import awaited, run
from branchlog.cli.comparing import in_spans
from branchlog.cli.drawing import Drawing, gist, messages, short_name, styled
from branchlog.cli.finding import Refused
from branchlog.cli.output import is_terminal, shortened, width, write_lines
from branchlog.cli.reading import node_json
from branchlog.cli.wording import step_in_words

SYSTEM = "You plan walks. You are brief, and you mind the weather."
ASK = "We are four, one of us eight years old. Where shall we walk on Saturday?"
RIVER = "Along the river to the mill: flat, two hours, a café at the end."
HILL = "Over the hill to the old tower: three hours, one steep climb, the best view."
LAKE = "Around the lake: two and a half hours, and one may swim."
RAIN = "And if it rains?"
RAIN_RIVER = "Then turn back at the weir; the bus stops there."
RAIN_RIVER_OTHERWISE = "Then take umbrellas: the path is paved, and the café is dry."
STEEP = "Is the climb too much for an eight-year-old?"
STEEP_ANSWER = "Not with a rest at the spring. Tell her there is a ladder in the tower."
SNOW = "And if it snows?"
SNOW_ANSWER = "Then it is the river after all, with a thermos."
TAKE = "What shall we take along?"
TAKE_ANSWERS = ("Water, and a map.", "Apples, water, and a whistle for the tower.", "As little as you can.")


class Stage:
    """Where the demo is told: steps with a number, and what they show."""

    def __init__(self, *, pause: bool) -> None:
        self.pause = pause
        self.steps = 0
        self.columns = width()

    def step(self, title: str, *explained: str) -> None:
        """Begin a step."""
        if self.pause and self.steps:
            click.pause("  (press a key)", err=True)
        self.steps += 1
        lines = [Text(), Text(f"{self.steps}. {title}", style="bold underline")]
        write_lines([*lines, *(Text(f"   {line}", style="italic") for line in explained), Text()])

    def code(self, line: str) -> None:
        """Show a call."""
        write_lines([Text(f"   >>> {line}", style="green")])

    def say(self, line: str) -> None:
        """Write a line."""
        write_lines([Text(f"   {line}")])

    def tree(self, tree: branchlog.Tree) -> None:
        """Draw a tree."""
        drawn = Drawing(tree=tree, start=tree.root).lines()
        write_lines(Text("   ") + styled(line, self.columns - 3) for line in drawn)

    def check(self, what: str, *, holds: bool) -> None:
        """Write that something holds, or stop the demo."""
        if not holds:
            raise Refused(f"the demo found that this does not hold: {what}")
        write_lines([Text().append("   ✓ ", "bold green").append(what)])


@click.command("demo", epilog="Example: branchlog demo --keep /tmp/demo")
@click.option("--pause", is_flag=True, help="Wait for a key between the steps.")
@click.option(
    "--keep", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help="Leave the store here."
)
def demo_command(pause: bool, keep: Path | None) -> None:
    """Show what branchlog does.

    On a small conversation in a temporary store. Needs no network and touches no other store. What it says is
    checked: where something does not hold, the exit code is 1.
    """
    stage = Stage(pause=pause and is_terminal())
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        play(stage, keep / "demo.db")
        stage.say(f"The store stays: branchlog --store {keep / 'demo.db'} show")
        return
    with tempfile.TemporaryDirectory(prefix="branchlog-demo-") as folder:
        play(stage, Path(folder) / "demo.db")


def play(stage: Stage, path: Path) -> None:
    """The whole demo, in a store at this path."""
    if path.exists():
        raise Refused(f"{str(path)!r} is there already; the demo makes a store of its own")
    with branchlog.open(path) as store:
        chat = build(stage, store)
        explore(stage, chat)
        go_about(stage, chat)
        annotate(stage, chat)
        store.save(chat)
        ask(stage, store, chat)
        before = whole(chat)
    replay(stage, path, chat.id, before)
    return_and_fork(stage, path, chat.id)
    stage.say("")
    stage.say("Yours next: branchlog new 'A title', branchlog say --last 'Hello', branchlog show")


def build(stage: Stage, store: branchlog.Store) -> branchlog.Conversation:
    """A question and its first answer."""
    stage.step("A conversation", "It is kept in one file; each save is one commit, durable when it returns.")
    stage.code("chat = store.create(title='A walk on Saturday', system=...)")
    chat = store.create(title="A walk on Saturday", system=SYSTEM)
    stage.code("ask = chat.say('user', ...); chat.say('assistant', ...)")
    chat.say("user", ASK)
    chat.say("assistant", RIVER)
    chat.say("user", RAIN)
    chat.say("assistant", RAIN_RIVER)
    store.save(chat)
    stage.tree(chat.tree)
    stage.say("")
    stage.check(f"saved: version {chat.saved_version}, nothing pending", holds=not chat.pending)
    return chat


def explore(stage: Stage, chat: branchlog.Conversation) -> None:
    """Alternatives, by going back and by asking for more."""
    stage.step(
        "Alternatives",
        "Going back and answering again overwrites nothing: it adds a branch.",
        "Answers may also arrive while the reader stays where they are.",
    )
    stage.code("chat.move('@~3'); chat.say('assistant', ...)")
    chat.move("@~3")
    chat.say("assistant", HILL)
    stage.code("chat.add('assistant', ..., under='@~')")
    here = chat.cursor
    lake = chat.add("assistant", LAKE, under="@~")
    chat.say("user", STEEP)
    chat.say("assistant", STEEP_ANSWER)
    stage.tree(chat.tree)
    stage.say("")
    stage.check(f"the new answer is alternative {lake.position} and moved nothing", holds=chat.node("@~2") == here)


def go_about(stage: Stage, chat: branchlog.Conversation) -> None:
    """Back and forth, undo and redo, an edit, the alternative next door."""
    stage.step("Back and forth", "Cursors move, messages stay; every move can be undone.")
    there = chat.cursor
    river = chat.tree["0.0"]
    stage.code("chat.previous_alternative('0.1')")
    back = chat.previous_alternative("0.1")
    stage.say(f"the cursor is at {back.id}: {gist_of(back, stage.columns)}")
    stage.check("the river is on show again, down to where it was left", holds=back.is_under(river) and back.depth == 4)
    stage.code("chat.undo()")
    stage.check(f"undo: the cursor is back at {there.id}", holds=chat.undo() == there)
    stage.code("chat.redo()")
    stage.check(f"redo: and at {back.id} again", holds=chat.redo() == back)
    stage.code("chat.edit('@', ...)")
    edited = chat.edit("@", RAIN_RIVER_OTHERWISE)
    stage.check(f"an edit is an alternative: {edited.position}; the first is as it was", holds=text(back) == RAIN_RIVER)
    stage.code("chat.edit('@~', ...); chat.say(...)")
    chat.edit("@~", SNOW)
    chat.say("assistant", SNOW_ANSWER)
    stage.say("")
    stage.tree(chat.tree)


def annotate(stage: Stage, chat: branchlog.Conversation) -> None:
    """What people say about messages."""
    stage.step("Labels, ratings, bookmarks", "They are events, too, and a label is a name that commands take.")
    stage.code("chat.annotate('0.1', label='hill', rating=5); chat.annotate('0.2', bookmark=True); chat.move('hill')")
    chat.annotate("0.1", label="hill", rating=5)
    chat.annotate("0.2", bookmark=True)
    chat.move("hill")
    stage.tree(chat.tree)
    stage.say("")
    stage.say("What a model would be sent now:")
    for message in chat.messages():
        stage.say(f"  {message.role}: {shortened(gist(message), stage.columns - 20)}")


def ask(stage: Stage, store: branchlog.Store, chat: branchlog.Conversation) -> None:
    """Several replies at once, compared, and one of them picked."""
    from branchlog.explore import align, pick

    stage.step(
        "Several asked at once",
        "A model, a script or a function answers; each reply becomes an alternative as it finishes.",
        "Here it is a script, so that no network is needed.",
    )
    stage.code("question = chat.say('user', ...)")
    question = chat.say("user", TAKE)
    store.save(chat)
    stage.code("async for attempt in explore(store, chat, Scripted([...]), n=3): ...")
    run(asking(awaited(store), chat))
    stage.tree(chat.tree)
    stage.say("")
    said = sorted(text(node) for node in question.children)
    stayed = chat.cursor == question
    stage.check("all three are there, and the cursor stays", holds=stayed and said == sorted(TAKE_ANSWERS))
    first, other = (node for node in question.children if text(node) in TAKE_ANSWERS[:2])
    (turn,) = align(chat, first, other).turns
    stage.say("What is another word in two of them:")
    write_lines([Text("   ") + in_spans(turn.diff())])
    best = next(node for node in question.children if text(node) == TAKE_ANSWERS[1])
    stage.code(f"pick(chat, {best.id!r})")
    pick(chat, best)
    store.save(chat)
    stage.check("the one that was picked is on show", holds=chat.cursor == best)


async def asking(store: branchlog.AsyncStore, chat: branchlog.Conversation) -> None:
    """Ask a script for three replies."""
    from branchlog.explore import Scripted, explore

    async for attempt in explore(store, chat, Scripted(TAKE_ANSWERS), n=len(TAKE_ANSWERS)):
        if attempt.error is not None:
            raise attempt.error


def replay(stage: Stage, path: Path, id: str, before: dict[str, Any]) -> None:
    """Open the store again, compare, and go through the versions."""
    stage.step("Opened again", "Another reader, nothing but the file: the same tree is folded from the same events.")
    with branchlog.open(path, create=False) as store:
        chat = store.load(id)
        after = whole(chat)
        stage.check(f"{messages(len(chat.tree))} on {len(chat.branches)} branches are there", holds=before == after)
        stage.check("what the model is sent is the same", holds=store.messages(id) == chat.messages())
        stage.step("Replayed", "Any version can be looked at: what happened, and how many messages were on show then.")
        write_lines(versions(chat, stage.columns))
        stage.say("")
        first = chat.at(9)
        stage.say("The tree as it was at version 9:")
        stage.tree(first)
        stage.say("")
        stage.check(
            "at version 9 the conversation had one branch, and now it has more",
            holds=len(first.leaves) == 1 < len(chat.tree.leaves),
        )


def versions(chat: branchlog.Conversation, columns: int) -> Iterator[Text]:
    """A line for each version: what changed, and what was on show then."""
    for step in chat.replay():
        line = Text().append(f"   {step.version:>3}  ", "cyan")
        line.append(f"{len(step.tree):>2} in the tree, {short_name(step.tree.cursor):<8} on show  ", "dim")
        line.append(shortened(step_in_words(step, chat.tree), max(columns - len(line.plain), 20)))
        yield line


def return_and_fork(stage: Stage, path: Path, id: str) -> None:
    """Go back to a moment by new events, and begin another conversation from one."""
    stage.step(
        "Back to a moment", "To restore is to add events, never to cut the log; a fork keeps where it came from."
    )
    with branchlog.open(path, create=False) as store, store.editing(id) as chat:
        now, nodes = chat.version, len(chat.tree)
        stage.code("chat.restore(9)")
        chat.restore(9)
        stage.check("what is on show is what was at version 9", holds=chat.messages() == chat.messages(9))
        stage.check(f"all {messages(nodes)} are still there", holds=len(chat.tree) == nodes)
        stage.code(f"chat.restore({now})")
        chat.restore(now)
        stage.check("and so is what came later", holds=chat.messages() == chat.messages(now))
        stage.code("fork = chat.fork_from('hill', title='Over the hill')")
        fork = chat.fork_from("hill", title="Over the hill")
        store.save(fork)
        stage.tree(fork.tree)
        stage.say("")
        stage.check("the fork says the same, up to there", holds=fork.messages() == chat.messages("hill"))
        stage.check("and where it came from", holds=comes_from(fork, chat, "0.1"))


def comes_from(fork: branchlog.Conversation, chat: branchlog.Conversation, node: str) -> bool:
    """Whether a fork tells that it is of this node."""
    source = fork.metadata["forked_from"]
    return isinstance(source, dict) and (source["conversation"], source["node"]) == (chat.id, node)


def whole(chat: branchlog.Conversation) -> dict[str, Any]:
    """All that there is to see of a conversation, as it is and at every version, to be compared."""
    return {
        "title": chat.title,
        "version": chat.version,
        "nodes": [node_json(node) for node in chat.tree],
        "cursors": {name: node.id for name, node in chat.cursors.items()},
        "on show": [
            [message.to_chat() for message in chat.messages(version)] for version in range(1, chat.version + 1)
        ],
    }


def text(node: branchlog.Node) -> str:
    """The text of a node."""
    message = node.message
    return "" if message is None else message.text


def gist_of(node: branchlog.Node, columns: int) -> str:
    """A node's message on one line."""
    message = node.message
    return "" if message is None else shortened(gist(message), columns - 40)
