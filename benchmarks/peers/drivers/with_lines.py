"""Bare JSON Lines: a file a conversation, a line a message with its parent, msgspec, and an fdatasync if asked for.

A file stays open for writing; reading reads the whole file. There is no list but the folder's.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import msgspec
from driving import Cannot, Subject, drive, role_of, text_of


class Line(msgspec.Struct, omit_defaults=True):
    """One message, or with a cursor one move."""

    parent: int = -1
    role: str = ""
    content: str = ""
    cursor: int | None = None
    team: str | None = None


encode = msgspec.json.encode
decode_lines = msgspec.json.Decoder(Line).decode_lines


class Lines(Subject):
    version = f"msgspec {version('msgspec')}"
    together = "threads"

    def open(self) -> None:
        self.files: dict[str, int] = {}
        self.cursors: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    def close(self) -> None:
        for file in self.files.values():
            os.close(file)
        self.files.clear()

    def _file(self, chat: str) -> int:
        if chat not in self.files:
            self.files[chat] = os.open(self.folder / f"{chat}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return self.files[chat]

    def _write(self, chat: str, line: Line) -> None:
        file = self._file(chat)
        os.write(file, encode(line) + b"\n")
        if self.option != "relaxed":
            os.fdatasync(file)

    def create(self, chat: str, team: str | None = None) -> None:
        self.cursors[chat], self.counts[chat] = -1, 0
        self._write(chat, Line(cursor=-1, team=team))

    def _read(self, chat: str) -> tuple[list[Line], int]:
        cursor, messages = -1, []
        for line in decode_lines((self.folder / f"{chat}.jsonl").read_bytes()):
            if line.cursor is not None:
                cursor = line.cursor
            else:
                cursor = len(messages)
                messages.append(line)
        return messages, cursor

    def load(self, chat: str) -> None:
        messages, self.cursors[chat] = self._read(chat)
        self.counts[chat] = len(messages)

    def say(self, chat: str, role: str, text: str) -> None:
        self._write(chat, Line(self.cursors[chat], role, text))
        self.cursors[chat] = self.counts[chat]
        self.counts[chat] += 1

    def _walk(self, messages: list[Line], place: int) -> list[str]:
        texts = []
        while place >= 0:
            texts.append(messages[place].content)
            place = messages[place].parent
        return texts[::-1]

    def path(self, chat: str) -> list[str]:
        return self._walk(self._read(chat)[0], self.cursors[chat])

    def alternative(self, chat: str, place: int, role: str, text: str) -> None:
        self.cursors[chat] = place
        self.say(chat, role, text)

    def switch(self, chat: str, place: int) -> None:
        self._write(chat, Line(cursor=place))
        self.cursors[chat] = place

    def past(self, chat: str, moment: int) -> list[str]:
        return self._walk(self._read(chat)[0], moment - 1)

    def newest(self, limit: int) -> list[str]:
        entries = [(entry.stat().st_mtime_ns, entry.name) for entry in os.scandir(self.folder)]
        return [name for _, name in sorted(entries, reverse=True)[:limit]]

    def filtered(self, team: str, limit: int) -> Any:
        raise Cannot("every file would be read")

    def count(self, team: str) -> Any:
        raise Cannot("every file would be read")

    def build(self, chat: str, parents: list[int]) -> int:
        lines = [encode(Line(parent, role_of(place), text_of(place))) for place, parent in enumerate(parents)]
        with os.fdopen(os.dup(self._file(chat)), "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
        os.fdatasync(self._file(chat))
        self.cursors[chat], self.counts[chat] = len(parents) - 1, len(parents)
        return len(parents)

    def race(self, chat: str) -> tuple[list[str], str]:
        parent = self.cursors[chat]
        self._write(chat, Line(parent, "user", "first"))
        self._write(chat, Line(parent, "user", "second"))
        return [line.content for line in self._read(chat)[0]], ""


drive(Lines)
