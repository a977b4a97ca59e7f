"""Named workers by workload, and the queue of cases that wait for one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from services.allocation.service import build
from services.allocation.settings import Settings
from shared.contracts.referrals import PartyFact, ReferralReceived
from tests.integration.allocation.conftest import World, referral
from tests.support.running import running, settings, until
from tests.support.tokens import bearer

FLOOD = 400


async def register(world: World, agency: str, **workers: int) -> None:
    """An agency with workers of so many hours each."""
    body = {"name": agency, "kind": "victim_care"}
    put = await world.http.put(f"/v1/agencies/{agency}", headers=bearer("ops", "operator"), json=body)
    assert put.status_code == 200, put.text
    for worker, hours in workers.items():
        details = {"roles": ["victim_coordinator"], "training": "complex"}
        wanted = {"agency": agency, "capacity": hours, "details": details}
        done = await world.http.put(f"/v1/workers/{worker}", headers=bearer("ops", "operator"), json=wanted)
        assert done.status_code == 200, done.text


def alone(case: str, **changes: object) -> dict[str, Any]:
    """A referral of one harmed person, nobody else known: one worker of four hours is needed."""
    return {"parties": (PartyFact(person=f"anna-{case}", role="harmed"),), **changes}


async def used(world: World) -> dict[str, int]:
    rows = await world.pool.fetch("SELECT worker, used FROM worker ORDER BY worker")
    return {row["worker"]: row["used"] for row in rows}


async def test_work_is_spread_and_given_back(world: World) -> None:
    await register(world, "beacon", w1=40, w2=40)
    for name in ("n1", "n2", "n3", "n4"):
        await world.refer(name, **alone(name))
        await world.wait(name, "case.proposed")
    hours = await used(world)
    # What a transaction picked that was run again counts until the hours are read afresh: not always eight each
    assert (sum(hours.values()), set(hours)) == (16, {"w1", "w2"})
    assert min(hours.values()) > 0
    await world.assign("n1")
    told = await world.wait("n1", "case.proposed", "case.allocated", "case.cleared")
    assert told["case.allocated"]["parties"][0]["worker"] in ("w1", "w2")
    closed = await world.change("n1", "closure", "beacon", {"reason": "completed"})
    assert closed.status_code == 503  # consent is not there; it is recorded
    assert sum((await used(world)).values()) == 12


async def test_a_flood_waits_in_its_order_and_nobody_is_forgotten(world: World) -> None:
    """Four hundred victims of one offender, and hours for ten of them: the queue empties as hours come free."""
    await register(world, "beacon", w1=20, w2=20)
    now = datetime.now(UTC)
    names = [f"f{number:03d}" for number in range(FLOOD)]
    for number, name in enumerate(names):
        # Received days apart: the clock of the first runs out first.
        await world.refer(name, **alone(name), received_at=now - timedelta(days=2 * (FLOOD - number)))

    async def settled() -> bool:
        waiting = await world.pool.fetchval("SELECT count(*) FROM queue")
        proposed = await world.pool.fetchval("SELECT count(*) FROM journal WHERE type = 'case.proposed.v1'")
        return (waiting, proposed) == (FLOOD - 10, 10)

    await until(settled, seconds=60)
    assert await used(world) == {"w1": 20, "w2": 20}
    served = await world.pool.fetch("SELECT key FROM journal WHERE type = 'case.proposed.v1'")
    holding = [row["key"] for row in served]
    waiting = [
        row["case_id"]
        for row in await world.pool.fetch("SELECT case_id FROM queue ORDER BY due, since, case_id")
    ]
    assert sorted(holding + waiting) == names
    # Somebody new does not pass those who wait, however free a worker has just become.
    await world.refer("urgent", **alone("urgent"), received_at=now)
    await world.wait("urgent", "case.queued")

    async def cleared(case: str) -> bool:
        return (await world.events(case))[-1][0] == "case.cleared"

    async def proposed(case: str) -> bool:
        return "case.proposed" in [name for name, _ in await world.events(case)]

    for case in holding[:4]:
        await world.assign(case)
        await until(partial(cleared, case), seconds=30)
        await world.change(case, "closure", "beacon", {"reason": "completed"})
    for case in waiting[:4]:
        await until(partial(proposed, case), seconds=30)
    left = [
        row["case_id"]
        for row in await world.pool.fetch("SELECT case_id FROM queue ORDER BY due, since, case_id")
    ]
    assert left == [*waiting[4:], "urgent"]
    assert await used(world) == {"w1": 20, "w2": 20}


async def test_more_hours_empty_the_queue(world: World) -> None:
    await register(world, "beacon", w1=4)
    await world.refer("q1", **alone("q1"))
    await world.wait("q1", "case.proposed")
    await world.refer("q2", **alone("q2"))
    await world.wait("q2", "case.queued")
    etag = (await world.get("/v1/workers/w1", "ops", "operator")).headers["etag"]
    body = {"agency": "beacon", "capacity": 8, "details": {"roles": ["victim_coordinator"]}}
    headers = {**bearer("ops", "operator"), "If-Match": etag}
    assert (await world.http.put("/v1/workers/w1", headers=headers, json=body)).status_code == 200
    await world.wait("q2", "case.queued", "case.proposed")
    assert await used(world) == {"w1": 8}


async def test_who_waits_for_an_agency_that_ends_waits_for_its_successor(world: World) -> None:
    await register(world, "beacon", w1=4)
    for name, stands in (("e1", "case.proposed"), ("e2", "case.queued"), ("e3", "case.queued")):
        await world.refer(name, **alone(name))
        await world.wait(name, stands)  # one after the other: cases come by different partitions
    await register(world, "beacon-two", x1=4)
    path = "/v1/agencies/beacon/succession"
    done = await world.send("POST", path, "ops", "operator", json={"successor": "beacon-two"})
    assert done.status_code == 201, done.text
    told = await world.wait("e2", "case.queued", "case.proposed")
    lead = told["case.proposed"]["leads"][0]
    assert (lead["agency"], lead["worker"]) == ("beacon-two", "x1")
    # Nobody is forgotten: the third waits at the successor, and gets the hours that come free there.
    told = await world.wait("e3", "case.queued", "case.queued")
    assert told["case.queued"]["agency"] == "beacon-two"
    await world.assign("e2")
    await world.wait("e2", "case.queued", "case.proposed", "case.allocated", "case.cleared")
    await world.change("e2", "closure", "beacon-two", {"reason": "completed"})
    await world.wait("e3", "case.queued", "case.queued", "case.proposed")


async def test_two_processes_never_take_the_same_last_hour(
    world: World, database: str, bootstrap_servers: str
) -> None:
    """Two consumers of one group, one database, 60 cases, room for 25: exactly 25 are given."""
    await register(world, "beacon", w1=20, w2=20, w3=20, w4=20, w5=20)
    other = build(settings(Settings, database, bootstrap_servers, world.prefix))
    async with running(other, parts=("api", "consumer")):
        await asyncio.sleep(2)  # both have partitions
        names = [f"z{number:02d}" for number in range(60)]
        for name in names:
            await world.tell(name, ReferralReceived(facts=referral(name, **alone(name))))

        async def settled() -> bool:
            waiting = await world.pool.fetchval("SELECT count(*) FROM queue")
            proposed = await world.pool.fetchval(
                "SELECT count(*) FROM journal WHERE type = 'case.proposed.v1'"
            )
            return (waiting, proposed) == (35, 25)

        await until(settled, seconds=40)
    assert set((await used(world)).values()) == {20}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"agency": "beacon", "capacity": -1}, "capacity"),
        ({"agency": "beacon", "details": {"training": "best"}}, "details.training"),
        ({"agency": "beacon", "details": {"shoe_size": 4}}, "details.shoe_size"),
        ({"agency": "beacon", "details": {"roles": "x"}}, "details"),
        ({"agency": "beacon", "deputy": "nobody"}, "deputy"),
        ({"agency": "unknown"}, "agency"),
    ],
)
async def test_a_wrong_worker_is_named(world: World, body: dict[str, Any], field: str) -> None:
    await register(world, "beacon")
    answer: httpx.Response = await world.http.put(
        "/v1/workers/w9", headers=bearer("ops", "operator"), json=body
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
