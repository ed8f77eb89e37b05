"""Lists of messages: each comes back as it was, and those that begin alike are one tree."""

import json

import pytest
from formats.exports import anything
from formats.exports_lists import forest, message_lists, odd_messages, said
from hypothesis import example, given
from hypothesis import strategies as st

import branchlog
from branchlog.errors import InvalidInput
from branchlog.exchange import export, import_file
from branchlog.formats import chat_completions, detect
from branchlog.formats.outline import add_missing, mended, start
from branchlog.store import Store


@pytest.fixture
def store():
    with branchlog.open("memory:") as opened:
        yield opened


def written(folder, *values, lines=False):
    path = folder / "export"
    text = "\n".join(json.dumps(value) for value in values) if lines else json.dumps(values[0])
    path.write_text(text)
    return path


def user(text, **fields):
    return {"role": "user", "content": text, **fields}


def assistant(text, **fields):
    return {"role": "assistant", "content": text, **fields}


SYSTEM = {"role": "system", "content": "You plan trips."}
QUESTION = [SYSTEM, user("Kyoto?")]


def brought_in(value):
    outline, repairs = chat_completions.read({"messages": value}, "here")
    outline, more = mended(outline, "here")
    return start(outline, id="chat"), repairs + more


def all_in(values):
    """The conversations of a file of these values, by their ids, and what was reported."""
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


def written_paths(chats):
    return [chat_completions.write(chat, node=node) for chat in chats.values() for node in chat.tree.nodes]


@given(message_lists())
def test_a_list_goes_out_as_it_came_in(messages):
    chat, repairs = brought_in(messages)

    assert repairs == []
    assert chat_completions.write(chat) == messages
    assert [node.message.to_chat()["role"] for node in chat.path()] == [message["role"] for message in messages]
    assert len(chat.tree) == len(messages)


@given(st.lists(odd_messages, min_size=1, max_size=4))
def test_an_odd_list_goes_out_as_it_came_in_too(messages):
    chat, _ = brought_in(messages)

    assert chat_completions.write(chat) == messages


@given(st.lists(message_lists(3), min_size=1, max_size=6))
@example([[user("a")], [user("b")], [user("a"), assistant("c")]])
def test_lists_that_begin_alike_are_one_tree(lists):
    chats, reports = all_in(lists)

    assert reports == []
    assert forest(written_paths(chats)) == forest(lists)
    families = [[each for each in lists if beginning(each) == first] for first in map(beginning, lists)]
    sizes = {json.dumps(beginning(family[0])): len(forest(family)) for family in families}
    assert sorted(len(chat.tree) for chat in chats.values()) == sorted(sizes.values())


def beginning(messages):
    """The messages up to the first that does not instruct."""
    count = next((at for at, each in enumerate(messages) if each["role"] not in ("system", "developer")), len(messages))
    return [said(message) for message in messages[: count + 1]]


@given(st.lists(message_lists(3), min_size=1, max_size=5), st.randoms())
def test_neither_the_order_nor_the_files_matter_to_the_tree(lists, random):
    together, _ = all_in(lists)
    shuffled = random.sample(lists, len(lists))
    apart, _ = all_in(shuffled)

    assert together.keys() == apart.keys()
    assert forest(written_paths(together)) == forest(written_paths(apart))


def without_doubles(lists):
    """Those that are not the beginning of another one."""
    leaves = {}
    for each in lists:
        keys = [json.dumps(said(message)) for message in each]
        leaves[tuple(keys)] = each
    return [
        each
        for keys, each in leaves.items()
        if not any(other != keys and other[: len(keys)] == keys for other in leaves)
    ]


@given(
    st.lists(message_lists(3), min_size=1, max_size=5),
    st.lists(st.sampled_from([{}, {"tools": [{"type": "function"}]}, {"id": 7}]), min_size=5, max_size=5),
)
def test_a_fine_tuning_file_whose_lists_end_apart_comes_back_line_by_line(lists, beside):
    lines = [{**more, "messages": each} for each, more in zip(without_doubles(lists), beside, strict=False)]
    chats, reports = all_in(lines)
    out = [line for chat in chats.values() for line in detect.writer_of("fine-tuning").write(chat)]

    assert reports == []
    assert sorted(map(key, out)) == sorted(map(key, lines))
    again, _ = all_in(out)
    assert {id: len(chat.tree) for id, chat in again.items()} == {id: len(chat.tree) for id, chat in chats.items()}


def key(line):
    rest = {name: value for name, value in line.items() if name != "messages"}
    return json.dumps([rest, [said(message) for message in line["messages"]]], sort_keys=True)


@given(st.lists(st.one_of(anything, st.lists(anything, max_size=3), st.builds(lambda m: {"messages": m}, anything))))
def test_whatever_stands_among_lists_costs_none_of_them(damage):
    good = [[user("a"), assistant("b")], [user("c")]]
    chats, _ = all_in([good[0], *damage, good[1]])

    assert forest(good) <= forest(written_paths(chats))


