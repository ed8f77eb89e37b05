"""Conversations keep their contract in every log of ours."""

import pytest

from branchlog.logs.base import Abilities
from branchlog.logs.memory import MemoryLog
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing.stores import StoreContract


class TestInMemory(StoreContract):
    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self):
        log = MemoryLog()
        return lambda namespace="": log.within(namespace)


class TestInSqlite(StoreContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True, drafts=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": SqliteLog(tmp_path / "chats.db", namespace=namespace)
