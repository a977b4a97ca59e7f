"""Who moves house mostly moves near: how far two postcodes are apart, and what a table of evidence says of it."""

import pytest

from services.intake.matching import compare, load, normalise
from services.intake.matching.geography import AREAS, area, kilometres


@pytest.mark.parametrize(
    ("a", "b", "most"),
    [("M", "OL", 20), ("B", "CV", 35), ("LS", "BD", 30), ("PR", "BB", 30), ("EC", "SW", 15)],
)
def test_neighbours_are_near(a: str, b: str, most: float) -> None:
    apart = kilometres(a, b)
    assert apart is not None
    assert apart < most


@pytest.mark.parametrize(("a", "b", "least"), [("TR", "IV", 700), ("LS", "SO", 280), ("CF", "NE", 350)])
def test_the_ends_of_the_country_are_far(a: str, b: str, least: float) -> None:
    apart = kilometres(a, b)
    assert apart is not None
    assert apart > least


def test_an_area_that_is_on_no_map_has_no_distance() -> None:
    assert kilometres("QB", "LS") is None
    assert [area(postcode) for postcode in ("LS62AB", "M156HJ")] == ["LS", "M"]
    assert len(AREAS) == 124


@pytest.mark.parametrize(
    ("home", "level"),
    [
        ("LS6 2AB", "same"),
        ("LS6 3AB", "one_slip"),
        ("LS6 2XY", "same_sector"),
        ("LS6 9XY", "same_district"),
        ("LS27 9XY", "same_area"),
        ("BD4 9XY", "next_area"),
        ("S4 9XY", "near"),
        ("DL4 9XY", "near"),
        ("LN4 9XY", "elsewhere"),
        ("TR4 9XY", "far"),
        ("QB4 9XY", "elsewhere"),
    ],
)
def test_levels_of_a_move_from_leeds(home: str, level: str) -> None:
    one, other = (
        normalise({"forenames": "Anna", "surname": "Hargreaves", "addresses": [{"postcode": postcode}]})
        for postcode in ("LS6 2AB", home)
    )
    assert compare(one, other, load()).level("postcode") == level
    assert compare(other, one, load()).level("postcode") == level
