"""Commands run on one store, in this process: for the tests of the command line."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from branchlog.cli.app import branchlog as commands


class Shell:
    """Runs commands on one store."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def run(self, *args: str, given: str | bytes | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(commands, ["--store", str(self.store), *args], input=given)

        assert result.exit_code == code, result.output
        return result

    def out(self, *args: str, given: str | bytes | None = None) -> str:
        return self.run(*args, given=given).stdout

    def json(self, *args: str):
        return json.loads(self.out(*args, "--json"))

    def refused(self, *args: str) -> str:
        """The message of a command that is refused: one line, with nothing beside it."""
        result = self.run(*args, code=1)

        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        return result.stderr.removeprefix("error: ").rstrip("\n")
