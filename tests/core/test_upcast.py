"""Steps from earlier versions of a shape to the present one: what a registry accepts, and what is read through it."""

import copy

import msgspec
import pytest
from hypothesis import given
from vocabulary import AT, CODEC, EARLIER, SAID, STEPS, committed, ping, said, started, told

from branchlog import CorruptLog, InvalidInput, SchemaVersionError
from branchlog._core.codec import VOCABULARY, Application, Codec, encode_events
from branchlog._core.events import SCHEMA, ConversationStarted, NodeAdded, SeveralEvents, UnknownEvent
from branchlog._core.projection import Projection, evolve_all
from branchlog._core.tree import Tree
from branchlog._core.upcast import Registry, Upcaster
from branchlog._core.version import parse_version
from branchlog.commit import genesis, seal
from branchlog.testing import commands, played, portrait


def step(source, target, function=lambda shape: [shape], sample=None, golden=None):
    sample = {"k": 1} if sample is None else sample
    return Upcaster(source, target, function, sample=sample, golden=[sample] if golden is None else golden)


def registry(*steps, released=(), current="1.0.0"):
    return Registry("notes", current=current, released=released, steps=steps)


# What a registry accepts.


@pytest.mark.parametrize(
    ("released", "steps", "message"),
    [
        (["0.1.0"], [], "no step leads from version 0.1.0 towards 1.0.0"),
        (["0.1.0"], [step("0.1.0", "0.2.0")], "no step leads from version 0.2.0 towards 1.0.0"),
        (
            ["0.1.0", "0.2.0", "0.3.0"],
            [step("0.1.0", "0.2.0"), step("0.3.0", "1.0.0")],
            "no step leads from version 0.2.0 towards 1.0.0",
        ),
        (
            ["0.1.0", "0.2.0"],
            [step("0.1.0", "0.2.0"), step("0.2.0", "0.1.0")],
            "the step from 0.2.0 to 0.1.0 does not lead up",
        ),
        (["0.1.0"], [step("0.1.0", "0.1.0")], "the step from 0.1.0 to 0.1.0 does not lead up"),
        (["0.10.0"], [step("0.10.0", "0.9.0")], "the step from 0.10.0 to 0.9.0 does not lead up"),
        (
            ["0.1.0"],
            [step("0.1.0", "1.0.0"), step("0.1.0", "0.2.0")],
            "more than one step from version 0.1.0",
        ),
        (["0.1.0"], [step("0.1.0", "1.0.0")] * 2, "more than one step from version 0.1.0"),
        ([], [step("0.1.0", "1.0.0")], "steps that no released version takes, from 0.1.0"),
        (["0.1.0"], [step("0.1.0", "1.0.0"), step("1.0.0", "2.0.0")], "no released version takes, from 1.0.0"),
        (["0.1.0"], [step("0.1.0", "2.0.0")], "no step leads from version 2.0.0 towards 1.0.0"),
        (["old"], [step("old", "1.0.0")], "not a version: 'old'"),
    ],
    ids=["nothing", "ends early", "gap", "cycle", "itself", "down", "fork", "twice", "stray", "behind the current",
         "past the current", "no number"],
)  # fmt: skip
def test_a_registry_that_does_not_lead_to_the_present_is_refused(released, steps, message):
    with pytest.raises(InvalidInput, match=message):
        registry(*steps, released=released)


@pytest.mark.parametrize(
    "function",
    [
        lambda shape: [{"k": 2}],
        lambda shape: [],
        lambda shape: [shape, shape],
        lambda shape: [{**shape, "more": None}],
    ],
)
def test_a_step_that_changed_since_its_release_is_refused(function):
    with pytest.raises(InvalidInput, match=r"the step from 0\.1\.0 to 1\.0\.0 has changed since it was released"):
        registry(step("0.1.0", "1.0.0", function), released=["0.1.0"])


def test_a_golden_sample_that_changed_is_refused():
    (first, second) = STEPS
    with pytest.raises(InvalidInput, match=r"the step from 0\.8\.0 to 0\.9\.0 has changed"):
        Registry(
            "events",
            current=SCHEMA,
            released=["0.8.0", "0.9.0"],
            steps=[Upcaster("0.8.0", "0.9.0", first.step, first.sample, [first.golden[0]]), second],
        )


