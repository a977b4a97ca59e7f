"""The exploration in bounds that fit a test run. `make explore` goes further: a million distinct states and more."""

import pytest

from tests.exploration.__main__ import explore, find, right
from tests.exploration.alphabets import ALPHABETS, Alphabet, steps_of
from tests.exploration.mutants import MUTANTS, Mutant
from tests.exploration.rules import Patch, wrong

pytestmark = pytest.mark.timeout(900)  # on a busy machine

QUICK = {
    "no_third_step",
    "clean_while_in_flight",
    "withdrawal_on_one_ledger",
    "link_without_revoking",
    "unlink_loosens",
    "two_tenures",
    "late_hand_out",
    "handover_leaves_permits",
    "parked_is_granted",
}
"""Wrong variants that are found within a second or so; `make explore` looks for all."""


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: a.name)
def test_the_rules_keep_their_promise_in_every_short_history(alphabet: Alphabet) -> None:
    found = explore(alphabet, small=True)
    assert found.violation is None, str(found.violation)
    assert found.states > 1000


@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name) for m in MUTANTS if m.name in QUICK])
def test_a_wrong_variant_is_found_and_told_as_a_story(mutant: Mutant) -> None:
    found = find(mutant)
    assert right(mutant, found), f"{mutant.name}: {found.violation}"
    assert found.violation is not None
    assert 2 <= len(found.violation.story) <= 40


def test_every_wrong_variant_still_fits_the_source() -> None:
    for mutant in MUTANTS:
        wrong(*mutant.patches)


def test_a_variant_that_fits_no_longer_is_an_error() -> None:
    with pytest.raises(ValueError, match="occurs 0 times"):
        wrong(Patch("consent.domain.permits", "no such text", ""))


def test_every_kind_of_step_belongs_to_an_alphabet() -> None:
    for alphabet in ALPHABETS:
        for kind in alphabet.kinds:
            alone = Alphabet("", frozenset({kind}), alphabet.permits)
            assert steps_of(alone), f"{kind} in {alphabet.name} names no step"
