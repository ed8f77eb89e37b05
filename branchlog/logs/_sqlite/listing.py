"""Lists of conversations, and how many there are, as SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import chain
from math import isqrt

from branchlog.logs._sqlite.rows import LISTED, Row, facets_of, whole_number
from branchlog.logs.base import Query

PATIENCE = 2
"""A walk through a list, for those that share a value, is given up after so many times the steps that should do."""

_RAREST = "rarest.namespace = ? AND rarest.key = ? AND rarest.value = ?"


class Listing:
    """A query as SQL, over the rows of one namespace that were not deleted.

    Those that have some metadata are found in two ways, since there is no index of a value in the order of a list: it
    would cost every append a page. Few are looked up and sorted. Of many, some are soon met where the list is walked
    in its order: of a list of ``n`` with ``m`` that are sought, a page of ``p`` on the first ``p * n / m`` if they are
    spread evenly, which is less than to look up all ``m`` where ``m`` is above the root of ``p * n``. Where they are
    not met, for being at the other end of the list, they are sorted after all.
    """

    def __init__(self, namespace: str, query: Query) -> None:
        columns = ("id",) if query.order == "id" else (query.order, "id")
        self._where = "streams.namespace = ? AND deleted = 0"
        self._values: Row = (namespace,)
        if query.after is not None:
            sign, marks = "<" if query.descending else ">", ", ".join("?" for _ in columns)
            self._where += f" AND ({', '.join(columns)}) {sign} ({marks})"
            self._values += query.after[-len(columns) :]
        self._order = ", ".join(f"{column} {'DESC' if query.descending else 'ASC'}" for column in columns)
        self._limit = -1 if query.limit is None else query.limit
        self._facets = [(namespace, *facet) for facet in facets_of(query.metadata)]

    def whole(self) -> tuple[str, Row]:
        """The statement for the rows of all, and its values."""
        statement = f"SELECT {LISTED} FROM streams WHERE {self._where} ORDER BY {self._order} LIMIT ?"
        return statement, (*self._values, self._limit)

    def having(self, reader: sqlite3.Connection) -> Iterable[Row]:
        """The rows of those that have the metadata."""
        if self._limit < 0:
            return self._sorted(reader, self._facets)
        (last,) = reader.execute("SELECT max(key) FROM streams").fetchone()  # there are about as many
        few = isqrt(self._limit * (last or 0))
        facets, count = rarest_first(reader, self._facets, few + 1)
        rows = self._walked(reader, facets, PATIENCE * few) if count > few else None
        return self._sorted(reader, facets) if rows is None else rows

    def _walked(self, reader: sqlite3.Connection, facets: list[Row], steps: int) -> Iterable[Row] | None:
        """The rows that are met first on a walk through all; None where so many steps do not lead to all of them."""
        keys: list[int] = []
        for step, (key, found) in enumerate(
            reader.execute(
                f"SELECT key, {' AND '.join(_has('streams.key') for _ in facets)} FROM streams"
                f" WHERE {self._where} ORDER BY {self._order}",
                (*chain(*facets), *self._values),
            )
        ):
            if len(keys) == self._limit:
                break
            if step == steps:
                return None
            if found:
                keys.append(key)
        statement = f"SELECT {LISTED} FROM streams WHERE key = ?"
        return (row for key in keys for row in reader.execute(statement, (key,)))

    def _sorted(self, reader: sqlite3.Connection, facets: list[Row]) -> Iterable[Row]:
        """The rows that are first once all that are found were sorted.

        The youngest streams are looked up first, since they are likely the latest and what comes after them is passed
        over; the LIMIT of none keeps SQLite from leaving out that order.
        """
        found, values = _having(facets)
        return reader.execute(
            f"SELECT {LISTED} FROM (SELECT stream {found} ORDER BY stream DESC LIMIT -1)"
            f" CROSS JOIN streams ON streams.key = stream WHERE {self._where} ORDER BY {self._order} LIMIT ?",
            (*values, *self._values, self._limit),
        )


def _has(key: str) -> str:
    """The condition that a stream has a facet."""
    return f"EXISTS (SELECT 1 FROM facets WHERE namespace = ? AND key = ? AND value = ? AND stream = {key})"


def rarest_first(reader: sqlite3.Connection, facets: Iterable[Row], most: int = -1) -> tuple[list[Row], int]:
    """Facets in order of how many streams have them, and how many have the first; counted up to ``most``, if given."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM facets AS rarest WHERE {_RAREST} LIMIT ?)"
    counted = sorted((whole_number(reader.execute(statement, (*facet, most)).fetchone()[0]), facet) for facet in facets)
    return [facet for _, facet in counted], counted[0][0]


def _having(facets: list[Row]) -> tuple[str, Row]:
    """What a statement takes the streams from that have these facets, the rarest first; and its values."""
    others = "".join(f" AND {_has('rarest.stream')}" for _ in facets[1:])
    return f"FROM facets AS rarest WHERE {_RAREST}{others}", tuple(chain(*facets))


def counting(namespace: str, facets: list[Row]) -> tuple[str, Row]:
    """The statement that counts the streams that have these facets, and its values."""
    if not facets:
        return "SELECT count(*) FROM streams WHERE namespace = ? AND deleted = 0", (namespace,)
    found, values = _having(facets)
    return f"SELECT count(*) {found}", values
