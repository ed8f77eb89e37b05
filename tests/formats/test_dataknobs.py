"""dataknobs-llm documents: sound ones come out as they went in, damaged ones lose no message, versions take steps.

The documents here are written by hand in the shape that the library's own ``to_dict`` gives.
"""

import copy
import json
from datetime import UTC, datetime, timedelta

import pytest
from formats.exports import anything
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput, SchemaVersionError
from branchlog.exchange import export, import_file
from branchlog.formats import dataknobs, detect
from branchlog.formats.outline import known_ids, mended, start

BEGAN = datetime(1971, 1, 1, tzinfo=UTC)
TIME = "2025-11-21T00:00:{:02d}"
CALL = {"name": "search", "parameters": {"text": "Kyoto", "limit": 3}, "id": "call_1"}


def brought_in(value):
    outline, repairs = dataknobs.read(value, "here")
    outline, more = mended(outline, "here")
    return start(outline, id=outline.id or "chat"), [f"{repair.where}: {repair.what}" for repair in repairs + more]


def node(id, role="user", content=None, *, second=0, metadata=None, **message):
    said = {"role": role, "content": f"text of {id!r}" if content is None else content, **message}
    return {
        "node_id": id,
        "message": said,
        "timestamp": TIME.format(second),
        "prompt_name": None,
        "branch_name": None,
        "metadata": {} if metadata is None else metadata,
    }


def document(*nodes, edges=None, current=None, schema="1.1.0", **fields):
    nodes = [each if isinstance(each, dict) else node(each) for each in nodes]
    ids = [each["node_id"] for each in nodes]
    found = {
        "schema_version": schema,
        "conversation_id": "trip",
        "nodes": nodes,
        "edges": [[id.rpartition(".")[0], id] for id in ids if id] if edges is None else edges,
        "current_node_id": ids[-1] if current is None else current,
        "metadata": {"user": "alice"},
        "created_at": TIME.format(0),
        "updated_at": TIME.format(59),
        **fields,
    }
    return found if schema is not None else {key: value for key, value in found.items() if key != "schema_version"}


def outside_ids(chat):
    """Each node's id here, by its id in the document."""
    return {id: found.id for id, found in known_ids(chat, "dataknobs").items()}


def contents(chat):
    return sorted(found.message.text for found in chat.tree.nodes if found.message is not None)


def tree_of(chat):
    """What a tree says, apart from where its metadata is kept."""
    nodes = {
        found.id: (found.message and found.message.to_chat(), found.added, found.rating, found.hidden)
        for found in chat.tree.walk()
    }
    return nodes, chat.cursor.id, chat.title


# What sound documents are.

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab\u00e9", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "name", "branchlog2"]), inner),
    max_leaves=4,
)
objects = st.dictionaries(st.sampled_from(["usage", "cost_usd", "id", "title", "message", "node"]), plain, max_size=2)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
times = st.integers(0, 4 * 10**15).map(lambda us: (BEGAN + timedelta(microseconds=us)).replace(tzinfo=None).isoformat())
calls = st.lists(
    st.fixed_dictionaries({"name": texts, "parameters": objects}, optional={"id": texts}), min_size=1, max_size=2
)
extras = {"name": texts, "tool_call_id": texts, "tool_calls": calls, "function_call": objects}


@st.composite
def shapes(draw, nodes_max=10):
    """Ids of a sound tree in breadth-first order."""
    children = {"": 0}
    for _ in range(draw(st.integers(0, nodes_max - 1))):
        parent = draw(st.sampled_from(sorted(children)))
        id = f"{parent}.{children[parent]}".lstrip(".")
        children[parent] += 1
        children[id] = 0
    level = [""]
    for id in level:
        level.extend(f"{id}.{ordinal}".lstrip(".") for ordinal in range(children[id]))
    return level


