"""Importing a large file of each format: messages a second, peak memory, and a bare ``msgspec.json.decode`` beside it.

Conversations of 20 turns with one fork each, texts of 600 characters; formats of one conversation a file have one long
conversation. Each import and each decode runs in a process of its own, into a SQLite store with relaxed durability, so
that the importer is measured and not the disk. Lines are decoded one by one. The archive is that of the imported store.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

import branchlog
from benchmarks.measure import Figure, text_of
from branchlog.archive import write_archive
from branchlog.exchange import import_file

TURNS = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
ROLES = ("user", "assistant")


def run(folder: Path, quick: bool) -> list[Figure]:
    size_bytes = 2_000_000 if quick else 100_000_000
    figures = []
    for name, lines in SHAPES.items():
        path = folder / name
        write(path, lines, size_bytes)
        figures += measured(name, path)
        if name == "chatgpt":
            figures += _archived(folder, path)
        path.unlink()
    return figures


def measured(name: str, path: Path) -> list[Figure]:
    """The figures of one file."""
    decoded, imported = _child("decode", path), _child("import", path)
    megabytes = path.stat().st_size / 1e6
    what = f"{name}, {megabytes:,.0f} MB"
    return [
        Figure("formats", f"{what}: messages", imported["nodes"], ""),
        Figure("formats", f"{what}: messages a second", imported["nodes"] / imported["seconds"], "1/s"),
        Figure("formats", f"{what}: import against bare decode", imported["seconds"] / decoded["seconds"], "times"),
        Figure("formats", f"{what}: peak memory of the import", imported["peak_mb"], "MB"),
        Figure("formats", f"{what}: peak memory of the bare decode", decoded["peak_mb"], "MB"),
    ]


def _archived(folder: Path, path: Path) -> list[Figure]:
    with branchlog.open(folder / "archived.db", durability="relaxed") as store:
        import_file(store, path)
        with (folder / "archive").open("wb") as file:
            write_archive(store, file)
    return measured("archive", folder / "archive")


def _child(work: str, path: Path) -> dict[str, float]:
    """Do it in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.formats", work, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def main(work: str, path: str) -> None:
    started = time.perf_counter()
    nodes = {"decode": _decode, "import": _import}[work](Path(path))
    taken = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / 1e6
    print(json.dumps({"nodes": nodes, "seconds": taken, "peak_mb": peak}))


def _decode(path: Path) -> int:
    """The whole file at once if it is one value, line by line if it is lines."""
    if path.read_bytes()[:1] == b"[":
        msgspec.json.decode(path.read_bytes())
    else:
        with path.open("rb") as file:
            for line in file:
                msgspec.json.decode(line)
    return 0


def _import(path: Path) -> int:
    with branchlog.open(path.with_suffix(".db"), durability="relaxed") as store:
        report = import_file(store, path)
    path.with_suffix(".db").unlink()
    if report.skipped or report.repairs or not report.nodes:
        raise SystemExit(f"{path.name}: {report.skipped[:2]} {report.repairs[:2]} {report.nodes} nodes")
    return report.nodes


# Files.

Lines = Iterator[tuple[str, Any, str]]
"""What stands before a value, the value, what stands behind it."""


def write(path: Path, values: Callable[[], Lines], size_bytes: int) -> None:
    """Write values until the file has this size."""
    with path.open("w") as file:
        for before, value, behind in values():
            file.write(before)
            json.dump(value, file)
            if file.tell() >= size_bytes:
                file.write(behind)
                return


def array(conversation: Callable[[int], Any]) -> Callable[[], Lines]:
    """An array of conversations."""

    def values() -> Lines:
        number = 0
        while True:
            yield ",\n" if number else "[", conversation(number), "]"
            number += 1

    return values


def lines(records: Callable[[], Iterator[Any]]) -> Callable[[], Lines]:
    """A record on each line."""

    def values() -> Lines:
        for number, record in enumerate(records()):
            yield "\n" if number else "", record, "\n"

    return values


def each_line(conversation: Callable[[int], Any]) -> Callable[[], Lines]:
    """A conversation on each line."""

    def records() -> Iterator[Any]:
        number = 0
        while True:
            yield conversation(number)
            number += 1

    return lines(records)


