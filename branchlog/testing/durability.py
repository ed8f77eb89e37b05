"""Whether a program waits for the disk before it says that something is stored.

A process that is killed shows nothing about fsync, since the kernel still has what was written. So this looks at the
system calls, which strace tells (Linux).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SYNC = re.compile(r"\b(fsync|fdatasync|msync|sync_file_range)\(.*= 0")
LINE = re.compile(r"\bwrite\(1[,<].*= [1-9]")

TIMEOUT_SECONDS = 120.0
"""For a program that appends a few commits under strace: a hundred times what it takes, and an end to a hang."""


def can_check_durable() -> bool:
    """Whether strace is there."""
    return shutil.which("strace") is not None


def check_durable(program: Sequence[str]) -> None:
    """Check that a program waits for the disk before each line that it writes.

    The program appends commits, one after the other, and after each writes a line to its standard output and flushes
    it. Raises ``AssertionError`` if there was no sync between one line and the next, or the program failed or wrote
    fewer than two lines.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "calls"
        command = ["strace", "-f", "-qq", "-o", str(told), "-e", "trace=fsync,fdatasync,msync,sync_file_range,write"]
        done = subprocess.run(  # noqa: S603 - the caller's own program
            [*command, *program], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
        calls = told.read_text(errors="replace").splitlines()

    assert done.returncode == 0, f"the program failed: {done.stderr}"
    lines, synced = 0, False
    for call in calls:
        if SYNC.search(call):
            synced = True
        elif LINE.search(call):
            lines += 1
            assert synced, f"line {lines} was written, and there was no sync since the one before"
            synced = False
    assert lines >= 2, f"the program wrote {lines} lines; it takes two to see a sync between them"
