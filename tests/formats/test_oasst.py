"""OASST trees: every message, rank and label arrives, and the cursor goes where the best ranks lead."""

import pytest
from formats.exports import anything, oasst_exports
from hypothesis import given
from hypothesis import strategies as st

from branchlog.errors import InvalidInput
from branchlog.formats import oasst
from branchlog.formats.outline import add_missing, known_ids, mended, start


def brought_in(value):
    outline, repairs = oasst.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id="chat"), outline, repairs + more


def reply(id, **fields):
    return {"message_id": id, "text": id, "role": "assistant", "replies": [], **fields}


def tree(*replies, **fields):
    prompt = {"message_id": "p", "text": "ask", "role": "prompter", "replies": list(replies), **fields}
    return {"message_tree_id": "p", "tree_state": "ready_for_export", "prompt": prompt}


def ratings(chat):
    return [child.rating for child in chat.tree.root.children]


@given(oasst_exports())
def test_everything_that_a_well_formed_tree_says_arrives(export):
    chat, outline, repairs = brought_in(export.value)
    nodes = known_ids(chat, "oasst")

    assert repairs == []
    assert set(nodes) == set(export.said)
    for id, said in export.said.items():
        message = nodes[id].message
        assert (message.role, message.content) == (said.role, said.text)
        assert [nodes[child] for child in export.children[id]] == list(nodes[id].children)
        assert message.metadata["oasst"]["labels"] == {"quality": {"value": 0.5, "count": 2}}
        assert nodes[id].hidden == message.metadata["oasst"]["deleted"]
    assert add_missing(chat, outline) == 0


@given(oasst_exports())
def test_ratings_follow_the_ranks_from_5_for_the_best_to_1_for_the_last(export):
    chat, _, _ = brought_in(export.value)

    for node in chat.tree.nodes:
        ranked = {
            child.message.metadata["oasst"]["rank"]: child.rating
            for child in node.children
            if "rank" in child.message.metadata["oasst"]
        }
        rated = [ranked[rank] for rank in range(len(ranked))]
        assert rated == sorted(rated, reverse=True)
        assert rated[:1] in ([], [5])
        assert len(rated) < 2 or rated[-1] == 1
        assert sum(child.rating is not None for child in node.children) == len(ranked)


@given(oasst_exports(nodes_max=5), st.data())
def test_a_damaged_tree_comes_in_or_is_refused_with_a_reason(export, data):
    place = export.value["prompt"]
    while place["replies"] and data.draw(st.booleans()):
        place = data.draw(st.sampled_from(place["replies"]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(anything)
    try:
        chat, outline, _ = brought_in(export.value)
    except InvalidInput as error:
        assert str(error)  # noqa: PT017
        return

    assert add_missing(chat, outline) == 0


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([0], [5]),
        ([1, 0], [1, 5]),
        ([2, None, 0, 1], [1, None, 5, 3]),
        ([None, None], [None, None]),
        ([3, 7], [5, 1]),
        ([0, 0, 1], [5, 5, 3]),
        ([True, "0"], [None, None]),
    ],
)
def test_ranks_become_ratings(ranks, expected):
    chat, _, _ = brought_in(tree(*(reply(f"r{index}", rank=rank) for index, rank in enumerate(ranks))))

    assert ratings(chat) == expected


def test_the_cursor_is_where_the_best_ranks_lead():
    best = reply("b", rank=0, replies=[reply("b1"), reply("b2", rank=0), reply("b3", rank=1)])
    chat, _, _ = brought_in(tree(reply("a", rank=1), best))

    assert [node.message.text for node in chat.path()] == ["ask", "b", "b2"]


def test_the_title_is_the_first_line_of_the_prompt_shortened():
    chat, _, _ = brought_in(tree(text=f"\n  {'word ' * 30}\nmore"))

    assert chat.title.startswith("word word")
    assert chat.title.endswith("word…")
    assert len(chat.title) <= 80


def test_dates_are_the_times_of_nodes_and_stay_as_they_stood():
    date = "2023-02-03T04:05:06+00:00"
    chat, _, repairs = brought_in(tree(reply("a", created_date=date), reply("b", created_date="soon")))
    dated, other = chat.tree.root.children

    assert dated.added.isoformat() == date
    assert dated.message.metadata["oasst"]["created_date"] == date
    assert other.message.metadata["oasst"]["created_date"] == "soon"
    assert len(repairs) == 1


def test_a_second_message_of_an_id_is_told_apart():
    chat, _, repairs = brought_in(tree(reply("a", replies=[reply("c")]), reply("a", replies=[reply("d")])))
    one, other = chat.tree.root.children

    assert (one.children[0].message.text, other.children[0].message.text) == ("c", "d")
    assert other.message.metadata["oasst"]["message_id"] == "a"
    assert len(repairs) == 1


def test_a_reply_that_is_none_is_left_out_and_reported():
    chat, _, repairs = brought_in(tree("x", reply("a")))

    assert len(chat.tree) == 2
    assert "text, not a message" in repairs[0].what


@pytest.mark.parametrize("prompt", [None, "x", []])
def test_no_prompt_no_conversation(prompt):
    with pytest.raises(InvalidInput, match="prompt"):
        oasst.read({"message_tree_id": "a", "prompt": prompt}, "here")
