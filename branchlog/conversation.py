"""One conversation: its tree, its cursors, and the events that are not saved yet. In memory and colourless.

A command asks the core for events, folds them at once and keeps them pending; a store writes the pending ones as one
commit and tells the conversation so. A conversation needs no store: without one it is a branching conversation in
memory.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import attrs
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from branchlog._core import decide, expression, snapshot
from branchlog._core.codec import Codec, encode_events
from branchlog._core.events import (
    MAIN,
    AnyEvent,
    ConversationStarted,
    CursorMoved,
    Event,
    NodeAdded,
    NodeAnnotated,
    NodeRedacted,
)
from branchlog._core.message import Json, Message, decode, same_json
from branchlog._core.projection import Fetched, Projection, evolve_all, to_microseconds
from branchlog._core.rebase import rebase
from branchlog._core.redact import blank
from branchlog._core.replay import Step, replay
from branchlog._core.snapshot import Stretch
from branchlog._core.tree import Branch, Comparison, Moment, Node, Tree, compare
from branchlog._ids import uuid7
from branchlog.commit import Commit, Head, Snapshot, genesis, seal
from branchlog.commit import snapshot as sealed_snapshot
from branchlog.errors import CorruptLog, InvalidInput, NodeNotFound

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present moment as an aware datetime."""

NodeLike: TypeAlias = Node | str
"""A node, or a cursor expression that names one: ``"0.1"``, ``"@~2"``, a label."""

UNCHANGED = UNSET
"""The default of what may be set to None: leave it as it is."""


def _wall_clock() -> int:
    return time.time_ns() // 1_000


DEFAULT_CODEC = Codec()


REDACTED = "redacted"
"""The key in a conversation's metadata for the original ids of redacted nodes, each with the id that it has here."""


