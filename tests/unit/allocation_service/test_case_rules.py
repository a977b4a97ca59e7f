"""What happens to a case, told as given, when, then."""

from __future__ import annotations

import pytest

from services.allocation import policy
from services.allocation.domain import answers, cases, joining, route
from services.allocation.domain.cases import Refused
from services.allocation.domain.evolve import Story, evolve
from services.allocation.domain.state import CaseState, leads_of, status_of
from services.allocation.handlers.planning import with_answers
from shared.contracts.cases import (
    CaseAllocated,
    CaseCleared,
    CaseClosed,
    CaseNeedsDecision,
    CasePartyLeft,
    CasePaused,
    CaseProposed,
    CaseQueued,
    CaseResumed,
    OutcomeRecorded,
)
from shared.contracts.envelope import Payload
from shared.contracts.referrals import PartyFact
from shared.contracts.states import replace
from shared.runtime.stream import Stream
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
    party,
    received,
    research,
    settle,
    told,
)


def test_a_referral_becomes_a_claim_for_each_party() -> None:
    story = received()
    assert told(story) == ["CaseProposed"]
    proposed = find(story, CaseProposed)
    assert [(lead.party, lead.agency) for lead in proposed.leads] == [(ANNA, "beacon"), (BEN, "probation")]
    assert proposed.claim == "case-1.1"
    assert status_of(story.state) == "proposed"


def test_nothing_is_told_before_every_party_is_answered() -> None:
    first = assigned(received().state, ANNA)
    assert told(first) == []
    second = assigned(first.state, BEN)
    assert told(second) == ["CaseAllocated", "CaseCleared"]
    assert leads_of(second.state) == {"beacon", "probation"}


def test_the_same_version_of_a_referral_changes_nothing() -> None:
    state = allocated()
    assert not cases.referral(go_on(state), facts(), NOW)
    assert told(received(state)) == []


def test_whoever_consent_makes_the_lead_leads_though_another_claim_has_been_made_since() -> None:
    """The hub names another agency while a claim is being decided: consent gives the first, and refuses the second."""
    story = go_on(received().state)
    cases.assign(story, CASE, ANNA, "harbour-care", None, "hub")
    assert answers.answered(story, ANNA, "case-1.1", "beacon", "w1")
    assert not answers.refused(story, ANNA, "case-1.2", "led_elsewhere", None)
    assert (story.state.parties[ANNA].place, story.state.parties[ANNA].agency) == ("led", "beacon")
    assert not answers.answered(story, ANNA, "case-1.1", "beacon", "w1"), "and again changes nothing"


def test_a_claim_answered_with_another_agency_names_no_worker_of_the_one_that_was_asked() -> None:
    """The case closed and goes on, and the lead that it had never ended."""
    state = received().state
    asked = replace(state, parties={**state.parties, ANNA: replace(state.parties[ANNA], worker="w1")})
    theirs, others = go_on(asked), go_on(asked)
    assert answers.answered(theirs, ANNA, "case-1.1", "beacon", None)
    assert answers.answered(others, ANNA, "case-1.1", "second-care", None)
    found = [story.state.parties[ANNA] for story in (theirs, others)]
    assert [(anna.place, anna.agency, anna.worker) for anna in found] == [
        ("led", "beacon", "w1"),
        ("led", "second-care", None),
    ]


def test_who_leads_is_not_forgotten_because_the_hub_names_another() -> None:
    """The lead has begun with the person and stays: consent would refuse the claim, and nobody would be named any more."""
    story = go_on(allocated())
    cases.give_back(story, "beacon", "no_capacity", keep=True)
    with pytest.raises(Refused, match="beacon leads it; take the lead back, or hand it over"):
        cases.assign(story, CASE, ANNA, "harbour-care", None, "hub")
    cases.assign(story, CASE, ANNA, "beacon", None, "hub")
    assert told(story) == ["CaseReturned", "CaseNeedsDecision"]
    assert (story.state.parties[ANNA].place, story.state.parties[ANNA].agency) == ("led", "beacon")


