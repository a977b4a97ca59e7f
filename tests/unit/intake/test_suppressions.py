"""What is kept of somebody who asked to be forgotten, so that nobody begins anew with them."""

import pytest

from services.intake import matching
from services.intake.suppressions import suppression_texts


def kept(**known: object) -> set[str]:
    person = {"forenames": "Elizabeth", "surname": "Smith", **known}
    return set(suppression_texts(matching.normalise(person)))  # type: ignore[arg-type]


HOME = [{"lines": ["4 Mill Lane"], "postcode": "SG1 2AB"}]


@pytest.mark.parametrize(
    ("before", "later"),
    [
        ({"date_of_birth": "1971-03-09"}, {"date_of_birth": "1971-03-09", "addresses": HOME}),
        ({"addresses": HOME}, {"date_of_birth": "1971-03-09", "addresses": HOME}),
        ({"date_of_birth": "1971-03-09", "addresses": HOME}, {"date_of_birth": "1971-03-09"}),
        ({"phones": ["07700 900123"]}, {"forenames": "L", "phones": ["07700 900123"]}),
    ],
)
def test_whoever_was_erased_is_met_again(before: dict[str, object], later: dict[str, object]) -> None:
    assert kept(**before) & kept(**later)


def test_by_how_a_name_sounds() -> None:
    assert kept(date_of_birth="1971-03-09") & kept(
        forenames="Liz", surname="Smyth", date_of_birth="1971-03-09"
    )


def test_a_name_alone_is_not_narrow_enough() -> None:
    assert kept() == set()


def test_another_birth_date_and_home_are_somebody_else() -> None:
    theirs = {
        "date_of_birth": "1983-01-31",
        "addresses": [{"lines": ["1 High Street"], "postcode": "NE1 4LP"}],
    }
    assert not kept(date_of_birth="1971-03-09", addresses=HOME) & kept(**theirs)
