"""What was said, by whatever name, when cases become one and two again, and when one of two linked ids leaves a case."""

from __future__ import annotations

import pytest

from services.consent.domain import cases, leads, people
from services.consent.domain.decision import Decision
from services.consent.domain.standing import goes_on_as, own_no
from shared.contracts.cases import CasePartyLeft
from shared.contracts.people import PersonHeld
from tests.unit.consent.world import World, granted, why


def left(world: World, person: str, case: str = "c1") -> None:
    event = CasePartyLeft(party=person, person=person, reason="retracted")
    world.apply(cases.left(world.at, case, event))


@pytest.fixture
def world() -> World:
    """Vera in c1; Veronica in c2, which was joined to c1 while they were one human, and goes on as c3 since they are not."""
    w = World()
    w.lead("vera", "c1")
    w.lead("veronica", "c2")
    w.link("vera", "veronica")
    w.close("c2", into="c1")
    w.lead("veronica", "c1")
    w.unlink("vera", "veronica")
    w.lead("veronica", "c3", continues="c1")
    left(w, "veronica")
    return w


@pytest.mark.parametrize("name", ["c1", "c2", "c3"])
def test_a_no_by_either_old_name_binds_in_the_case_as_which_it_goes_on(world: World, name: str) -> None:
    world.rings("declined", "veronica", name)
    assert own_no(world.people["veronica"], "c3") == "declined"
    assert why(world.ask("veronica", "c3")) == "declined"
    assert granted(world.ask("vera", "c1")), "she has not said anything"


def test_a_conversation_that_began_before_both_ends_in_what_became_of_its_case() -> None:
    w = World()
    w.lead("vera", "c1")
    w.lead("veronica", "c2")
    w.attempt("agreed", "veronica", "c2")
    w.ask("veronica", "c2", purpose="conversation")
    w.redeem("veronica")
    w.link("vera", "veronica")
    w.close("c2", into="c1")
    w.unlink("vera", "veronica")
    w.lead("veronica", "c3", continues="c1")
    w.outcome("withdrew", "veronica")
    assert own_no(w.people["veronica"], "c3") == "withdrawn"


def test_a_no_said_before_the_joining_was_heard_reaches_the_case_that_came_out_of_it() -> None:
    """The joining comes last: allocation tells it, and intake the rest."""
    w = World()
    w.lead("vera", "c1")
    w.lead("veronica", "c2")
    w.rings("declined", "veronica", "c2")
    w.lead("veronica", "c3", continues="c1")
    w.close("c2", into="c1")
    assert own_no(w.people["veronica"], "c3") == "carried_over"


def test_what_is_said_of_a_case_before_its_leaving_was_heard_is_carried_with_it() -> None:
    w = World()
    w.lead("veronica", "c1")
    w.lead("veronica", "c3", continues="c1")
    w.rings("declined", "veronica", "c1")
    assert own_no(w.people["veronica"], "c3") is None
    left(w, "veronica")
    assert own_no(w.people["veronica"], "c3") == "carried_over"


def test_who_is_in_both_says_no_to_the_one_that_they_name() -> None:
    """Two incidents of one woman had been taken for one: c2 was joined to c1, and goes on as c3."""
    w = World()
    w.lead("vera", "c1")
    w.lead("vera", "c2")
    w.close("c2", into="c1")
    w.lead("vera", "c3", continues="c1")
    w.rings("declined", "vera", "c1")
    w.close("c1")
    assert (own_no(w.people["vera"], "c1"), own_no(w.people["vera"], "c3")) == ("declined", None)
    w.rings("declined", "vera", "c2")
    assert own_no(w.people["vera"], "c3") == "declined"


def test_a_yes_by_an_old_name_opens_the_last_one_only() -> None:
    w = World()
    for case in ("c1", "c2"):
        w.lead("vera", case)
    w.close("c2", into="c1")
    w.lead("vera", "c3", continues="c1")
    w.rings("declined", "vera", "c1")
    w.rings("declined", "vera", "c3")
    w.reopen("vera", "c2")
    assert (own_no(w.people["vera"], "c1"), own_no(w.people["vera"], "c3")) == ("declined", None)


def test_joined_again_the_first_is_the_last() -> None:
    w = World()
    w.lead("veronica", "c2")
    w.close("c2", into="c1")
    w.lead("veronica", "c3", continues="c1")
    left(w, "veronica")
    w.close("c3", into="c1")
    ids = ("veronica",)
    assert [goes_on_as(Decision(w.at), ids, name) for name in ("c1", "c2", "c3")] == ["c1", "c1", "c1"]


def test_what_she_agreed_to_goes_with_her(world: World) -> None:
    world.attempt("agreed", "veronica", "c3")
    talk = world.ask("veronica", "c3", purpose="conversation")
    assert granted(talk), why(talk)


@pytest.mark.parametrize("gone", ["vera", "veronica"])
def test_one_of_two_referrals_of_one_human_is_taken_back(gone: str) -> None:
    """One case, one human, two ids: the one that no referral names any more does not end it for the other."""
    w = World()
    w.lead("vera", "c1")
    w.lead("veronica", "c1", referral="r2")
    w.link("vera", "veronica")
    stays = "veronica" if gone == "vera" else "vera"
    left(w, gone)
    asked = w.ask(stays, "c1")
    assert granted(asked), why(asked)


@pytest.mark.parametrize("named", ["vera", "veronica"])
def test_whoever_one_of_two_referrals_names_to_speak_for_her_is_spoken_to(named: str) -> None:
    w = World()
    other = "veronica" if named == "vera" else "vera"
    w.lead(other, "c1")
    w.refer("paul", "c1", role="contact", speaks_for=(named,))
    w.refer(named, "c1", contact_persons=("paul",), referral="r2")
    w.claim("paul", "c1", party=named)
    w.clear("paul", "c1", party=named)
    w.link("vera", "veronica")
    assert why(w.ask(other, "c1")) == "needs_contact_person"
    assert granted(w.ask("paul", "c1", party=named))


def test_who_has_left_the_case_is_not_on_the_other_side() -> None:
    w = World()
    w.lead("vera", "c1")
    w.lead("rob", "c1", role="responsible")
    w.lead("ray", "c1", role="responsible", referral="r2")
    left(w, "ray")
    w.withdraw("rob")
    assert why(w.ask("vera", "c1")) == "counterpart_withdrawn"


def test_a_hold_of_a_joined_case_moves_with_it() -> None:
    w = World()
    w.lead("vera", "c1")
    for case in ("c2", "c1"):
        event = PersonHeld(hold="h", reason="unsafe_contact", case=case)
        w.apply(people.held(w.at, "vera", event))
    assert why(w.ask("vera", "c1")) == "on_hold"


def test_one_human_with_two_ids_has_one_friend() -> None:
    """Each of two cases names its worker: of the second, before anybody has begun with her, and after."""
    w = World()
    w.lead("vera", "c1")
    w.lead("veronica", "c2")
    w.apply(leads.name_worker(w.at, "c1", ("vera",), "beacon", "wendy", w.context))
    w.link("vera", "veronica")
    w.apply(leads.name_worker(w.at, "c2", ("veronica",), "beacon", "walt", w.context))
    assert why(w.ask("veronica", "c2", worker="wendy")) == "not_named_worker"
    assert granted(w.ask("veronica", "c2", worker="walt")), "who was named last, as for a human with one id"
    w.redeem("veronica")
    w.outcome("no_answer", "veronica")
    w.apply(leads.name_worker(w.at, "c1", ("vera",), "beacon", "wendy", w.context))
    assert {state.lead.worker for state in w.people.values() if state.lead} == {"walt"}
