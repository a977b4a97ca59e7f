"""Messages as rows: one per permit, no contact details.

`step` follows the MESSAGE stream, with `releasing` between accepted and sending: somebody is asking intake for the contact
details now. `claim` names that somebody; whoever lost the claim cannot begin to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from services.notifications.messages.reach import Reach
from shared.contracts.agencies import Desk
from shared.contracts.envelope import Envelope
from shared.contracts.notifications import MessageAccepted, MessageNotMade, MessageSending, MessageSent
from shared.runtime.errors import Conflict
from shared.runtime.work import Connection, Work

# Longer than a release and a slow provider together can take: whoever holds a message longer than this has died.
ABANDONED = timedelta(minutes=3)

FIELDS = """message_id, permit, fence, agency, worker, template, language, step, claim, channel, provider, reason,
provider_status, outcome, outcome_step, outcome_due, outcome_tries, created_at, updated_at"""
_INSERT = """
INSERT INTO message (message_id, permit, fence, agency, worker, template, language, step, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'accepted', $8, $8)
"""
_CLAIM = """
UPDATE message SET step = 'releasing', claim = $2, updated_at = $3 WHERE message_id = $1 AND step = 'accepted'
RETURNING permit, fence, agency, worker, template, language
"""
# Who signs: an agency that there still is.
_SIGNER = """
SELECT coalesce(name, agency) AS name, active, since <= $2 AS succeeded FROM agency WHERE agency = $1
"""
# Whom a person can ask about a message of an agency: its own desk, else that of whoever is now the hub of the case.
_REACH = """
WITH RECURSIVE hub(agency) AS (
  SELECT agency FROM part WHERE case_id = $2 AND role = 'hub' AND (ended IS NULL OR since > ended)
  UNION SELECT a.successor FROM agency AS a JOIN hub USING (agency)
        WHERE a.since <= $3
)
SELECT desk, CASE WHEN agency = $1 THEN NULL ELSE coalesce(name, agency) END AS through FROM agency
WHERE desk IS NOT NULL AND (agency = $1 OR (active AND agency IN (SELECT agency FROM hub)
  AND coalesce(since > $3, true)))
ORDER BY agency <> $1 LIMIT 1
"""
_UNCLAIM = """
UPDATE message SET step = 'accepted', updated_at = $3 WHERE message_id = $1 AND step = 'releasing' AND claim = $2
"""
_STEP = """
UPDATE message SET step = $2, channel = coalesce($3, channel), provider = coalesce($4, provider), reason = $5, outcome = $6,
  outcome_step = CASE WHEN $6::text IS NULL THEN outcome_step ELSE 'owed' END,
  outcome_due = CASE WHEN $6::text IS NULL THEN outcome_due ELSE $7 END, updated_at = $7
WHERE message_id = $1
"""
# Asked before a transaction is begun for it: on most looks there is nothing.
SOMETHING_OWED = """
SELECT EXISTS (SELECT FROM message
  WHERE outcome_step = 'owed' AND outcome_due <= (SELECT clock_timestamp() + shift FROM clock))
