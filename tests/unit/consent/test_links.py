"""Two ids that turn out to be one human, and then perhaps not."""

from __future__ import annotations

import pytest

from services.consent.domain.evolve import evolve
from services.consent.domain.leads import succeed
from shared.contracts.consent import (
    AgreementRecorded,
    ConsentWithdrawn,
    DoubleReachFound,
    LeadAssigned,
    LeadEnded,
    LeadHandedOver,
    LeadRefused,
    PermitGranted,
    StandingLoosened,
    StandingReopened,
    StandingTightened,
)
from shared.contracts.people import PriorContact
from tests.unit.consent.world import World, granted, told, why


@pytest.fixture
def world() -> World:
    """Vera is led by Beacon; Veronica, who may be she, by Mercia."""
    w = World()
    w.lead("vera", "c1", "beacon")
    w.later(hours=1)
    w.lead("veronica", "c2", "mercia", by="mercia")
    w.later(hours=1)
    return w


def leads(world: World) -> dict[str, str]:
    return {key: state.lead.agency for key, state in world.people.items() if state.lead}


def give_back_before_the_unlink(world: World, person: str, other: str) -> None:
    """Have Veronica's ledger the lead that an unlink gave back, as a restored one has it, and nobody's that unlink yet."""
    linked = dict(world.people)
    world.unlink(person, other, told_by=person, number=2)
    assert world.last is not None
    again = told(world.last, LeadAssigned, "veronica")[0]
    world.people |= {**linked, "veronica": evolve(linked["veronica"], again)}


def test_the_earliest_claim_keeps_the_lead_and_the_other_agency_is_told(world: World) -> None:
    world.link("vera", "veronica", told_by="vera")
    assert leads(world) == {"vera": "beacon"}
    assert world.last is not None
    assert told(world.last, LeadEnded, "veronica")[0].reason == "linked"
    assert why(world.ask("veronica", "c2", "mercia")) == "not_lead"
    assert granted(world.ask("veronica", "c2", "beacon"))


def test_the_earliest_redemption_beats_the_earliest_claim(world: World) -> None:
    world.ask("veronica", "c2", "mercia")
    world.redeem("veronica")
    world.link("vera", "veronica")
    assert leads(world) == {"veronica": "mercia"}


def test_reached_beats_in_flight(world: World) -> None:
    world.ask("vera", "c1", "beacon")
    world.redeem("vera")
    world.attempt("agreed", "veronica", "c2", "mercia")
    world.link("vera", "veronica")
    assert leads(world) == {"veronica": "mercia"}


def test_both_reached_is_an_incident(world: World) -> None:
    world.attempt("agreed", "vera", "c1", "beacon")
    world.attempt("no_answer", "veronica", "c2", "mercia")
    world.later(days=2)
    world.attempt("agreed", "veronica", "c2", "mercia")
    world.link("vera", "veronica", told_by="veronica")
    assert world.last is not None
    found = told(world.last, DoubleReachFound)
    assert [event.agencies for event in found] == [("beacon", "mercia")] * 2
    world.link("vera", "veronica")
    assert not told(world.last, DoubleReachFound), "told once"


def test_unredeemed_permits_end_and_a_redeemed_one_stays(world: World) -> None:
    world.ask("vera", "c1", "beacon")
    world.ask("veronica", "c2", "mercia")
    world.redeem("veronica")
    world.link("vera", "veronica")
    assert world.people["vera"].permit is None
    assert world.people["veronica"].permit is not None
    assert why(world.ask("vera", "c1", "mercia")) == "in_flight"


def test_either_side_suffices_and_the_second_changes_nothing(world: World) -> None:
    world.link("vera", "veronica", told_by="veronica")
    before = dict(world.people)
    world.link("vera", "veronica", told_by="vera")
    assert world.last is not None
    assert not world.last.changes
    assert {key: state.lead for key, state in before.items()} == {k: s.lead for k, s in world.people.items()}


def test_the_groups_standing_is_the_strictest_of_all_ledgers(world: World) -> None:
    world.withdraw("vera")
    world.link("vera", "veronica", told_by="vera")
    assert world.last is not None
    told_her_agencies = told(world.last, StandingTightened, "veronica")[0]
    assert (told_her_agencies.standing, told_her_agencies.reason) == ("closed", "linked")
    assert why(world.ask("veronica", "c2", "beacon")) == "withdrawn"