@st.composite
def documents(draw, schema="1.1.0"):
    ids = draw(shapes())
    nodes = [
        {
            "node_id": id,
            "message": _message(draw, schema),
            "timestamp": draw(times),
            "prompt_name": draw(st.none() | texts),
            "branch_name": draw(st.none() | texts),
            "metadata": draw(objects) | (draw(backups) if schema != "1.1.0" else {}),
        }
        for id in ids
    ]
    return document(
        *nodes,
        schema=schema,
        current=draw(st.sampled_from(ids)),
        metadata=draw(objects),
        created_at=draw(times),
        updated_at=draw(times),
        conversation_id=draw(st.sampled_from(["trip", "\u00e9", "a/b"])),
    )


backups = st.fixed_dictionaries({}, optional={"tool_calls": calls, "function_call": objects})


def _message(draw, schema):
    said = {"role": draw(st.sampled_from(["system", "user", "assistant", "tool"])), "content": draw(texts)}
    if schema != "1.1.0":
        return {**said, "name": draw(st.none() | texts), "metadata": draw(objects)}
    metadata = draw(objects)
    return said | draw(st.fixed_dictionaries({}, optional=extras)) | ({"metadata": metadata} if metadata else {})


# Round trips.


@given(documents())
def test_a_sound_document_comes_out_as_it_went_in(value):
    before = copy.deepcopy(value)
    chat, repairs = brought_in(value)

    assert repairs == []
    assert export(chat, "dataknobs") == value == before
    assert outside_ids(chat) == {each["node_id"]: each["node_id"] for each in value["nodes"]}
    assert chat.cursor.id == value["current_node_id"]


@given(st.sampled_from([None, "0.0.0", "1.0.0"]).flatmap(lambda schema: documents(schema=schema)))
def test_a_document_of_an_earlier_version_comes_out_in_it_and_in_the_current_one(value):
    before = copy.deepcopy(value)
    chat, repairs = brought_in(value)
    version = value.get("schema_version", "0.0.0")
    (lifted,) = dataknobs.DOCUMENTS.upcast(version, value)

    assert repairs == []
    assert value == before
    assert dataknobs.write(chat, schema=version) == value
    assert dataknobs.write(chat) == lifted


@st.composite
def conversations(draw):
    began = datetime(2025, 11, 21, tzinfo=UTC)
    chat = branchlog.Conversation.start(
        "own", title=draw(st.none() | texts), system=draw(st.none() | texts), metadata={"mood": "calm"}, time=began
    )
    for index in range(draw(st.integers(0, 6))):
        under = draw(st.sampled_from(chat.tree.nodes[:]))
        made = branchlog.Message(
            "assistant",
            draw(texts | st.just([{"type": "text", "text": "part"}])),
            name=draw(st.none() | texts.filter(bool)),
            tool_calls=draw(st.none() | st.lists(chat_calls, min_size=1, max_size=2)),
            metadata=draw(st.sampled_from([{}, {"own": [1]}])),
        )
        added = chat.add(made, under=under, time=began + timedelta(seconds=index))
        if draw(st.booleans()):
            chat.annotate(added, rating=draw(st.sampled_from([1, 3.5])), hidden=draw(st.booleans()))
    chat.move(draw(st.sampled_from(chat.tree.nodes[:])))
    return chat


chat_calls = st.sampled_from(
    [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1.50}'}},
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "not JSON"}},
        {"type": "function", "function": {"name": "f"}},
        {"id": "c", "type": "custom", "custom": {"name": "g", "input": "x"}},
        {"name": "f", "parameters": {}},
        {"odd": None},
    ]
)


@given(conversations())
def test_a_conversation_of_our_own_comes_back_from_its_document(chat):
    written = json.loads(json.dumps(export(chat, "dataknobs")))
    back, repairs = brought_in(written)

    assert repairs == []
    assert tree_of(back) == tree_of(chat)
    assert export(back, "dataknobs") == written


@given(conversations())
def test_every_call_that_is_written_has_the_name_and_the_parameters_that_the_library_asks_for(chat):
    for each in dataknobs.write(chat)["nodes"]:
        for call in each["message"].get("tool_calls", ()):
            assert isinstance(call["name"], str)
            assert isinstance(call["parameters"], dict)


