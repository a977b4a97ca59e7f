"""At every start journal and topics are compared, both ways, before anything is recorded; what one lacks it gets.

A database restored from a backup has forgotten its last events, and with them perhaps a withdrawal. The topics have not. At
every start the last records of each partition are looked up in the journal. If one is not there, the whole topic is read and
every event that is missing is put back: journal, state, and by the service's `restore` handlers its rows. Until then, and
without a broker, the unit of work records nothing, so no new event can take the place of a forgotten one.

The other way round, a topic can lack what was told to it: a broker that came back from a copy, or lost what it had
acknowledged. The last told events of each partition are looked up among its last records; if one is not there, everything is
told again. Without this its loss would be noticed with the key's next event only, which may never come.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from shared.contracts.envelope import Envelope
from shared.runtime.errors import BadMessage, Unavailable, UnknownEvent
from shared.runtime.outbox import doubt
from shared.runtime.wire import decode
from shared.runtime.work import Work

if TYPE_CHECKING:
    import asyncpg

    from shared.runtime.service import Service

log = logging.getLogger(__name__)

# Transactions of different keys are told in the order in which they committed, which is not quite that of their positions:
# so a few of the last told are looked for among many of the last records.
TOLD = 20
WINDOW = 500
LOOK_BACK = 5_000
# Seconds that a broker may take over one answer, before a new client asks anew: nothing else would end a start that hangs.
PATIENCE = 60
_TOLD_LATELY = """
SELECT event_id::text AS id, key FROM (
  SELECT position, event_id, topic, key FROM journal ORDER BY position DESC LIMIT 4 * $2) AS j
WHERE topic = $1 AND NOT EXISTS (SELECT FROM outbox AS o WHERE o.position = j.position) ORDER BY position DESC LIMIT $2
"""
# Of a topic that has few, not by their positions: that would be a walk through the whole journal, at every start.
_TOLD = """
SELECT event_id::text AS id, key FROM (
  SELECT position, event_id, key FROM journal AS j WHERE topic = $1
  AND NOT EXISTS (SELECT FROM outbox AS o WHERE o.position = j.position)) AS told
ORDER BY position + 0 DESC LIMIT $2
"""
# By their places, which an index has: by their ids it would be a walk through the whole journal, at every start. Each asked
# of its own: of a join, planned while the journal was short, the index of whole topics came to be the outer side.
_KNOWN = """
SELECT (SELECT j.event_id::text FROM journal AS j WHERE j.topic = $1 AND j.key = e.key AND j.sequence = e.sequence) AS id
FROM unnest($2::text[], $3::bigint[]) AS e(key, sequence)
"""
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_ADOPT = """
INSERT INTO journal (position, event_id, topic, key, sequence, previous, type, data, agency, worker, causation, correlation,
                     trace, recorded_at)
