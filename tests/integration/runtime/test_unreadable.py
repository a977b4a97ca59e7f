"""Records in which nothing can be believed: the source tells its topic again, and somebody can put them away for good."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from shared.runtime import retelling, unreadable
from shared.runtime.identifiers import new_id
from shared.runtime.retelling import Retelling
from shared.runtime.service import Service
from shared.runtime.settings import RuntimeSettings
from shared.runtime.wire import headers_of
from tests.integration.runtime.test_bad_events import effects, event
from tests.support.running import running, settings, until
from tests.support.tokens import bearer
from tests.support.toy import Listener, tell, teller

Both = tuple[Service, Service]
Destroy = Callable[..., Awaitable[None]]
NOTHING = (None, None)
RUBBISH = (b"\xff\x00\x17", b"\xfe\x00")


@pytest.fixture
async def both(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str
) -> AsyncIterator[Both]:
    """A teller that publishes and answers, and a listener."""
    source = teller(settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix))
    more = {"allocation_url": f"http://127.0.0.1:{source.settings.port}"}
    target = Listener().service(
        settings(RuntimeSettings, await new_database(), bootstrap_servers, topic_prefix, **more)
    )
    async with running(source), running(target):
        await tell(source, "before")
        await effects(target, "before", [1])
        yield source, target


@pytest.fixture
async def destroy(both: Both, bootstrap_servers: str, topic_prefix: str) -> Destroy:
    """Leaves a record of which key, headers and value are gone, in the place of an event that the source has told."""
    source, _ = both
    # aiokafka's own writes no record that has neither key nor value.
    producer = Producer({"bootstrap.servers": bootstrap_servers})

    async def destroyed(
        key: str | None,
        left: tuple[bytes | None, bytes | None],
        headers: list[tuple[str, Any]] | None = None,
    ) -> None:
        if key is not None:
            await _told(source, key)
        where = secrets.randbelow(4)
        producer.produce(f"{topic_prefix}agencies", left[1], left[0], where, headers=headers or [])
        assert await asyncio.to_thread(producer.flush, 30) == 0

    return destroyed


async def _told(source: Service, key: str) -> None:
    """Put an event where one is that the broker has acknowledged: in the journal, and no more in the outbox."""
    identity = new_id()
    await source.pool.execute(
        """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
        VALUES (nextval('journal_position'), $1, 'agencies', $2, 1, 'agency.changed.v1',
                '{"name":"lost","kind":"provider"}', 'x', clock_timestamp())""",
        identity,
        key,
    )
    await source.pool.execute(
        "INSERT INTO stream (kind, key, version, base, last_event, state) VALUES ('agency', $1, 1, 0, $2, '{}')",
        key,
        identity,
    )


async def written(service: Service) -> int:
    """How many records the topic has."""
    return sum((await service.topics.ends(["agencies"])).values())


@pytest.mark.parametrize(
    ("left", "headers"),
    [(NOTHING, []), (RUBBISH, []), ((b"lose", b"{}"), [("ce_subject", b"lost")])],
    ids=["nothing is left", "rubbish is left", "two keys are left"],
)
async def test_the_last_event_of_a_key_destroyed_with_its_key_is_told_again(
    both: Both,
    destroy: Destroy,
    left: tuple[bytes | None, bytes | None],
    headers: list[tuple[str, bytes]],
) -> None:
    """No event of it will follow, and its source does not start again."""
    await destroy("lost", left, headers)
    await effects(both[1], "lost", [1])
    rows = await both[1].pool.fetch("SELECT key, resolved, how FROM quarantine")
    assert [tuple(row) for row in rows] == [(None, None, "told again")]


async def test_it_is_asked_about_by_the_next_process_if_nobody_could_ask(
    both: Both, destroy: Destroy, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = both
    monkeypatch.setattr(target.settings, "allocation_url", "http://127.0.0.1:9")
    await destroy("lost", RUBBISH)

    async def met() -> bool:
        return bool(await target.pool.fetchval("SELECT count(*) FROM quarantine WHERE how IS NULL") == 1)

    await until(met, seconds=30)
    await asyncio.sleep(2)
    await effects(target, "lost", [])
    more = {"allocation_url": f"http://127.0.0.1:{source.settings.port}", "port": 0}
    second = Listener().service(target.settings.model_copy(update=more))
    async with running(second):
        await effects(target, "lost", [1])


async def test_a_flood_of_rubbish_has_a_topic_told_again_seldom_and_is_not_forgotten(
    both: Both, destroy: Destroy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = both
    monkeypatch.setattr(unreadable, "AGAIN", 0.5)
    before = await written(source)
    await destroy(None, RUBBISH)

    async def told_again() -> bool:
        return await written(source) == before + 2

    await until(told_again, seconds=30)
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            await destroy(None, RUBBISH)
            await asyncio.sleep(0.1)
        await destroy("lost", RUBBISH)
        await asyncio.sleep(5)
    assert "a topic was told again only just now; not yet once more" in caplog.text
    # The one event that there was before was told once more, and no oftener.
    assert await written(source) == before + 62 + 1
    monkeypatch.setattr(retelling, "SELDOM", 1.0)
    await effects(target, "lost", [1])


async def test_several_that_met_the_same_record_have_its_topic_told_again_once(both: Both) -> None:
    source, _ = both
    asked = Retelling(source.pool)
    before = await written(source)
    assert await asked.begin("agencies", 0.1)
    await asyncio.sleep(0.2)
    assert await asked.begin("agencies", 0.5), "what was read before it began is told again by it"
    assert not await asked.begin("agencies", 0.1), "what was read later is not"

    async def again() -> bool:
        return await written(source) > before

    await until(again, seconds=30)
    await asyncio.sleep(3)
    assert await written(source) == before + 1


async def test_it_is_put_away_by_somebody_who_says_why_once_nothing_is_lacking(
    both: Both, destroy: Destroy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, target = both
    monkeypatch.setattr(unreadable, "ON_ITS_WAY", 1.0)
    monkeypatch.setattr(unreadable, "AGAIN", 0.5)
    url = f"http://127.0.0.1:{target.settings.port}/v1/quarantine"
    caller = bearer("onefriend", "operator", worker="olga")
    async with httpx.AsyncClient(headers=caller, timeout=60) as http:
        with monkeypatch.context() as away:
            away.setattr(target.settings, "allocation_url", "http://127.0.0.1:9")
            await destroy("lost", NOTHING)

            async def listed() -> bool:
                return bool((await http.get(url)).json())

            await until(listed, seconds=30)
            (entry,) = (await http.get(url)).json()
            assert (entry["key"], entry["how"]) == (None, None)
            one = f"{url}/{entry['id']}"
            why = {"reason": "the disk of broker 2 was changed"}
            for exit_, body in (("redrive", None), ("skip", None), ("acknowledge", why)):
                answer = await http.post(f"{one}/{exit_}", json=body)
                expected = "not_told_again_yet" if exit_ == "acknowledge" else "no_trustworthy_key"
                assert (answer.status_code, answer.json()["detail"]) == (409, expected)
            # As if it had been asked, and what it told were not here yet.
            await target.pool.execute("UPDATE quarantine SET how = 'told again'")
        answer = await http.post(f"{one}/acknowledge", json=why)
        assert (answer.status_code, answer.json()["detail"]) == (409, "behind_its_source")

        assert (await http.post(f"{one}/retelling")).json() == {"telling": True}
        await effects(target, "lost", [1])
        await destroy(None, RUBBISH)
        await destroy(None, NOTHING)

        async def met() -> bool:
            return len((await http.get(url)).json()) == 3

        await until(met, seconds=30)
        monkeypatch.setattr(retelling, "SELDOM", 1.0)

        async def all_told() -> bool:
            return all(entry["how"] for entry in (await http.get(url)).json())

        await until(all_told, seconds=30)
        for wrong in ({}, {"reason": ""}, {"reason": "be\0cause"}):
            assert (await http.post(f"{one}/acknowledge", json=wrong)).status_code == 422
        assert (await http.post(f"{one}/acknowledge", json=why)).json() == {"acknowledged": 1}
        assert (await http.post(f"{one}/acknowledge", json=why)).status_code == 404
        last = max(entry["id"] for entry in (await http.get(url)).json())
        answer = await http.post(f"{url}/{last}/acknowledge", json={**why, "earlier": True})
        assert answer.json() == {"acknowledged": 2}
        assert (await http.get(url)).json() == []
        metrics = (await http.get(f"http://127.0.0.1:{target.settings.port}/metrics")).text
        assert 'onefriend_unreadable_records{service="consent"} 0.0' in metrics
    how = await target.pool.fetchval(
        "SELECT how FROM quarantine WHERE id = $1 AND resolved IS NOT NULL", entry["id"]
    )
    assert how == "acknowledged by olga: the disk of broker 2 was changed"


async def test_an_entry_with_a_key_is_not_put_away_so(both: Both, destroy: Destroy) -> None:
    unknown = [
        (n, b"agency.changed.v99" if n == "ce_type" else v) for n, v in headers_of(event("k", 1, None))
    ]
    await destroy(None, (b"k", b"{}"), unknown)

    async def parked() -> bool:
        return bool(await both[1].pool.fetchval("SELECT count(*) FROM quarantine WHERE key = 'k'"))

    await until(parked, seconds=30)
    number = await both[1].pool.fetchval("SELECT id FROM quarantine")
    caller = bearer("onefriend", "operator", worker="olga")
    async with httpx.AsyncClient(headers=caller, timeout=60) as http:
        url = f"http://127.0.0.1:{both[1].settings.port}/v1/quarantine/{number}"
        for exit_, body in (("acknowledge", {"reason": "because"}), ("retelling", None)):
            answer = await http.post(f"{url}/{exit_}", json=body)
            assert (answer.status_code, answer.json()["detail"]) == (409, "its_key_is_known")


def _with(**changed: bytes | None) -> list[tuple[str, bytes | None]]:
    """The headers of an event of the key k, some of them changed."""
    whole: dict[str, bytes | None] = dict(headers_of(event("k", 1, None)))
    return list((whole | changed).items())


@pytest.mark.parametrize(
    "headers",
    [
        [("ce_subject", b"\x00\xff")],
        _with(ce_agency=b"\x00"),
        _with(ce_agency=None),
        _with(ce_id=b"not an id"),
        _with(ce_sequence=b"9" * 30),
        _with(ce_previous=b"\xff\xfe"),
    ],
    ids=["zeros", "a zero in what can be read", "no value", "no id", "beyond any number", "no text"],
)
async def test_whatever_its_headers_hold_what_comes_after_it_is_applied(
    both: Both, destroy: Destroy, headers: list[tuple[str, bytes | None]]
) -> None:
    source, target = both
    for _ in range(6):  # into every partition, more or less
        await destroy(None, (b"k", b'{"name":"x","kind":"provider"}'), headers)
    for n in range(8):
        await tell(source, f"after-{n}")
    for n in range(8):
        await effects(target, f"after-{n}", [1])
