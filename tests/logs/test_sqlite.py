"""The log in one SQLite file."""

import pytest

from branchlog.logs.base import Abilities
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing import LogContract


class TestSqliteLog(LogContract):
    abilities = Abilities(durable=True, persistent=True, shared=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": SqliteLog(tmp_path / "chats.db", namespace=namespace)


class TestRelaxedSqliteLog(LogContract):
    abilities = Abilities(durable=False, persistent=True, shared=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": SqliteLog(tmp_path / "chats.db", namespace=namespace, durability="relaxed")
