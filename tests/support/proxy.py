"""A small TCP proxy between two real parts, which a test cuts, holds up or slows down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.support.running import free_port


class Proxy:
    """Passes bytes on to `port` of this machine, until told otherwise."""

    def __init__(self, target: int) -> None:
        """`target` is the port behind it; nobody listens yet."""
        self.target = target
        self.port = free_port()
        self.delay = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen until the block ends."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield
        finally:
            self._server.close()
            self.drop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what a test does to it

    def drop(self) -> None:
        """Cut every connection that there is; new ones are taken."""
        for writer in self._links:
            writer.transport.abort()

    def cut(self) -> None:
        """Cut every connection, and take no new one until `mend`."""
        self._refusing = True
        self.drop()

    def hold(self) -> None:
        """Pass nothing on, and close nothing: the way in which a network goes silent."""
        self._open.clear()

    def slow(self, seconds: float) -> None:
        """Pass everything on that much later."""
        self.delay = seconds

    def mend(self) -> None:
        """Pass on as usual. What was held up goes on where it was."""
        self._refusing = False
        self.delay = 0.0
        self._open.set()

    # --- its work

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._links |= {writer, other_writer}
        for source, sink in ((reader, other_writer), (other_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._links.discard(sink)
            sink.close()
