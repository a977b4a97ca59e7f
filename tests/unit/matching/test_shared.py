"""A telephone or mailbox that is not theirs alone: it still finds them, and hardly says who they are. All are invented."""

import msgspec
import pytest

from services.intake.facts import comparable
from services.intake.matching import (
    Candidate,
    Decision,
    Person,
    Record,
    blocking_keys,
    compare,
    decide,
    load,
    normalise,
    reached,
)
from services.intake.recognising.load import encode_record
from services.intake.recognising.people import _repeats
from services.intake.referral import Party
from services.intake.suppressions import suppression_texts

NUMBER, OTHER = "+447700900123", "+447700900987"
ANNA: Person = {"forenames": "Anna", "surname": "Hargreaves", "sex": "female"}
BORN: Person = {**ANNA, "date_of_birth": "1984-03-17"}


def own(person: Person, *numbers: str) -> Record:
    return normalise({**person, "phones": numbers or (NUMBER,)})


def partners(person: Person, *numbers: str) -> Record:
    return normalise({**person, "phones": numbers or (NUMBER,), "shared": [NUMBER]})


def met(new: Record, known: Record, people_in_store: int = 2_000) -> Decision:
    return decide(new, [Candidate("p0", known)], people_in_store=people_in_store)


def telephone(one: Record, other: Record) -> tuple[str, float]:
    """Level and bits, the same whichever record comes first."""
    found = compare(one, other, load())
    assert found == compare(other, one, load())
    return next((line.level, line.bits) for line in found.lines if line.field == "telephone")


def test_whose_a_telephone_is_comes_from_the_referral() -> None:
    phones = [{"number": NUMBER, "whose": "partner"}, {"number": OTHER}]
    emails = [
        {"address": "hills@example.org", "whose": "shared"},
        {"address": "me@example.org", "whose": "unknown"},
    ]
    party = Party.model_validate_json(
        msgspec.json.encode(
            {"role": "harmed", "name": {"surname": "Hill"}, "phones": phones, "emails": emails}
        )
    )
    record = normalise(comparable(party, "police"))
    assert record.phones == (NUMBER, OTHER)
    assert record.shared == (NUMBER, "hills@example.org")


def test_it_weighs_less_than_ones_own_whichever_record_says_so_and_one_that_differs_says_nothing() -> None:
    level, bits = telephone(own(ANNA), partners(ANNA))
    assert level == "same_shared"
    assert 0 < bits < telephone(own(ANNA), own(ANNA))[1] / 2
    assert telephone(partners(ANNA), partners(ANNA)) == (level, bits)
    assert telephone(partners(ANNA), own(ANNA, OTHER)) == ("absent", 0.0)
    assert telephone(partners(ANNA), own(ANNA, "+447700900124")) == ("absent", 0.0), (
        "a slip of it is nobody's"
    )
    assert telephone(partners(ANNA, NUMBER, OTHER), own(ANNA, OTHER))[0] == "same", "beside it her own"


@pytest.mark.parametrize("people_in_store", [20, 2_000, 200_000])
def test_a_name_and_somebody_elses_telephone_alone_never_join(people_in_store: int) -> None:
    """A son is reached at his father's telephone, and may have his name."""
    assert met(own(ANNA), own(ANNA), people_in_store).answer == "join"
    decision = met(partners(ANNA), own(ANNA), people_in_store)
    assert (decision.answer, decision.reasons) == ("hold", ("name_alone",))
    assert met(partners(BORN), own(BORN), people_in_store).answer == "join"
    assert met(partners(BORN), own(ANNA), people_in_store).answer == "hold"


def test_it_confirms_neither_an_initial_nor_another_surname() -> None:
    initial: Person = {"forenames": "A", "surname": "Hargreaves", "addresses": [{"postcode": "LS6 2AB"}]}
    whole: Person = {**ANNA, "addresses": [{"postcode": "LS6 2AB"}]}
    assert met(own(initial), own(whole)).answer == "join"
    assert "initial_alone" in met(partners(initial), own(whole)).reasons
    married: Person = {**BORN, "surname": "Quillfeather"}
    assert "two_surnames" in met(partners(married), own(BORN), 20).reasons


def test_a_couple_on_his_telephone_are_two_people_and_nobody_is_in_doubt() -> None:
    peter = own({"forenames": "Peter", "surname": "Hargreaves", "sex": "male"})
    for people_in_store in (20, 2_000):
        assert met(partners(ANNA), peter, people_in_store).answer == "different"


@pytest.mark.parametrize("mailbox", ["info", "reception", "office", "enquiries", "Admin"])
def test_a_mailbox_that_is_anybodys_at_work_there_hardly_says_who_it_is(mailbox: str) -> None:
    def at(person: Person, domain: str) -> Record:
        return normalise({**person, "emails": [f"{mailbox}@{domain}"]})

    here = at(ANNA, "cornershop.example")
    assert compare(here, here, load()).level("email") == "same_shared"
    assert met(here, here).answer == "hold"
    for elsewhere in ("cornershap.example", "supermarket.example"):
        assert compare(here, at(ANNA, elsewhere), load()).level("email") == "different"
    one = normalise({**ANNA, "emails": ["anna.hargreaves@cornershop.example"]})
    assert compare(one, one, load()).level("email") == "same"


def test_whoever_is_there_is_still_found_and_their_no_still_met() -> None:
    assert f"phone:{NUMBER}" in blocking_keys(partners(ANNA))
    assert blocking_keys(partners(BORN)) == blocking_keys(own(BORN))
    assert suppression_texts(partners(BORN)) == suppression_texts(own(BORN))


def test_a_number_that_a_crowd_shares_still_says_nothing() -> None:
    crowd = [f"phone:{NUMBER}"]
    decision = decide(partners(ANNA), [], people_in_store=2_000, hot=crowd)
    assert (decision.answer, decision.reasons) == ("hold", ("hot_key",))
    known = [Candidate("p0", own(BORN))]
    decision = decide(partners(BORN), known, people_in_store=2_000, hot=crowd)
    assert decision.evidence is not None
    assert decision.evidence.level("telephone") == "absent"


def test_whoever_may_be_meant_by_a_number_alone_is_known_however_many_people_there_are() -> None:
    number: Person = {}
    known = [
        Candidate("anna", partners(BORN)),
        Candidate("peter", own({"forenames": "Peter", "surname": "Hargreaves"})),
        Candidate("else", own(BORN, OTHER)),
    ]
    assert decide(own(number), known, people_in_store=1_000_000).answer == "different"
    assert reached(own(number), known) == ["peter", "anna"]
    assert reached(own(ANNA), known) == ["anna"], "of two forenames at one telephone the other is not meant"


def test_what_was_stored_before_is_the_same_record_and_its_telephone_counts_as_their_own() -> None:
    stored = encode_record(own(BORN))
    assert b"shared" not in stored, "and so has the hash that it had"
    before = msgspec.json.decode(stored, type=Record)
    assert before == own(BORN)
    again = partners(BORN)
    assert msgspec.json.decode(encode_record(again), type=Record) == again
    assert set(blocking_keys(before)) & set(blocking_keys(again))
    assert met(again, before).answer == "join"
    assert met(partners(ANNA), msgspec.json.decode(encode_record(own(ANNA)), type=Record)).answer == "hold"


def test_a_later_version_that_says_no_more_than_whose_it_is_says_nothing_new() -> None:
    assert _repeats(partners(BORN), own(BORN))
    assert not _repeats(own(BORN), partners(BORN)), "her own after all: that may show who else she is"
    assert not _repeats(partners(BORN), own(ANNA))
