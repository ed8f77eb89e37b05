"""Files in: the real samples arrive whole, twice is once, and damage stays where it is."""

import copy
import json
from datetime import UTC, datetime

import pytest
from formats.exports import anything, chatgpt_exports, damaged_chatgpt_exports
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog import exchange
from branchlog.exchange import import_file, import_files
from branchlog.formats.outline import known_ids

SAMPLES = {
    # file: conversations, nodes, forks, leaves, depth; as counted by the description of the samples
    "chatgpt/librechat_chatgpt-tree.json": (1, 13, 2, 3, 7),
    "chatgpt/mitkury_example-conversation.json": (1, 6, 1, 2, 4),
    "chatgpt/openwebui-importer_gpt_example.json": (1, 13, 0, 1, 12),
    "chatgpt/polylogue_sample-00.json": (1, 3, 1, 2, 1),
    "chatgpt/quentinous_conversations.json": (2, 6, 0, 2, 3),
    "oasst/open-assistant_en_100_tree.jsonl": (100, 1167, 260, 626, 5),
}


@pytest.fixture
def store():
    with branchlog.open("memory:") as opened:
        yield opened


def written(folder, value, name="export"):
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return path


def turn(id, parent=None, text="", **fields):
    message = {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [text or id]}, **fields}
    return {"id": id, "parent": parent, "message": message}


def conversation(id, *turns, **fields):
    mapping = {each["id"]: each for each in turns}
    return {"id": id, "title": id, "mapping": mapping, "current_node": turns[-1]["id"], **fields}


def three():
    return [conversation(id, turn(f"{id}1"), turn(f"{id}2", f"{id}1")) for id in "abc"]


def outcome(report):
    return report.added, report.grown, report.unchanged, report.nodes


def texts(store, id):
    return [message.text for message in store.messages(id)]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_real_sample_arrives_with_every_branch(store, samples, name):
    report = import_file(store, samples / name)
    chats = [store.load(each.id) for each in store.list(limit=1_000)]
    trees = [chat.tree for chat in chats]

    counted = (
        len(trees),
        sum(map(len, trees)),
        sum(len(tree.forks) for tree in trees),
        sum(len(tree.leaves) for tree in trees),
        max(leaf.depth for tree in trees for leaf in tree.leaves),
    )
    assert counted == SAMPLES[name]
    assert (report.added, report.nodes, report.branches) == (counted[0], counted[1], counted[3])
    assert report.skipped == ()
    assert json.loads(json.dumps(report.to_json()))["added"] == counted[0]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("chatgpt")])
def test_a_real_sample_keeps_times_ids_texts_and_the_current_node(store, samples, name):
    import_file(store, samples / name)
    exported = json.loads((samples / name).read_bytes())

    for one in exported if isinstance(exported, list) else [exported]:
        chat = store.load(one["id"] if "id" in one else one["conversation_id"])
        nodes = known_ids(chat, "chatgpt")
        assert nodes.keys() == one["mapping"].keys()
        for id, node in one["mapping"].items():
            if node["message"] is not None:
                kept = nodes[id].message
                assert kept.metadata["chatgpt"].get("create_time") == node["message"].get("create_time")
                assert kept.role == node["message"]["author"]["role"]
                assert kept.text == "\n\n".join(node["message"]["content"].get("parts", [kept.text]))
        if "current_node" in one:
            assert chat.cursor == nodes[one["current_node"]]


def test_oasst_ratings_are_there_for_every_ranked_message(store, samples):
    import_file(store, samples / "oasst/open-assistant_en_100_tree.jsonl")
    chats = [store.load(each.id) for each in store.list(limit=1_000)]
    nodes = [node for chat in chats for node in chat.tree.nodes]

    assert sum(node.rating is not None for node in nodes) == 641
    assert all((node.rating is None) == (node.message.metadata["oasst"].get("rank") is None) for node in nodes)


def test_importing_twice_writes_nothing(store, samples):
    files = [samples / name for name in SAMPLES]
    import_files(store, files)
    commits = len(store.changes())

    assert [(*outcome(report)[:2], report.nodes, report.unchanged) for report in import_files(store, files)] == [
        (0, 0, 0, expected[0]) for expected in SAMPLES.values()
    ]
    assert len(store.changes()) == commits == 106


