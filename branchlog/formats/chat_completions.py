"""Messages as a chat-completions API takes them: one list, many lists, or objects that have one as ``messages``.

A file of messages is one conversation; a file of lists, or of objects such as fine-tuning takes, is many. Lists that
begin alike, up to the first message that is not the system's or the developer's at least, become one tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from branchlog._core.message import Json
from branchlog.conversation import Conversation, NodeLike
from branchlog.errors import InvalidInput
from branchlog.formats.carry import JsonObject, Repairs, Skipped, carried, kind_of
from branchlog.formats.lists import Found, Listed, as_chat, chat_piece, objects, read_list, read_lists
from branchlog.formats.outline import Join, Outline, described

FORMAT = "chat-completions"
JOIN: Join = "array"
SUFFIX = ".json"
PATHS = True

MESSAGES_LOOKED_AT = 10
"""Messages at the beginning of a list by which it is known; some may be damaged."""

OF_OTHERS = {"message_id", "messageId", "uuid", "parentId", "parentUuid", "parentMessageId", "parent_id", "is_user"}
"""Fields of the messages of trees, which are other formats'."""

HELD_BY_OTHERS = {
    "history",
    "mapping",
    "conversationId",
    "chat",
    "chat_messages",
    "headId",
    "nodes",
    "conversation",
    "conversations",
    "loglines",
    "prompt",
}
"""Fields of other formats' conversations, of which some have ``messages`` too."""


def _is_message(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and not value.keys().isdisjoint(("content", "tool_calls", "function_call"))
        and value.keys().isdisjoint(OF_OTHERS)
    )


def _is_list(value: Json) -> bool:
    return isinstance(value, list) and any(map(_is_message, value[:MESSAGES_LOOKED_AT]))


def recognises(value: JsonObject) -> bool:
    """Whether this object has a list of messages."""
    return _is_list(value.get("messages")) and value.keys().isdisjoint(HELD_BY_OTHERS)


def read(value: JsonObject, where: str) -> tuple[Outline, Repairs]:
    """The conversation, not mended yet, and what was repaired; raises ``InvalidInput`` if it has no messages."""
    return read_list(FORMAT, _listed(value, where), where)


def recognises_records(values: Sequence[Json]) -> bool:
    """Whether there is a message among these, a list of messages, or an object with one."""
    return any(
        _is_message(value) or _is_list(value) or (isinstance(value, dict) and recognises(value)) for value in values
    )


def read_records(records: Iterable[tuple[str, Json]], name: str) -> Iterator[Found | Skipped]:  # noqa: ARG001  # a conversation is named by what it says
    """The conversations of a file: one of each list, and one of all messages that stand by themselves."""
    messages: list[Json] = []
    yield from read_lists(FORMAT, _lists(records, messages), _listed)
    if messages:
        yield from read_lists(FORMAT, [("conversation 1", messages)], _listed)


def _lists(records: Iterable[tuple[str, Json]], messages: list[Json]) -> Iterator[tuple[str, Json]]:
    """Everything but messages by themselves, which are put aside."""
    for where, value in records:
        if isinstance(value, dict) and "messages" not in value and not value.keys().isdisjoint(("role", "content")):
            messages.append(value)
        else:
            yield where, value


def _listed(value: Json, where: str) -> Listed:
    fields: JsonObject = {}
    repairs: Repairs = []
    messages = value
    if isinstance(value, dict):
        messages = value.get("messages")
        fields = carried({key: field for key, field in value.items() if key != "messages"}, where, repairs)
    if not isinstance(messages, list):
        found = described(value) if messages is None or messages is value else f"messages that are {kind_of(messages)}"
        raise InvalidInput(f"not a list of messages: {found}")
    return Listed([chat_piece(raw) for raw in objects(messages, where, repairs)], fields, repairs=repairs)


def write(chat: Conversation, *, node: NodeLike | None = None) -> list[JsonObject]:
    """The messages on the path to a node, or to where the default cursor is: what a model is sent."""
    return [as_chat(message, FORMAT) for message in chat.messages(node)]