def test_a_lead_that_an_unlink_gives_back_comes_under_its_old_claim_and_is_told() -> None:
    story = go_on(allocated())
    cases.lead_ended(story, ANNA, "beacon", "linked")
    settle(story)
    assert find(story, CaseProposed).leads[0].agency == "second-care"
    answers.refused(story, ANNA, "case-1.2", "led_elsewhere", None)
    settle(story)
    again = go_on(story.state)
    assert answers.answered(again, ANNA, "case-1.1", "beacon", "w1")
    settle(again)
    assert told(again) == ["CaseAllocated", "CaseCleared"]
    assert next(p for p in find(again, CaseAllocated).parties if p.party == ANNA).agency == "beacon"


def test_a_no_of_somebody_linked_ends_with_the_link() -> None:
    harmed = go_on(allocated())
    cases.person_out(harmed, ANNA, "linked")
    assert find(harmed, CaseClosed).reason == "linked"
    cases.reopen(harmed, ANNA, "unlinked")
    settle(harmed)
    assert told(harmed) == ["CaseClosed", "CaseResumed", "CaseProposed"]
    assert find(harmed, CaseResumed).pause is None, "consent lets the closed case go on"
    responsible = go_on(allocated())
    cases.person_out(responsible, BEN, "linked")
    cases.reopen(responsible, BEN, "unlinked")
    assert told(settle(responsible)) == ["CaseNeedsDecision", "CaseProposed"]


def test_a_lead_that_was_refused_for_a_no_of_somebody_linked_is_claimed_when_the_link_ends() -> None:
    story = received()
    answers.refused(story, ANNA, story.state.parties[ANNA].claim or "", "closed", None)
    answers.answered(story, BEN, story.state.parties[BEN].claim or "", "probation", None)
    settle(story)
    assert find(story, CaseClosed).reason == "closed"
    cases.reopen(story, ANNA, "unlinked")
    settle(story)
    assert told(story)[-3:] == ["CaseClosed", "CaseResumed", "CaseProposed"]


def test_a_case_that_went_on_goes_on_after_a_restore_too() -> None:
    """A restored journal has what was told and no notes: that the case is open again must follow from it."""
    story = go_on(allocated())
    cases.person_out(story, ANNA, "linked")
    cases.reopen(story, ANNA, "unlinked")
    settle(story)
    state = allocated()
    for one in story.told:
        state = evolve(state, one) if isinstance(one, Payload) else state
    assert state.closed is None
    assert state.parties[ANNA].place == "claimed"


def test_a_no_of_ones_own_outlasts_the_link() -> None:
    story = go_on(allocated())
    cases.person_out(story, ANNA, "withdrawn")
    cases.reopen(story, ANNA, "unlinked")
    assert story.state.closed == "withdrawn"


def test_whoever_no_referral_names_any_more_has_left_the_case() -> None:
    """Consent may just be making an agency the lead of Ben: it hears that he is not in the case, and ends that lead."""
    more = (*facts().parties, PartyFact(person="carl", role="responsible"))
    both = replace(PROPOSAL, parties=(*PROPOSAL.parties, party("carl", "responsible", "yot")))
    story = go_on(received(received().state, both, referral="r2", parties=more).state)
    assert story.state.parties["carl"].place == "claimed"
    cases.retract(story, "r2")
    left = find(story, CasePartyLeft)
    assert (left.party, left.person, left.reason) == ("carl", "carl", "retracted")
    assert not answers.answered(story, "carl", "case-1.2", "yot", None)
    again = received(story.state, both, referral="r3", parties=more)
    assert [lead.party for lead in find(again, CaseProposed).leads] == ["carl"]


