"""Who answers on the command line: the options that name responders, and the responders that they make.

What asks is imported where it is used: it takes longer than all else that a command does at its start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from branchlog.cli.finding import Refused

if TYPE_CHECKING:
    from branchlog.explore import Responder

F = TypeVar("F", bound=Callable[..., Any])

MODEL_VARIABLES = ("BRANCHLOG_MODEL", "OPENAI_MODEL")
"""Where the model is named if no option does; the first that is set."""


def responder_options(command: F) -> F:
    """``--model``, ``--base-url``, ``--temperature`` and ``--script``, as ``responders_of`` takes them."""
    for option in reversed(
        (
            click.option(
                "--model",
                "models",
                metavar="NAME",
                multiple=True,
                help="Ask this model; may be given again. [BRANCHLOG_MODEL, OPENAI_MODEL]",
            ),
            click.option(
                "--base-url",
                metavar="URL",
                help="Ask at this address of a chat-completions API, which mostly ends in /v1. [OPENAI_BASE_URL]",
            ),
            click.option(
                "--temperature",
                "temperatures",
                metavar="T",
                type=click.FloatRange(min=0),
                multiple=True,
                help="Ask each model at this temperature; may be given again.",
            ),
            click.option(
                "--script",
                metavar="FILE",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="Take the replies from a file instead, with a line of three dashes between them.",
            ),
        )
    ):
        command = option(command)
    return command


def responders_of(
    models: Sequence[str] = (),
    base_url: str | None = None,
    temperatures: Sequence[float] = (),
    script: Path | None = None,
    *,
    pause_seconds: float = 0.0,
) -> list[Responder]:
    """Whoever the options name: the script, and each model at each temperature; at least one.

    The key of the models is ``OPENAI_API_KEY``: an option would leave it in the list of processes. ``pause_seconds``
    is before each word of the script. Raises ``click.UsageError`` where nobody is named, ``InvalidInput`` where the
    extra or the key is missing, and ``Refused`` where the script cannot be read.
    """
    found: list[Responder] = [] if script is None else [scripted(script, pause_seconds)]
    if script is None or models:
        found += endpoints(models or [default_model()], base_url, temperatures)
    elif temperatures or base_url is not None:
        raise click.UsageError("--temperature and --base-url are for models: give --model as well.")
    return found


def endpoints(models: Sequence[str], base_url: str | None, temperatures: Sequence[float]) -> Iterator[Responder]:
    """Each model at each temperature, or at its own."""
    from branchlog.explore import ChatCompletions

    for model in models:
        if not temperatures:
            yield ChatCompletions(model, base_url=base_url)
        for temperature in temperatures:
            yield ChatCompletions(model, base_url=base_url, temperature=temperature)


def default_model() -> str:
    """The model that the environment names."""
    for variable in MODEL_VARIABLES:
        if model := os.environ.get(variable):
            return model
    raise click.UsageError(f"Whom to ask? Give --model NAME (or set {MODEL_VARIABLES[0]}), or --script FILE.")


def scripted(script: Path, pause_seconds: float) -> Responder:
    """The responder of a script, named as the file is."""
    from branchlog.explore import Scripted

    try:
        text = script.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{script} is not UTF-8: byte {error.start + 1} is none of it") from error
    except OSError as error:
        raise Refused(f"cannot read {script}: {error.strerror}") from error
    return Scripted.from_text(text, name=script.stem, pause_seconds=pause_seconds)


async def close_all(responders: Iterable[Responder]) -> None:
    """Close the connections of those that have such, in the event loop in which they were asked."""
    for responder in dict.fromkeys(responders):
        close = getattr(responder, "close", None)
        if close is not None:
            await close()
