"""The kit on planted bugs: which case of the kit catches each of them first.

``PYTHONPATH=tests python -m testing.planted > docs/reference/planted-bugs.md`` searches the whole kit for each bug and
writes the table; ``... -m testing.planted NAME`` tells of one bug all that catches it.
"""

from __future__ import annotations

import gc
import inspect
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
import testing.planted_core
import testing.planted_logs  # noqa: F401 - both fill the list of bugs
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from testing.planting import BUGS, IN_A_FILE, IN_MEMORY, Bug, in_a_file, in_memory

from branchlog.store import Store
from branchlog.testing.checks import check_log, check_same_history, check_tree
from branchlog.testing.contract import LogContract, put
from branchlog.testing.durability import can_check_durable, check_durable
from branchlog.testing.log_machine import LogMachine
from branchlog.testing.machines import ConversationMachine
from branchlog.testing.playing import TickingClock
from branchlog.testing.stores import StoreContract

TESTS = str(Path(__file__).parents[1])
TABLE = Path(__file__).parents[2] / "docs" / "reference" / "planted-bugs.md"

CONTROLS = (
    Bug(name="the log in memory", what="no bug", of="log", abilities=IN_MEMORY, opener=in_memory()),
    Bug(name="the log in a file", what="no bug", of="log", abilities=IN_A_FILE, opener=in_a_file()),
)

SEARCH = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),  # the smallest example is not what is wanted here
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
"""The same examples each time."""

HEAD = """# Planted bugs

What the kit is for is finding mistakes, so here are mistakes to find.
Each line of the table is a real log, or branchlog itself, with one thing made wrong; the last column is the first case
of the kit that fails because of it.
A test makes sure that each of these cases still fails for its bug, and passes for the logs as they are.

The kit is searched in this order.
For logs: the cases of `LogContract`, those of `StoreContract`, `LogMachine`, `check_durable`, the other named checks.
For the core: the cases of `StoreContract`, `ConversationMachine`, the cases of `LogContract`, the named checks.
A case with several parameters counts as one.
The numbers are those of the list of cases that a log is held to, for bugs that come from there.

This page is written by `PYTHONPATH=tests python -m testing.planted > docs/reference/planted-bugs.md`.
The bugs are in `tests/testing/planted_logs.py` and `tests/testing/planted_core.py`.
"""

MIDDLE = {"log": "Logs", "core": "The core"}


@attrs.frozen
class Case:
    """One case of the kit: its name, and what runs it on a log or core in a folder."""

    name: str
    run: Callable[[Bug, Path], None]


# The cases.


def contract_cases(contract: type) -> Iterator[Case]:
    """The named cases of a contract, in their order."""
    for name, function in vars(contract).items():
        if name.startswith("test_"):
            yield Case(
                f"{contract.__name__}.{name}", lambda bug, folder, it=function: run_case(contract, it, bug, folder)
            )


def run_case(contract: type, function: Callable[..., None], bug: Bug, folder: Path) -> None:
    """Run a case with all its parameters, each in a folder of its own. A case that is skipped says nothing."""
    ran = False
    for number, parameters in enumerate(parameters_of(function)):
        place = folder / str(number)
        place.mkdir()
        try:
            run_once(contract, function, bug, place, parameters)
        except pytest.skip.Exception:
            continue
        ran = True
    if not ran:
        pytest.skip("needs an ability that the log does not declare")


