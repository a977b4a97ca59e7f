"""A database in memory: rows, row locks, the visibility of READ COMMITTED, unique keys, advisory locks, lost connections.

A statement sees what was committed when it began, and what its own transaction wrote. Whoever writes or locks a row that
another transaction holds waits for its end, and then sees the row as that one left it. A row that did not exist when a
statement began is not seen by it, even if it waited meanwhile. Waiting in a circle is a deadlock: one is told so.

What the statements themselves mean is in statements.py and beside it; tests/simulation/test_database.py holds them to a
real PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any

import asyncpg

from tests.simulation.loop import CURRENT, Chance, Process

Row = dict[str, Any]
Key = tuple[Any, ...]
Statement = Callable[..., Awaitable[Any]]
BEGIN = datetime(2026, 1, 13, 10, tzinfo=UTC)  # a Tuesday
LATENCY = 0.0012
LOCK_TIMEOUT = 5.0


class UnknownStatement(Exception):
    """The code runs SQL that the simulation does not know: teach it, and add it to the tests that compare."""


class Record(dict[str, Any]):
    """A row as asyncpg gives it: by name, by place, and its values when iterated."""

    def __missing__(self, key: str | int) -> Any:
        if isinstance(key, int):
            return list(self.values())[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


@dataclass
class Table:
    """One table: its primary key, and further unique keys as functions of a row (None: the row is not in that index)."""

    name: str
    key: tuple[str, ...]
    unique: Mapping[str, Callable[[Row], Any]] = field(default_factory=dict)
    rows: dict[Key, Row] = field(default_factory=dict)

    def key_of(self, row: Row) -> Key:
        return tuple(row[name] for name in self.key)


class Transaction:
    """What one transaction has written and locked."""

    def __init__(self, database: Database, session: Session) -> None:
        self.database = database
        self.session = session
        self.written: dict[tuple[str, Key], Row | None] = {}
        self.locks: set[Any] = set()
        self.over = False

    # --- reading

    @property
    def now(self) -> datetime:
        """`clock_timestamp()`."""
        return self.database.now

    def table(self, name: str) -> Table:
        return self.database.tables[name]

    def get(self, table: str, *key: Any) -> Row | None:
        """Return a row as this transaction sees it now."""
        if (table, key) in self.written:
            return self.written[table, key]
        return self.table(table).rows.get(key)

    def rows(self, table: str) -> list[Row]:
        """Return every row as this transaction sees it now, by primary key."""
        if not any(name == table for name, _ in self.written):
            return list(self.table(table).rows.values())
        seen: dict[Key, Row | None] = dict(self.table(table).rows)
        seen.update({key: row for (name, key), row in self.written.items() if name == table})
        return [row for row in seen.values() if row is not None]

    # --- writing

    async def hold(self, what: Any) -> None:
        """Take a lock and keep it until the end. Raises DeadlockDetectedError or LockNotAvailableError."""
        if what not in self.locks:
            await self.database.locks.take(what, self)

    async def lock(self, table: str, *key: Any) -> Row | None:
        """Lock a row and return it as it is then, None if it is gone."""
        await self.hold((table, key))
        return self.get(table, *key)

    async def put(self, table: str, row: Row) -> None:
        """Write a row, locked or new. Raises UniqueViolationError."""
        t = self.table(table)
        key = t.key_of(row)
        await self.hold((table, key))
        for name, of in t.unique.items():
            value = of(row)
            if value is None:
                continue
            await self.hold((table, name, value))
            if any(of(other) == value and t.key_of(other) != key for other in self.rows(table)):
                raise _violates(name)
        self.written[table, key] = row

    async def insert(self, table: str, row: Row) -> Row | None:
        """Insert a row; if there is one of that key, return that instead (for ON CONFLICT), None if it was inserted."""
        key = self.table(table).key_of(row)
        there = await self.lock(table, *key)
        if there is not None:
            return there
        await self.put(table, row)
        return None

    async def insert_new(self, table: str, row: Row) -> None:
        """Insert a row. Raises UniqueViolationError if there is one of that key."""
        if await self.insert(table, row) is not None:
            raise _violates(f"{table}_pkey")

    async def delete(self, table: str, where: Callable[[Row], bool]) -> int:
        """Delete the rows that are there now and fit; waits for those that somebody else holds."""
        t, count = self.table(table), 0
        for row in [row for row in self.rows(table) if where(row)]:
            key = t.key_of(row)
            now = await self.lock(table, *key)
            if now is not None and where(now):
                self.written[table, key] = None
                count += 1
        return count

    async def update(
        self, table: str, where: Callable[[Row], bool], change: Callable[[Row], Row]
    ) -> list[Row]:
        """Change the rows that are there now and fit; return them as they become."""
        t, changed = self.table(table), []
        for row in [row for row in self.rows(table) if where(row)]:
            now = await self.lock(table, *t.key_of(row))
            if now is not None and where(now):
                changed.append(now | change(now))
                await self.put(table, changed[-1])
        return changed

    # --- ending

    def commit(self) -> None:
        """Make what was written visible to all, at once."""
        assert not self.over
        for (name, key), row in self.written.items():
            rows = self.table(name).rows
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        written, self.written = self.written, {}
        self.end()
        if written:
            self.database.committed(written)

    def end(self) -> None:
        """Let go of everything."""
        if not self.over:
            self.over = True
            self.written = {}
            self.database.locks.let_go(self)


def _violates(constraint: str) -> asyncpg.UniqueViolationError:
    error = asyncpg.UniqueViolationError(f"duplicate key violates {constraint}")
    error.constraint_name = constraint
    return error


class Locks:
    """Who holds what, and who waits for whom, first come first served."""

    def __init__(self) -> None:
        self.holders: dict[Any, Transaction] = {}
        self._waiting: dict[Any, list[tuple[Transaction, asyncio.Future[None]]]] = {}
        self._wants: dict[Transaction, Any] = {}

    def try_take(self, what: Any, transaction: Transaction) -> bool:
        holder = self.holders.get(what)
        if holder is not None and holder is not transaction:
            return False
        self.holders[what] = transaction
        transaction.locks.add(what)
        return True

    async def take(self, what: Any, transaction: Transaction) -> None:
        if self.try_take(what, transaction):
            return
        seen, at = {transaction}, self.holders[what]
        while True:
            if at in seen:
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            seen.add(at)
            wanted = self._wants.get(at)
            if wanted is None or wanted not in self.holders:
                break
            at = self.holders[wanted]
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(what, []).append((transaction, turn))
        self._wants[transaction] = what
        try:
            async with asyncio.timeout(LOCK_TIMEOUT):
                await turn
        except TimeoutError:
            raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout") from None
        finally:
            self._wants.pop(transaction, None)
            queue = self._waiting.get(what, [])
            if (transaction, turn) in queue:
                queue.remove((transaction, turn))
        if transaction.over:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    def let_go(self, transaction: Transaction, only: Any = None) -> None:
        for what in list(transaction.locks) if only is None else [only]:
            transaction.locks.discard(what)
            if self.holders.get(what) is not transaction:
                continue
            del self.holders[what]
            queue = self._waiting.get(what, [])
            while queue:
                following, turn = queue.pop(0)
                if not turn.done() and not following.over:
                    self.holders[what] = following
                    following.locks.add(what)
                    turn.set_result(None)
                    break


class Database:
    """One service's database, which outlives its processes."""

    def __init__(
        self, name: str, tables: list[Table], statements: Mapping[str, Statement], chance: Chance
    ) -> None:
        self.name = name
        self.tables = {table.name: table for table in tables}
        self.statements = statements
        self.chance = chance
        self.locks = Locks()
        self.sequences: dict[str, int] = {}
        self.unknown: set[str] = set()
        self.shift = timedelta()
        self.watchers: list[Callable[[Mapping[tuple[str, Key], Row | None]], None]] = []

    @property
    def now(self) -> datetime:
        """The server's clock."""
        return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())

    def next(self, sequence: str) -> int:
        """`nextval`: never given back."""
        self.sequences[sequence] = self.sequences.get(sequence, 0) + 1
        return self.sequences[sequence]

    def copy(self) -> tuple[dict[str, dict[Key, Row]], dict[str, int]]:
        """Return a copy of everything, as a backup has it."""
        return {name: dict(table.rows) for name, table in self.tables.items()}, dict(self.sequences)

    def restore(self, copy: tuple[dict[str, dict[Key, Row]], dict[str, int]]) -> None:
        """Put a copy in the place of everything. Nobody may be connected."""
        rows, sequences = copy
        for name, table in self.tables.items():
            table.rows = dict(rows[name])
        self.sequences = dict(sequences)

    def committed(self, written: Mapping[tuple[str, Key], Row | None]) -> None:
        """Tell the onlookers what has just become true."""
        for watcher in self.watchers:
            watcher(written)


