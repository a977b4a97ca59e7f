"""The outbox relay: what was committed is published, in order for each key, at least once.

One relay is active for a service, by a session advisory lock. What its own process has just committed it publishes from
memory; what memory lost (a crash, another process, a broker that was away) it finds by reading the outbox. Rows are deleted
when acknowledged, inside the next transaction that comes by.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from shared.runtime import crash, journal
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.tasks import end, end_if_cancelled
from shared.runtime.telemetry import METRICS
from shared.runtime.topics import Broker
from shared.runtime.wire import MAX_BYTES, headers_of, size
from shared.runtime.work import Recorded

log = logging.getLogger(__name__)

BATCH = 500
BATCH_BYTES = 512 * 1024
POLL_SECONDS = 2.0
QUEUE_LIMIT = 20_000
# Any number that nothing else in a service's own database takes.
_LEADER = 4_071_001
_SEEN = "SELECT topic, topic_id FROM topic_seen"
# One statement: killed before it, it is done again; killed after it, all of it is there.
_RETELL = """WITH told AS (INSERT INTO outbox (position, topic, key)
    SELECT position, topic, key FROM journal WHERE topic = $1 ON CONFLICT DO NOTHING)
INSERT INTO topic_seen VALUES ($1, $2)
ON CONFLICT (topic) DO UPDATE SET topic_id = excluded.topic_id"""
_DOUBT = "UPDATE topic_seen SET topic_id = '' WHERE topic = $1"
_BEHIND = "SELECT position, topic, key FROM outbox WHERE failed IS NULL AND position <= $1"


async def doubt(pool: asyncpg.Pool[asyncpg.Record], topic: str) -> None:
    """Note that a topic lacks what was told to it: whoever leads tells it again, within seconds."""
    await pool.execute(_DOUBT, topic)


async def _let_go(connection: Any) -> None:  # noqa: ANN401 - a pool's proxy has no public type
    """Let another process lead. The lock lives as long as the session: one that cannot be unlocked is ended."""
    try:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LEADER)
    except BaseException as error:
        connection.terminate()
        if not isinstance(error, INFRASTRUCTURE):
            raise


class Outbox:
    """The relay of one process."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], broker: Broker, source: str) -> None:
        """Nothing runs until `run`."""
        self._pool = pool
        self._broker = broker
        self._source = source
        self._queue: list[Recorded] = []
        self._told: list[int] = []
        self._recent: set[int] = set()
        self._last: dict[tuple[str, str], str] = {}
        self._blocked: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._ids: Mapping[str, str] = {}
        self._renewed = asyncio.Event()
        self._deleting = 0
        self._active = False
        self._sweep_due = True
        self.connected = False

    # --- what the unit of work uses

    def take_told(self) -> Sequence[int]:
        """Hand over acknowledged positions to the transaction that will delete them; it must say how that ended."""
        told, self._told = self._told, []
        self._deleting += bool(told)
        return told

    def give_back(self, positions: Sequence[int]) -> None:
        """That transaction did not commit: the rows are still there."""
        self._deleting -= bool(positions)
        self._told.extend(positions)

    def forget(self, positions: Sequence[int]) -> None:
        """That transaction has committed: the rows are gone."""
        self._deleting -= bool(positions)

    def offer(self, recorded: Sequence[Recorded]) -> None:
        """Publish what was just committed, from memory. What is not taken is found by the next sweep."""
        if not self._active or len(self._queue) > QUEUE_LIMIT:
            self._sweep_due = True
            return
        self._queue.extend(recorded)
        self._wake.set()

    def sweep(self) -> None:
        """Read the outbox at the next opportunity."""
        self._sweep_due = True
        self._wake.set()

    # --- topics that were lost

    async def watch(self, ids: Mapping[str, str]) -> None:
        """Compare the ids of this service's own topics with those that they had; begin anew where one was made again."""
        self._ids = ids
        if await self._strange(self._pool):
            self._renewed.set()

    def _forget_all(self) -> None:
        self._told.clear()
        self._recent.clear()
        self._last.clear()

    async def _strange(self, connection: Any) -> list[str]:  # noqa: ANN401 - a pool or a connection
        seen = {row["topic"]: row["topic_id"] for row in await connection.fetch(_SEEN)}
        return [topic for topic, topic_id in self._ids.items() if seen.get(topic) != topic_id]

    async def _begin_anew(self, connection: Any) -> None:  # noqa: ANN401 - a pool's proxy has no public type
        """Begin to lead with no memory; put every position of topics that were made again back into the outbox.

        Only the leader does that, on the session that holds the lock, while nothing is being sent or deleted: what was
        acknowledged may have been acknowledged by a topic that is gone, and what has just been put back must not be
        deleted, or skipped as known, on the strength of that. No other process publishes, so none has such a memory.
        """
        while self._deleting:  # noqa: ASYNC110 - a statement or two, seldom
            await asyncio.sleep(0.01)
        # Only now: a transaction that did not commit has given back what it was to delete.
        self._forget_all()
        for topic in await self._strange(connection):
            log.warning("a topic is new, or lacks what was told: telling all of it", extra={"topic": topic})
            await connection.execute(_RETELL, topic, self._ids[topic])

    # --- the loop

    async def run(self) -> None:
        """Publish until cancelled. Waits while another process of the service is the relay."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER):
                        try:
                            self._renewed.clear()
                            await self._begin_anew(connection)
                            await self._lead_until_renewed(connection)
                        finally:
                            self._active = self.connected = False
                            self._queue.clear()
                            self._sweep_due = True
                            # Whoever leads next may tell again what this process believes to have told.
                            self._forget_all()
                            await _let_go(connection)
            except (*INFRASTRUCTURE, KafkaError) as error:
                end_if_cancelled()
                log.warning("relay interrupted", extra={"error": type(error).__name__})
            await asyncio.sleep(0.5)

    async def _lead_until_renewed(self, connection: Any) -> None:  # noqa: ANN401 - a pool's proxy has no public type
        """Lead; begin anew at once when a topic was made again.

        An idempotent producer that goes on numbering for a topic that forgot it is refused until it gives up.
        """
        leading = asyncio.create_task(self._lead(connection))
        renewed = asyncio.create_task(self._renewed.wait())
        try:
            await asyncio.wait({leading, renewed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(leading, renewed)
        if not leading.cancelled():
            leading.result()

    async def _lead(self, connection: Any) -> None:  # noqa: ANN401 - a pool's proxy has no public type
        producer = AIOKafkaProducer(
            **self._broker.for_aiokafka(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            max_request_size=1_048_576,
            request_timeout_ms=10_000,
            metadata_max_age_ms=30_000,
        )
        try:
            await producer.start()
            self.connected = True
            checked = 0.0
            while True:
                # The lock lives as long as the session: without the session another process may lead, and a key would
                # have two publishers.
                if time.monotonic() - checked > POLL_SECONDS / 2:
                    await connection.execute("SELECT 1")
                    checked = time.monotonic()
                await self._work_until_idle(producer)
        finally:
            # A producer that could not be flushed is thrown away: what it did not acknowledge is still in the outbox.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await producer.stop()

    async def _work_until_idle(self, producer: AIOKafkaProducer) -> None:
        if self._sweep_due:
            await self._sweep(producer)
        try:
            # Not `wait_for`: in Python 3.11 it loses a cancellation that meets the event, and a relay that has lost its
            # cancellation goes on for ever.
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._sweep_due = True
            await self._delete_told()
            return
        self._wake.clear()
        while self._queue:
            batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
            fresh = [r for r in batch if r.position not in self._recent]
            if self._overtaken(fresh):
                # All of it is in the outbox, in the order of its keys.
                self._queue.clear()
                await self._sweep(producer)
            else:
                await self._publish(producer, fresh)

    def _overtaken(self, events: Sequence[Recorded]) -> bool:
        """Say whether an event's predecessor is not known to have been published.

        Another process may have committed it, or the answer to its commit may be slower than the next one's. Consumers would
        wait for it; but if it were lost with the database before it was told, what came after it could never be applied.
        """
        last: dict[tuple[str, str], str] = {}
        for event in events:
            ref = (event.topic, event.envelope.subject)
            before = last.get(ref) or self._last.get(ref)
            if event.envelope.previous not in {None, before} and ref not in self._blocked:
                return True
            last[ref] = event.envelope.id
        return False

    async def _sweep(self, producer: AIOKafkaProducer) -> None:
        """Publish everything in the outbox that memory does not have."""
        # From here on offers are taken into the queue, so that what commits during the sweep is in one or the other, and
        # the queue, published after it, holds nothing older than what the sweep found.
        self._active = True
        self._sweep_due = False
        blocked = await self._pool.fetch("SELECT DISTINCT topic, key FROM outbox WHERE failed IS NOT NULL")
        self._blocked = {(row["topic"], row["key"]) for row in blocked}
        after = 0
        while found := await journal.untold(self._pool, self._source, after, BATCH):
            if after and await self._left_behind(after):
                self.sweep()
                return
            after = found[-1].position
            await self._publish(producer, [r for r in found if r.position not in self._recent])
            if len(found) < BATCH:
                # What has committed since is in the queue. Read here, it might be without what is before it in its key.
                return

    async def _left_behind(self, after: int) -> bool:
        """Say whether something has committed below what had been read: positions are drawn before commits end.

        What was read next may follow it in its key. To be asked after that was read.
        """
        await self._delete_told()
        rows = await self._pool.fetch(_BEHIND, after)
        return any(
            row["position"] not in self._recent and (row["topic"], row["key"]) not in self._blocked
            for row in rows
        )

    async def _publish(self, producer: AIOKafkaProducer, events: Sequence[Recorded]) -> None:
        """Publish events in order and note them as told. An event too large for the broker stays, and its key with it."""
        fit: list[Recorded] = []
        for event in events:
            ref = (event.topic, event.envelope.subject)
            if ref in self._blocked:
                continue
            if size(event) > MAX_BYTES:
                await self._fail(event, "too_large")
            else:
                fit.append(event)
        try:
            await self._send(producer, fit)
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            for event in fit:
                if (event.topic, event.envelope.subject) in self._blocked:
                    continue
                try:
                    await self._send(producer, [event])
                except (MessageSizeTooLargeError, RecordListTooLargeError):
                    await self._fail(event, "too_large")

    async def _send(  # noqa: C901 - one pass over a batch
        self, producer: AIOKafkaProducer, events: Sequence[Recorded]
    ) -> None:
        """Send events in batches by partition and wait for every acknowledgement.

        Raises KafkaError if any was refused or lost: nothing of this call counts as told, and it is sent again in the same
        order by whoever leads next. Consumers skip what they have seen.
        """
        pending = []
        builders: dict[tuple[str, int], Any] = {}
        partitions_of: dict[str, set[int]] = {}
        for event in events:
            topic = self._broker.topic(event.topic)
            key = event.envelope.subject.encode()
            partitions = partitions_of.get(topic)
            if partitions is None:
                partitions = partitions_of[topic] = await producer.partitions_for(topic)
            # librdkafka's `consistent` partitioner: cheap, and any client can compute it.
            partition = zlib.crc32(key) % len(partitions)
            builder = builders.get((topic, partition))
            headers = headers_of(event.envelope)
            full = (
                builder is not None
                and builder.append(timestamp=None, key=key, value=event.value, headers=headers) is None
            )
            if full:
                pending.append(await producer.send_batch(builder, topic, partition=partition))
            if full or builder is None:
                builder = builders[topic, partition] = producer.create_batch()
                if builder.append(timestamp=None, key=key, value=event.value, headers=headers) is None:
                    raise MessageSizeTooLargeError
        for (topic, partition), builder in builders.items():
            pending.append(await producer.send_batch(builder, topic, partition=partition))
        if crash.ARMED and events:
            crash.reach("after_send", events[0].envelope.type)
        for future in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(future, BaseException):
                raise future
        if crash.ARMED and events:
            crash.reach("after_acknowledge", events[0].envelope.type)
        positions = [event.position for event in events]
        self._told.extend(positions)
        self._recent.update(positions)
        self._last.update({(event.topic, event.envelope.subject): event.envelope.id for event in events})
        METRICS.published.add(len(events))
        if len(self._recent) > 4 * QUEUE_LIMIT:
            self._recent = set(self._told)
            self._last.clear()

    async def _fail(self, event: Recorded, reason: str) -> None:
        """Leave an event unpublished; the later events of its key wait behind it, all other keys go on."""
        self._blocked.add((event.topic, event.envelope.subject))
        await self._pool.execute("UPDATE outbox SET failed = $2 WHERE position = $1", event.position, reason)
        log.error(
            "event cannot be published",
            extra={
                "topic": event.topic,
                "key": event.envelope.subject,
                "event_type": event.envelope.type,
                "reason": reason,
            },
        )

    async def _delete_told(self) -> None:
        told = self.take_told()
        if told:
            try:
                await self._pool.execute("DELETE FROM outbox WHERE position = ANY($1::bigint[])", told)
            except BaseException:
                self.give_back(told)
                raise
            self.forget(told)
