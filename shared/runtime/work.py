"""One transaction's work: what a handler sees.

A handler locks, reads states, decides and records; everything it records is saved at the end by one statement, for one
event or for a batch of five hundred alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import msgspec

from shared.contracts.envelope import Actor, Envelope, Payload, Topic, contract_of
from shared.runtime.errors import StartOver
from shared.runtime.identifiers import new_id
from shared.runtime.stream import Ref, Stream
from shared.runtime.telemetry import current_traceparent

S = TypeVar("S")
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection
RowWriter = Callable[[Connection, list[Any]], Awaitable[None]]

# The time is read for each row once it is locked, so for the last one when all are: `clock_timestamp()` beside FOR UPDATE
# would be read before its own row's lock. Without any row there is nothing to wait for.
_LOCK = """
WITH locked AS MATERIALIZED (
  SELECT s.kind, s.key, s.version, s.last_event::text AS last_event, s.state
  FROM unnest($1::text[], $2::text[]) AS wanted(kind, key) JOIN stream AS s USING (kind, key)
  ORDER BY s.kind, s.key FOR UPDATE OF s
)
SELECT l.*, clock_timestamp() + c.shift AS now FROM clock AS c LEFT JOIN locked AS l ON true
"""
_NOW = "SELECT clock_timestamp() + shift FROM clock"


@dataclass(slots=True)
class Held:
    """A locked key: the state as it is now; its version when it was locked (`base`, -1 if it had no row to lock)."""

    stream: Stream[Any]
    key: str
    base: int
    version: int
    last_event: str | None
    state: Any
    touched: bool = False


@dataclass(slots=True)
class Recorded:
    """An event that this transaction will publish; `position` is known once it is saved."""

    envelope: Envelope
    topic: Topic
    value: bytes
    command_id: str | None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer to set; `due_at` None cancels it."""

    name: str
    key: str
    due_at: datetime | None
    data: Mapping[str, Any]


