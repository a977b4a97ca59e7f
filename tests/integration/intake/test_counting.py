"""How many people there are is counted while they are few, and estimated when they are many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from services.intake.store import matching
from shared.runtime.database import connect_pool
from shared.runtime.schema import bring_up_to_date, folder_of

_PEOPLE = """INSERT INTO stream (kind, key, version, base, state)
SELECT kind, kind || n, 1, 0, '{}' FROM generate_series(1, 3000) AS n, (VALUES ('person'), ('case_file')) AS k(kind)
WHERE kind = 'person' OR n <= 1000"""


async def test_people_are_counted_up_to_a_number_and_estimated_beyond(
    new_database: Callable[[], Awaitable[str]],
) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of("intake"), url)

    async def count(statement: str) -> tuple[int, int]:
        row = await pool.fetchrow(statement)
        assert row is not None
        return row["people"], row["referrals"]

    async with await connect_pool(url, name="intake", size=1) as pool:
        for statement in (_PEOPLE, "ANALYZE stream", "DELETE FROM stream WHERE key < 'person2'"):
            await pool.execute(statement)
        left = await pool.fetchval("SELECT count(*) FROM stream WHERE kind = 'person'")
        assert 0 < left < 2000
        # Counted: as it is. Estimated: as it was when the statistics were made, and nothing of the table is read.
        assert await count(matching.COUNT) == (left, 0)
        people, referrals = await count(matching.counting(1000))
        assert people == pytest.approx(3000, rel=0.1)
        assert referrals == 0
        plan = await pool.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {matching.counting(1000)}")
        assert any("never executed" in row[0] and "stream" in row[0] for row in plan), plan
