"""Consent's own rows: permits by id, leads by agency, what is known of agencies, corrections, the door.

States decide; rows are for finding, and for the one thing that only a database can promise: one live permit a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from shared.contracts.consent import (
    AttemptOverdue,
    AttemptRecorded,
    LeadAssigned,
    LeadEnded,
    LeadHandedOver,
    PermitEnded,
    PermitGranted,
    PermitRedeemed,
    StandingLoosened,
)
from shared.contracts.envelope import Channel, Payload, Purpose
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.work import Connection, Work

UNRESOLVED = frozenset({"unknown", "unsafe"})

_COLUMNS = {
    "id": "text", "person": "text", "party": "text", "case_id": "text", "agency": "text", "worker": "text",
    "purpose": "text", "channel": "text", "fence": "bigint", "status": "text", "how": "text", "outcome": "text",
    "expires": "timestamptz", "redeemed_at": "timestamptz", "use_by": "timestamptz", "outcome_due": "timestamptz",
    "ended_at": "timestamptz", "unresolved": "boolean",
}  # fmt: skip
_CHANGING = ("status", "how", "outcome", "redeemed_at", "use_by", "outcome_due", "ended_at", "unresolved")
_ARRAYS = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_COLUMNS.values(), 1))
_INSERT = f"""
INSERT INTO permit ({", ".join(_COLUMNS)})
SELECT {", ".join(n if n != "unresolved" else "coalesce(unresolved, false)" for n in _COLUMNS)}
FROM unnest({_ARRAYS}) AS t({", ".join(_COLUMNS)})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in _CHANGING)}
"""  # noqa: S608 - own column names
_UPDATE = f"""
UPDATE permit AS p SET {", ".join(f"{n} = coalesce(t.{n}, p.{n})" for n in _CHANGING)}
FROM unnest({_ARRAYS}) AS t({", ".join(_COLUMNS)}) WHERE p.id = t.id
"""  # noqa: S608 - own column names


async def save_permits(connection: Connection, changes: list[dict[str, Any]]) -> None:
    """Write what became of permits: changes of one permit together, those that end before those that begin."""
    merged: dict[str, dict[str, Any]] = {}
    for change in changes:
        merged[change["id"]] = merged.get(change["id"], {}) | change
    for sql, rows in (
        (_UPDATE, [row for row in merged.values() if "person" not in row]),
        (_INSERT, [row for row in merged.values() if "person" in row]),
    ):
        if rows:
            await connection.execute(sql, *([row.get(name) for row in rows] for name in _COLUMNS))


async def save_leads(connection: Connection, rows: list[tuple[str, str | None]]) -> None:
    """Write who leads whom now (person, agency or None)."""
    last = dict(rows)
    ended = [person for person, agency in last.items() if agency is None]
    if ended:
        await connection.execute("DELETE FROM lead WHERE person = ANY($1::text[])", ended)
    led = [(person, agency) for person, agency in last.items() if agency is not None]
    if led:
        await connection.execute(
            """INSERT INTO lead (person, agency) SELECT * FROM unnest($1::text[], $2::text[])
            ON CONFLICT (person) DO UPDATE SET agency = excluded.agency WHERE lead.agency <> excluded.agency""",
            *([pair[n] for pair in led] for n in (0, 1)),
        )


async def settle_unsafe(connection: Connection, people: list[str]) -> None:
    """A person has said that these can be contacted safely again."""
    await connection.execute(
        "UPDATE permit SET unresolved = false WHERE person = ANY($1::text[]) AND outcome = 'unsafe'", people
    )


def stage(work: Work, person: str, event: Payload, at: datetime) -> None:  # noqa: C901 - one arm for each event
    """Stage the rows that follow from an own event, when it is recorded or put back after a restore."""
    match event:
        case PermitGranted():
            row = {
                name: getattr(event, name)
                for name in ("party", "agency", "worker", "purpose", "channel", "fence", "expires")
            }
            work.write(
                save_permits,
                {"id": event.permit, "person": person, "case_id": event.case, "status": "granted", **row},
            )
            work.timer("permit-expiry", event.permit, event.expires, {"person": person})
        case PermitRedeemed():
            row = {"use_by": event.use_by, "outcome_due": event.outcome_due, "redeemed_at": event.at or at}
            work.write(save_permits, {"id": event.permit, "status": "redeemed", **row})
            work.cancel_timer("permit-expiry", event.permit)
            work.timer("outcome-due", event.permit, event.outcome_due, {"person": person})
        case PermitEnded():
            work.write(save_permits, _ended(event.permit, at, how=event.how, unresolved=False))
            _cancel(work, event.permit)
        case AttemptRecorded():
            row = _ended(
                event.permit,
                at,
                how="attempted",
                outcome=event.outcome,
                unresolved=event.outcome in UNRESOLVED,
            )
            if event.at is not None:
                row |= {"person": person, "party": person, "case_id": event.case, "agency": event.agency,
                        "fence": event.fence, "purpose": event.purpose, "channel": event.channel,
                        "expires": event.at, "redeemed_at": event.at, "use_by": event.use_by,
                        "outcome_due": event.use_by or event.at}  # fmt: skip
            work.write(save_permits, row)
            _cancel(work, event.permit)
        case AttemptOverdue():
            work.write(save_permits, {"id": event.permit, "unresolved": True})
        case LeadAssigned():
            work.write(save_leads, (person, event.agency))
        case LeadHandedOver():
            work.write(save_leads, (person, event.target))
        case LeadEnded():
            work.write(save_leads, (person, None))
        case StandingLoosened(reason="safe_again"):
            work.write(settle_unsafe, person)
        case _:
            pass


def _ended(permit: str, at: datetime, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    return {"id": permit, "status": "ended", "ended_at": at, **more}


def _cancel(work: Work, permit: str) -> None:
    work.cancel_timer("permit-expiry", permit)
    work.cancel_timer("outcome-due", permit)


# --- reading


@dataclass(frozen=True, slots=True)
class PermitRow:
    """A permit as it is stored."""

    id: str
    person: str
    party: str
    case_id: str
    agency: str
    worker: str | None
    purpose: Purpose
    channel: Channel
    fence: int
    status: str
    how: str | None
    outcome: str | None
    expires: datetime
    redeemed_at: datetime | None
    use_by: datetime | None
    outcome_due: datetime | None
    ended_at: datetime | None
    unresolved: bool


_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM permit"  # noqa: S608 - own column names


async def permit_of(at: Work | UnitOfWork, permit: str) -> PermitRow | None:
    """Return a permit by its id."""
    row = await at.fetchrow(f"{_SELECT} WHERE id = $1", permit)
    return PermitRow(*row.values()) if row else None


# With what the ledgers and the case that a permit is about say just now, though nobody holds them: see `glimpse`.
_WITH_LEDGERS = f"""
SELECT {", ".join(f"p.{name}" for name in _COLUMNS)},
       (SELECT json_agg(json_build_array(s.kind, s.key, s.state))
        FROM unnest(ARRAY['person', 'person', 'case'], ARRAY[p.person, p.party, p.case_id]) AS w(kind, key)
        JOIN stream AS s USING (kind, key)) AS around
