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
from shared.runtime.service import Service
from tests.integration.consent.conftest import a_world, forget_topics, hub, kind
from tests.support.running import free_port, until


class FakeIntake:
    """An intake that lists what it has handed out."""

    def __init__(self) -> None:
        self.releases: list[dict[str, Any]] = []
        self.up = False
        self.port = free_port()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
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
        yield f"http://127.0.0.1:{self.port}"
        server.should_exit = True
        await serving


@pytest.fixture
async def prefix(stack: Stack, topic_prefix: str) -> AsyncIterator[str]:
    """A prefix whose topics are deleted afterwards."""
    yield topic_prefix
    await forget_topics(stack, topic_prefix)


async def test_closed_after_a_restore_until_intakes_releases_are_known(
    database: str, bootstrap_servers: str, prefix: str
) -> None:
    intake = FakeIntake()
    async with (
        intake.running() as intake_url,
        a_world(database, bootstrap_servers, prefix, intake_url=intake_url) as world,
    ):
        await world.lead("vera", "c1")
        await world.lead("rob", "c2")
        permit = await world.granted("rob", "c2")
        handed_out = datetime.now(UTC).isoformat()
        release = {"permit": "lost", "person": "vera", "case": "c1", "agency": "beacon", "channel": "phone"}
        intake.releases = [release | {"handed_out_at": handed_out}]
        await close_the_door(world.service)
        assert kind(await world.ask("vera", "c1")) == "restored"
        intake.up = True
        await until(lambda: is_open(world.service), seconds=30)
        assert kind(await world.redeem(permit)) == "revoked"
        assert kind(await world.ask("vera", "c1")) == "unresolved", "somebody may have rung her"
        listed = (await world.send("GET", "/v1/unresolved-attempts", hub())).json()["attempts"]
        assert [(a["permit"], a["outcome"]) for a in listed] == [("lost", "unknown")]
        await world.granted("rob", "c2")


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