def test_a_case_whose_only_referral_was_taken_back_begins_anew_with_the_next_one() -> None:
    """Posted in error, and then rightly: the same incident, the same case."""
    story = go_on(allocated())
    cases.retract(story, "r1")
    assert story.state.closed == "retracted"
    again = received(story.state, referral="r2")
    assert told(again) == ["CaseResumed", "CaseProposed"]


def test_a_case_of_one_human_with_two_ids_ended_with_the_no_though_one_referral_is_taken_back_after_it() -> (
    None
):
    ann = party("person-ann", "harmed", "beacon")
    both = replace(PROPOSAL, parties=(*PROPOSAL.parties, ann))
    named = (PartyFact(person="person-ann", role="harmed"),)
    story = go_on(received(allocated(), both, referral="r2", parties=named).state)
    cases.person_out(story, "person-ann", "declined")
    cases.retract(story, "r1")
    assert find(story, CaseClosed).reason == "declined"
    cases.reopen(story, "person-ann")
    assert story.state.closed is None, "she asked to take part after all"


def test_a_case_that_ended_otherwise_does_not_begin_anew() -> None:
    story = go_on(allocated())
    cases.close(story, "concluded")
    assert told(received(story.state, referral="r2")) == []


def test_nobody_is_cleared_while_a_referral_is_held_or_after_the_person_is_erased() -> None:
    held = Story(allocated(replace(PROPOSAL, checks=(research("police"),))))
    (key,) = held.state.checks
    cases.hold(held, "h1", "identity_incomplete", None)
    cases.answer_check(held, key, "police", satisfied=True)
    assert "CaseCleared" not in told(settle(held))
    cases.lift(held, "h1", "answered")
    assert told(settle(held))[-1] == "CaseCleared"
    erased = Story(allocated(replace(PROPOSAL, checks=(research("police"),))))
    (key,) = erased.state.checks
    cases.person_out(erased, ANNA, "erased")
    with pytest.raises(Refused):
        cases.answer_check(erased, key, "police", satisfied=True)
    assert "CaseCleared" not in told(settle(erased))


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("jurisdiction", "say which one"),
        ("check_suitability", "weigh it"),
        ("conflict_of_interest", "name an agency"),
    ],
)
def test_a_decision_that_is_needed_says_first_what_there_is_to_decide(reason: str, says: str) -> None:
    story = go_on(allocated())
    route.ask_hub(story, reason)
    asked = find(story, CaseNeedsDecision)
    assert asked.reason == reason
    assert says in asked.why[0]
    assert asked.why[1:] == PROPOSAL.why


def test_a_party_led_elsewhere_keeps_its_lead_and_the_case_is_allocated() -> None:
    story = Story(received().state)
    answers.refused(story, ANNA, "case-1.1", "led_elsewhere", ("harbour-care", "w7"))
    settle(assigned(story.state, BEN))
    story = assigned(story.state, BEN)
    anna = next(p for p in find(story, CaseAllocated).parties if p.party == ANNA)
    assert (anna.agency, anna.worker, anna.refused) == ("harbour-care", "w7", "led_elsewhere")


def test_a_party_led_by_nobody_we_know_is_for_the_hub() -> None:
    """Led under an id that turned out to be the same human's: no case of ours says by whom, nor tells when that is over."""
    story = Story(received().state)
    answers.refused(story, ANNA, "case-1.1", "led_elsewhere", None)
    story = assigned(story.state, BEN)
    assert told(story) == ["CaseNeedsDecision"]
    assert find(story, CaseNeedsDecision).reason == "led_elsewhere"
    assert status_of(story.state) == "needs_decision"


def test_a_person_who_said_no_closes_the_case() -> None:
    story = Story(received().state)
    answers.refused(story, ANNA, "case-1.1", "withdrawn", None)
    story = assigned(story.state, BEN)
    assert find(story, CaseClosed).reason == "withdrawn"
    assert status_of(story.state) == "closed"


