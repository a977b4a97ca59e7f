"""P1 to P16 through the public API, the real database and the real broker: a test for each scenario."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import pytest

from tests.partnerships.scenario import Scenario, scenarios

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.id)
async def test_scenario(scenario: Scenario, playing: Mapping[str, Awaitable[None]]) -> None:
    await playing[scenario.id]