def test_every_field_goes_where_the_reference_says():
    said = node("0", "assistant", "", tool_calls=[CALL], tool_call_id="t", function_call={"name": "f"}, name="bot")
    said |= {"prompt_name": "ask", "branch_name": "polite", "metadata": {"cost_usd": 0.5}}
    value = document(node(""), said, metadata={"title": "Kyoto", "user": "alice"})
    chat, _ = brought_in(value)
    message = chat.cursor.message

    assert chat.id == "trip"
    assert chat.title == "Kyoto"
    assert chat.metadata["source"] == {"format": "dataknobs", "id": "trip"}
    assert chat.metadata["dataknobs"]["metadata"]["user"] == "alice"
    assert message.to_chat() == {
        "role": "assistant",
        "content": "",
        "name": "bot",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "search", "arguments": '{"text": "Kyoto", "limit": 3}'},
            }
        ],
        "tool_call_id": "t",
    }
    assert message.metadata["dataknobs"] == {
        "id": "0",
        "node": {
            "timestamp": TIME.format(0),
            "prompt_name": "ask",
            "branch_name": "polite",
            "metadata": {"cost_usd": 0.5},
        },
        "message": {"function_call": {"name": "f"}},
    }
    assert chat.tree.root.added == datetime(2025, 11, 21, tzinfo=UTC)


def test_what_is_said_after_an_import_is_in_the_document_too():
    chat, _ = brought_in(document("", "0", "0.0"))
    chat.move("0")
    chat.say("assistant", "otherwise", time=datetime(2025, 11, 22, tzinfo=UTC))
    chat.annotate("0.1", label="best", rating=5)
    chat.new_cursor("other", "0.0")
    written = export(chat, "dataknobs")

    assert written["edges"] == [["", "0"], ["0", "0.0"], ["0", "0.1"]]
    assert written["current_node_id"] == "0.1"
    assert written["updated_at"] == "2025-11-22T00:00:00"
    assert written["created_at"] == TIME.format(0)
    assert written["nodes"][-1]["message"] == {"role": "assistant", "content": "otherwise"}
    assert written["nodes"][-1]["metadata"] == {"branchlog": {"label": "best", "rating": 5}}
    assert written["metadata"] == {"user": "alice", "branchlog": {"cursors": {"other": "0.0"}}}


def test_a_rating_that_came_from_a_document_and_was_taken_back_is_gone_from_the_next():
    chat, _ = brought_in(document("", node("0", metadata={"branchlog": {"rating": 4}})))
    assert chat.cursor.rating == 4
    chat.annotate("0", rating=None)

    assert export(chat, "dataknobs")["nodes"][1]["metadata"] == {}


def test_what_is_redacted_is_in_no_document():
    chat, _ = brought_in(document("", node("0", content="secret", metadata={"note": "secret"})))
    chat.redact("0")

    assert "secret" not in json.dumps(export(chat, "dataknobs"))


# Versions.


def test_the_calls_of_an_earlier_version_come_out_of_the_metadata():
    value = document("", node("0", "assistant", metadata={"tool_calls": [CALL]}), schema=None)
    chat, _ = brought_in(value)

    assert chat.cursor.message.tool_calls[0]["function"]["name"] == "search"
    assert export(chat, "dataknobs")["nodes"][1]["message"]["tool_calls"] == [CALL]


@pytest.mark.parametrize("version", ["1.2.0", "1.1.7"])
def test_a_later_minor_or_patch_version_is_read_and_what_is_unknown_is_kept_and_named(version):
    first = node("", mood="calm") | {"colour": "red"}
    value = document(first, "0", schema=version, weather={"rain": True})
    chat, repairs = brought_in(value)

    unknown = "document field 'weather', message field 'mood', node field 'colour'"
    assert repairs == [
        f"here: schema {version} is later than 1.1.0; read as far as it is known; kept as metadata: {unknown}"
    ]
    assert chat.metadata["dataknobs"]["weather"] == {"rain": True}
    assert chat.metadata["dataknobs"]["schema_version"] == version
    assert chat.tree.root.message.metadata["dataknobs"]["node"]["colour"] == "red"
    assert export(chat, "dataknobs") == {**value, "schema_version": "1.1.0"}