"""
_OWED = """
UPDATE message AS m SET outcome_due = $1 + interval '30 seconds', outcome_tries = outcome_tries + 1
FROM (SELECT message_id FROM message WHERE outcome_step = 'owed' AND outcome_due <= $1
      ORDER BY outcome_due LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
WHERE m.message_id = due.message_id
RETURNING m.message_id, m.permit, m.fence, m.agency, m.worker, m.outcome, m.outcome_tries
"""
_ABANDONED = """
SELECT message_id FROM message WHERE step IN ('releasing', 'sending') AND updated_at < $1 ORDER BY message_id LIMIT 100
"""
# An agency ($1), and those that it has succeeded by now.
_PREDECESSORS = """
WITH RECURSIVE was(agency) AS (SELECT $1::text UNION SELECT a.agency FROM agency AS a JOIN was ON a.successor = was.agency
  WHERE a.since <= (SELECT clock_timestamp() + shift FROM clock)) SELECT agency FROM was
"""
_RECONCILE = """(step = 'unknown' OR outcome_step = 'refused')"""


@dataclass(frozen=True)
class NewMessage:
    """A message as its holder asked for it. `fence` is the permit's."""

    message_id: str
    permit: str
    fence: int
    agency: str
    worker: str | None
    template: str
    language: str | None


@dataclass(frozen=True)
class StepRow:
    """A message's new step. `outcome`: what consent is now owed, None if nothing."""

    message_id: str
    step: str
    at: datetime
    channel: str | None = None
    provider: str | None = None
    reason: str | None = None
    outcome: str | None = None


async def insert(connection: Connection, rows: list[tuple[NewMessage, datetime]]) -> None:
    """Write accepted messages. Raises Conflict if another took a permit at this instant: run again, it is found."""
    columns = [
        (m.message_id, m.permit, m.fence, m.agency, m.worker, m.template, m.language, now) for m, now in rows
    ]
    try:
        await connection.executemany(_INSERT, columns)
    except asyncpg.UniqueViolationError:
        raise Conflict("another message took the permit") from None


async def claim(work: Work, message_id: str, claimant: str) -> asyncpg.Record | None:
    """Take an accepted message for releasing; None if it is not there to be taken."""
    return await work.fetchrow(_CLAIM, message_id, claimant, work.now)


async def signature(work: Work, agency: str, case: str) -> tuple[str, Reach] | None:
    """Return the name that an agency signs with, and how somebody answers its message about a case.

    None if it is not active any more, or another has taken its place.
    """
    await work.lock()
    signer = await work.fetchrow(_SIGNER, agency, work.now)
    if signer is not None and (signer["succeeded"] or not signer["active"]):
        return None
    row = await work.fetchrow(_REACH, agency, case, work.now)
    reach = Reach(msgspec.json.decode(row["desk"], type=Desk), row["through"]) if row else Reach()
    return (signer["name"] if signer is not None else agency), reach


async def holds(work: Work, message_id: str, claimant: str) -> bool:
    """Say whether the claimant still holds the message, and lock its row."""
    sql = "SELECT step = 'releasing' AND claim = $2 FROM message WHERE message_id = $1 FOR UPDATE"
    return bool(await work.fetchval(sql, message_id, claimant))


async def unclaim(work: Work, message_id: str, claimant: str) -> None:
    """Put a message back: nothing was redeemed, or nobody knows; the holder may ask again."""
    await work.lock()
    await work.execute(_UNCLAIM, message_id, claimant, work.now)


async def save_steps(connection: Connection, rows: list[StepRow]) -> None:
    """Write new steps; a due outcome is due at once."""
    await connection.executemany(
        _STEP, [(r.message_id, r.step, r.channel, r.provider, r.reason, r.outcome, r.at) for r in rows]
    )


async def owed(work: Work, limit: int) -> list[asyncpg.Record]:
    """Take outcomes that consent has not answered yet; each is left to others for half a minute."""
    return await work.fetch(_OWED, work.now, limit)


async def outcome_told(connection: Connection, rows: list[tuple[str, str, datetime | None]]) -> None:
    """Write how telling consent went (message, step told/refused/owed, due again)."""
    await connection.executemany(
        "UPDATE message SET outcome_step = $2, outcome_due = $3 WHERE message_id = $1", rows
    )


async def owe(connection: Connection, rows: list[tuple[str, str, datetime]]) -> None:
    """Owe consent another outcome (message, outcome, now)."""
    await connection.executemany(
        """UPDATE message SET outcome = $2, outcome_step = 'owed', outcome_due = $3, outcome_tries = 0
        WHERE message_id = $1""",
        rows,
    )


async def abandoned(work: Work) -> list[str]:
    """Return messages whose sender must have died."""
    return [row["message_id"] for row in await work.fetch(_ABANDONED, work.now - ABANDONED)]


async def of_permit(work: Work, permit: str) -> asyncpg.Record | None:
    """Return the message that has the permit, if one has."""
    sql = f"SELECT {FIELDS} FROM message WHERE permit = $1 AND step <> 'not_made' FOR UPDATE"  # noqa: S608 - constants
    return await work.fetchrow(sql, permit)


async def one(pool: asyncpg.Pool[asyncpg.Record], message_id: str) -> asyncpg.Record | None:
    """Return a message."""
    return await pool.fetchrow(f"SELECT {FIELDS} FROM message WHERE message_id = $1", message_id)  # noqa: S608 - constants


async def to_reconcile(
    pool: asyncpg.Pool[asyncpg.Record], agency: str | None, after: str, limit: int
) -> list[asyncpg.Record]:
    """Return the messages that a person has to find out about, in order of their ids.

    Those of an agency, and of those that it has succeeded; None: of all.
    """
    return await pool.fetch(
        f"SELECT {FIELDS} FROM message WHERE {_RECONCILE}"  # noqa: S608 - constants
        f" AND ($1::text IS NULL OR agency IN ({_PREDECESSORS})) AND message_id > $2 ORDER BY message_id LIMIT $3",
        agency,
        after,
        limit,
    )


async def save_provider_status(connection: Connection, rows: list[tuple[str, str, str, datetime]]) -> None:
    """Write what a provider reported later (message, provider, status, now); a final status stays."""
    await connection.executemany(
        """UPDATE message SET provider_status = $3, updated_at = $4
        WHERE message_id = $1 AND provider = $2 AND coalesce(provider_status, 'delivered') = 'delivered'
          AND provider_status IS DISTINCT FROM $3""",
        rows,
    )


async def returned(connection: Connection, rows: list[tuple[str, str, datetime]]) -> None:
    """Owe consent `returned` for messages (message, provider, now) that had been sent."""
    await connection.executemany(
        """UPDATE message SET outcome = 'returned', outcome_step = 'owed', outcome_due = $3, outcome_tries = 0
        WHERE message_id = $1 AND provider = $2 AND step = 'sent' AND outcome = 'delivered'""",
        rows,
    )


# --- after a restore of the database: the topic still has events whose rows are gone

_RESTORE = """
INSERT INTO message (message_id, permit, fence, agency, worker, template, language, step, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'accepted', $8, $8) ON CONFLICT DO NOTHING
"""


async def restore_accepted(connection: Connection, rows: list[Envelope[MessageAccepted]]) -> None:
    """Write the rows of accepted messages again."""
    columns: list[tuple[Any, ...]] = []
    for event in rows:
        data = event.data
        columns.append(
            (
                event.subject,
                data.permit,
                data.fence,
                data.agency,
                data.worker,
                data.template,
                data.language,
                event.time,
            )
        )
    await connection.executemany(_RESTORE, columns)


async def restore_step(connection: Connection, rows: list[Envelope]) -> None:
    """Bring rows to the step of their last event. What consent is owed is owed again: telling it twice is harmless."""
    steps = []
    for event in rows:
        data = event.data
        if isinstance(data, MessageSending):
            row = StepRow(event.subject, "sending", event.time, data.channel, data.provider)
        elif isinstance(data, MessageSent):
            row = StepRow(event.subject, "sent", event.time, outcome="delivered")
        elif isinstance(data, MessageNotMade):
            row = StepRow(event.subject, "not_made", event.time, reason=data.reason)
        else:
            row = StepRow(
                event.subject, "unknown", event.time, reason=getattr(data, "reason", None), outcome="unknown"
            )
        steps.append(row)
    await save_steps(connection, steps)
