"""Is the database's schema the one that this release needs? Asked at every start, and nearly always answered yes.

Alembic and what it imports cost a second of CPU: they are loaded only when there is something to migrate.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg


def folder_of(service: str) -> Path:
    """Return where a service keeps its migrations."""
    return Path(__file__).parents[2] / "services" / service / "migrations"


async def bring_up_to_date(folder: Path, database_url: str) -> None:
    """Migrate the database if its revision is older than the newest in `folder`, whose files begin with their revision.

    A newer one was made by a later release that runs beside this one, or ran: migrations only add, so it does for us.
    Raises OSError or asyncpg.PostgresError while the server is away, whatever a migration raises if one cannot run.
    """
    newest = max(path.name.split("_")[0] for path in (folder / "versions").glob("[0-9]*.py"))
    # With a time-out for the answer too: a way that has gone silent would otherwise be waited for for ever.
    connection = await asyncpg.connect(database_url, timeout=5, command_timeout=30)
    try:
        current = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        current = None
    finally:
        await connection.close()
    if current is None or current < newest:
        from shared.runtime.migrations import migrate  # noqa: PLC0415 - see above

        await asyncio.to_thread(migrate, folder, database_url)
