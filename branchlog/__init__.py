"""branchlog: conversations that branch, kept as an append-only log of events. See ``README.md`` and ``docs/``."""

from branchlog._core.codec import Application
from branchlog._core.message import Message
from branchlog._core.replay import Step
from branchlog._core.tree import Branch, Comparison, Node, Position, Tree
from branchlog._core.upcast import Registry, Upcaster
from branchlog._steps import Change, Page, SnapshotInfo, Summary, Verification
from branchlog.conversation import Conversation
from branchlog.errors import (
    AlreadyExists,
    BackendError,
    BranchlogError,
    CommitIdReused,
    ConversationDeleted,
    ConversationNotFound,
    CorruptLog,
    CursorNotFound,
    InvalidExpression,
    InvalidInput,
    InvalidMessage,
    InvalidNodeId,
    LogClosed,
    NodeNotFound,
    NotAStore,
    NotFound,
    NothingToUndo,
    SchemaVersionError,
    SnapshotIgnored,
    StoreNotFound,
    UnreadableFile,
    VersionConflict,
)
from branchlog.store import AsyncStore, Store, open, open_async

__all__ = [
    "AlreadyExists",
    "Application",
    "AsyncStore",
    "BackendError",
    "Branch",
    "BranchlogError",
    "Change",
    "CommitIdReused",
    "Comparison",
    "Conversation",
    "ConversationDeleted",
    "ConversationNotFound",
    "CorruptLog",
    "CursorNotFound",
    "InvalidExpression",
    "InvalidInput",
    "InvalidMessage",
    "InvalidNodeId",
    "LogClosed",
    "Message",
    "Node",
    "NodeNotFound",
    "NotAStore",
    "NotFound",
    "NothingToUndo",
    "Page",
    "Position",
    "Registry",
    "SchemaVersionError",
    "SnapshotIgnored",
    "SnapshotInfo",
    "Step",
    "Store",
    "StoreNotFound",
    "Summary",
    "Tree",
    "Upcaster",
    "Verification",
    "UnreadableFile",
    "VersionConflict",
    "open",
    "open_async",
]
