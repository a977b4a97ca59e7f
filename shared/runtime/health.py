"""Whether a service can do its work, and the gauges that are read from its database."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asyncpg
from prometheus_client import Gauge

from shared.runtime.database import INFRASTRUCTURE

if TYPE_CHECKING:
    from shared.runtime.service import Service

_GAUGES = {
    name: Gauge(f"onefriend_{name}", text, ["service", *labels])
    for name, text, labels in (
        ("outbox_unsent", "events committed and not yet told", ()),
        ("outbox_age_seconds", "age of the oldest event not yet told", ()),
        ("parked_keys", "keys with an event that could not be handled", ()),
        ("unreadable_records", "records without a key that can be trusted, not acknowledged", ()),
        ("held_keys", "keys with an event parked or waiting", ()),
        ("consumer_lag", "events published and not yet applied", ("topic",)),
        ("timers_due", "timers overdue by more than ten seconds", ()),
    )
}
_MEASURES = """SELECT
  (SELECT count(*) FROM outbox) AS unsent,
  (SELECT extract(epoch FROM clock_timestamp() + clock.shift - j.recorded_at) FROM journal AS j, clock
   WHERE j.position = (SELECT min(position) FROM outbox)) AS age,
  (SELECT count(DISTINCT (topic, key)) FROM quarantine WHERE resolved IS NULL AND key IS NOT NULL) AS parked,
  (SELECT count(*) FROM quarantine WHERE resolved IS NULL AND key IS NULL) AS unreadable,
  (SELECT count(*) FROM inbox WHERE held) AS held,
  (SELECT count(*) FROM timer WHERE due_at < (SELECT clock_timestamp() + shift FROM clock) - interval '10 seconds') AS due"""


async def readiness(service: Service) -> dict[str, Any]:
    """Return whether the service can do its work, and what it waits for."""
    database = False
    if service.started:
        try:
            async with asyncio.timeout(3):
                database = await service.pool.fetchval("SELECT true")
        except (asyncpg.PostgresError, *INFRASTRUCTURE):
            database = False
    consuming = service.consumer is None or service.consumer.connected
    relaying = service.outbox is None or service.outbox.connected
    return {
        "ready": bool(database) and service.reconciled.is_set(),
        "service": service.name,
        "database": bool(database),
        "compared_with_topics": service.reconciled.is_set(),
        "consuming": consuming,
        "relaying": relaying,
    }


async def measure(service: Service) -> None:
    """Set the gauges that are read from the database."""
    if not service.started:
        return
    with contextlib.suppress(asyncpg.PostgresError, *INFRASTRUCTURE):
        row = await service.pool.fetchrow(_MEASURES)
        assert row is not None  # noqa: S101 - a SELECT without FROM gives one row
        _GAUGES["outbox_unsent"].labels(service.name).set(row["unsent"])
        _GAUGES["outbox_age_seconds"].labels(service.name).set(row["age"] or 0)
        _GAUGES["parked_keys"].labels(service.name).set(row["parked"])
        _GAUGES["unreadable_records"].labels(service.name).set(row["unreadable"])
        _GAUGES["held_keys"].labels(service.name).set(row["held"])
        _GAUGES["timers_due"].labels(service.name).set(row["due"])
    for topic, lag in (service.consumer.lag if service.consumer else {}).items():
        _GAUGES["consumer_lag"].labels(service.name, topic).set(lag)