def test_no_agency_by_rule_is_for_the_hub() -> None:
    story = received(proposal=replace(PROPOSAL, parties=(party(ANNA, "harmed"),)))
    assert told(story) == ["CaseNeedsDecision"]
    assert find(story, CaseNeedsDecision).reason == "no_agency_by_rule"
    assert told(received(story.state, story.state.proposal or PROPOSAL, version=2)) == []


def test_the_hub_names_a_lead_and_consent_is_asked() -> None:
    story = received(proposal=replace(PROPOSAL, parties=(party(ANNA, "harmed"),)))
    cases.assign(story, CASE, ANNA, "beacon", "w1", "the hub")
    assert find(story, CaseProposed).leads[0].agency == "beacon"
    assert story.state.undecided is None
    assert told(assigned(story.state, ANNA)) == ["CaseAllocated", "CaseCleared"]


def test_checks_are_asked_after_allocation_and_in_their_order() -> None:
    proposal = replace(
        PROPOSAL,
        checks=(
            research("police"),
            research("probation"),
            research("hub", kind="approval", after=("research/police", "research/probation")),
        ),
    )
    story = received(proposal=proposal)
    assert told(story) == ["CaseProposed"]
    story = assigned(story.state, ANNA, BEN)
    assert told(story) == ["CaseAllocated", "CheckRequested", "CheckRequested", "CaseCleared"]
    assert [p.party for p in find(story, CaseCleared).parties] == [BEN]
    police, probation = story.state.checks
    first = go_on(story.state)
    cases.answer_check(first, police, "police", satisfied=True)
    assert told(settle(first)) == ["CheckAnswered"]
    second = go_on(first.state)
    cases.answer_check(second, probation, "probation", satisfied=True)
    assert told(settle(second)) == ["CheckAnswered", "CheckRequested"]
    approval = list(second.state.checks)[-1]
    third = go_on(second.state)
    cases.answer_check(third, approval, "hub", satisfied=True)
    assert told(settle(third)) == ["CheckAnswered", "CaseCleared"]


def test_a_check_answered_twice_or_by_another_agency() -> None:
    story = go_on(allocated(replace(PROPOSAL, checks=(research("police"),))))
    (key,) = story.state.checks
    with pytest.raises(Refused, match="another agency"):
        cases.answer_check(story, key, "beacon", satisfied=True)
    cases.answer_check(story, key, "police", satisfied=True)
    cases.answer_check(story, key, "police", satisfied=True)
    assert told(story) == ["CheckAnswered"]
    with pytest.raises(Refused, match="answered already"):
        cases.answer_check(story, key, "police", satisfied=False)


def test_a_no_to_a_check_goes_to_the_hub_which_cannot_waive_willingness() -> None:
    for kind, waivable in (("suitability", True), ("willingness", False)):
        proposal = replace(PROPOSAL, checks=(research("probation", kind=kind, about=(BEN,)),))
        story = go_on(allocated(proposal))
        cases.answer_check(story, next(iter(story.state.checks)), "probation", satisfied=False)
        settle(story)
        assert find(story, CaseNeedsDecision).reason == f"check_{kind}"
        assert not story.state.parties[ANNA].cleared
        if waivable:
            cases.proceed(story)
            assert settle(story).state.parties[ANNA].cleared
        else:
            with pytest.raises(Refused, match="cannot be decided by a hub"):
                cases.proceed(story)


def test_the_offender_first_then_the_victim() -> None:
    """Kent: the harmed party waits for the responsible party's own answer."""
    proposal = replace(PROPOSAL, checks=(research("probation", kind="willingness", about=(BEN,)),))
    story = go_on(allocated(proposal))
    assert story.state.parties[BEN].cleared
    assert not story.state.parties[ANNA].cleared
    cases.reached(story, BEN, "agreed")
    assert told(settle(story)) == ["CheckAnswered", "CaseCleared"]
    assert story.state.parties[ANNA].cleared


