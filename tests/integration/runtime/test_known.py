"""Comparing the journal with the topics at a start reads what is compared, however long the journal is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from shared.runtime import restoration
from shared.runtime.database import connect_pool
from shared.runtime.schema import bring_up_to_date, folder_of

_LONG = """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
SELECT n, gen_random_uuid(), 'consent', 'key-' || n % 1000, n / 1000 + 1, 'a.v1', '{}', 'x', now()
FROM generate_series(1, 5000) AS n"""

_FEW = """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
SELECT n, gen_random_uuid(), 'people', 'key-' || n, 1, 'a.v1', '{}', 'x', now() FROM generate_series(10, 40, 10) AS n"""
_TOLD = """SELECT event_id::text AS id, key FROM journal AS j WHERE topic = $1
AND NOT EXISTS (SELECT FROM outbox AS o WHERE o.position = j.position) ORDER BY position DESC LIMIT $2"""


async def test_what_was_told_last_is_read_without_the_rest(
    new_database: Callable[[], Awaitable[str]],
) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of("consent"), url)
    pool = await connect_pool(url, name="consent", size=1)
    await pool.execute(_LONG.replace("SELECT n,", "SELECT n + 100,"))
    await pool.execute(_FEW)
    await pool.execute(
        "INSERT INTO outbox SELECT position, topic, key FROM journal WHERE position IN (30, 5100)"
    )
    for topic, limit in (("consent", 20), ("people", 2), ("people", 20), ("cases", 20)):
        wanted = await pool.fetch(_TOLD, topic, limit)
        assert await pool.fetch(restoration._TOLD, topic, limit) == wanted
        lately = await pool.fetch(restoration._TOLD_LATELY, topic, limit)
        assert lately == (wanted if topic == "consent" else [])
    await pool.execute("VACUUM ANALYZE journal")
    for statement, read in ((restoration._TOLD, 4), (restoration._TOLD_LATELY, 80)):
        await pool.execute(f"PREPARE told (text, int) AS {statement}")
        rows = await pool.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) EXECUTE told ('people', 20)")
        plan = "\n".join(row[0] for row in rows)
        found = [float(n) for n in re.findall(r"Scan.* on journal.*\(actual .*rows=([\d.]+)", plan)]
        assert found, plan
        assert max(found) <= read, plan
        assert not re.search(r"Rows Removed by Filter: \d{3}", plan), plan
        await pool.execute("DEALLOCATE told")
    await pool.close()


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
