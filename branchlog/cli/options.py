"""The options that many commands share, and the kinds of command that take them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import platformdirs

import branchlog

F = TypeVar("F", bound=Callable[..., Any])

LAST = "-"
"""Stands for the conversation that was updated last."""


@attrs.define
class Place:
    """Where the conversations are: the store's address (None: the default one) and the namespace."""

    address: str | None = None
    namespace: str = ""

    def open(self, *, create: bool = False) -> branchlog.Store:
        """Open the store; it is made only where ``create`` says so."""
        address = self.address
        if address is None:
            default = default_path()
            if create:
                default.parent.mkdir(parents=True, exist_ok=True)
            address = str(default)
        return branchlog.open(address, namespace=self.namespace, create=create)


def default_path() -> Path:
    """The store that is used where none is named: in the user's data directory."""
    return Path(platformdirs.user_data_path("branchlog", appauthor=False)) / "branchlog.db"


pass_place = click.make_pass_decorator(Place, ensure=True)


def _remember(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        setattr(context.ensure_object(Place), "address" if option.name == "store" else "namespace", value)


def place_options(*, environment: bool = False) -> Callable[[F], F]:
    """``--store`` and ``--namespace``, which may stand before the command and after it."""

    def decorate(command: F) -> F:
        command = click.option(
            "--namespace",
            metavar="NAME",
            expose_value=False,
            callback=_remember,
            help="Use the conversations of this namespace.",
        )(command)
        return click.option(
            "--store",
            metavar="ADDRESS",
            envvar="BRANCHLOG_STORE" if environment else None,
            expose_value=False,
            callback=_remember,
            help="Use the store at this path or address. [BRANCHLOG_STORE]",
        )(command)

    return decorate


class LastCommand(click.Command):
    """A command on a conversation, which ``--last`` names instead of the first argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the sign for the last conversation in the place of its name."""
        end = args.index("--") if "--" in args else len(args)
        if "--last" in args[:end]:
            args = [LAST, *(arg for arg in args[:end] if arg != "--last"), *args[end:]]
        return super().parse_args(ctx, args)


last_option = click.option(
    "--last", is_flag=True, expose_value=False, help="Take the conversation updated last, and leave CONVERSATION out."
)

conversation_argument = click.argument("conversation", metavar="CONVERSATION")
optional_conversation = click.argument("conversation", metavar="[CONVERSATION]", required=False, default=LAST)
cursor_option = click.option("--cursor", metavar="NAME", default="main", help="Use this cursor instead of main.")
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")


class MomentType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A version, or a time with a zone."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | datetime:  # ``Any`` is click's own
        """Read it."""
        if isinstance(value, int | datetime):
            return value
        if value.isascii() and value.isdecimal():
            return int(value)
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a version nor a time such as 2026-11-20T10:00Z.", param, ctx)
        if time.tzinfo is None:
            self.fail(f"{value!r} has no time zone; add Z or +01:00, say.", param, ctx)
        return time


at_option = click.option(
    "--at", "moment", type=MomentType(), metavar="MOMENT", help="Look at it as it was at a version or a time."
)
