"""Every column has a small sample, those of tables made since included: whoever adds a table asks for it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from shared.runtime.schema import bring_up_to_date, folder_of

_LARGE = """SELECT array_agg(a.attrelid::regclass || '.' || a.attname)
FROM pg_attribute AS a JOIN pg_class AS t ON t.oid = a.attrelid
WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
  AND coalesce(a.attstattarget, -1) NOT BETWEEN 0 AND 10"""


@pytest.mark.parametrize("service", ["intake", "allocation", "consent", "notifications"])
async def test_every_column_has_a_small_sample(
    service: str, new_database: Callable[[], Awaitable[str]]
) -> None:
    url = await new_database()
    await bring_up_to_date(folder_of(service), url)
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval(_LARGE) is None
        assert await connection.fetchval("SELECT count(*) FROM pg_attribute WHERE attstattarget = 10") > 100
    finally:
        await connection.close()
