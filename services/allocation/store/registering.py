"""Rows of agencies and workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import msgspec

from services.allocation.domain.agencies import AgencyState
from services.allocation.store.registry import facilitator
from services.allocation.workforce.people import TRAINING, Facilitator
from shared.runtime.problems import FieldError, invalid
from shared.runtime.work import Connection, Work

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_SAVE_AGENCY = """
INSERT INTO agency (agency, name, kind, areas, sharing_agreement, active, desk, successor, since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (agency) DO UPDATE SET name = excluded.name, kind = excluded.kind, areas = excluded.areas,
  sharing_agreement = excluded.sharing_agreement, active = excluded.active, desk = excluded.desk,
  successor = excluded.successor, since = excluded.since
"""
# `used` is not touched: it belongs to the cases.
_SAVE_WORKER = """
INSERT INTO worker (worker, agency, team, active, named, capacity, details) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (worker) DO UPDATE SET team = excluded.team, active = excluded.active, named = excluded.named,
  capacity = excluded.capacity, details = excluded.details
"""
_AGENCY = """
SELECT a.*, s.version FROM agency AS a JOIN stream AS s ON s.kind = 'agency' AND s.key = a.agency WHERE a.agency = $1
"""
_WORKER = """
SELECT w.*, s.version FROM worker AS w JOIN stream AS s ON s.kind = 'agency' AND s.key = w.agency WHERE w.worker = $1
"""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as registered."""

    worker: str
    agency: str
    team: str | None
    active: bool
    named: bool
    capacity: int
    details: dict[str, Any]


def check_details(worker: str, agency: str, details: dict[str, Any]) -> None:
    """Raise Problem 422 if pairing could not read a worker's details."""
    known = set(Facilitator.__struct_fields__) - {"id", "agency", "capacity", "used", "active", "deputy"}
    wrong = [
        FieldError(f"details.{name}", "unknown", f"Use {', '.join(sorted(known))}.")
        for name in sorted(details.keys() - known)
    ]
    if details.get("training", "core") not in TRAINING:
        wrong.append(FieldError("details.training", "unknown", f"Use one of {', '.join(TRAINING)}."))
    try:
        facilitator(worker, agency, msgspec.json.encode(details).decode())
    except msgspec.ValidationError as error:
        wrong.append(FieldError("details", str(error), "Send lists of words, dates as YYYY-MM-DD."))
    if wrong:
        raise invalid(wrong)


async def agencies(pool: Pool) -> list[dict[str, Any]]:
    """Return every agency."""
    return [_shown(row) for row in await pool.fetch("SELECT * FROM agency ORDER BY agency")]


async def agency(pool: Pool, agency_id: str) -> dict[str, Any] | None:
    """Return an agency with its version."""
    row = await pool.fetchrow(_AGENCY, agency_id)
    return _shown(row) if row else None


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    return {**dict(row), "desk": msgspec.Raw(row["desk"].encode()) if row["desk"] else None}


async def worker(pool: Pool, worker_id: str) -> dict[str, Any] | None:
    """Return a worker with its agency's version."""
    row = await pool.fetchrow(_WORKER, worker_id)
    return {**dict(row), "details": msgspec.json.decode(row["details"])} if row else None


async def successors(work: Work) -> dict[str, str]:
    """Return who succeeds whom, from whatever moment."""
    rows = await work.fetch("SELECT agency, successor FROM agency WHERE successor IS NOT NULL")
    return {row["agency"]: row["successor"] for row in rows}


async def save_agencies(connection: Connection, rows: list[tuple[str, AgencyState]]) -> None:
    """Write agencies as they are now."""
    for key, state in rows:
        await connection.execute(
            _SAVE_AGENCY,
            key,
            state.name,
            state.kind,
            list(state.areas),
            state.sharing_agreement,
            state.active,
            msgspec.json.encode(state.desk).decode() if state.desk else None,
            state.successor,
            state.succeeded_at,
        )


async def save_workers(connection: Connection, rows: list[WorkerRow]) -> None:
    """Write workers as they are now."""
    for row in rows:
        details = msgspec.json.encode(row.details).decode()
        await connection.execute(
            _SAVE_WORKER, row.worker, row.agency, row.team, row.active, row.named, row.capacity, details
        )