@cache
def normal(sql: str) -> str:
    """Return a statement's text without its layout."""
    return " ".join(sql.split())


class Session:
    """A connection, as asyncpg has it."""

    def __init__(self, database: Database, process: Process) -> None:
        self.database = database
        self.process = process
        self.current: Transaction | None = None
        self.kept = Transaction(database, self)
        """Holds the session's advisory locks."""
        self.gone = False
        process.sessions[self] = None

    def drop(self) -> None:
        """The server sees that the client is gone: it rolls back and lets go."""
        self.gone = True
        if self.current is not None:
            self.current.end()
        self.kept.end()
        self.process.sessions.pop(self, None)

    def terminate(self) -> None:
        """Close without waiting."""
        self.drop()

    def _cut(self) -> asyncpg.ConnectionDoesNotExistError:
        self.drop()
        return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def _run(self, sql: str, args: tuple[Any, ...]) -> Any:
        self.process.must_live()
        if self.gone:
            raise asyncpg.ConnectionDoesNotExistError("connection is closed")
        statement = self.database.statements.get(text := normal(sql))
        if statement is None:
            self.database.unknown.add(f"{self.database.name}: {text}")
            raise UnknownStatement(f"{self.database.name}: {text}")
        chance = self.database.chance
        await chance.step(LATENCY)
        if chance.happens("a connection cut", 0.0008):
            raise self._cut()
        if self.gone:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        if self.current is not None:
            return await self._within(self.current, statement, args)
        alone = self.current = Transaction(self.database, self)
        try:
            answer = await statement(alone, *args)
            alone.commit()
        finally:
            alone.end()
            self.current = None
        return answer

    async def _within(self, transaction: Transaction, statement: Statement, args: tuple[Any, ...]) -> Any:
        """Run a statement of a transaction block. An error aborts the transaction there and then, and lets its locks go."""
        if transaction.over:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        try:
            return await statement(transaction, *args)
        except asyncpg.PostgresError:
            transaction.end()
            raise

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """Run a query."""
        rows: list[Row] = await self._run(sql, args)
        return [Record(row) for row in rows]

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        """Run a query for its first row."""
        rows = await self.fetch(sql, *args)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """Run a query for its first value."""
        row = await self.fetchrow(sql, *args)
        return next(iter(row)) if row is not None else None

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement."""
        await self._run(sql, args)
        return ""

    async def executemany(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Run a statement for each row."""
        for args in rows:
            await self._run(sql, args)

    def transaction(self) -> Block:
        """Return a transaction block."""
        return Block(self)


