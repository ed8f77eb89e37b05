"""Two writers, one conversation, in memory and in a file: the machine of the kit."""

import tempfile
from pathlib import Path

from hypothesis import settings

import branchlog
from branchlog.testing.machines import ConversationMachine


class SqliteConversationMachine(ConversationMachine):
    """In a file, which is closed and opened again."""

    survives_closing = True

    def open_store(self):
        if not hasattr(self, "folder"):
            self.folder = tempfile.TemporaryDirectory()
        # What a power loss might take is not what is tested here.
        return branchlog.open(Path(self.folder.name) / "chats.db", durability="relaxed", clock=self.clock)

    def teardown(self):
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestInMemory = ConversationMachine.TestCase
TestInMemory.settings = settings(max_examples=max(150, settings().max_examples), stateful_step_count=40)
TestInSqlite = SqliteConversationMachine.TestCase
TestInSqlite.settings = settings(max_examples=max(50, settings().max_examples // 2), stateful_step_count=30)
