"""P2 Northumbria, through the public API of all four services. Source: rjc-multi-agency-partnerships, area 2."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Onefriend
from tests.e2e.steps import NORTHUMBRIA, refer, referral, register, withdraw

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICE, VFN, SUNDERLAND = "northumbria-police", "victims-first-northumbria", "yot-sunderland"


async def test_the_police_refer_and_the_victims_co_ordinator_speaks_first(onefriend: Onefriend) -> None:
    """Most referrals: Northumbria Police to VFN, which makes the first contact and delivers before sentence."""
    document = referral(
        NORTHUMBRIA,
        onefriend.stranger(),
        onefriend.stranger("responsible"),
        stage="pre_sentence",
        sharing_agreement="northumbria-2026",
    )
    (case,) = await refer(onefriend, POLICE, document)
    victim, offender = await case.allocated(VFN), await case.allocated(VFN, "responsible")
    assert (await case.read(VFN)).json()["funder"] == "victims-grant"
    await case.refused(POLICE, victim["party"], "not-lead")
    await case.contact(VFN, victim["party"], "agreed", agreement={"scope": ["take_part"]})
    await case.contact(VFN, offender["party"], "agreed")
    done = await onefriend.post(
        "allocation",
        f"/v1/cases/{case.id}/outcomes",
        VFN,
        {"form": "conference", "agreement": True, "fulfilled": True, "kinds": ["apology"], "satisfied": True},
    )
    assert done.status_code == 201, done.text
    await onefriend.wait_for(POLICE, "outcome.recorded", case.id, form="conference", fulfilled=True)


async def test_an_offender_on_licence_asks_and_whoever_holds_him_leads(onefriend: Onefriend) -> None:
    """Victim-focused, not only victim-initiated: high risk, so NPS leads for him; VFN speaks with her, who decides."""
    ben = onefriend.stranger("responsible", risk="high", willing=True)
    document = referral(NORTHUMBRIA, onefriend.stranger(), ben, stage="licence", initiated_by="responsible")
    (case,) = await refer(onefriend, "nps-northumbria", document)
    victim, offender = await case.allocated(VFN), await case.allocated("nps-northumbria", "responsible")
    await case.contact("nps-northumbria", offender["party"], "agreed", agreement={"scope": ["take_part"]})
    await case.contact(VFN, victim["party"], "declined")
    # She has decided: nobody else asks her, and he is not prepared for a meeting that will not be.
    await case.refused(VFN, victim["party"], "declined", "no-lead", "case-closed")
    await case.refused(
        "nps-northumbria", offender["party"], "counterpart-withdrawn", "no-lead", "case-closed",
        purpose="conversation",
    )  # fmt: skip


async def test_a_young_offender_goes_to_the_youth_offending_team_of_his_area(onefriend: Onefriend) -> None:
    """Six teams: Sunderland's takes him, its own funding pays, and the victim is offered RJ by VFN all the same."""
    mother = {k: v for k, v in onefriend.stranger().items() if k != "role"}
    boy = onefriend.stranger(
        "responsible", date_of_birth="2011-01-15", phones=[], contact_person={**mother, "relation": "parent"}
    )
    document = referral(
        NORTHUMBRIA, onefriend.stranger(), boy, stage="community_order", initiated_by="court",
        incident={"area": "E08000024"},
    )  # fmt: skip
    (case,) = await refer(onefriend, "northumbria-magistrates", document)
    victim, offender = await case.allocated(VFN), await case.allocated(SUNDERLAND, "responsible")
    seen = (await case.read(VFN)).json()
    assert seen["funder"] == "local-authority-and-youth-justice-board"
    parent = offender["data"]["person"]
    assert parent != offender["party"]
    await case.contact(SUNDERLAND, offender["party"], "agreed", contact_person=parent)
    await case.refused("yot-gateshead", offender["party"], "not-found", contact_person=parent)
    await case.contact(VFN, victim["party"], "no_answer")


