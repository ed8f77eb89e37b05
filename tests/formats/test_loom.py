"""Loom trees: pyloom's and Loomsidian's come in, the others are refused by name."""

import copy
import json

import pytest
from formats.exports import texts as any_text
from formats.records import damaged, texts
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.exchange import import_file
from branchlog.formats import detect, loom
from branchlog.formats.outline import add_missing, known_ids, mended, start


def piece(id, *children, text=None, source="AI", **fields):
    meta = {"source": source, "modified": False, "creation_timestamp": "2023-02-13-20.57.56"}
    return {"id": id, "text": id if text is None else text, "children": [*children], "meta": meta, **fields}


def tree(root, **fields):
    return {"root": root, "chapters": {}, "selected_node_id": root.get("id"), **fields}


def note(nodes, current):
    made = {
        id: {"text": text, "parentId": parent, "collapsed": False, "unread": True, "bookmarked": id == current}
        for id, (parent, text) in nodes.items()
    }
    return {"current": current, "hoisted": [], "searchTerm": "", "nodes": made, "generating": None}


def brought_in(value):
    outline, repairs = loom.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id=outline.id or "chat"), outline, [f"{each.where}: {each.what}" for each in repairs + more]


@st.composite
def trees(draw):
    count = draw(st.integers(1, 8))
    parents = [None] + [draw(st.integers(0, index - 1)) for index in range(1, count)]
    sources = st.sampled_from(["AI", "prompt", "mixed"])
    nodes = [piece(f"n{index}", text=draw(any_text), source=draw(sources)) for index in range(count)]
    for index, parent in enumerate(parents):
        if parent is not None:
            nodes[parent]["children"].append(nodes[index])
            nodes[index]["parent_id"] = nodes[parent]["id"]
    return nodes, parents


@given(trees())
def test_every_piece_of_text_is_a_node(made):
    nodes, parents = made
    chat, outline, repairs = brought_in(tree(nodes[0], selected_node_id=nodes[-1]["id"]))
    found = known_ids(chat, "loom")

    assert repairs == []
    for node, parent in zip(nodes, parents, strict=True):
        if parent is None and not node["text"]:
            assert chat.tree.root.message is None
            continue
        message = found[node["id"]].message
        assert message.content == node["text"]
        assert message.role == ("assistant" if node["meta"]["source"] == "AI" else "user")
        assert message.metadata["loom"] == {"id": node["id"], "meta": node["meta"]}
        assert [found[each["id"]] for each in node["children"]] == list(found[node["id"]].children)
    assert chat.cursor == found[nodes[-1]["id"]]
    assert "".join(texts(chat)).startswith(nodes[0]["text"])
    assert add_missing(chat, outline) == 0


@given(trees(), st.data())
def test_damage_comes_in_or_is_refused_with_a_reason(made, data):
    value = damaged(data.draw, tree(copy.deepcopy(made[0][0])))
    try:
        chat, outline, _ = brought_in(value)
    except InvalidInput as error:
        assert str(error)  # noqa: PT017
        return

    assert add_missing(chat, outline) == 0


@given(st.data())
def test_a_damaged_note_comes_in_or_is_refused_with_a_reason(data):
    value = damaged(data.draw, note({"a": (None, ""), "b": ("a", "x"), "c": ("a", "y")}, "b"))
    try:
        chat, outline, _ = brought_in(value)
    except InvalidInput as error:
        assert str(error)  # noqa: PT017
        return

    assert add_missing(chat, outline) == 0


def test_tags_chapters_times_and_what_is_kept():
    marked = piece("b", tags=["bookmark"], visited=True, generation={"id": "cmpl"})
    root = piece("a", marked, piece("c", tags=["archived"]), piece("d", bookmark=True, archived=True))
    chapters = {"1": {"id": "1", "root_id": "b", "title": "Chapter 1"}, "2": {"title": "x"}}
    chat, _, repairs = brought_in(tree(root, chapters=chapters, model_responses={"cmpl": 1}))
    found = known_ids(chat, "loom")

    assert repairs == []
    assert [found[id].bookmark for id in "bcd"] == [True, False, True]
    assert [found[id].hidden for id in "bcd"] == [False, True, True]
    assert found["b"].label == "Chapter_1"
    assert found["b"].added.isoformat() == "2023-02-13T20:57:56+00:00"
    assert found["b"].message.metadata["loom"]["visited"] is True
    assert chat.metadata["loom"]["model_responses"] == {"cmpl": 1}
    assert chat.metadata["loom"]["chapters"] == chapters


