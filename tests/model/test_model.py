"""The model, in bounds that fit a test run. `make model-small` checks all of it, `make model` the full bounds.

Two properties of the checking itself are tested too: a chosen wrong variant of each module must fail with its property,
and its story must end in the step that did the harm.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.model import check, report, tlc
from tests.model.configurations import (
    CONFIGURATIONS,
    INVARIANTS,
    LIVENESS,
    STEPS,
    Configuration,
)
from tests.model.elements import ELEMENTS
from tests.model.kept import Kept
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
    900
)  # seconds on an idle machine; the checker's own start is what a busy one delays


@pytest.mark.parametrize(
    "name", ["locking", "matching", "delivery", "delivery-arrives", "matcher", "release"]
)
def test_the_protocol_keeps_its_promise_in_small_bounds(name: str) -> None:
    outcome = check.check(_named(name), "small")
    assert outcome.result.violated is None, report.story(outcome)
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
    assert TELLING[mutant.name] in outcome.result.story[-1], report.story(outcome)


def test_every_property_has_a_wrong_variant_that_breaks_it() -> None:
    broken = {mutant.breaks.split("_")[0] for mutant in MUTANTS}
    assert broken == {f"N{number}" for number in range(1, 10)}


def test_every_property_is_named_in_the_list_that_the_other_proofs_refer_to() -> None:
    listed = (tlc.HERE / "properties.md").read_text()
    for module in INVARIANTS:
        for name in (*INVARIANTS[module], *STEPS[module], *LIVENESS[module]):
            assert f"`{name}`" in listed, name


def _within(small: str, full: str) -> bool:
    """Whether a constant of the small bounds allows nothing that the full ones forbid."""
    if small.startswith("{"):
        words = set(re.findall(r"\w+", small)) - {
            "alone"
        }  # a feature that forbids: the second record never comes
        return words <= set(re.findall(r"\w+", full)) and ("alone" not in full or "alone" in small)
    return int(small) <= int(full) if small.isdigit() else small == full


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda configuration: configuration.name)
def test_small_bounds_lie_within_the_full_ones(configuration: Configuration) -> None:
    small, full = configuration.constants("small"), configuration.constants("full")
    assert small.keys() == full.keys()
    assert not {name: small[name] for name in small if not _within(small[name], full[name])}


@pytest.mark.parametrize(("configuration", "mutant"), check.mutants(), ids=lambda item: item.name)
def test_a_wrong_variant_fails_in_bounds_in_which_the_protocol_itself_holds(
    configuration: Configuration, mutant: Mutant
) -> None:
    bounds = {**configuration.constants("small"), **mutant.override}
    full = configuration.constants("full")
    assert not {name: bounds[name] for name in bounds if not _within(bounds[name], full[name])}


def test_what_the_model_must_include_is_in_the_table_with_its_configurations() -> None:
    known = {configuration.name for configuration in CONFIGURATIONS}
    page = (tlc.HERE / "properties.md").read_text()
    for element in ELEMENTS:
        assert set(element.where) <= known, element.name
        assert f"| {element.name} | {', '.join(element.where)} |" in page, element.name


def _counted(actions: dict[str, int]) -> list[report.Outcome]:
    """Every configuration, as if these actions had been counted in each."""
    result = tlc.Result(distinct=1, generated=1, depth=1, seconds=0, violated=None, story=(), actions=actions)
    return [report.Outcome(configuration, "small", None, result) for configuration in CONFIGURATIONS]


def test_an_action_that_never_happens_fails_the_check() -> None:
    every = {action: 1 for element in ELEMENTS for action in element.actions}
    assert check.amiss(_counted(every)) == set()
    assert check.amiss(_counted(every | {"Idle": 0})) == {"Idle never happened"}
    assert check.amiss(_counted(every | {"Retry": 1})) == {"Retry happened, and belongs to a wrong variant"}
    assert "Erase never happened where erasure with suppression should be" in check.amiss(
        _counted(every | {"Erase": 0})
    )
    assert "no action of Delivery was counted" in check.amiss(_counted({}))


def test_every_wrong_variant_is_one_of_the_specification() -> None:
    specification = "".join(path.read_text() for path in tlc.HERE.glob("*.tla"))
    for mutant in MUTANTS:
        assert f'Broken("{mutant.name}")' in specification, mutant.name
    assert specification.count('Broken("') >= len(MUTANTS)


def test_a_specification_that_cannot_be_checked_is_an_error_and_not_a_pass() -> None:
    with pytest.raises(tlc.ModelError, match="no answer"):
        tlc.run(tlc.Job("Contact", "SPECIFICATION NoSuchThing\n"))


def test_a_kept_result_counts_only_for_the_very_same_run(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    job = tlc.Job("Delivery", "SPECIFICATION Spec\n")
    result = tlc.Result(
        distinct=2, generated=3, depth=1, seconds=0.5, violated=None, story=("One.",), actions={"Read": 1}
    )
    Kept(file).keep(job, result)
    file.write_text(file.read_text() + '{"key": "cut o')
    again = Kept(file)
    assert again.find(job) == result
    assert again.find(replace(job, configuration="SPECIFICATION LiveSpec\n")) is None
    assert Kept().find(job) is None
