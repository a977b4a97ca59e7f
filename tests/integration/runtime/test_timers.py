"""Looking for what is due reads what is due, however much waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from shared.runtime import timers
from shared.runtime.database import connect_pool
from shared.runtime.schema import bring_up_to_date, folder_of

_WAITING = """INSERT INTO timer (name, key, due_at, data)
SELECT 'clock', 'case-' || n, clock_timestamp() + interval '5 days', '{}' FROM generate_series(1, 3000) AS n"""
_DUE = """INSERT INTO timer (name, key, due_at, data)
SELECT name, key, clock_timestamp() + after * interval '1 second', '{}'
FROM (VALUES ('clock', 'late', -5), ('clock', 'later', -9), ('clock', 'soon', 30), ('another', 'late', -5))
     AS t(name, key, after)"""


async def test_a_look_at_what_is_due_does_not_read_what_waits(
    new_database: Callable[[], Awaitable[str]],
) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of("consent"), url)
    pool = await connect_pool(url, name="consent", size=1)
    await pool.execute(_WAITING)
    await pool.execute(_DUE)
    soon = timedelta(seconds=60)
    rows = await pool.fetch(timers._DUE, ["clock"], 100, soon)
    assert [row["key"] for row in rows] == ["later", "late", "soon"]
    assert [row["seconds"] > 0 for row in rows] == [False, False, True]
    assert [row["key"] for row in await pool.fetch(timers._DUE, ["clock"], 1, soon)] == ["later"]
    explain = f"EXPLAIN (ANALYZE, FORMAT TEXT) EXECUTE due (ARRAY['clock'], 100, '{soon.seconds} seconds')"
    await pool.execute(f"PREPARE due (text[], int, interval) AS {timers._DUE}")
    for analysed in (False, True):
        if analysed:
            await pool.execute("VACUUM ANALYZE timer")
        plan = "\n".join(row[0] for row in await pool.fetch(explain))
        assert "Index Cond: (due_at <=" in plan, plan
    # One that fails is put off from now on, however long it has been due: not tried again until it has caught up.
    await pool.execute("UPDATE timer SET due_at = due_at - interval '30 days' WHERE key = 'later'")
    (oldest,) = await pool.fetch(timers._DUE, ["clock"], 1, soon)
    await pool.execute(timers._PUT_OFF, "clock", "later", oldest["due_at"])
    assert [row["key"] for row in await pool.fetch(timers._DUE, ["clock"], 1, soon)] == ["late"]
    await pool.close()
