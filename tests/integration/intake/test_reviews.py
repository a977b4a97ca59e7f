"""Deciding who is who: decisions kept, undone and checked by a second person; who is shown what; what waits for whom."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from services.intake.core import Intake
from tests.integration.intake.helpers import Headers, events, harmed, kind, posted
from tests.integration.intake.stand_in import StandIn
from tests.support.referrals import offender, party, referral
from tests.support.tokens import bearer

POLICE, CARE, HUB = "hertfordshire-constabulary", "beacon", "herts-rj-coordinator"
INCIDENT = {**referral()["incident"]}


def sender(agency: str) -> Headers:
    return bearer(agency, "referrals.write", "referrals.read")


def reviewer(worker: str, agency: str = HUB, kind: str = "agency") -> Headers:
    return bearer(agency, "hub", "referrals.read", worker=worker, kind=kind)


def doubtful(**fields: Any) -> dict[str, Any]:
    """Return Mary Wells again, with no more than her name and birth date: never joined by machine."""
    return party(addresses=[], phones=[], emails=[], **fields)


class Doubt:
    """Mary Wells twice, from two agencies, about one incident; and the review that asks."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.older = self.newer = self.case = self.own_case = self.review = self.referral = ""

    async def post(self, intake: Intake, *parties: dict[str, Any]) -> Doubt:
        """Refer her twice: the second time with these parties."""
        self.older, self.case = await harmed(
            intake, await posted(intake, self.client, sender(POLICE), referral())
        )
        document = referral("V-1", parties=list(parties) or [doubtful()])
        self.referral = await posted(intake, self.client, sender(CARE), document)
        self.newer, self.own_case = await harmed(intake, self.referral)
        self.review = (await self.page("anna"))[0]["id"]
        return self

    async def page(self, worker: str, **query: str) -> list[dict[str, Any]]:
        """A page of the queue as a worker sees it."""
        answer = await self.client.get("/v1/match-reviews", params=query, headers=reviewer(worker))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["reviews"])

    async def act(self, worker: str, action: str, **body: str) -> httpx.Response:
        """Decide, give a second opinion, or undo, as the review stands now."""
        seen = await self.client.get(f"/v1/match-reviews/{self.review}", headers=reviewer(worker))
        headers = {**reviewer(worker), "If-Match": seen.headers["etag"]}
        path = f"/v1/match-reviews/{self.review}/{action}"
        body = body or {"reason": "undone"}
        return await self.client.post(
            path, json=body if action == "undo" else {"reason": "other", **body}, headers=headers
        )

    async def person(self, person: str) -> dict[str, Any]:
        """What a hub sees of a person."""
        return dict((await self.client.get(f"/v1/people/{person}", headers=reviewer("anna"))).json())

    async def summary(self) -> dict[str, Any]:
        """How many wait for what."""
        return dict((await self.client.get("/v1/match-reviews/summary", headers=reviewer("anna"))).json())


