"""Subscriptions and their deliveries, as rows.

Only the first open delivery of a lane is ever due: those behind it wait at infinity until it has been taken. Whoever adds
or ends deliveries of a lane locks it first, so that there is exactly one such first. (The lock of the stream does not do: a
lane that has no event yet has no row to lock.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from services.notifications.domain import LAST_WORDS, cursor
from services.notifications.domain.subscription import Standing
from shared.runtime.work import Connection, Work

# A sender that dies leaves its deliveries claimed for this long; then they are sent again, under the same webhook-id.
LEASE = timedelta(seconds=45)

# A confirmation is a delivery too, numbered -1, -2, ...: entries count from 1, and a test is 0. The newest comes first, and
# an older one is not sent any more.
CONFIRMATION = "subscription.confirmation"
FIELDS = "subscription_id, agency, url, kinds, active, reason, taken, version, created_at, confirmed, asked, asked_at"
# How the last confirmation fared: its state, and why it could not be sent. And how many deliveries wait for a redelivery.
_FARED = """
LEFT JOIN LATERAL (SELECT d.state AS asked_state, d.reason AS asked_reason FROM delivery AS d
  WHERE s.asked > 0 AND d.subscription_id = s.subscription_id AND d.number = -s.asked) AS fared ON true
CROSS JOIN LATERAL (SELECT count(*) AS failed FROM delivery AS d
  WHERE d.state = 'failed' AND d.number >= 0 AND d.subscription_id = s.subscription_id) AS counted
"""
BEHIND = """
SELECT s.subscription_id FROM subscription AS s JOIN feed_counter AS c USING (agency)
WHERE s.active AND c.last > s.taken ORDER BY s.subscription_id LIMIT 100
"""
_ENTRIES = """
SELECT number, kind, case_id FROM feed WHERE agency = $1 AND number > $2 ORDER BY number LIMIT $3
"""
# A delivery that was ended before is opened again: that is what a replay is.
_ADD = """
INSERT INTO delivery (subscription_id, number, lane, case_id, kind, state, due_at, updated_at)
SELECT subscription_id, number, lane, case_id, kind, 'pending', 'infinity', at
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
  AS d(subscription_id, number, lane, case_id, kind, at)
ON CONFLICT (subscription_id, number) DO UPDATE
SET state = 'pending', attempts = 0, reason = NULL, due_at = 'infinity', updated_at = excluded.updated_at
WHERE delivery.state <> 'pending'
"""
_LOCK = """
SELECT pg_advisory_xact_lock(key) FROM (
  SELECT DISTINCT hashtextextended(lane, 4) AS key FROM unnest($1::text[]) AS lane ORDER BY 1) AS wanted
"""
# The first open delivery of each lane becomes due, unless it has failed for good: then the lane waits for a redrive. One
# that was the first until a replay put earlier ones before it waits again; if it is being sent just now, it ends as it ends.
_ADVANCE = """
UPDATE delivery AS d SET due_at = CASE WHEN d.number = first.number THEN $2 ELSE 'infinity'::timestamptz END FROM (
  SELECT w.lane, (SELECT min(number) FROM delivery AS o WHERE o.lane = w.lane AND o.state IN ('pending', 'failed')) AS number
  FROM unnest($1::text[]) AS w(lane)) AS first
WHERE d.lane = first.lane AND d.state = 'pending' AND (d.number = first.number) = (d.due_at = 'infinity')
"""
# Asked before a transaction is begun for it: on most looks there is nothing.
SOMETHING_DUE = """
SELECT EXISTS (SELECT FROM delivery WHERE state = 'pending' AND due_at <= (SELECT clock_timestamp() + shift FROM clock))
"""
_CLAIM = """
UPDATE delivery AS d SET due_at = $2, attempts = attempts + 1, updated_at = $1
FROM (SELECT p.subscription_id, p.number FROM delivery AS p JOIN subscription AS s USING (subscription_id)
      WHERE p.state = 'pending' AND p.due_at <= $1 AND (s.active OR (NOT s.confirmed AND p.number < 0))
        AND s.agency <> ALL($4::text[])
      ORDER BY p.due_at LIMIT $3 FOR UPDATE OF p SKIP LOCKED) AS due
