"""Lists of the log in one SQLite file: the two ways to those that share some metadata, and what they cost."""

import random
import sqlite3
from itertools import product

import attrs
import pytest

from branchlog.errors import CorruptLog
from branchlog.logs._sqlite.listing import Listing
from branchlog.logs.base import ORDERS, Append, Expected, Query, having, selected
from branchlog.logs.sqlite import SqliteLog
from branchlog.testing.contract import AT, an_entry, next_commit

COUNT = 400
WANTED = [
    {"often": True},
    {"often": True, "half": 1},
    {"old": 1},
    {"half": 1, "old": 1},
    {"rare": [1]},
    {"rare": [1], "often": True},
    {"often": False},
]


def metadata_of(number):
    found = {"half": number % 2}
    if number % 10:
        found["often"] = True
    if number < COUNT // 4:
        found["old"] = 1
    if number % (COUNT // 3) == 1:
        found["rare"] = [1]
    return found


def fill(log, count=COUNT):
    """Conversations made one after the other, at times that are shuffled among neighbours; gives their entries."""
    chance = random.Random(7)
    entries = [
        an_entry(
            f"{number:04}",
            title=chance.choice([None, "a", "b"]),
            metadata=metadata_of(number),
            created=AT + number,
            updated=AT + 10 * (number // 10) + chance.randrange(10),
        )
        for number in range(count)
    ]
    log.append_group([Append(commit=next_commit(log, each.id), expected=Expected.ANY, entry=each) for each in entries])
    return [log.entry(each.id) for each in entries]


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "chats.db", durability="relaxed")
    yield log
    log.close()


@pytest.fixture
def ways(monkeypatch):
    """The ways that lists went: ``walked``, ``given up`` or ``sorted``."""
    went = []
    walk, sort = Listing._walked, Listing._sorted

    def walked(*arguments):
        rows = walk(*arguments)
        went.append("given up" if rows is None else "walked")
        return rows

    def sorted_(*arguments):
        went.append("sorted")
        return sort(*arguments)

    monkeypatch.setattr(Listing, "_walked", walked)
    monkeypatch.setattr(Listing, "_sorted", sorted_)
    return went


def test_a_list_is_the_same_whichever_way_it_goes(log, ways):
    """In every order, from the beginning and from the middle on, for what many have, what few have and both."""
    entries = fill(log)
    log.delete("0011")
    entries = [each for each in entries if each.id != "0011"]
    within = log.within("elsewhere")
    fill(within, 30)
    for order, descending, limit, metadata in product(ORDERS, (False, True), (None, 0, 1, 9, 500), WANTED):
        query = Query(order=order, descending=descending, limit=limit, metadata=metadata)
        whole = selected(having(entries, metadata), attrs.evolve(query, limit=None))

        assert log.entries(query) == whole[:limit]
        if whole:
            behind = whole[len(whole) // 2]
            after = "" if (value := getattr(behind, order)) is None else value, behind.id
            assert log.entries(attrs.evolve(query, after=after)) == whole[len(whole) // 2 + 1 :][:limit]
        assert log.count(metadata) == len(whole)
    assert set(ways) == {"walked", "given up", "sorted"}


@pytest.mark.parametrize(
    ("metadata", "way"),
    [
        ({"often": True}, ["walked"]),
        ({"often": True, "half": 1}, ["walked"]),
        ({"old": 1}, ["given up", "sorted"]),
        ({"rare": [1]}, ["sorted"]),
        ({"half": 1, "rare": [1]}, ["sorted"]),
    ],
    ids=str,
)
def test_what_many_have_is_met_on_a_walk_and_what_few_have_is_sorted(log, ways, metadata, way):
    fill(log)
    log.entries(Query(metadata=metadata, limit=9))

    assert ways == way


@pytest.mark.parametrize("metadata", WANTED, ids=str)
def test_a_page_of_those_that_share_metadata_does_not_look_at_all(log, metadata):
    """Of ten times as many conversations a page is much less than ten times the work."""
    few, many = (steps_of(log.within(name), count, metadata) for name, count in (("few", 400), ("many", 4_000)))

    assert many < 7 * few


def steps_of(log, count, metadata):
    """How many times ten steps SQLite takes for a page."""
    fill(log, count)
    taken = 0

    def step():
        nonlocal taken
        taken += 1

    with log._file.reading() as reader:
        reader.set_progress_handler(step, 10)
        try:
            list(Listing(log.namespace, Query(metadata=metadata, limit=5)).having(reader))
        finally:
            reader.set_progress_handler(None, 0)
    return taken


@pytest.mark.parametrize("metadata", [{}, {"often": True}, {"rare": [1]}], ids=str)
@pytest.mark.parametrize("change", ["version = 7", "title = 'other'", "created = 0", "entry = '{}'", "seal = x'00'"])
def test_a_row_that_was_changed_is_not_shown(log, tmp_path, metadata, change):
    fill(log)
    with sqlite3.connect(tmp_path / "chats.db") as connection:
        connection.execute(f"UPDATE streams SET {change} WHERE id = '0001' OR id = '0399'")
    connection.close()

    with pytest.raises(CorruptLog, match="the catalog row of '0"):
        log.entries(Query(metadata=metadata))


def test_metadata_that_leads_to_another_namespace_shows_nothing_of_it(log, tmp_path):
    """A facet with the number of a stream of another namespace finds nothing, whichever way the list goes."""
    fill(log)
    fill(log.within("elsewhere"), 1)
    with sqlite3.connect(tmp_path / "chats.db") as connection:
        ((foreign,),) = connection.execute("SELECT key FROM streams WHERE namespace = 'elsewhere'").fetchall()
        connection.execute("INSERT INTO facets VALUES ('', 'rare', '[2]', ?)", (foreign,))
        connection.execute("UPDATE facets SET value = '2' WHERE namespace = '' AND key = 'half' AND value = '1'")
        connection.execute("INSERT INTO facets VALUES ('', 'half', '2', ?)", (foreign,))
    connection.close()

    assert log.entries(Query(metadata={"rare": [2]})) == []
    assert len(log.entries(Query(metadata={"half": 2}, order="id", limit=300))) == COUNT // 2
