"""Every error that branchlog raises on purpose, in one tree.

Grouped by what the catcher would do::

    BranchlogError
    ├── InvalidInput (ValueError)        mend the call
    │   ├── InvalidMessage               a role, content or metadata that JSON cannot carry
    │   ├── InvalidNodeId                not a dot path
    │   └── InvalidExpression            not a cursor expression
    ├── NotFound (LookupError)           ask for something that is there
    │   ├── NodeNotFound
    │   ├── CursorNotFound
    │   ├── ConversationNotFound
    │   │   └── ConversationDeleted      was there; its id is never used again
    │   ├── StoreNotFound                no file, or no folder to make it in
    │   └── NothingToUndo                undo and redo at either end of what was done
    ├── AlreadyExists                    choose another name
    ├── VersionConflict                  read again, then decide again
    ├── CommitIdReused                   one commit id, two contents: a bug in the caller
    ├── CorruptLog                       restore from a copy; what was read is not what was written
    ├── NotAStore                        the path or address is something else
    ├── UnreadableFile                   a file to import that is missing, or no format known here
    ├── SchemaVersionError               upgrade branchlog
    ├── LogClosed                        open it again
    ├── BackendError                     the disk, the server or the network
    └── ResponderError                   a reply that did not come, or not to its end
        ├── EndpointUnreachable          start the server, or mend its address
        ├── EndpointRefused              mend the key, the name of the model or the request
        ├── RateLimited                  wait as long as it says
        ├── EndpointFailed               its own error: try again
        ├── StreamCut                    what has arrived is there: keep it, or continue it
        └── NonsenseReply                an answer that is no reply: is it that kind of endpoint?

Facts are attributes; the message says what, where, expected and found, and the way out where there is one.
This module imports nothing of branchlog's own.
"""

from __future__ import annotations


class BranchlogError(Exception):
    """The root of every error that branchlog raises on purpose."""


class InvalidInput(BranchlogError, ValueError):
    """A value that cannot be what it was given as."""


class InvalidMessage(InvalidInput):
    """A message that would not come back from the log as it went in.

    ``where`` names the offending place, in the manner of ``metadata['scores'][2]``.
    """

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        self.problem = problem
        super().__init__(f"{where}: {problem}")


class InvalidNodeId(InvalidInput):
    """A string that is not a dot path such as ``""``, ``"0"`` or ``"0.1.2"``."""

    def __init__(self, text: object) -> None:
        self.text = text
        super().__init__(
            f"not a node id: {text!r}; expected child positions joined by dots, "
            "such as '0.1.2' (no leading zeros, no signs, '' is the root)"
        )


class InvalidExpression(InvalidInput):
    """A cursor expression that does not follow the grammar, with the place where it stops doing so."""

    def __init__(self, text: str, offset: int, problem: str) -> None:
        self.text = text
        self.offset = offset
        self.problem = problem
        super().__init__(f"cannot read {text!r} as a node, at character {offset + 1}: {problem}")


class NotFound(BranchlogError, LookupError):
    """Something that was asked for and is not there."""


class NodeNotFound(NotFound):
    """No such node in this conversation (or not yet, at the moment that was asked for)."""

    def __init__(self, wanted: object, reason: str = "there is no such node") -> None:
        self.wanted = wanted
        self.reason = reason
        super().__init__(f"node {wanted!r} not found: {reason}")


