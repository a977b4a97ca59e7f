"""Who may contact whom, and every way in which the answer is no."""

from __future__ import annotations

from datetime import time

import pytest

from services.consent.domain import cases
from services.consent.domain.decision import Decision
from shared.contracts.cases import CasePartyLeft
from shared.contracts.consent import LeadEnded, PermitEnded, PermitGranted, PermitRefused
from shared.contracts.envelope import Hours
from shared.contracts.people import Safety
from tests.unit.consent.world import PHONE, World, granted, told, why


@pytest.fixture
def world() -> World:
    """Vera, harmed, led by Beacon, cleared."""
    w = World()
    w.lead()
    return w


def test_the_lead_gets_a_permit_with_a_fence_and_an_end(world: World) -> None:
    permit = told(world.ask(), PermitGranted)[0]
    assert (permit.fence, permit.agency, permit.case) == (1, "beacon", "c1")
    assert (permit.expires - world.now).total_seconds() == 15 * 60


def test_another_agency_is_refused_and_the_near_miss_is_kept(world: World) -> None:
    world.refer(by="mercia", referral="r2")
    decision = world.ask(agency="mercia")
    assert why(decision) == "not_lead"
    assert told(decision, PermitRefused)[0].second_approach


def test_an_agency_that_has_nothing_to_do_with_her_is_told_that_there_is_no_such_person(world: World) -> None:
    assert why(world.ask(agency="elsewhere")) == "not_found"
    assert why(world.ask("nobody", agency="elsewhere")) == "not_found"


def test_a_question_about_nobody_leaves_no_ledger_behind() -> None:
    world = World()
    assert not world.ask("nobody").changes


def test_a_led_person_of_whom_intake_has_not_told_yet_gets_no_permit() -> None:
    world = World()
    world.claim()
    world.clear()
    assert why(world.ask()) == "unknown"
    world.refer()
    assert granted(world.ask())


def test_nobody_leads_yet() -> None:
    world = World()
    world.refer(by="beacon")
    assert why(world.ask()) == "no_lead"


def test_not_before_the_checks_are_answered() -> None:
    world = World()
    world.refer()
    world.claim()
    assert why(world.ask()) == "not_cleared"


def test_only_the_named_worker_or_the_deputy_that_it_names() -> None:
    world = World()
    world.refer()
    world.claim(worker="wendy")
    world.clear()
    assert why(world.ask(worker="walt")) == "not_named_worker"
    world.deputies = {"wendy": "walt"}
    assert granted(world.ask(worker="walt"))


def test_one_permit_at_a_time(world: World) -> None:
    assert granted(world.ask())
    assert why(world.ask()) == "permit_live"
    world.redeem()
    assert why(world.ask()) == "in_flight"


def test_a_permit_that_lapsed_unnoticed_stands_in_nobodys_way(world: World) -> None:
    world.ask()
    world.later(minutes=16)
    again = world.ask()
    assert granted(again)
    assert told(again, PermitGranted)[0].fence == 2


@pytest.mark.parametrize(
    ("channel", "hour", "reason"),
    [
        ("visit", 10, "channel_unsafe"),
        ("phone", 8, "hours_unsafe"),
        ("phone", 20, "hours_unsafe"),
        ("letter", 23, None),
    ],
)
def test_channel_and_hour(world: World, channel: str, hour: int, reason: str | None) -> None:
    world.now = world.now.replace(hour=hour)
    assert why(world.ask(channel=channel)) == reason


def test_hours_are_londons_summer_time_included(world: World) -> None:
    world.now = world.now.replace(month=7, day=7, hour=8, minute=30)
    assert granted(world.ask())


def test_her_own_safe_hours_count_beside_the_policys() -> None:
    world = World()
    mornings = Safety(channels=("phone",), hours=Hours(days=(2,), start=time(9), until=time(12)))
    world.lead(safety=mornings)
    world.now = world.now.replace(hour=12)
    assert why(world.ask()) == "hours_unsafe"
    world.later(hours=-1)
    assert granted(world.ask())
    world.expire()
    world.later(days=1)
    assert why(world.ask()) == "hours_unsafe"


def test_a_parked_key_is_a_no(world: World) -> None:
    world.parked = True
    assert why(world.ask()) == "parked"


def test_a_restored_database_is_a_no_until_it_is_reconciled(world: World) -> None:
    world.restored = True
    assert why(world.ask()) == "restored"


