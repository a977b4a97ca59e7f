"""A permit's life, approaches and their limits, and what becomes of an attempt."""

from __future__ import annotations

import pytest

from services.consent.domain import permits
from shared.contracts.consent import (
    AttemptOverdue,
    AttemptRecorded,
    PermitEnded,
    PermitRedeemed,
    PermitRefused,
    PersonReached,
    StandingTightened,
)
from shared.contracts.people import AgreementFact, PriorContact
from tests.unit.consent.world import World, granted, on, told, why


@pytest.fixture
def world() -> World:
    w = World()
    w.lead()
    return w


# --- redemption


def test_a_permit_is_redeemed_once(world: World) -> None:
    world.ask()
    assert told(world.redeem(), PermitRedeemed)
    assert why(world.redeem()) == "already_redeemed"


def test_with_its_own_fence_only(world: World) -> None:
    world.ask()
    assert why(world.redeem(fence=7)) == "fence"


def test_not_while_consent_is_behind_intake_and_then_it_is_still_granted(world: World) -> None:
    world.ask()
    assert why(world.redeem(behind=True)) == "behind"
    assert why(world.redeem()) is None


def test_not_once_it_has_expired(world: World) -> None:
    world.ask()
    world.later(minutes=15)
    assert why(world.redeem()) == "expired"
    assert told(world.expire(), PermitEnded)[0].how == "expired"
    assert why(world.redeem()) == "not_live"


def test_expiry_never_frees_a_redeemed_permit(world: World) -> None:
    world.ask()
    world.redeem()
    world.later(days=30)
    assert not world.expire().changes
    assert why(world.ask()) == "in_flight"


def test_what_forbids_contact_is_asked_again_at_the_last_moment(world: World) -> None:
    world.ask()
    world.parked = True
    assert why(world.redeem()) == "parked"
    world.parked = False
    world.now = world.now.replace(hour=9, minute=59)
    assert why(world.redeem()) is None


def test_a_call_begins_before_the_safe_hours_end(world: World) -> None:
    world.now = world.now.replace(hour=19, minute=50)
    world.ask()
    use_by = told(world.redeem(), PermitRedeemed)[0].use_by
    assert use_by == world.now.replace(hour=20, minute=0)


def test_the_holder_gives_back_what_it_has_not_redeemed(world: World) -> None:
    world.ask()
    assert why(permits.give_back(world.at, "vera", "p1", "mercia", world.context)) == "not_found"
    decision = world.apply(permits.give_back(world.at, "vera", "p1", "beacon", world.context))
    assert told(decision, PermitEnded)[0].how == "returned"
    world.ask()
    world.redeem()
    assert why(permits.give_back(world.at, "vera", "p2", "beacon", world.context)) == "already_redeemed"


# --- approaches


def test_further_attempts_belong_to_the_same_approach_within_gap_and_number(world: World) -> None:
    world.attempt("no_answer")
    assert why(world.ask()) == "attempt_gap"
    world.later(days=2)
    world.attempt("voicemail")
    world.later(days=2)
    last = told(world.attempt("no_answer"), AttemptRecorded)[0]
    assert last.approach == "p1"
    world.later(days=400)
    assert why(world.ask()) == "attempts_spent"


def test_after_an_answer_there_is_no_second_approach_about_the_same_incident(world: World) -> None:
    world.attempt("agreed")
    world.later(days=400)
    decision = world.ask()
    assert why(decision) == "already_approached"
    assert told(decision, PermitRefused)[0].second_approach


def test_a_new_approach_needs_a_separate_incident_and_the_gap(world: World) -> None:
    world.attempt("declined")
    world.later(days=10)
    world.refer(case="c2", referral="r2")
    world.claim(case="c2")
    world.clear(case="c2")
    assert why(world.ask(case="c2")) == "approach_gap"
    world.later(days=80)
    assert granted(world.ask(case="c2"))
    assert why(world.ask(case="c1")) == "declined"


def test_an_approach_covers_all_cases_that_were_open(world: World) -> None:
    world.lead(case="c2", referral="r2")
    world.attempt("agreed")
    world.later(days=400)
    assert why(world.ask(case="c2")) == "already_approached"


def test_an_approach_that_never_took_place_does_not_count(world: World) -> None:
    world.ask()
    world.redeem()
    assert told(world.outcome("not_made"), PermitEnded)[0].how == "not_made"
    assert world.people["vera"].approaches == ()
    assert granted(world.ask())


def test_not_made_can_be_said_in_time_only(world: World) -> None:
    world.ask()
    world.redeem()
    world.later(minutes=31)
    assert why(world.outcome("not_made")) == "too_late"


# --- outcomes


def test_an_outcome_is_the_holders_with_its_fence(world: World) -> None:
    world.ask()
    assert why(world.outcome("no_answer")) == "not_live"
    world.redeem()
    assert why(world.outcome("no_answer", agency="mercia")) == "not_found"
    assert why(world.outcome("no_answer", fence=9)) == "fence"
    assert why(world.outcome("no_answer")) is None
    assert world.people["vera"].permit is None