WHERE d.subscription_id = due.subscription_id AND d.number = due.number
RETURNING d.subscription_id, d.number
"""
# What is sent is decided when it is sent: the subscription as it is now, and whether the agency still has a part in the
# case (or one that it has succeeded, over however many), or the entry is the last word about it. If the subscription has
# been stopped since the delivery was claimed, or given a mailbox that has yet to agree, it is left where it is: its lease
# ends.
_CLAIMED = """
WITH RECURSIVE heir(agency, reads) AS (
  SELECT agency, successor FROM agency WHERE since <= $4
  UNION SELECT h.agency, a.successor FROM heir AS h JOIN agency AS a ON a.agency = h.reads WHERE a.since <= $4
)
SELECT d.subscription_id, d.number, d.lane, d.case_id, d.kind, d.attempts, s.agency, s.url, s.secret, f.at, f.trace,
       f.event_id::text AS event, f.party, f.witness IS NOT NULL AS marked,
       coalesce(a.name, s.agency) AS name, s.asked_at,
       coalesce(a.active, true) AND (d.number >= 0 OR (NOT s.confirmed AND d.number = -s.asked))
         AND (d.case_id = '' OR d.kind = ANY($3::text[]) OR EXISTS (
         SELECT FROM part AS p WHERE p.case_id = d.case_id AND (p.ended IS NULL OR p.since > p.ended)
           AND (p.agency = s.agency OR EXISTS (SELECT FROM heir AS h WHERE h.agency = p.agency AND h.reads = s.agency))
       )) AS allowed
FROM unnest($1::text[], $2::bigint[]) AS c(subscription_id, number)
JOIN delivery AS d USING (subscription_id, number) JOIN subscription AS s USING (subscription_id)
LEFT JOIN feed AS f ON f.agency = s.agency AND f.number = d.number
LEFT JOIN agency AS a ON a.agency = s.agency
WHERE s.active OR (NOT s.confirmed AND d.number < 0)
"""
# An agency's own: confirmations are not among them. What waits behind another of its lane is not due by itself.
_OWN = """
SELECT d.number, nullif(d.case_id, '') AS case, d.kind, d.state, d.attempts, d.reason, d.updated_at,
  CASE WHEN d.state = 'pending' AND d.due_at < 'infinity' AND s.active THEN d.due_at END AS next_try,
  CASE WHEN d.state = 'pending' AND d.due_at = 'infinity' THEN (SELECT min(number) FROM delivery AS o
    WHERE o.lane = d.lane AND o.state IN ('pending', 'failed')) END AS behind
FROM delivery AS d JOIN subscription AS s USING (subscription_id)
WHERE d.subscription_id = $1 AND d.number >= 0 AND ($2::text IS NULL OR d.state = $2) AND d.number < $3
ORDER BY d.number DESC LIMIT $4
"""
# What may be sent again at once: what has failed, and what waits for longer than a try could take, so that none of it is on
# its way now.
_AGAIN = """
SELECT number, lane, state FROM delivery
WHERE subscription_id = $1 AND number >= 0 AND ($2::bigint IS NULL OR number = $2)
  AND (state = 'failed' OR (state = 'pending' AND due_at > $3 AND due_at < 'infinity'))
ORDER BY number LIMIT $4
"""
_SETTLE = """
UPDATE delivery SET state = $3, due_at = coalesce($4::timestamptz, 'infinity'), reason = $5, updated_at = $6,
  attempts = CASE WHEN $7::boolean THEN 0 ELSE attempts END
