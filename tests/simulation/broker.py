"""A broker in memory: topics with ids, partitions, offsets, a consumer group for each service, and what goes wrong.

Written records stay, in order for each partition. An acknowledgement may be lost after the record was written, so that it
is sent again. Partitions are fetched independently, so that topics and partitions overtake each other. A topic may be lost
and made again, empty, with another id. A member of a group may be given up while it works on a batch (a zombie).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import KafkaException

from tests.simulation.database import here
from tests.simulation.loop import Chance, Process

PARTITIONS = 3
LATENCY = 0.002
Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Message:
    """A record as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers


@dataclass
class Topic:
    """A topic: what it is called now, and its partitions."""

    name: str
    id: str
    partitions: list[list[Message]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])


class Kafka:
    """The broker."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, list[Consumer]] = {}
        self.arrived = asyncio.Event()
        self.damaged = 0
        """How many of the next records lose what their reader needs: as by a bug in a proxy, or a foreign writer."""
        self.damaged_topic = ""
        """Only records of this topic; "": of any."""
        self.destroy: Callable[[str, Headers], bytes | None] | None = None
        """Says what a record of a topic is overwritten with, key and all, as by a disk that goes bad; None: with nothing."""
        self.read: Callable[[str], None] | None = None
        """Told of a topic when its owner, who begins, knows where it ends and is about to read it."""
        self.refused = ""
        """A topic to which nothing can be written; "": none."""
        self._made = 0

    def make(self, name: str) -> Topic:
        """Create a topic."""
        self._made += 1
        topic = self.topics[name] = Topic(name, f"topic-{self._made}")
        for group, members in self.groups.items():
            if any(name in member.wanted for member in members):
                self.rebalance(group)
        return topic

    def lose(self, name: str) -> None:
        """Lose a topic with everything in it."""
        self.topics.pop(name, None)

    def size(self, name: str) -> int:
        """Return how many records a topic has."""
        topic = self.topics.get(name)
        return sum(len(log) for log in topic.partitions) if topic else 0

    def write(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes, Any]]) -> None:
        """Append records."""
        log = self.topics[topic].partitions[partition]
        for intact, text, whole in records:
            key, value, headers = intact, text, whole
            junk = self.destroy(topic, whole) if self.destroy else None
            if junk is not None:
                key, value, headers = junk, junk, []
            elif self.damaged and self.damaged_topic in {"", topic}:
                self.damaged -= 1
                headers = [one for one in whole if one[0] != "ce_sequence"]
            log.append(Message(topic, partition, len(log), key, value, headers))
        self._stir()

    def rebalance(self, group: str, *, without: Consumer | None = None) -> None:
        """Share the partitions of a group among its living members; each hears of it at its next fetch."""
        members = [m for m in self.groups.get(group, []) if m.process.alive and not m.stopped]
        self.groups[group] = members
        taking = [m for m in members if m is not without] or members
        given: dict[Consumer, list[TopicPartition]] = {member: [] for member in members}
        for name in sorted({topic for m in members for topic in m.wanted}):
            for n in range(PARTITIONS if taking else 0):
                given[taking[n % len(taking)]].append(TopicPartition(name, n))
        for member, partitions in given.items():
            member.next_assignment = partitions
        self._stir()

    def _stir(self) -> None:
        """Wake whoever waits for records: there are some, or they are somebody else's now."""
        self.arrived.set()
        self.arrived = asyncio.Event()


class Builder:
    """A batch being made."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, Any]] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object:
        """Add a record; there is always room."""
        del timestamp
        self.records.append((key, value, headers))
        return self


class Producer:
    """aiokafka's producer, as far as the outbox uses it."""

    kafka: Kafka

    def __init__(self, **_: Any) -> None:
        self._process = here()
        self._broken = False

    async def start(self) -> None:
        await self.kafka.chance.wait(LATENCY)

    async def stop(self) -> None:
        self._broken = True

    async def partitions_for(self, topic: str) -> set[int]:
        if topic not in self.kafka.topics:
            await self.kafka.chance.wait(LATENCY)
            raise KafkaConnectionError
        return set(range(PARTITIONS))

    def create_batch(self) -> Builder:
        return Builder()

    async def send_batch(self, batch: Builder, topic: str, *, partition: int) -> asyncio.Future[None]:
        """Send; the future is the acknowledgement."""
        return asyncio.ensure_future(self._send(batch, topic, partition))

    async def _send(self, batch: Builder, topic: str, partition: int) -> None:
        chance = self.kafka.chance
        await chance.wait(LATENCY)
        away = self._broken or topic not in self.kafka.topics or topic == self.kafka.refused
        if away or chance.happens("a record refused", 0.01):
            raise KafkaConnectionError
        self.kafka.write(topic, partition, batch.records)
        await chance.wait(LATENCY)
        if chance.happens("an acknowledgement lost", 0.02):
            raise KafkaConnectionError


