"""A link undone: two cases again, and what was said stays said. A link that two numbers contradict is not made."""

import json
from typing import Any

import httpx

from services.intake.core import Intake
from tests.integration.intake.helpers import Headers, by_two, events, harmed, kind, posted
from tests.support.referrals import offender, party, referral
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


async def told(intake: Intake, key: str, name: str) -> list[dict[str, Any]]:
    rows = await intake.pool.fetch(
        "SELECT data FROM journal WHERE key = $1 AND type LIKE $2 || '.v%' ORDER BY position", key, name
    )
    return [json.loads(row["data"]) for row in rows]


async def test_a_case_that_became_one_by_a_wrong_link_is_two_again(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    first = await harmed(intake, await posted(intake, client, police, referral()))
    number = await posted(intake, client, care, referral("V-1", parties=[doubtful(), offender()]))
    second = await harmed(intake, number)
    assert (await decide_same(client)).status_code == 200
    assert (await harmed(intake, number))[1] == first[1], "one case while they are one human"
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