class Work:
    """The transaction that a handler works in. Made by the unit of work only."""

    def __init__(
        self,
        connection: Connection,
        *,
        source: str,
        actor: Actor,
        command_id: str | None,
        wanted: Mapping[tuple[str, str], Ref],
    ) -> None:
        """`wanted` are the keys to lock at the first `lock`, learnt by earlier tries of the same transaction."""
        self.connection = connection
        self.actor = actor
        self.cause: Envelope | None = None
        self.command_id = command_id
        self.recorded: list[Recorded] = []
        self.timers: dict[tuple[str, str], Timer] = {}
        self.writes: dict[RowWriter, list[Any]] = {}
        self.callbacks: list[Callable[[], None]] = []
        self.answer: Any = None
        self.fingerprint: str | None = None
        self._source = source
        self._held: dict[tuple[str, str], Held] = {}
        self._wanted = dict(wanted)
        self._locked = False
        self._now: datetime | None = None

    # --- locking and reading

    async def lock(self, *refs: Ref) -> None:
        """Lock keys, with their groups, in one order, and read the time.

        Called a second time for keys not yet held, it starts the transaction over with all of them: locks taken out of
        order are how two transactions wait for each other.
        """
        missing = {(s.kind, key): (s, key) for s, key in refs if (s.kind, key) not in self._held}
        if self._locked:
            if missing:
                raise StartOver(missing)
            return
        self._wanted |= missing
        self._locked = True
        now = await self._take(self._wanted)
        # A group is known only once its first member is read. If it reaches beyond what was locked, locking the rest now
        # would break the order.
        beyond = self._beyond()
        if beyond:
            raise StartOver(beyond)
        self._now = now

    async def _take(self, wanted: Mapping[tuple[str, str], Ref]) -> datetime:
        """Lock keys and read their states; return the time at which all of them were held."""
        if not wanted:
            now: datetime = await self.connection.fetchval(_NOW)
            return now
        kinds, keys = zip(*sorted(wanted), strict=True)
        rows = await self.connection.fetch(_LOCK, kinds, keys)
        for row in rows:
            if row["key"] is None:
                break  # there is no row of any of them, only the time
            stream, key = wanted[row["kind"], row["key"]]
            self._held[stream.kind, key] = Held(
                stream, key, row["version"], row["version"], row["last_event"], stream.decode(row["state"])
            )
        # A key without a row cannot be locked. Its first save inserts the row at version 0 or conflicts with whoever
        # inserted it first, and then this transaction runs again.
        for ref, (stream, key) in wanted.items():
            if ref not in self._held:
                self._held[ref] = Held(stream, key, -1, 0, None, stream.initial())
        at: datetime = rows[-1]["now"]
        return at

    def _beyond(self) -> dict[tuple[str, str], Ref]:
        found: dict[tuple[str, str], Ref] = {}
        for held in self._held.values():
            if held.stream.group is not None:
                for key in held.stream.group(held.state):
                    if (held.stream.kind, key) not in self._held:
                        found[held.stream.kind, key] = (held.stream, key)
        return found

    @property
    def now(self) -> datetime:
        """The time of this transaction, read after the locks were held (aware, UTC)."""
        if self._now is None:
            message = "the time is read after the locks: call `await work.lock(...)` first (with no keys if none are needed)"
            raise RuntimeError(message)
        return self._now

    def state(self, stream: Stream[S], key: str) -> S:
        """Return the state of a locked key as this transaction has it so far. Raises KeyError if it is not locked."""
        state: S = self._held[stream.kind, key].state
        return state

    def version(self, stream: Stream[Any], key: str) -> int:
        """Return how many events the locked key has, those recorded here included."""
        return self._held[stream.kind, key].version

    def holds(self, stream: Stream[Any], key: str) -> bool:
        """Say whether the key is locked by this transaction."""
        return (stream.kind, key) in self._held

    def locked(self, stream: Stream[S]) -> dict[str, S]:
        """Return the states of all locked keys of a stream, as this transaction has them so far: rows say so only later."""
        return {key: held.state for (kind, key), held in self._held.items() if kind == stream.kind}

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Run a query in this transaction."""
        return await self.connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Run a query in this transaction and return its first row."""
        return await self.connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: object) -> Any:  # noqa: ANN401 - a value of whatever type the query has
        """Run a query in this transaction and return the first value of its first row."""
        return await self.connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> str:
        """Run a statement in this transaction."""
        return await self.connection.execute(sql, *args)

    # --- recording

    def record(self, stream: Stream[S], key: str, *payloads: Payload, folded: S | None = None) -> None:
        """Append events to a locked key: its state evolves at once, here; journal and outbox get them at the end.

        `folded` is the state after these events (and whatever else the key takes in), where a decision has folded it.
        """
        held = self._held[stream.kind, key]
        cause, actor = self.cause, self.actor
        if folded is not None:
            held.state, held.touched = folded, True
        elif payloads:
            held.state, held.touched = stream.fold(held.state, payloads), True
        trace = current_traceparent() or (cause.traceparent if cause else None)
        for payload in payloads:
            contract = contract_of(payload)
            if contract.topic != stream.topic:
                message = f"{contract.type} belongs to topic {contract.topic}, not to {stream.topic}"
                raise ValueError(message)
            held.version += 1
            event_id = new_id()
            envelope = Envelope(
                id=event_id,
                source=self._source,
                type=contract.type,
                subject=key,
                time=self.now,
                sequence=held.version,
                previous=held.last_event,
                causation=cause.id if cause else self.command_id,
                correlation=(cause.correlation or cause.id) if cause else (self.command_id or event_id),
                traceparent=trace,
                actor=actor,
                data=payload,
            )
            held.last_event = event_id
            self.recorded.append(
                Recorded(envelope, contract.topic, msgspec.json.encode(payload), self.command_id)
            )

    def note(self, stream: Stream[Any], key: str, *facts: Any) -> None:  # noqa: ANN401 - payloads of other topics, own facts
        """Let the state of a locked key take in what came from elsewhere: it evolves and is saved, nothing is published."""
        held = self._held[stream.kind, key]
        for fact in facts:
            held.state = stream.evolve(held.state, fact)
            held.touched = True

    def take_in(self, stream: Stream[S], key: str, payload: Payload) -> S:
        """Let the state of a locked key take in an event of its own that is put back. Returns it; the caller saves it."""
        held = self._held[stream.kind, key]
        held.state = stream.evolve(held.state, payload)
        state: S = held.state
        return state

    def write(self, function: RowWriter, row: object) -> None:
        """Stage a row: at the end `function(connection, rows)` is called once with every row staged for it."""
        self.writes.setdefault(function, []).append(row)

    def timer(self, name: str, key: str, due_at: datetime, data: Mapping[str, Any] | None = None) -> None:
        """Set the timer of this name and key; an earlier one is replaced."""
        self.timers[name, key] = Timer(name, key, due_at, data or {})

    def cancel_timer(self, name: str, key: str) -> None:
        """Cancel the timer of this name and key, if there is one."""
        self.timers[name, key] = Timer(name, key, None, {})

    def timer_within(self, span: timedelta) -> bool:
        """Say whether a timer was set that is due within this time from now."""
        end = None if self._now is None else self._now + span
        return any(t.due_at is not None and (end is None or t.due_at <= end) for t in self.timers.values())

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this once committed. A crash may lose it, so it may only wake something that polls anyway."""
        self.callbacks.append(callback)

    def changed(self) -> list[Held]:
        """Return the keys whose state this transaction changes, in lock order."""
        return [held for _, held in sorted(self._held.items()) if held.touched]
