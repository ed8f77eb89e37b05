"""Verdicts are kept and replaced, and the ranking agrees with them: in whatever order, and where some never met."""

import math
import random
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.explore import Judgement, favoured, judgements, pick, prefer, rank
from branchlog.verdicts import PREFERRED_TO


def asked(*models, clock=None):
    """A question with an answer of each model."""
    chat = branchlog.Conversation.start("trip", clock=clock)
    ask = chat.say("user", "Kyoto?")
    for model in models:
        chat.add(
            "assistant", f"{model} says", under=ask, metadata={"reply": {"model": model, "responder": f"r{model}"}}
        )
    return chat


def pairs(found):
    return [(each.winner, each.loser) for each in found]


# Verdicts.


def test_a_verdict_is_metadata_of_the_winner():
    chat = asked("a", "b", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    prefer(chat, "0.1", "0.0", by="me")

    assert chat.node("0.1").metadata[PREFERRED_TO] == {
        "0.0": {"me": {"at": "2026-01-01T00:00:00.000000+00:00", "conversation": "trip"}}
    }
    assert judgements(chat) == [Judgement(winner="b", loser="a", by="me", conversation="trip")]


def test_a_later_verdict_of_a_judge_replaces_the_opposite():
    chat = asked("a", "b")
    for winner, loser in (("0.1", "0.0"), ("0.1", "0.0"), ("0.0", "0.1")):
        prefer(chat, winner, loser)

    assert pairs(judgements(chat)) == [("a", "b")]
    assert chat.node("0.1").metadata[PREFERRED_TO] == {"0.0": {}}


@given(st.lists(st.tuples(st.permutations(["0.0", "0.1", "0.2"]), st.sampled_from([None, "me", "you"])), max_size=12))
def test_each_judge_has_one_verdict_on_a_pair_the_last(given_verdicts):
    chat, model = asked("a", "b", "c"), {}
    for (winner, loser, _), by in given_verdicts:
        prefer(chat, winner, loser, by=by)
        model[frozenset((winner, loser)), by] = winner
    found = {
        (frozenset((each.winner[-3:], each.loser[-3:])), each.by): each.winner[-3:]
        for each in judgements(chat, of="node")
    }

    assert found == model
    assert len(judgements(chat)) == len(model)


def test_judges_are_counted_against_each_other():
    chat = asked("a", "b")
    prefer(chat, "0.0", "0.1", by="me")
    prefer(chat, "0.1", "0.0", by="you")
    assert favoured(chat, "0.0", "0.1") == 0
    prefer(chat, "0.1", "0.0")

    assert (favoured(chat, "0.0", "0.1"), favoured(chat, "0.1", "0.0")) == (-1, 1)
    assert favoured(chat, "0", "root") == 0


def test_of_two_writers_at_once_the_later_verdict_stands(tmp_path):
    times = iter(range(100))
    with branchlog.open(tmp_path / "s.db", clock=lambda: datetime(2026, 1, 1, 0, 0, next(times), tzinfo=UTC)) as store:
        store.save(store.create("trip"))
        with store.editing("trip") as chat:
            for text in "ab":
                chat.add("assistant", text, under="root", metadata={"reply": {"model": text}})
        one, other = store.load("trip"), store.load("trip")
        prefer(one, "0", "1")
        prefer(other, "1", "0")
        store.save(other)
        store.save(one)

        assert pairs(judgements(store.load("trip"))) == [("b", "a")]


def test_pick_prefers_one_to_each_other_and_goes_there():
    chat = asked("a", "b", "c")
    picked = pick(chat, "0.1", by="me")

    assert chat.cursor == picked == chat.node("0.1")
    assert pairs(judgements(chat)) == [("b", "a"), ("b", "c")]


@pytest.mark.parametrize(("winner", "loser"), [("0.0", "0.0"), ("0.0", "0"), ("0", "0.0"), ("root", "root")])
def test_only_alternatives_are_compared(winner, loser):
    with pytest.raises(InvalidInput, match="alternatives of one fork"):
        prefer(asked("a", "b"), winner, loser)


@pytest.mark.parametrize("by", ["", 3])
def test_a_judge_has_a_name(by):
    with pytest.raises(InvalidInput, match="judge"):
        prefer(asked("a", "b"), "0.0", "0.1", by=by)


def test_what_is_not_saved_has_no_verdict_yet_in_a_store():
    with branchlog.open("memory:") as store:
        chat = store.create("trip")
        store.save(chat)
        chat.add("assistant", "a", under="root")
        chat.add("assistant", "b", under="root")
        with pytest.raises(InvalidInput, match="save"):
            prefer(chat, "0", "1")
        store.save(chat)
        prefer(chat, "0", "1")
        store.save(chat)

        assert len(judgements(store.load("trip"), of="node")) == 1


def test_a_fork_of_the_conversation_does_not_take_verdicts_on_nodes_that_it_lacks():
    chat = asked("a", "b")
    prefer(chat, "0.0", "0.1")
    fork = chat.fork_from("0.0")
    fork.add("assistant", "c", under="0", metadata={"reply": {"model": "c"}})

    assert "preferred_to" in fork.node("0.0").metadata
    assert judgements(fork) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["0.0", "0.1", "me", "at", "conversation", "trip"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_metadata_of_any_shape_is_no_error(said):
    chat = asked("a", "b")
    chat.annotate("0.1", metadata={PREFERRED_TO: said})

    assert {(each.winner, each.loser) for each in judgements(chat)} <= {("b", "a")}
    prefer(chat, "0.0", "0.1", by="me")
    assert ("a", "b") in pairs(judgements(chat))


# Comparisons.


def test_ratings_imply_comparisons_where_there_is_no_verdict():
    chat = asked("a", "b", "c", "d")
    for place, rating in enumerate((5, 3, 3)):
        chat.annotate(f"0.{place}", rating=rating)
    prefer(chat, "0.1", "0.0", by="me")

    assert pairs(judgements(chat)) == [("b", "a")]
    found = judgements(chat, ratings=True)
    assert pairs(found) == [("b", "a"), ("a", "c")]
    assert [each.implied for each in found] == [False, True]


def test_whose_strength_it_is():
    chat = asked("a", "b")
    prefer(chat, "0.1", "0.0")

    assert pairs(judgements([chat], of="responder")) == [("rb", "ra")]
    assert pairs(judgements([chat], of="node")) == [("trip 0.1", "trip 0.0")]
    with pytest.raises(InvalidInput, match="not of 'cat'"):
        judgements(chat, of="cat")


def test_what_says_nothing_about_two_competitors_is_left_out():
    chat = asked("a", "a", "b")
    chat.add("assistant", "unknown", under="0")
    chat.add("user", "not an answer", under="0")
    pick(chat, "0.0")
    pick(chat, "0.2", by="me")
    chat.redact("0.1")

    assert pairs(judgements(chat)) == [("a", "b"), ("b", "a")]


# Ranking.


def wins(*found):
    return [Judgement(winner=winner, loser=loser) for winner, loser in found]


def strengths(found):
    return {each.name: each.strength for each in rank(found)}


def test_one_win_makes_the_probability_that_is_documented():
    one, other = rank(wins(("a", "b")))
    apart = one.strength - other.strength

    assert one.strength == pytest.approx(1 / (1 + math.exp(apart)), abs=1e-6)  # where the slope of the likelihood is 0
    assert 1 / (1 + math.exp(-apart)) == pytest.approx(0.66, abs=0.005)
    assert (one.name, one.wins, one.losses, other.wins, other.losses) == ("a", 1, 0, 0, 1)
    assert one.chance == pytest.approx(1 - other.chance, abs=1e-6)
    assert one.chance == pytest.approx(1 / (1 + math.exp(-one.strength)))


def test_many_comparisons_outweigh_the_prior():
    found = strengths(wins(*[("a", "b")] * 3_000, *[("b", "a")] * 1_000))

    assert 1 / (1 + math.exp(found["b"] - found["a"])) == pytest.approx(0.75, abs=0.002)


@settings(max_examples=15, deadline=None)
@given(st.permutations("abcde"), st.integers(0, 2**32))
def test_the_order_is_that_of_a_planted_truth(order, seed):
    """Strengths one apart, 200 games of each two: the chance of a wrong order is beneath one in a million."""
    chance = random.Random(seed)
    truth = {name: 2.0 - place for place, name in enumerate(order)}
    games = [(one, other) for one in order for other in order if one < other for _ in range(200)]
    played = [
        (one, other) if chance.random() < 1 / (1 + math.exp(truth[other] - truth[one])) else (other, one)
        for one, other in games
    ]
    found = rank(wins(*played))

    assert [each.name for each in found] == list(order)
    assert all(abs(each.strength - truth[each.name]) < 0.5 for each in found)


GAMES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")).filter(lambda two: two[0] != two[1]))


@settings(deadline=None)
@given(GAMES, st.randoms(use_true_random=False))
def test_the_order_of_the_input_makes_no_difference(games, chance):
    mixed = list(games)
    chance.shuffle(mixed)

    assert rank(wins(*games)) == rank(wins(*mixed))


@settings(deadline=None)
@given(GAMES)
def test_won_and_lost_the_other_way_round_is_the_other_way_round(games):
    there, back = strengths(wins(*games)), strengths(wins(*[(loser, winner) for winner, loser in games]))

    assert there.keys() == back.keys()
    assert all(there[name] == pytest.approx(-back[name], abs=1e-5) for name in there)
    assert sum(there.values()) == pytest.approx(0, abs=1e-5)


@settings(deadline=None)
@given(GAMES, st.permutations("abcd"))
def test_names_make_no_difference(games, names):
    renamed = dict(zip("abcd", names, strict=True))
    here = strengths(wins(*games))
    there = strengths(wins(*[(renamed[winner], renamed[loser]) for winner, loser in games]))

    assert all(here[name] == pytest.approx(there[renamed[name]], abs=1e-5) for name in here)


def test_those_who_never_met_or_never_lost_have_finite_strengths():
    found = rank(wins(*[("a", "b")] * 50, ("c", "d")))

    assert [each.name for each in found] == ["a", "c", "d", "b"]
    assert all(abs(each.strength) < 5 for each in found)


def test_nothing_said_ranks_nobody():
    assert rank([]) == []


def test_without_the_extra_it_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "choix", None)

    with pytest.raises(InvalidInput, match=r"branchlog\[rank\]"):
        rank(wins(("a", "b")))