class Block:
    """`async with connection.transaction()`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def __aenter__(self) -> None:
        s = self._session
        if s.gone:
            raise asyncpg.ConnectionDoesNotExistError("connection is closed")
        s.current = Transaction(s.database, s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        s = self._session
        transaction, s.current = s.current, None
        assert transaction is not None
        if kind is not None:
            transaction.end()
            return
        chance = s.database.chance
        try:
            await chance.wait(LATENCY)
            if s.gone or transaction.over or chance.happens("a commit cut off before it", 0.002):
                raise s._cut()
            transaction.commit()
        finally:
            transaction.end()
        # The answer is on its way: killed now, or cut off now, nobody here knows that it was committed.
        await chance.wait(LATENCY)
        if chance.happens("an ambiguous commit", 0.004):
            raise s._cut()


class Pool:
    """A pool of one process."""

    def __init__(self, database: Database, process: Process) -> None:
        self._database = database
        self._process = process
        self._free: list[Session] = []

    def acquire(self, *, timeout: float | None = None) -> _Acquired:
        """Return a connection, as a context."""
        return _Acquired(self)

    def take(self) -> Session:
        self._process.must_live()
        while self._free:
            session = self._free.pop()
            if not session.gone:
                return session
        return Session(self._database, self._process)

    def give_back(self, session: Session) -> None:
        if not session.gone:
            self._free.append(session)

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """Run a query."""
        async with self.acquire() as session:
            return await session.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Record | None:
        """Run a query for its first row."""
        async with self.acquire() as session:
            return await session.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """Run a query for its first value."""
        async with self.acquire() as session:
            return await session.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement."""
        async with self.acquire() as session:
            return await session.execute(sql, *args)

    async def close(self) -> None:
        """Close every connection that is not in use."""
        for session in self._free:
            session.drop()


class _Acquired:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._session: Session | None = None

    async def __aenter__(self) -> Session:
        self._session = self._pool.take()
        return self._session

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        self._pool.give_back(self._session)


def here() -> Process:
    """Return the process that is running."""
    process = CURRENT.get()
    assert process is not None
    return process
