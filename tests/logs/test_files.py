"""The log in a folder of JSON Lines."""

import pytest
from hypothesis import settings

from branchlog.logs.base import Abilities
from branchlog.logs.files import FilesLog
from branchlog.testing import LogContract, LogMachine
from branchlog.testing.stores import StoreContract


class TestFilesLog(LogContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": FilesLog(tmp_path / "chats", namespace=namespace)


class TestConversationsInFiles(StoreContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": FilesLog(tmp_path / "chats", namespace=namespace)


class FilesLogMachine(LogMachine):
    def open_log(self, folder):
        return FilesLog(folder / "chats")

    def damage(self, folder, damage):
        files = list((folder / "chats" / "conversations").glob("*.jsonl"))
        if not files:
            return False
        path = max(files, key=lambda path: path.stat().st_mtime_ns)
        path.write_bytes(damage.of(path.read_bytes()))
        return True


FilesLogMachine.TestCase.settings = settings(
    FilesLogMachine.TestCase.settings, max_examples=max(10, int(settings().max_examples * 0.25))
)
TestFilesLogMachine = pytest.mark.filterwarnings("ignore::branchlog.errors.LogRepaired")(FilesLogMachine.TestCase)
