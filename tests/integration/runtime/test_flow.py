"""Events travel from one service to another, each with exactly one effect."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts.agencies import AgencyChanged
from shared.contracts.envelope import Actor, Envelope
from shared.runtime.identifiers import new_id
from shared.runtime.restoration import _read, reconcile
from shared.runtime.service import Service
from shared.runtime.settings import RuntimeSettings
from shared.runtime.unit_of_work import AlreadyDone
from shared.runtime.wire import headers_of
from shared.runtime.work import Recorded, Work
from tests.support.running import running, settings, until
from tests.support.toy import AGENCY, PERSON, Listener, tell, teller

Trio = tuple[Service, Service, Listener]


@pytest.fixture
async def pair(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str
) -> AsyncIterator[Trio]:
    listener = Listener()
    source = teller(settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix))
    target_settings = settings(
        RuntimeSettings,
        await new_database(),
        bootstrap_servers,
        topic_prefix,
        allocation_url=f"http://127.0.0.1:{source.settings.port}",
    )
    target = listener.service(target_settings)
    async with running(source), running(target):
        yield source, target, listener


async def effects(service: Service) -> int:
    return int(await service.pool.fetchval("SELECT count(*) FROM effect"))


async def test_an_event_reaches_the_other_service_once(pair: Trio) -> None:
    source, target, _ = pair
    await tell(source, "beacon", "Beacon")

    async def there() -> bool:
        return await effects(target) == 1

    await until(there)
    row = await target.pool.fetchrow("SELECT * FROM effect")
    assert row is not None
    assert (row["key"], row["sequence"], row["name"]) == ("beacon", 1, "Beacon")


async def test_a_thousand_events_of_fifty_keys_each_have_one_effect_in_order(pair: Trio) -> None:
    source, target, _ = pair
    keys = [f"agency-{n}" for n in range(50)]
    for _ in range(20):
        await asyncio.gather(*(tell(source, key) for key in keys))

    async def all_there() -> bool:
        return await effects(target) == 1000

    await until(all_there, seconds=30)
    states = await target.pool.fetch("SELECT key, version FROM stream WHERE kind = 'person'")
    assert {row["version"] for row in states} == {20}

    async def nothing_held() -> bool:
        # Events that overtook each other waited; their keys are let go a moment after the last was applied.
        rows = await target.pool.fetch("SELECT sequence, held FROM inbox")
        return {(row["sequence"], row["held"]) for row in rows} == {(20, False)}

    await until(nothing_held)


class Everything(set[object]):
    """A set that seems to hold whatever it is asked for."""

    def __contains__(self, item: object) -> bool:
        return True


async def test_a_consumer_that_is_given_nothing_more_begins_anew(pair: Trio) -> None:
    """As aiokafka does when an answer about committed offsets is lost: to it, a request to the broker is still under way."""
    source, target, _ = pair
    await tell(source, "one")

    async def there(count: int) -> bool:
        return await effects(target) == count

    await until(partial(there, 1))
    first = target.consumer
    assert first is not None
    first._consumer._fetcher._in_flight = Everything()  # type: ignore[union-attr]
    await asyncio.sleep(1.5)  # what is under way is answered
    await tell(source, "one")
    await until(partial(there, 2), seconds=30)
    assert target.consumer is not first


class WithFriends(Listener):
    """Whose handler learns from what it has read that it needs another key."""

    runs = 0

    async def changed(self, work: Work, e: Envelope[AgencyChanged]) -> None:
        self.runs += 1
        await work.lock((PERSON, f"friend-of-{e.subject}"))
        await super().changed(work, e)


async def test_a_batch_in_which_every_event_wants_a_key_more_is_begun_anew_once(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str
) -> None:
    """As consent does with the people of a hundred cases that are closed at once, after it was away."""
    source = teller(settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix))
    listener, count = WithFriends(), 100
    url = f"http://127.0.0.1:{source.settings.port}"
    target = listener.service(
        settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix, allocation_url=url)
    )
    async with running(source):
        await asyncio.gather(*(tell(source, f"agency-{n}") for n in range(count)))
        async with running(target):

            async def all_there() -> bool:
                return await effects(target) == count

            await until(all_there)
            assert listener.runs <= 3 * count


async def test_the_same_command_twice_happens_once(pair: Trio) -> None:
    source, _, _ = pair
    await tell(source, "beacon", command_id="c1")
    with pytest.raises(AlreadyDone):
        await tell(source, "beacon", command_id="c1")
    assert await source.pool.fetchval("SELECT count(*) FROM journal") == 1


async def test_two_transactions_that_begin_one_key_at_the_same_moment_both_happen(pair: Trio) -> None:
    """There is no row yet that the second could wait for."""
    source, _, _ = pair
    both = asyncio.Barrier(2)

    async def begin(number: int) -> None:
        tries = 0

        async def body(work: Work) -> None:
            nonlocal tries
            await work.lock((AGENCY, "new"))
            work.record(AGENCY, "new", AgencyChanged(name=f"the {number}th", kind="provider"))
            tries += 1
            if tries == 1:
                await both.wait()

        await source.transact(body, actor=Actor("a-test"))

    await asyncio.gather(begin(1), begin(2))
    rows = await source.pool.fetch("SELECT sequence FROM journal WHERE key = 'new' ORDER BY sequence")
    assert [row["sequence"] for row in rows] == [1, 2]


async def test_a_poison_event_parks_its_key_and_no_other(pair: Trio) -> None:
    source, target, listener = pair
    listener.poison.add("bad")
    await tell(source, "one", "bad")
    await tell(source, "one", "good")
    await tell(source, "two", "good")

    async def other_done() -> bool:
        return bool(await target.pool.fetchval("SELECT true FROM effect WHERE key = 'two'"))

    await until(other_done)

    async def parked() -> bool:
        return bool(await target.pool.fetchval("SELECT true FROM waiting WHERE key = 'one' AND sequence = 2"))

    await until(parked)
    number = await target.pool.fetchval("SELECT id FROM quarantine WHERE resolved IS NULL")
    listener.poison.clear()
    assert await target.exits.redrive(number, dry_run=True) == 1
    assert await effects(target) == 1
    assert await target.exits.redrive(number, dry_run=False) == 2
    assert await effects(target) == 3
    assert not await target.pool.fetchval("SELECT held FROM inbox WHERE key = 'one'")


async def write_down(connection: Any, key: str, sequence: int, previous: str | None) -> str:
    """Write an event into journal and outbox, as a transaction does that has not yet committed; return its id."""
    event = new_id()
    await connection.execute(
        """WITH written AS (
             INSERT INTO journal (position, event_id, topic, key, sequence, previous, type, data, agency, recorded_at)
             VALUES (nextval('journal_position'), $1, 'agencies', $2, $3, $4, 'agency.changed.v1',
                     '{"name":"A","kind":"provider"}', 'x', clock_timestamp()) RETURNING position, topic, key)
           INSERT INTO outbox (position, topic, key) SELECT position, topic, key FROM written""",
        event,
        key,
        sequence,
        previous,
    )
    return event


async def test_what_commits_late_with_a_low_position_is_told_before_what_follows_it(
    pair: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay reads the outbox in pages; between two of them two events of one key commit, the first below the page."""
    monkeypatch.setattr("shared.runtime.outbox.BATCH", 1)
    source, _, _ = pair
    outbox, late, done = source.outbox, asyncio.Event(), asyncio.Event()
    assert outbox is not None
    publish = outbox._publish
    async with source.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        first = await write_down(connection, "late", 1, None)
        await write_down(source.pool, "other", 1, None)

        async def published(producer: AIOKafkaProducer, events: Sequence[Recorded]) -> None:
            if any(event.envelope.subject == "other" for event in events) and not late.is_set():
                late.set()
                await transaction.commit()
                await write_down(source.pool, "late", 2, first)
            await publish(producer, events)
            if any(event.envelope.subject == "late" for event in events):
                done.set()

        outbox._publish = published  # type: ignore[method-assign]
        outbox.sweep()
        await asyncio.wait_for(done.wait(), 60)

    async def told() -> list[int]:
        return [e.sequence async for e in _read(source, "agencies") if e.subject == "late"]

    async def both() -> bool:
        return len(await told()) == 2

    await until(both)
    assert await told() == [1, 2]


async def test_a_journal_is_completed_from_a_topic_whose_events_are_not_in_order(pair: Trio) -> None:
    source, _, _ = pair
    ids = [new_id() for _ in range(3)]
    data = AgencyChanged(name="A", kind="provider")
    async with AIOKafkaProducer(bootstrap_servers=source.broker.servers) as producer:
        for sequence in (3, 1, 2):
            told = Envelope(
                id=ids[sequence - 1], source=source.source, type="agency.changed.v1", subject="disordered",
                time=datetime.now(UTC), sequence=sequence, previous=ids[sequence - 2] if sequence > 1 else None,
                causation=None, correlation=None, traceparent=None, actor=Actor("a-test"), data=data,
            )  # fmt: skip
            await producer.send_and_wait(
                source.broker.topic("agencies"),
                msgspec.json.encode(data),
                key=b"disordered",
                headers=headers_of(told),
            )
    await reconcile(source)
    rows = await source.pool.fetch(
        "SELECT event_id::text AS id FROM journal WHERE key = 'disordered' ORDER BY sequence"
    )
    assert [row["id"] for row in rows] == ids
    assert await source.pool.fetchval("SELECT version FROM stream WHERE key = 'disordered'") == 3
