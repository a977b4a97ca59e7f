"""Withdrawing always works and binds every agency; only the person comes back; entries made in error are another thing."""

from __future__ import annotations

import pytest

from shared.contracts.consent import ConsentWithdrawn, PermitEnded, StandingTightened
from shared.contracts.people import PriorContact
from tests.unit.consent.world import World, granted, told, why


@pytest.fixture
def world() -> World:
    w = World()
    w.lead()
    return w


def test_with_nothing_in_flight_the_answer_is_clean_and_unredeemed_permits_end(world: World) -> None:
    world.ask()
    decision = world.withdraw()
    assert told(decision, ConsentWithdrawn)[0].in_flight == ()
    assert told(decision, PermitEnded)[0].how == "revoked"
    assert why(world.redeem(permit="p1")) == "not_live"
    assert why(world.ask()) == "withdrawn"


def test_what_had_been_redeemed_is_named_and_stays_until_its_outcome(world: World) -> None:
    world.ask()
    world.redeem()
    assert told(world.withdraw(), ConsentWithdrawn)[0].in_flight == ("p1",)
    assert why(world.outcome("declined")) is None
    assert told(world.withdraw(), ConsentWithdrawn)[0].in_flight == ()


def test_an_approach_in_flight_is_about_all_her_cases(world: World) -> None:
    world.lead(case="c2", referral="r2")
    world.ask(case="c2")
    world.redeem()
    assert told(world.withdraw(cases=("c1",)), ConsentWithdrawn)[0].in_flight == ("p1",)


def test_a_withdrawal_from_one_case_leaves_others(world: World) -> None:
    world.lead(case="c2", referral="r2")
    world.withdraw(cases=("c1",))
    assert why(world.ask(case="c1")) == "withdrawn"
    assert granted(world.ask(case="c2"))


def test_a_withdrawal_from_everything_binds_cases_that_come_later(world: World) -> None:
    world.withdraw()
    world.later(days=400)
    world.refer(case="c2", referral="r2")
    world.claim(case="c2")
    world.clear(case="c2")
    assert why(world.ask(case="c2")) == "withdrawn"


def test_somebody_unknown_can_withdraw_and_is_bound_when_a_referral_comes() -> None:
    world = World()
    world.withdraw("vera")
    world.refer()
    decision = world.claim()
    world.clear()
    assert world.people["vera"].lead is None
    assert not told(decision, StandingTightened)
    assert world.may() == "not_lead"


def test_a_childs_withdrawal_names_what_is_in_flight_with_its_parent() -> None:
    world = World()
    world.refer("cleo", contact_persons=("mona",))
    world.refer("mona", role="contact", speaks_for=("cleo",))
    world.claim("mona", party="cleo")
    world.clear("mona", party="cleo")
    world.ask("mona", party="cleo")
    assert told(world.withdraw("cleo"), PermitEnded, "mona")
    world.reopen("cleo")
    world.ask("mona", party="cleo")
    world.redeem("mona")
    assert told(world.withdraw("cleo", by="proxy"), ConsentWithdrawn)[0].in_flight == ("p2",)


def test_a_parent_who_takes_part_no_longer_speaks_for_the_child(world: World) -> None:
    world.refer("cleo", contact_persons=("mona",))
    world.refer("mona", role="contact", speaks_for=("cleo",))
    world.withdraw("mona", cases=("c1",))
    assert {part.closed for part in world.people["cleo"].parts} == {"withdrawn"}


def test_only_the_person_comes_back_and_only_where_she_says(world: World) -> None:
    world.lead(case="c2", referral="r2")
    world.withdraw()
    world.reopen("vera", "c2")
    assert why(world.ask(case="c1")) == "withdrawn"
    assert granted(world.ask(case="c2"))


def test_a_reopened_case_can_be_withdrawn_from_again(world: World) -> None:
    world.withdraw()
    world.reopen("vera", "c1")
    world.withdraw(cases=("c1",))
    assert why(world.ask()) == "withdrawn"
    world.reopen()
    assert granted(world.ask())


def test_no_agency_and_no_later_referral_reopens_what_she_closed(world: World) -> None:
    world.withdraw(cases=("c1",))
    world.refer(by="mercia", referral="r2", prior=PriorContact(answer="yes", agency="mercia"))
    assert why(world.ask()) == "withdrawn"
    assert why(world.agree()) == "closed"


def test_there_is_nothing_to_reopen_while_nothing_is_closed(world: World) -> None:
    assert why(world.reopen()) == "not_live"


def test_an_erased_person_stays_closed(world: World) -> None:
    world.ask()
    assert told(world.erase(), PermitEnded)
    assert why(world.reopen()) == "erased"
    assert not world.erase().changes
    world.claim()
    assert world.people["vera"].lead is None


def test_an_old_agreement_does_not_come_back_with_a_reopening(world: World) -> None:
    world.agree()
    world.withdraw(cases=("c1",))
    world.reopen("vera", "c1")
    assert why(world.ask(purpose="conversation")) == "no_agreement"
