"""The time of a transaction is read when all its keys are held, not while it waits for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from services.consent.handlers import PERSON
from shared.contracts.consent import LeadEnded
from shared.contracts.envelope import Actor
from shared.runtime.database import connect_pool
from shared.runtime.schema import bring_up_to_date, folder_of
from shared.runtime.unit_of_work import NoRelay, UnitOfWork
from shared.runtime.work import Work

KEYS = ("a", "b", "c")
_WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"""


async def test_the_time_is_read_when_all_keys_are_held(new_database: Callable[[], Awaitable[str]]) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of("consent"), url)
    pool = await connect_pool(url, name="consent", size=4)
    unit, actor = UnitOfWork(pool, "test", NoRelay()), Actor("test")

    async def begin(work: Work) -> None:
        await work.lock(*((PERSON, key) for key in KEYS))
        for key in KEYS:
            work.record(PERSON, key, LeadEnded(agency="X", reason="test"))

    await unit.run(begin, actor=actor)
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold(work: Work, key: str) -> None:
        await work.lock((PERSON, key))
        held.set()
        await let_go.wait()

    # Whichever of the keys it has to wait for.
    for key in KEYS:
        held.clear()
        let_go.clear()
        holding = asyncio.create_task(unit.run(partial(hold, key=key), actor=actor))
        await held.wait()

        async def wait(work: Work) -> tuple[object, object]:
            await work.lock(*((PERSON, key) for key in KEYS))
            return work.now, [work.version(PERSON, key) for key in KEYS]

        waiting = asyncio.create_task(unit.run(wait, actor=actor))
        while not await pool.fetchval(_WAITING):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
        still = await pool.fetchval("SELECT clock_timestamp()")
        let_go.set()
        await holding
        now, versions = await waiting
        assert now > still
        assert versions == [1, 1, 1]
    await pool.close()
