"""Servers that go away and come back: everything recovers by itself within thirty seconds, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import gc
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

import asyncpg
import pytest

from deploy.local.stack import Stack
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.service import Service
from shared.runtime.settings import RuntimeSettings
from shared.runtime.unit_of_work import AlreadyDone
from tests.support.running import running, settings, until
from tests.support.toy import Listener, tell, teller

RECOVERY = 30
# A client whose server is killed while it connects may drop a socket.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def dropped_here() -> Iterator[None]:
    """What is dropped is collected in the test that killed the server, not in some later one."""
    yield
    gc.collect()


@dataclass
class Toys:
    """The toy pair on servers that the test may stop."""

    servers: Stack
    source: Service
    target: Service

    async def tell_patiently(self, key: str, command: str) -> None:
        """Tell one event, however long the database is away."""

        async def told() -> bool:
            try:
                await tell(self.source, key, command_id=command)
            except AlreadyDone:
                return True
            except (Unavailable, asyncpg.PostgresError, *INFRASTRUCTURE):
                return False
            return True

        await until(told, seconds=RECOVERY, every=0.2)

    async def settled(self, count: int) -> None:
        async def done() -> bool:
            try:
                return bool(await self.target.pool.fetchval("SELECT count(*) FROM effect") == count)
            except (asyncpg.PostgresError, *INFRASTRUCTURE):
                return False

        await until(done, seconds=RECOVERY, every=0.1)


async def urls(servers: Stack, *names: str) -> list[str]:
    return list((await asyncio.to_thread(servers.ensure_databases, names)).values())


@pytest.fixture
async def toys(own_stack: Stack) -> AsyncIterator[Toys]:
    await asyncio.to_thread(own_stack.start)  # whatever the test before left of it
    tag = secrets.token_hex(3)
    one, two = await urls(own_stack, f"one{tag}", f"two{tag}")
    kafka, prefix = own_stack.kafka.bootstrap_servers, f"t{tag}."  # type: ignore[union-attr]
    source = teller(settings(RuntimeSettings, one, kafka, prefix))
    more = {"allocation_url": f"http://127.0.0.1:{source.settings.port}"}
    target = Listener().service(settings(RuntimeSettings, two, kafka, prefix, **more))
    async with running(source), running(target):
        yield Toys(own_stack, source, target)


async def test_the_broker_is_killed_and_comes_back(toys: Toys) -> None:
    await tell(toys.source, "a")
    await toys.settled(1)
    assert toys.servers.kafka is not None
    await asyncio.to_thread(toys.servers.kafka.kill)
    for n in range(20):
        await tell(toys.source, f"key-{n % 3}")
    await asyncio.to_thread(toys.servers.kafka.start)
    await toys.settled(21)


async def test_the_database_is_killed_and_comes_back(toys: Toys) -> None:
    await tell(toys.source, "a")
    await toys.settled(1)
    assert toys.servers.postgres is not None
    await asyncio.to_thread(toys.servers.postgres.kill)
    with pytest.raises(Unavailable):
        await tell(toys.source, "a")
    await asyncio.to_thread(toys.servers.postgres.start)
    for n in range(10):
        await toys.tell_patiently("a", f"c{n}")
    await toys.settled(11)


async def test_a_lost_topic_is_told_again_by_itself(toys: Toys) -> None:
    for n in range(10):
        await tell(toys.source, f"key-{n % 3}")
    await toys.settled(10)
    assert toys.servers.kafka is not None
    await asyncio.to_thread(toys.servers.kafka.kill)
    shutil.rmtree(toys.servers.kafka.folder / "data")
    for n in range(5):
        await tell(toys.source, f"key-{n % 3}")
    await asyncio.to_thread(toys.servers.kafka.start)
    await toys.settled(15)
    assert not await toys.target.pool.fetchval("SELECT count(*) FROM inbox WHERE held")


async def go_back(database: str) -> None:
    """Make it the same database as it was after the first event of each key."""
    admin = await asyncpg.connect(database)
    await admin.execute("ALTER TABLE journal DISABLE TRIGGER append_only")
    await admin.execute("DELETE FROM journal WHERE sequence > 1")
    await admin.execute(
        """UPDATE stream SET version = 1, base = 0,
        last_event = (SELECT event_id FROM journal WHERE journal.key = stream.key)"""
    )
    await admin.execute("ALTER TABLE journal ENABLE TRIGGER append_only")
    await admin.close()


async def all_told(database: str) -> bool:
    connection = await asyncpg.connect(database)
    try:
        return not await connection.fetchval("SELECT count(*) FROM outbox")
    finally:
        await connection.close()


async def test_a_restored_database_is_completed_from_its_topic(own_stack: Stack) -> None:
    await asyncio.to_thread(own_stack.start)  # whatever the test before left of it
    tag = secrets.token_hex(3)
    one, two = await urls(own_stack, f"one{tag}", f"two{tag}")
    assert own_stack.kafka is not None
    kafka, prefix = own_stack.kafka.bootstrap_servers, f"t{tag}."
    target = Listener().service(settings(RuntimeSettings, two, kafka, prefix))
    async with running(target):
        source = teller(settings(RuntimeSettings, one, kafka, prefix))
        async with running(source):
            for n in range(6):
                await tell(source, f"key-{n % 2}")
            toys = Toys(own_stack, source, target)
            await toys.settled(6)
        await go_back(one)
        source = teller(settings(RuntimeSettings, one, kafka, prefix))
        async with running(source):
            assert await source.pool.fetchval("SELECT count(*) FROM journal") == 6
            await tell(source, "key-0")
            await Toys(own_stack, source, target).settled(7)
            assert await target.pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_a_restored_database_is_known_although_it_has_what_was_told_last(own_stack: Stack) -> None:
    """An event may be told again after later ones: the last record of the topic says nothing of them."""
    await asyncio.to_thread(own_stack.start)  # whatever the test before left of it
    tag = secrets.token_hex(3)
    (one,) = await urls(own_stack, f"one{tag}")
    assert own_stack.kafka is not None
    fields = (RuntimeSettings, one, own_stack.kafka.bootstrap_servers, f"t{tag}.")
    source = teller(settings(*fields))
    async with running(source):
        await tell(source, "key")
        await tell(source, "key")
        await until(partial(all_told, one))
    again = await asyncpg.connect(one)
    await again.execute(
        "INSERT INTO outbox (position, topic, key) SELECT position, topic, key FROM journal WHERE sequence = 1"
    )
    await again.close()
    async with running(teller(settings(*fields))):
        await until(partial(all_told, one))
    await go_back(one)
    source = teller(settings(*fields))
    async with running(source):
        assert await source.pool.fetchval("SELECT count(*) FROM journal") == 2


async def test_a_topic_that_lacks_its_last_events_is_told_again(own_stack: Stack) -> None:
    """A broker that lost what it had acknowledged, under the same topic id: nothing else would ever notice."""
    await asyncio.to_thread(own_stack.start)  # whatever the test before left of it
    tag = secrets.token_hex(3)
    one, two = await urls(own_stack, f"one{tag}", f"two{tag}")
    assert own_stack.kafka is not None
    kafka, prefix = own_stack.kafka.bootstrap_servers, f"t{tag}."
    target = Listener().service(settings(RuntimeSettings, two, kafka, prefix))
    async with running(target):
        source = teller(settings(RuntimeSettings, one, kafka, prefix))
        async with running(source):
            for n in range(6):
                await tell(source, f"key-{n % 2}")
            await Toys(own_stack, source, target).settled(6)
            # The last event is committed and counts as told, but the topic never gets it.
            assert source.outbox is not None
            source.outbox.offer = lambda recorded: None  # type: ignore[method-assign]  # noqa: ARG005 - as it is called
            await tell(source, "key-0")
            await source.pool.execute("DELETE FROM outbox")
        async with running(teller(settings(RuntimeSettings, one, kafka, prefix))):
            await Toys(own_stack, source, target).settled(7)
        assert await target.pool.fetchval("SELECT count(*) FROM inbox WHERE held") == 0


async def test_nothing_is_recorded_before_the_topics_could_be_compared(own_stack: Stack) -> None:
    await asyncio.to_thread(own_stack.start)  # whatever the test before left of it
    tag = secrets.token_hex(3)
    (one,) = await urls(own_stack, f"one{tag}")
    source = teller(settings(RuntimeSettings, one, "127.0.0.1:1", f"t{tag}."))
    async with running(source, ready=False):
        await until(lambda: source.started)
        with pytest.raises(Unavailable):
            await tell(source, "a")
