"""Intake's database comes back from a copy: the topics put back what they have, and agencies are asked for the rest."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from deploy.local.postgres import on_same_server
from deploy.local.stack import Stack
from services.intake.core import Intake
from services.intake.crypto import make_master_key
from services.intake.service import build
from services.intake.settings import Settings
from tests.integration.intake.helpers import Headers, by_two, events, harmed, posted
from tests.support.referrals import party, referral
from tests.support.running import running, settings, until
from tests.support.stack import ROLE
from tests.support.tokens import bearer


def hub() -> dict[str, str]:
    # A token lasts five minutes, a run of all tests longer.
    return bearer("hub", "hub", "referrals.read", "people.write", worker="h1")


@asynccontextmanager
async def an_intake(
    database: str, broker: str, prefix: str, key: Path
) -> AsyncIterator[tuple[Intake, httpx.AsyncClient]]:
    more = {"master_key_file": key, "consent_url": "http://consent.test"}
    service = build(settings(Settings, database, broker, prefix, **more))
    url = f"http://127.0.0.1:{service.settings.port}"
    async with running(service), httpx.AsyncClient(base_url=url, timeout=120) as client:
        yield service, client


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_master_key(tmp_path / "master.key")
    return tmp_path / "master.key"


async def told(service: Intake) -> None:
    async def done() -> bool:
        return not await service.pool.fetchval("SELECT count(*) FROM outbox")

    await until(done, seconds=30)


async def erase(client: httpx.AsyncClient, person: str) -> None:
    erased = await by_two(client, "POST", f"/v1/people/{person}/erasure", json={"reason": "asked"})
    assert erased.json()["state"] == "erased", erased.text


async def test_what_was_accepted_since_the_copy_is_asked_for_again_and_the_people_stay_who_they_were(
    new_database: Callable[[], Awaitable[str]],
    bootstrap_servers: str,
    topic_prefix: str,
    key: Path,
    police: Headers,
) -> None:
    """The copy is as old as can be: an empty database."""
    document = referral()
    async with an_intake(await new_database(), bootstrap_servers, topic_prefix, key) as (first, client):
        number = await posted(first, client, police, document)
        person, case = await harmed(first, number)
        await told(first)
    async with an_intake(await new_database(), bootstrap_servers, topic_prefix, key) as (second, client):

        async def asked() -> bool:
            return (case, "referral.held") in await events(second, "referrals")

        await until(asked, seconds=30)
        known = (await client.get(f"/v1/referrals/{number}", headers=police)).json()
        assert known["status"] == "on_hold"
        assert {hold["reason"] for hold in known["holds"]} == {"details_lost"}

        async def held() -> bool:
            seen = (await client.get(f"/v1/people/{person}", headers=hub())).json()
            return list(seen["holds"].values()) == ["details_lost"]

        await until(held, seconds=30)
        assert await posted(second, client, police, document) == number
        assert await harmed(second, number) == (person, case)
        assert [one for one in await events(second, "people") if one[1] == "person.linked"] == []
        assert (case, "referral.hold_lifted") in await events(second, "referrals")
        await second.pool.execute("UPDATE timer SET due_at = clock_timestamp() WHERE name = 'safety-lost'")

        async def free() -> bool:
            seen = (await client.get(f"/v1/people/{person}", headers=hub())).json()
            return not seen["on_hold"] and "phone" in seen["channels"]

        await until(free, seconds=30)
        again = await posted(second, client, police, referral("R-2", parties=[party()]))
        assert (await harmed(second, again))[0] == person, "and is recognised again"


async def copy_of(stack: Stack, database: str) -> str:
    """Copy a database that nobody uses; return the copy's URL."""
    name, copy = urlsplit(database).path.strip("/"), f"t_copy_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(stack.admin_url)
    await admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}" OWNER "{ROLE}"')
    await admin.close()
    return on_same_server(stack.admin_url, copy, ROLE, stack.place.secret(f"database/{ROLE}"))


async def test_who_was_erased_since_the_copy_is_erased_in_it_and_holds_and_corrections_are_known(
    new_database: Callable[[], Awaitable[str]],
    stack: Stack,
    bootstrap_servers: str,
    topic_prefix: str,
    key: Path,
    police: Headers,
) -> None:
    database = await new_database()
    other = party(
        name={"full": "Nora Stone"}, date_of_birth="1950-02-01", phones=[{"number": "07700 900555"}],
        addresses=[], emails=[],
    )  # fmt: skip
    async with an_intake(database, bootstrap_servers, topic_prefix, key) as (first, client):
        person, _ = await harmed(first, await posted(first, client, police, referral()))
        number = await posted(first, client, police, referral("R-2", parties=[other]))
        nora, _ = await harmed(first, number)
        await told(first)
    copy = await copy_of(stack, database)
    try:
        async with an_intake(database, bootstrap_servers, topic_prefix, key) as (first, client):
            await erase(client, person)
            held = await client.post(
                f"/v1/referrals/{number}/holds",
                json={"reason": "safeguarding"},
                headers={**hub(), "Idempotency-Key": '"h"'},
            )
            assert held.status_code == 201
            seen = await client.get(f"/v1/people/{nora}", headers=police)
            unsafe = {"phones": [{"number": "07700 900555", "safe": False}]}
            match = {**police, "If-Match": seen.headers["etag"]}
            assert (await client.patch(f"/v1/people/{nora}", json=unsafe, headers=match)).status_code == 200
            await told(first)
        async with an_intake(copy, bootstrap_servers, topic_prefix, key) as (restored, client):
            export = (await client.get(f"/v1/people/{person}/export", headers=hub())).json()
            assert export["as_sent"] == [], "the copy had the keys"
            again, _ = await harmed(
                restored, await posted(restored, client, police, referral("R-3", parties=[party()]))
            )
            holds = (await client.get(f"/v1/people/{again}", headers=hub())).json()["holds"]
            assert "suppressed" in holds.values()
            listed = await client.get(f"/v1/referrals/{number}/holds", headers=hub())
            assert [hold["reason"] for hold in listed.json()["holds"]] == ["safeguarding"]

            async def stopped() -> bool:
                found = (await client.get(f"/v1/people/{nora}", headers=hub())).json()
                return "details_lost" in found["holds"].values()

            await until(stopped, seconds=30)
    finally:
        admin = await asyncpg.connect(stack.admin_url)
        await admin.execute(f'DROP DATABASE "{urlsplit(copy).path.strip("/")}" WITH (FORCE)')
        await admin.close()


async def test_keys_that_a_copy_brought_back_are_destroyed_at_the_next_start_too(
    new_database: Callable[[], Awaitable[str]],
    bootstrap_servers: str,
    topic_prefix: str,
    key: Path,
    police: Headers,
) -> None:
    """As after a kill between the journal's completion and the erasing: nothing is missing, and the keys are there."""
    database = await new_database()
    async with an_intake(database, bootstrap_servers, topic_prefix, key) as (first, client):
        person, _ = await harmed(first, await posted(first, client, police, referral()))
        rows = await first.pool.fetch("SELECT id, key, sealed FROM party WHERE person = $1", person)
        await erase(client, person)
        await told(first)
        await first.pool.executemany(
            "UPDATE party SET key = $2, sealed = $3 WHERE id = $1", [tuple(row) for row in rows]
        )
    async with an_intake(database, bootstrap_servers, topic_prefix, key) as (again, _):

        async def gone() -> bool:
            return not await again.pool.fetchval("SELECT count(key) FROM party WHERE person = $1", person)

        assert rows
        await until(gone, seconds=30)
