"""The published kit: what a backend is checked with, and what tests of programs that use branchlog are made of.

Needs the extra ``testing`` (pytest and hypothesis). ``docs/reference/testing.md`` describes every name.
"""

import pytest

for _module in ("contract", "stores", "log_machine", "machines"):  # so that their asserts explain themselves
    pytest.register_assert_rewrite(f"branchlog.testing.{_module}")

from branchlog.testing.checks import check_log, check_same_history, check_tree  # noqa: E402
from branchlog.testing.contract import LogContract, bridged  # noqa: E402
from branchlog.testing.damage import Damage, damaged  # noqa: E402
from branchlog.testing.durability import check_durable  # noqa: E402
from branchlog.testing.log_machine import LogMachine  # noqa: E402
from branchlog.testing.machines import ConversationMachine  # noqa: E402
from branchlog.testing.model import Scene  # noqa: E402
from branchlog.testing.playing import Command, TickingClock, commands, perform, played, portrait, started  # noqa: E402
from branchlog.testing.stores import StoreContract  # noqa: E402
from branchlog.testing.strategies import (  # noqa: E402
    DamagedHistory,
    any_text,
    commits,
    conversations,
    damaged_files,
    damaged_histories,
    damages,
    events,
    expressions,
    histories,
    json_values,
    messages,
    node_ids,
    trees,
)

__all__ = [
    "Command",
    "ConversationMachine",
    "Damage",
    "DamagedHistory",
    "LogContract",
    "LogMachine",
    "Scene",
    "StoreContract",
    "TickingClock",
    "any_text",
    "bridged",
    "check_durable",
    "check_log",
    "check_same_history",
    "check_tree",
    "commands",
    "commits",
    "conversations",
    "damaged",
    "damaged_files",
    "damaged_histories",
    "damages",
    "events",
    "expressions",
    "histories",
    "json_values",
    "messages",
    "node_ids",
    "perform",
    "played",
    "portrait",
    "started",
    "trees",
]
