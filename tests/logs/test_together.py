"""What threads ask at once is done together, and each gets its own outcome, whatever happens to the others."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from branchlog.logs.together import GROUP_MAX, Together


class Echo:
    """Answers with what was asked; keeps the groups, and holds the first one until it is told to go on."""

    def __init__(self):
        self.groups = []
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.meeting = Together(self.work)

    def work(self, request):
        self.began.set()
        assert self.go_on.wait(10)
        group = [request, *self.meeting.take()]
        self.groups.append(group)
        answers = [ValueError(each) if str(each).startswith("bad") else each for each in group]
        self.meeting.tell(answers[1:])
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def waiting(self, count):
        """Wait until so many requests wait."""
        deadline = time.monotonic() + 10
        while len(self.meeting._waiting) != count:
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def asked_while_held(echo, threads, requests):
    """Ask these while the lock is held by another, one after the other."""
    with echo.meeting:
        answers = []
        for count, request in enumerate(requests, 1):
            answers.append(threads.submit(echo.meeting.ask, request))
            echo.waiting(count)
    return answers


def test_one_alone_is_answered_at_once():
    echo = Echo()
    echo.go_on.set()

    assert [echo.meeting.ask(number) for number in (1, 2, 3)] == [1, 2, 3]
    assert echo.groups == [[1], [2], [3]]


def test_what_waits_is_done_together(threads):
    """Requests that came while the lock was held are one group, in the order in which they came."""
    echo = Echo()
    echo.go_on.set()
    answers = asked_while_held(echo, threads, range(8))

    assert [each.result(10) for each in answers] == list(range(8))
    assert [sorted(group) for group in echo.groups] == [list(range(8))]


@pytest.mark.parametrize("first", ["a", "bad 0"])
def test_a_refusal_is_its_own(threads, first):
    """An exception among the outcomes is raised where it was asked, and nowhere else."""
    echo = Echo()
    echo.go_on.set()
    requests = [first, "bad 1", "b", "bad 2"]
    errors = [each.exception(10) for each in asked_while_held(echo, threads, requests)]

    assert [error and str(error) for error in errors] == [each if "bad" in each else None for each in requests]
    assert len(echo.groups) == 1


@pytest.mark.parametrize("when", ["before they are taken", "after"])
def test_what_fails_as_a_whole(threads, when):
    """What the work raises is the outcome of all that it had taken; of what it had not, somebody else's work is."""
    tried = []

    def work(request):
        tried.append(request)
        if when == "after":
            meeting.take()
        raise OSError(request)

    echo = Echo()
    echo.meeting = meeting = Together(work)
    answers = asked_while_held(echo, threads, range(4))

    assert [type(each.exception(10)) for each in answers] == [OSError] * 4
    assert len(tried) == (1 if when == "after" else 4)


def test_one_that_is_interrupted_holds_up_nobody(threads):
    """Where the thread that works is interrupted it alone learns of it; the others are done by another."""
    interrupted = []

    def work(request):
        others = meeting.take()
        if not interrupted:
            interrupted.append(request)
            raise KeyboardInterrupt
        meeting.tell(others)
        return request

    echo = Echo()
    echo.meeting = meeting = Together(work)
    answers = asked_while_held(echo, threads, range(6))
    outcomes = [each.exception(10) or each.result(10) for each in answers]

    assert [type(each) for each in outcomes].count(KeyboardInterrupt) == 1
    assert [each for each in outcomes if isinstance(each, int)] == [each for each in range(6) if each != interrupted[0]]


class Interrupted(SimpleQueue):
    """A wait that the keyboard interrupts."""

    def get(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("taken", [False, True], ids=["waiting", "taken"])
def test_one_that_is_interrupted_while_it_waits(threads, monkeypatch, taken):
    """It learns so, may be done or not as with any interrupt, and those behind it in the queue are done."""
    echo = Echo()
    first = threads.submit(echo.meeting.ask, "first")
    assert echo.began.wait(10)
    with monkeypatch.context() as patch:
        patch.setattr("branchlog.logs.together.SimpleQueue", Interrupted)
        gone = threads.submit(echo.meeting.ask, "gone")
        echo.waiting(1)
        time.sleep(0.05)
    after = threads.submit(echo.meeting.ask, "after")
    echo.waiting(2)
    if not taken:
        monkeypatch.setattr(echo.meeting, "take", list)
    echo.go_on.set()

    assert first.result(10) == "first"
    assert after.result(10) == "after"
    assert isinstance(gone.exception(10), KeyboardInterrupt)
    assert not echo.meeting._waiting


def test_a_group_has_an_end():
    echo = Echo()
    echo.go_on.set()
    meeting = echo.meeting
    with ThreadPoolExecutor(GROUP_MAX + 40) as many:
        answers = asked_while_held(echo, many, range(GROUP_MAX + 20))

        assert [each.result(20) for each in answers] == list(range(GROUP_MAX + 20))
    assert max(map(len, echo.groups)) <= GROUP_MAX + 1
    assert len(meeting._waiting) == 0


def test_many_threads_lose_nothing():
    """Each of many requests from many threads is done exactly once, and no two groups at a time."""
    done, busy = [], threading.Lock()

    def work(request):
        assert busy.acquire(blocking=False)
        others = meeting.take()
        done.extend([request, *others])
        time.sleep(0)
        meeting.tell([each + 1 for each in others])
        busy.release()
        return request + 1

    meeting = Together(work)

    def ask(who):
        return all(meeting.ask(who * 1_000 + number) == who * 1_000 + number + 1 for number in range(300))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(16)))

    assert sorted(done) == [who * 1_000 + number for who in range(16) for number in range(300)]