FROM permit AS p WHERE p.id = $1
"""  # noqa: S608 - own column names
_GLIMPSE = """
SELECT json_agg(json_build_array(s.kind, s.key, s.state))
FROM unnest($1::text[], $2::text[]) AS w(kind, key) JOIN stream AS s USING (kind, key)
"""
Glimpse = Mapping[tuple[str, str], bytes]


async def permit_with_ledgers(work: Work, permit: str) -> tuple[PermitRow, Glimpse] | None:
    """Return a permit, and what the ledgers and the case that it is about say at this moment."""
    row = await work.fetchrow(_WITH_LEDGERS, permit)
    if row is None:
        return None
    *columns, around = row.values()
    return PermitRow(*columns), _glimpsed(around)


async def glimpse(work: Work, kinds: Sequence[str], keys: Sequence[str]) -> Glimpse:
    """Return what these keys say at this moment, without a lock: good for guessing what else has to be locked."""
    return _glimpsed(await work.fetchval(_GLIMPSE, kinds, keys))


def _glimpsed(found: str | None) -> Glimpse:
    rows = msgspec.json.decode(found or "[]", type=list[tuple[str, str, msgspec.Raw]])
    return {(kind, key): bytes(state) for kind, key, state in rows}


async def permits_of(work: Work, ids: Sequence[str]) -> list[PermitRow]:
    """Return permits by their ids."""
    rows = await work.fetch(f"{_SELECT} WHERE id = ANY($1::text[]) ORDER BY id", list(ids))
    return [PermitRow(*row.values()) for row in rows]


async def unresolved(work: Work, after: tuple[datetime, str] | None, limit: int) -> list[PermitRow]:
    """Return attempts that a person has to look into, the longest due first."""
    rows = await work.fetch(
        f"""{_SELECT} WHERE unresolved AND ($1::timestamptz IS NULL OR (outcome_due, id) > ($1, $2))
        ORDER BY outcome_due, id LIMIT $3""",
        *(after or (None, "")),
        limit,
    )
    return [PermitRow(*row.values()) for row in rows]


async def granted_people(work: Work, limit: int) -> list[str]:
    """Return people with a permit that is not redeemed."""
    rows = await work.fetch(
        "SELECT person FROM permit WHERE status = 'granted' ORDER BY person LIMIT $1", limit
    )
    return [row["person"] for row in rows]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a question about contact needs besides ledgers. `deaf`: the broker has not been heard for too long.

    `parked`: an event of these people, or of the case, is parked or waits here, so that what we know may be stale.
    `applied`: the last sequence of intake's that was applied, of each person asked about; 0 where none was.
    """

    successors: Mapping[str, str]
    deputies: Mapping[str, str]
    restored: bool
    deaf: bool
    parked: bool
    applied: Mapping[str, int]


