"""OASST trees: every message, rank and label arrives, and the cursor goes where the best ranks lead."""

import json

import pytest
from formats.exports import anything, oasst_exports
from formats.native import change, conversations, own_metadata, shape
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.exchange import import_file
from branchlog.formats import detect, oasst
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


# Rows.


def rows_of(value, **tree_fields):
    """The same tree as rows, depth first."""
    todo, rows = [(value["prompt"], None)], []
    while todo:
        node, parent = todo.pop()
        rows.append(
            {
                **{key: field for key, field in node.items() if key != "replies"},
                "parent_id": parent,
                "message_tree_id": value["message_tree_id"],
                **tree_fields,
            }
        )
        todo += [(child, node["message_id"]) for child in reversed(node["replies"])]
    return rows


def all_in(values):
    """The conversations of a file of these values, and what was reported."""
    chats, reports = {}, []
    records = [(f"line {number}", value) for number, value in enumerate(values, 1)]
    for found in detect.conversations(records, "export"):
        if not isinstance(found, tuple):
            reports.append(found)
            continue
        where, outline, repairs = found
        outline, more = mended(outline, where)
        reports += repairs + more
        if outline.id in chats:
            add_missing(chats[outline.id], outline)
        else:
            chats[outline.id] = start(outline, id=outline.id)
    return chats, reports


def tree_of(chat):
    """The tree by original ids, siblings in their order."""
    ids = {node: id for id, node in known_ids(chat, "oasst").items()}
    said = {ids[node]: (node.message.content, node.rating, node.hidden) for node in chat.tree.walk()}
    return said, {ids[node]: [ids[child] for child in node.children] for node in chat.tree.walk()}, ids[chat.cursor]


@given(oasst_exports())
def test_rows_say_the_same_as_nested_replies(export):
    nested, _, _ = brought_in(export.value)
    chats, reports = all_in(rows_of(export.value))

    assert reports == []
    assert tree_of(chats["m0"]) == tree_of(nested)


@given(oasst_exports(), st.randoms())
def test_rows_in_any_order_are_the_same_tree_but_for_the_order_of_siblings(export, random):
    rows = rows_of(export.value)
    ordered, _ = all_in(rows)
    shuffled, reports = all_in(random.sample(rows, len(rows)))

    said, children, _ = tree_of(ordered["m0"])
    other_said, other_children, _ = tree_of(shuffled["m0"])
    assert reports == []
    assert said == other_said
    assert {id: sorted(each) for id, each in children.items()} == {id: sorted(e) for id, e in other_children.items()}


@given(
    st.lists(st.one_of(anything, oasst_exports(nodes_max=3).map(lambda export: export.value)), max_size=3), st.data()
)
def test_damaged_rows_come_in_or_are_skipped_and_cost_no_other_tree(others, data):
    rows = rows_of(tree(reply("a"), reply("b")))
    odd = {**data.draw(st.sampled_from(rows)), "message_id": "odd", "message_tree_id": "other"}
    odd[data.draw(st.sampled_from(sorted(odd)))] = data.draw(anything)
    odd.setdefault("message_id", "odd")
    chats, _ = all_in([rows[0], *others, odd, *rows[1:]])

    assert {"p", "a", "b"} <= set(known_ids(chats["p"], "oasst"))


@given(oasst_exports(nodes_max=6), st.data())
def test_a_row_whose_parent_is_not_there_hangs_at_the_root(export, data):
    rows = rows_of(export.value)
    gone = data.draw(st.sampled_from(rows))["message_id"]
    left = [row for row in rows if row["message_id"] != gone]
    if not left:
        return
    chats, _ = all_in(left)
    (chat,) = chats.values()
    nodes = known_ids(chat, "oasst")

    assert {row["message_id"] for row in left} <= set(nodes)
    for row in left:
        above = nodes[row["message_id"]].parent
        if row["parent_id"] == gone:
            assert above in (None, chat.tree.root)
        elif row["parent_id"] is not None:
            assert above == nodes[row["parent_id"]]


def test_deleted_rows_with_living_children_are_hidden():
    rows = rows_of(tree(reply("a", deleted=True, replies=[reply("b")])))
    chats, reports = all_in(rows)
    node = known_ids(chats["p"], "oasst")["a"]

    assert reports == []
    assert node.hidden
    assert [child.message.text for child in node.children] == ["b"]


def test_labels_and_emojis_as_parallel_arrays_are_kept_as_they_stood():
    labels = {"name": ["spam", "quality"], "value": [0.0, 0.75], "count": [3, 4]}
    emojis = {"name": ["+1"], "count": [2]}
    chats, reports = all_in(rows_of(tree(reply("a", labels=labels, emojis=emojis, detoxify=None))))
    kept = chats["p"].cursor.message.metadata["oasst"]

    assert reports == []
    assert (kept["labels"], kept["emojis"], kept["detoxify"]) == (labels, emojis, None)


