"""The log in memory keeps the contract of a log."""

import pytest

from branchlog.logs.base import Abilities
from branchlog.logs.memory import MemoryLog
from branchlog.testing import LogContract


class TestMemoryLog(LogContract):
    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self):
        log = MemoryLog()
        return lambda namespace="": log.within(namespace)
