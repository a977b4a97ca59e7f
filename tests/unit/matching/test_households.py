"""Two people of one home and one telephone: what agrees is the family's, and what differs is their own. All are invented."""

import pytest

from services.intake.matching import Candidate, Person, Record, compare, decide, load, normalise


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"forenames": "John Snr", "surname": "Hill"}, {"forenames": "John", "surname": "Hill (Jnr)"}),
        ({"full_name": "John Paul Hill Snr"}, {"full_name": "Hill Jr, John Paul"}),
    ],
)
def test_a_father_and_a_son_whom_a_clerk_told_apart_are_not_joined(one: Person, other: Person) -> None:
    home: Person = {"addresses": [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}]}
    for new, known in ((one, other), (other, one)):
        found = [
            decide(
                normalise({**new, **home}),
                [Candidate("p0", normalise({**of, **home}))],
                people_in_store=2_000,
            )
            for of in (known, new)
        ]
        assert [decision.answer for decision in found] == ["hold", "join"]
        assert found[0].reasons == ("second_forenames_differ",)


@pytest.mark.parametrize(("boy", "girl"), [("Paul", "Paula"), ("Daniel", "Danielle"), ("Jesse", "Jessie")])
def test_twins_of_two_sexes_whose_names_differ_by_a_letter_are_not_joined(boy: str, girl: str) -> None:
    known: Person = {
        "surname": "Hill",
        "date_of_birth": "1998-03-17",
        "addresses": [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}],
    }
    one, other = ({**known, "forenames": name, "sex": sex} for name, sex in ((boy, "m"), (girl, "f")))
    for new, old in ((one, other), (other, one)):
        decision = decide(normalise(new), [Candidate("p0", normalise(old))], people_in_store=2_000)  # type: ignore[arg-type]
        assert (decision.answer, "sexes_differ" in decision.reasons) == ("hold", True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"title": "Mr", "surname": "Hill"}, {"title": "Mrs", "surname": "Hill"}),
        ({"full_name": "Mr. Hill"}, {"full_name": "Mrs Hill"}),
        ({"forenames": "Twin 1", "surname": "Hill"}, {"forenames": "Twin 2", "surname": "Hill"}),
        ({"full_name": "Hill, Child 1"}, {"full_name": "Hill, Child 2"}),
        (
            {"forenames": "Baby", "surname": "Hill", "date_of_birth": "2020-03-17"},
            {"forenames": "Baby", "surname": "Hill", "date_of_birth": "2021-09-11"},
        ),
    ],
)
def test_two_of_one_home_whom_a_title_or_a_number_tells_apart_are_not_joined(
    one: Person, other: Person
) -> None:
    home: Person = {
        "addresses": [{"lines": ["12 Mill Lane"], "postcode": "LS6 2AB"}],
        "phones": ["0113 496 0123"],
    }
    for new, known in ((one, other), (other, one)):
        candidate = Candidate("p0", normalise({**known, **home}))
        assert decide(normalise({**new, **home}), [candidate], people_in_store=2_000).answer == "hold"


def test_a_title_says_a_sex_where_nobody_has_and_a_couples_says_none() -> None:
    assert normalise({"title": "Mrs", "surname": "Hill"}).sex == "f"
    assert normalise({"title": "Mrs", "surname": "Hill", "sex": "male"}).sex == "m"
    assert normalise({"title": "Mrs", "surname": "Hill", "sex": "other"}).sex == ""
    assert normalise({"full_name": "Mr & Mrs Hill"}).sex == ""
    assert normalise({"forenames": "Missy", "surname": "Hill"}).sex == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("3 Mill Lane", "12 Mill Lane", "3, Mill La"),
        ("Flat 1, Leeds House", "Flat 7, Leeds House", "Flat 1, Leeds Hse"),
    ],
)
def test_two_house_numbers_in_one_street_are_two_homes(one: str, other: str, same: str) -> None:
    """They had counted as one home written in two ways, and two neighbours called John Smith as one human."""

    def at(line: str) -> Record:
        home: Person = {"addresses": [{"lines": [line], "postcode": "LS6 2AB"}]}
        return normalise({"forenames": "John", "surname": "Smith", "sex": "m", **home})

    assert compare(at(one), at(other), load()).level("address") == "different"
    decision = decide(at(one), [Candidate("p0", at(other))], people_in_store=2_000)
    assert (decision.answer, decision.reasons) == ("hold", ("name_alone",))
    assert compare(at(one), at(same), load()).level("address") == "similar"
    assert decide(at(one), [Candidate("p0", at(same))], people_in_store=2_000).answer == "join"


def test_senior_is_a_surname_and_junior_a_forename_where_there_is_no_other() -> None:
    john = normalise({"forenames": "John", "surname": "Senior"})
    assert (john.forenames, john.surnames) == (("john",), ("senior",))
    junior = normalise({"forenames": "Junior", "surname": "Hill"})
    assert (junior.forenames, junior.surnames) == (("junior",), ("hill",))
    assert normalise({"surname": "Hill Jr"}).forenames == ()
    for written in ("Maria Smith, jr.", "Maria Smith Jnr", "Smith Jr, Maria"):
        record = normalise({"full_name": written})
        assert (record.forenames, record.surnames) == (("maria", "younger"), ("smith",))


@pytest.mark.parametrize(
    "lines",
    [
        ["HMP Leeds"],
        ["Wing C", "HM Prison & YOI Doncaster"],
        ["St Mungo's Hostel", "Park Row"],
        ["Women's Refuge"],
        ["c/o Quill Solicitors", "Park Row"],
    ],
)
def test_a_prison_or_a_hostel_is_nobodys_home_in_particular(lines: list[str]) -> None:
    """Its sender need not have said what kind of address it is; two of one name there had been joined."""
    david: Person = {"forenames": "David", "surname": "Smith", "sex": "m"}
    there = normalise({**david, "addresses": [{"lines": lines, "postcode": "LS12 2TJ"}]})
    assert (there.homes, there.postcodes) == ((), ())
    assert decide(there, [Candidate("p0", there)], people_in_store=2_000).answer != "join"


@pytest.mark.parametrize("line", ["3 Prison Lane", "12 Hostel Road", "The Refuge Inn, 2 High Street"])
def test_a_street_that_is_called_after_one_is_a_home(line: str) -> None:
    assert normalise({"addresses": [{"lines": [line], "postcode": "LS12 2TJ"}]}).postcodes == ("LS122TJ",)


def test_the_sentence_is_one_and_says_no_value_of_either_record() -> None:
    known = {"sex": "f", "date_of_birth": "1984-03-17", "addresses": [{"postcode": "LS6 2AB"}]}
    one: Person = {"forenames": "Anna", "surname": "Hargreaves", **known}  # type: ignore[typeddict-item]
    other: Person = {**one, "surname": "Quillfeather"}
    decision = decide(normalise(other), [Candidate("p0", normalise(one))], people_in_store=2_000)
    assert decision.sentence == (
        "One human: the evidence is strong and nobody else is as close. "
        "Forename same; surname different; date of birth same; sex same; postcode same."
    )