def test_an_unlink_recomputes_from_each_ledger(world: World) -> None:
    world.withdraw("vera")
    world.link("vera", "veronica")
    world.unlink("vera", "veronica", told_by="vera")
    assert world.last is not None
    assert told(world.last, StandingLoosened, "veronica")[0].reason == "unlinked"
    assert granted(world.ask("veronica", "c2", "mercia"))
    assert why(world.ask("vera", "c1", "beacon")) == "withdrawn"


def test_a_lead_that_ended_for_the_link_alone_comes_back_with_a_new_number(world: World) -> None:
    world.link("vera", "veronica")
    world.unlink("vera", "veronica", told_by="vera")
    assert world.last is not None
    again = told(world.last, LeadAssigned, "veronica")[0]
    assert (again.agency, again.case, again.tenure) == ("mercia", "c2", 2)
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}


def test_what_was_said_while_linked_binds_both_ledgers_for_good(world: World) -> None:
    world.link("vera", "veronica")
    assert {key for key, _ in world.withdraw("vera").told(ConsentWithdrawn)} == {"vera", "veronica"}
    world.unlink("vera", "veronica")
    assert why(world.ask("veronica", "c2", "mercia")) == "withdrawn"
    assert world.people["veronica"].closed == "withdrawn"


def test_an_attempt_under_one_id_counts_under_the_other(world: World) -> None:
    world.attempt("no_answer", "vera", "c1", "beacon")
    world.link("vera", "veronica")
    assert why(world.ask("veronica", "c2", "beacon")) == "attempt_gap"
    world.later(days=2)
    world.attempt("no_answer", "veronica", "c2", "beacon")
    world.later(days=2)
    world.attempt("no_answer", "vera", "c1", "beacon")
    world.later(days=2)
    assert why(world.ask("veronica", "c2", "beacon")) == "attempts_spent"


def test_where_two_agencies_had_begun_neither_goes_on(world: World) -> None:
    world.attempt("no_answer", "vera", "c1", "beacon")
    world.attempt("no_answer", "veronica", "c2", "mercia")
    world.later(days=3)
    world.link("vera", "veronica")
    assert why(world.ask("vera", "c1", "beacon")) == "already_approached"


def test_an_answer_under_one_id_ends_what_had_begun_under_the_other(world: World) -> None:
    world.ask("veronica", "c2", "mercia")
    world.redeem("veronica")
    world.attempt("no_answer", "vera", "c1", "beacon")
    world.outcome("agreed", "veronica", agency="mercia")
    world.hand_over("mercia", "vera")
    world.later(days=3)
    world.link("vera", "veronica")
    assert why(world.ask("veronica", "c2", "mercia")) == "already_approached"
    assert why(world.ask("vera", "c1", "mercia")) == "already_approached"


def test_the_fence_counts_up_over_the_whole_human(world: World) -> None:
    world.ask("veronica", "c2", "mercia")
    world.link("vera", "veronica")
    assert told(world.ask("vera", "c1", "beacon"), PermitGranted)[0].fence == 2


def test_a_chain_of_links_is_one_human(world: World) -> None:
    world.refer("ronnie", "c3")
    world.link("vera", "veronica")
    world.link("veronica", "ronnie")
    world.withdraw("ronnie")
    assert why(world.ask("vera", "c1", "beacon")) == "withdrawn"
    assert world.people["vera"].closed == "withdrawn"


def test_a_late_copy_of_an_older_decision_undoes_nothing(world: World) -> None:
    world.link("vera", "veronica", told_by="vera", number=1)
    world.unlink("vera", "veronica", told_by="vera", number=2)
    world.link("vera", "veronica", told_by="veronica", number=1)
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}
    world.link("vera", "veronica", told_by="vera", number=3)
    world.unlink("vera", "veronica", told_by="veronica", number=2)
    assert leads(world) == {"vera": "beacon"}