def test_a_hold_is_a_no_until_it_is_lifted_and_other_holds_stand(world: World) -> None:
    world.hold(hold="h1")
    world.hold(hold="h2")
    assert why(world.ask()) == "on_hold"
    world.lift(hold="h1")
    assert why(world.ask()) == "on_hold"
    world.lift(hold="h2")
    assert granted(world.ask())


def test_a_paused_case_is_a_no_and_an_old_resumption_does_not_end_a_newer_pause(world: World) -> None:
    world.pause(pause="second")
    world.resume(pause="first")
    assert why(world.ask()) == "paused"
    world.resume(pause="second")
    assert granted(world.ask())


def test_a_closed_case_is_a_no(world: World) -> None:
    world.claim(case="c2")
    world.close()
    assert why(world.ask()) == "case_closed"


# --- the other side


def test_nobody_is_approached_for_a_meeting_with_somebody_who_has_said_no(world: World) -> None:
    world.refer("rob", role="responsible")
    world.withdraw("rob")
    assert why(world.ask()) == "counterpart_withdrawn"


def test_of_two_responsible_one_who_has_not_said_no_is_enough(world: World) -> None:
    world.refer("rob", role="responsible")
    world.refer("ron", role="responsible")
    world.withdraw("rob", cases=("c1",))
    assert granted(world.ask())


def test_the_responsible_person_is_not_approached_once_the_harmed_one_has_withdrawn(world: World) -> None:
    world.lead("rob", agency="probation", role="responsible")
    world.withdraw("vera", cases=("c1",))
    assert why(world.ask("rob", agency="probation")) == "counterpart_withdrawn"


def test_who_agreed_to_be_kept_informed_can_be_told_that_it_goes_no_further(world: World) -> None:
    world.refer("rob", role="responsible")
    world.agree(scope=("be_informed",))
    world.withdraw("rob")
    assert granted(world.ask(purpose="conversation"))


# --- contact persons


@pytest.fixture
def family() -> World:
    """Two children of one mother, in two cases, led through her by Beacon."""
    w = World()
    for child, case in (("cleo", "c1"), ("carl", "c2")):
        w.refer(child, case, incident="fire", contact_persons=("mona",), safety=Safety(minor=True))
        w.refer("mona", case, incident="fire", role="contact", speaks_for=(child,))
        w.claim("mona", case, party=child)
        w.clear("mona", case, party=child)
    return w


def test_a_child_is_spoken_to_through_its_parent_only(family: World) -> None:
    assert why(family.ask("cleo")) == "needs_contact_person"
    assert granted(family.ask("mona", party="cleo"))


def test_somebody_who_was_not_named_as_contact_person_is_not_asked(family: World) -> None:
    family.lead("mike", "c9")
    assert why(family.ask("mike", "c1", party="cleo")) == "not_contact_person"


def test_a_parent_of_two_children_is_covered_by_one_approach(family: World) -> None:
    family.ask("mona", "c1", party="cleo")
    family.redeem("mona")
    family.outcome("declined", "mona")
    assert why(family.ask("mona", "c2", party="carl")) == "declined"


def test_the_parents_lead_is_one_lead(family: World) -> None:
    decision = family.claim("mona", "c2", party="carl", agency="mercia")
    assert not told(decision, PermitGranted)
    assert family.people["mona"].lead is not None
    assert family.people["mona"].lead.agency == "beacon"


def test_what_is_not_safe_for_the_child_is_not_for_the_mother(family: World) -> None:
    home = Safety(minor=True, flags=("lives_with_responsible", "no_letter", "no_safe_channel"))
    family.refer("cleo", "c1", incident="fire", contact_persons=("mona",), safety=home)
    assert why(family.ask("mona", "c1", party="cleo", channel="letter")) == "channel_unsafe"
    assert granted(family.ask("mona", "c1", party="cleo")), (
        "that the child has no telephone bars nobody else's"
    )


def test_what_one_id_has_is_a_way_and_what_one_says_is_unsafe_is_none(world: World) -> None:
    world.refer("vee", safety=Safety(channels=("visit",), flags=("no_letter",)), referral="r2")
    world.link("vera", "vee")
    assert why(world.ask(channel="letter")) == "channel_unsafe"
    assert granted(world.ask(channel="visit"))


def test_the_person_responsible_never_speaks_for_the_child(family: World) -> None:
    family.refer("mona", "c1", incident="fire", role="responsible")
    assert why(family.ask("mona", "c1", party="cleo")) == "contact_person_conflict"


