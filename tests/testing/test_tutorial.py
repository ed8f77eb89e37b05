"""The backend of the tutorial passes the kit, as the tutorial says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/tutorial-backend.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


PLAIN = ["-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"]
"""Nothing there is async, and the plugin for it warns in a folder without a configuration."""


def run(folder, *options):
    (folder / "test_json_log.py").write_text("\n".join(BLOCK.findall(PAGE.read_text())))
    (folder / "conftest.py").write_text('pytest_plugins = ["branchlog.testing.report"]\n')
    return subprocess.run(
        [sys.executable, "-m", "pytest", *PLAIN, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_backend_of_the_tutorial_keeps_the_contract(tmp_path):
    """All but the few cases that take seconds with a file that is written whole each time."""
    said = run(tmp_path, "-k", "TestJsonLog and not Machine and not sizes and not forward and not tailing")

    assert said.returncode == 0, said.stdout
    declared = r"test_json_log.py::TestJsonLog\n  declares: durable, .*, not snapshots, not drafts\n"
    assert re.search(declared, said.stdout)
    assert "skipped 7: the log does not declare the ability 'snapshots'\n" in said.stdout


@pytest.mark.long
def test_the_backend_of_the_tutorial_passes_the_whole_kit(tmp_path):
    said = run(tmp_path)

    assert said.returncode == 0, said.stdout
