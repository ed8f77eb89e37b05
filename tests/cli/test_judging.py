"""Comparing, judging and ranking on the command line."""

import pytest

from branchlog.errors import InvalidInput


@pytest.fixture
def answered(shell):
    """A question with three answers, of two models that say what they took and one that does not."""
    import branchlog

    with branchlog.open(shell.store) as store:
        chat = store.create("walk")
        ask = chat.say("user", "Where?")
        for model, text, usage in (("small", "The river.", (100, 10)), ("large", "The hill.", (200, 20))):
            used = {"input_tokens": usage[0], "output_tokens": usage[1]}
            chat.add(
                "assistant", text, under=ask, metadata={"reply": {"model": model, "responder": model, "usage": used}}
            )
        chat.add("assistant", "No idea.", under=ask)
        store.save(chat)
    return shell


def test_what_two_ways_took_stands_above_the_diff(answered):
    lines = answered.out("diff", "walk", "0.0", "0.1", "--price", "small=10000,100000").splitlines()

    assert lines[:6] == [
        "both have 0  user: Where?",
        "then 1 message against 1 message",
        "0.0  1 reply: 100 tokens in, 10 out, cost 2",
        "0.1  1 reply: 200 tokens in, 20 out, cost unknown",
        "large  1 reply: 200 tokens in, 20 out, cost unknown",
        "small  1 reply: 100 tokens in, 10 out, cost 2",
    ]
    assert lines[6:] == ["--- 0.0", "+++ 0.1", "@@ -1,2 +1,2 @@", " assistant:", "-The river.", "+The hill."]


def test_several_are_compared_turn_by_turn(answered):
    answered.run("say", "walk", "Why?", "--under", "0.1")
    lines = answered.out("diff", "walk", "0.0", "0.1.0", "0.2").splitlines()

    assert lines[0] == "all have 0  user: Where?"
    assert lines[3] == "0.2  1 reply: tokens unknown, cost unknown"
    assert lines[7:] == [
        "",
        "turn 1",
        "0.0",
        "The river.",
        "0.1.0",
        "The [-river-]{+hill+}.",
        "0.2",
        "[-The-]{+No+} [-river-]{+idea+}.",
        "",
        "turn 2",
        "0.0  (ended)",
        "0.1.0",
        "Why?",
        "0.2  (ended)",
    ]
    assert answered.out("diff", "walk", "0.0", "0.1", "--turns").splitlines()[-1] == "The [-river-]{+hill+}."
    assert answered.out("diff", "walk", "0.0", "0.0", "0.0").splitlines()[-1] == "all say the same"


def test_sums_that_lack_something_say_so(answered):
    answered.run("add", "walk", "More.", "--role", "assistant", "--under", "0.0")
    lines = answered.out("diff", "walk", "0.0.0", "0.1", "--price", "small=10000,100000").splitlines()

    assert lines[2] == "0.0.0  2 replies: 100 tokens in, 10 out (and 1 unknown), cost 2 (and 1 unknown)"


def test_a_comparison_as_json(answered):
    found = answered.json("diff", "walk", "0.0", "0.1", "--price", "small=1,1", "--price", "large=0,0")

    assert [way["spent"]["cost"] for way in found["ways"]] == [pytest.approx(110 / 1e6), 0.0]
    assert [model["model"] for model in found["models"]] == ["large", "small"]
    assert found["turns"][0][1]["diff"] == [["same", "The "], ["removed", "river"], ["added", "hill"], ["same", "."]]
    assert [[node["id"] for node in found[side]] for side in ("left", "right")] == [["0.0"], ["0.1"]]
    several = answered.json("diff", "walk", "0.0", "0.1", "0.2")
    assert "left" not in several
    assert (len(several["ways"]), several["same"]) == (3, False)


def test_the_exit_code_of_several(answered):
    answered.run("diff", "walk", "0.0", "0.0", "0.1", "--exit-code", code=1)
    answered.run("diff", "walk", "0.0", "0.0", "0.0", "--exit-code")


@pytest.mark.parametrize("price", ["small", "small=1", "=1,2", "small=1,x", "small=-1,2", "small=1,2,3", "small=1,inf"])
def test_a_price_that_is_none_is_refused(answered, price):
    assert "MODEL=IN,OUT" in answered.run("diff", "walk", "0.0", "0.1", "--price", price, code=2).stderr


def test_what_was_erased_is_said_of_several(answered):
    answered.run("redact", "walk", "0.0", "--yes")

    assert answered.out("diff", "walk", "0.0", "0.1", "0.2").splitlines()[-1] == "erased, and compared as empty: 0.0"


def test_preferring_and_ranking(answered):
    assert answered.out("prefer", "walk", "0.1", "0.0", "--by", "me").startswith("0.1 (2 of 3)  assistant: The hill.")
    assert answered.json("show", "walk")["cursors"] == {"main": 2}
    result = answered.run("rank")

    assert [line.split()[0] for line in result.stdout.splitlines()] == ["NAME", "large", "small"]
    assert result.stderr == "1 comparison\n"
    best, other = answered.json("rank", "walk", "walk", "--of", "responder")
    assert (best["name"], best["wins"], best["losses"], other["wins"]) == ("large", 1, 0, 0)
    assert best["chance"] > 0.5 > other["chance"]


def test_picking_prefers_to_all_and_goes_there(answered):
    assert answered.out("pick", "walk", "0.0").startswith("0.0 (main, 1 of 3)")
    assert answered.json("rank", "--of", "node")[0]["name"] == "walk 0.0"
    assert [each["name"] for each in answered.json("rank", "--all")] == ["small", "large"]
    assert answered.json("path", "walk")[-1]["content"] == "The river."


def test_ratings_count_where_that_is_said(answered):
    answered.run("rate", "walk", "0.0", "5")
    answered.run("rate", "walk", "0.1", "2")

    assert answered.json("rank") == []
    assert "no comparison of one model with another" in answered.run("rank").stderr
    assert [each["name"] for each in answered.json("rank", "--ratings")] == ["small", "large"]


def test_what_cannot_be_judged_is_refused(answered):
    assert "alternatives of one fork" in answered.refused("prefer", "walk", "0.0", "0")
    answered.run("rank", "walk", "--all", code=2)


def test_without_the_extra_rank_says_which(answered, monkeypatch):
    def missing():
        raise InvalidInput("a ranking needs the library choix: pip install 'branchlog[rank]'")

    answered.run("prefer", "walk", "0.1", "0.0")
    monkeypatch.setattr("branchlog.explore.judging._choix", missing)

    assert "branchlog[rank]" in answered.refused("rank")
