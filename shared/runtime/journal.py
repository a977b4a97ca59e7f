"""The journal: append-only, free of personal data, the audit trail and the source for repairs."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from shared.contracts.envelope import Actor, Envelope
from shared.runtime.wire import decode_payload
from shared.runtime.work import Recorded

# What can be the key of an event: an id, of a person, a case, an agency.
KEY = r"^[A-Za-z0-9_.:-]{1,100}$"
COLUMNS = """position, event_id::text AS event_id, topic, key, sequence, previous::text AS previous, type, data, agency,
worker, command_id, causation, correlation, trace, recorded_at"""

_OF_KEY = f"""SELECT {COLUMNS} FROM journal
WHERE topic = $1 AND key = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"""  # noqa: S608 - a constant
_UNTOLD = f"""SELECT {COLUMNS} FROM journal WHERE position IN (
  SELECT position FROM outbox WHERE failed IS NULL AND position > $1 ORDER BY position LIMIT $2) ORDER BY position"""  # noqa: S608 - a constant


def to_recorded(row: asyncpg.Record, source: str) -> Recorded:
    """Return a journal row as an event to publish."""
    envelope = Envelope(
        id=row["event_id"],
        source=source,
        type=row["type"],
        subject=row["key"],
        time=row["recorded_at"],
        sequence=row["sequence"],
        previous=row["previous"],
        causation=row["causation"],
        correlation=row["correlation"],
        traceparent=row["trace"],
        actor=Actor(row["agency"], row["worker"]),
        data=decode_payload(row["type"], row["data"]),
    )
    return Recorded(envelope, row["topic"], row["data"].encode(), row["command_id"], row["position"])


async def of_key(
    pool: asyncpg.Pool[asyncpg.Record], source: str, topic: str, key: str, after: int, limit: int = 500
) -> list[Recorded]:
    """Return the events of one key after a sequence, in order."""
    return [to_recorded(row, source) for row in await pool.fetch(_OF_KEY, topic, key, after, limit)]


async def untold(
    pool: asyncpg.Pool[asyncpg.Record], source: str, after: int, limit: int
) -> Sequence[Recorded]:
    """Return the lowest events of the outbox past a position."""
    return [to_recorded(row, source) for row in await pool.fetch(_UNTOLD, after, limit)]
