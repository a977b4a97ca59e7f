"""What a service learns of a call to another that did not go well: above all, whether anything can have happened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from shared.runtime.errors import Unavailable
from shared.runtime.peers import Peers, Reply

HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nETag: x\r\nLocation: /elsewhere\r\nContent-Length: %d\r\n\r\n%s"
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _listening(answering: Answering) -> AsyncIterator[str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answering(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def _peers() -> AsyncIterator[Peers]:
    peers = Peers()
    try:
        yield peers
    finally:
        await peers.aclose()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")), 0
    )
    return head + await reader.readexactly(length)


@pytest.mark.parametrize(
    "status", [b"200 OK", b"307 Temporary Redirect", b"409 Conflict", b"503 Service Unavailable"]
)
async def test_whatever_is_answered_is_given_back_and_shows_nothing_of_itself(status: bytes) -> None:
    asked = []

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await _request(reader))
        writer.write(HEAD % (status, 13, b'{"a":"Smith"}'))

    async with _listening(answering) as url, _peers() as peers:
        reply = await peers.request(
            "POST",
            f"{url}/v1/people/a%2Fb",
            headers={"Idempotency-Key": '"k"'},
            params={"after": 7},
            json={"b": 1},
        )
    assert (reply.status_code, reply.json(), reply.headers["etag"]) == (int(status[:3]), {"a": "Smith"}, "x")
    assert reply.is_success == (status[:1] == b"2")
    assert "Smith" not in repr(reply)
    [request] = asked
    assert request.startswith(b"POST /v1/people/a%2Fb?after=7 HTTP/1.1\r\n")
    assert b'Idempotency-Key: "k"\r\n' in request
    assert request.endswith(b'\r\n\r\n{"b":1}')


@pytest.mark.parametrize(("method", "certain"), [("POST", True), ("PUT", False), ("GET", False)])
async def test_without_a_connection_nothing_was_done(method: str, certain: bool) -> None:
    async with _listening(_cut) as url:
        pass
    async with _peers() as peers:
        with pytest.raises(Unavailable) as raised:
            await peers.request(method, url, headers={})
    assert raised.value.nothing_done is certain


async def _cut(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await _request(reader)


async def test_of_a_request_that_was_sent_nobody_knows_what_became() -> None:
    async with _listening(_cut) as url, _peers() as peers:
        with pytest.raises(Unavailable) as raised:
            await peers.request("POST", url, headers={}, json={})
    assert raised.value.nothing_done is False


async def test_a_put_that_was_cut_on_a_kept_connection_may_have_been_done() -> None:
    """The client sends it again by itself; that nobody listens then says nothing of the first."""
    seen = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD % (b"200 OK", 2, b"{}"))
        seen.append(await _request(reader))
        await writer.drain()
        seen.append(await _request(reader))

    async with _peers() as peers:
        async with _listening(once) as url:
            first: Reply = await peers.request("PUT", url, headers={}, json={})
        with pytest.raises(Unavailable) as raised:
            await peers.request("PUT", url, headers={}, json={"again": 1})
    assert first.status_code == 200
    assert seen[1].endswith(b'{"again":1}')
    assert raised.value.nothing_done is False
