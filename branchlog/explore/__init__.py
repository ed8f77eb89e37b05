"""Exploring alternatives: ask several at once, compare, choose, go on.

Imports what is in the modules beneath; ``endpoint`` needs the extra ``openai`` when it is used, ``rank`` the extra
``rank``.
"""

from __future__ import annotations

from branchlog.explore.alternatives import Attempt, explore
from branchlog.explore.comparing import (
    Alignment,
    Price,
    Span,
    Spent,
    Turn,
    Way,
    align,
    model_of,
    responder_of,
    spent,
    spent_by_model,
    text_diff,
)
from branchlog.explore.endpoint import ChatCompletions
from branchlog.explore.judging import Judgement, Strength, favoured, judgements, pick, prefer, rank
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
    "Alignment",
    "Attempt",
    "ChatCompletions",
    "Finish",
    "FunctionResponder",
    "Judgement",
    "Piece",
    "Price",
    "Respondent",
    "Responder",
    "Scripted",
    "Span",
    "Spent",
    "Streaming",
    "Strength",
    "Turn",
    "Unfinished",
    "Usage",
    "Way",
    "align",
    "as_responder",
    "drop",
    "explore",
    "favoured",
    "go_on",
    "judgements",
    "keep",
    "model_of",
    "pick",
    "prefer",
    "rank",
    "reply_to",
    "rerun",
    "responder_of",
    "spent",
    "spent_by_model",
    "stream",
    "text_diff",
    "unfinished",
]
