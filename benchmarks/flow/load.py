"""A load generator that costs little: HTTP/1.1 over kept connections, nothing parsed but what is needed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

GOOD = {200, 202}
STALE = 3.0  # seconds after which a connection is opened anew: the services close it after five


class Connection:
    """One kept connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def request(self, method: str, path: str, headers: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and return status and body."""
        if time.monotonic() - self._used > STALE:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(answer[9:12])
        if "transfer-encoding: chunked" in answer:
            chunks = []
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                chunks.append((await reader.readexactly(size + 2))[:-2])
            await reader.readexactly(2)
            found = b"".join(chunks)
        else:
            length = int(answer.partition("content-length: ")[2].partition("\r")[0] or 0)
            found = await reader.readexactly(length)
        self._used = time.monotonic()
        return status, found

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Outcome:
    """What a load met.

    Attributes:
        statuses: answers by status; of a batch, one for each line.
        seconds: from each request to its answer.
        sent: when each referral was sent (time.time()), by the id that intake gave it; not of batches.
        problems: the first bodies of answers that were not as wanted.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def met(self, status: int, answer: bytes, *, lines: bool) -> None:
        """Take an answer in."""
        if lines and status in GOOD:
            for line in answer.splitlines():
                self.statuses[int(_value(line, b'"status":') or 0)] += 1
        else:
            self.statuses[status] += 1
        if status not in GOOD and len(self.problems) < 3:
            self.problems.append(answer[:300].decode(errors="replace"))


def _value(text: bytes, name: bytes) -> str:
    """Return what follows a name in JSON up to the next delimiter: parsing would cost more than the server's answer."""
    return text.partition(name)[2].partition(b",")[0].partition(b"}")[0].strip(b'" ').decode()


async def post(
    port: int,
    path: str,
    headers: Callable[[], str],
    bodies: Sequence[bytes],
    *,
    rate: float | None,
    connections: int,
    lines: bool = False,
) -> Outcome:
    """Post each body: at a rate a second, or as fast as `connections` allow."""
    outcome = Outcome()
    began = time.perf_counter()
    todo: Iterator[tuple[int, bytes]] = iter(enumerate(bodies))

    async def worker() -> None:
        connection = Connection("127.0.0.1", port)
        for number, body in todo:
            if rate is not None:
                await asyncio.sleep(began + number / rate - time.perf_counter())
            sent, at = time.time(), time.perf_counter()
            status, answer = await connection.request("POST", path, headers(), body)
            outcome.seconds.append(time.perf_counter() - at)
            outcome.met(status, answer, lines=lines)
            if not lines:
                outcome.sent[_value(answer, b'"referral":')] = sent
        connection.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return outcome
