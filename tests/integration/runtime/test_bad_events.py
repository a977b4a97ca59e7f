"""What a broker can bring: twice, out of order, missing, unknown, no JSON, too large. All recover by themselves or park."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts.agencies import AgencyChanged, AgencySucceeded
from shared.contracts.envelope import Actor, Envelope, Payload, contract_of
from shared.runtime.identifiers import new_id
from shared.runtime.journal import of_key
from shared.runtime.service import Service
from shared.runtime.settings import RuntimeSettings
from shared.runtime.wire import headers_of
from shared.runtime.work import Work
from tests.support.running import running, settings, until
from tests.support.tokens import bearer
from tests.support.toy import AGENCY, Listener, tell, teller


class Forger:
    """Publishes whatever a test wants to the topic `agencies`, as its owner would."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self.producer = producer
        self.topic = topic

    async def send(self, key: str, headers: Sequence[tuple[str, bytes]], value: bytes) -> None:
        partition = zlib.crc32(key.encode()) % 4
        await self.producer.send_and_wait(
            self.topic, value, key=key.encode(), headers=list(headers), partition=partition
        )

    async def event(self, event: Envelope, value: bytes = b'{"name":"forged","kind":"provider"}') -> None:
        await self.send(event.subject, headers_of(event), value)


def event(key: str, sequence: int, previous: str | None, payload: Payload | None = None) -> Envelope:
    data = payload or AgencyChanged(name="forged", kind="provider")
    return Envelope(
        id=new_id(), source="/onefriend/allocation", type=contract_of(data).type, subject=key, time=datetime.now(UTC),
        sequence=sequence, previous=previous, causation=None, correlation=None, traceparent=None,
        actor=Actor("forger"), data=data,
    )  # fmt: skip


@pytest.fixture
async def listener(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str
) -> AsyncIterator[tuple[Service, Service]]:
    """A listener whose teller answers repairs, but publishes nothing by itself (no relay)."""
    source = teller(settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix))
    more = {"allocation_url": f"http://127.0.0.1:{source.settings.port}"}
    target = Listener().service(
        settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix, **more)
    )
    async with running(source, ["api"]), running(target):
        yield source, target


@pytest.fixture
async def forger(bootstrap_servers: str, topic_prefix: str) -> AsyncIterator[Forger]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    yield Forger(producer, f"{topic_prefix}agencies")
    await producer.stop()


async def effects(service: Service, key: str, wanted: Sequence[int]) -> None:
    async def there() -> bool:
        rows = await service.pool.fetch("SELECT sequence FROM effect WHERE key = $1 ORDER BY sequence", key)
        return [row["sequence"] for row in rows] == list(wanted)

    await until(there, seconds=30)


async def told(source: Service, key: str, count: int) -> list[Envelope]:
    """Record events at the source, unpublished; return them."""
    for n in range(count):
        await tell(source, key, f"name {n}")
    return [r.envelope for r in await of_key(source.pool, source.source, "agencies", key, 0)]


Both = tuple[Service, Service]


async def test_the_same_event_twice_has_one_effect(listener: Both, forger: Forger) -> None:
    one = event("k", 1, None)
    await forger.event(one)
    await forger.event(one)
    await forger.event(event("k", 2, one.id))
    await effects(listener[1], "k", [1, 2])


async def test_events_out_of_order_are_put_in_order(listener: Both, forger: Forger) -> None:
    one, two, three = await told(listener[0], "k", 3)
    for each in (three, one, two):
        await forger.event(each)
    await effects(listener[1], "k", [1, 2, 3])

    # The key is let go of in a transaction after that of the last event.
    async def free() -> bool:
        return not await listener[1].pool.fetchval("SELECT held FROM inbox WHERE key = 'k'")

    await until(free, seconds=30)


async def test_a_missing_event_is_fetched_from_its_source(listener: Both, forger: Forger) -> None:
    one, _, three = await told(listener[0], "k", 3)
    await forger.event(one)
    await forger.event(three)
    await effects(listener[1], "k", [1, 2, 3])


async def test_a_damaged_event_is_fetched_from_its_source_though_none_comes_after_it(
    listener: Both, forger: Forger
) -> None:
    one, two = await told(listener[0], "k", 2)
    await forger.event(one)
    await forger.send("k", [(name, v) for name, v in headers_of(two) if name != "ce_sequence"], b"{}")
    await forger.send("nobody", [], b"{}")
    await effects(listener[1], "k", [1, 2])

    async def free() -> bool:
        held = await listener[1].pool.fetchval("SELECT count(*) FROM inbox WHERE held")
        seen = await listener[1].pool.fetchval("SELECT count(*) FROM quarantine WHERE key IS NULL")
        return (held, seen) == (0, 2)

    await until(free, seconds=30)