def test_a_registry_of_one_version_needs_no_steps():
    only = registry()

    assert only.released == {"1.0.0"}
    assert only.upcast("1.0.0", {"k": 1}) == [{"k": 1}]
    assert VOCABULARY.released == {SCHEMA}


def test_several_ways_may_meet():
    """Two released versions may go on from the same one."""
    both = registry(
        step("0.1.0", "0.3.0"), step("0.2.0", "0.3.0"), step("0.3.0", "1.0.0"), released=["0.1.0", "0.2.0", "0.3.0"]
    )
    assert both.released == {"0.1.0", "0.2.0", "0.3.0", "1.0.0"}


def test_steps_are_taken_one_after_the_other():
    """What one step splits, the next is given piece by piece."""
    split = step("0.1.0", "0.2.0", lambda shape: [{"n": 1}, {"n": 2}, {"n": 3}], golden=[{"n": 1}, {"n": 2}, {"n": 3}])
    drop = step("0.2.0", "1.0.0", lambda shape: [] if shape.get("n") == 2 else [{**shape, "seen": True}],
                golden=[{"k": 1, "seen": True}])  # fmt: skip
    both = registry(split, drop, released=["0.1.0", "0.2.0"])

    assert both.upcast("0.1.0", {}) == [{"n": 1, "seen": True}, {"n": 3, "seen": True}]
    assert both.upcast("0.2.0", {"n": 2}) == []


def test_what_comes_in_is_never_changed():
    """Not by a step that changes its dict in place, however deep; neither shape nor sample."""

    def careless(shape):
        shape["inner"]["k"] = 2
        return [shape]

    sample = {"inner": {"k": 1}}
    one = registry(step("0.1.0", "1.0.0", careless, sample=sample, golden=[{"inner": {"k": 2}}]), released=["0.1.0"])
    shape = {"inner": {"k": 1}}

    assert one.upcast("0.1.0", shape) == [{"inner": {"k": 2}}]
    assert shape == sample == {"inner": {"k": 1}}


def test_the_fingerprint_tells_what_may_be_read_otherwise():
    """It changes with versions, steps and goldens, and not with the order in which these are given."""
    two = [step("0.1.0", "0.2.0"), step("0.2.0", "1.0.0")]
    fingerprints = {
        registry().fingerprint,
        registry(current="1.0.1").fingerprint,
        registry(*two, released=["0.1.0", "0.2.0"]).fingerprint,
        registry(step("0.1.0", "1.0.0"), released=["0.1.0"]).fingerprint,
        registry(step("0.1.0", "1.0.0", sample={"k": 2}), released=["0.1.0"]).fingerprint,
        registry(step("0.1.0", "1.0.0", lambda shape: [], golden=[]), released=["0.1.0"]).fingerprint,
    }
    assert len(fingerprints) == 6
    assert registry(*two[::-1], released=["0.2.0", "0.1.0"]).fingerprint in fingerprints


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.0.0", (1, 0, 0)), ("0.10.2", (0, 10, 2)), ("1.0", None), ("01.0.0", None), ("1.0.0 ", None), ("1.0.x", None)],
)
def test_versions(text, number):
    assert parse_version(text) == number


# Reading through a registry.


def folded(commits, codec=CODEC):
    state = Projection()
    for commit in commits:
        evolve_all(state, codec.decode(commit))
    return state


OLD = [
    ("0.8.0", [started("Trip"), said(2, 1, "a"), ping(3), said(4, 2, "b")]),
    ("0.8.0", [ping(5)]),
    ("0.9.0", [told("Journey")]),
    (SCHEMA, [{"type": "node-added", "at": AT + 2_000, "parent": 2, "message": {"role": "user", "content": "c"}}]),
]


def test_old_commits_fold_to_the_tree_that_they_meant():
    tree = Tree(folded(committed("trip", OLD)))

    assert [(node.id, node.message and node.message.content) for node in tree] == [
        ("", None), ("0", "a"), ("0.0", "b"), ("0.1", "c"),
    ]  # fmt: skip
    assert [node.version for node in tree] == [1, 2, 4, 7]
    assert (tree.cursor.id, tree.title, tree.version) == ("0.0", "Journey", 7)


