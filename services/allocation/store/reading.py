"""Reading for the API: the cases that an agency may see, checks, agencies, workers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, TypeAlias

import asyncpg

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# Case ids sort by time, so the newest come first out of the primary key, however many an agency has.
_CASES = """
SELECT c.*, array_agg(a.relation ORDER BY a.relation) AS relations
FROM case_agency AS a JOIN case_row AS c USING (case_id)
WHERE a.agency = ANY($1::text[]) AND ($2::text IS NULL OR a.case_id < $2)
  AND ($3::text IS NULL OR c.status = $3) AND ($4::text IS NULL OR a.relation = $4)
GROUP BY c.case_id ORDER BY c.case_id DESC LIMIT $5
"""
_STATE = "SELECT version, state FROM stream WHERE kind = 'case' AND key = $1"
_DECISIONS = """
SELECT d.at, d.policy_version, d.rule, e.why FROM case_decision AS d JOIN explanation AS e ON e.digest = d.explanation
WHERE d.case_id = $1 ORDER BY d.at
"""
_CHECKS = "SELECT * FROM case_check WHERE case_id = $1 ORDER BY asked_at, check_id"
_PREDECESSORS = """
WITH RECURSIVE before(agency) AS (
  SELECT $1::text UNION SELECT a.agency FROM agency AS a JOIN before AS b ON a.successor = b.agency
  WHERE a.since <= (SELECT clock_timestamp() + shift FROM clock)
) SELECT agency FROM before
"""


async def standing_for(pool: Pool, agency: str) -> list[str]:
    """Return the agencies that this one stands for: itself, and those that it succeeded."""
    return [row["agency"] for row in await pool.fetch(_PREDECESSORS, agency)]


async def cases(
    pool: Pool,
    agencies: Sequence[str],
    before: str | None,
    status: str | None,
    relation: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return the cases that have to do with these agencies, the newest first."""
    return [dict(row) for row in await pool.fetch(_CASES, list(agencies), before, status, relation, limit)]


async def case(pool: Pool, case_id: str) -> tuple[int, str] | None:
    """Return a case's version and its encoded state."""
    row = await pool.fetchrow(_STATE, case_id)
    return (row["version"], row["state"]) if row else None


async def decisions(pool: Pool, case_id: str) -> list[dict[str, Any]]:
    """Return what policy said of a case, each time that it said something new, with all its reasons."""
    return [{**row, "why": row["why"].split("\n")} for row in await pool.fetch(_DECISIONS, case_id)]


async def checks(pool: Pool, case_id: str) -> list[dict[str, Any]]:
    """Return the checks of a case."""
    return [dict(row) for row in await pool.fetch(_CHECKS, case_id)]


async def agencies_of(pool: Pool, workers: Sequence[str]) -> dict[str, str]:
    """Return whose these workers are."""
    if not workers:
        return {}
    rows = await pool.fetch("SELECT worker, agency FROM worker WHERE worker = ANY($1::text[])", list(workers))
    return {row["worker"]: row["agency"] for row in rows}


async def check(pool: Pool, check_id: str) -> dict[str, Any] | None:
    """Return one check."""
    row = await pool.fetchrow("SELECT * FROM case_check WHERE check_id = $1", check_id)
    return dict(row) if row else None


async def open_checks(
    pool: Pool, agencies: Sequence[str], limit: int, *, overdue: bool
) -> list[dict[str, Any]]:
    """Return the checks that these agencies have not answered, by their due dates."""
    rows = await pool.fetch(
        """SELECT check_id, case_id, kind, question, due, asked_at, overdue FROM case_check
        WHERE of_agency = ANY($1::text[]) AND satisfied IS NULL AND (overdue OR NOT $3) ORDER BY due NULLS LAST, check_id
        LIMIT $2""",
        list(agencies),
        limit,
        overdue,
    )
    return [dict(row) for row in rows]


async def open_checks_of_hub(
    pool: Pool, agencies: Sequence[str], limit: int, *, overdue: bool
) -> list[dict[str, Any]]:
    """Return the checks that nobody has answered in the cases that these agencies co-ordinate, by their due dates."""
    rows = await pool.fetch(
        """SELECT check_id, case_id, of_agency, kind, question, due, asked_at, overdue FROM case_check AS k
        WHERE satisfied IS NULL AND (overdue OR NOT $3) AND EXISTS (SELECT 1 FROM case_agency AS a
          WHERE a.case_id = k.case_id AND a.agency = ANY($1::text[]) AND a.relation IN ('hub', 'co_ordinator'))
        ORDER BY due NULLS LAST, check_id LIMIT $2""",
        list(agencies),
        limit,
        overdue,
    )
    return [dict(row) for row in rows]


async def sharing(pool: Pool, agencies: Sequence[str]) -> tuple[dict[str, str | None], date]:
    """Return the agencies' own sharing agreements, and today's date by the stack's clock."""
    rows = await pool.fetch(
        "SELECT agency, sharing_agreement FROM agency WHERE agency = ANY($1::text[])", list(agencies)
    )
    day: date = await pool.fetchval("SELECT (clock_timestamp() + shift)::date FROM clock")
    return {row["agency"]: row["sharing_agreement"] for row in rows}, day