def test_older_trees_have_roots_without_id_and_say_less_of_who_wrote():
    root = {"text": "", "children": [{"id": "x", "text": "A", "children": [], "meta": {"origin": "generated"}}]}
    root["children"].append({"text": "B", "children": []})
    root["children"].append({"id": 7, "text": "C", "children": []})
    chat, outline, _ = brought_in({"root": root, "selected_node_id": 7})

    assert chat.tree.root.message is None
    assert [child.message.role for child in chat.tree.root.children] == ["assistant", "unknown", "unknown"]
    assert chat.cursor.message.text == "C"
    assert outline.id == "loom-x"
    assert add_missing(chat, brought_in({"root": root})[1]) == 0


def test_a_second_node_of_an_id_and_a_child_that_is_none():
    chat, _, repairs = brought_in(tree(piece("a", piece("b", piece("c")), piece("b", piece("d")), 5)))

    assert sorted(known_ids(chat, "loom")) == ["a", "b", "b#2", "c", "d"]
    assert known_ids(chat, "loom")["d"].parent == known_ids(chat, "loom")["b#2"]
    assert any("a second node" in each for each in repairs)
    assert any("a number, not a node" in each for each in repairs)


def test_a_note_of_loomsidian():
    chat, _, repairs = brought_in(note({"r": (None, "Once"), "a": ("r", " upon"), "b": ("r", " more")}, "a"))

    assert repairs == []
    assert texts(chat) == ["Once", " upon"]
    assert chat.cursor.bookmark
    assert [child.message.text for child in chat.tree["0"].children] == [" upon", " more"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_map_of_notes_is_a_conversation_for_each(tmp_path, wrapped):
    notes = {"One.md": note({"r": (None, "A")}, "r"), "Two.md": note({"s": (None, "B"), "t": ("s", "C")}, "t")}
    (tmp_path / "data.json").write_text(json.dumps({"settings": {}, "state": notes} if wrapped else notes))
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, tmp_path / "data.json")
        again = import_file(store, tmp_path / "data.json")
        titles = sorted(head.title for head in store.list())

    assert (report.format, report.added, report.nodes, again.unchanged) == ("loom", 2, 5, 2)
    assert titles == ["One.md", "Two.md"]


REFUSED = {
    "exoloom": {"loomType": "Exoloom", "schemaVersion": 1, "tree": {"rootNodeId": "a", "nodes": {}}, "lens": {}},
    "miniloom": {"loomTree": {"nodeStore": {"a": {"parent": None, "children": [], "patch": ""}}}},
    "bonsai": {"nodes": [{"id": "a", "text": "x", "parentIds": []}]},
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_the_others_are_refused_by_name(tmp_path, name):
    (tmp_path / "tree.json").write_text(json.dumps(REFUSED[name]))
    with branchlog.open(tmp_path / "chats.db") as store:
        report = import_file(store, tmp_path / "tree.json")

    assert report.added == 0
    assert name in report.skipped[0].reason


@pytest.mark.parametrize("value", [*REFUSED.values(), tree(piece("a")), note({"a": (None, "")}, "a")])
def test_each_is_known_as_a_loom_tree_and_nothing_else(value):
    assert [reader.FORMAT for reader in detect.READERS if reader.recognises(value)] == ["loom"]


def test_a_root_that_is_none():
    with pytest.raises(InvalidInput, match="without root"):
        loom.read({"root": 5}, "here")


def test_a_file_comes_in_once(tmp_path):
    (tmp_path / "tree.json").write_text(json.dumps(tree(piece("a", piece("b"), piece("c")))))
    with branchlog.open(tmp_path / "chats.db") as store:
        first, second = (import_file(store, tmp_path / "tree.json") for _ in range(2))

    assert (first.format, first.nodes, first.branches, second.unchanged) == ("loom", 3, 2, 1)


def test_a_deep_tree():
    root = inner = piece("0")
    for number in range(1, 20_000):
        inner["children"].append(piece(str(number)))
        inner = inner["children"][0]
    chat, _, _ = brought_in(tree(root, selected_node_id="19999"))

    assert chat.cursor.depth == 19_999
