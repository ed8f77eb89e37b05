"""Preference pairs: the better of two alternatives is chosen, by verdict or rating, and nothing else makes a pair."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.exchange import export, import_file
from branchlog.explore import prefer


def rated(*ratings, texts=None, role="assistant"):
    chat = branchlog.Conversation.start(system="Be brief.")
    ask = chat.say("user", "Kyoto?")
    for number, rating in enumerate(ratings):
        node = chat.add(role, f"r{number}" if texts is None else texts[number], under=ask)
        if rating is not None:
            chat.annotate(node, rating=rating)
    return chat


def pairs(chat):
    return [(pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in export(chat, "preferences")]


def test_a_pair_has_the_messages_above_the_two_replies_and_the_ratings():
    assert export(rated(2, 4.5), "preferences") == [
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Kyoto?"}],
            "chosen": [{"role": "assistant", "content": "r1"}],
            "rejected": [{"role": "assistant", "content": "r0"}],
            "score_chosen": 4.5,
            "score_rejected": 2,
        }
    ]


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        ((1, 2, 3), [("r2", "r1"), ("r2", "r0"), ("r1", "r0")]),
        ((3, 3), []),
        ((3, 3, 1), [("r0", "r2"), ("r1", "r2")]),
        ((5, None, 1), [("r0", "r2")]),
        ((5, None), []),
        ((5,), []),
        ((), []),
    ],
)
def test_the_pairs_of_ratings(ratings, expected):
    assert pairs(rated(*ratings)) == expected


@given(st.lists(st.none() | st.integers(1, 5), max_size=8))
def test_there_is_a_pair_for_each_two_ratings_that_differ_and_for_no_others(ratings):
    known = [rating for rating in ratings if rating is not None]
    found = export(rated(*ratings), "preferences")

    assert len(found) == sum(one > other for one in known for other in known)
    assert all(pair["score_chosen"] > pair["score_rejected"] for pair in found)
    assert len({json.dumps(pair) for pair in found}) == len(found)


def test_a_verdict_makes_a_pair_and_wins_over_ratings():
    chat = rated(5, 1, None, 3)
    prefer(chat, "0.1", "0.0")
    prefer(chat, "0.2", "0.0")
    prefer(chat, "0.3", "0.1")

    assert pairs(chat) == [("r0", "r3"), ("r1", "r0"), ("r2", "r0"), ("r3", "r1")]
    scores = [(pair.get("score_chosen"), pair.get("score_rejected")) for pair in export(chat, "preferences")]
    assert scores == [(5, 3), (None, None), (None, None), (3, 1)]


def test_the_majority_of_judges_counts_and_where_there_is_none_the_ratings():
    chat = rated(4, 2)
    prefer(chat, "0.1", "0.0", by="me")
    prefer(chat, "0.0", "0.1", by="you")
    assert pairs(chat) == [("r0", "r1")]
    prefer(chat, "0.1", "0.0", by="all")
    assert pairs(chat) == [("r1", "r0")]

    divided = rated(3, 3)
    prefer(divided, "0.1", "0.0", by="me")
    prefer(divided, "0.0", "0.1", by="you")
    assert pairs(divided) == []


def test_verdicts_are_none_in_a_fork_of_the_conversation():
    chat = rated(None, None)
    prefer(chat, "0.0", "0.1")
    fork = chat.fork_from("0.0")
    fork.add("assistant", "later", under="0")

    assert pairs(fork) == []


def test_equal_texts_are_no_pair():
    assert pairs(rated(5, 1, 2, texts=["a", "a", "b"])) == [("a", "b"), ("b", "a")]


def test_only_what_the_assistant_says_is_compared():
    assert pairs(rated(5, 1, role="user")) == []


def test_hidden_and_erased_replies_are_left_out():
    chat = rated(5, 3, 2, 1)
    replies = chat.tree.root.children[0].children
    chat.annotate(replies[0], hidden=True)
    chat.redact(replies[3])

    assert pairs(chat) == [("r1", "r2")]


def test_below_an_erased_question_there_is_no_pair():
    chat = rated(5, 1)
    chat.redact(chat.tree.root.children[0])

    assert pairs(chat) == []


def test_alternatives_without_a_question_are_no_pair():
    chat = branchlog.Conversation.start()
    for rating in (5, 1):
        chat.annotate(chat.add("assistant", str(rating), under=chat.tree.root), rating=rating)

    assert pairs(chat) == []


def test_every_fork_of_a_tree_gives_its_pairs():
    chat = rated(5, 1)
    more = chat.say("user", "More?", under="0.1")
    for rating in (2, 4):
        chat.annotate(chat.add("assistant", str(rating), under=more), rating=rating)

    assert pairs(chat) == [("r0", "r1"), ("4", "2")]
    assert [message["content"] for message in export(chat, "preferences")[1]["prompt"]][1:] == ["Kyoto?", "r1", "More?"]


def test_tool_calls_are_compared_as_they_are():
    chat = branchlog.Conversation.start()
    ask = chat.say("user", "Kyoto?")
    calls = [[{"id": "a", "type": "function", "function": {"name": name, "arguments": "{}"}}] for name in "fg"]
    for call, rating in zip(calls, (1, 2), strict=True):
        node = chat.add(branchlog.Message("assistant", None, tool_calls=call), under=ask)
        chat.annotate(node, rating=rating)
    (pair,) = export(chat, "preferences")

    assert pair["chosen"] == [{"role": "assistant", "content": None, "tool_calls": calls[1]}]


def test_the_pairs_of_real_ranked_replies(samples):
    path = samples / "oasst" / "open-assistant_en_100_tree.jsonl"
    expected = 0
    todo = [json.loads(line)["prompt"] for line in path.read_text().splitlines()]
    while todo:
        replies = todo.pop()["replies"]
        todo += replies
        ranked = [reply for reply in replies if reply.get("rank") is not None and not reply["deleted"]]
        expected += sum(
            one["rank"] < other["rank"]
            and one["text"] != other["text"]
            and {one["role"], other["role"]} == {"assistant"}
            for one in ranked
            for other in ranked
        )
    with branchlog.open("memory:") as store:
        import_file(store, path)
        found = [pair for each in store.list(limit=1000) for pair in export(store.load(each.id), "preferences")]

    assert len(found) == expected > 300
