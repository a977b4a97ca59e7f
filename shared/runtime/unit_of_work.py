"""The unit of work: the one place that commits.

A function gets a `Work`, and is run again from the beginning when the transaction could not be: after a deadlock, when more
keys turn out to need locks, when somebody else saved first, when the answer to COMMIT was lost. So it may be run several
times, and must not touch the network or anything else outside the transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import asyncpg

from shared.contracts.envelope import Actor
from shared.runtime import crash
from shared.runtime.database import INFRASTRUCTURE, TRANSIENT
from shared.runtime.errors import Conflict, StartOver, Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.saving import Consumed, save
from shared.runtime.stream import Ref
from shared.runtime.telemetry import METRICS
from shared.runtime.work import Connection, Recorded, Work

log = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 12
# Whoever fires timers looks at least this often anyway.
SOON = timedelta(seconds=1)


class Relay(Protocol):
    """What the unit of work needs of the outbox relay."""

    def take_told(self) -> Sequence[int]:
        """Hand over positions that the broker has acknowledged, to be deleted from the outbox."""

    def give_back(self, positions: Sequence[int]) -> None:
        """The transaction that should have deleted them did not commit."""

    def forget(self, positions: Sequence[int]) -> None:
        """The transaction that deleted them has committed."""

    def offer(self, recorded: Sequence[Recorded]) -> None:
        """These have just been committed."""


class NoRelay:
    """For a process whose relay runs elsewhere: the outbox is told by that one's poll."""

    def take_told(self) -> Sequence[int]:
        """Return nothing: this process told nothing."""
        return ()

    def give_back(self, positions: Sequence[int]) -> None:
        """Do nothing."""

    def forget(self, positions: Sequence[int]) -> None:
        """Do nothing."""

    def offer(self, recorded: Sequence[Recorded]) -> None:
        """Do nothing: a key must have one publisher, and it is not this process."""


class AlreadyDone(Exception):
    """The command of this id has been committed before; `answer` is what it answered then."""

    def __init__(self, answer: Any, fingerprint: str | None) -> None:  # noqa: ANN401 - JSON
        """Carry the stored answer."""
        super().__init__()
        self.answer = answer
        self.fingerprint = fingerprint


