"""The model, in bounds that fit a test run. `make model-small` checks all of it, `make model` the full bounds.

Two properties of the checking itself are tested too: a chosen wrong variant of each module must fail with its property,
and its story must end in the step that did the harm.
"""

import pytest

from tests.model import check, tlc
from tests.model.configurations import (
    CONFIGURATIONS,
    INVARIANTS,
    LIVENESS,
    STEPS,
    Configuration,
)
from tests.model.mutants import MUTANTS, Mutant

TELLING = {
    "no_causal_token": "Intake hands the contact details of r2 to agency B for permit 2",
    "withdrawal_without_group": "CONTACTS THE PERSON",
    "unknown_is_retried": "CONTACTS THE PERSON",
    "erasure_without_lock": "commits its record",
    "gap_not_asked": "nothing that the system still tries",
}
"""A wrong variant and what the last sentence of its story says."""


def _named(name: str) -> Configuration:
    return next(configuration for configuration in CONFIGURATIONS if configuration.name == name)


pytestmark = pytest.mark.timeout(
    300
)  # seconds on an idle machine; the checker's own start is what a busy one delays


@pytest.mark.parametrize(
    "name", ["locking", "matching", "delivery", "delivery-arrives", "matcher", "release"]
)
def test_the_protocol_keeps_its_promise_in_small_bounds(name: str) -> None:
    outcome = check.check(_named(name), "small")
    assert outcome.result.violated is None, check.story(outcome)
    assert outcome.result.distinct > 1000


@pytest.mark.parametrize(
    ("configuration", "mutant"),
    [pytest.param(c, m, id=m.name) for c, m in check.mutants() if m.name in TELLING],
)
def test_a_wrong_variant_fails_with_its_property_and_tells_how(
    configuration: Configuration, mutant: Mutant
) -> None:
    outcome = check.check(configuration, "small", mutant)
    assert outcome.result.violated is not None, f"{mutant.name} went unnoticed"
    assert TELLING[mutant.name] in outcome.result.story[-1], check.story(outcome)


def test_every_property_has_a_wrong_variant_that_breaks_it() -> None:
    broken = {mutant.breaks.split("_")[0] for mutant in MUTANTS}
    assert broken == {f"N{number}" for number in range(1, 10)}


def test_every_property_is_named_in_the_list_that_the_other_proofs_refer_to() -> None:
    listed = (tlc.HERE / "properties.md").read_text()
    for module in INVARIANTS:
        for name in (*INVARIANTS[module], *STEPS[module], *LIVENESS[module]):
            assert f"`{name}`" in listed, name


def test_every_wrong_variant_is_one_of_the_specification() -> None:
    specification = "".join(path.read_text() for path in tlc.HERE.glob("*.tla"))
    for mutant in MUTANTS:
        assert f'Broken("{mutant.name}")' in specification, mutant.name
    assert specification.count('Broken("') >= len(MUTANTS)


def test_a_specification_that_cannot_be_checked_is_an_error_and_not_a_pass() -> None:
    with pytest.raises(tlc.ModelError, match="no answer"):
        tlc.run(tlc.Job("Contact", "SPECIFICATION NoSuchThing\n"))
