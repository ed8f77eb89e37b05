"""The exception tree: as it is drawn, and with its facts as attributes."""

import inspect
import re

import pytest

import branchlog
from branchlog import errors

CLASSES = {
    name: thing
    for name, thing in vars(errors).items()
    if inspect.isclass(thing) and issubclass(thing, BaseException) and thing.__module__ == errors.__name__
}


def drawn():
    """Each name in the drawing with the one that it hangs under, by how far it is indented."""
    above = {}
    ways = []
    for line in inspect.getdoc(errors).splitlines():
        found = re.match(r"^ {4}([│ ]*)(?:[├└]── )?([A-Z]\w+)", line)
        if found and found[2] in CLASSES:
            depth = (found.start(2) - 4) // 4
            ways[depth:] = [found[2]]
            above[found[2]] = ways[depth - 1] if depth else None
    return above


def test_the_drawing_is_the_tree():
    assert drawn() == {
        name: None if thing is errors.BranchlogError else thing.__bases__[0].__name__
        for name, thing in CLASSES.items()
        if not issubclass(thing, Warning)  # nobody has to catch these
    }


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_has_a_docstring_and_is_given_out(name):
    assert CLASSES[name].__doc__
    assert getattr(branchlog, name) is CLASSES[name]
    assert name in branchlog.__all__


def test_what_the_standard_library_would_catch():
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.NotFound, LookupError)
    assert not issubclass(errors.BackendError, OSError)


@pytest.mark.parametrize(
    ("error", "message", "facts"),
    [
        (
            errors.InvalidMessage("metadata['k']", "bad"),
            "metadata['k']: bad",
            {"where": "metadata['k']", "problem": "bad"},
        ),
        (errors.InvalidNodeId("01"), "not a node id: '01'; expected child positions joined by dots", {"text": "01"}),
        (
            errors.InvalidExpression("@x", 1, "no"),
            "cannot read '@x' as a node, at character 2: no",
            {"text": "@x", "offset": 1},
        ),
        (errors.NodeNotFound("0.5"), "node '0.5' not found: there is no such node", {"wanted": "0.5"}),
        (
            errors.CursorNotFound("x", ("main", "y")),
            "no cursor named 'x'; there are: 'main', 'y' (new_cursor makes another)",
            {"name": "x", "known": ("main", "y")},
        ),
        (errors.CursorNotFound("x", ()), "there are: none", {"known": ()}),
        (errors.ConversationNotFound("trip"), "conversation 'trip' not found", {"conversation": "trip"}),
        (errors.ConversationDeleted("trip"), "it was deleted", {"conversation": "trip"}),
        (errors.StoreNotFound("a.db", "no file"), "store 'a.db' not found: no file", {"where": "a.db"}),
        (errors.NothingToUndo("redo", "main"), "nothing to redo: cursor 'main'", {"verb": "redo", "cursor": "main"}),
        (
            errors.VersionConflict("trip", 7, 8),
            "version conflict on 'trip': expected 7, found 8",
            {"stream": "trip", "expected": 7, "actual": 8},
        ),
        (errors.CommitIdReused("trip", "ab"), "commit id ab was used before", {"stream": "trip", "commit_id": "ab"}),
        (errors.CorruptLog("a.db", "bad"), "a.db: bad", {"where": "a.db", "problem": "bad"}),
        (
            errors.SchemaVersionError("it", "2.0.0", "1.0.0"),
            "it has version 2.0.0; this branchlog reads up to 1.0.0: upgrade branchlog",
            {"what": "it", "found": "2.0.0", "supported": "1.0.0"},
        ),
        (errors.LogClosed(), "the store is closed", {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_message_says_what_and_where_and_the_facts_are_attributes(error, message, facts):
    assert message in str(error)
    assert {name: getattr(error, name) for name in facts} == facts
    assert isinstance(error, errors.BranchlogError)
