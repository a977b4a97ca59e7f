"""Records that bear no key that can be believed: what this service does about them, and the exit for whoever looks after it.

Such a record may have been the last event of its key; then no gap ever shows. So its source is asked at once to tell its
topic again. That is noted beside the entry only when the source has agreed: killed before that, the next process asks.

The entry stays until somebody acknowledges it: a broker or a disk that destroys records is to be looked at. It can be once
everything that its source had recorded then is applied here (or waits behind an event that is parked, and is reported).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from shared.contracts.envelope import Actor
from shared.runtime.errors import Unavailable
from shared.runtime.quarantine import NotNow
from shared.runtime.retelling import Sources

log = logging.getLogger(__name__)

# Seconds: until others have read the record too (they ask about it once), until the next try, and for what is on its way.
GATHER = 0.5
AGAIN = 5.0
ON_ITS_WAY = 10.0
_UNASKED = """
SELECT topic, array_agg(id) AS ids, extract(epoch FROM clock_timestamp() - max(since))::float8 AS age
FROM quarantine WHERE key IS NULL AND resolved IS NULL AND how IS NULL GROUP BY topic ORDER BY topic
"""
_ASKED = "UPDATE quarantine SET how = 'told again' WHERE id = ANY($1::bigint[]) AND resolved IS NULL"
_ENTRY = "SELECT topic, key, how FROM quarantine WHERE id = $1 AND resolved IS NULL"
_PUT_AWAY = """
UPDATE quarantine SET resolved = clock_timestamp(), how = $3 WHERE topic = $1 AND key IS NULL AND resolved IS NULL
AND how IS NOT NULL AND (id = $2 OR ($4 AND id < $2)) RETURNING id
"""
_REACHED = """
SELECT w.key FROM unnest($2::text[], $3::bigint[]) AS w(key, sequence) JOIN inbox AS i ON (i.topic, i.key) = ($1, w.key)
WHERE i.held OR i.sequence >= w.sequence
"""


@dataclass
class Unreadable:
    """Asks the sources of such records; `met` is set when this process has put one aside."""

    pool: asyncpg.Pool[asyncpg.Record]
    sources: Sources
    met: asyncio.Event

    async def run(self) -> None:
        """Ask for ever: at the start about what an earlier process has left, then about what is met."""
        self.met.set()
        while True:
            await self.met.wait()
            await asyncio.sleep(GATHER)
            self.met.clear()
            if await self._ask():
                self.met.set()
                await asyncio.sleep(AGAIN)

    async def _ask(self) -> bool:
        """Ask about every topic with such a record; say whether one has yet to be asked about again."""
        left = False
        for row in await self.pool.fetch(_UNASKED):
            try:
                told = await self.sources.tell_again(row["topic"], max(0.0, row["age"]))
            except Unavailable as error:
                log.warning(
                    "a source cannot be asked to tell again: %s", error, extra={"topic": row["topic"]}
                )
                told = False
            if told:
                await self.pool.execute(_ASKED, row["ids"])
            left = left or not told
        return left

    # --- exits that a person takes

    async def ask_about(self, number: int) -> bool:
        """Ask the source of an entry to tell its topic again. Returns False if it has done so within the last minute.

        Raises NotNow or Unavailable.
        """
        entry = await self._entry(number)
        told = await self.sources.tell_again(entry["topic"], 0.0)
        if told:
            await self.pool.execute(_ASKED, [number])
        return told

    async def acknowledge(self, number: int, by: Actor, reason: str, *, earlier: bool) -> int:
        """Put an entry away for good (`earlier`: and those of its topic before it); return how many.

        Raises NotNow unless its source was asked, and everything that it has is applied here; Unavailable if it is away.
        """
        entry = await self._entry(number)
        topic = entry["topic"]
        if entry["how"] is None:
            raise NotNow("not_told_again_yet")
        async for heads in self.sources.heads(topic):
            if not await self._reached(topic, heads):
                raise NotNow("behind_its_source")
        how = f"acknowledged by {by.worker or by.agency}: {reason}"
        rows = await self.pool.fetch(_PUT_AWAY, topic, number, how, earlier)
        log.warning("unreadable records acknowledged", extra={"topic": topic, "count": len(rows)})
        return len(rows)

    async def _entry(self, number: int) -> asyncpg.Record:
        row = await self.pool.fetchrow(_ENTRY, number)
        if row is None:
            raise NotNow("no_such_entry")
        if row["key"] is not None:
            raise NotNow("its_key_is_known")
        return row

    async def _reached(self, topic: str, heads: Mapping[str, int]) -> bool:
        """Say whether these keys have come so far, giving what is on its way some seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ON_ITS_WAY
        lacking = dict(heads)
        while lacking:
            rows = await self.pool.fetch(_REACHED, topic, list(lacking), list(lacking.values()))
            for row in rows:
                del lacking[row["key"]]
            if lacking and loop.time() > until:
                return False
            await asyncio.sleep(0.5 if lacking else 0)
        return True
