"""Parents and children that name each other, as some formats have them: they may disagree, or one may be left out.

The parent says where a node hangs. Children give the order of siblings, and the parent of a node that has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from branchlog._core.message import Json
from branchlog.formats.carry import Repair, Repairs


@attrs.frozen
class Links:
    """What one node says of its place: how it is called in a report, its parent, and what it lists as its children."""

    name: str
    parent: str | None
    children: list[Json] | None

    def listed(self) -> Iterator[str]:
        """The children that can be nodes."""
        yield from (child for child in self.children or () if isinstance(child, str))


def placed(links: Mapping[str, Links], where: str, repairs: Repairs) -> Iterator[tuple[str, str | None]]:
    """Each node and its parent, siblings in their order: as the parent lists them, then as they stand."""
    parents = {key: link.parent for key, link in links.items()}
    _adopt(links, parents, where, repairs)
    _compare(links, parents, where, repairs)
    listed: dict[str, None] = {}
    for key, link in links.items():
        for child in link.listed():
            if parents.get(child) == key:
                listed[child] = None
    yield from ((key, parents[key]) for key in listed)
    yield from ((key, parents[key]) for key in links if key not in listed)


def _adopt(links: Mapping[str, Links], parents: dict[str, str | None], where: str, repairs: Repairs) -> None:
    """Give a node without parent the one that lists it as a child, unless that one is beneath it: then it is a root.

    Nodes that hang together are in one group; a node without parent is the top of its group.
    """
    groups = {key: key for key in links}
    for key, parent in parents.items():
        if parent in groups:
            groups[_group(groups, key)] = _group(groups, parent)
    for key, link in links.items():
        for child in link.listed():
            if child in links and parents[child] is None and _group(groups, child) != _group(groups, key):
                groups[_group(groups, child)] = _group(groups, key)
                parents[child] = key
                said = f"no parent of its own; put under {link.name!r}, which has it as a child"
                repairs.append(Repair(f"{where}, node {links[child].name!r}", said))


def _group(groups: dict[str, str], key: str) -> str:
    while (above := groups[key]) != key:
        groups[key] = groups[above]
        key = above
    return key


def _compare(links: Mapping[str, Links], parents: dict[str, str | None], where: str, repairs: Repairs) -> None:
    """Report children that are none."""
    for key, link in links.items():
        wrong = sum(not isinstance(child, str) or parents.get(child) != key for child in link.children or ())
        if wrong:
            place = f"{where}, node {link.name!r}"
            repairs.append(Repair(place, f"{wrong} of its children are not there or hang elsewhere; left out"))
