"""google-adk: ``SqliteSessionService``, an event a message. A list gives all sessions of an application."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from driving import Cannot, Subject, drive
from google.adk.events import Event
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

APP, USER = "benchmarks", "person"


class GoogleAdk(Subject):
    version = version("google-adk")
    together = "async"

    def open(self) -> None:
        self.service = SqliteSessionService(str(self.folder / "chats.db"))
        self.chats: dict[str, Any] = {}

    async def close(self) -> None:
        await self.service.close()

    async def create(self, chat: str, team: str | None = None) -> None:
        self.chats[chat] = await self.service.create_session(
            app_name=APP, user_id=USER, session_id=chat, state=None if team is None else {"team": team}
        )

    async def _read(self, chat: str) -> Any:
        return await self.service.get_session(app_name=APP, user_id=USER, session_id=chat)

    async def load(self, chat: str) -> None:
        self.chats[chat] = await self._read(chat)

    async def say(self, chat: str, role: str, text: str) -> None:
        await self._append(self.chats[chat], role, text)

    async def _append(self, session: Any, role: str, text: str) -> None:
        part = types.Part(text=text)
        content = types.Content(role="user" if role == "user" else "model", parts=[part])
        await self.service.append_event(session, Event(author=role, content=content))

    async def path(self, chat: str) -> list[str]:
        return [event.content.parts[0].text for event in self.chats[chat].events]

    async def newest(self, limit: int) -> list[Any]:
        """All are listed, the oldest first; the newest are cut off its end here."""
        found = await self.service.list_sessions(app_name=APP, user_id=USER)
        return list(found.sessions[-limit:])

    async def filtered(self, team: str, limit: int) -> Any:
        raise Cannot("no filter by state")

    async def race(self, chat: str) -> tuple[list[str], str]:
        one, other = await self._read(chat), await self._read(chat)
        await self._append(one, "user", "first")
        told = ""
        try:
            await self._append(other, "user", "second")
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        await self.load(chat)
        return await self.path(chat), told


drive(GoogleAdk)