def test_an_unknown_outcome_counts_as_contacted_and_is_never_followed_by_a_retry(world: World) -> None:
    world.attempt("unknown")
    world.later(days=30)
    assert why(world.ask()) == "unresolved"
    assert why(world.resolve("p1", "not_made")) == "too_late"
    assert why(world.resolve("p1", "no_answer")) is None
    assert granted(world.ask())


def test_an_overdue_outcome_goes_to_the_hub_once_and_blocks_until_it_is_found_out(world: World) -> None:
    world.ask()
    world.redeem()
    assert not world.overdue().changes
    world.later(hours=24)
    assert told(world.overdue(), AttemptOverdue)
    assert not world.overdue().changes
    assert why(world.ask()) == "unresolved"
    assert why(world.resolve("p1", "no_answer")) is None
    world.later(days=2)
    assert granted(world.ask())


def test_the_holder_may_still_report_what_is_overdue(world: World) -> None:
    world.ask()
    world.redeem()
    world.later(days=3)
    world.overdue()
    assert why(world.outcome("no_answer")) is None


def test_an_agreement_opens_the_conversation_as_a_lease_of_a_day(world: World) -> None:
    world.attempt("agreed")
    assert granted(world.ask(purpose="conversation"))
    use_by = told(world.redeem(), PermitRedeemed)[0].use_by
    assert (use_by - world.now).days == 1


def test_no_conversation_without_an_agreement_that_names_the_lead_and_still_runs(world: World) -> None:
    assert why(world.ask(purpose="conversation")) == "no_agreement"
    world.agree(agencies=("mercia",))
    assert why(world.ask(purpose="conversation")) == "agreement_elsewhere"
    world.agree(agencies=("beacon",), expires=on("2026-03-02"))
    assert why(world.ask(purpose="conversation")) == "agreement_expired"
    world.agree(agencies=("beacon",), expires=on("2026-03-03"))
    assert granted(world.ask(purpose="conversation"))


def test_feedback_is_asked_for_once(world: World) -> None:
    assert why(world.ask(purpose="feedback")) == "no_agreement"
    world.attempt("agreed")
    world.ask(purpose="feedback")
    world.redeem()
    world.outcome("delivered")
    assert why(world.ask(purpose="feedback")) == "already_asked"


def test_not_now_needs_her_own_date_and_then_only_the_lead_calls_back_and_not_before_it(world: World) -> None:
    world.refer(by="mercia", referral="r2")
    world.ask()
    world.redeem()
    assert why(world.outcome("not_now")) == "needs_date"
    assert why(world.outcome("not_now", not_before=on("2026-03-03"))) == "needs_date"
    world.outcome("not_now", not_before=on("2026-04-01"))
    assert why(world.ask()) == "not_before"
    assert why(world.ask(agency="mercia")) == "not_lead"
    world.now = world.now.replace(month=4, day=1)
    assert granted(world.ask())
    world.redeem()
    assert told(world.outcome("agreed"), AttemptRecorded)[0].approach == "p1"


def test_a_decline_closes_every_case_that_the_approach_covered(world: World) -> None:
    world.lead(case="c2", referral="r2")
    closed = {e.case for e in told(world.attempt("declined"), StandingTightened)}
    assert closed == {"c1", "c2"}
    assert why(world.ask(case="c2")) == "declined"


def test_a_decline_in_a_conversation_closes_its_own_case(world: World) -> None:
    world.lead(case="c2", referral="r2")
    world.attempt("agreed")
    world.ask(purpose="conversation")
    world.redeem()
    world.outcome("declined")
    assert world.may(case="c1") == "declined"
    assert world.may(case="c2") == "already_approached"


def test_a_parents_no_is_a_no_for_the_child_whoever_is_asked_next() -> None:
    world = World()
    world.refer("cleo", contact_persons=("mona", "fred"))
    for parent in ("mona", "fred"):
        world.refer(parent, role="contact", speaks_for=("cleo",))
        world.claim(parent, party="cleo")
        world.clear(parent, party="cleo")
    world.ask("mona", party="cleo")
    world.redeem("mona")
    world.outcome("declined", "mona")
    assert why(world.ask("fred", party="cleo")) == "declined"


def test_a_withdrawal_told_on_the_telephone_is_a_withdrawal(world: World) -> None:
    world.attempt("withdrew")
    assert why(world.ask()) == "withdrawn"
    assert world.people["vera"].closed is None


def test_and_from_everything_if_that_is_what_she_said(world: World) -> None:
    world.attempt("withdrew", everything=True)
    world.later(days=400)
    world.lead(case="c2", referral="r2")
    assert why(world.ask(case="c2")) == "withdrawn"


def test_an_unsafe_contact_holds_her_until_a_person_says_that_it_is_safe(world: World) -> None:
    world.attempt("unsafe")
    world.later(days=3)
    assert why(world.ask()) == "unsafe"
    world.resolve("p1", "unsafe", lifted=True)
    assert granted(world.ask())


