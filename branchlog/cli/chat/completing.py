"""What may come next of a command that is being typed: text before the cursor in, words out; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

import branchlog
from branchlog.cli.chat.commands import COMMANDS, SHORT, SIGN, Kind, is_command
from branchlog.cli.drawing import role_and_gist, short_name
from branchlog.cli.output import one_line, shortened

WORDS_MAX = 200
"""How many nodes are offered at most: the newest of those that fit."""

ABOUT_WIDTH = 50
"""Columns of what is told about a word."""


@attrs.frozen
class Completion:
    """A word that fits, and what it is."""

    word: str
    about: str = ""


@attrs.frozen(kw_only=True)
class Known:
    """What there is to be named."""

    tree: branchlog.Tree
    models: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


def completions(text: str, known: Known) -> tuple[str, list[Completion]]:
    """The beginning that was typed of the last word, and the words that fit there; none where no command is typed."""
    if not is_command(text) or "\n" in text:
        return "", []
    name, blank, rest = text.lstrip()[len(SIGN) :].partition(" ")
    if not blank:
        found = [Completion(SIGN + each.name, each.help) for each in COMMANDS.values() if each.name.startswith(name)]
        return SIGN + name, found
    command = COMMANDS.get(SHORT.get(name, name))
    if command is None:
        return "", []
    *before, word = rest.split(" ")
    place = len([each for each in before if each])
    kind: Kind = command.takes if not place or command.name == "compare" else "nothing"
    if place == 1 and command.name in ("rate", "label"):
        kind = "node"
    if place >= (10 if command.most is None else command.most):
        return word, []
    return word, list(_fitting(kind, word, known))


def _fitting(kind: Kind, word: str, known: Known) -> Iterator[Completion]:
    if kind == "node":
        yield from _nodes(word, known.tree)
    elif kind == "rating":
        yield from _plain(word, "12345")
    elif kind == "model":
        yield from _plain(word, known.models)
    elif kind == "format":
        yield from _plain(word, known.formats)


def _plain(word: str, words: Iterable[str]) -> Iterator[Completion]:
    return (Completion(each) for each in words if each.startswith(word))


def _nodes(word: str, tree: branchlog.Tree) -> Iterator[Completion]:
    """Labels and cursors first, then the nodes that were added last."""
    named = {**tree.cursors, **tree.labels}
    for name in sorted(named):
        if name.startswith(word):
            yield Completion(name, _about(named[name]))
    found = 0
    for node in reversed(tree.nodes):
        name = short_name(node)
        if name.startswith(word):
            yield Completion(name, _about(node))
            found += 1
        if found >= WORDS_MAX:
            return


def _about(node: branchlog.Node) -> str:
    role, text = role_and_gist(node)
    return shortened(f"{one_line(role)}: {text}" if role else "", ABOUT_WIDTH)
