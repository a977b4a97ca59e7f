"""When a service that runs is taken for one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from deploy.local import liveness
from tests.support.running import until

ANSWER = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass
class Port:
    """A server that answers or does not; `asked` and `open` count connections."""

    answers: bool = True
    asked: int = 0
    open: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        if self.answers:
            writer.write(ANSWER)
            await writer.drain()
        else:
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.open -= 1

    async def after(self, more: int) -> None:
        wanted = self.asked + more
        await until(lambda: self.asked >= wanted, every=0.005)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[asyncio.Task[None]]:
        watch = asyncio.create_task(liveness.hangs(self.url))
        try:
            yield watch
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await until(lambda: self.open == 0)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    monkeypatch.setattr(liveness, "ASKED_EVERY", 0.1)
    monkeypatch.setattr(liveness, "ANSWERS_WITHIN", 0.08)
    monkeypatch.setattr(liveness, "LATE", 5.0)  # the machine of a test may be busy
    made = Port()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


async def test_what_answered_and_answers_no_more_hangs(port: Port) -> None:
    async with port.watched() as watch:
        await port.after(2)
        port.answers = False
        asked = port.asked
        await asyncio.wait_for(watch, 30)
        assert port.asked >= asked + liveness.SILENT - 1


async def test_what_has_never_answered_is_starting(port: Port) -> None:
    port.answers = False
    async with port.watched() as watch:
        await port.after(2 * liveness.SILENT)
        assert not watch.done()


async def test_an_answer_between_silences_is_enough(port: Port) -> None:
    async with port.watched() as watch:
        await port.after(1)
        for _ in range(3):
            port.answers = False
            await port.after(liveness.SILENT - 2)
            port.answers = True
            await port.after(2)
        assert not watch.done()


async def test_time_in_which_the_machine_slept_does_not_count(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with port.watched() as watch:
        await port.after(1)
        port.answers = False
        monkeypatch.setattr(liveness, "LATE", 0.2)
        for _ in range(2 * liveness.SILENT):
            await port.after(1)
            time.sleep(0.5)  # noqa: ASYNC251 -- nothing runs in this time, the asker neither
        assert not watch.done()
