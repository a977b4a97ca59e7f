"""The topics of the broker and their Kafka ids.

A topic whose id has changed was lost and made again: its events are gone and its offsets mean nothing. Everybody who keeps
something about a topic keeps it with the topic's id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from aiokafka.helpers import create_ssl_context
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.cimpl import NewTopic

from shared.runtime.errors import Unavailable

log = logging.getLogger(__name__)

TRIES = 25
_OPTIONS = ("security", "mechanism", "user", "password", "ca")
_SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach Kafka.

    `host:port[,host:port]`, or `kafka://host:port?security=SASL_SSL&mechanism=SCRAM-SHA-512&user=…&password=…&ca=/path`.
    `prefix` sets apart several stacks on one broker.
    """

    servers: str
    options: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    partitions: int = 4
    replication: int = 1

    @classmethod
    def parse(cls, text: str, *, prefix: str = "", partitions: int = 4, replication: int = 1) -> Broker:
        """Return the broker that a setting names. Raises ValueError with the remedy."""
        if "://" not in text:
            return cls(text, {}, prefix, partitions, replication)
        parts = urlsplit(text)
        if parts.scheme != "kafka" or not parts.netloc or "@" in parts.netloc:
            message = (
                "ONEFRIEND_KAFKA: write host:port, or kafka://host:port?security=SASL_SSL&user=…&password=…"
            )
            raise ValueError(message)
        return cls(parts.netloc, _options(parts.query), prefix, partitions, replication)

    def topic(self, name: str) -> str:
        """Return the broker's name of one of our topics."""
        return self.prefix + name

    def own(self, name: str) -> str:
        """Return our name of one of the broker's topics."""
        return name.removeprefix(self.prefix)

    def for_aiokafka(self) -> dict[str, Any]:
        """Return the connection arguments of an aiokafka client."""
        arguments: dict[str, Any] = {"bootstrap_servers": self.servers}
        security = self.options.get("security", "PLAINTEXT")
        if security != "PLAINTEXT":
            arguments["security_protocol"] = security
        if "SSL" in security:
            arguments["ssl_context"] = create_ssl_context(cafile=self.options.get("ca"))
        if "SASL" in security:
            arguments |= {
                "sasl_mechanism": self.options["mechanism"],
                "sasl_plain_username": self.options["user"],
                "sasl_plain_password": self.options["password"],
            }
        return arguments

    def for_librdkafka(self) -> dict[str, str | int | float | bool]:
        """Return the connection settings of a confluent-kafka client."""
        names = {
            "security": "security.protocol",
            "mechanism": "sasl.mechanism",
            "user": "sasl.username",
            "password": "sasl.password",
            "ca": "ssl.ca.location",
        }
        settings = {names[key]: value for key, value in self.options.items() if key in names}
        # librdkafka writes its complaints about an absent broker to standard error; readiness reports them instead.
        # Nor may it wait ten seconds before it looks whether the broker is back: everybody else waits for its answer.
        patience = {"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 1_000}
        return {"bootstrap.servers": self.servers, "log_level": "0", **patience, **settings}


def _options(query: str) -> dict[str, str]:
    """Return the settings of a broker. Raises ValueError for what would be passed over in silence, or be half a setting."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if given.keys() - _OPTIONS:
        # Which one is not said: it may be the rest of a password.
        raise ValueError(
            f"ONEFRIEND_KAFKA: its settings are {', '.join(_OPTIONS)}, and another is given; "
            "in a password write & as %26 and + as %2B"
        )
    security = given.setdefault("security", _SECURITY[0])
    mechanism = given.setdefault("mechanism", _MECHANISMS[0]) if "SASL" in security else None
    if security not in _SECURITY or mechanism not in {None, *_MECHANISMS}:
        raise ValueError(
            f"ONEFRIEND_KAFKA: security is one of {', '.join(_SECURITY)}, mechanism one of {', '.join(_MECHANISMS)}"
        )
    if bool(mechanism) != bool(given.get("user") and given.get("password")):
        raise ValueError("ONEFRIEND_KAFKA: user and password belong to security=SASL_SSL or SASL_PLAINTEXT")
    return given


class Topics:
    """Knows the current ids of topics, and creates topics that are missing."""

    def __init__(self, broker: Broker) -> None:
        """No connection is made yet."""
        self.broker = broker
        self._client: AdminClient | None = None

    def _admin(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient(self.broker.for_librdkafka(), logger=_SILENT)
        return self._client

    async def _ask(self, function: Callable[..., T], *args: object) -> T:
        def asked() -> T:
            try:
                return function(*args)
            except (KafkaException, TimeoutError):
                # One that met a broker just starting has been seen to time out for ever: the next try has one of its own.
                self._client = None
                raise

        return await asyncio.to_thread(asked)

    async def ids(self, names: Sequence[str], *, create: Sequence[str] = ()) -> dict[str, str]:
        """Return the Kafka id of each existing topic, by our name; `create` are made if missing (and retained for ever).

        Raises KafkaException, OSError or Unavailable while the broker is away.
        """
        found = await self._ask(self._describe, names)
        missing = [name for name in create if name not in found]
        if missing:
            await self._ask(self._create, missing)
        # A broker can have made a topic and not yet know it where it is asked.
        for _ in range(TRIES if missing else 0):
            found |= await self._ask(self._describe, missing)
            if all(name in found for name in missing):
                return found
            await asyncio.sleep(0.2)
        if missing:
            raise Unavailable("the broker does not know a topic that it made")
        return found

    async def partitions(self, name: str) -> list[int]:
        """Return the partition numbers of an existing topic."""

        def count() -> list[int]:
            collection = TopicCollection([self.broker.topic(name)])
            futures = self._admin().describe_topics(collection, request_timeout=5)
            return [p.id for f in futures.values() for p in f.result(timeout=6).partitions]

        return sorted(await self._ask(count))

    async def ends(self, names: Sequence[str]) -> dict[tuple[str, int], int]:
        """Return where each partition of existing topics ends now, by our name and its number. Raises KafkaException."""

        def ask() -> dict[tuple[str, int], int]:
            admin = self._admin()
            collection = TopicCollection([self.broker.topic(name) for name in names])
            asked = {
                TopicPartition(name, partition.id): OffsetSpec.latest()  # type: ignore[no-untyped-call] # theirs is not annotated
                for name, future in admin.describe_topics(collection, request_timeout=5).items()
                for partition in future.result(timeout=6).partitions
            }
            return {
                (self.broker.own(tp.topic), tp.partition): future.result(timeout=6).offset
                for tp, future in admin.list_offsets(asked, request_timeout=5).items()
            }

        return await self._ask(ask)

    async def covered(self, group: str, names: Sequence[str]) -> bool:
        """Say whether every partition of topics (the broker's names) is some member's; yes while that is being worked out.

        Raises KafkaException.
        """

        def ask() -> bool:
            admin = self._admin()
            found = admin.describe_consumer_groups([group], request_timeout=5)[group].result(timeout=6)
            if found.state != ConsumerGroupState.STABLE:
                return True
            given = {(tp.topic, tp.partition) for m in found.members for tp in m.assignment.topic_partitions}
            described = admin.describe_topics(TopicCollection(list(names)), request_timeout=5)
            return all(
                (name, partition.id) in given
                for name, future in described.items()
                for partition in future.result(timeout=6).partitions
            )

        return await self._ask(ask)

    def _describe(self, names: Sequence[str]) -> dict[str, str]:
        collection = TopicCollection([self.broker.topic(name) for name in names])
        found = {}
        for name, future in self._admin().describe_topics(collection, request_timeout=5).items():
            try:
                found[self.broker.own(name)] = str(future.result(timeout=6).topic_id)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return found

    def _create(self, names: Sequence[str]) -> None:
        wanted = [
            NewTopic(
                self.broker.topic(name),
                num_partitions=self.broker.partitions,
                replication_factor=self.broker.replication,
                # Kept for ever and never compacted: the topic is what a restored database is compared with, and on a
                # compacted topic an event without data would be a deletion.
                config={"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
            )
            for name in names
        ]
        for future in self._admin().create_topics(wanted, request_timeout=10).values():
            try:
                future.result(timeout=12)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


_SILENT = logging.getLogger("onefriend.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
