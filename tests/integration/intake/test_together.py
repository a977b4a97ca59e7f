"""The same human, posted at once through eight agencies, each with its own error, to two intakes: one person each time.

`make together` does it 1,000 times; here it is a few, so that it is done at every change. No deadlock, and nobody waits for
a lock longer than a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from services.intake.core import Intake
from services.intake.crypto import make_master_key
from services.intake.service import build
from services.intake.settings import Settings
from tests.support.referrals import referral, unusual_surname
from tests.support.running import running, settings, until
from tests.support.tokens import bearer

TIMES = int(os.environ.get("ONEFRIEND_TOGETHER", "15"))
MEASURED = 100
AT_ONCE = 4  # humans whose eight referrals are under way at one time
AGENCIES = [f"agency-{number}" for number in range(8)]
FORENAMES = (
    "Margaret",
    "Thomas",
    "Fatima",
    "Gareth",
    "Priya",
    "Stanley",
    "Joyce",
    "Imran",
    "Beatrice",
    "Oluwaseun",
)
pytestmark = pytest.mark.timeout(600 + TIMES * 4)


def somebody(number: int) -> dict[str, Any]:
    """Return a human unlike any other of these."""
    draw = random.Random(number)
    surname = unusual_surname(draw, 3)
    return {
        "role": "harmed",
        "name": {"forenames": draw.choice(FORENAMES), "surname": surname},
        "date_of_birth": f"{draw.randint(1935, 2004)}-{draw.randint(1, 12):02d}-{draw.randint(1, 12):02d}",
        "addresses": [{"lines": [f"{number + 1} {surname} Road"], "postcode": _postcode(draw)}],
        "phones": [{"number": f"077{draw.randint(0, 99_999_999):08d}"}],
        "emails": [{"address": f"{surname.lower()}.{number}@example.org"}],
    }


def _postcode(draw: random.Random) -> str:
    area, letters = (
        draw.choice(("AL", "BN", "CM", "EN", "HP", "LU", "NE", "SG", "TS", "WD")),
        "ABDEFGHJLNPQRSTUWXYZ",
    )
    return f"{area}{draw.randint(1, 29)} {draw.randint(1, 9)}{draw.choice(letters)}{draw.choice(letters)}"


def as_told_by(agency: int, human: dict[str, Any]) -> dict[str, Any]:
    """Return a human as one of eight agencies has them: each errs in its own way."""
    name, born, phone = human["name"], human["date_of_birth"], human["phones"][0]["number"]
    surname = name["surname"]
    year, month, day = born.split("-")
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"name": {**name, "surname": surname[:3] + surname[4] + surname[3] + surname[5:]}, "emails": []},
        {"name": {**name, "forenames": name["forenames"][0]}},
        {"date_of_birth": None, "addresses": []},
        {"date_of_birth": f"{year}-{day}-{month}"},
        {"phones": [{"number": "+44 " + phone[1:]}], "emails": []},
        {"name": {"full": f"MS {name['forenames']} {surname}".upper()}, "addresses": []},
        {"addresses": [], "emails": []},
    )
    return {**human, **wrong[agency]}


@pytest.fixture
async def intakes(
    new_database: Callable[[], Awaitable[str]], bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[list[Intake]]:
    """Two intakes on one database: two matchers, as at scale."""
    key = tmp_path / "master.key"
    make_master_key(key)
    database = await new_database()
    more = {"master_key_file": key, "consent_url": "http://consent.test"}
    async with contextlib.AsyncExitStack() as opened:
        both = [
            build(settings(Settings, database, bootstrap_servers, topic_prefix, **more)) for _ in range(2)
        ]
        for one in both:
            await opened.enter_async_context(running(one))
        yield both


async def longest_wait(database: str, over: asyncio.Event) -> float:
    """Watch every lock that is waited for; return the longest wait in seconds."""
    connection = await asyncpg.connect(database)
    query = """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8
               FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
               WHERE NOT l.granted AND a.datname = current_database()"""
    longest = 0.0
    try:
        while not over.is_set():
            longest = max(longest, await connection.fetchval(query))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.02)
    finally:
        await connection.close()
    return longest


async def test_one_person_each_time_and_nobody_waits(intakes: list[Intake]) -> None:
    pool = intakes[0].pool
    database = intakes[0].settings.database_url.get_secret_value()
    over = asyncio.Event()
    watching = asyncio.create_task(longest_wait(database, over))
    began = time.monotonic()
    gate = asyncio.Semaphore(AT_ONCE)
    taken: list[float] = []
    async with httpx.AsyncClient(timeout=180, limits=httpx.Limits(max_connections=64)) as http:

        async def refer(number: int, agency: int) -> None:
            incident = {"offence_class": "burglary", "on": "2026-03-02", "area": "E23000027", "force": "41",
                        "reference": f"41/{number + 1}/26"}  # fmt: skip
            document = referral(
                f"T-{number}", incident=incident, parties=[as_told_by(agency, somebody(number))]
            )
            port = intakes[agency % 2].settings.port
            headers = bearer(AGENCIES[agency], "referrals.write")
            answer = await http.post(f"http://127.0.0.1:{port}/v1/referrals", json=document, headers=headers)
            assert answer.status_code == 202, answer.text

        async def together(number: int) -> None:
            async with gate:
                start = time.monotonic()
                await asyncio.gather(*(refer(number, agency) for agency in range(len(AGENCIES))))
                taken.append(time.monotonic() - start)

        await asyncio.gather(*(together(number) for number in range(TIMES)))
    left = "SELECT count(*) = 0 FROM to_match"
    await until(lambda: _true(pool, left), seconds=60 + TIMES, every=0.1)
    seconds = time.monotonic() - began
    over.set()
    waited = await watching
    people = await pool.fetch("SELECT person, count(*) AS n FROM party GROUP BY person")
    held = await pool.fetchval("SELECT count(*) FROM match_review")
    deadlocks = await pool.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    print(  # noqa: T201 - what `make together` is run for
        f"\n{TIMES} humans through {len(AGENCIES)} agencies at once: {len(people)} people, {held} held; "
        f"{deadlocks} deadlocks; longest wait for a lock {waited * 1000:.0f} ms; eight POSTs answered in "
        f"{statistics.median(taken) * 1000:.0f} ms (median); {TIMES * len(AGENCIES) / seconds:.0f} referrals a second"
    )
    why = await pool.fetch("SELECT kind, reasons, sentence FROM match_review")
    # Whoever is new may be in doubt because of somebody else of the crowd; few are, and they are one person all the same.
    assert held <= max(1, TIMES * len(AGENCIES) // 50), [tuple(row) for row in why]
    assert [row["n"] for row in people] == [len(AGENCIES)] * TIMES, (
        "one person each time, and nobody taken for another"
    )
    assert deadlocks == 0
    # A few of them beside other tests say nothing about time; a thousand on a quiet machine do.
    assert waited < (1.0 if TIMES >= MEASURED else 10.0)


async def _true(pool: Any, query: str) -> bool:
    return bool(await pool.fetchval(query))
