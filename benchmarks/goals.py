"""What the comparison shall come to: ratios of the findings, each beside its goal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from benchmarks.growth import growths, is_own
from benchmarks.measure import Figure
from benchmarks.peers.standing import behind
from benchmarks.peers.tables import ONE_WRITER, Known
from benchmarks.peers.turns import Finding

BARE = "sqlite3, FULL"
BLOCKING = "branchlog"
ASYNC = "branchlog, async"

LARGE = 100_000
"""Messages: goals of bushy trees and of memory are of as many, and a quick run says nothing of them."""


class Found:
    """The findings by their places, and figures made of two of them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._values = {
            (each.workload, each.subject, each.what, each.size): each.value
            for each in findings
            if each.value is not None
        }

    def value(self, workload: str, subject: str, what: str, size: int) -> float | None:
        return self._values.get((workload, subject, what, size))

    def sizes(self, workload: str, subject: str, what: str) -> list[int]:
        """The sizes at which this was measured of this subject, in order."""
        place = (workload, subject, what)
        return sorted(size for *here, size in self._values if tuple(here) == place)

    def ratios(
        self,
        workload: str,
        what: str,
        subject: str = BLOCKING,
        *,
        to: str = "",
        of: str = BARE,
        goal: float,
        from_size: int = 0,
    ) -> Iterator[Figure]:
        """One for each size: ``what`` of the subject to ``to`` of another."""
        for size in self.sizes(workload, subject, what):
            own = self.value(workload, subject, what, size)
            other = self.value(workload, of, to or what, size)
            if own is not None and other and size >= from_size:
                beside = of if to in ("", what) else f"{to} of {of}"
                yield Figure(workload, f"{what}, {size:,}: {subject} to {beside}", own / other, "times", goal)

    def itself(self, workload: str, what: str, *, goal: float) -> Iterator[Figure]:
        """The figure itself where it is large: what is always there is the most of the memory of a small one."""
        value, size = self.value(workload, BLOCKING, what, LARGE), LARGE
        if value is not None:
            unit = "bytes" if workload == "open" else "times"
            yield Figure(workload, f"{what}, {size:,}: {BLOCKING}", value, unit, goal)


def goals(findings: Sequence[Finding], known: Sequence[Known]) -> list[Figure]:
    """All goals of which both sides have been measured."""
    found = Found(findings)
    return [
        *found.ratios("append", "time at length", goal=1.15),
        *found.ratios("append", "time at length", ASYNC, goal=1.5),
        *_together(found),
        *_opening(found),
        *_branching(found),
        *_listing(found, findings),
        *found.itself("memory", "peak memory to bytes on disk", goal=1.3),
        *found.itself("memory", "path only: peak memory to bytes on disk", goal=1.3),
        *_overall(findings, known),
    ]


def _together(found: Found) -> Iterator[Figure]:
    """Many asynchronous writers to a bare one, who commits and waits for each message."""
    for size in found.sizes("together", ASYNC, "64 writers: messages a second"):
        many = found.value("together", ASYNC, "64 writers: messages a second", size)
        one = found.value("together", BARE, ONE_WRITER, 1)
        if many is not None and one:
            yield Figure("together", f"64 writers, {ASYNC}, to one writer of {BARE}", many / one, "times", least=10)


def _opening(found: Found) -> Iterator[Figure]:
    for way in ("", ", path only"):
        yield from found.ratios("open", f"linear{way}", to="linear", goal=1.3)
        for shape in ("bushy", "imported"):
            yield from found.ratios("open", f"{shape}{way}", to=shape, goal=5, from_size=LARGE)
            yield from found.itself("open", f"{shape}{way}: peak memory a message", goal=32)


def _branching(found: Found) -> Iterator[Figure]:
    """What an alternative costs more than a message at the end, in time and bytes."""
    for what in ("", ": written"):
        yield from found.ratios(
            "alternative", f"alternative{what}", to=f"message at the end{what}", of=BLOCKING, goal=1.15
        )


def _listing(found: Found, findings: Sequence[Finding]) -> Iterator[Figure]:
    for what in dict.fromkeys(each.what for each in findings if each.workload == "list"):
        yield from found.ratios("list", what, goal=1.5)


def _overall(findings: Sequence[Finding], known: Sequence[Known]) -> Iterator[Figure]:
    own = [each for each in growths(map(asdict, findings)) if is_own(each.subject)]
    if own:
        worse = sum(each.worse_than_linear for each in own)
        yield Figure("growth", f"worse than linear in its own output, of {len(own)} figures", worse, "", 0)
    if not all(each.own or each.missing for each in known):
        count = len({each.own for each in behind(findings, known)})
        yield Figure("standing", "figures in which another library is ahead, like for like", count, "", 0)
