"""One lead for one human: claims, hand-over, succession, end."""

from __future__ import annotations

import pytest

from services.consent.domain import leads
from shared.contracts.consent import (
    LeadAssigned,
    LeadEnded,
    LeadHandedOver,
    LeadRefused,
    PermitEnded,
    StandingTightened,
)
from tests.unit.consent.world import World, granted, told, why


@pytest.fixture
def world() -> World:
    w = World()
    w.lead()
    return w


def test_the_first_accepted_claim_wins_and_the_other_is_told_no_more_than_no(world: World) -> None:
    refused = told(world.claim(agency="mercia", case="c2"), LeadRefused)[0]
    assert (refused.agency, refused.reason, refused.case) == ("mercia", "led_elsewhere", "c2")
    assert world.people["vera"].lead is not None
    assert world.people["vera"].lead.agency == "beacon"


def test_a_further_case_of_the_same_lead_belongs_to_the_same_tenure(world: World) -> None:
    again = told(world.claim(case="c2"), LeadAssigned)[0]
    assert again.tenure == 1
    assert world.people["vera"].lead is not None
    assert world.people["vera"].lead.cases == ("c1", "c2")


def test_the_same_claim_twice_is_one(world: World) -> None:
    assert not told(world.claim(), LeadAssigned)


def test_a_claim_that_was_decided_is_not_decided_again_when_it_is_read_again(world: World) -> None:
    world.restrict("reassign", person="vera")
    assert not told(world.claim(), LeadAssigned)
    assert told(world.claim(claim="c1.2"), LeadAssigned)


def test_a_lead_ends_with_the_last_of_its_cases_and_the_next_one_has_the_next_number(world: World) -> None:
    world.claim(case="c2")
    assert not told(world.close("c1"), LeadEnded)
    assert told(world.close("c2"), LeadEnded)[0].reason == "case_closed"
    world.refer(case="c3", referral="r3")
    assert told(world.claim(case="c3", agency="mercia"), LeadAssigned)[0].tenure == 2


def test_a_case_that_goes_on_is_its_leads_as_long_as_that_lead_has_never_been_without_any(
    world: World,
) -> None:
    """Two cases close with a link and go on with its unlink, one after the other, and are claimed for somebody else."""
    world.claim(case="c2")
    for case in ("c1", "c2"):
        assert not told(world.close(case), LeadEnded)
        world.resume(case, None)
        claimed = world.claim(case=case, agency="mercia")
        assert [(e.case, e.agency, e.tenure) for e in told(claimed, LeadAssigned)] == [(case, "beacon", 1)]
        assert not told(claimed, LeadRefused)
    world.close("c1")
    assert told(world.close("c2"), LeadEnded)[0].cases == ("c1", "c2")


def test_whoever_has_said_no_is_not_claimed_anew_for_the_lead_that_stands(world: World) -> None:
    world.claim(case="c2")
    world.withdraw(cases=("c1",))
    claimed = world.claim(agency="mercia")
    assert [e.reason for e in told(claimed, LeadRefused)] == ["closed"]
    assert not told(claimed, LeadAssigned)


def test_no_permit_outlives_the_lead_of_its_holder(world: World) -> None:
    """It was granted for a case that the lead was not claimed for: the person was led elsewhere when that case came."""
    world.lead(case="c2", agency="mercia")
    assert granted(world.ask(case="c2"))
    decision = world.close("c1")
    assert [e.reason for e in told(decision, LeadEnded)] == ["case_closed"]
    assert [e.how for e in told(decision, PermitEnded)] == ["revoked"]


def test_a_permit_stays_while_the_same_agency_leads_under_another_id(world: World) -> None:
    world.lead("vera2", "c2")
    world.link("vera", "vera2")
    assert granted(world.ask("vera", "c2", party="vera2"))
    decision = world.close("c1")
    assert told(decision, LeadEnded)
    assert not told(decision, PermitEnded)


def test_a_lead_that_is_taken_back_can_be_claimed_anew(world: World) -> None:
    world.ask()
    decision = world.restrict("reassign", person="vera")
    assert told(decision, PermitEnded)[0].how == "revoked"
    assert told(decision, LeadEnded)[0].reason == "reassigned"
    world.claim(agency="mercia")
    assert granted(world.ask(agency="mercia"))


@pytest.mark.parametrize(
    ("outcome", "reason"), [("no_answer", "attempted"), ("agreed", "reached"), (None, "in_flight")]
)
def test_not_once_something_has_begun(world: World, outcome: str | None, reason: str) -> None:
    world.ask()
    world.redeem()
    if outcome:
        world.outcome(outcome)
    assert why(world.restrict("reassign", person="vera")) == reason


# --- hand-over