_SURROUNDINGS = """
SELECT (SELECT json_object_agg(agency, successor) FROM agency WHERE successor IS NOT NULL AND since <= $1) AS successors,
       (SELECT json_object_agg(worker, deputy) FROM worker
        WHERE worker = ANY($2::text[]) AND deputy IS NOT NULL) AS deputies,
       restored, coalesce(heard_at < clock_timestamp() - $3 * interval '1 second', true) AS deaf,
       EXISTS (SELECT FROM inbox WHERE topic = 'people' AND key = ANY($4::text[]) AND held)
         OR EXISTS (SELECT FROM inbox WHERE topic = 'cases' AND key = $5 AND held) AS parked,
       (SELECT json_object_agg(key, sequence) FROM inbox WHERE topic = 'people' AND key = ANY($6::text[])) AS applied
FROM door
"""


async def surroundings(
    work: Work,
    workers: Sequence[str],
    deaf_seconds: float,
    people: Sequence[str],
    case: str,
    seen: Sequence[str],
) -> Surroundings:
    """Read them, about these people and this case; `applied` of those in `seen`. The people are locked."""
    row = await work.fetchrow(
        _SURROUNDINGS, work.now, list(workers), deaf_seconds, list(people), case, list(seen)
    )
    assert row is not None  # noqa: S101 - the door has one row, from the first migration on
    successors, deputies, applied = (
        msgspec.json.decode(row[name] or "{}") for name in ("successors", "deputies", "applied")
    )
    return Surroundings(
        successors, deputies, row["restored"], row["deaf"], row["parked"], dict.fromkeys(seen, 0) | applied
    )


async def is_closed(work: Work) -> bool:
    """Say whether this database came back from a copy and is not reconciled yet."""
    return bool(await work.fetchval("SELECT restored FROM door"))


async def successions(work: Work) -> dict[str, str]:
    """Return agency -> successor, as in force now."""
    rows = await work.fetch(
        "SELECT agency, successor FROM agency WHERE successor IS NOT NULL AND since <= $1", work.now
    )
    return {row["agency"]: row["successor"] for row in rows}


async def led_by(work: Work, agency: str, limit: int) -> list[str]:
    """Return people led by an agency."""
    rows = await work.fetch(
        "SELECT person FROM lead WHERE agency = $1 ORDER BY person LIMIT $2", agency, limit
    )
    return [row["person"] for row in rows]


# --- agencies


async def save_successions(connection: Connection, rows: list[tuple[str, str, datetime]]) -> None:
    """Write who succeeds whom, and since when (agency, successor, since)."""
    last = {row[0]: row for row in rows}
    await connection.execute(
        """INSERT INTO agency (agency, successor, since) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
        ON CONFLICT (agency) DO UPDATE SET successor = excluded.successor, since = excluded.since""",
        *([row[n] for row in last.values()] for n in (0, 1, 2)),
    )


async def save_workers(connection: Connection, rows: list[tuple[str, str, str | None]]) -> None:
    """Write which deputy each worker names (worker, agency, deputy)."""
    last = {row[0]: row for row in rows}
    await connection.execute(
        """INSERT INTO worker (worker, agency, deputy) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
        ON CONFLICT (worker) DO UPDATE SET agency = excluded.agency, deputy = excluded.deputy""",
        *([row[n] for row in last.values()] for n in (0, 1, 2)),
    )


# --- corrections


async def save_corrections(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Write corrections that wait for a second person."""
    await connection.executemany(
        """INSERT INTO correction (id, person, cases, evidence, proposed_agency, proposed_worker, proposed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        rows,
    )


async def person_of_correction(work: Work, number: str) -> str | None:
    """Return whose ledger a correction is about."""
    person: str | None = await work.fetchval("SELECT person FROM correction WHERE id = $1", number)
    return person


async def take_correction(
    work: Work, number: str, by: tuple[str, str], at: datetime
) -> asyncpg.Record | None:
    """Confirm a correction once, by somebody else than who proposed it. Returns it, or None."""
    return await work.fetchrow(
        """UPDATE correction SET confirmed_agency = $2, confirmed_worker = $3, confirmed_at = $4
        WHERE id = $1 AND confirmed_at IS NULL AND (proposed_agency, proposed_worker) <> ($2, $3)
        RETURNING cases, evidence, proposed_at""",
        number,
        *by,
        at,
    )
