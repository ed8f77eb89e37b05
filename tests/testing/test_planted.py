"""The kit bites: every planted bug is caught by the case that the table names, which the logs as they are pass."""

import pytest
from testing.planted import BUGS, CASES, CONTROLS, TABLE, cases_for, caught, first_case, table, told

from branchlog.testing.durability import can_check_durable

NAMED = told(TABLE.read_text())
MACHINES = {"LogMachine", "ConversationMachine"}


def test_the_table_is_of_these_bugs():
    """The page is what the command would write, given the cases that it names; it leaves no bug out."""
    assert TABLE.read_text() == table({bug.name: NAMED.get(bug.name) for bug in BUGS})


def test_there_are_enough():
    """There are more than forty bugs, each of another name, and each is caught."""
    names = [bug.name for bug in BUGS]

    assert len(names) == len(set(names)) >= 40
    assert set(NAMED) == set(names)
    assert all(NAMED.values())


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_it_is_caught(bug):
    """The case that the table names fails because of the bug."""
    case = CASES[NAMED[bug.name]]
    if case.name == "check_durable" and not can_check_durable():
        pytest.skip("strace is not installed")

    assert caught(bug, case) is not None


@pytest.mark.parametrize("name", sorted({name for name in NAMED.values() if name not in MACHINES}))
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name.replace(" ", "-"))
def test_the_control_passes(control, name):
    """The case passes for the logs as they are, run in the same way. The machines run on them in tests of their own."""
    failure = caught(control, CASES[name])

    assert failure is None, failure


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_it_is_caught_by_this_case_first(bug):
    """Searching the whole kit finds the case that the table names."""
    assert first_case(bug) == NAMED[bug.name]


@pytest.mark.long
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name.replace(" ", "-"))
def test_the_whole_kit_passes_the_control(control):
    """Searching the whole kit finds nothing wrong with the logs as they are."""
    assert first_case(control) is None
    assert caught(control, CASES["ConversationMachine"]) is None
    assert {case.name for case in cases_for(control)} | {"ConversationMachine"} == set(CASES)