VALUES (nextval('journal_position'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_SAVE = """
INSERT INTO stream (kind, key, version, base, last_event, state) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (kind, key) DO UPDATE
SET version = excluded.version, base = excluded.base, last_event = excluded.last_event, state = excluded.state
"""


class CatchingUp:
    """Whether a service has applied everything that was in the topics that it consumes when this was first asked.

    Not whether nothing is left to apply: under a steady flow there always is something, and what comes after a restore is
    late only as everything may be. To be made anew for each restore, and by each process that begins.
    """

    def __init__(self, service: Service) -> None:
        """Nothing is noted yet."""
        self._service = service
        self._ids: Mapping[str, str] = {}
        self._ends: Mapping[tuple[str, int], int] = {}

    async def note(self) -> bool:
        """Note once where every partition ends, whoever has it. Says no while the broker does not tell."""
        topics, wanted = self._service.topics, list(self._service.consumes)
        try:
            ids = await topics.ids(wanted)
            if set(ids) != set(wanted):
                return False
            if ids != self._ids:
                # Of a topic that was made again the old ends mean nothing: it is told again, and has others.
                self._ends = await topics.ends(wanted)
                self._ids = ids
        except (KafkaException, OSError, TimeoutError, Unavailable) as error:
            log.warning("where the topics end is not known", extra={"error": type(error).__name__})
            return False
        return True

    async def done(self) -> bool:
        """Say whether all of it is applied, by this process or by others."""
        if not await self.note():
            return False
        rows = await self._service.pool.fetch(
            "SELECT topic, partition, topic_id, next_offset FROM consumer_offset"
        )
        applied = {
            (row["topic"], row["partition"]): row["next_offset"]
            for row in rows
            if row["topic_id"] == self._ids.get(row["topic"])
        }
        return all(applied.get(place, 0) >= end for place, end in self._ends.items())


async def reconcile(service: Service) -> None:
    """Complete the journal from the service's own topics, and the topics from it. Raises Unavailable without a broker."""
    forgotten = False
    try:
        for topic in service.own_topics:
            partitions = len(await service.topics.partitions(topic))
            # Before the topic is read: what is told meanwhile, by another process, would seem to be lacking.
            told = await service.pool.fetch(_TOLD_LATELY, topic, LOOK_BACK)
            if len(told) < LOOK_BACK:
                told = await service.pool.fetch(_TOLD, topic, LOOK_BACK)
            recent = [event async for event in _read(service, topic, last=WINDOW)]
            # The very last is not enough: an older event may have been told after a newer one, or told once more.
            ids = {event.id for event in recent}
            if not ids <= await _known(service.pool, topic, recent):
                if not forgotten and service.restored is not None:
                    # First of all: killed once the journal is complete again, nobody would know that it had been restored.
                    await service.restored(service)
                forgotten = True
                log.error(
                    "the journal lacks what its topic has: the database was restored", extra={"topic": topic}
                )
                await _adopt_topic(service, topic)
            elif service.outbox is not None and _lacks(told, ids, partitions):
                log.error("the topic lacks what was told; telling everything again", extra={"topic": topic})
                await doubt(service.pool, topic)
        if forgotten and service.restored is not None:
            # And again, now that what was forgotten is known: it may say what is to be done.
            await service.restored(service)
    except KafkaError as error:
        raise Unavailable("the broker does not answer") from error


def _partition(key: str, partitions: int) -> int:
    """Return the partition of a key, as the outbox chooses it."""
    return zlib.crc32(key.encode()) % partitions


async def _known(at: asyncpg.Pool[asyncpg.Record] | Work, topic: str, events: Sequence[Envelope]) -> set[str]:
    """Return the ids of what the journal has in the places of these events."""
    keys, sequences = [e.subject for e in events], [e.sequence for e in events]
    return {row["id"] for row in await at.fetch(_KNOWN, topic, keys, sequences)}


def _lacks(told: Sequence[Any], ids: set[str], partitions: int) -> bool:
    """Say whether one of the last events told to a partition is not among its last records.

    A wrong yes (many transactions at once) tells everything twice, which is no harm.
    """
    looked_at = dict.fromkeys(range(partitions), 0)
    for row in told:
        partition = _partition(row["key"], partitions)
        looked_at[partition] += 1
        if looked_at[partition] <= TOLD and row["id"] not in ids:
            return True
    return False


async def _adopt_topic(service: Service, topic: str) -> None:
    count = 0
    batch: list[Envelope] = []
    early: list[Envelope] = []
    async for event in _read(service, topic):
        batch.append(event)
        if len(batch) == 500:  # noqa: PLR2004 - a batch
            adopted, early = await _adopt(service, topic, [*early, *batch])
            count += adopted
            batch = []
    adopted, early = await _adopt(service, topic, [*early, *batch])
    for e in early:
        # What is before it is nowhere.
        log.error("event not put back", extra={"topic": topic, "key": e.subject, "sequence": e.sequence})
    log.error("events put back into the journal", extra={"topic": topic, "count": count + adopted})


async def _adopt(service: Service, topic: str, events: Sequence[Envelope]) -> tuple[int, list[Envelope]]:
    """Put back those of the events that the journal lacks, in the order of their keys, each key's state evolving with them.

    Returns how many, and those that came too early: a topic can have an event of a key before the one before it.
    """

    async def body(work: Work) -> tuple[int, list[Envelope]]:
        # Every process of a restored service does this: one at a time, so that the next one sees what is there again.
        await work.execute(_ALONE, f"restoring {topic}")
        known = await _known(work, topic, events)
        missing = [e for e in events if e.id not in known]
        refs = [(service.stream_of(e.data, topic), e.subject) for e in missing]
        versions = {
            (row["kind"], row["key"]): row["version"]
            for row in await work.fetch(
                "SELECT kind, key, version FROM stream WHERE key = ANY($1::text[])", [key for _, key in refs]
            )
        }
        await work.lock(*refs)
        adopted = 0
        while True:
            early = []
            before = adopted
            for e in missing:
                ref = (service.stream_of(e.data, topic).kind, e.subject)
                version = versions.get(ref, 0)
                if e.sequence == version + 1:
                    versions[ref] = e.sequence
                    await _put_back(service, work, topic, e)
                    adopted += 1
                elif e.sequence > version:
                    early.append(e)
                else:
                    # A duplicate in the topic, or another history of this key: never overwritten, always said.
                    extra = {"topic": topic, "key": e.subject, "sequence": e.sequence}
                    log.error("event not put back", extra=extra)
            missing = early
            if adopted == before or not early:
                return adopted, early

    return await service.transact(body) if events else (0, [])


async def _put_back(service: Service, work: Work, topic: str, e: Envelope) -> None:
    stream = service.stream_of(e.data, topic)
    state = work.take_in(stream, e.subject, e.data)
    await work.execute(
        _ADOPT, e.id, topic, e.subject, e.sequence, e.previous, e.type, msgspec.json.encode(e.data).decode(),
        e.actor.agency, e.actor.worker, e.causation, e.correlation, e.traceparent, e.time,
    )  # fmt: skip
    saved = (stream.kind, e.subject, e.sequence, e.sequence - 1, e.id, stream.encode(state))
    await work.execute(_SAVE, *saved)
    restore = service.handlers.restored.get(e.type)
    if restore is not None:
        work.cause = e
        await restore(work, e)


async def _read(service: Service, topic: str, *, last: int | None = None) -> AsyncIterator[Envelope]:
    """Yield the readable events of a topic, or (`last`) that many of each partition."""
    consumer = AIOKafkaConsumer(
        **service.broker.for_aiokafka(), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await consumer.start()
            name = service.broker.topic(topic)
            partitions = [TopicPartition(name, p) for p in await service.topics.partitions(topic)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            begins = await consumer.beginning_offsets(partitions)
        left = {tp: end for tp, end in ends.items() if end > begins[tp]}
        for tp in partitions:
            if tp not in left:
                consumer.pause(tp)
            else:
                consumer.seek(tp, max(begins[tp], left[tp] - last) if last else begins[tp])
        silent = 0
        while left:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=500)
            silent = 0 if fetched else silent + 1
            if silent > PATIENCE:
                raise Unavailable("there are events, and none of them comes")
            if not fetched:
                await _still_there(service, topic, {tp.partition: end for tp, end in left.items()})
            for tp, messages in fetched.items():
                for message in messages:
                    if tp in left and message.offset + 1 >= left[tp]:
                        del left[tp]
                        consumer.pause(tp)
                    try:
                        yield decode(message.key, message.headers, message.value)
                    except (BadMessage, UnknownEvent):
                        continue
    finally:
        async with asyncio.timeout(15):
            await consumer.stop()


async def _still_there(service: Service, topic: str, ends: Mapping[int, int]) -> None:
    """Raise Unavailable if a topic no longer has what is being read: lost, made again, or cut short meanwhile.

    No reader is told of that: it would wait for ever, its service with it, and nobody else tells the new topic anything.
    """
    same = (await service.topics.ids([topic])).get(topic) == service.topic_ids[topic]
    there = await service.topics.ends([topic]) if same else {}
    if any(there.get((topic, partition), 0) < end for partition, end in ends.items()):
        raise Unavailable("a topic was lost while it was being read")
