"""The log in a PostgreSQL database."""

from itertools import count

import pytest
from servers.postgres import a_server

from branchlog.logs.base import Abilities
from branchlog.logs.postgres import PostgresLog
from branchlog.testing import LogContract, StoreContract, bridged

NUMBERS = count(1)


@pytest.fixture(scope="session")
def server():
    """One server for all tests of this worker."""
    with a_server() as running:
        yield running


@pytest.fixture
def url(server):
    """A place of its own on the server."""
    return f"{server.url()}?schema=test_{next(NUMBERS)}"


@pytest.fixture
def open_log(url):
    return lambda namespace="": bridged(lambda: PostgresLog.connect(url, namespace=namespace))


ABILITIES = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=False)


class TestPostgresLog(LogContract):
    abilities = ABILITIES

    @pytest.fixture
    def open_log(self, open_log):
        return open_log

    def need(self, ability):
        """What was redacted is not read any more, though it stays in the server's files for a while."""
        if ability != "erases":
            super().need(ability)


class TestConversationsInPostgres(StoreContract):
    abilities = ABILITIES

    @pytest.fixture
    def open_log(self, open_log):
        return open_log
