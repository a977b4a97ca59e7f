"""P1 Hertfordshire, through the public API of all four services. Source: rjc-multi-agency-partnerships, area 1."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.conftest import Onefriend
from tests.e2e.steps import HERTFORDSHIRE, Case, refer, referral, register, status, withdraw
from tests.support.running import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICE, BEACON, MEDIATION = "hertfordshire-constabulary", "beacon", "mediation-hertfordshire"
CRC, CO_ORDINATOR = "bench-crc", "herts-rj-coordinator"


def takes_part(*agencies: str) -> dict[str, Any]:
    return {"scope": ["take_part"], "agencies": list(agencies), "wording": "v1", "means": "phone"}


async def victim_led(onefriend: Onefriend) -> tuple[Case, dict[str, Any], dict[str, Any]]:
    """A case that the victim begins, and what Beacon and Mediation Hertfordshire are told of it."""
    document = referral(
        HERTFORDSHIRE, onefriend.stranger(), onefriend.stranger("responsible"), initiated_by="harmed"
    )
    (case,) = await refer(onefriend, POLICE, document)
    return case, await case.allocated(BEACON), await case.allocated(MEDIATION, "responsible")


async def test_the_usual_case_from_beacon_to_mediation_with_her_agreement(onefriend: Onefriend) -> None:
    """Given a victim who begins; when she agrees with Beacon; then Mediation goes on, and nobody begins anew."""
    case, entry, _ = await victim_led(onefriend)
    anna = entry["party"]

    # It leads for the other side, and of her it is told nothing: "not yours" and "does not exist" look the same.
    await case.refused(MEDIATION, anna, "not-found")
    early = await case.permit(BEACON, anna)
    details = await case.release(BEACON, early)
    assert details["phones"], details
    # While Beacon has her details in its hands, the lead stays where it is.
    busy = await case.hand_over(BEACON, anna, MEDIATION)
    assert (busy.status_code, busy.json()["type"].rsplit("/", 1)[-1]) == (409, "in-flight"), busy.text
    await case.outcome(BEACON, early, "agreed")
    without = await case.hand_over(BEACON, anna, MEDIATION)
    assert (without.status_code, without.json()["type"].rsplit("/", 1)[-1]) == (409, "no-agreement")

    agreed = await onefriend.post(
        "consent", f"/v1/people/{anna}/agreements", BEACON, {"case": case.id, **takes_part(MEDIATION)}
    )
    assert agreed.status_code == 201, agreed.text
    done = await case.hand_over(BEACON, anna, MEDIATION)
    assert done.status_code == 200, done.text
    await onefriend.wait_for(MEDIATION, "lead.handed_over", case.id)
    await case.allocated(MEDIATION, "harmed")
    await case.refused(BEACON, anna, "not-lead", purpose="conversation")
    await case.refused(MEDIATION, anna, "already-approached")
    talk = await case.permit(MEDIATION, anna, purpose="conversation")
    assert (await case.release(MEDIATION, talk))["name"] == details["name"]


async def test_the_offender_begins_and_the_crc_leads_for_him(onefriend: Onefriend) -> None:
    """Offender-initiated: BeNCH CRC leads and pays; Beacon still speaks first with the victim."""
    ben = onefriend.stranger("responsible", supervising_agency=CRC, willing=True)
    document = referral(HERTFORDSHIRE, onefriend.stranger(), ben, initiated_by="responsible", stage="licence")
    (case,) = await refer(onefriend, CRC, document)
    victim, offender = await case.allocated(BEACON), await case.allocated(CRC, "responsible")
    seen = (await case.read(BEACON)).json()
    assert (seen["rule"], seen["funder"]) == ("beacon-first", CRC)
    assert "Beacon speaks first with every victim" in " ".join(seen["why"])
    await case.contact(CRC, offender["party"], "agreed")
    await case.refused(CRC, victim["party"], "not-lead")
    await case.contact(BEACON, victim["party"], "no_answer")


async def test_a_young_offender_is_reached_through_his_mother(onefriend: Onefriend) -> None:
    """The victim of a young offender must be offered RJ; the child himself is spoken to through a parent, twice at most."""
    mother = onefriend.stranger("responsible")
    mother = {k: v for k, v in mother.items() if k not in {"role", "admitted"}}
    boy = onefriend.stranger(
        "responsible", date_of_birth="2012-05-06", contact_person={**mother, "relation": "parent"}
    )
    document = referral(HERTFORDSHIRE, onefriend.stranger(), boy, stage="caution")
    (case,) = await refer(onefriend, POLICE, document)
    offender = await case.allocated(MEDIATION, "responsible")
    child, parent = offender["party"], offender["data"]["person"]
    assert child != parent
    cleared = await onefriend.wait_for(MEDIATION, "case.cleared", case.id)
    assert (cleared["data"]["attempts"], "text" in cleared["data"]["channels"]) == (2, False)
    await case.refused(MEDIATION, child, "no-lead", "needs-contact-person")
    details = await case.contact(MEDIATION, child, "agreed", contact_person=parent)
    assert details["name"]["surname"] == mother["name"]["surname"]


async def test_a_sensitive_case_waits_for_the_explicit_agreement_to_share(onefriend: Onefriend) -> None:
    """No case type is excluded; without the agreement nobody is approached, and the referrer is told what is missing."""
    parties = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(HERTFORDSHIRE, *parties, incident={"offence_class": "sexual"}, stage="custody")
    (case,) = await refer(onefriend, POLICE, document)
    told = await onefriend.wait_for(POLICE, "referral.held", case.id)
    assert told["data"]["reason"] == "agreement_to_share_missing"
    assert told["data"]["missing"]
    assert (await status(onefriend, POLICE, case.referral))["status"] == "on_hold"
    assert await onefriend.feed(BEACON, case=case.id) == []

    agreement = {
        "scope": ["share", "be_contacted"], "wording": "v1", "means": "written", "on": "2026-03-01",
        "recorded_by": "PC 1234", "evidence": "MG11-77",
    }  # fmt: skip
    await onefriend.post_referral(POLICE, {**document, "version": 2, "agreement": agreement})
    await onefriend.wait_for(POLICE, "referral.hold_lifted", case.id)
    entry = await case.allocated(BEACON)
    await case.permit(BEACON, entry["party"])


async def test_a_second_agency_is_refused_and_learns_no_more(onefriend: Onefriend) -> None:
    """Two agencies refer one victim; one leads, the other is refused, and a stranger agency cannot tell that she exists."""
    harmed, responsible = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(HERTFORDSHIRE, harmed, responsible)
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated(BEACON)
    (again,) = await refer(onefriend, "victim-support-hertfordshire", {**document, "reference": "VS-1"})
    assert again.id == case.id
    await case.contact(BEACON, entry["party"], "no_answer")
    await case.refused("victim-support-hertfordshire", entry["party"], "not-lead")
    unknown = await case.ask("durham-restorative-hub", entry["party"])
    nobody = await case.ask("durham-restorative-hub", "nobody")
    assert (unknown.status_code, unknown.json()["title"]) == (404, nobody.json()["title"])
    assert (await case.read("durham-restorative-hub")).status_code == 404
    assert len(await onefriend.feed(BEACON, "case.allocated", case.id)) == 1


async def test_she_withdraws_midway_and_it_binds_everybody(onefriend: Onefriend) -> None:
    """She tells the police that she wants no more, while Beacon's call is under way: in flight, then closed for all."""
    case, entry, offender = await victim_led(onefriend)
    anna = entry["party"]
    permit = await case.permit(BEACON, anna)
    await case.release(BEACON, permit)
    state = await withdraw(onefriend, POLICE, anna)
    assert state["outcome"] == "in_flight", state
    await onefriend.wait_for(BEACON, "consent.withdrawn", case.id)
    await onefriend.wait_for(MEDIATION, "consent.withdrawn", case.id, side="other")
    await case.outcome(BEACON, permit, "no_answer")
    # Refused for what she said; soon nobody leads for her at all.
    await case.refused(BEACON, anna, "withdrawn", "no-lead")
    await case.refused(MEDIATION, offender["party"], "counterpart-withdrawn", "case-closed", "no-lead")


