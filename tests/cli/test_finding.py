"""Finding a conversation by the beginning of its id, and a node by the version of its event."""

import pytest

import branchlog


@pytest.fixture(params=["memory:", "sqlite"])
def store(request, tmp_path):
    address = str(tmp_path / "chats.db") if request.param == "sqlite" else request.param
    with branchlog.open(address) as store:
        for id in ("ab", "abc", "abd", "b", "é1", "a%c", "a_c"):
            store.save(store.create(id))
        yield store


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("ab", ["ab", "abc", "abd"]), ("abc", ["abc"]), ("é", ["é1"]), ("a%", ["a%c"]), ("a_", ["a_c"]), ("zz", [])],
)
def test_a_prefix_finds_the_ids_that_begin_so_to_the_letter(store, prefix, found):
    assert [summary.id for summary in store.find(prefix)] == found


def test_the_exact_id_comes_first_and_counts(store):
    assert [summary.id for summary in store.find("ab", limit=2)] == ["ab", "abc"]


def test_a_deleted_conversation_is_not_found_and_hides_no_other(store):
    store.delete("ab")

    assert [summary.id for summary in store.find("ab")] == ["abc", "abd"]


def test_another_namespace_finds_nothing(store):
    assert store.within("other").find("a") == ()


def test_a_name_that_cannot_be_is_refused(store):
    with pytest.raises(branchlog.InvalidInput):
        store.find("a\0")


def test_a_refused_create_warns_of_nothing(store):
    with pytest.raises(branchlog.AlreadyExists):
        store.create("ab")


def test_a_node_is_named_by_the_version_of_its_event():
    chat = branchlog.Conversation.start("c")
    first = chat.say("user", "one")
    second = chat.say("assistant", "two")

    assert (chat.node(":1"), chat.node(":2"), chat.node(":4")) == (chat.tree.root, first, second)
    assert chat.node(":4~") == first
    for text in (":3", ":9", ":2@{1}"):
        with pytest.raises(branchlog.NodeNotFound):
            chat.node(text)
    for text in (":", ":0", ":-1", ":02", ":x"):
        with pytest.raises(branchlog.InvalidExpression):
            chat.node(text)