def test_an_adult_with_a_contact_person_is_not_rung_directly() -> None:
    world = World()
    world.lead(contact_persons=("sue",), safety=PHONE)
    assert why(world.ask()) == "needs_contact_person"


# --- advice


def test_a_contact_check_says_what_a_permit_would(world: World) -> None:
    assert world.may() == "yes"
    assert world.may(agency="mercia") == "not_lead"
    world.attempt("agreed")
    assert world.may() == "yes"
    world.withdraw()
    assert world.may() == "withdrawn"


# --- nobody leads any more


def test_who_led_her_is_told_that_she_withdrew_though_the_case_is_closed_by_now(world: World) -> None:
    world.refer(by="mercia", referral="r2")
    world.withdraw()
    world.close()
    assert world.people["vera"].lead is None
    decision = world.ask()
    assert why(decision) == "withdrawn"
    assert told(decision, PermitRefused)[0].second_approach
    other = world.ask(agency="mercia")
    assert why(other) == "not_lead", "who never led learns nothing of her"
    assert told(other, PermitRefused)[0].second_approach


def test_who_led_a_case_that_is_over_is_told_so(world: World) -> None:
    world.close()
    assert why(world.ask()) == "case_closed"


def test_a_minor_without_a_contact_person_is_refused_with_what_is_missing() -> None:
    world = World()
    world.refer(by="beacon", safety=Safety(channels=("phone",), minor=True))
    assert why(world.ask()) == "needs_contact_person"


def test_a_case_that_goes_on_after_it_was_closed_can_be_led_again(world: World) -> None:
    world.withdraw()
    world.close()
    world.reopen()
    world.resume(pause=None)
    world.claim(claim="again")
    assert world.may() == "yes"


def test_a_pause_that_ends_opens_no_closed_case(world: World) -> None:
    world.pause()
    world.close()
    world.resume()
    assert world.cases["c1"].closed


# --- a party that no referral names any more


def left(world: World, party: str, person: str = "", case: str = "c1") -> Decision:
    event = CasePartyLeft(party=party, person=person or party, reason="retracted")
    return world.apply(cases.left(world.at, case, event))


def test_who_is_not_in_the_case_any_more_is_led_by_nobody_for_it(world: World) -> None:
    world.ask()
    decision = left(world, "vera")
    assert [e.reason for e in told(decision, LeadEnded)] == ["case_closed"]
    assert [e.reason for e in told(decision, PermitEnded)] == ["left_the_case"]
    assert not left(world, "vera").changes, "a restrictive event comes early, and again"
    world.refer("vera", "c2")
    world.claim("vera", "c2", agency="mercia")
    assert world.people["vera"].lead is not None, "free for whoever is asked to lead another case"


def test_the_lead_stays_with_who_leads_another_case_of_hers(world: World) -> None:
    world.lead("vera", "c2")
    assert not told(left(world, "vera"), LeadEnded)


def test_a_parent_goes_with_the_last_child_that_they_speak_for(family: World) -> None:
    family.refer("dora", "c1", incident="fire", contact_persons=("mona",), safety=Safety(minor=True))
    family.refer("mona", "c1", incident="fire", role="contact", speaks_for=("dora",))
    family.claim("mona", "c1", party="dora", claim="more")
    left(family, "cleo", "mona")
    assert family.people["mona"].lead is not None
    assert not any(p.over for p in family.people["mona"].parts)
    left(family, "dora", "mona")
    assert [p.over for p in family.people["mona"].parts] == [True, False]


def test_who_is_named_again_is_in_the_case_again(world: World) -> None:
    left(world, "vera")
    world.claim(claim="again")
    world.clear()
    assert world.may() == "yes"


def test_who_had_left_before_the_case_closed_does_not_come_back_with_it(world: World) -> None:
    """Vera goes on in another case; what she says of the old name is about that one."""
    world.refer("vee", referral="r2")
    left(world, "vera")
    world.lead("vera", "c4", "mercia", continues="c1")
    world.close()
    world.resume(pause=None)
    assert [(part.id, part.over) for part in world.people["vera"].parts] == [("c1", True), ("c4", False)]
    assert not world.people["vee"].parts[0].over
    world.rings("declined", case="c1")
    assert why(world.ask("vera", "c4", "mercia")) == "declined"
