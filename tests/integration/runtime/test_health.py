"""What the gauges say, also where the clock has been moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shared.runtime import health
from shared.runtime.database import connect_pool
from shared.runtime.identifiers import new_id
from shared.runtime.schema import bring_up_to_date, folder_of

_UNSENT = """INSERT INTO journal (position, event_id, topic, key, sequence, type, data, agency, recorded_at)
SELECT nextval('journal_position'), $1, 'consent', 'x', 1, 'person.reached.v1', '{}', 'x',
       clock_timestamp() + shift - interval '20 seconds' FROM clock"""


@pytest.mark.parametrize("days", [0, 9])
async def test_the_age_of_what_is_unsent_is_told_by_the_clock_that_it_was_recorded_by(
    new_database: Callable[[], Awaitable[str]], days: int
) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of("consent"), url)
    pool = await connect_pool(url, name="consent", size=1)
    await pool.execute("UPDATE clock SET shift = $1 * interval '1 day'", days)
    await pool.execute(_UNSENT, new_id())
    await pool.execute("INSERT INTO outbox SELECT position, topic, key FROM journal")
    row = await pool.fetchrow(health._MEASURES)
    assert row is not None
    assert (row["unsent"], 20 <= row["age"] < 60) == (1, True)
    await pool.close()
