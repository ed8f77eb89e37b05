"""``LogMachine``: a log under test beside the log in memory, which is the specification; each is told the same.

Every answer has to be the oracle's, and so has the class of every refusal. Only positions may differ, where they leave
gaps: a commit's position has to be higher than all before, and the same each time.

The author of a backend says how to open it::

    class MyLogMachine(LogMachine):
        def open_log(self, folder):
            return MyLog(folder / "log")

    TestMyLogMachine = MyLogMachine.TestCase

What the log declares decides the rest: one that is ``persistent`` is closed and opened again, one that is ``shared``
has two handles that take turns and race, and one that keeps a file may be cut down in the middle of things.
"""

# ruff: noqa: D102 - a rule says by its name what it does

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from branchlog.commit import Commit, Head, Snapshot, genesis, seal
from branchlog.commit import snapshot as sealed_snapshot
from branchlog.errors import (
    BackendError,
    BranchlogError,
    ConversationDeleted,
    CorruptLog,
    NotAStore,
    VersionConflict,
)
from branchlog.logs.base import (
    ORDERS,
    Abilities,
    Append,
    Appended,
    Entry,
    Erasure,
    Expected,
    ExpectedVersion,
    Log,
    Query,
    order_value,
)
from branchlog.logs.memory import MemoryLog
from branchlog.testing.contract import AT, IMPOSSIBLE_NAMES, at_once
from branchlog.testing.damage import Damage
from branchlog.testing.strategies import damages

STREAMS = ("a", "A", "a b", "é")
NAMESPACES = ("", "n")
EVENTS = (b'{"n":1}', b'{"n":2}', b'{"b":1.0,"a":1,"a":2}', b'{"t":"\\u0000 \xc3\xa9"}')
VALUES = (1, True, "1", None, {"b": 1, "a": [2]})
EXPECTATIONS = ("exact", "low", "high", "new", "any", "exists", "hole", "another past")

# What comes often stands first and more than once: one stream that grows long, and others that come and go.
streams = st.sampled_from(("a", "a", "a", *STREAMS))
namespaces = st.sampled_from(("", "", *NAMESPACES))
expectations = st.sampled_from(("exact",) * 8 + EXPECTATIONS)
payloads = st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3)
handles = st.sampled_from((0, 1))
picks = st.integers(0, 7)
versions = st.integers(0, 12)
limits = st.none() | st.integers(0, 4)
metadata = st.sampled_from(VALUES).map(lambda value: {"k": value}) | st.dictionaries(
    st.sampled_from("kl"), st.sampled_from(VALUES), max_size=2
)
entries = st.none() | st.builds(
    Entry,
    id=st.just(""),
    version=st.just(0),
    title=st.sampled_from((None, "", "b", "B", "é")),
    metadata=metadata,
    created=st.sampled_from((AT, AT + 1)),
    updated=st.sampled_from((AT, AT + 1)),
    nodes=st.integers(0, 2),
    branches=st.integers(0, 2),
    cursors=st.dictionaries(st.sampled_from(("main", "best")), st.integers(1, 3), max_size=2),
)
drafts = st.tuples(streams, expectations, payloads, entries)

DAMAGED = (CorruptLog, NotAStore, BackendError)
"""What a log may say of a file that was damaged."""


def asked(call: Callable[[Log], Any], log: Log) -> Any:
    """What a log answers, or its refusal."""
    try:
        return call(log)
    except BranchlogError as refusal:
        return refusal


def plain(answer: Any) -> Any:
    """An answer as what two logs can be compared by: without positions; a refusal by its class and facts."""
    if isinstance(answer, list):
        return [plain(each) for each in answer]
    if isinstance(answer, Commit):
        return msgspec.structs.replace(answer, position=0)
    if isinstance(answer, Appended):
        return plain(answer.commit), answer.deduplicated
    if isinstance(answer, VersionConflict):
        return VersionConflict, answer.stream, answer.expected, answer.actual
    if isinstance(answer, Exception):
        return type(answer)
    return answer


