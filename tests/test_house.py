"""The house: what imports what, and that every public name says what it is."""

import ast
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import branchlog
from branchlog import _core

HOUSE = Path(branchlog.__file__).parent
PROJECT = Path(__file__).parent.parent

HEAVY = (
    "sqlite3",
    "click",
    "rich",
    "hypothesis",
    "cattrs",
    "pytest",
    "platformdirs",
    "asyncpg",
    "nats",
    "openai",
    "prompt_toolkit",
)
"""What costs time or is optional: loaded when it is needed."""

IMPURE = {
    "os",
    "io",
    "pathlib",
    "sqlite3",
    "time",
    "random",
    "uuid",
    "logging",
    "asyncio",
    "socket",
    "tempfile",
    "secrets",
}
"""Time, chance and the outside world, which come to the core as arguments."""

IMPURE_CALLS = {"open", "print", "input"}


def python(code):
    """What a fresh Python prints for this code, as JSON; -P keeps it to what is installed."""
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def test_importing_branchlog_loads_no_backend_and_nothing_optional():
    loaded = python("import sys, json, branchlog; print(json.dumps(sorted(sys.modules)))")

    assert "branchlog.conversation" in loaded
    assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []
    ours = [name for name in loaded if name.startswith("branchlog.logs.")]
    assert ours == ["branchlog.logs.addresses", "branchlog.logs.base"]
    for shell in ("cli", "formats", "testing"):
        assert [name for name in loaded if name.startswith(f"branchlog.{shell}.")] == []


def test_opening_a_store_in_memory_does_not_load_sqlite():
    loaded = python("import sys, json, branchlog; branchlog.open('memory:'); print(json.dumps(sorted(sys.modules)))")

    assert "branchlog.logs.memory" in loaded
    assert not {"sqlite3", "branchlog.logs.sqlite"} & set(loaded)


CORE = sorted(path.name for path in (HOUSE / "_core").glob("*.py"))


def imported(path):
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called(path):
    """The plain names that a file calls."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.mark.parametrize("name", CORE)
def test_the_core_is_pure(name):
    path = HOUSE / "_core" / name
    modules = set(imported(path))
    calls = set(called(path))

    assert {module.partition(".")[0] for module in modules} & IMPURE == set()
    assert calls & IMPURE_CALLS == set()
    own = {module for module in modules if module.startswith("branchlog")}
    assert {module for module in own if not re.match(r"branchlog\.(_core|errors$|commit$)", module)} == set()


def test_there_is_a_core():
    assert len(CORE) > 8
    assert {module.name for module in pkgutil.iter_modules(_core.__path__)} == {name[:-3] for name in CORE} - {
        "__init__"
    }


def test_imports_point_down():
    """The layers of the house, as import-linter is told of them in pyproject.toml."""
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists() or not (PROJECT / "pyproject.toml").exists():
        pytest.skip("import-linter is a tool of the project's own checkout and is not installed beside this Python")
    answer = subprocess.run([tool, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_all_is_there_and_nothing_twice():
    assert len(set(branchlog.__all__)) == len(branchlog.__all__)
    assert [name for name in branchlog.__all__ if not hasattr(branchlog, name)] == []


def public(thing):
    """The methods and properties of a class that are its own and have plain names."""
    for name, member in vars(thing).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property | classmethod | staticmethod)):
            yield name, member


@pytest.mark.parametrize("name", branchlog.__all__)
def test_every_public_name_says_what_it_is(name):
    thing = getattr(branchlog, name)

    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        assert [member for member, value in public(thing) if not inspect.getdoc(value)] == []


def test_the_face_gives_out_nothing_else():
    """All else in the face is a module of the package or begins with an underscore."""
    extra = {
        name
        for name, thing in vars(branchlog).items()
        if not name.startswith("_") and not inspect.ismodule(thing) and name not in branchlog.__all__
    }

    assert extra == set()


def test_the_blocking_and_the_async_store_have_the_same_names():
    own = {name for name, _ in public(branchlog.Store)}

    assert own == {name for name, _ in public(branchlog.AsyncStore)}
    for name in own - {"namespace", "abilities"}:
        blocking, awaited = (
            inspect.signature(getattr(branchlog.Store, name)),
            inspect.signature(getattr(branchlog.AsyncStore, name)),
        )
        assert list(blocking.parameters.values()) == list(awaited.parameters.values())


def test_no_file_is_named_for_having_no_name():
    names = {path.stem for path in HOUSE.rglob("*.py")}

    assert names & {"utils", "util", "helpers", "misc", "common", "manager", "handler"} == set()


def test_the_package_is_typed():
    assert (HOUSE / "py.typed").is_file()
