"""Where branchlog is not ahead of another library, like for like: found by the findings, so that nothing is overlooked.

Each way of branchlog's is compared with each library of the same durability, figure by figure and size by size. A path
read without loading the conversation, and a tree that came by an import, are compared with what the others do for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.growth import is_own
from benchmarks.peers.tables import Known, alike, figure, table
from benchmarks.peers.turns import Finding

MORE_IS_BETTER = ("messages kept of two", "messages a second")
NOT_COMPARED = ("to bytes on disk", "of these on the current path")
"""Ends of the names of what is not better for being more or less.

A ratio to the bytes on disk gets smaller with more of them. What two say at once to one message is two alternatives in
a tree, of which the current path shows one, and two messages of a line.
"""


@dataclass(frozen=True)
class Behind:
    """One figure of branchlog's that another library's is ahead of."""

    own: Finding
    other: Finding

    @property
    def by(self) -> float:
        """How many times as good the other is; infinite where one of them is nothing, or not there."""
        better, worse = self.other.value, self.own.value
        if self.own.what.endswith(MORE_IS_BETTER):
            better, worse = worse, better
        return worse / better if better and worse is not None else float("inf")


def behind(findings: Sequence[Finding], known: Iterable[Known]) -> list[Behind]:
    """Every figure in which another library of the same durability is strictly ahead, or alone has one."""
    by_name = {each.name: each for each in known}
    peers: dict[tuple[str, str, int, str], list[Finding]] = {}
    for each in findings:
        if each.value is not None and not by_name[each.subject].own:
            key = (each.workload, each.what, each.size, by_name[each.subject].durability)
            peers.setdefault(key, []).append(each)
    return list(_compared(findings, by_name, peers))


def _compared(
    findings: Sequence[Finding],
    known: Mapping[str, Known],
    peers: Mapping[tuple[str, str, int, str], Sequence[Finding]],
) -> Iterator[Behind]:
    for own in findings:
        if is_own(own.subject) and not own.what.endswith(NOT_COMPARED):
            what = alike(own.what).replace("imported", "bushy")
            for other in peers.get((own.workload, what, own.size, known[own.subject].durability), ()):
                if _is_ahead(own, other):
                    yield Behind(own, other)


def _is_ahead(own: Finding, other: Finding) -> bool:
    assert other.value is not None
    if own.value is None:
        return True
    if own.what.endswith(MORE_IS_BETTER):
        return other.value > own.value
    return other.value < own.value


def behind_text(findings: Sequence[Finding], known: Sequence[Known]) -> str:
    """A row for each figure, size and way of branchlog's, with all who are ahead and by how much."""
    if all(each.own or each.missing for each in known):
        return "No other library was measured."
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for each in behind(findings, known):
        own = each.own
        shown = own.note if own.value is None else f"{figure(own.value)} {own.unit}"
        key = (own.workload, f"{own.what}, {own.size:,}" if own.size > 4 else own.what, own.subject, shown)
        by = "" if each.by == float("inf") else f", {figure(each.by)} times"
        told = f"{each.other.subject} ({figure(each.other.value or 0)} {each.other.unit}{by})"
        rows.setdefault(key, []).append(told)
    if not rows:
        return "No other library is ahead in any figure that was measured."
    heads = ("workload", "figure, size", "subject", "found", "ahead of it, by how much")
    return table(heads, [(*key, "; ".join(told)) for key, told in rows.items()])