async def test_an_event_of_an_unknown_version_is_parked_and_no_other_key(
    listener: Both, forger: Forger
) -> None:
    one = event("k", 1, None)
    headers = [(n, b"agency.changed.v99" if n == "ce_type" else v) for n, v in headers_of(one)]
    await forger.send("k", headers, b"{}")
    await forger.event(event("other", 1, None))
    await effects(listener[1], "other", [1])

    async def parked() -> bool:
        reason = await listener[1].pool.fetchval("SELECT reason FROM quarantine WHERE key = 'k'")
        return bool(reason == "UnknownEvent:type")

    # It is in another partition, so it may be come to later.
    await until(parked, seconds=30)
    await effects(listener[1], "k", [])


async def test_bytes_that_are_no_json_are_parked_and_the_original_heals_them(
    listener: Both, forger: Forger
) -> None:
    source, target = listener
    one, two = await told(source, "k", 2)
    await forger.event(one, b"\xff\x00 no json")
    await forger.event(two)

    async def parked() -> bool:
        return bool(await target.pool.fetchval("SELECT count(*) FROM quarantine") == 1)

    await until(parked)
    number = await target.pool.fetchval("SELECT id FROM quarantine")
    assert await target.exits.redrive(number, dry_run=False, original=True) == 2
    await effects(target, "k", [1, 2])


async def test_bytes_without_a_key_park_nothing(listener: Both, forger: Forger) -> None:
    await forger.send("k", [], b"junk")
    await forger.event(event("k", 1, None))
    await effects(listener[1], "k", [1])
    assert await listener[1].pool.fetchval("SELECT key FROM quarantine") is None


async def test_two_histories_of_one_key_are_parked(listener: Both, forger: Forger) -> None:
    await forger.event(event("k", 1, None))
    await effects(listener[1], "k", [1])
    await forger.event(event("k", 1, None))

    async def parked() -> bool:
        return bool(await listener[1].pool.fetchval("SELECT true FROM quarantine WHERE reason = 'Fork'"))

    await until(parked)


async def test_an_oversized_event_stays_and_the_others_go_on(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str
) -> None:
    source = teller(settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix))
    target = Listener().service(
        settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix)
    )
    async with running(source), running(target):
        await tell(source, "big", "x" * 1_200_000)
        await tell(source, "big", "small")
        await tell(source, "other", "small")
        await effects(target, "other", [1])
        await effects(target, "big", [])
        assert (
            await source.pool.fetchval("SELECT failed FROM outbox WHERE key = 'big' AND failed IS NOT NULL")
            == "too_large"
        )
        headers = bearer("operator", "operator", kind="operator")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{source.settings.port}/v1/outbox") as http:
            (listed,) = (await http.get("/failed", headers=headers)).json()
            assert (listed["topic"], listed["key"], listed["sequence"]) == ("agencies", "big", 1)
            assert (listed["type"], listed["reason"]) == ("agency.changed.v1", "too_large")
            assert (await http.post("/retry", headers=headers)).json() == {"retrying": 1}


async def test_a_late_commit_with_a_low_position_is_told(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str
) -> None:
    source = teller(settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix))
    target = Listener().service(
        settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix)
    )
    async with running(source), running(target):

        async def slow(work: Work) -> None:
            await work.lock((AGENCY, "slow"))
            # The position is drawn now, and others overtake before this transaction commits.
            await work.fetchval("SELECT nextval('journal_position')")
            work.record(AGENCY, "slow", AgencySucceeded(successor="s", since=work.now))
            await work.fetchval("SELECT pg_sleep(0.5)")

        late = asyncio.create_task(source.transact(slow))
        for n in range(5):
            await tell(source, f"quick-{n}")
        await late
        await effects(target, "slow", [1])


async def test_an_event_is_passed_over_by_two_people_who_are_named(listener: Both, forger: Forger) -> None:
    source, target = listener
    first, second = await told(source, "c1", 2)
    await forger.event(first, b"\xff\xfe no json")
    await until(lambda: target.pool.fetchval("SELECT count(*) = 1 FROM quarantine"))
    await forger.event(second)
    number = await target.pool.fetchval("SELECT id FROM quarantine")

    async def skip(worker: str | None) -> httpx.Response:
        headers = bearer("operator", "operator", worker=worker, kind="operator")
        url = f"http://127.0.0.1:{target.settings.port}/v1/quarantine/{number}/skip"
        async with httpx.AsyncClient() as http:
            return await http.post(url, headers=headers)

    refused = await skip(None)
    assert (refused.status_code, refused.json()["detail"]) == (409, "second_person")
    for worker in ("olive", "olive", "Olive"):
        alone = await skip(worker)
        assert (alone.status_code, alone.json()) == (202, {"state": "awaiting_second_person"})
    (shown,) = await target.pool.fetch("SELECT resolved, how FROM quarantine")
    assert (shown["resolved"], shown["how"]) == (None, "to be skipped, says operator/Olive")
    passed = await skip("ben")
    assert (passed.status_code, passed.json()) == (200, {"applied": 1}), passed.text
    how = await target.pool.fetchval("SELECT how FROM quarantine")
    assert how == "skipped by operator/Olive and operator/ben"
    await effects(target, "c1", [2])
    assert (await skip("olive")).status_code == 404
