"""eventsourcing: an application with one aggregate a conversation, in SQLite or as plain objects in memory.

The tree is the aggregate's own, written as its tutorial writes aggregates; the library keeps the events. A conversation
stays open between steps, as the aggregate that it is.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from driving import Subject, drive, role_of, text_of
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Conversation(Aggregate):
    @event("Started")
    def __init__(self, name: str, team: str | None) -> None:
        self.name = name
        self.team = team
        self.parents: list[int] = []
        self.messages: list[tuple[str, str]] = []
        self.cursor = -1

    @staticmethod
    def create_id(name: str) -> UUID:
        return uuid5(NAMESPACE_URL, name)

    @event("Said")
    def say(self, parent: int, role: str, content: str) -> None:
        self.parents.append(parent)
        self.messages.append((role, content))
        self.cursor = len(self.parents) - 1

    @event("Moved")
    def move(self, place: int) -> None:
        self.cursor = place

    def path(self) -> list[str]:
        texts, place = [], self.cursor
        while place >= 0:
            texts.append(self.messages[place][1])
            place = self.parents[place]
        return texts[::-1]


class Conversations(Application[UUID]):
    pass


class EventSourcing(Subject):
    version = version("eventsourcing")
    together = "threads"

    def open(self) -> None:
        env = {"PERSISTENCE_MODULE": "eventsourcing.popo"}
        if self.option == "sqlite":
            env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(self.folder / "chats.db")}
        self.app = Conversations(env)
        self.chats: dict[str, Conversation] = {}

    def close(self) -> None:
        self.app.close()

    def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = Conversation(name=chat, team=team)
        self.app.save(self.chats[chat])

    def load(self, chat: str) -> None:
        self.chats[chat] = self._read(chat)

    def _read(self, chat: str, moment: int | None = None) -> Any:
        return self.app.repository.get(Conversation.create_id(chat), version=moment)

    def say(self, chat: str, role: str, text: str) -> None:
        opened = self.chats[chat]
        opened.say(opened.cursor, role, text)
        self.app.save(opened)

    def path(self, chat: str) -> list[str]:
        return self.chats[chat].path()

    def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        opened = self.chats[chat]
        opened.say(place, role, text)
        self.app.save(opened)

    def switch(self, chat: str, place: int) -> None:
        opened = self.chats[chat]
        opened.move(place)
        self.app.save(opened)

    def past(self, chat: str, moment: int) -> list[str]:
        """The first event starts the conversation, so the n-th message is version n + 1; moves come later here."""
        return self._read(chat, moment + 1).path()

    def build(self, chat: str, parents: list[int]) -> int:
        opened = self.chats[chat]
        for place, parent in enumerate(parents):
            opened.say(parent, role_of(place), text_of(place))
        self.app.save(opened)
        return len(parents)

    def race(self, chat: str) -> tuple[list[str], str]:
        one, other = self._read(chat), self._read(chat)
        one.say(one.cursor, "user", "first")
        other.say(other.cursor, "user", "second")
        self.app.save(one)
        told = ""
        try:
            self.app.save(other)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        return [content for _, content in self._read(chat).messages], told


drive(EventSourcing)