def test_held_until_a_later_version_says_so() -> None:
    """Devon and Cornwall: no victim is approached before a responsible person is identified."""
    held = replace(
        PROPOSAL,
        parties=(party(ANNA, "harmed", "beacon", hold="responsible_not_identified"),),
    )
    story = received(proposal=held, parties=(PartyFact(person=ANNA, role="harmed"),))
    assert told(story)[0] == "CasePaused"
    assert find(story, CasePaused).reason == "responsible_not_identified"
    story = assigned(story.state, ANNA)
    assert "CaseCleared" not in told(story)
    later = received(story.state, PROPOSAL, version=2)
    assert told(later) == ["CaseResumed", "CaseProposed", "CaseCleared"]
    assert find(later, CaseCleared).parties[0].party == ANNA
    assert told(assigned(later.state, BEN)) == ["CaseAllocated", "CaseCleared"]


def test_a_hold_of_a_referral_keeps_the_case_from_everybody() -> None:
    story = Story(CaseState())
    cases.referral(story, facts(), NOW)
    cases.hold(story, "h1", "agreement_missing", None)
    route.plan(story, PROPOSAL)
    settle(story)
    assert told(story) == ["CasePaused"]
    cases.hold(story, "h1", "agreement_missing", None)
    assert told(story) == ["CasePaused"]
    cases.lift(story, "h1", "agreement_given")
    assert told(settle(story)) == ["CasePaused", "CaseResumed", "CaseProposed"]


def test_the_hold_arrives_while_consent_decides() -> None:
    story = Story(received().state)
    cases.hold(story, "h1", "doubtful_incident", None)
    story = assigned(story.state, ANNA, BEN)
    assert told(story) == []
    cases.lift(story, "h1", "resolved")
    assert told(settle(story)) == ["CaseResumed", "CaseAllocated", "CaseCleared"]


def test_a_new_check_after_clearance_pauses_the_case_until_it_is_answered() -> None:
    story = received(allocated(), replace(PROPOSAL, checks=(research("hub", kind="approval"),)), version=2)
    assert "CasePaused" in told(story)
    assert not story.state.parties[ANNA].cleared
    (key,) = story.state.checks
    cases.answer_check(story, key, "hub", satisfied=True)
    settle(story)
    assert told(story)[-2:] == ["CaseCleared", "CaseResumed"]


def test_a_second_co_defendant_is_claimed_alone() -> None:
    carl = "person-carl"
    more = replace(PROPOSAL, parties=(*PROPOSAL.parties, party(carl, "responsible", "yot")))
    parties = (*facts().parties, PartyFact(person=carl, role="responsible"))
    story = received(allocated(), more, version=2, parties=parties)
    assert [lead.party for lead in find(story, CaseProposed).leads] == [carl]
    after = assigned(story.state, carl)
    assert told(after) == ["CaseAllocated", "CaseCleared"]
    assert [p.party for p in find(after, CaseCleared).parties] == [carl]


def test_withdrawal_of_the_harmed_party_closes_and_of_the_last_responsible_asks_the_hub() -> None:
    harmed = go_on(allocated())
    cases.person_out(harmed, ANNA, "withdrawn")
    assert told(settle(harmed)) == ["CaseClosed"]
    responsible = go_on(allocated())
    cases.person_out(responsible, BEN, "withdrawn")
    assert find(responsible, CaseNeedsDecision).reason == "no_responsible_left"
    cases.person_out(responsible, BEN, "withdrawn")
    assert told(responsible) == ["CaseNeedsDecision"]


