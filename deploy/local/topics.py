"""Topics on any broker: made once with a fixed number of partitions, kept for ever."""

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

TOPICS = ("people", "referrals", "cases", "agencies", "consent", "notifications")
PARTITIONS = 4  # never changed afterwards: a key must stay in its partition
READY = "onefriend.ready"  # what a readiness check produces to; nobody reads it
_NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 -- theirs and public
FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1"}

# librdkafka writes each refused connection to stderr; what matters comes back as an error.
_silent = logging.getLogger("deploy.local.kafka-client")
_silent.setLevel(logging.CRITICAL + 1)


def configuration(broker: str | Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of librdkafka for a bootstrap list, or for a whole configuration (TLS, SASL)."""
    given = {"bootstrap.servers": broker} if isinstance(broker, str) else dict(broker)
    return {"logger": _silent, "socket.timeout.ms": 10_000, "reconnect.backoff.max.ms": 200} | given


def ensure_topics(
    broker: str | Mapping[str, Any],
    names: Iterable[str] = TOPICS,
    *,
    partitions: int = PARTITIONS,
    replication: int = -1,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Make the topics that are missing; those that exist stay as they are.

    Args:
        broker: bootstrap list or librdkafka configuration.
        names: of the topics.
        partitions: of each.
        replication: factor; -1 is the broker's own default.
        settings: of the topics instead of "kept for ever".

    Raises:
        KafkaException: if the broker refuses or is away.
    """
    admin = AdminClient(configuration(broker))
    wanted = [
        NewTopic(
            name, num_partitions=partitions, replication_factor=replication, config=dict(settings or FOREVER)
        )
        for name in names
    ]
    _all(admin.create_topics(wanted, operation_timeout=10), but=KafkaError.TOPIC_ALREADY_EXISTS)


def delete_topics(broker: str | Mapping[str, Any], names: Iterable[str]) -> None:
    """Delete topics; those that do not exist are no error."""
    doomed = list(names)
    if doomed:
        admin = AdminClient(configuration(broker))
        _all(admin.delete_topics(doomed, operation_timeout=10), but=KafkaError.UNKNOWN_TOPIC_OR_PART)


def topics_with(broker: str | Mapping[str, Any], prefix: str) -> list[str]:
    """The topics whose names begin so."""
    there = AdminClient(configuration(broker)).list_topics(timeout=10).topics
    return [name for name in there if name.startswith(prefix)]


def _all(futures: dict[str, "Future[None]"], *, but: int) -> None:
    for future in futures.values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != but:
                raise


def can_produce(broker: str | Mapping[str, Any], patience: float = 1.0) -> bool:
    """Whether a record can be produced now: a broker's port is open long before that.

    Args:
        broker: bootstrap list or librdkafka configuration.
        patience: seconds to try.
    """
    settings = configuration(broker) | {
        "message.timeout.ms": int(patience * 1000),
        "acks": "all",
        "linger.ms": 0,
        "reconnect.backoff.ms": 20,
        "topic.metadata.refresh.fast.interval.ms": 50,
        "topic.metadata.propagation.max.ms": 100,
        "socket.timeout.ms": 1000,
    }
    outcome: list[KafkaError | None] = []
    producer = Producer(settings)
    producer.produce(READY, b"ready", on_delivery=lambda error, _: outcome.append(error))
    deadline = time.monotonic() + patience
    while not outcome and time.monotonic() < deadline:
        producer.poll(0.05)
    producer.flush(0.1)
    if not outcome:
        return False
    error = outcome[0]  # not compared with ==: a KafkaError compares itself with numbers only
    if error is not None and error.code() in _NO_TOPIC:
        _make_ready_topic(broker)
    return error is None


def _make_ready_topic(broker: str | Mapping[str, Any]) -> None:
    """At the first start; the caller asks again whether it is ready."""
    with suppress(KafkaException):
        ensure_topics(broker, [READY], partitions=1, settings={"retention.ms": "60000"})


def missing_topics(broker: str | Mapping[str, Any], names: Iterable[str] = TOPICS) -> list[str]:
    """Which of the topics the broker does not have."""
    there = AdminClient(configuration(broker)).list_topics(timeout=5).topics
    return [name for name in names if name not in there]