async def test_same_undone_is_two_people_two_cases_and_a_doubt_again(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    assert (await doubt.act("anna", "decision", answer="same")).status_code == 200
    assert (await doubt.person(doubt.older))["links"] == [doubt.newer]
    assert (await harmed(intake, doubt.referral))[1] == doubt.case, "one harmed party, one incident, one case"
    undone = await doubt.act("ben", "undo")
    assert undone.status_code == 200, undone.text
    older, newer = await doubt.person(doubt.older), await doubt.person(doubt.newer)
    assert (older["links"], older["on_hold"]) == ([], False), "the older person is never locked out"
    assert "identity_doubtful" in newer["holds"].values()
    parted = (await harmed(intake, doubt.referral))[1]
    assert parted not in (doubt.case, doubt.own_case), "an over case does not come back"
    assert (parted, "referral.received") in await events(intake, "referrals")
    [review] = await doubt.page("anna")
    assert (review["id"], review["answer"]) == (doubt.review, None)
    assert (await doubt.act("ben", "decision", answer="same")).status_code == 200
    assert (await harmed(intake, doubt.referral))[1] == doubt.case
    for person in (doubt.older, doubt.newer):
        assert not (await doubt.person(person))["holds"], "one human, one case: nobody is kept from it"
    assert (await doubt.act("anna", "undo")).status_code == 200
    assert "not_this_person" in (await doubt.person(doubt.newer))["holds"].values(), "as the first time"


async def test_what_keeps_her_from_contact_in_a_case_goes_where_the_case_goes(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """A call to her number may be answered by whoever did it: so it is said of her in the second referral's case."""
    number = [{"number": "07700 900777"}]
    mary = party(addresses=[], emails=[], phones=number)
    doubt = await Doubt(client).post(intake, mary, offender(phones=number))
    unsafe = "SELECT case_id FROM hold WHERE person = $1 AND reason = 'unsafe_contact' AND lifted_at IS NULL"
    assert await intake.pool.fetchval(unsafe, doubt.newer) == doubt.own_case
    assert (await doubt.act("anna", "decision", answer="same")).status_code == 200
    assert await intake.pool.fetchval(unsafe, doubt.newer) == doubt.case
    assert (await doubt.act("ben", "undo")).status_code == 200
    parted = (await harmed(intake, doubt.referral))[1]
    assert await intake.pool.fetchval(unsafe, doubt.newer) == parted
    rows = await intake.pool.fetch(
        """SELECT data::jsonb ->> 'case' AS held FROM journal WHERE key = $1 AND type LIKE 'person.held.v%'
           AND data::jsonb ->> 'reason' = 'unsafe_contact' ORDER BY position""",
        doubt.newer,
    )
    assert [row["held"] for row in rows] == [doubt.own_case, doubt.case, parted]


async def test_a_no_by_an_old_name_of_a_case_is_a_no_in_the_case_as_which_it_goes_on(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """A letter bears the name that the case had when it was written, and an agency uses the one that it was told."""
    consent = StandIn(intake)
    doubt = await Doubt(client).post(intake)
    assert (await doubt.act("anna", "decision", answer="same")).status_code == 200
    assert (await doubt.act("ben", "undo")).status_code == 200
    parted = (await harmed(intake, doubt.referral))[1]
    care = bearer(CARE, "withdrawals.write")
    told = [
        {"person": doubt.newer, "case": doubt.own_case, "scope": "case"},
        {"person": doubt.newer, "case": doubt.case, "scope": "case"},
        {"case": doubt.own_case, "scope": "case"},
        {"person": doubt.newer, "case": doubt.own_case},
    ]
    for number, body in enumerate(told):
        answer = await client.post(
            "/v1/withdrawals", json=body, headers={**care, "Idempotency-Key": f'"{number}"'}
        )
        assert answer.status_code == 201, answer.text
    assert [body["cases"] for body in consent.called("POST", "withdrawals")] == [[parted]] * 3 + [[]]
    internal = bearer("notifications", "internal", kind="service")
    made = await client.post(
        f"/v1/people/{doubt.newer}/withdrawal-link?case={doubt.own_case}", headers=internal
    )
    path = "/v1" + made.json()["url"].partition("/v1")[2]
    assert (await client.post(path, data={"scope": "case"})).status_code == 200
    assert consent.called("POST", "withdrawals")[-1]["cases"] == [parted]
    stranger = {"person": doubt.older, "case": doubt.own_case, "scope": "case"}
    wrong = await client.post("/v1/withdrawals", json=stranger, headers={**care, "Idempotency-Key": '"w"'})
    assert wrong.status_code == 404, "a name that was never theirs is mistyped"


async def test_nothing_is_handed_out_in_a_case_that_goes_on_as_another_or_whose_referral_was_taken_back(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """Consent hears of either from allocation, perhaps much later: until then it would redeem a permit."""
    consent = StandIn(intake)
    mary = party(addresses=[], emails=[], phones=[{"number": "07700 900777"}])
    doubt = await Doubt(client).post(intake, mary)
    care = bearer(CARE, "contact", "referrals.write")

    async def release(case: str) -> tuple[int, str]:
        permit = consent.permit(f"p-{len(consent.permits)}", doubt.newer, case, CARE)
        answer = await client.post("/v1/releases", json={"permit": permit, "fence": 1}, headers=care)
        return answer.status_code, kind(answer) if answer.is_error else ""

    assert (await doubt.act("anna", "decision", answer="same")).status_code == 200
    assert await release(doubt.own_case) == (409, "changed")
    first = await intake.pool.fetchval("SELECT id::text FROM referral WHERE agency = $1", POLICE)
    police = {**sender(POLICE), "Idempotency-Key": '"r"'}
    assert (await client.post(f"/v1/referrals/{first}/retraction", headers=police)).status_code == 202
    assert await release(doubt.case) == (200, ""), "the other referral is of the same human"
    path = f"/v1/referrals/{doubt.referral}/retraction"
    gone = await client.post(path, headers={**care, "Idempotency-Key": '"r"'})
    assert gone.status_code == 202, gone.text
    assert await release(doubt.case) == (409, "changed")


async def test_different_undone_lets_the_question_be_asked_again(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    await doubt.act("anna", "decision", answer="different")
    assert await intake.pool.fetchval("SELECT count(*) FROM told_apart") == 2
    assert not (await doubt.person(doubt.newer))["on_hold"]
    assert [one["answer"] for one in await doubt.page("ben", state="decided")] == ["different"]
    await doubt.act("anna", "undo")
    assert await intake.pool.fetchval("SELECT count(*) FROM told_apart") == 0
    assert (await doubt.person(doubt.newer))["on_hold"]
    again = await doubt.act("anna", "undo")
    assert (again.status_code, kind(again)) == (409, "not-decided")
    acts = "SELECT array_agg(act || ':' || answer || ':' || worker ORDER BY id) FROM review_opinion"
    assert await intake.pool.fetchval(acts) == ["decision:different:anna", "undo:different:anna"]


async def test_of_several_candidates_each_has_its_evidence_and_all_that_is_known_of_it(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    assert (await doubt.act("anna", "decision", answer="same")).status_code == 200
    other = {**doubtful(date_of_birth=None), "phones": [{"number": "07700 900555"}]}
    there = (
        await harmed(intake, await posted(intake, client, sender(POLICE), referral("C-2", parties=[other])))
    )[0]
    doubt.review = (await doubt.page("anna"))[0]["id"]
    assert (await doubt.act("anna", "decision", answer="different")).status_code == 200
    third = referral("V-3", parties=[{**doubtful(), "phones": other["phones"]}])
    newest = (await harmed(intake, await posted(intake, client, sender(CARE), third)))[0]
    [review] = await doubt.page("anna")
    assert review["candidates"] == [there, doubt.older]
    assert list(review["others"]) == [doubt.older], "the first's is the review's own"
    tables = [
        {line["field"]: line["level"] for line in of}
        for of in (review["evidence"], *review["others"].values())
    ]
    assert tables[0].get("telephone") == tables[1].get("date_of_birth") == "same"
    assert "date_of_birth" not in tables[0]
    assert "telephone" not in tables[1]
    doubt.review = review["id"]
    body = (await client.get(f"/v1/match-reviews/{doubt.review}", headers=reviewer("anna"))).json()
    assert [side["person"] for side in body["sides"]] == [newest, there, doubt.older]
    assert [len(side["records"]) for side in body["sides"]] == [1, 1, 2], "of linked people every id's"
    assert (await doubt.act("anna", "decision", answer="different")).status_code == 200
    apart = "SELECT other, bits FROM told_apart WHERE person = $1"
    bits = {row["other"]: row["bits"] for row in await intake.pool.fetch(apart, newest)}
    assert bits == {
        person: pytest.approx(sum(line["bits"] for line in of))
        for person, of in ((there, review["evidence"]), *review["others"].items())
    }, "asked about again on more evidence than there was of each"


async def test_cannot_tell_asks_the_agency_and_what_it_answers_ends_the_asking(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    await doubt.act("anna", "decision", answer="cannot_tell")
    assert await doubt.page("anna") == []
    [asked] = await doubt.page("anna", state="asked")
    assert asked["asked_at"]
    status = (await client.get(f"/v1/referrals/{doubt.referral}", headers=sender(CARE))).json()
    assert "identity_incomplete" in [hold["reason"] for hold in status["holds"]], (
        "the agency sees what is asked"
    )
    assert (await doubt.person(doubt.newer))["on_hold"]
    await doubt.act("anna", "decision", answer="different")
    status = (await client.get(f"/v1/referrals/{doubt.referral}", headers=sender(CARE))).json()
    assert status["holds"] == [], "decided all the same: nothing is asked any more"


async def test_a_later_version_that_says_nothing_new_of_the_older_person_does_not_lock_them_out(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """Somebody like her came meanwhile, and is on hold; the police add a note to what they had sent of her."""
    doubt = await Doubt(client).post(intake)
    noted = referral(version=2, notes="She rang again.")
    await posted(intake, client, sender(POLICE), noted)
    again = referral("V-1", version=2, parties=[doubtful()], notes="He rang again.")
    await posted(intake, client, sender(CARE), again)
    assert not (await doubt.person(doubt.older))["on_hold"]
    assert (await doubt.person(doubt.newer))["on_hold"]
    assert [one["id"] for one in await doubt.page("anna")] == [doubt.review], "the question is the same"


async def _asked(intake: Intake) -> list[list[str]]:
    """What agencies were asked for, after a reviewer could not tell."""
    rows = await intake.pool.fetch(
        """SELECT data -> 'missing' AS missing FROM journal
           WHERE type LIKE 'referral.held.%' AND data ->> 'hold' LIKE '%:asked' ORDER BY position"""
    )
    return [json.loads(row["missing"]) for row in rows]


async def test_the_agency_is_asked_for_what_it_has_not_said_as_often_as_nobody_can_tell(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    """It had been asked for a date of birth, which it had sent."""
    doubt = await Doubt(client).post(intake)
    for _ in range(2):
        assert (await doubt.act("anna", "decision", answer="cannot_tell")).status_code == 200
        assert (await doubt.act("anna", "undo")).status_code == 200
    unsaid = ["addresses[0].postcode", "phones[0].number", "emails[0].address", "identifiers"]
    assert await _asked(intake) == [[f"parties[0].{field}" for field in unsaid]] * 2


async def test_what_the_agency_answers_ends_the_asking(intake: Intake, client: httpx.AsyncClient) -> None:
    doubt = await Doubt(client).post(intake)
    await doubt.act("anna", "decision", answer="cannot_tell")
    await posted(intake, client, sender(CARE), referral("V-1", version=2, parties=[party()]))
    assert (await doubt.person(doubt.newer))["links"] == [doubt.older]
    status = (await client.get(f"/v1/referrals/{doubt.referral}", headers=sender(CARE))).json()
    assert status["holds"] == []


async def test_of_an_incident_that_nobody_can_tell_the_agency_is_asked_too(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = Doubt(client)
    await posted(intake, client, sender(POLICE), referral())
    other = {**INCIDENT, "reference": "41/1235/26"}
    doubt.referral = await posted(intake, client, sender(CARE), referral("V-1", incident=other))
    doubt.review = (await doubt.page("anna", kind="incident"))[0]["id"]
    for decided in ("different", "same"):
        assert (await doubt.act("anna", "decision", answer="cannot_tell")).status_code == 200
        assert (await doubt.act("anna", "decision", answer=decided)).status_code == 200
        status = (await client.get(f"/v1/referrals/{doubt.referral}", headers=sender(CARE))).json()
        assert status["holds"] == []
        assert (await doubt.act("anna", "undo")).status_code == 200
    assert await _asked(intake) == [["incident"]] * 2


async def test_a_later_version_that_settles_it_leaves_nothing_in_the_queue(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    await posted(intake, client, sender(CARE), referral("V-1", version=2, parties=[party()]))
    assert (await doubt.person(doubt.newer))["links"] == [doubt.older]
    assert await doubt.page("anna") == []
    [review] = await doubt.page("anna", state="decided")
    assert review["answer"] == "superseded"
    assert (await doubt.act("anna", "undo")).status_code == 409


async def test_a_second_opinion_is_blind_and_two_that_differ_are_a_doubt(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    intake.own.second_reviews = 1.0
    doubt = await Doubt(client).post(intake)
    assert (await doubt.act("anna", "decision", answer="same")).status_code == 200
    assert await doubt.page("anna", state="second") == [], "nobody is their own second"
    [blind] = await doubt.page("ben", state="second")
    seen = (await client.get(f"/v1/match-reviews/{doubt.review}", headers=reviewer("ben"))).json()
    for body in (blind, seen):
        told = {name: body[name] for name in ("answer", "decided_with", "decided_by", "decided_at")}
        assert not any(told.values()), told
    alone = await doubt.act("anna", "second", answer="same")
    assert alone.status_code == 422
    differs = await doubt.act("ben", "second", answer="different")
    assert differs.json()["agree"] is False
    assert (await doubt.person(doubt.older))["links"] == []
    assert (await doubt.person(doubt.newer))["on_hold"]
    for worker in ("anna", "ben"):
        assert (await doubt.act(worker, "decision", answer="same")).status_code == 422, (
            "a third person decides"
        )
    assert (await doubt.act("cleo", "decision", answer="different")).status_code == 200
    agrees = await doubt.act("dora", "second", answer="different")
    assert agrees.json()["agree"] is True
    measured = (await doubt.summary())["agreement"]
    assert (measured["pairs"], measured["agreed"], measured["share"]) == (2, 1, 0.5)


async def test_what_is_shown_follows_the_sharing_agreements(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    doubt = await Doubt(client).post(intake)
    path = f"/v1/match-reviews/{doubt.review}"
    for headers, shown in (
        (reviewer("anna"), True),
        (reviewer("sue", "sussex-hub-east"), False),
        (reviewer("olive", "operator", "operator"), False),
    ):
        body = (await client.get(path, headers=headers)).json()
        records = [record for side in body["sides"] for record in side["records"]]
        assert all((record["sent"] is not None) is shown for record in records)
        assert all((record["agency"] is not None) is shown for record in records)
        assert body["evidence"], "how they compare has no values, and is for everybody who decides"
    [record] = (await client.get(path, headers=reviewer("anna"))).json()["sides"][1]["records"]
    assert set(record["sent"]) <= {
        "name",
        "date_of_birth",
        "sex",
        "addresses",
        "phones",
        "emails",
        "identifiers",
    }
    read = "SELECT count(*) FROM read_log WHERE what = 'match_review'"
    assert await intake.pool.fetchval(read) == 2 * 4 + 0, "every reading is recorded"


async def test_the_queue_begins_with_what_is_due_first_and_keeps_what_an_agency_must_settle_apart(
    intake: Intake, client: httpx.AsyncClient
) -> None:
    hearing = {"dates": {"hearing": "2026-12-05"}}
    for number, (forename, surname, born, more) in enumerate(
        (("Una", "Abbott", "1950-01-05", {}), ("Tariq", "Quillfeather", "1988-12-30", hearing))
    ):
        who: dict[str, Any] = {
            "name": {"forenames": forename, "surname": surname},
            "date_of_birth": born,
            "sex": None,
        }
        incident = {**INCIDENT, "reference": f"41/200{number}/26"}
        known = party(phones=[{"number": f"0770090077{number}"}], emails=[], addresses=[], **who)
        document = referral(f"P-{number}", incident=incident, parties=[known])
        await posted(intake, client, sender(POLICE), document)
        again = referral(f"C-{number}", incident=incident, parties=[doubtful(**who)], **more)
        await posted(intake, client, sender(CARE), again)
    nobody = {"role": "harmed", "name": {"full": "Nora Stone"}}
    await posted(intake, client, sender(CARE), referral("N-1", parties=[nobody]))
    doubt = Doubt(client)
    found = await doubt.page("anna")
    assert [one["due_for"] for one in found] == ["hearing", None]
    first = await client.get("/v1/match-reviews", params={"limit": 1}, headers=reviewer("anna"))
    following = await client.get(
        "/v1/match-reviews", params={"limit": 1, "cursor": first.json()["next"]}, headers=reviewer("anna")
    )
    assert [one["id"] for one in (first.json()["reviews"] + following.json()["reviews"])] == [
        one["id"] for one in found
    ]
    counts = await doubt.summary()
    assert (counts["open"], counts["incomplete"]) == (2, 1)
    holds = (await client.get("/v1/match-reviews/incomplete", headers=reviewer("anna"))).json()["holds"]
    assert [hold["agency"] for hold in holds] == [CARE]
