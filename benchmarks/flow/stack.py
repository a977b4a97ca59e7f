"""The stack under measurement: real servers and services as processes of their own, and their CPU time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import psutil

from benchmarks.flow.load import Connection
from deploy.local import services
from deploy.local.clients import Clients
from deploy.local.issuer import Issuer
from deploy.local.place import Place
from deploy.local.stack import Stack
from deploy.local.supervisor import Supervisor

NAMES = ("intake", "allocation", "consent", "notifications")
OWN = "benchmark"


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
    pools: dict[str, asyncpg.Pool[asyncpg.Record]]
    own: str  # URL of a database for what is measured beside the services
    ours: set[
        int
    ]  # server processes that work for these pools: they count the stages, and are no part of the cost

    def port(self, name: str) -> int:
        """Return a service's port."""
        return self.place.ports()[name]

    def token(self, client: str, worker: str | None = None) -> str:
        """Return an access token."""
        return Issuer(self.place).token(Clients(self.place).get(client), worker=worker)

    def cpu_seconds(self) -> dict[str, float]:
        """Return CPU seconds so far of each service, of PostgreSQL for each of them and for all, and of the broker."""
        found = {name: sum(cpu(p) for p in services.running(self.place, name)) for name in NAMES}
        servers = self.stack.processes()
        for process in with_children(servers["PostgreSQL"]):
            if process.pid in self.ours:
                continue
            part = _serves(process)
            found[part] = found.get(part, 0.0) + cpu(process)
        found["kafka"] = sum(cpu(p) for p in with_children(servers["Kafka"]))
        return found

    async def shift_clocks(self, seconds: float) -> None:
        """Move every service's clock ahead of the database's."""
        body = json.dumps({"seconds": seconds}).encode()
        headers = f"Authorization: Bearer {self.token('operator')}\r\nContent-Type: application/json\r\n"
        for name in NAMES:
            connection = Connection("127.0.0.1", self.port(name))
            status, answer = await connection.request("PUT", "/v1/clock", headers, body)
            connection.close()
            assert status == 200, answer


def _serves(process: psutil.Process) -> str:
    """Return which service a server process of PostgreSQL works for: its title names the role."""
    try:
        title = " ".join(process.cmdline()).split()
    except psutil.Error:
        return "postgres"
    known = (*NAMES, OWN)
    return f"postgres for {title[1]}" if len(title) > 1 and title[1] in known else "postgres"


async def _watching(database: str) -> asyncpg.Pool[asyncpg.Record]:
    # One process, so that it can be left out of the cost: a parallel worker of its would be anybody's.
    return await asyncpg.create_pool(
        database, min_size=1, max_size=1, server_settings={"max_parallel_workers_per_gather": "0"}
    )


def _empty(home: Place) -> None:
    """Remove what an earlier run left: cost must not depend on it. Servers that it left running are stopped first."""
    Stack(home).stop()
    for left in home.home.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()
    home.made()


@asynccontextmanager
async def measured(home: Place) -> AsyncIterator[Measured]:
    """Run everything in an empty place of its own; ready inside the block. What an earlier run left there is removed."""
    _empty(home)
    os.environ["ONEFRIEND_TRACE_SAMPLE"] = "0.01"
    os.environ["ONEFRIEND_LOG_LEVEL"] = "WARNING"
    stack = Stack(home)
    # The dashboard reads every topic: it is no part of the way of a referral.
    supervisor = Supervisor(
        home, stack, lambda part, what: print(f"  {part}: {what}", flush=True), only=NAMES
    )
    async with supervisor.running():
        databases = await asyncio.to_thread(stack.ensure_databases, (*NAMES, OWN))
        pools = {name: await _watching(databases[name]) for name in NAMES}
        ours = {await pool.fetchval("SELECT pg_backend_pid()") for pool in pools.values()}
        try:
            yield Measured(home, stack, pools, databases[OWN], ours)
        finally:
            for pool in pools.values():
                await pool.close()
