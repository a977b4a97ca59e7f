"""A topic is lost, and made again by one who consumes it, just while its owner begins and reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.stack import Stack
from deploy.local.topics import delete_topics
from shared.runtime import restoration
from shared.runtime.service import Service
from shared.runtime.settings import RuntimeSettings
from tests.support.running import running, settings, until
from tests.support.toy import Listener, tell, teller

KEYS = [f"agency-{n}" for n in range(12)]


class Unlucky(AIOKafkaConsumer):
    """A consumer whose topic goes just when it knows where the topic ends: none of that will ever come."""

    lose: Callable[[], Awaitable[None]]
    lost = False

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = await super().beginning_offsets(partitions)  # type: ignore[no-untyped-call]
        if not Unlucky.lost:
            Unlucky.lost = True
            await Unlucky.lose()
        return found


async def test_its_owner_begins_all_the_same_and_tells_everything_again(
    new_database: Callable[[], Awaitable[str]],
    stack: Stack,
    bootstrap_servers: str,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_source = settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix)
    first = teller(at_source)
    async with running(first):
        for key in KEYS:
            await tell(first, key)

        async def told() -> bool:
            return sum((await first.topics.ends(["agencies"])).values()) == len(KEYS)

        await until(told)
    lost = (await first.topics.ids(["agencies"]))["agencies"]

    async def lose() -> None:
        await asyncio.to_thread(delete_topics, stack.client_settings(), [f"{topic_prefix}agencies"])
        await until(lambda: _gone(first))
        await first.topics.ids(["agencies"], create=["agencies"])

    monkeypatch.setattr(Unlucky, "lose", staticmethod(lose), raising=False)
    monkeypatch.setattr(Unlucky, "lost", False)
    monkeypatch.setattr(restoration, "AIOKafkaConsumer", Unlucky)
    source = teller(at_source)
    listener = Listener().service(
        settings(
            RuntimeSettings,
            await new_database(),
            bootstrap_servers,
            topic_prefix,
            allocation_url=f"http://127.0.0.1:{source.settings.port}",
        )
    )
    async with running(source), running(listener):
        assert Unlucky.lost
        assert (await source.topics.ids(["agencies"]))["agencies"] != lost

        async def all_there() -> bool:
            return bool(await listener.pool.fetchval("SELECT count(*) FROM effect") == len(KEYS))

        await until(all_there, seconds=30)


async def _gone(service: Service) -> bool:
    return not await service.topics.ids(["agencies"])
