"""The consumer: Kafka batches in, one database transaction each, offsets kept in that transaction.

Offsets live in the database, beside the effects, with the id of the topic that they belong to. So a crash anywhere loses and
repeats nothing, a restored database reads again from where it was, and a topic that was lost and made again is read from its
beginning. They are committed to Kafka too, but only so that ordinary tools can show the lag.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from shared.contracts.envelope import Actor
from shared.runtime import crash
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import BadMessage, Unavailable, UnknownEvent
from shared.runtime.handlers import Handlers
from shared.runtime.inbox import Incoming, apply
from shared.runtime.journal import KEY
from shared.runtime.quarantine import Bad, Exits
from shared.runtime.saving import Consumed
from shared.runtime.telemetry import METRICS
from shared.runtime.topics import Broker
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.wire import decode
from shared.runtime.work import Work

log = logging.getLogger(__name__)

MAX_BATCH = 500
# After a batch, wait a little in proportion to it: under load the next batch is then larger and each event cheaper; a lone
# event is not followed by a wait that anybody would notice.
LINGER_PER_EVENT = 0.002
LINGER_MOST = 0.06
TRIES = 3
COMMIT_SECONDS = 5.0
STILL_SECONDS = 9.0


class Consumer(ConsumerRebalanceListener):
    """Consumes a service's topics in one loop."""

    def __init__(
        self,
        *,
        name: str,
        instance: str,
        topics: Sequence[str],
        broker: Broker,
        unit: UnitOfWork,
        handlers: Handlers,
        exits: Exits,
        covered: Callable[[str, Sequence[str]], Awaitable[bool]],
    ) -> None:
        """Prepare; nothing connects until `run`.

        `name` is the consumer group: the service's name. `instance` tells this process from its siblings, also after it was
        started again. `covered(group, topics)` says whether the broker has given every partition to some member.
        """
        self._group = broker.prefix + name
        self._instance = f"{self._group}-{instance}"
        self._topics = list(topics)
        self._broker = broker
        self._unit = unit
        self._handlers = handlers
        self._exits = exits
        self._covered = covered
        self._actor = Actor(name)
        self._consumer: AIOKafkaConsumer | None = None
        self._topic_ids: Mapping[str, str] = {}
        # Held while a batch is being worked on: on revocation we wait for it, so that its transaction is over before
        # another member begins with the partition.
        self._busy = asyncio.Lock()
        self._astray: Exception | None = None
        # Partitions of ours in which there is something to read: where we are, and since when.
        self._still: dict[TopicPartition, tuple[int, float]] = {}
        self.connected = False
        self.lag: dict[str, int] = {}

    async def run(self, topic_ids: Mapping[str, str]) -> None:
        """Consume until cancelled or until the broker or the database goes away (then raises; the caller begins again).

        `topic_ids` are the topics' current Kafka ids.
        """
        self._topic_ids = topic_ids
        consumer = self._consumer = AIOKafkaConsumer(
            **self._broker.for_aiokafka(),
            group_id=self._group,
            # A static member that was killed and is back within the session time-out takes its partitions up again at once;
            # a new member would wait for the dead one to be given up. What it takes up is what it was given last, even if
            # that was nothing because a topic was not there: see `_leave` and `_none_is_left_out`.
            group_instance_id=self._instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=1_000,
            max_partition_fetch_bytes=1_048_576,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            # A topic that was lost and made again is assigned only once its partitions are seen.
            metadata_max_age_ms=5_000,
        )
        consumer.subscribe([self._broker.topic(t) for t in self._topics], listener=self)
        committing = asyncio.create_task(self._commit_for_show())
        try:
            await consumer.start()
            self.connected = True
            while True:
                fetched = await consumer.getmany(timeout_ms=1_000, max_records=MAX_BATCH)
                if self._astray is not None:
                    raise Unavailable("it is not known where to go on") from self._astray
                messages = [m for records in fetched.values() for m in records]
                if messages:
                    async with self._busy:
                        await self._consume(messages)
                    await asyncio.sleep(min(LINGER_MOST, LINGER_PER_EVENT * len(messages)))
        finally:
            self.connected = False
            committing.cancel()
            _leave(consumer)
            async with asyncio.timeout(15):
                await consumer.stop()

    # --- rebalancing

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - the signature is aiokafka's
        """Finish the batch at hand before the partitions go to somebody else."""
        async with self._busy:
            pass

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begin where the database says; from the start where the topic is not the one it knew."""
        if not assigned or self._consumer is None:
            return
        # aiokafka swallows what a listener raises and goes on from its own offsets: the loop has to raise it.
        try:
            await self._seek(self._consumer, assigned)
        except (Unavailable, KafkaError, asyncpg.PostgresError, *INFRASTRUCTURE) as error:
            self._astray = error

    async def _seek(self, consumer: AIOKafkaConsumer, assigned: Sequence[TopicPartition]) -> None:
        rows = await self._unit.pool.fetch(
            "SELECT topic, partition, topic_id, next_offset FROM consumer_offset"
        )
        known = {(row["topic"], row["partition"]): row for row in rows}
        for partition in assigned:
            topic = self._broker.own(partition.topic)
            row = known.get((topic, partition.partition))
            same = row is not None and row["topic_id"] == self._topic_ids.get(topic)
            start = row["next_offset"] if row is not None and same else 0
            # Nothing is asked of the broker here: that waits behind a fetch under way, a second for each partition.
            # Topics are kept whole, from 0 on; were one cut short, auto_offset_reset finds where it begins.
            consumer.seek(partition, start)

    # --- working

    async def _consume(self, messages: Sequence[Any]) -> None:
        """Apply a batch in one transaction; if that fails for a reason of its own, one message at a time."""
        incoming, bad = self._decode(messages)
        try:
            if not bad:
                await self._transact(incoming, self._offsets(messages))
                METRICS.batch.record(len(messages))
                return
        except (Unavailable, *INFRASTRUCTURE):
            # Nobody's fault: the same batch is fetched again when the loop is begun anew.
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the messages are now tried one by one
            log.warning(
                "batch failed; one by one", extra={"error": type(error).__name__, "count": len(messages)}
            )
        for message in messages:
            await self._consume_one(message)

    def _decode(self, messages: Sequence[Any]) -> tuple[list[Incoming], list[Any]]:
        incoming, bad = [], []
        for message in messages:
            try:
                incoming.append(self._read(message))
            except (BadMessage, UnknownEvent):
                bad.append(message)
        return incoming, bad

    def _read(self, message: Any) -> Incoming:  # noqa: ANN401 - aiokafka's record has no types
        envelope = decode(message.key, message.headers, message.value, self._handlers.events)
        return Incoming(self._broker.own(message.topic), envelope, message.value or b"")

    async def _consume_one(self, message: Any) -> None:  # noqa: ANN401 - aiokafka's record has no types
        offsets = self._offsets([message])
        try:
            item = self._read(message)
        except (BadMessage, UnknownEvent) as error:
            await self._exits.put_aside(self._bad(message, error), offsets)
            return
        for attempt in range(1, TRIES + 1):
            try:
                await self._transact([item], offsets)
            except (Unavailable, *INFRASTRUCTURE):
                raise
            except Exception as error:
                extra = {"error": type(error).__name__, "event_type": item.envelope.type, "attempt": attempt}
                log.warning("event failed", extra=extra, exc_info=True)
                if attempt == TRIES:
                    reason = type(error).__name__
                    await self._exits.put_aside(
                        Bad.of(item, reason, message.partition, message.offset), offsets
                    )
                    return
                await asyncio.sleep(0.05 * 2**attempt)
            else:
                return

    async def _transact(self, incoming: Sequence[Incoming], offsets: list[tuple[str, int, str, int]]) -> None:
        consumed = Consumed(offsets=offsets)

        async def body(work: Work) -> None:
            await apply(work, self._handlers, incoming, consumed)

        label = incoming[0].envelope.type if crash.ARMED and incoming else ""
        await self._unit.run(body, actor=self._actor, consumed=lambda: consumed, label=label)
        if any(advance.held for advance in consumed.advances):
            self._exits.held.set()
        METRICS.consumed.add(len(incoming))

    def _bad(self, message: Any, error: BadMessage | UnknownEvent) -> Bad:  # noqa: ANN401 - aiokafka's record
        """Return what to keep of a message that cannot be read. An unknown type still has a key that can be trusted."""
        headers = dict(message.headers)
        trusted = isinstance(error, UnknownEvent)
        return Bad(
            self._broker.own(message.topic),
            message.partition,
            message.offset,
            headers["ce_subject"].decode() if trusted else None,
            int(headers["ce_sequence"]) if trusted else None,
            headers["ce_id"].decode() if trusted else None,
            list(message.headers),
            message.value or b"",
            f"{type(error).__name__}:{error}",
            None if trusted else _plausible(message.key, headers.get("ce_subject")),
        )

    def _offsets(self, messages: Sequence[Any]) -> list[tuple[str, int, str, int]]:
        highest: dict[tuple[str, int], int] = {}
        for message in messages:
            ref = (self._broker.own(message.topic), message.partition)
            highest[ref] = max(highest.get(ref, 0), message.offset + 1)
        return [
            (topic, part, self._topic_ids.get(topic, ""), offset)
            for (topic, part), offset in sorted(highest.items())
        ]

    async def _commit_for_show(self) -> None:
        """Now and then tell Kafka how far the database is, and note the lag."""
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            consumer = self._consumer
            if consumer is None:
                continue
            try:
                rows = await self._unit.pool.fetch(
                    "SELECT topic, partition, next_offset FROM consumer_offset"
                )
                done = {
                    TopicPartition(self._broker.topic(r["topic"]), r["partition"]): r["next_offset"]
                    for r in rows
                }
                # Of every partition, whoever has it: whether a restored service has caught up is no question of one's share.
                ends = await consumer.end_offsets(self._everywhere(consumer))
                self.lag = {}
                for tp, end in ends.items():
                    topic = self._broker.own(tp.topic)
                    self.lag[topic] = self.lag.get(topic, 0) + max(0, end - done.get(tp, 0))
                self._none_stands_still(consumer, ends, done)
                mine = {tp: offset for tp, offset in done.items() if tp in consumer.assignment()}
                if mine:
                    await consumer.commit(mine)
                await self._none_is_left_out(consumer)
            except (KafkaError, KafkaException, asyncpg.PostgresError, *INFRASTRUCTURE):
                continue

    def _everywhere(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """Return every partition of what is consumed."""
        topics = [self._broker.topic(t) for t in self._topics]
        return [TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t) or ())]

    def _none_stands_still(
        self,
        consumer: AIOKafkaConsumer,
        ends: Mapping[TopicPartition, int],
        done: Mapping[TopicPartition, int],
    ) -> None:
        """Begin anew if there are events in our partitions and none of them comes.

        aiokafka fetches nothing from a broker while it waits for an answer about committed offsets, and that answer may have
        been lost with a connection: it then beats on, and commits, and never fetches again.
        """
        now = asyncio.get_running_loop().time()
        at = {tp: done.get(tp, 0) for tp in consumer.assignment()}
        lacking = {tp: offset for tp, offset in at.items() if ends.get(tp, 0) > offset}
        before = {} if self._busy.locked() else self._still
        self._still = {
            tp: before[tp] if tp in before and before[tp][0] == offset else (offset, now)
            for tp, offset in lacking.items()
        }
        if any(now - since > STILL_SECONDS for _, since in self._still.values()):
            self._astray = Unavailable("there are events, and none of them comes")

    async def _none_is_left_out(self, consumer: AIOKafkaConsumer) -> None:
        """Begin anew, as a new member, if partitions belong to nobody: their events would wait for ever."""
        topics = [self._broker.topic(t) for t in self._topics]
        wanted = set(self._everywhere(consumer))
        if (not wanted or wanted - consumer.assignment()) and not await self._covered(self._group, topics):
            self._astray = Unavailable("partitions belong to nobody")


def _plausible(key: bytes | None, subject: bytes | None) -> str | None:
    """Return the key that a record bears, if it can be one of ours and its headers do not name another."""
    if subject not in {None, key}:
        return None
    text = (key or b"").decode(errors="replace")
    return text if re.fullmatch(KEY, text) else None


def _leave(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer that is about to stop leave its group, so that what it is given next is worked out anew.

    A static member does not leave: aiokafka asks for its instance id alone, and has no setting for it.
    """
    if consumer._coordinator is not None:  # noqa: SLF001 - see above: no setting for it
        consumer._coordinator._group_instance_id = None  # noqa: SLF001 - see above: no setting for it
