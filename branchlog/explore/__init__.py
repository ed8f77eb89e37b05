"""Exploring alternatives: ask several at once, compare, choose, go on.

Imports what is in the modules beneath; ``endpoint`` needs the extra ``openai`` when it is used.
"""

from __future__ import annotations

from branchlog.explore.alternatives import Attempt, explore
from branchlog.explore.endpoint import ChatCompletions
from branchlog.explore.reply import (
    Finish,
    FunctionResponder,
    Piece,
    Respondent,
    Responder,
    Scripted,
    Usage,
    as_responder,
)
from branchlog.explore.rerunning import rerun
from branchlog.explore.streaming import Streaming, Unfinished, drop, go_on, keep, reply_to, stream, unfinished

__all__ = [
    "Attempt",
    "ChatCompletions",
    "Finish",
    "FunctionResponder",
    "Piece",
    "Respondent",
    "Responder",
    "Scripted",
    "Streaming",
    "Unfinished",
    "Usage",
    "as_responder",
    "drop",
    "explore",
    "go_on",
    "keep",
    "reply_to",
    "rerun",
    "stream",
    "unfinished",
]
