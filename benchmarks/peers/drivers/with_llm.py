"""llm: its ``LogStore``, content-addressed messages with threads that point at one. A fork is a thread of its own."""

from __future__ import annotations

from importlib.metadata import version

import sqlite_utils
from driving import Cannot, Subject, drive
from llm import Message
from llm.logs import LogStore
from llm.parts import TextPart


class Llm(Subject):
    version = version("llm")
    together = "its connection is of one thread, and it has no async store"

    def open(self) -> None:
        self.store = LogStore(sqlite_utils.Database(self.folder / "logs.db"))
        self.chats: dict[str, str] = {}
        self.places: dict[str, list[str]] = {}

    def close(self) -> None:
        self.store.db.close()

    def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = self.store.create_thread(name=team, id=chat)
        self.places[chat] = []

    def load(self, chat: str) -> None:
        """The thread made last of this conversation and its forks, as its command line goes on with the last."""
        query = "SELECT id FROM threads WHERE id = ? OR forked_from = ? ORDER BY rowid DESC LIMIT 1"
        (found,) = self.store.db.query(query, [chat, chat])
        self.chats[chat] = found["id"]

    def say(self, chat: str, role: str, text: str) -> None:
        tip = self.store.append(self.chats[chat], [Message(role=role, parts=[TextPart(text=text)])])
        self.places[chat].append(tip)

    def path(self, chat: str) -> list[str]:
        return [message.parts[0].text for message in self.store.thread_messages(self.chats[chat])]

    def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        self.chats[chat] = self.store.fork(self.places[chat][place], forked_from=chat)
        self.say(chat, role, text)

    def switch(self, chat: str, place: int) -> None:
        """A thread that points at this message is a new one: there is no moving of a thread."""
        self.chats[chat] = self.store.fork(self.places[chat][place], forked_from=chat)

    def past(self, chat: str, moment: int) -> list[str]:
        raise Cannot("threads have no record of where they pointed")

    def race(self, chat: str) -> tuple[list[str], str]:
        """Two programs, each with a connection; each has read the tip before it appends its message."""
        stores = [LogStore(sqlite_utils.Database(self.folder / "logs.db")) for _ in range(2)]
        for store in stores:
            store.thread_messages(chat)
        for store, text in zip(stores, ("first", "second"), strict=True):
            store.append(chat, [Message(role="user", parts=[TextPart(text=text)])])
        return [message.parts[0].text for message in self.store.thread_messages(chat)], ""


drive(Llm)
