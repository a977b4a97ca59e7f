"""A database that came back from a copy: closed until the topic and intake's releases are known again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from deploy.local.stack import Stack
from services.consent.gateways import close_the_door
from services.consent.service import build
from services.consent.settings import Settings
from shared.contracts.agencies import AgencyChanged
from shared.runtime.service import Service
from tests.integration.consent.conftest import World, a_world, forget_topics, hub, kind, service_of
from tests.support.running import free_port, running, settings, until


class FakeIntake:
    """An intake that lists what it has handed out."""

    def __init__(self) -> None:
        self.releases: list[dict[str, Any]] = []
        self.up = True
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeIntake]:
        app = FastAPI()

        @app.get("/v1/releases")
        async def listed(after: str | None = None) -> dict[str, Any]:
            if not self.up:
                raise RuntimeError("down")
            return {
                "releases": self.releases if after is None else [],
                "next": "end" if after is None else None,
            }

        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=self.port, log_config=None))
        server.config.load()
        serving = asyncio.create_task(server._serve())
        await until(lambda: server.started)
        try:
            yield self
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def prefix(stack: Stack, topic_prefix: str) -> AsyncIterator[str]:
    """A prefix whose topics are deleted afterwards."""
    yield topic_prefix
    await forget_topics(stack, topic_prefix)


@pytest.fixture
async def intake() -> AsyncIterator[FakeIntake]:
    async with FakeIntake().running() as found:
        yield found


@pytest.fixture
async def world(
    database: str, bootstrap_servers: str, prefix: str, intake: FakeIntake
) -> AsyncIterator[World]:
    """A consent of the test's own, with an intake to ask for its releases."""
    async with a_world(database, bootstrap_servers, prefix, intake_url=intake.url) as found:
        yield found


async def test_closed_after_a_restore_until_intakes_releases_are_known(
    world: World, intake: FakeIntake
) -> None:
    intake.up = False
    await world.lead("vera", "c1")
    await world.lead("rob", "c2")
    permit = await world.granted("rob", "c2")
    handed_out = datetime.now(UTC).isoformat()
    release = {"permit": "lost", "person": "vera", "case": "c1", "agency": "beacon", "channel": "phone"}
    intake.releases = [release | {"handed_out_at": handed_out}]
    await close_the_door(world.service)
    assert kind(await world.ask("vera", "c1")) == "restored"
    lead = ("/v1/people/rob/handovers", service_of("allocation"), {"target": "mediation"})
    back = (
        "/v1/cases/c2/restrictions",
        service_of("allocation"),
        {"kind": "reassign", "person": "rob", "reason": "clerical_error"},
    )
    for moved in (lead, back):
        assert (await world.send("POST", *moved)).status_code == 503, "he may be being rung at this moment"
    intake.up = True
    await until(lambda: is_open(world.service), seconds=30)
    assert kind(await world.redeem(permit)) == "revoked"
    assert kind(await world.ask("vera", "c1")) == "unresolved", "somebody may have rung her"
    listed = (await world.send("GET", "/v1/unresolved-attempts", hub())).json()["attempts"]
    assert [(a["permit"], a["outcome"]) for a in listed] == [("lost", "unknown")]
    await world.granted("rob", "c2")
    assert (await world.send("POST", *lead)).status_code == 201


async def is_open(service: Service) -> bool:
    return not await service.pool.fetchval("SELECT restored FROM door")


