"""The packaged weights fit the code that reads them."""

import json
from importlib import resources
from itertools import pairwise

import pytest

from services.intake.matching import build, load
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
        (
            "date_of_birth",
            [
                "same",
                "same_first_of_january",
                "one_digit_first_of_january",
                "two_digits",
                "different",
                "far_apart",
            ],
        ),
        ("telephone", ["same", "one_slip", "different"]),
        ("identifier", ["same", "one_slip", "different"]),
    ],
)
def test_closer_levels_weigh_more(field: str, best_first: list[str]) -> None:
    weights = [load().lines[field][level].bits for level in best_first]
    assert all(better > worse for better, worse in pairwise(weights))


def test_what_contradicts_speaks_against() -> None:
    for field in ("forename", "surname", "date_of_birth", "sex", "telephone", "email", "identifier"):
        assert load().lines[field]["different"].bits < 0


def test_a_rare_name_weighs_more_than_a_common_one() -> None:
    surnames = load().surnames
    assert surnames.rarity("smith") < surnames.rarity("hargreaves") <= surnames.rarity("quillfeather")


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
