"""Stores of every schema that was ever released are read as they were when they were written.

They lie in ``data``, each beside its observation, with the script that wrote them here. They are kept for ever, and
neither they nor the scripts are changed.
"""

import json
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

import branchlog
from branchlog._core.events import EVENTS, SCHEMA
from branchlog.migration import migrate

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import write_store_1_0_0  # noqa: E402 - beside this file, not in the package

pytestmark = pytest.mark.filterwarnings("ignore::branchlog.SnapshotIgnored")
"""Snapshots are a cache: a later branchlog may have no use for those of an earlier one."""

STORES = sorted((HERE / "data").glob("*.db"))
CURRENT = write_store_1_0_0


def pinned(path):
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def seen(path):
    """The observation, as it comes back from JSON."""
    return json.loads(json.dumps(CURRENT.observation(path)))


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def copy(request, tmp_path):
    """A copy: opening a store for writing may write."""
    shutil.copy(request.param, tmp_path / request.param.name)
    shutil.copy(request.param.with_suffix(".json"), tmp_path)
    return tmp_path / request.param.name


def test_there_is_a_store_of_the_current_schema():
    assert f"store-{SCHEMA}" in {path.stem for path in STORES}
    assert f"store-{SCHEMA}" == CURRENT.NAME


def test_a_store_reads_as_when_it_was_written(copy):
    before = copy.read_bytes()

    assert seen(copy) == pinned(copy)
    assert copy.read_bytes() == before


def test_a_store_without_its_snapshots(copy):
    """The cache may be thrown away at any time."""
    with sqlite3.connect(copy) as connection:
        connection.execute("DELETE FROM snapshots")
    connection.close()

    assert seen(copy) == pinned(copy)


def test_a_store_verifies_and_goes_on(copy):
    with branchlog.open(copy) as store:
        for namespace in store.log.namespaces():
            place = store.within(namespace)
            for summary in place.list():
                assert place.verify(summary.id).differences == ()
                with place.editing(summary.id) as chat:
                    chat.say("user", "still here")
                assert place.messages(summary.id)[-1].content == "still here"
                assert place.verify(summary.id).differences == ()
        with pytest.raises(branchlog.ConversationDeleted):
            store.load("gone")


def test_a_store_is_moved_to_the_current_schema(copy, tmp_path):
    with branchlog.open(copy, read_only=True) as old, branchlog.open(tmp_path / "new.db") as new:
        for namespace in old.log.namespaces():
            assert migrate(old.within(namespace), new.within(namespace)).differences == ()
            for summary in old.within(namespace).list():
                assert new.within(namespace).messages(summary.id) == old.within(namespace).messages(summary.id)


def test_the_current_version_still_writes_it(tmp_path):
    """The script of the current schema gives the store that was kept, but for what SQLite puts where."""
    path = tmp_path / f"{CURRENT.NAME}.db"
    CURRENT.write(path)

    assert seen(path) == pinned(HERE / "data" / f"{CURRENT.NAME}.db")
    with branchlog.open(path) as new, branchlog.open(HERE / "data" / f"{CURRENT.NAME}.db", read_only=True) as old:
        assert [each.data for each in new.log.read_all()] == [each.data for each in old.log.read_all()]


def test_every_event_is_in_it():
    """Nothing of the vocabulary is left out."""
    with branchlog.open(HERE / "data" / f"{CURRENT.NAME}.db", read_only=True) as store:
        events = [event for change in store.changes() for event in change.events]
        snapshots = store.snapshots("trip")

    assert {type(event) for event in events} == set(EVENTS)
    assert {event.by for event in events if hasattr(event, "by")} == {"move", "undo", "redo"}
    assert [each.after for each in snapshots] == [0]
