"""The command line: ``branchlog``, from the extra ``cli``."""

from __future__ import annotations

import sys

NEEDED = frozenset({"click", "rich", "platformdirs"})
"""What the extra brings."""


def main() -> None:
    """Run the command line; the entry point of the package."""
    try:
        from branchlog.cli.app import branchlog
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in NEEDED:
            raise
        print(f"error: the command line needs {error.name}: pip install 'branchlog[cli]'", file=sys.stderr)  # noqa: T201 - the command line prints
        raise SystemExit(1) from None
    branchlog(prog_name="branchlog")
