"""Who is measured, with pinned versions, and the virtual environments that they run in."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import branchlog

DRIVERS = Path(__file__).parent / "drivers"
HERE = Path(branchlog.__file__).parent.parent


@dataclass(frozen=True)
class Contender:
    """One library in one way of using it. Without requirements it runs in the Python that runs the benchmark."""

    name: str
    driver: str
    option: str = ""
    requirements: tuple[str, ...] = ()
    stored: bool = True
    """Whether anything is left when the process ends."""

    path_only: bool = False
    """Whether it reads a path without loading the conversation, as a way beside loading it."""

    def command(self, venvs: Path, folder: Path) -> list[str]:
        """The command that starts its driver on this folder."""
        python = str(self.venv(venvs) / "bin" / "python") if self.requirements else sys.executable
        return [python, str(DRIVERS / f"{self.driver}.py"), str(folder), self.option]

    def environment(self) -> dict[str, str]:
        """Its own packages only, and for branchlog the one that is imported here."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return inherited if self.requirements else {**inherited, "PYTHONPATH": str(HERE)}

    def venv(self, venvs: Path) -> Path:
        """The folder of its environment, which is another one as soon as a version changes."""
        wanted = "\n".join((sys.version, *self.requirements))
        return venvs / f"{self.driver.removeprefix('with_')}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"


DATAKNOBS = (
    "dataknobs-llm==0.5.5",
    "dataknobs-data==0.4.13",
    "dataknobs-structures==1.0.5",
    "dataknobs-fsm==0.1.14",  # imported by dataknobs_llm.conversations, but not among what the package says it needs
    "aiosqlite==0.22.1",  # of the extra that its SQLite backend needs
)
AGENTS = ("openai-agents==0.24.0",)
LANGGRAPH = ("langgraph-checkpoint-sqlite==3.1.2", "langgraph==1.2.22")
ADK = ("google-adk==2.13.0", "aiosqlite==0.22.1")
EVENTSOURCING = ("eventsourcing==9.5.6",)
LLM = ("llm==0.36",)

SUBJECTS = (
    Contender("branchlog", "with_branchlog", "full", path_only=True),
    Contender("branchlog, async", "with_branchlog", "async", path_only=True),
    Contender("branchlog, relaxed", "with_branchlog", "relaxed", path_only=True),
    Contender("branchlog, async, relaxed", "with_branchlog", "async-relaxed", path_only=True),
    Contender("branchlog, in memory", "with_branchlog", "memory", stored=False),
    Contender("sqlite3, FULL", "with_sqlite", "full"),
    Contender("sqlite3, NORMAL", "with_sqlite", "normal"),
    Contender("JSON Lines", "with_lines", "full"),
    Contender("JSON Lines, relaxed", "with_lines", "relaxed"),
    Contender("dataknobs-llm, in memory", "with_dataknobs", "memory", DATAKNOBS, stored=False),
    Contender("dataknobs-llm, file", "with_dataknobs", "file", DATAKNOBS),
    Contender("dataknobs-llm, SQLite", "with_dataknobs", "sqlite", DATAKNOBS),
    Contender("openai-agents, SQLiteSession", "with_openai_agents", "plain", AGENTS),
    Contender("openai-agents, AdvancedSQLiteSession", "with_openai_agents", "advanced", AGENTS),
    Contender("langgraph-checkpoint-sqlite", "with_langgraph", "", LANGGRAPH),
    Contender("google-adk, SqliteSessionService", "with_google_adk", "", ADK),
    Contender("eventsourcing, SQLite", "with_eventsourcing", "sqlite", EVENTSOURCING),
    Contender("eventsourcing, POPO", "with_eventsourcing", "popo", EVENTSOURCING, stored=False),
    Contender("llm, LogStore", "with_llm", "", LLM),
)


def cache_folder() -> Path:
    """Where environments are kept from one run to the next: the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "branchlog" / "peers"


class NotInstalled(Exception):
    """An environment could not be made; the text says which packages, why, and what to do."""


def make_venv(contender: Contender, venvs: Path) -> None:
    """Make its environment unless a whole one is there; a mark is left when all has been installed.

    Raises ``NotInstalled``, for instance where there is no network.
    """
    folder = contender.venv(venvs)
    mark = folder / "requirements.txt"
    if not contender.requirements or mark.exists():
        return
    print(f"making the environment of {contender.name}: {', '.join(contender.requirements)}", file=sys.stderr)
    try:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *contender.requirements], check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise NotInstalled(
            f"pip could not install {' '.join(contender.requirements)} ({_told(error)}); "
            "run this once with a network, or name by --venvs a folder in which it has been run"
        ) from error
    mark.write_text("\n".join(contender.requirements) + "\n")


def _told(error: subprocess.CalledProcessError | OSError) -> str:
    """The last line of what a program that failed wrote, which with pip is its error."""
    lines = (error.stderr or "").strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else []
    return lines[-1] if lines else str(error)