class Conversation:
    """A branching conversation.

    Wherever a node is asked for, a cursor expression will do: ``"0.1.2"``, ``"@~2"``, ``"0.1^"``, a label
    (the grammar is in ``docs/reference/expressions.md``). Commands raise ``InvalidInput``, ``NotFound`` or
    ``AlreadyExists``, and then nothing has happened.
    """

    def __init__(
        self, id: str, *, namespace: str = "", clock: Clock | None = None, codec: Codec = DEFAULT_CODEC
    ) -> None:
        """A conversation with no events; ``start`` begins one, a store loads one."""
        self.id = id
        self._codec = codec
        self._namespace = namespace
        self._clock = clock
        self._state = Projection()
        self._head = genesis(namespace, id)
        self._pending: list[Event] = []
        self._attempt: Commit | None = None
        self._belongs_to_store = False
        self._snapshot_version = 0
        self._tail_bytes = 0

    @classmethod
    def start(
        cls,
        id: str | None = None,
        *,
        title: str | None = None,
        system: str | Message | None = None,
        metadata: dict[str, Json] | None = None,
        namespace: str = "",
        clock: Clock | None = None,
        time: datetime | None = None,
        codec: Codec = DEFAULT_CODEC,
    ) -> Conversation:
        """Begin a conversation. ``system`` is the message at the root, a system message if it is text."""
        chat = cls(id if id is not None else "", namespace=namespace, clock=clock, codec=codec)
        at = chat._now(time)
        if id is None:
            chat.id = str(UUID(bytes=uuid7(chat._now(None))))
            chat._head = genesis(namespace, chat.id)
        message = Message("system", system) if isinstance(system, str) else system
        if message is not None:
            _check_message(message)
        chat._happen(decide.start(at, title, {} if metadata is None else metadata, message))
        return chat

    def __repr__(self) -> str:
        pending = f", {len(self._pending)} events pending" if self._pending else ""
        return f"<Conversation {self.id!r} of {len(self.tree)} nodes at version {self.version}{pending}>"

    def __del__(self) -> None:
        if getattr(self, "_belongs_to_store", False) and self._pending:
            warnings.warn(
                f"conversation {self.id!r} was dropped with {len(self._pending)} events that were never saved",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    # What is there.

    @property
    def version(self) -> int:
        """The number of events so far, the pending ones included."""
        return self._state.version

    @property
    def saved_version(self) -> int:
        """The number of events that are saved."""
        return self._head.version

    @property
    def pending(self) -> tuple[Event, ...]:
        """The events that are not saved yet."""
        return tuple(self._pending)

    @property
    def title(self) -> str | None:
        """The title."""
        return self._state.title

    @property
    def metadata(self) -> dict[str, Json]:
        """The conversation's metadata."""
        return self.tree.metadata

    @property
    def tree(self) -> Tree:
        """The tree of messages; grows with the conversation."""
        return Tree(self._state)

    @property
    def cursor(self) -> Node:
        """Where the default cursor stands."""
        return self.node("@")

    @property
    def cursors(self) -> dict[str, Node]:
        """Where each cursor stands."""
        return self.tree.cursors

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Every line of the conversation: one for each leaf."""
        return self.tree.branches

    @property
    def forks(self) -> tuple[Node, ...]:
        """The nodes with more than one child."""
        return self.tree.forks

    def node(self, node: NodeLike, *, cursor: str = MAIN) -> Node:
        """The node that an expression names; ``@`` in it is this cursor."""
        if isinstance(node, Node):
            if node not in self.tree:
                raise NodeNotFound(
                    node, "it is a node of another conversation, or of another opening of this one: name it by its id"
                )
            return node
        if type(node) is not str:
            raise InvalidInput(f"expected a node or an expression such as '0.1', found {node!r}")
        if node == expression.CURSOR_SIGN:
            return Node(self._state, decide.where(self._state, cursor))
        return expression.resolve(self.tree, node, cursor)

    def path(self, at: NodeLike | Moment | None = None) -> tuple[Node, ...]:
        """The nodes from the root to a node, to where the default cursor stood at a moment, or to where it is."""
        return self._node_at(at).path

    def _node_at(self, at: NodeLike | Moment | None) -> Node:
        """A node, or where the default cursor stood at a moment, or where it is."""
        if at is None:
            return self.cursor
        return self.node(at) if isinstance(at, Node | str) else self.at(at).cursor

    def messages(self, at: NodeLike | Moment | None = None) -> list[Message]:
        """The messages on a path, as a model is sent them; see ``path`` for ``at``."""
        return self._messages_to(self._node_at(at).index)

    def _messages_to(self, index: int) -> list[Message]:
        """The messages on the way from the root to a node."""
        content = self._state.content
        return [decode(said) for each in self._state.arrays.path(index) if (said := content(each)) is not None]

    def at(self, moment: Moment) -> Tree:
        """The tree as it was at a version or an aware datetime: cursors, labels, ratings and title as of then."""
        return self.tree.at(moment)

    def compare(self, one: NodeLike, other: NodeLike) -> Comparison:
        """Compare the ways to two nodes: their common ancestor, the two tails, a text diff."""
        return compare(self.node(one), self.node(other))

    def replay(self, start: Moment = 1, stop: Moment | None = None) -> Iterator[Step]:
        """What happened, one ``Step`` for each event from one moment to another (to now), both included.

        Each step has the tree as it then was. Raises as ``at`` does for moments that never were.
        """
        last = self.version if stop is None else self.at(stop).version
        return replay(self._state, self.at(start).version, last)

    # Speaking.

    def say(
        self,
        role: str | Message,
        content: str | list[dict[str, Json]] | None = None,
        *,
        under: NodeLike | None = None,
        cursor: str = MAIN,
        metadata: dict[str, Json] | None = None,
        time: datetime | None = None,
    ) -> Node:
        """Add a message under the cursor (or another node) and put the cursor on it.

        Takes role and content or a whole ``Message``. ``time`` is when it was said, if not now.
        """
        message = _message(role, content, metadata)
        parent = decide.where(self._state, cursor) if under is None else self.node(under, cursor=cursor).index
        self._happen(decide.say(self._state, self._now(time), parent, message, cursor))
        return self._last_node()

    def add(
        self,
        role: str | Message,
        content: str | list[dict[str, Json]] | None = None,
        *,
        under: NodeLike,
        metadata: dict[str, Json] | None = None,
        time: datetime | None = None,
    ) -> Node:
        """Add a message under a node; no cursor moves. Otherwise as ``say``."""
        message = _message(role, content, metadata)
        self._happen(decide.add(self._state, self._now(time), self.node(under).index, message))
        return self._last_node()

    def edit(
        self,
        node: NodeLike,
        content: str | list[dict[str, Json]],
        *,
        cursor: str = MAIN,
        metadata: dict[str, Json] | None = None,
    ) -> Node:
        """Say it otherwise: a new alternative beside a node, with the cursor on it. The node stays as it is.

        Role, name and tool calls are those of the node; metadata is not carried over.
        """
        old = self.node(node, cursor=cursor)
        message, parent = old.message, old.parent
        if message is None or parent is None:
            raise InvalidInput("the root has no alternatives; start another conversation to say it otherwise")
        return self.say(
            attrs.evolve(message, content=content, metadata={} if metadata is None else metadata),
            under=Node(self._state, parent.index),
            cursor=cursor,
        )

    def graft(self, messages: Iterable[Message], *, time: datetime | None = None) -> Node:
        """Follow the longest run of these messages that is there from the root on, and add the rest beneath it.

        Linear transcripts of one conversation so fold into one tree. Messages are the same if a model would be sent the
        same; metadata is not compared. A first message equal to the root's is the root. No cursor moves. Returns the
        node of the last message.
        """
        wanted = list(messages)
        for message in wanted:
            _check_message(message)
            message._check()
        node = self.tree.root
        rest = wanted
        if wanted and node.message is not None and _same(node.message, wanted[0]):
            rest = wanted[1:]
        while rest and (child := _saying(node, rest[0])):
            node, rest = child, rest[1:]
        self._happen(decide.graft(self._state, self._now(time), node.index, rest))
        return self._last_node() if rest else node

    # Going about.

    def move(self, to: NodeLike, *, cursor: str = MAIN) -> Node:
        """Put a cursor on a node. Where it is there already, nothing happens."""
        node = self.node(to, cursor=cursor)
        self._happen(decide.move(self._state, self._now(None), node.index, cursor))
        return Node(self._state, node.index)

    def undo(self, *, cursor: str = MAIN) -> Node:
        """Put a cursor back to where it was before its last move. Messages stay. Raises ``NothingToUndo``."""
        self._happen(decide.undo(self._state, self._now(None), cursor))
        return self.node("@", cursor=cursor)

    def redo(self, *, cursor: str = MAIN) -> Node:
        """Take the last undo back. Raises ``NothingToUndo``."""
        self._happen(decide.redo(self._state, self._now(None), cursor))
        return self.node("@", cursor=cursor)

    def next_alternative(self, node: NodeLike = "@", *, cursor: str = MAIN) -> Node:
        """Put a cursor on the alternative after a node, at the place beneath it that was last on show.

        Raises ``NodeNotFound`` at the last one.
        """
        return self._next_door(node, 1, cursor)

    def previous_alternative(self, node: NodeLike = "@", *, cursor: str = MAIN) -> Node:
        """Put a cursor on the alternative before a node; see ``next_alternative``."""
        return self._next_door(node, -1, cursor)

    def _next_door(self, node: NodeLike, steps: int, cursor: str) -> Node:
        door = self.node(node, cursor=cursor).next_door(steps)
        return self.move(self.tree.remembered(Node(self._state, door.index), cursor), cursor=cursor)

    def new_cursor(self, name: str, at: NodeLike = "@") -> Node:
        """Make another cursor, for another person or an agent. Raises ``AlreadyExists``."""
        node = self.node(at)
        self._happen(decide.new_cursor(self._state, self._now(None), name, node.index))
        return self.node("@", cursor=name)

    def drop_cursor(self, name: str) -> None:
        """Take a cursor away. The default one stays."""
        self._happen(decide.drop_cursor(self._state, self._now(None), name))

    def restore(self, moment: Moment) -> None:
        """Make what is on show, and what is said about it, what it was at a moment; nothing that came later is lost.

        Cursors, title, metadata, labels, ratings, bookmarks and hiding become again what they were. These are new
        events: messages that were added since stay in the tree, and this, too, can be undone or restored from.
        """
        self._happen(decide.restore(self._state, self._now(None), self.at(moment).version))

    def fork_from(
        self, at: NodeLike | Moment | None = None, *, id: str | None = None, title: str | UnsetType | None = UNCHANGED
    ) -> Conversation:
        """A new conversation that begins with the path to a node, or to where the cursor was at a moment.

        The messages keep their bytes and times, and what was said about them by then; ``metadata["forked_from"]`` tells
        the conversation, node and version. The title is this one's unless another is given. Costs O(path).
        """
        path = self.path(at)
        then = Tree(self._state, path[-1]._version)
        source = {"conversation": self.id, "node": path[-1].id, "version": then.version}
        chat = Conversation.start(
            id,
            title=then.title if title is UNCHANGED else title,
            system=path[0].message,
            metadata={**then.metadata, "forked_from": source},
            namespace=self._namespace,
            clock=self._clock,
            time=path[0].added,
            codec=self._codec,
        )
        chat._take_path(path)
        return chat

    def _take_path(self, path: Sequence[Node]) -> None:
        """Add the nodes of another conversation's path beneath the root, and put the cursor on the last one."""
        at, copied = self._now(None), list(path[:1])
        for node in path[1:]:
            above = self._state.arrays.versions[-1]
            message = node._state.content(node.index)
            if message is not None:
                self._happen([NodeAdded(at=to_microseconds(node.added), parent=above, message=message)])
                copied.append(node)
        versions = self._state.arrays.versions
        for node, version in zip(copied, list(versions), strict=True):
            annotations = node.annotations
            if annotations:
                self._happen([NodeAnnotated(at=at, node=version, **annotations)])
        if len(versions) > 1:
            self._happen([CursorMoved(at=at, to=versions[-1])])

    # Saying something about it.

    def annotate(
        self,
        node: NodeLike,
        *,
        label: str | UnsetType | None = UNCHANGED,
        rating: float | UnsetType | None = UNCHANGED,
        bookmark: bool | UnsetType = UNCHANGED,
        hidden: bool | UnsetType = UNCHANGED,
        metadata: dict[str, Json] | UnsetType = UNCHANGED,
    ) -> None:
        """Label, rate, bookmark or hide a node, or change its metadata (a JSON merge patch). None takes away.

        A label is one node's: to give it to another, take it off first. A rating is from 1 to 5. Hiding is for
        people: a model is sent hidden messages too.
        """
        at, index = self._now(None), self.node(node).index
        self._happen(
            decide.annotate(
                self._state,
                at,
                index,
                label=label,
                rating=rating,
                bookmark=bookmark,
                hidden=hidden,
                metadata=metadata,
            )
        )

    def annotate_conversation(
        self, *, title: str | UnsetType | None = UNCHANGED, metadata: dict[str, Json] | UnsetType = UNCHANGED
    ) -> None:
        """Change the title, or the metadata (a JSON merge patch)."""
        self._happen(decide.annotate_conversation(self._now(None), title=title, metadata=metadata))

    def redact(self, node: NodeLike) -> None:
        """Erase what a node says: its content, name, tool calls and metadata, and metadata that was annotated.

        The node stays, with its role, place and id. When this is saved, what was erased is in none of the store's
        files, and was not said at any earlier moment either. Titles, labels and the metadata of the conversation are
        its own: change them where they quote it. It cannot be undone.

        Of a node that came from outside the id that it had there is kept in the metadata of the conversation, under
        ``redacted``: otherwise the same file, read again, would bring back what was erased.
        """
        found = self.node(node)
        index, original = found.index, self._original_id(found)
        version = self._state.arrays.versions[index]
        redacted = decide.redact(self._state, self._now(None), index)
        if not redacted:
            return
        self._happen(redacted)
        if original is not None:
            self.annotate_conversation(metadata={REDACTED: {original: found.id}})
        offset = version - self.saved_version - 1
        for place, event in enumerate(self._pending):
            if place == offset and isinstance(event, NodeAdded | ConversationStarted) and event.message is not UNSET:
                self._pending[place] = replace(event, message=blank(event.message))
            elif isinstance(event, NodeAnnotated) and event.node == version:
                self._pending[place] = replace(event, metadata=UNSET)

    def _original_id(self, node: Node) -> str | None:
        """The id that a node had in the format that the conversation was imported from."""
        source = self.metadata.get("source")
        format = source.get("format") if isinstance(source, dict) else None
        if not isinstance(format, str) or (message := node.message) is None:
            return None
        kept = message.metadata.get(format)
        original = kept.get("id") if isinstance(kept, dict) else None
        return original if isinstance(original, str) else None

    def _redactions(self, commit: Commit) -> set[int]:
        """The versions of the events that hold what the first pending events redact."""
        state = self._state
        versions: set[int] = set()
        for event in self._pending[: commit.count]:
            if isinstance(event, NodeRedacted):
                notes = state.notes.get(state.arrays.index_of(event.node), ())
                versions.update({event.node, *(version for version, _ in notes)})
        return versions

    # For the store.

    def _now(self, moment: datetime | None) -> int:
        if moment is not None:
            return to_microseconds(moment)
        return _wall_clock() if self._clock is None else to_microseconds(self._clock())

    def _happen(self, events: Sequence[Event]) -> None:
        evolve_all(self._state, events)
        self._pending += events

    def _last_node(self) -> Node:
        return Node(self._state, len(self._state.arrays) - 1)

    def _fold(self, commits: Iterable[Commit]) -> None:
        """Fold commits that follow the head, and put the head behind them."""
        version, checksum = self._head.version, self._head.checksum
        events: list[AnyEvent] = []
        for commit in commits:
            if commit.previous != checksum:
                raise CorruptLog(f"{self.id!r} at version {version}", "the next commit follows another one")
            events += self._codec.decode(commit)
            self._tail_bytes += len(commit.data)
            version, checksum = version + commit.count, commit.checksum
        evolve_all(self._state, events)
        self._head = Head(version, checksum)

    def _next_commit(self) -> Commit:
        """The first pending events as the commit that follows the head.

        A commit that was sent before and got no answer is sent again as it was, whatever has become pending since: it
        may be in the log already, and must not get there twice.
        """
        attempt = self._attempt
        if attempt is None or attempt.previous != self._head.checksum:
            at = self._now(None)
            attempt = self._attempt = seal(
                self.id,
                self._head,
                count=len(self._pending),
                id=uuid7(at),
                at=at,
                schema=self._codec.schema,
                data=encode_events(self._pending),
            )
        return attempt

    def _saved(self, commit: Commit) -> None:
        """Take note that the first pending events are saved, unless that is known already."""
        if commit.last > self.saved_version:
            self._head = commit.head
            del self._pending[: commit.count]
            self._attempt = None
            self._tail_bytes += len(commit.data)

    # Snapshots.

    @property
    def _fingerprint(self) -> str:
        return f"{snapshot.FORMAT}.{self._codec.fingerprint}"

    def _take_snapshot(self, after: int, payloads: bytes = b"") -> Snapshot:
        """The snapshot of what is saved since a version, where another one ends; with a digest of the payloads."""
        data = snapshot.take(self._state, after, self.saved_version, payloads)
        return sealed_snapshot(after, self._head, self._fingerprint, data)

    def _has_snapshot(self, taken: Snapshot) -> None:
        self._snapshot_version = taken.version
        self._tail_bytes = 0

    def _lay(self, snapshots: Iterable[Snapshot]) -> list[Stretch]:
        """Begin with the events of snapshots, end to end, and without their messages.

        Answers the stretches of which the payloads can be read together. Raises ``InvalidInput`` for a snapshot that
        does not fit.
        """
        stretches = []
        for taken in snapshots:
            digest = snapshot.apply(self._state, taken.data)
            if digest:
                stretches.append(Stretch(taken.after, taken.version, digest))
            self._head = Head(taken.version, taken.checksum)
            self._has_snapshot(taken)
        return stretches

    def _fetch_by(self, fetch: Callable[[int], Fetched]) -> None:
        """Fetch messages that snapshots left out, when they are looked at: the events around a version."""
        self._state.fetch = fetch

    def _merge(self, commits: list[Commit]) -> None:
        """Put the pending events on top of commits that came first.

        An earlier try of our own may be among them, written though no answer came; its events are not pending any more.
        """
        missed = [commit for commit in commits if commit.last > self.saved_version]
        if self._attempt and missed and missed[0].id == self._attempt.id:
            self._saved(missed[0])
            missed = missed[1:]
        if missed:
            self._pending = rebase(self._state, self.saved_version, self._pending, lambda: self._fold(missed))
            self._attempt = None


def _message(
    role: str | Message, content: str | list[dict[str, Json]] | None, metadata: dict[str, Json] | None
) -> Message:
    if isinstance(role, Message):
        if content is not None or metadata is not None:
            raise InvalidInput("give a whole Message, or role, content and metadata; not both")
        return role
    return Message(role, content, metadata={} if metadata is None else metadata)


def _check_message(message: object) -> None:
    if not isinstance(message, Message):
        raise InvalidInput(f"expected a Message, found {message!r}")


def _same(one: Message, other: Message) -> bool:
    """Whether a model would be sent the same JSON, in which 1, 1.0 and true are three things."""
    return same_json(one.to_chat(), other.to_chat())


def _saying(node: Node, message: Message) -> Node | None:
    for child in node.children:
        said = child.message
        if said is not None and _same(said, message):
            return child
    return None