@given(st.lists(st.one_of(odd_messages, anything), max_size=4))
def test_a_file_of_damaged_messages_comes_in_or_is_refused_and_twice_is_once(tmp_path_factory, rows):
    path = written(tmp_path_factory.mktemp("rows"), [user("a"), *rows])
    with branchlog.open("memory:") as store:
        report = import_file(store, path)
        again = import_file(store, path)

    assert report.added >= 1
    assert (again.added, again.grown, again.nodes) == (0, 0, 0)


def test_a_real_list_of_tool_calls_comes_in_and_goes_out_as_it_stood(samples, store):
    path = samples / "openai-chat" / "openhands_fncall-llm-message.json"
    report = import_file(store, path)
    (chat,) = [store.load(each.id) for each in store.list()]

    assert (report.format, report.added, report.nodes, report.branches) == ("chat-completions", 1, 14, 1)
    assert (report.repairs, report.skipped, report.kept_aside) == ((), (), 0)
    assert export(chat, "chat-completions") == json.loads(path.read_text())
    assert chat.tree.nodes[2].message.tool_calls[0]["id"] == chat.tree.nodes[3].message.tool_call_id
    assert import_file(store, path).unchanged == 1


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
def test_a_file_of_messages_is_one_conversation(tmp_path, store, lines):
    messages = [*QUESTION, assistant("Day 1")]
    report = import_file(store, written(tmp_path, *(messages if lines else [messages]), lines=lines))

    assert (report.added, report.nodes) == (1, 3)
    (entry,) = store.list()
    assert entry.title == "Kyoto?"
    assert store.load(entry.id).cursor.id == "0.0"


