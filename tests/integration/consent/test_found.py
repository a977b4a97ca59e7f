"""Releases that a restored consent learns of: who can say what became of them, and when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.consent import gateways
from services.consent.gateways import Release, _learn
from tests.integration.consent.conftest import World, agency_of, hub, kind, service_of
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def now(world: World) -> datetime:
    found: datetime = await world.pool.fetchval("SELECT clock_timestamp() + shift FROM clock")
    return found


async def found(world: World, person: str, case: str, **more: Any) -> Release:
    """A release of which only intake knows."""
    at = await now(world)
    use_by = at + timedelta(minutes=30)
    release = Release(world.new("lost"), person, case, "beacon", at, "phone", fence=7, use_by=use_by)
    await world.service.transact(_learn, release)
    return release


async def resolve(world: World, release: Release) -> Any:
    path = f"/v1/unresolved-attempts/{release.permit}"
    version = (await world.send("GET", path, hub())).headers["etag"]
    return await world.send("POST", f"{path}/resolution", hub(), {"outcome": "no_answer"}, If_Match=version)


async def withdraw(world: World, release: Release) -> dict[str, Any]:
    """Intake withdraws somebody, and says what it has handed out of theirs."""
    handed_out = {"permit": release.permit, "channel": "phone", "use_by": release.use_by.isoformat()}  # type: ignore[union-attr]
    return await world.withdraw(release.person, handed_out=[handed_out])


async def test_the_hub_waits_until_the_details_can_be_used_no_longer(world: World) -> None:
    vera, c1 = world.new("vera"), world.new("c1")
    await world.lead(vera, c1)
    release = await found(world, vera, c1)
    assert release.use_by is not None
    listed = (await world.send("GET", "/v1/unresolved-attempts", hub())).json()["attempts"]
    (due,) = [a["outcome_due"] for a in listed if a["permit"] == release.permit]
    assert due == release.use_by.isoformat()
    early = await resolve(world, release)
    assert (early.status_code, kind(early)) == (409, "too-early")
    assert early.json()["not_before"] == release.use_by.isoformat()
    assert kind(await world.ask(vera, c1)) == "unresolved"
    withdrawn = await withdraw(world, release)
    assert (withdrawn["state"], [p["permit"] for p in withdrawn["in_flight"]]) == (
        "in_flight",
        [release.permit],
    )
    await world.later(minutes=31)
    assert (await resolve(world, release)).status_code == 200


async def test_its_holder_says_how_it_ended_at_any_time(world: World) -> None:
    vera, c1 = world.new("vera"), world.new("c1")
    await world.lead(vera, c1)
    release = await found(world, vera, c1)
    path, fence = f"/v1/attempts/{release.permit}/outcome", {"fence": release.fence}
    for caller, body, status, problem in (
        (agency_of("mercia"), fence | {"outcome": "no_answer"}, 404, "not-found"),
        (agency_of("beacon"), {"fence": 8, "outcome": "no_answer"}, 409, "fence"),
        (agency_of("beacon"), fence | {"outcome": "not_made"}, 409, "not-sender"),
    ):
        refused = await world.send("PUT", path, caller, body)
        assert (refused.status_code, kind(refused)) == (status, problem)
    for _ in range(2):
        answer = await world.send("PUT", path, agency_of("beacon"), fence | {"outcome": "no_answer"})
        assert answer.status_code == 200, answer.text
    assert (
        kind(await world.send("PUT", path, agency_of("beacon"), fence | {"outcome": "agreed"}))
        == "already-recorded"
    )
    assert kind(await world.ask(vera, c1)) == "attempt-gap"
    assert (await withdraw(world, release))["state"] == "clean"


async def test_intake_says_that_it_gave_up_what_had_been_in_doubt(world: World) -> None:
    vera, c1 = world.new("vera"), world.new("c1")
    await world.lead(vera, c1)
    release = await found(world, vera, c1)
    path, body = f"/v1/attempts/{release.permit}/outcome", {"fence": release.fence, "outcome": "not_made"}
    for _ in range(2):
        assert (await world.send("PUT", path, service_of("intake"), body)).status_code == 200
    await world.service.transact(_learn, release)
    listed = (await world.send("GET", "/v1/unresolved-attempts", hub())).json()["attempts"]
    assert release.permit not in [a["permit"] for a in listed]
    await world.granted(vera, c1)


async def test_a_permit_that_was_handed_out_is_not_told_as_revoked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intake would let go of the telephone that it has claimed, and another person's could ring there."""
    vera, c1, rob, c2 = (world.new(name) for name in ("vera", "c1", "rob", "c2"))
    await world.lead(vera, c1)
    await world.lead(rob, c2)
    handed_out, kept = await world.granted(vera, c1), await world.granted(rob, c2)
    release = Release(
        handed_out["permit"], vera, c1, "beacon", await now(world), "phone", fence=handed_out["fence"]
    )

    async def listed(*_: object) -> gateways.Releases:
        return gateways.Releases((release,))

    monkeypatch.setattr(gateways, "releases_after", listed)
    await gateways.close_the_door(world.service)
    await until(lambda: world.pool.fetchval("SELECT NOT restored FROM door"), seconds=30)
    after = [[name for name, _ in await world.events(key)][-2:] for key in (vera, rob)]
    assert after == [["permit.granted", "attempt.recorded"], ["permit.granted", "permit.ended"]]
    assert kind(await world.redeem(kept)) == "revoked"
