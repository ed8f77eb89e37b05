"""Logs with a mistake. Each is a real log, in memory or in a file, but for one thing."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager, suppress

import attrs
from msgspec.structs import replace
from testing.planting import IN_A_FILE, Memory, Sqlite, changed, patched, planted, saying

from branchlog.commit import reseal
from branchlog.errors import BackendError, CommitIdReused, ConversationNotFound, InvalidInput, VersionConflict
from branchlog.logs._sqlite import rows
from branchlog.logs._sqlite.file import File
from branchlog.logs.base import Appended, Draft, Expected, Query, check_commit, order_value

# Appending.


@planted("forgets the expected version", "Every append is taken as one that expects any version.", 2, 4)
class ForgetsTheExpectedVersion(Memory):
    def append(self, commit, *, expected, entry=None):
        return super().append(commit, expected=Expected.ANY, entry=entry)


@planted("compares, then writes", "The version is compared in one step and the commit written in another.", 6)
class ComparesThenWrites(Memory):
    def append(self, commit, *, expected, entry=None):
        if isinstance(expected, Expected) or self.stored(commit):
            return super().append(commit, expected=expected, entry=entry)
        here = self.end(commit.stream)
        if here.version != expected:
            raise VersionConflict(commit.stream, expected, here.version)
        time.sleep(0.003)
        return super().append(commit, expected=Expected.ANY, entry=entry)


@planted("takes a version that is too high", "Only an expected version below the head's is refused.", 4)
class TakesAVersionThatIsTooHigh(Memory):
    def append(self, commit, *, expected, entry=None):
        if not isinstance(expected, Expected) and expected > self.end(commit.stream).version:
            expected = Expected.ANY
        return super().append(commit, expected=expected, entry=entry)


@planted("makes the stream that has to exist", "An append that expects a stream makes one where there is none.", 3)
class MakesTheStreamThatHasToExist(Memory):
    def append(self, commit, *, expected, entry=None):
        return super().append(commit, expected=Expected.ANY if expected is Expected.EXISTS else expected, entry=entry)


@planted("raises another class", "A conflict is raised as an error of the backend.", 7, 71)
class RaisesAnotherClass(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except VersionConflict as conflict:
            raise BackendError(str(conflict)) from conflict


@planted("tells the wrong version", "A conflict tells the expected version as the actual one.", 7)
class TellsTheWrongVersion(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except VersionConflict as conflict:
            raise VersionConflict(commit.stream, expected, expected) from conflict


@planted("accepts a hole", "A commit is written at its own version, whatever version is the head's.", 11)
class AcceptsAHole(Memory):
    def append(self, commit, *, expected, entry=None):
        check_commit(commit)
        here = self.end(commit.stream)
        if here.version == expected and commit.first > here.version + 1:
            return Appended(self.keep(commit, entry))
        return super().append(commit, expected=expected, entry=entry)


@planted("takes a commit of no events", "A commit of no events is acknowledged, and written.", 9)
class TakesACommitOfNoEvents(Memory):
    def append(self, commit, *, expected, entry=None):
        if not commit.count:
            return Appended(self.keep(reseal(commit, self.end(commit.stream)), entry))
        return super().append(commit, expected=expected, entry=entry)


@planted("does not look at the checksum", "A commit that is not whole is written as it came.", 8)
class DoesNotLookAtTheChecksum(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except InvalidInput:
            if len(commit.id) == 16 and commit.count and commit.first == self.end(commit.stream).version + 1:
                return Appended(self.keep(commit, entry))
            raise


@planted("drops the last event of a batch", "Of a commit of several events the last is not written.", 8, 10)
class DropsTheLastEventOfABatch(Memory):
    def append(self, commit, *, expected, entry=None):
        events = json.loads(commit.data)
        if len(events) > 1 and not isinstance(expected, Expected):
            commit = saying(commit, json.dumps(events[:-1], separators=(",", ":")).encode())
        return super().append(commit, expected=expected, entry=entry)


@planted(
    "writes half a batch before it refuses", "A refused commit of several events leaves its first one behind.", 6, 8
)
class WritesHalfABatch(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except VersionConflict:
            if commit.count > 1:
                self.keep(reseal(saying(commit, b'[{"n":0}]', 1), self.end(commit.stream)))
            raise


@planted("limits a batch", "Of the commits of a group only the first thousand are written, and all acknowledged.", 10)
class LimitsABatch(Memory):
    def append_group(self, appends):
        answers = super().append_group(appends[:1_000])
        return answers + [Appended(each.commit) for each in appends[1_000:]]


@planted("refuses a group as a whole", "Where one append of a group is refused, so are all behind it.", 8)
class RefusesAGroupAsAWhole(Memory):
    def append_group(self, appends):
        answers = []
        for each in appends:
            refused = next((answer for answer in answers if isinstance(answer, Exception)), None)
            answers.append(refused or super().append_group([each])[0])
        return answers


@planted("writes a group by stream", "The commits of a group are written in order of streams, not in their own.", 8, 31)
class WritesAGroupByStream(Memory):
    def append_group(self, appends):
        order = sorted(range(len(appends)), key=lambda number: appends[number].commit.stream, reverse=True)
        answers = dict(zip(order, super().append_group([appends[number] for number in order]), strict=True))
        return [answers[number] for number in range(len(appends))]


# The same again.


@planted("stores a retry twice", "A commit id that is there already is not noticed where any version is expected.", 14)
class StoresARetryTwice(Memory):
    def append(self, commit, *, expected, entry=None):
        if self.stored(commit) and isinstance(expected, Expected):
            return Appended(self.keep(reseal(commit, self.end(commit.stream)), entry))
        return super().append(commit, expected=expected, entry=entry)


@planted("refuses a retry", "A commit that is there already conflicts with itself.", 13, 22)
class RefusesARetry(Memory):
    def append(self, commit, *, expected, entry=None):
        if self.stored(commit):
            raise VersionConflict(commit.stream, expected, self.end(commit.stream).version)
        return super().append(commit, expected=expected, entry=entry)


@planted("forgets ids when it is closed", "The ids of commits are kept for as long as the log is open.", 22)
class ForgetsIds(Sqlite):
    def __init__(self, path, **options):
        super().__init__(path, **options)
        self._begun = getattr(options.get("_file"), "begun", None) or set()
        self._file.begun = self._begun

    def _by_id(self, connection, stream, id):
        return super()._by_id(connection, stream, id) if id in self._begun else None

    def _append(self, writer, commit, expected, entry):
        appended = super()._append(writer, commit, expected, entry)
        self._begun.add(commit.id)
        return appended


@planted(
    "takes other events under a used id", "A used commit id is answered with what is stored, whatever it says.", 16, 20
)
class TakesOtherEventsUnderAUsedId(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except CommitIdReused:
            return Appended(self.stored(commit), deduplicated=True)


@planted("does not say that it was a retry", "The answer to a retry looks like that to a first try.", 19)
class DoesNotSayThatItWasARetry(Memory):
    def append(self, commit, *, expected, entry=None):
        return Appended(super().append(commit, expected=expected, entry=entry).commit)


@planted("looks for an id in all streams", "A commit id that another stream has is taken for a retry.", 21)
class LooksForAnIdInAllStreams(Memory):
    def append(self, commit, *, expected, entry=None):
        for stored in self.read_all():
            if stored.id == commit.id and stored.stream != commit.stream:
                return Appended(stored, deduplicated=True)
        return super().append(commit, expected=expected, entry=entry)


@planted(
    "changes the entry at a retry", "A retry puts its entry in the catalog, though others may have come since.", 15
)
class ChangesTheEntryAtARetry(Memory):
    def append(self, commit, *, expected, entry=None):
        appended = super().append(commit, expected=expected, entry=entry)
        if appended.deduplicated and entry:
            self._stream(commit.stream).entry = replace(entry, version=self.end(commit.stream).version)
        return appended


# Reading.


@planted("swaps two commits", "A read of four commits or more has the second and the third in each other's place.", 23)
class SwapsTwoCommits(Memory):
    def read(self, stream, **options):
        commits = super().read(stream, **options)
        if len(commits) > 3:
            commits[1:3] = commits[2:0:-1]
        return commits


@planted("reads in the order of an index", "Nothing says in which order commits are read: it is that of an index.", 23)
class ReadsInTheOrderOfAnIndex(Memory):
    def read(self, stream, **options):
        commits = super().read(stream, **options)
        return sorted(commits, key=lambda commit: commit.data, reverse=options.get("backward", False))


@planted("begins one too late backward", "Backward, a read begins before the last commit if no end is given.", 24)
class BeginsOneTooLateBackward(Memory):
    def read(self, stream, *, after=0, until=None, limit=None, backward=False):
        commits = super().read(stream, after=after, until=until, backward=backward)
        return commits[1 if backward and until is None else 0 :][:limit]


@planted("limits before it turns round", "Backward, the limit counts from the beginning of the stream.", 24, 25)
class LimitsBeforeItTurnsRound(Memory):
    def read(self, stream, *, after=0, until=None, limit=None, backward=False):
        commits = super().read(stream, after=after, until=until, limit=limit)
        return commits[::-1] if backward else commits


@planted("ignores a limit of none", "A limit of 0 is no limit.", 25)
class IgnoresALimitOfNone(Memory):
    def read(self, stream, *, limit=None, **options):
        return super().read(stream, limit=limit or None, **options)


@planted("stops before the end", "The version up to which is read is left out.", 25)
class StopsBeforeTheEnd(Memory):
    def read(self, stream, *, until=None, **options):
        return super().read(stream, until=None if until is None else until - 1, **options)


@planted("leaves out the commit it begins in", "A commit that begins before the version asked for is not read.", 25)
class LeavesOutTheCommitItBeginsIn(Memory):
    def read(self, stream, *, after=0, limit=None, **options):
        return [each for each in super().read(stream, after=after, **options) if each.first > after][:limit]


@planted("has pages that overlap", "Reading on from a position gives the commit at that position again.", 26, 36)
class HasPagesThatOverlap(Memory):
    def read_all(self, *, after=0, limit=None):
        return super().read_all(after=after - 1, limit=limit)


@planted("answers with its own list", "What a read gives grows while more is written.", 30)
class AnswersWithItsOwnList(Memory):
    def read(self, stream, **options):
        found = self._stream(stream)
        return super().read(stream, **options) if options or found is None else found.commits


@planted("forgets case", "The names of streams are the same if they differ only in case.", 28)
class ForgetsCase(Memory):
    def _stream(self, name):
        return super()._stream(name.lower())

    def append(self, commit, *, expected, entry=None):
        return super().append(changed(commit, stream=commit.stream.lower()), expected=expected, entry=entry)


@planted("takes any name", "A name is not looked at before it is written.", 28)
class TakesAnyName(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except InvalidInput:
            if len(commit.stream) > 1_000:
                return Appended(self.keep(commit, entry))
            raise


# Positions.


@patched(
    "uses a position again",
    "The number of the last commit is given to the next one once that is deleted (no floor is kept).",
    37,
    of="log",
    in_file=True,
)
def uses_a_position_again(patch):
    patch.setattr(File, "keep_floor", lambda self, stream: None)


@planted("counts positions in each stream", "A position is the place in the stream, not in the whole log.", 31)
class CountsPositionsInEachStream(Memory):
    def append(self, commit, *, expected, entry=None):
        with self._shared.lock:
            before, self._shared.position = self._shared.position, len(self.read(commit.stream))
            try:
                return super().append(commit, expected=expected, entry=entry)
            finally:
                self._shared.position = max(before, self._shared.position)


@planted(
    "shows a later position first",
    "A commit has its number before it can be seen, so that a reader may pass it by.",
    32,
)
class ShowsALaterPositionFirst(Memory):
    hidden: set[int] = set()  # noqa: RUF012 - of all the logs of a run: positions are hidden for milliseconds

    def append(self, commit, *, expected, entry=None):
        appended = super().append(commit, expected=expected, entry=entry)
        if appended.commit.position % 3 == 0:
            self.hidden.add(appended.commit.position)
            time.sleep(0.004)
            self.hidden.discard(appended.commit.position)
        return appended

    def read_all(self, *, after=0, limit=None):
        commits = super().read_all(after=after)
        return [commit for commit in commits if commit.position not in self.hidden][:limit]


@planted(
    "counts deleted commits in pages", "A page of all commits is cut first and cleared of deleted ones afterwards.", 34
)
class CountsDeletedCommitsInPages(Memory):
    def delete(self, stream):
        before = list(self._shared.commits)
        done = super().delete(stream)
        self._shared.commits = before
        return done

    def read_all(self, *, after=0, limit=None):
        page = super().read_all(after=after, limit=limit)
        return [each for each in page if self._shared.streams.get((self.namespace, each.stream))]


# Payloads.


@planted("writes JSON anew", "Events are decoded and encoded on the way, as a JSON column does.", 40)
class WritesJsonAnew(Memory):
    def append(self, commit, *, expected, entry=None):
        data = json.dumps(json.loads(commit.data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        same = isinstance(expected, Expected) or json.loads(data) == []
        kept = commit if same else saying(commit, data.encode("utf-8", "replace"))
        return super().append(kept, expected=expected, entry=entry)


@planted("cuts text at NUL", "What follows a NUL in a text is lost, as in a C string.", 41)
class CutsTextAtNul(Memory):
    def append(self, commit, *, expected, entry=None):
        data = re.sub(rb'\\u0000[^"]*', b"", commit.data)
        return super().append(commit if data == commit.data else saying(commit, data), expected=expected, entry=entry)


@planted("rounds times", "Times are kept in milliseconds.", 43)
class RoundsTimes(Memory):
    def append(self, commit, *, expected, entry=None):
        rounded = reseal(changed(commit, at=commit.at // 1_000 * 1_000), self.end(commit.stream))
        follows = commit.first == rounded.first and commit.previous == rounded.previous
        return super().append(rounded if follows else commit, expected=expected, entry=entry)


# Durability.


class _Late(File):
    """Commits a transaction when the next one begins; reads by the writing connection, and so sees it before."""

    @contextmanager
    def _transaction(self):
        with self._border:
            self._check_open()
            self.settle()
            self._writer.execute("PRAGMA busy_timeout = 50")
            self._writer.execute("BEGIN IMMEDIATE")
            self._check_rows()
            try:
                yield self._writer
            except BaseException:
                self.forget_rows()
                self._roll_back()
                raise

    @contextmanager
    def reading(self):
        with self.writers, self._border:
            self._check_open()
            yield self._writer

    def asked(self, work):
        with self.reading() as reader:
            return work(reader)

    def forget(self):
        self.settle()
        super().forget()

    def settle(self):
        if self._writer.in_transaction:
            self._writer.execute("COMMIT")

    def close(self):
        if not self._closed:
            self.settle()
        super().close()


class _Lossy(_Late):
    def close(self):
        if not self._closed:
            self._roll_back()
        super().close()


@planted("returns before the commit", "An append is acknowledged when it is written, and committed with the next.", 60)
class ReturnsBeforeTheCommit(Sqlite):
    file = _Late


@planted("loses the last commit at closing", "What was acknowledged last is rolled back when the log is closed.", 60)
class LosesTheLastCommit(Sqlite):
    file = _Lossy
    declares = attrs.evolve(IN_A_FILE, shared=False)

    @property
    def abilities(self):
        return self.declares


class _Unsynced(File):
    def _connect(self):
        connection = super()._connect()
        connection.execute("PRAGMA synchronous = OFF")
        return connection


@planted(
    "does not wait for the disk", "It declares that it is durable, and never calls fsync (synchronous is off).", 61
)
class DoesNotWaitForTheDisk(Sqlite):
    file = _Unsynced


# Damage.


@patched(
    "does not verify what it reads",
    "The checksums of commits are stored and never compared.",
    65,
    69,
    of="log",
    in_file=True,
)
def does_not_verify_what_it_reads(patch):
    patch.setattr(rows, "verified", lambda commits, after: commits)


# The catalog.


@planted("leaves the version in the entry behind", "An append that gives no entry leaves the entry as it was.")
class LeavesTheVersionBehind(Memory):
    def append(self, commit, *, expected, entry=None):
        before = self.entry(commit.stream)
        appended = super().append(commit, expected=expected, entry=entry)
        if entry is None and before is not None:
            self._stream(commit.stream).entry = before
        return appended


@planted("takes the entry of a refused append", "The catalog is written before the version is compared.", 8)
class TakesTheEntryOfARefusedAppend(Memory):
    def append(self, commit, *, expected, entry=None):
        try:
            return super().append(commit, expected=expected, entry=entry)
        except VersionConflict as conflict:
            found = self._stream(commit.stream)
            if found and entry:
                found.entry = replace(entry, version=conflict.actual)
            raise


@planted("takes 1 for true", "Metadata is compared as Python does, where 1 and True are equal.")
class Takes1ForTrue(Memory):
    def _having(self, metadata):
        return [
            entry
            for entry in super()._having({})
            if all(key in entry.metadata and entry.metadata[key] == value for key, value in metadata.items())
        ]


@planted("leaves ties as they come", "Entries that are equal in the order stand in the order of their making.")
class LeavesTiesAsTheyCome(Memory):
    def entries(self, query):
        found = sorted(
            self._having(query.metadata), key=lambda entry: order_value(entry, query.order), reverse=query.descending
        )
        places = [(order_value(entry, query.order), entry.id) for entry in found]
        start = places.index(query.after) + 1 if query.after in places else 0
        return found[start:][: query.limit]


@planted("loses a tie between two pages", "A page begins behind the last value, so that equal ones are passed by.")
class LosesATieBetweenTwoPages(Memory):
    def entries(self, query):
        every = super().entries(attrs.evolve(query, after=None, limit=None))
        if query.after is not None:
            last = query.after[0]
            every = [
                entry
                for entry in every
                if (value := order_value(entry, query.order)) != last and (value < last) is query.descending
            ]
        return every[: query.limit]


@planted("begins a page at an offset", "A page begins behind as many entries as were before the last one once.")
class BeginsAPageAtAnOffset(Memory):
    known: dict[tuple, int] = {}  # noqa: RUF012 - of all the logs of a run, which only makes it worse

    def entries(self, query):
        every = super().entries(attrs.evolve(query, after=None, limit=None))
        places = [(query.order, query.descending, order_value(each, query.order), each.id) for each in every]
        for number, place in enumerate(places):
            self.known.setdefault((id(self._shared), *place), number)
        if query.after is not None:
            every = every[self.known.get((id(self._shared), query.order, query.descending, *query.after), 0) + 1 :]
        return every[: query.limit]


@planted("loses a cursor in the catalog", "Of the cursors in an entry only the default one is kept.")
class LosesACursor(Sqlite):
    def _put_stream(self, writer, before, head, entry):
        kept = {name: node for name, node in entry.cursors.items() if name == "main"}
        return super()._put_stream(writer, before, head, replace(entry, cursors=kept))


@planted("finds by metadata that was", "A conversation is found by metadata that it had once.")
class FindsByMetadataThatWas(Memory):
    once: dict[tuple, list[dict]] = {}  # noqa: RUF012 - kept by log and stream

    def append(self, commit, *, expected, entry=None):
        appended = super().append(commit, expected=expected, entry=entry)
        had = self.once.setdefault((id(self._shared), self.namespace, commit.stream), [])
        had.append(entry.metadata if entry else {})
        return appended

    def count(self, metadata):
        return sum(
            any(
                metadata.items() <= had.items()
                for had in self.once.get((id(self._shared), self.namespace, each.id), [{}])
            )
            for each in self.entries(Query())
        )


@planted("puts an entry that is behind", "An entry is put in the catalog whatever version it is of.")
class PutsAnEntryThatIsBehind(Memory):
    def put_entry(self, entry):
        found = self._stream(entry.id)
        return found is not None and super().put_entry(replace(entry, version=found.entry.version))


# Namespaces.


@planted("reads another's stream", "A stream that a namespace lacks is looked for in the others.", 28)
class ReadsAnothersStream(Memory):
    def read(self, stream, **options):
        names = [self.namespace, *self.namespaces()]
        found = (plain(self, name).read(stream, **options) for name in names)
        return next((commits for commits in found if commits), [])


def plain(log, namespace):
    """The plain log in memory behind a planted one."""
    return Memory(namespace, _shared=log._shared)


@planted("lists another's conversations", "A list has the conversations of all namespaces.")
class ListsAnothersConversations(Memory):
    def entries(self, query):
        mine = plain(self, self.namespace)
        return [entry for name in {self.namespace, *mine.namespaces()} for entry in plain(self, name).entries(query)]


@planted("counts another's conversations", "The number of conversations is that of all namespaces.")
class CountsAnothersConversations(Memory):
    def count(self, metadata):
        return sum(plain(self, name).count(metadata) for name in {self.namespace, *self.namespaces()})


@planted("tells another's commits", "Reading on gives the commits of all namespaces.", 31)
class TellsAnothersCommits(Memory):
    def read_all(self, *, after=0, limit=None):
        with self._shared.lock:
            self._stream("x")
            return [commit for _, commit in self._shared.commits if commit.position > after][:limit]


# Deleting and closing.


@planted("lets a deleted name come back", "Nothing is kept of a deleted stream, so that its name is free again.", 58)
class LetsADeletedNameComeBack(Memory):
    def delete(self, stream):
        done = super().delete(stream)
        self._shared.streams.pop((self.namespace, stream), None)
        return done


@planted(
    "leaves deleted commits in the log", "A deleted stream is in no list, and still in the order of all commits.", 58
)
class LeavesDeletedCommits(Memory):
    def delete(self, stream):
        before = list(self._shared.commits)
        done = super().delete(stream)
        self._shared.commits = before
        return done


@planted("answers when it is closed", "A closed log still tells where a stream ends.")
class AnswersWhenItIsClosed(Memory):
    def head(self, stream):
        found = self._shared.streams.get((self.namespace, stream))
        return found.commits[-1].head if found else super().head(stream) if not self._shared.closed else None


# Snapshots and erasing.


@planted("keeps the first snapshot", "A snapshot of a version of which there is one is not put in its place.", 49)
class KeepsTheFirstSnapshot(Memory):
    def put_snapshot(self, stream, snapshot):
        found = self._stream(stream)
        if found and snapshot.version not in found.snapshots:
            super().put_snapshot(stream, snapshot)


@planted("keeps snapshots of what is erased", "A redaction leaves the snapshots of the stream.", 59)
class KeepsSnapshotsOfWhatIsErased(Memory):
    def redact(self, commit, *, expected, erasures, entry=None):
        found = self._stream(commit.stream)
        snapshots = dict(found.snapshots) if found else {}
        appended = super().redact(commit, expected=expected, erasures=erasures, entry=entry)
        self._stream(commit.stream).snapshots.update(snapshots)
        return appended


@planted("erases in one place only", "What is redacted in a stream is still told in the order of all commits.", 59)
class ErasesInOnePlaceOnly(Memory):
    def redact(self, commit, *, expected, erasures, entry=None):
        before = {stored.position: stored for _, stored in self._shared.commits}
        appended = super().redact(commit, expected=expected, erasures=erasures, entry=entry)
        self._shared.commits[:] = [
            (namespace, before.get(stored.position, stored)) for namespace, stored in self._shared.commits
        ]
        return appended


class _Unforgetting(File):
    def forget(self):
        return


@planted(
    "leaves what is erased in the WAL", "What was erased stays in the write-ahead log until that is used again.", 59
)
class LeavesWhatIsErasedInTheWal(Sqlite):
    file = _Unforgetting


# Drafts.


@planted("gives drafts with holes", "Pieces of a draft behind one that is missing are given as if none were.")
class GivesDraftsWithHoles(Memory):
    def drafts(self, stream):
        found = self._stream(stream)
        pieces = sorted(found.drafts.items()) if found else []
        ids = sorted({id for (id, _), _ in pieces})
        return [Draft(id, tuple(data for (of, _), data in pieces if of == id)) for id in ids]


@planted("keeps the first piece", "A piece of a draft that is put again is not put in its place.")
class KeepsTheFirstPiece(Memory):
    def extend_draft(self, stream, draft, number, piece):
        found = self._stream(stream)
        if found is None or (draft, number) not in found.drafts:
            super().extend_draft(stream, draft, number, piece)


@planted("drops all drafts", "With one draft of a stream the others are dropped.")
class DropsAllDrafts(Memory):
    def drop_draft(self, stream, draft):
        dropped = super().drop_draft(stream, draft)
        if dropped:
            self._stream(stream).drafts.clear()
        return dropped


@planted("takes drafts of nothing", "A draft is taken for a stream that is not there, and lost.")
class TakesDraftsOfNothing(Memory):
    def extend_draft(self, stream, draft, number, piece):
        with suppress(ConversationNotFound):
            super().extend_draft(stream, draft, number, piece)