async def test_the_co_facilitator_in_the_team_sees_the_case_and_gets_no_permit(onefriend: Onefriend) -> None:
    """Usually two practitioners, one of a professional agency: the second sees the case, and contacts nobody."""
    case, entry, offender = await victim_led(onefriend)
    await register(onefriend, MEDIATION, "provider")
    await register(onefriend, "nps-hertfordshire", "nps")
    for agency, worker in ((MEDIATION, "volunteer-9"), ("nps-hertfordshire", "officer-9")):
        body = {"agency": agency, "named": False, "details": {}}
        put = await onefriend.call(
            "allocation", "PUT", f"/v1/workers/{worker}", "onefriend", "operator", json=body
        )
        assert put.status_code == 200, put.text
    assert (await case.read("nps-hertfordshire")).status_code == 404
    team = await case.change("PUT", "team", MEDIATION, {"members": ["volunteer-9", "officer-9"]})
    assert team.status_code == 200, team.text
    seen = await case.read("nps-hertfordshire")
    assert seen.json()["relations"] == ["team"], seen.text
    assert {party["agency"] for party in seen.json()["parties"]} == {BEACON, MEDIATION}
    for person in (entry["party"], offender["party"]):
        for worker in ("officer-9", "worker-1"):
            answer = await case.ask("nps-hertfordshire", person, worker=worker)
            assert answer.status_code in {404, 409}, answer.text


