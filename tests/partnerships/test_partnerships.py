"""P1 to P16 through the public API, the real database and the real broker: a test for each scenario."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import pytest

from tests.partnerships.scenario import Scenario, scenarios

pytestmark = pytest.mark.asyncio(loop_scope="module")
# Those that move the clock wait for all others, so they are asked for last.
IN_ORDER = sorted(scenarios(), key=lambda scenario: scenario.alone)


@pytest.mark.timeout(1200)  # the first one waits for its turn among all, on a machine that may be busy
@pytest.mark.parametrize("scenario", IN_ORDER, ids=lambda scenario: scenario.id)
async def test_scenario(scenario: Scenario, playing: Mapping[str, Awaitable[None]]) -> None:
    await playing[scenario.id]
