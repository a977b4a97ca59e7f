"""The four services as processes: broker, database and consent go away while agencies work, and come back by themselves.

Referrals stay accepted and durable, contact is refused (503: do not contact), a no is recorded, and once all is back every
effect is there within half a minute, exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from deploy.local.processes import tail
from tests.support.asking import a_permit, ask, key
from tests.support.fleet import SERVICES, Fleet, fleet
from tests.support.referrals import party, referral
from tests.support.running import free_port, until
from tests.support.stack import outside_place

POLICE, LEAD = "hertfordshire-constabulary", "beacon"
RECOVERY = 30
# Four processes and two servers take their time to start on a machine that does other things as well.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]
_numbers = itertools.count(1)
_draw = random.Random(4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def onefriend() -> AsyncIterator[Fleet]:
    with outside_place() as place:
        async with fleet(place, smtp_port=free_port()) as running:
            yield running


def stranger(role: str) -> dict[str, Any]:
    """Nobody who shares anything with anybody."""
    name = {
        field: "".join(_draw.choices("aeioubdgklmnprstvz", k=9)).title() for field in ("forenames", "surname")
    }
    born = f"{_draw.randint(1940, 1999)}-{_draw.randint(1, 12):02d}-{_draw.randint(1, 28):02d}"
    more: dict[str, Any] = {"admitted": True} if role == "responsible" else {}
    return party(
        role,
        name=name,
        date_of_birth=born,
        sex=None,
        addresses=[],
        emails=[],
        phones=[{"number": f"077009{_draw.randint(0, 99999):05d}"}],
        **more,
    )


def document() -> dict[str, Any]:
    number = next(_numbers)
    made = referral(f"S-{number}", parties=[stranger("harmed"), stranger("responsible")])
    made["incident"] |= {"reference": f"41/{7000 + number}/26"}
    return made


async def post(onefriend: Fleet) -> str:
    """Post a referral; whatever is away, it is accepted."""
    answer = await onefriend.call("intake", "POST", "/v1/referrals", POLICE, json=document())
    assert answer.status_code == 202, said(answer)
    return str(answer.json()["referral"])


async def status(onefriend: Fleet, referral_id: str) -> dict[str, Any]:
    answer = await onefriend.call("intake", "GET", f"/v1/referrals/{referral_id}", POLICE)
    assert answer.status_code == 200, said(answer)
    return dict(answer.json())


async def led(onefriend: Fleet, referral_id: str, seconds: float = RECOVERY) -> dict[str, Any]:
    """Wait until the lead agency is told of the case; return its entry, of which there must be one."""
    found: list[dict[str, Any]] = []

    async def told() -> bool:
        try:
            cases = [c["case"] for c in (await status(onefriend, referral_id)).get("cases", [])]
            found[:] = [
                e
                for e in await onefriend.feed(LEAD)
                if e["kind"] == "case.allocated" and e["case"] in cases and e["data"].get("role") == "harmed"
            ]
        except (AssertionError, httpx.HTTPError):
            return False
        return bool(found)

    await until(told, seconds=seconds, every=0.3)
    assert len(found) == 1, found
    return found[0]


def said(answer: httpx.Response) -> str:
    return f"{answer.status_code}, {dict(answer.headers)}, {answer.text}"


def means_do_not_contact(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and "retry-after" in answer.headers


async def withdraw(onefriend: Fleet, person: str) -> httpx.Response:
    body = {"person": person, "scope": "everything", "by": "person"}
    return await onefriend.call("intake", "POST", "/v1/withdrawals", LEAD, json=body, headers=key())


async def redeem(onefriend: Fleet, permit: dict[str, Any]) -> httpx.Response:
    body = {"permit": permit["permit"], "fence": permit["fence"]}
    return await onefriend.call("intake", "POST", "/v1/releases", LEAD, json=body)


async def in_force(onefriend: Fleet, answer: httpx.Response) -> None:
    path = f"/v1/withdrawals/{answer.json()['withdrawal']}"

    async def there() -> bool:
        known = await onefriend.call("intake", "GET", path, LEAD)
        return known.status_code == 200 and known.json()["state"] == "in_force"

    await until(there, seconds=RECOVERY, every=0.3)


async def each_event_had_its_one_effect(onefriend: Fleet) -> None:
    """By the databases themselves: nothing untold, nothing held, every reader as far as its source, no case twice."""
    pools = {
        name: await asyncpg.create_pool(url, min_size=1, max_size=1)
        for name, url in onefriend.databases.items()
    }
    try:

        async def even() -> bool:
            ends: dict[tuple[str, str], int] = {}
            for pool in pools.values():
                if await pool.fetchval("SELECT count(*) FROM outbox"):
                    return False
                rows = await pool.fetch(
                    "SELECT topic, key, max(sequence) AS last FROM journal GROUP BY topic, key"
                )
                ends |= {(row["topic"], row["key"]): row["last"] for row in rows}
            for pool in pools.values():
                for row in await pool.fetch("SELECT topic, key, sequence, held FROM inbox"):
                    if row["held"] or row["sequence"] != ends[row["topic"], row["key"]]:
                        return False
            return True

        await until(even, seconds=RECOVERY, every=0.3)
        for name in SERVICES:
            assert not await pools[name].fetchval("SELECT count(*) FROM quarantine WHERE resolved IS NULL")
        twice = """SELECT count(*) FROM (SELECT agency, case_id, kind, data::text FROM feed WHERE kind = 'case.allocated'
                   GROUP BY 1, 2, 3, 4 HAVING count(*) > 1) AS doubled"""
        assert not await pools["notifications"].fetchval(twice)
    finally:
        await asyncio.gather(*(pool.close() for pool in pools.values()))


@contextlib.asynccontextmanager
async def away(onefriend: Fleet, what: str) -> AsyncIterator[None]:
    """The broker, consent's database or consent is away inside the block, and back after it, however the block ends."""
    broker, consent = onefriend.servers.kafka, onefriend.processes["consent"]
    assert broker is not None
    leave, back = {
        "broker": (broker.stop, broker.start),
        "database": (onefriend.ways["consent-database"].cut, onefriend.mend),
        "service": (consent.stop, consent.start),
    }[what]
    # Processes are waited for, in a thread; the ways belong to this loop.
    waits = what != "database"
    await asyncio.to_thread(leave) if waits else leave()
    try:
        yield
    except BaseException as error:
        error.add_note(f"while the {what} was away, not ready: {await onefriend.not_ready()}")
        for name in SERVICES:
            error.add_note(f"the log of {name} ends:\n{tail(onefriend.processes[name].log)}")
        raise
    finally:
        await asyncio.to_thread(back) if waits else back()


