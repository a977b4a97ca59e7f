"""A stack of the faults that does not come up says why; its ports are nobody else's."""

import re
import socket
from pathlib import Path

import pytest

from tests.support.processes import Process
from tests.support.running import free_port


def test_a_port_that_was_given_is_given_to_nobody_else_and_its_owner_can_listen_there() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


async def test_a_service_that_ended_is_not_waited_for_and_its_last_words_are_said(tmp_path: Path) -> None:
    process = Process(["this"], {}, tmp_path / "log")
    process.start()
    with pytest.raises(AssertionError, match=r"this is not ready \(it has ended\).*(?s:.*)Namespaces"):
        await process.ready(60)
    process.stop()


async def test_a_service_that_is_never_ready_says_what_it_lacks(tmp_path: Path) -> None:
    process = Process(["http.server", "--bind", "127.0.0.1"], {}, tmp_path / "log")
    process.arguments.append(str(process.port))
    process.start()
    try:
        said = re.escape("its process runs, /readyz says 404")
        with pytest.raises(AssertionError, match=said):
            await process.ready(0.01)
    finally:
        process.stop()
