"""What day it is for the services, what is due by then, and how it becomes the next day."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx

from tests.faults.arena import Arena
from tests.support.fleet import SERVICES
from tests.support.running import slack

DAY = 86_400.0
# Seconds for something to be there, and for all that is due to be done, on a quiet machine; and between two things.
# Where much else runs, so many times longer at most.
THERE, DONE, BETWEEN, MOST_SLACK = 20.0, 15.0, 1.5, 3.0
# So often a service that may be dying is told what time it is.
TRIES = 60
_DUE = "SELECT count(*) FROM timer, clock WHERE due_at <= clock_timestamp() + shift"
_TOLD = "SELECT count(*) FROM journal WHERE key = $1 AND type LIKE $2 || '.v%'"


@dataclass
class Almanac:
    """Reads the databases themselves: whoever is asked may be dying."""

    arena: Arena

    def now(self) -> datetime:
        """Return the time by the services' clocks."""
        return datetime.now(UTC) + timedelta(seconds=self.arena.onefriend.shift)

    def moment(self, days: float) -> str:
        """Return a moment so many days ahead, as the services are told one."""
        return (self.now() + timedelta(days=days)).isoformat()

    def day(self, days: int) -> str:
        """Return the date so many days ahead."""
        return f"{(self.now() + timedelta(days=days)).date()}"

    async def next_day(self) -> None:
        """Put every service's clock forward, and wait until nothing is due any more."""
        self.arena.onefriend.shift += DAY
        await asyncio.gather(*(self._put_forward(service) for service in SERVICES))
        await self.done()

    async def _put_forward(self, service: str) -> None:
        for _ in range(TRIES):
            with contextlib.suppress(AssertionError, httpx.HTTPError):
                await self.arena.onefriend.set_clock(service, self.arena.onefriend.shift)
                return
            await asyncio.sleep(0.3)

    async def done(self) -> None:
        """Wait until nothing is due any more."""

        async def nothing() -> bool:
            return not any([await self._count(service, _DUE) for service in SERVICES])

        await self.pause()
        await self.until(nothing, DONE)

    async def told(self, service: str, key: str, event_type: str) -> None:
        """Wait until a service has recorded such an event of a key."""

        async def there() -> bool:
            return bool(await self._count(service, _TOLD, key, event_type))

        await self.until(there)

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: float = THERE) -> None:
        """Wait until something is true, for a while: what dies too often is tried in another week."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * min(slack(), MOST_SLACK)):
                while True:
                    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        if await true():
                            return
                    await asyncio.sleep(0.3)

    async def pause(self) -> None:
        """Let what was done be told by itself, not with what follows."""
        await asyncio.sleep(BETWEEN * min(slack(), MOST_SLACK))

    async def _count(self, service: str, query: str, *values: str) -> int:
        connection = await asyncpg.connect(self.arena.onefriend.databases[service], timeout=5)
        try:
            return int(await connection.fetchval(query, *values))
        finally:
            await connection.close()
