from __future__ import annotations

import pytest

from tests.unit.allocation.scenario import Scenario, expect, policies, run, scenarios


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: f"{s.partnership}: {s.name}")
def test_a_scenario_of_a_partnership(scenario: Scenario) -> None:
    found, proposal = run(scenario)
    expect(found, proposal, scenario.then)


def test_every_partnership_has_its_scenarios() -> None:
    assert {scenario.partnership for scenario in scenarios()} == {*policies().partnerships, "national"}
    for partnership in policies().partnerships:
        begun = {s.given.get("initiated_by") for s in scenarios() if s.partnership == partnership}
        assert {"harmed", "responsible"} <= begun or partnership == "kent", (
            f"{partnership} lacks a usual or an offender-led case"
        )


def test_every_rule_that_ships_decides_some_scenario() -> None:
    fired: set[tuple[str, str]] = set()
    for scenario in scenarios():
        _, proposal = run(scenario)
        fired |= {(proposal.partnership, rule) for rule in proposal.rules}
    shipped = {
        (partnership.id, f"{section}/{rule.id}")
        for partnership in policies().partnerships.values()
        for section, rules in partnership.rules.items()
        for rule in rules
    }
    assert shipped - fired == set()
