"""Conversations for the formats that people read: a small one with everything, and ones with awkward text."""

from datetime import UTC, datetime, timedelta

import branchlog
from branchlog import Message

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)

NASTY = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    "</style><script>window.hacked = 3</script>",
    "--><script>window.hacked = 4</script><!--",
    "</title><body onload='window.hacked = 5'>",
    "\" onclick='window.hacked = 6' x=\"",
    "</script></div></article></details><iframe srcdoc='<script>parent.hacked = 7</script>'>",
    "<a href='javascript:window.hacked = 8'>here</a>",
    "<svg/onload=window.hacked=9>",
    "javascript:window.hacked=10",
    "&lt;script&gt; &#60;b&#62; \u202e gnihtyreve \0 \x1b[31m",
    "]]><!DOCTYPE x><base href='https://example.invalid/'><meta http-equiv=refresh content='0;url=https://example.invalid'>",
)
"""Texts that would act if they were taken for markup."""


def chat_of(id: str = "walk", title: str | None = "A walk") -> branchlog.Conversation:
    """A conversation whose clock goes a minute forward at each event."""
    ticks = iter(range(10**9))
    return branchlog.Conversation.start(
        id,
        title=title,
        system=Message("system", "You plan walks."),
        clock=lambda: NOON + timedelta(minutes=next(ticks)),
    )


def walk() -> branchlog.Conversation:
    """Three alternatives, with a tool call, a rating, a label, a model and an image; the cursor beneath the third."""
    chat = chat_of()
    question = chat.say("user", "Where shall we walk?")
    river = chat.say("assistant", "Along the river.", metadata={"model": "walker-2"})
    chat.say("user", "And if it rains?")
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"day": "today"}'}}
    chat.add(Message("assistant", None, tool_calls=[call]), under=question)
    castle = chat.say("assistant", "To the castle.", under=question)
    chat.say(
        Message("user", [{"type": "text", "text": "This one?"}, {"type": "image_url", "image_url": {"url": PIXEL}}])
    )
    chat.annotate(river, rating=4, label="river")
    chat.annotate(castle, bookmark=True)
    return chat


def nasty() -> branchlog.Conversation:
    """Awkward texts wherever a text can be."""
    chat = chat_of(id=NASTY[0].replace("\0", ""), title="".join(NASTY)[:200])
    question = chat.say("user", "What?")
    for number, text in enumerate(NASTY):
        call = {"id": text, "type": "function", "function": {"name": text, "arguments": text}}
        parts = [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": text}},
            {"type": text, "value": text},
        ]
        said = Message("tool", parts, name=text, tool_calls=[call], tool_call_id=text, metadata={"model": text})
        node = chat.say(said, under=question)
        chat.say("<b onclick=hacked=1>", text)
        chat.annotate(node, rating=number % 5 + 1)
    chat.annotate(question, label="b-onload-x")
    return chat


def deep(count: int, every: int = 0) -> branchlog.Conversation:
    """So many messages one beneath the other; beside each so-manieth an alternative."""
    chat = chat_of(id="deep", title=None)
    for number in range(1, count):
        node = chat.say("user" if number % 2 else "assistant", f"message {number}")
        if every and number % every == 0:
            chat.add("assistant", f"another {number}", under=node.parent)
    return chat


def wide(count: int) -> branchlog.Conversation:
    """So many alternatives."""
    chat = chat_of(id="wide", title=None)
    for number in range(1, count + 1):
        chat.say("user", f"message {number}", under="root")
    return chat