def test_before_she_is_reached_the_lead_can_move_and_the_attempts_move_with_it(world: World) -> None:
    world.attempt("no_answer")
    moved = told(world.hand_over("mediation"), LeadHandedOver)[0]
    assert (moved.source, moved.target, moved.tenure) == ("beacon", "mediation", 2)
    assert why(world.ask(agency="beacon")) == "not_lead"
    assert why(world.ask(agency="mediation")) == "attempt_gap"
    for _ in range(2):
        world.later(days=2)
        world.attempt("no_answer", agency="mediation")
    world.later(days=2)
    assert why(world.ask(agency="mediation")) == "attempts_spent"


def test_once_reached_only_to_an_agency_that_her_agreement_names(world: World) -> None:
    world.attempt("agreed")
    assert why(world.hand_over("mediation")) == "no_agreement"
    world.agree(agencies=("mediation",))
    assert told(world.hand_over("mediation"), LeadHandedOver)[0].agreement
    assert granted(world.ask(agency="mediation", purpose="conversation"))


def test_never_while_an_attempt_is_in_flight_or_unresolved(world: World) -> None:
    world.ask()
    world.redeem()
    assert why(world.hand_over("mediation")) == "in_flight"
    world.outcome("unknown")
    assert why(world.hand_over("mediation")) == "in_flight"


def test_an_unredeemed_permit_does_not_move(world: World) -> None:
    world.ask()
    assert told(world.hand_over("mediation"), PermitEnded)[0].how == "revoked"


def test_nothing_to_hand_over(world: World) -> None:
    assert why(world.hand_over("mediation", "nobody")) == "no_lead"
    assert why(world.hand_over("beacon")) == "same_lead"


# --- succession


def test_a_successor_leads_from_the_moment_of_succession(world: World) -> None:
    world.successors = {"beacon": "lantern"}
    assert why(world.ask(agency="beacon")) == "not_lead"
    assert granted(world.ask(agency="lantern"))
    moved = told(world.apply(leads.succeed(world.at, "vera", world.context)), LeadHandedOver)[0]
    assert (moved.source, moved.target, moved.reason) == ("beacon", "lantern", "succession")
    assert not leads.succeed(world.at, "vera", world.context).changes


def test_the_successor_inherits_agreements_attempts_and_what_is_in_flight(world: World) -> None:
    world.attempt("no_answer")
    world.later(days=2)
    world.ask()
    world.redeem()
    world.successors = {"beacon": "lantern"}
    world.apply(leads.succeed(world.at, "vera", world.context))
    assert why(world.outcome("agreed", agency="beacon")) == "not_found"
    assert why(world.outcome("agreed", agency="lantern")) is None
    world.agree(agency="lantern", agencies=("beacon",))
    assert granted(world.ask(agency="lantern", purpose="conversation"))


def test_a_permit_granted_before_is_the_successors(world: World) -> None:
    world.ask()
    world.successors = {"beacon": "lantern"}
    assert why(world.redeem()) is None


def test_agencies_that_succeed_each_other_in_a_circle_end_somewhere(world: World) -> None:
    world.successors = {"beacon": "lantern", "lantern": "beacon"}
    assert granted(world.ask(agency="lantern"))


def test_the_lead_names_its_worker(world: World) -> None:
    world.apply(leads.name_worker(world.at, "c1", ("vera",), "beacon", "walt", world.context))
    assert why(world.ask(worker="wendy")) == "not_named_worker"


def test_a_second_case_gives_her_no_other_friend_than_who_has_begun_with_her() -> None:
    world = World()
    world.refer()
    world.claim(worker="wendy")
    world.clear()
    world.lead(case="c2", referral="r2", incident="incident of c2")
    world.apply(leads.name_worker(world.at, "c2", ("vera",), "beacon", "walt", world.context))
    lead = world.people["vera"].lead
    assert lead is not None
    assert lead.worker == "walt", "nobody has begun with her"
    world.apply(leads.name_worker(world.at, "c1", ("vera",), "beacon", "wendy", world.context))
    world.attempt("no_answer")
    world.apply(leads.name_worker(world.at, "c2", ("vera",), "beacon", "walt", world.context))
    lead = world.people["vera"].lead
    assert lead is not None
    assert lead.worker == "wendy"


# --- a case that goes on as another


def test_a_no_goes_on_with_the_case(world: World) -> None:
    world.withdraw(cases=("c1",))
    world.refer(case="c2", referral="r2", incident="incident of c1")
    closed = told(world.close("c1", into="c2"), StandingTightened)[0]
    assert (closed.case, closed.reason) == ("c2", "carried_over")
    world.claim(case="c2")
    world.clear(case="c2")
    assert world.may(case="c2") in {"carried_over", "no_lead"}


def test_an_approach_outlives_the_tenure_that_began_it(world: World) -> None:
    """Returned unreached, the case is claimed by another agency: it does not begin anew, only a hand-over carries on."""
    world.attempt("no_answer")
    world.close()
    assert world.people["vera"].lead is None
    world.lead(case="c2", agency="mercia", incident="incident of c1", referral="r2")
    world.later(days=400)
    assert why(world.ask(case="c2", agency="mercia")) == "already_approached"
