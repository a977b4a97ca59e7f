"""What takes two people: one asks for it, and it is done when another worker asks for the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.runtime.problems import FieldError, invalid
from shared.runtime.work import Work

What = Literal["erasure", "split", "unlink"]
# What somebody asked for is asked anew after this: nobody confirms what has long been forgotten.
WAITS: Final = "interval '7 days'"
# Of `a`: it waits for a second person.
_NOW: Final = "(SELECT clock_timestamp() + shift FROM clock)"
OPEN: Final = f"(a.done_at IS NULL AND a.at > {_NOW} - {WAITS})"
# Kept unless another worker's request waits. That one's row is locked either way: of two who second it at once one does.
_ASK: Final = f"""
INSERT INTO second_person AS a (person, what, detail, reason, agency, worker, at) VALUES ($1, $2, $3, $4, $5, $6, {_NOW})
ON CONFLICT (person, what, detail) DO UPDATE SET reason = excluded.reason, agency = excluded.agency,
  worker = excluded.worker, at = excluded.at, second_agency = NULL, second_worker = NULL, done_at = NULL
WHERE NOT {OPEN} OR (a.agency, a.worker) = (excluded.agency, excluded.worker)
RETURNING true
"""  # noqa: S608 - constants
_SECOND: Final = f"""
UPDATE second_person SET second_agency = $4, second_worker = $5, done_at = {_NOW}
WHERE person = $1 AND what = $2 AND detail = $3 RETURNING reason, agency, worker
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for it first, and why."""

    reason: str
    agency: str
    worker: str


async def seconded(work: Work, person: str, what: What, detail: str, reason: str) -> Asked | None:
    """Return who asked for the same before, if that was somebody else: now it is to be done. None: this one asks.

    The request is kept with this transaction. Who asked and who seconded stays until the same is asked for again.
    Raises Problem 422 if the token names no worker.
    """
    by = work.actor
    if by.worker is None:
        remedy = "Use a token that names you: two workers have to ask for this, each with their own."
        raise invalid([FieldError("worker", "is not named by the token", remedy)])
    if await work.fetchval(_ASK, person, what, detail, reason, by.agency, by.worker):
        return None
    row = await work.fetchrow(_SECOND, person, what, detail, by.agency, by.worker)
    assert row is not None  # noqa: S101 - it stood in the way of ours, and is locked
    return Asked(row["reason"], row["agency"], row["worker"])


async def waiting(work: Work, person: str) -> list[dict[str, Any]]:
    """Return what waits for a second person about this one."""
    query = f"""SELECT what, detail, reason, agency, worker, at, at + {WAITS} AS until FROM second_person AS a
                WHERE person = $1 AND {OPEN} ORDER BY at"""  # noqa: S608 - constants
    rows = await work.fetch(query, person)
    return [dict(row) | {name: row[name].isoformat() for name in ("at", "until")} for row in rows]
