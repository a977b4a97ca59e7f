"""A topic is told again while transactions are deleting what the lost one had acknowledged, and another process looks on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.runtime.database import connect_pool
from shared.runtime.outbox import Outbox
from shared.runtime.schema import bring_up_to_date
from shared.runtime.topics import Broker
from tests.support.running import until
from tests.support.toy import MIGRATIONS

OLD, NEW = "the-lost-topic", "the-new-topic"
EVENT = """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
VALUES ($1, gen_random_uuid(), 'agencies', 'a', $1, 'agency.changed.v1', '{}', 'x', now())"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    await bring_up_to_date(MIGRATIONS, database)
    made = await connect_pool(database, name="test", size=5)
    async with made:
        for position in (1, 2, 3):
            await made.execute(EVENT, position)
        await made.execute("INSERT INTO topic_seen VALUES ('agencies', $1)", OLD)
        yield made


async def untold(pool: asyncpg.Pool[asyncpg.Record]) -> list[int]:
    return [row[0] for row in await pool.fetch("SELECT position FROM outbox ORDER BY position")]


def outbox(pool: asyncpg.Pool[asyncpg.Record]) -> Outbox:
    # Nobody listens there: it leads, and publishes nothing.
    return Outbox(pool, Broker("127.0.0.1:1"), "/onefriend/test")


async def test_what_a_transaction_is_deleting_is_put_back_after_it(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    """The third event was acknowledged by the topic that is gone, and its row is about to be deleted for it."""
    relay = outbox(pool)
    await pool.execute("INSERT INTO outbox (position, topic, key) VALUES (3, 'agencies', 'a')")
    relay.give_back([3])
    relay._deleting = 0
    told = relay.take_told()
    assert told == [3]
    await relay.watch({"agencies": NEW})
    leading = asyncio.create_task(relay.run())
    try:
        await asyncio.sleep(1)
        assert not await _told_again(pool)
        await pool.execute("DELETE FROM outbox WHERE position = ANY($1::bigint[])", told)
        relay.forget(told)
        await until(lambda: _told_again(pool), seconds=10)
        assert not relay.take_told()
    finally:
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)


async def test_what_a_transaction_could_not_delete_is_not_deleted_later(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    relay = outbox(pool)
    relay.give_back([3])
    relay._deleting = 0
    told = relay.take_told()
    await relay.watch({"agencies": NEW})
    leading = asyncio.create_task(relay.run())
    try:
        relay.give_back(told)
        await until(lambda: _told_again(pool), seconds=10)
        assert not relay.take_told()
    finally:
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)


async def test_only_the_process_that_leads_tells_again(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Another could not know what the leader has in its memory: it would skip what was put back."""
    other = outbox(pool)
    async with pool.acquire() as leader:
        await leader.execute("SELECT pg_advisory_lock(4071001)")
        waiting = asyncio.create_task(other.run())
        await other.watch({"agencies": NEW})
        await asyncio.sleep(1.5)
        assert not await _told_again(pool)
        await leader.execute("SELECT pg_advisory_unlock(4071001)")
    try:
        await until(lambda: _told_again(pool), seconds=10)
        assert await pool.fetchval("SELECT topic_id FROM topic_seen") == NEW
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _told_again(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    return await untold(pool) == [1, 2, 3]
