"""The unit that all costs are stated in: the CPU of one raw asyncpg transaction that inserts one row."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass

import asyncpg
import psutil

READINGS = 5
TRANSACTIONS = 600
DATA = '{"case": "0198f6b2-5b1c-7c3e-9d52-3f6d1a2b4c5d", "agency": "hertfordshire-constabulary", "stage": "custody"}'


@dataclass(frozen=True)
class Raw:
    """Microseconds of CPU for one transaction, medians over the readings, and what the readings were."""

    client: float
    server: float
    readings: tuple[int, ...]

    @property
    def both(self) -> float:
        """Client and server."""
        return self.client + self.server

    def record(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self) | {"both": self.both}


def _of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def raw(url: str) -> Raw:
    """Measure BEGIN, INSERT, COMMIT on one connection, synchronous_commit on, one after the other.

    The server's part is its backend's; what background processes write for it later is left out, which makes the unit
    smaller and the ratios larger.
    """
    connection = await asyncpg.connect(url)
    try:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS raw_insert (id bigserial PRIMARY KEY, data jsonb NOT NULL)"
        )
        await _transactions(connection, TRANSACTIONS // 4)
        client, server = [], []
        for _ in range(READINGS):
            ours, theirs = time.process_time(), _of(backend)
            await _transactions(connection, TRANSACTIONS)
            client.append((time.process_time() - ours) / TRANSACTIONS * 1e6)
            server.append((_of(backend) - theirs) / TRANSACTIONS * 1e6)
        both = tuple(round(a + b) for a, b in zip(client, server, strict=True))
        return Raw(statistics.median(client), statistics.median(server), both)
    finally:
        await connection.close()


async def _transactions(connection: asyncpg.Connection[asyncpg.Record], count: int) -> None:
    for _ in range(count):
        async with connection.transaction():
            await connection.execute("INSERT INTO raw_insert (data) VALUES ($1)", DATA)
