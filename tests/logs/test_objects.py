"""The log in object storage."""

import pytest
from obstore.store import MemoryStore

from branchlog.logs.base import Abilities
from branchlog.logs.objects import ObjectsLog
from branchlog.testing import LogContract, StoreContract, bridged


class InMemory:
    abilities = Abilities(durable=False, persistent=False, shared=False, snapshots=True, erases=True)

    @pytest.fixture
    def open_log(self):
        objects = MemoryStore()
        return lambda namespace="": bridged(lambda: ObjectsLog.connect("memory", namespace=namespace, objects=objects))


class TestInMemory(InMemory, LogContract):
    """Objects in memory."""


class TestConversationsInMemory(InMemory, StoreContract):
    """Conversations in objects in memory."""


class InFolder:
    abilities = Abilities(durable=False, persistent=True, shared=True, snapshots=True, erases=True)

    @pytest.fixture
    def open_log(self, tmp_path):
        return lambda namespace="": bridged(lambda: ObjectsLog.connect(f"file://{tmp_path}/o", namespace=namespace))


class TestInFolder(InFolder, LogContract):
    """A folder of objects."""


class TestConversationsInFolder(InFolder, StoreContract):
    """Conversations in a folder of objects."""