FORMS = {
    "array of lists": json.dumps,
    "lines of lists": lambda lists: "\n".join(map(json.dumps, lists)),
    "array of objects": lambda lists: json.dumps([{"messages": each} for each in lists]),
    "lines of objects": lambda lists: "\n".join(json.dumps({"messages": each}) for each in lists),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_many_lists_are_one_tree_where_they_begin_alike(tmp_path, store, form):
    lists = [[*QUESTION, assistant("Day 1")], [*QUESTION, assistant("Start")], [user("Oslo?")]]
    (tmp_path / "export").write_text(form(lists))
    report = import_file(store, tmp_path / "export")
    trees = sorted((len(store.load(each.id).tree), len(store.load(each.id).branches)) for each in store.list())

    assert (report.added, report.nodes, report.branches, report.skipped) == (2, 5, 3, ())
    assert trees == [(1, 1), (4, 2)]


def test_a_list_that_has_grown_is_found_again_and_forks_where_it_parts(tmp_path, store):
    first = [*QUESTION, assistant("Day 1"), user("More?")]
    import_file(store, written(tmp_path, first))
    report = import_file(store, written(tmp_path, [*first, assistant("Day 2")]))
    assert (report.grown, report.nodes, report.branches) == (1, 1, 0)
    report = import_file(store, written(tmp_path, [*QUESTION, assistant("Start")]))
    (entry,) = store.list()

    assert (report.grown, report.nodes, report.branches) == (1, 1, 1)
    assert [node.id for node in store.load(entry.id).tree.leaves] == ["0.0.0.0", "0.1"]
    assert [message.content for message in store.messages(entry.id)][-1] == "Start"


def test_lists_that_stand_together_are_one_commit(tmp_path, store, monkeypatch):
    saves = []
    save = Store.save

    def counted(self, chat, **options):
        saves.append(chat.id)
        return save(self, chat, **options)

    monkeypatch.setattr(Store, "save", counted)
    lists = [[*QUESTION, assistant(str(number))] for number in range(50)]
    import_file(store, written(tmp_path, lists))

    assert len(saves) == 1


@pytest.mark.parametrize(
    ("message", "content", "repaired"),
    [
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}, None, False),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, None, False),
        ({"role": "assistant", "content": None, "refusal": "No."}, "", False),
        ({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{"}}, "", False),
        ({"role": "assistant", "content": None}, "", True),
        ({"role": "assistant", "content": None, "tool_calls": []}, "", True),
        ({"role": "user"}, "", True),
        ({"role": "user", "content": 5}, "5", True),
        ({"role": "user", "content": {"type": "text"}}, '{"type": "text"}', True),
        ({"role": "user", "content": ["a", {"type": "b"}]}, [{"type": "text", "text": "a"}, {"type": "b"}], False),
        ({"role": "user", "content": [{"text": "no type"}]}, '[{"text": "no type"}]', True),
    ],
)
def test_content_of_every_kind(message, content, repaired):
    chat, repairs = brought_in([user("a"), message])

    assert chat.cursor.message.content == content
    assert bool(repairs) == repaired
    assert chat_completions.write(chat)[1] == message


def test_arguments_that_are_no_json_stay_as_they_are():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"q": '}}
    chat, repairs = brought_in([user("a"), assistant(None, tool_calls=[call])])

    assert chat.cursor.message.tool_calls == [call]
    assert repairs == []


def test_the_developer_instructs_as_the_system_does():
    chats, _ = all_in([[{"role": "developer", "content": "Be brief."}, user(text)] for text in "ab"])

    assert len(chats) == 2


def test_what_stands_beside_a_list_is_kept_where_it_ends():
    lines = [{"messages": [*QUESTION, assistant("Day 1")], "id": number, "tools": []} for number in (1, 2)]
    chats, _ = all_in(lines)
    (chat,) = chats.values()

    assert chat.cursor.message.metadata["chat-completions"]["lists"] == [
        {"id": 1, "tools": []},
        {"id": 2, "tools": []},
    ]
    assert detect.writer_of("fine-tuning").write(chat) == lines


def test_unknown_fields_of_a_message_tell_it_from_another_one():
    chats, _ = all_in([[user("a"), assistant("b", weight=weight), user("c")] for weight in (0, 1)])
    (chat,) = chats.values()

    assert [len(node.children) for node in chat.tree.nodes] == [2, 1, 0, 1, 0]


def test_a_message_that_is_none_is_left_out_and_reported():
    chat, repairs = brought_in([user("a"), "b", user("c")])

    assert [message.content for message in chat.messages()] == ["a", "c"]
    assert "text, not an object" in repairs[0].what


@pytest.mark.parametrize("value", [{}, {"messages": None}, {"messages": []}, {"messages": "a"}, {"messages": ["a"]}])
def test_no_messages_no_conversation(value):
    with pytest.raises(InvalidInput, match="messages"):
        chat_completions.read(value, "here")


@pytest.mark.parametrize(
    "value",
    [
        {"mapping": {}},
        {"messages": [{"messageId": "a", "text": "b", "sender": "User"}], "conversationId": "c"},
        {"headId": "a", "messages": [{"message": {"role": "user", "content": []}, "parentId": None}]},
        {"messages": [{"role": "user", "content": "a", "parentId": None}]},
        {"history": {"messages": {}}, "messages": [{"role": "user", "content": "a"}]},
        {"conversations": [{"role": "user", "content": "a"}]},
        {"messages": []},
    ],
)
def test_conversations_of_other_formats_are_not_taken_for_these(value):
    assert not chat_completions.recognises(value)


def test_no_sample_of_another_format_is_taken_for_this(samples):
    others = [path for path in samples.rglob("*.json*") if path.parent.name not in ("openai-chat", "multi-sample")]
    assert others
    for path in others:
        text = path.read_text()
        values = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
        rows = values[0] if len(values) == 1 and isinstance(values[0], list) else values

        assert not chat_completions.recognises_records(rows), path
        assert not any(chat_completions.recognises(row) for row in rows if isinstance(row, dict)), path


# Out.


def test_a_path_is_what_a_model_is_sent_hidden_nodes_included():
    chat = branchlog.Conversation.start(system="Be brief.")
    ask = chat.say("user", "Kyoto?")
    first = chat.say("assistant", "Day 1")
    chat.annotate(first, hidden=True)
    chat.say("assistant", "Start", under=ask)

    assert export(chat, "chat-completions", node=first) == [message.to_chat() for message in chat.messages(first)]
    assert export(chat, "chat-completions") == [message.to_chat() for message in chat.messages()]


def test_a_conversation_without_messages_is_an_empty_list():
    chat = branchlog.Conversation.start()

    assert export(chat, "chat-completions") == []
    assert export(chat, "fine-tuning") == []
    assert export(chat, "preferences") == []


def test_every_branch_is_a_line_of_fine_tuning_and_comes_back_as_the_same_tree():
    chat = branchlog.Conversation.start(system="Be brief.")
    ask = chat.say("user", [{"type": "text", "text": "nul \0"}])
    chat.say(branchlog.Message("assistant", None, tool_calls=[{"id": "a", "type": "function"}]))
    chat.say(branchlog.Message("tool", "found", tool_call_id="a", name="search"))
    chat.say("assistant", "Start", under=ask)
    lines = export(chat, "fine-tuning")
    chats, reports = all_in(lines)
    (again,) = chats.values()

    assert [len(line["messages"]) for line in lines] == [4, 3]
    assert reports == []
    assert [(node.id, node.message.to_chat()) for node in again.tree.nodes] == [
        (node.id, node.message.to_chat()) for node in chat.tree.nodes
    ]


def test_an_erased_message_is_empty_in_what_goes_out():
    with branchlog.open("memory:") as store:
        chat = store.create(system="Be brief.")
        chat.redact(chat.say("user", "secret"))
        store.save(chat)
        out = export(store.load(chat.id), "fine-tuning")

    assert "secret" not in json.dumps(out)
    assert [message["role"] for message in out[0]["messages"]] == ["system", "user"]


def test_ten_thousand_messages_come_in_and_go_out():
    messages = [(user, assistant)[number % 2](str(number)) for number in range(10_000)]
    chat, repairs = brought_in(messages)

    assert repairs == []
    assert chat_completions.write(chat) == messages
    assert export(chat, "fine-tuning") == [{"messages": messages}]