@given(chatgpt_exports(), st.data())
def test_a_later_export_adds_only_what_is_new(tmp_path_factory, export, data):
    """Any export is a later one of what is left when some of its newest nodes are taken away."""
    folder = tmp_path_factory.mktemp("grown")
    earlier = copy.deepcopy(export.value)
    for id in list(export.said)[data.draw(st.integers(1, len(export.said))) :]:
        del earlier["mapping"][id]
    for node in earlier["mapping"].values():
        if "children" in node:
            node["children"] = [child for child in node["children"] if child in earlier["mapping"]]
    if earlier["current_node"] not in earlier["mapping"]:
        earlier["current_node"] = "n0"
    with branchlog.open("memory:") as store:
        first = import_file(store, written(folder, [earlier]))
        there = store.load(export.value["id"])
        before = {id: node.id for id, node in known_ids(there, "chatgpt").items()}
        second = import_file(store, written(folder, [export.value]))
        chat = store.load(export.value["id"])

    nodes = known_ids(chat, "chatgpt")
    assert first.nodes + second.nodes == len(nodes) == len(chat.tree) == len(export.said)
    assert all(nodes[id].id == place for id, place in before.items())
    assert all(nodes[id].parent == nodes.get(said.parent) for id, said in export.said.items())
    expected = export.current if export.current not in before else earlier["current_node"]
    assert chat.cursor == nodes[expected]


@given(st.lists(damaged_chatgpt_exports() | anything, min_size=1, max_size=4), st.booleans())
def test_every_element_of_a_file_comes_in_or_is_skipped_and_twice_is_once(tmp_path_factory, values, as_lines):
    text = "\n".join(map(json.dumps, values)) if as_lines and len(values) > 1 else json.dumps(values)
    path = written(tmp_path_factory.mktemp("any"), text.encode())
    with branchlog.open("memory:") as store:
        try:
            report = import_file(store, path)
        except branchlog.UnreadableFile:
            assert not any(isinstance(value, dict) and "mapping" in value for value in values)
            return
        again = import_file(store, path)

        assert report.conversations + len(report.skipped) == len(values)
        assert (again.unchanged, again.nodes, again.skipped) == (report.conversations, 0, report.skipped)
        assert sum(each.nodes for each in store.list()) == report.nodes
        assert json.dumps(report.to_json()).encode().decode().isprintable()


@given(st.data())
def test_a_changed_byte_is_no_crash(tmp_path_factory, data):
    whole = bytearray(json.dumps(three()).encode())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.mktemp("byte"), bytes(whole))
    with branchlog.open("memory:") as store:
        try:
            report = import_file(store, path)
        except branchlog.UnreadableFile as error:
            assert whole[:1] != b"["
            assert str(path) in str(error)  # noqa: PT017
            return

        assert report.added >= 2
        assert report.added == store.count()


@pytest.mark.parametrize("already", [1, 2])
def test_another_writer_that_comes_first_is_met_and_nothing_is_there_twice(store, tmp_path, monkeypatch, already):
    """The other import happens between the look at the store and the save."""
    turns = [turn("1"), turn("2", "1"), turn("3", "2")]
    path = written(tmp_path, [conversation("a", *turns)])
    load, others = exchange._loaded, [written(tmp_path, [conversation("a", *turns[:already])], "other")]

    def load_late(store, id):
        found = load(store, id)
        if others:
            import_file(store, others.pop())
        return found

    monkeypatch.setattr(exchange, "_loaded", load_late)
    report = import_file(store, path)

    assert outcome(report) == (0, 1, 0, 3 - already)
    assert texts(store, "a") == ["1", "2", "3"]


def test_a_conversation_that_was_deleted_stays_deleted(store, tmp_path):
    path = written(tmp_path, three())
    import_file(store, path)
    store.delete("b")
    report = import_file(store, path)

    assert outcome(report) == (0, 0, 2, 0)
    assert "deleted" in report.skipped[0].reason


def test_what_was_said_here_stays_and_the_cursor_with_it(store, tmp_path):
    import_file(store, written(tmp_path, [conversation("a", turn("1"), turn("2", "1"))]))
    with store.editing("a") as chat:
        chat.say("user", "mine")
    report = import_file(store, written(tmp_path, [conversation("a", turn("1"), turn("3", "1"), turn("2", "1"))]))

    assert outcome(report) == (0, 1, 0, 1)
    assert texts(store, "a") == ["1", "2", "mine"]


def test_an_id_that_another_conversation_has_gets_a_stable_suffix(store, tmp_path):
    store.save(store.create("a", title="mine"))
    path = written(tmp_path, [conversation("a", turn("1"))])
    reports = [import_file(store, path) for _ in range(2)]

    assert [outcome(report) for report in reports] == [(1, 0, 0, 1), (0, 0, 1, 0)]
    assert store.load("a").title == "mine"
    assert store.count(metadata={"source": {"format": "chatgpt", "id": "a"}}) == 1


