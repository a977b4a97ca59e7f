"""What others learn of a referral: how each may safely be contacted, and nothing that says who they are."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.intake import facts, safe_contact
from services.intake.facts import Posted
from services.intake.referral import Referral
from shared.contracts.people import Safety
from shared.contracts.referrals import AgeBand, PartyFact, ReferralFacts
from tests.support.referrals import offender, party, referral

TODAY = date(2026, 11, 21)


def sent(*parties: dict[str, Any], **fields: Any) -> Referral:
    return Referral.model_validate_json(
        json.dumps(referral(parties=list(parties) or [party(), offender()], **fields))
    )


def said(human: dict[str, Any], *others: dict[str, Any]) -> Safety:
    document = sent(human, *others)
    victim = document.parties[0]
    return safe_contact.safety_said(victim, safe_contact.shared_with_responsible(document, victim), TODAY)


def test_a_channel_is_possible_when_there_is_a_detail_for_it() -> None:
    assert said(party()).channels == ("phone", "text", "email", "letter", "visit", "video")
    assert said(party(phones=[{"number": "01632 960001"}], emails=[], addresses=[])).channels == (
        "phone",
        "video",
    )


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"phones": [{"number": "07700 900123", "safe": False}]}, {"phone", "text"}),
        ({"emails": [{"address": "a@b.org", "safe": False}]}, {"email"}),
        ({"safe_contact": {"no_letters": True}}, {"letter"}),
        ({"safe_contact": {"channels": ["email"]}}, {"phone", "text", "letter", "visit", "video"}),
        ({"safe_contact": {"lives_with_responsible": True}}, {"letter", "visit", "video"}),
        ({"addresses": [{"postcode": "NF1 1NF"}]}, {"letter", "visit"}),
        ({"addresses": [{"postcode": "SG1 2AB", "kind": "previous"}]}, {"letter", "visit"}),
    ],
)
def test_what_is_unsafe_is_no_channel(change: dict[str, Any], gone: set[str]) -> None:
    assert set(said(party()).channels) - set(said(party(**change)).channels) == gone


def test_a_number_that_also_reaches_the_one_responsible_is_no_channel() -> None:
    shared = [{"number": "07700 900123"}]
    assert "phone" not in said(party(phones=shared), offender(phones=shared)).channels


def test_a_home_shared_with_the_one_responsible_is_living_together() -> None:
    home = [{"lines": ["4 Mill Lane"], "postcode": "SG1 2AB"}]
    merged = said(party(addresses=home), offender(addresses=home))
    assert "letter" not in merged.channels
    assert "lives_with_responsible" in merged.flags


@pytest.mark.parametrize(
    ("born", "minor", "band"),
    [
        ("2008-11-21", False, "18_to_24"),
        ("2008-11-22", True, "10_to_17"),
        ("2020-01-01", True, "under_10"),
        ("1971-03-09", False, "25_or_over"),
        ("1971-02-30", False, "unknown"),
        ("1970-01-01", False, "unknown"),
    ],
)
def test_age_is_reckoned_from_a_known_birth_date_only(born: str, minor: bool, band: str) -> None:
    assert said(party(date_of_birth=born)).minor is minor
    assert facts.age_band(facts.known_birth_date(born, TODAY), TODAY) == band


def test_who_was_born_on_a_leap_day_comes_of_age_on_the_first_of_march() -> None:
    assert facts.birthday(date(2008, 2, 29), 18) == date(2026, 3, 1)


def test_of_a_coming_of_age_only_the_month_is_told() -> None:
    assert facts.coming_of_age(["2009-04-23", "1971-03-09", None, "2012-01-05"], TODAY) == date(2027, 4, 1)
    assert facts.coming_of_age(["1971-03-09", "2008-11-21"], TODAY) is None


@pytest.mark.parametrize(
    ("band", "spoken_to", "then"),
    [("10_to_17", (), "18_to_24"), ("unknown", (), "unknown"), ("25_or_over", ("mona",), "25_or_over")],
)
def test_who_comes_of_age_is_spoken_to_themselves_in_referrals_too_that_do_not_tell_the_age(
    band: AgeBand, spoken_to: tuple[str, ...], then: AgeBand
) -> None:
    anna = PartyFact(person="anna", role="harmed", age_band=band, contact_persons=("mona",))
    ben = PartyFact(person="ben", role="harmed", age_band="10_to_17", contact_persons=("mona",))
    known = ReferralFacts(
        referral="r1", agency="police", version=1, incident="i1", received_at=datetime(2026, 11, 21, tzinfo=UTC),
        offence_class="burglary", stage="custody", initiated_by="agency", parties=(anna, ben),
    )  # fmt: skip
    now = facts.of_age(known, "anna")
    assert now.parties == (msgspec.structs.replace(anna, age_band=then, contact_persons=spoken_to), ben)


def test_codes_that_policies_ask_about_are_told() -> None:
    codes = {
        "caseworker": "pso-7",
        "need_codes": ["substance_use", "substance_use"],
        "supervising_kind": "crc",
    }
    document = sent(party(liaison_officer="vlo-1"), offender(**codes), programme="c2", plea="guilty")
    party_facts = [facts.party_fact(document, each, "p", [], TODAY) for each in document.parties]
    told = facts.referral_facts(Posted("r1", "police", datetime.now(UTC), document), "i1", party_facts)
    assert (told.programme, told.plea, told.parties[0].liaison_officer) == ("c2", "guilty", "vlo-1")
    responsible = told.parties[1]
    assert (responsible.caseworker, responsible.needs, responsible.supervising_kind) == (
        "pso-7",
        ("substance_use",),
        "crc",
    )


def test_facts_hold_nothing_that_says_who_somebody_is() -> None:
    secret = party(
        name={"forenames": "Zebedee", "surname": "Quillfeather"},
        needs="Zebedee cannot hear",
        identifiers={"pnc": "79/163001B", "own": "NSPIS 4711"},
        contact_person={
            "relation": "parent",
            "name": {"full": "Dorothea Quillfeather"},
            "phones": [{"number": "07700 900999"}],
        },
    )
    document = sent(secret, offender(), notes="Zebedee is afraid")
    victim = document.parties[0]
    party_facts = [facts.party_fact(document, victim, "p1", ["p2"], TODAY)]
    told = facts.referral_facts(Posted("r1", "police", datetime.now(UTC), document), "i1", party_facts)
    safety = safe_contact.safety_said(victim, safe_contact.shared_with_responsible(document, victim), TODAY)
    text = (msgspec.json.encode(told) + msgspec.json.encode(safety)).decode().lower()
    for personal in (
        "zebedee",
        "quillfeather",
        "dorothea",
        "900123",
        "900999",
        "mill lane",
        "1971",
        "163001",
        "4711",
        "2ab",
        "41/1234",
    ):
        assert personal not in text


def test_prior_contact_of_the_referral_speaks_of_whoever_was_harmed() -> None:
    document = sent(prior_contact={"by": "police", "answer": "no", "on": "2026-03-05"})
    victim, responsible = document.parties
    prior = facts.prior_contact_of(document, victim)
    assert prior is not None
    assert prior.answer == "no"
    assert facts.prior_contact_of(document, responsible) is None


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, ()),
        ({"incident": {"offence_class": "sexual"}}, ("agreement",)),
        ({"incident": {"offence_class": "theft", "sensitive": ["bereaved"]}}, ("agreement",)),
    ],
)
def test_some_offences_need_explicit_agreement_to_share(
    fields: dict[str, Any], missing: tuple[str, ...]
) -> None:
    document = sent(**fields)
    assert facts.agreement_missing(document, document.parties[0]) == missing


def test_evidence_is_part_of_an_explicit_agreement() -> None:
    agreement = {
        "scope": ["share"],
        "wording": "2026-1",
        "means": "written",
        "on": "2026-03-05",
        "recorded_by": "PC 1",
    }
    sexual = {"offence_class": "sexual"}
    document = sent(incident=sexual, agreement=agreement)
    assert facts.agreement_missing(document, document.parties[0]) == ("agreement.evidence",)
    document = sent(incident=sexual, agreement={**agreement, "evidence": "form 12"})
    assert facts.agreement_missing(document, document.parties[0]) == ()


def test_each_harmed_party_is_a_case_of_its_own_and_a_quarrel_is_one() -> None:
    assert facts.cases_of(sent(party(), offender(), party())) == [[0, 1], [2, 1]]
    assert facts.cases_of(sent(party("both"), party("both"))) == [[0, 1]]
    assert facts.cases_of(sent(offender(), party("both"))) == [[1, 0]]


def test_a_child_without_anybody_to_speak_to_is_warned_about() -> None:
    def paths(*parties: dict[str, Any]) -> list[str]:
        return [fault.path for fault in facts.warnings(sent(*parties), TODAY)]

    child = party(date_of_birth="2012-05-01")
    parent = {"relation": "parent", "name": {"full": "Dora Wells"}, "phones": [{"number": "07700 900999"}]}
    assert paths(child, offender(date_of_birth="2011-01-31")) == [
        "parties[0].contact_person",
        "parties[1].contact_person",
    ]
    assert paths({**child, "contact_person": parent}) == []
    assert paths(party(date_of_birth=None)) == []


def test_what_cannot_have_happened_yet_and_a_person_without_a_safe_way_are_warned_about() -> None:
    """Else a "no" that was typed into the wrong year, or an empty list, is taken as it stands without a word."""
    later, before = (TODAY + timedelta(days=1)).isoformat(), TODAY.isoformat()
    agreed = {"scope": ["share"], "wording": "v1", "means": "spoken", "on": later, "recorded_by": "A"}
    no = {"by": "beacon", "answer": "no", "on": later}
    mary = party(prior_contact=no, agreement=agreed, safe_contact={"channels": []})
    document = sent(mary, offender(prior_contact=no | {"on": before}), prior_contact=no, agreement=agreed)
    assert [fault.path for fault in facts.warnings(document, TODAY)] == [
        "parties[0].safe_contact.channels",
        "prior_contact.on",
        "agreement.on",
        "parties[0].prior_contact.on",
        "parties[0].agreement.on",
    ]