async def test_what_the_topic_has_and_a_restored_database_lacks_is_put_back(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, prefix: str
) -> None:
    """A second consent on an empty database and the same topics: the extreme of a restore."""
    async with a_world(await new_database(), bootstrap_servers, prefix) as first:
        await first.lead("vera", "c1")
        permit = await first.granted("vera", "c1")
        await first.redeem(permit)
        await first.lead("rob", "c2")
        await first.withdraw("rob")
        before = await first.events("vera")
        await until(lambda: told(first.service))
    async with a_world(await new_database(), bootstrap_servers, prefix) as second:
        second.sequences = first.sequences
        assert await second.events("vera") == before
        await second.applied("people", "vera")
        await second.applied("cases", "c2")
        sql = "SELECT status FROM permit WHERE id = $1"
        assert await second.pool.fetchval(sql, permit["permit"]) == "redeemed"
        assert kind(await second.ask("vera", "c1")) == "restored"
        assert kind(await second.ask("rob", "c2")) == "restored"
        assert (await second.outcome(permit, "no_answer")).status_code == 200
        standing = (await second.send("GET", "/v1/people/rob/standing", hub())).json()
        assert (standing["standing"], standing["reason"]) == ("closed", "withdrawn")


async def told(service: Service) -> bool:
    return not await service.pool.fetchval("SELECT count(*) FROM outbox")


@asynccontextmanager
async def a_steady_flow(world: World) -> AsyncIterator[None]:
    """Agencies change many times a second, for as long as the block lasts: something is always on its way."""

    async def flow() -> None:
        while True:
            changed = AgencyChanged(name="Somewhere", kind="provider")
            await world.publish(*(world.envelope(f"agency-{n}", changed) for n in range(8)))
            await asyncio.sleep(0.01)

    flowing = asyncio.create_task(flow())
    try:
        yield
        assert not flowing.done(), "it has flowed all the time"
    finally:
        flowing.cancel()
        await asyncio.gather(flowing, return_exceptions=True)


async def test_it_opens_although_there_is_always_something_left_to_apply(world: World) -> None:
    async with a_steady_flow(world):
        await close_the_door(world.service)
        await until(lambda: is_open(world.service), seconds=10)


async def test_it_stays_closed_until_what_was_in_the_topics_is_applied(world: World) -> None:
    """However long that takes, whatever else is settled, and whichever partition it is in."""
    consumer = world.service.consumer
    assert consumer is not None
    async with consumer._busy:
        changed = AgencyChanged(name="Somewhere", kind="provider")
        await world.publish(world.envelope("beacon", changed))
        await close_the_door(world.service)
        await asyncio.sleep(8)
        assert not await is_open(world.service)
    await until(lambda: is_open(world.service), seconds=10)
    assert await world.pool.fetchval("SELECT sequence FROM inbox WHERE key = 'beacon'") == 1


async def test_it_stays_closed_while_another_process_has_something_of_it_left_to_apply(
    database: str, bootstrap_servers: str, prefix: str, world: World, intake: FakeIntake
) -> None:
    other = build(settings(Settings, database, bootstrap_servers, prefix, intake_url=intake.url))
    async with running(other):
        first = world.service.consumer
        assert first is not None
        await until(lambda: len(first._consumer.assignment()) == 6, seconds=30)  # type: ignore[union-attr]
        async with first._busy:
            changed = AgencyChanged(name="Somewhere", kind="provider")
            await world.publish(*(world.envelope(f"agency-{n}", changed) for n in range(40)))
            await close_the_door(world.service)
            await asyncio.sleep(8)
            applied = await world.pool.fetchval("SELECT count(*) FROM inbox WHERE topic = 'agencies'")
            assert 0 < applied < 40, "the other process has applied its own"
            assert not await is_open(world.service)
        await until(lambda: is_open(world.service), seconds=10)


async def test_a_place_in_a_topic_that_is_gone_says_nothing_of_the_one_made_in_its_stead(
    world: World,
) -> None:
    await world.tell("beacon", AgencyChanged(name="Somewhere", kind="provider"))
    consumer = world.service.consumer
    assert consumer is not None
    async with consumer._busy:
        await world.pool.execute("UPDATE consumer_offset SET topic_id = 'gone', next_offset = 1000")
        await close_the_door(world.service)
        await asyncio.sleep(8)
        assert not await is_open(world.service)
