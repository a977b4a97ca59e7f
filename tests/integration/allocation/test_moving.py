"""A case moves to another area; agencies end: nobody is without a lead, nobody has two, nobody is contacted anew."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import PartyFact
from tests.integration.allocation.conftest import Together
from tests.support.running import until
from tests.support.tokens import bearer

CRCS = [f"crc-{number:02}" for number in range(21)]
REGIONS = [f"probation-region-{number:02}" for number in range(12)]
SUCCESSOR = {crc: REGIONS[number % 12] for number, crc in enumerate(CRCS)}
LIVE = 500
CO_ORDINATOR = "herts-rj-coordinator"


async def test_a_case_moves_to_another_area_with_its_history_and_a_person_who_was_met_is_asked_first(
    together: Together,
) -> None:
    world = together.world
    await together.refer("t1", "anna")
    await world.wait("t1", "case.proposed", "case.allocated", "case.cleared")
    unknown = await world.change(
        "t1", "transfer", CO_ORDINATOR, {"partnership": "atlantis", "reason": "moved"}, "hub"
    )
    assert unknown.status_code == 422
    wanted = {"partnership": "sussex", "reason": "moved"}
    assert (await world.change("t1", "transfer", "beacon", wanted, "hub")).status_code == 403
    moved = await world.change("t1", "transfer", CO_ORDINATOR, wanted, "hub")
    assert moved.status_code == 200, moved.text
    told = moved.json()
    assert told["partnership"] == "sussex"
    # Nobody has met Anna: her lead goes to the hub that holds the case now.
    (anna,) = [lead for lead in told["leads"] if lead["party"] == "anna"]
    assert (anna["lead"], anna["handed_over_to"], anna["why_not"]) == ("beacon", told["hub"], None)

    async def led() -> bool:
        found = await world.get("/v1/cases/t1", told["hub"], "cases.read", "hub")
        return found.status_code == 200 and found.json()["parties"][0]["agency"] == told["hub"]

    await until(led, seconds=30)
    seen = (await world.get("/v1/cases/t1", told["hub"], "cases.read", "hub")).json()
    assert [one["policy_version"].split()[0] for one in seen["decisions"]] == ["hertfordshire", "sussex"]
    assert (await world.get("/v1/cases/t1", "beacon")).status_code == 404
    again = await world.change("t1", "transfer", told["hub"], wanted, "hub")
    assert again.status_code == 422


async def _register(world: Any) -> None:
    for agency, kind in [*((crc, "crc") for crc in CRCS), *((region, "nps") for region in REGIONS)]:
        body = {"name": agency, "kind": kind}
        put = await world.http.put(f"/v1/agencies/{agency}", headers=bearer("ops", "operator"), json=body)
        assert put.status_code == 200, put.text


async def _live_cases(together: Together) -> dict[str, str]:
    """Five hundred people whom the 21 lead, as an older system's register has it. Returns who leads whom."""
    leads = {f"person-{number:03}": CRCS[number % 21] for number in range(LIVE)}

    async def refer(person: str, lead: str) -> None:
        case = f"case-of-{person}"
        referred = PersonReferred(
            case=case,
            incident=f"incident-{case}",
            referral=f"r-{case}",
            referrer=lead,
            role="harmed",
            safety=Safety(channels=("phone", "letter")),
        )
        await together.world.tell(person, referred)
        parties = (
            PartyFact(person=person, role="harmed"),
            PartyFact(person=f"unknown-{person}", role="responsible", admitted=True, identified=False),
        )
        await together.world.refer(case, agency=lead, register_lead=lead, parties=parties)

    people = list(leads.items())
    for start in range(0, LIVE, 50):
        await asyncio.gather(*(refer(person, lead) for person, lead in people[start : start + 50]))
    return leads


async def test_twenty_one_agencies_end_in_one_night_and_everybody_has_exactly_one_lead_the_next_minute(
    together: Together,
) -> None:
    world, consent = together.world, together.consent.pool
    await _register(world)
    leads = await _live_cases(together)

    async def leads_now() -> Counter[str]:
        rows = await consent.fetch("SELECT person, agency FROM lead WHERE person LIKE 'person-%'")
        return Counter(row["agency"] for row in rows)

    before = Counter(leads.values())

    async def all_led() -> bool:
        return await leads_now() == before

    await until(all_led, seconds=90, every=0.25)
    night = datetime.now(UTC)
    ended = await asyncio.gather(
        *(
            world.send(
                "POST", f"/v1/agencies/{crc}/succession", "ops", "operator", json={"successor": region}
            )
            for crc, region in SUCCESSOR.items()
        )
    )
    assert {answer.status_code for answer in ended} == {201}
    after = Counter(SUCCESSOR[crc] for crc in leads.values())

    async def all_moved() -> bool:
        return await leads_now() == after

    await until(all_moved, seconds=60, every=0.25)
    assert (datetime.now(UTC) - night).total_seconds() < 60
    # Of every tenth, consent itself is asked: the successor may, and who led before may not.
    async with httpx.AsyncClient(base_url=together.url, timeout=60) as http:
        for person, crc in list(leads.items())[::10]:
            answers = {}
            for agency in (crc, SUCCESSOR[crc]):
                body = {"case": f"case-of-{person}", "party": person}
                answer = await http.post("/v1/contact-checks", headers=bearer(agency, "contact"), json=body)
                assert answer.status_code == 200, answer.text
                answers[agency] = (answer.json()["may"], answer.json()["reason"])
            assert answers[crc] == (False, "not-lead"), (person, answers)
            # Its lead may, or waits for something else than whose lead it is: a check is open, it is night.
            assert answers[SUCCESSOR[crc]][1] != "not-lead", (person, answers)

    async def told() -> bool:
        rows = await world.pool.fetch(
            "SELECT agency FROM case_party WHERE party LIKE 'person-%' AND place = 'led'"
        )
        return Counter(row["agency"] for row in rows) == after

    await until(told, seconds=60, every=0.25)
    circle = await world.send(
        "POST", f"/v1/agencies/{REGIONS[0]}/succession", "ops", "operator", json={"successor": CRCS[0]}
    )
    assert circle.status_code == 422
