"""Our launcher of Kafka: ready means that it takes records, and what it acknowledged survives a kill."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from deploy.local import kafka_agencies
from deploy.local.clients import AGENCY_SCOPES, Clients
from deploy.local.kafka import Kafka
from deploy.local.place import Place
from deploy.local.processes import alive
from deploy.local.topics import can_produce, configuration, ensure_topics, missing_topics
from tests.support.stack import outside_place


def _produce(broker: Kafka, topic: str, value: bytes) -> None:
    producer = Producer(configuration(broker.bootstrap_servers) | {"acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(10) == 0


def _consume(settings: dict[str, Any], topic: str, count: int, patience: float = 10) -> list[bytes | None]:
    """Values read; a KafkaException for the first error."""
    consumer = Consumer(settings | {"auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    values = []
    with contextlib.closing(consumer):
        for message in consumer.consume(count, timeout=patience):
            error = message.error()
            if error:
                raise KafkaException(error)
            values.append(message.value())
    return values


def test_what_was_acknowledged_survives_a_kill(kafka: Kafka) -> None:
    kafka.start()
    ensure_topics(kafka.bootstrap_servers, ["people"])
    _produce(kafka, "people", b"one")
    kafka.kill()
    assert not can_produce(kafka.bootstrap_servers, patience=0.5)
    kafka.start()
    assert can_produce(kafka.bootstrap_servers)
    _produce(kafka, "people", b"two")
    read = _consume(configuration(kafka.bootstrap_servers) | {"group.id": "g"}, "people", 2)
    assert sorted(value or b"" for value in read) == [b"one", b"two"]


def test_one_that_runs_is_adopted_and_stopped_by_whoever_asks(kafka: Kafka) -> None:
    kafka.start()
    first = kafka.process()
    other_owner = Kafka(kafka.place)
    other_owner.start()
    assert other_owner.process() == first is not None
    other_owner.stop()
    assert not alive(first)


def test_a_formatting_that_was_killed_is_made_again(kafka: Kafka) -> None:
    (kafka.folder / "data").mkdir(parents=True)
    kafka.start()
    assert can_produce(kafka.bootstrap_servers)


def test_ports_that_somebody_took_meanwhile_are_left_to_them(kafka: Kafka) -> None:
    kafka.start()
    ensure_topics(kafka.bootstrap_servers, ["people"])
    _produce(kafka, "people", b"kept")
    kafka.stop()
    ports = kafka.place.ports()
    with socket.socket() as one, socket.socket() as two:
        for other, name in ((one, "kafka"), (two, "kafka-controller")):
            other.bind(("127.0.0.1", ports[name]))
            other.listen()
        kafka.start()
        moved = kafka.place.ports()
        assert moved["kafka"] != ports["kafka"]
        assert moved["kafka-controller"] != ports["kafka-controller"]
        assert _consume(configuration(kafka.bootstrap_servers) | {"group.id": "g"}, "people", 1) == [b"kept"]


def test_a_path_of_any_length_will_do(place: Place) -> None:
    broker = Kafka(place.inner("x" * 100).inner("ä, " * 60))
    broker.start()
    try:
        assert can_produce(broker.bootstrap_servers)
    finally:
        broker.stop()


def test_topics_are_made_once_and_kept_for_ever(
    bootstrap_servers: str, new_topics: Callable[..., dict[str, str]]
) -> None:
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # noqa: PLC0415 - of use here only

    topic = new_topics("people")["people"]
    ensure_topics(bootstrap_servers, [topic], partitions=9)  # those that exist stay as they are
    admin = AdminClient(configuration(bootstrap_servers))
    assert len(admin.list_topics(timeout=10).topics[topic].partitions) == 4
    (answer,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    settings = answer.result(timeout=10)
    assert settings["retention.ms"].value == "-1"
    assert settings["cleanup.policy"].value == "delete"
    assert missing_topics(bootstrap_servers, [topic, "no.such.topic"]) == ["no.such.topic"]


@pytest.fixture(scope="module")
def listening() -> Iterator[Kafka]:
    with outside_place() as place:
        broker = Kafka(place, agencies=True)
        broker.start()
        ensure_topics(broker.bootstrap_servers, ["people", "consent"])
        for agency in ("beacon", "police"):
            kafka_agencies.admit(broker.bootstrap_servers, agency, f"password of {agency}")
        yield broker
        broker.stop()


def _as(broker: Kafka, agency: str, group: str, password: str = "") -> dict[str, Any]:
    return configuration(broker.agencies_servers) | {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": agency,
        "sasl.password": password or f"password of {agency}",
        "group.id": group,
    }


def test_an_agency_reads_its_own_topic(listening: Kafka) -> None:
    _produce(listening, "agency.beacon.cases", b"case changed")
    read = _consume(_as(listening, "beacon", "agency.beacon.crm"), "agency.beacon.cases", 1)
    assert read == [b"case changed"]


@pytest.mark.parametrize("topic", ["agency.police.cases", "people", "consent", "onefriend.ready"])
def test_an_agency_reads_nothing_else(listening: Kafka, topic: str) -> None:
    with pytest.raises(KafkaException) as refused:
        _consume(_as(listening, "beacon", "agency.beacon.crm"), topic, 1)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("group", ["agency.police.crm", "agency.beaconx.crm", "intake"])
def test_an_agency_joins_no_group_but_its_own(listening: Kafka, group: str) -> None:
    with pytest.raises(KafkaException) as refused:
        _consume(_as(listening, "beacon", group), "agency.beacon.cases", 1)
    assert refused.value.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def test_an_agency_writes_nothing_not_even_to_its_own_topic(listening: Kafka) -> None:
    outcome: list[KafkaError | None] = []
    settings = {key: value for key, value in _as(listening, "beacon", "").items() if key != "group.id"}
    producer = Producer(settings | {"message.timeout.ms": 5000})
    producer.produce("agency.beacon.cases", b"forged", on_delivery=lambda error, _: outcome.append(error))
    producer.flush(8)
    assert outcome[0] is not None
    assert outcome[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_dismissed_agency_is_out(listening: Kafka) -> None:
    kafka_agencies.admit(listening.bootstrap_servers, "leaver", "password of leaver")
    _produce(listening, "agency.leaver.cases", b"one")
    assert _consume(_as(listening, "leaver", "agency.leaver.x"), "agency.leaver.cases", 1) == [b"one"]
    # As `onefriend agency revoke` does it.
    clients = Clients(listening.place)
    for agency in ("leaver", "beacon"):
        clients.put(agency, "agency", AGENCY_SCOPES)
    clients.revoke("leaver")
    kafka_agencies.dismiss_revoked(listening.place, listening)
    kafka_agencies.dismiss_revoked(listening.place, listening)
    assert _consume(_as(listening, "leaver", "agency.leaver.y"), "agency.leaver.cases", 1, patience=3) == []
    _produce(listening, "agency.beacon.cases", b"goes on")
    assert _consume(_as(listening, "beacon", "agency.beacon.goes-on"), "agency.beacon.cases", 1)
