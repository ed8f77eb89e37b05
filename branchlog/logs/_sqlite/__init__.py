"""The parts of the log in SQLite; ``branchlog.logs.sqlite`` is the log."""
