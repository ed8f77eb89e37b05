"""Strategies for conversations made here, with all that they can hold, and what a tree says, to compare by."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from branchlog._core.message import Message
from branchlog.conversation import Conversation

BEGAN = datetime(2025, 11, 21, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["\x00", "a\n\nb", "\u2028", "<b>"]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(
    st.sampled_from(["id", "chatgpt", "open-webui", "model", "parent", "node", "x"]), plain, max_size=2
)
parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.just({"url": "data:,"})}),
    st.fixed_dictionaries({"type": texts}, optional={"text": plain, "content_type": plain}),
)
calls = st.lists(objects, min_size=1, max_size=2)


@st.composite
def messages(draw):
    tool_calls = draw(st.none() | calls)
    content = texts | st.lists(parts, max_size=3)
    return Message(
        draw(st.sampled_from(["system", "user", "assistant", "tool", "human", "odd role"])),
        draw(content if tool_calls is None else content | st.none()),
        name=draw(st.none() | texts),
        tool_calls=tool_calls,
        tool_call_id=draw(st.none() | texts),
        metadata=draw(objects),
    )


@st.composite
def conversations(draw, nodes_max=8):
    """A conversation of any messages, with forks, ratings, hidden and redacted nodes, and maybe an empty root."""
    times = st.integers(0, 10**12).map(lambda microseconds: BEGAN + timedelta(microseconds=microseconds))
    chat = Conversation.start(
        draw(st.sampled_from(["trip", "a/b", "ü"])),
        title=draw(st.none() | texts),
        system=draw(st.none() | messages()),
        metadata=draw(objects),
        time=draw(times),
    )
    for _ in range(draw(st.integers(0, nodes_max - 1))):
        chat.add(draw(messages()), under=draw(st.sampled_from(list(chat.tree.nodes))), time=draw(times))
    change(draw, chat)
    return chat


def change(draw, chat):
    """Annotate and redact some nodes, and move somewhere."""
    nodes = st.sampled_from(list(chat.tree.nodes))
    for _ in range(draw(st.integers(0, 2))):
        chat.annotate(draw(nodes), rating=draw(st.sampled_from([1, 2.5, 5])))
        chat.annotate(draw(nodes), hidden=draw(st.booleans()))
        chat.annotate(draw(nodes), bookmark=True, metadata=draw(objects))
    if draw(st.booleans()):
        chat.annotate(draw(nodes), label="best")
    if draw(st.booleans()):
        chat.redact(draw(nodes))
    chat.move(draw(nodes))


def shape(chat):
    """What a tree says, in order, and where it stands."""
    nodes = {
        node.id: (node.message and node.message.to_chat(), node.rating, node.hidden, node.label, node.bookmark)
        for node in chat.tree.walk()
    }
    return nodes, chat.cursor.id, chat.title


def own_metadata(chat, format):
    """The metadata of the messages, apart from what the format keeps there."""
    return {
        node.id: {key: value for key, value in node.message.metadata.items() if key != format}
        for node in chat.tree.walk()
        if node.message is not None
    }
