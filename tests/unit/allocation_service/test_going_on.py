"""A closed case that goes on, and what leaves a case for another."""

from __future__ import annotations

from services.allocation.domain import cases, joining
from services.allocation.domain.evolve import Story
from services.allocation.domain.state import CaseState
from shared.contracts.cases import CasePartyLeft, CasePaused
from shared.contracts.referrals import PartyFact
from tests.unit.allocation_service.given import ANNA, BEN, allocated, facts, find, go_on, received, told

EVE = "person-eve"


def test_whoever_lost_their_referral_while_the_case_was_closed_has_left_it_when_it_goes_on() -> None:
    both = received(allocated(), referral="r2", parties=(PartyFact(person=EVE, role="harmed"),))
    for person in (ANNA, EVE):
        cases.person_out(both, person, "withdrawn")
    closed = go_on(both.state)
    cases.retract(closed, "r2")
    assert not told(closed)
    cases.reopen(closed, ANNA)
    assert told(closed) == ["CasePartyLeft", "CaseResumed"], (
        "in this order: consent takes back who has not left"
    )
    assert find(closed, CasePartyLeft).party == EVE
    places = {key: party.place for key, party in closed.state.parties.items()}
    assert places == {ANNA: "new", BEN: "new", EVE: "out"}


def test_what_leaves_a_paused_case_is_paused_whichever_is_heard_first() -> None:
    old = go_on(allocated())
    cases.pause_by_hub(old, "safety", None)
    early, late = Story(CaseState()), go_on(old.state)
    joining.part(old, early, "case-2")
    cases.close(late, "withdrawn")
    after = Story(CaseState())
    joining.part(late, after, "case-2")
    assert [find(story, CasePaused).reason for story in (early, after)] == ["safety", "safety"]


def test_a_pause_that_comes_with_a_joining_follows_what_has_left_already() -> None:
    paused, into, gone = go_on(allocated()), go_on(allocated()), Story(CaseState())
    cases.pause_by_hub(paused, "safety", None)
    cases.referral(gone, facts(), facts().received_at)
    joining.part(into, gone, "case-3")
    assert into.state.parted == ("case-3",)
    joining.take_over_late(gone, paused.state)
    assert find(gone, CasePaused).reason == "safety"


def test_a_pause_that_comes_to_a_case_that_is_over_is_kept_for_what_leaves_it() -> None:
    paused, over, gone = go_on(allocated()), go_on(allocated()), Story(CaseState())
    cases.pause_by_hub(paused, "safety", None)
    cases.close(over, "withdrawn")
    joining.take_over_pause(over, paused.state)
    joining.part(over, gone, "case-4")
    assert find(gone, CasePaused).reason == "safety"


def test_a_case_that_goes_on_is_paused_as_it_was_when_it_closed() -> None:
    story = go_on(allocated())
    cases.pause_by_hub(story, "safety", None)
    cases.person_out(story, ANNA, "withdrawn")
    story = go_on(story.state)
    cases.reopen(story, ANNA)
    assert told(story) == ["CaseResumed", "CasePaused"]
    cases.resume_by_hub(story, "looked_at")
    assert not story.state.pauses
