"""What is typed wrongly where it would leave a person with nobody: a worker, an agency, a year. And a worker who leaves."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.allocation.conftest import Together, World
from tests.support.running import until
from tests.support.tokens import bearer

CO_ORDINATOR = "herts-rj-coordinator"


async def _put(world: World, path: str, **body: Any) -> httpx.Response:
    """Register an agency or a worker, or change it."""
    operator = bearer("ops", "operator")
    known = await world.http.get(path, headers=operator)
    seen = {"If-Match": known.headers["etag"]} if known.status_code == 200 else {}
    return await world.http.put(path, headers=operator | seen, json=body)


async def _registered(world: World) -> None:
    assert (await _put(world, "/v1/agencies/beacon", name="Beacon", kind="victim_care")).status_code == 200
    provider = await _put(world, "/v1/agencies/mediation-hertfordshire", name="Mediation", kind="provider")
    assert provider.status_code == 200
    for worker, more in (
        ("derek", {"agency": "beacon"}),
        ("wendy", {"agency": "beacon", "deputy": "derek"}),
        ("gone", {"agency": "beacon", "active": False}),
        ("mallory", {"agency": "mediation-hertfordshire"}),
    ):
        assert (await _put(world, f"/v1/workers/{worker}", **more)).status_code == 200


def _fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("worker", ["mallory", "gone"])
async def test_nobody_of_another_agency_and_nobody_who_has_left_is_a_persons_one_friend(
    world: World, worker: str
) -> None:
    await _registered(world)
    await world.allocate("w1")
    assert _fields(await world.change("w1", "acceptance", "beacon", {"worker": worker})) == ["worker"]
    moved = {"party": "anna-w1", "target": "beacon", "worker": worker, "reason": "left"}
    assert _fields(await world.change("w1", "hand-over", "beacon", moved)) == ["worker"]
    other = {"party": "anna-w1", "agency": "beacon", "worker": worker, "reason": "left"}
    assert _fields(await world.change("w1", "reallocation", CO_ORDINATOR, other, "hub")) == ["worker"]
    assert (await world.change("w1", "acceptance", "beacon", {"worker": "wendy"})).status_code == 200


async def test_an_agency_that_there_is_not_is_neither_handed_to_nor_asked(together: Together) -> None:
    world = together.world
    await _registered(world)
    await together.refer("w2", "anna")
    await world.wait("w2", "case.proposed", "case.allocated", "case.cleared")
    moved = {"party": "anna", "target": "becon", "reason": "moved"}
    assert _fields(await world.change("w2", "hand-over", CO_ORDINATOR, moved, "hub")) == ["target"]
    other = {"party": "anna", "agency": "becon", "reason": "moved"}
    assert _fields(await world.change("w2", "reallocation", CO_ORDINATOR, other, "hub")) == ["agency"]
    asked = {"kind": "research", "of": "becon", "party": "anna"}
    assert _fields(await world.send("POST", "/v1/cases/w2/checks", CO_ORDINATOR, "hub", json=asked)) == ["of"]
    seen = (await world.get("/v1/cases/w2", CO_ORDINATOR, "cases.read", "hub")).json()
    leads = {party["party"]: party["agency"] for party in seen["parties"]}
    assert leads["anna"] == "beacon", "a mistyped agency takes nobody's lead away"


async def test_the_deputy_of_a_worker_who_has_left_speaks_with_whom_they_were_the_friend_of(
    together: Together,
) -> None:
    world = together.world
    await _registered(world)
    await together.refer("w3", "anna")
    await world.wait("w3", "case.proposed", "case.allocated", "case.cleared")
    assert (await world.change("w3", "acceptance", "beacon", {"worker": "wendy"})).status_code == 200
    left = {"agency": "beacon", "deputy": "derek", "active": False}
    assert (await _put(world, "/v1/workers/wendy", **left)).status_code == 200
    mark = {"agency": "beacon", "deputy": "wendy"}
    assert _fields(await _put(world, "/v1/workers/newly", **mark)) == ["deputy"]
    heard = "SELECT agency IS NOT NULL FROM worker WHERE worker = 'marked'"
    assert (await _put(world, "/v1/workers/marked", agency="beacon")).status_code == 200

    async def applied() -> bool:
        return bool(await together.consent.pool.fetchval(heard))

    await until(applied)

    async def ask(worker: str) -> httpx.Response:
        body = {"case": "w3", "person": "anna", "channel": "letter", "worker": worker}
        return await together.ask("POST", "/v1/permits", "beacon", "contact", **body)

    async def answered() -> bool:
        return (await ask("somebody")).status_code != 503

    await until(answered)
    assert (await ask("somebody")).json()["type"].endswith("not-named-worker")
    assert (await ask("derek")).status_code == 201


@pytest.mark.parametrize(
    "when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"]
)
async def test_a_time_out_of_reach_is_named_and_stops_nobody(world: World, when: str) -> None:
    await _registered(world)
    await world.allocate("w4")
    paused = {"reason": "safety", "until": when}
    assert _fields(await world.change("w4", "pause", CO_ORDINATOR, paused, "hub")) == ["until"]
    asked = {"kind": "research", "of": "beacon", "party": "anna-w4", "due": when}
    assert _fields(await world.send("POST", "/v1/cases/w4/checks", CO_ORDINATOR, "hub", json=asked)) == [
        "due"
    ]
    succeeded = {"successor": "beacon", "since": when}
    path = "/v1/agencies/mediation-hertfordshire/succession"
    assert _fields(await world.send("POST", path, "ops", "operator", json=succeeded)) == ["since"]
    figures = await world.http.get(
        "/v1/measures", params={"since": when}, headers=bearer("opcc", "commissioner")
    )
    assert figures.status_code == 422
    assert (await world.change("w4", "acceptance", "beacon", {"worker": "wendy"})).status_code == 200


@pytest.mark.parametrize("more", [{"team": "\0"}, {"details": {"district": "\0"}}])
async def test_a_nul_in_a_workers_details_is_named(world: World, more: dict[str, Any]) -> None:
    await _registered(world)
    assert _fields(await _put(world, "/v1/workers/wendy", agency="beacon", **more)) == [next(iter(more))]


async def test_how_people_reach_an_agency_is_told_to_others_and_stays_until_it_is_changed(
    world: World,
) -> None:
    path, beacon = "/v1/agencies/deskless", {"name": "Deskless", "kind": "victim_care"}
    assert (await _put(world, path, **beacon)).json()["desk"] is None
    desk = {"phone": "+441632960001", "hours": [{"days": [2, 1], "start": "09:00", "until": "17:00"}]}
    wrong = await _put(world, path, **beacon, desk=desk | {"email": "nobody"})
    assert _fields(wrong) == ["desk.email"]
    assert (await _put(world, path, **beacon, desk=desk)).status_code == 200
    # Who only knows of names leaves it as it is, and an agency's list shows it.
    assert (await _put(world, path, **beacon | {"name": "Deskful"})).json()["desk"]["phone"] == "01632 960001"
    listed = (await world.get("/v1/agencies", "ops", "operator")).json()["agencies"]
    [shown] = [agency["desk"] for agency in listed if agency["agency"] == "deskless"]
    assert shown == {
        "phone": "01632 960001",
        "hours": [{"days": [1, 2], "start": "09:00:00", "until": "17:00:00"}],
    }
    assert (await _put(world, path, **beacon, desk=None)).json()["desk"] is None
    told = "SELECT data->'desk'->>'phone' AS phone FROM journal WHERE key = 'deskless' ORDER BY sequence"
    rows = await world.service.pool.fetch(told)
    assert [row["phone"] for row in rows] == [None, "01632 960001", "01632 960001", None]