def turns(number: int, count: int = TURNS) -> Iterator[tuple[str, str | None, str, str, datetime]]:
    """Id, id of the parent, role, text and time of each message; the last answer was given twice."""
    for place in range(count):
        parent = f"{number}-{place - 1}" if place else None
        said = f"{number} {place} {text_of(600)}"
        yield f"{number}-{place}", parent, ROLES[place % 2], said, START + timedelta(hours=number, seconds=place)
    yield f"{number}-b", f"{number}-{count - 2}", "assistant", text_of(600), START + timedelta(hours=number, minutes=5)


def chatgpt(number: int) -> Any:
    children: dict[str, list[str]] = {}
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": [f"{number}-0"]}}
    for id, parent, role, text, at in turns(number):
        children.setdefault(parent or "root", []).append(id)
        message = {
            "id": id,
            "author": {"role": role, "name": None, "metadata": {}},
            "create_time": at.timestamp(),
            "update_time": None,
            "content": {"content_type": "text", "parts": [text]},
            "status": "finished_successfully",
            "end_turn": True,
            "weight": 1.0,
            "metadata": {"model_slug": "gpt-4", "timestamp_": "absolute", "message_type": "next"},
            "recipient": "all",
        }
        mapping[id] = {
            "id": id,
            "message": message,
            "parent": parent or "root",
            "children": children.setdefault(id, []),
        }
    conversation = f"conversation-{number}"
    now = START.timestamp()
    return {
        "title": conversation,
        "create_time": now,
        "update_time": now,
        "mapping": mapping,
        "current_node": f"{number}-b",
        "conversation_id": conversation,
        "id": conversation,
    }


def claude_ai(number: int) -> Any:
    root = "00000000-0000-4000-8000-000000000000"
    messages = [
        {
            "uuid": id,
            "text": text,
            "content": [{"type": "text", "text": text, "citations": []}],
            "sender": {"user": "human"}.get(role, role),
            "created_at": at.isoformat(),
            "updated_at": at.isoformat(),
            "attachments": [],
            "files": [],
            "parent_message_uuid": parent or root,
        }
        for id, parent, role, text, at in turns(number)
    ]
    at = START.isoformat()
    return {
        "uuid": f"conversation-{number}",
        "name": f"Conversation {number}",
        "created_at": at,
        "updated_at": at,
        "account": {"uuid": "me"},
        "chat_messages": messages,
    }


def open_webui(number: int) -> Any:
    messages: dict[str, Any] = {}
    for id, parent, role, text, at in turns(number):
        messages[id] = {
            "id": id,
            "parentId": parent,
            "childrenIds": [],
            "role": role,
            "content": text,
            "timestamp": int(at.timestamp()),
            "model": "llama3",
        }
        if parent:
            messages[parent]["childrenIds"].append(id)
    flat = [message for id, message in messages.items() if id != f"{number}-{TURNS - 1}"]
    chat = {
        "title": f"Conversation {number}",
        "models": ["llama3"],
        "history": {"currentId": f"{number}-b", "messages": messages},
        "messages": flat,
    }
    at = int(START.timestamp())
    return {
        "id": f"conversation-{number}",
        "user_id": "me",
        "title": chat["title"],
        "chat": chat,
        "created_at": at,
        "updated_at": at,
    }


def librechat(number: int) -> Any:
    messages = [
        {
            "messageId": id,
            "parentMessageId": parent or "00000000-0000-0000-0000-000000000000",
            "conversationId": f"conversation-{number}",
            "text": text,
            "sender": role,
            "isCreatedByUser": role == "user",
            "createdAt": at.isoformat(),
            "updatedAt": at.isoformat(),
        }
        for id, parent, role, text, at in turns(number)
    ]
    return {
        "conversationId": f"conversation-{number}",
        "endpoint": "openAI",
        "title": f"Conversation {number}",
        "branches": True,
        "recursive": False,
        "options": {},
        "messages": messages,
    }


def sillytavern() -> Iterator[Any]:
    yield {
        "user_name": "me",
        "character_name": "you",
        "create_date": "2026-01-01T00:00:00.000Z",
        "chat_metadata": {"integrity": "x"},
    }
    for number in range(10**9):
        mine = number % 2 == 0
        text = f"{number} {text_of(600)}"
        line = {"name": "me" if mine else "you", "is_user": mine, "is_system": False, "mes": text, "extra": {}}
        line["send_date"] = (START + timedelta(seconds=number)).isoformat()
        yield line if mine else {**line, "swipe_id": 0, "swipes": [text, "another"], "swipe_info": []}