def test_a_parent_who_speaks_for_two_children_withdraws_for_both() -> None:
    ella, finn, parent = "ella", "finn", "parent"
    parties = tuple(
        PartyFact(person=child, role="harmed", contact_persons=(parent,)) for child in (ella, finn)
    )
    planned = tuple(replace(party(child, "harmed", "beacon"), person=parent) for child in (ella, finn))
    story = received(proposal=replace(PROPOSAL, parties=planned), parties=parties)
    assert {lead.person for lead in find(story, CaseProposed).leads} == {parent}
    cases.person_out(story, parent, "withdrawn")
    assert find(story, CaseClosed).reason == "withdrawn"


def test_who_asks_again_is_claimed_again() -> None:
    story = go_on(allocated())
    cases.person_out(story, ANNA, "withdrawn")
    cases.reopen(story, ANNA)
    settle(story)
    assert told(story) == ["CaseClosed", "CaseResumed", "CaseProposed"]
    assert find(story, CaseProposed).claim == "case-1.2"


def test_hand_over_is_told_with_the_new_lead() -> None:
    story = go_on(allocated())
    cases.hand_over(story, ANNA, "mediation", "w9")
    settle(story)
    anna = next(p for p in find(story, CaseAllocated).parties if p.party == ANNA)
    assert (anna.agency, anna.worker) == ("mediation", "w9")
    assert story.state.parties[ANNA].cleared


def test_returned_goes_to_the_next_option_and_then_to_the_hub() -> None:
    story = go_on(allocated())
    cases.give_back(story, "beacon", "conflict_of_interest")
    settle(story)
    assert told(story) == ["CaseReturned", "CaseProposed"]
    assert find(story, CaseProposed).leads[0].agency == "second-care"
    story = assigned(story.state, ANNA)
    cases.give_back(story, "second-care", "no_capacity")
    settle(story)
    assert told(story)[-2:] == ["CaseReturned", "CaseNeedsDecision"]


def test_a_lead_that_ended_unasked_is_proposed_elsewhere_once() -> None:
    story = go_on(allocated())
    cases.lead_ended(story, ANNA, "beacon", "linked")
    settle(story)
    cases.lead_ended(story, ANNA, "beacon", "linked")
    settle(story)
    assert told(story) == ["CaseProposed"]


def test_accepted_once_and_only_by_a_lead() -> None:
    story = go_on(allocated())
    with pytest.raises(Refused):
        cases.accept(story, "stranger", None)
    cases.accept(story, "beacon", "w1")
    cases.accept(story, "beacon", "w1")
    assert told(story) == ["CaseAccepted"]
    with pytest.raises(Refused, match="already accepted"):
        cases.accept(story, "beacon", "w2")


def test_no_return_after_an_outcome() -> None:
    story = go_on(allocated())
    cases.record_outcome(story, CASE, "beacon", OutcomeRecorded(form="conference", agreement=True))
    with pytest.raises(Refused, match="close it instead"):
        cases.may_give_back(story.state, "beacon")


def test_nobody_free_waits_in_the_queue_and_is_told_once() -> None:
    story = Story(CaseState())
    cases.referral(story, facts(), NOW)
    route.plan(story, replace(PROPOSAL, clocks={"inform": NOW}))
    full = route.Staffing(full="beacon")
    route.settle(story, CASE, full)
    route.settle(story, CASE, full)
    assert told(story) == ["CaseQueued"]
    assert find(story, CaseQueued).due == NOW
    route.settle(story, CASE, route.Staffing({ANNA: "w1"}))
    assert find(story, CaseProposed).leads[0].worker == "w1"
    assert status_of(story.state) == "proposed"


def test_retracted_with_no_other_referral_closes() -> None:
    story = received(allocated(), PROPOSAL, referral="r2")
    cases.retract(story, "r1")
    assert story.state.closed is None
    cases.retract(story, "r2")
    assert find(story, CaseClosed).reason == "retracted"


def test_joined_cases_go_on_as_one() -> None:
    story = go_on(allocated())
    joining.join(story, "case-2")
    assert find(story, CaseClosed).joined_into == "case-2"
    with pytest.raises(Refused, match="case-2"):
        cases.accept(story, "beacon", None)


