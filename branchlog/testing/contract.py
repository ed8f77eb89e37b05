"""The contract of a log, as a pytest class.

The author of a backend says how to open it and what it can do::

    class TestMyLog(LogContract):
        abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True)

        @pytest.fixture
        def open_log(self, tmp_path):
            return lambda namespace="": MyLog(tmp_path / "log", namespace=namespace)

``open_log`` opens the same place each time it is called within one test, so that what was written can be read again.
An async backend comes through ``bridged``: ``lambda namespace="": bridged(lambda: MyLog.connect(url, namespace))``.
Cases that need an ability the backend does not declare are skipped, and say which. The numbers in the docstrings are
those of the list of cases that a log is held to, in ``docs/reference/testing.md``.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise, product
from typing import Any, TypeVar
from uuid import uuid4

import attrs
import pytest
from msgspec.structs import replace

from branchlog.commit import Commit, Head, Snapshot, erase, genesis, is_whole, seal, snapshot
from branchlog.errors import (
    BranchlogError,
    CommitIdReused,
    ConversationDeleted,
    ConversationNotFound,
    InvalidInput,
    LogClosed,
    VersionConflict,
)
from branchlog.logs.base import (
    ORDERS,
    Abilities,
    Append,
    Appended,
    AsyncLog,
    Draft,
    Entry,
    Erasure,
    Expected,
    ExpectedVersion,
    Log,
    Query,
)
from branchlog.logs.bridges import BlockingBridge

A = TypeVar("A")
T = TypeVar("T")

WRITERS = 8
"""Threads of a race: more than there are processors, so that they are interrupted in awkward places."""

AT = 1_763_682_452_000_000
"""A moment: when the commits of these tests were made."""

NAMES = (
    "a",
    "A",
    "a ",
    " a",
    "a/b",
    "a%2Fb",
    "../../a",
    "https://example.org/chat?id=1&x=y#z",
    'it\'s "quoted" -- `so`',
    "%_*?[a]",
    "naïve",
    "nai\u0308ve",
    "京都への旅",
    "مرحبا",
    "🦉" * 256,
    "x" * 1_024,
    "a\nb\tc",
    "null",
    "0",
)
"""Names of streams that differ, though one or another system takes some of them for the same."""

IMPOSSIBLE_NAMES = ("", "a\0b", "x" * 1_025, "é" * 513, "\ud800")

PAYLOADS = (
    b"[]",
    b'[{"text":""}]',
    b'[ { "b" : 1 , "a" : 2 } ]',
    b'[{"a":1,"a":2}]',
    b'[{"n":1.0,"m":1e2,"k":-0.0,"j":0.30000000000000004,"i":18446744073709551617}]',
    b'[{"text":"\\u0000 and \\ud83e\\udd89"}]',
    '[{"text":"\U0010ffff \u202eדג\u202c ﷽ e\u0301"}]'.encode(),
    b'[{"text":"it\'s \\"quoted\\" ; -- \\\\ %s ? :1 $1"}]',
    b'[{"text":"' + b"0123456789abcdef" * 262_144 + b'"}]',
)
"""Events whose bytes some database rewrites: spaces, order and repetition of keys, ways to write a number, NUL."""

VALUES: tuple[Any, ...] = (1, True, "1", 0, False, None, "", "true", [1], [True], {"b": 1, "a": 2}, 1.5, "é" * 500)
"""Metadata values of which no two are equal as JSON."""


def bridged(connect: Callable[[], Awaitable[AsyncLog]]) -> Log:
    """An async log as the kit takes it: ``connect`` is awaited in an event loop of its own, and gives the log."""

    async def connected() -> AsyncLog:
        return await connect()

    return BlockingBridge.connect(connected)


def next_commit(log: Log, stream: str, *events: bytes, id: bytes | None = None, head: Head | None = None) -> Commit:
    """A commit of these events (one small one, if none are given) that follows the stream's head, or the given one."""
    events = events or (b'{"n":1}',)
    return seal(
        stream,
        head or log.head(stream) or genesis(log.namespace, stream),
        count=len(events),
        id=id or uuid4().bytes,
        at=AT,
        schema="1.0.0",
        data=b"[" + b",".join(events) + b"]",
    )


def put(log: Log, stream: str, *events: bytes, entry: Entry | None = None) -> Commit:
    """Append a commit of these events, and give it as it was stored."""
    commit = next_commit(log, stream, *events)
    return log.append(commit, expected=commit.first - 1, entry=entry).commit


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Events that can be told apart."""
    return [b'{"n":%d}' % number for number in range(start, start + count)]


def an_entry(id: str, **facts: Any) -> Entry:
    """A catalog entry of which only these facts matter."""
    given = {"title": None, "metadata": {}, "created": AT, "updated": AT, "nodes": 1, "branches": 1} | facts
    return Entry(id=id, version=0, cursors={"main": 1}, **given)


def everything(log: Log) -> tuple[list[Commit], list[Entry]]:
    """All that can be seen of a log in its namespace."""
    return log.read_all(), log.entries(Query(order="id", descending=False))


def at_once(call: Callable[[A], T], items: Sequence[A]) -> list[T | BranchlogError]:
    """Make a call with each item in a thread of its own, all set off together: each one's answer, or its refusal."""
    start = threading.Barrier(len(items))

    def made(item: A) -> T | BranchlogError:
        start.wait()
        try:
            return call(item)
        except BranchlogError as refusal:
            return refusal

    with ThreadPoolExecutor(len(items)) as threads:
        return list(threads.map(made, items))


def settle(outcome: Future[object], call: Callable[[int], object], number: int) -> None:
    """Make a call, and note what comes of it."""
    try:
        outcome.set_result(call(number))
    except BaseException as error:  # noqa: BLE001 - it is what the test looks at
        outcome.set_exception(error)


def ids_of(commits: Sequence[Commit]) -> list[bytes]:
    """The ids of commits, in their order."""
    return [commit.id for commit in commits]