WHERE subscription_id = $1 AND number = $2 AND state IN ('pending', 'failed')
"""


@dataclass(frozen=True)
class Claimed:
    """A delivery to be sent now, with all that sending needs. `at` is the entry's time, None for a test.

    `name`: the agency's; `asked_at`: when the confirmation was asked for, if it is one; `event`, `mark`: the entry's.
    """

    subscription: str
    number: int
    lane: str
    case: str
    attempts: int
    agency: str
    url: str
    secret: bytes
    allowed: bool
    at: datetime | None
    trace: str | None
    name: str = ""
    asked_at: datetime | None = None
    event: str | None = None
    mark: int | None = None

    @property
    def id(self) -> str:
        """What is the same at every try, and after a restore another if the number stands for another entry then."""
        return f"{self.subscription}-{self.number if self.mark is None else format(self.mark, '016x')}"


@dataclass(frozen=True)
class Settled:
    """How a try ended: the delivery's new state, when it is due again, why. `anew`: its tries are counted from 0."""

    subscription: str
    number: int
    lane: str
    state: str
    at: datetime
    due_at: datetime | None = None
    reason: str | None = None
    anew: bool = False


async def entries(work: Work, agency: str, after: int, limit: int) -> list[asyncpg.Record]:
    """Return number, kind and case of the agency's entries after a number."""
    return await work.fetch(_ENTRIES, agency, after, limit)