def test_conversations_of_one_id_that_overlap_find_each_its_own_again(store, tmp_path):
    """What grew by a later one is not taken for an earlier one that it has a message in common with now."""
    top = {"id": "0", "parent": None, "message": None}
    values = [
        conversation("a", turn("2", "0")),
        conversation("a", turn("0"), turn("1", "0")),
        conversation("a", top, turn("1", "0"), turn("2", "0")),
    ]
    path = written(tmp_path, values)
    first, again = (import_file(store, path) for _ in range(2))

    assert (first.added, first.grown) == (2, 1)
    assert outcome(again) == (0, 0, 3, 0)


def test_two_conversations_of_one_id_do_not_run_together(store, tmp_path):
    root = {"id": "client-created-root", "parent": None, "message": None}
    path = written(tmp_path, [conversation("a", root, turn(id, "client-created-root")) for id in ("one", "other")])
    reports = [import_file(store, path) for _ in range(2)]

    assert [outcome(report) for report in reports] == [(2, 0, 0, 4), (0, 0, 2, 0)]


@pytest.mark.parametrize("id", [None, "", "x" * 2_000, "a\0b", 7])
def test_a_conversation_without_a_usable_id_gets_one_that_stays(store, tmp_path, id):
    path = written(tmp_path, [conversation("a", turn("1")) | {"id": id}])
    reports = [import_file(store, path) for _ in range(2)]

    assert [outcome(report) for report in reports] == [(1, 0, 0, 1), (0, 0, 1, 0)]


def test_every_cut_of_an_array_keeps_what_is_before_it(store, tmp_path):
    data = json.dumps(three()).encode()
    ends = [data.index(b'"current_node": "%s2"}' % id) + 21 for id in (b"a", b"b", b"c")]
    for cut in range(1, len(data), 7):
        path = written(tmp_path, data[:cut])
        with branchlog.open("memory:") as empty:
            whole = sum(end <= cut for end in ends)
            if whole:
                report = import_file(empty, path)
                assert report.added == whole
                assert ends[whole - 1] <= int(report.skipped[0].where.split()[-1]) <= cut
            else:
                with pytest.raises(branchlog.UnreadableFile, match="byte"):
                    import_file(empty, path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"title": "b"', b'"title": "b'),
        (b'"title": "b"', b'"title" "b"'),
        (b'"title": "b", "mapping": {', b'"title": "b", "mapping": '),
        (b'"title": "b"', b'"title": "\xff"'),
        (b'"title": "b"', b'"title": b'),
    ],
)
def test_damage_in_one_conversation_never_costs_another(store, tmp_path, old, new):
    data = json.dumps(three()).encode()
    report = import_file(store, written(tmp_path, data.replace(old, new)))

    assert report.added == 2
    assert sorted(each.id for each in store.list()) == ["a", "c"]
    assert report.skipped[0].where == f"conversation 2, at byte {data.index(json.dumps(three()[1]).encode())}"


def test_a_bad_line_is_reported_with_its_number(store, tmp_path):
    lines = [
        json.dumps({"message_tree_id": id, "prompt": {"message_id": id, "text": id, "role": "prompter"}})
        for id in "abc"
    ]
    lines[1] = lines[1][:-9]
    report = import_file(store, written(tmp_path, "\n".join(lines).encode()))

    assert report.added == 2
    assert [each.where for each in report.skipped] == ["line 2"]


def test_an_array_as_the_first_of_several_lines_is_one_line(store, tmp_path):
    report = import_file(store, written(tmp_path, b"[]\n" + b"\n".join(json.dumps(one).encode() for one in three())))

    assert report.added == 3
    assert [each.where for each in report.skipped] == ["line 1"]


def test_what_follows_an_array_is_reported_with_its_place(store, tmp_path):
    data = json.dumps(three()).encode()
    report = import_file(store, written(tmp_path, data + b"\nmore"))

    assert report.added == 3
    assert [each.where for each in report.skipped] == [f"byte {len(data) + 1}"]