def test_rows_of_many_trees_are_given_one_by_one_as_they_come():
    values = [row for number in range(300) for row in rows_of({**tree(reply("a")), "message_tree_id": f"t{number}"})]
    seen = 0

    def counted():
        nonlocal seen
        for number, value in enumerate(values):
            seen = number
            yield f"line {number}", value

    first = next(iter(oasst.read_records(counted(), "export")))

    assert first[1].id == "t0"
    assert seen < 2 * oasst.TREES_OPEN_MAX + 1


def test_rows_without_a_tree_go_where_their_parent_is():
    rows = [{key: field for key, field in row.items() if key != "message_tree_id"} for row in rows_of(tree(reply("a")))]
    chats, _ = all_in(rows)

    assert {id: len(chat.tree) for id, chat in chats.items()} == {"p": 2}


def test_rows_come_into_a_store_and_add_nothing_to_the_nested_tree(tmp_path):
    value = tree(reply("a", rank=1), reply("b", rank=0, replies=[reply("c")]))
    (tmp_path / "nested").write_text(json.dumps(value))
    (tmp_path / "rows").write_text("\n".join(map(json.dumps, rows_of(value, tree_state="ready_for_export"))))
    with branchlog.open("memory:") as store:
        first = import_file(store, tmp_path / "nested")
        second = import_file(store, tmp_path / "rows")

    assert (first.added, first.nodes) == (1, 4)
    assert (second.format, second.unchanged, second.nodes) == ("oasst", 1, 0)


# Out.


def tree_written(chat):
    (value,) = oasst.write(chat)
    return value


@given(oasst_exports())
def test_a_tree_goes_out_as_it_came_in(export):
    chat, _, _ = brought_in(export.value)

    assert tree_written(chat) == export.value


def test_the_real_trees_go_out_as_they_came_in(samples):
    path = samples / "oasst" / "open-assistant_en_100_tree.jsonl"
    values = [json.loads(line) for line in path.read_text().splitlines()]
    with branchlog.open("memory:") as store:
        import_file(store, path)
        written = {each["message_tree_id"]: each for each in map(tree_written, map(store.load, ids(store)))}

    assert len(values) == 100
    assert written == {value["message_tree_id"]: value for value in values}


def ids(store):
    return [each.id for each in store.list(limit=1000)]


@given(conversations())
def test_any_conversation_comes_back_from_what_is_written(chat):
    value = json.loads(json.dumps(tree_written(chat)))
    again, _, repairs = brought_in(value)

    assert [repair for repair in repairs if "root" not in repair.what] == []
    assert shape(again) == shape(chat)
    assert own_metadata(again, "oasst") == own_metadata(chat, "oasst")
    assert tree_written(again) == value
    assert again.metadata["source"]["id"] == chat.id


@given(oasst_exports(nodes_max=5), st.data())
def test_a_tree_that_was_talked_on_comes_back(export, data):
    chat, _, _ = brought_in(export.value)
    change(data.draw, chat)
    chat.say("user", "more")
    again, _, _ = brought_in(tree_written(chat))

    assert shape(again) == shape(chat)


@given(oasst_exports(nodes_max=5), st.data())
def test_a_damaged_tree_is_written_and_read_again_as_the_same(export, data):
    place = export.value["prompt"]
    while place["replies"] and data.draw(st.booleans()):
        place = data.draw(st.sampled_from(place["replies"]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(anything)
    chat, _, _ = brought_in(export.value)
    again, _, _ = brought_in(tree_written(chat))

    assert shape(again) == shape(chat)


@pytest.mark.parametrize(
    ("ratings", "ranks"),
    [
        ([5, 1], [0, 1]),
        ([2, None, 4], [1, None, 0]),
        ([3, 3, 1], [0, 0, 2]),
        ([None, None], [None, None]),
        ([2], [0]),
    ],
)
def test_ratings_become_ranks(ratings, ranks):
    chat = branchlog.Conversation.start("trip")
    ask = chat.say("user", "ask")
    for rating in ratings:
        node = chat.add("assistant", str(rating), under=ask)
        if rating is not None:
            chat.annotate(node, rating=rating)
    value = tree_written(chat)

    assert value["prompt"]["role"] == "prompter"
    assert [row.get("rank") for row in value["prompt"]["replies"]] == ranks


def test_a_conversation_without_a_system_message_is_written_from_its_first_question():
    chat = branchlog.Conversation.start("trip")
    chat.say("user", "Kyoto?")
    chat.say("assistant", "Day 1")
    value = tree_written(chat)

    assert value["message_tree_id"] == value["prompt"]["message_id"]
    assert (value["prompt"]["text"], value["prompt"]["role"]) == ("Kyoto?", "prompter")
    assert [(row["text"], row["role"], row["parent_id"]) for row in value["prompt"]["replies"]] == [
        ("Day 1", "assistant", value["message_tree_id"])
    ]


def test_what_is_too_deep_to_be_nested_is_refused_with_the_reason():
    chat = branchlog.Conversation.start("trip")
    for number in range(oasst.DEPTH_MAX):
        chat.say("user", str(number))

    assert json.loads(json.dumps(tree_written(chat)))["prompt"]["text"] == "0"
    chat.say("user", "one more")
    with pytest.raises(InvalidInput, match="deep"):
        tree_written(chat)
