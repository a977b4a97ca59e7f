"""Random histories of joined and parted cases, as many as fit a test run. `make explore` runs more."""

import pytest

from tests.histories.history import first_broken, tell
from tests.histories.mutants import BUGS, find
from tests.simulation.mutants import Bug

pytestmark = pytest.mark.timeout(600)  # on a busy machine


def test_the_rules_keep_their_promise_in_random_histories() -> None:
    _, violation = first_broken(1, 2000)
    assert violation is None, str(violation)


@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.name) for bug in BUGS])
def test_a_planted_bug_is_found_and_told_as_a_story(bug: Bug) -> None:
    _, violation = find(bug.name)
    assert violation is not None
    assert len(violation.story) > 2


def test_every_planted_bug_still_fits_the_source() -> None:
    for bug in BUGS:
        bug.sources()


def test_a_seed_tells_the_same_story_again() -> None:
    assert all(tell(seed) == tell(seed) for seed in range(1, 20))


def test_everything_that_can_happen_happens() -> None:
    """Joined, parted, granted, said no to and asked for again: a driver that did less would find less."""
    told = "\n".join(line for seed in range(1, 300) for line in tell(seed)[1])
    for words in (
        *("is joined to", "which goes on from", "redeemed for", "and says no", "withdraws from c", "from everything"),
        *("take part after all", "erased:", "is taken back", "the lead of", "the hub pauses", "was reached: withdrew"),
        *("StandingReopened", "StandingLoosened", "PersonHeld c", "LeadEnded", "CasePartyLeft", "LeadRefused"),
    ):  # fmt: skip
        assert words in told, words