async def test_the_work_on_sentenced_offenders_is_balanced(onefriend: Onefriend) -> None:
    """Four agencies can deliver after sentence: four cases in a row do not all go to one; VFN leads each victim."""
    deliverers = []
    for _ in range(4):
        document = referral(
            NORTHUMBRIA, onefriend.stranger(), onefriend.stranger("responsible"), stage="post_sentence",
            initiated_by="harmed",
        )  # fmt: skip
        (case,) = await refer(onefriend, POLICE, document)
        await case.allocated(VFN)
        seen = (await case.read(VFN)).json()
        deliverers.append(seen["delivery"]["agencies"][0])
    assert len(set(deliverers)) >= 2, deliverers


async def test_a_seconded_workers_employer_sees_nothing(onefriend: Onefriend) -> None:
    """A police officer seconded to VFN works in VFN's team: the police, the employer, get no permit and no sight by it."""
    await register(onefriend, VFN, "victim_care")
    worker = {
        "agency": VFN,
        "named": False,
        "details": {"employer": "northumbria-crc", "roles": ["facilitator"]},
    }
    put = await onefriend.call(
        "allocation", "PUT", "/v1/workers/seconded-1", "onefriend", "operator", json=worker
    )
    assert put.status_code == 200, put.text
    document = referral(
        NORTHUMBRIA, onefriend.stranger(), onefriend.stranger("responsible"), stage="pre_sentence"
    )
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated(VFN)
    team = await case.change("PUT", "team", VFN, {"members": ["seconded-1"]})
    assert team.status_code == 200, team.text
    assert (await case.read("northumbria-crc")).status_code == 404
    await case.refused("northumbria-crc", entry["party"], "not-found", worker="seconded-1")
    await case.permit(VFN, entry["party"], worker="seconded-1")


async def test_domestic_abuse_without_the_agreement_to_share_is_held(onefriend: Onefriend) -> None:
    """Sensitive: held, the referrer told what is missing, nobody given the case."""
    parties = onefriend.stranger(), onefriend.stranger("responsible")
    document = referral(NORTHUMBRIA, *parties, incident={"offence_class": "domestic_abuse"})
    (case,) = await refer(onefriend, POLICE, document)
    told = await onefriend.wait_for(POLICE, "referral.held", case.id)
    assert (told["data"]["reason"], bool(told["data"]["missing"])) == ("agreement_to_share_missing", True)
    assert await onefriend.feed(VFN, "case.allocated", case.id) == []


async def test_a_victim_who_told_the_police_no_is_not_asked_by_vfn(onefriend: Onefriend) -> None:
    """The earlier answer reaches the decision: nobody may approach her."""
    anna = onefriend.stranger(prior_contact={"by": POLICE, "answer": "no", "on": "2026-03-02"})
    document = referral(
        NORTHUMBRIA, anna, onefriend.stranger("responsible"), sharing_agreement="northumbria-2026"
    )
    (case,) = await refer(onefriend, POLICE, document)
    told = await onefriend.wait_for(POLICE, "case.paused", case.id)
    assert told["data"]["reason"] == "said_no"
    assert await onefriend.feed(VFN, "case.allocated", case.id) == []


async def test_she_withdraws_through_another_agency_before_anybody_has_called(onefriend: Onefriend) -> None:
    """Clean: nothing was under way; VFN, which leads, is told at once and can call no more."""
    document = referral(NORTHUMBRIA, onefriend.stranger(), onefriend.stranger("responsible"), stage="caution")
    (case,) = await refer(onefriend, POLICE, document)
    entry = await case.allocated(VFN)
    unused = await case.permit(VFN, entry["party"])
    state = await withdraw(onefriend, POLICE, entry["party"])
    assert state["outcome"] == "clean", state
    body = {"permit": unused["permit"], "fence": unused["fence"]}
    release = await onefriend.call("intake", "POST", "/v1/releases", VFN, json=body)
    assert release.status_code == 409, release.text
    assert "phones" not in release.text
    await onefriend.wait_for(VFN, "consent.withdrawn", case.id, scope="everything")
