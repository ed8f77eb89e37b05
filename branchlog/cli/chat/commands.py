"""What is typed into a chat: something to say, or a command. Text in, what is meant out; pure."""

from __future__ import annotations

from typing import Literal

import attrs

from branchlog.errors import InvalidInput

SIGN = "/"
"""What a command begins with; two of them say something that begins with one."""

Kind = Literal["nothing", "node", "rating", "model", "format", "number"]
"""What the first argument of a command is, for its completion."""

ALTERNATIVES = 3
"""How many replies ``/alternatives`` asks for if it is not said."""


@attrs.frozen
class Command:
    """A command that there is: its name, what may stand behind it, and what it does."""

    name: str
    usage: str
    help: str
    takes: Kind = "nothing"
    needed: int = 0
    most: int | None = 0
    looks: bool = False  # changes nothing: allowed while the past is looked at


COMMANDS = {
    command.name: command
    for command in (
        Command("alternatives", "[N]", "ask for N more replies to the last question, 3 if not said", "number", most=1),
        Command("next", "", "go to the next alternative"),
        Command("prev", "", "go to the alternative before"),
        Command("edit", "[TEXT]", "say the last question otherwise; alone: change it", most=None),
        Command("regenerate", "", "have the last question answered again"),
        Command("back", "[N]", "go back to before the last question, or the last N", "number", most=1),
        Command("undo", "", "go back to where you were before"),
        Command("redo", "", "take the last undo back"),
        Command("tree", "", "see the whole tree, and go about in it by arrow keys", looks=True),
        Command("goto", "EXPR", "go to a node: an id, a label, @~2, @{5}", "node", 1, None),
        Command("at", "[TIME]", "look at it as it was at a time or version; alone: back", most=None, looks=True),
        Command("compare", "[A [B]]", "compare alternatives, or the ways to two nodes", "node", most=None, looks=True),
        Command("rate", "N [NODE]", "rate a reply, from 1 to 5", "rating", 1, 2),
        Command("label", "[NAME [NODE]]", "label a node; without NAME the label is taken away", most=2),
        Command("title", "TEXT", "give the conversation a title", needed=1, most=None),
        Command("model", "[NAME]", "have another model answer; without NAME, who answers", "model", most=1, looks=True),
        Command("keep", "", "keep the reply that was left unfinished, as it is"),
        Command("continue", "", "have the reply that was left unfinished continued"),
        Command("drop", "", "forget the reply that was left unfinished"),
        Command("export", "[FORMAT] FILE", "write the conversation into a file", "format", 1, 2, looks=True),
        Command("help", "", "this list", looks=True),
        Command("quit", "", "leave; so does Ctrl-D", looks=True),
    )
}

SHORT = {"alt": "alternatives", "previous": "prev", "regen": "regenerate", "q": "quit", "exit": "quit", "?": "help"}
"""Other names that people try."""


@attrs.frozen
class Said:
    """Something to say."""

    text: str


@attrs.frozen
class Asked:
    """A command that was given: ``words`` are what stands behind it, ``rest`` the same as it was typed."""

    command: Command
    words: tuple[str, ...]
    rest: str

    def number(self, default: int) -> int:
        """The first word as a number of 1 or more. Raises ``InvalidInput``."""
        if not self.words:
            return default
        word = self.words[0]
        if not (word.isascii() and word.isdecimal() and 0 < int(word) < 1000):
            raise InvalidInput(f"/{self.command.name} takes a number from 1 to 999, found {word!r}")
        return int(word)


def read(text: str) -> Said | Asked | None:
    """What is meant by what was typed; None by blanks alone.

    A message may have several lines, a command begins with one. Raises ``InvalidInput`` for a command that there is
    not, and one with too few or too many words behind it.
    """
    stripped = text.strip()
    if not stripped:
        return None
    if not stripped.startswith(SIGN):
        return Said(text.strip("\n"))
    if stripped.startswith(SIGN * 2):
        return Said(stripped[1:])
    name, rest = _split(stripped[1:])
    command = COMMANDS.get(SHORT.get(name, name))
    if command is None:
        raise InvalidInput(f"there is no command /{name}; /help lists them, and //{name} says it")
    words = tuple(rest.split())
    if len(words) < command.needed or (command.most is not None and len(words) > command.most):
        raise InvalidInput(f"it is: /{command.name} {command.usage}".rstrip())
    return Asked(command, words, rest)


def _split(text: str) -> tuple[str, str]:
    name, *rest = text.split(maxsplit=1)
    return name, rest[0] if rest else ""


def is_command(text: str) -> bool:
    """Whether this is a command, or the beginning of one."""
    stripped = text.lstrip()
    return stripped.startswith(SIGN) and not stripped.startswith(SIGN * 2)


def helping() -> list[tuple[str, str]]:
    """Each command as it is typed, and what it does."""
    return [(f"/{each.name} {each.usage}".rstrip(), each.help) for each in COMMANDS.values()]
