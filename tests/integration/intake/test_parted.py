"""A link undone: two cases again, and what was said stays said. A link that two numbers contradict is not made."""

import json
from typing import Any

import httpx

from services.intake.core import Intake
from tests.integration.intake.helpers import Headers, by_two, events, harmed, kind, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import offender, party, referral
from tests.support.running import until
from tests.support.tokens import bearer


def hub() -> dict[str, str]:
    # A token lasts five minutes, a run of all tests longer.
    return bearer("hub", "hub", "referrals.read", worker="h1")


def doubtful(**fields: Any) -> dict[str, Any]:
    """Return Mary Wells with no more than her name and birth date, and what the test adds."""
    return party(addresses=[], phones=[], emails=[], **fields)


async def decide_same(client: httpx.AsyncClient) -> httpx.Response:
    [review] = (await client.get("/v1/match-reviews", headers=hub())).json()["reviews"]
    body = {"answer": "same", "reason": "spoke_to_both"}
    path = f"/v1/match-reviews/{review['id']}/decision"
    return await client.post(path, json=body, headers={**hub(), "If-Match": '"1"'})


async def unlink(client: httpx.AsyncClient, person: str, other: str) -> httpx.Response:
    seen = await client.get(f"/v1/people/{person}", headers=hub())
    return await by_two(client, "DELETE", f"/v1/people/{person}/links/{other}", seen.headers["etag"])


def keyed(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Idempotency-Key": '"k1"'}


async def told(intake: Intake, key: str, name: str) -> list[dict[str, Any]]:
    rows = await intake.pool.fetch(
        "SELECT data FROM journal WHERE key = $1 AND type LIKE $2 || '.v%' ORDER BY position", key, name
    )
    return [json.loads(row["data"]) for row in rows]


async def test_a_wrong_join_is_undone(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    consent = StandIn(intake)
    first = await posted(intake, client, police, referral())
    theirs = offender(phones=[{"number": "07700 900123"}])
    second = await posted(intake, client, care, referral("V-1", parties=[party(), theirs]))
    person, case = await harmed(intake, first)
    assert await harmed(intake, second) == (person, case)
    by_hub = {"reason": "safety", "until": "2030-01-01T00:00:00Z"}
    paused = await client.post(f"/v1/referrals/{first}/holds", json=by_hub, headers=keyed(hub()))
    assert paused.status_code == 201, paused.text
    body = {"referral": second, "position": 0}
    consent.away = True
    await client.post("/v1/withdrawals", json={"person": person}, headers=keyed(care))
    early = await by_two(client, "POST", f"/v1/people/{person}/splits", json=body)
    assert (early.status_code, kind(early), "retry-after" in early.headers) == (
        409,
        "withdrawal-pending",
        True,
    )
    consent.away = False

    async def in_force() -> bool:
        return bool(await intake.pool.fetchval("SELECT state = 'in_force' FROM withdrawal"))

    await until(in_force)
    answer = await by_two(client, "POST", f"/v1/people/{person}/splits", json=body)
    assert answer.status_code == 201, answer.text
    new, new_case = await harmed(intake, second)
    assert (new, new != person, new_case != case) == (answer.json()["person"], True, True)
    assert (case, "referral.retracted") in await events(intake, "referrals")
    assert (new, "person.referred") in await events(intake, "people")
    # What the record says of them is theirs, and what a human has held is held on both sides.
    rows = await intake.pool.fetch("SELECT person, case_id, reason FROM hold WHERE lifted_at IS NULL")
    held = {(row["person"], row["case_id"], row["reason"]) for row in rows}
    assert {(new, new_case, "unsafe_contact"), (new, None, "approached_before")} <= held
    assert (person, case, "unsafe_contact") not in held
    assert {(None, case, "safety"), (None, new_case, "safety")} <= held
    theirs_now = (await client.get(f"/v1/people/{new}", headers=hub())).json()["holds"]
    assert set(theirs_now.values()) == {"unsafe_contact", "approached_before"}
    goes_on = (
        """SELECT data ->> 'continues' FROM journal WHERE key = $1 AND type LIKE 'referral.received.%'"""
    )
    assert await intake.pool.fetchval(goes_on, new_case) == case


async def test_a_case_that_became_one_by_a_wrong_link_is_two_again(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    number = await posted(intake, client, care, referral("V-1", parties=[doubtful(), offender()]))
    second = await harmed(intake, number)
    assert (await decide_same(client)).status_code == 200
    assert (await harmed(intake, number))[1] == first[1], "one case while they are one human"
    [joined] = [e for e in await told(intake, second[0], "person.referred") if e["case"] == first[1]]
    assert joined["continues"] == second[1], "a release waits until consent knows what was said of it"
    assert (await unlink(client, first[0], second[0])).status_code == 200
    again = await harmed(intake, number)
    assert again[0] == second[0]
    assert again[1] not in (first[1], second[1]), "the case that was over does not come back"
    referrals = await events(intake, "referrals")
    assert (again[1], "referral.received") in referrals
    assert (first[1], "referral.retracted") in referrals
    [mine] = [e for e in await told(intake, second[0], "person.referred") if e["case"] == again[1]]
    assert mine["continues"] == first[1]
    held = (await client.get(f"/v1/people/{second[0]}", headers=hub())).json()
    assert list(held["holds"].values()) == ["not_this_person"]
    kept = await intake.pool.fetchval("SELECT count(*) FROM referral_case WHERE case_id = $1", first[1])
    assert kept == 1


async def test_who_stays_linked_over_a_third_id_keeps_one_case(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    number = await posted(intake, client, care, referral("V-1", parties=[doubtful()]))
    second = await harmed(intake, number)
    assert (await decide_same(client)).status_code == 200
    # A third id, linked with both.
    for one, other in ((first[0], second[0]), (second[0], first[0])):
        await intake.pool.execute(
            """UPDATE stream SET state = jsonb_set(state::jsonb, '{links}', $2::jsonb)::json
               WHERE kind = 'person' AND key = $1""",
            one,
            json.dumps(sorted([other, "p-third"])),
        )
    await intake.pool.execute(
        """INSERT INTO stream (kind, key, version, base, state) VALUES ('person', 'p-third', 1, 1, $1)""",
        json.dumps({"links": sorted([first[0], second[0]])}),
    )
    assert (await unlink(client, first[0], second[0])).status_code == 200
    assert (await harmed(intake, number))[1] == first[1]


async def test_one_human_does_not_have_two_pnc_numbers(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    mine = party(identifiers={"pnc": "79/163001B"})
    theirs = doubtful(identifiers={"pnc": "01/410K"})
    await posted(intake, client, police, referral(parties=[mine]))
    await posted(intake, client, care, referral("V-1", parties=[theirs]))
    answer = await decide_same(client)
    assert (answer.status_code, kind(answer)) == (409, "contradiction"), answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["identifiers.pnc"]
    assert "163001" not in answer.text
    assert [name for _, name in await events(intake, "people") if name == "person.linked"] == []
