"""What could not be handled: kept with its raw bytes, its key parked, and the exits out of it.

Exits: redrive (a dry run first), the original fetched from its source's journal, or a skip (by two people, never of a
restrictive event). A gap is closed by the same means: the events between are asked of their source. A record without a key
that can be trusted has exits of its own: see unreadable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec

from shared.contracts.envelope import REGISTER, Actor
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import BadMessage, RuntimeFault, Unavailable, UnknownEvent
from shared.runtime.handlers import Handlers
from shared.runtime.inbox import Incoming, Key, apply, read_keys
from shared.runtime.saving import Consumed
from shared.runtime.telemetry import METRICS
from shared.runtime.unit_of_work import UnitOfWork
from shared.runtime.wire import decode, headers_of
from shared.runtime.work import Work

log = logging.getLogger(__name__)

# Fetches the events of one key after a sequence from the service that owns the topic.
Source = Callable[[str, str, int], Awaitable[Sequence[Incoming]]]

_QUARANTINE = """
INSERT INTO quarantine (topic, partition, "offset", key, sequence, event_id, headers, value, reason, how)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (topic, key, sequence) WHERE resolved IS NULL DO NOTHING
"""
_WAITING = (
    "SELECT sequence, headers, value FROM waiting WHERE topic = $1 AND key = $2 ORDER BY sequence LIMIT 200"
)
_UNREADABLE = "SELECT count(*) FROM quarantine WHERE topic = $1 AND key IS NULL"
_BUSY = """
SELECT EXISTS (SELECT FROM waiting WHERE topic = $1 AND key = $2)
  OR EXISTS (SELECT FROM quarantine WHERE topic = $1 AND key = $2 AND resolved IS NULL)
  OR (SELECT count(*) FROM quarantine WHERE topic = $1 AND key IS NULL) > $3
"""
_OPEN = (
    "SELECT * FROM quarantine WHERE topic = $1 AND key = $2 AND resolved IS NULL ORDER BY sequence LIMIT 1"
)
_LOCKED = "SELECT how FROM quarantine WHERE id = $1 AND resolved IS NULL FOR UPDATE"
_RESOLVE = "UPDATE quarantine SET resolved = clock_timestamp(), how = $2 WHERE id = $1"
_WORD = "to be skipped, says "


@dataclass(frozen=True, slots=True)
class Bad:
    """A message to put aside. `key`, `sequence` and `event_id` are None where the bytes could not be trusted.

    `hint` is then the key that its record bears, if it can be one: enough to ask its source about, not to be believed.
    """

    topic: str
    partition: int
    offset: int
    key: str | None
    sequence: int | None
    event_id: str | None
    headers: Sequence[tuple[str, bytes]]
    value: bytes
    reason: str
    hint: str | None = None

    @classmethod
    def of(cls, item: Incoming, reason: str, partition: int = -1, offset: int = -1) -> Bad:
        """Return an event that could be read but not handled."""
        e = item.envelope
        return cls(
            item.topic, partition, offset, e.subject, e.sequence, e.id, headers_of(e), item.value, reason
        )


def _headers(row: asyncpg.Record) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in msgspec.json.decode(row["headers"])]


def _text(value: bytes | None) -> str:
    """Return what can be kept of a header's value: neither UTF-8 nor a value is certain, and PostgreSQL keeps no NUL."""
    return (value or b"").decode(errors="replace").replace("\0", "\ufffd")


def _kept(key: Key, row: asyncpg.Record) -> Incoming:
    """Return the event of a row that waits or is parked. Raises BadMessage or UnknownEvent."""
    topic, name = key
    return Incoming(topic, decode(name.encode(), _headers(row), row["value"]), row["value"])


class DryRun(Exception):
    """Raised after a dry run, so that nothing of it is saved."""


class NotNow(RuntimeFault):
    """An exit that cannot be taken, with the reason as a code."""


