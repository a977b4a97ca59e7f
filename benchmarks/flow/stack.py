"""The stack under measurement: real servers and services as processes of their own, and their CPU time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import psutil

from deploy.local import services
from deploy.local.clients import Clients
from deploy.local.issuer import Issuer
from deploy.local.place import Place
from deploy.local.stack import Stack
from deploy.local.supervisor import Supervisor

NAMES = ("intake", "allocation", "consent", "notifications")


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process, children that have ended included."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(
        times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    )


def with_children(processes: list[psutil.Process]) -> set[psutil.Process]:
    """Return processes and what they have started."""
    return {*processes, *(child for process in processes for child in process.children(recursive=True))}


@dataclass
class Measured:
    """A running stack."""

    place: Place
    stack: Stack
    pools: dict[str, asyncpg.Pool]  # type: ignore[type-arg]

    def port(self, name: str) -> int:
        """Return a service's port."""
        return self.place.ports()[name]

    def token(self, client: str, worker: str | None = None) -> str:
        """Return an access token."""
        return Issuer(self.place).token(Clients(self.place).get(client), worker=worker)

    def cpu_seconds(self) -> dict[str, float]:
        """Return CPU seconds so far of each service, of PostgreSQL (by service) and of the broker."""
        found = {name: sum(cpu(p) for p in services.running(self.place, name)) for name in NAMES}
        servers = self.stack.processes()
        for process in with_children(servers["PostgreSQL"]):
            found["postgres"] = found.get("postgres", 0.0) + cpu(process)
        found["kafka"] = sum(cpu(p) for p in with_children(servers["Kafka"]))
        return found


@asynccontextmanager
async def measured(home: Place) -> AsyncIterator[Measured]:
    """Run everything in a place of its own; ready inside the block."""
    os.environ["ONEFRIEND_TRACE_SAMPLE"] = "0.01"
    os.environ["ONEFRIEND_LOG_LEVEL"] = "WARNING"
    stack = Stack(home)
    async with Supervisor(home, stack, lambda part, what: print(f"  {part}: {what}", flush=True)).running():
        databases = await asyncio.to_thread(stack.ensure_databases)
        pools = {name: await asyncpg.create_pool(databases[name], min_size=1, max_size=2) for name in NAMES}
        try:
            yield Measured(home, stack, pools)
        finally:
            for pool in pools.values():
                await pool.close()
