"""Responders of the command line: whom the options name."""

import click
import pytest

from branchlog.cli.finding import Refused
from branchlog.cli.responders import responders_of
from branchlog.errors import InvalidInput


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in ("BRANCHLOG_MODEL", "OPENAI_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def names(*args, **options):
    return [responder.name for responder in responders_of(*args, **options)]


def test_each_model_at_each_temperature():
    found = names(["a", "b"], "http://127.0.0.1:1/v1", [0.0, 1.5])

    assert found == ["a at 0.0", "a at 1.5", "b at 0.0", "b at 1.5"]


def test_the_environment_names_a_model_where_no_option_does(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_MODEL", "other")
    assert names() == ["other"]
    monkeypatch.setenv("BRANCHLOG_MODEL", "own")
    assert names() == ["own"]
    assert names(["said"]) == ["said"]


async def test_a_script_is_asked_instead_of_models_and_beside_those_that_are_named(tmp_path):
    script = tmp_path / "guide.md"
    script.write_text("Along the river.\n---\nOver the hill.\n")
    (responder,) = responders_of(script=script)
    pieces = [piece async for piece in responder.respond([])]

    assert responder.name == "guide"
    assert "".join(pieces[:-1]) == "Along the river."
    assert names(["a"], "http://127.0.0.1:1/v1", script=script) == ["guide", "a"]


def test_who_is_not_named_is_not_asked(tmp_path):
    script = tmp_path / "guide.md"
    script.write_text("Along the river.")

    with pytest.raises(click.UsageError, match="--model NAME"):
        responders_of()
    with pytest.raises(click.UsageError, match="are for models"):
        responders_of(temperatures=[1.0], script=script)


def test_what_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="OPENAI_API_KEY"):
        responders_of(["a"])
    for text, found in ((b"\xff", "not UTF-8"), (b"  \n", "at least one reply")):
        (tmp_path / "x").write_bytes(text)
        with pytest.raises((Refused, InvalidInput), match=found):
            responders_of(script=tmp_path / "x")