async def test_a_choice_on_the_community_remedy_document_is_prior_contact_that_said_yes(
    onefriend: Onefriend,
) -> None:
    """She chose RJ on the document: the constabulary goes on with her as agreed, and nobody else may."""
    anna = onefriend.stranger(
        prior_contact={"by": POLICE, "answer": "yes", "on": "2026-03-02", "means": "visit"}
    )
    document = referral(
        HERTFORDSHIRE, anna, onefriend.stranger("responsible"), stage="community_resolution",
        initiated_by="harmed", chosen_on_remedy_document=True,
    )  # fmt: skip
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated(POLICE)
    await case.allocated(POLICE, "responsible")
    talk = await case.permit(POLICE, entry["party"], purpose="conversation")
    await case.release(POLICE, talk)
    assert (await case.ask(BEACON, entry["party"])).status_code == 404


async def test_who_said_no_before_opens_closed(onefriend: Onefriend) -> None:
    """She had told the police no: Beacon leads nothing to ask her, and every permit is refused."""
    anna = onefriend.stranger(prior_contact={"by": POLICE, "answer": "no", "on": "2026-03-02"})
    (case,) = await refer(onefriend, POLICE, referral(HERTFORDSHIRE, anna, onefriend.stranger("responsible")))

    last: list[str] = []

    async def stopped() -> bool:
        seen = await case.read("onefriend", "cases.read", "operator")
        last[:] = [seen.text]
        body = seen.json()
        return seen.status_code == 200 and ("said_no" in body["pauses"] or body["reason"] == "prior_no")

    try:
        await until(stopped, every=0.1)
    except AssertionError:
        raise AssertionError(last[0]) from None
    seen = await case.read("onefriend", "cases.read", "operator")
    party = next(p for p in seen.json()["parties"] if p["role"] == "harmed")
    assert party["agency"] is None, party
    await case.refused(POLICE, party["party"], "no-lead", "prior-no", "not-found")
    await case.refused(BEACON, party["party"], "no-lead", "prior-no", "not-found")
    assert await onefriend.feed(BEACON, "case.allocated", case.id) == []


async def test_a_mother_speaking_for_two_children_is_approached_once(onefriend: Onefriend) -> None:
    """Two harmed children, one mother: two cases, one lead, one approach that covers both."""
    mother = {k: v for k, v in onefriend.stranger().items() if k != "role"}
    children = [
        onefriend.stranger(date_of_birth=born, phones=[], contact_person={**mother, "relation": "parent"})
        for born in ("2014-04-04", "2017-09-09")
    ]
    document = referral(HERTFORDSHIRE, *children, onefriend.stranger("responsible"))
    first, second = await refer(onefriend, POLICE, document, cases=2)
    one, two = await first.allocated(BEACON), await second.allocated(BEACON)
    parent = one["data"]["person"]
    assert two["data"]["person"] == parent
    assert len({one["party"], two["party"], parent}) == 3

    await second.permit(BEACON, two["party"], contact_person=parent, channel="letter")
    await first.refused(BEACON, one["party"], "permit-live", contact_person=parent)


async def test_a_self_referral_is_nothing_before_the_persons_reply(onefriend: Onefriend) -> None:
    """Public and unverified: one message to the address given and no case; by the reply it goes to the co-ordinator."""
    body = {
        "name": {"forenames": "Odile", "surname": "Quennell"},
        "emails": [{"address": "odile.quennell@example.org"}],
        "date_of_birth": "1969-07-21",
        "offence_class": "burglary",
        "area": HERTFORDSHIRE[0],
    }

    async def led() -> list[dict[str, Any]]:
        told = await onefriend.feed(CO_ORDINATOR, "case.allocated")
        return [entry for entry in told if entry["data"].get("role") == "harmed"]

    people = "SELECT count(*) FROM journal WHERE topic IN ('people', 'referrals')"
    before = await onefriend.services["intake"].pool.fetchval(people)
    headers = {"Idempotency-Key": '"odile"'}
    posted = await onefriend.http.post(
        onefriend.urls["intake"] + "/v1/self-referrals", json=body, headers=headers
    )
    assert posted.status_code == 202, posted.text
    await until(lambda: bool(onefriend.mailbox.to("odile.quennell@example.org")))
    (text,) = onefriend.mailbox.to("odile.quennell@example.org")
    link = re.search(r"http\S+/v1/self-referrals/\S+", text)
    assert link is not None, text
    assert (await onefriend.http.get(link[0])).status_code == 200
    assert await led() == []
    assert await onefriend.services["intake"].pool.fetchval(people) == before

    assert (await onefriend.http.post(link[0])).status_code == 200
    entry = await onefriend.wait_for(CO_ORDINATOR, "case.allocated", role="harmed")
    case = Case(onefriend, entry["case"])
    talk = await case.permit(CO_ORDINATOR, entry["party"], purpose="conversation", channel="email")
    assert (await case.release(CO_ORDINATOR, talk))["emails"]
    assert (await onefriend.http.post(link[0])).status_code in {200, 404, 410}
    assert len(await led()) == 1