def test_versions_and_times_are_those_of_the_log():
    """A split event has one version, a dropped one keeps its own, and looking back goes by these."""
    state = folded(committed("trip", OLD))
    then = [Tree(state).at(version) for version in range(1, 8)]

    assert [len(tree) for tree in then] == [1, 2, 2, 3, 3, 3, 4]
    assert [tree.cursor.id for tree in then] == ["", "0", "0", "0.0", "0.0", "0.0", "0.0"]
    assert [tree.title for tree in then] == ["Trip"] * 5 + ["Journey"] * 2
    assert list(state.times) == [AT, AT + 2, AT + 3, AT + 4, AT + 5, AT + 1_000, AT + 2_000]


def test_reading_changes_no_byte():
    commits = committed("trip", OLD)
    before = copy.deepcopy(commits)
    folded(commits)

    assert commits == before
    assert said(2, 1, "a")["message"] == SAID["message"]


def test_one_stored_event_is_one_event_with_its_version():
    first = CODEC.decode(committed("trip", OLD)[0])

    assert [type(event) for event in first] == [ConversationStarted, SeveralEvents, SeveralEvents, SeveralEvents]
    assert [len(event.events) for event in first[1:]] == [2, 0, 2]


@given(commands())
def test_the_present_is_read_as_it_is(script):
    """Commits of the current schema come out the same, whatever earlier ones the registry knows."""
    chat = played(script)
    data = encode_events(chat.pending)
    commit = seal("trip", genesis("", "trip"), count=len(chat.pending), id=b"i" * 16, at=AT, schema=SCHEMA, data=data)

    assert encode_events(CODEC.decode(commit)) == data
    assert portrait(Tree(folded([commit]))) == portrait(chat.tree)


def one(schema, *events):
    return committed("trip", [(schema, events)])[0]


def test_a_later_minor_version_is_read():
    later = {"type": "node-praised", "at": AT, "node": 1}
    begun = {**started(), "mood": "good"}
    events = CODEC.decode(one("1.1.0", begun, later))

    assert [type(event) for event in events] == [ConversationStarted, UnknownEvent]
    assert msgspec.json.decode(events[1].raw) == later


def test_a_later_major_version_is_refused():
    with pytest.raises(SchemaVersionError, match=r"the event vocabulary has version 2\.0\.0"):
        CODEC.decode(one("2.0.0", started()))


@pytest.mark.parametrize("schema", ["0.7.0", "0.8.1", "0.0.0", "0.8", ""])
def test_a_version_that_never_was_is_a_corrupt_log(schema):
    with pytest.raises(CorruptLog, match="was ever released"):
        CODEC.decode(one(schema, started()))


@pytest.mark.parametrize(
    "event",
    [{"type": "sung", "at": AT}, {"type": "node-added", "at": AT}, {"type": "ping"}, {"type": "ping", "at": "noon"}],
    ids=["unknown type", "no parent", "no time", "time of a wrong type"],
)
def test_what_was_no_event_of_its_version_is_a_corrupt_log(event):
    """Also where the step would drop it: each event has a type and a time, in any version."""
    with pytest.raises(CorruptLog, match=r"not events of schema 0\.8\.0"):
        CODEC.decode(one("0.8.0", started(), event))


def test_the_registry_of_the_tests_is_not_the_real_one():
    """The released vocabulary knows nothing of these versions: they never were."""
    with pytest.raises(CorruptLog, match="was ever released"):
        Codec().decode(one("0.8.0", started()))
    assert EARLIER.fingerprint != VOCABULARY.fingerprint


# An application's own metadata.


def named(metadata):
    return [{"tags" if key == "labels" else key: value for key, value in metadata.items()}]


def notes(*released):
    steps = [Upcaster(version, "2.0.0", named, {"labels": 1}, [{"tags": 1}]) for version in released]
    return Application("notes", Registry("metadata of notes", current="2.0.0", released=released, steps=steps))


NOTED = (
    {"type": "conversation-started", "at": AT, "metadata": {"labels": ["a"]}},
    {"type": "node-added", "at": AT, "parent": 1,
     "message": {"role": "user", "content": "a", "metadata": {"labels": ["b"]}}},
    {"type": "node-annotated", "at": AT, "node": 2, "metadata": {"labels": None, "k": 1}},
    {"type": "conversation-annotated", "at": AT, "metadata": {"labels": ["c"]}},
    {"type": "node-annotated", "at": AT, "node": 2, "rating": 3},
)  # fmt: skip


