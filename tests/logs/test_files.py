"""The log in a folder of JSON Lines."""

import pytest

from branchlog.logs.base import Abilities
from branchlog.logs.files import FilesLog
from branchlog.testing import LogContract
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
