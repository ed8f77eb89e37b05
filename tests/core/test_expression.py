"""Cursor expressions: the grammar, and what each part of it means, against the obvious way of finding out."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from branchlog import Conversation, CursorNotFound, InvalidExpression, InvalidInput, NodeNotFound, NotFound
from branchlog._core import expression
from branchlog._core.expression import Expression, Step, parse, resolve
from branchlog._core.tree import Tree
from branchlog.testing.playing import NOON, TickingClock, commands, played, portrait
from branchlog.testing.strategies import any_text

# The grammar.

ids = st.lists(st.integers(0, 30), max_size=4).map(lambda ordinals: ".".join(map(str, ordinals)))
word = st.from_regex(r"[a-zà-ÿ][a-z0-9_./-]{0,8}", fullmatch=True).filter(expression.is_name)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.integers(0, 10**15 - 1) | st.datetimes(timezones=zones)
steps = st.lists(
    st.builds(Step, st.just("~"), st.integers(0, 10**9)) | st.builds(Step, st.just("^"), st.integers(-(10**9), 10**9)),
    max_size=4,
).map(tuple)
expressions = st.builds(
    Expression, ids.filter(bool) | word | st.sampled_from(("@", "root")), st.none() | moments, steps
)


@given(expressions)
def test_what_an_expression_writes_it_reads(parsed):
    assert parse(str(parsed)) == parsed


def attempt(text):
    try:
        return parse(text), None
    except InvalidExpression as refusal:
        return None, refusal


@given(st.text("01.@~^{}-bes:TZ+", max_size=12) | st.text(max_size=12))
@example("")
@example("@{5}~2^-1")
@example("0.1{5}")
def test_any_text_is_read_or_refused_and_reading_it_again_gives_the_same(text):
    parsed, refusal = attempt(text)
    if refusal:
        assert (refusal.text, 0 <= refusal.offset <= len(text)) == (text, True)
    elif text:
        assert parse(str(parsed)) == parsed
    else:
        assert parsed == Expression("")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", Expression("")),
        ("0.1.2", Expression("0.1.2")),
        ("root~0", Expression("root", None, (Step("~", 0),))),
        ("@", Expression("@")),
        ("@~2", Expression("@", None, (Step("~", 2),))),
        ("0.1^", Expression("0.1", None, (Step("^", 1),))),
        ("0.1^-3~", Expression("0.1", None, (Step("^", -3), Step("~", 1)))),
        ("best~~", Expression("best", None, (Step("~"), Step("~")))),
        ("@{5}", Expression("@", 5)),
        ("best@{12}^", Expression("best", 12, (Step("^"),))),
        ("0.1@{2026-01-01T12:00Z}", Expression("0.1", NOON)),
        ("@{2026-01-01T13:00:00.5+01:00}", Expression("@", NOON + timedelta(seconds=0.5))),
        ("feature/two.b_c-d", Expression("feature/two.b_c-d")),
        ("été", Expression("été")),
    ],
)
def test_the_parts_of_the_grammar(text, parsed):
    assert parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("~1", 0),
        ("^", 0),
        ("{5}", 0),
        ("-1", 0),
        (" @", 0),
        ("01", 0),
        ("0..1~1", 0),
        ("½", 0),
        ("²a", 0),
        ("_a", 0),
        ("roo t", 0),
        ("a" * 101, 0),
        ("0\n", 0),
        ("@x", 1),
        ("@@", 1),
        ("@~2x", 3),
        ("@~-2", 1),
        ("@~1^-", 3),
        ("@^--1", 1),
        ("@~12345678901", 1),
        ("@~\u0661", 2),
        ("0.1{5}", 3),
        ("best{5}", 4),
        ("0.1@", 3),
        ("best@~1", 4),
        ("@{5", 1),
        ("@{5}{6}", 4),
        ("@{}", 2),
        ("@{-1}", 2),
        ("@{ 5}", 2),
        ("@{soon}", 2),
        ("best@{soon}", 6),
        ("@{1234567890123456}", 2),
        ("@{2026-01-01T12:00}", 2),
        ("@{2026-13-01T12:00Z}", 2),
        ("@~1@{5}", 3),
    ],
)
def test_a_refusal_says_where(text, offset):
    with pytest.raises(InvalidExpression) as refusal:
        parse(text)

    assert refusal.value.offset == offset
    assert f"at character {offset + 1}" in str(refusal.value)


@pytest.mark.parametrize("thing", [None, 5, b"@", ["@"], object()])
def test_what_is_not_text_is_no_expression(thing):
    with pytest.raises(InvalidExpression, match="expected text or a node"):
        parse(thing)


@pytest.mark.parametrize("name", ["best", "a", "b.c/d-e_f", "x" * 100, "ж1"])
def test_names(name):
    assert expression.check_name(name, "a label") == name


@pytest.mark.parametrize(
    "name", ["", "root", "0", "0a", "_a", "-a", "a b", "a\n", "a@", "a~", "é" * 101, "½", "²", "\ud800", None, 5]
)
def test_what_is_no_name(name):
    with pytest.raises(InvalidInput, match="cannot be a label"):
        expression.check_name(name, "a label")


# What it means.


@given(
    commands(30), expressions | st.builds(Expression, st.sampled_from(("", "0", "0.0", "0.1", "best", "reader", "@")))
)
def test_an_expression_leads_to_a_node_or_is_not_found(script, parsed):
    tree = played(script).tree
    try:
        node = resolve(tree, str(parsed))
    except NotFound:
        return
    assert node in tree


@given(commands(30), st.text("01.@~^{}", max_size=8) | any_text(max_size=8) | st.text(max_size=5))
def test_any_text_is_refused_with_one_of_two_errors(script, text):
    chat = played(script)
    before = portrait(chat.tree)
    try:
        node = chat.node(text)
    except (InvalidExpression, NotFound):
        pass
    else:
        assert node in chat.tree
    assert portrait(chat.tree) == before


def naive(tree: Tree, anchor: str, taken: list[tuple[str, int]]) -> str | None:
    """Where an expression leads, as an id, by walking from node to node; None where it leads nowhere."""
    ids = {node.id for node in tree}
    places = {**portrait(tree)["labels"], **portrait(tree)["cursors"], "root": ""}
    places["@"] = places["main"]
    here = anchor if anchor in ids else places.get(anchor)
    for sign, count in taken:
        if here is None:
            return None
        if sign == "~":
            for _ in range(count):
                here = None if not here else here.rpartition(".")[0]
                if here is None:
                    return None
        elif here or count:
            above, _, last = here.rpartition(".")
            ordinal = int(last or 0) + count
            here = f"{above}.{ordinal}".lstrip(".") if here and ordinal >= 0 else None
            here = here if here in ids else None
    return here


@given(
    commands(40),
    st.sampled_from(("", "root", "@", "0", "0.0", "0.1", "1", "0.0.0", "best", "reader", "draft", "main")),
    st.lists(st.tuples(st.just("~"), st.integers(0, 3)) | st.tuples(st.just("^"), st.integers(-2, 2)), max_size=3),
    st.none() | st.integers(1, 40),
)
def test_an_expression_means_what_walking_there_means(script, anchor, taken, version):
    tree = played(script).tree
    if not anchor and (taken or version):
        anchor = "root"
    as_of = "" if version is None else ("{" if anchor == "@" else "@{") + f"{version}}}"
    text = anchor + as_of + "".join(f"{sign}{count}" for sign, count in taken)
    then = tree if version is None else tree.at(version) if version <= tree.version else None
    wanted = None if then is None else naive(then, anchor, taken)

    if wanted is None:
        with pytest.raises(NotFound):
            resolve(tree, text)
    else:
        assert resolve(tree, text).id == wanted


@given(commands(30), st.integers(0, 40))
def test_a_time_means_the_version_that_there_was_then(script, seconds):
    """The clock ticks once a second; what was at a moment is what the events up to it had made."""
    chat = played(script, Conversation.start(clock=TickingClock()))
    moment = NOON + timedelta(seconds=seconds)
    happened = sum(
        event.at <= (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for event in chat.pending
    )

    if happened:
        assert chat.node(f"@{{{moment.isoformat()}}}") == chat.at(happened).cursor
    else:
        with pytest.raises(NotFound, match="began at version 1"):
            chat.node(f"@{{{moment.isoformat()}}}")


@pytest.fixture
def chat():
    chat = Conversation.start(clock=TickingClock(), system="s")
    chat.say("user", "a")
    chat.say("assistant", "b")
    chat.new_cursor("reader", "0")
    chat.annotate("0", label="best")
    chat.say("assistant", "c", under="0")
    return chat


def test_examples_on_a_small_tree(chat):
    met = {
        text: chat.node(text).id
        for text in ("@", "@~", "@~2", "@^-1", "0.0^", "best", "reader", "best~", "@{5}", "@{1}")
    }

    assert met == {
        "@": "0.1", "@~": "0", "@~2": "", "@^-1": "0.0", "0.0^": "0.1", "best": "0", "reader": "0", "best~": "",
        "@{5}": "0.0", "@{1}": "",
    }  # fmt: skip


def test_the_sign_means_the_cursor_that_is_asked_for(chat):
    assert chat.node("@", cursor="reader").id == "0"
    assert chat.node("@~1", cursor="reader").id == ""

    for text in ("@", "@~1", "@{3}"):
        with pytest.raises(CursorNotFound, match="no cursor named 'nobody'"):
            chat.node(text, cursor="nobody")
    with pytest.raises(CursorNotFound):
        chat.node("@~0", cursor="best")


def test_after_an_as_of_the_steps_are_taken_in_the_tree_of_then(chat):
    assert chat.node("0.0^").id == "0.1"

    with pytest.raises(NodeNotFound, match="alternative 1 of 1"):
        chat.node("0.0@{5}^")
    with pytest.raises(NodeNotFound, match="no cursor and no label"):
        chat.node("best@{5}")


def test_the_root_is_its_own_only_alternative(chat):
    assert chat.node("root^0").id == ""

    with pytest.raises(NodeNotFound, match="1 of 1"):
        chat.node("root^1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0.7", "0.7"),
        ("nobody", "there are: best, main, reader"),
        ("@~9", "only 2 deep"),
        ("@^", "alternative 2 of 2"),
        ("@{99}", "no version 99 yet"),
        ("@{0}", "began at version 1"),
        ("@{1999-01-01T00:00Z}", "began at version 1"),
    ],
)
def test_where_an_expression_leads_nowhere_it_says_what_there_is(chat, text, told):
    with pytest.raises(NotFound, match=told):
        chat.node(text)
