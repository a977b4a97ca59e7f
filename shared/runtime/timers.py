"""Timers: things that become due. A row each, fired by the same handlers and in the same transactions as everything else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Any

import msgspec
from prometheus_client import Gauge

from shared.contracts.envelope import Actor
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.handlers import Handlers
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.work import Work

log = logging.getLogger(__name__)

# How long a timer that another process has set may be late. What this process sets wakes it.
POLL_SECONDS = 1.0
LIMIT = 100
# What is due, and what becomes due before the next look. LATERAL, so that the index is read up to there and no further: as a
# join it came to be a walk through every timer that waits (one for each open case), once a second.
_DUE = """
SELECT t.*, extract(epoch FROM t.due_at - c.now)::float8 AS seconds
FROM (SELECT clock_timestamp() + shift AS now FROM clock) AS c CROSS JOIN LATERAL (
  SELECT name, key, due_at, data, attempts FROM timer
  WHERE due_at <= c.now + $3::interval AND name = ANY($1::text[]) ORDER BY due_at LIMIT $2) AS t
ORDER BY t.due_at
"""
_TAKE = """
DELETE FROM timer WHERE name = $1 AND key = $2 AND due_at = $3 RETURNING 1
"""
# A timer whose handler fails is tried again ever later, and never given up: it may be a withdrawal that waits for consent.
# From now on: one that has been due for a month would be tried thousands of times in a row, before all that is due since.
_PUT_OFF = """
UPDATE timer SET attempts = attempts + 1, due_at = greatest(due_at, clock_timestamp() + clock.shift)
  + least(power(2, least(attempts, 10)), 300) * interval '1 second'
FROM clock WHERE name = $1 AND key = $2 AND due_at = $3
"""
_FAILING = Gauge(
    "onefriend_timers_failing", "timers whose handler failed when it was last tried here", ["service"]
)


class Timers:
    """Fires the due timers of one service; several processes may run it at once."""

    def __init__(self, unit: UnitOfWork, handlers: Handlers, name: str) -> None:
        """`name` is the service's, the actor of what a timer does."""
        self._unit = unit
        self._handlers = handlers
        self._actor = Actor(name)
        self._woken = asyncio.Event()
        self._failing: set[tuple[str, str]] = set()

    def wake(self) -> None:
        """Look now: this process has set a timer that is due soon, or moved the clock."""
        self._woken.set()

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            # Before the look: what is set during it is looked for again.
            self._woken.clear()
            try:
                pause = await self.fire_due()
            except (Unavailable, *INFRASTRUCTURE):
                pause = POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`: in Python 3.11 it loses a cancellation that meets the event.
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def fire_due(self) -> float:
        """Fire what is due now, at most LIMIT; return after how many seconds to look again."""
        if not self._handlers.timers:
            return POLL_SECONDS
        names, soon = list(self._handlers.timers), timedelta(seconds=POLL_SECONDS)
        rows = await self._unit.pool.fetch(_DUE, names, LIMIT, soon)
        for row in rows:
            if row["seconds"] > 0:
                return float(row["seconds"])
            try:
                await self._fire(row["name"], row["key"], row["due_at"], msgspec.json.decode(row["data"]))
                self._failing.discard((row["name"], row["key"]))
            except (Unavailable, *INFRASTRUCTURE):
                raise
            except Exception as error:
                extra = {
                    "timer": row["name"],
                    "key": row["key"],
                    "attempt": row["attempts"],
                    "error": type(error).__name__,
                }
                log.exception("timer failed", extra=extra)
                self._failing.add((row["name"], row["key"]))
                await self._unit.pool.execute(_PUT_OFF, row["name"], row["key"], row["due_at"])
            finally:
                _FAILING.labels(self._actor.agency).set(len(self._failing))
        return POLL_SECONDS if len(rows) < LIMIT else 0.0

    async def _fire(self, name: str, key: str, due_at: Any, data: dict[str, Any]) -> None:  # noqa: ANN401 - a timestamp
        handler = self._handlers.timers[name]

        async def body(work: Work) -> None:
            # The keys first, then the timer's row: the order in which commands take them.
            await work.lock(*handler.locks(key, data))
            if await work.fetchval(_TAKE, name, key, due_at):
                await handler.function(work, key, data)

        await self._unit.run(body, actor=self._actor, label=f"timer {name}")
