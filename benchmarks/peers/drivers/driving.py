"""What every driver does: it reads steps as JSON lines, works them on its subject, and answers in JSON lines.

A driver runs in the Python of its subject and imports that subject and the standard library only. All times are taken
here, around the subject's own calls, so that neither the pipe nor the starting of processes is in any of them.

A step is ``{"do": "say", ...}``; the answer holds its figures, or ``{"cannot": "why"}``, or ``{"error": "what"}``.
Bytes written are those of all write calls of this process, as the system counts them.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEXT = "A sentence as people write it, neither long nor short, to be said again and again. "
TEXT_LENGTH = 300
CHAT = "measured"
TEAMS = 10
"""Conversations of a listing are shared out among so many values of one key of metadata."""

MEMORY_LIMIT_BYTES = 6 << 30
"""More than this is a ``MemoryError``, and no trouble for whoever else uses the machine."""

ROLES = ("user", "assistant")


@dataclass
class Texts:
    """How many characters the messages of this process have."""

    length: int = TEXT_LENGTH


TEXTS = Texts()


class Cannot(Exception):
    """What a subject has no way to do; its text says so in the table."""


class TooSlow(Exception):
    """What took more than its budget; its text says how far it came."""


class Subject:
    """One library, seen as a keeper of conversations. A method may be a coroutine; places are numbers from 0.

    The n-th message that was said in a conversation has the place n, whatever the subject calls it.
    """

    version = ""
    together = "cannot"
    """How 64 writers of one process are served: ``async``, ``threads``, or why not."""

    def __init__(self, folder: Path, option: str) -> None:
        self.folder = folder
        self.option = option

    def open(self) -> Any:
        """Open what is in the folder, or make it."""

    def open_to_build(self) -> Any:
        """As ``open``, where a faster way to build leaves the same bytes."""
        return self.open()

    def close(self) -> Any:
        """Let go of everything."""

    def create(self, chat: str, team: str | None = None) -> Any:
        """Begin a conversation, with metadata if there is a team."""
        raise NotImplementedError

    def load(self, chat: str) -> Any:
        """Open a conversation that is there, as a program does that has just started."""
        raise NotImplementedError

    def say(self, chat: str, role: str, text: str) -> Any:
        """Append one message, as durable as this subject makes it; it has the next place."""
        raise NotImplementedError

    def path(self, chat: str) -> Any:
        """The texts of the current path, in order."""
        raise NotImplementedError

    def path_only(self, chat: str) -> Any:
        """As ``path``, of a conversation that has not been loaded."""
        raise Cannot("no other way than loading")

    def alternative(self, chat: str, place: int, role: str, text: str) -> Any:
        """Append a message under the one at this place, and stand there; it has the next place."""
        raise Cannot("no branches")

    def switch(self, chat: str, place: int) -> Any:
        """Stand at this place."""
        raise Cannot("no branches")

    def past(self, chat: str, moment: int) -> Any:
        """The texts of the current path as it was when so many messages had been said."""
        raise Cannot("no past moments")

    def newest(self, limit: int) -> Any:
        """The ids of the conversations changed last."""
        raise Cannot("no list of conversations")

    def filtered(self, team: str, limit: int) -> Any:
        """The ids of conversations with this team, at most so many."""
        raise Cannot("no filter by metadata")

    def count(self, team: str) -> Any:
        """How many conversations have this team."""
        raise Cannot("no count")

    def build(self, chat: str, parents: list[int]) -> Any:
        """A conversation of a given shape, by the fastest way that leaves it as if it had come message by message.

        None: message by message, by the driver.
        """
        return None

    def import_tree(self, chat: str, parents: list[int]) -> Any:
        """The same conversation in one piece, as an import brings it, where it is stored otherwise then."""
        return self.build(chat, parents)

    def race(self, chat: str) -> Any:
        """Two writers that have both read a conversation each save one message, ``first`` and ``second``.

        Answers the texts that are there afterwards, and the error that the second was told, if any.
        """
        raise Cannot("one writer only")


def text_of(number: int) -> str:
    """The text of a message, different for each number and always of the same length."""
    return (f"{number} " + TEXT * (TEXTS.length // len(TEXT) + 1))[: TEXTS.length]


def role_of(number: int) -> str:
    return ROLES[number % 2]


def parents_of(shape: str, count: int, path: int = 100) -> list[int]:
    """For each place the place it hangs under, -1 at the root.

    ``linear`` is one line. ``bushy`` grows at random but for one line of ``path`` messages, which is spread over the
    whole life of the tree and has its last message last; that is the current path. ``imported`` is the same tree.
    """
    if shape == "linear":
        return list(range(-1, count - 1))
    chance = random.Random(7)
    on_line = {step * (count - 1) // (path - 1) for step in range(path)}
    parents, line = [-1], 0
    for place in range(1, count):
        if place in on_line:
            parents.append(line)
            line = place
        else:
            parents.append(chance.randrange(place))
    return parents


def line_of(parents: list[int], place: int) -> list[int]:
    """The places from the root down to this one."""
    line = []
    while place >= 0:
        line.append(place)
        place = parents[place]
    return line[::-1]


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def bytes_written() -> int:
    """Bytes of all write calls of this process so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def forget_memory_peak() -> None:
    """From here on the peak is that of what comes, and not of what the imports took and gave back."""
    with suppress(OSError):  # a kernel without it: the growth over the old peak is told, which is less and never more
        Path("/proc/self/clear_refs").write_text("5")