def test_a_later_major_version_is_refused_by_name():
    with pytest.raises(SchemaVersionError, match=r"a dataknobs document has version 2\.0\.0"):
        dataknobs.read(document("", schema="2.0.0"), "here")


@pytest.mark.parametrize("version", ["1.0.5", "0.9.0", "garbage", "", "1.1", "01.1.0", 1, [], True])
def test_a_version_that_never_was_is_refused(version):
    with pytest.raises(InvalidInput):
        dataknobs.read(document("", schema="1.1.0") | {"schema_version": version}, "here")


@pytest.mark.parametrize("schema", ["0.0.0", "1.0.0"])
def test_an_earlier_version_is_not_written_where_it_has_no_place_for_something(schema):
    value = document("", node("0", "assistant", tool_calls=[CALL]), node("0.0", "tool", tool_call_id="call_1"))
    chat, _ = brought_in(value)

    with pytest.raises(InvalidInput, match="no place for tool_calls of node '0', tool_call_id of node"):
        export(chat, "dataknobs", schema=schema)


@pytest.mark.parametrize("schema", ["0.0.0", "1.0.0"])
def test_calls_that_reading_would_invent_are_not_written_in_an_earlier_version(schema):
    chat, _ = brought_in(document("", node("0", metadata={"tool_calls": [CALL]})))

    with pytest.raises(InvalidInput, match="tool_calls of node '0'"):
        export(chat, "dataknobs", schema=schema)


def test_a_format_or_version_that_cannot_be_written_is_refused_with_those_that_can():
    chat = branchlog.Conversation.start("own")

    with pytest.raises(InvalidInput, match=r"there are: 0\.0\.0, 1\.0\.0, 1\.1\.0"):
        export(chat, "dataknobs", schema="1.2.0")
    with pytest.raises(InvalidInput, match=r"there are: .*dataknobs"):
        export(chat, "parchment")


# Traps.


def test_a_root_of_another_id_keeps_its_children():
    value = document(node("start"), "0", "0.0", "1", edges=[["", "0"], ["0", "0.0"], ["", "1"]], current="0.0")
    chat, repairs = brought_in(value)

    assert outside_ids(chat) == {"start": "", "0": "0", "0.0": "0.0", "1": "1"}
    assert repairs == ["here, node 'start': its id is not the root's, ''; it is the root all the same"]
    assert chat.cursor.id == "0.0"


def test_a_root_that_the_edges_call_by_another_id_keeps_its_children():
    chat, repairs = brought_in(document(node("start"), "0", "1", edges=[["start", "0"], ["start", "1"]]))

    assert outside_ids(chat) == {"start": "", "0": "0", "1": "1"}
    assert len(repairs) == 1


def test_a_root_whose_id_looks_like_a_child_s_is_the_root_if_nothing_else_can_be():
    chat, repairs = brought_in(document(node("7"), "0", "0.0", edges=[["", "0"], ["0", "0.0"]]))

    assert outside_ids(chat) == {"7": "", "0": "0", "0.0": "0.0"}
    assert len(repairs) == 1


def test_a_root_that_is_missing_is_replaced_by_one_without_message_so_that_ids_stay():
    chat, repairs = brought_in(document("0", "1", "0.0"))

    assert chat.tree.root.message is None
    assert {id: here for id, here in outside_ids(chat).items() if id} == {"0": "0", "1": "1", "0.0": "0.0"}
    assert repairs == [
        "here, node '': the document has no such root; one without message stands above the others",
    ]


def test_the_subtree_behind_a_missing_edge_hangs_where_its_ids_say():
    value = document("", "0", "1", "0.0", "0.1", "0.0.0", edges=[["", "0"], ["", "1"], ["0", "0.1"], ["0.0", "0.0.0"]])
    chat, repairs = brought_in(value)

    assert all(id == here for id, here in outside_ids(chat).items())
    assert len(outside_ids(chat)) == 6
    assert repairs == ["here, node '0.0': no edge leads to it; put where its id says"]


