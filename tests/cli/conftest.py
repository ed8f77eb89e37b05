"""A store to run commands on, and one with a conversation in it."""

import pytest
from shell import Shell


@pytest.fixture
def shell(tmp_path, monkeypatch) -> Shell:
    monkeypatch.delenv("BRANCHLOG_STORE", raising=False)
    return Shell(tmp_path / "chats.db")


@pytest.fixture
def walk(shell) -> Shell:
    shell.run("new", "A walk", "--id", "walk", "--system", "You plan walks.")
    shell.run("say", "walk", "Where?")
    shell.run("say", "walk", "Along the river.", "--role", "assistant")
    return shell
