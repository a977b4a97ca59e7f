"""A referral is accepted durably, its people are recognised, and the others are told."""

import asyncio

import httpx

from services.intake.api import DIRECT
from services.intake.core import Intake
from tests.integration.intake.helpers import Headers, events, kind, matched
from tests.support.referrals import offender, party, referral, strangers
from tests.support.tokens import bearer


async def test_a_referral_becomes_people_and_a_case(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    answer = await client.post("/v1/referrals", json=referral(), headers=police)
    assert answer.status_code == 202, answer.text
    await matched(intake, 1)
    people = await events(intake, "people")
    assert [kind for _, kind in people] == ["person.referred", "person.referred"]
    assert [kind for _, kind in await events(intake, "referrals")] == ["referral.received"]
    told = await client.get(answer.headers["location"], headers=police)
    assert told.json()["status"] == "matched"
    assert len(told.json()["cases"]) == 1


async def test_two_agencies_about_one_incident_are_one_person_and_one_case(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    await client.post("/v1/referrals", json=referral(), headers=police)
    await client.post("/v1/referrals", json=referral("VC-9", parties=[party()]), headers=care)
    await matched(intake, 2)
    people = await events(intake, "people")
    assert len({key for key, _ in people}) == 2
    assert [kind for _, kind in await events(intake, "referrals")] == ["referral.received"] * 2
    assert len({key for key, _ in await events(intake, "referrals")}) == 1


async def test_the_same_new_person_posted_at_once_by_two_agencies_is_one_person(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    posts = []
    for n, someone in enumerate(strangers(200)):
        incident = {"offence_class": "burglary", "reference": f"41/{n}/26", "force": "41", "on": "2026-03-02"}
        for headers in (police, care):
            document = referral(f"P-{n}", parties=[someone], incident=incident)
            posts.append(client.post("/v1/referrals", json=document, headers=headers))
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}
    await matched(intake, 400)
    rows = await intake.pool.fetch(
        """SELECT count(DISTINCT p.person) AS people, count(DISTINCT c.case_id) AS cases
        FROM party AS p JOIN referral_case AS c USING (referral)"""
    )
    assert dict(rows[0]) == {"people": 200, "cases": 200}


async def test_every_repetition_has_its_answer(
    intake: Intake, client: httpx.AsyncClient, police: Headers, care: Headers
) -> None:
    first = await client.post("/v1/referrals", json=referral(), headers=police)
    again = await client.post("/v1/referrals", json=referral(), headers=police)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await client.post("/v1/referrals", json=referral(notes="more"), headers=police)
    assert (other.status_code, kind(other)) == (409, "other-content")
    third = await client.post("/v1/referrals", json=referral(version=3), headers=police)
    assert (third.status_code, third.json()["referral"]) == (202, first.json()["referral"])
    older = await client.post("/v1/referrals", json=referral(version=2), headers=police)
    assert (older.status_code, kind(older)) == (409, "older-version")
    seen = await client.post("/v1/referrals", json=referral(), headers=police)
    assert (seen.status_code, seen.json()) == (200, first.json())
    theirs = await client.post("/v1/referrals", json=referral(), headers=care)
    assert theirs.status_code == 202
    assert theirs.json()["referral"] != first.json()["referral"]
    hidden = await client.get(first.headers["location"], headers=care)
    assert hidden.status_code == 404


async def test_bad_fields_are_all_named_at_once(
    intake: Intake, client: httpx.AsyncClient, police: Headers
) -> None:
    document = referral(
        version="1", parties=[party(), offender(identifiers={"pnc": "2001/0171310S"})], surprise=1
    )
    answer = await client.post("/v1/referrals", json=document, headers=police)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "version",
        "parties[1].identifiers.pnc",
        "surprise",
    }


async def test_who_posts_a_referral_is_asked_for_a_token_and_its_scope(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """This route is answered without the framework, which asks at all the others."""
    assert ("POST", "/v1/referrals") in DIRECT
    nobody = await client.post("/v1/referrals", json=referral())
    reader = await client.post("/v1/referrals", json=referral(), headers=bearer("police", "referrals.read"))
    assert (nobody.status_code, reader.status_code) == (401, 403)
    assert await intake.pool.fetchval("SELECT count(*) FROM referral") == 0
