"""The measured agreement of reviewers."""

import pytest

from services.intake.agreement import agreement
from services.intake.reviewing import sampled


def test_without_pairs_nothing_is_claimed() -> None:
    assert (agreement([]).share, agreement([]).kappa) == (None, None)


def test_a_textbook_table() -> None:
    """Cohen's own kind of table: 20 both yes, 15 both no, 5 and 10 apart; 0.7 agree, 0.5 by chance."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    measured = agreement(pairs)
    assert (measured.pairs, measured.agreed, measured.share) == (50, 35, 0.7)
    assert measured.kappa == pytest.approx(0.4)


def test_one_and_the_same_answer_always_proves_nothing() -> None:
    assert agreement([("same", "same")] * 9).kappa is None


def test_the_sample_is_of_the_size_that_was_asked_for() -> None:
    drawn = sum(sampled(f"review-{number}", 0.1) for number in range(5_000))
    assert 400 < drawn < 600
    assert not any(sampled(f"review-{number}", 0.0) for number in range(100))
    assert all(sampled(f"review-{number}", 1.0) for number in range(100))
