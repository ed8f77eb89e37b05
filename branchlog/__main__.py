"""``python -m branchlog`` is ``branchlog``."""

from branchlog.cli import main

main()
