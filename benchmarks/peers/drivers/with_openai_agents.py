"""openai-agents: ``SQLiteSession``, and ``AdvancedSQLiteSession`` that has branches.

A branch of the advanced one begins at a message of the user and copies what is before it; the message itself is then
said anew. So an alternative here is a new branch at the turn of a place, and one message in it.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

from agents import SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession
from driving import Cannot, Subject, drive, role_of, text_of

logging.disable(logging.INFO)


class Plain(Subject):
    version = version("openai-agents")
    together = "async"

    def open(self) -> None:
        self.chats: dict[str, Any] = {}

    def _session(self, chat: str) -> Any:
        return SQLiteSession(chat, self.folder / "chats.db")

    def close(self) -> None:
        for session in self.chats.values():
            session.close()

    async def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = self._session(chat)

    async def load(self, chat: str) -> None:
        self.chats[chat] = self._session(chat)

    async def say(self, chat: str, role: str, text: str) -> None:
        await self.chats[chat].add_items([{"role": role, "content": text}])

    async def path(self, chat: str) -> list[str]:
        return [item["content"] for item in await self.chats[chat].get_items()]

    async def build(self, chat: str, parents: list[int]) -> int | None:
        if parents != list(range(-1, len(parents) - 1)):
            return None
        items = [{"role": role_of(place), "content": text_of(place)} for place in range(len(parents))]
        await self.chats[chat].add_items(items)
        return len(parents)

    async def race(self, chat: str) -> tuple[list[str], str]:
        one, other = self._session(chat), self._session(chat)
        await one.get_items()
        await other.get_items()
        await one.add_items([{"role": "user", "content": "first"}])
        await other.add_items([{"role": "user", "content": "second"}])
        texts = [item["content"] for item in await self._session(chat).get_items()]
        one.close()
        other.close()
        return texts, ""


class Advanced(Plain):
    """Branches are named; the place of a message is known by its branch and how many are before it."""

    def open(self) -> None:
        super().open()
        self.places: dict[str, list[tuple[str, int]]] = {}
        self.branches: dict[str, tuple[str, int]] = {}

    def _session(self, chat: str) -> Any:
        return AdvancedSQLiteSession(session_id=chat, db_path=self.folder / "chats.db", create_tables=True)

    async def create(self, chat: str, team: str | None = None) -> None:
        await super().create(chat, team)
        self.places[chat], self.branches[chat] = [], ("main", 0)

    async def say(self, chat: str, role: str, text: str) -> None:
        await super().say(chat, role, text)
        branch, length = self.branches[chat]
        self.places[chat].append((branch, length))
        self.branches[chat] = (branch, length + 1)

    async def build(self, chat: str, parents: list[int]) -> int | None:
        if parents != list(range(-1, len(parents) - 1)):
            raise Cannot("branches begin at messages of the user and copy what is before")
        built = await super().build(chat, parents)
        self.places[chat] = [("main", place) for place in range(len(parents))]
        self.branches[chat] = ("main", len(parents))
        return built

    async def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        """Instead of the user's message after this place, or at it: what is before is copied, then one is said."""
        branch, depth = self.places[chat][place]
        if branch != "main":
            raise Cannot("the driver branches off the main branch only")
        turn = depth // 2 + 1
        session = self.chats[chat]
        if self.branches[chat][0] != "main":
            await session.switch_to_branch("main")
        created = await session.create_branch_from_turn(turn)
        self.branches[chat] = (created, (turn - 1) * 2)
        await self.say(chat, "user", text)

    async def switch(self, chat: str, place: int) -> None:
        raise Cannot("to the end of a branch only, not to a message")


drive(lambda folder, option: (Advanced if option == "advanced" else Plain)(folder, option))
