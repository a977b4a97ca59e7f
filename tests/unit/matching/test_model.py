"""The packaged weights fit the code that reads them."""

import json
from importlib import resources
from itertools import pairwise

import pytest

from services.intake.matching import build, compare, load, normalise
from services.intake.matching.levels import LEVELS


def test_every_level_has_its_weight() -> None:
    assert {field: set(levels) for field, levels in load().lines.items()} == {
        field: set(levels) for field, levels in LEVELS.items()
    }


@pytest.mark.parametrize(
    ("field", "best_first"),
    [
        (
            "postcode",
            [
                *("same", "one_slip", "same_sector", "same_district", "same_area"),
                *("next_area", "near", "elsewhere", "far"),
            ],
        ),
        ("telephone", ["same", "one_slip", "different"]),
        ("identifier", ["same", "one_slip", "different"]),
    ],
)
def test_closer_levels_weigh_more(field: str, best_first: list[str]) -> None:
    weights = [load().lines[field][level].bits for level in best_first]
    assert all(better > worse for better, worse in pairwise(weights))


def test_dates_weigh_more_the_closer_they_are_and_the_rarer_the_day_is() -> None:
    def born(one: str, other: str) -> float:
        a, b = (normalise({"date_of_birth": date}) for date in (one, other))
        assert compare(a, b, load()) == compare(b, a, load())
        return compare(a, b, load()).bits

    for dates in (
        ("1984-03-17", "1984-03-11", "1985-04-17", "1979-11-02", "1951-12-25"),
        ("1984-01-01", "1985-01-01", "1979-11-02"),
    ):
        weights = [born(dates[0], other) for other in dates]
        assert all(better > worse for better, worse in pairwise(weights))
    # Clerks enter the first of January for "some day of that year".
    assert born("1984-03-17", "1984-03-17") > born("1984-01-01", "1984-01-01") > 0
    # Few of the people trained on were born before 1700; nobody after 1900, and that makes nobody rare.
    assert born("1655-03-17", "1655-03-17") > born("1855-03-17", "1855-03-17")
    assert born("1984-03-17", "1984-03-17") <= born("1855-03-17", "1855-03-17")


def test_what_contradicts_speaks_against() -> None:
    for field in ("forename", "surname", "date_of_birth", "sex", "telephone", "email", "identifier"):
        assert load().lines[field]["different"].bits < 0


def test_a_rare_name_weighs_more_than_a_common_one() -> None:
    surnames = load().surnames
    rarity = [surnames.rarity(name) for name in ("smith", "hargreaves", "abernethy", "quillfeather")]
    assert rarity == sorted(rarity)
    assert rarity[2] < rarity[3]  # what no list has is rarer than what one has
    # Names that the people trained on did not have are as common as the lists have them.
    forenames = load().forenames
    assert forenames.rarity("jessica") < forenames.rarity("peregrine")


def test_forms_of_a_name_have_one_root() -> None:
    forenames = load().forenames
    assert {forenames.root(name) for name in ("william", "bill", "willie", "wilkiam")} == {"william"}


def test_thresholds_leave_room_for_doubt() -> None:
    assert 0 <= load().hold_at < load().join_at


def test_a_file_that_lacks_something_says_what() -> None:
    text = (resources.files("services.intake.matching") / "data" / "weights.json").read_text("utf-8")
    raw = json.loads(text)
    del raw["forenames"]
    with pytest.raises(KeyError, match="forenames"):
        build(raw)


def test_weights_for_other_levels_than_the_code_has_are_refused() -> None:
    text = (resources.files("services.intake.matching") / "data" / "weights.json").read_text("utf-8")
    raw = json.loads(text)
    del raw["bits"]["postcode"]["next_area"]
    with pytest.raises(KeyError, match="postcode next_area"):
        build(raw)
