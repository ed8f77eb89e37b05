"""The kit's face, its reference and its report."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import branchlog.testing as kit
from branchlog.testing.contract import LogContract
from branchlog.testing.log_machine import LogMachine
from branchlog.testing.stores import StoreContract

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/testing.md").read_text()
LINES = re.findall(r"^\| (\d+) \| .*? \| (.*) \|$", REFERENCE, re.MULTILINE)


@pytest.mark.parametrize("name", kit.__all__)
def test_every_name_of_the_kit_is_in_the_reference_and_says_what_it_is(name):
    assert re.search(rf"^\| `{name}` \|", REFERENCE, re.MULTILINE)
    assert inspect.getdoc(getattr(kit, name))


def test_the_face_has_what_it_says():
    assert sorted(kit.__all__, key=str.swapcase) == sorted(set(kit.__all__), key=str.swapcase)
    assert [name for name in kit.__all__ if not hasattr(kit, name)] == []


def test_every_line_of_the_list_has_its_place():
    assert [int(number) for number, _ in LINES] == list(range(1, 72))
    assert [number for number, place in LINES if not place.strip()] == []


def test_the_places_of_the_list_are_there():
    named = re.findall(r"`(LogContract|StoreContract|LogMachine)\.(\w+)`", REFERENCE)
    homes = {"LogContract": LogContract, "StoreContract": StoreContract, "LogMachine": LogMachine}

    assert len(named) > 70
    assert [f"{home}.{case}" for home, case in named if not hasattr(homes[home], case)] == []


def test_the_tests_that_the_list_names_are_there():
    named = re.findall(r"`(test_\w+)` in `(tests/\S+\.py)`", REFERENCE)
    defined = {
        (node.name, path)
        for _, path in named
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef)
    }

    assert len(named) > 4
    assert set(named) - defined == set()


def test_the_numbers_in_docstrings_are_in_the_table():
    places = {int(number): place for number, place in LINES}
    for contract in (LogContract, StoreContract):
        for name, case in vars(contract).items():
            for numbers in re.findall(r"\((\d[\d, to]*)\)", inspect.getdoc(case) or "") if name[:5] == "test_" else ():
                for first, last in re.findall(r"(\d+)(?: to (\d+))?", numbers):
                    for number in range(int(first), int(last or first) + 1):
                        assert f"`{contract.__name__}.{name}`" in places[number]


def test_importing_the_kit_does_not_need_the_command_line():
    code = "import sys, branchlog.testing; print([m for m in sys.modules if m.split('.')[0] in ('click', 'rich')])"
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout == "[]\n"


BACKEND = """
import pytest
from branchlog.logs.memory import MemoryLog
from branchlog.testing import LogContract

class TestMine(LogContract):
    abilities = MemoryLog.abilities

    @pytest.fixture
    def open_log(self):
        log = MemoryLog()
        return lambda namespace="": log.within(namespace)
"""


def test_the_report_of_another_project(tmp_path):
    """In a folder that knows nothing of this one, the report says what was declared, run and skipped."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["branchlog.testing.report"]\n')
    (tmp_path / "test_mine.py").write_text(BACKEND)
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "declares or reopening or conflict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    declared = "snapshots, erases, drafts, not durable, not persistent, not shared"
    assert f"test_mine.py::TestMine\n  declares: {declared}\n" in said
    assert re.search(r"  cases: \d+ passed, 1 skipped\n", said)
    assert "  skipped 1: the log does not declare the ability 'persistent'\n" in said
