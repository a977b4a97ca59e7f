"""PostgreSQL: the pool and its safety settings.

Every session has time-outs, so that no client that hangs or dies can keep a lock: a withdrawal that waits behind a lock is
a withdrawal that is not in force.
"""

from __future__ import annotations

import asyncpg

# What an error of this kind means: the server or the way to it is gone, so the work is to be tried again, not blamed.
INFRASTRUCTURE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg answers to whoever meets a connection just as the server's end of it goes away.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)

# The transaction did not happen and may simply be run again.
TRANSIENT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)

SESSION = {
    "application_name": "onefriend",
    "jit": "off",
    "lock_timeout": "5s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "15s",
    # Every statement on the way of an event looks up a few keys, given as arrays, by an index. Tables grow from nothing
    # and churn: their statistics lie, and a plan made from them reads whole tables (or whole indexes, into a hash) for a
    # handful of rows. What is left when these are off is the look-up.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_memoize": "off",
    "random_page_cost": "0.1",
    # Arrays of other lengths are no reason to plan such a statement anew each time: planning costs more than running.
    "plan_cache_mode": "force_generic_plan",
    "timezone": "UTC",
}


async def _nothing_to_reset(_: object) -> None:
    """Give a connection back as it is: nobody changes a session's settings, and what it locks ends with the transaction.

    (An open transaction is rolled back by the pool itself. The relay's lock, the one that outlives a transaction, is let go
    by the relay.) The driver's own reset is a round trip more for each transaction.
    """


async def connect_pool(url: str, *, name: str, size: int) -> asyncpg.Pool[asyncpg.Record]:
    """Return a pool of at most `size` connections with the session settings above.

    Raises an INFRASTRUCTURE error if the server does not answer.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        command_timeout=30,
        timeout=5,
        max_inactive_connection_lifetime=0,
        max_queries=2**62,
        max_cached_statement_lifetime=0,
        statement_cache_size=500,
        reset=_nothing_to_reset,
        server_settings={**SESSION, "application_name": f"onefriend-{name}"},
    )
