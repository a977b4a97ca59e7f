"""Looking for what is not finished yet reads that alone, however much there ever was."""

import asyncpg
import pytest

from services.intake.core import Intake
from tests.support.running import until

_MANY = 2000
_FINISHED = {
    "withdrawal": """INSERT INTO withdrawal (id, state, scope, via, by_whom, agency, person, recorded_at)
        SELECT gen_random_uuid(), 'in_force', 'everything', 'person', 'person', 'x', 'p' || n, now()
        FROM generate_series(1, $1::int) AS n""",
    "self_referral": """INSERT INTO self_referral (id, code_tag, state, received_at, expires_at)
        SELECT gen_random_uuid(), '', CASE WHEN n % 2 = 0 THEN 'referred' ELSE 'expired' END, now(), now()
        FROM generate_series(1, $1::int) AS n""",
}
_READ = """SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) AS looks,
  coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows
FROM pg_stat_user_tables WHERE relname = $1"""


@pytest.mark.parametrize("table", _FINISHED)
async def test_a_look_does_not_read_what_is_finished(intake: Intake, table: str) -> None:
    await intake.pool.execute(_FINISHED[table], _MANY)

    async def read() -> asyncpg.Record:
        row = await intake.pool.fetchrow(_READ, table)
        assert row is not None
        return row

    before = await read()

    # Counts come with some delay: of the first of these looks they may tell a part only.
    async def looked() -> bool:
        return bool((await read())["looks"] >= before["looks"] + 6)

    await until(looked, seconds=30, every=0.5)
    assert (await read())["rows"] - before["rows"] < _MANY
