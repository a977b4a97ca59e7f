"""Comparing the journal with the topics at a start reads what is compared, however long the journal is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.runtime import restoration
from shared.runtime.database import connect_pool
from shared.runtime.schema import bring_up_to_date, folder_of

_LONG = """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
SELECT n, gen_random_uuid(), 'consent', 'key-' || n % 1000, n / 1000 + 1, 'a.v1', '{}', 'x', now()
FROM generate_series(1, 5000) AS n"""


async def test_what_is_known_is_looked_up_by_its_place(new_database: Callable[[], Awaitable[str]]) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of("consent"), url)
    pool = await connect_pool(url, name="consent", size=1)
    await pool.execute(_LONG)
    rows = await pool.fetch(restoration._KNOWN, "consent", ["key-7", "key-7", "key-8"], [2, 9, 3])
    wanted = "SELECT event_id::text FROM journal WHERE (key, sequence) IN (('key-7', 2), ('key-8', 3)) ORDER BY key"
    two = [row[0] for row in await pool.fetch(wanted)]
    assert [row["id"] for row in rows] == [two[0], None, two[1]]
    rows = await pool.fetch(restoration._KNOWN, "people", ["key-7"], [2])
    assert [row["id"] for row in rows] == [None]
    await pool.execute(f"PREPARE known (text, text[], bigint[]) AS {restoration._KNOWN}")
    for analysed in (False, True):
        if analysed:
            await pool.execute("VACUUM ANALYZE journal")
        explain = "EXPLAIN EXECUTE known ('consent', ARRAY['key-7'], ARRAY[2])"
        plan = "\n".join(row[0] for row in await pool.fetch(explain))
        assert "Index Cond: ((topic = $1) AND (key = e.key) AND (sequence = e.sequence))" in plan, plan
    await pool.close()
