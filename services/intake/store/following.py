"""Rows that follow the others' events: what became of cases, whose approach is live, who said no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.runtime.work import Connection, Work


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """What became of a case, as its referrers may know it."""

    case: str
    status: str
    reason: str | None = None
    until: datetime | None = None
    hubs: tuple[str, ...] = ()  # who co-ordinates it, where the event says so


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What changed about a person's contact; None: as before."""

    person: str
    live: bool | None = None
    refused: bool | None = None


_CASE: Final = """
INSERT INTO case_status (case_id, status, reason, until, hubs)
SELECT case_id, status, reason, until, string_to_array(hubs, ' ')
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[]) AS t(case_id, status, reason, until, hubs)
ON CONFLICT (case_id) DO UPDATE SET status = excluded.status, reason = excluded.reason, until = excluded.until,
  hubs = coalesce(excluded.hubs, case_status.hubs)
"""
_LEDGER: Final = """
INSERT INTO ledger (person, live, refused)
SELECT person, coalesce(live, false), coalesce(refused, false) FROM unnest($1::text[], $2::boolean[], $3::boolean[])
  AS t(person, live, refused)
ON CONFLICT (person) DO UPDATE
SET live = CASE WHEN excluded.person = ANY($4::text[]) THEN excluded.live ELSE ledger.live END,
    refused = CASE WHEN excluded.person = ANY($5::text[]) THEN excluded.refused ELSE ledger.refused END
"""


async def save_case_status(connection: Connection, rows: list[CaseStatus]) -> None:
    """Save the last status of each case, and who co-ordinates it as of the last event that said so."""
    last = {row.case: row for row in rows}.values()
    hubs = {row.case: " ".join(row.hubs) for row in rows if row.hubs}
    await connection.execute(
        _CASE,
        [r.case for r in last],
        [r.status for r in last],
        [r.reason for r in last],
        [r.until for r in last],
        [hubs.get(r.case) for r in last],
    )


async def hubs_of(work: Work, people: list[str]) -> set[str]:
    """Return who co-ordinates the cases of these ids; nobody as long as none of them is allocated anywhere."""
    rows = await work.fetch(
        """SELECT DISTINCT unnest(s.hubs) AS hub
           FROM party AS p JOIN referral_case AS c ON c.referral = p.referral JOIN case_status AS s ON s.case_id = c.case_id
           WHERE p.person = ANY($1::text[])""",
        people,
    )
    return {row["hub"] for row in rows}


async def save_ledger(connection: Connection, rows: list[LedgerRow]) -> None:
    """Save what changed of each person; a claim of a person whose lead has ended is over."""
    live: dict[str, bool] = {}
    refused: dict[str, bool] = {}
    for row in rows:
        if row.live is not None:
            live[row.person] = row.live
        if row.refused is not None:
            refused[row.person] = row.refused
    people = sorted({*live, *refused})
    await connection.execute(
        _LEDGER,
        people,
        [live.get(p) for p in people],
        [refused.get(p) for p in people],
        list(live),
        list(refused),
    )
    over = [person for person, is_live in live.items() if not is_live]
    if over:
        await connection.execute("DELETE FROM contact_claim WHERE person = ANY($1::text[])", over)


async def drop_claims(connection: Connection, permits: list[str]) -> None:
    """Drop the contact points that these permits had claimed."""
    await connection.execute("DELETE FROM contact_claim WHERE permit = ANY($1::text[])", permits)


async def save_succession(connection: Connection, rows: list[tuple[str, str, datetime]]) -> None:
    """Save who inherits from whom."""
    for row in rows:
        await connection.execute(
            """INSERT INTO succession VALUES ($1, $2, $3)
               ON CONFLICT (agency) DO UPDATE SET successor = excluded.successor, since = excluded.since""",
            *row,
        )


LINEAGE: Final = """
WITH RECURSIVE own(agency) AS (
  SELECT $1::text
  UNION SELECT s.agency FROM succession AS s JOIN own ON s.successor = own.agency
  WHERE s.since <= (SELECT clock_timestamp() + shift FROM clock)
) SELECT agency FROM own
"""


async def lineage(work: Work, agency: str) -> list[str]:
    """Return an agency and all whom it has succeeded by now, directly or over others: what was theirs is its own."""
    rows = await work.fetch(LINEAGE, agency)
    return [agency, *sorted(row["agency"] for row in rows if row["agency"] != agency)]


async def reopen(connection: Connection, rows: list[tuple[str, tuple[str, ...]]]) -> None:
    """The person asked to take part after all: withdrawals that had been in force bar releases no longer.

    Who withdrew from everything and takes part in some cases again goes on being withdrawn from the others.
    """
    for person, cases in rows:
        await connection.execute(
            """INSERT INTO withdrawal_exception (withdrawal, person, case_id)
               SELECT w.id, c.person, again.case_id
               FROM withdrawal AS w JOIN withdrawal_candidate AS c ON c.withdrawal = w.id,
                 unnest($2::text[]) AS again(case_id)
               WHERE c.person = $1 AND w.state = 'in_force' AND w.scope = 'everything' ON CONFLICT DO NOTHING""",
            person,
            list(cases),
        )
        await connection.execute(
            """UPDATE withdrawal SET state = 'reopened' FROM withdrawal_candidate AS c
               WHERE c.withdrawal = withdrawal.id AND c.person = $1 AND withdrawal.state = 'in_force'
                 AND (cardinality($2::text[]) = 0 OR withdrawal.case_id = ANY($2::text[]))""",
            person,
            list(cases),
        )
