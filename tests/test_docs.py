"""Every example in the README, in docs/ and in docstrings runs, and every public name is documented."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import branchlog

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def modules() -> list[str]:
    return sorted(
        found.name
        for found in pkgutil.walk_packages(branchlog.__path__, "branchlog.")
        if not found.name.endswith("__main__")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    text = page.read_text()
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 1
        exec(compile("\n" * line + block[1], str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]

    assert broken == []


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))

    assert result.failed == 0


@pytest.mark.parametrize("name", branchlog.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    reference = (ROOT / "docs/reference/python.md").read_text()

    assert re.search(rf"`(branchlog\.)?{name}\b", reference), f"docs/reference/python.md does not say what {name} is"


PUBLIC_CLASSES = [
    branchlog.Conversation,
    branchlog.Store,
    branchlog.Tree,
    branchlog.Node,
    branchlog.Message,
    branchlog.Comparison,
]


@pytest.mark.parametrize("kind", PUBLIC_CLASSES, ids=lambda kind: kind.__name__)
def test_every_public_method_is_in_the_reference_and_has_a_docstring(kind: type) -> None:
    reference = (ROOT / "docs/reference/python.md").read_text()
    names = [name for name in vars(kind) if not name.startswith("_")]
    undocumented = [name for name in names if not re.search(rf"[`., *(]{name}\b", reference)]
    fields = {field.name for field in getattr(kind, "__attrs_attrs__", ())}
    mute = [name for name in names if name not in fields and not getattr(kind, name).__doc__]

    assert undocumented == []
    assert mute == []
