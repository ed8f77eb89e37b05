"""The named checks are silent where all is well, and name what is wrong."""

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

import branchlog
from branchlog.commit import genesis
from branchlog.logs.memory import MemoryLog
from branchlog.testing import check_log, check_same_history, check_tree, commands, damaged_histories, histories, played
from branchlog.testing.contract import an_entry, next_commit, put


def stored(history):
    """A store with one conversation, written commit by commit as another program may have written it."""
    log = MemoryLog()
    for commit in history:
        log.append(commit, expected=commit.first - 1)
    return log


def saved(script):
    store = branchlog.open("memory:")
    with store.editing(a_chat(store).id) as chat:
        played(script, chat)
    return store


def a_chat(store):
    chat = store.create("trip", title="Kyoto")
    chat.say("user", "Hello")
    store.save(chat)
    return chat


@given(commands())
def test_what_a_store_saved_is_sound(script):
    store = saved(script)

    check_log(store.log)
    check_tree(store.load("trip").tree)
    check_same_history(store.load("trip"), store.load("trip"))


def test_a_tree_with_a_parent_that_does_not_know_its_child():
    chat = played([])
    chat.add("user", "a", under="")
    chat.add("user", "b", under="")
    chat.tree.leaves  # noqa: B018 - links the children
    chat._state.arrays._firsts[0] = -1
    with pytest.raises(AssertionError, match="not found"):
        check_tree(chat.tree)


def test_a_tree_with_a_stray_label():
    chat = played([])
    chat.annotate("", label="best")
    chat._state.labels["draft"] = [(1, 0)]
    with pytest.raises(AssertionError, match="labels"):
        check_tree(chat.tree)


def test_a_catalog_that_is_out_of_step():
    store = saved([])
    entry = store.log.entry("trip")
    store.log.put_entry(replace(entry, nodes=7))
    with pytest.raises(AssertionError, match="'trip': the catalog"):
        check_log(store.log)


def test_a_snapshot_that_lies():
    store = saved([])
    chat = store.load("trip")
    chat.annotate_conversation(title="Osaka")
    store.save(chat)
    liar = store.load("trip")
    liar._state.times[1] += 5
    taken = liar._take_snapshot(after=0)
    store.log.put_snapshot("trip", taken)
    with pytest.raises(AssertionError, match="'trip': the times"):
        check_log(store.log)


def test_what_are_no_events():
    log = MemoryLog()
    put(log, "trip", b'{"n":1}', entry=an_entry("trip"))
    with pytest.raises(AssertionError, match="'trip': "):
        check_log(log)


@given(damaged_histories())
def test_damaged_commits(history):
    if history.kind == "cut":
        return
    log = stored(history.whole)
    log._shared.commits[:] = [("", each) for each in placed(history.commits)]
    log._shared.streams["", "trip"].commits[:] = placed(history.commits)
    with pytest.raises(AssertionError, match=r"trip|catalog"):
        check_log(log)


def placed(commits):
    return [msgspec.structs.replace(commit, position=number) for number, commit in enumerate(commits, 1)]


@given(histories())
def test_two_logs_of_one_history(history):
    one, other = stored(history), stored(history)
    check_same_history(one, other)
    head = other.head("trip") or genesis("", "trip")
    other.append(next_commit(other, "trip"), expected=head.version)
    with pytest.raises(AssertionError, match="'trip'"):
        check_same_history(one, other)
    with pytest.raises(AssertionError, match="streams"):
        check_same_history(one, MemoryLog())


def test_what_cannot_be_compared():
    with pytest.raises(TypeError):
        check_same_history(MemoryLog(), played([]))


def test_verify_sees_a_chain_that_does_not_hold():
    """Also in a log that verifies nothing itself."""
    store = saved([])
    log = store.log
    (first,) = log.read("trip")[:1]
    broken = msgspec.structs.replace(first, at=first.at + 1)
    log._shared.streams["", "trip"].commits[0] = broken
    with pytest.raises(branchlog.CorruptLog, match="checksum"):
        store.verify("trip")
