"""Sampling reports: a conversation for each prompt, an alternative for each sample."""

import json

import pytest
from formats.exports import anything
from hypothesis import given
from hypothesis import strategies as st

import branchlog
from branchlog.exchange import import_file

REPLIES = st.lists(st.sampled_from(["Day 1", "Start", "", "nul \0"]), max_size=4)


def report(*prompts, **fields):
    return {"model_name": "parrot", "date": "2023-07-06T09:47:23.166907", "prompts": list(prompts), **fields}


def prompt(text, *results):
    return {"prompt": text, "results": [result(str(number), outputs) for number, outputs in enumerate(results)]}


def result(config, outputs):
    return {"sampling_config": config, "sampling_params": {"temperature": 0.8}, "outputs": outputs}


@pytest.fixture
def bring(tmp_path):
    def brought(value):
        (tmp_path / "report.json").write_text(json.dumps(value))
        return import_file(store, tmp_path / "report.json")

    with branchlog.open("memory:") as store:
        brought.store = store
        yield brought


def test_the_real_report_comes_in_whole(samples):
    (path,) = (samples / "multi-sample").glob("*.json")
    with branchlog.open("memory:") as store:
        found = import_file(store, path)
        chats = [store.load(each.id) for each in store.list(limit=1000)]
        again = import_file(store, path)

    assert (found.format, found.added, found.nodes, found.branches) == ("oasst-sampling", 250, 3000, 2750)
    assert (found.repairs, found.skipped) == ((), ())
    assert {len(chat.tree.root.children) for chat in chats} == {11}
    assert (again.unchanged, again.nodes) == (250, 0)


@given(st.lists(st.lists(REPLIES, max_size=3), max_size=3))
def test_every_sample_is_a_node_with_its_settings_equal_ones_too(tmp_path_factory, sampled):
    path = tmp_path_factory.mktemp("report") / "report.json"
    value = report(*(prompt(f"prompt {number}", *results) for number, results in enumerate([[["a"]], *sampled])))
    path.write_text(json.dumps(value))
    with branchlog.open("memory:") as store:
        assert import_file(store, path).repairs == ()
        chats = {store.load(each.id).tree.root.message.text: store.load(each.id) for each in store.list()}
        assert import_file(store, path).nodes == 0

    for each in value["prompts"]:
        said = [(config, text) for config in each["results"] for text in config["outputs"]]
        nodes = chats[each["prompt"]].tree.root.children
        assert [node.message.text for node in nodes] == [text for _, text in said]
        for node, (config, _) in zip(nodes, said, strict=True):
            settings = {key: field for key, field in config.items() if key != "outputs"}
            assert node.message.metadata["oasst-sampling"]["result"] == settings


def test_what_the_report_says_of_itself_is_kept_with_each_prompt(bring):
    bring(report(prompt("Kyoto?", ["Day 1"]), args={"seed": 42}))
    (entry,) = bring.store.list()
    chat = bring.store.load(entry.id)

    assert chat.metadata["oasst-sampling"]["args"] == {"seed": 42}
    assert chat.title == "Kyoto?"
    assert chat.tree.root.added.year == 2023


def test_a_prompt_that_stands_twice_is_two_conversations(bring):
    twice = report(prompt("Kyoto?", ["Day 1"]), prompt("Kyoto?", ["Day 1"]))

    assert bring(twice).added == 2
    assert bring(twice).unchanged == 2


def test_reports_of_two_models_are_two_conversations(bring):
    for name in ("parrot", "owl"):
        assert bring(report(prompt("Kyoto?", ["Day 1"]), model_name=name)).added == 1


@given(st.lists(anything, max_size=3), anything)
def test_damage_costs_no_other_prompt(tmp_path_factory, odd, results):
    path = tmp_path_factory.mktemp("report") / "report.json"
    path.write_text(
        json.dumps(report(prompt("a", ["b"]), *odd, {"prompt": "c", "results": results}, prompt("d", ["e"])))
    )
    with branchlog.open("memory:") as store:
        found = import_file(store, path)
        texts = {store.load(each.id).tree.root.message.text for each in store.list()}
        again = import_file(store, path)

    assert {"a", "d"} <= texts
    assert (again.added, again.nodes) == (0, 0)
    assert len(found.skipped) >= sum(not isinstance(each, dict) for each in odd)
