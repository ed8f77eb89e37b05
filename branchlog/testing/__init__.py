"""The published kit: what a backend is checked with, and what tests of programs that use branchlog are made of.

Needs the extra ``testing`` (pytest and hypothesis).
"""

import pytest

for _module in (
    "contract",
    "log_machine",
    "machines",
):  # before they are imported, so that their asserts explain themselves
    pytest.register_assert_rewrite(f"branchlog.testing.{_module}")

from branchlog.testing.contract import LogContract  # noqa: E402
from branchlog.testing.damage import Damage, damaged  # noqa: E402
from branchlog.testing.log_machine import LogMachine  # noqa: E402
from branchlog.testing.machines import ConversationMachine  # noqa: E402
from branchlog.testing.model import Scene  # noqa: E402
from branchlog.testing.playing import Command, TickingClock, commands, perform, played, portrait, started  # noqa: E402
from branchlog.testing.strategies import any_text, damages, json_values, messages  # noqa: E402

__all__ = [
    "Command",
    "ConversationMachine",
    "Damage",
    "LogContract",
    "LogMachine",
    "Scene",
    "TickingClock",
    "any_text",
    "commands",
    "damaged",
    "damages",
    "json_values",
    "messages",
    "perform",
    "played",
    "portrait",
    "started",
]