async def test_the_broker_stops_and_starts(onefriend: Fleet) -> None:
    before = await led(onefriend, await post(onefriend))
    permit = await a_permit(onefriend, LEAD, before)
    async with away(onefriend, "broker"):
        posted = [await post(onefriend) for _ in range(6)]

        # Her no needs no broker: it goes by call. A call that on a busy machine takes longer than its limit leaves the no
        # recorded, and the next call puts it in force: before the broker is back.
        no = await withdraw(onefriend, before["data"]["person"])
        assert no.status_code in {201, 202}, said(no)
        release = await redeem(onefriend, permit)
        assert release.status_code == 409 or means_do_not_contact(release), said(release)
        await in_force(onefriend, no)

    for referral_id in posted:
        await led(onefriend, referral_id)
    await each_event_had_its_one_effect(onefriend)


@pytest.mark.parametrize("what", ["database", "service"])
async def test_consent_or_its_database_is_away(onefriend: Fleet, what: str) -> None:
    before = await led(onefriend, await post(onefriend))
    permit = await a_permit(onefriend, LEAD, before)
    async with away(onefriend, what):
        posted = [await post(onefriend) for _ in range(6)]
        release = await redeem(onefriend, permit)
        assert means_do_not_contact(release), said(release)
        if what == "database":
            asked = await ask(onefriend, LEAD, before)
            assert means_do_not_contact(asked), said(asked)
        no = await withdraw(onefriend, before["data"]["person"])
        assert (no.status_code, no.json()["state"]) == (202, "recorded"), said(no)

    await in_force(onefriend, no)
    for referral_id in posted:
        await led(onefriend, referral_id)

    async def refused() -> bool:
        # Whoever has just come back may have applied everything before having noted that the broker is there.
        asked = await ask(onefriend, LEAD, before)
        assert asked.status_code == 409 or means_do_not_contact(asked), said(asked)
        return asked.status_code == 409

    await until(refused, every=0.3)
    await each_event_had_its_one_effect(onefriend)