def metadata_of(events):
    started, added, annotated, about, rated = events
    message = msgspec.json.decode(added.message) if isinstance(added, NodeAdded) else {}
    return started.metadata, message.get("metadata"), annotated.metadata, about.metadata, rated.metadata


def test_metadata_is_taken_up_wherever_it_stands():
    events = Codec(notes("1.0.0")).decode(one(f"{SCHEMA}+notes.1.0.0", *NOTED))

    assert metadata_of(events) == (
        {"tags": ["a"]}, {"tags": ["b"]}, {"tags": None, "k": 1}, {"tags": ["c"]}, msgspec.UNSET,
    )  # fmt: skip


@pytest.mark.parametrize(
    "schema",
    [SCHEMA, f"{SCHEMA}+notes.2.0.0", f"{SCHEMA}+notes.2.1.0", f"{SCHEMA}+other.1.0.0", f"{SCHEMA}+notes2.1.0.0"],
    ids=["before it had a schema", "current", "later minor", "another application's", "one with a longer name"],
)
def test_other_metadata_stays_as_it_is(schema):
    events = Codec(notes("1.0.0")).decode(one(schema, *NOTED))

    assert metadata_of(events)[:2] == ({"labels": ["a"]}, {"labels": ["b"]})


@pytest.mark.parametrize("own", ["", "+notes.1.0.0", "+notes.9.0.0", "+notes.?", "+other"])
def test_without_the_application_metadata_is_as_it_was_written(own):
    events = Codec().decode(one(SCHEMA + own, *NOTED))

    assert metadata_of(events)[:2] == ({"labels": ["a"]}, {"labels": ["b"]})


def test_a_later_major_version_of_the_application_is_refused():
    with pytest.raises(SchemaVersionError, match=r"metadata of notes has version 3\.0\.0"):
        Codec(notes("1.0.0")).decode(one(f"{SCHEMA}+notes.3.0.0", *NOTED))


@pytest.mark.parametrize("own", ["0.1.0", "1.0", "", "x"])
def test_a_version_of_the_application_that_never_was_is_a_corrupt_log(own):
    with pytest.raises(CorruptLog, match="metadata of notes: no version"):
        Codec(notes("1.0.0")).decode(one(f"{SCHEMA}+notes.{own}", *NOTED))


def test_a_step_for_metadata_gives_one_dict():
    splitting = [Upcaster("1.0.0", "2.0.0", lambda metadata: [metadata, {}], {}, [{}, {}])]
    registry = Registry("metadata of notes", current="2.0.0", released=["1.0.0"], steps=splitting)
    with pytest.raises(CorruptLog, match="gives one dict, not 2"):
        Codec(Application("notes", registry)).decode(one(f"{SCHEMA}+notes.1.0.0", *NOTED))


def test_both_are_taken_up_at_once():
    """An earlier vocabulary with earlier metadata, and a later vocabulary with earlier metadata."""
    both = Codec(notes("1.0.0"), EARLIER)
    message = said(2, 1, "a", metadata={"labels": 1})

    first, second = both.decode(one("0.8.0+notes.1.0.0", {**started("Trip"), "metadata": {"labels": 0}}, message))
    assert (first.title, first.metadata) == ("Trip", {"tags": 0})
    assert msgspec.json.decode(second.events[0].message)["metadata"] == {"tags": 1}

    later, unknown = both.decode(one("1.7.0+notes.1.0.0", NOTED[0], {"type": "praised", "at": AT, "metadata": {}}))
    assert (later.metadata, type(unknown)) == ({"tags": ["a"]}, UnknownEvent)


def test_an_unknown_event_is_unknown_only_in_a_later_version():
    with pytest.raises(CorruptLog, match="not events"):
        Codec(notes("1.0.0")).decode(one(f"{SCHEMA}+notes.1.0.0", {"type": "praised", "at": AT}))


@pytest.mark.parametrize("name", ["", "my notes", "1st", "a.b", "a+b", "é"])
def test_names_of_applications(name):
    with pytest.raises(InvalidInput, match="an application's name is an identifier"):
        Application(name, Registry("x", current="1.0.0"))


def test_what_is_written_says_the_application_and_its_version():
    assert notes().schema == f"{SCHEMA}+notes.2.0.0"
    assert Codec(notes()).schema == f"{SCHEMA}+notes.2.0.0"
    assert len({Codec().fingerprint, Codec(notes()).fingerprint, Codec(notes("1.0.0")).fingerprint}) == 3
