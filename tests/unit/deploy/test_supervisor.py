"""What the supervisor takes for a service that is ready; and that it starts again what ends, whatever goes wrong."""

import asyncio
import errno
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.local import processes, supervisor
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.stack import Stack
from deploy.local.supervisor import Service, Supervisor
from tests.support.running import until

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


# Not ready when it is asked for the first few times, as one that reads its topics again.
LATE = """
import http.server, sys
asked = 0
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.send_response(200 if asked > 5 else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


@pytest.fixture
async def starting(tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Supervisor]]]:
    """A supervisor that has just started a program as intake; its port is the program's argument."""
    place, children = Place(tmp_path, tmp_path).made(), []

    async def begun(program: str) -> Supervisor:
        port = str(place.ports()["intake"])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, port, stderr=asyncio.subprocess.DEVNULL
        )
        children.append(child)
        one = Supervisor(place, Stack(place), lambda _part, _doing: None)
        one.services = [Service("intake", {}, child=child)]
        return one

    yield begun
    for child in children:
        child.kill()
        await child.wait()


async def test_a_service_that_answers_is_waited_for_until_it_is_ready(
    starting: Callable[[str], Awaitable[Supervisor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await starting(LATE)
    child = one.services[0].child
    assert child is not None
    await until(lambda: supervisor._listens(child.pid, one.place.ports()["intake"]))
    monkeypatch.setattr(supervisor, "PATIENCE", 0.0)
    await asyncio.wait_for(one._all_ready(), 60)


async def test_a_service_that_never_answers_is_not(
    starting: Callable[[str], Awaitable[Supervisor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await starting(SLEEPS)
    monkeypatch.setattr(supervisor, "PATIENCE", 0.0)
    with pytest.raises(DidNotStart, match="intake is not ready"):
        await asyncio.wait_for(one._all_ready(), 60)


async def test_what_ends_is_started_again_though_nobody_can_be_told_and_its_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def tell(_part: str, doing: str) -> None:
        said.append(doing)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    place = Place(tmp_path, tmp_path).made()
    log = place.log("nothing")  # services.nothing: it ends as soon as it has begun
    log.mkdir()
    service = Service("nothing", dict(os.environ))
    keeping = asyncio.create_task(Supervisor(place, Stack(place), tell)._keep(service))
    await until(lambda: bool(said))
    log.rmdir()
    await until(lambda: keeping.done() or (len(said) > 2 and "ended with status" in said[-1]))
    assert not keeping.done()
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    assert said[0].startswith("could not be started: ")


def test_a_long_log_is_set_aside_while_its_process_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT", 10)
    log = tmp_path / "intake.log"
    with processes.opened(log) as written:
        for text in (b"short", b" and too long\n", b"more"):
            written.write(text)
            written.flush()
            processes.cut(log)
    assert log.read_bytes() == b"more"
    assert (tmp_path / "intake.log.1").read_bytes() == b"short and too long\n"
