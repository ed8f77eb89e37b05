"""A proxy that cuts a connection after the server has answered, and before the answer is passed on."""

import asyncio
import threading


class CuttingProxy:
    """Passes bytes between clients and a server on this machine, in a thread of its own.

    ``cuts(request)`` is asked for each piece that a client sends; where it says yes, the server is given that piece,
    its answer is awaited and thrown away, and the client's connection is cut. ``cut`` counts how often that was.
    """

    def __init__(self, port, cuts):
        self._server_port, self._cuts = port, cuts
        self.cut = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cutting-proxy", daemon=True)
        self._thread.start()
        assert self._started.wait(20), "the proxy did not start"

    def stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _work(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._tasks = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        upstream = None
        try:
            there, upstream = await asyncio.open_connection("127.0.0.1", self._server_port)
            cutting = asyncio.Event()
            passing = asyncio.create_task(self._answers(there, writer, cutting))
            while piece := await reader.read(1 << 20):
                if self._cuts(piece):
                    self.cut += 1
                    cutting.set()
                upstream.write(piece)
                await upstream.drain()
                if cutting.is_set():
                    break
            if not cutting.is_set():
                upstream.write_eof()
            await passing
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, upstream):
                if each is not None:
                    each.transport.abort()
            self._tasks.discard(asyncio.current_task())

    async def _answers(self, there, writer, cutting):
        while piece := await there.read(1 << 20):
            if cutting.is_set():  # the server has answered, so it has done what it was asked
                return
            writer.write(piece)
            await writer.drain()