def test_without_edges_the_ids_say_all_and_that_is_reported_once():
    value = document("", "0", "1", "0.0", "0.1", "0.0.0")
    del value["edges"]
    chat, repairs = brought_in(value)

    assert {id: id for id in outside_ids(chat)} == outside_ids(chat)
    assert repairs == ["here: no edges; the ids say where the nodes hang"]


def test_a_node_without_edge_whose_parent_is_not_there_hangs_under_the_root():
    chat, repairs = brought_in(document("", "0", "3.0", edges=[["", "0"]]))

    assert outside_ids(chat) == {"": "", "0": "0", "3.0": "1"}
    assert "no edge leads to it; put under the root, since its id names no node that is there" in repairs[0]
    assert "here it is '1'" in repairs[1]


def test_the_ids_give_the_order_where_edges_stand_in_another():
    chat, repairs = brought_in(document("", "0", "1", "2", edges=[["", "2"], ["", "0"], ["", "1"]]))

    assert {id: id for id in outside_ids(chat)} == outside_ids(chat)
    assert repairs == ["here, node '': its children's edges are in another order than their ids, which give the order"]


def test_an_id_that_disagrees_with_its_edge_is_kept_and_the_edge_counts():
    value = document("", "0", "1", "0.0", "0.0.0", edges=[["", "0"], ["", "1"], ["1", "0.0"], ["0.0", "0.0.0"]])
    chat, repairs = brought_in(value)

    assert outside_ids(chat) == {"": "", "0": "0", "1": "1", "0.0": "1.0", "0.0.0": "1.0.0"}
    assert repairs == [
        "here, node '0.0': its id names another parent than its edge; here it is '1.0', and its id is kept as metadata"
    ]


def test_a_second_node_of_an_id_stands_beside_the_first():
    again = node("0.0", content="again")
    value = document("", "0", "0.0", again, "0.1", edges=[["", "0"], ["0", "0.0"], ["0", "0.1"]], current="0.0")
    chat, repairs = brought_in(value)

    assert [found.message.text for found in chat.tree["0"].children] == ["text of '0.0'", "text of '0.1'", "again"]
    assert repairs == [
        "here, node '0.0': a second node of this id; it is called '0.0#2'",
        "here, node '0.0#2': no edge leads to it; put beside the first of its id",
    ]


@pytest.mark.parametrize("odd", ["01", "-1", "+1", " 1", "1 ", "1_0", "\u0661", "1.", ".1", "x"])
def test_an_id_that_is_no_dot_path_is_never_taken_for_one(odd):
    chat, repairs = brought_in(
        document("", "0", "1", node(odd, content="odd"), edges=[["", odd], ["", "0"], ["", "1"]])
    )

    assert outside_ids(chat) == {"": "", "0": "0", "1": "1", odd: "2"}
    assert chat.tree["2"].message.text == "odd"
    assert repairs == [f"here, node {odd!r}: its id is no dot path; here it is '2', and its id is kept as metadata"]


def test_a_cycle_is_cut_above_its_first_node():
    chat, repairs = brought_in(
        document("", "0", "0.0", "0.0.0", edges=[["0.0.0", "0"], ["0", "0.0"], ["0.0", "0.0.0"]])
    )

    assert {id: id for id in outside_ids(chat)} == outside_ids(chat)
    assert repairs == ["here, node '0': it is its own ancestor; the cycle is cut above it, and it hangs under the root"]


