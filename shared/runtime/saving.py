"""The one statement that saves a transaction: states, journal, outbox, inbox, offsets, timers, the command that it was.

A round trip costs more than the rows: everything goes in one statement with arrays, and a batch of five hundred events
costs what one does and a little more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import msgspec

from shared.runtime.errors import Conflict
from shared.runtime.work import Connection, Work

# What is counted is done in that order: whoever runs a command a second time learns that before anything else.
_SAVE = """
WITH told AS (
  DELETE FROM outbox WHERE position = ANY($1::bigint[])
), saved AS (
  INSERT INTO stream (kind, key, version, base, last_event, state)
  SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::uuid[], $7::jsonb[])
  ON CONFLICT (kind, key) DO UPDATE
  SET version = excluded.version, base = excluded.base, last_event = excluded.last_event, state = excluded.state
  WHERE stream.version = excluded.base
  RETURNING 1
), written AS (
  INSERT INTO journal (position, event_id, topic, key, sequence, previous, type, data, agency, worker, command_id,
                       causation, correlation, trace, recorded_at)
  SELECT nextval('journal_position'), e.* FROM (
    SELECT event_id, topic, key, sequence, previous, type, data, agency, worker, command_id, causation, correlation,
           trace, recorded_at
    FROM unnest($8::uuid[], $9::text[], $10::text[], $11::bigint[], $12::uuid[], $13::text[], $14::json[], $15::text[],
                $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::timestamptz[])
    WITH ORDINALITY AS t(event_id, topic, key, sequence, previous, type, data, agency, worker, command_id, causation,
                         correlation, trace, recorded_at, n)
    ORDER BY n) AS e
  RETURNING position, topic, key
), queued AS (
  INSERT INTO outbox (position, topic, key) SELECT position, topic, key FROM written
), taken AS (
  INSERT INTO inbox (topic, key, sequence, base, event_id, held)
  SELECT * FROM unnest($22::text[], $23::text[], $24::bigint[], $25::bigint[], $26::uuid[], $27::boolean[])
  ON CONFLICT (topic, key) DO UPDATE
  SET sequence = excluded.sequence, base = excluded.base, event_id = excluded.event_id, held = excluded.held
  WHERE inbox.sequence = excluded.base
  RETURNING 1
), moved AS (
  INSERT INTO consumer_offset (topic, partition, topic_id, next_offset)
  SELECT * FROM unnest($28::text[], $29::int[], $30::text[], $31::bigint[])
  ON CONFLICT (topic, partition) DO UPDATE SET topic_id = excluded.topic_id, next_offset = excluded.next_offset
  WHERE consumer_offset.topic_id <> excluded.topic_id OR consumer_offset.next_offset < excluded.next_offset
), cancelled AS (
  DELETE FROM timer USING unnest($32::text[], $33::text[]) AS c(name, key) WHERE timer.name = c.name AND timer.key = c.key
), timed AS (
  INSERT INTO timer (name, key, due_at, data)
  SELECT * FROM unnest($34::text[], $35::text[], $36::timestamptz[], $37::jsonb[])
  ON CONFLICT (name, key) DO UPDATE SET due_at = excluded.due_at, data = excluded.data, attempts = 0
), remembered AS (
  INSERT INTO command (id, fingerprint, answer) SELECT $38::text, $39::text, $40::text WHERE $38 IS NOT NULL
  RETURNING 1
)
SELECT (SELECT count(*) FROM remembered), (SELECT count(*) FROM saved), (SELECT count(*) FROM taken),
       ARRAY(SELECT position FROM written ORDER BY position)
"""


_SAVED_SINCE = "a key was saved by another transaction since it was read"
# The journal's own name for one event at each place of a key.
_ONE_AT_EACH_PLACE = "journal_topic_key_sequence_key"


@dataclass(slots=True)
class InboxAdvance:
    """How far one key of a topic was applied. `base` is the sequence found when it was read: compare-and-set."""

    topic: str
    key: str
    sequence: int
    base: int
    event_id: str | None
    held: bool


@dataclass(slots=True)
class Consumed:
    """What a consumer's batch moves, besides what its handlers record. Offsets: (topic, partition, topic id, next)."""

    advances: list[InboxAdvance] = field(default_factory=list)
    offsets: list[tuple[str, int, str, int]] = field(default_factory=list)


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


async def save(connection: Connection, work: Work, consumed: Consumed | None, told: Sequence[int]) -> None:
    """Write everything that `work` staged, and its answer if it is a command; gives its recorded events their positions.

    Raises Conflict if a state or an inbox key was saved by somebody else since it was read; asyncpg.UniqueViolationError if
    the command was committed before.
    """
    for write, rows in work.writes.items():
        await write(connection, rows)
    changed = work.changed()
    advances = consumed.advances if consumed else []
    offsets = consumed.offsets if consumed else []
    timers = work.timers.values()
    if not (changed or advances or offsets or timers or told or work.command_id):
        return
    states = [
        (h.stream.kind, h.key, h.version, h.base, h.last_event, h.stream.encode(h.state)) for h in changed
    ]
    events = []
    for r in work.recorded:
        e = r.envelope
        events.append(
            (e.id, r.topic, e.subject, e.sequence, e.previous, e.type, r.value.decode(), e.actor.agency, e.actor.worker,
             r.command_id, e.causation, e.correlation, e.traceparent, e.time)
        )  # fmt: skip
    inbox = [(a.topic, a.key, a.sequence, a.base, a.event_id, a.held) for a in advances]
    ended = [(t.name, t.key) for t in timers if t.due_at is None]
    begun = [
        (t.name, t.key, t.due_at, msgspec.json.encode(t.data).decode())
        for t in timers
        if t.due_at is not None
    ]
    try:
        _, saved, taken, positions = await connection.fetchrow(  # type: ignore[misc] # an INSERT of no rows returns one row too
            _SAVE,
            list(told),
            *_columns(states, 6),
            *_columns(events, 14),
            *_columns(inbox, 6),
            *_columns(offsets, 4),
            *_columns(ended, 2),
            *_columns(begun, 4),
            work.command_id,
            work.fingerprint,
            work.answer,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != _ONE_AT_EACH_PLACE:
            raise
        # Both begin the key: there was no row for the second to wait for.
        raise Conflict(_SAVED_SINCE) from None
    if saved != len(changed) or taken != len(advances):
        raise Conflict(_SAVED_SINCE)
    for recorded, position in zip(work.recorded, positions, strict=True):
        recorded.position = position
