"""The levels at which two records can agree in a field, best first: what is trained, and what a table of evidence shows."""

from typing import NamedTuple

ABSENT = "absent"


class Line(NamedTuple):
    """One row of the table of evidence. `bits` is its weight: +1 doubles the odds that the two are one human."""

    field: str
    level: str
    bits: float


# Every level that a field can have, beside "absent"; those in NAMED_BY_RARITY weigh more the rarer the name is.
LEVELS: dict[str, tuple[str, ...]] = {
    "forename": (
        *(
            "same",
            "same_short_form",
            "another_of_theirs",
            "form_of_another",
            "form_of_it",
            "forms_of_one",
            "initial",
            "typing_slip",
            "one_letter",
            "misspelt_form",
            "similar",
        ),
        *("same_beginning", "swapped", "odd", "different"),
    ),
    "other_forenames": ("same", "similar", "initial", "different"),
    "surname": (
        *(
            "same",
            "part_of_it",
            "former_name",
            "among_forenames",
            "typing_slip",
            "one_letter",
            "two_slips",
            "another_letter",
            "form_of_it",
            "sounds_alike",
            "similar",
        ),
        *("different_woman", "different"),
    ),
    "date_of_birth": (
        *("same", "same_first_of_january", "day_and_month_swapped", "impossible_digit", "one_digit"),
        *("two_slips", "two_slips_first_of_january", "another_digit"),
        *("one_digit_first_of_january", "other_year", "two_digits", "same_year", "different", "far_apart"),
    ),
    "sex": ("same", "different", "same_as_forename", "different_despite_forename"),
    "postcode": (
        *("same", "one_slip", "same_sector", "same_district", "same_area"),
        *("next_area", "near", "elsewhere", "far"),
    ),
    "address": ("same", "similar", "different"),
    "household": ("one_name_at_home", "one_surname_at_home"),
    # Shared: said to be a partner's, a parent's, a hostel's, or a mailbox that is anybody's there.
    "telephone": ("same", "same_shared", "one_slip", "different"),
    "email": ("same", "same_shared", "one_slip", "same_mailbox", "another_number", "different"),
    "identifier": ("same", "one_slip", "same_and_different", "another_number", "different"),
}
FIELDS = tuple(LEVELS)
BY_RARITY = {
    "forename": frozenset(LEVELS["forename"]) - {"initial", "same_beginning", "odd", "different"},
    "other_forenames": frozenset({"same"}),
    "surname": frozenset(LEVELS["surname"]) - {"different_woman", "different"},
    "date_of_birth": frozenset(LEVELS["date_of_birth"])
    - {"two_slips_first_of_january", "two_digits", "other_year", "same_year", "different", "far_apart"},
}
NOTHING = {field: Line(field, ABSENT, 0.0) for field in FIELDS}
