"""A report at the end of a pytest run: for each log that was tested, what it declares and which cases it was held to.

Opt in with ``pytest_plugins = ["branchlog.testing.report"]`` in the ``conftest.py`` at the root of the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs
import pytest

CLASS, ABILITIES = "branchlog-contract", "branchlog-abilities"
"""Under these keys a test tells, in its report, of which contract it is a case and what its log declares."""


@attrs.define
class Tally:
    """What came of the cases of one log."""

    abilities: str
    outcomes: Counter[str] = attrs.field(factory=Counter)
    skipped: Counter[str] = attrs.field(factory=Counter)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which log a case is about, so that the report has it also where another process ran the case."""
    from branchlog.logs.base import Abilities

    owner = getattr(item, "cls", None)
    abilities = getattr(owner, "abilities", None)
    if owner is not None and isinstance(abilities, Abilities):
        item.user_properties.append((CLASS, item.nodeid.rpartition("::")[0]))
        item.user_properties.append((ABILITIES, _told(attrs.asdict(abilities))))


def _told(abilities: dict[str, bool]) -> str:
    yes = [name for name, able in abilities.items() if able]
    no = [f"not {name}" for name, able in abilities.items() if not able]
    return ", ".join(yes + no)


def tallies(reports: Iterator[pytest.TestReport]) -> dict[str, Tally]:
    """What came of the cases of each log, by the name of its test class."""
    found: dict[str, Tally] = {}
    for report in reports:
        told = dict(report.user_properties)
        if CLASS not in told or (report.when != "call" and report.passed):
            continue
        tally = found.setdefault(str(told[CLASS]), Tally(str(told[ABILITIES])))
        tally.outcomes[report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            tally.skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1
    return found


def lines(found: dict[str, Tally]) -> Iterator[str]:
    """The report as lines of text."""
    for name, tally in sorted(found.items()):
        yield name
        yield f"  declares: {tally.abilities}"
        ran = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
        yield f"  cases: {ran}"
        for reason, count in sorted(tally.skipped.items()):
            yield f"  skipped {count}: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the report, where there is anything to tell."""
    stats = terminalreporter.stats
    reports = (
        report
        for outcome in ("passed", "failed", "skipped", "error")
        for report in stats.get(outcome, ())
        if isinstance(report, pytest.TestReport)
    )
    told = list(lines(tallies(reports)))
    if told:
        terminalreporter.section("what the logs declare, and the cases they were held to")
        for line in told:
            terminalreporter.write_line(line)
