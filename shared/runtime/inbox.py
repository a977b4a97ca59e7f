"""The inbox: how far each key of each topic has been applied, what waits, and what is parked.

`apply` is the one way in which events reach handlers, for a batch from the broker, for one event alone, for a gap repaired
from its source and for a redrive. It reads how far each key is, runs the handlers of what comes next, and leaves to the unit
of work to save effects and progress in one transaction.

A key is *held* while an event of it is parked (it could not be handled) or waiting (one before it is missing). Later events
of a held key go to `waiting`. A restrictive one is applied at once all the same, without advancing the key, and again in its
turn: what forbids contact does not wait for a repair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from shared.contracts.envelope import REGISTER, Envelope
from shared.runtime.errors import StartOver
from shared.runtime.handlers import Handlers
from shared.runtime.saving import Consumed, InboxAdvance
from shared.runtime.stream import Ref
from shared.runtime.telemetry import METRICS, event_span
from shared.runtime.wire import headers_of
from shared.runtime.work import Connection, Work

_READ = """
SELECT i.topic, i.key, i.sequence, i.event_id::text AS event_id, i.held
FROM unnest($1::text[], $2::text[]) AS w(topic, key) JOIN inbox AS i USING (topic, key)
"""
_WAIT = """
INSERT INTO waiting (topic, key, sequence, event_id, headers, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::jsonb[], $6::bytea[])
ON CONFLICT (topic, key, sequence) DO NOTHING
"""

Key = tuple[str, str]


@dataclass(slots=True)
class Incoming:
    """An event as it arrived, with the bytes to keep if it has to wait."""

    topic: str
    envelope: Envelope
    value: bytes


class Fork(Exception):
    """Another event stands in the place of one already applied: the source has two histories."""


async def read_keys(work: Work, keys: Iterable[Key]) -> dict[Key, InboxAdvance]:
    """Return how far each key is; the answer is also what will be saved, once advanced."""
    wanted = sorted(set(keys))
    found = {key: InboxAdvance(*key, sequence=0, base=0, event_id=None, held=False) for key in wanted}
    if wanted:
        topics, names = zip(*wanted, strict=True)
        for row in await work.fetch(_READ, topics, names):
            found[row["topic"], row["key"]] = InboxAdvance(
                row["topic"], row["key"], row["sequence"], row["sequence"], row["event_id"], row["held"]
            )
    return found


async def wait_rows(connection: Connection, rows: list[Incoming]) -> None:
    """Keep events that cannot be applied yet, as they arrived."""
    columns = [
        (
            r.topic,
            r.envelope.subject,
            r.envelope.sequence,
            r.envelope.id,
            msgspec.json.encode([(name, value.decode()) for name, value in headers_of(r.envelope)]).decode(),
            r.value,
        )
        for r in rows
    ]
    await connection.execute(_WAIT, *[list(c) for c in zip(*columns, strict=True)])


async def apply(
    work: Work,
    handlers: Handlers,
    incoming: Sequence[Incoming],
    consumed: Consumed,
    *,
    resume: Key | None = None,
) -> None:
    """Apply what is next of each key, keep what is not, note the progress in `consumed`.

    `resume` is a key whose held events are now being worked off: for it, order alone counts. Raises Fork, or whatever a
    handler raises; nothing of the transaction is then saved.
    """
    keys = await read_keys(work, ((i.topic, i.envelope.subject) for i in incoming))
    touched: set[Key] = set()
    ready: list[tuple[Incoming, bool]] = []
    for item in incoming:
        ref = (item.topic, item.envelope.subject)
        key, event = keys[ref], item.envelope
        if event.sequence <= key.sequence:
            if event.sequence == key.sequence and key.event_id not in (None, event.id):
                raise Fork
            METRICS.duplicates.add(1, {"topic": item.topic})
        elif event.sequence == key.sequence + 1 and (not key.held or ref == resume):
            if key.event_id is not None and event.previous != key.event_id:
                raise Fork
            key.sequence, key.event_id = event.sequence, event.id
            touched.add(ref)
            ready.append((item, True))
        else:
            # The row is saved even if it was held before: whoever is just letting go of the key, because nothing waits,
            # and this transaction then meet on it, and the later one is right.
            key.held = True
            touched.add(ref)
            work.write(wait_rows, item)
            if REGISTER[event.type].restrictive:
                ready.append((item, False))
    consumed.advances = [keys[ref] for ref in sorted(touched)]
    await _run(work, handlers, [item.envelope for item, _ in ready])


async def _run(work: Work, handlers: Handlers, events: Sequence[Envelope]) -> None:
    """Run the handlers of these events in order, all their keys locked first and at once.

    Raises StartOver if a handler wants keys that only what it reads could tell: with those of all the events.
    """
    refs: dict[tuple[str, str], Ref] = {}
    matched = []
    for event in events:
        handler = handlers.events.get(event.type)
        if handler is not None:
            matched.append((handler, event))
            refs |= {(stream.kind, key): (stream, key) for stream, key in handler.locks(event)}
    await work.lock(*refs.values())
    wanted: dict[tuple[str, str], Ref] = {}
    for handler, event in matched:
        work.cause = event
        try:
            with event_span(event):
                await handler.function(work, event)
        except StartOver as more:
            # This transaction will be run again. What comes after may want keys too, and is asked now: a batch that learnt
            # of them one at a time would be begun anew once for each of its events.
            wanted |= more.args[0]
        except Exception:
            if not wanted:
                raise
            break  # of a transaction that an event is missing from: it will be seen whether this happens again
    if wanted:
        raise StartOver(wanted)
    work.cause = None