def commits_in(answer: Any) -> list[Commit]:
    """The commits that an answer holds."""
    if isinstance(answer, Appended):
        return [answer.commit]
    return (
        [commit for each in answer for commit in commits_in(each)]
        if isinstance(answer, list)
        else ([answer] if isinstance(answer, Commit) else [])
    )


def sent(log: Log, append: Append) -> Appended:
    """The answer to an append."""
    return log.append(append.commit, expected=append.expected, entry=append.entry)


def put_snapshot(log: Log, stream: str, taken: Snapshot) -> None:
    """Put a snapshot."""
    log.put_snapshot(stream, taken)


class LogMachine(RuleBasedStateMachine):
    """A log beside the oracle. Inherit from it and give ``open_log``; for a log in a file give ``damage`` too."""

    def open_log(self, folder: Path) -> Log:
        """Open the log that lives in a folder, in the namespace of no name; made where there is none."""
        raise NotImplementedError("give open_log, which opens the log under test")

    def damage(self, folder: Path, damage: Damage) -> bool:  # noqa: ARG002 - for those who have a file
        """Damage the last file that was written to, in a copy of the folder; False where there is none.

        A log may then refuse, or say what it said after one of its writes. What such a file is differs: with SQLite it
        is the write-ahead log, and with one file of records that file. For example::

            path = folder / "log"
            path.write_bytes(damage.of(path.read_bytes()))
            return True
        """
        return False

    # What rules are made of.

    @initialize()
    def open(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name) / "log"
        self.folder.mkdir()
        self.oracle = MemoryLog()
        self.logs: list[Log] = []
        self.positions: dict[int, int] = {}
        self.sent: list[tuple[str, Commit, Entry | None]] = []
        self.numbers = 0
        self.copies = 0
        self.touched = ""
        self._open_handles()
        self.abilities: Abilities = self.logs[0].abilities
        self.past = [self._picture(self.oracle)]

    def _open_handles(self) -> None:
        self.logs = [self.open_log(self.folder)]
        if self.logs[0].abilities.shared:
            self.logs.append(self.open_log(self.folder))

    def teardown(self) -> None:
        for log in getattr(self, "logs", ()):
            log.close()
        if hasattr(self, "_temporary"):
            self._temporary.cleanup()

    def log(self, who: int) -> Log:
        return self.logs[who % len(self.logs)]

    def both(self, who: int, namespace: str, call: Callable[[Log], Any]) -> Any:
        """Make a call on both; the oracle's answer, once the other is seen to be the same."""
        self.touched = namespace
        expected = asked(call, self.oracle.within(namespace))
        self._check_same(expected, asked(call, self.log(who).within(namespace)))
        return expected

    def _check_same(self, expected: Any, found: Any) -> None:
        if isinstance(found, BranchlogError) and not isinstance(expected, BranchlogError):
            pytest.fail(f"the log refuses what the oracle does: {found!r}")
        assert plain(found) == plain(expected)
        for one, other in zip(commits_in(expected), commits_in(found), strict=True):
            self._check_position(one, other)

    def _check_position(self, one: Commit, other: Commit) -> None:
        known = self.positions.get(one.position)
        if known is None:
            assert other.position > max(self.positions.values(), default=0), "positions increase and are not used again"
            self.positions[one.position] = other.position
        else:
            assert other.position == known, "a commit keeps its position"

    def _picture(self, log: Log) -> Any:
        """What is in a log, as plain values."""
        places = [log.within(namespace) for namespace in NAMESPACES]
        by_id = Query(order="id", descending=False)
        return [(plain(place.read_all()), place.entries(by_id)) for place in places]

    def _wrote(self) -> None:
        self.past.append(self._picture(self.oracle))

    def _id(self) -> bytes:
        self.numbers += 1
        return self.numbers.to_bytes(16, "big")

    def _head(self, namespace: str, stream: str) -> Head:
        try:
            return self.oracle.within(namespace).head(stream) or genesis(namespace, stream)
        except ConversationDeleted:
            return genesis(namespace, stream)

    def _commits(self, namespace: str, stream: str) -> list[Commit]:
        try:
            return self.oracle.within(namespace).read(stream)
        except ConversationDeleted:
            return []

    def _draft(
        self, namespace: str, draft: tuple[str, str, list[bytes], Entry | None], id: bytes | None = None
    ) -> Append:
        """A commit, and what is expected of its stream, as the stream stands now."""
        stream, expectation, events, entry = draft
        head, start = self._head(namespace, stream), genesis(namespace, stream)
        earlier = [start, *(commit.head for commit in self._commits(namespace, stream))]
        behind, expected = head, head.version  # type: Head, ExpectedVersion
        if expectation == "low":
            behind = earlier[-2] if len(earlier) > 1 else start
            expected = behind.version
        elif expectation == "high":
            behind = Head(head.version + 2, head.checksum)
            expected = behind.version
        elif expectation == "new":
            behind, expected = start, 0
        elif expectation in ("any", "exists"):
            behind, expected = start, Expected(expectation)
        elif expectation == "hole":
            behind = Head(head.version + 1, head.checksum)
        elif expectation == "another past":
            behind = Head(head.version, genesis(namespace, "another").checksum)
        data = b"[" + b",".join(events) + b"]"
        commit = seal(stream, behind, count=len(events), id=id or self._id(), at=AT, schema="1.0.0", data=data)
        own = None if entry is None else replace(entry, id=stream)
        self.sent.append((namespace, commit, own))
        return Append(commit=commit, expected=expected, entry=own)

    def _append(self, who: int, namespace: str, append: Append) -> None:
        before = len(self.oracle.within(namespace).read_all())
        self.both(who, namespace, partial(sent, append=append))
        if len(self.oracle.within(namespace).read_all()) > before:
            self._wrote()

    # Writing.

    @rule(who=handles, namespace=namespaces, draft=drafts)
    def append(self, who: int, namespace: str, draft: tuple[str, str, list[bytes], Entry | None]) -> None:
        self._append(who, namespace, self._draft(namespace, draft))

    @rule(who=handles, namespace=namespaces, drafts=st.lists(drafts, max_size=4))
    def append_group(self, who: int, namespace: str, drafts: list[tuple[str, str, list[bytes], Entry | None]]) -> None:
        place = self.oracle.within(namespace)
        appends, expected = [], []
        for draft in drafts:
            append = self._draft(namespace, draft)
            appends.append(append)
            expected.append(asked(partial(sent, append=append), place))
            self._wrote()
        self.touched = namespace
        self._check_same(expected, self.log(who).within(namespace).append_group(appends))

    @rule(who=handles, namespace=namespaces, count=st.integers(1, 6), entry=entries)
    def grow(self, who: int, namespace: str, count: int, entry: Entry | None) -> None:
        """Several appends to one stream, one after the other."""
        for number in range(count):
            self._append(who + number, namespace, self._draft(namespace, ("a", "exact", [EVENTS[number % 2]], entry)))

    @rule(who=handles, namespace=namespaces, several=st.lists(st.tuples(st.sampled_from(STREAMS), entries), max_size=4))
    def catalogue(self, who: int, namespace: str, several: list[tuple[str, Entry | None]]) -> None:
        """Appends to several streams, each with an entry."""
        for stream, entry in several:
            self._append(who, namespace, self._draft(namespace, (stream, "exact", [EVENTS[0]], entry)))

    @precondition(lambda self: self.sent)
    @rule(who=handles, pick=picks, expected=st.sampled_from(Expected) | versions)
    def send_again(self, who: int, pick: int, expected: ExpectedVersion) -> None:
        namespace, commit, entry = self.sent[-1 - pick % len(self.sent)]
        self._append(who, namespace, Append(commit=commit, expected=expected, entry=entry))

    @precondition(lambda self: self.sent)
    @rule(who=handles, pick=picks, draft=drafts)
    def send_other_events_by_the_same_id(
        self, who: int, pick: int, draft: tuple[str, str, list[bytes], Entry | None]
    ) -> None:
        namespace, commit, _ = self.sent[-1 - pick % len(self.sent)]
        again = self._draft(namespace, (commit.stream, *draft[1:]), commit.id)
        self._append(who, namespace, again)

    @rule(who=handles, namespace=namespaces, name=st.none() | st.sampled_from(IMPOSSIBLE_NAMES))
    def append_what_cannot_be(self, who: int, namespace: str, name: str | None) -> None:
        """A commit of an impossible name, or one whose checksum is not of what it says."""
        append = self._draft(namespace, ("a", "exact", [EVENTS[0]], None))
        it = append.commit
        if name is None:
            broken = msgspec.structs.replace(it, data=b'[{"n":3}]')
        else:
            broken = seal(name, genesis(namespace, name), count=1, id=it.id, at=AT, schema="1.0.0", data=it.data)
        self.both(who, namespace, lambda log: log.append(broken, expected=broken.first - 1))

    @rule(namespace=namespaces, stream=streams, events=payloads)
    def race(self, namespace: str, stream: str, events: list[bytes]) -> None:
        """Both handles append at once, expecting the same: one of them is first, and the oracle is told which."""
        appends = [self._draft(namespace, (stream, "exact", events, None)) for _ in (0, 1)]

        def write(who: int) -> Appended:
            return sent(self.log(who).within(namespace), appends[who])

        answers = at_once(write, (0, 1))
        won = [who for who in (0, 1) if isinstance(answers[who], Appended)]
        for who in [*won, *({0, 1} - {*won})]:
            expected = asked(partial(sent, append=appends[who]), self.oracle.within(namespace))
            self._check_same(expected, answers[who])
        self.touched = namespace
        self._wrote()

    @rule(who=handles, namespace=namespaces, stream=st.sampled_from(("é", "é", "a b", "a b", "A", "a")))
    def delete(self, who: int, namespace: str, stream: str) -> None:
        if self.both(who, namespace, lambda log: log.delete(stream)) is True:
            self._wrote()

    @rule(who=handles, namespace=namespaces, stream=streams, picks=st.lists(picks, max_size=2), wrong=st.booleans())
    def redact(self, who: int, namespace: str, stream: str, picks: list[int], wrong: bool) -> None:
        commits = self._commits(namespace, stream)
        places = sorted({commits[pick % len(commits)].first for pick in picks}) if commits else []
        erasures = [Erasure(first=first, data=b'[{"erased":%d}]' % first) for first in places]
        if wrong:
            erasures.append(Erasure(first=1_000, data=b"[]"))
        append = self._draft(namespace, (stream, "exact", [EVENTS[1]], None))
        version = self._head(namespace, stream).version
        self.both(who, namespace, lambda log: log.redact(append.commit, expected=version, erasures=erasures))
        self._wrote()

    @rule(who=handles, namespace=namespaces, stream=streams, entry=entries, stale=st.booleans())
    def put_entry(self, who: int, namespace: str, stream: str, entry: Entry | None, stale: bool) -> None:
        version = self._head(namespace, stream).version + stale
        given = replace(entry or blank_entry(), id=stream, version=version)
        if self.both(who, namespace, lambda log: log.put_entry(given)) is True:
            self._wrote()

    # Reading.

    @rule(
        who=handles,
        namespace=namespaces,
        stream=streams,
        after=versions,
        until=st.none() | versions,
        limit=limits,
        backward=st.booleans(),
    )
    def read(
        self, who: int, namespace: str, stream: str, after: int, until: int | None, limit: int | None, backward: bool
    ) -> None:
        self.both(
            who, namespace, lambda log: log.read(stream, after=after, until=until, limit=limit, backward=backward)
        )

    @rule(who=handles, namespace=namespaces, pick=picks, limit=limits)
    def read_all(self, who: int, namespace: str, pick: int, limit: int | None) -> None:
        """Read on from any position that was told."""
        known = [0, *self.positions]
        after = known[-1 - pick % len(known)]
        place = self.log(who).within(namespace)
        self._check_same(
            self.oracle.within(namespace).read_all(after=after, limit=limit),
            place.read_all(after=self.positions.get(after, 0), limit=limit),
        )

    @rule(who=handles, namespace=namespaces, stream=streams)
    def look_up(self, who: int, namespace: str, stream: str) -> None:
        self.both(who, namespace, lambda log: log.head(stream))
        self.both(who, namespace, lambda log: log.entry(stream))
        self.both(who, namespace, lambda log: log.namespaces())

    @rule(
        who=handles,
        namespace=namespaces,
        order=st.sampled_from(ORDERS),
        descending=st.booleans(),
        wanted=metadata,
        limit=limits,
        pick=st.none() | picks,
    )
    def list_and_count(
        self,
        who: int,
        namespace: str,
        order: Any,
        descending: bool,
        wanted: dict[str, Any],
        limit: int | None,
        pick: int | None,
    ) -> None:
        there = self.oracle.within(namespace).entries(Query(order=order, descending=descending))
        last = there[pick % len(there)] if there and pick is not None else None
        after = None if last is None else (order_value(last, order), last.id)
        query = Query(order=order, descending=descending, metadata=wanted, limit=limit, after=after)
        self.both(who, namespace, lambda log: log.entries(query))
        self.both(who, namespace, lambda log: log.count(wanted))

    # Snapshots.

    @rule(who=handles, namespace=namespaces, stream=streams, picks=st.lists(picks, max_size=3), drop=st.booleans())
    def snapshots(self, who: int, namespace: str, stream: str, picks: list[int], drop: bool) -> None:
        """Put some, at versions in any order and some twice; look at them; perhaps drop them."""
        heads = [commit.head for commit in self._commits(namespace, stream)] or [genesis(namespace, stream)]
        for number, pick in enumerate(picks if self.abilities.snapshots else ()):
            taken = sealed_snapshot(0, heads[pick % len(heads)], "test", b"%d" % number)
            self.both(who, namespace, partial(put_snapshot, stream=stream, taken=taken))
        self.both(who + 1, namespace, lambda log: log.snapshots(stream))
        if drop:
            self.both(who, namespace, lambda log: log.drop_snapshots(stream))
            self.both(who, namespace, lambda log: log.snapshots(stream))

    # Closing, and ends that nobody wished for.

    @rule()
    def reopen(self) -> None:
        """Close it and open it again, where it is there after closing; what was so is so still."""
        if self.abilities.persistent:
            for log in self.logs:
                log.close()
            self._open_handles()
        self.look_at_everything()

    @rule(damage=st.none() | damages())
    def crash(self, damage: Damage | None) -> None:
        """Open what is in the folder at this moment, perhaps damaged: it is as it was after one of the writes."""
        self.copies += 1
        copy = self.folder.with_name(f"copy {self.copies}")
        shutil.copytree(self.folder, copy)
        if not any(copy.iterdir()) or (damage is not None and not self.damage(copy, damage)):
            return
        try:
            found = self._opened(copy)
        except DAMAGED:
            assert damage is not None, "a folder copied while the log is open is not damaged"
            return
        if damage is None and self.abilities.durable:
            assert found == self.past[-1], "what was acknowledged is on the disk"
        assert found in self.past, "after a crash a log is as it was after one of its writes"

    def _opened(self, folder: Path) -> Any:
        log = self.open_log(folder)
        try:
            return self._picture(log)
        finally:
            log.close()

    # What always holds.

    @rule()
    def look_at_everything(self) -> None:
        for namespace in NAMESPACES:
            self._compare(namespace, (0, 1))

    @invariant()
    def what_was_touched_is_as_the_oracle_says(self) -> None:
        if hasattr(self, "past"):
            self._compare(self.touched, (self.numbers,))

    def _compare(self, namespace: str, handles: Iterable[int]) -> None:
        for who in handles:
            self.both(who, namespace, lambda log: log.read_all())
            self.both(who, namespace, lambda log: log.entries(Query(order="id", descending=False)))
            for stream in STREAMS:
                self.both(who, namespace, lambda log, stream=stream: log.read(stream))  # type: ignore[misc]


def blank_entry() -> Entry:
    """An entry that says nothing."""
    return Entry(id="", version=0, title=None, metadata={}, created=AT, updated=AT, nodes=0, branches=0, cursors={})


LogMachine.TestCase.settings = settings(deadline=None, stateful_step_count=40)
