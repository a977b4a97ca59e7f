"""The toy pair as processes of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.processes import Process, started
from tests.support.running import until


@dataclass
class Pair:
    """A teller and a listener, the databases of both, and what was told."""

    teller: Process
    listener: Process
    source: asyncpg.Pool[asyncpg.Record]
    target: asyncpg.Pool[asyncpg.Record]
    told: int = 0

    async def tell(self, count: int, *, keys: int = 7) -> None:
        """Tell `count` events, each until it is answered, starting whoever has died."""
        async with httpx.AsyncClient(timeout=30) as client:
            for n in range(self.told, self.told + count):

                async def told(number: int = n) -> bool:
                    self.revive()
                    try:
                        url = f"{self.teller.url}/v1/tell/key-{number % keys}/command-{number}"
                        return (await client.post(url)).status_code == 200
                    except httpx.HTTPError:
                        return False

                await until(told, seconds=30, every=0.1)
        self.told += count

    def revive(self) -> None:
        """Start whoever has died (and was not stopped), unarmed."""
        for process in (self.teller, self.listener):
            if process.wanted and not process.running:
                process.start()

    async def settled(self, seconds: float = 30) -> None:
        """Wait until every event told had its one effect, nothing is held and the outbox is empty."""

        async def done() -> bool:
            self.revive()
            effects = await self.target.fetchval("SELECT count(*) FROM effect")
            assert effects <= self.told
            held = await self.target.fetchval("SELECT count(*) FROM inbox WHERE held")
            return bool(effects == self.told and not held)

        await until(done, seconds=seconds, every=0.1)
        assert await self.source.fetchval("SELECT count(*) FROM journal") == self.told
        sequences = await self.target.fetch(
            "SELECT key, max(sequence) AS last, count(*) AS n FROM effect GROUP BY key"
        )
        assert all(row["last"] == row["n"] for row in sequences)


@pytest.fixture
async def processes(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Pair]:
    """Both toys, started and ready."""
    source, target = await new_database(), await new_database()
    common = {
        "ONEFRIEND_KAFKA": bootstrap_servers,
        "ONEFRIEND_TOPIC_PREFIX": topic_prefix,
        "ONEFRIEND_DEVELOPMENT": "1",
    }
    teller = Process(
        ["tests.support.toy", "teller"], {**common, "ONEFRIEND_DATABASE_URL": source}, tmp_path / "teller.log"
    )
    listener = Process(
        ["tests.support.toy", "listener"],
        {**common, "ONEFRIEND_DATABASE_URL": target, "ONEFRIEND_ALLOCATION_URL": teller.url},
        tmp_path / "listener.log",
    )
    async with (
        started(teller, listener),
        asyncpg.create_pool(source, min_size=1, max_size=2) as one,
        asyncpg.create_pool(target, min_size=1, max_size=2) as two,
    ):
        yield Pair(teller, listener, one, two)