def test_a_case_that_was_over_when_it_was_joined_is_told_as_joined_and_does_not_come_back() -> None:
    for reason in ("declined", "linked"):
        story = go_on(allocated())
        cases.person_out(story, ANNA, reason)
        assert find(story, CaseClosed).reason == reason
        joining.join(story, "case-2")
        assert find(story, CaseClosed).joined_into == "case-2"
        joining.join(story, "case-2")
        assert told(story).count("CaseClosed") == 2, "once each"
        cases.reopen(story, ANNA, "unlinked")
        cases.reopen(story, ANNA)
        assert story.state.closed == "joined", "it goes on as the other: there would be two of it"


def test_what_the_hub_has_paused_stays_paused_in_the_case_as_which_it_goes_on() -> None:
    joined = go_on(allocated())
    cases.pause_by_hub(joined, "safety", None)
    story = go_on(allocated())
    joining.take_over_pause(story, joined.state)
    assert find(story, CasePaused).reason == "safety"
    own = go_on(allocated())
    cases.pause_by_hub(own, "in_hospital", None)
    joining.take_over_pause(own, joined.state)
    assert [one.reason for one in own.told if isinstance(one, CasePaused)] == ["in_hospital"]


def test_two_pauses_need_two_resumptions() -> None:
    story = go_on(allocated())
    cases.pause_by_hub(story, "safety", None)
    cases.hold(story, "h1", "doubtful_incident", None)
    first, second = (one.pause for one in story.told if isinstance(one, CasePaused))
    cases.resume_by_hub(story, "safe_again")
    assert find(story, CaseResumed).pause == first
    assert status_of(story.state) == "on_hold"
    cases.lift(story, "h1", "resolved")
    assert find(story, CaseResumed).pause == second
    assert status_of(story.state) == "cleared"


def test_the_state_survives_its_encoding() -> None:
    stream = Stream(kind="case", topic="cases", state=CaseState, evolve=evolve)
    proposal = replace(PROPOSAL, checks=(research("police", due=NOW),), clocks={"inform": NOW})
    state = allocated(proposal)
    assert stream.decode(stream.encode(state)) == state


def test_a_closing_check_is_asked_after_the_outcome_and_closing_waits_for_it() -> None:
    proposal = replace(
        PROPOSAL, checks=(research("provider", kind="needs_assessment", gates=(), closing=True),)
    )
    story = go_on(allocated(proposal))
    assert story.state.checks == {}
    cases.record_outcome(story, CASE, "beacon", OutcomeRecorded(form="indirect", agreement=False))
    settle(story)
    (key,) = story.state.checks
    with pytest.raises(Refused, match="before the case is closed"):
        cases.close_by_agency(story, CASE, "completed")
    cases.answer_check(story, key, "provider", satisfied=True)
    cases.close_by_agency(story, CASE, "completed")
    assert find(story, CaseClosed).reason == "completed"


def test_a_closing_check_never_keeps_a_case_without_outcome_open() -> None:
    proposal = replace(
        PROPOSAL, checks=(research("provider", kind="needs_assessment", gates=(), closing=True),)
    )
    story = go_on(allocated(proposal))
    cases.close_by_agency(story, CASE, "not_interested")
    assert find(story, CaseClosed).reason == "not_interested"