class CursorNotFound(NotFound):
    """No cursor of this name."""

    def __init__(self, name: object, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        cursors = ", ".join(map(repr, known)) or "none"
        super().__init__(f"no cursor named {name!r}; there are: {cursors} (new_cursor makes another)")


class ConversationNotFound(NotFound):
    """No conversation of this id in this namespace."""

    def __init__(self, conversation: str, reason: str = "there is no such conversation") -> None:
        self.conversation = conversation
        super().__init__(f"conversation {conversation!r} not found: {reason}")


class ConversationDeleted(ConversationNotFound):
    """The conversation was deleted; its id is never used again, so a late writer cannot bring it back."""

    def __init__(self, conversation: str) -> None:
        super().__init__(conversation, "it was deleted, and the id of a deleted conversation is not used again")


class StoreNotFound(NotFound):
    """There is no store at this path or address, and none was to be made or could be."""

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        super().__init__(f"store {where!r} not found: {reason}")


class NothingToUndo(NotFound):
    """The cursor has no earlier place to go back to, or no later one to go forward to."""

    def __init__(self, verb: str, cursor: str) -> None:
        self.verb = verb
        self.cursor = cursor
        super().__init__(f"nothing to {verb}: cursor {cursor!r} has no move to {verb}")


class AlreadyExists(BranchlogError):
    """The name is taken."""


class VersionConflict(BranchlogError):
    """Someone else's events came first; nothing was written.

    ``expected`` and ``actual`` are versions, that is, numbers of events in the stream.
    """

    def __init__(self, stream: str, expected: object, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        super().__init__(f"version conflict on {stream!r}: expected {expected}, found {actual}")


class CommitIdReused(BranchlogError):
    """A commit id came a second time with other contents; nothing was written."""

    def __init__(self, stream: str, commit_id: object) -> None:
        self.stream = stream
        self.commit_id = commit_id
        super().__init__(
            f"commit id {commit_id} was used before on {stream!r} with other contents; nothing was written"
        )


class CorruptLog(BranchlogError):
    """What was read is not what was written.

    ``where`` names the file or stream and the place in it.
    """

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        self.problem = problem
        super().__init__(f"{where}: {problem}")


class NotAStore(BranchlogError):
    """A path or address that leads to something other than a branchlog store; it was not touched."""


class UnreadableFile(BranchlogError):
    """A file to import of which nothing can be read: missing, not UTF-8, not JSON, or of no shape known here."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"cannot import {path!r}: {problem}")


class SchemaVersionError(BranchlogError):
    """Written by a later branchlog than this one.

    ``found`` and ``supported`` are the versions concerned: of the event vocabulary or of the store's layout.
    """

    def __init__(self, what: str, found: str, supported: str) -> None:
        self.what = what
        self.found = found
        self.supported = supported
        super().__init__(f"{what} has version {found}; this branchlog reads up to {supported}: upgrade branchlog")


class LogClosed(BranchlogError):
    """The store was closed before this call."""

    def __init__(self, what: str = "the store") -> None:
        super().__init__(f"{what} is closed")


class SnapshotIgnored(UserWarning):
    """A snapshot was not used, or could not be taken; the log was read instead, and nothing is lost."""

    def __init__(self, conversation: str, version: int, reason: str) -> None:
        self.conversation = conversation
        self.version = version
        self.reason = reason
        super().__init__(f"the snapshot of {conversation!r} at version {version} is ignored: {reason}")


class LogRepaired(UserWarning):
    """Something was found wrong in the files of a log, and was put right or passed over.

    ``where`` names the file and the place in it.
    """

    def __init__(self, where: str, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(f"{where}: {what}")


class BackendError(BranchlogError):
    """The disk, the server or the network failed; the cause is chained."""


class DraftNotKept(UserWarning):
    """What has arrived of a reply could not be put aside; the reply goes on, and is saved when it ends."""

    def __init__(self, conversation: str, reason: str) -> None:
        self.conversation = conversation
        self.reason = reason
        super().__init__(f"a reply in {conversation!r} would be lost by a crash before its end: {reason}")


class ResponderError(BranchlogError):
    """A responder gave no reply, or not to its end.

    ``responder`` is its name. ``problem`` is what happened, and what to do about it.
    """

    def __init__(self, responder: str, problem: str) -> None:
        self.responder = responder
        self.problem = problem
        super().__init__(f"{responder}: {problem}")


class EndpointUnreachable(ResponderError):
    """Nobody answers at the endpoint's address."""


class EndpointRefused(ResponderError):
    """The endpoint refuses the request: ``status`` is its HTTP status, such as 401 for a wrong key."""

    def __init__(self, responder: str, problem: str, status: int) -> None:
        self.status = status
        super().__init__(responder, problem)


class RateLimited(ResponderError):
    """The endpoint wants fewer requests; ``retry_after_seconds`` is how long it says to wait, if it says so."""

    def __init__(self, responder: str, problem: str, retry_after_seconds: float | None = None) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(responder, problem)


class EndpointFailed(ResponderError):
    """The endpoint failed by itself: ``status`` is its HTTP status, 500 or above, or None within a stream."""

    def __init__(self, responder: str, problem: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(responder, problem)


class StreamCut(ResponderError):
    """The reply broke off: the connection ended, or nothing came for too long."""


class NonsenseReply(ResponderError):
    """What was answered is no reply of a chat."""
