"""Strategies for lists of messages: well-formed ones, of an alphabet in which they often begin alike, and odd ones."""

import json

from formats.exports import anything, texts
from hypothesis import strategies as st

from branchlog.formats.carry import carried

calls = st.builds(
    lambda call, name, arguments: {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}},
    st.sampled_from(["call_1", "call_2"]),
    st.sampled_from(["search", "read"]),
    st.sampled_from(['{"q": "Kyoto"}', "{}", "{not JSON", ""]),
)
parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,", "detail": "low"}}),
)
few_words = st.sampled_from(["Kyoto?", "Day 1", "", "nul \0", "\u202e\U0001f3ef"])

messages = st.one_of(
    st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant"]), few_words),
    st.builds(lambda found: {"role": "user", "content": found}, st.lists(parts, min_size=1, max_size=2)),
    st.builds(lambda text, name: {"role": "user", "content": text, "name": name}, few_words, st.just("Ida")),
    st.builds(
        lambda found, content: {"role": "assistant", "content": content, "tool_calls": found},
        st.lists(calls, min_size=1, max_size=2),
        st.sampled_from([None, "", "Let me look."]),
    ),
    st.builds(
        lambda found, extra: {"role": "assistant", "tool_calls": found, **extra},
        st.lists(calls, min_size=1, max_size=1),
        st.sampled_from([{}, {"weight": 0}, {"weight": 1}, {"refusal": None}]),
    ),
    st.builds(lambda text: {"role": "tool", "tool_call_id": "call_1", "content": text}, few_words),
)
instructions = st.builds(
    lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "developer"]), few_words
)


@st.composite
def message_lists(draw, size_max=5):
    return draw(st.lists(instructions, max_size=1)) + draw(st.lists(messages, min_size=1, max_size=size_max))


def clean(value):
    """As JSON carries it; what it cannot carry as branchlog keeps it."""
    return carried({"it": json.loads(json.dumps(value))}, "", [])["it"]


fields = st.dictionaries(
    st.sampled_from(["role", "content", "name", "tool_calls", "tool_call_id", "weight", "id"]), anything, max_size=4
)
odd_messages = st.builds(
    lambda message, changes: clean({**message, **changes}), st.one_of(messages, instructions), fields
)


def forest(lists):
    """The lists as trees: of each beginning, the texts of what follows it; by what begins a conversation."""
    return {
        tuple(json.dumps(said(message)) for message in each[: end + 1]) for each in lists for end in range(len(each))
    }


def said(message):
    """What tells a message from another one."""
    return {key: message[key] for key in sorted(message) if message[key] not in (None, "", [])}
