"""A driver in its process: steps are sent, answers come back, and what takes too long is ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.peers.subjects import Contender

SAVES = (20, 120)
"""Waits for the disk are the difference between so many saves and so many, since opening waits too."""


class Stopped(Exception):
    """A subject does not go on; the text is what the table says of it, such as ``cannot: no branches``."""


@dataclass
class Lab:
    """Where and how it is measured."""

    folder: Path
    venvs: Path
    subjects: tuple[Contender, ...]
    quick: bool = False
    budget_seconds: float = 60.0
    """What one subject may take for one step, and for growing to one size."""

    made: int = field(default=0, init=False)

    def fresh(self) -> Path:
        """A new empty folder."""
        self.made += 1
        folder = self.folder / f"store-{self.made}"
        folder.mkdir()
        return folder

    def start(self, subject: Contender, folder: Path, *before: str) -> Running:
        """The subject's driver in a new process."""
        return Running(subject, [*before, *subject.command(self.venvs, folder)], folder, self.budget_seconds)


class Running:
    """One process of a driver."""

    def __init__(self, subject: Contender, command: list[str], folder: Path, budget_seconds: float) -> None:
        self.subject = subject
        self.folder = folder
        self.budget_seconds = budget_seconds
        with (folder.parent / f"{folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=subject.environment(),
                bufsize=0,
                start_new_session=True,
            )
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def send(self, do: str, **step: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **step}).encode() + b"\n")
        except BrokenPipeError as error:
            raise Stopped("error: its process ended") from error

    def receive(self) -> dict[str, Any]:
        """The next answer. Raises ``Stopped`` for what a subject cannot do, gets wrong, or is too slow for."""
        answer: dict[str, Any] = json.loads(self._line(time.monotonic() + 3 * self.budget_seconds))
        if "cannot" in answer:
            raise Stopped(f"cannot: {answer['cannot']}")
        if "stopped" in answer:
            raise Stopped(f"stopped {answer['stopped']}")
        if "error" in answer:
            raise Stopped(f"error: {answer['error']}")
        return answer

    def step(self, do: str, **step: Any) -> dict[str, Any]:
        self.send(do, **step)
        return self.receive()

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                self.end()
                raise Stopped(f"stopped after {3 * self.budget_seconds:g} s")
            read = os.read(self._process.stdout.fileno(), 1 << 20)
            if not read:
                raise Stopped("error: its process ended")
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def end(self) -> None:
        """Let the process end by itself, or end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()


def waits_a_message(lab: Lab, subject: Contender) -> float | None:
    """How often an append waits for the disk, as the system counts it; None where there is no ``strace``."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    counts = []
    for saves in SAVES:
        folder = lab.fresh()
        report = lab.folder / f"{folder.name}.strace"
        traced = (strace, "-f", "--seccomp-bpf", "-o", str(report), "-e", "trace=fsync,fdatasync")
        with lab.start(subject, folder, *traced) as running:
            for do, more in (("open", {}), ("create", {}), ("say", {"count": saves})):
                running.step(do, **more)
            counts.append(report.read_text().count("sync("))
    return (counts[1] - counts[0]) / (SAVES[1] - SAVES[0])
