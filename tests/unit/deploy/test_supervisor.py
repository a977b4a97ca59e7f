"""What the supervisor takes for a service that is ready."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.stack import Stack
from deploy.local.supervisor import Service, Supervisor

SLEEPS = "import time; time.sleep(60)"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.fixture
async def taken(tmp_path: Path) -> AsyncIterator[Supervisor]:
    """A supervisor whose intake loads for a minute, while somebody else's answers at the port of it."""

    async def ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    place = Place(tmp_path, tmp_path).made()
    other = await asyncio.start_server(ready, "127.0.0.1", place.ports()["intake"])
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", SLEEPS)
    supervisor = Supervisor(place, Stack(place), lambda _part, _doing: None)
    supervisor.services = [Service("intake", {}, child=child)]
    async with other:
        yield supervisor
        child.kill()
        await child.wait()


async def test_another_places_service_at_our_port_is_not_taken_for_ours(taken: Supervisor) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(taken._all_ready(), 1)
    taken.services[0].restarts = 1  # as when it has found its port taken
    with pytest.raises(DidNotStart, match="another program has taken port"):
        await taken._all_ready()