def memory_peak() -> int:
    """The most memory that this process has had since the peak was forgotten, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def bytes_on_disk(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


class Driver:
    """The steps, each a coroutine of its own name."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.said: dict[str, int] = {}
        self.shelving_seconds = 0.0

    async def hello(self) -> dict[str, Any]:
        return {"version": self.subject.version, "python": sys.version.split()[0], "together": self.subject.together}

    async def texts(self, length: int) -> dict[str, Any]:
        """From here on messages have so many characters."""
        TEXTS.length = length
        return {}

    async def open(self, *, to_build: bool = False) -> dict[str, Any]:
        return {"seconds": await self._timed(self.subject.open_to_build if to_build else self.subject.open)}

    async def close(self) -> dict[str, Any]:
        await settled(self.subject.close())
        return {"on_disk": bytes_on_disk(self.subject.folder)}

    async def create(self, chat: str = CHAT) -> dict[str, Any]:
        await settled(self.subject.create(chat))
        self.said[chat] = 0
        return {}

    async def say(self, count: int, chat: str = CHAT, budget: float = 1e9) -> dict[str, Any]:
        """Append so many messages one by one; stops early when the budget of seconds is used up."""
        times: list[float] = []
        start_bytes, start_processor, start = bytes_written(), time.process_time(), time.perf_counter()
        for _ in range(count):
            number = self.said[chat]
            role, text = role_of(number), text_of(number)
            began = time.perf_counter()
            await settled(self.subject.say(chat, role, text))
            times.append(time.perf_counter() - began)
            self.said[chat] = number + 1
            if time.perf_counter() - start > budget:
                break
        processor = (time.process_time() - start_processor) / len(times)
        written = bytes_written() - start_bytes
        return {"times": times, "processor": processor, "written": written, "said": self.said[chat]}

    async def build(self, shape: str, count: int, chat: str = CHAT, budget: float = 1e9) -> dict[str, Any]:
        """A conversation of this shape; answers how many messages were said before the budget was used up."""
        parents = parents_of(shape, count)
        await settled(self.subject.create(chat))
        start = time.perf_counter()
        build = self.subject.import_tree if shape == "imported" else self.subject.build
        built = await settled(build(chat, parents))
        if built is None:
            for place, parent in enumerate(parents):
                await self._place(chat, place, parent)
                if time.perf_counter() - start > budget:
                    return {"said": place + 1, "seconds": time.perf_counter() - start}
        self.said[chat] = count
        return {"said": count, "seconds": time.perf_counter() - start}

    async def _place(self, chat: str, place: int, parent: int) -> None:
        role, text = role_of(place), text_of(place)
        if parent == place - 1:
            await settled(self.subject.say(chat, role, text))
        else:
            await settled(self.subject.alternative(chat, parent, role, text))

    async def cold(self, shape: str, count: int, chat: str = CHAT, *, whole: bool = True) -> dict[str, Any]:
        """Open, load and read the current path, in a process that has done nothing else; or read the path only."""
        forget_memory_peak()
        before = memory_peak()
        start = time.perf_counter()
        await settled(self.subject.open())
        texts = await self._read(chat, whole=whole)
        seconds = time.perf_counter() - start
        memory = memory_peak() - before
        _check_path(texts, shape, count)
        return {"seconds": seconds, "memory": memory}

    async def weigh(self, shape: str, count: int, chat: str = CHAT, *, whole: bool = True) -> dict[str, Any]:
        """Load a conversation and read all messages of its path, or read the path only; counted since it was open."""
        stored = bytes_on_disk(self.subject.folder)
        await settled(self.subject.open())
        forget_memory_peak()
        before = memory_peak()
        texts = await self._read(chat, whole=whole)
        memory = memory_peak() - before
        _check_path(texts, shape, count)
        return {"memory": memory, "stored": stored}

    async def _read(self, chat: str, *, whole: bool) -> list[str]:
        if not whole:
            return list(await settled(self.subject.path_only(chat)))
        await settled(self.subject.load(chat))
        return list(await settled(self.subject.path(chat)))

    async def alternatives(self, places: list[int], chat: str = CHAT) -> dict[str, Any]:
        times: list[float] = []
        start_bytes = bytes_written()
        for place in places:
            number = self.said[chat]
            began = time.perf_counter()
            await settled(self.subject.alternative(chat, place, "assistant", text_of(number)))
            times.append(time.perf_counter() - began)
            self.said[chat] = number + 1
        return {"times": times, "written": bytes_written() - start_bytes}

    async def switches(self, places: list[int], chat: str = CHAT) -> dict[str, Any]:
        """Stand at each place and read the path to it; in the conversation of a line these are so many messages."""
        times: list[float] = []
        for place in places:
            began = time.perf_counter()
            await settled(self.subject.switch(chat, place))
            texts = await settled(self.subject.path(chat))
            times.append(time.perf_counter() - began)
            _check(texts, [text_of(number) for number in range(place + 1)])
        return {"times": times}

    async def moves(self, places: list[int], chat: str = CHAT) -> dict[str, Any]:
        """Stand at each place and read nothing, which would leave the caches of the processor cold."""
        times: list[float] = []
        for place in places:
            began = time.perf_counter()
            await settled(self.subject.switch(chat, place))
            times.append(time.perf_counter() - began)
        return {"times": times}

    async def pasts(self, moments: list[int], chat: str = CHAT) -> dict[str, Any]:
        times: list[float] = []
        for moment in moments:
            began = time.perf_counter()
            texts = await settled(self.subject.past(chat, moment))
            times.append(time.perf_counter() - began)
            _check(texts, [text_of(number) for number in range(moment)])
        return {"times": times}

    async def shelf(self, first: int, count: int, messages: int, budget: float = 1e9) -> dict[str, Any]:
        """So many conversations of so many messages, each with a team."""
        start = time.perf_counter()
        for number in range(first, first + count):
            chat = f"chat-{number:05}"
            await settled(self.subject.create(chat, f"team-{number % TEAMS}"))
            if await settled(self.subject.import_tree(chat, parents_of("linear", messages))) is None:
                for place in range(messages):
                    await settled(self.subject.say(chat, role_of(place), text_of(place)))
            if self.shelving_seconds + time.perf_counter() - start > budget:
                raise TooSlow(f"at {number + 1:,} conversations after {budget:g} s")
        self.shelving_seconds += time.perf_counter() - start
        return {"made": first + count}

    async def newest(self, limit: int, expected: int) -> dict[str, Any]:
        return await self._listed(lambda: self.subject.newest(limit), expected)

    async def filtered(self, team: str, limit: int, expected: int) -> dict[str, Any]:
        return await self._listed(lambda: self.subject.filtered(team, limit), expected)

    async def count(self, team: str, expected: int) -> dict[str, Any]:
        return await self._listed(lambda: self.subject.count(team), expected)

    async def _listed(self, work: Callable[[], Any], expected: int) -> dict[str, Any]:
        start = time.perf_counter()
        found = await settled(work())
        seconds = time.perf_counter() - start
        found = found if isinstance(found, int) else len(found)
        if found != expected:
            raise RuntimeError(f"found {found} conversations, expected {expected}")
        return {"seconds": seconds}

    async def crowd(self, writers: int, each: int, prefix: str = "writer") -> dict[str, Any]:
        """Many writers at once in this process, each with a conversation of its own."""
        chats = [f"{prefix}-{number}" for number in range(writers)]
        for chat in chats:
            await settled(self.subject.create(chat))
        if self.subject.together == "async":
            return await self._crowd_async(chats, each)
        if self.subject.together == "threads":
            return await asyncio.to_thread(self._crowd_threads, chats, each)
        raise Cannot(self.subject.together)

    async def _crowd_async(self, chats: list[str], each: int) -> dict[str, Any]:
        times: list[float] = []
        errors: list[str] = []

        async def write(chat: str) -> None:
            for number in range(each):
                began = time.perf_counter()
                try:
                    await self.subject.say(chat, role_of(number), text_of(number))
                except Exception as error:
                    errors.append(f"{type(error).__name__}: {error}")
                else:
                    times.append(time.perf_counter() - began)

        start = time.perf_counter()
        await asyncio.gather(*map(write, chats))
        return {"seconds": time.perf_counter() - start, "times": times, "errors": errors}

    def _crowd_threads(self, chats: list[str], each: int) -> dict[str, Any]:
        times: list[float] = []
        errors: list[str] = []

        def write(chat: str) -> None:
            for number in range(each):
                began = time.perf_counter()
                try:
                    self.subject.say(chat, role_of(number), text_of(number))
                except Exception as error:
                    errors.append(f"{type(error).__name__}: {error}")
                else:
                    times.append(time.perf_counter() - began)

        start = time.perf_counter()
        with ThreadPoolExecutor(len(chats)) as pool:
            list(pool.map(write, chats))
        return {"seconds": time.perf_counter() - start, "times": times, "errors": errors}

    async def alone(self, chat: str, count: int, at: float) -> dict[str, Any]:
        """One of several processes on one file: messages one by one from a moment on, errors counted.

        The moment is one of the system's clock that never goes back, which all processes share.
        """
        times: list[float] = []
        errors: list[str] = []
        await asyncio.sleep(max(at - time.monotonic(), 0))
        start = time.perf_counter()
        for number in range(count):
            began = time.perf_counter()
            try:
                await settled(self.subject.say(chat, role_of(number), text_of(number)))
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            else:
                times.append(time.perf_counter() - began)
        return {"seconds": time.perf_counter() - start, "times": times, "errors": errors}

    async def lengths(self, chats: list[str]) -> dict[str, Any]:
        """How many messages each of these conversations has, read anew."""
        found = []
        for chat in chats:
            try:
                await settled(self.subject.load(chat))
                found.append(len(await settled(self.subject.path(chat))))
            except Exception as error:
                found.append(0)
                print(f"{chat}: {error!r}", file=sys.stderr)
        return {"lengths": found}

    async def race(self, chat: str = "race") -> dict[str, Any]:
        await settled(self.subject.create(chat))
        await settled(self.subject.say(chat, "user", "before"))
        texts, told = await settled(self.subject.race(chat))
        await settled(self.subject.load(chat))
        path = await settled(self.subject.path(chat))
        both = ("first", "second")
        return {
            "kept": [text for text in both if text in texts],
            "shown": [text for text in both if text in path],
            "told": told,
        }

    async def _timed(self, work: Callable[[], Any]) -> float:
        start = time.perf_counter()
        await settled(work())
        return time.perf_counter() - start


def _check_path(texts: list[str], shape: str, count: int) -> None:
    _check(texts, [text_of(place) for place in line_of(parents_of(shape, count), count - 1)])


def _check(found: list[str], expected: list[str]) -> None:
    if list(found) != expected:
        raise RuntimeError(f"read {len(found)} messages that are not the {len(expected)} expected")


async def _serve(driver: Driver, steps: Iterator[str], answers: Any) -> None:
    for line in steps:
        step = json.loads(line)
        try:
            answer = await getattr(driver, step.pop("do"))(**step)
        except Cannot as error:
            answer = {"cannot": str(error)}
        except TooSlow as error:
            answer = {"stopped": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:120]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def drive(subject: Callable[[Path, str], Subject]) -> None:
    """Serve steps from standard input until it ends. What the subject prints goes to standard error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("option", nargs="?", default="")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    driver = Driver(subject(arguments.folder, arguments.option))
    asyncio.run(_serve(driver, iter(sys.stdin.readline, ""), answers))
