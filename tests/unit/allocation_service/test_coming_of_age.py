"""A child comes of age while a case goes on: the agency that led through the parent leads the person."""

from __future__ import annotations

from typing import Any

from services.allocation.domain import answers, cases, coming_of_age, route
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import CaseState
from shared.contracts.cases import CaseAllocated, CaseProposed
from shared.contracts.referrals import PartyFact, ReferralFacts
from shared.contracts.states import replace
from tests.unit.allocation_service.given import (
    ANNA,
    BEN,
    CASE,
    NOW,
    PROPOSAL,
    allocated,
    assigned,
    facts,
    find,
    go_on,
    received,
    settle,
    told,
)

MONA = "person-mona"


def child(version: int = 1, referral: str = "r1", **anna: Any) -> ReferralFacts:
    said = {"contact_persons": (MONA,), "age_band": "10_to_17"} | anna
    parties = (PartyFact(person=ANNA, role="harmed", **said), PartyFact(person=BEN, role="responsible"))
    return facts(version, referral, parties=parties)


GROWN: dict[str, Any] = {"contact_persons": (), "age_band": "18_to_24"}


def led_through_her_mother() -> CaseState:
    parties = tuple(
        replace(planned, person=MONA) if planned.party == ANNA else planned for planned in PROPOSAL.parties
    )
    story = received(proposal=replace(PROPOSAL, parties=parties), parties=child().parties)
    return assigned(story.state, ANNA, BEN).state


def tells(state: CaseState, now: ReferralFacts) -> Story:
    story = go_on(state)
    before = state.referrals.get(now.referral)
    assert cases.referral(story, now, NOW)
    coming_of_age.follow(story, CASE, before, now)
    if story.state.closed is None and story.state.parties[ANNA].person == ANNA:
        route.plan(story, PROPOSAL)
    return settle(story)


def test_the_same_agency_and_worker_are_claimed_for_the_person() -> None:
    state = led_through_her_mother()
    assert state.parties[ANNA].person == MONA
    story = tells(state, child(**GROWN))
    lead = find(story, CaseProposed).leads[0]
    known = state.parties[ANNA]
    assert (lead.party, lead.person, lead.agency, lead.worker) == (ANNA, ANNA, "beacon", known.worker)
    assert lead.of_age
    assert len(find(story, CaseProposed).leads) == 1, "nobody else is asked about"
    answers.answered(story, ANNA, find(story, CaseProposed).claim, "beacon", None)
    settle(story)
    allocated = find(story, CaseAllocated)
    assert next((p.party, p.person, p.agency) for p in allocated.parties) == (ANNA, ANNA, "beacon")
    assert "come of age" in find(story, CaseProposed).why[0]


def test_that_the_parents_lead_has_ended_asks_nobody_else() -> None:
    story = go_on(led_through_her_mother())
    cases.lead_ended(story, MONA, "beacon", "came_of_age")
    settle(story)
    assert told(story) == []
    assert story.state.parties[ANNA].tried == ()


def test_what_the_hub_was_asked_is_asked_still() -> None:
    story = go_on(led_through_her_mother())
    cases.person_out(story, BEN, "withdrawn")
    assert story.state.undecided == "no_responsible_left"
    assert tells(story.state, child(**GROWN)).state.undecided == "no_responsible_left"


def test_a_party_without_a_lead_is_claimed_as_policy_has_it() -> None:
    story = go_on(led_through_her_mother())
    cases.lead_ended(story, MONA, "beacon", "returned")
    settled = tells(story.state, child(**GROWN))
    assert settled.state.parties[ANNA].person == ANNA
    assert not any(lead.of_age for lead in find(settled, CaseProposed).leads)


def test_a_case_that_is_over_stays_over() -> None:
    story = go_on(led_through_her_mother())
    cases.close(story, "no_response")
    assert told(tells(story.state, child(**GROWN))) == []


def test_only_one_who_was_a_child_comes_of_age() -> None:
    state = led_through_her_mother()
    dropped = tells(state, child(2, contact_persons=()))
    assert dropped.state.parties[ANNA].person == MONA, "a child without a contact person is still a child"
    unknown = tells(state, child(2, contact_persons=(), age_band="unknown"))
    assert unknown.state.parties[ANNA].person == MONA
    corrected = tells(state, child(2, **GROWN))
    assert corrected.state.parties[ANNA].person == ANNA


# --- somebody else is spoken to


def test_a_parent_who_is_named_later_is_spoken_to_by_whoever_leads() -> None:
    state = allocated()
    story = tells(state, child(2))
    (lead,) = find(story, CaseProposed).leads
    assert (lead.party, lead.person, lead.agency, lead.of_age) == (ANNA, MONA, "beacon", True)
    cases.lead_ended(story, ANNA, "beacon", "contact_person_changed")
    answers.answered(story, ANNA, find(story, CaseProposed).claim, "beacon", None)
    cases.lead_ended(story, ANNA, "beacon", "contact_person_changed")
    settle(story)
    assert next(p.person for p in find(story, CaseAllocated).parties if p.party == ANNA) == MONA
    assert story.state.parties[ANNA].place == "led"


def test_another_contact_person_takes_the_place_of_one_whom_no_referral_names_any_more() -> None:
    state = led_through_her_mother()
    (lead,) = find(tells(state, child(2, contact_persons=("person-alma",))), CaseProposed).leads
    assert (lead.person, lead.agency) == ("person-alma", "beacon")
    another = tells(state, child(1, "r2", contact_persons=("person-alma",)))
    assert told(another) == [], "the first referral still names her mother"


def test_whoever_is_not_led_yet_is_claimed_for_who_is_spoken_to_by_then() -> None:
    story = go_on(allocated())
    cases.give_back(story, "beacon", "no_capacity")
    cases.referral(story, child(2), NOW)
    coming_of_age.follow(story, CASE, facts(), child(2))
    assert story.state.parties[ANNA].person == MONA
    assert told(story) == ["CaseReturned"]
