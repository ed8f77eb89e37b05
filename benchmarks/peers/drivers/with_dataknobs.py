"""dataknobs-llm: a ``ConversationManager`` over its storage in memory, in a file, or in SQLite.

A conversation is one document, a tree in it, and each message saves the whole of it. The SQLite backend is opened as
its documentation opens it, which is with WAL and ``synchronous=NORMAL``. Roles other than user and system skip the
rendering of templates; both are used, in turn.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from dataknobs_llm import EchoProvider
from dataknobs_llm.conversations import ConversationManager, ConversationNode, DataknobsConversationStorage
from dataknobs_llm.conversations.storage import calculate_node_id
from dataknobs_llm.llm.base import LLMMessage
from dataknobs_llm.prompts import AsyncPromptBuilder, ConfigPromptLibrary
from dataknobs_structures import Tree
from driving import Subject, drive, role_of, text_of


class Dataknobs(Subject):
    version = version("dataknobs-llm")
    together = "async"

    async def open(self) -> None:
        config = {
            "memory": {"backend": "memory"},
            "file": {"backend": "file", "path": str(self.folder / "chats.json")},
            "sqlite": {"backend": "sqlite", "path": str(self.folder / "chats.db")},
        }[self.option]
        self.storage = await DataknobsConversationStorage.create(config)
        self.llm = EchoProvider({"provider": "echo", "model": "echo"})
        self.prompts = AsyncPromptBuilder(library=ConfigPromptLibrary({}))
        self.chats: dict[str, ConversationManager] = {}
        self.places: dict[str, list[str]] = {}

    async def close(self) -> None:
        await self.storage.close()

    async def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = await ConversationManager.create(
            self.llm,
            self.prompts,
            self.storage,
            metadata={} if team is None else {"team": team},
            conversation_id=chat,
        )
        self.places[chat] = []

    async def load(self, chat: str) -> None:
        self.chats[chat] = await ConversationManager.resume(
            conversation_id=chat, llm=self.llm, prompt_builder=self.prompts, storage=self.storage
        )

    async def say(self, chat: str, role: str, text: str) -> None:
        node = await self.chats[chat].add_message(role=role, content=text)
        self.places[chat].append(node.node_id)

    async def path(self, chat: str) -> list[str]:
        return [message.content for message in await self.chats[chat].get_history()]

    async def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        await self.chats[chat].switch_to_node(self.places[chat][place])
        await self.say(chat, role, text)

    async def switch(self, chat: str, place: int) -> None:
        await self.chats[chat].switch_to_node(self.places[chat][place])

    async def newest(self, limit: int) -> list[Any]:
        return await self.storage.list_conversations(limit=limit, sort_by="updated_at", sort_order="desc")

    async def filtered(self, team: str, limit: int) -> list[Any]:
        return await self.storage.list_conversations(
            filter_metadata={"team": team}, limit=limit, sort_by="updated_at", sort_order="desc"
        )

    async def count(self, team: str) -> int:
        return await self.storage.count_conversations(filter_metadata={"team": team})

    async def build(self, chat: str, parents: list[int]) -> int:
        """The tree is put together in memory and saved once; ids come from the library."""
        await self.say(chat, role_of(0), text_of(0))
        manager = self.chats[chat]
        nodes = [manager.state.message_tree]
        for place, parent in list(enumerate(parents))[1:]:
            message = LLMMessage(role=role_of(place), content=text_of(place))
            node = Tree(ConversationNode(message=message, node_id=""))
            above = nodes[max(parent, 0)]
            above.add_child(node)
            last = str(len(above.children) - 1)
            node.data.node_id = f"{above.data.node_id}.{last}" if above.data.node_id else last
            nodes.append(node)
        manager.state.current_node_id = nodes[-1].data.node_id
        self.places[chat] = [node.data.node_id for node in nodes]
        if calculate_node_id(nodes[-1]) != manager.state.current_node_id:
            raise RuntimeError("the ids are not those of the library")
        await self.storage.save_conversation(manager.state)
        return len(parents)

    async def race(self, chat: str) -> tuple[list[str], str]:
        one, other = [
            await ConversationManager.resume(
                conversation_id=chat, llm=self.llm, prompt_builder=self.prompts, storage=self.storage
            )
            for _ in range(2)
        ]
        await one.add_message(role="user", content="first")
        await other.add_message(role="user", content="second")
        state = await self.storage.load_conversation(chat)
        return [node.message.content for node in state.get_all_nodes()], ""


drive(Dataknobs)