class Consumer:
    """aiokafka's consumer, as far as the runtime uses it: in a group, or assigned by hand."""

    kafka: Kafka

    def __init__(self, **options: Any) -> None:
        self.process: Process = here()
        self._coordinator = None
        self.group: str | None = options.get("group_id")
        self.wanted: list[str] = []
        self.stopped = False
        self.next_assignment: list[TopicPartition] | None = None
        self._assigned: list[TopicPartition] = []
        self._ids: dict[str, str] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._listener: Any = None

    def subscribe(self, topics: Sequence[str], *, listener: Any) -> None:
        self.wanted, self._listener = list(topics), listener

    async def start(self) -> None:
        await self.kafka.chance.wait(LATENCY)
        if self.group is not None:
            self.kafka.groups.setdefault(self.group, []).append(self)
            self.process.on_death.append(self._given_up)
            self.kafka.rebalance(self.group)

    def _given_up(self) -> None:
        if self.group is not None and not self.stopped:
            self.stopped = True
            self.kafka.rebalance(self.group)

    async def stop(self) -> None:
        self._given_up()

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._assigned = list(partitions)
        topics = self.kafka.topics
        self._ids = {tp.topic: topics[tp.topic].id for tp in partitions if tp.topic in topics}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(PARTITIONS)) if topic in self.kafka.topics else None

    def assignment(self) -> set[TopicPartition]:
        return set(self._assigned)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset

    def pause(self, partition: TopicPartition) -> None:
        self._paused.add(partition)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """For show only."""

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self.kafka.chance.wait(LATENCY)
        if any(tp.topic not in self.kafka.topics for tp in partitions):
            raise KafkaConnectionError
        return {tp: len(self.kafka.topics[tp.topic].partitions[tp.partition]) for tp in partitions}

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if self.kafka.read:
            for topic in sorted({tp.topic for tp in partitions}):
                self.kafka.read(topic)
        return dict.fromkeys(partitions, 0)

    def _log(self, tp: TopicPartition) -> list[Message]:
        name, partition = tp
        topic = self.kafka.topics.get(name)
        # A consumer of a topic that was made again sees nothing of the new one until it is assigned anew.
        return topic.partitions[partition] if topic and self._ids.get(name) == topic.id else []

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Message]]:
        """Fetch what there is, of some partitions; wait for a while if there is nothing."""
        chance, loop = self.kafka.chance, asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while True:
            await chance.wait(LATENCY)
            if self.next_assignment is not None:
                await self._rejoin()
            arrived = self.kafka.arrived
            found: dict[TopicPartition, list[Message]] = {}
            late = False
            for tp in self._assigned:
                at = self._positions.get(tp, 0)
                log = self._log(tp)
                if tp in self._paused or at >= len(log):
                    continue
                if chance.happens("a partition overtaken", 0.1):
                    late = True
                    continue
                records = log[at : at + max_records]
                found[tp] = records
                self._positions[tp] = at + len(records)
            left = deadline - loop.time()
            if found or left <= 0:
                return found
            try:
                async with asyncio.timeout(min(left, 0.1) if late else left):
                    while True:
                        await arrived.wait()
                        arrived = self.kafka.arrived
                        if late or self._has_news():
                            break
            except TimeoutError:
                pass

    def _has_news(self) -> bool:
        """Say whether there is something to fetch, or to share anew: what arrives elsewhere is no reason to look."""
        if self.next_assignment is not None:
            return True
        # A loop, because this is asked all the time.
        for tp in self._assigned:  # noqa: SIM110 - see above
            if len(self._log(tp)) > self._positions.get(tp, 0) and tp not in self._paused:
                return True
        return False

    async def _rejoin(self) -> None:
        if self._assigned and self._listener:
            await self._listener.on_partitions_revoked(self._assigned)
        assigned, self.next_assignment = self.next_assignment or [], None
        self._ids = {
            t: self.kafka.topics[t].id for t in {tp.topic for tp in assigned} if t in self.kafka.topics
        }
        self._assigned, self._positions = assigned, {}
        if self._listener:
            await self._listener.on_partitions_assigned(assigned)


class Topics:
    """The runtime's `Topics`: ids of topics, made where they are missing."""

    kafka: Kafka

    def __init__(self, broker: Any) -> None:
        self.broker = broker

    async def ids(self, names: Sequence[str], *, create: Sequence[str] = ()) -> dict[str, str]:
        """Return the id of each topic."""
        await self.kafka.chance.wait(LATENCY)
        for name in create:
            if name not in self.kafka.topics:
                self.kafka.make(name)
        return {name: self.kafka.topics[name].id for name in names if name in self.kafka.topics}

    async def partitions(self, name: str) -> list[int]:
        """Return its partitions."""
        return list(range(PARTITIONS))

    async def ends(self, names: Sequence[str]) -> dict[tuple[str, int], int]:
        """Return where each partition ends."""
        await self.kafka.chance.wait(LATENCY)
        if any(name not in self.kafka.topics for name in names):
            raise KafkaException
        return {
            (name, n): len(log) for name in names for n, log in enumerate(self.kafka.topics[name].partitions)
        }

    async def covered(self, group: str, names: Sequence[str]) -> bool:
        """Say whether every partition is some member's."""
        await self.kafka.chance.wait(LATENCY)
        members = self.kafka.groups.get(group, [])
        if any(m.next_assignment is not None for m in members):
            return True
        given = {tp for m in members for tp in m.assignment()}
        return all(TopicPartition(name, n) in given for name in names for n in range(PARTITIONS))
