"""A hub's meeting: teams for its list, pinned and forbidden, accepted once, and nobody's last hours taken twice."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from shared.contracts.referrals import PartyFact
from shared.runtime.identifiers import new_id
from tests.integration.allocation.conftest import World
from tests.support.running import until
from tests.support.tokens import bearer

HUB = "herts-rj-coordinator"
AGENCIES = {"mediation-hertfordshire": "provider", "hertfordshire-constabulary": "police"}
WORKERS = {  # id: agency, district, experienced, hours
    "mia": ("mediation-hertfordshire", "SG1", True, 12),
    "max": ("mediation-hertfordshire", "AL1", False, 12),
    "pat": ("hertfordshire-constabulary", "SG1", True, 12),
    "pip": ("hertfordshire-constabulary", "WD17", False, 12),
}


async def register(world: World) -> None:
    for agency, kind in AGENCIES.items():
        body = {"name": agency, "kind": kind, "areas": ["hertfordshire"]}
        headers = bearer("operator", "operator")
        assert (await world.http.put(f"/v1/agencies/{agency}", headers=headers, json=body)).is_success
    for worker, (agency, district, experienced, hours) in WORKERS.items():
        details = {
            "district": district,
            "experienced": experienced,
            "training": "core",
            "roles": ["facilitator"],
        }
        wanted: dict[str, Any] = {"agency": agency, "capacity": hours, "named": False, "details": details}
        answer = await world.http.put(
            f"/v1/workers/{worker}", headers=bearer("operator", "operator"), json=wanted
        )
        assert answer.is_success, answer.text


async def allocate(world: World, case: str, **changes: Any) -> None:
    parties = (
        PartyFact(person=f"anna-{case}", role="harmed", district="SG1"),
        PartyFact(person=f"ben-{case}", role="responsible", admitted=True, district="SG2", **changes),
    )
    await world.allocate(case, parties=parties, initiated_by="harmed")


async def solve(world: World, **body: Any) -> httpx.Response:
    return await world.send("POST", "/v1/meetings", HUB, "hub", json={"seconds": 5, **body})


async def accept(world: World, plan: str, **body: Any) -> dict[str, Any]:
    answer = await world.send("POST", f"/v1/meetings/{plan}/acceptance", HUB, "hub", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_meeting_is_solved_changed_by_hand_and_accepted(world: World) -> None:
    await register(world)
    await asyncio.gather(
        allocate(world, "one", caseworker="pat"), allocate(world, "two"), allocate(world, "three")
    )
    agenda = (await world.get("/v1/agenda", HUB, "hub")).json()["cases"]
    assert {one["case"] for one in agenda} == {"one", "two", "three"}

    solved = await solve(world)
    assert solved.status_code == 201, solved.text
    plan = solved.json()
    teams = {one["case"]: {m["worker"] for m in one["members"]} for one in plan["cases"]}
    # Neutral, from both agencies, somebody experienced in each.
    assert teams["one"] == {"mia", "pip"}
    assert all({WORKERS[w][0] for w in team} == set(AGENCIES) for team in teams.values())
    assert all(any(WORKERS[w][2] for w in team) for team in teams.values())
    assert plan["figures"]["cost"] <= plan["in_order_of_arrival"]["cost"]
    why = {one["case"]: one["why"] for one in plan["cases"]}
    assert any(sentence.startswith("Not ") or "would do as well" in sentence for sentence in why["two"])

    # A co-ordinator wants somebody, and does not want somebody else.
    unfit = await solve(world, cases=["one"], pinned={"one": ["pat"]})
    assert unfit.status_code == 422
    assert unfit.json()["errors"][0]["problem"] == "pat is not neutral"
    elsewhere = await solve(world, cases=["nowhere"])
    assert elsewhere.json()["errors"][0]["field"] == "cases"
    again = (await solve(world, pinned={"two": ["max"]}, forbidden={"three": ["pip"]})).json()
    changed = {one["case"]: {m["worker"] for m in one["members"]} for one in again["cases"]}
    assert "max" in changed["two"]
    assert "pip" not in changed["three"]

    # Two who accept at once do not both take the last hours of mia: 12, which is two cases.
    first, second = await asyncio.gather(accept(world, plan["plan"]), accept(world, again["plan"]))
    taken = await world.pool.fetch("SELECT worker, used, capacity FROM worker ORDER BY worker")
    assert all(row["used"] <= row["capacity"] for row in taken), taken
    assert set(first["accepted"]) | set(second["accepted"]) == {"one", "two", "three"}
    members = await world.pool.fetch(
        "SELECT key, state->>'members' AS members FROM stream WHERE kind = 'case'"
    )
    assert all(len(row["members"].split(",")) == 2 for row in members), members
    assert sum(row["used"] for row in taken) == 3 * 2 * 6
    assert (await accept(world, plan["plan"]))["accepted"] == []
    read = await world.get(f"/v1/meetings/{plan['plan']}", HUB, "hub")
    assert read.json()["accepted_at"]
    assert (await world.get(f"/v1/meetings/{plan['plan']}", "sussex-hub", "hub")).status_code == 404

    # The hours come back when a case is closed.
    await world.change("one", "closure", HUB, {"reason": "not_suitable"}, "hub")

    async def freed() -> bool:
        return bool(await world.pool.fetchval("SELECT sum(used) FROM worker") == 2 * 2 * 6)

    await until(freed, seconds=20)


async def test_the_list_of_another_hub_is_not_seen(world: World) -> None:
    await allocate(world, "ours")
    assert (await world.get("/v1/agenda", "sussex-hub", "hub")).json()["cases"] == []
    assert (await world.get("/v1/agenda", HUB, "cases.read")).status_code == 403
    other = await world.send("POST", "/v1/meetings", "sussex-hub", "hub", json={"cases": ["ours"]})
    assert other.status_code == 422
    missing = await world.send("POST", f"/v1/meetings/{new_id()}/acceptance", HUB, "hub", json={})
    assert missing.status_code == 404