def test_a_wrong_number_is_not_rung_again_until_the_details_change(world: World) -> None:
    world.attempt("wrong_number")
    world.later(days=3)
    assert why(world.ask()) == "channel_unsafe"
    assert granted(world.ask(channel="letter"))


# --- what the person had told a referrer, and what she tells unasked


def test_a_no_given_to_the_referrer_opens_closed() -> None:
    world = World()
    world.lead(prior=PriorContact(answer="no", agency="police"))
    assert world.people["vera"].lead is None, "nobody leads whom nobody may contact"
    assert world.may() == "not_lead"
    world = World()
    world.claim()
    world.clear()
    world.refer(prior=PriorContact(answer="no", agency="police"))
    assert why(world.ask()) == "prior_no"


def test_the_same_no_told_again_does_not_undo_a_reopening() -> None:
    world = World()
    no = PriorContact(answer="no", agency="police")
    world.refer(prior=no)
    world.reopen("vera", "c1")
    world.refer(prior=no)
    world.claim()
    world.clear()
    assert granted(world.ask())


def test_a_yes_given_to_the_referrer_opens_as_agreement() -> None:
    world = World()
    world.lead(prior=PriorContact(answer="yes", agency="police", on=on("2026-03-01")))
    assert granted(world.ask(purpose="conversation"))


def test_a_not_now_given_to_the_referrer_is_followed_up_by_the_lead_on_its_date() -> None:
    world = World()
    world.lead(prior=PriorContact(answer="not_now", agency="police", not_before=on("2026-04-01")))
    assert why(world.ask()) == "not_before"
    world.now = world.now.replace(month=4, day=2)
    assert granted(world.ask())


def test_a_not_now_without_a_date_waits_for_her_to_come() -> None:
    world = World()
    world.claim()
    world.clear()
    world.refer(prior=PriorContact(answer="not_now", agency="police"))
    assert why(world.ask()) == "prior_not_now_undated"


def test_she_rings_and_agrees_without_any_permit_and_nobody_rings_her_now(world: World) -> None:
    world.ask()
    decision = world.rings("agreed")
    assert told(decision, PersonReached)[0].began == "person"
    assert told(decision, PermitEnded)[0].how == "revoked"
    assert granted(world.ask(purpose="conversation"))


def test_she_rings_after_a_no_and_it_takes_a_reopening(world: World) -> None:
    world.withdraw()
    assert why(world.rings("agreed")) == "closed"
    world.reopen("vera", "c1")
    assert why(world.rings("agreed")) is None


def test_only_the_lead_records_an_agreement(world: World) -> None:
    assert why(world.agree(agency="mercia")) == "not_lead"
    assert why(world.agree()) is None
    assert world.people["vera"].agreements[0].fact == AgreementFact(scope=("be_contacted",))


def test_not_made_is_the_word_of_the_service_that_redeemed_it(world: World) -> None:
    world.ask()
    world.redeem(sender="notifications")
    assert why(world.outcome("not_made")) == "not_sender", "a colleague's message may be on its way"
    assert why(world.outcome("not_made", service="notifications")) is None


def test_intake_says_not_made_of_what_it_never_handed_to_the_sender(world: World) -> None:
    world.ask()
    world.redeem(sender="notifications")
    assert why(world.outcome("not_made", agency=None, service="intake")) is None


@pytest.mark.parametrize("said", ["declined", "withdrew"])
def test_a_no_after_the_hub_reconciled_is_taken_in_and_ends_what_was_granted_since(
    world: World, said: str
) -> None:
    world.ask()
    world.redeem()
    world.outcome("unknown")
    world.resolve("p1", "no_answer")
    world.later(days=2)
    assert granted(world.ask())
    decision = world.late(said, "p1")
    assert told(decision, PermitEnded)[0].permit == "p2"
    assert why(world.ask()) in {"declined", "withdrawn"}


def test_a_no_after_not_made_is_taken_in_as_a_contact(world: World) -> None:
    world.ask()
    world.redeem()
    world.outcome("not_made")
    world.late("declined", "p1")
    assert [t.id for a in world.people["vera"].approaches for t in a.attempts] == ["p1"]
    assert why(world.ask()) == "declined"


def test_only_whom_the_permit_names_or_the_one_friend_or_the_deputy_presents_it() -> None:
    world = World()
    world.refer()
    world.claim(worker="wendy")
    world.clear()
    world.deputies = {"wendy": "derek"}
    assert granted(world.ask(worker="wendy"))
    assert why(world.redeem(worker="oscar")) == "not_named_worker"
    assert world.people["vera"].permit is not None, "the permit is as it was"
    assert why(world.redeem(worker="derek")) is None


def test_a_token_without_a_worker_and_a_successors_worker_present_it(world: World) -> None:
    assert granted(world.ask(worker="wendy"))
    world.successors = {"beacon": "lantern"}
    assert why(world.redeem(worker="lena")) is None
    fresh = World()
    fresh.lead()
    assert granted(fresh.ask(worker="wendy"))
    assert why(fresh.redeem()) is None
