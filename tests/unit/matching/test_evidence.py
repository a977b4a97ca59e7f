"""At which level two records agree in a field, and which of two levels weighs more. All people here are invented."""

import pytest

from services.intake.matching import Person, compare, load, normalise


def level(field: str, a: Person, b: Person) -> str:
    """The level of one field, the same whichever record comes first."""
    found = compare(normalise(a), normalise(b), load())
    assert found == compare(normalise(b), normalise(a), load())
    return found.level(field)


def bits(field: str, a: Person, b: Person) -> float:
    """The weight of one field."""
    lines = compare(normalise(a), normalise(b), load()).lines
    return next(line.bits for line in lines if line.field == field)


def named(forenames: str, surname: str = "Hargreaves", sex: str | None = None) -> Person:
    return {"forenames": forenames, "surname": surname, "sex": sex}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1861-03-17", "1861-03-14", "one_digit"),  # 7 above 4 on a number pad
        ("1861-03-17", "1861-03-11", "one_digit"),  # 7 and 1 are alike
        ("1861-03-17", "1861-03-16", "another_digit"),
        ("1861-03-17", "1861-30-17", "impossible_digit"),  # neighbours swapped
        ("1861-03-17", "1861-03-77", "impossible_digit"),
        ("1861-03-17", "1861-03-87", "another_digit"),
        ("1861-03-17", "1862-03-14", "two_slips"),
        ("1861-01-01", "1862-01-02", "two_slips_first_of_january"),
        ("1861-01-01", "1862-01-01", "one_digit_first_of_january"),
        ("1861-03-17", "1863-03-15", "two_digits"),
        ("1861-01-01", "1852-01-01", "two_digits"),
    ],
)
def test_digits_that_are_taken_for_each_other_are_slips(one: str, other: str, expected: str) -> None:
    assert level("date_of_birth", {"date_of_birth": one}, {"date_of_birth": other}) == expected


def test_the_likelier_the_slip_the_more_a_date_weighs() -> None:
    dates = ("1861-03-17", "1861-03-14", "1862-03-14", "1863-03-15")
    weights = [
        bits("date_of_birth", {"date_of_birth": dates[0]}, {"date_of_birth": other}) for other in dates
    ]
    assert weights == sorted(weights, reverse=True)
    assert weights[2] > 0 > weights[3]


def test_beside_one_forename_sex_tells_hardly_anything() -> None:
    john, jane = named("John", sex="male"), named("Jane", sex="female")
    assert level("sex", john, named("John", sex="female")) == "different_despite_forename"
    assert bits("sex", john, jane) < bits("sex", john, named("John", sex="female")) < 0
    assert bits("sex", named("J", sex="male"), john) > bits("sex", john, john) >= 0


def test_a_surname_may_stand_among_the_forenames_of_the_other() -> None:
    whole, part = named("Edward Quillfeather", "Dyson"), named("Edward", "Quillfeather")
    assert level("surname", whole, part) == "among_forenames"
    assert bits("surname", whole, part) > 0 > bits("surname", whole, named("Edward", "Abernethy"))
    # What both have as a forename is that, and says nothing of the surname.
    assert level("surname", named("James", "Thomas"), named("Thomas James", "Dyson")) == "among_forenames"
    assert level("surname", named("Thomas", "Thomas"), named("Thomas", "Dyson")) == "different"


def test_a_second_forename_may_be_the_one_in_use_in_another_form() -> None:
    both = named("Dalrymple Arthur")
    assert level("forename", both, named("Artie")) == "form_of_another"
    assert level("forename", both, named("Arthur")) == "another_of_theirs"
    assert bits("forename", both, named("Arthur")) > bits("forename", both, named("Artie")) > 0
    # What is left of the names is compared, without the one that is both's.
    assert level("other_forenames", named("Eddie Alfred"), named("Alfred Edward")) == "similar"
    assert level("other_forenames", named("Eddie Alfred"), named("Alfred")) == "absent"
    assert level("other_forenames", named("Thomas James"), named("James Thomas")) == "same"


def test_a_short_form_that_both_have_weighs_less_than_a_whole_name() -> None:
    assert level("forename", named("Willie"), named("Willie")) == "same_short_form"
    weights = load().lines["forename"]
    assert weights["same_short_form"].bits < weights["same"].bits


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Leonard", "Lenney", "form_of_it"),
        ("Lennie", "Lenny", "forms_of_one"),
        ("Cyril", "Cy", "same_beginning"),
        ("Arthur", "Artjie", "misspelt_form"),
    ],
)
def test_forms_of_a_forename(one: str, other: str, expected: str) -> None:
    assert level("forename", named(one), named(other)) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Greene", "Green", "one_letter"),
        ("Lindsay", "Lindsey", "one_letter"),
        ("Wright", "Bright", "another_letter"),
        ("Hargreaves", "Hatgreavws", "two_slips"),
    ],
)
def test_letters_that_spelling_leaves_open_part_less_than_others(one: str, other: str, expected: str) -> None:
    assert level("surname", named("Anna", one), named("Anna", other)) == expected


@pytest.mark.parametrize("title", ["Lord", "the", "Bishop of", "Rear-Admiral"])
def test_a_title_where_the_forename_should_be_is_none(title: str) -> None:
    assert normalise(named(title, "Kerr")).forenames == ()
    assert normalise(named(f"{title} Walter", "Kerr")).forenames == ("walter",)
    assert normalise(named("Earl", "Kerr")).forenames == ("earl",)
