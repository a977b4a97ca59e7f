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
    # The outbox and the timers churn: their statistics always lie, and a sequential scan of dead rows is the price.
    "enable_seqscan": "off",
    "timezone": "UTC",
}


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
        server_settings={**SESSION, "application_name": f"onefriend-{name}"},
    )