def test_what_was_answered_is_a_fact_until_a_later_version_of_the_referral_says_otherwise() -> None:
    proposal = replace(
        PROPOSAL, checks=(research("probation", kind="admission", about=(BEN,), delivery=True),)
    )
    story = go_on(allocated(proposal))
    (key,) = story.state.checks
    cases.answer_check(story, key, "probation", satisfied=False)
    (anna, ben) = with_answers(policy.combine(story.state.referrals.values()), story.state).parties
    assert (anna.admitted, ben.admitted) == (None, False)
    # Policy knows now, and asks no longer: the no still counts.
    route.plan(story, PROPOSAL)
    assert route.open_checks(story.state, CASE, ANNA) == [key]
    assert route.waiting(story.state, CASE, closing=False) == [key]
    admitted = (
        PartyFact(person=ANNA, role="harmed"),
        PartyFact(person=BEN, role="responsible", admitted=True),
    )
    cases.referral(story, facts(version=2, parties=admitted), NOW)
    assert with_answers(policy.combine(story.state.referrals.values()), story.state).parties[1].admitted
    assert route.open_checks(story.state, CASE, ANNA) == []


def test_a_yes_about_two_people_is_no_fact_about_each_and_a_person_speaks_for_themselves() -> None:
    carl = "person-carl"
    parties = (*facts().parties, PartyFact(person=carl, role="responsible"))
    asked = replace(PROPOSAL, checks=(research("probation", kind="willingness", about=(BEN, carl)),))
    story = received(proposal=asked, parties=parties)
    story = go_on(assigned(story.state, ANNA, BEN).state)
    (key,) = story.state.checks
    cases.answer_check(story, key, "probation", satisfied=True)
    known = with_answers(policy.combine(story.state.referrals.values()), story.state).parties
    assert [party.willing for party in known] == [None, None, None]
    cases.reached(story, BEN, "agreed")
    known = with_answers(policy.combine(story.state.referrals.values()), story.state).parties
    assert [party.willing for party in known] == [None, True, None]


def test_the_parties_do_not_meet_before_what_gates_the_delivery_is_answered() -> None:
    proposal = replace(PROPOSAL, checks=(research("hub", kind="suitability", gates=(), delivery=True),))
    story = go_on(allocated(proposal))
    (key,) = story.state.checks
    with pytest.raises(Refused, match="before the parties meet"):
        cases.record_outcome(story, CASE, "beacon", OutcomeRecorded(form="conference", agreement=True))
    cases.record_outcome(story, CASE, "beacon", OutcomeRecorded(form="none", agreement=False))
    later = go_on(allocated(proposal))
    cases.answer_check(later, key, "hub", satisfied=True)
    cases.record_outcome(later, CASE, "beacon", OutcomeRecorded(form="conference", agreement=True))


def test_a_transfer_keeps_the_leads_and_tells_the_new_hub() -> None:
    story = go_on(allocated())
    with pytest.raises(Refused, match="holds the case already"):
        cases.transfer(story, "northshire", "moved")
    cases.transfer(story, "southshire", "moved")
    there = replace(
        PROPOSAL,
        partnership="southshire",
        hub="southern-hub",
        parties=(party(ANNA, "harmed", "southern-care"), party(BEN, "responsible", "probation")),
    )
    route.plan(story, there)
    settle(story)
    assert told(story) == ["CaseTransferred", "CaseAllocated"]
    again = find(story, CaseAllocated)
    assert (again.partnership, again.hub) == ("southshire", "southern-hub")
    assert [each.agency for each in again.parties] == ["beacon", "probation"]
    assert story.state.partnership == "southshire"


def test_what_intake_learns_of_one_version_later_is_news_and_who_is_named_no_more_leaves() -> None:
    state = allocated()
    same = go_on(state)
    assert not cases.referral(same, facts(), NOW)
    carl = "person-carl"
    parties = (
        PartyFact(person=ANNA, role="harmed", age_band="18_to_24"),
        PartyFact(person=carl, role="responsible"),
    )
    story = go_on(state)
    assert cases.referral(story, facts(parties=parties), NOW)
    assert told(story) == ["CasePartyLeft"]
    assert story.state.parties[BEN].place == "out"
    assert story.state.parties[carl].place == "new"
    assert story.state.closed is None
    # Said again under the next version, Ben is in the case again.
    assert cases.referral(story, facts(version=2), NOW)
    assert story.state.parties[BEN].place == "new"
