"""Before anybody waits, connections have planned what a permit needs, and nothing of that is left."""

from contextlib import AsyncExitStack

import pytest

from services.consent import store
from shared.runtime import saving, unit_of_work, work
from tests.integration.consent.conftest import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NEEDED = (
    store._INSERT,
    store._UPDATE,
    store._SURROUNDINGS,
    store._WITH_LEDGERS,
    saving._SAVE,
    work._LOCK,
    unit_of_work._CLAIM,
)
_PLANNED = "SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0"


async def test_connections_have_planned_a_permit(world: World) -> None:
    pool, ready = world.pool, 0
    await world.service.rehearse()
    async with AsyncExitStack() as taken:
        while pool.get_idle_size():
            connection = await taken.enter_async_context(pool.acquire())
            planned = {row["statement"] for row in await connection.fetch(_PLANNED)}
            ready += planned >= set(_NEEDED)
    # All but the relay's, and those that a loop of the service had at that moment.
    assert ready >= pool.get_max_size() - 4
    assert not await pool.fetchval("SELECT count(*) FROM permit WHERE person = ''")
