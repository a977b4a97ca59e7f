"""A child comes of age: they are spoken to themselves, and the parent no more."""

from __future__ import annotations

import pytest

from services.consent.domain import leads, people
from services.consent.domain.decision import Decision
from shared.contracts.cases import CaseProposed, ProposedLead
from shared.contracts.consent import LeadAssigned, LeadEnded, PermitEnded
from shared.contracts.people import PersonChanged, Safety
from tests.unit.consent.world import PHONE, World, granted, told, why

CHILD = Safety(channels=("phone",), minor=True)


@pytest.fixture
def world() -> World:
    """Cleo is a child in c1, spoken to through Mona, her mother; Beacon leads."""
    w = World()
    w.refer("cleo", contact_persons=("mona",), safety=CHILD)
    w.refer("mona", role="contact", speaks_for=("cleo",))
    w.claim("mona", party="cleo")
    w.clear("mona", party="cleo")
    return w


def birthday(world: World, child: str = "cleo") -> Decision:
    return world.apply(people.changed(world.at, child, PersonChanged(safety=PHONE)))


def claim_for_herself(world: World, child: str = "cleo", case: str = "c1") -> Decision:
    lead = ProposedLead(party=child, person=child, role="harmed", agency="beacon", of_age=True)
    proposal = CaseProposed(
        claim=f"{case}.of-age", incident=f"incident of {case}", leads=(lead,), partnership="p",
        policy_version="1", rule="came_of_age", why=("because",),
    )  # fmt: skip
    return world.apply(leads.claim(world.at, case, proposal, world.now, world.context))


def test_the_parents_part_ends_with_the_lead_and_the_permit(world: World) -> None:
    assert granted(world.ask("mona", party="cleo"))
    decision = birthday(world)
    assert [(e.how, e.reason) for e in told(decision, PermitEnded)] == [("revoked", "came_of_age")]
    assert [(e.reason, e.cases) for e in told(decision, LeadEnded)] == [("came_of_age", ("c1",))]
    assert world.people["mona"].lead is None
    assert world.ask("mona", party="cleo").refusal is not None
    assert why(world.ask("cleo")) == "no_lead", "a restriction is at once; a lead is claimed"


def test_the_same_agency_then_approaches_the_person_for_the_first_time(world: World) -> None:
    assert granted(world.ask("mona", party="cleo"))
    world.redeem("mona")
    world.outcome("agreed", "mona")
    birthday(world)
    assert [e.agency for e in told(claim_for_herself(world), LeadAssigned)] == ["beacon"]
    assert why(world.ask("cleo", purpose="conversation")) == "no_agreement", "her mother's yes is not hers"
    assert granted(world.ask("cleo"))
    assert why(world.ask("mona", party="cleo")) == "no_lead"


@pytest.mark.parametrize("how", ["declined", "withdrew"])
def test_a_no_of_the_parent_holds_until_the_person_asks(world: World, how: str) -> None:
    assert granted(world.ask("mona", party="cleo"))
    world.redeem("mona")
    world.outcome(how, "mona")
    birthday(world)
    assert not told(claim_for_herself(world), LeadAssigned)
    assert world.ask("cleo").refusal is not None
    world.reopen("cleo")
    lead = ProposedLead(party="cleo", person="cleo", role="harmed", agency="beacon")
    again = CaseProposed(
        claim="c1.again", incident="i", leads=(lead,), partnership="p", policy_version="1", rule="r", why=(),
    )  # fmt: skip
    world.apply(leads.claim(world.at, "c1", again, world.now, world.context))
    assert granted(world.ask("cleo"))


@pytest.mark.parametrize("how", ["declined", "withdrew"])
def test_a_no_to_an_attempt_that_was_in_flight_on_the_birthday_holds_too(world: World, how: str) -> None:
    assert granted(world.ask("mona", party="cleo"))
    world.redeem("mona")
    assert not told(birthday(world), PermitEnded), "it ends by its outcome alone"
    claim_for_herself(world)
    world.outcome(how, "mona")
    assert why(world.ask("cleo")) in {"declined", "withdrawn"}


