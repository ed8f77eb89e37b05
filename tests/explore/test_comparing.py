"""Branches beside each other: aligned by turns, compared by words, and nothing unknown counted as nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput, NodeNotFound
from branchlog.explore import Price, align, model_of, responder_of, spent, spent_by_model, text_diff

TEXTS = st.text(st.sampled_from("ab c_.\n\u00e9\u4eac\U0001f600"), max_size=40)


@given(TEXTS, TEXTS)
def test_a_diff_is_both_texts(one, other):
    spans = text_diff(one, other)

    assert "".join(span.text for span in spans if span.operation != "added") == one
    assert "".join(span.text for span in spans if span.operation != "removed") == other
    assert (one == other) == all(span.operation == "same" for span in spans)
    assert all(span.text for span in spans)


def test_words_are_compared_and_not_letters():
    spans = text_diff("Along the river, slowly.", "Along the ridge, slowly.")

    assert [(span.operation, span.text) for span in spans] == [
        ("same", "Along the "),
        ("removed", "river"),
        ("added", "ridge"),
        ("same", ", slowly."),
    ]


def test_signs_of_languages_without_blanks_are_words():
    assert [span.text for span in text_diff("\u6771\u4eac\u3078", "\u4eac\u90fd\u3078")] == [
        "\u6771",
        "\u4eac",
        "\u90fd",
        "\u3078",
    ]


def test_long_texts_are_compared_by_lines():
    lines = [f"line {number} of many words\n" for number in range(2_000)]
    spans = text_diff("".join(lines), "".join([*lines[:7], "another line\n", *lines[8:]]))

    assert [(span.operation, span.text) for span in spans[1:3]] == [("removed", lines[7]), ("added", "another line\n")]


def reply(chat, under, text, **said):
    return chat.add("assistant", text, under=under, metadata={"reply": said})


def usage(tokens_in, tokens_out):
    return {"input_tokens": tokens_in, "output_tokens": tokens_out}


@pytest.fixture
def chat():
    """A question with three answers; behind two of them it goes on."""
    made = branchlog.Conversation.start("trip", system="Be brief.")
    ask = made.say("user", "Kyoto?")
    river = reply(made, ask, "The river.", model="small", responder="small at 0.2", usage=usage(100, 10))
    hill = reply(made, ask, "The hill.", model="large", usage={"prompt_tokens": 200, "completion_tokens": 20})
    made.add("assistant", "No idea.", under=ask)
    rain = made.add("user", "And if it rains?", under=river)
    reply(made, rain, "Then the bus.", model="small", usage=usage(150, 5), cost=0.5)
    rain = made.add("user", "And if it snows?", under=hill)
    call = made.add(branchlog.Message("assistant", None, tool_calls=[{"id": "1"}]), under=rain)
    tool = made.add(branchlog.Message("tool", "snow", tool_call_id="1"), under=call)
    reply(made, tool, "Then a sled.", model="large")
    made.add("user", "Thanks.", under="0.1.0.0.0.0")
    return made


PRICES = {"small": Price(1, 10), "large": Price(2.0, 20.0)}


def test_branches_are_aligned_by_the_messages_of_users(chat):
    found = align(chat, "0.0.0.0", "0.1.0.0.0.0.0", "0.2")

    assert found.ancestor.id == "0"
    assert [turn.texts() for turn in found.turns] == [
        ("The river.", "The hill.", "No idea."),
        ("And if it rains?\n\nThen the bus.", "And if it snows?\n\n\n\nsnow\n\nThen a sled.", ""),
        ("", "Thanks.", ""),
    ]
    assert [[node.id for node in way.tail] for way in found.ways][::2] == [["0.0", "0.0.0", "0.0.0.0"], ["0.2"]]
    assert not found.same


def test_edits_stand_beside_each_other_and_replies_beside_replies(chat):
    chat.edit("0", "Nara?")
    reply(chat, "1", "The deer.")

    assert [turn.texts() for turn in align(chat, "0.0", "1.0").turns] == [
        ("Kyoto?\n\nThe river.", "Nara?\n\nThe deer.")
    ]
    assert [turn.texts() for turn in align(chat, "0", "0.0.0").turns] == [("", "The river."), ("", "And if it rains?")]


def test_a_turn_tells_its_words(chat):
    (turn,) = align(chat, "0.0", "0.1").turns

    assert [span.text for span in turn.diff() if span.operation != "same"] == ["river", "hill"]
    assert [span.operation for span in turn.diff(1, 1)] == ["same"]


def test_the_same_words_under_other_nodes_are_the_same(chat):
    chat.add("assistant", "The river.", under="0")

    assert align(chat, "0.0", "0.3").same
    assert align(chat, "0.0", "0.0").same
    assert not align(chat, "0.0", "0.3", "0.1").same


def test_tokens_and_costs_of_each_branch(chat):
    river, hill, idle = align(chat, "0.0.0.0", "0.1.0.0.0.0", "0.2", prices=PRICES).ways

    assert (river.spent.replies, river.spent.input_tokens, river.spent.output_tokens) == (2, 250, 15)
    assert river.spent.cost == pytest.approx(0.5 + (100 * 1 + 10 * 10) / 1e6)
    assert (river.spent.unknown_tokens, river.spent.unknown_cost) == (0, 0)
    assert (hill.spent.replies, hill.spent.input_tokens, hill.spent.output_tokens) == (3, 200, 20)
    assert hill.spent.cost == pytest.approx((200 * 2 + 20 * 20) / 1e6)
    assert (hill.spent.unknown_tokens, hill.spent.unknown_cost) == (2, 2)
    assert (idle.spent.input_tokens, idle.spent.output_tokens, idle.spent.cost) == (None, None, None)
    assert (idle.spent.unknown_tokens, idle.spent.unknown_cost) == (1, 1)


def test_each_reply_is_counted_once_for_its_model(chat):
    found = align(chat, "0.0", "0.0.0.0", "0.1.0.0.0.0", prices=PRICES).by_model

    assert list(found) == ["large", "small", None]
    assert (found["small"].replies, found["small"].input_tokens) == (2, 250)
    assert (found["large"].replies, found["large"].unknown_tokens) == (2, 1)
    assert (found[None].replies, found[None].cost) == (1, None)


def test_nothing_spent_is_nothing_and_not_unknown(chat):
    none = spent(chat.path("0"))

    assert (none.replies, none.input_tokens, none.output_tokens, none.cost, none.unknown_cost) == (0, 0, 0, 0.0, 0)


def test_without_prices_only_what_is_told_is_known(chat):
    found = spent(chat.path("0.0.0.0"))

    assert (found.cost, found.unknown_cost) == (0.5, 1)


def test_a_price_may_be_that_of_a_responder(chat):
    found = spent(chat.path("0.0"), {"small at 0.2": Price(10_000, 0)})

    assert found.cost == pytest.approx(1.0)
    assert responder_of(chat.node("0.0")) == "small at 0.2"


def test_what_dataknobs_says_is_read(chat):
    kept = {"model": "m", "cost_usd": 0.25, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    node = chat.add("assistant", "x", under="0", metadata={"dataknobs": {"node": {"metadata": kept}}})
    found = spent([node])

    assert (found.input_tokens, found.output_tokens, found.cost) == (3, 4, 0.25)
    assert model_of(node) == "m"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**60) | st.floats(-1, 1) | st.text(max_size=3), st.lists, max_leaves=3
)
SAID = st.dictionaries(st.sampled_from(["model", "usage", "cost", "responder", "input_tokens"]), JSON, max_size=4)


@given(JSON | SAID | st.fixed_dictionaries({"usage": SAID}))
def test_metadata_of_any_shape_is_unknown_and_no_error(said):
    chat = branchlog.Conversation.start()
    node = chat.add("assistant", "x", under="root", metadata={"reply": said})
    found = spent([node], PRICES)

    assert found.replies == 1
    assert (found.cost is None) == (found.unknown_cost == 1)
    assert sum(each.replies for each in spent_by_model([node]).values()) == 1


@pytest.mark.parametrize("price", [(-1, 1), (1, float("nan")), ("1", 1), (True, 1), (1, float("inf"))])
def test_a_price_is_a_number(price):
    with pytest.raises(InvalidInput):
        Price(*price)


def test_it_takes_two(chat):
    with pytest.raises(InvalidInput, match="two nodes"):
        align(chat, "0.0")
    with pytest.raises(NodeNotFound):
        align(chat, "0.0", "9")
