from __future__ import annotations

import pytest

from tests.unit.allocation.scenario import Scenario, expect, run, scenarios


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: f"{s.partnership}: {s.name}")
def test_a_scenario_of_a_partnership(scenario: Scenario) -> None:
    found, proposal = run(scenario)
    expect(found, proposal, scenario.then)