def parameters_of(function: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """What ``pytest.mark.parametrize`` says of a case."""
    marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
    choices = []
    for mark in marks:
        names = [name.strip() for name in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
        values = [value if len(names) > 1 else (value,) for value in mark.args[1]]
        choices.append([dict(zip(names, value, strict=True)) for value in values])
    for choice in product(*choices):
        yield {name: value for part in choice for name, value in part.items()}


def run_once(contract: type, function: Callable[..., None], bug: Bug, folder: Path, parameters: dict[str, Any]) -> None:
    opener, opened = bug.opener(folder), []

    def open_log(namespace: str = "") -> Any:
        opened.append(opener(namespace))
        return opened[-1]

    own = type(contract.__name__, (contract,), {"abilities": bug.abilities})()
    wanted = inspect.signature(function).parameters
    given: dict[str, Callable[[], Any]] = {
        "open_log": lambda: open_log,
        "log": open_log,
        "store": lambda: Store(open_log(), clock=TickingClock()),
        "tmp_path": lambda: folder,
    }
    try:
        function(own, **{name: make() for name, make in given.items() if name in wanted}, **parameters)
    finally:
        for log in opened:
            log.close()


def log_machine(bug: Bug, _folder: Path) -> None:
    opener = {}

    class Machine(LogMachine):
        def open_log(self, folder: Path) -> Any:
            if opener.get("folder") != folder:
                opener.update(folder=folder, open=bug.opener(folder))
            return opener["open"]()

    run_state_machine_as_test(Machine, settings=SEARCH)


def conversation_machine(bug: Bug, _folder: Path) -> None:
    class Machine(ConversationMachine):
        survives_closing = bug.abilities.persistent

        def open_store(self) -> Store:
            if not hasattr(self, "folder"):
                self.folder = tempfile.TemporaryDirectory()
                self.opener = bug.opener(Path(self.folder.name))
            return Store(self.opener(), clock=self.clock)

        def teardown(self) -> None:
            super().teardown()
            if hasattr(self, "folder"):
                self.folder.cleanup()

    run_state_machine_as_test(Machine, settings=settings(SEARCH, stateful_step_count=40))


def durable(bug: Bug, folder: Path) -> None:
    if not bug.abilities.durable or not can_check_durable():
        pytest.skip("the log does not declare that it is durable, or strace is not installed")
    program = f"import sys; sys.path.insert(0, {TESTS!r}); from testing.planted import main; main(sys.argv[1:])"
    check_durable([sys.executable, "-c", program, "append", bug.name, str(folder)])


def checks(bug: Bug, folder: Path) -> None:
    """The named checks, on a conversation to which everything has been done, and on its log."""
    with Store(bug.opener(folder)(), clock=TickingClock()) as store:
        chat = StoreContract().grown(store)
        check_tree(chat.tree)
        check_same_history(chat, store.load(chat.id))
        check_log(store.log)


LOG_CASES = (
    *contract_cases(LogContract),
    *contract_cases(StoreContract),
    Case("LogMachine", log_machine),
    Case("check_durable", durable),
    Case("the named checks", checks),
)
CORE_CASES = (
    *contract_cases(StoreContract),
    Case("ConversationMachine", conversation_machine),
    *contract_cases(LogContract),
    Case("the named checks", checks),
)
CASES = {case.name: case for case in (*LOG_CASES, *CORE_CASES)}


def cases_for(bug: Bug) -> tuple[Case, ...]:
    """The kit, in the order in which it is searched."""
    return LOG_CASES if bug.of == "log" else CORE_CASES


# Searching.


def caught(bug: Bug, case: Case) -> str | None:
    """What a case makes of a bug: the failure in words, or None where it passes or does not apply."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "conversation .* was dropped with", ResourceWarning)
        bug.plant(patch)
        failure = failure_of(case, bug, Path(folder))
        if failure:
            gc.collect()  # conversations of the failed case, dropped as they were, warn here and not in a later test
    return failure


def failure_of(case: Case, bug: Bug, folder: Path) -> str | None:
    try:
        case.run(bug, folder)
    except pytest.skip.Exception:
        return None
    except (Exception, pytest.fail.Exception) as failure:  # noqa: BLE001 - whatever the bug leads to
        return f"{type(failure).__name__}: {failure}"
    return None


def first_case(bug: Bug) -> str | None:
    """The name of the first case that catches a bug."""
    return next((case.name for case in cases_for(bug) if caught(bug, case)), None)


# The table.


def table(cases: dict[str, str | None]) -> str:
    """The page."""
    parts = [HEAD]
    for of, title in MIDDLE.items():
        bugs = [bug for bug in BUGS if bug.of == of]
        parts.append(f"\n## {title} ({len(bugs)})\n\n| It | What it does | Case | Caught by |\n|---|---|---|---|\n")
        parts += [row(bug, cases[bug.name]) for bug in bugs]
    return "".join(parts)


def row(bug: Bug, case: str | None) -> str:
    lines = ", ".join(map(str, bug.lines))
    return f"| {bug.name} | {bug.what} | {lines} | {f'`{case}`' if case else 'nothing'} |\n"


def told(page: str) -> dict[str, str | None]:
    """What a page says: the case of each bug by the bug's name."""
    rows = re.findall(r"^\| (?!It )(.+?) \| .* \| [\d, ]* \| (?:`(.+)`|nothing) \|$", page, re.MULTILINE)
    return {name: case or None for name, case in rows}


def append_three(bug: Bug, folder: Path) -> None:
    """What ``check_durable`` looks at."""
    log = bug.opener(folder)()
    for number in range(3):
        put(log, "trip", b'{"n":%d}' % number)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    log.close()


def main(arguments: list[str]) -> None:
    by_name = {bug.name: bug for bug in (*BUGS, *CONTROLS)}
    if arguments[:1] == ["append"]:
        append_three(by_name[arguments[1]], Path(arguments[2]))
    elif arguments:
        for name in arguments:
            for case in cases_for(by_name[name]):
                if failure := caught(by_name[name], case):
                    sys.stdout.write(f"{name}\t{case.name}\t{failure[:200]}\n")
    else:
        sys.stdout.write(table({bug.name: first_case(bug) for bug in BUGS}))


if __name__ == "__main__":
    main(sys.argv[1:])