def test_what_the_parent_says_afterwards_is_not_said_for_the_person(world: World) -> None:
    birthday(world)
    claim_for_herself(world)
    world.withdraw("mona")
    assert granted(world.ask("cleo"))


def test_a_parent_goes_on_speaking_for_the_younger_child(world: World) -> None:
    world.refer("carl", contact_persons=("mona",), safety=CHILD)
    world.refer("mona", role="contact", speaks_for=("carl",))
    world.claim("mona", party="carl", claim="more")
    world.clear("mona", party="carl")
    assert not told(birthday(world), LeadEnded)
    assert why(world.ask("mona", party="cleo")) == "not_contact_person"
    assert granted(world.ask("mona", party="carl"))


def test_a_correction_that_makes_somebody_an_adult_does_the_same(world: World) -> None:
    world.refer("cleo", referral="r2", contact_persons=("sue",), safety=PHONE)
    assert world.people["mona"].lead is None
    assert world.people["cleo"].parts[0].contact_persons == ("sue",), "whom it names is named for an adult"


def test_an_older_claim_that_comes_late_is_put_right_by_the_next(world: World) -> None:
    birthday(world)
    world.claim("mona", party="cleo", claim="late")
    assert world.people["mona"].lead is not None
    assert [e.reason for e in told(claim_for_herself(world), LeadEnded)] == ["came_of_age"]
    assert granted(world.ask("cleo"))


def test_an_adult_keeps_who_speaks_for_them_when_their_details_change() -> None:
    w = World()
    w.refer("vera", contact_persons=("sue",))
    w.refer("sue", role="contact", speaks_for=("vera",))
    w.claim("sue", party="vera")
    w.clear("sue", party="vera")
    assert not told(birthday(w, "vera"), LeadEnded)
    assert granted(w.ask("sue", party="vera"))


# --- somebody else is spoken to


def claim_through(world: World, contact: str, agency: str = "beacon") -> Decision:
    lead = ProposedLead(party="cleo", person=contact, role="harmed", agency=agency, of_age=True)
    proposal = CaseProposed(
        claim=f"c1.through-{contact}", incident="incident of c1", leads=(lead,), partnership="p",
        policy_version="1", rule="contact_person_changed", why=("because",),
    )  # fmt: skip
    return world.apply(leads.claim(world.at, "c1", proposal, world.now, world.context))


def test_a_child_whose_parent_is_named_later_is_spoken_to_through_them_by_the_same_agency() -> None:
    world = World()
    world.lead("cleo", safety=CHILD)
    assert why(world.ask("cleo")) == "needs_contact_person"
    world.refer("cleo", contact_persons=("mona",), safety=CHILD)
    world.refer("mona", role="contact", speaks_for=("cleo",))
    decision = claim_through(world, "mona")
    assert [(key, e.reason) for key, e in decision.told(LeadEnded)] == [("cleo", "contact_person_changed")]
    assert granted(world.ask("mona", party="cleo"))
    assert why(world.ask("cleo")) is not None


def test_who_takes_the_place_of_a_contact_person_is_spoken_to_in_their_stead(world: World) -> None:
    assert granted(world.ask("mona", party="cleo"))
    world.refer("cleo", contact_persons=("alma",), safety=CHILD)
    world.refer("alma", role="contact", speaks_for=("cleo",))
    decision = claim_through(world, "alma")
    assert [e.reason for e in told(decision, PermitEnded)] == ["contact_person_changed"]
    assert granted(world.ask("alma", party="cleo"))
    assert why(world.ask("mona", party="cleo")) is not None


def test_a_no_that_the_old_one_gave_stands_whoever_is_spoken_to(world: World) -> None:
    world.ask("mona", party="cleo")
    world.redeem("mona")
    world.outcome("declined", "mona")
    world.refer("cleo", contact_persons=("alma",), safety=CHILD)
    world.refer("alma", role="contact", speaks_for=("cleo",))
    assert not told(claim_through(world, "alma"), LeadAssigned)
