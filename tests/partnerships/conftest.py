"""One stack for all scenarios: they run at once, each with its own people; those that move the clock come last, in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping

import pytest
import pytest_asyncio

from tests.e2e.conftest import Onefriend, onefriend  # noqa: F401 - the fixture
from tests.partnerships import allocated, changed, spoken  # noqa: F401 - their steps
from tests.partnerships.play import Play, World
from tests.partnerships.scenario import Scenario

# As many as keep two cores busy: more would only wait longer for each other.
AT_ONCE = 12


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def playing(
    request: pytest.FixtureRequest,
    onefriend: Onefriend,  # noqa: F811 - a fixture is named by its parameter
) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """Every scenario that was asked for, under way, by its id."""
    world = World(onefriend)
    wanted = [scenario for item in request.session.items if (scenario := _scenario_of(item))]
    room = asyncio.Semaphore(AT_ONCE)

    async def play(scenario: Scenario) -> None:
        async with room:
            await Play(world, scenario).run()

    together = {s.id: asyncio.create_task(play(s)) for s in wanted if not s.alone}

    async def play_alone(scenario: Scenario, *before: Awaitable[None]) -> None:
        await asyncio.gather(*before, return_exceptions=True)
        await play(scenario)

    tasks = dict(together)
    for scenario in wanted:
        if scenario.alone:
            tasks[scenario.id] = asyncio.create_task(play_alone(scenario, *tasks.values()))
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


def _scenario_of(item: pytest.Item) -> Scenario | None:
    # `callspec` is what parametrize left there. Other folders have parameters of that name too.
    found = getattr(getattr(item, "callspec", None), "params", {}).get("scenario")
    return found if isinstance(found, Scenario) else None
