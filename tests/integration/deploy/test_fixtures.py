"""The fixtures that every other test relies on."""

from collections.abc import Awaitable, Callable

import asyncpg
from confluent_kafka import Consumer, Producer

from deploy.local.topics import configuration
from tests.support.stack import NewTopics


async def test_a_database_is_empty_and_its_role_is_no_superuser(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        await connection.execute("CREATE TABLE kept (id int)")
    finally:
        await connection.close()


async def test_two_databases_are_two(new_database: Callable[[], Awaitable[str]]) -> None:
    assert await new_database() != await new_database()


def test_a_topic_carries_a_record(bootstrap_servers: str, new_topics: NewTopics) -> None:
    topic = new_topics("people")["people"]
    producer = Producer(configuration(bootstrap_servers))
    producer.produce(topic, b"hello", key=b"key")
    assert producer.flush(10) == 0
    consumer = Consumer(
        configuration(bootstrap_servers) | {"group.id": topic, "auto.offset.reset": "earliest"},
    )
    consumer.subscribe([topic])
    records = consumer.consume(1, timeout=10)
    consumer.close()
    assert [record.value() for record in records] == [b"hello"]