async def add(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add deliveries (subscription, number, lane, case, kind, now) at the end of their lanes, and start idle lanes."""
    lanes = {row[2]: row[5] for row in rows}
    await connection.execute(_LOCK, list(lanes))
    await connection.execute(_ADD, *(list(column) for column in zip(*rows, strict=True)))
    await connection.execute(_ADVANCE, list(lanes), max(lanes.values()))


async def claim(work: Work, limit: int, but: Sequence[str] = ()) -> list[Claimed]:
    """Take due deliveries, but of some agencies none: nobody else sends them until the lease is over."""
    taken = await work.fetch(_CLAIM, work.now, work.now + LEASE, limit, but)
    if not taken:
        return []
    subscriptions, numbers = zip(*((row["subscription_id"], row["number"]) for row in taken), strict=True)
    rows = await work.fetch(_CLAIMED, subscriptions, numbers, sorted(LAST_WORDS), work.now)
    return [
        Claimed(
            row["subscription_id"],
            row["number"],
            row["lane"],
            row["case_id"],
            row["attempts"],
            row["agency"],
            row["url"],
            row["secret"],
            row["allowed"],
            row["at"],
            row["trace"],
            row["name"],
            row["asked_at"],
            row["event"],
            _mark(row),
        )
        for row in rows
    ]


def _mark(row: asyncpg.Record) -> int | None:
    """Return the mark of an entry; None for what is none, and for entries of before there were marks, as they were sent."""
    return (
        cursor.mark(row["event"], row["agency"], row["kind"], row["case_id"], row["party"])
        if row["marked"]
        else None
    )


async def settle(connection: Connection, rows: list[Settled]) -> None:
    """Write how tries ended, and let the next delivery of each lane go where one has been taken."""
    await connection.execute(_LOCK, [row.lane for row in rows])
    await connection.executemany(
        _SETTLE, [(r.subscription, r.number, r.state, r.due_at, r.reason, r.at, r.anew) for r in rows]
    )
    await connection.execute(_ADVANCE, [row.lane for row in rows], max(row.at for row in rows))


_INSERT = """
INSERT INTO subscription (subscription_id, agency, url, kinds, secret, taken, created_at, active, reason, confirmed)
SELECT $1, $2, $3, $4, $5, least($6::bigint, coalesce((SELECT last FROM feed_counter WHERE agency = $2), 0)), $7, $8, $9, $10
"""
_CHANGE = """
UPDATE subscription SET url = $2, active = $3, reason = $4, confirmed = $5, kinds = $6, secret = coalesce($7, secret),
  version = version + 1
WHERE subscription_id = $1
"""


async def insert(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Write new subscriptions (id, agency, standing, kinds, secret, taken or None for "from now on", now)."""
    await connection.executemany(
        _INSERT,
        [
            (key, agency, s.url, kinds, secret, taken, now, s.active, s.reason, s.confirmed)
            for key, agency, s, kinds, secret, taken, now in rows
        ],
    )


async def change(connection: Connection, rows: list[tuple[str, Standing, list[str], bytes | None]]) -> None:
    """Write changed subscriptions (id, standing, kinds, new secret or None)."""
    await connection.executemany(
        _CHANGE,
        [(key, s.url, s.active, s.reason, s.confirmed, kinds, secret) for key, s, kinds, secret in rows],
    )


async def remove(connection: Connection, rows: list[str]) -> None:
    """Delete subscriptions, and what has not been delivered with them."""
    await connection.execute("DELETE FROM subscription WHERE subscription_id = ANY($1::text[])", rows)


async def move(connection: Connection, rows: list[tuple[str, int]]) -> None:
    """Move cursors: replay, or what has been taken from the feed."""
    await connection.executemany("UPDATE subscription SET taken = $2 WHERE subscription_id = $1", rows)


async def stop(connection: Connection, rows: list[tuple[str, str]]) -> None:
    """Deactivate subscriptions (id, reason code)."""
    await connection.executemany(
        "UPDATE subscription SET active = false, reason = $2, version = version + 1 WHERE subscription_id = $1",
        rows,
    )


async def one(work: Work, subscription: str, number: int) -> asyncpg.Record | None:
    """Return a delivery's lane and state."""
    return await work.fetchrow(
        "SELECT lane, state FROM delivery WHERE subscription_id = $1 AND number = $2", subscription, number
    )


async def held(work: Work, subscription: str) -> asyncpg.Record | None:
    """Return a subscription, locked."""
    return await work.fetchrow(
        f"SELECT {FIELDS} FROM subscription WHERE subscription_id = $1 FOR UPDATE",  # noqa: S608 - constant
        subscription,
    )


async def held_of(work: Work, agency: str) -> list[asyncpg.Record]:
    """Return an agency's subscriptions, locked."""
    return await work.fetch(
        f"SELECT {FIELDS} FROM subscription WHERE agency = $1 ORDER BY subscription_id FOR UPDATE",  # noqa: S608 - constant
        agency,
    )


async def of_agency(
    pool: asyncpg.Pool[asyncpg.Record], agency: str, subscription: str | None = None
) -> list[asyncpg.Record]:
    """Return an agency's subscriptions, or one of them, without their secrets."""
    return await pool.fetch(
        f"SELECT {FIELDS}, asked_state, asked_reason, failed FROM subscription AS s {_FARED}"  # noqa: S608 - constants
        " WHERE agency = $1 AND ($2::text IS NULL OR subscription_id = $2) ORDER BY subscription_id",
        agency,
        subscription,
    )


async def deliveries(
    pool: asyncpg.Pool[asyncpg.Record],
    state: str | None,
    subscription: str | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Return deliveries of all agencies, the newest first, after a cursor (updated_at, subscription, number)."""
    return await pool.fetch(
        """SELECT subscription_id, number, lane, nullif(case_id, '') AS case_id, kind, state, attempts, reason, updated_at,
          (SELECT agency FROM subscription AS s WHERE s.subscription_id = delivery.subscription_id) AS agency
        FROM delivery WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR subscription_id = $2)
          AND ($3::timestamptz IS NULL OR (updated_at, subscription_id, number) < ($3, $4, $5))
        ORDER BY updated_at DESC, subscription_id DESC, number DESC LIMIT $6""",
        state,
        subscription,
        *(after or (None, None, None)),
        limit,
    )


async def own(
    pool: asyncpg.Pool[asyncpg.Record], subscription: str, state: str | None, before: int, limit: int
) -> list[asyncpg.Record]:
    """Return a subscription's deliveries with numbers below one, the last first."""
    return await pool.fetch(_OWN, subscription, state, before, limit)


async def again(work: Work, subscription: str, number: int | None, limit: int) -> list[asyncpg.Record]:
    """Return number, lane and state of what may be sent again: one delivery, or None for all there are."""
    return await work.fetch(_AGAIN, subscription, number, work.now + LEASE, limit)