@pytest.mark.parametrize(
    ("edge", "problem"),
    [
        (["0", "9"], "the edge from '0' to '9' is left out: it leads to no node"),
        (["9", "0"], "the edge from '9' to '0' is left out: it comes from no node"),
        (["0", "0"], "the edge from '0' to '0' is left out: it leads to where it comes from"),
        (["0", ""], "the edge from '0' to '' is left out: it leads to the root"),
        (["1", "0"], "the edge from '1' to '0' is left out: another leads there"),
        (["0"], "1 of the edges are no pairs of ids; left out"),
        ("01", "1 of the edges are no pairs of ids; left out"),
        ({"0": "1"}, "1 of the edges are no pairs of ids; left out"),
        ([0, 1], "1 of the edges are no pairs of ids; left out"),
    ],
)
def test_an_edge_that_leads_nowhere_is_left_out(edge, problem):
    chat, repairs = brought_in(document("", "0", "1", edges=[["", "0"], ["", "1"], edge]))

    assert outside_ids(chat) == {"": "", "0": "0", "1": "1"}
    assert repairs == [f"here: {problem}"]


def test_a_gap_among_siblings_closes_and_the_id_is_kept():
    chat, repairs = brought_in(document("", "0", "0.0", "0.2", "0.2.0"))

    assert outside_ids(chat) == {"": "", "0": "0", "0.0": "0.0", "0.2": "0.1", "0.2.0": "0.1.0"}
    assert chat.tree["0.1"].message.metadata["dataknobs"]["id"] == "0.2"
    reason = "the ids of its siblings leave a gap before it; here it is '0.1', and its id is kept as metadata"
    assert repairs == [f"here, node '0.2': {reason}"]
    assert export(chat, "dataknobs")["edges"] == [["", "0"], ["0", "0.0"], ["0", "0.1"], ["0.1", "0.1.0"]]


@pytest.mark.parametrize("current", [None, "9", "01", 0, ["0"]])
def test_without_a_current_node_the_cursor_is_on_the_newest_leaf(current):
    value = document("", node("0", second=2), node("1", second=1)) | {"current_node_id": current}
    chat, repairs = brought_in(value)

    assert chat.cursor.id == "0"
    assert any("the cursor is on the newest leaf, '0'" in repair for repair in repairs)


def test_a_chain_of_5_000_messages_goes_in_and_out():
    ids = [".".join(["0"] * depth) for depth in range(5_001)]
    value = document(*(node(id, content="m") for id in ids))
    chat, repairs = brought_in(value)

    assert repairs == []
    assert chat.cursor.depth == 5_000
    assert export(chat, "dataknobs") == value


def test_metadata_nested_deeper_than_any_decoder_goes_is_text_in_every_version():
    deep = []
    for _ in range(900):
        deep = [deep]
    for schema in (None, "1.1.0"):
        chat, repairs = brought_in(document("", node("0", metadata={"deep": deep}), schema=schema))
        assert contents(chat) == ["text of ''", "text of '0'"]
        assert any("nested more than" in repair for repair in repairs)


@pytest.mark.parametrize("content", [None, 5, {"text": "x"}, ["x"], [{"text": "x"}]])
def test_content_of_another_kind_is_readable_and_kept(content):
    message = {"role": "user", "content": content}
    chat, repairs = brought_in(document("", node("0") | {"message": message}))

    assert len(repairs) == 1
    assert chat.cursor.message.content == ("" if content is None else json.dumps(content))
    assert export(chat, "dataknobs")["nodes"][1]["message"] == message


# Damage.


@st.composite
def damaged(draw):
    value = draw(documents())
    for each in value["nodes"]:
        each["message"]["content"] = f"<{each['node_id']}>"
    for _ in range(draw(st.integers(1, 4))):
        draw(st.sampled_from([_damage_node, _damage_edges, _damage_document]))(draw, value)
    return value


odd_ids = st.sampled_from(["", "0", "1", "0.0", "0.1", "2", "01", "-1", " 0", "x", "\ud800", None, 5])


def _damage_node(draw, value):
    found = draw(st.sampled_from(value["nodes"]))
    key = draw(st.sampled_from(["node_id", "timestamp", "prompt_name", "metadata", "extra"]))
    found[key] = draw(odd_ids if key == "node_id" else anything)
    if draw(st.booleans()):
        found["message"][draw(st.sampled_from(["role", "name", "tool_calls", "metadata"]))] = draw(anything)


