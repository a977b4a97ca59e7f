"""The rules of a person and of a case file, and how several referrals' safe contact becomes one."""

from datetime import UTC, datetime, time
from typing import Any

import pytest

from services.intake import domain
from services.intake.core import CASE_FILE, PERSON
from services.intake.domain import CaseFileState, PersonState, Refused
from shared.contracts.envelope import Hours, Payload
from shared.contracts.people import PersonReferred, Safety
from shared.contracts.referrals import PartyFact, ReferralFacts, ReferralRetracted

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def person(*events: Payload) -> PersonState:
    state = PersonState()
    for event in events:
        state = domain.evolve_person(state, event)
    return state


def file(*events: Payload) -> CaseFileState:
    state = CaseFileState()
    for event in events:
        state = domain.evolve_case_file(state, event)
    return state


def facts(referral: str = "r1", version: int = 1, **more: Any) -> ReferralFacts:
    return ReferralFacts(
        referral=referral, agency="police", version=version, incident="i1", received_at=NOW, offence_class="burglary",
        stage="custody", initiated_by="agency", parties=(PartyFact(person="p1", role="harmed"),), **more,
    )  # fmt: skip


def referred(safety: Safety) -> PersonReferred:
    return PersonReferred(
        case="c1", incident="i1", referral="r1", referrer="police", role="harmed", safety=safety
    )


def test_a_hold_is_set_once_and_lifted_once() -> None:
    first = domain.hold_person(PersonState(), "h1", "identity_doubtful")
    held = person(*first)
    assert domain.hold_person(held, "h1", "identity_doubtful") == []
    lifted = domain.lift_person(held, "h1", "decided")
    assert domain.lift_person(person(*first, *lifted), "h1", "decided") == []


def test_other_holds_stand_when_one_is_lifted() -> None:
    state = person(
        *domain.hold_person(PersonState(), "h1", "a"), *domain.hold_person(PersonState(), "h2", "b")
    )
    state = domain.evolve_person(state, domain.lift_person(state, "h1", "x")[0])
    assert list(state.holds) == ["h2"]


def test_links_are_set_and_undone_once_and_never_with_oneself() -> None:
    linked = person(*domain.link(PersonState(), "p1", "p2", "matched"))
    assert domain.link(linked, "p1", "p2", "matched") == []
    assert (
        person(*domain.link(PersonState(), "p1", "p2", "m"), *domain.unlink(linked, "p2", "wrong")).links
        == ()
    )
    with pytest.raises(Refused):
        domain.link(PersonState(), "p1", "p1", "matched")


def test_erasure_keeps_holds_and_forgets_how_to_contact() -> None:
    held = person(
        referred(Safety(channels=("phone",))), *domain.hold_person(PersonState(), "h1", "suppressed")
    )
    erased = domain.evolve_person(held, domain.erase(held, "asked")[0])
    assert (erased.erased, erased.safety, list(erased.holds)) == (True, Safety(), ["h1"])
    assert domain.erase(erased, "asked") == []
    assert domain.change_safety(erased, Safety(channels=("phone",))) == []


def test_safe_contact_is_told_only_when_it_changes() -> None:
    safety = Safety(channels=("phone",))
    state = person(referred(safety))
    assert domain.change_safety(state, safety) == []
    assert len(domain.change_safety(state, Safety(channels=("email",)))) == 1


def test_a_channel_is_possible_if_one_referral_makes_it_so_and_barred_if_one_bars_it() -> None:
    merged = domain.merge_safety(
        [Safety(channels=("phone", "letter")), Safety(channels=("email",), flags=("no_letter",))]
    )
    assert merged.channels == ("phone", "email")
    again = domain.merge_safety([merged, Safety(channels=("letter", "visit"))])
    assert again.channels == ("phone", "email", "visit")


def test_hours_are_those_that_all_allow() -> None:
    one = Hours(days=(1, 2, 3), start=time(9), until=time(17))
    other = Hours(days=(2, 3, 4), start=time(12), until=time(20))
    merged = domain.merge_safety([Safety(channels=("phone",), hours=one), Safety(hours=other)])
    assert merged.hours == Hours(days=(2, 3), start=time(12), until=time(17))
    never = domain.merge_safety([Safety(channels=("phone",), hours=one), Safety(hours=Hours(days=(7,)))])
    assert (never.channels, "no_safe_hour" in never.flags) == ((), True)


def test_a_flag_that_no_channel_is_safe_goes_when_one_is() -> None:
    none = domain.merge_safety([Safety()])
    assert none.flags == ("no_safe_channel",)
    assert domain.merge_safety([none, Safety(channels=("phone",))]).flags == ()


def test_a_later_version_without_a_difference_says_nothing() -> None:
    state = file(*domain.receive(CaseFileState(), facts()))
    assert domain.receive(state, facts(version=2), facts()) == []
    changed = domain.receive(state, facts(version=2, area="E23000027"), facts())
    assert [getattr(event, "changed", None) for event in changed] == [("area",)]


def test_a_retraction_counts_who_still_supports_the_case() -> None:
    state = file(*domain.receive(CaseFileState(), facts("r1")), *domain.receive(CaseFileState(), facts("r2")))
    first = domain.retract(state, "r1")
    assert isinstance(first[0], ReferralRetracted)
    assert first[0].remaining == 1
    state = domain.evolve_case_file(state, first[0])
    assert domain.retract(state, "r1") == []
    last = domain.retract(state, "r2")[0]
    assert isinstance(last, ReferralRetracted)
    assert last.remaining == 0


def test_a_case_goes_on_as_another_once() -> None:
    state = file(*domain.join(CaseFileState(), "c2", "c1"))
    assert domain.join(state, "c2", "c9") == []
    with pytest.raises(Refused):
        domain.join(CaseFileState(), "c1", "c1")


def test_states_survive_being_stored() -> None:
    known = person(
        referred(Safety(channels=("phone",), hours=Hours())),
        *domain.hold_person(PersonState(), "h", "r", until=NOW),
    )
    assert PERSON.decode(PERSON.encode(known)) == known
    case = file(
        *domain.receive(CaseFileState(), facts()), *domain.hold_referral(CaseFileState(), "r1", "h", "x")
    )
    assert CASE_FILE.decode(CASE_FILE.encode(case)) == case
