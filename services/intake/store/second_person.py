"""What takes two people: one asks for it, and it is done when another worker asks for the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from services.intake.store.reading import Pool
from shared.runtime.http import decode_cursor, encode_cursor
from shared.runtime.problems import FieldError, invalid
from shared.runtime.work import Work

What = Literal["erasure", "split", "unlink"]
State = Literal["waiting", "ended"]
# What somebody asked for is asked anew after this: nobody confirms what has long been forgotten.
WAITS: Final = "interval '7 days'"
# Of `a`: it waits for a second person.
_NOW: Final = "(SELECT clock_timestamp() + shift FROM clock)"
OPEN: Final = f"(a.done_at IS NULL AND a.at > {_NOW} - {WAITS})"
# Kept unless another worker's request waits. That one's row is locked either way: of two who second it at once one does.
_ASK: Final = f"""
INSERT INTO second_person AS a (person, what, detail, reason, agency, worker, at) VALUES ($1, $2, $3, $4, $5, $6, {_NOW})
ON CONFLICT (person, what, detail) DO UPDATE SET reason = excluded.reason, agency = excluded.agency,
  worker = excluded.worker, at = excluded.at, second_agency = NULL, second_worker = NULL, done_at = NULL,
  refused = false
WHERE NOT {OPEN} OR (a.agency, a.worker) = (excluded.agency, excluded.worker)
RETURNING true
"""  # noqa: S608 - constants
_SECOND: Final = f"""
UPDATE second_person SET second_agency = $4, second_worker = $5, done_at = {_NOW}, refused = false
WHERE person = $1 AND what = $2 AND detail = $3 RETURNING reason, agency, worker
"""  # noqa: S608 - constants
_REFUSE: Final = f"""
UPDATE second_person AS a SET second_agency = $4, second_worker = $5, done_at = {_NOW}, refused = true
WHERE person = $1 AND what = $2 AND detail = $3 AND {OPEN} RETURNING (agency, worker) = ($4, $5)
"""  # noqa: S608 - constants
# When a request ends if nobody does anything, or when it ended.
_ENDS: Final = f"coalesce(a.done_at, a.at + {WAITS})"
_FIELDS: Final = f"""
a.person, a.what, a.detail, a.reason, a.agency, a.worker, a.at, {_ENDS} AS until, a.second_agency, a.second_worker,
CASE WHEN {OPEN} THEN 'waiting' WHEN a.done_at IS NULL THEN 'lapsed' WHEN NOT a.refused THEN 'done'
     WHEN (a.agency, a.worker) = (a.second_agency, a.second_worker) THEN 'taken_back' ELSE 'refused' END AS state
"""
# What nobody can do any more waits for nobody: the record is another's already or taken back, the link is gone.
_STILL: Final = """
CASE a.what WHEN 'split' THEN EXISTS (
       SELECT FROM party AS p JOIN referral AS r ON r.id = p.referral
       WHERE p.id = CASE WHEN a.what = 'split' THEN a.detail::uuid END AND p.person = a.person AND p.current
         AND r.status <> 'retracted')
     WHEN 'unlink' THEN EXISTS (
       SELECT FROM stream AS s WHERE s.kind = 'person' AND s.key = a.person AND s.state -> 'links' ? a.detail)
     ELSE true END
"""
_WAITING: Final = f"""
SELECT {_FIELDS} FROM second_person AS a WHERE {OPEN} AND {_STILL}
  AND ($1::timestamptz IS NULL OR ({_ENDS}, a.person, a.what, a.detail) > ($1, $2, $3, $4))
ORDER BY {_ENDS}, a.person, a.what, a.detail LIMIT $5
"""  # noqa: S608 - constants
_ENDED: Final = f"""
SELECT {_FIELDS} FROM second_person AS a WHERE NOT {OPEN} AND {_ENDS} > {_NOW} - interval '30 days'
  AND ($1::timestamptz IS NULL OR ({_ENDS}, a.person, a.what, a.detail) < ($1, $2, $3, $4))
ORDER BY {_ENDS} DESC, a.person DESC, a.what DESC, a.detail DESC LIMIT $5
"""  # noqa: S608 - constants
_ABOUT: Final = f"""
SELECT {_FIELDS} FROM second_person AS a
WHERE {OPEN} AND {_STILL} AND (a.person = $1 OR a.what = 'unlink' AND a.detail = $1
                               OR a.what = 'erasure' AND a.person = ANY($2::text[]))
ORDER BY a.at
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
    agency, worker = work.actor.agency, _named(work)
    if await work.fetchval(_ASK, person, what, detail, reason, agency, worker):
        return None
    row = await work.fetchrow(_SECOND, person, what, detail, agency, worker)
    assert row is not None  # noqa: S101 - it stood in the way of ours, and is locked
    return Asked(row["reason"], row["agency"], row["worker"])


def _named(work: Work) -> str:
    if work.actor.worker is None:
        remedy = "Use a token that names you: two workers have to ask for this, each with their own."
        raise invalid([FieldError("worker", "is not named by the token", remedy)])
    return work.actor.worker


async def refuse(work: Work, person: str, what: What, detail: str) -> bool | None:
    """End a request without doing it; returns whether it was one's own. None: no such request waits. Raises Problem 422."""
    worker = _named(work)
    found: bool | None = await work.fetchval(_REFUSE, person, what, detail, work.actor.agency, worker)
    return found


async def waiting(work: Work, person: str, group: list[str]) -> list[dict[str, Any]]:
    """Return what waits for a second person about this one. `group`: their ids; an erasure is of all of them."""
    return [_shown(row) for row in await work.fetch(_ABOUT, person, group)]


async def page(
    pool: Pool, state: State, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of what waits, the soonest to lapse first; or of what has ended in 30 days, the last first."""
    after = decode_cursor(cursor, datetime, str, str, str) or (None, None, None, None)
    rows = await pool.fetch(_WAITING if state == "waiting" else _ENDED, *after, limit)
    found = [_shown(row) for row in rows]
    if len(found) < limit:
        return found, None
    return found, encode_cursor(*(found[-1][name] for name in ("until", "person", "what", "detail")))


def _shown(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a record
    return dict(row) | {name: row[name].isoformat() for name in ("at", "until")}
