"""What a hub's meeting needs: its cases without a team, the people who could deliver them, and the plans made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec

from services.allocation.store.registry import facilitator
from services.allocation.workforce.people import Facilitator
from shared.runtime.work import Connection, Work

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# The most urgent clock first, as everywhere else where something waits.
_WAITING = """
SELECT s.key, s.version, s.state FROM case_row AS c JOIN stream AS s ON s.kind = 'case' AND s.key = c.case_id
WHERE c.closed_at IS NULL AND c.allocated_at IS NOT NULL AND c.case_id IN (
  SELECT case_id FROM case_agency WHERE agency = ANY($1::text[]) AND relation IN ('hub', 'co_ordinator'))
  AND ($2::text[] IS NULL OR c.case_id = ANY($2::text[])) AND NOT EXISTS (
    SELECT 1 FROM case_fact AS f WHERE f.case_id = c.case_id AND f.fact = 'outcome')
ORDER BY c.due NULLS LAST, c.received_at, c.case_id LIMIT $3
"""
_PEOPLE = """
SELECT worker, agency, active, capacity, used, details FROM worker
WHERE active AND capacity > 0 AND agency = ANY($1::text[])
"""
_LOCK = """
SELECT worker, agency, active, capacity, used FROM worker WHERE worker = ANY($1::text[]) ORDER BY worker FOR NO KEY UPDATE
"""
_SAVE = "INSERT INTO meeting_plan (plan, agency, worker, made_at, body) VALUES ($1, $2, $3, $4, $5)"

Plan = tuple[str, str, str | None, datetime, dict[str, Any]]
"""A plan's id, the agency and the worker who asked, when, and the plan as it was answered."""


async def waiting(
    pool: Pool, agencies: Sequence[str], cases: Collection[str] | None, limit: int
) -> list[tuple[str, str]]:
    """Return the hub's cases that are allocated and have no outcome, with their encoded states."""
    wanted = sorted(cases) if cases is not None else None
    return [(row["key"], row["state"]) for row in await pool.fetch(_WAITING, list(agencies), wanted, limit)]


async def people(pool: Pool, agencies: Collection[str]) -> list[Facilitator]:
    """Return the active workers of these agencies who have hours, with what is taken of them."""
    return [
        msgspec.structs.replace(
            facilitator(row["worker"], row["agency"], row["details"]),
            capacity=row["capacity"],
            used=row["used"],
        )
        for row in await pool.fetch(_PEOPLE, sorted(agencies))
    ]


async def lock_hours(work: Work, workers: Collection[str]) -> dict[str, tuple[bool, int]]:
    """Return whether each worker is active and the hours that it has free, and let nobody else take them meanwhile."""
    rows = await work.fetch(_LOCK, sorted(workers))
    return {row["worker"]: (row["active"], row["capacity"] - row["used"]) for row in rows}


async def plan(work: Work, plan_id: str) -> dict[str, Any] | None:
    """Return a plan, and lock it: it is accepted once at a time."""
    row = await work.fetchrow("SELECT * FROM meeting_plan WHERE plan = $1 FOR UPDATE", plan_id)
    return {**dict(row), "body": msgspec.json.decode(row["body"])} if row else None


async def read(pool: Pool, plan_id: str) -> dict[str, Any] | None:
    """Return a plan."""
    row = await pool.fetchrow("SELECT * FROM meeting_plan WHERE plan = $1", plan_id)
    return {**dict(row), "body": msgspec.json.decode(row["body"])} if row else None


async def save(connection: Connection, rows: list[Plan]) -> None:
    """Keep plans."""
    for row in rows:
        await connection.execute(_SAVE, *row[:4], msgspec.json.encode(row[4]).decode())


async def accepted(connection: Connection, rows: list[tuple[str, datetime]]) -> None:
    """Remember that plans were accepted."""
    for plan_id, at in rows:
        await connection.execute("UPDATE meeting_plan SET accepted_at = $2 WHERE plan = $1", plan_id, at)
