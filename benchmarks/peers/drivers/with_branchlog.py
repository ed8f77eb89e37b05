"""branchlog: blocking or async, durable or relaxed, in a file or in memory. A conversation stays open between steps.

The backend is imported here, since opening a store imports it at first use and the other drivers import all at once.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from driving import Subject, drive, role_of, text_of

import branchlog
import branchlog.logs.bridges
import branchlog.logs.memory
import branchlog.logs.sqlite


class Blocking(Subject):
    version = version("branchlog")
    together = "threads"

    def open(self) -> None:
        self._open("relaxed" if self.option == "relaxed" else "full")

    def open_to_build(self) -> None:
        """Relaxed, which leaves the same bytes: tens of thousands of waits for the disk are not what is measured."""
        self._open("relaxed")

    def _open(self, durability: str) -> None:
        address = "memory:" if self.option == "memory" else self.folder / "chats.db"
        self.store = branchlog.open(address, durability=durability)
        self.chats: dict[str, branchlog.Conversation] = {}
        self.places: dict[str, list[Any]] = {}
        self.versions: dict[str, list[int]] = {}

    def close(self) -> None:
        self.store.close()

    def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = self.store.create(chat, metadata=None if team is None else {"team": team})
        self.places[chat], self.versions[chat] = [], []
        self.store.save(self.chats[chat])

    def load(self, chat: str) -> None:
        self.chats[chat] = self.store.load(chat)

    def _said(self, chat: str, node: branchlog.Node) -> None:
        self.places[chat].append(node)
        self.versions[chat].append(self.chats[chat].version)

    def say(self, chat: str, role: str, text: str) -> None:
        opened = self.chats[chat]
        node = opened.say(role, text)
        self.store.save(opened)
        self._said(chat, node)

    def path(self, chat: str) -> list[str]:
        return [message.content for message in self.chats[chat].messages()]

    def path_only(self, chat: str) -> list[str]:
        return [message.content for message in self.store.messages(chat)]

    def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        opened = self.chats[chat]
        node = opened.say(role, text, under=self._under(chat, place))
        self.store.save(opened)
        self._said(chat, node)

    def _under(self, chat: str, place: int) -> Any:
        return self.places[chat][place] if place >= 0 else ""

    def switch(self, chat: str, place: int) -> None:
        opened = self.chats[chat]
        opened.move(self.places[chat][place])
        self.store.save(opened)

    def past(self, chat: str, moment: int) -> list[str]:
        return [message.content for message in self.chats[chat].messages(self.versions[chat][moment - 1])]

    def newest(self, limit: int) -> list[str]:
        return [each.id for each in self.store.list(limit=limit)]

    def filtered(self, team: str, limit: int) -> list[str]:
        return [each.id for each in self.store.list(metadata={"team": team}, limit=limit)]

    def count(self, team: str) -> int:
        return self.store.count(metadata={"team": team})

    def _place(self, chat: str, place: int, parent: int) -> None:
        under = None if parent == place - 1 else self._under(chat, parent)
        self._said(chat, self.chats[chat].say(role_of(place), text_of(place), under=under))

    def build(self, chat: str, parents: list[int]) -> int:
        """Message by message, each with a commit of its own, as a conversation comes to be."""
        for place, parent in enumerate(parents):
            self._place(chat, place, parent)
            self.store.save(self.chats[chat])
        return len(parents)

    def import_tree(self, chat: str, parents: list[int]) -> int:
        """All messages in one commit."""
        for place, parent in enumerate(parents):
            self._place(chat, place, parent)
        self.store.save(self.chats[chat])
        return len(parents)

    def race(self, chat: str) -> tuple[list[str], str]:
        one, other = self.store.load(chat), self.store.load(chat)
        one.say("user", "first")
        other.say("user", "second")
        self.store.save(one)
        self.store.save(other)
        return [node.message.content for node in self.store.load(chat).tree.nodes[1:]], ""


class Async(Blocking):
    together = "async"

    async def open(self) -> None:
        await self._open("relaxed" if self.option == "async-relaxed" else "full")

    async def open_to_build(self) -> None:
        await self._open("relaxed")

    async def _open(self, durability: str) -> None:
        self.store = await branchlog.open_async(self.folder / "chats.db", durability=durability)
        self.chats, self.places, self.versions = {}, {}, {}

    async def close(self) -> None:
        await self.store.close()

    async def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = await self.store.create(chat, metadata=None if team is None else {"team": team})
        self.places[chat], self.versions[chat] = [], []
        await self.store.save(self.chats[chat])

    async def load(self, chat: str) -> None:
        self.chats[chat] = await self.store.load(chat)

    async def path_only(self, chat: str) -> list[str]:
        return [message.content for message in await self.store.messages(chat)]

    async def say(self, chat: str, role: str, text: str) -> None:
        opened = self.chats[chat]
        node = opened.say(role, text)
        await self.store.save(opened)
        self._said(chat, node)

    async def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        opened = self.chats[chat]
        node = opened.say(role, text, under=self._under(chat, place))
        await self.store.save(opened)
        self._said(chat, node)

    async def switch(self, chat: str, place: int) -> None:
        opened = self.chats[chat]
        opened.move(self.places[chat][place])
        await self.store.save(opened)

    async def newest(self, limit: int) -> list[str]:
        return [each.id for each in await self.store.list(limit=limit)]

    async def filtered(self, team: str, limit: int) -> list[str]:
        return [each.id for each in await self.store.list(metadata={"team": team}, limit=limit)]

    async def count(self, team: str) -> int:
        return await self.store.count(metadata={"team": team})

    async def build(self, chat: str, parents: list[int]) -> int:
        for place, parent in enumerate(parents):
            self._place(chat, place, parent)
            await self.store.save(self.chats[chat])
        return len(parents)

    async def import_tree(self, chat: str, parents: list[int]) -> int:
        for place, parent in enumerate(parents):
            self._place(chat, place, parent)
        await self.store.save(self.chats[chat])
        return len(parents)

    async def race(self, chat: str) -> tuple[list[str], str]:
        one, other = await self.store.load(chat), await self.store.load(chat)
        one.say("user", "first")
        other.say("user", "second")
        await self.store.save(one)
        await self.store.save(other)
        return [node.message.content for node in (await self.store.load(chat)).tree.nodes[1:]], ""


drive(lambda folder, option: (Async if option.startswith("async") else Blocking)(folder, option))
