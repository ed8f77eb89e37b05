"""The log in NATS JetStream, on clusters of real servers."""

import asyncio
from itertools import count

import pytest
from servers.nats import Cluster

from branchlog.logs.base import Abilities
from branchlog.logs.nats import NatsLog
from branchlog.testing import LogContract, StoreContract, bridged

NAMES = count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three servers, for all tests of this process."""
    cluster = Cluster(tmp_path_factory.mktemp("nats")).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def url(cluster):
    """The address of a stream of its own, which is taken away in the end."""
    name = f"T{next(NAMES)}"
    yield f"{cluster.url}?stream={name}"
    asyncio.run(removed(cluster, name))


async def removed(cluster, name):
    log = await NatsLog.connect(f"{cluster.url}?stream={name}&replicas=1")
    for stream in (name, f"{name}-snapshots"):
        try:
            await log._server.command(f"STREAM.DELETE.{stream}")
        except Exception:
            pass
    await log.close()


class TestNats(LogContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=False)

    @pytest.fixture
    def open_log(self, url):
        return lambda namespace="": bridged(lambda: NatsLog.connect(url, namespace=namespace))


class TestNatsAlone(LogContract):
    """With one replica, which also erases."""

    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=True)

    @pytest.fixture
    def open_log(self, url):
        return lambda namespace="": bridged(lambda: NatsLog.connect(f"{url}&replicas=1", namespace=namespace))


class TestNatsStore(StoreContract):
    abilities = Abilities(durable=True, persistent=True, shared=True, snapshots=True, erases=False)

    @pytest.fixture
    def open_log(self, url):
        return lambda namespace="": bridged(lambda: NatsLog.connect(url, namespace=namespace))