def _damage_edges(draw, value):
    edges = value["edges"]
    how = draw(st.sampled_from(["drop", "add", "shuffle", "spoil"]))
    if how == "drop" and edges:
        edges.pop(draw(st.integers(0, len(edges) - 1)))
    elif how == "add":
        edges.append([draw(odd_ids), draw(odd_ids)])
    elif how == "spoil":
        edges.append(draw(anything))
    else:
        value["edges"] = draw(st.permutations(edges))


def _damage_document(draw, value):
    value[draw(st.sampled_from(["current_node_id", "metadata", "created_at", "conversation_id"]))] = draw(anything)


@given(damaged())
def test_a_damaged_document_loses_no_message_and_says_what_was_done(value):
    before = repr(value)
    chat, _ = brought_in(value)

    assert repr(value) == before
    assert contents(chat) == sorted(each["message"]["content"] for each in value["nodes"])
    again, repairs = brought_in(json.loads(json.dumps(export(chat, "dataknobs"))))
    assert {id: id for id in outside_ids(again)} == outside_ids(again)
    assert contents(again) == contents(chat)
    assert not any("edge" in repair or "its id" in repair for repair in repairs)


@given(documents(), st.data())
def test_any_value_in_any_place_is_read_or_refused_with_a_reason(value, data):
    place = value
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [each for each in (place.values() if isinstance(place, dict) else place) if each]
        inner = [each for each in inner if isinstance(each, dict | list)]
        place = data.draw(st.sampled_from(inner)) if inner else place
    key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(anything)

    try:
        chat, _ = brought_in(value)
    except (InvalidInput, SchemaVersionError) as error:
        reason = str(error)
    else:
        reason = json.dumps(export(chat, "dataknobs"))
    assert reason


# Files.


def test_documents_are_told_from_other_json():
    assert detect.reader_of(document("")) is dataknobs
    assert detect.reader_of({"nodes": [], "current_node_id": ""}) is dataknobs
    for other in ({"nodes": [], "edges": []}, {"nodes": [], "mapping": {}, "current_node_id": ""}, {"edges": []}):
        assert detect.reader_of(other) is not dataknobs


@pytest.mark.parametrize("form", ["one", "array", "lines"])
def test_a_file_of_documents_comes_in_and_twice_is_once(tmp_path, form):
    values = [document("", "0", "0.0", conversation_id=id) for id in ("a", "b", "c")]
    values[1]["schema_version"] = "2.0.0"
    if form == "one":
        values = values[:1]
    text = {
        "one": json.dumps(values[0]),
        "array": json.dumps(values),
        "lines": "\n".join(map(json.dumps, values)),
    }[form]
    path = tmp_path / "documents"
    path.write_text(text)

    with branchlog.open("memory:") as store:
        report = import_file(store, path)
        chats = [store.load(each.id) for each in store.list()]
        again = import_file(store, path)

    expected = 1 if form == "one" else 2
    assert (report.format, report.added, again.added, again.unchanged) == ("dataknobs", expected, 0, expected)
    assert [skipped.reason for skipped in report.skipped] == (
        []
        if form == "one"
        else ["a dataknobs document has version 2.0.0; this branchlog reads up to 1.1.0: upgrade branchlog"]
    )
    assert {chat.id: export(chat, "dataknobs") for chat in chats} == {
        each["conversation_id"]: each for each in values if each["schema_version"] == "1.1.0"
    }


def test_a_document_that_has_grown_adds_what_is_new(tmp_path):
    path = tmp_path / "document.json"
    with branchlog.open("memory:") as store:
        path.write_text(json.dumps(document("", "0", "0.0")))
        import_file(store, path)
        path.write_text(json.dumps(document("", "0", "0.0", "0.1", current="0.1")))
        report = import_file(store, path)
        chat = store.load("trip")

    assert (report.grown, report.nodes) == (1, 1)
    assert chat.cursor.id == "0.1"