class LogContract:
    """What every log keeps to. Inherit from it, declare ``abilities`` and give the fixture ``open_log``."""

    abilities: Abilities
    """What the backend declares; the first test compares."""

    @pytest.fixture
    def open_log(self) -> Callable[..., Log]:
        """Opens a log: ``open_log(namespace="")``, the same place each time within one test."""
        raise NotImplementedError("give a fixture open_log that opens the log under test")

    @pytest.fixture
    def log(self, open_log: Callable[..., Log]) -> Iterator[Log]:
        """An empty log, open."""
        log = open_log()
        yield log
        log.close()

    def reopened(self, log: Log, open_log: Callable[..., Log]) -> Log:
        """The log after closing and opening it, or as it is where closing would lose it."""
        if not self.abilities.persistent:
            return log
        log.close()
        return open_log()

    def need(self, ability: str) -> None:
        """Skip the case if the backend does not declare this ability."""
        if not getattr(self.abilities, ability):
            pytest.skip(f"the log does not declare the ability {ability!r}")

    # What it says of itself.

    def test_declares_its_abilities(self, log: Log) -> None:
        """The log declares as data what its author declares to the kit."""
        assert log.abilities == self.abilities

    def test_is_a_log(self, log: Log) -> None:
        """The log has the methods of the port."""
        assert isinstance(log, Log)

    def test_examines_itself(self, log: Log) -> None:
        """An examination says what the log is and where, changes nothing, and finds nothing wrong with a sound one."""
        put(log, "trip", entry=an_entry("trip"))
        before = everything(log)
        found = log.examine()

        assert found.kind
        assert found.place
        assert found.problems == ()
        assert all(isinstance(value, int | float | str | bool) for value in found.facts.values())
        assert everything(log) == before

    # Append and optimistic concurrency.

    def test_append_answers_what_a_read_gives(self, log: Log) -> None:
        """The answer to an append has the versions and position that a read gives later (1)."""
        answers = [put(log, "trip", *numbered(count)) for count in (1, 3, 2)]

        assert [(each.first, each.last) for each in answers] == [(1, 1), (2, 4), (5, 6)]
        assert log.read("trip") == answers
        assert log.read_all() == answers
        assert log.head("trip") == answers[-1].head

    def test_expecting_no_stream_where_there_is_one(self, log: Log) -> None:
        """An append that expects no stream is refused where there is one, and writes nothing (2)."""
        commit = next_commit(log, "trip", b'{"late":1}')
        put(log, "trip")

        self.check_refused(log, commit, 0, VersionConflict)

    def test_expecting_a_stream_where_there_is_none(self, log: Log) -> None:
        """An append that expects a stream is refused where there is none (3), and taken where there is one."""
        self.check_refused(log, next_commit(log, "trip"), Expected.EXISTS, VersionConflict)
        put(log, "trip")

        assert log.append(next_commit(log, "trip"), expected=Expected.EXISTS).commit.first == 2

    def test_exact_version_too_low_or_too_high(self, log: Log) -> None:
        """A version that is not the head's is refused, whether lower or higher; the log stays as it was (4)."""
        heads = [put(log, "trip", *numbered(2, start)).head for start in range(4)]
        for version in (0, 1, 2, 5, 7, 9, 10, 1_000):
            head = next((each for each in heads if each.version == version), Head(version, heads[-1].checksum))

            self.check_refused(log, next_commit(log, "trip", head=head), version, VersionConflict)

    def test_any_version_never_conflicts(self, log: Log) -> None:
        """Writers who expect any version all succeed, each one's commits in its own order (5)."""
        rounds = 12
        own = [[uuid4().bytes for _ in range(rounds)] for _ in range(WRITERS)]

        def write(ids: list[bytes]) -> list[Commit]:
            start = genesis(log.namespace, "trip")
            return [log.append(next_commit(log, "trip", head=start, id=id), expected=Expected.ANY).commit for id in ids]

        answers = at_once(write, own)
        stored = ids_of(log.read("trip"))

        assert not [each for each in answers if isinstance(each, BranchlogError)]
        assert len(stored) == len(set(stored)) == WRITERS * rounds
        assert [[id for id in stored if id in set(ids)] for ids in own] == own

    def test_one_of_racing_appends_wins(self, log: Log) -> None:
        """Of appends that expect the same version one succeeds; the others conflict and leave no trace (6)."""
        for _ in range(5):
            commits = [next_commit(log, "trip", *numbered(2)) for _ in range(WRITERS)]
            outcomes = at_once(lambda commit: log.append(commit, expected=commit.first - 1), commits)
            won = [each.commit for each in outcomes if isinstance(each, Appended)]

            assert len(won) == 1
            assert all(isinstance(each, Appended | VersionConflict) for each in outcomes)
            assert log.read("trip", after=commits[0].first - 1) == won

    def test_racing_handles_keep_one_order(self, open_log: Callable[..., Log], log: Log) -> None:
        """Several handles on one place keep to one order of versions, none of them twice (6)."""
        self.need("shared")
        handles = [open_log() for _ in range(4)]

        def write(handle: Log) -> int:
            won = 0
            for _ in range(1_000):
                if won == 5:
                    break
                commit = next_commit(handle, "trip")
                try:
                    handle.append(commit, expected=commit.first - 1)
                except VersionConflict:
                    continue
                won += 1
            return won

        outcomes = at_once(write, handles)
        for handle in handles:
            handle.close()

        assert outcomes == [5] * 4
        assert [commit.first for commit in log.read("trip")] == list(range(1, 21))

    def test_conflict_tells_both_versions(self, log: Log) -> None:
        """A conflict has the stream, what was expected and what is there (7)."""
        put(log, "trip", *numbered(3))
        with pytest.raises(VersionConflict) as caught:
            log.append(next_commit(log, "trip", head=genesis("", "trip")), expected=0)

        assert (caught.value.stream, caught.value.expected, caught.value.actual) == ("trip", 0, 3)

    def test_group_refuses_one_by_one(self, log: Log) -> None:
        """Of several appends made together each is stored whole or refused whole, in their order (8)."""
        one = next_commit(log, "one", *numbered(3))
        two = next_commit(log, "two")
        behind = next_commit(log, "one", head=one.head)
        late = next_commit(log, "one", *numbered(2))
        empty = seal("two", two.head, count=0, id=uuid4().bytes, at=AT, schema="1.0.0", data=b"[]")
        outcomes = log.append_group(
            [
                Append(commit=one, expected=0),
                Append(commit=two, expected=0),
                Append(commit=late, expected=0),
                Append(commit=empty, expected=1),
                Append(commit=behind, expected=3),
                Append(commit=one, expected=0),
            ]
        )
        answers = [each for each in outcomes if isinstance(each, Appended)]

        assert [type(each) for each in outcomes] == [
            Appended,
            Appended,
            VersionConflict,
            InvalidInput,
            Appended,
            Appended,
        ]
        assert [each.deduplicated for each in answers] == [False, False, False, True]
        assert ids_of(log.read_all()) == ids_of([one, two, behind])
        assert log.append_group([]) == []

    def test_nothing_of_a_refused_commit_is_seen(self, log: Log) -> None:
        """A commit that cannot be stored leaves nothing of itself, neither in a new stream nor in an old one (8)."""
        put(log, "old")
        for stream in ("new", "old"):
            good = next_commit(log, stream)
            for bad in (
                tampered(good, id=b"short"),
                tampered(good, checksum=b"0" * 16),
                tampered(good, data=b'[{"n":2}]'),
                tampered(good, first=good.first + 1),
            ):
                self.check_refused(log, bad, good.first - 1, InvalidInput)

        assert log.head("new") is None

    @pytest.mark.parametrize("expected", [0, 1, Expected.ANY, Expected.EXISTS])
    def test_commit_of_no_events(self, log: Log, expected: ExpectedVersion) -> None:
        """A commit of no events is refused, whatever it expects (9)."""
        put(log, "trip")
        head = log.head("trip") or genesis("", "trip")

        self.check_refused(
            log,
            seal("trip", head, count=0, id=uuid4().bytes, at=AT, schema="1.0.0", data=b"[]"),
            expected,
            InvalidInput,
        )

    @pytest.mark.parametrize("size", [1, 2, 999, 1_000, 1_001, 5_000])
    def test_sizes(self, log: Log, size: int) -> None:
        """A commit has as many events, and a group as many commits, as its writer likes (10)."""
        whole = put(log, "whole", *numbered(size))
        head, commits = genesis(log.namespace, "parts"), []
        for event in numbered(size):
            commits.append(next_commit(log, "parts", event, head=head))
            head = commits[-1].head
        log.append_group([Append(commit=each, expected=each.first - 1) for each in commits])

        assert log.read("whole") == [whole]
        assert [each.data for each in log.read("parts")] == [each.data for each in commits]
        assert log.head("parts") == commits[-1].head

    def test_no_hole(self, log: Log) -> None:
        """A commit whose own version leaves a hole behind the one expected is refused (11)."""
        head = put(log, "trip").head
        skipping = next_commit(log, "trip", head=Head(head.version + 3, head.checksum))

        self.check_refused(log, skipping, head.version, InvalidInput)

    def test_versions_follow_one_another(self, log: Log) -> None:
        """Versions begin at 1 and leave nothing out (11)."""
        for size in (1, 4, 2, 1, 7):
            put(log, "trip", *numbered(size))
        commits = log.read("trip")

        assert commits[0].first == 1
        assert all(before.last + 1 == after.first for before, after in pairwise(commits))

    def test_versions_beyond_32_bits(self, log: Log) -> None:
        """A version may be larger than 2**31 and than 2**32 (12)."""
        for count in (2**31, 2**32, 1):
            head = log.head("trip") or genesis(log.namespace, "trip")
            commit = seal("trip", head, count=count, id=uuid4().bytes, at=AT, schema="1.0.0", data=b"[]")
            log.append(commit, expected=head.version)

        assert [each.last for each in log.read("trip")] == [2**31, 2**31 + 2**32, 2**31 + 2**32 + 1]
        assert [each.first for each in log.read("trip", after=2**31 + 5)] == [2**31 + 1, 2**31 + 2**32 + 1]

    # Idempotency.

    @pytest.mark.parametrize("expected", [0, 1, 2, 7, Expected.ANY, Expected.EXISTS])
    def test_the_same_again(self, log: Log, expected: ExpectedVersion) -> None:
        """The same commit again gets the first answer, whatever is expected; nothing is written (13 to 15, 19)."""
        commit = next_commit(log, "trip", *numbered(2))
        first = log.append(commit, expected=0)
        put(log, "trip")
        before = everything(log)
        again = log.append(commit, expected=expected, entry=an_entry("trip", title="changed"))

        assert not first.deduplicated
        assert again == Appended(first.commit, deduplicated=True)
        assert everything(log) == before

    def test_the_same_again_after_reopening(self, log: Log, open_log: Callable[..., Log]) -> None:
        """An append whose answer was lost, made again on a new handle, is stored once and answered (22)."""
        commit = next_commit(log, "trip")
        first = log.append(commit, expected=0)
        other = self.reopened(log, open_log)
        again = other.append(commit, expected=0)
        stored = other.read("trip")
        other.close()

        assert again == Appended(first.commit, deduplicated=True)
        assert stored == [first.commit]

    @pytest.mark.parametrize(
        "events",
        [numbered(2), numbered(4), numbered(3)[::-1], [b'{"n":0}', b'{"n":1}', b'{"n":3}'], [b'{"n":0,"n":1,"n":2}']],
        ids=["a prefix", "more", "another order", "another event", "as long"],
    )
    @pytest.mark.parametrize("expected", [0, 3, Expected.ANY])
    def test_one_id_two_contents(self, log: Log, events: list[bytes], expected: ExpectedVersion) -> None:
        """A commit id that comes again with other events is an error, and writes nothing (16, 20)."""
        stored = put(log, "trip", *numbered(3))
        head = genesis(log.namespace, "trip") if expected == 0 else stored.head

        self.check_refused(log, next_commit(log, "trip", *events, id=stored.id, head=head), expected, CommitIdReused)

    def test_a_new_id_at_a_taken_version(self, log: Log) -> None:
        """A commit of a new id at a version that is taken conflicts, though its events be the ones stored (17)."""
        twin = next_commit(log, "trip", *numbered(3))
        put(log, "trip", *numbered(3))

        self.check_refused(log, twin, 0, VersionConflict)

    def test_the_same_at_once(self, log: Log) -> None:
        """Threads that send one commit at the same time store it once, and are told the same (18)."""
        for number in range(5):
            commit = next_commit(log, f"trip {number}")
            outcomes = at_once(lambda commit: log.append(commit, expected=0), [commit] * 4)
            answers = [each for each in outcomes if isinstance(each, Appended)]

            assert len(answers) == 4
            assert [each.commit for each in answers] == log.read(commit.stream) * 4
            assert sorted(each.deduplicated for each in answers) == [False, True, True, True]

    def test_one_id_in_two_streams(self, log: Log) -> None:
        """A commit id is unique in its stream; another stream, or namespace, may have the same (21)."""
        id, elsewhere = uuid4().bytes, log.within("elsewhere")
        for where, stream in ((log, "one"), (log, "two"), (elsewhere, "one")):
            answer = where.append(next_commit(where, stream, id=id), expected=0)

            assert not answer.deduplicated
        assert ids_of(log.read_all()) == [id, id]

    # Reads.

    def test_forward_is_the_order_of_appends(self, log: Log) -> None:
        """A read gives the order of appends, also where many streams were written in turn (23)."""
        choose = random.Random(23)  # noqa: S311 - repeatable is what is wanted
        written: dict[str, list[Commit]] = {}
        for number in range(200):
            stream = choose.choice("zyxabc")
            written.setdefault(stream, []).append(put(log, stream, *numbered(choose.randint(1, 3), number)))

        assert {stream: log.read(stream) for stream in written} == written

    def test_parts_of_a_read(self, log: Log) -> None:
        """A read from, to, limited, forward or backward is that part of the whole, for all bounds (24, 25)."""
        commits = [put(log, "trip", *numbered(size)) for size in (1, 2, 1, 3, 1)]
        bounds = range(commits[-1].last + 3)
        for after, until, limit in product(bounds, [*bounds, None], [0, 1, 2, 5, None]):
            part = [each for each in commits if holds_any(each, after, until)]

            assert log.read("trip", after=after, until=until, limit=limit) == part[:limit]
            assert log.read("trip", after=after, until=until, limit=limit, backward=True) == part[::-1][:limit]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
    def test_pages_make_up_the_whole(self, log: Log, size: int) -> None:
        """Pages of any size, one after the other, make up the whole, forward and backward and over all (26)."""
        commits = [put(log, "trip", *numbered(1 + number % 3)) for number in range(20)]
        forward: list[Commit] = []
        while len(forward) <= 20 and (page := log.read("trip", after=forward[-1].last if forward else 0, limit=size)):
            forward += page
        backward: list[Commit] = []
        until = commits[-1].last
        while len(backward) <= 20 and (page := log.read("trip", until=until, limit=size, backward=True)):
            backward += page
            until = page[-1].first - 1
        over_all: list[Commit] = []
        position = 0
        while len(over_all) <= 20 and (page := log.read_all(after=position, limit=size)):
            position = page[-1].position
            over_all += page

        assert forward == commits
        assert backward == commits[::-1]
        assert over_all == commits

    def test_what_is_read_can_be_checked(self, log: Log) -> None:
        """Each commit that is read has the checksum of what it says, and of the one before."""
        for stream, size in product("ab", (1, 2, 3)):
            put(log, stream, *numbered(size))
        for stream in "ab":
            commits = log.read(stream)

            assert all(is_whole(each) for each in [*commits, *log.read_all()])
            assert commits[0].previous == genesis(log.namespace, stream).checksum
            assert all(before.checksum == after.previous for before, after in pairwise(commits))
            assert [each for each in log.read_all() if each.stream == stream] == commits

    def test_no_such_stream(self, log: Log) -> None:
        """A stream that was never written has no head, no entry and no commits, and is not an error to ask for (27)."""
        put(log, "trip")

        assert log.head("other") is None
        assert log.entry("other") is None
        assert log.read("other") == []
        assert log.read("other", after=3, backward=True) == []

    def test_names(self, log: Log, open_log: Callable[..., Log]) -> None:
        """A name is any text of 1 to 1,024 bytes without NUL, told apart to the letter (28)."""
        for number, name in enumerate(NAMES):
            put(log, name, *numbered(1, number), entry=an_entry(name, title=name))
        log = self.reopened(log, open_log)

        assert [log.read(name)[0].data for name in NAMES] == [b'[{"n":%d}]' % number for number in range(len(NAMES))]
        assert [each.stream for each in log.read_all()] == list(NAMES)
        assert [each.id for each in log.entries(Query(order="id", descending=False))] == sorted(NAMES)
        log.close()

    @pytest.mark.parametrize("name", IMPOSSIBLE_NAMES, ids=ascii)
    def test_impossible_names(self, log: Log, name: str) -> None:
        """A name that is empty, too long, or has NUL or a lone surrogate is refused before anything is written (28)."""
        self.check_refused(log, first_commit(name), 0, InvalidInput)

    @pytest.mark.parametrize("name", [name for name in IMPOSSIBLE_NAMES if name], ids=ascii)
    def test_impossible_namespaces(self, log: Log, name: str) -> None:
        """A namespace is named as a stream is, but may be empty (28)."""
        with pytest.raises(InvalidInput):
            log.within(name)

        assert log.within("").namespace == ""

    def test_reading_while_writing(self, log: Log) -> None:
        """What is read while others write is a beginning of what is there in the end; no commit is torn (29)."""
        done = threading.Event()
        seen: list[list[Commit]] = []

        def write() -> None:
            try:
                for size in range(40):
                    put(log, "trip", *numbered(1 + size % 5))
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                seen.append(log.read("trip"))

        at_once(lambda call: call(), [write, read, read])
        whole = log.read("trip")

        assert len(whole) == 40
        assert all(part == whole[: len(part)] for part in seen)

    def test_an_answer_does_not_grow(self, log: Log) -> None:
        """Going through what was read while writing more comes to an end (30)."""
        put(log, "trip")
        put(log, "trip")
        for answer in (log.read("trip"), log.read_all()):
            for number, _ in enumerate(answer):
                assert number < 10, "what was read grows while it is gone through"
                put(log, "trip")

            assert len(answer) < len(log.read("trip"))

    # Global order and subscriptions.

    def test_positions_increase(self, log: Log) -> None:
        """Positions strictly increase over all streams, and keep the order of each (31)."""
        at_once(lambda stream: [put(log, stream) for _ in range(15)], "abcd")
        commits = log.read_all()

        assert len(commits) == 60
        assert all(before.position < after.position for before, after in pairwise(commits))
        assert all([each for each in commits if each.stream == stream] == log.read(stream) for stream in "abcd")

    def test_a_tailing_reader_misses_nothing(self, log: Log) -> None:
        """One who reads on from the last position seen gets every commit once, also those behind refusals (32, 39)."""
        done = threading.Event()
        told: list[bytes] = []
        tailed: list[Commit] = []

        def write(number: int) -> None:
            choose = random.Random(number)  # noqa: S311 - repeatable is what is wanted
            for _ in range(25):
                commit = next_commit(log, choose.choice("abc"), *numbered(choose.randint(1, 4)))
                try:
                    refused = choose.random() < 0.1
                    log.append(commit, expected=commit.first + 6 if refused else commit.first - 1)
                except VersionConflict:
                    continue
                told.append(commit.id)

        def tail() -> None:
            last_round = False
            while not last_round:
                last_round = done.is_set()
                while len(tailed) <= 100 and (
                    page := log.read_all(after=tailed[-1].position if tailed else 0, limit=7)
                ):
                    tailed.extend(page)

        tailing = threading.Thread(target=tail)
        tailing.start()
        at_once(write, range(4))
        done.set()
        tailing.join()

        assert sorted(ids_of(tailed)) == sorted(told)
        assert tailed == log.read_all()

    def test_a_refused_append_holds_no_reader_back(self, log: Log) -> None:
        """Behind a refused append the next commit is seen at once by one who reads on (33)."""
        position = put(log, "trip").position
        for _ in range(20):
            self.check_refused(log, next_commit(log, "trip", head=genesis("", "trip")), 0, VersionConflict)
        then = put(log, "trip")

        assert log.read_all(after=position, limit=1) == [then]

    def test_gaps_are_crossed(self, log: Log) -> None:
        """A page is full though more commits than it holds are missing before its end (34)."""
        first = put(log, "trip")
        for _ in range(10):
            put(log, "gone")
        then = [put(log, "trip") for _ in range(3)]
        log.delete("gone")

        assert log.read_all(after=first.position, limit=3) == then
        assert log.read_all(limit=2) == [first, then[0]]

    def test_reading_on_from_any_position(self, log: Log, open_log: Callable[..., Log]) -> None:
        """Reading on from any position gives the rest, now and after reopening (35, 36)."""
        commits = [put(log, "abc"[number % 3]) for number in range(12)]
        log = self.reopened(log, open_log)
        for number, commit in enumerate(commits, 1):
            assert log.read_all(after=commit.position) == commits[number:]
        assert log.read_all(after=commits[-1].position + 1_000) == []
        assert log.read_all(limit=0) == []
        log.close()

    def test_positions_are_not_used_again(self, log: Log, open_log: Callable[..., Log]) -> None:
        """After the last commits are deleted a position is still not used again, also after reopening (37)."""
        put(log, "trip")
        highest = put(log, "gone").position
        log.delete("gone")
        log = self.reopened(log, open_log)
        then = put(log, "trip")

        assert then.position > highest
        assert log.read_all(after=highest) == [then]
        log.close()

    # Payload fidelity.

    @pytest.mark.parametrize("data", PAYLOADS, ids=lambda data: ascii(data[:24]))
    def test_bytes_in_are_bytes_out(self, log: Log, open_log: Callable[..., Log], data: bytes) -> None:
        """The events come back byte for byte (40, 41, 43)."""
        head = genesis(log.namespace, "trip")
        commit = seal("trip", head, count=1, id=uuid4().bytes, at=AT + 1, schema="1.2.3", data=data)
        log.append(commit, expected=0)
        log = self.reopened(log, open_log)
        (stored,), (among_all,) = log.read("trip"), log.read_all()
        log.close()

        assert (stored.data, stored.at, stored.schema, stored.id) == (data, AT + 1, "1.2.3", commit.id)
        assert stored.head == commit.head
        assert among_all == stored

    def test_ids_of_any_bytes(self, log: Log) -> None:
        """A commit id is any 16 bytes (40)."""
        ids = [b"\0" * 16, b"\xff" * 16, bytes(range(16)), b"'; DROP TABLE --"]
        for id in ids:
            commit = next_commit(log, "trip", id=id)
            log.append(commit, expected=commit.first - 1)

        assert ids_of(log.read("trip")) == ids

    def test_times_before_and_after(self, log: Log) -> None:
        """A time may be before 1970, and as late as a datetime can be, to the microsecond (43)."""
        times = [0, 1, -1, -62_135_596_800_000_000, 253_402_300_799_999_999]
        for at in times:
            head = log.head("trip") or genesis(log.namespace, "trip")
            commit = seal("trip", head, count=1, id=uuid4().bytes, at=at, schema="1.0.0", data=b"[]")
            log.append(commit, expected=head.version, entry=an_entry("trip", created=at, updated=at))
            entry = log.entry("trip")

            assert entry is not None
            assert (entry.created, entry.updated) == (at, at)
        assert [each.at for each in log.read("trip")] == times

    # Deletion.

    def test_deleted_is_gone_for_good(self, log: Log, open_log: Callable[..., Log]) -> None:
        """A deleted stream is in no list and no read, and its name is not used again (58)."""
        commit = put(log, "gone", entry=an_entry("gone", title="Gone", metadata={"a": 1}))
        kept = put(log, "kept", entry=an_entry("kept", metadata={"a": 1}))

        assert log.delete("gone") is True
        log = self.reopened(log, open_log)
        calls: list[Callable[[], object]] = [
            lambda: log.head("gone"),
            lambda: log.read("gone"),
            lambda: log.entry("gone"),
            lambda: log.delete("gone"),
            lambda: log.append(commit, expected=0),
            lambda: log.append(first_commit("gone"), expected=0),
            lambda: log.append(first_commit("gone"), expected=Expected.ANY),
            lambda: log.append(first_commit("gone"), expected=Expected.EXISTS),
        ]
        for call in calls:
            with pytest.raises(ConversationDeleted):
                call()

        assert log.read_all() == [kept]
        assert [each.id for each in log.entries(Query())] == ["kept"]
        assert log.count({}) == log.count({"a": 1}) == 1
        log.close()

    def test_deleted_at_once(self, log: Log) -> None:
        """A stream is deleted before it is read again, on the same handle (58)."""
        put(log, "gone")
        log.delete("gone")
        with pytest.raises(ConversationDeleted):
            log.read("gone")

        assert everything(log) == ([], [])

    def test_deleting_nothing(self, log: Log) -> None:
        """To delete what never was says so, and does not use the name up (58)."""
        assert log.delete("trip") is False
        assert put(log, "trip").first == 1

    # The catalog.

    def test_entry_in_step(self, log: Log, open_log: Callable[..., Log]) -> None:
        """The entry is the one of the last append that gave one; its version is always the stream's."""
        entry = an_entry("trip", title="Kyoto", metadata={"a": [1, {"b": None}]}, nodes=7, branches=3)
        put(log, "trip", *numbered(2), entry=entry)
        then = put(log, "trip", *numbered(3))
        log = self.reopened(log, open_log)

        assert log.entry("trip") == replace(entry, version=5)
        assert log.entries(Query()) == [replace(entry, version=then.last)]
        log.close()

    def test_bare_entry(self, log: Log) -> None:
        """A stream whose writer gave no entry has one of its times and version."""
        put(log, "trip", *numbered(2))
        entry = log.entry("trip")

        assert entry is not None
        assert (entry.id, entry.version, entry.title, entry.metadata) == ("trip", 2, None, {})
        assert (entry.created, entry.updated) == (AT, AT)

    def test_entry_of_a_refused_append(self, log: Log) -> None:
        """An append that is refused leaves the entry as it was."""
        put(log, "trip", entry=an_entry("trip", title="Kyoto", metadata={"a": 1}))
        before = everything(log)
        with pytest.raises(VersionConflict):
            log.append(
                next_commit(log, "trip", head=genesis("", "trip")),
                expected=0,
                entry=an_entry("trip", title="Osaka", metadata={"a": 2}),
            )

        assert everything(log) == before
        assert (log.count({"a": 1}), log.count({"a": 2})) == (1, 0)

    def test_listing(self, log: Log, open_log: Callable[..., Log]) -> None:
        """A list is what a plain filter and sort of all entries gives, in every order and for every page size."""
        entries = self.catalog_of(log)
        log = self.reopened(log, open_log)
        wanted: list[dict[str, Any]] = [{}, {"a": 1}, {"a": True, "b": "1"}, {"nowhere": 1}, {"b": {"a": 2, "b": 1}}]
        for order, descending, limit, metadata in product(ORDERS, (False, True), (None, 0, 1, 7, 100), wanted):
            query = Query(order=order, descending=descending, limit=limit, metadata=metadata)

            assert log.entries(query) == plainly(entries, query)[:limit]
            assert log.count(metadata) == len(plainly(entries, query))
        log.close()

    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("descending", [False, True])
    def test_paging(self, log: Log, order: Any, *, descending: bool) -> None:
        """Pages leave nothing out and repeat nothing, though conversations come and go in between."""
        entries = self.catalog_of(log)
        query = Query(order=order, descending=descending, limit=4)
        whole, listed = plainly(entries, query), log.entries(query)
        while len(listed) <= len(whole) and (page := log.entries(attrs.evolve(query, after=place(listed[-1], order)))):
            listed += page

        assert listed == whole
        log.delete(whole[2].id)
        log.delete(whole[8].id)
        rest = [each for each in whole[4:] if each.id != whole[8].id]
        assert log.entries(attrs.evolve(query, after=place(whole[3], order), limit=None)) == rest
        assert log.entries(attrs.evolve(query, after=place(whole[2], order), limit=None)) == [whole[3], *rest]

    @pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:20])
    def test_metadata_is_compared_as_json(self, log: Log, value: Any) -> None:
        """Metadata is equal as JSON or not at all: 1 is neither true nor "1"."""
        for number, each in enumerate(VALUES):
            put(log, f"{number:02}", entry=an_entry(f"{number:02}", metadata={"it": each, "other": number}))
        found = log.entries(Query(metadata={"it": value}))

        assert [json.dumps(each.metadata["it"]) for each in found] == [json.dumps(value)]
        assert log.count({"it": value}) == 1
        assert log.count({"it": value, "other": len(VALUES)}) == 0

    def test_metadata_that_changed(self, log: Log) -> None:
        """A conversation is found by the metadata that it has now, not by what it had; 1 is not true."""
        for metadata in ({"a": 1, "b": 2}, {"b": 3, "c": 1}, {"c": True}, {"c": 1}, {"c": True}):
            put(log, "trip", entry=an_entry("trip", metadata=metadata))

        assert [log.count(each) for each in ({"a": 1}, {"b": 2}, {"b": 3}, {"c": 1}, {})] == [0, 0, 0, 0, 1]
        assert log.count({"c": True}) == 1

    def catalog_of(self, log: Log) -> list[Entry]:
        """Fill a catalog in which much is equal; gives its entries."""
        choose = random.Random(7)  # noqa: S311 - repeatable is what is wanted
        for number in range(30):
            id = f"{choose.randrange(1_000):03}-{number}"
            put(
                log,
                id,
                entry=an_entry(
                    id,
                    title=choose.choice([None, "", "b", "B", "é", "京都", "a' OR 1=1", "\0"]),
                    metadata={key: choose.choice(VALUES) for key in choose.sample("abc", choose.randint(0, 3))},
                    created=AT + choose.randrange(4),
                    updated=AT + choose.randrange(4),
                ),
            )
        return [entry for each in log.read_all() if (entry := log.entry(each.stream)) is not None]

    # Namespaces.

    def test_namespaces_do_not_see_each_other(self, log: Log, open_log: Callable[..., Log]) -> None:
        """What is in one namespace does not exist in another, in any read, list, count or deletion."""
        names = ["", "a", "A", "a/b", "京都"]
        places = [log if not name else log.within(name) for name in names]
        for number, here in enumerate(places):
            put(here, "trip", *numbered(1, number), entry=an_entry("trip", metadata={"n": number}))
        for number, here in enumerate(places):
            assert here.namespace == names[number]
            assert [each.data for each in here.read("trip")] == [b'[{"n":%d}]' % number]
            assert here.read_all() == here.read("trip")
            assert [each.metadata for each in here.entries(Query())] == [{"n": number}]
            assert (here.count({}), here.count({"n": number}), here.count({"n": number + 1})) == (1, 1, 0)
        places[1].delete("trip")

        assert [here.count({}) for here in places] == [1, 0, 1, 1, 1]
        log = self.reopened(log, open_log)
        assert log.within("a").entries(Query()) == []
        assert log.within("a/b").read("trip")[0].data == b'[{"n":3}]'
        log.close()

    def test_a_commit_of_another_namespace(self, log: Log) -> None:
        """A commit made for one namespace cannot pass for one of another."""
        commit = next_commit(log.within("a"), "trip")
        with pytest.raises(BranchlogError):
            log.within("b").append(commit, expected=0)

        assert everything(log.within("b")) == ([], [])

    def test_positions_are_of_all_namespaces(self, log: Log) -> None:
        """A namespace's positions increase among those of the others; reading on works within each."""
        places = [log.within(name) for name in "ab"]
        stored = [put(places[number % 2], "trip") for number in range(10)]

        assert [each.position for each in stored] == sorted({each.position for each in stored})
        assert places[0].read_all(after=stored[4].position) == stored[6::2]

    # Closing.

    def test_closing_twice(self, open_log: Callable[..., Log]) -> None:
        """To close a log twice is allowed, also one that was never used."""
        log = open_log()
        log.close()
        log.close()

    def test_closed(self, open_log: Callable[..., Log]) -> None:
        """A closed log says so to every call, on each of its namespaces."""
        log = open_log()
        commit, other = put(log, "trip"), log.within("other")
        calls: list[Callable[[Log], object]] = [
            lambda log: log.append(commit, expected=0),
            lambda log: log.append_group([Append(commit=commit, expected=0)]),
            lambda log: log.head("trip"),
            lambda log: log.read("trip"),
            lambda log: log.read_all(),
            lambda log: log.entry("trip"),
            lambda log: log.entries(Query()),
            lambda log: log.count({}),
            lambda log: log.delete("trip"),
        ]
        log.close()
        for handle, call in product((log, other), calls):
            with pytest.raises(LogClosed):
                call(handle)

    def test_closing_while_others_use_it(self, log: Log) -> None:
        """Closing lets go of no caller: each is answered, or told that the log is closed; what is told is true."""
        put(log, "trip")
        told: list[Commit] = []
        over = time.monotonic() + 10

        def write(number: int) -> None:
            while time.monotonic() < over:
                told.append(put(log, f"trip {number}"))

        def read(number: int) -> None:
            while time.monotonic() < over:
                log.read("trip")
                log.read_all(limit=number)

        def close(_: int) -> None:
            while len(told) < 20 and time.monotonic() < over:
                time.sleep(0.001)
            log.close()

        calls = [write, write, read, read, read, close]
        outcomes = [Future[object]() for _ in calls]
        for number, call in enumerate(calls):
            threading.Thread(target=settle, args=(outcomes[number], call, number), daemon=True).start()
        errors = [outcome.exception(timeout=20) for outcome in outcomes]

        assert errors.pop() is None
        assert [type(error) for error in errors] == [LogClosed] * 5

    def test_reopening(self, log: Log, open_log: Callable[..., Log]) -> None:
        """After closing and opening, all is as it was, and goes on."""
        self.need("persistent")
        for stream in "aba":
            put(log, stream, *numbered(2), entry=an_entry(stream, metadata={"s": stream}))
        before = everything(log)
        log.close()
        again = open_log()

        assert everything(again) == before
        assert put(again, "a").first == 5
        again.close()

    # The catalog put right, and namespaces.

    def test_putting_an_entry_right(self, log: Log, open_log: Callable[..., Log]) -> None:
        """An entry is kept where the stream is at its version, and found by what it says."""
        put(log, "trip", *numbered(3), entry=an_entry("trip", title="old", metadata={"k": 1}))
        entry = replace(an_entry("trip", title="new", metadata={"k": 2}, nodes=7), version=3)

        assert log.put_entry(entry)
        log = self.reopened(log, open_log)
        assert log.entry("trip") == entry
        assert log.entries(Query(metadata={"k": 2})) == [entry]
        assert log.count({"k": 1}) == 0
        log.close()

    @pytest.mark.parametrize("version", [0, 2, 4])
    def test_putting_an_entry_of_another_version(self, log: Log, version: int) -> None:
        """An entry of another version, or of no stream, is not kept; of a deleted one it is refused."""
        put(log, "trip", *numbered(3), entry=an_entry("trip", title="old"))
        before = everything(log)

        assert not log.put_entry(replace(an_entry("trip", title="new"), version=version))
        assert not log.put_entry(replace(an_entry("nothing"), version=version))
        assert everything(log) == before
        log.delete("trip")
        with pytest.raises(ConversationDeleted):
            log.put_entry(replace(an_entry("trip"), version=3))

    def test_namespaces_are_listed(self, log: Log, open_log: Callable[..., Log]) -> None:
        """Those with a conversation, in order; not one in which all were deleted."""
        assert log.namespaces() == []
        for namespace in ("é", "b", "a/b", "B"):
            put(log.within(namespace), "trip")
        log.within("b").delete("trip")
        log.within("never")
        log = self.reopened(log, open_log)

        assert log.namespaces() == log.within("other").namespaces() == ["B", "a/b", "é"]
        log.close()

    # Snapshots.

    def test_snapshots_come_back(self, log: Log, open_log: Callable[..., Log]) -> None:
        """As they were put, in order of versions; one of the same version takes the place of the other (49)."""
        self.need("snapshots")
        kept = []
        for count in (2, 3, 300):
            kept.append(snapshot(0, put(log, "trip", *numbered(count)).head, "é", bytes(range(256)) * count))
            assert log.put_snapshot("trip", kept[-1])
        other = snapshot(5, Head(kept[-1].version, kept[-1].checksum), "other", b"")
        assert log.put_snapshot("trip", other)
        log = self.reopened(log, open_log)

        assert log.snapshots("trip") == [*kept[:2], other]
        assert all(each.is_whole() for each in log.snapshots("trip"))
        log.close()

    def test_snapshots_are_kept_at_the_head_only(self, log: Log) -> None:
        """Not where the stream has gone on since, nor where it holds other commits, nor where there is none."""
        self.need("snapshots")
        first, second = put(log, "trip"), put(log, "trip")
        for head in (first.head, Head(2, b"x" * 16), Head(3, second.checksum)):
            assert not log.put_snapshot("trip", snapshot(0, head, "f", b"data"))
        assert not log.put_snapshot("nothing", snapshot(0, second.head, "f", b"data"))

        assert log.snapshots("trip") == log.snapshots("nothing") == []

    def test_a_snapshot_put_twice(self, log: Log) -> None:
        """A snapshot of a version that has one takes its place, and is no error (49)."""
        self.need("snapshots")
        head = put(log, "trip").head
        for data in (b"one", b"two", b"two"):
            log.put_snapshot("trip", a_snapshot(head, data))

        assert log.snapshots("trip") == [a_snapshot(head, b"two")]

    def test_snapshots_may_be_dropped(self, log: Log) -> None:
        """Those of the stream, and how many there were (46)."""
        self.need("snapshots")
        for stream in "ab":
            for _ in range(3):
                log.put_snapshot(stream, snapshot(0, put(log, stream).head, "f", b"data"))

        assert [log.drop_snapshots(stream) for stream in ("a", "a", "nothing")] == [3, 0, 0]
        assert (len(log.snapshots("a")), len(log.snapshots("b"))) == (0, 3)

    def test_snapshots_of_another_namespace(self, log: Log) -> None:
        """They are not seen."""
        self.need("snapshots")
        log.put_snapshot("trip", snapshot(0, put(log, "trip").head, "f", b"data"))
        other = log.within("other")

        assert (other.snapshots("trip"), other.drop_snapshots("trip")) == ([], 0)
        assert len(log.snapshots("trip")) == 1

    def test_snapshots_of_a_deleted_stream(self, log: Log) -> None:
        """They go with it."""
        self.need("snapshots")
        taken = snapshot(0, put(log, "trip").head, "f", b"data")
        log.put_snapshot("trip", taken)
        log.delete("trip")
        for call in (log.snapshots, log.drop_snapshots, lambda stream: log.put_snapshot(stream, taken)):
            with pytest.raises(ConversationDeleted):
                call("trip")

    def test_without_the_ability_there_are_no_snapshots(self, log: Log) -> None:
        """A log that does not declare the ability has none (50)."""
        if self.abilities.snapshots:
            pytest.skip("the log declares that it keeps snapshots")
        assert log.snapshots(put(log, "trip").stream) == []

    # Erasing.

    def erased(self, log: Log, *firsts: int, stream: str = "trip") -> tuple[Commit, Appended]:
        """Append a commit and put other data in place of those that begin at these versions."""
        commit = next_commit(log, stream, b'{"erased":1}')
        erasures = [Erasure(first=first, data=b'[{"n":null}]') for first in firsts]
        return commit, log.redact(
            commit, expected=commit.first - 1, erasures=erasures, entry=an_entry(stream, title="e")
        )

    def test_redacted_payloads_are_replaced(self, log: Log, open_log: Callable[..., Log]) -> None:
        """Other data stands in place of the payload; places, checksums and the other commits are as they were (59)."""
        self.need("erases")
        before = [put(log, "trip", b'{"n":"secret %d"}' % number) for number in range(5)]
        _, appended = self.erased(log, 2, 4)
        log = self.reopened(log, open_log)
        after = log.read("trip")

        assert [each.data for each in after[:5]] == [
            b'[{"n":null}]' if each.first in (2, 4) else each.data for each in before
        ]
        assert after[5:] == [appended.commit]
        assert [(each.checksum, each.digest, each.position) for each in after[:5]] == [
            (each.checksum, each.digest, each.position) for each in before
        ]
        assert [bool(each.erased) for each in after] == [False, True, False, True, False, False]
        assert all(map(is_whole, after))
        assert after == log.read_all() == log.read("trip", backward=True)[::-1]
        assert log.read("trip", after=1, limit=1) == after[1:2]
        assert (log.entry("trip") or an_entry("")).title == "e"
        log.close()

    def test_redacting_drops_the_snapshots_of_the_stream(self, log: Log) -> None:
        """Those of other streams stay."""
        self.need("erases")
        self.need("snapshots")
        for stream in ("trip", "other"):
            log.put_snapshot(stream, snapshot(0, put(log, stream).head, "f", b"data"))
        self.erased(log, 1)

        assert (len(log.snapshots("trip")), len(log.snapshots("other"))) == (0, 1)

    def test_redacting_again(self, log: Log) -> None:
        """The same call again is answered as the first; another keeps the digest of what was there at first (59)."""
        self.need("erases")
        put(log, "trip")
        digest = log.read("trip")[0].digest
        commit, appended = self.erased(log, 1)
        again = log.redact(commit, expected=1, erasures=[Erasure(first=1, data=b"[0]")])
        assert (again.commit, again.deduplicated) == (appended.commit, True)
        assert log.read("trip")[0].data == b'[{"n":null}]'

        self.erased(log, 1)
        assert log.read("trip")[0].digest == digest
        assert log.head("trip") == log.read("trip")[-1].head

    @pytest.mark.parametrize("first", [0, 2, 4, 9])
    def test_erasing_what_is_not_there(self, log: Log, first: int) -> None:
        """No commit begins there, or only the one that says so; nothing is written (8)."""
        self.need("erases")
        put(log, "trip", *numbered(2))
        put(log, "trip")
        before = everything(log)
        with pytest.raises(InvalidInput, match="no commit at version"):
            self.erased(log, first)
        assert everything(log) == before

    def test_a_refused_redaction_erases_nothing(self, log: Log) -> None:
        """Another writer was first: nothing is erased, and nothing is appended (8)."""
        self.need("erases")
        put(log, "trip")
        commit = next_commit(log, "trip")
        put(log, "trip")
        before = everything(log)
        with pytest.raises(VersionConflict):
            log.redact(commit, expected=1, erasures=[Erasure(first=1, data=b"[0]")])

        assert everything(log) == before
        log.delete("trip")
        with pytest.raises(ConversationDeleted):
            log.redact(commit, expected=1, erasures=[Erasure(first=1, data=b"[0]")])

    def test_redacting_in_one_namespace(self, log: Log) -> None:
        """A stream of the same name in another one keeps its payloads."""
        self.need("erases")
        other = put(log.within("other"), "trip")
        put(log, "trip")
        self.erased(log, 1)

        assert log.within("other").read("trip") == [other]

    def test_writing_on_after_redacting(self, log: Log, open_log: Callable[..., Log]) -> None:
        """The chain goes on behind erased commits, also behind one that was the last."""
        self.need("erases")
        put(log, "trip")
        self.erased(log, 1)
        log = self.reopened(log, open_log)
        put(log, "trip")

        assert [each.first for each in log.read("trip")] == [1, 2, 3]
        log.close()

    def test_what_was_erased_elsewhere_comes_erased(self, log: Log) -> None:
        """A commit that was erased in another log is appended as it is there, with an exact version, and verifies."""
        first = put(log, "trip")
        secret = next_commit(log, "trip", b'{"secret":1}')
        erased = erase(secret, b"[{}]")
        stored = log.append(erased, expected=1).commit
        put(log, "trip")

        assert log.read("trip")[1] == stored
        assert (stored.data, stored.erased, stored.checksum) == (b"[{}]", erased.erased, secret.checksum)
        assert log.read_all()[0] == first

    # Drafts.

    def test_drafts_come_back_piece_by_piece(self, log: Log, open_log: Callable[..., Log]) -> None:
        """Pieces come back in their order, whatever order they came in, each draft by itself, also after closing."""
        self.need("drafts")
        stored = put(log, "trip")
        ids = [bytes([number]) * 16 for number in (2, 1)]
        for number in (1, 0, 2):
            log.extend_draft("trip", ids[0], number, b"\0\xff%d" % number)
        log.extend_draft("trip", ids[1], 0, b"")
        log.extend_draft("trip", ids[0], 1, b"again")
        log = self.reopened(log, open_log)

        assert log.drafts("trip") == [Draft(ids[1], (b"",)), Draft(ids[0], (b"\0\xff0", b"again", b"\0\xff2"))]
        assert log.read_all() == [stored]
        assert log.head("trip") == stored.head
        log.close()

    def test_a_draft_ends_where_a_piece_is_missing(self, log: Log) -> None:
        """Of a draft with a hole nothing behind it is given, and of one without a beginning nothing at all."""
        self.need("drafts")
        put(log, "trip")
        for number in (0, 2):
            log.extend_draft("trip", b"a" * 16, number, b"%d" % number)
        log.extend_draft("trip", b"b" * 16, 1, b"1")

        assert log.drafts("trip")[0] == Draft(b"a" * 16, (b"0",))
        assert [draft.pieces for draft in log.drafts("trip")[1:]] in ([], [()])

    def test_drafts_are_dropped_one_by_one(self, log: Log) -> None:
        """What is dropped is gone, the others stay, and to drop it again says so."""
        self.need("drafts")
        put(log, "trip")
        put(log, "walk")
        for stream, draft in (("trip", b"a" * 16), ("trip", b"b" * 16), ("walk", b"a" * 16)):
            log.extend_draft(stream, draft, 0, stream.encode())

        assert log.drop_draft("trip", b"a" * 16) is True
        assert log.drop_draft("trip", b"a" * 16) is False
        assert log.drafts("trip") == [Draft(b"b" * 16, (b"trip",))]
        assert log.drafts("walk") == [Draft(b"a" * 16, (b"walk",))]

    def test_drafts_of_what_is_not_there(self, log: Log) -> None:
        """There are none where there is no stream, in another namespace, and where one was deleted they are gone."""
        self.need("drafts")
        put(log, "gone")
        log.extend_draft("gone", b"a" * 16, 0, b"secret")

        assert log.drafts("trip") == log.within("other").drafts("gone") == []
        assert log.drop_draft("trip", b"a" * 16) is False
        with pytest.raises(ConversationNotFound):
            log.extend_draft("trip", b"a" * 16, 0, b"")
        log.delete("gone")
        with pytest.raises(ConversationDeleted):
            log.drafts("gone")
        with pytest.raises(ConversationDeleted):
            log.extend_draft("gone", b"a" * 16, 1, b"late")

    def test_a_piece_that_cannot_be_is_refused(self, log: Log) -> None:
        """The id of a draft is that of a commit, 16 bytes, and pieces count from 0."""
        self.need("drafts")
        put(log, "trip")
        for draft, number in ((b"short", 0), (b"a" * 17, 0), (b"a" * 16, -1)):
            with pytest.raises(InvalidInput):
                log.extend_draft("trip", draft, number, b"")

        assert log.drafts("trip") == []

    def test_without_drafts(self, log: Log) -> None:
        """A log that does not declare that it keeps drafts has none, and says so to who would put one."""
        if self.abilities.drafts:
            pytest.skip("the log declares that it keeps drafts")
        put(log, "trip")

        assert log.drafts("trip") == []
        assert log.drop_draft("trip", b"a" * 16) is False
        with pytest.raises(InvalidInput):
            log.extend_draft("trip", b"a" * 16, 0, b"")

    # Opening again.

    def test_opened_again(self, log: Log) -> None:
        """What was closed can be read once more, or says that it cannot; closing that closes nothing else."""
        stored = put(log, "trip")
        try:
            beside = log.reopened()
        except LogClosed:
            return
        assert beside.read("trip") == [stored]
        beside.close()
        assert log.read("trip") == [stored]
        log.close()
        beside = log.reopened()
        assert (beside.namespace, beside.read("trip")) == (log.namespace, [stored])
        beside.close()
        with pytest.raises(LogClosed):
            log.read("trip")

    def test_the_rest_is_closed_too(self, log: Log) -> None:
        """A closed log says so to these calls as well."""
        commit = put(log, "trip")
        log.close()
        calls: list[Callable[[], object]] = [
            lambda: log.put_entry(an_entry("trip")),
            log.namespaces,
            log.examine,
            lambda: log.redact(commit, expected=0, erasures=[]),
        ]
        if self.abilities.snapshots:
            calls += [
                lambda: log.snapshots("trip"),
                lambda: log.put_snapshot("trip", snapshot(0, commit.head, "f", b"data")),
                lambda: log.drop_snapshots("trip"),
            ]
        if self.abilities.drafts:
            calls += [
                lambda: log.drafts("trip"),
                lambda: log.extend_draft("trip", b"a" * 16, 0, b""),
                lambda: log.drop_draft("trip", b"a" * 16),
            ]
        for call in calls:
            with pytest.raises(LogClosed):
                call()

    # What the cases share.

    def check_refused(self, log: Log, commit: Commit, expected: ExpectedVersion, refusal: type[BranchlogError]) -> None:
        """Check that an append is refused, alone and in a group, and that the log stays as it was."""
        before = everything(log)
        with pytest.raises(refusal):
            log.append(commit, expected=expected, entry=an_entry(commit.stream, title="refused"))
        (outcome,) = log.append_group([Append(commit=commit, expected=expected)])

        assert isinstance(outcome, refusal)
        assert everything(log) == before