def test_one_that_is_no_conversation_is_skipped_with_the_reason(store, tmp_path):
    report = import_file(store, written(tmp_path, [{"id": "x", "title": "Corrupted entry"}, 5, *three()]))

    assert report.added == 3
    assert "without a mapping" in report.skipped[0].reason
    assert "a number" in report.skipped[1].reason


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"hello", "not JSON"),
        (b"\xff\xfe[\x00]\x00", "not UTF-8"),
        (b"[]", "empty JSON array"),
        (b"5", "JSON that is a number"),
        (b'{"a": 1, "b": 2}', "a JSON object with keys a, b"),
        (b'[{"\\ud800": 1}]', "a JSON array|a JSON object with keys"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"mapping": {"a": {"message', "byte 0"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(store, tmp_path, data, problem):
    with pytest.raises(branchlog.UnreadableFile, match=problem):
        import_file(store, written(tmp_path, data))

    assert store.count() == 0


def test_a_missing_file_and_an_empty_folder_do_not_keep_others_out(store, tmp_path):
    good = written(tmp_path, three())
    (tmp_path / "empty").mkdir()
    missing, there = import_files(store, [tmp_path / "gone", tmp_path / "empty", good])

    assert "no such file" in missing.error
    assert (there.error, there.added) == (None, 3)
    with pytest.raises(branchlog.UnreadableFile, match="folder"):
        import_file(store, tmp_path)


def test_what_was_redacted_does_not_come_back(store, tmp_path):
    turns = [turn("1", text="secret"), turn("2", "1"), turn("3", "2")]
    import_file(store, written(tmp_path, [conversation("a", *turns[:2])]))
    with store.editing("a") as chat:
        chat.redact(known_ids(chat, "chatgpt")["1"])
    again = import_file(store, written(tmp_path, [conversation("a", *turns[:2])]))
    later = import_file(store, written(tmp_path, [conversation("a", *turns)]))

    assert (outcome(again), outcome(later)) == ((0, 0, 1, 0), (0, 1, 0, 1))
    assert "secret" not in texts(store, "a")
    assert store.load("a").tree.nodes[-1].parent.message.text == "2"


def test_strict_skips_what_would_have_to_be_repaired(store, tmp_path):
    sound, orphan, other = three()
    orphan["mapping"]["b2"]["parent"] = "gone"
    report = import_file(store, written(tmp_path, [sound, orphan, other]), strict=True)

    assert sorted(each.id for each in store.list()) == ["a", "c"]
    assert [each.where for each in report.skipped] == ["conversation 2"]
    assert "repaired" in report.skipped[0].reason
    assert "'gone' is not there" in report.skipped[0].reason
    assert import_file(store, written(tmp_path, [sound, orphan, other])).added == 1


def test_what_only_lenient_decoders_read_comes_in_and_is_reported(store, tmp_path):
    text = json.dumps(three()).replace('"title": "b"', f'"title": "b\\ud800", "n": NaN, "i": 1{"0" * 5_000}, "s": 1')
    report = import_file(store, written(tmp_path, text.encode()))

    assert report.added == 3
    assert store.load("b").title == "b\ufffd"
    assert store.load("b").metadata["chatgpt"]["n"] == "nan"
    assert store.load("b").metadata["chatgpt"]["i"].startswith("1000")
    assert len(report.repairs) >= 2


@pytest.mark.parametrize("integer", [2**64, 10**30, -(2**63) - 1])
def test_a_huge_integer_comes_in_digit_by_digit(store, tmp_path, integer):
    import_file(store, written(tmp_path, [conversation("a", turn("1"), n=integer)]))

    assert store.load("a").metadata["chatgpt"]["n"] == str(integer)


def test_one_conversation_is_one_commit_and_progress_ends_at_the_whole(store, tmp_path):
    path = written(tmp_path, three())
    seen = []
    import_file(store, path, progress=lambda done, total: seen.append((done, total)))

    assert len(store.changes()) == 3
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert seen == sorted(seen)


def test_the_move_of_the_cursor_is_of_the_moment_that_the_clock_of_the_store_tells(tmp_path):
    now = datetime(2031, 1, 2, tzinfo=UTC)
    with branchlog.open("memory:", clock=lambda: now) as store:
        import_file(store, written(tmp_path, [conversation("a", turn("1", create_time=5), turn("2", "1"))]))
        chat = store.load("a")

    assert [node.added.year for node in chat.tree.nodes] == [1970, 1970]
    assert chat.at(now).cursor == chat.cursor
    assert chat.at(datetime(2031, 1, 1, tzinfo=UTC)).cursor == chat.tree.root


def test_a_message_of_4_megabytes(store, tmp_path):
    import_file(store, written(tmp_path, [conversation("a", turn("1", text="é" * 2_000_000))]))

    assert texts(store, "a") == ["é" * 2_000_000]