@dataclass
class UnitOfWork:
    """Runs functions in transactions of one service's database.

    `source` is the CloudEvents source of its events. `may_record` says whether events may be recorded at all: not before the
    journal has been compared with the topics (see restoration). `timer_set` is told that a timer was set that is due soon.
    """

    pool: asyncpg.Pool[asyncpg.Record]
    source: str
    relay: Relay
    may_record: Callable[[], bool] = lambda: True
    timer_set: Callable[[], None] = lambda: None

    async def run(
        self,
        function: Callable[[Work], Awaitable[T]],
        *,
        actor: Actor,
        command_id: str | None = None,
        consumed: Callable[[], Consumed] | None = None,
        exclusive: bool = False,
        label: str = "",
    ) -> T:
        """Run `function` in a transaction, as often as it takes, and return its answer.

        With a `command_id` the transaction happens at most once: run again under the same id it raises AlreadyDone with
        the first answer (`work.answer`). `exclusive` raises Conflict at once while another transaction of that id runs.
        `label` names the work where points are enumerated (see crash).
        Raises Unavailable if the database does not answer.
        """
        # Shielded: a client that hangs up cancels its request, and a cancelled statement may leave its connection, and
        # the locks, behind. The transaction is short and has time-outs: it ends by itself.
        return await asyncio.shield(self._run(function, actor, command_id, consumed, exclusive, label))

    async def _run(  # noqa: C901, PLR0912, PLR0915 - the retries of a transaction belong side by side
        self,
        function: Callable[[Work], Awaitable[T]],
        actor: Actor,
        command_id: str | None,
        consumed: Callable[[], Consumed] | None,
        exclusive: bool,  # noqa: FBT001 - private, named by the caller
        label: str,
    ) -> T:
        wanted: dict[tuple[str, str], Ref] = {}
        committing = False
        attempt = 0
        while attempt < ATTEMPTS:
            try:
                async with self._connection() as connection:
                    committing = False
                    work = Work(
                        connection, source=self.source, actor=actor, command_id=command_id, wanted=wanted
                    )
                    told: Sequence[int] = ()
                    try:
                        async with connection.transaction():
                            if exclusive and command_id is not None:
                                await _claim(connection, command_id)
                            answer = await function(work)
                            if work.recorded and not self.may_record():
                                why = "not yet compared with the broker's topics"
                                raise Unavailable(why, nothing_done=True)  # noqa: TRY301 - what is done so far has to be rolled back
                            # A release, say, saves nothing here and has somebody waiting: what was told is not its errand.
                            if work.recorded or consumed:
                                told = self.relay.take_told()
                            await save(connection, work, consumed() if consumed else None, told)
                            if crash.ARMED:
                                crash.reach("before_commit", label)
                            committing = True
                    except BaseException:
                        self.relay.give_back(told)
                        raise
                    self.relay.forget(told)
                    # Straight after the commit, with nothing awaited between (giving the connection back is a round trip):
                    # of two transactions of one key the first to commit is the first to offer, because the second could not
                    # finish its own before this one let go.
                    if crash.ARMED:
                        crash.reach("after_commit", label)
                    if work.recorded:
                        self.relay.offer(work.recorded)
                for callback in work.callbacks:
                    callback()
                if work.timer_within(SOON):
                    self.timer_set()
                return answer
            except StartOver as more:
                # No contention: it has learnt which keys it needs, and begins with all of them. There is an end to keys.
                attempt += more.args[0].keys() <= wanted.keys()
                wanted |= more.args[0]
            except (Conflict, *TRANSIENT) as error:
                if exclusive and isinstance(error, Conflict) and error.args[:1] == (IN_FLIGHT,):
                    raise
                METRICS.retries.add(1, {"why": type(error).__name__})
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - jitter, not a secret
                attempt += 1
            except asyncpg.UniqueViolationError as error:
                if command_id is None or error.constraint_name != "command_pkey":
                    raise
                raise await self._already(command_id) from None
            except INFRASTRUCTURE as error:
                # If COMMIT was sent, it may have happened. Only a command id can tell; a consumer's inbox tells by itself.
                if committing and command_id is None and consumed is None:
                    raise Unavailable("the database went away during a commit") from error
                if attempt >= 1:
                    raise Unavailable("the database does not answer") from error
                METRICS.retries.add(1, {"why": "database"})
                await asyncio.sleep(0.05)
                attempt += 1
        message = "a transaction could not be completed: too much contention on its keys"
        raise Unavailable(message)

    async def rehearse(self, function: Callable[[Work], Awaitable[None]], actor: Actor) -> None:
        """Open every connection of the pool, and run `function` once on each, in a transaction that is rolled back.

        PostgreSQL reads its catalogue and plans a statement when a connection first runs it, tens of milliseconds in all:
        that is done before somebody waits for it. Takes only connections that nobody has, and waits for none.
        """
        async with contextlib.AsyncExitStack() as opened:
            while self.pool.get_size() < self.pool.get_max_size() or self.pool.get_idle_size():
                connection = await opened.enter_async_context(self.pool.acquire())
                command = new_id()
                work = Work(connection, source=self.source, actor=actor, command_id=command, wanted={})
                transaction = connection.transaction()
                await transaction.start()
                try:
                    await _claim(connection, command)
                    await function(work)
                    await save(connection, work, None, ())
                finally:
                    await transaction.rollback()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        # Not by the pool's own time-out: it makes a task of it, two turns more of a busy loop.
        async with asyncio.timeout(10) as patience, self.pool.acquire() as connection:
            patience.reschedule(None)
            yield connection

    async def _already(self, command_id: str) -> AlreadyDone:
        return await self.remembered(command_id) or AlreadyDone(None, None)

    async def remembered(self, command_id: str) -> AlreadyDone | None:
        """Return what the command of this id answered, if it was committed. Raises Unavailable."""
        row = await self.fetchrow("SELECT fingerprint, answer FROM command WHERE id = $1", command_id)
        return AlreadyDone(row["answer"], row["fingerprint"]) if row else None

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Run one query by itself, and return its first row: without the two round trips of a transaction.

        If it changes anything, it has to be one that may be run twice. Raises Unavailable if the database does not answer.
        """
        for again in (True, False):
            try:
                async with self._connection() as connection:
                    return await connection.fetchrow(sql, *args)
            except (*TRANSIENT, *INFRASTRUCTURE) as error:
                if not again:
                    raise Unavailable("the database does not answer") from error
                # A connection that has died since it was last used: the next may live.
                await asyncio.sleep(0.05)
        return None


IN_FLIGHT = "in flight"


_CLAIM = """
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS free, c.id IS NOT NULL AS done, c.fingerprint, c.answer
FROM (SELECT) AS once LEFT JOIN command AS c ON c.id = $1
"""


async def _claim(connection: Connection, command_id: str) -> None:
    """Make sure that this command was not done, and is not being done elsewhere. Raises AlreadyDone or Conflict.

    One that was committed while this was asked is not seen here: then there is no second row for it in the end.
    """
    row = await connection.fetchrow(_CLAIM, command_id)
    assert row is not None  # noqa: S101 - of one row, with another or none
    if row["done"]:
        raise AlreadyDone(row["answer"], row["fingerprint"])
    if not row["free"]:
        raise Conflict(IN_FLIGHT)
