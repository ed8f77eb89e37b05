"""A lock under which one thread does what others asked for, too: they share what it costs, such as a wait for the disk.

A thread that asks while the lock is free takes it and does what it asked for, at the cost of the lock alone. Those that
ask meanwhile wait in a queue. Whoever asks and gets the lock next, be it the first of the queue or one that came just
then, does with its own what all in the queue have asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

GROUP_MAX = 512
"""Requests that are taken together: enough to hide an fsync, few enough that the first does not wait long."""


class _Ticket(Generic[Q, A]):
    """A request that waits, what became of it, and what its thread is woken by: to see that, or to try the lock."""

    __slots__ = ("call", "outcome", "request")

    def __init__(self, request: Q) -> None:
        self.request = request
        self.outcome: A | Exception | None = None
        self.call: SimpleQueue[None] = SimpleQueue()


class Together(Generic[Q, A]):
    """The lock. ``work`` is called with it held, for one request, and gives or raises its outcome, which is never None.

    It may ``take`` the requests that wait by then, and ``tell`` their outcomes. Where it raises before it has told them
    the exception is the outcome of all.
    """

    def __init__(self, work: Callable[[Q], A]) -> None:
        self._work = work
        self._lock = Lock()
        self._waiting: deque[_Ticket[Q, A]] = deque()
        self._taken: list[_Ticket[Q, A]] = []

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._release()

    def ask(self, request: Q) -> A:
        """The answer to this request, or raise the exception that is its outcome."""
        if not self._lock.acquire(blocking=False):
            outcome = self._waited(request)
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                return outcome
        try:
            return self._work(request)
        except Exception as error:
            for ticket in self._taken:
                if ticket.outcome is None:
                    ticket.outcome = error
            raise
        finally:
            self._release()

    def take(self) -> list[Q]:
        """Take the requests that wait."""
        while self._waiting and len(self._taken) < GROUP_MAX:
            self._taken.append(self._waiting.popleft())
        return [each.request for each in self._taken]

    def tell(self, outcomes: Sequence[A | Exception]) -> None:
        """The outcomes of those that were taken, in order."""
        for ticket, outcome in zip(self._taken, outcomes, strict=True):
            ticket.outcome = outcome

    def _waited(self, request: Q) -> A | Exception | None:
        """The outcome, if another thread came to it; None if it is for this one to do, with the lock held."""
        ticket: _Ticket[Q, A] = _Ticket(request)
        self._waiting.append(ticket)
        try:
            while ticket.outcome is None:
                if self._lock.acquire(blocking=False):  # also where it was released before there was a ticket to call
                    if ticket.outcome is None:
                        self._waiting.remove(ticket)
                        return None
                    self._release()
                else:
                    ticket.call.get()
        except BaseException:  # the thread was interrupted, as by the keyboard
            with self:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
            raise
        return ticket.outcome

    def _release(self) -> None:
        """Release the lock, call the next, and those that have their outcome; the others that were taken wait again."""
        taken = self._taken
        if taken:
            self._taken = []
            self._waiting.extendleft(each for each in reversed(taken) if each.outcome is None)  # it was interrupted
        self._lock.release()
        if self._waiting:
            with suppress(IndexError):  # taken meanwhile
                self._waiting[0].call.put(None)
        for each in taken:
            each.call.put(None)
