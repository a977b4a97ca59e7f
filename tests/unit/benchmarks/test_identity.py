"""The figures of who is who: how groups are held against people, and what the rivals see of invented people."""

from __future__ import annotations

import pytest

from benchmarks.identity import rivals, stream
from benchmarks.identity.measure import TOGETHER, clustering

ADA = {"first_name": "ada", "surname": "byron", "dob": "1815-12-10", "postcode": ""}
BOB = {"first_name": "bob", "surname": "byron", "dob": "1815-12-10", "postcode": ""}


def figures(groups: list[int], people: list[int]) -> list[float]:
    found = clustering(groups, people)
    assert tuple(found) == TOGETHER
    return [figure.value for figure in found.values()]


def test_groups_that_are_the_people_are_without_fault() -> None:
    assert figures([0, 0, 2, 2, 2], [0, 0, 1, 1, 1]) == [1.0] * 6


def test_a_wrong_join_costs_precision_and_a_missed_one_recall() -> None:
    # Records 0, 1, 2 are one human and 3, 4 another; 0 and 1 were joined, and 2 with 3.
    precision, recall, f1, precise, found, _ = figures([0, 0, 2, 2, 4], [0, 0, 0, 1, 1])
    assert (precision, recall) == (
        1 / 2,
        1 / 4,
    )  # of two pairs joined one is true, of four true ones one was joined
    assert f1 == pytest.approx(1 / 3)
    assert precise == pytest.approx((1 + 1 + 1 / 2 + 1 / 2 + 1) / 5)
    assert found == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 / 2 + 1 / 2) / 5)


def test_who_was_joined_with_an_invented_person_is_in_a_group_of_one_more() -> None:
    # Records 0 and 1 are one human and 2 and 3 another; these were joined with the fourth of the invented people.
    precision, recall, _, precise, found, _ = figures([0, 0, 7, 7], [0, 0, 1, 1])
    assert precision == pytest.approx(2 / (1 + 3))
    assert recall == 1.0
    assert precise == pytest.approx((1 + 1 + 2 / 3 + 2 / 3) / 4)
    assert found == 1.0


def test_an_interval_is_over_people_and_not_over_records() -> None:
    found = clustering([0, 0, 0, 3, 4], [0, 0, 0, 1, 1])["pairwise recall"]
    assert (found.low, found.value, found.high) == (0.0, 3 / 4, 1.0)


def test_a_rule_takes_a_newcomer_for_an_invented_namesake_and_the_next_for_the_newcomer() -> None:
    groups = [0, 1]
    stream.clusters(rivals.Rules(rivals.police_style, [ADA, ADA], [BOB]), groups, -1.0)
    assert groups == [2, 2]  # both are in the group of the invented person, the first beyond the two records
    groups = [0, 1]
    stream.clusters(rivals.Rules(rivals.exact, [ADA, ADA], [BOB]), groups, -1.0)
    assert groups[0] == groups[1] < 2  # the exact rule does not take Ada for Bob


def test_scored_pairs_answer_with_the_best_that_is_stored() -> None:
    pairs = rivals.Pairs([(9.0, 0, 1), (3.0, 0, 2)], {0: (5.0, -4)})
    pairs.begin()
    pairs.add(2)
    assert pairs.best(0) == stream.Best(-4, 5.0)
    pairs.add(1)
    assert pairs.best(0) == stream.Best(1, 9.0)
    assert pairs.best(3) is None