def tampered(commit: Commit, **changes: Any) -> Commit:
    """The commit with some of its facts changed and its checksum left as it was."""
    facts = {name: getattr(commit, name) for name in commit.__struct_fields__}
    return Commit(**facts | changes)


def a_snapshot(head: Head, data: bytes) -> Snapshot:
    """A snapshot of the events up to a head."""
    return snapshot(0, head, "fingerprint", data)


def first_commit(name: str) -> Commit:
    """The first commit of a stream of this name, in the namespace of no name."""
    return seal(name, genesis("", name), count=1, id=uuid4().bytes, at=AT, schema="1.0.0", data=b'[{"n":1}]')


def holds_any(commit: Commit, after: int, until: int | None) -> bool:
    """Whether the commit holds a version above one bound and up to the other."""
    return any(
        version > after and (until is None or version <= until) for version in range(commit.first, commit.last + 1)
    )


def place(entry: Entry, order: str) -> tuple[Any, str]:
    """Where an entry stands in an order."""
    return getattr(entry, order) or ("" if order == "title" else 0), entry.id


def plainly(entries: list[Entry], query: Query) -> list[Entry]:
    """The entries that a query asks for, by a plain filter and a plain sort, whatever its limit."""
    wanted = {key: json.dumps(value, sort_keys=True) for key, value in query.metadata.items()}
    found = [
        entry
        for entry in entries
        if wanted.items() <= {key: json.dumps(value, sort_keys=True) for key, value in entry.metadata.items()}.items()
    ]
    return sorted(found, key=lambda entry: place(entry, query.order), reverse=query.descending)