def oasst(number: int) -> Any:
    prompt: dict[str, Any] = {}
    by_id: dict[str, dict[str, Any]] = {}
    for id, parent, role, text, at in turns(number):
        message = {
            "message_id": id,
            "text": text,
            "role": {"user": "prompter"}.get(role, role),
            "lang": "en",
            "created_date": at.isoformat(),
            "deleted": False,
            "labels": {"quality": {"value": 0.5, "count": 2}},
            "replies": [],
        }
        by_id[id] = message
        if parent is None:
            prompt = message
        else:
            by_id[parent]["replies"].append({**message, "parent_id": parent} | {"replies": message["replies"]})
    return {"message_tree_id": prompt["message_id"], "tree_state": "ready_for_export", "prompt": prompt}


def claude_code() -> Iterator[Any]:
    for number in range(10**9):
        role = ROLES[number % 2]
        message = {"role": role, "content": [{"type": "text", "text": f"{number} {text_of(600)}"}]}
        if role == "assistant":
            message |= {"id": f"msg_{number}", "model": "claude-4", "usage": {"input_tokens": 5, "output_tokens": 9}}
        yield {
            "type": role,
            "uuid": f"u{number}",
            "parentUuid": f"u{number - 1}" if number else None,
            "isSidechain": False,
            "sessionId": "measured",
            "timestamp": (START + timedelta(seconds=number)).isoformat(),
            "cwd": "/home/me",
            "version": "2.0.0",
            "userType": "external",
            "message": message,
        }


def pi() -> Iterator[Any]:
    yield {"type": "session", "version": 3, "id": "measured", "timestamp": START.isoformat(), "cwd": "/home/me"}
    for number in range(10**9):
        content = [{"type": "text", "text": f"{number} {text_of(600)}"}]
        yield {
            "type": "message",
            "id": f"e{number}",
            "parentId": f"e{number - 1}" if number else None,
            "timestamp": (START + timedelta(seconds=number)).isoformat(),
            "message": {"role": ROLES[number % 2], "content": content},
        }


def assistant_ui(number: int) -> Any:
    messages = [
        {
            "message": {
                "id": id,
                "role": role,
                "content": [{"type": "text", "text": text}],
                "createdAt": at.isoformat(),
                "status": {"type": "complete", "reason": "stop"},
                "metadata": {"custom": {}},
            },
            "parentId": parent,
        }
        for id, parent, role, text, at in turns(number)
    ]
    return {"headId": f"{number}-b", "messages": messages}


def chat_completions(number: int) -> Any:
    messages = [{"role": role, "content": text} for id, _, role, text, _ in turns(number) if not id.endswith("b")]
    return {"messages": [{"role": "system", "content": "You plan trips."}, *messages]}


def sharegpt(number: int) -> Any:
    said = [
        {"from": {"user": "human", "assistant": "gpt"}[role], "value": text}
        for id, _, role, text, _ in turns(number)
        if not id.endswith("b")
    ]
    return {"id": f"conversation-{number}", "conversations": said}


def dataknobs(number: int) -> Any:
    nodes, edges, places = [], [], {}
    for id, parent, role, text, at in turns(number):
        above = None if parent is None else places[parent]
        place = "" if above is None else f"{above}.0".lstrip(".") if not id.endswith("b") else f"{above}.1"
        places[id] = place
        nodes.append(
            {
                "node_id": place,
                "message": {"role": role, "content": text, "name": None, "metadata": {}},
                "timestamp": at.replace(tzinfo=None).isoformat(),
                "prompt_name": None,
                "branch_name": None,
                "metadata": {},
            }
        )
        edges += [] if above is None else [[above, place]]
    at = START.replace(tzinfo=None).isoformat()
    return {
        "schema_version": "1.1.0",
        "conversation_id": f"conversation-{number}",
        "current_node_id": places[f"{number}-b"],
        "metadata": {},
        "created_at": at,
        "updated_at": at,
        "nodes": nodes,
        "edges": edges,
    }


SHAPES: dict[str, Callable[[], Lines]] = {
    "chatgpt": array(chatgpt),
    "claude-ai": array(claude_ai),
    "open-webui": array(open_webui),
    "librechat": array(librechat),
    "sillytavern": lines(sillytavern),
    "oasst": each_line(oasst),
    "claude-code": lines(claude_code),
    "pi": lines(pi),
    "assistant-ui": array(assistant_ui),
    "chat-completions": each_line(chat_completions),
    "sharegpt": array(sharegpt),
    "dataknobs": array(dataknobs),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
