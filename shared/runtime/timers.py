"""Timers: things that become due. A row each, fired by the same handlers and in the same transactions as everything else."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from shared.contracts.envelope import Actor
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.handlers import Handlers
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.work import Work

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
LIMIT = 100
_DUE = """
SELECT name, key, due_at, data, attempts FROM timer
WHERE due_at <= (SELECT clock_timestamp() + shift FROM clock) AND name = ANY($1::text[]) ORDER BY due_at LIMIT $2
"""
_TAKE = """
DELETE FROM timer WHERE name = $1 AND key = $2 AND due_at = $3 RETURNING 1
"""
# A timer whose handler fails is tried again ever later, and never given up: it may be a withdrawal that waits for consent.
_PUT_OFF = """
UPDATE timer SET attempts = attempts + 1, due_at = due_at + least(power(2, least(attempts, 10)), 300) * interval '1 second'
WHERE name = $1 AND key = $2 AND due_at = $3
"""


class Timers:
    """Fires the due timers of one service; several processes may run it at once."""

    def __init__(self, unit: UnitOfWork, handlers: Handlers, name: str) -> None:
        """`name` is the service's, the actor of what a timer does."""
        self._unit = unit
        self._handlers = handlers
        self._actor = Actor(name)

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            try:
                fired = await self.fire_due()
            except (Unavailable, *INFRASTRUCTURE):
                fired = 0
            if fired < LIMIT:
                await asyncio.sleep(POLL_SECONDS)

    async def fire_due(self) -> int:
        """Fire what is due now, at most LIMIT; return how many were found."""
        if not self._handlers.timers:
            return 0
        rows = await self._unit.pool.fetch(_DUE, list(self._handlers.timers), LIMIT)
        for row in rows:
            try:
                await self._fire(row["name"], row["key"], row["due_at"], msgspec.json.decode(row["data"]))
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
                await self._unit.pool.execute(_PUT_OFF, row["name"], row["key"], row["due_at"])
        return len(rows)

    async def _fire(self, name: str, key: str, due_at: Any, data: dict[str, Any]) -> None:  # noqa: ANN401 - a timestamp
        handler = self._handlers.timers[name]

        async def body(work: Work) -> None:
            # The keys first, then the timer's row: the order in which commands take them.
            await work.lock(*handler.locks(key, data))
            if await work.fetchval(_TAKE, name, key, due_at):
                await handler.function(work, key, data)

        await self._unit.run(body, actor=self._actor, label=f"timer {name}")
