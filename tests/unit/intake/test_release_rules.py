"""What keeps intake from releasing, by what it alone knows."""

from services.intake.domain import PersonState
from services.intake.domain.releases import counterparts, objection
from shared.contracts.envelope import Role

CASE: list[tuple[str, Role]] = [
    ("mary", "harmed"),
    ("frank", "responsible"),
    ("fred", "responsible"),
    ("bob", "both"),
    ("cora", "contact"),
]


def test_the_other_side_of_each_party() -> None:
    assert counterparts(CASE, {"mary"}) == ("bob", "frank", "fred")
    assert counterparts(CASE, {"frank"}) == ("bob", "mary")
    assert counterparts(CASE, {"bob"}) == ("frank", "fred", "mary")


def test_one_human_under_two_ids_is_not_their_own_counterpart() -> None:
    assert counterparts([("mary", "harmed"), ("maria", "responsible")], {"mary", "maria"}) == ()


def test_a_withdrawal_comes_before_a_hold_and_a_hold_before_being_alone() -> None:
    people = {"mary": PersonState()}
    assert objection(people, "k", withdrawn=True, alone=True) == "withdrawn"
    assert objection(people, "k", withdrawn=False, alone=True) == "counterpart-withdrawn"
    assert objection(people, "k", withdrawn=False) is None