def test_who_is_found_led_twice_when_linked_again_has_one_lead_left(world: World) -> None:
    """A restored ledger has the lead that an unlink gave back, and learns of the next link before that unlink."""
    world.link("vera", "veronica", number=1)
    give_back_before_the_unlink(world, "vera", "veronica")
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}
    world.link("vera", "veronica", number=3)
    assert leads(world) == {"vera": "beacon"}
    world.unlink("vera", "veronica", number=2)
    assert leads(world) == {"vera": "beacon"}


def test_a_claim_read_before_the_unlink_takes_no_cases_from_the_lead_that_it_gave_back(world: World) -> None:
    """A restored ledger has that lead, and not yet the unlink: the claim is for the agency that leads the other id."""
    world.link("vera", "veronica", number=1)
    give_back_before_the_unlink(world, "vera", "veronica")
    refused = told(world.claim("veronica", "c3", agency="beacon"), LeadRefused)
    assert [one.reason for one in refused] == ["led_elsewhere"]
    assert told(world.claim("veronica", "c4", agency="mercia"), LeadAssigned)
    world.unlink("vera", "veronica", number=2)
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}
    assert world.people["veronica"].lead is not None
    assert world.people["veronica"].lead.cases == ("c2", "c4")


def test_a_claim_read_before_the_unlink_makes_no_second_lead_of_one_human(world: World) -> None:
    """A third id has no lead of its own, and is linked to two that are not one human any more."""
    world.link("vera", "vee", number=1)
    world.link("vee", "veronica", number=1)
    give_back_before_the_unlink(world, "vera", "vee")
    assert told(world.claim("vee", "c3", agency="beacon"), LeadRefused)
    assert told(world.claim("vee", "c4", agency="mercia"), LeadRefused)
    world.unlink("vera", "vee", number=2)
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}
    assert told(world.claim("vee", "c4", agency="mercia", claim="again"), LeadAssigned)


def test_an_unlink_that_overtakes_its_link_stands(world: World) -> None:
    world.unlink("vera", "veronica", told_by="veronica", number=2)
    world.link("vera", "veronica", told_by="vera", number=1)
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}


@pytest.mark.parametrize("said", ["declined", "withdrew", "prior_no"])
def test_a_no_while_linked_is_in_every_ledger_for_every_case(world: World, said: str) -> None:
    world.link("vera", "veronica")
    if said == "prior_no":
        world.refer("vera", "c1", referral="r9", prior=PriorContact(answer="no", agency="police"))
    else:
        world.ask("vera", "c1", "beacon")
        world.redeem("vera")
        world.outcome(said, "vera")
    world.unlink("vera", "veronica")
    closed = {(key, part.id) for key, s in world.people.items() for part in s.parts if part.closed}
    cases = ("c1",) if said == "prior_no" else ("c1", "c2")
    assert closed == {(key, case) for key in ("vera", "veronica") for case in cases}


def test_a_withdrawal_binds_whom_intake_knows_to_be_linked_before_the_link_is_heard_here(
    world: World,
) -> None:
    world.ask("vera", "c1", "beacon")
    world.redeem("vera")
    decision = world.withdraw("veronica", "vera")
    assert told(decision, ConsentWithdrawn, "veronica")[0].in_flight == ("p1",), "not clean"
    assert world.people["vera"].closed == "withdrawn"


def test_links_between_contact_persons_join_what_they_are_asked(world: World) -> None:
    world.refer("cleo", "c5", contact_persons=("mona",))
    world.refer(
        "mona", "c5", role="contact", speaks_for=("cleo",), prior=PriorContact(answer="no", agency="police")
    )
    world.refer("ramona", "c5", role="contact", speaks_for=("cleo",))
    world.link("mona", "ramona")
    world.claim("ramona", "c5", party="cleo")
    world.clear("ramona", "c5", party="cleo")
    assert world.people["ramona"].lead is None


def test_a_case_that_comes_out_of_another_takes_its_no_and_its_agreement_with_it(world: World) -> None:
    world.agree("vera", "c1", scope=("be_informed",))
    world.withdraw("vera", cases=("c1",))
    carried = world.refer("vera", "c2", incident="incident of c1", referral="r2", continues="c1")
    assert [e.reason for e in told(carried, StandingTightened)] == ["carried_over"]
    again = world.refer("vera", "c2", incident="incident of c1", referral="r2", continues="c1")
    assert told(again, StandingTightened) == []


