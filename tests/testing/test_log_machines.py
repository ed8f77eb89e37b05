"""The logs of branchlog beside the oracle."""

from pathlib import Path

from hypothesis import settings

from branchlog.logs.bridges import AsyncBridge
from branchlog.logs.memory import MemoryLog
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing import LogMachine, bridged


class MemoryLogMachine(LogMachine):
    def open_log(self, folder):
        return MemoryLog()


class SqliteLogMachine(LogMachine):
    durability = "relaxed"

    def open_log(self, folder):
        return SqliteLog(folder / "chats.db", durability=self.durability)

    def damage(self, folder, damage):
        path = Path(folder, "chats.db-wal")
        path.write_bytes(damage.of(path.read_bytes()))
        return True


class DurableSqliteLogMachine(SqliteLogMachine):
    durability = "full"


class BridgedSqliteLogMachine(SqliteLogMachine):
    def open_log(self, folder):
        async def connect():
            return AsyncBridge(SqliteLog(folder / "chats.db", durability="relaxed"))

        return bridged(connect)


def running(machine, share):
    """The machine as a test case, with its share of the examples that are asked for."""
    case = machine.TestCase
    case.settings = settings(case.settings, max_examples=max(10, int(settings().max_examples * share)))
    return case


TestMemory = running(MemoryLogMachine, 0.5)
TestSqlite = running(SqliteLogMachine, 0.5)
TestDurableSqlite = running(DurableSqliteLogMachine, 0.12)
TestBridgedSqlite = running(BridgedSqliteLogMachine, 0.2)
