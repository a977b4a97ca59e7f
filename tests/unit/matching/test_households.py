"""Two people of one home and one telephone: what agrees is the family's, and what differs is their own. All are invented."""

import pytest

from services.intake.matching import Candidate, Person, decide, normalise


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"forenames": "Mohammed Imran", "surname": "Khan", "date_of_birth": "1990-05-06"},
            {"forenames": "Mohammed Rizwan", "surname": "Khan", "date_of_birth": "1992-08-19"},
        ),
        (
            {"forenames": "Gurpreet", "surname": "Singh", "sex": "m", "date_of_birth": "1998-03-17"},
            {"forenames": "Gurpreet", "surname": "Kaur", "sex": "f", "date_of_birth": "1999-05-21"},
        ),
    ],
)
def test_brothers_and_sisters_of_one_first_name_are_not_joined_by_their_home(
    one: Person, other: Person
) -> None:
    """Their home and its telephone had outweighed three fields that differ."""
    home: Person = {
        "addresses": [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}],
        "phones": ["0113 496 0123"],
    }
    for people_in_store in (20, 2_000, 200_000):
        for new, known in ((one, other), (other, one)):
            candidate = Candidate("p0", normalise({**known, **home}))
            decision = decide(normalise({**new, **home}), [candidate], people_in_store=people_in_store)
            assert decision.answer == "hold"
            assert "birth_dates_differ" in decision.reasons


def test_the_sentence_is_one_and_says_no_value_of_either_record() -> None:
    known = {"sex": "f", "date_of_birth": "1984-03-17", "addresses": [{"postcode": "LS6 2AB"}]}
    one: Person = {"forenames": "Anna", "surname": "Hargreaves", **known}  # type: ignore[typeddict-item]
    other: Person = {**one, "surname": "Quillfeather"}
    decision = decide(normalise(other), [Candidate("p0", normalise(one))], people_in_store=2_000)
    assert decision.sentence == (
        "One human: the evidence is strong and nobody else is as close. "
        "Forename same; surname different; date of birth same; sex same; postcode same."
    )