def test_a_case_that_comes_out_of_another_is_open_if_that_was(world: World) -> None:
    world.agree("vera", "c1", scope=("be_informed",))
    carried = world.refer("vera", "c2", incident="incident of c1", referral="r2", continues="c1")
    assert told(carried, StandingTightened) == []
    assert [e.case for e in told(carried, AgreementRecorded)] == ["c2"]


def test_who_asks_again_opens_the_cases_of_every_id_that_the_no_had_closed(world: World) -> None:
    world.withdraw("vera", cases=("c1",))
    world.link("vera", "veronica")
    again = world.reopen("vera", "c1")
    assert {key for key, _ in again.told(StandingReopened)} == {"vera", "veronica"}


def test_an_approach_begun_after_another_agencys_answer_does_not_go_on_once_the_link_is_known() -> None:
    """Had the link been known, it would have waited for the gap: another incident alone allows no second approach."""
    world = World()
    world.lead("anna", "c1", "mercia", incident="one")
    world.ask("anna", "c1", "mercia")
    world.redeem("anna")
    world.outcome("declined", "anna", agency="mercia")
    world.close("c1")
    world.later(minutes=1)
    world.lead("vera", "c2", "beacon", incident="one")
    world.ask("vera", "c2", "beacon")
    world.redeem("vera")
    world.outcome("no_answer", "vera")
    world.lead("vera", "c3", "beacon", incident="another")
    world.link("anna", "vera")
    world.later(days=3)
    assert why(world.ask("vera", "c3", "beacon")) == "approach_gap"


def test_a_claim_for_the_successor_takes_no_cases_from_the_lead_that_is_still_its_predecessors(
    world: World,
) -> None:
    world.successors = {"mercia": "beacon"}
    world.link("vera", "veronica")
    assert leads(world) == {"vera": "beacon", "veronica": "mercia"}, "one lead, not yet written down"
    assert told(world.claim("veronica", "c3", agency="beacon"), LeadAssigned)
    moved = told(world.apply(succeed(world.at, "veronica", world.context)), LeadHandedOver, "veronica")
    assert [(one.target, one.cases) for one in moved] == [("beacon", ("c2", "c3"))]


# --- an attempt that was open when the link was undone: the details of both had been handed out


@pytest.mark.parametrize("outcome", ["declined", "withdrew"])
def test_who_says_no_to_an_attempt_from_before_the_unlink_may_be_either(world: World, outcome: str) -> None:
    world.link("vera", "veronica")
    world.ask("vera", "c1", "beacon")
    world.redeem("vera")
    world.unlink("vera", "veronica")
    world.outcome(outcome, "vera")
    assert why(world.ask("veronica", "c2", "mercia")) in {"declined", "withdrawn"}
    assert why(world.ask("vera", "c1", "beacon")) in {"declined", "withdrawn"}


def test_what_is_begun_after_the_unlink_concerns_one_alone(world: World) -> None:
    world.link("vera", "veronica")
    world.unlink("vera", "veronica")
    world.ask("vera", "c1", "beacon")
    world.redeem("vera")
    world.outcome("declined", "vera")
    assert granted(world.ask("veronica", "c2", "mercia"))


def test_an_unsafe_call_from_before_the_unlink_holds_both(world: World) -> None:
    world.link("vera", "veronica")
    world.ask("vera", "c1", "beacon")
    world.redeem("vera")
    world.unlink("vera", "veronica")
    world.outcome("unsafe", "vera")
    assert why(world.ask("veronica", "c2", "mercia")) == "unsafe"
    (permit,) = world.people["vera"].shared
    world.resolve(permit.id, "unsafe", lifted=True)
    assert granted(world.ask("veronica", "c2", "mercia"))


def test_what_was_unsafe_while_they_were_one_is_made_safe_again_for_both(world: World) -> None:
    world.link("vera", "veronica")
    world.ask("vera", "c1", "beacon")
    world.redeem("vera")
    world.outcome("unsafe", "vera")
    world.unlink("vera", "veronica")
    (permit,) = world.people["vera"].shared
    world.resolve(permit.id, "unsafe", lifted=True)
    assert granted(world.ask("veronica", "c2", "mercia"))
