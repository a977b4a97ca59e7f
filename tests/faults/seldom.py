"""What seldom comes first, brought about: the points of events that others precede, in a transaction or in a batch.

A point bears the type of the first event of what is told, or applied, at once. An event that its transaction records after
others (`case_file.joined` after the link that joins two cases) leads what a relay tells only where a sweep was cut, at every
500th event; and one that arrives in the middle of a batch leads what a consumer applies only where the batch failed and its
events are tried one by one. Both happen, and hardly ever in so short a time. So, once common points are done:

- an unreadable message under somebody's key is sent to the topics that a starting service reads. It lies in one batch with
  what has come since the service died, and every event of that batch is applied in a transaction of its own; and the source
  is asked what is missing of that key. While the call that asks a source to tell everything again is still to be died at,
  some have no key. They stay in quarantine: no service of ours wrote them (see Arena.unsettled).
- a transaction that was told long ago is put back into the outbox from such an event on, as a death leaves it between two
  batches of a sweep that told everything again. Whoever has applied it knows it, and skips it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.runtime.settings import OWNERS
from tests.faults.arena import READERS, UNREADABLE, Arena

_SOMEBODY = "SELECT key FROM journal WHERE topic = $1 ORDER BY random() LIMIT 1"
# In the name of a call by which a source is asked to tell a topic again.
TOLD_AGAIN = "POST outbox"
_TELLING = ("after_send:", "after_acknowledge:")
# Not of the last transactions: what a running relay has just told, it would take for told, whatever the outbox says.
_PUT_BACK = """
WITH old AS (SELECT position, xmin AS told_in FROM journal WHERE type = $1
  AND position < (SELECT max(position) FROM journal) - 50 ORDER BY random() LIMIT 1)
INSERT INTO outbox (position, topic, key)
SELECT j.position, j.topic, j.key FROM journal AS j JOIN old ON j.xmin = old.told_in
WHERE j.position >= old.position
AND NOT EXISTS (SELECT FROM outbox AS o JOIN journal AS k USING (position) WHERE k.xmin = old.told_in)
"""


@dataclass
class Seldom:
    """Brings it about for a service that is starting."""

    arena: Arena
    producer: AIOKafkaProducer

    async def bring(self, service: str, points: Iterable[str]) -> None:
        """Have the service pass these points, as far as that can be helped. A server that is away is tried another time."""
        away = (OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError)
        left = list(points)
        nameless = any(TOLD_AGAIN in point for point in left)
        with contextlib.suppress(*away):
            for topic in [topic for topic, readers in READERS.items() if service in readers]:
                async with self._database(OWNERS[topic]) as owner:
                    key = await owner.fetchval(_SOMEBODY, topic)
                if key is None:
                    continue
                named = not (nameless and self.arena.draw.random() < 0.5)
                await self.producer.send_and_wait(topic, UNREADABLE, key=key.encode() if named else None)
            # One at a time: the first event of a sweep is the one that lends its type.
            telling = [point for point in left if point.startswith(_TELLING)]
            if telling:
                event_type = self.arena.draw.choice(telling).partition(":")[2]
                async with self._database(service) as database:
                    await database.execute(_PUT_BACK, event_type)

    @contextlib.asynccontextmanager
    async def _database(self, service: str) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.arena.onefriend.databases[service], timeout=5)
        try:
            yield connection
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def seldom(arena: Arena) -> AsyncIterator[Seldom]:
    """Connect to the stack's broker."""
    producer = AIOKafkaProducer(
        bootstrap_servers=f"127.0.0.1:{arena.onefriend.ways['broker'].port}", acks="all"
    )
    await producer.start()
    try:
        yield Seldom(arena, producer)
    finally:
        await producer.stop()