@dataclass
class Exits:
    """The ways out for held keys of one service."""

    unit: UnitOfWork
    handlers: Handlers
    actor: Actor
    source: Source
    # Set when this process begins to hold a key: whoever works off held keys then looks at once.
    held: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when it has put aside a record that bears no key at all: see unreadable.
    unreadable: asyncio.Event = field(default_factory=asyncio.Event)

    async def park(self, work: Work, bad: Bad, consumed: Consumed) -> None:
        """Quarantine a message.

        With a trustworthy key its key is parked and later events of it will wait. Without one nothing is parked: the key
        that the record seems to have is held until its source has been asked what is missing. (A jump that the lost event
        leaves is found anyway, but only with the key's next event, which may never come.) Of one that seems to have none
        the source is asked to tell the whole topic again: see unreadable.
        """
        await work.execute(
            _QUARANTINE,
            bad.topic,
            bad.partition,
            bad.offset,
            bad.key,
            bad.sequence,
            bad.event_id,
            msgspec.json.encode([(name, _text(value)) for name, value in bad.headers]).decode(),
            bad.value,
            bad.reason,
            "its source is asked about the key that it bears" if bad.hint else None,
        )
        name = bad.key or bad.hint
        if name is not None:
            key = (await read_keys(work, [(bad.topic, name)]))[bad.topic, name]
            key.held = True
            consumed.advances = [key]
        METRICS.quarantined.add(1, {"topic": bad.topic, "reason": bad.reason})
        extra = {"topic": bad.topic, "offset": bad.offset, "key": bad.key, "reason": bad.reason}
        log.error("event quarantined", extra=extra)

    async def work_off(self, key: Key) -> int:
        """Apply what waits of a held key as far as it is next, asking the source for what is missing first.

        Returns how many events were applied. Raises Unavailable if the source does not answer. A parked key is left alone.
        """
        topic, name = key
        row = await self.unit.pool.fetchrow(
            "SELECT sequence FROM inbox WHERE topic = $1 AND key = $2", topic, name
        )
        after = row["sequence"] if row else 0
        # A restriction that was tried out of its turn may be parked too, with others before it that only wait.
        parked = await self.unit.pool.fetchval(f"SELECT sequence FROM ({_OPEN}) AS q", topic, name)  # noqa: S608 - a constant
        if parked is not None and parked <= after + 1:
            return 0
        first = await self.unit.pool.fetchval(
            "SELECT min(sequence) FROM waiting WHERE topic = $1 AND key = $2", topic, name
        )
        missing: Sequence[Incoming] = ()
        unreadable = 0
        if first is None or first > after + 1:
            unreadable = await self.unit.pool.fetchval(_UNREADABLE, topic)
            missing = await self.source(topic, name, after)
            METRICS.repaired.add(len(missing), {"topic": topic})
        return await self._resume(key, missing, unreadable)

    async def _resume(self, key: Key, fetched: Sequence[Incoming], unreadable: int) -> int:
        """Apply, one event a transaction, what was fetched and what waits of one key, in order.

        `unreadable` counts the messages of the topic that could not be read when the source was asked.
        """
        topic, name = key
        rows = await self.unit.pool.fetch(_WAITING, topic, name)
        items = {item.envelope.sequence: item for item in fetched}
        for row in rows:
            try:
                items.setdefault(row["sequence"], _kept(key, row))
            except (BadMessage, UnknownEvent):
                log.warning(
                    "waiting event cannot be read; asking its source", extra={"topic": topic, "key": name}
                )
        applied = 0
        for sequence in sorted(items):
            try:
                if not await self._one(key, items[sequence]):
                    break
            except (Unavailable, *INFRASTRUCTURE):
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, its key is parked and the others go on
                await self.put_aside(Bad.of(items[sequence], type(error).__name__))
                break
            applied += 1
        await self._release(key, unreadable)
        return applied

    async def put_aside(self, bad: Bad, offsets: Sequence[tuple[str, int, str, int]] = ()) -> None:
        """Quarantine a message in a transaction of its own, moving the consumer's offsets past it."""
        consumed = Consumed(offsets=list(offsets))

        async def body(work: Work) -> None:
            await self.park(work, bad, consumed)

        await self.unit.run(body, actor=self.actor, consumed=lambda: consumed)
        if bad.hint is not None:
            self.held.set()
        elif bad.key is None:
            self.unreadable.set()

    async def _one(self, key: Key, item: Incoming, *, dry_run: bool = False) -> bool:
        consumed = Consumed()

        async def body(work: Work) -> bool:
            state = (await read_keys(work, [key]))[key]
            if item.envelope.sequence > state.sequence + 1:
                return False
            await apply(work, self.handlers, [item], consumed, resume=key)
            await work.execute(
                "DELETE FROM waiting WHERE topic = $1 AND key = $2 AND sequence <= $3",
                *key,
                item.envelope.sequence,
            )
            if dry_run:
                raise DryRun
            return True

        return await self.unit.run(body, actor=item.envelope.actor, consumed=lambda: consumed)

    async def _release(self, key: Key, unreadable: int) -> None:
        """Let go of a key that has nothing waiting and nothing parked any more.

        Unless a message of the topic could not be read since its source was asked: it may have been the key's.
        """
        consumed = Consumed()

        async def body(work: Work) -> None:
            # The inbox row is locked first: an event that begins to wait at this moment sets `held` again after us.
            await work.execute("SELECT 1 FROM inbox WHERE topic = $1 AND key = $2 FOR UPDATE", *key)
            busy = await work.fetchval(_BUSY, *key, unreadable)
            # An earlier try of this transaction may have found nothing, and have failed.
            consumed.advances = []
            if not busy:
                state = (await read_keys(work, [key]))[key]
                state.held = False
                consumed.advances = [state]

        await self.unit.run(body, actor=self.actor, consumed=lambda: consumed)

    # --- exits that a person takes

    async def redrive(self, number: int, *, dry_run: bool, original: bool = False) -> int:
        """Try a quarantined event again, as it arrived or (`original`) as its source's journal has it.

        Returns how many events of its key were applied. Raises NotNow if there is no such open entry or no trustworthy
        key, or whatever the handler raises: it then stays parked.
        """
        row = await self._entry(number)
        key = (row["topic"], row["key"])
        if original:
            fetched = [
                i
                for i in await self.source(*key, row["sequence"] - 1)
                if i.envelope.sequence == row["sequence"]
            ]
            if not fetched:
                raise NotNow("not_in_journal")
            item = fetched[0]
        else:
            item = _kept(key, row)
        try:
            if not await self._one(key, item, dry_run=dry_run):
                # What comes before it waits, or can be had from its source.
                if not dry_run:
                    await self.work_off(key)
                if dry_run or not await self._one(key, item):
                    raise NotNow("an_earlier_one_is_missing")
        except DryRun:
            return 1
        await self._resolve(number, "original" if original else "redriven")
        return 1 + await self.work_off(key)

    async def skip(self, number: int, by: Actor) -> int | None:
        """Pass over a quarantined event, never a restrictive one: it takes the word of two workers.

        The first is kept beside the entry: None. With the second it is passed over: how many events behind it were applied.
        Raises NotNow.
        """
        row = await self._entry(number)
        key = (row["topic"], row["key"])
        contract = REGISTER.get(dict(_headers(row)).get("ce_type", b"").decode())
        if contract is None or contract.restrictive:
            raise NotNow("restrictive_or_unknown")
        if not by.worker:
            raise NotNow("second_person")
        word = f"{by.agency}/{by.worker}"
        consumed = Consumed()

        async def body(work: Work) -> bool:
            state = (await read_keys(work, [key]))[key]
            if row["sequence"] != state.sequence + 1:
                raise NotNow("an_earlier_one_is_missing")
            # Of two who say so at once one waits here, and then finds the other's word.
            entry = await work.fetchrow(_LOCKED, number)
            if entry is None:
                raise NotNow("no_such_entry")
            first = (entry["how"] or "").removeprefix(_WORD)
            if first.casefold() in ("", word.casefold()):
                await work.execute("UPDATE quarantine SET how = $2 WHERE id = $1", number, _WORD + word)
                return False
            state.sequence, state.event_id = row["sequence"], str(row["event_id"])
            consumed.advances = [state]
            await work.execute(_RESOLVE, number, f"skipped by {first} and {word}")
            return True

        if not await self.unit.run(body, actor=by, consumed=lambda: consumed):
            return None
        return await self.work_off(key)

    async def _entry(self, number: int) -> asyncpg.Record:
        row = await self.unit.pool.fetchrow(
            "SELECT * FROM quarantine WHERE id = $1 AND resolved IS NULL", number
        )
        if row is None:
            raise NotNow("no_such_entry")
        if row["key"] is None:
            raise NotNow("no_trustworthy_key")
        return row

    async def _resolve(self, number: int, how: str) -> None:
        await self.unit.pool.execute(_RESOLVE, number, how)

    async def held_keys(self, limit: int = 200) -> list[tuple[Key, Any]]:
        """Return held keys that are not parked, with since when their oldest event waits."""
        rows = await self.unit.pool.fetch(
            """SELECT i.topic, i.key,
              (SELECT min(w.since) FROM waiting AS w WHERE (w.topic, w.key) = (i.topic, i.key)) AS since
            FROM inbox AS i WHERE i.held AND NOT EXISTS
              (SELECT 1 FROM quarantine AS q WHERE (q.topic, q.key) = (i.topic, i.key) AND q.resolved IS NULL) LIMIT $1""",
            limit,
        )
        return [((row["topic"], row["key"]), row["since"]) for row in rows]
