"""Two versions of a service at once on one database, as while a new one is rolled out: nothing lost, nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx

from tests.support.processes import Process, started
from tests.support.running import until
from tests.support.toy import MIGRATIONS

# What a later release adds: a column that the one before does not know, and a table.
LATER = '''"""A later release."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE effect ADD COLUMN colour text")
    op.execute("CREATE TABLE palette (colour text PRIMARY KEY)")
'''
EVENTS, KEYS = 60, 7
LEADERS = """SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objid = 4071001 AND l.granted"""
GAPS = """SELECT count(*) FROM (SELECT max(sequence) AS last, count(*) AS n FROM effect GROUP BY key) AS k
WHERE last <> n"""


def later_migrations(folder: Path) -> Path:
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_later.py").write_text(LATER)
    return folder


async def test_two_versions_share_a_database_while_events_flow_and_one_is_killed(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    source, target = await new_database(), await new_database()
    common = {
        "ONEFRIEND_KAFKA": bootstrap_servers,
        "ONEFRIEND_TOPIC_PREFIX": topic_prefix,
        "ONEFRIEND_DEVELOPMENT": "1",
    }
    later = {"TOY_MIGRATIONS": str(later_migrations(tmp_path / "later"))}

    def process(kind: str, name: str, database: str, **more: str) -> Process:
        environment = {**common, "ONEFRIEND_DATABASE_URL": database, **more}
        return Process(["tests.support.toy", kind], environment, tmp_path / f"{name}.log")

    old_teller = process("teller", "old-teller", source)
    new_teller = process("teller", "new-teller", source, **later)
    repaired_by = {"ONEFRIEND_ALLOCATION_URL": old_teller.url}
    old_listener = process("listener", "old-listener", target, **repaired_by)
    new_listener = process("listener", "new-listener", target, **repaired_by, **later)

    async with (
        started(old_teller, old_listener),
        asyncpg.create_pool(source, min_size=1, max_size=1) as one,
        asyncpg.create_pool(target, min_size=1, max_size=1) as two,
        started(new_teller, new_listener),
        httpx.AsyncClient(timeout=30) as client,
    ):
        for number in range(EVENTS):
            if number == EVENTS // 3:
                old_teller.kill()
                new_listener.kill()
            if number == EVENTS // 2:
                # The version before starts again on a database that the later one has already changed.
                old_teller.start()
                new_listener.start()
                new_teller.kill()
                old_listener.kill()
            if number == EVENTS * 2 // 3:
                new_teller.start()
                old_listener.start()
            await _told(client, [old_teller, new_teller], number)
            assert await one.fetchval(LEADERS) <= 1

        async def applied() -> bool:
            count = await two.fetchval("SELECT count(*) FROM effect")
            assert count <= EVENTS
            return bool(count == EVENTS)

        await until(applied, seconds=60, every=0.2)
        assert await one.fetchval("SELECT version_num FROM alembic_version") == "0002"
        assert await two.fetchval("SELECT version_num FROM alembic_version") == "0002"

        async def all_told() -> bool:
            return not await one.fetchval("SELECT count(*) FROM outbox")

        await until(all_told, seconds=30, every=0.2)
        assert not await two.fetchval("SELECT count(*) FROM inbox WHERE held")
        assert not await two.fetchval(GAPS)


async def _told(client: httpx.AsyncClient, tellers: list[Process], number: int) -> None:
    """Tell one event through whichever teller answers, turn by turn, under the same command id: once."""
    turn = number

    async def answered() -> bool:
        nonlocal turn
        turn += 1
        teller = tellers[turn % 2]
        try:
            path = f"/v1/tell/key-{number % KEYS}/command-{number}"
            return (await client.post(f"{teller.url}{path}")).status_code == 200
        except httpx.HTTPError:
            return False

    await until(answered, seconds=40, every=0.1)
